"""Conditions on metadata, independent of where it is stored.

A `Filter` is a small tree over payload keys. A key is dotted, "labels.family", or, where a name may have a dot in it,
the tuple of the names that lead to the value: `("labels", "No. of segments")`. Nothing else needs care in a name.

    family is Apidae, and not taken before 2023
    And((Compare("labels.family", "=", "Apidae"), Compare("capture.time", ">=", "2023-01-01")))

What matches is the same in every store:

- Where the value is a list, one element that matches is enough: `paths = "a.jpg"` finds `["a.jpg", "b.jpg"]`.
- 1 and 1.0 are equal; true and 1 are not, nor are "1" and 1.
- `=` and `!=` take text as it stands. Order operators read it as a time; a time without a zone is UTC.
- A value of another kind than the one compared with matches `!=` only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from morphoindex.errors import UsageError

Key = str | tuple[str, ...]
Value = str | int | float | bool
Operator = Literal["=", "!=", "<", "<=", ">", ">="]


@dataclass(frozen=True)
class Compare:
    """`key op value`. A specimen without the key matches only `!=`. Order operators take numbers or ISO times.

    Raises:
        UsageError: an order operator with text that is not a time or with a truth value; a number that is not finite.
    """

    key: Key
    operator: Operator
    value: Value

    def __post_init__(self) -> None:
        if isinstance(self.value, float) and not math.isfinite(self.value):
            raise UsageError(f"{'.'.join(names(self.key))} cannot be compared with {self.value}: give a finite number.")
        if self.operator in ("=", "!="):
            return
        if isinstance(self.value, bool):
            raise UsageError(f"{'.'.join(names(self.key))} {self.operator} {self.value}: true and false have no order.")
        if isinstance(self.value, str):
            moment(self.value)


@dataclass(frozen=True)
class Missing:
    """The key is absent, null or an empty list."""

    key: Key


@dataclass(frozen=True)
class And:
    """All of them hold; without parts, always."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True)
class Or:
    """At least one holds; without parts, never."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True)
class Not:
    """It does not hold."""

    part: Filter


Filter = Compare | Missing | And | Or | Not


def names(key: Key) -> tuple[str, ...]:
    """The names that lead to the value: "labels.family" -> ("labels", "family")."""
    return tuple(key.split(".")) if isinstance(key, str) else key


def moment(text: str) -> datetime:
    """The instant that an ISO 8601 date or time names, in UTC.

    "2023-05-01" -> 2023-05-01 00:00:00+00:00, "2023-05-01T12:00+02:00" -> 2023-05-01 10:00:00+00:00

    Raises:
        UsageError: it is not one.
    """
    try:
        read = datetime.fromisoformat(text)
        return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise UsageError(f'"{text}" is not a time; write it like 2023-05-01 or 2023-05-01T12:00:00.') from error
