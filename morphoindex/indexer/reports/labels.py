"""What labels there are, summed up in a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from morphoindex.errors import UsageError
from morphoindex.indexer.files.label_summaries import write_label_summaries
from morphoindex.indexer.files.provenance import write_provenance
from morphoindex.indexer.host import Host
from morphoindex.indexer.output_folder import claim_folder
from morphoindex.indexer.paths import to_text
from morphoindex.indexer.results.reports import LabelsWritten


def write_labels(index: Host, out: Path, force: bool = False) -> LabelsWritten:
    """Write statistics, counts and values of all label columns; see `Index.report_labels`."""
    if not index.labels:
        raise UsageError("no specimen has a label: give them with `morphoindex add --labels`")

    def rows() -> Iterator[Mapping[str, str | None]]:
        for some in index.collection.scroll():
            for one in some:
                yield one.labels

    claim_folder(out, force)
    written = write_label_summaries(rows(), index.labels, out)
    write_provenance(out, "report labels", {}, None, images=written.summaries[0].images)
    return LabelsWritten("labels", to_text(os.path.abspath(out)), written.files, written.summaries)
