"""Near-duplicates of an index: the kernels of `selection`, with paths and names."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from morphoindex.errors import UsageError
from morphoindex.indexer.clustering.labels import NOISE
from morphoindex.indexer.host import Host
from morphoindex.indexer.paths import to_text
from morphoindex.indexer.results import DedupResult, Duplicate, DuplicateGroup
from morphoindex.indexer.selection.duplicates import best, groups_of
from morphoindex.indexer.specimen import Specimen

SAME_PICTURE = 0.97
"""Default cosine of `dedup`: re-encodings and resizes reach it, other animals hardly ever (docs/performance.md)."""


def dedup(index: Host, threshold: float | None) -> DedupResult:
    """Groups of near-duplicates; see `Index.dedup`."""
    from morphoindex.indexer.clustering.forest import ClusterForest

    cut = SAME_PICTURE if threshold is None else threshold
    if not -1 <= cut <= 1:
        raise UsageError(f"threshold {cut:g}: a cosine lies between -1 and 1; {SAME_PICTURE} is the default")
    specimens, vectors = _alike(index, cut)
    quality = [((s.width or 0) * (s.height or 0), s.bytes or 0, s.id) for s in specimens]
    forest = ClusterForest(())
    forest.add([specimen.id for specimen in specimens], vectors)
    groups = []
    for members in groups_of(forest.threshold(cut, min_size=1)):
        kept = best(members, quality)
        first, *same_bytes = _files(index, specimens[kept])
        others = [i for i in members.tolist() if i != kept]
        drop = [Duplicate(path, 1.0) for path in same_bytes]
        for i in sorted(others, key=lambda i: (-float(vectors[i] @ vectors[kept]), specimens[i].id)):
            similarity = round(min(1.0, float(vectors[i] @ vectors[kept])), 6)
            drop += [Duplicate(path, similarity) for path in _files(index, specimens[i])]
        if drop:
            groups.append(DuplicateGroup(first, tuple(drop)))
    return DedupResult(cut, tuple(sorted(groups, key=lambda group: (-group.drop[0].similarity, group.keep))))


def _alike(index: Host, cut: float) -> tuple[list[Specimen], NDArray[np.float32]]:
    """The specimens that come into question: with a file, and with another one near by or the same bytes elsewhere."""
    forest = index.graph()
    keys, several = forest.keys, index.collection.catalog.several_paths()
    near = forest.threshold(cut).tolist()
    rows = [i for i, key in enumerate(keys) if near[i] != NOISE or key in several]
    found = index.collection.get([keys[i] for i in rows])
    kept = [i for i in rows if found[keys[i]].paths or not found[keys[i]].sha256]
    return [found[keys[i]] for i in kept], forest.vectors[kept]


def _files(index: Host, specimen: Specimen) -> list[str]:
    """The paths of a specimen; its id where vectors came without files."""
    return [to_text(index.roots.join(*record.key)) for record in specimen.paths] or [specimen.id]
