"""labels: what was given to specimens, and the way back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from morphoindex.cli.options import Shared, shared

if TYPE_CHECKING:
    from morphoindex.indexer.results.labels import LabelChange, LabelsGiven, LabelsTakenBack, Relabelling

_LISTED = 25
_FEW = 5
_NAMED = 3


@click.group()
def labels() -> None:
    """See which labels were replaced, and put them back.

    `morphoindex add --labels` gives labels, and what stood in their place is kept: each such time has a number.
    """


@labels.command()
@click.argument("number", required=False, type=int)
@shared
def history(shared: Shared, number: int | None) -> None:
    """All times that specimens got other labels; with a NUMBER, what became what."""
    from morphoindex.cli import render

    if number is None:
        with shared.open() as index:
            found = index.labels.history()
        empty = "No labels were replaced: `morphoindex add PHOTOS --labels …` gives them."
        shared.answer(found, lambda: _entries(found.entries) if found.entries else render.line(empty))
        return
    with shared.open() as index:
        detail = index.labels.show(number)

    def tell() -> None:
        _entries([detail.entry])
        changes(detail.changes, _LISTED)

    shared.answer(detail, tell)


@labels.command()
@click.argument("number", required=False, type=int)
@click.option("--dry-run", is_flag=True, help="Only say what it would be.")
@shared
def undo(shared: Shared, number: int | None, dry_run: bool) -> None:
    """Give specimens the labels back that they had: before the last `add --labels`, or before that of a NUMBER.

    Labels that were given anew since stay as they are; when those are undone too, what was there before both comes
    back. The NUMBER is that of `morphoindex labels history`.
    """
    with shared.open() as index:
        done = index.labels.undo(number, dry_run=dry_run)
    shared.answer(done, lambda: _taken_back(done))


def given(found: LabelsGiven, how: str, dry_run: bool) -> None:
    """Print what became of labels that were given as `how` says."""
    from morphoindex.cli import render

    if found.unused and "{" in how:
        render.line("Labels: the pattern fits none of the files.", "yellow")
        return
    get, change, stay = ("would get", "would change", "would stay") if dry_run else ("got", "changed", "stayed")
    whose = "its" if found.first == 1 else "their"
    words = [
        words
        for number, words in (
            (found.first, f"{render.count(found.first, 'specimen')} {get} {whose} first labels"),
            (found.further, f"{render.count(found.further, 'specimen')} {get} further ones"),
            (found.changed, f"{render.count(found.changed, 'label')} {change}"),
            (found.kept, f"{found.kept:,} {stay}"),
        )
        if number
    ]
    if words:
        back = "" if found.number is None else f" Undo: `morphoindex labels undo {found.number}`."
        render.line(f"Labels: {', '.join(words)}.{back}")
    if found.new_columns:
        columns = "columns" if len(found.new_columns) > 1 else "column"
        render.line(f"Labels: {columns} new to the index: {', '.join(found.new_columns)}.")
    changes(found.changes, _FEW)
    if found.without:
        what = render.count(found.without, "file")
        render.line(f"Labels: none for {what}: {_such_as(found.without_such_as, found.without)}.", "yellow")
    for name, paths in list(found.several.items())[:_NAMED]:
        shown = " and ".join(map(render.short, paths))
        render.line(f"Labels: {name} names several files, such as {shown}: name them with their folders.", "yellow")
    if len(found.several) > _NAMED:
        render.line(f"Labels: … and so do {len(found.several) - _NAMED:,} more names: --json lists all.", "yellow")
    if found.unused:
        what = render.count(len(found.unused), "row of the table", "rows of the table")
        render.line(f"Labels: {what} met no file: {_such_as(found.unused, len(found.unused))}.", "yellow")


def changes(found: Sequence[LabelChange], most: int) -> None:
    """Print what became what."""
    from morphoindex.cli import render

    if not found:
        return
    rows = [
        (one.column, one.old or "", one.new or "", f"{one.specimens:,}", render.short(one.path)) for one in found[:most]
    ]
    render.table(("label", "was", "is", "specimens", "such as"), rows, right=("specimens",))
    if len(found) > most:
        render.line(f"… and {len(found) - most:,} more: --json lists all.")


def _such_as(paths: Sequence[str], number: int) -> str:
    from morphoindex.cli import render

    shown = ", ".join(render.short(path) for path in paths[:_NAMED])
    return f"{shown} and {number - _NAMED:,} more" if number > _NAMED else shown


def _entries(found: Sequence[Relabelling]) -> None:
    from morphoindex.cli import render

    rows = [
        (
            f"{one.number}", one.time[:16].replace("T", " "), f"{one.specimens:,}", f"{one.given:,}",
            f"{one.changed:,}", f"{one.taken:,}",
            (one.how if one.undoes is None else f"undo of {one.undoes}") + (" (undone)" if one.undone else ""),
        )
        for one in found
    ]  # fmt: skip
    numbers = ("number", "specimens", "given", "changed", "taken away")
    render.table(("number", "when", "specimens", "given", "changed", "taken away", "by"), rows, right=numbers)


def _taken_back(done: LabelsTakenBack) -> None:
    from morphoindex.cli import render

    get, count = ("would get", "would count") if done.dry_run else ("got", "counts")
    whose = render.count(done.specimens, "specimen") if done.specimens else "no specimen"
    render.line(
        f"Labels of {done.how} (number {done.undoes}): {whose} {get} back what "
        f"{'it' if done.specimens < 2 else 'they'} had."
    )
    changes(done.changes, _FEW)
    if done.columns_gone:
        columns = "column" if len(done.columns_gone) == 1 else "columns"
        render.line(f"Without any value, and gone from the index: the {columns} {', '.join(done.columns_gone)}.")
    if done.since:
        what = render.count(done.since, "label was", "labels were")
        stay = "stays" if done.since == 1 else "stay"
        render.line(f"{what} given anew since, and {stay}; number {done.undoes} {count} no more.", "yellow")
    if done.gone:
        what = render.count(done.gone, "specimen is", "specimens are")
        render.line(f"{what} no longer in the index.", "yellow")
