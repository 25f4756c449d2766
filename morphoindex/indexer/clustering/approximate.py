"""Lists and trees from neighbours that somebody else proposes, for sets too large to look at every pair."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from morphoindex.indexer.clustering.distances import Vectors
from morphoindex.indexer.clustering.intake import BLOCK
from morphoindex.indexer.clustering.joining import components
from morphoindex.indexer.clustering.kernels import kernel
from morphoindex.indexer.clustering.neighbours import Lists, insert
from morphoindex.indexer.clustering.passes import pairs
from morphoindex.indexer.clustering.rows import Rows
from morphoindex.indexer.clustering.tiles import Workspace
from morphoindex.indexer.clustering.trees import Edges, Tree, merge

NearestKeys = Callable[[Vectors, int], Sequence[Sequence[str]]]
"""Vectors [m, d] and a count → the keys of so many near others for each, from an index that may miss some."""
_SPOKESMEN = 8  # specimens of a component that look for its nearest neighbour outside
_SAMPLE = 256


def proposals(rows: Rows, row_of: Mapping[str, int], near: NearestKeys, start: int) -> NDArray[np.int32]:
    """Neighbours that are proposed for the rows from `start` on, int32 [n − start, c]; -1 for none.

    Twice as many as a list holds: who is not among the nearest of a new one may still have it among its own.
    """
    asked = 2 * rows.near.shape[1]
    proposed = np.full((rows.count - start, asked), -1, np.int32)
    for begin in range(start, rows.count, BLOCK):
        found = near(rows.vectors[begin : min(rows.count, begin + BLOCK)], asked)
        for i, keys in enumerate(found, begin - start):
            here = [row for row in (row_of.get(key, -1) for key in keys) if row not in (-1, start + i)]
            proposed[i, : len(here)] = here[:asked]
    return proposed


def propose(rows: Rows, near: NDArray[np.int32], start: int) -> NDArray[np.int32]:
    """Take proposed neighbours into the lists, both ways, with exact distances. O(m c (d + K)).

    Args:
        rows: all n rows; the lists of those from `start` on are empty.
        near: int32 [n − start, c], proposed neighbours of these; -1 for none.
        start: the first of them.

    Returns:
        int32: the rows whose lists have changed.
    """
    who = np.repeat(np.arange(start, rows.count, dtype=np.int64), near.shape[1])
    whom = near.ravel().astype(np.int64)
    real = (whom >= 0) & (whom != who)
    low, high = np.minimum(who[real], whom[real]), np.maximum(who[real], whom[real])
    once = np.unique(low * rows.count + high)
    found = pairs(rows.points, np.column_stack([once // rows.count, once % rows.count]).astype(np.int32))
    lists = rows.lists
    changed = np.zeros(rows.count, bool)
    _enlist(found.ends, found.length, lists.near, lists.far, lists.known, rows.ids, changed)
    return np.flatnonzero(changed).astype(np.int32)


def spanned(
    rows: Rows, tree: Tree, changed: NDArray[np.int32], core: NDArray[np.float64], workspace: Workspace
) -> Tree:
    """The minimum spanning tree of a tree's edges and of the lists of some rows; parts that they leave are connected.

    The parts are connected by the nearest specimens that a few of their members find among all others: those edges,
    too, may be longer than they had to be.

    Args:
        rows: all n rows.
        tree: before.
        changed: int32, rows whose lists may hold new edges, or edges whose weight has fallen.
        core: float64 [n].
        workspace: for tiles.
    """
    parts = [_listed(rows.lists, changed)]
    old = Edges(np.column_stack([tree.a, tree.b]), tree.length)
    parent = np.empty(rows.count, np.int32)
    while True:
        components(np.concatenate([old.ends, *(part.ends for part in parts)]), parent)
        outward = _outward(rows, parent, workspace)
        if not len(outward.length):
            return merge(tree, rows.points.ids, core, parts)
        parts.append(outward)


def recall(rows: Rows, k: int, workspace: Workspace, seed: int = 0) -> float:
    """Which share of the k nearest others of some 256 specimens their lists have."""
    n = rows.count
    k = min(k, n - 1, rows.near.shape[1])
    if k < 1:
        return 1.0
    sample = np.sort(np.random.default_rng(seed).choice(n, min(n, _SAMPLE), replace=False)).astype(np.int32)
    hits = 0
    step = workspace.batch_size(rows)
    for start in range(0, len(sample), step):
        batch = sample[start : start + step]
        tile = workspace.tile(rows, batch)
        tile.squared[batch, np.arange(len(batch))] = np.inf
        reach = np.partition(tile.squared, k - 1, axis=0)[k - 1] + rows.points.margin
        lengths = rows.far[batch, :k] ** 2
        hits += int((lengths <= reach[:, np.newaxis]).sum())
    return hits / (len(sample) * k)


def _listed(lists: Lists, rows: NDArray[np.int32]) -> Edges:
    ends = np.column_stack([np.repeat(rows, lists.near.shape[1]), lists.near[rows].ravel()])
    real = ends[:, 1] >= 0
    return Edges(np.ascontiguousarray(ends[real]), lists.far[rows].ravel()[real])


def _outward(rows: Rows, parent: NDArray[np.int32], workspace: Workspace) -> Edges:
    """For each component but the largest, an edge to the nearest specimen outside that a few of its members find."""
    sizes = np.bincount(parent, minlength=rows.count)
    largest = int(np.argmax(sizes))
    order = np.argsort(parent, kind="stable")
    place = np.arange(rows.count) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    stride = np.maximum(1, sizes // _SPOKESMEN)[parent[order]]
    chosen = order[(place % stride == 0) & (place // stride < _SPOKESMEN) & (parent[order] != largest)]
    points = rows.points
    found = [Edges.room(0)]
    step = workspace.batch_size(rows)
    for start in range(0, len(chosen), step):
        batch = chosen[start : start + step].astype(np.int32)
        tile = workspace.tile(rows, batch)
        tile.squared[parent[:, np.newaxis] == parent[batch]] = np.inf
        found.append(pairs(points, np.column_stack([batch, tile.squared.argmin(axis=0).astype(np.int32)])))
    edges = Edges.joined(found)
    shortest = np.lexsort((edges.length, parent[edges.ends[:, 0]]))
    first = np.unique(parent[edges.ends[shortest, 0]], return_index=True)[1]
    return edges.where(shortest[first])


@kernel
def _enlist(
    ends: NDArray[np.int32], length: NDArray[np.float64], near: NDArray[np.int32], far: NDArray[np.float64],
    known: NDArray[np.int32], ids: NDArray[np.uint64], changed: NDArray[np.bool_],
) -> None:  # fmt: skip
    """Put pairs into the lists of both of their ends, where they are not there yet."""
    room = near.shape[1]
    for e in range(len(ends)):
        for side in range(2):
            i, j = ends[e, side], ends[e, 1 - side]
            if known[i] == room and length[e] > far[i, room - 1]:
                continue
            there = False
            for s in range(known[i]):
                there = there or near[i, s] == j
            if not there:
                insert(near, far, known, ids, i, j, length[e])
                changed[i] = True
