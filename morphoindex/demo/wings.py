"""The winged forms: butterflies, moths, a dragonfly and a demoiselle."""

from __future__ import annotations

import numpy as np

from morphoindex.demo.sketch import WHITE, Colour, Corners, Points, Sketch, mix, oval, path, points, shrunk, smooth
from morphoindex.demo.species import Palette

FORE = path("0.04 -0.22, 0.34 -0.52, 0.7 -0.76, 0.97 -0.8, 1.0 -0.62, 0.9 -0.3, 0.76 -0.02, 0.4 0.02, 0.06 -0.04")
HIND = path("0.04 -0.08, 0.34 -0.08, 0.68 0.02, 0.78 0.24, 0.68 0.5, 0.46 0.66, 0.24 0.6, 0.06 0.26")
FORE_ROOT = (0.04, -0.14)
HIND_ROOT = (0.05, 0.0)


def _along(outline: Points, first: float, last: float, count: int) -> Points:
    """Points of an outline between two shares of its length, 0 … 1."""
    at = np.linspace(first, last, count) * len(outline)
    found: Points = outline[np.round(at).astype(int) % len(outline)]
    return found


def _scalloped(
    outline: Points, root: tuple[float, float], first: float, last: float, waves: int, depth: float
) -> Points:
    """Cut shallow bays into the outer margin of a wing."""
    share = np.arange(len(outline)) / len(outline)
    inside = (share > first) & (share < last)
    wave = np.abs(np.sin((share - first) / (last - first) * waves * np.pi)) * inside
    r = np.asarray(root)
    cut: Points = r + (1 - depth * (1 - wave) * inside)[:, None] * (outline - r)
    return cut


def _veins(
    s: Sketch, outline: Points, root: tuple[float, float], colour: Colour, width: float, count: int, alpha: int = 255
) -> None:
    for end in _along(outline, 0.22, 0.82, count):
        middle = np.asarray(root) * 0.5 + end * 0.5 + np.array([0.0, -0.02])
        s.stroke(smooth([root, middle, end], 5, closed=False), colour, width, alpha=alpha, both=True)


def _eyespot(s: Sketch, x: float, y: float, r: float, rings: tuple[Colour, ...], rng: np.random.Generator) -> None:
    """A round spot of nested rings, with a gleam."""
    x, y, r = x + rng.normal(0, 0.012), y + rng.normal(0, 0.012), r * rng.uniform(0.88, 1.12)
    for k, colour in enumerate(rings):
        s.oval(x, y, r * (1 - k / len(rings)), r * (1 - k / len(rings)) * 0.95, colour, both=True)
    s.oval(x - 0.2 * r, y - 0.2 * r, 0.12 * r, 0.12 * r, WHITE, alpha=220, both=True)


def _body(s: Sketch, colour: Colour, rng: np.random.Generator, *, stout: float = 1.0, clubs: bool = True) -> None:
    """Abdomen, thorax, head and antennae of a butterfly or moth."""
    for k in range(2 if clubs else 0):
        side = 1 if k else -1
        bow = rng.uniform(-0.04, 0.04)
        feeler = smooth([(0.02 * side, -0.36), (0.14 * side + bow, -0.62), (0.27 * side + bow, -0.86)], 6, closed=False)
        s.stroke(feeler, mix(colour, (20, 16, 16), 0.6), 0.016, shadow=True)
        s.oval(feeler[-1][0], feeler[-1][1], 0.022, 0.038, mix(colour, (20, 16, 16), 0.7), turn=18 * side)
    s.ball(0, 0.2, 0.065 * stout, 0.36, colour, edge=0.45)
    for y in np.linspace(0.04, 0.46, 6):
        half = 0.058 * stout * (1 - 0.6 * (y - 0.04))
        s.stroke([(-half, y), (half, y)], mix(colour, (10, 8, 8), 0.5), 0.012, alpha=150)
    s.ball(0, -0.19, 0.085 * stout, 0.16, colour, edge=0.35)
    s.ball(0, -0.36, 0.058 * stout, 0.055, colour, edge=0.45)
    s.oval(0.045, -0.37, 0.02, 0.024, (16, 12, 12), both=True)


def _wing(
    s: Sketch,
    outline: Points,
    root: tuple[float, float],
    colours: tuple[tuple[float, Colour], ...],
    *,
    glow: float = 0.16,
) -> None:
    """Nested bands from the margin inwards: each (factor, colour) fills the outline drawn in by that factor."""
    for k, (factor, colour) in enumerate(colours):
        s.fill(shrunk(outline, root, factor), colour, both=True, shadow=k == 0)
    factor, colour = colours[-1]
    for k in range(1, 5):
        s.fill(
            shrunk(outline, root, factor * (1 - 0.17 * k)),
            mix(colour, (255, 240, 210), glow * k / 4),
            both=True,
            shadow=False,
        )


