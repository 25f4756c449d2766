"""From the neighbour graph to the labels of one run, and a second look at them by other means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray

from morphoindex.errors import UsageError
from morphoindex.indexer.clustering.labels import NOISE, Selection
from morphoindex.indexer.holdings.graph import Neighbours
from morphoindex.indexer.results.common import SweepResult, Verification

if TYPE_CHECKING:
    from morphoindex.indexer.clustering.dendrogram import Dendrogram
    from morphoindex.indexer.clustering.forest import ClusterForest
    from morphoindex.indexer.clustering.neighbours import Lists

Method = Literal["hdbscan", "cosine", "community"]
Linkage = Literal["single", "complete", "average"]
METHODS: tuple[Method, ...] = get_args(Method)
BRUTE_FORCE = 8192
"""Specimens up to which a run is verified by brute force: their distances take half a gigabyte, and some seconds."""


@dataclass(frozen=True)
class Parameters:
    """How to cluster. Without a method: by cosine where a threshold is given, else HDBSCAN*."""

    threshold: float | None = None
    min_cluster_size: int = 5
    min_samples: int = 5
    selection: Selection = "eom"
    linkage: Linkage = "single"
    neighbours: Neighbours = "auto"
    chosen: Method | None = None

    def __post_init__(self) -> None:
        if self.chosen is not None:
            _one_of("method", self.chosen, METHODS)
        if self.method == "cosine" and self.threshold is None:
            raise UsageError("method 'cosine' needs a threshold between -1 and 1, such as 0.8")
        if self.method != "cosine" and self.threshold is not None:
            raise UsageError(f"a threshold is for method 'cosine', not for {self.method!r}")
        if self.threshold is not None and not -1 <= self.threshold <= 1:
            raise UsageError(f"threshold {self.threshold:g}: a cosine lies between -1 and 1; 0.8 is a common choice")
        if self.min_cluster_size < 2:
            raise UsageError(f"min_cluster_size {self.min_cluster_size}: at least 2")
        if self.min_samples < 1:
            raise UsageError(f"min_samples {self.min_samples}: at least 1")
        _one_of("selection", self.selection, ("eom", "leaf"))
        _one_of("linkage", self.linkage, ("single", "complete", "average"))
        _one_of("neighbours", self.neighbours, ("auto", "exact", "approximate"))
        if self.linkage != "single" and self.threshold is None:
            raise UsageError(f"linkage {self.linkage!r} is for clusters at a threshold: give one, such as 0.8")

    @classmethod
    def of_run(cls, method: str, used: Mapping[str, Any]) -> Parameters:
        """Those of a former run, from its method and what `used` gave then."""
        known = {name: value for name, value in used.items() if name in cls.__dataclass_fields__}
        return cls(**known, chosen=cast("Method", method))

    @property
    def method(self) -> Method:
        """The method's name."""
        return self.chosen or ("hdbscan" if self.threshold is None else "cosine")

    @property
    def k(self) -> int:
        """Which tree it takes: the k of its core distances, 0 for plain distances or none."""
        return self.min_samples if self.method == "hdbscan" else 0

    def used(self) -> dict[str, Any]:
        """Those that the method uses."""
        if self.method == "cosine":
            return {"threshold": self.threshold, "linkage": self.linkage}
        if self.method == "community":
            return {}
        return {
            "min_cluster_size": self.min_cluster_size, "min_samples": self.min_samples, "selection": self.selection,
        }  # fmt: skip


