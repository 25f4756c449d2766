"""An index with several encoders: none is mixed up with another, and the change from one to the next loses nothing."""

from __future__ import annotations

import re
import shutil
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
import tiny
from qdrant_client import QdrantClient
from tiny_encoder import write_encoder

import morphoindex
from morphoindex.errors import EncoderInvalid, EncoderMismatch, UsageError
from morphoindex.indexer.clustering.agreement import agreement, shared_neighbours
from morphoindex.indexer.encoding.encoder import Encoder
from morphoindex.indexer.holdings.journal import Journal
from morphoindex.indexer.storage.stores import CLIENTS


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
            ALTER TABLE specimen DROP COLUMN duplicate_of;
            ALTER TABLE specimen ADD COLUMN stamp VARCHAR;
            UPDATE specimen SET stamp = stamp.stamp FROM stamp WHERE stamp.id = specimen.id;
            DROP TABLE stamp;
            DROP TABLE encounter;
            ALTER TABLE seen DROP COLUMN encounters;
            DELETE FROM schema_version WHERE version > 3;
        """)
        for column in ("frame", "crop_number", "frame_width", "frame_height", "x1", "y1", "x2", "y2"):
            catalog.execute(f"ALTER TABLE specimen DROP COLUMN {column}")


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


def test_vectors_of_before_there_were_stamps_are_those_of_the_first_encoder(place: Path) -> None:
    with morphoindex.open(place / ".morphoindex") as index:
        store = index._session.collection.store
        store.set_payloads([({"stamp": None}, [point.id for points in store.scroll() for point in points])])
        index.rebuild()
        assert [held.lacking for held in index.status().encoders] == [0]
        assert index.reembed().embedded == 0
        assert index.reembed(str(place / "two.onnx")).embedded == 24
        assert [held.lacking for held in index.status().encoders] == [0, 0]
        assert index.sql("SELECT count(*) FROM specimens").rows == ((24,),)
        assert index.check().clean


def test_check_notices_the_vector_of_another_encoder(place: Path) -> None:
    with morphoindex.open(place / ".morphoindex") as index:
        index.reembed(str(place / "two.onnx"))
        assert index.check().clean
        store = index._session.collection.store
        point = next(store.scroll(vectors=True))[0]
        store.vector_name = "two"
        assert point.vector is not None
        store.put_vectors({point.id: point.vector})
        store.vector_name = "one"
        specimen = point.payload["id"]
        assert index.check().problems == (f"specimen {specimen} has another vector of two than was written",)


# --- adding ----------------------------------------------------------------------------------------------------------


def test_another_encoder_is_refused_with_the_command_that_mends_it(cli: tiny.Cli, place: Path) -> None:
    tiny.photo(place / "more/new.png", 1, 50)
    words = cli("add", "more", "--encoder", "two.onnx", code=2).stderr
    assert "this index has vectors of one (24 dimensions, " in words
    assert "never mixes encoders; `morphoindex reembed --encoder two.onnx` gives" in words
    cli("reembed", "--encoder", "two.onnx")
    assert cli.json("add", "more", "--encoder", "two.onnx")["added"] == 1


def test_what_is_added_later_has_the_vector_of_one_encoder(cli: tiny.Cli, place: Path) -> None:
    cli("reembed", "--encoder", "two.onnx", "-q")
    tiny.photo(place / "more/1.png", 1, 50)
    said = cli("add", "more").stderr
    assert "what is new has no vector of two yet: `morphoindex reembed --encoder two` makes them" in said
    tiny.photo(place / "more/2.png", 1, 51)
    assert "no vector of one yet" in cli("add", "more", "--encoder", "two").stderr
    held = cli.json("status")["encoders"]
    assert [(e["name"], e["current"], e["specimens"], e["lacking"]) for e in held] == [
        ("one", True, 25, 1), ("two", False, 25, 1),
    ]  # fmt: skip
    assert "two, 24 dimensions, " in cli("status").stdout
    assert "1 specimen without a vector of two: `morphoindex reembed --encoder two`" in cli("check").stdout
    assert len(cli.json("search", "more/2.png", "-k", "30")["hits"]) == 25
    assert cli.json("search", "more/2.png", "--encoder", "two")["hits"][0]["score"] == pytest.approx(1, abs=1e-5)
    unknown = cli.json("search", "more/2.png", "-k", "1")["hits"][0]
    assert unknown["score"] < 1 - 1e-5  # the current encoder does not know it
    lost = cli.json("sql", "SELECT id FROM paths WHERE path = 'more/2.png'")["rows"][0][0]
    assert f"{lost} has no vector of one: `morphoindex reembed`" in cli("search", lost, code=2).stderr
    assert cli.json("reembed")["embedded"] == 1  # the current one, where none is named
    assert cli.json("search", lost)["hits"]


def test_an_encoder_of_the_index_is_shown_by_its_name_once_its_file_is_gone(cli: tiny.Cli, place: Path) -> None:
    (place / "one.onnx").unlink()
    assert cli.json("encoder", "show", "one")["name"] == "one"
    assert "deterministic             good" in cli("encoder", "check", "one", code=1).stdout
    assert "no encoder 'two'" in cli("encoder", "show", "two", code=2).stderr
    shutil.rmtree(place / ".morphoindex")
    assert "no encoder 'one'" in cli("encoder", "show", "one", code=2).stderr


def test_encoder_list_tells_those_of_the_index_and_the_current_one(cli: tiny.Cli, place: Path) -> None:
    cli("reembed", "--encoder", "two.onnx")
    listed = {one["name"]: one["index"] for one in cli.json("encoder", "list")["encoders"]}
    assert listed == {"insect-128": None, "insect-128-int8": None, "one": "current", "two": "held"}
    assert "no index at" in cli("encoder", "list", "--index", "nowhere", code=2).stderr


def test_vectors_are_those_of_their_encoder(cli: tiny.Cli, place: Path) -> None:
    cli("reembed", "--encoder", "two.onnx", "-q")
    assert cli.json("reembed", "--encoder", "two.onnx")["embedded"] == 0
    paths = sorted((place / "photos").rglob("*.png"))
    for name in ("one", "two"):
        assert cli.json("report", "embeddings", "--encoder", name, "--out", f"{name}.npz")["rows"] == 24
        with np.load(place / f"{name}.npz") as arrays:
            found = dict(zip(arrays["paths"].tolist(), arrays["embeddings"], strict=True))
        encoder = Encoder(place / f"{name}.onnx")
        pixels = np.stack([encoder.fit(pixels_of(path)) for path in paths])
        expected, _ = encoder.embed(pixels)
        assert np.abs(np.stack([found[str(path)] for path in paths]) - expected).max() < 1e-6
    assert "No such option" in cli("report", "--encoder", "two", code=2).stderr


def pixels_of(path: Path) -> Any:
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def test_encoders_of_one_name_are_told_by_their_fingerprints(cli: tiny.Cli, place: Path) -> None:
    again = tiny.encoder(place / "again.onnx", "one", seed=9)
    fingerprint = Encoder(again).info.fingerprint
    name = cli.json("reembed", "--encoder", "again.onnx")["encoder"]
    assert name == f"one-{fingerprint[:6]}"
    assert cli.json("encoder", "use", fingerprint[:9])["encoder"] == name
    assert cli.json("encoder", "use", "one")["before"] == name
    shutil.copyfile(again, place / "one")  # the name of an encoder of the index, and the path of another file
    other = tiny.encoder(place / "one", "new", seed=10)
    words = cli("reembed", "--encoder", "one", code=2).stderr
    assert "'one' is two encoders" in words
    assert Encoder(other).info.fingerprint[:12] in words
    assert cli.json("encoder", "use", "one")["encoder"] == "one"  # only one of the index can be meant


# --- reembed ---------------------------------------------------------------------------------------------------------


def test_what_cannot_be_read_again_is_listed_and_keeps_what_it_has(cli: tiny.Cli, place: Path) -> None:
    photos = place / "photos"
    shutil.copyfile(photos / "kind0/0.png", place / "elsewhere.png")
    cli("add", "elsewhere.png", "-q")
    (photos / "kind0/0.png").unlink()  # lies elsewhere, too
    (photos / "kind0/1.png").unlink()
    (photos / "kind0/2.png").write_bytes(b"no picture")
    tiny.photo(photos / "kind0/3.png", 3, 77)
    (photos / "kind0/4.png").unlink()
    cli("add", "photos/kind0", "--labels", "folder", code=1)  # takes note of all this
    tiny.photo(photos / "kind1/0.png", 3, 78)
    (photos / "kind1/1.png").unlink()
    before = cli.json("status")
    planned = cli.json("reembed", "--encoder", "two.onnx", "--dry-run", code=1)
    assert (planned["embedded"], planned["lacking"], len(planned["refused"])) == (21, 25, 4)
    assert cli.json("status") == before
    result = cli.json("reembed", "--encoder", "two.onnx", code=1)
    assert (result["embedded"], result["lacking"], result["specimens"]) == (19, 6, 25)
    reasons = {Path(r["path"]).name: r["reason"] for r in result["refused"] if "/" in r["path"]}
    changed = "it shows something else now: `morphoindex add` takes note of that"
    assert reasons == {"0.png": changed, "1.png": "it is not there any more"}
    assert [r["reason"] for r in result["refused"] if "/" not in r["path"]] == ["none of its files is where it was"] * 4
    assert cli("check").returncode == 0
    shown = cli("reembed", "--encoder", "two", code=1).stdout
    assert "Read 0 photographs again" in shown
    assert "6 specimens passed over, and as they were:" in shown
    shown = cli("encoder", "use", "two").stdout
    assert "6 of 25 specimens have no vector of it: search, dedup and sample pass over them" in shown
    words = cli("encoder", "drop", "one", code=2).stderr
    assert "6 specimens have no vector but that of one" in words
    clustered = cli.json("cluster", "--threshold", "0.9")
    assert (clustered["lacking"], clustered["specimens"]) == (6, 25)
    assert clustered["noise"] >= 6
    cli("check")


def test_an_encoder_that_fails_leaves_nothing_behind(cli: tiny.Cli, place: Path) -> None:
    folder = place / ".morphoindex"
    before = (folder / "index.toml").read_text()
    write_encoder(place / "long.onnx", "long")
    (place / "photos/kind0/0.png").unlink()
    for i in range(3):  # nearly black, where that encoder fails
        tiny.Image.new("RGB", (16, 16), (i, 0, 0)).save(place / f"photos/kind0/black{i}.png")
    cli("add", "photos")
    assert "not of unit length" in cli("reembed", "--encoder", "long.onnx", code=2).stderr
    assert "no encoder 'nowhere.onnx'" in cli("reembed", "--encoder", "nowhere.onnx", code=2).stderr
    (place / "text.onnx").write_text("no encoder")
    assert "not an ONNX file" in cli("reembed", "--encoder", "text.onnx", code=2).stderr
    assert (folder / "index.toml").read_text() == before
    assert len(list((folder / "encoders").iterdir())) == 1
    with morphoindex.open(folder) as index:
        assert list(index._session.collection.store.vectors) == ["one"]
    write_encoder(place / "nan.onnx", "nan")
    result = cli.json("reembed", "--encoder", "nan.onnx", code=1)
    assert {r["reason"] for r in result["refused"]} >= {"the encoder gives no finite vector for it"}
    assert (result["lacking"], result["embedded"]) == (4, 23)


def test_vectors_made_elsewhere(tmp_path: Path) -> None:
    photos = sorted(tiny.photos(tmp_path / "photos", 2, 3).rglob("*.png"))
    two = str(tiny.encoder(tmp_path / "two.onnx", "two"))
    ids, vectors = [f"s{i}" for i in range(6)], np.random.default_rng(0).normal(size=(6, 5))
    with morphoindex.open(tmp_path / "bare", create=True) as index:
        index.add_embeddings(ids, vectors, encoder="mine")
        with pytest.raises(UsageError, match="no specimen of this index has a photograph"):
            index.reembed(two)
        assert index.reembed().embedded == 0
        with pytest.raises(EncoderMismatch, match=r"never mixes encoders; for yours .* make another index"):
            index.add_embeddings(["x"], vectors[:1], encoder="yours")
    with morphoindex.open(tmp_path / "index", create=True) as index:
        index.add_embeddings(ids, vectors, [*map(str, photos[:5]), None], encoder="mine")
        tiny.photo(photos[1], 9, 9)  # is not what its vector was made of any more
        result = index.reembed(two)
        assert (result.embedded, result.lacking) == (4, 2)
        assert {refused.path: refused.reason[:30] for refused in result.refused} == {
            str(photos[1]): "it shows something else now: `", "s5": "its vector was made elsewhere,",
        }  # fmt: skip
        index.use("two")
        assert index.search(photos[0]).hits[0].id == "s0"
        index.add_embeddings(["s6"], vectors[:1], encoder="mine")
        tiny.photo(tmp_path / "new.png", 1, 99)
        index.add(tmp_path / "new.png")
        with pytest.raises(UsageError, match="`morphoindex add --embeddings FILE --encoder mine` brings those that 1 "):
            index.reembed("mine")
        [new] = [hit.id for hit in index.search(tmp_path / "new.png", 1).hits]
        index.add_embeddings([new], vectors[:1], encoder="mine")
        assert [held.lacking for held in index.status().encoders] == [0, 3]
        assert index.check().clean


def test_an_encoder_that_another_process_drops_meanwhile(place: Path) -> None:
    with morphoindex.open(place / ".morphoindex") as index:
        index.reembed(str(place / "two.onnx"))
        session = index._session
        two = session.settings.encoders[1]
        dropping = tiny.process(["--index", str(place / ".morphoindex"), "encoder", "drop", "two", "--wait", "60"])
        dropping.start()
        while not session._lock.has_waiters():
            time.sleep(0.05)
        session._held_since -= 60  # long enough to let others in
        with pytest.raises(EncoderMismatch, match="another process has dropped two"), session.working_with(two):
            session.pause()
        dropping.join()
        assert dropping.exitcode == 0
        assert [held.name for held in index.status().encoders] == ["one"]
        assert index.check().clean


# --- from one to another ----------------------------------------------------------------------------------------------


def people_decide(index: morphoindex.Index) -> dict[str, list[Any]]:
    """Have four clusters of six, all named and two of them verified; what that says of specimens and clusters."""
    assert [cluster.size for cluster in index.cluster(0.9).clusters] == [6] * 4
    for number in range(4):
        index.clusters.name(f"C000{number + 1}", f"species {number}")
    index.clusters.verify("C0001")
    index.clusters.verify("C0002")
    return curated(index)


def curated(index: morphoindex.Index) -> dict[str, list[Any]]:
    members = index.sql("SELECT id, cluster, cluster_name FROM specimens WHERE verified ORDER BY id")
    names = index.sql("SELECT DISTINCT cluster, cluster_name FROM specimens ORDER BY ALL")
    return {"verified": list(members.rows), "names": list(names.rows)}


def test_names_and_verified_members_come_along(cli: tiny.Cli, place: Path) -> None:
    with morphoindex.open(place / ".morphoindex") as index:
        before = people_decide(index)
    assert len(before["verified"]) == 12
    clusters = cli.json("sql", "SELECT id, cluster FROM specimens ORDER BY id")
    cli("reembed", "--encoder", "two.onnx", "-q")
    foretold = cli.json("encoder", "compare", "one", "two", "--threshold", "-1")["events"]
    said = cli("encoder", "use", "two").stdout
    assert said.startswith("two is the current encoder now, one no longer.")
    assert cli.json("sql", "SELECT id, cluster FROM specimens ORDER BY id") == clusters  # until the next run
    again = cli.json("cluster", "--threshold", "0.9")
    assert (again["verified"], again["retention"], again["events"]) == (12, 1.0, [])
    with morphoindex.open(place / ".morphoindex") as index:
        assert curated(index) == before
    whole = cli.json("cluster", "--threshold", "-1")
    assert (whole["verified"], whole["retention"]) == (12, 1.0)
    assert whole["events"] == foretold
    with morphoindex.open(place / ".morphoindex") as index:
        assert curated(index)["verified"] == before["verified"]
        index.use("one")
        index.cluster(0.9)
        assert curated(index) == before  # the names that had no members were waiting for them
        assert index.check().clean
    runs = [line["encoder"] for line in Journal(place / ".morphoindex").read() if line["event"] == "cluster"]
    assert runs == ["one", "two", "two", "one"]


def test_verified_members_without_a_vector_stay_where_they_are(place: Path) -> None:
    with morphoindex.open(place / ".morphoindex") as index:
        before = people_decide(index)
        for path in sorted((place / "photos").glob("kind*/[01].png")):
            path.unlink()
        assert index.reembed(str(place / "two.onnx")).lacking == 8
        index.use("two")
        result = index.cluster(0.9)
        assert (result.lacking, result.noise, result.verified, result.retention) == (8, 4, 12, 1.0)
        assert curated(index)["verified"] == before["verified"]
        shown = index.clusters.show("C0001")
        assert sorted(member.similarity is None for member in shown.members) == [False] * 4 + [True] * 2
        assert index.cluster().retention == 1.0
        assert len(index.sample(99).selected) == 16
        assert index.dedup(0.9).pairs == 4 * 6
        assert index.check().clean
        index.rebuild()
        assert curated(index)["verified"] == before["verified"]
        index.use("one")
        assert index.cluster(0.9).noise == 0
        assert curated(index) == before


def test_each_encoder_has_its_graph(place: Path) -> None:
    graph = place / ".morphoindex/graph/forest"
    with morphoindex.open(place / ".morphoindex") as index:
        index.cluster(0.9)
        before = graph.stat().st_mtime_ns
        index.reembed(str(place / "two.onnx"))
        for encoder in ("two", "one"):
            index.use(encoder)
            verified = index.cluster(0.5, verify=True).verification
            assert verified is not None
            assert verified.equal
        assert graph.stat().st_mtime_ns == before  # nothing was made anew
        assert len(list(graph.parent.rglob("forest"))) == 2
        index.drop("two")
        assert list(graph.parent.rglob("forest")) == [graph]
        index.reembed(str(place / "two.onnx"))
        index.use("two")
        index.cluster(0.5)
        index.drop("one")
        assert [len(file.relative_to(graph.parent).parts) for file in graph.parent.rglob("forest")] == [2]


def test_drop(cli: tiny.Cli, place: Path) -> None:
    assert "one is the current encoder: it is the only one" in cli("encoder", "drop", "one", code=2).stderr
    assert "no vectors of an encoder 'two'; it has one" in cli("encoder", "drop", "two", code=2).stderr
    cli("reembed", "--encoder", "two.onnx", "-q")
    assert "`morphoindex encoder use two` first" in cli("encoder", "drop", "one", code=2).stderr
    assert cli("encoder", "drop", "two", "--dry-run").stdout == "Would drop two, and 24 vectors of it.\n"
    cli("encoder", "use", "two")
    assert "already" in cli("encoder", "use", "two").stdout
    assert cli("encoder", "drop", "one.onnx").stdout == "Dropped one, and 24 vectors of it.\n"
    with morphoindex.open(place / ".morphoindex") as index:
        assert [held.name for held in index.status().encoders] == ["two"]
        assert len(list((place / ".morphoindex/encoders").iterdir())) == 1
        assert index.cluster(0.9).noise == 0
        assert index.check().clean
        index.rebuild()
        assert index.check().clean
        assert index.reembed(str(place / "one.onnx")).embedded == 24  # had again, from the photographs
        assert index.use("one").lacking == 0
        assert index.check().clean


@pytest.fixture(params=["edge", "server"])
def url(request: pytest.FixtureRequest) -> Iterator[str | None]:
    """The two stores; qdrant-client's local mode stands in for a server."""
    if request.param == "edge":
        yield None
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Payload indexes have no effect")
        client = QdrantClient(":memory:")
        CLIENTS["http://local.invalid:6333"] = client
        yield "http://local.invalid:6333"
        del CLIENTS["http://local.invalid:6333"]
        client.close()


