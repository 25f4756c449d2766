"""Near-duplicates of an index: the embedding proposes pairs, the pictures decide, and people have the last word."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from morphoindex.errors import UsageError
from morphoindex.indexer.holdings.history import read_history
from morphoindex.indexer.host import Host
from morphoindex.indexer.identity.decisions import Rulings
from morphoindex.indexer.paths import to_text
from morphoindex.indexer.repeats.pictures import HOW, Pictures, Verdicts
from morphoindex.indexer.results.common import Refusal
from morphoindex.indexer.results.duplicates import Comparing, DedupResult, Duplicate, DuplicateGroup
from morphoindex.indexer.selection.duplicates import Quality, best, groups_of, proposals
from morphoindex.indexer.specimen import Specimen

LEAST_COSINE = 0.5
"""Pairs that are less alike are not looked at: of the twins of butterflies75 the least alike hundredth has 0.5."""
NEIGHBOURS = 32
"""How many of the nearest of each specimen are looked at: as many as the neighbour graph keeps."""
_UNKNOWN_TIME = "~"


@dataclass(frozen=True)
class _Found:
    """Which specimens show the same photographs.

    Attributes:
        ids: all specimens with a vector; vectors: float32 [n, d] of them.
        groups: rows; links: for each row of a group, its confirmed pairs: other row → (agreement, how).
        pairs, compared: as in DedupResult.
        unread: id → why its picture could not be compared.
    """

    ids: Sequence[str]
    vectors: NDArray[np.floating]
    groups: list[list[int]]
    links: Mapping[int, Mapping[int, tuple[float, str]]]
    pairs: int
    compared: int
    unread: Mapping[str, Refusal]


def find_duplicates(
    index: Host, threshold: float | None, neighbours: int | None, report: Callable[[Comparing], None]
) -> DedupResult:
    """Groups of files that show the same photograph, and the best of each; see `Duplicates.find`."""
    start = time.perf_counter()
    cosine, k = LEAST_COSINE if threshold is None else threshold, NEIGHBOURS if neighbours is None else neighbours
    rulings = read_history(index.journal).rulings
    found = _find(index, rulings, cosine, k, report)
    groups = [
        *_described(index, found, rulings),
        *_same_bytes(index, {found.ids[row] for some in found.groups for row in some}),
    ]
    return DedupResult(
        threshold=cosine,
        neighbours=k,
        pairs=found.pairs,
        compared=found.compared,
        groups=tuple(sorted((g for g in groups if g.drop), key=lambda group: (-len(group.drop), group.keep))),
        unread=tuple(sorted(found.unread.values(), key=lambda one: one.path)),
        seconds=round(time.perf_counter() - start, 3),
    )


def duplicate_groups(
    index: Host, ids: Sequence[str], report: Callable[[Comparing], None] = lambda done: None
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Which of these specimens show the same photograph. What was not compared yet is compared.

    A group may hang together by specimens that are not among these.

    Args:
        index: an open index.
        ids: [n], distinct.
        report: told how far it is.

    Returns:
        int64 [n], numbered by first member; -1 for those that no other of these shows the photograph of. And bool [n],
        of which ones that cannot be said: there is no vector, or no file that could be read.
    """
    found = _find(index, read_history(index.journal).rulings, LEAST_COSINE, NEIGHBOURS, report)
    group_of = {found.ids[row]: number for number, rows in enumerate(found.groups) for row in rows}
    sizes = Counter(group_of.get(one, -1) for one in ids)
    numbers: dict[int, int] = {}
    labels = np.full(len(ids), -1, np.int64)
    for i, one in enumerate(ids):
        group = group_of.get(one, -1)
        if group >= 0 and sizes[group] > 1:
            labels[i] = numbers.setdefault(group, len(numbers))
    there = set(found.ids)
    return labels, np.array([one not in there or one in found.unread for one in ids], np.bool_)


