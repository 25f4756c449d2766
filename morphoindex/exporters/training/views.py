"""Training views: what teacher and student both look at.

A view is made once, from its number and a seed alone, so that a cache of views can be made again bit for bit. The
student sees the very pixels that the teacher saw, only smaller; no view depends on a label.
"""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from morphoindex.exporters.drawings import CANVAS, background, draw_specimen, drawn_species, texture
from morphoindex.indexer.photographs.images import decode

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})
Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class ViewSettings:
    """How views are made. The shares of the kinds hold for the views after the plain ones."""

    teacher_size: int = 224
    student_size: int = 128
    crop_share: float = 0.34
    jitter_share: float = 0.2
    mix_share: float = 0.16
    scene_share: float = 0.14
    close_share: float = 0.06
    drawn_share: float = 0.1
    drawn_species: int = 600
    seed: int = 0


def list_images(folders: Sequence[Path], exclude_manifest_valid: bool) -> list[list[Path]]:
    """List the image files below each folder, sorted.

    Args:
        folders: searched with their subfolders.
        exclude_manifest_valid: leave out files that the folder's manifest.csv (columns `path` and `upstream_split`)
            marks as `valid`. A folder whose manifest has no such column keeps all its files.

    Returns:
        One list of paths per folder.

    Raises:
        ValueError: a folder holds no image, or nothing was marked `valid` though an exclusion was asked for.
    """
    excluded: set[Path] = set()
    for folder in folders:
        manifest = folder / "manifest.csv"
        if exclude_manifest_valid and manifest.is_file():
            with manifest.open(newline="", encoding="utf-8") as stream:
                for row in csv.DictReader(stream):
                    if row.get("upstream_split") == "valid":
                        excluded.add(folder / row["path"])
    if exclude_manifest_valid and not excluded:
        raise ValueError("no manifest.csv marks a file as valid in its column upstream_split")
    groups = []
    for folder in folders:
        files = (path for path in sorted(folder.rglob("*")) if path.suffix.lower() in IMAGE_SUFFIXES)
        group = [path for path in files if path not in excluded]
        if not group:
            raise ValueError(f"no image below {folder}")
        groups.append(group)
    return groups


def open_rgb(path: Path) -> Image.Image:
    """Decode a file as the index does, upright, RGB.

    Raises:
        ImageRefused: it is no picture.
    """
    return Image.fromarray(decode(path.read_bytes()).pixels)


def make_view(number: int, groups: Sequence[Sequence[Path]], settings: ViewSettings) -> tuple[Pixels, Pixels]:
    """Make view `number`. The first views are the plain images, one each; the others are random.

    Args:
        number: 0, 1, 2, ...
        groups: image files by source; random views take a source by the square root of its size, and files within it
            equally often.
        settings: kinds, sizes and seed.

    Returns:
        For the teacher uint8 [T, T, 3], for the student uint8 [S, S, 3], RGB, sides as in the settings.
    """
    rng = np.random.default_rng([settings.seed, number])
    plain = [path for group in groups for path in group]
    if number < len(plain):
        # a shuffled order, so that any first part of the views is a sample of all sources
        order = np.random.default_rng([settings.seed, len(plain), 1]).permutation(len(plain))
        return _fit(open_rgb(plain[int(order[number])]), settings)
    return _fit(_random(groups, settings, rng), settings)


def _random(groups: Sequence[Sequence[Path]], settings: ViewSettings, rng: np.random.Generator) -> Image.Image:
    shares = (
        settings.crop_share, settings.jitter_share, settings.mix_share, settings.scene_share, settings.close_share,
        settings.drawn_share,
    )  # fmt: skip
    kind = int(rng.choice(len(shares), p=np.array(shares) / sum(shares)))
    if kind == 0:
        return _jitter(_crop(_pick(groups, rng), rng, 0.25), rng, 0.15)
    if kind == 1:
        return _distort(_jitter(_crop(_pick(groups, rng), rng, 0.5), rng, 0.5), rng)
    if kind == 2:
        return _mix(groups, rng)
    if kind == 3:
        return _jitter(_scene(groups, rng), rng, 0.25)
    if kind == 4:
        return _jitter(_crop(_pick(groups, rng), rng, 0.03, 0.25), rng, 0.25)
    view = draw_specimen(drawn_species(int(rng.integers(settings.drawn_species))), rng)
    return _crop(view, rng, 0.6) if rng.random() < 0.5 else view


def _fit(image: Image.Image, settings: ViewSettings) -> tuple[Pixels, Pixels]:
    large, small = (
        np.asarray(image.resize((side, side), Image.Resampling.BICUBIC))
        for side in (settings.teacher_size, settings.student_size)
    )
    return large, small


