"""Reports as files, each with its provenance beside it; and as rows, for the screen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from morphoindex.errors import UsageError
from morphoindex.indexer.clustering.labels import NOISE
from morphoindex.indexer.clustering.projection import LEAST, PROJECTIONS, SLOW, WHILE, Projection, project
from morphoindex.indexer.clusters.suggesting import suggested
from morphoindex.indexer.files.provenance import write_provenance
from morphoindex.indexer.files.table_files import FORMATS, Sheet, format_of, write_table
from morphoindex.indexer.holdings.history import read_history
from morphoindex.indexer.host import Host
from morphoindex.indexer.judgement.contenders import labels_by, too_many
from morphoindex.indexer.judgement.evaluation import evaluate, last_run, metrics_sheet
from morphoindex.indexer.output_folder import not_named
from morphoindex.indexer.paths import to_text
from morphoindex.indexer.reports import embeddings, tables
from morphoindex.indexer.reports.maps import slow
from morphoindex.indexer.reports.runs import clustering_of
from morphoindex.indexer.results.reports import ReportWritten

KINDS = ("assignments", "clusters", "species", "ingest", "missing", "metrics", "embeddings")
NONE = "none"
NOTHING = "nothing is in a cluster: `morphoindex cluster` groups what there is"
_DIGITS = 6  # of a coordinate
_WORKBOOK = "clustering_results.xlsx"


@dataclass(frozen=True)
class Wish:
    """What a table is to have, beside what it always has.

    Attributes:
        methods: names of `contenders.CONTENDERS`; of assignments further columns, of metrics further rows.
        coordinates: of `PROJECTIONS`, for assignments; "none" for none; None for what is usual: PCA and t-SNE in a
            workbook, else none.
        by: the label column of species and metrics.
        seed: of coordinates.
        suggestions: of assignments, where what is in no cluster may belong.
        content: of missing photographs, read those that are there.
    """

    methods: Sequence[str] = ()
    coordinates: Sequence[str] | None = None
    by: str | None = None
    seed: int = 0
    suggestions: bool = False
    content: bool = False


def table(index: Host, kind: str, wish: Wish, say: Callable[[str], None]) -> Sheet:
    """The rows of a report.

    Raises:
        UsageError: there is no such report, or it does not have what was wished for.
    """
    if kind not in KINDS or kind == "embeddings":
        raise UsageError(f"there is no table {kind!r}; there are {', '.join(KINDS[:-1])}")
    _see_together(kind, wish)
    if kind == "missing":
        return tables.missing_photographs(index, wish.content)
    if kind == "species":
        return tables.species(index, wish.by)
    if kind == "metrics":
        return metrics_sheet(
            evaluate(index, wish.by, None, wish.methods, lambda method: say(f"clustering by {method}"))
        )
    if kind == "assignments":
        extras = (_suggested(index) if wish.suggestions else {}) | _labels(index, wish.methods, say)
        return tables.assignments(index, extras | _coordinates(index, wish.coordinates or (), wish.seed, say))
    return tables.TABLES[kind](index)


def _see_together(kind: str, wish: Wish) -> None:
    """See that a table can have what was wished for.

    Raises:
        UsageError: it cannot.
    """
    if wish.by is not None and kind not in ("species", "metrics"):
        raise UsageError("a label column goes with species and metrics: the other tables have all of them")
    if wish.methods and kind not in ("assignments", "metrics"):
        raise UsageError("methods go with assignments and metrics: the other tables are of the clusters that are kept")
    if wish.coordinates and kind != "assignments":
        raise UsageError("coordinates go with assignments")
    if wish.suggestions and kind != "assignments":
        raise UsageError("suggestions go with assignments")
    if wish.content and kind != "missing":
        raise UsageError("content goes with missing")


def default_file(kind: str, format: str) -> Path:
    """Where a report goes that nobody named a file for: `clusters.csv`, and assignments to a workbook of a known name.

    Raises:
        UsageError: there is a file of that name: it may be somebody's work by now.
    """
    return not_named(_WORKBOOK if (kind, format) == ("assignments", "xlsx") else f"{kind}.{format}")


def write_report(
    index: Host, kind: str, format: str | None, out: Path | None, wish: Wish, say: Callable[[str], None]
) -> ReportWritten:
    """Write a report to a file, and its provenance; see `Index.report`."""
    if kind not in KINDS:
        raise UsageError(f"there is no report {kind!r}; there are {', '.join(KINDS)}")
    formats = embeddings.FORMATS if kind == "embeddings" else FORMATS
    if out is None:
        out = default_file(kind, format_of(Path(kind), format, formats))
    format = format_of(out, format, formats)
    remarks: list[str] = []
    if kind == "embeddings":
        rows = embeddings.write_embeddings(index, out, format)
    else:
        if kind == "assignments" and format == "xlsx" and wish.coordinates is None:
            wish = replace(wish, coordinates=_usual(index, remarks))
        written = write_table(out, table(index, kind, wish, say), format)
        rows = written.rows
        if kind == "clusters" and not rows:
            remarks.append(NOTHING)
        if written.cut:
            remarks.append(f"texts longer than a cell of Excel takes were cut: {written.cut:,}")
    entry = None if kind in ("ingest", "missing") else index.entry
    told_in = write_provenance(
        out, f"report {kind}", _parameters(format, wish, kind), entry, rows=rows, clustering=clustering_of(index)
    )
    return ReportWritten(kind, format, to_text(str(out)), to_text(str(told_in)), rows, tuple(remarks))


def _parameters(format: str, wish: Wish, kind: str) -> dict[str, Any]:
    more: dict[str, Any] = {}
    if kind == "assignments":
        more = {
            "methods": list(wish.methods), "coordinates": list(wish.coordinates or ()), "seed": wish.seed,
            "suggestions": wish.suggestions,
        }  # fmt: skip
    if kind == "metrics":
        more = {"methods": list(wish.methods)}
    if kind == "missing":
        more = {"content": wish.content}
    return {"format": format, **more, **({"by": wish.by} if wish.by else {})}


def _suggested(index: Host) -> dict[str, tables.Extra]:
    found = suggested(index)
    return {
        "suggested": {specimen: cluster for specimen, (cluster, _) in found.items()},
        "suggested_probability": {specimen: probability for specimen, (_, probability) in found.items()},
    }


def _usual(index: Host, remarks: list[str]) -> list[Projection]:
    """The coordinates of a workbook: PCA and t-SNE, unless there are too few or very many specimens for that."""
    count = index.collection.catalog.specimens()
    if count > SLOW:
        remarks.append(
            f"without t-SNE, which takes minutes for {count:,} specimens: --coordinates pca --coordinates tsne has it"
        )
    elif count < LEAST["tsne"]:
        remarks.append(f"without t-SNE, which takes at least {LEAST['tsne']} specimens, and there are {count}")
    else:
        return ["pca", "tsne"]
    return ["pca"] if count else []


def _labels(index: Host, methods: Sequence[str], say: Callable[[str], None]) -> dict[str, Mapping[str, Any]]:
    """Columns `cluster_by_METHOD`: specimen → number of its cluster, none for noise.

    A method of the last run goes by the parameters of that run.
    """
    if not methods:
        return {}
    run, forest = last_run(read_history(index.journal)), index.graph()
    found: dict[str, Mapping[str, Any]] = {}
    for method in dict.fromkeys(methods):
        if not too_many(method, len(forest)):
            say(f"clustering by {method}")
        labels = labels_by(method, forest, run if run is not None and run.method == method else None).labels
        numbers = [None if number == NOISE else number for number in labels.tolist()]
        found[f"cluster_by_{method}"] = dict(zip(forest.keys, numbers, strict=True))
    return found


def _coordinates(
    index: Host, methods: Sequence[str], seed: int, say: Callable[[str], None]
) -> dict[str, Mapping[str, Any]]:
    """Columns `pca_1`, `pca_2`, …: specimen → coordinate."""
    wanted = [method for method in PROJECTIONS if method in methods]
    unknown = [method for method in methods if method not in (*PROJECTIONS, NONE)]
    if unknown:
        raise UsageError(f"there are no coordinates {unknown[0]!r}; there are {', '.join(PROJECTIONS)}, {NONE}")
    if NONE in methods and wanted:
        raise UsageError(f"coordinates {NONE} and {wanted[0]} at once: leave one out")
    if not wanted:
        return {}
    loaded = index.collection.load()
    ids = [one.id for one in loaded.specimens]
    found: dict[str, Mapping[str, Any]] = {}
    for method in wanted:
        if method != "pca" and len(ids) > WHILE:
            say(slow(method, len(ids)))
        placed = project(loaded.matrix, method, seed).round(_DIGITS) + 0.0  # no minus before a zero
        for axis in (0, 1):
            found[f"{method}_{axis + 1}"] = dict(zip(ids, placed[:, axis].tolist(), strict=True))
    return found
