"""Labels that take the place of others: what is said of them, what is kept, and the way back."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import tiny
from hypothesis import example, given
from hypothesis import strategies as st

import morphoindex
from morphoindex.errors import IndexDamaged, UsageError
from morphoindex.indexer.descriptions.relabelling import Kept, dues
from morphoindex.indexer.holdings.journal import Journal
from morphoindex.indexer.results.labels import LabelChange


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three kinds of four photographs, added with the folder as the species."""
    folder = tmp_path_factory.mktemp("labels")
    tiny.photos(folder / "photos", 3, 4)
    with morphoindex.open(folder, create=True, encoder=str(tiny.encoder(folder / "tiny.onnx"))) as index:
        index.add(folder / "photos", labels="folder")
    return folder


@pytest.fixture
def here(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, as the working folder."""
    subprocess.run(["cp", "-a", "--sparse=always", f"{whole}/.", tmp_path], check=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def index(here: Path) -> Iterator[morphoindex.Index]:
    with morphoindex.open(here) as opened:
        yield opened


def table(rows: Mapping[str, str], columns: str = "species", name: str = "labels.csv") -> str:
    """A labels file with these rows, as text behind the path."""
    Path(name).write_text(f"path,{columns}\n" + "".join(f"{path},{rest}\n" for path, rest in rows.items()), "utf-8")
    return name


def labels(index: morphoindex.Index) -> dict[str, dict[str, str]]:
    """Photograph → labels, by the store."""
    return {
        os.path.relpath(index._session.roots.join(*specimen.paths[0].key)): dict(specimen.labels)
        for batch in index._session.collection.scroll()
        for specimen in batch
    }


def test_what_an_add_says_keeps_and_takes_back(index: morphoindex.Index) -> None:
    before = labels(index)
    rows = {f"photos/kind0/{i}.png": "Apis,f" for i in range(3)}
    given = table({**rows, "photos/kind1/0.png": "kind1,m", "photos/gone.png": "x,y"}, "species,sex")
    foreseen = index.add("photos", labels=given, dry_run=True).labels
    assert foreseen is not None
    assert foreseen.number is None
    assert (labels(index), index.status().labels) == (before, ("species",))
    assert index.labels.history().entries == ()

    done = index.add("photos", labels=given).labels
    assert done is not None
    assert (done.first, done.further, done.changed, done.kept, done.number) == (0, 4, 3, 1, 1)
    assert done.changes == (LabelChange("species", "kind0", "Apis", 3, os.path.abspath("photos/kind0/0.png")),)
    assert (done.unused, done.without, len(done.without_such_as)) == (("photos/gone.png",), 8, 8)
    assert done.new_columns == ("sex",)
    assert vars(foreseen) == {**vars(done), "number": None}
    assert labels(index) == {
        **before,
        **{path: {"species": "Apis", "sex": "f"} for path in rows},
        "photos/kind1/0.png": {"species": "kind1", "sex": "m"},
    }
    again = index.add("photos", labels=given).labels
    assert again is not None
    assert (again.changed, again.kept, again.number, again.new_columns) == (0, 8, None, ())

    (entry,) = index.labels.history().entries
    assert (entry.number, entry.how, entry.given, entry.changed, entry.specimens) == (1, given, 4, 3, 4)
    assert {(one.column, one.old, one.new, one.specimens) for one in index.labels.show(1).changes} == {
        ("species", "kind0", "Apis", 3), ("sex", None, "f", 3), ("sex", None, "m", 1),
    }  # fmt: skip
    assert index.labels.undo(dry_run=True).specimens == 4
    undone = index.labels.undo()
    assert (undone.number, undone.undoes, undone.specimens, undone.since, undone.gone) == (2, 1, 4, 0, 0)
    assert labels(index) == before
    assert [one.undone for one in index.labels.history().entries] == [True, False]
    assert index.check().clean
    index.rebuild()
    assert labels(index) == before


def test_any_number_of_times_and_all_the_way_back(index: morphoindex.Index) -> None:
    lot = random.Random(3)
    states = []
    for _ in range(6):
        states.append(labels(index))
        some = lot.sample(sorted(states[0]), 5)
        index.add("photos", labels=table({path: f"{lot.choice('ABC')},{lot.choice('fm')}" for path in some}, "a,b"))
    held = sum(not one.undone for one in index.labels.history().entries)
    while held:
        index.labels.undo()
        held -= 1
        assert labels(index) in states
    assert labels(index) == states[0]
    with pytest.raises(UsageError, match="no labels to take back"):
        index.labels.undo()


def test_an_undo_leaves_what_was_given_since(index: morphoindex.Index) -> None:
    first, second, third = (f"photos/kind0/{i}.png" for i in range(3))
    index.add("photos", labels=table({first: "A", second: "A", third: "A"}))
    index.add("photos", labels=table({second: "B"}))
    index.remove([third])
    back = index.labels.undo(1)
    assert (back.specimens, back.since, back.gone) == (1, 1, 1)
    assert [labels(index)[path]["species"] for path in (first, second)] == ["kind0", "B"]
    for number, says in ((1, "undone by number 3"), (3, "is an undo itself"), (9, "there are 1 to 3")):
        with pytest.raises(UsageError, match=says):
            index.labels.undo(number)


def test_undone_in_another_order_nothing_comes_back_that_was_taken_back(index: morphoindex.Index) -> None:
    path = "photos/kind0/0.png"
    for value in "AB":
        index.add("photos", labels=table({path: value}))
    assert index.labels.undo(1, dry_run=True).since == 1
    assert (index.labels.undo(1).specimens, labels(index)[path]["species"]) == (0, "B")
    assert (index.labels.undo(2).since, labels(index)[path]["species"]) == (0, "kind0")
    for value in "A", "B", "A":  # the last one stands, though the first one had given the same
        index.add("photos", labels=table({path: value}))
    assert (index.labels.undo(5).since, labels(index)[path]["species"]) == (1, "A")
    index.remove([path])
    index.add("photos", labels=table({path: "C"}))
    index.add("photos", labels=table({path: "D"}))
    index.labels.undo()
    assert labels(index)[path] == {"species": "C"}  # which it came back with; the journal knows of A only


@given(st.lists(st.sampled_from([None, "a", "b", "c", 0, 1, 2, 3]), max_size=14), st.sampled_from([None, "a"]))
@example(["b", 0, "b", "c", 2], "a")
def test_what_stands_is_what_was_given_and_not_undone(steps: list[str | int | None], first: str | None) -> None:
    """A step is a giving of a value, or, a number, the undo of one that is not undone yet."""
    there: list[Kept] = []
    undone: set[int | None] = set()
    now: str | None = first
    for step in steps:
        held = [one for one in there if one.undoes is None and one.number not in undone]
        if isinstance(step, int):
            if not held:
                continue
            one = held[step % len(held)]
            due = dues(there, one)["specimen", "column"]
            undone.add(one.number)
            assert due.since == (one is not held[-1])
            after = now if due.since else due.value
        else:
            after = step
        if isinstance(step, int) or after != now:
            undoes = one.number if isinstance(step, int) else None
            there.append(Kept(len(there) + 1, "", "", undoes, {("column", now, after): ["specimen"]}))
        now = after
        given = [next(iter(one.changes))[2] for one in there if one.undoes is None and one.number not in undone]
        assert now == [first, *given][-1]


def test_columns_without_any_value_are_gone(index: morphoindex.Index) -> None:
    one, other = "photos/kind0/0.png", "photos/kind0/1.png"
    index.add("photos", labels=table({one: "f,x"}, "sex,sight"))
    index.add("photos", labels=table({other: "m"}, "sex"))
    assert index.status().labels == ("species", "sex", "sight")
    assert index.labels.undo(1, dry_run=True).columns_gone == ()
    assert index.labels.undo(1).columns_gone == ("sight",)
    assert index.status().labels == ("species", "sex")
    with pytest.raises(UsageError, match="no column 'sight'"):
        index.search(one, where="sight = x")
    assert "sight" not in index.sql("SELECT * FROM specimens").columns
    index.remove([other])
    index.rebuild()
    assert index.status().labels == ("species",)
    assert index.check().clean
    index.add("photos", labels=table({one: "f,x"}, "sex,sight"))
    assert [hit.labels["sight"] for hit in index.search(one, where="sight = x").hits] == ["x"]


def test_remove_says_that_labels_go_too(here: Path) -> None:
    cli = tiny.Cli(here)
    shown = cli("remove", "photos/kind0/0.png", "--dry-run").stdout
    assert shown.startswith("Would remove 1 specimen with its labels. ")
    cli("add", "photos", "--labels", table({"photos/kind2/0.png": "A"}))
    tiny.photo(here / "photos" / "kind0" / "9.png", 7, 1)
    cli("add", "photos")
    assert "Removed 5 specimens, and the labels of 4 of them. " in cli("remove", "photos/kind0").stdout
    assert "Removed 4 specimens with their labels. " in cli("remove", "photos/kind1").stdout
    cli("add", "photos")
    assert cli.json("remove", "photos")["labelled"] == 4


def test_photographs_that_moved_into_other_folders(index: morphoindex.Index) -> None:
    os.rename("photos/kind0", "photos/Apis")
    tiny.photo(Path("photos/new/1.png"), 7, 1)
    foreseen = index.add("photos", labels="folder", dry_run=True)
    done = index.add("photos", labels="folder")
    assert (done.added, done.moved, done.known) == (foreseen.added, foreseen.moved, foreseen.known) == (1, 4, 8)
    assert done.labels is not None
    assert foreseen.labels is not None
    assert (done.labels.first, done.labels.changed, done.labels.kept) == (1, 4, 8)
    assert vars(foreseen.labels) == {**vars(done.labels), "number": None}
    index.labels.undo()
    assert labels(index)["photos/Apis/0.png"] == {"species": "kind0"}
    assert labels(index)["photos/new/1.png"] == {"species": "new"}  # it had no others before


def test_a_row_of_a_photograph_that_is_refused_has_met_its_file(index: morphoindex.Index) -> None:
    Path("photos/broken.png").write_bytes(b"broken")
    given = table({"photos/broken.png": "A", "photos/kind0/0.png": "B"})
    for dry_run in (True, False, True):
        done = index.add("photos", labels=given, dry_run=dry_run).labels
        assert done is not None
        assert done.unused == ()


def test_labels_that_come_with_vectors(tmp_path: Path) -> None:
    with morphoindex.open(tmp_path, create=True) as index:
        assert index.add_embeddings(["a", "b"], np.eye(2), None, [{"species": "A"}, {}]).labels is not None
        given = index.add_embeddings(["a", "b"], np.eye(2), None, [{"species": "B", "sex": "f"}, {"sex": "m"}]).labels
        assert given is not None
        assert (given.first, given.further, given.changed, given.number) == (1, 1, 1, 1)
        assert given.changes == (LabelChange("species", "A", "B", 1, None),)
        assert index.add_embeddings(["a"], np.eye(2)[:1]).labels is None
        assert index.labels.undo().specimens == 2
        assert {one.id: dict(one.labels) for batch in index._session.collection.scroll() for one in batch} == {
            "a": {"species": "A"}, "b": {},
        }  # fmt: skip


def test_a_journal_with_labels_that_cannot_be_read(index: morphoindex.Index, here: Path) -> None:
    Journal(here / ".morphoindex").append("labels", {"number": 1, "how": "x"})
    with pytest.raises(IndexDamaged, match="labels in the journal cannot be read"):
        index.labels.history()


@pytest.mark.parametrize("undo", [False, True])
def test_killed_anywhere_no_label_is_lost(whole: Path, tmp_path: Path, undo: bool) -> None:
    def fresh(name: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        subprocess.run(["cp", "-a", "--sparse=always", f"{whole}/.", folder], check=True)
        table({f"photos/kind{kind}/1.png": "A" for kind in range(3)}, name=str(folder / "labels.csv"))
        if undo:
            with morphoindex.open(folder) as index:
                index.add(folder / "photos", labels=str(folder / "labels.csv"))
        return folder

    def command(folder: Path) -> list[str]:
        words = ["labels", "undo"] if undo else ["add", f"{folder}/photos", "--labels", f"{folder}/labels.csv"]
        return ["--index", str(folder), *words]

    steps = tiny.steps_of(command(fresh("reference")))
    for number in range(1, 6):
        folder = fresh(f"killed{number}")
        assert tiny.killed_at(command(folder), 1 + (steps - 1) * number // 6)
        with morphoindex.open(folder) as index:
            if not undo:
                index.add(folder / "photos", labels=str(folder / "labels.csv"))
                assert sum(found["species"] == "A" for found in labels(index).values()) == 3
            for entry in index.labels.history().entries[::-1]:
                if entry.undoes is None and not entry.undone:
                    index.labels.undo(entry.number)
            assert all(found["species"] == Path(path).parent.name for path, found in labels(index).items())
            assert index.check().clean


def test_the_command_line(here: Path) -> None:
    cli = tiny.Cli(here)
    assert cli("labels", "history").stdout.startswith("No labels were replaced")
    table({"photos/kind0/0.png": "Apis", "photos/kind1/0.png": "kind1", **{f"{i}.png": "x" for i in range(90, 95)}})
    shown = cli("add", "photos", "--labels", "labels.csv", "--dry-run").stdout
    assert "Labels: 1 label would change, 1 would stay.\n" in shown
    shown = cli("add", "photos", "--labels", "labels.csv").stdout
    assert "Labels: 1 label changed, 1 stayed. Undo: `morphoindex labels undo 1`.\n" in shown
    assert "species  kind0  Apis          1  photos/kind0/0.png\n" in shown
    assert (
        "Labels: none for 10 files: photos/kind0/1.png, photos/kind0/2.png, photos/kind0/3.png and 7 more.\n" in shown
    )
    assert "Labels: 5 rows of the table met no file: 90.png, 91.png, 92.png and 2 more.\n" in shown
    assert "species  kind0  Apis          1  photos/kind0/0.png\n" in cli("labels", "history", "1").stdout
    assert cli.json("labels", "history")["entries"][0]["changed"] == 1
    typos = table({"photos/kind0/0.png": "f,x"}, "sexx,sight", "typos.csv")
    for how in (["--dry-run"], []):
        shown = cli("add", "photos", "--labels", typos, *how).stdout
        assert "Labels: columns new to the index: sexx, sight.\n" in shown
    assert "Without any value, and gone from the index: the columns sexx, sight.\n" in cli("labels", "undo").stdout
    assert "1 specimen would get back" in cli("labels", "undo", "--dry-run").stdout
    assert "1 specimen got back what it had" in cli("labels", "undo").stdout
    for value in "AB":
        table({"photos/kind0/0.png": value})
        cli("add", "photos", "--labels", "labels.csv")
    assert cli("labels", "undo", "5").stdout == (
        "Labels of labels.csv (number 5): no specimen got back what it had.\n"
        "1 label was given anew since, and stays; number 5 counts no more.\n"
    )
    assert "species  B    kind0 " in cli("labels", "undo").stdout
    assert "no labels to take back" in cli("labels", "undo", code=2).stderr
