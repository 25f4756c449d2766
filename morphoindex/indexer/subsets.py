"""Near-duplicates and samples of an index: the kernels of `selection`, with paths and names."""

from __future__ import annotations

import csv
import os
import shutil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from morphoindex.errors import UsageError
from morphoindex.indexer.clustering.labels import NOISE
from morphoindex.indexer.host import Host, place
from morphoindex.indexer.paths import from_text, to_text
from morphoindex.indexer.results import DedupResult, Duplicate, DuplicateGroup, SampleResult, Selected
from morphoindex.indexer.selection.duplicates import best, groups_of
from morphoindex.indexer.selection.sampling import sample as choose
from morphoindex.indexer.specimen import Specimen
from morphoindex.indexer.where import parse_where

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


def sample(index: Host, n: int, by: str | None, where: str | None) -> SampleResult:
    """A diverse subset; see `Index.sample`."""
    if n < 1:
        raise UsageError(f"n {n}: at least 1")
    if by is not None and by not in index.labels:
        known = ", ".join(index.labels) or "none yet: give them with `add --labels`"
        raise UsageError(f"there is no label column {by!r}; there are {known}")
    loaded = index.collection.load(parse_where(where, index.column_of) if where else None)
    with_files = [i for i, specimen in enumerate(loaded.specimens) if specimen.paths or not specimen.sha256]
    specimens = [loaded.specimens[i] for i in with_files]
    values = [specimen.labels.get(by) if by else specimen.cluster for specimen in specimens]
    numbers = {value: number for number, value in enumerate(sorted({value for value in values if value}))}
    groups = np.array([numbers[value] if value else NOISE for value in values], np.int64)
    chosen = choose(loaded.matrix[with_files], n, clusters=groups)
    return SampleResult(
        requested=n,
        selected=tuple(
            Selected(specimens[i].id, place(index.roots, specimens[i]), specimens[i].cluster, dict(specimens[i].labels))
            for i in chosen.tolist()
        ),
    )


def copy_sample(chosen: SampleResult, out: Path) -> tuple[str, ...]:
    """Copy the files of a sample; see `Index.copy_sample`."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is not an empty folder: name a new one")
    columns = sorted({column for one in chosen.selected for column in one.labels})
    missing = []
    try:
        out.mkdir(parents=True, exist_ok=True)
        with open(out / "manifest.csv", "w", encoding="utf-8", newline="") as file:
            table = csv.writer(file)
            table.writerow(["file", "id", "cluster", "source", *columns])
            for one in chosen.selected:
                if one.path and not os.path.exists(from_text(one.path)):
                    missing.append(one.path)
                    continue
                name = f"{one.id[:12]}{os.path.splitext(one.path)[1].lower()}" if one.path else ""
                if one.path:
                    shutil.copyfile(from_text(one.path), out / name)
                labels = (one.labels.get(column, "") for column in columns)
                table.writerow([name, one.id, one.cluster, one.path, *labels])
    except OSError as error:
        trouble = f"{error.strerror}: {error.filename}"
        raise UsageError(f"{out}: {trouble}; what manifest.csv lists was copied") from error
    return tuple(missing)


def _files(index: Host, specimen: Specimen) -> list[str]:
    """The paths of a specimen; its id where vectors came without files."""
    return [to_text(index.roots.join(*record.key)) for record in specimen.paths] or [specimen.id]
