"""Distil a small encoder from a teacher: `python -m morphoindex.exporters.distil --help`."""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from morphoindex.exporters.contract import EncoderRecord
from morphoindex.exporters.making import make_encoder
from morphoindex.exporters.onnx_export import from_torch
from morphoindex.exporters.preparation import Preparation
from morphoindex.exporters.student import Student, StudentSettings
from morphoindex.exporters.targets import fit_projection
from morphoindex.exporters.training import TrainingSettings, train_student
from morphoindex.exporters.view_cache import Teacher, ViewCache, fill_cache
from morphoindex.exporters.views import ViewSettings, list_images

PROBES = 96


def main(arguments: Sequence[str] | None = None) -> None:
    """Label views, train the student, write the encoder.

    Args:
        arguments: of the command line; sys.argv's when None.
    """
    options = _parser().parse_args(arguments)
    torch.set_num_threads(options.threads)
    groups = list_images(options.images, options.exclude_manifest_valid)
    teacher = Teacher(options.teacher)
    views = ViewSettings(seed=options.seed)
    cache = fill_cache(options.cache / "views", teacher, groups, options.views, views, options.threads)
    settings = TrainingSettings(samples=options.samples, seed=options.seed)
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

    def save(student: Student, samples: int) -> None:
        made = make_encoder(from_torch(student, preparation), record, options.out, photographs=list(probes))
        print(f"wrote {made.file} after {samples} samples, least cosine to torch {made.least_cosine:.6f}", flush=True)

    started = time.monotonic()
    train_student(cache, targets, shape, settings, options.cache, save)
    print(f"trained for {(time.monotonic() - started) / 60:.1f} min", flush=True)


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
    parser = argparse.ArgumentParser(prog="python -m morphoindex.exporters.distil", description=__doc__)
    parser.add_argument("--teacher", type=Path, required=True, help="ONNX: input float32 NCHW 224x224, (rgb-128)/128")
    parser.add_argument("--images", type=Path, nargs="+", required=True, help="folders; each is a source of its own")
    parser.add_argument(
        "--exclude-manifest-valid",
        action="store_true",
        help="leave out files whose upstream_split in the folder's manifest.csv is valid",
    )
    parser.add_argument("--out", type=Path, required=True, help="the encoder, rewritten at every checkpoint")
    parser.add_argument("--cache", type=Path, default=Path("distil-cache"), help="views, targets and checkpoint")
    parser.add_argument("--views", type=int, default=60_000, help="distinct views that the teacher labels")
    parser.add_argument("--samples", type=int, default=540_000, help="views shown to the student, with repetition")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--name", default="student-128")
    parser.add_argument("--version", default="1")
    parser.add_argument("--source", default="distilled with morphoindex.exporters.distil")
    parser.add_argument("--licence", default="unstated")
    parser.add_argument("--training-data", default="unstated")
    return parser


if __name__ == "__main__":
    main()
