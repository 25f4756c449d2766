"""The armoured forms: beetles and a shield bug."""

from __future__ import annotations

import numpy as np

from morphoindex.demo.sketch import BLACK, WHITE, Colour, Corners, Points, Sketch, mix, oval, path, shrunk, smooth
from morphoindex.demo.species import Palette

LEG_JITTER = 0.035


def legs(s: Sketch, colour: Colour, rng: np.random.Generator, hips: str, knees: str, feet: str, width: float) -> None:
    """Draw pairs of legs; the paths name those of the right side, and every leg is held a little differently."""
    for side in (-1, 1):
        mirror = np.array([side, 1.0])
        for hip, knee, foot in zip(path(hips), path(knees), path(feet), strict=True):
            a, b = hip * mirror, knee * mirror + rng.normal(0, LEG_JITTER, 2)
            c = foot * mirror + rng.normal(0, LEG_JITTER, 2)
            s.stroke([a, (a + b) / 2, b], colour, width, tip=width * 0.75, shadow=True)
            s.oval(b[0], b[1], width * 0.42, width * 0.42, colour)
            heel = b + (c - b) * 0.62
            s.stroke([b, heel], colour, width * 0.75, tip=width * 0.45, shadow=True)
            s.stroke([heel, c + (c - heel) * 0.12], colour, width * 0.4, tip=width * 0.2)


def _wing_case(s: Sketch, right: Corners, colour: Colour, light: float = 0.4) -> Points:
    """The two wing cases, rounded, with the seam between them; returns the outline of the right one."""
    left = [(-x, y) for x, y in right[-2:0:-1]]
    whole = smooth([*right, *left], 10)
    outline = whole[: 10 * (len(right) - 1) + 1]
    s.fill(whole, mix(colour, BLACK, 0.3))
    s.volume(outline, colour, at=(0.2, -0.02), light=light, edge=0.35, both=True)
    return outline


def _seam(s: Sketch, top: float, bottom: float, colour: Colour) -> None:
    s.stroke([(0, top), (0, bottom)], colour, 0.016)


