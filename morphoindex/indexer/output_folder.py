"""Folders that a command writes its results into."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from morphoindex.errors import UsageError
from morphoindex.indexer.paths import to_text

OUTPUT = ".morphoindex-output"
"""A file that has its folder passed over: `sample`, `dedup` or `report` put pictures there, of what is in the
collection already."""
PROVENANCE = "provenance.json"
"""A file that tells how its folder was made; `a.png.provenance.json` tells it of `a.png`, see `provenance_name`."""
_LONGEST = 255  # bytes of a name that file systems take
_KEY = 16  # digits


def provenance_name(name: str) -> str:
    """The name of the file that tells how another one in its folder was made: `a.png` -> `a.png.provenance.json`.

    Where that would be longer than a file system takes it has the beginning of the name, and a key of the whole.
    """
    whole = f"{name}.{PROVENANCE}"
    if len(os.fsencode(whole)) <= _LONGEST:
        return whole
    end = f"-{hashlib.sha256(os.fsencode(name)).hexdigest()[:_KEY]}.{PROVENANCE}"
    return os.fsencode(name)[: _LONGEST - len(end)].decode("utf-8", "ignore") + end


def not_named(name: str) -> Path:
    """Where an output goes that nobody named a file for: here, under a name that is not taken.

    Raises:
        UsageError: there is a file of that name: it may be somebody's work by now.
    """
    if os.path.lexists(name):
        raise UsageError(f"{name} is there already: --out FILE names another one, or says that it is to be replaced")
    return Path(name)


def claim_folder(out: Path, force: bool = False) -> None:
    """Make a folder to write into, unless it is there.

    Args:
        out: the folder, with those above it.
        force: also where something lies in it.

    Raises:
        UsageError: it holds something, is no folder, or cannot be made.
    """
    said = to_text(os.fspath(out))
    try:
        if os.path.lexists(out) and not out.is_dir():
            raise UsageError(f"{said} is not a folder: name another one")
        if out.is_dir() and not force and any(out.iterdir()):
            raise UsageError(f"{said} is not empty: name a new folder, or write into it with --force")
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{said} cannot be written: {error.strerror or error}") from error
