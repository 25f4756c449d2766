"""What is answered about specimens in no cluster."""

from __future__ import annotations

from dataclasses import dataclass

from morphoindex.indexer.results.common import Decided


@dataclass(frozen=True)
class Suggestion:
    """Where a specimen that is in no cluster may belong, and how likely that is; `path` is its first present one."""

    id: str
    path: str | None
    cluster: str
    name: str | None
    probability: float


@dataclass(frozen=True)
class SuggestionList:
    """Suggestions, from sure to unsure.

    Attributes:
        outside: specimens in no cluster.
        least: the probability from which one is listed.
        suggestions: those listed.
        decided: what was decided where they were to be followed, one decision a cluster.
        dry_run: nothing was decided.
    """

    outside: int
    least: float
    suggestions: tuple[Suggestion, ...]
    decided: tuple[Decided, ...] = ()
    dry_run: bool = False
