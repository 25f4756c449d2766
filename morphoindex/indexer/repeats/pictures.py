"""The pictures of specimens, read again to be compared with each other; and what came of that, kept."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from morphoindex.errors import ImageRefused
from morphoindex.indexer.cores import usable_cores
from morphoindex.indexer.encoding.reading import read_file
from morphoindex.indexer.files.record_file import RecordFile
from morphoindex.indexer.host import Host
from morphoindex.indexer.paths import to_text
from morphoindex.indexer.photographs.images import decode
from morphoindex.indexer.photographs.still_shown import CHANGED, GONE, shows
from morphoindex.indexer.results.common import Refusal
from morphoindex.indexer.results.duplicates import Comparing
from morphoindex.indexer.specimen import Specimen, point_id

if TYPE_CHECKING:
    from morphoindex.indexer.selection.matching import Match
    from morphoindex.indexer.selection.sketches import Sketch

Made = TypeVar("Made")
HOW = ("none", "frame", "points")
FOLDER = "graph/pictures"
"""Beside the neighbour graphs in an index folder, and thrown away with them by `rebuild`."""
_VERSION = 1  # of what pictures are compared by: raised when it changes, so that all are compared again
_POINT = np.dtype([("high", ">u8"), ("low", ">u8")])
_VERDICT = np.dtype([("one", _POINT), ("other", _POINT), ("agreement", "<f4"), ("how", "u1")])
_SHARP = np.dtype([("id", _POINT), ("sharpness", "<f8")])
_KEPT = 8192  # sketches in memory, 40 KB each
_BLOCK = 128  # specimens whose pairs are compared together
_COVER = (192, 192)
NOWHERE = "none of its files is where it was"


class Verdicts:
    """How pairs of specimens agree, as far as anybody has compared them. Keyed by content, so they hold for good.

    Args:
        folder: the index folder.
        ids: the specimens in question; pairs are pairs of their places.
    """

    def __init__(self, folder: Path, ids: Sequence[str]) -> None:
        self._file = RecordFile(folder / FOLDER / f"pairs-{_VERSION}", _VERDICT)
        self._points = points_of(ids)
        records = self._file.read()
        one, other = (_rows(self._points, records[name]) for name in ("one", "other"))
        there = (one >= 0) & (other >= 0)
        code = (np.minimum(one, other) * len(ids) + np.maximum(one, other))[there]
        order = np.argsort(code, kind="stable")
        self._code, self._records = code[order], records[there][order]

    def of(self, pairs: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
        """Agreement float64 [p] and number in `HOW` uint8 [p] of pairs int64 [p, 2], the lower row first.

        NaN where they were not compared when this was made.
        """
        agreement, how = np.full(len(pairs), np.nan), np.zeros(len(pairs), np.uint8)
        if len(pairs) and len(self._code):
            wanted = pairs[:, 0] * len(self._points) + pairs[:, 1]
            place = np.minimum(np.searchsorted(self._code, wanted), len(self._code) - 1)
            found = np.flatnonzero(self._code[place] == wanted)
            records = self._records[place[found]]
            agreement[found], how[found] = records["agreement"], records["how"]
        return agreement, how

    def add(self, pairs: Sequence[tuple[int, int]], matches: Sequence[Match]) -> None:
        """Keep what came of comparing pairs."""
        records = np.zeros(len(pairs), _VERDICT)
        for i, ((one, other), match) in enumerate(zip(pairs, matches, strict=True)):
            records[i] = self._points[one], self._points[other], match.agreement, HOW.index(match.how)
        self._file.append(records)


def points_of(ids: Sequence[str]) -> NDArray[Any]:
    """The 16 bytes under which each specimen is stored."""
    return np.frombuffer(b"".join(bytes.fromhex(point_id(i).replace("-", "")) for i in ids), _POINT)


def _rows(points: NDArray[Any], asked: NDArray[Any]) -> NDArray[np.int64]:
    """The row of each point asked for, -1 where it is not there."""
    if not len(points):
        return np.full(len(asked), -1, np.int64)
    order = np.argsort(points["high"], kind="stable")
    place = np.minimum(np.searchsorted(points["high"][order], asked["high"]), len(points) - 1)
    rows = order[place]
    return np.where(points[rows] == asked, rows, -1)


class Pictures:
    """Reads the pictures of specimens in several threads.

    Args:
        index: whose specimens.
    """

    def __init__(self, index: Host) -> None:
        self._index = index
        self._sketches: OrderedDict[str, Sketch] = OrderedDict()
        self.unread: dict[str, Refusal] = {}

    def compare(
        self,
        ids: Sequence[str],
        pairs: NDArray[np.int64],
        verdicts: Verdicts,
        report: Callable[[Comparing], None],
    ) -> int:
        """Compare pairs of rows of `ids`, block by block, and keep what comes of it. Says how many were compared.

        Interrupted, it keeps what was done. Between two blocks it lets others have the index who wait for it.
        """
        from morphoindex.indexer.clustering.threads import blas_alone

        done = 0
        report(Comparing(0, len(pairs), 0))
        with blas_alone, ThreadPoolExecutor(usable_cores(), thread_name_prefix="compare") as pool:
            for block in _blocks(pairs):
                self._sketch(pool, [ids[row] for row in np.unique(block).tolist()])
                usable = [(a, b) for a, b in block.tolist() if ids[a] in self._sketches and ids[b] in self._sketches]
                parts = [usable[start : start + 64] for start in range(0, len(usable), 64)]
                found = pool.map(lambda part: self._matches(ids, part), parts)
                verdicts.add(usable, [match for some in found for match in some])
                done += len(usable)
                report(Comparing(done, len(pairs), len(self.unread)))
                while len(self._sketches) > _KEPT:
                    self._sketches.popitem(last=False)
                self._index.pause()
        return done

    def sharpness(self, specimens: Sequence[Specimen]) -> dict[str, float]:
        """How sharp pictures are, by id; those that cannot be read are left out."""
        from morphoindex.indexer.selection.sketches import sharpness

        file = RecordFile(self._index.folder / FOLDER / f"sharpness-{_VERSION}", _SHARP)
        kept = file.read()
        points = points_of([one.id for one in specimens])
        rows = _rows(points, kept["id"])
        there = zip(rows.tolist(), kept["sharpness"].tolist(), strict=True)
        known = {specimens[row].id: value for row, value in there if row >= 0}
        left = [one for one in specimens if one.id not in known]
        with ThreadPoolExecutor(usable_cores(), thread_name_prefix="sharpness") as pool:
            made = pool.map(lambda one: read_picture(self._index, one, None, sharpness), left)
            new = {one.id: value for one, value in zip(left, made, strict=True) if isinstance(value, float)}
        records = np.zeros(len(new), _SHARP)
        records["id"], records["sharpness"] = points_of(list(new)), list(new.values())
        file.append(records)
        return {**known, **new}

    def _matches(self, ids: Sequence[str], pairs: Sequence[tuple[int, int]]) -> list[Match]:
        from morphoindex.indexer.selection.matching import compare

        return [compare(*(self._sketches[i] for i in sorted((ids[a], ids[b])))) for a, b in pairs]

    def _sketch(self, pool: ThreadPoolExecutor, ids: Sequence[str]) -> None:
        from morphoindex.indexer.selection.sketches import sketch

        for one in ids:
            if one in self._sketches:
                self._sketches.move_to_end(one)
        wanted = [one for one in ids if one not in self._sketches and one not in self.unread]
        specimens: Mapping[str, Specimen] = self._index.collection.get(wanted) if wanted else {}
        found = pool.map(lambda one: read_picture(self._index, one, _COVER, sketch), specimens.values())
        for one, made in zip(specimens, found, strict=True):
            if isinstance(made, Refusal):
                self.unread[one] = made
            else:
                self._sketches[one] = made


def read_picture(
    index: Host, one: Specimen, cover: tuple[int, int] | None, make: Callable[[NDArray[np.uint8]], Made]
) -> Made | Refusal:
    """What is made of a picture, from the first of its files that still shows it; else why there is none.

    Args:
        index: whose specimen.
        one: the specimen.
        cover: as for `images.decode`.
        make: from pixels uint8 [H, W, 3].
    """
    refused = Refusal(one.id, NOWHERE)
    for number, record in enumerate(one.paths):
        path = index.roots.join(*record.key)
        try:
            content = read_file(path)
            if not shows(content.data, one):
                raise ImageRefused(CHANGED.words)
            return make(decode(content.data, cover=cover).pixels)
        except ImageRefused as error:
            reason = error.reason if os.path.lexists(path) else GONE.words
            refused = Refusal(to_text(path), reason) if number == 0 else refused
    return refused


def _blocks(pairs: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Pairs with the first of some specimens each; they are to be in an order that keeps near ones together."""
    firsts = np.unique(pairs[:, 0])
    for start in range(0, len(firsts), _BLOCK):
        some = firsts[start : start + _BLOCK]
        begin, end = np.searchsorted(pairs[:, 0], [some[0], some[-1] + 1])
        yield pairs[begin:end]
