"""Trees by other means, to compare with: by brute force, or by looking at every pair of specimens."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from morphoindex.indexer.clustering.dendrogram import Dendrogram, dendrogram
from morphoindex.indexer.clustering.distances import Vectors, distance, distances, margin, pair_before
from morphoindex.indexer.clustering.kernels import kernel
from morphoindex.indexer.clustering.trees import Tree, in_order

_ROUNDING = 1e-9
_BLOCK = 256


@dataclass(frozen=True)
class Reference:
    """A spanning tree by brute force: as `trees.Tree`, and the core distances it was made with, float64 [n]."""

    a: NDArray[np.int32]
    b: NDArray[np.int32]
    weight: NDArray[np.float64]
    core: NDArray[np.float64]


def brute_force(vectors: Vectors, ids: NDArray[np.uint64], min_samples: int = 0) -> Reference:
    """The minimum spanning tree from all distances, each worked out in float64. O(n² d) time, O(n²) memory.

    Args:
        vectors: float [n, d], n ≥ 1.
        ids: uint64 [n, 2], content ids: what orders pairs of equal distance.
        min_samples: the k of the core distance, as hdbscan counts; 0 for plain distances.
    """
    n = len(vectors)
    lengths = np.empty((n, n))
    _all_distances(np.ascontiguousarray(vectors), lengths)
    k = min(min_samples, n - 1)
    core = np.partition(lengths, k, axis=1)[:, k] if k else np.zeros(n)  # the nearest of all is the specimen itself
    ends, found = np.empty((n - 1, 2), np.int32), np.empty((n - 1, 2))
    _prim(lengths, core, ids, ends, found)
    order = in_order(ends, found[:, 0], found[:, 1], ids)
    return Reference(ends[order, 0], ends[order, 1], found[order, 1], core)


def shortcuts(tree: Tree, vectors: Vectors, core: NDArray[np.float64], min_samples: int) -> NDArray[np.intp]:
    """The specimens that a tree is wrong about; none if it is a minimum spanning tree. O(n² d) time, O(n) memory.

    Every pair is looked at: a spanning tree is minimal exactly if no pair lies nearer than the longest edge on the
    tree's path between the two. Along the leaves of the dendrogram that edge is a running maximum. Core distances and
    the weights of the edges are worked out again as well.

    Args:
        tree: of at least one specimen.
        vectors: float [n, d].
        core: float64 [n], core distances, zeros where min_samples is 0.
        min_samples: their k.

    Returns:
        Rows of specimens with a wrong core distance, or at the ends of an edge of wrong weight or of a pair that the
        tree should have joined earlier.
    """
    order, gaps = leaves(dendrogram(tree.a, tree.b, tree.weight))
    x, reach = np.ascontiguousarray(vectors[order]), core[order]
    squares = np.einsum("ij,ij->i", x, x)
    slack = margin(x.shape[1], float(squares.max()), x.dtype)
    n, wrong = len(x), np.zeros(len(x), bool)
    k = min(min_samples, n - 1)
    for start in range(0, n, _BLOCK):
        rows = slice(start, min(n, start + _BLOCK))
        squared = squares[rows, np.newaxis] + squares - 2 * (x[rows] @ x.T)
        wrong[rows] |= np.abs(_core(x, rows, squared, k, slack) - reach[rows]) > _ROUNDING
        for i in range(rows.start, rows.stop):
            path = np.maximum.accumulate(gaps[i:])  # to the leaves after i
            suspects = i + 1 + np.flatnonzero(squared[i - start, i + 1 :] < path**2 + slack)
            length = _lengths(x, np.column_stack([np.full(len(suspects), i), suspects]))
            weight = np.maximum(np.maximum(reach[i], reach[suspects]), length)
            nearer = suspects[weight < path[suspects - i - 1] - _ROUNDING]
            wrong[nearer] = True
            wrong[i] |= len(nearer) > 0
    ends = np.column_stack([tree.a, tree.b])
    weight = np.maximum(np.maximum(core[tree.a], core[tree.b]), _lengths(vectors, ends))
    heavy = ends[np.abs(weight - tree.weight) > _ROUNDING]
    return np.union1d(order[wrong], heavy.ravel()).astype(np.intp)


def _core(x: Vectors, rows: slice, squared: Vectors, k: int, slack: float) -> NDArray[np.float64]:
    """Core distances of some rows, from those few others that a tile says are the nearest."""
    count = squared.shape[0]
    if k == 0:
        return np.zeros(count)
    reach = np.partition(squared, k, axis=1)[:, k] + slack
    who, near = np.nonzero(squared <= reach[:, np.newaxis])
    length = _lengths(x, np.column_stack([who + rows.start, near]))
    order = np.lexsort((length, who))
    first = np.searchsorted(who, np.arange(count))
    return length[order][first + k]  # the nearest of all is the specimen itself


def _lengths(x: Vectors, ends: NDArray[np.signedinteger]) -> NDArray[np.float64]:
    length = np.empty(len(ends))
    distances(x, ends.astype(np.int32), length)
    return length


def unlike(labels: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.intp]:
    """The rows that two partitions, int64 [n], -1 for noise, do not put among the very same members."""
    pairs, row, both = np.unique(np.column_stack([labels, others]), axis=0, return_inverse=True, return_counts=True)
    size, other_size = (np.bincount(of + 1) for of in (labels, others))
    noise = pairs == -1
    alike = (both == size[pairs[:, 0] + 1]) & (both == other_size[pairs[:, 1] + 1]) & ~noise.any(axis=1)
    return np.flatnonzero(~(alike | noise.all(axis=1))[row.ravel()])


def leaves(merges: Dendrogram) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """The leaves from left to right, int32 [n], and the weight at which each meets the next, float64 [n − 1]."""
    n = len(merges)
    order, gaps = np.empty(n, np.int32), np.empty(n - 1)
    left, right, weight = merges.left.tolist(), merges.right.tolist(), merges.weight.tolist()
    stack = [(2 * n - 2, np.inf)]  # a node, and the weight at which it meets what stands before it
    place = 0
    while stack:
        node, before = stack.pop()
        if node >= n:
            stack += [(right[node - n], weight[node - n]), (left[node - n], before)]
            continue
        order[place] = node
        if place:
            gaps[place - 1] = before
        place += 1
    return order, gaps


@kernel
def _all_distances(vectors: Vectors, lengths: NDArray[np.float64]) -> None:
    for i in range(len(vectors)):
        lengths[i, i] = 0.0
        for j in range(i):
            lengths[i, j] = lengths[j, i] = distance(vectors, i, j)


@kernel
def _prim(
    lengths: NDArray[np.float64], core: NDArray[np.float64], ids: NDArray[np.uint64], ends: NDArray[np.int32],
    found: NDArray[np.float64],
) -> None:  # fmt: skip
    """Prim's algorithm in the total order; edges and their (length, weight), out. O(n²)."""
    n = len(lengths)
    parent = np.zeros(n, np.int32)
    length, weight = np.full(n, np.inf), np.full(n, np.inf)
    outside = np.ones(n, np.bool_)
    current = 0
    for step in range(n - 1):
        outside[current] = False
        nearest = -1
        for j in range(n):
            if not outside[j]:
                continue
            d = lengths[current, j]
            w = max(max(core[current], core[j]), d)
            if pair_before(w, d, current, j, weight[j], length[j], parent[j], j, ids):
                parent[j], length[j], weight[j] = current, d, w
            if nearest < 0 or pair_before(
                weight[j], length[j], parent[j], j, weight[nearest], length[nearest], parent[nearest], nearest, ids
            ):
                nearest = j
        ends[step, 0], ends[step, 1] = parent[nearest], nearest
        found[step, 0], found[step, 1] = length[nearest], weight[nearest]
        current = nearest
