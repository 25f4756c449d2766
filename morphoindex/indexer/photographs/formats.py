"""The format of a picture by its content, and how Pillow is made to open it.

Three things about Pillow are dealt with here, none of them with an effect on other users of Pillow in the process:

- `Image.open` asks every plugin; some run other programs (EPS) or are seldom tested. Here the first bytes choose one
  plugin of the eight below, and that one is called.
- `Image.MAX_IMAGE_PIXELS` is a global of the process. It is checked in `Image.open`, which is not called, and when a
  TIFF is loaded, which `_Tiff` passes by; the caller's own limit is checked instead. WebP has Pillow's limit in its
  plugin (twice `MAX_IMAGE_PIXELS`, 179 megapixels by default) and keeps it.
- Pillow warns about damaged fields through `warnings`, whose `catch_warnings` is not thread-safe. See `quiet`.
"""

import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from io import BytesIO
from typing import Any, cast

from PIL import Image
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.TiffImagePlugin import TiffImageFile

from morphoindex.errors import ImageRefused

_TIFF_STARTS = (b"II\x2a\0", b"MM\0\x2a", b"MM\x2a\0", b"II\0\x2a", b"II\x2b\0", b"MM\0\x2b")
_STARTS = {b"\xff\xd8\xff": "JPEG", b"\x89PNG\r\n\x1a\n": "PNG", b"GIF87a": "GIF", b"GIF89a": "GIF"} | dict.fromkeys(
    _TIFF_STARTS, "TIFF"
)
_BMP_HEADERS = (12, 16, 40, 52, 56, 64, 108, 124)
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"})
_NOT_READ = {
    b"%PDF": "PDF",
    b"8BPS": "Photoshop (PSD)",
    b"%!PS": "PostScript",
    b"\0\0\0\x0cjP  \r\n": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL \r\n": "JPEG XL",
}
_PLUGINS = {
    "PNG": ("PIL.PngImagePlugin", "PngImageFile"),
    "GIF": ("PIL.GifImagePlugin", "GifImageFile"),
    "BMP": ("PIL.BmpImagePlugin", "BmpImageFile"),
    "WEBP": ("PIL.WebPImagePlugin", "WebPImageFile"),
    "AVIF": ("PIL.AvifImagePlugin", "AvifImageFile"),
    "HEIF": ("pillow_heif", "HeifImageFile"),
}
_NEW_SUBFILE_TYPE, _SUB_IFDS, _DNG_VERSION = 254, 330, 50706


def sniff(data: bytes) -> str:
    """The name of the format, by content: JPEG, PNG, WEBP, BMP, GIF, TIFF, HEIF or AVIF.

    Args:
        data: the whole file.

    Returns:
        The name, as Pillow has it.

    Raises:
        ImageRefused: "empty file", "not an image", or a format that is not read, by name.
    """
    if not data:
        raise ImageRefused("empty file")
    for start, name in _STARTS.items():
        if data.startswith(start):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    # Two letters are little to go by: "BMW.jpg" may be a text. The size of the second header is one of eight.
    if data[:2] == b"BM" and int.from_bytes(data[14:18], "little") in _BMP_HEADERS:
        return "BMP"
    if data[4:8] == b"ftyp":
        return _iso_media(data)
    for start, name in _NOT_READ.items():
        if data.startswith(start):
            raise ImageRefused(f"{name} is not read: convert it to JPEG, PNG or TIFF")
    raise ImageRefused("not an image")


def _iso_media(data: bytes) -> str:
    """AVIF or HEIF by the brands of the first box; "mif1" alone is said by both, and then the others decide."""
    length = min(int.from_bytes(data[:4], "big"), 256)
    brands = [data[8:12]] + [data[at : at + 4] for at in range(16, length, 4)]
    if any(brand in _AVIF_BRANDS for brand in brands):
        return "AVIF"
    if any(brand in _HEIF_BRANDS for brand in brands):
        return "HEIF"
    raise ImageRefused("not an image (a film, or another ISO media file)")


class _Jpeg(JpegImageFile):
    def _read_dpi_from_exif(self) -> None:
        """Nothing: Pillow would read all of EXIF for a resolution that nobody asks for, and warn if it is broken."""


class _Tiff(TiffImageFile):
    def load_prepare(self) -> None:
        """As Pillow's, but with the memory taken beforehand, so that the process-wide pixel limit is not asked."""
        if self._im is None:
            self.im = Image.core.new(self.mode, self._tile_size)  # type: ignore[attr-defined]
        super().load_prepare()


def _plugin(name: str) -> Any:
    if name == "JPEG":
        return _Jpeg
    if name == "TIFF":
        return _Tiff
    module, plugin = _PLUGINS[name]
    return getattr(import_module(module), plugin)


def open_picture(name: str, data: bytes) -> tuple[ImageFile, bool]:
    """Read the header of a picture; no pixel is decoded.

    A damaged colour profile, text or preview would make Pillow refuse the picture. It is then opened once more
    without them.

    Args:
        name: the format, from `sniff`.
        data: the whole file.

    Returns:
        The picture, and whether it was opened without its damaged metadata.

    Raises:
        ImageRefused: a camera raw file, whose first page is only its preview.
        Exception: whatever Pillow raises; the caller translates.
    """
    plugin = _plugin(name)
    without = False
    try:
        picture = cast(ImageFile, plugin(BytesIO(data)))
    except (OSError, SyntaxError, ValueError):
        less = _without_metadata(name, data)
        if less is None:
            raise
        picture = cast(ImageFile, plugin(BytesIO(less)))
        without = True
    if isinstance(picture, _Tiff):
        tags = picture.tag_v2
        preview = _SUB_IFDS in tags and tags.get(_NEW_SUBFILE_TYPE) == 1  # NEF, ARW
        if preview or _DNG_VERSION in tags or data[8:10] == b"CR":
            raise ImageRefused("camera raw: its first page is a preview; convert it to JPEG or TIFF")
    return picture, without


