"""Index: the one object that callers use."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any

from morphoindex.indexer.clustering.labels import Selection
from morphoindex.indexer.clusters.grouping import cluster
from morphoindex.indexer.clusters.labelling import Linkage, Method, Parameters
from morphoindex.indexer.encoding.registry import EXTERNAL
from morphoindex.indexer.holdings.graph import Neighbours
from morphoindex.indexer.host import place
from morphoindex.indexer.index_encoders import EncoderMethods
from morphoindex.indexer.index_evaluation import EvaluationMethods
from morphoindex.indexer.index_reports import ReportMethods
from morphoindex.indexer.index_selection import SelectionMethods, several
from morphoindex.indexer.repeats.encounters import encounters_by_specimen
from morphoindex.indexer.results.common import (
    AddResult,
    CheckResult,
    ClusterResult,
    RemoveResult,
    SearchResult,
    Status,
    SweepResult,
)
from morphoindex.indexer.results.identification import IdentifyResult
from morphoindex.indexer.session import Session
from morphoindex.indexer.tables.catalog import Table

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from morphoindex.indexer.clusters.curation import Clusters
    from morphoindex.indexer.descriptions.relabelling import LabelHistory
    from morphoindex.indexer.intake.batch import Counts


class Index(SelectionMethods, EvaluationMethods, EncoderMethods, ReportMethods):
    """An index of specimens, open. Made by `morphoindex.open`, used as a context manager."""

    def __init__(self, session: Session) -> None:
        self._session = session

    # -- adding --------------------------------------------------------------------------------------------------

    def add(
        self,
        paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
        *,
        labels: str | None = None,
        time_format: str | None = None,
        metadata: str | os.PathLike[str] | None = None,
        camera: str | None = None,
        encoder: str | None = None,
        dry_run: bool = False,
        max_megapixels: float = 200,
        report: Callable[[Counts], None] = lambda counts: None,
    ) -> AddResult:
        """Take photographs in: files, folders, globs, `.txt` lists.

        Args:
            paths: one or several.
            labels: `folder`, `folder=COLUMN`, a pattern such as `{family}_{species}_{n}`, or a CSV or Excel
                file with a column `path`.
            time_format: of the time in file names, such as `%Y%m%d%H%M%S`.
            metadata: a folder with flat-bug's JSON files, or a table with a column `path` and columns of captures.
            camera: `folder`, a pattern with the field `{camera}`, or a name for all.
            encoder: a built-in name or an ONNX file; one that the index holds, by default the current one.
            dry_run: only count what would be read, and say what would become of labels.
            max_megapixels: larger photographs are refused.
            report: told the counts after every committed batch.

        Raises:
            UsageError: labels, what tells of the capture, or encoder are not what is allowed.
            EncoderMismatch: the index holds no such encoder; `reembed` gives it one.
        """
        from morphoindex.indexer.adding import add
        from morphoindex.indexer.descriptions.captures import captures

        told = captures(time_format, os.fspath(metadata) if metadata is not None else None, camera)
        return add(self._session, _paths(paths), labels, told, encoder, dry_run, max_megapixels, report)

    def add_embeddings(
        self,
        ids: Sequence[str | int],
        vectors: ArrayLike,
        paths: Sequence[str | None] | None = None,
        metadata: Sequence[Mapping[str, Any]] | Mapping[str, Sequence[Any]] | None = None,
        encoder: str = EXTERNAL,
    ) -> AddResult:
        """Take in vectors that were made elsewhere.

        Args:
            ids: [n], distinct.
            vectors: float [n, d], finite, not zero; brought to unit length.
            paths: [n], of the photographs, where they have any.
            metadata: labels: a mapping for each, or a column [n] for each label; those called "time", "camera", "frame"
                and the like (`specimen.CAPTURE`) are taken as the capture.
            encoder: a name for what made them; an index holds vectors of one encoder.

        Raises:
            EmbeddingsInvalid: they cannot be used as they are; nothing was taken in then.
            EncoderMismatch: the index holds vectors of another encoder.
        """
        from morphoindex.indexer.adding import add_embeddings
        from morphoindex.indexer.intake.external import Embeddings

        return add_embeddings(self._session, Embeddings.from_columns(ids, vectors, paths, metadata), encoder)

    def remove(
        self, targets: str | Iterable[str] = (), *, without_file: bool = False, dry_run: bool = False
    ) -> RemoveResult:
        """Take specimens out of the index; the photographs stay where they are.

        A specimen that is named by a path and lies at other paths too stays, and only loses that path.

        Args:
            targets: ids, beginnings of ids, paths of files, or folders: all that lies below them.
            without_file: also the specimens whose files were moved out of sight, deleted or overwritten.
            dry_run: only find out how many.

        Raises:
            UsageError: one of the targets is not in the index; nothing was removed then.
        """
        from morphoindex.indexer.removal import remove

        named = [targets] if isinstance(targets, str) else targets
        return remove(self._session, named, without_file, dry_run)

    # -- asking --------------------------------------------------------------------------------------------------

    def search(
        self, query: str | os.PathLike[str], k: int = 10, where: str | None = None, *, encoder: str | None = None
    ) -> SearchResult:
        """The nearest specimens to a photograph or to a specimen of the index.

        Args:
            query: path of an image, or the id of a specimen (or the beginning of one), which is then left out.
            k: how many.
            where: a condition on labels and capture, such as `family = "Apidae" and time > "2024-06"`.
            encoder: another than the current one of those that the index holds.

        Raises:
            UsageError: k is below 1, the condition is wrong, there is neither such a usable image nor such an id, or
                the index holds no such encoder.
        """
        from morphoindex.indexer.identification.identifying import with_novelty
        from morphoindex.indexer.lookup import search

        with self._session.looking_with(encoder):

            def ask(number: int) -> SearchResult:
                return search(self._session, os.fspath(query), number, where)

            return ask(k) if where else with_novelty(self._session, k, ask)

    def identify(
        self,
        targets: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
        k: int = 10,
        label: str | None = None,
        *,
        groups: str | Sequence[str] = (),
        encoder: str | None = None,
    ) -> IdentifyResult:
        """Names for photographs, by the nearest specimens that have one, and whether they can be any of these.

        Args:
            targets: photographs, folders, globs, lists, or specimens of the index, which do not speak for themselves.
            k: how many of the nearest vote.
            label: the column of the names, or "cluster_name"; by default the lowest rank there is.
            groups: columns such as a source or an individual: specimens with the same value do not vouch for each
                other when it is worked out how near is near enough.
            encoder: another than the current one of those that the index holds.

        Raises:
            UsageError: k is not within 1 and 1000, there is no such target, column or encoder, or nothing has a name.
        """
        from morphoindex.indexer.identification.identifying import identify

        with self._session.looking_with(encoder):
            return identify(self._session, _paths(targets), k, label, several(groups))

    def cluster(
        self,
        threshold: float | None = None,
        *,
        method: Method | None = None,
        min_cluster_size: int = 5,
        min_samples: int = 5,
        selection: Selection = "eom",
        linkage: Linkage = "single",
        neighbours: Neighbours = "auto",
        verify: bool = False,
        dry_run: bool = False,
    ) -> ClusterResult:
        """Cluster everything, by HDBSCAN* unless told otherwise. Ids of clusters are kept over time.

        Args:
            threshold: cosine; members of a cluster hang together by steps of at least this much.
            method: "hdbscan", "cosine" (with a threshold, the default then) or "community": see docs/clustering.md.
            min_cluster_size: of HDBSCAN*, the least size of a cluster.
            min_samples: of HDBSCAN*, the neighbours that make a place dense.
            selection: of HDBSCAN*, "eom" for large and stable clusters, "leaf" for many fine ones.
            linkage: "complete" or "average" divide clusters at a threshold further: until all pairs of members reach
                it, or the mean between any two parts does.
            neighbours: "exact", "approximate" (from the store's search graph), or "auto" by the number of specimens.
            verify: work the clusters out again by other means, and compare.
            dry_run: only say what it would come to.

        Raises:
            UsageError: a parameter is not one of those allowed.
        """
        parameters = Parameters(threshold, min_cluster_size, min_samples, selection, linkage, neighbours, method)
        session, start = self._session, time.perf_counter()
        forest = session.graph([parameters.k], neighbours)
        result = cluster(
            session.collection, session.journal, session.folder, forest, parameters, verify, dry_run,
            encounters_by_specimen(session),
        )  # fmt: skip
        result = replace(result, seconds=round(time.perf_counter() - start, 3))
        shown = self._session.collection.get([i for found in result.clusters for i in found.examples])
        return replace(
            result,
            clusters=tuple(
                replace(found, examples=tuple(place(self._session.roots, shown[i]) or i for i in found.examples))
                for found in result.clusters
            ),
        )

    def sweep(self, thresholds: Sequence[float], neighbours: Neighbours = "auto") -> SweepResult:
        """What cosine clusters at several thresholds would come to. Nothing is changed.

        Args:
            thresholds: cosines.
            neighbours: as for `cluster`.

        Raises:
            UsageError: a threshold is not a cosine.
        """
        from morphoindex.indexer.clusters.labelling import sweep

        return sweep(self._session.graph((), neighbours), thresholds)

    @property
    def clusters(self) -> Clusters:
        """The clusters, and what people decide about them: `index.clusters.name("C0003", "Danaus plexippus")`."""
        from morphoindex.indexer.clusters.curation import Clusters

        return Clusters(self._session)

    @property
    def labels(self) -> LabelHistory:
        """The labels that were given to specimens, and the way back: `index.labels.undo()`."""
        from morphoindex.indexer.descriptions.relabelling import LabelHistory

        return LabelHistory(self._session)

    def sql(self, statement: str) -> Table:
        """Ask the catalog: `specimens`, `paths`, `clusters`, `runs`, `events`, `decisions`. Reads only the index.

        Raises:
            UsageError: the statement is wrong, or wants more than that.
        """
        from morphoindex.indexer.repeats.encounters import refresh

        refresh(self._session)
        return self._session.collection.catalog.ask(statement)

    def status(self) -> Status:
        """What the index holds."""
        from morphoindex.indexer.inventory import status

        return status(self._session)

    # -- upkeep --------------------------------------------------------------------------------------------------

    def check(
        self,
        files: bool = False,
        *,
        content: bool = False,
        report: Callable[[int, int], None] = lambda done, total: None,
    ) -> CheckResult:
        """Compare the catalog with the store and the journal.

        Args:
            files: also look whether every photograph is where it was, with the size and time that it had.
            content: also read every photograph, and see that it is the same; this takes as long as reading them takes.
            report: told how many photographs of how many were looked at.
        """
        from morphoindex.indexer.inventory import check

        return check(self._session, files, content, report)

    def rebuild(self) -> int:
        """Make the catalog again from the store and the journal; returns the number of specimens."""
        self._session.rebuild()
        return self.status().specimens

    def close(self) -> None:
        """Let go of everything; others can then open the index."""
        self._session.close()

    def __enter__(self) -> Index:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _paths(given: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> list[str]:
    return [os.fspath(path) for path in ([given] if isinstance(given, str | os.PathLike) else given)]
