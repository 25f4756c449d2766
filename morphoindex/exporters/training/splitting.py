"""Training, held-out and test parts that share no picture: stratified by class, with groups on one side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from morphoindex.errors import UsageError
from morphoindex.exporters.training.pictures import Pictures

Numbers = npt.NDArray[np.int64]
TRAIN, TEST, HELD_OUT = 0, 1, 2
SHARES = (0.7, 0.15, 0.15)  # in this order
_THUMBNAIL = 16  # pixels a side
_LIKENESS = 4.0  # root mean square of the difference, in levels of 255
_BLOCK = 2048


def groups_of(pictures: Pictures, *columns: Sequence[str]) -> Numbers:
    """Number the groups that have to stay together.

    Files of equal bytes, pictures that look the same at 16 × 16 pixels (a copy that was scaled or saved again), and
    files with the same value in a column are one group; so are those that are linked through others.

    Args:
        pictures: N.
        columns: N values each; an empty one links nothing.

    Returns:
        int64 [N], from 0 up. O(N²) time, O(N) memory.
    """
    pairs = [*_alike(pictures), *(_equal(values) for values in (pictures.contents, *columns))]
    rows, others = np.concatenate(pairs, axis=1)
    graph = coo_array((np.ones(len(rows), np.bool_), (rows, others)), shape=(len(pictures), len(pictures)))
    numbers: Numbers = connected_components(graph, directed=False)[1].astype(np.int64)
    return numbers


def split(groups: Numbers, classes: Numbers, seed: int, shares: Sequence[float] = SHARES) -> Numbers:
    """Divide photographs into parts, each class by the same shares as far as its groups allow.

    Args:
        groups: int64 [N]; a group that has several classes counts as of the first.
        classes: int64 [N].
        seed: of the order in which groups are dealt out.
        shares: of the parts; a class with few groups has them in the parts that stand first.

    Returns:
        int64 [N], the number of the part.
    """
    rng = np.random.default_rng([seed, 1])
    numbers, first, sizes = np.unique(groups, return_index=True, return_counts=True)
    of_group = np.zeros(len(numbers), np.int64)
    for each in np.unique(classes):
        members = rng.permutation(np.flatnonzero(classes[first] == each))
        wanted = np.array(shares) * sizes[members].sum()
        taken = np.zeros(len(shares))
        for place, member in enumerate(members):
            part = place if place < len(shares) else int(np.argmax(wanted - taken))
            of_group[member] = part
            taken[part] += sizes[member]
    return of_group[np.searchsorted(numbers, groups)]


def two_parts(groups: Numbers, seed: int) -> Numbers:
    """Training and held-out part of photographs without labels, as TRAIN and HELD_OUT.

    Raises:
        UsageError: they are all of one group.
    """
    if groups.max() == 0:
        raise UsageError(
            f"the {len(groups)} photographs are all alike or of one group: none can be held out to measure on"
        )
    parts = split(groups, np.zeros_like(groups), seed, (1 - SHARES[HELD_OUT], SHARES[HELD_OUT]))
    return np.where(parts == 1, HELD_OUT, TRAIN)


def _equal(values: Sequence[str]) -> Numbers:
    """Each row and the first with its value: ["a", "", "a"] -> [[0, 2], [0, 0]]."""
    first: dict[str, int] = {}
    rows = np.array([row for row, value in enumerate(values) if value], np.int64)
    return np.stack([rows, np.array([first.setdefault(values[row], row) for row in rows], np.int64)])


def _alike(pictures: Pictures) -> list[Numbers]:
    """Pairs of rows whose thumbnails differ by less than _LIKENESS."""
    thumbnails = _thumbnails(pictures.pixels)
    squares = (thumbnails * thumbnails).sum(axis=1)
    most = _LIKENESS**2 * thumbnails.shape[1]
    pairs = []
    for start in range(0, len(thumbnails), _BLOCK):
        block = thumbnails[start : start + _BLOCK]
        distances = squares[start : start + _BLOCK, None] + squares - 2 * (block @ thumbnails.T)
        pairs.append(np.stack(np.nonzero(distances < most)) + np.array([[start], [0]]))
    return pairs


def _thumbnails(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Means over a grid of at most 16 × 16 cells: float32 [N, cells * 3]."""
    size = pixels.shape[1]
    edges = np.unique(np.arange(_THUMBNAIL) * size // _THUMBNAIL)
    widths = np.diff(np.append(edges, size)).astype(np.float32)
    means = []
    for start in range(0, len(pixels), _BLOCK):
        block = pixels[start : start + _BLOCK].astype(np.float32)
        sums = np.add.reduceat(np.add.reduceat(block, edges, axis=1), edges, axis=2)
        means.append(sums / (widths[:, None, None] * widths[:, None]))
    return np.concatenate(means).reshape(len(pixels), -1)
