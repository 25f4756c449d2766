"""IncrementalHDBSCAN: scikit-learn's own checks, hdbscan's results, and the same clusters whatever the history."""

from __future__ import annotations

import doctest
import itertools
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.cluster import HDBSCAN
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import parametrize_with_checks

import morphoindex
from morphoindex import IncrementalHDBSCAN
from morphoindex.indexer.clustering.estimator import contents_of
from morphoindex.indexer.clustering.forest import ClusterForest, unit
from morphoindex.indexer.clustering.labels import renumber

METRICS = ["euclidean", "cosine"]
ROOT = Path(__file__).parents[1]


def expected_failures(estimator: IncrementalHDBSCAN) -> dict[str, str]:
    if estimator.metric == "cosine":
        return {"check_estimators_dtypes": "its whole numbers hold a zero vector, which has no cosine"}
    return {}


@parametrize_with_checks(
    [IncrementalHDBSCAN(metric=metric) for metric in METRICS], expected_failed_checks=expected_failures
)
def test_scikit_learn_takes_it_for_an_estimator(estimator: IncrementalHDBSCAN, check: Any) -> None:
    check(estimator)


def samples(kind: str, n: int, dim: int, seed: int) -> np.ndarray:
    """Samples of some kind, float64 [n, dim], none of them zero."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, dim))
    if kind == "grid":  # many distances are equal, and many samples
        x = np.round(1.5 * x)
        x[~x.any(axis=1), 0] = 1
    elif kind == "copies":
        x = x[rng.integers(0, max(1, n // 3), n)]
    elif kind == "identical":
        x[:] = x[0]
    elif kind == "scaled":  # copies for the cosine alone
        x = x[rng.integers(0, max(1, n // 3), n)] * 2.0 ** rng.integers(-3, 3, (n, 1))
    return x


kinds = st.sampled_from(["plain", "grid", "copies", "identical", "scaled"])
models = st.builds(
    IncrementalHDBSCAN,
    st.integers(2, 6),
    min_samples=st.none() | st.integers(1, 8),
    metric=st.sampled_from(METRICS),
    cluster_selection_method=st.sampled_from(["eom", "leaf"]),
)


# -- the same results as others ------------------------------------------------------------------------------------


def planted(seed: int, n: int = 60, dim: int = 6) -> np.ndarray:
    """Five clusters of different density, all distances different, and noise."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(5, dim)) * 3
    parts = [c + s * rng.normal(size=(n, dim)) for c, s in zip(centres, (0.2, 0.3, 0.4, 0.6, 0.8), strict=True)]
    return rng.permutation(np.concatenate([*parts, 4 * rng.normal(size=(n, dim))]))


def assert_close(model: IncrementalHDBSCAN, labels: np.ndarray, probabilities: np.ndarray, atol: float) -> None:
    assert np.array_equal(model.labels_, renumber(labels))
    assert np.allclose(model.probabilities_, probabilities, rtol=0, atol=atol)
    assert model.labels_.max() > 0


# With min_samples=1 all edges differ. With more, edges share a core distance, and hdbscan lets the order of the samples
# decide between them: with these seeds nothing depends on it.
@pytest.mark.parametrize("selection", ["eom", "leaf"])
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(("seed", "min_samples"), [(0, 1), (1, 1), (2, 1), (3, 3), (21, 3), (21, 5), (25, 5)])
def test_results_are_those_of_hdbscan(seed: int, min_samples: int, metric: str, selection: str) -> None:
    import hdbscan

    x = planted(seed)
    parameters = {"min_cluster_size": 8, "min_samples": min_samples, "cluster_selection_method": selection}
    model = IncrementalHDBSCAN(metric=metric, **parameters)
    for batch in np.array_split(x, 7):
        model.partial_fit(batch)
    straight = unit(x).astype(np.float64) if metric == "cosine" else x
    theirs = hdbscan.HDBSCAN(approx_min_span_tree=False, algorithm="generic", **parameters).fit(straight)
    assert_close(model, theirs.labels_, theirs.probabilities_, 1e-6)
    assert np.allclose(model.outlier_scores_, theirs.outlier_scores_, rtol=0, atol=1e-6)
    parameters["min_samples"] += 1
    also = HDBSCAN(algorithm="brute", copy=True, **parameters).fit(straight)
    assert_close(model, also.labels_, also.probabilities_, 1e-6)


