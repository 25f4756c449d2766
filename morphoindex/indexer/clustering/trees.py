"""A spanning tree while its specimens come: edges in the total order, and its dendrogram."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from morphoindex.indexer.clustering.distances import Vectors
from morphoindex.indexer.clustering.spanning import kruskal, post_order


@dataclass(frozen=True)
class Points:
    """What the distances of specimens are worked out from.

    Attributes:
        vectors: float [n, d], unit length for cosine.
        ids: uint64 [n, 2], content ids, big end first: what orders pairs of equal distance.
        margin: of squared distances in a tile (see `distances.margin`).
    """

    vectors: Vectors
    ids: NDArray[np.uint64]
    margin: float


@dataclass(frozen=True)
class Edges:
    """Pairs of rows, int32 [c, 2], and their distances, float64 [c]."""

    ends: NDArray[np.int32]
    length: NDArray[np.float64]

    @classmethod
    def room(cls, count: int) -> Edges:
        """Room for so many pairs."""
        return cls(np.empty((count, 2), np.int32), np.empty(count))

    @classmethod
    def joined(cls, parts: Sequence[Edges]) -> Edges:
        """All of these, one after the other."""
        return cls(np.concatenate([part.ends for part in parts]), np.concatenate([part.length for part in parts]))

    def first(self, count: int) -> Edges:
        """The first of them."""
        return Edges(self.ends[:count], self.length[:count])

    def distinct(self, n: int) -> Edges:
        """Each pair of the n rows once. O(c log c)."""
        low, high = self.ends.min(axis=1).astype(np.int64), self.ends.max(axis=1)
        return self.where(np.unique(low * n + high, return_index=True)[1])

    def where(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> Edges:
        """Those that are chosen, bool [c] or by number."""
        return Edges(self.ends[chosen], self.length[chosen])


NONE = Edges.room(0)


@dataclass(frozen=True)
class Tree:
    """A minimum spanning tree over s of n rows, its edges in the total order.

    Attributes:
        a, b: int32 [s − 1], the ends of each edge.
        length: float64 [s − 1], distances; weight: float64 [s − 1], mutual reachability distances.
        post: int32 [2 s − 1], the dendrogram in post-order (see `walking.thin`).
    """

    a: NDArray[np.int32]
    b: NDArray[np.int32]
    length: NDArray[np.float64]
    weight: NDArray[np.float64]
    post: NDArray[np.int32]


_NO_ROWS, _NO_LENGTHS = np.empty(0, np.int32), np.empty(0)
EMPTY = Tree(_NO_ROWS, _NO_ROWS, _NO_LENGTHS, _NO_LENGTHS, _NO_ROWS)


def seed(row: int) -> Tree:
    """The tree of one specimen."""
    return replace(EMPTY, post=np.array([row], np.int32))


def merge(tree: Tree, ids: NDArray[np.uint64], core: NDArray[np.float64], parts: list[Edges]) -> Tree:
    """Kruskal over the edges of a tree, weighed anew, and further ones. O(n + c log c)."""
    n = len(ids)
    changed = np.maximum(np.maximum(core[tree.a], core[tree.b]), tree.length) != tree.weight
    if changed.any():
        parts = [*parts, Edges(np.column_stack([tree.a[changed], tree.b[changed]]), tree.length[changed])]
    together = Edges.joined(parts).distinct(n)
    ends, length = together.ends, together.length
    weight = np.maximum(np.maximum(core[ends[:, 0]], core[ends[:, 1]]), length)
    order = in_order(ends, length, weight, ids)
    room = min(n - 1, len(tree.a) + len(ends))
    out_ends, out, merges = np.empty((room, 2), np.int32), np.empty((room, 2)), np.empty((room, 3), np.int32)
    count = kruskal(
        tree.a, tree.b, tree.length, tree.weight, changed, ends[order], length[order], weight[order], ids, out_ends,
        out, merges,
    )  # fmt: skip
    post = np.empty(2 * count + 1, np.int32)
    post_order(merges[:count], n, post)
    a, b = np.ascontiguousarray(out_ends[:count].T)
    d, w = np.ascontiguousarray(out[:count].T)
    return Tree(a, b, d, w, post)


def in_order(
    ends: NDArray[np.int32], length: NDArray[np.float64], weight: NDArray[np.float64], ids: NDArray[np.uint64]
) -> NDArray[np.intp]:
    """The total order of pairs: by weight, distance, lower id, upper id. O(c log c)."""
    order = np.lexsort((length, weight))
    d, w = length[order], weight[order]
    if not np.any((d[1:] == d[:-1]) & (w[1:] == w[:-1])):
        return order
    a, b = ids[ends[:, 0]], ids[ends[:, 1]]
    swap = (b[:, 0] < a[:, 0]) | ((b[:, 0] == a[:, 0]) & (b[:, 1] < a[:, 1]))
    low, high = np.where(swap[:, np.newaxis], b, a), np.where(swap[:, np.newaxis], a, b)
    return np.lexsort((high[:, 1], high[:, 0], low[:, 1], low[:, 0], length, weight))


def kept_edges(tree: Tree, kept: NDArray[np.bool_], number: NDArray[np.int32]) -> Tree:
    """The edges of a tree between rows that are kept, bool [n], in their new numbers, int32 [n]; no dendrogram."""
    both = kept[tree.a] & kept[tree.b]
    return Tree(number[tree.a[both]], number[tree.b[both]], tree.length[both], tree.weight[both], EMPTY.post)


def as_weighed(tree: Tree, core: NDArray[np.float64]) -> Edges:
    """The edges of a tree whose weight is what it was: weights only grow when specimens go, so these remain."""
    same = np.maximum(np.maximum(core[tree.a], core[tree.b]), tree.length) == tree.weight
    return Edges(np.column_stack([tree.a[same], tree.b[same]]), tree.length[same])
