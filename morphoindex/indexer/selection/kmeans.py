"""k-means on unit vectors, with k by silhouette."""

from __future__ import annotations

from itertools import takewhile

import numpy as np
from numpy.typing import NDArray

_KS = (2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 128)
_FITTED = 10_000  # specimens that centres are found on
_TRIED = 4_000  # the same, while k is being looked for
_JUDGED = 2_000  # specimens that the silhouette is taken of
_LEAST = 3  # members a cluster has on average, at least
_BLOCK = 8192  # rows


def kmeans(vectors: NDArray[np.float32], seed: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Divide specimens into the number of clusters, of 2 … 128, whose mean silhouette is greatest (Rousseeuw 1987).

    The silhouette is taken of 2,000 of the specimens at most, in cosine distance, with centres that were found on
    4,000; the centres of the best k are then found again on 10,000. One cluster where there are fewer than six
    specimens, or all are alike.

    Args:
        vectors: float32 [n, d], unit length.
        seed: of the first centres and of the parts.

    Returns:
        Labels int64 [n] from 0 up, and the cosine float32 [n] of each to its centre.
    """
    from sklearn.metrics import silhouette_score

    rng = np.random.default_rng(seed)
    some = vectors[np.sort(rng.permutation(len(vectors))[:_JUDGED])]
    apart = np.clip(1 - some @ some.T, 0, 2)
    np.fill_diagonal(apart, 0)
    best, centres = -np.inf, vectors.mean(axis=0, keepdims=True)
    for k in takewhile(lambda k: k * _LEAST <= len(vectors), _KS):
        found = centres_of(vectors, k, rng, _TRIED)
        labels = nearest_centre(some, found)
        if 1 < len(np.unique(labels)) < len(some):
            score = float(silhouette_score(apart, labels, metric="precomputed"))
            if score > best:
                best, centres = score, found
    if len(vectors) > _TRIED and len(centres) > 1:
        centres = centres_of(vectors, len(centres), rng)
    labels = nearest_centre(vectors, centres)
    lengths = np.maximum(np.linalg.norm(centres, axis=1), np.finfo(np.float32).tiny)
    near = np.einsum("ij,ij->i", vectors, (centres / lengths[:, np.newaxis])[labels])
    return labels, near.astype(np.float32)


def centres_of(
    vectors: NDArray[np.float32], k: int, rng: np.random.Generator, most: int = _FITTED
) -> NDArray[np.float32]:
    """The k centres float32 [k, d] of k-means, found on so many of the vectors at most.

    With one thread: with several, sums depend on which thread is done first, and a sample would not be the same twice.
    """
    import warnings

    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    some = vectors[np.sort(rng.permutation(len(vectors))[: max(most, 4 * k)])]
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct vectors than centres
        model = KMeans(k, n_init=1, max_iter=10, random_state=int(rng.integers(2**31))).fit(some)
    centres: NDArray[np.float32] = model.cluster_centers_.astype(np.float32)
    return centres


def nearest_centre(vectors: NDArray[np.float32], centres: NDArray[np.float32]) -> NDArray[np.int64]:
    """The nearest centre int64 [n] of each vector, by Euclidean distance, the first of equal ones."""
    half = (centres**2).sum(axis=1) / 2
    rows = range(0, len(vectors), _BLOCK)
    return np.concatenate([np.argmin(half - vectors[i : i + _BLOCK] @ centres.T, axis=1) for i in rows])
