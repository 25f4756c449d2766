"""The single linkage dendrogram of a spanning tree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from morphoindex.indexer.clustering.disjoint import root
from morphoindex.indexer.clustering.kernels import kernel


@dataclass(frozen=True)
class Dendrogram:
    """The n − 1 merges of n specimens, in the order of the edges. Node i < n is specimen i; node n + i is merge i.

    What is worked out from it may depend on the order of the merges, but not on which side is left.

    Attributes:
        left, right: int32 [n − 1], the two nodes that a merge joins, each below n + i.
        size: int32 [n − 1], how many specimens are below a merge.
        weight: float64 [n − 1], the length at which they meet, from short to long.
    """

    left: NDArray[np.int32]
    right: NDArray[np.int32]
    size: NDArray[np.int32]
    weight: NDArray[np.float64]

    def __len__(self) -> int:
        """How many specimens there are."""
        return len(self.weight) + 1


def dendrogram(
    a: NDArray[np.int32] | NDArray[np.int64], b: NDArray[np.int32] | NDArray[np.int64], weight: NDArray[np.float64]
) -> Dendrogram:
    """Join the ends of one edge after the other.

    Edges `(0, 2), (0, 1)` -> left `[0, 3]`, right `[2, 1]`, size `[2, 3]`. O(n α(n)) time, O(n) memory.

    Args:
        a: int [n − 1], one end of each edge of a spanning tree of n ≥ 1 specimens, in the total order of the edges.
        b: int [n − 1], the other end.
        weight: float64 [n − 1], the length, from short to long.
    """
    merges = len(weight)
    left, right, size = (np.empty(merges, np.int32) for _ in range(3))
    node = np.arange(merges + 1, dtype=np.int32)
    _join(
        np.ascontiguousarray(a, np.int32), np.ascontiguousarray(b, np.int32), node.copy(), node,
        np.ones(merges + 1, np.int32), left, right, size,
    )  # fmt: skip
    return Dendrogram(left, right, size, np.ascontiguousarray(weight, np.float64))


@kernel
def _join(
    a: NDArray[np.int32],
    b: NDArray[np.int32],
    parent: NDArray[np.int32],
    node: NDArray[np.int32],
    below: NDArray[np.int32],
    left: NDArray[np.int32],
    right: NDArray[np.int32],
    size: NDArray[np.int32],
) -> None:
    """`node` is, of a root, the merge that all below it have come to, and `below` is how many they are."""
    n = len(a) + 1
    for i in range(n - 1):
        x = root(parent, a[i])
        y = root(parent, b[i])
        left[i] = node[x]
        right[i] = node[y]
        if below[x] < below[y]:
            x, y = y, x
        parent[y] = x
        below[x] += below[y]
        node[x] = n + i
        size[i] = below[x]
