"""Insect-like drawings on paper, made from numbers alone: a source of training views beyond the photographs.

A drawn "species" is a body plan with a palette and a pattern; its "specimens" differ in pose, size, light and paper.
Nothing here resembles a real species. The drawings only keep a student from knowing photographs alone.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

Plan = Literal["butterfly", "moth", "beetle", "bug", "fly", "wasp", "larva"]
Colour = tuple[int, int, int]
PLANS: tuple[Plan, ...] = ("butterfly", "moth", "beetle", "bug", "fly", "wasp", "larva")
CANVAS = 320


@dataclass(frozen=True)
class DrawnSpecies:
    """What all specimens of one drawn species share. Lengths are parts of the animal's half length."""

    plan: Plan
    ground: Colour
    mark: Colour
    body: Colour
    width: float
    wing_span: float
    wing_angle: float
    pattern: Literal["plain", "spots", "bands", "border", "eyespots", "stripes"]
    marks: int
    mark_size: float
    leg_length: float
    antenna_length: float


def drawn_species(number: int) -> DrawnSpecies:
    """Draw the traits of species `number`; the same number gives the same species.

    Args:
        number: any non-negative integer.
    """
    rng = np.random.default_rng([7919, number])
    patterns = ("plain", "spots", "bands", "border", "eyespots", "stripes")
    return DrawnSpecies(
        plan=PLANS[number % len(PLANS)],
        ground=_colour(rng),
        mark=_colour(rng),
        body=_shade(_colour(rng), float(rng.uniform(0.2, 0.8))),
        width=float(rng.uniform(0.25, 0.75)),
        wing_span=float(rng.uniform(0.7, 1.3)),
        wing_angle=float(rng.uniform(15, 60)),
        pattern=patterns[int(rng.integers(len(patterns)))],  # type: ignore[arg-type]
        marks=int(rng.integers(2, 8)),
        mark_size=float(rng.uniform(0.05, 0.18)),
        leg_length=float(rng.uniform(0.3, 0.9)),
        antenna_length=float(rng.uniform(0.2, 1.0)),
    )


