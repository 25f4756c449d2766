"""Where those in no cluster may belong: the cluster that a walk from neighbour to neighbour meets first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from morphoindex.indexer.clustering.communities import ties
from morphoindex.indexer.clustering.labels import NOISE
from morphoindex.indexer.clustering.neighbours import Lists

NEIGHBOURS = 10
_STEPS = 64  # of a walk, at most
_SETTLED = 1e-3  # no probability changes by more in a step
_AT_ONCE = 256  # clusters


@dataclass(frozen=True)
class Suggestions:
    """For those in no cluster, m of them: the rows, int64 [m]; the likeliest cluster of each, -1 where no walk leads to
    any; and its probability, float64 [m] in [0, 1].
    """

    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float64]


def suggestions(lists: Lists, labels: NDArray[np.int64]) -> Suggestions:
    """Suggest a cluster for everything that is in none.

    A walk goes from a specimen to one of its neighbours, as likely as their tie is strong, and so on until it meets a
    member of a cluster; the probability is that of meeting this cluster first (harmonic functions: Zhu, Ghahramani,
    Lafferty 2003). What is far from everything may walk among its like for long, and is left unsure.
    O(m clusters) a step.

    Args:
        lists: the nearest neighbours of n specimens.
        labels: int64 [n], the cluster of each, -1 for none.
    """
    outside = np.flatnonzero(labels == NOISE)
    best, likeliest = np.zeros(len(outside)), np.full(len(outside), NOISE, np.int64)
    clusters = np.unique(labels[labels != NOISE])
    if not len(outside) or not len(clusters):
        return Suggestions(outside, likeliest, best)
    cosines = 1 - lists.far[:, :NEIGHBOURS] ** 2 / 2
    there = np.arange(cosines.shape[1]) < np.minimum(lists.known, len(labels) - 1)[:, np.newaxis]
    near = np.where(there, lists.near[:, :NEIGHBOURS], 0).astype(np.int64)
    graph = ties(near, np.where(there, cosines, -1.0))[outside]
    total = np.asarray(graph.sum(axis=1)).ravel()
    step = sparse.csr_array(sparse.diags_array(1 / np.where(total > 0, total, 1)) @ graph)
    among = step[:, outside]
    for start in range(0, len(clusters), _AT_ONCE):
        some = clusters[start : start + _AT_ONCE]
        met = step @ (labels[:, np.newaxis] == some).astype(np.float64)
        found = met
        for _ in range(_STEPS):
            further = met + among @ found
            done = np.abs(further - found).max() < _SETTLED
            found = further
            if done:
                break
        column = found.argmax(axis=1)
        highest = found[np.arange(len(found)), column]
        better = highest > best
        best[better], likeliest[better] = highest[better], some[column[better]]
    return Suggestions(outside, likeliest, np.minimum(best, 1.0))
