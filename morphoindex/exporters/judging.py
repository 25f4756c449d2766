"""Is the file what the network was? The images it is tried on, and the figures that decide."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from morphoindex.errors import ImageRefused, UsageError
from morphoindex.exporters.drawings import draw_specimen, drawn_species
from morphoindex.indexer.encoding.encoder import Encoder
from morphoindex.indexer.photographs.discovery import Found, discover
from morphoindex.indexer.photographs.images import decode

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Reference = Callable[[Floats], Floats]  # float32 [N, 3, H, W] as the network takes it -> features [N, d]

PHOTOGRAPHS = 64  # at the least, for a check; of the user's own as many again for calibration
MOST_PHOTOGRAPHS = 384
_BATCH = 16
_ROUNDS = 5


@functools.cache
def drawn_photographs() -> tuple[Pixels, ...]:
    """Sixty-four drawn specimens of many shapes, and black, white, noise: uint8 [H, W, 3], never the same size."""
    rng = np.random.default_rng(0)
    drawn = []
    for number in range(PHOTOGRAPHS):
        whole = np.asarray(draw_specimen(drawn_species(number), rng))
        height, width = rng.integers(whole.shape[0] // 2, whole.shape[0] + 1, 2)
        drawn.append(whole[:height, :width])
    noise = rng.integers(0, 256, (200, 260, 3), np.uint8)
    return *drawn, np.zeros_like(noise), np.full_like(noise, 255), noise


def own_photographs(folder: Path) -> list[Pixels]:
    """Photographs of the user's, evenly from a folder.

    Returns:
        2 * PHOTOGRAPHS to MOST_PHOTOGRAPHS pictures, uint8 [H, W, 3]; those that cannot be read are passed over.

    Raises:
        UsageError: there are too few.
    """
    files = [found.path for found in discover([str(folder)]) if isinstance(found, Found)]
    photographs = []
    for number in np.unique(np.linspace(0, len(files) - 1, MOST_PHOTOGRAPHS).astype(int)) if files else ():
        try:
            photographs.append(decode(Path(files[number]).read_bytes(), cover=(512, 512)).pixels)
        except (ImageRefused, OSError):
            continue
    if len(photographs) < 2 * PHOTOGRAPHS:
        raise UsageError(
            f"{folder} has {len(photographs)} readable photographs: calibration takes {PHOTOGRAPHS} and the check "
            "as many others"
        )
    return photographs


def cosines(found: Floats, expected: Floats) -> Floats:
    """Row by row; two vectors that are both zero agree.

    Args:
        found, expected: float [n, d], of any length.

    Returns:
        float32 [n].
    """
    both_zero = (np.abs(found).max(axis=1) < 1e-6) & (np.abs(expected).max(axis=1) < 1e-6)
    return np.where(both_zero, np.float32(1), (unit(found) * unit(expected)).sum(axis=1))


def unit(vectors: Floats) -> Floats:
    """Rows of length one; zero stays zero."""
    scaled: Floats = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return scaled


def from_both_sides(run: Callable[[Pixels], Floats], pixels: Pixels) -> Floats:
    """The direction between the vectors of pictures and those of their mirror images.

    Args:
        run: gives vectors, float [n, d], of pixels.
        pixels: uint8 [n, H, W, 3].

    Returns:
        float32 [n, d], unit length.
    """
    return unit(run(pixels) + run(np.ascontiguousarray(pixels[:, :, ::-1])))


def in_batches(run: Callable[[Any], Floats], images: npt.NDArray[Any]) -> Floats:
    """Run something on many images, a few at a time."""
    return np.concatenate([run(images[start : start + _BATCH]) for start in range(0, len(images), _BATCH)])


def neighbours_kept(found: Floats, expected: Floats, k: int = 10) -> float:
    """The share of each image's k nearest others that stay: float [n, d] twice, unit length -> 0..1."""
    nearest = []
    for vectors in (found, expected):
        similar = vectors @ vectors.T
        np.fill_diagonal(similar, -2)
        nearest.append(np.argsort(-similar, axis=1, kind="stable")[:, :k])
    return float(np.mean([len(np.intersect1d(a, b)) / k for a, b in zip(*nearest, strict=True)]))


def times_as_fast(encoder: Encoder, other: Encoder, pixels: Pixels) -> float:
    """How many times as fast the first is on batches of 16, run in turn; the median of five ratios."""
    pixels = np.resize(pixels, (_BATCH, *pixels.shape[1:]))
    ratios = []
    for number in range(_ROUNDS + 1):
        start = time.perf_counter()
        encoder.embed(pixels)
        middle = time.perf_counter()
        other.embed(pixels)
        if number:  # the first is for warming up
            ratios.append((time.perf_counter() - middle) / (middle - start))
    return float(np.median(ratios))


def halves(photographs: Sequence[Pixels]) -> tuple[Sequence[Pixels], Sequence[Pixels]]:
    """Those to calibrate with, and those to check with: taken in turn."""
    return photographs[::2], photographs[1::2]
