"""The photographs to look at, in files or in an index, and the encoder to look with."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from morphoindex.errors import ImageRefused, UsageError
from morphoindex.indexer.encoding import registry
from morphoindex.indexer.encoding.encoder import DEFAULT
from morphoindex.indexer.encoding.reading import read_file
from morphoindex.indexer.explaining.looking import Look, Photograph
from morphoindex.indexer.lookup import resolve
from morphoindex.indexer.paths import to_text
from morphoindex.indexer.photographs.still_shown import shows
from morphoindex.indexer.session import Session


def look_at(
    images: Sequence[str | os.PathLike[str]], encoder: str = DEFAULT, index: str | os.PathLike[str] | None = None
) -> Look:
    """A look at files, without an index that is open.

    Args:
        images: one file, or two to be compared.
        encoder: a built-in name, an ONNX file, or one that the index holds.
        index: where that index lies (see `location.find_index`).

    Raises:
        UsageError: there is no such encoder, or no such usable image.
    """
    file = registry.find_file(encoder, os.fspath(index) if index else None)
    return Look(file, [_file(os.fspath(image)) for image in images])


def look_into(session: Session, images: Sequence[str | os.PathLike[str]], encoder: str | None) -> Look:
    """A look at files or specimens of an index; see `Index.look`."""
    file = registry.find_file(encoder, os.fspath(session.folder)) if encoder else _current(session)
    texts = [os.fspath(image) for image in images]
    return Look(file, [_file(text) if os.path.isfile(text) else _specimen(session, text) for text in texts])


def _current(session: Session) -> Path:
    entry = session.entry
    if not entry.file:
        raise UsageError(
            f"the vectors of this index were made elsewhere ({entry.name}), by an encoder that it does not have: "
            "name one with --encoder, a built-in name or an ONNX file"
        )
    session.encoder()  # the copy is the right one, or it says how to mend it
    return session.folder / entry.file


def _file(path: str) -> Photograph:
    if os.path.isdir(path):
        raise UsageError(f"{to_text(path)} is a folder: explain takes one image, or two")
    if not os.path.lexists(path):
        raise UsageError(f"{to_text(path)} is neither a file nor a specimen of an index here")
    try:
        return Photograph(to_text(path), os.path.abspath(path), read_file(path).data)
    except ImageRefused as error:
        raise UsageError(f"{to_text(path)}: {error.reason}") from error


def _specimen(session: Session, asked: str) -> Photograph:
    try:
        one = session.collection.get([resolve(session.collection, session.roots, asked)])
    except UsageError:
        if os.path.isdir(asked) or os.sep in asked or os.path.splitext(asked)[1]:
            return _file(asked)  # says what is wrong with it
        raise
    (specimen,) = one.values()
    for record in specimen.paths:
        path = session.roots.join(*record.key)
        try:
            data = read_file(path).data
        except ImageRefused:
            continue
        if shows(data, specimen):
            return Photograph(to_text(asked), path, data)
    raise UsageError(
        f"{specimen.id}: none of its files is where it was, so that nothing can be looked at; after `morphoindex add` "
        "of the folder where it is now it is found again"
    )
