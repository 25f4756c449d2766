"""The whole index with its specimens on a Qdrant server.

In qdrant-client's local mode, which stands in for one; on a real one, too, where MORPHOINDEX_TEST_QDRANT_URL names it.
"""

from __future__ import annotations

import os
import socket
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny
from qdrant_client import QdrantClient

import morphoindex
from morphoindex.errors import StoreError
from morphoindex.indexer.settings import read_settings
from morphoindex.indexer.storage.stores import CLIENTS

REAL = os.environ.get("MORPHOINDEX_TEST_QDRANT_URL")
LOCAL = "http://local.invalid:6333"


@pytest.fixture(params=["local", "real"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "real":
        if not REAL:
            pytest.skip("MORPHOINDEX_TEST_QDRANT_URL is not set")
        yield REAL
        with QdrantClient(REAL) as client:
            client.delete_collection(read_settings(tmp_path / "index").collection)
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Payload indexes have no effect")
        client = QdrantClient(":memory:")
        CLIENTS[LOCAL] = client
        yield LOCAL
        del CLIENTS[LOCAL]
        client.close()


def test_the_main_job_on_a_server(url: str, tmp_path: Path) -> None:
    photos = tiny.photos(tmp_path / "photos", 3, 5)
    (photos / "broken.png").write_bytes(b"broken")
    encoder = str(tiny.encoder(tmp_path / "tiny.onnx"))
    with morphoindex.open(tmp_path / "index", create=True, encoder=encoder, qdrant_url=url) as index:
        assert index.status().store == f"Qdrant server {url}"
        result = index.add(photos, labels="folder")
        assert (result.added, len(result.refused)) == (15, 1)
        assert sorted(cluster.size for cluster in index.cluster(0.9).clusters) == [5, 5, 5]
        hits = index.search(photos / "kind1" / "2.png", 5, 'species = "kind1"').hits
        assert [hit.labels["species"] for hit in hits] == ["kind1"] * 5
        assert hits[0].score == pytest.approx(1, abs=1e-5)
        assert len(index.sample(6).selected) == 6
        assert index.remove([hits[0].id]).removed == 1
        assert index.check().problems == ()
    assert not (tmp_path / "index" / "qdrant").exists()
    (photos / "kind0" / "0.png").rename(photos / "moved.png")
    with morphoindex.open(tmp_path / "index") as index:
        again = index.add(photos)
        assert (again.added, again.moved, again.known) == (1, 1, 13)
    before = tiny.tables(tmp_path / "index")
    (tmp_path / "index" / "catalog.duckdb").unlink()
    assert tiny.tables(tmp_path / "index")["specimens"] == before["specimens"]
    with morphoindex.open(tmp_path / "index") as index:
        assert index.rebuild() == 15
        assert index.check().clean
    after = tiny.tables(tmp_path / "index")
    assert {name: after[name] for name in ("specimens", "clusters", "runs")} == {
        name: before[name] for name in ("specimens", "clusters", "runs")
    }


def test_the_same_job_gives_the_same_tables_on_a_server_and_in_the_folder(url: str, tmp_path: Path) -> None:
    photos = tiny.photos(tmp_path / "photos", 3, 5)
    encoder = str(tiny.encoder(tmp_path / "tiny.onnx"))
    for name, where in (("index", url), ("embedded", None)):
        with morphoindex.open(tmp_path / name, create=True, encoder=encoder, qdrant_url=where) as index:
            index.add(photos, labels="folder")
            index.cluster(0.9)
    assert tiny.tables(tmp_path / "index") == tiny.tables(tmp_path / "embedded")


def test_a_catalog_behind_the_server_catches_up(url: str, tmp_path: Path) -> None:
    encoder = str(tiny.encoder(tmp_path / "tiny.onnx"))
    with morphoindex.open(tmp_path / "index", create=True, encoder=encoder, qdrant_url=url) as index:
        index.add(tiny.photos(tmp_path / "photos", 2, 5))
        ids = [row[0] for row in index.sql("SELECT id FROM specimens ORDER BY id").rows]
        index._session.collection.catalog.remove(ids[:3])
    said: list[str] = []
    with morphoindex.open(tmp_path / "index", say=said.append) as index:
        assert index.check().clean
    assert said == ["the catalog was 3 specimens behind the store and has caught up"]


def test_a_server_that_cannot_be_reached_is_said(cli: Any, tmp_path: Path) -> None:
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        encoder = tiny.encoder(tmp_path / "tiny.onnx")
        photos = tiny.photos(tmp_path / "photos", 1, 2)
        done = cli("init", "--encoder", encoder, "--qdrant-url", url, code=2)
        assert f"The Qdrant server at {url} cannot be reached" in done.stderr.splitlines()[-1]
    cli("init", "--encoder", encoder)  # nothing was left behind
    assert cli.json("add", photos)["added"] == 2


def test_a_collection_that_is_gone_is_said(url: str, tmp_path: Path) -> None:
    encoder = str(tiny.encoder(tmp_path / "tiny.onnx"))
    with morphoindex.open(tmp_path / "index", create=True, encoder=encoder, qdrant_url=url):
        pass
    client = CLIENTS.get(url) or QdrantClient(url)
    client.delete_collection(read_settings(tmp_path / "index").collection)
    with pytest.raises(StoreError, match="has no collection"), morphoindex.open(tmp_path / "index") as index:
        index.status()
