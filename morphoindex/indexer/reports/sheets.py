"""Contact sheets: the members of each cluster, those nearest to its middle first."""

from __future__ import annotations

import csv
import io
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from morphoindex.errors import UsageError
from morphoindex.indexer.cores import usable_cores
from morphoindex.indexer.host import Host, place
from morphoindex.indexer.labels import telling
from morphoindex.indexer.paths import to_text
from morphoindex.indexer.picture_folder import MANIFEST, claim, see_no_originals
from morphoindex.indexer.pictures import read_picture
from morphoindex.indexer.provenance import write_provenance
from morphoindex.indexer.report_results import FolderWritten
from morphoindex.indexer.reports.runs import clustering_of, in_words
from morphoindex.indexer.reports.sheet_drawing import (
    COLUMNS,
    PER_PAGE,
    TILE,
    Strip,
    Tile,
    draw_strips,
    draw_tiles,
    thumbnail,
)
from morphoindex.indexer.reports.tables import to_the_middle
from morphoindex.indexer.results import Refusal
from morphoindex.indexer.safe_names import safe_name
from morphoindex.indexer.settings import write_whole
from morphoindex.indexer.specimen import Specimen

OVERVIEW, MISSING = "overview", "missing.csv"
MOST = 2 * PER_PAGE
"""Members of a cluster that are shown, unless a person says otherwise."""
_STRIPS = 9  # clusters on a page of the overview
_FEWEST = 5  # members of a cluster that outliers are told of
_FENCE = 1.5  # Tukey's
_ROUNDING = 1e-6  # of a distance: copies of one picture are no outliers


