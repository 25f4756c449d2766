"""What `add` makes of files that come, change, move and go: identity, the ledger, inputs, interruption."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Cli, draw
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from tiny_encoder import SIDE, write_encoder

import morphoindex
from morphoindex.errors import ImageRefused
from morphoindex.indexer.encoding.reading import read_file
from morphoindex.indexer.intake import ingest
from morphoindex.indexer.interrupts import uninterrupted
from morphoindex.indexer.output_folder import OUTPUT
from morphoindex.indexer.photographs.discovery import Found, discover
from morphoindex.indexer.photographs.passed_over import in_words

Ledger = dict[str, tuple[str, str | None, str | None]]


@pytest.fixture
def index(tmp_path: Path) -> Iterator[morphoindex.Index]:
    """An index in `tmp_path`, whose home is that folder; its encoder is tiny."""
    encoder = write_encoder(tmp_path / "encoders" / "tiny.onnx")
    with morphoindex.open(tmp_path / ".morphoindex", create=True, encoder=str(encoder)) as opened:
        yield opened


def picture(path: Path, seed: int) -> Path:
    """A tiny picture; the seed decides its bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, "PNG")
    return path


def catalog(index: morphoindex.Index, sql: str) -> tuple[tuple[Any, ...], ...]:
    """Rows of the catalog, without the new connection that `Index.sql` makes each time."""
    return index._session.collection.catalog.query(sql).rows


def ledger(index: morphoindex.Index) -> Ledger:
    """Path below home → state, id, reason."""
    rows = catalog(index, "SELECT root, path, state, id, reason FROM paths")
    assert all(root == "home" for root, *_ in rows)
    return {path: tuple(rest) for _, path, *rest in rows}


def owners(index: morphoindex.Index) -> dict[str, str]:
    """Present path → id."""
    return {path: name for path, (state, name, _) in ledger(index).items() if state == "present" and name}


def counts(result: morphoindex.indexer.results.common.AddResult) -> tuple[int, int, int, int]:
    return result.added, result.known, result.moved, len(result.refused)


# --- identity --------------------------------------------------------------------------------------------------------


def test_the_same_bytes_are_one_specimen(index: morphoindex.Index, tmp_path: Path) -> None:
    picture(tmp_path / "p" / "a.png", 1)
    shutil.copy(tmp_path / "p" / "a.png", tmp_path / "p" / "b.png")
    assert counts(index.add(tmp_path / "p")) == (1, 1, 0, 0)  # in one batch
    shutil.copy(tmp_path / "p" / "a.png", tmp_path / "p" / "c.png")
    assert counts(index.add(tmp_path / "p")) == (0, 3, 0, 0)  # in a later run
    status = index.status()
    assert (status.specimens, status.paths, status.without_file) == (1, 3, 0)
    assert len(set(owners(index).values())) == 1
    assert index.check().clean


def test_a_moved_file_keeps_its_labels_and_cluster(index: morphoindex.Index, photos: Path) -> None:
    index.add(photos, labels="folder")
    index.cluster(0.9)
    before = {hit.id: (hit.labels, hit.cluster) for hit in index.search(str(photos / "kind0" / "0.png"), 24).hits}
    assert any(cluster for _, cluster in before.values())
    (photos / "kind0").rename(photos / "elsewhere")
    assert counts(index.add(photos)) == (0, 18, 6, 0)
    after = {hit.id: (hit.labels, hit.cluster) for hit in index.search(str(photos / "elsewhere" / "0.png"), 24).hits}
    assert after == before
    states = ledger(index)
    assert [states[f"photos/kind0/{i}.png"][0] for i in range(6)] == ["closed"] * 6
    assert [states[f"photos/elsewhere/{i}.png"][0] for i in range(6)] == ["present"] * 6
    assert counts(index.add(photos)) == (0, 24, 0, 0)
    (photos / "elsewhere").rename(photos / "kind0")  # and back
    assert counts(index.add(photos)) == (0, 18, 6, 0)
    assert {state for path, (state, _, _) in ledger(index).items() if "kind0" in path} == {"present"}
    assert index.check(files=True).clean


