"""A person's SQL: reads, and only the index."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import tiny

import morphoindex
from morphoindex import Index
from morphoindex.errors import UsageError


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    folder = tmp_path_factory.mktemp("sql")
    (folder / "outside.csv").write_text("a\n1\n")
    encoder = str(tiny.encoder(folder / "tiny.onnx"))
    with morphoindex.open(folder / "index", create=True, encoder=encoder) as opened:
        opened.add(tiny.photos(folder / "photos", 2, 3), labels="folder")
        yield opened


def folder_of(index: Index) -> Path:
    return Path(index.status().index).parent


def bytes_of(folder: Path) -> dict[str, bytes]:
    names = ("index/catalog.duckdb", "outside.csv")
    return {name: (folder / name).read_bytes() for name in names}


@pytest.mark.parametrize(
    ("statement", "rows"),
    [
        ("SELECT count(*) FROM specimens", [(6,)]),
        ("SELECT species, count(*) FROM specimens GROUP BY ALL ORDER BY 1;", [("kind0", 3), ("kind1", 3)]),
        ("FROM paths SELECT count(*) WHERE state = 'present'", [(6,)]),
        ("WITH s AS (SELECT * FROM specimens) SELECT count(*) FROM s", [(6,)]),
        ("SELECT ';' -- one; statement", [(";",)]),
        ("SELECT id FROM specimens WHERE false", []),
    ],
)
def test_it_answers(index: Index, statement: str, rows: list[tuple[object, ...]]) -> None:
    assert list(index.sql(statement).rows) == rows


def test_describe_and_summarize_answer_too(index: Index) -> None:
    assert "species" in {row[0] for row in index.sql("DESCRIBE specimens").rows}
    assert index.sql("SUMMARIZE paths").rows


@pytest.mark.parametrize(
    "statement",
    [
        # writes
        "DELETE FROM path", "INSERT INTO run VALUES ('', '', '', 1, 1, 1)", "UPDATE specimen SET width = 1",
        "DROP TABLE specimen", "CREATE TABLE x (a INT)", "CREATE TEMP TABLE x (a INT)",
        "CREATE OR REPLACE VIEW specimens AS SELECT 1",
        "WITH gone AS (DELETE FROM path RETURNING id) SELECT * FROM gone", "TRUNCATE path", "VACUUM", "CHECKPOINT",
        "BEGIN", "ALTER TABLE path ADD COLUMN x INT",
        # files
        "SELECT * FROM read_csv('{outside}')", "SELECT * FROM '{outside}'", "SELECT * FROM read_text('{outside}')",
        "SELECT * FROM read_blob('/etc/passwd')", "SELECT * FROM glob('/*')", "SELECT * FROM sniff_csv('{outside}')",
        "COPY path TO '{folder}/out.csv'", "COPY (SELECT 1) TO '{folder}/index/catalog.duckdb'",
        "COPY (SELECT 1) TO '{folder}/index/catalog.duckdb' (USE_TMP_FILE false)",
        "COPY (SELECT 1) TO '{folder}/index/catalog.duckdb.wal'", "EXPORT DATABASE '{folder}/out'",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '{folder}/index/catalog.duckdb.wal'",
        "WITH x AS (COPY (SELECT 1) TO '{folder}/index/catalog.duckdb.wal') SELECT 1",
        "WITH x AS (COPY (SELECT 1) TO '{folder}/index/catalog.duckdb' (USE_TMP_FILE false)) SELECT 1",
        "WITH x AS (COPY (SELECT 1) TO '{folder}/out.csv') SELECT 1",
        "SELECT * FROM read_blob('{folder}/index/catalog.duckdb')",
        "SELECT * FROM query('COPY (SELECT 1) TO ''{folder}/index/catalog.duckdb.wal''')",
        "PREPARE x AS COPY (SELECT 1) TO '{folder}/index/catalog.duckdb.wal'", "IMPORT DATABASE '{folder}'",
        "ATTACH '{folder}/other.duckdb' AS other", "ATTACH ':memory:' AS other", "DETACH catalog",
        # the machine and the network
        "SELECT * FROM 'https://example.org/x.parquet'", "SELECT getenv('HOME')", "INSTALL httpfs", "LOAD httpfs",
        "SELECT INET '1.1.1.1'", "CREATE SECRET (TYPE s3)",
        # settings
        "SET enable_external_access = true", "RESET lock_configuration", "PRAGMA threads = 4", "SET threads = 4",
        "PRAGMA profiling_output = '{folder}/profile.json'", "CALL enable_logging(storage = 'file')",
        # not one statement, or none
        "", " ", ";", "-- nothing", "SELECT 1; SELECT 2", "SELECT 1; DROP TABLE specimen",
        "SELECT", "SELEC 1", "SELECT nothing FROM specimens", "SELECT ?", "SELECT $a", "SELECT error('x')",
        "SELECT * FROM index", "SELECT * FROM statement",
    ],
)  # fmt: skip
def test_it_refuses_in_words_and_goes_on(index: Index, statement: str) -> None:
    folder = folder_of(index)
    before, names = bytes_of(folder), sorted(str(path) for path in folder.rglob("*"))
    with pytest.raises(UsageError, match=r"^sql: "):
        index.sql(statement.replace("{outside}", str(folder / "outside.csv")).replace("{folder}", str(folder)))
    assert bytes_of(folder) == before
    assert sorted(str(path) for path in folder.rglob("*")) == names
    assert index.sql("SELECT count(*) FROM specimens").rows == ((6,),)


def test_the_catalog_takes_writes_after_a_question_and_after_a_refusal(index: Index) -> None:
    for statement in ("SELECT 1", "DROP TABLE specimen"):
        try:
            index.sql(statement)
        except UsageError:
            assert statement != "SELECT 1"
        tiny.photo(folder_of(index) / "more" / "one.png", 5, len(statement))
        assert index.add(folder_of(index) / "more").added == 1
        assert index.remove([str(folder_of(index) / "more" / "one.png")]).removed == 1
    assert index.check().clean
