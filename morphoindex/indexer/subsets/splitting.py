"""split: sides of a data set that share nothing, kept with the index while it grows."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from morphoindex.errors import SplitLeaks, StoreError, UsageError
from morphoindex.indexer.descriptions.labels import RANKS
from morphoindex.indexer.descriptions.naming import label_named, value_of
from morphoindex.indexer.host import place
from morphoindex.indexer.paths import to_text
from morphoindex.indexer.results.duplicates import Comparing
from morphoindex.indexer.results.splits import (
    Bridged,
    ClosestPair,
    Grouped,
    HeldBack,
    LargeGroup,
    SplitPlan,
    SplitResult,
    SplitSide,
)
from morphoindex.indexer.selection.splitting import FREE, HELD, closest_across, deal, extend, leaks
from morphoindex.indexer.selection.together import numbered, united
from morphoindex.indexer.session import Session
from morphoindex.indexer.settings import write_whole
from morphoindex.indexer.subsets.groupings import Grouping, groupings
from morphoindex.indexer.subsets.splits import KeptSplit, append_split, read_splits
from morphoindex.indexer.tables.views import label_columns
from morphoindex.indexer.words import count

CERTIFICATE = "certificate.json"
_NAMES = {2: ("train", "test"), 3: ("train", "val", "test")}
_USABLE = re.compile(r"[\w.-]{1,60}")
_OFF = 2e-3  # by which the ratios may miss 1: thirds are written as 33.3/33.3/33.3
_ROUNDING = 1e-5  # of a cosine
_SHOWN = 5


@dataclass(frozen=True)
class Wish:
    """What a person asked for; None for what was not said. Fields as in `SplitPlan`."""

    ratios: str | Sequence[float] | None = None
    names: tuple[str, ...] | None = None
    by: str | None = None
    groups: tuple[str, ...] | None = None
    site: str | None = None
    night: bool | None = None
    seed: int | None = None


@dataclass(frozen=True)
class _Work:
    """Specimens [n] with a class, what they belong to, the sides they had and have."""

    ids: tuple[str, ...]
    labels: tuple[str | None, ...]
    reasons: tuple[Grouping, ...]
    before: NDArray[np.int64]
    sides: NDArray[np.int64]


def split(
    session: Session, wish: Wish, name: str, anew: bool, out: Path | None, dry_run: bool,
    report: Callable[[Comparing], None] = lambda done: None,
) -> SplitResult:  # fmt: skip
    """Make a split, or bring it up to the specimens there are; see `Index.split`."""
    if not _USABLE.fullmatch(name):
        raise UsageError(f"{name!r} cannot be the name of a split: letters, digits, _, - and . can")
    kept = None if anew else read_splits(session.journal).get(name)
    plan = _plan(wish, session.labels, kept.plan if kept else None)
    if kept is not None:
        _see_the_same(plan, kept.plan, name)
        plan = kept.plan
    if out is not None:
        _see_usable(out, plan)
    work = _divide(session, plan, kept, report)
    bridged = _see_no_leaks(session, plan, work, name)
    result = _result(session, name, plan, work, bridged, kept is None, dry_run)
    if not dry_run:
        fresh = {
            side: [work.ids[i] for i in np.flatnonzero((work.sides == number) & (work.before != number)).tolist()]
            for number, side in enumerate(plan.names)
        }
        if kept is None or any(fresh.values()):
            append_split(session.journal, name, plan, {side: some for side, some in fresh.items() if some}, not kept)
        if out is not None:
            _write(session, result, work, out)
    return result


# -- what was asked for ----------------------------------------------------------------------------------------------


def ratios_of(wished: str | Sequence[float]) -> tuple[float, ...]:
    """The shares, sum 1: "80/10/10" -> (0.8, 0.1, 0.1); (0.7, 0.3) -> (0.7, 0.3).

    Raises:
        UsageError: it is not two shares and more, above 0, that sum to 100 or to 1.
    """
    text = wished if isinstance(wished, str) else "/".join(f"{ratio:g}" for ratio in wished)
    try:
        parts = [float(part) for part in text.split("/")]
    except ValueError:
        raise UsageError(f"{text!r} are no shares: give such as 80/10/10") from None
    if len(parts) < 2 or not all(part > 0 and np.isfinite(part) for part in parts):
        raise UsageError(f"{text}: give two shares or more, all above 0, such as 80/20 or 80/10/10")
    total = sum(parts)
    whole = next((whole for whole in (100.0, 1.0) if abs(total / whole - 1) <= _OFF), None)
    if whole is None:
        raise UsageError(f"{text} comes to {total:g}: shares come to 100, such as 80/10/10")
    return tuple(part / total for part in parts)


def _plan(wish: Wish, labels: Sequence[str], kept: SplitPlan | None) -> SplitPlan:
    """What was asked for; what was not said is as in the split that is there, or as is usual."""
    if wish.ratios is None and kept is None:
        raise UsageError("there is no such split yet: say which shares, such as 80/10/10")
    ratios = ratios_of(wish.ratios) if wish.ratios is not None else kept.ratios if kept else ()
    by = wish.by
    if by is None:
        by = kept.by if kept else next((rank for rank in RANKS if rank in labels), None)
    night = wish.night if wish.night is not None else bool(kept and kept.night)
    groups, site = wish.groups, wish.site
    if site and not night:  # the whole site on one side
        groups, site = (*(groups or ()), site), None
    return SplitPlan(
        ratios=ratios,
        names=_side_names(wish.names or (kept.names if kept and len(kept.names) == len(ratios) else None), len(ratios)),
        by=label_named(labels, by, ()) if by else None,
        groups=groups if groups is not None else kept.groups if kept else (),
        site=site or (kept.site if kept else None),
        night=night,
        seed=wish.seed if wish.seed is not None else kept.seed if kept else 0,
    )


def _see_the_same(asked: SplitPlan, kept: SplitPlan, name: str) -> None:
    """Raises UsageError where another split than the one that is there was asked for."""

    def comparable(plan: SplitPlan) -> dict[str, object]:
        table = asdict(plan)
        return {**table, "ratios": [round(ratio, 6) for ratio in plan.ratios], "groups": sorted(plan.groups)}

    now, before = comparable(asked), comparable(kept)
    other = [what for what in now if now[what] != before[what]]
    if other:
        raise UsageError(
            f"the split {name!r} is there already, with other {' and '.join(other)}: `--name OTHER` makes one beside "
            "it; `--anew` draws it anew, and what was on one side may go to another"
        )


def _side_names(given: tuple[str, ...] | None, number: int) -> tuple[str, ...]:
    names = given or _NAMES.get(number)
    if names is None:
        raise UsageError(f"{number} shares need names: --names a,b,c,…")
    if len(names) != number:
        raise UsageError(f"{count(len(names), 'name')} for {count(number, 'share')}: {', '.join(names)}")
    wrong = [one for one in names if not _USABLE.fullmatch(one) or f"{one}.json" == CERTIFICATE]
    if wrong:
        raise UsageError(f"{wrong[0]!r} cannot be the name of a side: letters, digits, _, - and . can")
    if len({one.casefold() for one in names}) < number:
        raise UsageError(f"the sides need different names, not {', '.join(names)}")
    return names


# -- dividing --------------------------------------------------------------------------------------------------------


def _divide(session: Session, plan: SplitPlan, kept: KeptSplit | None, report: Callable[[Comparing], None]) -> _Work:
    """Give every specimen a side; the kept ones theirs."""
    label = value_of(session.labels, plan.by) if plan.by else "NULL"
    found = session.collection.catalog.query(
        f"SELECT id, {label} FROM specimen WHERE coalesce(sha256, '') = '' "
        "OR id IN (SELECT id FROM path WHERE state = 'present') ORDER BY id"
    ).rows
    ids = tuple(row[0] for row in found)
    labels = tuple(row[1] or None for row in found)
    if len(ids) < len(plan.ratios):
        raise UsageError(f"{count(len(ids), 'specimen is', 'specimens are')} too few for {len(plan.ratios)} sides")
    reasons = tuple(groupings(session, ids, plan.groups, plan.site, plan.night, report))
    number = {side: i for i, side in enumerate(plan.names)}
    sides_of = kept.sides if kept else {}
    before = np.array([number[sides_of[one]] if one in sides_of else FREE for one in ids], np.int64)
    rank = _rank(ids, plan.seed)
    sides = extend([reason.groups for reason in reasons], before, rank)
    free = sides == FREE
    units = united([np.where(free, reason.groups, -1) for reason in reasons], len(ids))
    if kept is None and units.max() + 1 < len(plan.ratios):
        raise UsageError(
            f"the specimens hang together in {count(int(units.max()) + 1, 'group')}, and {len(plan.ratios)} sides need "
            f"one each: by {', '.join(reason.by for reason in reasons)}"
        )
    classes = _classes(labels, united([reason.groups for reason in reasons], len(ids)))
    sides = deal(units, classes, sides, np.array(plan.ratios), rank)
    return _Work(ids, labels, reasons, before, sides)


def _classes(labels: Sequence[str | None], units: NDArray[np.int64]) -> NDArray[np.int64]:
    """A class for each label, and one for those without; one for all where no label has two groups."""
    classes = numbered(labels)
    if not _several(classes, units):
        return np.zeros(len(classes), np.int64)
    return np.where(classes < 0, classes.max(initial=-1) + 1, classes)


def _several(classes: NDArray[np.int64], units: NDArray[np.int64]) -> set[int]:
    """The classes, -1 left out, that are in several units."""
    pairs = np.unique(np.column_stack([classes, units])[classes >= 0], axis=0)
    present, counts = np.unique(pairs[:, 0], return_counts=True)
    return set(present[counts > 1].tolist())


def _rank(ids: Sequence[str], seed: int) -> NDArray[np.int64]:
    """A permutation that depends on each id and the seed alone: of any two the same one is first, whoever comes."""
    hashed = [hashlib.blake2b(f"{seed} {one}".encode(), digest_size=8).digest() for one in ids]
    rank = np.empty(len(ids), np.int64)
    rank[sorted(range(len(ids)), key=lambda i: (hashed[i], ids[i]))] = np.arange(len(ids))
    return rank


def _see_no_leaks(session: Session, plan: SplitPlan, work: _Work, name: str) -> list[Bridged]:
    """The groups that are on several sides by way of a specimen that is held back.

    Raises:
        SplitLeaks: others are, which can only be of specimens that had their sides.
    """
    found, bridged = found_leaks(work.reasons, work.sides)
    if found and (work.sides == HELD).any():  # who is left may belong together no longer
        kept = np.flatnonzero(work.sides >= 0)
        again = groupings(session, [work.ids[i] for i in kept.tolist()], plan.groups, plan.site, plan.night)
        direct, _ = found_leaks([reason for reason in again if reason.alone], work.sides[kept])
        found = [one for one in found if not one[2].alone]
        found += [(int(kept[a]), int(kept[b]), reason) for a, b, reason in direct]

    if found:
        files = _files(session, [work.ids[row] for a, b, _ in found[:_SHOWN] for row in (a, b)])

        def told(a: int, b: int) -> str:
            ends = ((work.ids[row], plan.names[work.sides[row]]) for row in (a, b))
            return " and ".join(f"{files.get(one) or one} ({side})" for one, side in ends)

        more = f", and {count(len(found) - _SHOWN, 'more group')}" if len(found) > _SHOWN else ""
        raise SplitLeaks(
            f"the split {name!r} leaks: what belongs together was put on different sides, before that was known: "
            f"{'; '.join(f'{told(a, b)} by {reason.by}' for a, b, reason in found[:_SHOWN])}{more}. Nothing was "
            "written. `--anew` draws the split anew; or `morphoindex remove` one of each, or correct what is said of "
            "them"
        )
    return [Bridged((work.ids[a], work.ids[b]), reason.by) for a, b, reason in bridged]


def found_leaks(
    reasons: Sequence[Grouping], sides: NDArray[np.int64]
) -> tuple[list[tuple[int, int, Grouping]], list[tuple[int, int, Grouping]]]:
    """Pairs on two sides, with the reason; and those that may belong together only by way of one that is held back.

    Args:
        reasons: of [n] specimens; sides: int64 [n].
    """
    found: list[tuple[int, int, Grouping]] = []
    bridged: list[tuple[int, int, Grouping]] = []
    for reason in reasons:
        links = set() if reason.alone else set(reason.groups[sides == HELD].tolist())
        for a, b in leaks(reason.groups, sides):
            (bridged if int(reason.groups[a]) in links else found).append((a, b, reason))
    return found, bridged


# -- what came of it -------------------------------------------------------------------------------------------------


def _result(
    session: Session, name: str, plan: SplitPlan, work: _Work, bridged: Sequence[Bridged], begins: bool, dry_run: bool
) -> SplitResult:
    sides, n = work.sides, len(work.ids)
    placed = sides >= 0
    units = united([np.where(placed, reason.groups, -1) for reason in work.reasons], n)
    closest = _closest(session, plan, work)
    classes = numbered(work.labels)
    single = set(classes[placed].tolist()) - _several(classes[placed], units[placed]) - {-1}
    entry = session.entry
    return SplitResult(
        name=name, version=version("morphoindex"), date=datetime.now(UTC).isoformat(timespec="seconds"),
        encoder=entry.name, fingerprint=entry.fingerprint, plan=plan, specimens=n,
        groups=len(np.unique(units[placed])),
        grouped=tuple(map(_grouped, work.reasons)),
        sides=tuple(_side(plan, work, units, number) for number in range(len(plan.names))),
        large=tuple(_large(plan, work, units)),
        one_group=tuple(sorted({str(work.labels[i]) for i in range(n) if classes[i] in single and placed[i]})),
        held_back=tuple(_held_back(session, [work.ids[i] for i in np.flatnonzero(sides == HELD).tolist()])),
        closest=closest, bridged=tuple(bridged), leaks=0, begun=begins, dry_run=dry_run,
    )  # fmt: skip


def _grouped(reason: Grouping) -> Grouped:
    sizes = np.bincount(reason.groups[reason.groups >= 0])
    sizes = sizes[sizes > 1]
    return Grouped(reason.by, len(sizes), int(sizes.sum()), reason.unknown)


def _side(plan: SplitPlan, work: _Work, units: NDArray[np.int64], number: int) -> SplitSide:
    here = np.flatnonzero(work.sides == number)
    counts = Counter(work.labels[i] for i in here.tolist())
    unlabelled = counts.pop(None, 0)
    return SplitSide(
        name=plan.names[number], ratio=plan.ratios[number],
        share=round(len(here) / max(1, int((work.sides >= 0).sum())), 6), specimens=len(here),
        added=int((work.before[here] != number).sum()), groups=len(np.unique(units[here])),
        labels={str(label): counts[label] for label in sorted(counts, key=str)},
        unlabelled=unlabelled if plan.by else len(here),
    )  # fmt: skip


def _large(plan: SplitPlan, work: _Work, units: NDArray[np.int64]) -> list[LargeGroup]:
    placed = np.flatnonzero(work.sides >= 0)
    _, first, sizes = np.unique(units[placed], return_index=True, return_counts=True)
    limit = max(1.0, min(plan.ratios) * len(placed))
    order = [i for i in np.argsort(-sizes, kind="stable").tolist() if sizes[i] > limit]
    one = placed[first]
    return [LargeGroup(int(sizes[i]), plan.names[work.sides[one[i]]], work.ids[one[i]]) for i in order]


def _held_back(session: Session, ids: Sequence[str]) -> list[HeldBack]:
    files = _files(session, ids)
    return [HeldBack(one, files[one]) for one in ids if one in files]


def _closest(session: Session, plan: SplitPlan, work: _Work) -> ClosestPair | None:
    """The closest pair across, by looking at all of them: also a second look at whether any copy went astray."""
    forest, row_of = session.graph(), {specimen: i for i, specimen in enumerate(work.ids)}
    rows = [row for row, key in enumerate(forest.keys) if key in row_of]
    at = np.array([row_of[forest.keys[row]] for row in rows], np.int64)
    pair = closest_across(np.asarray(forest.vectors)[rows], work.sides[at]) if rows else None
    if pair is None:
        return None
    ends = [int(at[pair[0]]), int(at[pair[1]])]
    names = (plan.names[work.sides[ends[0]]], plan.names[work.sides[ends[1]]])
    ids = (work.ids[ends[0]], work.ids[ends[1]])
    cosine = min(1.0, pair[2])
    for reason in work.reasons:
        known = min(reason.groups[ends[0]], reason.groups[ends[1]]) >= 0
        if reason.cosine is not None and known and cosine >= reason.cosine + _ROUNDING:
            raise SplitLeaks(
                f"{ids[0]} ({names[0]}) and {ids[1]} ({names[1]}) have a cosine of {cosine:.4f} and are on two sides, "
                f"against {reason.by}. Nothing was written. `--anew` draws the split anew"
            )
    files = _files(session, ids)
    return ClosestPair(round(cosine, 6), ids, names, (files.get(ids[0]), files.get(ids[1])))


def _files(session: Session, ids: Sequence[str]) -> dict[str, str | None]:
    """Where a file of each of these specimens is, None where it has none."""
    return {one: place(session.roots, specimen) for one, specimen in session.collection.get(ids).items()}


# -- files -----------------------------------------------------------------------------------------------------------


def _see_usable(out: Path, plan: SplitPlan) -> None:
    """Raises UsageError unless the folder is new, empty, or holds no more than a split of these sides."""
    if not out.exists():
        return
    own = {CERTIFICATE, *(f"{side}.csv" for side in plan.names)}
    if not out.is_dir() or not own.issuperset(entry.name.removesuffix(".new") for entry in out.iterdir()):
        raise UsageError(f"{out} is neither empty nor the folder of such a split: name a new one")


def _write(session: Session, result: SplitResult, work: _Work, out: Path) -> None:
    """A manifest for each side, then the certificate."""
    columns = label_columns(session.labels, reserved=("path", "id"))
    side_of = dict(zip(work.ids, work.sides.tolist(), strict=True))
    rows: list[list[list[str]]] = [[] for _ in result.sides]
    for some in session.collection.scroll():
        for one in some:
            side = side_of.get(one.id, FREE)
            if side >= 0:
                labels = [one.labels.get(label, "") for label in columns]
                rows[side].append([place(session.roots, one) or "", one.id, *labels])
    written: list[str] = []
    try:
        out.mkdir(parents=True, exist_ok=True)
        for side, own in zip(result.sides, rows, strict=True):
            text = io.StringIO(newline="")
            table = csv.writer(text)
            table.writerow(["path", "id", *columns.values()])
            table.writerows(sorted(own))
            write_whole(out / f"{side.name}.csv", text.getvalue().encode("utf-8", "surrogateescape"))
            written.append(f"{side.name}.csv")
        certificate = json.dumps(asdict(result), ensure_ascii=False, indent=2) + "\n"
        write_whole(out / CERTIFICATE, certificate.encode("utf-8", "surrogateescape"))
    except (OSError, StoreError) as error:
        done = f"{', '.join(written)} of it written" if written else "nothing of it written"
        raise UsageError(
            f"{to_text(os.fspath(out))}: {error}; the split is kept, and {done}: the same command again writes the rest"
        ) from error
