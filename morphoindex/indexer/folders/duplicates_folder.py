"""Near-duplicates brought to a folder of their own: copied, linked or moved, never deleted."""

from __future__ import annotations

import csv
import errno
import hashlib
import io
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from morphoindex.errors import StoreError, UsageError
from morphoindex.indexer.files.safe_names import safe_name, with_key
from morphoindex.indexer.folders.picture_folder import in_words
from morphoindex.indexer.host import Host
from morphoindex.indexer.output_folder import OUTPUT
from morphoindex.indexer.paths import from_text, to_text
from morphoindex.indexer.photographs.still_shown import trouble_with
from morphoindex.indexer.results.common import Refusal
from morphoindex.indexer.results.duplicates import DedupResult, Duplicate, HandedOut
from morphoindex.indexer.specimen import Specimen
from morphoindex.indexer.words import count

How = Literal["copy", "link", "move"]
TABLE = "duplicates.csv"
_COLUMNS = ("file", "id", "source", "kept", "kept_id", "similarity", "how", "agreement", "done")
_PART = ".part"  # a file that is being copied
_KEY = 8  # digits that tell files of one name apart


@dataclass(frozen=True)
class _Task:
    """A file to bring: the group's best file and its id, and what is known of the file."""

    kept: str
    kept_id: str
    one: Duplicate


def hand_over(index: Host, found: DedupResult, out: Path, how: How, dry_run: bool) -> HandedOut:
    """Bring files to a folder; see `Duplicates.hand_over`."""
    if how not in get_args(How):
        raise UsageError(f"how {how!r}: one of {', '.join(get_args(How))}")
    tasks = [_Task(group.keep, group.id, one) for group in found.groups for one in group.drop if one.path != one.id]
    listed = _claim(out, dry_run)
    there = {name.casefold() for name in os.listdir(out)} if out.is_dir() else set()
    taken = there | {name.casefold() for name in listed.values()} | {TABLE, OUTPUT, _PART}
    specimens = index.collection.get(list(dict.fromkeys(task.one.id for task in tasks)))
    missing: list[Refusal] = []
    files = before = 0
    try:
        for task in tasks:
            name = listed.get(task.one.path)
            if name and name.casefold() in there:
                before += 1
                if how == "move" and not dry_run and not os.path.lexists(from_text(task.one.path)):
                    _close(index, task)  # a kill came just before that
                continue
            trouble = _trouble_with(task.one.path, specimens.get(task.one.id))
            if trouble:
                missing.append(Refusal(task.one.path, trouble))
                continue
            new = name is None
            name = name or _free_name(task.one.path, taken)
            if not dry_run:
                _bring(index, out, task, name, how, new)
            taken.add(name.casefold())
            files += 1
    except (OSError, StoreError) as error:
        words = in_words(error, how) if isinstance(error, OSError) else str(error)
        raise UsageError(
            f"{out}: {words}. {count(files, 'file was', 'files were')} brought, {TABLE} lists them; the same "
            "command again goes on"
        ) from error
    return HandedOut(to_text(os.path.abspath(out)), how, files, before, tuple(missing), dry_run)


def _claim(out: Path, dry_run: bool) -> dict[str, str]:
    """Make the folder ours; source → file of what an earlier run has listed.

    Raises:
        UsageError: it holds something else, or cannot be made.
    """
    try:
        there = {entry.name for entry in out.iterdir()} if out.is_dir() else set()
        if (there - {OUTPUT} and TABLE not in there) or (os.path.lexists(out) and not out.is_dir()):
            raise UsageError(f"{out} is not an empty folder, nor of an earlier run: name a new one")
        listed = dict(_rows(out / TABLE)) if TABLE in there else {}
        if not dry_run:
            out.mkdir(parents=True, exist_ok=True)
            (out / OUTPUT).touch()
            (out / _PART).unlink(missing_ok=True)
            if TABLE not in there:
                _append(out / TABLE, _COLUMNS)
        return listed
    except OSError as error:
        raise UsageError(f"{out} cannot be written: {error.strerror}") from error


def _rows(table: Path) -> Iterator[tuple[str, str]]:
    """(source, file) of each line of the table; one that was cut off counts for nothing."""
    with open(table, encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row.get("done"):
                yield row["source"], row["file"]


def _append(table: Path, row: Sequence[object]) -> int:
    """Add a line, in place of what a kill left of one. Gives the size before, to which a failure cuts it back."""
    text = io.StringIO(newline="")
    csv.writer(text).writerow(row)
    with open(table, "a+b", buffering=0) as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(0)
        whole = file.read(end).rfind(b"\n") + 1
        file.truncate(whole)
        data = text.getvalue().encode()
        if file.write(data) < len(data):
            file.truncate(whole)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(table))
    return whole


def _bring(index: Host, out: Path, task: _Task, name: str, how: How, new: bool) -> None:
    """Bring one file, which has its name only when it is whole. It is listed first, so that none is there unlisted."""
    row = (
        name, task.one.id, task.one.path, task.kept, task.kept_id, task.one.similarity, task.one.how,
        task.one.agreement, how,
    )  # fmt: skip
    size = _append(out / TABLE, row) if new else None
    try:
        _put(from_text(task.one.path), out / name, out / _PART, how)
    except OSError:
        if size is not None:
            os.truncate(out / TABLE, size)
        raise
    if how == "move":
        _close(index, task)


def _put(source: str, target: Path, part: Path, how: How) -> None:
    if how == "link":
        os.link(os.path.realpath(source), target)
        return
    if how == "move":
        try:
            os.rename(source, target)
            return
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
    try:
        shutil.copy2(source, part)
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)
    if how == "move":
        os.unlink(source)


def _close(index: Host, task: _Task) -> None:
    """Let the index know that a file is no longer where it was."""
    collection = index.collection
    for one in collection.get([task.one.id]).values():
        gone = tuple(r for r in one.paths if to_text(index.roots.join(*r.key)) == task.one.path)
        paths = tuple(record for record in one.paths if record not in gone)
        collection.change([one.changed(paths=paths, former_paths=(*one.former_paths, *gone))])


def _free_name(path: str, taken: set[str]) -> str:
    """The name of a file, told apart from those that are taken, whatever the case: `a.jpg` -> `a-1f3c90d2.jpg`."""
    name = safe_name(os.path.basename(path))
    key = hashlib.sha256(path.encode()).hexdigest()
    wishes = [name, with_key(name, key[:_KEY]), with_key(name, key)]
    return next(wish for wish in wishes if wish.casefold() not in taken)


def _trouble_with(path: str, specimen: Specimen | None) -> str:
    """Why a file is not the one that was compared; empty where it is. It is read, as it may be moved away."""
    if specimen is None:
        return "it is no longer in the index"
    trouble = trouble_with(from_text(path), None, None, specimen.sha256, "always")
    return trouble.words if trouble else ""
