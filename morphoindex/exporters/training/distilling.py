"""Distilling on a person's own specimens: a small student learns to place views as the teacher places them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from morphoindex.exporters.training.batches import through
from morphoindex.exporters.training.comparing import compare, draw_neighbours
from morphoindex.exporters.training.distillation import Distillation, student_shape
from morphoindex.exporters.training.evaluate import Candidate, images_per_second
from morphoindex.exporters.training.loop import TrainingSettings
from morphoindex.exporters.training.naming import read_measure
from morphoindex.exporters.training.pictures import Pictures, fitted, read_pictures, squashed
from morphoindex.exporters.training.runs import VIEWS, Order, Trained, Watcher, claim_of, export, run_training, trained
from morphoindex.exporters.training.splitting import HELD_OUT, TRAIN, groups_of, two_parts
from morphoindex.exporters.training.student import Student, StudentSettings
from morphoindex.exporters.training.targets import fit_projection
from morphoindex.exporters.training.teacher import Teacher
from morphoindex.exporters.training.view_cache import fill_cache
from morphoindex.exporters.training.views import ViewSettings
from morphoindex.indexer.cores import usable_cores

Floats = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]
SHEET = "sheet.png"
_BATCH, _TIMED = 32, 2  # photographs; batches for the timing


@dataclass(frozen=True)
class Distilling:
    """What is asked for.

    Attributes:
        teacher: an encoder file, or a plain network with float NCHW input.
        size: side of the student's pixels.
        parameters: of the student, at the most.
        views: distinct views that the teacher labels; by default 40 for each photograph, but no more than 60,000.
        labels: as `add --labels` takes them, to measure by; never learned from.
        group: a label whose equal values stay on one side of the split.
    """

    teacher: Path
    size: int = 128
    parameters: int = 1_350_000
    views: int | None = None
    labels: str | None = None
    group: str | None = None


def distil(
    inputs: Sequence[str], distilling: Distilling, settings: TrainingSettings, order: Order, watcher: Watcher
) -> Trained:
    """Distil a student from a teacher, export it, and say how much of the teacher it keeps.

    Args:
        inputs: files, folders, globs, lists.
        distilling: teacher, student and views.
        settings: of the run.
        order: where, and whether to go on.
        watcher: is told of the progress.

    Raises:
        UsageError: no photograph can be read, or the folder is not as `order` has it.
        EncoderInvalid: the teacher is no encoder and no plain network.
    """
    order.check()
    teacher = Teacher(distilling.teacher)
    side = teacher.side()
    shape = student_shape(distilling.parameters, min(StudentSettings.dimensions, teacher.dimensions()))
    pictures = read_pictures(
        inputs, squashed(distilling.size), lambda *done: watcher.count("reading", *done)
    ).distinct()
    label, names, groups = read_measure(pictures, distilling.labels, distilling.group)
    parts = two_parts(groups_of(pictures, groups), settings.seed)
    paths = [Path(path) for path, part in zip(pictures.paths, parts, strict=True) if part == TRAIN]
    views = distilling.views or min(60_000, 40 * len(paths))
    view_settings = ViewSettings(teacher_size=side, student_size=distilling.size, seed=settings.seed)
    claim = claim_of(
        "distil", pictures, settings, teacher=teacher.fingerprint(), size=distilling.size,
        parameters=distilling.parameters, views=views,
    )  # fmt: skip
    order.continued(claim)  # before views are labelled that would not be wanted
    cache = fill_cache(
        order.out / VIEWS, teacher, [paths], views, view_settings, usable_cores(),
        lambda *done: watcher.count("labelling views", *done),
    )  # fmt: skip
    placed = _place(teacher, pictures, side, watcher)
    project = fit_projection(cache.teacher, shape.dimensions)
    torch.manual_seed(settings.seed)
    held_out = parts == HELD_OUT
    measured = (pictures.pixels[held_out], project(placed[held_out]))
    task = Distillation(Student(shape), cache, project(cache.teacher), measured)
    run, network = run_training(task, settings, claim, order, watcher)
    source = f"distilled from {distilling.teacher.name}, morphoindex encoder distil"
    made = export(network, order, source, pictures.pixels)
    learned = through(network, pictures.pixels)
    figures = _compare(learned, placed, parts, names, label) | _speeds(made.file, distilling.teacher)
    figures["parameters"] = sum(value.numel() for value in network.parameters())
    draw_neighbours(order.out / SHEET, pictures.pixels, parts, {"teacher": placed, "student": learned})
    sizes = {"train": int((parts == TRAIN).sum()), "held_out": int(held_out.sum())}
    return trained(run, order, made, sizes, figures, {"sheet": SHEET, "views": VIEWS}, pictures.refused)


def _place(teacher: Teacher, pictures: Pictures, side: int, watcher: Watcher) -> Floats:
    """Where the teacher places the photographs themselves, float32 [N, D]."""
    session = teacher.session(usable_cores())
    placed = []
    for start in range(0, len(pictures), _BATCH):
        paths = pictures.paths[start : start + _BATCH]
        placed.append(teacher.embed(session, np.stack([fitted(Path(path).read_bytes(), side) for path in paths])))
        watcher.count("placing photographs", start + len(paths), len(pictures))
    return np.concatenate(placed)


def _compare(learned: Floats, placed: Floats, parts: Numbers, names: Numbers, label: str) -> dict[str, Any]:
    """How the held-out photographs find their neighbours among the others, by the teacher and by the student."""
    found = compare(placed, learned, parts, names)
    figures: dict[str, Any] = {"neighbours": found.neighbours, "neighbour_overlap": found.overlap}
    if found.first is not None and found.second is not None:
        figures |= {
            "label": label, "student_accuracy": found.second, "teacher_accuracy": found.first,
            "accuracy_kept": round(found.second / found.first, 4) if found.first else None,
        }  # fmt: skip
    return figures


def _speeds(student: Path, teacher: Path) -> dict[str, float]:
    """Images a second of both networks, taking turns, on one thread."""
    fast, slow = images_per_second([Candidate(student, 1), Candidate(teacher, 1)], _TIMED)
    return {
        "student_images_per_second": fast, "teacher_images_per_second": slow, "times_as_fast": round(fast / slow, 2)
    }  # fmt: skip