def _gloss(s: Sketch, x: float, y: float, rx: float, ry: float, turn: float, alpha: int = 70) -> None:
    for k in range(4):
        s.oval(x, y, rx * (1 - 0.2 * k), ry * (1 - 0.2 * k), WHITE, turn=turn, alpha=alpha // 2)


def ladybird(s: Sketch, p: Palette, rng: np.random.Generator) -> None:
    """Red, round, seven black spots."""
    legs(
        s,
        p.body,
        rng,
        "0.3 -0.4, 0.5 0.0, 0.45 0.35",
        "0.58 -0.62, 0.8 0.02, 0.72 0.55",
        "0.74 -0.78, 0.96 0.12, 0.84 0.78",
        0.065,
    )
    for side in (-1, 1):
        s.stroke(
            smooth([(0.1 * side, -0.72), (0.2 * side, -0.88), (0.3 * side, -0.9)], 5, closed=False),
            p.body,
            0.03,
            tip=0.045,
        )
    s.ball(0, -0.68, 0.2, 0.15, p.body, light=0.25)
    s.oval(0.1, -0.72, 0.05, 0.04, p.accent, both=True)
    s.ball(0, -0.5, 0.4, 0.22, p.body, light=0.25)
    s.oval(0.3, -0.56, 0.085, 0.085, p.accent, turn=30, both=True)
    _wing_case(
        s, ((0.0, -0.42), (0.3, -0.42), (0.58, -0.2), (0.66, 0.12), (0.52, 0.5), (0.22, 0.74), (0.0, 0.8)), p.main
    )
    s.oval(0.05, -0.4, 0.06, 0.03, p.accent, both=True)
    s.oval(0, -0.3 + rng.normal(0, 0.01), 0.12, 0.13, p.mark)
    for x, y, r in ((0.33, -0.12, 0.12), (0.26, 0.3, 0.125), (0.48, 0.22, 0.1)):
        for side in (-1, 1):
            size = r * rng.uniform(0.72, 1.2)
            s.oval(
                side * (x + rng.normal(0, 0.026)), y + rng.normal(0, 0.026), size * 0.92, size, p.mark, turn=-12 * side
            )
    _seam(s, -0.2, 0.79, mix(p.main, BLACK, 0.7))
    _gloss(s, -0.26, -0.22, 0.13, 0.07, -38, 110)


def striped_beetle(s: Sketch, p: Palette, rng: np.random.Generator) -> None:
    """Yellow with ten black stripes and an orange, freckled collar."""
    legs(
        s,
        p.mark,
        rng,
        "0.3 -0.4, 0.46 0.0, 0.42 0.35",
        "0.6 -0.58, 0.76 0.06, 0.68 0.56",
        "0.76 -0.76, 0.92 0.18, 0.8 0.8",
        0.07,
    )
    for side in (-1, 1):
        s.stroke(
            smooth([(0.14 * side, -0.76), (0.3 * side, -0.88), (0.42 * side, -0.86)], 5, closed=False),
            p.accent,
            0.03,
            tip=0.055,
        )
    s.ball(0, -0.72, 0.22, 0.16, p.body)
    s.oval(0.17, -0.74, 0.035, 0.045, BLACK, both=True)
    s.oval(0, -0.75, 0.05, 0.06, p.second)
    s.ball(0, -0.52, 0.4, 0.2, p.body)
    for x, y in ((0.07, -0.54), (0.2, -0.5), (0.28, -0.58), (0.16, -0.62), (0.3, -0.46)):
        r = rng.uniform(0.022, 0.04)
        s.oval(x + rng.normal(0, 0.01), y, r, r * 1.2, p.second, both=True)
    _wing_case(
        s, ((0.0, -0.44), (0.3, -0.44), (0.52, -0.24), (0.6, 0.12), (0.5, 0.5), (0.24, 0.78), (0.0, 0.84)), p.main, 0.3
    )
    width = rng.uniform(0.045, 0.062)
    for k, share in enumerate((0.03, 0.22, 0.42, 0.6, 0.78)):
        stripe = [
            (share * 0.5, -0.38),
            (share * 0.66, -0.1),
            (share * 0.68, 0.2),
            (share * 0.52, 0.5),
            (share * 0.22, 0.77 - 0.02 * k),
        ]
        s.stroke(smooth(stripe, 6, closed=False), p.second, width, tip=width * 0.45, both=True)
    _gloss(s, -0.24, -0.22, 0.1, 0.06, -38, 120)


def longhorn(s: Sketch, p: Palette, rng: np.random.Generator) -> None:
    """Slender, blue-grey with black velvet spots and antennae longer than the body."""
    legs(
        s,
        p.main,
        rng,
        "0.14 -0.3, 0.2 -0.04, 0.2 0.2",
        "0.42 -0.46, 0.46 0.02, 0.42 0.42",
        "0.56 -0.66, 0.64 0.16, 0.56 0.74",
        0.05,
    )
    for side in (-1, 1):
        swing = rng.uniform(-0.06, 0.06)
        horn = smooth(
            [(0.08, -0.6), (0.3, -0.86), (0.6 + swing, -0.84), (0.76 + swing, -0.5), (0.78 + swing, 0.0)],
            8,
            closed=False,
        )
        horn = horn * np.array([side, 1.0])
        s.stroke(horn, p.main, 0.034, tip=0.016, shadow=True)
        for x, y in horn[4:-2:4]:
            s.oval(x, y, 0.04, 0.04, p.second)
    s.ball(0, -0.58, 0.11, 0.12, p.body)
    s.oval(0.085, -0.6, 0.035, 0.045, p.second, both=True)
    s.volume(
        smooth([(0, -0.52), (0.16, -0.48), (0.2, -0.38), (0.14, -0.28), (-0.14, -0.28), (-0.2, -0.38), (-0.16, -0.48)]),
        p.body,
        at=(-0.05, -0.42),
    )
    s.oval(0, -0.43, 0.07, 0.055, p.second)
    case: Corners = ((0.0, -0.28), (0.2, -0.27), (0.27, -0.1), (0.25, 0.4), (0.18, 0.72), (0.06, 0.82), (0.0, 0.78))
    _wing_case(s, case, p.main, 0.35)
    for y, rx, ry in ((-0.14, 0.075, 0.08), (0.2, 0.15, 0.11), (0.54, 0.075, 0.07)):
        y, rx, ry = y + rng.normal(0, 0.015), rx * rng.uniform(0.82, 1.15), ry * rng.uniform(0.82, 1.15)
        s.oval(0.125, y, rx * 1.08, ry * 1.14, p.mark, alpha=190, both=True)
        s.oval(0.125, y, rx, ry, p.second, both=True)
    _seam(s, -0.26, 0.78, mix(p.main, BLACK, 0.6))


def chafer(s: Sketch, p: Palette, rng: np.random.Generator) -> None:
    """A broad metallic-green chafer with white flecks."""
    legs(
        s,
        p.second,
        rng,
        "0.32 -0.42, 0.5 -0.02, 0.42 0.4",
        "0.62 -0.6, 0.8 0.0, 0.7 0.58",
        "0.78 -0.76, 0.98 0.1, 0.86 0.8",
        0.085,
    )
    for side in (-1, 1):
        s.stroke([(0.14 * side, -0.74), (0.26 * side, -0.84), (0.33 * side, -0.84)], p.second, 0.03, tip=0.07)
    s.volume(smooth([(-0.14, -0.84), (0.14, -0.84), (0.2, -0.66), (-0.2, -0.66)]), p.main, at=(-0.04, -0.76))
    collar = smooth(
        [(-0.16, -0.72), (0.16, -0.72), (0.4, -0.52), (0.48, -0.3), (0.0, -0.26), (-0.48, -0.3), (-0.4, -0.52)]
    )
    s.volume(collar, p.main, at=(-0.1, -0.52), light=0.5, edge=0.4)
    _wing_case(
        s,
        ((0.0, -0.3), (0.46, -0.32), (0.62, -0.12), (0.6, 0.32), (0.46, 0.66), (0.2, 0.78), (0.0, 0.78)),
        p.main,
        0.34,
    )
    s.fill(
        smooth([(0.0, -0.02), (0.16, -0.31), (0.0, -0.34), (-0.16, -0.31)]), mix(p.main, p.accent, 0.3), shadow=False
    )
    for _ in range(8):
        x, y, r = rng.uniform(0.1, 0.48), rng.uniform(0.22, 0.62), rng.uniform(0.018, 0.034)
        if x < 0.56 - 0.4 * max(0.0, y - 0.3):
            s.oval(x, y, r * 1.7, r * 0.6, p.mark, turn=float(rng.uniform(-25, 25)), both=True)
    s.stroke([(0.36, -0.2), (0.42, 0.2), (0.36, 0.56)], mix(p.main, p.second, 0.8), 0.02, both=True)
    _seam(s, -0.06, 0.78, mix(p.main, BLACK, 0.6))
    _gloss(s, -0.3, -0.06, 0.07, 0.2, 12, 90)
    _gloss(s, -0.14, -0.54, 0.12, 0.06, -20, 90)
    s.fill(oval(0.26, 0.1, 0.1, 0.3, -6), p.accent, alpha=40, both=True, shadow=False)


def stag(s: Sketch, p: Palette, rng: np.random.Generator) -> None:
    """A stag beetle: dark collar, chestnut wing cases, antler jaws."""
    legs(
        s,
        p.second,
        rng,
        "0.22 -0.24, 0.28 0.04, 0.26 0.24",
        "0.5 -0.42, 0.54 0.1, 0.48 0.46",
        "0.62 -0.66, 0.7 0.28, 0.6 0.82",
        0.05,
    )
    gape = rng.uniform(-0.04, 0.04)
    for side in (-1, 1):
        m = np.array([side, 1.0])
        jaw = (
            smooth([(0.1, -0.56), (0.26 + gape, -0.72), (0.27 + gape, -0.9), (0.13 + gape, -1.06)], 8, closed=False) * m
        )
        s.stroke(jaw, mix(p.main, BLACK, 0.35), 0.11, tip=0.04, shadow=True)
        s.stroke(jaw - np.array([0.012, 0.01]), mix(p.mark, WHITE, 0.12), 0.045, tip=0.015)
        s.stroke(np.array([(0.25 + gape, -0.83), (0.14 + gape, -0.83)]) * m, mix(p.main, BLACK, 0.3), 0.06, tip=0.015)
        s.stroke(np.array([(0.2 + gape, -0.98), (0.23 + gape, -1.07)]) * m, mix(p.main, BLACK, 0.3), 0.04, tip=0.012)
        s.stroke(np.array([(0.22, -0.52), (0.4, -0.56), (0.46, -0.68)]) * m, p.second, 0.022, tip=0.05, shadow=True)
    head = smooth([(-0.2, -0.62), (0.2, -0.62), (0.27, -0.52), (0.2, -0.4), (-0.2, -0.4), (-0.27, -0.52)])
    s.volume(head, p.second, at=(-0.06, -0.54), light=0.3)
    collar = smooth([(-0.26, -0.42), (0.26, -0.42), (0.32, -0.28), (0.26, -0.15), (-0.26, -0.15), (-0.32, -0.28)])
    s.volume(collar, p.second, at=(-0.08, -0.32), light=0.3)
    _wing_case(
        s,
        ((0.0, -0.16), (0.24, -0.16), (0.34, 0.0), (0.33, 0.36), (0.22, 0.66), (0.08, 0.78), (0.0, 0.79)),
        p.main,
        0.32,
    )
    s.fill(smooth([(0.0, -0.04), (0.07, -0.15), (-0.07, -0.15)]), p.second, shadow=False)
    _seam(s, -0.1, 0.78, mix(p.main, BLACK, 0.7))
    _gloss(s, -0.17, 0.1, 0.045, 0.2, 8, 70)


def _long_stripes(s: Sketch, colour: Colour, width: float) -> None:
    for x in (0.085, 0.25):
        s.stroke(
            smooth([(x * 0.95, -0.26), (x * 1.08, 0.1), (x * 0.95, 0.45), (x * 0.55, 0.74)], 6, closed=False),
            colour,
            width,
            tip=width * 0.5,
            both=True,
        )
    for x in (0.07, 0.2, 0.33):
        s.stroke(
            [(x * 0.5, -0.64 + x * 0.4), (x, -0.44), (x * 1.12, -0.24)],
            colour,
            width * 0.55,
            tip=width * 0.8,
            both=True,
        )
    s.stroke([(0.05, -0.77), (0.055, -0.6)], colour, 0.045, both=True)


def shieldbug(s: Sketch, p: Palette, rng: np.random.Generator) -> None:
    """A red shield bug with black stripes from head to tail."""
    legs(
        s,
        p.second,
        rng,
        "0.3 -0.34, 0.42 0.0, 0.38 0.3",
        "0.6 -0.54, 0.74 0.06, 0.66 0.52",
        "0.76 -0.72, 0.94 0.2, 0.82 0.8",
        0.045,
    )
    for side in (-1, 1):
        bow = rng.uniform(-0.05, 0.05)
        s.stroke(
            smooth([(0.1 * side, -0.7), (0.26 * side, -0.84 + bow), (0.48 * side, -0.92 + bow)], 6, closed=False),
            p.second,
            0.028,
            shadow=True,
        )
    edge = smooth(
        path(
            "0 -0.4, 0.44 -0.36, 0.56 0.06, 0.5 0.44, 0.28 0.74, 0 0.84, -0.28 0.74, -0.5 0.44, -0.56 0.06, -0.44 -0.36"
        )
    )
    s.fill(edge, p.second)
    for x, y in shrunk(edge, (0, 0.1), 0.95)[14:36:5]:
        s.oval(x, y, 0.05, 0.05, p.main, both=True)
    s.volume(smooth([(-0.1, -0.78), (0.1, -0.78), (0.17, -0.58), (-0.17, -0.58)]), p.main, at=(-0.03, -0.7))
    collar = smooth(
        path("-0.16 -0.66, 0.16 -0.66, 0.46 -0.4, 0.48 -0.24, 0.2 -0.2, -0.2 -0.2, -0.48 -0.24, -0.46 -0.4"),
        10,
    )
    s.volume(collar, p.main, at=(-0.1, -0.46), light=0.3)
    shield = smooth(
        path("-0.34 -0.24, 0.0 -0.27, 0.34 -0.24, 0.4 0.1, 0.34 0.5, 0.16 0.76, -0.16 0.76, -0.34 0.5, -0.4 0.1"),
        8,
    )
    s.volume(shield, p.main, at=(-0.1, 0.05), light=0.28)
    _long_stripes(s, p.second, rng.uniform(0.07, 0.09))
    _gloss(s, -0.16, -0.06, 0.05, 0.14, 6, 80)
