"""Vectors on a plane, to be looked at: PCA, t-SNE, UMAP."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from morphoindex.errors import UsageError

Projection = Literal["pca", "tsne", "umap"]
PROJECTIONS: tuple[Projection, ...] = ("pca", "tsne", "umap")
LEAST = {"pca": 1, "tsne": 5, "umap": 5}
"""The fewest vectors that a projection means anything for."""
SLOW = 20_000
"""Vectors above which t-SNE and UMAP take minutes."""
WHILE = 5_000
"""Vectors above which they take so long that a person begins to wonder."""
_COMPONENTS = 50  # of PCA, that t-SNE goes by
_PERPLEXITY = 30.0
_NEIGHBOURS = 15  # of UMAP


def project(vectors: NDArray[np.float32], method: Projection, seed: int = 0) -> NDArray[np.float64]:
    """Coordinates float64 [n, 2]. The same vectors in the same order and the same seed give the same ones.

    - "pca": the two directions of most variance. Distances are true, as far as two dimensions hold them.
    - "tsne": t-SNE (van der Maaten & Hinton 2008, Barnes-Hut) on at most 50 principal components; perplexity 30, or a
      third of the vectors where they are few. Neighbours are true, distances between groups and their sizes are not.
      O(n log n), about a minute for 10,000 on one core.
    - "umap": McInnes et al. 2018, where umap-learn is installed; to be read like t-SNE.

    Args:
        vectors: float32 [n, d], unit length.
        method: one of `PROJECTIONS`.
        seed: of what is left to chance.

    Raises:
        UsageError: there is no such method, UMAP is not installed, or there are too few vectors.
    """
    if method not in PROJECTIONS:
        raise UsageError(f"there is no projection {method!r}; there are {', '.join(PROJECTIONS)}")
    if len(vectors) < LEAST[method]:
        name = {"tsne": "t-SNE", "umap": "UMAP", "pca": "PCA"}[method]
        raise UsageError(f"{name} takes at least {LEAST[method]} specimens, and there are {len(vectors)}: take PCA")
    if not np.ptp(vectors, axis=0).any():  # all are one point
        return np.zeros((len(vectors), 2))
    if method == "pca":
        return _pca(vectors, 2, seed)
    return _tsne(vectors, seed) if method == "tsne" else _umap(vectors, seed)


def _pca(vectors: NDArray[np.float32], components: int, seed: int) -> NDArray[np.float64]:
    from sklearn.decomposition import PCA

    most = min(components, *vectors.shape)
    found = PCA(most, copy=False, svd_solver="full" if min(vectors.shape) < 512 else "auto", random_state=seed)
    placed = found.fit_transform(vectors.astype(np.float64))
    return np.pad(placed, ((0, 0), (0, max(0, 2 - most)))).astype(np.float64)


def _tsne(vectors: NDArray[np.float32], seed: int) -> NDArray[np.float64]:
    from sklearn.manifold import TSNE

    perplexity = min(_PERPLEXITY, (len(vectors) - 1) / 3)
    model = TSNE(2, perplexity=perplexity, init="pca", random_state=seed)
    return np.asarray(model.fit_transform(_pca(vectors, _COMPONENTS, seed)), np.float64)


def _umap(vectors: NDArray[np.float32], seed: int) -> NDArray[np.float64]:
    try:
        from umap import UMAP
    except ImportError as error:
        raise UsageError("UMAP is not installed: `pip install umap-learn`, or take t-SNE or PCA") from error
    neighbours = min(_NEIGHBOURS, len(vectors) - 1)
    model = UMAP(n_neighbors=neighbours, metric="cosine", random_state=seed, n_jobs=1)
    return np.asarray(model.fit_transform(vectors), np.float64)
