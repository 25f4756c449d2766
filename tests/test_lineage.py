"""Clusters keep their ids from run to run, and what happened to them is told."""

from __future__ import annotations

import itertools
from collections import Counter
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tale import Tale, told

from morphoindex.indexer.identity.decisions import Apart, Merge, Move, Name, Split, Verify
from morphoindex.indexer.identity.lineage import Pairs, best_pairs, new_ids, shared

# --- matching ---------------------------------------------------------------------------------------------------------


def test_new_ids_follow_the_highest_ever_used() -> None:
    assert new_ids(["C0001", "C0007"], 2) == ["C0008", "C0009"]
    assert new_ids([], 1) == ["C0001"]
    assert new_ids(["C9999"], 1) == ["C10000"]


def test_shared_members_are_counted() -> None:
    found = shared(np.array([0, 0, 1, -1]), np.array([2, 2, -1, 2]), np.array([True, False, False, False]))
    assert (found.row.tolist(), found.column.tolist(), found.worth.tolist()) == ([0], [2], [[1, 2]])


PAIRS = st.dictionaries(
    st.tuples(st.integers(0, 4), st.integers(0, 4)), st.tuples(st.integers(0, 2), st.integers(1, 3)), max_size=12
)


def pairs_of(worth: dict[tuple[int, int], tuple[int, ...]]) -> Pairs:
    ends = np.array(list(worth), np.int64).reshape(-1, 2)
    return Pairs(ends[:, 0], ends[:, 1], np.array(list(worth.values()), np.int64).reshape(-1, 2))


@given(PAIRS, st.randoms(use_true_random=False))
@settings(max_examples=300, deadline=None)
def test_the_best_pairs_are_those_of_brute_force(worth: dict[tuple[int, int], tuple[int, int]], dice: Random) -> None:
    found = best_pairs(pairs_of(worth))
    assert len({row for row, _ in found}) == len({column for _, column in found}) == len(found)

    def total(chosen: list[tuple[int, int]]) -> tuple[int, ...]:
        return tuple(sum(worth[pair][level] for pair in chosen) for level in range(2))

    assert total(found) == max(
        total([pair for pair in enumerate(columns) if pair in worth]) for columns in itertools.permutations(range(5))
    )
    order = list(worth)
    dice.shuffle(order)
    assert best_pairs(pairs_of({pair: worth[pair] for pair in order})) == found


def test_levels_are_weighed_one_before_the_other() -> None:
    big = 10**6
    assert best_pairs(pairs_of({(0, 0): (1, 1), (0, 1): (0, big), (1, 0): (0, big)})) == [(0, 0)]
    assert best_pairs(pairs_of({(0, 1): (0, 2), (0, 0): (0, 2)})) == [(0, 0)]


def test_matching_is_the_best_in_total_not_cluster_by_cluster() -> None:
    # The first shares most with C0001 (3), but giving C0001 to the second (2) and C0002 to the first (2) keeps four.
    tale = Tale()
    tale.run("abcde", "fg")
    tale.run("abcfg", "de")
    assert tale.clusters() == {"C0001": "de", "C0002": "abcfg"}


WORD = "abcdefghijkl"
PARTITION = st.lists(st.integers(-1, 3), min_size=len(WORD), max_size=len(WORD))


def groups_of(labels: list[int]) -> list[str]:
    return [
        "".join(one for one, label in zip(WORD, labels, strict=True) if label == number)
        for number in range(4)
        if number in labels
    ]


