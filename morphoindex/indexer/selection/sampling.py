"""Diverse subsets: groups give one specimen in turn, each the one that adds most to what it gave before."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray


def sample(vectors: NDArray[np.float32], groups: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Choose specimens from groups in turn, large groups first.

    What is in no group (-1) gives as one group, after the others. Within a group: the one nearest the centre first,
    then always the one farthest from those chosen (Gonzalez 1985).
    O(n d) per specimen chosen, spread over the groups.

    Args:
        vectors: float32 [n, d], unit length.
        groups: int64 [n], -1 for none.
        count: how many to choose; at most n are.

    Returns:
        int64 [min(count, n)], positions in the order chosen, none twice.
    """
    values, sizes = np.unique(groups, return_counts=True)
    order = values[np.lexsort((-sizes, values < 0))]
    turns = [_spread(vectors, np.flatnonzero(groups == value)) for value in order]
    chosen: list[int] = []
    while turns and len(chosen) < count:
        remaining = []
        for turn in turns:
            pick = next(turn, None)
            if pick is not None:
                chosen.append(pick)
                remaining.append(turn)
        turns = remaining
    return np.array(chosen[:count], np.int64)


def _spread(vectors: NDArray[np.float32], members: NDArray[np.int64]) -> Iterator[int]:
    """All members, the nearest to their centre first, then each farthest from those before it."""
    own = vectors[members]
    closest = np.full(len(members), -np.inf, np.float32)  # cosine to the nearest chosen one; inf once chosen itself
    pick = int(np.argmax(own @ own.mean(axis=0)))
    for _ in range(len(members)):
        yield int(members[pick])
        np.maximum(closest, own @ own[pick], out=closest)
        closest[pick] = np.inf
        pick = int(np.argmin(closest))
