"""A damaged index says what is wrong and what mends it, with exit code 2 and no traceback; and that does mend it."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
import tiny

import morphoindex
from morphoindex.errors import IndexDamaged, IndexNotFound, MorphoindexError
from morphoindex.indexer.specimen import FileRecord, Specimen, point_id
from morphoindex.indexer.storage.qdrant_edge import EdgeStore
from morphoindex.indexer.storage.vectors import Point

SEED = int(os.environ.get("MORPHOINDEX_TEST_SEED", "1"))


@pytest.fixture
def cli(tmp_path: Path) -> tiny.Cli:
    """The command line in the temporary folder, from the fork server."""
    return tiny.Cli(tmp_path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photographs and an index that was added to and clustered."""
    folder = tmp_path_factory.mktemp("whole")
    encoder = str(tiny.encoder(folder / "tiny.onnx"))
    photos = tiny.photos(folder / "photos", 3, 4)
    (photos / "broken.png").write_bytes(b"broken")
    with morphoindex.open(folder / ".morphoindex", create=True, encoder=encoder) as index:
        index.add(photos, labels="folder")
        (photos / "kind0" / "0.png").rename(photos / "moved.png")
        index.add(photos)
        index.cluster(0.9)
    return folder


@pytest.fixture
def index(whole: Path, tmp_path: Path) -> Path:
    """A copy of its index folder, beside its photographs."""
    shutil.copytree(whole / "photos", tmp_path / "photos")
    shutil.copyfile(whole / "tiny.onnx", tmp_path / "tiny.onnx")
    return tiny.copied(whole / ".morphoindex", tmp_path / ".morphoindex")


def cut(path: Path, keep: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])


def refuses(cli: Any, *commands: str) -> str:
    """What the commands say, all alike, on stderr."""
    said = set()
    for command in commands:
        done = cli(*command.split(), code=2)
        assert done.stdout == ""
        said.add(done.stderr.strip().splitlines()[-1])
    (words,) = said
    assert words.startswith("morphoindex: ")
    assert "should not have happened" not in words
    return words


# --- the catalog: `rebuild` makes it again ------------------------------------------------------------------------


def garble_blocks(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[16384:] = os.urandom(len(content) - 16384)
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: cut(path, 0.6),
        lambda path: cut(path, 0.002),
        lambda path: path.write_bytes(b"garbage" * 1000),
        lambda path: path.write_bytes(b"garbage"),
        garble_blocks,
    ],
    ids=["cut", "cut in the header", "garbage", "short garbage", "garbled blocks"],
)
def test_a_damaged_catalog_is_made_again_by_rebuild(
    cli: Any, index: Path, whole: Path, damage: Callable[[Path], object]
) -> None:
    damage(index / "catalog.duckdb")
    words = refuses(cli, "status", "check")
    assert "catalog.duckdb" in words or "the catalog" in words
    assert "`morphoindex rebuild`" in words
    assert cli.json("rebuild")["specimens"] == 12
    assert cli.json("check")["clean"]
    expected, found = tiny.tables(whole / ".morphoindex"), tiny.tables(index)
    (refused,) = (row for row in expected["paths"] if "refused" in row)
    del expected["paths"][refused]
    assert found == expected
    assert cli.json("add", "photos", code=1)["known"] == 12


@pytest.mark.parametrize("left", ["", "later"])
def test_a_catalog_that_is_empty_or_gone_is_made_again_by_itself(cli: Any, index: Path, left: str) -> None:
    (index / "catalog.duckdb").unlink()
    if not left:
        (index / "catalog.duckdb").touch()
    assert "has caught up" in cli("status").stderr
    assert cli.json("check")["clean"]


def test_a_catalog_of_a_later_version_says_upgrade(cli: Any, index: Path) -> None:
    with duckdb.connect(str(index / "catalog.duckdb")) as connection:
        connection.execute("INSERT INTO schema_version VALUES (99)")
    words = refuses(cli, "status", "search photos/moved.png", "add photos")
    assert "schema 99" in words
    assert "pip install -U morphoindex" in words


