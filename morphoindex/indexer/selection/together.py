"""Groups of several kinds, made one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


def united(groups: Sequence[NDArray[np.int64]], n: int) -> NDArray[np.int64]:
    """The components of n items that hang together by any of several groupings. O(n) for each.

    `[[0, 0, -1], [-1, 5, 5]], 3` -> `[0, 0, 0]`; `[], 2` -> `[0, 1]`

    Args:
        groups: each int64 [n]; equal numbers hang together, -1 is in no group.
        n: how many items.

    Returns:
        int64 [n], numbers from 0 in order of first appearance.
    """
    edges = [edges_of(group) for group in groups]
    a = np.concatenate([np.empty(0, np.int64), *(edge[0] for edge in edges)])
    b = np.concatenate([np.empty(0, np.int64), *(edge[1] for edge in edges)])
    graph = coo_array((np.ones(len(a), np.int8), (a, b)), shape=(n, n))
    labels = connected_components(graph, directed=False)[1] if n else np.empty(0, np.int64)
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    number = np.empty(len(first), np.int64)
    number[np.argsort(first)] = np.arange(len(first))
    return number[inverse]


def edges_of(group: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """A chain through the members of each group: `[7, -1, 7, 7]` -> `[0, 2], [2, 3]`."""
    order = np.argsort(group, kind="stable")
    order = order[group[order] >= 0]
    linked = group[order[:-1]] == group[order[1:]]
    return order[:-1][linked], order[1:][linked]


def numbered(values: Iterable[object]) -> NDArray[np.int64]:
    """A number for each value, from 0 in order of first appearance; -1 for None: `["b", None, "b"]` -> `[0, -1, 0]`."""
    seen: dict[object, int] = {}
    return np.array([-1 if value is None else seen.setdefault(value, len(seen)) for value in values], np.int64)
