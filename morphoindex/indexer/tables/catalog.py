"""The catalog: tables over the index in DuckDB, derived from the store and the journal, and the ledger of paths."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from morphoindex.errors import IndexDamaged, IndexTooNew, StoreError, UsageError
from morphoindex.indexer.specimen import CAPTURE, STAMP, Membership, Specimen
from morphoindex.indexer.tables.confined import answer
from morphoindex.indexer.tables.migrations import MIGRATIONS
from morphoindex.indexer.tables.rows import insert, put_specimens, update
from morphoindex.indexer.tables.views import make_views, records

FILE = "catalog.duckdb"
HISTORY = ("run", "event", "decision", "lineage", "curated")
"""The tables that are derived from the journal."""
REBUILD = "`morphoindex rebuild` makes it again from the store and the journal"


@dataclass(frozen=True)
class Refused:
    """A path that could not become a specimen, and why. `size` and `mtime_ns` as in FileRecord.

    The one thing in the catalog that is derived from nothing: who loses it has the next `add` look at the path again.
    """

    root: str
    path: str
    reason: str
    size: int | None
    mtime_ns: int | None
    seen: str


@dataclass(frozen=True)
class LedgerEntry:
    """What the ledger knows of a path; `state` is "present", "closed" or "refused"."""

    state: str
    reason: str | None
    id: str | None
    size: int | None
    mtime_ns: int | None


@dataclass(frozen=True)
class Table:
    """The answer to a query: column names, and rows as they come from DuckDB."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


