"""Overlays, and sheets of them. Drawn with Pillow alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

INK, FAINT, PAPER = (40, 44, 52), (120, 124, 132), (255, 255, 255)
_EDGE, _GAP = 16, 8
# Ten tones of matplotlib's "inferno", which grows lighter evenly and reads in grey too.
_WARM = np.array(
    [
        (0, 0, 4), (27, 12, 65), (74, 12, 107), (120, 28, 109), (165, 44, 96), (207, 68, 70), (237, 105, 37),
        (251, 155, 6), (247, 209, 61), (252, 255, 164),
    ]
)  # fmt: skip
_ALIKE, _APART = np.array([205, 40, 32]), np.array([32, 92, 205])
_OPAQUE = 0.75  # of an overlay where it is strongest
_STEEP = 1.3  # how soon an overlay becomes opaque
_BAR = (220, 12)


@dataclass(frozen=True)
class Legend:
    """The bar below an overlay: what its two ends mean."""

    low: str
    high: str
    two_sided: bool = False


@dataclass(frozen=True)
class Tile:
    """A picture and the words below it."""

    image: Image.Image
    words: str = ""


def overlay(photograph: NDArray[np.uint8], values: NDArray[np.float32], two_sided: bool = False) -> Image.Image:
    """A grey photograph under colours.

    Args:
        photograph: uint8 [h, w, 3].
        values: float32 [h, w] within 0 and 1, two-sided within -1 and 1; NaN for what the encoder does not see,
            which fades.
        two_sided: red for what is above 0, blue for what is below; else from dark to light.
    """
    grey = np.repeat((photograph @ np.array([0.299, 0.587, 0.114]))[..., None], 3, axis=2)
    known = np.nan_to_num(values)[..., None].astype(np.float64)
    strength = np.clip(np.abs(known) * _STEEP, 0, _OPAQUE)
    colours = np.where(known > 0, _ALIKE, _APART) if two_sided else _warm(known[..., 0])
    mixed = grey * (1 - strength) + colours * strength
    unseen = np.isnan(values)[..., None]
    return Image.fromarray(np.where(unseen, 205 + grey * 0.15, mixed).clip(0, 255).astype(np.uint8))


def map_tile(values: NDArray[np.float32], size: tuple[int, int]) -> Image.Image:
    """A map of a layer by its own range, from dark to light, cell by cell; black where it is the same all over.

    Args:
        values: float32 [rows, columns].
        size: (height, width) to draw it at.
    """
    least, most = float(np.nanmin(values)), float(np.nanmax(values))
    share = (values - least) / (most - least) if most > least else np.zeros_like(values)
    cells = Image.fromarray(_warm(np.nan_to_num(share)).astype(np.uint8))
    return cells.resize((size[1], size[0]), Image.Resampling.NEAREST)


def sheet(title: str, tiles: Sequence[Tile], columns: int, legend: Legend | None = None) -> Image.Image:
    """Tiles in rows, under a title; all as high and wide as the largest."""
    plain, bold = _font(13), _font(16)
    wide, high = (max(tile.image.size[axis] for tile in tiles) for axis in (0, 1))
    foot = 20 if any(tile.words for tile in tiles) else 0
    rows = -(-len(tiles) // columns)
    across = min(columns, len(tiles))
    width = max(2 * _EDGE + across * (wide + _GAP) - _GAP, _least_width(title, legend, plain, bold))
    height = _EDGE + 30 + rows * (high + foot + _GAP) + (34 if legend else 0) + _EDGE // 2
    page = Image.new("RGB", (width, height), PAPER)
    pen = ImageDraw.Draw(page)
    pen.text((_EDGE, _EDGE + 8), title, INK, bold, anchor="lm")
    for number, tile in enumerate(tiles):
        x = _EDGE + number % columns * (wide + _GAP)
        y = _EDGE + 30 + number // columns * (high + foot + _GAP)
        page.paste(tile.image, (x + (wide - tile.image.width) // 2, y + (high - tile.image.height) // 2))
        if foot:
            pen.text((x, y + high + 4), _cut(tile.words, wide, plain), FAINT, plain, anchor="la")
    if legend:
        _draw_legend(page, pen, legend, (_EDGE, height - 34), plain)
    return page


def stacked(pages: Sequence[Image.Image]) -> Image.Image:
    """Pages, one below the other."""
    whole = Image.new("RGB", (max(p.width for p in pages), sum(p.height for p in pages)), PAPER)
    top = 0
    for page in pages:
        whole.paste(page, (0, top))
        top += page.height
    return whole


def _warm(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """0..1 -> colours [..., 3] from dark to light."""
    at = np.clip(np.asarray(values, np.float64), 0, 1) * (len(_WARM) - 1)
    low = np.minimum(at.astype(np.int64), len(_WARM) - 2)
    share = (at - low)[..., None]
    colours: NDArray[np.float64] = _WARM[low] * (1 - share) + _WARM[low + 1] * share
    return colours


def _draw_legend(
    page: Image.Image, pen: ImageDraw.ImageDraw, legend: Legend, place: tuple[int, int], font: ImageFont.FreeTypeFont
) -> None:
    x, y = place
    pen.text((x, y + _BAR[1] / 2), legend.low, INK, font, anchor="lm")
    x += int(font.getlength(legend.low)) + _GAP
    ramp = np.linspace(-1 if legend.two_sided else 0, 1, _BAR[0], dtype=np.float32)
    grey = np.full((_BAR[1], _BAR[0], 3), 190, np.uint8)
    page.paste(overlay(grey, np.tile(ramp, (_BAR[1], 1)), legend.two_sided), (x, y))
    pen.text((x + _BAR[0] + _GAP, y + _BAR[1] / 2), legend.high, INK, font, anchor="lm")


def _least_width(title: str, legend: Legend | None, plain: ImageFont.FreeTypeFont, bold: ImageFont.FreeTypeFont) -> int:
    below = plain.getlength(legend.low) + plain.getlength(legend.high) + _BAR[0] + 2 * _GAP if legend else 0
    return 2 * _EDGE + int(max(bold.getlength(title), below)) + 1


def _cut(words: str, width: int, font: ImageFont.FreeTypeFont) -> str:
    """Words that fit: a long name loses its middle."""
    if font.getlength(words) <= width:
        return words
    kept = len(words)
    while kept > 4 and font.getlength(f"{words[: kept // 2]}…{words[-(kept - kept // 2) :]}") > width:
        kept -= 1
    return f"{words[: kept // 2]}…{words[-(kept - kept // 2) :]}"


def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)  # Pillow's wheels have FreeType
    return font
