"""Paths as the index keeps them: below a named root, as printable text that can be turned back into the path."""

from __future__ import annotations

import os
import re
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path

_ESCAPED = re.compile(r"\\(?:\\|x[0-9a-f]{2}|u[0-9a-f]{4})")
_BREAKS = ("Cc", "Zl", "Zp")  # Unicode's control characters and separators of lines and paragraphs


def to_text(path: str) -> str:
    r"""A path as one printable line of valid Unicode: `b"caf\xe9\n.jpg"` -> `caf\xe9\x0a.jpg`.

    Bytes that are not UTF-8 and control characters become `\xHH`, those beyond ASCII and line separators `\uHHHH`;
    where backslashes are part of names they are doubled.
    """
    if path.isprintable() and "\\" not in path:  # isprintable is False for the surrogates that stand for raw bytes
        return path
    if os.sep == "\\":
        path = path.replace("\\", "/")
    return "".join(_escape(character) for character in path)


def _escape(character: str) -> str:
    if character == "\\":
        return "\\\\"
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if unicodedata.category(character) in _BREAKS:
        return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}"
    return character if not 0xD800 <= code <= 0xDFFF else "\N{REPLACEMENT CHARACTER}"


def from_text(text: str) -> str:
    r"""The path that `to_text` made this of: `caf\xe9` -> the bytes `caf\xe9` in the file system's encoding."""
    if "\\" not in text:
        return text

    def back(match: re.Match[str]) -> str:
        if match[0] == "\\\\":
            return "\\"
        code = int(match[0][2:], 16)
        return chr(code) if code < 0x80 or match[0][1] == "u" else chr(0xDC00 + code)

    return _ESCAPED.sub(back, text)


@dataclass
class Roots:
    """The named roots of an index. Paths below a root are kept relative to it, so that a collection can be moved.

    Args:
        folder: the index folder; relative roots are seen from it.
        places: name → folder, as in `index.toml`.
    """

    folder: Path
    places: dict[str, str]
    _resolved: dict[str, str] = field(default_factory=dict)
    _names: dict[str, str] = field(default_factory=dict)  # the other way round

    def __post_init__(self) -> None:
        for name, place in self.places.items():
            self._put(name, os.path.realpath(os.path.join(self.folder, from_text(place))))

    def split(self, path: str, given: str) -> tuple[str, str]:
        """The root and the text below it of an absolute path; makes a root where none fits.

        The root is the innermost that the path lies under. A new one is the folder `given`, or the path's own folder
        if it does not lie under that: `/photos/trap1/a.jpg` under a root "photos" -> `("photos", "trap1/a.jpg")`.
        """
        root, above = None, path
        while root is None:
            root = self._names.get(above)
            if above == (above := os.path.dirname(above)):
                break
        if root is None:
            fits = path == given or path.startswith(given.rstrip(os.sep) + os.sep)
            root = self._make(given if fits else os.path.dirname(path))
        return root, self.below(root, path) or "."

    def below(self, root: str, path: str) -> str | None:
        """The text of an absolute path below a root, "." for the root itself; None where it lies elsewhere."""
        place = self._resolved[root]
        if path == place:
            return "."
        start = place.rstrip(os.sep) + os.sep
        return to_text(path[len(start) :]) if path.startswith(start) else None

    def within(self, path: str) -> list[tuple[str, str]]:
        """Where in the ledger an absolute path stands, with all below it: (root, text), "." for the whole of a root."""
        start = path.rstrip(os.sep) + os.sep
        whole = [(name, ".") for name, place in self._resolved.items() if place.startswith(start)]
        return whole + [(name, text) for name in self._resolved if (text := self.below(name, path)) is not None]

    def join(self, root: str, text: str) -> str:
        """The absolute path; under an unknown root, what is known of it."""
        return os.path.normpath(os.path.join(self._resolved.get(root, root), from_text(text)))

    def _make(self, given: str) -> str:
        stem = to_text(os.path.basename(given.rstrip(os.sep))) or "root"
        name, number = stem, 1
        while name in self.places:
            number += 1
            name = f"{stem}-{number}"
        self.places[name] = to_text(given)
        self._put(name, given)
        return name

    def _put(self, name: str, place: str) -> None:
        self._resolved[name] = place
        self._names.setdefault(place, name)
