"""Near-duplicates in an index: found, remembered, decided about, and brought elsewhere."""

from __future__ import annotations

import csv
import itertools
import os
import resource
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from test_matching import scene

import morphoindex
from morphoindex.errors import StoreError, UsageError
from morphoindex.indexer.files.record_file import RecordFile
from morphoindex.indexer.index import Index
from morphoindex.indexer.repeats.duplicates import duplicate_groups
from morphoindex.indexer.repeats.pictures import FOLDER
from morphoindex.indexer.results.duplicates import DedupResult
from morphoindex.indexer.selection.duplicates import Quality, best, groups_of, proposals

COPIES = ("_q60.jpg", "_small.jpg", "_mirrored.png", "_turned.jpg", "_part.jpg")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six scenes: of the first four a re-encoded, a smaller, a mirrored, a turned and a cut copy each."""
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(6):
        picture = scene(number, (180, 150))
        picture.resize((192, 160), Image.Resampling.BICUBIC).save(folder / f"{number}.png")
        if number < 4:
            picture.save(folder / f"{number}_q60.jpg", quality=60)
            picture.resize((120, 100)).save(folder / f"{number}_small.jpg", quality=85)
            picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(folder / f"{number}_mirrored.png")
            picture.rotate(8, Image.Resampling.BICUBIC).save(folder / f"{number}_turned.jpg")
            picture.crop((15, 10, 170, 140)).save(folder / f"{number}_part.jpg")
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "tiny.onnx"
    tiny.encoder(path)
    return path


@pytest.fixture
def photos(pictures: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pictures, tmp_path / "photos"))


@pytest.fixture(scope="module")
def whole(pictures: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of all of them, in which nothing was compared. Not to be changed."""
    folder = tmp_path_factory.mktemp("whole")
    shutil.copytree(pictures, folder / "photos")
    with morphoindex.open(folder / "index", create=True) as opened:
        opened.add(folder / "photos", encoder=str(model))
    return folder


@pytest.fixture
def index(whole: Path, photos: Path, tmp_path: Path) -> Iterator[Index]:
    """A copy of it, open, beside a copy of the photographs."""
    with morphoindex.open(tiny.copied(whole / "index", tmp_path / "index")) as opened:
        yield opened


def name(path: str | None) -> str:
    return os.path.basename(path or "")


def groups(found: DedupResult) -> list[tuple[str, list[str]]]:
    return sorted((name(group.keep), sorted(name(one.path) for one in group.drop)) for group in found.groups)


def every(index: Index) -> DedupResult:
    """All pairs looked at, whatever an encoder of random weights says."""
    return index.dedup(-1)


def essence(found: DedupResult) -> DedupResult:
    return replace(found, compared=0, seconds=0.0)


PLANTED = [(f"{n}.png", sorted(f"{n}{copy}" for copy in COPIES)) for n in range(4)]


# --- finding ---------------------------------------------------------------------------------------------------------


def test_what_was_planted_is_found_and_the_original_is_kept(index: Index) -> None:
    found = every(index)
    assert groups(found) == PLANTED
    assert found.compared == found.pairs == 26 * 25 // 2
    how = {name(one.path): one.how for group in found.groups for one in group.drop}
    assert {how[f"{n}{copy}"] for n in range(4) for copy in ("_q60.jpg", "_small.jpg", "_mirrored.png")} == {"frame"}
    assert {how[f"{n}{copy}"] for n in range(4) for copy in ("_turned.jpg", "_part.jpg")} == {"points"}
    assert all(one.agreement >= 0.85 for group in found.groups for one in group.drop)


def test_nothing_is_compared_twice_and_only_pairs_with_a_new_picture_are(index: Index, tmp_path: Path) -> None:
    first = every(index)
    again = every(index)
    assert again.compared == 0
    assert essence(again) == essence(first)
    scene(99).save(tmp_path / "photos/new.png")
    index.add(tmp_path / "photos")
    assert every(index).compared == 26
    assert index.check().clean


