"""Joining what is left of a tree, as far as the neighbour lists alone can prove the joining edges."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from morphoindex.indexer.clustering.disjoint import root
from morphoindex.indexer.clustering.distances import pair_before
from morphoindex.indexer.clustering.kernels import kernel


@kernel
def components(ends: NDArray[np.int32], parent: NDArray[np.int32]) -> None:
    """Label the rows that edges, int32 [c, 2], connect by one of them, in `parent`, int32 [n]. O((n + c) α)."""
    for i in range(len(parent)):
        parent[i] = i
    for e in range(len(ends)):
        x, y = root(parent, ends[e, 0]), root(parent, ends[e, 1])
        if x != y:
            parent[max(x, y)] = min(x, y)
    for i in range(len(parent)):
        parent[i] = root(parent, np.int32(i))


@kernel
def join(
    near: NDArray[np.int32], far: NDArray[np.float64], known: NDArray[np.int32], core: NDArray[np.float64],
    ids: NDArray[np.uint64], parent: NDArray[np.int32], ends: NDArray[np.int32], lengths: NDArray[np.float64],
) -> int:  # fmt: skip
    """Borůvka's rounds over the neighbour lists. O(n K) a round, at most log2(n) rounds.

    A component is joined by the least edge that its members' lists have, once that is less than any edge outside of
    the lists can be: a specimen that is not in the list of i lies no nearer to i than the list's last entry. Each
    edge found is thus in the minimum spanning tree that holds the given components.

    Args:
        near, far, known: the lists (see `neighbours.Lists`).
        core: float64 [n].
        ids: uint64 [n, 2].
        parent: int32 [n], a label of each row's component: one of its rows; joined in place.
        ends: int32 [n − 1, 2]; lengths: float64 [n − 1], the edges found, out.

    Returns:
        The number of edges found.
    """
    n = len(parent)
    best = np.empty(n, np.int32)  # per component, the member with the least edge outward
    to = np.empty(n, np.int32)
    length = np.empty(n)
    weight = np.empty(n)
    beyond = np.empty(n)  # what no edge outside of the lists is less than
    count = 0
    while True:
        for i in range(n):
            best[i] = -1
            weight[i] = beyond[i] = np.inf
        for i in range(n):
            x = root(parent, np.int32(i))
            size = known[i]
            if size < n - 1:
                beyond[x] = min(beyond[x], max(core[i], far[i, size - 1]) if size else 0.0)
            for s in range(size):
                d = far[i, s]
                if d > weight[x]:
                    break
                j = near[i, s]
                if root(parent, j) == x:
                    continue
                w = max(max(core[i], core[j]), d)
                if best[x] < 0 or pair_before(w, d, i, j, weight[x], length[x], best[x], to[x], ids):
                    best[x], to[x], length[x], weight[x] = i, j, d, w
        before = count
        for c in range(n):
            if best[c] < 0 or weight[c] >= beyond[c]:
                continue
            y, z = root(parent, best[c]), root(parent, to[c])
            if y == z:  # the other side chose the same edge
                continue
            parent[max(y, z)] = min(y, z)
            ends[count, 0], ends[count, 1] = best[c], to[c]
            lengths[count] = length[c]
            count += 1
        if count == before:
            return count
