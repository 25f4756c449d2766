"""Crowds: the largest subtrees of a dendrogram within a size, and what lies above them."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from morphoindex.indexer.clustering.crowds import crowds


def dendrogram_of(sizes: list[int]) -> np.ndarray:
    """A post-order of sum(sizes) rows: chains of these sizes, joined one after the other, longer ones first."""
    rows, merges = iter(range(sum(sizes))), iter(range(sum(sizes)))
    post: list[int] = []
    for number, size in enumerate(sorted(sizes, reverse=True)):
        post.append(next(rows))
        for _ in range(size - 1):
            post += [next(rows), -1 - next(merges)]
        if number:
            post.append(-1 - next(merges))
    return np.array(post, np.int32)


def test_the_largest_subtrees_within_the_sizes_are_crowds() -> None:
    post = dendrogram_of([4, 3, 1])  # 0 1 2 3 | 4 5 6 | 7
    found = crowds(post, 10, (2, 4))
    assert found.of.tolist() == [0, 0, 0, 0, 1, 1, 1, -1, -1, -1]
    assert [post[b:e].tolist() for b, e in zip(found.begin, found.end, strict=True)] == [
        [0, 1, -1, 2, -2, 3, -3], [4, 5, -4, 6, -5],
    ]  # fmt: skip
    assert found.upper.tolist() == [-8, -9, -6, 7, -7]


def test_a_small_tree_is_one_crowd_and_one_specimen_is_none() -> None:
    assert crowds(dendrogram_of([5]), 5, (2, 9)).upper.tolist() == [-5]
    assert crowds(dendrogram_of([1]), 1, (2, 9)).upper.tolist() == [0]
    assert len(crowds(np.empty(0, np.int32), 3, (2, 9))) == 0


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(1, 20), min_size=1, max_size=30), st.integers(1, 10), st.integers(0, 40))
def test_putting_the_crowds_back_gives_the_whole(sizes: list[int], least: int, more: int) -> None:
    post = dendrogram_of(sizes)
    found = crowds(post, sum(sizes), (least, least + more))
    back: list[int] = []
    for node in found.upper.tolist():
        crowd = -1 - len(post) // 2 - node
        back += [node] if crowd < 0 else post[found.begin[crowd] : found.end[crowd]].tolist()
    assert back == post.tolist()
    counts = np.bincount(found.of[found.of >= 0], minlength=len(found))
    assert ((counts >= least) & (counts <= least + more)).all()
