"""What `preprocess` returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from morphoindex.indexer.results.common import Refusal


@dataclass(frozen=True)
class PreprocessResult:
    """What `preprocess` did; in a dry run, would do.

    Attributes:
        folder: where the pictures are; images: how many are there now.
        written: pictures made by this run; before: those that were there already.
        gone: pictures whose photographs are not in the raw folder any more; they stay.
        refused: photographs that could not be used, and why; they are in `errors.log`.
        labels: label column → distinct values; unlabelled: pictures without any label.
        labels_unused: rows of a table of labels, or patterns, that met no photograph.
        passed_over: folders below the raw folder that hold pictures made of others.
        camera_raw: files below it that look like raw photographs, which are not read.
        names: photograph → its picture below the folder, of the first few of those written.
        files: the tables and the log, by name.
        seconds, images_per_second: of this run.
    """

    folder: str
    images: int
    written: int
    before: int
    gone: int
    refused: tuple[Refusal, ...]
    labels: Mapping[str, int]
    unlabelled: int
    labels_unused: int
    passed_over: int
    camera_raw: int
    names: Mapping[str, str]
    files: tuple[str, ...]
    seconds: float
    images_per_second: float
    dry_run: bool
