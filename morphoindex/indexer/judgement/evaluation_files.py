"""An evaluation as files: a workbook, a chart, and how they came to be."""

from __future__ import annotations

import os
from pathlib import Path

from morphoindex.indexer.files.provenance import write_provenance
from morphoindex.indexer.files.table_files import Sheet, write_workbook
from morphoindex.indexer.judgement.evaluation import COLUMNS, metrics_sheet
from morphoindex.indexer.paths import to_text
from morphoindex.indexer.results.evaluation import Evaluation, WrittenEvaluation
from morphoindex.indexer.settings import EncoderEntry

TABLE, CHART = "clustering_metrics.xlsx", "clustering_metrics.png"


def write_evaluation(found: Evaluation, out: Path, encoder: EncoderEntry) -> WrittenEvaluation:
    """Write the table and the chart into a folder that is there.

    Raises:
        UsageError: it cannot be written to.
    """
    from morphoindex.indexer.judgement.metric_chart import draw_metrics

    legend = Sheet(("column", "what it is"), [(name, words) for name, (_, words) in COLUMNS.items()], name="columns")
    write_workbook(out / TABLE, [metrics_sheet(found), legend])
    draw_metrics(out / CHART, found)
    methods = [one.method for one in found.scores] + [one.method for one in found.skipped]
    asked = {"methods": methods, "labels": found.label, "where": found.where}
    clusterings = {one.method: dict(one.parameters) for one in found.scores}
    files = [TABLE, CHART]
    for name in (TABLE, CHART):
        said = write_provenance(
            out / name, "evaluate", asked, encoder, specimens=found.specimens, clusterings=clusterings
        )
        files.append(said.name)
    return WrittenEvaluation(to_text(os.fspath(out)), tuple(files))
