"""The encounters of an index: worked out anew where something changed, and kept in the catalog.

They are derived from the captures and vectors that the store has, and from the settings in `index.toml`. What a camera
takes without a pause longer than the rule reaches is a session; no encounter goes over the edge of one. A session whose
specimens, captures, vectors and rule are as they were is not looked at again.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from morphoindex.errors import UsageError
from morphoindex.indexer.host import Host, place
from morphoindex.indexer.results.encounters import CameraDay, Encounter, EncounterResult
from morphoindex.indexer.selection.encounters import NONE, Rule, Sightings, encounters, sessions
from morphoindex.indexer.specimen import point_id

_AT_ONCE = 8192  # specimens whose vectors are fetched together; more where a session has more
_FETCHED = 1024
_VERSION = 1  # of the kernel: where it comes to other results than before, what is kept of before does not count
_FIELDS = ("time", "camera", "frame", "crop_number", "x1", "y1", "x2", "y2")
_TIMED = "length(time) > length('2024-05-01')"  # under a date alone all images of a day would be of one moment


@dataclass(frozen=True)
class _Seen:
    """A specimen with a time and a vector, and all that its encounter depends on."""

    id: str
    seconds: float
    camera: str
    frame: str | None
    box: tuple[Any, ...]  # what tells it from others in the frame
    centre: tuple[float, float]
    made_of: str


def rule_of(index: Host) -> Rule:
    """The rule that the index goes by."""
    return replace(Rule(), **{k: v for k, v in index.encounter_settings.items() if k in vars(Rule())})


def changed_rule(index: Host, changes: Mapping[str, float | None]) -> Rule:
    """The rule that the index goes by, with changes; None leaves a value as it is.

    Raises:
        UsageError: a value is not one of those allowed.
    """
    rule = replace(rule_of(index), **{name: float(v) for name, v in changes.items() if v is not None})
    if not -1 <= rule.similarity <= 1:
        raise UsageError(
            f"similarity {rule.similarity:g}: a cosine lies between -1 and 1; {Rule.similarity} is the default"
        )
    for name, unit in (("distance", "pixels"), ("gap", "seconds"), ("quick_gap", "seconds")):
        if not 0 <= getattr(rule, name) < float("inf"):
            raise UsageError(
                f"{name} {getattr(rule, name):g}: {unit}, 0 or more; {getattr(Rule, name):g} is the default"
            )
    return rule


def any_times(index: Host) -> bool:
    """Whether any specimen has a time, without which there are no encounters to count."""
    return bool(index.collection.catalog.query(f"SELECT 1 FROM specimen WHERE {_TIMED} LIMIT 1").rows)


def encounter_groups(index: Host, ids: Sequence[str]) -> NDArray[np.int64]:
    """A number for each of these specimens, the same for those of one encounter, -1 for those in none. O(n).

    Args:
        index: an open index, which is brought up to date.
        ids: [n] of specimens.
    """
    of = encounters_by_specimen(index)
    number: dict[str, int] = {}
    found = [number.setdefault(of[i], len(number)) if i in of else NONE for i in ids]
    return np.array(found, np.int64)


def encounters_by_specimen(index: Host) -> dict[str, str]:
    """The encounter of each specimen that is in one, by id, brought up to date. Empty where nothing has a time."""
    refresh(index)
    found = index.collection.catalog.query(
        f"SELECT id, encounter FROM encounter WHERE id IN (SELECT id FROM specimen WHERE {_TIMED})"
    )
    return dict(found.rows)


def count_encounters(index: Host) -> int | None:
    """How many encounters there are, brought up to date; None where nothing has a time."""
    return len(set(encounters_by_specimen(index).values())) if any_times(index) else None


def refresh(index: Host) -> None:
    """Bring the encounters in the catalog up to date. Where they are, that takes one query over the captures."""
    catalog, rule = index.collection.catalog, rule_of(index)
    made_of = _made_of(index, rule)
    if catalog.encounters_made_of() == made_of:
        return
    has = dict(catalog.query("SELECT id, session FROM encounter").rows)
    whole = Counter(has.values())
    seen = _sightings(index)
    stale: list[list[_Seen]] = []
    names: list[str] = []
    for session in _sessions(seen, rule):
        name = _name(session, rule)
        if whole[name] != len(session):  # else it is as it was
            stale.append(session)
            names.append(name)
    rows = [row for batch in _batches(stale, names) for row in _worked_out(index, batch, rule)]
    gone = list(has.keys() - {one.id for one in seen})
    catalog.put_encounters(rows, gone, made_of)


def list_encounters(index: Host, rule: Rule, dry_run: bool) -> EncounterResult:
    """All encounters by a rule; see `Index.encounters`. In a dry run they are worked out anew, and not kept."""
    start = time.perf_counter()
    catalog = index.collection.catalog
    seen = _sightings(index)
    of = _anew(index, seen, rule) if dry_run else encounters_by_specimen(index)
    groups: dict[str, list[_Seen]] = defaultdict(list)
    for one in seen:  # in order of camera and time
        groups[of[one.id]].append(one)
    rows = catalog.query(f"SELECT id, time, camera, cluster FROM specimen WHERE {_TIMED}").rows
    told = {row[0]: row[1:] for row in rows}
    found = [_encounter(name, members, told) for name, members in groups.items()]
    found.sort(key=lambda one: (-one.images, one.start, one.id))
    total = catalog.specimens()
    return EncounterResult(
        **asdict(rule),
        specimens=total,
        images=len(seen),
        encounters=_with_paths(index, found),
        days=_days(found),
        without_time=total - len(told),
        without_vector=len(told) - len(seen),
        without_camera=sum(camera is None for _, camera, _ in told.values()),
        without_place=sum(math.isnan(one.centre[0]) for one in seen),
        seconds=round(time.perf_counter() - start, 3),
        dry_run=dry_run,
    )


def problems(index: Host) -> Iterator[str]:
    """In words, where the encounters in the catalog are not what the captures and vectors give."""
    catalog, rule = index.collection.catalog, rule_of(index)
    if catalog.encounters_made_of() != _made_of(index, rule):
        return  # behind, and not yet asked for
    has = set(catalog.query("SELECT id, encounter FROM encounter").rows)
    should = set(_anew(index, _sightings(index), rule).items())
    for specimen, encounter in sorted(has - should):
        yield f"encounter in the catalog only: {specimen} in {encounter}"
    for specimen, encounter in sorted(should - has):
        yield f"encounter not in the catalog: {specimen} in {encounter}"


def _anew(index: Host, seen: Sequence[_Seen], rule: Rule) -> dict[str, str]:
    """The encounter of each specimen, whatever is kept."""
    whole = list(_sessions(seen, rule))
    batches = _batches(whole, [""] * len(whole))
    return {specimen: encounter for batch in batches for specimen, encounter, _ in _worked_out(index, batch, rule)}


def _made_of(index: Host, rule: Rule) -> str:
    """What all encounters depend on, in short. Where another DuckDB hashes otherwise, they are worked out once more."""
    key = index.collection.stamp_key
    count, digest = index.collection.catalog.query(
        f"SELECT count(*), bit_xor(hash(specimen.id, {', '.join(_FIELDS)}, stamp)) FROM specimen LEFT JOIN "
        f"(SELECT id, stamp FROM stamp WHERE key = ?) AS stamped USING (id) WHERE {_TIMED}", key,
    ).rows[0]  # fmt: skip
    return json.dumps([_VERSION, asdict(rule), key, count, str(digest)]) if count else ""


def _sightings(index: Host) -> list[_Seen]:
    """Specimens that have a time and a vector of the current encoder, in order of camera, time and id."""
    catalog, key = index.collection.catalog, index.collection.stamp_key
    stamps = catalog.stamps(key)
    found = catalog.query(f"SELECT id, {', '.join(_FIELDS)} FROM specimen WHERE {_TIMED}")
    seen = []
    for row in found.rows:
        specimen, when, camera, frame, number, *edges = row
        seconds = _seconds(when)
        if specimen not in stamps or seconds is None:
            continue
        known = None not in edges
        centre = ((edges[0] + edges[2]) / 2, (edges[1] + edges[3]) / 2) if known else (math.nan, math.nan)
        box = (number,) if number is not None else tuple(edges) if known else (specimen,)
        made_of = json.dumps([*row, stamps[specimen]])
        seen.append(_Seen(specimen, seconds, camera or "", frame, box, centre, made_of))
    return sorted(seen, key=lambda one: (one.camera, one.seconds, one.id))


def _seconds(when: str) -> float | None:
    """Seconds by the camera's own clock: an offset is passed over, since some images of a camera may have none."""
    try:
        return datetime.fromisoformat(when).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


