"""Labels of specimens, from folder names, file names or a table."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from morphoindex.errors import UsageError
from morphoindex.indexer.files.table_rows import TABLES, path_column, read_rows
from morphoindex.indexer.paths import to_text
from morphoindex.indexer.photographs.images import SUFFIXES
from morphoindex.indexer.tables.views import COLUMNS

FOLDER_LABEL = "species"
RANKS = ("species", "genus", "family", "order")
"""Label columns of these names, in whatever case, are called so."""
CLUSTER_NAME = "cluster_name"
ASSIGNED = ("path", "id", "cluster", CLUSTER_NAME, "verified", "probability")
"""The columns of `report assignments` before the labels: what the index knows itself."""
ENCOUNTER = "encounter"
"""Another such column, where specimens have times."""
DERIVED = re.compile(r"(pca|tsne|umap)_[12]|cluster_by_\w+|suggested(_probability)?", re.IGNORECASE)
"""Further ones, that a person may ask for: coordinates, clusters by other methods, and suggested ones."""
_OWN = {*COLUMNS, *ASSIGNED}
_TELLING = {CLUSTER_NAME, "verified", "probability"}  # beside `cluster`, what was left of `report assignments`
_SHOWN = 2  # of the files that one name means
_FIELD = re.compile(r"\{([^{}]*)\}")


class Labeller(Protocol):
    """Gives the labels of a path."""

    def __call__(self, path: str) -> Mapping[str, str]:
        """Column → value for an absolute path; empty where there is nothing to say."""

    def unused(self) -> list[str]:
        """What was given and met no file, for a warning at the end."""

    def columns(self) -> list[str]:
        """The label columns that it may give."""

    def several(self) -> Mapping[str, tuple[str, ...]]:
        """Names without a folder that met several files, each with two of these."""


def labeller(how: str) -> Labeller:
    """Read `--labels`.

    Args:
        how: `folder` or `folder=COLUMN` (the name of the file's folder), a pattern with `{column}` fields
            (`{order}-{family}_{n}`; with `/` in it, it also takes in folders), or a CSV or Excel file with a
            column `path`. Of one that `report assignments` has written, the columns after `ASSIGNED` are the labels.

    Raises:
        UsageError: it is none of these, the file cannot be used, or a column cannot be named so.
    """
    if how.count("{") != how.count("}"):
        raise UsageError(f"--labels {how!r}: a brace is missing")
    if how == "folder=":
        raise UsageError("--labels folder=: name the column, such as folder=site")
    if how == "folder" or how.startswith("folder="):
        column = _usable(how.partition("=")[2].strip() or FOLDER_LABEL, how)
        return _FromPath(how, lambda path: {column: os.path.basename(os.path.dirname(path))}, [column])
    if "{" in how:
        return _pattern(how)
    if how.lower().endswith(TABLES) or os.path.isfile(how):
        return _table(Path(how))
    raise UsageError(
        f"--labels {how!r}: there is no such file; give `folder`, a pattern such as '{{family}}_{{species}}_{{n}}', or "
        "a CSV or Excel file"
    )


def trouble_with(column: str) -> str | None:
    """Why a label column cannot be named so, None if it can."""
    if not column.strip():
        return "a label column needs a name"
    if not column.isprintable():
        return f"the label column {column!r} has a character in its name that cannot be shown"
    if '"' in column or "\\" in column:  # Qdrant cannot filter on such a field
        return f"the label column {column} has a double quote or a backslash in its name: rename it"
    return None


def _usable(column: str, how: str) -> str:
    trouble = trouble_with(column)
    if trouble:
        raise UsageError(f"--labels {how}: {trouble}")
    return spelled(column, RANKS)


def spelled(column: str, known: Sequence[str]) -> str:
    """A label column as it is known already: `"Sex", ("species", "sex")` -> "sex"; as it is, where it is not known."""
    return column if column in known else _by_case(tuple(known)).get(column.casefold(), column)


def called(column: str, known: Sequence[str]) -> str:
    """What the index calls a label column: as `spelled`; a new one with a name of the index's own gets a prefix.

    `"cluster", ("species",)` -> "label_cluster", as it is in SQL, in `--where` and in every report.
    """
    found = spelled(column, known)
    if found in known or not (column.lower() in _OWN or DERIVED.fullmatch(column)):
        return found
    return spelled(f"label_{column}", known)


@lru_cache(16)
def _by_case(known: tuple[str, ...]) -> dict[str, str]:
    return {column.casefold(): column for column in reversed(known)}


@dataclass
class _FromPath:
    how: str
    read: Callable[[str], Mapping[str, str]]
    names: Sequence[str]
    asked: bool = False
    met: bool = False

    def __call__(self, path: str) -> Mapping[str, str]:
        found = {key: v if v.isprintable() else to_text(v) for key, v in self.read(path).items() if v}
        self.asked, self.met = True, self.met or bool(found)
        return found

    def unused(self) -> list[str]:
        return [self.how] if self.asked and not self.met else []

    def columns(self) -> list[str]:
        return list(self.names)

    def several(self) -> Mapping[str, tuple[str, ...]]:
        return {}


def _pattern(pattern: str) -> Labeller:
    """`{order}-{family}_{n}` reads `Diptera-Syrphidae_12.jpg` as order Diptera, family Syrphidae.

    `{n}` and `{_}` stand for anything and are not kept. The suffix of the file is left out, unless the pattern has one.
    """
    how, pattern = pattern, pattern.removeprefix("./").lstrip("/")
    parts: list[str] = []
    names: list[str] = []
    end = 0
    for match in _FIELD.finditer(pattern):
        parts.append(re.escape(pattern[end : match.start()]))
        name = match[1].strip()
        if name in ("", "_", "n"):
            parts.append(r"[^/]*?")
        elif name.casefold() in map(str.casefold, names):
            raise UsageError(f"--labels {pattern!r}: {{{name}}} stands in it twice")
        else:
            names.append(_usable(name, how))
            parts.append(rf"(?P<f{len(names)}>[^/]+?)")
        end = match.end()
    if not names:
        raise UsageError(f"--labels {pattern!r}: it has no named field, such as {{species}}")
    parts.append(re.escape(pattern[end:]))
    expression = re.compile("".join(parts))
    levels = pattern.count("/") + 1
    whole = os.path.splitext(pattern)[1].lower() in SUFFIXES

    def read(path: str) -> Mapping[str, str]:
        name = (path if whole else os.path.splitext(path)[0]).replace(os.sep, "/")
        match = expression.fullmatch("/".join(name.split("/")[-levels:]))
        return {name: match[f"f{i}"] for i, name in enumerate(names, 1)} if match else {}

    return _FromPath(how, read, names)


@dataclass
class _Table:
    """Labels by path.

    A file is looked for by its absolute path, then by the path below the table's folder and below the working folder,
    then by its name alone; and so once more among the rows with backslashes, as if these were slashes. Unicode is
    compared composed (NFC): macOS names files otherwise than spreadsheets do.
    """

    folder: str
    here: str
    rows: dict[str, dict[str, str]]
    names: Sequence[str]
    met: set[str] = field(default_factory=set)
    _bare: dict[str, list[str]] = field(default_factory=dict)  # rows without a folder → two of the files they met

    def __post_init__(self) -> None:
        self._windows = {os.path.normpath(key.replace("\\", "/")): key for key in self.rows if "\\" in key}

    def __call__(self, path: str) -> Mapping[str, str]:
        key = next((key for key in self._keys(path) if key in self.rows), None)
        if key is None and self._windows:
            key = next((self._windows[key] for key in self._keys(path) if key in self._windows), None)
        if key is None:
            return {}
        self.met.add(key)
        if "/" not in key and "\\" not in key:
            files = self._bare.setdefault(key, [])
            if len(files) < _SHOWN and path not in files:
                files.append(path)
        return self.rows[key]

    def unused(self) -> list[str]:
        return [key for key in self.rows if key not in self.met]

    def columns(self) -> list[str]:
        return list(self.names)

    def several(self) -> dict[str, tuple[str, ...]]:
        return {key: tuple(map(to_text, files)) for key, files in self._bare.items() if len(files) == _SHOWN}

    def _keys(self, path: str) -> Iterator[str]:
        for seen in (
            path,
            os.path.relpath(path, self.folder),
            os.path.relpath(path, self.here),
            os.path.basename(path),
        ):
            yield _key(seen)
            text = to_text(seen)  # how a report shows a name that is not UTF-8
            if text != seen:
                yield _key(text)


def _key(path: str) -> str:
    return unicodedata.normalize("NFC", path.replace(os.sep, "/"))


def _table(path: Path) -> Labeller:
    table = read_rows(path)
    columns = [column.strip() for column in next(table, [])]
    at = path_column(columns)
    if at is None:
        raise UsageError(f"{path}: no column `path`; its columns are {', '.join(filter(None, columns)) or 'none'}")
    of_a_report = "cluster" in columns and not _TELLING.isdisjoint(columns)
    own = (*ASSIGNED, ENCOUNTER) if of_a_report else (columns[at],)
    ours = own if len(own) == 1 else {*own, *filter(DERIVED.fullmatch, columns)}
    there = {i: column for i, column in enumerate(columns) if column and (column not in ours or i == at)}
    _see_that_they_differ(there.values(), str(path))
    named = {i: _usable(column, str(path)) for i, column in there.items() if i != at}
    rows: dict[str, dict[str, str]] = {}
    for row in table:
        if len(row) > at and row[at].strip():
            _take_up(rows.setdefault(_row_key(row[at].strip()), {}), _labels(row, named), f"{path}: {row[at].strip()}")
    return _Table(os.path.realpath(path.parent), os.path.realpath("."), rows, list(named.values()))


def _see_that_they_differ(columns: Iterable[str], how: str) -> None:
    """See that no two columns are one but for the case of their letters."""
    met: dict[str, str] = {}
    for column in columns:
        if column.casefold() in met:
            raise UsageError(
                f"--labels {how}: the columns {met[column.casefold()]} and {column} are one, since case does not count "
                "in the names of labels: rename or delete one of them"
            )
        met[column.casefold()] = column


def _take_up(labels: dict[str, str], more: Mapping[str, str], whose: str) -> None:
    """Add the labels of a further row to those of former ones for the same photograph."""
    for column, value in more.items():
        if labels.setdefault(column, value) != value:
            raise UsageError(
                f"{whose} has several rows, by which its {column} is {labels[column]} and {value}: keep one of them; "
                "or, if these are several photographs of one name, name them with their folders"
            )


def _labels(row: Sequence[str], columns: Mapping[int, str]) -> dict[str, str]:
    return {column: row[i].strip() for i, column in columns.items() if i < len(row) and row[i].strip()}


def _row_key(path: str) -> str:
    path = os.path.normpath(path)
    return _key(os.path.join(_real(os.path.dirname(path)), os.path.basename(path)) if os.path.isabs(path) else path)


@lru_cache(1024)
def _real(folder: str) -> str:
    """The folder with links resolved, as the paths of the files are; most rows have their folder in common."""
    return os.path.realpath(folder)


def see_column(columns: Sequence[str], name: str) -> str:
    """The label column of this name, in whatever case it was given.

    Raises:
        UsageError: there is none of that name.
    """
    found = called(name, columns)
    if found not in columns:
        known = ", ".join(columns) or "none yet: `morphoindex add PHOTOS --labels …` gives them"
        raise UsageError(f"there is no label column {name!r}; there are {known}")
    return found


def telling(columns: Iterable[str]) -> str | None:
    """The column that says most: the lowest rank there is, else the first: `["site", "family"]` -> `"family"`."""
    there = list(columns)
    return next((rank for rank in RANKS if rank in there), there[0] if there else None)
