"""What is left of lists and trees after specimens have gone, made whole again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from morphoindex.indexer.clustering.growing import Group
from morphoindex.indexer.clustering.joining import components, join
from morphoindex.indexer.clustering.passes import find_lists
from morphoindex.indexer.clustering.rows import Rows
from morphoindex.indexer.clustering.tiles import Workspace
from morphoindex.indexer.clustering.trees import EMPTY, Edges, Tree, merge, seed


@dataclass(frozen=True)
class Parts:
    """A minimum spanning tree in parts.

    Attributes:
        core: float64 [n], the core distances that it is for.
        trunk: the edges of the largest part; start: one of its rows.
        rest: int32, the rows of all other parts.
    """

    core: NDArray[np.float64]
    trunk: Edges
    start: int
    rest: NDArray[np.int32]


def refill(rows: Rows, needed: int, workspace: Workspace) -> NDArray[np.int32]:
    """Find the lists anew that have fewer than `needed` entries. O(c n d) for c of them; gives their rows, int32."""
    short = np.flatnonzero(rows.lists.known < min(needed, rows.count - 1)).astype(np.int32)
    step = workspace.batch_size(rows)
    for start in range(0, len(short), step):
        batch = short[start : start + step]
        rows.clear_lists(batch)
        find_lists(rows.points, rows.lists, workspace.tile(rows, batch))
    return short


def joined(rows: Rows, edges: Edges, core: NDArray[np.float64]) -> Parts:
    """Edges of the minimum spanning tree, and those that the lists prove to be in it, too. O(n K log n).

    Args:
        rows: all n rows.
        edges: some that are in it.
        core: float64 [n].
    """
    n, lists = rows.count, rows.lists
    parent = np.empty(n, np.int32)
    components(edges.ends, parent)
    found = Edges.room(n)
    count = join(lists.near, lists.far, lists.known, core, rows.points.ids, parent, found.ends, found.length)
    edges = Edges.joined([edges, found.first(count)])
    components(edges.ends, parent)
    largest = int(np.argmax(np.bincount(parent, minlength=n)))
    inside = parent[edges.ends[:, 0]] == largest
    return Parts(core, edges.where(inside), largest, np.flatnonzero(parent != largest).astype(np.int32))


def whole(rows: Rows, parts: Parts, workspace: Workspace) -> Tree:
    """The tree, with the rest attached to the largest part as if it were new. O(c n d) for c rows of it."""
    points, trunk = rows.points, parts.trunk
    tree = merge(EMPTY, points.ids, parts.core, [trunk]) if len(trunk.length) else seed(parts.start)
    step = workspace.batch_size(rows)
    at_once = max(step, workspace.group)
    for begin in range(0, len(parts.rest), at_once):
        members = parts.rest[begin : begin + at_once]
        group = Group(members, {0: tree}, {0: parts.core}, points, workspace.crowd)
        for start in range(0, len(members), step):
            group.meet(workspace.tile(rows, members[start : start + step], None, group.crowds, group.count))
        tree = group.attached()[0]
    return tree