def _without_metadata(name: str, data: bytes) -> bytes | None:
    """The same picture without what is not needed to decode it, None where nothing can be left out."""
    lean = {"JPEG": _lean_jpeg, "PNG": _lean_png}.get(name)
    less = lean(data) if lean is not None else None
    return less if less is not None and len(less) < len(data) else None


def _lean_jpeg(data: bytes) -> bytes | None:
    """Only EXIF, Adobe's colour transform and the JFIF mark stay of the application segments."""
    parts, at = [data[:2]], 2
    while data[at : at + 1] == b"\xff" and at + 4 <= len(data):
        marker = data[at + 1]
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        segment = data[at:end]
        if marker == 0xDA:  # the compressed picture, up to the end
            return b"".join([*parts, data[at:]])
        needed = (
            not (0xE0 <= marker <= 0xEF or marker == 0xFE)
            or (marker == 0xE1 and segment[4:10] == b"Exif\0\0")
            or (marker == 0xE0 and len(segment) >= 16)
            or (marker == 0xEE and len(segment) >= 16)
        )
        if needed:
            parts.append(segment)
        at = end
    return None


def _lean_png(data: bytes) -> bytes | None:
    """Only the critical chunks, transparency, and EXIF if it is whole stay."""
    parts, at = [data[:8]], 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        kind, chunk = data[at + 4 : at + 8], data[at : at + 12 + length]
        whole = zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:], "big")
        if kind[:1].isupper() or (kind in (b"tRNS", b"eXIf") and whole):
            parts.append(chunk)
        at += 12 + length
    return b"".join(parts)


def exif_block(picture: ImageFile, name: str, data: bytes) -> bytes:
    """The EXIF of an opened picture as a TIFF structure, b"" where it has none.

    Args:
        picture: from `open_picture`; loaded, since a PNG may have its EXIF after the pixels.
        name: the format, from `sniff`.
        data: the whole file.

    Returns:
        For a TIFF, the file itself.
    """
    if name == "TIFF":
        return data
    block = picture.info.get("exif")
    if not block and isinstance(text := picture.info.get("Raw profile type exif"), str):
        # ImageMagick before 7.0.8: "\nexif\n  LENGTH\n", then the block in hexadecimal.
        try:
            block = bytes.fromhex("".join(text.split("\n")[3:]))
        except ValueError:
            return b"broken"
    return block if isinstance(block, bytes) else b""


_TAPS = {"RGB;16": "RGB", "RGBX;16": "RGB", "RGBA;16": "RGBA"}


def open_low_bytes(picture: ImageFile, name: str, data: bytes) -> ImageFile | None:
    """The same 16-bit colour picture, set to decode the low bytes where Pillow takes the high ones.

    Pillow has no 16-bit colour: it keeps every second byte. Told the other byte order, it keeps the others.

    Args:
        picture: from `open_picture`, not loaded.
        name: the format, from `sniff`.
        data: the whole file.

    Returns:
        A second picture, not loaded; None where the first is not 16-bit colour.
    """
    if not picture.tile or not all(_TAPS.get(_rawmode(tile.args)[:-1]) == picture.mode for tile in picture.tile):
        return None
    second, _ = open_picture(name, data)
    native_swapped = "B" if struct.pack("=H", 1) == b"\1\0" else "L"
    swapped = {"B": "L", "L": "B", "N": native_swapped}
    tiles = []
    for tile in second.tile:
        rawmode = _rawmode(tile.args)
        rawmode = rawmode[:-1] + swapped[rawmode[-1]]
        args = rawmode if isinstance(tile.args, str) else (rawmode, *(tile.args or ())[1:])
        tiles.append(tile._replace(args=args))
    second.tile = tiles
    return second


def _rawmode(args: tuple[Any, ...] | str | None) -> str:
    rawmode = args if isinstance(args, str) else args[0] if args else ""
    return rawmode if isinstance(rawmode, str) else ""


class _WhileDecoding:
    """Stands in a warning filter for the pattern of the message: matches all, but only in threads that decode."""

    def __init__(self) -> None:
        self.thread = threading.local()

    def match(self, text: str) -> bool:
        del text
        return getattr(self.thread, "depth", 0) > 0


_DECODING = _WhileDecoding()
_FILTER: Any = ("ignore", _DECODING, Warning, None, 0)
_FILTER_LOCK = threading.Lock()


@contextmanager
def quiet() -> Iterator[None]:
    """Silence warnings in this thread, and in no other, while a picture is decoded.

    `warnings.catch_warnings` swaps the filters of the whole process and puts back what another thread may have
    changed meanwhile (up to Python 3.13). Here one filter is put first and stays. It matches only in a thread that is
    inside this context, so that nobody else's warnings are touched. Pillow's warnings tell of damaged metadata and of
    its own pixel limit; both are handled by the caller.
    """
    filters = cast("list[Any]", warnings.filters)
    if not filters or filters[0] is not _FILTER:
        with _FILTER_LOCK:
            filters.insert(0, _FILTER)
            for at in range(len(filters) - 1, 0, -1):
                if filters[at] is _FILTER:
                    del filters[at]
    thread = _DECODING.thread
    thread.depth = getattr(thread, "depth", 0) + 1
    try:
        yield
    finally:
        thread.depth -= 1
