"""Tables as files: CSV, Parquet, JSON, Excel workbooks."""

from __future__ import annotations

import itertools
import math
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import duckdb

from morphoindex.errors import UsageError
from morphoindex.indexer.files.replacing import replacing
from morphoindex.indexer.paths import to_text
from morphoindex.indexer.tables.views import identifier, literal

FORMATS = ("csv", "parquet", "json", "xlsx")
Kind = Literal["text", "integer", "number", "boolean"]
MOST_ROWS, MOST_COLUMNS, MOST_CHARACTERS = 1_048_576, 16_384, 32_767
"""What a sheet of Excel holds, the line of column names included; and a cell of it."""
_TYPES: dict[Kind, str] = {"text": "VARCHAR", "integer": "BIGINT", "number": "DOUBLE", "boolean": "BOOLEAN"}
_COPY = {"csv": "FORMAT csv, HEADER", "parquet": "FORMAT parquet", "json": "FORMAT json, ARRAY true"}
_BATCH = 2048
_EXACT = 10**15  # Excel keeps 15 digits of a number
_CUT = " … [cut]"
_NAME_LENGTH = 31  # of a sheet
_WIDEST = 60  # characters of a column as it is first shown
_LOOKED_AT = 200  # rows that tell how wide a column is


@dataclass(frozen=True)
class Sheet:
    """A table to be written.

    Attributes:
        columns: names, distinct whatever their case.
        rows: of as many values each; None and NaN are empty cells.
        types: of the columns that are not text.
        order: the columns to sort by; in the order given where there are none.
        name: of the sheet in a workbook, see `sheet_names`.
    """

    columns: Sequence[str]
    rows: Iterable[Sequence[Any]]
    types: Mapping[str, Kind] = field(default_factory=dict)
    order: Sequence[str] = ()
    name: str = "Sheet1"


@dataclass(frozen=True)
class TableWritten:
    """How many rows were written, and how many texts a workbook took only in part."""

    rows: int
    cut: int = 0


def format_of(out: Path, given: str | None, formats: Sequence[str] = FORMATS) -> str:
    """The format that was asked for, else by the ending of the file: `a.CSV` -> "csv".

    Raises:
        UsageError: it is not one of `formats`.
    """
    ending = out.suffix.lstrip(".").lower()
    chosen = given or ending
    if chosen not in formats:
        said = repr(chosen) if chosen else "no ending"
        raise UsageError(f"{out}: this is written as {', '.join(formats)}, not as {said}: end the name so, or --format")
    return chosen


def write_table(out: Path, sheet: Sheet, format: str) -> TableWritten:
    """Write a table to a file, whole or not at all.

    Args:
        out: the file, replaced if it is there.
        sheet: the table; its rows are gone through once.
        format: one of `FORMATS`.

    Raises:
        UsageError: the file cannot be written, or a workbook does not take so many rows.
    """
    if format == "xlsx":
        return write_workbook(out, [sheet])
    with replacing(out) as beside, _loaded(sheet, out) as (connection, query, rows):
        aliased = ", ".join(f"c{i} AS {identifier(name)}" for i, name in enumerate(sheet.columns))
        copy_to(connection, f"SELECT {aliased} FROM ({query})", beside, _COPY[format])
    return TableWritten(rows)


def copy_to(connection: duckdb.DuckDBPyConnection, query: str, file: Path, options: str) -> None:
    """Write what a query finds into a file that is there, by DuckDB.

    DuckDB takes only paths in UTF-8. What has another one is written in the system's temporary folder, and copied.
    """

    def write(path: Path) -> None:
        connection.execute(f"COPY ({query}) TO {literal(str(path))} ({options}, USE_TMP_FILE false)")

    if _is_unicode(str(file)):
        write(file)
        return
    with tempfile.TemporaryDirectory(prefix="morphoindex-") as folder:
        passing = Path(folder) / "table"
        write(passing)
        shutil.copyfile(passing, file)


def rows_of(sheet: Sheet) -> list[tuple[Any, ...]]:
    """The rows of a table in their order, as they would be written."""
    with _loaded(sheet, Path(sheet.name)) as (connection, query, _):
        return connection.execute(query).fetchall()


def write_workbook(out: Path, sheets: Sequence[Sheet]) -> TableWritten:
    """Write tables to the sheets of an Excel workbook, whole or not at all, in constant memory.

    Texts are texts whatever they look like: nothing becomes a formula, a link or a number. Whole numbers of more digits
    than Excel keeps are written as text, and texts that are longer than a cell takes are cut, and say so.

    Args:
        out: the file, replaced if it is there.
        sheets: the tables, each with a name; rows are gone through once.

    Raises:
        UsageError: the file cannot be written, or a table has more rows or columns than a sheet takes.
    """
    import xlsxwriter
    from xlsxwriter.exceptions import FileCreateError

    rows = cut = 0
    names = sheet_names([sheet.name for sheet in sheets])
    with replacing(out) as beside:
        book = xlsxwriter.Workbook(os.fspath(beside), {"constant_memory": True})
        try:
            for sheet, name in zip(sheets, names, strict=True):
                with _loaded(sheet, out) as (connection, query, count):
                    _see_it_fits(out, sheet, count)
                    rows += count
                    cut += _fill(book, name, sheet.columns, connection.execute(query))
            book.close()
        except FileCreateError as error:
            raise error.args[0] if isinstance(error.args[0], OSError) else OSError(str(error)) from error
        finally:
            book.fileclosed = 1  # else one that was given up writes itself when it is let go
    return TableWritten(rows, cut)


