"""What `report` returns. The field names are those of the JSON that the command line prints."""

from __future__ import annotations

from dataclasses import dataclass

from morphoindex.indexer.files.label_summaries import LabelSummary
from morphoindex.indexer.results.common import Refusal


@dataclass(frozen=True)
class ReportWritten:
    """A report in a file.

    Attributes:
        report: its kind; format: of the file.
        out: the file, as paths in an index are written; provenance: that beside it, which says how it was made.
        rows: how many it has; of a map, the specimens on it.
        remarks: what else a person should know of it.
    """

    report: str
    format: str
    out: str
    provenance: str
    rows: int
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class FolderWritten:
    """A report in a folder.

    Attributes:
        report: its kind; folder: absolute.
        files: how many lie there now, tables not counted; before: how many of these lay there already.
        clusters: how many it shows.
        missing: photographs that are not where they were, or not as they were.
        remarks: what else a person should know of it.
    """

    report: str
    folder: str
    files: int
    clusters: int
    before: int = 0
    missing: tuple[Refusal, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class LabelsWritten:
    """Label summaries in a folder: the names of the files, and what they say of each label column."""

    report: str
    folder: str
    files: tuple[str, ...]
    labels: tuple[LabelSummary, ...]
