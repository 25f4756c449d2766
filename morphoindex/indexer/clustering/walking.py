"""Which edges from new specimens to a spanning tree can matter: a walk over the tree's merges."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from morphoindex.indexer.clustering.distances import Row, Vectors, distance, pair_before, prefetch
from morphoindex.indexer.clustering.kernels import inner, kernel

_AHEAD = 12  # entries of the dendrogram


@inner
def _reaching(distance: float, one: float, other: float) -> float:
    """The mutual reachability distance, from a distance and two core distances; or the same of their squares."""
    core = one if one > other else other
    return distance if distance > core else core


@inner
def _push(
    tile: Vectors, place: Row, node: Row, base: float, own: Vectors, least: Vectors, where: NDArray[np.int32],
    to: np.int32,
) -> None:  # fmt: skip
    """Squared mutual reachability distances of one row of a tile to all columns, into row `to` of `least`."""
    for c in range(len(own)):
        least[to, c] = _reaching(tile[place, c], base, own[c])
        where[to, c] = node


@inner
def _meet(
    least: Vectors, where: NDArray[np.int32], columns: int, one: np.int32, other: np.int32, to: np.int32, bound: float,
    slack: float,
) -> bool:  # fmt: skip
    """The lesser of two rows of `least` in each column, and whose it is, into a third one.

    Rows are given by their numbers: to cut them out would cost as much as to compare them.

    Returns:
        Whether in any column the greater value is within the bound, or the two are too close to tell apart.
    """
    found = np.int32(0)
    for c in range(columns):
        x, y = least[one, c], least[other, c]
        first = x < y
        large = y if first else x
        found |= np.int32((large <= bound) | (abs(x - y) <= slack))
        least[to, c] = x if first else y
        where[to, c] = where[one, c] if first else where[other, c]
    return bool(found)


@inner
def _meet_row(
    tile: Vectors, place: Row, node: Row, base: float, own: Vectors, least: Vectors, where: NDArray[np.int32],
    one: np.int32, to: np.int32, bound: float, slack: float,
) -> bool:  # fmt: skip
    """`_meet` with a row as `_push` would write it."""
    found = np.int32(0)
    for c in range(len(own)):
        x, y = least[one, c], _reaching(tile[place, c], base, own[c])
        first = x < y
        large = y if first else x
        found |= np.int32((large <= bound) | (abs(x - y) <= slack))
        least[to, c] = x if first else y
        where[to, c] = where[one, c] if first else node
    return bool(found)


@inner
def _nearest_of(
    crowd: Row, column: Row, tile: Vectors, post: NDArray[np.int32], begin: NDArray[np.int32], end: NDArray[np.int32],
    p: Row, core: NDArray[np.float64], vectors: Vectors, ids: NDArray[np.uint64], slack: float,
) -> np.int32:  # fmt: skip
    """The specimen of a crowd with the least edge to p, by exact distances where a tile cannot tell. O(crowd)."""
    kind = tile.dtype.type
    own = kind(core[p] ** 2)
    least = kind(np.inf)
    for step in range(begin[crowd], end[crowd]):
        i = post[step]
        if i >= 0:
            value = _reaching(tile[i, column], kind(core[i] ** 2), own)
            least = value if value < least else least
    nearest = np.int32(-1)
    d, w = np.inf, np.inf
    for step in range(begin[crowd], end[crowd]):
        i = post[step]
        if i < 0 or _reaching(tile[i, column], kind(core[i] ** 2), own) > least + slack:
            continue
        f = distance(vectors, p, i)
        v = _reaching(f, core[i], core[p])
        if nearest < 0 or pair_before(v, f, p, i, w, d, p, nearest, ids):
            nearest, d, w = i, f, v
    return nearest


@inner
def _cut_out(
    tile: Vectors, subtree: NDArray[np.int32], near: NDArray[np.int32], batch: NDArray[np.int32], own: Vectors,
    part: Vectors, places: NDArray[np.int32], some: NDArray[np.int32], some_own: Vectors,
) -> None:  # fmt: skip
    """The rows of a subtree's leaves and the columns `near`, out of a tile, a batch and its core distances."""
    width = len(some)
    for x in range(width):
        some[x], some_own[x] = batch[near[x]], own[near[x]]
    row = np.int32(0)
    for step in range(len(subtree)):
        places[step] = -1
        if subtree[step] >= 0:
            for x in range(width):
                part[row, x] = tile[subtree[step], near[x]]
            places[step] = row
            row += 1


