"""What an encoder costs: in ONNX, in int8, in torch, and in torch as scripts have it.

    python benchmarks/encoders.py [--rounds N] [--networks resnet18 vit-s] [--provider cuda] [--photos FOLDER]

Random weights: they do not matter for speed. Side by side in one process, in turn, each with one thread, since `add`
runs one a core; pixels in, vectors out:
  onnx      the encoder file in fp32, as `Encoder` runs it
  int8      the same file quantised
  torch     the same network in torch, in one batch, in inference mode
  loop      torch as scripts have it: open, transform with the framework's own steps, one image at a time
Printed: images a second, the median of the rounds, and the medians of the ratios to torch at the same batch size.
Where ONNX Runtime has CUDA, `--provider cuda` runs the files there; the machine's name belongs beside the figures.

With `--photos` also from file to vector, as `add` reads and embeds them, on all cores: in fp32, on a card in fp16; and
the reading alone, which a card has to wait for.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from transformers import Dinov2Config, Dinov2Model, ResNetConfig, ResNetModel

from morphoindex.exporters import dino, resnet
from morphoindex.exporters.contract import EncoderRecord, serialised, wrap
from morphoindex.exporters.judging import drawn_photographs
from morphoindex.exporters.onnx_export import from_torch
from morphoindex.exporters.precision import halve, quantise
from morphoindex.exporters.preparation import IMAGENET_DEVIATION, IMAGENET_MEAN, Preparation, in_bytes
from morphoindex.indexer.cores import usable_cores
from morphoindex.indexer.encoding.encoder import Encoder
from morphoindex.indexer.encoding.reading import Candidate, Reader, read_file
from morphoindex.indexer.photographs.discovery import Found, discover

BATCHES = (1, 16)
PREPARATION = Preparation(224, 224, "squash", "bilinear", 0, *in_bytes(IMAGENET_MEAN, IMAGENET_DEVIATION))


def networks() -> dict[str, torch.nn.Module]:
    torch.manual_seed(0)
    basic = ResNetConfig(embedding_size=64, hidden_sizes=resnet.WIDTHS, depths=resnet.DEPTHS, layer_type="basic")
    small = Dinov2Config(hidden_size=384, num_hidden_layers=12, num_attention_heads=6, image_size=224, patch_size=14)
    return {
        "resnet18": resnet.Pooled(ResNetModel(basic)).eval(),
        "vit-s": dino.Pooled(Dinov2Model(small), "cls").eval(),
    }


def encoders(network: torch.nn.Module, folder: Path, provider: str | None) -> dict[str, Encoder]:
    material = from_torch(network, PREPARATION)
    images = PREPARATION.normalised(np.stack([PREPARATION.fitted(one) for one in drawn_photographs()[:32]]))
    found = {}
    for name, made in {"onnx": material.network, "int8": quantise(material.network, images)}.items():
        path = folder / f"{name}.onnx"
        path.write_bytes(serialised(wrap(made, PREPARATION, EncoderRecord(name, "random weights"))))
        found[name] = Encoder(path, provider=provider)
    return found


def one_by_one(network: torch.nn.Module, photographs: list[np.ndarray]) -> None:
    mean, deviation = (torch.tensor(values).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_DEVIATION))
    for photograph in photographs:
        resized = Image.fromarray(photograph).resize((224, 224), Image.Resampling.BILINEAR)
        pixels = torch.from_numpy(np.asarray(resized).copy()).permute(2, 0, 1).float() / 255
        with torch.no_grad():
            features = network(((pixels - mean) / deviation)[None])[0].numpy()
        features / np.linalg.norm(features)


def compare(network: torch.nn.Module, files: dict[str, Encoder], batch: int, rounds: int) -> dict[str, list[float]]:
    """Seconds of each way by round."""
    photographs = list(drawn_photographs()[:batch])
    pixels = np.stack([PREPARATION.fitted(photograph) for photograph in photographs])
    mean, deviation = (torch.tensor(values) for values in (PREPARATION.mean, PREPARATION.deviation))

    def in_torch() -> None:
        with torch.inference_mode():
            floats = ((torch.from_numpy(pixels) - mean) / deviation).permute(0, 3, 1, 2)
            torch.nn.functional.normalize(network(floats)).numpy()

    ways: dict[str, Callable[[], object]] = {
        **{name: lambda encoder=encoder: encoder.run(pixels) for name, encoder in files.items()},
        "torch": in_torch,
        "loop": lambda: one_by_one(network, photographs),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            if number:  # the first is for warming up
                seconds[name].append(time.perf_counter() - start)
    return seconds


def from_files(network: torch.nn.Module, photos: Path, provider: str | None, rounds: int) -> None:
    """Print images a second: read and decoded; and embedded as well."""
    material = from_torch(network, PREPARATION)
    card = provider not in (None, "cpu")
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "encoder.onnx"
        made = halve(material.network) if card else material.network
        path.write_bytes(serialised(wrap(made, PREPARATION, EncoderRecord("encoder", "random weights"))))
        encoder = Encoder(path, usable_cores(), provider)
    reader = Reader(encoder)
    candidates = [Candidate(found.path, "", "") for found in discover([str(photos)]) if isinstance(found, Found)]
    bites = [candidates[start : start + encoder.batch] for start in range(0, len(candidates), encoder.batch)]

    def read(bite: list[Candidate]) -> None:
        for candidate in bite:
            content = read_file(candidate.path)
            reader.decode(content.data, hashlib.sha256(content.data).hexdigest())

    ways = {"read": read, "read and embedded": lambda bite: reader.outcomes(bite, frozenset())}
    with ThreadPoolExecutor(usable_cores()) as pool:
        for _ in range(rounds):
            for way, work in ways.items():
                start = time.perf_counter()
                list(pool.map(work, bites))
                rate = len(candidates) / (time.perf_counter() - start)
                print(f"{len(candidates):,} photographs {way}: {rate:,.0f} a second on {encoder.place}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--networks", nargs="+", default=["resnet18", "vit-s"], choices=["resnet18", "vit-s"])
    parser.add_argument("--provider", help="of the files; torch stays on the CPU")
    parser.add_argument("--photos", type=Path, help="a folder of photographs")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print("| network | batch | way | images/s | times torch |\n|---|---|---|---|---|")
    for name, network in networks().items():
        if name not in arguments.networks:
            continue
        with tempfile.TemporaryDirectory() as place:
            files = encoders(network, Path(place), arguments.provider)
            for batch in BATCHES:
                seconds = compare(network, files, batch, arguments.rounds)
                for way, taken in seconds.items():
                    ratio = np.median(np.array(seconds["torch"]) / np.array(taken))
                    print(f"| {name} | {batch} | {way} | {batch / np.median(taken):.1f} | {ratio:.2f} |", flush=True)
        if arguments.photos:
            from_files(network, arguments.photos, arguments.provider, arguments.rounds)


if __name__ == "__main__":
    main()
