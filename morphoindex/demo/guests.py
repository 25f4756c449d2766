"""The forms that come to flowers and grass: a bumblebee, a wasp, a hoverfly, a bush-cricket."""

from __future__ import annotations

import numpy as np

from morphoindex.demo.beetles import legs
from morphoindex.demo.sketch import BLACK, WHITE, Colour, Corners, Sketch, mix, oval, path, shrunk, smooth
from morphoindex.demo.species import Palette


def _fur(
    s: Sketch,
    x: float,
    y: float,
    rx: float,
    ry: float,
    colour: Colour,
    rng: np.random.Generator,
    count: int = 90,
    hair: float = 0.09,
) -> None:
    """A furry ball: an ellipse with hairs that stand out all round and lie over it."""
    s.fill(oval(x, y, rx, ry), mix(colour, BLACK, 0.2))
    around = np.linspace(0, 2 * np.pi, count, endpoint=False) + rng.normal(0, 0.05, count)
    for k, a in enumerate(around):
        depth = 0.94 if k % 2 else rng.uniform(0.35, 0.9)
        root = np.array([x + depth * rx * np.cos(a), y + depth * ry * np.sin(a)])
        out = np.array([np.cos(a), np.sin(a)]) * hair * rng.uniform(0.6, 1.1)
        side = np.array([-out[1], out[0]]) * 0.16
        shade = mix(colour, WHITE if np.sin(a + 0.8) < 0 else BLACK, rng.uniform(0.0, 0.22))
        s.fill(np.stack([root - side, root + out, root + side]), shade, shadow=False)


def _clear_wing(s: Sketch, corners: Corners, colour: Colour, vein: Colour, alpha: int = 130) -> None:
    """A clear wing with a few veins; the first corner is the root."""
    outline, root = smooth(corners), corners[0]
    s.fill(outline, colour, alpha=alpha, both=True)
    s.fill(shrunk(outline, corners[2], 0.5), WHITE, alpha=36, both=True, shadow=False)
    for k in (14, 22, 29):
        end = outline[k % len(outline)]
        s.stroke(
            smooth([root, (np.asarray(root) + end) / 2 + (0.0, -0.015), end], 5, closed=False),
            vein,
            0.011,
            alpha=180,
            both=True,
        )
    s.stroke(shrunk(outline, root, 0.7)[12:30], vein, 0.009, alpha=140, both=True)
    s.stroke(np.concatenate([outline, outline[:1]]), vein, 0.012, alpha=190, both=True)


def bumblebee(s: Sketch, p: Palette, rng: np.random.Generator) -> None:
    """Furry: a yellow collar, a yellow belt, a white tail."""
    legs(
        s,
        p.body,
        rng,
        "0.22 -0.3, 0.26 -0.1, 0.24 0.1",
        "0.5 -0.5, 0.58 0.02, 0.5 0.4",
        "0.62 -0.7, 0.74 0.2, 0.62 0.72",
        0.07,
    )
    for side in (-1, 1):
        s.stroke(smooth([(0.06 * side, -0.68), (0.2 * side, -0.82), (0.3 * side, -0.8)], 5, closed=False), p.body, 0.03)
    for y, rx, ry, colour in (
        (0.6, 0.24, 0.17, p.mark),
        (0.44, 0.34, 0.18, p.body),
        (0.24, 0.4, 0.17, p.second),
        (0.08, 0.38, 0.15, p.body),
    ):
        _fur(s, 0, y, rx, ry, colour, rng)
    _fur(s, 0, -0.58, 0.2, 0.14, p.body, rng, 50, 0.06)
    s.ball(0.16, -0.6, 0.04, 0.08, BLACK, turn=20, light=0.4, both=True)
    _fur(s, 0, -0.22, 0.33, 0.26, p.body, rng)
    _fur(s, 0, -0.36, 0.31, 0.13, p.second, rng, 70, 0.08)
    lift = rng.uniform(-0.05, 0.05)
    hind: Corners = ((0.2, -0.08), (0.5, 0.02 + lift), (0.72, 0.2 + lift), (0.62, 0.3 + lift), (0.34, 0.14))
    fore: Corners = (
        (0.2, -0.18),
        (0.56, -0.26 + lift),
        (0.94, -0.06 + lift),
        (0.94, 0.12 + lift),
        (0.6, 0.1 + lift),
        (0.3, -0.04),
    )
    _clear_wing(s, hind, p.accent, (70, 60, 56), 150)
    _clear_wing(s, fore, p.accent, (70, 60, 56), 150)