def peacock(s: Sketch, p: Palette, rng: np.random.Generator) -> None:
    """Rust red with an eyespot on each wing."""
    hind = _scalloped(smooth(HIND), HIND_ROOT, 0.25, 0.8, 6, 0.09)
    fore = _scalloped(smooth(FORE), FORE_ROOT, 0.4, 0.72, 5, 0.06)
    _wing(s, hind, HIND_ROOT, ((1.0, p.mark), (0.985, p.second), (0.82, p.main)))
    _veins(s, hind, HIND_ROOT, p.body, 0.012, 6, 120)
    _eyespot(s, 0.53, 0.27, 0.165, ((196, 182, 150), p.mark, p.mark, p.accent, (40, 52, 110)), rng)
    folded = len(s.shapes)
    _wing(s, fore, FORE_ROOT, ((1.0, p.mark), (0.985, p.second), (0.88, p.main)))
    _veins(s, fore, FORE_ROOT, p.body, 0.012, 6, 110)
    for x, y, r in ((0.28, -0.4, 0.07), (0.5, -0.55, 0.085)):
        s.oval(x, y, r * 1.15, r * 0.72, p.mark, turn=-40, both=True)
    s.oval(0.395, -0.49, 0.055, 0.05, (240, 204, 110), turn=-40, both=True)
    _eyespot(s, 0.76, -0.58, 0.155, ((240, 208, 120), (150, 40, 40), p.mark, p.accent, (90, 40, 90)), rng)
    for x, y in ((0.84, -0.36), (0.77, -0.24), (0.69, -0.15)):
        s.oval(x, y, 0.022, 0.022, (226, 232, 246), both=True)
    s.swing(folded, FORE_ROOT, rng.uniform(-8, 12))
    _body(s, p.body, rng, stout=1.15)


def swallowtail(s: Sketch, p: Palette, rng: np.random.Generator) -> None:
    """Yellow and black, with tails, a blue band and a red eye."""
    hind = _scalloped(smooth(HIND), HIND_ROOT, 0.3, 0.78, 5, 0.08)
    tail = rng.uniform(0.94, 1.08)
    s.stroke(
        smooth([(0.5, 0.56), (0.57, 0.8), (0.6, tail)], 6, closed=False),
        p.second,
        0.1,
        tip=0.055,
        both=True,
        shadow=True,
    )
    _wing(s, hind, HIND_ROOT, ((1.0, p.second), (0.95, p.main), (0.86, p.second), (0.62, p.main)), glow=0.2)
    for x, y in _along(shrunk(hind, HIND_ROOT, 0.74), 0.34, 0.68, 6) + rng.normal(0, 0.006, (6, 2)):
        s.oval(x, y, 0.055, 0.045, p.accent, both=True)
    _veins(s, shrunk(hind, HIND_ROOT, 0.86), HIND_ROOT, p.second, 0.018, 7)
    s.oval(0.3, 0.52, 0.065, 0.06, p.mark, both=True)
    s.stroke([(0.25, 0.475), (0.36, 0.475)], p.accent, 0.03, both=True)
    fore, folded = smooth(FORE), len(s.shapes)
    _wing(s, fore, FORE_ROOT, ((1.0, p.second), (0.955, p.main), (0.905, p.second), (0.78, p.main)), glow=0.2)
    for t in np.linspace(0.42, 0.74, 8):
        a, b = _along(shrunk(fore, FORE_ROOT, 0.96), t, t, 1)[0], _along(shrunk(fore, FORE_ROOT, 0.895), t, t, 1)[0]
        s.stroke([a, b], p.second, 0.022, both=True)
    _veins(s, shrunk(fore, FORE_ROOT, 0.86), FORE_ROOT, p.second, 0.02, 7)
    s.fill(shrunk(fore, FORE_ROOT, 0.3), p.second, both=True, shadow=False)
    for x, y, r in ((0.47, -0.47, 0.05), (0.62, -0.57, 0.045)):
        s.oval(x, y, r, r * 1.7, p.second, turn=28, both=True)
    s.swing(folded, FORE_ROOT, rng.uniform(-8, 12))
    _body(s, p.body, rng, stout=1.2)


