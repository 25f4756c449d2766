"""How near is near enough: learnt from the names of an index, and kept with it until these change."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from morphoindex.errors import StoreError
from morphoindex.indexer.descriptions.naming import Named
from morphoindex.indexer.results.identification import Calibration
from morphoindex.indexer.selection.duplicates import SAME_PICTURE
from morphoindex.indexer.selection.identification import (
    Apart,
    Measure,
    best_measure,
    density,
    nearest_apart,
    nearness,
    separate,
    shares,
)
from morphoindex.indexer.selection.together import numbered
from morphoindex.indexer.session import Session
from morphoindex.indexer.settings import write_whole
from morphoindex.indexer.words import count

if TYPE_CHECKING:
    from morphoindex.indexer.clustering.forest import ClusterForest

FOLDER = "calibration"
FEWEST_NAMES = 5
"""Names that have another specimen when one is left out, from which on there is a calibration."""
FEWEST_SPECIMENS = 30
"""Specimens of such names, likewise."""
AGREED = 0.8
"""The share of the vote from which on neighbours agree on a rank."""
_MOST = 8192  # specimens that are left out in turn; more would make it slower, and no better
_FEWEST_APART = 0.5  # share of the specimens that must have another of their name which is no copy
_LONG = 2e11  # multiplications that take some seconds
_DIGITS = 6
_VERDICTS = ("known", "near", "novel")


@dataclass(frozen=True)
class Learnt:
    """What an index has learnt from its names.

    Attributes:
        calibration: None where there were too few; `too_few` then says so in words.
        surroundings: specimen → the mean cosine to its nearest others.
    """

    calibration: Calibration | None
    too_few: str = ""
    surroundings: Mapping[str, float] = field(default_factory=dict)

    def nearness(self, cosines: NDArray[np.float64], ids: Sequence[str]) -> float:
        """How near some specimens are that lie at these cosines [k], nearest first; the mean where nothing is known."""
        found = self.calibration
        measure = Measure(found.mean_of, found.weight, found.typical) if found else Measure(max(len(ids), 1), 0, 0)
        around = np.array([[self.surroundings.get(one, measure.typical) for one in ids]], np.float64)
        return float(nearness(cosines[None, :], around.reshape(1, -1), measure)[0])


def learn(session: Session, named: Named, k: int, groups: Sequence[str]) -> Learnt:
    """How near is near enough for these names; from its file, where they are those of the last time.

    Args:
        session: the index.
        named: the names, and what `groups` come to.
        k: how many neighbours vote.
        groups: columns; see `Index.identify`.
    """
    key = json.dumps([session.entry.fingerprint, session.entry.name, named.column, k, *groups])
    name = hashlib.blake2b(key.encode(), digest_size=8).hexdigest()
    path = session.folder / FOLDER / f"{name}.npz"
    kept = _read(path)
    if kept and kept[0] == (key, named.digest):
        return kept[1]
    found = _learn(session, named, k, groups)
    _write(path, (key, named.digest), found)
    return found


def last_learnt(session: Session) -> Learnt | None:
    """What was learnt last about the encoder worked with, whatever has been named since; None where nothing was."""
    files = [(path.stat().st_mtime_ns, path) for path in (session.folder / FOLDER).glob("*.npz")]
    for _, path in sorted(files, reverse=True):
        kept = _read(path)
        if (
            kept
            and kept[1].calibration
            and json.loads(kept[0][0])[:2] == [session.entry.fingerprint, session.entry.name]
        ):
            return kept[1]
    return None


def _learn(session: Session, named: Named, k: int, groups: Sequence[str]) -> Learnt:
    taxa = numbered(named.names)
    if len(set(named.names)) < FEWEST_NAMES or len(taxa) < FEWEST_SPECIMENS:  # spares the graph
        return Learnt(None, _too_few(len(set(named.names)), len(taxa)))
    forest = session.graph()
    row_of = {key: row for row, key in enumerate(forest.keys)}
    rows = np.array([row_of[one] for one in named.ids])
    vectors = np.asarray(forest.vectors)[rows]
    queries = np.sort(np.random.default_rng(0).permutation(len(taxa))[:_MOST])
    if len(queries) * vectors.size > _LONG:
        session.say(
            f"learning from {count(len(taxa), 'name')} how near is near enough, until names change: some seconds"
        )
    apart, copies = _nearest_apart(vectors, taxa, named.groups, queries, k)
    names = len(np.unique(taxa[queries][apart.among]))
    if names < FEWEST_NAMES or apart.among.sum() < FEWEST_SPECIMENS:
        return Learnt(None, _too_few(names, int(apart.among.sum())))
    around = _surroundings(forest, rows, taxa, named.groups, copies)
    calibration = _calibration(apart, copies, around, taxa, queries, session.entry.name, named, k, tuple(groups))
    return Learnt(calibration, "", dict(zip(named.ids, around.tolist(), strict=True)))


def _nearest_apart(
    vectors: NDArray[np.float32], taxa: NDArray[np.int64], groups: NDArray[np.int64], queries: NDArray[np.int64], k: int
) -> tuple[Apart, float]:
    """The neighbours, without copies, which do not vouch for each other.

    With them where the encoder has most of a taxon as near to each other as copies.
    The second is the cosine from which on others are left out as copies, inf where none are.
    """
    found = nearest_apart(vectors, taxa, groups, queries, k, SAME_PICTURE)
    alone = np.where(groups < 0, np.arange(len(groups)) + groups.max(initial=0) + 1, groups)
    several = np.bincount(np.unique(np.column_stack([taxa, alone]), axis=0)[:, 0]) > 1
    if found.among.sum() >= _FEWEST_APART * several[taxa[queries]].sum():
        return found, SAME_PICTURE
    return nearest_apart(vectors, taxa, groups, queries, k, np.inf), np.inf


def _surroundings(
    forest: ClusterForest, rows: NDArray[np.int64], taxa: NDArray[np.int64], groups: NDArray[np.int64], alike: float
) -> NDArray[np.float64]:
    """The mean cosine of these rows of the forest to the nearest that are neither copies nor of their group."""
    own = np.full((2, len(forest)), -1, np.int64)
    own[:, rows] = taxa, groups
    near, far = forest.neighbours.near[rows], forest.neighbours.far[rows]
    cosines = np.where(near >= 0, 1 - far**2 / 2, -np.inf)
    copies = (own[0][near] == taxa[:, None]) & (cosines >= alike)
    grouped = (own[1][near] == groups[:, None]) & (groups >= 0)[:, None]
    return density(cosines, copies | grouped)


def _calibration(
    apart: Apart, copies: float, around: NDArray[np.float64], taxa: NDArray[np.int64], queries: NDArray[np.int64],
    encoder: str, named: Named, k: int, groups: tuple[str, ...],
) -> Calibration:  # fmt: skip
    known, near_known = apart.known[apart.among], around[apart.known_rows[apart.among]]
    novel, near_novel = apart.novel, around[apart.novel_rows]
    measure = best_measure(known, near_known, novel, near_novel, float(around.mean()))
    found = separate(nearness(known, near_known, measure), nearness(novel, near_novel, measure))
    ranks = {rank: _trust(numbered(values), queries, apart) for rank, values in named.ranks.items()}
    return Calibration(
        encoder=encoder, label=named.column, k=k, groups=groups, copies=copies if np.isfinite(copies) else None,
        mean_of=measure.mean_of, weight=measure.weight, typical=measure.typical,
        specimens=int(apart.among.sum()), names=len(np.unique(taxa[queries][apart.among])),
        auroc=round(found.auroc, _DIGITS), threshold=found.threshold, error=round(found.error, _DIGITS),
        known_from=found.known_from, novel_below=found.novel_below,
        known=_by_verdict(found.known), novel=_by_verdict(found.novel),
        accuracy=round(_accuracy(taxa, queries, apart), _DIGITS),
        ranks={rank: round(trust, _DIGITS) for rank, trust in ranks.items()},
    )  # fmt: skip


def _by_verdict(of: Sequence[float]) -> dict[str, float]:
    return {verdict: round(share, _DIGITS) for verdict, share in zip(_VERDICTS, of, strict=True)}


def _accuracy(taxa: NDArray[np.int64], queries: NDArray[np.int64], apart: Apart) -> float:
    """The share of votes that give the taxon, of queries whose taxon others have."""
    winner, _ = _vote(taxa, apart.known_rows, apart.known)
    return float((winner == taxa[queries])[apart.among].mean())


def _trust(values: NDArray[np.int64], queries: NDArray[np.int64], apart: Apart) -> float:
    """The share of votes, by others of other taxa, that give the value of a rank, where they agree on one."""
    winner, share = _vote(values, apart.novel_rows, apart.novel)
    agreed = (share >= AGREED) & (values[queries] >= 0)
    return float((winner == values[queries])[agreed].mean()) if agreed.any() else 0.0


def _vote(
    values: NDArray[np.int64], rows: NDArray[np.int64], cosines: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The value that wins for each query, int64 [q], and its share."""
    voting = np.where(rows >= 0, values[rows], -1)
    votes = shares(cosines, voting)
    first = votes.argmax(axis=1)[:, None]
    return np.take_along_axis(voting, first, axis=1)[:, 0], votes.max(axis=1)


