"""Crops of larger photographs: their names, and the boxes in the metadata beside them, as flat-bug writes both."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from morphoindex.errors import UsageError

_CROP = re.compile(
    r"(?:^|_)(?:crop|IMAGENAME)_(?P<frame>.+?)_CROPNUMBER_(?P<number>\d{1,9})(?:_UUID_(?P<mark>.+)|_.*)?$"
)
_METADATA = re.compile(r"(?:metadata_)?(?P<frame>.+?)(?:_UUID_(?P<mark>.+))?$")
_FRAMES = 64  # whose boxes are kept in memory


@dataclass(frozen=True)
class Crop:
    """What the name of a crop says: source frame, number of the box in it, and the mark of that run of the detector."""

    frame: str
    number: int
    mark: str | None


def crop_of(path: str) -> Crop | None:
    """Read the name of a crop: `crop_F7_CROPNUMBER_3_UUID_a9.png` -> `Crop("F7", 3, "a9")`; None for other names."""
    match = _CROP.search(os.path.splitext(os.path.basename(path))[0])
    return Crop(match["frame"], int(match["number"]), match["mark"]) if match else None


class FrameMetadata:
    """The JSON files of source frames below a folder.

    They are named `metadata_FRAME_UUID_MARK.json`, `metadata_FRAME.json` or `FRAME.json`. Of several for a frame that
    with the crop's mark counts, and of those the one that lies nearest to the crop.

    Raises:
        UsageError: there is no such folder, or no JSON file in it.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise UsageError(f"--metadata {folder}: there is no such folder")
        self._files: dict[str, list[tuple[str | None, str]]] = {}
        for above, _, names in os.walk(os.path.realpath(folder)):
            for name in sorted(names):
                stem, suffix = os.path.splitext(name)
                match = _METADATA.match(stem)
                if suffix.lower() == ".json" and match:
                    self._files.setdefault(match["frame"], []).append((match["mark"], os.path.join(above, name)))
        if not self._files:
            raise UsageError(f"--metadata {folder}: there are no JSON files in it, one for each source frame")
        self._read = lru_cache(_FRAMES)(_read)

    def box(self, crop: Crop, path: str) -> dict[str, float]:
        """Box and size of the frame of a crop, as fields of a capture.

        Raises:
            ValueError: in words, why there is none.
        """
        file = self._file(crop, path)
        name = os.path.basename(file)
        try:
            content = self._read(file)
        except (OSError, ValueError) as error:
            raise ValueError(f"{name} cannot be read: {getattr(error, 'strerror', None) or error}") from None
        boxes = content.get("boxes")
        if not isinstance(boxes, list):
            raise ValueError(f"{name} has no list `boxes`")
        if crop.number >= len(boxes):
            raise ValueError(f"crop {crop.number} has no box: {name} has {len(boxes)}")
        box = boxes[crop.number]
        if not isinstance(box, list) or len(box) != 4:
            raise ValueError(f"box {crop.number} of {name} is no box: {box}")
        size = {key: content.get(f"image_{key}") for key in ("width", "height")}
        found = dict(zip(("x1", "y1", "x2", "y2"), box, strict=True))
        return {**found, **{f"frame_{key}": value for key, value in size.items() if value is not None}}

    def _file(self, crop: Crop, path: str) -> str:
        there = self._files.get(crop.frame, [])
        if not there:
            raise ValueError(f"no metadata of the frame {crop.frame}")
        same = [one for one in there if one[0] == crop.mark] or [one for one in there if None in (one[0], crop.mark)]
        if not same:
            raise ValueError(f"the metadata of the frame {crop.frame} is of another run of the detector")
        common = [len(os.path.commonpath([path, file])) for _, file in same]
        nearest = [file for (_, file), length in zip(same, common, strict=True) if length == max(common)]
        if len(nearest) > 1:
            raise ValueError(f"several metadata files of the frame {crop.frame}: {nearest[0]}, {nearest[1]}")
        return nearest[0]


def _read(file: str) -> Mapping[str, Any]:
    """What is used of a metadata file; the contours, which are most of it, are let go of."""
    with open(file, encoding="utf-8") as opened:
        content = json.load(opened)
    if not isinstance(content, dict):
        raise ValueError("it is not a JSON object")
    return {key: content.get(key) for key in ("boxes", "image_width", "image_height")}
