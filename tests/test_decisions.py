"""Decisions are replayed: what stands follows from the list alone, and taking one back leaves no trace."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tale import Tale

from morphoindex.indexer.identity.decisions import (
    Apart,
    Decision,
    Merge,
    Move,
    Name,
    Numbered,
    Rulings,
    Split,
    Undo,
    Verify,
    made,
    mentions,
    placed,
    resting_on,
    rulings,
    standing,
)


def stands(*decisions: Decision) -> Rulings:
    return rulings([Numbered(number, decision) for number, decision in enumerate(decisions, 1)])


def test_the_last_decision_on_a_specimen_counts() -> None:
    found = stands(Verify({"C1": ("a", "b")}), Move("C2", ("a",)), Split("C2", {"C3": ("a", "c")}))
    assert found.pins == {"a": "C3", "b": "C1", "c": "C3"}
    assert found.cluster_of("a", "C9") == "C3"
    assert found.cluster_of("z", "C9") == "C9"
    assert found.cluster_of("z", None) is None
    assert found.cluster_of("a", None) == "C3"


def test_merges_are_followed_to_the_end() -> None:
    found = stands(Merge("C1", ("C2",)), Merge("C0", ("C1", "C5")), Move("C2", ("x",)))
    assert found.same == {"C1": "C0", "C2": "C0", "C5": "C0"}
    assert found.pins == {"x": "C0"}
    assert found.cluster_of("y", "C2") == "C0"


def test_a_merge_in_a_circle_changes_nothing() -> None:
    assert stands(Merge("C1", ("C2",)), Merge("C2", ("C1",))).same == {"C2": "C1"}
    assert stands(Merge("C1", ("C1",))).same == {}


def test_a_merge_taken_back_leaves_the_later_ones() -> None:
    found = stands(Merge("C1", ("C2",)), Merge("C0", ("C1",)), Undo(1))
    assert found.same == {"C1": "C0"}
    assert stands(Merge("C1", ("C2",)), Merge("C0", ("C1",)), Undo(2)).same == {"C2": "C1"}


def test_names() -> None:
    assert stands(Name("C1", "a"), Name("C1", "b")).names == {"C1": "b"}
    assert stands(Name("C1", "a"), Name("C1", "")).names == {}
    assert stands(Name("C1", "a"), Name("C1", "b"), Undo(2)).names == {"C1": "a"}
    assert stands(Name("C1", "a"), Name("C2", "b"), Merge("C1", ("C2",))).names == {"C1": "a"}
    assert stands(Name("C2", "b"), Merge("C1", ("C2",))).names == {"C1": "b"}
    assert stands(Name("C2", "b"), Merge("C1", ("C2",)), Name("C1", "")).names == {}
    assert stands(Name("C2", "b"), Merge("C1", ("C2",)), Undo(2)).names == {"C2": "b"}


def test_a_split_is_apart_from_what_it_was_split_off_until_a_person_merges_the_two() -> None:
    split = Split("C1", {"C2": ("a",), "C3": ("b",)})
    assert stands(split).apart == {("C1", "C2"), ("C1", "C3"), ("C2", "C3")}
    assert stands(split, Merge("C1", ("C2",))).apart == {("C1", "C3")}
    assert stands(Apart(("C5", "C4")), Merge("C1", ("C5",))).apart == {("C1", "C4")}


def test_a_split_taken_back_gives_its_cluster_back_unless_another_decision_keeps_it() -> None:
    split = Split("C1", {"C2": ("a",)})
    alone = stands(split, Undo(1))
    assert (alone.pins, alone.same, alone.withdrawn, alone.apart) == ({}, {"C2": "C1"}, {"C2"}, frozenset())
    kept = stands(split, Move("C2", ("b",)), Undo(1))
    assert (kept.pins, kept.same, kept.withdrawn) == ({"b": "C2"}, {}, frozenset())
    nested = stands(split, Split("C2", {"C4": ("a",)}), Undo(2), Undo(1))
    assert nested.same == {"C2": "C1", "C4": "C1"}


def test_what_rests_on_a_decision() -> None:
    listed = [
        Numbered(number, decision)
        for number, decision in enumerate(
            [Split("C1", {"C2": ("a",)}), Name("C2", "x"), Name("C1", "y"), Verify({"C2": ("a",)}), Undo(2)], 1
        )
    ]
    assert [one.number for one in resting_on(listed, 1)] == [4]
    assert [one.number for one in standing(listed)] == [1, 3, 4]
    assert made(listed) == {"C2"}


@pytest.mark.parametrize(
    ("decision", "clusters", "specimens"),
    [
        (Name("C1", "x"), {"C1"}, {}),
        (Merge("C1", ("C2", "C3")), {"C1", "C2", "C3"}, {}),
        (Split("C1", {"C2": ("a",)}), {"C1", "C2"}, {"a": "C2"}),
        (Move("C1", ("a", "b")), {"C1"}, {"a": "C1", "b": "C1"}),
        (Verify({"C1": ("a",), "C2": ("b",)}), {"C1", "C2"}, {"a": "C1", "b": "C2"}),
        (Apart(("C1", "C2")), {"C1", "C2"}, {}),
        (Undo(3), set(), {}),
    ],
)
def test_what_a_decision_speaks_of(decision: Decision, clusters: set[str], specimens: dict[str, str]) -> None:
    assert mentions(decision) == clusters
    assert placed(decision) == specimens


# --- the algebra ------------------------------------------------------------------------------------------------------

SPECIMENS = "abcdef"
CLUSTERS = st.sampled_from(["C0001", "C0002", "C0003", "C0004"])
SOME = st.lists(st.sampled_from(SPECIMENS), min_size=1, max_size=3, unique=True).map(tuple)
DECISIONS = st.one_of(
    st.builds(Name, CLUSTERS, st.sampled_from(["", "x", "y"])),
    st.builds(Merge, CLUSTERS, st.lists(CLUSTERS, min_size=1, max_size=2, unique=True).map(tuple)),
    st.builds(Move, CLUSTERS, SOME),
    st.builds(lambda cluster, some: Verify({cluster: some}), CLUSTERS, SOME),
    st.lists(CLUSTERS, min_size=2, max_size=2, unique=True).map(lambda pair: Apart((pair[0], pair[1]))),
    st.builds(lambda cluster, some: Split(cluster, {"new": some}), CLUSTERS, SOME),
)
SCRIPT = st.lists(DECISIONS, max_size=8)
GROUPED = st.fixed_dictionaries({one: st.one_of(st.none(), CLUSTERS) for one in SPECIMENS})


def script(decisions: Sequence[Decision]) -> list[Numbered]:
    """Numbered, with an id of its own for each split."""
    return [
        Numbered(n, Split(d.cluster, {f"C{n:03d}": d.parts["new"]}) if isinstance(d, Split) else d)
        for n, d in enumerate(decisions, 1)
    ]


def state(decisions: Sequence[Numbered], grouped: dict[str, str | None]) -> tuple[object, ...]:
    found = rulings(decisions)
    return {one: found.cluster_of(one, cluster) for one, cluster in grouped.items()}, found.names, found.apart


@given(SCRIPT, DECISIONS, GROUPED)
@settings(deadline=None)
def test_a_decision_and_its_undo_leave_everything_as_it_was(
    before: list[Decision], decision: Decision, grouped: dict[str, str | None]
) -> None:
    listed = script([*before, decision])
    number = len(listed)
    after = [*listed, Numbered(number + 1, Undo(number))]
    assert state(after, grouped) == state(listed[:-1], grouped)


@given(SCRIPT, st.data(), GROUPED)
@settings(deadline=None)
def test_an_undone_decision_might_never_have_been_made(
    decisions: list[Decision], data: st.DataObject, grouped: dict[str, str | None]
) -> None:
    listed = script(decisions)
    gone = data.draw(st.sets(st.sampled_from([one.number for one in listed]))) if listed else set()
    undone = data.draw(st.permutations(sorted(gone)))
    undos = [Numbered(len(listed) + i, Undo(number)) for i, number in enumerate(undone, 1)]
    assert state([*listed, *undos], grouped) == state([one for one in listed if one.number not in gone], grouped)


@given(SCRIPT, GROUPED)
@settings(deadline=None)
def test_pins_and_clusters_never_lead_to_one_that_was_merged_away(
    decisions: list[Decision], grouped: dict[str, str | None]
) -> None:
    found = rulings(script(decisions))
    ends = {*found.pins.values(), *found.same.values(), *found.names}
    ends |= {end for one, cluster in grouped.items() if (end := found.cluster_of(one, cluster))}
    assert not ends & set(found.same)
    assert all(a < b and {a, b}.isdisjoint(found.same) for a, b in found.apart)


@given(st.lists(st.one_of(DECISIONS, st.lists(st.integers(-1, 2), min_size=6, max_size=6)), min_size=2, max_size=10))
@settings(deadline=None)
def test_verified_members_stay_through_any_runs(steps: list[Decision | list[int]]) -> None:
    tale = Tale()
    for number, one in enumerate(SPECIMENS):
        tale.add(one, (1.0, number))
    tale.run("ab", "cd", "ef")
    for step in steps:
        if isinstance(step, list):
            tale.run(*["".join(o for o, label in zip(SPECIMENS, step, strict=True) if label == n) for n in range(3)])
        elif isinstance(step, Split):
            tale.decide(Split(step.cluster, {f"C9{len(tale.history.decisions):02d}": step.parts["new"]}))
        else:
            tale.decide(step)
        assert all(tale.specimens[one].cluster == c for one, c in tale.history.rulings.pins.items())
    for one in standing(tale.history.decisions):
        tale.undo(one.number)
    assert tale.history.rulings == Rulings(
        same=tale.history.rulings.same, withdrawn=tale.history.rulings.withdrawn
    )  # nothing is left but that the splits were taken back
