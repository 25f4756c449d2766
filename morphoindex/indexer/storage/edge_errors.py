"""What Qdrant Edge raises, as errors of ours."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from morphoindex.errors import IndexDamaged, MorphoindexError, StoreError


@contextlib.contextmanager
def translated(folder: Path, *, opening: bool = False) -> Iterator[None]:
    """Turn whatever Edge raises into StoreError or IndexDamaged, Rust panics (a BaseException) among it."""
    try:
        yield
    except MorphoindexError:
        raise
    except Exception as error:
        raise _error_of(folder, str(error), opening) from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise damaged(folder, f"Qdrant Edge gave up ({_first_line(str(error))})") from error


def _error_of(folder: Path, message: str, opening: bool) -> MorphoindexError:
    if "WouldBlock" in message:
        return StoreError(f"The store in {folder} is open in another process; wait until that is done, or stop it.")
    if "No space left" in message or "StorageFull" in message or "os error 28" in message:
        return StoreError(f"The disk that holds {folder} is full; make room and try again.")
    if "ermission denied" in message or "PermissionDenied" in message or "Read-only file system" in message:
        return StoreError(f"The store in {folder} may not be read and written by this user; change its permissions.")
    unreadable = ("not readable", "out of bounds", "Failed to de", "Corrupt", "failed to open file", "Gridstore")
    if opening or any(sign in message for sign in unreadable):
        return damaged(folder, _first_line(message))
    return StoreError(f"The store in {folder} failed: {_first_line(message)}")


def damaged(folder: Path, what: str) -> IndexDamaged:
    """The error that says what is wrong with the store in a folder."""
    return IndexDamaged(f"The store in {folder} is damaged: {what}. Put it back from a backup.")


def _first_line(message: str) -> str:
    line = message.strip().splitlines()[0] if message.strip() else "no reason given"
    return line.removeprefix("Service runtime error: ")[:200].rstrip(".")
