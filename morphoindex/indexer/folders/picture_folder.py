"""Folders of photographs that an index hands out: copied or linked, with tables that say what they are.

A folder that was begun is finished by the same call: each file gets its name only when it is whole, and a hidden file
says what the folder is of. That file also has `add` pass the folder over, see `discovery`.
"""

from __future__ import annotations

import csv
import errno
import filecmp
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from morphoindex.errors import StoreError, UsageError
from morphoindex.indexer.files.safe_names import safe_name
from morphoindex.indexer.host import Host
from morphoindex.indexer.output_folder import OUTPUT
from morphoindex.indexer.paths import from_text, to_text
from morphoindex.indexer.photographs.images import SUFFIXES
from morphoindex.indexer.photographs.still_shown import trouble_with
from morphoindex.indexer.results.common import Refusal
from morphoindex.indexer.settings import write_whole
from morphoindex.indexer.specimen import Specimen
from morphoindex.indexer.words import count

Files = Literal["copy", "link", "symlink", "none"]
MANIFEST = "manifest.csv"
_PART = ".part"  # a file that is being copied
_RESERVE = ".reserve"
_LISTED = 500  # files between two writings of the tables, while these are few


@dataclass(frozen=True)
class Planned:
    """A specimen to hand out: its name below the folder, its file, and what is wrong with that."""

    id: str
    name: str
    source: str | None
    trouble: str | None


@dataclass(frozen=True)
class Filled:
    """What came of filling a folder: what is there, how many files lay there already, and which could not be had."""

    there: tuple[Planned, ...]
    before: int
    missing: tuple[Refusal, ...]


def source_of(index: Host, specimen: Specimen) -> tuple[str | None, str | None]:
    """The first of its files that still has its content, or the first and what is wrong with that."""
    first: tuple[str | None, str | None] = None, None
    for record in specimen.paths:
        path = index.roots.join(*record.key)
        trouble = trouble_with(path, record.size, record.mtime_ns, specimen.sha256, "if touched")
        if trouble is None or trouble.state == "touched":  # its content is not known then
            return path, None
        first = first if first[0] else (path, trouble.words)
    return first


def file_name(specimen: Specimen | None) -> str:
    """The name of a file by its first path; with the suffix of its format where it has none of an image."""
    first = specimen.paths[0].path if specimen and specimen.paths else ""
    name = safe_name(os.path.basename(first))
    known = os.path.splitext(name)[1].lower() in SUFFIXES
    return name if known or not (specimen and specimen.format) else f"{name}.{specimen.format.lower()}"


def name_key(one: str) -> str:
    """What tells the files of specimens of one name apart, hexadecimal: the id where that comes from the content."""
    return hashlib.sha256(one.encode()).hexdigest() if len(one) != 32 else one


def claim(
    out: Path, command: str, content: Any, other: str, force: bool | None = None, needed: Iterable[str] = ()
) -> tuple[str, ...]:
    """Make the folder that of this output.

    Args:
        out: the folder.
        command: what fills it, such as "sample".
        content: JSON values that tell this output from another of the same command.
        other: what it may be of otherwise, with what to do then.
        force: take the folder whatever is in it; what an earlier run of the command put there goes first. None for a
            command that has no such option.
        needed: paths of files that are to be put there, which stay where they are.

    Returns:
        Which files of an earlier run stay all the same, since there may be no other like them.

    Raises:
        UsageError: it is that of another output or command, or holds something else, or cannot be made.
    """
    said = json.dumps(content, ensure_ascii=True)
    mark = {"made by": f"morphoindex {command}", command: hashlib.sha256(said.encode()).hexdigest()}
    try:
        there = {entry.name for entry in out.iterdir()} - {OUTPUT + ".new"} if out.is_dir() else set()
        if (there and OUTPUT not in there and not force) or (os.path.lexists(out) and not out.is_dir()):
            way_out = "" if force is None or not out.is_dir() else ", or write into it with --force"
            raise UsageError(f"{out} is not an empty folder: name a new one{way_out}")
        former = _read(out / OUTPUT) if OUTPUT in there else mark
        if former.get("made by") != mark["made by"]:
            by = former.get("made by") or "another command of morphoindex"
            raise UsageError(f"{out} was filled by {by}: name another folder")
        if OUTPUT in there and not force:
            if former.get(command) != mark[command]:
                raise UsageError(f"{out} is of {other}")
            return ()
        kept = _clear(out, needed) if OUTPUT in there else ()
        out.mkdir(parents=True, exist_ok=True)
        (out / MANIFEST).unlink(missing_ok=True)  # somebody else's, which a kill must not have taken for ours
        write_whole(out / OUTPUT, json.dumps(mark).encode() + b"\n")
        return kept
    except OSError as error:
        raise UsageError(f"{out} cannot be written: {error.strerror}") from error


def see_no_originals(index: Host, out: Path, specimens: Iterable[Specimen]) -> None:
    """See that a folder that is to be forced holds no photographs of the collection, which would be taken for copies.

    Also where an earlier run put them: `add` of such a folder makes them the originals, perhaps the only ones.

    Raises:
        UsageError: it does.
    """
    if not out.is_dir():
        return
    above = os.path.realpath(out).rstrip(os.sep) + os.sep
    for path in _real_paths(index.roots.join(*record.key) for one in specimens for record in one.paths):
        if path.startswith(above) and os.path.exists(path):
            raise UsageError(f"photographs of the index lie in {out}, such as {to_text(path)}: name another folder")


