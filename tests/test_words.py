"""Numbers and lists as a person reads them, everywhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import tiny
from click.testing import CliRunner

from morphoindex.cli.main import cli
from morphoindex.indexer.words import count, listed


def test_counts_and_lists() -> None:
    assert [count(n, "specimen") for n in (0, 1, 1200)] == ["0 specimens", "1 specimen", "1,200 specimens"]
    assert count(2, "box", "boxes") == "2 boxes"
    assert listed([]) == ""
    assert [listed("abcdef"[:n]) for n in (1, 2, 4, 6)] == ["a", "a and b", "a, b, c and d", "a, b, c and 3 more"]


def test_one_is_no_plural(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for individual in range(2):
        tiny.photo(tmp_path / f"photos/kind/{individual}.png", 0, individual)
    (tmp_path / "photos/broken.png").write_bytes(b"")
    (tmp_path / "labels.csv").write_text("path,species\n0.png,Apis\ngone.png,Osmia\n")
    tiny.encoder(tmp_path / "tiny.onnx")
    monkeypatch.chdir(tmp_path)
    said = []
    for words in (
        "add photos/kind/0.png --encoder tiny.onnx", "status", "add photos --labels labels.csv",
        "cluster --threshold 0.5", "labels undo", "clusters split C0001 photos/kind/0.png", "evaluate", "dedup",
        "sample -n 1", "report", "remove photos/kind/1.png",
    ):  # fmt: skip
        said += CliRunner().invoke(cli, words.split()).output.splitlines()
    assert "Removed 1 specimen. The index holds 1 specimen." in said
    nouns = "specimens|photographs|images|files|rows|labels|clusters|groups|pairs|values|of its specimens are"
    assert [line for line in said if re.search(rf"(?<![\d.,–:-])1 (\w+ )?({nouns})\b", line)] == []
