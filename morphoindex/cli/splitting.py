"""split: sides of a data set that share nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from morphoindex.cli.options import Shared, shared

if TYPE_CHECKING:
    from morphoindex.indexer.results.splits import SplitResult

_LISTED = 15
_TOLD = 5


@click.command()
@click.argument("ratios", required=False, metavar="[80/10/10]")
@click.option("--names", metavar="A,B,C", help="Of the sides. Default: train,val,test, or train,test.")
@click.option(
    "--by", metavar="LABEL", help="Give each side its share of every value. Default: the lowest rank; '' for none."
)
@click.option(
    "--group", "groups", multiple=True, metavar="COLUMN",
    help="What has the same value, such as a source or an individual, stays together. Repeatable.",
)  # fmt: skip
@click.option("--site", metavar="COLUMN", help="What is of one site, or of one camera, stays together.")
@click.option("--night", is_flag=True, help="Only what was taken there in one night, noon to noon, does.")
@click.option("--seed", type=int, help="Another one deals otherwise.  [default: 0]")
@click.option("--name", default="main", show_default=True, help="An index can have several splits.")
@click.option("--anew", is_flag=True, help="Draw the split anew: what was in one side may go to another.")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR",
              help="Write a CSV for each side and certificate.json there.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Only say what it would come to.")
@shared
def split(
    shared: Shared, ratios: str | None, names: str | None, by: str | None, groups: tuple[str, ...], site: str | None,
    night: bool, seed: int | None, name: str, anew: bool, out: Path | None, dry_run: bool,
) -> None:  # fmt: skip
    """Divide the specimens into train, val and test such that nothing is on two sides.

    Near-duplicates and encounters stay together, and what you name with --group, --site and --night. The split is
    kept with the index: the same command again puts new specimens where what they belong to is, and moves none of the
    others.
    """
    sides = [one.strip() for one in names.split(",")] if names is not None else None
    from morphoindex.cli.progress import comparing

    with shared.open() as index, comparing(not (shared.quiet or shared.json)) as report:
        result = index.split(
            ratios, names=sides, by=by, groups=groups or None, site=site, night=night or None, seed=seed, name=name,
            anew=anew, out=out, dry_run=dry_run, report=report,
        )  # fmt: skip
    for words in _remarks(result):
        shared.remark(words)
    shared.answer(result, lambda: _show(result, out))


def _remarks(result: SplitResult) -> Iterator[str]:
    """What a person should know, in words."""
    from morphoindex.cli import render

    if result.held_back:
        these = ", ".join(render.short(one.path) if one.path else one.id for one in result.held_back[:_TOLD])
        more = f" and {len(result.held_back) - _TOLD:,} more" if len(result.held_back) > _TOLD else ""
        yield (
            f"{render.count(len(result.held_back), 'new specimen')} held back, on no side, since each belongs to what "
            f"is on several: {these}{more}"
        )
    for pair in result.bridged[:_TOLD]:
        yield f"{pair.ids[0]} and {pair.ids[1]} are on two sides, and linked by one that is held back ({pair.by})"
    for one in result.large[:_TOLD]:
        yield (
            f"{one.specimens:,} specimens that belong together are more than the smallest side should have: all of "
            f"them are in {one.side} ({one.example[:12]} is one)"
        )
    empty = [side.name for side in result.sides if not side.specimens]
    if empty:
        yield f"nothing is in {' and '.join(empty)}: too few groups for such shares"
    if result.one_group:
        these = ", ".join(result.one_group[:_TOLD])
        more = f" and {len(result.one_group) - _TOLD:,} more" if len(result.one_group) > _TOLD else ""
        yield f"in one group, and so on one side only: {these}{more}"
    for reason in result.grouped:
        if reason.unknown:
            yield f"{reason.by}: not known of {render.count(reason.unknown, 'specimen')}"


def _show(result: SplitResult, out: Path | None) -> None:
    from morphoindex.cli import render

    added = sum(side.added for side in result.sides)
    state = f"New split {result.name}" if result.begun else f"Split {result.name}, {added:,} new"
    by = f", each side with its share of every {result.plan.by}" if result.plan.by else ""
    render.line(f"{state}: {render.count(result.specimens, 'specimen')} in {render.count(result.groups, 'group')}{by}.")
    rows = [
        (
            side.name, f"{side.specimens:,}", f"{side.share:.1%}", f"{side.ratio:.1%}", f"{side.added:,}",
            f"{side.groups:,}", *([f"{len(side.labels):,}"] if result.plan.by else []),
        )
        for side in result.sides
    ]  # fmt: skip
    heads = ("side", "specimens", "share", "asked", "new", "groups", *([result.plan.by] if result.plan.by else []))
    render.table(heads, rows, right=heads[1:])
    for reason in result.grouped:
        render.line(
            f"Together by {reason.by}: {render.count(reason.specimens, 'specimen')} in "
            f"{render.count(reason.groups, 'group')}."
        )
    if result.closest:
        pair = result.closest
        ends = (
            f"{render.short(path) if path else one} ({side})"
            for path, one, side in zip(pair.paths, pair.ids, pair.sides, strict=True)
        )
        render.line("None of these groups is on two sides.")
        render.line(f"The closest pair across, cosine {pair.cosine:.3f}: {' and '.join(ends)}. Look at it.")
    if result.plan.by:
        _show_labels(result)
    if result.dry_run:
        render.line("Nothing was written.")
    elif out is not None:
        render.line(f"Manifests and certificate.json are in {out}.")


def _show_labels(result: SplitResult) -> None:
    """The values that are farthest from their shares."""
    from morphoindex.cli import render

    values = sorted({value for side in result.sides for value in side.labels})

    def off(value: str) -> float:
        counts = [side.labels.get(value, 0) for side in result.sides]
        return max(abs(c - sum(counts) * side.ratio) for c, side in zip(counts, result.sides, strict=True))

    farthest = sorted(values, key=lambda value: (-off(value), value))[:_LISTED]
    rows = [(f"{off(v):.1f}", *(f"{side.labels.get(v, 0):,}" for side in result.sides), v) for v in farthest]
    heads = ("off by", *(side.name for side in result.sides), str(result.plan.by))
    render.table(heads, rows, right=heads[:-1])
    if len(values) > _LISTED:
        render.line(f"… and {len(values) - _LISTED:,} more, nearer to their shares: --json has all.")
