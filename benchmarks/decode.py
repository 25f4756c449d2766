"""What decoding JPEGs at a smaller scale saves, and what it changes.

    python benchmarks/decode.py [--rounds N]

A drawn photograph of 12 megapixels, decoded whole and at the smallest scale that covers twice 128 × 128, in turn.
"""

from __future__ import annotations

import argparse
import io
import time

import numpy as np
from PIL import Image

from morphoindex.indexer.photographs.images import decode, fit

SIZE = (128, 128)


def photograph() -> bytes:
    """A JPEG of 4000 × 3000 with structure at every scale."""
    rng = np.random.default_rng(0)
    layers = [
        Image.fromarray(rng.integers(0, 256, (3000 // step, 4000 // step, 3), np.uint8)).resize((4000, 3000))
        for step in (4, 20, 100, 500)
    ]
    mean = np.mean([np.asarray(layer, np.float32) for layer in layers], axis=0)
    file = io.BytesIO()
    Image.fromarray(mean.astype(np.uint8)).save(file, "JPEG", quality=92)
    return file.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    data = photograph()
    seconds: dict[str, list[float]] = {"whole": [], "scaled": []}
    results = {}
    for _ in range(arguments.rounds):
        for name, cover in (("whole", None), ("scaled", SIZE)):
            start = time.perf_counter()
            results[name] = fit(decode(data, cover=cover).pixels, SIZE)
            seconds[name].append(time.perf_counter() - start)
    whole, scaled = (float(np.median(seconds[name])) * 1e3 for name in ("whole", "scaled"))
    difference = np.abs(results["whole"].astype(int) - results["scaled"].astype(int))
    print(f"{len(data) / 1e6:.1f} MB; whole {whole:.0f} ms, scaled {scaled:.0f} ms, {whole / scaled:.1f} times as fast")
    print(f"difference of the {SIZE[0]} × {SIZE[1]} pixels: mean {difference.mean():.2f}, at most {difference.max()}")


if __name__ == "__main__":
    main()
