"""Clusters as people look at them: by id or name, in a list, one with its members, one through time."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from morphoindex.errors import UsageError
from morphoindex.indexer.clusters.grouping import retention
from morphoindex.indexer.descriptions.labels import telling
from morphoindex.indexer.holdings.chronicle import became, life
from morphoindex.indexer.holdings.history import History, read_history
from morphoindex.indexer.host import Host, place
from morphoindex.indexer.identity.decisions import Merge, standing
from morphoindex.indexer.repeats.encounters import any_times, encounters_by_specimen, refresh
from morphoindex.indexer.results.common import ClusterDetail, ClusterHistory, ClusterList, ClusterSummary, Member
from morphoindex.indexer.specimen import cluster_id
from morphoindex.indexer.storage.filters import Compare
from morphoindex.indexer.tables.views import described_clusters
from morphoindex.indexer.words import listed


class Desk(Host, Protocol):
    """An open index, at which people decide."""


@dataclass(frozen=True)
class Register:
    """The clusters that an index knows, to be found by what a person calls them.

    Attributes:
        history: of the clusters.
        known: all ids that were ever given.
        present: those with members now.
    """

    history: History
    known: frozenset[str]
    present: frozenset[str]

    @classmethod
    def of(cls, index: Desk) -> Register:
        """The register of an index as it is now."""
        there = index.collection.catalog.query("SELECT DISTINCT cluster FROM specimen WHERE cluster IS NOT NULL")
        history = read_history(index.journal)
        present = frozenset(row[0] for row in there.rows)
        return cls(history, history.used | present, present)

    def find(self, text: str) -> str:
        """The id of a cluster, given as "C0003", "c3" or by its name.

        Raises:
            UsageError: there is none, or several of that name.
        """
        cluster = cluster_id(text)
        if cluster in self.known:
            return cluster
        names = self.history.rulings.names
        named = sorted(cluster for cluster, name in names.items() if name.casefold() == text.strip().casefold())
        if len(named) > 1:
            raise UsageError(f"{listed(named)} have the name {text!r}: give the id")
        if named:
            return named[0]
        near = self._near(text, int(cluster[1:]) if cluster else None)
        hint = f"near it are {', '.join(near)}; " if near else ""
        raise UsageError(f"there is no cluster {text!r}: {hint}`morphoindex clusters list` shows those there are")

    def means(self, text: str, or_specimen: bool) -> str | None:
        """The cluster that is meant where specimens may be, too, by id or name; else None.

        Args:
            text: what a person wrote.
            or_specimen: a specimen has an id that begins so: only "C0003" in full is the cluster then, not "c0003".
        """
        named = {name.casefold() for name in self.history.rulings.names.values()}
        known = text in self.known if or_specimen else cluster_id(text) in self.known
        return self.find_present(text) if known or text.strip().casefold() in named else None

    def find_present(self, text: str) -> str:
        """The id of a cluster that is not another name for one; see `find`.

        Raises:
            UsageError: there is none, or it was merged away; the message says into what.
        """
        cluster = self.find(text)
        stands = self.history.rulings
        into = stands.resolve(cluster)
        if into == cluster:
            return cluster
        if cluster in stands.withdrawn:
            raise UsageError(f"{cluster} was split off a cluster, and the split was undone: its members are in {into}")
        by = next(
            one.number
            for one in reversed(standing(self.history.decisions))
            if isinstance(one.decision, Merge) and cluster in one.decision.clusters
        )
        raise UsageError(
            f"{cluster} was merged into {into} by decision {by}: name that one, or take the merge back with "
            f"`morphoindex clusters undo {by}`"
        )

    def _near(self, text: str, number: int | None) -> list[str]:
        """A few ids or names that may have been meant, those of clusters with members first."""
        absent = sorted(self.known - self.present)
        if number is not None:
            away = {cluster: abs(int(cluster.lstrip("C") or 0) - number) for cluster in self.known}
            return sorted(self.known, key=lambda c: (c not in self.present, away[c], c))[:3]
        names = self.history.rulings.names
        found: list[str] = []
        for some in (sorted(self.present), absent):
            written = {word.casefold(): word for word in (*some, *(names[c] for c in some if c in names))}
            found += [written[word] for word in difflib.get_close_matches(text.casefold(), written, 3)]
        return found[:3]


def list_clusters(index: Desk, everything: bool) -> ClusterList:
    """See `Clusters.list`."""
    history, catalog = read_history(index.journal), index.collection.catalog
    column, timed = telling(index.labels), any_times(index)
    refresh(index)
    found = catalog.query(described_clusters(column))
    rows = [
        ClusterSummary(
            cluster, name, size, verified, label, float(share) if label else 0.0, since, "present", None, {},
            encounters if timed else None,
        )
        for cluster, name, size, verified, label, share, since, encounters in found.rows
    ]  # fmt: skip
    verified, kept = retention(index.collection, history.rulings)
    specimens = catalog.specimens()
    return ClusterList(
        clusters=(*rows, *_absent(index, history, {row.id for row in rows}, everything)),
        label=column,
        specimens=specimens,
        noise=specimens - sum(row.size for row in rows),
        verified=verified,
        retention=kept / verified if verified else 1.0,
    )


def show_cluster(index: Desk, text: str) -> ClusterDetail:
    """See `Clusters.show`."""
    register = Register.of(index)
    history, cluster = register.history, register.find_present(text)
    where = Compare("cluster", "=", cluster)
    loaded = index.collection.load(where)
    matrix = loaded.matrix.astype(np.float64)
    medoid = int(np.argmax(matrix @ matrix.sum(axis=0))) if len(matrix) else None
    of = encounters_by_specimen(index)
    similarity = (matrix @ matrix[medoid]).clip(-1, 1) if medoid is not None else np.empty(0)
    cosines = dict(zip((one.id for one in loaded.specimens), similarity.tolist(), strict=True))
    there = [one for some in index.collection.scroll(where) for one in some]
    brought = {one.id for one in there if history.rulings.brought(one.id, one.run_cluster)}
    members = [
        Member(
            one.id,
            place(index.roots, one),
            history.rulings.pins.get(one.id) == cluster,
            one.probability,
            round(cosines[one.id], 6) if one.id in cosines else None,
            dict(one.labels),
            of.get(one.id),
        )
        for one in there
    ]
    members.sort(key=lambda m: (m.id in brought, not m.verified, -(m.probability or 0.0), -(m.similarity or 0.0), m.id))
    column = telling(index.labels)
    counts = Counter(m.labels[column] for m in members if column and column in m.labels)
    label = min(counts, key=lambda value: (-counts[value], value)) if counts else None
    since = index.collection.catalog.query("SELECT since FROM lineage WHERE cluster = ?", cluster).rows
    return ClusterDetail(
        id=cluster,
        name=history.rulings.names.get(cluster),
        size=len(members),
        verified=sum(m.verified for m in members),
        since=since[0][0] if since else None,
        label=label,
        share=counts[label] / len(members) if label else 0.0,
        medoid=loaded.specimens[medoid].id if medoid is not None else None,
        least_similarity=round(float(similarity.min()), 6) if len(similarity) else None,
        mean_similarity=round(float(similarity.mean()), 6) if len(similarity) else None,
        members=tuple(members),
        encounters=len({m.encounter for m in members if m.encounter}) if of else None,
    )


def cluster_history(index: Desk, text: str) -> ClusterHistory:
    """See `Clusters.history`."""
    register = Register.of(index)
    history, cluster = register.history, register.find(text)
    size = index.collection.catalog.query("SELECT count(*) FROM specimen WHERE cluster = ?", cluster).rows[0][0]
    row = _summary(history, cluster, {}, {}) if size else _absent_one(index, history, cluster)
    state = "present" if size else row.state
    return ClusterHistory(cluster, row.name, size, state, row.merged_into, row.became, life(history, cluster))


def _absent(index: Desk, history: History, present: Collection[str], everything: bool) -> list[ClusterSummary]:
    """The ids without members: those that a person named or put specimens in, or all."""
    stands = history.rulings
    kept = {*stands.names, *stands.pins.values()}
    ids = sorted(history.used - set(present) if everything else kept - set(present))
    if not ids:
        return []
    since = dict(index.collection.catalog.query("SELECT cluster, since FROM lineage").rows)
    ends = became(history, index.collection.catalog.standings())
    rows = [_summary(history, cluster, since, ends) for cluster in ids]
    return sorted(rows, key=lambda row: (row.state, row.id))


def _absent_one(index: Desk, history: History, cluster: str) -> ClusterSummary:
    return _summary(history, cluster, {}, became(history, index.collection.catalog.standings()))


def _summary(
    history: History, cluster: str, since: dict[str, str | None], ends: dict[str, dict[str, int]]
) -> ClusterSummary:
    into = history.rulings.same.get(cluster)
    return ClusterSummary(
        id=cluster,
        name=history.rulings.names.get(cluster),
        size=0,
        verified=0,
        label=None,
        share=0.0,
        since=since.get(cluster),
        state="withdrawn" if cluster in history.rulings.withdrawn else "merged" if into else "dormant",
        merged_into=into,
        became=ends.get(cluster, {}),
    )