def blue(s: Sketch, p: Palette, rng: np.random.Generator) -> None:
    """A small blue with a white fringe."""
    fore = smooth([(x * 0.96, y * 0.82) for x, y in FORE])
    hind = smooth([(x * 0.98, y * 0.9) for x, y in HIND])
    width = rng.uniform(0.93, 0.95)
    for outline, root, swing in ((hind, HIND_ROOT, 0.0), (fore, (0.04, -0.1), rng.uniform(-8, 14))):
        folded = len(s.shapes)
        _wing(s, outline, root, ((1.0, p.mark), (0.962, p.second), (width, p.accent), (0.88, p.main)), glow=0.4)
        _veins(s, shrunk(outline, root, 0.94), root, p.accent, 0.011, 7, 170)
        s.swing(folded, root, swing)
    for x, y in _along(shrunk(hind, HIND_ROOT, 0.9), 0.36, 0.76, 5):
        s.oval(x, y, 0.02 * rng.uniform(0.7, 1.3), 0.02, p.second, alpha=200, both=True)
    _body(s, p.body, rng, stout=1.25)


def _dots(
    s: Sketch,
    outline: Points,
    root: tuple[float, float],
    reach: tuple[float, float],
    colour: Colour,
    rng: np.random.Generator,
) -> None:
    """Two rows of dots along the margin of a wing, between two shares of its outline."""
    for factor, count, size in ((0.955, 12, 0.018), (0.9, 9, 0.017)):
        for x, y in _along(shrunk(outline, root, factor), *reach, count) + rng.normal(0, 0.005, (count, 2)):
            s.oval(x, y, size, size, colour, both=True)


def monarch(s: Sketch, p: Palette, rng: np.random.Generator) -> None:
    """Orange with strong black veins and a dotted black margin."""
    hind, fore = smooth(HIND), smooth(FORE)
    _wing(s, hind, HIND_ROOT, ((1.0, p.second), (0.83, p.main)), glow=0.22)
    _veins(s, hind, HIND_ROOT, p.second, 0.026, 8)
    _dots(s, hind, HIND_ROOT, (0.28, 0.82), p.mark, rng)
    folded = len(s.shapes)
    _wing(s, fore, FORE_ROOT, ((1.0, p.second), (0.87, p.main)), glow=0.22)
    apex = shrunk(fore, (0.98, -0.78), 0.5)
    s.fill(apex, p.second, both=True, shadow=False)
    _veins(s, fore, FORE_ROOT, p.second, 0.028, 8)
    s.stroke(_along(fore, 0.02, 0.36, 12), p.second, 0.045, both=True)
    _dots(s, fore, FORE_ROOT, (0.38, 0.76), p.mark, rng)
    for x, y, r in ((0.66, -0.62, 0.045), (0.77, -0.55, 0.04), (0.8, -0.67, 0.032), (0.7, -0.46, 0.032)):
        r *= rng.uniform(0.8, 1.2)
        s.oval(x, y, r, r * 0.7, p.accent, turn=-35, both=True)
    s.swing(folded, FORE_ROOT, rng.uniform(-8, 12))
    _body(s, p.body, rng, stout=1.1)
    for x, y in ((0.03, -0.25), (0.04, -0.16), (0.025, -0.36)):
        s.oval(x, y, 0.011, 0.011, p.mark, both=True)


def luna(s: Sketch, p: Palette, rng: np.random.Generator) -> None:
    """A pale green moth with long curved tails and feathered antennae."""
    sway = rng.uniform(-0.05, 0.06)
    tail: Corners = (
        (0.04, -0.06), (0.4, -0.04), (0.7, 0.12), (0.66, 0.36), (0.44, 0.56), (0.36 + sway, 0.86), (0.44 + sway, 1.14),
        (0.42 + sway, 1.3), (0.3 + sway, 1.26), (0.24 + sway, 0.96), (0.22, 0.6), (0.06, 0.3),
    )  # fmt: skip
    hind, fore = smooth(tail), smooth([(x * 1.02, y * 0.96 + 0.02) for x, y in FORE])
    s.fill(hind, mix(p.main, p.mark, 0.5), both=True)
    s.fill(shrunk(hind, (0.3, 0.3), 0.965), p.main, both=True, shadow=False)
    s.fill(shrunk(smooth(HIND), HIND_ROOT, 0.6), mix(p.main, WHITE, 0.3), both=True, shadow=False)
    _eyespot(s, 0.42, 0.24, 0.062, (p.second, p.mark, p.accent), rng)
    folded = len(s.shapes)
    _wing(s, fore, FORE_ROOT, ((1.0, mix(p.main, p.mark, 0.5)), (0.97, p.main)), glow=0.45)
    _veins(s, fore, FORE_ROOT, mix(p.main, (70, 120, 60), 0.3), 0.01, 7, 170)
    s.stroke(_along(fore, 0.0, 0.34, 14), p.second, 0.055, tip=0.02, both=True)
    _eyespot(s, 0.55, -0.42, 0.06, (p.second, p.mark, p.accent), rng)
    s.swing(folded, FORE_ROOT, rng.uniform(-8, 12))
    for side in (-1, 1):
        stem = smooth([(0.03 * side, -0.34), (0.16 * side, -0.46), (0.26 * side, -0.6)], 6, closed=False)
        s.stroke(stem, p.mark, 0.02)
        for x, y in stem[2:]:
            s.stroke([(x, y), (x + 0.07 * side, y + 0.01)], p.mark, 0.012)
            s.stroke([(x, y), (x - 0.02 * side, y - 0.065)], p.mark, 0.012)
    _body(s, p.body, rng, stout=1.5, clubs=False)


