"""Communities of the neighbour graph: clusters of everything, their number unknown. See docs/clustering.md."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from morphoindex.indexer.clustering.distances import Vectors
from morphoindex.indexer.clustering.kin import kin
from morphoindex.indexer.clustering.labels import NOISE, renumber
from morphoindex.indexer.clustering.map_equation import code_length, modules
from morphoindex.indexer.clustering.neighbours import Lists
from morphoindex.indexer.clustering.threads import blas_alone
from morphoindex.indexer.clustering.whitening import means, principal, whitened

NEIGHBOURS = 32
"""How many of the kept neighbours are looked at first."""
_REFINED = 2  # times the metric is learnt from the communities found, and they are found anew
_DIMENSIONS = 256  # of the learnt metric, and a quarter of the nodes at most
_MOST, _FEWEST = 60, 8  # neighbours of a node in the learnt metric
_REACH = 1.5  # as a share of its community
_CONTRADICTED = 0.1  # share of what the first communities tell of the first graph that finer ones may lose


@dataclass(frozen=True)
class Communities:
    """Clusters, numbered by first member.

    Attributes:
        labels: int64 [n]; -1 for a specimen that is a community of its own.
        confidence: float64 [n] in [0, 1], the share of a specimen's ties that lie inside of its community; 0 for noise.
    """

    labels: NDArray[np.int64]
    confidence: NDArray[np.float64]


def communities(vectors: Vectors, lists: Lists, order: NDArray[np.int64]) -> Communities:
    """Clusters that a random walk from neighbour to neighbour seldom leaves. The number of clusters is not asked for.

    Two specimens that are each other's nearest are one node: twins would else be communities of their own. The graph
    of neighbours gives first communities by the map equation. Twice, then, a metric is learnt in which what varies
    inside of communities counts for little (see `whitening`), neighbours are found anew in it, and communities again;
    unless they contradict the first neighbours, as where a collection is of one kind and there is nothing to learn.

    A function of the vectors and the order: O(n d²) for the metric, and products of each community with those near it.

    Args:
        vectors: float [n, d], unit length.
        lists: their nearest neighbours; `NEIGHBOURS` of each, or as many as there are.
        order: int64 [n], the rows by content id; which row is which does not matter then.
    """
    n = len(order)
    if n < 2:
        return Communities(np.full(n, NOISE, np.int64), np.zeros(n))
    with blas_alone:  # how many threads it has changes its last bits
        return _communities(vectors, lists, order)


def _communities(vectors: Vectors, lists: Lists, order: NDArray[np.int64]) -> Communities:
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    near, cosines = lists.cosines(NEIGHBOURS)
    near = rank[near[order]]
    node = twins(near[:, 0])
    first = graph = _among(ties(near, cosines[order]), node)
    found = modules(graph)
    points = means(vectors[order].astype(np.float32), node)
    points = principal(points, min(_DIMENSIONS, points.shape[1], max(2, len(points) // 4)))
    whole = code_length(first, np.zeros_like(found))
    bound = code_length(first, found) * (1 - _CONTRADICTED) + whole * _CONTRADICTED
    for _ in range(_REFINED):
        reach = np.clip(_REACH * np.bincount(found)[found], _FEWEST, _MOST).astype(np.int64)
        finer = ties(*kin(whitened(points, found), found, reach))
        again = modules(finer)
        if code_length(first, again) >= bound:
            break
        graph, found = finer, again
    labels, confidence = found[node], _held(graph, found)[node]
    single = np.bincount(labels)[labels] == 1
    labels[single], confidence[single] = NOISE, 0.0
    return Communities(renumber(labels[rank]), confidence[rank])


def twins(nearest: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number nodes such that two specimens which are each other's nearest are one: `[1, 0, 1]` -> `[0, 0, 1]`.

    Args:
        nearest: int64 [n], the nearest other of each.
    """
    own = np.arange(len(nearest))
    mutual = nearest[nearest] == own
    return np.unique(np.where(mutual, np.minimum(own, nearest), own), return_inverse=True)[1].astype(np.int64)


def ties(near: NDArray[np.int64], cosines: NDArray[np.floating]) -> sparse.csr_array:
    """A symmetric graph float64 [n, n] of neighbours: those of each come to 1, and ties from both sides are added up.

    A tie is cos² / √rank before: what is near counts, by cosine and by rank, and nobody's neighbours count for more in
    all than another's, so that hubs and places far from everything do not matter more or less than others.

    Args:
        near: int64 [n, k], neighbours from near to far.
        cosines: float [n, k]; -1 where there is none.
    """
    n, k = near.shape
    weights = np.where(cosines > -1, np.maximum(cosines, 1e-3) ** 2, 0.0) / np.sqrt(1.0 + np.arange(k))
    weights /= np.maximum(weights.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    there = weights > 0
    rows = np.broadcast_to(np.arange(n)[:, np.newaxis], near.shape)[there]
    graph = sparse.csr_array((weights[there], (rows, near[there])), shape=(n, n))
    return (graph + graph.T).tocsr()


def _among(graph: sparse.csr_array, node: NDArray[np.int64]) -> sparse.csr_array:
    """Ties between nodes instead of specimens, int64 [n] the node of each; those inside of a node are left out."""
    edges = graph.tocoo()
    a, b = node[edges.row], node[edges.col]
    apart, nodes = a != b, node.max() + 1
    return sparse.csr_array((edges.data[apart], (a[apart], b[apart])), shape=(nodes, nodes))


def _held(graph: sparse.csr_array, labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """The share of each node's ties that lie inside of its community, float64 [n]; 0 where it has none."""
    edges, n = graph.tocoo(), len(labels)
    inside = np.bincount(edges.row, edges.data * (labels[edges.row] == labels[edges.col]), minlength=n)
    every = np.bincount(edges.row, edges.data, minlength=n)
    return np.divide(inside, every, out=np.zeros(n), where=every > 0)
