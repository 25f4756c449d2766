"""check, rebuild."""

from __future__ import annotations

import shlex

import click

from morphoindex.cli.options import Shared, shared


@click.command()
@click.option("--files", is_flag=True, help="Also look whether every photograph is still where it was.")
@shared
@click.pass_context
def check(ctx: click.Context, shared: Shared, files: bool) -> None:
    """Compare the catalog with the store and the journal, and name every difference. Changes nothing."""
    from morphoindex.cli import render

    with shared.open() as index:
        result = index.check(files)

    def show() -> None:
        for problem in result.problems:
            render.line(problem, "yellow")
        counts = (result.specimens, "specimen"), (result.paths, "path"), (result.runs, "clustering run")
        for held in result.encoders:
            if held.lacking:
                render.line(
                    f"{render.count(held.lacking, 'specimen')} without a vector of {held.name}: "
                    f"`morphoindex reembed --encoder {shlex.quote(held.name)}` reads their photographs again."
                )
        compared = ", ".join(render.count(*counted) for counted in counts)
        if result.clean:
            render.line(f"Clean: {compared}.")
        else:
            problems = render.count(len(result.problems), "problem")
            render.line(f"{problems} in {compared}.")
            render.line(
                "`morphoindex rebuild` makes the catalog again; `morphoindex add FOLDER` takes note of files there "
                "that were moved or are gone."
            )

    shared.answer(result, show)
    if not result.clean:
        ctx.exit(1)


@click.command()
@shared
def rebuild(shared: Shared) -> None:
    """Make the catalog again from the store and the journal."""
    from morphoindex.cli import render

    with shared.open() as index:
        specimens = index.rebuild()
    shared.answer(
        {"specimens": specimens}, lambda: render.line(f"Rebuilt the catalog: {render.count(specimens, 'specimen')}.")
    )
