"""An open index folder: its lock, settings, store, catalog and encoder. What `Index` and its parts work on."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from morphoindex.errors import EncoderMismatch, IndexNotFound, MorphoindexError, UsageError
from morphoindex.indexer.clusters.grouping import finish_run
from morphoindex.indexer.descriptions.labels import spelled
from morphoindex.indexer.encoding import registry
from morphoindex.indexer.encoding.encoder import DEFAULT, Encoder
from morphoindex.indexer.holdings.collection import FIELDS, Collection
from morphoindex.indexer.holdings.graph import Neighbours, forget_graph, graph_folder, open_graph
from morphoindex.indexer.holdings.history import read_history, settle, take_in
from morphoindex.indexer.holdings.journal import Journal
from morphoindex.indexer.holdings.upkeep import rebuild
from morphoindex.indexer.location import take_away
from morphoindex.indexer.lock import IndexLock
from morphoindex.indexer.paths import Roots
from morphoindex.indexer.settings import EncoderEntry, Settings, read_settings, write_settings
from morphoindex.indexer.storage.filters import Key
from morphoindex.indexer.storage.stores import create_store, open_store
from morphoindex.indexer.tables.catalog import Catalog
from morphoindex.indexer.tables.views import label_columns
from morphoindex.indexer.tables.where import Column
from morphoindex.indexer.words import count

if TYPE_CHECKING:
    from morphoindex.indexer.clustering.forest import ClusterForest

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
            self._working: EncoderEntry | None = None
            self._made: Sequence[Path] | None = None
            self._announced = False
            self._load_settings()
        except BaseException:
            self._lock.release()
            raise

    def begun(self, made: Sequence[Path]) -> None:
        """Have the index, which this session began by making these folders, go again if nothing comes in."""
        self._made = made

    def announce(self) -> None:
        """Say that the index is new, if it is and nobody was told so."""
        if self._made is not None and not self._announced:
            self._announced = True
            self.say(f"made a new index: {self.folder}")

    def close(self) -> None:
        """Let go of everything; others can then open the index."""
        unused = self._nothing_came()
        self._closed = True
        try:
            self._close_collection()
            if unused:
                take_away(self.folder, self._made or ())
                if self._announced:
                    self.say("nothing was taken in, and so the new index is gone again")
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

    @property
    def encounter_settings(self) -> Mapping[str, float]:
        """What a person said makes an encounter, where it is not the default."""
        return self.settings.encounters

    def keep_encounter_settings(self, settings: Mapping[str, float]) -> None:
        """Go by these from now on."""
        if settings != self.settings.encounters:
            self._write_settings(replace(self.settings, encounters=dict(settings)))

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

    def forget(self, labels: Iterable[str]) -> None:
        """Let go of label columns in which no specimen has a value any more."""
        gone = set(labels)
        kept = tuple(label for label in self.settings.labels if label not in gone)
        if kept != self.settings.labels:
            self._write_settings(replace(self.settings, labels=kept))
            self.collection.catalog.set_labels(kept)  # a crash just before this is made good by `_catch_up`

    def pause(self) -> None:
        """Let other processes have the index for a moment, if any waits and we have had it for a while."""
        if time.monotonic() - self._held_since < _HOLD or not self._lock.has_waiters():
            return
        self._close_collection()
        self._lock.yield_to_waiters()
        self._held_since = time.monotonic()
        self._load_settings()
        if self._working is not None and self._working not in self.settings.encoders:
            raise EncoderMismatch(
                f"another process has dropped {self._working.name} from this index; what was done before is kept"
            )

    @property
    def entry(self) -> EncoderEntry:
        """The encoder worked with: the current one, where none was chosen for the moment.

        Raises:
            IndexNotFound: there is none yet.
        """
        entry = self._working or self.settings.encoder
        if entry is None:
            raise IndexNotFound("the index is empty: `morphoindex add PHOTOS` puts photographs in")
        return entry

    @contextmanager
    def working_with(self, entry: EncoderEntry) -> Iterator[None]:
        """Read, write and search the vectors of an encoder that the index holds, whichever is the current one."""
        before, self._working = self._working, entry
        try:
            if self._opened is not None:
                self._opened.work_with(entry)
            yield
        finally:
            self._working = before
            if self._opened is not None:
                self._opened.work_with(self.entry)

    def looking_with(self, encoder: str | None) -> AbstractContextManager[None]:
        """As `working_with`, for an encoder as a person names it; None for the current one.

        Raises:
            UsageError: the index holds no such encoder.
        """
        return self.working_with(registry.find_held(self.settings, encoder)) if encoder else nullcontext()

    def choose_encoder(self, name: str | None) -> EncoderEntry:
        """The encoder to add with: the current one, or the one named, with which a new index is begun.

        Raises:
            EncoderMismatch: the index holds other ones.
        """
        if name is None and self.settings.encoder is not None:
            return self.settings.encoder
        meant = registry.find(self.settings, name or DEFAULT)
        if meant.file is not None and (meant.held or not self.settings.encoders):
            registry.keep_copy(self.folder, meant.entry, meant.file)
        return self.begin(meant.entry, name or DEFAULT)

    def encoder(self, workers: int = 1) -> Encoder:
        """The encoder worked with, from the index's own copy of the file.

        Raises:
            EncoderMismatch: the vectors were made elsewhere, so no photograph can be embedded; or the copy was changed.
        """
        if self._encoder is None or self._encoder.info.fingerprint != self.entry.fingerprint:
            self._encoder = registry.load(self.folder, self.entry, workers, self.say)
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
        label = spelled(name, self.settings.labels)
        if label in self.settings.labels:
            return Column(label_key(label), "text")
        known = ", ".join([*columns, *_NAMES])
        raise UsageError(f"there is no column {name!r}; there are {known}")

    def begin(self, wanted: EncoderEntry, named: str) -> EncoderEntry:
        """Make this the encoder of a new index, or find it among those the index holds.

        Raises:
            EncoderMismatch: it holds others.
        """
        if self.settings.encoders:
            held = self.settings.holds(wanted)
            if held is None:
                raise registry.mismatch(self.settings, wanted, named)
            return held
        begun = replace(self.settings, encoders=(wanted,), current=wanted.name)
        if begun.qdrant_url:  # a name of its own, lest a crash before the end of this has taken it already
            begun = replace(begun, collection=f"morphoindex-{uuid.uuid4().hex[:12]}")
        store = create_store(self.folder, begun, wanted)
        try:
            for key, kind in FIELDS.items():
                store.index_field(key, kind)
        finally:
            store.close()
        self._write_settings(begun)
        return wanted

    def take_up(self, entry: EncoderEntry, file: Path) -> None:
        """Let the index hold a further encoder, of which no specimen has a vector yet."""
        registry.keep_copy(self.folder, entry, file)
        store = self.collection.store
        if entry.name in store.vectors:  # of an attempt that was cut off before the end of this
            store.drop_vectors(entry.name)
        store.add_vectors(entry.name, entry.dim)
        self.collection.stamp_early()
        self._write_settings(replace(self.settings, encoders=(*self.settings.encoders, entry)))

    def make_current(self, entry: EncoderEntry) -> None:
        """Have search, clusters, duplicates and samples go by this encoder from now on."""
        self._write_settings(replace(self.settings, current=entry.name))
        if self._opened is not None:
            self._opened.work_with(self.entry)

    def let_go(self, entry: EncoderEntry) -> None:
        """Remove an encoder that is not the current one, with its vectors.

        Cut off, it leaves specimens that lack vectors of it, and can be done again.
        """
        self.collection.forget_vectors(entry.stamp_key)
        if entry.name in self.collection.store.vectors:
            self.collection.store.drop_vectors(entry.name)
        kept = tuple(one for one in self.settings.encoders if one != entry)
        self._write_settings(replace(self.settings, encoders=kept))
        forget_graph(self.folder, entry.mark)
        if entry.file:
            (self.folder / entry.file).unlink(missing_ok=True)

    def graph(self, min_samples: Sequence[int] = (), neighbours: Neighbours = "auto") -> ClusterForest:
        """The neighbour graph, with a tree for each of these k, brought up to the specimens there are."""
        return open_graph(
            graph_folder(self.folder, self.entry.mark), self.collection, min_samples, neighbours, self.say
        )

    def settle(self) -> None:
        """Put specimens that are back in the index where a person had put them."""
        settle(self.collection, read_history(self.journal))

    def rebuild(self) -> None:
        """Make the catalog again from the store and the journal, whatever state it is in, and let go of the graph."""
        if not self.settings.encoders:
            return
        self._close_collection()
        forget_graph(self.folder)
        store = open_store(self.folder, self.settings, self.entry)
        try:
            labels = rebuild(self.folder, store, self.journal)
        finally:
            store.close()
        self.remember(labels)
        self.forget(set(self.settings.labels) - set(labels))

    # -- inside ------------------------------------------------------------------------------------------------------

    def _nothing_came(self) -> bool:
        """Whether this session has begun the index, and nobody has put anything in."""
        if self._made is None or self._closed or self._lock.has_waiters() or any(self.journal.read()):
            return False
        try:
            return not self.settings.encoders or self.collection.catalog.specimens() == 0
        except MorphoindexError:
            return False

    def _load_settings(self) -> None:
        self.settings = read_settings(self.folder)
        self._roots = Roots(self.folder, dict(self.settings.roots))

    def _write_settings(self, settings: Settings) -> None:
        write_settings(self.folder, settings)
        self.settings = settings

    def _open_collection(self) -> Collection:
        if self._closed:
            raise UsageError("the index has been closed: open it again")
        store = open_store(self.folder, self.settings, self.entry)
        try:
            collection = Collection(store, Catalog(self.folder))
            collection.work_with(self.entry)
            return collection
        except BaseException:
            store.close()
            raise

    def _catch_up(self, collection: Collection) -> None:
        for entry in self.settings.encoders:  # the removal of one may have been cut off, or the store be of a backup
            collection.store.add_vectors(entry.name, entry.dim)
        missed = collection.catch_up()
        if missed.written:
            self.say(f"the catalog was {count(missed.written, 'specimen')} behind the store and has caught up")
        if missed.gone:
            gone = count(missed.gone, "specimen of the catalog is", "specimens of the catalog are")
            them = "it" if missed.gone == 1 else "them"
            self.say(f"{gone} no longer in the store; it has let go of {them}, too")
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


def _close(collection: Collection) -> None:
    try:
        collection.catalog.close()
    finally:
        collection.store.close()


_NAMES = {
    "cluster": Column("cluster", "cluster"), "format": Column("format", "text"), "width": Column("width", "number"),
    "height": Column("height", "number"), "time": Column("capture.time", "time"),
    "camera": Column("capture.camera", "text"), "latitude": Column("capture.latitude", "number"),
    "longitude": Column("capture.longitude", "number"), "frame": Column("capture.frame", "text"),
    "crop_number": Column("capture.crop_number", "number"), "frame_width": Column("capture.frame_width", "number"),
    "frame_height": Column("capture.frame_height", "number"), "x1": Column("capture.x1", "number"),
    "y1": Column("capture.y1", "number"), "x2": Column("capture.x2", "number"), "y2": Column("capture.y2", "number"),
    "duplicate_of": Column("duplicate_of", "text"),
}  # fmt: skip


def label_key(label: str) -> Key:
    """The payload key of a label column."""
    return "labels", label
