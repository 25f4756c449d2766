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
_ROUNDS = 2000  # of conjugate gradients, at most
_EXACT = 1e-9  # of a probability: what is left to put right
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
    Lafferty 2003). O(m clusters) a round of conjugate gradients, of which there are some dozens.

    Args:
        lists: the nearest neighbours of n specimens.
        labels: int64 [n], the cluster of each, -1 for none.
    """
    outside = np.flatnonzero(labels == NOISE)
    best, likeliest = np.zeros(len(outside)), np.full(len(outside), NOISE, np.int64)
    clusters = np.unique(labels[labels != NOISE])
    if not len(outside) or not len(clusters):
        return Suggestions(outside, likeliest, best)
    graph = ties(*lists.cosines(NEIGHBOURS))[outside]
    among = graph[:, outside]
    for start in range(0, len(clusters), _AT_ONCE):
        some = clusters[start : start + _AT_ONCE]
        found = _met(graph, among, (labels[:, np.newaxis] == some).astype(np.float64))
        column = found.argmax(axis=1)
        highest = found[np.arange(len(found)), column]
        better = highest > best
        best[better], likeliest[better] = highest[better], some[column[better]]
    return Suggestions(outside, likeliest, np.minimum(best, 1.0))


def _met(graph: sparse.csr_array, among: sparse.csr_array, members: NDArray[np.float64]) -> NDArray[np.float64]:
    """The probabilities float64 [m, c] of meeting each of c clusters first: (D − W) p = V, D what each is tied to.

    Conjugate gradients for all columns side by side. Who is tied to nobody that leads to a member has 0.

    Args:
        graph: [m, n], the ties of those outside; among: [m, m], to one another.
        members: float64 [n, c], 1 for members.
    """
    total = np.asarray(graph.sum(axis=1)).ravel()[:, np.newaxis]
    total[total == 0] = 1
    left = graph @ members
    found: NDArray[np.float64] = np.zeros_like(left)
    direction = left / total
    power = (left * direction).sum(axis=0)
    for _ in range(_ROUNDS):
        if np.abs(left / total).max(initial=0) < _EXACT:
            break
        across = total * direction - among @ direction
        curve = (direction * across).sum(axis=0)
        length = np.divide(power, curve, out=np.zeros_like(power), where=curve > 0)
        found += length * direction
        left -= length * across
        before, power = power, (left * (left / total)).sum(axis=0)
        turn = np.divide(power, before, out=np.zeros_like(power), where=before > 0)
        direction = left / total + turn * direction
    return found
