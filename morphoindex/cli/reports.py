"""report: what was found, on the screen and in files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from morphoindex.cli.options import Shared, shared

if TYPE_CHECKING:
    from morphoindex.indexer.folders.picture_folder import Files
    from morphoindex.indexer.results.reports import FolderWritten, ReportWritten

_LISTED = 20
_NAMED = 5
_FORMATS = ("csv", "parquet", "json", "xlsx")
_COORDINATES = ("pca", "tsne", "umap", "none")


@click.group(invoke_without_command=True)
@shared
@click.pass_context
def report(ctx: click.Context, shared: Shared) -> None:
    """What was found: an overview on the screen, or one of the reports below.

    Tables go to the screen, or with --format or --out FILE to a file. Beside each file, and in each folder, a small
    file `provenance.json` says how it was made.
    """
    if ctx.invoked_subcommand:
        ctx.obj = shared
    else:
        _overview(shared)


def _overview(shared: Shared) -> None:
    from morphoindex.cli import render

    with shared.open() as index:
        result = index.overview()

    def show() -> None:
        run = (
            f"by {result.method} {result.parameters}".rstrip()
            if result.method
            else "not clustered yet: `morphoindex cluster`"
        )
        seen = f" in {render.count(result.encounters, 'encounter')}" if result.encounters is not None else ""
        render.line(
            f"{render.count(result.specimens, 'specimen')}{seen}, "
            f"{render.count(len(result.clusters), 'cluster')}, {run}"
        )
        column = result.label or "label"
        rows = [
            (
                c.id,
                f"{c.size:,}",
                *([f"{c.encounters or 0:,}"] if seen else []),
                c.name,
                c.label,
                f"{c.share:.0%}" if c.label else "",
            )
            for c in result.clusters[:_LISTED]
        ]
        if rows:
            size = ("images", "encounters") if seen else ("size",)
            columns = ("cluster", *size, "name", f"most frequent {column}", "share")
            render.table(columns, rows, right=(*size, "share"))
        if len(result.clusters) > _LISTED:
            render.line(f"… and {render.count(len(result.clusters) - _LISTED, 'smaller cluster')}")
        for name, values in result.labels.items():
            line = f"{name}: {render.count(len(values), 'value')}"
            if len(values) <= max(20, result.specimens / 4):  # else nearly each specimen has its own
                line += ": " + ", ".join(f"{value} {count:,}" for value, count in values[:8])
            render.line(line + (", …" if len(values) > 8 else ""))
        for reason, count in result.refused:
            render.line(f"refused: {render.count(count, 'path')}: {reason}", "yellow")

    shared.answer(result, show)


def _to_a_file(formats: Sequence[str], default: str) -> Callable[..., Any]:
    """The options of a report that goes to a file."""

    def options(command: Callable[..., Any]) -> Callable[..., Any]:
        command = click.option("--out", type=click.Path(path_type=Path), metavar="FILE",
                               help=f"Where to write it. With --format alone: {default}.")(command)  # fmt: skip
        kinds = click.Choice(formats)
        return click.option("--format", "format_", type=kinds, help="Default: by the ending of FILE.")(command)

    return options


def _methods(help: str) -> Callable[..., Any]:
    return click.option("--method", "methods", multiple=True, metavar="METHOD", help=help)


_seed = click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of what is left to chance.")
_force = click.option("--force", is_flag=True, help="Also into a folder that is not empty.")
_out = click.option("--out", type=click.Path(path_type=Path), required=True, metavar="DIR", help="The folder.")


@report.command()
@_to_a_file(_FORMATS, "assignments.FORMAT here, clustering_results.xlsx for a workbook")
@click.option("--suggestions", is_flag=True, help="Columns with the cluster suggested for what is in none.")
@click.option("--coordinates", type=click.Choice(_COORDINATES), multiple=True,
              help="Columns with places on a map; repeatable. Default: pca and tsne in a workbook.")  # fmt: skip
@_methods("Columns with the clusters by this method too, such as hdbscan or kmeans; repeatable.")
@_seed
@shared
def assignments(
    shared: Shared, format_: str | None, out: Path | None, suggestions: bool, coordinates: tuple[str, ...],
    methods: tuple[str, ...], seed: int,
) -> None:  # fmt: skip
    """One row a path: path, id, cluster, its name, verified, probability, labels."""
    _table(
        shared, "assignments", format_, out, methods=methods, coordinates=coordinates or None, seed=seed,
        suggestions=suggestions,
    )  # fmt: skip


@report.command()
@_to_a_file(_FORMATS, "clusters.FORMAT here")
@shared
def clusters(shared: Shared, format_: str | None, out: Path | None) -> None:
    """One row a cluster: size, most frequent label, closeness, the most central specimen."""
    _table(shared, "clusters", format_, out)


@report.command()
@_to_a_file(_FORMATS, "species.FORMAT here")
@click.option("--by", metavar="LABEL", help="The label column. Default: the lowest rank.")
@shared
def species(shared: Shared, format_: str | None, out: Path | None, by: str | None) -> None:
    """One row a species, or a value of another label: its specimens, and the clusters they are in."""
    _table(shared, "species", format_, out, by=by)


@report.command()
@_to_a_file(_FORMATS, "ingest.FORMAT here")
@shared
def ingest(shared: Shared, format_: str | None, out: Path | None) -> None:
    """One row for every path seen: state, reason, size, time. Refusals go with `rebuild`, until the next `add`."""
    _table(shared, "ingest", format_, out)


@report.command()
@_to_a_file(_FORMATS, "missing.FORMAT here")
@click.option("--content", is_flag=True, help="Read every photograph, and compare its content. Takes long.")
@shared
def missing(shared: Shared, format_: str | None, out: Path | None, content: bool) -> None:
    """One row a photograph that is not where or not as it was: deleted, moved, changed. See `check --files`."""
    _table(shared, "missing", format_, out, content=content)


@report.command()
@_to_a_file(_FORMATS, "metrics.FORMAT here")
@_methods("The clusters by this method beside those of the index; repeatable.")
@click.option("--labels", metavar="COLUMN", help="The label column to compare with. Default: the lowest rank.")
@shared
def metrics(
    shared: Shared, format_: str | None, out: Path | None, methods: tuple[str, ...], labels: str | None
) -> None:
    """How good the clusters are: what `evaluate` works out, one row a method."""
    _table(shared, "metrics", format_, out, methods=methods, by=labels)


@report.command()
@_to_a_file(("npz", "parquet", "json", "pkl"), "embeddings.FORMAT here")
@click.option("--encoder", metavar="E", help="Of this encoder of the index instead of the current one.")
@shared
def embeddings(shared: Shared, format_: str | None, out: Path | None, encoder: str | None) -> None:
    """Ids, paths and vectors."""
    from morphoindex.errors import UsageError

    if out is None and format_ is None:
        raise UsageError("report embeddings goes to a file: --out embeddings.npz")
    with shared.open() as index:
        written = index.report("embeddings", format_, out, encoder=encoder)
    _written(shared, written)


@report.command("map")
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE",
              help="The picture; replaced, if it is there. Default: a new one, map.png.")  # fmt: skip
@click.option("--method", type=click.Choice(("pca", "tsne", "umap")),
              help="Default: tsne, of very many specimens pca. umap needs umap-learn.")  # fmt: skip
@click.option("--by", default="cluster", show_default=True, metavar="cluster|cluster_name|LABEL",
              help="What colours mean.")  # fmt: skip
@click.option("--sample", type=int, metavar="N", help="Only so many specimens, at random.")
@_seed
@click.option("--encoder", metavar="E", help="By the vectors of this encoder of the index, not the current one.")
@shared
def map_(
    shared: Shared, out: Path | None, method: Any, by: str, sample: int | None, seed: int, encoder: str | None
) -> None:
    """A map of the specimens as a PNG: what is alike lies near each other, in the colours of clusters or of a label."""
    with shared.open() as index:
        written = index.report_map(out, method, by=by, sample=sample, seed=seed, encoder=encoder)
    _written(shared, written, "specimen")


@report.command()
@_out
@click.option("--cluster", "only", multiple=True, metavar="CLUSTER",
              help="Only this one, or not-clustered; repeatable.")  # fmt: skip
@click.option("--most", type=click.IntRange(1), metavar="N",
              help="Of a larger cluster the nearest to its middle, and the outliers. Default: 144.")  # fmt: skip
@_force
@shared
@click.pass_context
def sheets(ctx: click.Context, shared: Shared, out: Path, only: tuple[str, ...], most: int | None, force: bool) -> None:
    """A contact sheet of each cluster: members in order of distance to its middle, outliers marked; and of the rest."""
    from morphoindex.cli.progress import copying

    with shared.open() as index, copying(not (shared.quiet or shared.json)) as done:
        written = index.report_sheets(out, only, most=most, force=force, report=done)
    _filled(ctx, shared, written, "sheet")


@report.command()
@_out
@click.option("--files", type=click.Choice(("link", "symlink", "copy")), default="link", show_default=True,
              help="Hard links or symbolic links, which take no room, or copies.")  # fmt: skip
@_force
@shared
@click.pass_context
def folders(ctx: click.Context, shared: Shared, out: Path, files: Files, force: bool) -> None:
    """A folder for each cluster with its photographs, not-clustered for the rest, and a manifest.csv."""
    from morphoindex.cli.progress import copying

    with shared.open() as index, copying(not (shared.quiet or shared.json)) as done:
        written = index.report_folders(out, files, force=force, report=done)
    _filled(ctx, shared, written, "file")


@report.command()
@_out
@_force
@shared
def labels(shared: Shared, out: Path, force: bool) -> None:
    """Label summaries: statistics.csv, and of each label LABEL_counts.csv and unique_LABEL.txt."""
    from morphoindex.cli import render

    with shared.open() as index:
        written = index.report_labels(out, force=force)

    def show() -> None:
        render.line(f"Wrote {render.count(len(written.files), 'file')} to {render.short(written.folder)}.")
        rows = [(one.label, f"{len(one.counts):,}", f"{one.labelled:,}") for one in written.labels]
        render.table(("label", "values", "labelled"), rows, right=("values", "labelled"))

    shared.answer(written, show)


def _table(shared: Shared, kind: str, format: str | None, out: Path | None, **wish: Any) -> None:
    """To a file where one is named or meant, else to the screen."""
    from morphoindex.cli import render

    if out is not None or format is not None:
        with shared.open() as index:
            written = index.report(kind, format, out, **wish)
        _written(shared, written)
        return
    if wish.get("coordinates", ()) is None:
        wish["coordinates"] = ()
    with shared.open() as index:
        found = index.table(kind, **wish)
    if kind == "clusters" and not found.rows:
        from morphoindex.indexer.reports.files import NOTHING

        shared.remark(NOTHING)
    shared.answer(
        {"report": kind, "columns": list(found.columns), "rows": [list(row) for row in found.rows]},
        lambda: render.paged(*_for_the_screen(found.columns, found.rows, everything=kind != "metrics")),
    )


def _for_the_screen(
    columns: Sequence[str], rows: Sequence[Sequence[Any]], everything: bool
) -> tuple[list[str], list[list[str]], list[str]]:
    """Columns, rows and the columns that are flush right: paths last, as they are long, and numbers short.

    Without `everything` columns that are empty are left out.
    """
    from morphoindex.cli import render

    paths = ("path", "medoid_path")
    order = sorted(range(len(columns)), key=lambda i: columns[i] in paths)
    order = [i for i in order if everything or any(row[i] is not None for row in rows)]
    numbers = [
        columns[i]
        for i in order
        if any(isinstance(row[i], int | float) and not isinstance(row[i], bool) for row in rows[:_LISTED])
    ]

    def cell(column: str, value: Any) -> str:
        if column in paths and value is not None:
            return render.short(value)
        if isinstance(value, bool):
            return "yes" if value else ""
        if isinstance(value, int) and column != "mtime_ns":
            return f"{value:,}"
        if isinstance(value, float):
            return f"{value:.3f}"
        return "" if value is None else str(value)[:12] if column in ("id", "medoid", "encounter") else str(value)

    shown = [[cell(columns[i], row[i]) for i in order] for row in rows]
    return [columns[i] for i in order], shown, numbers


def _written(shared: Shared, written: ReportWritten, of: str = "row") -> None:
    from morphoindex.cli import render

    for remark in written.remarks:
        shared.remark(remark)
    shared.answer(written, lambda: render.line(f"Wrote {render.count(written.rows, of)} to {written.out}."))


def _filled(ctx: click.Context, shared: Shared, written: FolderWritten, of: str) -> None:
    from morphoindex.cli import render

    for remark in written.remarks:
        shared.remark(remark)
    if written.before:
        shared.remark(f"{render.count(written.before, 'file')} lay there already")
    for one in written.missing[:_NAMED]:
        shared.remark(f"not there: {render.short(one.path)}: {one.reason}")
    if written.missing:
        shared.remark(
            f"{render.count(len(written.missing), 'photograph')} could not be had: `morphoindex add` their folders, "
            "then once more into a new folder"
        )
    clusters = f" of {render.count(written.clusters, 'cluster')}" if written.clusters else ""
    shared.answer(
        written,
        lambda: render.line(f"{render.count(written.files, of)}{clusters} in {render.short(written.folder)}."),
    )
    if written.missing:
        ctx.exit(1)
