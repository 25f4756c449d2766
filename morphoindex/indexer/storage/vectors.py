"""The protocol of a vector store: where the specimens live."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from morphoindex.indexer.storage.filters import Filter, Key

Payload = Mapping[str, Any]
FieldKind = Literal["keyword", "integer", "float", "datetime"]


@dataclass(frozen=True)
class Point:
    """One specimen as it is stored.

    Attributes:
        id: UUID in its canonical form (8-4-4-4-12, lower case).
        payload: the whole metadata, JSON values only.
        vector: unit vector float32 [d]; None where it was not asked for.
    """

    id: str
    payload: Payload
    vector: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Hit:
    """A search result; `score` is the cosine, in [-1, 1]."""

    id: str
    score: float
    payload: Payload


class VectorStore(Protocol):
    """What the index asks of a vector store.

    Every call raises StoreError when it fails, or IndexDamaged where what is stored cannot be read; nothing else.
    A write that has returned survives a kill of the process. A vector is given back with the very bytes it had.
    A store may hold several vectors per point under different names, and a point may lack some of them. Calls work on
    that of `vector_name`, which may be set to another at any time.

    Attributes:
        vectors: dimension of each named vector.
        vector_name: the one that is written, read and searched; one of them.
    """

    vectors: dict[str, int]
    vector_name: str

    def upsert(self, points: Sequence[Point]) -> None:
        """Write points whole: payload and vector. The same id again replaces the former point and all its vectors."""

    def add_vectors(self, name: str, size: int) -> None:
        """Have room for a further vector of this name and dimension, that no point has yet; repeating it is nothing."""

    def drop_vectors(self, name: str) -> None:
        """Remove the vectors of this name from all points, and the name; not that of `vector_name`."""

    def put_vectors(self, vectors: Mapping[str, NDArray[np.float32]]) -> None:
        """Give points, by id, a vector [d] beside those of other names that they have. Unknown ids are passed over."""

    def set_payloads(self, changes: Sequence[tuple[Payload, Sequence[str]]]) -> None:
        """Per change: set these top-level payload keys (others stay) on these points. Applied in order.

        None as a value removes the key. Ids that are not there are passed over.
        """

    def delete(self, ids: Sequence[str]) -> None:
        """Remove points; ids that are not there are passed over."""

    def retrieve(self, ids: Sequence[str], *, vectors: bool = False) -> list[Point]:
        """The points of these ids, in the order asked for; ids that are not there are left out."""

    def scroll(self, where: Filter | None = None, *, vectors: bool = False, batch: int = 2048) -> Iterator[list[Point]]:
        """All points that match, each once, in lists of at most `batch`, ordered by id. Memory is that of one batch."""

    def search(self, vector: NDArray[np.float32], k: int, where: Filter | None = None) -> list[Hit]:
        """The k nearest by cosine among those that match, best first; equal scores by id."""

    def nearest(self, vectors: NDArray[np.float32], k: int) -> list[list[str]]:
        """For each vector [m, d] the ids of its k nearest, best first, as the search graph finds them.

        Quicker than `search` by far where many are asked for; equal scores come in any order.
        """

    def count(self, where: Filter | None = None) -> int:
        """How many points match, exactly."""

    def index_field(self, key: Key, kind: FieldKind) -> None:
        """Have filters on this payload key answered from an index. Repeating it costs next to nothing.

        `kind` must be that of the values: those of another kind may no longer be found by order operators.
        """

    def optimize(self) -> bool:
        """Build the search graph (HNSW) if enough unindexed vectors have gathered; say whether it was done."""

    def close(self) -> None:
        """Write out what is pending and let go of it."""
