"""Tables and arrays of an index, written to files."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from morphoindex.errors import UsageError
from morphoindex.indexer.encounters import any_times, count_encounters, encounters_by_specimen, refresh
from morphoindex.indexer.host import Host
from morphoindex.indexer.labels import ASSIGNED, ENCOUNTER, telling
from morphoindex.indexer.paths import to_text
from morphoindex.indexer.results import LabelledCluster, Overview
from morphoindex.indexer.specimen import Specimen
from morphoindex.indexer.views import described_clusters, identifier, json_path, label_columns, literal

FORMATS = {
    "assignments": ("csv", "parquet", "json"),
    "ingest": ("csv", "parquet", "json"),
    "embeddings": ("npz", "parquet"),
}
_BATCH = 2048


def write_report(index: Host, kind: str, format: str, out: Path) -> int:
    """Write a report to a file, beside it first, so that a failure leaves a former one as it was; returns the rows.

    Raises:
        UsageError: kind and format do not go together, or the file cannot be written.
    """
    if kind not in FORMATS:
        raise UsageError(f"there is no report {kind!r}; there are {', '.join(FORMATS)}")
    if format not in FORMATS[kind]:
        raise UsageError(f"{kind} can be written as {', '.join(FORMATS[kind])}, not as {format!r}")
    beside = out.with_name(out.name + ".part")
    try:
        if kind == "embeddings":
            rows = _write_npz(index, beside) if format == "npz" else _write_embedding_parquet(index, beside)
        else:
            rows = _write_table(index, kind, format, beside)
        os.replace(beside, out)
    except (OSError, duckdb.Error) as error:
        beside.unlink(missing_ok=True)
        raise UsageError(f"{out} cannot be written: {str(error).splitlines()[0]}") from error
    return rows


def assignments(index: Host) -> tuple[list[str], Iterator[list[Any]]]:
    """Columns, and one row a present path: its cluster and all labels. Specimens without a path have an empty one.

    Holds the names of clusters and the verified specimens in memory.
    """
    of = encounters_by_specimen(index)
    own = (*ASSIGNED, ENCOUNTER) if of else ASSIGNED  # no column where it would be empty
    columns = label_columns(index.labels, reserved=(*ASSIGNED, ENCOUNTER))
    catalog = index.collection.catalog
    names = dict(catalog.query("SELECT cluster, name FROM lineage WHERE name IS NOT NULL").rows)
    put = dict(catalog.query("SELECT id, cluster FROM curated").rows)

    def rows() -> Iterator[list[Any]]:
        for specimens in index.collection.scroll():
            for specimen in specimens:
                labels = [specimen.labels.get(label) for label in columns]
                cluster = specimen.cluster
                verified = cluster is not None and put.get(specimen.id) == cluster
                seen = [of.get(specimen.id)] if of else []
                name = names.get(cluster) if cluster else None
                for path in _paths(index, specimen):
                    yield [path, specimen.id, cluster, name, verified, specimen.probability, *seen, *labels]

    return [*own, *columns.values()], rows()


def overview(index: Host) -> Overview:
    """The index at a glance; see `Index.overview`."""
    catalog, labels = index.collection.catalog, index.labels
    described, timed = telling(labels), any_times(index)
    refresh(index)
    clusters = catalog.query(described_clusters(described))
    counts = {
        label: catalog.query(
            f"SELECT json_extract_string(labels, {literal(json_path(label))}) AS value, count(*) FROM specimen "
            "WHERE value IS NOT NULL GROUP BY value ORDER BY count(*) DESC, value"
        ).rows
        for label in labels
    }
    runs = catalog.query("SELECT method, parameters FROM run").rows
    refused = catalog.query("SELECT reason, count(*) FROM refusal GROUP BY reason ORDER BY 2 DESC, 1")
    return Overview(
        specimens=catalog.specimens(),
        method=runs[-1][0] if runs else "",
        parameters=", ".join(f"{k} {v}" for k, v in json.loads(runs[-1][1]).items()) if runs else "",
        label=described,
        clusters=tuple(
            LabelledCluster(cluster, size, label, float(share), name, encounters if timed else None)
            for cluster, name, size, _, label, share, _, encounters in clusters.rows
        ),
        labels={label: tuple((str(v), int(n)) for v, n in rows) for label, rows in counts.items()},
        refused=tuple((str(reason), int(n)) for reason, n in refused.rows),
        encounters=count_encounters(index),
    )


def _ledger(index: Host) -> tuple[list[str], Iterator[list[Any]]]:
    """Columns, and one row for every path that was ever seen."""
    columns = ["path", "state", "reason", "id", "size", "mtime_ns", "seen"]
    found = index.collection.catalog.query(f"SELECT root, {', '.join(columns)} FROM paths ORDER BY root, path")
    return columns, ([to_text(index.roots.join(root, path)), *rest] for root, path, *rest in found.rows)


def _write_table(index: Host, kind: str, format: str, out: Path) -> int:
    columns, rows = assignments(index) if kind == "assignments" else _ledger(index)
    types = {"verified": "BOOLEAN", "probability": "DOUBLE", "size": "BIGINT", "mtime_ns": "BIGINT"}
    declared = ", ".join(f"{identifier(column)} {types.get(column, 'VARCHAR')}" for column in columns)
    how = {"csv": "FORMAT csv, HEADER", "parquet": "FORMAT parquet", "json": "FORMAT json, ARRAY true"}[format]
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE report ({declared})")
        places = ", ".join(f"unnest(?::{types.get(column, 'VARCHAR')}[])" for column in columns)
        batch: list[list[Any]] = []
        for row in rows:
            batch.append(row)
            if len(batch) == _BATCH:
                connection.execute(f"INSERT INTO report SELECT {places}", [list(c) for c in zip(*batch, strict=True)])
                batch = []
        if batch:
            connection.execute(f"INSERT INTO report SELECT {places}", [list(c) for c in zip(*batch, strict=True)])
        order = "path, id" if "id" in columns else "path"
        connection.execute(f"COPY (SELECT * FROM report ORDER BY {order}) TO {literal(str(out))} ({how})")
        counted = connection.execute("SELECT count(*) FROM report").fetchone()
        return int(counted[0]) if counted else 0


def _write_npz(index: Host, out: Path) -> int:
    loaded = index.collection.load()
    paths = [_paths(index, specimen)[0] or "" for specimen in loaded.specimens]
    ids = [specimen.id for specimen in loaded.specimens]
    with open(out, "wb") as file:
        np.savez(file, ids=np.array(ids, dtype=str), paths=np.array(paths, dtype=str), embeddings=loaded.matrix)
    return len(ids)


def _write_embedding_parquet(index: Host, out: Path) -> int:
    loaded = index.collection.load()
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE report (ids VARCHAR, paths VARCHAR, embeddings FLOAT[])")
        for start in range(0, len(loaded.specimens), _BATCH):
            some = loaded.specimens[start : start + _BATCH]
            vectors = loaded.matrix[start : start + _BATCH].tolist()
            paths = [_paths(index, specimen)[0] or "" for specimen in some]
            connection.execute(
                "INSERT INTO report SELECT unnest(?::VARCHAR[]), unnest(?::VARCHAR[]), unnest(?::FLOAT[][])",
                [[specimen.id for specimen in some], paths, vectors],
            )
        connection.execute(f"COPY report TO {literal(str(out))} (FORMAT parquet)")
    return len(loaded.specimens)


def _paths(index: Host, specimen: Specimen) -> list[str | None]:
    return [to_text(index.roots.join(*record.key)) for record in specimen.paths] or [None]
