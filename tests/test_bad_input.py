"""Files that cannot become specimens: each with its reason, in the ledger and in the output, and the run goes on."""

from __future__ import annotations

import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from conftest import Cli, draw
from PIL import Image
from tiny_encoder import write_encoder

import morphoindex
from morphoindex.errors import EncoderInvalid, ImageRefused, UsageError
from morphoindex.indexer.encoding import reading
from morphoindex.indexer.encoding.reading import read_file
from morphoindex.indexer.paths import to_text


@pytest.fixture
def index(tmp_path: Path) -> Iterator[morphoindex.Index]:
    encoder = write_encoder(tmp_path / "tiny.onnx")
    with morphoindex.open(tmp_path / ".morphoindex", create=True, encoder=str(encoder)) as opened:
        yield opened


def encoded(format: str, size: tuple[int, int] = (64, 48), mode: str = "RGB", **options: object) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], len(mode)), dtype=np.uint8)
    buffer = BytesIO()
    Image.frombytes(mode, size, pixels.tobytes()).save(buffer, format, **options)
    return buffer.getvalue()


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "zero.jpg": (lambda: b"", "empty file"),
    "cut.jpg": (lambda: cut(encoded("JPEG")), "cut off or damaged"),
    "cut.png": (lambda: cut(encoded("PNG")), "cut off or damaged"),
    "header.jpg": (lambda: encoded("JPEG")[:20], "cut off or damaged"),
    "text.jpg": (lambda: b"Sehr geehrte Damen und Herren", "not an image"),
    "page.png": (lambda: b"<!doctype html><title>404</title>", "not an image"),
    "drawing.jpg": (lambda: b"%PDF-1.7", "PDF is not read"),
    "dot.png": (lambda: encoded("PNG", (1, 1)), "1×1 pixels: too small"),
    "large.png": (lambda: encoded("PNG", (1600, 800)), "1.3 megapixels, over the limit of 1.2 (--max-megapixels)"),
    "zeros.tif": (lambda: bytes(5000), "not an image"),
}
READ: dict[str, Callable[[], bytes]] = {
    "gif.jpg": lambda: encoded("GIF"),
    "long.png": lambda: encoded("PNG", (60_000, 20)),
    "exif.jpg": lambda: encoded("JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff broken"),
    "cmyk.jpg": lambda: encoded("JPEG", mode="CMYK", icc_profile=b"no profile at all" * 9),
}


