"""Farthest-point order: each next specimen is the one that is least like those before it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from morphoindex.indexer.selection.turns import Places

_EDGE = 4096  # specimens that are kept up to date with each one chosen
_BLOCK = 8192  # rows
_PAUSE = 16  # times that all are looked at before an edge is tried again, when the last one was of no use


def farthest_first(vectors: NDArray[np.float32], members: NDArray[np.int64], places: Places) -> Iterator[int]:
    """The member nearest to their centre, then always the one farthest from those before it.

    The first k are a solution of the k-centre problem whose radius is at most twice the best one (Gonzalez 1985).
    Similarities to what was chosen only grow. So it is enough to follow the few that are farthest, as long as the
    farthest of them is farther than all others were when these were last looked at: the same order as by following
    all, O(n d) a specimen only in the worst case.

    Args:
        vectors: float32 [n, d], unit length.
        members: int64 [m], positions.
        places: what is closed there is passed over; each position is taken before it is yielded.
    """
    own = vectors if len(members) == len(vectors) else vectors[members]
    closest = np.full(len(members), -np.inf, np.float32)  # cosine to the nearest chosen one that is not in `fresh`
    fresh: list[int] = []
    edge: _Edge | None = None
    useless = 0
    pick = _least(-(own @ own.mean(axis=0)), places.open[members])
    while pick >= 0:
        places.take(int(members[pick]))
        yield int(members[pick])
        fresh.append(pick)
        pick = edge.next(own[pick], places.open[members[edge.rows]]) if edge else -1
        if pick < 0:
            for start in range(0, len(own), _BLOCK):
                rows = slice(start, start + _BLOCK)
                np.maximum(closest[rows], (own[rows] @ own[fresh].T).max(axis=1), out=closest[rows])
            useless = useless + 1 if len(fresh) == 1 else 0
            fresh = []
            pick = _least(closest, places.open[members])
            worth_it = len(own) > 2 * _EDGE and useless % _PAUSE < 2
            edge = _Edge(own, closest) if worth_it else None


class _Edge:
    """The specimens that were farthest when all were looked at, followed from then on.

    Attributes:
        rows: int64 [e], which, in order.
    """

    def __init__(self, own: NDArray[np.float32], closest: NDArray[np.float32]) -> None:
        order = np.argpartition(closest, _EDGE)
        self.rows = np.sort(order[:_EDGE])
        self._rim = closest[order[_EDGE]]  # no other was farther than that
        self._vectors = own[self.rows]
        self._closest = closest[self.rows]

    def next(self, chosen: NDArray[np.float32], allowed: NDArray[np.bool_]) -> int:
        """The row of the farthest of all after one more was chosen; -1 where it may be another than these."""
        np.maximum(self._closest, self._vectors @ chosen, out=self._closest)
        found = _least(self._closest, allowed)
        return int(self.rows[found]) if found >= 0 and self._closest[found] < self._rim else -1


def _least(values: NDArray[np.float32], allowed: NDArray[np.bool_]) -> int:
    """Where the least of the values stands that are allowed, -1 if none is."""
    found = int(np.argmin(np.where(allowed, values, np.inf)))
    return found if allowed[found] else -1