# --- index.toml ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "is missing"),
        ("", "not what morphoindex writes"),
        ("garbage", "cannot be read"),
        ("\0\0\0", "cannot be read"),
        ("schema = 'one'\nroots = {}", "not what morphoindex writes"),
        ("schema = 1\nroots = 5", "not what morphoindex writes"),
        ("schema = 1\nencoder = 7\n[roots]", "not what morphoindex writes"),
        ("schema = 1\n[roots]\n[encoder]\nname = 'x'", "not what morphoindex writes"),
        ("schema = 99", "pip install -U morphoindex"),
    ],
)
def test_damaged_settings_say_so_and_mend_when_put_back(cli: Any, index: Path, content: str | None, says: str) -> None:
    before = (index / "index.toml").read_bytes()
    (index / "index.toml").unlink()
    if content is not None:
        (index / "index.toml").write_text(content)
    words = refuses(cli, "status", "add photos", "rebuild", "init")
    assert says in words
    assert ".morphoindex" in words
    (index / "index.toml").write_bytes(before)
    assert cli.json("check")["clean"]


def test_an_index_without_settings_under_another_name_is_not_taken_for_an_empty_folder(cli: Any, index: Path) -> None:
    named = index.rename(index.with_name("named"))
    (named / "index.toml").unlink()
    words = refuses(cli, "--index named status", "--index named add photos")
    assert "index.toml is missing" in words
    assert not (named / ".morphoindex").exists()


def test_settings_that_lost_their_encoder_do_not_cost_the_specimens(cli: Any, index: Path) -> None:
    settings = index / "index.toml"
    before = settings.read_text()
    settings.write_text(before[: before.index("[[encoders]]")] + "[roots]\nhome = '..'\n")
    assert "holds 12 specimens" in refuses(cli, "add photos --encoder tiny.onnx")
    settings.write_text(before)
    assert cli.json("check")["specimens"] == 12


# --- the store ------------------------------------------------------------------------------------------------------


def test_a_missing_store_says_what_is_lost(cli: Any, index: Path) -> None:
    shutil.rmtree(index / "qdrant")
    words = refuses(cli, "status", "search photos/moved.png", "rebuild", "check")
    assert "qdrant is missing: it holds the specimens" in words
    index.rename(index.with_name("lost"))  # as the message says
    assert cli.json("add", "photos", "--encoder", "tiny.onnx", code=1)["added"] == 12


