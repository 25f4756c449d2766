"""Splits in which what belongs together stays on one side, and which keep what they have when they grow.

Specimens belong together by groupings, each an array with a number for every specimen. What has a side keeps it. A new
specimen goes where its groups are (`extend`); one whose groups are on two sides is held back, because it would tell
the one side of the other. New specimens that belong to nothing that has a side are dealt out, group by group, such that
every class and the whole come near to the shares asked for (`deal`).
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FREE = -1
"""In place of a side: none yet."""
HELD = -2
"""In place of a side: held back."""
_WHOLE = 2.0  # what the sizes of the sides count for beside the balance of a class
_CELLS = 1 << 24  # of a block of cosines: 64 MiB


def extend(
    groupings: Sequence[NDArray[np.int64]], sides: NDArray[np.int64], rank: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Let free specimens join the side of their groups, at once or by way of others. O(n g log n) for g groupings.

    One that would join two sides is held back, and joins nothing. With groups 0 0 1 1, 1 joins 0 and 2 joins 3; had a
    second grouping 1 and 2 together, the later of them were held back.

    Args:
        groupings: each int64 [n]; equal numbers belong together, -1 to nothing.
        sides: int64 [n], from 0; FREE.
        rank: int64 [n], a permutation; of two that cannot both join, the lower joins.

    Returns:
        int64 [n]: those that had a side have it; the others a side, HELD, or FREE where nothing of theirs has a side.
    """
    sides = sides.copy()
    members = [_members(grouping, np.flatnonzero(sides == FREE)) for grouping in groupings]
    seen: list[dict[int, int]] = []  # group -> its sides, a bit for each
    for grouping in groupings:
        bits: dict[int, int] = {}
        for i in np.flatnonzero((sides >= 0) & (grouping >= 0)).tolist():
            bits[int(grouping[i])] = bits.get(int(grouping[i]), 0) | 1 << int(sides[i])
        seen.append(bits)
    waiting = [
        (int(rank[i]), i) for own, bits in zip(members, seen, strict=True) for group in bits for i in own.get(group, ())
    ]
    heapq.heapify(waiting)
    while waiting:
        _, i = heapq.heappop(waiting)
        if sides[i] != FREE:
            continue
        own_groups = [int(grouping[i]) for grouping in groupings]
        met = 0
        for group, bits in zip(own_groups, seen, strict=True):
            met |= bits.get(group, 0)
        if met & (met - 1):
            sides[i] = HELD
            continue
        sides[i] = met.bit_length() - 1
        for group, bits, own in zip(own_groups, seen, members, strict=True):
            if group >= 0 and group not in bits:
                bits[group] = met
                for j in own[group]:
                    heapq.heappush(waiting, (int(rank[j]), j))
    return sides


def deal(
    units: NDArray[np.int64], classes: NDArray[np.int64], sides: NDArray[np.int64], ratios: NDArray[np.float64],
    rank: NDArray[np.int64],
) -> NDArray[np.int64]:  # fmt: skip
    """Give every free unit a side, whole. O(u log u + n) for u units.

    The units of the rarest class go first, of these the large ones, and each goes where the sum of have² / share over
    the sides grows least, for each of its classes and, twice as important, for the whole: the divisor method of
    Sainte-Laguë, which keeps to the shares without favour for large or small ones. A class with one unit goes to the
    largest share; what is larger than a side does not go there.

    Args:
        units: int64 [n], the unit of each free specimen; others are not looked at.
        classes: int64 [n], from 0.
        sides: int64 [n]; FREE are dealt, HELD count for nothing.
        ratios: float64 [s], above 0, sum 1.
        rank: int64 [n], a permutation: units that are equal in all else go by their lowest.

    Returns:
        int64 [n], without FREE.
    """
    sides = sides.copy()
    counted = sides != HELD
    of_class = np.bincount(classes[counted], minlength=int(classes.max(initial=0)) + 1).astype(np.float64)
    have = np.zeros((len(of_class), len(ratios)))
    placed = sides >= 0
    np.add.at(have, (classes[placed], sides[placed]), 1)
    total, whole = have.sum(axis=0), float(counted.sum())
    ordered = []
    for members in _members(units, np.flatnonzero(sides == FREE)).values():
        present, counts = np.unique(classes[members], return_counts=True)
        rarest = float(of_class[present].min())
        ordered.append((rarest, -len(members), int(rank[members].min()), members, present, counts))
    ordered.sort(key=lambda unit: unit[:3])
    for _, _, _, members, present, counts in ordered:
        sizes = counts[:, None]
        cost = (sizes * (have[present] + sizes / 2) / of_class[present][:, None]).sum(axis=0)
        cost += _WHOLE * len(members) * (total + len(members) / 2) / whole
        side = int(np.argmin(cost / ratios))
        sides[members] = side
        have[present, side] += counts
        total[side] += len(members)
    return sides


def leaks(grouping: NDArray[np.int64], sides: NDArray[np.int64]) -> list[tuple[int, int]]:
    """A pair on two sides of each group that has members on several: `[7, 7, -1], [0, 1, 0]` -> `[(0, 1)]`. O(n)."""
    first: dict[int, int] = {}
    found: dict[int, tuple[int, int]] = {}
    for i in np.flatnonzero((grouping >= 0) & (sides >= 0)).tolist():
        other = first.setdefault(int(grouping[i]), i)
        if sides[other] != sides[i]:
            found.setdefault(int(grouping[i]), (other, i))
    return list(found.values())


def closest_across(vectors: NDArray[np.float32], sides: NDArray[np.int64]) -> tuple[int, int, float] | None:
    """The most similar pair on two sides, and its cosine; None where there is none.

    Looks at every pair across, by BLAS, in blocks of 64 MiB: O(m n d) for the m that are not on the largest side.

    Args:
        vectors: float32 [n, d], unit length.
        sides: int64 [n]; what is below 0 is left out.
    """
    used = np.flatnonzero(sides >= 0)
    if len(np.unique(sides[used])) < 2:
        return None
    largest = int(np.argmax(np.bincount(sides[used])))
    small = used[sides[used] != largest]
    against, step = vectors[used], max(1, _CELLS // len(used))
    best: tuple[int, int, float] | None = None
    for start in range(0, len(small), step):
        rows = small[start : start + step]
        cosines = vectors[rows] @ against.T
        cosines[sides[rows][:, None] == sides[used][None, :]] = -np.inf
        at = int(np.argmax(cosines))
        row, column = divmod(at, len(used))
        if best is None or cosines[row, column] > best[2]:
            best = int(rows[row]), int(used[column]), float(cosines[row, column])
    return best


def _members(grouping: NDArray[np.int64], rows: NDArray[np.int64]) -> dict[int, list[int]]:
    """Group -> those of the rows that are in it."""
    found: dict[int, list[int]] = {}
    for i in rows[grouping[rows] >= 0].tolist():
        found.setdefault(int(grouping[i]), []).append(i)
    return found
