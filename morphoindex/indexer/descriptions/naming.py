"""The names that specimens have, by a label column or by the name of their cluster."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from morphoindex.errors import UsageError
from morphoindex.indexer.descriptions.labels import CLUSTER_NAME, RANKS, called, telling
from morphoindex.indexer.host import Host
from morphoindex.indexer.selection.together import numbered, united
from morphoindex.indexer.storage.filters import Compare, Filter, Missing, Not, Or
from morphoindex.indexer.tables.views import json_path, label_columns, literal

"""As a column: the names that people gave the clusters."""
CAMERA = "camera"


@dataclass(frozen=True)
class Named:
    """The specimens that have a name and a vector, in order of id.

    Attributes:
        column: where the names stand.
        ids, names: [n].
        ranks: column of a higher rank → its values [n], None where a specimen has none.
        groups: int64 [n], what must not speak for each other, -1 for none.
        digest: of all that, and of the vectors.
    """

    column: str
    ids: tuple[str, ...]
    names: tuple[str, ...]
    ranks: Mapping[str, tuple[str | None, ...]]
    groups: NDArray[np.int64]
    digest: str


def column_for(labels: Sequence[str], asked: str | None) -> str:
    """The column that names stand in: the one asked for, else the lowest rank, else the first; else CLUSTER_NAME.

    Raises:
        UsageError: there is no such column.
    """
    if asked is None:
        return telling(labels) or CLUSTER_NAME
    return asked if asked == CLUSTER_NAME else label_named(labels, asked)


def label_named(labels: Sequence[str], name: str, others: Sequence[str] = (CLUSTER_NAME,)) -> str:
    """The label column of this name, or of this name in SQL.

    Raises:
        UsageError: there is none; `others` are told of as allowed, too.
    """
    in_sql = {column: label for label, column in label_columns(labels).items()}
    found = called(name, labels) if called(name, labels) in labels else in_sql.get(name)
    if found is None:
        known = ", ".join([*labels, *others])
        there = (
            f"there are {known}: `add --labels` gives more"
            if known
            else "there are none yet: `add --labels` gives them"
        )
        raise UsageError(f"there is no label column {name!r}; {there}")
    return found


def value_of(labels: Sequence[str], name: str) -> str:
    """The SQL for the value of a column in the table `specimen`: a label, or "camera".

    Raises:
        UsageError: there is no such column.
    """
    if name == CAMERA and name not in label_columns(labels).values():
        return "specimen.camera"
    label = label_named(labels, name, (CAMERA,))
    return f"json_extract_string(specimen.labels, {literal(json_path(label))})"


def ranks_above(labels: Sequence[str], column: str) -> tuple[str, ...]:
    """The label columns that are higher ranks than this one, the lowest first: "species" -> ("genus", "family")."""
    higher = RANKS[RANKS.index(column) + 1 :] if column in RANKS else RANKS[1:]
    return tuple(rank for rank in higher if rank in labels and rank != column)


def read_names(index: Host, column: str, group_columns: Sequence[str], stamp_key: str) -> Named:
    """The names in a column.

    Args:
        index: of which.
        column: as `column_for` gives it.
        group_columns: specimens with the same value in one of these are of one group.
        stamp_key: of the encoder whose vectors count.

    Raises:
        UsageError: there is no such group column.
    """
    labels = index.labels
    ranks = ranks_above(labels, column)
    name = "lineage.name" if column == CLUSTER_NAME else value_of(labels, column)
    wanted = [name, *(value_of(labels, other) for other in (*ranks, *group_columns))]
    catalog = index.collection.catalog
    found = catalog.query(
        f"SELECT specimen.id, {', '.join(wanted)} FROM specimen LEFT JOIN lineage "
        f"ON lineage.cluster = specimen.cluster WHERE coalesce({name}, '') <> '' ORDER BY specimen.id"
    )
    stamps = catalog.stamps(stamp_key)
    rows = [row for row in found.rows if row[0] in stamps]
    columns: list[tuple[str | None, ...]] = list(zip(*rows, strict=True)) or [()] * (2 + len(wanted) - 1)
    apart = [numbered(values) for values in columns[2 + len(ranks) :]]
    joined = united(apart, len(rows)) if apart else np.full(len(rows), -1, np.int64)
    digest = hashlib.blake2b(digest_size=16)
    for row in rows:
        digest.update(repr((*row, stamps[row[0]])).encode())
    return Named(
        column=column,
        ids=tuple(row[0] for row in rows),
        names=tuple(row[1] for row in rows),
        ranks=dict(zip(ranks, columns[2:], strict=False)),
        groups=joined,
        digest=digest.hexdigest(),
    )


def having_a_name(index: Host, column: str) -> Filter:
    """The condition that a specimen has a name in this column."""
    if column != CLUSTER_NAME:
        return Not(Missing(("labels", column)))
    named = index.collection.catalog.query("SELECT cluster FROM lineage WHERE name <> '' ORDER BY cluster").rows
    return Or(tuple(Compare("cluster", "=", row[0]) for row in named))
