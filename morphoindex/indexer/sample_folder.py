"""A sample as a folder of its own: files, and tables that say what they are.

A folder that was begun is finished by the same call: each file gets its name only when it is whole, and a hidden file
says which sample the folder is of. That file also has `add` pass the folder over, see `discovery`.
"""

from __future__ import annotations

import csv
import errno
import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from morphoindex.errors import UsageError
from morphoindex.indexer.discovery import OUTPUT
from morphoindex.indexer.host import Host
from morphoindex.indexer.images import SUFFIXES
from morphoindex.indexer.labels import telling
from morphoindex.indexer.paths import to_text
from morphoindex.indexer.safe_names import safe_name, told_apart, with_key
from morphoindex.indexer.sampling_results import NotWritten, SampleResult, Selected, WrittenSample
from morphoindex.indexer.settings import write_whole
from morphoindex.indexer.specimen import FileRecord, Specimen
from morphoindex.indexer.views import label_columns

Layout = Literal["flat", "imagefolder", "huggingface"]
Files = Literal["copy", "link", "none"]
UNLABELLED = "unlabelled"
MANIFEST, METADATA = "manifest.csv", "metadata.jsonl"
_IMAGES = "images"  # folder of the files in the layout of Hugging Face
_PART = ".part"  # a file that is being copied
_RESERVE = ".reserve"
_COLUMNS = ("file", "id", "cluster", "source")
_KEY = 8  # digits


@dataclass(frozen=True)
class _Planned:
    """A specimen of a sample: its name below the folder, its file, and what is wrong with that."""

    one: Selected
    name: str
    source: str | None
    trouble: str | None


def write_sample(
    index: Host,
    chosen: SampleResult,
    out: Path,
    layout: Layout,
    files: Files,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> WrittenSample:
    """Put the files of a sample into a folder; see `Index.write_sample`."""
    if layout not in get_args(Layout) or files not in get_args(Files):
        raise UsageError(f"layout is one of {', '.join(get_args(Layout))}; files one of {', '.join(get_args(Files))}")
    if files == "none" and layout != "flat":
        raise UsageError(f"without files there is no layout {layout}: leave one of the two out")
    column = chosen.by or telling(index.labels)
    if layout == "imagefolder" and column is None:
        raise UsageError("imagefolder has a folder for each class, and no specimen has a label: `add --labels`")
    folders = _folders([one.labels.get(column) for one in chosen.selected] if column else [])
    planned = _plan(index, chosen, layout, {value: folder for folder, value in folders.items()}, column)
    _claim(out, layout, planned)
    return _write(index, out, planned, layout, files, folders, report)


def _folders(values: Sequence[str | None]) -> dict[str, str | None]:
    """Folder → label value. A value that is no safe name as it stands gets a key, whatever else the sample holds."""
    there = sorted({value for value in values if value})
    keys = [hashlib.sha256(value.encode()).hexdigest() for value in there]
    safe = [safe_name(value) for value in there]
    wishes = [
        with_key(name, key[:_KEY]) if name != value or name.casefold() in (UNLABELLED, MANIFEST) else name
        for name, value, key in zip(safe, there, keys, strict=True)
    ]
    found: dict[str, str | None] = dict(zip(told_apart(wishes, keys), there, strict=True))
    return {**found, UNLABELLED: None} if len(there) < len(set(values)) else found


def _plan(
    index: Host, chosen: SampleResult, layout: Layout, folder_of: Mapping[str | None, str], column: str | None
) -> list[_Planned]:
    specimens = index.collection.get([one.id for one in chosen.selected])
    wishes, found = [], []
    for one in chosen.selected:
        specimen = specimens.get(one.id)
        source, trouble = _source(index, specimen) if specimen else (one.path, "no longer in the index")
        found.append((source, trouble))
        above = {"flat": "", "huggingface": f"{_IMAGES}/"}.get(layout)
        if above is None:
            above = f"{folder_of[one.labels.get(column or '') or None]}/"
        first = specimen.paths[0].path if specimen and specimen.paths else ""
        wishes.append(above + _file_name(first, specimen.format if specimen else ""))
    keys = [hashlib.sha256(one.id.encode()).hexdigest() if len(one.id) != 32 else one.id for one in chosen.selected]
    names = told_apart(wishes, keys)
    return [
        _Planned(one, name, source, trouble)
        for one, name, (source, trouble) in zip(chosen.selected, names, found, strict=True)
    ]


def _file_name(path: str, format: str) -> str:
    """The name of a file by its first path; with the suffix of its format where it has none of an image."""
    name = safe_name(os.path.basename(path))
    known = os.path.splitext(name)[1].lower() in SUFFIXES
    return name if known or not format else f"{name}.{format.lower()}"


def _source(index: Host, specimen: Specimen) -> tuple[str | None, str | None]:
    """The first of its files that still has its content, or the first and what is wrong with that."""
    first: tuple[str | None, str | None] = None, None
    for record in specimen.paths:
        path = index.roots.join(*record.key)
        trouble = _trouble(path, record, specimen.sha256)
        if trouble is None:
            return path, None
        first = first if first[0] else (path, trouble)
    return first


def _trouble(path: str, record: FileRecord, sha256: str) -> str | None:
    try:
        status = os.stat(path)
        if not sha256 or (status.st_size, status.st_mtime_ns) == (record.size, record.mtime_ns):
            return None if os.access(path, os.R_OK) else "cannot be read: Permission denied"
        with open(path, "rb") as file:
            same = hashlib.file_digest(file, "sha256").hexdigest() == sha256
        return None if same else "has other content than when it was added"
    except (FileNotFoundError, NotADirectoryError):
        return "is gone"
    except OSError as error:
        return f"cannot be read: {error.strerror}"


def _claim(out: Path, layout: Layout, planned: Sequence[_Planned]) -> None:
    """Make the folder that of this sample.

    Raises:
        UsageError: it is that of another one, or holds something else, or cannot be made.
    """
    said = json.dumps([layout, [(one.name, one.one.id) for one in planned]], ensure_ascii=True)
    content = {"made by": "morphoindex sample", "sample": hashlib.sha256(said.encode()).hexdigest()}
    try:
        there = {entry.name for entry in out.iterdir()} - {OUTPUT + ".new"} if out.is_dir() else set()
        if (there and OUTPUT not in there) or (os.path.lexists(out) and not out.is_dir()):
            raise UsageError(f"{out} is not an empty folder: name a new one")
        if OUTPUT in there:
            if _read(out / OUTPUT).get("sample") != content["sample"]:
                raise UsageError(f"{out} is of another sample: name a new folder, or delete that one first")
            return
        out.mkdir(parents=True, exist_ok=True)
        write_whole(out / OUTPUT, json.dumps(content).encode() + b"\n")
    except OSError as error:
        raise UsageError(f"{out} cannot be written: {error.strerror}") from error


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text("utf-8"))
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _write(
    index: Host, out: Path, planned: Sequence[_Planned], layout: Layout, files: Files,
    folders: Mapping[str, str | None], report: Callable[[int, int], None],
) -> WrittenSample:  # fmt: skip
    there: list[_Planned] = []
    missing: list[NotWritten] = []
    before, trouble = 0, ""
    try:
        _reserve(out, sum(map(len, _tables(index, planned, layout, files).values())))
        for number, one in enumerate(planned):
            if one.source and one.trouble:
                missing.append(NotWritten(to_text(one.source), one.trouble))
                continue
            if one.source and files != "none":
                before += _put(one.source, out / one.name, out / _PART, files)
            there.append(one)
            report(number + 1, len(planned))
    except OSError as error:
        trouble = in_words(error, files == "link")
    finally:
        (out / _RESERVE).unlink(missing_ok=True)
        for name, content in _tables(index, there, layout, files).items():
            write_whole(out / name, content)
    if trouble:
        raise UsageError(
            f"{out}: {trouble}. {len(there):,} of the {len(planned):,} specimens are there, {MANIFEST} lists them; the "
            "same command again goes on"
        )
    laid = [one for one in there if one.source and files != "none"]
    shown = {folder: value for folder, value in folders.items() if layout == "imagefolder"}
    return WrittenSample(to_text(os.path.abspath(out)), layout, files, len(laid), before, tuple(missing), shown)


