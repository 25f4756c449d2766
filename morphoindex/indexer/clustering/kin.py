"""Nearest neighbours among those in question: the own community, and the communities next to it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from morphoindex.indexer.clustering.labels import rows_by_label
from morphoindex.indexer.clustering.threads import blas_alone, together
from morphoindex.indexer.clustering.whitening import means, unit

_ASKED = 2048  # points that are looked at for each, at least; all, where there are fewer
_COMMUNITIES = 3  # whose points are looked at, at least
_TILE = 1 << 22  # cosines that are held at once


def kin(
    points: NDArray[np.float32], labels: NDArray[np.int64], reach: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The nearest others of each point, among the members of its community and of those whose means lie nearest.

    O(n (2048 + largest community) d), by BLAS.

    Args:
        points: float32 [n, d], unit length.
        labels: int64 [n], the community of each; none is empty.
        reach: int64 [n], how many neighbours to find; the same in a community.

    Returns:
        int64 [n, k], the neighbours from near to far, and float32 [n, k], their cosines; -1 from the reach on.
    """
    n, k = len(points), min(int(reach.max(initial=0)), len(points) - 1)
    members = rows_by_label(labels)
    centres = unit(means(points, labels))
    near, cosines = np.zeros((n, k), np.int64), np.full((n, k), -1, np.float32)

    def find(community: int) -> None:
        asked = np.sort(np.concatenate([members[other] for other in _beside(community, centres, members)]))
        own = members[community]
        count = min(int(reach[own[0]]), len(asked) - 1)
        step = max(1, _TILE // len(asked))
        for some in (own[start : start + step] for start in range(0, len(own), step)):
            found = points[some] @ points[asked].T
            found[np.arange(len(some)), np.searchsorted(asked, some)] = -np.inf
            nearest = np.argpartition(-found, count - 1, axis=1)[:, :count]
            values = np.take_along_axis(found, nearest, axis=1)
            ranked = np.lexsort((nearest, -values), axis=1)
            near[some, :count] = asked[np.take_along_axis(nearest, ranked, axis=1)]
            cosines[some, :count] = np.maximum(np.take_along_axis(values, ranked, axis=1), -0.999)

    if k:
        with blas_alone:
            together(find, range(len(members)))
    return near, cosines


def _beside(community: int, centres: NDArray[np.float32], members: list[NDArray[np.int64]]) -> list[int]:
    """Communities from near to far, itself first, until enough points are among them."""
    cosines = centres @ centres[community]
    cosines[community] = np.inf
    nearest: list[int] = np.argsort(-cosines, kind="stable").tolist()
    asked = 0
    for count, other in enumerate(nearest):
        if asked >= _ASKED and count >= _COMMUNITIES:
            return nearest[:count]
        asked += len(members[other])
    return nearest
