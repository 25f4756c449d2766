"""How fast an encoder is here."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from morphoindex.indexer.cores import usable_cores
from morphoindex.indexer.encoding.encoder import Encoder

BATCHES = (1, 16)
_SECONDS = 1.5  # for each batch size


@dataclass(frozen=True)
class Rates:
    """Images a second by batch size, of all workers together."""

    name: str
    provider: str
    workers: int
    images_per_second: dict[int, float]


def rates(path: Path, provider: str | None = None) -> Rates:
    """Measure an encoder on noise, with as many workers as cores, for a second and a half each.

    On a graphics card also in batches as large as `add` has them there.

    Args:
        path: the file.
        provider: as `Encoder` takes it.

    Raises:
        EncoderError: it does not run.
        UsageError: the provider is not there.
    """
    workers = usable_cores()
    encoder = Encoder(path, workers, provider)
    batches = sorted({*BATCHES, *([] if encoder.provider == "CPUExecutionProvider" else [encoder.batch])})
    shape = (batches[-1], encoder.info.height, encoder.info.width, 3)
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    with ThreadPoolExecutor(workers) as pool:
        return Rates(
            encoder.info.name, encoder.provider, workers,
            {batch: _rate(encoder, pixels[:batch], pool, workers) for batch in batches},
        )  # fmt: skip


def _rate(encoder: Encoder, pixels: npt.NDArray[np.uint8], pool: ThreadPoolExecutor, workers: int) -> float:
    def run(seconds: float) -> int:
        end, images = time.perf_counter() + seconds, 0
        while time.perf_counter() < end:
            encoder.run(pixels)
            images += len(pixels)
        return images

    run(0.1)  # to warm up
    start = time.perf_counter()
    images = sum(pool.map(run, [_SECONDS] * workers))
    return images / (time.perf_counter() - start)
