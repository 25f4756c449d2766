"""EXIF → when, where and with what a picture was taken, and how it is turned.

EXIF is read here and not by Pillow: Pillow's reader warns through the process-wide `warnings` about every damaged
field, also those nobody asked for, and costs more than decoding a small picture. This one looks at the dozen tags
named below, never fails, and remembers that something was broken.

Sources: EXIF 3.0 (CIPA DC-008-2023), TIFF 6.0, BigTIFF.
"""

import math
import re
import struct
from dataclasses import dataclass, field
from datetime import datetime

_MAKE, _MODEL, _ORIENTATION, _EXIF_IFD, _GPS_IFD = 0x010F, 0x0110, 0x0112, 0x8769, 0x8825
_MAIN_TAGS = frozenset({_MAKE, _MODEL, _ORIENTATION, _EXIF_IFD, _GPS_IFD})
# (date and time, sub-seconds, offset), the first that is valid counts. DateTime (0x0132) is when the file was edited.
_TIME_TAGS = ((0x9003, 0x9291, 0x9011), (0x9004, 0x9292, 0x9012))
_EXIF_TAGS = frozenset(tag for group in _TIME_TAGS for tag in group)
_LATITUDE, _LONGITUDE = (1, 2, "NS", 90.0), (3, 4, "EW", 180.0)
_GPS_TAGS = frozenset({1, 2, 3, 4})

_ASCII, _RATIONAL, _SIGNED_RATIONAL = 2, 5, 10
_SIZES = {1: 1, _ASCII: 1, 3: 2, 4: 4, _RATIONAL: 8, 7: 1, 9: 4, _SIGNED_RATIONAL: 8, 13: 4, 16: 8, 18: 8}
_INTEGERS = {1: "B", 3: "H", 4: "L", 9: "l", 13: "L", 16: "Q", 18: "Q"}
_DATE_TIME = re.compile(r"(\d{4})[:/-](\d\d)[:/-](\d\d)[ T](\d\d):(\d\d):(\d\d)$")
_OFFSET = re.compile(r"[+-](?:0\d|1[0-4]):[0-5]\d$")
_LONGEST_TEXT = 120
_MOST_PAGES = 100_000


@dataclass(frozen=True)
class Capture:
    """When, where and with what a picture was taken, as its EXIF says.

    `time` is ISO 8601 in the camera's own clock, "2024-05-01T12:30:00", with sub-seconds and offset where EXIF has
    them; `camera` is "Make Model" without repetition; `latitude` and `longitude` are WGS 84 decimal degrees, both or
    neither. What is missing, or cannot be true, is None.
    """

    time: str | None = None
    camera: str | None = None
    latitude: float | None = None
    longitude: float | None = None


@dataclass(frozen=True)
class Exif:
    """What is used of a picture's EXIF.

    `orientation` is 1 (upright) to 8, 1 for anything else; `broken` says that a part could not be read.
    """

    orientation: int = 1
    capture: Capture = field(default_factory=Capture)
    broken: bool = False


NO_EXIF = Exif()


def read_exif(block: bytes) -> Exif:
    r"""Orientation and capture of an EXIF block; damage is remembered, never raised.

    Args:
        block: a TIFF structure, with or without "Exif\0\0" before it; a whole TIFF file is one too.

    Returns:
        What could be read. `b""` -> `Exif(orientation=1, capture=Capture(None, …), broken=False)`
    """
    while block.startswith(b"Exif\0\0"):
        block = block[6:]
    if not block:
        return NO_EXIF
    try:
        tags = _Tags(block)
        main = tags.directory(tags.first, _MAIN_TAGS)
    except (ValueError, struct.error):
        return Exif(broken=True)
    times = tags.linked(main, _EXIF_IFD, _EXIF_TAGS)
    place = tags.linked(main, _GPS_IFD, _GPS_TAGS)
    orientation = tags.integer(main, _ORIENTATION) or 1
    latitude, longitude = _degrees(tags, place, *_LATITUDE), _degrees(tags, place, *_LONGITUDE)
    # A receiver without a fix writes 0°, 0°, and no specimen was photographed on that spot of the open sea.
    if latitude is None or longitude is None or (latitude == 0 and longitude == 0):
        latitude = longitude = None
    capture = Capture(_time(tags, times), _camera(tags.text(main, _MAKE), tags.text(main, _MODEL)), latitude, longitude)
    return Exif(orientation if 1 <= orientation <= 8 else 1, capture, tags.broken)


def count_pages(data: bytes) -> int:
    """How many pages a TIFF file has, from its chain of directories alone; what cannot be followed is not counted.

    Args:
        data: the whole file.

    Returns:
        At least 1, at most 100,000.
    """
    seen: set[int] = set()
    try:
        tags = _Tags(data)
        offset = tags.first
        while offset and offset not in seen and len(seen) < _MOST_PAGES:
            following = tags.next_directory(offset)
            seen.add(offset)
            offset = following
    except (ValueError, struct.error):
        pass  # a chain that breaks off ends there
    return max(1, len(seen))


_Values = dict[int, tuple[int, bytes]]


