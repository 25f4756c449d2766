"""Specimens that are attached to spanning trees together: tile by tile, with one Kruskal at the end."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from morphoindex.indexer.clustering.crowds import Crowds, crowds
from morphoindex.indexer.clustering.passes import enlist, find_lists, limits
from morphoindex.indexer.clustering.rows import Rows
from morphoindex.indexer.clustering.spanning import span
from morphoindex.indexer.clustering.threads import together
from morphoindex.indexer.clustering.tiles import Tile, Workspace
from morphoindex.indexer.clustering.trees import NONE, Edges, Points, Tree, merge
from morphoindex.indexer.clustering.walking import thin

_ROOM = 16  # edges that `thin` has room for at first, per new specimen


def insert(rows: Rows, trees: Mapping[int, Tree], old: int, step: int, workspace: Workspace) -> dict[int, Tree]:
    """Take the last rows into the lists, and into trees over the `old` ones before them. O(m n d) for m new of n.

    Args:
        rows: all n; the lists of the new ones are empty.
        trees: k → the tree of mutual reachability distances.
        old: n − m: none, or at least two more than a list has room for; n is that too, or all there are.
        step: specimens of a tile. The first of all are taken together until no list holds all others: only from there
            on does a list's last entry bound what is not in it.
        workspace: for tiles.
    """
    points, least = rows.points, rows.near.shape[1] + 2
    core = {k: rows.lists.core(k) for k in trees}
    group = Group(np.arange(old, rows.count, dtype=np.int32), trees, core, points, workspace.crowd)
    reach = np.full(rows.count, -np.inf, rows.vectors.dtype)
    reach[:old] = limits(points, rows.lists, slice(old))
    while old < rows.count:
        batch = np.arange(old, min(rows.count, max(old + step, least)), dtype=np.int32)
        old += len(batch)
        there = rows.first(old)
        tile = workspace.tile(there, batch, reach, group.crowds[:, :old], group.count)
        reached = np.flatnonzero(tile.reached).astype(np.int32)
        touched = enlist(points, there.lists, tile, reached, max(trees))
        find_lists(points, there.lists, tile)
        changed = np.concatenate([reached, batch])
        reach[changed] = limits(points, there.lists, changed)
        for k in core:
            core[k][changed] = there.lists.core(k, changed)
        group.meet(tile, touched)
    return group.attached()


class Group:
    """A group of specimens on its way into the trees over all others.

    What a tile leaves out stays out, though core distances fall with each further tile. An edge that is left out is the
    longest of a cycle. The rest of the cycle only gets shorter; the edge itself does only if one of its two specimens
    had a core distance beyond the other one, which then falls: so the pair is among those that `meet` is told of.

    Args:
        members: int32 [g], their rows.
        trees: k → the tree of mutual reachability distances without them.
        core: k → core distances float64 [n], none greater than when that tree was made.
        points: all n rows.
        sizes: of crowds.

    Attributes:
        core: as given, to be kept up to date in place before each `meet`; none may grow.
        crowds: int32 [t, n], for each tree the crowds of its rows, numbered through; -1 for none.
        count: of crowds in all.
    """

    def __init__(
        self, members: NDArray[np.int32], trees: Mapping[int, Tree], core: Mapping[int, NDArray[np.float64]],
        points: Points, sizes: tuple[int, int],
    ) -> None:  # fmt: skip
        self.core = core
        self._members = members
        self._trees = trees
        self._points = points
        self._before = {k: core[k].copy() for k in trees if k}
        self._parts: dict[int, list[Edges]] = {k: [] for k in trees}
        self._between = np.empty((len(members), len(members)), points.vectors.dtype)
        self._met = 0
        self._crowds: dict[int, tuple[Crowds, int]] = {}
        self.count = 0
        self.crowds = np.empty((len(trees), len(points.ids)), np.int32)
        for numbered, (k, tree) in zip(self.crowds, trees.items(), strict=True):
            found = crowds(tree.post, len(points.ids), sizes)
            numbered[:] = np.where(found.of < 0, -1, found.of + self.count)
            self._crowds[k] = found, self.count
            self.count += len(found)

    def meet(self, tile: Tile, touched: Edges = NONE) -> None:
        """Find the edges that the next members, those of a tile, may have in the trees. O(n m).

        Args:
            tile: of all rows that are there; members that come later need not be among them.
            touched: all pairs whose weight may have fallen with this tile: the rows whose lists changed, with the k
                neighbours that they had.
        """
        start, stop = self._met, self._met + len(tile.batch)
        self._between[:stop, start:stop] = tile.squared[self._members[:stop]]
        self._between[start:stop, :start] = self._between[:start, start:stop].T
        self._met = stop
        for k, before in self._before.items():
            self._parts[k].append(fallen(touched, before, self.core[k]))
        grown = [k for k, tree in self._trees.items() if len(tree.post)]
        if grown:
            together(lambda k: self._parts[k].append(self._reaching(k, tile)), grown)

    def attached(self) -> dict[int, Tree]:
        """The trees over all rows, once every member was met. O(n + g²)."""

        def grown(k: int) -> Tree:
            points, core = self._points, self.core[k]
            within = Edges.room(len(self._members) - 1)
            span(
                self._between, self._members, core, points.vectors, points.ids, points.margin, within.ends,
                within.length,
            )  # fmt: skip
            return merge(self._trees[k], points.ids, core, [*self._parts[k], within])

        return dict(zip(self._trees, together(grown, self._trees), strict=True))

    def _reaching(self, k: int, tile: Tile) -> Edges:
        tree, points, (found, offset) = self._trees[k], self._points, self._crowds[k]
        room = _ROOM * len(tile.batch)
        while True:
            edges = Edges.room(room)
            count = thin(
                tile.whole, tile.batch, len(tile.squared) + offset, tree.post, found.upper, found.begin, found.end,
                tree.a, tree.b, tree.length, tree.weight, self.core[k], points.vectors, points.ids, points.margin,
                edges.ends, edges.length,
            )  # fmt: skip
            if count <= room:
                return edges.first(count)
            room = count


def fallen(edges: Edges, before: NDArray[np.float64], now: NDArray[np.float64]) -> Edges:
    """Those edges whose mutual reachability distance has fallen, given core distances before and now, float64 [n]."""
    a, b = edges.ends.T
    return edges.where(
        np.maximum(np.maximum(now[a], now[b]), edges.length)
        < np.maximum(np.maximum(before[a], before[b]), edges.length)
    )
