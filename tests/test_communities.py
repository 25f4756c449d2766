"""Communities of the neighbour graph, and what they are made of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny
from scipy import sparse
from threadpoolctl import threadpool_limits

import morphoindex
from morphoindex.errors import UsageError
from morphoindex.indexer.clustering.communities import ties, twins
from morphoindex.indexer.clustering.forest import ClusterForest
from morphoindex.indexer.clustering.kin import kin
from morphoindex.indexer.clustering.map_equation import code_length, modules
from morphoindex.indexer.clustering.whitening import means, principal, unit, whitened
from morphoindex.indexer.clusters.labelling import Parameters, label, verify

COMMUNITY = Parameters(chosen="community")


def planted(groups: int, size: int, spread: float = 0.25, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Vectors [groups · size, 24] around as many centres, in random order, and the group of each."""
    rng = np.random.default_rng(seed)
    truth = rng.permutation(np.repeat(np.arange(groups), size))
    centres = unit(rng.normal(size=(groups, 24)).astype(np.float32))
    return centres[truth] + spread * rng.normal(size=(len(truth), 24)) / np.sqrt(24) * 2, truth


def names(n: int) -> list[str]:
    return [f"{i * 0x9E3779B97F4A7C15 % 2**64:016x}" for i in range(n)]


def grown(vectors: np.ndarray, keys: list[str]) -> ClusterForest:
    forest = ClusterForest(())
    forest.add(keys, vectors)
    return forest


def parts(labels: np.ndarray, keys: list[str] | tuple[str, ...]) -> set[frozenset[str]]:
    return {frozenset(np.array(keys)[labels == one].tolist()) for one in range(int(labels.max(initial=-1)) + 1)}


def clique(*sizes: int, bridge: float = 0.1) -> sparse.csr_array:
    """Cliques in a row, each tied to the next by one weak tie."""
    whole = sparse.block_diag([np.ones((size, size)) - np.eye(size) for size in sizes]).tolil()
    for last in np.cumsum(sizes)[:-1]:
        whole[last - 1, last] = whole[last, last - 1] = bridge
    return sparse.csr_array(whole)


def test_planted_groups_come_back_and_are_sure() -> None:
    vectors, truth = planted(12, 40)
    labels, confidence = label(grown(vectors, names(len(truth))), COMMUNITY)
    assert parts(labels, names(len(truth))) == parts(truth, names(len(truth)))
    assert confidence.min() > 0.6
    assert np.median(confidence) > 0.9


@pytest.mark.parametrize("size", [9, 25, 150])
def test_the_number_of_groups_is_found_whatever_their_size(size: int) -> None:
    vectors, truth = planted(7, size, seed=size)
    labels, _ = label(grown(vectors, names(len(truth))), COMMUNITY)
    assert parts(labels, names(len(truth))) == parts(truth, names(len(truth)))


def test_neither_order_nor_batches_nor_removals_show() -> None:
    vectors, truth = planted(8, 40, spread=0.9, seed=1)  # they run into one another
    keys = names(len(truth))
    labels, confidence = label(grown(vectors, keys), COMMUNITY)
    other = ClusterForest(5)
    extra = [f"x{i}" for i in range(60)]
    order = np.random.default_rng(5).permutation(len(keys)).tolist()
    other.add([keys[i] for i in order[:100]], vectors[order[:100]])
    other.add(extra, planted(3, 20, seed=9)[0])
    other.add([keys[i] for i in order[100:]], vectors[order[100:]])
    other.remove(extra)
    again, sure = label(other, COMMUNITY)
    assert parts(again, other.keys) == parts(labels, keys)
    assert 1 < len(parts(labels, keys)) < 40
    assert dict(zip(other.keys, sure.tolist(), strict=True)) == dict(zip(keys, confidence.tolist(), strict=True))


def test_who_lies_between_two_groups_is_less_sure() -> None:
    vectors, truth = planted(6, 40, seed=3)
    middle = means(unit(vectors.astype(np.float32)), truth)[:2].mean(axis=0)
    vectors = np.vstack([vectors, middle + 0.02 * np.random.default_rng(1).normal(size=(1, 24))])
    _, confidence = label(grown(vectors, names(len(vectors))), COMMUNITY)
    assert confidence[-1] < np.quantile(confidence[:-1], 0.05)
    assert ((confidence >= 0) & (confidence <= 1 + 1e-12)).all()


