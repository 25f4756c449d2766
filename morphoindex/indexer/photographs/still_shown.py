"""Whether a file still shows its specimen, and what is wrong where it does not."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from typing import Literal

from morphoindex.indexer.specimen import Specimen, content_id

State = Literal["gone", "changed", "touched", "unreadable"]
Read = Literal["never", "if touched", "always"]


@dataclass(frozen=True)
class Trouble:
    """What is wrong with a file, and that in words: "touched" is one of the same size, but another time."""

    state: State
    words: str


GONE = Trouble("gone", "it is not there any more")
CHANGED = Trouble("changed", "it shows something else now: `morphoindex add` takes note of that")
TOUCHED = Trouble("touched", "it has another time than when it was added: only reading it tells whether it is the same")


def trouble_with(path: str, size: int | None, mtime_ns: int | None, sha256: str, read: Read) -> Trouble | None:
    """What is wrong with the file of a specimen, None where it is as it was.

    Args:
        path: of the file.
        size: bytes, and mtime_ns: nanoseconds since 1970, when it was added; None where nobody looked then.
        sha256: of its content; empty where that is not known: then size and time have to do.
        read: whether the content is read: "never", "if touched", which is where size or time are others, or "always".
    """
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            return Trouble("changed", "it is not a regular file any more")
        same = size is None or (status.st_size, status.st_mtime_ns) == (size, mtime_ns)
        if not sha256 or read == "never" or (same and read == "if touched"):
            if not os.access(path, os.R_OK):
                return Trouble("unreadable", "it cannot be read: Permission denied")
            return None if same else CHANGED if status.st_size != size else TOUCHED
        with open(path, "rb") as file:
            return None if hashlib.file_digest(file, "sha256").hexdigest() == sha256 else CHANGED
    except (FileNotFoundError, NotADirectoryError):
        return GONE
    except OSError as error:
        return Trouble("unreadable", f"it cannot be read: {error.strerror}")


def shows(content: bytes, specimen: Specimen) -> bool:
    """Whether the content of a file is that of the specimen; taken for it where that is not known."""
    return not specimen.sha256 or content_id(hashlib.sha256(content).hexdigest()) == specimen.id
