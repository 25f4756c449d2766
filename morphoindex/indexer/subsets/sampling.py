"""Samples of an index: the kernels of `selection`, with names and labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from morphoindex.errors import UsageError
from morphoindex.indexer.clustering.labels import NOISE
from morphoindex.indexer.descriptions.labels import see_column, telling
from morphoindex.indexer.host import Host, place
from morphoindex.indexer.repeats.duplicates import duplicate_groups
from morphoindex.indexer.repeats.encounters import any_times, encounter_groups
from morphoindex.indexer.results.duplicates import Comparing
from morphoindex.indexer.results.sampling import Balance, Quality, SampleResult, Selected
from morphoindex.indexer.selection.quality import distance_to_nearest, evenness
from morphoindex.indexer.selection.sampling import STRATEGIES, Strategy
from morphoindex.indexer.selection.sampling import sample as choose
from morphoindex.indexer.specimen import Specimen
from morphoindex.indexer.tables.where import parse_where
from morphoindex.indexer.words import count

_DIGITS = 4  # of what is reported


def sample(
    index: Host,
    n: int,
    strategy: Strategy = "cluster",
    by: str | None = None,
    where: str | None = None,
    seed: int = 0,
    unique: bool = False,
    report: Callable[[Comparing], None] = lambda done: None,
) -> SampleResult:
    """A subset; see `Index.sample`."""
    by = _checked(index, n, strategy, by, seed)
    loaded = index.collection.load(parse_where(where, index.column_of) if where else None)
    with_files = [i for i, specimen in enumerate(loaded.specimens) if specimen.paths or not specimen.sha256]
    specimens = [loaded.specimens[i] for i in with_files]
    vectors = loaded.matrix if len(with_files) == len(loaded.specimens) else loaded.matrix[with_files]
    clusters = _Values("cluster", [specimen.cluster for specimen in specimens])
    classes = _Values(by, [specimen.labels.get(by) for specimen in specimens]) if by else None
    if classes and specimens and not classes.names:
        raise UsageError(f"none of the {count(len(specimens), 'specimen')} has a {by}: label them with `add --labels`")
    alike, uncompared = _belonging_together(index, specimens, report) if unique else ([], 0)
    chosen = choose(
        vectors, n, strategy, clusters=clusters.numbers, classes=classes.numbers if classes else None,
        unique=alike, seed=seed,
    )  # fmt: skip
    described = telling(index.labels)
    labels = classes or (_Values(described, [s.labels.get(described) for s in specimens]) if described else None)
    values = [one for one in (clusters, labels) if one and one.names]
    at_random = np.random.default_rng([seed, 1]).permutation(len(specimens))[: len(chosen)]
    turns = classes or (clusters if strategy == "cluster" else None)
    return SampleResult(
        requested=n,
        selected=tuple(_selected(index, specimens[i]) for i in chosen.tolist()),
        strategy=strategy,
        by=by,
        seed=seed,
        available=len(specimens),
        unlabelled=int((classes.numbers == NOISE).sum()) if classes else 0,
        passed_over=tuple(turns.without(chosen)) if turns else (),
        unique=unique,
        uncompared=uncompared,
        quality=_quality(vectors, chosen, values),
        random=_quality(vectors, at_random, values),
    )


def _checked(index: Host, n: int, strategy: Strategy, by: str | None, seed: int) -> str | None:
    """The label column to go by.

    Raises:
        UsageError: an argument is not one of those allowed.
    """
    if n < 1:
        raise UsageError(f"n {n}: at least 1")
    if strategy not in STRATEGIES:
        raise UsageError(f"there is no strategy {strategy!r}; there are {', '.join(STRATEGIES)}")
    if seed < 0:
        raise UsageError(f"seed {seed}: at least 0")
    if by is not None:
        return see_column(index.labels, by)
    column = telling(index.labels) if strategy == "stratified" else None
    if strategy == "stratified" and column is None:
        raise UsageError("stratified goes by a label column; there are none yet: give them with `add --labels`")
    return column


class _Values:
    """What specimens have in a column, as numbers.

    Attributes:
        names: the distinct values, in order; numbers: int64 [n], into `names`, -1 for none.
    """

    def __init__(self, of: str, values: Sequence[str | None]) -> None:
        self.of = of
        self.names = sorted({value for value in values if value})
        number = {value: i for i, value in enumerate(self.names)}
        self.numbers = np.array([number[value] if value else NOISE for value in values], np.int64)

    def without(self, chosen: NDArray[np.int64]) -> list[str]:
        """The values that none of the chosen has."""
        there = set(self.numbers[chosen].tolist())
        return [name for i, name in enumerate(self.names) if i not in there]

    def balance(self, chosen: NDArray[np.int64]) -> Balance:
        """How the chosen are spread."""
        numbers = self.numbers[chosen]
        counts = np.bincount(numbers[numbers >= 0], minlength=len(self.names))
        return Balance(
            self.of, len(self.names), int((counts > 0).sum()), int(counts.min()), int(counts.max()),
            int((numbers < 0).sum()), round(evenness(counts), _DIGITS),
        )  # fmt: skip


def _belonging_together(
    index: Host, specimens: Sequence[Specimen], report: Callable[[Comparing], None]
) -> tuple[list[NDArray[np.int64]], int]:
    """Near-duplicates and encounters, int64 [n] each, -1 for none; and how many could not be compared."""
    ids = [specimen.id for specimen in specimens]
    groups, uncompared = duplicate_groups(index, ids, report)
    return [groups, *([encounter_groups(index, ids)] if any_times(index) else [])], int(uncompared.sum())


def _quality(vectors: NDArray[np.float32], chosen: NDArray[np.int64], values: Sequence[_Values]) -> Quality | None:
    if not len(chosen):
        return None
    distances = distance_to_nearest(vectors, chosen)
    return Quality(
        round(float(distances.max()), _DIGITS),
        round(float(distances.mean(dtype=np.float64)), _DIGITS),
        tuple(one.balance(chosen) for one in values),
    )


def _selected(index: Host, specimen: Specimen) -> Selected:
    return Selected(specimen.id, place(index.roots, specimen), specimen.cluster, dict(specimen.labels))
