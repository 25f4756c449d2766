"""What the two Qdrant stores share: filters and checks, in terms of neither of the two libraries."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from morphoindex.errors import StoreError
from morphoindex.indexer.storage.filters import And, Compare, Filter, Key, Missing, Not, Or, moment, names
from morphoindex.indexer.storage.vectors import Hit, Payload, Point

T = TypeVar("T")

# Beyond these, a float64 no longer tells neighbouring integers apart, and integers no longer fit Qdrant's.
EXACT_IN_FLOAT = 2**53
LARGEST_INTEGER = 2**63 - 1
# A server refuses JSON nested more than 128 deep, which is two a level; Edge overruns its stack at some thousand.
DEEPEST = 50
BOUNDS = {"<": "lt", "<=": "lte", ">": "gt", ">=": "gte"}


@dataclass(frozen=True)
class Dialect:
    """How a library spells the conditions that filters are made of.

    Attributes:
        equals: (path, value) → the value is this text, integer or truth value.
        in_range: (path, {"gt" | "gte" | "lt" | "lte": number}) → the value is a number within.
        in_time: (path, {"gt" | …: moment in UTC}) → the value is a time within.
        is_empty: path → absent, null or an empty list.
        every, some, none: conditions → one condition, as a filter. `some` gets at least one.
    """

    equals: Callable[[str, str | int | bool], Any]
    in_range: Callable[[str, dict[str, float]], Any]
    in_time: Callable[[str, dict[str, datetime]], Any]
    is_empty: Callable[[str], Any]
    every: Callable[[list[Any]], Any]
    some: Callable[[list[Any]], Any]
    none: Callable[[list[Any]], Any]


def path(key: Key) -> str:
    """The key in Qdrant's path notation: ("labels", "my key") -> 'labels."my key"'.

    Inside its quotes Qdrant takes every character but the quote and the backslash, and has no escape for these two.

    Raises:
        StoreError: a name has one of the two in it.
    """
    for name in names(key):
        if '"' in name or "\\" in name:
            raise StoreError(f"Qdrant cannot search in a field with a quote or a backslash in its name: {name}")
    return ".".join(name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else f'"{name}"' for name in names(key))


def translate(where: Filter, dialect: Dialect, kinds: Mapping[str, str], depth: int = 0) -> Any:
    """The filter in the words of a library.

    Args:
        where: what is to match.
        dialect: the library.
        kinds: path → kind of the index on it ("integer", "datetime", …).
        depth: how deep this part of a filter lies.

    Raises:
        StoreError: a name that cannot be searched in, or a filter nested deeper than Qdrant takes.
    """
    if depth > DEEPEST:
        raise StoreError(f"The condition is nested more than {DEEPEST} deep; write it flatter.")
    match where:
        case Compare(operator="!="):
            return dialect.none([_compare(where, dialect, kinds)])
        case Compare():
            return _compare(where, dialect, kinds)
        case Missing(key):
            return dialect.every([dialect.is_empty(path(key))])
        case And(parts):
            return dialect.every([translate(part, dialect, kinds, depth + 1) for part in parts])
        case Or(()):  # Qdrant takes an empty alternative for no condition at all
            return _never(dialect)
        case Or(parts):
            return dialect.some([translate(part, dialect, kinds, depth + 1) for part in parts])
        case Not(part):
            return dialect.none([translate(part, dialect, kinds, depth + 1)])


def _compare(where: Compare, dialect: Dialect, kinds: Mapping[str, str]) -> Any:
    """A match or a range; for `=` on numbers a range of one value, because a match never finds 1.0 for 1.

    An index of times answers a range of numbers as if its times were numbers, and the other way round (seen in
    qdrant-edge 0.9); what cannot match is therefore not asked.
    """
    at, value = path(where.key), where.value
    equality = where.operator in ("=", "!=")
    if equality and isinstance(value, str | bool):
        return dialect.every([dialect.equals(at, value)])
    if isinstance(value, str):
        if kinds.get(at) in ("integer", "float"):
            return _never(dialect)
        return dialect.every([dialect.in_time(at, {BOUNDS[where.operator]: moment(value)})])
    if kinds.get(at) == "datetime":
        return _never(dialect)
    if equality and isinstance(value, int) and EXACT_IN_FLOAT < abs(value) <= LARGEST_INTEGER:
        return dialect.every([dialect.equals(at, value)])
    number = _float(value)
    bounds = {"gte": number, "lte": number} if equality else {BOUNDS[where.operator]: number}
    return dialect.every([dialect.in_range(at, bounds)])


def _never(dialect: Dialect) -> Any:
    return dialect.none([dialect.every([])])


def _float(value: int | float) -> float:
    limit = float(np.finfo(np.float64).max)
    return float(max(-limit, min(limit, value)))


def batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Slices of at most `size`: [1, 2, 3], 2 -> [1, 2], [3]."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def check_point(point: Point, size: int) -> list[float]:
    """The vector as a list, after a look at what Qdrant would take in without a word or refuse without a name.

    Raises:
        StoreError: no vector, one of another length or with values that are not finite; a payload that is not JSON.
    """
    if point.vector is None:
        raise StoreError(f"Point {point.id} has no vector.")
    check_payload(point.payload, f"point {point.id}")
    return check_vector(point.id, point.vector, size)


def check_vector(point: str, vector: NDArray[np.float32], size: int) -> list[float]:
    """The vector as a list; raises StoreError where it has another length, or values that are not finite."""
    if vector.shape != (size,):
        raise StoreError(f"The vector of point {point} has shape {vector.shape}; this store takes ({size},).")
    if not np.isfinite(vector).all():
        raise StoreError(f"The vector of point {point} has values that are not finite numbers.")
    return list_of(vector)


def check_new(vectors: Mapping[str, int], name: str, size: int, where: str) -> bool:
    """Whether vectors of this name and dimension are yet to be made.

    Raises:
        StoreError: there are such, of another dimension.
    """
    if vectors.get(name, size) != size:
        raise StoreError(f"{where} has vectors named {name!r} of {vectors[name]} dimensions, not {size}.")
    return name not in vectors


def check_payload(payload: Payload, of: str) -> None:
    """Raise StoreError where the payload holds anything that JSON in UTF-8 cannot."""
    try:
        json.dumps(payload, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise StoreError(f"The metadata of {of} cannot be stored as JSON: {error}") from error


def list_of(vector: NDArray[np.float32]) -> list[float]:
    """The float32 values as Python floats; the way back through float32 gives the same bytes."""
    values: list[float] = vector.astype(np.float32, copy=False).tolist()
    return values


def choose_vector(vectors: Mapping[str, int], wanted: str | None, where: str) -> str:
    """The vector name to work on: the one wanted, or the first.

    Raises:
        StoreError: the store has no such vectors.
    """
    name = next(iter(vectors), "") if wanted is None else wanted
    if not name or name not in vectors:
        raise StoreError(f"{where} has no vectors named {name!r}; it has: {', '.join(vectors) or 'none'}.")
    return name


def best(ask: Callable[[int], list[Hit]], k: int) -> list[Hit]:
    """The first k hits by score, equal scores by id, from a store that breaks ties as it likes.

    Args:
        ask: how many → so many of the nearest, in any order.
        k: how many are wanted.
    """
    if k < 1:
        return []
    asked = k + 1
    while True:
        hits = sorted(ask(asked), key=lambda hit: (-hit.score, hit.id))
        if len(hits) < asked or hits[k - 1].score > hits[-1].score:
            return hits[:k]
        asked *= 2  # a tie runs across the end: some of it may not have come


def cosine(score: float) -> float:
    """The score within [-1, 1], which rounding may have left by a last bit."""
    return max(-1.0, min(1.0, score))
