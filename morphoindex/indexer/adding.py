"""Taking in photographs, or vectors made elsewhere, as one command does it."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterable, Sequence

from morphoindex.errors import UsageError
from morphoindex.indexer.cores import usable_cores
from morphoindex.indexer.descriptions.captures import Captures
from morphoindex.indexer.descriptions.labels import called, labeller, spelled
from morphoindex.indexer.descriptions.relabelling import Giving
from morphoindex.indexer.encoding.reading import Reader
from morphoindex.indexer.encoding.registry import EXTERNAL
from morphoindex.indexer.intake.batch import Counts
from morphoindex.indexer.intake.external import Embeddings, add_external
from morphoindex.indexer.intake.ingest import Ingest
from morphoindex.indexer.paths import to_text
from morphoindex.indexer.repeats.encounters import refresh
from morphoindex.indexer.results.common import AddResult, Refusal
from morphoindex.indexer.session import Session
from morphoindex.indexer.settings import EncoderEntry


def add(
    session: Session,
    inputs: Sequence[str],
    labels: str | None,
    told: Captures | None,
    encoder: str | None,
    dry_run: bool,
    max_megapixels: float,
    report: Callable[[Counts], None],
) -> AddResult:
    """Take photographs in; see `Index.add`."""
    start = time.perf_counter()
    labels_of = labeller(labels) if labels else None
    giving = Giving(to_text(labels or ""), session.labels)
    _say_how_they_are_called(session, labels_of.columns() if labels_of else ())
    if max_megapixels <= 0:
        raise UsageError(f"max_megapixels {max_megapixels:g}: above 0")
    with session.working_with(session.choose_encoder(encoder)):
        reader = Reader(session.encoder(usable_cores()), int(max_megapixels * 1e6))
        ingest = Ingest(session, reader, labels_of, giving, told, usable_cores(), report, session.say)
        counts = ingest.plan(inputs) if dry_run else ingest.run(inputs)
        if not dry_run:
            _finish(session)
            if counts.added:
                _say_what_they_lack(session)
    if not dry_run:
        refresh(session)
    seconds = time.perf_counter() - start
    catalog = session.collection.catalog
    return AddResult(
        added=counts.added,
        known=counts.known,
        moved=counts.moved,
        refused=tuple(Refusal(path, reason) for path, reason in sorted(counts.refused.items())),
        specimens=catalog.specimens(),
        seconds=round(seconds, 3),
        images_per_second=round(counts.seen / seconds, 1),
        changed=counts.changed,
        gone=counts.gone,
        labels=giving.result(labels_of.unused(), labels_of.several()) if labels_of else None,
        not_clustered=catalog.not_clustered(),
        not_captured=tuple(
            Refusal(to_text(path), "; ".join(words)) for path, words in sorted(told.troubles.items()) if not dry_run
        ) if told else (),
        captures_unused=tuple(told.unused()) if told and not dry_run else (),
    )  # fmt: skip


def add_embeddings(session: Session, embeddings: Embeddings, encoder: str) -> AddResult:
    """Take in vectors that were made elsewhere; see `Index.add_embeddings`."""
    start = time.perf_counter()
    columns = dict.fromkeys(column for row in embeddings.labels for column in row)
    _say_how_they_are_called(session, columns)
    entry = session.begin(EncoderEntry(encoder, EXTERNAL, embeddings.vectors.shape[1]), encoder)
    with session.working_with(entry):
        session.announce()
        giving = Giving(f"vectors of {entry.name}", session.labels)
        added, known = add_external(session, embeddings, giving)
        _finish(session)
    refresh(session)
    seconds = time.perf_counter() - start
    rate = round((added + known) / seconds, 1)
    catalog = session.collection.catalog
    return AddResult(
        added, known, 0, (), catalog.specimens(), round(seconds, 3), rate, not_clustered=catalog.not_clustered(),
        labels=giving.result() if any(embeddings.labels) else None,
    )  # fmt: skip


def _finish(session: Session) -> None:
    session.settle()
    session.collection.store.optimize()


def _say_how_they_are_called(session: Session, columns: Iterable[str]) -> None:
    """Say of label columns that the index calls them otherwise, and see that no two of them become one."""
    names: dict[str, str] = {}
    for column in columns:
        name = called(column, session.labels)
        twin = spelled(name, list(names))
        if twin in names:
            raise UsageError(f"the label columns {names[twin]} and {column} would both be {twin} here: rename one")
        names[name] = column
    for name, column in names.items():
        if name == spelled(column, session.labels) != column:
            session.say(f"the label column {column} goes into {name}, which the index has")
        elif name != column:
            session.say(f"the label column {column} is called {name} here: the index has a column of that name itself")


def _say_what_they_lack(session: Session) -> None:
    for other in session.settings.encoders:
        if other != session.entry and other.file:
            session.say(
                f"what is new has no vector of {other.name} yet: `morphoindex reembed --encoder "
                f"{shlex.quote(other.name)}` makes them"
            )
