"""How good an embedding is as what it is for: finding neighbours."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]
_UNKNOWN = -1
_BLOCK = 512  # queries at a time


def nearest(queries: Floats, gallery: Floats, k: int) -> Numbers:
    """The k nearest of a gallery by cosine, the nearest first.

    Args:
        queries: float32 [N, d], of any length.
        gallery: float32 [M, d].
        k: no more than M.

    Returns:
        int64 [N, k], rows of the gallery.
    """
    asked, others = _unit(queries), _unit(gallery).T
    found = [
        np.argsort(-(asked[start : start + _BLOCK] @ others), axis=1, kind="stable")[:, :k]
        for start in range(0, len(asked), _BLOCK)
    ]
    return np.concatenate(found).astype(np.int64)


def nearest_right(queries: Floats, wanted: Numbers, gallery: Floats, names: Numbers) -> float:
    """1-nearest-neighbour accuracy: the share of labelled queries whose nearest labelled image has their label.

    Args:
        queries, gallery: float32 [N, d] and [M, d].
        wanted, names: int64 [N] and [M], -1 where there is no label.

    Returns:
        0..1; NaN where nothing is labelled.
    """
    asked, known = wanted != _UNKNOWN, names != _UNKNOWN
    if not (asked.any() and known.any()):
        return float("nan")
    found = names[known][nearest(queries[asked], gallery[known], 1)[:, 0]]
    return float((found == wanted[asked]).mean())


def overlap(found: Numbers, expected: Numbers) -> float:
    """The mean share of neighbours in common: int64 [N, k] twice -> 0..1."""
    return float(np.mean([len(np.intersect1d(a, b)) / len(b) for a, b in zip(found, expected, strict=True)]))


def _unit(vectors: Floats) -> Floats:
    scaled: Floats = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return scaled