def _reserve(out: Path, size: int) -> None:
    """Keep room for the tables: a disk that fills must take the list of what was written."""
    with open(out / _RESERVE, "wb") as file:
        file.write(bytes(size))


def in_words(error: OSError, linking: bool) -> str:
    """Why files cannot be put into a folder."""
    if linking and error.errno in (errno.EXDEV, errno.EPERM, errno.ENOTSUP):
        return "hard links do not reach from the photographs to this folder, which is on another disk: have them copied"
    return f"{error.strerror}: {to_text(os.fsdecode(error.filename))}" if error.filename else str(error.strerror)


def _put(source: str, target: Path, part: Path, files: Files) -> bool:
    """Copy or link a file, such that it has its name only when it is whole. Says whether it was there before."""
    if target.exists() and (target.stat().st_size or not os.stat(source).st_size):
        return True  # an empty one was left by a loss of power
    target.parent.mkdir(exist_ok=True)
    part.unlink(missing_ok=True)
    try:
        if files == "link":
            os.link(os.path.realpath(source), part)
        else:
            shutil.copyfile(source, part)
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)  # a part, or the second name that POSIX leaves where both are links to one file
    return False


def _tables(index: Host, there: Sequence[_Planned], layout: Layout, files: Files) -> dict[str, bytes]:
    """The tables of what is there, by the names of their files."""
    columns = label_columns(index.labels, reserved=(*_COLUMNS, "file_name"))
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow([*_COLUMNS, *columns.values()])
    lines = []
    for planned in there:
        one, name = planned.one, planned.name if planned.source and files != "none" else ""
        row = [name, one.id, one.cluster, to_text(planned.source) if planned.source else None]
        labels = [one.labels.get(label) for label in columns]
        table.writerow([*row, *labels])
        values = dict(zip((*_COLUMNS[1:], *columns.values()), (*row[1:], *labels), strict=True))
        if name:
            lines.append(json.dumps({"file_name": name, **values}, ensure_ascii=False) + "\n")
    tables = {MANIFEST: text.getvalue().encode()}
    return tables | {METADATA: "".join(lines).encode()} if layout == "huggingface" else tables
