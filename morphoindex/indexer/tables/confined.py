"""A person's SQL: it can read the tables of the catalog, and nothing else of this machine."""

from __future__ import annotations

from typing import Any

import duckdb

from morphoindex.errors import UsageError

_CONFINED = """
    SET python_enable_replacements = false; SET autoinstall_known_extensions = false;
    SET autoload_known_extensions = false; SET enable_external_access = false;
    SET disabled_filesystems = 'LocalFileSystem'; SET lock_configuration = true
"""


def answer(file: str, sql: str) -> tuple[tuple[str, ...], tuple[tuple[Any, ...], ...]]:
    """The columns and rows that one statement gives.

    Args:
        file: of the catalog, which nobody has open.
        sql: the statement.

    Raises:
        UsageError: it is more or other than one query.
        duckdb.Error: it is wrong, or wants to leave the index.
    """
    with duckdb.connect(file, read_only=True, config={"threads": 1}) as connection:
        connection.execute(_CONFINED)
        _check_statement(connection, sql)
        cursor = connection.execute(sql)
        return tuple(column[0] for column in cursor.description or ()), tuple(cursor.fetchall())


def _check_statement(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    """Raise UsageError for what is not one query.

    What hides in one, such as `WITH x AS (COPY …)`, is stopped by `_CONFINED`.
    """
    statements = connection.extract_statements(sql)
    if len(statements) != 1:
        raise UsageError(f"sql: {len(statements) or 'no'} statements: give one, such as SELECT * FROM specimens")
    if statements[0].type != duckdb.StatementType.SELECT:
        raise UsageError(f"sql: {statements[0].type.name} is not allowed: only asking is (SELECT, DESCRIBE, SUMMARIZE)")
