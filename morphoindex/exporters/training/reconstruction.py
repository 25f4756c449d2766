"""Training an autoencoder: photographs in, the same photographs out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from morphoindex.exporters.training.autoencoder import Autoencoder, AutoencoderShape, save_autoencoder
from morphoindex.exporters.training.batches import mirrored, through, to_tensor
from morphoindex.exporters.training.charts import draw_sheet
from morphoindex.exporters.training.loop import Measured, Rows, Run, TrainingSettings
from morphoindex.exporters.training.pictures import Pictures, Pixels, read_pictures, squashed
from morphoindex.exporters.training.runs import Order, Trained, Watcher, claim_of, export, run_training, trained
from morphoindex.exporters.training.splitting import HELD_OUT, TRAIN, groups_of, two_parts

WEIGHTS, SHEET = "autoencoder.pt", "sheet.png"
_SHOWN = 10


@dataclass(frozen=True)
class Augmentation:
    """What is done to a photograph before the autoencoder sees it.

    Attributes:
        mirror: half of them are turned left to right.
        noise: standard deviation of the noise that goes in and is not to come out, of a range of 0..1.
    """

    mirror: bool = True
    noise: float = 0.0


class Reconstruction:
    """The task of an autoencoder: mean squared error of pixels, of a range of 0..1."""

    def __init__(
        self, shape: AutoencoderShape, augmentation: Augmentation, train: Pixels, held_out: Pixels, seed: int
    ) -> None:
        torch.manual_seed(seed)
        self.network = Autoencoder(shape).to(memory_format=torch.channels_last)
        self.samples = len(train)
        self._augmentation, self._train, self._held_out = augmentation, train, held_out

    def loss(self, rows: Rows, rng: np.random.Generator, progress: float) -> Tensor:
        """As Task has it."""
        images = to_tensor(self._train[rows])
        if self._augmentation.mirror:
            images = mirrored(images, rng)
        seen = images
        if self._augmentation.noise:
            noise = rng.normal(0, 255 * self._augmentation.noise, images.shape).astype(np.float32)
            seen = (images + torch.from_numpy(noise)).clamp(0, 255)
        network = self.network
        return functional.mse_loss(network.decode(network.encode(seen)), network.scaled(images))

    def end_epoch(self, network: Autoencoder) -> Measured:
        """As Task has it."""
        error = reconstruction_error(network, self._held_out)
        return Measured(error, {"held_out_loss": error})


def train_autoencoder(
    inputs: Sequence[str], shape: AutoencoderShape, augmentation: Augmentation, settings: TrainingSettings,
    order: Order, watcher: Watcher,
) -> Trained:  # fmt: skip
    """Train an autoencoder on photographs, and export its encoder.

    Args:
        inputs: files, folders, globs, lists.
        shape: of the network.
        augmentation: mirroring, noise.
        settings: of the run.
        order: where, and whether to go on.
        watcher: is told of the progress.

    Raises:
        UsageError: no photograph can be read, all are alike, or the folder is not as `order` has it.
    """
    order.check()
    pictures = read_pictures(inputs, squashed(shape.size), lambda *done: watcher.count("reading", *done)).distinct()
    run, network, parts = fit_autoencoder(pictures, shape, augmentation, settings, order, watcher)
    train, held_out = pictures.pixels[parts == TRAIN], pictures.pixels[parts == HELD_OUT]
    save_autoencoder(network, order.out / WEIGHTS)
    _draw(network, held_out, order)
    made = export(network, order, "convolutional autoencoder, morphoindex encoder train autoencoder", pictures.pixels)
    figures = {
        "held_out_error": round(reconstruction_error(network, held_out), 6),
        "mean_image_error": round(mean_image_error(network, train, held_out), 6),
    }
    files = {"sheet": SHEET, "network": WEIGHTS}
    return trained(run, order, made, _sizes(parts), figures, files, pictures.refused)


def fit_autoencoder(
    pictures: Pictures, shape: AutoencoderShape, augmentation: Augmentation, settings: TrainingSettings,
    order: Order, watcher: Watcher,
) -> tuple[Run, Autoencoder, npt.NDArray[np.int64]]:  # fmt: skip
    """The training itself: the run, the network with its codes centred, and the part of each photograph."""
    parts = two_parts(groups_of(pictures), settings.seed)
    train = pictures.pixels[parts == TRAIN]
    task = Reconstruction(shape, augmentation, train, pictures.pixels[parts == HELD_OUT], settings.seed)
    claim = claim_of("autoencoder", pictures, settings, **asdict(shape), **asdict(augmentation))
    run, trained_network = run_training(task, settings, claim, order, watcher)
    network = cast("Autoencoder", trained_network)
    network.centre.copy_(torch.from_numpy(through(network.encode, train).mean(axis=0)))
    return run, network, parts


def reconstruction_error(network: Autoencoder, pixels: Pixels) -> float:
    """Mean squared error of what is rebuilt, of a range of 0..1: uint8 [N, size, size, 3] -> 0..1."""
    rebuilt = through(lambda images: _errors(network, network.decode(network.encode(images)), images), pixels)
    return float(rebuilt.mean())


def mean_image_error(network: Autoencoder, train: Pixels, held_out: Pixels) -> float:
    """The error of one who gives the mean of the training part for every photograph."""
    mean = torch.from_numpy(train.mean(axis=0, dtype=np.float64).astype(np.float32)).permute(2, 0, 1)[None]
    guess = network.scaled(mean)
    return float(through(lambda images: _errors(network, guess, images), held_out).mean())


def _errors(network: Autoencoder, rebuilt: Tensor, images: Tensor) -> Tensor:
    return (rebuilt - network.scaled(images)).square().mean(dim=(1, 2, 3))


def _draw(network: Autoencoder, held_out: Pixels, order: Order) -> None:
    chosen = held_out[np.unique(np.linspace(0, len(held_out) - 1, 2 * _SHOWN).astype(int))]
    originals = through(network.scaled, chosen)
    rebuilt = through(lambda images: network.decode(network.encode(images)), chosen)
    rows = []
    for start in range(0, len(chosen), _SHOWN):
        for name, images in (("original", originals), ("rebuilt", rebuilt)):
            rows.append((name, [_as_pixels(image) for image in images[start : start + _SHOWN]]))
    draw_sheet(order.out / SHEET, rows)


def _as_pixels(image: npt.NDArray[np.float32]) -> Pixels:
    """Float [3 or 1, H, W], 0..1 -> uint8 [H, W, 3]."""
    pixels: Pixels = (image.clip(0, 1) * 255).round().astype(np.uint8).transpose(1, 2, 0)
    return np.broadcast_to(pixels, (*pixels.shape[:2], 3))


def _sizes(parts: npt.NDArray[np.int64]) -> dict[str, int]:
    return {"train": int((parts == TRAIN).sum()), "held_out": int((parts == HELD_OUT).sum())}
