"""What calls about near-duplicates return."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from morphoindex.indexer.results.common import Refusal


@dataclass(frozen=True)
class Duplicate:
    """A file that shows the same photograph as the one to keep.

    Attributes:
        path: of the file; its id where vectors came without files. id: of the specimen.
        similarity: cosine to the one to keep, 1.0 for the same bytes.
        how: "bytes", the same file once more; "frame", the whole picture lies over the other: re-encoded, resized,
            mirrored, turned by right angles; "points": turned, sheared or cut.
        agreement: share of the places with something to see that correlate, once one is laid over the other.
        through: path of the member of the group that it was confirmed against, where that is not the one to keep.
        tagged: the index has it as a duplicate of the one to keep already.
    """

    path: str
    id: str
    similarity: float
    how: str
    agreement: float
    through: str | None = None
    tagged: bool = False


@dataclass(frozen=True)
class DuplicateGroup:
    """Files of one photograph: the best one, and the others, the most similar first."""

    keep: str
    id: str
    drop: tuple[Duplicate, ...]


@dataclass(frozen=True)
class DedupResult:
    """What `dedup` found, the largest group first.

    Attributes:
        threshold, neighbours: which pairs were looked at.
        pairs: how many; compared: how many of them were compared now, since nobody had before.
        groups: of the photographs that are there several times.
        unread: files that could not be compared, with the reasons; the others do not wait for them.
        seconds: how long it took.
    """

    threshold: float
    neighbours: int
    pairs: int
    compared: int
    groups: tuple[DuplicateGroup, ...]
    unread: tuple[Refusal, ...]
    seconds: float


@dataclass(frozen=True)
class Comparing:
    """How far the comparing of pictures is: so many of `total` new pairs are done."""

    compared: int
    total: int
    unread: int


@dataclass(frozen=True)
class HandedOut:
    """Files that were brought to a folder.

    Attributes:
        folder: where.
        how: "copy", "link" or "move".
        files: how many were brought now; before: how many an earlier run had.
        missing: those that are not there any more, or are another file now, with the reasons.
        dry_run: nothing was done.
    """

    folder: str
    how: str
    files: int
    before: int
    missing: tuple[Refusal, ...]
    dry_run: bool
