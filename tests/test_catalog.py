"""The catalog follows the store: from any state it may be in, the next command brings it up."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pytest

import morphoindex
from morphoindex.errors import IndexTooNew, StoreError
from morphoindex.indexer.holdings.collection import Collection
from morphoindex.indexer.specimen import FileRecord, Specimen
from morphoindex.indexer.storage.filters import Compare
from morphoindex.indexer.storage.qdrant_edge import BATCH, EdgeStore
from morphoindex.indexer.storage.vectors import Point
from morphoindex.indexer.tables.catalog import Catalog, Refused
from morphoindex.indexer.tables.migrations import MIGRATIONS, migration
from morphoindex.indexer.tables.views import label_columns

DIM = 8


def vectors(n: int, seed: int = 0) -> np.ndarray:
    made = np.random.default_rng(seed).standard_normal((n, DIM)).astype(np.float32)
    return made / np.linalg.norm(made, axis=1, keepdims=True)


def specimen(number: int, **more: object) -> Specimen:
    record = FileRecord("home", f"{number}.png", 10, 20, "2024-01-01")
    return replace(Specimen(f"{number:032x}", paths=(record,), labels={"species": "a"}), **more)  # type: ignore[arg-type]


def assign(collection: Collection, cluster: str, probability: float, specimens: list[Specimen]) -> None:
    ids = [one.id for one in specimens]
    collection.assign({(cluster, None): ids}, {probability: ids})


class Parts:
    """A store and a catalog, opened by hand."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if not (folder / "qdrant").exists():
            EdgeStore.create(folder / "qdrant", {"v": DIM}).close()
        self.store = EdgeStore.open(folder / "qdrant")
        self.catalog = Catalog(folder)
        self.collection = Collection(self.store, self.catalog)
        self.missed = self.collection.catch_up()

    def close(self) -> None:
        self.catalog.close()
        self.store.close()

    def again(self) -> Parts:
        self.close()
        return Parts(self.folder)

    def assert_equal(self) -> None:
        """The catalog says just what the store holds."""
        fresh = Catalog(None)
        for batch in self.collection.scroll():
            fresh.put(batch)
        for table in ("specimen", "path"):
            assert self.catalog.contents(table) == fresh.contents(table)
        fresh.close()


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    made = Parts(tmp_path)
    made.collection.put([specimen(n) for n in range(30)], vectors(30))
    return made


def test_one_that_is_up_to_date_has_missed_nothing(parts: Parts) -> None:
    opened = parts.again()
    assert (opened.missed.written, opened.missed.gone) == (0, 0)
    opened.assert_equal()


def test_rows_that_are_gone_come_back(parts: Parts) -> None:
    parts.catalog.remove([specimen(3).id, specimen(4).id])
    opened = parts.again()
    assert (opened.missed.written, opened.missed.gone) == (2, 0)
    opened.assert_equal()


def test_rows_that_the_store_does_not_have_go(parts: Parts) -> None:
    parts.catalog.put([specimen(99, revision=1)], revision=1)
    opened = parts.again()
    assert (opened.missed.written, opened.missed.gone) == (0, 1)
    opened.assert_equal()


def test_a_former_catalog_catches_up(parts: Parts) -> None:
    parts.close()
    shutil.copy(parts.folder / "catalog.duckdb", parts.folder / "former")
    later = Parts(parts.folder)
    moved = FileRecord("home", "moved.png", 10, 20, "2024-01-02")
    later.collection.change([specimen(1, paths=(moved,), former_paths=specimen(1).paths)])
    later.collection.put([specimen(40)], vectors(1))
    later.collection.remove([specimen(2).id, specimen(5).id])
    assign(later.collection, "C1", 0.5, [specimen(3)])
    later.close()
    shutil.copy(parts.folder / "former", parts.folder / "catalog.duckdb")
    opened = Parts(parts.folder)
    assert opened.missed.gone == 2
    opened.assert_equal()


@pytest.mark.parametrize("log", [True, False])
def test_a_deleted_catalog_is_made_again(parts: Parts, log: bool) -> None:
    parts.close()
    if log:
        (parts.folder / "catalog.duckdb.wal").write_bytes(b"of a catalog that is gone" * 100)
    (parts.folder / "catalog.duckdb").unlink()
    opened = Parts(parts.folder)
    assert opened.missed.written == 30
    opened.assert_equal()


