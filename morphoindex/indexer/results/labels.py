"""What is answered about labels that were given to specimens, and taken back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class LabelChange:
    """A label that became another one.

    Attributes:
        column: the label column.
        old: what it was; None where there was none.
        new: what it is now; None where it was taken away.
        specimens: how many it befell.
        path: of one of them, None where it has no file.
    """

    column: str
    old: str | None
    new: str | None
    specimens: int
    path: str | None


@dataclass(frozen=True)
class LabelsGiven:
    """What labels came to that were given with photographs or vectors.

    Attributes:
        first: specimens, new ones among them, that have labels now and had none.
        further: specimens that had labels, and have got some in columns where they had none.
        changed: labels that are others now.
        kept: labels that were given again as they were.
        new_columns: label columns that the index did not have before.
        several: names without a folder, in the table, that several files have, which all got their labels; each with
            the paths of two of these.
        changes: the changed ones, alike ones together, from frequent to rare.
        number: under which `labels undo` takes back what the specimens that were there before have got; None where
            that is nothing.
        without: files that got no labels; `without_such_as`: some of them.
        unused: rows of the table that met no file; or the pattern, where it fits none.
    """

    first: int
    further: int
    changed: int
    kept: int
    changes: tuple[LabelChange, ...]
    number: int | None
    without: int = 0
    without_such_as: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    new_columns: tuple[str, ...] = ()
    several: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Relabelling:
    """One time that labels were given to specimens of the index, or taken back.

    Attributes:
        number: from 1.
        time: ISO 8601 UTC.
        how: what gave them, such as a file as it was named.
        undoes: the number of the one that it takes back, None where it gives labels.
        undone: by a later one.
        given: labels where there were none; changed: labels that are others since; taken: labels that are no more.
        specimens: how many it befell.
    """

    number: int
    time: str
    how: str
    undoes: int | None
    undone: bool
    given: int
    changed: int
    taken: int
    specimens: int


@dataclass(frozen=True)
class Relabellings:
    """All of them, first to last."""

    entries: tuple[Relabelling, ...]


@dataclass(frozen=True)
class RelabellingDetail:
    """One of them with its changes, alike ones together, from frequent to rare."""

    entry: Relabelling
    changes: tuple[LabelChange, ...]


@dataclass(frozen=True)
class LabelsTakenBack:
    """What an undo came to.

    Attributes:
        number: of the undo itself, None where nothing was done.
        undoes: what it takes back.
        how: what had given those labels.
        specimens: how many have other labels now.
        changes: those, alike ones together, from frequent to rare.
        since: labels that were given anew since, and stay.
        gone: specimens that are no longer in the index.
        dry_run: nothing was done.
        columns_gone: label columns that the index has no longer, because no specimen has a value there.
    """

    number: int | None
    undoes: int
    how: str
    specimens: int
    changes: tuple[LabelChange, ...]
    since: int
    gone: int
    dry_run: bool
    columns_gone: tuple[str, ...] = ()
