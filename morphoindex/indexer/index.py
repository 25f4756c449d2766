"""Index: the one object that callers use."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from morphoindex.indexer.catalog import Table
from morphoindex.indexer.clustering.labels import Selection
from morphoindex.indexer.duplicate_results import Comparing, DedupResult
from morphoindex.indexer.encoder_results import Comparison, Dropped, Reembedding, ReembedResult, Switched
from morphoindex.indexer.encounters import encounters_by_specimen
from morphoindex.indexer.graph import Neighbours
from morphoindex.indexer.grouping import cluster
from morphoindex.indexer.host import place
from morphoindex.indexer.identification_results import IdentifyResult
from morphoindex.indexer.labelling import Linkage, Parameters
from morphoindex.indexer.registry import EXTERNAL
from morphoindex.indexer.results import (
    AddResult,
    CheckResult,
    ClusterResult,
    Overview,
    RemoveResult,
    SearchResult,
    Status,
    SweepResult,
)
from morphoindex.indexer.sampling_results import SampleResult, WrittenSample
from morphoindex.indexer.session import Session
from morphoindex.indexer.split_results import SplitResult

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from morphoindex.indexer.curation import Clusters
    from morphoindex.indexer.deduplication import Duplicates
    from morphoindex.indexer.encounter_results import EncounterResult
    from morphoindex.indexer.handing_out import Files, Layout
    from morphoindex.indexer.ingest import Counts
    from morphoindex.indexer.selection.sampling import Strategy


class Index:
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
            labels: `folder`, `folder=COLUMN`, a pattern such as `{family}_{species}_{n}`, or a CSV file with
                a column `path`.
            time_format: of the time in file names, such as `%Y%m%d%H%M%S`.
            metadata: a folder with flat-bug's JSON files, or a CSV file with a column `path` and columns of captures.
            camera: `folder`, a pattern with the field `{camera}`, or a name for all.
            encoder: a built-in name or an ONNX file; one that the index holds, by default the current one.
            dry_run: only count what would be read.
            max_megapixels: larger photographs are refused.
            report: told the counts after every committed batch.

        Raises:
            UsageError: labels, what tells of the capture, or encoder are not what is allowed.
            EncoderMismatch: the index holds no such encoder; `reembed` gives it one.
        """
        from morphoindex.indexer.adding import add
        from morphoindex.indexer.captures import captures

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
        from morphoindex.indexer.external import Embeddings

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
        from morphoindex.indexer.identifying import with_novelty
        from morphoindex.indexer.lookup import search

        with self._session.looking_with(encoder):
            found = search(self._session, os.fspath(query), k, where)
            return found if where else with_novelty(self._session, found)

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
        from morphoindex.indexer.identifying import identify

        with self._session.looking_with(encoder):
            return identify(self._session, _paths(targets), k, label, _several(groups))

    def cluster(
        self,
        threshold: float | None = None,
        *,
        min_cluster_size: int = 5,
        min_samples: int = 5,
        selection: Selection = "eom",
        linkage: Linkage = "single",
        neighbours: Neighbours = "auto",
        verify: bool = False,
        dry_run: bool = False,
    ) -> ClusterResult:
        """Cluster everything: with a threshold by cosine, without one by HDBSCAN*. Ids of clusters are kept over time.

        Args:
            threshold: cosine; members of a cluster hang together by steps of at least this much.
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
        parameters = Parameters(threshold, min_cluster_size, min_samples, selection, linkage, neighbours)
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
        from morphoindex.indexer.labelling import sweep

        return sweep(self._session.graph((), neighbours), thresholds)

    @property
    def clusters(self) -> Clusters:
        """The clusters, and what people decide about them: `index.clusters.name("C0003", "Danaus plexippus")`."""
        from morphoindex.indexer.curation import Clusters

        return Clusters(self._session)

    @property
    def duplicates(self) -> Duplicates:
        """Near-duplicates, and what is done about them: `index.duplicates.tag(index.dedup())`."""
        from morphoindex.indexer.deduplication import Duplicates

        return Duplicates(self._session)

    def dedup(
        self, threshold: float | None = None, *, report: Callable[[Comparing], None] = lambda done: None
    ) -> DedupResult:
        """Groups of files that show the same photograph, and the best of each; `duplicates.find` has more to set.

        Args:
            threshold: only pairs of at least this cosine are looked at; 0.5 by default.
            report: told how far it is.

        Raises:
            UsageError: the threshold is not a cosine.
        """
        return self.duplicates.find(threshold, report=report)

    def sample(
        self, n: int, by: str | None = None, where: str | None = None, *, strategy: Strategy = "cluster", seed: int = 0
    ) -> SampleResult:
        """A subset, and what it is worth beside a random one.

        Args:
            n: how many; all there are if that is fewer.
            by: a label column whose values each give one specimen in turn, by the strategy; of `stratified`, the
                strata, by default the label that says most.
            where: a condition, as for `search`.
            strategy: "cluster", "kmeans", "coverage", "facility", "stratified" or "random", see docs/sampling.md.
            seed: of what is left to chance, and of the random sample beside.

        Raises:
            UsageError: n is below 1, the column, the strategy or the condition is wrong, or nothing has such a label.
        """
        from morphoindex.indexer.sampling import sample

        return sample(self._session, n, strategy, by, where, seed)

    def write_sample(
        self,
        chosen: SampleResult,
        out: str | os.PathLike[str],
        *,
        layout: Layout = "flat",
        files: Files = "copy",
        report: Callable[[int, int], None] = lambda done, total: None,
    ) -> WrittenSample:
        """Put the files of a sample into a folder of its own, with a `manifest.csv`. Begun before, it is finished.

        Args:
            chosen: of `sample`.
            out: the folder; new, empty, or with this sample.
            layout: "flat"; "imagefolder", a folder for each value of `chosen.by` or of the label that says most; or
                "huggingface", with a `metadata.jsonl`.
            files: "copy"; "link", hard links, which take no room; or "none", the manifest alone.
            report: told how many of how many are done.

        Raises:
            UsageError: the folder is not such a one, cannot be written to, or layout and files do not go together.
        """
        from morphoindex.indexer.handing_out import write_sample

        return write_sample(self._session, chosen, Path(out), layout, files, report)

    def split(
        self,
        ratios: str | Sequence[float] | None = None,
        *,
        names: str | Sequence[str] | None = None,
        by: str | None = None,
        groups: str | Sequence[str] | None = None,
        site: str | None = None,
        night: bool | None = None,
        seed: int | None = None,
        name: str = "main",
        anew: bool = False,
        out: str | os.PathLike[str] | None = None,
        dry_run: bool = False,
    ) -> SplitResult:
        """Divide the specimens into sides that share nothing; a split is kept, and what is new joins it.

        Args:
            ratios: such as "80/10/10"; for a split that is there, that one's, as for all that is not given.
            names: of the sides; by default train, val and test, or train and test.
            by: the label column whose values each side gets its share of; by default the lowest rank, "" for none.
            groups: columns; specimens with the same value in one of them stay on one side.
            site: a column that is a group, too; with `night` only what was taken there in one night is.
            night: what one camera took in one night, noon to noon, stays on one side; of `site` where that is given.
            seed: another one deals otherwise.
            name: of the split; an index can have several.
            anew: draw it anew; what was on one side may go to another.
            out: a folder for a manifest of each side, and `certificate.json`.
            dry_run: only say what it would come to.

        Raises:
            UsageError: what was asked for cannot be, or is not what the split of this name is.
            SplitLeaks: what belongs together was put on different sides before that was known. Nothing was written.
        """
        from morphoindex.indexer.splitting import Wish, split

        wish = Wish(
            ratios, None if names is None else _several(names), by, None if groups is None else _several(groups), site,
            night, seed,
        )  # fmt: skip
        return split(self._session, wish, name, anew, None if out is None else Path(out), dry_run)

    def encounters(
        self, *, similarity: float | None = None, distance: float | None = None, gap: float | None = None,
        quick_gap: float | None = None, dry_run: bool = False,
    ) -> EncounterResult:  # fmt: skip
        """One animal over several images of a camera, with the counts per camera and day.

        Two images are of one animal where they are alike, and follow each other quickly, or slowly and in one place.
        What is given is kept, and holds for all counts of encounters from then on.

        Args:
            similarity: cosine, at least.
            distance: between the centres of boxes, pixels, less than.
            gap: seconds, less than, for images within the distance.
            quick_gap: seconds, less than, whatever the distance.
            dry_run: only try these; nothing is kept.

        Raises:
            UsageError: one of them is not what is allowed.
        """
        from morphoindex.indexer.seeing import encounters

        given = {"similarity": similarity, "distance": distance, "gap": gap, "quick_gap": quick_gap}
        return encounters(self._session, given, dry_run)

    def overview(self) -> Overview:
        """Clusters with their most frequent label, counts of label values, reasons of refusals."""
        from morphoindex.indexer.reports import overview

        return overview(self._session)

    def report(self, kind: str, format: str, out: str | os.PathLike[str], *, encoder: str | None = None) -> int:
        """Write a table to a file; returns the number of rows.

        Args:
            kind: "assignments", "embeddings", "ingest".
            format: "csv", "parquet", "json"; for embeddings "npz", "parquet".
            out: the file, replaced if it is there.
            encoder: of the embeddings, where it is not the current one.

        Raises:
            UsageError: kind and format do not go together, the file cannot be written, or there is no such encoder.
        """
        from morphoindex.indexer.reports import write_report

        with self._session.looking_with(encoder):
            return write_report(self._session, kind, format, Path(out))

    def sql(self, statement: str) -> Table:
        """Ask the catalog: `specimens`, `paths`, `clusters`, `runs`, `events`, `decisions`. Reads only the index.

        Raises:
            UsageError: the statement is wrong, or wants more than that.
        """
        from morphoindex.indexer.encounters import refresh

        refresh(self._session)
        return self._session.collection.catalog.ask(statement)

    def status(self) -> Status:
        """What the index holds."""
        from morphoindex.indexer.inventory import status

        return status(self._session)

    # -- encoders ------------------------------------------------------------------------------------------------

    def reembed(
        self,
        encoder: str | None = None,
        *,
        dry_run: bool = False,
        max_megapixels: float = 200,
        report: Callable[[Reembedding], None] = lambda done: None,
    ) -> ReembedResult:
        """Give all specimens that lack it a vector of an encoder, by reading their photographs again.

        The vectors that they have stay. Interrupted, it keeps what was done, and goes on from there the next time.

        Args:
            encoder: a built-in name, an ONNX file, or one that the index holds; by default the current one.
            dry_run: only find out what would be read.
            max_megapixels: larger photographs are refused.
            report: told how far it is, after every committed batch.

        Raises:
            UsageError: there is no such encoder, its vectors were made elsewhere, or there are no photographs at all.
            EncoderInvalid: it is not an encoder of the contract; the index is then as it was.
        """
        from morphoindex.indexer.reembedding import reembed

        return reembed(self._session, encoder, dry_run, max_megapixels, report)

    def use(self, encoder: str) -> Switched:
        """Have search, clusters, duplicates and samples go by another encoder that the index holds, from now on.

        Clusters, their names and what people decided stand as they are; the next `cluster` goes by the new vectors.

        Raises:
            UsageError: the index holds no such encoder, or no specimen has a vector of it.
        """
        from morphoindex.indexer.switching import use

        return use(self._session, encoder)

    def compare(self, a: str, b: str, *, threshold: float | None = None) -> Comparison:
        """What would be otherwise with encoder `b` than with `a`: neighbours, clusters. Decides and changes nothing.

        Both cluster as the last run did.

        Args:
            a, b: encoders that the index holds.
            threshold: cosine for the clusters of `b`, since those of two encoders are not on one scale.

        Raises:
            UsageError: the index does not hold both, or fewer than two specimens have vectors of both.
        """
        from morphoindex.indexer.comparison import compare

        return compare(self._session, a, b, threshold)

    def drop(self, encoder: str, *, dry_run: bool = False) -> Dropped:
        """Remove an encoder that is not the current one from the index, with its vectors.

        Raises:
            UsageError: the index holds no such encoder, it is the current one, or specimens have no other vector.
        """
        from morphoindex.indexer.switching import drop

        return drop(self._session, encoder, dry_run)

    # -- upkeep --------------------------------------------------------------------------------------------------

    def check(self, files: bool = False) -> CheckResult:
        """Compare the catalog with the store and the journal; with `files`, the paths with the disk too."""
        from morphoindex.indexer.inventory import check

        return check(self._session, files)

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


def _several(given: str | Sequence[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)
