"""`index.toml`: what an index was made with."""

from __future__ import annotations

import os
import tomllib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import tomli_w

from morphoindex.errors import IndexDamaged, IndexTooNew, StoreError

SCHEMA = 2
"""1: one encoder, in a table `encoder`."""
FILE = "index.toml"


@dataclass(frozen=True)
class EncoderEntry:
    """An encoder as the index knows it.

    Attributes:
        name: also the name of the vectors in the store.
        fingerprint: sha256 of the ONNX file; "external" for vectors that were made elsewhere.
        dim: length of its vectors.
        file: the index's own copy, relative to the index folder; empty for vectors made elsewhere.
        mark: what its stamps and its graph are told by; empty for the encoder that the index was begun with.
    """

    name: str
    fingerprint: str
    dim: int
    file: str = ""
    mark: str = ""

    @property
    def stamp_key(self) -> str:
        """The payload key under which a specimen has the stamp of its vector: "stamp", or "stamp-" and the mark."""
        return f"stamp-{self.mark}" if self.mark else "stamp"


@dataclass(frozen=True)
class Settings:
    """The content of `index.toml`.

    Attributes:
        encoders: those that the index holds vectors of, in the order they came.
        current: name of the one that search, clusters, duplicates and samples go by; empty until there is one.
        qdrant_url: of the server; empty for the embedded store.
        collection: name of the collection on the server.
        roots: name → folder that paths are relative to; a relative folder is seen from the index folder.
        labels: the label columns met so far, in the order they were met.
        encounters: what a person said makes an encounter, where it is not the default (see `encounters.rule_of`).
    """

    encoders: tuple[EncoderEntry, ...] = ()
    current: str = ""
    qdrant_url: str = ""
    collection: str = ""
    roots: dict[str, str] = field(default_factory=lambda: {"home": ".."})
    labels: tuple[str, ...] = ()
    encounters: dict[str, float] = field(default_factory=dict)

    @property
    def encoder(self) -> EncoderEntry | None:
        """The current encoder; None until the first one is chosen."""
        return next((entry for entry in self.encoders if entry.name == self.current), None)

    def holds(self, wanted: EncoderEntry) -> EncoderEntry | None:
        """The entry of the same encoder, whatever name it goes by here; vectors made elsewhere are told by theirs."""
        same = (
            e for e in self.encoders
            if (e.fingerprint, e.dim) == (wanted.fingerprint, wanted.dim) and (e.file or e.name == wanted.name)
        )  # fmt: skip
        return next(same, None)

    @property
    def store(self) -> str:
        """The store in words, for people and for `status`."""
        return f"Qdrant server {self.qdrant_url}" if self.qdrant_url else "Qdrant Edge (embedded)"


def read_settings(folder: Path) -> Settings:
    """Read `index.toml`.

    Raises:
        IndexDamaged: it is missing, or not what this version or an earlier one writes.
        IndexTooNew: a later version wrote it.
    """
    path = folder / FILE
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise IndexDamaged(
            f"{path} is missing: restore it from a backup; or rename the folder, and `morphoindex add PHOTOS` makes a "
            "new index"
        ) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise IndexDamaged(f"{path} cannot be read ({error}): mend it by hand or restore it from a backup") from error
    schema = table.get("schema")
    if isinstance(schema, int) and schema > SCHEMA:
        raise IndexTooNew(
            f"{folder} was written by a later version of morphoindex (schema {schema}, this one knows {SCHEMA}): "
            "upgrade with `pip install -U morphoindex`"
        )
    try:
        return _from_table(table)
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise IndexDamaged(
            f"{path} is not what morphoindex writes ({error}): mend it by hand or restore it from a backup"
        ) from error


def _from_table(table: dict[str, Any]) -> Settings:
    int(table["schema"])
    first = table.get("encoder")  # of schema 1
    encoders = tuple(map(_encoder, table.get("encoders", [first] if first else [])))
    current = str(table.get("current", encoders[0].name if encoders else ""))
    if encoders and current not in [entry.name for entry in encoders]:
        raise ValueError(f"the current encoder {current!r} is not among the encoders")
    return Settings(
        encoders=encoders,
        current=current,
        qdrant_url=str(table.get("qdrant_url", "")),
        collection=str(table.get("collection", "")),
        roots={str(name): str(place) for name, place in table["roots"].items()},
        labels=tuple(str(name) for name in table.get("labels", ())),
        encounters={str(name): float(value) for name, value in table.get("encounters", {}).items()},
    )


def _encoder(table: dict[str, Any]) -> EncoderEntry:
    return EncoderEntry(
        str(table["name"]), str(table["fingerprint"]), int(table["dim"]), str(table.get("file", "")),
        str(table.get("mark", "")),
    )  # fmt: skip


def write_settings(folder: Path, settings: Settings) -> None:
    """Write `index.toml` beside the former one, then put it in its place."""
    table = {"schema": SCHEMA, **asdict(settings)}
    table |= {name: list(table[name]) for name in ("labels", "encoders")}
    write_whole(folder / FILE, tomli_w.dumps(table).encode())


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that a crash leaves either the former or the new content, never a part.

    Raises:
        StoreError: the disk does not take it; the former content is still there.
    """
    beside = path.with_name(path.name + ".new")
    try:
        with open(beside, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
        sync_folder(path.parent)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror or error}") from error


def sync_folder(folder: Path) -> None:
    """Have the names in a folder survive a loss of power; does nothing where folders cannot be opened."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
