"""Labels of clusters: integers, numbered by first member."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

NOISE = -1
Selection = Literal["eom", "leaf"]


def rows_by_label(labels: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """The rows of each cluster, in order; noise is left out: `[1, -1, 0, 1]` -> `[[2], [0, 3]]`."""
    order = np.argsort(labels, kind="stable")
    bounds = np.searchsorted(labels[order], np.arange(labels.max(initial=NOISE) + 2))
    return np.split(order, bounds)[1:-1]


def renumber(labels: NDArray[np.integer]) -> NDArray[np.int64]:
    """Number clusters in the order of their first members: `[7, -1, 2, 7]` -> `[0, -1, 1, 0]`."""
    found, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty(len(found), np.int64)
    rank[np.argsort(np.where(found == NOISE, -1, first))] = np.arange(len(found))
    if len(found) and found[0] == NOISE:
        rank -= 1
    return rank[inverse]
