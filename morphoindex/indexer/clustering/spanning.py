"""A minimum spanning tree that takes in new specimens: which edges can matter, and Kruskal over those."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from morphoindex.indexer.clustering.disjoint import root
from morphoindex.indexer.clustering.distances import Vectors, distance, pair_before, prefetch
from morphoindex.indexer.clustering.kernels import inner, kernel

_AHEAD = 12  # entries of the dendrogram


@inner
def _push(
    tile: Vectors, node: np.int32, base: float, own: Vectors, least: Vectors, where: NDArray[np.int32], to: np.int32
) -> None:
    """Squared mutual reachability distances of one row to all columns, into row `to` of `least`."""
    for c in range(len(own)):
        value = tile[node, c]
        value = value if value > base else base
        value = value if value > own[c] else own[c]
        least[to, c] = value
        where[to, c] = node


@inner
def _meet(
    least: Vectors, where: NDArray[np.int32], one: np.int32, other: np.int32, to: np.int32, bound: float, slack: float
) -> bool:
    """The lesser of two rows of `least` in each column, and whose it is, into a third one.

    Rows are given by their numbers: to cut them out would cost as much as to compare them.

    Returns:
        Whether in any column the greater value is within the bound, or the two are too close to tell apart.
    """
    found = np.int32(0)
    for c in range(least.shape[1]):
        x, y = least[one, c], least[other, c]
        first = x < y
        large = y if first else x
        found |= np.int32((large <= bound) | (abs(x - y) <= slack))
        least[to, c] = x if first else y
        where[to, c] = where[one, c] if first else where[other, c]
    return bool(found)


@inner
def _meet_row(
    tile: Vectors, node: np.int32, base: float, own: Vectors, least: Vectors, where: NDArray[np.int32], one: np.int32,
    to: np.int32, bound: float, slack: float,
) -> bool:  # fmt: skip
    """`_meet` with a row as `_push` would write it."""
    found = np.int32(0)
    for c in range(len(own)):
        x, y = least[one, c], tile[node, c]
        y = y if y > base else base
        y = y if y > own[c] else own[c]
        first = x < y
        large = y if first else x
        found |= np.int32((large <= bound) | (abs(x - y) <= slack))
        least[to, c] = x if first else y
        where[to, c] = where[one, c] if first else node
    return bool(found)


@kernel
def thin(
    tile: Vectors, batch: NDArray[np.int32], post: NDArray[np.int32], a: NDArray[np.int32], b: NDArray[np.int32],
    length: NDArray[np.float64], weight: NDArray[np.float64], core: NDArray[np.float64], vectors: Vectors,
    ids: NDArray[np.uint64], margin: float, ends: NDArray[np.int32], lengths: NDArray[np.float64],
) -> int:  # fmt: skip
    """The edges from each specimen of a batch to a tree that a minimum spanning tree of both can need. O(n m).

    For one new specimen p these are its edges in the minimum spanning tree of the old tree and p. Walking the old
    tree's merges from the bottom up, the least edge from p into either side is known. At a merge, the greater of the
    two can only matter if it is less than the merge's own edge: otherwise it is the greatest of the cycle that it
    closes with the lesser one and the path between them (Spira and Pan, SIAM J. Comput. 4, 1975, treat one vertex so).
    All columns of the tile walk together.

    Args:
        tile: [n, m] squared distances from every row to the specimens of the batch.
        batch: int32 [m], their rows.
        post: int32 [2 s − 1], the dendrogram of the tree's s vertices in post-order, larger side first: rows, and
            -1 - e for the merge by edge e.
        a, b, length, weight: the tree's edges [s − 1] in the total order.
        core: float64 [n], core distances; zeros for plain distances.
        vectors, ids: float [n, d], uint64 [n, 2].
        margin: of the tile.
        ends: int32 [capacity, 2]; lengths: float64 [capacity], the edges that were found, out.

    Returns:
        How many were found; where that is more than `capacity`, the rest is missing.
    """
    m = len(batch)
    room = len(lengths)
    depth = 2
    while 1 << depth < len(post):
        depth += 1
    kind = tile.dtype.type
    least = np.empty((depth + 3, m), tile.dtype)
    where = np.empty((depth + 3, m), np.int32)
    slot = np.empty(depth + 3, np.int32)  # which row of these each place of the stack has; the last one is spare
    for c in range(len(slot)):
        slot[c] = c
    own = np.empty(m, tile.dtype)
    nearest = np.empty(m, np.int32)  # per column, the last one found nearest by its exact distance
    reach = np.empty(m)
    for c in range(m):
        own[c] = kind(core[batch[c]] ** 2)
        nearest[c] = -1
    slack = kind(margin)
    count = 0
    top = -1
    leaf, base = np.int32(-1), kind(0)
    for step in range(len(post)):
        node = post[step]
        ahead = post[min(step + _AHEAD, len(post) - 1)]
        if ahead >= 0:
            prefetch(tile, ahead)
        if node >= 0:
            leaf, base = node, kind(core[node] ** 2)
            top += 1
            if step == 0 or post[step + 1] >= 0:
                _push(tile, node, base, own, least, where, slot[top])
            continue
        e = -1 - node
        top -= 1
        one, other, to = slot[top], slot[top + 1], slot[-1]
        merge = kind(weight[e] ** 2)
        bound = kind(merge + margin)
        if post[step - 1] >= 0:  # the smaller side is one specimen: no need to store it before it is compared
            close = _meet_row(tile, leaf, base, own, least, where, one, to, bound, slack)
            if close:
                _push(tile, leaf, base, own, least, where, other)
        else:
            close = _meet(least, where, one, other, to, bound, slack)
        slot[top], slot[-1] = to, one
        if not close:
            continue
        for c in range(m):
            small, large = least[one, c], least[other, c]
            if small > large:
                small, large = large, small
            if large > bound and large - small > slack:
                continue
            p, i, j = batch[c], where[one, c], where[other, c]
            if nearest[c] != i:
                nearest[c], reach[c] = i, distance(vectors, p, i)
            d, f = reach[c], distance(vectors, p, j)
            w, v = max(max(core[p], core[i]), d), max(max(core[p], core[j]), f)
            if pair_before(v, f, p, j, w, d, p, i, ids):
                nearest[c], reach[c] = j, f
                i, j = j, i
                d, f = f, d
                w, v = v, w
            least[to, c], where[to, c] = small, i
            if large > bound or pair_before(weight[e], length[e], a[e], b[e], v, f, p, j, ids):
                continue
            if count < room:
                ends[count, 0], ends[count, 1] = p, j
                lengths[count] = f
            count += 1
    for c in range(m):
        if count < room:
            ends[count, 0], ends[count, 1] = batch[c], where[slot[0], c]
            lengths[count] = distance(vectors, batch[c], where[slot[0], c])
        count += 1
    return count


@kernel
def span(
    tile: Vectors, batch: NDArray[np.int32], core: NDArray[np.float64], vectors: Vectors, ids: NDArray[np.uint64],
    margin: float, ends: NDArray[np.int32], lengths: NDArray[np.float64],
) -> None:  # fmt: skip
    """The minimum spanning tree of a batch alone: Prim, O(m²), exact distances only for what may be an edge.

    Args:
        tile, batch, core, vectors, ids, margin: as for `thin`.
        ends: int32 [m − 1, 2]; lengths: float64 [m − 1], its edges, out.
    """
    m = len(batch)
    kind = tile.dtype.type
    outside = np.empty(m, np.bool_)
    parent = np.empty(m, np.int32)
    length, weight = np.empty(m), np.empty(m)
    bound = np.empty(m, tile.dtype)
    for c in range(m):
        outside[c] = True
        parent[c] = -1
        bound[c] = np.inf
    current = 0
    for step in range(m - 1):
        outside[current] = False
        p = batch[current]
        row = tile[p]
        nearest = -1
        for c in range(m):
            if not outside[c]:
                continue
            q = batch[c]
            if row[c] <= bound[c]:
                d = distance(vectors, p, q)
                w = max(max(core[p], core[q]), d)
                if parent[c] < 0 or pair_before(w, d, p, q, weight[c], length[c], batch[parent[c]], q, ids):
                    parent[c], length[c], weight[c] = current, d, w
                    bound[c] = kind(w**2 + margin)
            if nearest < 0 or pair_before(
                weight[c], length[c], batch[parent[c]], q,
                weight[nearest], length[nearest], batch[parent[nearest]], batch[nearest], ids,
            ):  # fmt: skip
                nearest = c
        current = nearest
        ends[step, 0], ends[step, 1] = batch[parent[current]], batch[current]
        lengths[step] = length[current]


@kernel
def kruskal(
    a: NDArray[np.int32], b: NDArray[np.int32], length: NDArray[np.float64], weight: NDArray[np.float64],
    skip: NDArray[np.bool_], ends: NDArray[np.int32], lengths: NDArray[np.float64], weights: NDArray[np.float64],
    ids: NDArray[np.uint64], out_ends: NDArray[np.int32], out: NDArray[np.float64], merges: NDArray[np.int32],
) -> int:  # fmt: skip
    """Kruskal over a sorted tree and sorted candidates, merged as they go. O((n + c) α).

    Args:
        a, b, length, weight: the edges of the tree so far, in the total order; those with `skip` are left out.
        ends, lengths, weights: candidates [c, 2], [c], [c] in the total order.
        ids: uint64 [n, 2].
        out_ends: int32 [n − 1, 2]; out: float64 [n − 1, 2]: the ends, and length and weight of the new edges, out.
        merges: int32 [n − 1, 3]: the dendrogram, out: left and right side (a row, or n + e), and size.

    Returns:
        The number of edges.
    """
    n = len(ids)
    parent, top = np.empty(n, np.int32), np.empty(n, np.int32)
    for i in range(n):
        parent[i] = top[i] = i
    count = 0
    e = 0
    c = 0
    while e < len(a) or c < len(lengths):
        if e < len(a) and skip[e]:
            e += 1
            continue
        if c == len(lengths) or (
            e < len(a)
            and pair_before(weight[e], length[e], a[e], b[e], weights[c], lengths[c], ends[c, 0], ends[c, 1], ids)
        ):
            i, j, d, w = a[e], b[e], length[e], weight[e]
            e += 1
        else:
            i, j, d, w = ends[c, 0], ends[c, 1], lengths[c], weights[c]
            c += 1
        x, y = root(parent, np.int32(i)), root(parent, np.int32(j))
        if x == y:
            continue
        left, right = top[x], top[y]
        size_left = merges[left - n, 2] if left >= n else 1
        size_right = merges[right - n, 2] if right >= n else 1
        if size_left < size_right:
            x, y = y, x
            left, right = right, left
        parent[y] = x
        top[x] = n + count
        merges[count, 0], merges[count, 1], merges[count, 2] = left, right, size_left + size_right
        out_ends[count, 0], out_ends[count, 1] = i, j
        out[count, 0], out[count, 1] = d, w
        count += 1
    return count


@kernel
def post_order(merges: NDArray[np.int32], n: int, post: NDArray[np.int32]) -> None:
    """The dendrogram below its last merge in post-order, larger sides first, so that a stack stays low. O(n).

    Args:
        merges: int32 [s − 1, 3], as `kruskal` gives them.
        n: merge e is node n + e.
        post: int32 [2 s − 1], out.
    """
    stack = np.empty(len(merges) + 2, np.int32)
    stack[0] = n + len(merges) - 1
    height = 1
    for place in range(len(post) - 1, -1, -1):
        height -= 1
        node = stack[height]
        post[place] = node if node < n else n - 1 - node
        if node >= n:  # written from the back: the smaller side is taken up first
            stack[height] = merges[node - n, 0]
            stack[height + 1] = merges[node - n, 1]
            height += 2