class _Tags:
    """A TIFF structure: directories of (tag → type, bytes)."""

    def __init__(self, block: bytes) -> None:
        order = {b"II": "<", b"MM": ">"}.get(block[:2])
        if order is None:
            raise ValueError("no byte order mark")
        version = struct.unpack_from(order + "H", block, 2)[0]
        # 42 in the wrong byte order is written by some programs and read by all.
        if version not in (42, 42 << 8, 43):
            raise ValueError("no TIFF version")
        self.block = block
        self.order = order
        self.broken = False
        self._count, self._entry, self._pointer = ("Q", "HHQ8s", "Q") if version == 43 else ("H", "HHL4s", "L")
        self.first: int = struct.unpack_from(order + self._pointer, block, 8 if version == 43 else 4)[0]

    def _entries(self, offset: int) -> tuple[int, int]:
        """Where the entries of a directory begin, and how many there are."""
        if offset < 8:
            raise ValueError("a directory inside the header")
        count = struct.unpack_from(self.order + self._count, self._within(offset), offset)[0]
        return offset + struct.calcsize(self.order + self._count), count

    def _within(self, offset: int) -> bytes:
        """The block, if the offset lies in it: struct itself overflows on offsets past 2**63."""
        if offset > len(self.block):
            raise ValueError("an offset past the end")
        return self.block

    def next_directory(self, offset: int) -> int:
        """The offset of the directory after the one at `offset`, 0 at the end."""
        start, count = self._entries(offset)
        end = start + count * struct.calcsize(self.order + self._entry)
        following: int = struct.unpack_from(self.order + self._pointer, self._within(end), end)[0]
        return following

    def directory(self, offset: int, wanted: frozenset[int]) -> _Values:
        """The wanted entries of the directory at `offset`; the first counts where a tag stands twice."""
        entry = struct.Struct(self.order + self._entry)
        room = entry.size - struct.calcsize(self.order + "HH" + self._pointer)
        start, count = self._entries(offset)
        values: _Values = {}
        for position in range(start, start + count * entry.size, entry.size):
            if position + entry.size > len(self.block):
                self.broken = True
                break
            tag, kind, number, value = entry.unpack_from(self.block, position)
            if tag not in wanted or tag in values or kind not in _SIZES:
                continue
            size = number * _SIZES[kind]
            if size > room:
                at = struct.unpack(self.order + self._pointer, value)[0]
                value = self.block[at : at + size] if at + size <= len(self.block) else b""
            if len(value) < size:
                self.broken = True
                continue
            values[tag] = (kind, value[:size])
        return values

    def linked(self, values: _Values, tag: int, wanted: frozenset[int]) -> _Values:
        """The directory that `tag` points to; empty where there is none or it is broken."""
        if tag not in values:
            return {}
        offset = self.integer(values, tag)
        try:
            return self.directory(0 if offset is None else offset, wanted)
        except (ValueError, struct.error):
            self.broken = True
            return {}

    def integer(self, values: _Values, tag: int) -> int | None:
        """The first integer of a tag."""
        kind, value = values.get(tag, (0, b""))
        if kind not in _INTEGERS or not value:
            return None
        number: int = struct.unpack_from(self.order + _INTEGERS[kind], value)[0]
        return number

    def text(self, values: _Values, tag: int) -> str:
        """The text of a tag in one line, "" where there is none."""
        kind, value = values.get(tag, (0, b""))
        if kind not in (_ASCII, 1, 7):  # some cameras write bytes or "undefined"
            return ""
        value = value.split(b"\0", 1)[0]
        try:
            line = value.decode("utf-8")
        except UnicodeDecodeError:
            line = value.decode("latin-1")
        printable = "".join(char if char.isprintable() else " " for char in line)
        return " ".join(printable.split())[:_LONGEST_TEXT]

    def fractions(self, values: _Values, tag: int) -> list[float] | None:
        """The rationals of a tag, None where one has no denominator."""
        kind, value = values.get(tag, (0, b""))
        if kind not in (_RATIONAL, _SIGNED_RATIONAL):
            return None
        letter = "L" if kind == _RATIONAL else "l"
        pairs = list(struct.iter_unpack(f"{self.order}2{letter}", value))
        return None if any(below == 0 for _, below in pairs) else [above / below for above, below in pairs]


def _time(tags: _Tags, values: _Values) -> str | None:
    for when, fraction, offset in _TIME_TAGS:
        match = _DATE_TIME.match(tags.text(values, when))
        if match is None:
            continue
        try:
            # The camera's own clock: EXIF before 2.31 has no offset, and none is made up.
            time = datetime(*(int(part) for part in match.groups())).isoformat()  # type: ignore[arg-type]
        except ValueError:  # "0000:00:00 00:00:00", the 31st of June
            continue
        digits, zone = tags.text(values, fraction), tags.text(values, offset)
        if digits.isascii() and digits.isdigit():
            time += "." + digits[:9]
        return time + (zone if _OFFSET.match(zone) else "")
    return None


def _camera(make: str, model: str) -> str | None:
    """'Canon', 'Canon EOS 5D' -> 'Canon EOS 5D'; 'NIKON CORPORATION', 'NIKON D850' -> 'NIKON D850'."""
    if make and model and make.split()[0].casefold() == model.split()[0].casefold():
        return model
    return f"{make} {model}".strip() or None


def _degrees(tags: _Tags, values: _Values, side_tag: int, tag: int, sides: str, limit: float) -> float | None:
    """52°, 30', 0" and "S" -> -52.5; None for anything that is no place on Earth."""
    parts = tags.fractions(values, tag)
    side = tags.text(values, side_tag).upper()
    if not parts or len(parts) > 3 or len(side) != 1 or side not in sides:
        return None
    if min(parts) < 0 or any(part > 60 for part in parts[1:]):
        return None
    degrees = math.fsum(part / 60.0**power for power, part in enumerate(parts))
    if degrees > limit:
        return None
    return round(degrees if side == sides[0] else -degrees, 7) + 0.0  # 7 places: 1 cm; + 0.0: no minus zero
