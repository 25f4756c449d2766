"""Labels as they are given to specimens of an index, and what they were before, which the journal keeps.

A line of the journal holds the labels that a batch of specimens is about to get, each with what it takes the place of;
lines under one number are one `add`. It is written before the specimens are, so no label is ever replaced that could
not be put back. Labels of specimens that are new with them are no line: nothing was there before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace

from morphoindex.errors import IndexDamaged, UsageError
from morphoindex.indexer.holdings.collection import Collection
from morphoindex.indexer.holdings.journal import Journal
from morphoindex.indexer.host import Host, place
from morphoindex.indexer.interrupts import uninterrupted
from morphoindex.indexer.paths import to_text
from morphoindex.indexer.results.labels import (
    LabelChange,
    LabelsGiven,
    LabelsTakenBack,
    Relabelling,
    RelabellingDetail,
    Relabellings,
)
from morphoindex.indexer.specimen import Specimen
from morphoindex.indexer.storage.qdrant import batches

EVENT = "labels"
_BATCH = 2048
_SUCH_AS = 20
Change = tuple[str, str | None, str | None]
"""A column, the label that stood there, and the one that does now; None for no label."""


@dataclass(frozen=True)
class Kept:
    """What the journal keeps of one `add` with labels, or of an undo: change → the specimens that it befell."""

    number: int
    time: str
    how: str
    undoes: int | None
    changes: Mapping[Change, Sequence[str]]


def read_relabellings(journal: Journal) -> list[Kept]:
    """All of them, first to last.

    Raises:
        IndexDamaged: a line of the journal is not what it should be.
    """
    found: dict[int, Kept] = {}
    changes: dict[int, dict[Change, list[str]]] = defaultdict(dict)
    for line in journal.read():
        if line["event"] != EVENT:
            continue
        try:
            number = int(line["number"])
            if number not in found:
                one = Kept(number, str(line["time"]), str(line["how"]), line["undoes"], changes[number])
                found[number] = one
            for column, old, new, specimens in line["changes"]:
                changes[number].setdefault((column, old, new), []).extend(specimens)
        except (KeyError, TypeError, ValueError) as error:
            raise IndexDamaged(
                f"labels in the journal cannot be read ({type(error).__name__}: {error}): restore it from a backup"
            ) from error
    return list(found.values())


def append_relabelling(
    journal: Journal, number: int, how: str, undoes: int | None, changes: Mapping[Change, Sequence[str]]
) -> None:
    """Write down what labels are about to change; when this returns it is on the disk."""
    rows = [[*change, list(specimens)] for change, specimens in changes.items()]
    journal.append(EVENT, {"number": number, "how": how, "undoes": undoes, "changes": rows})


def next_number(journal: Journal) -> int:
    """The number of the next one."""
    return max((one.number for one in read_relabellings(journal)), default=0) + 1


def differences(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Change]:
    """What is other: `{"sex": "f"}, {"sex": "m"}` -> ("sex", "f", "m")."""
    for column in dict.fromkeys((*before, *after)):
        if before.get(column) != after.get(column):
            yield column, before.get(column), after.get(column)


@dataclass
class Giving:
    """The labels that one `add` gives: counts what they come to, and writes down what they replace.

    Args:
        how: what gives them, in words.
        known: the label columns that the index has.
    """

    how: str
    known: Sequence[str] = ()
    first: int = 0
    further: int = 0
    changed: int = 0
    kept: int = 0
    without: int = 0
    without_such_as: list[str] = field(default_factory=list)
    number: int | None = None
    _alike: dict[Change, tuple[int, str]] = field(default_factory=dict)  # how many, and the path of one
    _due: dict[Change, list[str]] = field(default_factory=lambda: defaultdict(list))
    _met: set[str] = field(default_factory=set)
    _new: dict[str, None] = field(default_factory=dict)  # columns, as they came

    def miss(self, path: str) -> None:
        """Count a file that gets no labels."""
        self.without += 1
        if len(self.without_such_as) < _SUCH_AS:
            self.without_such_as.append(to_text(path))

    def meet(
        self,
        specimen: str,
        before: Mapping[str, str] | None,
        after: Mapping[str, str],
        told: AbstractSet[str],
        path: str,
    ) -> None:
        """Count a specimen.

        Args:
            specimen: its id.
            before: its labels until now; None where it is new.
            after: its labels from now on.
            told: the columns in which labels were given for it.
            path: of its file.
        """
        changes = list(differences(before or {}, after))
        got = [change for change in changes if change[1] is None]
        self.first += bool(got and not before)
        self.further += bool(got and before)
        if told and specimen not in self._met:  # by another of its paths
            self.kept += len(told - {column for column, _, _ in changes})
            self._met.add(specimen)
        for change in changes:
            if change[0] not in self.known:
                self._new[change[0]] = None
            if change[1] is not None:
                self.changed += 1
                number, example = self._alike.get(change, (0, path))
                self._alike[change] = number + 1, example
            if before is not None:
                self._due[change].append(specimen)

    def write_down(self, journal: Journal) -> None:
        """Have the journal keep what was met since the last time and will now be written."""
        if not self._due:
            return
        if self.number is None:
            self.number = next_number(journal)
        append_relabelling(journal, self.number, self.how, None, self._due)
        self._due.clear()

    def result(self, unused: Sequence[str] = (), several: Mapping[str, tuple[str, ...]] | None = None) -> LabelsGiven:
        """What it came to; `unused` is what was given and met no file, `several` names that met several."""
        changes = tuple(
            LabelChange(*change, number, to_text(path) if path else None)
            for change, (number, path) in sorted(self._alike.items(), key=lambda one: -one[1][0])
        )
        return LabelsGiven(
            self.first, self.further, self.changed, self.kept, changes, self.number,
            self.without, tuple(self.without_such_as), tuple(unused), tuple(self._new), several or {},
        )  # fmt: skip


class LabelHistory:
    """The labels that were given to specimens of an index, time by time, and the way back: `Index.labels`."""

    def __init__(self, index: Host) -> None:
        self._index = index

    def history(self) -> Relabellings:
        """All times that labels were given to specimens that were there already, or taken back; first to last."""
        return Relabellings(_entries(read_relabellings(self._index.journal)))

    def show(self, number: int) -> RelabellingDetail:
        """What became what, by the number that `history` gives.

        Raises:
            UsageError: there is none of that number.
        """
        there = read_relabellings(self._index.journal)
        one = _numbered(there, number)
        entry = next(entry for entry in _entries(there) if entry.number == number)
        return RelabellingDetail(entry, _alike(self._index, one.changes))

    def undo(self, number: int | None = None, *, dry_run: bool = False) -> LabelsTakenBack:
        """Give specimens the labels back that they had: what stands then is what the givings say that were not undone.

        Where a label was given anew since, that stays; once this is undone too, what was before both comes back.

        Args:
            number: that `history` gives; the last one that was not undone where it is None.
            dry_run: only find out what it would be.

        Raises:
            UsageError: there is none of that number, it was undone already, or is an undo.
        """
        journal, collection = self._index.journal, self._index.collection
        there = read_relabellings(journal)
        one = _to_undo(there, number)
        back = _taken_back(collection, there, one)
        own = None if dry_run else there[-1].number + 1
        gone: tuple[str, ...] = ()
        if own is not None:  # the specimens first: cut off in between, the same undo goes on from there
            with uninterrupted():
                for ids in batches(list(back.labels), _BATCH):
                    found = collection.get(ids).values()
                    collection.change([replace(specimen, labels=back.labels[specimen.id]) for specimen in found])
                gone = self._forget({column for column, _, _ in one.changes})
                append_relabelling(journal, own, one.how, one.number, back.changes)
        return LabelsTakenBack(
            own, one.number, one.how, len(back.labels),
            _alike(self._index, back.changes), back.since, back.gone, dry_run, gone,
        )  # fmt: skip

    def _forget(self, columns: AbstractSet[str]) -> tuple[str, ...]:
        """Let go of those of the columns in which nothing is left; they are given back."""
        used = set(self._index.collection.catalog.labels_used())
        gone = tuple(column for column in self._index.labels if column in columns - used)
        self._index.forget(gone)
        return gone


@dataclass
class _Back:
    labels: dict[str, dict[str, str]] = field(default_factory=dict)  # those that are due, by specimen
    changes: dict[Change, list[str]] = field(default_factory=lambda: defaultdict(list))
    since: int = 0
    gone: int = 0


def _taken_back(collection: Collection, there: Sequence[Kept], one: Kept) -> _Back:
    wanted: dict[str, dict[str, Due]] = defaultdict(dict)
    for (specimen, column), due in dues(there, one).items():
        wanted[specimen][column] = due
    back = _Back()
    for ids in batches(list(wanted), _BATCH):
        found = collection.catalog.descriptions(ids)
        back.gone += len(ids) - len(found)
        for specimen, (labels, _) in found.items():
            for column, due in wanted[specimen].items():
                now = labels.get(column)
                if due.since or now not in (due.has, due.value):
                    back.since += 1
                elif now != due.value:
                    after = back.labels.setdefault(specimen, dict(labels))
                    if due.value is None:
                        del after[column]
                    else:
                        after[column] = due.value
                    back.changes[column, now, due.value].append(specimen)
    return back


@dataclass
class Due:
    """What an undo comes to for a label: it `has` been given, `value` stands without it; `since`: another one does."""

    has: str | None
    value: str | None
    since: bool = False


def dues(there: Sequence[Kept], one: Kept) -> dict[tuple[str, str], Due]:
    """What is due by (specimen, column) once `one` is undone: what those givings say that were not undone.

    That is what `one` found there; but where a giving that was undone had put that there, what this one found, and so
    on. By values, not by a replay: a specimen may have been removed in between, and have come back with other labels.

    Args:
        there: all givings and undoes, first to last.
        one: of them, the giving to be undone.
    """
    undone = {other.undoes for other in there} | {one.number}
    found = {key: Due(new, old) for key, (old, new) in _by_label(one).items()}
    settled: set[tuple[str, str]] = set()
    for other in reversed(there):
        stands = other.number not in undone
        if other.undoes is not None or other is one:
            continue
        for key, (old, new) in _by_label(other).items():
            due = found.get(key)
            if due is None:
                continue
            if other.number > one.number:
                due.since = due.since or stands
            elif key not in settled and due.value == new:
                if stands:
                    settled.add(key)
                else:
                    due.value = old
    return found


def _by_label(one: Kept) -> dict[tuple[str, str], tuple[str | None, str | None]]:
    """(specimen, column) → the label before and after; two paths of a specimen may have been told in turn."""
    found: dict[tuple[str, str], tuple[str | None, str | None]] = {}
    for (column, old, new), specimens in one.changes.items():
        for specimen in specimens:
            found[specimen, column] = found.get((specimen, column), (old, new))[0], new
    return found


def _to_undo(there: Sequence[Kept], number: int | None) -> Kept:
    undone = {one.undoes: one.number for one in there if one.undoes is not None}
    if number is None:
        held = [one for one in there if one.undoes is None and one.number not in undone]
        if not held:
            raise UsageError("there are no labels to take back: the journal keeps those that `add --labels` replaced")
        return held[-1]
    one = _numbered(there, number)
    if one.undoes is not None:
        raise UsageError(f"number {number} is an undo itself: give the labels again instead, with `add --labels`")
    if number in undone:
        raise UsageError(f"number {number} was undone by number {undone[number]}")
    return one


def _numbered(there: Sequence[Kept], number: int) -> Kept:
    found = next((one for one in there if one.number == number), None)
    if found is None:
        known = f"there are 1 to {there[-1].number}" if there else "there are none yet"
        raise UsageError(f"the journal keeps no labels under number {number}; {known}")
    return found


def _entries(there: Sequence[Kept]) -> tuple[Relabelling, ...]:
    undone = {one.undoes for one in there}

    def many(one: Kept, which: Callable[[Change], bool]) -> int:
        return sum(len(specimens) for change, specimens in one.changes.items() if which(change))

    return tuple(
        Relabelling(
            one.number, one.time, one.how, one.undoes, one.number in undone,
            given=many(one, lambda change: change[1] is None),
            changed=many(one, lambda change: None not in change),
            taken=many(one, lambda change: change[2] is None),
            specimens=len({specimen for specimens in one.changes.values() for specimen in specimens}),
        )
        for one in there
    )  # fmt: skip


def _alike(index: Host, changes: Mapping[Change, Sequence[str]]) -> tuple[LabelChange, ...]:
    """The changes, from frequent to rare, each with the path of one of its specimens."""
    ordered = sorted(changes.items(), key=lambda one: -len(one[1]))
    shown = _places(index, (specimens[0] for _, specimens in ordered))
    return tuple(LabelChange(*change, len(specimens), shown.get(specimens[0])) for change, specimens in ordered)


def _places(index: Host, ids: Iterable[str]) -> dict[str, str | None]:
    found: dict[str, Specimen] = {}
    for some in batches(list(dict.fromkeys(ids)), _BATCH):
        found |= index.collection.get(some)
    return {specimen.id: place(index.roots, specimen) for specimen in found.values()}