def test_the_change_of_encoder_in_python(url: str | None, tmp_path: Path) -> None:
    photos = tiny.photos(tmp_path / "photos", 3, 5)
    one, two = (str(tiny.encoder(tmp_path / f"{n}.onnx", n, seed)) for seed, n in enumerate(("one", "two")))
    told: list[int] = []
    with morphoindex.open(tmp_path / "index", create=True, encoder=one, qdrant_url=url) as index:
        index.add(photos, labels="folder")
        index.cluster(0.9)
        index.clusters.verify("C0001")
        result = index.reembed(two, report=lambda done: told.append(done.embedded))
        assert (result.encoder, result.current, result.embedded, result.lacking) == ("two", False, 15, 0)
        assert told[-1] == 15
        assert index.compare("one", "two").specimens == 15
        assert index.use("two").before == "one"
        assert index.cluster(0.9).retention == 1
        assert sorted(cluster.size for cluster in index.cluster(0.9).clusters) == [5, 5, 5]
        assert index.search(photos / "kind1/2.png", 5, encoder="one").hits[0].score == pytest.approx(1, abs=1e-5)
        assert index.drop("one").vectors == 15
        assert index.check().problems == ()
        with pytest.raises(EncoderInvalid):
            index.reembed(str(photos / "kind0/0.png"))
    with morphoindex.open(tmp_path / "index") as index:
        assert [(held.name, held.lacking) for held in index.status().encoders] == [("two", 0)]
        assert index.search(photos / "kind1/2.png", 1).hits[0].score == pytest.approx(1, abs=1e-5)
        index.rebuild()
        assert index.check().clean


