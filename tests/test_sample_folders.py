"""`sample` on the command line, and the folders that it fills."""

from __future__ import annotations

import csv
import json
import os
import random
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from test_crash import small_disk

import morphoindex
from morphoindex.errors import UsageError
from morphoindex.indexer.files.safe_names import safe_name, told_apart
from morphoindex.indexer.folders import picture_folder
from morphoindex.indexer.folders.picture_folder import Files
from morphoindex.indexer.folders.sample_folder import _folders
from morphoindex.indexer.output_folder import OUTPUT
from morphoindex.indexer.selection.sampling import STRATEGIES

KINDS, EACH = 4, 6


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tiny.Cli:
    """24 photographs of 4 kinds in folders, added with labels and clustered. Not to be changed."""
    folder = tmp_path_factory.mktemp("made")
    tiny.photos(folder / "photos", KINDS, EACH)
    with morphoindex.open(
        folder / ".morphoindex", create=True, encoder=str(tiny.encoder(folder / "tiny.onnx"))
    ) as index:
        index.add(folder / "photos", labels="folder")
        index.cluster(0.8)
    return tiny.Cli(folder)


@pytest.fixture
def index(here: tiny.Cli) -> Iterator[morphoindex.Index]:
    """A copy of it, open."""
    with morphoindex.open(here.folder / ".morphoindex") as opened:
        yield opened