def _too_few(names: int, specimens: int) -> str:
    return (
        f"not calibrated: known and novel can be told apart from {FEWEST_NAMES} names of two and more specimens on, "
        f"{FEWEST_SPECIMENS} specimens in all; here are {names} of {specimens}"
    )


def _read(path: Path) -> tuple[tuple[str, str], Learnt] | None:
    """What is in a file, and what it was learnt from; None where it is missing or damaged: it can be made again."""
    with suppress(OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile), np.load(path) as file:
        table: dict[str, Any] = json.loads(str(file["about"]))
        content = table["calibration"]
        calibration = Calibration(**{**content, "groups": tuple(content["groups"])}) if content else None
        around = dict(zip(file["ids"].tolist(), file["surroundings"].tolist(), strict=True))
        return (table["key"], table["digest"]), Learnt(calibration, table["too_few"], around)
    return None


def _write(path: Path, of: tuple[str, str], found: Learnt) -> None:
    content = vars(found.calibration) if found.calibration else None
    about = {"key": of[0], "digest": of[1], "calibration": content, "too_few": found.too_few}
    buffer = io.BytesIO()
    np.savez(
        buffer, about=json.dumps(about, ensure_ascii=False), ids=np.array([*found.surroundings], dtype=str),
        surroundings=np.array([*found.surroundings.values()], np.float64),
    )  # fmt: skip
    try:
        path.parent.mkdir(exist_ok=True)
    except OSError as error:
        raise StoreError(f"{path.parent} cannot be made: {error.strerror or error}") from error
    write_whole(path, buffer.getvalue())
