"""Contact sheets: the members of each cluster, those nearest to its middle first; and what is in none."""

from __future__ import annotations

import csv
import io
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from morphoindex.errors import UsageError
from morphoindex.indexer.clusters.suggesting import suggested
from morphoindex.indexer.cores import usable_cores
from morphoindex.indexer.descriptions.labels import telling
from morphoindex.indexer.files.provenance import write_provenance
from morphoindex.indexer.files.safe_names import safe_name
from morphoindex.indexer.folders.picture_folder import MANIFEST, claim, see_no_originals
from morphoindex.indexer.holdings.collection import Vectors
from morphoindex.indexer.host import Host, place
from morphoindex.indexer.paths import to_text
from morphoindex.indexer.repeats.pictures import read_picture
from morphoindex.indexer.reports.folders import NOT_CLUSTERED
from morphoindex.indexer.reports.runs import clustering_of, in_words
from morphoindex.indexer.reports.sheet_drawing import (
    COLUMNS,
    PER_PAGE,
    TILE,
    Strip,
    Tile,
    captions,
    draw_strips,
    draw_tiles,
    thumbnail,
)
from morphoindex.indexer.reports.tables import to_the_middle
from morphoindex.indexer.results.common import Refusal
from morphoindex.indexer.results.reports import FolderWritten
from morphoindex.indexer.settings import write_whole
from morphoindex.indexer.specimen import Specimen
from morphoindex.indexer.words import count

OVERVIEW, MISSING = "overview", "missing.csv"
MOST = 2 * PER_PAGE
"""Members of a cluster that are shown, unless a person says otherwise."""
_STRIPS = 9  # clusters on a page of the overview
_FEWEST = 5  # members of a cluster that outliers are told of
_FENCE = 1.5  # Tukey's
_BLOCK = 4096  # specimens that are compared with all clusters at once
_ROUNDING = 1e-6  # of a distance: copies of one picture are no outliers


