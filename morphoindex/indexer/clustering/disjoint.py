"""Sets that are joined: union-find over an array of parents."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from morphoindex.indexer.clustering.kernels import inner


@inner
def root(parent: NDArray[np.int32], i: np.int32) -> np.int32:
    """The root of i in a forest of parents; each on the way is hung under its grandparent (path halving). O(α)."""
    x = i
    while parent[x] != x:
        parent[x] = parent[parent[x]]
        x = parent[x]
    return x
