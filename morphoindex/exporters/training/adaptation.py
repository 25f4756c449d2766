"""An encoder learns on from the clusters that it finds itself: the task."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from morphoindex.exporters.training.batches import altered, mirrored, to_tensor
from morphoindex.exporters.training.classifier import SHARPNESS
from morphoindex.exporters.training.loop import Measured, Rows
from morphoindex.exporters.training.pictures import Pixels
from morphoindex.exporters.training.trainable import Trainable
from morphoindex.indexer.clustering.communities import Communities
from morphoindex.indexer.clustering.labels import NOISE

Floats = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]
_SMOOTHED = 0.1  # of a photograph's probability goes to all clusters alike (Szegedy et al. 2016)


class Adaptable(nn.Module):  # type: ignore[misc]  # torch's types are not read
    """An encoder, and a centre for each cluster, between which it is to tell by the cosine.

    Directions are from the mean of all specimens: what these have in common, by which every cosine is high, is left
    out.

    Args:
        encoder: to learn on.
        vectors: float32 [n, d], what it gives of n specimens now.
        clusters: int64 [n], from 0 up; NOISE for those in none.
    """

    mean: Tensor

    def __init__(self, encoder: Trainable, vectors: Floats, clusters: Numbers) -> None:
        super().__init__()
        self.encoder = encoder
        members = clusters != NOISE
        mean = vectors[members].mean(axis=0)
        sums = np.zeros((clusters.max() + 1, vectors.shape[1]), np.float32)
        np.add.at(sums, clusters[members], vectors[members] - mean)
        self.register_buffer("mean", torch.from_numpy(mean))
        self.centres = nn.Parameter(functional.normalize(torch.from_numpy(sums)))

    def forward(self, pixels: Tensor) -> Tensor:
        """Float [N, 3, H, W], 0..255 -> logits, float [N, clusters]."""
        directions = functional.normalize(self.encoder(pixels) - self.mean)
        return SHARPNESS * functional.linear(directions, functional.normalize(self.centres))


class Adaptation:
    """The task: cross-entropy of the clusters of altered photographs, each weighing as much as it is sure of its own.

    Args:
        network: to be trained.
        pixels: uint8 [n, H, W, 3].
        found: their clusters; those in none are not learned from.
        mirror: whether specimens are turned left to right.
    """

    def __init__(self, network: Adaptable, pixels: Pixels, found: Communities, mirror: bool) -> None:
        self.network = network.to(memory_format=torch.channels_last)
        self._pixels, self._mirror = pixels, mirror
        self._members = np.flatnonzero(found.labels != NOISE)
        self.samples = len(self._members)
        self._clusters = torch.from_numpy(found.labels)
        self._confidence = torch.from_numpy(found.confidence.astype(np.float32))

    def loss(self, rows: Rows, rng: np.random.Generator, progress: float) -> Tensor:
        """As Task has it."""
        chosen = self._members[rows]
        images = altered(to_tensor(self._pixels[chosen]), rng)
        logits = self.network(mirrored(images, rng) if self._mirror else images)
        losses = functional.cross_entropy(
            logits, self._clusters[chosen], reduction="none", label_smoothing=_SMOOTHED
        )  # fmt: skip
        weights = self._confidence[chosen]
        return (losses * weights).sum() / weights.sum().clamp(min=1e-6)

    def end_epoch(self, network: Adaptable) -> Measured:
        """As Task has it: there is nothing to measure by that was not learned from."""
        return Measured()
