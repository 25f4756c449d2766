"""The arrays of a forest that have a row for each specimen, and room for more."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from morphoindex.indexer.clustering.distances import Vectors, margin
from morphoindex.indexer.clustering.neighbours import Lists, shorten
from morphoindex.indexer.clustering.trees import Points
from morphoindex.indexer.specimen import stamp

_HEXADECIMAL = re.compile(r"[0-9a-f]{32}")


def ids_of(keys: Sequence[str]) -> NDArray[np.uint64]:
    """What orders specimens: content ids as numbers of 128 bits; other keys by a hash of theirs.

    Returns:
        uint64 [n, 2], the higher half first.
    """
    whole = b"".join(
        bytes.fromhex(key) if _HEXADECIMAL.fullmatch(key) else hashlib.blake2b(key.encode(), digest_size=16).digest()
        for key in keys
    )
    return np.frombuffer(whole, ">u8").reshape(-1, 2).astype(np.uint64)


def stamps_of(vectors: NDArray[np.generic]) -> NDArray[np.uint64]:
    """The stamps of vectors [n, d], uint64 [n]."""
    return np.array([stamp(row) for row in np.ascontiguousarray(vectors)], np.uint64)


@dataclass
class Rows:
    """One row a specimen, in the order of arrival; arrays are longer than `count` where there is room for more.

    Attributes:
        count: n, the rows in use.
        vectors: float [n, d]; squares: [n], their squared lengths.
        ids: uint64 [n, 2], see `ids_of`.
        stamps: uint64 [n], see `stamps_of`.
        near, far, known: the neighbour lists, see `neighbours.Lists`.
    """

    count: int
    vectors: Vectors
    squares: Vectors
    ids: NDArray[np.uint64]
    stamps: NDArray[np.uint64]
    near: NDArray[np.int32]
    far: NDArray[np.float64]
    known: NDArray[np.int32]

    @classmethod
    def empty(cls, dim: int, dtype: np.dtype[np.floating], room: int) -> Rows:
        """No rows yet, for vectors of `dim` and lists of `room` neighbours."""
        return cls(
            0, np.empty((0, dim), dtype), np.empty(0, dtype), np.empty((0, 2), np.uint64),
            np.empty(0, np.uint64), np.empty((0, room), np.int32), np.empty((0, room)), np.empty(0, np.int32),
        )  # fmt: skip

    @property
    def lists(self) -> Lists:
        """The neighbour lists of the rows in use."""
        return Lists(self.near[: self.count], self.far[: self.count], self.known[: self.count])

    @property
    def points(self) -> Points:
        """What distances are worked out from."""
        squares = self.squares[: self.count]
        dim = self.vectors.shape[1]
        return Points(
            self.vectors[: self.count], self.ids[: self.count],
            margin(dim, float(squares.max(initial=0)), self.vectors.dtype),
        )  # fmt: skip

    def first(self, n: int) -> Rows:
        """The first n rows, sharing their memory."""
        return Rows(n, **{name: getattr(self, name)[:n] for name in ARRAYS})

    def reserve(self, count: int) -> None:
        """Make room for so many rows, and an eighth more."""
        if count > len(self.vectors):
            self._resize(count * 9 // 8 + 16)

    def append(self, ids: NDArray[np.uint64], stamps: NDArray[np.uint64], vectors: Vectors) -> None:
        """Add rows with empty lists."""
        n, m = self.count, len(ids)
        self.reserve(n + m)
        new = slice(n, n + m)
        self.vectors[new] = vectors
        self.squares[new] = np.einsum("ij,ij->i", vectors, vectors)
        self.ids[new] = ids
        self.stamps[new] = stamps
        self.count = n + m
        self.clear_lists(new)

    def keep(self, kept: NDArray[np.bool_]) -> None:
        """Leave only these rows, bool [n]; lists lose those that are gone and name the others by their new rows."""
        n = self.count
        number = (np.cumsum(kept, dtype=np.int32) - 1).astype(np.int32)
        shorten(self.near[:n], self.far[:n], self.known[:n], kept, number)
        self.count = int(kept.sum())
        for name in ARRAYS:
            array = getattr(self, name)
            setattr(self, name, array[:n][kept])

    def clear_lists(self, rows: slice | NDArray[np.int32]) -> None:
        """Empty the lists of some rows."""
        self.near[rows] = -1
        self.far[rows] = np.inf
        self.known[rows] = 0

    def _resize(self, capacity: int) -> None:
        for name in ARRAYS:
            array = getattr(self, name)
            larger = np.empty((capacity, *array.shape[1:]), array.dtype)
            larger[: self.count] = array[: self.count]
            setattr(self, name, larger)


ARRAYS = tuple(field.name for field in fields(Rows) if field.name != "count")
