"""Contact sheets drawn with Pillow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from morphoindex.indexer.files.replacing import replacing

Pixels = NDArray[np.uint8]
TILE = 150  # side of a picture on a sheet, pixels
COLUMNS, ROWS = 8, 9
PER_PAGE = COLUMNS * ROWS
_GAP, _CAPTION, _MARGIN, _HEAD = 10, 36, 24, 74
_PAPER, _INK, _SMALL, _FAINT, _OUTLIER = (255, 255, 255), (40, 44, 52), (104, 110, 120), (232, 234, 238), (200, 32, 40)
_TEXT, _TITLE = 12, 22
_NOTHING = 3  # characters that are not worth leaving out: what says so takes as much room
_LEFT = 270  # width of the words at the left of a row


@dataclass(frozen=True, eq=False)
class Tile:
    """A picture on a sheet: pixels uint8 [h, w, 3], or why there is none; the lines below it; whether it is marked."""

    pixels: Pixels | str
    lines: tuple[str, ...]
    marked: bool = False


@dataclass(frozen=True, eq=False)
class Strip:
    """A row with words before it: the first line is set bold."""

    lines: tuple[str, ...]
    tiles: tuple[Tile, ...]


def draw_tiles(out: Path, title: str, under: str, tiles: Sequence[Tile]) -> None:
    """Draw a sheet of at most `PER_PAGE` pictures as a JPEG, replaced whole.

    Args:
        out: the file.
        title: above the pictures; under: a line under that.
        tiles: the pictures, row by row.

    Raises:
        UsageError: the file cannot be written.
    """
    rows = -(-len(tiles) // COLUMNS)
    sheet, pen = _sheet(2 * _MARGIN + COLUMNS * (TILE + _GAP) - _GAP, rows, title, under)
    for number, tile in enumerate(tiles):
        row, column = divmod(number, COLUMNS)
        _place(sheet, pen, _MARGIN + column * (TILE + _GAP), _HEAD + row * (TILE + _CAPTION + _GAP), tile)
    _save(sheet, out)


def draw_strips(out: Path, title: str, under: str, strips: Sequence[Strip]) -> None:
    """Draw rows of pictures with words before them as a JPEG, replaced whole; see `draw_tiles`."""
    sheet, pen = _sheet(2 * _MARGIN + _LEFT + COLUMNS * (TILE + _GAP) - _GAP, len(strips), title, under)
    for row, strip in enumerate(strips):
        y = _HEAD + row * (TILE + _CAPTION + _GAP)
        for number, line in enumerate(strip.lines):
            font = _font(16 if number == 0 else 13, bold=number == 0)
            pen.text((_MARGIN, y + number * 24), _clipped(line, font, _LEFT - 16), _INK, font)
        for column, tile in enumerate(strip.tiles[:COLUMNS]):
            _place(sheet, pen, _MARGIN + _LEFT + column * (TILE + _GAP), y, tile)
    _save(sheet, out)


def _sheet(width: int, rows: int, title: str, under: str) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    sheet = Image.new("RGB", (width, _HEAD + rows * (TILE + _CAPTION + _GAP) + _MARGIN), _PAPER)
    pen = ImageDraw.Draw(sheet)
    room = width - 2 * _MARGIN
    pen.text((_MARGIN, 14), _clipped(title, _font(_TITLE, bold=True), room), _INK, _font(_TITLE, bold=True))
    pen.text((_MARGIN, 44), _clipped(under, _font(13), room), _SMALL, _font(13))
    return sheet, pen


def _place(sheet: Image.Image, pen: ImageDraw.ImageDraw, x: int, y: int, tile: Tile) -> None:
    font = _font(_TEXT)
    pen.rectangle((x, y, x + TILE - 1, y + TILE - 1), _FAINT)
    if isinstance(tile.pixels, str):
        pen.line((x, y, x + TILE - 1, y + TILE - 1), _PAPER, 2)
        pen.line((x, y + TILE - 1, x + TILE - 1, y), _PAPER, 2)
        for number, line in enumerate(_wrapped(tile.pixels, font, TILE - 16)):
            pen.text((x + TILE / 2, y + TILE / 2 - 16 + number * 16), line, _INK, font, anchor="mm")
    else:
        small = Image.fromarray(tile.pixels)
        sheet.paste(small, (x + (TILE - small.width) // 2, y + (TILE - small.height) // 2))
    if tile.marked:
        pen.rectangle((x - 3, y - 3, x + TILE + 2, y + TILE + 2), outline=_OUTLIER, width=4)
    for number, line in enumerate(tile.lines):
        colour = _INK if number == 0 else _OUTLIER if tile.marked else _SMALL
        clip = _clipped if number else _clipped_within
        pen.text((x, y + TILE + 5 + number * 15), clip(line, font, TILE), colour, font)


def captions(names: Sequence[str]) -> list[str]:
    """Names as they are told below pictures: where one is too long, what all share at both ends is left out of all.

    As much of the beginning stays as there is room for: `crop_0417_ID_unknown.png`, `crop_0533_ID_unknown.png` ->
    `…p_0417…`, `…p_0533…`.
    """
    font = _font(_TEXT)
    if len(set(names)) < 2 or all(font.getlength(name) <= TILE for name in names):
        return list(names)
    head = _alike(names) if _alike(names) > _NOTHING else 0
    tail = _alike([name[head:][::-1] for name in names])

    def cut(head: int) -> list[str]:
        return [("…" if head else "") + name[head : len(name) - tail] + ("…" if tail else "") for name in names]

    while head and all(font.getlength(name) <= TILE for name in cut(head - 1)):
        head -= 1
    return cut(head)


def _alike(texts: Sequence[str]) -> int:
    """How many characters all texts begin with: `["abc", "abd"]` -> 2."""
    first, last = min(texts), max(texts)
    return next((n for n, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))


def thumbnail(pixels: Pixels) -> Pixels:
    """A picture as large as a place on a sheet takes: uint8 [h, w, 3], its longer side TILE."""
    image = Image.fromarray(pixels)
    scale = TILE / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return np.asarray(image.resize(size, Image.Resampling.LANCZOS))


def _wrapped(text: str, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    """At most four lines."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return [_clipped(line, font, width) for line in lines[:4]]


def _clipped(text: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    """A text as far as there is room for it, on one line."""
    text = " ".join(text[:400].split())
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text.rstrip() + "…"


def _clipped_within(text: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    """The same for the name of a file, whose end tells more than its middle."""
    text = " ".join(text.split())
    kept, short = min(len(text), 200), text
    while kept > 2 and font.getlength(short) > width:
        kept -= 1
        short = f"{text[: (kept + 1) // 2]}…{text[-(kept // 2) :]}"
    return short


@lru_cache(8)
def _font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which comes with matplotlib and has Greek, Cyrillic and the signs of the sexes."""
    import matplotlib

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts/ttf" / name, size)


def _save(sheet: Image.Image, out: Path) -> None:
    with replacing(out) as beside:
        sheet.save(beside, "JPEG", quality=88)
