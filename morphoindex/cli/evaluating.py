"""evaluate: how good the clusters are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from morphoindex.cli.options import Shared, shared

if TYPE_CHECKING:
    from morphoindex.indexer.results.evaluation import Evaluation, MethodScores


@click.command()
@click.option("--labels", metavar="COLUMN", help="The labels to go by. Default: the lowest rank there is.")
@click.option("--where", metavar="CONDITION", help="Judge only specimens such as 'family = \"Apidae\"'.")
@click.option("--encoder", metavar="E", help="By the vectors of this encoder of the index, not the current one.")
@click.option("--compare", is_flag=True, help="Cluster by other methods too, and judge what they give.")
@click.option("--method", "methods", multiple=True, metavar="M", help="Compare with this one only. Repeatable.")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR",
              help="Write the comparison there: clustering_metrics.xlsx and .png.")  # fmt: skip
@click.option("--force", is_flag=True, help="Also into a folder that is not empty.")
@shared
def evaluate(
    shared: Shared, labels: str | None, where: str | None, encoder: str | None, compare: bool, methods: tuple[str, ...],
    out: Path | None, force: bool,
) -> None:  # fmt: skip
    """How good the clusters are, by the vectors alone and, where there are labels, by these.

    Without labels: silhouette, Calinski–Harabasz, Davies–Bouldin. With labels: AMI, ARI, purity, majority accuracy.
    What each says, and what not, is in docs/evaluation.md.

    --compare runs several methods on the same vectors: those of `cluster`, and OPTICS, k-means and average linkage
    beside them. Nothing of that is kept.
    """
    from morphoindex.cli import render
    from morphoindex.errors import UsageError

    compare = compare or bool(methods)
    if out is not None and not compare:
        raise UsageError("--out goes with --compare: the figures of the clusters alone go to the screen, or to --json")
    if force and out is None:
        raise UsageError("--force goes with --out DIR")
    with shared.open() as index:
        result = index.evaluate(
            labels, where, compare=methods or compare, encoder=encoder, out=out, force=force,
            report=lambda method: shared.remark(f"running {method}"),
        )  # fmt: skip
    for words in result.remarks:
        shared.remark(words)
    if result.lacking:
        shared.remark(
            f"{render.count(result.lacking, 'specimen has', 'specimens have')} no vector of {result.encoder}: left out"
        )
    if result.not_clustered:
        shared.remark(
            f"{render.count(result.not_clustered, 'specimen has', 'specimens have')} come since the last "
            "`morphoindex cluster`: in no cluster yet"
        )

    def show() -> None:
        _show_comparison(result) if compare else _show_one(result)
        if result.written:
            render.line(f"Wrote {' and '.join(result.written.files[:2])} to {render.short(result.written.folder)}.")

    shared.answer(result, show)


def _show_one(result: Evaluation) -> None:
    from morphoindex.cli import render
    from morphoindex.indexer.judgement.evaluation import in_words

    one = result.scores[0]
    render.line(
        f"{render.count(result.specimens, 'specimen')} by the vectors of {result.encoder}, clusters by "
        f"{in_words(one.parameters).removeprefix('method ')}"
    )
    largest = f", the largest of {one.largest:,}" if one.clusters > 1 else ""
    without = f"{render.count(one.noise, 'specimen')} ({one.noise / result.specimens:.0%}) in none"
    render.line(f"{render.count(one.clusters, 'cluster')}{largest}; {without}")
    sampled = f", of a sample of {one.judged:,}" if 0 < one.judged < result.specimens - one.noise else ""
    rows = [
        ("silhouette", _figure(one.silhouette), f"-1 to 1, higher is better{sampled}"),
        ("Calinski–Harabasz", _figure(one.calinski_harabasz, 1), "higher is better"),
        ("Davies–Bouldin", _figure(one.davies_bouldin), "lower is better"),
    ]
    render.line("")
    render.table(("of those in clusters", "value", ""), rows, right=("value",))
    if not result.labelled:
        return
    render.line("")
    rows = [
        ("AMI", _figure(one.ami), _figure(one.ami_clustered)),
        ("ARI", _figure(one.ari), _figure(one.ari_clustered)),
        ("purity", "", _figure(one.purity)),
        ("majority accuracy", _figure(one.majority_accuracy), ""),
    ]
    render.table((_labels(result), "all", "in clusters"), rows, right=("all", "in clusters"))


def _show_comparison(result: Evaluation) -> None:
    from morphoindex.cli import render
    from morphoindex.indexer.judgement.evaluation import in_words

    render.line(f"{render.count(result.specimens, 'specimen')} by the vectors of {result.encoder}")
    if result.labelled:
        render.line(_labels(result))
    of_labels = ("AMI", "ARI", "purity", "accuracy") if result.labelled else ()
    figures = ("clusters", "in none", "silhouette", "C–H", "D–B", *of_labels, "s")
    rows = [
        (
            one.method, f"{one.clusters:,}", f"{one.noise / result.specimens:.0%}", *_of_vectors(one),
            *(_of_labels(one) if of_labels else ()), "" if one.seconds is None else f"{one.seconds:.1f}",
            in_words(one.parameters),
        )
        for one in result.scores
    ]  # fmt: skip
    render.table(("method", *figures, "parameters"), rows, right=figures)
    render.line("")
    render.line("Silhouette, C–H and D–B are of the clustered alone: what leaves much out looks good by them.")
    for skipped in result.skipped:
        render.line(f"{skipped.method} {skipped.reason}", "yellow")


def _of_vectors(one: MethodScores) -> tuple[str, ...]:
    return _figure(one.silhouette), _figure(one.calinski_harabasz, 1), _figure(one.davies_bouldin)


def _of_labels(one: MethodScores) -> tuple[str, ...]:
    return tuple(map(_figure, (one.ami, one.ari, one.purity, one.majority_accuracy)))


def _labels(result: Evaluation) -> str:
    from morphoindex.cli import render

    return f"{result.label}: {render.count(result.values, 'value')} of {result.labelled:,} labelled"


def _figure(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"
