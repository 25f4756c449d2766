"""One picture: an individual of a species, as one frame of a camera shows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from morphoindex.demo import beetles, guests, wings
from morphoindex.demo.backgrounds import BACKGROUNDS
from morphoindex.demo.sketch import Colour, Sketch, Tint, View, render
from morphoindex.demo.species import Palette, Species

Form = Callable[[Sketch, Palette, np.random.Generator], None]

FORMS: dict[str, Form] = {
    "peacock": wings.peacock,
    "swallowtail": wings.swallowtail,
    "blue": wings.blue,
    "monarch": wings.monarch,
    "luna": wings.luna,
    "burnet": wings.burnet,
    "chaser": wings.chaser,
    "demoiselle": wings.demoiselle,
    "ladybird": beetles.ladybird,
    "striped_beetle": beetles.striped_beetle,
    "longhorn": beetles.longhorn,
    "chafer": beetles.chafer,
    "stag": beetles.stag,
    "shieldbug": beetles.shieldbug,
    "bumblebee": guests.bumblebee,
    "wasp": guests.wasp,
    "hoverfly": guests.hoverfly,
    "bushcricket": guests.bushcricket,
}
TURN = 22.0
SIDE_TURN = 9.0
SIDE_VIEWS = frozenset({"demoiselle", "bushcricket"})
MARGIN = 14
NOISE_TILE = 512


@dataclass(frozen=True)
class Individual:
    """One animal where it was found: all that its frames share."""

    species: Species
    sketch: Sketch
    backdrop: Image.Image
    tint: Tint
    view: View
    sun: float
    glare: tuple[float, float]
    light: float
    warmth: float


def _varied(rng: np.random.Generator, colour: Colour, spread: float) -> Colour:
    """Make a colour lighter or darker, and shift its hue a little."""
    lighter = rng.normal(0, spread)
    r, g, b = (int(np.clip(c + lighter + rng.normal(0, spread / 4), 0, 255)) for c in colour)
    return r, g, b


def individual(species: Species, rng: np.random.Generator) -> Individual:
    """Draw up one animal of a species: its build, its colours, its pose and what it stands on.

    Args:
        species: the record to draw from.
        rng: the source of all variation; the same state gives the same animal.

    Returns:
        What every frame of this animal starts from.
    """
    sketch = Sketch()
    FORMS[species.form](sketch, species.palette, rng)
    if species.pin is not None:
        x, y = species.pin
        sketch.oval(x + 0.012, y + 0.016, 0.034, 0.034, (20, 16, 18), alpha=120)
        sketch.ball(x, y, 0.032, 0.032, (206, 200, 190), light=0.8)
    width, height = (side + 4 * int(rng.integers(-2, 3)) for side in species.size)
    backdrop = BACKGROUNDS[species.background](
        rng, (width + 2 * MARGIN, height + 2 * MARGIN), _varied(rng, species.base, 8.0)
    )
    spread = SIDE_TURN if species.form in SIDE_VIEWS else TURN
    view = View(
        centre=(width * species.centre[0] + rng.normal(0, 9.0), height * species.centre[1] + rng.normal(0, 5.0)),
        scale=min(width, height) * species.reach * rng.uniform(0.8, 1.05),
        turn=rng.uniform(-spread, spread),
        wide=rng.uniform(0.93, 1.06),
        long=rng.uniform(0.93, 1.06),
        bend=rng.uniform(-0.04, 0.04),
    )
    tint = Tint(hue=rng.normal(0, 0.012), saturation=rng.uniform(0.82, 1.1), value=rng.uniform(0.86, 1.1))
    return Individual(
        species,
        sketch,
        backdrop,
        tint,
        view,
        sun=rng.uniform(-50, 50),
        glare=(rng.uniform(-0.14, 0.14), rng.uniform(-0.14, 0.14)),
        light=rng.uniform(0.9, 1.06),
        warmth=rng.uniform(-0.02, 0.02),
    )


@lru_cache(maxsize=1)
def _noise_tile() -> npt.NDArray[np.float32]:
    return np.random.default_rng(20_240).standard_normal((NOISE_TILE, NOISE_TILE, 3), dtype=np.float32)


def photograph(animal: Individual, rng: np.random.Generator, *, burst: bool = False) -> Image.Image:
    """Take one frame of an animal.

    Args:
        animal: who is in the picture.
        rng: shift, turn, light and noise of this frame.
        burst: whether the frame is one of several, in which the animal has moved a little.

    Returns:
        An RGB image of about the size that the species names.
    """
    view = animal.view
    left, top = MARGIN, MARGIN
    if burst:
        dx, dy = rng.uniform(-9, 9), rng.uniform(-7, 7)
        left, top = MARGIN - round(rng.uniform(-5, 5)), MARGIN - round(rng.uniform(-5, 5))
        centre = (view.centre[0] + dx, view.centre[1] + dy)
        view = View(
            centre,
            view.scale * rng.uniform(0.98, 1.02),
            view.turn + rng.uniform(-5, 5),
            view.wide,
            view.long,
            view.bend,
        )
    width, height = animal.backdrop.size
    ground = animal.backdrop.crop((left, top, left + width - 2 * MARGIN, top + height - 2 * MARGIN))
    picture = render(animal.sketch, ground, view, animal.tint, animal.sun)
    blur = rng.uniform(0.0, 0.7)
    if blur > 0.35:
        picture = picture.filter(ImageFilter.GaussianBlur(blur - 0.1))
    x, y = rng.integers(0, NOISE_TILE - max(picture.size), 2)
    grain = _noise_tile()[y : y + picture.height, x : x + picture.width] * np.float32(rng.uniform(0.8, 2.0))
    gain = (
        animal.light
        * rng.uniform(0.985, 1.015)
        * np.array([1 + animal.warmth, 1.0, 1 - animal.warmth], dtype=np.float32)
    )
    across = np.linspace(-animal.glare[0], animal.glare[0], picture.width, dtype=np.float32)[None, :, None]
    down = np.linspace(-animal.glare[1], animal.glare[1], picture.height, dtype=np.float32)[:, None, None]
    pixels = np.asarray(picture, dtype=np.float32) * gain.astype(np.float32) * (1 + across + down) + grain
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
