"""A folder of views with what the teacher says of them, made once and trained from many times.

Labelling is the slow part, so it is cut into shards: an interrupted run goes on with the first missing shard.
"""

import hashlib
import json
import multiprocessing
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime

from morphoindex.errors import UsageError
from morphoindex.exporters.training.teacher import Teacher
from morphoindex.exporters.training.views import ViewSettings, make_view

SHARD = 500
CLAIM = "cache.json"
Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class ViewCache:
    """Views at the student's size, memory mapped shard by shard, and the teacher's embeddings of them."""

    shards: list[Pixels]
    teacher: Floats

    def take(self, rows: npt.NDArray[np.int64]) -> Pixels:
        """Copy some views out.

        Args:
            rows: int64 [B], numbers of views.

        Returns:
            uint8 [B, S, S, 3].
        """
        return np.stack([self.shards[row // SHARD][row % SHARD] for row in rows])


def fill_cache(
    folder: Path,
    teacher: Teacher,
    groups: Sequence[Sequence[Path]],
    views: int,
    settings: ViewSettings,
    processes: int,
    report: Callable[[int, int], None],
) -> ViewCache:
    """Make and label views until there are as many as asked for, and open them.

    Args:
        folder: of the cache; made when missing. What is there already is kept and used.
        teacher: labels the views.
        groups: image files by source.
        views: how many; rounded up to whole shards of SHARD.
        settings: of the views.
        processes: that make and label views, each with one thread.
        report: called with (views labelled, views in all) after each shard.

    Raises:
        UsageError: the folder holds views of another teacher, other images or other settings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _claim(folder, teacher, groups, settings)
    numbers = range(-(-views // SHARD))
    missing = [number for number in numbers if not _paths(folder, number)[1].is_file()]
    if missing:
        context = multiprocessing.get_context("spawn")
        with context.Pool(processes, _start_worker, (folder, teacher, groups, settings)) as pool:
            for done, _ in enumerate(pool.imap_unordered(_make_shard, missing), start=1):
                report((len(numbers) - len(missing) + done) * SHARD, len(numbers) * SHARD)
    pairs = [_paths(folder, number) for number in numbers]
    return ViewCache(
        shards=[np.load(pixels, mmap_mode="r") for pixels, _ in pairs],
        teacher=np.concatenate([np.load(embeddings) for _, embeddings in pairs]),
    )


def _claim(folder: Path, teacher: Teacher, groups: Sequence[Sequence[Path]], settings: ViewSettings) -> None:
    names = "\n".join(f"{path.parent.name}/{path.name} {path.stat().st_size}" for group in groups for path in group)
    claim = {
        "teacher": teacher.fingerprint(),
        "images": hashlib.sha256(names.encode()).hexdigest(),
        "settings": asdict(settings),
    }
    note = folder / CLAIM
    if not note.is_file():
        note.write_text(json.dumps(claim, indent=1))
    elif json.loads(note.read_text()) != claim:
        raise UsageError(f"{folder} holds views of another teacher, other images or other settings")


def _paths(folder: Path, number: int) -> tuple[Path, Path]:
    return folder / f"views-{number:05d}.npy", folder / f"teacher-{number:05d}.npy"


_worker: tuple[Path, Teacher, Sequence[Sequence[Path]], ViewSettings, onnxruntime.InferenceSession]


def _start_worker(folder: Path, teacher: Teacher, groups: Sequence[Sequence[Path]], settings: ViewSettings) -> None:
    global _worker
    _worker = (folder, teacher, groups, settings, teacher.session(threads=1))


def _make_shard(number: int) -> None:
    folder, teacher, groups, settings, session = _worker
    small: list[Pixels] = []
    embeddings: list[Floats] = []
    for start in range(number * SHARD, (number + 1) * SHARD, 4):
        pairs = [make_view(row, groups, settings) for row in range(start, start + 4)]
        embeddings.append(teacher.embed(session, np.stack([large for large, _ in pairs])))
        small.extend(view for _, view in pairs)
    pixels_path, teacher_path = _paths(folder, number)
    np.save(pixels_path, np.stack(small))
    # the embeddings come last and by a rename: a shard counts as made once they are there
    partial = teacher_path.with_suffix(".part.npy")
    np.save(partial, np.concatenate(embeddings))
    partial.replace(teacher_path)
