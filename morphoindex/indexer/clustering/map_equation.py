"""The map equation: parts of a graph in which a random walk stays (Rosvall, Axelsson, Bergstrom 2009)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from morphoindex.indexer.clustering.labels import renumber

_SEED = 1
_ROUNDS = 32  # of local moves in a pass, as the library has it


def modules(graph: sparse.csr_array) -> NDArray[np.int64]:
    """Modules of a graph whose two-level description of a random walk is short; how many, the graph says.

    A function of the graph and the order of its nodes: NetworKit's LouvainMapEquation (Angriman et al. 2022, MIT) in
    one thread, with a fixed seed. O(edges) a pass, of which there are a few dozen.

    Args:
        graph: float64 [n, n], symmetric; the diagonal is empty.

    Returns:
        int64 [n], numbered by first node. A node without edges is a module of its own; all are one module where no
        modules tell the walk in fewer bits.
    """
    import networkit

    upper = sparse.triu(graph, 1).tocoo()
    with _alone():
        edges = upper.data, (upper.row.astype(np.uint64), upper.col.astype(np.uint64))
        made = networkit.GraphFromCoo(edges, n=graph.shape[0], weighted=True, directed=False)
        found = networkit.community.LouvainMapEquation(made, True, _ROUNDS, "none")
        found.run()
    labels = renumber(np.array(found.getPartition().getVector(), np.int64))
    whole = np.zeros_like(labels)
    return whole if len(upper.data) and code_length(graph, whole) <= code_length(graph, labels) else labels


def code_length(graph: sparse.csr_array, labels: NDArray[np.int64]) -> float:
    """The map equation itself: bits for a step of a random walk, told by these modules; none without edges.

    Args:
        graph: float64 [n, n], symmetric; the diagonal is empty.
        labels: int64 [n], 0 and more.
    """
    edges, total = graph.tocoo(), float(graph.sum())
    if not total:
        return 0.0
    visits = np.asarray(graph.sum(axis=1)).ravel() / total
    inside = edges.data * (labels[edges.row] == labels[edges.col])
    stay = np.bincount(labels[edges.row], inside, minlength=labels.max() + 1) / total
    visited = np.bincount(labels, visits)
    leave = visited - stay
    return _plogp(leave.sum()) - 2 * _plogp(leave) - _plogp(visits) + _plogp(leave + visited)


def _plogp(p: NDArray[np.float64] | np.float64) -> float:
    values = np.atleast_1d(p)
    values = values[values > 0]
    return float((values * np.log2(values)).sum())


@contextmanager
def _alone() -> Iterator[None]:
    """Have NetworKit work in one thread, from one seed; and leave threads to others as they were."""
    import networkit

    before = networkit.getMaxNumberOfThreads()
    networkit.setNumberOfThreads(1)
    networkit.setSeed(_SEED, False)
    try:
        yield
    finally:
        networkit.setNumberOfThreads(before)
