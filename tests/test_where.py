"""The language of --where."""

from __future__ import annotations

import pytest

from morphoindex.errors import UsageError
from morphoindex.indexer.storage.filters import And, Compare, Missing, Not, Or
from morphoindex.indexer.tables.where import Column, parse_where

COLUMNS = {
    "family": Column(("labels", "family"), "text"),
    "No. of spots": Column(("labels", "No. of spots"), "text"),
    "width": Column("width", "number"),
    "cluster": Column("cluster", "cluster"),
    "time": Column("capture.time", "time"),
}
FAMILY, TIME = ("labels", "family"), "capture.time"


def column_of(name: str) -> Column:
    if name not in COLUMNS:
        raise UsageError(f"there is no column {name!r}")
    return COLUMNS[name]


def where(text: str) -> object:
    return parse_where(text, column_of)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('family = "Apidae"', Compare(FAMILY, "=", "Apidae")),
        ("family='Apidae'", Compare(FAMILY, "=", "Apidae")),
        ("family == Apidae", Compare(FAMILY, "=", "Apidae")),
        ("family <> Apidae", Compare(FAMILY, "!=", "Apidae")),
        ("family = 12", Compare(FAMILY, "=", "12")),
        ("family = 012", Compare(FAMILY, "=", "012")),
        ('family = "say \\"hi\\""', Compare(FAMILY, "=", 'say "hi"')),
        ('"No. of spots" = 7', Compare(("labels", "No. of spots"), "=", "7")),
        ("width >= 200", Compare("width", ">=", 200)),
        ("width < 1.5", Compare("width", "<", 1.5)),
        ("time > 2024-06-01", Compare(TIME, ">", "2024-06-01")),
        ("time >= 2023", Compare(TIME, ">=", "2023-01-01")),
        ('time > "2023-06"', Compare(TIME, ">", "2023-06-01")),
        ('time <= "2024-06-01T10:00:00"', Compare(TIME, "<=", "2024-06-01T10:00:00")),
        ("time is missing", Missing(TIME)),
        ("cluster = c12", Compare("cluster", "=", "C0012")),
        ('cluster in ("c0004", other)', Or((Compare("cluster", "=", "C0004"), Compare("cluster", "=", "other")))),
        ("time IS NOT NULL", Not(Missing(TIME))),
        ("family in (Apidae, 'Vespidae')", Or((Compare(FAMILY, "=", "Apidae"), Compare(FAMILY, "=", "Vespidae")))),
        ("family not in (Apidae)", Not(Or((Compare(FAMILY, "=", "Apidae"),)))),
        (
            "family = a and width > 1 or not (width = 3)",
            Or((And((Compare(FAMILY, "=", "a"), Compare("width", ">", 1))), Not(Compare("width", "=", 3)))),
        ),
    ],
)
def test_conditions(text: str, expected: object) -> None:
    assert where(text) == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "missing at the end"),
        ("family", "an operator is missing"),
        ("family =", "a value is missing"),
        ("famly = x", "no column 'famly'"),
        ("family = a b", "`b` is not expected"),
        ("(family = a", "a `)` is missing"),
        ("family > b", "goes with = and !="),
        ("width = wide", "where a number should"),
        ("time > yesterday", "time"),
        ('family = "open', "cannot read on"),
        ("family is old", "missing"),
        ("= 3", "where a name should"),
        ("family not = 3", "where one of"),
        ("family in Apidae", "list"),
    ],
)
def test_wrong_conditions_say_what_is_wrong(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says.replace("(", r"\(").replace(")", r"\)")):
        where(text)
