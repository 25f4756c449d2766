"""Where an index lies on the disk."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from morphoindex.errors import IndexNotFound, UsageError
from morphoindex.indexer.settings import FILE

NAME = ".morphoindex"
VARIABLE = "MORPHOINDEX_INDEX"

_PARTS = (
    FILE,
    "catalog.duckdb",
    "qdrant/morphoindex.json",
)  # any one of them tells an index, the first one a whole one
_ALL = (
    "encoders", "graph", "qdrant", "catalog.duckdb", "catalog.duckdb.wal", FILE, FILE + ".new", "waiting",
    "lock.holder", "lock",
)  # fmt: skip
_BEFORE = {"lock", "lock.holder", "waiting", FILE + ".new"}  # what a crash leaves that came before the first of them


def find_index(named: str | os.PathLike[str] | None = None) -> Path:
    """The folder of an existing index.

    Args:
        named: the index folder, or a folder that has `.morphoindex` in it. By default what MORPHOINDEX_INDEX names,
            else `.morphoindex` in the working folder or the nearest one above it that has it.

    Raises:
        IndexNotFound: there is none.
    """
    named = named or os.environ.get(VARIABLE)
    if named:
        for folder in (Path(named), Path(named) / NAME):
            if is_index(folder):
                return folder.resolve()
        raise IndexNotFound(f"no index at {named}: `morphoindex --index {named} add PHOTOS` makes one")
    try:
        here = Path.cwd()
    except OSError as error:
        raise UsageError(f"the working folder cannot be found: {error.strerror}") from error
    for folder in (here, *here.parents):
        if is_index(folder / NAME):
            return folder / NAME
    raise IndexNotFound(
        "no index here or in a folder above: `morphoindex add PHOTOS` makes one, `--index DIR` names one"
    )


def place_for_new(named: str | os.PathLike[str] | None = None) -> Path:
    """The folder for an index to be made: as named where that is new or empty, else `.morphoindex` in it.

    Raises:
        UsageError: a file is in the way.
    """
    named = named or os.environ.get(VARIABLE)
    folder = Path(named) if named else Path.cwd() / NAME
    if folder.is_dir() and folder.name != NAME and not is_index(folder) and set(os.listdir(folder)) - _BEFORE:
        folder = folder / NAME
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file: name another folder for the index")
    return folder.resolve()


def take_away(folder: Path, made: Sequence[Path]) -> None:
    """Take the parts of an index, of which none was ever used, out of a folder; and `made` folders, where left empty.

    What somebody else put there stays.
    """
    with suppress(OSError):  # what is left is an index in which nothing is
        for part in _ALL:
            path = folder / part
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        for one in made:
            one.rmdir()


def is_index(folder: Path) -> bool:
    """Whether an index was ever made here, whole or damaged."""
    return any(os.path.isfile(folder / part) for part in _PARTS)
