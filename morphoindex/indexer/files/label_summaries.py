"""What labels there are, summed up in files: a table over all label columns, the counts of each, and its values."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from morphoindex.indexer.files.replacing import replacing
from morphoindex.indexer.files.safe_names import safe_name, told_apart, with_key
from morphoindex.indexer.files.table_files import Kind, Sheet, write_table
from morphoindex.indexer.paths import to_text
from morphoindex.indexer.selection.quality import evenness

STATISTICS = "statistics.csv"
_COLUMNS: dict[str, Kind] = {
    "label": "text", "images": "integer", "labelled": "integer", "unlabelled": "integer", "values": "integer",
    "most": "integer", "most_frequent": "text", "fewest": "integer", "median": "number", "single": "integer",
    "evenness": "number",
}  # fmt: skip
_KEY = 8  # digits that tell files of one name apart


@dataclass(frozen=True)
class LabelSummary:
    """A label column: how many have a value of it, and how the values are spread.

    Attributes:
        counts: value → how many have it, frequent values first.
        evenness: Pielou's J: 1 where all values are equally frequent, towards 0 where one has nearly all; None below
            two values.
    """

    label: str
    images: int
    counts: Mapping[str, int]
    evenness: float | None

    @property
    def labelled(self) -> int:
        """How many have a value."""
        return sum(self.counts.values())


@dataclass(frozen=True)
class LabelFiles:
    """What was written: the summaries, and the names of the files in their folder."""

    summaries: tuple[LabelSummary, ...]
    files: tuple[str, ...]


def summarise_labels(rows: Iterable[Mapping[str, str | None]], columns: Sequence[str]) -> list[LabelSummary]:
    """Count the values of label columns.

    Args:
        rows: label → value, of one image each; None, "" and what is not there count as unlabelled.
        columns: the labels to count.
    """
    images, counters = 0, {column: Counter[str]() for column in columns}
    for row in rows:
        images += 1
        for column, counter in counters.items():
            if value := row.get(column):
                counter[value] += 1
    found = []
    for column, counter in counters.items():
        ranked = dict(sorted(counter.items(), key=lambda pair: (-pair[1], pair[0])))
        even = round(evenness(np.array(list(ranked.values()))), 4) if len(ranked) > 1 else None
        found.append(LabelSummary(column, images, ranked, even))
    return found


def write_label_summaries(rows: Iterable[Mapping[str, str | None]], columns: Sequence[str], out: Path) -> LabelFiles:
    """Write `statistics.csv`, and of each label `LABEL_counts.csv` and `unique_LABEL.txt`, into a folder that is there.

    Args:
        rows, columns: as for `summarise_labels`.
        out: the folder; files of these names are replaced.

    Raises:
        UsageError: a file cannot be written.
    """
    summaries = summarise_labels(rows, columns)
    statistics = Sheet(tuple(_COLUMNS), [_statistics(one) for one in summaries], _COLUMNS)
    write_table(out / STATISTICS, statistics, "csv")
    files = [STATISTICS]
    for name, one in zip(_file_names(columns), summaries, strict=True):
        table = [(value, count, count / one.labelled) for value, count in one.counts.items()]
        types: dict[str, Kind] = {"images": "integer", "share": "number"}
        value = one.label if one.label not in types else f"label_{one.label}"
        write_table(out / f"{name}_counts.csv", Sheet((value, "images", "share"), table, types), "csv")
        with replacing(out / f"unique_{name}.txt") as beside:
            lines = [to_text(value) + "\n" for value in sorted(one.counts)]
            beside.write_text("".join(lines), encoding="utf-8")
        files += [f"{name}_counts.csv", f"unique_{name}.txt"]
    return LabelFiles(tuple(summaries), tuple(files))


def _statistics(one: LabelSummary) -> tuple[object, ...]:
    counts = list(one.counts.values())
    most_frequent = next(iter(one.counts), None)
    return (
        one.label, one.images, one.labelled, one.images - one.labelled, len(counts), max(counts, default=None),
        most_frequent, min(counts, default=None), float(np.median(counts)) if counts else None, counts.count(1),
        one.evenness,
    )  # fmt: skip


def _file_names(columns: Sequence[str]) -> list[str]:
    """Names for the files of label columns; one that is no safe name as it stands gets a key."""
    keys = [hashlib.sha256(column.encode("utf-8", "surrogatepass")).hexdigest() for column in columns]
    safe = [safe_name(os.fspath(column)) for column in columns]
    wishes = [
        name if name == column else with_key(name, key[:_KEY])
        for name, column, key in zip(safe, columns, keys, strict=True)
    ]
    return told_apart(wishes, keys)
