"""Measure encoders on a folder of images: `python -m morphoindex.exporters.training.evaluate ENCODER.onnx DATASET_DIR`.

Where the folder's manifest.csv names species and splits: 1-nearest-neighbour species accuracy of `valid` images, among
the others and among themselves. Everywhere: how far two encoders agree on neighbours, and how many images a second
each embeds.
"""

import argparse
import csv
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import onnxruntime

from morphoindex.exporters.training.views import IMAGE_SUFFIXES, open_rgb
from morphoindex.indexer.photographs.images import Fit, Resampling, fit

Floats = npt.NDArray[np.float32]
Names = npt.NDArray[np.str_]
Flags = npt.NDArray[np.bool_]
BATCH = 16
ROUNDS = 7
PAUSE = 0.1  # seconds; the threads of the network before spin on for a while


@dataclass(frozen=True)
class Photograph:
    """One file, and what a manifest says of it; empty strings where there is none."""

    path: Path
    species: str
    source_id: str
    split: str


class Candidate:
    """An ONNX file to measure: an encoder of the contract, or a plain network with float NCHW input.

    A plain network gets (value - 128) / 128, its first output named `embedding` is taken, and scaled to unit length.
    """

    def __init__(self, path: Path, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.path = path
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        (described,) = self.session.get_inputs()
        self.input = described.name
        self.plain = described.type == "tensor(float)"
        height, width = described.shape[2:4] if self.plain else described.shape[1:3]
        self.size = (int(width), int(height))
        known = self.session.get_modelmeta().custom_metadata_map
        self.fit = cast("Fit", known.get("morphoindex.fit", "squash"))
        self.resampling = cast("Resampling", known.get("morphoindex.resampling", "bicubic"))

    def pixels(self, path: Path) -> npt.NDArray[np.uint8]:
        """Decode and resize a file to uint8 [H, W, 3]."""
        return fit(np.asarray(open_rgb(path)), self.size[::-1], self.fit, self.resampling)

    def feed(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8] | Floats:
        """Turn uint8 [N, H, W, 3] into what the network takes."""
        if not self.plain:
            return pixels
        scaled: Floats = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), dtype=np.float32)
        return (scaled - np.float32(128)) / np.float32(128)

    def run(self, fed: npt.NDArray[np.uint8] | Floats) -> Floats:
        """Embed what `feed` made; float32 [N, d], unit length."""
        (output,) = self.session.run(["embedding"], {self.input: fed})
        flat: Floats = output.reshape(len(output), -1)
        unit: Floats = flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-12)
        return unit

    def embed(self, photographs: Sequence[Photograph]) -> Floats:
        """Embed files, BATCH at a time; float32 [N, d], unit length."""
        parts = []
        for start in range(0, len(photographs), BATCH):
            chosen = photographs[start : start + BATCH]
            parts.append(self.run(self.feed(np.stack([self.pixels(each.path) for each in chosen]))))
        return np.concatenate(parts)


def list_photographs(folder: Path) -> list[Photograph]:
    """List a folder's images by its manifest.csv, or all image files where it has none with the columns needed.

    Args:
        folder: with or without a manifest.csv (columns path, species, source_id, upstream_split).

    Raises:
        ValueError: there is no image.
    """
    manifest = folder / "manifest.csv"
    if manifest.is_file():
        with manifest.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        if rows and {"path", "species", "source_id", "upstream_split"} <= set(rows[0]):
            return [
                Photograph(folder / row["path"], row["species"], row["source_id"], row["upstream_split"])
                for row in rows
            ]
    found = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in IMAGE_SUFFIXES]
    if not found:
        raise ValueError(f"no image below {folder}")
    return [Photograph(path, "", "", "") for path in found]


