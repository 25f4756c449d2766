"""Kernels of sampling, against planted truth and plain references."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from morphoindex.indexer.selection import facility, farthest
from morphoindex.indexer.selection.kmeans import kmeans
from morphoindex.indexer.selection.quality import distance_to_nearest, evenness
from morphoindex.indexer.selection.sampling import STRATEGIES, Strategy, sample

strategies = st.sampled_from(STRATEGIES)


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def planted(sizes: list[int], seed: int = 0, dim: int = 16, spread: float = 0.05) -> tuple[np.ndarray, np.ndarray]:
    """Groups around orthogonal directions, and the number of the group of each."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(sizes)), sizes)
    return unit(np.eye(dim)[labels] + spread * rng.normal(size=(len(labels), dim))), labels


@settings(max_examples=100, deadline=None)
@given(strategies, st.integers(1, 60), st.integers(1, 70), st.integers(0, 9), st.booleans(), st.booleans())
def test_a_sample_never_repeats_and_holds_what_was_asked_for(
    strategy: Strategy, n: int, count: int, seed: int, by: bool, once: bool
) -> None:
    rng = np.random.default_rng([seed, n])
    vectors, clusters = unit(rng.normal(size=(n, 6))), rng.integers(-1, 4, n)
    classes = rng.integers(-1, 3, n) if by else None
    unique = [rng.integers(-1, n // 3 + 1, n) for _ in range(2 * once)]
    chosen = sample(vectors, count, strategy, clusters=clusters, classes=classes, unique=unique, seed=seed)
    assert len(set(chosen.tolist())) == len(chosen)
    if not once:
        assert len(chosen) == min(n, count)
    for groups in unique:
        taken = groups[chosen]
        assert len(set(taken[taken >= 0].tolist())) == (taken >= 0).sum()
    if len(chosen) < count:  # nothing is left that could have been chosen
        rest = np.setdiff1d(np.arange(n), chosen)
        blocked = [(groups[rest] >= 0) & np.isin(groups[rest], groups[chosen]) for groups in unique]
        assert not len(rest) or np.logical_or.reduce(blocked).all()
    again = sample(vectors, count, strategy, clusters=clusters, classes=classes, unique=unique, seed=seed)
    assert chosen.tolist() == again.tolist()
    half = sample(vectors, count // 2, strategy, clusters=clusters, classes=classes, unique=unique, seed=seed)
    assert half.tolist() == chosen[: count // 2].tolist()


@settings(max_examples=60, deadline=None)
@given(strategies.filter(lambda s: s != "stratified"), st.lists(st.integers(1, 12), min_size=1, max_size=5), st.data())
def test_classes_give_the_same_as_long_as_they_have_it(
    strategy: Strategy, sizes: list[int], data: st.DataObject
) -> None:
    vectors, classes = planted(sizes, spread=0.3)
    count = data.draw(st.integers(1, sum(sizes)))
    got = np.bincount(classes[sample(vectors, count, strategy, classes=classes)], minlength=len(sizes))
    left = [g for g, size in zip(got, sizes, strict=True) if g < size]
    assert not left or max(got) - min(left) <= 1


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 200), min_size=1, max_size=6), st.data())
def test_strata_have_their_share(sizes: list[int], data: st.DataObject) -> None:
    classes = np.repeat(np.arange(len(sizes)), sizes)
    vectors = unit(np.random.default_rng(0).normal(size=(len(classes), 3)))
    count = data.draw(st.integers(1, len(classes)))
    got = np.bincount(classes[sample(vectors, count, "stratified", classes=classes)], minlength=len(sizes))
    # Webster's rule: no place could go to another stratum that has less for its size
    for a, b in itertools.permutations(range(len(sizes)), 2):
        if got[a]:
            assert sizes[a] / (2 * got[a] - 1) >= sizes[b] / (2 * got[b] + 1) - 1e-9


def test_clusters_take_turns_large_ones_first_and_what_is_in_none_last() -> None:
    vectors = unit(np.random.default_rng(0).normal(size=(7, 3)))
    clusters = np.array([-1, -1, -1, -1, 0, 1, 1])
    assert clusters[sample(vectors, 4, clusters=clusters)].tolist() == [1, 0, -1, 1]
    assert clusters[sample(vectors, 1, clusters=clusters)].tolist() == [1]


def test_the_first_is_the_most_typical_and_the_second_the_most_different() -> None:
    angles = np.radians([0, 5, 10, 40, 80])
    vectors = np.column_stack([np.cos(angles), np.sin(angles)]).astype(np.float32)
    centre = np.argmax(vectors @ vectors.mean(axis=0))
    for strategy in ("cluster", "coverage"):
        chosen = sample(vectors, 3, strategy)
        assert chosen[0] == centre
        assert chosen[1] == np.argmin(vectors @ vectors[centre])


def farthest_by_hand(vectors: np.ndarray, count: int) -> list[int]:
    x = vectors.astype(np.float64)
    chosen = [int(np.argmax(x @ x.mean(axis=0)))]
    while len(chosen) < count:
        closest = (x @ x[chosen].T).max(axis=1)
        closest[chosen] = np.inf
        chosen.append(int(np.argmin(closest)))
    return chosen


@settings(max_examples=60, deadline=None)
@given(st.integers(3, 120), st.sampled_from(["ball", "groups", "line"]), st.integers(0, 99), st.integers(2, 9))
def test_following_the_edge_alone_gives_the_order_of_following_all(n: int, shape: str, seed: int, edge: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2 if shape == "line" else 12))
    if shape == "groups":
        x = 3 * np.eye(12)[rng.integers(0, 5, n)] + 0.3 * x
    vectors, before = unit(x), farthest._EDGE
    try:
        farthest._EDGE = edge
        assert sample(vectors, n // 2, "coverage").tolist() == farthest_by_hand(vectors, n // 2)
    finally:
        farthest._EDGE = before


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=2, max_size=6), st.integers(0, 99))
def test_coverage_is_within_twice_the_best_radius(sizes: list[int], seed: int) -> None:
    vectors, labels = planted(sizes, seed)
    chosen = sample(vectors, len(sizes), "coverage")
    assert sorted(labels[chosen]) == list(range(len(sizes)))  # groups are far from each other, and narrow
    assert distance_to_nearest(vectors, chosen).max() < 0.5


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 70), st.integers(0, 99))
def test_facility_location_is_greedy(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = unit(rng.normal(size=(n, 5)))
    similar = np.maximum(vectors.astype(np.float64) @ vectors.T.astype(np.float64), 0)
    reached = np.zeros(n)
    for position in sample(vectors, n, "facility"):
        best = np.maximum(similar, reached[:, np.newaxis]).sum(axis=0).max()  # every candidate tried
        reached = np.maximum(reached, similar[:, position])
        assert reached.sum() == pytest.approx(best, rel=1e-6)


def test_facility_location_in_cells_comes_near_to_that_of_all_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(40, 16))
    vectors = unit(centres[rng.integers(0, 40, 3000)] + 0.5 * rng.normal(size=(3000, 16)))
    whole = sample(vectors, 60, "facility")
    monkeypatch.setattr(facility, "_ROOM", 3000 * 250)
    in_cells = sample(vectors, 60, "facility")
    assert in_cells.tolist() == sample(vectors, 60, "facility").tolist()
    assert len(set(in_cells.tolist())) == 60
    worth = {name: 1 - distance_to_nearest(vectors, chosen).mean() for name, chosen in (
        ("whole", whole), ("in cells", in_cells), ("random", sample(vectors, 60, "random")),
    )}  # fmt: skip
    assert worth["whole"] >= worth["in cells"] > worth["random"] + 0.5 * (worth["whole"] - worth["random"])


