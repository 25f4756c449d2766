"""A convolutional autoencoder: what it keeps of a photograph in a few numbers is the embedding."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from morphoindex.errors import CheckpointInvalid, UsageError
from morphoindex.exporters.training.loop import read_checkpoint, write_checkpoint

KIND = "autoencoder"
STEP = 16  # sizes are multiples of it
_LEAST_SIDE = 7  # of the innermost map: it is halved down to 4..7 pixels
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow has it
_NAMED = 4


@dataclass(frozen=True)
class AutoencoderShape:
    """The shape of the network.

    Attributes:
        size: side of the photographs in pixels, a multiple of 16.
        latent: length of the embedding.
        grey: whether it sees and rebuilds brightness alone.
        width: channels of the first map; each of the next has twice as many, up to four times.
    """

    size: int = 128
    latent: int = 128
    grey: bool = False
    width: int = 32

    def __post_init__(self) -> None:
        if self.size < STEP or self.size % STEP:
            raise UsageError(f"the size of an autoencoder is a multiple of {STEP} pixels, not {self.size}")

    def widths(self) -> list[int]:
        """Channels of the maps, each half as large as the one before: 128 px -> [32, 64, 128, 128, 128]."""
        side = self.size
        widths: list[int] = []
        while side > _LEAST_SIDE:
            widths.append(self.width * min(2 ** len(widths), 4))
            side //= 2
        return widths


class Autoencoder(nn.Module):  # type: ignore[misc]  # torch's types are not read
    """Strided convolutions down to `latent` numbers; nearest-neighbour steps and convolutions back up.

    Upsampling before a convolution leaves no checkerboard (Odena et al. 2016).
    """

    centre: Tensor
    luma: Tensor

    def __init__(self, shape: AutoencoderShape) -> None:
        super().__init__()
        self.shape = shape
        widths, channels = shape.widths(), 1 if shape.grey else 3
        self.inner = (widths[-1], *(shape.size >> len(widths),) * 2)
        flat = self.inner[0] * self.inner[1] * self.inner[2]
        down = [_down(a, b) for a, b in itertools.pairwise([channels, *widths])]
        up = [_up(a, b) for a, b in itertools.pairwise([*widths[::-1], shape.width // 2])]
        self.encoder = nn.Sequential(*down, nn.Flatten(), nn.Linear(flat, shape.latent))
        self.widen = nn.Sequential(nn.Linear(shape.latent, flat), nn.ReLU())
        self.decoder = nn.Sequential(*up, nn.Conv2d(shape.width // 2, channels, 3, 1, 1))
        self.register_buffer("luma", torch.tensor(_LUMA).view(1, 3, 1, 1))
        # the mean code of the training part: cosines between codes that are not centred are all near 1
        self.register_buffer("centre", torch.zeros(shape.latent))

    def scaled(self, pixels: Tensor) -> Tensor:
        """Float [N, 3, H, W], 0..255 -> float [N, 3 or 1, H, W], 0..1: what is rebuilt."""
        return ((pixels * self.luma).sum(dim=1, keepdim=True) if self.shape.grey else pixels) / 255

    def encode(self, pixels: Tensor) -> Tensor:
        """Float [N, 3, H, W], 0..255 -> float [N, latent], not centred."""
        code: Tensor = self.encoder(self.scaled(pixels) - 0.5)
        return code

    def decode(self, code: Tensor) -> Tensor:
        """Float [N, latent] -> float [N, 3 or 1, H, W], about 0..1."""
        rebuilt: Tensor = self.decoder(self.widen(code).view(-1, *self.inner)) + 0.5
        return rebuilt

    def forward(self, pixels: Tensor) -> Tensor:
        """The embedding, not yet of unit length: float [N, 3, H, W], 0..255 -> float [N, latent]."""
        return self.encode(pixels) - self.centre


def save_autoencoder(network: Autoencoder, path: Path) -> None:
    """Write what `load_autoencoder` reads."""
    write_checkpoint({"kind": KIND, "shape": asdict(network.shape), "weights": network.state_dict()}, path)


def load_autoencoder(path: Path) -> Autoencoder:
    """Read a trained autoencoder, without running code from the file.

    Args:
        path: `autoencoder.pt` of a training.

    Raises:
        CheckpointInvalid: it is another network, or its weights do not fit; they are named.
    """
    state = read_checkpoint(path)
    if state.get("kind") != KIND:
        raise CheckpointInvalid(f"{path} is not an autoencoder of `encoder train autoencoder`")
    try:
        network = Autoencoder(AutoencoderShape(**state["shape"]))
    except (KeyError, TypeError, UsageError) as error:
        raise CheckpointInvalid(f"{path} does not say the shape of its network: {error}") from error
    _fill(network, state.get("weights", {}), path)
    network.eval()
    return network


def _fill(network: nn.Module, weights: Mapping[str, Any], path: Path) -> None:
    wanted = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    given = {name: tuple(getattr(value, "shape", ())) for name, value in weights.items()}
    wrong = [name for name in wanted.keys() & given.keys() if wanted[name] != given[name]]
    unfit = {"missing": wanted.keys() - given.keys(), "not known": given.keys() - wanted.keys(), "wrong shape": wrong}
    clauses = [f"{words}: {', '.join(sorted(names)[:_NAMED])}" for words, names in unfit.items() if names]
    if clauses:
        raise CheckpointInvalid(f"the weights of {path} are not those of this autoencoder; {'; '.join(clauses)}")
    network.load_state_dict(weights)


def _down(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, 2, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())


def _up(inputs: int, outputs: int) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False)
    return nn.Sequential(nn.Upsample(scale_factor=2), convolution, nn.BatchNorm2d(outputs), nn.ReLU())
