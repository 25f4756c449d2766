"""Forests whose neighbours somebody else proposes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from morphoindex.indexer.clustering.approximate import NearestKeys
from morphoindex.indexer.clustering.forest import ClusterForest


def planted(n: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(7).normal(size=(12, 24)) * 2
    return centres[rng.integers(0, 12, n)] + 0.5 * rng.normal(size=(n, 24))


def keys(start: int, stop: int) -> list[str]:
    return [f"{i * 0x9E3779B97F4A7C15 % 2**64:016x}{i:016x}" for i in range(start, stop)]


def proposer(names: list[str], vectors: np.ndarray, found: float) -> NearestKeys:
    """Finds each true neighbour with this probability; also names specimens that are in no forest."""
    x = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    rng = np.random.default_rng(3)

    def near(some: np.ndarray, count: int) -> list[list[str]]:
        order = np.argsort(-(some @ x.T), axis=1)[:, :count]
        return [["nobody", *(names[i] for i in row if rng.random() < found)] for row in order.tolist()]

    return near


def test_who_is_told_everything_at_once_has_the_exact_lists() -> None:
    vectors, names = planted(400), keys(0, 400)
    told, exact = ClusterForest(4, 16), ClusterForest(4, 16)
    told.add(names, vectors, proposer(names, vectors, 1.0))
    exact.add(names, vectors)
    assert told.approximate
    assert told.recall(10) == 1.0
    assert np.array_equal(told.neighbours.near[:, :12], exact.neighbours.near[:, :12])


def test_who_is_told_everything_in_turn_misses_little() -> None:
    vectors, names = planted(600), keys(0, 600)
    told, exact = ClusterForest(4, 16), ClusterForest(4, 16)
    for start, stop in ((0, 400), (400, 500), (500, 600)):
        part = slice(start, stop)
        told.add(names[part], vectors[part], proposer(names[:stop], vectors[:stop], 1.0))
        exact.add(names[part], vectors[part])
    assert told.approximate
    assert not exact.approximate
    assert told.recall(10) > 0.99  # who came first may miss somebody that does not have it among its own nearest
    for k in (0, 4):
        assert len(told.tree(k).weight) == 599
        assert told.tree(k).weight.sum() == pytest.approx(exact.tree(k).weight.sum(), rel=0.01)
    assert adjusted_rand_score(told.density(15).labels, exact.density(15).labels) > 0.95


def test_recall_says_what_is_missed() -> None:
    vectors, names = planted(500), keys(0, 500)
    forest = ClusterForest(4, 16)
    forest.add(names, vectors, proposer(names, vectors, 0.5))
    assert 0.5 < forest.recall(10) < 0.95  # a pair that one side is told of is in both lists
    forest.make_exact()
    assert not forest.approximate
    exact = ClusterForest(4, 16)
    exact.add(names, vectors)
    assert forest.recall() == 1.0
    assert np.array_equal(forest.neighbours.near, exact.neighbours.near)
    assert np.array_equal(forest.tree(4).weight, exact.tree(4).weight)


def test_an_approximate_forest_can_be_saved_shrunk_and_given_further_trees(tmp_path: Path) -> None:
    vectors, names = planted(700), keys(0, 700)
    near = proposer(names, vectors, 0.9)
    forest = ClusterForest(4, 16)
    forest.add(names[:600], vectors[:600], near)
    forest.save(tmp_path)
    forest = ClusterForest.load(tmp_path)
    assert forest.approximate
    forest.remove(names[:300])
    forest.add(names[600:], vectors[600:], near)
    exact = ClusterForest((4, 7), 16)
    exact.add(names[300:], vectors[300:])
    assert forest.keys == exact.keys
    for k in (0, 4, 7):
        tree = forest.tree(k)
        assert len(tree.weight) == 399
        assert tree.weight.sum() == pytest.approx(exact.tree(k).weight.sum(), rel=0.02)
        assert np.all(np.diff(tree.weight) >= 0)


def test_groups_that_no_list_connects_are_connected() -> None:
    rng = np.random.default_rng(0)
    centres = np.eye(8)[:5]
    vectors = np.repeat(centres, 60, axis=0) + 0.01 * rng.normal(size=(300, 8))
    names = keys(0, 300)
    forest, exact = ClusterForest(3, 8), ClusterForest(3, 8)
    forest.add(names, vectors, proposer(names, vectors, 1.0))
    exact.add(names, vectors)
    for k in (0, 3):
        assert len(forest.tree(k).weight) == 299
        assert np.allclose(forest.tree(k).weight, exact.tree(k).weight, atol=0.05)
    assert np.array_equal(forest.threshold(0.8), exact.threshold(0.8))
