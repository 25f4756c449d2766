"""What is kept of a picture to tell whether another shows the same photograph: a small grey copy, and its points."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

cv2.setNumThreads(1)  # ours are the threads
SIDE = 192
"""The longer side, in pixels, at which points are looked for: what has fewer pixels is enlarged."""
GREY = 128
"""The longer side of the grey copy, on which aligned pictures are compared."""
THUMB = 24
POINTS = 160
"""The most points that are kept, the most salient ones."""
_CONTRAST = 0.02  # of a point, a half of OpenCV's default: wings are often of low contrast
_STEPS = 510.0  # of a descriptor's entry in [0, 0.5]; larger ones are rare and cut off
_NARROWEST = 8
_BLACK = 8
_STEP = 0.05  # of the logarithm of sharpness
_detectors = threading.local()


@dataclass(frozen=True, eq=False)
class Sketch:
    """A picture, as far as it takes to recognise it.

    Attributes:
        grey: uint8 [h, w], longer side GREY.
        points: float32 [n, 4]: x and y in pixels of `grey`, log2 of the size, angle in degrees.
        enlarged: how many times `grey` is larger than the picture; 1 where it is not.
        descriptors: uint8 [n, 128], RootSIFT (Arandjelović & Zisserman, CVPR 2012) in steps of 1/510.
    """

    grey: NDArray[np.uint8]
    enlarged: float
    points: NDArray[np.float32]
    descriptors: NDArray[np.uint8]

    @cached_property
    def thumb(self) -> NDArray[np.float32]:
        """The picture at THUMB × THUMB, whatever its shape, without mean and of unit length; zeros where it is flat."""
        small = cv2.resize(self.grey, (THUMB, THUMB), interpolation=cv2.INTER_AREA).astype(np.float32)
        small -= small.mean()
        length = float(np.linalg.norm(small))
        return np.asarray(small / length if length > THUMB / 2 else np.zeros_like(small), np.float32).ravel()


def sketch(pixels: NDArray[np.uint8]) -> Sketch:
    """The sketch of a picture uint8 [H, W, 3] RGB; of a flat one it has no points."""
    grey = cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY)
    small, enlarged = _resized(grey, GREY), max(1.0, GREY / max(grey.shape))
    seen = _resized(grey, SIDE)
    keypoints, found = _detector().detectAndCompute(seen, None)
    order = sorted(range(len(keypoints)), key=lambda i: (-keypoints[i].response, keypoints[i].pt))[:POINTS]
    if not order:
        return Sketch(small, enlarged, np.empty((0, 4), np.float32), np.empty((0, 128), np.uint8))
    points = np.array([(*keypoints[i].pt, np.log2(keypoints[i].size), keypoints[i].angle) for i in order], np.float32)
    points[:, :2] = (points[:, :2] + 0.5) * (GREY / SIDE) - 0.5  # a pixel's middle is half a pixel from its edge
    chosen = found[order]
    root = np.sqrt(chosen / np.maximum(chosen.sum(axis=1, keepdims=True), 1e-9))
    return Sketch(small, enlarged, points, np.minimum(np.rint(root * _STEPS), 255).astype(np.uint8))


def sharpness(pixels: NDArray[np.uint8]) -> float:
    """How sharp a picture uint8 [H, W, 3] is, in steps of 5 %, since less says more of noise than of sharpness.

    The mean absolute Laplacian (Pech-Pacheco et al., ICPR 2000) of the slightly blurred grey levels; black corners that
    were turned in count as parts without any. Comparable between pictures of one photograph at one size only.
    """
    grey = cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY)
    edges = np.abs(cv2.Laplacian(cv2.GaussianBlur(grey, (0, 0), 1.0), cv2.CV_32F))
    edges[cv2.dilate(turned_in(grey), np.ones((9, 9), np.uint8)) > 0] = 0
    return float(round(np.log(max(float(edges.mean()), 1e-3)) / _STEP))


def turned_in(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What is black from the edge inwards: corners that turn into a picture with its frame show nothing."""
    black = (picture < _BLACK).astype(np.uint8)
    if not (black[0].any() or black[-1].any() or black[:, 0].any() or black[:, -1].any()):
        return black * 0
    _, parts = cv2.connectedComponents(black, connectivity=4)
    edge = np.unique(np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]]))
    touching = np.isin(parts, edge[edge > 0]).astype(np.uint8)
    return np.asarray(cv2.morphologyEx(touching, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)), np.uint8)


def mirrored(one: Sketch) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Points and descriptors of the picture mirrored left to right, without looking at it again.

    A mirrored patch has the rows of the 4 × 4 grid in reverse, and its 8 directions the other way round: exact but for
    the rounding of positions (as in MIFT, Guo et al., ICIP 2010).
    """
    points = one.points * np.array([-1, 1, 1, -1], np.float32)
    points += np.array([one.grey.shape[1] - 1, 0, 0, 180], np.float32)
    return points, one.descriptors[:, _MIRROR]


_MIRROR = np.arange(128).reshape(4, 4, 8)[::-1][:, :, (-np.arange(8)) % 8].ravel()


def _resized(grey: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    height, width = grey.shape
    scale = side / max(height, width)
    size = max(_NARROWEST, round(width * scale)), max(_NARROWEST, round(height * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(grey, size, interpolation=how), np.uint8)


def _detector() -> Any:
    """SIFT of this thread."""
    if not hasattr(_detectors, "sift"):
        _detectors.sift = cv2.SIFT.create(nfeatures=POINTS, contrastThreshold=_CONTRAST)
    return _detectors.sift
