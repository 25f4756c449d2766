"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from morphoindex.errors import UsageError
from morphoindex.indexer.output_folder import OUTPUT, PROVENANCE, provenance_name
from morphoindex.indexer.paths import to_text
from morphoindex.indexer.photographs.images import SUFFIXES
from morphoindex.indexer.settings import FILE as SETTINGS

_KEPT = 32  # characters of a name, so that with what is put around them they are not more than a file system takes
_LEFT = re.compile(r"\..*\.[0-9a-f]{16}\.part", re.DOTALL)


@contextmanager
def replacing(out: Path) -> Iterator[Path]:
    """A path beside `out` to write to, which takes its place at the end; after a failure a former `out` is as it was.

    It is that of a new, hidden file, whatever else lies there: `.a.csv.8f14e45fceea167a.part` for `a.csv`.

    Raises:
        UsageError: the file cannot be written; or `out` is a folder, in an index, or a picture that was not made here.
    """
    beside = out.parent / f".{out.name[:_KEPT]}.{secrets.token_hex(8)}.part"
    try:  # what stands in the way is told before the work is done
        with suppress(FileNotFoundError):
            os.lstat(out)  # its name may be too long
        _see_harmless(out)
        beside.touch(exist_ok=False)
    except OSError as error:
        raise _refused(out, error) from error
    try:
        yield beside
        os.replace(beside, out)
    except OSError as error:
        raise _refused(out, error) from error
    finally:
        with suppress(OSError):
            beside.unlink()


def _see_harmless(out: Path) -> None:
    """See that nothing of a person is lost: no photograph, and no part of an index.

    Raises:
        UsageError: something would be.
    """
    place = Path(os.path.realpath(out.parent))
    for folder in (place, *place.parents):
        if (folder / SETTINGS).is_file():
            raise UsageError(f"{to_text(os.fspath(out))} lies in the index {to_text(os.fspath(folder))}: name another")
    told = (out.parent / provenance_name(out.name), out.parent / PROVENANCE, out.parent / OUTPUT)
    if out.suffix.lower() in SUFFIXES and out.is_file() and not any(file.is_file() for file in told):
        raise UsageError(
            f"{to_text(os.fspath(out))} is a picture that morphoindex did not make, and may be a photograph: "
            "name another, or remove it first"
        )


def clear_leftovers(folder: Path) -> None:
    """Remove what `replacing` left in a folder when it was killed. The caller has the folder to itself."""
    for file in folder.iterdir():
        if _LEFT.fullmatch(file.name):
            file.unlink(missing_ok=True)


def _refused(out: Path, error: OSError) -> UsageError:
    reason = "it is a folder" if os.path.isdir(out) else error.strerror or str(error)
    return UsageError(f"{to_text(os.fspath(out))} cannot be written: {reason}")
