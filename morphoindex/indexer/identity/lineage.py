"""Which cluster of a run is which former one: identity over time, by shared members and never by centroid.

A cluster that holds two ids which a person told apart, or verified members of two, is divided first (`apart.divide`).
What then has no id yet gets, in this order:

1. the id in use that it shares members with, one to one, such that the shared verified members are as many as can be
   and, of equal ones, all shared members. They must be more than half of the smaller side: of the former cluster's
   members, or of the members that took part in an earlier run.
2. a dormant id: the members it had one time when it ended lie in it for more than half, and make more than half of its
   members that took part in an earlier run. Of equal solutions of 1 the one is taken that lets most members return to
   theirs.
3. the id that most of its verified members belong to;
4. a new id, in the order of the clusters' least specimens.

Ties go to the lower id; the order of what is given makes no difference.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from morphoindex.indexer.clustering.labels import NOISE, renumber
from morphoindex.indexer.identity.apart import divide
from morphoindex.indexer.identity.decisions import Rulings

_NUMBER = re.compile(r"C(\d+)")
_EXACT = 2.0**53  # whole numbers up to here have a float64 of their own


@dataclass(frozen=True)
class Before:
    """The specimens of a run, and what former runs did with them.

    Attributes:
        ids: [n], distinct.
        grouped: [n] the cluster that the last run put each one in; None for noise and what is new.
        seen: bool [n], took part in an earlier run.
    """

    ids: Sequence[str]
    grouped: Sequence[str | None]
    seen: NDArray[np.bool_]


@dataclass(frozen=True)
class Regrouped:
    """A run in permanent ids.

    Attributes:
        grouped: [n] cluster of each specimen, None for noise.
        new: ids that were never used before, in their order.
        returned: other ids that had no members before the run, sorted.
        ended: id → its members before the run, sorted, for ids that have none after it.
    """

    grouped: tuple[str | None, ...]
    new: tuple[str, ...]
    returned: tuple[str, ...]
    ended: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Pairs:
    """Clusters of a run (rows) and former clusters (columns) that may be one and the same.

    Attributes:
        row, column: int64 [p].
        worth: int64 [p, levels], what a pair is worth; a level counts before all later ones.
    """

    row: NDArray[np.int64]
    column: NDArray[np.int64]
    worth: NDArray[np.int64]

    def only(self, these: NDArray[np.bool_] | NDArray[np.int64]) -> Pairs:
        """Some of the pairs."""
        return Pairs(self.row[these], self.column[these], self.worth[these])


def regroup(
    before: Before,
    labels: NDArray[np.int64],
    matrix: NDArray[np.float32],
    rulings: Rulings,
    dormant: Mapping[str, Collection[Collection[str]]],
    used: Collection[str],
) -> Regrouped:
    """Give the clusters of a run their permanent ids.

    By the rules above. O(n log n) time but for the assignments, each of which is over clusters that share members
    alone; O(n) memory.

    Args:
        before: the specimens.
        labels: int64 [n], clusters of the run, -1 for noise.
        matrix: float32 [n, d], unit length.
        rulings: what people decided.
        dormant: id → its members each time it ended, for ids without members now.
        used: all ids that were ever given.
    """
    order = np.array(sorted(range(len(before.ids)), key=before.ids.__getitem__), np.int64)
    ids = [before.ids[i] for i in order]
    former = [_still(before.grouped[i], rulings) for i in order]
    raw = renumber(labels[order])
    fixed = divide(ids, former, raw, rulings, lambda rows: matrix[order[rows]])
    rows = _pieces(raw, fixed)
    met = np.bincount(rows[before.seen[order] & (rows >= 0)], minlength=int(rows.max(initial=-1)) + 1)
    columns = sorted({*filter(None, former), *fixed.values(), *dormant} - rulings.withdrawn)
    continuing = _continuing(ids, former, fixed, rows, met, columns, rulings)
    free = np.where(np.isin(np.arange(len(rows)), list(fixed)), NOISE, rows)
    asleep = {*dormant} - {*former, *fixed.values()} - rulings.withdrawn
    returning = _returning(ids, free, met, columns, {cluster: dormant[cluster] for cluster in asleep}, rulings)
    names = {row: columns[column] for row, column in best_pairs(_joined(continuing, returning))}
    names.update({int(rows[i]): cluster for i, cluster in fixed.items()})
    names.update(_linked(ids, rows, names, rulings))
    unnamed = [row for row in np.unique(rows).tolist() if row >= 0 and row not in names]
    fresh = new_ids({*used, *filter(None, former), *rulings.same, *rulings.pins.values()}, len(unnamed))
    names.update(zip(unnamed, fresh, strict=True))
    after = [names.get(row) for row in rows.tolist()]
    return _result(before, order, after, fresh)


def shared(rows: NDArray[np.int64], columns: NDArray[np.int64], verified: NDArray[np.bool_]) -> Pairs:
    """Count the members that rows and columns share, worth (verified members, members). O(n log n).

    `[0, 0, 1, -1], [2, 2, -1, 2], [True, False, False, False]` -> row [0], column [2], worth [[1, 2]]

    Args:
        rows: int64 [n], -1 for none.
        columns: int64 [n], -1 for none.
        verified: bool [n].
    """
    inside = (rows >= 0) & (columns >= 0)
    width = int(columns.max(initial=0)) + 1
    code, inverse = np.unique(rows[inside] * width + columns[inside], return_inverse=True)
    counts = [np.bincount(inverse[verified[inside]], minlength=len(code)), np.bincount(inverse, minlength=len(code))]
    return Pairs(code // width, code % width, np.column_stack(counts))


def best_pairs(found: Pairs) -> list[tuple[int, int]]:
    """The one-to-one pairs (row, column) that are worth most in total; of equal ones those of lower columns.

    Solved by scipy's linear_sum_assignment (Crouse 2016) for each connected component of the graph of pairs, O(c³) for
    its c clusters. Levels are told apart as far as float64 has room for them, the first before the later ones.
    """
    from scipy.optimize import linear_sum_assignment
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not len(found.row):
        return []
    first = int(found.row.max()) + 1
    size = first + int(found.column.max()) + 1
    graph = coo_array((np.ones(len(found.row), np.int8), (found.row, first + found.column)), shape=(size, size))
    _, component = connected_components(graph, directed=False)
    order = np.argsort(component[found.row], kind="stable")
    pairs = []
    for part in np.split(order, np.flatnonzero(np.diff(component[found.row][order])) + 1):
        some = found.only(part)
        rows, i = np.unique(some.row, return_inverse=True)
        columns, j = np.unique(some.column, return_inverse=True)
        weight = np.zeros((len(rows), len(columns)))
        weight[i, j] = _weight(np.column_stack([some.worth, len(columns) - j]))
        chosen = linear_sum_assignment(weight, maximize=True)
        pairs += [(int(rows[a]), int(columns[b])) for a, b in zip(*chosen, strict=True) if weight[a, b] > 0]
    return sorted(pairs)


def new_ids(used: Iterable[str], count: int) -> list[str]:
    """The next ids, never one that was used before: `["C0001", "C0007"], 2` -> `["C0008", "C0009"]`."""
    numbers = [int(found[1]) for found in map(_NUMBER.fullmatch, used) if found]
    start = max(numbers, default=0) + 1
    return [f"C{number:04d}" for number in range(start, start + count)]


def _weight(worth: NDArray[np.int64]) -> NDArray[np.float64]:
    """One number for each row of levels, such that no sum of a later level outweighs 1 of a former one."""
    weight = np.zeros(len(worth))
    for level in worth.T.astype(np.float64):
        if (weight.sum() + 1) * (level.sum() + 1) >= _EXACT:
            break
        weight = weight * (level.sum() + 1) + level
    return weight


def _still(cluster: str | None, rulings: Rulings) -> str | None:
    return rulings.resolve(cluster) if cluster in rulings.withdrawn and cluster else cluster


def _pieces(raw: NDArray[np.int64], fixed: Mapping[int, str]) -> NDArray[np.int64]:
    """The clusters of the run, with each piece of a divided one under a number of its own."""
    rows = raw.copy()
    numbers: dict[tuple[int, str], int] = {}
    for i, cluster in fixed.items():
        rows[i] = numbers.setdefault((int(raw[i]), cluster), int(raw.max()) + 1 + len(numbers))
    return rows


def _continuing(
    ids: Sequence[str],
    former: Sequence[str | None],
    fixed: Mapping[int, str],
    rows: NDArray[np.int64],
    met: NDArray[np.int64],
    columns: Sequence[str],
    rulings: Rulings,
) -> Pairs:
    """Rule 1. In a divided cluster those count that were in their piece's cluster, or that a person put there."""
    number = {cluster: column for column, cluster in enumerate(columns)}
    votes = list(former)
    for i, cluster in fixed.items():
        votes[i] = cluster if former[i] == cluster or ids[i] in rulings.pins else None
    agreed = [
        vote is not None and rulings.pins.get(specimen) == rulings.resolve(vote)
        for specimen, vote in zip(ids, votes, strict=True)
    ]
    found = shared(rows, _numbers(votes, number), np.array(agreed, bool))
    was = _numbers(former, number)
    sizes = np.bincount(was[was >= 0], minlength=len(columns))
    return found.only(2 * found.worth[:, 1] > np.minimum(sizes[found.column], met[found.row]))


