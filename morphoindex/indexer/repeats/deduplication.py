"""What is done about near-duplicates: `Index.duplicates`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from morphoindex.errors import UsageError
from morphoindex.indexer.folders.duplicates_folder import hand_over
from morphoindex.indexer.holdings.chronicle import consequences, decisions_in_words
from morphoindex.indexer.holdings.history import hold, read_history, untagged, word_for
from morphoindex.indexer.host import Host
from morphoindex.indexer.identity.decisions import Decision, Distinct, Tag
from morphoindex.indexer.lookup import resolve
from morphoindex.indexer.repeats.duplicates import find_duplicates
from morphoindex.indexer.results.common import Decided
from morphoindex.indexer.results.duplicates import Comparing, DedupResult, HandedOut

if TYPE_CHECKING:
    from morphoindex.indexer.folders.duplicates_folder import How


class Duplicates:
    """Near-duplicates of an index, and what people decide about them."""

    def __init__(self, index: Host) -> None:
        self._index = index

    def find(
        self,
        threshold: float | None = None,
        *,
        neighbours: int | None = None,
        report: Callable[[Comparing], None] = lambda done: None,
    ) -> DedupResult:
        """Groups of files that show the same photograph, and the best of each.

        Pairs that were compared before are not compared again, and so only those with a new specimen are.

        Args:
            threshold: only pairs of at least this cosine are looked at; 0.5 by default.
            neighbours: only pairs of which one is among so many nearest of the other; 32 by default, and at most.
            report: told how far it is.

        Raises:
            UsageError: threshold or neighbours are not what is allowed.
        """
        return find_duplicates(self._index, threshold, neighbours, report)

    def tag(self, found: DedupResult, *, dry_run: bool = False) -> Decided | None:
        """Have the index know the near-duplicates that were found: each has the one to keep as its `duplicate_of`.

        Tags of what is no near-duplicate any more are taken away. Nothing happens to files. None where the index has
        all of it already.
        """
        has = self._index.collection.catalog.tags()
        groups: dict[str, tuple[str, ...]] = {}
        grouped: set[str] = set()
        for group in found.groups:
            others = sorted({other.id for other in group.drop} - {group.id})
            grouped.update(others)
            new = tuple(one for one in others if has.get(one) != group.id)
            if new:
                groups[group.id] = new
        left = self._index.collection.get(sorted(has.keys() - grouped - groups.keys()))
        loose = tuple(one.id for one in left.values() if one.paths or not one.sha256)  # others were brought elsewhere
        return self._decide(Tag(groups, tuple(sorted(loose))), dry_run) if groups or loose else None

    def distinct(self, one: str, other: str, *, dry_run: bool = False) -> Decided:
        """Say that two specimens are not near-duplicates: they are never in one group, whatever they look like.

        Args:
            one, other: ids, beginnings of ids, or paths.
            dry_run: only say what it would be.

        Raises:
            UsageError: there is no such specimen, or they are the same one.
        """
        first, second = sorted(resolve(self._index.collection, self._index.roots, target) for target in (one, other))
        if first == second:
            raise UsageError(f"{one} and {other} are the same file, and one specimen: {first}")
        return self._decide(Distinct((first, second)), dry_run)

    def hand_over(
        self, found: DedupResult, out: str | os.PathLike[str], how: How = "copy", *, dry_run: bool = False
    ) -> HandedOut:
        """Bring the files that are not to be kept to a folder, with a table `duplicates.csv` that says what each is of.

        Args:
            found: what `find` gave.
            out: a folder that is new, empty, or of an earlier run, which is gone on with.
            how: "copy"; "link", which makes hard links; or "move", after which the index knows those paths as former
                ones.
            dry_run: only say what it would be.

        Raises:
            UsageError: the folder holds something else or cannot be written to; what was written is said and listed.
        """
        return hand_over(self._index, found, Path(out), how, dry_run)

    def _decide(self, decision: Decision, dry_run: bool) -> Decided:
        collection = self._index.collection
        before = read_history(self._index.journal)
        one = before.next(decision)
        after = before.plus(one)
        changed = sum(map(len, untagged(collection, after).values()))
        if not dry_run:
            hold(collection, self._index.journal, one)
        return Decided(
            number=None if dry_run else one.number,
            kind=word_for(decision),
            clusters=(),
            words=decisions_in_words(after)[-1].words,
            changed=changed,
            remarks=tuple(consequences(before, after)),
            undo=None if dry_run else f"morphoindex clusters undo {one.number}",
            dry_run=dry_run,
        )
