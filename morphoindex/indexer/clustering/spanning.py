"""A minimum spanning tree of a batch, and Kruskal over a tree and what is new."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from morphoindex.indexer.clustering.disjoint import root
from morphoindex.indexer.clustering.distances import Vectors, distance, pair_before
from morphoindex.indexer.clustering.kernels import kernel


def span(
    tile: Vectors, batch: NDArray[np.int32], core: NDArray[np.float64], vectors: Vectors, ids: NDArray[np.uint64],
    margin: float, ends: NDArray[np.int32], lengths: NDArray[np.float64],
) -> None:  # fmt: skip
    """The minimum spanning tree of a batch alone: Prim, O(m²), exact distances only for what may be an edge.

    Args:
        tile: [m, m] squared distances.
        batch: int32 [m], rows.
        core, vectors, ids, margin: as for `walking.thin`.
        ends: int32 [m − 1, 2]; lengths: float64 [m − 1], its edges, out.
    """
    m = len(batch)
    _prim(
        tile, batch, core, vectors, ids, margin, np.ones(m, np.bool_), np.full(m, -1, np.int32), np.empty(m),
        np.empty(m), np.full(m, np.inf, tile.dtype), ends, lengths,
    )  # fmt: skip


@kernel
def _prim(
    tile: Vectors, batch: NDArray[np.int32], core: NDArray[np.float64], vectors: Vectors, ids: NDArray[np.uint64],
    margin: float, outside: NDArray[np.bool_], parent: NDArray[np.int32], length: NDArray[np.float64],
    weight: NDArray[np.float64], bound: Vectors, ends: NDArray[np.int32], lengths: NDArray[np.float64],
) -> None:  # fmt: skip
    """`span`, with room to work in: per column, its edge to the tree so far, and what a shorter one is within."""
    m = len(batch)
    kind = tile.dtype.type
    current = 0
    for step in range(m - 1):
        outside[current] = False
        p = batch[current]
        row = tile[current]
        nearest = -1
        for c in range(m):
            if not outside[c]:
                continue
            q = batch[c]
            if row[c] <= bound[c]:
                d = distance(vectors, p, q)
                w = core[p] if core[p] > core[q] else core[q]
                w = d if d > w else w
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
    parent = np.arange(len(ids), dtype=np.int32)
    return _kruskal(
        a, b, length, weight, skip, ends, lengths, weights, ids, parent, parent.copy(), out_ends, out, merges
    )  # fmt: skip


@kernel
def _kruskal(
    a: NDArray[np.int32], b: NDArray[np.int32], length: NDArray[np.float64], weight: NDArray[np.float64],
    skip: NDArray[np.bool_], ends: NDArray[np.int32], lengths: NDArray[np.float64], weights: NDArray[np.float64],
    ids: NDArray[np.uint64], parent: NDArray[np.int32], top: NDArray[np.int32], out_ends: NDArray[np.int32],
    out: NDArray[np.float64], merges: NDArray[np.int32],
) -> int:  # fmt: skip
    """`kruskal`, with each row a set and a node of its own in `parent` and `top`."""
    n = len(ids)
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


def post_order(merges: NDArray[np.int32], n: int, post: NDArray[np.int32]) -> None:
    """The dendrogram below its last merge in post-order, larger sides first, so that a stack stays low. O(n).

    Args:
        merges: int32 [s − 1, 3], as `kruskal` gives them.
        n: merge e is node n + e.
        post: int32 [2 s − 1], out.
    """
    _post_order(merges, n, np.empty(len(merges) + 2, np.int32), post)


@kernel
def _post_order(merges: NDArray[np.int32], n: int, stack: NDArray[np.int32], post: NDArray[np.int32]) -> None:
    """`post_order`, with room for s + 1 nodes."""
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
