"""Training a classifier on labelled photographs, and keeping what stands before its heads as an encoder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from morphoindex.exporters.training.batches import through
from morphoindex.exporters.training.charts import draw_confusion, draw_sheet, framed
from morphoindex.exporters.training.classifier import (
    Classification,
    Classifier,
    Numbers,
    Scaled,
    accuracy,
    balanced_accuracy,
    confusion,
    logits_of,
)
from morphoindex.exporters.training.loop import TrainingSettings
from morphoindex.exporters.training.naming import UNKNOWN, Names, read_names, refuse_lonely, without_nameless
from morphoindex.exporters.training.neighbours import nearest_right
from morphoindex.exporters.training.pictures import Pictures, Pixels, read_pictures, squashed
from morphoindex.exporters.training.runs import (
    Order,
    Trained,
    Watcher,
    claim_of,
    export,
    run_training,
    trained,
    write_csv,
)
from morphoindex.exporters.training.splitting import HELD_OUT, TEST, TRAIN, groups_of, split
from morphoindex.exporters.training.student import Student, StudentSettings

SHEET, SPLIT = "sheet.png", "split.csv"
PARTS = {TRAIN: "train", TEST: "test", HELD_OUT: "held_out"}
_SHOWN_CLASSES, _SHOWN = 12, 8
_RIGHT, _WRONG = (44, 140, 84), (206, 44, 44)


@dataclass(frozen=True)
class Labelling:
    """What is to be told, and from what.

    Attributes:
        how: as `add --labels` takes it.
        ranks: the labels to learn; by default order, family, genus, species, as far as there are any.
        group: a label whose equal values stay on one side of the split.
    """

    how: str
    ranks: tuple[str, ...] = ()
    group: str | None = None


@dataclass(frozen=True)
class ClassifierShape:
    """The network: `size` of the square it takes in pixels; `source` of a ResNet18 to begin with, None for a student.

    `dimensions` is the length of the student's embedding; ResNet18's is 512.
    """

    size: int = 128
    source: str | None = None
    dimensions: int = 256


def train_classifier(
    inputs: Sequence[str], labelling: Labelling, shape: ClassifierShape, mirror: bool, settings: TrainingSettings,
    order: Order, watcher: Watcher,
) -> Trained:  # fmt: skip
    """Train a classifier, test it, and export its encoder.

    Args:
        inputs: files, folders, globs, lists.
        labelling: where the labels are.
        shape: of the network.
        mirror: whether specimens are turned left to right.
        settings: of the run.
        order: where, and whether to go on.
        watcher: is told of the progress.

    Raises:
        UsageError: no photograph can be read or has a label, fewer than two classes, a class that cannot be tested.
        CheckpointInvalid: the ResNet18 to begin with is none.
    """
    order.check()
    torch.manual_seed(settings.seed)
    body, dimensions = body_of(shape)
    pictures = read_pictures(inputs, squashed(shape.size), lambda *done: watcher.count("reading", *done))
    names, group_names = read_names(pictures, labelling.how, labelling.ranks, labelling.group)
    pictures, names, rows = without_nameless(pictures, names)
    groups = groups_of(pictures, [group_names[row] for row in rows])
    refuse_lonely(names, groups)
    parts = split(groups, names.finest(), settings.seed)
    network = Classifier(body, dimensions, [len(classes) for classes in names.classes])
    train, held_out = parts == TRAIN, parts == HELD_OUT
    task = Classification(
        network, pictures.pixels[train], names.numbers[:, train], pictures.pixels[held_out],
        names.numbers[:, held_out], mirror,
    )  # fmt: skip
    claim = claim_of(
        "classifier", pictures, settings, size=shape.size, labels=labelling.how, ranks=list(names.ranks),
        group=labelling.group, mirror=mirror, **{"from": shape.source},
    )  # fmt: skip
    run, found = run_training(task, settings, claim, order, watcher)
    network = cast("Classifier", found)
    files = _draw(network, pictures, names, parts, order.out)
    made = export(network.body, order, "classifier, morphoindex encoder train classifier", pictures.pixels)
    sizes = {name: int((parts == part).sum()) for part, name in PARTS.items()}
    return trained(run, order, made, sizes, _figures(network, pictures, names, parts), files, pictures.refused)


def body_of(shape: ClassifierShape) -> tuple[nn.Module, int]:
    """What stands before the heads, float [N, 3, size, size], 0..255 -> float [N, d]; and d.

    Raises:
        CheckpointInvalid: the source is no ResNet18.
    """
    if shape.source is None:
        return Student(StudentSettings(dimensions=shape.dimensions)), shape.dimensions
    from morphoindex.exporters.pretrained import is_offline  # transformers takes seconds to import
    from morphoindex.exporters.resnet import USUAL, WIDTHS, Pooled, read_resnet18

    network = Pooled(read_resnet18(shape.source, is_offline(shape.source)))
    return Scaled(network, USUAL.mean, USUAL.deviation), WIDTHS[-1]


def _figures(network: Classifier, pictures: Pictures, names: Names, parts: Numbers) -> dict[str, Any]:
    test, train = parts == TEST, parts == TRAIN
    logits = logits_of(network, pictures.pixels[test])
    by_rank = {}
    for place, rank in enumerate(names.ranks):
        wanted, found = names.numbers[place, test], logits[place].argmax(axis=1)
        learned = names.numbers[place, train]
        frequent = np.bincount(learned[learned != UNKNOWN]).argmax()
        by_rank[rank] = {
            "classes": len(names.classes[place]),
            "accuracy": round(accuracy(found, wanted), 4),
            "mean_over_classes": round(balanced_accuracy(found, wanted), 4),
            "most_frequent_class": round(accuracy(np.full_like(wanted, frequent), wanted), 4),
        }
    gallery, queries = (through(network.body, pictures.pixels[part]) for part in (train, test))
    finest = names.numbers[-1]
    right = nearest_right(queries, finest[test], gallery, finest[train])
    return {"test": by_rank, "nearest_neighbour_accuracy": round(right, 4)}


def _draw(network: Classifier, pictures: Pictures, names: Names, parts: Numbers, folder: Path) -> dict[str, str]:
    """Confusion matrix of each rank, a sheet of test photographs, and which photograph was in which part."""
    test = np.flatnonzero(parts == TEST)
    logits = logits_of(network, pictures.pixels[test])
    files = {"sheet": SHEET, "split": SPLIT}
    for place, (rank, classes) in enumerate(zip(names.ranks, names.classes, strict=True)):
        counts = confusion(logits[place].argmax(axis=1), names.numbers[place, test], len(classes))
        stem = f"confusion-{re.sub(r'[^a-z0-9]+', '-', rank.lower()).strip('-') or place}"
        draw_confusion(
            folder / f"{stem}.png", f"{rank} of {counts.sum()} test photographs", counts, classes, classes,
            "label", "taken for",
        )  # fmt: skip
        rows = [[name, *row] for name, row in zip(classes, counts.tolist(), strict=True)]
        write_csv(folder / f"{stem}.csv", [["label \\ taken for", *classes], *rows])
        files |= {f"confusion, {rank}": f"{stem}.png", f"confusion, {rank}, table": f"{stem}.csv"}
    _draw_sheet(folder / SHEET, pictures.pixels[test], logits[-1].argmax(axis=1), names, test)
    labelled = [
        [
            path,
            PARTS[int(part)],
            *(classes[n] if n != UNKNOWN else "" for classes, n in zip(names.classes, row, strict=True)),
        ]
        for path, part, row in zip(pictures.paths, parts, names.numbers.T, strict=True)
    ]
    write_csv(folder / SPLIT, [["path", "part", *names.ranks], *labelled])
    return files


def _draw_sheet(path: Path, pixels: Pixels, found: Numbers, names: Names, test: Numbers) -> None:
    wanted, classes = names.numbers[-1, test], names.classes[-1]
    there = [number for number in range(len(classes)) if (wanted == number).any()]
    rows = []
    for number in there[:_SHOWN_CLASSES]:
        members = np.flatnonzero(wanted == number)[:_SHOWN]
        tiles = [framed(pixels[row], _RIGHT if found[row] == number else _WRONG) for row in members]
        rows.append((classes[number], tiles))
    draw_sheet(path, rows)