def _sessions(seen: Sequence[_Seen], rule: Rule) -> Iterator[list[_Seen]]:
    cameras = _numbers([one.camera for one in seen])
    starts = sessions(cameras, np.array([one.seconds for one in seen]), rule.reach).tolist()
    for start, stop in zip(starts, [*starts, len(seen)][1:], strict=True):
        yield list(seen[start:stop])


def _name(session: Sequence[_Seen], rule: Rule) -> str:
    """A hash of all that the encounters of a session depend on."""
    digest = hashlib.blake2b(json.dumps([_VERSION, asdict(rule)]).encode(), digest_size=12)
    for one in session:
        digest.update(one.made_of.encode())
    return digest.hexdigest()


def _batches(found: Sequence[list[_Seen]], names: Sequence[str]) -> Iterator[list[tuple[list[_Seen], str]]]:
    """Whole sessions with their names, some thousand specimens together."""
    batch: list[tuple[list[_Seen], str]] = []
    size = 0
    for session, name in zip(found, names, strict=True):
        batch.append((session, name))
        size += len(session)
        if size >= _AT_ONCE:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _worked_out(index: Host, batch: Sequence[tuple[list[_Seen], str]], rule: Rule) -> list[tuple[str, str, str]]:
    """(specimen, encounter, session) for whole sessions with their names."""
    seen = [one for session, _ in batch for one in session]
    # A frame is that of a moment: cameras begin anew with the numbers of their files.
    frames = [(one.camera, one.seconds, one.frame) if one.frame is not None else None for one in seen]
    labels = encounters(
        Sightings(
            vectors=_vectors(index, [one.id for one in seen], several=len(seen) > len(batch)),
            seconds=np.array([one.seconds for one in seen]),
            cameras=_numbers([one.camera for one in seen]),
            centres=np.array([one.centre for one in seen], np.float64).reshape(-1, 2),
            frames=_numbers(frames),
            boxes=_numbers([(frame, one.box) for frame, one in zip(frames, seen, strict=True)]),
        ),
        rule,
    ).tolist()
    first: dict[int, str] = {}
    for label, one in zip(labels, seen, strict=True):
        first.setdefault(label, one.id)
    sessions_of = [name for session, name in batch for _ in session]
    return [(one.id, first[label], name) for one, label, name in zip(seen, labels, sessions_of, strict=True)]


