"""What the calls of `Index` return that add, cluster, search, show, and look after the index."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from morphoindex.indexer.identity.events import Event
from morphoindex.indexer.results.labels import LabelsGiven

if TYPE_CHECKING:
    from morphoindex.indexer.clustering.cutting import Step
    from morphoindex.indexer.results.missing import MissingPhotograph


@dataclass(frozen=True)
class Refusal:
    """A path that was not taken, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class AddResult:
    """What `add` did: `added` counts new specimens, `known` and `moved` paths, `specimens` the index afterwards.

    `changed` files have other content than before; `gone` paths lie in the folders no longer: their specimens stay.
    `labels` is None where none were given. `not_clustered` specimens of the index have come since the last clustering
    run. `not_captured` are files of which something that was given of their capture could not be used, and why;
    `captures_unused` the rows of the table with captures that met no file.
    """

    added: int
    known: int
    moved: int
    refused: tuple[Refusal, ...]
    specimens: int
    seconds: float
    images_per_second: float
    changed: int = 0
    gone: int = 0
    labels: LabelsGiven | None = None
    not_clustered: int = 0
    not_captured: tuple[Refusal, ...] = ()
    captures_unused: tuple[str, ...] = ()


@dataclass(frozen=True)
class EncoderStatus:
    """The encoder of an index; its fingerprint is "external" for vectors made elsewhere."""

    name: str
    fingerprint: str
    dim: int


@dataclass(frozen=True)
class HeldEncoder:
    """An encoder that an index has vectors of: of `specimens`, where so many `lacking` have none.

    Search, clusters, duplicates and samples go by the `current` one; the other fields are those of EncoderStatus.
    """

    name: str
    fingerprint: str
    dim: int
    current: bool
    specimens: int
    lacking: int


@dataclass(frozen=True)
class Status:
    """What an index holds; `encoder` is the current one of its `encoders`.

    `paths` counts the present ones, `without_file` the specimens that have none of those. `encounters` is None where no
    specimen has a time.
    """

    index: str
    store: str
    encoder: EncoderStatus | None
    encoders: tuple[HeldEncoder, ...]
    specimens: int
    paths: int
    without_file: int
    refused: int
    clustered: int
    clusters: int
    labels: tuple[str, ...]
    roots: Mapping[str, str]
    version: str
    encounters: int | None = None


@dataclass(frozen=True)
class Cluster:
    """A cluster: its permanent id, its size, the paths (or ids) of some members, the surest first.

    `name` is what a person called it, `verified` counts the members that a person put there. `least_similarity` is the
    least cosine of any two members, where the clusters are cosine clusters. `encounters` have members in it; None where
    no specimen has a time.
    """

    id: str
    size: int
    examples: tuple[str, ...]
    name: str | None = None
    verified: int = 0
    least_similarity: float | None = None
    encounters: int | None = None


@dataclass(frozen=True)
class Verification:
    """What a second look at clusters by other means came to: how it was done, and the ids that differ, if any."""

    equal: bool
    how: str
    differing: tuple[str, ...]


@dataclass(frozen=True)
class SweepResult:
    """What several thresholds would give; nothing is changed by asking."""

    specimens: int
    steps: tuple[Step, ...]
    neighbours: str
    recall: float


@dataclass(frozen=True)
class ClusterResult:
    """What `cluster` found; clusters from large to small. `threshold` is set for cosine, the other for hdbscan.

    `events` tell what became of the clusters since the last run. Of the `verified` specimens of the index `retention`
    is the share that is in the cluster a person put it in; 1 where there are none. `neighbours` are "exact" or
    "approximate"; `recall` is the share of true neighbours that a sample has. `before` are method and parameters of
    the run before, where there was one. So many `lacking` specimens have no vector of the current encoder, if any: they
    are in no cluster, but for those that a person put into one. With `dry_run` nothing was written. `unsure` specimens,
    counted for community, have a probability below one half.
    """

    method: str
    specimens: int
    noise: int
    clusters: tuple[Cluster, ...]
    events: tuple[Event, ...]
    verified: int
    retention: float
    neighbours: str
    recall: float
    seconds: float
    verification: Verification | None = None
    before: Mapping[str, Any] | None = None
    lacking: int | None = None
    dry_run: bool = False
    unsure: int | None = None
    threshold: float | None = None
    linkage: str | None = None
    min_cluster_size: int | None = None
    min_samples: int | None = None
    selection: str | None = None


@dataclass(frozen=True)
class SearchHit:
    """A specimen that was found; `score` is the cosine, `path` the first present path, None where there is none."""

    id: str
    path: str | None
    score: float
    labels: Mapping[str, str]
    cluster: str | None


@dataclass(frozen=True)
class SearchResult:
    """The answer to a search, best first; `novel` where nothing named is like it, None where `identify` cannot tell."""

    query: str
    hits: tuple[SearchHit, ...]
    novel: bool | None = None


