"""The store on a Qdrant server or cluster, over HTTP.

The same collection layout as the embedded store: named vectors under the dot product, ids and payloads alike.
"""

from __future__ import annotations

import contextlib
import json
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
from numpy.typing import NDArray
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from morphoindex.errors import MorphoindexError, StoreError
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

BATCH = 256  # points per request: 10 MB of JSON at 2,048 dimensions; Qdrant's limit is 32 MB
IDS_BATCH = 1000
QUERIES = 100  # searches per request
TIMEOUT = 60  # seconds per request
KEY_VARIABLES = ("MORPHOINDEX_QDRANT_API_KEY", "QDRANT_API_KEY")


class ServerStore:
    """Specimens in a collection of a Qdrant server; see `VectorStore`. Made by `create` and `open`.

    An API key is taken from the environment: MORPHOINDEX_QDRANT_API_KEY, or else QDRANT_API_KEY.

    Attributes:
        collection: its name on the server.
        vectors: dimension of each named vector.
        vector_name: the one that all calls work on.
    """

    def __init__(
        self,
        link: _Link,
        collection: str,
        vectors: Mapping[str, int],
        vector_name: str,
        kinds: Mapping[str, str] | None = None,
    ) -> None:
        self.collection = collection
        self.vectors = dict(vectors)
        self.vector_name = vector_name
        self._link = link
        self._kinds = dict(kinds or {})

    @classmethod
    def create(
        cls,
        server: str | QdrantClient,
        collection: str,
        vectors: Mapping[str, int],
        vector_name: str | None = None,
    ) -> ServerStore:
        """Make an empty collection.

        Args:
            server: its URL (without a port, 6333 is taken), or a client, which then stays open at `close`.
            collection: a name that is not taken there.
            vectors: name → dimension, one per encoder.
            vector_name: the one to work on; the first if None.
        """
        name = choose_vector(vectors, vector_name, f"The new collection {collection}")
        link = _Link(server, collection)
        with link.closed_on_error(), link.asking() as client:
            if client.collection_exists(collection):
                raise StoreError(f"{link.at} has a collection {collection} already; open it, or choose another name.")
            sizes = {
                vector: models.VectorParams(size=size, distance=models.Distance.DOT) for vector, size in vectors.items()
            }
            client.create_collection(collection, vectors_config=sizes)
        return cls(link, collection, vectors, name)

    @classmethod
    def open(cls, server: str | QdrantClient, collection: str, vector_name: str | None = None) -> ServerStore:
        """Open a collection that `create` has made."""
        link = _Link(server, collection)
        with link.closed_on_error(), link.asking() as client:
            if not client.collection_exists(collection):
                raise StoreError(f"{link.at} has no collection {collection}; name another, or make it first.")
            info = client.get_collection(collection)
            config = info.config.params.vectors
            if not isinstance(config, dict) or any(v.distance != models.Distance.DOT for v in config.values()):
                raise StoreError(f"The collection {collection} was not made by morphoindex; choose another name.")
            vectors = {vector: params.size for vector, params in config.items()}
            name = choose_vector(vectors, vector_name, f"The collection {collection}")
            kinds = {at: str(index.data_type.value) for at, index in info.payload_schema.items()}
        return cls(link, collection, vectors, name, kinds)

    def upsert(self, points: Sequence[Point]) -> None:
        """Write points whole: payload and vector. The same id again replaces the former point."""
        name, size = self.vector_name, self.vectors[self.vector_name]
        for batch in batches(points, BATCH):
            rows = [(point, check_point(point, size)) for point in batch]
            with self._link.asking() as client:
                made = [
                    models.PointStruct(id=point.id, vector={name: vector}, payload=dict(point.payload))
                    for point, vector in rows
                ]
                client.upsert(self.collection, made, wait=True)

    def add_vectors(self, name: str, size: int) -> None:
        """Have room for a further vector of this name and dimension, that no point has yet; repeating it is nothing."""
        if check_new(self.vectors, name, size, f"The collection {self.collection}"):
            config = models.DenseVectorConfig(size=size, distance=models.Distance.DOT)
            with self._link.asking() as client:
                client.create_vector_name(self.collection, name, models.DenseVectorNameConfig(dense=config))
            self.vectors[name] = size

    def drop_vectors(self, name: str) -> None:
        """Remove the vectors of this name from all points, and the name; not that of `vector_name`."""
        choose_vector(self.vectors, name, f"The collection {self.collection}")
        with self._link.asking() as client:
            client.delete_vector_name(self.collection, name)
        del self.vectors[name]

    def put_vectors(self, vectors: Mapping[str, NDArray[np.float32]]) -> None:
        """Give points, by id, a vector [d] beside those of other names that they have. Unknown ids are passed over."""
        name, size = self.vector_name, self.vectors[self.vector_name]
        for batch in batches(list(vectors), BATCH):
            rows = {id_: check_vector(id_, vectors[id_], size) for id_ in batch}
            with self._link.asking() as client:
                found = client.retrieve(self.collection, list(batch), False, False)
                there = [str(record.id) for record in found]
                made = [models.PointVectors(id=id_, vector={name: rows[id_]}) for id_ in there]
                if made:
                    client.update_vectors(self.collection, made, wait=True)

    def set_payloads(self, changes: Sequence[tuple[Payload, Sequence[str]]]) -> None:
        """Per change: set these top-level payload keys (others stay) on these points. Applied in order."""
        operations: list[Any] = []
        for payload, ids in changes:
            check_payload(payload, f"{len(ids)} points")
            for batch in batches(ids, IDS_BATCH):
                operations += _changes(payload, batch)
        for some in batches(operations, BATCH):
            with self._link.asking() as client:
                client.batch_update_points(self.collection, some, wait=True)

    def delete(self, ids: Sequence[str]) -> None:
        """Remove points; ids that are not there are passed over."""
        for batch in batches(ids, IDS_BATCH):
            with self._link.asking() as client:
                client.delete(self.collection, models.PointIdsList(points=list(batch)), wait=True)

    def retrieve(self, ids: Sequence[str], *, vectors: bool = False) -> list[Point]:
        """The points of these ids, in the order asked for; ids that are not there are left out."""
        found: dict[str, Point] = {}
        for batch in batches(ids, IDS_BATCH):
            with self._link.asking() as client:
                for record in client.retrieve(self.collection, list(batch), True, self._with_vector(vectors)):
                    point = self._point(record, vectors)
                    found[point.id] = point
        return [found[id_] for id_ in ids if id_ in found]

    def scroll(self, where: Filter | None = None, *, vectors: bool = False, batch: int = 2048) -> Iterator[list[Point]]:
        """All points that match, each once, in lists of at most `batch`, ordered by id. Memory is that of one batch."""
        offset: Any = None
        while True:
            with self._link.asking() as client:
                records, offset = client.scroll(
                    self.collection,
                    self._filter(where),
                    limit=batch,
                    offset=offset,
                    with_payload=True,
                    with_vectors=self._with_vector(vectors),
                )
                points = [self._point(record, vectors) for record in records]
            if points:
                yield points
            if offset is None:
                return

    def search(self, vector: NDArray[np.float32], k: int, where: Filter | None = None) -> list[Hit]:
        """The k nearest by cosine among those that match, best first; equal scores by id."""

        def ask(limit: int) -> list[Hit]:
            with self._link.asking() as client:
                found = client.query_points(
                    self.collection,
                    query=list_of(vector),
                    using=self.vector_name,
                    query_filter=self._filter(where),
                    limit=limit,
                    with_payload=True,
                ).points
                return [Hit(str(point.id), cosine(point.score), point.payload or {}) for point in found]

        return best(ask, k)

    def nearest(self, vectors: NDArray[np.float32], k: int) -> list[list[str]]:
        """For each vector [m, d] the ids of its k nearest, best first, as the search graph finds them."""
        if k < 1:
            return [[] for _ in vectors]
        found: list[list[str]] = []
        for start in range(0, len(vectors), QUERIES):
            queries = [
                models.QueryRequest(query=list_of(vector), using=self.vector_name, limit=k)
                for vector in vectors[start : start + QUERIES]
            ]
            with self._link.asking() as client:
                answers = client.query_batch_points(self.collection, queries)
            found += [[str(point.id) for point in answer.points] for answer in answers]
        return found

    def count(self, where: Filter | None = None) -> int:
        """How many points match, exactly."""
        with self._link.asking() as client:
            return client.count(self.collection, self._filter(where), exact=True).count

    def index_field(self, key: Key, kind: FieldKind) -> None:
        """Have filters on this payload key answered from an index. Repeating it costs next to nothing."""
        at = path(key)
        if self._kinds.get(at) != kind:
            with self._link.asking() as client:
                schema = models.PayloadSchemaType(kind)
                client.create_payload_index(self.collection, at, field_schema=schema, wait=True)
            self._kinds[at] = kind

    def optimize(self) -> bool:
        """Nothing: a server builds its search graph by itself."""
        return False

    def close(self) -> None:
        """Let go of the connection. A second time does nothing."""
        self._link.close()

    def _filter(self, where: Filter | None) -> models.Filter | None:
        made: models.Filter | None = None if where is None else translate(where, SERVER, self._kinds)
        return made

    def _with_vector(self, wanted: bool) -> bool | list[str]:
        return [self.vector_name] if wanted else False

    def _point(self, record: Any, vectors: bool) -> Point:
        values = (record.vector or {}).get(self.vector_name) if vectors else None
        vector = None if values is None else np.array(values, dtype=np.float32)
        return Point(str(record.id), record.payload or {}, vector)


