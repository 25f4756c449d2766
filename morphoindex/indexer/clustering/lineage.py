"""Which new cluster is which old one: identity over time, by shared members."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

_NUMBER = re.compile(r"C(\d+)")


def match(old: Sequence[str | None], new: NDArray[np.int64]) -> dict[int, str]:
    """Match new clusters to old ones, one to one, such that the shared members are as many as can be.

    O(n + c³) for c clusters that share members.

    Args:
        old: [n] ids before the run, None for specimens that were in no cluster.
        new: int64 [n], labels of the run, -1 for noise.

    Returns:
        New label → old id, for those that continue one.
    """
    from scipy.optimize import linear_sum_assignment
    from scipy.sparse import coo_array

    pairs = [
        (label, former) for label, former in zip(new.tolist(), old, strict=True) if label >= 0 and former is not None
    ]
    if not pairs:
        return {}
    labels = sorted({label for label, _ in pairs})
    formers = sorted({former for _, former in pairs})
    row = {label: i for i, label in enumerate(labels)}
    column = {former: j for j, former in enumerate(formers)}
    counts = coo_array(
        (np.ones(len(pairs)), ([row[label] for label, _ in pairs], [column[former] for _, former in pairs])),
        shape=(len(labels), len(formers)),
    ).toarray()
    rows, columns = linear_sum_assignment(counts, maximize=True)
    return {labels[i]: formers[j] for i, j in zip(rows, columns, strict=True) if counts[i, j] > 0}


def new_ids(used: Iterable[str], count: int) -> list[str]:
    """The next ids, never one that was used before: `["C0001", "C0007"], 2` -> `["C0008", "C0009"]`."""
    numbers = [int(found[1]) for found in map(_NUMBER.fullmatch, used) if found]
    start = max(numbers, default=0) + 1
    return [f"C{number:04d}" for number in range(start, start + count)]
