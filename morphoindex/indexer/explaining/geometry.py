"""From the pixels that an encoder sees back to the photograph they were made from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from morphoindex.indexer.photographs.images import Fit


@dataclass(frozen=True)
class Placement:
    """How a photograph lies in the encoder's pixels: `seen = photograph * scale + shift`, each (down, across)."""

    photograph: tuple[int, int]
    seen: tuple[int, int]
    scale: tuple[float, float]
    shift: tuple[float, float]

    def back(self, y: float, x: float) -> tuple[float, float]:
        """A point of the encoder's pixels as a point of the photograph, (down, across)."""
        return (y - self.shift[0]) / self.scale[0], (x - self.shift[1]) / self.scale[1]


def placement(photograph: tuple[int, int], seen: tuple[int, int], mode: Fit) -> Placement:
    """Where `images.fit` puts things.

    Args:
        photograph: its (height, width).
        seen: (height, width) of the encoder's pixels.
        mode: how it is fitted.
    """
    ratios = seen[0] / photograph[0], seen[1] / photograph[1]
    if mode == "squash":
        return Placement(photograph, seen, ratios, (0.0, 0.0))
    if mode == "crop":
        scale = max(ratios)
        juts = [max(0.0, (side - there / scale) / 2) for side, there in zip(photograph, seen, strict=True)]
        return Placement(photograph, seen, (scale, scale), (-juts[0] * scale, -juts[1] * scale))
    inner = [max(1, round(side * min(ratios))) for side in photograph]
    return Placement(
        photograph, seen, (inner[0] / photograph[0], inner[1] / photograph[1]),
        (float((seen[0] - inner[0]) // 2), float((seen[1] - inner[1]) // 2)),
    )  # fmt: skip


def on_photograph(
    values: NDArray[np.floating],
    place: Placement,
    size: tuple[int, int],
    region: tuple[float, float, float, float] | None = None,
) -> NDArray[np.float32]:
    """A map of what the encoder sees, as one of the photograph; linear between the middles of its cells.

    Args:
        values: [rows, columns].
        place: how the photograph lies in what the encoder sees.
        size: (height, width) of the result.
        region: (top, left, bottom, right) of the part of the encoder's pixels that the map is of; by default all.

    Returns:
        float32 [height, width]; NaN where the encoder does not see the photograph.
    """
    top, left, bottom, right = region or (0.0, 0.0, float(place.seen[0]), float(place.seen[1]))
    down = _cells(values.shape[0], place, 0, size[0], top, bottom)
    across = _cells(values.shape[1], place, 1, size[1], left, right)
    return _linear(_linear(values.astype(np.float32), down).T, across).T


def _cells(
    cells: int, place: Placement, axis: int, pixels: int, start: float, end: float
) -> tuple[NDArray[np.float64], int]:
    """Where the middles of the pixels fall, counted in cells from the middle of the first; NaN outside."""
    photograph = (np.arange(pixels) + 0.5) / pixels * place.photograph[axis]
    seen = photograph * place.scale[axis] + place.shift[axis]
    inside = (seen >= start) & (seen <= end)
    return np.where(inside, (seen - start) / (end - start) * cells - 0.5, np.nan), cells


def _linear(values: NDArray[np.float32], where: tuple[NDArray[np.float64], int]) -> NDArray[np.float32]:
    at, cells = where
    known = np.clip(np.nan_to_num(at), 0, cells - 1)
    low = np.minimum(known.astype(np.int64), max(cells - 2, 0))
    share = (known - low)[:, None].astype(np.float32)
    result = values[low] * (1 - share) + values[np.minimum(low + 1, cells - 1)] * share
    return np.where(np.isnan(at)[:, None], np.float32(np.nan), result)
