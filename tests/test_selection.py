"""Kernels that choose: near-duplicate groups."""

from __future__ import annotations

import numpy as np

from morphoindex.indexer.selection.duplicates import best, groups_of


def test_groups_of() -> None:
    assert [g.tolist() for g in groups_of(np.array([0, -1, 1, 0]))] == [[0, 3], [2]]
    assert groups_of(np.array([-1, -1])) == []


def test_the_best_has_most_pixels_then_most_bytes_then_the_first_id() -> None:
    group = np.array([0, 1, 2, 3])
    assert best(group, [(4, 9, "a"), (9, 1, "b"), (9, 2, "d"), (9, 2, "c")]) == 3
