"""From a spanning tree to cluster labels: a cut at a threshold, or HDBSCAN*'s extraction."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from morphoindex.indexer.clustering.trees import Tree, distance

NOISE = -1
Selection = Literal["eom", "leaf"]


def threshold_labels(tree: Tree, threshold: float, min_size: int = 2) -> NDArray[np.int64]:
    """Clusters whose members hang together by steps of at least this cosine: single linkage, cut.

    O(n). Groups below `min_size` are noise.

    Args:
        tree: of plain distances (`min_samples=0`).
        threshold: cosine in [-1, 1].
        min_size: the least size of a cluster.

    Returns:
        int64 [n], numbered by first member; -1 for noise.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(tree.weight) + 1
    kept = tree.weight <= distance(threshold) + _ROUNDING
    ends = (tree.a[kept], tree.b[kept])
    graph = coo_array((np.ones(len(ends[0]), np.int8), ends), shape=(n, n))
    _, labels = connected_components(graph, directed=False)
    sizes = np.bincount(labels, minlength=n)
    return renumber(np.where(sizes[labels] >= min_size, labels, NOISE))


_ROUNDING = 1e-6  # a float32 cosine that is just the threshold counts as reaching it


def density_labels(
    tree: Tree, min_cluster_size: int = 5, selection: Selection = "eom"
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """HDBSCAN* clusters of a mutual reachability tree, by hdbscan's own condensed tree and selection.

    Args:
        tree: of mutual reachability distances.
        min_cluster_size: the least size of a cluster, at least 2.
        selection: "eom", excess of mass, or "leaf".

    Returns:
        int64 [n] labels numbered by first member, -1 for noise; float64 [n] probability of the membership.
    """
    n = len(tree.weight) + 1
    if n < 2 * min_cluster_size:  # the root cannot split, and the root alone is no cluster
        return np.full(n, NOISE, np.int64), np.zeros(n)
    from hdbscan._hdbscan_linkage import label
    from hdbscan.hdbscan_ import _tree_to_labels

    edges = np.column_stack([tree.a, tree.b, tree.weight]).astype(np.float64)
    labels, probabilities, *_ = _tree_to_labels(
        np.empty((n, 0)), label(edges), min_cluster_size=min_cluster_size, cluster_selection_method=selection
    )
    return renumber(np.asarray(labels, np.int64)), np.asarray(probabilities, np.float64)


def renumber(labels: NDArray[np.integer]) -> NDArray[np.int64]:
    """Number clusters in the order of their first members: `[7, -1, 2, 7]` -> `[0, -1, 1, 0]`."""
    found, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty(len(found), np.int64)
    rank[np.argsort(np.where(found == NOISE, -1, first))] = np.arange(len(found))
    if len(found) and found[0] == NOISE:
        rank -= 1
    return rank[inverse]
