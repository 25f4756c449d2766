"""The neighbour graph of an index: a forest in its folder, brought up to the specimens whenever it is asked for."""

from __future__ import annotations

import gc
import shutil
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from morphoindex.errors import IndexDamaged, IndexNotFound
from morphoindex.indexer.specimen import point_id
from morphoindex.indexer.storage.vectors import Point, VectorStore
from morphoindex.indexer.words import count

if TYPE_CHECKING:
    from morphoindex.indexer.clustering.forest import ClusterForest
    from morphoindex.indexer.holdings.collection import Collection as Specimens

FOLDER = "graph"
Neighbours = Literal["auto", "exact", "approximate"]
APPROXIMATE_FROM = 400_000
"""Specimens from which neighbours come from the store's search graph, unless a person says otherwise."""
_PATIENCE = 1.0  # seconds of silence
_QUICK = 4e8  # pairs of specimens that are compared before a person begins to wonder
_READ = 2048  # vectors that are asked for at once
_MANY = 0.2  # share of the specimens from which it is quicker to read them all than to ask for some


def graph_folder(folder: Path, mark: str = "") -> Path:
    """Where in an index folder the graph of an encoder lies, by its mark: `graph`, or `graph/MARK`."""
    return folder / FOLDER / mark


def open_graph(
    place: Path,
    specimens: Specimens,
    min_samples: Sequence[int],
    neighbours: Neighbours,
    say: Callable[[str], None],
) -> ClusterForest:
    """The forest over all specimens, saved.

    What it has seen before is taken from its file; of everything else, only the vectors it has not seen are read.
    Where the file is missing or damaged, it is made from nothing.

    Args:
        place: folder of the graph; each encoder has its own.
        specimens: the collection.
        min_samples: each k that a tree is wanted for.
        neighbours: "exact", "approximate", or "auto" for what suits the number of specimens.
        say: told what takes long, and what is not exact.
    """
    from morphoindex.indexer.clustering.forest import ClusterForest

    _compile(any(min_samples), say)
    try:
        forest = ClusterForest.load(place)
    except IndexNotFound:
        forest = ClusterForest(min_samples)
    except IndexDamaged as error:
        say(f"the neighbour graph is made anew: {error}")
        forest = ClusterForest(min_samples)
    before = len(forest), forest.min_samples, forest.approximate
    changed = _catch_up(forest, specimens, neighbours, say)
    for k in min_samples:
        forest.tree(k)
    if changed or before != (len(forest), forest.min_samples, forest.approximate):
        forest.save(place)
    return forest


def _compile(density: bool, say: Callable[[str], None]) -> None:
    """Have the kernels compiled, or taken from the disk where they are; said aloud where that takes long.

    Args:
        density: whether those of HDBSCAN*'s extraction are wanted.
        say: told what takes long.
    """
    from morphoindex.indexer.clustering.forest import ClusterForest

    telling = threading.Timer(_PATIENCE, say, ["preparing the clustering kernels, once on this machine: some seconds"])
    telling.daemon = True
    telling.start()
    collecting = gc.isenabled()
    gc.disable()  # a compiler makes much that is not garbage: looking through it takes a fifth of the time
    try:
        angles = np.arange(90.0)
        vectors = np.column_stack([np.cos(angles), np.sin(angles)]).astype(np.float32)
        keys = [f"{i:032x}" for i in range(len(vectors))]
        forest = ClusterForest(2)
        forest.add(keys[:60], vectors[:60])
        forest.add(keys[60:], vectors[60:])
        if density:
            forest.density()
    finally:
        telling.cancel()
        if collecting:
            gc.enable()


def forget_graph(folder: Path, mark: str | None = None) -> None:
    """Throw all graphs of an index folder away, or that of one encoder; who needs one makes it anew."""
    if mark == "":
        for file in graph_folder(folder).glob("*"):
            if file.is_file():  # the folders there are those of the other encoders
                file.unlink()
    else:
        shutil.rmtree(graph_folder(folder, mark or ""), ignore_errors=True)


def _catch_up(forest: ClusterForest, specimens: Specimens, neighbours: Neighbours, say: Callable[[str], None]) -> bool:
    """Take in what is new, and let go what is not there any more or has another vector. Says whether anything was."""
    stamps = specimens.catalog.stamps(specimens.stamp_key)
    stale = [key for key, stamp in zip(forest.keys, forest.stamps, strict=True) if stamps.get(key) != stamp]
    approximate = neighbours == "approximate" or (neighbours == "auto" and len(stamps) >= APPROXIMATE_FROM)
    forest.remove(stale)
    if forest.approximate and not approximate:
        forest.make_exact()
    missing = sorted(stamps.keys() - set(forest.keys))
    if missing:
        if not approximate and len(missing) * len(stamps) > _QUICK:
            say(f"comparing {count(len(missing), 'new specimen')} with all {len(stamps):,}: this takes a while")
        matrix = _read(specimens.store, missing, len(stamps))
        forest.add(missing, matrix, _asking(specimens.store, list(stamps), say) if approximate else None)
    return bool(stale or missing)


def _read(store: VectorStore, ids: Sequence[str], total: int) -> NDArray[np.float32]:
    """The vectors [m, d] of some of the specimens, in their order."""
    row = {point_id(specimen): i for i, specimen in enumerate(ids)}
    matrix: NDArray[np.float32] | None = None
    found = 0
    for point in _points(store, row, total):
        if point.id in row and point.vector is not None:
            if matrix is None:
                matrix = np.empty((len(ids), len(point.vector)), np.float32)
            matrix[row[point.id]] = point.vector
            found += 1
    if matrix is None or found < len(ids):
        lacking = count(len(ids) - found, "specimen has", "specimens have")
        raise IndexDamaged(f"{lacking} no vector in the store: `morphoindex check` names them")
    return matrix


def _points(store: VectorStore, ids: Collection[str], total: int) -> Iterator[Point]:
    if len(ids) > _MANY * total:
        for points in store.scroll(vectors=True, batch=_READ):
            yield from points
        return
    wanted = list(ids)
    for start in range(0, len(wanted), _READ):
        yield from store.retrieve(wanted[start : start + _READ], vectors=True)


def _asking(
    store: VectorStore, ids: Sequence[str], say: Callable[[str], None]
) -> Callable[[NDArray[np.float32], int], list[list[str]]]:
    """A function that asks the store for near specimens."""
    say(f"{count(len(ids), 'specimen')}: neighbours come from the store's search graph, and may miss some")
    store.optimize()
    specimen = {point_id(one): one for one in ids}

    def near(vectors: NDArray[np.float32], k: int) -> list[list[str]]:
        return [[specimen[point] for point in some if point in specimen] for some in store.nearest(vectors, k)]

    return near
