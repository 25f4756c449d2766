"""How alike two sets of vectors of the same specimens are: by neighbours, and by clusters; and clusters and labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from morphoindex.indexer.clustering.labels import NOISE

_TILE = 1 << 24  # cosines that are held at once


def shared_neighbours(
    a: NDArray[np.float32], b: NDArray[np.float32], k: int, rows: NDArray[np.int64]
) -> NDArray[np.int64]:
    """How many of the k nearest others of some specimens are the same in both. O(m n d).

    Args:
        a: float32 [n, d], unit length.
        b: float32 [n, e], unit length, of the same specimens.
        k: below n.
        rows: int64 [m], the specimens looked at.

    Returns:
        int64 [m], each from 0 to k. Of several at the same distance across the end of the k it is open which count.
    """
    found = [np.empty(0, np.int64)]
    step = max(1, _TILE // len(a))
    for start in range(0, len(rows), step):
        some = rows[start : start + step]
        near_a, near_b = _nearest(a, some, k), _nearest(b, some, k)
        found.append((near_a[:, :, np.newaxis] == near_b[:, np.newaxis, :]).sum(axis=(1, 2)))
    return np.concatenate(found)


def agreement(a: NDArray[np.int64], b: NDArray[np.int64]) -> tuple[float, float] | None:
    """Adjusted mutual information (Vinh et al. 2010) and adjusted Rand index (Hubert & Arabie 1985) of two clusterings.

    Over the specimens that are in a cluster of both; None where there are none.

    Args:
        a: int64 [n], -1 for noise.
        b: int64 [n], -1 for noise, of the same specimens.
    """
    from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score

    both = (a != NOISE) & (b != NOISE)
    if not both.any():
        return None
    return float(adjusted_mutual_info_score(a[both], b[both])), float(adjusted_rand_score(a[both], b[both]))


@dataclass(frozen=True)
class LabelAgreement:
    """How clusters agree with labels, over the specimens that have a label; None where it is not defined.

    Attributes:
        labelled: specimens that have a label.
        ami, ari: adjusted mutual information (Vinh et al. 2010) and adjusted Rand index (Hubert & Arabie 1985) over all
            of them, where noise is one further cluster: 1 for the same groups, 0 for what chance gives.
        ami_clustered, ari_clustered: the same over those that are in a cluster.
        purity: of those that are in a cluster, the share whose label is the most frequent of their cluster.
        majority_accuracy: the same share of all of them: noise is wrong.
    """

    labelled: int
    ami: float | None
    ari: float | None
    ami_clustered: float | None
    ari_clustered: float | None
    purity: float | None
    majority_accuracy: float | None


def label_agreement(labels: NDArray[np.int64], truth: NDArray[np.int64]) -> LabelAgreement:
    """How clusters agree with labels.

    `[0, 0, 1, -1]` with `[7, 8, 8, 8]`: purity 2/3, majority accuracy 2/4.

    Args:
        labels: int64 [n], of clusters, -1 for noise.
        truth: int64 [n], of label values, -1 where there is none.
    """
    from scipy.sparse import csr_array
    from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score

    has = truth != NOISE
    labels, truth = labels[has], truth[has]
    if not len(labels):
        return LabelAgreement(0, None, None, None, None, None, None)
    ami, ari = float(adjusted_mutual_info_score(truth, labels)), float(adjusted_rand_score(truth, labels))
    clustered = labels != NOISE
    if not clustered.any():
        return LabelAgreement(len(labels), ami, ari, None, None, None, 0.0)
    inside = (ami, ari) if clustered.all() else agreement(labels, truth)
    cluster, value = (np.unique(of[clustered], return_inverse=True)[1] for of in (labels, truth))
    right = int(csr_array((np.ones(len(cluster), np.int64), (cluster, value))).max(axis=1).sum())
    return LabelAgreement(
        labelled=len(labels),
        ami=ami,
        ari=ari,
        ami_clustered=inside[0] if inside else None,
        ari_clustered=inside[1] if inside else None,
        purity=right / int(clustered.sum()),
        majority_accuracy=right / len(labels),
    )


def _nearest(vectors: NDArray[np.float32], rows: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    cosines = vectors[rows] @ vectors.T
    cosines[np.arange(len(rows)), rows] = -np.inf
    return np.argpartition(-cosines, k - 1, axis=1)[:, :k]