def thin(
    tile: Vectors, batch: NDArray[np.int32], first: int, post: NDArray[np.int32], upper: NDArray[np.int32],
    begin: NDArray[np.int32], end: NDArray[np.int32], a: NDArray[np.int32], b: NDArray[np.int32],
    length: NDArray[np.float64], weight: NDArray[np.float64], core: NDArray[np.float64], vectors: Vectors,
    ids: NDArray[np.uint64], margin: float, ends: NDArray[np.int32], lengths: NDArray[np.float64],
) -> int:  # fmt: skip
    """The edges from each specimen of a batch to a tree that a minimum spanning tree of both can need. O(n m).

    For one new specimen p these are its edges in the minimum spanning tree of the old tree and p (Spira and Pan, SIAM
    J. Comput. 4, 1975, treat one vertex so). A crowd, all of whose specimens are farther away from p than the longest
    edge in it, has one such edge at most: p meets it as a leaf, whose least distance the tile has. Other crowds are
    walked through for those columns alone that they are near to. Then all columns walk over what lies above the crowds.

    Args:
        tile: [n + .., m] squared distances from every row to the specimens of the batch; from row `first` on, the least
            ones to each crowd, which become the least mutual reachability distances where a crowd is walked through.
            (On a second call such a column may count as far: if all of its edges are longer than the crowd's own.)
        batch: int32 [m], their rows.
        post: int32 [2 s − 1], the dendrogram of the tree's s vertices in post-order, larger side first: rows, and
            -1 - e for the merge by edge e.
        upper, begin, end: its crowds (see `crowds.Crowds`).
        a, b, length, weight: the tree's edges [s − 1] in the total order.
        core: float64 [n], core distances; zeros for plain distances.
        vectors, ids: float [n, d], uint64 [n, 2].
        margin: of the tile.
        ends: int32 [capacity, 2]; lengths: float64 [capacity], the edges that were found, out.

    Returns:
        How many were found; where that is more than `capacity`, the rest is missing.
    """
    m = len(batch)
    height = max(2, (len(post) - 1).bit_length()) + 3
    longest = int((end - begin).max(initial=0))
    near, few, nearest = np.empty((3, m), np.int32)
    own = (core[batch] ** 2).astype(tile.dtype)
    return _thin(
        tile, batch, first, post, upper, begin, end, a, b, length, weight, core, vectors, ids, margin,
        np.empty((height, m), tile.dtype), np.empty((height, m), np.int32), np.arange(height, dtype=np.int32),
        np.empty((longest // 2 + 1) * m, tile.dtype), np.empty(max(longest, len(upper)), np.int32), near, few, own,
        np.empty(m, tile.dtype), nearest, np.empty(m), ends, lengths,
    )  # fmt: skip


@kernel
def _thin(
    tile: Vectors, batch: NDArray[np.int32], first: int, post: NDArray[np.int32], upper: NDArray[np.int32],
    begin: NDArray[np.int32], end: NDArray[np.int32], a: NDArray[np.int32], b: NDArray[np.int32],
    length: NDArray[np.float64], weight: NDArray[np.float64], core: NDArray[np.float64], vectors: Vectors,
    ids: NDArray[np.uint64], margin: float, least: Vectors, where: NDArray[np.int32], slot: NDArray[np.int32],
    room: Vectors, places: NDArray[np.int32], near: NDArray[np.int32], few: NDArray[np.int32], own: Vectors,
    own_few: Vectors, nearest: NDArray[np.int32], reach: NDArray[np.float64], ends: NDArray[np.int32],
    lengths: NDArray[np.float64],
) -> int:  # fmt: skip
    """`thin`, with room to work in.

    The stack is rows `slot` of `least` and `where`. A crowd is cut out into `room`, its nodes' rows there are `places`,
    its columns `near`, their specimens `few`; `own` and `own_few` are squared core distances. Per column, `nearest` is
    the last one found nearest by its exact distance, `reach`.
    """
    m = len(batch)
    merges = len(weight)
    kind = tile.dtype.type
    slack = kind(margin)
    count = 0
    for crowd in range(len(begin) + 1):
        width = 0
        if crowd == len(begin):  # what lies above all crowds
            for step in range(len(upper)):
                node = upper[step]
                places[step] = node if node >= 0 else (first - 1 - merges - node if node < -merges else -1)
            subtree, part, some, some_own, width = upper, tile, batch, own, m
        else:
            bound = kind(kind(weight[-1 - post[end[crowd] - 1]] ** 2) + margin)
            for c in range(m):
                near[width] = c
                width += int(tile[first + crowd, c] <= bound)
            if not width:
                continue
            subtree = post[begin[crowd] : end[crowd]]
            part = room[: (len(subtree) // 2 + 1) * width].reshape(len(subtree) // 2 + 1, width)
            some, some_own = few[:width], own_few[:width]
            _cut_out(tile, subtree, near, batch, own, part, places, some, some_own)
        for c in range(width):
            nearest[c] = -1
        top = -1
        last, base = np.int32(-1), kind(0)
        for step in range(len(subtree)):
            node = subtree[step]
            if step + _AHEAD < len(subtree) and places[step + _AHEAD] >= 0:
                prefetch(part, places[step + _AHEAD])
            place = places[step]
            if place >= 0:
                # a crowd's row has its core distances in it, or is beyond all of them
                last, base = node, kind(core[node] ** 2) if node >= 0 else kind(0)
                top += 1
                if step == 0 or places[step + 1] >= 0:
                    _push(part, place, last, base, some_own, least, where, slot[top])
                continue
            e = -1 - node
            top -= 1
            one, other, to = slot[top], slot[top + 1], slot[-1]
            bound = kind(kind(weight[e] ** 2) + margin)
            before = places[step - 1]
            if before >= 0:  # the smaller side is one leaf: no need to store it before it is compared
                close = _meet_row(part, before, last, base, some_own, least, where, one, to, bound, slack)
                if close:
                    _push(part, before, last, base, some_own, least, where, other)
            else:
                close = _meet(least, where, width, one, other, to, bound, slack)
            slot[top], slot[-1] = to, one
            if not close:
                continue
            for c in range(width):
                small, large = least[one, c], least[other, c]
                if small > large:
                    small, large = large, small
                if large > bound and large - small > slack:
                    continue
                p, i, j = some[c], where[one, c], where[other, c]
                if i < 0:
                    i = _nearest_of(-1 - merges - i, c, tile, post, begin, end, p, core, vectors, ids, slack)
                if j < 0:
                    j = _nearest_of(-1 - merges - j, c, tile, post, begin, end, p, core, vectors, ids, slack)
                if nearest[c] != i:
                    nearest[c], reach[c] = i, distance(vectors, p, i)
                d, f = reach[c], distance(vectors, p, j)
                w, v = _reaching(d, core[p], core[i]), _reaching(f, core[p], core[j])
                if pair_before(v, f, p, j, w, d, p, i, ids):
                    nearest[c], reach[c] = j, f
                    i, j = j, i
                    d, f = f, d
                    w, v = v, w
                least[to, c], where[to, c] = small, i
                if large > bound or pair_before(weight[e], length[e], a[e], b[e], v, f, p, j, ids):
                    continue
                if count < len(lengths):
                    ends[count, 0], ends[count, 1] = p, j
                    lengths[count] = f
                count += 1
        if crowd < len(begin):
            for x in range(width):
                tile[first + crowd, near[x]] = least[slot[0], x]
    for c in range(m):
        i = where[slot[0], c]
        if i < 0:
            i = _nearest_of(-1 - merges - i, c, tile, post, begin, end, batch[c], core, vectors, ids, kind(margin))
        if count < len(lengths):
            ends[count, 0], ends[count, 1] = batch[c], i
            lengths[count] = distance(vectors, batch[c], i)
        count += 1
    return count
