"""What people decide about clusters, written down and carried out: `Index.clusters`."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from morphoindex.errors import UsageError
from morphoindex.indexer.clustering.labels import NOISE
from morphoindex.indexer.clusters.portraits import (
    Desk,
    Register,
    cluster_history,
    list_clusters,
    show_cluster,
)
from morphoindex.indexer.clusters.suggesting import suggest
from morphoindex.indexer.holdings.chronicle import NOISE as NOWHERE
from morphoindex.indexer.holdings.chronicle import consequences, decisions_in_words, specimens, undo_remarks
from morphoindex.indexer.holdings.history import (
    History,
    Unsettled,
    hold,
    read_history,
    unsettled,
    word_for,
)
from morphoindex.indexer.identity.decisions import (
    Apart,
    Decision,
    Merge,
    Move,
    Name,
    Numbered,
    Split,
    Undo,
    Verify,
    mentions,
    standing,
)
from morphoindex.indexer.identity.lineage import new_ids
from morphoindex.indexer.lookup import begins_an_id, resolve
from morphoindex.indexer.results.common import ClusterDetail, ClusterHistory, ClusterList, Decided, Decisions
from morphoindex.indexer.results.suggestions import SuggestionList
from morphoindex.indexer.specimen import Specimen, cluster_id
from morphoindex.indexer.storage.filters import Compare
from morphoindex.indexer.words import listed

_LONGEST = 200  # characters of a name
_JOINERS = "\u200c\u200d"  # cannot be seen, but belong to words of several scripts
_WHERE = "`morphoindex clusters history {}` tells where they went"
Targets = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]


class Clusters:
    """The clusters of an index, and what people decide about them.

    Clusters are given by id, "C0003" or "c3", or by name; specimens by id, by the beginning of an id or by the path of
    a photograph. What is decided outlasts every later run, and can be undone. With `dry_run` nothing is done, and what
    would be is returned.
    """

    def __init__(self, index: Desk) -> None:
        self._index = index

    # -- looking -------------------------------------------------------------------------------------------------

    def list(self, everything: bool = False) -> ClusterList:
        """The clusters, from large to small.

        Those that a person named or put specimens in are there even without members.

        Args:
            everything: also all others that have no members now, and those merged into others.
        """
        return list_clusters(self._index, everything)

    def show(self, cluster: str) -> ClusterDetail:
        """A cluster with its members.

        Raises:
            UsageError: there is none, or it was merged into another.
        """
        return show_cluster(self._index, cluster)

    def history(self, cluster: str) -> ClusterHistory:
        """What happened to a cluster, and, where it has no members now, where they are.

        Raises:
            UsageError: there never was such a cluster.
        """
        return cluster_history(self._index, cluster)

    def decisions(self) -> Decisions:
        """All decisions, first to last."""
        return Decisions(decisions_in_words(read_history(self._index.journal)))

    def suggest(
        self, cluster: str | None = None, *, least: float = 0.5, apply: bool = False, dry_run: bool = False
    ) -> SuggestionList:
        """Where specimens in no cluster may belong. Suggestions are worked out when asked for, and no membership.

        Args:
            cluster: only of this one.
            least: only those that are at least so likely.
            apply: move them there, by a decision for each cluster.
            dry_run: only say what it would be.

        Raises:
            UsageError: there is no such cluster, or least is no probability.
        """
        goal = None if cluster is None else Register.of(self._index).find_present(cluster)
        found = suggest(self._index, least, goal)
        if not apply:
            return found
        to: dict[str, list[str]] = defaultdict(list)
        for one in found.suggestions:
            to[one.cluster].append(one.id)
        decided = tuple(self.move(to[where], where, dry_run=dry_run) for where in sorted(to))
        return replace(found, decided=decided, dry_run=dry_run)

    # -- deciding ------------------------------------------------------------------------------------------------

    def name(self, cluster: str, name: str, *, dry_run: bool = False) -> Decided:
        """Give a cluster a name; an empty one takes its name away.

        Raises:
            UsageError: there is no such cluster, or it has no name to take away; or the name is too long, reads as an
                id, or holds what is no text.
        """
        register = Register.of(self._index)
        words = _usable(name)
        named = register.find_present(cluster)
        if not words and named not in register.history.rulings.names:
            raise UsageError(f"{named} has no name that could be taken away: nothing was decided")
        same = [c for c, n in register.history.rulings.names.items() if n.casefold() == words.casefold() and c != named]
        remarks = (
            [f"{listed(same)} has that name, too; `morphoindex clusters merge {named} {same[0]}` makes them one"]
            if same and words
            else []
        )
        return self._decide(register, Name(named, words), remarks, dry_run)

    def merge(self, into: str, others: str | Iterable[str], *, dry_run: bool = False) -> Decided:
        """Make clusters one: the others count as `into` from now on, in later runs, too.

        Raises:
            UsageError: one of them is not there, or is the same as another.
        """
        register = Register.of(self._index)
        goal = register.find_present(into)
        named = [others] if isinstance(others, str) else others
        merged = tuple(dict.fromkeys(register.find_present(other) for other in named))
        if not merged:
            raise UsageError(f"say which clusters to merge into {goal}")
        if goal in merged:
            raise UsageError(f"{goal} cannot be merged into itself")
        names = register.history.rulings.names
        lost = [f'{c} ("{names[c]}")' for c in merged if c in names and goal in names and names[c] != names[goal]]
        remarks = [f'{listed(lost)} {"is" if len(lost) == 1 else "are"} called "{names[goal]}" now'] if lost else []
        return self._decide(register, Merge(goal, merged), remarks, dry_run)

    def split(
        self, cluster: str, targets: Targets = (), *, threshold: float | None = None, dry_run: bool = False
    ) -> Decided:
        """Take members out of a cluster into a new one, or cut it at a higher cosine.

        No later run fuses the parts again.

        Args:
            cluster: the one to split.
            targets: its members that become the new cluster.
            threshold: instead of targets: members that hang together by steps of at least this cosine become a cluster
                each; the largest such part stays, and so does what hangs together with nothing.
            dry_run: only say what it would be.

        Raises:
            UsageError: there is no such cluster, a target is not in it, or nothing or everything would leave it.
        """
        register = Register.of(self._index)
        parent = register.find_present(cluster)
        chosen = self._resolve(targets)
        if (threshold is None) == (not chosen):
            raise UsageError("split takes members of the cluster, or a threshold: one of the two")
        parts = [chosen] if threshold is None else self._parts(parent, threshold)
        here = {*self._members(parent)}
        foreign = [one for part in parts for one in part if one not in here]
        if foreign:
            raise UsageError(
                f"not in {parent}: {listed(foreign)}; `morphoindex clusters move` takes them from anywhere"
            )
        if len(parts[0]) == len(here):
            raise UsageError(f"these are all members of {parent}: give it another name instead")
        ids = new_ids(register.known, len(parts))
        return self._decide(register, Split(parent, dict(zip(ids, parts, strict=True))), [], dry_run)

    def move(self, targets: Targets, cluster: str, *, dry_run: bool = False) -> Decided:
        """Put specimens into a cluster, where they stay.

        Raises:
            UsageError: there is no such cluster or specimen.
        """
        register = Register.of(self._index)
        goal = register.find_present(cluster)
        chosen = self._resolve(targets)
        if not chosen:
            raise UsageError(f"say which specimens to move to {goal}")
        return self._decide(register, Move(goal, chosen), [], dry_run)

    def verify(self, targets: Targets, *, dry_run: bool = False) -> Decided:
        """Say that specimens are where they belong: they stay there, and count most when later runs are matched.

        Args:
            targets: specimens, or clusters (by id or name), which stand for the members they have now.
            dry_run: only say what it would be.

        Raises:
            UsageError: there is no such specimen or cluster, or a specimen is in no cluster.
        """
        register = Register.of(self._index)
        chosen: list[str] = []
        for target in _several(targets):
            cluster = register.means(target, begins_an_id(self._index.collection, target))
            here = self._members(cluster) if cluster else self._resolve([target])
            if not here:
                raise UsageError(f"{cluster} has no members that could be verified; {_WHERE.format(cluster)}")
            chosen += here
        if not chosen:
            raise UsageError("say which specimens or clusters to verify")
        there = self._index.collection.get(list(dict.fromkeys(chosen)))
        loose = [one.id for one in there.values() if one.cluster is None]
        if loose:
            raise UsageError(f"{listed(loose)}: in no cluster; `morphoindex clusters move` puts specimens into one")
        members: dict[str, list[str]] = defaultdict(list)
        for one in there.values():
            members[str(one.cluster)].append(one.id)
        decision = Verify({cluster: tuple(sorted(some)) for cluster, some in sorted(members.items())})
        return self._decide(register, decision, [], dry_run)

    def apart(self, one: str, other: str, *, dry_run: bool = False) -> Decided:
        """Say that two clusters are not the same: no later run fuses them.

        Raises:
            UsageError: one of them is not there, or they are the same.
        """
        register = Register.of(self._index)
        first, second = sorted(register.find_present(cluster) for cluster in (one, other))
        if first == second:
            raise UsageError(f"{first} cannot be told apart from itself")
        return self._decide(register, Apart((first, second)), [], dry_run)

    def undo(self, number: int | None = None, *, dry_run: bool = False) -> Decided:
        """Take a decision back; everything is then as if it had not been made.

        Args:
            number: of the decision; the last one that still holds where it is None.
            dry_run: only say what it would be.

        Raises:
            UsageError: there is no such decision, or it was undone already.
        """
        register = Register.of(self._index)
        one = _to_undo(register.history, number)
        return self._decide(register, Undo(one.number), undo_remarks(register.history, one), dry_run)

    # -- inside --------------------------------------------------------------------------------------------------

    def _decide(self, register: Register, decision: Decision, remarks: Sequence[str], dry_run: bool) -> Decided:
        """Write a decision down, and bring the memberships to it."""
        collection = self._index.collection
        one = register.history.next(decision)
        after = register.history.plus(one)
        changes = unsettled(collection, after)
        entry = decisions_in_words(after)[-1]
        if not dry_run:
            hold(collection, self._index.journal, replace(one, went=_went(changes)))
        return Decided(
            number=None if dry_run else one.number,
            kind=word_for(decision),
            clusters=tuple(sorted(mentions(decision))),
            words=entry.words,
            changed=len(changes),
            remarks=(*remarks, *consequences(register.history, after)),
            undo=None if dry_run or isinstance(decision, Undo) else f"morphoindex clusters undo {one.number}",
            dry_run=dry_run,
        )

    def _resolve(self, targets: Targets) -> tuple[str, ...]:
        """Ids of specimens, each once."""
        collection, roots = self._index.collection, self._index.roots
        return tuple(dict.fromkeys(resolve(collection, roots, target) for target in _several(targets)))

    def _members(self, cluster: str) -> Sequence[str]:
        found = self._index.collection.catalog.query("SELECT id FROM specimen WHERE cluster = ? ORDER BY id", cluster)
        return [row[0] for row in found.rows]

    def _parts(self, cluster: str, threshold: float) -> Sequence[tuple[str, ...]]:
        """What comes out of a cluster that is cut at this cosine, larger parts first."""
        if not -1 <= threshold <= 1:
            raise UsageError(f"threshold {threshold:g}: a cosine lies between -1 and 1")
        loaded = self._index.collection.load(Compare("cluster", "=", cluster))
        parts = _cut(loaded.specimens, loaded.matrix, threshold)
        if len(parts) < 2:
            raise UsageError(_uncut(cluster, len(loaded.specimens), len(parts[0]) if parts else 0, threshold))
        return parts[1:]


def _cut(members: Sequence[Specimen], matrix: NDArray[np.float32], threshold: float) -> list[tuple[str, ...]]:
    """The parts of at least two members that hang together by steps of this cosine: the largest first."""
    if len(members) < 2:
        return []
    from morphoindex.indexer.clustering.forest import ClusterForest

    forest = ClusterForest(())
    forest.add([member.id for member in members], matrix)
    parts: dict[int, list[str]] = defaultdict(list)
    for member, label in zip(members, forest.threshold(threshold).tolist(), strict=True):
        if label != NOISE:
            parts[label].append(member.id)
    return sorted((tuple(sorted(part)) for part in parts.values()), key=lambda part: (-len(part), part))


def _uncut(cluster: str, size: int, largest: int, threshold: float) -> str:
    """Why a cluster of this size is not split by a threshold that leaves at most one part of two and more."""
    if size < 2:
        return f"{cluster} has {specimens(size)}: there is nothing to split"
    if not largest:
        return f"{cluster} falls wholly apart into single specimens at {threshold:g}: try a lower threshold"
    if largest == size:
        return f"{cluster} does not come apart at {threshold:g}: try a higher threshold"
    return (
        f"{cluster} does not come apart at {threshold:g} but for {specimens(size - largest)}, each on its own, "
        "and such stay with the rest: try a higher threshold, or name the members to take out"
    )


def _usable(name: str) -> str:
    """A name as it is kept: `"  Danaus\n plexippus"` -> "Danaus plexippus"; a UsageError where it cannot be kept."""
    words = " ".join(name.split())
    if len(words) > _LONGEST:
        raise UsageError(f"a name has at most {_LONGEST} characters, this one {len(words)}")
    unseen = [letter for letter in words if not letter.isprintable() and letter not in (" ", *_JOINERS)]
    if unseen:
        raise UsageError(f"a name is text that can be seen, without control characters such as {unseen[0]!r}")
    if cluster_id(words):
        raise UsageError(f"{words!r} reads as the id of a cluster, which a name may not: nobody could tell them apart")
    return words


def _went(changes: Iterable[Unsettled]) -> dict[str, dict[str, int]]:
    """Cluster → cluster → how many go from the one to the other; no cluster is "noise"."""
    went: dict[str, Counter[str]] = defaultdict(Counter)
    for one in changes:
        if one.cluster != one.due[0]:
            went[one.cluster or NOWHERE][one.due[0] or NOWHERE] += 1
    return {cluster: dict(sorted(went[cluster].items())) for cluster in sorted(went)}


def _several(targets: Targets) -> list[str]:
    given = [targets] if isinstance(targets, str | os.PathLike) else targets
    return [os.fspath(target) for target in given]


def _to_undo(history: History, number: int | None) -> Numbered:
    held = standing(history.decisions)
    if number is None:
        if not held:
            raise UsageError("there is no decision to undo")
        return held[-1]
    found = next((one for one in history.decisions if one.number == number), None)
    if found is None:
        there = f"there are 1 to {history.decisions[-1].number}" if history.decisions else "there are none yet"
        raise UsageError(f"there is no decision {number}; {there}")
    if isinstance(found.decision, Undo):
        raise UsageError(f"decision {number} is an undo: make decision {found.decision.of} again instead")
    if found not in held:
        by = next(
            one.number for one in history.decisions if isinstance(one.decision, Undo) and one.decision.of == number
        )
        raise UsageError(f"decision {number} was undone by decision {by}")
    return found
