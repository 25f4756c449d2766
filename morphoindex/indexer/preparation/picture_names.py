"""Names for prepared pictures, by a pattern that keeps folders and labels."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from morphoindex.errors import UsageError
from morphoindex.indexer.files.safe_names import safe_name, told_apart, with_key

FOLDER_AND_STEM = "{folder}/{stem}"
UNLABELLED = "unlabelled"
_OWN = ("folder", "parent", "stem", "n")
_FIELD = re.compile(r"\{([^{}]*)\}")
_NUMBER = "\ue000"  # stands for the number until that is known; of private use, so that no name has it
_TABLES = re.compile(r"\.(csv|txt|log|json|jsonl)$", re.IGNORECASE)
_KEY, _SHORT = 8, 120  # digits of a key, and bytes of what gets one


@dataclass(frozen=True)
class Source:
    """A photograph to be named: its path below the raw folder, and its labels."""

    below: str
    labels: Mapping[str, str]


def checked(pattern: str, columns: Sequence[str]) -> None:
    """See that a pattern can name pictures.

    Raises:
        UsageError: a brace is missing, a field is unknown, or nothing in it tells photographs apart.
    """
    names = [match[1].strip() for match in _FIELD.finditer(pattern)]
    if pattern.count("{") != pattern.count("}"):
        raise UsageError(f"--names {pattern!r}: a brace is missing")
    unknown = [name for name in names if name not in _OWN and name not in columns]
    if unknown:
        known = ", ".join((*_OWN, *columns))
        raise UsageError(f"--names {pattern!r}: there is no field {{{unknown[0]}}}; there are {known}")
    if not {"stem", "n"} & set(names):
        raise UsageError(f"--names {pattern!r}: put {{stem}} or {{n}} into it, or all pictures have one name")


def wish(pattern: str, source: Source, suffix: str) -> str:
    """The name that a picture would have if there were no others, with a stand-in for its number."""
    folder, stem = os.path.split(os.path.splitext(source.below)[0])
    parts = [_kept(part) for part in folder.split(os.sep) if part]
    own = {"folder": "/".join(parts), "parent": parts[-1] if parts else "", "stem": safe_name(stem), "n": _NUMBER}

    def value(match: re.Match[str]) -> str:
        name = match[1].strip()
        return own[name] if name in _OWN else _kept(source.labels.get(name) or UNLABELLED)

    *folders, last = [part for part in _FIELD.sub(value, pattern).split("/") if part.strip(" .")] or [""]
    above = [_no_table(_kept(part)) for part in folders]
    return "/".join([*above, safe_name(safe_name(last) + suffix)])


def names_for(
    wishes: Sequence[str], sources: Sequence[Source], kept: Mapping[str, str], foreign: Callable[[str], bool]
) -> list[str]:
    """Distinct names, whatever their case.

    Args:
        wishes: of `wish`, one for each source.
        sources: all photographs, in an order that does not change.
        kept: path below the raw folder → the name that its picture has already, by the same wish.
        foreign: whether something else lies under a name.

    Returns:
        A name for each source: the one that is kept, or the wish; where several wish for one, with a key of the source.
    """
    keys = [hashlib.sha256(os.fsencode(source.below)).hexdigest() for source in sources]
    names = told_apart(_numbered(wishes), keys)
    taken = {_folded(name) for name in kept.values()}
    result = []
    for name, made, source, key in zip(names, wishes, sources, keys, strict=True):
        chosen = kept.get(source.below)
        if chosen is None:
            number = 0
            chosen = name
            while _folded(chosen) in taken or foreign(chosen):
                number += 1
                chosen = _with_number(made, number) if _NUMBER in made else with_key(name, key[: 8 + 4 * number])
            taken.add(_folded(chosen))
        result.append(chosen)
    return result


def _numbered(wishes: Sequence[str]) -> list[str]:
    count: Counter[str] = Counter()
    named = []
    for made in wishes:
        count[_folded(made)] += 1
        named.append(_with_number(made, count[_folded(made)]))
    return named


def _with_number(made: str, number: int) -> str:
    return made.replace(_NUMBER, f"{number:04d}")


def _kept(value: str) -> str:
    """A label or a folder as part of a name; one that is no safe name as it stands gets a key, so that two stay two."""
    safe = safe_name(value)
    if safe == unicodedata.normalize("NFC", value):
        return safe
    short = safe.encode()[:_SHORT].decode(errors="ignore").rstrip(" .")
    return f"{short}-{hashlib.sha256(os.fsencode(value)).hexdigest()[:_KEY]}"


def _no_table(folder: str) -> str:
    """A folder that is not called like one of the tables beside it."""
    return folder + "_" if _TABLES.search(folder) else folder


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name.casefold())