def test_a_changed_file_is_a_new_specimen(index: morphoindex.Index, tmp_path: Path) -> None:
    path = picture(tmp_path / "p" / "a.png", 1)
    index.add(tmp_path / "p")
    old = owners(index)["p/a.png"]
    picture(path, 2)
    assert counts(index.add(tmp_path / "p")) == (1, 0, 0, 0)
    new = owners(index)["p/a.png"]
    assert new != old
    status = index.status()
    assert (status.specimens, status.paths, status.without_file) == (2, 1, 1)
    former = index._session.collection.get([old])[old]
    assert former.paths == ()
    assert [record.path for record in former.former_paths] == ["p/a.png"]
    picture(path, 1)  # its former content comes back
    assert counts(index.add(tmp_path / "p")) == (0, 1, 0, 0)
    assert owners(index) == {"p/a.png": old}
    assert index.check().clean
    assert index.rebuild() == 2
    assert owners(index) == {"p/a.png": old}


def test_a_changed_file_that_is_broken_now(index: morphoindex.Index, tmp_path: Path) -> None:
    path = picture(tmp_path / "p" / "a.png", 1)
    index.add(tmp_path / "p")
    old = owners(index)["p/a.png"]
    path.write_bytes(b"\x89PNG\r\n\x1a\nand nothing more")
    assert counts(index.add(tmp_path / "p")) == (0, 0, 0, 1)
    assert ledger(index)["p/a.png"][0] == "refused"
    status = index.status()
    assert (status.specimens, status.paths, status.without_file, status.refused) == (1, 0, 1, 1)
    assert index.check().clean
    path.unlink()
    index.add(tmp_path / "p")  # gone: what was there once is what the ledger knows
    assert ledger(index)["p/a.png"][:2] == ("closed", old)
    assert index.check().clean
    picture(path, 1)
    index.add(tmp_path / "p")
    assert owners(index) == {"p/a.png": old}
    assert index.status().refused == 0


def test_two_files_that_swap_their_contents(index: morphoindex.Index, tmp_path: Path) -> None:
    a, b = picture(tmp_path / "p" / "a.png", 1), picture(tmp_path / "p" / "b.png", 2)
    os.utime(a, ns=(1, 1))
    index.add(tmp_path / "p")
    before = owners(index)
    a.rename(tmp_path / "c")
    b.rename(a)
    (tmp_path / "c").rename(b)
    index.add(tmp_path / "p")
    assert owners(index) == {"p/a.png": before["p/b.png"], "p/b.png": before["p/a.png"]}
    assert index.status().without_file == 0
    assert index.check().clean


def test_copied_then_the_original_deleted(index: morphoindex.Index, tmp_path: Path) -> None:
    path = picture(tmp_path / "p" / "a.png", 1)
    index.add(tmp_path / "p")
    shutil.copy(path, tmp_path / "p" / "b.png")
    path.unlink()
    assert counts(index.add(tmp_path / "p")) == (0, 0, 1, 0)
    assert {path: state for path, (state, _, _) in ledger(index).items()} == {"p/a.png": "closed", "p/b.png": "present"}
    assert index.status().specimens == 1
    assert index.check(files=True).clean


def test_a_copy_moves_and_the_other_stays(index: morphoindex.Index, tmp_path: Path) -> None:
    picture(tmp_path / "p" / "a.png", 1)
    shutil.copy(tmp_path / "p" / "a.png", tmp_path / "p" / "b.png")
    index.add(tmp_path / "p")
    (tmp_path / "p" / "b.png").rename(tmp_path / "p" / "c.png")
    assert counts(index.add(tmp_path / "p")) == (0, 1, 1, 0)
    assert set(owners(index)) == {"p/a.png", "p/c.png"}


def test_overwritten_while_its_content_moves_on(index: morphoindex.Index, tmp_path: Path) -> None:
    path = picture(tmp_path / "p" / "a.png", 1)
    index.add(tmp_path / "p")
    one = owners(index)["p/a.png"]
    path.rename(tmp_path / "p" / "b.png")
    picture(path, 2)
    index.add(tmp_path / "p")
    assert owners(index)["p/b.png"] == one
    assert owners(index)["p/a.png"] != one
    assert index.check().clean