def test_a_rebuild_comes_to_the_same(index: Index) -> None:
    first = every(index)
    index.rebuild()
    again = every(index)
    assert essence(again) == essence(first)
    assert again.compared == first.compared


@settings(max_examples=3, deadline=None)
@given(st.data())
def test_a_growing_index_finds_what_one_made_at_once_finds(pictures: Path, model: Path, data: st.DataObject) -> None:
    names = [one for one in sorted(os.listdir(pictures)) if one[0] in "05" or one in ("1.png", "1_part.jpg")]
    order = data.draw(st.permutations(names))
    cuts = sorted(data.draw(st.lists(st.integers(1, len(names) - 1), max_size=2)))
    gone = data.draw(st.lists(st.sampled_from(names), max_size=3, unique=True))
    k, cosine = data.draw(st.sampled_from([(32, -1.0), (6, -1.0), (32, 0.2)]))
    said = data.draw(st.booleans())
    with tiny_index(model) as growing, tiny_index(model) as whole:
        for start, stop in itertools.pairwise([0, *cuts, len(order)]):
            growing.add([str(pictures / one) for one in order[start:stop]], encoder=str(model))
            growing.duplicates.find(cosine, neighbours=k)
        whole.add([str(pictures / one) for one in names], encoder=str(model))
        for one in (growing, whole):
            if gone:
                one.remove([str(pictures / other) for other in gone])
            if said and not {"0.png", "0_q60.jpg"} & set(gone):
                one.duplicates.distinct(str(pictures / "0.png"), str(pictures / "0_q60.jpg"))
        a, b = (one.duplicates.find(cosine, neighbours=k) for one in (growing, whole))
        assert essence(a) == essence(b)


@contextmanager
def tiny_index(model: Path) -> Iterator[Index]:
    folder = Path(os.path.realpath(model.parent)) / f"index{next(_COUNT)}"
    try:
        with morphoindex.open(folder, create=True) as opened:
            yield opened
    finally:
        shutil.rmtree(folder)


_COUNT = itertools.count()


def test_the_same_bytes_twice_are_a_group(index: Index, photos: Path) -> None:
    (photos / "sub").mkdir()
    shutil.copy(photos / "5.png", photos / "sub/5.png")
    index.add(photos)
    (group,) = [group for group in every(index).groups if name(group.keep) == "5.png"]
    (one,) = group.drop
    assert (one.how, one.similarity, one.id) == ("bytes", 1.0, group.id)


def test_groups_for_others(index: Index) -> None:
    found = index.dedup()
    ids = [row[0] for row in index.sql("SELECT id FROM specimens ORDER BY id").rows]
    labels, uncompared = duplicate_groups(index.duplicates._index, ids)
    assert not uncompared.any()
    by_label = {frozenset(np.array(ids)[labels == n].tolist()) for n in set(labels.tolist()) - {-1}}
    assert by_label == {frozenset([group.id, *(one.id for one in group.drop)]) for group in found.groups}
    assert (labels >= 0).sum() == sum(1 + len(group.drop) for group in found.groups) >= 10
    assert list(dict.fromkeys(labels[labels >= 0].tolist())) == list(range(len(found.groups)))
    one = [found.groups[0].id, found.groups[1].id, found.groups[1].drop[0].id]
    assert duplicate_groups(index.duplicates._index, one)[0].tolist() == [-1, 0, 0]


def test_of_equal_size_the_sharper_is_kept_then_the_earlier(model: Path, tmp_path: Path) -> None:
    picture = scene(1, (160, 160))
    (tmp_path / "p").mkdir()
    exif = Image.Exif()
    for file, sharp, time in (("c", True, "2024:05:02 10:00:00"), ("b", True, "2024:05:01 10:00:00"), ("a", False, "")):
        exif[306] = time
        shown = picture if sharp else picture.resize((70, 70)).resize((160, 160))
        shown.save(tmp_path / f"p/{file}.png", exif=exif) if time else shown.save(tmp_path / f"p/{file}.png")
    with morphoindex.open(tmp_path / "index", create=True) as index:
        index.add(tmp_path / "p", encoder=str(model))
        assert groups(every(index)) == [("b.png", ["a.png", "c.png"])]


