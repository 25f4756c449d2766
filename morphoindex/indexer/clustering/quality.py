"""How well clusters are told apart by the vectors themselves, without labels: three measures, exact at any size.

All three leave noise out. The silhouette goes by cosine distance, 1 − cos; the other two by Euclidean distance, which
on unit vectors orders pairs alike. A mean of cosines to a cluster is the cosine to its mean, so the silhouette needs
no pair of specimens: O(n k d) for k clusters, where the pairs would take O(n² d).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from morphoindex.indexer.clustering.labels import NOISE

_TILE = 1 << 23  # numbers that are held at once
_SAME = 1e-6  # distance of two centroids that are one, but for rounding
MOST_COMPARED = 1 << 28
"""Pairs of a specimen and a cluster up to which the silhouette is that of all specimens; beyond, that of a sample."""


@dataclass(frozen=True)
class Separation:
    """Three measures of clusters; None where they are not defined.

    Attributes:
        silhouette: the mean over specimens of (b − a) / max(a, b), where a is the mean distance to the others of its
            cluster and b the least mean distance to another one; -1 to 1, and 0 for the only member of a cluster
            (Rousseeuw 1987).
        calinski_harabasz: scatter between clusters over that within them, each by its degrees of freedom; from 0 up
            (Caliński & Harabasz 1974).
        davies_bouldin: the mean over clusters of the worst ratio of two clusters' widths to the distance of their
            centroids; from 0 up, less is better (Davies & Bouldin 1979).
        judged: specimens that the silhouette is the mean of.
    """

    silhouette: float | None
    calinski_harabasz: float | None
    davies_bouldin: float | None
    judged: int


@dataclass(frozen=True)
class _Clusters:
    """Clusters by their sums.

    Attributes:
        labels: int64 [m], from 0 up without gaps, of the specimens that are in one; rows: int64 [m], these.
        sizes: int64 [k]; means: float64 [k, d].
    """

    labels: NDArray[np.int64]
    rows: NDArray[np.int64]
    sizes: NDArray[np.int64]
    means: NDArray[np.float64]


def separation(vectors: NDArray[np.float32], labels: NDArray[np.int64]) -> Separation:
    """All three measures. O(n k d + k² d).

    Args:
        vectors: float32 [n, d], unit length.
        labels: int64 [n], -1 for noise.
    """
    found = _sums(vectors, labels)
    if len(found.sizes) < 2:
        return Separation(None, None, None, 0)
    most = max(1, MOST_COMPARED // len(found.sizes))
    some = np.arange(len(found.rows))
    if most < len(some):
        some = np.sort(np.random.default_rng(0).permutation(len(some))[:most])
    values = _silhouettes(vectors, found, some)
    return Separation(
        float(values.mean()), _calinski_harabasz(vectors, found), _davies_bouldin(vectors, found), len(some)
    )


def silhouettes(
    vectors: NDArray[np.float32], labels: NDArray[np.int64], rows: NDArray[np.int64] | None = None
) -> NDArray[np.float64]:
    """The silhouettes of specimens, 0 for noise, for the only member of a cluster, and where there is one cluster.

    So their mean says of two clusterings which is the better one even where they leave different shares out.
    O(n d + m k d).

    Args:
        vectors: float32 [n, d], unit length.
        labels: int64 [n], -1 for noise.
        rows: int64 [m], of which specimens; default: all.

    Returns:
        float64 [m], -1 to 1.
    """
    rows = np.arange(len(labels)) if rows is None else rows
    found = _sums(vectors, labels)
    values = np.zeros(len(rows))
    if len(found.sizes) > 1:
        place = np.full(len(labels), NOISE, np.int64)
        place[found.rows] = np.arange(len(found.rows))
        clustered = place[rows] != NOISE
        values[clustered] = _silhouettes(vectors, found, place[rows[clustered]])
    return values


def _sums(vectors: NDArray[np.float32], labels: NDArray[np.int64]) -> _Clusters:
    from scipy.sparse import csr_array

    rows = np.flatnonzero(labels != NOISE)
    numbers = np.unique(labels[rows], return_inverse=True)[1].astype(np.int64)
    sizes = np.bincount(numbers)
    total = np.zeros((len(sizes), vectors.shape[1]))
    step = max(1, _TILE // max(1, vectors.shape[1]))
    for start in range(0, len(rows), step):
        some = numbers[start : start + step]
        member = csr_array((np.ones(len(some)), (some, np.arange(len(some)))), (len(sizes), len(some)))
        total += member @ _unit(vectors[rows[start : start + step]])
    return _Clusters(numbers, rows, sizes, total / np.maximum(sizes, 1)[:, np.newaxis])


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """At unit length in float64: the 1e-7 that float32 is off is more than 1 − cos of vectors 1e-4 apart."""
    exact = vectors.astype(np.float64)
    exact /= np.maximum(np.linalg.norm(exact, axis=1, keepdims=True), np.finfo(np.float64).tiny)
    return exact


def _silhouettes(vectors: NDArray[np.float32], found: _Clusters, some: NDArray[np.int64]) -> NDArray[np.float64]:
    """Of some of the clustered specimens, given by their places in `found.rows`."""
    values = np.empty(len(some))
    step = max(1, _TILE // max(found.means.shape))
    for start in range(0, len(some), step):
        part = some[start : start + step]
        own = found.labels[part]
        distances = 1 - _unit(vectors[found.rows[part]]) @ found.means.T
        here = np.arange(len(part))
        size = found.sizes[own]
        within = distances[here, own] * size / np.maximum(size - 1, 1)  # its distance to itself is 0
        distances[here, own] = np.inf
        apart = distances.min(axis=1)
        larger = np.maximum(np.maximum(within, apart), np.finfo(np.float64).tiny)
        values[start : start + step] = np.where(size > 1, (apart - within) / larger, 0)
    return np.clip(values, -1, 1)


def _calinski_harabasz(vectors: NDArray[np.float32], found: _Clusters) -> float | None:
    n, k = len(found.rows), len(found.sizes)
    centre = found.sizes @ found.means / n
    between = float(found.sizes @ ((found.means - centre) ** 2).sum(axis=1))
    within = float((_to_centroid(vectors, found) ** 2).sum())
    return between / (k - 1) / (within / (n - k)) if within > 0 and n > k else None


def _davies_bouldin(vectors: NDArray[np.float32], found: _Clusters) -> float:
    width = np.bincount(found.labels, _to_centroid(vectors, found)) / found.sizes
    worst = np.zeros(len(width))
    square = (found.means**2).sum(axis=1)
    step = max(1, _TILE // len(width))
    for start in range(0, len(width), step):
        part = slice(start, start + step)
        gaps = square[part, np.newaxis] + square - 2 * found.means[part] @ found.means.T
        gaps = np.sqrt(np.maximum(gaps, 0))
        both = width[part, np.newaxis] + width
        ratios = np.divide(both, gaps, out=np.zeros_like(gaps), where=gaps > _SAME)  # of a cluster to itself, too
        worst[part] = ratios.max(axis=1)
    return float(worst.mean())


def _to_centroid(vectors: NDArray[np.float32], found: _Clusters) -> NDArray[np.float64]:
    """The Euclidean distance float64 [m] of each clustered specimen to the mean of its cluster."""
    distances = np.empty(len(found.rows))
    step = max(1, _TILE // vectors.shape[1])
    for start in range(0, len(distances), step):
        part = slice(start, start + step)
        distances[part] = np.linalg.norm(vectors[found.rows[part]] - found.means[found.labels[part]], axis=1)
    return distances
