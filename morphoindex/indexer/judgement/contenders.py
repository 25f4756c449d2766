"""Several ways to cluster the vectors of an index, side by side: labels by the name of a method. Nothing is written.

Those of `cluster` take the kept graph; the others are scikit-learn's and scipy's, on the vectors in the order of the
specimens' ids and with fixed seeds, so that the order of arrival never shows. Where a method wants to be told what
nobody can know beforehand, a threshold or the number of clusters, several are tried, and the one with the greatest mean
silhouette is taken, in which what is left out counts 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from morphoindex.errors import UsageError
from morphoindex.indexer.clustering.labels import NOISE, renumber
from morphoindex.indexer.clusters.labelling import Parameters, by_key, label

if TYPE_CHECKING:
    from morphoindex.indexer.clustering.forest import ClusterForest

Labels = NDArray[np.int64]
THRESHOLDS = (*(round(0.05 * i, 2) for i in range(1, 20)), 0.975, 0.99)
"""Cosines that are tried where none is given."""
NUMBERS = (2, 3, 4, 6, 8, 11, 16, 23, 32, 45, 64, 91, 128, 181, 256, 362, 512, 724, 1024)
"""Numbers of clusters that are tried first, and then some beside the best."""
_BESIDE = 7
_LEAST = 3  # members a cluster has on average, at least
_JUDGED = 4_000  # specimens that the silhouette of what is tried is taken of
_TRIED, _FITTED = 10_000, 20_000  # specimens that k-means finds its centres on, while k is looked for and then
_STARTS = 3  # of which k-means keeps the best
_MIN_SAMPLES = 5  # of OPTICS


@dataclass(frozen=True)
class Found:
    """What a method gives.

    Attributes:
        labels: int64 [n], -1 for noise, in the order of the forest's keys.
        parameters: what it was told, and what it chose.
    """

    labels: Labels
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class Contender:
    """A method.

    Attributes:
        find: what gives its labels, from a forest and, for those of `cluster`, the parameters of a run by it.
        most: specimens up to which it is run, None where there is no limit; cost: why not beyond.
    """

    find: Callable[[ClusterForest, Parameters | None], Found]
    most: int | None = None
    cost: str = ""


def labels_by(method: str, forest: ClusterForest, run: Parameters | None = None) -> Found:
    """Cluster by a method.

    Args:
        method: one of `CONTENDERS`.
        forest: the neighbour graph of the index.
        run: parameters of a run by it, for the methods of `cluster`; by default those that `cluster` takes, and the
            best threshold of `THRESHOLDS`.

    Raises:
        UsageError: there is no such method, or the specimens are too many for it.
    """
    reason = too_many(method, len(forest))
    if reason:
        raise UsageError(f"{method} {reason}")
    return CONTENDERS[method].find(forest, run)


def too_many(method: str, specimens: int) -> str | None:
    """Why a method is not run on so many specimens; None where it is.

    Raises:
        UsageError: there is no such method.
    """
    if method not in CONTENDERS:
        raise UsageError(f"there is no method {method!r}; there are {', '.join(CONTENDERS)}")
    contender = CONTENDERS[method]
    if contender.most is None or specimens <= contender.most:
        return None
    return f"takes {contender.cost}: it is run up to {contender.most:,} specimens, and here are {specimens:,}"


def _by_density(forest: ClusterForest, run: Parameters | None) -> Found:
    return _kept(forest, run or Parameters())


def _by_cosine(forest: ClusterForest, run: Parameters | None) -> Found:
    if run is None:
        found = _best(forest, ((t, label(forest, Parameters(t))[0]) for t in THRESHOLDS))
        run = Parameters(found or THRESHOLDS[-1])
    return _kept(forest, run)


def _by_communities(forest: ClusterForest, run: Parameters | None) -> Found:
    return _kept(forest, run or Parameters(chosen="community"))


def _kept(forest: ClusterForest, run: Parameters) -> Found:
    return Found(label(forest, run)[0], run.used())


def _by_optics(forest: ClusterForest, run: Parameters | None) -> Found:
    """OPTICS (Ankerst et al. 1999) with scikit-learn's defaults; its min_samples counts the specimen itself."""
    import warnings

    from sklearn.cluster import OPTICS

    order = by_key(forest)
    labels = np.full(len(order), NOISE, np.int64)
    if len(order) > _MIN_SAMPLES:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # copies are at distance 0, and it divides by that
            labels = OPTICS(min_samples=_MIN_SAMPLES).fit(forest.vectors[order]).labels_.astype(np.int64)
    return Found(_back(labels, order), {"min_samples": _MIN_SAMPLES, "xi": 0.05})


