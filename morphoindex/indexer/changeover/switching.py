"""From one encoder of an index to another, and away with those that are not needed."""

from __future__ import annotations

import shlex

from morphoindex.errors import UsageError
from morphoindex.indexer.encoding import registry
from morphoindex.indexer.results.encoders import Dropped, Switched
from morphoindex.indexer.session import Session
from morphoindex.indexer.words import count


def use(session: Session, encoder: str) -> Switched:
    """Make an encoder that the index holds the current one; see `Index.use`."""
    entry, before = registry.find_held(session.settings, encoder), session.settings.current
    catalog = session.collection.catalog
    specimens = catalog.specimens()
    lacking = specimens - len(catalog.stamps(entry.stamp_key))
    if specimens and lacking == specimens:
        raise UsageError(
            f"no specimen has a vector of {entry.name}: `morphoindex reembed --encoder {shlex.quote(entry.name)}` "
            "makes them"
        )
    if entry.name != before:
        session.make_current(entry)
    return Switched(entry.name, before, specimens, lacking)


def drop(session: Session, encoder: str, dry_run: bool) -> Dropped:
    """Remove an encoder with its vectors; see `Index.drop`."""
    entry = registry.find_held(session.settings, encoder)
    others = [one for one in session.settings.encoders if one != entry]
    if entry.name == session.settings.current:
        way = f"`morphoindex encoder use {shlex.quote(others[0].name)}` first" if others else "it is the only one"
        raise UsageError(f"{entry.name} is the current encoder: {way}")
    catalog = session.collection.catalog
    vectors = catalog.stamps(entry.stamp_key)
    only = vectors.keys() - {i for other in others for i in catalog.stamps(other.stamp_key)}
    if only:
        raise UsageError(
            f"{count(len(only), 'specimen has', 'specimens have')} no vector but that of {entry.name}, "
            f"such as {min(only)}: "
            "`morphoindex reembed` gives them one where their photographs are there; else `morphoindex remove` them, "
            "or keep the encoder"
        )
    if not dry_run:
        session.let_go(entry)
    return Dropped(entry.name, len(vectors), dry_run)
