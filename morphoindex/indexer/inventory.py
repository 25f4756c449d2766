"""What an index holds, and whether its parts agree."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version

from morphoindex.indexer.holdings import upkeep
from morphoindex.indexer.missing import missing
from morphoindex.indexer.repeats import encounters
from morphoindex.indexer.results.common import CheckResult, EncoderStatus, HeldEncoder, Status
from morphoindex.indexer.session import Session


def status(session: Session) -> Status:
    """What the index holds; see `Index.status`."""
    settings = session.settings
    entry = settings.encoder
    catalog = session.collection.catalog if entry else None
    table = catalog.query(
        "SELECT count(*), count(cluster), count(DISTINCT cluster), "
        "count(*) FILTER (id NOT IN (SELECT id FROM path WHERE state = 'present')) FROM specimen"
    ).rows[0] if catalog else (0, 0, 0, 0)  # fmt: skip
    return Status(
        index=str(session.folder),
        store=settings.store,
        encoder=EncoderStatus(entry.name, entry.fingerprint, entry.dim) if entry else None,
        encoders=held(session),
        specimens=table[0],
        paths=catalog.count_paths("present") if catalog else 0,
        without_file=table[3],
        refused=catalog.count_paths("refused") if catalog else 0,
        clustered=table[1],
        clusters=table[2],
        labels=settings.labels,
        roots={name: session.roots.join(name, ".") for name in settings.roots},
        version=version("morphoindex"),
        encounters=encounters.count_encounters(session) if catalog else None,
    )


def held(session: Session) -> tuple[HeldEncoder, ...]:
    """The encoders of the index, and how many specimens have a vector of each."""
    if not session.settings.encoders:
        return ()
    catalog = session.collection.catalog
    total = catalog.specimens()
    found = []
    for entry in session.settings.encoders:
        have = len(catalog.stamps(entry.stamp_key))
        current = entry.name == session.settings.current
        found.append(HeldEncoder(entry.name, entry.fingerprint, entry.dim, current, have, total - have))
    return tuple(found)


def check(session: Session, files: bool, content: bool, report: Callable[[int, int], None]) -> CheckResult:
    """Compare the parts of the index; see `Index.check`."""
    look = files or content
    if not session.settings.encoders:
        return CheckResult(True, 0, 0, 0, (), (), () if look else None)
    found = upkeep.check(session.collection, session.journal, session.roots)
    problems = [*found.problems]
    for entry in session.settings.encoders:
        with session.working_with(entry):
            problems += upkeep.check_vectors(session.collection, entry)
    problems += encounters.problems(session)
    encoders = held(session)
    gone = tuple(missing(session, content, report)) if look else None
    clean = not problems and not gone
    return CheckResult(clean, found.specimens, found.paths, found.runs, tuple(problems), encoders, gone)
