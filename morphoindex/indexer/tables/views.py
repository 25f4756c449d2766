"""What a person sees of the catalog: the views `specimens`, `paths`, `clusters`, `runs`, `events`, `decisions`."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence

import duckdb

COLUMNS = (
    "id", "sha256", "width", "height", "format", "bytes", "time", "camera", "latitude", "longitude",
    "frame", "crop_number", "frame_width", "frame_height", "x1", "y1", "x2", "y2", "encounter", "notes",
    "cluster", "cluster_name", "verified", "probability", "duplicate_of", "added",
)  # fmt: skip
"""What a specimen has besides its labels; a label of such a name becomes the column `label_<name>`."""
_FROM_HISTORY = {
    "encounter": "encounter.encounter",
    "cluster_name": "lineage.name",
    "verified": "coalesce(curated.cluster = specimen.cluster, false)",
}
"""Columns of a specimen that follow from what people decided, and from the others."""
_HISTORY = {
    "runs": "SELECT run, * EXCLUDE (run) FROM run",
    "events": "SELECT * FROM event",
    "decisions": "SELECT *, number IN (SELECT undoes FROM decision WHERE undoes IS NOT NULL) AS undone FROM decision",
    "clusters": """
        SELECT specimen.cluster AS id, any_value(lineage.name) AS name, count(*) AS size,
            count(*) FILTER (curated.cluster = specimen.cluster) AS verified, avg(probability) AS probability,
            count(DISTINCT encounter.encounter) AS encounters,
            any_value(lineage.since) AS since, any_value(lineage.run) AS first_run
        FROM specimen LEFT JOIN curated USING (id) LEFT JOIN encounter USING (id)
            LEFT JOIN lineage ON lineage.cluster = specimen.cluster
        WHERE specimen.cluster IS NOT NULL GROUP BY specimen.cluster
    """,
}


def make_views(connection: duckdb.DuckDBPyConnection, labels: Sequence[str]) -> None:
    """Make the views for these label columns, in place of former ones."""
    labelled = "".join(
        f", json_extract_string(labels, {literal(json_path(label))}) AS {identifier(column)}"
        for label, column in label_columns(labels).items()
    )
    plain = ", ".join(f"{_FROM_HISTORY.get(c, f'specimen.{identifier(c)}')} AS {identifier(c)}" for c in COLUMNS)
    connection.execute(
        f"CREATE OR REPLACE VIEW specimens AS SELECT {plain}{labelled} FROM specimen "
        "LEFT JOIN lineage ON lineage.cluster = specimen.cluster LEFT JOIN curated ON curated.id = specimen.id "
        "LEFT JOIN encounter ON encounter.id = specimen.id"
    )
    connection.execute(
        f"CREATE OR REPLACE VIEW paths AS SELECT * EXCLUDE (rank) FROM ({records()}) QUALIFY row_number() "
        "OVER (PARTITION BY root, path ORDER BY rank DESC, seen DESC, id DESC) = 1"
    )
    for view, query in _HISTORY.items():
        connection.execute(f"CREATE OR REPLACE VIEW {view} AS {query}")
    connection.execute("UPDATE seen SET labels = ?", [json.dumps(list(labels))])


def records(asked: str = "") -> str:
    """A query for all that is known of all paths, or of those in a table `asked` with columns root, path and i.

    Of several rows for a path that of the highest rank counts: a specimen that lies there now before a refusal, that
    before what lay there once; and of those the one seen last.
    """
    those = f"{asked} JOIN " if asked else ""
    using = " USING (root, path)" if asked else ""
    number = "i, " if asked else ""
    return (
        f"SELECT {number}root, path, state, NULL AS reason, id, size, mtime_ns, seen, "
        f"if(state = 'present', 2, 0) AS rank FROM {those}path{using} UNION ALL "
        f"SELECT {number}root, path, 'refused', reason, NULL, size, mtime_ns, seen, 1 FROM {those}refusal{using}"
    )


def described_clusters(label: str | None) -> str:
    """A query for the clusters, from large to small, with the label that most of the members that have one have.

    Its columns: id, name, size, verified, label (NULL where none has one, or no label column is asked for), the share
    of members that have it, since, encounters.
    """
    value = f"json_extract_string(labels, {literal(json_path(label))})" if label else "NULL"
    return (
        f"WITH counted AS (SELECT cluster, {value} AS label, count(*) AS members FROM specimen "
        "WHERE cluster IS NOT NULL GROUP BY cluster, label), "
        "first AS (SELECT cluster, label, members FROM counted QUALIFY row_number() OVER (PARTITION BY cluster "
        "ORDER BY label IS NULL, members DESC, label) = 1) "
        "SELECT id, name, size, verified, label, members / size, since, encounters "
        "FROM clusters JOIN first ON id = cluster ORDER BY size DESC, id"
    )


def label_columns(labels: Sequence[str], reserved: Sequence[str] = COLUMNS) -> dict[str, str]:
    """Label → its column: `["species", "width"]` -> `{"species": "species", "width": "label_width"}`.

    SQL takes no heed of case; of names that differ in nothing else the later ones get a number.
    """
    taken = set(reserved)
    columns = {}
    for label in labels:
        stem = f"label_{label}" if label.lower() in reserved else label
        names = itertools.chain([stem], (f"{stem}_{n}" for n in itertools.count(2)))
        columns[label] = next(name for name in names if name.lower() not in taken)
        taken.add(columns[label].lower())
    return columns


def json_path(label: str) -> str:
    """Where a label stands in the JSON text, as a JSON pointer, which has no wildcards: `a/b` -> `/a~1b`."""
    return "/" + label.replace("~", "~0").replace("/", "~1")


def literal(text: str) -> str:
    """Text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def identifier(column: str) -> str:
    """A name as an SQL identifier."""
    return '"' + column.replace('"', '""') + '"'
