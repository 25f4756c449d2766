"""sample: a subset, and what it is worth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from morphoindex.cli.options import Shared, shared

if TYPE_CHECKING:
    from morphoindex.indexer.folders.picture_folder import Files
    from morphoindex.indexer.folders.sample_folder import Layout
    from morphoindex.indexer.results.sampling import Balance, Quality, SampleResult, WrittenSample
    from morphoindex.indexer.selection.sampling import Strategy

_LISTED = 25
_NAMED = 5


@click.command()
@click.option("-n", "number", type=int, required=True, help="How many specimens.")
@click.option(
    "--strategy",
    type=click.Choice(["cluster", "kmeans", "coverage", "facility", "stratified", "random"]),
    default="cluster",
    show_default=True,
    help="What to choose by.",
)
@click.option("--by", metavar="LABEL", help="As many of each value of a label, by the strategy within each.")
@click.option("--where", metavar="CONDITION", help="Only from specimens such as 'family = \"Apidae\"'.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of what is left to chance.")
@click.option("--unique", is_flag=True, help="At most one of each group of near-duplicates, and of each encounter.")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="Put the files there, with a manifest.csv.")
@click.option(
    "--layout",
    type=click.Choice(["flat", "imagefolder", "huggingface"]),
    default="flat",
    show_default=True,
    help="imagefolder: a folder for each value of the label; huggingface: with a metadata.jsonl.",
)
@click.option(
    "--files",
    type=click.Choice(["copy", "link", "symlink", "none"]),
    default="copy",
    show_default=True,
    help="link: hard links, symlink: symbolic ones, which take no room; none: the manifest alone.",
)
@shared
@click.pass_context
def sample(
    ctx: click.Context, shared: Shared, number: int, strategy: Strategy, by: str | None, where: str | None, seed: int,
    unique: bool, out: Path | None, layout: Layout, files: Files,
) -> None:  # fmt: skip
    """A subset to label or to train on, and what it is worth beside a random one.

    \b
    cluster     each cluster gives one in turn, the most typical first, then the most different
    kmeans      the same with clusters of k-means, the nearest to each centre
    coverage    always what is least like all before it: nothing is far from the sample
    facility    always what stands for most of the others
    stratified  at random, in the proportions of a label
    random      at random

    The same command on the same specimens gives the same sample. With --out, a run that was cut off is finished by
    the same command, and `add` passes the folder over.
    """
    if out is None and (layout != "flat" or files != "copy"):
        raise click.UsageError("--layout and --files say how --out DIR is filled, and go with it.")
    from morphoindex.cli.progress import comparing, copying

    shown = not (shared.quiet or shared.json)
    with shared.open() as index:
        with comparing(shown) as report:
            result = index.sample(number, by, where, strategy=strategy, seed=seed, unique=unique, report=report)
        if out is not None and result.selected:
            with copying(shown) as copied:
                written = index.write_sample(result, out, layout=layout, files=files, report=copied)
            result = replace(result, written=written)
    _remark(shared, result)
    if result.written:
        _remark_files(shared, result.written)
    shared.answer(result, lambda: _show(result))
    if result.written and result.written.missing:
        ctx.exit(1)


def _remark(shared: Shared, result: SampleResult) -> None:
    """Say what may not be as it was meant."""
    from morphoindex.cli import render

    chosen, column = len(result.selected), result.by
    if not chosen:
        shared.remark("there is nothing to choose from")
    elif chosen < result.requested:
        alike = " that are not near-duplicates or of one encounter" if result.unique else ""
        shared.remark(f"there are only {render.count(chosen, 'specimen')} to choose from{alike}: all are in the sample")
    if result.uncompared:
        shared.remark(f"{render.count(result.uncompared, 'specimen')} could not be compared with others: no picture")
    if result.passed_over:
        named = ", ".join(result.passed_over[:_NAMED]) + (", …" if len(result.passed_over) > _NAMED else "")
        one, several = (f"value of {column}", f"values of {column}") if column else ("cluster", "clusters")
        shared.remark(f"{render.count(len(result.passed_over), f'{one} gives', f'{several} give')} none: {named}")
    if result.unlabelled:
        have, they = ("has", "it counts") if result.unlabelled == 1 else ("have", "they count")
        shared.remark(
            f"{result.unlabelled:,} of {render.count(result.available, 'specimen')} {have} no {column}: {they} as "
            f"one more; --where 'not {column} is missing' leaves them out"
        )


def _remark_files(shared: Shared, written: WrittenSample) -> None:
    from morphoindex.cli import render

    if written.before:
        shared.remark(f"{render.count(written.before, 'file')} of the sample lay there already")
    for one in written.missing[:_NAMED]:
        shared.remark(f"left out: {render.short(one.path)}: {one.reason}")
    if written.missing:
        more = f"{render.count(len(written.missing), 'file')} of the sample could not be handed out"
        shared.remark(f"{more}. `morphoindex add` their folders, then sample into a new folder")
    if None in written.folders.values():
        shared.remark("specimens without the label lie in the folder unlabelled")
    renamed = {folder: value for folder, value in written.folders.items() if value and folder != value}
    if renamed:
        folder, value = next(iter(renamed.items()))
        shared.remark(
            f"{render.count(len(renamed), 'folder')} could not be named as the label, such as {folder}: {value}"
        )


def _show(result: SampleResult) -> None:
    from morphoindex.cli import render

    written = result.written
    how = {"copy": "copied", "none": "listed"}.get(written.how, "linked") if written else ""
    number = len(result.selected) - len(written.missing) if written else 0
    several = f"{number:,} of them " if written and written.missing else ""
    place = f", {several}{how} in {render.short(written.folder)}" if written else ""
    over = f" by {result.by}" if result.by else ""
    render.line(
        f"{render.count(len(result.selected), 'specimen')} of {result.available:,}, strategy {result.strategy}"
        f"{over}{place}."
    )
    if result.quality and result.random:
        both = (result.quality, result.random)
        render.table(("", "this sample", "at random"), _worth(*both), right=("this sample", "at random"))
        render.line("")
    rows = [(s.id[:12], s.cluster, render.labels(s.labels), render.short(s.path)) for s in result.selected[:_LISTED]]
    render.table(("specimen", "cluster", "labels", "path"), rows)
    if len(result.selected) > _LISTED:
        render.line(f"… and {len(result.selected) - _LISTED:,} more: --json lists all, --out DIR copies them.")


def _worth(sample: Quality, random: Quality) -> list[tuple[str, str, str]]:
    """Rows that compare two samples."""
    rows = [
        ("farthest specimen, cosine distance", f"{sample.radius:.3f}", f"{random.radius:.3f}"),
        ("mean distance", f"{sample.mean:.3f}", f"{random.mean:.3f}"),
    ]
    for one, other in zip(sample.balance, random.balance, strict=True):
        rows += [
            (f"{one.of}: values covered", f"{one.covered:,} of {one.values:,}", f"{other.covered:,}"),
            (f"{one.of}: specimens of each", _range(one), _range(other)),
            (f"{one.of}: evenness", f"{one.evenness:.2f}", f"{other.evenness:.2f}"),
        ]
        if one.none or other.none:
            rows.append((f"{one.of}: specimens with none", f"{one.none:,}", f"{other.none:,}"))
    return rows


def _range(balance: Balance) -> str:
    """`3–3` is 3."""
    alike = balance.fewest == balance.most
    return f"{balance.most:,}" if alike else f"{balance.fewest:,}–{balance.most:,}"
