"""What the calls of `Index` return that are about encoders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from morphoindex.indexer.identity.events import Event
    from morphoindex.indexer.results.common import Refusal


@dataclass(frozen=True)
class Reembedding:
    """How far a `reembed` is: so many specimens of `total` that lacked a vector have one now, or were refused."""

    embedded: int
    refused: int
    total: int


@dataclass(frozen=True)
class ReembedResult:
    """What `reembed` did: `embedded` specimens got a vector of the encoder, those `refused` did not.

    `lacking` of the `specimens` of the index have none now; in a dry run, before it. `current` tells whether search and
    clusters go by this encoder.
    """

    encoder: str
    current: bool
    embedded: int
    refused: tuple[Refusal, ...]
    specimens: int
    lacking: int
    seconds: float
    images_per_second: float


@dataclass(frozen=True)
class Switched:
    """The current encoder, and the one that was it before; `lacking` of the `specimens` have no vector of it."""

    encoder: str
    before: str
    specimens: int
    lacking: int


@dataclass(frozen=True)
class Dropped:
    """An encoder that the index no longer has, and how many vectors went with it; in a dry run, would go."""

    encoder: str
    vectors: int
    dry_run: bool


@dataclass(frozen=True)
class Overlap:
    """How many of the `neighbours` nearest others are the same with two encoders, for a sample of specimens.

    Attributes:
        neighbours: how many were looked at of each.
        sampled: of how many specimens.
        mean: how many of them are the same; quartiles: a quarter, half and three quarters have at most so many.
        counts: of how many specimens none, one, two, … all are the same.
    """

    neighbours: int
    sampled: int
    mean: float
    quartiles: tuple[float, float, float]
    counts: tuple[int, ...]


@dataclass(frozen=True)
class EncoderClusters:
    """What clustering by an encoder comes to, before people's decisions."""

    encoder: str
    method: str
    parameters: Mapping[str, Any]
    clusters: int
    noise: int


@dataclass(frozen=True)
class Comparison:
    """Two encoders of an index, compared on the `specimens` that have vectors of both.

    Attributes:
        left_out: specimens that lack a vector of one of them.
        overlap: of nearest neighbours.
        a, b: the clusters that each gives.
        in_both: specimens compared that are in a cluster of both.
        ami, ari: adjusted mutual information and adjusted Rand index over those; 1 for the same clusters, 0 for what
            chance gives; None where there are none.
        events: what the next run would do to the clusters there are, were `b` the current encoder; None where nothing
            was clustered yet.
    """

    specimens: int
    left_out: int
    overlap: Overlap
    a: EncoderClusters
    b: EncoderClusters
    in_both: int
    ami: float | None
    ari: float | None
    events: tuple[Event, ...] | None
