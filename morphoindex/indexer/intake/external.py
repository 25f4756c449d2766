"""Vectors that were made elsewhere."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from numpy.typing import ArrayLike, NDArray

from morphoindex.errors import EmbeddingsInvalid
from morphoindex.indexer.descriptions.captures import CENTRE, fields
from morphoindex.indexer.descriptions.labels import RANKS, called, spelled, trouble_with
from morphoindex.indexer.descriptions.relabelling import Giving
from morphoindex.indexer.host import Host
from morphoindex.indexer.interrupts import uninterrupted
from morphoindex.indexer.paths import from_text, to_text
from morphoindex.indexer.specimen import CAPTURE, FileRecord, Specimen, point_id
from morphoindex.indexer.words import count

_BATCH = 2048
_SAME = 1e-5
_NUMBERS = re.compile(r"(FLOAT|DOUBLE)\[\d*\]")


@dataclass(frozen=True)
class Embeddings:
    """Vectors with what is known of them, checked.

    Attributes:
        ids: [n], distinct.
        vectors: float32 [n, d], unit length.
        paths: [n], None where there is no file.
        metadata: [n], column → value.
    """

    ids: list[str]
    vectors: NDArray[np.float32]
    paths: list[str | None]
    metadata: list[dict[str, Any]]

    @property
    def labels(self) -> list[dict[str, str]]:
        """[n], column → value: the metadata but for what tells of the capture."""
        return [{name: value for name, value in row.items() if name not in CAPTURE} for row in self.metadata]

    @classmethod
    def from_columns(
        cls,
        ids: Sequence[str | int],
        vectors: ArrayLike,
        paths: Sequence[str | None] | None,
        metadata: Sequence[Mapping[str, Any]] | Mapping[str, Sequence[Any]] | None,
    ) -> Embeddings:
        """Check everything, and bring the vectors to unit length.

        Raises:
            EmbeddingsInvalid: shape, type, values or ids are wrong; says which row.
        """
        names = [_text(one) for one in _column("ids", ids)]
        unit = _unit(vectors, len(names))
        _check_ids(names)
        if isinstance(metadata, Mapping):
            rows = _rows(metadata, len(names))
        else:
            rows = [dict(row) for row in metadata] if metadata is not None else [{} for _ in names]
        files: list[str | None] = [None for _ in names]
        if paths is not None:
            files = [_text(one) or None for one in _column("paths", paths)]
        for what, several, there in (("path", "paths", files), ("row of metadata", "rows of metadata", rows)):
            if len(there) != len(names):
                raise EmbeddingsInvalid(
                    f"{count(len(there), what, several)} for {count(len(names), 'id')}: there must be one for each"
                )
        described = [_described(row, values) for row, values in enumerate(rows)]
        return cls(names, unit, files, _called_alike(described))


def read_embeddings(path: Path) -> Embeddings:
    """Read `ids`, `embeddings`, and where there are `paths` and columns of metadata, from an npz or a parquet file.

    Raises:
        EmbeddingsInvalid: it is neither, lacks one of them, or they cannot be used.
    """
    if not path.is_file():
        raise EmbeddingsInvalid(f"there is no file {path}")
    columns = _read_parquet(path) if path.suffix.lower() == ".parquet" else _read_npz(path)
    for needed in ("ids", "embeddings"):
        if needed not in columns:
            raise EmbeddingsInvalid(f"{path} has no `{needed}`; it has {', '.join(columns) or 'nothing'}")
    ids, vectors, paths = columns.pop("ids"), columns.pop("embeddings"), columns.pop("paths", None)
    return Embeddings.from_columns(ids, vectors, paths, columns)


def add_external(index: Host, embeddings: Embeddings, giving: Giving) -> tuple[int, int]:
    """Put checked embeddings in. Returns how many were new, and how many were there already, by id.

    `giving` counts what their labels come to.

    Those that were there gain the paths and metadata that are new, and the vector where they have only another
    encoder's; what they have stays.

    Raises:
        EmbeddingsInvalid: an id is in the index with another vector, or a path belongs to another id; nothing was
            taken in then.
    """
    now = datetime.now(UTC).isoformat(timespec="microseconds")
    batches = [range(at, min(at + _BATCH, len(embeddings.ids))) for at in range(0, len(embeddings.ids), _BATCH)]
    owners: dict[tuple[str, str], str] = {}
    for rows in batches:
        _check_known(index, embeddings, rows)
        _check_owners(index, embeddings, rows, owners)
    known = 0
    for rows in batches:
        made = {row: _specimen(index, embeddings, row, now) for row in rows}
        with uninterrupted():
            there = index.collection.get([specimen.id for specimen in made.values()])
            new = [row for row, specimen in made.items() if specimen.id not in there]
            merged = [_merged(there[one.id], one) for one in made.values() if one.id in there]
            changed = [specimen for specimen in merged if specimen != there[specimen.id]]
            index.remember(dict.fromkeys(column for one in (*made.values(), *changed) for column in one.labels))
            _count_labels(index, made, there, giving)
            index.collection.change(changed)
            key = index.collection.stamp_key
            lacking = [row for row, one in made.items() if one.id in there and key not in there[one.id].stamps]
            index.collection.embed({embeddings.ids[row]: embeddings.vectors[row] for row in lacking})
            index.collection.put([made[row] for row in new], embeddings.vectors[new])
        known += len(there)
        index.pause()
    return len(embeddings.ids) - known, known


def _count_labels(index: Host, made: Mapping[int, Specimen], there: Mapping[str, Specimen], giving: Giving) -> None:
    """Count the labels that specimens are about to get, and have the journal keep what they replace."""
    for one in made.values():
        before = there[one.id].labels if one.id in there else None
        path = index.roots.join(*one.paths[0].key) if one.paths else ""
        if not one.labels:
            giving.miss(path or one.id)
        giving.meet(one.id, before, {**(before or {}), **one.labels}, one.labels.keys(), path)
    giving.write_down(index.journal)


def _check_known(index: Host, embeddings: Embeddings, rows: range) -> None:
    by_point = {point_id(embeddings.ids[row]): row for row in rows}
    for point in index.collection.store.retrieve(list(by_point), vectors=True):
        row = by_point[point.id]
        if point.vector is not None and float(np.abs(point.vector - embeddings.vectors[row]).max()) > _SAME:
            name = embeddings.ids[row]
            raise EmbeddingsInvalid(
                f"id {name!r} is in the index with another vector: `morphoindex remove {name}` first"
            )


def _check_owners(index: Host, embeddings: Embeddings, rows: range, owners: dict[tuple[str, str], str]) -> None:
    """See that no path is that of two specimens; `owners` takes up those of these rows."""
    keys = {row: key for row in rows if (key := _place(index, embeddings.paths[row]))}
    for (row, key), entry in zip(keys.items(), index.collection.catalog.ledger(list(keys.values())), strict=True):
        mine = embeddings.ids[row]
        owner = entry.id if entry and entry.state == "present" else owners.get(key)
        if owner and owner != mine:
            raise EmbeddingsInvalid(f"{to_text(index.roots.join(*key))} cannot be the path of both {owner} and {mine}")
        owners[key] = mine


def _place(index: Host, path: str | None) -> tuple[str, str] | None:
    """Where the ledger has a path, given as it is on the disk or as reports show it."""
    if not path:
        return None
    if "\0" in path:
        raise EmbeddingsInvalid(f"the path {path!r} has a zero byte in it")
    shown = from_text(path)  # differs where a report had to escape something
    absolute = os.path.abspath(shown if os.path.lexists(shown) else path)
    folder, name = os.path.split(absolute)
    folder = os.path.realpath(folder)
    return index.roots.split(os.path.join(folder, name), folder)


def _specimen(index: Host, embeddings: Embeddings, row: int, now: str) -> Specimen:
    key = _place(index, embeddings.paths[row])
    records: tuple[FileRecord, ...] = ()
    if key:
        try:
            status = os.stat(index.roots.join(*key))
            records = (FileRecord(*key, status.st_size, status.st_mtime_ns, now),)
        except OSError:
            records = (FileRecord(*key, None, None, now),)
    values = embeddings.metadata[row]
    return Specimen(
        id=embeddings.ids[row],
        paths=records,
        labels={called(column, index.labels): value for column, value in values.items() if column not in CAPTURE},
        capture={column: value for column, value in values.items() if column in CAPTURE},
        added=now,
    )


def _merged(there: Specimen, told: Specimen) -> Specimen:
    """What is in the index, with what is told of it now; the one is returned as it is where that is nothing new."""
    keys = [record.key for record in there.paths]
    return replace(
        there,
        paths=(*there.paths, *(record for record in told.paths if record.key not in keys)),
        labels={**there.labels, **told.labels},
        capture={**there.capture, **told.capture},
    )


def _unit(vectors: ArrayLike, number: int) -> NDArray[np.float32]:
    try:
        given = np.asarray(vectors)
    except ValueError as error:
        raise EmbeddingsInvalid("the embeddings are not a matrix: their rows differ in length") from error
    if not number:
        raise EmbeddingsInvalid("there are no ids, and so nothing to take in")
    if given.ndim != 2 or given.shape[1] == 0:
        raise EmbeddingsInvalid(f"the embeddings have the shape {list(given.shape)}: it must be [n, d]")
    if given.dtype.kind != "f":
        raise EmbeddingsInvalid(f"the embeddings are {given.dtype}: they must be float16, float32 or float64")
    if len(given) != number:
        raise EmbeddingsInvalid(
            f"{count(len(given), 'embedding')} for {count(number, 'id')}: there must be one for each"
        )
    exact = given.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.linalg.norm(exact, axis=1)
    wrong = np.flatnonzero(~np.isfinite(lengths) | (lengths == 0))
    if len(wrong):
        raise EmbeddingsInvalid(
            f"{count(len(wrong), 'embedding is', 'embeddings are')} not finite or zero, the first in row {wrong[0]}"
        )
    result: NDArray[np.float32] = (exact / lengths[:, np.newaxis]).astype(np.float32)
    return result


def _column(what: str, values: Any) -> list[Any]:
    """A column as a list of Python values, missing ones None."""
    if isinstance(values, str) or not hasattr(values, "__len__"):
        raise EmbeddingsInvalid(f"{what}: must be a list")
    shape = getattr(values, "shape", (0,))
    if len(shape) != 1:
        raise EmbeddingsInvalid(f"{what}: have the shape {list(shape)}, must be one row")
    listed = values.tolist() if hasattr(values, "tolist") else list(values)
    return [None if _missing(value) else value for value in listed]


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode(errors="surrogateescape")
    return "" if value is None else os.fspath(value) if isinstance(value, os.PathLike) else str(value)


def _check_ids(ids: Sequence[str]) -> None:
    seen: set[str] = set()
    for row, name in enumerate(ids):
        if not name or len(name) > 512:
            raise EmbeddingsInvalid(f"the id in row {row} is empty or longer than 512 characters")
        if not name.isprintable():
            raise EmbeddingsInvalid(f"the id in row {row}, {name!r}, has a character in it that cannot be shown")
        if name in seen:
            raise EmbeddingsInvalid(f"id {name!r} stands twice, the second time in row {row}")
        seen.add(name)


def _rows(columns: Mapping[str, Sequence[Any]], number: int) -> list[dict[str, Any]]:
    lists = {name: np.asarray(column, dtype=object).tolist() for name, column in columns.items()}
    for name, column in lists.items():
        if not isinstance(column, list) or len(column) != number:
            raise EmbeddingsInvalid(f"the metadata `{name}` does not have one value for each of {count(number, 'id')}")
    return [{name: column[row] for name, column in lists.items()} for row in range(number)]


def _described(row: int, values: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata of a specimen as it is stored: labels as text, captures as `captures.fields` has them."""
    there = {str(name): value for name, value in values.items() if not _missing(value)}
    described, wrong = fields(there)
    for column, words in wrong.items():
        raise EmbeddingsInvalid(
            f"the {column} in row {row} cannot be used: {repr(there[column]) if column in there else words}"
        )
    for column in map(str, values):
        if column in (*CAPTURE, *CENTRE):
            continue
        trouble = trouble_with(column)
        if trouble:
            raise EmbeddingsInvalid(trouble)
        if column in there:
            try:
                described[column] = _text(there[column])
                described[column].encode()  # raw bytes cannot be stored
            except (TypeError, ValueError) as error:
                raise EmbeddingsInvalid(f"the {column} in row {row} cannot be used: {there[column]!r}") from error
    return described


