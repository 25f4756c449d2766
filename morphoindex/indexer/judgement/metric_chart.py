"""A chart of an evaluation: a panel for each measure, a bar for each method."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from morphoindex.indexer.files.replacing import replacing
from morphoindex.indexer.results.evaluation import Evaluation, MethodScores
from morphoindex.indexer.words import count

_INK, _FAINT = "#282c34", "#dee0e4"
_COLOURS = ("#2662b2", "#d65e20", "#2c8c54", "#8c52aa", "#a3852a", "#3c98a8", "#b0406a", "#6b7280")
_PANELS: tuple[tuple[str, str, Callable[[MethodScores, int], float | None]], ...] = (
    ("silhouette", "higher is better", lambda one, n: one.silhouette),
    ("Calinski–Harabasz", "higher is better", lambda one, n: one.calinski_harabasz),
    ("Davies–Bouldin", "lower is better", lambda one, n: one.davies_bouldin),
    ("in no cluster", "share of specimens", lambda one, n: one.noise / n),
)
_WITH_LABELS: tuple[tuple[str, str, Callable[[MethodScores, int], float | None]], ...] = (
    ("AMI", "1 is best", lambda one, n: one.ami),
    ("ARI", "1 is best", lambda one, n: one.ari),
    ("purity", "of those in clusters", lambda one, n: one.purity),
    ("majority accuracy", "noise is wrong", lambda one, n: one.majority_accuracy),
)
_CLUSTERED = {"AMI": "ami_clustered", "ARI": "ari_clustered"}
_UNBOUNDED = ("Calinski–Harabasz", "Davies–Bouldin")
_LONGEST = 60  # characters of a name
_INCH = 0.32  # of a bar


def draw_metrics(out: Path, found: Evaluation) -> None:
    """Draw the chart, as a PNG, replaced whole.

    The measures that need labels are a second row, where there are labels. What is not defined is a dash.

    Raises:
        UsageError: the file cannot be written.
    """
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    panels = [_PANELS, _WITH_LABELS] if found.labelled else [_PANELS]
    height = 1.3 + len(panels) * (0.9 + _INCH * len(found.scores))
    figure = Figure(
        figsize=(14, height), dpi=150, facecolor="white", layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.08)
    )
    axes = figure.subplots(len(panels), len(_PANELS), sharey=True, squeeze=False)
    for row, line in zip(axes, panels, strict=True):
        for panel, (name, note, value) in zip(row, line, strict=True):
            _draw_panel(panel, found, name, note, value)
    figure.suptitle(_title(found), x=0.012, ha="left", fontsize=13, color=_INK, parse_math=False)
    figure.supxlabel(_footer(found), x=0.012, ha="left", fontsize=8.5, color="#5a6069", parse_math=False)
    with replacing(out) as beside, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # in the name of a label; a box stands for it
        figure.savefig(beside, format="png")


def _draw_panel(
    panel: Any, found: Evaluation, name: str, note: str, value: Callable[[MethodScores, int], float | None]
) -> None:
    values = [value(one, found.specimens) for one in found.scores]
    drawn = [0.0 if number is None else number for number in values]
    places = range(len(values))
    panel.barh(places, drawn, color=[_COLOURS[i % len(_COLOURS)] for i in places], height=0.68, zorder=2)
    inside = [getattr(one, _CLUSTERED.get(name, ""), None) for one in found.scores]
    marked = [(i, number) for i, number in enumerate(inside) if number is not None and found.scores[i].noise]
    if marked:
        panel.scatter([x for _, x in marked], [y for y, _ in marked], s=26, marker="D", facecolor="white",
                      edgecolor=_INK, linewidth=1, zorder=4)  # fmt: skip
    least, greatest = min(0.0, *drawn), max(0.0, *drawn, *(x for _, x in marked))
    if name not in _UNBOUNDED:
        greatest = max(greatest, 1.0)
        panel.set_xticks([tick for tick in (-1, -0.5, 0, 0.5, 1) if tick >= least])
    else:
        panel.locator_params(axis="x", nbins=4)
    span = (greatest or 1.0) - least
    panel.set_xlim(least - (0.05 * span if least < 0 else 0), least + (1.58 if marked else 1.25) * span)
    beside = dict(marked)
    for i, number in enumerate(values):
        right = max(0.0, drawn[i], beside.get(i, 0.0)) + (0.06 if i in beside else 0.03) * span
        words = _figure(name, number) + (f"  ◇ {_figure(name, beside[i])}" if i in beside else "")
        panel.text(right, i, words, va="center", fontsize=9, color=_INK)
    panel.set_title(name, fontsize=10.5, loc="left", color=_INK, fontweight="bold")
    panel.set_title(note, fontsize=8, loc="right", color="#5a6069")
    panel.set_yticks(places, [f"{one.method} ({one.clusters:,})" for one in found.scores])
    if not panel.yaxis_inverted():
        panel.invert_yaxis()
    panel.tick_params(axis="both", labelsize=9, length=0, colors=_INK)
    panel.grid(axis="x", color=_FAINT, zorder=0)
    panel.axvline(0, color=_INK, linewidth=0.8, zorder=3)
    for side in panel.spines.values():
        side.set_visible(False)


def _figure(name: str, value: float | None) -> str:
    if value is None:
        return "–"
    if name == "in no cluster":
        return f"{value:.0%}"
    if name in _UNBOUNDED:
        return f"{value:,.0f}" if value >= 10 else f"{value:.2f}"
    return f"{value:.3f}"


def _title(found: Evaluation) -> str:
    labels = f", labels {_short(found.label)}: {count(found.values, 'value')}" if found.labelled else ""
    return f"{count(found.specimens, 'specimen')}, vectors of {_short(found.encoder)}{labels}"


def _footer(found: Evaluation) -> str:
    """What the marks mean, and what was not run."""
    words = ["In brackets: how many clusters."]
    if found.labelled:
        words.append("AMI and ARI: noise is one further cluster; ◇ of those in clusters alone.")
    if found.where:
        words.append(f"Only where {_short(found.where)}.")
    if found.skipped:
        words.append("Not run, too many specimens: " + ", ".join(one.method for one in found.skipped) + ".")
    return " ".join(words)


def _short(text: str | None) -> str:
    text = text or ""
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
