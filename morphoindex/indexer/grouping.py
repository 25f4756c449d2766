"""A clustering run: vectors to memberships, matched to former clusters, written such that no crash halves it."""

from __future__ import annotations

import json
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from morphoindex.errors import IndexDamaged, UsageError
from morphoindex.indexer.clustering.labels import NOISE, Selection, density_labels, threshold_labels
from morphoindex.indexer.clustering.lineage import match, new_ids
from morphoindex.indexer.clustering.trees import spanning_tree
from morphoindex.indexer.collection import Collection, Vectors
from morphoindex.indexer.journal import Journal
from morphoindex.indexer.results import Cluster, ClusterResult
from morphoindex.indexer.settings import write_whole
from morphoindex.indexer.specimen import Specimen

_PENDING = "clustering.pending"
EXAMPLES = 5
EVENT = "cluster"


@dataclass(frozen=True)
class Parameters:
    """How to cluster: by cosine where a threshold is given, else HDBSCAN*."""

    threshold: float | None = None
    min_cluster_size: int = 5
    min_samples: int = 5
    selection: Selection = "eom"

    def __post_init__(self) -> None:
        if self.threshold is not None and not -1 <= self.threshold <= 1:
            raise UsageError(f"threshold {self.threshold:g}: a cosine lies between -1 and 1; 0.8 is a common choice")
        if self.min_cluster_size < 2:
            raise UsageError(f"min_cluster_size {self.min_cluster_size}: at least 2")
        if self.min_samples < 1:
            raise UsageError(f"min_samples {self.min_samples}: at least 1")
        if self.selection not in ("eom", "leaf"):
            raise UsageError(f"selection {self.selection!r}: eom or leaf")

    @property
    def method(self) -> str:
        """The method's name."""
        return "hdbscan" if self.threshold is None else "cosine"

    def used(self) -> dict[str, Any]:
        """Those that the method uses."""
        if self.threshold is not None:
            return {"threshold": self.threshold}
        return {
            "min_cluster_size": self.min_cluster_size, "min_samples": self.min_samples, "selection": self.selection,
        }  # fmt: skip


def cluster(collection: Collection, journal: Journal, folder: Path, parameters: Parameters) -> ClusterResult:
    """Cluster everything, and write the memberships to the store, the journal and the catalog."""
    start = time.perf_counter()
    vectors = collection.load()
    labels, probabilities = _label(vectors.matrix, parameters)
    before = [specimen.cluster for specimen in vectors.specimens]
    runs = runs_of(journal)
    names, fresh = _name(before, labels, runs)
    members = [names.get(label) for label in labels.tolist()]
    sizes = Counter(member for member in members if member)
    run = {
        "run": len(runs) + 1, "method": parameters.method, "parameters": parameters.used(), "specimens": len(members),
        "clusters": len(sizes), "noise": members.count(None), "new": fresh,
        "ended": sorted({former for former in before if former} - set(sizes)),
    }  # fmt: skip
    _write_pending(folder, run, _changes(vectors.specimens, members, probabilities))
    finish_run(collection, journal, folder)
    return ClusterResult(
        method=parameters.method,
        specimens=len(members),
        noise=members.count(None),
        clusters=_clusters(vectors, members, probabilities, sizes),
        seconds=round(time.perf_counter() - start, 3),
        **parameters.used(),
    )


def finish_run(collection: Collection, journal: Journal, folder: Path) -> bool:
    """Write out a run that was decided on; after a crash the next command comes by here. Says whether there was one."""
    path = folder / _PENDING
    try:
        pending = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return False
    except (OSError, ValueError) as error:
        raise IndexDamaged(
            f"{path} cannot be read ({error}): remove it, and run `morphoindex cluster` again"
        ) from error
    collection.assign({(cluster, probability): ids for cluster, probability, ids in pending["changes"]})
    runs = runs_of(journal)
    if len(runs) < pending["run"]["run"]:
        journal.append(EVENT, pending["run"])
        runs = runs_of(journal)
    collection.catalog.put_runs(runs)
    path.unlink()
    return True


def runs_of(journal: Journal) -> list[dict[str, Any]]:
    """The clustering runs of the journal, first to last."""
    return [line for line in journal.read() if line["event"] == EVENT]


def _label(matrix: NDArray[np.float32], parameters: Parameters) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    if not len(matrix):
        return np.empty(0, np.int64), np.empty(0)
    if parameters.threshold is None:
        tree = spanning_tree(matrix, parameters.min_samples)
        return density_labels(tree, parameters.min_cluster_size, parameters.selection)
    labels = threshold_labels(spanning_tree(matrix), parameters.threshold)
    return labels, (labels != NOISE).astype(np.float64)


def _name(
    before: Sequence[str | None], labels: NDArray[np.int64], runs: Sequence[Mapping[str, Any]]
) -> tuple[dict[int, str], list[str]]:
    """Label → permanent id; and the ids that are new."""
    names = match(before, labels)
    unnamed = [label for label in range(int(labels.max(initial=NOISE)) + 1) if label not in names]
    used = {name for run in runs for name in run["new"]} | {name for name in before if name}
    fresh = new_ids(used, len(unnamed))
    return {**names, **dict(zip(unnamed, fresh, strict=True))}, fresh


def _changes(
    specimens: Sequence[Specimen], members: Sequence[str | None], probabilities: NDArray[np.float64]
) -> list[tuple[str | None, float, list[str]]]:
    """The memberships that differ from those written: (cluster, probability, ids)."""
    changes: dict[tuple[str | None, float], list[str]] = defaultdict(list)
    for specimen, member, probability in zip(specimens, members, probabilities.round(4).tolist(), strict=True):
        if (specimen.cluster, specimen.probability) != (member, probability):
            changes[member, probability].append(specimen.id)
    return [(member, probability, ids) for (member, probability), ids in changes.items()]


def _write_pending(
    folder: Path, run: Mapping[str, Any], changes: Sequence[tuple[str | None, float, list[str]]]
) -> None:
    write_whole(folder / _PENDING, json.dumps({"run": run, "changes": changes}).encode())


def _clusters(
    vectors: Vectors, members: Sequence[str | None], probabilities: NDArray[np.float64], sizes: Counter[str]
) -> tuple[Cluster, ...]:
    """The clusters, from large to small, each with the ids of its surest members."""
    examples: dict[str, list[str]] = defaultdict(list)
    for i in np.argsort(-probabilities, kind="stable").tolist():
        member = members[i]
        if member and len(examples[member]) < EXAMPLES:
            examples[member].append(vectors.specimens[i].id)
    ordered = sorted(sizes.items(), key=lambda item: (-item[1], item[0]))
    return tuple(Cluster(name, size, tuple(examples[name])) for name, size in ordered)
