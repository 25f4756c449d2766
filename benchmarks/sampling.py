"""What subsets are worth to train on, and what choosing them costs.

    python benchmarks/sampling.py [probe|speed …] --data butterflies75 --network inat_insect_mobilenet_v2.onnx
                                  [--vectors FILE.npy] [--seeds N] [--sizes 100000] [--number 1000]

  probe   a linear classifier on the vectors of a network, trained on 1, 5 and 10 % of the part `train` as each strategy
          chooses them, tested on the part `valid`. Each seed takes nine tenths of `train` at random to choose from.
          Beside them scikit-learn's `kmeans_plusplus` and apricot's facility location.
  speed   n of 100,000 planted vectors of 256 dimensions, CPU and wall seconds; apricot's facility location beside it,
          on what it can do: all pairs up to 10,000, nearest neighbours of all.

`--vectors` keeps the vectors of the network, float32 [n, d] in the order of manifest.csv; made where there is no such
file. apricot is not a dependency: `pip install apricot-select`; what needs it is passed over without it.
"""

from __future__ import annotations

import argparse
import csv
import time
import warnings
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.sparse import csr_matrix
from sklearn.cluster import kmeans_plusplus
from sklearn.linear_model import LogisticRegression

from morphoindex.indexer.clustering.forest import ClusterForest
from morphoindex.indexer.selection.quality import distance_to_nearest
from morphoindex.indexer.selection.sampling import STRATEGIES, sample

try:
    from apricot import FacilityLocationSelection
except ImportError:
    FacilityLocationSelection = None

SHARES = (0.01, 0.05, 0.1)
DIM = 256
PAIRS = 10_000  # specimens up to which apricot compares all pairs here


def vectors_of(data: Path, network: Path, rows: list[dict[str, str]]) -> np.ndarray:
    """Unit vectors float32 [n, d] of the photographs of a manifest: full frame, 224 × 224, (rgb - 128) / 128."""
    import onnxruntime

    session = onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])
    found = []
    for start in range(0, len(rows), 32):
        batch = []
        for row in rows[start : start + 32]:
            with Image.open(data / row["path"]) as image:
                resized = image.convert("RGB").resize((224, 224), Image.Resampling.BILINEAR)
            batch.append((np.asarray(resized, np.float32).transpose(2, 0, 1) - 128) / 128)
        found.append(session.run(["embedding"], {"input": np.stack(batch)})[0])
    vectors = np.concatenate(found)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def density_clusters(vectors: np.ndarray) -> np.ndarray:
    """What `morphoindex cluster` finds."""
    forest = ClusterForest(5)
    forest.add([f"{i:032x}" for i in range(len(vectors))], vectors)
    return forest.density(5).labels


def apricot_facility(vectors: np.ndarray, number: int, neighbours: int | None = None) -> np.ndarray:
    """Facility location by apricot, lazy greedy, on cosine similarities of all pairs or of the nearest neighbours.

    The similarities are made here: what apricot makes itself under the name of cosine is another function.
    """
    if neighbours is None:
        similar = np.maximum(vectors @ vectors.T, 0).astype(np.float64)
    else:
        values, columns = [], []
        for start in range(0, len(vectors), 256):
            block = np.maximum(vectors[start : start + 256] @ vectors.T, 0)
            nearest = np.argpartition(block, -neighbours, axis=1)[:, -neighbours:]
            columns.append(nearest)
            values.append(np.take_along_axis(block, nearest, axis=1))
        starts = np.arange(len(vectors) + 1) * neighbours
        shape = (len(vectors), len(vectors))
        similar = csr_matrix(
            (np.concatenate(values, axis=None).astype(np.float64), np.concatenate(columns, axis=None), starts), shape
        )
        similar = similar.maximum(similar.T).tocsr()
    return np.asarray(FacilityLocationSelection(number, metric="precomputed", optimizer="lazy").fit(similar).ranking)


def ways(vectors: np.ndarray, species: np.ndarray, number: int, seed: int) -> dict[str, Callable[[], np.ndarray]]:
    clusters = density_clusters(vectors)
    found: dict[str, Callable[[], np.ndarray]] = {
        strategy: lambda strategy=strategy: sample(
            vectors, number, strategy, clusters=clusters, classes=species if strategy == "stratified" else None,
            seed=seed,
        )
        for strategy in reversed(STRATEGIES)
    }  # fmt: skip
    found |= {
        f"{strategy}, by species": lambda strategy=strategy: sample(
            vectors, number, strategy, clusters=clusters, classes=species, seed=seed
        )
        for strategy in ("random", "cluster", "coverage", "facility")
    }
    found["scikit-learn kmeans_plusplus"] = lambda: kmeans_plusplus(vectors, number, random_state=seed)[1]
    if FacilityLocationSelection:
        found["apricot facility location"] = lambda: apricot_facility(vectors, number)
    return found