def _returning(
    ids: Sequence[str],
    rows: NDArray[np.int64],
    met: NDArray[np.int64],
    columns: Sequence[str],
    dormant: Mapping[str, Collection[Collection[str]]],
    rulings: Rulings,
) -> Pairs:
    """Rule 2. A specimen may be among the members of several ends, of one id and of several."""
    place = {specimen: i for i, specimen in enumerate(ids)}
    number = {cluster: column for column, cluster in enumerate(columns)}
    ends = [(cluster, members) for cluster in sorted(dormant) for members in dormant[cluster]]
    entries = [(end, place[one]) for end, (_, members) in enumerate(ends) for one in members if one in place]
    end, member = np.array(entries, np.int64).reshape(-1, 2).T
    agreed = [rulings.pins.get(ids[i]) == rulings.resolve(ends[e][0]) for e, i in entries]
    found = shared(rows[member], end, np.array(agreed, bool))
    present = np.bincount(end, minlength=len(ends))
    found = found.only(2 * found.worth[:, 1] > np.maximum(present[found.column], met[found.row]))
    column = np.array([number[ends[e][0]] for e in found.column.tolist()], np.int64)
    best: dict[tuple[int, int], tuple[int, ...]] = {}
    for pair, worth in zip(zip(found.row.tolist(), column.tolist(), strict=True), found.worth.tolist(), strict=True):
        best[pair] = max(best.get(pair, (0, 0)), tuple(worth))
    pairs = np.array(list(best), np.int64).reshape(-1, 2)
    return Pairs(pairs[:, 0], pairs[:, 1], np.array(list(best.values()), np.int64).reshape(-1, 2))


