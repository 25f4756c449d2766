"""What people decide about clusters, and what follows from it.

A decision is never applied in place. What stands is worked out from the whole list of decisions anew, so that to take
one back is to replay the others:

    final cluster of a specimen = rulings(decisions).cluster_of(specimen, cluster that the last run put it in)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Name:
    """A cluster gets a name; an empty one takes the name away."""

    cluster: str
    name: str


@dataclass(frozen=True)
class Merge:
    """Clusters are one: from now on `clusters` are other names for `into`, whatever a run puts in them."""

    into: str
    clusters: tuple[str, ...]


@dataclass(frozen=True)
class Split:
    """Specimens of a cluster become clusters of their own: `parts` is new id → specimens. They are apart from it."""

    cluster: str
    parts: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Move:
    """Specimens belong to a cluster."""

    cluster: str
    specimens: tuple[str, ...]


@dataclass(frozen=True)
class Verify:
    """Specimens are where they belong: cluster → specimens."""

    members: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Apart:
    """Two clusters are not the same: no run may fuse them."""

    clusters: tuple[str, str]


@dataclass(frozen=True)
class Distinct:
    """Two specimens do not show the same photograph, however alike they look."""

    specimens: tuple[str, str]


@dataclass(frozen=True)
class Tag:
    """Specimens are near-duplicates: `groups` is the one to keep → the others; `loose` are no longer any."""

    groups: Mapping[str, tuple[str, ...]]
    loose: tuple[str, ...] = ()


@dataclass(frozen=True)
class Undo:
    """A former decision no longer holds."""

    of: int


Decision = Name | Merge | Split | Move | Verify | Apart | Distinct | Tag | Undo


@dataclass(frozen=True)
class Numbered:
    """A decision as it was written down.

    Attributes:
        number: from 1; decision: what was decided; time: ISO 8601 UTC.
        went: what it did to memberships then: cluster → cluster → specimens that went from the one to the other.
    """

    number: int
    decision: Decision
    time: str = ""
    went: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Rulings:
    """What stands, of all that was decided.

    Attributes:
        pins: specimen → the cluster a person put it in; never one that was merged into another.
        same: cluster → the one it now counts as, for those that were merged, or split off by a decision since undone.
        names: cluster → its name.
        apart: pairs of clusters that are not the same, the lower id first.
        withdrawn: those of `same` whose split was undone: the next run knows them no longer.
        distinct: pairs of specimens that do not show the same photograph, the lower id first.
        duplicate_of: specimen → the one that is kept instead of it.
    """

    pins: Mapping[str, str] = field(default_factory=dict)
    same: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    apart: frozenset[tuple[str, str]] = frozenset()
    withdrawn: frozenset[str] = frozenset()
    distinct: frozenset[tuple[str, str]] = frozenset()
    duplicate_of: Mapping[str, str] = field(default_factory=dict)

    def resolve(self, cluster: str) -> str:
        """The cluster that this one counts as, itself unless it was merged: "C0002" -> "C0001"."""
        return self.same.get(cluster, cluster)

    def cluster_of(self, specimen: str, grouped: str | None) -> str | None:
        """Where a specimen belongs: where a person put it, else where the last run did. None for noise."""
        pinned = self.pins.get(specimen)
        if pinned is not None or grouped is None:
            return pinned
        return self.same.get(grouped, grouped)

    def brought(self, specimen: str, grouped: str | None) -> bool:
        """Whether a specimen is where it is because a person put it there, while the last run put it elsewhere."""
        pinned = self.pins.get(specimen)
        return pinned is not None and (grouped is None or self.resolve(grouped) != pinned)


def standing(decisions: Iterable[Numbered]) -> list[Numbered]:
    """The decisions that hold: neither undone nor an undo."""
    listed = list(decisions)
    undone = {one.decision.of for one in listed if isinstance(one.decision, Undo)}
    return [one for one in listed if one.number not in undone and not isinstance(one.decision, Undo)]


def rulings(decisions: Sequence[Numbered]) -> Rulings:
    """What stands after these decisions, first to last. O(specimens and clusters named in them).

    `[Move C0002 {x}, Merge C0002 into C0001]` -> x belongs to C0001; with the merge undone, to C0002.
    """
    held = standing(decisions)
    pins: dict[str, str] = {}
    merged: dict[str, str] = {}
    given: dict[str, str] = {}
    apart: list[tuple[str, str]] = []
    for decision in (one.decision for one in held):
        match decision:
            case Name(cluster, name):
                given.pop(cluster, None)
                given[cluster] = name
            case Merge(into, clusters):
                _merge(merged, into, clusters)
            case Split(cluster, parts):
                pins.update((specimen, part) for part, specimens in parts.items() for specimen in specimens)
                ids = [cluster, *parts]
                apart += [(a, b) for i, a in enumerate(ids) for b in ids[i + 1 :]]
            case Move(cluster, specimens):
                pins.update((specimen, cluster) for specimen in specimens)
            case Verify(members):
                pins.update((specimen, cluster) for cluster, specimens in members.items() for specimen in specimens)
            case Apart(clusters):
                apart.append(clusters)
    withdrawn = _withdrawn(decisions, held)
    links = {**withdrawn, **merged}
    same = {cluster: _root(links, cluster) for cluster in links}
    pairs = ((same.get(a, a), same.get(b, b)) for a, b in apart)
    return Rulings(
        pins={specimen: same.get(cluster, cluster) for specimen, cluster in pins.items()},
        same=same,
        names=_names(given, same),
        apart=frozenset((min(a, b), max(a, b)) for a, b in pairs if a != b),
        withdrawn=frozenset(withdrawn),
        distinct=frozenset(_ordered(one.decision.specimens) for one in held if isinstance(one.decision, Distinct)),
        duplicate_of=_tags(held),
    )


def mentions(decision: Decision) -> set[str]:
    """The clusters that a decision speaks of."""
    match decision:
        case Name(cluster, _) | Move(cluster, _):
            return {cluster}
        case Merge(into, clusters):
            return {into, *clusters}
        case Split(cluster, parts):
            return {cluster, *parts}
        case Verify(members):
            return set(members)
        case Apart(clusters):
            return set(clusters)
        case Distinct() | Tag() | Undo():
            return set()


def placed(decision: Decision) -> dict[str, str]:
    """The specimens that a decision puts into a cluster: specimen → cluster."""
    match decision:
        case Split(_, parts) | Verify(parts):
            return {specimen: cluster for cluster, specimens in parts.items() for specimen in specimens}
        case Move(cluster, specimens):
            return dict.fromkeys(specimens, cluster)
        case _:
            return {}


def concerned(decision: Decision) -> int:
    """How many specimens a decision names."""
    match decision:
        case Distinct(specimens):
            return len(specimens)
        case Tag(groups, loose):
            return sum(map(len, groups.values())) + len(loose)
        case _:
            return len(placed(decision))


def made(decisions: Iterable[Numbered]) -> set[str]:
    """Ids that decisions gave to new clusters, undone ones included: they are never given again."""
    return {part for one in decisions if isinstance(one.decision, Split) for part in one.decision.parts}


def resting_on(decisions: Sequence[Numbered], number: int) -> list[Numbered]:
    """The decisions that stand and build on a cluster that decision `number` made."""
    new = made(one for one in decisions if one.number == number)
    return [one for one in standing(decisions) if one.number > number and mentions(one.decision) & new]


def _ordered(pair: tuple[str, str]) -> tuple[str, str]:
    return min(pair), max(pair)


def _tags(held: Iterable[Numbered]) -> dict[str, str]:
    """Specimen → the one to keep instead. What is kept is tagged no longer, nor is what was said to be another."""
    tags: dict[str, str] = {}
    for decision in (one.decision for one in held):
        match decision:
            case Tag(groups, loose):
                for specimen in (*loose, *groups):
                    tags.pop(specimen, None)
                tags.update((specimen, kept) for kept, others in groups.items() for specimen in others)
            case Distinct((one, other)):
                for a, b in ((one, other), (other, one)):
                    if tags.get(a) == b:
                        del tags[a]
    return tags


def _merge(merged: dict[str, str], into: str, clusters: Iterable[str]) -> None:
    for cluster in clusters:
        root, goal = _root(merged, cluster), _root(merged, into)
        if root != goal:
            merged[root] = goal


def _root(links: Mapping[str, str], cluster: str) -> str:
    while cluster in links:
        cluster = links[cluster]
    return cluster


def _withdrawn(decisions: Sequence[Numbered], held: Sequence[Numbered]) -> dict[str, str]:
    """Clusters made by splits that were undone, and that no other decision keeps: → what they were split off."""
    kept = set().union(*(mentions(one.decision) for one in held))
    standing_numbers = {one.number for one in held}
    return {
        part: one.decision.cluster
        for one in decisions
        if isinstance(one.decision, Split) and one.number not in standing_numbers
        for part in one.decision.parts
        if part not in kept
    }


def _names(given: Mapping[str, str], same: Mapping[str, str]) -> dict[str, str]:
    """The name of each cluster that has one: its own, else the first given of those merged into it."""
    names: dict[str, str] = {}
    for cluster, name in given.items():
        root = same.get(cluster, cluster)
        if root == cluster or (root not in given and root not in names and name):
            names[root] = name
    return {cluster: name for cluster, name in names.items() if name}
