"""A sample as a folder of its own: files, and tables that say what they are."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, get_args

from morphoindex.errors import UsageError
from morphoindex.indexer.descriptions.labels import telling
from morphoindex.indexer.files.safe_names import safe_name, told_apart, with_key
from morphoindex.indexer.folders.picture_folder import (
    MANIFEST,
    Files,
    Planned,
    claim,
    file_name,
    fill,
    name_key,
    source_of,
)
from morphoindex.indexer.host import Host
from morphoindex.indexer.paths import to_text
from morphoindex.indexer.results.sampling import SampleResult, WrittenSample
from morphoindex.indexer.tables.views import label_columns

Layout = Literal["flat", "imagefolder", "huggingface"]
UNLABELLED = "unlabelled"
METADATA = "metadata.jsonl"
_IMAGES = "images"  # folder of the files in the layout of Hugging Face
_COLUMNS = ("file", "id", "cluster", "source")
_KEY = 8  # digits


def write_sample(
    index: Host,
    chosen: SampleResult,
    out: Path,
    layout: Layout,
    files: Files,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> WrittenSample:
    """Put the files of a sample into a folder; see `Index.write_sample`."""
    if layout not in get_args(Layout) or files not in get_args(Files):
        raise UsageError(f"layout is one of {', '.join(get_args(Layout))}; files one of {', '.join(get_args(Files))}")
    if files == "none" and layout != "flat":
        raise UsageError(f"without files there is no layout {layout}: leave one of the two out")
    column = chosen.by or telling(index.labels)
    if layout == "imagefolder" and column is None:
        raise UsageError("imagefolder has a folder for each class, and no specimen has a label: `add --labels`")
    folders = _folders([one.labels.get(column) for one in chosen.selected] if column else [])
    planned = _plan(index, chosen, layout, {value: folder for folder, value in folders.items()}, column)
    content = [layout, [(one.name, one.id) for one in planned]]
    claim(out, "sample", content, "another sample: name a new folder, or delete that one first")
    filled = fill(out, planned, files, lambda there: _tables(index, chosen, there, layout, files), report, listing=True)
    laid = [one for one in filled.there if one.source and files != "none"]
    shown = {folder: value for folder, value in folders.items() if layout == "imagefolder"}
    place = to_text(os.path.abspath(out))
    return WrittenSample(place, layout, files, len(laid), filled.before, filled.missing, shown)


def _folders(values: Sequence[str | None]) -> dict[str, str | None]:
    """Folder → label value. A value that is no safe name as it stands gets a key, whatever else the sample holds."""
    there = sorted({value for value in values if value})
    keys = [hashlib.sha256(value.encode()).hexdigest() for value in there]
    safe = [safe_name(value) for value in there]
    wishes = [
        with_key(name, key[:_KEY]) if name != value or name.casefold() in (UNLABELLED, MANIFEST) else name
        for name, value, key in zip(safe, there, keys, strict=True)
    ]
    found: dict[str, str | None] = dict(zip(told_apart(wishes, keys), there, strict=True))
    return {**found, UNLABELLED: None} if len(there) < len(set(values)) else found


def _plan(
    index: Host, chosen: SampleResult, layout: Layout, folder_of: Mapping[str | None, str], column: str | None
) -> list[Planned]:
    specimens = index.collection.get([one.id for one in chosen.selected])
    wishes, found = [], []
    for one in chosen.selected:
        specimen = specimens.get(one.id)
        found.append(source_of(index, specimen) if specimen else (one.path, "it is no longer in the index"))
        above = {"flat": "", "huggingface": f"{_IMAGES}/"}.get(layout)
        if above is None:
            above = f"{folder_of[one.labels.get(column or '') or None]}/"
        wishes.append(above + file_name(specimen))
    ids = [one.id for one in chosen.selected]
    names = told_apart(wishes, [name_key(one) for one in ids])
    return [Planned(one, name, *file) for one, name, file in zip(ids, names, found, strict=True)]


def _tables(
    index: Host, chosen: SampleResult, there: Sequence[Planned], layout: Layout, files: Files
) -> dict[str, bytes]:
    """The tables of what is there, by the names of their files."""
    columns = label_columns(index.labels, reserved=(*_COLUMNS, "file_name"))
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow([*_COLUMNS, *columns.values()])
    lines = []
    selected = {one.id: one for one in chosen.selected}
    for planned in there:
        one, name = selected[planned.id], planned.name if planned.source and files != "none" else ""
        row = [name, one.id, one.cluster, to_text(planned.source) if planned.source else None]
        labels = [one.labels.get(label) for label in columns]
        table.writerow([*row, *labels])
        values = dict(zip((*_COLUMNS[1:], *columns.values()), (*row[1:], *labels), strict=True))
        if name:
            lines.append(json.dumps({"file_name": name, **values}, ensure_ascii=False) + "\n")
    tables = {MANIFEST: text.getvalue().encode()}
    return tables | {METADATA: "".join(lines).encode()} if layout == "huggingface" else tables
