"""ClusterForest: neighbour lists and spanning trees of a growing set of vectors, exact after every change."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from morphoindex.errors import IndexDamaged, IndexNotFound, StoreError, UsageError
from morphoindex.indexer.clustering.approximate import NearestKeys, proposals, propose, recall, spanned
from morphoindex.indexer.clustering.condensed import DensityClusters, density_clusters
from morphoindex.indexer.clustering.cutting import cut
from morphoindex.indexer.clustering.dendrogram import Dendrogram, dendrogram
from morphoindex.indexer.clustering.distances import Vectors
from morphoindex.indexer.clustering.forest_file import Unreadable, read, write
from morphoindex.indexer.clustering.growing import insert
from morphoindex.indexer.clustering.intake import BLOCK, check, check_directions, unit
from morphoindex.indexer.clustering.labels import Selection
from morphoindex.indexer.clustering.mending import joined, refill, whole
from morphoindex.indexer.clustering.neighbours import Lists
from morphoindex.indexer.clustering.rows import ARRAYS, Rows, ids_of, stamps_of
from morphoindex.indexer.clustering.tiles import Workspace
from morphoindex.indexer.clustering.trees import EMPTY, NONE, Tree, as_weighed, kept_edges
from morphoindex.indexer.specimen import stamp_text

NEIGHBOURS = 32
MOST = 1000
"""The largest k of a core distance."""
FILE = "forest"
_REBUILD = 0.25  # share of the specimens that go, from which building anew is cheaper than mending
_REBUILD_REST = 0.75  # rows of all trees together that are to be attached, as a share of the specimens: likewise


class ClusterForest:
    """Neighbour lists and minimum spanning trees over vectors that come and go.

    After any `add` and `remove` they are those of the present set: a function of the keys and vectors alone, whatever
    the order and the batches they came in. See docs/clustering.md for why.

    Args:
        min_samples: the k, or several, of the core distances (the k-th nearest other specimen); for each a tree of
            mutual reachability distances is kept. The tree of plain distances (k = 0) is always there.
        neighbours: how many neighbours are kept of each specimen, at least the largest k.
        unit: vectors are brought to unit length (cosine), and kept in float32. Otherwise distances are Euclidean, of
            vectors as they are, in float64.

    Attributes:
        min_samples: the k of the trees that are kept, 0 among them.
        approximate: neighbours have been proposed by somebody else; lists and trees may miss some. `recall` measures
            it, `make_exact` ends it.

    Memory: vectors, 12 bytes a neighbour, 32 bytes a tree for each specimen; while adding,
    a quarter of the vectors more.
    """

    def __init__(
        self, min_samples: int | Sequence[int] = 5, neighbours: int = NEIGHBOURS, *, unit: bool = True
    ) -> None:
        wanted = tuple(np.atleast_1d(np.asarray(min_samples, np.int64)).tolist())
        if min(wanted, default=0) < 0:
            raise UsageError(f"min_samples {min(wanted)}: at least 0")
        if max(wanted, default=0) > MOST:
            raise UsageError(f"min_samples {max(wanted)}: at most {MOST}")
        self.min_samples = tuple(sorted({0, *wanted}))
        self._default = self.min_samples[-1]
        self._room = max(neighbours, *self.min_samples)
        self._unit = unit
        self.approximate = False
        self._keys: list[str] = []
        self._row: dict[str, int] = {}
        self._rows: Rows | None = None
        self._trees = dict.fromkeys(self.min_samples, EMPTY)
        self._dendrograms: dict[int, tuple[Tree, Dendrogram]] = {}
        self._workspace = Workspace()
        self._whole = True

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys, in the order of arrival; labels are given in this order."""
        return tuple(self._keys)

    @property
    def stamps(self) -> list[str]:
        """What tells the vectors apart, as it is stored, in the order of `keys`."""
        return [] if self._rows is None else list(map(stamp_text, self._rows.stamps[: len(self)].tolist()))

    def add(self, keys: Sequence[str], vectors: ArrayLike, near: NearestKeys | None = None) -> None:
        """Take specimens in. O(m n d) for m of them and n in all, by BLAS; all else is less.

        Args:
            keys: content ids, or other texts that tell specimens apart; none that is here already.
            vectors: float [m, d], finite.
            near: asked for neighbours of the new specimens where looking at all pairs would take too long: for vectors
                [m, d], at most `count` keys each. From then on the forest is approximate.

        Raises:
            UsageError: keys are repeated, or the vectors are not such.
            IndexDamaged: an earlier change was interrupted.
        """
        self._see_whole()
        matrix = np.asarray(vectors)
        check(keys, matrix, self._row, self._rows.vectors.shape[1] if self._rows is not None and len(self) else None)
        if self._unit:
            check_directions(matrix)
        if not len(matrix):
            return
        if self._rows is None or not len(self):
            self._rows = Rows.empty(matrix.shape[1], np.dtype(np.float32 if self._unit else np.float64), self._room)
        old = len(self)
        with self._changing():
            self._append(keys, matrix)
            if near is None or len(self) < self._room + 2:
                self._grow(old)
            else:
                self._graft(old, near)

    def remove(self, keys: Iterable[str]) -> None:
        """Let specimens go. O(n K), and O(c n d) for the c specimens that the lists alone cannot join again.

        Raises:
            UsageError: a key is not here.
        """
        self._see_whole()
        gone = list(dict.fromkeys(keys))
        missing = [key for key in gone if key not in self._row]
        if missing:
            raise UsageError(f"{missing[0]!r} is not in the forest")
        if not gone or self._rows is None:
            return
        kept = np.ones(len(self), bool)
        known = self._rows.known[: len(self)].copy()
        kept[[self._row[key] for key in gone]] = False
        number = (np.cumsum(kept) - 1).astype(np.int32)
        with self._changing():
            self._keys = [key for key, stays in zip(self._keys, kept.tolist(), strict=True) if stays]
            self._row = {key: row for row, key in enumerate(self._keys)}
            self._rows.keep(kept)
            if len(self) < self._room + 2 or (len(gone) > _REBUILD * len(kept) and not self.approximate):
                self._grow_anew()
            else:
                self._mend(kept, number, known)

    def make_exact(self) -> None:
        """Find all lists and trees anew, exactly. O(n² d)."""
        self._see_whole()
        with self._changing():
            self._grow_anew()

    def recall(self, k: int = 10) -> float:
        """Which share of the k nearest others the lists have, for a sample of 256 specimens; 1.0 where exact."""
        self._see_whole()
        return recall(self._rows, k, self._workspace) if self.approximate and self._rows is not None else 1.0

    def tree(self, min_samples: int = 0) -> Tree:
        """The minimum spanning tree for this k, its edges in the total order; made if it is not kept yet.

        A new one takes a pass of distances for those specimens that the neighbour lists alone cannot join.

        Raises:
            UsageError: k is below 0 or above 1,000.
        """
        self._see_whole()
        if not 0 <= min_samples <= MOST:
            raise UsageError(f"min_samples {min_samples}: 0 to {MOST}")
        if min_samples not in self._trees:
            with self._changing():
                self.min_samples = tuple(sorted({*self.min_samples, min_samples}))
                if not len(self):
                    self._trees[min_samples] = EMPTY
                    self._room = max(self._room, min_samples)
                elif min_samples > self._room:
                    self._widen(min_samples)
                else:
                    self._trees[min_samples] = self._anew(min_samples)
        return self._trees[min_samples]

    def dendrogram(self, min_samples: int = 0) -> Dendrogram:
        """The single linkage dendrogram of that tree, of one specimen at least. O(n α); kept until the next change."""
        tree = self.tree(min_samples)
        kept = self._dendrograms.get(min_samples)
        if kept is None or kept[0] is not tree:
            kept = tree, dendrogram(tree.a, tree.b, tree.weight)
            self._dendrograms[min_samples] = kept
        return kept[1]

    def threshold(self, cosine: float, min_size: int = 2) -> NDArray[np.int64]:
        """Clusters whose members hang together by steps of at least this cosine: single linkage, cut. O(n).

        Args:
            cosine: the threshold, in [-1, 1].
            min_size: the least size of a cluster; smaller ones are noise.

        Returns:
            int64 [n], numbered by first member; -1 for noise.

        Raises:
            UsageError: the threshold is not a cosine.
        """
        if not -1 <= cosine <= 1:
            raise UsageError(f"threshold {cosine:g}: a cosine lies between -1 and 1")
        return cut(self.dendrogram(), cosine, min_size) if len(self) else np.empty(0, np.int64)

    def density(
        self, min_cluster_size: int = 5, selection: Selection = "eom", min_samples: int | None = None
    ) -> DensityClusters:
        """HDBSCAN* clusters. O(n) once the tree is there.

        Args:
            min_cluster_size: the least size of a cluster, at least 2.
            selection: "eom", excess of mass, or "leaf".
            min_samples: the k of the core distances; default: the largest that the forest was made with.

        Raises:
            UsageError: a parameter is not one of those allowed.
        """
        if not len(self):
            return DensityClusters(np.empty(0, np.int64), *(np.empty(0) for _ in range(6)))
        return density_clusters(
            self.dendrogram(self._default if min_samples is None else min_samples), min_cluster_size, selection
        )

    def core(self, min_samples: int) -> NDArray[np.float64]:
        """Core distances, float64 [n]: to the k-th nearest other specimen; with fewer others, to the farthest."""
        self.tree(min_samples)
        return self._core(min_samples)

    @property
    def ids(self) -> NDArray[np.uint64]:
        """What orders pairs of equal distance, uint64 [n, 2], in the order of `keys`."""
        return ids_of(self._keys)

    @property
    def vectors(self) -> Vectors:
        """The vectors [n, d] in the order of `keys`, read-only, until the next change."""
        if self._rows is None:
            return np.empty((0, 0), np.float32)
        view = self._rows.vectors[: len(self)]
        view.flags.writeable = False
        return view

    @property
    def neighbours(self) -> Lists:
        """The nearest neighbours of each specimen, until the next change."""
        return self._rows.lists if self._rows is not None else Rows.empty(0, np.dtype(np.float32), self._room).lists

    def nearest(self, k: int) -> Lists:
        """The lists, each with at least the k nearest others (all, where there are fewer); found anew if it is shorter.

        Args:
            k: at most as many as the forest keeps, 32 by default.
        """
        self._see_whole()
        if self._rows is not None and len(self):
            with self._changing():
                refill(self._rows, min(k, self._room), self._workspace)
        return self.neighbours

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write everything to a folder, which is made; a crash leaves what was there before.

        Raises:
            StoreError: the disk does not take it.
        """
        self._see_whole()
        meta = {
            "min_samples": self.min_samples, "neighbours": self._room, "unit": self._unit, "empty": self._rows is None,
            "approximate": self.approximate, "default": self._default,
        }  # fmt: skip
        arrays: dict[str, NDArray[Any]] = {"keys": np.array([key.encode() for key in self._keys], np.bytes_)}
        if self._rows is not None:
            arrays |= {name: getattr(self._rows, name)[: len(self)] for name in ARRAYS}
        for k, tree in self._trees.items():
            arrays |= {f"{name} {k}": array for name, array in vars(tree).items()}
        try:
            Path(folder).mkdir(parents=True, exist_ok=True)
            write(Path(folder) / FILE, meta, arrays, unchecked=("vectors",))
        except OSError as error:
            raise StoreError(f"{Path(folder) / FILE} cannot be written: {error.strerror or error}") from error

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> ClusterForest:
        """What `save` wrote, mapped into memory: read when it is needed, copied when it changes.

        Raises:
            IndexNotFound: there is none.
            IndexDamaged: it cannot be read.
        """
        path = Path(folder) / FILE
        try:
            meta, arrays = read(path)
            forest = cls(meta["min_samples"], meta["neighbours"], unit=meta["unit"])
            forest.approximate, forest._default = meta["approximate"], meta["default"]
            forest._keys = [key.decode() for key in arrays["keys"].tolist()]
            forest._row = {key: row for row, key in enumerate(forest._keys)}
            if not meta["empty"]:
                forest._rows = Rows(len(forest), **{name: arrays[name] for name in ARRAYS})
            names = [field.name for field in fields(Tree)]
            forest._trees = {k: Tree(*(arrays[f"{name} {k}"] for name in names)) for k in forest.min_samples}
        except FileNotFoundError as error:
            raise IndexNotFound(f"there is no {path}") from error
        except (OSError, Unreadable, KeyError) as error:
            raise IndexDamaged(f"{path} cannot be read ({error}); it can be made anew from the vectors") from error
        return forest

    # -- inside ---------------------------------------------------------------------------------------------------

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """A change that an error or an interruption must not leave half done without a word."""
        self._whole = False
        yield
        self._whole = True

    def _see_whole(self) -> None:
        if not self._whole:
            raise IndexDamaged("a change of this forest was interrupted: load it again, or make it from the vectors")

    def _append(self, keys: Sequence[str], matrix: NDArray[np.generic]) -> None:
        rows, old = self._rows, len(self)
        assert rows is not None
        rows.reserve(old + len(keys))
        for start in range(0, len(keys), BLOCK):
            part = slice(start, start + BLOCK)
            made = unit(matrix[part]) if self._unit else matrix[part].astype(rows.vectors.dtype)
            rows.append(ids_of(keys[part]), stamps_of(matrix[part]), made)
        self._row.update(zip(keys, range(old, old + len(keys)), strict=True))
        self._keys += keys

    def _core(self, k: int) -> NDArray[np.float64]:
        assert self._rows is not None
        return self._rows.lists.core(k)

    def _grow(self, old: int) -> None:
        """Take the rows from `old` on into lists and trees. The first few are taken anew each time.

        As long as a list holds all others, a core distance may be that to the farthest and grow with the next one.
        """
        rows = self._rows
        assert rows is not None
        if old < self._room + 2:
            rows.clear_lists(slice(0, old))
            self._trees = dict.fromkeys(self.min_samples, EMPTY)
            old = 0
        n, step = len(self), self._workspace.batch_size(rows)
        self._workspace.reserve(n * min(step, n - old), rows.vectors.dtype)
        while old < n:
            until = min(n, max(old + max(step, self._workspace.group), self._room + 2))
            self._trees = insert(rows.first(until), self._trees, old, step, self._workspace)
            old = until

    def _grow_anew(self) -> None:
        self.approximate = False
        if self._rows is not None:
            self._rows.clear_lists(slice(0, len(self)))
            self._grow(0)

    def _graft(self, old: int, near: NearestKeys) -> None:
        """Take the rows from `old` on into lists and trees by proposed neighbours."""
        rows = self._rows
        assert rows is not None
        self.approximate = True
        changed = np.union1d(propose(rows, proposals(rows, self._row, near, old), old), self._refill())
        for k, tree in self._trees.items():
            self._trees[k] = spanned(rows, tree, changed, self._core(k), self._workspace)

    def _anew(self, k: int) -> Tree:
        """The tree for one more k."""
        assert self._rows is not None
        self._refill()
        if self.approximate:
            every = np.arange(len(self), dtype=np.int32)
            return spanned(self._rows, EMPTY, every, self._core(k), self._workspace)
        return whole(self._rows, joined(self._rows, NONE, self._core(k)), self._workspace)

    def _mend(self, kept: NDArray[np.bool_], number: NDArray[np.int32], known: NDArray[np.int32]) -> None:
        """Trees after specimens have gone.

        Args:
            kept: bool [former n]; number: int32 [former n], new rows; known: int32 [former n], former lengths of lists.
        """
        rows = self._rows
        assert rows is not None
        shortened = np.flatnonzero(rows.lists.known != known[kept]).astype(np.int32)
        changed = np.union1d(shortened, self._refill())
        left = {k: kept_edges(tree, kept, number) for k, tree in self._trees.items()}
        if self.approximate:
            self._trees = {k: spanned(rows, left[k], changed, self._core(k), self._workspace) for k in left}
            return
        parts = {k: joined(rows, as_weighed(left[k], self._core(k)), self._core(k)) for k in left}
        if sum(len(some.rest) for some in parts.values()) > _REBUILD_REST * len(self):
            self._grow_anew()
        else:
            self._trees = {k: whole(rows, some, self._workspace) for k, some in parts.items()}

    def _refill(self) -> NDArray[np.int32]:
        assert self._rows is not None
        return refill(self._rows, max(1, self.min_samples[-1], self._room // 2), self._workspace)

    def _widen(self, room: int) -> None:
        """Lists that hold more neighbours, and all trees, from nothing."""
        assert self._rows is not None
        former, n = self._rows, len(self)
        wider = Rows.empty(former.vectors.shape[1], former.vectors.dtype, room)
        wider.append(former.ids[:n], former.stamps[:n], former.vectors[:n])
        self._rows, self._room = wider, room
        self._grow(0)
