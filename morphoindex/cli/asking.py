"""cluster, search: questions to the vectors."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Literal

import click
from click.core import ParameterSource

from morphoindex.cli.options import Shared, shared

if TYPE_CHECKING:
    from morphoindex.indexer.results.common import ClusterResult, Verification

_LISTED = 25
_TOLD = 12
_PLAIN = ("new", "continued")  # events that go without saying
_DENSITY = ("min_cluster_size", "min_samples", "selection")
_MOST_STEPS = 1000  # of a sweep
_CHAINED = 0.25  # share of all specimens in one cosine cluster from which a word of advice is due
_FEW = 200  # specimens: each is tied to 32 others, of fewer in all to many that are not its kind


@click.command()
@click.option("--threshold", type=float, metavar="COSINE",
              help="Cluster by cosine: members hang together by steps of at least this much.")  # fmt: skip
@click.option("--thresholds", metavar="FROM:TO:STEP",
              help="Only show what these thresholds would give, as 0.6:0.95:0.05, or several: 0.7,0.8.")  # fmt: skip
@click.option(
    "--method",
    type=click.Choice(["hdbscan", "cosine", "community"]),
    help="Default: cosine with a threshold, else hdbscan. community: clusters like species, of nearly everything.",
)
@click.option(
    "--linkage",
    type=click.Choice(["single", "complete", "average"]),
    default="single",
    show_default=True,
    help="cosine: complete divides clusters until all pairs reach the threshold; average, until means do.",
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
@click.option(
    "--neighbours",
    type=click.Choice(["auto", "exact", "approximate"]),
    default="auto",
    show_default=True,
    help="Approximate ones are for collections too large to compare all pairs.",
)
@click.option("--verify", is_flag=True, help="Work the clusters out again by other means, and compare.")
@click.option("--dry-run", is_flag=True, help="Only say what it would come to.")
@shared
def cluster(
    shared: Shared, threshold: float | None, thresholds: str | None,
    method: Literal["hdbscan", "cosine", "community"] | None, linkage: Literal["single", "complete", "average"],
    min_cluster_size: int, min_samples: int, selection: Literal["eom", "leaf"],
    neighbours: Literal["auto", "exact", "approximate"], verify: bool, dry_run: bool,
) -> None:  # fmt: skip
    """Group all specimens. Clusters keep their ids from run to run, and what people decided about them holds."""
    if thresholds is not None:
        others = [o for o in ("threshold", "method", "linkage", *_DENSITY, "verify", "dry_run") if _given(o)]
        if others:
            raise click.UsageError(f"--thresholds only looks, and goes without --{others[0].replace('_', '-')}.")
        _show_sweep(shared, _several(thresholds), neighbours)
        return
    if threshold is not None and any(map(_given, _DENSITY)):
        shared.remark("--min-cluster-size, --min-samples and --selection are of hdbscan, and not used with a threshold")
    if method == "hdbscan" and threshold is not None:
        raise click.UsageError(
            "--threshold goes with --method cosine; hdbscan takes --min-cluster-size and --min-samples."
        )
    if method == "community" and (others := [o for o in ("threshold", "linkage", *_DENSITY) if _given(o)]):
        raise click.UsageError(
            f"--method community finds out by itself how many clusters there are: it goes without "
            f"--{others[0].replace('_', '-')}."
        )
    if method == "cosine" and threshold is None:
        raise click.UsageError("--method cosine needs a --threshold between -1 and 1, such as 0.8.")
    with shared.open() as index:
        result = index.cluster(
            threshold, method=method, min_cluster_size=min_cluster_size, min_samples=min_samples, selection=selection,
            linkage=linkage, neighbours=neighbours, verify=verify, dry_run=dry_run,
        )  # fmt: skip
    _remark_chains(shared, result)
    if result.method == "community" and result.clusters and result.specimens < _FEW:
        shared.remark(
            f"communities of fewer than {_FEW} specimens are coarse: a cluster may hold several kinds with few "
            "specimens each. Look at them: `morphoindex report sheets --out DIR`"
        )
    _remark_other_parameters(shared, result)
    shared.answer(result, lambda: _show_clusters(result))
    if result.verification is not None and not result.verification.equal:
        click.get_current_context().exit(2)


def _remark_chains(shared: Shared, result: ClusterResult) -> None:
    """A large cluster by single linkage may be a chain, unless all of its members reach the threshold in pairs."""
    if result.threshold is None or result.linkage != "single" or not result.clusters:
        return
    largest, least = result.clusters[0], result.clusters[0].least_similarity
    if largest.size <= _CHAINED * result.specimens or least is None or least >= result.threshold:
        return
    shared.remark(
        f"the largest cluster holds {largest.size / result.specimens:.0%}, and its least similar members have a cosine "
        f"of {least:.2f}: if they are not of one kind, but chains of look-alikes, try a higher threshold, or --linkage "
        "complete"
    )


def _remark_other_parameters(shared: Shared, result: ClusterResult) -> None:
    """Who gave no options may have meant the last ones."""
    if result.before is None or any(map(_given, ("threshold", "method", "linkage", *_DENSITY))):
        return
    now = {"method": result.method, **{name: getattr(result, name) for name in _DENSITY}}
    if result.before != now:
        named = [name for name in result.before if name != "method"] or ["method"]
        options = [f"--{name.replace('_', '-')} {result.before[name]}" for name in named]
        shared.remark(f"the run before was another: `morphoindex cluster {' '.join(options)}` does that again")


def _show_clusters(result: ClusterResult) -> None:
    from morphoindex.cli import render

    render.line(
        f"{render.count(len(result.clusters), 'cluster')} of {render.count(result.specimens, 'specimen')}, "
        f"{result.noise:,} in none ({_how(result)}, {result.seconds:.1f} s)."
    )
    if result.unsure:
        render.line(
            f"{render.count(result.unsure, 'specimen')} unsure: less than half of their ties are in their cluster "
            "(`probability` of `report assignments` and `sql`)."
        )
    if result.neighbours != "exact":
        render.line(f"Approximate neighbours: a sample has {result.recall:.1%} of its true ones.")
    if result.verified:
        render.line(
            f"{render.count(result.verified, 'verified specimen')}, {result.retention:.0%} where people put them."
        )
    if result.lacking:
        render.line(
            f"{render.count(result.lacking, 'specimen')} without a vector of the current encoder: in no cluster, but "
            "for those that a person put there. `morphoindex reembed` reads their photographs again."
        )
    _show_events(result)
    if result.clusters:
        _show_table(result)
    elif result.specimens:
        render.line(
            "No part stands out from the rest, as happens too where all is of one kind: it may be one cluster. "
            "`morphoindex cluster --thresholds 0.5:0.95:0.05` shows what hangs together at which likeness, "
            "`--threshold 0.8` groups by it, `--method community` groups everything, and a lower "
            "`--min-cluster-size` takes smaller groups."
        )
    if len(result.clusters) > _LISTED:
        where = "" if result.dry_run else ": `morphoindex clusters list` has all"
        render.line(f"… and {render.count(len(result.clusters) - _LISTED, 'smaller one')}{where}.")
    if result.verification is not None:
        _show_verification(result.verification)
    if result.dry_run:
        render.line("Nothing was changed.")


def _how(result: ClusterResult) -> str:
    """Method and parameters: "cosine, threshold 0.8, complete linkage"."""
    words: list[str] = [result.method]
    if result.threshold is not None:
        words.append(f"threshold {result.threshold:g}")
    if result.min_cluster_size is not None:
        words.append(f"min_cluster_size {result.min_cluster_size}")
    if result.linkage not in (None, "single"):
        words.append(f"{result.linkage} linkage")
    return ", ".join(words)


def _show_events(result: ClusterResult) -> None:
    from morphoindex.cli import render
    from morphoindex.indexer.holdings.chronicle import event_in_words

    told = [event_in_words(event) for event in result.events if event.kind not in _PLAIN]
    for words in told[:_TOLD]:
        render.line(words)
    if len(told) > _TOLD:
        where = "" if result.dry_run else ": `morphoindex sql 'SELECT * FROM events'`"
        render.line(f"… and {render.count(len(told) - _TOLD, 'more such change')}{where}")


def _show_table(result: ClusterResult) -> None:
    from morphoindex.cli import render

    cosine = result.threshold is not None
    seen = any(found.encounters is not None for found in result.clusters)
    named = any(found.name for found in result.clusters)
    heads = (
        "cluster",
        *(["name"] if named else []),
        "images" if seen else "size",
        *(["encounters"] if seen else []),
        *(["least similarity"] if cosine else []),
        "for example",
    )
    rows = [
        (
            found.id, *([found.name or ""] if named else []), f"{found.size:,}",
            *([f"{found.encounters or 0:,}"] if seen else []),
            *([f"{found.least_similarity:.2f}"] if cosine else []), render.short(found.examples[0]),
        )
        for found in result.clusters[:_LISTED]
    ]  # fmt: skip
    render.table(heads, rows, right=("size", "images", "encounters", "least similarity"))


def _show_verification(found: Verification) -> None:
    from morphoindex.cli import render

    if found.equal:
        render.line(f"Verified {found.how}: equal.")
        return
    shown = ", ".join(found.differing[:_LISTED])
    more = f" and {len(found.differing) - _LISTED:,} more" if len(found.differing) > _LISTED else ""
    differ = render.count(len(found.differing), "specimen differs", "specimens differ")
    render.line(f"Verified {found.how}: {differ}: {shown}{more}.")


def _show_sweep(shared: Shared, thresholds: list[float], neighbours: Literal["auto", "exact", "approximate"]) -> None:
    from morphoindex.cli import render

    with shared.open() as index:
        result = index.sweep(thresholds, neighbours)

    def show() -> None:
        render.line(f"{render.count(result.specimens, 'specimen')}; nothing was changed.")
        if result.neighbours != "exact":
            render.line(f"Approximate neighbours: a sample has {result.recall:.1%} of its true ones.")
        rows = [
            (f"{step.threshold:g}", f"{step.clusters:,}", f"{step.singles:,}", f"{step.largest:,}")
            for step in result.steps
        ]
        heads = ("threshold", "clusters", "singles", "largest")
        render.table(heads, rows, right=heads)

    shared.answer(result, show)


def _several(text: str) -> list[float]:
    """The thresholds that a text stands for: "0.7,0.8" -> [0.7, 0.8]; "0.6:0.7:0.05" -> [0.6, 0.65, 0.7]."""
    try:
        if ":" not in text:
            return [float(part) for part in text.split(",")]
        first, last, step = (Decimal(part) for part in text.split(":"))
        if step <= 0 or first > last or (last - first) / step > _MOST_STEPS:
            raise ValueError
        return [float(first + i * step) for i in range(int((last - first) / step) + 1)]
    except (ValueError, ArithmeticError) as error:
        raise click.UsageError(
            f"--thresholds {text}: give FROM:TO:STEP, such as 0.6:0.95:0.05, or several, such as 0.7,0.8."
        ) from error


def _given(option: str) -> bool:
    return click.get_current_context().get_parameter_source(option) == ParameterSource.COMMANDLINE


@click.command()
@click.argument("query", metavar="IMAGE|ID")
@click.option("-k", type=int, default=10, show_default=True, help="How many.")
@click.option("--where", metavar="CONDITION", help='Only specimens such as \'family = "Apidae" and time > "2024-06"\'.')
@click.option("--encoder", metavar="E", help="By the vectors of this encoder of the index, not the current one.")
@shared
def search(shared: Shared, query: str, k: int, where: str | None, encoder: str | None) -> None:
    """The specimens nearest to a photograph, or to a specimen of the index."""
    from morphoindex.cli import render

    with shared.open() as index:
        result = index.search(query, k, where, encoder=encoder)

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
        if result.novel:
            render.line("All of them are farther than specimens of one name are: it may be something new.")

    shared.answer(result, show)