def test_kmeans_finds_how_many_groups_there_are() -> None:
    vectors, labels = planted([30, 20, 10, 25, 15, 12])
    found, near = kmeans(vectors, 0)
    assert len(set(zip(found.tolist(), labels.tolist(), strict=True))) == 6 == len(set(found.tolist()))
    chosen = sample(vectors, 6, "kmeans")
    assert labels[chosen].tolist() == [0, 3, 1, 4, 5, 2]
    for position in chosen:
        assert near[position] == near[labels == labels[position]].max()


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("n", [0, 1, 2, 30])
def test_copies_of_one_vector_are_no_trouble(strategy: Strategy, n: int) -> None:
    vectors = np.tile(np.array([[0.6, 0.8]], np.float32), (n, 1))
    groups = np.zeros(n, np.int64)
    for count in (1, n, n + 1):
        chosen = sample(vectors, count, strategy, clusters=groups, classes=groups)
        assert sorted(chosen.tolist()) == sorted(set(chosen.tolist()))
        assert len(chosen) == min(n, count)


@settings(max_examples=30, deadline=None)
@given(strategies, st.integers(5, 40), st.integers(0, 99))
def test_which_are_chosen_does_not_depend_on_the_order_of_arrival(strategy: Strategy, n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    vectors, clusters, ids = unit(rng.normal(size=(n, 8))), rng.integers(-1, 3, n), rng.permutation(n)
    shuffled = rng.permutation(n)
    picked = []
    for arrival in (np.arange(n), shuffled):
        order = arrival[np.argsort(ids[arrival])]  # as the index does: by id
        picked.append(ids[order[sample(vectors[order], n // 2, strategy, clusters=clusters[order], seed=3)]].tolist())
    assert picked[0] == picked[1]


def test_chance_decides_which_of_many_classes_give() -> None:
    classes = np.repeat(np.arange(40), [9, *[3] * 39])
    vectors = unit(np.random.default_rng(0).normal(size=(len(classes), 6)))
    several = [classes[sample(vectors, 8, "random", classes=classes, seed=seed)] for seed in range(5)]
    assert all(chosen[0] == 0 for chosen in several)  # the large one
    assert len({tuple(chosen) for chosen in several}) == 5
    assert max(np.concatenate(several)) > 20  # not the first by their numbers


def test_distance_to_the_nearest_chosen_one() -> None:
    vectors = unit(np.random.default_rng(0).normal(size=(50, 4)))
    chosen = np.array([3, 20, 41])
    x = vectors.astype(np.float64)
    expected = np.clip(1 - (x @ x[chosen].T).max(axis=1), 0, 2)
    assert distance_to_nearest(vectors, chosen) == pytest.approx(expected, abs=1e-6)


def test_evenness() -> None:
    assert str(evenness(np.array([3, 0, 0]))) == "0.0"
    assert evenness(np.array([5, 5])) == evenness(np.array([1, 1, 0])) == evenness(np.array([7])) == 1
    assert evenness(np.array([9, 1])) == pytest.approx(0.469, abs=1e-3)
    assert evenness(np.array([4, 0, 0])) == 0