@pytest.mark.parametrize(
    "inputs", [("p/a.png", "p/a.png"), ("p", "p/a.png"), ("p", "p"), ("p/**",), ("p/*", "p/a.png"), ("./p/", "p/../p")]
)
def test_the_same_file_given_twice(
    index: morphoindex.Index, tmp_path: Path, inputs: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    picture(tmp_path / "p" / "a.png", 1)
    monkeypatch.chdir(tmp_path)
    assert counts(index.add(inputs)) == (1, 0, 0, 0)
    assert list(owners(index)) == ["p/a.png"]
    (tmp_path / "p" / "a.png").write_bytes(b"broken")
    assert counts(index.add(inputs)) == (0, 0, 0, 1)
    assert index.check().clean


def test_a_file_that_changes_between_two_looks_at_it(
    index: morphoindex.Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given twice, and read twice before anything is committed, it belongs to the content that it had last."""
    monkeypatch.setattr(ingest, "_LOOK_UP", 1)
    path = picture(tmp_path / "p" / "a.png", 1)
    new = picture(tmp_path / "new.png", 2).read_bytes()
    looks = []

    def change(counts: ingest.Counts) -> None:
        looks.append(counts.seen)
        if len(looks) == 2:  # the first look has been read by now, or will find the new content: both are well
            time.sleep(0.3)
            path.write_bytes(new)

    index.add([path, path], report=change)
    assert owners(index) == {"p/a.png": hashlib.sha256(new).hexdigest()[:32]}
    assert index.check().clean


def test_overlapping_inputs(index: morphoindex.Index, photos: Path) -> None:
    assert counts(index.add([photos, photos / "kind0", photos / "kind1" / "0.png"])) == (24, 0, 0, 0)
    assert index.status().paths == 24


def test_deleted_files_are_noticed_and_their_specimens_stay(index: morphoindex.Index, photos: Path) -> None:
    index.add(photos, labels="folder")
    shutil.rmtree(photos / "kind0")
    (photos / "kind1" / "0.png").unlink()
    assert index.add(photos / "kind1").gone == 1
    result = index.add(photos)
    assert (result.gone, result.added, result.known, result.specimens) == (6, 0, 17, 24)
    status = index.status()
    assert (status.paths, status.without_file) == (17, 7)
    assert index.add(photos).gone == 0
    assert len(index.sample(99).selected) == 17
    assert index.check(files=True).clean
    picked = index.remove(without_file=True, dry_run=True)
    assert (picked.removed, index.status().specimens) == (7, 24)
    assert index.remove(without_file=True).specimens == 17
    assert index.check(files=True).clean


def test_a_deleted_file_that_comes_back_is_the_same_specimen(index: morphoindex.Index, photos: Path) -> None:
    index.add(photos, labels="folder")
    content = (photos / "kind0" / "0.png").read_bytes()
    (photos / "kind0" / "0.png").unlink()
    index.add(photos)
    (photos / "kind0" / "0.png").write_bytes(content)
    assert counts(index.add(photos)) == (0, 24, 0, 0)
    assert (index.status().without_file, index.status().specimens) == (0, 24)
    assert index.check(files=True).clean


def test_removing_a_copy_keeps_the_specimen_and_a_folder_takes_all(index: morphoindex.Index, photos: Path) -> None:
    copy = photos / "copies" / "again.png"
    copy.parent.mkdir()
    shutil.copy(photos / "kind0" / "0.png", copy)
    index.add(photos)
    result = index.remove(str(copy.parent))
    assert (result.removed, result.paths, result.specimens) == (0, 1, 24)
    assert str(copy) not in [row[0] for row in index.sql("SELECT path FROM paths").rows]
    assert index.remove([str(photos / "kind0"), str(photos / "kind1" / "0.png")]).removed == 7
    assert (index.status().specimens, index.status().paths) == (17, 17)
    assert index.check().clean


def test_changed_files_are_counted(index: morphoindex.Index, photos: Path) -> None:
    index.add(photos)
    picture(photos / "kind0" / "0.png", 77)
    shutil.copy(photos / "kind1" / "0.png", photos / "kind0" / "1.png")
    result = index.add(photos)
    assert (result.changed, result.added, result.specimens) == (2, 1, 25)


def test_a_removed_specimen_comes_back_with_the_next_add(index: morphoindex.Index, photos: Path) -> None:
    index.add(photos)
    assert index.remove([str(photos / "kind0" / "0.png")]).removed == 1
    assert counts(index.add(photos)) == (1, 23, 0, 0)
    assert index.check().clean


# --- the ledger ------------------------------------------------------------------------------------------------------


def test_what_the_ledger_keeps(index: morphoindex.Index, tmp_path: Path) -> None:
    path = picture(tmp_path / "p" / "a.png", 1)
    broken = tmp_path / "p" / "b.png"
    broken.write_bytes(b"no picture")
    index.add(tmp_path / "p")
    rows = catalog(index, "SELECT path, state, reason, id, size, mtime_ns, seen FROM paths ORDER BY path")
    good, bad = (os.stat(file) for file in (path, broken))
    sha256 = catalog(index, "SELECT sha256 FROM specimens")[0][0]
    assert rows[0][:-1] == ("p/a.png", "present", None, sha256[:32], good.st_size, good.st_mtime_ns)
    assert rows[1][:-1] == ("p/b.png", "refused", "not an image", None, bad.st_size, bad.st_mtime_ns)
    assert all(row[-1].startswith("20") and row[-1].endswith("+00:00") for row in rows)


def test_unchanged_files_are_not_read(index: morphoindex.Index, tmp_path: Path) -> None:
    path = picture(tmp_path / "p" / "a.png", 1)
    index.add(tmp_path / "p")
    status = path.stat()
    path.write_bytes(b"\0" * status.st_size)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert counts(index.add(tmp_path / "p")) == (0, 1, 0, 0)
    os.utime(path)
    assert counts(index.add(tmp_path / "p")) == (0, 0, 0, 1)


def test_refusals_are_tried_again_and_drop_out(index: morphoindex.Index, tmp_path: Path) -> None:
    folder = tmp_path / "p"
    mended, gone, stays = folder / "mended.png", folder / "gone.png", folder / "stays.png"
    for path in (mended, gone, stays):
        picture(path, 1).write_bytes(b"broken")
    (folder / "empty").mkdir()
    assert counts(index.add([folder, folder / "empty"])) == (0, 0, 0, 4)
    assert counts(index.add(folder)) == (0, 0, 0, 3)
    status = mended.stat()
    shutil.copy(picture(tmp_path / "good.png", 1), mended)
    os.utime(mended, ns=(status.st_atime_ns, status.st_mtime_ns))
    gone.unlink()
    result = index.add(folder)
    assert counts(result) == (1, 0, 0, 1)
    assert result.refused[0].path == str(stays)
    assert [refused.path for refused in index._session.collection.catalog.refused()] == ["p/stays.png"]


@pytest.mark.parametrize("inputs", [["p/*.png"], ["list.txt"], ["p"], ["p/a.png", "p/b.png"], ["q"]])
def test_refusals_of_files_that_are_gone_drop_out(
    index: morphoindex.Index, tmp_path: Path, inputs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    picture(tmp_path / "q" / "a.png", 2)
    picture(tmp_path / "p" / "a.png", 1)
    (tmp_path / "p" / "b.png").write_bytes(b"broken")
    (tmp_path / "list.txt").write_text("p/a.png\np/b.png\n")
    index.add(["p", "typo"])
    assert index.status().refused == 2
    (tmp_path / "p" / "b.png").unlink()
    (tmp_path / "list.txt").write_text("p/a.png\n")
    index.add([given for given in inputs if given != "p/b.png"])
    assert index.status().refused == 0


def test_a_refusal_of_a_file_that_was_not_looked_at_stays(index: morphoindex.Index, tmp_path: Path) -> None:
    picture(tmp_path / "p" / "a.png", 1)
    (tmp_path / "p" / "notes").write_bytes(b"no picture")
    (tmp_path / "q").mkdir()
    (tmp_path / "q" / "b.png").write_bytes(b"broken")
    index.add([tmp_path / "p" / "notes", tmp_path / "q"])
    index.add(tmp_path / "p")
    assert {path for path, (state, _, _) in ledger(index).items() if state == "refused"} == {"p/notes", "q/b.png"}


def test_a_dry_run_changes_nothing(index: morphoindex.Index, photos: Path) -> None:
    (photos / "broken.png").write_bytes(b"broken")
    (photos / "dangling.png").symlink_to("nowhere")
    assert counts(index.add(photos, dry_run=True)) == (25, 0, 0, 1)
    status = index.status()
    assert (status.specimens, status.paths, status.refused) == (0, 0, 0)
    index.add(photos)
    assert counts(index.add(photos, dry_run=True, labels="folder")) == (1, 24, 0, 1)
    assert index.status().labels == ()


# --- inputs ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files of all sorts in `t`, seen from `tmp_path`."""
    names = ("a.png", "B.PNG", "deep/er/c.png", "deep/d.jpeg", ".hidden.png", ".git/e.png", "notes", "deep/f.doc")
    for seed, name in enumerate(names):
        picture(tmp_path / "t" / name, seed)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "t"


@pytest.mark.parametrize(
    ("inputs", "found"),
    [
        (["t"], "B.PNG a.png deep/d.jpeg deep/er/c.png"),
        (["t/deep"], "deep/d.jpeg deep/er/c.png"),
        (["t/a.png", "t/notes"], "a.png notes"),
        (["t/.hidden.png"], ".hidden.png"),
        (["t/*.png"], "a.png"),
        (["t/*"], "B.PNG a.png deep/d.jpeg deep/er/c.png"),
        (["t/**"], "B.PNG a.png deep/d.jpeg deep/er/c.png"),
        (["t/**/*.png"], "a.png deep/er/c.png"),
        (["t/de*"], "deep/d.jpeg deep/er/c.png"),
        (["t/deep/[df].*"], "deep/d.jpeg"),
        (["t/../t/deep/er/"], "deep/er/c.png"),
    ],
)
def test_inputs(index: morphoindex.Index, tree: Path, inputs: list[str], found: str) -> None:
    result = index.add(inputs)
    assert " ".join(sorted(path.removeprefix("t/") for path in owners(index))) == found
    assert result.refused == ()
    assert index.add(inputs).known == len(found.split())
    assert len(list(discover(inputs))) == len(found.split())  # each once


def test_a_name_with_magic_in_it_is_a_name_first(index: morphoindex.Index, tmp_path: Path) -> None:
    for seed, name in enumerate(("[1].png", "1.png", "a*.png", "ab.png")):
        picture(tmp_path / "p" / name, seed)
    index.add([tmp_path / "p" / "[1].png", tmp_path / "p" / "a*.png"])
    assert set(owners(index)) == {"p/[1].png", "p/a*.png"}


def test_a_list(index: morphoindex.Index, tree: Path) -> None:
    (tree / "list.txt").write_bytes(
        b"\xef\xbb\xbf# the good ones\r\n\r\na.png\r\n  deep  \nt/notes\n"
        + os.fsencode(tree)
        + b"/B.PNG\ngone.png\nx\0y\n"
    )
    result = index.add("t/list.txt")
    assert set(owners(index)) == {"t/a.png", "t/deep/d.jpeg", "t/deep/er/c.png", "t/notes", "t/B.PNG"}
    reasons = {os.path.basename(refused.path): refused.reason for refused in result.refused}
    assert reasons.pop("gone.png") == "does not exist"
    assert "zero byte" in str(reasons)
    assert index.check().clean


def test_a_list_of_far_files_makes_one_root(index: morphoindex.Index, tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory() as far:
        files = [picture(Path(far) / f"{i}" / "x.png", i) for i in range(5)]
        (tmp_path / "list.txt").write_text("\n".join(map(str, files)))
        assert index.add(tmp_path / "list.txt").added == 5
        assert len(index.status().roots) == 2
        assert index.add(far).known == 5
        assert index.add(f"{far}/*/x.png").known == 5
        assert len(index.status().roots) == 2


def test_deep_folders(index: morphoindex.Index, tmp_path: Path) -> None:
    levels = 1500
    here = os.getcwd()
    os.chdir(tmp_path)
    try:  # step by step: the path of the bottom is longer than one call takes on some systems
        os.mkdir("p")
        os.chdir("p")
        for _ in range(levels):
            os.mkdir("d")
            os.chdir("d")
        shutil.copy(picture(tmp_path / "x.png", 1), "x.png")
    finally:
        os.chdir(here)
    try:
        result = index.add(tmp_path / "p")
        assert counts(result) == (1, 0, 0, 0)
        assert index.add(tmp_path / "p").known == 1
    finally:
        top = tmp_path / "p"
        for _ in range(levels // 100):  # pytest's own clean-up recurses
            bottom = Path(top, *["d"] * 100)
            bottom.rename(tmp_path / "rest")
            shutil.rmtree(top)
            top = (tmp_path / "rest").rename(tmp_path / "p")


def test_links(index: morphoindex.Index, tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory() as far:
        picture(Path(far) / "photos" / "1.png", 1)
        (tmp_path / "p").mkdir()
        (tmp_path / "p" / "folder").symlink_to(f"{far}/photos")
        (tmp_path / "p" / "file.png").symlink_to(f"{far}/photos/1.png")
        assert counts(index.add(tmp_path / "p")) == (1, 1, 0, 0)
        assert set(owners(index)) == {"p/folder/1.png", "p/file.png"}
        (tmp_path / "q").symlink_to("p")  # the folder itself, by another name
        assert counts(index.add(tmp_path / "q")) == (0, 2, 0, 0)
        assert counts(index.add(tmp_path / "q" / "file.png")) == (0, 1, 0, 0)


def test_folders_outside_of_home(index: morphoindex.Index, tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory() as far:
        for seed, name in enumerate(("one/photos/a.png", "two/photos/a.png")):
            picture(Path(far) / name, seed)
            index.add(Path(far) / name.rpartition("/")[0])
        roots = index.status().roots
        assert sorted(roots) == ["home", "photos", "photos-2"]
        assert catalog(index, "SELECT root, path FROM paths ORDER BY root") == (
            ("photos", "a.png"),
            ("photos-2", "a.png"),
        )
        assert index.search(f"{far}/two/photos/a.png", 1).hits[0].path == f"{far}/two/photos/a.png"
        assert index.add(far).known == 2


def test_the_index_moves_with_its_photographs(tmp_path: Path) -> None:
    encoder = write_encoder(tmp_path / "tiny.onnx")
    picture(tmp_path / "here" / "p" / "a.png", 1)
    with morphoindex.open(tmp_path / "here" / ".morphoindex", create=True, encoder=str(encoder)) as index:
        index.add(tmp_path / "here" / "p")
    (tmp_path / "here").rename(tmp_path / "there")
    with morphoindex.open(tmp_path / "there") as index:
        assert counts(index.add(tmp_path / "there" / "p")) == (0, 1, 0, 0)
        assert index.search(str(tmp_path / "there" / "p" / "a.png")).hits[0].path == f"{tmp_path}/there/p/a.png"
        assert index.check(files=True).clean


# --- reading ---------------------------------------------------------------------------------------------------------


def test_content_and_state_of_a_file_belong_together(tmp_path: Path) -> None:
    """While one thread writes without a pause, what is read is whole: as long as its state says."""
    path = tmp_path / "a.png"
    contents = [bytes([value]) * size for value, size in ((1, 300_000), (2, 400_000))]
    path.write_bytes(contents[0])
    stop = threading.Event()

    def write() -> None:
        turn = 0
        while not stop.is_set():
            turn += 1
            path.write_bytes(contents[turn % 2])

    writer = threading.Thread(target=write)
    writer.start()
    reasons = set()
    try:
        for _ in range(20):
            try:
                read = read_file(str(path))
                assert len(read.data) == read.size
            except ImageRefused as error:
                reasons.add(error.reason)
    finally:
        stop.set()
        writer.join()
    assert reasons <= {"changed while it was being read"}
    assert read_file(str(path)).data in contents


def test_a_file_that_was_written_just_now_is_read_after_a_tick(tmp_path: Path) -> None:
    """A later change has a later time then, on every file system: one size and time never stand for two contents."""
    path = tmp_path / "a.png"
    for turn in range(5):
        path.write_bytes(b"a%d" % turn)
        read = read_file(str(path))
        assert time.time_ns() - read.mtime_ns >= 20_000_000
        path.write_bytes(b"b%d" % turn)
        status = path.stat()
        assert (status.st_size, status.st_mtime_ns) != (read.size, read.mtime_ns)


# --- interruption ----------------------------------------------------------------------------------------------------


def test_interrupted_by_ctrl_c(tmp_path: Path, cli: Cli) -> None:
    total = 1800
    encoder = write_encoder(tmp_path / "tiny.onnx")
    for seed in range(total):
        picture(tmp_path / "p" / f"{seed % 7}" / f"{seed}.png", seed)
    cli("init", "--encoder", encoder)
    settings_file = tmp_path / ".morphoindex" / "index.toml"
    add = ("add", "p", "--labels", "folder=box")
    run = subprocess.Popen(
        [sys.executable, "-m", "morphoindex", *add], cwd=tmp_path, env=cli.environment,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    while run.poll() is None and "box" not in settings_file.read_text():  # written with the first batch
        pass
    run.send_signal(signal.SIGINT)
    _, errors = run.communicate(timeout=600)
    assert run.returncode == 130, errors
    assert "Traceback" not in errors
    assert "what was done is kept" in errors
    kept = cli.json("status")["specimens"]
    assert 0 < kept < total
    assert cli.json("check")["clean"]
    result = cli.json(*add)
    assert (result["added"], result["known"], result["specimens"]) == (total - kept, kept, total)
    assert cli.json("status")["paths"] == total
    assert cli.json("check")["clean"]


def test_ctrl_c_is_held_back_within_a_write() -> None:
    done = []
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), uninterrupted():  # noqa: PT012
            signal.raise_signal(signal.SIGINT)
            done.append("the rest")
        assert done == ["the rest"]
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


# --- any sequence of operations --------------------------------------------------------------------------------------

PLACES = [f"{folder}{name}.png" for folder in ("", "x/", "x/y/") for name in "abc"]
CONTENTS = range(6)  # the last two are broken


@dataclass
class Model:
    """What the disk and the index should hold."""

    disk: dict[str, tuple[int, int]] = field(default_factory=dict)  # path → content, time
    former: dict[str, int] = field(default_factory=dict)  # path → a content it had
    present: dict[str, tuple[int, int]] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    specimens: set[int] = field(default_factory=set)

    def add(self, below: str) -> None:
        reached = {path: state for path, state in self.disk.items() if path.startswith(below)}
        for path in [path for path in self.present if path.startswith(below) and path not in self.disk]:
            del self.present[path]
        fresh = {path: state for path, state in reached.items() if self.present.get(path) != state}
        for path in fresh:
            self.present.pop(path, None)
        self.refused = {path for path in self.refused if path in self.disk and path not in fresh}
        for path, (content, stamp) in fresh.items():
            if content >= 4:
                self.refused.add(path)
                continue
            self.specimens.add(content)
            for other, (same, _) in list(self.present.items()):
                if same == content and other not in self.disk:
                    del self.present[other]
            self.present[path] = (content, stamp)


operations = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.sampled_from(PLACES), st.sampled_from(CONTENTS)),
        st.tuples(st.sampled_from(["copy", "move", "swap"]), st.sampled_from(PLACES), st.sampled_from(PLACES)),
        st.tuples(st.sampled_from(["delete", "touch", "restore"]), st.sampled_from(PLACES), st.none()),
        st.tuples(st.just("add"), st.sampled_from(["", "", "", "x/", "x/y/"]), st.none()),
    ),
    min_size=6,
    max_size=24,
)


class Disk:
    """Does the operations to real files, and in the model."""

    def __init__(self, folder: Path, model: Model) -> None:
        self.folder, self.model, self.clock = folder, model, 10**18
        self.bytes = [picture(folder.parent / "content.png", seed).read_bytes() for seed in CONTENTS]
        self.bytes[4] = self.bytes[4][:40]
        self.bytes[5] = b"no picture"

    def write(self, path: str, content: int) -> None:
        self.clock += 10**9
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(self.bytes[content])
        os.utime(target, ns=(self.clock, self.clock))
        if path in self.model.disk:
            self.model.former[path] = self.model.disk[path][0]
        self.model.disk[path] = (content, self.clock)

    def do(self, name: str, path: str, other: object) -> None:
        disk = self.model.disk
        if name == "write":
            assert isinstance(other, int)
            self.write(path, other)
        elif name == "restore" and path in self.model.former:
            self.write(path, self.model.former[path])
        elif path in disk and name in ("copy", "touch"):
            self.write(str(other or path), disk[path][0])
        elif path in disk and name == "delete":
            (self.folder / path).unlink()
            self.model.former[path] = disk.pop(path)[0]
        elif path in disk and name in ("move", "swap") and other != path:
            self.move(path, str(other), swap=name == "swap")

    def move(self, path: str, other: str, swap: bool) -> None:
        disk = self.model.disk
        (self.folder / other).parent.mkdir(parents=True, exist_ok=True)
        if swap and other in disk:
            (self.folder / other).rename(self.folder.parent / "aside")
            (self.folder / path).rename(self.folder / other)
            (self.folder.parent / "aside").rename(self.folder / path)
            disk[path], disk[other] = disk[other], disk[path]
        else:
            (self.folder / path).rename(self.folder / other)
            disk[other] = disk.pop(path)


@given(operations)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_any_sequence_of_operations(steps: list[tuple[str, str, object]]) -> None:
    with tempfile.TemporaryDirectory() as base:
        home = Path(base).resolve()
        encoder = write_encoder(home / "tiny.onnx")
        model = Model()
        disk = Disk(home / "p", model)
        (home / "p" / "x" / "y").mkdir(parents=True)
        with morphoindex.open(home / ".morphoindex", create=True, encoder=str(encoder)) as index:
            for name, path, other in [*steps, ("add", "", None)]:
                if name == "add":
                    index.add(home / "p" / path)
                    model.add(path)
                else:
                    disk.do(name, path, other)
            compare(index, model, disk)
            index.rebuild()
            model.refused.clear()
            compare(index, model, disk)


def compare(index: morphoindex.Index, model: Model, disk: Disk) -> None:
    names = {content: hashlib.sha256(disk.bytes[content]).hexdigest()[:32] for content in CONTENTS}
    assert {row[0] for row in catalog(index, "SELECT id FROM specimens")} == {names[c] for c in model.specimens}
    states = {path.removeprefix("p/"): entry for path, entry in ledger(index).items()}
    assert {path: entry[1] for path, entry in states.items() if entry[0] == "present"} == {
        path: names[content] for path, (content, _) in model.present.items()
    }
    if model.refused:
        refused = {path for path, entry in states.items() if entry[0] == "refused" and path.endswith(".png")}
        assert refused == model.refused
    check = index.check()
    assert check.clean, check.problems


def test_the_demonstration_photographs_are_as_drawn(tmp_path: Path) -> None:
    """The seeds give different bytes, or the tests above would prove nothing."""
    drawn = {picture(tmp_path / "a.png", seed).read_bytes() for seed in range(50)}
    assert len(drawn) == 50
    assert draw(tmp_path / "b.png", 1).read_bytes() != draw(tmp_path / "c.png", 2).read_bytes()


def test_folders_of_an_output_below_what_was_given_are_passed_over(tmp_path: Path) -> None:
    for name in ("a", "a/sub", "a/sub/deep", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.png").touch()
    (tmp_path / "a/sub" / OUTPUT).touch()

    def found(*inputs: str) -> tuple[list[str], list[str]]:
        passed: set[str] = set()
        files = [f for f in discover([str(tmp_path / one) for one in inputs], passed=passed) if isinstance(f, Found)]
        paths = ([f.path for f in files], sorted(passed))
        return tuple([os.path.relpath(path, tmp_path) for path in some] for some in paths)  # type: ignore[return-value]

    assert found("a") == (["a/x.png"], ["a/sub"])
    assert found("a/sub") == (["a/sub/deep/x.png", "a/sub/x.png"], [])
    assert found("a/sub/x.png") == (["a/sub/x.png"], [])
    assert found("a/sub/*.png") == (["a/sub/x.png"], [])
    assert found("a/sub/**/*.png") == (["a/sub/deep/x.png", "a/sub/x.png"], [])
    assert found("*/*.png") == (["a/x.png", "b/x.png"], [])
    assert found("**/*.png") == (["a/x.png", "b/x.png"], ["a/sub"])
    assert found("a/*") == (["a/x.png"], ["a/sub"])
    (tmp_path / "list.txt").write_text("a/sub/x.png\n")
    assert found("list.txt") == (["a/sub/x.png"], [])


def test_camera_raw_files_are_passed_over_and_counted(tmp_path: Path) -> None:
    (tmp_path / "c.dng").mkdir()
    for name in ("a.CR2", "b.nef", "c.dng/d.Arw", "e.txt"):
        (tmp_path / name).touch()
    for place, raw in ((tmp_path, 3), (tmp_path / "*", 3), (tmp_path / "*.nef", 1)):
        passed: set[str] = set()
        assert not [one for one in discover([str(place)], passed=passed) if isinstance(one, Found)]
        (words,) = in_words(passed)
        were = (
            "3 camera raw files were passed over: export them" if raw > 1 else "1 camera raw file was passed over: exp"
        )
        assert words.startswith(were)
