"""Captures of specimens as people give them: times in file names, metadata of crops, tables, names of cameras.

What is told of one file in particular counts before what is told of many: a table, then the file's name, then a camera
for all, and EXIF last.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

from morphoindex.errors import UsageError
from morphoindex.indexer.descriptions.labels import Labeller, labeller
from morphoindex.indexer.files.table_rows import TABLES
from morphoindex.indexer.paths import to_text
from morphoindex.indexer.photographs.crops import FrameMetadata, crop_of
from morphoindex.indexer.photographs.time_formats import time_reader
from morphoindex.indexer.specimen import CAPTURE

CENTRE = ("x", "y")
"""Columns for the centre of a box of which no more is known."""
_BOX = ("x1", "y1", "x2", "y2")
_LIMITS = {"latitude": 90.0, "longitude": 180.0}
_WHOLE = ("crop_number", "frame_width", "frame_height")
_EDGE = 1.0  # pixels that a rounded box may stand over the edge of its frame


@dataclass
class Captures:
    """Gives the capture of a path, and remembers what was wrong with it.

    Attributes:
        troubles: path → what could not be used of what was given for it, in words.
    """

    time_of: Callable[[str], str] | None = None
    metadata: FrameMetadata | None = None
    table: Labeller | None = None
    camera_of: Callable[[str], str | None] | None = None
    troubles: dict[str, list[str]] = field(default_factory=dict)

    def __call__(self, path: str) -> dict[str, Any]:
        """Field → value, for an absolute path; empty where nothing was given that can be used."""
        wrong: list[str] = []
        found: dict[str, Any] = {}
        camera = self.camera_of(path) if self.camera_of else None
        if camera:
            found["camera"] = _shown(camera)
        elif self.camera_of:
            wrong.append("no camera by --camera")
        if self.time_of:
            try:
                found["time"] = self.time_of(path)
            except ValueError as error:
                wrong.append(str(error))
        found |= self._place(path, wrong)
        if self.table:
            told, refused = fields({column.lower(): value for column, value in self.table(path).items()})
            found |= told
            wrong += [f"{column} {words}" for column, words in refused.items()]
        if wrong:
            self.troubles[path] = wrong
        return found

    def unused(self) -> list[str]:
        """Rows of the table that met no file."""
        return self.table.unused() if self.table else []

    def _place(self, path: str, wrong: list[str]) -> dict[str, Any]:
        """Source frame and box of a crop."""
        crop = crop_of(path)
        if crop is None:
            if self.metadata:
                wrong.append("no CROPNUMBER in the name")
            return {}
        found: dict[str, Any] = {"frame": _shown(crop.frame), "crop_number": crop.number}
        if self.metadata:
            try:
                told, refused = fields(self.metadata.box(crop, path))
            except ValueError as error:
                wrong.append(str(error))
                return found
            found |= told
            wrong += [f"{column} {words}" for column, words in refused.items()]
        return found


def captures(time_format: str | None, metadata: str | None, camera: str | None) -> Captures | None:
    """Read `--time-format`, `--metadata` and `--camera`; None where none is given.

    Args:
        time_format: see `time_formats.time_reader`.
        metadata: a folder with a JSON file for each source frame (see `FrameMetadata`), or a table with a column
            `path` and columns of `CAPTURE` or `CENTRE`.
        camera: `folder` (the name of the file's folder), a pattern with the field {camera}, or a name for all.

    Raises:
        UsageError: one of them is not what is allowed.
    """
    if time_format is None and metadata is None and camera is None:
        return None
    made = Captures(time_reader(time_format) if time_format is not None else None)
    if metadata is not None and os.path.isdir(metadata):
        made.metadata = FrameMetadata(Path(metadata))
    elif metadata is not None:
        made.table = _table(metadata)
    if camera is not None:
        made.camera_of = _camera(camera)
    return made


def fields(row: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Those columns of a row that tell of its capture, as they are stored, and what is wrong with the others.

    A box that cannot be is left out whole.

    Args:
        row: column → value; other columns are passed over.

    Returns:
        Field → value; and field → why it cannot be used, in words: `{"time": "noon"}` -> `{}, {"time": "noon"…}`.
    """
    told: dict[str, Any] = {}
    wrong: dict[str, str] = {}
    for name in (*CAPTURE, *CENTRE):
        value = row.get(name)
        if value is None or (isinstance(value, str) and not value.strip()):
            continue
        try:
            told[name] = _value(name, value)
        except (TypeError, ValueError, OverflowError):
            wrong[name] = f"{value!r} cannot be used"
    centre = [told.pop(name, None) for name in CENTRE]
    if not any(name in told for name in _BOX) and None not in centre:
        told |= dict(zip(_BOX, (*centre, *centre), strict=True))
    if any(name in told or name in wrong for name in _BOX):
        trouble = _trouble(told)
        if trouble:
            told = {name: value for name, value in told.items() if name not in _BOX}
            wrong = {**{name: words for name, words in wrong.items() if name not in _BOX}, "box": trouble}
    return told, wrong


def _trouble(told: Mapping[str, Any]) -> str | None:
    """Why the box cannot be, None if it can."""
    if not all(name in told for name in _BOX):
        return f"needs four numbers, {', '.join(_BOX)}"
    x1, y1, x2, y2 = (told[name] for name in _BOX)
    shown = f"{x1:g}, {y1:g}, {x2:g}, {y2:g}"
    if x1 > x2 or y1 > y2:
        return f"{shown} ends before it begins"
    width, height = told.get("frame_width", math.inf), told.get("frame_height", math.inf)
    if min(x1, y1) < -_EDGE or x2 > width + _EDGE or y2 > height + _EDGE:
        frame = f" of {width:g} × {height:g}" if math.isfinite(width) and math.isfinite(height) else ""
        return f"{shown} is out of its frame{frame}"
    return None


def _value(name: str, value: Any) -> Any:
    if name in ("camera", "frame", "time"):
        text = value.decode(errors="surrogateescape") if isinstance(value, bytes) else str(value).strip()
        text.encode()  # raw bytes cannot be stored
        if name == "time":  # a date stays one: midnight would be a moment that nobody told
            return date.fromisoformat(text).isoformat() if _is_date(text) else datetime.fromisoformat(text).isoformat()
        return text
    if isinstance(value, bool):
        raise ValueError
    number = float(value)
    if not math.isfinite(number) or abs(number) > _LIMITS.get(name, math.inf):
        raise ValueError
    if name in _WHOLE:
        if number != int(number) or not 0 <= number < 2**31:
            raise ValueError
        return int(number)
    return number


def _shown(name: str) -> str:
    """A part of a path as it can be stored."""
    return name if name.isprintable() else to_text(name)


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _table(file: str) -> Labeller:
    if not file.lower().endswith(TABLES) and not os.path.isfile(file):
        raise UsageError(f"--metadata {file}: there is no such folder or table")
    try:
        table = labeller(file)
    except UsageError as error:
        raise UsageError(str(error).replace("--labels", "--metadata")) from None
    known = (*CAPTURE, *CENTRE)
    if not any(column.lower() in known for column in table.columns()):
        raise UsageError(f"--metadata {file}: no column tells of the capture; there may be {', '.join(known)}")
    return table


def _camera(how: str) -> Callable[[str], str | None]:
    name = how.strip()
    if not name or not name.isprintable():
        raise UsageError(f"--camera {how!r}: give `folder`, a pattern such as '{{camera}}_{{n}}', or a name")
    if name == "folder":
        return lambda path: os.path.basename(os.path.dirname(path)) or None
    if "{" not in name:
        return lambda path: name
    if "{camera}" not in name:
        raise UsageError(f"--camera {how!r}: the pattern has no field {{camera}}")
    read = labeller(name)
    return lambda path: read(path).get("camera")
