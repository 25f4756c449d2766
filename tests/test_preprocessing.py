"""`preprocess`: pictures of one size of whatever lies in a folder, and a run that may be cut off anywhere."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from PIL import Image

import morphoindex
from morphoindex.errors import UsageError
from morphoindex.indexer.photographs.images import PAPER

RED = (200, 30, 30)


def draw(path: Path, size: tuple[int, int] = (40, 20), **how: Any) -> Path:
    """A picture, red in its left half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", size, (30, 90, 30))
    image.paste(RED, (0, 0, size[0] // 2, size[1]))
    image.save(path, **how)
    return path


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Six photographs in folders, and two files that are none."""
    folder = tmp_path / "raw"
    for number in range(3):
        draw(folder / f"Apidae/bee/{number}.jpg", (40, 20 + number))
    draw(folder / "Apidae/wasp/1.png")
    draw(folder / "fly/1.tif")
    draw(folder / "alone.webp")
    (folder / "fly/broken.jpg").write_bytes(b"no picture")
    (folder / "fly/empty.png").touch()
    return folder


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def tree(folder: Path) -> Mapping[str, bytes]:
    """All files but those that tell times, and the journal."""
    files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
    timed = ("provenance.json", ".morphoindex-pictures.jsonl")
    return {str(file.relative_to(folder)): file.read_bytes() for file in files if file.name not in timed}


def test_pictures_tables_and_log(raw: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = morphoindex.preprocess(raw, out, size="32x16")
    assert (done.images, done.written, done.before, done.labels, done.unlabelled) == (6, 6, 0, {"species": 3}, 1)
    pictures = sorted(str(file.relative_to(out)) for file in out.rglob("*.png"))
    assert pictures == [
        "Apidae/bee/0.png", "Apidae/bee/1.png", "Apidae/bee/2.png", "Apidae/wasp/1.png", "alone.png", "fly/1.png",
    ]  # fmt: skip
    for name in pictures:
        with Image.open(out / name) as image:
            assert (image.size, image.mode, image.format) == ((32, 16), "RGB", "PNG")
    made = {row["path"]: row for row in rows(out / "manifest.csv")}
    assert sorted(made) == pictures
    bee = made["Apidae/bee/1.png"]
    assert (bee["source"], bee["width"], bee["height"], bee["format"]) == ("Apidae/bee/1.jpg", "40", "21", "JPEG")
    assert {row["path"]: row["species"] for row in rows(out / "labels.csv")} == {
        name: "" if name == "alone.png" else name.split("/")[-2] for name in pictures
    }
    assert [(row["species"], row["images"]) for row in rows(out / "species_counts.csv")] == [
        ("bee", "3"), ("fly", "1"), ("wasp", "1"),
    ]  # fmt: skip
    assert (out / "unique_species.txt").read_text() == "bee\nfly\nwasp\n"
    assert rows(out / "statistics.csv")[0]["unlabelled"] == "1"
    assert (out / "errors.log").read_text() == (
        f"{raw / 'fly/broken.jpg'}\tnot an image\n{raw / 'fly/empty.png'}\tempty file\n"
    )
    said = json.loads((out / "provenance.json").read_text())
    assert (said["command"], said["parameters"]["width"], said["images"]) == ("preprocess", 32, 6)
    assert sorted(file for file in os.listdir(out) if "part" in file) == []


def test_how_a_photograph_is_fitted(tmp_path: Path) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6  # stored lying on its left side: upright its red half is above
    draw(tmp_path / "raw/turned.jpg", exif=turned, quality=95)
    corner = {}
    for fit in ("letterbox", "crop", "squash"):
        morphoindex.preprocess(tmp_path / "raw", tmp_path / fit, size=20, fit=fit)
        pixels = np.asarray(Image.open(tmp_path / fit / "turned.png")).astype(int)
        assert pixels[2, 10] == pytest.approx(RED, abs=12)
        assert pixels[17, 10] == pytest.approx((30, 90, 30), abs=12)
        corner[fit] = pixels[2, 1]
    assert corner["letterbox"].tolist() == [PAPER] * 3
    assert corner["crop"] == pytest.approx(RED, abs=12)
    assert corner["squash"] == pytest.approx(RED, abs=12)


@pytest.mark.parametrize(("format", "name"), [("jpg", "JPEG"), ("webp", "WEBP"), ("tif", "TIFF"), ("bmp", "BMP")])
def test_formats_and_grey(tmp_path: Path, format: Any, name: str) -> None:
    draw(tmp_path / "raw/a.png")
    morphoindex.preprocess(tmp_path / "raw", tmp_path / "out", size=24, format=format, fit="squash", grey=True)
    with Image.open(tmp_path / f"out/a.{format}") as image:
        assert (image.format, image.size) == (name, (24, 24))
        assert image.mode == ("RGB" if format == "webp" else "L")  # WebP has no other
        pixels = np.asarray(image.convert("RGB")).astype(int)
    assert np.ptp(pixels, axis=2).max() <= 2
    assert pixels[12, 4, 0] != pytest.approx(pixels[12, 20, 0], abs=4)


# -- names ------------------------------------------------------------------------------------------------------------


def test_names_keep_labels_apart_whatever_they_are(tmp_path: Path) -> None:
    long = "x" * 300
    values = ["Apis/mellifera", "Apis?mellifera", "🦋", "..", f"{long}a", f"{long}b", "con", "statistics.csv", ""]
    for number in range(len(values)):
        draw(tmp_path / f"raw/{number}.png")
    with open(tmp_path / "labels.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("path", "species"), *((f"{i}.png", value) for i, value in enumerate(values))])
    out = tmp_path / "out"
    done = morphoindex.preprocess(
        tmp_path / "raw", out, size=16, labels=str(tmp_path / "labels.csv"), names="{species}/{stem}"
    )
    assert (done.written, done.labels["species"], done.unlabelled) == (9, 8, 1)
    told = {row["path"]: row["species"] for row in rows(out / "labels.csv")}
    assert sorted(told.values()) == sorted(values)
    assert all((out / path).stat().st_size for path in told)
    assert len({os.path.dirname(path) for path in told}) == 9
    assert {os.path.dirname(path) for path, value in told.items() if value in ("🦋", "")} == {"🦋", "unlabelled"}
    assert sorted(row["species"] for row in rows(out / "species_counts.csv")) == sorted(values[:-1])


def test_names_that_collide_are_told_apart(tmp_path: Path) -> None:
    for name in ("a.png", "a.jpg", "A.bmp", "b.png"):
        draw(tmp_path / "raw" / name)
    done = morphoindex.preprocess(tmp_path / "raw", tmp_path / "out", size=16)
    names = sorted(row["path"] for row in rows(tmp_path / "out/manifest.csv"))
    assert done.written == len({name.casefold() for name in names}) == 4
    assert "b.png" in names
    assert "a.png" not in names
    draw(tmp_path / "raw/b.jpg")  # who comes later gets the key
    morphoindex.preprocess(tmp_path / "raw", tmp_path / "out", size=16)
    later = {row["source"]: row["path"] for row in rows(tmp_path / "out/manifest.csv")}
    assert later["b.png"] == "b.png"
    assert later["b.jpg"] not in ("b.png", *names)
    assert sorted(path for source, path in later.items() if source != "b.jpg") == names


def test_numbers_stay_when_more_comes(raw: Path, tmp_path: Path) -> None:
    def run() -> dict[str, str]:
        morphoindex.preprocess(raw, tmp_path / "out", size=16, labels="{family}/{species}/{_}", names="{species}-{n}")
        return {row["source"]: row["path"] for row in rows(tmp_path / "out/manifest.csv")}

    first = run()
    assert first["Apidae/bee/2.jpg"] == "bee-0003.png"
    assert first["Apidae/wasp/1.png"] == "wasp-0001.png"
    assert first["alone.webp"] == "unlabelled-0001.png"
    draw(raw / "Apidae/bee/00.jpg")
    second = run()
    assert second.pop("Apidae/bee/00.jpg") == "bee-0004.png"
    assert second == first
    assert (tmp_path / "out/unique_family.txt").read_text() == "Apidae\n"


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"names": "{folder}/x"}, "all pictures have one name"),
        ({"names": "{genus}/{stem}"}, "no field {genus}; there are folder, parent, stem, n, species"),
        ({"names": "{stem"}, "a brace is missing"),
        ({"size": "big"}, "a number of pixels such as 224"),
        ({"size": 0}, "sides of 1 to 16,383"),
        ({"size": "20000x10"}, "sides of 1 to 16,383"),
        ({"format": "gif"}, "one of png, jpg, webp, tif, bmp"),
        ({"fit": "contain"}, "one of squash, crop, letterbox"),
        ({"quality": 0}, "1 to 100"),
        ({"labels": "nowhere.csv"}, "there is no such file"),
    ],
)
def test_bad_arguments_make_nothing(raw: Path, tmp_path: Path, how: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        morphoindex.preprocess(raw, tmp_path / "out", **how)
    assert not (tmp_path / "out").exists()


# -- folders ----------------------------------------------------------------------------------------------------------


def test_folders_that_lie_in_each_other(raw: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(raw / "fly")
    for one, other in ((raw, raw / "out"), (raw / "fly", raw), (raw, raw), (raw, tmp_path / "link/out")):
        with pytest.raises(UsageError, match="lie in each other"):
            morphoindex.preprocess(one, other)
    assert not (raw / "out").exists()
    with pytest.raises(UsageError, match="none is not there"):
        morphoindex.preprocess(tmp_path / "none", tmp_path / "out")
    with pytest.raises(UsageError, match="webp is not a folder"):
        morphoindex.preprocess(raw / "alone.webp", tmp_path / "out")
    (tmp_path / "bare").mkdir()
    with pytest.raises(UsageError, match="no images in this folder"):
        morphoindex.preprocess(tmp_path / "bare", tmp_path / "out")


def test_a_folder_of_something_else(raw: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    mine = draw(out / "Apidae/wasp/1.png")
    before = mine.read_bytes()
    with pytest.raises(UsageError, match="is not empty: name a new folder, or write into it with --force"):
        morphoindex.preprocess(raw, out)
    assert tree(out) == {"Apidae/wasp/1.png": before}
    morphoindex.preprocess(raw, out, size=16, force=True)
    assert mine.read_bytes() == before
    made = {row["source"]: row["path"] for row in rows(out / "manifest.csv")}
    assert made["Apidae/bee/1.jpg"] == "Apidae/bee/1.png"
    assert made["Apidae/wasp/1.png"] not in ("", "Apidae/wasp/1.png")


def test_another_recipe(raw: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    morphoindex.preprocess(raw, out, size=16)
    before = tree(out)
    with pytest.raises(UsageError, match="made otherwise, or of another folder"):
        morphoindex.preprocess(raw, out, size=16, format="jpg")
    assert tree(out) == before
    done = morphoindex.preprocess(raw, out, size=16, format="jpg", force=True)
    assert (done.written, done.before) == (6, 0)
    assert sorted(out.rglob("*.png")) == []
    assert len(list(out.rglob("*.jpg"))) == 6


# -- again ------------------------------------------------------------------------------------------------------------


def test_only_what_is_missing_is_made(raw: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    tried = morphoindex.preprocess(raw, out, size=16, dry_run=True)
    assert (tried.written, tried.names["alone.webp"], out.exists()) == (8, "alone.png", False)
    morphoindex.preprocess(raw, out, size=16)
    times = {file: file.stat().st_mtime_ns for file in out.rglob("*.png")}
    again = morphoindex.preprocess(raw, out, size=16)
    assert (again.written, again.before, len(again.refused)) == (0, 6, 2)
    (out / "alone.png").unlink()
    (out / "fly/1.png").write_bytes(b"")  # as a loss of power may leave it
    draw(raw / "Apidae/bee/0.jpg", (50, 50))
    shutil.move(raw / "Apidae/bee/1.jpg", raw / "fly/2.jpg")
    shutil.copy(raw / "fly/broken.jpg", raw / "Apidae/wasp/1.png")
    draw(raw / "fly/broken.jpg")
    done = morphoindex.preprocess(raw, out, size=16)
    assert (done.written, done.before, done.gone, done.images) == (5, 1, 1, 7)
    assert not (out / "Apidae/wasp").exists()  # its photograph has become unreadable
    assert sorted(set(out.rglob("*.png")) - set(times)) == [out / "fly/2.png", out / "fly/broken.png"]
    assert (out / "Apidae/bee/2.png").stat().st_mtime_ns == times[out / "Apidae/bee/2.png"]
    assert (out / "errors.log").read_text().count("\n") == 2


def test_other_labels_move_pictures(raw: Path, tmp_path: Path) -> None:
    out, table = tmp_path / "out", tmp_path / "labels.csv"
    table.write_text("path,species\nalone.webp,moth\n")
    morphoindex.preprocess(raw, out, size=16, labels=str(table), names="{species}/{stem}")
    assert (out / "moth/alone.png").exists()
    table.write_text("path,species\nalone.webp,butterfly\n")
    done = morphoindex.preprocess(raw, out, size=16, labels=str(table), names="{species}/{stem}")
    assert (done.written, done.before) == (1, 5)
    assert not (out / "moth").exists()
    assert [row["species"] for row in rows(out / "labels.csv") if row["path"] == "butterfly/alone.png"] == ["butterfly"]


def test_a_run_that_is_killed_anywhere_is_finished(raw: Path, tmp_path: Path) -> None:
    def command(out: str) -> list[str]:
        return ["preprocess", str(raw), str(tmp_path / out), "--size", "16", "-q"]

    steps = tiny.steps_of(command("whole"))
    whole = tree(tmp_path / "whole")
    journal = len((tmp_path / "whole/.morphoindex-pictures.jsonl").read_bytes().splitlines())
    assert steps > 40
    for step in range(3, steps, steps // 9):
        out = tmp_path / f"at{step}"
        assert tiny.killed_at(command(out.name), step)
        for file in out.rglob("*.png") if out.exists() else ():
            assert file.read_bytes() == whole[str(file.relative_to(out))]
        morphoindex.preprocess(raw, out, size=16)
        left = tree(out)
        assert {name: left[name] for name in left if name != ".morphoindex-output"} == {
            name: whole[name] for name in whole if name != ".morphoindex-output"
        }
        assert len((out / ".morphoindex-pictures.jsonl").read_bytes().splitlines()) == journal


def test_a_folder_that_is_not_utf_8_gets_its_tables_and_no_leftovers_stay(tmp_path: Path) -> None:
    draw(tmp_path / "raw/bee/a.jpg")
    out = tmp_path / os.fsdecode(b"o\xe9")
    try:
        out.mkdir()
    except OSError:
        pytest.skip("names are Unicode on this file system")
    morphoindex.preprocess(tmp_path / "raw", out, size=16)
    there = sorted(os.listdir(out))
    assert [row["path"] for row in rows(out / "manifest.csv")] == ["bee/a.png"]
    (out / ".manifest.csv.0123456789abcdef.part").write_bytes(b"half a")
    morphoindex.preprocess(tmp_path / "raw", out, size=16)
    assert sorted(os.listdir(out)) == there


def test_pictures_go_into_an_index_with_labels_and_times(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9003] = "2024:05:01 12:30:00"
    draw(tmp_path / "raw/bee/a.jpg", exif=exif)
    draw(tmp_path / "raw/fly/a.jpg", (30, 30))
    out = tmp_path / "raw-prepared"
    morphoindex.preprocess(tmp_path / "raw", out, size=16)
    with morphoindex.open(tmp_path / "index", create=True) as index:
        encoder = str(tiny.encoder(tmp_path / "one.onnx", "one"))
        added = index.add(out, labels=str(out / "labels.csv"), metadata=str(out / "manifest.csv"), encoder=encoder)
        found = index.sql('SELECT species, "time" FROM specimens ORDER BY species').rows
        assert (added.added, added.refused) == (2, ())
        assert added.labels is not None
        assert added.labels.unused == ()
        assert [*found] == [("bee", "2024-05-01T12:30:00"), ("fly", None)]
        assert index.add(tmp_path, dry_run=True).added == 2  # the raw ones: pictures made of them are passed over


def test_the_command(raw: Path, tmp_path: Path) -> None:
    cli = tiny.Cli(tmp_path)
    done = cli("preprocess", "raw", "out", "--size", "16", code=1)
    assert "Made 6 pictures" in done.stdout
    assert "raw/fly/broken.jpg" in done.stdout
    assert "1 picture without a label" in done.stderr
    said = cli.json("preprocess", "raw", "out", "--size", "16", "--dry-run", code=0)
    assert (said["written"], said["before"], said["dry_run"]) == (2, 6, True)
