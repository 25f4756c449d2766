"""report, sql, status: what is in the index, as tables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from morphoindex.cli.options import Shared, shared

if TYPE_CHECKING:
    from morphoindex.indexer.results import HeldEncoder

_LISTED = 20


@click.command()
@click.argument("kind", default="overview", type=click.Choice(["overview", "assignments", "embeddings", "ingest"]))
@click.option(
    "--format", "format_", type=click.Choice(["csv", "parquet", "json", "npz"]), help="Default: by the ending of FILE."
)
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Where to write it.")
@click.option("--encoder", metavar="E", help="embeddings: of this encoder of the index instead of the current one.")
@shared
def report(shared: Shared, kind: str, format_: str | None, out: Path | None, encoder: str | None) -> None:
    """What was found: an overview on the screen, or one of these written to a file.

    \b
    overview      clusters with their labels, label counts, reasons of refusals
    assignments   one row a path: path, id, cluster, its name, verified, probability, labels
    embeddings    ids, paths and vectors
    ingest        one row for every path ever seen: state, reason, size, time
    """
    from morphoindex.cli import render
    from morphoindex.errors import UsageError

    if encoder and kind != "embeddings":
        raise UsageError("--encoder goes with embeddings: the other reports are the same for all encoders")
    if kind == "overview":
        if out or format_:
            raise UsageError(
                "the overview goes to the screen (or --json); --out takes assignments, embeddings or ingest"
            )
        _overview(shared)
        return
    if out is None:
        raise UsageError(f"report {kind} needs --out FILE")
    format_ = format_ or out.suffix.lstrip(".").lower()
    with shared.open() as index:
        rows = index.report(kind, format_, out, encoder=encoder)
    shared.answer(
        {"report": kind, "format": format_, "out": str(out), "rows": rows},
        lambda: render.line(f"Wrote {render.count(rows, 'row')} to {out}."),
    )


def _overview(shared: Shared) -> None:
    from morphoindex.cli import render

    with shared.open() as index:
        result = index.overview()

    def show() -> None:
        run = f"by {result.method} {result.parameters}" if result.method else "not clustered yet: `morphoindex cluster`"
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
            render.line(f"… and {len(result.clusters) - _LISTED:,} smaller clusters")
        for name, values in result.labels.items():
            line = f"{name}: {render.count(len(values), 'value')}"
            if len(values) <= max(20, result.specimens / 4):  # else nearly each specimen has its own
                line += ": " + ", ".join(f"{value} {count:,}" for value, count in values[:8])
            render.line(line + (", …" if len(values) > 8 else ""))
        for reason, count in result.refused:
            render.line(f"refused: {render.count(count, 'path')}: {reason}", "yellow")

    shared.answer(result, show)


@click.command()
@click.argument("statement")
@shared
def sql(shared: Shared, statement: str) -> None:
    """Ask the catalog in SQL (DuckDB). Read-only, and only the index.

    There are the views specimens, paths, clusters, runs, events and decisions.

    \b
    morphoindex sql 'SELECT species, count(*) FROM specimens GROUP BY ALL'
    """
    from morphoindex.cli import render

    with shared.open() as index:
        result = index.sql(statement)
    values = [[_plain(value) for value in row] for row in result.rows]
    shared.answer(
        {"columns": list(result.columns), "rows": values},
        lambda: render.table(result.columns, values),
    )


def _plain(value: object) -> object:
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


@click.command()
@shared
def status(shared: Shared) -> None:
    """What the index holds."""
    from morphoindex.cli import render

    with shared.open() as index:
        result = index.status()

    def show() -> None:
        encoders = sorted(result.encoders, key=lambda held: not held.current)
        without = f" ({result.without_file:,} without a file)" if result.without_file else ""
        rows = [
            ("index", result.index),
            ("store", result.store),
            *([] if result.encoders else [("encoder", "none yet")]),
            *(("encoder" if held.current else "beside it", _encoder_in_words(held)) for held in encoders),
            ("specimens", f"{result.specimens:,}{without}"),
            *([] if result.encounters is None else [("encounters", f"{result.encounters:,}")]),
            ("paths", f"{result.paths:,}"),
            ("refused", f"{result.refused:,}"),
            ("clusters", f"{result.clusters:,} with {result.clustered:,} specimens"),
            ("labels", ", ".join(result.labels) or "none"),
            *(("root", f"{name} = {place}") for name, place in result.roots.items()),
        ]
        render.table(("", ""), rows)

    shared.answer(result, show)


def _encoder_in_words(held: HeldEncoder) -> str:
    lacking = f"; {held.lacking:,} specimens have no vector of it" if held.lacking else ""
    return f"{held.name}, {held.dim} dimensions, {held.fingerprint[:12]}{lacking}"
