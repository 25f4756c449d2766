"""IncrementalHDBSCAN: the exact, growing clustering as a scikit-learn estimator, for anyone's vectors."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from morphoindex.indexer.clustering.distances import Vectors
from morphoindex.indexer.clustering.forest import ClusterForest
from morphoindex.indexer.clustering.intake import LARGEST, unit
from morphoindex.indexer.clustering.labels import Selection, renumber

Metric = Literal["euclidean", "cosine"]

_SMALLEST = 1e-150  # below, squares leave the range of float64, as they do beyond LARGEST


class IncrementalHDBSCAN(ClusterMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """HDBSCAN* that takes samples in and lets them go, and is exact after every change.

    After any `fit`, `partial_fit` and `forget` the clusters are those of a `fit` on the samples that are left: whatever
    the order and the batches they came in, ties and copies included. See docs/estimator.md.

    Taking m samples in costs O(m n d), by BLAS, for n in all; letting some go up to O(n² d), where that parts clusters
    which lie far from each other; labelling O(n). Memory: the vectors and some 800 bytes a sample. Each `min_samples`
    that was asked for keeps a tree up to date until the next `fit`.

    Args:
        min_cluster_size: the least size of a cluster, at least 2.
        min_samples: the core distance is that to the so-many-th nearest *other* sample, as in hdbscan; scikit-learn's
            HDBSCAN counts the sample itself, so its number is one more. At least 1; None: as min_cluster_size.
        metric: "euclidean", as in hdbscan and scikit-learn, for vectors as they are; "cosine", for embeddings: the
            distance of the vectors brought to unit length (in float32), which orders pairs as the cosine does.
            It cannot change after the first samples, save by `fit`.
        cluster_selection_method: "eom", excess of mass, or "leaf".

    Attributes:
        labels_: int64 [n], for all samples that are here, in the order of arrival; -1 is noise. Clusters are numbered
            by their first member in that order. The number is no name: it can change with the next samples.
        probabilities_: float64 [n] in [0, 1], how strongly a sample belongs to its cluster; 0 for noise.
        outlier_scores_: float64 [n] in [0, 1], GLOSH.
        n_features_in_: d.
        feature_names_in_: the names of the columns, where the first samples came with such.

    References:
        Campello, Moulavi, Sander 2013 (HDBSCAN*); Campello, Moulavi, Zimek, Sander 2015 (GLOSH).
    """

    labels_: NDArray[np.int64]
    probabilities_: NDArray[np.float64]
    outlier_scores_: NDArray[np.float64]
    _metric: Metric  # of the samples that are here
    _forest: ClusterForest
    _contents: list[str]
    _copies: Counter[str]
    _whole: bool  # False while the forest changes, and after that was broken off

    def __init__(
        self,
        min_cluster_size: int = 5,
        *,
        min_samples: int | None = None,
        metric: Metric = "euclidean",
        cluster_selection_method: Selection = "eom",
    ) -> None:
        self.min_cluster_size = min_cluster_size
        self.min_samples = min_samples
        self.metric = metric
        self.cluster_selection_method = cluster_selection_method

    def fit(self, X: ArrayLike, y: None = None) -> Self:  # noqa: N803  scikit-learn's name
        """Cluster these samples, and forget those before.

        Args:
            X: numbers [n, d], finite, n at least 2; not sparse.
            y: not used.

        Raises:
            ValueError: a parameter or a value is not such, or a vector has no direction and the metric is "cosine".
            TypeError: X is sparse.
        """
        k = self._checked_parameters()
        vectors = self._checked(X, reset=True)
        if len(vectors) == 1:
            raise ValueError("n_samples=1, but fit wants at least 2 samples; partial_fit takes single ones")
        self._begin(k)
        self._add(vectors)
        return self._extract(k)

    def partial_fit(self, X: ArrayLike | None = None, y: None = None) -> Self:  # noqa: N803
        """Take samples in beside those that are here, and cluster all of them.

        Args:
            X: numbers [m, d], finite, m at least 1; None: label what is here again, after `set_params`.
            y: not used.

        Raises:
            ValueError: as for `fit`, or the metric was changed. All is then as before.
            NotFittedError: X is None, and there are no samples yet.
            RuntimeError: the change before this one was interrupted; only `fit` helps.
        """
        first = not hasattr(self, "_forest")
        if X is None or not first:
            self._check_state()
        k = self._checked_parameters()
        if not first and self.metric != self._metric:
            raise ValueError(f"metric is {self.metric!r}, but the samples here were taken in with {self._metric!r}")
        if X is not None:
            vectors = self._checked(X, reset=first)
            if first:
                self._begin(k)
            self._add(vectors)
        return self._extract(k)

    def forget(self, indices: ArrayLike | slice) -> Self:
        """Let samples go, and cluster those that are left; none may be left.

        Args:
            indices: positions in the present order, that of `labels_`, in any form that `numpy.delete` takes. Later
                samples move up as rows do there: with `[0, 2]`, samples 1, 3, 4 become 0, 1, 2.

        Raises:
            IndexError: there is no such position. All is then as before.
            NotFittedError: there are no samples yet.
            RuntimeError: as for `partial_fit`.
        """
        self._check_state()
        k = self._checked_parameters()
        left = np.delete(np.arange(len(self._contents)), indices).tolist()  # type: ignore[arg-type]  # lists too
        contents = [self._contents[position] for position in left]
        copies = Counter(contents)
        # Of copies the last keys go, whichever samples do: the keys that are left are those of a fit on what is left.
        gone = [
            _key(content, number) for content, count in self._copies.items() for number in range(copies[content], count)
        ]
        self._whole = False
        self._forest.remove(gone)
        self._contents, self._copies = contents, copies
        return self._extract(k)

    # -- inside ---------------------------------------------------------------------------------------------------

    def _check_state(self) -> None:
        check_is_fitted(self, "_forest")
        if not self._whole:
            raise RuntimeError("the last change was interrupted half-way: fit on all samples again")

    def _checked_parameters(self) -> int:
        """The k of the core distances.

        Raises:
            ValueError: a parameter is not one of those allowed.
        """
        k: Any = self.min_cluster_size if self.min_samples is None else self.min_samples
        for name, value, least in (("min_cluster_size", self.min_cluster_size, 2), ("min_samples", k, 1)):
            if not isinstance(value, int | np.integer) or value < least:
                raise ValueError(f"{name} is {value!r}: a whole number of at least {least} is wanted")
        for name, kinds in (("metric", Metric), ("cluster_selection_method", Selection)):
            if getattr(self, name) not in get_args(kinds):
                raise ValueError(f"{name} is {getattr(self, name)!r}: one of {get_args(kinds)} is wanted")
        return int(k)

    def _checked(self, samples: ArrayLike, *, reset: bool) -> Vectors:
        """Samples as they are kept: float64; for cosine at unit length, float32."""
        vectors: Vectors = validate_data(self, samples, reset=reset, dtype=np.float64)
        largest = np.maximum(vectors.max(axis=1), -vectors.min(axis=1))
        if largest.max() > LARGEST:
            raise ValueError(f"X has values beyond {LARGEST:g}, whose squares are too large for float64")
        if self.metric == "euclidean":
            return vectors
        without = np.flatnonzero(largest < _SMALLEST)
        if len(without):
            raise ValueError(
                f"X has zero vectors ({len(without)}, row {without[0]} first): they have no direction, so no cosine"
            )
        return unit(vectors)

    def _begin(self, k: int) -> None:
        self._whole = False
        self._metric = self.metric
        self._forest = ClusterForest(k, unit=self.metric == "cosine")
        self._contents, self._copies = [], Counter()

    def _add(self, vectors: Vectors) -> None:
        contents, copies = contents_of(vectors), self._copies.copy()
        keys = []
        for content in contents:
            keys.append(_key(content, copies[content]))
            copies[content] += 1
        self._whole = False
        self._forest.add(keys, vectors)
        self._contents, self._copies = self._contents + contents, copies

    def _extract(self, k: int) -> Self:
        """Label the samples. Copies share what the first of them gets: nothing parts them."""
        self._whole = False
        found = self._forest.density(int(self.min_cluster_size), self.cluster_selection_method, k)
        row = {key: row for row, key in enumerate(self._forest.keys)}
        rows = np.array([row[content] for content in self._contents], np.intp)
        self.labels_ = renumber(found.labels[rows])
        self.probabilities_ = found.probabilities[rows]
        self.outlier_scores_ = found.outlier_scores[rows]
        self._whole = True
        return self


def contents_of(vectors: Vectors) -> list[str]:
    """A content id for each row [n, d]: a hash of its bytes, 32 hexadecimal digits; 0.0 and -0.0 are one.

    The forest decides ties by these, so that the order of arrival never does.
    """
    return [hashlib.blake2b((row + 0.0).tobytes(), digest_size=16).hexdigest() for row in vectors]


def _key(content: str, number: int) -> str:
    """The key of a sample that has so many copies before it."""
    return f"{content} {number}" if number else content
