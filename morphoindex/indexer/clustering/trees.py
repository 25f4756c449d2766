"""Exact minimum spanning trees over unit vectors: single linkage, and mutual reachability for HDBSCAN*."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_WHOLE = 16_384  # up to this many vectors the distances are kept whole (1 GiB); above, a row is made when it is needed
_BLOCK = 1024


@dataclass(frozen=True)
class Tree:
    """A spanning tree over n specimens, its edges from short to long.

    Attributes:
        a, b: int64 [n − 1], the ends of each edge.
        weight: float64 [n − 1], Euclidean distance between unit vectors, or mutual reachability distance.
    """

    a: NDArray[np.int64]
    b: NDArray[np.int64]
    weight: NDArray[np.float64]


def distance(cosine: float) -> float:
    """Euclidean distance of two unit vectors: 1.0 -> 0.0, 0.5 -> 1.0, -1.0 -> 2.0."""
    return float(np.sqrt(max(0.0, 2.0 - 2.0 * cosine)))


def spanning_tree(vectors: NDArray[np.float32], min_samples: int = 0) -> Tree:
    """The minimum spanning tree of the mutual reachability distance.

    Exact, O(n² d) time, O(n²) memory up to 16,384 vectors and O(n) above. Edges of equal weight are ordered by their
    distance, then by their ends, so that the tree is a function of the vectors and their order alone.

    Args:
        vectors: float32 [n, d], unit length.
        min_samples: the k of the core distance, the distance to the k-th nearest other vector (as in
            Campello et al. 2013, and as hdbscan counts); 0 leaves plain distances: single linkage.
    """
    n = len(vectors)
    row = _distance_rows(vectors)
    core = core_distances(row, n, min_samples)
    return _prim(row, core)


def core_distances(row: Callable[[int], NDArray[np.float32]], n: int, k: int) -> NDArray[np.float32]:
    """Distance of each vector to its k-th nearest other one, float32 [n]; with fewer others, to the farthest."""
    if k == 0 or n < 2:
        return np.zeros(n, np.float32)
    k = min(k, n - 1)
    core = np.empty(n, np.float32)
    for i in range(n):
        others = np.delete(row(i), i)
        core[i] = np.partition(others, k - 1)[k - 1]
    return core


def _distance_rows(vectors: NDArray[np.float32]) -> Callable[[int], NDArray[np.float32]]:
    """A function that gives row i of the distance matrix.

    Worked out in float64: near-duplicates lose their digits in ‖x‖² + ‖y‖² − 2 x·y otherwise.
    """
    exact = vectors.astype(np.float64)
    squares = np.einsum("ij,ij->i", exact, exact)

    def distances(rows: slice) -> NDArray[np.float32]:
        squared = squares[rows, np.newaxis] + squares - 2.0 * (exact[rows] @ exact.T)
        result: NDArray[np.float32] = np.sqrt(np.maximum(squared, 0.0)).astype(np.float32)
        return result

    n = len(vectors)
    if n > _WHOLE:
        return lambda i: distances(slice(i, i + 1))[0]
    whole = np.empty((n, n), np.float32)
    for start in range(0, n, _BLOCK):
        block = slice(start, start + _BLOCK)
        whole[block] = distances(block)
    return lambda i: whole[i]


def _prim(row: Callable[[int], NDArray[np.float32]], core: NDArray[np.float32]) -> Tree:
    n = len(core)
    weight = np.full(n, np.inf, np.float32)  # of the best edge from the tree to each vertex
    length = np.full(n, np.inf, np.float32)
    parent = np.zeros(n, np.int64)
    outside = np.ones(n, bool)
    edges = np.empty((max(n - 1, 0), 2), np.int64)
    weights = np.empty(max(n - 1, 0), np.float64)
    index = np.arange(n)
    current = 0
    for step in range(n - 1):
        outside[current] = False
        d = row(current)
        w = np.maximum(np.maximum(core, core[current]), d)
        equal = w == weight
        better = w < weight
        if equal.any():
            better |= equal & (d < length)
            same = equal & (d == length)
            better |= same & _pair_before(current, parent, index)
        better &= outside
        weight[better], length[better], parent[better] = w[better], d[better], current
        current = _least(weight, length, parent, outside)
        edges[step] = parent[current], current
        weights[step] = weight[current]
    order = np.lexsort((edges.max(axis=1), edges.min(axis=1), weights))
    return Tree(edges[order, 0], edges[order, 1], weights[order])


def _pair_before(current: int, parent: NDArray[np.int64], index: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether the pair (current, i) comes before (parent[i], i), ordered by lower end, then upper."""
    low, high = np.minimum(current, index), np.maximum(current, index)
    old_low, old_high = np.minimum(parent, index), np.maximum(parent, index)
    result: NDArray[np.bool_] = (low < old_low) | ((low == old_low) & (high < old_high))
    return result


def _least(
    weight: NDArray[np.float32], length: NDArray[np.float32], parent: NDArray[np.int64], outside: NDArray[np.bool_]
) -> int:
    """The vertex outside whose best edge is least by (weight, length, lower end, upper end)."""
    masked = np.where(outside, weight, np.inf)
    ties = np.flatnonzero(masked == masked[np.argmin(masked)])
    ties = ties[outside[ties]]
    if len(ties) > 1:
        low, high = np.minimum(parent[ties], ties), np.maximum(parent[ties], ties)
        ties = ties[np.lexsort((high, low, length[ties]))]
    return int(ties[0])
