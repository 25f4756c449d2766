"""How often `identify` is right, and how well it tells what is new.

    python benchmarks/identification.py butterflies75 [--encoder E | --vectors FILE.npy] [--draws N] [--seed S]

The folder has a `manifest.csv` with the columns path, species, source_id and upstream_split. Of each draw, a fifth of
the species are kept out altogether; the index gets names for the photographs of `train` of the others, and is asked
about those of `valid`, none of whose sources it has. What the index says of itself by leaving its own out stands beside
what comes of it. Vectors [n, d] are those of the manifest's rows; without them, the photographs are read.
Printed: for each draw and in the mean, names right of species that are there, AUROC of nearness, the mean error at the
threshold, and the verdicts.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import morphoindex
from morphoindex.indexer.selection.identification import auroc

VERDICTS = ("known", "near", "novel")


def embed(folder: Path, paths: list[str], encoder: str) -> NDArray[np.float32]:
    """The vectors of the manifest's photographs, [n, d]."""
    with tempfile.TemporaryDirectory() as place, morphoindex.open(place, create=True, encoder=encoder) as index:
        index.add([folder / path for path in paths])
        index.report("embeddings", "npz", Path(place) / "e.npz")
        file = np.load(Path(place) / "e.npz")
        row = dict(zip(file["paths"].tolist(), file["embeddings"], strict=True))
        return np.stack([row[str((folder / path).resolve())] for path in paths])


def draw(rows: list[dict[str, str]], vectors: NDArray[np.float32], seed: int) -> dict[str, Any]:
    species = sorted({row["species"] for row in rows})
    out = set(np.random.default_rng(seed).permutation(species)[: len(species) // 5].tolist())
    taught = [i for i, row in enumerate(rows) if row["upstream_split"] == "train" and row["species"] not in out]
    sources = {rows[i]["source_id"] for i in taught}
    asked = [i for i, row in enumerate(rows) if row["upstream_split"] == "valid" and row["source_id"] not in sources]
    names = [rows[i]["species"] for i in taught] + [""] * len(asked)
    metadata = {"species": names, "source_id": [rows[i]["source_id"] for i in [*taught, *asked]]}
    every = [str(i) for i in [*taught, *asked]]
    with tempfile.TemporaryDirectory() as place, morphoindex.open(place, create=True) as index:
        index.add_embeddings(every, vectors[[*taught, *asked]], metadata=metadata)
        index.cluster()  # what is measured is not the neighbour graph
        start = time.perf_counter()
        index.identify(every[-1], label="species", groups="source_id")
        learning = time.perf_counter() - start
        start = time.perf_counter()
        said = index.identify([str(i) for i in asked], label="species", groups="source_id")
        seconds = time.perf_counter() - start
    known = np.array([rows[i]["species"] not in out for i in asked])
    near = np.array([one.nearness for one in said.identified])
    right = np.array([one.nearest[0].name == rows[i]["species"] for one, i in zip(said.identified, asked, strict=True)])
    verdicts = np.array([one.verdict for one in said.identified])
    found = said.calibration
    assert found is not None
    return {
        "asked": len(asked), "novel": int((~known).sum()),
        "right": right[known].mean(), "promised right": found.accuracy,
        "right where known": right[known & (verdicts == "known")].mean(),
        "auroc": auroc(near[known], near[~known]), "promised auroc": found.auroc,
        "error": ((near[known] < found.threshold).mean() + (near[~known] >= found.threshold).mean()) / 2,
        "promised error": found.error,
        **{f"known: {v}": (verdicts[known] == v).mean() for v in VERDICTS},
        **{f"novel: {v}": (verdicts[~known] == v).mean() for v in VERDICTS},
        "seconds to learn": learning, "photographs/s": len(asked) / seconds,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--encoder", default="insect-128")
    parser.add_argument("--vectors", type=Path, help="float [n, d], in the order of the manifest")
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with open(arguments.folder / "manifest.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    if arguments.vectors:
        vectors = np.load(arguments.vectors)
    else:
        vectors = embed(arguments.folder, [row["path"] for row in rows], arguments.encoder)
    draws = [draw(rows, vectors, arguments.seed + number) for number in range(arguments.draws)]
    print(f"| | mean | {' | '.join(f'draw {number + 1}' for number in range(len(draws)))} |")
    print(f"|---|{'---|' * (len(draws) + 1)}")
    for what in draws[0]:
        values = [one[what] for one in draws]
        shown = (f"{value:.3f}" if value < 2 else f"{value:.0f}" for value in [np.mean(values), *values])
        print(f"| {what} | {' | '.join(shown)} |")


if __name__ == "__main__":
    main()