def label(forest: ClusterForest, parameters: Parameters) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Labels int64 [n], -1 for noise, and probabilities of membership float64 [n], in the order of the forest's keys.

    Raises:
        UsageError: the linkage cannot divide clusters as large as these.
    """
    if not len(forest):
        return np.empty(0, np.int64), np.empty(0)
    if parameters.method == "community":
        return _communities(forest)
    return _labels_of(forest.dendrogram(parameters.k), forest, parameters)


def sweep(forest: ClusterForest, thresholds: Sequence[float]) -> SweepResult:
    """What cosine clusters at several thresholds would come to. O(n + t log n) for t of them.

    Raises:
        UsageError: one is not a cosine.
    """
    from morphoindex.indexer.clustering.cutting import sweep as steps_of

    for threshold in thresholds:
        Parameters(threshold)
    return SweepResult(
        specimens=len(forest),
        steps=steps_of(forest.dendrogram(), thresholds) if len(forest) else (),
        neighbours=words_for(forest),
        recall=round(forest.recall(), 4),
    )


def words_for(forest: ClusterForest) -> str:
    """What its neighbours are: "exact" or "approximate"."""
    return "approximate" if forest.approximate else "exact"


def verify(forest: ClusterForest, parameters: Parameters, labels: NDArray[np.int64]) -> Verification:
    """Look at labels, int64 [n], again by other means: see docs/clustering.md. O(n² d).

    Communities are worked out a second time, from neighbours that are found anew by brute force.
    """
    from morphoindex.indexer.clustering.dendrogram import dendrogram
    from morphoindex.indexer.clustering.verification import brute_force, shortcuts, unlike

    n, k = len(forest), parameters.k
    if parameters.method == "community":
        again = _communities(forest, _neighbours_afresh(forest))[0] if n else labels
        wrong = unlike(labels, again)
        return Verification(not len(wrong), "from neighbours found anew", tuple(forest.keys[i] for i in wrong.tolist()))
    if n <= BRUTE_FORCE:
        how = "by brute force"
        wrong = np.empty(0, np.intp)
        if n:
            tree = brute_force(forest.vectors, forest.ids, k)
            wrong = unlike(labels, _labels_of(dendrogram(tree.a, tree.b, tree.weight), forest, parameters)[0])
    else:
        how = "by every pair of specimens"
        kept = forest.tree(k)
        again = _labels_of(dendrogram(kept.a, kept.b, kept.weight), forest, parameters)[0]
        wrong = np.union1d(shortcuts(kept, forest.vectors, forest.core(k), k), unlike(labels, again))
    keys = forest.keys
    return Verification(not len(wrong), how, tuple(keys[i] for i in wrong.tolist()))


def by_key(forest: ClusterForest) -> NDArray[np.int64]:
    """The rows of the forest in the order of their keys, int64 [n]: the order of arrival does not show in it."""
    return np.argsort(np.array([key.encode() for key in forest.keys], np.bytes_), kind="stable")


def _labels_of(
    merges: Dendrogram, forest: ClusterForest, parameters: Parameters
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    from morphoindex.indexer.clustering.condensed import density_clusters
    from morphoindex.indexer.clustering.cutting import cut
    from morphoindex.indexer.clustering.linkage import subdivide

    if parameters.threshold is None:
        found = density_clusters(merges, parameters.min_cluster_size, parameters.selection)
        return found.labels, found.probabilities
    labels = cut(merges, parameters.threshold)
    if parameters.linkage != "single":
        keys = np.array([key.encode() for key in forest.keys])
        labels = subdivide(forest.vectors, labels, keys, parameters.threshold, parameters.linkage)
    return labels, (labels != NOISE).astype(np.float64)


def _communities(forest: ClusterForest, lists: Lists | None = None) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Labels int64 [n] and confidences float64 [n], by the neighbours that the forest keeps or by others."""
    from morphoindex.indexer.clustering.communities import NEIGHBOURS, communities

    found = communities(forest.vectors, lists or forest.nearest(NEIGHBOURS), by_key(forest))
    return found.labels, found.confidence


def _neighbours_afresh(forest: ClusterForest) -> Lists:
    """Neighbours of the same vectors, as they are, found at once and exactly."""
    from morphoindex.indexer.clustering.forest import ClusterForest

    other = ClusterForest((), unit=False)
    other.add(forest.keys, forest.vectors)
    return other.neighbours


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise UsageError(f"{name} {value!r}: {', '.join(allowed[:-1])} or {allowed[-1]}")
