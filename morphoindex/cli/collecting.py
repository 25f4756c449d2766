"""demo, init, add, remove: what goes into an index, and out of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from morphoindex.cli.options import Shared, shared

if TYPE_CHECKING:
    from morphoindex.indexer.results.common import AddResult, RemoveResult

_LISTED = 20


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--seed", default=0, show_default=True, help="Another seed draws other individuals.")
@shared
def demo(shared: Shared, folder: Path, seed: int) -> None:
    """Draw a labelled sample collection in DIR: species, bursts, duplicates, a few broken files."""
    from morphoindex.cli import render
    from morphoindex.demo import draw_collection

    made = draw_collection(folder, seed)
    answer = {
        "folder": str(made.folder), "images": made.images, "species": made.species,
        "reencoded": len(made.reencoded), "turned": len(made.turned), "copies": len(made.copies),
        "bursts": len(made.bursts), "broken": len(made.broken),
    }  # fmt: skip
    shared.answer(
        answer,
        lambda: render.line(
            f"Drew {render.count(made.images, 'image')} of {made.species} species in {folder}: "
            f"{len(made.bursts)} bursts, {len(made.reencoded)} re-encoded and {len(made.turned)} turned copies, "
            f"{render.count(len(made.broken), 'broken file')}. The truth is in {folder / 'planted.json'}."
        ),
    )


@click.command()
@click.option("--encoder", metavar="E", help="A built-in name or an ONNX file. Default: the built-in one.")
@click.option("--qdrant-url", metavar="URL", help="Keep the specimens on this Qdrant server.")
@shared
def init(shared: Shared, encoder: str | None, qdrant_url: str | None) -> None:
    """Make an index without adding anything, to choose its encoder or a Qdrant server."""
    from morphoindex.cli import render
    from morphoindex.indexer.encoding.encoder import DEFAULT
    from morphoindex.indexer.opening import make

    with make(shared.index, encoder or DEFAULT, qdrant_url) as index:
        status = index.status()
    assert status.encoder is not None
    name = status.encoder.name
    shared.answer(status, lambda: render.line(f"Made an index at {status.index}: {name}, {status.store}."))


@click.command()
@click.argument("paths", nargs=-1, metavar="PATH...")
@click.option(
    "--labels",
    metavar="HOW",
    help="folder (the folder's name is the species), folder=COLUMN, a pattern such as "
    "'{family}_{species}_{n}' ({n} and {_} are passed over), or a CSV or Excel file with a column path.",
)
@click.option(
    "--time-format",
    metavar="F",
    help="Read the time from the file's name by a format such as %Y%m%d%H%M%S; EXIF counts where it does not fit.",
)
@click.option(
    "--metadata",
    metavar="DIR|TABLE",
    help="Boxes of crops from JSON files as flat-bug writes them, or a table with a column path: time, camera, frame, "
    "x1, y1, x2, y2, …",
)
@click.option(
    "--camera",
    metavar="HOW",
    help="folder (the folder's name is the camera), a pattern such as '{camera}_{n}', or a name for all.",
)
@click.option(
    "--encoder",
    metavar="E",
    help="A built-in name or an ONNX file, one that the index holds. With --embeddings, a name for what made them.",
)
@click.option(
    "--embeddings",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Take vectors made elsewhere: npz or parquet with ids, embeddings, perhaps paths and labels.",
)
@click.option("--max-megapixels", default=200.0, show_default=True, help="Refuse larger photographs.")
@click.option("--dry-run", is_flag=True, help="Only say what would be read, and which labels would change.")
@shared
@click.pass_context
def add(
    ctx: click.Context, shared: Shared, paths: tuple[str, ...], labels: str | None, time_format: str | None,
    metadata: str | None, camera: str | None, encoder: str | None, embeddings: Path | None, max_megapixels: float,
    dry_run: bool,
) -> None:  # fmt: skip
    """Take photographs in: files, folders, globs, and .txt lists of paths.

    Files that are known and unchanged are skipped without reading them, so the same command can be repeated any time.

    Of folders the files with the suffix of an image are taken: JPEG, PNG, TIFF, WebP, HEIC, AVIF, BMP and GIF. Raw
    files of cameras (CR2, NEF, ARW, DNG, …) are passed over: export them as TIFF or JPEG.
    """
    import os

    from morphoindex.cli.progress import adding
    from morphoindex.errors import UsageError

    if embeddings is not None:
        if paths or labels or dry_run or time_format or metadata or camera:
            raise UsageError(
                "--embeddings stands alone: no PATH, --labels, --time-format, --metadata, --camera or --dry-run "
                "beside it; labels, times, cameras and places are columns of the file"
            )
        result = _add_embeddings(shared, embeddings, encoder)
    else:
        if not paths:
            raise UsageError("give the photographs to add: files, folders, globs, or a .txt list")
        nowhere = [path for path in paths if not os.path.lexists(path) and not any(c in path for c in "*?[")]
        if len(nowhere) == len(paths):
            raise UsageError(f"there is no file or folder {nowhere[0]}")
        with shared.open(create=True) as index, adding(paths, not (shared.quiet or shared.json)) as report:
            result = index.add(
                paths, labels=labels, time_format=time_format, metadata=metadata, camera=camera, encoder=encoder,
                dry_run=dry_run, max_megapixels=max_megapixels, report=report,
            )  # fmt: skip
    shared.answer(result, lambda: _render_added(result, dry_run, labels))
    if result.refused:
        ctx.exit(1)


def _add_embeddings(shared: Shared, path: Path, encoder: str | None) -> AddResult:
    from morphoindex.indexer.encoding.registry import EXTERNAL
    from morphoindex.indexer.intake.external import read_embeddings

    read = read_embeddings(path)
    with shared.open(create=True) as index:
        return index.add_embeddings(read.ids, read.vectors, read.paths, read.metadata, encoder or EXTERNAL)


def _render_added(result: AddResult, dry_run: bool, labels: str | None) -> None:
    from morphoindex.cli import render
    from morphoindex.cli.labels import given

    counts = ", ".join(
        words
        for number, words in (
            (result.known, f"{result.known:,} known"),
            (result.moved, f"{result.moved:,} moved"),
            (result.changed, f"{result.changed:,} changed"),
            (result.gone, f"{result.gone:,} gone"),
            (len(result.refused), f"{len(result.refused):,} refused"),
        )
        if number
    )
    aside = f" ({counts})" if counts else ""
    if dry_run:
        render.line(f"Would read {render.count(result.added, 'file')}{aside}.")
        if result.labels:
            given(result.labels, labels or "", dry_run)
        return
    rate = f", {result.images_per_second:,.0f} images/s" if result.added > _LISTED else ""
    render.line(
        f"Added {render.count(result.added, 'specimen')}{aside} in {result.seconds:.1f} s{rate}. "
        f"The index holds {render.count(result.specimens, 'specimen')}."
    )
    if result.added and result.not_clustered:
        render.line(
            f"{render.count(result.not_clustered, 'of its specimens is', 'of its specimens are')} not clustered yet: "
            "`morphoindex cluster` does that."
        )
    if result.labels:
        given(result.labels, labels or "", dry_run)
    if result.captures_unused:
        what = render.count(len(result.captures_unused), "row of the table", "rows of the table")
        render.line(f"Metadata: {what} met no file: {render.listed(result.captures_unused)}.", "yellow")
    if result.not_captured:
        rows = [(render.short(one.path), one.reason) for one in result.not_captured[:_LISTED]]
        render.table((f"{render.count(len(result.not_captured), 'capture')} not as given", "reason"), rows)
        if len(result.not_captured) > _LISTED:
            render.line(f"… and {len(result.not_captured) - _LISTED:,} more: --json lists all.")
    if result.refused:
        rows = [(render.short(refused.path), refused.reason) for refused in result.refused[:_LISTED]]
        render.table(("refused", "reason"), rows)
        if len(result.refused) > _LISTED:
            more = len(result.refused) - _LISTED
            render.line(f"… and {more:,} more: `morphoindex report ingest --format csv --out ingest.csv` lists all.")


@click.command()
@click.argument("targets", nargs=-1, metavar="ID|PATH|FOLDER...")
@click.option("--without-file", is_flag=True, help="Also all specimens whose files were deleted or overwritten.")
@click.option("--dry-run", is_flag=True, help="Only say how many it would be.")
@shared
def remove(shared: Shared, targets: tuple[str, ...], without_file: bool, dry_run: bool) -> None:
    """Take specimens out of the index, by id, by path, or all below a folder. The photographs stay where they are.

    A specimen that lies at another path too stays, and only loses the path that is named. Labels go with their
    specimen: after a new `add` it has those that are given then.
    """
    from morphoindex.cli import render
    from morphoindex.errors import UsageError

    if not (targets or without_file):
        raise UsageError("say what to remove: ids, paths, folders, or --without-file")
    with shared.open() as index:
        result = index.remove(targets, without_file=without_file, dry_run=dry_run)
    verb = "Would remove" if dry_run else "Removed"
    paths = f", and {render.count(result.paths, 'path')} of specimens that lie elsewhere too" if result.paths else ""
    holds = f"The index {'would hold' if dry_run else 'holds'} {render.count(result.specimens, 'specimen')}."
    what = render.count(result.removed, "specimen") + _with_labels(result)
    shared.answer(result, lambda: render.line(f"{verb} {what}{paths}. {holds}"))


def _with_labels(result: RemoveResult) -> str:
    if not result.labelled:
        return ""
    if result.labelled == result.removed:
        return " with its labels" if result.removed == 1 else " with their labels"
    return f", and the labels of {result.labelled:,} of them"
