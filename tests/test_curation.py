"""Decisions about clusters through a real index: what they do, what outlasts what, and how they are undone."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import morphoindex
from morphoindex import Index
from morphoindex.errors import IndexDamaged, UsageError
from morphoindex.indexer.holdings.journal import Journal

KINDS, EACH, DIM = 5, 6, 16
CENTRES = np.random.default_rng(7).standard_normal((KINDS, DIM))


def planted(kind: int, individual: int) -> np.ndarray:
    own = np.random.default_rng([kind, individual]).standard_normal(DIM)
    return np.asarray(CENTRES[kind] + 0.1 * own, np.float32)


def name_of(kind: int, individual: int) -> str:
    return f"kind{kind}-{individual:04d}"


def add(index: Index, kind: int, individuals: range) -> None:
    index.add_embeddings(
        [name_of(kind, i) for i in individuals],
        np.stack([planted(kind, i) for i in individuals]),
        metadata={"species": [f"kind{kind}" for _ in individuals]},
    )


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    """Thirty specimens in five clusters, C0001 to C0005, kind by kind."""
    with morphoindex.open(tmp_path / "index", create=True) as opened:
        for kind in range(KINDS):
            add(opened, kind, range(EACH))
        opened.cluster(0.8)
        yield opened
        assert opened.check().problems == ()
        assert opened.clusters.list().retention == 1.0


def members(index: Index) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one, cluster in index.sql("SELECT id, cluster FROM specimens WHERE cluster IS NOT NULL ORDER BY id").rows:
        found.setdefault(cluster, []).append(one)
    return found


def everything(index: Index) -> list[object]:
    """Memberships and names, as a person sees them."""
    return [
        index.sql("SELECT id, cluster, probability FROM specimens ORDER BY id").rows,
        index.sql("SELECT id, name, size, verified FROM clusters ORDER BY id").rows,
        index.sql("SELECT * FROM runs ORDER BY run").rows,
    ]


def kind(number: int, *individuals: int) -> list[str]:
    return [name_of(number, i) for i in (individuals or range(EACH))]


def test_the_first_run_is_told(index: Index) -> None:
    assert members(index) == {f"C{k + 1:04d}": kind(k) for k in range(KINDS)}
    assert index.sql("SELECT kind, cluster, size FROM events ORDER BY cluster").rows == tuple(
        ("new", f"C{k + 1:04d}", EACH) for k in range(KINDS)
    )


def test_a_name_is_shown_everywhere_and_found_by(index: Index) -> None:
    done = index.clusters.name("c3", "  Danaus   plexippus ")
    assert (done.number, done.words, done.changed) == (1, 'C0003 named "Danaus plexippus"', 0)
    assert done.undo == "morphoindex clusters undo 1"
    assert index.clusters.show("danaus PLEXIPPUS").id == "C0003"
    assert index.sql("SELECT name FROM clusters WHERE id = 'C0003'").rows == (("Danaus plexippus",),)
    (found,) = [cluster for cluster in index.cluster(0.8).clusters if cluster.name]
    assert (found.id, found.name) == ("C0003", "Danaus plexippus")
    index.clusters.name("C0003", "")
    assert index.sql("SELECT count(name) FROM clusters").rows == ((0,),)


def test_a_name_is_told_with_each_specimen(index: Index, tmp_path: Path) -> None:
    index.add_embeddings(["z"], planted(0, 70)[None], metadata={"verified": ["by me"], "cluster_name": ["x"]})
    index.clusters.name("C0003", "Danaus")
    index.clusters.verify(kind(2, 1))
    index.clusters.move(kind(0, 0), "C0003")
    index.clusters.merge("C0003", "C0004")
    told = index.sql("SELECT id, cluster, cluster_name, verified FROM specimens ORDER BY id").rows
    assert told == tuple(
        [(name_of(0, 0), "C0003", "Danaus", True), *((one, "C0001", None, False) for one in kind(0, 1, 2, 3, 4, 5))]
        + [(one, "C0002", None, False) for one in kind(1)]
        + [(one, "C0003", "Danaus", one == name_of(2, 1)) for one in kind(2) + kind(3)]
        + [(one, "C0005", None, False) for one in kind(4)]
        + [("z", None, None, False)]
    )
    asked = "SELECT label_verified, label_cluster_name FROM specimens WHERE id = 'z'"
    assert index.sql(asked).rows == (("by me", "x"),)
    index.report("assignments", "json", tmp_path / "out.json")
    rows = json.loads((tmp_path / "out.json").read_text())
    assert [(row["id"], row["cluster"], row["cluster_name"], row["verified"]) for row in rows] == [*told]
    assert (rows[-1]["label_verified"], rows[-1]["label_cluster_name"]) == ("by me", "x")
    assert [(row.id, row.name) for row in index.overview().clusters if row.name] == [("C0003", "Danaus")]


def test_a_name_is_one_line_of_text(index: Index) -> None:
    assert index.clusters.name("C0001", "Danaus\n\tplexippus\r\n\x85x").words == 'C0001 named "Danaus plexippus x"'
    for name in ("c", "c 9", "C0003 b", "می\u200cخواهم", "café 🦋"):
        assert index.clusters.name("C0001", name).words == f'C0001 named "{name}"'


def test_what_changes_nothing_is_remarked_on(index: Index) -> None:
    held = ("nothing changes: that held already",)
    clusters = index.clusters
    with pytest.raises(UsageError, match="C0001 has no name that could be taken away"):
        clusters.name("C0001", "")
    assert clusters.apart("C0001", "C0002").remarks == ()
    assert clusters.apart("C0002", "C0001").remarks == held
    assert clusters.verify("C0003").remarks == ()
    assert clusters.verify(kind(2, 1, 2)).remarks == held
    assert clusters.verify(kind(2, 1) + kind(3, 1)).remarks == ()
    same = "nothing changes: the rest of what was decided comes to the same"
    assert same in clusters.undo(4).remarks
    assert same in clusters.undo(2).remarks
    assert clusters.undo(1).remarks == ()


def test_an_undo_says_what_a_cluster_is_called_then(index: Index) -> None:
    index.clusters.name("C0001", "one")
    index.clusters.name("C0001", "")
    done = index.clusters.undo()
    assert done.words == "decision 2 (name of C0001 taken away) no longer holds"
    assert done.remarks == ('C0001 is named "one" now',)
    assert index.clusters.undo().remarks == ("C0001 has no name now",)
    assert index.clusters.decisions().entries[2].words == done.words


def test_a_merge_of_what_was_told_apart_is_remarked_on(index: Index) -> None:
    index.clusters.apart("C0001", "C0002")
    index.clusters.split("C0003", kind(2, 1))
    index.clusters.merge("C0001", "C0004")
    assert index.clusters.merge("C0002", "C0005").remarks == ()
    assert index.clusters.merge("C0002", "C0001").remarks == (
        "decision 1 (C0001 and C0002 told apart) keeps C0001 and C0002 apart no longer",
    )
    assert index.clusters.merge("C0003", "C0006").remarks == (
        "decision 2 (C0006 with 1 specimen split off C0003) keeps C0003 and C0006 apart no longer",
    )
    index.cluster(0.8)
    assert set(members(index)) == {"C0002", "C0003"}


def test_a_cluster_without_members_cannot_be_verified(index: Index) -> None:
    index.clusters.name("C0005", "lost")
    index.remove(kind(4))
    with pytest.raises(UsageError, match=r"C0005 has no members that could be verified; .*clusters history C0005"):
        index.clusters.verify("lost")


def test_a_split_that_would_take_out_single_specimens_alone_says_so(index: Index) -> None:
    index.clusters.move(kind(1, 0), "C0001")
    with pytest.raises(UsageError, match=r"but for 1 specimen, each on its own.* stay with the rest: try a higher"):
        index.clusters.split("C0001", threshold=0.8)
    index.clusters.split("C0002", kind(1, 1))
    with pytest.raises(UsageError, match="C0006 has 1 specimen: there is nothing to split"):
        index.clusters.split("C0006", threshold=0.8)


def test_clusters_with_members_are_proposed_first(index: Index) -> None:
    index.clusters.name("C0001", "Danaus plexippus")
    index.clusters.name("C0005", "Danaus plexipus")
    index.remove(kind(4))
    with pytest.raises(UsageError, match="near it are C0004, C0003, C0002;"):
        index.clusters.show("C0009")
    with pytest.raises(UsageError, match="near it are Danaus plexippus, Danaus plexipus;"):
        index.clusters.show("danaus plexipu")


def test_how_much_of_an_id_is_needed_is_said(index: Index) -> None:
    with pytest.raises(UsageError, match=r"beginning of 6 ids, such as kind2-0000 and kind2-0005: .* 10 characters"):
        index.clusters.move("kind2", "C0001")
    with pytest.raises(UsageError, match="beginning of an id has at least 4 characters"):
        index.clusters.move("kin", "C0001")


def test_a_name_that_another_cluster_has_is_remarked_on(index: Index) -> None:
    index.clusters.name("C0003", "Danaus")
    assert "clusters merge C0004 C0003" in index.clusters.name("C0004", "danaus").remarks[0]
    with pytest.raises(UsageError, match="C0003 and C0004 have the name"):
        index.clusters.show("Danaus")


def test_merge_and_undo(index: Index) -> None:
    before = everything(index)
    done = index.clusters.merge("C0001", ["C0002", "C0003"])
    assert (done.words, done.changed) == ("C0002 and C0003 merged into C0001", 2 * EACH)
    assert members(index)["C0001"] == kind(0) + kind(1) + kind(2)
    for wrong in (
        lambda: index.clusters.show("C0002"),
        lambda: index.clusters.name("C0003", "x"),
        lambda: index.clusters.move(kind(4, 0), "C0002"),
    ):
        with pytest.raises(UsageError, match=r"was merged into C0001 by decision 1.*clusters undo 1"):
            wrong()
    add(index, 1, range(EACH, EACH + 3))
    assert index.cluster(0.8).events[0].kind == "grew"
    assert len(members(index)["C0001"]) == 3 * EACH + 3
    assert index.clusters.undo().words == "decision 1 (C0002 and C0003 merged into C0001) no longer holds"
    assert members(index)["C0002"] == kind(1, *range(EACH + 3))
    index.remove(kind(1, *range(EACH, EACH + 3)))
    index.cluster(0.8)
    assert everything(index)[0] == before[0]


def test_merged_names_are_remarked_on(index: Index) -> None:
    index.clusters.name("C0001", "one")
    index.clusters.name("C0002", "two")
    assert index.clusters.merge("one", "two").remarks == ('C0002 ("two") is called "one" now',)


def test_move_and_verify_outlast_every_run(index: Index) -> None:
    index.clusters.move(kind(0, 0), "C0002")
    index.clusters.verify(["C0003", *kind(3, 1)])
    index.clusters.name("C0005", "alone")
    for parameters in ({"min_cluster_size": 1000}, {"threshold": -1}, {"threshold": 0.999}):
        result = index.cluster(**parameters)  # type: ignore[arg-type]
        assert (result.verified, result.retention) == (8, 1.0)
        found = members(index)
        assert set(kind(0, 0)) <= set(found["C0002"])
        assert set(kind(2)) <= set(found["C0003"])
        assert set(kind(3, 1)) <= set(found["C0004"])
        assert "alone" in {row.name for row in index.clusters.list().clusters}
    index.cluster(0.8)
    assert members(index) == {
        "C0001": kind(0, 1, 2, 3, 4, 5), "C0002": kind(0, 0) + kind(1), "C0003": kind(2), "C0004": kind(3),
        "C0005": kind(4),
    }  # fmt: skip


def test_parameters_that_find_nothing_end_no_id(index: Index) -> None:
    before = everything(index)
    result = index.cluster(min_cluster_size=1000)
    assert {event.kind for event in result.events} == {"dissolved"}
    assert index.clusters.list().clusters == ()
    assert index.clusters.list(everything=True).clusters[0].became == {"noise": EACH}
    result = index.cluster(0.8)
    assert [event.kind for event in result.events] == ["returned"] * KINDS
    assert everything(index)[:2] == before[:2]


def test_split_by_members(index: Index) -> None:
    before = everything(index)
    done = index.clusters.split("C0001", kind(0, 4, 5))
    assert (done.words, done.clusters) == ("C0006 with 2 specimens split off C0001", ("C0001", "C0006"))
    assert members(index)["C0006"] == kind(0, 4, 5)
    index.cluster(0.8)
    assert members(index)["C0006"] == kind(0, 4, 5)
    assert members(index)["C0001"] == kind(0, 0, 1, 2, 3)
    index.clusters.undo()
    assert everything(index)[0] == before[0]
    with pytest.raises(UsageError, match="its members are in C0001"):
        index.clusters.show("C0006")
    index.cluster(0.8)
    index.clusters.split("C0001", kind(0, 4, 5))
    assert set(members(index)) == {*(f"C{k:04d}" for k in range(1, 6)), "C0007"}  # no id is given twice


def test_split_by_threshold(index: Index) -> None:
    index.cluster(-1)
    assert set(members(index)) == {"C0001"}
    done = index.clusters.split("C0001", threshold=0.8)
    assert done.changed == (KINDS - 1) * EACH
    assert sorted(members(index).values()) == [kind(k) for k in range(KINDS)]
    assert index.cluster(-1).events == ()
    assert sorted(members(index).values()) == [kind(k) for k in range(KINDS)]
    add(index, 3, range(EACH, EACH + 2))
    index.cluster(-1)
    assert sorted(members(index).values())[3] == kind(3, *range(EACH + 2))


def test_apart(index: Index) -> None:
    index.clusters.apart("C0001", "C0002")
    index.cluster(-1)
    found = members(index)
    assert set(found) == {"C0001", "C0002"}
    assert set(kind(0)) <= set(found["C0001"])
    assert set(kind(1)) <= set(found["C0002"])
    index.clusters.undo()
    index.cluster(-1)
    assert len(members(index)) == 1


def test_undo_of_what_later_decisions_rest_on_says_so(index: Index) -> None:
    index.clusters.split("C0001", kind(0, 4, 5))
    index.clusters.name("C0006", "Danaus")
    index.clusters.move(kind(0, 4), "C0006")
    done = index.clusters.undo(1)
    assert 'decision 2 (C0006 named "Danaus") still holds, and keeps C0006' in done.remarks
    assert "1 specimen stays where decision 3 put it" in done.remarks
    assert members(index)["C0006"] == kind(0, 4)
    assert index.sql("SELECT name FROM clusters WHERE id = 'C0006'").rows == (("Danaus",),)


def test_undo_takes_back_the_last_that_holds(index: Index) -> None:
    before = everything(index)
    index.clusters.name("C0001", "a")
    index.clusters.merge("C0002", "C0003")
    index.clusters.move(kind(4, 0), "C0001")
    assert index.clusters.undo(2).kind == "undo"
    assert index.clusters.undo().words.startswith("decision 3 (1 specimen moved to C0001) no longer")
    assert index.clusters.undo().words.startswith('decision 1 (C0001 named "a") no longer')
    assert everything(index)[:2] == before[:2]
    with pytest.raises(UsageError, match="no decision to undo"):
        index.clusters.undo()
    with pytest.raises(UsageError, match="decision 2 was undone by decision 4"):
        index.clusters.undo(2)
    with pytest.raises(UsageError, match="decision 4 is an undo"):
        index.clusters.undo(4)
    with pytest.raises(UsageError, match="no decision 40; there are 1 to 6"):
        index.clusters.undo(40)
    assert index.sql("SELECT number, kind, undone FROM decisions ORDER BY number").rows == (
        (1, "name", True), (2, "merge", True), (3, "move", True), (4, "undo", False), (5, "undo", False),
        (6, "undo", False),
    )  # fmt: skip


def test_a_dry_run_does_nothing_and_says_what_it_would_do(index: Index) -> None:
    before = (everything(index), index.clusters.decisions())
    clusters = index.clusters
    for done, changed in (
        (clusters.name("C0001", "x", dry_run=True), 0),
        (clusters.merge("C0001", "C0002", dry_run=True), EACH),
        (clusters.split("C0001", kind(0, 1), dry_run=True), 1),
        (clusters.move(kind(0, 1), "C0002", dry_run=True), 1),
        (clusters.verify("C0001", dry_run=True), 0),
        (clusters.apart("C0001", "C0002", dry_run=True), 0),
    ):
        assert (done.dry_run, done.number, done.undo, done.changed) == (True, None, None, changed)
    assert (everything(index), index.clusters.decisions()) == before


TABLES = ("specimens", "runs", "events", "decisions")


def test_a_run_that_is_only_tried_tells_what_it_would_do_and_changes_nothing(index: Index) -> None:
    index.clusters.verify(index.cluster(min_cluster_size=5).clusters[0].id)

    def standing() -> tuple[object, ...]:
        return index.clusters.list(), *(index.sql(f"SELECT * FROM {table} ORDER BY ALL").rows for table in TABLES)

    before = standing()
    tried = index.cluster(threshold=0.95, dry_run=True)
    assert tried.dry_run
    assert tried.verified > 0
    assert tried.retention == 1
    assert standing() == before
    done = index.cluster(threshold=0.95)
    assert (done.clusters, done.events, done.noise) == (tried.clusters, tried.events, tried.noise)


def test_verified_specimens_that_come_back_are_where_they_were_put(index: Index) -> None:
    index.clusters.move(kind(0, 0), "C0002")
    index.remove(kind(0, 0))
    assert index.clusters.list().verified == 0
    add(index, 0, range(1))
    assert set(kind(0, 0)) <= set(members(index)["C0002"])


def test_a_named_cluster_whose_members_were_removed_stays_in_the_list(index: Index) -> None:
    index.clusters.name("C0005", "lost")
    index.remove(kind(4))
    assert [event.kind for event in index.cluster(0.8).events] == ["emptied"]
    (row,) = [row for row in index.clusters.list().clusters if row.state == "dormant"]
    assert (row.id, row.name, row.size) == ("C0005", "lost", 0)
    assert [entry.words for entry in index.clusters.history("lost").entries] == [
        "new, with 6 specimens", 'C0005 named "lost"', "without members: they were removed from the index",
    ]  # fmt: skip
    index.clusters.move(kind(0, 0), "lost")  # a person may give it members again
    assert members(index)["C0005"] == kind(0, 0)


def test_history_tells_where_a_cluster_went(index: Index) -> None:
    index.cluster(-1)
    index.remove(kind(4, 0))
    told = index.clusters.history("C0005")
    assert (told.size, told.state, told.became) == (0, "dormant", {"C0001": 5, "removed": 1})
    assert [entry.words for entry in told.entries] == [
        "new, with 6 specimens", "merged into C0001: 6 specimens went there",
    ]  # fmt: skip
    index.cluster(0.8)
    assert index.clusters.history("C0005").entries[-1].words == "came back, with 5 specimens, out of C0001 (5)"
    index.clusters.move(kind(4, 1, 2, 3, 4, 5), "C0001")
    told = index.clusters.history("C0005")
    assert (told.state, told.became) == ("dormant", {"C0001": 5})
    assert told.entries[-1].words == "5 specimens moved to C0001: 5 specimens from here to C0001"


def test_show(index: Index) -> None:
    index.clusters.verify(kind(2, 3))
    shown = index.clusters.show("C0003")
    assert (shown.size, shown.verified, shown.label, shown.share) == (EACH, 1, "kind2", 1.0)
    assert shown.members[0].id == name_of(2, 3)
    assert {member.id for member in shown.members} == set(kind(2))
    vectors = np.stack([planted(2, i) for i in range(EACH)]).astype(np.float64)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    medoid = int(np.argmax((vectors @ vectors.T).sum(axis=0)))
    assert shown.medoid == name_of(2, medoid)
    assert shown.least_similarity == pytest.approx((vectors @ vectors[medoid]).min(), abs=1e-5)
    assert shown.mean_similarity == pytest.approx((vectors @ vectors[medoid]).mean(), abs=1e-5)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (
            lambda c: c.show("C0009"),
            r"no cluster 'C0009': near it are C0005, C0004, C0003; `morphoindex clusters list`",
        ),
        (lambda c: c.show("C12"), "near it are"),
        (lambda c: c.show("Danaus"), "no cluster 'Danaus'"),
        (lambda c: c.merge("C0001", "C0001"), "cannot be merged into itself"),
        (lambda c: c.merge("C0001", []), "say which"),
        (lambda c: c.split("C0001"), "one of the two"),
        (lambda c: c.split("C0001", kind(0, 1), threshold=0.9), "one of the two"),
        (lambda c: c.split("C0001", kind(1, 1)), "not in C0001: kind1-0001"),
        (lambda c: c.split("C0001", kind(0)), "all members"),
        (lambda c: c.split("C0001", threshold=0.5), "does not come apart at 0.5"),
        (lambda c: c.split("C0001", threshold=5), "between -1 and 1"),
        (lambda c: c.move([], "C0001"), "say which"),
        (lambda c: c.move(["nothing"], "C0001"), "neither a specimen"),
        (lambda c: c.verify([]), "say which"),
        (lambda c: c.apart("C0001", "c1"), "from itself"),
        (lambda c: c.name("C0001", "x" * 201), "at most 200"),
        *[(lambda c, name=n: c.name("C0001", name), "reads as the id") for n in ("C0001", "c9", " C0003 ", "C123456")],
        *[
            (lambda c, name=n: c.name("C0001", name), "control characters")
            for n in ("a\x1b[1mb", "\x07", "\u202eb", "\ud800")
        ],
        (lambda c: c.split("C0001", threshold=1.0), "falls wholly apart into single specimens at 1: try a lower"),
    ],
)
def test_wrong_use_says_what_is_wrong_and_decides_nothing(index: Index, wrong: object, says: str) -> None:
    before = everything(index)
    with pytest.raises(UsageError, match=says):
        wrong(index.clusters)  # type: ignore[operator]
    assert everything(index) == before
    assert index.clusters.decisions().entries == ()


def test_what_may_be_the_beginning_of_an_id_is_not_taken_for_a_cluster(index: Index) -> None:
    index.add_embeddings(["c0001" + "0" * 27, "0003" + "0" * 28], np.stack([planted(0, 90), planted(1, 90)]))
    index.cluster(0.8)
    assert index.clusters.verify("c0001").changed == index.clusters.verify("0003").changed == 0
    assert index.clusters.list().verified == 2
    index.clusters.verify("C0001")
    assert index.clusters.list().verified == 1 + EACH + 1
    assert index.clusters.show("c1").id == "C0001"
    assert index.clusters.verify(["c2", "c0003", "C4"], dry_run=True).clusters == ("C0002", "C0003", "C0004")


def test_specimens_in_no_cluster_cannot_be_verified(index: Index) -> None:
    index.cluster(min_cluster_size=1000)
    with pytest.raises(UsageError, match="in no cluster"):
        index.clusters.verify(kind(0, 0))


def test_everything_outlasts_a_rebuild(index: Index) -> None:
    index.clusters.name("C0001", "one")
    index.clusters.merge("C0001", "C0002")
    index.clusters.split("C0003", kind(2, 0, 1))
    index.clusters.undo(2)
    index.cluster(-1)
    before = (everything(index), index.clusters.list(everything=True), index.clusters.history("C0003"))
    index.rebuild()
    assert (everything(index), index.clusters.list(everything=True), index.clusters.history("C0003")) == before


@pytest.mark.parametrize("seed", range(3))
def test_any_script_of_decisions_is_undone_without_a_trace(index: Index, seed: int) -> None:
    dice = random.Random(seed)
    everyone = [name_of(k, i) for k in range(KINDS) for i in range(EACH)]
    states = [everything(index)[:2]]
    clusters = index.clusters
    for _ in range(12):
        present = list(members(index))
        one, other = dice.sample(present, 2) if len(present) > 1 else (present[0], present[0])
        some = dice.sample(everyone, 3)
        decide = dice.choice(
            [
                lambda one=one: clusters.name(one, dice.choice(["", "x", "y"])),  # type: ignore[misc]
                lambda one=one, other=other: clusters.merge(one, other),  # type: ignore[misc]
                lambda one=one, some=some: clusters.move(some, one),  # type: ignore[misc]
                lambda some=some: clusters.verify(some),  # type: ignore[misc]
                lambda one=one: clusters.split(one, dice.sample(members(index)[one], 1)),  # type: ignore[misc]
            ]
        )
        try:
            decide()
        except UsageError:
            continue
        states.append(everything(index)[:2])
    assert len(states) > 5
    while len(states) > 1:
        assert everything(index)[:2] == states.pop()
        clusters.undo()
    assert everything(index)[:2] == states[0]


def test_many_adds_removals_and_runs_keep_verified_members_and_names(index: Index) -> None:
    dice = random.Random(5)
    for cluster in list(members(index)):
        index.clusters.name(cluster, f"name of {cluster}")
        index.clusters.verify(members(index)[cluster][:3])
    pins = {one: cluster for cluster, ids in members(index).items() for one in ids[:3]}
    names = index.sql("SELECT id, name FROM clusters ORDER BY id").rows
    runs = [
        lambda: index.cluster(0.8), lambda: index.cluster(-1), lambda: index.cluster(0.99),
        lambda: index.cluster(min_cluster_size=3, min_samples=2), lambda: index.cluster(min_cluster_size=500),
        lambda: index.cluster(min_cluster_size=4, selection="leaf"),
    ]  # fmt: skip
    added = EACH
    for turn in range(40):
        add(index, dice.randrange(KINDS), range(added, added + 5))
        added += 5
        if turn % 4 == 3:
            loose = [row[0] for row in index.sql("SELECT id FROM specimens ORDER BY id").rows if row[0] not in pins]
            index.remove(dice.sample(loose, 6))
        result = dice.choice(runs)()
        assert result.retention == 1.0
        now = dict(index.sql("SELECT id, cluster FROM specimens").rows)
        assert {one: now[one] for one in pins} == pins
        assert index.sql("SELECT id, name FROM clusters WHERE name IS NOT NULL ORDER BY id").rows == names
    index.cluster(0.8)
    found = members(index)
    assert all(one.startswith(f"kind{k}") for k in range(KINDS) for one in found[f"C{k + 1:04d}"])


# --- journals ---------------------------------------------------------------------------------------------------------


def test_a_journal_of_version_0_1_is_read(index: Index) -> None:
    journal = index._session.folder / "journal.jsonl"
    (line,) = journal.read_text().splitlines()
    old = {key: value for key, value in json.loads(line).items() if key not in ("events", "returned")}
    journal.write_text(json.dumps({**old, "ended": []}) + "\n")
    later = {**old, "run": 2, "new": ["C0006"], "ended": ["C0001"]}
    Journal(index._session.folder).append("cluster", {k: v for k, v in later.items() if k not in ("event", "time")})
    index.rebuild()
    assert index.sql("SELECT run, kind, cluster FROM events WHERE run = 2 ORDER BY kind").rows == (
        (2, "ended", "C0001"), (2, "new", "C0006"),
    )  # fmt: skip
    assert [entry.words for entry in index.clusters.history("C0001").entries] == ["new", "ended"]
    index.cluster(0.999)
    index.cluster(0.8)
    assert set(members(index)) == {f"C{k + 1:04d}" for k in range(KINDS)}


@pytest.mark.parametrize(
    "line",
    [
        {"number": 1, "decision": "name"},
        {"number": 1, "decision": "dance", "cluster": "C0001"},
        {"number": "x", "decision": "name", "cluster": "C0001", "name": "y"},
        {"decision": "merge", "into": "C0001", "clusters": ["C0002"]},
    ],
)
def test_a_decision_that_cannot_be_read_is_damage_that_is_named(tmp_path: Path, line: dict[str, object]) -> None:
    with morphoindex.open(tmp_path / "index", create=True) as index:
        add(index, 0, range(3))
    Journal(tmp_path / "index").append("decision", line)
    with morphoindex.open(tmp_path / "index") as index, pytest.raises(IndexDamaged, match="a decision in the journal"):
        index.status()


@pytest.mark.parametrize("run_between", [False, True])
def test_a_cluster_comes_back_with_its_name_when_its_specimens_do(index: Index, run_between: bool) -> None:
    before = members(index)
    index.clusters.name("C0002", "Danaus plexippus")
    index.remove(before["C0002"][:2])
    index.remove(before["C0002"][2:])
    if run_between:
        index.cluster(0.8)
        assert "C0002" not in members(index)
        assert index.clusters.history("C0002").became == {"removed": EACH}
    index.rebuild()
    add(index, 1, range(EACH))
    index.cluster(0.8)
    assert members(index) == before
    assert index.clusters.show("C0002").name == "Danaus plexippus"
