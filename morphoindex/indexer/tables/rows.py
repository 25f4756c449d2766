"""Rows of the catalog's tables, and how many are written at once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import duckdb

from morphoindex.indexer.specimen import CAPTURE, FileRecord, Specimen


def specimen_row(specimen: Specimen) -> tuple[Any, ...]:
    """The row of a specimen."""
    capture = specimen.capture
    return (
        specimen.id, specimen.sha256, specimen.width, specimen.height, specimen.format, specimen.bytes,
        capture.get("time"), capture.get("camera"), capture.get("latitude"), capture.get("longitude"),
        "; ".join(specimen.notes), specimen.cluster, specimen.probability, specimen.added,
        json.dumps(dict(specimen.labels), ensure_ascii=False), specimen.revision, specimen.grouped,
        *(capture.get(name) for name in CAPTURE[4:]), specimen.duplicate_of,
    )  # fmt: skip


def path_row(state: str, specimen: Specimen, record: FileRecord) -> tuple[Any, ...]:
    """The row of a path of a specimen; `state` is "present" or "closed"."""
    return record.root, record.path, state, specimen.id, record.size, record.mtime_ns, record.seen


_TYPES = {
    "specimen": ("VARCHAR", "VARCHAR", "INTEGER", "INTEGER", "VARCHAR", "BIGINT", "VARCHAR", "VARCHAR", "DOUBLE",
                 "DOUBLE", "VARCHAR", "VARCHAR", "DOUBLE", "VARCHAR", "VARCHAR", "BIGINT", "VARCHAR", "VARCHAR",
                 "INTEGER", "INTEGER", "INTEGER", "DOUBLE", "DOUBLE", "DOUBLE", "DOUBLE", "VARCHAR"),
    "encounter": ("VARCHAR", "VARCHAR", "VARCHAR"),
    "stamp": ("VARCHAR", "VARCHAR", "VARCHAR"),
    "path": ("VARCHAR", "VARCHAR", "VARCHAR", "VARCHAR", "BIGINT", "BIGINT", "VARCHAR"),
    "refusal": ("VARCHAR", "VARCHAR", "VARCHAR", "BIGINT", "BIGINT", "VARCHAR"),
    "run": ("VARCHAR", "VARCHAR", "VARCHAR", "BIGINT", "BIGINT", "BIGINT", "BIGINT"),
    "event": ("BIGINT", "VARCHAR", "VARCHAR", "VARCHAR", "BIGINT", "BIGINT", "BIGINT", "VARCHAR"),
    "decision": ("BIGINT", "VARCHAR", "VARCHAR", "VARCHAR", "VARCHAR", "BIGINT", "BIGINT"),
    "lineage": ("VARCHAR", "VARCHAR", "VARCHAR", "BIGINT", "VARCHAR"),
    "curated": ("VARCHAR", "VARCHAR"),
}  # fmt: skip
_KEYED = ("specimen", "refusal", "encounter")


def insert(connection: duckdb.DuckDBPyConnection, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows; where the table has a key, in the place of those of the same key."""
    lists = [list(column) for column in zip(*rows, strict=True)]
    columns = ", ".join(f"unnest(?::{kind}[])" for kind in _TYPES[table])
    connection.execute(f"INSERT {'OR REPLACE ' if table in _KEYED else ''}INTO {table} SELECT {columns}", lists)


def put_specimens(connection: duckdb.DuckDBPyConnection, specimens: Sequence[Specimen]) -> None:
    """Insert specimens with their stamps and paths, in the place of what is there of them."""
    insert(connection, "specimen", [specimen_row(specimen) for specimen in specimens])
    for table in ("path", "stamp"):
        connection.execute(
            f"DELETE FROM {table} WHERE id IN (SELECT unnest(?::VARCHAR[]))", [[s.id for s in specimens]]
        )
    stamps = [(s.id, key, value) for s in specimens for key, value in s.stamps.items()]
    if stamps:
        insert(connection, "stamp", stamps)
    present = [path_row("present", s, r) for s in specimens for r in s.paths]
    closed = [path_row("closed", s, r) for s in specimens for r in s.former_paths]
    if present or closed:
        insert(connection, "path", present + closed)
    if present:
        connection.execute(
            "DELETE FROM refusal USING (SELECT unnest(?::VARCHAR[]) AS root, unnest(?::VARCHAR[]) AS path) AS taken "
            "WHERE refusal.root = taken.root AND refusal.path = taken.path",
            [[row[0] for row in present], [row[1] for row in present]],
        )


def update(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    columns: Mapping[str, str],
    rows: Sequence[tuple[Any, ...]],
    revision: int,
) -> None:
    """Set columns (name → type) of the rows of these ids, and their revision; `rows` are (id, values…)."""
    lists = [list(column) for column in zip(*rows, strict=True)]
    asked = ", ".join(f"unnest(?::{kind}[]) AS {name}" for name, kind in {"id": "VARCHAR", **columns}.items())
    changes = ", ".join(f"{name} = asked.{name}" for name in columns)
    connection.execute(
        f"UPDATE {table} SET {changes}, revision = {int(revision)} FROM (SELECT {asked}) AS asked "
        f"WHERE {table}.id = asked.id",
        lists,
    )
