"""What a sample is worth: how near everything is to it, and how evenly it is spread."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_BLOCK = 4096  # rows


def distance_to_nearest(vectors: NDArray[np.float32], chosen: NDArray[np.int64]) -> NDArray[np.float32]:
    """Cosine distance float32 [n], in [0, 2], of each specimen to the nearest chosen one; 0 for the chosen.

    The largest is the coverage radius of the sample. O(n k d).

    Args:
        vectors: float32 [n, d], unit length.
        chosen: int64 [k], positions, at least one.
    """
    some = np.ascontiguousarray(vectors[chosen].T)
    rows = range(0, len(vectors), _BLOCK)
    nearest = np.concatenate([(vectors[i : i + _BLOCK] @ some).max(axis=1) for i in rows])
    distances: NDArray[np.float32] = np.clip(1 - nearest, 0, 2)
    distances[chosen] = 0
    return distances


def evenness(counts: NDArray[np.int64]) -> float:
    """How evenly a sample is spread over groups: Pielou's J, their entropy as a share of what it could be.

    1 where all groups, or as many as the sample has specimens, have the same; 0 where one has all of several.
    `[5, 5]` -> 1.0, `[9, 1]` -> 0.47, `[1, 1, 0]` -> 1.0.

    Args:
        counts: int64 [g], specimens of the sample in each group, including groups that have none.
    """
    total = int(counts.sum())
    most = min(len(counts), total)
    if most < 2:
        return 1.0
    shares = counts[counts > 0] / total
    return abs(float((shares * np.log(shares)).sum() / np.log(most)))