# --- compare ---------------------------------------------------------------------------------------------------------


def units(n: int, d: int, seed: int) -> Any:
    made = np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)
    return made / np.linalg.norm(made, axis=1, keepdims=True)


@pytest.mark.parametrize("tile", [1, 40 * 7, 1 << 24])
def test_shared_neighbours_are_those_of_brute_force(tile: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("morphoindex.indexer.clustering.agreement._TILE", tile)
    a, b = units(40, 6, 0), units(40, 9, 1)
    near = [np.argsort(-(m.astype(float) @ m.T.astype(float) - 9 * np.eye(40)), axis=1)[:, :7] for m in (a, b)]
    expected = [len(set(x) & set(y)) for x, y in zip(*near, strict=True)]
    rows = np.array([3, 0, 39, 20])
    assert shared_neighbours(a, b, 7, rows).tolist() == [expected[i] for i in rows]
    assert shared_neighbours(a, a, 7, rows).tolist() == [7] * 4
    assert shared_neighbours(a, b, 7, rows[:0]).tolist() == []


def test_agreement_leaves_noise_out() -> None:
    assert agreement(np.array([0, 0, 1, 1, -1, 2]), np.array([5, 5, 3, 3, 3, -1])) == (1.0, 1.0)
    assert agreement(np.array([-1, 0]), np.array([0, -1])) is None
    ami, ari = agreement(np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])) or (1, 1)
    assert ami <= 0
    assert ari == pytest.approx(-0.5)