def rows(folder: Path) -> list[dict[str, str]]:
    with open(folder / "manifest.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def pictures(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))


def relabel(cli: tiny.Cli, labels: dict[str, str]) -> None:
    """Give photographs other labels, by their path below `photos`."""
    with open(cli.folder / "labels.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("path", "taxon"), *((f"photos/{path}", label) for path, label in labels.items())])
    cli("add", "photos", "--labels", "labels.csv")


# --- what is chosen --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_says_what_the_sample_is_worth(made: tiny.Cli, strategy: str) -> None:
    answer = made.json("sample", "-n", "8", "--strategy", strategy)
    assert set(answer["selected"][0]) == {"id", "path", "cluster", "labels"}
    assert len({one["id"] for one in answer["selected"]}) == 8 == answer["requested"]
    assert (answer["strategy"], answer["available"], answer["written"]) == (strategy, 24, None)
    for worth in (answer["quality"], answer["random"]):
        assert 0 < worth["mean"] <= worth["radius"] < 2
        assert [one["of"] for one in worth["balance"]] == ["cluster", "species"]
    counts = Counter(one["labels"]["species"] for one in answer["selected"])
    balance = answer["quality"]["balance"][1]
    assert balance["covered"] == len(counts)
    assert balance["most"] == max(counts.values())
    if strategy in ("cluster", "kmeans", "stratified"):
        assert balance == {
            "of": "species", "values": 4, "covered": 4, "fewest": 2, "most": 2, "none": 0, "evenness": 1.0,
        }  # fmt: skip
        assert answer["quality"]["mean"] <= answer["random"]["mean"]


def test_a_person_sees_what_the_sample_is_worth(made: tiny.Cli) -> None:
    shown = made("sample", "-n", "8").stdout
    assert "8 specimens of 24, strategy cluster." in shown
    assert "farthest specimen, cosine distance" in shown
    assert "species: values covered                  4 of 4          4" in shown


def test_the_seed_decides_what_is_left_to_chance(index: morphoindex.Index) -> None:
    first, again, other = (index.sample(9, strategy="random", seed=seed).selected for seed in (1, 1, 2))
    assert first == again != other


def test_the_same_specimens_added_in_another_order_give_the_same_sample(
    index: morphoindex.Index, here: tiny.Cli
) -> None:
    encoder = str(here.folder / "tiny.onnx")
    with morphoindex.open(here.folder / "other", create=True, encoder=encoder) as other:
        for kind in range(KINDS - 1, -1, -1):
            other.add(here.folder / f"photos/kind{kind}", labels="folder")
        for strategy in STRATEGIES:
            by = "species" if strategy == "cluster" else None  # it has no clusters yet
            one, two = (which.sample(7, by, strategy=strategy).selected for which in (index, other))
            if strategy != "cluster":
                assert [chosen.id for chosen in one] == [chosen.id for chosen in two]
        other.cluster(0.8)
        one, two = (which.sample(8).selected for which in (index, other))  # clusters of one size go by their numbers
        assert {chosen.id for chosen in one} == {chosen.id for chosen in two}


def test_by_a_label_and_more_than_there_are(index: morphoindex.Index) -> None:
    for strategy in STRATEGIES:
        chosen = index.sample(8, "species", strategy=strategy).selected
        assert Counter(one.labels["species"] for one in chosen) == {f"kind{i}": 2 for i in range(KINDS)}
    assert len(index.sample(99).selected) == 24
    one_class = index.sample(99, "species", "species = kind0")
    assert len(one_class.selected) == 6
    assert one_class.quality is not None
    assert one_class.quality.balance[1].evenness == 1
    assert one_class.quality.radius == 0


def test_fewer_places_than_clusters_or_classes_and_more_than_there_are_is_said(made: tiny.Cli) -> None:
    done = made.json("sample", "-n", "3")
    left = {f"C000{i}" for i in range(1, 5)} - {one["cluster"] for one in done["selected"]}
    assert set(done["passed_over"]) == left
    assert f"1 cluster gives none: {left.pop()}" in made("sample", "-n", "3").stderr
    two = made.json("sample", "-n", "2", "--by", "species")
    left = sorted({f"kind{i}" for i in range(4)} - {one["labels"]["species"] for one in two["selected"]})
    said = f"2 values of species give none: {', '.join(left)}"
    assert said in made("sample", "-n", "2", "--by", "species").stderr
    assert "only 24 specimens" in made("sample", "-n", "99").stderr


def test_specimens_without_the_label_are_counted_and_said(here: tiny.Cli) -> None:
    relabel(here, {f"kind0/{i}.png": "A" for i in range(6)} | {f"kind1/{i}.png": "B" for i in range(4)})
    done = here("sample", "-n", "6", "--by", "taxon", "--layout", "imagefolder", "--out", "subset")
    assert "14 of 24 specimens have no taxon: they count as one more" in done.stderr
    assert "without the label lie in the folder unlabelled" in done.stderr
    assert Counter(name.split("/")[0] for name in pictures(here.folder / "subset")) == {"A": 2, "B": 2, "unlabelled": 2}
    with morphoindex.open(here.folder / ".morphoindex") as index:
        without = index.sample(6, "taxon", "not taxon is missing")
        assert (without.available, without.unlabelled) == (10, 0)
        with pytest.raises(UsageError, match="none of the 6 specimens has a taxon"):
            index.sample(2, "taxon", "species = kind3")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-n", "0"], "at least 1"),
        (["-n", "3", "--by", "genus"], "there are species"),
        (["-n", "3", "--strategy", "best"], "is not one of"),
        (["-n", "3", "--seed", "-1"], "-1 is not in the range"),
        (["-n", "3", "--layout", "imagefolder"], "go with it"),
        (["-n", "3", "--out", "x", "--layout", "huggingface", "--files", "none"], "leave one of the two out"),
        (["-n", "3", "--out", "photos"], "not an empty folder"),
        (["-n", "3", "--out", "tiny.onnx"], "not an empty folder"),
        (["-n", "3", "--out", "tiny.onnx/below"], "cannot be written"),
        ([], "Missing option '-n'"),
    ],
)
def test_wrong_use_is_one_clear_sentence(made: tiny.Cli, arguments: list[str], words: str) -> None:
    done = made("sample", *arguments, code=2)
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (made.folder / "x").exists()


def test_without_labels_or_specimens(tmp_path: Path) -> None:
    tiny.photos(tmp_path / "photos", 2, 2)
    with morphoindex.open(tmp_path / "index", create=True, encoder=str(tiny.encoder(tmp_path / "t.onnx"))) as index:
        assert index.sample(3).selected == ()
        assert index.sample(3).quality is None
        index.add(tmp_path / "photos")
        chosen = index.sample(3, strategy="facility")
        assert chosen.quality is not None
        assert chosen.quality.balance == ()  # neither clusters nor labels
        with pytest.raises(UsageError, match="stratified goes by a label column; there are none yet"):
            index.sample(3, strategy="stratified")
        with pytest.raises(UsageError, match="no specimen has a label"):
            index.write_sample(chosen, tmp_path / "out", layout="imagefolder")
        with pytest.raises(UsageError, match="there is no strategy 'best'; there are cluster, kmeans"):
            index.sample(3, strategy="best")  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="seed -1"):
            index.sample(3, seed=-1)
        assert not (tmp_path / "out").exists()


