"""Tighter cosine clusters: complete or average linkage inside the clusters of single linkage."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from morphoindex.errors import UsageError
from morphoindex.indexer.clustering.cutting import longest_edge
from morphoindex.indexer.clustering.labels import NOISE, renumber

Linkage = Literal["complete", "average"]

LARGEST = 8192
"""The largest single linkage cluster that is divided further: its distances take 0.5 GiB, and some seconds."""


def subdivide(
    vectors: NDArray[np.float32],
    labels: NDArray[np.int64],
    keys: NDArray[np.bytes_] | NDArray[np.str_],
    threshold: float,
    linkage: Linkage,
) -> NDArray[np.int64]:
    """Divide the clusters of single linkage at a threshold by complete or average linkage at the same threshold.

    The result is that of complete or average linkage over everything: of two groups that merge at a threshold some two
    members reach it, so that no group reaches over two clusters of single linkage. Where cosines are equal the order of
    the keys decides: the result is a function of the set of specimens. O(Σ size² d) time, O(largest size²) memory.

    Args:
        vectors: float32 [n, d], unit length.
        labels: int64 [n], clusters of single linkage at the threshold, -1 for noise (`cutting.cut`).
        keys: fixed-length bytes or str [n], the content id of each specimen, none twice.
        threshold: cosine in [-1, 1].
        linkage: "complete": all pairs in a cluster reach the threshold; "average": a cluster is put together from two
            parts only where the mean cosine between them reaches it.

    Returns:
        int64 [n], numbered by first member; -1 for noise.

    Raises:
        UsageError: a cluster of single linkage has more than 8,192 members.
    """
    order = np.argsort(keys, kind="stable")
    order = order[np.argsort(labels[order], kind="stable")]
    bounds = np.searchsorted(labels[order], np.arange(labels.max(initial=NOISE) + 2))
    largest = int(np.diff(bounds).max(initial=0))
    if largest > LARGEST:
        raise UsageError(
            f"{linkage} linkage: {largest:,} specimens hang together at threshold {threshold:g}, and it can divide "
            f"{LARGEST:,} at most; take a higher threshold, or single linkage"
        )
    result = np.full(len(labels), NOISE, np.int64)
    found = 0
    for start, stop in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        members = order[start:stop]
        groups = _groups(vectors[members], threshold, linkage)
        sizes = np.bincount(groups)
        result[members] = np.where(sizes[groups] >= 2, found + groups, NOISE)
        found += len(sizes)
    return renumber(result)


def _groups(vectors: NDArray[np.float32], threshold: float, linkage: Linkage) -> NDArray[np.int64]:
    if len(vectors) <= 2:  # a pair of one cluster of single linkage reaches the threshold
        return np.zeros(len(vectors), np.int64)
    from scipy.cluster.hierarchy import fcluster
    from scipy.cluster.hierarchy import linkage as agglomerate
    from scipy.spatial.distance import pdist

    # ‖x − y‖² / 2 is 1 − cos, and keeps its digits near 0; pdist works it out from the two vectors alone
    distances = pdist(vectors.astype(np.float64), "sqeuclidean") / 2
    highest = longest_edge(threshold) ** 2 / 2
    groups: NDArray[np.int64] = fcluster(agglomerate(distances, linkage), highest, "distance").astype(np.int64) - 1
    return groups