def _vectors(index: Host, ids: Sequence[str], several: bool) -> NDArray[np.float32]:
    """float32 [n, d] in the order of the ids; where each is a session of its own, none is needed and all are zero."""
    found = np.zeros((len(ids), 1), np.float32)
    if not several:
        return found
    rows = {point_id(specimen): row for row, specimen in enumerate(ids)}
    points = list(rows)
    for start in range(0, len(points), _FETCHED):
        for point in index.collection.store.retrieve(points[start : start + _FETCHED], vectors=True):
            if point.vector is not None:
                if found.shape[1] == 1:
                    found = np.zeros((len(ids), len(point.vector)), np.float32)
                found[rows[point.id]] = point.vector
    return found


def _numbers(values: Sequence[Any]) -> NDArray[np.int64]:
    """A number for each value in the order met, NONE for None: `["a", None, "b", "a"]` -> `[0, -1, 1, 0]`."""
    number: dict[Any, int] = {}
    return np.array([NONE if v is None else number.setdefault(v, len(number)) for v in values], np.int64)


def _encounter(name: str, members: Sequence[_Seen], told: Mapping[str, Sequence[Any]]) -> Encounter:
    (start, camera, _), (end, _, _) = told[members[0].id], told[members[-1].id]
    clusters = Counter(cluster for one in members if (cluster := told[one.id][2]))
    frequent = tuple(sorted(clusters, key=lambda cluster: (-clusters[cluster], cluster)))
    ids = tuple(one.id for one in members)
    return Encounter(name, camera, start, end, len(members), frequent, "", ids)


def _with_paths(index: Host, found: Sequence[Encounter]) -> tuple[Encounter, ...]:
    paths = dict[str, str]()
    ids = [one.id for one in found]
    for start in range(0, len(ids), _FETCHED):
        for specimen in index.collection.get(ids[start : start + _FETCHED]).values():
            paths[specimen.id] = place(index.roots, specimen) or specimen.id
    return tuple(replace(one, path=paths.get(one.id, one.id)) for one in found)


def _days(found: Sequence[Encounter]) -> tuple[CameraDay, ...]:
    images: Counter[tuple[str, str]] = Counter()
    counted: Counter[tuple[str, str]] = Counter()
    for one in found:
        key = (one.camera or "", one.start[:10])
        images[key] += one.images
        counted[key] += 1
    return tuple(
        CameraDay(camera or None, day, images[camera, day], counted[camera, day]) for camera, day in sorted(counted)
    )
