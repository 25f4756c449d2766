"""What `sample` returns. The field names are those of the JSON that the command line prints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from morphoindex.indexer.results.common import Refusal
from morphoindex.indexer.selection.sampling import Strategy


@dataclass(frozen=True)
class Selected:
    """A specimen of a sample."""

    id: str
    path: str | None
    cluster: str | None
    labels: Mapping[str, str]


@dataclass(frozen=True)
class Balance:
    """How a sample is spread over the values of a label, or over the clusters.

    Attributes:
        of: the label column, or "cluster".
        values: how many there are among the specimens that could be chosen; covered: how many of these the sample has.
        fewest, most: specimens of the sample that a value has, over all values.
        none: specimens of the sample without a value, or in no cluster.
        evenness: of the others, Pielou's J: 1 where all values have the same, 0 where one has all.
    """

    of: str
    values: int
    covered: int
    fewest: int
    most: int
    none: int
    evenness: float


@dataclass(frozen=True)
class Quality:
    """What a sample is worth.

    Attributes:
        radius: cosine distance of the specimen that is farthest from the sample to its nearest chosen one, over all
            that could be chosen; mean: the mean of these distances.
        balance: over the clusters, and over a label, where there are any.
    """

    radius: float
    mean: float
    balance: tuple[Balance, ...]


@dataclass(frozen=True)
class WrittenSample:
    """What `sample --out` put into a folder.

    Attributes:
        folder: absolute; how: "copy", "link", "symlink" or "none".
        files: how many of the sample lie there now; before: how many of these lay there already.
        missing: whose files are not there any more, or have other content.
        folders: class folder → label value, of the layout imagefolder; None for those without one.
    """

    folder: str
    layout: str
    how: str
    files: int
    before: int
    missing: tuple[Refusal, ...]
    folders: Mapping[str, str | None]


@dataclass(frozen=True)
class SampleResult:
    """A sample in the order chosen. Its first k are a sample of k, but for `facility` in a large index.

    Attributes:
        requested: how many were asked for; `selected` has fewer where there were fewer to choose from.
        by: the label column that was balanced over, or that the strata were those of.
        available: specimens that could be chosen.
        unlabelled: those of them that have no value in `by`.
        passed_over: clusters, or values of `by`, that gave none, because there are more of them than places.
        unique: at most one of each near-duplicate group and encounter was to be chosen; uncompared: of how many
            specimens it could not be said whether they are near-duplicates.
        quality: None where there was nothing to choose from; random: of a random sample of the same size.
        written: where that was asked for.
    """

    requested: int
    selected: tuple[Selected, ...]
    strategy: Strategy
    by: str | None
    seed: int
    available: int
    unlabelled: int
    passed_over: tuple[str, ...]
    unique: bool
    uncompared: int
    quality: Quality | None
    random: Quality | None
    written: WrittenSample | None = None
