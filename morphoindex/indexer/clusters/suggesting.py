"""Suggestions for the specimens that are in no cluster: by their neighbours, and apart from membership."""

from __future__ import annotations

import numpy as np

from morphoindex.errors import UsageError
from morphoindex.indexer.clustering.labels import NOISE
from morphoindex.indexer.host import Host, place
from morphoindex.indexer.results.suggestions import Suggestion, SuggestionList

_DIGITS = 4


def suggested(index: Host) -> dict[str, tuple[str, float]]:
    """The likeliest cluster, and its probability, of every specimen in none that neighbours lead from to one."""
    from morphoindex.indexer.clustering.suggestions import NEIGHBOURS, suggestions

    forest = index.graph()
    standings = index.collection.catalog.standings()
    of = [standings[key].cluster for key in forest.keys]
    names = sorted({cluster for cluster in of if cluster})
    number = {cluster: i for i, cluster in enumerate(names)}
    labels = np.array([number[cluster] if cluster else NOISE for cluster in of], np.int64)
    if not len(forest):
        return {}
    found = suggestions(forest.nearest(NEIGHBOURS), labels)
    there = found.labels != NOISE
    return {
        forest.keys[row]: (names[label], round(probability, _DIGITS))
        for row, label, probability in zip(
            found.rows[there].tolist(), found.labels[there].tolist(), found.probabilities[there].tolist(), strict=True
        )
    }


def suggest(index: Host, least: float, cluster: str | None) -> SuggestionList:
    """Suggestions that are at least so likely, from sure to unsure; those of one cluster where one is named by its id.

    Raises:
        UsageError: no probability is like that, or nothing was clustered yet.
    """
    if not 0 <= least <= 1:
        raise UsageError(f"least {least:g}: a probability lies between 0 and 1")
    catalog = index.collection.catalog
    if not catalog.runs_seen():
        raise UsageError("nothing is clustered yet: `morphoindex cluster` does that")
    (outside,) = catalog.query("SELECT count(*) FROM specimen WHERE cluster IS NULL").rows[0]
    likely = {
        specimen: (where, probability)
        for specimen, (where, probability) in suggested(index).items()
        if probability >= least and cluster in (None, where)
    }
    names = catalog.names()
    shown = index.collection.get(list(likely))
    return SuggestionList(outside, least, tuple(
        Suggestion(specimen, place(index.roots, shown[specimen]), where, names.get(where), probability)
        for specimen, (where, probability) in sorted(likely.items(), key=lambda one: (-one[1][1], one[0]))
    ))  # fmt: skip