def _find(index: Host, rulings: Rulings, cosine: float, k: int, report: Callable[[Comparing], None]) -> _Found:
    if not -1 <= cosine <= 1:
        raise UsageError(f"threshold {cosine:g}: a cosine lies between -1 and 1; {LEAST_COSINE} is the default")
    if not 1 <= k <= NEIGHBOURS:
        raise UsageError(f"neighbours {k}: 1 to {NEIGHBOURS}, as many as the neighbour graph keeps")
    from morphoindex.indexer.selection.matching import CONFIRMED

    forest = index.graph()
    lists = forest.nearest(k)
    n = len(forest)
    order = _near_ones_together(forest.threshold, n)
    place = np.empty(n, np.int64)
    place[order] = np.arange(n)
    ids, vectors = [forest.keys[row] for row in order.tolist()], forest.vectors[order]
    pairs = np.sort(place[proposals(lists.near[:n], lists.far[:n], lists.known[:n], k, cosine)], axis=1)
    pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
    agreement, how = Verdicts(index.folder, ids).of(pairs)
    new = pairs[np.isnan(agreement)]
    pictures, compared = Pictures(index), 0
    if len(new):
        compared = pictures.compare(ids, new, Verdicts(index.folder, ids), report)
        agreement, how = Verdicts(index.folder, ids).of(pairs)
    sure = np.flatnonzero(agreement >= CONFIRMED)
    row_of = {one: row for row, one in enumerate(ids)}
    distinct = [(row_of[a], row_of[b]) for a, b in rulings.distinct if a in row_of and b in row_of]
    links: dict[int, dict[int, tuple[float, str]]] = defaultdict(dict)
    for (a, b), value, word in zip(pairs[sure].tolist(), agreement[sure].tolist(), how[sure].tolist(), strict=True):
        links[a][b] = links[b][a] = (value, HOW[word])
    by_id = np.array(sorted(range(n), key=lambda row: ids[row]), np.int64)  # what is equally sure goes by id
    rank = np.empty(n, np.int64)
    rank[by_id] = np.arange(n)
    ranked = np.sort(rank[pairs[sure]], axis=1)
    apart = [(int(rank[a]), int(rank[b])) for a, b in distinct]
    groups = [by_id[some].tolist() for some in groups_of(n, ranked, agreement[sure], apart)]
    return _Found(ids, vectors, groups, links, len(pairs), compared, pictures.unread)


def _near_ones_together(threshold: Callable[[float], NDArray[np.int64]], n: int) -> NDArray[np.int64]:
    """An order of rows in which neighbours are mostly close, so that few pictures are read twice."""
    if not n:
        return np.empty(0, np.int64)
    levels = [threshold(cosine) for cosine in (0.95, 0.9, 0.8, 0.65, 0.5)]
    return np.lexsort((np.arange(n), *levels))


def _described(index: Host, found: _Found, rulings: Rulings) -> Iterator[DuplicateGroup]:
    """The groups with their files, and which to keep."""
    rows = [row for some in found.groups for row in some]
    specimens = index.collection.get([found.ids[row] for row in rows])
    there = {row: specimens[found.ids[row]] for row in rows if found.ids[row] in specimens}
    groups = [[row for row in some if row in there and _has_file(there[row])] for some in found.groups]
    quality = _quality(index, there, groups)
    for some in groups:
        if some:
            yield _group(index, found, some, there, best(some, quality), rulings)


def _quality(index: Host, there: Mapping[int, Specimen], groups: Sequence[Sequence[int]]) -> dict[int, Quality]:
    """What decides which to keep; pictures are looked at only where as large ones vie."""
    size = {row: (one.width or 0) * (one.height or 0) for row, one in there.items()}
    vying = []
    for some in groups:
        largest = [row for row in some if size[row] == max(size[r] for r in some)]
        vying += largest if len(largest) > 1 else []
    sharp = Pictures(index).sharpness([there[row] for row in vying]) if vying else {}
    return {
        row: Quality(
            -size[row],
            -sharp.get(one.id, 0.0),
            str(one.capture.get("time") or _UNKNOWN_TIME),
            _files(index, one)[0],
            one.id,
        )
        for row, one in there.items()
    }


def _group(
    index: Host, found: _Found, members: Sequence[int], there: Mapping[int, Specimen], kept: int, rulings: Rulings
) -> DuplicateGroup:
    keeper = there[kept]
    first, *again = _files(index, keeper)
    drop = [Duplicate(path, keeper.id, 1.0, "bytes", 1.0) for path in again]
    others = []
    for row in members:
        if row == kept:
            continue
        links = {other: link for other, link in found.links[row].items() if other in members}
        surest = max(links, key=lambda other: (links[other][0], found.ids[other]), default=kept)
        through = kept if kept in links else surest
        agreement, how = links.get(through, (0.0, "points"))
        similarity = round(min(1.0, float(found.vectors[row] @ found.vectors[kept])), 6)
        one = Duplicate(
            "", there[row].id, similarity, how, round(agreement, 4),
            None if through == kept else _files(index, there[through])[0],
            rulings.duplicate_of.get(there[row].id) == keeper.id,
        )  # fmt: skip
        others += [replace(one, path=path) for path in _files(index, there[row])]
    drop += sorted(others, key=lambda one: (-one.similarity, one.path))
    return DuplicateGroup(first, keeper.id, tuple(drop))


def _same_bytes(index: Host, grouped: set[str]) -> Iterator[DuplicateGroup]:
    """Files that lie at several paths, of specimens that are in no group."""
    several = sorted(index.collection.catalog.several_paths() - grouped)
    for one in index.collection.get(several).values():
        first, *again = _files(index, one)
        yield DuplicateGroup(first, one.id, tuple(Duplicate(path, one.id, 1.0, "bytes", 1.0) for path in again))


def _has_file(specimen: Specimen) -> bool:
    return bool(specimen.paths) or not specimen.sha256


def _files(index: Host, specimen: Specimen) -> list[str]:
    """The paths of a specimen; its id where vectors came without files."""
    return [to_text(index.roots.join(*record.key)) for record in specimen.paths] or [specimen.id]
