"""What an ingest costs beyond its two unavoidable parts, decoding and inference.

    python benchmarks/ingest.py PHOTOS [--rounds N]

Side by side in one process, each on all cores, on the same files:
  decode     read, decode and resize to the encoder's size; nothing else
  inference  the encoder on the decoded pixels, batch by batch
  add        `Index.add` into a fresh index: discovery, hashing, decoding, inference, storing, catalog
  again      `Index.add` once more: every file is known and unchanged
  one by one the network in torch, an image at a time, as people write it (where torch is installed)
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

import morphoindex
from morphoindex.indexer.cores import usable_cores
from morphoindex.indexer.encoding.encoder import DEFAULT, Encoder, find_encoder
from morphoindex.indexer.photographs.discovery import Found, discover
from morphoindex.indexer.photographs.images import decode


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def in_threads(work: Callable[[Sequence[str]], object], paths: Sequence[str], size: int) -> None:
    """Run the work on pieces of the list, one thread a core."""
    with ThreadPoolExecutor(usable_cores()) as pool:
        list(pool.map(work, [paths[i : i + size] for i in range(0, len(paths), size)]))


def decode_all(encoder: Encoder, paths: Sequence[str]) -> None:
    cover = (encoder.info.height, encoder.info.width)
    in_threads(
        lambda some: [encoder.fit(decode(Path(p).read_bytes(), cover=cover).pixels) for p in some], paths, encoder.batch
    )


def infer_all(encoder: Encoder, paths: Sequence[str], pixels: np.ndarray) -> None:
    in_threads(lambda some: encoder.embed(pixels[: len(some)]), paths, encoder.batch)


def one_by_one(paths: Sequence[str]) -> float | None:
    """Seconds an image for the default encoder's network in torch with batch size 1, as a script would do it."""
    try:
        import torch
        from PIL import Image

        from morphoindex.exporters.training.student import Student, StudentSettings
    except ImportError:
        return None
    network = Student(StudentSettings()).eval()
    start = time.perf_counter()
    with torch.inference_mode():
        for path in paths:
            image = Image.open(path).convert("RGB").resize((128, 128), Image.Resampling.BICUBIC)
            network(torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float())
    return (time.perf_counter() - start) / len(paths)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    paths = [found.path for found in discover([str(arguments.photos)]) if isinstance(found, Found)]
    encoder = Encoder(find_encoder(DEFAULT), usable_cores())
    shape = (encoder.batch, encoder.info.height, encoder.info.width, 3)
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    decode_all(encoder, paths)  # the files are in the page cache from here on
    print(f"{len(paths):,} photographs, {usable_cores()} cores, batches of {encoder.batch}, {encoder.provider}")
    ratios = []
    for number in range(arguments.rounds):
        decoding = timed(lambda: decode_all(encoder, paths))
        inference = timed(lambda: infer_all(encoder, paths, pixels))
        with tempfile.TemporaryDirectory() as folder, morphoindex.open(folder, create=True) as index:
            added = timed(lambda index=index: index.add(arguments.photos))
            again = timed(lambda index=index: index.add(arguments.photos))
        ratios.append(added / (decoding + inference))
        print(
            f"round {number + 1}: decode {decoding:.2f} s + inference {inference:.2f} s; "
            f"add {added:.2f} s, ratio {ratios[-1]:.3f}; again {again:.2f} s, {len(paths) / again:,.0f} files/s"
        )
    print(f"add / (decode + inference): median {np.median(ratios):.3f}")
    print(f"add: {len(paths) / added:,.0f} images/s in the last round")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak resident memory of all of this: {peak:,.0f} MiB")
    alone = one_by_one(paths[:300])
    if alone is not None:
        ratio = alone * len(paths) / added
        print(f"torch, one image at a time: {1 / alone:,.0f} images/s, {ratio:.1f} times as long as add")


if __name__ == "__main__":
    main()
