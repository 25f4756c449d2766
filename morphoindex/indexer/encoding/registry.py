"""The encoders of an index: which one is meant by a name, and the copies of their files that the index keeps."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from morphoindex.errors import EncoderInvalid, EncoderMismatch, IndexNotFound, StoreError, UsageError
from morphoindex.indexer.encoding.encoder import Encoder, built_in_encoders, find_encoder
from morphoindex.indexer.location import find_index
from morphoindex.indexer.settings import EncoderEntry, Settings, read_settings, write_whole

EXTERNAL = "external"
"""The fingerprint of vectors that were made elsewhere."""
_SHORTEST = 6  # digits of a fingerprint that stand for it


@dataclass(frozen=True)
class Meant:
    """An encoder that a person named.

    Attributes:
        entry: as the index has it, or would have it.
        held: whether the index has it.
        file: where it was found, None where it is the index's own that was named.
    """

    entry: EncoderEntry
    held: bool
    file: Path | None = None


@dataclass(frozen=True)
class Listed:
    """An encoder that can be named here.

    Attributes:
        name: by which; fingerprint and dim as in `EncoderEntry`.
        file: None for vectors that were made elsewhere, and where the index has lost its copy.
        standing: "current" or "held" by the index; None for a built-in one that it does not hold.
    """

    name: str
    fingerprint: str
    dim: int
    file: Path | None
    standing: str | None


def list_encoders(index: str | None = None) -> list[Listed]:
    """The encoders of the index that is worked in, and those that come with the package.

    Args:
        index: where that index lies (see `location.find_index`).

    Raises:
        IndexNotFound: an index was named, and there is none.
    """
    try:
        folder = find_index(index)
        settings = read_settings(folder)
    except IndexNotFound:
        if index is not None:
            raise
        folder, settings = Path(), Settings()
    held = {entry.fingerprint: entry for entry in settings.encoders}
    found: list[Listed] = []
    for path in built_in_encoders().values():
        info = Encoder(path).info
        entry = held.pop(info.fingerprint, None)
        found.append(Listed(info.name, info.fingerprint, info.dim, path, _standing(settings, entry) if entry else None))
    for entry in held.values():
        file = folder / entry.file if entry.file and (folder / entry.file).is_file() else None
        found.append(Listed(entry.name, entry.fingerprint, entry.dim, file, _standing(settings, entry)))
    return found


def find(settings: Settings, text: str) -> Meant:
    """The encoder that a text means: the name or the beginning of the fingerprint of one, or the path of a file.

    Raises:
        UsageError: there is none, or the text is the name of one that the index holds and of another one.
        EncoderInvalid: the file is not an encoder of the contract.
    """
    held = _named(settings, text)
    file = _file_for(text)
    if file is None:
        if held is None:
            find_encoder(text)  # says what there is
        assert held is not None
        return Meant(held, True)
    info = Encoder(file).info
    taken = info.name in [entry.name for entry in settings.encoders]
    entry = EncoderEntry(
        name=f"{info.name}-{info.fingerprint[:_SHORTEST]}" if taken else info.name,
        fingerprint=info.fingerprint,
        dim=info.dim,
        file=f"encoders/{info.fingerprint[:16]}.onnx",
        mark=info.fingerprint[:16] if settings.encoders else "",
    )
    same = settings.holds(entry)
    if same is None and held is not None:
        raise UsageError(
            f"{text!r} is two encoders, {in_words(held)} of this index and {in_words(entry)}: name the one that is "
            f"meant by the beginning of its fingerprint, {held.fingerprint[:12]} or {entry.fingerprint[:12]}"
        )
    return Meant(same or entry, same is not None, file)


def find_held(settings: Settings, text: str) -> EncoderEntry:
    """The encoder of the index that a text means, as for `find`.

    Raises:
        UsageError: the index has no such encoder.
    """
    held = _named(settings, text)
    if held is None and _file_for(text) is not None:
        meant = find(settings, text)
        held = meant.entry if meant.held else None
    if held is None:
        names = ", ".join(entry.name for entry in settings.encoders) or "none yet"
        raise UsageError(
            f"this index has no vectors of an encoder {text!r}; it has {names}; "
            "`morphoindex reembed --encoder E` makes them"
        )
    return held


def find_file(text: str, index: str | None = None) -> Path:
    """The file of an encoder: by a built-in name or a path, else as the index that is worked in knows it.

    Args:
        text: name, path, or the beginning of a fingerprint.
        index: where that index lies (see `location.find_index`).

    Raises:
        UsageError: there is no such encoder.
    """
    try:
        return find_encoder(text)
    except UsageError:
        try:
            folder = find_index(index)
            held = _named(read_settings(folder), text)
        except IndexNotFound:
            held = None
        if held is None or not held.file:
            raise
    return folder / held.file


def mismatch(settings: Settings, wanted: EncoderEntry, named: str) -> EncoderMismatch:
    """The error of one who wants to add with an encoder that the index does not have."""
    has = " and ".join(in_words(entry) for entry in settings.encoders)
    if wanted.fingerprint == EXTERNAL:
        mends = f"for {in_words(wanted)} make another index: --index OTHER_DIR"
    else:
        mends = f"`morphoindex reembed --encoder {named}` gives its specimens vectors of {in_words(wanted)}, too"
    return EncoderMismatch(f"this index has vectors of {has}, and never mixes encoders; {mends}")


def in_words(entry: EncoderEntry) -> str:
    """An encoder: "insect-128 (256 dimensions, 1a2b3c4d5e6f…)"."""
    made = "made elsewhere" if entry.fingerprint == EXTERNAL else entry.fingerprint[:12] + "…"
    return f"{entry.name} ({entry.dim} dimensions, {made})"


def keep_copy(folder: Path, entry: EncoderEntry, file: Path) -> None:
    """Have the index folder hold the file of an encoder, unless it does.

    Raises:
        StoreError: the disk does not take it.
    """
    if has_copy(folder, entry):
        return
    try:
        (folder / entry.file).parent.mkdir(exist_ok=True)
        write_whole(folder / entry.file, file.read_bytes())
    except OSError as error:
        raise StoreError(f"{folder / entry.file} cannot be written: {error.strerror or error}") from error


def has_copy(folder: Path, entry: EncoderEntry) -> bool:
    """Whether the index folder holds the very file of an encoder."""
    path = folder / entry.file
    return path.is_file() and _fingerprint(path) == entry.fingerprint


def load(folder: Path, entry: EncoderEntry, workers: int, say: Callable[[str], None]) -> Encoder:
    """An encoder, ready to run, from the copy in the index folder.

    Raises:
        EncoderMismatch: its vectors were made elsewhere, so no photograph can be embedded; or the copy was changed.
    """
    if not entry.file:
        raise EncoderMismatch(
            f"the vectors of this index were made elsewhere ({entry.name}): no photograph can be matched. "
            "Search by id, or make another index for photographs with --index DIR"
        )
    encoder = _load_copy(folder, entry, workers)
    if encoder is None:
        built_in = built_in_encoders().get(entry.name)
        if built_in is None or _fingerprint(built_in) != entry.fingerprint:
            raise EncoderMismatch(
                f"{folder / entry.file} is missing or was changed: `morphoindex add --encoder FILE PHOTOS` "
                f"puts it back, where FILE is {entry.name} ({entry.fingerprint[:12]}…)"
            )
        keep_copy(folder, entry, built_in)
        say(f"{folder / entry.file} was missing or changed; it is back, from the package")
        encoder = Encoder(folder / entry.file, workers)
    return encoder


def _load_copy(folder: Path, entry: EncoderEntry, workers: int) -> Encoder | None:
    """None where the copy is not the right file any more."""
    try:
        encoder = Encoder(folder / entry.file, workers)
    except EncoderInvalid:
        if has_copy(folder, entry):
            raise
        return None
    return encoder if encoder.info.fingerprint == entry.fingerprint else None


def _standing(settings: Settings, entry: EncoderEntry) -> str:
    return "current" if entry.name == settings.current else "held"


def _named(settings: Settings, text: str) -> EncoderEntry | None:
    """The encoder of the index with this name, or whose fingerprint begins so."""
    named = (entry for entry in settings.encoders if entry.name == text)
    begins = (entry for entry in settings.encoders if entry.file and _begins(entry.fingerprint, text))
    return next(named, None) or next(begins, None)


def _file_for(text: str) -> Path | None:
    """The file that a text means: built-in names and fingerprints first, then paths."""
    built_in = built_in_encoders()
    if text in built_in or Path(text).is_file():
        return find_encoder(text)
    return next((path for path in built_in.values() if _begins(_fingerprint(path), text)), None)


def _begins(fingerprint: str, text: str) -> bool:
    return len(text) >= _SHORTEST and fingerprint.startswith(text.lower())


def _fingerprint(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
