"""A folder for each cluster, with its photographs."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from morphoindex.errors import UsageError
from morphoindex.indexer.files.provenance import write_provenance
from morphoindex.indexer.files.safe_names import safe_name, told_apart
from morphoindex.indexer.folders.picture_folder import (
    MANIFEST,
    Files,
    Planned,
    claim,
    file_name,
    fill,
    name_key,
    see_no_originals,
    source_of,
)
from morphoindex.indexer.host import Host
from morphoindex.indexer.paths import to_text
from morphoindex.indexer.reports.runs import clustering_of
from morphoindex.indexer.results.reports import FolderWritten
from morphoindex.indexer.settings import write_whole
from morphoindex.indexer.specimen import Specimen
from morphoindex.indexer.tables.views import label_columns
from morphoindex.indexer.words import count

NOT_CLUSTERED = "not-clustered"
HOW = {
    "link": "these are hard links, which take no room: a file that is edited here is edited in the collection too; "
    "--files copy has files of their own",
    "symlink": "these are symbolic links, which take no room: they lead nowhere once the photographs are moved, and "
    "a file that is edited here is edited in the collection; --files copy has files of their own",
    "copy": "these are copies: the photographs of the collection are as they were, whatever becomes of these",
}
"""How files are brought to folders, and what that means."""
_COLUMNS = ("file", "id", "cluster", "cluster_name", "probability", "source")


def write_folders(
    index: Host,
    out: Path,
    files: Files = "link",
    force: bool = False,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> FolderWritten:
    """Bring all photographs to folders of their clusters; see `Index.report_folders`."""
    if files not in HOW:
        raise UsageError(f"files {files!r}: {', '.join(HOW)}")
    catalog = index.collection.catalog
    names = catalog.names()
    specimens = sorted((one for some in index.collection.scroll() for one in some), key=_in_order)
    with_files = [one for one in specimens if one.paths]
    if not with_files:
        raise UsageError("no specimen has a file: there is nothing to bring to folders")
    planned = _plan(index, with_files, names)
    content = [(one.name, one.id) for one in planned]
    other = "other clusters: name a new folder, or --force takes what an earlier run put there away, and writes anew"
    if force:
        see_no_originals(index, out, with_files)
    kept = claim(out, "report folders", content, other, force, [one.source for one in planned if one.source])
    of = {one.id: one for one in with_files}
    write_whole(out / MANIFEST, _manifest(index, planned, of, names))  # first: of a killed run, too, --force knows
    filled = fill(out, planned, files, lambda there: {MANIFEST: _manifest(index, there, of, names)}, report, force)
    run = clustering_of(index)
    write_provenance(out, "report folders", {"files": files}, index.entry, specimens=len(planned), clustering=run)
    remarks = [] if run else ["nothing is clustered yet, `morphoindex cluster` does that: all lie in not-clustered"]
    if kept:
        said = count(len(kept), "file of an earlier run stays", "files of an earlier run stay")
        remarks.append(f"{said}, such as {kept[0]}: the original is gone or has other content")
    if len(with_files) < len(specimens):
        lacking = count(
            len(specimens) - len(with_files), "specimen has no file, and is", "specimens have no file, and are"
        )
        remarks.append(f"{lacking} left out")
    remarks.append(HOW[files])
    return FolderWritten(
        "folders", to_text(os.path.abspath(out)), len(filled.there),
        len({of[one.id].cluster for one in filled.there} - {None}), filled.before, filled.missing, tuple(remarks),
    )  # fmt: skip


def folder_of(cluster: str | None, name: str | None) -> str:
    """What the folder of a cluster is called: `"C0003", "Apis / bee"` -> `"C0003 Apis _ bee"`."""
    return safe_name(f"{cluster} {name}" if name else cluster) if cluster else NOT_CLUSTERED


def _in_order(one: Specimen) -> tuple[bool, str, str]:
    return one.cluster is None, one.cluster or "", one.id


def _plan(index: Host, specimens: Sequence[Specimen], names: dict[str, str]) -> list[Planned]:
    wishes = [f"{folder_of(one.cluster, names.get(one.cluster or ''))}/{file_name(one)}" for one in specimens]
    told = told_apart(wishes, [name_key(one.id) for one in specimens])
    return [Planned(one.id, name, *source_of(index, one)) for one, name in zip(specimens, told, strict=True)]


def _manifest(index: Host, there: Sequence[Planned], of: dict[str, Specimen], names: dict[str, str]) -> bytes:
    columns = label_columns(index.labels, reserved=_COLUMNS)
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow([*_COLUMNS, *columns.values()])
    for planned in there:
        one = of[planned.id]
        source = to_text(planned.source) if planned.source else None
        row: list[Any] = [planned.name, one.id, one.cluster, names.get(one.cluster or ""), one.probability, source]
        table.writerow([*row, *(one.labels.get(label) for label in columns)])
    return text.getvalue().encode()
