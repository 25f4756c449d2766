"""What the calls of `Index` return. The field names are those of the JSON that the command line prints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Refusal:
    """A path that was not taken, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class AddResult:
    """What `add` did: `added` counts new specimens, `known` and `moved` paths, `specimens` the index afterwards.

    `changed` files have other content than before; `gone` paths lie in the folders no longer: their specimens stay.
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
    labels_unused: int = 0


@dataclass(frozen=True)
class EncoderStatus:
    """The encoder of an index; its fingerprint is "external" for vectors made elsewhere."""

    name: str
    fingerprint: str
    dim: int


@dataclass(frozen=True)
class Status:
    """What an index holds. `paths` counts the present ones, `without_file` the specimens that have none of those."""

    index: str
    store: str
    encoder: EncoderStatus | None
    specimens: int
    paths: int
    without_file: int
    refused: int
    clustered: int
    clusters: int
    labels: tuple[str, ...]
    roots: Mapping[str, str]
    version: str


@dataclass(frozen=True)
class Cluster:
    """A cluster: its permanent id, its size, the paths (or ids) of some members, the surest first."""

    id: str
    size: int
    examples: tuple[str, ...]


@dataclass(frozen=True)
class ClusterResult:
    """What `cluster` found; clusters from large to small. `threshold` is set for cosine, the other for hdbscan."""

    method: str
    specimens: int
    noise: int
    clusters: tuple[Cluster, ...]
    seconds: float
    threshold: float | None = None
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
    """The answer to a search, best first."""

    query: str
    hits: tuple[SearchHit, ...]


@dataclass(frozen=True)
class Duplicate:
    """A file that is nearly the same as the one to keep; `similarity` is the cosine, 1.0 for the same bytes."""

    path: str
    similarity: float


@dataclass(frozen=True)
class DuplicateGroup:
    """Files of one picture: the best one, and the others."""

    keep: str
    drop: tuple[Duplicate, ...]


@dataclass(frozen=True)
class DedupResult:
    """What `dedup` found, the group with the most alike pair first."""

    threshold: float
    groups: tuple[DuplicateGroup, ...]


@dataclass(frozen=True)
class Selected:
    """A specimen of a sample."""

    id: str
    path: str | None
    cluster: str | None
    labels: Mapping[str, str]


@dataclass(frozen=True)
class SampleResult:
    """A sample in the order chosen: its first k are a sample of k."""

    requested: int
    selected: tuple[Selected, ...]


@dataclass(frozen=True)
class CheckResult:
    """What `check` compared, and every difference in words; `clean` where there is none."""

    clean: bool
    specimens: int
    paths: int
    runs: int
    problems: tuple[str, ...]


@dataclass(frozen=True)
class LabelledCluster:
    """A cluster with the value that most of its members have in the first label column, and the share that has it."""

    id: str
    size: int
    label: str | None
    share: float


@dataclass(frozen=True)
class RemoveResult:
    """What `remove` took out: specimens, and paths of specimens that lie elsewhere too and stay."""

    removed: int
    paths: int
    specimens: int


@dataclass(frozen=True)
class Overview:
    """The index at a glance.

    Attributes:
        method, parameters: of the last clustering run, empty where there was none.
        label: the label column that clusters are described by.
        labels: column → (value, specimens), frequent values first.
        refused: (reason, paths), frequent reasons first.
    """

    specimens: int
    method: str
    parameters: str
    label: str | None
    clusters: tuple[LabelledCluster, ...]
    labels: Mapping[str, tuple[tuple[str, int], ...]]
    refused: tuple[tuple[str, int], ...]


def as_json(result: Any) -> dict[str, Any]:
    """A result as JSON values; the parameters of a clustering that its method does not have are left out."""
    table = asdict(result)
    return {k: v for k, v in table.items() if v is not None} if isinstance(result, ClusterResult) else table
