"""What a batch of specimens does to the neighbour lists, in threads."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from morphoindex.indexer.clustering.distances import Vectors, distances
from morphoindex.indexer.clustering.neighbours import Lists, fill_new, update_old
from morphoindex.indexer.clustering.threads import parts, together
from morphoindex.indexer.clustering.tiles import Tile
from morphoindex.indexer.clustering.trees import Edges, Points

_GROUPS = 8  # into how many groups a tile's blocks are divided, for each neighbour, to bound the farthest one
_LEAST_GROUPS = 256


def limits(points: Points, lists: Lists, rows: slice | NDArray[np.int32]) -> Vectors:
    """Squared distances [r] within which somebody may be nearer to each of r rows than the last of its list."""
    far, known = lists.far[rows], lists.known[rows]
    last = far[np.arange(len(known)), known - 1]
    return np.where(known > 0, last**2 + points.margin, -np.inf).astype(points.vectors.dtype)


def enlist(points: Points, lists: Lists, tile: Tile, rows: NDArray[np.int32], depth: int) -> Edges:
    """Let a batch into the lists of the rows that it reached. O(r m) for r of these.

    Args:
        points, lists, tile: of n rows.
        rows: int32 [r].
        depth: see below.

    Returns:
        Pairs of a row and one of the `depth` neighbours it had, where those changed.
    """
    fallen = np.empty(len(rows), np.int32)
    former, length = np.empty((len(rows), depth), np.int32), np.empty((len(rows), depth))

    def updated(part: tuple[int, int]) -> slice:
        some = slice(*part)
        count = update_old(
            tile.squared, points.vectors, points.ids, tile.batch, points.margin, lists.near, lists.far, lists.known,
            rows[some], fallen[some], former[some], length[some],
        )  # fmt: skip
        return slice(some.start, some.start + count)

    found = together(updated, parts(len(rows))) if len(rows) else [slice(0)]
    who, whom, far = (np.concatenate([array[part] for part in found]) for array in (fallen, former, length))
    edges = Edges(np.column_stack([np.repeat(who, depth), whom.ravel()]), far.ravel())
    return edges.where(edges.ends[:, 1] >= 0)


def find_lists(points: Points, lists: Lists, tile: Tile) -> None:
    """Fill the empty lists of a batch. O(n m / 16), and exact distances for what lies within reach."""
    reach = _reach(tile.blocks, lists.near.shape[1], points.margin)

    def columns(part: tuple[int, int]) -> None:
        fill_new(
            tile.squared, tile.blocks, points.vectors, points.ids, tile.batch, reach, lists.near, lists.far,
            lists.known, *part,
        )  # fmt: skip

    together(columns, parts(len(tile.batch)))


def _reach(blocks: Vectors, room: int, margin: float) -> Vectors:
    """Squared distances [m] that at least `room` others lie within."""
    groups = max(_LEAST_GROUPS, _GROUPS * room)
    least = blocks[:groups].copy()
    for start in range(groups, len(blocks), groups):
        more = blocks[start : start + groups]
        np.minimum(least[: len(more)], more, out=least[: len(more)])
    if len(least) <= room + 1:  # one more than asked for: the least of all may be the specimen itself
        return np.full(blocks.shape[1], np.inf, blocks.dtype)
    bound: Vectors = np.partition(least, room, axis=0)[room] + blocks.dtype.type(margin)
    return bound


def pairs(points: Points, ends: NDArray[np.int32]) -> Edges:
    """Pairs of rows with their exact distances."""
    length = np.empty(len(ends))
    distances(points.vectors, ends, length)
    return Edges(ends, length)
