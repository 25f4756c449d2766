"""preprocess: pictures of one size and format of a folder of photographs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from morphoindex.cli.options import Shared, shared

if TYPE_CHECKING:
    from morphoindex.indexer.photographs.images import Fit
    from morphoindex.indexer.preparation.prepared_folder import Format
    from morphoindex.indexer.results.preprocessing import PreprocessResult

_LISTED = 20


@click.command()
@click.argument("raw", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--size", default="224", show_default=True, metavar="PIXELS", help="Of both sides, or such as 320x240.")
@click.option("--format", "format_", type=click.Choice(["png", "jpg", "webp", "tif", "bmp"]), default="png",
              show_default=True, help="Of the pictures.")  # fmt: skip
@click.option("--fit", type=click.Choice(["letterbox", "crop", "squash"]), default="letterbox", show_default=True,
              help="Show all, on white; fill, and lose what juts out; or resize each side by itself.")  # fmt: skip
@click.option("--grey", is_flag=True, help="Without colours.")
@click.option("--quality", type=int, default=95, show_default=True, help="Of jpg and webp, 1 to 100.")
@click.option("--labels", metavar="HOW",
              help="folder, a pattern such as '{family}_{species}_{n}', or a CSV or Excel file with a column path. "
              "Default: the folder, of what does not lie in RAW itself.")  # fmt: skip
@click.option("--names", default="{folder}/{stem}", show_default=True, metavar="PATTERN",
              help="Of {folder}, {parent}, {stem}, {n} and labels.")  # fmt: skip
@click.option("--max-megapixels", type=float, default=200, show_default=True, help="Larger photographs are refused.")
@click.option("--force", is_flag=True, help="Also into a folder that is not empty, or was made otherwise.")
@click.option("--dry-run", is_flag=True, help="Only say what would be made.")
@shared
@click.pass_context
def preprocess(
    ctx: click.Context, shared: Shared, raw: Path, out: Path, size: str, format_: Format, fit: Fit, grey: bool,
    quality: int, labels: str | None, names: str, max_megapixels: float, force: bool, dry_run: bool,
) -> None:  # fmt: skip
    """Make pictures of one size and format of all photographs in RAW and below it, in OUT.

    Upright, 8-bit, transparency over white, as `add` reads them. Beside the pictures: manifest.csv (what each was made
    of), labels.csv, statistics of the labels, and errors.log (what could not be read). A run that was cut off is
    finished by the same command; repeated, it makes only what is missing. No index is needed.

    \b
    morphoindex preprocess photos/ prepared/ --size 224 --format png
    morphoindex add prepared/ --labels prepared/labels.csv --metadata prepared/manifest.csv
    """
    from morphoindex.cli.progress import copying
    from morphoindex.indexer.preparation.preprocessing import preprocess as prepare

    with copying(not (shared.quiet or shared.json), "preparing") as report:
        result = prepare(
            raw, out, size=size, format=format_, fit=fit, grey=grey, quality=quality, labels=labels, names=names,
            force=force, dry_run=dry_run, max_megapixels=max_megapixels, report=report,
        )  # fmt: skip
    _remark(shared, result, labels)
    shared.answer(result, lambda: _show(result))
    if result.refused:
        ctx.exit(1)


def _remark(shared: Shared, result: PreprocessResult, labels: str | None) -> None:
    from morphoindex.cli import render
    from morphoindex.indexer.photographs.passed_over import raw_in_words

    if result.passed_over:
        folders = render.count(result.passed_over, "folder")
        shared.remark(f"{folders} passed over: their pictures were made by morphoindex of photographs elsewhere")
    if result.camera_raw:
        shared.remark(raw_in_words(result.camera_raw))
    if result.gone:
        shared.remark(f"{render.count(result.gone, 'picture')} of photographs that are gone: kept, and in the tables")
    if result.labels_unused:
        what = render.count(result.labels_unused, "row of the table", "rows of the table")
        met = "the pattern fits none of the files" if "{" in (labels or "") else f"{what} met no file"
        shared.remark(f"labels: {met}")
    if result.unlabelled and result.labels:
        shared.remark(f"{render.count(result.unlabelled, 'picture')} without a label")


def _show(result: PreprocessResult) -> None:
    from morphoindex.cli import render

    verb = "Would make" if result.dry_run else "Made"
    unless = ", but for what cannot be read" if result.dry_run else ""
    before = f", {render.count(result.before, 'was', 'were')} there already" if result.before else ""
    rate = "" if result.dry_run else f" in {result.seconds:.1f} s, {result.images_per_second:,.0f} a second"
    render.line(
        f"{verb} {render.count(result.written, 'picture')}{rate}{unless}{before}. {render.short(result.folder)} "
        f"{'would hold' if result.dry_run else 'holds'} {result.images:,}."
    )
    if result.dry_run:
        render.table(("photograph", "picture"), result.names.items())
    if result.labels:
        render.line(", ".join(f"{label}: {render.count(values, 'value')}" for label, values in result.labels.items()))
    if result.refused:
        rows = [(render.short(one.path), one.reason) for one in result.refused[:_LISTED]]
        render.table(("refused", "reason"), rows)
        if len(result.refused) > _LISTED:
            render.line(f"… and {len(result.refused) - _LISTED:,} more: errors.log has all.")
