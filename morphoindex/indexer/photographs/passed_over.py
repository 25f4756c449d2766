"""What an `add` passes over: folders, as their pictures are made of others, and what in them is not; raw files."""

from __future__ import annotations

import csv
import os
import unicodedata
from collections.abc import Collection, Iterator
from contextlib import suppress

from morphoindex.indexer.paths import to_text
from morphoindex.indexer.photographs.discovery import Found, discover, is_raw
from morphoindex.indexer.words import count

_TABLES = ("manifest.csv", "duplicates.csv")  # of what a command put into a folder
_COLUMNS = ("file", "path")  # of the names there


def in_words(passed: Collection[str]) -> Iterator[str]:
    """What is said of paths that `discover` passed over: a line for each folder, and one for camera raw files."""
    raw = {path for path in passed if is_raw(path)}
    yield from (_of_folder(folder) for folder in sorted(set(passed) - raw))
    if raw:
        yield raw_in_words(len(raw))


def raw_in_words(number: int) -> str:
    """What is said of so many camera raw files."""
    were = count(number, "camera raw file was", "camera raw files were")
    return f"{were} passed over: export {'it' if number == 1 else 'them'} as TIFF or JPEG"


def _of_folder(folder: str) -> str:
    said = f"passed over {to_text(folder)}: its pictures are made of others; named itself it is taken in"
    left = others(folder)
    if not left:
        return said
    several = count(len(left), "picture there that is", "pictures there that are")
    return f"{said}; so was {several} in none of its tables, such as {to_text(left[0])}: give `add` photographs by name"


def others(folder: str) -> list[str]:
    """The pictures in such a folder that its tables do not list, in order; none where it has no table."""
    tables = [os.path.join(folder, name) for name in _TABLES if os.path.isfile(os.path.join(folder, name))]
    if not tables:
        return []
    listed = {_folded(os.path.join(folder, name)) for table in tables for name in _names(table)}
    found = (one.path for one in discover([folder]) if isinstance(one, Found))
    return sorted(path for path in found if _folded(path) not in listed)


def _names(table: str) -> Iterator[str]:
    with suppress(OSError, csv.Error, UnicodeDecodeError), open(table, encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield next((row[column] for column in _COLUMNS if row.get(column)), "")


def _folded(path: str) -> str:
    """A path as those file systems see it that take no heed of case or of how letters are composed."""
    return unicodedata.normalize("NFC", os.path.normpath(path).casefold())
