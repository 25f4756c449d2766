"""A clustering run: vectors to memberships, matched to former clusters, written such that no crash halves it."""

from __future__ import annotations

import json
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from morphoindex.errors import IndexDamaged
from morphoindex.indexer.clustering.labels import NOISE
from morphoindex.indexer.clusters.labelling import Parameters, label, verify, words_for
from morphoindex.indexer.holdings.collection import Collection
from morphoindex.indexer.holdings.history import RUN, History, event_line, read_history, take_in
from morphoindex.indexer.holdings.journal import Journal
from morphoindex.indexer.identity.decisions import Rulings
from morphoindex.indexer.identity.events import Event, events_of
from morphoindex.indexer.identity.lineage import Before, regroup
from morphoindex.indexer.results.common import Cluster, ClusterResult
from morphoindex.indexer.settings import write_whole
from morphoindex.indexer.specimen import Membership, grouped_value

if TYPE_CHECKING:
    from morphoindex.indexer.clustering.forest import ClusterForest

_PENDING = "clustering.pending"
EXAMPLES = 5
SURE = 0.5
"""The probability of membership below which a specimen of a community is called unsure."""


@dataclass(frozen=True)
class Regrouping:
    """What a run comes to.

    Attributes:
        grouped: [n] cluster of each specimen as the run says; members: [n] after people's decisions. None for noise.
        new, returned, ended: as in `history.Run`.
        events: what happened to the clusters as people see them.
    """

    grouped: tuple[str | None, ...]
    members: tuple[str | None, ...]
    new: tuple[str, ...]
    returned: tuple[str, ...]
    ended: Mapping[str, tuple[str, ...]]
    events: tuple[Event, ...]


@dataclass(frozen=True)
class Labelled:
    """What the vectors say of all specimens, those without a vector of the encoder last: they are noise.

    Attributes:
        standings: [n], where they stood before.
        matrix: float32 [n, d], unit length; zero where there is none.
        labels: int64 [n], -1 for noise.
        probabilities: float64 [n], of membership.
    """

    standings: Sequence[Membership]
    matrix: NDArray[np.float32]
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float64]


def cluster(
    collection: Collection,
    journal: Journal,
    folder: Path,
    forest: ClusterForest,
    parameters: Parameters,
    again: bool = False,
    dry_run: bool = False,
    encounters: Mapping[str, str] | None = None,
) -> ClusterResult:
    """Cluster everything, and write the memberships to the store, the journal and the catalog.

    Args:
        collection, journal, folder: of the index.
        forest: over all of its specimens.
        parameters: how to cluster.
        again: look at the labels again by other means.
        dry_run: write nothing.
        encounters: of specimens, by id, to be counted; none where nothing has a time.
    """
    start = time.perf_counter()
    history = read_history(journal)
    found = labelled(collection, forest, parameters)
    done = regrouping(found.standings, found.matrix, found.labels, history)
    sizes = Counter(member for member in done.members if member)
    run = {
        "run": len(history.runs) + 1, "method": parameters.method, "parameters": parameters.used(),
        "specimens": len(done.members), "clusters": len(sizes), "noise": done.members.count(None), "new": done.new,
        "returned": done.returned, "ended": done.ended, "events": [event_line(event) for event in done.events],
        "encoder": collection.store.vector_name,
    }  # fmt: skip
    if dry_run:
        member = {one.id: cluster for one, cluster in zip(found.standings, done.members, strict=True)}
        verified, kept = _in_place(member, history.rulings)
    else:
        _write_pending(folder, run, found.standings, done, found.probabilities)
        finish_run(collection, journal, folder)
        verified, kept = retention(collection, history.rulings)
    return ClusterResult(
        method=parameters.method,
        specimens=len(done.members),
        noise=done.members.count(None),
        clusters=_clusters(found, done.grouped, done.members, sizes, history.rulings, parameters, encounters or {}),
        lacking=len(found.standings) - len(forest) or None,
        events=done.events,
        verified=verified,
        retention=kept / verified if verified else 1.0,
        neighbours=words_for(forest),
        recall=round(forest.recall(), 4),
        verification=verify(forest, parameters, found.labels[: len(forest)]) if again else None,
        before={"method": history.runs[-1].method, **history.runs[-1].parameters} if history.runs else None,
        seconds=round(time.perf_counter() - start, 3),
        dry_run=dry_run,
        unsure=_unsure(found) if parameters.method == "community" else None,
        **parameters.used(),
    )


def labelled(collection: Collection, forest: ClusterForest, parameters: Parameters) -> Labelled:
    """All specimens with their labels.

    Args:
        collection: of the index.
        forest: over those that have a vector of the encoder.
        parameters: how to cluster.
    """
    labels, probabilities = label(forest, parameters)
    there = collection.catalog.standings()
    keys, matrix = forest.keys, forest.vectors
    lacking = sorted(there.keys() - set(keys))
    if lacking:
        keys = (*keys, *lacking)
        matrix = np.concatenate([matrix, np.zeros((len(lacking), matrix.shape[1]), np.float32)])
        labels = np.append(labels, np.full(len(lacking), NOISE))
        probabilities = np.append(probabilities, np.zeros(len(lacking)))
    return Labelled([there[key] for key in keys], matrix, labels, probabilities)


