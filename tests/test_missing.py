"""`check --files`, `check --content` and `report missing`: photographs that are not where or not as they were."""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tiny

import morphoindex
from morphoindex.indexer.photographs.still_shown import trouble_with
from morphoindex.indexer.results.missing import MissingPhotograph

OLD = (1_600_000_000_000_000_000, 1_600_000_000_000_000_000)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Four photographs of two kinds, one of them twice, all of one time."""
    folder = tiny.photos(tmp_path / "photos", 2, 2)
    shutil.copy(folder / "kind0/0.png", folder / "twice.png")
    for file in folder.rglob("*.png"):
        os.utime(file, ns=OLD)
    return folder


@pytest.fixture
def index(tmp_path: Path, photos: Path) -> Iterator[morphoindex.Index]:
    encoder = str(tiny.encoder(tmp_path / "tiny.onnx"))
    with morphoindex.open(tmp_path / ".morphoindex", create=True, encoder=encoder) as opened:
        opened.add(photos)
        yield opened


def found(index: morphoindex.Index, content: bool = False) -> list[tuple[str, str]]:
    """State and name of what is missing."""
    return [(one.state, Path(one.path).name) for one in missing(index, content)]


def missing(index: morphoindex.Index, content: bool = False) -> tuple[MissingPhotograph, ...]:
    done = index.check(files=not content, content=content)
    assert done.missing is not None
    assert done.clean is not bool(done.missing)
    assert done.problems == ()
    return done.missing


def swap(one: Path, other: Path) -> None:
    """Put other bytes of the same number into a file, and give it the time that it had: a trace in nothing else."""
    content = bytearray(other.read_bytes())
    content[-1] ^= 1
    one.write_bytes(bytes(content[: one.stat().st_size]).ljust(one.stat().st_size, b"x"))
    os.utime(one, ns=OLD)


def test_nothing_is_missing_and_without_asking_nobody_looks(index: morphoindex.Index) -> None:
    assert missing(index) == () == missing(index, content=True)
    assert index.check().missing is None


def test_gone_and_changed_and_touched_are_told_apart(index: morphoindex.Index, photos: Path) -> None:
    (photos / "kind0/0.png").unlink()
    os.utime(photos / "kind0/1.png", (1, 1))
    with open(photos / "kind1/0.png", "ab") as file:
        file.write(b"more")
    (photos / "kind1/1.png").unlink()
    (photos / "kind1/1.png").mkdir()
    first, *rest = missing(index)
    assert first.path == str(photos / "kind0/0.png")
    assert (first.state, first.elsewhere, first.photographs) == ("gone", True, 1)
    assert not any(one.elsewhere for one in rest)
    assert [(one.state, Path(one.path).name) for one in rest] == [
        ("changed", "0.png"), ("changed", "1.png"), ("touched", "1.png"),
    ]  # fmt: skip
    assert found(index, content=True) == [("gone", "0.png"), ("changed", "0.png"), ("changed", "1.png")]


def test_only_reading_finds_what_left_no_trace(index: morphoindex.Index, photos: Path) -> None:
    swap(photos / "kind1/1.png", photos / "kind1/0.png")
    assert missing(index) == ()
    seen: list[tuple[int, int]] = []
    done = index.check(content=True, report=lambda *counts: seen.append(counts))
    assert [(one.state, one.path) for one in done.missing or ()] == [("changed", str(photos / "kind1/1.png"))]
    assert seen == [(5, 5)]


def test_a_folder_that_is_not_there_or_empty_is_one_finding(
    index: morphoindex.Index, photos: Path, tmp_path: Path
) -> None:
    drive = tmp_path / "drive"
    for number in range(3):
        tiny.photo(drive / f"{number}.png", 7, number)
    index.add(drive)
    drive.rename(tmp_path / "unplugged")
    (photos / "twice.png").unlink()
    (folder, _) = missing(index)
    assert (folder.path, folder.state, folder.photographs, folder.id) == (str(drive), "no folder", 3, None)
    assert folder.reason == "the folder is not there"
    drive.mkdir()
    assert missing(index)[0].reason == "the folder is empty"
    drive.rmdir()
    shutil.rmtree(photos)  # a folder with others in it, of which it is the uppermost
    assert [(one.path, one.photographs) for one in missing(index)] == [(str(drive), 3), (str(photos), 5)]
    tiny.photos(photos, 2, 2)
    index.add(tmp_path / "unplugged")  # where they are now
    assert ("gone", "twice.png") in found(index)
    assert "no folder" not in dict(found(index))


def test_vectors_made_elsewhere_go_by_what_is_known_of_their_files(tmp_path: Path) -> None:
    there, untold = tiny.photo(tmp_path / "a.png", 1, 1), tmp_path / "b.png"
    with morphoindex.open(tmp_path / ".morphoindex", create=True) as index:
        index.add_embeddings(["a", "b", "c"], np.eye(3), [str(there), str(untold), None])
        assert found(index) == [("gone", "b.png")]
        tiny.photo(untold, 1, 2)
        os.utime(there, (1, 1))
        assert found(index) == [("touched", "a.png")] == found(index, content=True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_said(photos: Path) -> None:
    file = photos / "twice.png"
    file.chmod(0)
    for read in ("never", "always"):
        trouble = trouble_with(str(file), None, None, "ab", read)  # type: ignore[arg-type]
        assert trouble is not None
        assert (trouble.state, trouble.words) == ("unreadable", "it cannot be read: Permission denied")


def test_the_command_says_what_to_do_and_the_report_lists_them(tmp_path: Path, photos: Path) -> None:
    cli = tiny.Cli(tmp_path)
    cli("init", "--encoder", tiny.encoder(tmp_path / "tiny.onnx"))
    cli("add", "photos")
    assert "every photograph is as it was" in cli("check", "--files").stdout
    assert cli.json("report", "missing")["rows"] == []
    (photos / "kind1/0.png").unlink()
    assert "gone" not in cli("check").stdout
    shown = cli("check", "--files", code=1).stdout
    assert "1 photograph not as added" in shown
    assert "photos/kind1/0.png" in shown
    assert "remove --without-file" in shown
    assert [one["state"] for one in cli.json("check", "--content", code=1)["missing"]] == ["gone"]
    cli("report", "missing", "--content", "--out", "missing.csv")
    with open(tmp_path / "missing.csv", newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert (row["path"], row["state"], row["elsewhere"]) == (str(photos / "kind1/0.png"), "gone", "false")
    cli("add", "photos")
    assert cli.json("check", "--files")["clean"]
    assert cli.json("remove", "--without-file")["removed"] == 1
