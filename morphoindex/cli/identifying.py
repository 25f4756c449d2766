"""identify: names for photographs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from morphoindex.cli.options import Shared, shared

if TYPE_CHECKING:
    from morphoindex.indexer.results.identification import Calibration, Identified, IdentifyResult

_LISTED = 25
_NAMES = 3  # that are shown of what is not known


@click.command()
@click.argument("targets", nargs=-1, required=True, metavar="IMAGE|FOLDER|ID...")
@click.option("-k", "--k", type=int, default=10, show_default=True, help="How many of the nearest vote.")
@click.option("--label", metavar="COLUMN",
              help="Where names stand; cluster_name are those of clusters. Default: the lowest rank.")  # fmt: skip
@click.option("--group", "groups", multiple=True, metavar="COLUMN",
              help="A source or an individual, whose specimens do not vouch for each other: several photographs of "
                   "one make the index too sure of itself. Repeatable.")  # fmt: skip
@click.option("--encoder", metavar="E", help="By the vectors of this encoder of the index, not the current one.")
@shared
@click.pass_context
def identify(
    ctx: click.Context, shared: Shared, targets: tuple[str, ...], k: int, label: str | None, groups: tuple[str, ...],
    encoder: str | None,
) -> None:  # fmt: skip
    """Name photographs by the nearest named specimens, and say whether they can be any of these.

    The verdict is known, near (too close to call) or novel; for what is novel, the names and the higher ranks it is
    closest to. From where on, the index learns from its own names.
    """
    with shared.open() as index:
        result = index.identify(targets, k, label, groups=groups, encoder=encoder)
    shared.answer(result, lambda: _show(result))
    if result.refused:
        ctx.exit(1)


def _show(result: IdentifyResult) -> None:
    from morphoindex.cli import render

    if not result.identified:
        render.line("Nothing could be read.")
    else:
        _show_answers(result)
    if result.refused:
        rows = [(render.short(refused.path), refused.reason) for refused in result.refused[:_LISTED]]
        render.table(("refused", "reason"), rows)
        if len(result.refused) > _LISTED:
            render.line(f"… and {len(result.refused) - _LISTED:,} more: --json has all.")


def _show_answers(result: IdentifyResult) -> None:
    from morphoindex.cli import render

    render.line(
        f"{render.count(len(result.identified), 'photograph')} beside {render.count(result.specimens, 'specimen')} "
        f"of {render.count(result.names, 'name')} ({result.label})."
    )
    if len(result.identified) == 1:
        _show_one(result.identified[0])
    else:
        _show_several(result.identified)
    words = _in_words(result.calibration) if result.calibration else result.uncalibrated or ""
    render.line(words[:1].upper() + words[1:] + ".")


def _show_one(found: Identified) -> None:
    from morphoindex.cli import render

    render.line(_said(found), style="bold")
    if found.named:
        render.line(f"It is in the index as {found.named}; that did not vote.")
    rows = [
        (name.name, f"{name.share:.2f}", f"{name.cosine:.3f}", name.specimen[:12], render.short(name.path))
        for name in found.nearest
    ]
    render.table(("name", "vote", "cosine", "specimen", "path"), rows, right=("vote", "cosine"))


def _said(found: Identified) -> str:
    """`known: Danaus plexippus`, `novel, near Danaus plexippus and Aglais io; family Nymphalidae`."""
    if not found.nearest:
        return "nothing to compare it with"
    agreed = ""
    if found.ranks and found.verdict != "known":
        rank = found.ranks[0]
        right = f" (right for {rank.right:.0%} of what has none of the names)" if rank.right is not None else ""
        agreed = f"; {rank.column} {rank.value}{right}"
    if found.name:
        return f"{found.verdict}: {found.name}{agreed}" if found.verdict else f"{found.name}{agreed}"
    return f"novel, near {', '.join(name.name for name in found.nearest[:_NAMES])}{agreed}"


def _show_several(found: tuple[Identified, ...]) -> None:
    from morphoindex.cli import render

    judged = any(one.verdict for one in found)
    ranked = any(map(_agreed, found))
    rows = [
        (
            *([one.verdict] if judged else []), _named(one), f"{one.share:.2f}",
            f"{one.nearness:.3f}", *([_agreed(one)] if ranked else []), render.short(one.query),
        )
        for one in found[:_LISTED] if one.nearest
    ]  # fmt: skip
    heads = (*(["verdict"] if judged else []), "name", "vote", "nearness", *(["agreed"] if ranked else []), "path")
    render.table(heads, rows, right=("vote", "nearness"))
    if len(found) > _LISTED:
        render.line(f"… and {len(found) - _LISTED:,} more: --json has all.")
    if judged:
        counts = {v: sum(one.verdict == v for one in found) for v in ("known", "near", "novel")}
        render.line(", ".join(f"{number:,} {verdict}" for verdict, number in counts.items()) + ".")


def _agreed(found: Identified) -> str:
    return found.ranks[0].value if found.ranks and found.verdict != "known" else ""


def _named(found: Identified) -> str:
    """`VICEROY (is MONARCH here)`, where the index has another name for that very photograph."""
    name = found.name or "like " + found.nearest[0].name
    return f"{name} (is {found.named} here)" if found.named and found.named != found.name else name


def _in_words(found: Calibration) -> str:
    from morphoindex.cli import render

    return (
        f"calibrated on {render.count(found.specimens, 'specimen')} of {render.count(found.names, 'name')}: of those "
        "whose name is here "
        f"{found.known['known']:.0%} are called known and {found.known['novel']:.0%} novel, of those whose name is "
        f"not {found.novel['novel']:.0%} novel and {found.novel['known']:.0%} known (AUROC {found.auroc:.2f}; "
        f"at {found.threshold:.2f}, without near, {found.error:.0%} are wrong); {found.accuracy:.0%} of names are right"
    )
