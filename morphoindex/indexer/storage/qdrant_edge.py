"""The embedded store: Qdrant Edge, a folder that one process at a time has open.

Vectors lie under the dot product, not the cosine: for unit vectors the two are the same number, and Qdrant hands back
under the first the very bytes it was given, while under the second it scales what is off unit length by more than 1e-6.

Every write goes through Edge's write-ahead log, so that what has returned survives a kill of the process. `flush`
brings it onto the disk itself and empties the log; it is called every so many points, and at the end.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import qdrant_edge as edge
from numpy.typing import NDArray

from morphoindex.errors import StoreError
from morphoindex.indexer.cores import usable_cores
from morphoindex.indexer.storage.edge_errors import damaged, translated
from morphoindex.indexer.storage.filters import Filter, Key
from morphoindex.indexer.storage.qdrant import (
    Dialect,
    batches,
    best,
    check_new,
    check_payload,
    check_point,
    check_vector,
    choose_vector,
    cosine,
    list_of,
    path,
    translate,
)
from morphoindex.indexer.storage.vectors import FieldKind, Hit, Payload, Point

RECORD = "morphoindex.json"
BATCH = 1000
FLUSH_EVERY = 20_000  # points; reading so many from the log again takes half a second at the next open
# Kilobytes of vectors without a search graph from which `optimize` builds one. Looking at 100 MB takes some 7 ms on two
# cores, the graph 0.6 ms; building it takes over a minute, and setting payloads takes the points out of it again.
GRAPH_FROM_KB = 100_000
EF = 256  # candidates that `nearest` keeps while it walks the graph, at least
# Free space that Edge must find before it opens or writes. It writes to files mapped into memory, with holes in them:
# where the disk has no block for a hole, the system kills the process (SIGBUS), and nobody gets to say why.
ROOM = 96 << 20

KINDS = {
    "keyword": edge.PayloadSchemaType.Keyword,
    "integer": edge.PayloadSchemaType.Integer,
    "float": edge.PayloadSchemaType.Float,
    "datetime": edge.PayloadSchemaType.Datetime,
}


class EdgeStore:
    """Specimens in a folder; see `VectorStore`. Made by `create` and `open`.

    Attributes:
        folder: where it lies.
        vectors: dimension of each named vector.
        vector_name: the one that all calls work on.
    """

    def __init__(self, shard: Any, folder: Path, vectors: Mapping[str, int], vector_name: str, clean: bool) -> None:
        self.folder = folder
        self.vectors = dict(vectors)
        self.vector_name = vector_name
        self._shard: Any = shard
        self._clean = clean
        self._unflushed = 0
        self._kinds = _index_kinds(shard)

    @classmethod
    def create(cls, folder: Path, vectors: Mapping[str, int], vector_name: str | None = None) -> EdgeStore:
        """Make an empty store in a folder that is new or empty.

        Args:
            folder: where; made with its parents.
            vectors: name → dimension, one per encoder.
            vector_name: the one to work on; the first if None.
        """
        name = choose_vector(vectors, vector_name, f"The new store in {folder}")
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise StoreError(f"{folder} is not an empty folder; a new store needs one.")
        config = edge.EdgeConfig(
            vectors={n: edge.EdgeVectorParams(size=size, distance=edge.Distance.Dot) for n, size in vectors.items()},
            optimizers=edge.EdgeOptimizersConfig(indexing_threshold=GRAPH_FROM_KB),
        )
        with translated(folder):
            folder.mkdir(parents=True, exist_ok=True)
            try:
                _check_room(folder)
                shard = edge.EdgeShard.create(str(folder), config)
                shard.flush()
                _write_record(folder, vectors, 0)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)  # it was empty
                raise
        return cls(shard, folder, vectors, name, clean=True)

    @classmethod
    def open(cls, folder: Path, vector_name: str | None = None) -> EdgeStore:
        """Open the store in a folder.

        Raises:
            StoreError: another process has it open, or it may not be read.
            IndexDamaged: there is none, or a part of it is missing or unreadable.
        """
        vectors, points = _read_record(folder)
        name = choose_vector(vectors, vector_name, f"The store in {folder}")
        if points and not any(folder.glob("segments/*/segment.json")):
            raise damaged(folder, "its segments are missing")  # Edge would go on with an empty store
        if points and any(
            not path.with_name("version.info").is_file() for path in folder.glob("segments/*/segment.json")
        ):
            raise damaged(folder, "version.info of a segment is missing")  # Edge would delete the segment
        with translated(folder, opening=True):
            _check_room(folder)
            shard = edge.EdgeShard.load(str(folder))
            try:
                _verify(shard, folder, vectors, points)
            except BaseException:
                shard.close()
                raise
        return cls(shard, folder, vectors, name, clean=points is not None)

    def upsert(self, points: Sequence[Point]) -> None:
        """Write points whole: payload and vector. The same id again replaces the former point."""
        name, size = self.vector_name, self.vectors[self.vector_name]
        for batch in batches(points, BATCH):
            rows = [(point, check_point(point, size)) for point in batch]
            with self._writing(len(batch)) as shard:
                made = [edge.Point(point.id, {name: vector}, dict(point.payload)) for point, vector in rows]
                shard.update(edge.UpdateOperation.upsert_points(made))

    def add_vectors(self, name: str, size: int) -> None:
        """Have room for a further vector of this name and dimension, that no point has yet; repeating it is nothing."""
        if check_new(self.vectors, name, size, f"The store in {self.folder}"):
            with self._writing(0) as shard:
                # What a kill has left of a former attempt, before the record had it, may be of another dimension.
                shard.update(edge.UpdateOperation.delete_vector_name(name))
                shard.update(edge.UpdateOperation.create_dense_vector(name, size, edge.Distance.Dot))
                self.vectors[name] = size
                _write_record(self.folder, self.vectors, None)

    def drop_vectors(self, name: str) -> None:
        """Remove the vectors of this name from all points, and the name; not that of `vector_name`."""
        choose_vector(self.vectors, name, f"The store in {self.folder}")
        with self._writing(0) as shard:
            del self.vectors[name]
            _write_record(self.folder, self.vectors, None)  # first: what it has must be there
            shard.update(edge.UpdateOperation.delete_vector_name(name))

    def put_vectors(self, vectors: Mapping[str, NDArray[np.float32]]) -> None:
        """Give points, by id, a vector [d] beside those of other names that they have. Unknown ids are passed over."""
        name, size = self.vector_name, self.vectors[self.vector_name]
        for batch in batches(list(vectors), BATCH):
            rows = {id_: check_vector(id_, vectors[id_], size) for id_ in batch}
            with self._writing(len(batch)) as shard:
                there = [str(record.id) for record in shard.retrieve(list(batch), False, False)]
                made = [edge.PointVectors(id_, {name: rows[id_]}) for id_ in there]
                if made:
                    shard.update(edge.UpdateOperation.update_vectors(made))

    def set_payloads(self, changes: Sequence[tuple[Payload, Sequence[str]]]) -> None:
        """Per change: set these top-level payload keys (others stay) on these points. Applied in order."""
        for payload, ids in changes:
            check_payload(payload, f"{len(ids)} points")
            for batch in batches(ids, BATCH):
                with self._writing(len(batch)) as shard:
                    # By condition: a plain list of ids is an error when one of them is not there.
                    these = edge.Filter(must=[edge.HasIdCondition(set(batch))])
                    shard.update(edge.UpdateOperation.set_payload_by_filter(these, dict(payload)))

    def delete(self, ids: Sequence[str]) -> None:
        """Remove points; ids that are not there are passed over."""
        for batch in batches(ids, BATCH):
            with self._writing(len(batch)) as shard:
                shard.update(edge.UpdateOperation.delete_points(list(batch)))

    def retrieve(self, ids: Sequence[str], *, vectors: bool = False) -> list[Point]:
        """The points of these ids, in the order asked for; ids that are not there are left out."""
        found: dict[str, Point] = {}
        for batch in batches(ids, BATCH):
            with self._reading() as shard:
                for record in shard.retrieve(list(batch), True, self._with_vector(vectors)):
                    point = self._point(record, vectors)
                    found[point.id] = point
        return [found[id_] for id_ in ids if id_ in found]

    def scroll(self, where: Filter | None = None, *, vectors: bool = False, batch: int = 2048) -> Iterator[list[Point]]:
        """All points that match, each once, in lists of at most `batch`, ordered by id. Memory is that of one batch."""
        offset = None
        while True:
            with self._reading() as shard:
                request = edge.ScrollRequest(
                    offset=offset,
                    limit=batch,
                    filter=self._filter(where),
                    with_payload=True,
                    with_vector=self._with_vector(vectors),
                )
                records, offset = shard.scroll(request)
                points = [self._point(record, vectors) for record in records]
            if points:
                yield points
            if offset is None:
                return

    def search(self, vector: NDArray[np.float32], k: int, where: Filter | None = None) -> list[Hit]:
        """The k nearest by cosine among those that match, best first; equal scores by id."""

        def ask(limit: int) -> list[Hit]:
            with self._reading() as shard:
                nearest = edge.Query.Nearest(list_of(vector), using=self.vector_name)
                request = edge.QueryRequest(limit=limit, query=nearest, filter=self._filter(where), with_payload=True)
                found = shard.query(request)
                return [Hit(str(point.id), cosine(point.score), point.payload or {}) for point in found]

        return best(ask, k)

    def nearest(self, vectors: NDArray[np.float32], k: int) -> list[list[str]]:
        """For each vector [m, d] the ids of its k nearest, best first, as the search graph finds them."""
        if k < 1:
            return [[] for _ in vectors]
        with self._reading() as shard, ThreadPoolExecutor(usable_cores()) as pool:
            wide = edge.SearchParams(hnsw_ef=max(EF, 2 * k))

            def ask(vector: NDArray[np.float32]) -> list[str]:
                query = edge.Query.Nearest(list_of(vector), using=self.vector_name)
                return [str(point.id) for point in shard.query(edge.QueryRequest(limit=k, query=query, params=wide))]

            return list(pool.map(ask, vectors))

    def count(self, where: Filter | None = None) -> int:
        """How many points match, exactly."""
        with self._reading() as shard:
            return int(shard.count(edge.CountRequest(exact=True, filter=self._filter(where))))

    def index_field(self, key: Key, kind: FieldKind) -> None:
        """Have filters on this payload key answered from an index. Repeating it costs next to nothing."""
        at = path(key)
        if self._kinds.get(at) != kind:
            with self._writing(0) as shard:
                shard.update(edge.UpdateOperation.create_field_index(at, KINDS[kind]))
                self._kinds = _index_kinds(shard)

    def optimize(self) -> bool:
        """Build the search graph (HNSW) if enough unindexed vectors have gathered; say whether it was done.

        Gives back the room of removed points, too, where they are more than a fifth.
        """
        with self._writing(0) as shard:
            return bool(shard.optimize()) and shard.info().indexed_vectors_count > 0

    def flush(self) -> None:
        """Bring everything written so far onto the disk, so that it survives a loss of power as well."""
        with self._reading() as shard:
            shard.flush()
            self._unflushed = 0

    def close(self) -> None:
        """Write out what is pending and let go of it. A second time does nothing."""
        if self._shard is None:
            return
        shard, self._shard = self._shard, None
        with translated(self.folder):
            try:
                if not self._clean:
                    shard.flush()
                    _write_record(self.folder, self.vectors, shard.count(edge.CountRequest(exact=True)))
            finally:
                shard.close()

    @contextlib.contextmanager
    def _reading(self) -> Iterator[Any]:
        if self._shard is None:
            raise StoreError(f"The store in {self.folder} has been closed.")
        with translated(self.folder):
            yield self._shard

    @contextlib.contextmanager
    def _writing(self, points: int) -> Iterator[Any]:
        """The shard, for a write of so many points; before the first one, the record says that the count is open."""
        with self._reading() as shard:
            _check_room(self.folder)
            if self._clean:
                _write_record(self.folder, self.vectors, None)
                self._clean = False
            yield shard
            self._unflushed += points
        if self._unflushed >= FLUSH_EVERY:
            self.flush()

    def _filter(self, where: Filter | None) -> Any:
        return None if where is None else translate(where, EDGE, self._kinds)

    def _with_vector(self, wanted: bool) -> bool | list[str]:
        return [self.vector_name] if wanted else False

    def _point(self, record: Any, vectors: bool) -> Point:
        values = (record.vector or {}).get(self.vector_name) if vectors else None
        vector = None if values is None else np.array(values, dtype=np.float32)
        return Point(str(record.id), record.payload or {}, vector)


def _check_room(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < ROOM:
        raise StoreError(f"The disk that holds {folder} is full ({free >> 20} MB free): make room and try again.")


def _index_kinds(shard: Any) -> dict[str, str]:
    names = {schema: kind for kind, schema in KINDS.items()}
    return {at: names.get(index.data_type, "other") for at, index in shard.info().payload_schema.items()}


def _time(value: datetime) -> str:
    return value.isoformat(timespec="microseconds")


def _equals(at: str, value: str | int | bool) -> Any:
    # MatchValue reads True as the integer 1 (qdrant-edge 0.9); it takes numpy's for what it is.
    meant: Any = np.bool_(value) if isinstance(value, bool) else value
    return edge.FieldCondition(at, match=edge.MatchValue(meant))


EDGE = Dialect(
    equals=_equals,
    in_range=lambda at, bounds: edge.FieldCondition(at, range=edge.RangeFloat(**bounds)),
    in_time=lambda at, bounds: edge.FieldCondition(
        at, range=edge.RangeDateTime(**{name: _time(value) for name, value in bounds.items()})
    ),
    is_empty=edge.IsEmptyCondition,
    every=lambda conditions: edge.Filter(must=conditions),
    some=lambda conditions: edge.Filter(should=conditions),
    none=lambda conditions: edge.Filter(must_not=conditions),
)


# --- the record: what Edge itself does not notice -----------------------------------------------------------------
# When files of a segment are missing, Edge opens the rest, down to an empty store. So the number of points stands in a
# file beside them whenever the store was closed in order, and is compared at the next opening.


def _write_record(folder: Path, vectors: Mapping[str, int], points: int | None) -> None:
    """Replace the record in one step; `points` None: being written to."""
    draft = folder / (RECORD + ".new")
    with draft.open("w", encoding="utf-8") as file:
        json.dump({"vectors": dict(vectors), "points": points}, file)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(folder / RECORD)


def _read_record(folder: Path) -> tuple[dict[str, int], int | None]:
    """The dimension per vector name, and how many points there should be; None where that is not known."""
    for name in (RECORD, "edge_config.json"):  # the second is Edge's own, for when a kill came before the first
        try:
            record = json.loads((folder / name).read_text(encoding="utf-8"))
            sizes = {
                str(vector): int(size["size"] if isinstance(size, dict) else size)
                for vector, size in record["vectors"].items()
            }
            points = record.get("points")
            return sizes, None if points is None else int(points)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise StoreError(f"The store in {folder} cannot be read: {error.strerror}.") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise damaged(folder, f"{name} cannot be read") from error
    raise damaged(folder, f"{RECORD} is missing")


def _verify(shard: Any, folder: Path, vectors: Mapping[str, int], points: int | None) -> None:
    """Raise IndexDamaged where the number of points is not that of the record, or a point cannot be read whole."""
    there = shard.count(edge.CountRequest(exact=True))
    if points is not None and there != points:
        raise damaged(folder, f"it holds {there} of {points} points")
    if not there:
        return
    first = shard.scroll(edge.ScrollRequest(limit=1, with_payload=True, with_vector=True))[0][0]
    if not (first.vector or {}).keys() & vectors.keys():
        raise damaged(folder, "its vectors are missing")
