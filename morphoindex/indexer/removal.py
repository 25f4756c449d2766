"""Taking specimens out of an index, or paths of specimens that lie elsewhere too."""

from __future__ import annotations

import os
from collections.abc import Iterable

from morphoindex.indexer.holdings.history import append_removal
from morphoindex.indexer.host import Host
from morphoindex.indexer.lookup import resolve
from morphoindex.indexer.results.common import RemoveResult

PathKey = tuple[str, str]


def remove(index: Host, targets: Iterable[str], without_file: bool, dry_run: bool) -> RemoveResult:
    """Take out what the targets name; see `Index.remove`."""
    collection = index.collection
    ids: set[str] = set(collection.catalog.without_file()) if without_file else set()
    paths: dict[str, set[PathKey]] = {}
    for target in targets:
        found = _paths_at(index, target)
        for key, specimen in found:
            paths.setdefault(specimen, set()).add(key)
        if not found:
            ids.add(resolve(collection, index.roots, target))
    staying, leaving = [], []
    for name, one in collection.get(sorted(ids | paths.keys())).items():
        kept = () if name in ids else tuple(record for record in one.paths if record.key not in paths[name])
        if kept:
            staying.append(one.changed(paths=kept))
        else:
            leaving.append(one)
            ids.add(name)
    forgotten = sum(len(paths[one.id]) for one in staying)
    labelled = sum(bool(one.labels) for one in leaving)
    if not dry_run:
        collection.change(staying)
        append_removal(index.journal, leaving)
        collection.remove(sorted(ids))
    left = collection.catalog.specimens() - (len(ids) if dry_run else 0)
    return RemoveResult(len(ids), forgotten, left, labelled)


def _paths_at(index: Host, target: str) -> list[tuple[PathKey, str]]:
    """The present paths that are this file, or lie below this folder, with their specimens."""
    folder, name = os.path.split(os.path.abspath(target))
    path = os.path.join(os.path.realpath(folder), name)
    catalog = index.collection.catalog
    return [
        ((root, below), specimen)
        for root, text in index.roots.within(path)
        for rows in catalog.present(root, text)
        for below, specimen in rows
    ]
