"""The loop that every training runs: batches, schedule, held-out measure, early stop, checkpoint.

A run is reproducible: every random choice comes from the seed and the number of the step or epoch, never from a state
that a restart would lose. The same seed on the same threads gives the same weights, whether it was interrupted or not.
"""

from __future__ import annotations

import copy
import io
import math
import os
import pickle
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from morphoindex.errors import CheckpointInvalid
from morphoindex.exporters.training.optimizers import Mover, Optimizer

Rows = npt.NDArray[np.int64]
CHECKPOINT = "checkpoint.pt"
_ORDER, _CHOICES = 2, 3  # what a random stream is for


@dataclass(frozen=True)
class TrainingSettings:
    """How a network is trained.

    Attributes:
        epochs: passes over the training part, at the most.
        batch: images a step.
        peak_rate: of the optimizer; reached after `warmup` (a share of the run), then half a cosine down to 1 % of it.
        weight_decay: of weights of two and more dimensions.
        average_decay: of the moving average of the weights, which is then what is measured and kept; 0 for none.
        patience: epochs without a better measure before the run stops.
        seed: of everything random.
        checkpoint_seconds: at the most between two checkpoints.
        optimizer: "adamw", or "muon" for the convolutions and AdamW for the rest.
    """

    epochs: int
    batch: int = 64
    peak_rate: float = 1e-3
    weight_decay: float = 0.05
    warmup: float = 0.03
    average_decay: float = 0.0
    patience: int = 10
    seed: int = 0
    checkpoint_seconds: float = 60.0
    optimizer: Optimizer = "adamw"


@dataclass(frozen=True)
class Measured:
    """What the end of an epoch found.

    Attributes:
        score: falls as the network gets better; the weights of the least are kept. None keeps the latest.
        figures: for the log, by column.
        finished: nothing is left to do.
    """

    score: float | None = None
    figures: Mapping[str, float] = field(default_factory=dict)
    finished: bool = False


class Task(Protocol):
    """What is trained, and on what. Whatever it learns or remembers is a weight or a buffer of the network."""

    network: nn.Module
    samples: int

    def loss(self, rows: Rows, rng: np.random.Generator, progress: float) -> Tensor:
        """The loss of a batch, float [].

        Args:
            rows: int64 [B], numbers below `samples`.
            rng: that of the step.
            progress: 0..1, steps done of those planned.
        """

    def end_epoch(self, network: nn.Module) -> Measured:
        """Measure the network (the average, where there is one), in evaluation mode."""


@dataclass(frozen=True)
class Progress:
    """How far a run is: steps done, the mean loss of the epoch so far, and where an epoch has ended its row."""

    step: int
    steps: int
    epoch: int
    epochs: int
    loss: float
    row: Mapping[str, float] | None = None


Report = Callable[[Progress], None]


