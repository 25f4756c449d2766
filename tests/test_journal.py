"""The journal: what a line is, and what a crash or a full disk does to it."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from morphoindex.errors import IndexDamaged, StoreError
from morphoindex.indexer.holdings.journal import FILE, Journal


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """A disk that takes files of so many bytes at most: it takes a part of a write, and refuses the next."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def events(journal: Journal) -> list[tuple[str, int]]:
    return [(line["event"], line["n"]) for line in journal.read()]


def test_lines_come_back_in_order(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    assert events(journal) == []
    journal.append("a", {"n": 1, "text": "ü\n\u2028"})
    Journal(tmp_path).append("b", {"n": 2})
    assert events(journal) == [("a", 1), ("b", 2)]
    assert next(journal.read())["text"] == "ü\n\u2028"


@pytest.mark.parametrize("left", [b"{", b"}", b'{"event": "c", "n": 3}', b"\0\0\0\0", b"x" * 200_000])
def test_what_has_no_newline_was_never_acknowledged_and_is_cut_off(tmp_path: Path, left: bytes) -> None:
    journal = Journal(tmp_path)
    journal.append("a", {"n": 1})
    with open(tmp_path / FILE, "ab") as file:
        file.write(left)
    assert events(journal) == [("a", 1)]
    journal.append("b", {"n": 2})
    assert events(journal) == [("a", 1), ("b", 2)]
    assert (tmp_path / FILE).read_bytes().count(b"\n") == 2


def test_a_journal_of_nothing_but_a_part_of_a_line(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"{" * 70_000)
    Journal(tmp_path).append("a", {"n": 1})
    assert events(Journal(tmp_path)) == [("a", 1)]


@pytest.mark.parametrize("garbage", [b"garbage\n", b"[1, 2]\n", b'{"n": 3}\n', b"\xff\xfe\n", b"\n", b"\0\0\n"])
def test_garbage_before_the_end_is_damage_and_names_the_line(tmp_path: Path, garbage: bytes) -> None:
    journal = Journal(tmp_path)
    journal.append("a", {"n": 1})
    with open(tmp_path / FILE, "ab") as file:
        file.write(garbage)
    journal.append("b", {"n": 2})
    with pytest.raises(IndexDamaged, match="line 2"):
        list(journal.read())


def test_a_full_disk_leaves_the_journal_as_it_was(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append("a", {"n": 1})
    before = (tmp_path / FILE).read_bytes()
    with largest_file(len(before) + 40), pytest.raises(StoreError, match=FILE):
        journal.append("b", {"n": 2, "text": "long" * 20})
    assert (tmp_path / FILE).read_bytes() == before
    journal.append("b", {"n": 2})
    assert events(journal) == [("a", 1), ("b", 2)]