def hdbscan_of(x: np.ndarray, keys: list[str], k: int, min_cluster_size: int, selection: str) -> tuple[np.ndarray, ...]:
    """Labels, probabilities, outlier scores by hdbscan's parts, with edges of one length in the order of the keys."""
    from hdbscan._hdbscan_linkage import label
    from hdbscan._hdbscan_reachability import mutual_reachability
    from hdbscan._hdbscan_tree import outlier_scores
    from hdbscan.hdbscan_ import _tree_to_labels

    d = np.sqrt(((x[:, np.newaxis] - x) ** 2).sum(axis=2))
    weight = mutual_reachability(d.copy(), k)
    pairs = [(i, j) if keys[i] < keys[j] else (j, i) for i, j in itertools.combinations(range(len(x)), 2)]
    pairs.sort(key=lambda pair: (weight[pair], d[pair], keys[pair[0]], keys[pair[1]]))
    component = np.arange(len(x))
    edges = []
    for i, j in pairs:
        if component[i] != component[j]:
            component[component == component[j]] = component[i]
            edges.append((i, j, weight[i, j]))
    labels, probabilities, _, condensed, _ = _tree_to_labels(
        x, label(np.array(edges)), min_cluster_size=min_cluster_size, cluster_selection_method=selection
    )
    return labels, probabilities, outlier_scores(condensed)


@settings(deadline=None, max_examples=60)
@given(models, st.integers(10, 60), st.integers(1, 6), st.integers(0, 2**32))
def test_ties_are_decided_by_content(model: IncrementalHDBSCAN, n: int, dim: int, seed: int) -> None:
    x = samples("plain", n, dim + (model.metric == "cosine"), seed)
    kept = unit(x) if model.metric == "cosine" else x
    labels, probabilities, scores = hdbscan_of(
        kept.astype(np.float64), contents_of(kept), model.min_samples or model.min_cluster_size,
        model.min_cluster_size, model.cluster_selection_method,
    )  # fmt: skip
    model.fit(x)
    assert np.array_equal(model.labels_, renumber(labels))
    assert np.allclose(model.probabilities_, probabilities, rtol=0, atol=1e-6)
    assert np.allclose(model.outlier_scores_, scores, rtol=0, atol=1e-6)


def test_min_samples_is_min_cluster_size_unless_given() -> None:
    x = planted(3)
    one, two = IncrementalHDBSCAN(8).fit(x), IncrementalHDBSCAN(8, min_samples=8).fit(x)
    assert np.array_equal(one.outlier_scores_, two.outlier_scores_)
    assert not np.array_equal(one.outlier_scores_, IncrementalHDBSCAN(8, min_samples=7).fit(x).outlier_scores_)


# -- the same results whatever the history -------------------------------------------------------------------------


def assert_same(one: IncrementalHDBSCAN, other: IncrementalHDBSCAN, order: np.ndarray | None = None) -> None:
    """Bit for bit the same, where sample i of the other is sample `order[i]` of the one."""
    order = np.arange(len(other.labels_)) if order is None else order
    assert np.array_equal(renumber(one.labels_[order]), other.labels_)
    assert np.array_equal(one.probabilities_[order], other.probabilities_)
    assert np.array_equal(one.outlier_scores_[order], other.outlier_scores_)


