"""Passes over tiles of distances, in threads: what a batch of specimens does to the neighbour lists."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from morphoindex.indexer.clustering.distances import Vectors, distances, tile
from morphoindex.indexer.clustering.neighbours import GROUPS, Lists, fill_new, measure, update_old
from morphoindex.indexer.clustering.rows import Rows
from morphoindex.indexer.clustering.trees import Edges, Points, Tile
from morphoindex.indexer.cores import usable_cores

_LEAST_GROUPS = 256
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


@cache
def workers() -> int:
    """Threads for kernels: the cores that this process may use, at most eight."""
    return min(8, usable_cores())


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(workers())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # a child has the pool, but none of its threads


def together(function: Callable[[_Item], _Result], items: Iterable[_Item]) -> list[_Result]:
    """Call a function for each item, in threads; kernels run without the interpreter's lock.

    Where one fails, or the caller is interrupted, all come to their end first: they write to shared arrays.
    """
    futures = [_pool().submit(function, item) for item in items]
    try:
        return [future.result() for future in futures]
    finally:
        wait(futures)


class Workspace:
    """Tiles of a forest, one at a time, in one piece of memory.

    Attributes:
        most: columns of a tile; with more of them the rest of the work counts less.
        share: how much memory a tile may take, as a share of that of the vectors and lists it is made from.
        free: how many distances it may always have.
    """

    most = 256
    share = 0.27
    free = 1 << 21

    def __init__(self) -> None:
        self._memory = np.empty(0, np.float32)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_memory"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _memory=np.empty(0, np.float32))

    def batch_size(self, rows: Rows) -> int:
        """How many specimens a tile takes at a time."""
        a_row = rows.vectors.shape[1] + 3 * rows.near.shape[1]  # in units of a float32
        return min(self.most, max(16, int(a_row * self.share), self.free // max(1, rows.count)))

    def reserve(self, size: int, dtype: np.dtype[np.floating]) -> None:
        """Make room for tiles of so many distances."""
        if self._memory.size < size or self._memory.dtype != dtype:
            self._memory = np.empty(0, dtype)  # given back first
            self._memory = np.empty(size * 9 // 8, dtype)  # what is not used takes no memory

    def tile(self, rows: Rows, batch: NDArray[np.int32]) -> tuple[Tile, Vectors]:
        """Squared distances [n, m] of all rows to a batch, and their least values by groups of rows [groups, m]."""
        points, squares, room = rows.points, rows.squares, rows.near.shape[1]
        n, m = len(points.vectors), len(batch)
        self.reserve(n * m, points.vectors.dtype)
        squared = self._memory[: n * m].reshape(n, m)
        tile(points.vectors, points.vectors[batch], squared)
        groups = min(n, max(_LEAST_GROUPS, GROUPS * room))
        least = np.full((workers(), groups, m), np.inf, squared.dtype)

        def measured(part: tuple[int, int, int]) -> None:
            worker, start, stop = part
            measure(squared, squares, batch, start, stop, least[worker])

        together(measured, [(worker, *part) for worker, part in enumerate(parts(n))])
        return Tile(squared, batch), least.min(axis=0)


def parts(n: int) -> list[tuple[int, int]]:
    """Rows in one part for each worker: `5` -> `[(0, 2), (2, 5)]` with two."""
    cuts = [n * worker // workers() for worker in range(workers() + 1)]
    return list(itertools.pairwise(cuts))


def enlist(points: Points, lists: Lists, at: Tile, old: int, depth: int) -> Edges:
    """Let a batch into the lists of the `old` rows before it. O(n m).

    Returns:
        Pairs of an old row and one of the `depth` neighbours it had, where those changed.
    """
    fallen = np.empty(old, np.int32)
    former = np.empty((old, depth), np.int32)

    def rows(part: tuple[int, int]) -> tuple[int, int]:
        start, stop = part
        count = update_old(
            at.squared, points.vectors, points.ids, at.batch, points.margin, lists.near, lists.far, lists.known, start,
            stop, fallen[start:stop], former[start:stop],
        )  # fmt: skip
        return start, count

    found = [slice(start, start + count) for start, count in together(rows, parts(old))]
    who = np.concatenate([fallen[part] for part in found])
    whom = np.concatenate([former[part] for part in found])
    ends = np.column_stack([np.repeat(who, depth), whom.ravel()])
    return pairs(points, ends[ends[:, 1] >= 0])


def find_lists(points: Points, lists: Lists, at: Tile, least: Vectors) -> None:
    """Fill the empty lists of a batch. O(n m).

    Args:
        points, lists: all rows.
        at: the tile of the batch.
        least: [groups, m], its least values by groups.
    """
    room = lists.near.shape[1]
    kind = at.squared.dtype.type
    if len(least) > room + 1:  # one more than asked for: the least of all may be the specimen itself
        reach = np.partition(least, room, axis=0)[room] + kind(points.margin)
    else:
        reach = np.full(len(at.batch), np.inf, kind)

    def columns(part: tuple[int, int]) -> None:
        fill_new(at.squared, points.vectors, points.ids, at.batch, reach, lists.near, lists.far, lists.known, *part)

    together(columns, parts(len(at.batch)))


def pairs(points: Points, ends: NDArray[np.int32]) -> Edges:
    """Pairs of rows with their exact distances."""
    length = np.empty(len(ends))
    distances(points.vectors, ends, length)
    return Edges(ends, length)
