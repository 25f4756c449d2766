"""Exact clusters after an addition, and from nothing, beside those who begin anew.

    python benchmarks/clustering.py [growth|nothing|extraction|memory|file|start|approximate …] [--sizes 10000 50000]
                                    [--embeddings FILE.npy] [--rounds N] [--slow]

Each part compares side by side in one process and prints ratios; `--slow` adds hdbscan's own refit (minutes). Planted
embeddings: 200 clusters of unequal spread in 384 dimensions and a tenth of noise. `--embeddings` takes real ones,
float32 [n, d], in the place of planted ones. fast_hdbscan is not a dependency: `pip install fast-hdbscan`.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from morphoindex.indexer.clustering.condensed import density_clusters
from morphoindex.indexer.clustering.cutting import cut, sweep
from morphoindex.indexer.clustering.dendrogram import dendrogram
from morphoindex.indexer.clustering.forest import ClusterForest
from morphoindex.indexer.clustering.intake import unit

DIM = 384
_SIZE = 25  # min_cluster_size


def planted(n: int, seed: int = 0, clusters: int = 200) -> np.ndarray:
    """Unit vectors float32 [n, 384]: clusters of unequal spread, and a tenth of noise."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((clusters, DIM))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    parts = []
    for size in [20_000] * (n // 20_000) + [n % 20_000]:
        x = centres[rng.integers(0, clusters, size)]
        x += rng.standard_normal((size, DIM)) * (0.9 / np.sqrt(DIM)) * rng.uniform(0.5, 1, (size, 1))
        noise = rng.random(size) < 0.1
        x[noise] = rng.standard_normal((int(noise.sum()), DIM))
        parts.append(unit(x))
    return np.concatenate(parts)


def keys_for(start: int, stop: int) -> list[str]:
    """Content ids, in no order."""
    return [f"{i * 0x9E3779B97F4A7C15 % 2**64:016x}{i:016x}" for i in range(start, stop)]


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def line(*cells: object) -> None:
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def heads(*cells: str) -> None:
    line(*cells)
    line(*["---"] * len(cells))


def fast_refit(x: np.ndarray) -> Callable[[], object] | None:
    try:
        import fast_hdbscan
    except ImportError:
        return None
    return lambda: fast_hdbscan.HDBSCAN(min_cluster_size=_SIZE, min_samples=5).fit(x)


def growth(vectors: Callable[[int], np.ndarray], sizes: list[int], rounds: int, slow: bool) -> None:
    """From new vectors to labels, tree and extraction together, after + 1 % and + 0.1 %."""
    print("\n### From new vectors to labels\n")
    heads("n", "new", "ours", "matrix product", "ours / product", "fast_hdbscan refit", "times faster")
    warm_up()
    for n in sizes:
        shares = [n // 100, n // 1000]
        x = vectors(n + rounds * sum(shares))
        n = min(n, len(x) - rounds * sum(shares))
        forest = ClusterForest(5)
        forest.add(keys_for(0, n), x[:n])
        forest.density(_SIZE)
        for m in shares:
            ours, product, refits = [], [], []
            for _ in range(rounds):
                old = len(forest)
                new, everything = x[old : old + m], x[: old + m]
                product.append(min(timed(lambda: new @ everything.T) for _ in range(3)))
                time.sleep(0.2)  # until the threads of BLAS have gone to sleep: they spin, on our cores
                keys = keys_for(old, old + m)

                def grow(keys: list[str] = keys, new: np.ndarray = new) -> None:
                    forest.add(keys, new)
                    forest.density(_SIZE)

                ours.append(timed(grow))
                refit = fast_refit(everything)
                if refit is not None:
                    refits.append(timed(refit))
            mine, floor = float(np.median(ours)), float(np.median(product))
            other = float(np.median(refits)) if refits else float("nan")
            line(
                f"{n:,}", m, f"{mine:.4f} s", f"{floor:.4f} s", f"{mine / floor:.2f}", f"{other:.2f} s",
                f"{other / mine:.0f}",
            )  # fmt: skip
            if slow and m == shares[0] and n <= 10_000:
                import hdbscan

                fit = hdbscan.HDBSCAN(min_cluster_size=_SIZE, min_samples=5, approx_min_span_tree=False)
                seconds = timed(lambda: fit.fit(everything.astype(np.float64)))
                line(f"{n:,}", m, f"hdbscan refit {seconds:.1f} s", "", "", "", f"{seconds / mine:,.0f}")


def nothing(vectors: Callable[[int], np.ndarray], sizes: list[int], rounds: int, slow: bool) -> None:
    """Exact labels from nothing."""
    print("\n### From nothing\n")
    heads("n", "ours", "matrix product n × n", "ours / product", "fast_hdbscan", "scikit-learn brute", "times faster")
    warm_up()
    for n in sizes:
        x = vectors(n)
        n = len(x)
        step = 2000
        out = np.empty((step, n), np.float32)
        product = timed(lambda: [np.matmul(x[i : i + step], x.T, out=out[: n - i]) for i in range(0, n, step)])

        def ours() -> None:
            forest = ClusterForest(5)
            forest.add(keys_for(0, len(x)), x)
            forest.density(_SIZE)

        mine = min(timed(ours) for _ in range(rounds))
        refit = fast_refit(x)
        other = f"{timed(refit):.2f} s" if refit else "–"
        brute = "–"
        faster = "–"
        if n <= 12_000:
            from sklearn.cluster import HDBSCAN

            seconds = timed(lambda: HDBSCAN(_SIZE, 6, algorithm="brute", copy=True).fit(x))
            brute, faster = f"{seconds:.1f} s", f"{seconds / mine:.1f}"
        line(f"{n:,}", f"{mine:.2f} s", f"{product:.2f} s", f"{mine / product:.2f}", other, brute, faster)


def random_tree(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A tree like those of clustered data: short edges within groups, long ones between, sorted."""
    rng = np.random.default_rng(seed)
    child = np.arange(1, n)
    within = rng.random(n - 1) < 0.99
    near, far = np.maximum(0, child - rng.integers(1, 50, n - 1)), (rng.random(n - 1) * child).astype(int)
    parent = np.where(within, near, far)
    weight = np.where(within, rng.normal(0.5, 0.08, n - 1), rng.normal(1.1, 0.05, n - 1)).clip(0.01, 2)
    order = np.argsort(weight)
    return parent[order].astype(np.int32), child[order].astype(np.int32), weight[order]


def extraction(vectors: Callable[[int], np.ndarray], sizes: list[int], rounds: int, slow: bool) -> None:
    """Labels once the tree is there."""
    from hdbscan._hdbscan_linkage import label
    from hdbscan.hdbscan_ import _tree_to_labels

    print("\n### Extraction alone\n")
    heads("n", "a threshold", "8 thresholds", "hdbscan*, all of it", "hdbscan's own extraction")
    warm_up()
    for n in (100_000, 1_000_000):
        a, b, weight = random_tree(n)
        merges = dendrogram(a, b, weight)
        threshold = min(timed(lambda: cut(dendrogram(a, b, weight), 0.8)) for _ in range(rounds))
        many = min(timed(lambda: sweep(merges, np.linspace(0.6, 0.95, 8).tolist())) for _ in range(rounds))
        dense = min(timed(lambda: density_clusters(dendrogram(a, b, weight), _SIZE)) for _ in range(rounds))
        theirs = "–"
        if slow or n <= 100_000:
            edges = np.column_stack([a, b, weight]).astype(np.float64)
            theirs = f"{timed(lambda: _tree_to_labels(np.empty((n, 0)), label(edges), _SIZE)):.2f} s"
        line(f"{n:,}", f"{threshold * 1e3:.1f} ms", f"{many * 1e3:.1f} ms", f"{dense * 1e3:.0f} ms", theirs)


_MEMORY = """
import resource, sys
import numpy as np
sys.path.insert(0, {here!r})
import clustering
from morphoindex.indexer.clustering.forest import ClusterForest
n = int(sys.argv[1])
ClusterForest(5).add(clustering.keys_for(0, 3000), clustering.planted(3000))  # threads and their buffers
clustering.warm_up()
x = clustering.planted(n + n // 100)
keys = clustering.keys_for(0, len(x))
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
def now():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
before = now()
open("/proc/self/clear_refs", "w").write("5")
forest = ClusterForest(5)
forest.add(keys[:n], x[:n])
held = now() - before
forest.add(keys[n:], x[n:])
forest.density({size})
highest = int([l for l in open("/proc/self/status") if l.startswith("VmHWM")][0].split()[1]) * 1024 - before
own = sum(v.nbytes for v in vars(forest._rows.first(n)).values() if isinstance(v, np.ndarray))
own += sum(a.nbytes for tree in forest._trees.values() for a in vars(tree).values())
print(own, held, highest)
"""


def memory(vectors: Callable[[int], np.ndarray], sizes: list[int], rounds: int, slow: bool) -> None:
    """Resident memory of a process, beyond what it had before the forest."""
    print("\n### Memory\n")
    heads("n", "vectors, lists, trees", "held after building", "at most, with + 1 %", "at most / first")
    for n in sizes:
        code = _MEMORY.format(here=str(Path(__file__).parent), size=_SIZE)
        out = subprocess.run([sys.executable, "-c", code, str(n)], check=True, capture_output=True, text=True).stdout
        own, held, highest = map(int, out.split())
        line(f"{n:,}", *(f"{value / 2**20:.0f} MiB" for value in (own, held, highest)), f"{highest / own:.2f}")


def file(vectors: Callable[[int], np.ndarray], sizes: list[int], rounds: int, slow: bool) -> None:
    """Saving, loading, and the first change after loading."""
    print("\n### On disk\n")
    heads("n", "size", "save", "load", "load and a threshold", "load and + 100 to labels")
    for n in sizes:
        x = planted(n + 100)
        forest = ClusterForest(5)
        forest.add(keys_for(0, n), x[:n])
        with tempfile.TemporaryDirectory() as folder:
            saved = min(timed(lambda: forest.save(folder)) for _ in range(rounds))
            size = sum(path.stat().st_size for path in Path(folder).iterdir())
            loaded = min(timed(lambda: ClusterForest.load(folder)) for _ in range(rounds))
            cutting = min(timed(lambda: ClusterForest.load(folder).threshold(0.8)) for _ in range(rounds))

            def change() -> None:
                again = ClusterForest.load(folder)
                again.add(keys_for(n, n + 100), x[n:])
                again.density(_SIZE)

            changed = timed(change)
        line(f"{n:,}", f"{size / 2**20:.0f} MiB", *(f"{value:.3f} s" for value in (saved, loaded, cutting, changed)))


def approximate(vectors: Callable[[int], np.ndarray], sizes: list[int], rounds: int, slow: bool) -> None:
    """Neighbours from the store's search graph, beside exact ones: from nothing, and + 0.1 %."""
    from sklearn.metrics import adjusted_rand_score

    from morphoindex.indexer.specimen import point_id
    from morphoindex.indexer.storage.qdrant_edge import EdgeStore
    from morphoindex.indexer.storage.vectors import Point

    print("\n### Approximate neighbours\n")
    heads(
        "n", "search graph", "approximate", "recall@10", "exact", "fast_hdbscan", "ARI with exact", "+ 0.1 %", "exact"
    )
    warm_up()
    for n in sizes:
        m = n // 1000
        x, keys = planted(n + m), keys_for(0, n + m)
        of = {point_id(key): key for key in keys}
        with tempfile.TemporaryDirectory() as folder:
            store = EdgeStore.create(Path(folder) / "store", {"e": DIM})
            store.upsert([Point(point_id(key), {}, row) for key, row in zip(keys, x, strict=True)])
            built = timed(store.optimize)

            def near(some: np.ndarray, count: int) -> list[list[str]]:
                return [[of[point] for point in points] for points in store.nearest(some, count)]

            forest, exact = ClusterForest(5), ClusterForest(5)
            times = [
                timed(lambda: (one.add(keys[:n], x[:n], ask), one.density(_SIZE)))
                for one, ask in ((forest, near), (exact, None))
            ]
            recall = forest.recall(10)
            alike = adjusted_rand_score(forest.density(_SIZE).labels, exact.density(_SIZE).labels)
            more = [
                timed(lambda: (one.add(keys[n:], x[n:], ask), one.density(_SIZE)))
                for one, ask in ((forest, near), (exact, None))
            ]
            store.close()
        refit = fast_refit(x)
        other = f"{timed(refit):.1f} s" if refit else "–"
        line(
            f"{n:,}", f"{built:.1f} s", f"{times[0]:.1f} s", f"{recall:.3f}", f"{times[1]:.1f} s", other,
            f"{alike:.3f}", f"{more[0]:.2f} s", f"{more[1]:.2f} s",
        )  # fmt: skip


_WARM = "import sys; sys.path.insert(0, {here!r}); import clustering; clustering.warm_up()"


def start(vectors: Callable[[int], np.ndarray], sizes: list[int], rounds: int, slow: bool) -> None:
    """A fresh machine, where nothing is compiled yet; and the next process."""
    print("\n### Start\n")
    heads("", "seconds")
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "NUMBA_CACHE_DIR": folder}
        code = _WARM.format(here=str(Path(__file__).parent))
        for name in ("kernels compiled for the first time", "taken from the disk", "once more"):
            seconds = timed(lambda: subprocess.run([sys.executable, "-c", code], check=True, env=environment))
            line(name, f"{seconds:.2f}")
    help_page = [sys.executable, "-m", "morphoindex", "--help"]
    line(
        "morphoindex --help",
        f"{min(timed(lambda: subprocess.run(help_page, check=True, capture_output=True)) for _ in range(5)):.2f}",
    )


def warm_up() -> None:
    """Compile what is measured, or take it from the disk."""
    x = planted(300, clusters=5)
    forest = ClusterForest(5)
    forest.add(keys_for(0, 200), x[:200])
    forest.add(keys_for(200, 300), x[200:])
    forest.remove(keys_for(0, 20))
    forest.density(_SIZE)
    forest.threshold(0.8)
    refit = fast_refit(x) if "numba" in sys.modules and "fast_hdbscan" in sys.modules else None
    if refit is not None:
        refit()


PARTS = {
    "growth": growth, "nothing": nothing, "extraction": extraction, "memory": memory, "file": file, "start": start,
    "approximate": approximate,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=list(PARTS), choices=[*PARTS, []])
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 50_000])
    parser.add_argument("--embeddings", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--slow", action="store_true")
    options = parser.parse_args()
    real = unit(np.load(options.embeddings)) if options.embeddings else None
    vectors = planted if real is None else lambda n: real[:n]
    if set(options.parts) & {"growth", "nothing"}:
        refit = fast_refit(planted(500, clusters=5))
        if refit is not None:
            refit()
    for part in options.parts:
        PARTS[part](vectors, options.sizes, options.rounds, options.slow)
    print(f"\nhighest memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10:.0f} MiB")


if __name__ == "__main__":
    main()
