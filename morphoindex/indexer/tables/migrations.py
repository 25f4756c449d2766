"""The tables of the catalog, as numbered steps from an empty file to the present schema."""

from __future__ import annotations

from collections.abc import Callable

import duckdb

Migration = Callable[[duckdb.DuckDBPyConnection], None]
MIGRATIONS: list[Migration] = []


def migration(number: int) -> Callable[[Migration], Migration]:
    """Register the step from schema `number - 1` to `number`."""

    def register(step: Migration) -> Migration:
        if number != len(MIGRATIONS) + 1:
            raise ValueError(f"migration {number} is out of order")
        MIGRATIONS.append(step)
        return step

    return register


@migration(1)
def specimens_paths_runs(connection: duckdb.DuckDBPyConnection) -> None:
    """The first tables.

    Specimens; their paths, present and closed, as the store has them; refused paths; clustering runs; and what of the
    store, the journal and the labels the catalog has seen.
    """
    connection.execute("""
        CREATE TABLE specimen (
            id VARCHAR PRIMARY KEY, sha256 VARCHAR, width INTEGER, height INTEGER, format VARCHAR, bytes BIGINT,
            "time" VARCHAR, camera VARCHAR, latitude DOUBLE, longitude DOUBLE, notes VARCHAR,
            cluster VARCHAR, probability DOUBLE, added VARCHAR, labels VARCHAR, revision BIGINT
        );
        CREATE TABLE path (
            root VARCHAR, path VARCHAR, state VARCHAR, id VARCHAR, size BIGINT, mtime_ns BIGINT, seen VARCHAR
        );
        CREATE TABLE refusal (
            root VARCHAR, path VARCHAR, reason VARCHAR, size BIGINT, mtime_ns BIGINT, seen VARCHAR,
            PRIMARY KEY (root, path)
        );
        CREATE TABLE run (
            "time" VARCHAR, method VARCHAR, parameters VARCHAR, specimens BIGINT, clusters BIGINT, noise BIGINT
        );
        CREATE TABLE seen (revision BIGINT, runs BIGINT, labels VARCHAR);
        INSERT INTO seen VALUES (0, 0, '[]');
    """)


@migration(2)
def lineage_and_decisions(connection: duckdb.DuckDBPyConnection) -> None:
    """What runs did to clusters, what people decided, and the two levels of a membership.

    The history is taken in anew from the journal.
    """
    connection.execute("""
        ALTER TABLE specimen ADD COLUMN grouped VARCHAR;
        ALTER TABLE run ADD COLUMN run BIGINT;
        ALTER TABLE seen ADD COLUMN decisions BIGINT DEFAULT 0;
        DELETE FROM run;
        UPDATE seen SET runs = 0, decisions = 0;
        CREATE TABLE event (
            run BIGINT, "time" VARCHAR, kind VARCHAR, cluster VARCHAR, size BIGINT, gained BIGINT, lost BIGINT,
            others VARCHAR
        );
        CREATE TABLE decision (
            number BIGINT, "time" VARCHAR, kind VARCHAR, clusters VARCHAR, name VARCHAR, specimens BIGINT, undoes BIGINT
        );
        CREATE TABLE lineage (cluster VARCHAR, name VARCHAR, since VARCHAR, run BIGINT, merged_into VARCHAR);
        CREATE TABLE curated (id VARCHAR, cluster VARCHAR);
    """)


@migration(3)
def stamps(connection: duckdb.DuckDBPyConnection) -> None:
    """What tells the vectors of specimens apart."""
    connection.execute("ALTER TABLE specimen ADD COLUMN stamp VARCHAR")


@migration(4)
def stamps_of_several_encoders(connection: duckdb.DuckDBPyConnection) -> None:
    """A specimen has a vector, and so a stamp, for each of several encoders."""
    connection.execute("""
        CREATE TABLE stamp (id VARCHAR, "key" VARCHAR, stamp VARCHAR);
        INSERT INTO stamp SELECT id, 'stamp', stamp FROM specimen WHERE stamp IS NOT NULL;
        ALTER TABLE specimen DROP COLUMN stamp;
    """)


@migration(5)
def captures_and_encounters(connection: duckdb.DuckDBPyConnection) -> None:
    """Where in which frame a specimen was, and which are of one animal, with what that was worked out from."""
    connection.execute("""
        ALTER TABLE specimen ADD COLUMN frame VARCHAR;
        ALTER TABLE specimen ADD COLUMN crop_number INTEGER;
        ALTER TABLE specimen ADD COLUMN frame_width INTEGER;
        ALTER TABLE specimen ADD COLUMN frame_height INTEGER;
        ALTER TABLE specimen ADD COLUMN x1 DOUBLE;
        ALTER TABLE specimen ADD COLUMN y1 DOUBLE;
        ALTER TABLE specimen ADD COLUMN x2 DOUBLE;
        ALTER TABLE specimen ADD COLUMN y2 DOUBLE;
        CREATE TABLE encounter (id VARCHAR PRIMARY KEY, encounter VARCHAR, session VARCHAR);
        ALTER TABLE seen ADD COLUMN encounters VARCHAR DEFAULT '';
    """)


@migration(6)
def near_duplicates(connection: duckdb.DuckDBPyConnection) -> None:
    """Which specimen is kept instead of a near-duplicate."""
    connection.execute("ALTER TABLE specimen ADD COLUMN duplicate_of VARCHAR")
