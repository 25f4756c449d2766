"""Photographs into the index: discover, skip what is known, read and embed on all cores, commit batch by batch."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from morphoindex.indexer.captures import Captures
from morphoindex.indexer.catalog import Refused
from morphoindex.indexer.collection import Collection
from morphoindex.indexer.discovery import Found, Unusable, discover
from morphoindex.indexer.host import Host
from morphoindex.indexer.interrupts import uninterrupted
from morphoindex.indexer.labels import Labeller
from morphoindex.indexer.paths import Roots, to_text
from morphoindex.indexer.reading import Candidate, Outcome, Reader, in_order
from morphoindex.indexer.specimen import FileRecord, Specimen

_LOOK_UP = 4096  # files whose ledger entries are fetched at once
_COMMIT = 512  # files written at once; what a kill can cost is at most this much work
_COMMIT_SECONDS = 3.0  # with slow encoders, sooner


@dataclass
class Counts:
    """What an ingest has done so far; `refused` maps the text of a path to the reason.

    `changed` of the files have other content than before; `gone` paths are below the inputs no longer.
    """

    added: int = 0
    known: int = 0
    moved: int = 0
    changed: int = 0
    gone: int = 0
    refused: dict[str, str] = field(default_factory=dict)

    @property
    def seen(self) -> int:
        """All files met."""
        return self.added + self.known + self.moved + len(self.refused)


@dataclass(frozen=True)
class Told:
    """What was given for a path: labels, and fields of its capture."""

    labels: Mapping[str, str]
    capture: Mapping[str, Any]

    def within(self, labels: Mapping[str, str], capture: Mapping[str, Any]) -> bool:
        """Whether a specimen with these has it all."""
        return self.labels.items() <= labels.items() and self.capture.items() <= capture.items()


class Ingest:
    """One run of `add`.

    Args:
        host: the index.
        reader: reads and embeds; not needed for a dry run.
        labels: gives the labels of a path, if any were asked for.
        captures: gives what is told of the capture of a path, if anything was.
        workers: threads that read and embed.
        report: told the counts after every committed batch.
        say: told which encoder runs where, once there is something to read.
    """

    def __init__(
        self,
        host: Host,
        reader: Reader,
        labels: Labeller | None = None,
        captures: Captures | None = None,
        workers: int = 2,
        report: Callable[[Counts], None] = lambda counts: None,
        say: Callable[[str], None] = lambda words: None,
    ) -> None:
        self._host = host
        self._reader = reader
        self._labels = labels
        self._captures = captures
        self._workers = workers
        self._report = report
        self._say = say
        self._walked: set[str] = set()
        self._passed: set[str] = set()
        self.counts = Counts()

    def run(self, inputs: Sequence[str]) -> Counts:
        """Bring everything that the inputs mean into the index. Interrupted, it keeps what was committed."""
        start = _now()
        pool = ThreadPoolExecutor(self._workers, thread_name_prefix="ingest")
        try:
            pending: list[Outcome] = []
            committed = time.monotonic()
            for outcomes in self._ordered(pool, self._bites(inputs)):
                pending += outcomes
                if len(pending) >= _COMMIT or time.monotonic() - committed > _COMMIT_SECONDS:
                    self._commit(pending)
                    pending = []
                    committed = time.monotonic()
            self._commit(pending)
        finally:
            pool.shutdown(cancel_futures=True)
        with uninterrupted():
            self._drop_old_refusals(start)
            self._close_gone()
        self._say_what_was_passed()
        return self.counts

    def plan(self, inputs: Sequence[str]) -> Counts:
        """What `run` would look at: files it would read count as added."""
        for bite, _ in self._bites(inputs, dry=True):
            self.counts.added += len(bite)
        self._say_what_was_passed()
        return self.counts

    # -- from inputs to bites of work ---------------------------------------------------------------------------

    def _bites(self, inputs: Sequence[str], dry: bool = False) -> Iterator[tuple[list[Candidate], set[str]]]:
        """Files to read, as many at once as the encoder takes, with the ids that their content may turn out to have."""
        size = self._reader.encoder.batch
        for chunk in _chunks(discover(inputs, self._walked, self._passed), _LOOK_UP):
            usable = list({found.path: found for found in chunk if isinstance(found, Found)}.values())
            unusable = list({found.path: found for found in chunk if isinstance(found, Unusable)}.values())
            with uninterrupted():
                candidates = self._unseen(usable, dry)
                sizes = {found.size for found, _ in candidates}
                known = self._host.collection.catalog.same_size(list(sizes)) if candidates else set()
            if unusable:
                self._refuse_unusable(unusable, dry)
            elif not dry:
                self._report(self.counts)
            for start in range(0, len(candidates), size):
                yield [candidate for _, candidate in candidates[start : start + size]], known

    def _unseen(self, found: Sequence[Found], dry: bool) -> list[tuple[Found, Candidate]]:
        """Those files that the ledger does not know as they are now; the others are counted."""
        roots, catalog = self._host.roots, self._host.collection.catalog
        keys = [roots.split(file.path, file.given) for file in found]
        if not dry:
            self._host.remember(())  # new roots, before another process can take their names
        unseen: list[tuple[Found, Candidate]] = []
        unchanged: list[tuple[str, tuple[str, str], str]] = []
        for file, key, entry in zip(found, keys, catalog.ledger(keys), strict=True):
            same = entry is not None and (entry.size, entry.mtime_ns) == (file.size, file.mtime_ns)
            if same and entry is not None and entry.state == "present" and entry.id:
                unchanged.append((entry.id, key, file.path))
            else:
                unseen.append((file, Candidate(file.path, *key)))
        self.counts.known += len(unchanged)
        if (self._labels or self._captures) and unchanged and not dry:
            self._redescribe(unchanged)
        return unseen

    def _refuse_unusable(self, unusable: Sequence[Unusable], dry: bool) -> None:
        if dry:
            self.counts.refused.update({to_text(file.path): file.reason for file in unusable})
            return
        candidates = [Candidate(file.path, *self._host.roots.split(file.path, file.given)) for file in unusable]
        pairs = zip(candidates, unusable, strict=True)
        self._commit([Outcome(candidate, reason=file.reason) for candidate, file in pairs])

    # -- from bites to outcomes -----------------------------------------------------------------------------------

    def _ordered(
        self, pool: ThreadPoolExecutor, bites: Iterable[tuple[list[Candidate], set[str]]]
    ) -> Iterator[list[Outcome]]:
        """Outcomes in the order of the files, with a bounded number of bites under way."""
        encoder = self._reader.encoder

        def told() -> Iterator[tuple[list[Candidate], set[str]]]:
            for number, bite in enumerate(bites):
                if number == 0:
                    self._say(f"encoder {encoder.info.name} on {encoder.place}, {self._workers} threads")
                yield bite

        return in_order(pool, lambda bite: self._reader.outcomes(*bite), told(), self._workers * 3)

    # -- from outcomes to the index ---------------------------------------------------------------------------------

    def _commit(self, outcomes: Sequence[Outcome]) -> None:
        if not outcomes:
            return
        with uninterrupted():
            batch = _Batch(self._host.collection, self._host.roots, self._told, self.counts)
            batch.settle(outcomes)
            self._host.remember(batch.label_columns())
            batch.write()
            self.counts.refused.update({to_text(o.candidate.path): o.reason for o in outcomes if o.reason})
        self._report(self.counts)
        self._host.pause()

    def _told(self, path: str) -> Told:
        """What was given for a path."""
        return Told(self._labels(path) if self._labels else {}, self._captures(path) if self._captures else {})

    def _redescribe(self, unchanged: Sequence[tuple[str, tuple[str, str], str]]) -> None:
        """Give unchanged files (specimen, key, path) what is told of them now, where the specimen lacks it."""
        collection = self._host.collection
        has = collection.catalog.descriptions([specimen for specimen, _, _ in unchanged])
        wanted = [
            (specimen, key, told)
            for specimen, key, path in unchanged
            if not (told := self._told(path)).within(*has.get(specimen, ({}, {})))
        ]
        before = collection.get(list({specimen for specimen, _, _ in wanted}))
        after = dict(before)
        for specimen, key, told in wanted:
            if specimen in after:
                after[specimen] = _described(after[specimen], key, told)
        changed = [specimen for specimen in after.values() if specimen != before[specimen.id]]
        self._host.remember(dict.fromkeys(column for specimen in changed for column in specimen.labels))
        collection.change(changed)

    def _drop_old_refusals(self, start: str) -> None:
        """Forget refusals that did not come up again, because the file is gone or what was gone through is well now."""
        catalog, roots = self._host.collection.catalog, self._host.roots
        for refused in catalog.refused():
            path = roots.join(refused.root, refused.path)
            well = not os.path.isfile(path) and self._went_through(path)
            if refused.seen < start and (well or path in self._walked or not os.path.lexists(path)):
                catalog.forget_path(refused.root, refused.path)

    def _close_gone(self) -> None:
        """Close the paths in the folders gone through whose files are no longer there. Their specimens stay."""
        collection, roots = self._host.collection, self._host.roots
        for folder in sorted(walked for walked in self._walked if os.path.isdir(walked)):
            for root, text in roots.within(folder):
                for rows in collection.catalog.present(root, text):
                    gone: dict[str, list[tuple[str, str]]] = {}
                    for below, specimen in rows:
                        if _is_gone(roots.join(root, below)):
                            gone.setdefault(specimen, []).append((root, below))
                    found = collection.get(list(gone))
                    collection.change([_close(one, gone[one.id], _now()) for one in found.values()])
                    self.counts.gone += sum(map(len, gone.values()))

    def _say_what_was_passed(self) -> None:
        for folder in sorted(self._passed):
            self._say(f"passed over {to_text(folder)}: its pictures are made of others; named itself it is taken in")

    def _went_through(self, path: str) -> bool:
        """Whether the path is a folder or list that this run has gone through, or lies in one."""
        while path not in self._walked:
            if path == (path := os.path.dirname(path)):
                return False
        return True


class _Batch:
    """Outcomes on their way into the index.

    Written in an order in which a crash between any two writes leaves no path with two specimens: first the paths
    that are closed, then those that known specimens gain, then the new specimens and the refusals.
    """

    def __init__(self, collection: Collection, roots: Roots, told: Callable[[str], Told], counts: Counts) -> None:
        self._collection = collection
        self._roots = roots
        self._told = told
        self._counts = counts
        self._closed: dict[str, Specimen] = {}
        self._changed: dict[str, Specimen] = {}
        self._new: dict[str, Specimen] = {}
        self._vectors: dict[str, np.ndarray] = {}
        self._refused: list[Refused] = []
        self._looked: set[str] = set()
        self._time = _now()

    def settle(self, outcomes: Sequence[Outcome]) -> None:
        """Work out what the outcomes change; counts what they are. Of two outcomes for a path the later one holds."""
        outcomes = list({(o.candidate.root, o.candidate.text): o for o in outcomes}.values())
        keys = [(outcome.candidate.root, outcome.candidate.text) for outcome in outcomes]
        entries = self._collection.catalog.ledger(keys)
        before = {key: entry.id for key, entry in zip(keys, entries, strict=True) if entry and entry.state == "present"}
        known = self._collection.catalog.known([outcome.id for outcome in outcomes if outcome.id])
        former = {specimen for specimen in before.values() if specimen}
        self._changed = self._collection.get(sorted(known | former))
        untouched = dict(self._changed)
        for key, outcome in zip(keys, outcomes, strict=True):
            owner = before.get(key)
            if owner and owner != outcome.id:
                self._close(owner, [key])
                self._counts.changed += 1
        for key, outcome in zip(keys, outcomes, strict=True):
            if outcome.reason:
                self._refused.append(Refused(*key, outcome.reason, outcome.size, outcome.mtime_ns, self._time))
            else:
                self._take_in(key, outcome)
        written = {**untouched, **self._closed}
        self._changed = {i: specimen for i, specimen in self._changed.items() if specimen != written[i]}

    def label_columns(self) -> list[str]:
        """The label columns that this batch uses."""
        specimens = itertools.chain(self._changed.values(), self._new.values())
        return list(dict.fromkeys(column for specimen in specimens for column in specimen.labels))

    def write(self) -> None:
        """Write it all."""
        self._collection.change(list(self._closed.values()))
        self._collection.change(list(self._changed.values()))
        vectors = np.stack([self._vectors[i] for i in self._new]) if self._new else np.empty((0, 0), np.float32)
        self._collection.put(list(self._new.values()), vectors, self._refused)

    def _take_in(self, key: tuple[str, str], outcome: Outcome) -> None:
        record = FileRecord(*key, outcome.size, outcome.mtime_ns, self._time)
        told = self._told(outcome.candidate.path)
        known = self._changed.get(outcome.id) or self._new.get(outcome.id)
        if known is None:
            if outcome.specimen is None or outcome.vector is None:
                return  # another process removed its specimen just now: the next run finds it unknown and reads it
            self._new[outcome.id] = _described(
                outcome.specimen.changed(paths=(record,), added=self._time), record.key, told
            )
            self._vectors[outcome.id] = outcome.vector
            self._counts.added += 1
            return
        gone = self._gone(known, key)
        if gone and outcome.id in self._changed:
            self._counts.moved += 1
        else:
            self._counts.known += 1
        moved = _close(known, gone, self._time)
        paths = tuple(record if r.key == key else r for r in moved.paths)
        if record not in paths:
            paths = (*paths, record)
        former = tuple(r for r in moved.former_paths if r.key != key)
        table = self._changed if outcome.id in self._changed else self._new
        table[outcome.id] = _described(replace(moved, paths=paths, former_paths=former), key, told)

    def _gone(self, known: Specimen, key: tuple[str, str]) -> list[tuple[str, str]]:
        """The other paths of a specimen where nothing lies any more. Looks once a batch: there may be many paths."""
        if known.id in self._looked:
            return []
        self._looked.add(known.id)
        return [r.key for r in known.paths if r.key != key and not os.path.lexists(self._roots.join(*r.key))]

    def _close(self, owner: str, keys: Sequence[tuple[str, str]]) -> None:
        if owner in self._changed:
            self._changed[owner] = self._closed[owner] = _close(self._changed[owner], keys, self._time)


def _described(specimen: Specimen, key: tuple[str, str], told: Told) -> Specimen:
    """The specimen with what is told of one of its paths: that of its first path wins, others fill what is missing."""
    if specimen.paths and specimen.paths[0].key == key:
        labels, capture = {**specimen.labels, **told.labels}, {**specimen.capture, **told.capture}
    else:
        labels, capture = {**told.labels, **specimen.labels}, {**told.capture, **specimen.capture}
    same = labels == specimen.labels and capture == specimen.capture
    return specimen if same else replace(specimen, labels=labels, capture=capture)


def _close(specimen: Specimen, keys: Sequence[tuple[str, str]], when: str) -> Specimen:
    """The specimen with these of its paths closed."""
    closed = tuple(replace(record, seen=when) for record in specimen.paths if record.key in keys)
    if not closed:
        return specimen
    kept = tuple(record for record in specimen.paths if record.key not in keys)
    return replace(specimen, paths=kept, former_paths=(*specimen.former_paths, *closed))


def _is_gone(path: str) -> bool:
    """Whether there is nothing at the path; not whether it merely cannot be looked at."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def _chunks(items: Iterable[Found | Unusable], size: int) -> Iterator[list[Found | Unusable]]:
    iterator = iter(items)
    while chunk := list(itertools.islice(iterator, size)):
        yield chunk


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")
