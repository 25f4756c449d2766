"""Encounters: the sightings of one animal over several photographs, told by likeness, time and place."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

NONE = -1
"""The label of what is in no encounter, because its time is not known."""
_ROWS, _COLUMNS = 256, 4096
_SLACK = 1e-5  # what a product in single precision may be off by


@dataclass(frozen=True)
class Rule:
    """When two sightings by one camera are of one animal.

    They are as alike as `similarity` (cosine) says, and follow each other within `quick_gap` seconds; or within `gap`
    seconds and less than `distance` pixels apart.
    """

    similarity: float = 0.8
    distance: float = 100.0
    gap: float = 300.0
    quick_gap: float = 30.0

    @property
    def reach(self) -> float:
        """The seconds from which on no two sightings are joined."""
        return max(self.gap, self.quick_gap)


@dataclass(frozen=True)
class Sightings:
    """n specimens side by side, in an order that is theirs, such as that of their ids: ties go by it.

    Attributes:
        vectors: float32 [n, d], unit length.
        seconds: float64 [n], when; NaN where that is not known.
        cameras: int64 [n], any numbers.
        centres: float64 [n, 2], of the boxes in the source frame, pixels; NaN where that is not known.
        frames: int64 [n], of the source frame; -1 where a photograph is one of its own.
        boxes: int64 [n], of the box in its frame: specimens that share frame and box are copies of one picture.
    """

    vectors: NDArray[np.float32]
    seconds: NDArray[np.float64]
    cameras: NDArray[np.int64]
    centres: NDArray[np.float64]
    frames: NDArray[np.int64]
    boxes: NDArray[np.int64]

    def take(self, rows: NDArray[np.int64]) -> Sightings:
        """These rows, in this order."""
        return Sightings(**{name: values[rows] for name, values in vars(self).items()})


@dataclass(frozen=True)
class _Pairs:
    """Pairs of rows that the rule joins, int64 [e]; `close` are those within both the distance and the quick gap."""

    a: NDArray[np.int64]
    b: NDArray[np.int64]
    close: NDArray[np.bool_]


def encounters(sightings: Sightings, rule: Rule) -> NDArray[np.int64]:
    """Number the encounters: connected components over the pairs that the rule joins, none with two boxes of a frame.

    Two boxes of one frame are two animals. Where components hold such, their pairs are taken again from the surest to
    the least sure, and those that would put two boxes of a frame together are left out. Surest are those within both
    the distance and the quick gap, then those closer in time, then the more alike (docs/decisions/0010-encounters.md).

    Every pair within `rule.reach` seconds is looked at, wherever blocks end: O(n w d) time for w sightings of a camera
    within that, O(n + e) memory for the e pairs joined. The result does not depend on the order of the rows, but for
    ties between pairs that are equally alike.

    Returns:
        int64 [n], from 0 in order of camera and time of the first sighting; NONE where `seconds` is NaN.
    """
    labels = np.full(len(sightings.seconds), NONE, np.int64)
    timed = np.flatnonzero(~np.isnan(sightings.seconds))
    order = timed[np.lexsort((timed, sightings.seconds[timed], sightings.cameras[timed]))]
    ordered = sightings.take(order)
    pairs = _joined(ordered, rule)
    labels[order] = _in_order(_apart(ordered, pairs, _components(len(order), pairs)))
    return labels


def sessions(cameras: NDArray[np.int64], seconds: NDArray[np.float64], reach: float) -> NDArray[np.int64]:
    """Where the sessions of cameras begin: no rule joins sightings of two, so each can be worked out for itself.

    Args:
        cameras, seconds: [n], in order of camera and then time; no NaN.
        reach: seconds from which on nothing is joined.

    Returns:
        int64 [s], the first row of each: cameras `[0, 0, 0, 1]`, seconds `[0, 9, 99, 99]`, reach 10 -> `[0, 2, 3]`.
    """
    if not len(cameras):
        return np.empty(0, np.int64)
    begins = (np.diff(cameras) != 0) | (np.diff(seconds) >= reach)
    return np.concatenate([[0], np.flatnonzero(begins) + 1]).astype(np.int64)


def _joined(ordered: Sightings, rule: Rule) -> _Pairs:
    """All pairs that the rule joins, of sightings in order of camera and time."""
    n = len(ordered.seconds)
    starts = np.concatenate([np.flatnonzero(np.diff(ordered.cameras, prepend=np.nan)), [n]]).astype(np.int64)
    ends = np.empty(n, np.int64)  # of the sightings that a row is compared with
    for start, stop in pairwise(starts.tolist()):
        own = ordered.seconds[start:stop]
        ends[start:stop] = start + np.searchsorted(own, own + rule.reach, side="right")
    parts = []
    for first in range(0, n, _ROWS):
        last = min(n, first + _ROWS)
        for left in range(first, int(ends[first:last].max()), _COLUMNS):
            right = min(int(ends[first:last].max()), left + _COLUMNS)
            likeness = ordered.vectors[first:last] @ ordered.vectors[left:right].T
            a, b = np.nonzero(likeness >= rule.similarity - _SLACK)
            near_enough = (b + left > a + first) & (b + left < ends[a + first])
            a, b = a[near_enough], b[near_enough]
            parts.append(_ruled(ordered, rule, a + first, b + left, likeness[a, b]))
    if not parts:
        return _Pairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.bool_))
    return _Pairs(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("a", "b", "close")))


def _ruled(
    ordered: Sightings, rule: Rule, a: NDArray[np.int64], b: NDArray[np.int64], likeness: NDArray[np.float32]
) -> _Pairs:
    """Those of the pairs, alike but for the slack and within reach, that the rule joins."""
    apart = ordered.seconds[b] - ordered.seconds[a]
    quick = apart < rule.quick_gap
    with np.errstate(invalid="ignore"):
        near = np.linalg.norm(ordered.centres[a] - ordered.centres[b], axis=1) < rule.distance
    joined = quick | (near & (apart < rule.gap))
    joined &= (
        (ordered.frames[a] == NONE) | (ordered.frames[a] != ordered.frames[b]) | (ordered.boxes[a] == ordered.boxes[b])
    )
    unsure = np.flatnonzero(joined & (np.abs(likeness - rule.similarity) < 2 * _SLACK))
    joined[unsure] = _cosines(ordered.vectors, a[unsure], b[unsure]) >= rule.similarity - 1e-9
    return _Pairs(a[joined], b[joined], (quick & near)[joined])


def _cosines(vectors: NDArray[np.float32], a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.float64]:
    """float64 [e], of pairs of rows; each is the same whatever it is worked out together with."""
    found = np.empty(len(a))
    for start in range(0, len(a), _COLUMNS):
        one, other = (vectors[rows[start : start + _COLUMNS]].astype(np.float64) for rows in (a, b))
        lengths = np.sqrt((one * one).sum(axis=1) * (other * other).sum(axis=1))
        found[start : start + _COLUMNS] = (one * other).sum(axis=1) / lengths
    return found


def _components(n: int, pairs: _Pairs) -> NDArray[np.int64]:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(pairs.a), np.int8), (pairs.a, pairs.b)), shape=(n, n))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)


def _apart(ordered: Sightings, pairs: _Pairs, labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """The labels, with the components divided that hold two boxes of one frame."""
    wrong = _with_two_of_a_frame(ordered, labels)
    if not len(wrong):
        return labels
    from morphoindex.indexer.selection.exclusive import cosines, join_exclusively

    inside = np.flatnonzero(np.isin(labels[pairs.a], wrong))
    a, b = pairs.a[inside], pairs.b[inside]
    apart = np.round(ordered.seconds[b] - ordered.seconds[a], 3)
    surest = np.lexsort((b, a, -cosines(ordered.vectors, a, b), apart, ~pairs.close[inside]))
    by_frame = np.argsort(ordered.frames, kind="stable")
    sizes = np.bincount(ordered.frames[by_frame] + 1)
    begin = np.concatenate([[0], np.cumsum(sizes)])[ordered.frames + 1]
    end = np.where(ordered.frames == NONE, begin, begin + sizes[ordered.frames + 1])
    parent = join_exclusively(a[surest], b[surest], by_frame, begin, end, ordered.boxes)
    divided = np.isin(labels, wrong)
    return np.where(divided, parent + labels.max() + 1, labels)


def _with_two_of_a_frame(ordered: Sightings, labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """The labels under which there are two boxes of one frame."""
    rows = np.flatnonzero(ordered.frames != NONE)
    seen = np.unique(np.column_stack([labels[rows], ordered.frames[rows], ordered.boxes[rows]]), axis=0)
    several = (np.diff(seen[:, :2], axis=0) == 0).all(axis=1)
    return np.unique(seen[1:][several, 0])


def _in_order(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same groups, numbered from 0 by their first member: `[7, 3, 7]` -> `[0, 1, 0]`."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse]
