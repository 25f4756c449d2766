"""reembed, and encoder compare, use and drop: the encoders that an index holds vectors of."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click

from morphoindex.cli.options import Shared, shared

if TYPE_CHECKING:
    from morphoindex.indexer.results.encoders import Comparison, Dropped, ReembedResult, Switched

_LISTED = 20
_GRAVE = ("split", "merged", "dissolved", "emptied", "ended", "returned", "shrank", "grew", "continued", "new")
"""Kinds of events, in the order in which a person wants to know of them."""


@click.command()
@click.option(
    "--encoder", metavar="E", help="A built-in name, an ONNX file, or one of the index; default: the current one."
)
@click.option("--max-megapixels", default=200.0, show_default=True, help="Refuse larger photographs.")
@click.option("--dry-run", is_flag=True, help="Only say how many photographs would be read.")
@shared
@click.pass_context
def reembed(ctx: click.Context, shared: Shared, encoder: str | None, max_megapixels: float, dry_run: bool) -> None:
    """Give every specimen a vector of another encoder too, by reading its photograph again.

    The vectors there are stay, and search and clusters go by them until `morphoindex encoder use E`. Interrupted, it
    keeps what was done; the same command goes on from there.
    """
    from morphoindex.cli.progress import reembedding

    with shared.open() as index, reembedding(not (shared.quiet or shared.json)) as report:
        result = index.reembed(encoder, dry_run=dry_run, max_megapixels=max_megapixels, report=report)
        current = index.status().encoder
    shared.answer(result, lambda: _show_reembedded(result, dry_run, current.name if current else ""))
    if result.refused:
        ctx.exit(1)


def _show_reembedded(result: ReembedResult, dry_run: bool, current: str) -> None:
    from morphoindex.cli import render

    photographs = render.count(result.embedded, "photograph")
    if dry_run:
        render.line(
            f"Would read {photographs} to give {render.count(result.lacking, 'specimen')} a vector of {result.encoder}."
        )
    elif not (result.embedded or result.refused):
        render.line(
            f"Nothing to do: all {render.count(result.specimens, 'specimen')} have a vector of {result.encoder}."
        )
    else:
        rate = f", {result.images_per_second:,.0f} images/s" if result.embedded > _LISTED else ""
        render.line(
            f"Read {photographs} again in {result.seconds:.1f} s{rate}. {result.specimens - result.lacking:,} of "
            f"{render.count(result.specimens, 'specimen')} have a vector of {result.encoder}."
        )
    if result.refused:
        passed = "would be passed over" if dry_run else "passed over, and as they were"
        render.line(f"{render.count(len(result.refused), 'specimen')} {passed}:", "yellow")
        render.table(("specimen", "reason"), [(render.short(r.path), r.reason) for r in result.refused[:_LISTED]])
        if len(result.refused) > _LISTED:
            render.line(f"… and {len(result.refused) - _LISTED:,} more: --json lists all.")
    if not (dry_run or result.current):
        name = shlex.quote(result.encoder)
        render.line(
            f"Search and clusters still go by {current}. `morphoindex encoder compare {shlex.quote(current)} {name}` "
            f"shows what would change, `morphoindex encoder use {name}` changes it."
        )


@click.command()
@click.argument("a")
@click.argument("b")
@click.option("--threshold", type=float, metavar="COSINE", help="For the clusters of B; default: as for the last run.")
@shared
def compare(shared: Shared, a: str, b: str, threshold: float | None) -> None:
    """What would be otherwise with encoder B of the index than with A.

    How many nearest neighbours are the same, how far the clusters agree, and what the next clustering would do to
    those there are if B were the current encoder. Decides nothing, and changes no cluster.
    """
    with shared.open() as index:
        result = index.compare(a, b, threshold=threshold)
    shared.answer(result, lambda: _show_compared(result))


def _show_compared(result: Comparison) -> None:
    from morphoindex.cli import render

    one, other, overlap = result.a, result.b, result.overlap
    without = ("without a vector of both is left out", "without a vector of both are left out")
    left_out = f"; {render.count(result.left_out, *without)}" if result.left_out else ""
    render.line(f"{one.encoder} and {other.encoder} on {render.count(result.specimens, 'specimen')}{left_out}.")
    sampled = f" ({overlap.sampled:,} looked at)" if overlap.sampled < result.specimens else ""
    low, _, high = overlap.quartiles
    render.line(
        f"Of the {overlap.neighbours} nearest neighbours {overlap.mean:.1f} are the same on average, {low:g} to "
        f"{high:g} for half of the specimens{sampled}."
    )
    shares = ", ".join(f"{n}: {count / overlap.sampled:.0%}" for n, count in enumerate(overlap.counts) if count)
    render.line(f"How many are the same, for which share of the specimens: {shares}.")
    for side in (one, other):
        how = ", ".join([side.method, *(f"{name} {value}" for name, value in side.parameters.items())])
        clusters = render.count(side.clusters, "cluster")
        render.line(f"By {side.encoder}: {clusters}, {render.count(side.noise, 'specimen')} in none ({how}).")
    if result.ami is not None:
        render.line(
            f"Agreement of the two on {render.count(result.in_both, 'specimen')} that both have in clusters: adjusted "
            f"mutual information {result.ami:.2f}, adjusted Rand index {result.ari:.2f}."
        )
    _show_what_would_happen(result)


def _show_what_would_happen(result: Comparison) -> None:
    from morphoindex.cli import render
    from morphoindex.indexer.holdings.chronicle import event_in_words

    if result.events is None:
        return
    name = shlex.quote(result.b.encoder)
    events = sorted(result.events, key=lambda event: _GRAVE.index(event.kind))
    if not events:
        render.line(f"After `morphoindex encoder use {name}` the next `morphoindex cluster` would leave all as it is.")
        return
    render.line(f"After `morphoindex encoder use {name}` the next `morphoindex cluster` would say:")
    for event in events[:_LISTED]:
        render.line(f"  {event_in_words(event)}")
    if len(events) > _LISTED:
        render.line(f"  … and {len(events) - _LISTED:,} more: --json lists all.")


@click.command()
@click.argument("name", metavar="NAME|FILE")
@shared
def use(shared: Shared, name: str) -> None:
    """Have search, cluster, dedup and sample go by another encoder of the index.

    It needs vectors first: `morphoindex reembed --encoder E`. Clusters with their names and members stay as they are
    until the next `morphoindex cluster`, and their names, verified members and decisions beyond that.
    """
    with shared.open() as index:
        result = index.use(name)
    shared.answer(result, lambda: _show_switched(result))


def _show_switched(result: Switched) -> None:
    from morphoindex.cli import render

    if result.encoder == result.before:
        render.line(f"{result.encoder} is the current encoder already.")
    else:
        render.line(
            f"{result.encoder} is the current encoder now, {result.before} no longer. `morphoindex cluster` groups by "
            "its vectors; until then the clusters are those of before."
        )
    if result.lacking:
        have = "specimen has" if result.lacking == 1 else "specimens have"
        render.line(
            f"{result.lacking:,} of {result.specimens:,} {have} no vector of it: search, dedup and sample pass over "
            "them, and the next clustering leaves them in no cluster unless a person put them there. "
            "`morphoindex reembed` reads their photographs again.",
            "yellow",
        )


@click.command()
@click.argument("name", metavar="NAME|FILE")
@click.option("--dry-run", is_flag=True, help="Only say how many vectors would go.")
@shared
def drop(shared: Shared, name: str, dry_run: bool) -> None:
    """Remove an encoder from the index, with all of its vectors. Never the current one."""
    with shared.open() as index:
        result = index.drop(name, dry_run=dry_run)
    shared.answer(result, lambda: _show_dropped(result))


def _show_dropped(result: Dropped) -> None:
    from morphoindex.cli import render

    verb = "Would drop" if result.dry_run else "Dropped"
    render.line(f"{verb} {result.encoder}, and {render.count(result.vectors, 'vector')} of it.")