@given(PARTITION, PARTITION, st.sets(st.sampled_from(WORD), max_size=4))
@settings(max_examples=300, deadline=None)
def test_ids_in_use_go_on_as_brute_force_has_it(former: list[int], labels: list[int], late: set[str]) -> None:
    tale = Tale()
    tale.add(one for one in WORD if one not in late)
    tale.run(*["".join(one for one in group if one not in late) for group in groups_of(former)])
    was, now = tale.clusters(), groups_of(labels)
    seen = set(tale.specimens)
    tale.run(*now)

    def worth(group: str, cluster: str) -> int:
        shared = len(set(group) & set(was[cluster]))
        return shared if 2 * shared > min(len(was[cluster]), len(set(group) & seen)) else 0

    most = max(
        sum(worth(group, cluster) for group, cluster in zip(now, order, strict=False) if cluster)
        for order in itertools.permutations([*was, *[""] * len(now)], len(now))
    )
    assert sum(worth(members, cluster) for cluster, members in tale.clusters().items() if cluster in was) == most
    kept = [cluster for cluster in tale.clusters() if cluster in was]
    assert all(worth(tale.of(cluster), cluster) for cluster in kept)


@given(st.lists(PARTITION, min_size=2, max_size=4), st.permutations(WORD), st.permutations(range(4)))
@settings(deadline=None)
def test_the_order_of_specimens_and_labels_makes_no_difference(
    runs: list[list[int]], ids: list[str], numbers: list[int]
) -> None:
    one, other = Tale(), Tale()
    one.add(WORD)
    other.add(ids)
    for labels in runs:
        groups = groups_of(labels)
        shuffled = [groups[i] for i in numbers if i < len(groups)]
        assert one.run(*groups) == other.run(*shuffled)
        assert one.clusters() == other.clusters()


@given(st.lists(PARTITION, min_size=1, max_size=5))
@settings(deadline=None)
def test_runs_without_decisions_keep_the_groups_and_never_use_an_id_for_two(runs: list[list[int]]) -> None:
    tale = Tale()
    tale.add(WORD)
    for labels in runs:
        groups = groups_of(labels)
        before = set(tale.history.used)
        tale.run(*groups)
        assert sorted(tale.clusters().values()) == sorted(groups)
        assert not before & set(tale.history.runs[-1].new)
    everything = tale.history
    kinds = Counter((event.kind, event.cluster) for run in everything.runs for event in run.events)
    assert all(number == 1 for (kind, _), number in kinds.items() if kind == "new")
    tale.run()
    tale.run(*groups_of(runs[-1]))
    assert everything.used == tale.history.used  # all came back


@given(st.lists(PARTITION, min_size=1, max_size=4))
@settings(deadline=None)
def test_events_tell_every_change_of_size(runs: list[list[int]]) -> None:
    tale = Tale()
    tale.add(WORD)
    sizes: dict[str, int] = {}
    for labels in runs:
        for event in tale.run(*groups_of(labels)):
            sizes[event.cluster] = event.size
            if event.kind == "split":
                sizes.update(event.others)  # a part may have others' members, too: told apart below
            if event.kind == "merged":
                sizes.update(dict.fromkeys(event.others, 0))
        now = {cluster: len(members) for cluster, members in tale.clusters().items()}
        assert {cluster for cluster, size in sizes.items() if size} == set(now)
        sizes = dict(now)


# --- histories, and the events they must give -------------------------------------------------------------------------


def test_split_and_merge_again_and_split() -> None:
    tale = Tale()
    assert told(tale.run("abcde")) == ["new C0001 5 +5"]
    assert told(tale.run("abc", "de")) == ["split C0001 3 -2 C0002:2"]
    assert told(tale.run("abcde")) == ["merged C0001 5 +2 C0002:2"]
    assert told(tale.run("abc", "de")) == ["shrank C0001 3 -2", "returned C0002 2 +2 C0001:2"]
    assert tale.clusters() == {"C0001": "abc", "C0002": "de"}


def test_growing_shrinking_and_changing() -> None:
    tale = Tale()
    tale.run("abcd", "wxyz")
    assert told(tale.run("abcde", "wxy")) == ["grew C0001 5 +1", "shrank C0002 3 -1"]
    assert told(tale.run("abcdz", "wxye")) == ["continued C0001 5 +1 -1", "grew C0002 4 +1"]
    assert told(tale.run("abcdz", "wxye")) == []


