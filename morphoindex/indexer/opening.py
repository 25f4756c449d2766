"""Opening an index, and making one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from morphoindex.errors import IndexNotFound, MorphoindexError, StoreError, UsageError
from morphoindex.indexer.encoding.encoder import DEFAULT, find_encoder
from morphoindex.indexer.index import Index
from morphoindex.indexer.location import VARIABLE, find_index, is_index, place_for_new
from morphoindex.indexer.lock import IndexLock
from morphoindex.indexer.session import Session
from morphoindex.indexer.settings import FILE, Settings, read_settings, write_settings


def open(
    path: str | os.PathLike[str] | None = None,
    create: bool = False,
    *,
    encoder: str | None = None,
    qdrant_url: str | None = None,
    command: str = "python",
    wait: float = 10,
    say: Callable[[str], None] | None = None,
) -> Index:
    """Open an index.

    Args:
        path: the index folder, or one with `.morphoindex` in it; by default MORPHOINDEX_INDEX, else the nearest
            `.morphoindex` from the working folder upwards.
        create: make one where there is none: at `path` if that is a new or empty folder, else in `.morphoindex` in it.
            One in which nothing was put until it is closed is gone then, unless `encoder` or `qdrant_url` is given.
        encoder: for a new index, a built-in name or an ONNX file; by default it is settled by the first `add`.
        qdrant_url: for a new index, the Qdrant server that holds the specimens instead of the folder.
        command: what the caller does, shown to processes that wait for the index.
        wait: seconds to wait while another process has the index open.
        say: told in words what a person should know, such as whom we wait for.

    Raises:
        IndexNotFound: there is none, and none was to be made.
        IndexLocked: another process had it open all that time.
        IndexDamaged: a part is missing or cannot be read.
        EncoderMismatch: the index has another encoder than the one asked for.
    """
    begun, made = False, list[Path]()
    try:
        folder = find_index(path)
        if create and say and not (path or os.environ.get(VARIABLE)) and folder.parent != Path.cwd():
            say(f"this goes into the index of {folder.parent}; --index DIR names another")
    except IndexNotFound:
        if not create:
            raise
        folder = place_for_new(path)
        made = [place for place in (folder, *folder.parents) if not place.exists()]
        begun = _make(folder, qdrant_url, command, wait, say)
    session = Session(folder, command, wait, say or (lambda words: None))
    try:
        if begun and (encoder or qdrant_url):
            session.say(f"made a new index: {folder}")
        elif begun:
            session.begun(made)
        if qdrant_url and qdrant_url != session.settings.qdrant_url:
            raise UsageError(f"this index lives in {session.settings.store}; for a server make another: --index DIR")
        if encoder:
            session.choose_encoder(encoder)
    except BaseException:
        session.close()
        raise
    return Index(session)


def make(path: str | os.PathLike[str] | None = None, encoder: str = DEFAULT, qdrant_url: str | None = None) -> Index:
    """Make an index where there is none yet, whatever there is in folders above, and open it; arguments as for `open`.

    Raises:
        UsageError: there is an index at that place.
    """
    folder = place_for_new(path)
    if is_index(folder) and read_settings(folder).encoder:
        raise UsageError(f"there is an index at {folder} already")
    find_encoder(encoder)
    begun = _make(folder, qdrant_url)
    try:
        return open(folder, encoder=encoder, qdrant_url=qdrant_url)
    except MorphoindexError:
        if begun and not read_settings(folder).encoder:
            (folder / FILE).unlink()  # nothing is in it, and a server that did not answer should not be asked for ever
        raise


def _make(
    folder: Path,
    qdrant_url: str | None,
    command: str = "python",
    wait: float = 10,
    say: Callable[[str], None] | None = None,
) -> bool:
    """Begin an index, unless another process has begun it in the meantime; whether it was us."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{folder} cannot be made: {error.strerror}") from error
    lock = IndexLock(folder, command)
    lock.acquire(wait, say)
    try:
        if is_index(folder) and read_settings(folder).encoder:
            return False
        roots = {"home": ".." if folder.parent != folder else "."}
        write_settings(folder, Settings(roots=roots, qdrant_url=qdrant_url or ""))
    finally:
        lock.release()
    return True
