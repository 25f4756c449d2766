"""The specimens of an index: the store, which holds them, and the catalog, which follows it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from morphoindex.errors import IndexDamaged
from morphoindex.indexer.settings import EncoderEntry
from morphoindex.indexer.specimen import STAMP, Specimen, from_payload, point_id, stamp, stamp_text
from morphoindex.indexer.storage.filters import Compare, Filter, Key
from morphoindex.indexer.storage.qdrant import batches, choose_vector
from morphoindex.indexer.storage.vectors import FieldKind, Hit, Payload, Point, VectorStore
from morphoindex.indexer.tables.catalog import Catalog, Refused

FIELDS: dict[Key, FieldKind] = {
    "revision": "integer", "cluster": "keyword", "format": "keyword", "capture.camera": "keyword",
    "capture.time": "datetime", "capture.latitude": "float", "capture.longitude": "float", "width": "integer",
    "height": "integer", "capture.frame": "keyword", "duplicate_of": "keyword",
}  # fmt: skip
"""Payload keys with an index, besides the labels."""


@dataclass(frozen=True)
class Vectors:
    """Specimens side by side with their vectors, in order of id: row i of `matrix` [n, d] belongs to `specimens[i]`."""

    specimens: tuple[Specimen, ...]
    matrix: NDArray[np.float32]


@dataclass(frozen=True)
class CaughtUp:
    """What the catalog had missed: specimens written, and specimens that the store no longer has."""

    written: int = 0
    gone: int = 0


class Collection:
    """The one way to write specimens.

    Every write goes to the store first, under the next revision number, then to the catalog. So whatever is cut off
    between any two steps, the store has all that the catalog has, but for what was being removed: what it has beyond
    that bears a higher revision than the catalog has seen, and once that is taken in, the two are equal exactly if
    their counts are. (`catch_up` also compares the newest revision, which tells of a store that lost its last writes
    with the power, or was put back from a backup.)

    Attributes:
        stamp_key: of the encoder that it works with.
        unfinished: a write was cut off, by an error or an interruption; to be opened anew before the next one.
    """

    def __init__(self, store: VectorStore, catalog: Catalog) -> None:
        self.store = store
        self.catalog = catalog
        self.stamp_key = STAMP
        self.unfinished = False
        self._revision = 0

    def work_with(self, encoder: EncoderEntry) -> None:
        """Have all calls write, read and search the vectors of this encoder.

        Raises:
            StoreError: the store has none of that name.
        """
        self.store.vector_name = choose_vector(self.store.vectors, encoder.name, "The store")
        self.stamp_key = encoder.stamp_key

    def catch_up(self) -> CaughtUp:
        """Bring the catalog up to the store. Where it is, that takes two counts."""
        self._revision = self.catalog.revision()
        written = self._take_in(Compare("revision", ">", self._revision))
        if self._equal():
            return CaughtUp(written)
        before = self.catalog.specimens()
        self.catalog.clear()
        there = self._take_in(None)
        return CaughtUp(written + max(0, there - before), max(0, before - there))

    def put(self, specimens: Sequence[Specimen], vectors: NDArray[np.float32], refused: Sequence[Refused] = ()) -> None:
        """Write specimens whole, with their vectors [n, d], and refused paths for the ledger."""
        with self._writing():
            revision = self._next() if specimens else self._revision
            stamped = [
                _stamped(specimen, self.stamp_key, vector).changed(revision=revision)
                for specimen, vector in zip(specimens, vectors, strict=True)
            ]
            if stamped:
                self.store.upsert([_point(one, vector) for one, vector in zip(stamped, vectors, strict=True)])
            self.catalog.put(stamped, refused, revision)

    def change(self, specimens: Sequence[Specimen]) -> None:
        """Write the metadata of specimens that are in the store already."""
        if not specimens:
            return
        with self._writing():
            revision = self._next()
            stamped = [specimen.changed(revision=revision) for specimen in specimens]
            self.store.set_payloads([(specimen.payload(), [specimen.point]) for specimen in stamped])
            self.catalog.put(stamped, revision=revision)

    def embed(self, vectors: Mapping[str, NDArray[np.float32]]) -> None:
        """Give specimens, by id, their vectors [d] of the encoder worked with, beside those of others that they have.

        The vector goes first: one without its stamp does not count, and is written again. Unknown ids are passed over.
        """
        specimens = self.get(list(vectors)).values()
        if not specimens:
            return
        with self._writing():
            self.store.put_vectors({one.point: vectors[one.id] for one in specimens})
            self.change([_stamped(one, self.stamp_key, vectors[one.id]) for one in specimens])

    def stamp_early(self) -> None:
        """Stamp the vectors of specimens that an early version stored without; they are those of its one encoder."""
        for ids in batches(self.catalog.unstamped(), 512):
            points = self.store.retrieve([point_id(specimen) for specimen in ids], vectors=True)
            self.change([_stamped(specimen_of(p), STAMP, p.vector) for p in points if p.vector is not None])

    def forget_vectors(self, key: str) -> None:
        """Have no specimen claim a vector under this stamp key any more."""
        with self._writing():
            revision = self._next()
            points = [point_id(specimen) for specimen in self.catalog.stamps(key)]
            self.store.set_payloads([({key: None, "revision": revision}, points)])
            self.catalog.unstamp(key, revision)

    def assign(
        self,
        clusters: Mapping[tuple[str | None, str | None], Sequence[str]],
        probabilities: Mapping[float, Sequence[str]] | None = None,
    ) -> None:
        """Write cluster memberships, with one call of the store for each cluster and for each probability.

        Args:
            clusters: (`Specimen.cluster`, `Specimen.grouped`) → ids of the specimens that now have these.
            probabilities: probability → ids of the specimens that now have it.
        """
        probabilities = probabilities or {}
        payloads: list[tuple[Payload, Sequence[str]]] = [
            *(({"cluster": cluster, "grouped": grouped}, ids) for (cluster, grouped), ids in clusters.items()),
            *(({"probability": probability}, ids) for probability, ids in probabilities.items()),
        ]
        if not payloads:
            return
        with self._writing():
            revision = self._next()
            self.store.set_payloads(
                [({**payload, "revision": revision}, [point_id(i) for i in ids]) for payload, ids in payloads]
            )
            self.catalog.assign(clusters, probabilities, revision)

    def tag(self, tags: Mapping[str | None, Sequence[str]]) -> None:
        """Write `Specimen.duplicate_of`: value → ids of the specimens that now have it."""
        if not tags:
            return
        with self._writing():
            revision = self._next()
            self.store.set_payloads(
                [
                    ({"duplicate_of": kept, "revision": revision}, [point_id(i) for i in ids])
                    for kept, ids in tags.items()
                ]
            )
            self.catalog.tag(tags, revision)

    def remove(self, ids: Sequence[str]) -> None:
        """Delete specimens."""
        with self._writing():
            self.store.delete([point_id(specimen) for specimen in ids])
            self.catalog.remove(ids)

    def get(self, ids: Sequence[str]) -> dict[str, Specimen]:
        """Those of these specimens that are in the store, by id."""
        found = self.store.retrieve([point_id(specimen) for specimen in ids])
        return {specimen.id: specimen for specimen in map(specimen_of, found)}

    def vector(self, specimen: str) -> NDArray[np.float32] | None:
        """The vector [d] of a specimen, None if it is not in the store."""
        found = self.store.retrieve([point_id(specimen)], vectors=True)
        return found[0].vector if found else None

    def scroll(self, where: Filter | None = None) -> Iterator[list[Specimen]]:
        """All specimens that match, batch by batch, in the order of their points."""
        for points in self.store.scroll(where):
            yield [specimen_of(point) for point in points]

    def load(self, where: Filter | None = None) -> Vectors:
        """All specimens that match, with their vectors, in memory."""
        specimens: list[Specimen] = []
        parts: list[NDArray[np.float32]] = []
        for points in self.store.scroll(where, vectors=True):
            kept = [(specimen_of(point), point.vector) for point in points if point.vector is not None]
            specimens += [specimen for specimen, _ in kept]
            if kept:
                parts.append(np.stack([vector for _, vector in kept]))
        if not parts:
            return Vectors((), np.empty((0, 0), np.float32))
        matrix = np.concatenate(parts)
        order = sorted(range(len(specimens)), key=lambda i: specimens[i].id)
        return Vectors(tuple(specimens[i] for i in order), matrix[order])

    def index_fields(self, keys: Iterable[tuple[Key, FieldKind]]) -> None:
        """Have filters on these keys answered from an index."""
        for key, kind in keys:
            self.store.index_field(key, kind)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        self.unfinished = True
        yield
        self.unfinished = False

    def _next(self) -> int:
        self._revision += 1
        return self._revision

    def _equal(self) -> bool:
        newest, holders = self.catalog.newest()
        return (
            self.store.count() == self.catalog.specimens()
            and self.store.count(Compare("revision", ">=", newest)) == holders
        )

    def _take_in(self, where: Filter | None) -> int:
        taken = 0
        for specimens in self.scroll(where):
            self._revision = max(self._revision, *(specimen.revision for specimen in specimens))
            self.catalog.put(specimens)
            taken += len(specimens)
        if taken:
            self.catalog.put((), revision=self._revision)
        return taken


def specimen_of(point: Point | Hit) -> Specimen:
    """The specimen that a point holds.

    Raises:
        IndexDamaged: it holds none.
    """
    try:
        return from_payload(point.payload)
    except (KeyError, TypeError, AttributeError) as error:
        raise IndexDamaged(
            f"point {point.id} of the store is not a specimen ({error}): take it out of the store, or restore the "
            "store from a backup"
        ) from error


def _point(specimen: Specimen, vector: NDArray[np.float32]) -> Point:
    payload = {key: value for key, value in specimen.payload().items() if value is not None}
    return Point(specimen.point, payload, vector)


def _stamped(specimen: Specimen, key: str, vector: NDArray[np.float32]) -> Specimen:
    return specimen.changed(stamps={**specimen.stamps, key: stamp_text(stamp(vector))})
