"""A folder of prepared pictures: which run it is of, and what each picture was made of.

Its journal has a line for each picture, written before the picture gets its name; the last line for a photograph
counts. So after a crash every picture in the folder is whole, and there is none that the journal does not know.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from morphoindex.errors import UsageError
from morphoindex.indexer.output_folder import OUTPUT
from morphoindex.indexer.paths import to_text
from morphoindex.indexer.photographs.images import Fit
from morphoindex.indexer.settings import write_whole

Format = Literal["png", "jpg", "webp", "tif", "bmp"]
JOURNAL = ".morphoindex-pictures.jsonl"
LARGEST = 16_383
"""Pixels of a side, as many as WebP takes."""
_PART = ".morphoindex-part"
_MADE_BY = "morphoindex preprocess"


@dataclass(frozen=True)
class Recipe:
    """How pictures are made.

    Attributes:
        width, height: in pixels.
        format: also the suffix of their names; quality: of jpg and webp, 1 to 100.
        fit: as in `images.fit`; grey: one channel.
        names: the pattern of their names, see `picture_names`.
    """

    width: int
    height: int
    format: Format
    fit: Fit
    grey: bool
    quality: int
    names: str

    def __post_init__(self) -> None:
        if not (1 <= self.width <= LARGEST and 1 <= self.height <= LARGEST):
            raise UsageError(f"size {self.width}x{self.height}: sides of 1 to {LARGEST:,} pixels, such as 320x240")
        if self.format not in get_args(Format):
            raise UsageError(f"format {self.format!r}: one of {', '.join(get_args(Format))}")
        if self.fit not in get_args(Fit):
            raise UsageError(f"fit {self.fit!r}: one of {', '.join(get_args(Fit))}")
        if not 1 <= self.quality <= 100:
            raise UsageError(f"quality {self.quality}: 1 to 100")

    def mark(self, raw: str) -> str:
        """What tells pictures made in this way of a raw folder from others."""
        said = json.dumps([os.fsencode(raw).hex(), asdict(self)], sort_keys=True)
        return hashlib.sha256(said.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Record:
    """A picture, and what it was made of.

    Attributes:
        source: the photograph, below the raw folder, as text; size: its bytes; mtime_ns: of its last change.
        sha256, width, height, format: of it, upright; capture, notes: as in `images.Photo`.
        wish: the name that was wished for; path: the one it has, below the folder; bytes: of the picture.
        mark: of the recipe.
    """

    source: str
    size: int
    mtime_ns: int
    sha256: str
    width: int
    height: int
    format: str
    wish: str
    path: str
    bytes: int
    mark: str
    capture: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class PreparedFolder:
    """The folder, its journal open.

    Attributes:
        records: the pictures that are there and made by this recipe, by their photographs.
    """

    def __init__(self, out: Path, mark: str) -> None:
        self.out = out
        self.mark = mark
        self.records: dict[str, Record] = {}
        self._known: set[str] = set()
        for record in _read(out / JOURNAL):
            self._known.add(record.path)
            if record.mark == mark and _size(out / record.path) == record.bytes:
                self.records[record.source] = record
            else:
                self.records.pop(record.source, None)

    def knows(self, path: str) -> bool:
        """Whether what lies at a path, if anything does, was made by a run for this folder."""
        return path in self._known or not os.path.lexists(self.out / path)

    def claim(self, said: Mapping[str, Any]) -> None:
        """Make the folder that of this recipe."""
        self.out.mkdir(parents=True, exist_ok=True)
        (self.out / _PART).unlink(missing_ok=True)
        content = {"made by": _MADE_BY, "mark": self.mark, **said}
        write_whole(self.out / OUTPUT, json.dumps(content, ensure_ascii=True).encode() + b"\n")

    def put(self, record: Record, picture: bytes) -> None:
        """Write a picture. Its name, where it had another one before, is let go.

        Raises:
            OSError: the disk does not take it.
        """
        target, part = self.out / record.path, self.out / _PART
        target.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(picture)
        with open(self.out / JOURNAL, "ab") as journal:
            journal.write(b"\n" + _line(record))  # after a line that was cut off, too
        os.replace(part, target)
        self._known.add(record.path)
        self.records[record.source] = record

    def tidy(self) -> None:
        """Delete pictures that are made no longer as they were, and shorten the journal to those that are there."""
        used = {record.path for record in self.records.values()}
        for path in self._known - used:
            (self.out / path).unlink(missing_ok=True)
            _remove_empty(self.out, (self.out / path).parent)
        self._known = used
        write_whole(self.out / JOURNAL, b"".join(_line(record) + b"\n" for record in self.records.values()))


def see_folder(out: Path, mark: str, force: bool) -> None:
    """See that a folder is new, empty, or of a run by the same recipe.

    Raises:
        UsageError: it is not, and that was not forced; or it cannot be looked into.
    """
    said = to_text(os.fspath(out))
    try:
        if not os.path.lexists(out):
            return
        if not out.is_dir():
            raise UsageError(f"{said} is not a folder: name another one")
        there = {entry.name for entry in os.scandir(out)} - {OUTPUT + ".new"}
        claim = _claim(out) if OUTPUT in there else {}
    except OSError as error:
        raise UsageError(f"{said} cannot be written: {error.strerror or error}") from error
    if not there or force or (claim.get("made by") == _MADE_BY and claim.get("mark") == mark):
        return
    if claim.get("made by") == _MADE_BY:
        raise UsageError(
            f"{said} holds pictures that were made otherwise, or of another folder ({said}/{OUTPUT} says how): name a "
            "new folder, or have them made anew with --force"
        )
    raise UsageError(f"{said} is not empty: name a new folder, or write into it with --force")


def _claim(out: Path) -> dict[str, Any]:
    try:
        content = json.loads((out / OUTPUT).read_text("utf-8"))
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _line(record: Record) -> bytes:
    return json.dumps(asdict(record), ensure_ascii=True).encode()


def _read(journal: Path) -> list[Record]:
    """The lines of a journal; what was cut off or is damaged is made again."""
    try:
        lines = journal.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    found = []
    for line in lines:
        try:
            content = json.loads(line)
            found.append(Record(**{**content, "notes": tuple(content["notes"])}))
        except (ValueError, TypeError, KeyError):
            continue
    return found


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _remove_empty(top: Path, folder: Path) -> None:
    """Remove a folder, and those above it below the top, as far as they are empty."""
    while folder != top:
        try:
            folder.rmdir()
        except OSError:
            return
        folder = folder.parent
