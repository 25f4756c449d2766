"""Spanning trees and cluster labels against brute force and against hdbscan itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.csgraph import minimum_spanning_tree

from morphoindex.indexer.clustering import trees
from morphoindex.indexer.clustering.labels import density_labels, renumber, threshold_labels
from morphoindex.indexer.clustering.trees import distance, spanning_tree


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def planted(clusters: int, members: int, dim: int = 16, spread: float = 0.15, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = unit(rng.normal(size=(clusters, dim)))
    return unit(np.repeat(centres, members, axis=0) + spread * rng.normal(size=(clusters * members, dim)))


def reference_distances(vectors: np.ndarray, k: int) -> np.ndarray:
    """Mutual reachability in float64, straight from the definition."""
    x = vectors.astype(np.float64)
    d = np.linalg.norm(x[:, None] - x[None], axis=2)
    n = len(x)
    if k == 0 or n < 2:
        return d
    core = np.array([np.sort(np.delete(d[i], i))[min(k, n - 1) - 1] for i in range(n)])
    return np.maximum(np.maximum(core[:, None], core[None]), d)


@st.composite
def unit_vectors(draw: st.DrawFn) -> np.ndarray:
    """Few vectors in few dimensions, with exact duplicates and ties among them."""
    n = draw(st.integers(2, 24))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    x = rng.integers(-2, 3, (n, draw(st.integers(2, 4)))).astype(float)
    x[~x.any(axis=1)] = 1.0
    return unit(x)


@settings(max_examples=150, deadline=None)
@given(unit_vectors(), st.integers(0, 6))
def test_tree_is_minimal(vectors: np.ndarray, k: int) -> None:
    tree = spanning_tree(vectors, k)
    expected = reference_distances(vectors, k)
    # scipy takes zeros for missing edges: lift all distances by one for the reference
    total = minimum_spanning_tree(expected + 1.0).sum() - (len(vectors) - 1)
    assert tree.weight.sum() == pytest.approx(total, abs=1e-4)
    assert np.allclose(tree.weight, expected[tree.a, tree.b], atol=1e-6)
    assert np.all(np.diff(tree.weight) >= 0)
    assert _spans(tree, len(vectors))


@settings(max_examples=30, deadline=None)
@given(unit_vectors(), st.integers(0, 6))
def test_row_by_row_gives_the_same_tree_as_the_whole_matrix(vectors: np.ndarray, k: int) -> None:
    whole = spanning_tree(vectors, k)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trees, "_WHOLE", 0)
        rows = spanning_tree(vectors, k)
    assert rows.weight == pytest.approx(whole.weight, abs=1e-6)


def _spans(tree: trees.Tree, n: int) -> bool:
    reached, edges = {0}, list(zip(tree.a.tolist(), tree.b.tolist(), strict=True))
    for _ in range(n):
        for a, b in edges:
            if (a in reached) != (b in reached):
                reached |= {a, b}
    return len(reached) == n


@settings(max_examples=100, deadline=None)
@given(unit_vectors(), st.floats(-1, 1))
def test_threshold_clusters_are_the_components_of_the_similarity_graph(vectors: np.ndarray, t: float) -> None:
    cosines = vectors.astype(np.float64) @ vectors.astype(np.float64).T
    if np.any(np.abs(cosines - t) < 1e-5):
        return  # on the edge itself float32 may fall to either side
    labels = threshold_labels(spanning_tree(vectors), t)
    adjacent = cosines >= t
    for i in range(len(vectors)):
        component = {i}
        while (grown := component | {int(j) for c in component for j in np.flatnonzero(adjacent[c])}) != component:
            component = grown
        mine = {int(j) for j in np.flatnonzero(labels == labels[i])} if labels[i] >= 0 else {i}
        assert mine == component


@pytest.mark.parametrize("selection", ["eom", "leaf"])
def test_density_clusters_are_those_of_hdbscan(selection: str) -> None:
    """The trees weigh the same, edge for edge; a few fringe members differ, as hdbscan breaks ties by order."""
    import hdbscan
    from sklearn.metrics import adjusted_rand_score

    vectors = np.concatenate([planted(6, 30), unit(np.random.default_rng(1).normal(size=(40, 16)))])
    tree = spanning_tree(vectors, 5)
    labels, probabilities = density_labels(tree, 8, selection)
    theirs = hdbscan.HDBSCAN(
        min_cluster_size=8, min_samples=5, approx_min_span_tree=False, gen_min_span_tree=True,
        cluster_selection_method=selection,
    ).fit(vectors.astype(np.float64))  # fmt: skip
    assert tree.weight == pytest.approx(np.sort(theirs.minimum_spanning_tree_.to_numpy()[:, 2]), abs=1e-6)
    assert labels.max() == theirs.labels_.max() >= 4
    assert adjusted_rand_score(labels, theirs.labels_) > 0.95
    assert np.array_equal(probabilities > 0, labels >= 0)
    assert probabilities.max() == 1.0


def test_planted_clusters_are_found_at_a_threshold() -> None:
    labels = threshold_labels(spanning_tree(planted(5, 20, dim=64, spread=0.05)), 0.7)
    assert np.array_equal(labels, np.repeat(np.arange(5), 20))


@pytest.mark.parametrize("n", [1, 2, 5, 9])
def test_few_specimens_are_noise_to_hdbscan(n: int) -> None:
    labels, probabilities = density_labels(spanning_tree(planted(1, n), 5), 5)
    assert np.array_equal(labels, np.full(n, -1))
    assert np.array_equal(probabilities, np.zeros(n))


def test_one_specimen_and_identical_ones() -> None:
    one = unit(np.ones((1, 3)))
    assert threshold_labels(spanning_tree(one), 0.5).tolist() == [-1]
    assert threshold_labels(spanning_tree(one), 0.5, min_size=1).tolist() == [0]
    assert threshold_labels(spanning_tree(np.repeat(one, 7, axis=0)), 1.0).tolist() == [0] * 7


def test_opposite_vectors_meet_only_at_cosine_minus_one() -> None:
    vectors = np.array([[1, 0], [-1, 0]], np.float32)
    assert threshold_labels(spanning_tree(vectors), -0.99).tolist() == [-1, -1]
    assert threshold_labels(spanning_tree(vectors), -1.0).tolist() == [0, 0]


def test_distance_of_a_cosine() -> None:
    assert [distance(1.0), distance(0.5), distance(-1.0)] == [0.0, 1.0, 2.0]


def test_renumber() -> None:
    assert renumber(np.array([7, -1, 2, 7])).tolist() == [0, -1, 1, 0]
    assert renumber(np.array([], int)).tolist() == []