def _called_alike(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with each column under one name: case does not count, and the first one met does."""
    names: dict[str, str] = {}
    for column in dict.fromkeys(column for row in rows for column in row if column not in CAPTURE):
        names.setdefault(column.casefold(), spelled(column, RANKS))
    renamed = [{names.get(column.casefold(), column): value for column, value in row.items()} for row in rows]
    for before, after in zip(rows, renamed, strict=True):
        if len(after) < len(before):
            twice = [column for column in before if column not in after]
            raise EmbeddingsInvalid(
                f"two columns of the metadata are {names[twice[0].casefold()]}, since case does not count in the names "
                "of labels: rename or leave out one of them"
            )
    return renamed


def _missing(value: Any) -> bool:
    if value is None or (isinstance(value, str | bytes) and not value):
        return True
    return isinstance(value, float | np.floating) and bool(np.isnan(value))


def _read_npz(path: Path) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:  # opened here, because numpy leaves a file that it cannot read open
            arrays = np.load(file, allow_pickle=False)
            if isinstance(arrays, np.ndarray):
                raise EmbeddingsInvalid(f"{path} holds one array: save ids and embeddings with np.savez")
            with arrays:
                return {name: arrays[name] for name in arrays.files}
    except EmbeddingsInvalid:
        raise
    except Exception as error:  # numpy and zipfile raise errors of any kind on damaged files
        raise EmbeddingsInvalid(f"{path} cannot be read as npz: {error}") from error


def _read_parquet(path: Path) -> dict[str, Any]:
    """The columns; embeddings go straight into an array, since 100,000 lists of Python floats would fill the memory."""
    source = "FROM read_parquet(?)"
    this = [glob.escape(str(path))]
    try:
        with duckdb.connect(config={"threads": 1}) as connection:
            described = connection.execute(f"SELECT * {source} LIMIT 0", this).description or []
            kinds = {column[0]: str(column[1]) for column in described}
            columns: dict[str, Any] = {name: [] for name in kinds}
            plain = [name for name in kinds if name != "embeddings"]
            if plain:
                rest = "* EXCLUDE (embeddings)" if "embeddings" in kinds else "*"
                rows = connection.execute(f"SELECT {rest} {source}", this).fetchall()
                columns |= dict(zip(plain, map(list, zip(*rows, strict=True)), strict=False))
            if "embeddings" in kinds:
                columns["embeddings"] = _read_lists(connection, source, this, kinds["embeddings"])
    except duckdb.Error as error:
        raise EmbeddingsInvalid(f"{path} cannot be read as parquet: {str(error).splitlines()[0]}") from error
    return columns


def _read_lists(connection: duckdb.DuckDBPyConnection, source: str, this: list[str], kind: str) -> NDArray[Any]:
    if not _NUMBERS.fullmatch(kind):
        raise EmbeddingsInvalid(
            f"the column `embeddings` of {this[0]} is {kind}: it must hold lists of FLOAT or DOUBLE"
        )
    lengths = f"SELECT count(*), min(n), max(n), count(n) FROM (SELECT len(embeddings::DOUBLE[]) AS n {source})"
    rows, least, most, filled = connection.execute(lengths, this).fetchone() or (0, 0, 0, 0)
    if least != most or filled != rows:
        raise EmbeddingsInvalid(f"the lists in the column `embeddings` of {this[0]} differ in length")
    flat = connection.execute(f"SELECT unnest(embeddings::DOUBLE[]) AS v {source}", this).fetchnumpy()["v"]
    return np.ma.filled(flat, np.nan).astype(np.float32).reshape(rows, -1 if rows and least else 0)