def _by_kmeans(forest: ClusterForest, run: Parameters | None) -> Found:
    """k-means on unit vectors. O(n k d) once the centres are found."""
    order = by_key(forest)
    vectors = forest.vectors[order]
    some = vectors[_spread(len(vectors), _TRIED)]
    numbers = [k for k in NUMBERS if k * _LEAST <= len(some)]
    if not numbers:
        return Found(np.zeros(len(vectors), np.int64), {"k": min(1, len(vectors))})
    scores = dict(_tried_numbers(some, numbers))
    best = max(scores, key=lambda k: (scores[k], -k))
    near = [1, *numbers, numbers[-1]]
    low, high = near[numbers.index(best)], near[numbers.index(best) + 2]
    beside = np.unique(np.linspace(low, high, _BESIDE).round().astype(int)).tolist()
    scores |= dict(_tried_numbers(some, [k for k in beside if k > 1 and k not in scores]))
    best = max(scores, key=lambda k: (scores[k], -k))
    centres = _centres(vectors[_spread(len(vectors), _FITTED)], best, _STARTS)
    return Found(_back(_nearest(vectors, centres), order), {"k": best})


def _tried_numbers(vectors: NDArray[np.float32], numbers: Iterable[int]) -> Iterable[tuple[int, float]]:
    rows = _spread(len(vectors), _JUDGED)
    for k in numbers:
        yield k, _score(vectors, _nearest(vectors, _centres(vectors, k, 1)), rows)


def _by_agglomeration(forest: ClusterForest, run: Parameters | None) -> Found:
    """Average linkage, cut at a mean cosine: what `cluster --threshold T --linkage average` gives. O(n² d)."""
    from scipy.cluster.hierarchy import fcluster, linkage

    order = by_key(forest)
    if len(order) < 2:
        return Found(np.full(len(order), NOISE, np.int64), {})
    merges = linkage(_cosine_distances(forest.vectors[order]), "average")

    def cut(threshold: float) -> Labels:
        groups = fcluster(merges, 1 - threshold + 1e-6, "distance") - 1
        return _back(np.where(np.bincount(groups)[groups] > 1, groups, NOISE), order)

    threshold = _best(forest, ((t, cut(t)) for t in THRESHOLDS)) or THRESHOLDS[-1]
    return Found(cut(threshold), {"threshold": threshold, "linkage": "average"})


CONTENDERS: Mapping[str, Contender] = {
    "hdbscan": Contender(_by_density),
    "cosine": Contender(_by_cosine),
    "community": Contender(_by_communities),
    "optics": Contender(_by_optics, 12_500, "time with the square of the specimens"),
    "kmeans": Contender(_by_kmeans),
    "agglomerative": Contender(_by_agglomeration, 16_384, "memory with the square of the specimens"),
}
"""Name → method, in the order of tables and charts."""


def _back(labels: Labels, order: NDArray[np.int64]) -> Labels:
    """Labels of sorted specimens, for the forest's own order."""
    there = np.empty(len(order), np.int64)
    there[order] = labels
    return renumber(there)


def _best(forest: ClusterForest, tried: Iterable[tuple[float, Labels]]) -> float | None:
    """What of those tried has the greatest mean silhouette, the first of equal ones; None where none tells apart."""
    rows = by_key(forest)[_spread(len(forest), _JUDGED)]
    best, greatest = None, 0.0
    for value, labels in tried:
        score = _score(forest.vectors, labels, rows)
        if score > greatest:
            best, greatest = value, score
    return best


def _score(vectors: NDArray[Any], labels: Labels, rows: NDArray[np.int64]) -> float:
    from morphoindex.indexer.clustering.quality import silhouettes

    return round(float(silhouettes(vectors, labels, rows).mean()), 6) if len(rows) else 0.0


def _spread(n: int, most: int) -> NDArray[np.int64]:
    """At most so many rows of n, evenly spread; sorted by content id that is at random."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).astype(np.int64))


def _centres(vectors: NDArray[np.float32], k: int, starts: int) -> NDArray[np.float32]:
    """Centres float32 [k, d]; with one thread, since with several the sums depend on which is done first."""
    import warnings

    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct vectors than centres
        model = KMeans(k, n_init=starts, random_state=0).fit(vectors)
    centres: NDArray[np.float32] = model.cluster_centers_.astype(np.float32)
    return centres


def _nearest(vectors: NDArray[np.float32], centres: NDArray[np.float32]) -> Labels:
    from morphoindex.indexer.selection.kmeans import nearest_centre

    return nearest_centre(vectors, centres)


def _cosine_distances(vectors: NDArray[Any]) -> NDArray[np.float64]:
    """1 − cos of all pairs, float64 [n (n − 1) / 2] in scipy's condensed order. O(n² d) by BLAS."""
    n, block = len(vectors), 512
    condensed = np.empty(n * (n - 1) // 2)
    ends = np.concatenate([[0], np.cumsum(np.arange(n - 1, -1, -1))])
    for start in range(0, n, block):
        part = np.maximum(1 - (vectors[start : start + block] @ vectors[start:].T).astype(np.float64), 0)
        for i in range(len(part)):
            condensed[ends[start + i] : ends[start + i + 1]] = part[i, i + 1 :]
    return condensed
