"""Pixels in batches: to torch, through a network, and a little altered."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
_BATCH = 64


def to_tensor(pixels: Pixels) -> Tensor:
    """Uint8 [N, H, W, 3] -> float32 [N, 3, H, W], 0..255, channels last in memory."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float()


def through(run: Callable[[Tensor], Tensor], pixels: Pixels) -> Floats:
    """What a network makes of many images, a few at a time: uint8 [N, H, W, 3] -> float32 [N, ...]."""
    with torch.no_grad():
        parts = [run(to_tensor(pixels[start : start + _BATCH])) for start in range(0, len(pixels), _BATCH)]
    joined: Floats = torch.cat(parts).numpy()
    return joined


def mirrored(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Half of the images, left to right: float [N, C, H, W]."""
    mask = torch.from_numpy(rng.random(len(images)) < 0.5).view(-1, 1, 1, 1)
    return torch.where(mask, images.flip(3), images)


def altered(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Another photograph of the same animal might look so: turned, shifted, nearer or farther, lighter or darker.

    Args:
        images: float [N, 3, H, W], 0..255.
        rng: turns by ±20°, shifts by ±8 % of the side, scales by 0.8..1.1, brightness and contrast by ±20 %.

    Returns:
        float [N, 3, H, W], 0..255; what comes in from outside is the mirrored edge.
    """
    count = len(images)
    turns, scales = np.deg2rad(rng.uniform(-20, 20, count)), rng.uniform(0.8, 1.1, count)
    cosines, sines = np.cos(turns) * scales, np.sin(turns) * scales
    shifts = rng.uniform(-0.16, 0.16, (2, count))  # of a side that runs from -1 to 1
    theta = np.stack([np.stack([cosines, -sines, shifts[0]]), np.stack([sines, cosines, shifts[1]])]).transpose(2, 0, 1)
    grid = functional.affine_grid(torch.from_numpy(theta.astype(np.float32)), list(images.shape), align_corners=False)
    moved = functional.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    gains, offsets = (
        torch.from_numpy(rng.uniform(low, high, (count, 1, 1, 1)).astype(np.float32))
        for low, high in ((0.8, 1.2), (-20, 20))
    )
    return ((moved - 127.5) * gains + 127.5 + offsets).clamp(0, 255)
