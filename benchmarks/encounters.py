"""What encounters cost: the kernel on two kinds of collections, and the index when it grows.

  python benchmarks/encounters.py [SPECIMENS]

season   ten cameras over 150 days, bursts of five images of one animal: what most collections are
trap     one camera, twenty boxes in each frame, a frame every two seconds without a pause: the worst there is
dense    all pairs as one matrix, as scripts do it, on a part of `season` that fits in memory
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse.csgraph import connected_components

import morphoindex
from morphoindex.indexer import adding
from morphoindex.indexer.selection.encounters import NONE, Rule, Sightings, encounters

DIMENSIONS, DENSE = 256, 10_000
START = 1_714_000_000


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def season(n: int, rng: np.random.Generator) -> Sightings:
    bursts = n // 5
    looks = np.repeat(rng.normal(size=(bursts, DIMENSIONS)).astype(np.float32), 5, axis=0)
    return Sightings(
        vectors=unit(looks + 0.3 * rng.normal(size=looks.shape).astype(np.float32)),
        seconds=START + np.repeat(rng.integers(0, 150 * 86_400, bursts), 5) + np.tile(np.arange(5) * 2.0, bursts),
        cameras=np.repeat(rng.integers(0, 10, bursts), 5),
        centres=np.full((bursts * 5, 2), np.nan),
        frames=np.full(bursts * 5, NONE),
        boxes=np.arange(bursts * 5),
    )


def trap(n: int, rng: np.random.Generator) -> Sightings:
    """Animals of five species that sit still."""
    frames = n // 20
    who = np.tile(np.arange(20), frames)
    looks = rng.normal(size=(5, DIMENSIONS))[who % 5] + 0.5 * rng.normal(size=(20, DIMENSIONS))[who]
    return Sightings(
        vectors=unit(looks + 0.3 * rng.normal(size=looks.shape)),
        seconds=START + np.repeat(np.arange(frames) * 2.0, 20),
        cameras=np.zeros(frames * 20, np.int64),
        centres=rng.uniform(0, 4000, (20, 2))[who] + 10 * rng.normal(size=(frames * 20, 2)),
        frames=np.repeat(np.arange(frames), 20),
        boxes=np.arange(frames * 20),
    )


def dense(seen: Sightings, rule: Rule) -> int:
    apart = np.abs(seen.seconds[:, np.newaxis] - seen.seconds)
    joined = (seen.vectors @ seen.vectors.T >= rule.similarity) & (apart < rule.quick_gap)
    joined &= seen.cameras[:, np.newaxis] == seen.cameras
    return int(connected_components(joined, directed=False)[0])


def timed(words: str, work: Callable[[], Any]) -> Any:
    start, spent = time.perf_counter(), time.process_time()
    found = work()
    wall, spent = time.perf_counter() - start, time.process_time() - spent
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{words:<40}{wall:8.2f} s, of the processor {spent:7.2f} s   peak so far {peak:.1f} GB", flush=True)
    return found


def grow(seen: Sightings, folder: Path) -> None:
    """An index with all but the last of these, then the last thousand of them: what `add` spends on encounters."""
    ids = [f"s{i}" for i in range(len(seen.seconds))]
    times = [str(np.datetime64(int(second), "s")) for second in seen.seconds]
    cameras = [f"c{camera}" for camera in seen.cameras]
    refresh = adding.refresh
    with morphoindex.open(folder / "index", create=True) as index:
        for words, some in (("all but 1,000", slice(0, -1000)), ("1,000 more", slice(-1000, None))):
            adding.refresh = lambda session: timed(f"index: encounters of {words}", lambda: refresh(session))
            metadata = {"time": times[some], "camera": cameras[some]}
            index.add_embeddings(ids[some], seen.vectors[some], metadata=metadata)
        timed("index: status, nothing new", index.status)
        timed("index: list of all", index.encounters)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("specimens", nargs="?", type=int, default=100_000)
    n, rng = arguments.parse_args().specimens, np.random.default_rng(0)
    encounters(trap(400, rng), Rule())  # compiles
    part = season(min(n, DENSE), rng)
    a = timed(f"dense, {len(part.seconds):,} of a season", lambda: dense(part, Rule()))
    b = timed(f"kernel, {len(part.seconds):,} of a season", lambda: encounters(part, Rule()).max() + 1)
    assert a == b
    seen = season(n, rng)
    timed(f"kernel, {n:,} of a season", lambda: encounters(seen, Rule()))
    busy = trap(n, rng)
    found = timed(f"kernel, {n:,} of a busy trap", lambda: encounters(busy, Rule()))
    print(f"  {found.max() + 1} encounters of 20 animals")
    with tempfile.TemporaryDirectory() as folder:
        grow(seen, Path(folder))


if __name__ == "__main__":
    main()
