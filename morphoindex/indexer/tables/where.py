"""The language of `--where`: `family = "Apidae" and (time >= "2024-06-01" or camera is missing)`."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, cast

from morphoindex.errors import UsageError
from morphoindex.indexer.specimen import cluster_id
from morphoindex.indexer.storage.filters import And, Compare, Filter, Key, Missing, Not, Operator, Or, Value

_TOKEN = re.compile(
    r"""\s*(?:(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<op><=|>=|!=|<>|==|=|<|>)|(?P<mark>[(),])"""
    r"""|(?P<number>-?\d+(?:\.\d+)?(?![\w.-]))|(?P<word>[^\s"'()<>=!,]+))"""
)
_OPERATORS = {"==": "=", "<>": "!="}
_HOW = 'write conditions such as: family = "Apidae" and width >= 200, species in (a, b), camera is missing'


@dataclass(frozen=True)
class Column:
    """What a name in a condition stands for: a payload key, and the kind of its values."""

    key: Key
    kind: Literal["text", "number", "time", "cluster"]


def parse_where(text: str, column_of: Callable[[str], Column]) -> Filter:
    """Parse a condition.

    Args:
        text: the condition; `and`, `or`, `not`, `in (…)`, `is missing`, brackets; values in either kind of quotes,
            or bare where they are one word.
        column_of: what a name stands for; raises UsageError for a name that is not known.

    Raises:
        UsageError: it cannot be parsed, or holds an unknown name.
    """
    return _Parser(text, column_of).parse()


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str


class _Parser:
    def __init__(self, text: str, column_of: Callable[[str], Column]) -> None:
        self._text = text
        self._column_of = column_of
        self._tokens = self._split(text)
        self._at = 0

    def parse(self) -> Filter:
        result = self._either()
        if self._at < len(self._tokens):
            raise self._wrong(f"`{self._tokens[self._at].text}` is not expected")
        return result

    def _either(self) -> Filter:
        parts = [self._both()]
        while self._take_word("or"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def _both(self) -> Filter:
        parts = [self._one()]
        while self._take_word("and"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _one(self) -> Filter:
        if self._take_word("not"):
            return Not(self._one())
        if self._take("mark", "("):
            inner = self._either()
            if not self._take("mark", ")"):
                raise self._wrong("a `)` is missing")
            return inner
        return self._comparison()

    def _comparison(self) -> Filter:
        token = self._next("a name")
        if token.kind not in ("word", "text"):
            raise self._wrong(f"`{token.text}` stands where a name should")
        column = self._column_of(_unquote(token))
        if self._take_word("is"):
            negated = self._take_word("not")
            if not (self._take_word("missing") or self._take_word("null")):
                raise self._wrong("`is` goes with `missing` or `not missing`")
            return Not(Missing(column.key)) if negated else Missing(column.key)
        negated = self._take_word("not")
        if self._take_word("in"):
            choice = self._choice(column)
            return Not(choice) if negated else choice
        operator = self._next("an operator")
        if negated or operator.kind != "op":
            raise self._wrong(f"`{operator.text}` stands where one of = != < <= > >= in is should")
        sign = cast("Operator", _OPERATORS.get(operator.text, operator.text))
        if column.kind in ("text", "cluster") and sign not in ("=", "!="):
            raise self._wrong(f"{_unquote(token)} is text, which goes with = and !=")
        return Compare(column.key, sign, self._value(column))

    def _choice(self, column: Column) -> Filter:
        if not self._take("mark", "("):
            raise self._wrong("`in` goes with a list: in (a, b)")
        parts = [Compare(column.key, "=", self._value(column))]
        while self._take("mark", ","):
            parts.append(Compare(column.key, "=", self._value(column)))
        if not self._take("mark", ")"):
            raise self._wrong("a `)` is missing")
        return Or(tuple(parts))

    def _value(self, column: Column) -> Value:
        token = self._next("a value")
        if token.kind not in ("number", "text", "word"):
            raise self._wrong(f"`{token.text}` stands where a value should")
        text = _unquote(token)
        if column.kind == "time":
            return _whole_date(text)
        if column.kind == "text":
            return text
        if column.kind == "cluster":
            return cluster_id(text) or text
        try:
            return int(text)
        except ValueError:
            pass
        try:
            return float(text)
        except ValueError:
            raise self._wrong(f"`{text}` stands where a number should") from None

    def _next(self, wanted: str) -> _Token:
        if self._at >= len(self._tokens):
            raise self._wrong(f"{wanted} is missing at the end")
        self._at += 1
        return self._tokens[self._at - 1]

    def _take(self, kind: str, text: str) -> bool:
        if self._at < len(self._tokens):
            token = self._tokens[self._at]
            if token.kind == kind and token.text.lower() == text:
                self._at += 1
                return True
        return False

    def _take_word(self, word: str) -> bool:
        return self._take("word", word)

    def _split(self, text: str) -> list[_Token]:
        tokens, at = [], 0
        text = text.rstrip()
        while at < len(text):
            match = _TOKEN.match(text, at)
            if not match or match.lastgroup is None:
                raise self._wrong(f"cannot read on from `{text[at:].strip()[:20]}`")
            tokens.append(_Token(match.lastgroup, match[match.lastgroup]))
            at = match.end()
        return tokens

    def _wrong(self, what: str) -> UsageError:
        return UsageError(f"--where {self._text!r}: {what}; {_HOW}")


def _whole_date(text: str) -> str:
    """A year or a month as its first day: `2024-06` -> `2024-06-01`; other text as it is."""
    return text + "2024-01-01"[len(text) :] if re.fullmatch(r"\d{4}(-\d{2})?", text) else text


def _unquote(token: _Token) -> str:
    return re.sub(r"\\(.)", r"\1", token.text[1:-1]) if token.kind == "text" else token.text