@pytest.mark.parametrize("lost", ["change", "assign", "put", "remove"])
def test_a_store_that_lost_its_last_write_is_believed(parts: Parts, lost: str) -> None:
    """A loss of power may take from the store what the catalog has; from DuckDB's log, the same the other way round."""
    parts.close()
    shutil.copytree(parts.folder / "qdrant", parts.folder / "former")
    later = Parts(parts.folder)
    {
        "change": lambda: later.collection.change([specimen(1, labels={"species": "b"})]),
        "assign": lambda: assign(later.collection, "C1", 1.0, [specimen(2)]),
        "put": lambda: later.collection.put([specimen(50)], vectors(1)),
        "remove": lambda: later.collection.remove([specimen(0).id]),
    }[lost]()
    later.close()
    shutil.rmtree(parts.folder / "qdrant")
    (parts.folder / "former").rename(parts.folder / "qdrant")
    Parts(parts.folder).assert_equal()


class _CutOffError(Exception):
    """Stands for a kill at a certain call."""


class CutOff:
    """A store that works until its calls are used up."""

    def __init__(self, store: EdgeStore, batches: int) -> None:
        self._store = store
        self._left = batches

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def _cut(self, write: Callable[[list], None], items: list) -> None:
        for start in range(0, len(items), 3):
            if self._left == 0:
                raise _CutOffError
            self._left -= 1
            write(items[start : start + 3])

    def upsert(self, points: list[Point]) -> None:
        self._cut(self._store.upsert, list(points))

    def delete(self, ids: list[str]) -> None:
        self._cut(self._store.delete, list(ids))

    def set_payloads(self, changes: list) -> None:
        self._cut(self._store.set_payloads, [(p, [i]) for p, ids in changes for i in ids])


@pytest.mark.parametrize("seed", range(6))
def test_writes_cut_off_anywhere_again_and_again(parts: Parts, seed: int) -> None:
    """Adding, changing, assigning and removing, each cut off between two batches of the store: however many points are
    then gone and new, the catalog comes to say what the store holds."""
    dice = random.Random(seed)
    for turn in range(8):
        cut = CutOff(parts.store, dice.randrange(5))
        collection = Collection(cut, parts.catalog)  # type: ignore[arg-type]
        collection.catch_up()
        there = [one for batch in collection.scroll() for one in batch]
        some = dice.sample(there, min(len(there), 9))
        write = dice.choice(
            [
                lambda c=collection, t=turn: c.put([specimen(1000 * t + n) for n in range(9)], vectors(9)),  # type: ignore[misc]
                lambda c=collection, s=some: c.remove([one.id for one in s]),  # type: ignore[misc]
                lambda c=collection, s=some, t=turn: c.change([replace(o, labels={"n": str(t)}) for o in s]),  # type: ignore[misc]
                lambda c=collection, s=some, t=turn: c.assign(
                    {(f"C{t}", None): [o.id for o in s]}, {1.0: [o.id for o in s]}
                ),  # type: ignore[misc]
            ]
        )
        try:
            write()
            assert not collection.unfinished
        except _CutOffError:
            assert collection.unfinished
        parts = parts.again()
        parts.assert_equal()


def test_more_than_the_store_takes_at_once(tmp_path: Path) -> None:
    parts = Parts(tmp_path)
    n = BATCH * 2 + 7
    parts.collection.put([specimen(i) for i in range(n)], vectors(n))
    parts.catalog.clear()
    opened = parts.again()
    assert opened.missed.written == n
    opened.assert_equal()


def test_revisions_go_on_after_the_newest_specimen_is_removed(parts: Parts) -> None:
    parts.collection.put([specimen(40)], vectors(1))
    parts.collection.remove([specimen(40).id])
    opened = parts.again()
    opened.collection.change([specimen(1, labels={"species": "z"})])
    assert opened.store.count(Compare("revision", ">", 2)) == 1
    opened.again().assert_equal()


def test_an_error_in_the_middle_of_a_write_is_made_good_in_the_same_process(tmp_path: Path) -> None:
    folder = tmp_path / "index"
    with morphoindex.open(folder, create=True) as index:
        index.add_embeddings(["a", "b"], vectors(2))
        store = index._session.collection.store
        index._session.collection.store = CutOff(store, 1)  # type: ignore[assignment]
        with pytest.raises(_CutOffError):
            index.add_embeddings([f"n{i}" for i in range(9)], vectors(9, 1))
        assert index.status().specimens == 5
        assert index.check().clean