def _banded_abdomen(s: Sketch, p: Palette, rng: np.random.Generator) -> None:
    abdomen = smooth(
        path("0 0.0, 0.07 0.04, 0.22 0.24, 0.22 0.5, 0.1 0.8, 0 0.94, -0.1 0.8, -0.22 0.5, -0.22 0.24, -0.07 0.04"),
        8,
    )
    s.volume(abdomen, p.second, at=(-0.06, 0.4), light=0.25)
    for y, half in ((0.22, 0.2), (0.37, 0.215), (0.52, 0.2), (0.66, 0.15), (0.79, 0.095)):
        y, dip = y + rng.normal(0, 0.006), 0.03 * rng.uniform(0.5, 1.4)
        s.stroke(
            smooth([(-half, y), (-half / 2, y + dip), (0, y), (half / 2, y + dip), (half, y)], 6, closed=False),
            p.main,
            0.066,
        )


def wasp(s: Sketch, p: Palette, rng: np.random.Generator) -> None:
    """A paper wasp: narrow waist, pointed abdomen with yellow bands, amber wings held apart."""
    legs(
        s,
        p.mark,
        rng,
        "0.12 -0.36, 0.14 -0.2, 0.12 -0.08",
        "0.44 -0.52, 0.5 -0.1, 0.4 0.24",
        "0.6 -0.74, 0.7 0.12, 0.54 0.72",
        0.05,
    )
    for side in (-1, 1):
        bow = rng.uniform(-0.04, 0.04)
        s.stroke(
            smooth([(0.05 * side, -0.68), (0.2 * side + bow, -0.84), (0.36 * side + bow, -0.86)], 6, closed=False),
            p.mark,
            0.035,
            tip=0.045,
            shadow=True,
        )
    _banded_abdomen(s, p, rng)
    s.stroke([(0, -0.1), (0, 0.06)], p.second, 0.07)
    s.ball(0, -0.3, 0.17, 0.24, p.second, light=0.25)
    for x, y, rx, ry, turn in (
        (0.07, -0.45, 0.06, 0.022, 30),
        (0.06, -0.16, 0.05, 0.022, -12),
        (0.06, -0.08, 0.04, 0.02, 0),
        (0.06, -0.28, 0.018, 0.06, 0),
    ):
        s.oval(x, y, rx, ry, p.main, turn=turn, both=True)
    s.ball(0, -0.62, 0.15, 0.1, p.second, light=0.2)
    s.oval(0, -0.66, 0.06, 0.045, p.main)
    s.ball(0.12, -0.62, 0.04, 0.075, (40, 26, 20), turn=15, both=True)
    spread = rng.uniform(-0.06, 0.06)
    fore: Corners = (
        (0.13, -0.34),
        (0.5, -0.26 + spread),
        (0.86, 0.06 + spread),
        (0.9, 0.24 + spread),
        (0.62, 0.16 + spread),
        (0.2, -0.2),
    )
    hind: Corners = ((0.12, -0.2), (0.38, -0.02), (0.62, 0.3 + spread), (0.52, 0.36 + spread), (0.2, -0.02))
    _clear_wing(s, hind, p.accent, (90, 54, 24), 140)
    _clear_wing(s, fore, p.accent, (90, 54, 24), 150)


def hoverfly(s: Sketch, p: Palette, rng: np.random.Generator) -> None:
    """A slender hoverfly: large red eyes, orange and black bands, two wings."""
    legs(
        s,
        p.main,
        rng,
        "0.14 -0.36, 0.17 -0.2, 0.15 -0.06",
        "0.34 -0.56, 0.42 -0.16, 0.34 0.2",
        "0.44 -0.72, 0.56 0.04, 0.4 0.5",
        0.032,
    )
    abdomen = smooth(
        path("-0.12 0.0, 0.12 0.0, 0.19 0.2, 0.2 0.5, 0.12 0.78, 0 0.86, -0.12 0.78, -0.2 0.5, -0.19 0.2"),
        8,
    )
    s.volume(abdomen, p.main, at=(-0.05, 0.35), light=0.35)
    for y, half, width in (
        (0.07, 0.14, 0.07),
        (0.24, 0.185, 0.03),
        (0.36, 0.195, 0.07),
        (0.5, 0.19, 0.028),
        (0.61, 0.17, 0.06),
        (0.74, 0.12, 0.03),
    ):
        y, width = y + rng.normal(0, 0.008), width * rng.uniform(0.8, 1.25)
        s.stroke(smooth([(-half, y - 0.015), (0, y + 0.02), (half, y - 0.015)], 6, closed=False), p.second, width)
    s.ball(0, -0.26, 0.2, 0.25, p.body, light=0.45)
    for x in (0.05, 0.13):
        s.stroke([(x, -0.44), (x, -0.1)], mix(p.body, BLACK, 0.45), 0.02, alpha=140, both=True)
    s.fill(smooth([(-0.1, -0.06), (0.1, -0.06), (0.0, 0.04)]), (206, 176, 70), shadow=False)
    s.oval(0, -0.58, 0.08, 0.08, (226, 190, 90))
    s.ball(0.1, -0.58, 0.115, 0.125, p.mark, turn=-18, light=0.45, both=True)
    s.stroke([(0.025, -0.68), (0.05, -0.76)], p.second, 0.03, tip=0.018, both=True)
    lift = rng.uniform(-0.08, 0.08)
    wing: Corners = (
        (0.17, -0.3),
        (0.5, -0.34 + lift),
        (0.94, -0.2 + lift),
        (1.04, -0.04 + lift),
        (0.74, 0.04 + lift),
        (0.34, -0.12),
    )
    _clear_wing(s, wing, p.accent, (96, 74, 50), 150)


