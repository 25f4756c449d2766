"""Maps drawn with matplotlib."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from morphoindex.indexer.files.replacing import replacing

LEGEND = 20
"""Groups that have a colour of their own and a line in the legend."""
_COLOURS = (
    "#2662b2",
    "#d65e20",
    "#2c8c54",
    "#8c52aa",
    "#c23b4a",
    "#8a6d1f",
    "#2f9fb5",
    "#d46fa8",
    "#8fb32a",
    "#4b4f58",
)
_MARKERS = ("o", "^")
_INK, _SMALL, _OTHERS, _REST = "#282c34", "#474c55", "#9097a2", "#c9ced6"
_LONGEST = 34  # characters of a name in the legend
_WRITTEN, _FEWEST = 80, 3  # groups whose names are written on the map, where there is room; and the points of one
_IN_LEGEND = 36  # size of the points there


@dataclass(frozen=True, eq=False)
class Group:
    """Points of one colour: name, and their rows int64 [m]."""

    name: str
    rows: NDArray[np.int64]


def draw_map(out: Path, title: str, placed: NDArray[np.float64], groups: Sequence[Group], rest: str) -> None:
    """Draw a map as a PNG, replaced whole.

    The largest groups have colours; of more than `LEGEND` the others are grey, with their names where there is room.

    Args:
        out: the file.
        title: above the map.
        placed: coordinates float64 [n, 2].
        groups: of points, large ones first; points may be in none.
        rest: what the points in none are called.

    Raises:
        UsageError: the file cannot be written.
    """
    from matplotlib.collections import PathCollection
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12.5, 8.5), dpi=150, facecolor="white", layout="constrained")
    panel = figure.subplots()
    size = float(np.clip(40_000 / max(1, len(placed)), 2, 30))
    entries = _draw_points(panel, placed, groups, rest, size)
    panel.set_title(title, loc="left", fontsize=13, color=_INK, parse_math=False)
    panel.set_xticks([])
    panel.set_yticks([])
    panel.set_aspect("equal", adjustable="datalim")
    panel.margins(0.04)
    for side in panel.spines.values():
        side.set_color(_REST)
    if entries:
        handles = [handle for handle, _ in entries]
        stand_ins = ["x" * len(words) for _, words in entries]
        legend = figure.legend(
            handles, stand_ins, loc="outside right upper", frameon=False, fontsize=9, handletextpad=0.2, labelcolor=_INK
        )
        for text, (_, words) in zip(legend.get_texts(), entries, strict=True):
            text.set_parse_math(False)
            text.set_text(words)  # afterwards: a legend leaves names out that begin with _
        for handle in legend.legend_handles:
            if isinstance(handle, PathCollection):
                handle.set_sizes([_IN_LEGEND])
    with replacing(out) as beside, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a box stands for what the font lacks
        _uncover(figure, panel.texts)
        figure.savefig(beside, format="png")


def _uncover(figure: Any, names: Sequence[Any]) -> None:
    """Hide each name that would cover one before it."""
    figure.draw_without_rendering()  # until then nobody knows where they are
    kept: list[Any] = []
    for name in names:
        box = name.get_window_extent()
        if any(box.overlaps(other) for other in kept):
            name.set_visible(False)
        else:
            kept.append(box)


def _draw_points(
    panel: Any, placed: NDArray[np.float64], groups: Sequence[Group], rest: str, size: float
) -> list[tuple[Any, str]]:
    """Draw all points, in an order that hides no small group below a large one; gives the lines of the legend."""
    inside = np.zeros(len(placed), bool)
    for group in groups:
        inside[group.rows] = True
    entries: list[tuple[Any, str]] = []
    coloured, others = groups[:LEGEND], groups[LEGEND:]
    below = []
    if not inside.all():
        points = _scatter(panel, placed[~inside], _REST, "o", size * 0.7)
        below.append((points, f"{rest} ({int((~inside).sum()):,})"))
    if others:
        points = _scatter(panel, placed[np.concatenate([group.rows for group in others])], _OTHERS, "o", size * 0.8)
        below.insert(0, (points, f"{len(others):,} smaller ones ({sum(len(group.rows) for group in others):,})"))
    for number, group in enumerate(coloured):
        colour, marker = _COLOURS[number % len(_COLOURS)], _MARKERS[number // len(_COLOURS) % len(_MARKERS)]
        points = _scatter(panel, placed[group.rows], colour, marker, size)
        entries.append((points, f"{_short(group.name)} ({len(group.rows):,})"))
    for group in others[:_WRITTEN]:
        if len(group.rows) >= _FEWEST:
            middle = np.median(placed[group.rows], axis=0)
            panel.annotate(_short(group.name, 22), middle, (0, -5), textcoords="offset points", fontsize=6.5, va="top",
                           ha="center", color=_SMALL, parse_math=False)  # fmt: skip
    return entries + below


def _scatter(panel: Any, points: NDArray[np.float64], colour: str, marker: str, size: float) -> Any:
    return panel.scatter(points[:, 0], points[:, 1], s=size, c=colour, marker=marker, linewidths=0, alpha=0.85)


def _short(name: str, longest: int = _LONGEST) -> str:
    plain = " ".join(name.split())
    return plain if len(plain) <= longest else plain[: longest - 1] + "…"