@dataclass(frozen=True)
class CheckResult:
    """What `check` compared, and every difference in words; `clean` where there is none, and no photograph `missing`.

    A specimen that lacks the vector of one of several `encoders` is no difference. `missing` are the photographs that
    are not where or not as they were; None where nobody looked.
    """

    clean: bool
    specimens: int
    paths: int
    runs: int
    problems: tuple[str, ...]
    encoders: tuple[HeldEncoder, ...] = ()
    missing: tuple[MissingPhotograph, ...] | None = None


@dataclass(frozen=True)
class LabelledCluster:
    """A cluster with the value that most of its members have in the first label column, and the share that has it.

    `name` is what a person called it; `encounters` as in Cluster.
    """

    id: str
    size: int
    label: str | None
    share: float
    name: str | None = None
    encounters: int | None = None


@dataclass(frozen=True)
class RemoveResult:
    """What `remove` took out: specimens, and paths of specimens that lie elsewhere too and stay.

    Attributes:
        removed: specimens; `labelled`: those of them that had labels, which go with them.
        paths: of specimens that stay.
        specimens: that the index holds now.
    """

    removed: int
    paths: int
    specimens: int
    labelled: int = 0


@dataclass(frozen=True)
class Overview:
    """The index at a glance.

    Attributes:
        method, parameters: of the last clustering run, empty where there was none.
        label: the label column that clusters are described by.
        labels: column → (value, specimens), frequent values first.
        refused: (reason, paths), frequent reasons first.
        encounters: of all specimens; None where none has a time.
    """

    specimens: int
    method: str
    parameters: str
    label: str | None
    clusters: tuple[LabelledCluster, ...]
    labels: Mapping[str, tuple[tuple[str, int], ...]]
    refused: tuple[tuple[str, int], ...]
    encounters: int | None = None


@dataclass(frozen=True)
class ClusterSummary:
    """A line of `clusters list`.

    Attributes:
        state: "present", "dormant" (no members now), "merged" (another name for `merged_into`), or "withdrawn" (the
            split that made it was undone; `merged_into` is what it was split off).
        label, share: the most frequent value of the label column, and the share of members that has it.
        since: when the id was given, ISO 8601 UTC.
        became: of one without members, where its last ones are: cluster, "noise" or "removed" → how many.
        encounters: as in Cluster.
    """

    id: str
    name: str | None
    size: int
    verified: int
    label: str | None
    share: float
    since: str | None
    state: str
    merged_into: str | None
    became: Mapping[str, int]
    encounters: int | None = None


@dataclass(frozen=True)
class ClusterList:
    """The clusters, from large to small; `label` is the column they are described by, the rest as in ClusterResult."""

    clusters: tuple[ClusterSummary, ...]
    label: str | None
    specimens: int
    noise: int
    verified: int
    retention: float


@dataclass(frozen=True)
class Member:
    """A member of a cluster; `similarity` is the cosine to the medoid, the member most like all others.

    It is None where the specimen has no vector of the current encoder. `encounter` is the id of the one it is in.
    """

    id: str
    path: str | None
    verified: bool
    probability: float | None
    similarity: float | None
    labels: Mapping[str, str]
    encounter: str | None = None


@dataclass(frozen=True)
class ClusterDetail:
    """A cluster with its members: verified ones first, then the surest, then the most similar to the medoid.

    Those that are there by a decision, not by the last run, come after all others.

    `encounters` as in Cluster.
    """

    id: str
    name: str | None
    size: int
    verified: int
    since: str | None
    label: str | None
    share: float
    medoid: str | None
    least_similarity: float | None
    mean_similarity: float | None
    members: tuple[Member, ...]
    encounters: int | None = None


@dataclass(frozen=True)
class Decided:
    """A decision that was made, or would be.

    Attributes:
        number: by which it can be undone; None in a dry run.
        kind: "name", "merge", "split", "move", "verify", "apart", "undo".
        clusters: those it speaks of, new ones included.
        words: what was decided; remarks: what else a person should know.
        changed: specimens that are in another cluster now.
        undo: the command that takes it back; None for what cannot be undone, and in a dry run.
        dry_run: nothing was done.
    """

    number: int | None
    kind: str
    clusters: tuple[str, ...]
    words: str
    changed: int
    remarks: tuple[str, ...]
    undo: str | None
    dry_run: bool


@dataclass(frozen=True)
class HistoryEntry:
    """Something that happened to a cluster, in words, in a run or by a decision; `undone` by a later one."""

    time: str
    words: str
    run: int | None = None
    decision: int | None = None
    undone: bool = False


@dataclass(frozen=True)
class ClusterHistory:
    """The life of a cluster; the fields are those of ClusterSummary."""

    id: str
    name: str | None
    size: int
    state: str
    merged_into: str | None
    became: Mapping[str, int]
    entries: tuple[HistoryEntry, ...]


@dataclass(frozen=True)
class Decisions:
    """All that was decided, first to last."""

    entries: tuple[HistoryEntry, ...]


def as_json(result: Any) -> dict[str, Any]:
    """A result as JSON values; the parameters of a clustering that its method does not have are left out."""
    table = asdict(result)
    return {k: v for k, v in table.items() if v is not None} if isinstance(result, ClusterResult) else table
