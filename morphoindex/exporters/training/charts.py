"""The pictures of a training: loss curve, sheet of images, confusion matrix. Drawn with Pillow alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

Pixels = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]
INK, FAINT, PAPER = (40, 44, 52), (222, 224, 228), (255, 255, 255)
LINES: tuple[Colour, ...] = ((38, 98, 178), (214, 94, 32), (44, 140, 84), (140, 82, 170))
DEEP = (24, 78, 146)  # of a full cell in a confusion matrix
_MOST_NUMBERED = 40  # classes: above, cells are too small for numbers
_LONGEST_NAME = 32


def draw_curves(path: Path, title: str, curves: Mapping[str, Sequence[float]], unit: str = "epoch") -> None:
    """Draw lines over the epochs 1, 2, 3, ...

    Args:
        path: of the PNG, replaced whole.
        title: above the lines.
        curves: name -> a value per epoch; values that are not finite leave a gap.
        unit: of the axis below.
    """
    scale = 2  # drawn twice as large and shrunk: smooth lines
    width, height, left, top, right, bottom = (n * scale for n in (760, 420, 74, 46, 24, 50))
    image = Image.new("RGB", (width, height), PAPER)
    pen = ImageDraw.Draw(image)
    plain, bold = _font(13 * scale), _font(16 * scale)
    values = [value for curve in curves.values() for value in curve if math.isfinite(value)] or [0.0]
    ticks = _ticks(min(0.0, *values), max(values))
    length = max(2, *(len(curve) for curve in curves.values()))

    def at(epoch: float, value: float) -> tuple[float, float]:
        across = (epoch - 1) / (length - 1)
        up = (value - ticks[0]) / (ticks[-1] - ticks[0])
        return left + across * (width - left - right), height - bottom - up * (height - top - bottom)

    for tick in ticks:
        y = at(1, tick)[1]
        pen.line((left, y, width - right, y), FAINT, scale)
        pen.text((left - 8 * scale, y), f"{tick:g}", INK, plain, anchor="rm")
    for epoch in (round(tick) for tick in _ticks(1, length) if 1 <= tick <= length):
        pen.text((at(epoch, 0)[0], height - bottom + 8 * scale), str(epoch), INK, plain, anchor="ma")
    pen.text(((left + width - right) / 2, height - 8 * scale), unit, INK, plain, anchor="md")
    pen.text((left, top / 2), title, INK, bold, anchor="lm")
    key = float(width - right)
    for (name, curve), colour in reversed(list(zip(curves.items(), LINES, strict=False))):
        points = [at(number, value) for number, value in enumerate(curve, 1) if math.isfinite(value)]
        pen.line(points, colour, 2 * scale, joint="curve")
        for x, y in points[:1] if len(points) == 1 else ():
            pen.circle((x, y), 3 * scale, colour)
        pen.text((key, top / 2), name, colour, plain, anchor="rm")
        key -= pen.textlength(name, plain) + 18 * scale
    _save(image.resize((width // scale, height // scale), Image.Resampling.LANCZOS), path)


def draw_sheet(path: Path, rows: Sequence[tuple[str, Sequence[Pixels]]], tile: int = 96) -> None:
    """Draw rows of images under one another, each row with its name before it.

    Args:
        path: of the PNG, replaced whole.
        rows: name, and images uint8 [H, W, 3].
        tile: side of an image on the sheet, in pixels.
    """
    font, gap = _font(14), 4
    names = [_short(name) for name, _ in rows]
    left = max(int(font.getlength(name)) for name in names) + 20
    columns = max(len(images) for _, images in rows)
    sheet = Image.new("RGB", (left + columns * (tile + gap), gap + len(rows) * (tile + gap)), PAPER)
    pen = ImageDraw.Draw(sheet)
    for number, (name, (_, images)) in enumerate(zip(names, rows, strict=True)):
        y = gap + number * (tile + gap)
        pen.text((left - 10, y + tile // 2), name, INK, font, anchor="rm")
        for column, pixels in enumerate(images):
            small = Image.fromarray(pixels).resize((tile, tile), Image.Resampling.BICUBIC)
            sheet.paste(small, (left + column * (tile + gap), y))
    _save(sheet, path)


def framed(pixels: Pixels, colour: Colour) -> Pixels:
    """An image with a coloured frame: uint8 [H, W, 3]."""
    edge = max(2, len(pixels) // 24)
    image = np.full_like(pixels, colour)
    image[edge:-edge, edge:-edge] = pixels[edge:-edge, edge:-edge]
    return image


def draw_confusion(path: Path, title: str, counts: npt.NDArray[np.int64], rows: Sequence[str], columns: Sequence[str],
                   row_title: str, column_title: str) -> None:  # fmt: skip
    """Draw a confusion matrix; a cell is as dark as its share of its row.

    Args:
        path: of the PNG, replaced whole.
        title: above the matrix.
        counts: int64 [R, C].
        rows, columns: names of the R rows and C columns.
        row_title, column_title: what they are.
    """
    numbered = max(counts.shape) <= _MOST_NUMBERED
    cell = 34 if max(counts.shape) <= 16 else 24 if numbered else 12
    font = _font(13 if numbered else 10)
    row_names, column_names = [_short(n) for n in rows], [_short(n) for n in columns]
    left = int(max(font.getlength(name) for name in row_names)) + 46
    top = int(max(font.getlength(name) for name in column_names)) + 84
    size = (max(left + len(columns) * cell, left + int(_font(16).getlength(title))) + 24, top + len(rows) * cell + 20)
    image = Image.new("RGB", size, PAPER)
    pen = ImageDraw.Draw(image)
    pen.text((left, 22), title, INK, _font(16), anchor="lm")
    pen.text((left, 48), column_title, INK, font, anchor="lm")
    for number, name in enumerate(row_names):
        pen.text((left - 8, top + (number + 0.5) * cell), name, INK, font, anchor="rm")
    for number, name in enumerate(column_names):
        _upright(image, name, (left + int((number + 0.5) * cell), top - 8), font)
    _upright(image, row_title, (16, top + len(rows) * cell), font)
    totals = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    for (row, column), share in np.ndenumerate(counts / totals):
        box = (left + column * cell, top + row * cell, left + (column + 1) * cell - 1, top + (row + 1) * cell - 1)
        shade = tuple(round(255 + (deep - 255) * share) for deep in DEEP)
        pen.rectangle(box, shade, FAINT)
        if numbered and counts[row, column]:
            middle = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
            pen.text(middle, str(counts[row, column]), PAPER if share > 0.5 else INK, font, anchor="mm")
    _save(image, path)


def _upright(image: Image.Image, words: str, foot: tuple[int, int], font: ImageFont.FreeTypeFont) -> None:
    """Words from bottom to top, their foot at a point."""
    length, height = int(font.getlength(words)) + 4, int(font.size * 1.5)
    strip = Image.new("RGB", (length, height), PAPER)
    ImageDraw.Draw(strip).text((0, height / 2), words, INK, font, anchor="lm")
    image.paste(strip.transpose(Image.Transpose.ROTATE_90), (foot[0] - height // 2, foot[1] - length))


def _ticks(least: float, most: float) -> list[float]:
    """Round numbers that span a range: 0, 0.43 -> [0, 0.1, 0.2, 0.3, 0.4, 0.5]."""
    span = most - least or 1.0
    rough = span / 5
    power = 10 ** math.floor(math.log10(rough))
    step = next(n * power for n in (1, 2, 5, 10) if n * power >= rough)
    first, last = math.floor(least / step), math.ceil((least + span) / step)
    return [round(number * step, 12) for number in range(first, last + 1)]


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"


def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)  # Pillow's wheels have FreeType
    return font


def _save(image: Image.Image, path: Path) -> None:
    partial = path.with_suffix(".part")
    image.save(partial, "PNG")
    partial.replace(path)
