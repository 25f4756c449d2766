"""A map of the specimens: each a point, near those that it is like, in the colour of its cluster or label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from morphoindex.errors import UsageError
from morphoindex.indexer.clustering.projection import LEAST, SLOW, WHILE, Projection, project
from morphoindex.indexer.descriptions.labels import CLUSTER_NAME, telling
from morphoindex.indexer.files.provenance import write_provenance
from morphoindex.indexer.host import Host
from morphoindex.indexer.output_folder import not_named
from morphoindex.indexer.paths import to_text
from morphoindex.indexer.reports.map_drawing import LEGEND, Group, draw_map
from morphoindex.indexer.reports.runs import clustering_of, in_words
from morphoindex.indexer.reports.tables import chosen_label
from morphoindex.indexer.results.reports import ReportWritten
from morphoindex.indexer.specimen import Specimen
from morphoindex.indexer.words import count

CLUSTER, FILE = "cluster", "map.png"
_TITLES = {"pca": "PCA", "tsne": "t-SNE", "umap": "UMAP"}


def write_map(
    index: Host,
    out: Path | None = None,
    method: Projection | None = None,
    by: str = CLUSTER,
    sample: int | None = None,
    seed: int = 0,
    say: Callable[[str], None] = lambda words: None,
) -> ReportWritten:
    """Draw a map; see `Index.report_map`."""
    if sample is not None and sample < 1:
        raise UsageError(f"sample {sample}: at least 1")
    if seed < 0:
        raise UsageError(f"seed {seed}: at least 0")
    column = None if by in (CLUSTER, CLUSTER_NAME) else chosen_label(index, by)
    out = not_named(FILE) if out is None else out
    if out.suffix.lower() != ".png":
        raise UsageError(f"{out}: a map is written as png: end the name so")
    loaded = index.collection.load()
    total = len(loaded.specimens)
    if not total:
        raise UsageError("no specimen has a vector: there is nothing to draw")
    rows = np.arange(total)
    if sample is not None and sample < total:
        rows = np.sort(np.random.default_rng(seed).permutation(total)[:sample])
    shown = [loaded.specimens[row] for row in rows.tolist()]
    remarks: list[str] = []
    chosen = method or _usual(len(rows), remarks)
    if chosen != "pca" and len(rows) > WHILE:
        say(slow(chosen, len(rows)))
    placed = project(loaded.matrix[rows], chosen, seed)
    run = clustering_of(index)
    groups, words = _groups(index, shown, by), _words(by)
    if not groups:
        remarks.append(f"{words.none}; all points are grey")
    if len(groups) > LEGEND:
        remarks.append(
            f"{len(groups):,} {words.several} are more than a legend holds: the {LEGEND} largest have colours, the "
            "others are grey, with their names where there is room"
        )
    part = f"{len(rows):,} of " if len(rows) < total else ""
    told = words.by if column or not run else f"{words.by} ({in_words(run)})"
    draw_map(out, f"{part}{count(total, 'specimen')}, {_TITLES[chosen]}, {told}", placed, groups, words.rest)
    parameters = {"method": chosen, "by": by, "sample": sample, "seed": seed}
    told_in = write_provenance(out, "report map", parameters, index.entry, specimens=len(rows), clustering=run)
    return ReportWritten("map", "png", to_text(str(out)), to_text(str(told_in)), len(rows), tuple(remarks))


def slow(method: Projection, number: int) -> str:
    """A warning that it takes a while, and what does not."""
    minutes = round(number / 10_000)
    how_long = f"{minutes:,} minutes and more" if minutes > 1 else "a minute or so"
    return f"{_TITLES[method]} of {count(number, 'specimen')} takes {how_long}; PCA takes seconds"


def _usual(number: int, remarks: list[str]) -> Projection:
    """The projection where none was asked for: t-SNE, unless there are too few or very many."""
    if number < LEAST["tsne"]:
        remarks.append(f"{count(number, 'specimen is', 'specimens are')} too few for t-SNE: this is PCA")
        return "pca"
    if number > SLOW:
        remarks.append(
            f"{number:,} specimens take minutes by t-SNE: this is PCA; --method tsne does it all the same, --sample "
            f"{SLOW // 2} quicker"
        )
        return "pca"
    return "tsne"


@dataclass(frozen=True)
class _Words:
    """How a map speaks of its colours: what they go by, several of these, points without, and that there are none."""

    by: str
    several: str
    rest: str
    none: str


def _words(by: str) -> _Words:
    if by == CLUSTER:
        nothing = "nothing is in a cluster: `morphoindex cluster`"
        return _Words("by cluster", "clusters", "not clustered", nothing)
    if by == CLUSTER_NAME:
        nothing = "no cluster has a name: `morphoindex clusters name`"
        return _Words("by name of the cluster", "names of clusters", "in no cluster with a name", nothing)
    return _Words(f"by {by}", f"values of {by}", f"no {by}", f"no specimen has a {by}")


def _groups(index: Host, shown: Sequence[Specimen], by: str) -> list[Group]:
    """The points of each cluster, name of clusters, or value of a label, large ones first."""
    names = index.collection.catalog.names()
    values = [_value(one, by, names) for one in shown]
    counts = Counter(value for value in values if value)
    order = sorted(counts, key=lambda value: (-counts[value], value))
    rows: dict[str, list[int]] = {value: [] for value in order}
    for row, value in enumerate(values):
        if value:
            rows[value].append(row)
    if by == CLUSTER:
        column = telling(index.labels)
        called = {value: _called(value, names, [shown[row] for row in rows[value]], column) for value in order}
    else:
        called = {value: value for value in order}
    return [Group(called[value], np.array(rows[value], np.int64)) for value in order]


def _value(one: Specimen, by: str, names: Mapping[str, str]) -> str | None:
    """What a specimen is coloured by."""
    if by == CLUSTER:
        return one.cluster
    return names.get(one.cluster or "") if by == CLUSTER_NAME else one.labels.get(by) or None


def _called(cluster: str, names: Mapping[str, str], members: Sequence[Specimen], column: str | None) -> str:
    """A cluster with its name, else with the label most of its members have: "C0003: 93% Danaus plexippus"."""
    if cluster in names:
        return f"{cluster} {names[cluster]}"
    counts = Counter(value for one in members if column and (value := one.labels.get(column)))
    if not counts:
        return cluster
    most = min(counts, key=lambda value: (-counts[value], value))
    return f"{cluster}: {counts[most] / len(members):.0%} {most}"
