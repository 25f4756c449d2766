"""`check` and `rebuild`: the catalog against what it is derived from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from morphoindex.errors import IndexDamaged, StoreError
from morphoindex.indexer.holdings.collection import Collection, specimen_of
from morphoindex.indexer.holdings.history import History, read_history, take_in
from morphoindex.indexer.holdings.journal import Journal
from morphoindex.indexer.paths import Roots
from morphoindex.indexer.results.common import CheckResult
from morphoindex.indexer.settings import EncoderEntry
from morphoindex.indexer.specimen import Specimen, point_id, stamp, stamp_text
from morphoindex.indexer.storage.vectors import VectorStore
from morphoindex.indexer.tables.catalog import FILE, HISTORY, Catalog

_SHOWN = 20  # differences of one kind that are listed one by one


def check(collection: Collection, journal: Journal, roots: Roots) -> CheckResult:
    """Compare the catalog with the store and the journal."""
    fresh = Catalog(None)
    problems: list[str] = []
    specimens = 0
    owners: dict[tuple[str, str], str] = {}
    clusters: set[str] = set()
    try:
        for points in collection.store.scroll():
            batch = []
            for point in points:
                try:
                    specimen = specimen_of(point)
                except IndexDamaged as error:
                    problems.append(str(error))
                    continue
                batch.append(specimen)
                if specimen.point != point.id:
                    problems.append(f"specimen {specimen.id} is stored under another id, {point.id}")
                problems += _claimed_twice(specimen, owners, roots)
                clusters.update([specimen.cluster] if specimen.cluster else [])
            fresh.put(batch)
            specimens += len(batch)
        history = read_history(journal)
        take_in(Collection(collection.store, fresh), history)
        for table in ("specimen", "path", "stamp", *HISTORY):
            what = "clustering run" if table == "run" else table
            problems += _differences(what, collection.catalog.contents(table), fresh.contents(table))
        unknown = {root for root, _ in owners} - set(roots.places)
        problems += _not_written_down(clusters, history, fresh.labels_used(), collection, unknown)
    finally:
        fresh.close()
    return CheckResult(not problems, specimens, len(owners), len(history.runs), tuple(problems))


def check_vectors(collection: Collection, encoder: EncoderEntry) -> Iterator[str]:
    """In words, vectors of the encoder worked with that are not as the specimens say."""
    stamps = collection.catalog.stamps(encoder.stamp_key)
    points = {point_id(specimen): specimen for specimen in stamps}
    for some in collection.store.scroll(vectors=True):
        for point in some:
            specimen, vector = points.get(point.id), point.vector
            if specimen is None:
                continue
            if vector is None or len(vector) != encoder.dim or abs(float(np.linalg.norm(vector)) - 1) > 1e-3:
                yield f"specimen {specimen} has no usable vector of {encoder.name}"
            elif stamps[specimen] not in (None, stamp_text(stamp(vector))):
                yield f"specimen {specimen} has another vector of {encoder.name} than was written"


def rebuild(folder: Path, store: VectorStore, journal: Journal) -> list[str]:
    """Make the catalog again from the store and the journal, and put it in place once it is whole.

    Returns:
        The label columns in use, in order of name.
    """
    beside = FILE + ".new"
    for left in folder.glob(beside + "*"):
        left.unlink()
    fresh = Catalog(folder, beside)
    try:
        collection = Collection(store, fresh)
        collection.catch_up()
        take_in(collection, read_history(journal))
        labels = fresh.labels_used()
    finally:
        fresh.close()
    try:
        (folder / f"{FILE}.wal").unlink(missing_ok=True)
        (folder / beside).replace(folder / FILE)
    except OSError as error:
        raise StoreError(f"{folder / FILE} cannot be replaced: {error.strerror or error}") from error
    return labels


def _claimed_twice(specimen: Specimen, owners: dict[tuple[str, str], str], roots: Roots) -> Iterator[str]:
    """In words, paths that an earlier specimen has too; the others go to this one."""
    for record in specimen.paths:
        owner = owners.setdefault(record.key, specimen.id)
        if owner != specimen.id:
            yield f"{roots.join(*record.key)} belongs to two specimens, {owner} and {specimen.id}"


def _not_written_down(
    clusters: set[str],
    history: History,
    labels: Sequence[str],
    collection: Collection,
    roots: set[str],
) -> Iterator[str]:
    """In words, what specimens use but the journal or `index.toml` does not have."""
    for cluster in sorted(clusters - history.used):
        yield f"cluster {cluster} was made by no run of the journal: restore the journal from a backup"
    for label in sorted(set(labels) - set(collection.catalog.labels_seen())):
        yield f"label column {label!r} is not in index.toml"
    for root in sorted(roots):
        yield f"root {root!r} of some paths is not in index.toml: restore it from a backup, or write it there by hand"


def _differences(what: str, has: Counter[tuple[object, ...]], should: Counter[tuple[object, ...]]) -> Iterator[str]:
    """In words, rows that one side has and the other has not."""
    for rows, where in ((has - should, "in the catalog only"), (should - has, "not in the catalog")):
        for row in sorted(map(str, rows))[:_SHOWN]:
            yield f"{what} {where}: {row}"
        if len(rows) > _SHOWN:
            yield f"… and {len(rows) - _SHOWN} more of {what} {where}"
