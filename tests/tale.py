"""Clusters through time without an index: specimens, runs with given groups, decisions, all in memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from morphoindex.indexer.clusters.grouping import regrouping
from morphoindex.indexer.holdings.history import History, Run
from morphoindex.indexer.identity.decisions import Decision, Numbered, Undo
from morphoindex.indexer.identity.events import Event
from morphoindex.indexer.specimen import Membership, Specimen, grouped_value


class Tale:
    """What an index does to memberships. `run("abc", "de")` is a run that finds the clusters {a, b, c} and {d, e}."""

    def __init__(self) -> None:
        self.specimens: dict[str, Specimen] = {}
        self.vectors: dict[str, np.ndarray] = {}
        self.history = History((), ())

    def add(self, ids: Iterable[str], vector: Sequence[float] = (1.0, 0.0)) -> None:
        for one in ids:
            self.specimens[one] = Specimen(one)
            self.vectors[one] = np.asarray(vector, np.float32) / np.linalg.norm(vector)
        self._settle()

    def remove(self, ids: Iterable[str]) -> None:
        removed = dict(self.history.removed)
        for one in ids:
            if cluster := self.specimens.pop(one).run_cluster:
                removed[cluster] = (*removed.get(cluster, ()), one)
        self.history = replace(self.history, removed=removed)

    def run(self, *groups: Iterable[str]) -> tuple[Event, ...]:
        groups = tuple(set(group) for group in groups)
        self.add(one for group in groups for one in sorted(group) if one not in self.specimens)
        ids = list(self.specimens)
        labels = np.array([next((i for i, group in enumerate(groups) if one in group), -1) for one in ids], np.int64)
        matrix = np.array([self.vectors[one] for one in ids], np.float32)
        stood = [Membership(one.id, one.cluster, one.grouped, one.probability) for one in self.specimens.values()]
        done = regrouping(stood, matrix, labels, self.history)
        for one, cluster, grouped in zip(ids, done.members, done.grouped, strict=True):
            value = grouped_value(cluster, grouped)
            self.specimens[one] = self.specimens[one].changed(cluster=cluster, grouped=value, probability=1.0)
        number = len(self.history.runs) + 1
        removed = self.history.removed
        run = Run(number, "", "", {}, 0, 0, 0, done.new, done.returned, done.ended, done.events, removed)
        self.history = History((*self.history.runs, run), self.history.decisions)
        return done.events

    def decide(self, decision: Decision) -> int:
        number = len(self.history.decisions) + 1
        self.history = self.history.plus(Numbered(number, decision))
        self._settle()
        return number

    def undo(self, number: int) -> None:
        self.decide(Undo(number))

    def clusters(self, level: str = "cluster") -> dict[str, str]:
        """Cluster → its members in one word, in order; `level` "run_cluster" for what the last run said."""
        found: dict[str, str] = {}
        for one in sorted(self.specimens):
            cluster = getattr(self.specimens[one], level)
            if cluster:
                found[cluster] = found.get(cluster, "") + one
        return dict(sorted(found.items()))

    def of(self, cluster: str) -> str:
        """The members of a cluster in one word."""
        return self.clusters().get(cluster, "")

    def _settle(self) -> None:
        for one, specimen in self.specimens.items():
            cluster = self.history.rulings.cluster_of(one, specimen.run_cluster)
            value = grouped_value(cluster, specimen.run_cluster)
            self.specimens[one] = specimen.changed(cluster=cluster, grouped=value)


def told(events: Iterable[Event]) -> list[str]:
    """Events in a short form: `grew C0001 3 +1`, `split C0001 2 -1 C0002:1`."""
    words = []
    for one in events:
        parts = [one.kind, one.cluster, str(one.size)]
        parts += [f"+{one.gained}"] * bool(one.gained) + [f"-{one.lost}"] * bool(one.lost)
        words.append(" ".join([*parts, *(f"{other}:{n}" for other, n in one.others.items())]))
    return words