def test_every_sort_of_bad_content(cli: Cli, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    draw(photos / "good.png", 1)
    for name, (make, _) in REFUSED.items():
        (photos / name).write_bytes(make())
    for name, make in READ.items():
        (photos / name).write_bytes(make())
    cli("init", "--encoder", write_encoder(tmp_path / "tiny.onnx"))
    result = cli.json("add", "photos", "--max-megapixels", "1.2", code=1)
    reasons = {os.path.basename(refused["path"]): refused["reason"] for refused in result["refused"]}
    assert set(reasons) == set(REFUSED)
    for name, (_, reason) in REFUSED.items():
        assert reasons[name].startswith(reason), (name, reasons[name])
    assert result["added"] == 1 + len(READ)
    told = cli("add", "photos", "--max-megapixels", "1.2", code=1).stdout
    for name, reason in reasons.items():
        assert name in told
        assert " ".join(reason.split()[:2]) in told
    cli("report", "ingest", "--format", "csv", "--out", "ledger.csv")
    written = (tmp_path / "ledger.csv").read_text("utf-8")
    assert written.count(",refused,") == len(REFUSED)
    assert written.count(",present,") == 1 + len(READ)
    assert cli.json("check")["clean"]
    assert cli.json("add", "photos", code=1)["added"] == 1  # with the usual limit the large one is taken


def test_what_is_no_regular_file(index: morphoindex.Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = tmp_path / "photos"
    draw(photos / "good.png", 1)
    (photos / "dangling.jpg").symlink_to("nowhere.jpg")
    (photos / "loop.jpg").symlink_to("loop.jpg")
    (photos / "round").symlink_to(".")
    (photos / "folder.jpg").mkdir()
    draw(photos / "folder.jpg" / "inside.png", 2)
    os.mkfifo(photos / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as plug:
        monkeypatch.chdir(photos)  # the address of a socket is short
        plug.bind("socket.jpg")
        result = index.add(photos)
    assert {os.path.relpath(refused.path, photos): refused.reason for refused in result.refused} == {
        "dangling.jpg": "dangling link",
        "loop.jpg": "link loop",
        "round": "link loop",
        "pipe.jpg": "not a regular file",
        "socket.jpg": "not a regular file",
    }
    assert result.added == 2
    assert index.status().refused == 5
    for name in ("dangling.jpg", "loop.jpg", "round", "pipe.jpg", "socket.jpg"):
        (photos / name).unlink()
    assert index.add(photos).refused == ()
    assert index.status().refused == 0


def test_given_by_name(index: morphoindex.Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    os.symlink("loop", "loop")
    os.mkdir("empty")
    os.mkdir("texts")
    Path("texts/readme.md").write_text("nothing to see")
    draw(tmp_path / "good.png", 1)
    given = ["pipe", "loop", "empty", "texts", "good.png", "nowhere", "good.png/x", "*.gif", "no/such/folder/a.jpg"]
    result = index.add(given)
    assert {os.path.relpath(refused.path, tmp_path): refused.reason for refused in result.refused} == {
        "pipe": "not a regular file",
        "loop": "link loop",
        "empty": "no images in this folder",
        "texts": "no images in this folder",
        "nowhere": "does not exist",
        "good.png/x": "does not exist",
        "*.gif": "no file matches",
        "no/such/folder/a.jpg": "does not exist",
    }
    assert result.added == 1
    assert index.check().clean


def test_nothing_but_a_path_that_does_not_exist(cli: Cli) -> None:
    done = cli("add", "nowhere", code=2)
    assert "nowhere" in done.stderr
    assert not (cli.folder / ".morphoindex").exists()


def test_a_missing_path_beside_a_good_one(cli: Cli, photos: Path, tmp_path: Path) -> None:
    cli("init", "--encoder", write_encoder(tmp_path / "tiny.onnx"))
    result = cli.json("add", "photos", "nowhere", code=1)
    assert result["added"] == 24
    assert result["refused"] == [{"path": f"{tmp_path}/nowhere", "reason": "does not exist"}]


def test_odd_names(cli: Cli, tmp_path: Path) -> None:
    names = [b"caf\xe9.png", b"new\nline.png", b"tab\tand\\back.png", b"x" * 251 + b".png", b" .png", b"-rf.png",
             b"'quo\"ted'.png", "Käfer 🪲 \u202e.png".encode(), b"\xff\xfe.jpg"]  # fmt: skip
    photos = os.path.join(os.fsencode(tmp_path), b"photos")
    os.mkdir(photos)
    for number, name in enumerate(names):
        shutil.move(draw(tmp_path / "x.png", number), os.path.join(photos, name))
    with open(os.path.join(photos, b"bro\xe9\nken.jpg"), "wb") as file:
        file.write(b"no picture")
    cli("init", "--encoder", write_encoder(tmp_path / "tiny.onnx"))
    result = cli.json("add", "photos", code=1)
    assert result["added"] == len(names)
    assert result["refused"] == [{"path": f"{tmp_path}/photos/bro\\xe9\\x0aken.jpg", "reason": "not an image"}]
    assert "bro\\xe9\\x0aken.jpg" in cli("add", "photos", code=1).stdout
    assert cli.json("add", "photos", code=1)["known"] == len(names)
    assert cli.json("search", os.fsdecode(b"photos/caf\xe9.png"), "-k", "1")["hits"][0]["score"] > 0.999
    with morphoindex.open(tmp_path) as index:
        for name in names:
            path = os.path.join(photos, name)
            assert index.search(os.fsdecode(path), 1).hits[0].path == to_text(os.fsdecode(path))
    os.unlink(os.path.join(photos, b"bro\xe9\nken.jpg"))
    assert cli.json("add", "photos")["refused"] == []
    assert cli.json("check", "--files")["clean"]


WITHOUT_PRIVILEGE = """
import ctypes, os, sys
if os.getuid() == 0:  # give up what lets root read everything: it goes with the next exec
    for capability in (1, 2):
        ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)
os.execv(sys.executable, [sys.executable, "-m", "morphoindex", *sys.argv[1:]])
"""


def test_files_and_folders_that_may_not_be_read(cli: Cli, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    draw(photos / "good.png", 1)
    for name in ("locked.png", "shut/inside.png"):
        draw(photos / name, 2)
    (photos / "into.png").symlink_to("shut/inside.png")
    cli("init", "--encoder", write_encoder(tmp_path / "tiny.onnx"))
    (photos / "locked.png").chmod(0)
    (photos / "shut").chmod(0)
    try:
        done = subprocess.run(
            [sys.executable, "-c", WITHOUT_PRIVILEGE, "add", "photos", "photos/shut", "--json"],
            cwd=tmp_path, env=cli.environment, capture_output=True, text=True, timeout=600,
        )  # fmt: skip
    finally:
        (photos / "shut").chmod(0o755)
    result = json.loads(done.stdout)
    if result["added"] == 2:
        pytest.skip("this user reads whatever the permissions are")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert {os.path.relpath(refused["path"], photos): refused["reason"] for refused in result["refused"]} == {
        "into.png": "cannot be read: Permission denied",
        "locked.png": "no permission to read it",
        "shut": "folder cannot be read: Permission denied",
    }
    (photos / "locked.png").chmod(0o644)
    assert cli.json("add", "photos")["specimens"] == 2
    assert cli.json("status")["refused"] == 0


# --- while it is being read ------------------------------------------------------------------------------------------


def test_a_file_that_keeps_growing(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(bytes(1000))
    stop = threading.Event()

    def grow() -> None:
        with path.open("ab", buffering=0) as file:
            while not stop.is_set():
                file.write(b"x" * 100)

    writer = threading.Thread(target=grow)
    writer.start()
    try:
        with pytest.raises(ImageRefused, match="changed while it was being read"):  # noqa: PT012
            for _ in range(50):  # a round in which the other thread did not run would read it whole
                read_file(str(path))
                time.sleep(0)
    finally:
        stop.set()
        writer.join()
    assert read_file(str(path)).size == path.stat().st_size


def test_a_file_that_vanished_since_it_was_found(tmp_path: Path) -> None:
    with pytest.raises(ImageRefused, match="vanished while it was being read"):
        read_file(f"{tmp_path}/gone.jpg")


def test_a_pipe_that_took_the_place_of_a_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jpg")
    with pytest.raises(ImageRefused, match="not a regular file"):
        read_file(f"{tmp_path}/a.jpg")
    with pytest.raises(ImageRefused, match="cannot be read"):
        read_file(str(tmp_path))


def test_a_file_over_the_size_limit(tmp_path: Path) -> None:
    with (tmp_path / "film.jpg").open("wb") as file:
        file.truncate(reading.MAX_BYTES + 1)  # sparse: takes no room
    with pytest.raises(ImageRefused, match=r"2\.0 GiB, over the limit of 2"):
        read_file(f"{tmp_path}/film.jpg")


def test_files_that_vanish_in_the_middle_of_a_run(index: morphoindex.Index, tmp_path: Path) -> None:
    """Found in the first step, and gone when their turn to be read comes: the first report comes in between."""
    photos = tmp_path / "photos"
    for number in range(8):
        draw(photos / f"{number}.png", number)
    index.add(photos)
    for number in range(8):
        draw(photos / f"{number}.png", number + 8)
    last = photos / "7.png"

    def vanish(counts: object) -> None:
        last.unlink(missing_ok=True)

    result = index.add(photos, report=vanish)
    assert result.added == 7
    assert [(refused.path, refused.reason) for refused in result.refused] == [
        (str(last), "vanished while it was being read")
    ]
    assert index.status().without_file == 8
    assert index.check().clean
    index.add(photos)
    assert index.status().refused == 0


# --- encoders that fail ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("failing", ["nan", "zero"])
def test_pictures_that_the_encoder_fails_on(tmp_path: Path, failing: str) -> None:
    photos = tmp_path / "photos"
    for number in range(5):
        draw(photos / f"{number}.png", number)
    for number in range(3):
        Image.new("RGB", (20, 20), (0, number, 0)).save(photos / f"black{number}.png")
    encoder = write_encoder(tmp_path / "tiny.onnx", failing)  # type: ignore[arg-type]
    with morphoindex.open(tmp_path / ".morphoindex", create=True, encoder=str(encoder)) as index:
        result = index.add(photos)
        assert result.added == 5
        assert {os.path.basename(refused.path): refused.reason for refused in result.refused} == {
            f"black{number}.png": "the encoder gives no finite vector for it" for number in range(3)
        }
        vectors = index._session.collection.load().matrix
        assert vectors.shape[0] == 5
        assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
        assert index.check().clean
        with pytest.raises(UsageError, match="no finite vector"):
            index.search(str(photos / "black0.png"))


def test_an_encoder_that_breaks_the_contract(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    draw(photos / "0.png", 0)
    Image.new("RGB", (20, 20)).save(photos / "black.png")
    encoder = write_encoder(tmp_path / "tiny.onnx", "long")
    with morphoindex.open(tmp_path / ".morphoindex", create=True, encoder=str(encoder)) as index:
        with pytest.raises(EncoderInvalid, match="not of unit length"):
            index.add(photos)
        assert index.status().specimens == 0
        assert index.check().clean


def test_the_permissions_of_the_photographs_are_left_alone(index: morphoindex.Index, photos: Path) -> None:
    path = photos / "kind0" / "0.png"
    path.chmod(0o444)
    before = path.stat()
    index.add(photos, labels="folder")
    after = path.stat()
    assert (before.st_mtime_ns, before.st_size, stat.S_IMODE(before.st_mode)) == (
        after.st_mtime_ns, after.st_size, stat.S_IMODE(after.st_mode),
    )  # fmt: skip
