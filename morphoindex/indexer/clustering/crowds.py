"""Crowds: subtrees of a dendrogram that a specimen far from all of them meets as if they were one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from morphoindex.indexer.clustering.kernels import kernel


@dataclass(frozen=True)
class Crowds:
    """The largest subtrees of a dendrogram that have no more than a given number of specimens.

    Attributes:
        of: int32 [n], the crowd of each row; -1 for those that are in none.
        begin, end: int32 [g], crowd c is `post[begin[c] : end[c]]` of the dendrogram's post-order.
        upper: int32 [u], that post-order with crowd c in the place of its subtree, as -1 - e - c, where e is the number
            of the dendrogram's merges.
    """

    of: NDArray[np.int32]
    begin: NDArray[np.int32]
    end: NDArray[np.int32]
    upper: NDArray[np.int32]

    def __len__(self) -> int:
        """How many there are."""
        return len(self.begin)


def crowds(post: NDArray[np.int32], n: int, sizes: tuple[int, int]) -> Crowds:
    """Find the crowds of a dendrogram. O(n).

    Args:
        post: int32 [2 s − 1], the dendrogram of s of n rows in post-order (see `walking.thin`).
        n: rows.
        sizes: the least number of specimens in a crowd, at least 2, and the greatest.
    """
    begin, end = np.empty((2, len(post) // (2 * sizes[0]) + 1), np.int32)
    stack = np.empty((66, 2), np.int32)  # begin, and number of specimens; larger sides first: log2(n) high at most
    count = _find(post, *sizes, stack, begin, end)
    at = np.full(len(post), -1, np.int32)
    at[begin[:count]] = np.arange(count)
    of, upper = np.full(n, -1, np.int32), np.empty(len(post), np.int32)
    height = _replace(post, at, end, of, upper)
    return Crowds(of, begin[:count], end[:count], upper[:height])


@kernel
def _find(
    post: NDArray[np.int32], least: int, most: int, stack: NDArray[np.int32], begin: NDArray[np.int32],
    end: NDArray[np.int32],
) -> int:  # fmt: skip
    """Where the crowds begin and end, in the order in which they turn out to be the largest; gives their number."""
    top = -1
    count = 0
    for place in range(len(post)):
        if post[place] >= 0:
            top += 1
            stack[top, 0], stack[top, 1] = place, 1
            continue
        middle = stack[top, 0]
        left, right = stack[top - 1, 1], stack[top, 1]
        top -= 1
        stack[top, 1] = left + right
        if left + right <= most:
            continue
        if least <= left <= most:
            begin[count], end[count] = stack[top, 0], middle
            count += 1
        if least <= right <= most:
            begin[count], end[count] = middle, place
            count += 1
    if top == 0 and least <= stack[0, 1] <= most:
        begin[count], end[count] = 0, len(post)
        count += 1
    return count


@kernel
def _replace(
    post: NDArray[np.int32], at: NDArray[np.int32], end: NDArray[np.int32], of: NDArray[np.int32],
    upper: NDArray[np.int32],
) -> int:  # fmt: skip
    """Fill `of` and `upper`, given which crowd begins at each place, or -1; gives the length of `upper`."""
    height = 0
    place = 0
    while place < len(post):
        crowd = at[place]
        if crowd < 0:
            upper[height] = post[place]
            place += 1
        else:
            upper[height] = -1 - len(post) // 2 - crowd
            for step in range(place, end[crowd]):
                if post[step] >= 0:
                    of[post[step]] = crowd
            place = end[crowd]
        height += 1
    return height
