"""What would be otherwise if another encoder of the index were the current one. Decides and changes nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from morphoindex.errors import UsageError
from morphoindex.indexer.clustering.agreement import agreement, shared_neighbours
from morphoindex.indexer.clustering.labels import NOISE
from morphoindex.indexer.clusters.grouping import Labelled, labelled, regrouping
from morphoindex.indexer.clusters.labelling import Parameters
from morphoindex.indexer.encoding import registry
from morphoindex.indexer.holdings.history import read_history
from morphoindex.indexer.judgement.evaluation import last_run
from morphoindex.indexer.results.encoders import Comparison, EncoderClusters, Overlap
from morphoindex.indexer.session import Session
from morphoindex.indexer.settings import EncoderEntry
from morphoindex.indexer.words import count

NEIGHBOURS = 10
_SAMPLE = 2000  # specimens whose neighbours are compared: their mean share is known to about one percent then


def compare(session: Session, a: str, b: str, threshold: float | None) -> Comparison:
    """Compare two encoders on the specimens that have vectors of both; see `Index.compare`."""
    first, second = (registry.find_held(session.settings, name) for name in (a, b))
    if first == second:
        raise UsageError(f"{first.name} and {second.name} are one encoder: name two")
    history = read_history(session.journal)
    parameters = last_run(history) or Parameters()
    others = parameters if threshold is None else replace(parameters, threshold=threshold, chosen=None)
    one, other = _cluster(session, first, parameters), _cluster(session, second, others)
    rows, with_other = _rows(one), _rows(other)
    common = sorted(rows.keys() & with_other.keys())
    if len(common) < 2:
        raise UsageError(
            f"{count(len(common), 'specimen has', 'specimens have')} a vector of both {first.name} and "
            f"{second.name}, where two are the least: "
            "`morphoindex reembed --encoder E` makes them"
        )
    here, there = (np.array([of[i] for i in common], np.int64) for of in (rows, with_other))
    found = agreement(one.labels[here], other.labels[there])
    return Comparison(
        specimens=len(common),
        left_out=len(one.standings) - len(common),
        overlap=_overlap(one.matrix[here], other.matrix[there]),
        a=_described(first, parameters, one),
        b=_described(second, others, other),
        in_both=int(((one.labels[here] != NOISE) & (other.labels[there] != NOISE)).sum()),
        ami=round(found[0], 4) if found else None,
        ari=round(found[1], 4) if found else None,
        events=regrouping(other.standings, other.matrix, other.labels, history).events if history.runs else None,
    )


def _cluster(session: Session, entry: EncoderEntry, parameters: Parameters) -> Labelled:
    with session.working_with(entry):
        return labelled(session.collection, session.graph([parameters.k]), parameters)


def _rows(found: Labelled) -> dict[str, int]:
    """The row of each specimen that has a vector."""
    return {found.standings[row].id: row for row in np.flatnonzero(found.matrix.any(axis=1)).tolist()}


def _overlap(a: np.ndarray, b: np.ndarray) -> Overlap:
    k = min(NEIGHBOURS, len(a) - 1)
    rows = np.unique(np.linspace(0, len(a) - 1, min(len(a), _SAMPLE)).astype(np.int64))
    shared = shared_neighbours(a, b, k, rows)
    low, middle, high = (float(value) for value in np.quantile(shared, (0.25, 0.5, 0.75)))
    counts = tuple(np.bincount(shared, minlength=k + 1).tolist())
    return Overlap(k, len(rows), round(float(shared.mean()), 4), (low, middle, high), counts)


def _described(entry: EncoderEntry, parameters: Parameters, found: Labelled) -> EncoderClusters:
    clusters = len(np.unique(found.labels[found.labels != NOISE]))
    return EncoderClusters(
        entry.name, parameters.method, parameters.used(), clusters, int((found.labels == NOISE).sum())
    )
