"""An open index folder: its lock, settings, store, catalog and encoder. What `Index` and its parts work on."""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from morphoindex.errors import EncoderInvalid, EncoderMismatch, IndexNotFound, StoreError, UsageError
from morphoindex.indexer.catalog import Catalog
from morphoindex.indexer.collection import FIELDS, Collection
from morphoindex.indexer.encoder import DEFAULT, Encoder, built_in_encoders, find_encoder
from morphoindex.indexer.filters import Key
from morphoindex.indexer.graph import Neighbours, forget_graph, open_graph
from morphoindex.indexer.grouping import finish_run
from morphoindex.indexer.history import read_history, settle, take_in
from morphoindex.indexer.journal import Journal
from morphoindex.indexer.lock import IndexLock
from morphoindex.indexer.paths import Roots
from morphoindex.indexer.settings import EncoderEntry, Settings, read_settings, write_settings, write_whole
from morphoindex.indexer.stores import create_store, open_store
from morphoindex.indexer.upkeep import rebuild
from morphoindex.indexer.views import label_columns
from morphoindex.indexer.where import Column

if TYPE_CHECKING:
    from morphoindex.indexer.clustering.forest import ClusterForest

EXTERNAL = "external"
_HOLD = 2.0  # seconds that a long `add` keeps the index at least before it lets waiters in


