"""The clustering that a report shows."""

from __future__ import annotations

import json
from typing import Any

from morphoindex.indexer.host import Host
from morphoindex.indexer.judgement.evaluation import in_words as parameters_in_words


def clustering_of(index: Host) -> dict[str, Any] | None:
    """Method, parameters and time of the last run, as JSON values; None where there was none."""
    runs = index.collection.catalog.query("SELECT method, parameters, time FROM run").rows
    if not runs:
        return None
    method, parameters, time = runs[-1]
    return {"method": method, "parameters": json.loads(parameters), "time": str(time)}


def in_words(run: dict[str, Any] | None) -> str:
    """A run for a title: "cosine, threshold 0.8, linkage single"."""
    return ", ".join(filter(None, (run["method"], parameters_in_words(run["parameters"])))) if run else ""
