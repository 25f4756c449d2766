"""Labels of a forest: cosine clusters and HDBSCAN* against their definitions and against hdbscan itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score

from morphoindex.errors import UsageError
from morphoindex.indexer.clustering.distances import chord
from morphoindex.indexer.clustering.forest import ClusterForest
from morphoindex.indexer.clustering.labels import renumber


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def planted(clusters: int, members: int, dim: int = 16, spread: float = 0.15, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = unit(rng.normal(size=(clusters, dim)))
    return unit(np.repeat(centres, members, axis=0) + spread * rng.normal(size=(clusters * members, dim)))


def forest_of(vectors: np.ndarray, k: int = 0) -> ClusterForest:
    forest = ClusterForest(k)
    forest.add([f"{i:032x}" for i in range(len(vectors))], vectors)
    return forest


@st.composite
def unit_vectors(draw: st.DrawFn) -> np.ndarray:
    """Few vectors in few dimensions, with exact duplicates and ties among them."""
    n = draw(st.integers(2, 24))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    x = rng.integers(-2, 3, (n, draw(st.integers(2, 4)))).astype(float)
    x[~x.any(axis=1)] = 1.0
    return unit(x)


@settings(max_examples=100, deadline=None)
@given(unit_vectors(), st.floats(-1, 1))
def test_threshold_clusters_are_the_components_of_the_similarity_graph(vectors: np.ndarray, t: float) -> None:
    cosines = vectors.astype(np.float64) @ vectors.astype(np.float64).T
    if np.any(np.abs(cosines - t) < 1e-5):
        return  # on the edge itself float32 may fall to either side
    labels = forest_of(vectors).threshold(t)
    adjacent = cosines >= t
    for i in range(len(vectors)):
        component = {i}
        while (grown := component | {int(j) for c in component for j in np.flatnonzero(adjacent[c])}) != component:
            component = grown
        mine = {int(j) for j in np.flatnonzero(labels == labels[i])} if labels[i] >= 0 else {i}
        assert mine == component


@settings(max_examples=60, deadline=None)
@given(unit_vectors(), st.integers(0, 2**32), st.sampled_from(["eom", "leaf"]), st.integers(2, 5))
def test_labels_and_scores_do_not_depend_on_the_order_of_arrival(
    vectors: np.ndarray, seed: int, selection: str, size: int
) -> None:
    order = np.random.default_rng(seed).permutation(len(vectors))
    keys = [f"{i:032x}" for i in range(len(vectors))]
    one, other = ClusterForest(3), ClusterForest(3)
    one.add(keys, vectors)
    other.add([keys[i] for i in order], vectors[order])
    first, second = one.density(size, selection), other.density(size, selection)
    assert np.array_equal(renumber(first.labels[order]), second.labels)
    assert np.array_equal(first.probabilities[order], second.probabilities)
    assert np.array_equal(first.outlier_scores[order], second.outlier_scores)
    assert np.array_equal(renumber(one.threshold(0.8)[order]), other.threshold(0.8))


@pytest.mark.parametrize("selection", ["eom", "leaf"])
def test_density_clusters_are_those_of_hdbscan(selection: str) -> None:
    """The trees weigh the same, edge for edge; a few fringe members differ, as hdbscan breaks ties by order."""
    import hdbscan

    vectors = np.concatenate([planted(6, 30), unit(np.random.default_rng(1).normal(size=(40, 16)))])
    forest = forest_of(vectors, 5)
    found = forest.density(8, selection)
    theirs = hdbscan.HDBSCAN(
        min_cluster_size=8, min_samples=5, approx_min_span_tree=False, gen_min_span_tree=True,
        cluster_selection_method=selection,
    ).fit(vectors.astype(np.float64))  # fmt: skip
    assert forest.tree(5).weight == pytest.approx(np.sort(theirs.minimum_spanning_tree_.to_numpy()[:, 2]), abs=1e-6)
    assert found.labels.max() == theirs.labels_.max() >= 4
    assert adjusted_rand_score(found.labels, theirs.labels_) > 0.95
    assert np.array_equal(found.probabilities > 0, found.labels >= 0)
    assert found.probabilities.max() == 1.0


def test_planted_clusters_are_found_at_a_threshold() -> None:
    labels = forest_of(planted(5, 20, dim=64, spread=0.05)).threshold(0.7)
    assert np.array_equal(labels, np.repeat(np.arange(5), 20))


@pytest.mark.parametrize("n", [1, 2, 5, 9])
def test_few_specimens_are_noise_to_hdbscan(n: int) -> None:
    found = forest_of(planted(1, n), 5).density(5)
    assert np.array_equal(found.labels, np.full(n, -1))
    assert np.array_equal(found.probabilities, np.zeros(n))


def test_no_one_and_identical_specimens() -> None:
    one = unit(np.ones((1, 3)))
    assert ClusterForest(3).threshold(0.5).tolist() == []
    assert ClusterForest(3).density().labels.tolist() == []
    assert forest_of(one).threshold(0.5).tolist() == [-1]
    assert forest_of(one).threshold(0.5, min_size=1).tolist() == [0]
    assert forest_of(np.repeat(one, 7, axis=0)).threshold(1.0).tolist() == [0] * 7


def test_opposite_vectors_meet_only_at_cosine_minus_one() -> None:
    forest = forest_of(np.array([[1, 0], [-1, 0]], np.float32))
    assert forest.threshold(-0.99).tolist() == [-1, -1]
    assert forest.threshold(-1.0).tolist() == [0, 0]


def test_distance_of_a_cosine() -> None:
    assert [chord(1.0), chord(0.5), chord(-1.0)] == [0.0, 1.0, 2.0]


def test_renumber() -> None:
    assert renumber(np.array([7, -1, 2, 7])).tolist() == [0, -1, 1, 0]
    assert renumber(np.array([], int)).tolist() == []


def test_parameters_that_make_no_sense_are_refused() -> None:
    with pytest.raises(UsageError):
        ClusterForest(-1)
    with pytest.raises(UsageError):
        forest_of(planted(2, 10)).density(min_cluster_size=1)
    with pytest.raises(UsageError):
        forest_of(planted(2, 10)).density(min_samples=-2)
