"""How far single linkage has chained: the least similar two members of each cluster."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from morphoindex.indexer.clustering.labels import rows_by_label

_ROWS, _COLUMNS = 1024, 4096
_SMALL = 512  # up to this many members all cosines are worked out at once, in float64
_UNIT = 2.0**-24  # rounding of one float32 operation


def least_similarities(vectors: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """The least cosine of any two members of each cluster, to the rounding of float64.

    O(Σ size² d) time at the most, O(largest size · d) memory: a large cluster is searched in float32 tiles, and only
    rows that come near its least cosine are worked out again in float64. Pairs of members whose distances to the
    centroid add up to less than the farthest distance known are left out: that spares most of the work where a cluster
    is a chain or has a few outliers, and nothing where all members are about as far from the centroid.

    Args:
        vectors: float32 [n, d], unit length.
        labels: int64 [n], 0 to clusters − 1; -1 for noise.

    Returns:
        float64 [clusters]; 1 for a cluster of one.
    """
    clusters = rows_by_label(labels)
    least = np.ones(len(clusters))
    for label, rows in enumerate(clusters):
        if len(rows) > 1:
            least[label] = _least_of_few(vectors[rows]) if len(rows) <= _SMALL else _least_of_many(vectors[rows])
    return least


def _least_of_few(members: NDArray[np.float32]) -> float:
    exact = members.astype(np.float64)
    cosines = exact @ exact.T
    np.fill_diagonal(cosines, np.inf)
    return float(cosines.min())


def _least_of_many(members: NDArray[np.float32]) -> float:
    radius = _distances_to_centroid(members)
    outwards = np.argsort(-radius, kind="stable")
    members, radius = members[outwards], radius[outwards]
    error = members.shape[1] * _UNIT  # of a float32 product of two unit vectors
    lowest = _lowest_of_rows(members, radius, error)
    near = np.flatnonzero(lowest.astype(np.float64) <= float(lowest.min()) + 2 * error)
    least = np.inf
    for some in _slices(len(near), _ROWS):
        rows = members[near[some]].astype(np.float64)
        for columns in _slices(len(members), _COLUMNS):
            cosines = rows @ members[columns].astype(np.float64).T
            _leave_out_selves(cosines, near[some], columns)
            least = min(least, float(cosines.min()))
    return least


def _distances_to_centroid(members: NDArray[np.float32]) -> NDArray[np.float64]:
    centroid = members.mean(axis=0, dtype=np.float64)
    return np.concatenate([
        np.linalg.norm(members[some] - centroid, axis=1) for some in _slices(len(members), _COLUMNS)
    ])  # fmt: skip


def _lowest_of_rows(members: NDArray[np.float32], radius: NDArray[np.float64], error: float) -> NDArray[np.float32]:
    """The least float32 cosine of each row with a later one; ∞ for rows that cannot have the least of all.

    Two members at distances r, s from the centroid are at most r + s apart (triangle inequality).
    """
    lowest = np.full(len(members), np.inf, np.float32)
    far = int(np.argmin(members @ members[0]))
    best = float((members @ members[far]).min())
    for rows in _slices(len(members), _ROWS):
        apart = np.sqrt(max(0.0, 2 - 2 * best - 2 * error - 1e-5))  # 1e-5: unit length is so to rounding
        stop = int(np.searchsorted(-radius, radius[rows.start] - apart, side="right"))
        if stop <= rows.start:
            break
        for columns in _slices(stop, _COLUMNS, rows.start):
            cosines = members[rows] @ members[columns].T
            _leave_out_selves(cosines, np.arange(rows.start, rows.stop), columns)
            np.minimum(lowest[rows], cosines.min(axis=1), out=lowest[rows])
        best = min(best, float(lowest[rows].min()))
    return lowest


def _leave_out_selves(
    cosines: NDArray[np.float32] | NDArray[np.float64], rows: NDArray[np.int64], columns: slice
) -> None:
    """Lift the cosine of each row with itself out of the way."""
    inside = np.flatnonzero((rows >= columns.start) & (rows < columns.stop))
    cosines[inside, rows[inside] - columns.start] = np.inf


def _slices(stop: int, step: int, start: int = 0) -> Iterator[slice]:
    return (slice(first, min(first + step, stop)) for first in range(start, stop, step))
