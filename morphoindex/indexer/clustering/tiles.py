"""Tiles: squared distances of all rows to a few of them, and what is noted while they are in the cache."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from morphoindex.indexer.clustering.blocks import PIECE, STRIDE, block_count
from morphoindex.indexer.clustering.distances import Vectors
from morphoindex.indexer.clustering.kernels import kernel
from morphoindex.indexer.clustering.rows import Rows
from morphoindex.indexer.clustering.threads import blas_alone, together, workers

_LANES = 16  # columns that kernels take at once; a tile of a multiple of them leaves none over
_NOBODY = np.empty((0, 0), np.int32)


@dataclass(frozen=True)
class Tile:
    """Squared distances of n rows to a batch of m of them.

    Attributes:
        batch: int32 [m], rows.
        squared: [n, m].
        whole: [n + g, m]: `squared`, and below it the least to each of g crowds.
        blocks: [b, m], the least to each block of rows (see blocks.py).
        reached: bool [n], rows that some of the batch may be nearer to than the last of their list.
    """

    batch: NDArray[np.int32]
    squared: Vectors
    whole: Vectors
    blocks: Vectors
    reached: NDArray[np.bool_]


class Workspace:
    """Tiles of a forest, one at a time, in one piece of memory.

    Attributes:
        most: columns of a tile; with more of them the rest of the work counts less.
        share: how much memory a tile may take, as a share of that of the vectors and lists it is made from.
        free: how many distances it may always have.
        group: specimens that are attached to the trees at once, where a tile is narrower than that.
        crowd: the least number of specimens in a crowd, at least 2, and the greatest.
    """

    most = 256
    share = 0.26
    free = 1 << 21
    group = 512
    crowd = 16, 256

    def __init__(self) -> None:
        self._memory = np.empty(0, np.float32)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_memory"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _memory=np.empty(0, np.float32))

    def batch_size(self, rows: Rows) -> int:
        """How many specimens a tile takes at a time."""
        a_row = rows.vectors.shape[1] + 3 * rows.near.shape[1]  # in units of a float32
        fair: int = max(_LANES, round(a_row * self.share / _LANES) * _LANES)
        return min(self.most, max(fair, self.free // max(1, rows.count)))

    def reserve(self, size: int, dtype: np.dtype[np.floating]) -> None:
        """Make room for tiles of so many distances."""
        if self._memory.size < size or self._memory.dtype != dtype:
            self._memory = np.empty(0, dtype)  # given back first
            self._memory = np.empty(size * 9 // 8, dtype)  # what is not used takes no memory

    def tile(
        self, rows: Rows, batch: NDArray[np.int32], limits: Vectors | None = None,
        crowds: NDArray[np.int32] = _NOBODY, count: int = 0,
    ) -> Tile:  # fmt: skip
        """The tile of a batch. O(n m d), by BLAS; all else is noted piece by piece, while it is in the cache.

        Args:
            rows: all n rows.
            batch: int32 [m].
            limits: [n], a squared distance for each row: who has somebody within it is `reached`.
            crowds: int32 [t, n], for each of t groupings the crowd of each row, below `count`; -1 for none.
            count: g, how many crowds there are.
        """
        vectors, n, m = rows.vectors[: rows.count], rows.count, len(batch)
        self.reserve((n + count) * m, vectors.dtype)
        whole = self._memory[: (n + count) * m].reshape(n + count, m)
        limits = np.full(n, -np.inf, vectors.dtype) if limits is None else limits
        blocks, reached = np.full((block_count(n), m), np.inf, whole.dtype), np.empty(n, np.bool_)
        least = np.full((workers(), count, m), np.inf, whole.dtype)
        pieces = iter(range(0, n, PIECE))  # whoever is free takes the next one
        chosen, own = vectors[batch], rows.squares[batch]

        def work(worker: int) -> None:
            for start in pieces:
                stop = min(n, start + PIECE)
                np.matmul(vectors[start:stop], chosen.T, out=whole[start:stop])
                measure(whole, rows.squares, own, limits, crowds, start, stop, blocks, reached, least[worker])

        with blas_alone:
            together(work, range(workers()))
        whole[n:] = least.min(axis=0)
        return Tile(batch, whole[:n], whole, blocks, reached)


@kernel
def measure(
    tile: Vectors, squares: Vectors, own: Vectors, limits: Vectors, crowds: NDArray[np.int32], start: int, stop: int,
    blocks: Vectors, reached: NDArray[np.bool_], least: Vectors,
) -> None:  # fmt: skip
    """Turn rows start … stop of inner products into squared distances, in place. O(rows m).

    Args:
        tile: [≥ n, m], inner products in, squared distances out.
        squares: [n], squared lengths of the vectors; own: [m], those that the columns stand for.
        limits: [n], see `Workspace.tile`.
        crowds: int32 [t, n], the crowd of each row in each of t groupings, -1 for none.
        start, stop: rows of this call, a piece.
        blocks: [b, m], the least of each block of rows, in and out.
        reached: bool [n], rows with a value within their limit, out.
        least: [g, m], the least of each crowd, in and out.
    """
    m = len(own)
    for i in range(start, stop):
        base, limit = squares[i], limits[i]
        block = start // PIECE * STRIDE + (i - start) % STRIDE
        for c in range(m):  # a loop for each thing: all in one would not become vector code
            product = tile[i, c]
            tile[i, c] = base + own[c] - (product + product)
        found = np.int32(0)
        for c in range(m):
            found |= np.int32(tile[i, c] <= limit)
        reached[i] = bool(found)
        for c in range(m):
            value, former = tile[i, c], blocks[block, c]
            blocks[block, c] = value if value < former else former
        for grouping in range(len(crowds)):
            crowd = crowds[grouping, i]
            if crowd >= 0:
                for c in range(m):
                    value, former = tile[i, c], least[crowd, c]
                    least[crowd, c] = value if value < former else former
