"""What `evaluate` returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

CURRENT = "current"
"""In `MethodScores.method`: the clusters that the index has, with all that people decided."""


@dataclass(frozen=True)
class MethodScores:
    """How good the clusters of a method are; what is not defined for them is None. See docs/evaluation.md.

    Attributes:
        method: `CURRENT`, or a name of `contenders.CONTENDERS`.
        parameters: what the method was told, and what it chose; of `CURRENT` those of the last run, and its method.
        clusters: how many; noise: specimens that are in none; largest: specimens of the largest.
        silhouette: mean over the clustered, by cosine distance; judged: of so many.
        calinski_harabasz, davies_bouldin: of the clustered, by Euclidean distance of unit vectors.
        ami, ari: with the labels, noise as one further cluster; *_clustered: of the clustered alone.
        purity: of the clustered, majority_accuracy: of all, the share with the most frequent label of their cluster.
        seconds: that it took; None for `CURRENT`.
    """

    method: str
    parameters: Mapping[str, Any]
    clusters: int
    noise: int
    largest: int
    silhouette: float | None
    judged: int
    calinski_harabasz: float | None
    davies_bouldin: float | None
    ami: float | None
    ari: float | None
    ami_clustered: float | None
    ari_clustered: float | None
    purity: float | None
    majority_accuracy: float | None
    seconds: float | None


@dataclass(frozen=True)
class Skipped:
    """A method that was not run, and why."""

    method: str
    reason: str


@dataclass(frozen=True)
class WrittenEvaluation:
    """The folder that an evaluation was written to, and the files in it."""

    folder: str
    files: tuple[str, ...]


@dataclass(frozen=True)
class Evaluation:
    """The clusters of an index, judged, and beside them those of other methods where asked for.

    Attributes:
        specimens: that were judged.
        encoder: whose vectors are judged by.
        lacking: specimens that have no vector of it, and were left out.
        not_clustered: of those judged, how many have come since the last run, and so are in no cluster.
        where: the condition they meet, if one was given.
        label: the column of labels, None where there is none; labelled: how many have one; values: distinct ones.
        scores: of each method; skipped: those not run.
        remarks: what is not as one may expect, in words.
        written: the files, where a folder was given.
    """

    specimens: int
    encoder: str
    lacking: int
    not_clustered: int
    where: str | None
    label: str | None
    labelled: int
    values: int
    scores: tuple[MethodScores, ...]
    skipped: tuple[Skipped, ...]
    remarks: tuple[str, ...]
    written: WrittenEvaluation | None = None
