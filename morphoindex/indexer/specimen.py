"""A specimen as the index knows it, and its form as a payload of the store."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

NOWHERE = "-"
"""In `Specimen.grouped`: the last run put it in no cluster."""
CAPTURE = (
    "time", "camera", "latitude", "longitude", "frame", "crop_number", "frame_width", "frame_height",
    "x1", "y1", "x2", "y2",
)  # fmt: skip
"""What may be known of how a specimen was photographed."""
STAMP = "stamp"
"""The payload key of the stamp of the vector of the encoder that an index was begun with; see `EncoderEntry`."""
_CONTENT_ID = re.compile(r"[0-9a-f]{32}")
_CLUSTER_ID = re.compile(r"[Cc]0*(\d+)")


def content_id(sha256: str) -> str:
    """The id of a specimen from the hash of its file: the first half of it, 32 hexadecimal digits."""
    return sha256[:32]


def cluster_id(text: str) -> str | None:
    """The id of a cluster as a person may write it, whether there is one or not: `"c3"` -> `"C0003"`; else None."""
    found = _CLUSTER_ID.fullmatch(text.strip())
    return f"C{int(found[1]):04d}" if found else None


def point_id(specimen: str) -> str:
    """The UUID under which a specimen is stored.

    A content id is its own UUID; ids given from elsewhere are hashed: `"a1"*16` -> `"a1a1a1a1-a1a1-…"`.
    """
    if not _CONTENT_ID.fullmatch(specimen):
        specimen = hashlib.sha256(b"id:" + specimen.encode()).hexdigest()[:32]
    parts = specimen[:8], specimen[8:12], specimen[12:16], specimen[16:20], specimen[20:]
    return "-".join(parts)


def stamp(vector: NDArray[np.generic]) -> int:
    """A hash of the bytes of a vector [d], 64 bits: what tells it from another without reading it."""
    return int.from_bytes(hashlib.blake2b(vector.tobytes(), digest_size=8).digest(), "big")


def stamp_text(value: int) -> str:
    """A stamp as it is stored: 16 hexadecimal digits."""
    return f"{value:016x}"


@dataclass(frozen=True)
class FileRecord:
    """A path of a specimen.

    Attributes:
        root: name of the root.
        path: text below the root (see `paths.to_text`).
        size: bytes; mtime_ns: nanoseconds since 1970; both None for a path that was told, not read.
        seen: when it was recorded, ISO 8601 UTC.
    """

    root: str
    path: str
    size: int | None
    mtime_ns: int | None
    seen: str

    @property
    def key(self) -> tuple[str, str]:
        """What identifies the path."""
        return self.root, self.path


@dataclass(frozen=True)
class Specimen:
    """One image of one organism.

    Attributes:
        id: from the bytes of the file, or as given with vectors made elsewhere.
        sha256: of the file; empty for vectors made elsewhere.
        paths: where the same bytes lie now, first seen first; labels come from the first.
        former_paths: where they lay before they were moved or overwritten.
        width, height: pixels, upright; format: by content, such as "JPEG"; bytes: of the file.
        labels: column → value.
        capture: any of `CAPTURE`: time, ISO 8601 by the camera's own clock; camera, and its place in degrees; for the
            crop of a larger photograph that frame with its size, the number of the crop in it, and its box: left,
            upper, right and lower edge in pixels of the frame. A box of no size is the centre alone.
        notes: what was noticed while reading, such as "first of 3 pages".
        cluster: id of the current cluster, None for noise and what was never clustered.
        grouped: the cluster that the last run put it in, or NOWHERE; None where it is `cluster`, which is so unless a
            person decided otherwise.
        probability: of the membership that the last run gave it, in [0, 1]; None where never clustered.
        duplicate_of: id of the specimen that is kept instead of this one, if a person had near-duplicates tagged.
        added: ISO 8601 UTC.
        stamps: of its vectors (see `stamp`), under the keys of their encoders (`EncoderEntry.stamp_key`); none where it
            was stored by an early version.
        revision: of the last write; the catalog catches up by it.
    """

    id: str
    sha256: str = ""
    paths: tuple[FileRecord, ...] = ()
    former_paths: tuple[FileRecord, ...] = ()
    width: int | None = None
    height: int | None = None
    format: str = ""
    bytes: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    capture: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    cluster: str | None = None
    grouped: str | None = None
    probability: float | None = None
    duplicate_of: str | None = None
    added: str = ""
    stamps: Mapping[str, str] = field(default_factory=dict)
    revision: int = 0

    def changed(self, **changes: Any) -> Specimen:
        """The same with other values; `dataclasses.replace`, but quick enough for millions."""
        return Specimen(**{**vars(self), **changes})

    @property
    def run_cluster(self) -> str | None:
        """The cluster that the last run put it in, None for noise and what was never clustered."""
        return run_cluster(self.cluster, self.grouped)

    @property
    def point(self) -> str:
        """The id in the store."""
        return point_id(self.id)

    def payload(self) -> dict[str, Any]:
        """Everything, as JSON values; what is empty is None, which a store need not keep."""
        table = {
            **vars(self),
            "paths": [dict(vars(record)) for record in self.paths],
            "former_paths": [dict(vars(record)) for record in self.former_paths],
            "labels": dict(self.labels),
            "capture": dict(self.capture),
            "notes": list(self.notes),
            **self.stamps,
        }
        del table["stamps"]
        return {key: value if value or value == 0 else None for key, value in table.items()}


@dataclass(frozen=True)
class Membership:
    """Where a specimen stands: the fields are those of `Specimen`."""

    id: str
    cluster: str | None
    grouped: str | None
    probability: float | None

    @property
    def run_cluster(self) -> str | None:
        """The cluster that the last run put it in, None for noise and what was never clustered."""
        return run_cluster(self.cluster, self.grouped)


def run_cluster(cluster: str | None, grouped: str | None) -> str | None:
    """The cluster of the last run from the two that are stored: `"C2", "C1"` -> "C1"; `"C2", None` -> "C2"."""
    if grouped is None:
        return cluster
    return None if grouped == NOWHERE else grouped


def grouped_value(cluster: str | None, run: str | None) -> str | None:
    """What is stored for `grouped` beside a final cluster: `"C2", "C1"` -> "C1"; `"C2", "C2"` -> None."""
    return None if run == cluster else run or NOWHERE


def from_payload(payload: Mapping[str, Any]) -> Specimen:
    """The specimen that `Specimen.payload` made this of."""
    table = {key: value for key, value in payload.items() if value is not None}
    for key in ("paths", "former_paths"):
        table[key] = tuple(FileRecord(**record) for record in table.get(key, ()))
    table["notes"] = tuple(table.get("notes", ()))
    table["stamps"] = {key: table.pop(key) for key in [*table] if key == STAMP or key.startswith(STAMP + "-")}
    return Specimen(**table)
