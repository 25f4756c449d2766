"""A file of records that only grows: derived, so whatever is damaged in it is left out and found again."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from morphoindex.errors import StoreError

_HEAD = struct.Struct("<4sIII")  # mark, size of a record, how many follow, checksum of them
_MARK = b"recs"


class RecordFile:
    """Records of one numpy dtype, written block by block, each with a checksum.

    What a crash or a full disk left behind the last whole block is cut off by the next append.

    Args:
        path: of the file; its folder is made with the first append.
        dtype: of the records.
    """

    def __init__(self, path: Path, dtype: np.dtype[Any]) -> None:
        self._path = path
        self._dtype = dtype
        self._end: int | None = None

    def read(self) -> NDArray[Any]:
        """All records up to the first damaged block, in the order written."""
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            data = b""
        except OSError as error:
            raise StoreError(f"{self._path} cannot be read: {error.strerror or error}") from error
        parts, at = [], 0
        while at + _HEAD.size <= len(data):
            mark, size, count, checksum = _HEAD.unpack_from(data, at)
            start, stop = at + _HEAD.size, at + _HEAD.size + size * count
            whole = mark == _MARK and size == self._dtype.itemsize and stop <= len(data)
            if not whole or zlib.crc32(data[start:stop]) != checksum:
                break
            parts.append(np.frombuffer(data, self._dtype, count, start))
            at = stop
        self._end = at
        return np.concatenate(parts) if parts else np.empty(0, self._dtype)

    def append(self, records: NDArray[Any]) -> None:
        """Add records.

        Raises:
            StoreError: the disk does not take them; the file is then as it was.
        """
        if not len(records):
            return
        if self._end is None:
            self.read()
        data = np.ascontiguousarray(records, self._dtype).tobytes()
        head = _HEAD.pack(_MARK, self._dtype.itemsize, len(records), zlib.crc32(data))
        end = self._end or 0
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with open(self._path, "r+b" if self._path.exists() else "w+b") as file:
                file.truncate(end)
                file.seek(end)
                try:
                    file.write(head + data)
                    file.flush()
                except OSError:
                    os.ftruncate(file.fileno(), end)
                    raise
        except OSError as error:
            raise StoreError(
                f"{self._path} cannot be written ({error.strerror or error}): make room on the disk, nothing is lost"
            ) from error
        self._end = end + len(head) + len(data)
