"""Complete and average linkage inside single linkage, against the same over everything."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster import hierarchy
from scipy.spatial.distance import pdist

from morphoindex.errors import UsageError
from morphoindex.indexer.clustering import linkage
from morphoindex.indexer.clustering.forest import ClusterForest
from morphoindex.indexer.clustering.labels import renumber
from morphoindex.indexer.clustering.linkage import subdivide


def unit(x: np.ndarray) -> np.ndarray:
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


@st.composite
def vectors(draw: st.DrawFn, ties: bool) -> np.ndarray:
    """Around a few centres; or on a grid, with duplicates and equal cosines."""
    n = draw(st.integers(1, 30))
    rng = np.random.default_rng(draw(st.integers(0, 100_000)))
    if ties:
        x = rng.integers(-2, 3, (n, 3)).astype(float)
        x[~x.any(axis=1)] = 1.0
        return unit(x)
    return unit(rng.normal(size=(3, 4))[rng.integers(0, 3, n)] + 0.4 * rng.normal(size=(n, 4)))


def keys_of(x: np.ndarray, seed: int = 0) -> np.ndarray:
    return np.array([f"{i:06x}".encode() for i in np.random.default_rng(seed).permutation(len(x))])


def single_linkage(x: np.ndarray, threshold: float) -> np.ndarray:
    forest = ClusterForest(())
    forest.add([f"{i:032x}" for i in range(len(x))], x)
    return forest.threshold(threshold)


def divided(x: np.ndarray, keys: np.ndarray, threshold: float, method: str) -> np.ndarray:
    return subdivide(x, single_linkage(x, threshold), keys, threshold, method)


@settings(max_examples=150, deadline=None)
@given(vectors(ties=False), st.floats(-0.5, 0.99), st.sampled_from(["complete", "average"]))
def test_dividing_components_is_the_linkage_of_everything(x: np.ndarray, threshold: float, method: str) -> None:
    labels = divided(x, keys_of(x), threshold, method)
    if len(x) == 1:
        assert labels.tolist() == [-1]
        return
    merges = hierarchy.linkage(pdist(x.astype(np.float64), "sqeuclidean") / 2, method)
    expected = hierarchy.fcluster(merges, 1 - threshold, "distance")
    expected[np.bincount(expected)[expected] < 2] = -1
    assert np.array_equal(labels, renumber(expected))


@settings(max_examples=150, deadline=None)
@given(vectors(ties=True), st.sampled_from([-0.5, 0.0, 0.4, 0.5, 0.8, 1.0]), st.sampled_from(["complete", "average"]))
def test_clusters_keep_what_the_linkage_promises(x: np.ndarray, threshold: float, method: str) -> None:
    labels = divided(x, keys_of(x), threshold, method)
    cosines = x.astype(np.float64) @ x.astype(np.float64).T
    single = single_linkage(x, threshold)
    for label in range(labels.max(initial=-1) + 1):
        members = np.flatnonzero(labels == label)
        assert len(members) >= 2
        assert len(set(single[members].tolist())) == 1
        if method == "complete":
            assert cosines[np.ix_(members, members)].min() >= threshold - 3e-6
    assert np.array_equal(labels, renumber(labels))


@settings(max_examples=150, deadline=None)
@given(
    vectors(ties=True), st.sampled_from([-0.5, 0.0, 0.5, 0.8]), st.sampled_from(["complete", "average"]),
    st.integers(0, 10_000),
)  # fmt: skip
def test_order_of_arrival_does_not_matter(x: np.ndarray, threshold: float, method: str, seed: int) -> None:
    keys, order = keys_of(x), np.random.default_rng(seed).permutation(len(x))
    one, two = divided(x, keys, threshold, method), divided(x[order], keys[order], threshold, method)
    assert np.array_equal(renumber(one[order]), two)


def test_keys_decide_between_equals() -> None:
    """Three in a row, 45° from each other: the middle one goes to the neighbour that comes before the other."""
    x = unit(np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]))
    labels = np.zeros(3, np.int64)
    assert subdivide(x, labels, np.array([b"a", b"b", b"c"]), 0.7, "complete").tolist() == [0, 0, -1]
    assert subdivide(x, labels, np.array([b"c", b"b", b"a"]), 0.7, "complete").tolist() == [-1, 0, 0]
    assert subdivide(x, labels, np.array(["c", "b", "a"]), 0.7, "complete").tolist() == [-1, 0, 0]


def test_a_component_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    x = unit(np.ones((6, 3)))
    monkeypatch.setattr(linkage, "LARGEST", 6)
    assert divided(x, keys_of(x), 0.9, "complete").tolist() == [0] * 6
    monkeypatch.setattr(linkage, "LARGEST", 5)
    with pytest.raises(UsageError, match=r"6 specimens hang together at threshold 0\.9.*higher threshold"):
        divided(x, keys_of(x), 0.9, "complete")


def test_noise_and_nothing() -> None:
    x = unit(np.eye(3))
    assert subdivide(x, np.full(3, -1), keys_of(x), 0.5, "average").tolist() == [-1] * 3
    assert subdivide(x[:0], np.empty(0, np.int64), np.empty(0, "S6"), 0.5, "average").tolist() == []
