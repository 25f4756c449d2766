"""Cosine clusters: the dendrogram of plain distances, cut at a threshold or at many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from morphoindex.indexer.clustering.dendrogram import Dendrogram
from morphoindex.indexer.clustering.distances import chord
from morphoindex.indexer.clustering.kernels import kernel

_ROUNDING = 1e-6  # a float32 cosine that is just the threshold counts as reaching it


@dataclass(frozen=True)
class Step:
    """What a threshold gives.

    Attributes:
        threshold: the cosine.
        clusters: of at least two specimens.
        singles: specimens in none.
        largest: the size of the largest cluster, 0 where there is none.
    """

    threshold: float
    clusters: int
    singles: int
    largest: int


def longest_edge(threshold: float) -> float:
    """The Euclidean distance up to which two unit vectors count as reaching a cosine."""
    return chord(threshold) + _ROUNDING


def cut(merges: Dendrogram, threshold: float, min_size: int = 2) -> NDArray[np.int64]:
    """Clusters whose members hang together by steps of at least this cosine: single linkage, cut.

    O(n) time and memory.

    Args:
        merges: of n specimens, by plain distance.
        threshold: cosine in [-1, 1].
        min_size: the least size of a cluster; smaller ones are noise.

    Returns:
        int64 [n], numbered by first member; -1 for noise.
    """
    kept = int(np.searchsorted(merges.weight, longest_edge(threshold), side="right"))
    labels = np.empty(len(merges), np.int64)
    top, number = np.full(len(merges) + kept, -1, np.int32), np.full(kept, -1, np.int32)
    _cut(merges.left, merges.right, merges.size, min_size, top, number, labels)
    return labels


def sweep(merges: Dendrogram, thresholds: Sequence[float]) -> tuple[Step, ...]:
    """What each of many thresholds would give, in one pass over the merges.

    O(n + t log n) time for t thresholds, O(n) memory.

    Args:
        merges: of n specimens, by plain distance.
        thresholds: cosines in [-1, 1], in any order.

    Returns:
        A step for each threshold, in their order.
    """
    n = len(merges)
    alone = (merges.left < n).astype(np.int64) + (merges.right < n)  # of the two that a merge joins
    clusters = np.concatenate([[0], np.cumsum(alone - 1)])  # two single ones make a cluster, two clusters become one
    singles = n - np.concatenate([[0], np.cumsum(alone)])
    largest = np.concatenate([[0], np.maximum.accumulate(merges.size)])
    kept = np.searchsorted(merges.weight, [longest_edge(threshold) for threshold in thresholds], side="right")
    return tuple(
        Step(threshold, int(clusters[i]), int(singles[i]), int(largest[i]))
        for threshold, i in zip(thresholds, kept.tolist(), strict=True)
    )


@kernel
def _cut(
    left: NDArray[np.int32],
    right: NDArray[np.int32],
    size: NDArray[np.int32],
    min_size: int,
    top: NDArray[np.int32],
    number: NDArray[np.int32],
    labels: NDArray[np.int64],
) -> None:
    """Hand the topmost of the first `len(number)` merges down; a parent has a higher rank than its child."""
    kept, n = len(number), len(labels)
    for i in range(kept - 1, -1, -1):
        if top[n + i] < 0:
            top[n + i] = i
        top[left[i]] = top[n + i]
        top[right[i]] = top[n + i]
    found = 0
    for i in range(n):
        labels[i] = -1
        group = top[i]
        if group < 0:
            if min_size <= 1:
                labels[i] = found
                found += 1
        elif size[group] >= min_size:
            if number[group] < 0:
                number[group] = found
                found += 1
            labels[i] = number[group]
