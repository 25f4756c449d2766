import io
import os
import struct
import subprocess
import sys
import threading
import warnings
import zlib
from collections.abc import Callable
from datetime import datetime

import numpy as np
import pillow_heif
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageFile
from pillow_heif import as_plugin

from morphoindex.errors import ImageRefused, UsageError
from morphoindex.indexer.photographs import formats
from morphoindex.indexer.photographs.capture import Capture, Exif, count_pages, read_exif
from morphoindex.indexer.photographs.images import SUFFIXES, decode, fit

HEIGHT, WIDTH = 48, 64
Array = NDArray[np.uint8]


def scene(height: int = HEIGHT, width: int = WIDTH) -> Array:
    """Smooth, coloured, and different in all its eight turns."""
    y, x = np.mgrid[0:height, 0:width] / [[[height]], [[width]]]
    return np.dstack([40 + 200 * x, 40 + 180 * y, 60 + 120 * x * (1 - y)]).astype(np.uint8)


def saved(image: Image.Image | Array, kind: str, **options: object) -> bytes:
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    file = io.BytesIO()
    if kind == "HEIF":
        # The plugin's own writer, since it is not registered in Pillow.
        image, exif = image.copy(), options.pop("exif", None)
        image.encoderinfo = {"quality": -1} | options | ({} if exif is None else {"exif": exif})  # type: ignore[attr-defined]
        as_plugin._save_heif(image, file, "")
    else:
        if kind == "TIFF" and isinstance(exif := options.get("exif"), Image.Exif):
            options["exif"] = exif.tobytes()  # Pillow writes the inner directories of a TIFF from bytes only
        image.save(file, kind, **options)
    return file.getvalue()


def closeness(one: Array, other: Array) -> float:
    assert one.shape == other.shape
    return float(np.abs(one.astype(int) - other.astype(int)).mean())


def tagged(orientation: int | None = None, **exif_tags: object) -> Image.Exif:
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    names = {"make": 0x010F, "model": 0x0110, "edited": 0x0132}
    inner = {"original": 0x9003, "digitized": 0x9004, "offset": 0x9011, "subsec": 0x9291, "subsec_digitized": 0x9292}
    for name, value in exif_tags.items():
        if name in names:
            exif[names[name]] = value
        elif name == "gps":
            exif.get_ifd(0x8825).update(value)  # type: ignore[call-overload]
        else:
            exif.get_ifd(0x8769)[inner[name]] = value
    return exif


def refusal(data: bytes, **options: object) -> str:
    with pytest.raises(ImageRefused) as caught:
        decode(data, **options)  # type: ignore[arg-type]
    reason = caught.value.reason
    assert reason
    assert "\n" not in reason
    assert len(reason) <= 120
    return reason


LOSSLESS = [("PNG", {}), ("BMP", {}), ("TIFF", {}), ("WEBP", {"lossless": True})]
LOSSY = [("JPEG", {"quality": 95}), ("WEBP", {"quality": 95}), ("AVIF", {"quality": 95}), ("HEIF", {})]
TIFF_COMPRESSIONS = ["tiff_lzw", "tiff_adobe_deflate", "packbits"]


class TestFormats:
    @pytest.mark.parametrize(("kind", "options"), LOSSLESS)
    def test_lossless_formats_give_the_very_pixels(self, kind: str, options: dict[str, object]) -> None:
        photo = decode(saved(scene(), kind, **options))
        assert np.array_equal(photo.pixels, scene())
        assert photo.pixels.dtype == np.uint8
        assert (photo.width, photo.height, photo.format, photo.notes) == (WIDTH, HEIGHT, kind, ())
        assert photo.capture == Capture(None, None, None, None)

    @pytest.mark.parametrize(("kind", "options"), LOSSY)
    def test_lossy_formats_are_near(self, kind: str, options: dict[str, object]) -> None:
        photo = decode(saved(scene(), kind, **options))
        assert closeness(photo.pixels, scene()) < 2.5
        assert (photo.width, photo.height, photo.format) == (WIDTH, HEIGHT, kind)

    @pytest.mark.parametrize("compression", TIFF_COMPRESSIONS)
    def test_compressed_tiff(self, compression: str) -> None:
        assert np.array_equal(decode(saved(scene(), "TIFF", compression=compression)).pixels, scene())

    def test_every_format_has_a_suffix(self) -> None:
        assert {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".heic", ".avif"} <= SUFFIXES
        assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in SUFFIXES)

    def test_progressive_jpeg_and_grey_jpeg(self) -> None:
        assert closeness(decode(saved(scene(), "JPEG", quality=95, progressive=True)).pixels, scene()) < 2.5
        grey = Image.fromarray(scene()).convert("L")
        pixels = decode(saved(grey, "JPEG", quality=95)).pixels
        assert closeness(pixels, np.asarray(grey.convert("RGB"))) < 1.5
        assert np.array_equal(pixels[..., 0], pixels[..., 2])

    def test_a_jpeg_with_several_pictures_is_its_first(self) -> None:
        image = Image.fromarray(scene())
        data = saved(image, "MPO", save_all=True, append_images=[Image.new("RGB", (WIDTH, HEIGHT))], quality=95)
        photo = decode(data)
        assert photo.format == "JPEG"
        assert closeness(photo.pixels, scene()) < 2.5

    def test_the_pixels_cannot_be_written(self) -> None:
        with pytest.raises(ValueError, match="read-only"):
            decode(saved(scene(), "PNG")).pixels[0, 0] = 1


