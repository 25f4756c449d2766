"""The kernel of encounters against a dense reference."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from morphoindex.indexer.selection import encounters as kernel
from morphoindex.indexer.selection.encounters import NONE, Rule, Sightings, encounters, sessions

RULE = Rule(similarity=0.8, distance=100, gap=300, quick_gap=30)


def animals(rng: np.random.Generator, n: int, cropped: bool = True) -> Sightings:
    """Some animals, alike to each other or not, before two cameras, in frames of which they take places."""
    who = rng.integers(0, 5, n)
    looks = rng.normal(size=(5, 8))
    looks[1] = looks[0] + 0.2 * rng.normal(size=8)
    vectors = looks[who] + 0.35 * rng.normal(size=(n, 8))
    seconds = 1.7e9 + rng.integers(0, 60, n) * 10.0
    seconds[rng.random(n) < 0.1] = np.nan
    cameras = rng.integers(0, 2, n)
    centres = rng.integers(0, 5, (5, 2))[who] * 60.0 + rng.integers(0, 3, (n, 2))
    centres[rng.random(n) < 0.2] = np.nan
    frames = np.where(
        np.isnan(seconds) | (rng.random(n) < 0.2), NONE, cameras * 100 + np.nan_to_num(seconds) % 600 // 10
    )
    return Sightings(
        vectors=(vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32),
        seconds=seconds,
        cameras=cameras,
        centres=centres,
        frames=frames.astype(np.int64) if cropped else np.full(n, NONE),
        boxes=np.where(rng.random(n) < 0.1, 0, np.arange(n)),
    )


def groups(labels: np.ndarray) -> set[frozenset[int]]:
    """The rows of each label."""
    return {frozenset(np.flatnonzero(labels == label).tolist()) for label in set(labels.tolist()) - {NONE}}


def dense(seen: Sightings, rule: Rule) -> set[frozenset[int]]:
    """The same from all pairs, one by one, in double precision: components first, then none with two of a frame."""
    exact = seen.vectors.astype(np.float64)
    exact /= np.linalg.norm(exact, axis=1, keepdims=True)
    pairs = []
    for a in range(len(exact)):
        for b in range(a + 1, len(exact)):
            apart = abs(seen.seconds[a] - seen.seconds[b])
            near = bool(np.linalg.norm(seen.centres[a] - seen.centres[b]) < rule.distance)
            quick = bool(apart < rule.quick_gap)
            if (
                seen.cameras[a] != seen.cameras[b]
                or two_animals(seen, a, b)
                or not exact[a] @ exact[b] >= rule.similarity
            ):
                continue
            if quick or (near and apart < rule.gap):
                pairs.append(((not (near and quick), apart, -(exact[a] @ exact[b])), a, b))
    group = {i: frozenset([i]) for i in np.flatnonzero(~np.isnan(seen.seconds)).tolist()}
    for _, a, b in sorted(pairs):
        if not any(two_animals(seen, i, j) for i in group[a] for j in group[b]):
            union = group[a] | group[b]
            group.update(dict.fromkeys(union, union))
    return set(group.values())


def two_animals(seen: Sightings, a: int, b: int) -> bool:
    return bool(seen.frames[a] != NONE and seen.frames[a] == seen.frames[b] and seen.boxes[a] != seen.boxes[b])


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 70), st.booleans(), st.integers(1, 80), st.integers(0, 9999))
def test_encounters_are_those_of_the_dense_reference_wherever_blocks_end(
    n: int, cropped: bool, block: int, seed: int
) -> None:
    seen = animals(np.random.default_rng(seed), n, cropped)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernel, "_ROWS", block)
        patch.setattr(kernel, "_COLUMNS", block + 3)
        found = encounters(seen, RULE)
    assert groups(found) == dense(seen, RULE)
    assert np.array_equal(found == NONE, np.isnan(seen.seconds))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 70), st.integers(0, 9999))
def test_the_order_of_the_rows_is_nothing_to_encounters(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    seen = animals(rng, n)
    order = rng.permutation(n)
    found = np.full(n, NONE)
    found[order] = encounters(seen.take(order), RULE)
    assert groups(found) == groups(encounters(seen, RULE))


def track(*seen: tuple[float, float, float, int], camera: int = 0, angle: float = 1.0) -> Sightings:
    """Sightings (second, x, angle of the look in degrees, frame or -1)."""
    seconds, x, look, frame = np.array(seen, np.float64).T
    turned = np.radians(look * angle)
    return Sightings(
        np.column_stack([np.cos(turned), np.sin(turned)]).astype(np.float32),
        seconds, np.full(len(seen), camera), np.column_stack([x, np.zeros(len(seen))]), frame.astype(np.int64),
        np.arange(len(seen)),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("second", "x", "look", "joined"),
    [
        (29, 5000, 0, True),
        (30, 5000, 0, False),
        (30, 99, 0, True),
        (30, 100, 0, False),
        (299, 99, 0, True),
        (300, 99, 0, False),
        (30, math.nan, 0, False),
        (29, math.nan, 0, True),
        (29, 0, 36, True),
        (29, 0, 38, False),
    ],
)
def test_the_rule_to_the_second_and_the_pixel(second: float, x: float, look: float, joined: bool) -> None:
    labels = encounters(track((0, 0, 0, NONE), (second, x, look, NONE)), RULE)
    assert (labels[0] == labels[1]) == joined


def test_similarity_one_joins_what_is_the_same() -> None:
    rng = np.random.default_rng(0)
    look = rng.normal(size=100)
    vectors = np.tile(look / np.linalg.norm(look), (3, 1)).astype(np.float32)
    seen = replace(track((0, 0, 0, NONE), (1, 0, 0, NONE), (2, 0, 0, NONE)), vectors=vectors)
    assert encounters(seen, replace(RULE, similarity=1)).tolist() == [0, 0, 0]


def test_cameras_are_apart_and_numbers_follow_camera_and_time() -> None:
    seen = track((50, 500, 0, NONE), (0, 0, 0, NONE), (1, 0, 0, NONE), (51, 500, 0, NONE))
    assert encounters(replace(seen, cameras=np.array([1, 1, 0, 1])), RULE).tolist() == [2, 1, 0, 2]


def test_two_of_one_frame_stay_apart_though_they_are_twins() -> None:
    """Two look-alikes that sit still in three frames: the place tells them apart."""
    rows = [(t, x, t / 10, t) for t in range(3) for x in (0, 900)]
    assert encounters(track(*rows), RULE).tolist() == [0, 1, 0, 1, 0, 1]


def test_without_places_the_next_frame_counts_before_a_later_one() -> None:
    rows = [(0, math.nan, 0, 0), (0, math.nan, 9, 0), (2, math.nan, 4, 1), (2, math.nan, 12, 1), (4, math.nan, 9, 2)]
    assert encounters(track(*rows), RULE).tolist() == [0, 1, 0, 1, 1]


def test_copies_of_one_box_are_one_animal() -> None:
    seen = replace(track((0, 0, 0, 7), (0, 0, 0, 7), (0, 500, 0, 7)), boxes=np.array([3, 3, 4]))
    assert encounters(seen, RULE).tolist() == [0, 0, 1]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 70), st.sampled_from([1.0, 25.0, 60.0, 300.0]), st.integers(0, 9999))
def test_no_encounter_goes_over_the_edge_of_a_session(n: int, reach: float, seed: int) -> None:
    seen = animals(np.random.default_rng(seed), n)
    timed = np.flatnonzero(~np.isnan(seen.seconds))
    seen = seen.take(timed[np.lexsort((seen.seconds[timed], seen.cameras[timed]))])
    rule = Rule(0.0, 1e9, reach, reach / 2)
    starts = sessions(seen.cameras, seen.seconds, rule.reach)
    of = np.searchsorted(starts, np.arange(len(timed)), side="right")
    assert all(len({of[i] for i in group}) == 1 for group in groups(encounters(seen, rule)))
    both = [
        encounters(seen.take(np.arange(a, b)), rule) for a, b in zip(starts, [*starts, len(timed)][1:], strict=True)
    ]
    assert sum(len(groups(one)) for one in both) == len(groups(encounters(seen, rule)))
