"""What `split` returns, which is also its certificate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class SplitPlan:
    """How to split.

    Attributes:
        ratios: the share of each side, sum 1; names: of the sides.
        by: the label column that each side gets its share of; None for none.
        groups: columns whose equal values stay on one side.
        site, night: with `night`, what is of one night (noon to noon) at one value of the column `site` does, too.
        seed: another one deals otherwise.
    """

    ratios: tuple[float, ...]
    names: tuple[str, ...]
    by: str | None
    groups: tuple[str, ...]
    site: str | None
    night: bool
    seed: int


@dataclass(frozen=True)
class Grouped:
    """A reason for which specimens stay on one side.

    Attributes:
        by: in words.
        groups: of at least two; specimens: that are in these.
        unknown: specimens of which it cannot be said, since they lack the value, the time, the vector or the picture.
    """

    by: str
    groups: int
    specimens: int
    unknown: int


@dataclass(frozen=True)
class SplitSide:
    """A side.

    Attributes:
        name: of it; ratio: the share asked for; share: that it has.
        specimens: on it now; added: of these, by this run; groups: what they come to when what belongs together is one.
        labels: value → specimens; unlabelled: those without one.
    """

    name: str
    ratio: float
    share: float
    specimens: int
    added: int
    groups: int
    labels: Mapping[str, int]
    unlabelled: int


@dataclass(frozen=True)
class LargeGroup:
    """What belongs together and is more than the smallest side should have: how much, where it went, one of it."""

    specimens: int
    side: str
    example: str


@dataclass(frozen=True)
class HeldBack:
    """A specimen on no side, because it belongs to what is on several; `path` as in `SearchHit`."""

    id: str
    path: str | None


@dataclass(frozen=True)
class Bridged:
    """Two specimens that had their sides when one came that links them, and is held back: their ids, and by what."""

    ids: tuple[str, str]
    by: str


@dataclass(frozen=True)
class ClosestPair:
    """The two most similar specimens on different sides."""

    cosine: float
    ids: tuple[str, str]
    sides: tuple[str, str]
    paths: tuple[str | None, str | None]


@dataclass(frozen=True)
class SplitResult:
    """A split, as it is after this run.

    Attributes:
        name: of the split; version: of morphoindex; date: ISO 8601 UTC; encoder, fingerprint: whose vectors counted.
        plan: how it was asked for.
        specimens: that it looked at; groups: what they come to when what belongs together is one.
        grouped: why specimens stay together.
        sides: what came of it.
        large: groups that are more than the smallest side should have.
        one_group: label values that are all in one group, and so on one side.
        held_back: on no side.
        bridged: what is on several sides and may belong together only by way of what is held back.
        closest: of all pairs across; None where the index has no vectors for two sides.
        leaks: groups on several sides: always 0, since there is no split otherwise.
        begun: it did not exist before, or was drawn anew; dry_run: nothing was written.
    """

    name: str
    version: str
    date: str
    encoder: str
    fingerprint: str
    plan: SplitPlan
    specimens: int
    groups: int
    grouped: tuple[Grouped, ...]
    sides: tuple[SplitSide, ...]
    large: tuple[LargeGroup, ...]
    one_group: tuple[str, ...]
    held_back: tuple[HeldBack, ...]
    bridged: tuple[Bridged, ...]
    closest: ClosestPair | None
    leaks: int
    begun: bool
    dry_run: bool
