"""Numbers and lists as a person reads them."""

from __future__ import annotations

from collections.abc import Iterable


def count(number: int, one: str, several: str = "") -> str:
    """A number and its noun: `1, "specimen"` -> `1 specimen`, `1200, "box", "boxes"` -> `1,200 boxes`."""
    return f"{number:,} {one if number == 1 else several or one + 's'}"


def listed(words: Iterable[str]) -> str:
    """Words in a row: `a, b, c` -> "a, b and c"; of more than four the first three."""
    several = list(words)
    if len(several) > 4:
        return f"{', '.join(several[:3])} and {len(several) - 3:,} more"
    return " and ".join([", ".join(several[:-1]), several[-1]] if len(several) > 1 else several)


def installing(extra: str) -> str:
    """The command that brings an extra of the package, and where to give it: a clone is what is installed."""
    return f"`pip install -c constraints.txt '.[{extra}]'` in the folder of morphoindex's clone"
