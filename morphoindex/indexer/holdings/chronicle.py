"""What happened to clusters, in words: runs and decisions of the journal as a person reads them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from morphoindex.indexer.holdings.history import History
from morphoindex.indexer.identity.decisions import (
    Apart,
    Decision,
    Distinct,
    Merge,
    Move,
    Name,
    Numbered,
    Split,
    Tag,
    Undo,
    Verify,
    concerned,
    mentions,
    placed,
    resting_on,
    standing,
)
from morphoindex.indexer.identity.events import Event
from morphoindex.indexer.results.common import HistoryEntry
from morphoindex.indexer.specimen import Membership
from morphoindex.indexer.words import count, listed

NOISE, REMOVED = "noise", "removed"


def decisions_in_words(history: History) -> tuple[HistoryEntry, ...]:
    """All decisions, first to last."""
    undone = {one.decision.of for one in history.decisions if isinstance(one.decision, Undo)}
    there = {one.number: one for one in history.decisions}
    entries = []
    for one in history.decisions:
        of = there.get(one.decision.of) if isinstance(one.decision, Undo) else None
        words = undone_in_words(of) if of else in_words(one.decision)
        entries.append(HistoryEntry(one.time, words, None, one.number, one.number in undone))
    return tuple(entries)


def life(history: History, cluster: str) -> tuple[HistoryEntry, ...]:
    """What happened to a cluster, first to last."""
    told = {one.number for one in history.decisions if cluster in mentions(one.decision) or cluster in one.went}
    told |= {one.number for one in history.decisions if isinstance(one.decision, Undo) and one.decision.of in told}
    went = {one.number: one.went.get(cluster, {}) for one in history.decisions}
    entries = [
        replace(entry, words=f"{entry.words}{_leaving(went[entry.decision])}")
        for entry in decisions_in_words(history)
        if entry.decision in told
    ]
    for run in history.runs:
        for event in run.events:
            entries += [HistoryEntry(run.time, words, run.number) for words in _of_event(event, cluster)]
    return tuple(sorted(entries, key=lambda entry: entry.time))


def became(history: History, members: Mapping[str, Membership]) -> dict[str, dict[str, int]]:
    """Where the last members of each cluster are that has none now: id → cluster, "noise" or "removed" → how many.

    Args:
        history: of the clusters.
        members: where each specimen of the index stands, by id.
    """
    present = {member.cluster for member in members.values()}
    last: dict[str, list[str]] = {}
    for one in history.decisions:
        if isinstance(one.decision, Split):
            last.update((part, list(specimens)) for part, specimens in one.decision.parts.items())
    last.update((cluster, list(ends[-1])) for cluster, ends in history.ends.items())
    now: dict[str, list[str]] = {}
    for member in members.values():
        run = member.run_cluster
        if run is not None and run != member.cluster and run not in present:
            now.setdefault(run, []).append(member.id)
    last.update(now)
    return {
        cluster: dict(Counter(_place(members, specimen) for specimen in specimens).most_common())
        for cluster, specimens in last.items()
        if cluster not in present
    }


def in_words(decision: Decision) -> str:
    """A decision: `Move("C0003", ("a", "b"))` -> "2 specimens moved to C0003"."""
    match decision:
        case Name(cluster, name):
            return f'{cluster} named "{name}"' if name else f"name of {cluster} taken away"
        case Merge(into, clusters):
            return f"{listed(clusters)} merged into {into}"
        case Split(cluster, parts):
            off = listed(f"{part} with {specimens(len(some))}" for part, some in parts.items())
            return f"{off} split off {cluster}"
        case Move(cluster, some):
            return f"{specimens(len(some))} moved to {cluster}"
        case Verify(members):
            return f"{specimens(len(placed(decision)))} verified in {listed(members)}"
        case Apart(clusters):
            return f"{listed(clusters)} told apart"
        case Distinct((one, other)):
            return f"{one} and {other} are not the same photograph"
        case Tag(groups, loose):
            tagged = f"{specimens(concerned(decision) - len(loose))} tagged as near-duplicates of {len(groups):,}"
            return f"{tagged}, {specimens(len(loose))} no longer" if loose else tagged
        case Undo(of):
            return f"decision {of} no longer holds"


def undone_in_words(one: Numbered) -> str:
    """What an undo comes to: "decision 2 (C0002 merged into C0001) no longer holds"."""
    return f"decision {one.number} ({in_words(one.decision)}) no longer holds"


def consequences(before: History, after: History) -> list[str]:
    """What else the last decision comes to: former ones that act no longer, names that are others, or nothing."""
    last, old, new = after.decisions[-1], before.rulings, after.rulings
    if old == new:
        undone = "the rest of what was decided comes to the same"
        return [f"nothing changes: {undone if isinstance(last.decision, Undo) else 'that held already'}"]
    if isinstance(last.decision, Undo):
        names = sorted(c for c in {*old.names, *new.names} if old.names.get(c) != new.names.get(c))
        return [f'{c} is named "{new.names[c]}" now' if c in new.names else f"{c} has no name now" for c in names]
    remarks = []
    for one in standing(before.decisions):
        if isinstance(one.decision, Apart | Split):
            ids = {old.resolve(cluster) for cluster in mentions(one.decision)}
            fused = [c for c in sorted(ids) if any(new.resolve(c) == new.resolve(d) for d in ids - {c})]
            if fused:
                remarks.append(
                    f"decision {one.number} ({in_words(one.decision)}) keeps {listed(fused)} apart no longer"
                )
    return remarks


def undo_remarks(history: History, one: Numbered) -> list[str]:
    """What still stands of an undone decision because of later ones."""
    remarks = []
    for later in resting_on(history.decisions, one.number):
        kept = listed(sorted(mentions(later.decision) & mentions(one.decision)))
        remarks.append(f"decision {later.number} ({in_words(later.decision)}) still holds, and keeps {kept}")
    mine = placed(one.decision)
    over = Counter(
        later.number
        for later in standing(history.decisions)
        if later.number > one.number
        for specimen in placed(later.decision)
        if specimen in mine
    )
    for number, some in sorted(over.items()):
        stay = "stays where decision {} put it" if some == 1 else "stay where decision {} put them"
        remarks.append(f"{specimens(some)} {stay.format(number)}")
    return remarks


def specimens(number: int) -> str:
    """`1` -> "1 specimen", `1200` -> "1,200 specimens"."""
    return count(number, "specimen")


def _leaving(went: Mapping[str, int]) -> str:
    """`{"C0004": 1}` -> ": 1 specimen from here to C0004"."""
    return f": {listed(f'{specimens(n)} from here to {goal}' for goal, n in went.items())}" if went else ""


def event_in_words(event: Event) -> str:
    """What became of a cluster: "C0003 grew to 12 specimens (2 gained)"."""
    return f"{event.cluster} {_OWN[event.kind](event)}"


def _place(members: Mapping[str, Membership], specimen: str) -> str:
    return (members[specimen].cluster or NOISE) if specimen in members else REMOVED


def _of_event(event: Event, cluster: str) -> Iterator[str]:
    """What an event says of a cluster, in words."""
    if event.cluster == cluster:
        yield _OWN[event.kind](event)
    elif cluster in event.others:
        members = specimens(event.others[cluster])
        match event.kind:
            case "split":
                yield f"came out of {event.cluster} in a split, with {members}"
            case "merged":
                yield f"merged into {event.cluster}: {members} went there"
            case "dissolved":
                yield f"took in {members} of {event.cluster}, which dissolved"
            case "returned":
                yield f"{event.cluster} came back, out of it, with {members} that were here"


def _change(event: Event) -> str:
    parts = [f"{number:,} {word}" for number, word in ((event.gained, "gained"), (event.lost, "lost")) if number]
    return f" ({', '.join(parts)})" if parts else ""


def _others(event: Event) -> str:
    return listed(f"{other} ({members:,})" for other, members in event.others.items())


def _dissolved(event: Event) -> str:
    noise = event.lost - sum(event.others.values())
    went = Counter({**event.others, **({NOISE: noise} if noise else {})}).most_common()
    return f"dissolved: {listed(f'{members:,} to {place}' for place, members in went)}"


_OWN: dict[str, Callable[[Event], str]] = {
    "new": lambda e: f"new, with {specimens(e.size)}" if e.size else "new",
    "continued": lambda e: f"stayed at {specimens(e.size)}{_change(e)}",
    "grew": lambda e: f"grew to {specimens(e.size)}{_change(e)}",
    "shrank": lambda e: f"shrank to {specimens(e.size)}{_change(e)}",
    "split": lambda e: f"split: {_others(e)} came out of it" + (f", {specimens(e.size)} left" if e.size else ""),
    "merged": lambda e: f"took in {_others(e)}, now {specimens(e.size)}",
    "dissolved": _dissolved,
    "emptied": lambda e: "without members: they were removed from the index",
    "returned": lambda e: f"came back, with {specimens(e.size)}" + (f", out of {_others(e)}" if e.others else ""),
    "ended": lambda e: "ended",
}
