"""Vectors made elsewhere: what is taken, what is refused, and that reports can be taken in again."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from conftest import Cli, draw
from numpy.typing import NDArray
from tiny_encoder import write_encoder

import morphoindex
from morphoindex.errors import EmbeddingsInvalid, EncoderMismatch
from morphoindex.indexer.intake.external import read_embeddings

IDS = ["a", "b", "c"]


def vectors(n: int = 3, d: int = 8, seed: int = 0) -> NDArray[np.float32]:
    made: NDArray[np.float32] = np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)
    return made


def open_new(folder: Path) -> morphoindex.Index:
    return morphoindex.open(folder, create=True)


# --- what is refused -------------------------------------------------------------------------------------------------


def with_value(value: float) -> NDArray[np.float32]:
    made = vectors()
    made[1, 2] = value
    return made


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "one dimension": ({"embeddings": vectors()[0]}, r"shape \[8\]"),
    "three dimensions": ({"embeddings": vectors()[None]}, r"shape \[1, 3, 8\]"),
    "no columns": ({"embeddings": vectors()[:, :0]}, r"shape \[3, 0\]"),
    "too few": ({"embeddings": vectors(2)}, "2 embeddings for 3 ids"),
    "integers": ({"embeddings": np.ones((3, 8), np.int64)}, "int64"),
    "complex": ({"embeddings": vectors().astype(complex)}, "complex128"),
    "text": ({"embeddings": np.full((3, 8), "x")}, "must be float"),
    "NaN": ({"embeddings": with_value(np.nan)}, "not finite or zero, the first in row 1"),
    "infinite": ({"embeddings": with_value(np.inf)}, "not finite or zero, the first in row 1"),
    "zero row": ({"embeddings": vectors() * [[1], [1], [0]]}, "the first in row 2"),
    "nothing": ({"ids": np.array([], str), "embeddings": np.empty((0, 8), np.float32)}, "nothing to take in"),
    "twice": ({"ids": np.array(["a", "b", "a"])}, "'a' stands twice, the second time in row 2"),
    "but for case": (
        {"sex": np.array(["f", "m", ""]), "Sex": np.array(["f", "", ""])},
        "two columns of the metadata are sex",
    ),
    "twice as number": ({"ids": np.array([1, 2, 1])}, "'1' stands twice"),
    "empty id": ({"ids": np.array(["a", "", "c"])}, "row 1 is empty"),
    "endless id": ({"ids": np.array(["a", "b" * 513, "c"])}, "longer than 512"),
    "id of two lines": ({"ids": np.array(["a", "b\nb", "c"])}, "cannot be shown"),
    "ids in a table": ({"ids": np.array([["a"], ["b"], ["c"]])}, r"ids: have the shape \[3, 1\]"),
    "ids as one text": ({"ids": np.array("abc")}, "ids"),
    "too few paths": ({"paths": np.array(["1.jpg"])}, "1 path for 3 ids"),
    "too few labels": ({"species": np.array(["Apis"])}, "`species` does not have one value"),
    "path twice": ({"paths": np.array(["1.jpg", "2.jpg", "./1.jpg"])}, "path of both a and c"),
    "zero byte": ({"paths": np.array(["1.jpg", "2\0.jpg", "3.jpg"])}, "zero byte"),
    "nowhere": ({"latitude": np.array([46.2, 91.0, 0])}, "latitude in row 1"),
    "not a number": ({"longitude": np.array(["6.1", "east", "0"])}, "longitude in row 1"),
    "no time": ({"time": np.array(["2024-05-01", "yesterday", ""])}, "time in row 1"),
    "column": ({'a"b': np.array(["1", "2", "3"])}, "double quote"),
}


@pytest.mark.parametrize("what", BAD)
def test_arrays_that_cannot_be_used(tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    changed, says = BAD[what]
    np.savez(tmp_path / "e.npz", **{"ids": np.array(IDS), "embeddings": vectors(), **changed})
    with open_new(tmp_path / "index") as index:
        with pytest.raises(EmbeddingsInvalid, match=says):  # noqa: PT012
            read = read_embeddings(tmp_path / "e.npz")
            index.add_embeddings(read.ids, read.vectors, read.paths, read.metadata)
        assert index.status().specimens == 0
        assert index.check().clean


def one_array(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, vectors())


def torn(path: Path) -> None:
    np.savez_compressed(path, ids=np.array(IDS), embeddings=vectors(300, 300))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)


BAD_FILES: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "missing": ("e.npz", lambda path: None, "there is no file"),
    "folder": ("e.npz", lambda path: path.mkdir(), "there is no file"),
    "empty": ("e.npz", lambda path: path.write_bytes(b""), "cannot be read as npz"),
    "text": ("e.npz", lambda path: path.write_text("id,x\na,1\n"), "cannot be read as npz"),
    "pickle": ("e.npz", lambda path: path.write_bytes(pickle.dumps([1, 2])), "cannot be read as npz"),
    "pickled ids": (
        "e.npz", lambda path: np.savez(path, ids=np.array(IDS, dtype=object), embeddings=vectors()), "npz",
    ),
    "one array": ("e.npz", one_array, "holds one array"),
    "torn": ("e.npz", torn, "cannot be read as npz"),
    "cut": ("e.npz", lambda path: (torn(path), path.write_bytes(path.read_bytes()[:-50])), "cannot be read as npz"),
    "no ids": ("e.npz", lambda path: np.savez(path, embeddings=vectors()), "has no `ids`; it has embeddings"),
    "no embeddings": ("e.npz", lambda path: np.savez(path, ids=np.array(IDS)), "has no `embeddings`; it has ids"),
    "nothing": ("e.npz", lambda path: np.savez(path), "it has nothing"),
    "empty parquet": ("e.parquet", lambda path: path.write_bytes(b""), "cannot be read as parquet"),
    "text as parquet": ("e.parquet", lambda path: path.write_text("PAR1 not"), "cannot be read as parquet"),
    "parquet without embeddings": ("e.parquet", lambda path: parquet(path, "'a' AS ids"), "has no `embeddings`"),
    "ragged": ("e.parquet", lambda path: parquet(path, "unnest([[1.0, 2], [1]])::FLOAT[] AS embeddings, 'a' AS ids"),
               "differ in length"),
    "null": ("e.parquet", lambda path: parquet(path, "unnest([[1.0], NULL])::FLOAT[] AS embeddings, 'a' AS ids"),
             "differ in length"),
    "null within": ("e.parquet", lambda path: parquet(path, "[1.0, NULL]::FLOAT[] AS embeddings, 'a' AS ids"),
                    "not finite or zero"),
    "null id": ("e.parquet", lambda path: parquet(path, "[1.0]::FLOAT[] AS embeddings, NULL::VARCHAR AS ids"),
                "row 0 is empty"),
    "words": ("e.parquet", lambda path: parquet(path, "['x'] AS embeddings, 'a' AS ids"), r"VARCHAR\[\]"),
    "no list": ("e.parquet", lambda path: parquet(path, "1.0::FLOAT AS embeddings, 'a' AS ids"), "FLOAT: it must"),
}  # fmt: skip


def parquet(path: Path, columns: str) -> None:
    with duckdb.connect() as connection:
        connection.execute(f"COPY (SELECT {columns}) TO '{path}' (FORMAT parquet)")


@pytest.mark.parametrize("what", BAD_FILES)
def test_files_that_cannot_be_used(tmp_path: Path, what: str) -> None:
    name, make, says = BAD_FILES[what]
    make(tmp_path / name)
    with pytest.raises(EmbeddingsInvalid, match=says):
        read_embeddings(tmp_path / name)


def test_the_command_says_it_in_one_line(cli: Cli, tmp_path: Path) -> None:
    np.savez(tmp_path / "e.npz", ids=np.array(IDS), embeddings=with_value(np.nan))
    done = cli("add", "--embeddings", "e.npz", code=2)
    assert "row 1" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / ".morphoindex").exists()


# --- what is taken ---------------------------------------------------------------------------------------------------


def test_vectors_come_to_unit_length_and_metadata_to_their_places(tmp_path: Path) -> None:
    metadata = {
        "species": ["Apis", None, "Bombus"], "count": [1, np.int64(2), float("nan")], "time": ["2024-05-01", None, ""],
        "latitude": [np.float32(46.25), Decimal("46.5"), "47"], "camera": ["X100", b"X200", None],
        "caught": [datetime(2024, 5, 1), None, None],
    }  # fmt: skip
    with open_new(tmp_path / "index") as index:
        result = index.add_embeddings(IDS, vectors() * 1e20, metadata=metadata, encoder="mine")
        assert (result.added, result.known, result.specimens) == (3, 0, 3)
        stored = index._session.collection.load()
        assert [specimen.id for specimen in stored.specimens] == IDS
        unit = vectors() / np.linalg.norm(vectors(), axis=1, keepdims=True)
        assert np.allclose(stored.matrix, unit, atol=1e-6)
        a, b, c = stored.specimens
        assert (a.labels, a.capture) == (
            {"species": "Apis", "count": "1", "caught": "2024-05-01 00:00:00"},
            {"time": "2024-05-01", "latitude": 46.25, "camera": "X100"},
        )
        assert (b.labels, b.capture) == ({"count": "2"}, {"latitude": 46.5, "camera": "X200"})
        assert (c.labels, c.capture) == ({"species": "Bombus"}, {"latitude": 47.0})
        assert [hit.id for hit in index.search("a", 5, where='latitude > 46.4 and species = "Bombus"').hits] == ["c"]
        assert index.check().clean


@pytest.mark.parametrize("format", ["npz", "parquet"])
def test_a_report_can_be_taken_in_again(tmp_path: Path, format: str) -> None:
    photos = tmp_path / "photos"
    for number in range(6):
        draw(photos / f"{number}.png", number)
    odd = os.path.join(os.fsencode(photos), b"caf\xe9\n.png")
    os.rename(photos / "5.png", odd)
    encoder = write_encoder(tmp_path / "tiny.onnx")
    with morphoindex.open(tmp_path / ".morphoindex", create=True, encoder=str(encoder)) as index:
        index.add(photos)
        index.report("embeddings", format, tmp_path / f"e.{format}")
        before = index._session.collection.load()
    read = read_embeddings(tmp_path / f"e.{format}")
    (tmp_path / "other").mkdir()
    with open_new(tmp_path / "other" / ".morphoindex") as other:
        result = other.add_embeddings(read.ids, read.vectors, read.paths, read.metadata)
        assert (result.added, result.known) == (6, 0)
        after = other._session.collection.load()
        assert [one.id for one in after.specimens] == [one.id for one in before.specimens]
        assert np.abs(after.matrix - before.matrix).max() < 1e-6
        places = {other._session.roots.join(*one.paths[0].key) for one in after.specimens}
        assert places == {*(f"{photos}/{number}.png" for number in range(5)), os.fsdecode(odd)}
        assert other.add_embeddings(read.ids, read.vectors, read.paths).known == 6
        assert other.check(files=True).clean


@pytest.mark.parametrize("format", ["npz", "parquet"])
def test_the_command_with_columns(cli: Cli, tmp_path: Path, format: str) -> None:
    if format == "npz":
        np.savez(tmp_path / "e.npz", ids=np.array(IDS), embeddings=vectors().astype(np.float16), paths=np.array(
            ["p/1.jpg", "", "p/3.jpg"]), species=np.array(["Apis", "Bombus", ""]))  # fmt: skip
    else:
        parquet(tmp_path / "e.parquet", "* FROM (VALUES ('a', [1.0, 2]::DOUBLE[2], 'p/1.jpg', 'Apis'), "
                "('b', [2.0, 1]::DOUBLE[2], '', 'Bombus'), ('c', [0.0, 1]::DOUBLE[2], 'p/3.jpg', NULL)) "
                "t(ids, embeddings, paths, species)")  # fmt: skip
    assert cli.json("add", "--embeddings", f"e.{format}", "--encoder", "mine")["added"] == 3
    assert cli.json("add", "--embeddings", f"e.{format}", "--encoder", "mine")["known"] == 3
    hits = {hit["id"]: hit for hit in cli.json("search", "a")["hits"]}
    assert hits["b"]["labels"] == {"species": "Bombus"}
    assert hits["b"]["path"] is None
    assert hits["c"]["path"] == f"{tmp_path}/p/3.jpg"
    assert cli.json("check")["clean"]


def test_known_ids_gain_what_is_new(tmp_path: Path) -> None:
    with open_new(tmp_path / "index") as index:
        index.add_embeddings(["a"], vectors(1), metadata=[{"species": "Apis", "sex": "f"}])
        path = draw(tmp_path / "1.png", 1)
        result = index.add_embeddings(["a"], vectors(1), [str(path)], [{"species": "Bombus", "site": "meadow"}])
        assert (result.added, result.known, result.specimens) == (0, 1, 1)
        hit = index._session.collection.get(["a"])["a"]
        assert hit.labels == {"species": "Bombus", "sex": "f", "site": "meadow"}
        assert [record.path for record in hit.paths] == ["1.png"]
        assert index.check(files=True).clean


def test_nothing_is_taken_where_an_id_has_another_vector(tmp_path: Path) -> None:
    with open_new(tmp_path / "index") as index:
        index.add_embeddings(["b"], vectors(1))
        with pytest.raises(EmbeddingsInvalid, match="'b' is in the index with another vector: `morphoindex remove b`"):
            index.add_embeddings(IDS, vectors(3, seed=1))
        assert index.status().specimens == 1
        index.remove(["b"])
        assert index.add_embeddings(IDS, vectors(3, seed=1)).added == 3
        assert index.check().clean


def test_a_path_is_that_of_one_specimen(tmp_path: Path) -> None:
    path = str(draw(tmp_path / "1.png", 1))
    with open_new(tmp_path / "index") as index:
        index.add_embeddings(["a"], vectors(1), [path])
        with pytest.raises(EmbeddingsInvalid, match="cannot be the path of both a and b"):
            index.add_embeddings(["b"], vectors(1), [path])
        assert index.status().specimens == 1
        assert index.check().clean


def test_many_at_once(tmp_path: Path) -> None:
    n = 5000
    with open_new(tmp_path / "index") as index:
        made = vectors(n, 4)
        assert index.add_embeddings(range(n), made, metadata={"half": np.arange(n) % 2}).added == n
        assert index.add_embeddings(range(n), made).known == n
        assert index.check().clean


# --- two kinds of index ----------------------------------------------------------------------------------------------


def test_photographs_do_not_go_into_an_index_of_vectors(tmp_path: Path) -> None:
    path = draw(tmp_path / "photos" / "1.png", 1)
    with open_new(tmp_path / "index") as index:
        index.add_embeddings(IDS, vectors())
        with pytest.raises(EncoderMismatch, match="made elsewhere"):
            index.add(path)
        with pytest.raises(EncoderMismatch, match="never mixes"):
            index.add(path, encoder=str(write_encoder(tmp_path / "tiny.onnx")))
        assert index.status().specimens == 3


def test_vectors_do_not_go_into_an_index_of_photographs(tmp_path: Path, cli: Cli) -> None:
    encoder = write_encoder(tmp_path / "tiny.onnx")
    with morphoindex.open(tmp_path, create=True, encoder=str(encoder)) as index:
        index.add(draw(tmp_path / "photos" / "1.png", 1))
        with pytest.raises(EncoderMismatch, match="never mixes"):
            index.add_embeddings(IDS, vectors())
        assert index.status().specimens == 1
    np.savez(tmp_path / "e.npz", ids=np.array(IDS), embeddings=vectors())
    assert "make another index" in cli("add", "--embeddings", "e.npz", code=2).stderr


def test_vectors_of_another_length_or_name(tmp_path: Path) -> None:
    with open_new(tmp_path / "index") as index:
        index.add_embeddings(IDS, vectors(), encoder="mine")
        for made, name in ((vectors(3, 9), "mine"), (vectors(), "yours")):
            with pytest.raises(EncoderMismatch, match="never mixes"):
                index.add_embeddings(["d", "e", "f"], made, encoder=name)
