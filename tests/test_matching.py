"""Pictures of one photograph are told from pictures of two."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from morphoindex.indexer.selection.matching import CONFIRMED, Match, compare
from morphoindex.indexer.selection.sketches import mirrored, sharpness, sketch

Pixels = NDArray[np.uint8]
TURN = Image.Transpose.ROTATE_90


def scene(seed: int, size: tuple[int, int] = (200, 160)) -> Image.Image:
    """A picture with structure at every scale and everywhere, as a photograph outdoors has it."""
    rng = np.random.default_rng(seed)
    total = np.zeros((size[1], size[0], 3))
    for step in (4, 8, 16, 32):
        small = rng.uniform(0, 255, (max(2, size[1] // step), max(2, size[0] // step), 3)).astype(np.uint8)
        total += np.asarray(Image.fromarray(small).resize(size, Image.Resampling.BICUBIC), float) * step**0.5
    return Image.fromarray((255 * (total - total.min()) / np.ptp(total)).astype(np.uint8))


def on_ground(pattern: int, ground: int, size: int = 200) -> Image.Image:
    """The same thing in the middle of a picture before one ground or another."""
    picture = scene(1000 + ground, (size, size))
    picture.paste(scene(2000 + pattern, (size * 3 // 4, size * 3 // 4)), (size // 8, size // 8))
    return picture


def match(one: Image.Image, other: Image.Image) -> Match:
    return compare(sketch(np.asarray(one)), sketch(np.asarray(other)))


def saved(picture: Image.Image, form: str, **options: int) -> Image.Image:
    data = io.BytesIO()
    picture.save(data, form, **options)
    return Image.open(io.BytesIO(data.getvalue())).convert("RGB")


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 999), st.integers(90, 400), st.integers(90, 400), st.integers(0, 7), st.floats(0.6, 2.0),
    st.sampled_from(["JPEG", "WEBP", "PNG"]), st.integers(50, 95),
)  # fmt: skip
def test_a_picture_saved_resized_turned_or_mirrored_is_the_same(
    seed: int, width: int, height: int, view: int, scale: float, form: str, quality: int
) -> None:
    picture = scene(seed, (width, height))
    other = picture.resize((max(30, round(width * scale)), max(30, round(height * scale))), Image.Resampling.BICUBIC)
    other = other.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if view > 3 else other
    for _ in range(view % 4):
        other = other.transpose(TURN)
    assert match(picture, saved(other, form, quality=quality)).agreement >= CONFIRMED


def test_how_they_were_laid_over_each_other_is_told() -> None:
    picture = scene(1)
    assert match(picture, saved(picture, "JPEG", quality=70)) == Match(1.0, "frame")
    assert match(picture, picture.transpose(TURN)) == Match(1.0, "frame")
    assert match(picture, picture.rotate(10)).how == "points"
    assert match(picture, Image.new("RGB", (50, 50))) == Match(0.0, "none")


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 999), st.floats(-15, 15), st.floats(-0.15, 0.15), st.booleans())
def test_a_picture_turned_a_little_and_sheared_is_the_same(seed: int, turn: float, shear: float, mirror: bool) -> None:
    picture = scene(seed)
    other = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirror else picture
    other = other.rotate(turn, Image.Resampling.BICUBIC)
    slanted = (1, shear, -shear * 80, 0, 1, 0)
    other = other.transform(other.size, Image.Transform.AFFINE, slanted, Image.Resampling.BICUBIC)
    assert match(picture, other).agreement >= CONFIRMED


def test_a_part_of_a_picture_is_the_same_and_a_small_part_is_not() -> None:
    picture = scene(1, (300, 300))
    assert match(picture, picture.crop((20, 30, 260, 290))).how == "points"
    assert match(picture, picture.crop((20, 30, 260, 290))).agreement >= CONFIRMED
    assert match(picture, picture.crop((100, 100, 180, 180))).agreement < CONFIRMED


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 99), st.integers(100, 199))
def test_different_pictures_are_not_the_same(one: int, other: int) -> None:
    assert match(scene(one), scene(other)).agreement < CONFIRMED


@pytest.mark.parametrize("seed", range(6))
def test_the_same_thing_before_another_ground_is_another_picture(seed: int) -> None:
    assert match(on_ground(seed, seed), on_ground(seed, seed)).agreement == 1.0
    assert match(on_ground(seed, seed), on_ground(seed, seed + 50)).agreement < CONFIRMED


def test_a_label_that_says_something_else_makes_another_picture() -> None:
    """All but one place agrees: two drawn animals of one pattern, each with a label of its own."""
    one, other = scene(3, (300, 300)), scene(3, (300, 300))
    one.paste(scene(4, (60, 30)), (220, 250))
    other.paste(scene(5, (60, 30)), (220, 250))
    assert match(one, one).agreement == 1.0
    assert match(one, other).agreement < CONFIRMED


def test_flat_pictures_are_the_same_only_where_they_look_it() -> None:
    white, grey = Image.new("RGB", (80, 60), "white"), Image.new("RGB", (80, 60), (120, 120, 120))
    dot = white.copy()
    dot.paste((0, 0, 0), (40, 30, 43, 33))
    assert match(white, white).agreement == 1.0
    assert match(white, grey).agreement < CONFIRMED
    assert match(white, dot).agreement < CONFIRMED


@pytest.mark.parametrize("size", [(2, 2), (2, 500), (500, 2), (3, 7), (1000, 20)])
def test_pictures_of_any_shape_can_be_compared(size: tuple[int, int]) -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3)).astype(np.uint8))
    assert match(picture, picture).agreement == 1.0
    assert match(picture, scene(1)).agreement < CONFIRMED


def test_mirrored_points_are_those_of_the_mirrored_picture() -> None:
    picture = np.asarray(scene(7))
    points, descriptors = mirrored(sketch(picture))
    there = sketch(picture[:, ::-1])
    near = np.linalg.norm(points[:, None, :2] - there.points[None, :, :2], axis=2) < 0.5
    near &= np.abs((points[:, None, 3] - there.points[None, :, 3] + 180) % 360 - 180) < 5
    rows, columns = np.nonzero(near)
    assert len(set(rows.tolist())) > len(points) * 0.7
    a, b = descriptors[rows].astype(float), there.descriptors[columns].astype(float)
    assert np.median((a * b).sum(axis=1) / 510**2) > 0.98


def test_sharpness_falls_with_blur_and_stays_where_nothing_is_lost() -> None:
    picture = scene(2)
    blurred = picture.resize((100, 80), Image.Resampling.BICUBIC).resize(picture.size, Image.Resampling.BICUBIC)
    assert sharpness(np.asarray(blurred)) < sharpness(np.asarray(picture))
    assert sharpness(np.asarray(saved(picture, "PNG"))) == sharpness(np.asarray(picture))
