"""Which parts of a picture matter to an encoder: cover one after the other, and see how far the vector moves.

Occlusion sensitivity (Zeiler & Fergus 2014, "Visualizing and Understanding Convolutional Networks", section 4.2), but
for what covers: not a grey square, whose edges are something to see in themselves, but the picture's own blur, laid on
with a soft border. Where nothing is to be seen, as on a plain background, covering changes nothing. Needs nothing but
the encoder's vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_BLUR = 0.1  # standard deviation, as a share of a side


@dataclass(frozen=True)
class Scale:
    """Patches of one size.

    Attributes:
        width: where a patch covers more than half, as a share of the side.
        places: how many stand along a side.
    """

    width: float
    places: int


SCALES = (Scale(1 / 4, 9), Scale(1 / 8, 17))
"""Large patches find what is large or there twice, small ones say where: 370 pictures to embed."""
PASSES = sum(scale.places**2 for scale in SCALES)


def blurred(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What is left of a picture uint8 [h, w, 3] where a patch covers it."""
    from scipy.ndimage import gaussian_filter

    height, width = pixels.shape[:2]
    soft: NDArray[np.float32] = gaussian_filter(
        pixels.astype(np.float32), (_BLUR * height, _BLUR * width, 0), mode="nearest"
    )
    return soft


def covered(pixels: NDArray[np.uint8], blur: NDArray[np.float32], scale: Scale, row: int) -> NDArray[np.uint8]:
    """A picture with a patch at each place of a row: uint8 [h, w, 3] -> uint8 [places, h, w, 3]."""
    down, across = (windows(side, scale) for side in pixels.shape[:2])
    share = (down[row][None, :, None] * across[:, None, :])[..., None]
    mixed: NDArray[np.uint8] = np.rint(pixels + (blur - pixels) * share).astype(np.uint8)
    return mixed


def windows(side: int, scale: Scale) -> NDArray[np.float32]:
    """How far each of the patches along a side covers each pixel: float32 [places, side], 1 at its middle.

    Bell-shaped, 1/2 at half its width from the middle.
    """
    middles = (np.arange(scale.places) + 0.5) / scale.places * side
    distance = (np.arange(side) + 0.5 - middles[:, None]) / (scale.width * side / 2)
    return np.exp2(-(distance**2)).astype(np.float32)


def spread(drops: NDArray[np.float32], shape: tuple[int, int], scale: Scale) -> NDArray[np.float32]:
    """The drops [places, places] over the pixels: at each the mean of all, by how far their patches cover it."""
    down, across = (windows(side, scale) for side in shape)
    total = down.T @ drops.astype(np.float32) @ across
    return np.asarray(total / (down.T @ np.ones_like(drops, np.float32) @ across), np.float32)


def combined(drops: Sequence[NDArray[np.float32]], shape: tuple[int, int]) -> NDArray[np.float32]:
    """One map of all scales, each of the same weight however much its patches take off.

    Args:
        drops: of each of `SCALES`, [places, places]; not all 0.
        shape: (height, width) of the map.

    Returns:
        float32 [height, width], 1 or -1 where it is strongest.
    """
    maps = [spread(drop, shape, scale) for drop, scale in zip(drops, SCALES, strict=True)]
    strongest = [float(np.abs(one).max()) or 1.0 for one in maps]
    together = np.sum([one / most for one, most in zip(maps, strongest, strict=True)], axis=0, dtype=np.float32)
    scaled: NDArray[np.float32] = together / np.abs(together).max()
    return scaled


def area_of_half(importance: NDArray[np.float32]) -> float:
    """The share of the picture that holds half of the importance: `[[8, 1], [1, 0]]` -> `0.25`."""
    values = np.sort(np.clip(importance.ravel(), 0, None).astype(np.float64))[::-1]
    within = np.searchsorted(np.cumsum(values), values.sum() / 2)
    return float((min(within, len(values) - 1) + 1) / len(values))