def fill(
    out: Path,
    planned: Sequence[Planned],
    files: Files,
    tables: Callable[[Sequence[Planned]], Mapping[str, bytes]],
    report: Callable[[int, int], None],
    force: bool = False,
    listing: bool = False,
) -> Filled:
    """Put files into a folder that was claimed, and the tables of what is there.

    Args:
        out: the folder.
        planned: what to put there.
        files: how.
        tables: name of a file → its content, of those that are there.
        report: told how many of how many are done.
        force: replace what is there under these names with the same content. Otherwise it counts as there.
        listing: write the tables now and then, too, so that a kill leaves such as are true. Otherwise at the end.

    Raises:
        UsageError: the disk does not take it all; the same call goes on then.
    """
    there: list[Planned] = []
    missing: list[Refusal] = []
    before, trouble, due = 0, "", _LISTED
    try:
        _reserve(out, sum(map(len, tables(planned).values())))
        for number, one in enumerate(planned):
            if one.source and one.trouble:
                missing.append(Refusal(to_text(one.source), one.trouble))
                continue
            if force and one.source and _in_the_way(out / one.name, one.source):
                missing.append(Refusal(to_text(one.source), f"{one.name} is there already, with other content"))
                continue
            if one.source and files != "none":
                before += _put(one.source, out / one.name, out / _PART, files, force)
            there.append(one)
            if listing and len(there) >= due:
                with suppress(StoreError):  # a disk that is full is told of by the next file
                    _write(out, tables(there))
                due = len(there) + max(_LISTED, len(there) // 4)
            report(number + 1, len(planned))
    except OSError as error:
        trouble = in_words(error, files)
    finally:
        (out / _RESERVE).unlink(missing_ok=True)
        _write(out, tables(there))
    if trouble:
        raise UsageError(
            f"{out}: {trouble}. {len(there):,} of the {count(len(planned), 'specimen')} are there, {MANIFEST} lists "
            "them; the same command again goes on"
        )
    return Filled(tuple(there), before, tuple(missing))


def _write(out: Path, tables: Mapping[str, bytes]) -> None:
    for name, content in tables.items():
        write_whole(out / name, content)


def in_words(error: OSError, how: str) -> str:
    """Why files cannot be put into a folder by copying, "link" or "symlink"."""
    if how == "link" and error.errno in (errno.EXDEV, errno.EPERM, errno.ENOTSUP):
        return "hard links do not reach from the photographs to this folder, which is on another disk: have them copied"
    if how == "symlink" and error.errno in (errno.EPERM, errno.ENOTSUP):
        return "the disk of this folder takes no symbolic links: have them copied"
    return f"{error.strerror}: {to_text(os.fsdecode(error.filename))}" if error.filename else str(error.strerror)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text("utf-8"))
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _clear(out: Path, needed: Iterable[str]) -> tuple[str, ...]:
    """Take away what an earlier run has listed, but for what is needed and files whose source has not their content.

    Returns:
        The names of those that stay.
    """
    kept = []
    root, originals = out.resolve(), set(_real_paths(needed))
    for name, source in _listed(out / MANIFEST):
        file = out / name
        real = file.parent.resolve() / file.name  # a link is taken away, never what it leads to
        if not name or not real.is_relative_to(root):
            continue
        again = source is None or file.is_symlink() or _has_another(file, from_text(source))
        if os.path.lexists(file) and (str(real) in originals or not again):
            kept.append(name)
            continue
        file.unlink(missing_ok=True)
        with suppress(OSError):  # others may lie there
            file.parent.rmdir()
    return tuple(kept)


def _has_another(file: Path, source: str) -> bool:
    """Whether the content of a file is also at its source, which is another name or another file."""
    try:
        if os.path.samefile(file, source):
            return os.path.realpath(file) != os.path.realpath(source) and os.stat(file).st_nlink > 1
        return filecmp.cmp(file, source, shallow=False)
    except (OSError, ValueError):
        return False


def _in_the_way(target: Path, source: str) -> bool:
    """Whether a file with something else in it has the name. An empty one was left by a loss of power."""
    return target.exists() and target.stat().st_size > 0 and not filecmp.cmp(target, source, shallow=False)


def _real_paths(paths: Iterable[str]) -> Iterator[str]:
    """Where files lie, all links followed; those of folders once for each folder, since files are many."""
    folders: dict[str, str] = {}
    for path in paths:
        folder, name = os.path.split(path)
        if folder not in folders:
            folders[folder] = os.path.realpath(folder)
        yield os.path.realpath(path) if os.path.islink(path) else os.path.join(folders[folder], name)


def _listed(manifest: Path) -> Iterator[tuple[str, str | None]]:
    """(file, source) of each line of a manifest, without a source where files were drawn; none without a table."""
    with suppress(FileNotFoundError, csv.Error, UnicodeDecodeError), open(manifest, encoding="utf-8", newline="") as f:
        for row in csv.DictReader(f):
            yield row.get("file") or "", row.get("source")


def _reserve(out: Path, size: int) -> None:
    """Keep room for the tables: a disk that fills must take the list of what was written."""
    with open(out / _RESERVE, "wb") as file:
        file.write(bytes(size))


def _put(source: str, target: Path, part: Path, files: Files, force: bool) -> bool:
    """Copy or link a file, such that it has its name only when it is whole. Says whether it was there before."""
    if not force and target.exists() and (target.stat().st_size or not os.stat(source).st_size):
        return True  # an empty one was left by a loss of power
    target.parent.mkdir(exist_ok=True)
    part.unlink(missing_ok=True)
    try:
        if files == "link":
            os.link(os.path.realpath(source), part)
        elif files == "symlink":
            os.symlink(os.path.abspath(source), part)
        else:
            shutil.copyfile(source, part)
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)  # a part, or the second name that POSIX leaves where both are links to one file
    return False