class Session:
    """An index folder, held by this process until `close`. Implements `Host`.

    Args:
        folder: the index folder.
        command: what the caller does, shown to processes that wait.
        wait: seconds to wait while another process has the index.
        say: told in words what a person should know, such as whom we wait for.
    """

    def __init__(self, folder: Path, command: str, wait: float, say: Callable[[str], None]) -> None:
        self.folder = folder
        self.journal = Journal(folder)
        self.say = say
        self._lock = IndexLock(folder, command)
        self._lock.acquire(wait, say)
        try:
            self._held_since = time.monotonic()
            self._closed = False
            self._opened: Collection | None = None
            self._encoder: Encoder | None = None
            self._load_settings()
        except BaseException:
            self._lock.release()
            raise

    def close(self) -> None:
        """Let go of everything; others can then open the index."""
        self._closed = True
        try:
            self._close_collection()
        finally:
            self._lock.release()

    @property
    def collection(self) -> Collection:
        """Store and catalog, opened when first needed and caught up."""
        if self._opened is not None and self._opened.unfinished:
            self._close_collection()
        if self._opened is None:
            opened = self._open_collection()
            try:
                self._catch_up(opened)
            except BaseException:
                _close(opened)
                raise
            self._opened = opened
        return self._opened

    @property
    def roots(self) -> Roots:
        """The named roots."""
        return self._roots

    @property
    def labels(self) -> tuple[str, ...]:
        """The label columns met so far."""
        return self.settings.labels

    def remember(self, labels: Iterable[str]) -> None:
        """Make new roots and label columns permanent, in `index.toml`, the views and the store's field indexes."""
        fresh = [label for label in dict.fromkeys(labels) if label not in self.settings.labels]
        changed = replace(self.settings, roots=dict(self._roots.places), labels=(*self.settings.labels, *fresh))
        if fresh:  # first, because the store does not take every name
            self.collection.index_fields((label_key(label), "keyword") for label in fresh)
        if changed != self.settings:
            self._write_settings(changed)
        if fresh:  # a crash just before this is made good by `_catch_up`
            self.collection.catalog.set_labels(self.settings.labels)

    def pause(self) -> None:
        """Let other processes have the index for a moment, if any waits and we have had it for a while."""
        if time.monotonic() - self._held_since < _HOLD or not self._lock.has_waiters():
            return
        self._close_collection()
        self._lock.yield_to_waiters()
        self._held_since = time.monotonic()
        self._load_settings()

    def choose_encoder(self, name: str | None) -> None:
        """Settle the encoder of a new index, or see that the one asked for is the one it has.

        Raises:
            EncoderMismatch: it has another one.
        """
        entry = self.settings.encoder
        if name is None and entry is not None:
            return
        path = find_encoder(name or DEFAULT)
        info = Encoder(path).info
        file = f"encoders/{info.fingerprint[:16]}.onnx" if entry is None else entry.file
        wanted = EncoderEntry(info.name, info.fingerprint, info.dim, file)
        if entry is None:
            self._copy_encoder(path, file)
        self.use(wanted)
        if file and not self._has_encoder(wanted):
            self._copy_encoder(path, file)

    def encoder(self, workers: int = 1) -> Encoder:
        """The encoder of this index, from its own copy of the file.

        Raises:
            EncoderMismatch: the vectors were made elsewhere, so no photograph can be embedded; or the copy was changed.
        """
        entry = self.settings.encoder
        if entry is None:
            raise IndexNotFound("the index is empty: `morphoindex add PHOTOS` puts photographs in")
        if not entry.file:
            raise EncoderMismatch(
                f"the vectors of this index were made elsewhere ({entry.name}): no photograph can be matched. "
                "Search by id, or make another index for photographs with --index DIR"
            )
        if self._encoder is None:
            self._encoder = self._load_encoder(entry, workers)
        if self._encoder is None:
            built_in = built_in_encoders().get(entry.name)
            if built_in is None or _fingerprint(built_in) != entry.fingerprint:
                raise EncoderMismatch(
                    f"{self.folder / entry.file} is missing or was changed: `morphoindex add --encoder FILE PHOTOS` "
                    f"puts it back, where FILE is {entry.name} ({entry.fingerprint[:12]}…)"
                )
            self._copy_encoder(built_in, entry.file)
            self.say(f"{self.folder / entry.file} was missing or changed; it is back, from the package")
            self._encoder = Encoder(self.folder / entry.file, workers)
        return self._encoder

    def column_of(self, name: str) -> Column:
        """What a name in a condition stands for.

        Raises:
            UsageError: there is no such name.
        """
        columns = {column: label for label, column in label_columns(self.settings.labels).items()}
        if name in columns:  # named as in SQL, where a label called like a built-in column is `label_<name>`
            return Column(label_key(columns[name]), "text")
        if name in _NAMES:
            return _NAMES[name]
        if name in self.settings.labels:
            return Column(label_key(name), "text")
        known = ", ".join([*columns, *_NAMES])
        raise UsageError(f"there is no column {name!r}; there are {known}")

    def use(self, wanted: EncoderEntry) -> None:
        """Make this the encoder of a new index, or see that it is the one the index has."""
        entry = self.settings.encoder
        if entry is None:
            begun = replace(self.settings, encoder=wanted)
            if begun.qdrant_url:  # a name of its own, lest a crash before the end of this has taken it already
                begun = replace(begun, collection=f"morphoindex-{uuid.uuid4().hex[:12]}")
            store = create_store(self.folder, begun, wanted)
            try:
                for key, kind in FIELDS.items():
                    store.index_field(key, kind)
            finally:
                store.close()
            self._write_settings(begun)
        elif (entry.name, entry.fingerprint, entry.dim) != (wanted.name, wanted.fingerprint, wanted.dim):
            raise EncoderMismatch(
                f"this index was begun with {_encoder_in_words(entry)}, and never mixes encoders; "
                f"for {_encoder_in_words(wanted)} make another index: --index OTHER_DIR"
            )

    def graph(self, min_samples: Sequence[int] = (), neighbours: Neighbours = "auto") -> ClusterForest:
        """The neighbour graph, with a tree for each of these k, brought up to the specimens there are."""
        return open_graph(self.folder, self.collection, min_samples, neighbours, self.say)

    def settle(self) -> None:
        """Put specimens that are back in the index where a person had put them."""
        settle(self.collection, read_history(self.journal))

    def rebuild(self) -> None:
        """Make the catalog again from the store and the journal, whatever state it is in, and let go of the graph."""
        entry = self.settings.encoder
        if entry is None:
            return
        self._close_collection()
        forget_graph(self.folder)
        store = open_store(self.folder, self.settings, entry)
        try:
            labels = rebuild(self.folder, store, self.journal)
        finally:
            store.close()
        self.remember(labels)

    # -- inside ------------------------------------------------------------------------------------------------------

    def _load_settings(self) -> None:
        self.settings = read_settings(self.folder)
        self._roots = Roots(self.folder, dict(self.settings.roots))

    def _write_settings(self, settings: Settings) -> None:
        write_settings(self.folder, settings)
        self.settings = settings

    def _open_collection(self) -> Collection:
        if self._closed:
            raise UsageError("the index has been closed: open it again")
        entry = self.settings.encoder
        if entry is None:
            raise IndexNotFound("the index is empty: `morphoindex add PHOTOS` puts photographs in")
        store = open_store(self.folder, self.settings, entry)
        try:
            return Collection(store, Catalog(self.folder))
        except BaseException:
            store.close()
            raise

    def _catch_up(self, collection: Collection) -> None:
        missed = collection.catch_up()
        if missed.written:
            self.say(f"the catalog was {missed.written} specimens behind the store and has caught up")
        if missed.gone:
            self.say(f"{missed.gone} specimens of the catalog are no longer in the store; it has let go of them, too")
        if finish_run(collection, self.journal, self.folder):
            self.say("a clustering run that was interrupted is now complete")
        history = read_history(self.journal)
        for what, has, had in (
            ("clustering runs", len(history.runs), collection.catalog.runs_seen()),
            ("decisions", len(history.decisions), collection.catalog.decisions_seen()),
        ):
            if has < had:
                self.say(f"the journal has lost {what}: {has} of {had} are there")
        if history.decisions:
            settle(collection, history)
        take_in(collection, history)
        if collection.catalog.labels_seen() != list(self.settings.labels):
            collection.catalog.set_labels(self.settings.labels)

    def _close_collection(self) -> None:
        if self._opened is not None:
            opened, self._opened = self._opened, None
            _close(opened)

    def _load_encoder(self, entry: EncoderEntry, workers: int) -> Encoder | None:
        """The encoder from the copy of the index; None where that is not the right file any more."""
        try:
            encoder = Encoder(self.folder / entry.file, workers)
        except EncoderInvalid:
            if self._has_encoder(entry):
                raise
            return None
        return encoder if encoder.info.fingerprint == entry.fingerprint else None

    def _has_encoder(self, entry: EncoderEntry) -> bool:
        path = self.folder / entry.file
        return path.is_file() and _fingerprint(path) == entry.fingerprint

    def _copy_encoder(self, path: Path, file: str) -> None:
        try:
            (self.folder / file).parent.mkdir(exist_ok=True)
            write_whole(self.folder / file, path.read_bytes())
        except OSError as error:
            raise StoreError(f"{self.folder / file} cannot be written: {error.strerror or error}") from error


def _close(collection: Collection) -> None:
    try:
        collection.catalog.close()
    finally:
        collection.store.close()


def _fingerprint(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


_NAMES = {
    "cluster": Column("cluster", "text"), "format": Column("format", "text"), "width": Column("width", "number"),
    "height": Column("height", "number"), "time": Column("capture.time", "time"),
    "camera": Column("capture.camera", "text"), "latitude": Column("capture.latitude", "number"),
    "longitude": Column("capture.longitude", "number"),
}  # fmt: skip


def label_key(label: str) -> Key:
    """The payload key of a label column."""
    return "labels", label


def _encoder_in_words(entry: EncoderEntry) -> str:
    made = "made elsewhere" if entry.fingerprint == EXTERNAL else entry.fingerprint[:12] + "…"
    return f"{entry.name} ({entry.dim} dimensions, {made})"
