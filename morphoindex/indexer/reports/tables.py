"""Reports that are tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from morphoindex.errors import UsageError
from morphoindex.indexer.descriptions.labels import ASSIGNED, DERIVED, ENCOUNTER, RANKS, see_column, telling
from morphoindex.indexer.files.table_files import Kind, Sheet
from morphoindex.indexer.host import Host, place
from morphoindex.indexer.missing import missing
from morphoindex.indexer.paths import to_text
from morphoindex.indexer.repeats.encounters import any_times, encounters_by_specimen, refresh
from morphoindex.indexer.specimen import Specimen
from morphoindex.indexer.tables.views import described_clusters, label_columns

_DIGITS = 6  # of a cosine
Extra = Mapping[str, Any]
"""A further column of `assignments`: specimen → value."""


def assignments(index: Host, extras: Mapping[str, Extra] | None = None) -> Sheet:
    """One row a present path: its cluster, `extras` and all labels. Specimens without a path have an empty one.

    Holds the names of clusters and the verified specimens in memory.
    """
    extras = extras or {}
    of = encounters_by_specimen(index)
    own = (*ASSIGNED, ENCOUNTER) if of else ASSIGNED  # no column where it would be empty
    derived = [label.lower() for label in index.labels if DERIVED.fullmatch(label)]
    columns = label_columns(index.labels, reserved=(*ASSIGNED, ENCOUNTER, *derived))
    catalog = index.collection.catalog
    names = catalog.names()
    put = dict(catalog.query("SELECT id, cluster FROM curated").rows)

    def rows() -> Iterator[list[Any]]:
        for specimens in index.collection.scroll():
            for specimen in specimens:
                labels = [specimen.labels.get(label) for label in columns]
                cluster = specimen.cluster
                verified = cluster is not None and put.get(specimen.id) == cluster
                seen = [of.get(specimen.id)] if of else []
                more = [extra.get(specimen.id) for extra in extras.values()]
                name = names.get(cluster) if cluster else None
                for path in _paths(index, specimen):
                    yield [path, specimen.id, cluster, name, verified, specimen.probability, *seen, *more, *labels]

    types: dict[str, Kind] = {"verified": "boolean", "probability": "number"}
    types |= {name: "integer" if name.startswith("cluster_by_") else "number" for name in extras if name != "suggested"}
    return Sheet([*own, *extras, *columns.values()], rows(), types, ("path", "id"), "assignments")


def clusters(index: Host) -> Sheet:
    """One row a cluster: size, its most frequent label, how close its members are to its middle, and the most central.

    The middle is the mean of the members' vectors, brought to unit length.
    """
    label, timed = telling(index.labels), any_times(index)
    refresh(index)
    found = index.collection.catalog.query(described_clusters(label)).rows
    middles = _middles(index)
    columns = ["cluster", "name", "size", *(["encounters"] if timed else []), "verified"]
    described = ["label", "share"] if label else []
    closeness = ["mean_similarity", "least_similarity", "medoid", "medoid_path"]
    rows = [
        [
            cluster, name, size, *([encounters] if timed else []), verified,
            *([value, share if value else None] if label else []), *middles.get(cluster, [None] * 4), since,
        ]
        for cluster, name, size, verified, value, share, since, encounters in found
    ]  # fmt: skip
    types: dict[str, Kind] = dict.fromkeys(("size", "encounters", "verified"), "integer")
    types |= dict.fromkeys(("share", "mean_similarity", "least_similarity"), "number")
    return Sheet([*columns, *described, *closeness, "since"], rows, types, name="clusters")


def species(index: Host, by: str | None = None) -> Sheet:
    """One row a value of a label column: its specimens, the clusters they are in, and its higher ranks.

    Args:
        index: whose specimens.
        by: the label column; by default the one that says most.

    Raises:
        UsageError: there is no such column, or no label at all.
    """
    column = chosen_label(index, by)
    above = [rank for rank in RANKS[RANKS.index(column) + 1 :] if rank in index.labels] if column in RANKS else []
    counts: dict[str, Counter[str | None]] = {}
    ranks: dict[str, dict[str, Counter[str]]] = {}
    sizes: Counter[str | None] = Counter()
    for some in index.collection.scroll():
        for one in some:
            sizes[one.cluster] += 1
            if value := one.labels.get(column):
                counts.setdefault(value, Counter())[one.cluster] += 1
                higher = ranks.setdefault(value, {rank: Counter() for rank in above})
                for rank in above:
                    higher[rank].update([one.labels[rank]] if one.labels.get(rank) else [])
    rows: list[list[Any]] = []
    for value, within in counts.items():
        inside = sorted(((n, c) for c, n in within.items() if c), key=lambda pair: (-pair[0], pair[1]))
        most, cluster = inside[0] if inside else (None, None)
        total = within.total()
        rows.append([
            value, *(_most_frequent(ranks[value][rank]) for rank in above), total, len(inside), within[None], cluster,
            most / total if most else None, most / sizes[cluster] if most else None,
        ])  # fmt: skip
    rows.sort(key=lambda row: (-row[1 + len(above)], row[0]))
    own = ("specimens", "clusters", "not_clustered", "main_cluster", "share_in_it", "share_of_it")
    first = column if column not in own else f"label_{column}"
    types: dict[str, Kind] = dict.fromkeys(own[:3], "integer")
    types |= dict.fromkeys(own[4:], "number")
    return Sheet([first, *above, *own], rows, types, name="species")


def ingest(index: Host) -> Sheet:
    """One row for every path that was ever seen."""
    columns = ["path", "state", "reason", "id", "size", "mtime_ns", "seen"]
    found = index.collection.catalog.query(f"SELECT root, {', '.join(columns)} FROM paths ORDER BY root, path")
    rows = ([to_text(index.roots.join(root, path)), *rest] for root, path, *rest in found.rows)
    return Sheet(columns, rows, {"size": "integer", "mtime_ns": "integer"}, ("path",), "ingest")


def missing_photographs(index: Host, content: bool = False) -> Sheet:
    """One row a photograph that is not where or not as it was, or a folder of which nothing is there."""
    columns = ["path", "state", "reason", "id", "elsewhere", "photographs"]
    rows = [[getattr(one, column) for column in columns] for one in missing(index, content)]
    return Sheet(columns, rows, {"elsewhere": "boolean", "photographs": "integer"}, name="missing")


TABLES: Mapping[str, Callable[[Host], Sheet]] = {
    "assignments": assignments, "clusters": clusters, "species": species, "ingest": ingest,
}  # fmt: skip


def chosen_label(index: Host, by: str | None) -> str:
    """A label column, by default the one that says most.

    Raises:
        UsageError: there is no such column, or no label at all.
    """
    column = by or telling(index.labels)
    if column is None:
        raise UsageError("no specimen has a label: give them with `morphoindex add --labels`")
    return see_column(index.labels, column)


def present_paths(index: Host, specimen: Specimen) -> list[str]:
    """Where a specimen lies, as text."""
    return [to_text(index.roots.join(*record.key)) for record in specimen.paths]


def _paths(index: Host, specimen: Specimen) -> list[str | None]:
    return [*present_paths(index, specimen)] or [None]


def _most_frequent(counts: Counter[str]) -> str | None:
    return min(counts, key=lambda value: (-counts[value], value)) if counts else None


def _middles(index: Host) -> dict[str, list[Any]]:
    """Cluster → mean and least cosine to its middle, the specimen nearest to that, and its path."""
    loaded = index.collection.load()
    rows: dict[str, list[int]] = {}
    for row, one in enumerate(loaded.specimens):
        if one.cluster:
            rows.setdefault(one.cluster, []).append(row)
    found = {}
    for cluster, members in rows.items():
        similarity = to_the_middle(loaded.matrix[members])
        medoid = loaded.specimens[members[int(np.argmax(similarity))]]
        figures = (round(float(similarity.mean()), _DIGITS), round(float(similarity.min()), _DIGITS))
        found[cluster] = [*figures, medoid.id, place(index.roots, medoid)]
    return found


def to_the_middle(vectors: np.ndarray[Any, np.dtype[np.float32]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Cosine float64 [n] of unit vectors [n, d] to their mean; 0 where that has no direction."""
    wide = vectors.astype(np.float64)
    mean = wide.sum(axis=0)
    length = float(np.linalg.norm(mean))
    return (wide @ (mean / length)).clip(-1, 1) if length > 1e-9 else np.zeros(len(wide))
