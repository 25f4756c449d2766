"""Files → pixels: upright 8-bit RGB from every format that a camera, a scanner or a museum hands out.

What happens to a picture, in order: the format is told by its content; the number of pixels is checked from the
header; it is decoded; high bit depths are scaled to 8 bits; transparency is laid over white; colours become RGB; the
EXIF turn is applied. Colour profiles are not applied: pixels are the numbers in the file, and CMYK becomes RGB in
Pillow's plain way, (255 - C) * (255 - K) / 255. The turn in XMP is not applied either, as in browsers. A HEIF is turned
by its own boxes; its EXIF only repeats them and does not count where it does not (ISO/IEC 23000-22, MIAF).

Safe to call from many threads; nothing global in Pillow is changed.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ImageFile import ImageFile

from morphoindex.errors import ImageRefused, UsageError
from morphoindex.indexer.photographs.capture import NO_EXIF, Capture, Exif, count_pages, read_exif
from morphoindex.indexer.photographs.formats import exif_block, open_low_bytes, open_picture, quiet, sniff

__all__ = ["MIN_SIDE", "PAPER", "SUFFIXES", "Capture", "Fit", "Photo", "Resampling", "decode", "fit"]

Fit = Literal["squash", "crop", "letterbox"]
Resampling = Literal["bilinear", "bicubic", "lanczos", "box", "nearest"]

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".bmp", ".gif"}
    | {".tif", ".tiff", ".heic", ".heif", ".hif", ".avif"}
)
"""The file suffixes, in lower case, that a folder scan looks at. What a file is, its content says."""

MIN_SIDE = 2
"""Pictures with a shorter side, in pixels, are refused: a point or a line has no shape, and is mostly a spacer or a
tracking pixel. Not more than 2, because crops of plankton are sometimes only a few pixels wide."""

PAPER = 255
"""The grey level under transparency and around a letterboxed picture: white, so that a cut-out specimen that is both
has one background."""

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_RESAMPLING = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
    "nearest": Image.Resampling.NEAREST,
}
_DEPTHS = {"I": "32-bit", "F": "floating point"}
_TIFF_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0
_BLOCK_PIXELS = 1 << 20
_LONGEST_REASON = 120


@dataclass(frozen=True, eq=False)
class Photo:
    """A decoded picture.

    `pixels` is uint8 [H, W, 3] RGB, upright, not writable. `width` and `height` are those of the full-size picture,
    upright, also where `pixels` were decoded at a smaller scale. `format` is by content: "JPEG", "PNG", "WEBP", "BMP",
    "GIF", "TIFF", "HEIF" or "AVIF". `notes` say what was left out or changed on the way, each a short clause.
    """

    pixels: NDArray[np.uint8]
    width: int
    height: int
    format: str
    capture: Capture = field(default_factory=Capture)
    notes: tuple[str, ...] = ()


def decode(data: bytes, *, cover: tuple[int, int] | None = None, max_pixels: int = 200_000_000) -> Photo:
    """Decode the bytes of a picture file.

    With `cover`, a JPEG is decoded at the smallest scale (1, 1/2, 1/4, 1/8, in the DCT) that still has twice as many
    pixels as `cover` in both directions, so that the one antialiased resize that follows has enough to average. The
    same demand serves squash, crop and letterbox.

    16-bit, 32-bit and floating-point values are scaled from the picture's own least and greatest value to 0..255, all
    colour channels together: the 12 bits of a camera in a 16-bit file would be nearly black otherwise. A constant
    picture becomes mid-grey (128). NaN counts for nothing and becomes black; infinities become the ends of the range.

    Args:
        data: the whole file.
        cover: (height, width) in pixels of the upright picture that it will be fitted to; None for full size.
        max_pixels: the most pixels (width x height) that are decoded; checked from the header, and again on the
            decoded picture. The command line calls it `--max-megapixels`.

    Returns:
        The picture. Of several frames or pages the first is taken (of HEIF, the primary), with a note.

    Raises:
        ImageRefused: `reason` is one line fit for a table: "empty file", "not an image", "1×1 pixels: too small",
            "121 megapixels, over the limit of 100 (--max-megapixels)", "cut off or damaged: …". Nothing else is
            raised: Pillow's errors on damaged files are of any kind, so all of them are translated here, with the
            original as the cause.
    """
    try:
        name = sniff(data)
        with quiet():
            return _decode(data, name, cover, max_pixels)
    except ImageRefused:
        raise
    except Exception as error:
        raise ImageRefused(_reason(error)) from error


def _decode(data: bytes, name: str, cover: tuple[int, int] | None, max_pixels: int) -> Photo:
    picture, without_metadata = open_picture(name, data)
    notes = ["damaged metadata ignored"] if without_metadata else []
    _check_size(picture.size, max_pixels)
    size, exif = picture.size, NO_EXIF
    if name == "JPEG":
        # Its EXIF stands before the pixels, and the scale depends on the turn.
        exif = _exif(picture, name, data)
        if cover is not None:
            _draft(picture, cover, exif.orientation)
    low_bytes = open_low_bytes(picture, name, data)
    picture.load()
    if name != "JPEG":
        size, exif = picture.size, _exif(picture, name, data)
        _check_size(size, max_pixels)  # a HEIF header may say another size than its pixels have
    if exif.broken:
        notes.append("broken EXIF ignored")
    rgb = _to_rgb(picture, low_bytes, notes)
    if name == "HEIF" and picture.info.get("original_orientation") is not None and not _has_turn_box(data):
        notes.append("EXIF turn ignored (HEIF has its own)")
    # Pillow turns a TIFF itself, libheif a HEIF.
    if name not in ("TIFF", "HEIF") and exif.orientation in _TURNS:
        rgb = rgb.transpose(_TURNS[exif.orientation])
        size = size if exif.orientation < 5 else (size[1], size[0])
    _note_frames(picture, name, data, notes)
    return Photo(np.asarray(rgb), size[0], size[1], name, exif.capture, tuple(notes))


def _exif(picture: ImageFile, name: str, data: bytes) -> Exif:
    block = exif_block(picture, name, data)
    return read_exif(block) if block else NO_EXIF


def _has_turn_box(data: bytes) -> bool:
    """Whether a HEIF has the box of a rotation or a mirroring."""
    return b"irot" in data or b"imir" in data


def _check_size(size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    if min(size) < MIN_SIDE:
        raise ImageRefused(f"{width}×{height} pixels: too small")
    if width * height > max_pixels:
        raise ImageRefused(_over_limit(width * height, max_pixels))


def _over_limit(pixels: int, limit: int) -> str:
    """121_400_000, 100_000_000 -> '121.4 megapixels, over the limit of 100 (--max-megapixels)'."""
    texts = [f"{number / 1e6:,.1f}".removesuffix(".0") for number in (pixels, limit)]
    if texts[0] == texts[1]:
        texts = [f"{number / 1e6:,.6f}".rstrip("0").rstrip(".") for number in (pixels, limit)]
    return f"{texts[0]} megapixels, over the limit of {texts[1]} (--max-megapixels)"


def _reason(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "not enough memory to decode it"
    if isinstance(error, Image.DecompressionBombError):
        return "more pixels than Pillow decodes of this format"
    text = " ".join(str(error).partition("(")[0].split()).rstrip(".") or type(error).__name__
    # These are of Python, not of Pillow's authors, and say nothing to a person: "'I'", "index out of range".
    # Pillow's openers wrap them as `raise SyntaxError(v) from v`.
    cause = error.args[0] if isinstance(error, SyntaxError) and error.args else error
    if isinstance(cause, (LookupError, TypeError, EOFError, struct.error)) or text == "not identified by this driver":
        text = "broken header"
    known = ("unknown pixel mode", "cannot handle", "support", "Support")
    start = "not supported" if any(word in text for word in known) else "cut off or damaged"
    reason = f"{start}: {text}"
    return reason if len(reason) <= _LONGEST_REASON else reason[: _LONGEST_REASON - 1] + "…"


def _draft(picture: ImageFile, cover: tuple[int, int], orientation: int) -> None:
    height, width = (max(1, 2 * side) for side in cover)
    # Pillow takes the largest scale at which the picture, as stored, is not smaller than this on either side.
    picture.draft(None, (height, width) if orientation >= 5 else (width, height))


def _note_frames(picture: ImageFile, name: str, data: bytes, notes: list[str]) -> None:
    if name == "GIF":
        # Counting would walk through the whole film. A second frame that is damaged does not matter for the first.
        try:
            animated = bool(picture.is_animated)  # type: ignore[attr-defined]
        except (OSError, SyntaxError, ValueError, IndexError, TypeError, struct.error):
            animated = True
        if animated:
            notes.append("first frame of an animation")
        return
    frames = count_pages(data) if name == "TIFF" else getattr(picture, "n_frames", 1)
    if frames > 1:
        which, what = {"TIFF": ("first", "pages"), "HEIF": ("primary", "pictures")}.get(name, ("first", "frames"))
        notes.append(f"{which} of {frames} {what}")


def _to_rgb(picture: ImageFile, low_bytes: ImageFile | None, notes: list[str]) -> Image.Image:
    """The loaded picture as 8-bit RGB, not turned; `low_bytes` is the other half of 16-bit colour."""
    mode = picture.mode
    if low_bytes is not None:
        return _deep_colour(picture, low_bytes, notes)
    if mode in _DEPTHS or mode.startswith("I;16"):
        notes.append(f"{_DEPTHS.get(mode, '16-bit')} scaled by its own range")
        grey = _scaled(np.asarray(picture))
        tags = getattr(picture, "tag_v2", {})
        if tags.get(_TIFF_PHOTOMETRIC) == _WHITE_IS_ZERO:
            grey = 255 - grey  # Pillow does this itself for 8 bits only
        return Image.fromarray(grey).convert("RGB")
    if picture.has_transparency_data:
        return _over_paper(picture.convert("RGBA"), notes)
    return picture if mode == "RGB" else picture.convert("RGB")


def _over_paper(rgba: Image.Image, notes: list[str]) -> Image.Image:
    alpha = rgba.getchannel("A")
    least, greatest = alpha.getextrema()
    if greatest == 0:
        # Some writers leave the fourth byte at zero; as transparency it would hide the whole picture.
        notes.append("empty transparency ignored")
    if greatest == 0 or least == 255:
        return rgba.convert("RGB")
    notes.append("transparency over white")
    paper = Image.new("RGB", rgba.size, (PAPER, PAPER, PAPER))
    paper.paste(rgba, mask=alpha)
    return paper


def _deep_colour(picture: ImageFile, low_bytes: ImageFile, notes: list[str]) -> Image.Image:
    low_bytes.load()
    values = np.asarray(picture).astype(np.uint16)
    alpha = values[..., 3].astype(np.uint8) if picture.mode == "RGBA" else None
    colours = values[..., :3]
    colours <<= 8
    colours |= np.asarray(low_bytes)[..., :3]
    notes.append("16-bit scaled by its own range")
    scaled = _scaled(colours)
    if alpha is None:
        return Image.fromarray(scaled)
    return _over_paper(Image.fromarray(np.dstack([scaled, alpha])), notes)


def _scaled(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Least..greatest finite value -> 0..255, in float64, block by block: [10, 20, 30] -> [0, 128, 255]."""
    finite = np.isfinite(values)
    if not finite.any():
        raise ImageRefused("no pixel has a value")
    whole = bool(finite.all())
    least = float(np.min(values) if whole else np.min(values[finite]))
    greatest = float(np.max(values) if whole else np.max(values[finite]))
    del finite
    scaled = np.empty(values.shape, np.uint8)
    rows = max(1, _BLOCK_PIXELS // values.shape[1])
    for start in range(0, len(values), rows):
        block = values[start : start + rows].astype(np.float64)
        empty = np.isnan(block)
        np.clip(block, least, greatest, out=block)
        block = (block - least) / (greatest - least) * 255 if greatest > least else np.full_like(block, 128)
        block[empty] = 0
        scaled[start : start + rows] = np.rint(block)
    return scaled


def fit(
    pixels: NDArray[np.uint8],
    size: tuple[int, int],
    mode: Fit = "squash",
    resampling: Resampling = "bicubic",
) -> NDArray[np.uint8]:
    """Bring a picture to a size, with one antialiased resize by Pillow.

    Args:
        pixels: uint8 [H, W, 3].
        size: (height, width) of the result in pixels.
        mode: "squash" resizes each side by its own factor; "crop" fills the size and loses what juts out, evenly on
            both sides (to fractions of a pixel); "letterbox" shows all, centred on white (`PAPER`).
        resampling: Pillow's filter; all but "nearest" are widened when shrinking, which is the antialiasing.

    Returns:
        uint8 [height, width, 3], not writable.

    Raises:
        UsageError: a mode, filter, size, shape or dtype that is not one of these.
    """
    height, width = size
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        raise UsageError(f"pixels are uint8 [H, W, 3], not {pixels.dtype} {list(pixels.shape)}")
    if height < 1 or width < 1:
        raise UsageError(f"a size is (height, width) of at least 1 pixel, not {size}")
    if mode not in _FITS:
        raise UsageError(f"mode is one of {', '.join(_FITS)}, not {mode!r}")
    if resampling not in _RESAMPLING:
        raise UsageError(f"resampling is one of {', '.join(_RESAMPLING)}, not {resampling!r}")
    return np.asarray(_FITS[mode](Image.fromarray(pixels), width, height, _RESAMPLING[resampling]))


def _squash(image: Image.Image, width: int, height: int, method: Image.Resampling) -> Image.Image:
    return image.resize((width, height), method)


def _crop(image: Image.Image, width: int, height: int, method: Image.Resampling) -> Image.Image:
    scale = max(width / image.width, height / image.height)
    left = max(0.0, (image.width - width / scale) / 2)
    top = max(0.0, (image.height - height / scale) / 2)
    return image.resize((width, height), method, box=(left, top, image.width - left, image.height - top))


def _letterbox(image: Image.Image, width: int, height: int, method: Image.Resampling) -> Image.Image:
    scale = min(width / image.width, height / image.height)
    inner = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    paper = Image.new("RGB", (width, height), (PAPER, PAPER, PAPER))
    paper.paste(image.resize(inner, method), ((width - inner[0]) // 2, (height - inner[1]) // 2))
    return paper


_FITS: dict[str, Callable[[Image.Image, int, int, Image.Resampling], Image.Image]] = {
    "squash": _squash,
    "crop": _crop,
    "letterbox": _letterbox,
}
