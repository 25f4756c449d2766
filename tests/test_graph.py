"""The neighbour graph of an index: caught up, mended, thrown away, and looked at again."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny

import morphoindex
from morphoindex.errors import UsageError
from morphoindex.indexer.clustering.dendrogram import dendrogram
from morphoindex.indexer.clustering.forest import FILE, ClusterForest
from morphoindex.indexer.clusters import labelling
from morphoindex.indexer.holdings import graph


def vectors(n: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(1).normal(size=(6, 16))
    return centres[rng.integers(0, 6, n)] + 0.35 * rng.normal(size=(n, 16))


def names(n: int, start: int = 0) -> list[str]:
    return [f"s{i}" for i in range(start, start + n)]


@pytest.fixture
def said() -> list[str]:
    """What an index says while it is used."""
    return []


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with morphoindex.open(tmp_path / "i", create=True) as index:
        index.add_embeddings(names(120), vectors(120))
    return tmp_path / "i"


def clusters_of(index: morphoindex.Index) -> set[frozenset[str]]:
    rows = index.sql("SELECT cluster, list(id) FROM specimens WHERE cluster IS NOT NULL GROUP BY cluster").rows
    return {frozenset(members) for _, members in rows}


def from_scratch(index: morphoindex.Index, **options: Any) -> set[frozenset[str]]:
    """The clusters of a run in an index that is made anew from the same vectors."""
    loaded = index._session.collection.load()
    forest = ClusterForest(options.get("min_samples", 5))
    keys = [specimen.id for specimen in loaded.specimens]
    forest.add(keys, loaded.matrix)
    labels, _ = labelling.label(forest, labelling.Parameters(**options))
    return {frozenset(np.array(keys)[labels == label].tolist()) for label in range(int(labels.max(initial=-1)) + 1)}


def assert_as_from_scratch(index: morphoindex.Index, **options: Any) -> None:
    result = index.cluster(**options, verify=True)
    assert result.verification is not None
    assert result.verification.equal
    assert clusters_of(index) == from_scratch(index, **options)


def test_clusters_are_exact_after_every_add_and_remove(folder: Path) -> None:
    rng = np.random.default_rng(3)
    with morphoindex.open(folder) as index:
        options = ({"threshold": 0.8}, {"min_samples": 3}, {"threshold": 0.9}, {"min_samples": 7, "selection": "leaf"})
        for step, chosen in zip(range(8), itertools.cycle(options), strict=False):
            assert_as_from_scratch(index, **chosen)
            index.add_embeddings(names(15, 200 + 15 * step), vectors(15, seed=10 + step))
            here = [row[0] for row in index.sql("SELECT id FROM specimens ORDER BY id").rows]
            index.remove(rng.choice(here, 9, replace=False).tolist())


def test_the_graph_is_kept_and_only_what_is_new_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with morphoindex.open(folder) as index:
        index.cluster(threshold=0.8)
        index.add_embeddings(names(3, 500), vectors(3, seed=5))
    read: list[int] = []
    kept = graph._read
    monkeypatch.setattr(graph, "_read", lambda store, ids, total: (read.append(len(ids)), kept(store, ids, total))[1])
    with morphoindex.open(folder) as index:
        index.cluster(threshold=0.8)
        index.cluster(threshold=0.9)
        index.dedup()
    assert read == [3]


def test_a_graph_that_is_ahead_lets_go(folder: Path, tmp_path: Path) -> None:
    with morphoindex.open(folder) as index:
        index.cluster(min_samples=3)
        ahead = (folder / graph.FOLDER / FILE).read_bytes()
        index.remove(names(40))
        index.cluster(min_samples=3)
        (folder / graph.FOLDER / FILE).write_bytes(ahead)  # as a crash between the two may leave it
        assert_as_from_scratch(index, min_samples=3)
    assert len(ClusterForest.load(folder / graph.FOLDER)) == 80


def test_another_vector_under_the_same_id_is_found_out(folder: Path) -> None:
    with morphoindex.open(folder) as index:
        index.cluster(min_samples=3)
        index.remove("s7")
        index.add_embeddings(["s7"], -vectors(120)[7:8])
        assert_as_from_scratch(index, min_samples=3)
        row = ClusterForest.load(folder / graph.FOLDER)
        expected = -vectors(120)[7] / np.linalg.norm(vectors(120)[7])
        assert np.allclose(row.vectors[row.keys.index("s7")], expected, atol=1e-6)


def test_a_damaged_graph_is_made_anew_and_said(folder: Path, said: list[str]) -> None:
    with morphoindex.open(folder, say=said.append) as index:
        first = index.cluster(threshold=0.8)
        (folder / graph.FOLDER / FILE).write_bytes(b"nothing of use")
        assert [c.id for c in index.cluster(threshold=0.8).clusters] == [c.id for c in first.clusters]
        assert [words for words in said if "made anew" in words]
        index.rebuild()
        assert not (folder / graph.FOLDER).exists()
        assert_as_from_scratch(index, threshold=0.8)


def test_what_takes_long_is_said(folder: Path, said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph, "_QUICK", 120 * 120 - 1)
    with morphoindex.open(folder, say=said.append) as index:
        index.cluster(threshold=0.8)
        index.cluster(threshold=0.9)
    told = [words for words in said if words.startswith("comparing")]
    assert told == ["comparing 120 new specimens with all 120: this takes a while"]


def test_verification_finds_a_graph_that_is_wrong(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The least and the greatest weight of an edge change places: as if an old vector had been another."""
    with morphoindex.open(folder) as index:
        index.cluster(min_samples=3)
        forest = ClusterForest.load(folder / graph.FOLDER)
        tree = forest._trees[3]
        tree.a[:] = tree.a[::-1].copy()
        tree.b[:] = tree.b[::-1].copy()
        forest.save(folder / graph.FOLDER)
        assert dendrogram(tree.a, tree.b, tree.weight).size[-1] == 120
        for most in (labelling.BRUTE_FORCE, 10):
            monkeypatch.setattr(labelling, "BRUTE_FORCE", most)
            found = index.cluster(min_samples=3, verify=True).verification
            assert found is not None
            assert not found.equal
            assert set(found.differing) <= set(names(120))
            assert len(found.differing) > 5