@pytest.mark.parametrize("n", [0, 1, 2, 3, 5, 33])
def test_a_few_specimens(n: int) -> None:
    vectors = np.random.default_rng(n).normal(size=(n, 4))
    labels, confidence = label(grown(vectors, names(n)), COMMUNITY)
    assert len(labels) == len(confidence) == n
    assert (np.bincount(labels[labels >= 0]) > 1).all()
    assert (confidence[labels < 0] == 0).all()


@pytest.mark.parametrize("n", [30, 300, 1500])
def test_a_collection_of_one_kind_is_one_cluster(n: int) -> None:
    vectors = np.random.default_rng(n).normal(size=(n, 32)) * 0.05 + np.eye(32)[0]
    labels, _ = label(grown(vectors, names(n)), COMMUNITY)
    assert set(labels.tolist()) == {0}


@pytest.mark.parametrize("spread", [0.3, 1e-3, 1e-6])
def test_looking_again_finds_the_same_even_where_all_lie_together(spread: float) -> None:
    for seed in range(4):
        rng = np.random.default_rng(182 + seed)
        forest = grown(rng.normal(size=(197, 2)) * spread + rng.normal(size=2), names(197))
        assert verify(forest, COMMUNITY, label(forest, COMMUNITY)[0]).equal


@pytest.mark.parametrize("seed", range(5))
def test_copies_are_never_torn_apart(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.arange(6), 15)
    vectors = rng.normal(size=(6, 128))[truth]
    labels, _ = label(grown(vectors, names(90)), COMMUNITY)
    assert all(len(set(labels[truth == one].tolist())) == 1 for one in range(6))


def test_threads_of_blas_do_not_show() -> None:
    vectors, truth = planted(8, 60, spread=0.9)
    forest = grown(vectors, names(len(truth)))
    with threadpool_limits(1):
        one = label(forest, COMMUNITY)
    with threadpool_limits(2):
        two = label(forest, COMMUNITY)
    assert (one[0] == two[0]).all()
    assert (one[1] == two[1]).all()


def test_specimens_all_alike_are_one_cluster() -> None:
    labels, _ = label(grown(np.ones((70, 8)), names(70)), COMMUNITY)
    assert set(labels.tolist()) == {0}


def test_groups_of_identical_vectors_stay_apart() -> None:
    vectors = np.repeat(np.eye(5), 30, axis=0)
    labels, _ = label(grown(vectors, names(150)), COMMUNITY)
    assert parts(labels, names(150)) == parts(np.repeat(np.arange(5), 30), names(150))


def test_twins_are_one_node() -> None:
    assert twins(np.array([1, 0, 1])).tolist() == [0, 0, 1]
    assert twins(np.array([1, 2, 0])).tolist() == [0, 1, 2]


def test_ties_of_each_come_to_one_before_they_are_added_up() -> None:
    graph = ties(np.array([[1, 2], [0, 2], [1, 0]]), np.array([[1.0, 0.5], [1.0, -1.0], [0.0, -1.0]]))
    assert graph.sum() == pytest.approx(2 * 3)
    assert abs(graph - graph.T).max() == 0
    second = 0.25 / np.sqrt(2)
    assert graph.toarray()[0, 2] == pytest.approx(second / (1 + second))
    assert graph.toarray()[0, 1] == pytest.approx(1 / (1 + second) + 1)


def test_modules_are_cliques() -> None:
    assert modules(clique(5, 4, 6)).tolist() == [0] * 5 + [1] * 4 + [2] * 6
    assert modules(sparse.csr_array((3, 3))).tolist() == [0, 1, 2]


def test_the_code_length_of_one_module_is_the_entropy_of_the_visits() -> None:
    graph = clique(5, 4)
    visits = np.asarray(graph.sum(axis=1)).ravel() / graph.sum()
    assert code_length(graph, np.zeros(9, np.int64)) == pytest.approx(-(visits * np.log2(visits)).sum())


def test_modules_nearly_always_describe_a_walk_in_no_more_bits_than_what_was_planted() -> None:
    rng, longer = np.random.default_rng(0), 0
    for _ in range(100):
        groups, size = rng.integers(2, 7), rng.integers(3, 10)
        truth = rng.permutation(np.repeat(np.arange(groups), size))
        near = rng.random((len(truth),) * 2) < np.where(truth[:, None] == truth, 0.95, 0.02)
        upper = np.triu(near * rng.uniform(0.5, 1, near.shape), 1)
        graph = sparse.csr_array(upper + upper.T)
        bits = code_length(graph, modules(graph))
        longer += bits > code_length(graph, truth) + 1e-9
        assert bits <= code_length(graph, np.zeros(len(truth), np.int64)) + 1e-9
    assert longer <= 2  # the search is greedy: one graph in a thousand is told in 1 % more


