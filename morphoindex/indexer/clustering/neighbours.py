"""The nearest neighbours of every specimen, kept exact while specimens come and go."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from morphoindex.indexer.clustering.blocks import PIECE, STRIDE
from morphoindex.indexer.clustering.distances import Vectors, distance, id_before, prefetch
from morphoindex.indexer.clustering.kernels import inner, kernel

_AHEAD = 2  # rows


@dataclass
class Lists:
    """Per specimen its nearest others, by distance and then by content id.

    Attributes:
        near: int32 [n, K], rows of the neighbours.
        far: float64 [n, K], their distances.
        known: int32 [n], how many entries are valid. They are the nearest of all: nobody outside the list is nearer
            than its last valid entry. Removing a specimen shortens lists; they grow again with what comes nearer.
    """

    near: NDArray[np.int32]
    far: NDArray[np.float64]
    known: NDArray[np.int32]

    def core(self, k: int, rows: slice | NDArray[np.int32] = slice(None)) -> NDArray[np.float64]:
        """Core distances float64 [r] of some rows, to the k-th nearest other specimen; of fewer, to the last.

        Infinite where a list is empty.
        """
        k = min(k, len(self.known) - 1)
        return np.ascontiguousarray(self.far[rows, k - 1]) if k > 0 else np.zeros(len(self.known[rows]))

    def cosines(self, k: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The k nearest of each, where vectors are of unit length: rows int64 [n, k], and cosines float64 [n, k].

        Where a list is shorter, row 0 and cosine -1.
        """
        there = np.arange(self.near.shape[1])[:k] < self.known[:, np.newaxis]
        near = np.where(there, self.near[:, :k], 0).astype(np.int64)
        return near, np.where(there, 1 - self.far[:, :k] ** 2 / 2, -1.0)


@inner
def insert(
    near: NDArray[np.int32], far: NDArray[np.float64], known: NDArray[np.int32], ids: NDArray[np.uint64],
    i: np.int32, j: np.int32, d: float,
) -> None:  # fmt: skip
    """Put j at distance d into the list of i, unless the list is full of nearer ones. O(K)."""
    size = known[i]
    room = near.shape[1]
    place = size
    while place > 0 and (d < far[i, place - 1] or (d == far[i, place - 1] and id_before(ids, j, near[i, place - 1]))):
        place -= 1
    if place == room:
        return
    last = size if size < room else room - 1
    for c in range(last, place, -1):
        near[i, c] = near[i, c - 1]
        far[i, c] = far[i, c - 1]
    near[i, place] = j
    far[i, place] = d
    known[i] = last + 1


@kernel
def update_old(
    tile: Vectors, vectors: Vectors, ids: NDArray[np.uint64], batch: NDArray[np.int32], margin: float,
    near: NDArray[np.int32], far: NDArray[np.float64], known: NDArray[np.int32], rows: NDArray[np.int32],
    fallen: NDArray[np.int32], former: NDArray[np.int32], length: NDArray[np.float64],
) -> int:  # fmt: skip
    """Let the specimens of a batch into the lists of some rows. O(rows m), and a distance for each that enters.

    Args:
        tile: [n, m] squared distances.
        vectors: [n, d]; ids: uint64 [n, 2]; batch: int32 [m], rows of the columns.
        margin: of the tile (see `distances.margin`).
        near, far, known: the lists. What is not in one lies no nearer than its last entry: none holds all others.
        rows: int32 [r], whose lists to look at; none of them is empty.
        fallen: int32 [r], rows whose first `depth` neighbours changed, out.
        former: int32 [r, depth], those neighbours as they were, -1 where there were fewer; length: float64 [r, depth],
            their distances; out.

    Returns:
        How many rows are in `fallen`.
    """
    count = 0
    m = tile.shape[1]
    depth = former.shape[1]
    for place in range(len(rows)):
        i = rows[place]
        if place + _AHEAD < len(rows):
            prefetch(vectors, rows[place + _AHEAD])
        bound = tile.dtype.type(far[i, known[i] - 1] ** 2 + margin)
        noted = False
        for c in range(m):
            if not tile[i, c] <= bound:
                continue
            d = distance(vectors, i, batch[c])
            last = known[i] - 1
            if d > far[i, last] or (d == far[i, last] and not id_before(ids, batch[c], near[i, last])):
                continue
            if depth and not noted and (known[i] < depth or d <= far[i, depth - 1]):
                fallen[count] = i
                for e in range(depth):
                    former[count, e] = near[i, e] if e < known[i] else -1
                    length[count, e] = far[i, e]
                count += 1
                noted = True
            insert(near, far, known, ids, i, batch[c], d)
    return count


@kernel
def fill_new(
    tile: Vectors, blocks: Vectors, vectors: Vectors, ids: NDArray[np.uint64], batch: NDArray[np.int32],
    reach: Vectors, near: NDArray[np.int32], far: NDArray[np.float64], known: NDArray[np.int32], start: int, stop: int,
) -> None:  # fmt: skip
    """Find the lists of the columns start … stop of a tile. O(n m / 16), and more for the blocks within reach.

    Args:
        tile: [n, m] squared distances; blocks: [b, m], the least of each block of rows (see blocks.py).
        vectors, ids, batch, near, far, known: as for `update_old`; the lists of the columns are empty.
        reach: [m], a squared distance, margin included, that at least as many others lie within as a list holds.
    """
    n = len(tile)
    for block in range(len(blocks)):
        found = np.int32(0)
        for c in range(start, stop):
            found |= np.int32(blocks[block, c] <= reach[c])
        if not found:
            continue
        piece = block // STRIDE * PIECE
        end = piece + PIECE if piece + PIECE < n else n
        for c in range(start, stop):
            if blocks[block, c] > reach[c]:
                continue
            for place in range(piece + block % STRIDE, end, STRIDE):
                i = np.int32(place)  # one type for all: each further one is compiled once more
                if tile[i, c] <= reach[c] and batch[c] != i:
                    insert(near, far, known, ids, batch[c], i, distance(vectors, batch[c], i))


@kernel
def shorten(
    near: NDArray[np.int32], far: NDArray[np.float64], known: NDArray[np.int32], kept: NDArray[np.bool_],
    number: NDArray[np.int32],
) -> None:  # fmt: skip
    """Take rows that are gone out of all lists, and give the others their new numbers. O(n K).

    Args:
        near, far, known: the lists.
        kept: bool [n]; number: int32 [n], the new row of those that are kept.
    """
    for i in range(len(known)):
        size = 0
        for s in range(known[i]):
            j = near[i, s]
            if kept[j]:
                near[i, size], far[i, size] = number[j], far[i, s]
                size += 1
        for s in range(size, known[i]):
            near[i, s], far[i, s] = -1, np.inf
        known[i] = size
