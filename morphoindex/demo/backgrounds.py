"""What stands behind the animals: paper with a label, leaves, wood, sky, blossoms, night.

Every background is a function of a random generator, a size in pixels and a base colour.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from morphoindex.demo.sketch import BLACK, WHITE, Colour, mix, path, smooth

Size = tuple[int, int]
Pixels = npt.NDArray[np.float32]
Background = Callable[[np.random.Generator, Size, Colour], Image.Image]


def _grid(rng: np.random.Generator, size: Size, cells: Size, strength: float) -> Pixels:
    """Soft noise [h, w, 1]: random values on a coarse grid, interpolated."""
    values = rng.uniform(-strength, strength, (cells[1], cells[0])).astype(np.float32)
    return np.asarray(Image.fromarray(values).resize(size, Image.Resampling.BICUBIC), dtype=np.float32)[:, :, None]


@lru_cache(maxsize=64)
def _vignette(size: Size) -> Pixels:
    y, x = np.mgrid[-1 : 1 : size[1] * 1j, -1 : 1 : size[0] * 1j]
    return np.asarray(1.0 - 0.16 * np.clip(x**2 + y**2 - 0.3, 0.0, None), dtype=np.float32)[:, :, None]


def _image(pixels: Pixels) -> Image.Image:
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _plain(rng: np.random.Generator, size: Size, base: Colour, mottle: float, cells: Size = (7, 6)) -> Pixels:
    plain = np.asarray(base, dtype=np.float32) + _grid(rng, size, cells, mottle)
    lit: Pixels = plain * _vignette(size)
    return lit


def _gradient(size: Size, top: Colour, bottom: Colour) -> Pixels:
    share = np.linspace(0, 1, size[1], dtype=np.float32)[:, None, None]
    one, other = np.asarray(top, dtype=np.float32), np.asarray(bottom, dtype=np.float32)
    rows = one + (other - one) * share
    return np.repeat(rows, size[0], axis=1)


def paper(rng: np.random.Generator, size: Size, base: Colour) -> Image.Image:
    """Drawer paper with the printed label of a collection."""
    image = _image(_plain(rng, size, base, 5.0) + _grid(rng, size, (90, 70), 3.0))
    w, h = size
    pen = ImageDraw.Draw(image)
    width, height = round(0.17 * w), round(0.11 * h)
    x, y = round(w * rng.uniform(0.74, 0.76)), round(h * rng.uniform(0.81, 0.83))
    pen.rectangle((x + 2, y + 2, x + width + 2, y + height + 2), fill=mix(base, BLACK, 0.22))
    pen.rectangle((x, y, x + width, y + height), fill=(252, 250, 242), outline=(150, 144, 130))
    for row in range(3):
        line = y + round(height * (0.26 + 0.25 * row))
        pen.line((x + 5, line, x + 5 + round((width - 10) * rng.uniform(0.5, 1.0)), line), fill=(96, 92, 90))
    return image.filter(ImageFilter.GaussianBlur(0.5))


def leaf(rng: np.random.Generator, size: Size, base: Colour) -> Image.Image:
    """The upper side of a leaf: a midrib, side veins, mottled green."""
    w, h = size
    image = _image(_plain(rng, size, base, 16.0))
    pen = ImageDraw.Draw(image)
    tilt = rng.uniform(-0.4, 0.4)
    start, end = (w * (0.5 - tilt), -10.0), (w * (0.5 + tilt), h + 10.0)
    vein, groove = mix(base, (236, 246, 190), 0.45), mix(base, BLACK, 0.28)
    for k in range(-1, 9):
        t = k / 8
        x, y = start[0] + (end[0] - start[0]) * t, start[1] + (end[1] - start[1]) * t
        for side in (-1, 1):
            vein_line = [(x, y), (x + side * w * 0.3, y - h * 0.13), (x + side * w * 0.75, y - h * 0.42)]
            curve = smooth(vein_line, 6, closed=False)
            pen.line((curve + 2).ravel().tolist(), fill=groove, width=2)
            pen.line(curve.ravel().tolist(), fill=vein, width=2)
    pen.line((start[0] + 4, start[1], end[0] + 4, end[1]), fill=groove, width=4)
    pen.line((*start, *end), fill=vein, width=5)
    return image.filter(ImageFilter.GaussianBlur(1.3))


def wood(rng: np.random.Generator, size: Size, base: Colour) -> Image.Image:
    """A weathered trunk: grain along the picture, a few cracks."""
    w, h = size
    grain = _grid(rng, size, (52, 4), 20.0) + _grid(rng, size, (120, 9), 12.0)
    image = _image(_plain(rng, size, base, 8.0) + grain)
    pen = ImageDraw.Draw(image)
    for _ in range(7):
        x, y, length = rng.uniform(0, w), rng.uniform(-0.3 * h, h), rng.uniform(0.3, 0.8) * h
        crack = [(x, y), (x + rng.uniform(-7, 7), y + length / 2), (x + rng.uniform(-7, 7), y + length)]
        pen.line(
            smooth(crack, 8, closed=False).ravel().tolist(), fill=mix(base, BLACK, 0.6), width=int(rng.integers(1, 4))
        )
    return image.filter(ImageFilter.GaussianBlur(0.8))


def sky(rng: np.random.Generator, size: Size, base: Colour) -> Image.Image:
    """A clear sky with thin clouds."""
    clouds = np.clip(_grid(rng, size, (6, 9), 1.0) + 0.1, 0, 1) * 46
    return _image(_gradient(size, mix(base, (40, 90, 180), 0.3), mix(base, WHITE, 0.55)) + clouds)


def water(rng: np.random.Generator, size: Size, base: Colour) -> Image.Image:
    """A quiet brook, with reeds out of focus."""
    w, h = size
    ripples = _grid(rng, size, (4, 26), 15.0) + _grid(rng, size, (7, 44), 6.0)
    image = _image(_gradient(size, mix(base, WHITE, 0.3), mix(base, BLACK, 0.25)) + ripples)
    pen = ImageDraw.Draw(image)
    for _ in range(4):
        x = rng.uniform(0, w)
        pen.line(
            (x, h + 5, x + rng.uniform(-40, 40), rng.uniform(0, 0.5) * h), fill=mix(base, (120, 150, 70), 0.55), width=5
        )
    return image.filter(ImageFilter.GaussianBlur(4))


def _discs(
    rng: np.random.Generator, image: Image.Image, colours: tuple[Colour, ...], count: int, radius: float
) -> None:
    pen = ImageDraw.Draw(image, "RGBA")
    w, h = image.size
    for k in range(count):
        x, y, r = rng.uniform(0, w), rng.uniform(0, h), radius * rng.uniform(0.5, 1.2)
        pen.ellipse((x - r, y - r, x + r, y + r), fill=(*colours[k % len(colours)], int(rng.integers(70, 150))))


def meadow(rng: np.random.Generator, size: Size, base: Colour) -> Image.Image:
    """A meadow out of focus: soft discs of light and blades of grass."""
    image = _image(_plain(rng, size, base, 24.0, (5, 4)))
    _discs(
        rng,
        image,
        (mix(base, WHITE, 0.3), mix(base, (250, 240, 120), 0.35), mix(base, BLACK, 0.16)),
        26,
        0.11 * size[0],
    )
    image = image.filter(ImageFilter.GaussianBlur(5))
    pen = ImageDraw.Draw(image, "RGBA")
    w, h = size
    for _ in range(8):
        x = rng.uniform(-0.1, 1.1) * w
        blade = [
            (x, h + 5.0),
            (x + rng.uniform(-18, 18), 0.6 * h),
            (x + rng.uniform(-50, 50), rng.uniform(0.0, 0.4) * h),
        ]
        pen.line(smooth(blade, 8, closed=False).ravel().tolist(), fill=(*mix(base, (70, 110, 30), 0.5), 120), width=4)
    return image.filter(ImageFilter.GaussianBlur(1.8))


def blossom(rng: np.random.Generator, size: Size, base: Colour) -> Image.Image:
    """A head of many small flowers, as of an umbel, lilac or buddleia."""
    w, h = size
    image = _image(_plain(rng, size, mix(base, (60, 96, 50), 0.55), 16.0))
    pen = ImageDraw.Draw(image)
    step = rng.uniform(0.1, 0.16) * w
    for row in range(-1, math.ceil(h / step) + 2):
        for column in range(-1, 12):
            x = (column + 0.5 * (row % 2)) * step + rng.uniform(-0.2, 0.2) * step
            y = row * step * 0.9 + rng.uniform(-0.2, 0.2) * step
            r, first, shade = step * rng.uniform(0.24, 0.32), rng.uniform(0, 72), rng.uniform(-0.14, 0.22)
            petal = mix(base, WHITE, shade) if shade > 0 else mix(base, BLACK, -shade)
            for k in range(5):
                a = math.radians(first + 72 * k)
                px, py = x + r * math.cos(a), y + r * math.sin(a)
                pen.ellipse((px - r * 0.8, py - r * 0.8, px + r * 0.8, py + r * 0.8), fill=petal)
            pen.ellipse((x - r * 0.4, y - r * 0.4, x + r * 0.4, y + r * 0.4), fill=mix(base, (240, 214, 90), 0.6))
    return image.filter(ImageFilter.GaussianBlur(1.6))


def daisy(rng: np.random.Generator, size: Size, base: Colour) -> Image.Image:
    """One large daisy, seen from above: white rays about a yellow disc."""
    w, h = size
    image = _image(_plain(rng, size, (74, 112, 58), 20.0))
    pen = ImageDraw.Draw(image)
    x, y = w * rng.uniform(0.4, 0.6), h * rng.uniform(0.45, 0.65)
    reach, first = 0.62 * w, rng.uniform(0, 30)
    for k in range(22):
        a = math.radians(first + k * 360 / 22 + rng.uniform(-3, 3))
        u, v = np.array([math.cos(a), math.sin(a)]), np.array([-math.sin(a), math.cos(a)])
        r = reach * rng.uniform(0.92, 1.05)
        petal = path("0.1 -0.04, 0.7 -0.1, 1 0, 0.7 0.1, 0.1 0.04") * r
        ray = smooth(np.array([x, y]) + petal[:, :1] * u + petal[:, 1:] * v)
        pen.polygon(ray.ravel().tolist(), fill=mix(WHITE, base, rng.uniform(0.0, 0.14)), outline=(196, 198, 206))
    for k in range(9):
        r = 0.3 * w * (1 - k / 11)
        pen.ellipse((x - r, y - r, x + r, y + r), fill=mix((206, 140, 20), base, k / 8))
    return image.filter(ImageFilter.GaussianBlur(1.5))


def stone(rng: np.random.Generator, size: Size, base: Colour) -> Image.Image:
    """Sun-lit stone: speckles and lichen."""
    image = _image(_plain(rng, size, base, 14.0) + _grid(rng, size, (80, 64), 22.0))
    _discs(
        rng, image, (mix(base, (214, 190, 90), 0.5), mix(base, WHITE, 0.4), mix(base, BLACK, 0.3)), 16, 0.035 * size[0]
    )
    return image.filter(ImageFilter.GaussianBlur(1.0))


def night(rng: np.random.Generator, size: Size, base: Colour) -> Image.Image:
    """A clear night: a moonlit sky with stars."""
    w, h = size
    image = _image(
        _gradient(size, mix(base, BLACK, 0.35), mix(base, (110, 120, 190), 0.25)) + _grid(rng, size, (6, 5), 7.0)
    )
    pen = ImageDraw.Draw(image)
    for _ in range(46):
        x, y, r = rng.uniform(0, w), rng.uniform(0, h), rng.uniform(0.3, 1.3)
        pen.ellipse((x - r, y - r, x + r, y + r), fill=mix(base, (255, 250, 225), rng.uniform(0.4, 1.0)))
    return image.filter(ImageFilter.GaussianBlur(0.6))


BACKGROUNDS: dict[str, Background] = {
    "paper": paper,
    "leaf": leaf,
    "wood": wood,
    "sky": sky,
    "water": water,
    "meadow": meadow,
    "blossom": blossom,
    "daisy": daisy,
    "stone": stone,
    "night": night,
}
