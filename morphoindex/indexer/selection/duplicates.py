"""Near-duplicates: which pairs to look at, what groups confirmed pairs make, and which of a group to keep."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SAME_PICTURE = 0.97
"""Cosine from which on specimens are taken for copies where their pictures are not looked at."""


@dataclass(frozen=True, order=True)
class Quality:
    """What makes a picture the one to keep; the least is the best.

    Attributes:
        pixels: less than none, since more are better: -width * height; blur: likewise, the negative sharpness.
        time: of capture, ISO 8601; "~", which is after all times, where it is not known.
        path, id: to settle the rest.
    """

    pixels: int
    blur: float
    time: str
    path: str
    id: str


def proposals(
    near: NDArray[np.int32], far: NDArray[np.float64], known: NDArray[np.int32], k: int, cosine: float
) -> NDArray[np.int64]:
    """Pairs of which one is among the k nearest of the other, and that reach a cosine. O(n k log(n k)).

    Args:
        near: int32 [n, K], rows of the nearest others; far: float64 [n, K], distances of unit vectors, ascending;
            known: int32 [n], how many entries of each are valid.
        k: at most K.
        cosine: in [-1, 1].

    Returns:
        int64 [p, 2], the lower row first, in order, each pair once.
    """
    n, width = len(near), min(k, near.shape[1])
    valid = np.arange(width) < known[:, None]
    valid &= far[:, :width] ** 2 <= 2 - 2 * cosine + 1e-9
    a, b = np.nonzero(valid)[0], near[:, :width][valid].astype(np.int64)
    code = np.unique(np.minimum(a, b) * n + np.maximum(a, b)) if n else np.empty(0, np.int64)
    return np.stack([code // max(n, 1), code % max(n, 1)], axis=1)


def groups_of(
    n: int, pairs: NDArray[np.int64], agreement: NDArray[np.float64], distinct: Iterable[tuple[int, int]] = ()
) -> list[list[int]]:
    """Groups that hang together by pairs, without two members that are said to be distinct.

    The pairs join in order of agreement, the surest first; one that would bring two distinct members together is
    passed over. `n=4, [[0, 1], [1, 2]], [1.0, 0.9], {(0, 2)}` -> `[[0, 1]]`.

    Args:
        n: rows.
        pairs: int64 [p, 2], the lower row first; agreement: float64 [p].
        distinct: pairs of rows.

    Returns:
        Rows of each group of two and more, ascending; the groups by first row.
    """
    parent = list(range(n))
    members = {row: [row] for row in np.unique(pairs).tolist()}
    foes: dict[int, set[int]] = {}
    for a, b in distinct:
        foes.setdefault(a, set()).add(b)
        foes.setdefault(b, set()).add(a)
    order = np.lexsort((pairs[:, 1], pairs[:, 0], -agreement))
    for a, b in pairs[order].tolist():
        one, other = sorted((_root(parent, a), _root(parent, b)), key=lambda root: len(members[root]))
        if one == other or any(foes[m] & set(members[other]) for m in members[one] if m in foes):
            continue
        parent[one] = other
        members[other] += members.pop(one)
    return sorted(sorted(some) for some in members.values() if len(some) > 1)


def best(group: Sequence[int], quality: Mapping[int, Quality]) -> int:
    """The one to keep: the most pixels, then the sharpest, then the earliest."""
    return min(group, key=lambda row: quality[row])


def _root(parent: list[int], row: int) -> int:
    while parent[row] != row:
        parent[row] = parent[parent[row]]
        row = parent[row]
    return row
