"""Facility location: the specimens that stand for all others best."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from morphoindex.indexer.selection.kmeans import centres_of, nearest_centre
from morphoindex.indexer.selection.turns import Places

_ROOM = 1 << 27  # similarities held at once, 512 MB
_EACH = 8  # specimens chosen a cell, about
_LEAST = 512  # specimens in a cell, about


def facility_location(
    vectors: NDArray[np.float32], members: NDArray[np.int64], places: Places, count: int, seed: int
) -> Iterator[int]:
    """Members in the order in which the greedy algorithm chooses them: each adds most to Σᵢ maxⱼ max(0, cos(i, j)).

    j runs over the chosen ones, i over all members. The sum is submodular, so that what it comes to is at least
    1 - 1/e of the best (Nemhauser, Wolsey and Fisher 1978).

    Where all pairs are too many (more than some 11,500 members), members are divided by k-means into cells, and each
    member counts as represented by the chosen ones of its own cell only; of large cells a random part of the members
    stands for all in i, never in j. Gains of a cell depend on that cell alone and never grow: taking the cell with the
    greatest gain is what lazy evaluation (Minoux 1978) comes to.

    Args:
        vectors: float32 [n, d], unit length.
        members: int64 [m], positions.
        places: what is closed there is passed over; each position is taken before it is yielded.
        count: how many will be asked for, about: with fewer, cells are larger. Has no effect below 11,500 members.
        seed: of the cells and the part of the members.
    """
    own = vectors if len(members) == len(vectors) else vectors[members]
    cells = [
        _Cell(own[rows], members[rows], part, places)
        for rows, part in _divided(own, count, np.random.default_rng(seed))
    ]
    queue = [(-cell.gain, number) for number, cell in enumerate(cells)]
    heapq.heapify(queue)
    while queue:
        promised, number = heapq.heappop(queue)
        cell = cells[number]
        cell.look()
        if cell.best < 0:
            continue
        if -cell.gain <= promised:
            position = int(cell.members[cell.best])
            places.take(position)
            yield position
            cell.choose()
        heapq.heappush(queue, (-cell.gain, number))


def _divided(
    own: NDArray[np.float32], count: int, rng: np.random.Generator
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Cells: the rows of each, and which of these stand for all of them."""
    n = len(own)
    if n * n <= _ROOM:
        everything = np.arange(n)
        return [(everything, everything)]
    number = max(1, min(count // _EACH, n // _LEAST))
    labels = nearest_centre(own, centres_of(own, number, rng)) if number > 1 else np.zeros(n, np.int64)
    most = max(1, _ROOM // n)
    cells = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    return [(rows, np.sort(rng.permutation(len(rows))[:most])) for rows in cells]


@dataclass
class _Cell:
    """Members that represent each other.

    Attributes:
        members: int64 [m], positions.
        gain: what the best open one would add, at least 0; best: its row, -1 where none is open.
    """

    def __init__(
        self, vectors: NDArray[np.float32], members: NDArray[np.int64], part: NDArray[np.int64], places: Places
    ) -> None:
        self.members = members
        self._places = places
        self._weight = len(members) / len(part)
        self._similar = np.maximum(vectors[part] @ vectors.T, 0)
        self._reached = np.zeros(len(part), np.float32)
        self._gains = self._similar.sum(axis=0, dtype=np.float64)
        self.look()

    def look(self) -> None:
        """Find the best of those that are open now."""
        gains = np.where(self._places.open[self.members], self._gains, -np.inf)
        self.best = int(np.argmax(gains))
        self.gain = max(0.0, float(gains[self.best])) * self._weight
        if gains[self.best] == -np.inf:
            self.best = -1

    def choose(self) -> None:
        """Have the best one represent whom it represents better than those before it did."""
        column = self._similar[:, self.best]
        better = np.flatnonzero(column > self._reached)
        before, after = self._reached[better, np.newaxis], column[better, np.newaxis]
        self._gains -= (np.clip(self._similar[better], before, after) - before).sum(axis=0, dtype=np.float64)
        self._reached[better] = column[better]
        self.look()
