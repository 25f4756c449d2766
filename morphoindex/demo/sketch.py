"""Vector shapes: what a form draws, in units of its own, before it becomes pixels.

A form (see `wings`, `beetles`, `guests`) draws with the head up: x to the right, y down, the whole animal
within about -1 … 1. A `View` then says where, how large and how turned it stands in the picture.
"""

from __future__ import annotations

import colorsys
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

Points = npt.NDArray[np.float64]
Colour = tuple[int, int, int]
Corners = Sequence[tuple[float, float]]

WHITE: Colour = (255, 255, 255)
BLACK: Colour = (0, 0, 0)
SUPERSAMPLING = 2
_CIRCLE = np.linspace(0.0, 2.0 * math.pi, 36, endpoint=False)
_MIRROR = np.array([-1.0, 1.0])


def points(corners: Corners | Points) -> Points:
    """Make an array [n, 2] of corners."""
    return np.asarray(corners, dtype=np.float64)


@lru_cache(maxsize=256)
def path(text: str) -> Points:
    """Read the corners of an outline: `"0 -0.4, 0.44 -0.36"` -> [[0, -0.4], [0.44, -0.36]]."""
    corners = np.array([[float(number) for number in pair.split()] for pair in text.split(",")])
    corners.setflags(write=False)
    return corners


def smooth(corners: Corners | Points, steps: int = 8, closed: bool = True) -> Points:
    """Lay a Catmull-Rom curve through the corners.

    Args:
        corners: [n, 2], at least three of them.
        steps: points drawn per corner.
        closed: whether the curve returns to its first corner.

    Returns:
        [n * steps, 2] when closed, [(n - 1) * steps + 1, 2] when open.
    """
    p = points(corners)
    n = len(p)
    t = (np.arange(steps) / steps)[None, :, None]
    before, start, end, after = (np.roll(p, k, axis=0)[:, None, :] for k in (1, 0, -1, -2))
    if not closed:
        order = np.clip(np.arange(-1, n + 2), 0, n - 1)
        before, start, end, after = (p[order[k : k + n - 1]][:, None, :] for k in range(4))
    curve = 0.5 * (
        2 * start
        + (end - before) * t
        + (2 * before - 5 * start + 4 * end - after) * t**2
        + (3 * start - before - 3 * end + after) * t**3
    )
    flat: Points = curve.reshape(-1, 2)
    return flat if closed else np.concatenate([flat, p[-1:]])


def shrunk(outline: Points, centre: tuple[float, float], factor: float) -> Points:
    """Scale an outline about a point: factor 1 leaves it, 0 draws it into the point."""
    c = np.asarray(centre)
    scaled: Points = c + factor * (outline - c)
    return scaled


def oval(x: float, y: float, rx: float, ry: float, turn: float = 0.0) -> Points:
    """An ellipse as 36 points, turned by `turn` degrees."""
    a = math.radians(turn)
    u, v = rx * np.cos(_CIRCLE), ry * np.sin(_CIRCLE)
    return np.stack([x + u * math.cos(a) - v * math.sin(a), y + u * math.sin(a) + v * math.cos(a)], axis=1)


def mix(one: Colour, other: Colour, share: float) -> Colour:
    """Blend two colours: share 0 gives the first, 1 the second."""
    r, g, b = (round(p + (q - p) * share) for p, q in zip(one, other, strict=True))
    return r, g, b


@dataclass(frozen=True)
class Tint:
    """How the colours of one individual differ from those of its species."""

    hue: float = 0.0
    saturation: float = 1.0
    value: float = 1.0

    def __call__(self, colour: Colour) -> Colour:
        """Shift one colour."""
        h, s, v = colorsys.rgb_to_hsv(*(c / 255 for c in colour))
        rgb = colorsys.hsv_to_rgb((h + self.hue) % 1.0, min(1.0, s * self.saturation), min(1.0, v * self.value))
        return round(rgb[0] * 255), round(rgb[1] * 255), round(rgb[2] * 255)


@dataclass(frozen=True)
class View:
    """Where a sketch stands in the picture: centre and scale in pixels, turn in degrees, and its proportions."""

    centre: tuple[float, float]
    scale: float
    turn: float = 0.0
    wide: float = 1.0
    long: float = 1.0
    bend: float = 0.0

    def place(self, p: Points) -> Points:
        """Carry points [n, 2] of the sketch into the picture."""
        x = p[:, 0] * self.wide + self.bend * p[:, 1] ** 2
        y = p[:, 1] * self.long
        a = math.radians(self.turn)
        c, s = self.scale * math.cos(a), self.scale * math.sin(a)
        return np.stack([self.centre[0] + c * x - s * y, self.centre[1] + s * x + c * y], axis=1)


@dataclass(frozen=True)
class Shape:
    """One filled polygon of a sketch."""

    outline: Points
    colour: Colour
    alpha: int
    shadow: bool


