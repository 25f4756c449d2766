"""Subsets by several strategies: which specimens, in which order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from morphoindex.indexer.selection.facility import facility_location
from morphoindex.indexer.selection.farthest import farthest_first
from morphoindex.indexer.selection.kmeans import kmeans
from morphoindex.indexer.selection.turns import Places, equally, in_order, members_of, proportionally

Strategy = Literal["cluster", "kmeans", "coverage", "facility", "stratified", "random"]
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)


def sample(
    vectors: NDArray[np.float32],
    count: int,
    strategy: Strategy = "cluster",
    *,
    clusters: NDArray[np.int64] | None = None,
    classes: NDArray[np.int64] | None = None,
    unique: Sequence[NDArray[np.int64]] = (),
    seed: int = 0,
) -> NDArray[np.int64]:
    """Choose specimens.

    - cluster: clusters give one in turn, large ones first, what is in none as one more at the end. Within one: the
      nearest to the centre, then always the farthest from those before it.
    - kmeans: the same with the clusters of k-means; within one, those nearest to the centre.
    - coverage: always the farthest from those before it. The classical answer to the k-centre problem.
    - facility: always the one that adds most to how similar each specimen is to its nearest chosen one.
    - stratified: at random, as many of each class as its share is of all.
    - random: at random.

    With classes, each of them gives one in turn, large ones first, those of one size by chance; the strategy is
    followed within each. But stratified, which classes are the strata of.

    The order depends on that of the specimens where several fit equally well, and where chance decides: bring them
    into one that does not change, such as by id. A shorter sample is the beginning of a longer one, but for facility
    with more than some 11,500 specimens.

    Args:
        vectors: float32 [n, d], unit length.
        count: how many to choose; fewer where there are fewer that may be chosen.
        strategy: as above.
        clusters: int64 [n], -1 for none; of `cluster` alone. None: all are one.
        classes: int64 [n], -1 for none. None: all are one.
        unique: groupings int64 [n], -1 for none; of each of their groups at most one is chosen.
        seed: of `kmeans`, `facility`, `stratified` and `random`, and of the order of classes.

    Returns:
        int64 [m], m <= min(count, n), positions in the order chosen, none twice.
    """
    n = len(vectors)
    places = Places(n, unique)
    rng = np.random.default_rng(seed)
    ties = np.random.default_rng([seed, 2])
    parts = members_of(np.zeros(n, np.int64) if classes is None else classes, ties) if n else []
    share = -(-count // max(1, len(parts)))

    def ranking(members: NDArray[np.int64]) -> Iterator[int]:
        match strategy:
            case "cluster":
                groups = members_of(clusters[members]) if clusters is not None else [np.arange(len(members))]
                return equally(farthest_first(vectors, members[group], places) for group in groups)
            case "kmeans":
                labels, near = kmeans(vectors[members], seed)
                nearest = [group[np.argsort(-near[group], kind="stable")] for group in members_of(labels)]
                return equally(in_order(members[group], places) for group in nearest)
            case "coverage":
                return farthest_first(vectors, members, places)
            case "facility":
                return facility_location(vectors, members, places, share, seed)
            case "stratified" | "random":
                return in_order(rng.permutation(members), places)

    rankings = [ranking(members) for members in parts]
    if strategy == "stratified":
        order = proportionally(rankings, [len(members) for members in parts])
    else:
        order = equally(rankings)
    return np.array(list(islice(order, count)), np.int64)