class TestModes:
    @pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
    @pytest.mark.parametrize("mode", ["1", "L", "P"])
    def test_grey_bits_and_palettes(self, mode: str, kind: str) -> None:
        image = Image.fromarray(scene()).convert(mode)
        assert np.array_equal(decode(saved(image, kind)).pixels, np.asarray(image.convert("RGB")))

    @pytest.mark.parametrize("kind", ["PNG", "TIFF"])
    @pytest.mark.parametrize("mode", ["LA", "RGBA"])
    def test_alpha_lies_over_white(self, mode: str, kind: str) -> None:
        image = Image.fromarray(scene()).convert(mode)
        alpha = np.zeros((HEIGHT, WIDTH), np.uint8)
        alpha[:, 20:40], alpha[:, 40:] = 128, 255
        image.putalpha(Image.fromarray(alpha))
        photo = decode(saved(image, kind))
        plain = np.asarray(image.convert("RGB")).astype(float)
        weight = alpha[..., None] / 255
        assert np.abs(photo.pixels - (plain * weight + 255 * (1 - weight))).max() <= 1
        assert photo.notes == ("transparency over white",)
        assert (photo.pixels[:, :20] == 255).all()

    @pytest.mark.parametrize(
        ("kind", "options"), [("WEBP", {"lossless": True}), ("AVIF", {"quality": 95}), ("HEIF", {})]
    )
    def test_alpha_in_modern_formats(self, kind: str, options: dict[str, object]) -> None:
        image = Image.fromarray(scene()).convert("RGBA")
        image.paste((10, 20, 30, 0), (0, 0, WIDTH // 2, HEIGHT))
        photo = decode(saved(image, kind, **options))
        assert (photo.pixels[:, : WIDTH // 2 - 4] >= 250).all()
        assert closeness(photo.pixels[:, WIDTH // 2 + 4 :], scene()[:, WIDTH // 2 + 4 :]) < 3

    def test_opaque_alpha_changes_nothing_and_is_not_noted(self) -> None:
        photo = decode(saved(Image.fromarray(scene()).convert("RGBA"), "PNG"))
        assert np.array_equal(photo.pixels, scene())
        assert photo.notes == ()

    def test_alpha_that_hides_all_is_ignored(self) -> None:
        image = Image.fromarray(scene())
        image.putalpha(0)
        photo = decode(saved(image, "PNG"))
        assert np.array_equal(photo.pixels, scene())
        assert photo.notes == ("empty transparency ignored",)

    @pytest.mark.parametrize("transparency", [0, bytes([0, 128, 255, 255])], ids=["one", "each"])
    def test_palette_with_transparency(self, transparency: int | bytes) -> None:
        image = Image.new("P", (30, 10))
        image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9])
        image.paste(1, (10, 0, 20, 10))
        image.paste(2, (20, 0, 30, 10))
        pixels = decode(saved(image, "PNG", transparency=transparency)).pixels
        assert pixels[5, 5].tolist() == [255, 255, 255]
        middle = [127, 255, 127] if isinstance(transparency, bytes) else [0, 255, 0]
        assert np.abs(pixels[5, 15].astype(int) - middle).max() <= 1
        assert pixels[5, 25].tolist() == [0, 0, 255]

    @pytest.mark.parametrize(("mode", "colour"), [("RGB", (10, 20, 30)), ("L", 77), ("1", 0)])
    def test_a_transparent_colour_in_png(self, mode: str, colour: object) -> None:
        image = Image.new(mode, (20, 10), "white")
        image.paste(colour, (0, 0, 10, 10))  # type: ignore[arg-type]
        image.paste({"RGB": (200, 0, 0), "L": 50, "1": 255}[mode], (15, 0, 20, 10))  # type: ignore[arg-type]
        photo = decode(saved(image, "PNG", transparency=colour))
        assert photo.pixels[5, 5].tolist() == [255, 255, 255]
        assert photo.pixels[5, 17].tolist() == {"RGB": [200, 0, 0], "L": [50] * 3, "1": [255] * 3}[mode]
        assert photo.notes == ("transparency over white",)

    def test_cmyk_is_converted_plainly(self) -> None:
        image = Image.new("CMYK", (20, 20), (0, 128, 255, 51))
        expected = [255 * 204 // 255, 127 * 204 // 255, 0]
        for data in (saved(image, "TIFF"), saved(image, "JPEG", quality=100)):
            assert np.abs(decode(data).pixels[10, 10].astype(int) - expected).max() <= 2

    def test_adobe_inverted_cmyk_jpeg(self) -> None:
        data = saved(Image.fromarray(scene()).convert("CMYK"), "JPEG", quality=95)
        assert b"\xff\xee\x00\x0eAdobe" in data  # Adobe's mark: what is stored is 255 minus the ink
        assert closeness(decode(data).pixels, scene()) < 3

    @pytest.mark.parametrize("profile", [b"no profile at all", b"\0" * 200, bytes(range(256)) * 4])
    @pytest.mark.parametrize(("mode", "kind"), [("CMYK", "JPEG"), ("RGB", "JPEG"), ("RGB", "PNG"), ("CMYK", "TIFF")])
    def test_an_odd_colour_profile_changes_nothing(self, mode: str, kind: str, profile: bytes) -> None:
        image = Image.fromarray(scene()).convert(mode)
        plain, odd = saved(image, kind), saved(image, kind, icc_profile=profile)
        assert profile in odd or kind == "PNG"
        assert np.array_equal(decode(odd).pixels, decode(plain).pixels)

    def test_lab_and_ycbcr_tiff(self) -> None:
        ycbcr = Image.fromarray(scene()).convert("YCbCr")
        assert closeness(decode(saved(ycbcr, "TIFF")).pixels, scene()) < 2
        lab = Image.merge("LAB", [Image.new("L", (20, 20), value) for value in (255, 128, 128)])
        assert decode(saved(lab, "TIFF")).pixels.min() > 245


class TestDepth:
    def ramp(self, low: float, high: float, dtype: str) -> NDArray[np.generic]:
        return np.linspace(low, high, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH).astype(dtype)

    @pytest.mark.parametrize("kind", ["PNG", "TIFF"])
    def test_16_bit_grey_is_scaled_by_its_own_range(self, kind: str) -> None:
        values = self.ramp(1000, 5000, "uint16")
        photo = decode(saved(Image.fromarray(values), kind))
        expected = np.rint((values.astype(float) - 1000) / 4000 * 255)
        assert np.array_equal(photo.pixels[..., 0], expected)
        assert np.array_equal(photo.pixels[..., 0], photo.pixels[..., 1])
        assert photo.notes == ("16-bit scaled by its own range",)

    def test_big_endian_16_bit_tiff(self) -> None:
        values = self.ramp(300, 60000, ">u2")
        image = Image.frombytes("I;16B", (WIDTH, HEIGHT), values.tobytes())
        expected = np.rint((values.astype(float) - 300) / 59700 * 255)
        assert np.array_equal(decode(saved(image, "TIFF")).pixels[..., 1], expected)

    @pytest.mark.parametrize(
        ("dtype", "low", "high", "note"),
        [
            ("int32", -70000, 2_000_000_000, "32-bit scaled by its own range"),
            ("float32", -0.25, 0.75, "floating point scaled by its own range"),
            ("float32", -3e38, 3e38, "floating point scaled by its own range"),
        ],
    )
    def test_32_bit_and_float_tiff(self, dtype: str, low: float, high: float, note: str) -> None:
        values = self.ramp(low, high, dtype)
        photo = decode(saved(Image.fromarray(values), "TIFF"))
        exact = values.astype(float)
        expected = np.rint((exact - exact.min()) / (exact.max() - exact.min()) * 255)
        assert np.array_equal(photo.pixels[..., 2], expected)
        assert photo.notes == (note,)

    @pytest.mark.parametrize("value", [0, 7, 65535])
    def test_a_constant_picture_is_mid_grey(self, value: int) -> None:
        for dtype in ("uint16", "int32", "float32"):
            image = Image.fromarray(np.full((10, 12), value, dtype))
            assert (decode(saved(image, "TIFF")).pixels == 128).all()

    def test_values_that_are_none(self) -> None:
        values = self.ramp(0, 1, "float32")
        values[0, :4] = [np.nan, np.inf, -np.inf, np.nan]  # type: ignore[call-overload]
        pixels = decode(saved(Image.fromarray(values), "TIFF")).pixels[..., 0]
        assert pixels[0, :4].tolist() == [0, 255, 0, 0]
        rest = values[1:].astype(float)
        low = float(np.nanmin(np.where(np.isfinite(values), values, np.nan)))  # type: ignore[call-overload]
        assert np.array_equal(pixels[1:], np.rint((rest - low) / (1 - low) * 255))

    def test_no_value_at_all(self) -> None:
        image = Image.fromarray(np.full((10, 12), np.nan, "float32"))
        assert refusal(saved(image, "TIFF")) == "no pixel has a value"

    def test_white_is_zero(self) -> None:
        values = self.ramp(0, 65535, "uint16")
        data = tiff({262: (3, [0])}, values.astype("<u2").tobytes(), (WIDTH, HEIGHT), bits=[16])
        assert np.array_equal(decode(data).pixels[..., 0], 255 - np.rint(values.astype(float) / 65535 * 255))

    def test_16_bit_colour_keeps_the_low_byte(self) -> None:
        # Twelve bits of a camera: the high bytes alone have 16 levels.
        values = (scene().astype(np.uint16) * 16) + 3
        expected = np.rint((values.astype(float) - values.min()) / float(np.ptp(values)) * 255)
        little = tiff({262: (3, [2])}, values.astype("<u2").tobytes(), (WIDTH, HEIGHT), bits=[16] * 3)
        deflated = tiff(
            {262: (3, [2]), 259: (3, [8])},
            zlib.compress(values.astype("<u2").tobytes()),
            (WIDTH, HEIGHT),
            bits=[16] * 3,
        )
        for data in (png16(values), little, deflated):
            photo = decode(data)
            assert np.array_equal(photo.pixels, expected)
            assert photo.notes == ("16-bit scaled by its own range",)

    def test_16_bit_colour_with_alpha(self) -> None:
        values = np.dstack([scene().astype(np.uint16) * 257, np.full((HEIGHT, WIDTH), 65535, np.uint16)])
        values[:, :10, 3] = 0
        photo = decode(png16(values))
        assert (photo.pixels[:, :10] == 255).all()
        colours = values[..., :3].astype(float)
        expected = np.rint((colours - colours.min()) / np.ptp(colours) * 255)
        assert np.array_equal(photo.pixels[:, 10:], expected[:, 10:])
        assert photo.notes == ("16-bit scaled by its own range", "transparency over white")


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png16(values: NDArray[np.uint16]) -> bytes:
    height, width, channels = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, {3: 2, 4: 6}[channels], 0, 0, 0)
    body = png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def tiff(tags: dict[int, tuple[int, list[int]]], pixels: bytes, size: tuple[int, int], bits: list[int]) -> bytes:
    """A little-endian TIFF of one strip; tags are (type 3 or 4, values)."""
    every = {256: (4, [size[0]]), 257: (4, [size[1]]), 258: (3, bits), 259: (3, [1]), 262: (3, [1]), 273: (4, [8])}
    every |= {277: (3, [len(bits)]), 278: (4, [size[1]]), 279: (4, [len(pixels)])} | tags
    start = 8 + len(pixels)
    entries, extra = b"", b""
    extra_at = start + 2 + 12 * len(every) + 4
    for tag, (kind, values) in sorted(every.items()):
        body = struct.pack(f"<{len(values)}{'H' if kind == 3 else 'L'}", *values)
        if len(body) > 4:
            body, extra = struct.pack("<L", extra_at + len(extra)), extra + body
        entries += struct.pack("<HHL4s", tag, kind, len(values), body.ljust(4, b"\0"))
    head = struct.pack("<2sHL", b"II", 42, start)
    return head + pixels + struct.pack("<H", len(every)) + entries + b"\0\0\0\0" + extra


class TestTurn:
    # What a viewer does with a stored picture, by the definition of the tag: which side is row 0 and column 0.
    STORED = {  # noqa: RUF012
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: a.transpose(1, 0, 2)[::-1],
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: a.transpose(1, 0, 2)[:, ::-1],
    }

    @pytest.mark.parametrize("orientation", range(1, 9))
    @pytest.mark.parametrize(("kind", "options"), [form for form in LOSSLESS + LOSSY if form[0] not in ("BMP", "HEIF")])
    def test_all_turns_come_out_upright(self, kind: str, options: dict[str, object], orientation: int) -> None:
        turned = np.ascontiguousarray(self.STORED[orientation](scene()))
        data = saved(turned, kind, exif=tagged(orientation), **options)
        photo = decode(data)
        assert (photo.height, photo.width) == (HEIGHT, WIDTH)
        assert closeness(photo.pixels, scene()) < 2.5
        assert photo.notes == ()

    @pytest.mark.parametrize(
        ("box", "orientation", "turn"),
        [
            (b"irot\0", 1, lambda a: a),
            (b"irot\1", 8, lambda a: np.rot90(a, 1)),
            (b"irot\3", 6, lambda a: np.rot90(a, 3)),
            (b"imir\1", 2, lambda a: a[:, ::-1]),
        ],
        ids=["upright", "left", "right", "mirrored"],
    )
    def test_heif_is_turned_once_by_its_own_box(
        self, box: bytes, orientation: int, turn: Callable[[Array], Array]
    ) -> None:
        # As telephones write it: the box and EXIF say the same. The box that crops the padding is made the turn.
        data = saved(scene(), "HEIF", exif=tagged(orientation))
        at = data.index(b"clap")
        assert data[at - 4 : at] == b"\0\0\0\x28"
        padded = decode(data[:at] + b"irot".ljust(36, b"\0") + data[at + 36 :]).pixels
        assert closeness(padded[:HEIGHT], scene()) < 2.5
        photo = decode(data[:at] + box.ljust(36, b"\0") + data[at + 36 :])
        assert np.array_equal(photo.pixels, turn(padded))
        assert (photo.height, photo.width) == photo.pixels.shape[:2]
        assert photo.notes == ()

    def test_heif_is_not_turned_by_exif_alone(self) -> None:
        photo = decode(saved(scene(), "HEIF", exif=tagged(6)))
        assert closeness(photo.pixels, scene()) < 2.5
        assert photo.notes == ("EXIF turn ignored (HEIF has its own)",)

    @pytest.mark.parametrize("orientation", [0, 9, 65535])
    def test_a_turn_that_does_not_exist_is_none(self, orientation: int) -> None:
        assert np.array_equal(decode(saved(scene(), "PNG", exif=tagged(orientation))).pixels, scene())

    def test_png_with_exif_after_the_pixels(self) -> None:
        plain = saved(self.STORED[6](scene()).copy(), "PNG")
        end = plain.index(b"IEND") - 4
        block = tagged(6).tobytes().removeprefix(b"Exif\0\0")
        photo = decode(plain[:end] + png_chunk(b"eXIf", block) + plain[end:])
        assert np.array_equal(photo.pixels, scene())

    def test_png_with_exif_as_imagemagick_wrote_it(self) -> None:
        block = tagged(3).tobytes()
        text = f"\nexif\n{len(block):8}\n" + block.hex() + "\n"
        plain = saved(scene()[::-1, ::-1].copy(), "PNG")
        at = plain.index(b"IDAT") - 4
        data = plain[:at] + png_chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(text.encode())) + plain[at:]
        assert np.array_equal(decode(data).pixels, scene())
        broken = plain[:at] + png_chunk(b"tEXt", b"Raw profile type exif\0\nexif\n9\nxyz") + plain[at:]
        assert decode(broken).notes == ("broken EXIF ignored",)

    def test_16_bit_is_turned_too(self) -> None:
        values = np.arange(HEIGHT * WIDTH, dtype=np.uint16).reshape(HEIGHT, WIDTH)
        for kind in ("PNG", "TIFF"):
            upright = decode(saved(Image.fromarray(values), kind)).pixels
            turned = decode(saved(Image.fromarray(values.T[::-1].copy()), kind, exif=tagged(6))).pixels
            assert np.array_equal(turned, upright)


class TestDraft:
    @pytest.mark.parametrize(
        ("cover", "scale"), [((10, 10), 8), ((50, 60), 8), ((51, 60), 4), ((100, 125), 4), ((101, 125), 2)]
    )
    def test_the_smallest_scale_that_covers_twice(self, cover: tuple[int, int], scale: int) -> None:
        photo = decode(saved(scene(800, 1000), "JPEG"), cover=cover)
        assert photo.pixels.shape == (800 // scale, 1000 // scale, 3)
        assert (photo.width, photo.height) == (1000, 800)

    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_cover_is_of_the_upright_picture(self, orientation: int) -> None:
        data = saved(scene(400, 1600), "JPEG", exif=tagged(orientation))
        lying = decode(data, cover=(50, 200))  # a quarter, as stored; as turned, 50 x 200 is more than there is
        assert lying.pixels.shape == ((100, 400, 3) if orientation < 5 else (1600, 400, 3))
        standing = decode(data, cover=(200, 50))
        assert standing.pixels.shape == ((400, 1600, 3) if orientation < 5 else (400, 100, 3))
        assert (lying.height, lying.width) == ((400, 1600) if orientation < 5 else (1600, 400))

    @given(st.integers(16, 300), st.integers(16, 300), st.integers(1, 200), st.integers(1, 200), st.integers(1, 8))
    @settings(max_examples=60, deadline=None)
    def test_twice_the_cover_or_all_there_is(self, h: int, w: int, ch: int, cw: int, orientation: int) -> None:
        data = saved(Image.new("RGB", (w, h), "red"), "JPEG", exif=tagged(orientation))
        photo = decode(data, cover=(ch, cw))
        full = (h, w) if orientation < 5 else (w, h)
        assert (photo.height, photo.width) == full
        got = photo.pixels.shape[:2]
        scales = [s for s in (8, 4, 2) if full[0] // s >= 2 * ch and full[1] // s >= 2 * cw]
        scale = scales[0] if scales else 1
        assert got == (-(-full[0] // scale), -(-full[1] // scale))

    def test_full_size_without_cover_and_for_other_formats(self) -> None:
        assert decode(saved(scene(), "JPEG")).pixels.shape == (HEIGHT, WIDTH, 3)
        assert np.array_equal(decode(saved(scene(), "PNG"), cover=(2, 2)).pixels, scene())

    @pytest.mark.parametrize("mode", ["squash", "crop", "letterbox"])
    def test_fits_like_the_full_size(self, mode: str) -> None:
        noise = np.random.default_rng(3).integers(-30, 30, (600, 800, 3))
        data = saved(np.clip(scene(600, 800) + noise, 0, 255).astype(np.uint8), "JPEG", quality=92)
        full, small = decode(data), decode(data, cover=(64, 64))
        assert small.pixels.shape == (150, 200, 3)
        fitted = [fit(photo.pixels, (64, 64), mode) for photo in (full, small)]  # type: ignore[arg-type]
        assert closeness(*fitted) < 1.5


class TestLimits:
    def header(self, width: int, height: int) -> bytes:
        ihdr = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        return b"\x89PNG\r\n\x1a\n" + ihdr + png_chunk(b"IDAT", zlib.compress(bytes(100)))

    def test_a_bomb_is_refused_by_its_header(self) -> None:
        assert refusal(self.header(60000, 60000)) == "3,600 megapixels, over the limit of 200 (--max-megapixels)"

    def test_the_limit_is_the_callers(self) -> None:
        data = saved(scene(), "PNG")
        assert decode(data, max_pixels=HEIGHT * WIDTH).width == WIDTH
        reason = refusal(data, max_pixels=HEIGHT * WIDTH - 1)
        assert reason == "0.003072 megapixels, over the limit of 0.003071 (--max-megapixels)"
        assert refusal(self.header(11000, 11000), max_pixels=100_000_000).startswith(
            "121 megapixels, over the limit of 100 "
        )

    @pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "GIF", "JPEG", "HEIF", "AVIF"])
    def test_pillows_own_limit_is_neither_used_nor_changed(self, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
        assert decode(saved(scene(), kind)).width == WIDTH
        assert Image.MAX_IMAGE_PIXELS == 10

    def test_webp_keeps_pillows_limit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
        assert refusal(saved(scene(), "WEBP")) == "more pixels than Pillow decodes of this format"

    @pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 500), (500, 1)])
    def test_points_and_lines_are_refused(self, width: int, height: int) -> None:
        assert refusal(saved(Image.new("RGB", (width, height)), "PNG")) == f"{width}×{height} pixels: too small"

    def test_two_pixels_and_ribbons_are_not(self) -> None:
        assert decode(saved(Image.new("RGB", (2, 2)), "PNG")).pixels.shape == (2, 2, 3)
        ribbon = decode(saved(Image.new("RGB", (60000, 20), "teal"), "JPEG"), cover=(64, 64))
        assert (ribbon.width, ribbon.height) == (60000, 20)
        for mode in ("squash", "crop", "letterbox"):
            assert fit(ribbon.pixels, (64, 64), mode).shape == (64, 64, 3)  # type: ignore[arg-type]

    def test_out_of_memory(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def exhausted(*_: object) -> None:
            raise MemoryError

        monkeypatch.setattr(formats, "open_low_bytes", exhausted)
        monkeypatch.setattr("morphoindex.indexer.photographs.images.open_low_bytes", exhausted)
        assert refusal(saved(scene(), "PNG")) == "not enough memory to decode it"


class TestRefusals:
    def test_what_is_no_picture(self) -> None:
        assert refusal(b"") == "empty file"
        for data in (b"\0", b"a label, not a picture", b"BMW is a make of cars, of which this is a text", bytes(4000)):
            assert refusal(data) == "not an image"
        assert refusal(b"\0\0\0\x18ftypisom\0\0\0\0isomiso2mp41") == "not an image (a film, or another ISO media file)"
        assert refusal(b"%PDF-1.7\n").startswith("PDF is not read")
        assert refusal(b"%!PS-Adobe-3.0 EPSF-3.0\n").startswith("PostScript is not read")

    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "HEIF", "AVIF"])
    @pytest.mark.parametrize("part", [0.02, 0.5, 0.8])
    def test_cut_off(self, kind: str, part: float) -> None:
        noise = np.random.default_rng(1).integers(0, 255, (HEIGHT, WIDTH, 3)).astype(np.uint8)
        data = saved(noise, kind)
        reason = refusal(data[: max(16, int(len(data) * part))])
        assert reason.startswith(("cut off or damaged: ", "not supported: "))

    def test_reasons_are_for_people(self) -> None:
        png, tiff_file = saved(scene(), "PNG"), saved(scene(), "TIFF")
        assert refusal(png[:20]) == "cut off or damaged: Truncated File Read"
        assert refusal(saved(scene(), "JPEG")[:-200]).startswith("cut off or damaged: image file is truncated")
        assert refusal(tiff_file[:30]) == "cut off or damaged: broken header"
        assert refusal(saved(scene(), "GIF")[:15]) == "cut off or damaged: broken header"

    def test_the_cause_is_kept(self) -> None:
        with pytest.raises(ImageRefused) as caught:
            decode(saved(scene(), "PNG")[:200])
        assert isinstance(caught.value.__cause__, OSError)
        assert not ImageFile.LOAD_TRUNCATED_IMAGES

    def test_camera_raw_is_not_taken_for_its_preview(self) -> None:
        pixels, size = scene().tobytes(), (WIDTH, HEIGHT)
        for tags in ({50706: (4, [1])}, {254: (4, [1]), 330: (4, [8])}):
            data = tiff({262: (3, [2])} | tags, pixels, size, bits=[8] * 3)  # type: ignore[operator]
            assert refusal(data).startswith("camera raw")
        assert np.array_equal(decode(tiff({262: (3, [2])}, pixels, size, bits=[8] * 3)).pixels, scene())

    def test_unknown_pixel_layout(self) -> None:
        data = tiff({262: (3, [2])}, bytes(HEIGHT * WIDTH * 5), (WIDTH, HEIGHT), bits=[5] * 5)
        assert refusal(data).startswith("not supported: ")


class TestFrames:
    def frames(self) -> tuple[Image.Image, list[Image.Image]]:
        return Image.fromarray(scene()), [Image.new("RGB", (WIDTH, HEIGHT), colour) for colour in ("red", "blue")]

    @pytest.mark.parametrize(
        ("kind", "note"),
        [
            ("TIFF", "first of 3 pages"),
            ("GIF", "first frame of an animation"),
            ("WEBP", "first of 3 frames"),
            ("PNG", "first of 3 frames"),
            ("AVIF", "first of 3 frames"),
        ],
    )
    def test_the_first_is_taken_and_noted(self, kind: str, note: str) -> None:
        first, rest = self.frames()
        photo = decode(saved(first, kind, save_all=True, append_images=rest))
        assert note in photo.notes
        assert closeness(photo.pixels, scene()) < 12  # a GIF has 256 colours
        assert closeness(decode(saved(first, kind)).pixels, scene()) < 12
        assert decode(saved(first, kind)).notes == ()

    def test_of_heif_the_primary(self) -> None:
        first, rest = self.frames()
        heif = pillow_heif.from_pillow(rest[0])
        heif.add_from_pillow(first)
        file = io.BytesIO()
        heif.save(file, quality=-1, primary_index=1)
        photo = decode(file.getvalue())
        assert photo.notes == ("primary of 2 pictures",)
        assert closeness(photo.pixels, scene()) < 2.5

    def test_a_damaged_second_page_does_not_matter(self) -> None:
        first, rest = self.frames()
        data = saved(first, "TIFF", save_all=True, append_images=rest[:1])
        at = struct.unpack_from("<L", data, 4)[0]
        link = at + 2 + 12 * struct.unpack_from("<H", data, at)[0]
        assert count_pages(data) == 2
        for target, pages in ((2**32 - 1, 1), (at, 1), (3, 1)):
            bent = data[:link] + struct.pack("<L", target) + data[link + 4 :]
            photo = decode(bent)
            assert np.array_equal(photo.pixels, scene())
            assert count_pages(bent) == pages

    def test_a_gif_with_a_damaged_second_frame(self) -> None:
        first, rest = self.frames()
        data = saved(first, "GIF", save_all=True, append_images=rest)
        alone = saved(first, "GIF")
        photo = decode(data[: len(alone) + 12])
        assert closeness(photo.pixels, scene()) < 12


class TestCapture:
    def of(self, **exif_tags: object) -> Capture:
        return decode(saved(scene(), "JPEG", exif=tagged(**exif_tags))).capture  # type: ignore[arg-type]

    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
    def test_every_format_that_carries_exif(self, kind: str) -> None:
        exif = tagged(
            original="2024:05:01 12:30:00",
            make="Canon",
            model="EOS R5",
            gps={1: "N", 2: (52.0, 30.0, 0.0), 3: "E", 4: (13.0, 24.0, 36.0)},
        )
        photo = decode(saved(scene(), kind, exif=exif))
        assert photo.capture == Capture("2024-05-01T12:30:00", "Canon EOS R5", 52.5, 13.41)
        assert photo.notes == ()

    @pytest.mark.parametrize(
        ("tags", "time"),
        [
            ({"original": "2024:05:01 12:30:00"}, "2024-05-01T12:30:00"),
            ({"original": "2024:05:01 12:30:00", "offset": "+02:00"}, "2024-05-01T12:30:00+02:00"),
            ({"original": "2024:05:01 12:30:00", "subsec": "25 "}, "2024-05-01T12:30:00.25"),
            ({"original": "2024:05:01 12:30:00", "subsec": "007", "offset": "-09:30"}, "2024-05-01T12:30:00.007-09:30"),
            ({"original": "2024:05:01 12:30:00", "offset": "+99:00", "subsec": "x"}, "2024-05-01T12:30:00"),
            ({"original": "2024-05-01 12:30:00"}, "2024-05-01T12:30:00"),
            ({"digitized": "2023:01:02 03:04:05", "subsec_digitized": "5"}, "2023-01-02T03:04:05.5"),
            ({"original": "2024:05:01 12:30:00", "digitized": "2023:01:02 03:04:05"}, "2024-05-01T12:30:00"),
            ({"original": "0000:00:00 00:00:00", "digitized": "2023:01:02 03:04:05"}, "2023-01-02T03:04:05"),
            ({"edited": "2024:05:01 12:30:00"}, None),
            ({"original": "0000:00:00 00:00:00"}, None),
            ({"original": "    :  :     :  :  "}, None),
            ({"original": "2024:06:31 12:30:00"}, None),
            ({"original": "2024:05:01 24:00:00"}, None),
            ({"original": "yesterday"}, None),
        ],
    )
    def test_time(self, tags: dict[str, object], time: str | None) -> None:
        assert self.of(**tags).time == time
        if time is not None:
            assert datetime.fromisoformat(time)

    @pytest.mark.parametrize(
        ("make", "model", "camera"),
        [
            ("Canon", "Canon EOS 5D", "Canon EOS 5D"),
            ("NIKON CORPORATION", "NIKON D850", "NIKON D850"),
            ("SONY", "ILCE-7M3", "SONY ILCE-7M3"),
            ("Apple  ", "iPhone 15", "Apple iPhone 15"),
            ("Canonical", "Canon", "Canonical Canon"),
            ("Leica", None, "Leica"),
            (None, "DSC-1", "DSC-1"),
            ("", "\t", None),
            ("A\nB\x07", "C", "A B C"),
        ],
    )
    def test_camera(self, make: str | None, model: str | None, camera: str | None) -> None:
        tags = {"make": make, "model": model}
        assert self.of(**{name: value for name, value in tags.items() if value is not None}).camera == camera

    @pytest.mark.parametrize(
        ("gps", "place"),
        [
            ({1: "S", 2: (33.0, 51.0, 54.0), 3: "W", 4: (70.0, 40.0, 12.0)}, (-33.865, -70.67)),
            ({1: "N", 2: (51.5,), 3: "W", 4: (0.125,)}, (51.5, -0.125)),
            ({1: "N", 2: (51.0, 30.0), 3: "E", 4: (0.0, 0.0, 0.0)}, (51.5, 0.0)),
            ({1: "N", 2: (90.0, 0.0, 0.0), 3: "E", 4: (180.0, 0.0, 0.0)}, (90.0, 180.0)),
            ({1: "N", 2: (90.0, 0.0, 1.0), 3: "E", 4: (10.0, 0.0, 0.0)}, (None, None)),
            ({1: "N", 2: (50.0, 61.0, 0.0), 3: "E", 4: (10.0, 0.0, 0.0)}, (None, None)),
            ({1: "N", 2: (50.0, 0.0, 0.0), 3: "E", 4: (181.0, 0.0, 0.0)}, (None, None)),
            ({1: "N", 2: (50.0, 0.0, 0.0)}, (None, None)),
            ({2: (50.0, 0.0, 0.0), 4: (10.0, 0.0, 0.0)}, (None, None)),
            ({1: "X", 2: (50.0, 0.0, 0.0), 3: "E", 4: (10.0, 0.0, 0.0)}, (None, None)),
            ({1: "N", 2: (0.0, 0.0, 0.0), 3: "E", 4: (0.0, 0.0, 0.0)}, (None, None)),
        ],
    )
    def test_place(self, gps: dict[int, object], place: tuple[float | None, float | None]) -> None:
        capture = self.of(gps=gps)
        assert (capture.latitude, capture.longitude) == place

    def test_a_place_without_denominators(self) -> None:
        block = tagged(gps={1: "N", 2: (50.0, 7.0, 0.0), 3: "E", 4: (10.0, 0.0, 0.0)}).tobytes()
        assert read_exif(block).capture.latitude == pytest.approx(50 + 7 / 60, abs=1e-7)
        minutes = struct.pack(">LL", 7, 1)
        assert block.count(minutes) == 1
        assert read_exif(block.replace(minutes, struct.pack(">LL", 7, 0))).capture == Capture()


class TestBrokenMetadata:
    BROKEN = (b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + bytes(30))

    @pytest.mark.parametrize("block", BROKEN)
    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
    def test_broken_exif_is_ignored_and_noted(self, kind: str, block: bytes) -> None:
        photo = decode(saved(scene(), kind, exif=block))
        assert photo.notes == ("broken EXIF ignored",)
        assert closeness(photo.pixels, scene()) < 5

    def test_the_part_that_is_whole_counts(self) -> None:
        block = tagged(6, original="2024:05:01 12:30:00", model="D850").tobytes()
        at = block.index(struct.pack(">HHL", 0x8769, 4, 1)) + 8
        bent = block[:at] + struct.pack(">L", 2**31) + block[at + 4 :]
        photo = decode(saved(scene(), "JPEG", exif=bent))
        assert (photo.width, photo.height) == (HEIGHT, WIDTH)
        assert photo.capture == Capture(None, "D850", None, None)
        assert photo.notes == ("broken EXIF ignored",)

    def test_a_value_past_the_end(self) -> None:
        block = tagged(3, model="a longer name").tobytes()
        exif = read_exif(block[: block.index(b"longer")])
        assert (exif.orientation, exif.capture.camera, exif.broken) == (3, None, True)

    def test_the_mark_may_stand_twice(self) -> None:
        block = tagged(5).tobytes()
        assert block.startswith(b"Exif\0\0")
        assert read_exif(b"Exif\0\0" + block) == read_exif(block) == read_exif(block[6:])
        assert read_exif(block).orientation == 5
        assert read_exif(b"") == read_exif(b"Exif\0\0") == Exif()

    def test_tiff_with_a_broken_pointer(self) -> None:
        data = tiff({262: (3, [2]), 34665: (4, [2**31])}, scene().tobytes(), (WIDTH, HEIGHT), bits=[8] * 3)
        photo = decode(data)
        assert np.array_equal(photo.pixels, scene())
        assert photo.notes == ("broken EXIF ignored",)

    def test_jpeg_with_broken_segments(self) -> None:
        plain = saved(scene(), "JPEG", exif=tagged(8, model="D850"))
        expected = decode(plain)
        for marker, body in ((0xE2, b"ICC_PROFILE\0"), (0xE0, b"JFIF\0"), (0xEE, b"Adobe")):
            segment = bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body
            photo = decode(plain[:2] + segment + plain[2:])
            assert photo.notes == ("damaged metadata ignored",)
            assert np.array_equal(photo.pixels, expected.pixels)
            assert photo.capture.camera == "D850"

    def test_png_with_broken_chunks(self) -> None:
        plain = saved(scene(), "PNG", exif=tagged(4, model="D850"))
        at = plain.index(b"IDAT") - 4
        wrong_sum = png_chunk(b"tEXt", b"Comment\0hello")[:-4] + b"\0\0\0\0"
        for chunk in (wrong_sum, png_chunk(b"iCCP", b"name\0\x07xyz"), png_chunk(b"gAMA", b"\0")):
            photo = decode(plain[:at] + chunk + plain[at:])
            assert "damaged metadata ignored" in photo.notes
            assert np.array_equal(photo.pixels, scene()[::-1])
            assert photo.capture.camera == "D850"

    @given(st.binary(max_size=200), st.sampled_from([b"", b"II*\0", b"MM\0*", b"II+\0\x08\0\0\0"]))
    @settings(max_examples=150, deadline=None)
    def test_read_exif_never_fails(self, noise: bytes, start: bytes) -> None:
        exif = read_exif(start + noise)
        assert 1 <= exif.orientation <= 8
        assert count_pages(start + noise) >= 1

    def test_bigtiff(self) -> None:
        data = saved(scene()[::-1].copy(), "TIFF", big_tiff=True, exif=tagged(4, model="scanner"))
        assert data[2] == 43
        photo = decode(data)
        assert np.array_equal(photo.pixels, scene())
        assert photo.capture.camera == "scanner"


def small_files() -> dict[str, bytes]:
    image = Image.fromarray(scene(24, 32))
    exif = tagged(6, original="2024:05:01 12:30:00", make="A", gps={1: "N", 2: (1.0, 2.0, 3.0), 3: "E", 4: (4.0,)})
    deep = Image.fromarray(np.arange(768, dtype=np.uint16).reshape(24, 32))
    return {
        "jpeg": saved(image, "JPEG", exif=exif),
        "progressive": saved(image, "JPEG", progressive=True),
        "png": saved(image, "PNG", exif=exif),
        "png palette": saved(image.convert("P"), "PNG", transparency=3),
        "png deep": png16(scene(24, 32).astype(np.uint16) * 257),
        "apng": saved(image, "PNG", save_all=True, append_images=[Image.new("RGB", (32, 24))]),
        "webp": saved(image, "WEBP", exif=exif),
        "bmp": saved(image, "BMP"),
        "gif": saved(image, "GIF", save_all=True, append_images=[Image.new("RGB", (32, 24))]),
        "tiff": saved(image, "TIFF", exif=exif),
        "tiff lzw": saved(image, "TIFF", compression="tiff_lzw"),
        "tiff deep": saved(deep, "TIFF"),
        "heif": saved(image, "HEIF"),
        "avif": saved(image, "AVIF", exif=exif),
    }


FILES = small_files()


class TestNothingElseIsRaised:
    def attempt(self, data: bytes) -> None:
        try:
            photo = decode(data, cover=(4, 4), max_pixels=1_000_000)
        except ImageRefused as error:
            reason = error.reason
        else:
            reason = "none"
            assert photo.pixels.shape[2] == 3
            assert photo.pixels.dtype == np.uint8
        assert reason
        assert "\n" not in reason

    @given(st.binary(max_size=300), st.sampled_from([b"", *sorted({data[:16] for data in FILES.values()})]))
    @settings(max_examples=150, deadline=None)
    def test_random_bytes(self, noise: bytes, start: bytes) -> None:
        self.attempt(start + noise)

    @pytest.mark.parametrize("name", FILES)
    @given(data=st.data())
    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    def test_cut_anywhere(self, name: str, data: st.DataObject) -> None:
        file = FILES[name]
        self.attempt(file[: data.draw(st.integers(0, len(file) - 1))])

    @pytest.mark.parametrize("name", FILES)
    @given(data=st.data())
    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    def test_flipped_bits(self, name: str, data: st.DataObject) -> None:
        file = bytearray(FILES[name])
        # Headers are where it gets interesting: half of the flips fall into the first 200 bytes.
        places = st.one_of(st.integers(0, min(200, len(file) - 1)), st.integers(0, len(file) - 1))
        for place in data.draw(st.lists(places, min_size=1, max_size=6)):
            file[place] ^= data.draw(st.integers(1, 255))
        self.attempt(bytes(file))


class TestProcess:
    def test_other_threads_keep_their_warnings(self) -> None:
        decode(FILES["jpeg"])
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            with formats.quiet():
                warnings.warn("of this thread", UserWarning, stacklevel=1)
                other = threading.Thread(target=warnings.warn, args=("of another", UserWarning))
                other.start()
                other.join()
            warnings.warn("afterwards", UserWarning, stacklevel=1)
            for _ in range(5):
                decode(FILES["jpeg"])
                warnings.simplefilter("always")
            assert [entry is formats._FILTER for entry in warnings.filters].count(True) == 1
        assert [str(warning.message) for warning in seen] == ["of another", "afterwards"]

    def test_a_file_that_makes_pillow_warn_does_not(self) -> None:
        # Two values where one belongs: Pillow warns of such a field, and pytest makes errors of warnings.
        data = tiff({262: (3, [2]), 296: (3, [2, 2])}, scene().tobytes(), (WIDTH, HEIGHT), bits=[8] * 3)
        with pytest.warns(UserWarning, match="too many entries"), Image.open(io.BytesIO(data)):
            pass
        assert np.array_equal(decode(data).pixels, scene())

    def test_threads_get_what_one_gets(self) -> None:
        expected = {name: decode(file).pixels for name, file in FILES.items()}
        wrong: list[str] = []

        def work() -> None:
            for _ in range(5):
                wrong.extend(name for name in FILES if not np.array_equal(decode(FILES[name]).pixels, expected[name]))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []

    def test_the_import_is_light_and_registers_nothing(self) -> None:
        code = (
            "import sys, morphoindex.indexer.photographs.images as images\n"
            "from PIL import Image\n"
            "assert 'pillow_heif' not in sys.modules and 'PIL.AvifImagePlugin' not in sys.modules\n"
            "images.decode(sys.stdin.buffer.read())\n"
            "assert 'pillow_heif' in sys.modules and 'HEIF' not in Image.OPEN\n"
            "assert 'PIL.EpsImagePlugin' not in sys.modules\n"
        )
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        run = subprocess.run(
            [sys.executable, "-W", "error", "-c", code],
            input=FILES["heif"],
            capture_output=True,
            env=environment,
            check=False,
        )
        assert (run.returncode, run.stderr) == (0, b"")


class TestFit:
    RGB = scene(60, 100)

    def reference(self, size: tuple[int, int], box: tuple[float, ...] | None = None, name: str = "BICUBIC") -> Array:
        height, width = size
        return np.asarray(Image.fromarray(self.RGB).resize((width, height), Image.Resampling[name], box=box))

    @pytest.mark.parametrize("name", ["bilinear", "bicubic", "lanczos", "box", "nearest"])
    @pytest.mark.parametrize("size", [(20, 30), (60, 100), (70, 130)])
    def test_squash_is_pillows_resize(self, size: tuple[int, int], name: str) -> None:
        fitted = fit(self.RGB, size, "squash", name)  # type: ignore[arg-type]
        assert fitted.shape == (*size, 3)
        assert np.array_equal(fitted, self.reference(size, name=name.upper()))

    def test_squash_and_bicubic_are_the_defaults(self) -> None:
        assert np.array_equal(fit(self.RGB, (20, 30)), self.reference((20, 30)))

    def test_crop_takes_the_middle(self) -> None:
        assert np.array_equal(fit(self.RGB, (30, 30), "crop"), self.reference((30, 30), (20, 0, 80, 60)))
        assert np.array_equal(fit(self.RGB, (20, 50), "crop"), self.reference((20, 50), (0, 10, 100, 50)))

    def test_letterbox_shows_all_on_white(self) -> None:
        fitted = fit(self.RGB, (50, 50), "letterbox")
        assert np.array_equal(fitted[10:40], self.reference((30, 50)))
        assert (fitted[:10] == 255).all()
        assert (fitted[40:] == 255).all()
        tall = fit(self.RGB.transpose(1, 0, 2).copy(), (50, 50), "letterbox")
        assert closeness(tall, fitted.transpose(1, 0, 2).copy()) < 0.1

    @pytest.mark.parametrize("mode", ["squash", "crop", "letterbox"])
    def test_same_shape_is_the_same_picture(self, mode: str) -> None:
        assert np.array_equal(fit(self.RGB, (60, 100), mode), self.RGB)  # type: ignore[arg-type]

    def test_antialiased(self) -> None:
        stripes = np.zeros((64, 64, 3), np.uint8)
        stripes[:, ::2] = 255
        assert np.abs(fit(stripes, (16, 16))[4:12, 4:12].astype(int) - 127).max() <= 3
        assert set(np.unique(fit(stripes, (16, 16), "squash", "nearest"))) <= {0, 255}

    def test_golden_values(self) -> None:
        golden = {"squash": GOLDEN_SQUASH, "crop": GOLDEN_CROP, "letterbox": GOLDEN_LETTERBOX}
        for mode, values in golden.items():
            fitted = fit(self.RGB, (3, 4), mode)  # type: ignore[arg-type]
            assert np.abs(fitted[1].astype(int) - values).max() <= 1

    @given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 40), st.integers(1, 40))
    @settings(max_examples=60, deadline=None)
    def test_any_size_to_any_size(self, h: int, w: int, height: int, width: int) -> None:
        flat = np.full((h, w, 3), (10, 120, 250), np.uint8)
        for mode in ("squash", "crop"):
            fitted = fit(flat, (height, width), mode)  # type: ignore[arg-type]
            assert fitted.shape == (height, width, 3)
            assert (fitted == (10, 120, 250)).all()
        boxed = fit(flat, (height, width), "letterbox")
        shown = (boxed == (10, 120, 250)).all(axis=2)
        rows, columns = shown.any(axis=1).sum(), shown.any(axis=0).sum()
        assert rows == height or columns == width
        assert (boxed[~shown] == 255).all()

    @pytest.mark.parametrize(
        ("pixels", "size", "mode", "resampling", "word"),
        [
            (np.zeros((4, 4), np.uint8), (2, 2), "squash", "box", "uint8"),
            (np.zeros((4, 4, 3), np.float32), (2, 2), "squash", "box", "float32"),
            (np.zeros((0, 4, 3), np.uint8), (2, 2), "squash", "box", "uint8"),
            (np.zeros((4, 4, 3), np.uint8), (0, 2), "squash", "box", "size"),
            (np.zeros((4, 4, 3), np.uint8), (2, 2), "stretch", "box", "letterbox"),
            (np.zeros((4, 4, 3), np.uint8), (2, 2), "squash", "sinc", "lanczos"),
        ],
    )
    def test_wrong_use(self, pixels: Array, size: tuple[int, int], mode: str, resampling: str, word: str) -> None:
        with pytest.raises(UsageError, match=word):
            fit(pixels, size, mode, resampling)  # type: ignore[arg-type]


# The middle row of the picture in `TestFit`, fitted to 3 x 4. Tolerance 1: Pillow may round otherwise one day.
GOLDEN_SQUASH = [[65, 128, 67], [113, 128, 82], [165, 128, 98], [213, 128, 112]]
GOLDEN_CROP = [[77, 128, 71], [119, 128, 84], [159, 128, 96], [201, 128, 109]]
GOLDEN_LETTERBOX = [[65, 169, 64], [113, 169, 72], [165, 169, 81], [213, 169, 89]]
