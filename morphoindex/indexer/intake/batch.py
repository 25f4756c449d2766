"""What files come to that were read, worked out and written together: a batch of an ingest."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from morphoindex.indexer.descriptions.relabelling import Giving
from morphoindex.indexer.encoding.reading import Outcome
from morphoindex.indexer.holdings.collection import Collection
from morphoindex.indexer.paths import Roots
from morphoindex.indexer.specimen import FileRecord, Specimen
from morphoindex.indexer.tables.catalog import Refused


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


class Batch:
    """Outcomes on their way into the index.

    Written in an order in which a crash between any two writes leaves no path with two specimens: first the paths
    that are closed, then those that known specimens gain, then the new specimens and the refusals.
    """

    def __init__(
        self, collection: Collection, roots: Roots, told: Callable[[str], Told], counts: Counts, giving: Giving
    ) -> None:
        self._collection = collection
        self._roots = roots
        self._told = told
        self._counts = counts
        self._giving = giving
        self._closed: dict[str, Specimen] = {}
        self._changed: dict[str, Specimen] = {}
        self._new: dict[str, Specimen] = {}
        self._vectors: dict[str, np.ndarray] = {}
        self._refused: list[Refused] = []
        self._looked: set[str] = set()
        self._met: dict[str, tuple[str, set[str]]] = {}
        self._time = now()

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
        for specimen, (path, columns) in self._met.items():
            was = untouched[specimen].labels if specimen in untouched else None
            after = self._changed.get(specimen) or self._new[specimen]
            self._giving.meet(specimen, was, after.labels, columns, path)
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
            self._new[outcome.id] = described(
                outcome.specimen.changed(paths=(record,), added=self._time), record.key, told
            )
            self._vectors[outcome.id] = outcome.vector
            self._met[outcome.id] = outcome.candidate.path, set(told.labels)
            self._counts.added += 1
            return
        self._met.setdefault(outcome.id, (outcome.candidate.path, set()))[1].update(told.labels)
        gone = self._gone(known, key)
        if gone and outcome.id in self._changed:
            self._counts.moved += 1
        else:
            self._counts.known += 1
        moved = closed(known, gone, self._time)
        paths = tuple(record if r.key == key else r for r in moved.paths)
        if record not in paths:
            paths = (*paths, record)
        former = tuple(r for r in moved.former_paths if r.key != key)
        table = self._changed if outcome.id in self._changed else self._new
        table[outcome.id] = described(replace(moved, paths=paths, former_paths=former), key, told)

    def _gone(self, known: Specimen, key: tuple[str, str]) -> list[tuple[str, str]]:
        """The other paths of a specimen where nothing lies any more. Looks once a batch: there may be many paths."""
        if known.id in self._looked:
            return []
        self._looked.add(known.id)
        return [r.key for r in known.paths if r.key != key and not os.path.lexists(self._roots.join(*r.key))]

    def _close(self, owner: str, keys: Sequence[tuple[str, str]]) -> None:
        if owner in self._changed:
            self._changed[owner] = self._closed[owner] = closed(self._changed[owner], keys, self._time)


def described(specimen: Specimen, key: tuple[str, str], told: Told) -> Specimen:
    """The specimen with what is told of one of its paths: that of its first path wins, others fill what is missing."""
    if specimen.paths and specimen.paths[0].key == key:
        labels, capture = {**specimen.labels, **told.labels}, {**specimen.capture, **told.capture}
    else:
        labels, capture = {**told.labels, **specimen.labels}, {**told.capture, **specimen.capture}
    same = labels == specimen.labels and capture == specimen.capture
    return specimen if same else replace(specimen, labels=labels, capture=capture)


def closed(specimen: Specimen, keys: Sequence[tuple[str, str]], when: str) -> Specimen:
    """The specimen with these of its paths closed."""
    those = tuple(replace(record, seen=when) for record in specimen.paths if record.key in keys)
    if not those:
        return specimen
    kept = tuple(record for record in specimen.paths if record.key not in keys)
    return replace(specimen, paths=kept, former_paths=(*specimen.former_paths, *those))


def now() -> str:
    """The time, ISO 8601 UTC."""
    return datetime.now(UTC).isoformat(timespec="microseconds")
