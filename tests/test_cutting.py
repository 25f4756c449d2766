"""Cosine clusters against components found by hand, and sweeps against cuts."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from morphoindex.indexer.clustering.cutting import Step, cut, longest_edge, sweep
from morphoindex.indexer.clustering.dendrogram import Dendrogram, dendrogram
from morphoindex.indexer.clustering.distances import chord
from morphoindex.indexer.clustering.labels import renumber

THRESHOLDS = [0.9, -1.0, 0.5, 1.0, 0.5, 0.82, 0.0]


@st.composite
def trees(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A random tree, its edges in random order; some just reach a threshold, some are 0 or 2."""
    n = draw(st.integers(1, 40))
    rng = np.random.default_rng(draw(st.integers(0, 100_000)))
    grown = np.array([(i, rng.integers(i)) for i in range(1, n)], np.int64).reshape(-1, 2)
    ends = rng.permutation(n)[rng.permutation(grown)]
    weight = np.where(
        rng.random(n - 1) < 0.5, rng.choice([longest_edge(t) for t in THRESHOLDS], n - 1), rng.random(n - 1).round(1)
    )
    return ends[:, 0], ends[:, 1], np.sort(weight)


def components(tree: tuple[np.ndarray, np.ndarray, np.ndarray], longest: float) -> np.ndarray:
    labels = np.arange(len(tree[0]) + 1)
    for a, b, weight in zip(*tree, strict=True):
        if weight <= longest:
            labels[labels == labels[b]] = labels[a]
    return labels


@settings(max_examples=200, deadline=None)
@given(trees(), st.sampled_from(THRESHOLDS) | st.floats(-1, 1), st.integers(1, 4))
def test_a_cut_gives_the_components(
    tree: tuple[np.ndarray, np.ndarray, np.ndarray], threshold: float, min_size: int
) -> None:
    expected = components(tree, longest_edge(threshold))
    small = np.bincount(expected)[expected] < min_size
    assert np.array_equal(cut(dendrogram(*tree), threshold, min_size), renumber(np.where(small, -1, expected)))


@settings(max_examples=200, deadline=None)
@given(trees())
def test_a_sweep_counts_what_each_cut_gives(tree: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    merges = dendrogram(*tree)
    steps = sweep(merges, THRESHOLDS)
    assert steps == tuple(_counted(merges, threshold) for threshold in THRESHOLDS)


def _counted(merges: Dendrogram, threshold: float) -> Step:
    labels = cut(merges, threshold)
    sizes = np.bincount(labels[labels >= 0])
    return Step(threshold, len(sizes), int(np.sum(labels < 0)), int(sizes.max(initial=0)))


@settings(max_examples=100, deadline=None)
@given(trees(), st.integers(0, 10_000), st.sampled_from(THRESHOLDS))
def test_which_specimen_has_which_row_does_not_matter(
    tree: tuple[np.ndarray, np.ndarray, np.ndarray], seed: int, threshold: float
) -> None:
    a, b, weight = tree
    row = np.random.default_rng(seed).permutation(len(a) + 1)
    one, two = cut(dendrogram(a, b, weight), threshold), cut(dendrogram(row[b], row[a], weight), threshold)
    assert np.array_equal(renumber(two[row]), one)


def test_a_cosine_that_is_just_the_threshold_reaches_it() -> None:
    weight = np.array([chord(0.8) + 5e-7, chord(0.8) + 2e-6])
    assert cut(dendrogram(np.array([0, 1]), np.array([1, 2]), weight), 0.8).tolist() == [0, 0, -1]


def test_a_sweep_over_one_specimen() -> None:
    none = np.empty(0, np.int32)
    merges = dendrogram(none, none, np.empty(0))
    assert sweep(merges, [0.5]) == (Step(0.5, 0, 1, 0),)
    assert sweep(merges, []) == ()