def species_accuracy(embeddings: Floats, photographs: Sequence[Photograph]) -> dict[str, float]:
    """1-nearest-neighbour species accuracy of `valid` images, never among their own source.

    Args:
        embeddings: float32 [N, d], unit length.
        photographs: N, some of split `valid`.

    Returns:
        `accuracy` of those looked up among all others, `accuracy_by_species` as its mean over species,
        `accuracy_among_valid` of those looked up among each other, `queries` and `gallery` as counts.
    """
    species = np.array([each.species for each in photographs])
    valid = np.array([each.split == "valid" for each in photographs])
    sources = np.array([each.source_id for each in photographs])
    right, among = (_nearest_right(embeddings, species, sources, valid, gallery) for gallery in (~valid, valid))
    by_species = [right[species[valid] == name].mean() for name in np.unique(species[valid])]
    return {
        "accuracy": round(float(right.mean()), 4),
        "accuracy_by_species": round(float(np.mean(by_species)), 4),
        "accuracy_among_valid": round(float(among.mean()), 4),
        "queries": int(valid.sum()),
        "gallery": int((~valid).sum()),
    }


def _nearest_right(embeddings: Floats, species: Names, sources: Names, asked: Flags, gallery: Flags) -> Flags:
    """Whether the nearest of the gallery that is of another source is of the same species; bool, for each asked."""
    cosines = embeddings[asked] @ embeddings[gallery].T
    cosines[sources[asked][:, None] == sources[gallery][None, :]] = -2
    right: Flags = species[gallery][cosines.argmax(axis=1)] == species[asked]
    return right


def agreement(first: Floats, second: Floats) -> dict[str, float]:
    """How alike two encoders place the same images.

    Args:
        first: float32 [N, d], unit length, N >= 3.
        second: float32 [N, e], unit length, of the same images.

    Returns:
        `same_neighbour`, the share of images with the same nearest neighbour, and `cosine_correlation` over all pairs.
    """
    one, two = first @ first.T, second @ second.T
    pairs = np.triu_indices(len(one), 1)
    correlation = float(np.corrcoef(one[pairs], two[pairs])[0, 1])
    np.fill_diagonal(one, -2)
    np.fill_diagonal(two, -2)
    return {
        "same_neighbour": round(float((one.argmax(axis=1) == two.argmax(axis=1)).mean()), 4),
        "cosine_correlation": round(correlation, 4),
    }


def images_per_second(candidates: Sequence[Candidate], batches: int) -> list[float]:
    """Time the networks alone, taking turns, so that what else the machine does falls on all of them alike.

    Args:
        candidates: to be timed.
        batches: of BATCH random images, per round.

    Returns:
        Per candidate the median over ROUNDS rounds.
    """
    rng = np.random.default_rng(0)
    shapes = [(BATCH, each.size[1], each.size[0], 3) for each in candidates]
    fed = [
        each.feed(rng.integers(0, 256, shape, dtype=np.uint8)) for each, shape in zip(candidates, shapes, strict=True)
    ]
    rates: list[list[float]] = [[] for _ in candidates]
    for number in range(ROUNDS + 1):
        for place, candidate in enumerate(candidates):
            time.sleep(PAUSE)
            started = time.perf_counter()
            for _ in range(batches):
                candidate.run(fed[place])
            if number:  # the first round warms up
                rates[place].append(batches * BATCH / (time.perf_counter() - started))
    return [round(float(np.median(each)), 1) for each in rates]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print one JSON document.

    Args:
        arguments: of the command line; sys.argv's when None.
    """
    parser = argparse.ArgumentParser(prog="python -m morphoindex.exporters.training.evaluate", description=__doc__)
    parser.add_argument("encoder", type=Path)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--against", type=Path, nargs="*", default=[], help="further encoders or plain networks")
    parser.add_argument("--threads", type=int, default=0, help="of ONNX Runtime; 0 lets it choose")
    parser.add_argument("--batches", type=int, default=4, help="of 16 images, per round of the timing")
    options = parser.parse_args(arguments)
    photographs = list_photographs(options.dataset)
    candidates = [Candidate(path, options.threads) for path in (options.encoder, *options.against)]
    rates = images_per_second(candidates, options.batches)
    embeddings = [each.embed(photographs) for each in candidates]
    splits = {each.split for each in photographs}
    report: list[dict[str, object]] = []
    for place, candidate in enumerate(candidates):
        entry: dict[str, object] = {"file": candidate.path.name, "images_per_second": rates[place]}
        if len(splits) > 1 and "valid" in splits:
            entry |= species_accuracy(embeddings[place], photographs)
        if place:
            entry["encoder_against_this"] = agreement(embeddings[0], embeddings[place])
        report.append(entry)
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
