"""Joining pairs one by one, such that no two boxes of one frame come together."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator, unused-ignore]
def cosines(vectors: NDArray[np.float32], a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.float64]:
    """float64 [e], of pairs of rows a, b, int64 [e], of float32 [n, d]; sums as written, the same anywhere."""
    found = np.empty(len(a))
    for e in range(len(a)):
        product = one = other = 0.0
        for k in range(vectors.shape[1]):
            x, y = np.float64(vectors[a[e], k]), np.float64(vectors[b[e], k])
            product += x * y
            one += x * x
            other += y * y
        found[e] = product / np.sqrt(one * other)
    return found


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator, unused-ignore]
def join_exclusively(  # noqa: C901  a kernel is one loop: what it would call is slower
    a: NDArray[np.int64], b: NDArray[np.int64], by_frame: NDArray[np.int64], begin: NDArray[np.int64],
    end: NDArray[np.int64], boxes: NDArray[np.int64],
) -> NDArray[np.int64]:  # fmt: skip
    """Kruskal's rounds over pairs in their order, each left out that would join two boxes of one frame.

    O(e α + c f) for e pairs, of which c come between two groups, and f boxes to a frame, as long as two groups that
    share a frame are found to do so early; O(n log n) for what is joined.

    Args:
        a, b: int64 [e], rows, the surest pairs first.
        by_frame: int64 [n], all rows, those of a frame side by side.
        begin, end: int64 [n], per row, where the rows of its frame stand in `by_frame`; equal where it has none.
        boxes: int64 [n], of the box in its frame.

    Returns:
        int64 [n], a row for each group, the same for all of its members.
    """
    n = len(boxes)
    parent = np.arange(n)
    following = np.arange(n)  # the members of a group in a ring
    size = np.ones(n, np.int64)
    for e in range(len(a)):
        x, y = a[e], b[e]
        while parent[x] != x:
            parent[x] = parent[parent[x]]
            x = parent[x]
        while parent[y] != y:
            parent[y] = parent[parent[y]]
            y = parent[y]
        if x == y:
            continue
        if size[x] < size[y]:
            x, y = y, x
        member, exclusive = y, False
        while not exclusive:
            for at in range(begin[member], end[member]):
                other = by_frame[at]
                if boxes[other] == boxes[member]:
                    continue
                while parent[other] != other:
                    parent[other] = parent[parent[other]]
                    other = parent[other]
                if other == x:
                    exclusive = True
                    break
            member = following[member]
            if member == y:
                break
        if exclusive:
            continue
        parent[y] = x
        size[x] += size[y]
        following[x], following[y] = following[y], following[x]
    for i in range(n):
        x = i
        while parent[x] != x:
            x = parent[x]
        parent[i] = x
    return parent
