"""Names for specimens from their nearest named ones, and how near is near enough.

What is told apart are two questions to one list of nearest named specimens: whose name wins (`shares`), and whether
that name can be right at all (`nearness`, against the thresholds of `separate`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TEMPERATURE = 0.07
"""Of the vote: a neighbour that is 0.07 farther in cosine weighs 1/e of the other (Wu et al. 2018)."""
TOLERATED = 0.05
"""The share of each side that may be on the wrong side of its outer threshold."""
MEANS = (1, 2, 3, 5, 10, 20)
"""Over how many of the nearest the cosine may be averaged."""
WEIGHTS = (0.0, 0.25, 0.5, 0.75)
"""Which part of how close the surroundings are may be taken off."""
AROUND = 10
"""Over how many of the nearest the closeness of surroundings is averaged."""
_CELLS = 1 << 24  # of a block of cosines: 64 MiB


@dataclass(frozen=True)
class Apart:
    """The nearest rows of each query when its own are left out.

    Attributes:
        known_rows: int64 [q, k], nearest first, -1 where there are no more: its group and its copies left out.
        known: float32 [q, k], their cosines, -inf where there are no more.
        among: bool [q], whether another of its taxon is left then.
        novel_rows, novel: the same with all of its taxon left out too.
    """

    known_rows: NDArray[np.int64]
    known: NDArray[np.float32]
    among: NDArray[np.bool_]
    novel_rows: NDArray[np.int64]
    novel: NDArray[np.float32]


@dataclass(frozen=True)
class Measure:
    """How nearness is measured.

    Attributes:
        mean_of: over so many of the nearest.
        weight: the part of how close their surroundings are that is taken off.
        typical: how close surroundings are on the whole, so that nothing is taken off there.
    """

    mean_of: int
    weight: float
    typical: float


@dataclass(frozen=True)
class Separation:
    """Where known and novel part.

    Attributes:
        auroc: the chance that a known specimen lies nearer than a novel one; equal ones count half.
        threshold: where the mean of the two error rates is least; error: that mean.
        known_from: from here on, at most TOLERATED of the novel are; never below `threshold`.
        novel_below: below this, at most TOLERATED of the known are; never above `threshold`.
        known, novel: of each, the shares that are called known, near and novel.
    """

    auroc: float
    threshold: float
    error: float
    known_from: float
    novel_below: float
    known: tuple[float, float, float]
    novel: tuple[float, float, float]


def shares(cosines: NDArray[np.floating], taxa: NDArray[np.int64]) -> NDArray[np.float64]:
    """The share of the vote that goes to the taxon of each neighbour.

    A neighbour weighs exp(cosine / TEMPERATURE): weighted k-nearest neighbours as Wu et al. (2018, "Unsupervised
    feature learning via non-parametric instance discrimination") have it. Cosines .9, .9, .83 of taxa 1, 2, 1 ->
    .58, .42, .58.

    Args:
        cosines: [q, k], nearest first, -inf where there is no neighbour.
        taxa: int64 [q, k], -1 for a neighbour that does not vote.

    Returns:
        float64 [q, k]; 0 where no one votes. The winner is the taxon of the first greatest.
    """
    votes = (taxa >= 0) & np.isfinite(cosines)
    highest = np.where(votes, cosines, -np.inf).max(axis=1, initial=-2, keepdims=True)
    weights = np.where(votes, np.exp((cosines - highest) / TEMPERATURE), 0)
    same = taxa[:, :, None] == taxa[:, None, :]
    gathered = (same * weights[:, None, :]).sum(axis=2) * votes
    total = weights.sum(axis=1, keepdims=True)
    found: NDArray[np.float64] = np.divide(gathered, total, out=np.zeros(gathered.shape), where=total > 0)
    return found


def nearness(
    cosines: NDArray[np.floating], surroundings: NDArray[np.floating], measure: Measure
) -> NDArray[np.float64]:
    """How near the nearest are, seen from how near to each other specimens lie there.

    The mean cosine of the nearest, less a part of what their own surroundings are closer than usual: where all is
    alike, a stranger lies near too (the idea of the local outlier factor, Breunig et al. 2000).

    Args:
        cosines: [q, k], nearest first, -inf where there is no neighbour.
        surroundings: [q, k], of each neighbour, as `density` has it.
        measure: over how many, and which part.

    Returns:
        float64 [q]; -inf for one without neighbours.
    """
    near = _mean(cosines[:, : measure.mean_of], np.isfinite(cosines[:, : measure.mean_of]))
    if not measure.weight:
        return near
    around = _mean(surroundings[:, : measure.mean_of], np.isfinite(cosines[:, : measure.mean_of]))
    return near - measure.weight * np.where(np.isfinite(around), around - measure.typical, 0)


def density(cosines: NDArray[np.floating], left_out: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The mean cosine of each row to the nearest AROUND others that are not left out: [n, k], [n, k] -> float64 [n].

    Of all there are where that is fewer; to the last of the list where all are left out. Lists are nearest first, and
    -inf where they end.
    """
    there = np.isfinite(cosines)
    counted = there & ~left_out
    counted &= np.cumsum(counted, axis=1) <= AROUND
    last = np.where(there, cosines, 1).min(axis=1, initial=1)
    found = _mean(cosines, counted)
    return np.where(np.isfinite(found), found, last)


def nearest_apart(
    vectors: NDArray[np.float32],
    taxa: NDArray[np.int64],
    groups: NDArray[np.int64],
    queries: NDArray[np.int64],
    k: int,
    copies: float,
) -> Apart:
    """Leave-one-out and leave-one-taxon-out neighbours, exact. O(q n d) by BLAS, in blocks of 64 MiB.

    Args:
        vectors: float32 [n, d], unit length, all of them named.
        taxa: int64 [n].
        groups: int64 [n]; rows of one group are never neighbours of each other, -1 is in none.
        queries: int64 [q], rows.
        k: how many neighbours, at least 1.
        copies: cosine from which another of the same taxon is taken for the same picture, and left out.
    """
    q, n = len(queries), len(vectors)
    k = min(k, n)
    found = Apart(
        np.full((q, k), -1), np.full((q, k), -np.inf, np.float32), np.zeros(q, bool),
        np.full((q, k), -1), np.full((q, k), -np.inf, np.float32),
    )  # fmt: skip
    step = max(1, _CELLS // max(n, 1))
    for start in range(0, q, step):
        rows, part = queries[start : start + step], slice(start, start + step)
        cosines = vectors[rows] @ vectors.T
        alike = taxa[rows][:, None] == taxa[None, :]
        own = (groups[rows][:, None] == groups[None, :]) & (groups[rows][:, None] >= 0)
        own[np.arange(len(rows)), rows] = True
        cosines[own] = -np.inf
        cosines[alike & (cosines >= copies)] = -np.inf
        found.among[part] = (alike & np.isfinite(cosines)).any(axis=1)
        found.known_rows[part], found.known[part] = _nearest(cosines, k)
        cosines[alike] = -np.inf
        found.novel_rows[part], found.novel[part] = _nearest(cosines, k)
    return found


def separate(known: NDArray[np.float64], novel: NDArray[np.float64]) -> Separation:
    """How well, and where, nearness tells known from novel. O(m log m).

    Args:
        known: [a], of specimens whose taxon is there; novel: [b], of those whose taxon is not. Neither is empty.
    """
    known, novel = np.sort(known), np.sort(novel)
    values = np.unique(np.concatenate([known, novel]))
    cuts = np.concatenate([values[:1], (values[:-1] + values[1:]) / 2, np.nextafter(values[-1:], np.inf)])
    missed = np.searchsorted(known, cuts) / len(known)
    passed = 1 - np.searchsorted(novel, cuts) / len(novel)
    error = (missed + passed) / 2
    best = np.flatnonzero(error == error.min())
    at = int(best[len(best) // 2])
    upper = max(at, int(np.flatnonzero(passed <= TOLERATED)[0]))
    lower = min(at, int(np.flatnonzero(missed <= TOLERATED)[-1]))

    def called(below: NDArray[np.float64]) -> tuple[float, float, float]:
        return float(1 - below[upper]), float(below[upper] - below[lower]), float(below[lower])

    return Separation(
        auroc(known, novel), float(cuts[at]), float(error[at]), float(cuts[upper]), float(cuts[lower]),
        called(missed), called(1 - passed),
    )  # fmt: skip


def auroc(known: NDArray[np.float64], novel: NDArray[np.float64]) -> float:
    """Area under the ROC curve, by ranks (Mann and Whitney): [a], [b] -> the chance that the first is the greater.

    `[3, 2], [2, 1]` -> 0.875
    """
    ordered = np.sort(novel)
    below = np.searchsorted(ordered, known, "left") + np.searchsorted(ordered, known, "right")
    return float(below.sum() / (2 * len(known) * len(novel)))


def best_measure(
    known: NDArray[np.floating], near_known: NDArray[np.floating], novel: NDArray[np.floating],
    near_novel: NDArray[np.floating], typical: float,
) -> Measure:  # fmt: skip
    """The measure of nearness by which known and novel part best; the simplest of those that are equally good.

    Args:
        known: cosines [a, k]; near_known: surroundings [a, k] of these neighbours; novel, near_novel: likewise [b, k].
        typical: of the result.
    """
    allowed = [
        Measure(m, weight, typical) for weight in WEIGHTS for m in MEANS if m <= max(known.shape[1], 1)
    ]  # fmt: skip
    return max(
        allowed,
        key=lambda one: (
            round(auroc(nearness(known, near_known, one), nearness(novel, near_novel, one)), 6), -one.weight,
            -one.mean_of,
        ),
    )  # fmt: skip


def _mean(values: NDArray[np.floating], counted: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The mean of those of each row that count, -inf where none does."""
    counts = counted.sum(axis=1)
    sums = np.where(counted, values, 0).sum(axis=1, dtype=np.float64)
    found: NDArray[np.float64] = np.divide(sums, counts, out=np.full(len(values), -np.inf), where=counts > 0)
    return found


def _nearest(cosines: NDArray[np.float32], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The k greatest of each row, greatest first and equal ones by column; -1 where they are -inf."""
    columns = np.sort(np.argpartition(-cosines, k - 1, axis=1)[:, :k], axis=1)
    values = np.take_along_axis(cosines, columns, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    columns, values = np.take_along_axis(columns, order, axis=1), np.take_along_axis(values, order, axis=1)
    return np.where(np.isfinite(values), columns, -1), values