def accuracy(train: np.ndarray, labels: np.ndarray, test: np.ndarray, truth: np.ndarray) -> float:
    model = LogisticRegression(C=100, max_iter=200)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about few specimens a species, and steps that end early
        return float((model.fit(train, labels).predict(test) == truth).mean())


def probe(vectors: np.ndarray, rows: list[dict[str, str]], seeds: int) -> None:
    species = np.unique([row["species"] for row in rows], return_inverse=True)[1]
    part = np.array([row["upstream_split"] for row in rows])
    train, test = np.flatnonzero(part == "train"), np.flatnonzero(part == "valid")
    sizes = [round(share * len(train)) for share in SHARES]
    scores, worth = defaultdict(list), defaultdict(list)
    for seed in range(seeds):
        pool = np.sort(np.random.default_rng(seed).permutation(train)[: len(train) * 9 // 10])
        for way, choose in ways(vectors[pool], species[pool], sizes[-1], seed).items():
            order = choose()
            for size in sizes:
                some = pool[order[:size]]
                score = accuracy(vectors[some], species[some], vectors[test], species[test])
                scores[way, size].append(score)
                apart = distance_to_nearest(vectors[pool], order[:size])
                worth[way, size].append((len(set(species[some].tolist())), apart.max(), apart.mean()))
    print(f"{len(train):,} to choose from, {len(test):,} to test on, mean of {seeds} seeds: accuracy (± deviation), ")
    print("species covered, largest and mean cosine distance to the nearest chosen one")
    print("| strategy | " + " | ".join(f"n = {size}" for size in sizes) + " |\n|" + "---|" * (len(sizes) + 1))
    for way in dict.fromkeys(way for way, _ in scores):
        cells = []
        for size in sizes:
            covered, radius, mean = np.mean(worth[way, size], axis=0)
            score = scores[way, size]
            cells.append(f"{np.mean(score):.3f} ± {np.std(score):.3f}; {covered:.0f} species; {radius:.2f}, {mean:.2f}")
        print(f"| {way} | " + " | ".join(cells) + " |", flush=True)


def planted(n: int, clusters: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors float32 [n, 256] in clusters of unequal spread, a tenth of them noise; their clusters int64 [n]."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((clusters, DIM))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    labels = rng.integers(0, clusters, n)
    x = centres[labels] + rng.standard_normal((n, DIM)) * (0.9 / np.sqrt(DIM)) * rng.uniform(0.5, 1, (n, 1))
    noise = rng.random(n) < 0.1
    x[noise], labels[noise] = rng.standard_normal((int(noise.sum()), DIM)), -1
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32), labels


def speed(sizes: list[int], number: int) -> None:
    print(
        "| specimens | way | CPU s | wall s | largest distance | mean | Σ similarity |\n|---|---|---|---|---|---|---|"
    )
    for n in sizes:
        vectors, clusters = planted(n)
        for strategy in STRATEGIES:
            timed(n, strategy, vectors, lambda: sample(vectors, number, strategy, clusters=clusters))
        if FacilityLocationSelection:
            if n <= PAIRS:
                timed(n, "apricot, all pairs", vectors, lambda: apricot_facility(vectors, number))
            timed(n, "apricot, 100 neighbours", vectors, lambda: apricot_facility(vectors, number, 100))


def timed(n: int, way: str, vectors: np.ndarray, choose: Callable[[], np.ndarray]) -> None:
    cpu, wall = time.process_time(), time.perf_counter()
    chosen = choose()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    apart = distance_to_nearest(vectors, chosen)
    similar = np.maximum(1 - apart, 0).sum(dtype=np.float64)
    print(
        f"| {n:,} | {way} | {cpu:.1f} | {wall:.1f} | {apart.max():.3f} | {apart.mean():.3f} | {similar:,.0f} |",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", default=[], help="probe, speed; both by default")
    parser.add_argument("--data", type=Path, help="butterflies75, with its manifest.csv")
    parser.add_argument("--network", type=Path, help="the ONNX file of the insect network")
    parser.add_argument("--vectors", type=Path, help="a file that keeps the vectors")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--number", type=int, default=1000)
    arguments = parser.parse_args()
    parts = arguments.parts or ["probe", "speed"]
    if not FacilityLocationSelection:
        print("apricot is not installed: passed over")
    if "probe" in parts:
        if not arguments.data:
            parser.error("probe needs --data")
        with open(arguments.data / "manifest.csv", encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        kept = arguments.vectors
        if kept and kept.exists():
            vectors = np.load(kept)
        else:
            vectors = vectors_of(arguments.data, arguments.network, rows)
            if kept:
                np.save(kept, vectors)
        probe(vectors.astype(np.float32), rows, arguments.seeds)
    if "speed" in parts:
        speed(arguments.sizes, arguments.number)


if __name__ == "__main__":
    main()
