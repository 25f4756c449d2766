"""Distil a small encoder from a teacher: `python -m morphoindex.exporters.training.distil --help`."""

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from morphoindex.exporters.contract import EncoderRecord
from morphoindex.exporters.making import make_encoder
from morphoindex.exporters.onnx_export import from_torch
from morphoindex.exporters.preparation import Preparation
from morphoindex.exporters.training.distillation import Distillation
from morphoindex.exporters.training.loop import CHECKPOINT, Progress, Run, TrainingSettings, read_checkpoint, train
from morphoindex.exporters.training.student import Student, StudentSettings
from morphoindex.exporters.training.targets import fit_projection
from morphoindex.exporters.training.teacher import Teacher
from morphoindex.exporters.training.view_cache import ViewCache, fill_cache
from morphoindex.exporters.training.views import ViewSettings, list_images

PROBES = 96
CALIBRATION = 400  # views; every second one calibrates int8, the others check it


def main(arguments: Sequence[str] | None = None) -> None:
    """Label views, train the student, write the encoder.

    Args:
        arguments: of the command line; sys.argv's when None.
    """
    options = _parser().parse_args(arguments)
    torch.set_num_threads(options.threads)
    groups = list_images(options.images, options.exclude_manifest_valid)
    teacher = Teacher(options.teacher)
    views = ViewSettings(teacher_size=teacher.side(), seed=options.seed)
    cache = fill_cache(options.cache / "views", teacher, groups, options.views, views, options.threads, _labelled)
    targets = fit_projection(cache.teacher, StudentSettings.dimensions)(cache.teacher)
    shape = StudentSettings(dimensions=targets.shape[1])  # fewer where the teacher has fewer
    record = EncoderRecord(
        name=options.name,
        source=options.source,
        licence=options.licence,
        training_data=options.training_data,
        version=options.version,
    )
    preparation = Preparation(views.student_size, views.student_size, "squash", "bicubic")  # the student does the rest
    probes = probe_images(cache, views.student_size)

    settings = TrainingSettings(
        epochs=max(1, round(options.samples / len(targets))), batch=128, optimizer="muon", peak_rate=2e-3,
        average_decay=0.999, seed=options.seed, checkpoint_seconds=120,
    )  # fmt: skip
    started = time.monotonic()
    torch.manual_seed(settings.seed)
    run = Run(Distillation(Student(shape), cache, targets), settings, {"command": "distil.py"})
    if (options.cache / CHECKPOINT).is_file():
        run.load(read_checkpoint(options.cache / CHECKPOINT))
    student = train(run, options.cache, _stepped)
    material = from_torch(student, preparation)
    made = [make_encoder(material, record, options.out, photographs=list(probes))]
    if options.int8:
        some = cache.take(np.linspace(0, len(targets) - 1, CALIBRATION).astype(np.int64))
        smaller = replace(record, name=f"{record.name}-int8")
        made.append(make_encoder(material, smaller, options.int8, "int8", photographs=list(some)))
    minutes = (time.monotonic() - started) / 60
    for one in made:
        print(f"wrote {one.file} after {minutes:.1f} min, least cosine to torch {one.least_cosine:.6f}", flush=True)


def _labelled(done: int, total: int) -> None:
    print(f"labelled {done} of {total} views", flush=True)


def _stepped(progress: Progress) -> None:
    if progress.step % 100 == 0 or progress.step == progress.steps:
        print(f"step {progress.step} of {progress.steps}, loss {progress.loss:.4f}", flush=True)


def probe_images(cache: ViewCache, side: int) -> npt.NDArray[np.uint8]:
    """Choose images for the parity check: views of all kinds, and black, white and noise.

    Args:
        cache: of views.
        side: of the views, pixels.

    Returns:
        uint8 [PROBES + 3, side, side, 3].
    """
    rows = np.linspace(0, len(cache.teacher) - 1, PROBES).astype(np.int64)
    noise = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    return np.concatenate([cache.take(rows), np.stack([np.zeros_like(noise), np.full_like(noise, 255), noise])])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m morphoindex.exporters.training.distil", description=__doc__)
    parser.add_argument(
        "--teacher", type=Path, required=True, help="an encoder file, or ONNX with float32 NCHW input, (rgb-128)/128"
    )
    parser.add_argument("--images", type=Path, nargs="+", required=True, help="folders; each is a source of its own")
    parser.add_argument(
        "--exclude-manifest-valid",
        action="store_true",
        help="leave out files whose upstream_split in the folder's manifest.csv is valid",
    )
    parser.add_argument("--out", type=Path, required=True, help="the encoder")
    parser.add_argument("--int8", type=Path, help="the same in int8, too")
    parser.add_argument("--cache", type=Path, default=Path("distil-cache"), help="views, targets and checkpoint")
    parser.add_argument("--views", type=int, default=72_000, help="distinct views that the teacher labels")
    parser.add_argument("--samples", type=int, default=1_500_000, help="views shown to the student, with repetition")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--name", default="student-128")
    parser.add_argument("--version", default="1")
    parser.add_argument("--source", default="distilled with morphoindex.exporters.training.distil")
    parser.add_argument("--licence", default="unstated")
    parser.add_argument("--training-data", default="unstated")
    return parser


if __name__ == "__main__":
    main()