def test_neighbours_from_the_search_graph_are_said_to_be(folder: Path, said: list[str]) -> None:
    with morphoindex.open(folder, say=said.append) as index:
        exact = index.cluster(threshold=0.8)
        assert (exact.neighbours, exact.recall) == ("exact", 1.0)
        index.add_embeddings(names(60, 300), vectors(60, seed=4))
        result = index.cluster(threshold=0.8, neighbours="approximate")
        assert result.neighbours == "approximate"
        assert result.recall > 0.95  # so few are searched without a graph, and all neighbours are found
        assert [words for words in said if "may miss some" in words]
        assert index.sweep([0.8]).neighbours == "exact"  # auto, for so few: made exact again
        assert_as_from_scratch(index, threshold=0.8)


def test_linkage_divides_and_a_sweep_changes_nothing(folder: Path) -> None:
    with morphoindex.open(folder) as index:
        single = index.cluster(threshold=0.6)
        before = clusters_of(index)
        swept = index.sweep([0.6, 0.9])
        assert clusters_of(index) == before
        assert (swept.steps[0].clusters, swept.steps[0].singles) == (len(single.clusters), single.noise)
        assert swept.steps[0].largest == single.clusters[0].size
        complete = index.cluster(threshold=0.6, linkage="complete", verify=True)
        assert complete.linkage == "complete"
        assert all(found.least_similarity >= 0.6 - 1e-6 for found in complete.clusters)
        assert complete.verification.equal
        assert len(complete.clusters) >= len(single.clusters)
        matrix = index._session.collection.load()
        place = {specimen.id: i for i, specimen in enumerate(matrix.specimens)}
        for found in complete.clusters:
            rows = index.sql(f"SELECT id FROM specimens WHERE cluster = '{found.id}'").rows
            members = matrix.matrix[[place[row[0]] for row in rows]].astype(np.float64)
            assert found.least_similarity == pytest.approx(float((members @ members.T).min()), abs=2e-6)
        with pytest.raises(UsageError, match="linkage"):
            index.cluster(linkage="average")
        with pytest.raises(UsageError, match="a cosine lies"):
            index.sweep([1.5])


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tiny.Cli:
    place = tmp_path_factory.mktemp("graph")
    tiny.photos(place / "photos", 3, 5)
    cli = tiny.Cli(place)
    cli("add", "photos", "--encoder", str(tiny.encoder(place / "tiny.onnx")))
    return cli


def test_the_command_line_sweeps_and_verifies(drawn: tiny.Cli) -> None:
    shown = drawn("cluster", "--thresholds", "0.5:0.9:0.2").stdout
    assert "nothing was changed" in shown
    assert [line.split()[0] for line in shown.splitlines()[2:]] == ["0.5", "0.7", "0.9"]
    answer = drawn.json("cluster", "--thresholds", "0.7,0.9")
    assert [step["threshold"] for step in answer["steps"]] == [0.7, 0.9]
    assert drawn.json("status")["clusters"] == 0
    verified = drawn("cluster", "--threshold", "0.9", "--verify").stdout
    assert "Verified by brute force: equal." in verified
    assert "least similarity" in verified
    answer = drawn.json("cluster", "--threshold", "0.9", "--verify", "--linkage", "complete")
    assert answer["verification"] == {"equal": True, "how": "by brute force", "differing": []}
    assert answer["linkage"] == "complete"


@pytest.mark.parametrize("wrong", ["0.6", "a:b:c", "0.9:0.6:0.1", "0.6:0.9:0", "0:1:0.0000001", "0.6:0.9", ""])
def test_thresholds_that_make_no_sense_are_refused(drawn: tiny.Cli, wrong: str) -> None:
    done = drawn("cluster", "--thresholds", wrong, code=0 if wrong == "0.6" else 2)
    assert wrong == "0.6" or "FROM:TO:STEP" in done.stderr
    assert "goes without --threshold" in drawn("cluster", "--thresholds", "0.6", "--threshold", "0.8", code=2).stderr