def _changes(payload: Payload, ids: Sequence[str]) -> list[Any]:
    """The operations that set these keys, and remove those that are None, on the points of these ids that exist."""
    # By condition: a plain list of ids is an error when one of them is not there.
    these = models.Filter(must=[models.HasIdCondition(has_id=list(ids))])
    kept = {name: value for name, value in payload.items() if value is not None}
    dropped = [path((name,)) for name, value in payload.items() if value is None]
    operations: list[Any] = []
    if kept:
        operations.append(models.SetPayloadOperation(set_payload=models.SetPayload(payload=kept, filter=these)))
    if dropped:
        delete = models.DeletePayload(keys=dropped, filter=these)
        operations.append(models.DeletePayloadOperation(delete_payload=delete))
    return operations


SERVER = Dialect(
    equals=lambda at, value: models.FieldCondition(key=at, match=models.MatchValue(value=value)),
    in_range=lambda at, bounds: models.FieldCondition(key=at, range=models.Range(**bounds)),
    in_time=lambda at, bounds: models.FieldCondition(key=at, range=models.DatetimeRange(**bounds)),
    is_empty=lambda at: models.IsEmptyCondition(is_empty=models.PayloadField(key=at)),
    every=lambda conditions: models.Filter(must=conditions),
    some=lambda conditions: models.Filter(should=conditions),
    none=lambda conditions: models.Filter(must_not=conditions),
)


