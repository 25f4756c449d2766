"""Named arrays and their description in one file, memory-mapped when read, and replaced as a whole when written."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MAGIC = b"morphoindex forest 1\n"
_ALIGNED = 64


class Unreadable(ValueError):
    """The file is not there whole, or not one of these."""


def write(
    path: Path, meta: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], unchecked: Container[str] = ()
) -> None:
    """Write beside the place, then rename: who is cut off leaves the former file as it was.

    Args:
        path: of the file.
        meta: JSON values.
        arrays: name → array of any fixed-size dtype.
        unchecked: names of those without a checksum, which are not looked through when they are read.

    Raises:
        OSError: the disk does not take it; the former file is as it was.
    """
    offset = 0
    table: list[dict[str, Any]] = []
    for name, array in arrays.items():
        offset = _padded(offset)
        entry: dict[str, Any] = {"name": name, "dtype": array.dtype.str, "shape": array.shape, "offset": offset}
        table.append(entry if name in unchecked else {**entry, "crc32": _checksum(array)})
        offset += array.nbytes
    header = json.dumps({"meta": meta, "arrays": table, "bytes": offset}).encode() + b"\n"
    start = _padded(len(_MAGIC) + len(header))
    beside = path.with_name(path.name + ".new")
    try:
        with open(beside, "wb") as file:
            file.write(_MAGIC + header)
            for entry, array in zip(table, arrays.values(), strict=True):
                file.seek(start + entry["offset"])
                np.ascontiguousarray(array).tofile(file)
            file.truncate(start + offset)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


def read(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """What `write` wrote; the arrays are mapped, and writing to them changes the memory alone.

    Raises:
        FileNotFoundError: there is no file.
        Unreadable: it is damaged, or something else.
    """
    with open(path, "rb") as file:
        if file.readline() != _MAGIC:
            raise Unreadable(f"{path} is not a forest of this version")
        line = file.readline()
        size = file.seek(0, os.SEEK_END)
    try:
        header = json.loads(line)
        start = _padded(len(_MAGIC) + len(line))
        if size != start + header["bytes"]:
            raise Unreadable(f"{path} is not whole")
        return header["meta"], {entry["name"]: _mapped(path, start, entry) for entry in header["arrays"]}
    except (KeyError, TypeError, ValueError) as error:
        raise Unreadable(f"{path} is damaged: {error}") from error


def _mapped(path: Path, start: int, entry: Mapping[str, Any]) -> NDArray[Any]:
    dtype, shape = np.dtype(entry["dtype"]), tuple(entry["shape"])
    if 0 in shape:
        return np.empty(shape, dtype)
    array = np.memmap(path, dtype, "c", start + entry["offset"], shape).view(np.ndarray)
    if "crc32" in entry and _checksum(array) != entry["crc32"]:
        raise ValueError(f"{entry['name']} is not what was written")
    return array


def _checksum(array: NDArray[Any]) -> int:
    return zlib.crc32(np.ascontiguousarray(array).view(np.uint8).data if array.size else b"")


def _padded(size: int) -> int:
    return -(-size // _ALIGNED) * _ALIGNED
