"""The splits that an index keeps: lines of the journal, which only ever add to a split or begin it anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from morphoindex.errors import IndexDamaged
from morphoindex.indexer.holdings.journal import Journal
from morphoindex.indexer.results.splits import SplitPlan

EVENT = "split"


@dataclass(frozen=True)
class KeptSplit:
    """A split: how it was asked for, and the side of each specimen that was ever given one, by the side's name."""

    plan: SplitPlan
    sides: Mapping[str, str]


def read_splits(journal: Journal) -> dict[str, KeptSplit]:
    """The splits by name.

    Raises:
        IndexDamaged: a line of the journal is not what it should be.
    """
    plans: dict[str, SplitPlan] = {}
    sides: dict[str, dict[str, str]] = {}
    for line in journal.read():
        if line["event"] != EVENT:
            continue
        try:
            name = str(line["name"])
            if line["begins"]:
                plans[name], sides[name] = _plan(line["plan"]), {}
            for side, specimens in line["sides"].items():
                sides[name].update(dict.fromkeys(specimens, side))
        except (KeyError, TypeError, AttributeError) as error:
            raise IndexDamaged(
                f"a split in the journal cannot be read ({type(error).__name__}: {error}): restore it from a backup"
            ) from error
    return {name: KeptSplit(plan, sides[name]) for name, plan in plans.items()}


def append_split(
    journal: Journal, name: str, plan: SplitPlan, added: Mapping[str, Sequence[str]], begins: bool
) -> None:
    """Write down that specimens are on sides from now on; when this returns it is on the disk."""
    frame = {"plan": asdict(plan)} if begins else {}
    journal.append(EVENT, {"name": name, "begins": begins, **frame, "sides": added})


def _plan(table: Mapping[str, Any]) -> SplitPlan:
    frozen: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
    return SplitPlan(**frozen)
