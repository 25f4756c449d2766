"""What a run did to the clusters, told from where the specimens were to where they are.

The kinds follow MONIC (Spiliopoulou et al. 2006), by majorities. An id that had members and has none:

- merged: more than half of them are in one cluster now. Told of that cluster.
- else split: it is the parent of new clusters, as below.
- else dissolved: they became noise, or were scattered.

An id that has members and had none:

- returned: it was known, whether or not others merged into it.
- part of a split: more than half of its members that took part in an earlier run were in one cluster, which did not
  merge into it.
- new, else; unless others merged into it.

An id that has and had members is told of once as grew, shrank or (as many as before, but not the same) continued, where
no split and no merge tells of it already. One whose members are the same is not told of. Emptied are ids whose members
were all taken out of the index.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["new", "continued", "grew", "shrank", "split", "merged", "dissolved", "emptied", "returned", "ended"]


@dataclass(frozen=True)
class Event:
    """What became of a cluster.

    Attributes:
        kind: see above; "ended" stands in journals of version 0.1, which tell no more.
        cluster: of which it is told; of "split" the parent, of "merged" the one that is left.
        size: members after the run; gained, lost: since before it, of those that are in the index.
        others: cluster → members that came from it or went to it: the children of a split, the parents of a merge, the
            cluster that most of a returned one's members were in, where the members of a dissolved one went.
    """

    kind: Kind
    cluster: str
    size: int
    gained: int = 0
    lost: int = 0
    others: Mapping[str, int] = field(default_factory=dict)


def events_of(
    before: Sequence[str | None],
    after: Sequence[str | None],
    seen: Sequence[bool],
    known: Collection[str],
    emptied: Iterable[str] = (),
) -> tuple[Event, ...]:
    """The events of a run, by the rules above. O(n).

    Args:
        before: [n] cluster of each specimen before the run, None for none.
        after: [n] cluster after it.
        seen: [n], whether the specimen took part in an earlier run.
        known: ids that were given before the run.
        emptied: ids that lost all members to removal.

    Returns:
        In order of cluster, then kind.
    """
    flows = Counter(zip(before, after, strict=True))
    had, has = Counter(before), Counter(after)
    met = Counter(cluster for cluster, took_part in zip(after, seen, strict=True) if took_part)
    came, went = _by(flows, 1), _by(flows, 0)
    merged = _merged(went, had, has)
    split = _split(came, met, had, known, merged)

    def event(kind: Kind, cluster: str, others: Mapping[str, int] | None = None) -> Event:
        stayed = flows[cluster, cluster]
        return Event(
            kind,
            cluster,
            has[cluster],
            has[cluster] - stayed,
            had[cluster] - stayed,
            dict(sorted((others or {}).items())),
        )

    found = [event("merged", cluster, parents) for cluster, parents in merged.items()]
    found += [event("split", cluster, children) for cluster, children in split.items()]
    told = {cluster for children in split.values() for cluster in children} | set(merged) | set(split)
    told |= {cluster for parents in merged.values() for cluster in parents}
    for cluster in {c for c in (*had, *has) if c is not None}:
        kind = _plain(cluster, had[cluster], has[cluster], flows[cluster, cluster], known)
        if kind == "returned":
            found.append(event(kind, cluster, _majority(came[cluster], met[cluster])))
        elif kind and cluster not in told:
            found.append(event(kind, cluster, went[cluster] if kind == "dissolved" else None))
    found += [Event("emptied", cluster, 0) for cluster in emptied]
    return tuple(sorted(found, key=lambda one: (one.cluster, one.kind)))


def _by(flows: Mapping[tuple[str | None, str | None], int], end: int) -> dict[str | None, dict[str, int]]:
    """Cluster at one end of the flows → those at the other, noise left out."""
    found: dict[str | None, dict[str, int]] = defaultdict(dict)
    for pair, members in flows.items():
        other = pair[1 - end]
        if other is not None:
            found[pair[end]][other] = members
    return found


def _majority(flows: Mapping[str, int], of: int) -> dict[str, int]:
    return {cluster: members for cluster, members in flows.items() if 2 * members > of}


def _merged(
    went: Mapping[str | None, Mapping[str, int]], had: Mapping[str | None, int], has: Mapping[str | None, int]
) -> dict[str, dict[str, int]]:
    """Cluster → the ended ones that are in it now."""
    merged: dict[str, dict[str, int]] = defaultdict(dict)
    for cluster in had:
        if cluster is not None and not has.get(cluster):
            for goal, members in _majority(went.get(cluster, {}), had[cluster]).items():
                merged[goal][cluster] = members
    return merged


def _split(
    came: Mapping[str | None, Mapping[str, int]],
    met: Mapping[str | None, int],
    had: Mapping[str | None, int],
    known: Collection[str],
    merged: Mapping[str, Mapping[str, int]],
) -> dict[str, dict[str, int]]:
    """Parent → the new clusters that came out of it."""
    split: dict[str, dict[str, int]] = defaultdict(dict)
    for cluster in came:
        if cluster is None or had.get(cluster) or cluster in known:
            continue
        for parent, members in _majority(came[cluster], met.get(cluster, 0)).items():
            if parent not in merged.get(cluster, {}):
                split[parent][cluster] = members
    return split


def _plain(cluster: str, had: int, has: int, stayed: int, known: Collection[str]) -> Kind | None:
    if not has:
        return "dissolved"
    if not had:
        return "returned" if cluster in known else "new"
    if has != had:
        return "grew" if has > had else "shrank"
    return None if stayed == has else "continued"