def test_files_that_cannot_be_read_are_listed_and_the_others_do_not_wait(index: Index, photos: Path) -> None:
    (photos / "0_small.jpg").unlink()
    scene(77).save(photos / "1_small.jpg")
    found = every(index)
    assert [(name(one.path), one.reason.split(":")[0]) for one in found.unread] == [
        ("0_small.jpg", "it is not there any more"),
        ("1_small.jpg", "it shows something else now"),
    ]
    assert groups(found)[0] == ("0.png", ["0_mirrored.png", "0_part.jpg", "0_q60.jpg", "0_turned.jpg"])
    scene(0, (180, 150)).resize((120, 100)).save(photos / "0_small.jpg", quality=85)
    assert [name(one.path) for one in every(index).unread] == ["1_small.jpg"]


@pytest.mark.parametrize(("threshold", "k", "words"), [(2, 32, "a cosine lies"), (0, 0, "1 to 32"), (0, 33, "1 to 32")])
def test_what_is_not_allowed_is_said(index: Index, threshold: float, k: int, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        index.duplicates.find(threshold, neighbours=k)


def test_an_empty_index_and_one_of_vectors_without_files_have_none(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(40, 8))
    with morphoindex.open(tmp_path / "index", create=True) as index:
        index.add_embeddings([f"s{i}" for i in range(40)], np.concatenate([vectors[:20], vectors[:20]]))
        found = index.dedup()
        assert found.groups == ()
        assert len(found.unread) == 40


# --- deciding --------------------------------------------------------------------------------------------------------


def test_not_a_duplicate_stays_said_and_can_be_taken_back(index: Index, photos: Path) -> None:
    done = index.duplicates.distinct(str(photos / "0.png"), str(photos / "0_q60.jpg"))
    assert done.kind == "distinct"
    for _ in range(2):
        found = every(index)
        together = [{group.keep, *(one.path for one in group.drop)} for group in found.groups]
        assert not any({str(photos / "0.png"), str(photos / "0_q60.jpg")} <= some for some in together)
        assert groups(found)[1:] == PLANTED[1:] or groups(found)[2:] == PLANTED[1:]
        index.rebuild()
        assert index.check().clean
    index.clusters.undo(done.number)
    assert groups(every(index)) == PLANTED
    with pytest.raises(UsageError, match="the same file"):
        index.duplicates.distinct(str(photos / "0.png"), str(photos / "0.png"))
    with pytest.raises(UsageError, match="neither a specimen"):
        index.duplicates.distinct(str(photos / "0.png"), "nowhere.png")


def test_tags_are_seen_everywhere_and_outlast_a_rebuild(index: Index, photos: Path) -> None:
    found = every(index)
    assert index.duplicates.tag(found, dry_run=True) is not None
    assert index.sql("SELECT count(duplicate_of) FROM specimens").rows == ((0,),)
    done = index.duplicates.tag(found)
    assert done is not None
    assert done.changed == 20
    kept = {group.id: {one.id for one in group.drop} for group in found.groups}
    for _ in range(2):
        rows = index.sql(
            "SELECT duplicate_of, list(id) FROM specimens WHERE duplicate_of IS NOT NULL GROUP BY ALL"
        ).rows
        assert {row[0]: set(row[1]) for row in rows} == kept
        assert len(index.sample(99, where="duplicate_of is missing").selected) == 6
        assert index.check().clean
        index.rebuild()
    assert index.duplicates.tag(every(index)) is None
    assert all(one.tagged for group in every(index).groups for one in group.drop)
    index.clusters.undo()
    assert index.sql("SELECT count(duplicate_of) FROM specimens").rows == ((0,),)


def test_what_is_left_of_a_group_is_no_duplicate(index: Index, photos: Path, tmp_path: Path) -> None:
    index.duplicates.tag(every(index))
    index.remove(str(photos / "0.png"))
    index.close()
    with morphoindex.open(tmp_path / "index") as again:
        assert again.sql("SELECT count(duplicate_of) FROM specimens").rows == ((15,),)
        assert again.check().clean
        again.add(photos)
        assert again.sql("SELECT count(duplicate_of) FROM specimens").rows == ((20,),)


def test_a_better_picture_takes_the_place_of_the_one_that_was_kept(index: Index, photos: Path) -> None:
    index.duplicates.tag(every(index))
    scene(0, (180, 150)).resize((360, 300), Image.Resampling.BICUBIC).save(photos / "0_large.png")
    index.add(photos)
    found = every(index)
    assert ("0_large.png", ["0.png", *PLANTED[0][1]]) in groups(found)
    index.duplicates.tag(found)
    large = next(group.id for group in found.groups if name(group.keep) == "0_large.png")
    assert index.sql(f"SELECT count(*) FROM specimens WHERE duplicate_of = '{large}'").rows == ((6,),)
    assert index.sql("SELECT count(duplicate_of) FROM specimens").rows == ((21,),)


# --- bringing --------------------------------------------------------------------------------------------------------


def listed(out: Path) -> dict[str, str]:
    with open(out / "duplicates.csv", newline="", encoding="utf-8") as file:
        return {row["source"]: row["file"] for row in csv.DictReader(file)}


@pytest.mark.parametrize("how", ["copy", "link", "move"])
def test_the_others_are_brought_to_a_folder(index: Index, photos: Path, tmp_path: Path, how: str) -> None:
    content = {file.name: file.read_bytes() for file in photos.iterdir()}
    found = every(index)
    assert index.duplicates.hand_over(found, tmp_path / "out", how, dry_run=True).files == 20  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()
    done = index.duplicates.hand_over(found, tmp_path / "out", how)  # type: ignore[arg-type]
    assert (done.files, done.before, done.missing) == (20, 0, ())
    assert len(listed(tmp_path / "out")) == 20
    for source, file in listed(tmp_path / "out").items():
        assert (tmp_path / "out" / file).read_bytes() == content[Path(source).name]
        assert Path(source).exists() == (how != "move")
    if how == "link":
        assert os.path.samefile(tmp_path / "out/0_q60.jpg", photos / "0_q60.jpg")
    assert index.check(files=True).clean
    assert index.status().specimens == 26
    assert index.status().without_file == (20 if how == "move" else 0)
    assert groups(every(index)) == ([] if how == "move" else PLANTED)
    again = index.duplicates.hand_over(every(index), tmp_path / "out", how)  # type: ignore[arg-type]
    assert (again.files, again.before) == (0, 0 if how == "move" else 20)


def test_names_that_collide_are_told_apart(model: Path, tmp_path: Path) -> None:
    for folder, seed in (("x", 1), ("y", 2), ("Z", 3)):
        (tmp_path / "p" / folder).mkdir(parents=True)
        scene(seed, (180, 180)).save(tmp_path / "p" / folder / "large.png")
        scene(seed, (180, 180)).resize((90, 90)).save(tmp_path / "p" / folder / ("IMG.png" if seed > 2 else "img.png"))
    with morphoindex.open(tmp_path / "index", create=True) as index:
        index.add(tmp_path / "p", encoder=str(model))
        index.duplicates.hand_over(every(index), tmp_path / "out", "move")
    files = listed(tmp_path / "out")
    assert len({file.casefold() for file in files.values()}) == len(files) == 3
    for source, file in files.items():
        seed = {"x": 1, "y": 2, "Z": 3}[Path(source).parent.name]
        with Image.open(tmp_path / "out" / file) as picture:
            assert np.array_equal(np.asarray(picture), np.asarray(scene(seed, (180, 180)).resize((90, 90))))


def test_a_folder_of_something_else_is_left_alone(index: Index, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/notes.txt").write_text("mine")
    for out in (tmp_path / "out", photos / "0.png"):
        with pytest.raises(UsageError, match="not an empty folder"):
            index.duplicates.hand_over(every(index), out)
    with pytest.raises(UsageError, match="copy, link, move"):
        index.duplicates.hand_over(every(index), tmp_path / "new", "erase")  # type: ignore[arg-type]
    assert os.listdir(tmp_path / "out") == ["notes.txt"]


@pytest.mark.parametrize("how", ["copy", "move"])
def test_a_full_disk_tells_what_was_written_and_a_second_run_goes_on(
    index: Index, photos: Path, tmp_path: Path, how: str
) -> None:
    found = every(index)
    content = {file.name: file.read_bytes() for file in photos.iterdir()}
    with largest_file(1500), pytest.raises(UsageError, match=r"file(s were| was) brought.*goes on"):
        index.duplicates.hand_over(found, tmp_path / "out", how)  # type: ignore[arg-type]
    brought = listed(tmp_path / "out")
    assert 0 <= len(brought) < 20
    there = set(os.listdir(tmp_path / "out")) - {"duplicates.csv", ".morphoindex-output"}
    assert there == set(brought.values())
    assert {file.name for file in photos.iterdir()} | there >= set(content)
    index.duplicates.hand_over(every(index), tmp_path / "out", how)  # type: ignore[arg-type]
    assert {Path(source).name for source in listed(tmp_path / "out")} == {n for _, some in PLANTED for n in some}
    for source, file in listed(tmp_path / "out").items():
        assert (tmp_path / "out" / file).read_bytes() == content[Path(source).name]


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Nothing larger can be written: what a full disk is like."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


# --- the command -----------------------------------------------------------------------------------------------------


def test_the_command(photos: Path, model: Path, tmp_path: Path) -> None:
    cli = tiny.Cli(tmp_path)
    cli("add", "photos", "--encoder", str(model))
    shown = cli("dedup", "--threshold", "-1").stdout
    assert "4 groups of near-duplicates: 20 files beside a better one (325 pairs looked at, 325 compared now" in shown
    assert "none new" in cli("dedup", "--threshold", "-1").stdout
    answer = cli.json("dedup", "--threshold", "-1", "--apply", "--out", "out", "--dry-run")
    assert (answer["applied"]["changed"], answer["out"]["files"]) == (20, 20)
    assert not (tmp_path / "out").exists()
    told = cli("dedup", "--threshold", "-1", "--apply", "--out", "out", "--move").stdout
    assert "Decision 1: 20 specimens tagged as near-duplicates of 4." in told
    assert "20 files moved to out" in told
    assert cli.json("check", "--files")["clean"]
    assert "are not the same photograph" in cli("dedup", "--not", "photos/4.png", "photos/5.png").stdout
    assert "Tagged already" in cli("dedup", "--apply").stdout
    assert cli.json("clusters", "history")["entries"][1]["decision"] == 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--move"], "goes with --out"),
        (["--out", "x", "--move", "--link"], "one of the two"),
        (["--not", "a", "b", "--apply"], "goes alone"),
        (["--dry-run"], "changes nothing"),
        (["--not", "a", "a"], "neither a specimen"),
    ],
)
def test_options_that_do_not_go_together(whole: Path, options: list[str], words: str) -> None:
    assert words in tiny.Cli(whole)("--index", "index", "dedup", *options, code=2).stderr