def burnet(s: Sketch, p: Palette, rng: np.random.Generator) -> None:
    """A day-flying moth at rest: narrow glossy wings with six red spots each."""
    for side in (-1, 1):
        bow = rng.uniform(-0.03, 0.03)
        feeler = smooth([(0.03 * side, -0.56), (0.16 * side + bow, -0.74), (0.38 * side + bow, -0.9)], 8, closed=False)
        s.stroke(feeler, p.second, 0.022, tip=0.06, shadow=True)
        for y, reach in ((-0.42, 0.34), (-0.24, 0.46)):
            s.stroke(
                [(0.08 * side, y), (reach * 0.7 * side, y - 0.08), (reach * side, y - 0.02)],
                p.second,
                0.026,
                shadow=True,
            )
    s.ball(0, 0.16, 0.13, 0.52, p.body)
    hind = smooth([(0.05, -0.3), (0.3, -0.1), (0.5, 0.4), (0.4, 0.6), (0.12, 0.5)])
    s.fill(hind, p.mark, both=True)
    spread = rng.uniform(-0.04, 0.06)
    wing = smooth(
        [
            (0.02, -0.46),
            (0.2, -0.42),
            (0.44, 0.1),
            (0.6 + spread, 0.66),
            (0.48 + spread, 0.82),
            (0.24, 0.56),
            (0.06, 0.0),
        ]
    )
    s.volume(wing, p.main, at=(0.28, 0.05), light=0.3, edge=0.4, both=True)
    spots = ((0.13, -0.29), (0.22, -0.2), (0.2, 0.02), (0.34, 0.12), (0.34, 0.38), (0.48, 0.52))
    for x, y in spots:
        x, y, r = x + rng.normal(0, 0.012), y + rng.normal(0, 0.015), 0.062 * rng.uniform(0.8, 1.2)
        s.oval(x, y, r, r * 1.3, mix(p.mark, p.second, 0.4), turn=-20, both=True)
        s.oval(x, y, r * 0.82, r * 1.12, p.mark, turn=-20, both=True)
    s.ball(0, -0.42, 0.12, 0.15, p.body, light=0.3)
    s.ball(0, -0.57, 0.075, 0.065, p.body, light=0.3)


def chaser(s: Sketch, p: Palette, rng: np.random.Generator) -> None:
    """A dragonfly: four clear wings and a broad powder-blue abdomen."""
    sweep = rng.uniform(-0.05, 0.05)
    fore: Corners = (
        (0.06, -0.32),
        (0.4, -0.44 + sweep),
        (0.95, -0.46 + sweep),
        (1.04, -0.36 + sweep),
        (0.7, -0.2 + sweep),
        (0.08, -0.18),
    )
    hind: Corners = (
        (0.06, -0.18),
        (0.4, -0.16),
        (0.94, 0.02 + sweep),
        (0.98, 0.13 + sweep),
        (0.66, 0.2 + sweep),
        (0.2, 0.18),
        (0.06, -0.02),
    )
    for corners, root in ((hind, (0.06, -0.1)), (fore, (0.06, -0.25))):
        outline = smooth(corners)
        s.fill(outline, p.accent, alpha=150, both=True)
        s.fill(shrunk(outline, root, 0.3), p.second, alpha=220, both=True, shadow=False)
        tip = points(corners)[2]
        for share in (0.2, 0.45, 0.7, 0.95):
            end = points(corners)[2] * (1 - share) + points(corners)[4] * share
            s.stroke([root, end], p.second, 0.009, alpha=190, both=True)
        for share in np.linspace(0.35, 0.93, 9):
            middle = shrunk(outline, root, float(share))
            s.stroke(middle[14:32], p.second, 0.006, alpha=90, both=True)
        s.stroke(np.concatenate([outline, outline[:1]]), p.second, 0.013, alpha=220, both=True)
        s.stroke(tip + np.array([(-0.14, 0.012), (-0.03, 0.015)]), p.second, 0.035, both=True)
    abdomen = smooth(
        path("-0.05 0.0, 0.05 0.0, 0.15 0.2, 0.15 0.45, 0.08 0.8, 0.0 0.88, -0.08 0.8, -0.15 0.45, -0.15 0.2")
    )
    s.volume(abdomen, p.main, at=(-0.03, 0.35), light=0.4, edge=0.35)
    for y in np.linspace(0.14, 0.74, 6):
        half = 0.15 - 0.16 * max(0.0, y - 0.4)
        s.stroke([(-half, y), (half, y)], p.second, 0.012, alpha=130)
        s.oval(half - 0.02, y + 0.05, 0.022, 0.036, p.mark, both=True)
    s.ball(0, -0.2, 0.12, 0.22, p.body, light=0.3)
    s.stroke([(0.05, -0.34), (0.055, -0.1)], p.mark, 0.03, both=True, alpha=210)
    s.oval(0, -0.44, 0.06, 0.06, p.body)
    s.ball(0.065, -0.47, 0.075, 0.085, p.second, light=0.5, both=True)


