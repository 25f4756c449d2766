"""Photographs that are not where or not as they were when they were added."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from morphoindex.indexer.cores import usable_cores
from morphoindex.indexer.host import Host
from morphoindex.indexer.paths import to_text
from morphoindex.indexer.photographs.still_shown import Read, Trouble, trouble_with
from morphoindex.indexer.results.missing import MissingPhotograph

ORDER = ("no folder", "gone", "changed", "touched", "unreadable")
_BLOCK = 4096  # files between two reports
_SHARE = 128  # files that a thread looks at in one go


@dataclass(frozen=True)
class _File:
    """A file that the ledger has: where it is now, its specimen, and what it was like."""

    path: str
    id: str
    size: int | None
    mtime_ns: int | None
    sha256: str


def missing(
    index: Host, content: bool = False, report: Callable[[int, int], None] = lambda done, total: None
) -> list[MissingPhotograph]:
    """The photographs that are not where or not as they were, in the order of `ORDER`, then of paths.

    A folder of which nothing is there, as that of a drive that is not connected, is one of them, with all below it.

    Args:
        index: whose photographs.
        content: read them all, and compare what is in them; otherwise size and time are compared.
        report: told how many of how many were looked at.
    """
    files, folders = _files(index)
    troubles = list(_troubles(index, files, "always" if content else "never", report))
    well = Counter(file.id for file in files)
    well.subtract(file.id for file, _ in troubles)
    found = [
        MissingPhotograph(to_text(folder), "no folder", reason, None, photographs=number)
        for (folder, reason), number in folders.items()
    ]
    found += [
        MissingPhotograph(to_text(file.path), trouble.state, trouble.words, file.id, well[file.id] > 0)
        for file, trouble in troubles
    ]
    return sorted(found, key=lambda one: (ORDER.index(one.state), one.path))


def _files(index: Host) -> tuple[list[_File], Counter[tuple[str, str]]]:
    """The files to look at; and the folders of which nothing is there, with the reason, and how many files they had."""
    rows = index.collection.catalog.query(
        "SELECT p.root, p.path, p.id, p.size, p.mtime_ns, coalesce(s.sha256, '') "
        "FROM path p JOIN specimen s USING (id) WHERE p.state = 'present'"
    ).rows
    files: list[_File] = []
    known: dict[str, tuple[str, str] | None] = {}
    below: dict[tuple[str, str], list[_File]] = {}
    for root, path, *rest in rows:
        file = _File(index.roots.join(root, path), *rest)
        if root not in index.roots.places:
            absent: tuple[str, str] | None = (root, "this root is not in index.toml")
        else:
            absent = _absent(os.path.dirname(file.path), index.roots.join(root, "."), known)
        (below.setdefault(absent, []) if absent else files).append(file)
    alone = [file for some in below.values() if len(some) == 1 for file in some]
    return files + alone, Counter({absent: len(some) for absent, some in below.items() if len(some) > 1})


def _absent(folder: str, root: str, known: dict[str, tuple[str, str] | None]) -> tuple[str, str] | None:
    """The uppermost folder, from the root down, of which nothing is there, and why; None where all have something."""
    chain = [folder]
    while chain[-1] not in known and chain[-1].startswith(root.rstrip(os.sep) + os.sep):
        chain.append(os.path.dirname(chain[-1]))
    above = None
    for one in reversed(chain):
        if one not in known:
            reason = None if above else _nothing_in(one)
            known[one] = above or ((one, reason) if reason else None)
        above = known[one]
    return known[folder]


def _nothing_in(folder: str) -> str | None:
    """In words, why there is nothing in a folder; None where something may be."""
    try:
        with os.scandir(folder) as scan:
            return None if any(scan) else "the folder is empty"
    except (FileNotFoundError, NotADirectoryError):
        return "the folder is not there"
    except OSError as error:
        return None if os.access(folder, os.X_OK) else f"the folder cannot be read: {error.strerror}"


def _troubles(
    index: Host, files: Sequence[_File], read: Read, report: Callable[[int, int], None]
) -> Iterator[tuple[_File, Trouble]]:
    """Those of the files that are not as they were. Lets others have the index who wait for it."""

    def look(some: Sequence[_File]) -> list[tuple[_File, Trouble]]:
        told = [(file, trouble_with(file.path, file.size, file.mtime_ns, file.sha256, read)) for file in some]
        return [(file, trouble) for file, trouble in told if trouble is not None]

    share = 1 if read == "always" else _SHARE
    block = _SHARE if read == "always" else _BLOCK
    with ThreadPoolExecutor(usable_cores(), thread_name_prefix="look") as pool:
        for start in range(0, len(files), block):
            some = files[start : start + block]
            for found in pool.map(look, [some[i : i + share] for i in range(0, len(some), share)]):
                yield from found
            report(start + len(some), len(files))
            index.pause()