# --- the folder ------------------------------------------------------------------------------------------------------


def test_out_copies_and_the_same_command_finds_it_done(here: tiny.Cli) -> None:
    answer = here.json("sample", "-n", "9", "--out", "subset")
    assert answer["written"] | {"folder": ""} == {
        "folder": "", "layout": "flat", "how": "copy", "files": 9, "before": 0, "missing": [], "folders": {},
    }  # fmt: skip
    found = rows(here.folder / "subset")
    assert [row["id"] for row in found] == [one["id"] for one in answer["selected"]]
    for row in found:
        assert (here.folder / "subset" / row["file"]).read_bytes() == Path(row["source"]).read_bytes()
        assert row["species"] == Path(row["source"]).parent.name
    names = pictures(here.folder / "subset")  # several are called 0.png in their own folders
    assert len(names) == 9 == len({name.lower() for name in names})
    assert here.json("sample", "-n", "9", "--out", "subset")["written"]["before"] == 9
    assert "another sample" in here("sample", "-n", "8", "--out", "subset", code=2).stderr
    assert pictures(here.folder / "subset") == names


def test_a_folder_that_was_begun_is_finished(index: morphoindex.Index, tmp_path: Path) -> None:
    whole, subset, chosen = tmp_path / "whole", tmp_path / "subset", index.sample(9)
    index.write_sample(chosen, whole)
    index.write_sample(chosen, subset)
    for name in pictures(subset)[3:]:
        (subset / name).unlink()
    (subset / pictures(subset)[0]).write_bytes(b"")  # as after a loss of power
    (subset / ".part").write_bytes(b"half a")
    assert index.write_sample(chosen, subset).before == 2
    assert pictures(subset) == pictures(whole)
    assert (subset / "manifest.csv").read_bytes() == (whole / "manifest.csv").read_bytes()
    assert {path.name for path in subset.iterdir() if path.name.startswith(".")} == {OUTPUT}