def demoiselle(s: Sketch, p: Palette, rng: np.random.Generator) -> None:
    """A demoiselle seen from the side on a stem, its dark wings folded over the body."""
    lean = rng.uniform(-0.12, 0.12)
    reed = smooth([(-1.7, 0.42 + lean), (-0.5, 0.37), (1.7, 0.3 - 2 * lean)], 12, closed=False)
    s.stroke(reed, (86, 112, 52), 0.095, shadow=True)
    s.stroke(reed - (0, 0.012), (134, 164, 82), 0.06)
    s.stroke(reed - (0, 0.026), (190, 208, 132), 0.016)
    for x, reach in ((-0.62, -0.7), (-0.54, -0.5), (-0.46, -0.34)):
        s.stroke([(x, -0.08), (reach - 0.04, 0.14), (reach, 0.34)], (16, 18, 26), 0.016)
    lift = rng.uniform(-0.06, 0.06)
    tail = smooth([(-0.4, -0.1), (0.2, 0.02), (0.95, 0.12 + lift)], 10, closed=False)
    s.stroke(tail, mix(p.second, (6, 10, 20), 0.5), 0.075, tip=0.055, shadow=True)
    s.stroke(tail - (0, 0.012), p.second, 0.045, tip=0.03)
    s.stroke(tail - (0, 0.022), mix(p.second, WHITE, 0.55), 0.012, tip=0.008, alpha=200)
    for k in range(4, len(tail), 3):
        s.stroke([tail[k] - (0, 0.035), tail[k] + (0, 0.035)], (8, 16, 26), 0.016)
    root = (-0.45, -0.14)
    wing: Corners = (
        (-0.48, -0.16),
        (-0.2, -0.42),
        (0.3, -0.6 + lift),
        (0.72, -0.52 + lift),
        (0.76, -0.3 + lift),
        (0.4, -0.1 + lift / 2),
        (-0.2, -0.08),
    )
    for dy, shade in ((-0.07, 0.35), (0.0, 0.0)):
        outline = smooth(wing) + np.array([0.03 if dy else 0.0, dy])
        s.volume(outline, mix(p.main, (8, 8, 24), shade), at=(0.15, -0.3 + dy), light=0.0 if dy else 0.28, edge=0.3)
    for k in range(12, 48, 3):
        s.stroke(
            smooth([root, (np.asarray(root) + outline[k]) / 2 + (0, -0.015), outline[k]], 5, closed=False),
            p.mark,
            0.008,
            alpha=170,
        )
    for factor in np.linspace(0.4, 0.95, 7):
        s.stroke(shrunk(outline, root, float(factor))[12:46], (12, 14, 44), 0.007, alpha=120)
    s.volume(oval(-0.52, -0.1, 0.15, 0.1, 14), p.second, at=(-0.55, -0.14), light=0.5, edge=0.4)
    s.stroke([(-0.6, -0.06), (-0.44, -0.12)], (8, 20, 30), 0.02)
    s.ball(-0.7, -0.12, 0.075, 0.08, p.body, light=0.35)
    s.ball(-0.72, -0.15, 0.05, 0.055, (60, 24, 30), light=0.6)
    s.stroke([(-0.75, -0.18), (-0.84, -0.24)], (16, 18, 26), 0.01)