def test_the_larger_part_of_a_split_keeps_the_id() -> None:
    tale = Tale()
    tale.run("abcde")
    assert told(tale.run("ab", "cde")) == ["split C0001 3 -2 C0002:2"]
    assert tale.of("C0001") == "cde"


def test_a_merged_cluster_keeps_the_id_of_its_larger_part_and_of_equal_ones_the_lower() -> None:
    tale = Tale()
    tale.run("ab", "cde", "x", "y")
    assert told(tale.run("abcde", "xy")) == ["merged C0002 5 +2 C0001:2", "merged C0003 2 +1 C0004:1"]


def test_dissolved_and_returned_and_in_between_nothing_is_new() -> None:
    tale = Tale()
    tale.run("abc", "def", "gh")
    assert told(tale.run()) == ["dissolved C0001 0 -3", "dissolved C0002 0 -3", "dissolved C0003 0 -2"]
    assert told(tale.run()) == []
    assert told(tale.run("abc", "defx")) == ["returned C0001 3 +3", "returned C0002 4 +4"]
    assert told(tale.run("abc", "defx", "gh")) == ["returned C0003 2 +2"]


def test_clusters_of_one_size_that_merge_come_back_as_they_were() -> None:
    tale = Tale()
    tale.run("yz", "wx", "uv", "st", "cd", "ab")
    before = tale.clusters()
    tale.run("abcdstuvwxyz")
    tale.run("yz", "wx", "uv", "st", "cd", "ab")
    assert tale.clusters() == before


def test_an_id_comes_back_to_any_of_the_members_it_ended_with() -> None:
    tale = Tale()
    tale.run("abcd", "ef")
    tale.run()
    tale.run("abcuvwxy", "ef")  # of those that were there before, three of its four
    assert tale.of("C0001") == "abcuvwxy"
    tale.run()
    tale.run("abcd", "ef")  # three of the eight it had last, but all of those it had first
    assert tale.clusters() == {"C0001": "abcd", "C0002": "ef"}


def test_a_scattered_cluster_is_dissolved_and_its_parts_are_told() -> None:
    tale = Tale()
    tale.run("abcd", "ijklmn", "uvwxyz")
    assert told(tale.run("abijklmn", "cduvwxyz")) == [
        "dissolved C0001 0 -4 C0002:2 C0003:2", "grew C0002 8 +2", "grew C0003 8 +2",
    ]  # fmt: skip


def test_emptied() -> None:
    tale = Tale()
    tale.run("abc", "def")
    tale.remove("abc")
    assert told(tale.run("def")) == ["emptied C0001 0"]
    assert told(tale.run("def")) == []
    assert told(tale.run("def", "ghi")) == ["new C0003 3 +3"]


def test_members_that_were_removed_do_not_count() -> None:
    tale = Tale()
    tale.run("abcdefgh")
    tale.run()
    tale.remove("defgh")
    assert told(tale.run("abc")) == ["returned C0001 3 +3"]


@pytest.mark.parametrize("meanwhile", ["nothing", "a run", "a run each time"])
def test_who_left_the_index_and_comes_back_finds_its_cluster(meanwhile: str) -> None:
    tale = Tale()
    tale.run("abcdef", "uvwxyz")
    tale.remove("abc")
    if meanwhile == "a run each time":
        tale.run("def", "uvwxyz")
    tale.remove("def")
    if meanwhile != "nothing":
        assert told(tale.run("uvwxyz")) == ["emptied C0001 0"]
    assert told(tale.run("abcdefg", "uvwxyz")) == ["returned C0001 7 +7"]
    assert tale.history.runs[-1].ended == {}
    assert "C0001" in tale.history.alive()


