"""Whose turn it is: groups give one specimen after another, equally or by their size."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray


class Places:
    """Which specimens may still be chosen: none twice, and of each unique group one.

    Args:
        n: how many there are.
        unique: groupings int64 [n], -1 for none, such as near-duplicates and encounters; of each of their groups at
            most one is chosen.

    Attributes:
        open: bool [n].
    """

    def __init__(self, n: int, unique: Sequence[NDArray[np.int64]] = ()) -> None:
        self.open = np.ones(n, bool)
        self._unique = [(groups, order := np.argsort(groups, kind="stable"), groups[order]) for groups in unique]

    def take(self, position: int) -> None:
        """Choose one, which closes it and those that are in a unique group with it."""
        self.open[position] = False
        for groups, order, ordered in self._unique:
            if groups[position] >= 0:
                first, last = (np.searchsorted(ordered, groups[position], side) for side in ("left", "right"))
                self.open[order[first:last]] = False


def in_order(positions: NDArray[np.int64], places: Places) -> Iterator[int]:
    """Those positions that are still open when their turn comes: a ranking that does not depend on what was chosen."""
    for position in positions.tolist():
        if places.open[position]:
            places.take(position)
            yield position


def members_of(groups: NDArray[np.int64], rng: np.random.Generator | None = None) -> list[NDArray[np.int64]]:
    """Members of each group, large groups first, then what is in none: `[0, -1, 1, 1]` -> `[[2, 3], [0], [1]]`.

    Groups of one size come in the order of their numbers, or by chance where there is an `rng`.
    """
    values, sizes = np.unique(groups, return_counts=True)
    order = np.argsort(groups, kind="stable")
    parts = np.split(order, np.cumsum(sizes)[:-1])
    ties = np.arange(len(values)) if rng is None else rng.permutation(len(values))
    return [parts[i] for i in np.lexsort((ties, -sizes, values < 0))]


def equally(rankings: Iterable[Iterator[int]]) -> Iterator[int]:
    """One of each ranking in turn. One that comes to its end gives its room away to the others.

    Each ranking takes what it yields.
    """
    waiting = list(rankings)
    while waiting:
        remaining = []
        for ranking in waiting:
            pick = next(ranking, None)
            if pick is not None:
                yield pick
                remaining.append(ranking)
        waiting = remaining


def proportionally(rankings: Sequence[Iterator[int]], sizes: Sequence[int]) -> Iterator[int]:
    """Rankings by their sizes: the next is of that which has given the least for its size.

    By the method of Webster (Balinski and Young 1982), which no further place takes one away from: a shorter sample is
    the beginning of a longer one. `sizes [6, 3]` -> 0, 1, 0, 0, 1, 0, …
    """
    queue = [(-float(size), number, 0) for number, size in enumerate(sizes)]
    heapq.heapify(queue)
    while queue:
        _, number, before = heapq.heappop(queue)
        pick = next(rankings[number], None)
        if pick is not None:
            yield pick
            heapq.heappush(queue, (-sizes[number] / (2 * before + 3), number, before + 1))
