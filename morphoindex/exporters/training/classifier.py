"""A network with a head for each rank; the encoder is what stands before the heads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from morphoindex.exporters.training.batches import altered, mirrored, through, to_tensor
from morphoindex.exporters.training.loop import Measured, Rows
from morphoindex.exporters.training.naming import UNKNOWN
from morphoindex.exporters.training.pictures import Pixels

Numbers = npt.NDArray[np.int64]
SHARPNESS = 16.0


class Classifier(nn.Module):  # type: ignore[misc]  # torch's types are not read
    """A body, and on its features a linear head for each rank.

    Heads compare directions: a logit is SHARPNESS times the cosine between features and a class (Wang et al. 2017,
    NormFace), so that what is trained is the cosine that the index compares by.
    """

    def __init__(self, body: nn.Module, dimensions: int, classes: Sequence[int]) -> None:
        super().__init__()
        self.body = body
        self.heads = nn.ModuleList(nn.Linear(dimensions, count, bias=False) for count in classes)

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """Float [N, 3, H, W], 0..255 -> logits of each rank, float [N, classes]."""
        features = functional.normalize(self.body(pixels), dim=1)
        return [SHARPNESS * functional.linear(features, functional.normalize(head.weight)) for head in self.heads]


class Scaled(nn.Module):  # type: ignore[misc]  # torch's types are not read
    """A network that takes (pixels - mean) / deviation, behind pixels of 0..255."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, network: nn.Module, mean: Sequence[float], deviation: Sequence[float]) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("deviation", torch.tensor(deviation).view(1, 3, 1, 1))

    def forward(self, pixels: Tensor) -> Tensor:
        """Float [N, 3, H, W], 0..255 -> float [N, d]."""
        features: Tensor = self.network((pixels - self.mean) / self.deviation)
        return features


class Classification:
    """The task of a classifier: cross-entropy at each rank, rare classes weighing as much as frequent ones.

    Args:
        network: to be trained.
        train, held_out: uint8 [N, size, size, 3].
        names, held_out_names: int64 [ranks, N], UNKNOWN where a photograph has no label at a rank.
        mirror: whether specimens are turned left to right.
    """

    def __init__(
        self, network: Classifier, train: Pixels, names: Numbers, held_out: Pixels, held_out_names: Numbers,
        mirror: bool,
    ) -> None:  # fmt: skip
        self.network = network.to(memory_format=torch.channels_last)
        self.samples = len(train)
        self._train, self._names, self._mirror = train, torch.from_numpy(names), mirror
        self._held_out, self._held_out_names = held_out, held_out_names
        counts = [head.out_features for head in network.heads]
        self._weights = [class_weights(numbers, count) for numbers, count in zip(names, counts, strict=True)]

    def loss(self, rows: Rows, rng: np.random.Generator, progress: float) -> Tensor:
        """As Task has it."""
        images = altered(to_tensor(self._train[rows]), rng)
        logits = self.network(mirrored(images, rng) if self._mirror else images)
        return self._loss(logits, self._names[:, torch.from_numpy(rows)])

    def end_epoch(self, network: Classifier) -> Measured:
        """As Task has it."""
        if not len(self._held_out):
            return Measured()
        logits = logits_of(network, self._held_out)
        loss = float(self._loss([torch.from_numpy(each) for each in logits], torch.from_numpy(self._held_out_names)))
        finest = accuracy(logits[-1].argmax(axis=1), self._held_out_names[-1])
        return Measured(loss, {"held_out_loss": loss, "held_out_accuracy": finest})

    def _loss(self, logits: Sequence[Tensor], names: Tensor) -> Tensor:
        losses = [
            # a batch in which no specimen has a label at this rank has nothing to say about it
            functional.cross_entropy(each, wanted, weight=weights, ignore_index=UNKNOWN, reduction="sum")
            / weights[wanted.clamp(min=0)][wanted != UNKNOWN].sum().clamp(min=1e-6)
            for each, wanted, weights in zip(logits, names, self._weights, strict=True)
        ]
        return torch.stack(losses).mean()


def class_weights(numbers: Numbers, count: int) -> Tensor:
    """Inverse frequencies, 1 in the mean over photographs: [0, 0, 0, 1] -> [2/3, 2]; 1 where there is none."""
    found = np.bincount(numbers[numbers != UNKNOWN], minlength=count)
    weights = np.where(found > 0, found.sum() / (np.count_nonzero(found) * np.maximum(found, 1)), 1.0)
    return torch.from_numpy(weights.astype(np.float32))


def logits_of(network: Classifier, pixels: Pixels) -> list[npt.NDArray[np.float32]]:
    """Of each rank, float32 [N, classes]."""
    joined = through(lambda images: torch.cat(network(images), dim=1), pixels)
    counts = [head.out_features for head in network.heads]
    return cast("list[npt.NDArray[np.float32]]", np.split(joined, np.cumsum(counts)[:-1], axis=1))


def accuracy(found: Numbers, wanted: Numbers) -> float:
    """The share that is right, of those that have a label; NaN where none has: int64 [N] twice."""
    known = wanted != UNKNOWN
    return float((found[known] == wanted[known]).mean()) if known.any() else float("nan")


def balanced_accuracy(found: Numbers, wanted: Numbers) -> float:
    """The mean over classes of the share that is right."""
    classes = np.unique(wanted[wanted != UNKNOWN])
    return float(np.mean([(found[wanted == each] == each).mean() for each in classes])) if len(classes) else np.nan


def confusion(found: Numbers, wanted: Numbers, count: int) -> Numbers:
    """How often each class (row) was taken for each (column), int64 [count, count]."""
    known = wanted != UNKNOWN
    counts = np.zeros((count, count), np.int64)
    np.add.at(counts, (wanted[known], found[known]), 1)
    return counts
