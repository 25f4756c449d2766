"""clusters: what was found, looked at and decided about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from morphoindex.cli.options import Shared, shared

if TYPE_CHECKING:
    from morphoindex.indexer.results.common import ClusterSummary, Decided, HistoryEntry
    from morphoindex.indexer.results.suggestions import SuggestionList

_LISTED = 25
_dry_run = click.option("--dry-run", is_flag=True, help="Only say what it would be.")


@click.group()
def clusters() -> None:
    """Look at clusters and decide about them: name, merge, split, move, verify.

    Clusters are given by id (C0003, or c3) or by name; specimens by id, by the beginning of an id, or by the path of a
    photograph. What is decided outlasts every later add, remove, cluster and rebuild, and can be undone.
    """


@clusters.command("list")
@click.option("--all", "everything", is_flag=True, help="Also those without members now, and those that were merged.")
@shared
def list_(shared: Shared, everything: bool) -> None:
    """All clusters, from large to small. Those with a name or verified members stay in the list without members."""
    from morphoindex.cli import render

    with shared.open() as index:
        result = index.clusters.list(everything)

    def show() -> None:
        present = sum(row.state == "present" for row in result.clusters)
        kept = f", {result.verified:,} verified ({result.retention:.0%} in place)" if result.verified else ""
        render.line(
            f"{render.count(present, 'cluster')} of {render.count(result.specimens, 'specimen')}, "
            f"{result.noise:,} in none{kept}."
        )
        if result.clusters:
            seen = any(row.encounters is not None for row in result.clusters)
            size = ("images", "encounters") if seen else ("size",)
            columns = ("cluster", *size, "verified", "name", f"most frequent {result.label or 'label'}", "since")
            render.table(columns, [_row(row, seen) for row in result.clusters], right=(*size, "verified"))

    shared.answer(result, show)


@clusters.command()
@click.argument("cluster")
@shared
def show(shared: Shared, cluster: str) -> None:
    """The members of a cluster: verified ones first, then the surest, and last those that people put there."""
    from morphoindex.cli import render

    with shared.open() as index:
        result = index.clusters.show(cluster)

    def tell() -> None:
        name = f' "{result.name}"' if result.name else ""
        label = f"; most frequent label {result.label} ({result.share:.0%})" if result.label else ""
        since = f", since {_date(result.since)}" if result.since else ""
        seen = f" in {render.count(result.encounters, 'encounter')}" if result.encounters is not None else ""
        render.line(
            f"{result.id}{name}: {render.count(result.size, 'specimen')}{seen}, "
            f"{result.verified:,} verified{since}{label}."
        )
        if not result.members:
            render.line(f"Without members now: `morphoindex clusters history {result.id}` tells where they went.")
            return
        render.line(
            f"Similarity to its medoid, {(result.medoid or '')[:12]}: "
            f"{result.mean_similarity:.3f} on average, {result.least_similarity:.3f} at least."
        )
        rows = [
            (
                m.id[:12], "verified" if m.verified else "", "" if m.probability is None else f"{m.probability:.2f}",
                "" if m.similarity is None else f"{m.similarity:.3f}", render.labels(m.labels), render.short(m.path),
            )
            for m in result.members[:_LISTED]
        ]  # fmt: skip
        columns = ("specimen", "", "probability", "similarity", "label", "path")
        render.table(columns, rows, right=("probability", "similarity"))
        if len(result.members) > _LISTED:
            render.line(f"… and {len(result.members) - _LISTED:,} more: --json lists all.")

    shared.answer(result, tell)


@clusters.command()
@click.argument("cluster")
@click.argument("name")
@_dry_run
@shared
def name(shared: Shared, cluster: str, name: str, dry_run: bool) -> None:
    """Give a cluster a name. An empty one ("") takes its name away."""
    with shared.open() as index:
        _tell(shared, index.clusters.name(cluster, name, dry_run=dry_run))


@clusters.command()
@click.argument("into", metavar="CLUSTER")
@click.argument("others", nargs=-1, required=True, metavar="OTHER...")
@_dry_run
@shared
def merge(shared: Shared, into: str, others: tuple[str, ...], dry_run: bool) -> None:
    """Make clusters one: the others count as CLUSTER from now on, whatever later runs put in them."""
    with shared.open() as index:
        _tell(shared, index.clusters.merge(into, others, dry_run=dry_run))


@clusters.command()
@click.argument("cluster")
@click.argument("members", nargs=-1, metavar="[ID|PATH]...")
@click.option("--threshold", type=float, metavar="COSINE",
              help="Instead of naming members: cut it at this cosine. The largest part stays, and so do single "
              "specimens that hang together with nothing.")  # fmt: skip
@_dry_run
@shared
def split(shared: Shared, cluster: str, members: tuple[str, ...], threshold: float | None, dry_run: bool) -> None:
    """Take members out of a cluster into a new one, or cut it in parts. No later run fuses them again."""
    with shared.open() as index:
        _tell(shared, index.clusters.split(cluster, members, threshold=threshold, dry_run=dry_run))


@clusters.command()
@click.argument("specimens", nargs=-1, required=True, metavar="ID|PATH...")
@click.option("--to", "cluster", required=True, metavar="CLUSTER", help="Where they belong.")
@_dry_run
@shared
def move(shared: Shared, specimens: tuple[str, ...], cluster: str, dry_run: bool) -> None:
    """Put specimens into a cluster. They stay there through every later run."""
    with shared.open() as index:
        _tell(shared, index.clusters.move(specimens, cluster, dry_run=dry_run))


@clusters.command()
@click.argument("cluster", required=False)
@click.option("--least", type=float, default=0.5, show_default=True, metavar="P", help="Only those at least so likely.")
@click.option("--apply", is_flag=True, help="Move them there: a decision for each cluster.")
@_dry_run
@shared
def suggest(shared: Shared, cluster: str | None, least: float, apply: bool, dry_run: bool) -> None:
    """Where specimens in no cluster may belong, and how likely that is; of one CLUSTER, or of all.

    A suggestion is no membership: nothing counts it until it is followed.
    """
    with shared.open() as index:
        found = index.clusters.suggest(cluster, least=least, apply=apply, dry_run=dry_run)
    shared.answer(found, lambda: _suggestions(found))


@clusters.command()
@click.argument("targets", nargs=-1, required=True, metavar="CLUSTER|ID|PATH...")
@_dry_run
@shared
def verify(shared: Shared, targets: tuple[str, ...], dry_run: bool) -> None:
    """Say that specimens, or all members of a cluster, are where they belong. They stay there from now on."""
    with shared.open() as index:
        _tell(shared, index.clusters.verify(targets, dry_run=dry_run))


@clusters.command()
@click.argument("one", metavar="CLUSTER")
@click.argument("other", metavar="OTHER")
@_dry_run
@shared
def apart(shared: Shared, one: str, other: str, dry_run: bool) -> None:
    """Say that two clusters are not the same. No later run fuses them."""
    with shared.open() as index:
        _tell(shared, index.clusters.apart(one, other, dry_run=dry_run))


@clusters.command()
@click.argument("number", type=int, required=False)
@_dry_run
@shared
def undo(shared: Shared, number: int | None, dry_run: bool) -> None:
    """Take back the last decision, or the one of a NUMBER: `clusters history` lists them."""
    with shared.open() as index:
        _tell(shared, index.clusters.undo(number, dry_run=dry_run))


@clusters.command()
@click.argument("cluster", required=False)
@shared
def history(shared: Shared, cluster: str | None) -> None:
    """What happened to a cluster, and where its members went. Without one, all decisions."""
    from morphoindex.cli import render

    if cluster is None:
        with shared.open() as index:
            decisions = index.clusters.decisions()
        empty = "Nothing was decided yet: `morphoindex clusters name`, merge, split, move and verify decide."
        shared.answer(decisions, lambda: _entries(decisions.entries) if decisions.entries else render.line(empty))
        return
    with shared.open() as index:
        result = index.clusters.history(cluster)

    def tell() -> None:
        named = f' "{result.name}"' if result.name else ""
        if result.state == "present":
            now = render.count(result.size, "specimen")
        else:
            now = _state(result.state, result.merged_into)
            now += f"; its last members: {_became(result.became)}" if result.became else ""
        render.line(f"{result.id}{named}: {now}.")
        _entries(result.entries)

    shared.answer(result, tell)


def _suggestions(found: SuggestionList) -> None:
    from morphoindex.cli import render

    if found.decided:
        changed = sum(one.changed for one in found.decided)
        render.line(
            f"{render.count(changed, 'specimen')} {'would be' if found.dry_run else 'were'} moved to "
            f"{render.count(len(found.decided), 'cluster')}."
            + ("" if found.dry_run else " `morphoindex clusters undo` takes back one cluster at a time.")
        )
        return
    if not found.outside:
        render.line("Every specimen is in a cluster: there is nothing to suggest.")
        return
    some = f"{len(found.suggestions):,}" if found.suggestions else "none"
    render.line(
        f"{render.count(found.outside, 'specimen')} in no cluster; for {some} of them a cluster is likely, with a "
        f"probability of {found.least:g} or more."
    )
    rows = [
        (f"{one.probability:.2f}", one.cluster, one.name or "", render.short(one.path or one.id))
        for one in found.suggestions[:_LISTED]
    ]
    if rows:
        render.table(("probability", "cluster", "name", "specimen"), rows, right=("probability",))
    if len(found.suggestions) > _LISTED:
        render.line(f"… and {len(found.suggestions) - _LISTED:,} more: --json, and `report assignments --suggestions`.")


def _tell(shared: Shared, done: Decided) -> None:
    """Say what was decided, and how it is undone."""
    from morphoindex.cli import render

    moved = f" {render.count(done.changed, 'specimen')} {'would change' if done.dry_run else 'changed'} cluster."
    shared.answer(done, lambda: render.decided(done, moved if done.changed else ""))


def _row(row: ClusterSummary, seen: bool) -> tuple[str, ...]:
    label = f"{row.label} {row.share:.0%}" if row.label else ""
    if row.state != "present":
        label = _state(row.state, row.merged_into) + (f": {_became(row.became)}" if row.became else "")
    size = (f"{row.size:,}", *([f"{row.encounters or 0:,}"] if seen else []))
    return row.id, *size, f"{row.verified:,}" if row.verified else "", row.name or "", label, _date(row.since)


def _state(state: str, into: str | None) -> str:
    if state == "dormant":
        return "dormant"
    return f"merged into {into}" if state == "merged" else f"taken back into {into}"


def _became(places: Mapping[str, int]) -> str:
    """`{"C0003": 12, "noise": 1}` -> "12 in C0003, 1 noise"."""
    words = (f"{'' if place in ('noise', 'removed') else 'in '}{place}" for place in places)
    return ", ".join(f"{count:,} {word}" for count, word in zip(places.values(), words, strict=True))


def _entries(entries: tuple[HistoryEntry, ...]) -> None:
    from morphoindex.cli import render

    rows = [
        (
            _date(entry.time), f"run {entry.run}" if entry.run else f"decision {entry.decision}",
            entry.words + (" (undone)" if entry.undone else ""),
        )
        for entry in entries
    ]  # fmt: skip
    render.table(("when", "by", "what"), rows)


def _date(time: str | None) -> str:
    return time[:16].replace("T", " ") if time else ""
