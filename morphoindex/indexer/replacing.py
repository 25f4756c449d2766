"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from morphoindex.errors import UsageError
from morphoindex.indexer.paths import to_text

_KEPT = 32  # characters of a name, so that with what is put around them they are not more than a file system takes
_LEFT = re.compile(r"\..*\.[0-9a-f]{16}\.part", re.DOTALL)


@contextmanager
def replacing(out: Path) -> Iterator[Path]:
    """A path beside `out` to write to, which takes its place at the end; after a failure a former `out` is as it was.

    It is that of a new, hidden file, whatever else lies there: `.a.csv.8f14e45fceea167a.part` for `a.csv`.

    Raises:
        UsageError: the file cannot be written, or `out` is a folder.
    """
    beside = out.parent / f".{out.name[:_KEPT]}.{secrets.token_hex(8)}.part"
    try:
        beside.touch(exist_ok=False)  # what stands in the way is told before the work is done
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


def clear_leftovers(folder: Path) -> None:
    """Remove what `replacing` left in a folder when it was killed. The caller has the folder to itself."""
    for file in folder.iterdir():
        if _LEFT.fullmatch(file.name):
            file.unlink(missing_ok=True)


def _refused(out: Path, error: OSError) -> UsageError:
    reason = "it is a folder" if out.is_dir() else error.strerror or str(error)
    return UsageError(f"{to_text(os.fspath(out))} cannot be written: {reason}")