@pytest.mark.parametrize("damage", ["removed", "cut"])
def test_a_damaged_file_of_the_store_is_said_and_mends_when_put_back(index: Path, damage: str, tmp_path: Path) -> None:
    files = [p for p in (index / "qdrant" / "segments").rglob("*") if p.is_file() and p.stat().st_size]
    some = random.Random(SEED).sample(sorted(p for p in files if p.name != "version.info"), 4)
    said = 0
    for path in [*some, *(p for p in files if p.name == "version.info")]:
        saved = path.rename(tmp_path / "saved")
        if damage == "cut":
            shutil.copyfile(saved, path)
            os.truncate(path, path.stat().st_size // 2)
        checks = tiny.process(["--index", str(index), "check"])  # a process of its own: Edge may take it down
        checks.start()
        checks.join()
        assert checks.exitcode in (0, 1, 2), path
        said += checks.exitcode == 2
        path.unlink(missing_ok=True)
        shutil.copyfile(saved, path)
        saved.unlink()
        tiny.assert_clean(index)
    assert said


def test_missing_segments_say_that_the_store_is_damaged(cli: Any, index: Path) -> None:
    (index / "qdrant" / "segments").rename(index / "segments")
    assert "qdrant is damaged" in refuses(cli, "status", "check", "rebuild")
    shutil.rmtree(index / "qdrant" / "segments", ignore_errors=True)
    (index / "segments").rename(index / "qdrant" / "segments")
    assert cli.json("check")["clean"]


# --- the journal ------------------------------------------------------------------------------------------------------


def test_a_cut_off_journal_line_was_never_acknowledged(cli: Any, index: Path) -> None:
    with open(index / "journal.jsonl", "ab") as file:
        file.write(b'{"event": "cluster", "run": 2')
    assert cli.json("check")["runs"] == 1
    cli("cluster", "--threshold", "0.95")
    assert cli.json("check")["runs"] == 2
    assert cli.json("check")["clean"]


@pytest.mark.parametrize("line", [b"garbage\n", b'{"event": "cluster"}\n'])
def test_garbage_in_the_journal_names_the_line(cli: Any, index: Path, line: bytes) -> None:
    before = (index / "journal.jsonl").read_bytes()
    (index / "journal.jsonl").write_bytes(line + before)
    words = refuses(cli, "status", "rebuild", "check")
    assert "journal" in words
    (index / "journal.jsonl").write_bytes(before)
    assert cli.json("check")["clean"]


def test_a_lost_journal_is_noticed(cli: Any, index: Path) -> None:
    (index / "journal.jsonl").unlink()
    assert "the journal has lost clustering runs: 0 of 1" in cli("status").stderr
    problems = cli.json("check", code=1)["problems"]
    assert sum("was made by no run of the journal" in problem for problem in problems) == 3


# --- the encoder ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["missing", "garbage", "another"])
def test_the_copy_of_the_encoder_is_put_back_by_add(cli: Any, index: Path, tmp_path: Path, damage: str) -> None:
    (copy,) = (index / "encoders").iterdir()
    copy.unlink()
    if damage == "garbage":
        copy.write_bytes(b"garbage")
    elif damage == "another":
        tiny.encoder(copy, seed=5)
    words = refuses(cli, "search photos/moved.png", "add photos")
    assert "`morphoindex add --encoder FILE PHOTOS` puts it back" in words
    other = tiny.encoder(tmp_path / "other.onnx", seed=5)
    assert "never mixes encoders" in refuses(cli, f"add photos --encoder {other}")
    cli("add", "--encoder", "tiny.onnx", "photos", code=1)
    assert cli.json("search", "photos/moved.png", "-k", "1")["hits"][0]["score"] == pytest.approx(1, abs=1e-5)


def test_the_built_in_encoder_comes_back_by_itself(cli: Any, tmp_path: Path) -> None:
    tiny.photos(tmp_path / "photos", 1, 2)
    cli("add", "photos")
    (copy,) = (tmp_path / ".morphoindex" / "encoders").iterdir()
    before = copy.read_bytes()
    copy.write_bytes(b"garbage")
    assert "it is back, from the package" in cli("search", "photos/kind0/0.png").stderr
    assert copy.read_bytes() == before


# --- permissions ------------------------------------------------------------------------------------------------------


def _as_nobody() -> None:
    os.setgid(65534)
    os.setuid(65534)


def test_an_index_that_may_not_be_written_says_so(index: Path) -> None:
    python = [sys.executable, "-m", "morphoindex"]
    as_another: dict[str, Any] = {"preexec_fn": None if os.geteuid() else _as_nobody, "cwd": "/", "text": True}
    try:
        subprocess.run([*python, "--version"], check=True, capture_output=True, **as_another)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("another user cannot run this Python")
    for path in (index, *index.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    for folder in index.parents[:3]:
        if folder.stat().st_uid == os.geteuid():
            folder.chmod(0o755)
    for command in ("status", "cluster", "rebuild"):
        done = subprocess.run([*python, "--index", str(index), command], capture_output=True, check=False, **as_another)
        assert done.returncode == 2, done
        assert done.stderr.startswith("morphoindex: ")
        assert "ermission denied" in done.stderr
    for path in (index, *index.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    tiny.assert_clean(index)


# --- check names every difference that is planted ---------------------------------------------------------------------


def in_catalog(index: Path, sql: str) -> None:
    with duckdb.connect(str(index / "catalog.duckdb")) as connection:
        connection.execute(sql)


def in_store(index: Path, change: Callable[[EdgeStore], None]) -> None:
    store = EdgeStore.open(index / "qdrant")
    change(store)
    store.close()


def first_of(store: EdgeStore) -> Point:
    return next(iter(store.scroll(vectors=True)))[0]


def swap(store: EdgeStore) -> None:
    """One point less and one more, with a revision that has been: nothing that opening an index would notice."""
    gone = first_of(store)
    store.delete([gone.id])
    new = Specimen("f" * 32, paths=(FileRecord("home", "new.png", 1, 1, ""),), revision=gone.payload["revision"])
    store.upsert([Point(new.point, new.payload(), gone.vector)])


ONLY, NOT = "specimen in the catalog only", "specimen not in the catalog"
CATALOG = {
    "another label": ("UPDATE specimen SET labels = '{}' WHERE id = (SELECT min(id) FROM specimen)", [ONLY, NOT]),
    "another size": ("UPDATE specimen SET width = 1", [ONLY, NOT]),
    "another cluster": ("UPDATE specimen SET cluster = 'C0009'", [ONLY, NOT]),
    "a path less": ("DELETE FROM path WHERE state = 'closed'", ["path not in the catalog"]),
    "a path more": ("INSERT INTO path VALUES ('home', 'x', 'present', 'y', 1, 1, '')", ["path in the catalog only"]),
    "another path": ("UPDATE path SET size = 5", ["path in the catalog only", "path not in the catalog"]),
    "another run": ("UPDATE run SET clusters = 77", ["clustering run in the catalog only", "clustering run not in"]),
}


@pytest.mark.parametrize("planted", CATALOG)
def test_check_names_what_is_planted_in_the_catalog(cli: Any, index: Path, planted: str) -> None:
    sql, words = CATALOG[planted]
    in_catalog(index, sql)
    problems = cli.json("check", code=1)["problems"]
    for word in words:
        assert any(problem.startswith(word) for problem in problems), problems
    assert cli.json("check", code=1)["problems"] == problems  # it only looks
    cli("rebuild")
    assert cli.json("check")["clean"]


def elsewhere(store: EdgeStore) -> None:
    point = first_of(store)
    store.upsert([Point(point_id("elsewhere"), {**point.payload, "revision": 90}, point.vector)])


def too_long(store: EdgeStore) -> None:
    point = first_of(store)
    store.upsert([Point(point.id, point.payload, np.full(tiny.DIM, 3, np.float32))])


def claimed(store: EdgeStore) -> None:
    point = first_of(store)
    new = Specimen("d" * 32, paths=tuple(FileRecord(**record) for record in point.payload["paths"]), revision=90)
    store.upsert([Point(new.point, new.payload(), point.vector)])


def setting(**values: object) -> Callable[[EdgeStore], None]:
    return lambda store: store.set_payloads([({**values, "revision": 90}, [first_of(store).id])])


STORE: dict[str, tuple[Callable[[EdgeStore], None], list[str], bool]] = {
    "one swapped for another": (swap, [ONLY, NOT], True),
    "under another id": (elsewhere, ["is stored under another id"], False),
    "a path claimed twice": (claimed, ["belongs to two specimens"], False),
    "a vector that is not one": (too_long, ["has no usable vector"], False),
    "a label column": (setting(labels={"legs": "6"}), ["label column 'legs' is not in index.toml"], True),
    "a root": (
        setting(paths=[vars(FileRecord("gone", "x.png", 1, 1, ""))]),
        ["root 'gone' of some paths is not in index.toml"],
        False,
    ),
    "a cluster": (setting(cluster="C0099"), ["cluster C0099 was made by no run of the journal"], False),
}


@pytest.mark.parametrize("planted", STORE)
def test_check_names_what_is_planted_in_the_store(cli: Any, index: Path, planted: str) -> None:
    change, words, mends = STORE[planted]
    in_store(index, change)
    problems = cli.json("check", code=1)["problems"]
    for word in words:
        assert any(word in problem for problem in problems), problems
    cli("rebuild")
    assert cli.json("check", code=0 if mends else 1)["clean"] == mends


def test_points_written_or_deleted_behind_the_catalog_are_caught_up_with(cli: Any, index: Path) -> None:
    new = Specimen("e" * 32, paths=(FileRecord("home", "new.png", 1, 1, ""),), revision=50)
    in_store(index, lambda store: store.upsert([Point(new.point, new.payload(), first_of(store).vector)]))
    assert "1 specimen behind the store and has caught up" in cli("check").stderr
    in_store(index, lambda store: store.delete([new.point, first_of(store).id]))
    assert "2 specimens of the catalog are no longer in the store" in cli("check").stderr
    assert cli.json("status")["specimens"] == 11


def test_a_point_that_is_no_specimen_is_damage_that_names_it(cli: Any, index: Path) -> None:
    foreign = "00000000-0000-0000-0000-00000000abcd"
    in_store(index, lambda store: store.upsert([Point(foreign, {"text": "of others"}, first_of(store).vector)]))
    assert foreign in refuses(cli, "status", "check", "rebuild")
    in_store(index, lambda store: store.delete([foreign]))
    assert cli.json("check")["clean"]


def test_errors_are_ours_from_python_too(index: Path, tmp_path: Path) -> None:
    (index / "catalog.duckdb").write_bytes(b"garbage" * 1000)
    with morphoindex.open(index) as opened:
        for ask in (opened.status, opened.check, lambda: opened.sql("SELECT 1"), lambda: opened.cluster(0.5)):
            with pytest.raises(IndexDamaged, match="rebuild"):
                ask()
        assert opened.rebuild() == 12
        assert opened.check().clean
    with pytest.raises(IndexNotFound):
        morphoindex.open(tmp_path / "nowhere")
    assert issubclass(IndexDamaged, MorphoindexError)
