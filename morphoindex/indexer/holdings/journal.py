"""The journal: people's decisions and what each clustering run did. Append only, one JSON object a line."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from morphoindex.errors import IndexDamaged, StoreError
from morphoindex.indexer.settings import sync_folder

FILE = "journal.jsonl"


class Journal:
    """The journal of an index folder.

    A line counts once it ends in a newline. What a crash left behind after the last newline was never
    acknowledged; the next append cuts it off.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE

    def append(self, event: str, content: Mapping[str, Any]) -> None:
        """Add a line; when this returns it is on the disk.

        Args:
            event: what happened, such as "cluster".
            content: JSON values.

        Raises:
            StoreError: the disk does not take it; the journal is then as it was.
        """
        line = {"event": event, "time": datetime.now(UTC).isoformat(timespec="milliseconds"), **content}
        data = json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        try:
            fresh = not self._path.exists()
            with open(self._path, "a+b", buffering=0) as file:
                end = _end_of_last_line(file.seek(0, os.SEEK_END), file)
                file.truncate(end)
                try:
                    _write(file, data)
                    os.fsync(file.fileno())
                except OSError:
                    file.truncate(end)
                    raise
            if fresh:
                sync_folder(self._path.parent)
        except OSError as error:
            raise StoreError(f"{self._path} cannot be written: {error.strerror or error}") from error

    def read(self) -> Iterator[dict[str, Any]]:
        """The lines, first to last.

        Raises:
            IndexDamaged: a line before the last one is not JSON.
        """
        try:
            with open(self._path, "rb") as file:
                for number, line in enumerate(file, 1):
                    if line.endswith(b"\n"):
                        yield self._parse(number, line)
        except FileNotFoundError:
            return
        except OSError as error:
            raise IndexDamaged(f"{self._path} cannot be read: {error}") from error

    def _parse(self, number: int, line: bytes) -> dict[str, Any]:
        try:
            content = json.loads(line)
            if not isinstance(content, dict) or "event" not in content:
                raise ValueError("no event")
            return content
        except ValueError as error:
            raise IndexDamaged(
                f"{self._path} is damaged in line {number} ({error}): restore it from a backup, or delete that line"
            ) from error


def _write(file: Any, data: bytes) -> None:
    """All of it: a disk that runs full takes a part first, and says so at the next write."""
    while data:
        data = data[file.write(data) :]


def _end_of_last_line(size: int, file: Any) -> int:
    """Offset behind the last newline: `b'{..}\\n{.'` -> 5."""
    step = 65536
    end = size
    while end > 0:
        start = max(0, end - step)
        file.seek(start)
        newline = file.read(end - start).rfind(b"\n")
        if newline >= 0:
            return int(start + newline + 1)
        end = start
    return 0