@dataclass(frozen=True)
class _Shown:
    """A cluster: its members that are shown, nearest to the middle first, with their distances and whether outliers.

    Or what is in none, farthest from every cluster first, each with the cluster that is `suggested` for it and how
    likely that is, None where no neighbour leads to any; the id is empty then.
    """

    id: str
    name: str | None
    size: int
    label: str
    members: tuple[Specimen, ...]
    distances: tuple[float, ...]
    outliers: tuple[bool, ...]
    suggested: tuple[tuple[str, float] | None, ...] = ()

    @property
    def title(self) -> str:
        return (f"{self.id} {self.name}" if self.name else self.id) or "Not clustered"

    @property
    def told(self) -> str:
        """What is said of the distances below the pictures."""
        if self.id:
            return "below each picture its cosine distance to the middle of the cluster"
        return (
            "below each picture its cosine distance to the nearest middle of a cluster, the farthest first; "
            "then where it may belong, and how likely that is"
        )

    def files(self) -> list[str]:
        """Names of its sheets: `C0003.jpg`, or `C0003-1.jpg`, `C0003-2.jpg`."""
        pages = -(-len(self.members) // PER_PAGE)
        stem = safe_name(self.title) if self.id else NOT_CLUSTERED
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
    shown = _shown(index, only, most)
    clusters = sum(1 for one in shown if one.id)
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
    write_provenance(out, "report sheets", parameters, index.entry, clusters=clusters, clustering=run)
    refused = tuple(Refusal(path, reason) for _, _, path, reason in missing)
    sheets = sum(len(one.files()) for one in shown)
    place = to_text(os.path.abspath(out))
    return FolderWritten("sheets", place, sheets + len(overviews), clusters, 0, refused, _remarks(shown, overviews))


def _shown(index: Host, only: Sequence[str], most: int) -> list[_Shown]:
    """The clusters to draw, large ones first, then what is in none."""
    loaded = index.collection.load()
    rows: dict[str | None, list[int]] = {}
    for row, one in enumerate(loaded.specimens):
        rows.setdefault(one.cluster, []).append(row)
    none = rows.pop(None, [])
    if not rows:
        raise UsageError("nothing is in a cluster, so there is nothing to draw: `morphoindex cluster` first")
    names, column = index.collection.catalog.names(), telling(index.labels)
    order = sorted(rows, key=lambda c: (-len(rows[c]), c or ""))
    found = [
        _cluster(loaded, rows[cluster], names.get(cluster or ""), column, most)
        for cluster in order
        if not only or cluster in only
    ]
    if none and (not only or NOT_CLUSTERED in only):
        found.append(_unclustered(loaded, none, [rows[cluster] for cluster in order], suggested(index), most))
    if not found:
        raise UsageError("every specimen is in a cluster, so there is no sheet of what is in none")
    return found


def _cluster(loaded: Vectors, rows: Sequence[int], name: str | None, column: str | None, most: int) -> _Shown:
    distance = 1 - to_the_middle(loaded.matrix[rows])
    order = np.argsort(distance, kind="stable")
    outlier = outliers(distance)
    kept = _kept(order, outlier, most)
    members = tuple(loaded.specimens[rows[i]] for i in kept.tolist())
    return _Shown(
        members[0].cluster or "", name, len(rows), _described(loaded, rows, column), members,
        tuple(distance[kept].tolist()), tuple(outlier[kept].tolist()),
    )  # fmt: skip


def _unclustered(
    loaded: Vectors,
    rows: Sequence[int],
    clusters: Sequence[Sequence[int]],
    likely: Mapping[str, tuple[str, float]],
    most: int,
) -> _Shown:
    """What is in no cluster, those first that are farthest from the middle of every cluster."""
    middles = np.stack([loaded.matrix[members].sum(axis=0, dtype=np.float64) for members in clusters])
    middles /= np.maximum(np.linalg.norm(middles, axis=1, keepdims=True), 1e-9)
    distance = np.empty(len(rows))
    for start in range(0, len(rows), _BLOCK):
        part = slice(start, start + _BLOCK)
        similarity = loaded.matrix[rows[part]].astype(np.float64) @ middles.T
        distance[part] = 1 - similarity.max(axis=1).clip(-1, 1)
    kept = np.argsort(-distance, kind="stable")[:most]
    members = tuple(loaded.specimens[rows[i]] for i in kept.tolist())
    return _Shown(
        "", None, len(rows), "", members, tuple(distance[kept].tolist()), (False,) * len(kept),
        tuple(likely.get(member.id) for member in members),
    )  # fmt: skip


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


def _described(loaded: Vectors, rows: Sequence[int], column: str | None) -> str:
    """The most frequent label: "Danaus plexippus 93 %"."""
    counts = Counter(value for row in rows if column and (value := loaded.specimens[row].labels.get(column)))
    if not counts:
        return ""
    value = min(counts, key=lambda v: (-counts[v], v))
    return f"{value} {counts[value] / len(rows):.0%}"


def _draw(
    index: Host, out: Path, shown: Sequence[_Shown], overviews: Sequence[str], report: Callable[[int, int], None]
) -> list[tuple[str, str, str, str]]:
    """Draw all sheets; gives what could not be shown: cluster, id, path, reason."""
    missing: list[tuple[str, str, str, str]] = []
    total, done = sum(len(one.members) for one in shown), 0
    strips: list[Strip] = []
    clusters = sum(1 for one in shown if one.id)
    under_all = (
        f"{count(clusters, 'cluster')}, {in_words(clustering_of(index))}. Of each the members nearest to its middle."
    )
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
            strips.append(Strip((one.title, count(one.size, "specimen"), one.label), tuple(tiles[:COLUMNS])))
            if overviews and (len(strips) == _STRIPS or number + 1 == len(shown)):
                page = number // _STRIPS
                draw_strips(out / overviews[page], _heading(page, min(clusters, number + 1), one), under_all, strips)
                strips = []
            index.pause()
    return missing


def _heading(page: int, end: int, last: _Shown) -> str:
    """Of a page of the overview: "Clusters 10 to 14, from large to small, and what is in none"."""
    begin = page * _STRIPS + 1
    if begin > end:
        return "What is in no cluster"
    numbers = f"Clusters {begin:,} to {end:,}, from large to small" if begin < end else f"Cluster {begin:,}"
    return numbers + ("" if last.id else ", and what is in none")


def _tiles(
    index: Host, one: _Shown, read: Iterator[NDArray[np.uint8] | Refusal]
) -> Iterator[tuple[Tile, Refusal | None, Specimen]]:
    notes = ["  outlier" if far else "" for far in one.outliers]
    if not one.id:
        notes = [f"  {likely[0]} {likely[1]:.0%}" if likely else "" for likely in one.suggested]
    paths = [place(index.roots, member) for member in one.members]
    names = captions([os.path.basename(p) if p else member.id for p, member in zip(paths, one.members, strict=True)])
    for member, name, distance, far, note, pixels in zip(
        one.members, names, one.distances, one.outliers, notes, read, strict=True
    ):
        refused = pixels if isinstance(pixels, Refusal) else None
        lines = (name, f"{distance:.3f}{note}")
        yield Tile(refused.reason if refused else pixels, lines, far), refused, member


def _draw_cluster(out: Path, one: _Shown, tiles: Sequence[Tile]) -> None:
    files = one.files()
    far = sum(one.outliers)
    part = f"{len(one.members):,} of " if len(one.members) < one.size else ""
    judged = one.id and one.size >= _FEWEST
    told_of = (count(far, "outlier") if far else "no outlier") if judged else ""
    words = [part + count(one.size, "specimen"), one.label, told_of, one.told]
    for page, file in enumerate(files):
        sheet = f", sheet {page + 1} of {len(files)}" if len(files) > 1 else ""
        some = tiles[page * PER_PAGE : (page + 1) * PER_PAGE]
        draw_tiles(out / file, one.title + sheet, " · ".join(filter(None, words)), some)


def _manifest(shown: Sequence[_Shown], overviews: Sequence[str]) -> bytes:
    rows: list[tuple[object, ...]] = [(name, "", "", "", "", "") for name in overviews]
    for one in shown:
        for page, name in enumerate(one.files()):
            number = len(one.members[page * PER_PAGE : (page + 1) * PER_PAGE])
            rows.append((name, one.id, one.name, page + 1, number, one.size))
    return _table(["file", "cluster", "cluster_name", "page", "shown", "size"], rows)


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([columns, *rows])
    return text.getvalue().encode("utf-8", "backslashreplace")


def _remarks(shown: Sequence[_Shown], overviews: Sequence[str]) -> tuple[str, ...]:
    cut = [one for one in shown if len(one.members) < one.size and one.id]
    none = [one for one in shown if len(one.members) < one.size and not one.id]
    clusters = sum(1 for one in shown if one.id)
    remarks = []
    if len(overviews) > 1:
        remarks.append(
            f"{clusters:,} clusters are more than a sheet holds: overview-1.jpg to overview-{len(overviews)}.jpg "
            f"show {_STRIPS} each, and each cluster has a sheet of its own"
        )
    if cut:
        remarks.append(
            f"of {count(len(cut), 'cluster')} with more than {len(cut[0].members):,} members those nearest to the "
            "middle and the outliers are shown: --most N for more"
        )
    if none:
        remarks.append(
            f"specimens in no cluster: {len(none[0].members):,} of {none[0].size:,} are shown, the farthest from every "
            "cluster: --most N for more"
        )
    return tuple(remarks)
