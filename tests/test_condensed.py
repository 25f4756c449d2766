"""HDBSCAN*'s extraction against hdbscan's own, fed with the same edges, and against its definition in fractions."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from morphoindex.errors import UsageError
from morphoindex.indexer.clustering.condensed import DensityClusters, density_clusters
from morphoindex.indexer.clustering.dendrogram import dendrogram
from morphoindex.indexer.clustering.forest import ClusterForest
from morphoindex.indexer.clustering.labels import renumber
from morphoindex.indexer.clustering.trees import Tree

Edges = tuple[np.ndarray, np.ndarray, np.ndarray]  # a, b, weight

# λ = 1, 2, 4, 8, ∞: all sums are exact, in float32 too, so that ties are ties to everyone
POWERS_OF_TWO = [1.0, 0.5, 0.25, 0.125]


def random_tree(n: int, rng: np.random.Generator, chained: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the edges of a random tree, in random order; the more chained, the longer its paths."""
    ends = [(i, i - 1 if rng.random() < chained else int(rng.integers(i))) for i in range(1, n)]
    shuffled = rng.permutation(n)[rng.permutation(np.array(ends, np.int64).reshape(-1, 2))]
    return shuffled[:, 0], shuffled[:, 1]


@st.composite
def edges(draw: st.DrawFn, largest: int = 60, kind: str | None = None) -> Edges:
    """A random tree with weights that are all different, of one decimal, or powers of two with or without zeros."""
    n = draw(st.integers(2, largest))
    rng = np.random.default_rng(draw(st.integers(0, 100_000)))
    a, b = random_tree(n, rng, draw(st.sampled_from([0.0, 0.3, 1.0])))
    kind = kind or draw(st.sampled_from(["free", "decimal", "powers", "zeros"]))
    weight = {
        "free": lambda: rng.random(n - 1) + 0.01,
        "decimal": lambda: rng.integers(1, 10, n - 1) / 10,
        "powers": lambda: rng.choice(POWERS_OF_TWO, n - 1),
        "zeros": lambda: rng.choice([*POWERS_OF_TWO, 0.0, 0.0], n - 1),
    }[kind]()
    return a, b, np.sort(weight)


def extract(tree: Edges, min_cluster_size: int, selection: str) -> DensityClusters:
    return density_clusters(dendrogram(*tree), min_cluster_size, selection)


def assert_as_hdbscan(tree: Edges, min_cluster_size: int, selection: str) -> DensityClusters:
    from hdbscan._hdbscan_linkage import label
    from hdbscan._hdbscan_tree import outlier_scores
    from hdbscan.hdbscan_ import _tree_to_labels

    ours = extract(tree, min_cluster_size, selection)
    linked = label(np.column_stack(tree).astype(np.float64))
    labels, probabilities, persistence, condensed, _ = _tree_to_labels(
        np.empty((len(tree[0]) + 1, 0)), linked,
        min_cluster_size=min_cluster_size, cluster_selection_method=selection,
    )  # fmt: skip
    assert np.array_equal(ours.labels, renumber(labels))
    assert np.allclose(ours.probabilities, probabilities, rtol=0, atol=1e-9)
    scores = outlier_scores(condensed)
    beside_duplicates = np.isnan(scores)
    assert np.allclose(ours.outlier_scores[~beside_duplicates], scores[~beside_duplicates], rtol=0, atol=1e-9)
    assert np.all(ours.outlier_scores[beside_duplicates] == 1.0)
    inside = ours.labels >= 0
    assert np.allclose(ours.persistence[ours.labels[inside]], np.asarray(persistence)[labels[inside]], atol=1e-9)
    return ours


@settings(max_examples=300, deadline=None)
@given(edges(kind="free") | edges(kind="powers"), st.integers(2, 8), st.sampled_from(["eom", "leaf"]))
def test_extraction_is_that_of_hdbscan(tree: Edges, min_cluster_size: int, selection: str) -> None:
    assert_as_hdbscan(tree, min_cluster_size, selection)


