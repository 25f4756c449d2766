"""identify: what a photograph shows, by the nearest named specimens, and whether it can be any of these."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from morphoindex.errors import UsageError
from morphoindex.indexer.cores import usable_cores
from morphoindex.indexer.descriptions.labels import CLUSTER_NAME
from morphoindex.indexer.descriptions.naming import Named, column_for, having_a_name, read_names
from morphoindex.indexer.encoding.reading import Candidate as File
from morphoindex.indexer.encoding.reading import Outcome, Reader, in_order
from morphoindex.indexer.holdings.collection import specimen_of
from morphoindex.indexer.host import place
from morphoindex.indexer.identification.calibration import AGREED, Learnt, last_learnt, learn
from morphoindex.indexer.lookup import resolve
from morphoindex.indexer.paths import to_text
from morphoindex.indexer.photographs.discovery import Found, discover
from morphoindex.indexer.results.common import Refusal, SearchResult
from morphoindex.indexer.results.identification import (
    Agreed,
    Candidate,
    Identified,
    IdentifyResult,
    Verdict,
)
from morphoindex.indexer.selection.identification import shares
from morphoindex.indexer.selection.together import numbered
from morphoindex.indexer.session import Session
from morphoindex.indexer.specimen import point_id
from morphoindex.indexer.storage.filters import Filter
from morphoindex.indexer.storage.qdrant import batches

MOST = 1000
"""The largest k."""
TRUSTED = 0.5
"""How often neighbours that agree on a rank must be right about it, for what has another name than they, to be told."""
_DIGITS = 6


@dataclass(frozen=True)
class _Query:
    """A photograph or specimen: its vector float32 [d], and its id where it is in the index; or why there is none."""

    name: str
    vector: NDArray[np.float32] | None
    specimen: str | None = None
    reason: str = ""


def identify(
    session: Session, targets: Iterable[str], k: int, label: str | None, groups: Sequence[str]
) -> IdentifyResult:
    """Names for photographs and specimens; see `Index.identify`."""
    if not 1 <= k <= MOST:
        raise UsageError(f"k {k}: between 1 and {MOST}")
    column = column_for(session.labels, label)
    files, specimens, refused = _resolve(session, targets)
    named = read_names(session, column, groups, session.entry.stamp_key)
    if not named.ids:
        what = "cluster with members has a name" if column == CLUSTER_NAME else f"specimen has a {column}"
        raise UsageError(
            f"no {what}: there is nothing to identify by. `morphoindex add --labels` gives specimens names, or name "
            "clusters and take `--label cluster_name`"
        )
    learnt = learn(session, named, k, groups)
    judge = _Judge(session, named, k, learnt)
    answers = []
    for query in _queries(session, files, specimens):
        if query.vector is None:
            refused.append(Refusal(query.name, query.reason))
        else:
            answers.append(judge.say(query, query.vector))
    return IdentifyResult(
        label=column, k=k, specimens=len(named.ids), names=len(set(named.names)),
        calibration=learnt.calibration, uncalibrated=learnt.too_few or None,
        identified=tuple(answers), refused=tuple(refused),
    )  # fmt: skip


def with_novelty(session: Session, k: int, ask: Callable[[int], SearchResult]) -> SearchResult:
    """A search result of k hits that says whether its query is like nothing that has a name, if that was calibrated.

    Args:
        session: the index.
        k: how many hits are wanted.
        ask: searches, for so many hits.
    """
    learnt = last_learnt(session)
    if k < 1 or learnt is None or learnt.calibration is None:
        return ask(k)
    found = ask(max(k, learnt.calibration.mean_of))
    if len(found.hits) < learnt.calibration.mean_of:
        return found
    near = learnt.nearness(np.array([hit.score for hit in found.hits]), [hit.id for hit in found.hits])
    return replace(found, hits=found.hits[:k], novel=near < learnt.calibration.novel_below)


class _Judge:
    """Asks the named specimens."""

    def __init__(self, session: Session, named: Named, k: int, learnt: Learnt) -> None:
        self._learnt = learnt
        self._session = session
        self._k = k
        self._name = dict(zip(named.ids, named.names, strict=True))
        self._ranks = {rank: dict(zip(named.ids, values, strict=True)) for rank, values in named.ranks.items()}
        self._where: Filter = having_a_name(session, named.column)

    def say(self, query: _Query, vector: NDArray[np.float32]) -> Identified:
        """What the nearest say of one vector [d]."""
        own = point_id(query.specimen) if query.specimen else None
        hits = self._session.collection.store.search(vector, self._k + (own is not None), self._where)
        near = [(specimen_of(hit), hit.score) for hit in hits if hit.id != own]
        near = [(specimen, cosine) for specimen, cosine in near if specimen.id in self._name][: self._k]
        cosines = np.array([[cosine for _, cosine in near]], np.float64).reshape(1, -1)
        names = [self._name[specimen.id] for specimen, _ in near]
        votes = shares(cosines, numbered(names)[None, :])[0]
        candidates: dict[str, Candidate] = {}
        for (specimen, cosine), name, share in zip(near, names, votes.tolist(), strict=True):
            where = place(self._session.roots, specimen)
            one = Candidate(name, round(share, _DIGITS), round(cosine, _DIGITS), specimen.id, where)
            candidates.setdefault(name, one)
        ordered = tuple(sorted(candidates.values(), key=lambda one: (-one.share, -one.cosine, one.name)))
        near_by = self._learnt.nearness(cosines[0], [specimen.id for specimen, _ in near])
        verdict = self._verdict(near_by) if near else None
        return Identified(
            query=query.name,
            specimen=query.specimen,
            named=self._name.get(query.specimen or ""),
            verdict=verdict,
            name=ordered[0].name if ordered and verdict != "novel" else None,
            share=ordered[0].share if ordered else 0.0,
            nearness=round(near_by, _DIGITS) if near else -1.0,
            nearest=ordered,
            ranks=tuple(self._agreed(cosines, [specimen.id for specimen, _ in near])),
        )

    def _verdict(self, near_by: float) -> Verdict | None:
        calibration = self._learnt.calibration
        if calibration is None:
            return None
        if near_by >= calibration.known_from:
            return "known"
        return "novel" if near_by < calibration.novel_below else "near"

    def _agreed(self, cosines: NDArray[np.float64], ids: Sequence[str]) -> Iterator[Agreed]:
        for rank, of in self._ranks.items():
            values = [of[one] for one in ids]
            votes = shares(cosines, numbered(values)[None, :])[0]
            winner = int(votes.argmax()) if len(votes) else 0
            value = values[winner] if values else None
            right = self._learnt.calibration.ranks[rank] if self._learnt.calibration else None
            if value is not None and votes[winner] >= AGREED and (right is None or right >= TRUSTED):
                yield Agreed(rank, value, round(float(votes[winner]), _DIGITS), right)


def _resolve(session: Session, targets: Iterable[str]) -> tuple[list[str], list[tuple[str, str]], list[Refusal]]:
    """Files; specimens as they were named, with their ids; and what lies in folders and lists but cannot be looked at.

    Raises:
        UsageError: what was named is neither there nor a specimen.
    """
    files: dict[str, None] = {}
    specimens: dict[str, str] = {}
    refused: dict[str, Refusal] = {}
    for target in targets:
        if not os.path.lexists(target) and not glob.has_magic(target):
            specimens.setdefault(target, _specimen(session, target))
            continue
        for found in discover([target]):
            if isinstance(found, Found):
                files.setdefault(found.path)
            else:
                text = to_text(found.path)
                refused.setdefault(text, Refusal(text, found.reason))
    if not files and not specimens and not refused:
        raise UsageError("say what to identify: photographs, folders or specimens of the index")
    return list(files), list(specimens.items()), list(refused.values())


def _specimen(session: Session, target: str) -> str:
    try:
        return resolve(session.collection, session.roots, target)
    except UsageError:
        if os.sep in target or os.path.splitext(target)[1]:
            raise UsageError(f"there is no file {to_text(target)}") from None
        raise


def _queries(session: Session, files: Sequence[str], specimens: Sequence[tuple[str, str]]) -> Iterator[_Query]:
    """The vectors, those of specimens from the store. The encoder is only loaded where a photograph is to be read."""
    for target, specimen in specimens:
        yield _of_specimen(session, to_text(target), specimen)
    if not files:
        return
    workers = usable_cores() if len(files) > 1 else 1
    encoder = session.encoder(workers)
    reader, known = Reader(encoder), session.collection.catalog.stamps(session.entry.stamp_key).keys()
    candidates = [File(path, "", to_text(path)) for path in files]
    pool = ThreadPoolExecutor(workers, thread_name_prefix="identify")
    try:
        for outcomes in in_order(
            pool, lambda bite: reader.outcomes(bite, known), batches(candidates, encoder.batch), workers * 3
        ):
            yield from (_of_file(session, outcome) for outcome in outcomes)
    finally:
        pool.shutdown(cancel_futures=True)


def _of_file(session: Session, outcome: Outcome) -> _Query:
    if outcome.reason:
        return _Query(outcome.candidate.text, None, reason=outcome.reason)
    if outcome.vector is None:  # the same bytes are in the index
        return _of_specimen(session, outcome.candidate.text, outcome.id)
    return _Query(outcome.candidate.text, outcome.vector)


def _of_specimen(session: Session, name: str, specimen: str) -> _Query:
    vector = session.collection.vector(specimen)
    reason = (
        "" if vector is not None else f"it has no vector of {session.entry.name}: `morphoindex reembed` gives it one"
    )
    return _Query(name, vector, specimen, reason)
