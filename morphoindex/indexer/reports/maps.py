"""A map of the specimens: each a point, near those that it is like, in the colour of its cluster or label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from morphoindex.errors import UsageError
from morphoindex.indexer.clustering.projection import LEAST, SLOW, WHILE, Projection, project
from morphoindex.indexer.host import Host
from morphoindex.indexer.paths import to_text
from morphoindex.indexer.provenance import write_provenance
from morphoindex.indexer.report_results import ReportWritten
from morphoindex.indexer.reports.map_drawing import LEGEND, Group, draw_map
from morphoindex.indexer.reports.runs import clustering_of, in_words
from morphoindex.indexer.reports.tables import chosen_label
from morphoindex.indexer.specimen import Specimen

CLUSTER = "cluster"
_TITLES = {"pca": "PCA", "tsne": "t-SNE", "umap": "UMAP"}


def write_map(
    index: Host,
    out: Path,
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
    if out.suffix.lower() != ".png":
        raise UsageError(f"{out}: a map is written as png: end the name so")
    column = None if by == CLUSTER else chosen_label(index, by)
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
    groups = _groups(index, shown, column)
    if not groups:
        reason = f"no specimen has a {column}" if column else "nothing is in a cluster: `morphoindex cluster`"
        remarks.append(f"{reason}; all points are grey")
    if len(groups) > LEGEND:
        words = f"values of {column}" if column else "clusters"
        remarks.append(
            f"{len(groups):,} {words} are more than a legend holds: the {LEGEND} largest have colours, the others are "
            "grey, with their names where there is room"
        )
    part = f" of {total:,}" if len(rows) < total else ""
    told = f"by {column}" if column else f"by cluster ({in_words(run)})" if run else "by cluster"
    rest = f"no {column}" if column else "not clustered"
    draw_map(out, f"{len(rows):,}{part} specimens, {_TITLES[chosen]}, {told}", placed, groups, rest)
    parameters = {"method": chosen, "by": by, "sample": sample, "seed": seed}
    told_in = write_provenance(out, "report map", parameters, index.entry, specimens=len(rows), clustering=run)
    return ReportWritten("map", "png", to_text(str(out)), to_text(str(told_in)), len(rows), tuple(remarks))


def slow(method: Projection, count: int) -> str:
    """A warning that it takes a while, and what does not."""
    minutes = round(count / 10_000)
    how_long = f"{minutes:,} minutes and more" if minutes > 1 else "a minute or so"
    return f"{_TITLES[method]} of {count:,} specimens takes {how_long}; PCA takes seconds"


def _usual(count: int, remarks: list[str]) -> Projection:
    """The projection where none was asked for: t-SNE, unless there are too few or very many."""
    if count < LEAST["tsne"]:
        remarks.append(f"{count:,} specimens are too few for t-SNE: this is PCA")
        return "pca"
    if count > SLOW:
        remarks.append(
            f"{count:,} specimens take minutes by t-SNE: this is PCA; --method tsne does it all the same, --sample "
            f"{SLOW // 2} quicker"
        )
        return "pca"
    return "tsne"


def _groups(index: Host, shown: Sequence[Specimen], column: str | None) -> list[Group]:
    """The points of each cluster, or of each value of a label, large ones first."""
    values = [one.labels.get(column) or None if column else one.cluster for one in shown]
    counts = Counter(value for value in values if value)
    names = index.collection.catalog.names()
    order = sorted(counts, key=lambda value: (-counts[value], value))
    rows: dict[str, list[int]] = {value: [] for value in order}
    for row, value in enumerate(values):
        if value:
            rows[value].append(row)
    named = {value: f"{value} {names[value]}" if not column and value in names else value for value in order}
    return [Group(named[value], np.array(rows[value], np.int64)) for value in order]
