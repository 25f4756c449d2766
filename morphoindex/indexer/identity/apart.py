"""Cannot-link: a cluster of a run that fuses what people told apart is divided."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from morphoindex.indexer.identity.decisions import Rulings

_BLOCK = 1 << 24  # cosines worked out at a time


def divide(
    ids: Sequence[str],
    former: Sequence[str | None],
    rows: NDArray[np.int64],
    rulings: Rulings,
    vectors: Callable[[NDArray[np.int64]], NDArray[np.float32]],
) -> dict[int, str]:
    """Divide the clusters that hold two ids which are apart, or verified members of two.

    In such a cluster former members of these ids stay in the cluster they were in, and verified ones go where a person
    put them. Each other member goes to the id of the most similar of those; of equal ones, of the first specimen.
    O(n + a·b·d) for a members that go to one of b others.

    Args:
        ids: [n], ascending.
        former: [n] ids before the run, None for none.
        rows: int64 [n], clusters of the run, -1 for noise.
        rulings: what people decided.
        vectors: int64 [m] of [n] → float32 [m, d], unit length.

    Returns:
        Position in `ids` → cluster, for all members of the clusters that are divided.
    """
    claims = [
        rulings.pins.get(specimen) or (rulings.resolve(cluster) if cluster else None)
        for specimen, cluster in zip(ids, former, strict=True)
    ]
    fixed: dict[int, str] = {}
    for row, rivals in _rivals(ids, claims, rows, rulings).items():
        members = np.flatnonzero(rows == row)
        sure = [i for i in members.tolist() if claims[i] in rivals]
        kept = {i: _own(former[i], claims[i], rulings) for i in sure}
        others = np.array([i for i in members.tolist() if i not in kept], np.int64)
        nearest = _nearest(others, np.array(sure, np.int64), vectors)
        fixed.update(kept)
        fixed.update({i: kept[j] for i, j in zip(others.tolist(), nearest.tolist(), strict=True)})
    return fixed


def _own(former: str | None, claim: str | None, rulings: Rulings) -> str:
    """The former cluster where it counts as the one that is claimed, else the latter."""
    assert claim is not None
    return former if former and rulings.resolve(former) == claim else claim


def _rivals(
    ids: Sequence[str], claims: Sequence[str | None], rows: NDArray[np.int64], rulings: Rulings
) -> dict[int, set[str]]:
    """Cluster of the run → the ids in it that may not be fused, for those that hold such."""
    told = {cluster for pair in rulings.apart for cluster in pair}
    verified: dict[int, set[str]] = defaultdict(set)
    claimed: dict[int, set[str]] = defaultdict(set)
    for specimen, claim, row in zip(ids, claims, rows.tolist(), strict=True):
        if row < 0 or claim is None:
            continue
        if specimen in rulings.pins:
            verified[row].add(claim)
        if claim in told:
            claimed[row].add(claim)
    found: dict[int, set[str]] = defaultdict(set)
    for row, clusters in verified.items():
        if len(clusters) > 1:
            found[row] |= clusters
    for row, clusters in claimed.items():
        found[row] |= _at_odds(clusters, rulings.apart)
    return {row: found[row] for row in sorted(found) if found[row]}


def _at_odds(clusters: Collection[str], apart: Collection[tuple[str, str]]) -> set[str]:
    if len(clusters) < 2:
        return set()
    return {cluster for a, b in apart if a in clusters and b in clusters for cluster in (a, b)}


def _nearest(
    these: NDArray[np.int64],
    among: NDArray[np.int64],
    vectors: Callable[[NDArray[np.int64]], NDArray[np.float32]],
) -> NDArray[np.int64]:
    """For each of these positions the one among those whose vector has the highest cosine with its own."""
    if not len(these):
        return these
    targets = vectors(among).T
    step = max(1, _BLOCK // len(among))
    parts = [among[np.argmax(vectors(these[s : s + step]) @ targets, axis=1)] for s in range(0, len(these), step)]
    return np.concatenate(parts)
