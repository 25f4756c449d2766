"""What a collection will hold, before a pixel is drawn: every picture with its name, time, place and role."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from morphoindex.demo.species import SPECIES, Species

SINGLE, BURST, REENCODED, TURNED, COPY = "single", "burst", "re-encoded", "turned", "copy"
SITES = ("Brook meadow", "Chalk slope", "Forest edge", "Old orchard", "Pond bank")
CAMERAS = (("Aperture", "A-7 Macro"), ("Lumen", "FieldCam 2"), ("Pinhole", "P900"))
BURSTS_PER_SPECIES = 2
BURST_INTERVAL = timedelta(seconds=2)
SEASON_START = datetime(2024, 4, 20, 8, 0)  # cameras write local time without a zone
SEASON_DAYS, DAY_MINUTES = 150, 600
REENCODINGS = (
    ("JPEG quality 75", "_q75.jpg"),
    ("resized to 80 %", "_small.jpg"),
    ("PNG", "_export.png"),
    ("WebP", "_web.webp"),
    ("JPEG quality 60", "_q60.jpg"),
    ("resized to 70 %", "_thumb.jpg"),
)
TURNS = (
    ("turned by 90°", "_turned.jpg"),
    ("mirrored", "_mirrored.jpg"),
    ("turned by 270°", "_turned.jpg"),
    ("turned by 180°", "_turned.jpg"),
)
SIDEWAYS = ("stored sideways, with an EXIF orientation", "_sideways.jpg")
GIF_INSIDE = ("GIF named .jpg", "_palette.jpg")


@dataclass(frozen=True)
class Shot:
    """One image file of the collection.

    `original` is the path of the picture that a copy was made from, and `how` says what was done to it.
    """

    path: str
    species: Species
    number: int
    individual: int
    site: str
    captured: datetime
    camera: tuple[str, str]
    kind: str
    original: str = ""
    how: str = ""


def plan(seed: int, species: int, per_species: int) -> list[Shot]:
    """Decide on every picture of a collection.

    Args:
        seed: the same seed gives the same plan.
        species: how many of the planted species to draw.
        per_species: the usual count of animals with a picture of their own; common species have more, rare ones fewer.

    Returns:
        The shots, species by species; a copy stands after its original.
    """
    shots: list[Shot] = []
    for number, kind_of in enumerate(SPECIES[:species]):
        animals = _animals(seed, number, kind_of, per_species)
        shots += animals + _copies(number, [shot for shot in animals if shot.kind == SINGLE])
    return shots


def _animals(seed: int, number: int, species: Species, per_species: int) -> list[Shot]:
    rng = np.random.default_rng([seed, number, 0])
    singles = max(1, round(per_species * species.common))
    frames = [1] * singles + [int(n) for n in rng.integers(3, 6, BURSTS_PER_SPECIES)]
    minutes = rng.choice(SEASON_DAYS * DAY_MINUTES, len(frames), replace=False)
    shots: list[Shot] = []
    for individual, (count, minute) in enumerate(zip(frames, minutes, strict=True)):
        day, minute_of_day = divmod(int(minute), DAY_MINUTES)
        start = SEASON_START + timedelta(days=day, minutes=minute_of_day, seconds=int(rng.integers(0, 48)))
        site = int(rng.integers(len(SITES)))
        for frame in range(count):
            captured = start + frame * BURST_INTERVAL
            path = f"{species.folder}/{species.folder}_{captured:%Y%m%d_%H%M%S}.jpg"
            kind = SINGLE if count == 1 else BURST
            shots.append(
                Shot(path, species, number, individual, SITES[site], captured, CAMERAS[site % len(CAMERAS)], kind)
            )
    return shots


def _copies(number: int, singles: list[Shot]) -> list[Shot]:
    """Plant copies of the first pictures of a species, in turn of one kind and another."""
    wanted = [
        (REENCODED, *REENCODINGS[(2 * number) % len(REENCODINGS)]),
        (REENCODED, *REENCODINGS[(2 * number + 1) % len(REENCODINGS)]),
        (TURNED, *TURNS[number % len(TURNS)]),
    ]
    if number % 4 == 0:
        wanted.append((COPY, "the same bytes", " (1).jpg"))
    if number == 1:
        wanted.append((REENCODED, *SIDEWAYS))
    if number == 2:
        wanted.append((REENCODED, *GIF_INSIDE))
    copies = []
    for shot, (kind, how, ending) in zip(singles, wanted, strict=False):
        path = shot.path.removesuffix(".jpg") + ending
        copies.append(
            Shot(
                path, shot.species, number, shot.individual, shot.site, shot.captured, shot.camera, kind, shot.path, how
            )
        )
    return copies