def test_kin_are_the_nearest_where_everybody_is_asked() -> None:
    vectors, truth = planted(5, 30, spread=0.8)
    points = unit(vectors.astype(np.float32))
    near, cosines = kin(points, truth, np.full(len(points), 12))
    every = points.astype(np.float64) @ points.T.astype(np.float64)
    np.fill_diagonal(every, -np.inf)
    assert (np.sort(near, axis=1) == np.sort(np.argsort(-every, axis=1)[:, :12], axis=1)).all()
    assert np.allclose(cosines, np.sort(every, axis=1)[:, ::-1][:, :12], atol=1e-6)


def test_kin_reach_as_far_as_told() -> None:
    vectors, truth = planted(3, 20)
    reach = np.array([4, 9, 2])[truth]
    _, cosines = kin(unit(vectors.astype(np.float32)), truth, reach)
    assert ((cosines > -1).sum(axis=1) == reach).all()


def test_what_varies_inside_of_groups_counts_for_little() -> None:
    rng = np.random.default_rng(2)
    truth = rng.integers(0, 6, 400)
    points = np.zeros((400, 12), np.float32)
    points[:, :6] = np.eye(6)[truth]
    points[:, 6:] = rng.normal(size=(400, 6)) * 2  # how they lie in their photographs
    points += 0.2 * rng.normal(size=points.shape).astype(np.float32)

    def share(vectors: np.ndarray) -> float:
        near, _ = kin(unit(vectors), truth, np.full(400, 10))
        return float((truth[near] == truth[:, np.newaxis]).mean())

    assert share(points) < 0.6
    assert share(whitened(points, truth)) > 0.9


def test_principal_directions_keep_distances() -> None:
    points = np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32)
    kept = principal(points, 6)
    assert np.allclose(np.linalg.norm(kept[0] - kept[1:], axis=1), np.linalg.norm(points[0] - points[1:], axis=1), 1e-4)
    assert np.allclose(kept.mean(axis=0), 0, atol=1e-5)
    assert (np.diff(kept.var(axis=0)) <= 1e-6).all()


def test_ids_names_and_verified_members_outlast_growth(tmp_path: Path) -> None:
    vectors, truth = planted(6, 30)
    keys = names(len(truth))
    with morphoindex.open(tmp_path / "i", create=True) as index:
        index.add_embeddings(keys[:120], vectors[:120])
        first = index.cluster(method="community", verify=True)
        assert first.verification is not None
        assert first.verification.equal
        assert (first.method, first.noise, first.unsure, len(first.clusters)) == ("community", 0, 0, 6)
        index.clusters.name(first.clusters[0].id, "Danaus plexippus")
        index.add_embeddings(keys[120:], vectors[120:])
        second = index.cluster(method="community")
        assert {one.id for one in second.clusters} == {one.id for one in first.clusters}
        assert [one.name for one in second.clusters if one.id == first.clusters[0].id] == ["Danaus plexippus"]
        assert {event.kind for event in second.events} <= {"grew", "continued"}
        rows = index.sql("SELECT min(probability), count(DISTINCT cluster) FROM specimens").rows
        assert rows[0][0] > 0.5
        assert rows[0][1] == 6


def test_the_command_line(tmp_path: Path) -> None:
    vectors, truth = planted(4, 20)
    with morphoindex.open(tmp_path / "i", create=True) as index:
        index.add_embeddings(names(len(truth)), vectors)
    cli = tiny.Cli(tmp_path)
    found = cli.json("--index", "i", "cluster", "--method", "community")
    assert (len(found["clusters"]), found["noise"], found["method"]) == (4, 0, "community")
    assert "min_cluster_size" not in found
    assert (
        "4 clusters of 80 specimens, 0 in none (community, "
        in cli("--index", "i", "cluster", "--method", "community").stdout
    )
    refused = cli("--index", "i", "cluster", "--method", "community", "--min-samples", "3", code=2)
    assert "goes without --min-samples" in refused.stderr


def test_parameters_that_do_not_go_together() -> None:
    with pytest.raises(UsageError, match="a threshold is for method 'cosine'"):
        Parameters(0.8, chosen="community")
    with pytest.raises(UsageError, match="needs a threshold"):
        Parameters(chosen="cosine")
    with pytest.raises(UsageError, match="hdbscan, cosine or community"):
        Parameters(chosen="louvain")  # type: ignore[arg-type]
    assert Parameters.of_run("community", {}) == COMMUNITY
    assert Parameters.of_run("cosine", {"threshold": 0.7, "linkage": "average"}).linkage == "average"