def test_a_kill_at_any_moment_loses_nothing(photos: Path, model: Path, tmp_path: Path) -> None:
    index, out = tmp_path / "index", tmp_path / "out"
    with morphoindex.open(index, create=True) as opened:
        opened.add(photos, encoder=str(model))
    content = {file.name: file.read_bytes() for file in photos.iterdir()}
    command = ["--index", str(index), "dedup", "--threshold", "-1", "--apply", "--out", str(out), "--move"]
    for step in (8, 30, 75, 140, 210):
        tiny.killed_at(command, step)
    tiny.killed_at(command, 0)
    left = {file.name for file in photos.iterdir()}
    moved = {file: (out / file).read_bytes() for file in listed(out).values()}
    assert left == {f"{n}.png" for n in range(6)}
    assert {Path(source).name: moved[file] for source, file in listed(out).items()} == {
        name: data for name, data in content.items() if name not in left
    }
    tiny.assert_clean(index)
    with morphoindex.open(index) as opened:
        assert opened.sql("SELECT count(duplicate_of) FROM specimens").rows == ((20,),)
        assert opened.check(files=True).clean


# --- kernels ---------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 12), st.data())
def test_groups_hang_together_and_hold_no_two_that_are_distinct(n: int, data: st.DataObject) -> None:
    every_pair = list(itertools.combinations(range(n), 2))
    pairs = sorted(data.draw(st.lists(st.sampled_from(every_pair), unique=True)) if every_pair else [])
    distinct = set(data.draw(st.lists(st.sampled_from(pairs), max_size=4)) if pairs else [])
    weight = np.array(data.draw(st.lists(st.sampled_from([0.9, 0.95, 1.0]), min_size=len(pairs), max_size=len(pairs))))
    found = groups_of(n, np.array(pairs, np.int64).reshape(-1, 2), weight, distinct)
    assert len({row for some in found for row in some}) == sum(map(len, found))
    for some in found:
        assert not any(a in some and b in some for a, b in distinct)
        reached, left = {some[0]}, True
        while left:
            left = {b for a, b in [*pairs, *[(b, a) for a, b in pairs]] if a in reached and b in some} - reached
            reached |= left
        assert reached == set(some)
    if not distinct:
        assert all(any({a, b} <= set(some) for some in found) for a, b in pairs)


