"""Specimens by id or path, and the nearest ones to a photograph."""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

from morphoindex.errors import ImageRefused, UsageError
from morphoindex.indexer.encoding.reading import Reader, read_file
from morphoindex.indexer.holdings.collection import Collection, specimen_of
from morphoindex.indexer.host import Host, place
from morphoindex.indexer.paths import Roots, to_text
from morphoindex.indexer.results.common import SearchHit, SearchResult
from morphoindex.indexer.specimen import point_id
from morphoindex.indexer.storage.vectors import Hit
from morphoindex.indexer.tables.where import parse_where

_SHORTEST = 4  # digits of an id that stand for it


def resolve(collection: Collection, roots: Roots, target: str) -> str:
    """The id of a specimen, given by id, by the beginning of an id, or by the path of one of its files.

    Raises:
        UsageError: there is none, or several.
    """
    if collection.get([target]):
        return target
    catalog = collection.catalog
    if len(target) >= _SHORTEST:
        asked = "SELECT count(*), min(id), max(id) FROM specimen WHERE starts_with(id, ?)"
        number, first, last = catalog.query(asked, target.lower()).rows[0]
        if number == 1:
            return str(first)
        if number:
            least = 1 + next(i for i, letter in enumerate(last) if first[i : i + 1] != letter)
            raise UsageError(
                f"{target!r} is the beginning of {number:,} ids, such as {first} and {last}: "
                f"give at least {least} characters of it"
            )
    folder, name = os.path.split(os.path.abspath(target))
    path = os.path.join(os.path.realpath(folder), name)
    for root in roots.places:
        key = roots.below(root, path)
        entry = catalog.ledger([(root, key)])[0] if key else None
        if entry and entry.id and entry.state == "present":
            return entry.id
    short = f"; the beginning of an id has at least {_SHORTEST} characters" if len(target) < _SHORTEST else ""
    raise UsageError(f"{target!r} is neither a specimen of this index nor a file that is in it{short}")


def begins_an_id(collection: Collection, text: str) -> bool:
    """Whether `resolve` would take a text for the id of a specimen, or of several, or the beginning of one."""
    asked = "SELECT count(*) FROM specimen WHERE id = ? OR length(?) >= ? AND starts_with(id, ?)"
    (number,) = collection.catalog.query(asked, text, text, _SHORTEST, text.lower()).rows[0]
    return bool(number)


def search(index: Host, query: str, k: int, where: str | None) -> SearchResult:
    """The nearest specimens to a photograph or to a specimen; see `Index.search`."""
    if k < 1:
        raise UsageError(f"k {k}: at least 1")
    condition = parse_where(where, index.column_of) if where else None
    collection = index.collection
    if os.path.isfile(query):
        vector, own = _embed(index, query), None
    else:
        own = _specimen(index, query)
        found = collection.vector(own)
        if found is None:
            raise UsageError(
                f"{own} has no vector of {collection.store.vector_name}: `morphoindex reembed` gives it one where its "
                "photograph is there"
            )
        vector = found
    hits = collection.store.search(vector, k + (own is not None), condition)
    kept = [hit for hit in hits if own is None or hit.id != point_id(own)][:k]
    return SearchResult(to_text(query), tuple(_hit(index, hit) for hit in kept))


def _specimen(index: Host, query: str) -> str:
    try:
        return resolve(index.collection, index.roots, query)
    except UsageError:
        if os.path.isdir(query):
            raise UsageError(f"{query} is a folder: search takes one image") from None
        if os.sep in query or os.path.splitext(query)[1]:
            raise UsageError(f"there is no file {query}") from None
        raise


def _embed(index: Host, path: str) -> NDArray[np.float32]:
    encoder = index.encoder()
    try:
        content = read_file(path)
        _, pixels = Reader(encoder).decode(content.data, "0" * 64)
    except ImageRefused as error:
        raise UsageError(f"{to_text(path)}: {error.reason}") from error
    vectors, good = encoder.embed(pixels[np.newaxis])
    if not good[0]:
        raise UsageError(f"{to_text(path)}: the encoder gives no finite vector for it")
    first: NDArray[np.float32] = vectors[0]
    return first


def _hit(index: Host, found: Hit) -> SearchHit:
    one = specimen_of(found)
    return SearchHit(one.id, place(index.roots, one), round(found.score, 6), dict(one.labels), one.cluster)
