"""encounters: one animal over several images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from morphoindex.cli.options import Shared, shared

if TYPE_CHECKING:
    from morphoindex.indexer.results.encounters import EncounterResult

_LISTED = 15
_UNKNOWN = "(unknown)"


@click.command()
@click.option("--similarity", type=float, metavar="COSINE", help="How alike two images are, at least. At first 0.8.")
@click.option("--distance", type=float, metavar="PIXELS",
              help="Less than this lies between the centres of their boxes, at first 100 …")  # fmt: skip
@click.option("--gap", type=float, metavar="SECONDS", help="… and less than this between their times, at first 300;")
@click.option("--quick-gap", type=float, metavar="SECONDS",
              help="or less than this, whatever the distance. At first 30.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Only try these settings. Else they hold from now on.")
@shared
def encounters(
    shared: Shared, similarity: float | None, distance: float | None, gap: float | None, quick_gap: float | None,
    dry_run: bool,
) -> None:  # fmt: skip
    """Count animals instead of images.

    One animal over several images of a camera is one encounter. Two images are of one animal where they are alike and
    follow each other quickly, or less quickly and in one place. Times, cameras and places come from EXIF, or from
    add --time-format, --camera and --metadata.
    """
    with shared.open() as index:
        result = index.encounters(
            similarity=similarity, distance=distance, gap=gap, quick_gap=quick_gap, dry_run=dry_run
        )
    shared.answer(result, lambda: _show(result))


def _show(result: EncounterResult) -> None:
    from morphoindex.cli import render

    largest = f", the largest of {render.count(result.encounters[0].images, 'image')}" if result.encounters else ""
    render.line(
        f"{render.count(len(result.encounters), 'encounter')} of {render.count(result.images, 'image')}{largest} "
        f"(similarity {result.similarity:g}; {result.distance:g} pixels and {result.gap:g} s, "
        f"or {result.quick_gap:g} s)."
    )
    if result.encounters:
        rows = [
            (
                one.camera or _UNKNOWN, _moment(one.start), _moment(one.end), f"{one.images:,}",
                ", ".join(one.clusters[:3]), render.short(one.path),
            )
            for one in result.encounters[:_LISTED]
        ]  # fmt: skip
        render.table(("camera", "from", "to", "images", "cluster", "first image"), rows, right=("images",))
        if len(result.encounters) > _LISTED:
            render.line(f"… and {len(result.encounters) - _LISTED:,} more: --json lists all.")
        _show_days(result)
    for words in _lacking(result):
        render.line(words, "yellow")
    if result.dry_run:
        render.line("Nothing was changed.")


def _show_days(result: EncounterResult) -> None:
    """Counts per camera and day, where there are few days; else per camera."""
    from morphoindex.cli import render

    render.line("")
    if len(result.days) <= _LISTED:
        rows = [(day.camera or _UNKNOWN, day.day, f"{day.images:,}", f"{day.encounters:,}") for day in result.days]
        render.table(("camera", "day", "images", "encounters"), rows, right=("images", "encounters"))
        return
    rows = []
    for camera in dict.fromkeys(day.camera for day in result.days):
        own = [day for day in result.days if day.camera == camera]
        images, seen = sum(day.images for day in own), sum(day.encounters for day in own)
        rows.append((camera or _UNKNOWN, f"{len(own):,}", f"{images:,}", f"{seen:,}"))
    heads = ("camera", "days", "images", "encounters")
    render.table(heads, rows[:_LISTED], right=heads[1:])
    render.line(f"{render.count(len(result.days), 'day')} of cameras: --json lists the counts of each.")


def _lacking(result: EncounterResult) -> list[str]:
    """What is not known of specimens, and what follows from that."""
    from morphoindex.cli.render import count

    found = []
    if result.without_time:
        found.append(
            f"{count(result.without_time, 'specimen')} without a time: in no encounter. `morphoindex add … "
            "--time-format` reads it from file names."
        )
    if result.without_vector:
        found.append(
            f"{count(result.without_vector, 'specimen')} without a vector of the current encoder: in no encounter. "
            "`morphoindex reembed` makes them."
        )
    if result.without_camera:
        found.append(
            f"{count(result.without_camera, 'specimen')} without a camera: taken as of one. `morphoindex add … "
            "--camera` tells cameras apart."
        )
    if result.without_place and result.without_place < result.images:
        found.append(f"{count(result.without_place, 'image')} without a box: joined by time alone.")
    return found


def _moment(time: str) -> str:
    return time[:19].replace("T", " ")