class Catalog:
    """The DuckDB file of an index.

    Args:
        folder: the index folder; the file is made where there is none. None: in memory, gone when closed.
        name: of the file.

    Raises:
        IndexDamaged: the file is there but is not a readable catalog.
        IndexTooNew: a later version wrote it.
    """

    def __init__(self, folder: Path | None, name: str = FILE) -> None:
        self._path = folder / name if folder else ":memory:"
        try:
            if isinstance(self._path, Path) and not (self._path.is_file() and self._path.stat().st_size):
                self._begin(self._path)
            self._connection = self._connect()
            self._migrate()
        except duckdb.Error as error:
            self.close()
            raise IndexDamaged(f"{self._path} is damaged ({_first_line(error)}): {REBUILD}") from error
        except OSError as error:
            raise StoreError(f"{self._path} cannot be made: {error.strerror or error}") from error

    def close(self) -> None:
        """Write out and let go of the file."""
        self._connection.close()

    # -- what the index writes ---------------------------------------------------------------------------------

    def put(self, specimens: Sequence[Specimen], refused: Sequence[Refused] = (), revision: int | None = None) -> None:
        """Take in specimens with their paths, and refused paths, in one transaction.

        Args:
            specimens: as they stand in the store now; rows of the same id are replaced.
            refused: paths for the ledger.
            revision: the catalog has now seen all writes up to here.
        """
        with self._transaction() as connection:
            if specimens:
                put_specimens(connection, specimens)
            if refused:
                rows = [(r.root, r.path, r.reason, r.size, r.mtime_ns, r.seen) for r in refused]
                insert(connection, "refusal", rows)
            if revision is not None:
                connection.execute("UPDATE seen SET revision = greatest(revision, ?)", [revision])

    def assign(
        self,
        clusters: Mapping[tuple[str | None, str | None], Sequence[str]],
        probabilities: Mapping[float, Sequence[str]],
        revision: int,
    ) -> None:
        """Take in memberships as the store has them since `revision`; see `Collection.assign`."""
        placed = [(i, cluster, grouped) for (cluster, grouped), ids in clusters.items() for i in ids]
        weighed = [(i, probability) for probability, ids in probabilities.items() for i in ids]
        with self._transaction() as connection:
            if placed:
                update(connection, "specimen", {"cluster": "VARCHAR", "grouped": "VARCHAR"}, placed, revision)
            if weighed:
                update(connection, "specimen", {"probability": "DOUBLE"}, weighed, revision)
            connection.execute("UPDATE seen SET revision = greatest(revision, ?)", [revision])

    def tag(self, tags: Mapping[str | None, Sequence[str]], revision: int) -> None:
        """Take in tags of near-duplicates as the store has them since `revision`; see `Collection.tag`."""
        rows = [(specimen, kept) for kept, ids in tags.items() for specimen in ids]
        with self._transaction() as connection:
            update(connection, "specimen", {"duplicate_of": "VARCHAR"}, rows, revision)
            connection.execute("UPDATE seen SET revision = greatest(revision, ?)", [revision])

    def remove(self, ids: Sequence[str]) -> None:
        """Forget specimens and their paths."""
        with self._transaction() as connection:
            for table in ("path", "stamp", "specimen"):
                connection.execute(f"DELETE FROM {table} WHERE id IN (SELECT unnest(?::VARCHAR[]))", [list(ids)])

    def clear(self) -> None:
        """Forget everything derived from the store."""
        with self._transaction() as connection:
            connection.execute(
                "DELETE FROM specimen; DELETE FROM path; DELETE FROM stamp; UPDATE seen SET revision = 0"
            )

    def put_encounters(self, rows: Sequence[tuple[str, str, str]], gone: Sequence[str], made_of: str) -> None:
        """Take in (specimen, encounter, session) rows, drop those of specimens that are gone, and note what of."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM encounter WHERE id IN (SELECT unnest(?::VARCHAR[]))", [list(gone)])
            if rows:
                insert(connection, "encounter", rows)
            connection.execute("UPDATE seen SET encounters = ?", [made_of])

    def forget_path(self, root: str, path: str) -> None:
        """Drop a refused path from the ledger, because the refusal no longer holds."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM refusal WHERE root = ? AND path = ?", [root, path])

    def put_history(self, rows: Mapping[str, Sequence[tuple[Any, ...]]], runs: int, decisions: int) -> None:
        """Take in what happened to the clusters.

        Args:
            rows: of the tables `run`, `event` and `decision` those that are new; of `lineage` and `curated` all.
            runs: how many the journal has.
            decisions: how many the journal has.
        """
        with self._transaction() as connection:
            connection.execute("DELETE FROM lineage; DELETE FROM curated")
            for table, some in rows.items():
                if some:
                    insert(connection, table, some)
            connection.execute("UPDATE seen SET runs = ?, decisions = ?", [runs, decisions])

    def forget_history(self) -> None:
        """Forget everything derived from the journal."""
        with self._transaction() as connection:
            connection.execute("".join(f"DELETE FROM {table};" for table in HISTORY))
            connection.execute("UPDATE seen SET runs = 0, decisions = 0")

    def set_labels(self, labels: Sequence[str]) -> None:
        """Make the views for these label columns."""
        with self._transaction() as connection:
            make_views(connection, labels)

    # -- what the index asks ------------------------------------------------------------------------------------

    def revision(self) -> int:
        """The last write to the store that the catalog has seen."""
        return int(self._one("SELECT revision FROM seen"))

    def runs_seen(self) -> int:
        """How many clustering runs of the journal it has taken in."""
        return int(self._one("SELECT runs FROM seen"))

    def decisions_seen(self) -> int:
        """How many decisions of the journal it has taken in."""
        return int(self._one("SELECT decisions FROM seen"))

    def memberships(self, ids: Iterable[str], clusters: Iterable[str]) -> list[tuple[str, str | None, str | None]]:
        """(id, cluster, grouped) of these, of the members of these clusters, and of whom a run had put elsewhere."""
        found = self.query(
            "SELECT id, cluster, grouped FROM specimen WHERE grouped IS NOT NULL "
            "OR id IN (SELECT unnest(?::VARCHAR[])) OR cluster IN (SELECT unnest(?::VARCHAR[])) ORDER BY id",
            list(ids), list(clusters),
        )  # fmt: skip
        return list(found.rows)

    def tags(self) -> dict[str, str]:
        """The near-duplicates that are tagged, and which specimen is kept instead of each."""
        return dict(self.query("SELECT id, duplicate_of FROM specimen WHERE duplicate_of IS NOT NULL").rows)

    def names(self) -> dict[str, str]:
        """The names that people gave to clusters, by id."""
        return dict(self.query("SELECT cluster, name FROM lineage WHERE name IS NOT NULL").rows)

    def not_clustered(self) -> int:
        """How many specimens have come since the last clustering run."""
        return int(self._one("SELECT count(*) FROM specimen WHERE probability IS NULL"))

    def standings(self) -> dict[str, Membership]:
        """Where every specimen stands, by id."""
        found = self.query("SELECT id, cluster, grouped, probability FROM specimen")
        return {row[0]: Membership(*row) for row in found.rows}

    def values(self, ids: Iterable[str], expression: str) -> list[str | None]:
        """What an SQL expression over `specimen` is for each of these specimens; None for what is empty."""
        of = dict(self.query(f"SELECT id, {expression} FROM specimen").rows)
        return [of.get(specimen) or None for specimen in ids]

    def several_paths(self) -> set[str]:
        """Ids of the specimens that lie at more than one path."""
        found = self.query("SELECT id FROM path WHERE state = 'present' GROUP BY id HAVING count(*) > 1")
        return {row[0] for row in found.rows}

    def encounters_made_of(self) -> str:
        """What the encounters were worked out from, as `put_encounters` was told."""
        return str(self._one("SELECT encounters FROM seen"))

    def descriptions(self, ids: Sequence[str]) -> dict[str, tuple[dict[str, str], dict[str, Any]]]:
        """Labels and capture of these specimens, by id."""
        found = self.query(
            f"SELECT id, labels, {', '.join(CAPTURE)} FROM specimen WHERE id IN (SELECT unnest(?::VARCHAR[]))",
            list(ids),
        )
        return {
            row[0]: (json.loads(row[1]), {n: v for n, v in zip(CAPTURE, row[2:], strict=True) if v is not None})
            for row in found.rows
        }

    def stamps(self, key: str) -> dict[str, str | None]:
        """The stamps under a key of all specimens that have a vector there, by id; None where it is not known."""
        found = self.query("SELECT id, stamp FROM stamp WHERE key = ?", key)
        return {**dict(found.rows), **(dict.fromkeys(self.unstamped()) if key == STAMP else {})}

    def unstamped(self) -> list[str]:
        """Ids of the specimens without any stamp: an early version stored them, when there was one encoder only."""
        return [row[0] for row in self.query("SELECT id FROM specimen WHERE id NOT IN (SELECT id FROM stamp)").rows]

    def unstamp(self, key: str, revision: int) -> None:
        """Forget all stamps under a key, as the store has since `revision`."""
        with self._transaction() as connection:
            connection.execute(
                "UPDATE specimen SET revision = ? WHERE id IN (SELECT id FROM stamp WHERE key = ?)", [revision, key]
            )
            connection.execute("DELETE FROM stamp WHERE key = ?", [key])
            connection.execute("UPDATE seen SET revision = greatest(revision, ?)", [revision])

    def labels_seen(self) -> list[str]:
        """The label columns that the views have."""
        return list(json.loads(self._one("SELECT labels FROM seen")))

    def labels_used(self) -> list[str]:
        """The label columns that specimens have, in order of name."""
        found = self.query("SELECT DISTINCT unnest(json_keys(labels)) AS label FROM specimen ORDER BY label")
        return [row[0] for row in found.rows]

    def specimens(self) -> int:
        """How many specimens it knows."""
        return int(self._one("SELECT count(*) FROM specimen"))

    def newest(self) -> tuple[int, int]:
        """The highest revision of a specimen (0 if there is none), and how many have it."""
        row = self.query("SELECT max(revision), count(*) FROM specimen GROUP BY revision ORDER BY 1 DESC LIMIT 1").rows
        return (int(row[0][0]), int(row[0][1])) if row else (0, 0)

    def count_paths(self, state: str) -> int:
        """How many paths of the ledger are "present" or "refused"."""
        if state == "refused":
            return int(self._one("SELECT count(*) FROM refusal"))
        return int(self._one("SELECT count(*) FROM path WHERE state = ?", state))

    def known(self, ids: Sequence[str]) -> set[str]:
        """Those of the ids that are in the index."""
        found = self.query("SELECT id FROM specimen WHERE id IN (SELECT unnest(?::VARCHAR[]))", list(ids))
        return {row[0] for row in found.rows}

    def same_size(self, sizes: Sequence[int]) -> set[str]:
        """Ids of the specimens whose file has one of these sizes: only they can have the same content."""
        found = self.query("SELECT id FROM specimen WHERE bytes IN (SELECT unnest(?::BIGINT[]))", list(sizes))
        return {row[0] for row in found.rows}

    def sizes_there(self, sizes: Iterable[int]) -> set[int]:
        """Those of these sizes that files of specimens have."""
        found = self.query("SELECT DISTINCT bytes FROM specimen WHERE bytes IN (SELECT unnest(?::BIGINT[]))", [*sizes])
        return {row[0] for row in found.rows}

    def ledger(self, keys: Sequence[tuple[str, str]]) -> list[LedgerEntry | None]:
        """What is known of these paths, in their order."""
        found = self.query(
            f"WITH asked AS (SELECT unnest(?::VARCHAR[]) AS root, unnest(?::VARCHAR[]) AS path, unnest(range(?)) AS i) "
            f"SELECT i, state, reason, id, size, mtime_ns FROM ({records('asked')}) ORDER BY rank, seen, id",
            [root for root, _ in keys], [path for _, path in keys], len(keys),
        )  # fmt: skip
        entries: list[LedgerEntry | None] = [None] * len(keys)
        for row in found.rows:  # of several for one path the last counts, as in the view `paths`
            entries[row[0]] = LedgerEntry(*row[1:])
        return entries

    def present(self, root: str, text: str, batch: int = 8192) -> Iterator[list[tuple[str, str]]]:
        """The present paths at a text of a root or below it ("." is all of the root), as (path, id of the specimen).

        In lists of at most `batch`, in order; the catalog may change between them.
        """
        last = ""
        while True:
            found = self.query(
                "SELECT path, id FROM path WHERE state = 'present' AND root = ? AND path > ? "
                "AND (? = '.' OR path = ? OR starts_with(path, ?)) ORDER BY path LIMIT ?",
                root, last, text, text, text + "/", batch,
            )  # fmt: skip
            if not found.rows:
                return
            yield [(path, specimen) for path, specimen in found.rows]
            last = found.rows[-1][0]

    def without_file(self) -> list[str]:
        """Ids of the specimens that lay at paths and lie at none now."""
        found = self.query(
            "SELECT DISTINCT id FROM path WHERE id NOT IN (SELECT id FROM path WHERE state = 'present') ORDER BY id"
        )
        return [row[0] for row in found.rows]

    def refused(self) -> list[Refused]:
        """The refused paths, in order of path."""
        found = self.query("SELECT root, path, reason, size, mtime_ns, seen FROM refusal ORDER BY root, path")
        return [Refused(*row) for row in found.rows]

    def contents(self, table: str) -> Counter[tuple[object, ...]]:
        """The rows of a table, to compare two catalogs."""
        return Counter(self.query(f"SELECT * FROM {table}").rows)

    def query(self, sql: str, *parameters: Any) -> Table:
        """Run a statement of ours and fetch all of its rows.

        Raises:
            StoreError: DuckDB failed.
        """
        try:
            cursor = self._connection.execute(sql, parameters)
            columns = tuple(column[0] for column in cursor.description or ())
            return Table(columns, tuple(cursor.fetchall()))
        except duckdb.Error as error:
            raise StoreError(f"the catalog failed ({_first_line(error)}); {_way_out(error)}") from error

    def ask(self, sql: str) -> Table:
        """Run a person's statement: it can read the tables, and nothing else of this machine.

        Raises:
            UsageError: the statement is wrong, or wants to write or to leave the index.
        """
        self._connection.close()
        try:
            return Table(*answer(str(self._path), sql))
        except duckdb.Error as error:
            quote = ' A name that is a word of SQL, such as order, goes in double quotes: "order".'
            raise UsageError(f"sql: {error}{quote if 'syntax error' in str(error) else ''}") from error
        finally:
            self._connection = self._connect()

    # -- inside -------------------------------------------------------------------------------------------------

    def _connect(self) -> duckdb.DuckDBPyConnection:
        try:
            return duckdb.connect(str(self._path), config={"threads": 1})
        except duckdb.Error as error:
            raise IndexDamaged(f"{self._path} cannot be opened ({_first_line(error)}): {REBUILD}") from error

    def _begin(self, path: Path) -> None:
        """Make the file beside its place first: a kill in the middle of that would leave one that is damaged."""
        beside = path.with_name(path.name + ".begun")
        for left in (beside, beside.with_name(beside.name + ".wal"), path.with_name(path.name + ".wal")):
            left.unlink(missing_ok=True)
        self._path = beside
        self._connection = self._connect()
        self._migrate()
        self.close()
        beside.replace(path)
        self._path = path

    def _migrate(self) -> None:
        connection = self._connection
        connection.execute("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER)")
        row = connection.execute("SELECT max(version) FROM schema_version").fetchone()
        version = row[0] if row and row[0] is not None else 0
        if version > len(MIGRATIONS):
            self.close()
            raise IndexTooNew(
                f"{self._path} was written by a later version of morphoindex (schema {version}, this one knows "
                f"{len(MIGRATIONS)}): upgrade with `pip install -U morphoindex`"
            )
        if version == len(MIGRATIONS):
            return
        with self._transaction():  # the views, too, are of this version then, or everything is as it was
            for number in range(version + 1, len(MIGRATIONS) + 1):
                MIGRATIONS[number - 1](connection)
                connection.execute("INSERT INTO schema_version VALUES (?)", [number])
            make_views(connection, self.labels_seen())

    def _one(self, sql: str, *parameters: Any) -> Any:
        return self.query(sql, *parameters).rows[0][0]

    @contextmanager
    def _transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        connection = self._connection
        try:
            connection.execute("BEGIN")
            yield connection
            connection.execute("COMMIT")
        except BaseException as error:
            with suppress(duckdb.Error):  # a failed commit has ended it already
                connection.rollback()
            if isinstance(error, duckdb.Error):
                raise StoreError(f"the catalog cannot be written ({_first_line(error)}); {_way_out(error)}") from error
            raise


def _way_out(error: BaseException) -> str:
    if "No space left" in str(error) or "File too large" in str(error):
        return "make room on the disk: nothing is lost, and the next command goes on from there"
    return f"nothing is lost, {REBUILD}"


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