def test_the_surest_pairs_join_first() -> None:
    pairs = np.array([[0, 1], [1, 2]])
    assert groups_of(3, pairs, np.array([0.9, 1.0]), [(0, 2)]) == [[1, 2]]
    assert groups_of(3, pairs, np.array([1.0, 0.9]), [(0, 2)]) == [[0, 1]]
    assert groups_of(3, pairs, np.array([1.0, 1.0]), [(0, 2)]) == [[0, 1]]


def test_proposals() -> None:
    near = np.array([[1, 2], [0, 2], [0, -1]], np.int32)
    far = np.array([[0.5, 1.0], [0.5, 1.2], [1.0, np.inf]])
    known = np.array([2, 2, 1], np.int32)
    assert proposals(near, far, known, 2, -1).tolist() == [[0, 1], [0, 2], [1, 2]]
    assert proposals(near, far, known, 1, -1).tolist() == [[0, 1], [0, 2]]
    assert proposals(near, far, known, 2, 0.5).tolist() == [[0, 1], [0, 2]]
    assert proposals(near[:0], far[:0], known[:0], 2, 0.5).tolist() == []


def test_the_best_has_most_pixels_then_is_sharpest_then_earliest_then_first() -> None:
    one = Quality(-100, -5.0, "2024-05-01", "b", "1")
    worse = [
        replace(one, pixels=-99, blur=-9.0), replace(one, blur=-4.0), replace(one, time="2024-06-01"),
        replace(one, time="~", path="a"), replace(one, path="c"), replace(one, id="2"),
    ]  # fmt: skip
    for other in worse:
        assert best([0, 1], {0: other, 1: one}) == 1


def test_records_outlast_what_a_crash_left_behind(tmp_path: Path) -> None:
    dtype = np.dtype([("a", "<i4")])
    path = tmp_path / FOLDER / "records"
    first, second = (np.array([(i,) for i in some], dtype) for some in (range(3), range(3, 5)))
    RecordFile(path, dtype).append(first)
    size = path.stat().st_size
    RecordFile(path, dtype).append(second)
    data = path.read_bytes()
    for end in range(size, len(data)):
        path.write_bytes(data[:end])
        assert RecordFile(path, dtype).read()["a"].tolist() == [0, 1, 2]
    file = RecordFile(path, dtype)
    file.append(second)
    assert path.read_bytes() == data
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert RecordFile(path, dtype).read()["a"].tolist() == [0, 1, 2]
    with largest_file(size + 4), pytest.raises(StoreError, match="make room"):
        file.append(second)
    assert RecordFile(path, dtype).read()["a"].tolist() == [0, 1, 2]
