"""The index at a glance."""

from __future__ import annotations

from morphoindex.indexer.descriptions.labels import telling
from morphoindex.indexer.host import Host
from morphoindex.indexer.judgement.evaluation import in_words
from morphoindex.indexer.repeats.encounters import any_times, count_encounters, refresh
from morphoindex.indexer.reports.runs import clustering_of
from morphoindex.indexer.results.common import LabelledCluster, Overview
from morphoindex.indexer.tables.views import described_clusters, json_path, literal


def overview(index: Host) -> Overview:
    """The index at a glance; see `Index.overview`."""
    catalog, labels = index.collection.catalog, index.labels
    described, timed = telling(labels), any_times(index)
    refresh(index)
    clusters = catalog.query(described_clusters(described))
    counts = {
        label: catalog.query(
            f"SELECT json_extract_string(labels, {literal(json_path(label))}) AS value, count(*) FROM specimen "
            "WHERE value IS NOT NULL GROUP BY value ORDER BY count(*) DESC, value"
        ).rows
        for label in labels
    }
    run = clustering_of(index)
    refused = catalog.query("SELECT reason, count(*) FROM refusal GROUP BY reason ORDER BY 2 DESC, 1")
    return Overview(
        specimens=catalog.specimens(),
        method=run["method"] if run else "",
        parameters=in_words(run["parameters"]) if run else "",
        label=described,
        clusters=tuple(
            LabelledCluster(cluster, size, label, float(share), name, encounters if timed else None)
            for cluster, name, size, _, label, share, _, encounters in clusters.rows
        ),
        labels={label: tuple((str(v), int(n)) for v, n in rows) for label, rows in counts.items()},
        refused=tuple((str(reason), int(n)) for reason, n in refused.rows),
        encounters=count_encounters(index),
    )
