"""The journal read as a history of clusters: runs, decisions, what stands of them, and the store brought to that."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from morphoindex.errors import IndexDamaged
from morphoindex.indexer.holdings.collection import Collection
from morphoindex.indexer.holdings.journal import Journal
from morphoindex.indexer.identity.decisions import (
    Apart,
    Decision,
    Distinct,
    Merge,
    Move,
    Name,
    Numbered,
    Rulings,
    Split,
    Tag,
    Undo,
    Verify,
    concerned,
    made,
    mentions,
    rulings,
)
from morphoindex.indexer.identity.events import Event
from morphoindex.indexer.specimen import Specimen, grouped_value, run_cluster

RUN = "cluster"
DECISION = "decision"
REMOVAL = "remove"
KINDS: dict[str, type[Any]] = {
    "name": Name, "merge": Merge, "split": Split, "move": Move, "verify": Verify, "apart": Apart,
    "distinct": Distinct, "duplicates": Tag, "undo": Undo,
}  # fmt: skip
"""Decisions by the word that stands for them in the journal."""
_LINES = {RUN: "clustering run", DECISION: "decision", REMOVAL: "removal"}
Rows = dict[str, list[tuple[Any, ...]]]


@dataclass(frozen=True)
class Run:
    """A clustering run of the journal.

    Attributes:
        number: from 1.
        time: ISO 8601 UTC.
        method, parameters: how.
        specimens, clusters, noise: how many.
        new, returned: ids that had no members at the level of runs before it.
        ended: ids that have none after it → their last members; version 0.1 did not write these down.
        events: what it did to the clusters as people see them.
        removed: id → members that were taken out of the index since the run before, in the order of their going.
    """

    number: int
    time: str
    method: str
    parameters: Mapping[str, Any]
    specimens: int
    clusters: int
    noise: int
    new: tuple[str, ...]
    returned: tuple[str, ...]
    ended: Mapping[str, tuple[str, ...]]
    events: tuple[Event, ...]
    removed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Unsettled:
    """A specimen that is in `cluster` and is due another membership: (`Specimen.cluster`, `Specimen.grouped`)."""

    specimen: str
    cluster: str | None
    due: tuple[str | None, str | None]


@dataclass(frozen=True)
class History:
    """Everything that happened to the clusters, first to last.

    Attributes:
        runs, decisions: by number.
        removed: as of a run, since the last one.
    """

    runs: tuple[Run, ...]
    decisions: tuple[Numbered, ...]
    removed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @cached_property
    def rulings(self) -> Rulings:
        """What stands of the decisions."""
        return rulings(self.decisions)

    @cached_property
    def used(self) -> frozenset[str]:
        """All ids that were ever given."""
        return frozenset(made(self.decisions).union(*(run.new for run in self.runs)))

    @cached_property
    def ends(self) -> dict[str, list[tuple[str, ...]]]:
        """Id → its members each time it was left without any, the last time last, for ends where these are known.

        Members that were taken out of the index count among them, and those of a cluster that has others still are
        here too: whoever asks knows which clusters have members.
        """
        found: dict[str, dict[tuple[str, ...], None]] = {}
        gone: dict[str, set[str]] = defaultdict(set)

        def note(cluster: str, members: set[str]) -> None:
            of = found.setdefault(cluster, {})
            of.pop(end := tuple(sorted(members)), None)
            of[end] = None

        for removed, ended in [*((run.removed, run.ended) for run in self.runs), (self.removed, {})]:
            for cluster, members in removed.items():
                gone[cluster].update(members)
            for cluster, members in ended.items():
                if whole := gone.pop(cluster, set()).union(members):
                    note(cluster, whole)
        for cluster, left in gone.items():
            note(cluster, left)
        return {cluster: list(of) for cluster, of in found.items()}

    def next(self, decision: Decision) -> Numbered:
        """A decision under the next number."""
        return Numbered(max((one.number for one in self.decisions), default=0) + 1, decision)

    def plus(self, one: Numbered) -> History:
        """The same with one more decision."""
        return replace(self, decisions=(*self.decisions, one))

    def alive(self) -> set[str]:
        """Ids that had members at the level of runs when the last run was done."""
        ids: set[str] = set()
        for run in self.runs:
            ids = ids.union(run.new, run.returned).difference(run.ended)
        return ids

    def rows(self, runs: int = 0, decisions: int = 0) -> Rows:
        """What the catalog keeps of it, but for so many runs and decisions, which it has."""
        later = self.runs[runs:]
        told = [(run, event) for run in later for event in run.events]
        return {
            "run": [
                (r.time, r.method, json.dumps(r.parameters), r.specimens, r.clusters, r.noise, r.number) for r in later
            ],
            "event": [
                (r.number, r.time, e.kind, e.cluster, e.size, e.gained, e.lost, ", ".join(e.others)) for r, e in told
            ],
            "decision": [_decision_row(one) for one in self.decisions[decisions:]],
            "lineage": self._lineage(),
            "curated": sorted(self.rulings.pins.items()),
        }

    def _lineage(self) -> list[tuple[Any, ...]]:
        """For each id: name, since when and from which run it is there, and what it was merged into."""
        first: dict[str, tuple[str, int | None]] = {}
        for one in self.decisions:
            first.update((part, (one.time, None)) for part in made([one]))
        for run in self.runs:
            first.update((cluster, (run.time, run.number)) for cluster in run.new)
        stands = self.rulings
        return [(cluster, stands.names.get(cluster), *first[cluster], stands.same.get(cluster)) for cluster in first]


def read_history(journal: Journal) -> History:
    """The history that the journal holds.

    Raises:
        IndexDamaged: a line is not what it should be.
    """
    runs: list[Run] = []
    decisions: list[Numbered] = []
    removed: dict[str, list[str]] = defaultdict(list)
    for line in journal.read():
        try:
            if line["event"] == RUN:
                runs.append(_run(line, len(runs) + 1, _tuples(removed)))
                removed.clear()
            elif line["event"] == DECISION:
                decisions.append(_numbered(line))
            elif line["event"] == REMOVAL:
                for cluster, members in line["members"].items():
                    removed[cluster] += members
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            what = _LINES[line["event"]]
            raise IndexDamaged(
                f"a {what} in the journal cannot be read ({type(error).__name__}: {error}): restore it from a backup"
            ) from error
    return History(tuple(runs), tuple(decisions), _tuples(removed))


def append_removal(journal: Journal, specimens: Iterable[Specimen]) -> None:
    """Write down which clusters of runs these specimens leave with the index, so that who comes back finds its own."""
    members: dict[str, list[str]] = defaultdict(list)
    for one in specimens:
        if cluster := run_cluster(one.cluster, one.grouped):
            members[cluster].append(one.id)
    if members:
        journal.append(REMOVAL, {"members": members})


def append_decision(journal: Journal, one: Numbered) -> None:
    """Write a decision down; when this returns it is on the disk."""
    frame = {"number": one.number, "decision": word_for(one.decision)}
    journal.append(DECISION, {**frame, **vars(one.decision), **({"went": one.went} if one.went else {})})


def word_for(decision: Decision) -> str:
    """The word of `KINDS` for a decision."""
    return next(word for word, kind in KINDS.items() if isinstance(decision, kind))


def event_line(event: Event) -> dict[str, Any]:
    """An event as it stands in the journal, without what is empty."""
    return {key: value for key, value in vars(event).items() if value or key == "size"}


def unsettled(collection: Collection, history: History) -> list[Unsettled]:
    """The memberships that are not what the decisions say."""
    stands = history.rulings
    found = []
    for specimen, cluster, grouped in collection.catalog.memberships(stands.pins, stands.same):
        run = run_cluster(cluster, grouped)
        final = stands.cluster_of(specimen, run)
        value = grouped_value(final, run)
        if (final, value) != (cluster, grouped):
            found.append(Unsettled(specimen, cluster, (final, value)))
    return found


def untagged(collection: Collection, history: History) -> dict[str | None, list[str]]:
    """`Specimen.duplicate_of` where it is not what the decisions say: what is due → ids.

    A specimen whose better one is no longer in the index is due no tag: it is all that is left.
    """
    has, stands = collection.catalog.tags(), history.rulings.duplicate_of
    there = collection.catalog.known(list({*stands, *stands.values()})) if stands else set()
    due = {specimen: kept for specimen, kept in stands.items() if specimen in there and kept in there}
    changes: dict[str | None, list[str]] = defaultdict(list)
    for specimen in sorted(has.keys() | due.keys()):
        if has.get(specimen) != due.get(specimen):
            changes[due.get(specimen)].append(specimen)
    return changes


def settle(collection: Collection, history: History) -> None:
    """Bring memberships and tags in the store to what the decisions say.

    Follows from what the store has and from the journal alone, so it can be cut off and repeated at any time.
    """
    changes: dict[tuple[str | None, str | None], list[str]] = defaultdict(list)
    for one in unsettled(collection, history):
        changes[one.due].append(one.specimen)
    collection.assign(changes)
    collection.tag(untagged(collection, history))


def hold(collection: Collection, journal: Journal, one: Numbered) -> None:
    """Write a decision down, and bring the store and the catalog to it."""
    append_decision(journal, one)
    written = read_history(journal)
    settle(collection, written)
    take_in(collection, written)


def take_in(collection: Collection, history: History) -> None:
    """Let the catalog have what it has not seen of the history."""
    catalog = collection.catalog
    runs, decisions = catalog.runs_seen(), catalog.decisions_seen()
    if (runs, decisions) == (len(history.runs), len(history.decisions)):
        return
    if runs > len(history.runs) or decisions > len(history.decisions):
        catalog.forget_history()
        runs = decisions = 0
    catalog.put_history(history.rows(runs, decisions), len(history.runs), len(history.decisions))


def _run(line: Mapping[str, Any], number: int, removed: Mapping[str, tuple[str, ...]]) -> Run:
    told = line.get("events")
    new, ended = tuple(line["new"]), line["ended"]
    if told is None:  # of version 0.1, which told of no more than which ids began and ended
        events = [Event("new", cluster, 0) for cluster in new] + [Event("ended", cluster, 0) for cluster in ended]
        ended = dict.fromkeys(ended, ())
    else:
        events = [Event(**event) for event in told]
    return Run(
        number=number,
        time=str(line["time"]),
        method=str(line["method"]),
        parameters=dict(line["parameters"]),
        specimens=int(line["specimens"]),
        clusters=int(line["clusters"]),
        noise=int(line["noise"]),
        new=new,
        returned=tuple(line.get("returned", ())),
        ended=_tuples(ended),
        events=tuple(events),
        removed=removed,
    )


def _numbered(line: Mapping[str, Any]) -> Numbered:
    frame = ("event", "time", "number", "went", "decision")
    content = {key: _frozen(value) for key, value in line.items() if key not in frame}
    return Numbered(int(line["number"]), KINDS[line["decision"]](**content), str(line["time"]), line.get("went", {}))


def _tuples(lists: Mapping[str, Iterable[str]]) -> dict[str, tuple[str, ...]]:
    return {key: tuple(members) for key, members in lists.items()}


def _frozen(value: Any) -> Any:
    if isinstance(value, dict):
        return _tuples(value)
    return tuple(value) if isinstance(value, list) else value


def _decision_row(one: Numbered) -> tuple[Any, ...]:
    decision = one.decision
    name = decision.name if isinstance(decision, Name) else None
    undoes = decision.of if isinstance(decision, Undo) else None
    clusters = ", ".join(sorted(mentions(decision)))
    return one.number, one.time, word_for(decision), clusters, name, concerned(decision), undoes