@settings(deadline=None, max_examples=150)
@given(models, kinds, st.integers(2, 80), st.integers(1, 4), st.integers(0, 2**32), st.data())
def test_any_history_comes_to_a_fit_on_what_is_left(
    model: IncrementalHDBSCAN, kind: str, n: int, dim: int, seed: int, data: st.DataObject
) -> None:
    x = samples(kind, n, dim, seed)
    here = x[:0]
    while len(x):
        batch, x = np.split(x, [data.draw(st.integers(1, 40), label="batch")])
        here = np.concatenate([here, batch])
        model.partial_fit(batch)
        gone = data.draw(st.lists(st.integers(-len(here), len(here) - 1)), label="gone")
        model.forget(gone)
        here = np.delete(here, gone, axis=0)
        assert len(model.labels_) == len(here)
    if len(here) > 1:
        again = clone(model).fit(here)
        assert_same(model, again)
        assert np.array_equal(model.labels_, again.labels_)  # their numbers too


@settings(deadline=None, max_examples=100)
@given(models, kinds, st.integers(2, 120), st.integers(1, 4), st.integers(0, 2**32))
def test_the_order_of_arrival_does_not_matter(
    model: IncrementalHDBSCAN, kind: str, n: int, dim: int, seed: int
) -> None:
    x = samples(kind, n, dim, seed)
    rng = np.random.default_rng(seed)
    order = rng.permutation(n)
    other = clone(model)
    for part in np.split(order, np.unique(rng.integers(1, n, 4))):
        other.partial_fit(x[part])
    assert_same(model.fit(x), other, order)


@settings(deadline=None, max_examples=150)
@given(kinds, st.integers(2, 80), st.integers(1, 3), st.integers(1, 8), st.integers(2, 4), st.integers(0, 2**32))
def test_nothing_parts_copies(kind: str, n: int, dim: int, k: int, min_cluster_size: int, seed: int) -> None:
    """What lets the estimator give each copy what the first one gets, and let go of any copy for another."""
    x = samples(kind, n, dim, seed)
    x = np.concatenate([x, np.repeat(x[:1], 1 + seed % 12, axis=0)])
    forest = ClusterForest(k, unit=False)
    forest.add([str(i) for i in range(len(x))], x)
    found = forest.density(min_cluster_size, "leaf" if seed % 2 else "eom", k)
    first = np.unique(x, axis=0, return_index=True, return_inverse=True)
    like = first[1][first[2].ravel()]
    for array in (found.labels, found.probabilities, found.outlier_scores):
        assert np.array_equal(array, array[like])


def test_dtypes_and_layouts_of_the_same_numbers_are_the_same() -> None:
    x = np.round(planted(0) * 8) / 8
    for metric in METRICS:
        model = IncrementalHDBSCAN(8, metric=metric).fit(x)
        for same in (
            x.astype(np.float32),
            x.astype(np.float16),
            np.asfortranarray(x),
            x.tolist(),
            np.where(x, x, -0.0),
        ):
            assert_same(model, IncrementalHDBSCAN(8, metric=metric).partial_fit(same[:100]).partial_fit(same[100:]))
        assert_same(IncrementalHDBSCAN(8, metric=metric).fit((8 * x).astype(np.int64)), clone(model).fit(8 * x))


@pytest.mark.parametrize("metric", METRICS)
def test_zero_and_minus_zero_are_the_same(metric: str) -> None:
    for seed in range(60):
        x = samples("grid", 50, 3, seed)
        signed = np.where((x == 0) & (np.random.default_rng(seed).random(x.shape) < 0.5), -0.0, x)
        model = IncrementalHDBSCAN(3, metric=metric).fit(signed)
        assert_same(model, clone(model).fit(x))


def test_lengths_beyond_float32_are_clustered() -> None:
    x = planted(2)
    model = IncrementalHDBSCAN(8).fit(x)
    for factor in (2.0**400, 2.0**-400):
        assert_same(model, IncrementalHDBSCAN(8).fit(x * factor))
        cosine = IncrementalHDBSCAN(8, metric="cosine")
        assert_same(cosine.fit(x), clone(cosine).fit(x * factor))


