"""What a student learns in a distillation, and how large it is."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from morphoindex.errors import UsageError
from morphoindex.exporters.training.batches import mirrored, through, to_tensor
from morphoindex.exporters.training.loop import Measured, Rows
from morphoindex.exporters.training.student import Student, StudentSettings
from morphoindex.exporters.training.view_cache import ViewCache

Floats = npt.NDArray[np.float32]
GRAM_WEIGHT = 20.0
SMALL_UNTIL, SMALL = 0.6, 0.75
"""The first part of a training sees smaller images: it costs half as much, and what is learned holds for larger ones
(Touvron et al. 2019, "Fixing the train-test resolution discrepancy")."""
_SLACK = 8  # channels come in multiples of it


class Distillation:
    """The task: the student's embedding of a view is to be the teacher's.

    Args:
        network: the student.
        cache: the views.
        targets: float32 [views, d], unit length.
        held_out: uint8 [N, size, size, 3], and their targets, float32 [N, d]; none where nothing is measured.
    """

    def __init__(
        self, network: Student, cache: ViewCache, targets: Floats,
        held_out: tuple[npt.NDArray[np.uint8], Floats] | None = None,
    ) -> None:  # fmt: skip
        self.network = network.to(memory_format=torch.channels_last)
        self.samples = len(targets)
        self._cache, self._targets, self._held_out = cache, targets, held_out

    def loss(self, rows: Rows, rng: np.random.Generator, progress: float) -> Tensor:
        """As Task has it."""
        images = mirrored(to_tensor(self._cache.take(rows)), rng)
        if progress < SMALL_UNTIL:
            side = round(images.shape[-1] * SMALL)
            images = functional.interpolate(images, size=(side, side), mode="bilinear", antialias=True)
            images = images.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            embedding = self.network(images)
        return distillation_loss(embedding.float(), torch.from_numpy(self._targets[rows]), GRAM_WEIGHT)

    def end_epoch(self, network: Student) -> Measured:
        """As Task has it."""
        if self._held_out is None:
            return Measured()
        pixels, targets = self._held_out
        embeddings = torch.from_numpy(through(network, pixels))
        loss = float(distillation_loss(embeddings, torch.from_numpy(targets), GRAM_WEIGHT))
        return Measured(loss, {"held_out_loss": loss})


def distillation_loss(embedding: Tensor, target: Tensor, gram_weight: float) -> Tensor:
    """Cosine distance to the target, plus the squared error of the batch's Gram matrix.

    Args:
        embedding: float [B, d], of the student.
        target: float [B, d], unit length, of the teacher.
        gram_weight: of the second term, which keeps distances between different views as the teacher has them.

    Returns:
        float [], the mean over the batch.
    """
    unit = functional.normalize(embedding, dim=1)
    cosine = 1 - (unit * target).sum(dim=1).mean()
    gram = functional.mse_loss(unit @ unit.T, target @ target.T)
    return cosine + gram_weight * gram


def student_shape(parameters: int, dimensions: int) -> StudentSettings:
    """The widest student with no more parameters: all its channels are those of the usual one, in proportion.

    Raises:
        UsageError: even the narrowest has more.
    """
    usual, best = StudentSettings(), None
    for eighths in range(1, 81):  # of the usual width
        stem, *widths = (
            max(_SLACK, round(width * eighths / 8 / _SLACK) * _SLACK)
            for width in (usual.stem, *(width for width, _ in usual.stages))
        )
        stages = tuple((width, count) for width, (_, count) in zip(widths, usual.stages, strict=True))
        shape = StudentSettings(stem, stages, dimensions)
        with torch.device("meta"):
            count = sum(value.numel() for value in Student(shape).parameters())
        if count > parameters:
            break
        best = shape
    if best is None:
        raise UsageError(f"--parameters {parameters}: the smallest student with {dimensions} dimensions has {count:,}")
    return best