def _joined(continuing: Pairs, returning: Pairs) -> Pairs:
    """Both, such that all of the first is worth more than any of the second."""
    worth = np.zeros((len(continuing.row) + len(returning.row), 4), np.int64)
    worth[: len(continuing.row), :2] = continuing.worth
    worth[len(continuing.row) :, 2:] = returning.worth
    row, column = (np.concatenate([getattr(p, end) for p in (continuing, returning)]) for end in ("row", "column"))
    return Pairs(row, column, worth)


def _numbers(clusters: Iterable[str | None], number: Mapping[str, int]) -> NDArray[np.int64]:
    return np.array([NOISE if cluster is None else number[cluster] for cluster in clusters], np.int64)


def _linked(ids: Sequence[str], rows: NDArray[np.int64], named: Collection[int], rulings: Rulings) -> dict[int, str]:
    """Rule 3."""
    members: dict[int, Counter[str]] = defaultdict(Counter)
    for specimen, row in zip(ids, rows.tolist(), strict=True):
        if row >= 0 and row not in named and specimen in rulings.pins:
            members[row][rulings.pins[specimen]] += 1
    return {row: min(counts, key=lambda cluster: (-counts[cluster], cluster)) for row, counts in members.items()}


def _result(before: Before, order: NDArray[np.int64], after: Sequence[str | None], fresh: Sequence[str]) -> Regrouped:
    grouped: list[str | None] = [None] * len(after)
    for i, cluster in zip(order.tolist(), after, strict=True):
        grouped[i] = cluster
    there, here = set(filter(None, before.grouped)), set(filter(None, after))
    ended: dict[str, list[str]] = defaultdict(list)
    for i in order.tolist():
        cluster = before.grouped[i]
        if cluster and cluster not in here:
            ended[cluster].append(before.ids[i])
    return Regrouped(
        grouped=tuple(grouped),
        new=tuple(fresh),
        returned=tuple(sorted(here - there - set(fresh))),
        ended={cluster: tuple(ended[cluster]) for cluster in sorted(ended)},
    )
