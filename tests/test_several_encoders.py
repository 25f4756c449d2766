"""An index with several encoders: none is mixed up with another, and the change from one to the next loses nothing."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb
import pytest
import tiny


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with photographs, two encoders, and an index that was begun with the first."""
    tiny.encoder(tmp_path / "one.onnx", "one")
    tiny.encoder(tmp_path / "two.onnx", "two", seed=2)
    tiny.photos(tmp_path / "photos", 4, 6)
    tiny.Cli(tmp_path)("add", "photos", "--labels", "folder", "--encoder", "one.onnx", "-q")
    return tmp_path


@pytest.fixture
def cli(place: Path) -> tiny.Cli:
    return tiny.Cli(place)


def as_of_schema_1(index: Path) -> None:
    """Turn an index with one encoder into what was written when there could not be two."""
    settings = index / "index.toml"
    text = settings.read_text().replace("schema = 2", "schema = 1").replace("[[encoders]]", "[encoder]")
    settings.write_text(re.sub(r'^(current|mark) = ".*"\n', "", text, flags=re.M))
    with duckdb.connect(str(index / "catalog.duckdb")) as catalog:
        catalog.execute("""
            ALTER TABLE specimen ADD COLUMN stamp VARCHAR;
            UPDATE specimen SET stamp = stamp.stamp FROM stamp WHERE stamp.id = specimen.id;
            DROP TABLE stamp;
            DELETE FROM schema_version WHERE version > 3;
        """)


def test_an_index_of_schema_1_goes_on(cli: tiny.Cli, place: Path) -> None:
    cli("cluster", "--threshold", "0.9")
    before = tiny.tables(place / ".morphoindex")
    graph = (place / ".morphoindex/graph/forest").stat().st_mtime_ns
    as_of_schema_1(place / ".morphoindex")
    assert cli("check").stdout == "Clean: 24 specimens, 24 paths, 1 clustering run.\n"
    assert tiny.tables(place / ".morphoindex") == before
    cli("cluster", "--threshold", "0.9")
    assert (place / ".morphoindex/graph/forest").stat().st_mtime_ns == graph  # no vector is taken for a new one
    assert cli.json("add", "photos", "--encoder", "one.onnx")["known"] == 24
    assert [e["name"] for e in cli.json("status")["encoders"]] == ["one"]


def test_a_current_encoder_that_the_index_does_not_have_is_damage(cli: tiny.Cli, place: Path) -> None:
    settings = place / ".morphoindex/index.toml"
    settings.write_text(settings.read_text().replace('current = "one"', 'current = "two"'))
    assert "the current encoder 'two' is not among the encoders" in cli("status", code=2).stderr
