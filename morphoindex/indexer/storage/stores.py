"""Which vector store an index uses."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from morphoindex.errors import IndexDamaged
from morphoindex.indexer.settings import FILE, EncoderEntry, Settings
from morphoindex.indexer.storage.vectors import VectorStore
from morphoindex.indexer.words import count

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

FOLDER = "qdrant"
CLIENTS: dict[str, QdrantClient] = {}
"""Clients to use for a URL in place of a new connection, such as one that goes through a proxy. They stay open."""


def create_store(folder: Path, settings: Settings, encoder: EncoderEntry) -> VectorStore:
    """Make the store of an index that has no encoder yet.

    Raises:
        IndexDamaged: there are specimens in that place.
        StoreError: it cannot be made.
    """
    vectors = {encoder.name: encoder.dim}
    if settings.qdrant_url:
        from morphoindex.indexer.storage.qdrant_server import ServerStore

        server = CLIENTS.get(settings.qdrant_url, settings.qdrant_url)
        return ServerStore.create(server, settings.collection, vectors)
    from morphoindex.indexer.storage.qdrant_edge import RECORD, EdgeStore

    place = folder / FOLDER
    if (place / RECORD).is_file():  # without it, a kill has cut off the making
        left = EdgeStore.open(place)
        try:
            held = left.count()
        finally:
            left.close()
        if held:
            raise IndexDamaged(
                f"{folder / FILE} knows of no encoder, but {place} holds {count(held, 'specimen')}: restore "
                f"{FILE} from a backup"
            )
    shutil.rmtree(place, ignore_errors=True)
    return EdgeStore.create(place, vectors)


def open_store(folder: Path, settings: Settings, encoder: EncoderEntry) -> VectorStore:
    """Open the store of an index.

    Raises:
        IndexDamaged: it is gone.
        StoreError: it cannot be opened.
    """
    if settings.qdrant_url:
        from morphoindex.indexer.storage.qdrant_server import ServerStore

        server = CLIENTS.get(settings.qdrant_url, settings.qdrant_url)
        return ServerStore.open(server, settings.collection, encoder.name)
    if not (folder / FOLDER).is_dir():
        raise IndexDamaged(
            f"{folder / FOLDER} is missing: it holds the specimens; restore it from a backup, or rename {folder}, and "
            "`morphoindex add PHOTOS` makes a new index"
        )
    from morphoindex.indexer.storage.qdrant_edge import EdgeStore

    return EdgeStore.open(folder / FOLDER, encoder.name)
