"""Whether two pictures show the same photograph: one is laid over the other, and what then differs decides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from morphoindex.indexer.selection.sketches import GREY, THUMB, Sketch, mirrored, turned_in

How = Literal["frame", "points", "none"]
CONFIRMED = 0.85
"""Agreement from which two pictures show the same photograph; see docs/decisions/0009-near-duplicates.md."""
_ALIKE = 0.85  # correlation of thumbnails from which whole frames are laid over each other
_SIMILAR = 0.8 * 510**2  # cosine of descriptors
_TURN, _SCALE = 30.0, 0.6  # degrees and octaves that matches of one shear or tilt may differ by
_LEAST = 8  # matches
_REACH = 2.0  # pixels of the grey copy that a match may be off
_WINDOW = 11  # pixels of the grey copy; smaller ones see what JPEG does rather than what the camera saw
_PIXELS, _LARGEST = 7, 31  # of a picture that is smaller than its grey copy a window has so many pixels, if it can
_BLUR = 0.5  # pixels of such a picture
_TEXTURE = 25.0  # variance of grey levels from which a place has something to compare
_AGREES = 0.8  # correlation within a window
_DIFFERS, _BLOT = 0.7, 0.005  # such a share that differs in one place is another thing, not another encoding
_PLAIN = 0.02  # share of a picture that has something to compare
_LEVELS = 4.0  # grey levels that plain pictures may differ by
_COVERED, _COVERED_OF_LARGER = 0.5, 0.3  # share of the smaller, of the larger picture that is in both
_MOST_SCALED = 4.0


@dataclass(frozen=True)
class Match:
    """How well two pictures agree.

    Attributes:
        agreement: share of the places with something to see, in the part that both show, where they correlate; in
            [0, 1].
        how: "frame" where the whole pictures lie over each other (re-encoded, resized, mirrored, turned by right
            angles), "points" where one was turned, sheared or cut; "none" where nothing suggests how they could.
    """

    agreement: float
    how: How


def compare(a: Sketch, b: Sketch) -> Match:
    """Lay one picture over the other in every way that they suggest themselves, and take the best.

    First the whole frames, in the eight ways that a frame can be turned and mirrored. Then by points: mutually nearest
    descriptors, of `b` as it is and mirrored, that agree on a turn and a scale (as in Lowe, IJCV 2004), and an affine
    map by RANSAC.
    """
    by_frame = _by_frame(a, b)
    if by_frame >= CONFIRMED:
        return Match(by_frame, "frame")
    by_points = max(_by_points(a, b, False), _by_points(a, b, True))
    if max(by_points, by_frame) <= 0:
        return Match(0.0, "none")
    return Match(by_points, "points") if by_points > by_frame else Match(by_frame, "frame")


def _by_frame(a: Sketch, b: Sketch) -> float:
    if not a.thumb.any() and not b.thumb.any():
        views = [0]
    else:
        correlations = b.thumb[_VIEWS] @ a.thumb
        views = [int(np.argmax(correlations))] if correlations.max() >= _ALIKE else []
    return max((agreement(a, b, _frame_map(a.grey.shape, b.grey.shape, view)) for view in views), default=0.0)


def _by_points(a: Sketch, b: Sketch, mirror: bool) -> float:
    if min(len(a.points), len(b.points)) < _LEAST:
        return 0.0
    points, descriptors = mirrored(b) if mirror else (b.points, b.descriptors)
    similar = a.descriptors.astype(np.float32) @ descriptors.astype(np.float32).T
    nearest = similar.argmax(axis=1)
    rows = np.arange(len(similar))
    mutual = (similar.argmax(axis=0)[nearest] == rows) & (similar[rows, nearest] >= _SIMILAR)
    if mutual.sum() < _LEAST:
        return 0.0
    one, other = a.points[mutual], points[nearest[mutual]]
    turn = one[:, 3] - other[:, 3]
    apart = np.abs((turn[:, None] - turn + 180) % 360 - 180)
    scale = one[:, 2] - other[:, 2]
    agree = (apart <= _TURN) & (np.abs(scale[:, None] - scale) <= _SCALE)
    most = agree[int(agree.sum(axis=1).argmax())]
    if most.sum() < _LEAST:
        return 0.0
    found, inliers = cv2.estimateAffine2D(
        other[most, :2], one[most, :2], method=cv2.RANSAC, ransacReprojThreshold=_REACH, maxIters=500, confidence=0.99
    )
    if found is None or inliers.sum() < _LEAST:
        return 0.0
    if mirror:
        found = found @ np.array([[-1.0, 0, b.grey.shape[1] - 1], [0, 1, 0], [0, 0, 1]])
    return agreement(a, b, found)


def agreement(one: Sketch, other: Sketch, onto: NDArray[np.float64]) -> float:
    """How well two pictures agree where both show something.

    Args:
        one, other: the pictures.
        onto: float64 [2, 3], the affine map from pixels of the other's grey copy to pixels of the one's.

    Returns:
        The share, in [0, 1], of places with texture whose neighbourhoods correlate; 0 where too little is in both, or
        where all but one place agrees: an animal of the same pattern before another background, or a label.
    """
    change = abs(float(np.linalg.det(onto[:, :2])))
    if not _MOST_SCALED**-2 <= change <= _MOST_SCALED**2:
        return 0.0
    if change < 1:  # onto the one that shows less: there it has most pixels
        one, other, onto = other, one, cv2.invertAffineTransform(onto)
        change = 1 / change
    a, b = one.grey, other.grey
    height, width = a.shape
    laid = cv2.warpAffine(b, onto, (width, height), flags=cv2.INTER_LINEAR)
    there = cv2.warpAffine(np.full(b.shape, 255, np.uint8), onto, (width, height), flags=cv2.INTER_NEAREST)
    share = np.count_nonzero(there) / there.size
    if share < _COVERED or share * a.size < _COVERED_OF_LARGER * b.size * change:
        return 0.0
    x, y = a.astype(np.float32), laid.astype(np.float32)
    enlarged = max(one.enlarged, other.enlarged * change**0.5)
    window = min(_LARGEST, max(_WINDOW, round(_PIXELS * enlarged))) | 1
    if enlarged > 1:
        x, y = cv2.GaussianBlur(x, (0, 0), _BLUR * enlarged), cv2.GaussianBlur(y, (0, 0), _BLUR * enlarged)
    mean_x, mean_y = _mean(x, window), _mean(y, window)
    var_x, var_y = _mean(x * x, window) - mean_x * mean_x, _mean(y * y, window) - mean_y * mean_y
    edge = min(_WINDOW, min(a.shape) // 2 | 1)
    inside = cv2.erode(there, np.ones((edge, edge), np.uint8), borderValue=0) > 0
    seen = inside & (np.maximum(var_x, var_y) > _TEXTURE)
    for picture in (a, laid):
        seen &= cv2.dilate(turned_in(picture), np.ones((window, window), np.uint8)) == 0
    count = np.count_nonzero(seen)
    if count < _PLAIN * a.size:
        difference = np.abs(cv2.blur(x, (3, 3)) - cv2.blur(y, (3, 3)))[inside]
        return float(len(difference) > 0 and difference.max() <= _LEVELS)
    correlation = (_mean(x * y, window) - mean_x * mean_y) / np.sqrt(np.maximum(var_x, 4) * np.maximum(var_y, 4))
    share = float(np.count_nonzero(correlation[seen] > _AGREES) / count)
    if share < CONFIRMED:
        return share
    blot = _largest_part((seen & (correlation < _DIFFERS)).astype(np.uint8))
    return share if blot <= _BLOT * np.count_nonzero(inside) else 0.0


def _largest_part(places: NDArray[np.uint8]) -> int:
    """The size of the largest part that hangs together, without threads and single dots."""
    opened = cv2.morphologyEx(places, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    _, _, found, _ = cv2.connectedComponentsWithStats(opened, connectivity=4)
    return int(found[1:, cv2.CC_STAT_AREA].max(initial=0))


def _mean(values: NDArray[np.float32], window: int) -> NDArray[np.float32]:
    return np.asarray(cv2.blur(values, (window, window)), np.float32)


def _frame_map(onto: tuple[int, ...], of: tuple[int, ...], view: int) -> NDArray[np.float64]:
    """The affine map [2, 3] of a whole frame [h, w] onto another, turned and mirrored as in `_VIEWS`."""
    (height, width), (h, w) = onto, of
    centre = np.array([[1, 0, -(w - 1) / 2], [0, 1, -(h - 1) / 2], [0, 0, 1]])
    unit = np.diag([1 / w, 1 / h, 1.0])
    turn = np.eye(3)
    turn[:2, :2] = _TURNS[view]
    back = np.array([[width, 0, (width - 1) / 2], [0, height, (height - 1) / 2], [0, 0, 1]])
    return np.asarray((back @ turn @ unit @ centre)[:2])


def _views() -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The eight ways to see a square: indexes [8, THUMB²] into its pixels, and the maps [8, 2, 2] that make them."""
    square = np.arange(THUMB * THUMB).reshape(THUMB, THUMB)
    quarter, flip = np.array([[0, 1], [-1, 0]]), np.diag([-1, 1])
    indexes, maps = [], []
    for mirror in (False, True):
        seen, turn = (square[:, ::-1], flip) if mirror else (square, np.eye(2))
        for _ in range(4):
            indexes.append(seen.ravel())
            maps.append(turn)
            seen, turn = np.rot90(seen), quarter @ turn
    return np.stack(indexes), np.stack(maps).astype(float)


_VIEWS, _TURNS = _views()
assert GREY > THUMB
