"""Adapting an encoder to a person's own specimens, without labels: it learns on from the clusters that it finds.

Clusters of an encoder are mostly right, and where they are, altered photographs of their members teach the network
what makes these alike: what it then gives of all specimens is better than what it began with. That is self-training
(Caron et al. 2018, "Deep Clustering for Unsupervised Learning of Visual Features"), begun with a trained network.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from morphoindex.errors import EncoderInvalid, UsageError
from morphoindex.exporters.contract import EncoderRecord, set_metadata
from morphoindex.exporters.judging import cosines, drawn_photographs, from_both_sides, in_batches
from morphoindex.exporters.keeping import Kept, keep
from morphoindex.exporters.precision import LEAST_COSINE
from morphoindex.exporters.preparation import Preparation
from morphoindex.exporters.training.adaptation import Adaptable, Adaptation
from morphoindex.exporters.training.batches import through
from morphoindex.exporters.training.comparing import compare, draw_neighbours
from morphoindex.exporters.training.loop import TrainingSettings
from morphoindex.exporters.training.naming import read_measure
from morphoindex.exporters.training.pictures import Pictures, Pixels, read_pictures
from morphoindex.exporters.training.runs import ENCODER, Order, Trained, Watcher, claim_of, run_training, trained
from morphoindex.exporters.training.splitting import groups_of, two_parts
from morphoindex.exporters.training.trainable import Trainable, read_trainable
from morphoindex.indexer.clustering.agreement import label_agreement
from morphoindex.indexer.clustering.communities import NEIGHBOURS, Communities, communities
from morphoindex.indexer.clustering.forest import ClusterForest
from morphoindex.indexer.clustering.labels import NOISE
from morphoindex.indexer.encoding.encoder import Encoder, EncoderInfo

Floats = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]
SHEET = "sheet.png"
_BATCH = 64
_TRIED = 8  # each so manieth drawing
_NOT_SAID = "unstated"


@dataclass(frozen=True)
class Adapting:
    """What is asked for.

    Attributes:
        encoder: its file, in fp32.
        mirror: whether photographs are also looked at and learned from left to right.
        labels: as `add --labels` takes them, to measure by; never learned from.
        group: a label whose equal values are not looked for among each other when that is measured.
    """

    encoder: Path
    mirror: bool = True
    labels: str | None = None
    group: str | None = None


def adapt(
    inputs: Sequence[str], adapting: Adapting, settings: TrainingSettings, order: Order, watcher: Watcher
) -> Trained:
    """Let an encoder learn on from the clusters of photographs, and say what that changed.

    Args:
        inputs: files, folders, globs, lists.
        adapting: which encoder, and how.
        settings: of the run.
        order: where, and whether to go on.
        watcher: is told of the progress.

    Raises:
        UsageError: the photographs have fewer than two clusters, none can be read, or the folder is not as `order` has
            it.
        EncoderInvalid: it is no encoder, or not one that can learn.
    """
    order.check()
    encoder = Encoder(adapting.encoder)
    network, info = read_trainable(adapting.encoder, encoder.info.name), encoder.info
    _agreed(network, encoder)
    preparation = Preparation(info.height, info.width, info.fit, info.resampling)
    pictures = read_pictures(inputs, preparation, lambda *done: watcher.count("reading", *done)).distinct()
    label, names, groups = read_measure(pictures, adapting.labels, adapting.group)
    parts = two_parts(groups_of(pictures, groups), settings.seed)
    claim = claim_of("adapt", pictures, settings, encoder=info.fingerprint, mirror=adapting.mirror)
    order.continued(claim)  # before photographs are placed for a run that is another one
    before = _placed(encoder, pictures.pixels, adapting.mirror, "placing photographs", watcher)
    found = _clustered(before, pictures)
    if found.labels.max() < 1:
        raise UsageError(f"{info.name} finds fewer than two clusters in these photographs: there is nothing to learn")
    claim["clusters (of the same encoder, sha256)"] = hashlib.sha256(found.labels.tobytes()).hexdigest()
    task = Adaptation(Adaptable(network, before, found.labels), pictures.pixels, found, adapting.mirror)
    run, learned = run_training(task, settings, claim, order, watcher)
    made = _kept(learned.encoder, info, order)
    after = _placed(Encoder(made.file), pictures.pixels, adapting.mirror, "placing them anew", watcher)
    again = _clustered(after, pictures)
    figures = {
        "clusters_before": int(found.labels.max() + 1), "clusters": int(again.labels.max() + 1),
        **_neighbours(before, after, parts, names, label), **(_agreement(found, again, names) if label else {}),
    }  # fmt: skip
    draw_neighbours(order.out / SHEET, pictures.pixels, parts, {"before": before, "after": after})
    alone = int((found.labels == NOISE).sum())
    sizes = {"learned_from": len(pictures) - alone, "in_no_cluster": alone}
    return trained(run, order, made, sizes, figures, {"sheet": SHEET}, pictures.refused)


def _agreed(network: Trainable, encoder: Encoder) -> None:
    """See that the network gives what the encoder gives, before anything is learned."""
    pixels = np.stack([encoder.fit(photograph) for photograph in drawn_photographs()[::_TRIED]])
    least = float(cosines(in_batches(encoder.run, pixels), through(network, pixels)).min())
    if not least >= LEAST_COSINE["fp32"]:
        raise EncoderInvalid(f"{encoder.info.name} cannot learn here: torch gives other vectors (cosine {least:.4f})")


def _placed(encoder: Encoder, pixels: Pixels, mirror: bool, what: str, watcher: Watcher) -> Floats:
    """Vectors of photographs, uint8 [N, H, W, 3] -> float32 [N, d], of unit length, or zero where the encoder fails."""

    def run(images: Pixels) -> Floats:
        return encoder.embed(images)[0]

    placed = []
    for start in range(0, len(pixels), _BATCH):
        some = pixels[start : start + _BATCH]
        placed.append(from_both_sides(run, some) if mirror else run(some))
        watcher.count(what, start + len(some), len(pixels))
    joined = np.concatenate(placed)
    joined[~np.isfinite(joined).all(axis=1)] = 0
    return joined


def _clustered(vectors: Floats, pictures: Pictures) -> Communities:
    """Their communities, as `cluster --method community` finds them; photographs without a vector are in none."""
    there = np.flatnonzero(vectors.any(axis=1))
    contents = np.array(pictures.contents)[there]
    forest = ClusterForest((), NEIGHBOURS)
    forest.add(contents.tolist(), vectors[there])
    found = communities(forest.vectors, forest.nearest(NEIGHBOURS), np.argsort(contents, kind="stable"))
    labels, confidence = np.full(len(vectors), NOISE, np.int64), np.zeros(len(vectors))
    labels[there], confidence[there] = found.labels, found.confidence
    return Communities(labels, confidence)


def _kept(network: Trainable, info: EncoderInfo, order: Order) -> Kept:
    """The encoder file of what was trained, once it gives what the network gives."""
    said = [text for text in (info.about.get("training_data", _NOT_SAID), order.training_data) if text != _NOT_SAID]
    record = EncoderRecord(
        order.name, f"{info.name}, adapted by morphoindex encoder adapt",
        order.licence if order.licence != _NOT_SAID else info.about.get("licence", _NOT_SAID),
        "; ".join(said) or _NOT_SAID,
    )  # fmt: skip
    model = network.written()
    model.doc_string = f"{record.name} {record.version}"
    set_metadata(model, info.fit, info.resampling, record)
    return keep(model, order.out / ENCODER, lambda pixels: through(network, pixels), "torch")


def _neighbours(before: Floats, after: Floats, parts: Numbers, names: Numbers, label: str) -> dict[str, Any]:
    """How some photographs find their neighbours among the others, before and after."""
    found = compare(before, after, parts, names)
    figures: dict[str, Any] = {"neighbours": found.neighbours, "neighbour_overlap": found.overlap}
    if label:
        figures |= {"nearest_is_right_before": found.first, "nearest_is_right": found.second}
    return figures


def _agreement(before: Communities, after: Communities, names: Numbers) -> dict[str, float | None]:
    """How far the clusters agree with the labels, before and after, as `evaluate` measures it."""
    first, then = (label_agreement(found.labels, names) for found in (before, after))
    return {
        f"{index}{suffix}": None if value is None else round(value, 4)
        for suffix, of in (("_before", first), ("", then))
        for index, value in (("ami", of.ami), ("ari", of.ari))
    }
