"""Near-duplicate groups, and which of a group to keep."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def groups_of(labels: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Positions of the members of each label from 0 up: `[0, -1, 1, 0]` -> `[[0, 3], [2]]`."""
    order = np.argsort(labels, kind="stable")
    order = order[labels[order] >= 0]
    _, starts = np.unique(labels[order], return_index=True)
    return np.split(order, starts[1:]) if len(order) else []


def best(group: NDArray[np.int64], quality: Sequence[tuple[int, int, str]]) -> int:
    """The position to keep: the most pixels, then the most bytes, then the first by id.

    Args:
        group: positions.
        quality: per specimen (pixels, bytes, id).
    """
    return int(min(group.tolist(), key=lambda i: (-quality[i][0], -quality[i][1], quality[i][2])))