def test_kills_leave_whole_files_and_a_folder_that_can_be_finished(here: tiny.Cli) -> None:
    def command(out: str) -> list[str]:
        return [
            "--index", str(here.folder / ".morphoindex"), "sample", "-n", "7", "--out", str(here.folder / out),
            "--layout", "huggingface",
        ]  # fmt: skip

    steps = tiny.steps_of(command("whole"))
    dice = random.Random(0)
    for turn in range(4):
        out = here.folder / f"subset{turn}"
        assert tiny.killed_at(command(out.name), steps - int(dice.random() ** 2 * 0.7 * steps))
        for name in pictures(out) if out.exists() else []:
            assert (out / name).read_bytes() == (here.folder / "whole" / name).read_bytes()
        assert not tiny.killed_at(command(out.name), 0)
        whole = {p.relative_to(here.folder / "whole"): p for p in (here.folder / "whole").rglob("*") if p.is_file()}
        assert {p.relative_to(out) for p in out.rglob("*") if p.is_file()} == set(whole)
        for name, path in whole.items():
            assert (out / name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("how", ["link", "symlink"])
def test_links_take_no_room_and_none_takes_nothing(index: morphoindex.Index, tmp_path: Path, how: Files) -> None:
    chosen = index.sample(4)
    assert index.write_sample(chosen, tmp_path / "subset", files=how).files == 4
    for row in rows(tmp_path / "subset"):
        assert (tmp_path / "subset" / row["file"]).is_symlink() is (how == "symlink")
        assert os.path.samefile(tmp_path / "subset" / row["file"], row["source"])
    assert index.write_sample(chosen, tmp_path / "list", files="none").files == 0
    assert {path.name for path in (tmp_path / "list").iterdir()} == {"manifest.csv", OUTPUT}
    assert [(row["file"], row["source"]) for row in rows(tmp_path / "list")] == [
        ("", row["source"]) for row in rows(tmp_path / "subset")
    ]
    assert index.write_sample(chosen, tmp_path / "list").files == 4  # now with files


def test_hugging_face_layout(index: morphoindex.Index, tmp_path: Path) -> None:
    subset = tmp_path / "subset"
    index.write_sample(index.sample(6), subset, layout="huggingface")
    lines = [json.loads(line) for line in (subset / "metadata.jsonl").read_text("utf-8").splitlines()]
    assert [line["file_name"] for line in lines] == [row["file"] for row in rows(subset)]
    assert sorted(line["file_name"] for line in lines) == pictures(subset)
    assert {tuple(line) for line in lines} == {("file_name", "id", "cluster", "source", "species")}


def test_files_that_are_gone_or_changed_are_left_out_and_said(here: tiny.Cli) -> None:
    shutil.copyfile(here.folder / "photos/kind0/0.png", here.folder / "photos/kind0/copy.png")
    here("add", "photos", "--labels", "folder")
    (here.folder / "photos/kind0/0.png").unlink()  # its copy is there
    (here.folder / "photos/kind1/1.png").unlink()
    tiny.photo(here.folder / "photos/kind2/2.png", 7, 7)
    os.utime(here.folder / "photos/kind3/3.png", (1, 1))  # touched, and the same
    done = here("sample", "-n", "24", "--out", "subset", code=1)
    assert "kind1/1.png: it is not there any more" in done.stderr
    assert "kind2/2.png: it shows something else now" in done.stderr
    assert "2 files of the sample could not be handed out" in done.stderr
    assert len(rows(here.folder / "subset")) == 22 == len(pictures(here.folder / "subset"))
    assert sorted(row["source"] for row in rows(here.folder / "subset"))[0].endswith("kind0/1.png")
    assert any(row["source"].endswith("copy.png") for row in rows(here.folder / "subset"))


def test_the_manifest_is_kept_up_while_the_folder_is_filled(
    index: morphoindex.Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(picture_folder, "_LISTED", 5)
    listed = []

    def look(done: int, total: int) -> None:
        there = rows(tmp_path / "out") if (tmp_path / "out/manifest.csv").exists() else []
        assert {row["file"] for row in there} <= set(pictures(tmp_path / "out"))
        listed.append(len(there))

    index.write_sample(index.sample(12), tmp_path / "out", report=look)
    assert listed == [0] * 4 + [5] * 5 + [10] * 3
    assert len(rows(tmp_path / "out")) == 12


def test_a_full_disk_lists_what_was_written_and_a_second_run_goes_on(tmp_path: Path) -> None:
    for i in range(12):
        pixels = np.random.default_rng(i).integers(0, 256, (300, 300, 3), dtype=np.uint8)
        (tmp_path / "photos").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / f"photos/{i}.png")  # 270 kB
    encoder = str(tiny.encoder(tmp_path / "tiny.onnx"))
    with (
        small_disk(tmp_path / "disk", 1) as disk,
        morphoindex.open(tmp_path / "index", create=True, encoder=encoder) as index,
    ):
        index.add(tmp_path / "photos")
        chosen = index.sample(6)
        with pytest.raises(UsageError, match=r"No space left on device.* 3 of the 6 specimens are there") as said:
            index.write_sample(chosen, disk / "subset")
        assert "the same command again goes on" in str(said.value)
        there = [row["file"] for row in rows(disk / "subset")]
        assert sorted(there) == pictures(disk / "subset")
        for name in there:
            assert (disk / "subset" / name).read_bytes() == (tmp_path / "photos" / name).read_bytes()
        with pytest.raises(UsageError, match="on another disk: have them copied"):
            index.write_sample(chosen, disk / "subset", files="link")
        assert len(pictures(disk / "subset")) == 3
        os.system(f"mount -o remount,size=4m {disk}")
        written = index.write_sample(chosen, disk / "subset")
        assert (written.files, written.before) == (6, 3)
        assert len(rows(disk / "subset")) == 6


# --- names -----------------------------------------------------------------------------------------------------------


def folded(names: Any) -> set[str]:
    import unicodedata

    return {unicodedata.normalize("NFC", name.casefold()) for name in names}


AWKWARD = [
    "a/b", "a_b", "a\\b", "A_B", "unlabelled", "Unlabelled", "manifest.csv", "..", ".", "con", "CON.txt", "é",
    "e\u0301", "Bombus " + "x" * 300, "Bombus " + "x" * 299 + "y", "🦋", "👩\u200d🔬", " a_b ", "a_b.", "ß", "ss",
]  # fmt: skip
label = st.sampled_from(AWKWARD) | st.text(st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=300)


@settings(max_examples=200, deadline=None)
@given(st.lists(label, min_size=1, max_size=12))
def test_no_two_labels_fall_together_in_one_folder(values: list[str]) -> None:
    folders = _folders([*values, None])
    assert sorted(map(str, folders.values())) == sorted([*set(values), "None"])
    assert len(folded(folders)) == len(folders)
    for folder, value in folders.items():
        assert not set(folder) & set('<>:"/\\|?*\n\0')
        assert folder == folder.strip(" .")
        assert len(folder.encode()) <= 255
        assert _folders([value]).keys() == {folder} or len(folded(map(safe_name, values))) < len(set(values))


def test_a_plain_label_names_its_folder_and_others_always_the_same() -> None:
    assert list(_folders(["Apis mellifera", "cf. Bombus"])) == ["Apis mellifera", "cf. Bombus"]
    assert list(_folders(["a/b"])) == ["a_b-c14cddc0"] == list(_folders(["a/b", "a/b"]))
    assert list(_folders(["🦋"])) == ["🦋"]
    assert len(_folders(["apis", "Apis"])) == 2


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(["a.jpg", "A.JPG", "b.jpg", "a-000000000000.jpg", "c", "C"]), max_size=9))
def test_files_of_one_name_are_told_apart(wishes: list[str]) -> None:
    names = told_apart(wishes, [f"{i:032x}" for i in range(len(wishes))])
    assert len(folded(names)) == len(names)
    for wish, name in zip(wishes, names, strict=True):
        assert name == wish or len([one for one in wishes if one.lower()[0] == wish.lower()[0]]) > 1


