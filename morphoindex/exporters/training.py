"""Distillation: the student learns to place views as the teacher places them, without labels."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from morphoindex.exporters.student import Student, StudentSettings
from morphoindex.exporters.view_cache import ViewCache

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class TrainingSettings:
    """How the student is trained. `samples` counts views shown, with repetition."""

    samples: int = 540_000
    batch: int = 128
    peak_rate: float = 2e-3
    weight_decay: float = 0.05
    warmup: float = 0.03
    gram_weight: float = 20.0
    average_decay: float = 0.998
    mirror: bool = True
    seed: int = 0
    checkpoint_seconds: float = 120.0


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


def learning_rate(progress: float, settings: TrainingSettings) -> float:
    """The rate at a point of the run: a linear warmup, then half a cosine down to 1 % of the peak.

    Args:
        progress: 0..1, samples shown of those planned.
        settings: the peak and the warmup.
    """
    if progress < settings.warmup:
        return settings.peak_rate * (0.05 + 0.95 * progress / settings.warmup)
    rest = (progress - settings.warmup) / (1 - settings.warmup)
    return settings.peak_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, rest))))


class WeightAverage:
    """An exponential moving average of a network's weights and buffers."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.state = {name: value.detach().clone() for name, value in network.state_dict().items()}

    def update(self, network: nn.Module, step: int) -> None:
        """Move towards the network; faster in the first steps, when its weights are still far from settled.

        Args:
            network: the one being trained.
            step: 0, 1, 2, ...
        """
        decay = min(self.decay, (1 + step) / (10 + step))
        with torch.no_grad():
            for name, value in network.state_dict().items():
                if value.is_floating_point():
                    self.state[name].lerp_(value, 1 - decay)
                else:
                    self.state[name].copy_(value)


def train_student(
    cache: ViewCache,
    targets: Floats,
    shape: StudentSettings,
    settings: TrainingSettings,
    folder: Path,
    when_saved: Callable[[Student, int], None] | None = None,
) -> Student:
    """Train a student, or go on with the run whose checkpoint lies in the folder.

    Args:
        cache: the views.
        targets: float32 [views, d], unit length.
        shape: of the network; d must be its `dimensions`.
        settings: of the run.
        folder: `checkpoint.pt` is written here every `checkpoint_seconds`, by a rename, and at the end.
        when_saved: called after each checkpoint with the averaged student and the samples shown.

    Returns:
        The averaged student, in evaluation mode.
    """
    torch.manual_seed(settings.seed)
    network = Student(shape).to(memory_format=torch.channels_last)
    average = WeightAverage(network, settings.average_decay)
    optimizer = _optimizer(network, settings)
    checkpoint = folder / "checkpoint.pt"
    step = 0
    if checkpoint.is_file():
        saved = torch.load(checkpoint, weights_only=True)
        network.load_state_dict(saved["network"])
        optimizer.load_state_dict(saved["optimizer"])
        average.state = saved["average"]
        step = int(saved["step"])
    steps = max(1, settings.samples // settings.batch)
    started = saved_at = time.monotonic()
    running, since = 0.0, 0
    while step < steps:
        rate = learning_rate(step / steps, settings)
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss = _step(network, optimizer, *_batch(cache, targets, step, settings), settings)
        average.update(network, step)
        step, since, running = step + 1, since + 1, running + loss
        if step % 100 == 0 or step == steps:
            minutes = (time.monotonic() - started) / 60
            print(f"{step * settings.batch} samples, loss {running / since:.4f}, {minutes:.1f} min", flush=True)
            running, since = 0.0, 0
        if step == steps or time.monotonic() - saved_at > settings.checkpoint_seconds:
            state = {"network": network.state_dict(), "optimizer": optimizer.state_dict()}
            _save({**state, "average": average.state, "step": step}, checkpoint)
            saved_at = time.monotonic()
            if when_saved is not None:
                when_saved(averaged_student(average.state, shape), step * settings.batch)
    return averaged_student(average.state, shape)


def averaged_student(state: dict[str, Tensor], shape: StudentSettings) -> Student:
    """Make a student from averaged weights, in evaluation mode.

    Args:
        state: as in a checkpoint under `average`.
        shape: of the network.
    """
    student = Student(shape)
    student.load_state_dict(state)
    student.eval()
    return student


def _optimizer(network: nn.Module, settings: TrainingSettings) -> torch.optim.AdamW:
    # norms and biases are not weights of anything, and decaying them only slows them
    decayed = [value for value in network.parameters() if value.ndim > 1]
    kept = [value for value in network.parameters() if value.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": kept, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=settings.peak_rate)


def _batch(cache: ViewCache, targets: Floats, step: int, settings: TrainingSettings) -> tuple[Tensor, Tensor]:
    views = len(targets)
    first = step * settings.batch
    places = np.arange(first, first + settings.batch)
    rows = np.empty(settings.batch, dtype=np.int64)
    for epoch in np.unique(places // views):
        # each pass over the views has its own order, which a restarted run finds again
        order = np.random.default_rng([settings.seed, 2, int(epoch)]).permutation(views)
        inside = places // views == epoch
        rows[inside] = order[places[inside] % views]
    pixels = torch.from_numpy(cache.take(rows)).permute(0, 3, 1, 2)
    if settings.mirror:
        turned = np.random.default_rng([settings.seed, 3, step]).random(settings.batch) < 0.5
        mask = torch.from_numpy(turned).view(-1, 1, 1, 1)
        pixels = torch.where(mask, pixels.flip(3), pixels)
    return pixels.float().contiguous(memory_format=torch.channels_last), torch.from_numpy(targets[rows])


def _step(
    network: Student, optimizer: torch.optim.Optimizer, pixels: Tensor, target: Tensor, settings: TrainingSettings
) -> float:
    network.train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        embedding = network(pixels)
    loss = distillation_loss(embedding.float(), target, settings.gram_weight)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    return float(loss.detach())


def _save(state: dict[str, object], path: Path) -> None:
    partial = path.with_suffix(".part")
    torch.save(state, partial)
    partial.replace(path)