# -- parameters ----------------------------------------------------------------------------------------------------


def test_parameters_can_change_between_batches() -> None:
    x = planted(4)
    model = IncrementalHDBSCAN(5).fit(x[:200])
    for change in (
        {"min_cluster_size": 12}, {"min_samples": 3}, {"min_samples": 40}, {"cluster_selection_method": "leaf"},
        {"min_cluster_size": 5, "min_samples": None},
    ):  # fmt: skip
        before = model.labels_
        model.set_params(**change)
        assert model.labels_ is before
        assert_same(model.partial_fit(), clone(model).fit(x[:200]))
    model.set_params(min_cluster_size=7)
    assert_same(model.partial_fit(x[200:]).forget(slice(0, 50)), clone(model).fit(x[50:]))


def test_another_metric_wants_a_fit() -> None:
    x = planted(0)
    model = IncrementalHDBSCAN(8).fit(x).set_params(metric="cosine")
    with pytest.raises(ValueError, match="metric is 'cosine', but the samples here were taken in with 'euclidean'"):
        model.partial_fit(x)
    assert len(model.labels_) == len(x)
    assert_same(model.fit(x), IncrementalHDBSCAN(8, metric="cosine").fit(x))


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"min_cluster_size": 1}, "min_cluster_size is 1: a whole number of at least 2"),
        ({"min_cluster_size": 5.0}, "min_cluster_size is 5.0"),
        ({"min_samples": 0}, "min_samples is 0: a whole number of at least 1"),
        ({"min_samples": "5"}, "min_samples is '5'"),
        ({"metric": "manhattan"}, r"metric is 'manhattan': one of \('euclidean', 'cosine'\)"),
        ({"cluster_selection_method": "all"}, "cluster_selection_method is 'all'"),
    ],
)
def test_wrong_parameters_are_refused(parameters: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        IncrementalHDBSCAN(**parameters).fit(planted(0))
    model = IncrementalHDBSCAN().fit(planted(0))
    with pytest.raises(ValueError, match="is"):
        model.set_params(**parameters).forget([0])
    assert len(model.labels_) == len(planted(0))


# -- input ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("x", "error", "words"),
    [
        ([[1.0, np.nan]], ValueError, "NaN"),
        ([[1.0, np.inf]], ValueError, "infinity"),
        ([[1.0, 1e200]], ValueError, "too large"),
        ([[1.0, 2.0, 3.0]], ValueError, "3 features, but IncrementalHDBSCAN is expecting 2"),
        ([1.0, 2.0], ValueError, "2D array"),
        (np.empty((0, 2)), ValueError, "0 sample"),
        ([["a", "b"]], ValueError, "convert"),
        (csr_array(np.eye(2)), TypeError, "Sparse data"),
    ],
)
def test_wrong_samples_are_refused_and_change_nothing(metric: str, x: Any, error: type, words: str) -> None:
    start = planted(0)[:, :2]
    model = IncrementalHDBSCAN(metric=metric).fit(start)
    labels = model.labels_
    with pytest.raises(error, match=words):
        model.partial_fit(x)
    assert model.labels_ is labels
    assert_same(model.partial_fit(start[:9]), clone(model).fit(np.concatenate([start, start[:9]])))


def test_zero_vectors_have_no_cosine() -> None:
    x = planted(0)
    x[[3, 7]] = 0
    assert len(IncrementalHDBSCAN().fit(x).labels_) == len(x)
    model = IncrementalHDBSCAN(metric="cosine")
    with pytest.raises(ValueError, match=r"zero vectors \(2, row 3 first\)"):
        model.partial_fit(x)
    assert_same(model.partial_fit(x[8:]), clone(model).fit(x[8:]))