def test_one_that_left_earlier_does_not_speak_for_a_cluster_that_ended() -> None:
    tale = Tale()
    tale.run("abcdef", "uvwxyz")
    tale.remove("a")
    tale.run()
    assert told(tale.run("ag")) == ["new C0003 2 +2"]
    assert told(tale.run("bcdefg")) == ["returned C0001 6 +6", "dissolved C0003 0 -2 C0001:1"]


def test_half_is_not_enough_to_stay_or_to_come_back() -> None:
    tale = Tale()
    tale.run("abcd", "efgh")
    tale.run("abcdefgh")
    assert tale.of("C0001") == "abcdefgh"
    tale.run()
    tale.run("efxy", "gh")  # of C0002 two and two; neither is more than half, nor is any more than half of C0001
    assert set(tale.clusters()) == {"C0003", "C0004"}


def test_a_few_members_among_new_ones_are_enough() -> None:
    tale = Tale()
    tale.run("abc")
    assert told(tale.run("ab", "cuvwxyz")) == ["split C0001 2 -1 C0002:1"]  # c is all of it that was there before
    tale.run("abc")
    tale.run("abc", "uvwxyz")
    assert tale.of("C0001") == "abc"


# --- with decisions ---------------------------------------------------------------------------------------------------


def test_verified_members_decide_before_any_number_of_others() -> None:
    tale = Tale()
    tale.run("abcdefghij")
    tale.decide(Verify({"C0001": ("a", "b")}))
    tale.run("abc", "defghij")
    assert tale.clusters() == {"C0001": "abc", "C0002": "defghij"}


def test_a_merge_does_not_disturb_the_next_runs() -> None:
    tale = Tale()
    tale.run("abc", "def")
    merge = tale.decide(Merge("C0001", ("C0002",)))
    assert tale.clusters() == {"C0001": "abcdef"}
    assert told(tale.run("abc", "defx")) == ["grew C0001 7 +1"]
    assert tale.clusters("run_cluster") == {"C0001": "abc", "C0002": "defx"}
    tale.undo(merge)
    assert tale.clusters() == {"C0001": "abc", "C0002": "defx"}


def test_clusters_told_apart_are_not_fused() -> None:
    tale = Tale()
    tale.add("abc", (1.0, 0.0))
    tale.add("def", (0.0, 1.0))
    tale.run("abc", "def")
    tale.decide(Apart(("C0001", "C0002")))
    tale.add("x", (1.0, 0.1))
    tale.add("y", (0.1, 1.0))
    assert told(tale.run("abcdefxy")) == ["grew C0001 4 +1", "grew C0002 4 +1"]
    assert tale.clusters() == {"C0001": "abcx", "C0002": "defy"}
    assert told(tale.run("abcdefxy")) == []


def test_clusters_with_verified_members_of_both_are_not_fused() -> None:
    tale = Tale()
    tale.add("abc", (1.0, 0.0))
    tale.add("def", (0.0, 1.0))
    tale.run("abc", "def")
    tale.decide(Verify({"C0001": ("a",)}))
    tale.run("abcdef")
    assert tale.clusters() == {"C0001": "abcdef"}  # nobody said that the other one is something
    tale.run("abc", "def")
    tale.decide(Verify({"C0002": ("d",)}))
    tale.run("abcdef")
    assert tale.clusters() == {"C0001": "abc", "C0002": "def"}


def test_a_split_lasts_and_draws_what_is_like_it() -> None:
    tale = Tale()
    tale.add("abc", (1.0, 0.0))
    tale.add("def", (0.0, 1.0))
    tale.run("abcdef")
    split = tale.decide(Split("C0001", {"C0002": ("d", "e", "f")}))
    assert tale.clusters() == {"C0001": "abc", "C0002": "def"}
    tale.add("y", (0.1, 1.0))
    assert told(tale.run("abcdefy")) == ["grew C0002 4 +1"]
    tale.undo(split)
    assert tale.clusters() == {"C0001": "abcdefy"}
    assert told(tale.run("abcdefy")) == []
    assert tale.clusters("run_cluster") == {"C0001": "abcdefy"}
    assert told(tale.run("abc", "defy")) == ["split C0001 4 -3 C0003:3"]  # C0002 was taken back for good