def regrouping(
    standings: Sequence[Membership], matrix: NDArray[np.float32], labels: NDArray[np.int64], history: History
) -> Regrouping:
    """What a run comes to.

    Args:
        standings: where n specimens stood before it.
        matrix: float32 [n, d], their vectors, unit length.
        labels: int64 [n], what the run found, -1 for noise.
        history: what became of clusters so far, and what people decided.
    """
    stands = history.rulings
    before = Before(
        ids=[one.id for one in standings],
        grouped=[one.run_cluster for one in standings],
        seen=np.array([one.probability is not None for one in standings], bool),
    )
    there = set(filter(None, before.grouped))
    dormant = {cluster: ends for cluster, ends in history.ends.items() if cluster not in there}
    found = regroup(before, labels, matrix, stands, dormant, history.used | there)
    former = [one.cluster for one in standings]
    members = tuple(stands.cluster_of(i, group) for i, group in zip(before.ids, found.grouped, strict=True))
    gone = sorted(history.alive() - there)  # all of their members were taken out of the index
    emptied = [c for c in gone if stands.resolve(c) == c and c not in {*former, *members}]
    return Regrouping(
        grouped=found.grouped,
        members=members,
        new=found.new,
        returned=found.returned,
        ended={**dict.fromkeys((c for c in gone if c not in found.returned), ()), **found.ended},
        events=events_of(former, members, before.seen.tolist(), history.used, emptied),
    )


def finish_run(collection: Collection, journal: Journal, folder: Path) -> bool:
    """Write out a run that was decided on; after a crash the next command comes by here. Says whether there was one."""
    path = folder / _PENDING
    try:
        pending = json.loads(path.read_text("utf-8"))
        clusters = {(cluster, grouped): ids for cluster, grouped, ids in pending["clusters"]}
        probabilities = dict(pending["probabilities"])
    except FileNotFoundError:
        return False
    except (OSError, ValueError, KeyError) as error:
        raise IndexDamaged(
            f"{path} cannot be read ({error}): remove it, and run `morphoindex cluster` again"
        ) from error
    collection.assign(clusters, probabilities)
    if len(read_history(journal).runs) < pending["run"]["run"]:
        journal.append(RUN, pending["run"])
    take_in(collection, read_history(journal))
    path.unlink()
    return True


def retention(collection: Collection, stands: Rulings) -> tuple[int, int]:
    """Verified members in the index, and how many of them the store has in the cluster a person put them in."""
    found = collection.get(list(stands.pins))
    return _in_place({one.id: one.cluster for one in found.values()}, stands)


def _in_place(clusters: Mapping[str, str | None], stands: Rulings) -> tuple[int, int]:
    there = stands.pins.keys() & clusters.keys()
    return len(there), sum(clusters[specimen] == stands.pins[specimen] for specimen in there)


def _unsure(found: Labelled) -> int:
    return int(((found.labels != NOISE) & (found.probabilities < SURE)).sum())


def _write_pending(
    folder: Path,
    run: Mapping[str, Any],
    standings: Sequence[Membership],
    done: Regrouping,
    probabilities: NDArray[np.float64],
) -> None:
    """Write down what is to be written of a run: for each value that differs its specimens."""
    clusters: dict[tuple[str | None, str | None], list[str]] = defaultdict(list)
    rounded: dict[float, list[str]] = defaultdict(list)
    for one, cluster, grouped in zip(standings, done.members, done.grouped, strict=True):
        value = grouped_value(cluster, grouped)
        if (one.cluster, one.grouped) != (cluster, value):
            clusters[cluster, value].append(one.id)
    for one, probability in zip(standings, probabilities.round(4).tolist(), strict=True):
        if one.probability != probability:
            rounded[probability].append(one.id)
    content = {
        "run": run,
        "clusters": [(*membership, ids) for membership, ids in clusters.items()],
        "probabilities": list(rounded.items()),
    }
    write_whole(folder / _PENDING, json.dumps(content).encode())


def _clusters(
    found: Labelled,
    grouped: Sequence[str | None],
    members: Sequence[str | None],
    sizes: Counter[str],
    stands: Rulings,
    parameters: Parameters,
    encounters: Mapping[str, str],
) -> tuple[Cluster, ...]:
    """The clusters, from large to small, each with the ids of its surest members, those that people put there last."""
    from morphoindex.indexer.clustering.cohesion import least_similarities

    examples: dict[str, list[str]] = defaultdict(list)
    brought = [stands.brought(one.id, group) for one, group in zip(found.standings, grouped, strict=True)]
    for i in np.lexsort((-found.probabilities, np.array(brought, bool))).tolist():
        member = members[i]
        if member and len(examples[member]) < EXAMPLES:
            examples[member].append(found.standings[i].id)
    ordered = sorted(sizes, key=lambda cluster: (-sizes[cluster], cluster))
    number = {cluster: i for i, cluster in enumerate(ordered)}
    least: list[float | None] = [None] * len(ordered)
    if parameters.method == "cosine":
        labels = np.array([number[member] if member else NOISE for member in members], np.int64)
        labels[~found.matrix.any(axis=1)] = NOISE
        least = [round(value, 6) for value in least_similarities(found.matrix, labels).tolist()]
    there = {one.id for one in found.standings}
    verified = Counter(cluster for specimen, cluster in stands.pins.items() if specimen in there)
    seen: dict[str | None, set[str]] = defaultdict(set)
    for one, member in zip(found.standings, members, strict=True):
        if one.id in encounters:
            seen[member].add(encounters[one.id])
    return tuple(
        Cluster(
            cluster, sizes[cluster], tuple(examples[cluster]), stands.names.get(cluster), verified[cluster],
            least[number[cluster]], len(seen[cluster]) if encounters else None,
        )
        for cluster in ordered
    )  # fmt: skip
