"""dedup: near-duplicates, and what is done about them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from morphoindex.cli.options import Shared, shared

if TYPE_CHECKING:
    from morphoindex.indexer.results.common import Decided
    from morphoindex.indexer.results.duplicates import DedupResult, Duplicate, HandedOut

_LISTED = 25
_WORDS = {"bytes": "same file", "frame": "whole", "points": "in part"}


@click.command()
@click.option("--threshold", type=float, metavar="COSINE",
              help="Compare only pairs of at least this similarity.  [default: 0.5]")  # fmt: skip
@click.option("--neighbours", type=int, metavar="K",
              help="Compare each only with its K nearest.  [default: 32, and at most]")  # fmt: skip
@click.option("--apply", is_flag=True, help="Tag the others as duplicate_of the best one, for --where, sql and sample.")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR",
              help="Copy the others there, with a duplicates.csv; the best ones stay where they are.")  # fmt: skip
@click.option("--link", is_flag=True, help="With --out: make hard links instead of copies.")
@click.option("--move", is_flag=True, help="With --out: move them there. They stay in the index, without a file.")
@click.option("--not", "distinct", nargs=2, metavar="ID|PATH ID|PATH",
              help="Say that two are not near-duplicates. They are never grouped again.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Only say what --apply, --out or --not would do.")
@shared
def dedup(
    shared: Shared, threshold: float | None, neighbours: int | None, apply: bool, out: Path | None, link: bool,
    move: bool, distinct: tuple[str, str] | None, dry_run: bool,
) -> None:  # fmt: skip
    """Groups of files that show the same photograph, and the best of each: re-encoded, resized, mirrored, turned, cut.

    Near specimens are compared by their pictures, each pair once. The best has the most pixels, then is the sharpest,
    then the earliest. Nothing is deleted. Tags and --not are decisions: `clusters undo` takes them back.
    """
    from morphoindex.cli.progress import comparing

    how = _see_that_options_agree(apply, out, link, move, distinct, dry_run, threshold, neighbours)
    with shared.open() as index:
        if distinct:
            _tell(shared, index.duplicates.distinct(*distinct, dry_run=dry_run))
            return
        with comparing(not shared.quiet and not shared.json) as report:
            result = index.duplicates.find(threshold, neighbours=neighbours, report=report)
        tagged = index.duplicates.tag(result, dry_run=dry_run) if apply else None
        brought = index.duplicates.hand_over(result, out, how, dry_run=dry_run) if out is not None else None
    answer: dict[str, Any] = asdict(result)
    answer |= {"applied": asdict(tagged) if tagged else None} if apply else {}
    answer |= {"out": asdict(brought)} if brought else {}

    def show() -> None:
        _show(result)
        if apply:
            _show_tags(tagged)
        if brought:
            _show_brought(brought)

    shared.answer(answer, show)
    if result.unread or (brought and brought.missing):
        click.get_current_context().exit(1)


def _see_that_options_agree(
    apply: bool, out: Path | None, link: bool, move: bool, distinct: tuple[str, str] | None, dry_run: bool,
    threshold: float | None, neighbours: int | None,
) -> Literal["copy", "link", "move"]:  # fmt: skip
    if link and move:
        raise click.UsageError("--link and --move: one of the two.")
    if (link or move) and out is None:
        raise click.UsageError(f"--{'link' if link else 'move'} goes with --out DIR.")
    if distinct and (apply or out is not None or threshold is not None or neighbours is not None):
        raise click.UsageError("--not goes alone: say it first, then run dedup again.")
    if dry_run and not (apply or out is not None or distinct):
        raise click.UsageError("--dry-run goes with --apply, --out or --not; dedup by itself changes nothing.")
    return "link" if link else "move" if move else "copy"


def _show(result: DedupResult) -> None:
    from morphoindex.cli import render

    files = sum(len(group.drop) for group in result.groups)
    compared = f", {result.compared:,} compared now" if result.compared else ", none new"
    render.line(
        f"{render.count(len(result.groups), 'group')} of near-duplicates: {render.count(files, 'file')} beside a "
        f"better one ({render.count(result.pairs, 'pair')} looked at{compared}; {result.seconds:.1f} s)."
    )
    for group in result.groups[:_LISTED]:
        render.line(f"\nkeep              {render.short(group.keep)}")
        for other in group.drop:
            render.line(f"{other.similarity:.3f}  {_how(other):<9}  {render.short(other.path)}{_through(other)}")
    if len(result.groups) > _LISTED:
        more = render.count(len(result.groups) - _LISTED, "more group")
        render.line(f"\n… and {more}: --json has all, --out DIR brings the files.")
    if result.unread:
        first = result.unread[0]
        render.line(
            f"\nNot compared: {render.count(len(result.unread), 'file')}, such as {render.short(first.path)}: "
            f"{first.reason}.", "yellow",
        )  # fmt: skip


def _how(other: Duplicate) -> str:
    return _WORDS[other.how]


def _through(other: Duplicate) -> str:
    from morphoindex.cli import render

    return f"  (as {render.short(other.through)})" if other.through else ""


def _show_tags(done: Decided | None) -> None:
    from morphoindex.cli import render

    if done is None:
        render.line("\nTagged already.")
        return
    lead = "Would be decided" if done.dry_run else f"Decision {done.number}"
    back = f" Undo: `{done.undo}`." if done.undo else ""
    render.line(f"\n{lead}: {done.words}.{back} `--where 'duplicate_of is missing'` leaves them out.")


def _show_brought(done: HandedOut) -> None:
    from morphoindex.cli import render

    word = {"copy": "copied to", "link": "linked in", "move": "moved to"}[done.how]
    would = "would be " if done.dry_run else ""
    before = f"; {render.count(done.before, 'was', 'were')} there already" if done.before else ""
    render.line(f"\n{render.count(done.files, 'file')} {would}{word} {render.short(done.folder)}{before}.")
    if done.missing:
        first = done.missing[0]
        render.line(
            f"Left out: {render.count(len(done.missing), 'file')}, such as {render.short(first.path)}: {first.reason}.",
            "yellow",
        )


def _tell(shared: Shared, done: Decided) -> None:
    from morphoindex.cli import render

    shared.answer(done, lambda: render.decided(done))
