"""The photographs of a training, in memory at the size that the network takes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from morphoindex.errors import ImageRefused, UsageError
from morphoindex.exporters.preparation import Preparation
from morphoindex.indexer.cores import usable_cores
from morphoindex.indexer.photographs.discovery import Unusable, discover
from morphoindex.indexer.photographs.images import decode
from morphoindex.indexer.results.common import Refusal

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Pictures:
    """Photographs that could be read, and those that could not.

    Attributes:
        paths: absolute.
        contents: sha256 of the files, hexadecimal.
        pixels: uint8 [N, H, W, 3], RGB.
        refused: the others, with the reason.
    """

    paths: tuple[str, ...]
    contents: tuple[str, ...]
    pixels: Pixels
    refused: tuple[Refusal, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def fingerprint(self) -> str:
        """One hash of all files, in their order."""
        return hashlib.sha256("".join(self.contents).encode()).hexdigest()

    def of(self, rows: npt.NDArray[np.intp], refused: Sequence[Refusal] = ()) -> Pictures:
        """Some of them, and why the others were left out."""
        return Pictures(
            tuple(self.paths[row] for row in rows), tuple(self.contents[row] for row in rows), self.pixels[rows],
            (*self.refused, *refused),
        )  # fmt: skip

    def distinct(self) -> Pictures:
        """Each content once: a second copy teaches nothing new."""
        _, first = np.unique(self.contents, return_index=True)
        return self.of(np.sort(first))


def squashed(size: int) -> Preparation:
    """How every network that is trained from nothing wants its photographs."""
    return Preparation(size, size, "squash", "bicubic")


def read_pictures(
    inputs: Sequence[str], preparation: Preparation, report: Callable[[int, int], None] = lambda done, total: None
) -> Pictures:
    """Read photographs as `add` finds and reads them.

    Args:
        inputs: files, folders, globs and `.txt` lists.
        preparation: of the network: how they are brought to its size.
        report: called with (files read, files in all).

    Raises:
        UsageError: none can be read, or all that can look the same.
    """
    found = list({one.path: one for one in discover(inputs)}.values())
    paths: list[str] = []
    contents: list[str] = []
    pixels: list[Pixels] = []
    refused: list[Refusal] = []
    with ThreadPoolExecutor(usable_cores()) as pool:
        read = pool.map(lambda one: one.reason if isinstance(one, Unusable) else _read(one.path, preparation), found)
        for number, (one, result) in enumerate(zip(found, read, strict=True), 1):
            if isinstance(result, str):
                refused.append(Refusal(one.path, result))
            else:
                paths.append(one.path)
                contents.append(result[0])
                pixels.append(result[1])
            report(number, len(found))
    if not pixels:
        first = f": {refused[0].path}: {refused[0].reason}" if refused else ""
        raise UsageError(f"there is no photograph that can be read, of {len(found)}{first}")
    stacked = np.stack(pixels)
    if len(stacked) == 1:
        raise UsageError(f"there is one photograph alone, {paths[0]}: a training takes several")
    if not (stacked != stacked[0]).any():
        raise UsageError(f"the {len(stacked)} photographs are all alike: there is nothing to learn from them")
    return Pictures(tuple(paths), tuple(contents), stacked, tuple(refused))


def fitted(data: bytes, size: int) -> Pixels:
    """The bytes of a file as uint8 [size, size, 3].

    Raises:
        ImageRefused: they are no picture.
    """
    return _prepared(data, squashed(size))


def _read(path: str, preparation: Preparation) -> tuple[str, Pixels] | str:
    """Hash and pixels, or why not."""
    try:
        data = Path(path).read_bytes()
        return hashlib.sha256(data).hexdigest(), _prepared(data, preparation)
    except ImageRefused as error:
        return error.reason
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"


def _prepared(data: bytes, preparation: Preparation) -> Pixels:
    return preparation.fitted(decode(data, cover=preparation.canvas).pixels)
