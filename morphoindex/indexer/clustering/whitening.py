"""A space in which what varies inside of groups counts for less than what tells them apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_ROWS = 8192
_POINT = 1e-12  # share of all variance below which what there is inside of groups is rounding

Vectors = NDArray[np.float32]


def unit(vectors: Vectors) -> Vectors:
    """Vectors at unit length; zero stays zero."""
    length = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return np.asarray(vectors / length, np.float32)


def principal(vectors: Vectors, dimensions: int) -> Vectors:
    """Centred vectors in the directions of their largest variance. O(n d² + d³).

    Args:
        vectors: float32 [n, d].
        dimensions: how many, at most d.

    Returns:
        float32 [n, dimensions].
    """
    centre = vectors.mean(axis=0, dtype=np.float64)
    directions = np.linalg.eigh(_scatter(vectors, centre.astype(np.float32)))[1][:, ::-1][:, :dimensions]
    projection = np.ascontiguousarray(directions, np.float32)
    return np.concatenate([
        (vectors[start : start + _ROWS] - centre.astype(np.float32)) @ projection
        for start in range(0, len(vectors), _ROWS)
    ] or [np.empty((0, dimensions), np.float32)])  # fmt: skip


def whitened(vectors: Vectors, labels: NDArray[np.int64]) -> Vectors:
    """Unit vectors in which the mean scatter inside of groups is (nearly) the same in all directions. O(n d² + d³).

    Within-class covariance normalisation (Hatch, Kajarekar, Stolcke 2006), with groups for classes: how specimens of
    one group are turned, lit and cut out of their photographs is what varies inside of all groups, and is divided by.
    The fewer vectors there are, the more their covariance is drawn to a multiple of the identity (Ledoit, Wolf 2004).

    Args:
        vectors: float32 [n, d].
        labels: int64 [n], the group of each, 0 and more.

    Returns:
        float32 [n, d].
    """
    from sklearn.covariance import ledoit_wolf_shrinkage

    inside = vectors - means(vectors, labels)[labels]
    within = _scatter(inside, np.zeros(vectors.shape[1], np.float32)) / len(vectors)
    level = np.trace(within) / len(within)
    if level <= _POINT * float(np.square(vectors, dtype=np.float64).mean()):  # every group is one point
        return unit(vectors)
    drawn = float(ledoit_wolf_shrinkage(inside, assume_centered=True))
    within = (1 - drawn) * within + drawn * level * np.eye(len(within))
    values, directions = np.linalg.eigh(within)
    values = np.maximum(values, level * np.finfo(np.float32).eps)
    return unit(vectors @ ((directions / np.sqrt(values)) @ directions.T).astype(np.float32))


def means(vectors: Vectors, labels: NDArray[np.int64]) -> Vectors:
    """The mean of each group, float32 [groups, d].

    Args:
        vectors: float32 [n, d].
        labels: int64 [n], the group of each; none is empty.
    """
    order = np.argsort(labels, kind="stable")
    starts = np.searchsorted(labels[order], np.arange(labels.max(initial=-1) + 1))
    sums = np.add.reduceat(vectors[order], starts, axis=0, dtype=np.float32)
    return np.asarray(sums / np.bincount(labels)[:, np.newaxis], np.float32)


def _scatter(vectors: Vectors, centre: Vectors) -> NDArray[np.float64]:
    """Σ (x − c)(x − c)ᵀ, float64 [d, d]."""
    total = np.zeros((vectors.shape[1], vectors.shape[1]))
    for start in range(0, len(vectors), _ROWS):
        part = vectors[start : start + _ROWS] - centre
        total += part.T @ part
    return total