def test_a_path_is_told_by_what_lies_there_now(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    record = FileRecord("home", "p", 1, 1, "2024-01-01")
    first = specimen(1, paths=(), former_paths=(record,))
    second = specimen(2, paths=(), former_paths=(replace(record, seen="2024-01-02"),))
    third = specimen(3, paths=(replace(record, seen="2024-01-03"),))
    refused = Refused("home", "p", "broken", 1, 1, "2024-01-04")

    def told() -> tuple[str, str | None]:
        (entry,) = catalog.ledger([("home", "p")])
        ((state, owner),) = catalog.query("SELECT state, id FROM paths").rows
        assert entry is not None
        assert (entry.state, entry.id) == (state, owner)
        return state, owner

    for order in ((first, second), (second, first)):
        catalog.clear()
        catalog.put(order)
        assert told() == ("closed", second.id)
    catalog.put((), [refused])
    assert told() == ("refused", None)
    catalog.forget_path("home", "p")
    assert told() == ("closed", second.id)
    catalog.put((), [refused])
    catalog.put([third])
    assert told() == ("present", third.id)
    assert catalog.refused() == []
    catalog.remove([third.id])
    assert told() == ("closed", second.id)
    catalog.remove([second.id])
    assert told() == ("closed", first.id)
    catalog.close()


@pytest.mark.parametrize(
    "labels",
    [
        [], ["species"], ["Species", "species", "SPECIES_2"], ["width", "label_width", "Width"],
        ["a'b", 'c"d', "e.f", "$", "/", "~", "~1", "0", "-"],
        ["select", "a b", "ü", "\\", "a\nb", "*", "x" * 300],
    ],
)  # fmt: skip
def test_any_name_can_be_a_label_column(tmp_path: Path, labels: list[str]) -> None:
    catalog = Catalog(tmp_path)
    catalog.put([specimen(1, labels={label: f"value of {label}" for label in labels})])
    catalog.set_labels(labels)
    assert catalog.labels_seen() == labels
    assert catalog.labels_used() == sorted(labels)
    table = catalog.query("SELECT * FROM specimens")
    row = dict(zip(table.columns, table.rows[0], strict=True))
    assert {label: row[column] for label, column in label_columns(labels).items()} == {
        label: f"value of {label}" for label in labels
    }
    catalog.close()


# --- migrations ------------------------------------------------------------------------------------------------------


def test_a_catalog_of_an_older_schema_is_migrated(parts: Parts) -> None:
    parts.catalog.set_labels(["species"])
    parts.close()
    number = len(MIGRATIONS) + 1
    try:

        @migration(number)
        def legs(connection: duckdb.DuckDBPyConnection) -> None:
            connection.execute("ALTER TABLE run ADD COLUMN legs INTEGER DEFAULT 6")

        catalog = Catalog(parts.folder)
        assert catalog.query("SELECT max(version) FROM schema_version").rows == ((number,),)
        assert catalog.specimens() == 30
        assert "legs" in catalog.query("SELECT * FROM runs").columns  # the views are made again
        assert "species" in catalog.query("SELECT * FROM specimens").columns
        catalog.close()
    finally:
        del MIGRATIONS[number - 1 :]
    with pytest.raises(IndexTooNew, match=rf"schema {number}.*pip install -U"):
        Catalog(parts.folder)


def test_a_migration_that_fails_changes_nothing(parts: Parts) -> None:
    parts.close()
    try:

        @migration(len(MIGRATIONS) + 1)
        def wrong(connection: duckdb.DuckDBPyConnection) -> None:
            connection.execute("DROP VIEW runs; ALTER TABLE run ADD COLUMN legs INTEGER; SELECT nothing")

        with pytest.raises(StoreError, match="rebuild"):
            Catalog(parts.folder)
    finally:
        MIGRATIONS.pop()
    opened = Parts(parts.folder)
    assert "legs" not in opened.catalog.query("SELECT * FROM runs").columns
    opened.assert_equal()


@pytest.mark.parametrize("number", [0, 1, 99])
def test_migrations_out_of_order_are_refused(number: int) -> None:
    before = list(MIGRATIONS)
    with pytest.raises(ValueError, match="out of order"):
        migration(number)(lambda connection: None)
    assert before == MIGRATIONS


def test_a_catalog_begun_but_not_made_is_made(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "catalog.duckdb")) as connection:
        connection.execute("CREATE TABLE schema_version (version INTEGER)")
    opened = Parts(tmp_path)
    assert opened.catalog.query("SELECT * FROM specimens").rows == ()
    opened.close()
