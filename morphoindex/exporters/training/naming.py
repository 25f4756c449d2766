"""What a classifier learns to tell: the labels of photographs, rank by rank."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from morphoindex.errors import UsageError
from morphoindex.exporters.training.pictures import Pictures
from morphoindex.indexer.descriptions.labels import RANKS, labeller, telling
from morphoindex.indexer.results.common import Refusal

UNKNOWN = -1
_NAMED = 4


@dataclass(frozen=True, eq=False)
class Names:
    """The labels of N photographs.

    Attributes:
        ranks: the labels that are learned, from the coarsest to the finest.
        classes: of each rank, sorted.
        numbers: int64 [ranks, N], the class; UNKNOWN where the photograph has no such label.
    """

    ranks: tuple[str, ...]
    classes: tuple[tuple[str, ...], ...]
    numbers: npt.NDArray[np.int64]

    def finest(self) -> npt.NDArray[np.int64]:
        """One number for each combination of labels that there is, int64 [N]: what a split is stratified by."""
        return np.unique(self.numbers, axis=1, return_inverse=True)[1].reshape(-1).astype(np.int64)


def read_names(
    pictures: Pictures, how: str, ranks: Sequence[str] = (), group: str | None = None
) -> tuple[Names, list[str]]:
    """Label photographs as `add` does.

    Args:
        pictures: to be labelled.
        how: `folder`, a pattern, or a CSV or Excel file.
        ranks: the labels to learn. By default order, family, genus and species, as far as there are any, else the
            first label.
        group: a label whose equal values stay on one side of the split.

    Returns:
        The names of all photographs, and their groups, "" where there is none.

    Raises:
        UsageError: no photograph has such a label, or there are fewer than two classes.
    """
    read = labeller(how)
    labels = [read(path) for path in pictures.paths]
    columns = {column: None for one in labels for column in one}
    if group is not None and group not in columns:
        raise UsageError(f"--group {group}: no photograph has such a label; there are {_listed(columns)}")
    chosen = tuple(ranks) or _hierarchy([column for column in columns if column != group])
    unknown = [rank for rank in chosen if rank not in columns]
    if unknown or not chosen:
        missing = f"--rank {unknown[0]}: no photograph has such a label" if unknown else "no photograph has a label"
        raise UsageError(f"--labels {how}: {missing}; there are {_listed(columns)}")
    return _numbered(labels, chosen), [one.get(group, "") if group else "" for one in labels]


def without_nameless(pictures: Pictures, names: Names) -> tuple[Pictures, Names, npt.NDArray[np.intp]]:
    """Leave out the photographs that have none of the labels.

    Returns:
        The others, with these among the refused; their names; and which rows they were, int64.
    """
    named = (names.numbers != UNKNOWN).any(axis=0)
    reason = f"no label: {' or '.join(names.ranks)}"
    refused = [Refusal(pictures.paths[row], reason) for row in np.flatnonzero(~named)]
    rows = np.flatnonzero(named)
    return pictures.of(rows, refused), Names(names.ranks, names.classes, names.numbers[:, rows]), rows


def refuse_lonely(names: Names, groups: npt.NDArray[np.int64]) -> None:
    """See that each class can be learned from and tested on.

    Raises:
        UsageError: a class has one photograph, or only photographs of one group.
    """
    for rank, classes, numbers in zip(names.ranks, names.classes, names.numbers, strict=True):
        lonely = [name for number, name in enumerate(classes) if len(np.unique(groups[numbers == number])) < 2]
        if lonely:
            name = lonely[0]
            count = int((numbers == classes.index(name)).sum())
            have = "one photograph" if count == 1 else f"{count} photographs that are copies or of one group"
            more = f" (so have {len(lonely) - 1} more: {_listed(lonely[1:])})" if lonely[1:] else ""
            raise UsageError(f"{rank} {name} has {have}: to learn and to test takes two that differ{more}")


def _hierarchy(columns: Sequence[str]) -> tuple[str, ...]:
    """The ranks there are, from the coarsest; else the label that says most."""
    found = tuple(rank for rank in reversed(RANKS) if rank in columns)
    first = telling(columns)
    return found or ((first,) if first else ())


def _numbered(labels: Sequence[Mapping[str, str]], ranks: Sequence[str]) -> Names:
    classes = {rank: tuple(sorted({one[rank] for one in labels if one.get(rank)})) for rank in ranks}
    learned = tuple(rank for rank in ranks if len(classes[rank]) > 1)
    if not learned:
        finest = ranks[-1]
        raise UsageError(f"there are fewer than two classes: every {finest} is {_listed(classes[finest])}")
    numbers = np.full((len(learned), len(labels)), UNKNOWN, np.int64)
    for place, rank in enumerate(learned):
        at = {name: number for number, name in enumerate(classes[rank])}
        numbers[place] = [at.get(one.get(rank, ""), UNKNOWN) for one in labels]
    return Names(learned, tuple(classes[rank] for rank in learned), numbers)


def counted(names: Names) -> dict[str, dict[str, int]]:
    """How many photographs each class has: rank -> class -> number."""
    return {
        rank: dict(Counter(classes[number] for number in numbers if number != UNKNOWN))
        for rank, classes, numbers in zip(names.ranks, names.classes, names.numbers, strict=True)
    }


def _listed(names: Sequence[str] | Mapping[str, object]) -> str:
    shown = list(names)
    more = f" and {len(shown) - _NAMED} more" if len(shown) > _NAMED else ""
    return ", ".join(shown[:_NAMED]) + more if shown else "none"


def read_measure(
    pictures: Pictures, how: str | None, group: str | None
) -> tuple[str, npt.NDArray[np.int64], list[str]]:
    """Labels that a training is measured by, and does not learn from.

    Args:
        pictures: to be labelled.
        how: as `read_names` has it; None for no labels.
        group: a label whose equal values stay on one side of the split.

    Returns:
        The finest label, "" where there is none; int64 [N], the class of each picture, or UNKNOWN; their groups, "" for
        none.

    Raises:
        UsageError: as `read_names`; or a group without labels.
    """
    if how is not None:
        names, groups = read_names(pictures, how, group=group)
        return names.ranks[-1], names.numbers[-1], groups
    if group:
        raise UsageError("--group names a label: give --labels as well")
    return "", np.full(len(pictures), UNKNOWN), [""] * len(pictures)
