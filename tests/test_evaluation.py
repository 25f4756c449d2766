"""How good clusters are: the measures against scikit-learn's, the contenders against planted truth."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import (
    adjusted_rand_score,
    calinski_harabasz_score,
    davies_bouldin_score,
    silhouette_samples,
    silhouette_score,
)

from morphoindex.errors import UsageError
from morphoindex.indexer.clustering import quality
from morphoindex.indexer.clustering.agreement import label_agreement
from morphoindex.indexer.clustering.forest import ClusterForest
from morphoindex.indexer.clustering.quality import separation, silhouettes
from morphoindex.indexer.clusters.labelling import Parameters, label
from morphoindex.indexer.judgement import contenders
from morphoindex.indexer.judgement.contenders import CONTENDERS, labels_by


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def planted(sizes: list[int], spread: float = 0.05, dim: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """Groups around orthogonal directions, mixed up, and the number of the group of each."""
    rng = np.random.default_rng(3)
    labels = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    return unit(np.eye(dim)[labels] + spread * rng.normal(size=(len(labels), dim))), labels


def grown(vectors: np.ndarray, order: np.ndarray) -> ClusterForest:
    """A forest to which the vectors came in this order; their keys say which they are."""
    forest = ClusterForest(5)
    forest.add([f"{i:032x}" for i in order.tolist()], vectors[order])
    return forest


# -- measures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("clusters", [2, 7, 60])
def test_measures_are_those_of_scikit_learn(clusters: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quality, "_TILE", 1000)  # many blocks
    rng = np.random.default_rng(clusters)
    vectors, labels = unit(rng.normal(size=(300, 12)) + 0.3), rng.integers(-1, clusters, 300) * 3
    labels[labels < 0] = -1
    labels[:2] = 999, 1000  # two that are alone
    there, found = labels >= 0, separation(vectors, labels)
    exact = vectors[there].astype(np.float64)
    assert found.silhouette == pytest.approx(silhouette_score(exact, labels[there], metric="cosine"), abs=1e-6)
    assert found.calinski_harabasz == pytest.approx(calinski_harabasz_score(exact, labels[there]), rel=1e-6)
    assert found.davies_bouldin == pytest.approx(davies_bouldin_score(exact, labels[there]), rel=1e-6)
    assert found.judged == there.sum()
    rows = np.array([5, 299, 0, 17])
    each = np.zeros(300)
    each[there] = silhouette_samples(exact, labels[there], metric="cosine")
    assert silhouettes(vectors, labels, rows) == pytest.approx(each[rows], abs=1e-6)


def test_the_silhouette_of_clusters_that_are_all_but_one_is_exact() -> None:
    rng = np.random.default_rng(1)
    labels = np.repeat(np.arange(3), 40)
    vectors = unit(np.eye(8)[0] + 1e-4 * (np.eye(8)[labels + 1] + rng.normal(size=(120, 8))))
    each = silhouette_samples(vectors.astype(np.float64), labels, metric="cosine")
    assert silhouettes(vectors, labels, np.arange(120)) == pytest.approx(each, abs=1e-5)
    assert separation(vectors, labels).silhouette == pytest.approx(each.mean(), abs=1e-6)


def test_a_sample_is_judged_where_the_pairs_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, labels = planted([100] * 4, spread=0.2)
    exact = separation(vectors, labels)
    monkeypatch.setattr(quality, "MOST_COMPARED", 4 * 200)
    sampled = separation(vectors, labels)
    assert (exact.judged, sampled.judged) == (400, 200)
    assert sampled.silhouette == pytest.approx(exact.silhouette, abs=0.02)
    assert sampled.silhouette != exact.silhouette
    assert sampled == separation(vectors, labels)


@pytest.mark.parametrize("labels", [[-1] * 6, [0] * 6, [-1, 0, 0, -1, 0, 0]])
def test_measures_that_take_two_clusters_are_not_defined_for_less(labels: list[int]) -> None:
    vectors = unit(np.random.default_rng(0).normal(size=(6, 4)))
    found = separation(vectors, np.array(labels))
    assert (found.silhouette, found.calinski_harabasz, found.davies_bouldin, found.judged) == (None, None, None, 0)
    assert silhouettes(vectors, np.array(labels)).tolist() == [0] * 6


def test_copies_are_no_scatter() -> None:
    vectors = np.repeat(np.eye(3, dtype=np.float32), 4, axis=0)
    found = separation(vectors, np.repeat([0, 1, 2], 4))
    assert (found.silhouette, found.calinski_harabasz, found.davies_bouldin) == (pytest.approx(1), None, 0)
    same = separation(vectors[[0, 1, 2, 3]], np.array([0, 0, 1, 1]))  # two clusters at one place
    assert (same.silhouette, same.davies_bouldin) == (pytest.approx(0, abs=1e-6), 0)


def test_agreement_with_labels() -> None:
    clusters = np.array([0, 0, 0, 1, 1, 1, -1, -1, 2, 2])
    labels = np.array([5, 5, 6, 6, 6, 6, 5, 6, -1, -1])  # the last two have none, so cluster 2 does not count
    found = label_agreement(clusters, labels)
    assert (found.labelled, found.purity, found.majority_accuracy) == (8, 5 / 6, 5 / 8)
    assert found.ari == pytest.approx(adjusted_rand_score(labels[:8], clusters[:8]))
    assert found.ari_clustered == pytest.approx(adjusted_rand_score(labels[:6], clusters[:6]))
    perfect = label_agreement(np.array([1, 1, 0]), np.array([4, 4, 9]))
    assert (perfect.ami, perfect.ari, perfect.ami_clustered, perfect.purity) == pytest.approx((1, 1, 1, 1))


def test_agreement_that_is_not_defined() -> None:
    none = label_agreement(np.array([0, 1]), np.array([-1, -1]))
    assert set(vars(none).values()) == {0, None}
    noise = label_agreement(np.array([-1, -1, -1]), np.array([4, 4, 9]))
    assert (noise.purity, noise.ami_clustered, noise.majority_accuracy) == (None, None, 0)
    assert noise.ari == pytest.approx(0)


# -- contenders -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", CONTENDERS)
def test_contenders_find_what_was_planted_in_any_order(method: str) -> None:
    vectors, truth = planted([30, 25, 20, 35, 20])
    found = []
    for seed in range(2):
        order = np.random.default_rng(seed).permutation(len(vectors))
        labels = np.empty(len(order), np.int64)
        labels[order] = labels_by(method, grown(vectors, order)).labels
        found.append({frozenset(np.flatnonzero(labels == one).tolist()) for one in set(labels.tolist()) - {-1}})
        there = labels >= 0
        assert there.mean() > 0.8
        assert adjusted_rand_score(truth[there], labels[there]) > 0.85
    assert found[0] == found[1]


def test_what_has_to_be_chosen_is_chosen_by_the_vectors() -> None:
    vectors, truth = planted([30, 25, 20, 35, 20, 14, 9])
    forest = grown(vectors, np.arange(len(vectors)))
    assert labels_by("kmeans", forest).parameters == {"k": 7}
    for method in ("cosine", "agglomerative"):
        found = labels_by(method, forest)
        assert adjusted_rand_score(truth, found.labels) == 1


def test_agglomeration_is_what_average_linkage_of_cluster_gives() -> None:
    vectors, _ = planted([40, 30, 20], spread=0.25)
    forest = grown(vectors, np.arange(len(vectors)))
    found = labels_by("agglomerative", forest)
    run = Parameters(found.parameters["threshold"], linkage="average")
    assert found.labels.tolist() == label(forest, run)[0].tolist()


def test_a_run_by_the_same_method_says_how() -> None:
    vectors, _ = planted([40, 30, 20], spread=0.25)
    forest, run = grown(vectors, np.arange(len(vectors))), Parameters(0.7, linkage="complete")
    found = labels_by("cosine", forest, run)
    assert found.parameters == run.used()
    assert found.labels.tolist() == label(forest, run)[0].tolist()


@pytest.mark.parametrize("method", CONTENDERS)
@pytest.mark.parametrize("n", [0, 1, 2, 3, 7])
def test_few_specimens_are_no_error(method: str, n: int) -> None:
    vectors = unit(np.random.default_rng(0).normal(size=(n, 4)))
    forest = grown(vectors, np.arange(n)) if n else ClusterForest(5)
    assert len(labels_by(method, forest).labels) == n
    copies = np.repeat(np.eye(4, dtype=np.float32)[:1], n, axis=0)
    forest = grown(copies, np.arange(n)) if n else ClusterForest(5)
    assert len(labels_by(method, forest).labels) == n


def test_a_method_that_is_not_run_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    forest = grown(planted([20])[0], np.arange(20))
    with pytest.raises(UsageError, match="there is no method 'magic'; there are hdbscan, "):
        labels_by("magic", forest)
    few = {"optics": contenders.Contender(CONTENDERS["optics"].find, 10, "a while")}
    monkeypatch.setattr(contenders, "CONTENDERS", few)
    with pytest.raises(UsageError, match="optics takes a while: it is run up to 10 specimens, and here are 20"):
        labels_by("optics", forest)
