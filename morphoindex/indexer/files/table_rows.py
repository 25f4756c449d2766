"""Rows of tables that people have made: CSV files, and the first sheet of Excel workbooks, as text."""

from __future__ import annotations

import csv
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

from morphoindex.errors import UsageError

WORKBOOKS = (".xlsx", ".xlsm")
TABLES = (".csv", ".tsv", *WORKBOOKS)
"""How the names of files end that are read as tables."""
_OTHERS = (".xls", ".xlsb", ".ods", ".numbers")
_MARKS = {",": "comma", ";": "semicolon", "\t": "tab"}
_ZEROS = re.compile("0+")  # a number format that fills up with zeros


def read_rows(path: Path) -> Iterator[list[str]]:
    """The rows, header first, each as text.

    A cell of a workbook is what it shows: a date ISO 8601, a whole number without a decimal point, one that is filled
    up with zeros with them; an error such as #N/A is empty. Of a formula it is what was last worked out.

    Raises:
        UsageError: there is no such file, it cannot be read, or a row of a CSV file has more cells than the header.
    """
    if not path.is_file():
        raise UsageError(f"--labels {path}: there is no such file")
    kind = path.suffix.lower()
    if kind in _OTHERS:
        raise UsageError(f"{path} is read neither as a CSV file nor as an Excel workbook: save it as .xlsx or .csv")
    return _workbook(path) if kind in WORKBOOKS else _csv(path)


def path_column(columns: Sequence[str]) -> int | None:
    """Where the column `path` stands, in whatever case; None where there is none."""
    return next((i for i, column in enumerate(columns) if column.strip().lower() == "path"), None)


def _csv(path: Path) -> Iterator[list[str]]:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            header = file.readline()
            file.seek(0)
            delimiter = _delimiter(header)
            reader = csv.reader(file, delimiter=delimiter)
            width: int | None = None
            for row in reader:
                width = len(row) if width is None else width
                if any(cell.strip() for cell in row[width:]):  # as after a comma that was not put in quotes
                    raise UsageError(
                        f"{path}, line {reader.line_num}: it has more cells than the header has columns; put values "
                        f"that have a {_MARKS[delimiter]} in them in double quotes"
                    )
                yield row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(
            f'{path} cannot be read as a CSV file in UTF-8 ({error}): save it as one (in Excel, "CSV UTF-8"), or as '
            ".xlsx"
        ) from error


def _delimiter(header: str) -> str:
    """Comma, semicolon or tab: the one that sets the column `path` apart, else the most frequent one."""
    by_count = sorted(_MARKS, key=header.count, reverse=True)
    split = (mark for mark in by_count if path_column(next(csv.reader([header], delimiter=mark), [])) is not None)
    return next(split, by_count[0])


def _workbook(path: Path) -> Iterator[list[str]]:
    from openpyxl import load_workbook

    try:
        with open(path, "rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is in the workbook beside the cells
            book = load_workbook(file, read_only=True, data_only=True)
            if not book.worksheets:
                raise ValueError("it has no sheet")
            sheet = book.worksheets[0]
            sheet.reset_dimensions()  # some programs write wrong ones, and rows would be left out
            rows: Iterable[Sequence[Any]] = sheet.iter_rows()
            yield from ([_text(cell) for cell in row] for row in rows)
    except Exception as error:  # zipfile, the XML parser and openpyxl raise errors of any kind on damaged files
        words = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UsageError(
            f"{path} cannot be read as an Excel workbook ({words}): open it in Excel, without a password, and save it "
            "as .xlsx or as CSV UTF-8"
        ) from error


def _text(cell: Any) -> str:
    value = cell.value
    if value is None or cell.data_type == "e":
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int):
        return str(value).zfill(len(cell.number_format)) if _ZEROS.fullmatch(cell.number_format) else str(value)
    if isinstance(value, datetime) and not any((value.hour, value.minute, value.second, value.microsecond)):
        value = value.date()
    return value.isoformat() if isinstance(value, date) else str(value)
