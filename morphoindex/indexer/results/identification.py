"""What `identify` returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from morphoindex.indexer.results.common import Refusal

Verdict = Literal["known", "near", "novel"]


@dataclass(frozen=True)
class Calibration:
    """How well the names of an index tell known from novel, and from where on.

    Attributes:
        encoder, label, k, groups: what it holds for.
        copies: cosine from which on another of the same name was taken for a copy and left out; None where nothing was,
            because most of a name are as near to each other as that.
        mean_of, weight, typical: nearness is the mean cosine of so many nearest named specimens, less that part of what
            the mean cosine of these to their own neighbours is above `typical`.
        specimens, names: that were each left out in turn, and how many names these have.
        auroc: the chance that a specimen whose name is there lies nearer than one whose name is not.
        threshold, error: where the mean of the two error rates is least, and that mean.
        known_from, novel_below: nearness from which on the verdict is "known", and below which "novel".
        known, novel: the shares of specimens whose name is, and is not, there by the verdict that they get.
        accuracy: the share of specimens whose name is there that get it.
        ranks: column of a higher rank → how often neighbours that agree on it are right, of those whose name is not
            there.
    """

    encoder: str
    label: str
    k: int
    groups: tuple[str, ...]
    copies: float | None
    mean_of: int
    weight: float
    typical: float
    specimens: int
    names: int
    auroc: float
    threshold: float
    error: float
    known_from: float
    novel_below: float
    known: Mapping[str, float]
    novel: Mapping[str, float]
    accuracy: float
    ranks: Mapping[str, float]


@dataclass(frozen=True)
class Candidate:
    """A name that neighbours have.

    Attributes:
        name: the name; share: of the vote, which goes to it.
        cosine: to the nearest specimen of this name; specimen, path: that one.
    """

    name: str
    share: float
    cosine: float
    specimen: str
    path: str | None


@dataclass(frozen=True)
class Agreed:
    """What neighbours agree on at a rank.

    Attributes:
        column: of the rank; value: that wins there; share: of the vote, that it has.
        right: how often that is right for specimens whose name is not there (`Calibration.ranks`).
    """

    column: str
    value: str
    share: float
    right: float | None


@dataclass(frozen=True)
class Identified:
    """What is said of a photograph or specimen.

    Attributes:
        query: as it was given, or found in a folder.
        specimen: its id, where it is in the index; it does not speak for itself.
        named: the name that it has there.
        verdict: "known", "near" or "novel"; None where that is not calibrated.
        name: that wins; None where the verdict is "novel".
        share: of the vote, that the winning name has.
        nearness: see `Calibration.mean_of`; without one, the mean cosine of all k neighbours.
        nearest: the names of the neighbours, the winner first.
        ranks: of the higher ranks, the lowest first, those that the neighbours agree on, where that is more often
            right than not; all they agree on, where that is not known.
    """

    query: str
    specimen: str | None
    named: str | None
    verdict: Verdict | None
    name: str | None
    share: float
    nearness: float
    nearest: tuple[Candidate, ...]
    ranks: tuple[Agreed, ...]


@dataclass(frozen=True)
class IdentifyResult:
    """The answer to `identify`.

    Attributes:
        label: the column of the names; k: how many neighbours voted.
        specimens, names: named specimens of the index, and their different names.
        calibration: None where there are too few names; `uncalibrated` then says so in words.
        identified: one for each photograph; refused: what could not be read.
    """

    label: str
    k: int
    specimens: int
    names: int
    calibration: Calibration | None
    uncalibrated: str | None
    identified: tuple[Identified, ...]
    refused: tuple[Refusal, ...]
