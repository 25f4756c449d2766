"""Kernels that choose: diverse samples, near-duplicate groups."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from morphoindex.indexer.selection.duplicates import best, groups_of
from morphoindex.indexer.selection.sampling import sample


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 60), st.integers(1, 6), st.integers(1, 80), st.integers(0, 99))
def test_a_sample_never_repeats_and_groups_take_turns(n: int, groups: int, count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, groups, n)
    chosen = sample(unit(rng.normal(size=(n, 8))), labels, count)
    assert len(chosen) == min(n, count)
    assert len(set(chosen.tolist())) == len(chosen)
    given_by = {label: int((labels[chosen] == label).sum()) for label in set(labels.tolist())}
    full = {label for label, got in given_by.items() if got == (labels == label).sum()}
    open_ = [got for label, got in given_by.items() if label not in full]
    assert not open_ or max(given_by.values()) - min(open_) <= 1 or max(open_) >= max(given_by.values()) - 1


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 40), st.integers(0, 99))
def test_a_shorter_sample_is_the_beginning_of_a_longer_one(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    vectors, labels = unit(rng.normal(size=(n, 4))), rng.integers(0, 3, n)
    assert sample(vectors, labels, n // 2).tolist() == sample(vectors, labels, n)[: n // 2].tolist()


def test_the_first_is_the_most_typical_and_the_second_the_most_different() -> None:
    angles = np.radians([0, 5, 10, 40, 80])
    vectors = np.column_stack([np.cos(angles), np.sin(angles)]).astype(np.float32)
    centre = np.argmax(vectors @ vectors.mean(axis=0))
    chosen = sample(vectors, np.zeros(5, int), 3)
    assert chosen[0] == centre
    assert chosen[1] == np.argmin(vectors @ vectors[centre])


def test_large_groups_go_first_when_there_are_more_groups_than_places() -> None:
    labels = np.array([0, 1, 1, 1, 2, 2])
    chosen = sample(unit(np.random.default_rng(0).normal(size=(6, 3))), labels, 2)
    assert labels[chosen].tolist() == [1, 2]


def test_what_is_in_no_group_comes_last_however_much_it_is() -> None:
    labels = np.array([-1, -1, -1, -1, 0, 1, 1])
    chosen = sample(unit(np.random.default_rng(0).normal(size=(7, 3))), labels, 4)
    assert labels[chosen].tolist() == [1, 0, -1, 1]


def test_groups_of() -> None:
    assert [g.tolist() for g in groups_of(np.array([0, -1, 1, 0]))] == [[0, 3], [2]]
    assert groups_of(np.array([-1, -1])) == []


def test_the_best_has_most_pixels_then_most_bytes_then_the_first_id() -> None:
    group = np.array([0, 1, 2, 3])
    assert best(group, [(4, 9, "a"), (9, 1, "b"), (9, 2, "d"), (9, 2, "c")]) == 3
