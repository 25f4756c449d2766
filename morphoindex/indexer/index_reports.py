"""The methods of `Index` that show what it holds: tables, vectors, maps, contact sheets, folders."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from morphoindex.indexer.results.common import Overview
from morphoindex.indexer.session import Session
from morphoindex.indexer.tables.catalog import Table

if TYPE_CHECKING:
    from morphoindex.indexer.clustering.projection import Projection
    from morphoindex.indexer.folders.picture_folder import Files
    from morphoindex.indexer.results.reports import FolderWritten, LabelsWritten, ReportWritten


class ReportMethods:
    """What `Index` has to show."""

    _session: Session

    def overview(self) -> Overview:
        """Clusters with their most frequent label, counts of label values, reasons of refusals."""
        from morphoindex.indexer.reports.overview import overview

        return overview(self._session)

    def table(
        self,
        kind: str,
        *,
        methods: Sequence[str] = (),
        coordinates: Sequence[str] = (),
        by: str | None = None,
        seed: int = 0,
        suggestions: bool = False,
        content: bool = False,
    ) -> Table:
        """The rows of a report that is a table; see `report`.

        Args:
            kind: "assignments", "clusters", "species", "ingest", "missing", "metrics".
            methods, coordinates, by, seed, suggestions, content: as for `report`.

        Raises:
            UsageError: there is no such table, method, label column or coordinates.
        """
        from morphoindex.indexer.files.table_files import rows_of
        from morphoindex.indexer.reports.files import Wish, table

        session = self._session
        sheet = table(session, kind, Wish(methods, coordinates, by, seed, suggestions, content), session.say)
        return Table(tuple(sheet.columns), tuple(rows_of(sheet)))

    def report(
        self,
        kind: str,
        format: str | None = None,
        out: str | os.PathLike[str] | None = None,
        *,
        encoder: str | None = None,
        methods: Sequence[str] = (),
        coordinates: Sequence[str] | None = None,
        by: str | None = None,
        seed: int = 0,
        suggestions: bool = False,
        content: bool = False,
    ) -> ReportWritten:
        """Write a report to a file, and beside it how it was made.

        Args:
            kind: "assignments" (a row a path), "clusters", "species" (a row a value of a label column), "ingest" (a row
                for every path ever seen), "missing" (a row a photograph that is not where or not as it was), "metrics"
                (see `evaluate`), or "embeddings".
            format: "csv", "parquet", "json", "xlsx"; for embeddings "npz", "parquet", "json", "pkl"; by default that of
                the ending of `out`.
            out: the file, replaced if it is there; by default one here that is called like the report, of assignments
                in a workbook `clustering_results.xlsx`.
            encoder: of the vectors, where it is not the current one.
            methods: of assignments, columns with the clusters by these (see `evaluate`), of metrics rows.
            coordinates: of assignments, columns with places on a map: "pca", "tsne", "umap", or "none"; by default PCA
                and t-SNE in a workbook, where that does not take minutes, else none.
            by: of species and metrics, the label column; by default the one that says most.
            seed: of coordinates.
            suggestions: of assignments, columns with the cluster suggested for what is in none, and its probability.
            content: of missing photographs, read those that are there, and see whether they are the same.

        Raises:
            UsageError: kind and format do not go together, the file cannot be written, or there is no such encoder,
                column or projection.
        """
        from morphoindex.indexer.reports.files import Wish, write_report

        with self._session.looking_with(encoder):
            wish = Wish(methods, coordinates, by, seed, suggestions, content)
            return write_report(
                self._session, kind, format, Path(out) if out is not None else None, wish, self._session.say
            )

    def report_map(
        self,
        out: str | os.PathLike[str] | None = None,
        method: Projection | None = None,
        *,
        by: str = "cluster",
        sample: int | None = None,
        seed: int = 0,
        encoder: str | None = None,
    ) -> ReportWritten:
        """Draw a map of the specimens as a PNG: those that are alike lie near each other.

        Args:
            out: the file, replaced if it is there; by default a new one here, `map.png`.
            method: "pca", "tsne", or "umap" where umap-learn is installed; by default t-SNE, of very many PCA.
            by: what colours mean: "cluster", "cluster_name", or a label column.
            sample: only so many specimens, at random.
            seed: of what is left to chance.
            encoder: another than the current one.

        Raises:
            UsageError: there is no such method, column or encoder, there are too few specimens for the method, or the
                file cannot be written.
        """
        from morphoindex.indexer.reports.maps import write_map

        with self._session.looking_with(encoder):
            file = Path(out) if out is not None else None
            return write_map(self._session, file, method, by, sample, seed, self._session.say)

    def report_sheets(
        self,
        out: str | os.PathLike[str],
        clusters: Sequence[str] = (),
        *,
        most: int | None = None,
        force: bool = False,
        report: Callable[[int, int], None] = lambda done, total: None,
    ) -> FolderWritten:
        """Draw a contact sheet of each cluster, the members nearest to its middle first, and of what is in none.

        Args:
            out: a new or empty folder, or that of an earlier call that was stopped.
            clusters: ids or names of those to draw, "not-clustered" for what is in none; by default all, and pages that
                show a few of each.
            most: members of a cluster that are shown at most, by default two sheets of them.
            force: take a folder whatever is in it; sheets of an earlier call go first.
            report: told how many pictures of how many are done.

        Raises:
            UsageError: nothing is in a cluster, there is no such cluster, or the folder cannot be used.
        """
        from morphoindex.indexer.clusters.portraits import Register
        from morphoindex.indexer.reports.folders import NOT_CLUSTERED
        from morphoindex.indexer.reports.sheets import MOST, write_sheets

        register = Register.of(self._session) if clusters else None
        only = [one if one == NOT_CLUSTERED else register.find_present(one) for one in clusters] if register else []
        return write_sheets(self._session, Path(out), only, MOST if most is None else most, force, report)

    def report_folders(
        self,
        out: str | os.PathLike[str],
        files: Files = "link",
        *,
        force: bool = False,
        report: Callable[[int, int], None] = lambda done, total: None,
    ) -> FolderWritten:
        """Bring all photographs to a folder for each cluster, `not-clustered` for the rest, with a manifest.

        Args:
            out: a new or empty folder, or that of an earlier call that was stopped.
            files: "link" for hard links, "symlink" for symbolic ones, which take no room, or "copy".
            force: take a folder whatever is in it; what an earlier call put there goes first, but for files whose
                original is gone or has other content. A file with other content is not replaced.
            report: told how many files of how many are done.

        Raises:
            UsageError: no specimen has a file, or the folder cannot be used or filled.
        """
        from morphoindex.indexer.reports.folders import write_folders

        return write_folders(self._session, Path(out), files, force, report)

    def report_labels(self, out: str | os.PathLike[str], *, force: bool = False) -> LabelsWritten:
        """Sum all label columns up in a folder: statistics, counts of values, lists of values.

        Args:
            out: a new or empty folder.
            force: write into it whatever it holds; files of the same names are replaced.

        Raises:
            UsageError: no specimen has a label, or the folder cannot be used.
        """
        from morphoindex.indexer.reports.labels import write_labels

        return write_labels(self._session, Path(out), force)