@dataclass(frozen=True)
class _Shown:
    """A cluster: its members that are shown, nearest to the middle first, with their distances and whether outliers."""

    id: str
    name: str | None
    size: int
    label: str
    members: tuple[Specimen, ...]
    distances: tuple[float, ...]
    outliers: tuple[bool, ...]

    @property
    def title(self) -> str:
        return f"{self.id} {self.name}" if self.name else self.id

    def files(self) -> list[str]:
        """Names of its sheets: `C0003.jpg`, or `C0003-1.jpg`, `C0003-2.jpg`."""
        pages = -(-len(self.members) // PER_PAGE)
        stem = safe_name(self.title)
        return [f"{stem}.jpg"] if pages == 1 else [f"{stem}-{page + 1}.jpg" for page in range(pages)]


def write_sheets(
    index: Host,
    out: Path,
    only: Sequence[str] = (),
    most: int = MOST,
    force: bool = False,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> FolderWritten:
    """Draw contact sheets; see `Index.report_sheets`."""
    if most < 1:
        raise UsageError(f"most {most}: at least 1")
    shown = _clusters(index, only, most)
    if not shown:
        raise UsageError("nothing is in a cluster, so there is nothing to draw: `morphoindex cluster` first")
    other = "other clusters: name a new folder, or --force draws it anew"
    content = [(one.id, one.title, [member.id for member in one.members]) for one in shown]
    if force:
        see_no_originals(index, out, (one for some in index.collection.scroll() for one in some))
    claim(out, "report sheets", content, other, force)
    overviews = [f"{OVERVIEW}-{n + 1}.jpg" for n in range(-(-len(shown) // _STRIPS))] if len(shown) > 1 else []
    write_whole(out / MANIFEST, _manifest(shown, overviews))  # first: of a run that is stopped, too, --force knows
    missing = _draw(index, out, shown, overviews, report)
    (out / MISSING).unlink(missing_ok=True)
    if missing:
        write_whole(out / MISSING, _table(["cluster", "id", "path", "reason"], missing))
    run = clustering_of(index)
    parameters = {"clusters": list(only), "most": most}
    write_provenance(out, "report sheets", parameters, index.entry, clusters=len(shown), clustering=run)
    refused = tuple(Refusal(path, reason) for _, _, path, reason in missing)
    sheets = sum(len(one.files()) for one in shown)
    place = to_text(os.path.abspath(out))
    return FolderWritten("sheets", place, sheets + len(overviews), len(shown), 0, refused, _remarks(shown, overviews))


def _clusters(index: Host, only: Sequence[str], most: int) -> list[_Shown]:
    """The clusters to draw, large ones first."""
    names = index.collection.catalog.names()
    column = telling(index.labels)
    loaded = index.collection.load()
    rows: dict[str, list[int]] = {}
    for row, one in enumerate(loaded.specimens):
        if one.cluster and (not only or one.cluster in only):
            rows.setdefault(one.cluster, []).append(row)
    found = []
    for cluster in sorted(rows, key=lambda c: (-len(rows[c]), c)):
        distance = 1 - to_the_middle(loaded.matrix[rows[cluster]])
        order = np.argsort(distance, kind="stable")
        outlier = outliers(distance)
        kept = _kept(order, outlier, most)
        members = [loaded.specimens[rows[cluster][i]] for i in kept.tolist()]
        counts = Counter(loaded.specimens[row].labels.get(column or "") for row in rows[cluster])
        found.append(
            _Shown(
                cluster, names.get(cluster), len(order), _described(counts, len(order)), tuple(members),
                tuple(distance[kept].tolist()), tuple(outlier[kept].tolist()),
            )
        )  # fmt: skip
    return found


def outliers(distance: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which members lie far from the middle of their cluster, for that cluster: beyond Tukey's upper fence.

    `[0.1, 0.11, 0.12, 0.13, 0.5]` -> the last. None of fewer than five.

    Args:
        distance: float64 [n], to the middle.
    """
    if len(distance) < _FEWEST:
        return np.zeros(len(distance), bool)
    low, high = np.quantile(distance, [0.25, 0.75])
    far: NDArray[np.bool_] = distance > high + _FENCE * (high - low) + _ROUNDING
    return far


def _kept(order: NDArray[np.int64], outlier: NDArray[np.bool_], most: int) -> NDArray[np.int64]:
    """Those that are shown of a large cluster: its outliers, the farthest up to half of `most`, and the nearest."""
    if len(order) <= most:
        return order
    far = [i for i in order.tolist() if outlier[i]][-(most // 2) :] if most > 1 else []
    near = [i for i in order.tolist() if i not in set(far)][: most - len(far)]
    return np.array(near + far, np.int64)


def _described(counts: Counter[str | None], size: int) -> str:
    """The most frequent label: "Danaus plexippus 93 %"."""
    known = {value: n for value, n in counts.items() if value}
    if not known:
        return ""
    value = min(known, key=lambda v: (-known[v], v))
    return f"{value} {known[value] / size:.0%}"


def _draw(
    index: Host, out: Path, shown: Sequence[_Shown], overviews: Sequence[str], report: Callable[[int, int], None]
) -> list[tuple[str, str, str, str]]:
    """Draw all sheets; gives what could not be shown: cluster, id, path, reason."""
    missing: list[tuple[str, str, str, str]] = []
    total, done = sum(len(one.members) for one in shown), 0
    strips: list[Strip] = []
    under_all = f"{len(shown):,} clusters, {in_words(clustering_of(index))}. Of each the members nearest to its middle."
    with ThreadPoolExecutor(usable_cores(), thread_name_prefix="sheets") as pool:
        for number, one in enumerate(shown):
            read = pool.map(lambda member: read_picture(index, member, (TILE, TILE), thumbnail), one.members)
            tiles = []
            for tile, refusal, member in _tiles(index, one, read):
                tiles.append(tile)
                if refusal:
                    missing.append((one.id, member.id, refusal.path, refusal.reason))
            _draw_cluster(out, one, tiles)
            done += len(tiles)
            report(done, total)
            strips.append(Strip((one.title, f"{one.size:,} specimens", one.label), tuple(tiles[:COLUMNS])))
            if overviews and (len(strips) == _STRIPS or number + 1 == len(shown)):
                page = number // _STRIPS
                title = f"Clusters {page * _STRIPS + 1:,} to {number + 1:,}, from large to small"
                draw_strips(out / overviews[page], title, under_all, strips)
                strips = []
            index.pause()
    return missing


def _tiles(
    index: Host, one: _Shown, read: Iterator[NDArray[np.uint8] | Refusal]
) -> Iterator[tuple[Tile, Refusal | None, Specimen]]:
    for member, distance, far, pixels in zip(one.members, one.distances, one.outliers, read, strict=True):
        refused = pixels if isinstance(pixels, Refusal) else None
        path = place(index.roots, member)
        lines = (os.path.basename(path) if path else member.id, f"{distance:.3f}{'  outlier' if far else ''}")
        yield Tile(refused.reason if refused else pixels, lines, far), refused, member  # type: ignore[arg-type]


def _draw_cluster(out: Path, one: _Shown, tiles: Sequence[Tile]) -> None:
    files = one.files()
    far = sum(one.outliers)
    part = (
        f"{len(one.members):,} of {one.size:,} specimens" if len(one.members) < one.size else f"{one.size:,} specimens"
    )
    told = "below each picture its cosine distance to the middle of the cluster"
    words = [part, one.label, f"{far:,} outlier{'' if far == 1 else 's'}", told]
    for page, file in enumerate(files):
        sheet = f", sheet {page + 1} of {len(files)}" if len(files) > 1 else ""
        some = tiles[page * PER_PAGE : (page + 1) * PER_PAGE]
        draw_tiles(out / file, one.title + sheet, " · ".join(filter(None, words)), some)


def _manifest(shown: Sequence[_Shown], overviews: Sequence[str]) -> bytes:
    rows: list[tuple[object, ...]] = [(name, "", "", "", "", "") for name in overviews]
    for one in shown:
        for page, name in enumerate(one.files()):
            count = len(one.members[page * PER_PAGE : (page + 1) * PER_PAGE])
            rows.append((name, one.id, one.name, page + 1, count, one.size))
    return _table(["file", "cluster", "cluster_name", "page", "shown", "size"], rows)


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([columns, *rows])
    return text.getvalue().encode("utf-8", "backslashreplace")


def _remarks(shown: Sequence[_Shown], overviews: Sequence[str]) -> tuple[str, ...]:
    cut = [one for one in shown if len(one.members) < one.size]
    remarks = []
    if len(overviews) > 1:
        remarks.append(
            f"{len(shown):,} clusters are more than a sheet holds: overview-1.jpg to overview-{len(overviews)}.jpg "
            f"show {_STRIPS} each, and each cluster has a sheet of its own"
        )
    if cut:
        remarks.append(
            f"of {len(cut):,} clusters with more than {len(cut[0].members):,} members those nearest to the middle and "
            "the outliers are shown: --most N for more"
        )
    return tuple(remarks)
