"""Vectors of a further encoder for the specimens there are, by reading their photographs again."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from morphoindex.errors import UsageError
from morphoindex.indexer.cores import usable_cores
from morphoindex.indexer.encoding import registry
from morphoindex.indexer.encoding.encoder import Encoder
from morphoindex.indexer.encoding.reading import Candidate, Outcome, Reader, in_order, in_portions
from morphoindex.indexer.encoding.registry import Meant
from morphoindex.indexer.interrupts import uninterrupted
from morphoindex.indexer.paths import to_text
from morphoindex.indexer.photographs.still_shown import CHANGED, GONE
from morphoindex.indexer.results.common import Refusal
from morphoindex.indexer.results.encoders import Reembedding, ReembedResult
from morphoindex.indexer.session import Session
from morphoindex.indexer.specimen import FileRecord, Specimen
from morphoindex.indexer.words import count

_LOOK_UP = 2048  # specimens that are fetched at once
NOWHERE = "none of its files is where it was"
ELSEWHERE = "its vector was made elsewhere, and no photograph is known"


@dataclass(frozen=True)
class Read:
    """A specimen with its vector float32 [d]; or without, and the path and reason."""

    id: str
    vector: NDArray[np.float32] | None
    path: str = ""
    reason: str = ""


def reembed(
    session: Session,
    encoder: str | None,
    dry_run: bool,
    max_megapixels: float,
    report: Callable[[Reembedding], None],
) -> ReembedResult:
    """Give all specimens that lack it a vector of an encoder; see `Index.reembed`."""
    start = time.perf_counter()
    if max_megapixels <= 0:
        raise UsageError(f"max_megapixels {max_megapixels:g}: above 0")
    meant = registry.find(session.settings, encoder) if encoder else Meant(session.entry, True)
    lacking = _lacking(session, meant)
    _see_that_it_can_be_done(session, meant, lacking)
    work = _Work(session, meant, int(max_megapixels * 1e6), len(lacking), report)
    if dry_run:
        work.plan(lacking)
    elif lacking:
        work.run(lacking)
    elif not meant.held and meant.file:
        session.take_up(meant.entry, meant.file)
    seconds = time.perf_counter() - start
    specimens = session.collection.catalog.specimens()
    return ReembedResult(
        encoder=meant.entry.name,
        current=meant.entry.name == session.settings.current,
        embedded=work.embedded,
        refused=tuple(sorted(work.refused, key=lambda refusal: refusal.path)),
        specimens=specimens,
        lacking=len(lacking) if dry_run else len(_lacking(session, meant)),
        seconds=round(seconds, 3),
        images_per_second=round(work.embedded / seconds, 1),
    )


def _lacking(session: Session, meant: Meant) -> list[str]:
    """Ids of the specimens without a vector of an encoder, in the order of their paths."""
    catalog = session.collection.catalog
    have = catalog.stamps(meant.entry.stamp_key) if meant.entry in session.settings.encoders else {}
    found = catalog.query(
        "SELECT id FROM specimen LEFT JOIN (SELECT id, min(root || '/' || path) AS first FROM path "
        "WHERE state = 'present' GROUP BY id) USING (id) ORDER BY first, id"
    )
    return [row[0] for row in found.rows if row[0] not in have]


def _see_that_it_can_be_done(session: Session, meant: Meant, lacking: Sequence[str]) -> None:
    name = shlex.quote(meant.entry.name)
    if lacking and not meant.entry.file:
        raise UsageError(
            f"the vectors of {name} were made elsewhere: `morphoindex add --embeddings FILE --encoder {name}` brings "
            f"those that {count(len(lacking), 'specimen lacks', 'specimens lack')}"
        )
    if lacking and not session.collection.catalog.count_paths("present"):
        raise UsageError(
            "no specimen of this index has a photograph that could be read again: their files are gone, or their "
            "vectors were made elsewhere. Make an index of photographs with --index OTHER_DIR"
        )


class _Work:
    """One run of `reembed`.

    The index takes up a new encoder with its first vectors, so that one that fails at once leaves nothing behind.
    """

    def __init__(
        self, session: Session, meant: Meant, max_pixels: int, total: int, report: Callable[[Reembedding], None]
    ) -> None:
        self._session = session
        self._meant = meant
        self._max_pixels = max_pixels
        self._total = total
        self._report = report
        self.embedded = 0
        self.refused: list[Refusal] = []

    def plan(self, lacking: Sequence[str]) -> None:
        """Count what `run` would read, and list what has no photograph."""
        for specimen in self._specimens(lacking):
            if specimen.paths:
                self.embedded += 1
            else:
                self.refused.append(_without_path(specimen))

    def run(self, lacking: Sequence[str]) -> None:
        """Read, embed, and write, batch by batch. Interrupted, it keeps what was written."""
        workers = usable_cores()
        encoder = self._encoder(workers)
        self._session.say(f"encoder {self._meant.entry.name} on {encoder.place}, {workers} threads")
        reader = Reader(encoder, self._max_pixels)
        pool = ThreadPoolExecutor(workers, thread_name_prefix="reembed")
        try:
            bites = self._bites(lacking, encoder.batch)
            done = in_order(pool, lambda bite: _read(reader, bite), bites, workers * 3)
            for portion in in_portions(done):
                self._commit(portion)
        finally:
            pool.shutdown(cancel_futures=True)
        self._session.collection.store.optimize()

    def _encoder(self, workers: int) -> Encoder:
        entry, file = self._meant.entry, self._meant.file
        if file is None:
            with self._session.working_with(entry):
                return self._session.encoder(workers)
        if self._meant.held:
            registry.keep_copy(self._session.folder, entry, file)
        return Encoder(file, workers)

    def _specimens(self, ids: Sequence[str]) -> Iterator[Specimen]:
        for start in range(0, len(ids), _LOOK_UP):
            some = ids[start : start + _LOOK_UP]
            with uninterrupted():
                found = self._session.collection.get(some)
            yield from (found[i] for i in some if i in found)

    def _bites(self, ids: Sequence[str], size: int) -> Iterator[list[tuple[Specimen, list[Candidate]]]]:
        """Specimens with their files, as many at once as the encoder takes."""
        bite = []
        for specimen in self._specimens(ids):
            if not specimen.paths:
                self.refused.append(_without_path(specimen))
                continue
            roots = self._session.roots
            bite.append((specimen, [Candidate(roots.join(*record.key), *record.key) for record in specimen.paths]))
            if len(bite) == size:
                yield bite
                bite = []
        if bite:
            yield bite

    def _commit(self, done: Sequence[Read]) -> None:
        vectors = {one.id: one.vector for one in done if one.vector is not None}
        self.refused += [Refusal(to_text(one.path), one.reason) for one in done if one.vector is None]
        if vectors:
            with uninterrupted():
                if self._meant.entry not in self._session.settings.encoders and self._meant.file and not self.embedded:
                    self._session.take_up(self._meant.entry, self._meant.file)
            with self._session.working_with(self._meant.entry):
                with uninterrupted():
                    self._session.collection.embed(vectors)
                self.embedded += len(vectors)
                self._session.pause()
        self._report(Reembedding(self.embedded, len(self.refused), self._total))


def _read(reader: Reader, bite: Sequence[tuple[Specimen, list[Candidate]]]) -> list[Read]:
    """Read and embed specimens, each from the first of its files that still shows it."""
    done: dict[str, Read] = {}
    for turn in range(max(len(files) for _, files in bite)):
        left = [
            (specimen, files, specimen.paths[turn])
            for specimen, files in bite
            if turn < len(files) and (specimen.id not in done or done[specimen.id].vector is None)
        ]
        outcomes = reader.outcomes([files[turn] for _, files, _ in left], frozenset())
        for (specimen, _, record), outcome in zip(left, outcomes, strict=True):
            reason = _trouble_with(specimen, record, outcome)
            if not reason:
                done[specimen.id] = Read(specimen.id, outcome.vector)
            elif turn == 0:
                done[specimen.id] = Read(specimen.id, None, outcome.candidate.path, reason)
    return list(done.values())


def _trouble_with(specimen: Specimen, record: FileRecord, outcome: Outcome) -> str:
    """Why a file does not give the vector of its specimen; empty where it does."""
    if outcome.reason:
        return outcome.reason if os.path.lexists(outcome.candidate.path) else GONE.words
    if specimen.sha256:
        same = outcome.id == specimen.id
    else:  # the vector came from elsewhere: all that is known of the file is what it was like then
        same = record.size is None or (record.size, record.mtime_ns) == (outcome.size, outcome.mtime_ns)
    return "" if same else CHANGED.words


def _without_path(specimen: Specimen) -> Refusal:
    return Refusal(specimen.id, NOWHERE if specimen.sha256 else ELSEWHERE)
