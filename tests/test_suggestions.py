"""Where specimens in no cluster may belong."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import tiny
from hypothesis import given, settings
from hypothesis import strategies as st

import morphoindex
from morphoindex.cli.clusters import _suggestions
from morphoindex.errors import UsageError
from morphoindex.indexer.clustering.communities import ties
from morphoindex.indexer.clustering.forest import ClusterForest
from morphoindex.indexer.clustering.suggestions import NEIGHBOURS, suggestions
from morphoindex.indexer.results.suggestions import SuggestionList


def grown(vectors: np.ndarray) -> ClusterForest:
    forest = ClusterForest(())
    forest.add([f"{i:04d}" for i in range(len(vectors))], vectors)
    return forest


def around(centre: int, count: int, spread: float, seed: int) -> np.ndarray:
    return np.eye(8)[centre] + spread * np.random.default_rng(seed).normal(size=(count, 8))


def names(n: int) -> list[str]:
    return [f"s{i}" for i in range(n)]


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """Two tight kinds of thirty, and eight loose ones beside each."""
    vectors = np.vstack([around(0, 30, 0.02, 1), around(1, 30, 0.02, 2), around(0, 8, 0.2, 3), around(1, 8, 0.2, 4)])
    with morphoindex.open(tmp_path / "i", create=True) as index:
        index.add_embeddings(names(76), vectors)
        index.cluster(threshold=0.99)
        for cluster in index.clusters.list().clusters:
            assert cluster.size == 30
    return tmp_path


def test_the_cluster_beside_which_one_lies_is_likely() -> None:
    vectors = np.vstack([around(0, 20, 0.05, 1), around(1, 20, 0.05, 2), around(0, 5, 0.2, 3), around(1, 5, 0.2, 4)])
    labels = np.repeat([0, 1, -1], [20, 20, 10])
    found = suggestions(grown(vectors).neighbours, labels)
    assert found.rows.tolist() == list(range(40, 50))
    assert found.labels.tolist() == [0] * 5 + [1] * 5
    assert found.probabilities.min() > 0.7


def test_between_two_clusters_it_is_as_likely_as_not() -> None:
    vectors = np.vstack([around(0, 5, 0.01, 1), around(1, 5, 0.01, 2), np.eye(8)[:1] + np.eye(8)[1]])
    found = suggestions(grown(vectors).neighbours, np.repeat([0, 1, -1], [5, 5, 1]))
    assert 0.3 < found.probabilities[0] < 0.7


def test_what_no_neighbours_lead_from_is_not_suggested_anything() -> None:
    vectors = np.vstack([around(0, 20, 0.02, 1), around(5, 60, 0.02, 2)])
    found = suggestions(grown(vectors).neighbours, np.repeat([0, -1], [20, 60]))
    assert found.labels.tolist() == [-1] * 60
    assert (found.probabilities == 0).all()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_probabilities_are_those_of_an_endless_walk(seed: int, clusters: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(40, 6))
    labels = np.where(rng.random(40) < 0.4, -1, rng.integers(0, clusters, 40))
    labels[:clusters] = np.arange(clusters)
    lists = grown(vectors).neighbours
    found = suggestions(lists, labels)
    whole = ties(lists.near[:, :NEIGHBOURS].astype(np.int64), 1 - lists.far[:, :NEIGHBOURS] ** 2 / 2).toarray()
    step = whole / whole.sum(axis=1, keepdims=True)
    outside = np.flatnonzero(labels < 0)
    met = step[outside] @ (labels[:, np.newaxis] == np.arange(clusters))
    exact = np.linalg.solve(np.eye(len(outside)) - step[np.ix_(outside, outside)], met)
    assert np.allclose(found.probabilities, exact.max(axis=1, initial=0), atol=1e-6)
    assert np.allclose(exact[np.arange(len(outside)), found.labels], exact.max(axis=1, initial=0), atol=1e-6)


def test_a_long_way_to_the_only_cluster_is_as_sure_as_a_short_one() -> None:
    vectors = np.vstack([around(0, 1000, 0.1, 1), around(1, 20, 0.01, 2)])
    labels = np.full(1020, -1)
    labels[:5], labels[1000:] = 0, 1
    found = suggestions(grown(vectors).neighbours, labels)
    assert (found.labels == 0).all()
    assert found.probabilities.min() > 0.99


def test_nobody_outside_and_no_clusters() -> None:
    lists = grown(np.eye(8)).neighbours
    assert len(suggestions(lists, np.zeros(8, np.int64)).rows) == 0
    assert suggestions(lists, np.full(8, -1)).labels.tolist() == [-1] * 8


def test_a_suggestion_is_no_membership_until_it_is_followed(two: Path) -> None:
    with morphoindex.open(two / "i") as index:
        before = index.clusters.list()
        found = index.clusters.suggest(least=0.6)
        assert found.outside == before.noise == 16
        assert len(found.suggestions) == 16
        assert [one.probability for one in found.suggestions] == sorted(
            (one.probability for one in found.suggestions), reverse=True
        )
        assert index.clusters.list().noise == 16
        assert all(not one.number for one in index.clusters.suggest(apply=True, dry_run=True).decided)
        first, second = (one.id for one in before.clusters)
        some = index.clusters.suggest(first, apply=True)
        assert {one.cluster for one in some.suggestions} == {first}
        assert index.clusters.list().noise == 8
        index.cluster(threshold=0.99)  # what a person decided holds
        assert index.clusters.list().noise == 8
        index.clusters.undo()
        assert index.clusters.list().noise == 16
        with pytest.raises(UsageError, match="between 0 and 1"):
            index.clusters.suggest(second, least=7)


def test_the_command_and_the_report(two: Path) -> None:
    cli = tiny.Cli(two)
    shown = cli("--index", "i", "clusters", "suggest").stdout
    assert "16 specimens in no cluster; for 16 of them a cluster is likely, with a probability of 0.5 or more." in shown
    cli("--index", "i", "report", "assignments", "--suggestions", "--out", "a.csv")
    with open(two / "a.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert sum(bool(row["suggested"]) for row in rows) == 16
    assert all((row["cluster"] == "") == (row["suggested"] != "") for row in rows)
    assert all(0.5 < float(row["suggested_probability"]) <= 1 for row in rows if row["suggested"])
    refused = cli("--index", "i", "clusters", "suggest", "C0099", code=2)
    assert "C0099" in refused.stderr


def test_where_no_cluster_is_likely(capsys: pytest.CaptureFixture[str]) -> None:
    _suggestions(SuggestionList(1, 0.9, ()))
    says = "1 specimen in no cluster; for none of them a cluster is likely, with a probability of 0.9 or more.\n"
    assert capsys.readouterr().out == says
