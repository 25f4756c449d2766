"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from morphoindex.errors import UsageError
from morphoindex.indexer.paths import to_text


@contextmanager
def replacing(out: Path) -> Iterator[Path]:
    """A path beside `out` to write to, which takes its place at the end; after a failure a former `out` is as it was.

    Raises:
        UsageError: the file cannot be written, or `out` is a folder.
    """
    beside = out.with_name(out.name + ".part")
    try:
        beside.touch()  # what stands in the way is told before the work is done
        yield beside
        os.replace(beside, out)
    except OSError as error:
        reason = "it is a folder" if out.is_dir() else error.strerror or str(error)
        raise UsageError(f"{to_text(os.fspath(out))} cannot be written: {reason}") from error
    finally:
        with suppress(OSError):
            beside.unlink()