class Run:
    """A training under way: all that a checkpoint holds, and nothing else.

    Args:
        task: its network is trained in place.
        settings: of the run.
        claim: what the run is about (settings, images); kept in the checkpoint, so that another run is told apart.
    """

    def __init__(self, task: Task, settings: TrainingSettings, claim: Mapping[str, Any]) -> None:
        self.task, self.settings, self.claim = task, settings, dict(claim)
        self.optimizer = Mover(task.network, settings.optimizer, settings.peak_rate, settings.weight_decay)
        self.average = copy.deepcopy(task.network) if settings.average_decay else task.network
        self.step = self.waited = 0
        self.losses = 0.0
        self.best: dict[str, Tensor] = {}
        self.best_score = math.inf
        self.finished = False
        self.log: list[dict[str, float]] = []

    @property
    def steps_per_epoch(self) -> int:
        """The last images of an epoch that fill no batch wait for the next, which has another order."""
        return max(1, self.task.samples // self.settings.batch)

    @property
    def steps(self) -> int:
        """At the most."""
        return self.steps_per_epoch * self.settings.epochs

    def save(self, path: Path) -> None:
        """Write the checkpoint; what lies there is whole at any moment."""
        state = {
            "claim": self.claim, "network": self.task.network.state_dict(), "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(), "step": self.step, "waited": self.waited, "losses": self.losses,
            "best": self.best, "best_score": self.best_score, "finished": self.finished, "log": self.log,
        }  # fmt: skip
        write_checkpoint(state, path)

    def load(self, state: Mapping[str, Any]) -> None:
        """Go back to where a checkpoint, as `read_checkpoint` gives it, was written."""
        self.task.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.waited, self.losses = state["step"], state["waited"], state["losses"]
        self.best, self.best_score = state["best"], state["best_score"]
        self.finished, self.log = state["finished"], state["log"]


def write_checkpoint(state: Mapping[str, Any], path: Path) -> None:
    """Write what `read_checkpoint` reads, whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    content = io.BytesIO()  # torch would raise a RuntimeError for a full disk
    torch.save(dict(state), content)
    partial = path.with_suffix(".part")
    with partial.open("wb") as file:
        file.write(content.getbuffer())
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a dictionary that torch.save wrote, without running code from it.

    Raises:
        CheckpointInvalid: it cannot be read, or is not a dictionary.
    """
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "not a checkpoint of torch"
        raise CheckpointInvalid(f"{path} cannot be read: {reason}") from error
    if not isinstance(state, dict):
        raise CheckpointInvalid(f"{path} is not a checkpoint of a training: it holds a {type(state).__name__}")
    return state


def train(run: Run, folder: Path, report: Report) -> nn.Module:
    """Train to the end, from wherever the run is.

    Args:
        run: new, or loaded from a checkpoint.
        folder: `checkpoint.pt` is kept here.
        report: called after every step.

    Returns:
        The network with the weights that measured best, in evaluation mode.
    """
    settings, per_epoch, steps = run.settings, run.steps_per_epoch, run.steps
    saved_at = time.monotonic()
    while run.step < steps and not run.finished:
        epoch, place = divmod(run.step, per_epoch)
        run.optimizer.set_rate(learning_rate(run.step / steps, settings))
        order = np.random.default_rng([settings.seed, _ORDER, epoch]).permutation(run.task.samples)
        run.losses += _step(run, order[place * settings.batch : (place + 1) * settings.batch])
        run.step += 1
        loss, row = run.losses / (place + 1), None
        if place + 1 == per_epoch:
            row = _end_epoch(run, epoch, loss)
        if row or time.monotonic() - saved_at > settings.checkpoint_seconds:
            run.save(folder / CHECKPOINT)
            saved_at = time.monotonic()
        report(Progress(run.step, steps, epoch + 1, settings.epochs, loss, row))
    if run.best:
        run.average.load_state_dict(run.best)
    return run.average.eval()


def learning_rate(progress: float, settings: TrainingSettings) -> float:
    """The rate at a point of the run: a linear warmup, then half a cosine down to 1 % of the peak.

    Args:
        progress: 0..1, steps done of those planned.
        settings: the peak and the warmup.
    """
    if progress < settings.warmup:
        return settings.peak_rate * (0.05 + 0.95 * progress / settings.warmup)
    rest = (progress - settings.warmup) / (1 - settings.warmup)
    return settings.peak_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, rest))))


def _step(run: Run, rows: Rows) -> float:
    network = run.task.network.train()
    rng = np.random.default_rng([run.settings.seed, _CHOICES, run.step])
    loss = run.task.loss(rows, rng, run.step / run.steps)
    run.optimizer.clear()
    loss.backward()
    run.optimizer.step()
    if run.settings.average_decay:
        _follow(run.average, network, min(run.settings.average_decay, (1 + run.step) / (10 + run.step)))
    return float(loss.detach())


def _follow(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move an exponential moving average of weights and buffers on by one step."""
    theirs = network.state_dict()
    with torch.no_grad():
        for name, value in average.state_dict().items():
            if value.is_floating_point():
                value.lerp_(theirs[name], 1 - decay)
            else:
                value.copy_(theirs[name])


def _end_epoch(run: Run, epoch: int, loss: float) -> dict[str, float]:
    with torch.no_grad():
        measured = run.task.end_epoch(run.average.eval())
    row = {"epoch": epoch + 1, "step": run.step, "loss": loss, **measured.figures}
    run.log.append(row)
    run.losses = 0.0
    run.finished = measured.finished
    if measured.score is not None:
        run.waited += 1
        if measured.score < run.best_score:
            run.best_score, run.waited = measured.score, 0
            run.best = {name: value.clone() for name, value in run.average.state_dict().items()}
        run.finished = run.finished or run.waited >= run.settings.patience
    return row
