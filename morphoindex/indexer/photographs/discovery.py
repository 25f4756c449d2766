"""Which files a person means: folders, globs, single files and lists, in an order that never changes."""

from __future__ import annotations

import errno
import glob
import itertools
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from morphoindex.indexer.output_folder import OUTPUT, PROVENANCE, provenance_name
from morphoindex.indexer.photographs.images import SUFFIXES

_RAW = frozenset(
    {".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".iiq", ".kdc", ".mef", ".mos", ".mrw", ".nef"}
    | {".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f"}
)


@dataclass(frozen=True)
class Found:
    """A file that may be an image.

    Attributes:
        path: absolute.
        given: the folder it was found under, for the name of a new root.
        size: bytes; mtime_ns: nanoseconds since 1970.
    """

    path: str
    given: str
    size: int
    mtime_ns: int


@dataclass(frozen=True)
class Unusable:
    """A path that cannot be looked at, and why."""

    path: str
    given: str
    reason: str


def discover(
    inputs: Sequence[str], walked: set[str] | None = None, passed: set[str] | None = None
) -> Iterator[Found | Unusable]:
    """Walk the inputs, in the order given; within a folder by name.

    Folders are walked to the bottom, links followed; hidden files and folders (`.name`) are passed over, and folders
    with a file `OUTPUT` that are not themselves given, and files with a provenance beside them, such as maps; of the
    others those are taken that have the suffix of an image. A file that is given by name is taken whatever its suffix;
    `.txt` is a list, one path a line, seen from the list's folder or else from here.

    Args:
        inputs: paths of files, folders and lists, or globs (`**` crosses folders).
        walked: takes up the absolute paths of the folders and lists that were gone through.
        passed: takes up those of the folders that were passed over because of `OUTPUT`, and of files that have the
            suffix of a camera's raw format, which are no images yet.
    """
    walked = set() if walked is None else walked
    passed = set() if passed is None else passed
    for given in inputs:
        if not os.path.lexists(given) and glob.has_magic(given):
            yield from _matching(given, walked, passed)
        elif given.lower().endswith(".txt") and os.path.isfile(given):
            yield from _listed(given, walked, passed)
        else:
            yield from _one(given, walked, passed)


def _one(given: str, walked: set[str], passed: set[str], under: str | None = None) -> Iterator[Found | Unusable]:
    """A file or a folder; `under` is the folder to name a new root after, by default its own."""
    if os.path.isdir(given):
        folder = os.path.realpath(given)
        walked.add(folder)
        empty = True
        for found in _walk(folder, under or folder, passed):
            empty = False
            yield found
        if empty:
            yield Unusable(folder, under or folder, "no images in this folder")
    else:
        path = _absolute(given)
        yield _stat(path, under or _folder_of(path))


def _matching(pattern: str, walked: set[str], passed: set[str]) -> Iterator[Found | Unusable]:
    matches = sorted(glob.glob(pattern, recursive=True))
    if not matches:
        yield _unusable(pattern, "no file matches")
    under = os.path.realpath(os.path.join(*_steady(pattern)))
    folders: set[str] = set()  # `photos/**` matches a folder, and all that is in it once more
    outputs = _Outputs(os.path.join(*_steady(pattern)), passed)
    for match in matches:
        if folders and any(folder in folders for folder in _above(match)):
            continue
        if outputs.hold(match):
            continue
        if os.path.isdir(match):
            folders.add(match.rstrip(os.sep))
            walked.add(os.path.realpath(match))
            yield from _walk(os.path.realpath(match), under, passed)
        elif not _is_told_of(match):
            yield from _file(_absolute(match), under, passed)


def _steady(pattern: str) -> list[str]:
    """The folders of a pattern before the first that is a pattern itself: `a/b*/c.jpg` -> `["", "a"]`."""
    parts = pattern.split(os.sep)
    fixed = itertools.takewhile(lambda part: not glob.has_magic(part), parts[:-1])
    return [os.sep if pattern.startswith(os.sep) else "", *fixed]


def _above(path: str) -> Iterator[str]:
    """The folders above a path, as it is written: `a/b/c` -> `a/b`, `a`."""
    while (above := os.path.dirname(path)) not in ("", path):
        yield above
        path = above


class _Outputs:
    """The folders with a file `OUTPUT` among what a pattern matches, below the folder that it names outright."""

    def __init__(self, named: str, passed: set[str]) -> None:
        self._named = named.rstrip(os.sep)
        self._passed = passed
        self._known: dict[str, bool] = {}

    def hold(self, match: str) -> bool:
        """Whether the match is such a folder or lies in one."""
        for folder in itertools.chain([match.rstrip(os.sep)], _above(match.rstrip(os.sep))):
            if folder == self._named:
                return False
            if folder not in self._known:
                self._known[folder] = os.path.exists(os.path.join(folder, OUTPUT))
            if self._known[folder]:
                self._passed.add(os.path.realpath(folder))
                return True
        return False


def _listed(path: str, walked: set[str], passed: set[str]) -> Iterator[Found | Unusable]:
    walked.add(_absolute(path))
    try:
        under = _common(path)
        for name in _lines(path):
            yield from _one(
                name, walked, passed, under if under and _absolute(name).startswith(under + os.sep) else None
            )
    except OSError as error:
        yield _unusable(path, f"cannot be read: {error.strerror}")


def _lines(path: str) -> Iterator[str]:
    """The paths of a list, as seen from here."""
    folder = os.path.dirname(os.path.abspath(path))
    with open(path, encoding="utf-8-sig", errors="surrogateescape") as file:
        for line in file:
            name = line.strip()
            if name and not name.startswith("#"):
                beside = os.path.join(folder, name)
                yield beside if os.path.lexists(beside) else name


def _common(path: str) -> str | None:
    """The folder that all paths of a list have in common, so that they get one root; None if that is all the disk."""
    common: str | None = None
    for name in _lines(path):
        folder = os.path.dirname(os.path.abspath(name))
        if common is None or not (folder == common or folder.startswith(common + os.sep)):
            common = folder if common is None else os.path.commonpath([common, folder])
        if common == os.path.dirname(common):
            return None
    return common and _absolute(os.path.join(common, ""))


def _absolute(given: str) -> str:
    """The path with links resolved, but for the last part: a link to a file is a file of its own."""
    folder, name = os.path.split(given)
    try:
        return os.path.realpath(given) if name in ("", ".", "..") else os.path.join(os.path.realpath(folder), name)
    except ValueError:  # a zero byte in a line of a list
        return os.path.abspath(given)


def _folder_of(path: str) -> str:
    """The folder of a file; the file itself where that would be all of the disk."""
    folder = os.path.dirname(path)
    return path if folder == os.path.dirname(folder) else folder


def _walk(top: str, given: str, passed: set[str]) -> Iterator[Found | Unusable]:
    """Depth first, without recursion: folders can be nested more deeply than Python's stack."""
    open_folders: list[tuple[Iterator[os.DirEntry[str]], tuple[int, int]]] = []

    def enter(folder: str) -> Unusable | None:
        try:
            status = os.stat(folder)
            identity = (status.st_dev, status.st_ino)
            if any(identity == above for _, above in open_folders):
                return Unusable(folder, given, "link loop")
            entries = _entries(folder, None if folder == top else passed)
        except OSError as error:
            return Unusable(folder, given, f"folder cannot be read: {error.strerror}")
        open_folders.append((iter(entries), identity))
        return None

    trouble = enter(top)
    if trouble:
        yield trouble
    while open_folders:
        entry = next(open_folders[-1][0], None)
        if entry is None:
            open_folders.pop()
        elif _is_folder(entry):
            trouble = enter(entry.path)
            if trouble:
                yield trouble
        else:
            yield from _file(entry.path, given, passed)


def _entries(folder: str, passed: set[str] | None) -> list[os.DirEntry[str]]:
    """What is in a folder and not hidden, by name; nothing where it is one to be passed over, which `passed` takes."""
    with os.scandir(folder) as scan:
        entries = sorted(scan, key=lambda entry: entry.name)
    if passed is not None and any(entry.name == OUTPUT for entry in entries):
        passed.add(folder)
        return []
    told = {entry.name for entry in entries if entry.name.endswith(PROVENANCE)}
    return [
        entry
        for entry in entries
        if not entry.name.startswith(".") and not (told and provenance_name(entry.name) in told)
    ]


def _is_told_of(path: str) -> bool:
    """Whether a file beside it says that it was made by a command, and so is no photograph."""
    folder, name = os.path.split(path)
    return os.path.exists(os.path.join(folder, provenance_name(name)))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _is_candidate(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in SUFFIXES and not name.startswith(".")


def _file(path: str, given: str, passed: set[str]) -> Iterator[Found | Unusable]:
    """A file of a folder, unless its suffix is not that of an image."""
    if _is_candidate(os.path.basename(path)):
        yield _stat(path, given)
    elif is_raw(path):
        passed.add(path)


def is_raw(path: str) -> bool:
    """Whether a file has the suffix of the raw format of a camera: not developed yet, and read by nothing here."""
    return os.path.splitext(path)[1].lower() in _RAW and not os.path.isdir(path)


def _stat(path: str, given: str) -> Found | Unusable:
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return Unusable(path, given, "dangling link" if os.path.islink(path) else "does not exist")
    except (OSError, ValueError) as error:
        looped = isinstance(error, OSError) and error.errno == errno.ELOOP
        return Unusable(path, given, "link loop" if looped else f"cannot be read: {_words(error)}")
    if not stat.S_ISREG(status.st_mode):
        return Unusable(path, given, "not a regular file")
    return Found(path, given, status.st_size, status.st_mtime_ns)


def _unusable(given: str, reason: str) -> Unusable:
    path = _absolute(given)
    return Unusable(path, _folder_of(path), reason)


def _words(error: OSError | ValueError) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else "a zero byte in its name"
