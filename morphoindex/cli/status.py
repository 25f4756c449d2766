"""sql, status: what is in the index."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from morphoindex.cli.options import Shared, shared

if TYPE_CHECKING:
    from morphoindex.indexer.results.common import HeldEncoder


@click.command()
@click.argument("statement")
@shared
def sql(shared: Shared, statement: str) -> None:
    """Ask the catalog in SQL (DuckDB). Read-only, and only the index.

    There are the views specimens, paths, clusters, runs, events and decisions.

    \b
    morphoindex sql 'SELECT species, count(*) FROM specimens GROUP BY ALL'
    morphoindex sql "SELECT path, cluster FROM specimens JOIN paths USING (id) WHERE state = 'present'"
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
            ("clusters", f"{result.clusters:,} with {render.count(result.clustered, 'specimen')}"),
            ("labels", ", ".join(result.labels) or "none"),
            *(("root", f"{name} = {place}") for name, place in result.roots.items()),
        ]
        render.table(("", ""), rows)

    shared.answer(result, show)


def _encoder_in_words(held: HeldEncoder) -> str:
    from morphoindex.cli import render

    lacking = (
        f"; {render.count(held.lacking, 'specimen has', 'specimens have')} no vector of it" if held.lacking else ""
    )
    return f"{held.name}, {held.dim} dimensions, {held.fingerprint[:12]}{lacking}"
