"""One process at a time: who comes second waits, is told for whom, and gets in between two batches."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny

import morphoindex
from morphoindex.errors import IndexLocked, UsageError
from morphoindex.indexer.lock import IndexLock

PATIENCE = 60  # seconds after which a test gives up


def until(holds: Callable[[], object]) -> None:
    """Wait until it holds."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def holder(folder: str, pipe: Any) -> None:
    """A process that holds the lock until it is told to let go."""
    lock = IndexLock(Path(folder), "morphoindex hold")
    lock.acquire(PATIENCE)
    pipe.send(os.getpid())
    pipe.recv()
    lock.release()


def hold(folder: Path) -> tuple[Any, Any, int]:
    """Start it; gives the process, the pipe, and its number once it has the lock."""
    mine, its = tiny.PROCESSES.Pipe()
    process = tiny.PROCESSES.Process(target=holder, args=(str(folder), its))
    process.start()
    assert mine.poll(PATIENCE)
    return process, mine, mine.recv()


def test_the_second_waits_and_is_told_for_whom(tmp_path: Path) -> None:
    process, pipe, number = hold(tmp_path)
    said: list[str] = []

    def say(words: str) -> None:
        said.append(words)
        pipe.send("let go")

    lock = IndexLock(tmp_path, "morphoindex second")
    lock.acquire(PATIENCE, say)
    process.join()
    (words,) = said
    assert words.startswith(f"waiting for `morphoindex hold` (process {number}, since 20")
    assert json.loads((tmp_path / "lock.holder").read_text())["pid"] == os.getpid()
    assert not list((tmp_path / "waiting").iterdir())
    lock.release()
    assert not (tmp_path / "lock.holder").exists()


def test_who_waited_long_enough_says_who_has_it(tmp_path: Path) -> None:
    process, pipe, number = hold(tmp_path)
    for wait in (0, 0.2):
        with pytest.raises(IndexLocked, match=rf"`morphoindex hold` \(process {number}, .*waited {wait:g} s.*--wait"):
            IndexLock(tmp_path, "second").acquire(wait)
    assert not list((tmp_path / "waiting").iterdir())
    pipe.send("let go")
    process.join()


def test_a_killed_holder_frees_the_lock_and_its_name_does_no_harm(tmp_path: Path) -> None:
    process, _, number = hold(tmp_path)
    os.kill(number, signal.SIGKILL)
    process.join()
    assert (tmp_path / "lock.holder").exists()
    lock = IndexLock(tmp_path, "second")
    lock.acquire(0)
    assert json.loads((tmp_path / "lock.holder").read_text())["command"] == "second"
    lock.release()


@pytest.mark.parametrize("left", [b"", b"garbage", b"[]", b"{}", b"\xff", b'{"command": "x", "pid": 1}'])
def test_a_holder_file_that_says_nothing_does_no_harm(tmp_path: Path, left: bytes) -> None:
    process, pipe, _ = hold(tmp_path)
    (tmp_path / "lock.holder").write_bytes(left)
    with pytest.raises(IndexLocked, match="another process"):
        IndexLock(tmp_path, "second").acquire(0)
    pipe.send("let go")
    process.join()


def test_files_of_dead_waiters_are_cleared_away(tmp_path: Path) -> None:
    lock = IndexLock(tmp_path, "first")
    lock.acquire(0)
    assert not lock.has_waiters()
    (tmp_path / "waiting").mkdir()
    for name, age in (("past", -3600), ("future", 3600)):
        dead = tmp_path / "waiting" / name
        dead.touch()
        os.utime(dead, (time.time() + age, time.time() + age))
    assert not lock.has_waiters()
    assert not list((tmp_path / "waiting").iterdir())
    (tmp_path / "waiting" / "alive").touch()
    assert lock.has_waiters()
    lock.yield_to_waiters()  # it does not come: we go on after a while
    with pytest.raises(IndexLocked):
        IndexLock(tmp_path, "second").acquire(0)
    lock.release()


