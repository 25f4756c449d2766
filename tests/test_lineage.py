"""Clusters keep their ids from run to run."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from morphoindex.indexer.clustering.lineage import match, new_ids


def test_a_cluster_that_grows_keeps_its_id() -> None:
    assert match(["C0001", "C0001", None, None], np.array([0, 0, 0, -1])) == {0: "C0001"}


def test_the_larger_part_of_a_split_keeps_the_id() -> None:
    assert match(["C0001"] * 5, np.array([0, 0, 1, 1, 1])) == {1: "C0001"}


def test_a_merged_cluster_keeps_the_id_of_its_larger_part() -> None:
    assert match(["C0001", "C0002", "C0002"], np.array([0, 0, 0])) == {0: "C0002"}


def test_matching_is_the_best_in_total_not_cluster_by_cluster() -> None:
    # Cluster 0 shares most with C1 (3), but giving C1 to cluster 1 (2) and C2 to cluster 0 (2) keeps four members.
    old = ["C1"] * 3 + ["C2"] * 2 + ["C1"] * 2
    new = np.array([0, 0, 0, 0, 0, 1, 1])
    assert match(old, new) == {0: "C2", 1: "C1"}


def test_nothing_shared_nothing_kept() -> None:
    assert match([None, None], np.array([0, 0])) == {}
    assert match(["C0001", None], np.array([-1, 0])) == {}


def test_new_ids_follow_the_highest_ever_used() -> None:
    assert new_ids(["C0001", "C0007"], 2) == ["C0008", "C0009"]
    assert new_ids([], 1) == ["C0001"]
    assert new_ids(["C9999"], 1) == ["C10000"]


@given(st.lists(st.tuples(st.sampled_from([None, "C1", "C2", "C3"]), st.integers(-1, 4)), max_size=40))
def test_matching_is_one_to_one_between_clusters_that_share_members(members: list[tuple[str | None, int]]) -> None:
    old, new = [o for o, _ in members], np.array([n for _, n in members], np.int64)
    found = match(old, new)
    assert len(set(found.values())) == len(found)
    for label, former in found.items():
        assert any(o == former and n == label for o, n in members)