def test_an_undone_split_whose_cluster_was_named_leaves_the_name() -> None:
    tale = Tale()
    tale.run("abcdef")
    split = tale.decide(Split("C0001", {"C0002": ("d", "e", "f")}))
    tale.decide(Name("C0002", "Danaus"))
    tale.undo(split)
    assert tale.clusters() == {"C0001": "abcdef"}
    assert tale.history.rulings.names == {"C0002": "Danaus"}


def test_a_new_cluster_with_verified_members_belongs_to_theirs() -> None:
    tale = Tale()
    tale.run("abcdef")
    tale.decide(Verify({"C0001": ("a", "b", "d")}))
    tale.run("abc", "def")
    assert tale.clusters() == {"C0001": "abcdef"}
    tale.remove("abc")
    tale.run()
    assert tale.clusters() == {"C0001": "d"}
    assert told(tale.run("dxyz")) == ["grew C0001 4 +3"]


def test_a_moved_specimen_does_not_take_the_others_with_it() -> None:
    tale = Tale()
    tale.run("abcdef", "xyz")
    tale.decide(Move("C0002", ("a",)))
    assert told(tale.run("abcdefg", "xyz")) == ["grew C0001 6 +1"]
    tale.run()
    assert tale.clusters() == {"C0002": "a"}
    tale.run("abcdefg", "xyz")
    assert tale.clusters() == {"C0001": "bcdefg", "C0002": "axyz"}


def test_decisions_outlast_a_run_that_finds_nothing() -> None:
    tale = Tale()
    tale.run("abcdef", "xyz")
    tale.decide(Name("C0001", "Danaus"))
    tale.decide(Verify({"C0001": ("a", "b")}))
    assert told(tale.run()) == ["shrank C0001 2 -4", "dissolved C0002 0 -3"]
    assert tale.clusters() == {"C0001": "ab"}
    tale.run("abcdef", "xyz")
    assert tale.clusters() == {"C0001": "abcdef", "C0002": "xyz"}


@pytest.mark.parametrize("seed", range(3))
def test_a_thousand_random_adds_keep_every_verified_member_and_every_name(seed: int) -> None:
    """Adds, removals, and runs whose groups are as wild as can be, over a curated set."""
    rng = np.random.default_rng(seed)
    tale = Tale()
    centres = rng.standard_normal((8, 6))
    names = [f"s{i:02d}" for i in range(40)]
    for i, one in enumerate(names):
        tale.add([one], centres[i % 8] + 0.1 * rng.standard_normal(6))
    tale.run(*[[one for i, one in enumerate(names) if i % 8 == k] for k in range(8)])
    for cluster in list(tale.clusters()):
        tale.decide(Name(cluster, f"name of {cluster}"))
    pins = {}
    for one in names[:24]:
        cluster = tale.specimens[one].cluster
        assert cluster
        tale.decide(Verify({cluster: (one,)}))
        pins[one] = cluster
    called = dict(tale.history.rulings.names)
    assert len(called) == 8
    for turn in range(1000):
        tale.add([f"t{turn:04d}"], centres[rng.integers(8)] + 0.3 * rng.standard_normal(6))
        if turn % 10 == 9:
            loose = [one for one in tale.specimens if one not in pins]
            tale.remove(rng.choice(loose, min(len(loose), 8), replace=False).tolist())
        if turn % 20 == 0:
            ids = np.array(list(tale.specimens))
            labels = rng.integers(-1, rng.choice([1, 3, 8, 30]), len(ids))
            tale.run(*[ids[labels == k].tolist() for k in range(labels.max() + 1)])
        assert all(tale.specimens[one].cluster == cluster for one, cluster in pins.items())
        assert tale.history.rulings.names == called
