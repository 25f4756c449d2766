"""cluster, search, dedup, sample: questions to the vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click
from click.core import ParameterSource

from morphoindex.cli.options import Shared, shared

_LISTED = 25
_DENSITY = ("min_cluster_size", "min_samples", "selection")
_CHAINED = 0.25  # share of all specimens in one cosine cluster from which a word of advice is due


@click.command()
@click.option("--threshold", type=float, metavar="COSINE",
              help="Cluster by cosine: members hang together by steps of at least this much.")  # fmt: skip
@click.option(
    "--method", type=click.Choice(["hdbscan", "cosine"]), help="Default: cosine with a threshold, else hdbscan."
)
@click.option(
    "--min-cluster-size", type=int, default=5, show_default=True, help="hdbscan: the least size of a cluster."
)
@click.option(
    "--min-samples", type=int, default=5, show_default=True, help="hdbscan: the neighbours that make a place dense."
)
@click.option(
    "--selection",
    type=click.Choice(["eom", "leaf"]),
    default="eom",
    show_default=True,
    help="hdbscan: large and stable clusters, or many fine ones.",
)
@shared
def cluster(
    shared: Shared, threshold: float | None, method: str | None, min_cluster_size: int, min_samples: int,
    selection: Literal["eom", "leaf"],
) -> None:  # fmt: skip
    """Group all specimens. Clusters keep their ids from run to run as long as they keep members."""
    from morphoindex.cli import render
    from morphoindex.errors import UsageError

    given = click.get_current_context().get_parameter_source
    if threshold is not None and any(given(o) == ParameterSource.COMMANDLINE for o in _DENSITY):
        shared.remark("--min-cluster-size, --min-samples and --selection are of hdbscan, and not used with a threshold")
    if method == "hdbscan" and threshold is not None:
        raise UsageError("--threshold goes with --method cosine; hdbscan takes --min-cluster-size and --min-samples")
    if method == "cosine" and threshold is None:
        raise UsageError("--method cosine needs a --threshold between -1 and 1, such as 0.8")
    with shared.open() as index:
        result = index.cluster(
            threshold, min_cluster_size=min_cluster_size, min_samples=min_samples, selection=selection
        )

    if threshold is not None and result.clusters and result.clusters[0].size > _CHAINED * result.specimens:
        share = result.clusters[0].size / result.specimens
        shared.remark(f"the largest cluster holds {share:.0%}: chains of look-alikes; try a higher threshold")

    def show() -> None:
        how = f"threshold {threshold:g}" if threshold is not None else f"min_cluster_size {min_cluster_size}"
        render.line(
            f"{render.count(len(result.clusters), 'cluster')} of {render.count(result.specimens, 'specimen')}, "
            f"{result.noise:,} in none ({result.method}, {how}, {result.seconds:.1f} s)."
        )
        if result.clusters:
            rows = [(c.id, f"{c.size:,}", render.short(c.examples[0])) for c in result.clusters[:_LISTED]]
            render.table(("cluster", "size", "for example"), rows, right=("size",))
        if len(result.clusters) > _LISTED:
            render.line(
                f"… and {len(result.clusters) - _LISTED:,} smaller ones: `morphoindex report` has them with labels."
            )

    shared.answer(result, show)


@click.command()
@click.argument("query", metavar="IMAGE|ID")
@click.option("-k", type=int, default=10, show_default=True, help="How many.")
@click.option("--where", metavar="CONDITION", help='Only specimens such as \'family = "Apidae" and time > "2024-06"\'.')
@shared
def search(shared: Shared, query: str, k: int, where: str | None) -> None:
    """The specimens nearest to a photograph, or to a specimen of the index."""
    from morphoindex.cli import render

    with shared.open() as index:
        result = index.search(query, k, where)

    def show() -> None:
        if not result.hits:
            hint = " Text is compared as it stands, capitals included." if where else ""
            render.line(f"Nothing in the index matches.{hint}")
            return
        rows = [
            (f"{hit.score:.3f}", hit.id[:12], hit.cluster, render.labels(hit.labels), render.short(hit.path))
            for hit in result.hits
        ]
        render.table(("score", "specimen", "cluster", "labels", "path"), rows, right=("score",))

    shared.answer(result, show)


@click.command()
@click.option(
    "--threshold",
    type=float,
    metavar="COSINE",
    help="From which similarity two files show the same picture.  [default: 0.97]",
)
@shared
def dedup(shared: Shared, threshold: float | None) -> None:
    """Groups of files that look the same, and the best of each: re-encoded, resized, saved again.

    A proposal by the embedding alone, which also takes two animals in one pose for the same: look before you delete.
    Members of a group hang together by steps; the similarity shown is that to the one to keep. Nothing is deleted.
    """
    from morphoindex.cli import render

    with shared.open() as index:
        result = index.dedup(threshold)

    def show() -> None:
        files = sum(len(group.drop) for group in result.groups)
        render.line(
            f"{render.count(len(result.groups), 'group')} of near-duplicates at {result.threshold:g}: "
            f"{render.count(files, 'file')} beside a better one. A proposal: look before you delete."
        )
        for group in result.groups[:_LISTED]:
            render.line(f"\nkeep   {render.short(group.keep)}")
            for other in group.drop:
                render.line(f"{other.similarity:.3f}  {render.short(other.path)}")
        if len(result.groups) > _LISTED:
            render.line(f"\n… and {len(result.groups) - _LISTED:,} more groups: --json has all.")

    shared.answer(result, show)


@click.command()
@click.option("-n", "number", type=int, required=True, help="How many specimens.")
@click.option("--by", metavar="LABEL", help="Balance over the values of a label instead of over the clusters.")
@click.option("--where", metavar="CONDITION", help="Only from specimens such as 'family = \"Apidae\"'.")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="DIR", help="Copy the files there, with a manifest.csv."
)
@shared
def sample(shared: Shared, number: int, by: str | None, where: str | None, out: Path | None) -> None:
    """A diverse subset: each cluster gives one specimen in turn, the most typical first, then the most different."""
    from morphoindex.cli import render

    with shared.open() as index:
        result = index.sample(number, by=by, where=where)
        if out is not None:
            missing = index.copy_sample(result, out)
            if missing:
                gone = f"{render.count(len(missing), 'file')} of the sample, such as {missing[0]}"
                shared.remark(f"{gone}, could not be copied: gone. `morphoindex add` its folder, then sample again")
    if 0 < len(result.selected) < number:
        shared.remark(
            f"there are only {render.count(len(result.selected), 'specimen')} to choose from: all are in the sample"
        )

    def show() -> None:
        clusters = len({chosen.cluster for chosen in result.selected if chosen.cluster})
        place = f", copied to {out}" if out else ""
        render.line(
            f"{render.count(len(result.selected), 'specimen')} from {render.count(clusters, 'cluster')}{place}."
        )
        rows = [
            (s.id[:12], s.cluster, render.labels(s.labels), render.short(s.path)) for s in result.selected[:_LISTED]
        ]
        render.table(("specimen", "cluster", "labels", "path"), rows)
        if len(result.selected) > _LISTED:
            render.line(f"… and {len(result.selected) - _LISTED:,} more: --json lists all, --out DIR copies them.")

    shared.answer(result, show)