def test_one_sample_is_too_few_to_fit_but_can_come_alone() -> None:
    x = planted(1)[:40]
    model = IncrementalHDBSCAN(4)
    with pytest.raises(ValueError, match="n_samples=1"):
        model.fit(x[:1])
    for sample in x:
        model.partial_fit(sample.reshape(1, -1))
    assert_same(model, IncrementalHDBSCAN(4).fit(x))
    model.forget(slice(1, None))
    assert (model.labels_.tolist(), model.probabilities_.tolist(), model.outlier_scores_.tolist()) == (
        [-1],
        [0.0],
        [0.0],
    )


def test_all_samples_can_go() -> None:
    x = planted(1)
    model = IncrementalHDBSCAN().fit(x).forget(np.ones(len(x), bool))
    assert [len(a) for a in (model.labels_, model.probabilities_, model.outlier_scores_)] == [0, 0, 0]
    assert model.n_features_in_ == x.shape[1]
    assert_same(model.partial_fit(x), clone(model).fit(x))


def test_positions_that_are_not_there_cannot_be_forgotten() -> None:
    model = IncrementalHDBSCAN().fit(planted(0))
    for wrong in ([len(planted(0))], [-len(planted(0)) - 1], [0.5]):
        with pytest.raises(IndexError):
            model.forget(wrong)
    assert_same(model.forget([]), clone(model).fit(planted(0)))


def test_before_the_first_samples_there_is_nothing_to_label_or_forget() -> None:
    with pytest.raises(NotFittedError):
        IncrementalHDBSCAN().partial_fit()
    with pytest.raises(NotFittedError):
        IncrementalHDBSCAN().forget([0])


# -- around it -----------------------------------------------------------------------------------------------------


def test_a_pickled_one_goes_on_where_it_was() -> None:
    x = planted(0)
    model = IncrementalHDBSCAN(8).fit(x[:200])
    again = pickle.loads(pickle.dumps(model))
    assert_same(again.partial_fit(x[200:]).forget([1, 2]), model.partial_fit(x[200:]).forget([1, 2]))
    assert clone(model).get_params() == model.get_params()
    assert not hasattr(clone(model), "labels_")


def test_an_interrupted_change_is_told() -> None:
    x = planted(0)
    model = IncrementalHDBSCAN().fit(x[:100])

    def interrupt(frame: Any, event: str, argument: Any) -> None:
        if frame.f_code.co_name == "insert":  # the samples are in, their edges are not
            raise KeyboardInterrupt

    sys.settrace(interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            model.partial_fit(x[100:])
    finally:
        sys.settrace(None)
    for change in (model.partial_fit, lambda: model.forget([0])):
        with pytest.raises(RuntimeError, match="interrupted half-way"):
            change()
    assert_same(model.fit(x), IncrementalHDBSCAN().fit(x))


def test_scikit_learn_is_only_imported_with_the_estimator() -> None:
    program = (
        "import sys, morphoindex\n"
        "print(sorted({'sklearn', 'numba', 'numpy'} & set(sys.modules)))\n"
        "morphoindex.IncrementalHDBSCAN\n"
        "print('sklearn' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "True"]


def test_the_page_about_it_says_what_happens() -> None:
    (block,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs/estimator.md").read_text("utf-8"), re.M | re.S)
    example = doctest.DocTestParser().get_doctest(block, {}, "estimator.md", None, 0)
    failed, tried = doctest.DocTestRunner(verbose=False).run(example)
    assert (failed, tried) == (0, 12)


def test_the_readme_example_runs() -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text("utf-8"), re.M | re.S)
    (block,) = [block for block in blocks if "IncrementalHDBSCAN" in block]
    rng = np.random.default_rng(0)
    names: dict[str, Any] = {
        "morphoindex": morphoindex,
        "vectors": rng.normal(size=(60, 4)),
        "more": rng.normal(size=(60, 4)),
    }
    exec(block, names)
    assert len(names["model"].labels_) == 120 - 3