@settings(max_examples=200, deadline=None)
@given(edges(kind="decimal"), st.integers(2, 8))
def test_leaves_are_those_of_hdbscan_with_many_ties(tree: Edges, min_cluster_size: int) -> None:
    """Only leaves: with excess of mass hdbscan decides ties of such weights by the rounding of float32."""
    assert_as_hdbscan(tree, min_cluster_size, "leaf")


@settings(max_examples=200, deadline=None)
@given(edges(kind="zeros"), st.integers(2, 8))
def test_extraction_is_that_of_hdbscan_with_duplicates(tree: Edges, min_cluster_size: int) -> None:
    from hdbscan._hdbscan_linkage import label
    from hdbscan._hdbscan_tree import condense_tree

    rows = condense_tree(label(np.column_stack(tree).astype(np.float64)), min_cluster_size)
    parted = (rows["child_size"] > 1) & np.isinf(rows["lambda_val"])
    assume(not np.any(parted & (rows["parent"] == len(tree[0]) + 1)))  # the root, by the order of its duplicates
    with np.errstate(all="ignore"):
        assert_as_hdbscan(tree, min_cluster_size, "eom")


@pytest.mark.parametrize("selection", ["eom", "leaf"])
@pytest.mark.parametrize("min_cluster_size", [2, 5, 12, 40])
def test_extraction_is_that_of_hdbscan_on_thousands(min_cluster_size: int, selection: str) -> None:
    rng = np.random.default_rng(min_cluster_size)
    for chained in (0.0, 0.9):
        a, b = random_tree(3000, rng, chained)
        found = assert_as_hdbscan((a, b, np.sort(rng.lognormal(size=2999))), min_cluster_size, selection)
        assert len(found.birth) > 5


