"""The forest against brute force: the same trees whatever the order, the batches and what was removed on the way."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_info

import morphoindex.indexer.clustering.forest as forest_module
from morphoindex.errors import IndexDamaged, IndexNotFound, UsageError
from morphoindex.indexer.clustering import verification
from morphoindex.indexer.clustering.distances import distances
from morphoindex.indexer.clustering.forest import FILE, ClusterForest
from morphoindex.indexer.clustering.intake import unit
from morphoindex.indexer.clustering.threads import blas_alone


def key(number: int) -> str:
    """A content id; consecutive numbers are far apart in the order of ids."""
    return f"{number * 0x9E3779B97F4A7C15 % 2**64:016x}{number:016x}"


def pair_distances(vectors: np.ndarray) -> np.ndarray:
    """All distances [n, n], each worked out from its two vectors alone; checked against float64."""
    n = len(vectors)
    ends = np.array([(i, j) for i in range(n) for j in range(n)], np.int32).reshape(-1, 2)
    length = np.empty(len(ends))
    distances(vectors, ends, length)
    exact = vectors.astype(np.float64)
    straight = np.sqrt(((exact[:, np.newaxis] - exact) ** 2).sum(axis=2))
    assert np.abs(length.reshape(n, n) - straight).max(initial=0) < 1e-6
    return length.reshape(n, n)


def brute_force(keys: tuple[str, ...], vectors: np.ndarray, k: int) -> dict[tuple[str, str], float]:
    """The minimum spanning tree by Kruskal over all pairs in the total order: (lower key, upper key) → weight."""
    n = len(keys)
    d = pair_distances(vectors)
    others = np.sort(np.where(np.eye(n, dtype=bool), np.inf, d), axis=1)
    core = others[:, min(k, n - 1) - 1] if k and n > 1 else np.zeros(n)
    weight = np.maximum(np.maximum(core[:, np.newaxis], core), d)
    pairs = [(i, j) if keys[i] < keys[j] else (j, i) for i, j in combinations(range(n), 2)]
    pairs.sort(key=lambda pair: (weight[pair], d[pair], keys[pair[0]], keys[pair[1]]))
    parent = list(range(n))

    def root(i: int) -> int:
        while parent[i] != i:
            i = parent[i]
        return i

    tree = {}
    for i, j in pairs:
        if root(i) != root(j):
            parent[root(i)] = root(j)
            tree[keys[i], keys[j]] = weight[i, j]
    return tree


def tree_of(forest: ClusterForest, k: int) -> dict[tuple[str, str], float]:
    tree, keys = forest.tree(k), forest.keys
    ends = [tuple(sorted((keys[a], keys[b]))) for a, b in zip(tree.a.tolist(), tree.b.tolist(), strict=True)]
    return dict(zip(ends, tree.weight.tolist(), strict=True))


def assert_exact(forest: ClusterForest, vectors: dict[str, np.ndarray]) -> None:
    assert set(forest.keys) == set(vectors)
    if not vectors:
        return
    matrix = unit(np.array([vectors[key] for key in forest.keys]))
    for k in forest.min_samples:
        expected = brute_force(forest.keys, matrix, k)
        found = tree_of(forest, k)
        assert found.keys() == expected.keys()
        assert max((abs(found[pair] - expected[pair]) for pair in found), default=0) <= 1e-6


def cloud(kind: str, n: int, dim: int, seed: int) -> np.ndarray:
    """Vectors of some kind, float64 [n, dim]."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, dim))
    if kind == "grid":  # many distances are equal
        x = np.round(x)
        x[~x.any(axis=1), 0] = 1
    elif kind == "copies":
        x = x[rng.integers(0, max(1, n // 3), n)]
    elif kind == "identical":
        x[:] = x[0]
    elif kind == "antipodal":
        x[n // 2 :] = -x[: n - n // 2]
    elif kind == "nearly":  # nearer to each other than a float32 tile can tell
        x = x[rng.integers(0, max(1, n // 4), n)] + rng.standard_normal((n, dim)) * 1e-5
    elif kind == "half":
        x = x.astype(np.float16)
    return x


clouds = st.builds(
    cloud,
    st.sampled_from(["plain", "grid", "copies", "identical", "antipodal", "nearly", "half"]),
    st.integers(1, 90),
    st.integers(2, 40),
    st.integers(0, 2**32),
)


@settings(deadline=None, max_examples=60)
@given(clouds, st.lists(st.integers(1, 8), min_size=1, max_size=2), st.integers(1, 12), st.data())
def test_trees_are_those_of_brute_force_after_any_history(
    vectors: np.ndarray, ks: list[int], neighbours: int, data: st.DataObject
) -> None:
    forest = ClusterForest(ks, neighbours)
    forest._workspace.most = data.draw(st.integers(1, 40), label="tile")
    forest._workspace.group = data.draw(st.integers(1, 40), label="group")
    least = data.draw(st.integers(2, 6), label="least of a crowd")
    forest._workspace.crowd = least, least + data.draw(st.integers(0, 30), label="more in a crowd")
    here: dict[str, np.ndarray] = {}
    start = 0
    while start < len(vectors):
        stop = min(len(vectors), start + data.draw(st.integers(1, 50), label="batch"))
        keys = [key(i) for i in range(start, stop)]
        forest.add(keys, vectors[start:stop])
        here |= dict(zip(keys, vectors[start:stop], strict=True))
        gone = data.draw(st.lists(st.sampled_from(sorted(here)), unique=True, max_size=len(here)), label="gone")
        forest.remove(gone)
        back = data.draw(st.lists(st.sampled_from(gone), unique=True) if gone else st.just([]), label="back")
        if back:
            forest.add(back, np.array([here[one] for one in back]))
        for one in set(gone) - set(back):
            del here[one]
        start = stop
    forest.tree(data.draw(st.integers(0, 15), label="further k"))
    assert_exact(forest, here)


@settings(deadline=None, max_examples=15)
@given(st.sampled_from(["plain", "grid", "copies", "nearly"]), st.integers(0, 2**32), st.data())
def test_order_and_batches_do_not_matter(kind: str, seed: int, data: st.DataObject) -> None:
    n = 700  # beyond the first groups of rows, where the lists are found by bounds
    vectors = cloud(kind, n, 12, seed)
    once, later = ClusterForest((4, 7)), ClusterForest((4, 7))
    later._workspace.group = data.draw(st.integers(1, 600))
    later._workspace.crowd = 2, data.draw(st.integers(2, 400))
    once.add([key(i) for i in range(n)], vectors)
    order = np.random.default_rng(seed).permutation(n)
    cuts = sorted(data.draw(st.lists(st.integers(0, n), max_size=6)))
    for part in np.split(order, cuts):
        later.add([key(i) for i in part.tolist()], vectors[part])
    later.remove([key(i) for i in range(0, n, 9)])
    later.add([key(i) for i in range(0, n, 9)], vectors[::9])
    for k in (0, 4, 7):
        assert tree_of(once, k) == tree_of(later, k)


@pytest.mark.parametrize("crowd", [(16, 256), (2, 4)])
def test_specimens_that_meet_crowds_find_the_edges_that_count(crowd: tuple[int, int]) -> None:
    rng = np.random.default_rng(7)
    centres = rng.standard_normal((12, 6))
    vectors = centres[rng.integers(0, 12, 2600)] + rng.standard_normal((2600, 6)) * rng.uniform(0.01, 0.4, (2600, 1))
    forest = ClusterForest((0, 5))  # more than one piece of rows, more than one group of new ones
    forest._workspace.crowd = crowd
    forest.add([key(i) for i in range(1100)], vectors[:1100])
    forest.add([key(i) for i in range(1100, 2600)], vectors[1100:])
    forest.remove([key(i) for i in range(0, 2600, 50)])
    for k in (0, 5):
        reference = verification.brute_force(forest.vectors, forest.ids, k)
        assert sorted(zip(*np.sort([forest.tree(k).a, forest.tree(k).b], axis=0).tolist(), strict=True)) == sorted(
            zip(*np.sort([reference.a, reference.b], axis=0).tolist(), strict=True)
        )
        assert np.array_equal(forest.tree(k).weight, reference.weight)
        assert np.array_equal(forest.core(k), reference.core)


def test_two_masses_that_no_list_reaches_across() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((150, 8)) * 0.05
    vectors[:60, 0] += 1  # the first group is one mass alone
    vectors[60:, 1] += 1
    forest = ClusterForest(70)
    forest._workspace.group, forest._workspace.most = 20, 10
    forest.add([key(i) for i in range(150)], vectors)
    assert_exact(forest, {key(i): vectors[i] for i in range(150)})
    wider = ClusterForest(3)
    wider._workspace.group, wider._workspace.most = 20, 10
    wider.add([key(i) for i in range(150)], vectors)
    assert np.array_equal(wider.core(70), forest.core(70))


def test_blas_has_its_threads_again_after_two_forests_at_once() -> None:
    def threads() -> list[int]:
        return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]

    before = threads()
    with blas_alone:
        with blas_alone:
            assert set(threads()) == {1}
        assert set(threads()) == {1}
    assert threads() == before

    def grow(seed: int) -> None:
        forest = ClusterForest(3)
        for start in range(0, 400, 40):
            forest.add([key(i) for i in range(start, start + 40)], cloud("plain", 40, 16, seed + start))

    growing = [threading.Thread(target=grow, args=(seed,)) for seed in range(4)]
    for thread in growing:
        thread.start()
    for thread in growing:
        thread.join()
    assert threads() == before


def test_lists_hold_the_nearest_others() -> None:
    vectors = cloud("grid", 400, 6, 3)
    forest = ClusterForest(5, neighbours=16)
    for start in range(0, 400, 37):
        forest.add([key(i) for i in range(start, min(400, start + 37))], vectors[start : start + 37])
    forest.remove([key(i) for i in range(0, 400, 10)])
    d = pair_distances(forest.vectors)
    lists = forest.neighbours
    for i, own in enumerate(forest.keys):
        others = sorted((d[i, j], forest.keys[j], j) for j in range(len(forest)) if j != i)
        known = int(lists.known[i])
        assert known >= 8, own
        assert lists.near[i, :known].tolist() == [j for _, _, j in others[:known]]
        assert lists.far[i, :known].tolist() == [length for length, _, _ in others[:known]]


def test_euclidean_vectors_keep_their_length_in_float64() -> None:
    rng = np.random.default_rng(0)
    vectors = 1e6 + rng.standard_normal((150, 3))
    forest = ClusterForest(3, unit=False)
    forest.add([key(i) for i in range(100)], vectors[:100])
    forest.add([key(i) for i in range(100, 150)], vectors[100:])
    assert tree_of(forest, 3) == brute_force(forest.keys, vectors, 3)


@pytest.mark.parametrize(
    ("keys", "vectors", "words"),
    [
        (["a"], np.zeros((1, 4)), "no length"),
        (["a"], np.full((1, 4), np.nan), "not finite"),
        (["a", "a"], np.ones((2, 4)), "twice"),
        (["here"], np.ones((1, 4)), "already"),
        (["a"], np.ones((1, 5)), "dimensions"),
        (["a"], np.ones((2, 4)), "keys"),
        (["a"], np.array([["x"] * 4]), "numbers"),
        (["a\0"], np.ones((1, 4)), "NUL"),
        (["\udcff"], np.ones((1, 4)), "Unicode"),
        ([3], np.ones((1, 4)), "a text"),
        (["a"], np.full((1, 4), 1e200), "overflow"),
    ],
)
def test_wrong_input_is_refused_and_changes_nothing(keys: list[str], vectors: np.ndarray, words: str) -> None:
    forest = ClusterForest(2)
    forest.add(["here", "there"], np.eye(4)[:2])
    before = tree_of(forest, 2)
    with pytest.raises(UsageError, match=words):
        forest.add(keys, vectors)
    assert forest.keys == ("here", "there")
    assert tree_of(forest, 2) == before


def test_unknown_keys_cannot_be_removed() -> None:
    forest = ClusterForest()
    forest.add(["a", "b"], np.eye(2))
    with pytest.raises(UsageError, match="'c' is not in the forest"):
        forest.remove(["a", "c"])
    assert forest.keys == ("a", "b")


def test_a_saved_forest_goes_on_where_it_was(tmp_path: Path) -> None:
    vectors = cloud("plain", 300, 20, 1)
    forest = ClusterForest((3, 5))
    forest.add([key(i) for i in range(200)], vectors[:200])
    forest.save(tmp_path / "graph")
    again = ClusterForest.load(tmp_path / "graph")
    for one in (forest, again):
        one.add([key(i) for i in range(200, 300)], vectors[200:])
        one.remove([key(i) for i in range(50)])
    assert again.keys == forest.keys
    for k in (0, 3, 5):
        assert tree_of(again, k) == tree_of(forest, k)
    assert_exact(again, {key(i): vectors[i] for i in range(50, 300)})


def test_an_empty_forest_can_be_saved(tmp_path: Path) -> None:
    ClusterForest((2, 4)).save(tmp_path)
    again = ClusterForest.load(tmp_path)
    assert len(again) == 0
    again.add([key(0)], np.ones((1, 3)))
    assert tree_of(again, 2) == {}


def test_what_is_no_forest_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(IndexNotFound):
        ClusterForest.load(tmp_path)
    forest = ClusterForest(2)
    forest.add(["a", "b"], np.eye(2))
    forest.save(tmp_path)
    whole = (tmp_path / FILE).read_bytes()
    flipped = bytearray(whole)
    flipped[-9] ^= 1  # in the last array, a dendrogram: no kernel looks whether a row is there
    for damaged in (
        bytes(flipped),
        whole[:-1],
        whole + b"x",
        b"",
        b"something else\n",
        whole.replace(b'"keys"', b'"kyes"'),
    ):
        (tmp_path / FILE).write_bytes(damaged)
        with pytest.raises(IndexDamaged):
            ClusterForest.load(tmp_path)


@pytest.mark.parametrize("change", ["add", "remove", "tree", "wider", "exact"])
def test_an_interrupted_change_is_not_gone_on_with(change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    forest = ClusterForest(2, 8)
    forest.add([key(i) for i in range(80)], cloud("plain", 80, 6, 0))

    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    for name in ("insert", "kept_edges", "joined"):
        monkeypatch.setattr(forest_module, name, interrupt)
    changes = {
        "add": lambda: forest.add(["new"], np.ones((1, 6))), "remove": lambda: forest.remove([key(3)]),
        "tree": lambda: forest.tree(5), "wider": lambda: forest.tree(20), "exact": forest.make_exact,
    }  # fmt: skip
    with pytest.raises(KeyboardInterrupt):
        changes[change]()
    monkeypatch.undo()
    for use in (*changes.values(), forest.density, forest.threshold, forest.recall, lambda: forest.save("nowhere")):
        with pytest.raises((IndexDamaged, TypeError)):
            use() if use is not forest.threshold else use(0.8)


FORKED = """
import multiprocessing, numpy as np
from morphoindex.indexer.clustering.forest import ClusterForest

def labels(seed):
    forest = ClusterForest(2)
    forest.add([f"{i:032x}" for i in range(300)], np.random.default_rng(seed).standard_normal((300, 8)))
    return forest.density(5).labels.tolist()

if __name__ == "__main__":
    expected = labels(1)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        print(pool.apply_async(labels, (1,)).get(timeout=600) == expected)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process_can_go_on() -> None:
    done = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True, timeout=600)
    assert done.stdout.strip() == "True", done.stderr


KILLED = """
import os, sys, numpy as np
from morphoindex.indexer.clustering import forest_file
from morphoindex.indexer.clustering.forest import ClusterForest

folder, step = sys.argv[1], int(sys.argv[2])
forest = ClusterForest.load(folder)
forest.add([f"new{i}" for i in range(40)], np.random.default_rng(9).standard_normal((40, 8)))

def count(frame, event, argument):
    global step
    if frame.f_code.co_filename == forest_file.__file__:
        step -= 1
        if step < 0:
            os.kill(os.getpid(), 9)
    return count

sys.settrace(count)
forest.save(folder)
sys.settrace(None)
print("saved")
"""


def test_a_forest_killed_while_saving_is_as_before_or_after(tmp_path: Path) -> None:
    forest = ClusterForest(3)
    forest.add([key(i) for i in range(60)], cloud("plain", 60, 8, 0))
    forest.save(tmp_path)
    before = (tmp_path / FILE).read_bytes()
    seen = set()
    for step in [*range(0, 400, 23), 10_000]:
        (tmp_path / FILE).write_bytes(before)
        done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), str(step)], capture_output=True, text=True)
        assert done.returncode in (0, -9), done.stderr
        size = len(ClusterForest.load(tmp_path))
        assert size in (60, 100)
        seen.add((done.returncode, size))
    assert {(-9, 60), (0, 100)} <= seen
    assert os.listdir(tmp_path).count(FILE) == 1
