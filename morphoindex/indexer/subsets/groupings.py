"""What belongs together: every reason for which specimens stay on one side of a split."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from morphoindex.errors import UsageError
from morphoindex.indexer.descriptions.naming import CAMERA, value_of
from morphoindex.indexer.host import Host
from morphoindex.indexer.repeats.duplicates import duplicate_groups
from morphoindex.indexer.repeats.encounters import any_times, encounter_groups
from morphoindex.indexer.results.duplicates import Comparing
from morphoindex.indexer.selection.duplicates import SAME_PICTURE
from morphoindex.indexer.selection.together import numbered

_NOON = timedelta(hours=12)


@dataclass(frozen=True)
class Grouping:
    """A reason.

    Attributes:
        by: in words.
        groups: int64 [n], -1 for what is in none.
        unknown: specimens of which it cannot be said.
        cosine: all pairs of those in groups that are so similar belong together by it; None where something else
            decides.
        alone: groups are those of the specimens asked about alone; else some may hang together by way of others.
    """

    by: str
    groups: NDArray[np.int64]
    unknown: int
    cosine: float | None = None
    alone: bool = True


def groupings(
    index: Host, ids: Sequence[str], columns: Sequence[str], site: str | None, night: bool,
    report: Callable[[Comparing], None] = lambda done: None,
) -> list[Grouping]:  # fmt: skip
    """All reasons for which some of these specimens belong together. A further one is a further `Grouping` here.

    Raises:
        UsageError: there is no such column, or nights are asked for and not known of any specimen.
    """
    found = [*_near_duplicates(index, ids, report), *(_by_column(index, ids, column) for column in columns)]
    if any_times(index):
        met = encounter_groups(index, ids)
        found.append(Grouping("encounters", met, int((met < 0).sum()), alone=False))
    if night:
        found.append(_by_night(index, ids, site or CAMERA))
    return found


def _near_duplicates(index: Host, ids: Sequence[str], report: Callable[[Comparing], None]) -> Iterator[Grouping]:
    """Those that show one photograph; by the embedding alone where there is no picture to look at."""
    groups, uncompared = duplicate_groups(index, ids, report)
    yield Grouping("near-duplicates", groups, int(uncompared.sum()), alone=False)
    if uncompared.any():
        close, lacking = _near_copies(index, ids, uncompared)
        by = f"cosine {SAME_PICTURE:g} and more, of those without a picture"
        yield Grouping(by, close, lacking, SAME_PICTURE)


def _near_copies(index: Host, ids: Sequence[str], wanted: NDArray[np.bool_]) -> tuple[NDArray[np.int64], int]:
    """Which of those wanted hang together by similarity, -1 for the others; and how many of them have no vector."""
    from morphoindex.indexer.clustering.forest import ClusterForest

    forest, row_of = index.graph(), {one: row for row, one in enumerate(ids) if wanted[row]}
    keys = forest.keys
    rows = [i for i in range(len(keys)) if keys[i] in row_of]
    own = ClusterForest(())  # of these alone: others may be what links them
    own.add([keys[i] for i in rows], forest.vectors[rows])
    groups = np.full(len(ids), -1, np.int64)
    groups[[row_of[keys[i]] for i in rows]] = own.threshold(SAME_PICTURE, min_size=1)
    return groups, len(row_of) - len(rows)


def _by_column(index: Host, ids: Sequence[str], column: str) -> Grouping:
    values = index.collection.catalog.values(ids, value_of(index.labels, column))
    groups = numbered(values)
    return Grouping(column, groups, int((groups < 0).sum()))


def _by_night(index: Host, ids: Sequence[str], site: str) -> Grouping:
    places = index.collection.catalog.values(ids, value_of(index.labels, site))
    nights = [night_of(time) for time in index.collection.catalog.values(ids, '"time"')]
    groups = numbered(
        (place, night) if place is not None and night is not None else None
        for place, night in zip(places, nights, strict=True)
    )
    if (groups < 0).all():
        raise UsageError(
            f"nights: no specimen has both a time and a {site}; `add` takes --time-format, --camera and --labels"
        )
    return Grouping(f"nights of one {site} (noon to noon)", groups, int((groups < 0).sum()))


def night_of(time: str | None) -> date | None:
    """The day on which the night of a capture begins: "2024-06-02T01:30:00" -> 2024-06-01.

    A date alone stands for the night that begins on it; what is no time has none.
    """
    try:
        read = datetime.fromisoformat((time or "")[:19])
    except ValueError:
        return None
    return read.date() if len(time or "") <= len("2024-06-01") else (read - _NOON).date()