def _perch(s: Sketch, sway: float) -> None:
    grass = smooth([(-1.7, 0.62 + sway), (-0.2, 0.51), (1.7, 0.56 - sway)], 12, closed=False)
    s.stroke(grass, (122, 134, 62), 0.085, shadow=True)
    s.stroke(grass - (0, 0.012), (164, 172, 90), 0.04)


def _jumping_leg(s: Sketch, p: Palette, rng: np.random.Generator) -> None:
    x, y = 0.34 + rng.normal(0, 0.03), -0.42 + rng.normal(0, 0.03)
    thigh = [(-0.16, 0.12), (-0.02, -0.1), (x, y - 0.02), (x + 0.03, y + 0.03), (0.12, 0.0), (-0.08, 0.16)]
    s.volume(smooth(thigh), p.main, at=(0.02, -0.04), edge=0.4)
    s.stroke([(x, y), (0.62, 0.44), (0.72, 0.46)], p.second, 0.036, tip=0.02, shadow=True)


def bushcricket(s: Sketch, p: Palette, rng: np.random.Generator) -> None:
    """A great green bush-cricket seen from the side: long wings, jumping legs, very long antennae."""
    sway = rng.uniform(-0.06, 0.06)
    _perch(s, sway)
    for k, top in enumerate((-0.62, -0.48)):
        feeler = smooth(
            [(-0.72, -0.1), (-0.62, -0.5 + sway), (-0.2, top - 0.18 + sway), (0.4 + 0.2 * k, top + sway)],
            8,
            closed=False,
        )
        s.stroke(feeler, p.mark, 0.016, tip=0.006)
    for hip, knee, foot in (((-0.46, 0.08), (-0.66, 0.2), (-0.74, 0.48)), ((-0.3, 0.1), (-0.3, 0.28), (-0.42, 0.5))):
        knee = (knee[0] + rng.normal(0, 0.03), knee[1] + rng.normal(0, 0.02))
        s.stroke([hip, knee], p.second, 0.05, tip=0.035, shadow=True)
        s.stroke([knee, foot, (foot[0] - 0.08, foot[1] + 0.01)], p.second, 0.034, tip=0.018, shadow=True)
    belly = smooth([(-0.4, -0.06), (0.1, -0.04), (0.48, 0.04), (0.44, 0.12), (0.1, 0.18), (-0.36, 0.14)])
    s.volume(belly, p.accent, at=(-0.1, 0.04), light=0.2)
    for x in np.linspace(-0.24, 0.36, 8):
        s.stroke([(x, -0.02), (x + 0.02, 0.14)], p.second, 0.01, alpha=150)
    wing = smooth([(-0.44, -0.16), (0.0, -0.2), (0.6, -0.1), (0.96, 0.02), (0.92, 0.08), (0.4, 0.06), (-0.3, 0.06)], 8)
    s.volume(wing, p.main, at=(0.1, -0.08), light=0.22)
    for k in range(10, 26, 3):
        s.stroke(
            smooth([(-0.42, -0.06), (0.2, -0.06 + 0.006 * (k - 18)), wing[k]], 6, closed=False),
            p.second,
            0.009,
            alpha=170,
        )
    s.stroke(smooth([(-0.44, -0.17), (0.0, -0.205), (0.5, -0.13)], 6, closed=False), p.mark, 0.022, alpha=200)
    saddle = smooth([(-0.66, -0.18), (-0.4, -0.2), (-0.3, -0.12), (-0.36, 0.08), (-0.56, 0.1), (-0.66, 0.0)])
    s.volume(saddle, p.body, at=(-0.52, -0.1), light=0.35)
    s.stroke([(-0.64, -0.17), (-0.38, -0.19)], p.mark, 0.022, alpha=200)
    s.volume(
        smooth([(-0.74, -0.16), (-0.62, -0.18), (-0.58, 0.02), (-0.66, 0.14), (-0.76, 0.08)]),
        p.body,
        at=(-0.68, -0.06),
        light=0.3,
    )
    s.ball(-0.72, -0.1, 0.032, 0.04, (70, 50, 30), light=0.5)
    _jumping_leg(s, p, rng)