def planted(seed: int = 0) -> np.ndarray:
    """Eight clusters of different density in 16 dimensions, and noise."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(8, 16))
    parts = [
        c + spread * rng.normal(size=(40, 16)) for c, spread in zip(centres, np.linspace(0.1, 0.5, 8), strict=True)
    ]
    x = np.concatenate([*parts, rng.normal(size=(60, 16))])
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def tree_of(vectors: np.ndarray, k: int) -> Tree:
    forest = ClusterForest(k)
    forest.add([f"{i:032x}" for i in range(len(vectors))], vectors)
    return forest.tree(k)


@pytest.mark.parametrize("selection", ["eom", "leaf"])
@pytest.mark.parametrize("min_cluster_size", [2, 5, 20])
@pytest.mark.parametrize("k", [1, 5, 15])
def test_extraction_is_that_of_hdbscan_on_real_trees(k: int, min_cluster_size: int, selection: str) -> None:
    tree = tree_of(planted(), k)
    assert_as_hdbscan((tree.a, tree.b, tree.weight), min_cluster_size, selection)


@pytest.mark.parametrize("selection", ["eom", "leaf"])
@pytest.mark.parametrize("min_cluster_size", [4, 10])
def test_vectors_without_ties_give_the_clusters_of_hdbscan(min_cluster_size: int, selection: str) -> None:
    """With k = 1 mutual reachability is plain distance, since no pair is nearer than a nearest neighbour: no ties."""
    import hdbscan

    vectors = planted(1)
    theirs = hdbscan.HDBSCAN(
        min_cluster_size=min_cluster_size, min_samples=1, metric="euclidean", approx_min_span_tree=False,
        cluster_selection_method=selection,
    ).fit(vectors.astype(np.float64))  # fmt: skip
    tree = tree_of(vectors, 1)
    ours = extract((tree.a, tree.b, tree.weight), min_cluster_size, selection)
    assert ours.labels.max() >= 4
    assert np.array_equal(ours.labels, renumber(theirs.labels_))
    assert np.allclose(ours.probabilities, theirs.probabilities_, atol=1e-5)
    assert np.allclose(ours.outlier_scores, theirs.outlier_scores_, atol=1e-5)


@dataclass
class Part:
    """A cluster of the condensed tree, straight from its definition."""

    members: set[int]
    birth: Fraction | int
    stability: Fraction | float = Fraction(0)
    death: Fraction | float = Fraction(0)
    gone: dict[int, Fraction | float] = field(default_factory=dict)
    children: list[Part] = field(default_factory=list)

    def all_gone(self) -> dict[int, Fraction | float]:
        return self.gone | {x: density for child in self.children for x, density in child.all_gone().items()}


def defined(members: set[int], links: list[tuple[int, int, float]], least: int, birth: Fraction | int = 0) -> Part:
    part = Part(members, birth)
    while links:
        a, _, weight = links.pop()
        part.death = Fraction(1) / Fraction(weight) if weight > 0 else math.inf
        near = {a}
        while grown := {y for x, y, _ in links + [(y, x, w) for x, y, w in links] if x in near} - near:
            near |= grown
        sides = [s for s in (near, members - near) if len(s) >= least] if weight > 0 else []
        leaving = members if len(sides) != 1 else members - sides[0]
        part.stability += (part.death - birth) * len(leaving)
        if len(sides) == 2:
            part.children = [defined(s, [e for e in links if e[0] in s], least, part.death) for s in sides]
            return part
        part.gone |= dict.fromkeys(leaving, part.death)
        if not sides:
            return part
        members, links = sides[0], [e for e in links if e[0] in sides[0]]
    return part


def chosen(part: Part, selection: str, root: bool = True) -> tuple[Fraction | float, list[Part]]:
    below = [chosen(child, selection, False) for child in part.children]
    value = sum(v for v, _ in below)
    if root or (part.children and (selection == "leaf" or value > part.stability)):
        return value, [cluster for _, clusters in below for cluster in clusters]
    return part.stability, [part]


@settings(max_examples=300, deadline=None)
@given(edges(16, "powers") | edges(16, "zeros"), st.integers(2, 4), st.sampled_from(["eom", "leaf"]))
def test_extraction_is_what_its_definition_says(tree: Edges, least: int, selection: str) -> None:
    n = len(tree[0]) + 1
    links = list(zip(*(column.tolist() for column in tree), strict=True))
    _, clusters = chosen(defined(set(range(n)), links, least), selection)
    ours = extract(tree, least, selection)
    found = {frozenset(np.flatnonzero(ours.labels == label).tolist()) for label in range(len(ours.birth))}
    assert found == {frozenset(cluster.members) for cluster in clusters}
    assert np.array_equal(ours.labels, renumber(ours.labels))
    assert np.all(ours.probabilities[ours.labels < 0] == 0)
    for cluster in clusters:
        label = ours.labels[min(cluster.members)]
        assert ours.birth[label] == cluster.birth
        assert ours.death[label] == cluster.death
        assert ours.stability[label] == cluster.stability
        for x, density in cluster.all_gone().items():
            expected = 1.0 if density == math.inf else float(min(density, cluster.death) / cluster.death)
            assert ours.probabilities[x] == pytest.approx(expected, abs=1e-12)


@settings(max_examples=300, deadline=None)
@given(edges(), st.integers(2, 6), st.sampled_from(["eom", "leaf"]), st.randoms(use_true_random=False))
def test_which_specimen_has_which_row_changes_not_one_bit(
    tree: Edges, min_cluster_size: int, selection: str, random: object
) -> None:
    a, b, weight = tree
    n = len(a) + 1
    rng = np.random.default_rng(random.getrandbits(32))  # type: ignore[attr-defined]
    row = rng.permutation(n)
    swapped = rng.permuted(np.column_stack([row[a], row[b]]), axis=1)
    one = extract(tree, min_cluster_size, selection)
    two = extract((swapped[:, 0], swapped[:, 1], weight), min_cluster_size, selection)
    assert np.array_equal(renumber(two.labels[row]), one.labels)
    assert np.array_equal(two.probabilities[row], one.probabilities)
    assert np.array_equal(two.outlier_scores[row], one.outlier_scores)
    inside = one.labels >= 0
    for name in ("birth", "death", "stability", "persistence"):
        mine, theirs = getattr(one, name)[one.labels[inside]], getattr(two, name)[two.labels[row][inside]]
        assert np.array_equal(mine, theirs)


@settings(max_examples=200, deadline=None)
@given(edges(), st.integers(2, 6), st.sampled_from(["eom", "leaf"]))
def test_all_numbers_are_numbers(tree: Edges, min_cluster_size: int, selection: str) -> None:
    found = extract(tree, min_cluster_size, selection)
    for values in (found.probabilities, found.outlier_scores, found.persistence):
        assert np.all((values >= 0) & (values <= 1 + 1e-12))
    assert np.all(found.birth < np.inf)
    assert np.all(found.death >= found.birth)
    assert np.all(found.stability >= 0)
    assert np.all(np.bincount(found.labels[found.labels >= 0], minlength=len(found.birth)) >= min_cluster_size)


def chain(weight: list[float]) -> Edges:
    """Specimens 0, 1, 2, … in a row, with these distances between them."""
    order = np.argsort(weight, kind="stable")
    return order, order + 1, np.array(weight)[order]


@pytest.mark.parametrize("selection", ["eom", "leaf"])
def test_duplicates_are_one_cluster(selection: str) -> None:
    """Twice twelve duplicates, parted by 1.0; a specimen at 0.5 beside the first. Leaves at λ = ∞ are no clusters."""
    found = extract(chain([0.5, *[0.0] * 11, 1.0, *[0.0] * 11]), 3, selection)
    assert found.labels.tolist() == [0] * 13 + [1] * 12
    assert found.probabilities.tolist() == [0] + [1] * 24
    assert found.outlier_scores.tolist() == [1] + [0] * 24
    assert found.birth.tolist() == [1, 1]
    assert found.death.tolist() == [np.inf, np.inf]
    assert found.persistence.tolist() == [1, 1]


@pytest.mark.parametrize("selection", ["eom", "leaf"])
@pytest.mark.parametrize("n", [1, 2, 9, 50])
def test_nothing_but_duplicates_is_no_cluster(n: int, selection: str) -> None:
    found = extract(chain([0.0] * (n - 1)), 5, selection)
    assert found.labels.tolist() == [-1] * n
    assert found.probabilities.tolist() == found.outlier_scores.tolist() == [0] * n
    assert len(found.birth) == len(found.persistence) == 0


def test_a_cluster_is_kept_whole_where_its_parts_last_no_longer() -> None:
    """Eight leave the whole at λ = 2, one after birth; of its parts 2 + 2 leave at λ = 4, two after birth."""
    tree = chain([0.25, 0.5, 0.5, 0.5, 0.25, 0.5, 0.5, 1.0, 0.25])
    found = extract(tree, 2, "eom")
    assert found.labels.tolist() == [0] * 8 + [1] * 2
    assert found.stability.tolist() == [8, 6]
    assert extract(tree, 2, "leaf").stability.tolist() == [4, 4, 6]
    assert_as_hdbscan(tree, 2, "eom")


def test_chains_and_stars_have_no_clusters_but_outliers() -> None:
    weight = np.linspace(0.1, 1.0, 99)
    for tree in (chain(weight.tolist()), (np.zeros(99, int), np.arange(1, 100), weight)):
        found = extract(tree, 5, "eom")
        assert found.labels.tolist() == [-1] * 100
        # the last five fall apart at weight[3]; the others leave one by one before
        expected = np.maximum(0, 1 - weight[3] / np.append(weight[0], weight))
        assert found.outlier_scores == pytest.approx(expected, abs=1e-12)


def test_infinite_distances_are_a_density_of_zero() -> None:
    found = extract(chain([0.5, 0.5, np.inf, 0.5, 0.25, np.inf]), 3, "eom")
    assert found.labels.tolist() == [0, 0, 0, 1, 1, 1, -1]
    assert found.probabilities.tolist() == [1] * 6 + [0]
    assert found.outlier_scores.tolist() == [0] * 6 + [1]
    assert found.birth.tolist() == [0, 0]
    order = np.array([0, 1, 2, 4, 5, 6, 3])
    nothing_near = extract((order, order + 1, np.full(7, np.inf)), 3, "eom")
    assert nothing_near.labels.tolist() == [0] * 4 + [1] * 4
    assert nothing_near.probabilities.tolist() == [1] * 8
    assert nothing_near.outlier_scores.tolist() == [0] * 8
    assert nothing_near.persistence.tolist() == [1, 1]


def test_clusters_of_one_are_refused() -> None:
    with pytest.raises(UsageError, match="at least 2"):
        extract(chain([0.5]), 1, "eom")
