"""Verification finds what is wrong, and nothing where all is right."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from morphoindex.indexer.clustering.dendrogram import dendrogram
from morphoindex.indexer.clustering.forest import ClusterForest
from morphoindex.indexer.clustering.rows import ids_of
from morphoindex.indexer.clustering.trees import Tree
from morphoindex.indexer.clustering.verification import brute_force, leaves, shortcuts


def vectors_of(kind: str, n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 6))
    if kind == "ties":
        x = np.round(x)
        x[~x.any(axis=1), 0] = 1
    return x


def forest_of(x: np.ndarray, k: int) -> ClusterForest:
    forest = ClusterForest(k)
    forest.add([f"{i * 7919 % 104729:032x}" for i in range(len(x))], x)
    return forest


cases = st.builds(vectors_of, st.sampled_from(["plain", "ties"]), st.integers(1, 120), st.integers(0, 2**32))


@settings(deadline=None, max_examples=60)
@given(cases, st.integers(0, 6))
def test_a_right_tree_is_found_right(x: np.ndarray, k: int) -> None:
    forest = forest_of(x, k)
    tree = forest.tree(k)
    assert shortcuts(tree, forest.vectors, forest.core(k), k).tolist() == []
    reference = brute_force(forest.vectors, ids_of(forest.keys), k)
    assert np.array_equal(np.sort([reference.a, reference.b], axis=0), np.sort([tree.a, tree.b], axis=0))
    assert np.array_equal(reference.weight, tree.weight)
    assert np.array_equal(reference.core, forest.core(k))


@settings(deadline=None, max_examples=60)
@given(st.integers(8, 120), st.integers(0, 2**32), st.integers(0, 5), st.data())
def test_a_tree_with_one_wrong_edge_is_found_out(n: int, seed: int, k: int, data: st.DataObject) -> None:
    """An edge is taken away, and the two sides are joined by another pair that lies farther apart."""
    forest = forest_of(vectors_of("plain", n, seed), k)
    tree, core, x = forest.tree(k), forest.core(k), forest.vectors.astype(np.float64)
    gone = data.draw(st.integers(0, n - 2))
    side = _side(tree, gone)
    weight = np.maximum(np.maximum(core[:, np.newaxis], core), np.linalg.norm(x[:, np.newaxis] - x, axis=2))
    crossing = np.argwhere((side[:, np.newaxis] & ~side) & (weight > tree.weight[gone] + 1e-3))
    if not len(crossing):
        return
    i, j = crossing[data.draw(st.integers(0, len(crossing) - 1))]
    a, b, w = tree.a.copy(), tree.b.copy(), tree.weight.copy()
    a[gone], b[gone], w[gone] = i, j, weight[i, j]
    order = np.argsort(w, kind="stable")
    other = replace(tree, a=a[order], b=b[order], weight=w[order])
    wrong = shortcuts(other, forest.vectors, core, k)
    assert {int(tree.a[gone]), int(tree.b[gone])} <= set(wrong.tolist())


@pytest.mark.parametrize("factor", [0.99, 1.01])
def test_a_wrong_core_distance_is_found_out(factor: float) -> None:
    forest = forest_of(vectors_of("plain", 90, 1), 4)
    core = forest.core(4).copy()
    core[17] *= factor
    assert 17 in shortcuts(forest.tree(4), forest.vectors, core, 4)


def test_weights_that_are_not_those_of_their_edges_are_found_out() -> None:
    forest = forest_of(vectors_of("plain", 60, 2), 4)
    for k in (0, 4):
        tree = forest.tree(k)
        assert len(shortcuts(replace(tree, weight=tree.weight / 2), forest.vectors, forest.core(k), k)) == 60


def test_specimens_too_near_for_a_tile_to_tell_apart_raise_no_alarm() -> None:
    rng = np.random.default_rng(0)
    x = np.ones(64) + rng.normal(size=(300, 64)) * 1e-4
    forest = forest_of(x, 5)
    for k in (0, 5):
        assert shortcuts(forest.tree(k), forest.vectors, forest.core(k), k).tolist() == []


def test_leaves_and_their_gaps() -> None:
    merges = dendrogram(np.array([0, 2, 1]), np.array([1, 3, 3]), np.array([0.1, 0.2, 0.7]))
    order, gaps = leaves(merges)
    assert sorted(order.tolist()) == [0, 1, 2, 3]
    assert gaps.tolist() in ([0.1, 0.7, 0.2], [0.2, 0.7, 0.1])
    assert {frozenset(order[:2].tolist()), frozenset(order[2:].tolist())} == {frozenset({0, 1}), frozenset({2, 3})}


def _side(tree: Tree, gone: int) -> np.ndarray:
    """Which rows lie on the side of the first end of an edge."""
    rest = replace(tree, a=np.delete(tree.a, gone), b=np.delete(tree.b, gone))
    side = np.zeros(len(tree.a) + 1, bool)
    side[tree.a[gone]] = True
    for _ in range(len(side)):
        np.logical_or.at(side, rest.a, side[rest.b])
        np.logical_or.at(side, rest.b, side[rest.a])
    return side