class _Link:
    """A client, whose it is, and what its errors mean."""

    def __init__(self, server: str | QdrantClient, collection: str) -> None:
        self.collection = collection
        self.at = f"The Qdrant server at {_shown(server)}" if isinstance(server, str) else "The Qdrant server"
        self._own = isinstance(server, str)
        self._client: QdrantClient | None = None
        with self._translated():
            self._client = _connect(server) if isinstance(server, str) else server

    @contextlib.contextmanager
    def asking(self) -> Iterator[QdrantClient]:
        """The client; what it raises becomes StoreError."""
        if self._client is None:
            raise StoreError(f"The collection {self.collection} has been closed.")
        with self._translated():
            yield self._client

    @contextlib.contextmanager
    def closed_on_error(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None and self._own:
            with self._translated():
                client.close()

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except MorphoindexError:
            raise
        except Exception as error:
            raise StoreError(self._sentence(error)) from error

    def _sentence(self, error: Exception) -> str:
        cause = error.source if isinstance(error, ResponseHandlingException) else error
        if isinstance(cause, httpx.TimeoutException):
            return f"{self.at} did not answer in time; see how busy it is, and try again."
        if isinstance(cause, httpx.TransportError):
            return f"{self.at} cannot be reached ({cause}); start it, or correct the address."
        if isinstance(cause, UnexpectedResponse):
            if cause.status_code in (401, 403):
                return f"{self.at} refuses access; set {KEY_VARIABLES[0]} to a key that may read and write."
            if cause.status_code == 404:
                return f"{self.at} has no collection {self.collection}; name another, or make it first."
            return f"{self.at} answered with error {cause.status_code}: {_reason(cause)}"
        if "not found" in str(cause) and self.collection in str(cause):
            return f"{self.at} has no collection {self.collection}; name another, or make it first."
        lines = str(cause).strip().splitlines() or [type(cause).__name__]
        return f"{self.at} failed: {lines[0][:200]}"


def _connect(url: str) -> QdrantClient:
    key = next((os.environ[name] for name in KEY_VARIABLES if os.environ.get(name)), None)
    with warnings.catch_warnings():
        if urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1"):
            warnings.filterwarnings("ignore", message="Api key is used with an insecure connection")
        return QdrantClient(url=url, api_key=key, timeout=TIMEOUT, check_compatibility=False)


def _shown(url: str) -> str:
    """The URL without a user name and password in it."""
    parts = urlsplit(url)
    return url if "@" not in parts.netloc else parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _reason(error: UnexpectedResponse) -> str:
    """What the server says went wrong, which it does in JSON; a proxy in between may not."""
    try:
        return str(json.loads(error.content)["status"]["error"])[:200]
    except (ValueError, KeyError, TypeError):
        return error.reason_phrase or "no reason given"