def _pick(groups: Sequence[Sequence[Path]], rng: np.random.Generator) -> Image.Image:
    sizes = np.sqrt([len(group) for group in groups])
    group = groups[int(rng.choice(len(groups), p=sizes / sizes.sum()))]
    image = open_rgb(group[int(rng.integers(len(group)))])
    return ImageOps.mirror(image) if rng.random() < 0.5 else image


def _crop(image: Image.Image, rng: np.random.Generator, least_area: float, most_area: float = 1.0) -> Image.Image:
    area = float(rng.uniform(least_area, most_area)) * image.width * image.height
    aspect = math.exp(float(rng.uniform(-0.35, 0.35))) * image.width / image.height
    width = min(image.width, max(8, round(math.sqrt(area * aspect))))
    height = min(image.height, max(8, round(math.sqrt(area / aspect))))
    left = int(rng.integers(image.width - width + 1))
    top = int(rng.integers(image.height - height + 1))
    return image.crop((left, top, left + width, top + height))


def _jitter(image: Image.Image, rng: np.random.Generator, strength: float) -> Image.Image:
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        image = enhance(image).enhance(float(rng.uniform(1 - strength, 1 + strength)))
    if strength > 0.3 and rng.random() < 0.5:
        gains = rng.uniform(0.75, 1.25, 3)
        table = [min(255, round(value * gain)) for gain in gains for value in range(256)]
        image = image.point(table)
    if strength > 0.3 and rng.random() < 0.08:
        image = ImageOps.grayscale(image).convert("RGB")
    return image


def _distort(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    chance = rng.random()
    if chance < 0.55:
        # turned about the middle with the corners filled by the image's own mean colour
        fill = tuple(int(v) for v in np.asarray(image).mean(axis=(0, 1)))
        turn = float(rng.uniform(-180, 180)) if rng.random() < 0.5 else float(rng.normal(0, 20))
        image = image.rotate(turn, Image.Resampling.BILINEAR, fillcolor=fill)
    elif chance < 0.75:
        image = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.4, 2.0))))
    if rng.random() < 0.3:
        pixels = np.asarray(image, dtype=np.float32) + rng.normal(0, rng.uniform(3, 18), (image.height, image.width, 1))
        image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    return image


def _mix(groups: Sequence[Sequence[Path]], rng: np.random.Generator) -> Image.Image:
    chance = rng.random()
    side = CANVAS
    first = _crop(_pick(groups, rng), rng, 0.5).resize((side, side), Image.Resampling.BICUBIC)
    second = _crop(_pick(groups, rng), rng, 0.5).resize((side, side), Image.Resampling.BICUBIC)
    if chance < 0.35:
        return Image.blend(first, second, float(rng.uniform(0.15, 0.5)))
    if chance < 0.7:
        width, height = (int(side * rng.uniform(0.3, 0.7)) for _ in range(2))
        left, top = int(rng.integers(side - width + 1)), int(rng.integers(side - height + 1))
        first.paste(second.crop((left, top, left + width, top + height)), (left, top))
        return first
    across, down = (int(side * rng.uniform(0.35, 0.65)) for _ in range(2))
    boxes = ((0, 0, across, down), (across, 0, side, down), (0, down, across, side), (across, down, side, side))
    for box in boxes:
        tile = _crop(_pick(groups, rng), rng, 0.5)
        first.paste(tile.resize((box[2] - box[0], box[3] - box[1]), Image.Resampling.BICUBIC), box[:2])
    return first


def _scene(groups: Sequence[Sequence[Path]], rng: np.random.Generator) -> Image.Image:
    """One animal or several, small and turned, before something that is not theirs."""
    chance = rng.random()
    if chance < 0.5:
        behind = _crop(_pick(groups, rng), rng, 0.02, 0.3).resize((CANVAS, CANVAS), Image.Resampling.BICUBIC)
        behind = behind.filter(ImageFilter.GaussianBlur(float(rng.uniform(0, 4))))
    else:
        behind = texture(rng) if chance < 0.8 else background(rng)
    for _ in range(1 if rng.random() < 0.75 else int(rng.integers(2, 5))):
        animal = _crop(_pick(groups, rng), rng, 0.5)
        side = round(CANVAS * rng.uniform(0.25, 0.75))
        animal = animal.resize((side, round(side * rng.uniform(0.8, 1.25))), Image.Resampling.BICUBIC)
        mask = Image.new("L", animal.size, 0)
        ImageDraw.Draw(mask).ellipse([0, 0, animal.width - 1, animal.height - 1], fill=255)
        mask = mask.filter(ImageFilter.GaussianBlur(side * float(rng.uniform(0.01, 0.08))))
        if rng.random() < 0.5:
            turn = float(rng.uniform(-180, 180))
            animal, mask = (each.rotate(turn, Image.Resampling.BILINEAR, expand=True) for each in (animal, mask))
        left, top = (int(rng.integers(-length // 6, max(1, CANVAS - length * 5 // 6))) for length in animal.size)
        behind.paste(animal, (left, top), mask)
    return behind
