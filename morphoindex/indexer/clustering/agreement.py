"""How alike two sets of vectors of the same specimens are: by neighbours, and by clusters."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from morphoindex.indexer.clustering.labels import NOISE

_TILE = 1 << 24  # cosines that are held at once


def shared_neighbours(
    a: NDArray[np.float32], b: NDArray[np.float32], k: int, rows: NDArray[np.int64]
) -> NDArray[np.int64]:
    """How many of the k nearest others of some specimens are the same in both. O(m n d).

    Args:
        a: float32 [n, d], unit length.
        b: float32 [n, e], unit length, of the same specimens.
        k: below n.
        rows: int64 [m], the specimens looked at.

    Returns:
        int64 [m], each from 0 to k. Of several at the same distance across the end of the k it is open which count.
    """
    found = [np.empty(0, np.int64)]
    step = max(1, _TILE // len(a))
    for start in range(0, len(rows), step):
        some = rows[start : start + step]
        near_a, near_b = _nearest(a, some, k), _nearest(b, some, k)
        found.append((near_a[:, :, np.newaxis] == near_b[:, np.newaxis, :]).sum(axis=(1, 2)))
    return np.concatenate(found)


def agreement(a: NDArray[np.int64], b: NDArray[np.int64]) -> tuple[float, float] | None:
    """Adjusted mutual information (Vinh et al. 2010) and adjusted Rand index (Hubert & Arabie 1985) of two clusterings.

    Over the specimens that are in a cluster of both; None where there are none.

    Args:
        a: int64 [n], -1 for noise.
        b: int64 [n], -1 for noise, of the same specimens.
    """
    from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score

    both = (a != NOISE) & (b != NOISE)
    if not both.any():
        return None
    return float(adjusted_mutual_info_score(a[both], b[both])), float(adjusted_rand_score(a[both], b[both]))


def _nearest(vectors: NDArray[np.float32], rows: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    cosines = vectors[rows] @ vectors.T
    cosines[np.arange(len(rows)), rows] = -np.inf
    return np.argpartition(-cosines, k - 1, axis=1)[:, :k]
