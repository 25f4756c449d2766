"""check, rebuild."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from morphoindex.cli.options import Shared, shared

if TYPE_CHECKING:
    from morphoindex.indexer.results.missing import MissingPhotograph

_LISTED = 20
_WAYS_OUT = {
    "no folder": "connect its drive. Where the photographs lie elsewhere now, `morphoindex add` that folder; where "
    "they were deleted, `morphoindex remove` it.",
    "gone": "`morphoindex add` the folder where they are now; of what was deleted `morphoindex add` takes note in "
    "the folder where it was, and `morphoindex remove --without-file` takes it out.",
    "changed": "`morphoindex add` their folder takes in what they show now.",
    "touched": "`--content` reads them; `morphoindex add` their folder does, too, and takes note of their time.",
    "unreadable": "give yourself the right to read them, then look again.",
}


@click.command()
@click.option(
    "--files", is_flag=True, help="Also see that every photograph is where it was, of the size and time it had."
)
@click.option("--content", is_flag=True, help="Also read every photograph, and compare its content. Takes long.")
@shared
@click.pass_context
def check(ctx: click.Context, shared: Shared, files: bool, content: bool) -> None:
    """Compare the catalog with the store and the journal, and name every difference. Changes nothing.

    With --files or --content, photographs that were deleted, moved or changed are named too.
    """
    from morphoindex.cli import render
    from morphoindex.cli.progress import copying

    with shared.open() as index, copying(not (shared.quiet or shared.json), "looking") as done:
        result = index.check(files, content=content, report=done)

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
        if result.problems:
            render.line(f"{render.count(len(result.problems), 'problem')} in {compared}.")
            render.line("`morphoindex rebuild` makes the catalog again.")
        elif result.missing:
            render.line(f"The parts of the index agree: {compared}.")
        else:
            render.line(f"Clean: {compared}{'' if result.missing is None else '; every photograph is as it was'}.")
        if result.missing:
            _show_missing(result.missing, content)

    shared.answer(result, show)
    if not result.clean:
        ctx.exit(1)


def _show_missing(missing: Sequence[MissingPhotograph], content: bool) -> None:
    from morphoindex.cli import render

    total = sum(one.photographs for one in missing)
    rows = []
    for one in missing[:_LISTED]:
        notes = [one.reason] if one.state in ("no folder", "unreadable") else []
        notes += [render.count(one.photographs, "photograph")] if one.state == "no folder" else []
        notes += ["the same lies elsewhere too"] if one.elsewhere else []
        rows.append((one.state, render.short(one.path), ", ".join(notes)))
    render.table((f"{render.count(total, 'photograph')} not as added", "path", ""), rows)
    if len(missing) > _LISTED:
        option = " --content" if content else ""
        render.line(
            f"… and {len(missing) - _LISTED:,} more: `morphoindex report missing{option} --out missing.csv` lists all."
        )
    states = {one.state for one in missing}
    for state, words in _WAYS_OUT.items():
        if state in states:
            render.line(f"{state}: {words}")


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