def test_compare(cli: tiny.Cli, place: Path) -> None:
    for kind in range(4):
        tiny.photo(place / f"more/{kind}.png", kind, 60)
    with morphoindex.open(place / ".morphoindex") as index:
        people_decide(index)
        index.reembed(str(place / "two.onnx"))
        index.add(place / "more")
    before = tiny.tables(place / ".morphoindex"), (place / ".morphoindex/journal.jsonl").read_bytes()
    result = cli.json("encoder", "compare", "one", "two")
    assert (result["specimens"], result["left_out"], result["in_both"]) == (24, 4, 24)
    assert (result["ami"], result["ari"]) == (1.0, 1.0)
    overlap = result["overlap"]
    assert sum(overlap["counts"]) == overlap["sampled"] == 24
    assert sum(n * count for n, count in enumerate(overlap["counts"])) / 24 == pytest.approx(overlap["mean"], abs=1e-4)
    assert 5 <= overlap["mean"] < 10  # of ten, five are of one's own kind
    assert (result["a"]["clusters"], result["a"]["noise"]) == (4, 0)
    assert (result["b"]["clusters"], result["b"]["noise"]) == (4, 4)
    shown = cli("encoder", "compare", "two", "one").stdout
    assert "After `morphoindex encoder use one` the next `morphoindex cluster` would say:\n  C0001 grew to 7" in shown
    shown = cli("encoder", "compare", "one", "two", "--threshold", "-1").stdout
    assert "one and two on 24 specimens; 4 without a vector of both are left out." in shown
    assert "By two: 1 cluster, 4 specimens in none (cosine, threshold -1.0, linkage single)." in shown
    assert "After `morphoindex encoder use two` the next `morphoindex cluster` would say:" in shown
    assert re.search(r"C000\d took in C000\d \(\d\)", shown)
    assert (tiny.tables(place / ".morphoindex"), (place / ".morphoindex/journal.jsonl").read_bytes()) == before
    assert "name two" in cli("encoder", "compare", "one", "one.onnx", code=2).stderr
    assert "no vectors of an encoder 'three'" in cli("encoder", "compare", "one", "three", code=2).stderr
