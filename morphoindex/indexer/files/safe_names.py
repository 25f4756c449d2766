"""Names that every file system takes, and that stay apart on those that take no heed of case."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

_FORBIDDEN = re.compile(r'[<>:"/\\|?*]')  # on one system or another
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # on Windows
_INVISIBLE = ("Cc", "Cs", "Zl", "Zp")  # control characters, raw bytes, separators of lines and paragraphs
_LONGEST = 160  # bytes of a name without what tells it apart; most file systems take 255
_SHORT, _LONG = 12, 32  # digits of a key


def safe_name(text: str) -> str:
    """A text as the name of a file or folder: `"Apis / mellifera?"` -> `"Apis _ mellifera_"`, `"..."` -> `"_"`.

    Composed (NFC), without what a file system does not take, not hidden, at most 160 bytes; a suffix stays.
    """
    text = unicodedata.normalize("NFC", text)
    text = "".join("_" if unicodedata.category(c) in _INVISIBLE else c for c in _FORBIDDEN.sub("_", text))
    stem, suffix = _parts(text.strip(" ."))
    return _clipped(stem, _LONGEST - len(suffix.encode())).rstrip(" .") + suffix if stem else "_"


def told_apart(wishes: Sequence[str], keys: Sequence[str]) -> list[str]:
    """Names by wish; those that several wish for, whatever the case, get the beginning of their keys.

    `["a.jpg", "A.jpg", "b.jpg"], ["12…", "34…", "56…"]` -> `["a-12….jpg", "A-34….jpg", "b.jpg"]`.

    Args:
        wishes: safe names, with folders before them or without.
        keys: hexadecimal digits, distinct.
    """
    names = list(wishes)
    for digits in (_SHORT, _LONG, None):
        count = Counter(map(_folded, names))
        names = [
            with_key(wish, key[:digits]) if count[_folded(name)] > 1 else name
            for name, wish, key in zip(names, wishes, keys, strict=True)
        ]
    return names


def with_key(name: str, key: str) -> str:
    """A name with a key before its suffix: `"a.jpg", "12"` -> `"a-12.jpg"`."""
    stem, suffix = _parts(name)
    return f"{stem}-{key}{suffix}"


def _parts(name: str) -> tuple[str, str]:
    """Stem and suffix, which is short and has no space: a full stop in the name of a species begins none."""
    stem, suffix = os.path.splitext(name)
    return (stem, suffix) if len(suffix) <= 6 and " " not in suffix else (name, "")


def _clipped(stem: str, most: int) -> str:
    stem = stem.encode()[:most].decode(errors="ignore")
    return stem + "_" if _RESERVED.fullmatch(stem) else stem


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name.casefold())