def sheet_names(wishes: Sequence[str]) -> list[str]:
    """Names that Excel takes, distinct whatever their case: `["a/b", "A?b", ""]` -> `["a_b", "A_b 2", "Sheet"]`."""
    names: list[str] = []
    for wish in wishes:
        plain = "".join("_" if c in "[]:*?/\\" or not c.isprintable() else c for c in wish).strip(" '")
        if plain.casefold() in ("", "history"):  # Excel keeps that one for itself
            plain = f"{plain}_" if plain else "Sheet"
        taken = {name.casefold() for name in names}
        endings = itertools.chain([""], (f" {n}" for n in itertools.count(2)))
        candidates = (_clipped(plain, _NAME_LENGTH - len(end)).rstrip(" '") + end for end in endings)
        names.append(next(name for name in candidates if name.casefold() not in taken))
    return names


@contextmanager
def _loaded(sheet: Sheet, out: Path) -> Iterator[tuple[duckdb.DuckDBPyConnection, str, int]]:
    """A table with the rows and columns c0, c1, …; the query for them in their order; and how many they are."""
    kinds = [_TYPES[sheet.types.get(name, "text")] for name in sheet.columns]
    places = [f"c{i}" for i in range(len(kinds))]
    order = [places[list(sheet.columns).index(name)] for name in sheet.order] or ["rowid"]
    with duckdb.connect(config={"threads": 1}) as connection:
        declared = ", ".join(f"{place} {kind}" for place, kind in zip(places, kinds, strict=True))
        lists = ", ".join(f"unnest(?::{kind}[])" for kind in kinds)
        try:
            connection.execute("SET enable_progress_bar = false")  # after two seconds it would go to stdout
            connection.execute(f"CREATE TABLE report ({declared})")
            rows, texts = iter(sheet.rows), [kind == "VARCHAR" for kind in kinds]
            count = 0
            while batch := list(itertools.islice(rows, _BATCH)):
                values = [
                    [_text(v) if text else _number(v) for v in column]
                    for text, column in zip(texts, zip(*batch, strict=True), strict=True)
                ]
                connection.execute(f"INSERT INTO report SELECT {lists}", values)
                count += len(batch)
            yield connection, f"SELECT {', '.join(places)} FROM report ORDER BY {', '.join(order)}", count
        except duckdb.Error as error:
            reason = str(error).splitlines()[0]
            raise UsageError(f"{to_text(os.fspath(out))} cannot be written: {reason}") from error


def _text(value: object) -> str | None:
    """A value as valid Unicode, for what is not a name of a file, of which `to_text` made that."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    text = value if isinstance(value, str) else str(value)
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _is_unicode(path: str) -> bool:
    """Whether no surrogate stands in it for a byte that is not UTF-8."""
    return not any("\ud800" <= character <= "\udfff" for character in path)


def _number(value: Any) -> Any:
    value = value.item() if hasattr(value, "item") else value  # of numpy
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _see_it_fits(out: Path, sheet: Sheet, rows: int) -> None:
    if rows >= MOST_ROWS:
        raise UsageError(
            f"{out}: {rows:,} rows, and a sheet of Excel takes {MOST_ROWS - 1:,}: write csv or parquet, which take any "
            "number"
        )
    if len(sheet.columns) > MOST_COLUMNS:
        raise UsageError(
            f"{out}: {len(sheet.columns):,} columns, and a sheet of Excel takes {MOST_COLUMNS:,}: write csv or parquet"
        )


def _fill(book: Any, name: str, columns: Sequence[str], found: duckdb.DuckDBPyConnection) -> int:
    """Write a sheet; says how many texts were cut."""
    sheet, bold = book.add_worksheet(name), book.add_format({"bold": True})
    sheet.freeze_panes(1, 0)
    cut, number, widths = 0, 0, [len(column) for column in columns]
    for i, column in enumerate(columns):
        sheet.write_string(0, i, _clipped(column, MOST_CHARACTERS), bold)
    while rows := found.fetchmany(_BATCH):
        for row in rows:
            number += 1
            for i, value in enumerate(row):
                cut += _write_cell(sheet, number, i, value)
                if value is not None and number <= _LOOKED_AT:
                    widths[i] = max(widths[i], len(f"{value:.4g}" if isinstance(value, float) else str(value)))
    for i, width in enumerate(widths):
        sheet.set_column(i, i, min(width, _WIDEST) + 2)
    sheet.autofilter(0, 0, number, max(0, len(columns) - 1))
    return cut


def _write_cell(sheet: Any, row: int, column: int, value: Any) -> bool:
    """Write a cell; says whether its text was cut."""
    if value in (None, ""):
        return False
    if isinstance(value, bool):
        sheet.write_boolean(row, column, value)
    elif isinstance(value, float) or (isinstance(value, int) and abs(value) < _EXACT):
        sheet.write_number(row, column, value)
    else:
        text = str(value)
        short = text if _fits(text) else _clipped(text, MOST_CHARACTERS - len(_CUT)) + _CUT
        sheet.write_string(row, column, short)
        return short is not text
    return False


def _fits(text: str) -> bool:
    """Whether a cell takes it; Excel counts in units of UTF-16."""
    return len(text) <= MOST_CHARACTERS // 2 or len(text.encode("utf-16-le")) // 2 <= MOST_CHARACTERS


def _clipped(text: str, most: int) -> str:
    """The beginning of a text, of at most so many units of UTF-16."""
    return text.encode("utf-16-le")[: 2 * most].decode("utf-16-le", "ignore")
