"""Tables and lines for people."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from morphoindex.indexer.words import count, listed

if TYPE_CHECKING:
    from morphoindex.indexer.results.common import Decided


__all__ = ["console", "count", "decided", "labels", "line", "listed", "paged", "short", "table"]


class _Output(Console):
    def on_broken_pipe(self) -> None:
        """Nobody reads on, as with `| head`: not an error."""
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0)


def console() -> Console:
    """Standard output. Lines are as long as they are: paths stay whole, and can be copied."""
    return _Output(highlight=False, soft_wrap=True)


def line(words: str, style: str = "") -> None:
    """One line of text, taken as it is."""
    console().print(Text(words, style=style))


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], right: Sequence[str] = ()) -> None:
    """A table; the columns named in `right` are set flush right. The last column is as wide as each of its cells."""
    cells = [["" if value is None else str(value) for value in row] for row in rows]
    widths = [max(len(row[i]) for row in [list(columns), *cells]) for i in range(len(columns) - 1)]
    if any(columns):
        console().print(Text(_aligned(columns, widths, columns, right), style="bold"))
    for row in cells:
        console().print(Text(_aligned(row, widths, columns, right)))


def paged(columns: Sequence[str], rows: Sequence[Sequence[Any]], right: Sequence[str] = ()) -> None:
    """A table that may be long: on a terminal in its pager, unless it fits the screen."""
    if not sys.stdout.isatty() or len(rows) + 2 <= console().height:
        table(columns, rows, right)
        return
    import click

    os.environ.setdefault("LESS", "-RFXS")  # long lines are cut off, and the arrow keys lead along them
    widths = [max(len(str(row[i])) for row in [list(columns), *rows]) for i in range(len(columns) - 1)]
    click.echo_via_pager(f"{_aligned([str(c) for c in row], widths, columns, right)}\n" for row in [columns, *rows])


def _aligned(row: Sequence[str], widths: Sequence[int], columns: Sequence[str], right: Sequence[str]) -> str:
    fixed = [
        cell.rjust(width) if column in right else cell.ljust(width)
        for cell, width, column in zip(row, widths, columns, strict=False)
    ]
    last = row[-1].rjust(len(columns[-1])) if columns[-1] in right else row[-1]
    return "  ".join([*fixed, last]).rstrip()


def short(path: str | None) -> str:
    """A path as seen from here, where that is shorter."""
    if path is None:
        return "(no file)"
    if not os.path.isabs(path):
        return path
    below = os.path.relpath(path)
    return below if not below.startswith("..") else path


def labels(values: Mapping[str, str]) -> str:
    """The one label that says most, the lowest rank there is: `{"family": "Apidae", "species": "Apis mellifera"}`."""
    from morphoindex.indexer.descriptions.labels import telling

    column = telling(values)
    return values[column] if column else ""


def decided(done: Decided, more: str = "") -> None:
    """Print what was decided, what more there is to say of it, and how it is undone."""
    lead = "Would be decided" if done.dry_run else f"Decision {done.number}"
    back = f" Undo: `{done.undo}`." if done.undo else ""
    line(f"{lead}: {done.words}.{more}{back}")
    for remark in done.remarks:
        line(f"Note: {remark}.", "yellow")