def test_labels_with_slashes_emoji_and_300_characters_become_folders(here: tiny.Cli) -> None:
    values = ["a/b", "a_b", "🦋 blau", "x" * 300, "x" * 299 + "y", "unlabelled"]
    relabel(here, {f"kind0/{i}.png": value for i, value in enumerate(values)})
    arguments = ("sample", "-n", "7", "--by", "taxon", "--layout", "imagefolder", "--out", "subset")
    answer = here.json(*arguments)
    folders = answer["written"]["folders"]
    assert sorted(map(str, folders.values())) == sorted([*values, "None"])
    assert sorted(folders) == sorted(p.name for p in (here.folder / "subset").iterdir() if p.is_dir())
    for row in rows(here.folder / "subset"):
        assert folders[row["file"].split("/")[0]] == (row["taxon"] or None)
    assert "4 folders could not be named as the label" in here(*arguments).stderr


# --- `add` passes it over --------------------------------------------------------------------------------------------


def test_add_passes_over_what_sample_put_into_the_collection(here: tiny.Cli) -> None:
    here("sample", "-n", "8", "--out", "photos/subset", "--layout", "imagefolder")
    before = here.json("status")
    for given_ in ("photos", ".", "photos/**", "photos/**/*.png", "phot*"):
        done = here("add", given_)
        assert "passed over" in done.stderr, given_
        after = here.json("status")
        assert (after["specimens"], after["paths"]) == (before["specimens"], before["paths"]), given_
    assert here.json("add", "photos/subset")["added"] == 0  # named by itself: further paths of the same specimens
    after = here.json("status")
    assert (after["specimens"], after["paths"]) == (before["specimens"], before["paths"] + 8)
    assert here.json("add", "photos")["gone"] == 0
    shutil.rmtree(here.folder / "photos/subset")
    assert here.json("add", "photos")["gone"] == 8
    tiny.assert_clean(here.folder / ".morphoindex")
