"""Dendrograms against sets that are joined one edge after the other."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from morphoindex.indexer.clustering.dendrogram import dendrogram


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 30), st.integers(0, 10_000), st.sampled_from([np.int32, np.int64]))
def test_each_merge_joins_what_its_edge_joins(n: int, seed: int, dtype: type) -> None:
    rng = np.random.default_rng(seed)
    ends = np.array([(i, rng.integers(i)) for i in range(1, n)], dtype).reshape(-1, 2)
    ends = rng.permuted(rng.permutation(n).astype(dtype)[rng.permutation(ends)], axis=1)
    weight = np.sort(rng.random(n - 1).round(1))
    merges = dendrogram(ends[:, 0], ends[:, 1], weight)
    below = [{i} for i in range(n)]
    for i, (a, b) in enumerate(ends.tolist()):
        left, right = below[merges.left[i]], below[merges.right[i]]
        assert a in left
        assert b in right
        assert not left & right
        below.append(left | right)
        assert len(below[-1]) == merges.size[i]
    assert len(merges) == n
    assert below[-1] == set(range(n))
    assert merges.weight.tolist() == weight.tolist()
    assert sorted([*merges.left.tolist(), *merges.right.tolist()]) == list(range(2 * n - 2))


def test_the_example_of_the_documentation() -> None:
    merges = dendrogram(np.array([0, 0]), np.array([2, 1]), np.array([0.1, 0.2]))
    assert [merges.left.tolist(), merges.right.tolist(), merges.size.tolist()] == [[0, 3], [2, 1], [2, 3]]
