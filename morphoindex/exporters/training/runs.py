"""The folder of a training: checkpoint, log, loss curve, and at the end the encoder."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from torch import nn

from morphoindex.errors import UsageError
from morphoindex.exporters.contract import EncoderRecord
from morphoindex.exporters.judging import drawn_photographs
from morphoindex.exporters.keeping import Kept
from morphoindex.exporters.making import Made, Material, make_encoder
from morphoindex.exporters.onnx_export import from_torch
from morphoindex.exporters.training.charts import draw_curves
from morphoindex.exporters.training.loop import (
    CHECKPOINT,
    Progress,
    Run,
    Task,
    TrainingSettings,
    read_checkpoint,
    train,
)
from morphoindex.exporters.training.pictures import Pictures, Pixels, squashed
from morphoindex.exporters.training.view_cache import CLAIM
from morphoindex.indexer.results.common import Refusal

PRETRAINING, VIEWS = "autoencoder", "views"
"""Folders, within that of a run, of what comes before its training: another one, views with what a teacher says."""
_BEGUN = (CHECKPOINT, f"{PRETRAINING}/{CHECKPOINT}", f"{VIEWS}/{CLAIM}")
ENCODER, LOG, CURVE = "encoder.onnx", "log.csv", "loss.png"
_COMPARED = 64
_NOT_CURVES = ("epoch", "step")


class Watcher(Protocol):
    """Who is told how far a training is."""

    def begin(self, what: str) -> None:
        """A training begins, or goes on: "autoencoder"."""

    def count(self, what: str, done: int, total: int) -> None:
        """So many of something are done: "reading", 100, 400."""

    def step(self, progress: Progress) -> None:
        """A step of the training is done."""


@dataclass(frozen=True)
class Order:
    """Where a training keeps what it makes, and what its encoder says of itself.

    Attributes:
        out: the folder; made once the photographs are read and found good.
        resume: go on with the run that lies there.
        name, licence, training_data: for the encoder's metadata.
    """

    out: Path
    resume: bool = False
    name: str = ""
    licence: str = "unstated"
    training_data: str = "unstated"

    def check(self) -> None:
        """See that the folder is as `resume` has it, before any work.

        Raises:
            UsageError: there is a run and it is not to be resumed, or none and it is.
        """
        there = any((self.out / mark).is_file() for mark in _BEGUN)
        if self.resume and not there:
            raise UsageError(f"--resume: there is no run in {self.out} to go on with")
        if there and not self.resume:
            raise UsageError(f"{self.out} holds a run already: --resume goes on with it, --out DIR begins another")
        if self.out.exists() and not self.out.is_dir():
            raise UsageError(f"{self.out} is a file: name a folder with --out")

    def continued(self, claim: Mapping[str, Any]) -> bool:
        """Whether there is a checkpoint to go on from. There may be none yet, where other work comes before.

        Raises:
            UsageError: it is that of another run; the message says in what.
            CheckpointInvalid: it cannot be read.
        """
        if not self.resume or not (self.out / CHECKPOINT).is_file():
            return False
        then = read_checkpoint(self.out / CHECKPOINT).get("claim", {})
        other = [key for key in claim if then.get(key) != claim[key]]
        if other:
            key = other[0]
            raise UsageError(f"--resume: the run in {self.out} has {key} {then.get(key)!r}, not {claim[key]!r}")
        return True


@dataclass(frozen=True)
class Trained:
    """What a training came to.

    Attributes:
        folder: with all files; encoder: the ONNX file in it; name, fingerprint, dim, height, width: of that.
        photographs: that were used; parts: how many of them for what.
        epochs, steps: done; stopped_early: before all that were planned.
        least_cosine: between the file's embedding and torch's, over at least 64 images.
        figures: how good it is, by name.
        files: what else lies in the folder, by what it shows.
        refused: photographs that were left out, and why.
    """

    folder: str
    encoder: str
    name: str
    fingerprint: str
    dim: int
    height: int
    width: int
    photographs: int
    parts: Mapping[str, int]
    epochs: int
    steps: int
    stopped_early: bool
    least_cosine: float
    figures: Mapping[str, Any]
    files: Mapping[str, str]
    refused: tuple[Refusal, ...]


def claim_of(kind: str, pictures: Pictures, settings: TrainingSettings, **options: Any) -> dict[str, Any]:
    """What two runs must have in common to be one: the kind, the options by their names, the photographs."""
    return {
        "command": kind, **options, "epochs": settings.epochs, "batch": settings.batch,
        "weight-decay": settings.weight_decay, "seed": settings.seed, "number of photographs": len(pictures),
        "sha256 of all photographs": pictures.fingerprint(),
    }  # fmt: skip


def run_training(
    task: Task, settings: TrainingSettings, claim: Mapping[str, Any], order: Order, watcher: Watcher
) -> tuple[Run, nn.Module]:
    """Train, or go on; after each epoch the log and the loss curve are written anew.

    Raises:
        UsageError: the run in the folder is another one; the message says in what.
        CheckpointInvalid: its checkpoint cannot be read.
        OSError: the folder cannot be written.
    """
    run = Run(task, settings, claim)
    watcher.begin(claim["command"])

    def after_step(progress: Progress) -> None:
        if progress.row:
            _write_log(run.log, order.out)
        watcher.step(progress)

    if order.continued(run.claim):
        run.load(read_checkpoint(order.out / CHECKPOINT))
    else:
        order.out.mkdir(parents=True, exist_ok=True)
        run.save(order.out / CHECKPOINT)
    network = train(run, order.out, after_step)
    _write_log(run.log, order.out)
    return run, network


def export(network: nn.Module, order: Order, source: str, photographs: Pixels) -> Made:
    """Write the encoder of a run, once it gives what the network gives.

    Args:
        network: float [N, 3, size, size], 0..255, to float [N, d].
        order: says where, and what it is called.
        source: what kind of training it comes from.
        photographs: uint8 [N, size, size, 3]; it is compared on some of them, and on drawn ones.

    Raises:
        ParityError: it gives something else.
    """
    size = photographs.shape[1]
    record = EncoderRecord(order.name, source, order.licence, order.training_data)
    compared = [*photographs[:_COMPARED], *drawn_photographs()]
    return make_encoder(material_of(network, size), record, order.out / ENCODER, photographs=compared)


def material_of(network: nn.Module, size: int) -> Material:
    """A network that was trained here, ready for `make_encoder`: float [N, 3, size, size], 0..255, to float [N, d]."""
    return from_torch(network, squashed(size))


def trained(
    run: Run, order: Order, made: Kept, parts: Mapping[str, int], figures: Mapping[str, Any],
    files: Mapping[str, str], refused: Sequence[Refusal],
) -> Trained:  # fmt: skip
    """Put together what a training came to."""
    shown = {"loss curve": CURVE, "log": LOG, "checkpoint": CHECKPOINT, **files}
    info = made.encoder
    return Trained(
        str(order.out), str(made.file), info.name, info.fingerprint, info.dim, info.height,
        info.width, sum(parts.values()), parts, len(run.log), run.step,
        run.step < run.steps_per_epoch * run.settings.epochs, round(made.least_cosine, 6), figures, shown,
        tuple(refused),
    )  # fmt: skip


def write_csv(path: Path, rows: Sequence[Sequence[Any]]) -> None:
    """Write a table, by a rename."""
    partial = path.with_suffix(".part")
    with open(partial, "w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    partial.replace(path)


def _write_log(log: Sequence[Mapping[str, float]], folder: Path) -> None:
    if not log:
        return
    columns = list(log[0])
    write_csv(folder / LOG, [columns, *([f"{row[column]:.6g}" for column in columns] for row in log)])
    curves = {name.replace("_", " "): [row[name] for row in log] for name in columns if name not in _NOT_CURVES}
    draw_curves(folder / CURVE, "loss by epoch", {name: curves[name] for name in list(curves)[:2]})