class Sketch:
    """A list of filled shapes, drawn in the order they were added."""

    def __init__(self) -> None:
        self.shapes: list[Shape] = []

    def fill(
        self, outline: Points, colour: Colour, *, alpha: int = 255, both: bool = False, shadow: bool = True
    ) -> None:
        """Add a polygon; `both` adds its mirror image about x = 0 too, `shadow` says whether it casts one."""
        self.shapes.append(Shape(outline, colour, alpha, shadow))
        if both:
            self.shapes.append(Shape(outline * _MIRROR, colour, alpha, shadow))

    def oval(
        self,
        x: float,
        y: float,
        rx: float,
        ry: float,
        colour: Colour,
        *,
        turn: float = 0.0,
        alpha: int = 255,
        both: bool = False,
    ) -> None:
        """Add an ellipse that casts no shadow: a spot, an eye, a highlight."""
        self.fill(oval(x, y, rx, ry, turn), colour, alpha=alpha, both=both, shadow=False)

    def stroke(
        self,
        path: Corners | Points,
        colour: Colour,
        width: float,
        *,
        tip: float | None = None,
        alpha: int = 255,
        both: bool = False,
        shadow: bool = False,
    ) -> None:
        """Add a line along the points, `width` thick at the start and `tip` at the end."""
        p = points(path)
        along = np.gradient(p, axis=0)
        along /= np.maximum(np.hypot(along[:, 0], along[:, 1]), 1e-9)[:, None]
        half = np.linspace(width, width if tip is None else tip, len(p))[:, None] / 2
        side = np.stack([-along[:, 1], along[:, 0]], axis=1) * half
        self.fill(np.concatenate([p + side, (p - side)[::-1]]), colour, alpha=alpha, both=both, shadow=shadow)

    def swing(self, since: int, root: tuple[float, float], degrees: float) -> None:
        """Turn the shapes added since there were `since` of them about a joint, left and right as mirror images."""
        a = math.radians(degrees)
        for k, shape in enumerate(self.shapes[since:], start=since):
            side = 1.0 if shape.outline[:, 0].mean() >= 0 else -1.0
            joint = np.array([side * root[0], root[1]])
            c, s = math.cos(a), side * math.sin(a)
            self.shapes[k] = replace(shape, outline=joint + (shape.outline - joint) @ np.array([[c, s], [-s, c]]))

    def volume(
        self,
        outline: Points,
        colour: Colour,
        *,
        at: tuple[float, float],
        light: float = 0.45,
        edge: float = 0.25,
        steps: int = 10,
        both: bool = False,
    ) -> None:
        """Add a rounded body: the outline, dark at the edge and lighter towards the point `at`."""
        dark = mix(colour, (10, 8, 12), edge)
        bright = mix(colour, (255, 252, 240), light)
        for k in range(steps):
            share = k / (steps - 1)
            shade = mix(dark, colour, share * 2) if share <= 0.5 else mix(colour, bright, share * 2 - 1)
            self.fill(shrunk(outline, at, 1 - 0.86 * share**0.85), shade, both=both, shadow=k == 0)

    def ball(
        self,
        x: float,
        y: float,
        rx: float,
        ry: float,
        colour: Colour,
        *,
        turn: float = 0.0,
        light: float = 0.4,
        edge: float = 0.25,
        both: bool = False,
    ) -> None:
        """Add a rounded ellipse, lit from the upper left."""
        at = (x - 0.3 * rx, y - 0.3 * ry)
        self.volume(oval(x, y, rx, ry, turn), colour, at=at, light=light, edge=edge, both=both)


def _flat(outline: Points) -> list[float]:
    flat: list[float] = outline.ravel().tolist()
    return flat


def render(
    sketch: Sketch, background: Image.Image, view: View, tint: Tint, sun: float = 0.0, shadow: float = 0.45
) -> Image.Image:
    """Draw a sketch, with its shadow, over a background.

    Args:
        sketch: the shapes, in units of their own.
        background: RGB, of the size of the picture.
        view: where the sketch stands, in pixels of the background.
        tint: what to do to every colour of the sketch.
        sun: turns the direction in which the shadow falls, degrees; 0 is down and to the right.
        shadow: darkness of the shadow, 0 … 1.

    Returns:
        A new RGB image of the same size, antialiased by drawing at twice the size.
    """
    placed = view.place(np.concatenate([s.outline for s in sketch.shapes]))
    parts = np.split(placed, np.cumsum([len(s.outline) for s in sketch.shapes])[:-1])
    mask = Image.new("L", background.size, 0)
    pen = ImageDraw.Draw(mask)
    away = math.radians(57 + sun)
    fall = 0.065 * view.scale * np.array([math.cos(away), math.sin(away)])
    for shape, part in zip(sketch.shapes, parts, strict=True):
        if shape.shadow:
            pen.polygon(_flat(part + fall), fill=round(min(shape.alpha, 255) * shadow))
    picture = background.copy()
    picture.paste((18, 16, 28), mask=mask.filter(ImageFilter.GaussianBlur(0.035 * view.scale)))
    width, height = picture.size
    large = picture.resize((width * SUPERSAMPLING, height * SUPERSAMPLING), Image.Resampling.BILINEAR)
    brush = ImageDraw.Draw(large, "RGBA")
    tinted = {colour: tint(colour) for colour in dict.fromkeys(s.colour for s in sketch.shapes)}
    for shape, part in zip(sketch.shapes, parts, strict=True):
        brush.polygon(_flat(part * SUPERSAMPLING), fill=(*tinted[shape.colour], shape.alpha))
    return large.reduce(SUPERSAMPLING)
