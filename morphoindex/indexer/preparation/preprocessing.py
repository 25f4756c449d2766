"""Photographs of every kind → pictures of one size and format, with tables that say what they are. No index is needed.

Decoding is that of `add`: upright, 8-bit, transparency over white. A run that was cut off anywhere is finished by the
same command, and one that is repeated makes only what is missing. The folder is passed over when one above it is added
to an index, as those of `sample` are, but not when it is named itself.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from morphoindex.errors import ImageRefused, UsageError
from morphoindex.indexer.cores import usable_cores
from morphoindex.indexer.descriptions.labels import labeller
from morphoindex.indexer.encoding.reading import in_order, read_file
from morphoindex.indexer.files.label_summaries import write_label_summaries
from morphoindex.indexer.files.provenance import write_provenance
from morphoindex.indexer.files.replacing import clear_leftovers, replacing
from morphoindex.indexer.files.table_files import Kind, Sheet, write_table
from morphoindex.indexer.output_folder import PROVENANCE
from morphoindex.indexer.paths import from_text, to_text
from morphoindex.indexer.photographs.discovery import Found, discover, is_raw
from morphoindex.indexer.photographs.images import Fit, decode
from morphoindex.indexer.photographs.images import fit as fit_to
from morphoindex.indexer.preparation.picture_names import FOLDER_AND_STEM, Source, checked, names_for, wish
from morphoindex.indexer.preparation.prepared_folder import Format, PreparedFolder, Recipe, Record, see_folder
from morphoindex.indexer.results.common import Refusal
from morphoindex.indexer.results.preprocessing import PreprocessResult
from morphoindex.indexer.tables.views import label_columns

MANIFEST, LABELS, ERRORS = "manifest.csv", "labels.csv", "errors.log"
_MANIFEST: dict[str, Kind] = {
    "path": "text", "source": "text", "sha256": "text", "width": "integer", "height": "integer", "format": "text",
    "notes": "text", "time": "text", "camera": "text", "latitude": "number", "longitude": "number",
}  # fmt: skip
_CAPTURE = ("time", "camera", "latitude", "longitude")
_NAMED = 5
_SIZE = re.compile(r"\s*(\d+)\s*(?:[x×X]\s*(\d+)\s*)?")


@dataclass(frozen=True)
class _Task:
    """A photograph, its labels, the name wished for, and the name of its picture."""

    found: Found
    source: Source
    wish: str
    path: str


@dataclass(frozen=True)
class _Made:
    """A picture in memory with its record, or why there is none."""

    task: _Task
    record: Record | None = None
    picture: bytes = b""
    reason: str = ""


def preprocess(
    raw: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    size: int | str = 224,
    format: Format = "png",
    fit: Fit = "letterbox",
    grey: bool = False,
    quality: int = 95,
    labels: str | None = None,
    names: str = FOLDER_AND_STEM,
    force: bool = False,
    dry_run: bool = False,
    max_megapixels: float = 200,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> PreprocessResult:
    """Make pictures of one size and format of all photographs in a folder and below it.

    Args:
        raw: the folder; nothing in it is changed.
        out: the folder for the pictures: new, empty, or of an earlier run by the same recipe, which is then finished.
        size: of the pictures, in pixels: of both sides, or such as "320x240", the width first.
        format: "png", "jpg", "webp", "tif", "bmp".
        fit: "letterbox" shows all, on white; "crop" fills the size and loses what juts out; "squash" resizes each side
            by its own factor.
        grey: one channel instead of three.
        quality: of jpg and webp.
        labels: as for `Index.add`; by default the folder is the species, of what does not lie in `raw` itself.
        names: a pattern of {folder} (those below `raw`), {parent} (the last of them), {stem}, {n} (a number), labels.
        force: also into a folder that holds something else, or pictures made otherwise, which are made anew.
        dry_run: only say what would be made.
        max_megapixels: larger photographs are refused.
        report: told how many of how many are done.

    Raises:
        UsageError: an argument is not what is allowed, one folder lies in the other, there are no photographs, or the
            folder is another one's or cannot be written to; what was made before that is kept.
    """
    start = time.perf_counter()
    recipe = Recipe(*_sides(size), format, fit, grey, quality, names)
    if max_megapixels <= 0:
        raise UsageError(f"max_megapixels {max_megapixels:g}: above 0")
    top, folder = _folders(os.fspath(raw), os.fspath(out))
    labels_of = _Labels(top, labels)
    checked(names, labels_of.columns)
    mark = recipe.mark(top)
    see_folder(folder, mark, force)
    passed: set[str] = set()
    files, refused = _photographs(top, passed)
    raws = sum(map(is_raw, passed))
    prepared = PreparedFolder(folder, mark)
    tasks = _plan(files, top, labels_of, recipe, prepared)
    waiting = [task for task in tasks if not _done(task, prepared)]
    written, summed = waiting, _Tables((), {}, 0)
    if not dry_run:
        made = _make(waiting, recipe, mark, int(max_megapixels * 1e6))
        said = {"raw": to_text(top), **asdict(recipe)}
        written = _write(prepared, said, made, refused, len(waiting), report)
        summed = _tables(prepared, labels_of, refused)
        write_provenance(
            folder, "preprocess", {**said, "labels": labels}, None,
            images=len(prepared.records), refused=len(refused),
        )  # fmt: skip
    seconds = time.perf_counter() - start
    there = {to_text(task.source.below) for task in tasks}
    return PreprocessResult(
        folder=to_text(os.fspath(folder)),
        images=len(prepared.records) + (len(waiting) if dry_run else 0),
        written=len(written),
        before=len(tasks) - len(waiting),
        gone=len(prepared.records.keys() - there),
        refused=tuple(sorted(refused, key=lambda one: one.path)),
        labels=summed.labels,
        unlabelled=summed.unlabelled,
        labels_unused=labels_of.unused(),
        passed_over=len(passed) - raws,
        camera_raw=raws,
        names={to_text(task.source.below): task.path for task in written[:_NAMED]},
        files=summed.files,
        seconds=round(seconds, 3),
        images_per_second=round(len(written) / seconds, 1),
        dry_run=dry_run,
    )


class _Labels:
    """Labels of photographs: from folders and names as they are below the raw folder, or from a table."""

    def __init__(self, top: str, how: str | None) -> None:
        self._given = labeller(how or "folder")
        self._top, self._how = top, how
        self._by_name = how is None or "{" in how or how.partition("=")[0] == "folder"
        self.columns = self._given.columns()

    def __call__(self, below: str) -> Mapping[str, str]:
        """Column → value, for a path below the raw folder."""
        return self._given(below if self._by_name else os.path.join(self._top, below))

    def unused(self) -> int:
        """How many of what was given met no photograph."""
        return len(self._given.unused()) if self._how else 0


def _sides(size: int | str) -> tuple[int, int]:
    """Width and height: `224` -> `(224, 224)`; `"320x240"` -> `(320, 240)`."""
    match = _SIZE.fullmatch(str(size))
    if not match:
        raise UsageError(f"size {size!r}: a number of pixels such as 224, or width and height such as 320x240")
    return int(match[1]), int(match[2] or match[1])


def _folders(raw: str, out: str) -> tuple[str, Path]:
    """Both, with links resolved.

    Raises:
        UsageError: the first is no folder, or one lies in the other.
    """
    if not os.path.isdir(raw):
        there = "is not a folder: name the one that the photographs are in" if os.path.lexists(raw) else "is not there"
        raise UsageError(f"{to_text(raw)} {there}")
    top, folder = os.path.realpath(raw), os.path.realpath(out)
    if os.path.commonpath([top, folder]) in (top, folder):
        raise UsageError(
            f"{to_text(out)} and {to_text(raw)} lie in each other: name a folder for the pictures that is beside the "
            "photographs"
        )
    return top, Path(folder)


def _photographs(top: str, passed: set[str]) -> tuple[list[Found], list[Refusal]]:
    files: list[Found] = []
    refused: list[Refusal] = []
    for one in discover([top], passed=passed):
        if isinstance(one, Found):
            files.append(one)
        else:
            refused.append(Refusal(to_text(one.path), one.reason))
    if not files and {one.path for one in refused} == {to_text(top)}:
        raise UsageError(f"{to_text(top)}: {refused[0].reason}")
    return files, refused


def _plan(
    files: Sequence[Found], top: str, labels_of: _Labels, recipe: Recipe, prepared: PreparedFolder
) -> list[_Task]:
    below = [os.path.relpath(one.path, top) for one in files]
    sources = [Source(path, labels_of(path)) for path in below]
    wishes = [wish(recipe.names, source, f".{recipe.format}") for source in sources]
    kept = {}
    for source, made in zip(sources, wishes, strict=True):
        record = prepared.records.get(to_text(source.below))
        if record and record.wish == made:
            kept[source.below] = record.path
    names = names_for(wishes, sources, kept, lambda path: not prepared.knows(path))
    return [_Task(*four) for four in zip(files, sources, wishes, names, strict=True)]


def _done(task: _Task, prepared: PreparedFolder) -> bool:
    record = prepared.records.get(to_text(task.source.below))
    wanted = (task.wish, task.path, task.found.size, task.found.mtime_ns)
    return record is not None and (record.wish, record.path, record.size, record.mtime_ns) == wanted


def _make(tasks: Sequence[_Task], recipe: Recipe, mark: str, max_pixels: int) -> Iterator[_Made]:
    """The pictures, in the order of the photographs, by several threads."""
    workers = usable_cores()
    with ThreadPoolExecutor(workers) as pool:
        try:
            yield from in_order(pool, lambda task: _picture(task, recipe, mark, max_pixels), tasks, workers * 3)
        finally:
            pool.shutdown(cancel_futures=True)


def _picture(task: _Task, recipe: Recipe, mark: str, max_pixels: int) -> _Made:
    try:
        content = read_file(task.found.path)
        photo = decode(content.data, cover=(recipe.height, recipe.width), max_pixels=max_pixels)
    except ImageRefused as error:
        return _Made(task, reason=error.reason)
    image = Image.fromarray(fit_to(photo.pixels, (recipe.height, recipe.width), recipe.fit))
    picture = _encoded(image.convert("L") if recipe.grey else image, recipe)
    record = Record(
        source=to_text(task.source.below), size=content.size, mtime_ns=content.mtime_ns,
        sha256=hashlib.sha256(content.data).hexdigest(), width=photo.width, height=photo.height, format=photo.format,
        wish=task.wish, path=task.path, bytes=len(picture), mark=mark,
        capture={key: value for key, value in vars(photo.capture).items() if value is not None}, notes=photo.notes,
    )  # fmt: skip
    return _Made(task, record, picture)


def _encoded(image: Image.Image, recipe: Recipe) -> bytes:
    how: dict[str, dict[str, Any]] = {
        "png": {"format": "PNG", "compress_level": 4},  # of twice the speed of 6, for 4 % more bytes
        "jpg": {"format": "JPEG", "quality": recipe.quality, "subsampling": "4:4:4"},
        "webp": {"format": "WEBP", "quality": recipe.quality},
        "tif": {"format": "TIFF", "compression": "tiff_adobe_deflate"},
        "bmp": {"format": "BMP"},
    }
    file = io.BytesIO()
    image.save(file, **how[recipe.format])
    return file.getvalue()


def _write(
    prepared: PreparedFolder, said: Mapping[str, Any], made: Iterator[_Made], refused: list[Refusal], total: int,
    report: Callable[[int, int], None],
) -> list[_Task]:  # fmt: skip
    """Write pictures as they come; gives those written, and adds to those refused."""
    written: list[_Task] = []
    done = 0
    try:
        prepared.claim(said)
        for one in made:
            if one.record is None:
                refused.append(Refusal(to_text(one.task.found.path), one.reason))
                prepared.records.pop(to_text(one.task.source.below), None)  # it is of what the file held before
            else:
                prepared.put(one.record, one.picture)
                written.append(one.task)
            done += 1
            report(done, total)
        prepared.tidy()
        clear_leftovers(prepared.out)
    except OSError as error:
        where = to_text(os.fspath(prepared.out))
        raise UsageError(f"{where} cannot be written: {error.strerror or error}; what was made is kept") from error
    return written


@dataclass(frozen=True)
class _Tables:
    """The names of the files written, the number of values of each label, and the pictures without any."""

    files: tuple[str, ...]
    labels: Mapping[str, int]
    unlabelled: int


def _tables(prepared: PreparedFolder, labels_of: _Labels, refused: Sequence[Refusal]) -> _Tables:
    """Write what the pictures are: manifest, labels and their statistics, and what was refused."""
    records = sorted(prepared.records.values(), key=lambda record: record.path)
    labels = [labels_of(from_text(record.source)) for record in records]
    columns = [column for column in labels_of.columns if any(one.get(column) for one in labels)]
    rows = [
        (one.path, one.source, one.sha256, one.width, one.height, one.format, "; ".join(one.notes) or None,
         *(one.capture.get(name) for name in _CAPTURE))
        for one in records
    ]  # fmt: skip
    write_table(prepared.out / MANIFEST, Sheet(tuple(_MANIFEST), rows, _MANIFEST), "csv")
    named = label_columns(columns, reserved=("path",))
    given = [
        (record.path, *(one.get(column) for column in columns)) for record, one in zip(records, labels, strict=True)
    ]
    write_table(prepared.out / LABELS, Sheet(("path", *named.values()), given), "csv")
    summed = write_label_summaries(labels, columns, prepared.out)
    with replacing(prepared.out / ERRORS) as beside:
        lines = [f"{one.path}\t{one.reason}\n" for one in sorted(refused, key=lambda one: one.path)]
        beside.write_text("".join(lines), encoding="utf-8")
    return _Tables(
        (MANIFEST, LABELS, *summed.files, ERRORS, PROVENANCE),
        {one.label: len(one.counts) for one in summed.summaries},
        sum(not any(one.get(column) for column in columns) for one in labels),
    )
