"""Clustering photographs without labels: an autoencoder first, then codes and clusters together."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from morphoindex.errors import UsageError
from morphoindex.exporters.training.autoencoder import Autoencoder, AutoencoderShape, load_autoencoder
from morphoindex.exporters.training.batches import through
from morphoindex.exporters.training.charts import draw_confusion, draw_sheet
from morphoindex.exporters.training.deep_cluster import (
    DeepClustering,
    DeepClusters,
    Floats,
    Numbers,
    best_matching,
    codes_of,
    mapping,
)
from morphoindex.exporters.training.loop import TrainingSettings
from morphoindex.exporters.training.naming import Names, read_names
from morphoindex.exporters.training.pictures import Pictures, read_pictures, squashed
from morphoindex.exporters.training.reconstruction import Augmentation, fit_autoencoder
from morphoindex.exporters.training.runs import (
    PRETRAINING,
    Order,
    Trained,
    Watcher,
    claim_of,
    export,
    run_training,
    trained,
    write_csv,
)

ASSIGNMENTS, MAPPINGS, SHEET = "assignments.csv", "class_mappings.json", "sheet.png"
CONFUSION = ("confusion.png", "confusion.csv")
_RATE = 3e-4
_SHOWN_CLUSTERS, _SHOWN = 20, 10


@dataclass(frozen=True)
class Clustering:
    """What is asked for.

    Attributes:
        k: clusters.
        epochs: of the clustering, at the most.
        source: a trained autoencoder; None trains one first.
        reference: a folder with a folder a class, which gives the clusters names.
        labels: as `add --labels` takes them, to measure by; never learned from.
    """

    k: int
    epochs: int = 60
    source: Path | None = None
    reference: Path | None = None
    labels: str | None = None


def train_deep_cluster(
    inputs: Sequence[str], clustering: Clustering, shape: AutoencoderShape, augmentation: Augmentation,
    settings: TrainingSettings, order: Order, watcher: Watcher,
) -> Trained:  # fmt: skip
    """Cluster photographs, and export the encoder that was learned on the way.

    Args:
        inputs: files, folders, globs, lists.
        clustering: what is asked for.
        shape, augmentation, settings: of the autoencoder; its shape is that of `clustering.source` where there is one.
        order: where, and whether to go on.
        watcher: is told of the progress.

    Raises:
        UsageError: fewer photographs than clusters, a reference with fewer than two classes, and as
            `train_autoencoder`.
        CheckpointInvalid: the autoencoder to begin with is none.
    """
    order.check()
    given = load_autoencoder(clustering.source) if clustering.source else None
    size = given.shape.size if given else shape.size
    pictures = read_pictures(inputs, squashed(size), lambda *done: watcher.count("reading", *done)).distinct()
    if clustering.k > len(pictures):
        raise UsageError(f"-k {clustering.k}: there are only {len(pictures)} different photographs")
    reference = _reference(clustering, size)
    labelled = read_names(pictures, clustering.labels)[0] if clustering.labels else None
    autoencoder = given or _pretrain(pictures, shape, augmentation, settings, order, watcher)
    codes = codes_of(autoencoder, pictures.pixels)
    network = DeepClusters(autoencoder, codes, clustering.k, settings.seed)
    before = network.assigned.numpy().copy()
    task = DeepClustering(network, pictures.pixels, augmentation.mirror)
    second = replace(settings, epochs=clustering.epochs, weight_decay=0.0, peak_rate=_RATE)
    claim = claim_of("deep clustering", pictures, second, k=clustering.k, mirror=augmentation.mirror)
    run, found = run_training(task, second, claim, order, watcher)
    network = cast("DeepClusters", found)
    figures, files = _results(network, pictures, reference, labelled, before, order.out)
    figures = {"clusters": clustering.k, "changed_in_last_epoch": round(run.log[-1]["changed"], 4), **figures}
    source = "deep clustering, morphoindex encoder train deep-cluster"
    made = export(_encoder(network, pictures), order, source, pictures.pixels)
    return trained(run, order, made, {"train": len(pictures)}, figures, files, pictures.refused)


def _results(
    network: DeepClusters, pictures: Pictures, reference: tuple[Pictures, Names] | None, labels: Names | None,
    before: Numbers, folder: Path,
) -> tuple[dict[str, Any], dict[str, str]]:  # fmt: skip
    """Write who is in which cluster, what it is called and how that agrees with labels: figures and files."""
    soft = through(network, pictures.pixels)
    clusters, k = soft.argmax(axis=1), soft.shape[1]
    figures: dict[str, Any] = {"sizes": np.bincount(clusters, minlength=k).tolist()}
    files = {"sheet": SHEET, "assignments": ASSIGNMENTS}
    names: dict[str, dict[str, Any]] = {}
    if reference:
        names = _write_mapping(network, reference, k, folder)
        files["names of clusters"] = MAPPINGS
    if labels:
        figures |= _judge(labels, before, clusters, k, folder)
        files |= {"confusion": CONFUSION[0], "confusion, table": CONFUSION[1]}
    _write_assignments(pictures, soft, names, folder)
    _draw_sheet(pictures, soft, names, folder)
    return figures, files


def _pretrain(
    pictures: Pictures, shape: AutoencoderShape, augmentation: Augmentation, settings: TrainingSettings, order: Order,
    watcher: Watcher,
) -> Autoencoder:  # fmt: skip
    first = replace(order, out=order.out / PRETRAINING)
    return fit_autoencoder(pictures, shape, augmentation, settings, first, watcher)[1]


def _encoder(network: DeepClusters, pictures: Pictures) -> Autoencoder:
    autoencoder = network.autoencoder
    autoencoder.centre.copy_(torch.from_numpy(codes_of(autoencoder, pictures.pixels).mean(axis=0)))
    return autoencoder


def _reference(clustering: Clustering, size: int) -> tuple[Pictures, Names] | None:
    if clustering.reference is None:
        return None
    pictures = read_pictures([str(clustering.reference)], squashed(size))
    return pictures, read_names(pictures, "folder")[0]


def _write_mapping(
    network: DeepClusters, reference: tuple[Pictures, Names], k: int, folder: Path
) -> dict[str, dict[str, Any]]:
    pictures, names = reference
    assigned = through(network, pictures.pixels).argmax(axis=1)
    mapped = mapping(assigned, names.numbers[-1], names.classes[-1], k)
    partial = folder / f"{MAPPINGS}.part"
    partial.write_text(json.dumps(mapped, ensure_ascii=False, indent=1), encoding="utf-8")
    partial.replace(folder / MAPPINGS)
    return mapped


def _write_assignments(pictures: Pictures, soft: Floats, names: dict[str, dict[str, Any]], folder: Path) -> None:
    clusters = soft.argmax(axis=1)
    rows = [
        [path, cluster, f"{share:.4f}", (names.get(str(cluster)) or {}).get("name") or ""]
        for path, cluster, share in zip(pictures.paths, clusters, soft.max(axis=1), strict=True)
    ]
    write_csv(folder / ASSIGNMENTS, [["path", "cluster", "certainty", "name"], *rows])


def _draw_sheet(pictures: Pictures, soft: Floats, names: dict[str, dict[str, Any]], folder: Path) -> None:
    """The largest clusters, and of each the photographs that are surest to be of it."""
    clusters = soft.argmax(axis=1)
    sizes = np.bincount(clusters, minlength=soft.shape[1])
    rows = []
    for cluster in np.argsort(-sizes, kind="stable")[:_SHOWN_CLUSTERS]:
        members = np.flatnonzero(clusters == cluster)
        surest = members[np.argsort(-soft[members, cluster], kind="stable")[:_SHOWN]]
        name = (names.get(str(cluster)) or {}).get("name")
        title = f"{cluster}: {name}" if name else f"cluster {cluster}"
        if len(surest):
            rows.append((f"{title} ({sizes[cluster]})", [pictures.pixels[row] for row in surest]))
    draw_sheet(folder / SHEET, rows)


def _judge(names: Names, before: Numbers, after: Numbers, k: int, folder: Path) -> dict[str, float]:
    """Compare with the labels, before (k-means on the autoencoder's codes) and after."""
    rank, classes, wanted = names.ranks[-1], names.classes[-1], names.numbers[-1]
    first, _, _ = best_matching(before, wanted, k, len(classes))
    share, counts, stands_for = best_matching(after, wanted, k, len(classes))
    # clusters in the order of the classes that they stand for: a good result is a diagonal
    order = np.argsort(np.where(stands_for < 0, len(classes), stands_for), kind="stable")
    columns = [str(cluster) for cluster in order]
    draw_confusion(folder / CONFUSION[0], f"{rank}: {share:.0%} by best matching", counts[:, order], classes, columns,
                   rank, "cluster")  # fmt: skip
    rows = [[name, *row] for name, row in zip(classes, counts[:, order].tolist(), strict=True)]
    write_csv(folder / CONFUSION[1], [[f"{rank} \\ cluster", *columns], *rows])
    largest = np.bincount(wanted[wanted >= 0]).max() / max((wanted >= 0).sum(), 1)
    return {
        "accuracy": round(share, 4), "accuracy_of_k_means": round(first, 4), "largest_class": round(float(largest), 4)
    }  # fmt: skip