def test_the_command_line_waits_and_ends_with_2(cli: Any, tmp_path: Path) -> None:
    encoder = tiny.encoder(tmp_path / "tiny.onnx")
    cli("init", "--encoder", encoder)
    process, pipe, number = hold(tmp_path / ".morphoindex")
    refused = cli("status", "--wait", "0.3", code=2)
    assert f"waiting for `morphoindex hold` (process {number}" in refused.stderr
    assert f"in use by `morphoindex hold` (process {number}" in refused.stderr
    assert refused.stdout == ""
    waiting = cli.start("status", "--json", "--wait", str(PATIENCE))
    until(lambda: list((tmp_path / ".morphoindex" / "waiting").iterdir()))
    pipe.send("let go")
    out, _ = waiting.communicate(timeout=PATIENCE)
    assert json.loads(out)["specimens"] == 0
    process.join()


def test_a_closed_index_does_not_open_again_without_the_lock(tmp_path: Path) -> None:
    encoder = str(tiny.encoder(tmp_path / "tiny.onnx"))
    index = morphoindex.open(tmp_path / "index", create=True, encoder=encoder)
    index.close()
    with pytest.raises(UsageError, match="closed"):
        index.status()


def test_two_adds_at_once_lose_and_double_nothing(tmp_path: Path) -> None:
    encoder = str(tiny.encoder(tmp_path / "tiny.onnx"))
    photos = tiny.photos(tmp_path / "photos", 6, 8)
    (photos / "broken.png").write_bytes(b"broken")
    index = str(tmp_path / "index")
    inputs = ([f"{photos}/kind[0-3]", f"{photos}/broken.png"], [f"{photos}/kind[2-5]", f"{photos}/broken.png"])
    adding = [
        tiny.process(["--index", index, "add", *paths, "--encoder", encoder, "--labels", "folder", "--wait", "60"])
        for paths in inputs
    ]  # both find no index, and make it
    for process in adding:
        process.start()
    for process in adding:
        process.join()
        assert process.exitcode == 1  # the broken one
    with morphoindex.open(index) as opened:
        status = opened.status()
        assert (status.specimens, status.paths, status.refused, status.labels) == (48, 48, 1, ("species",))
        assert opened.check().clean


@pytest.mark.parametrize("rounds", range(4))
def test_two_processes_that_make_the_same_index_make_one(tmp_path: Path, rounds: int) -> None:
    encoder = str(tiny.encoder(tmp_path / "tiny.onnx"))
    commands = [["--index", str(tmp_path / "index"), "add", encoder, "--encoder", encoder, "--wait", "60"]] * 3
    processes = [tiny.process(command) for command in commands]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode in (0, 1)
    with morphoindex.open(tmp_path / "index") as index:
        assert index.status().encoder is not None
        assert index.check().clean
    assert not (tmp_path / "index" / ".morphoindex").exists()


def test_a_search_gets_in_between_two_batches_of_an_add(cli: Any, tmp_path: Path) -> None:
    encoder = str(tiny.encoder(tmp_path / "tiny.onnx"))
    first, second = tiny.photos(tmp_path / "a", 2, 4), tiny.photos(tmp_path / "b", 4, 5)
    for folder in (first, second):  # refused by name, which commits what is there so far
        (folder / "0.png").symlink_to("nowhere")
    searches: list[subprocess.Popen[str]] = []
    events: list[str] = []

    with morphoindex.open(tmp_path / "index", create=True, encoder=encoder) as index:
        index.add(first)

        def committed(counts: Any) -> None:
            if not searches:
                sample = str(first / "kind0" / "0.png")
                searches.append(cli.start("--index", tmp_path / "index", "search", sample, "-k", "100", "--json"))
                waiting = tmp_path / "index" / "waiting"
                until(lambda: waiting.is_dir() and list(waiting.iterdir()))
                time.sleep(2.2)  # an add keeps the index for two seconds before it lets others in
                events.append("the search waits")
            elif "the search is done" not in events:
                out, error = searches[0].communicate(timeout=PATIENCE)
                assert len(json.loads(out)["hits"]) == 8, error  # what was there before the second batch
                events.append("the search is done")

        assert index.add(second, report=committed).added == 20 - 8
        events.append("the add is done")
        assert index.status().specimens == 20
    assert events == ["the search waits", "the search is done", "the add is done"]
