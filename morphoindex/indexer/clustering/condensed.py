"""HDBSCAN*'s extraction: from a dendrogram to the condensed tree, the clusters that last, and outlier scores.

Campello, Moulavi, Sander 2013 (condensed tree, excess of mass); Campello, Moulavi, Zimek, Sander 2015 (GLOSH outlier
scores). The results are those of hdbscan 0.8.44 fed with the same edges, save where its own depend on the order of
arrival or are not numbers:

- Specimens at distance zero are never parted. hdbscan splits a mass of duplicates into clusters at λ = ∞, by order.
- Beside duplicates, where λmax is ∞, a specimen that leaves at a finite λ has outlier score 1, the limit of
  1 − λ/λmax; hdbscan has NaN. Its probability is 0 in both.
- Stabilities are added in float64, by the rank of the edges. hdbscan adds up those of two children in float32, which
  decides by rounding, and by which one is first, where they come to as much as their parent's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from morphoindex.errors import UsageError
from morphoindex.indexer.clustering.dendrogram import Dendrogram
from morphoindex.indexer.clustering.kernels import kernel
from morphoindex.indexer.clustering.labels import Selection


@dataclass(frozen=True)
class DensityClusters:
    """What HDBSCAN* finds. λ = 1 / mutual reachability distance is a density; clusters are numbered by first member.

    Attributes:
        labels: int64 [n], the cluster; -1 for noise.
        probabilities: float64 [n] in [0, 1], the λ that a member reaches over the cluster's death; 0 for noise.
        outlier_scores: float64 [n] in [0, 1], GLOSH: 1 − λ at leaving over the highest λ in the cluster that it left.
        birth: float64 [clusters], the λ at which the cluster parts from its sibling.
        death: float64 [clusters], the λ at which it splits, or its last members leave; ∞ with duplicates.
        stability: float64 [clusters], the sum over members of λ at leaving − birth: the excess of mass.
        persistence: float64 [clusters] in [0, 1], stability over size and the highest λ of all; 1 if that is ∞ or 0.
    """

    labels: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    outlier_scores: NDArray[np.float64]
    birth: NDArray[np.float64]
    death: NDArray[np.float64]
    stability: NDArray[np.float64]
    persistence: NDArray[np.float64]


def density_clusters(merges: Dendrogram, min_cluster_size: int = 5, selection: Selection = "eom") -> DensityClusters:
    """HDBSCAN* clusters of a dendrogram of mutual reachability distances; the root is never one.

    O(n) time and memory. The numbers are a function of the edges and their order, bit for bit, not of which specimen
    has which row.

    Args:
        merges: of n ≥ 1 specimens.
        min_cluster_size: the least size of a cluster, at least 2.
        selection: "eom", excess of mass, or "leaf".

    Raises:
        UsageError: a parameter is not one of those allowed.
    """
    if min_cluster_size != int(min_cluster_size) or min_cluster_size < 2:
        raise UsageError(f"min_cluster_size {min_cluster_size}: a whole number, at least 2")
    if selection not in ("eom", "leaf"):
        raise UsageError(f"selection {selection!r}: eom or leaf")
    n = len(merges)
    most = 2 * (n // min_cluster_size) + 1  # a tree with at most n / min_cluster_size leaves
    parent = np.zeros(most, np.int32)
    birth, death, stability = np.zeros(most), np.zeros(most), np.zeros(most)
    cluster, left_at = np.zeros(2 * n - 1, np.int32), np.zeros(2 * n - 1)
    found = _condense(
        merges.left, merges.right, merges.size, merges.weight, min_cluster_size,
        cluster, left_at, parent, birth, death, stability,
    )  # fmt: skip
    deepest, owner = death[:found].copy(), np.full(found, -1, np.int32)
    _select(parent, stability, selection == "leaf", np.zeros(found), np.zeros(found, np.bool_), deepest, owner)
    labels, probabilities, scores = np.full(n, -1, np.int64), np.zeros(n), np.zeros(n)
    number, chosen = np.full(found, -1, np.int32), np.empty(found, np.int32)
    count = _label(cluster, left_at, owner, death, deepest, number, chosen, labels, probabilities, scores)
    chosen = chosen[:count]
    persistence = _persistence(stability[chosen], np.bincount(labels[labels >= 0], minlength=count), deepest[0])
    return DensityClusters(labels, probabilities, scores, birth[chosen], death[chosen], stability[chosen], persistence)


def _persistence(stability: NDArray[np.float64], size: NDArray[np.intp], highest: float) -> NDArray[np.float64]:
    if highest == 0 or np.isinf(highest):
        return np.ones(len(stability))
    return stability / (size * highest)


@kernel
def _condense(
    left: NDArray[np.int32],
    right: NDArray[np.int32],
    size: NDArray[np.int32],
    weight: NDArray[np.float64],
    min_size: int,
    cluster: NDArray[np.int32],
    left_at: NDArray[np.float64],
    parent: NDArray[np.int32],
    birth: NDArray[np.float64],
    death: NDArray[np.float64],
    stability: NDArray[np.float64],
) -> int:
    """Walk the merges from the last to the first, and hand down to both sides what cluster they are of.

    Each node gets the last cluster that it was of, and the λ at which it left it; -1 for a node that is still of it
    when its own merge is undone. A cluster meets its events in rising λ: a parent has a higher rank than its child.

    Returns:
        How many clusters there are with the root, which is number 0; a child has a higher number than its parent.
    """
    n = len(weight) + 1
    left_at[2 * n - 2] = -1.0
    found = 1
    for i in range(n - 2, -1, -1):
        own = cluster[n + i]
        x, y = left[i], right[i]
        cluster[x] = own
        cluster[y] = own
        if left_at[n + i] >= 0:
            left_at[x] = left_at[n + i]
            left_at[y] = left_at[n + i]
            continue
        density = 1.0 / weight[i] if weight[i] > 0 else np.inf
        size_x = size[x - n] if x >= n else 1
        size_y = size[y - n] if y >= n else 1
        stays_x = size_x >= min_size and density < np.inf
        stays_y = size_y >= min_size and density < np.inf
        gone = size[i]
        if stays_x != stays_y:
            gone = size_y if stays_x else size_x
        stability[own] += (density - birth[own]) * gone
        death[own] = density
        left_at[x] = -1.0 if stays_x else density
        left_at[y] = -1.0 if stays_y else density
        if stays_x and stays_y:
            for child in (x, y):
                cluster[child] = found
                parent[found] = own
                birth[found] = density
                found += 1
    return found


@kernel
def _select(
    parent: NDArray[np.int32],
    stability: NDArray[np.float64],
    leaves: bool,
    below: NDArray[np.float64],
    inner: NDArray[np.bool_],
    deepest: NDArray[np.float64],
    owner: NDArray[np.int32],
) -> None:
    """Find each cluster's chosen ancestor or self in `owner` (-1: none); raise `deepest` to the highest λ below it.

    `below` is the best that the children come to: a sum of two, so that their order does not matter.
    """
    for c in range(len(owner) - 1, 0, -1):
        up = parent[c]
        below[up] += below[c] if below[c] > stability[c] else stability[c]
        inner[up] = True
        if deepest[c] > deepest[up]:
            deepest[up] = deepest[c]
    for c in range(1, len(owner)):
        if owner[parent[c]] >= 0:
            owner[c] = owner[parent[c]]
        elif (leaves and not inner[c]) or (not leaves and below[c] <= stability[c]):
            owner[c] = c


@kernel
def _label(
    cluster: NDArray[np.int32],
    left_at: NDArray[np.float64],
    owner: NDArray[np.int32],
    death: NDArray[np.float64],
    deepest: NDArray[np.float64],
    number: NDArray[np.int32],
    chosen: NDArray[np.int32],
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    scores: NDArray[np.float64],
) -> int:
    """Labels, probabilities and scores of the specimens; `number` and `chosen` map clusters to labels and back.

    Returns:
        How many labels there are.
    """
    found = 0
    for i in range(len(labels)):
        density = left_at[i]
        top = deepest[cluster[i]]
        if top > 0 and density < np.inf:
            scores[i] = 1.0 - density / top
        own = owner[cluster[i]]
        if own < 0:
            continue
        if number[own] < 0:
            number[own] = found
            chosen[found] = own
            found += 1
        labels[i] = number[own]
        if death[own] > 0 and density < np.inf:
            probabilities[i] = density / death[own] if density < death[own] else 1.0
        else:
            probabilities[i] = 1.0
    return found
