"""The least similar pair of each cluster, against all pairs in float64."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from morphoindex.indexer.clustering import cohesion
from morphoindex.indexer.clustering.cohesion import least_similarities


def unit(x: np.ndarray) -> np.ndarray:
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def by_hand(x: np.ndarray, labels: np.ndarray) -> list[float]:
    exact = x.astype(np.float64)
    members = [np.flatnonzero(labels == label) for label in range(labels.max(initial=-1) + 1)]
    return [min([float(exact[i] @ exact[j]) for i in m for j in m if i < j], default=1.0) for m in members]


@st.composite
def clusters(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Balls, arcs with long ends, grids with duplicates; in few or many dimensions; some noise."""
    rng = np.random.default_rng(draw(st.integers(0, 100_000)))
    n, d = draw(st.integers(1, 60)), draw(st.sampled_from([2, 3, 64]))
    shape = draw(st.sampled_from(["ball", "arc", "grid"]))
    if shape == "ball":
        x = rng.normal(size=d) + draw(st.sampled_from([1e-4, 0.1, 1.0])) * rng.normal(size=(n, d))
    elif shape == "arc":
        angle = rng.normal(size=n)
        x = np.zeros((n, d))
        x[:, 0], x[:, 1] = np.cos(angle), np.sin(angle)
    else:
        x = rng.integers(-1, 2, (n, d)).astype(float)
        x[~x.any(axis=1)] = 1.0
    labels = rng.integers(-1, draw(st.integers(1, 3)), n)
    _, dense = np.unique(np.append(labels, -1), return_inverse=True)
    return unit(x), dense[:-1] - 1


@settings(max_examples=200, deadline=None)
@given(clusters(), st.sampled_from([(512, 1024, 4096), (2, 4, 8), (2, 7, 3), (2, 1024, 5)]))
def test_the_least_cosine_of_each_cluster(found: tuple[np.ndarray, np.ndarray], tiles: tuple[int, int, int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name, size in zip(("_SMALL", "_ROWS", "_COLUMNS"), tiles, strict=True):
            patch.setattr(cohesion, name, size)
        least = least_similarities(*found)
    assert least.tolist() == pytest.approx(by_hand(*found), abs=1e-14)


@pytest.mark.parametrize("dim", [3, 96])
@pytest.mark.parametrize("spread", [1e-5, 1e-3, 0.05, 1.0])
def test_the_least_cosine_of_a_large_cluster(spread: float, dim: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """At 1e-5 all cosines are 1 to float32; in three dimensions most pairs are left out by their distances."""
    monkeypatch.setattr(cohesion, "_ROWS", 64)
    rng = np.random.default_rng(0)
    for _ in range(3):
        x = unit(rng.normal(size=dim) + spread * rng.uniform(-1, 1, size=(2000, dim)))
        exact = x.astype(np.float64)
        least = least_similarities(x, np.zeros(len(x), np.int64))
        assert least[0] == pytest.approx(np.min(exact @ exact.T + 2 * np.eye(len(x))), abs=1e-14)


def test_clusters_of_one_and_none() -> None:
    x = unit(np.eye(3))
    assert least_similarities(x, np.array([0, -1, 1])).tolist() == [1, 1]
    assert least_similarities(x, np.full(3, -1)).tolist() == []