def draw_specimen(species: DrawnSpecies, rng: np.random.Generator) -> Image.Image:
    """Draw one specimen of a species on a background.

    Args:
        species: its traits.
        rng: pose, size, light and background come from here.

    Returns:
        RGB image of CANVAS x CANVAS pixels.
    """
    animal = Image.new("RGBA", (CANVAS, CANVAS), (0, 0, 0, 0))
    _draw_animal(ImageDraw.Draw(animal), species, rng)
    scale = float(rng.uniform(0.55, 1.25))
    size = max(16, round(CANVAS * scale))
    animal = animal.resize((size, max(16, round(size * rng.uniform(0.85, 1.15)))), Image.Resampling.BILINEAR)
    upright = float(rng.normal(0, 12)) if rng.random() < 0.5 else float(rng.uniform(0, 360))
    animal = animal.rotate(upright, Image.Resampling.BICUBIC, expand=True)
    canvas = background(rng)
    left = (CANVAS - animal.width) // 2 + int(rng.normal(0, 18))
    top = (CANVAS - animal.height) // 2 + int(rng.normal(0, 18))
    if rng.random() < 0.5:
        shadow = Image.new("RGBA", animal.size, (0, 0, 0, 90))
        alpha = animal.getchannel("A").filter(ImageFilter.GaussianBlur(5)).point([v // 3 for v in range(256)])
        canvas.paste(shadow, (left + 6, top + 7), alpha)
    canvas.paste(animal, (left, top), animal)
    noise = rng.normal(0, rng.uniform(0, 10), (CANVAS, CANVAS, 1)) + rng.normal(0, 6)
    pixels = np.asarray(canvas, dtype=np.float32) * rng.uniform(0.75, 1.15) + noise
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def background(rng: np.random.Generator) -> Image.Image:
    """Draw a background: plain, paper, ruled paper, a soft gradient or leaf-like blotches.

    Args:
        rng: kind and colours come from here.

    Returns:
        RGB image of CANVAS x CANVAS pixels.
    """
    kind = int(rng.integers(5))
    paper: Colour = (int(rng.integers(205, 256)), int(rng.integers(200, 250)), int(rng.integers(180, 245)))
    first = paper if kind in (1, 2) or rng.random() < 0.4 else _colour(rng)
    image = Image.new("RGB", (CANVAS, CANVAS), first)
    if kind == 1:
        grain = rng.normal(0, 14, (CANVAS // 4, CANVAS // 4)).repeat(4, 0).repeat(4, 1)
        pixels = np.asarray(image, dtype=np.float32) + grain[:, :, None]
        image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(2))
    elif kind == 2:
        pen = ImageDraw.Draw(image)
        step = int(rng.integers(14, 50))
        for at in range(step, CANVAS, step):
            pen.line([(0, at), (CANVAS, at)], fill=_shade(paper, 0.85), width=1)
            if step % 2:
                pen.line([(at, 0), (at, CANVAS)], fill=_shade(paper, 0.85), width=1)
    elif kind == 3:
        ends = np.array([first, _shade(_colour(rng), 0.7)], dtype=np.float32)
        ramp = np.linspace(0, 1, CANVAS, dtype=np.float32)[:, None, None]
        rows = np.broadcast_to(ends[0] * (1 - ramp) + ends[1] * ramp, (CANVAS, CANVAS, 3))
        image = Image.fromarray(rows.astype(np.uint8))
    elif kind == 4:
        pen = ImageDraw.Draw(image)
        for _ in range(int(rng.integers(8, 30))):
            green: Colour = (int(rng.integers(20, 130)), int(rng.integers(70, 190)), int(rng.integers(10, 100)))
            x, y, w, h = (int(v) for v in rng.integers(-60, CANVAS, 4))
            pen.ellipse([x, y, x + abs(w) // 2 + 10, y + abs(h) // 3 + 10], fill=green)
        image = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(1, 8))))
    return image


def texture(rng: np.random.Generator) -> Image.Image:
    """Draw noise whose power falls with frequency as that of leaves, bark, gravel and sky does.

    Args:
        rng: slope of the spectrum, direction, contrast and colours come from here.

    Returns:
        RGB image of CANVAS x CANVAS pixels.
    """
    side = CANVAS // 2
    across, down = np.meshgrid(np.fft.rfftfreq(side), np.fft.fftfreq(side))
    stretch, turn = float(rng.uniform(1, 4)), float(rng.uniform(0, math.pi))
    along = across * math.cos(turn) + down * math.sin(turn)
    frequency = np.hypot(along * stretch, across * math.sin(turn) - down * math.cos(turn)) + 1 / side
    spectra = np.fft.rfft2(rng.normal(size=(3, side, side))) * frequency ** -float(rng.uniform(0.5, 2))
    noise = np.fft.irfft2(spectra, s=(side, side))
    noise /= noise.std(axis=(1, 2), keepdims=True)
    # the three channels of a natural texture vary together
    mixed = noise[:1] + float(rng.uniform(0, 0.7)) * noise
    colour = np.array(_colour(rng), np.float64)[:, None, None]
    pixels = np.clip(colour + mixed * float(rng.uniform(8, 60)), 0, 255).astype(np.uint8).transpose(1, 2, 0)
    return Image.fromarray(pixels).resize((CANVAS, CANVAS), Image.Resampling.BICUBIC)


def _draw_animal(pen: ImageDraw.ImageDraw, species: DrawnSpecies, rng: np.random.Generator) -> None:
    half = CANVAS * 0.34
    middle = CANVAS / 2
    if species.plan == "larva":
        _draw_larva(pen, species, rng, half)
        return
    _draw_limbs(pen, species, rng, half)
    if species.plan in ("butterfly", "moth", "fly", "wasp"):
        for side in (-1, 1):
            _draw_wings(pen, species, rng, half, side)
    narrow = 0.16 if species.plan in ("butterfly", "moth") else species.width * 0.6
    if species.plan in ("beetle", "bug"):
        narrow = species.width
    _ellipse(pen, middle, middle + half * 0.25, half * narrow, half * 0.75, 0, species.body)
    if species.plan in ("beetle", "bug"):
        _ellipse(pen, middle, middle + half * 0.25, half * narrow * 0.94, half * 0.72, 0, species.ground)
        _draw_marks(pen, species, middle, middle + half * 0.25, half * narrow * 0.8, half * 0.6)
        pen.line([(middle, middle - half * 0.4), (middle, middle + half * 0.95)], fill=species.body, width=3)
    elif species.plan in ("wasp", "fly"):
        for ring in range(species.marks):
            at = middle + half * (0.1 + 0.8 * ring / species.marks)
            reach = half * narrow * 0.8
            pen.line([(middle - reach, at), (middle + reach, at)], fill=species.mark, width=5)
    _ellipse(pen, middle, middle - half * 0.45, half * narrow * 0.85, half * 0.3, 0, _shade(species.body, 1.15))
    _ellipse(pen, middle, middle - half * 0.82, half * narrow * 0.6, half * 0.18, 0, _shade(species.body, 0.8))


def _draw_wings(
    pen: ImageDraw.ImageDraw, species: DrawnSpecies, rng: np.random.Generator, half: float, side: int
) -> None:
    clear = species.plan in ("fly", "wasp")
    for fore in (False, True):
        span = half * species.wing_span * (1.0 if fore else 0.75)
        tilt = species.wing_angle * (1 if fore else -0.8) + float(rng.normal(0, 4))
        if species.plan == "moth":
            tilt -= 25
        reach = span * 0.55
        x = CANVAS / 2 + side * reach * math.cos(math.radians(tilt))
        y = CANVAS / 2 - half * 0.15 - reach * math.sin(math.radians(tilt))
        depth = span * (0.2 if clear else 0.2 + species.width * 0.5)
        fill = (*_shade(species.ground, 1.2), 120) if clear else species.ground
        _ellipse(pen, x, y, span * 0.6, depth, side * tilt, species.mark if species.pattern == "border" else fill)
        if species.pattern == "border":
            _ellipse(pen, x, y, span * 0.6 * 0.82, depth * 0.78, side * tilt, fill)
        elif not clear:
            _draw_marks(pen, species, x, y, span * 0.4, depth * 0.7)


def _draw_marks(
    pen: ImageDraw.ImageDraw, species: DrawnSpecies, x: float, y: float, width: float, height: float
) -> None:
    size = species.mark_size * CANVAS * 0.3
    for number in range(species.marks):
        # the golden angle spreads marks evenly, and the same way in every specimen of the species
        turn, out = number * 2.39996, math.sqrt((number + 0.5) / species.marks)
        at = (x + math.cos(turn) * out * width, y + math.sin(turn) * out * height)
        level = y - height + 2 * height * (number + 0.5) / species.marks
        if species.pattern in ("spots", "eyespots"):
            _ellipse(pen, *at, size, size, 0, species.mark)
        if species.pattern == "eyespots":
            _ellipse(pen, *at, size * 0.5, size * 0.5, 0, _shade(species.body, 0.5))
        elif species.pattern == "bands":
            reach = width * math.sqrt(max(0.0, 1 - ((level - y) / height) ** 2))
            pen.line([(x - reach, level), (x + reach, level)], fill=species.mark, width=max(2, round(size * 0.6)))
        elif species.pattern == "stripes":
            across = x - width + 2 * width * (number + 0.5) / species.marks
            reach = height * math.sqrt(max(0.0, 1 - ((across - x) / width) ** 2))
            pen.line([(across, y - reach), (across, y + reach)], fill=species.mark, width=max(2, round(size * 0.4)))


def _draw_limbs(pen: ImageDraw.ImageDraw, species: DrawnSpecies, rng: np.random.Generator, half: float) -> None:
    middle = CANVAS / 2
    for side in (-1, 1):
        for pair in (-1, 0, 1):
            if species.plan in ("butterfly", "moth"):
                break
            hip = (middle, middle - half * 0.2 + pair * half * 0.2)
            out = half * (species.width * 0.6 + species.leg_length * 0.5)
            knee = (middle + side * out, hip[1] + pair * half * 0.25 + float(rng.normal(0, 6)))
            foot = (knee[0] + side * half * 0.2 * species.leg_length, knee[1] + half * 0.3 * (pair or 0.5))
            pen.line([hip, knee, foot], fill=_shade(species.body, 0.7), width=4)
        root = (middle + side * 4, middle - half * 0.9)
        tip = (middle + side * half * 0.4 + float(rng.normal(0, 6)), root[1] - half * 0.5 * species.antenna_length)
        pen.line([root, tip], fill=_shade(species.body, 0.6), width=3)


def _draw_larva(pen: ImageDraw.ImageDraw, species: DrawnSpecies, rng: np.random.Generator, half: float) -> None:
    bend = float(rng.uniform(-0.5, 0.5))
    thick = half * (0.12 + species.width * 0.25)
    for ring in range(12):
        along = (ring - 5.5) / 5.5
        x = CANVAS / 2 + half * bend * math.cos(along * 2.5)
        y = CANVAS / 2 + half * along
        marked = species.pattern != "plain" and ring % max(2, species.marks // 2) == 0
        _ellipse(pen, x, y, thick * (1 - 0.3 * along**4), half * 0.16, 0, species.mark if marked else species.ground)
        if species.pattern in ("spots", "eyespots"):
            _ellipse(pen, x, y, thick * 0.25, thick * 0.2, 0, species.body)
    head = CANVAS / 2 + half * bend * math.cos(-2.5)
    _ellipse(pen, head, CANVAS / 2 - half, thick * 0.8, thick * 0.7, 0, species.body)


def _ellipse(
    pen: ImageDraw.ImageDraw,
    x: float,
    y: float,
    a: float,
    b: float,
    turn: float,
    fill: tuple[int, ...],
) -> None:
    cos, sin = math.cos(math.radians(-turn)), math.sin(math.radians(-turn))
    corners = []
    for step in range(36):
        u, v = a * math.cos(step * math.pi / 18), b * math.sin(step * math.pi / 18)
        corners.append((x + u * cos - v * sin, y + u * sin + v * cos))
    pen.polygon(corners, fill=fill)


def _colour(rng: np.random.Generator) -> Colour:
    red, green, blue = (int(v) for v in rng.integers(10, 250, 3))
    return red, green, blue


def _shade(colour: Colour, factor: float) -> Colour:
    red, green, blue = (min(255, round(v * factor)) for v in colour)
    return red, green, blue
