"""How good the clusters of an index are, by the vectors alone and by labels, and those of other methods beside them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from morphoindex.errors import UsageError
from morphoindex.indexer.clustering.labels import NOISE
from morphoindex.indexer.clusters.labelling import Parameters
from morphoindex.indexer.descriptions.labels import see_column, telling
from morphoindex.indexer.files.table_files import Kind, Sheet
from morphoindex.indexer.holdings.history import History, read_history
from morphoindex.indexer.host import Host
from morphoindex.indexer.judgement.contenders import labels_by, too_many
from morphoindex.indexer.results.evaluation import CURRENT, Evaluation, MethodScores, Skipped
from morphoindex.indexer.tables.views import json_path, literal
from morphoindex.indexer.tables.where import parse_where

if TYPE_CHECKING:
    from morphoindex.indexer.clustering.forest import ClusterForest

_DIGITS = 4
COLUMNS: Mapping[str, tuple[Kind, str]] = {
    "method": ("text", "current: the clusters of the index, with all decisions; else the method that was run"),
    "parameters": ("text", "what the method was told, and what it chose"),
    "specimens": ("integer", "that were judged"),
    "clusters": ("integer", ""),
    "noise": ("integer", "specimens that are in no cluster"),
    "noise_share": ("number", "the share of specimens that is in no cluster"),
    "largest": ("integer", "specimens of the largest cluster"),
    "silhouette": ("number", "-1 to 1, higher is better; mean over the clustered, cosine distance"),
    "silhouette_of": ("integer", "specimens that the silhouette is the mean of"),
    "calinski_harabasz": ("number", "0 upwards, higher is better; of the clustered, Euclidean on unit vectors"),
    "davies_bouldin": ("number", "0 upwards, lower is better; of the clustered, Euclidean on unit vectors"),
    "label": ("text", "the column of labels for all that follow"),
    "labelled": ("integer", "specimens that have such a label"),
    "ami": ("number", "adjusted mutual information; all labelled, noise as one further cluster"),
    "ari": ("number", "adjusted Rand index; all labelled, noise as one further cluster"),
    "ami_clustered": ("number", "adjusted mutual information of the labelled that are in a cluster"),
    "ari_clustered": ("number", "adjusted Rand index of the labelled that are in a cluster"),
    "purity": ("number", "of the labelled in clusters, the share with the most frequent label of their cluster"),
    "majority_accuracy": ("number", "of all labelled, the same share: noise is wrong"),
    "seconds": ("number", "that the method took; those of `cluster` from the kept graph"),
    "skipped": ("text", "why it was not run"),
}
"""The columns of the table of metrics: their kind, and what they are."""


@dataclass(frozen=True)
class _Judge:
    """What clusters are judged by.

    Attributes:
        rows: int64 [m], the specimens of the forest that are judged.
        vectors: float32 [m, d], theirs.
        truth: int64 [m], the values of their labels, -1 for none.
    """

    rows: NDArray[np.int64]
    vectors: NDArray[np.float32]
    truth: NDArray[np.int64]


def evaluate(
    index: Host,
    labels: str | None = None,
    where: str | None = None,
    methods: Sequence[str] = (),
    report: Callable[[str], None] = lambda method: None,
) -> Evaluation:
    """Judge the clusters that the index has, and those that other methods give; see `Index.evaluate`.

    Args:
        index: the index; its vectors are those of the encoder worked with.
        labels: a label column, by default the one that says most.
        where: only specimens that meet this condition are judged; methods cluster all all the same.
        methods: names of `CONTENDERS`.
        report: told each method before it runs.

    Raises:
        UsageError: there is no such column or method, the condition is wrong, or there is nothing to judge.
    """
    label = _label(index, labels)
    history, forest = read_history(index.journal), index.graph()
    too_large = {method: too_many(method, len(forest)) for method in methods}
    if not len(forest):
        raise UsageError("no specimen has a vector: `morphoindex add PHOTOS` puts photographs in")
    if not history.runs and not methods:
        raise UsageError(
            "nothing is clustered yet: `morphoindex cluster` does that, and `evaluate --compare` tries several methods"
        )
    if not history.runs and all(too_large.values()):
        raise UsageError("; ".join(f"{method} {reason}" for method, reason in too_large.items()))
    standings = index.collection.catalog.standings()
    rows = _rows(index, forest, where)
    keys = [forest.keys[i] for i in rows.tolist()]
    judge = _Judge(rows, forest.vectors[rows], _numbered(_values(index, label, keys)))
    last = last_run(history)
    scores = []
    if last is not None:
        numbers = _numbered(standings[key].cluster for key in forest.keys)
        scores.append(_scores(CURRENT, {"method": last.method, **last.used()}, numbers, judge))
    for method in methods:
        if not too_large[method]:
            report(method)
            start = time.perf_counter()
            found = labels_by(method, forest, last if last is not None and last.method == method else None)
            seconds = round(time.perf_counter() - start, 2)
            scores.append(_scores(method, found.parameters, found.labels, judge, seconds))
    labelled = judge.truth[judge.truth != NOISE]
    return Evaluation(
        specimens=len(rows),
        encoder=index.collection.store.vector_name,
        lacking=len(standings) - len(forest),
        not_clustered=sum(standings[key].probability is None for key in keys) if last is not None else 0,
        where=where,
        label=label,
        labelled=len(labelled),
        values=len(np.unique(labelled)),
        scores=tuple(scores),
        skipped=tuple(Skipped(method, reason) for method, reason in too_large.items() if reason),
        remarks=tuple(_remarks(index.labels, labels, label, len(labelled), scores)),
    )


def metrics_sheet(found: Evaluation) -> Sheet:
    """A row for each method, those that were not run last, with the reason."""
    rows = [
        (
            one.method, in_words(one.parameters), found.specimens, one.clusters, one.noise,
            one.noise / found.specimens, one.largest, one.silhouette, one.judged, one.calinski_harabasz,
            one.davies_bouldin, found.label, found.labelled, one.ami, one.ari, one.ami_clustered, one.ari_clustered,
            one.purity, one.majority_accuracy, one.seconds, None,
        )
        for one in found.scores
    ]  # fmt: skip
    without = [None] * (len(COLUMNS) - 2)
    return Sheet(
        tuple(COLUMNS),
        [*rows, *((one.method, *without, one.reason) for one in found.skipped)],
        {name: kind for name, (kind, _) in COLUMNS.items()},
        name="metrics",
    )


def in_words(parameters: Mapping[str, Any]) -> str:
    """Parameters of a method: `{"threshold": 0.8, "linkage": "single"}` -> `"threshold 0.8, linkage single"`."""
    return ", ".join(f"{name} {value}" for name, value in parameters.items())


def _label(index: Host, asked: str | None) -> str | None:
    """The label column to go by.

    Raises:
        UsageError: there is none of that name.
    """
    return telling(index.labels) if asked is None else see_column(index.labels, asked)


def _rows(index: Host, forest: ClusterForest, where: str | None) -> NDArray[np.int64]:
    """The rows of the forest that are judged, in the order of their keys."""
    found = list(range(len(forest)))
    if where:
        meant = parse_where(where, index.column_of)
        ids = {specimen.id for specimens in index.collection.scroll(meant) for specimen in specimens}
        found = [i for i in found if forest.keys[i] in ids]
        if not found:
            raise UsageError(f"no specimen with a vector meets the condition {where}")
    return np.array(sorted(found, key=lambda i: forest.keys[i]), np.int64)


def _values(index: Host, label: str | None, keys: Sequence[str]) -> list[str | None]:
    """The values of a label column for these specimens; None for what is empty."""
    if label is None:
        return [None] * len(keys)
    return index.collection.catalog.values(keys, f"json_extract_string(labels, {literal(json_path(label))})")


def _numbered(values: Iterable[str | None]) -> NDArray[np.int64]:
    """Numbers for values, -1 for none: `["b", None, "a", "b"]` -> `[0, -1, 1, 0]`."""
    number: dict[str, int] = {}
    return np.array([NOISE if v is None else number.setdefault(v, len(number)) for v in values], np.int64)


def last_run(history: History) -> Parameters | None:
    """The parameters of the last run, None where there was none."""
    if not history.runs:
        return None
    return Parameters.of_run(history.runs[-1].method, history.runs[-1].parameters)


def _scores(
    method: str, parameters: Mapping[str, Any], labels: NDArray[np.int64], judge: _Judge, seconds: float | None = None
) -> MethodScores:
    from morphoindex.indexer.clustering.agreement import label_agreement
    from morphoindex.indexer.clustering.quality import separation

    judged = labels[judge.rows]
    apart, agreed = separation(judge.vectors, judged), label_agreement(judged, judge.truth)
    sizes = np.unique(judged[judged != NOISE], return_counts=True)[1]
    figures = {**vars(apart), **vars(agreed)}
    judged_of = figures.pop("judged")
    del figures["labelled"]
    rounded = {name: None if value is None else round(value, _DIGITS) for name, value in figures.items()}
    return MethodScores(
        method=method, parameters=dict(parameters), clusters=len(sizes), noise=len(judged) - int(sizes.sum()),
        largest=int(sizes.max(initial=0)), judged=judged_of, seconds=seconds, **rounded,
    )  # fmt: skip


def _remarks(
    columns: Sequence[str], asked: str | None, label: str | None, labelled: int, scores: Sequence[MethodScores]
) -> Iterator[str]:
    """What is not as one may expect, in sentences without a full stop."""
    needed = "AMI, ARI, purity and majority accuracy need labels"
    if label is None:
        yield f"{needed}, and there are none: `morphoindex add PHOTOS --labels …` gives them"
    elif not labelled:
        yield f"{needed}, and none of the specimens that were judged has a {label}"
    elif asked is None and len(columns) > 1:
        others = ", ".join(column for column in columns if column != label)
        yield f"labels are those of the column {label}, which says most; --labels takes another: {others}"
    for one in scores:
        if one.clusters < 2:
            many = "one cluster" if one.clusters else "no cluster"
            yield f"{one.method}: there is {many}, and silhouette, Calinski–Harabasz and Davies–Bouldin take two"
