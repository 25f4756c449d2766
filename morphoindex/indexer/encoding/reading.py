"""One file to one outcome: read, hash, decode, embed. Runs in the worker threads of an ingest."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from io import FileIO
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from morphoindex.errors import ImageRefused
from morphoindex.indexer.encoding.encoder import Encoder
from morphoindex.indexer.photographs.images import decode
from morphoindex.indexer.specimen import Specimen, content_id

_PORTION = 512  # files written at once; what a kill can cost is at most this much work
_PORTION_SECONDS = 3.0  # with slow encoders, sooner
Bite = TypeVar("Bite")
Result = TypeVar("Result")
MAX_BYTES = 2 << 30
MAX_PIXELS = 200_000_000
_ATTEMPTS = 2
_TICK = 20_000_000  # nanoseconds; the clocks of ext4, XFS, APFS and NTFS are finer than that


@dataclass(frozen=True)
class Candidate:
    """A file to be read: its absolute path, and its place in the ledger."""

    path: str
    root: str
    text: str


@dataclass(frozen=True)
class Outcome:
    """What became of a file.

    Attributes:
        candidate: the file.
        size, mtime_ns: of the content that was read, None where it could not be read.
        specimen: without paths and labels; None where refused, or where the content is known.
        id: of the specimen; empty where refused.
        vector: float32 [d] beside `specimen`.
        reason: why it was refused, else empty.
    """

    candidate: Candidate
    size: int | None = None
    mtime_ns: int | None = None
    specimen: Specimen | None = None
    id: str = ""
    vector: NDArray[np.float32] | None = None
    reason: str = ""


@dataclass(frozen=True)
class Content:
    """The bytes of a file and the state it had while they were read."""

    data: bytes
    size: int
    mtime_ns: int


def read_file(path: str) -> Content:
    """Read a file whole, such that its content, size and time belong together.

    A file that was written to just now is waited for a moment: within one tick of the file system's clock it could
    change once more without a trace in its time, and would be taken for unchanged ever after.

    Raises:
        ImageRefused: it cannot be read, is too large, or keeps changing.
    """
    try:
        for _ in range(_ATTEMPTS):
            with open(path, "rb", buffering=0, opener=_open) as file:
                before = os.fstat(file.fileno())
                if not stat.S_ISREG(before.st_mode):
                    raise ImageRefused("not a regular file")
                if before.st_size > MAX_BYTES:
                    raise ImageRefused(f"{before.st_size / 2**30:.1f} GiB, over the limit of {MAX_BYTES >> 30}")
                age = time.time_ns() - before.st_mtime_ns
                if 0 <= age < _TICK:
                    time.sleep((_TICK - age) / 1e9)
                data = _whole(file, before.st_size)
                after = os.fstat(file.fileno())
            state = (before.st_size, before.st_mtime_ns)
            if state == (after.st_size, after.st_mtime_ns) and len(data) == before.st_size:
                return Content(data, *state)
    except FileNotFoundError:
        raise ImageRefused("vanished while it was being read") from None
    except PermissionError:
        raise ImageRefused("no permission to read it") from None
    except MemoryError:
        raise ImageRefused("not enough memory to read it") from None
    except (OSError, ValueError) as error:
        raise ImageRefused(f"cannot be read: {getattr(error, 'strerror', None) or error}") from error
    raise ImageRefused("changed while it was being read")


def _open(path: str, flags: int) -> int:
    """Open without waiting: a named pipe may have taken the place of the file, and nobody writes into it."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _whole(file: FileIO, size: int) -> bytes:
    """What is in the file, and at most one byte more than its size, should it be growing."""
    parts: list[bytes] = []
    left = size + 1
    while left > 0 and (part := file.read(left)):
        parts.append(part)
        left -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def identify(candidate: Candidate) -> Outcome:
    """The id that the content of a file has, without a look at whether it is a usable image."""
    try:
        content = read_file(candidate.path)
    except ImageRefused as error:
        return Outcome(candidate, reason=error.reason)
    sha256 = hashlib.sha256(content.data).hexdigest()
    return Outcome(candidate, content.size, content.mtime_ns, id=content_id(sha256))


class Reader:
    """Turns files into outcomes with one encoder. Threads may share it.

    Args:
        encoder: its size decides how far JPEGs are scaled down while decoding.
        max_pixels: larger photographs are refused.
    """

    def __init__(self, encoder: Encoder, max_pixels: int = MAX_PIXELS) -> None:
        self.encoder = encoder
        self._max_pixels = max_pixels

    def outcomes(self, candidates: Sequence[Candidate], known: AbstractSet[str]) -> list[Outcome]:
        """Read the files, and embed those whose content is not among the ids `known`, in one batch."""
        outcomes: list[Outcome] = []
        waiting: list[int] = []
        rows: list[NDArray[np.uint8]] = []
        for candidate in candidates:
            try:
                content = read_file(candidate.path)
            except ImageRefused as error:
                outcomes.append(Outcome(candidate, reason=error.reason))
                continue
            outcome = Outcome(candidate, content.size, content.mtime_ns)
            sha256 = hashlib.sha256(content.data).hexdigest()
            if content_id(sha256) in known:
                outcomes.append(replace(outcome, id=content_id(sha256)))
                continue
            try:
                specimen, pixels = self.decode(content.data, sha256)
            except ImageRefused as error:
                outcomes.append(replace(outcome, reason=error.reason))
                continue
            waiting.append(len(outcomes))
            rows.append(pixels)
            outcomes.append(replace(outcome, specimen=specimen, id=specimen.id))
        if rows:
            vectors, good = self.encoder.embed(np.stack(rows))
            for i, vector, usable in zip(waiting, vectors, good, strict=True):
                outcomes[i] = replace(outcomes[i], vector=vector) if usable else _without_vector(outcomes[i])
        return outcomes

    def decode(self, data: bytes, sha256: str) -> tuple[Specimen, NDArray[np.uint8]]:
        """A specimen without paths and labels, and its pixels uint8 [height, width, 3] at the encoder's size.

        Raises:
            ImageRefused: the content is not a usable image.
        """
        info = self.encoder.info
        photo = decode(data, cover=(info.height, info.width), max_pixels=self._max_pixels)
        capture = {key: value for key, value in vars(photo.capture).items() if value is not None}
        specimen = Specimen(
            id=content_id(sha256), sha256=sha256, width=photo.width, height=photo.height, format=photo.format,
            bytes=len(data), capture=capture, notes=photo.notes,
        )  # fmt: skip
        return specimen, self.encoder.fit(photo.pixels)


def in_order(
    pool: ThreadPoolExecutor, work: Callable[[Bite], Result], bites: Iterable[Bite], ahead: int
) -> Iterator[Result]:
    """What the work in the pool gives for each bite, in their order, with at most so many under way."""
    under_way: deque[Future[Result]] = deque()
    for bite in bites:
        under_way.append(pool.submit(work, bite))
        if len(under_way) >= ahead:
            yield under_way.popleft().result()
    while under_way:
        yield under_way.popleft().result()


def in_portions(lists: Iterable[list[Result]]) -> Iterator[list[Result]]:
    """What comes in lists, gathered until it is worth writing; the last portion may be empty."""
    gathered: list[Result] = []
    since = time.monotonic()
    for some in lists:
        gathered += some
        if len(gathered) >= _PORTION or time.monotonic() - since > _PORTION_SECONDS:
            yield gathered
            gathered, since = [], time.monotonic()
    yield gathered


def _without_vector(outcome: Outcome) -> Outcome:
    return replace(outcome, specimen=None, id="", reason="the encoder gives no finite vector for it")
