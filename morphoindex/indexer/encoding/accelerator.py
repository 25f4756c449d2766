"""Graphics cards: the libraries that a runtime needs to start on one, and ways of getting pixels there."""

from __future__ import annotations

import contextlib
import ctypes
import io
import os
import queue
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from morphoindex.indexer.words import installing

WAYS = 2
"""Onto a card: while it computes one batch, the next is brought there."""
_FAILED = "Failed to load "


def load_libraries(runtime: Any) -> str:
    """Load the CUDA libraries that pip put beside the runtime, which does not look there by itself.

    Returns:
        What is missing, in words; empty where nothing is, or where it cannot be told.
    """
    told = io.StringIO()
    with contextlib.redirect_stdout(told):  # it prints what it does not find
        runtime.preload_dlls()
    lines = (line for line in told.getvalue().splitlines() if line.startswith(_FAILED))
    missing = next((Path(line.removeprefix(_FAILED).partition(": ")[0]).name for line in lines), "")
    return f"{missing} is not there ({installing('gpu')} brings it)" if missing else ""


def engine_folder() -> Path:
    """Where TensorRT keeps what it took minutes to build: of the cache folder of this person."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "morphoindex" / "tensorrt"


class Ways:
    """Ways onto a card, each with memory of its own that the card reads without help of the processor (page-locked).

    Threads share them: one that finds all of them taken waits. Where page-locked memory is not to be had, it is plain.

    Args:
        shape: of the largest batch, uint8 [n, height, width, 3].
        cuda_version: of the runtime, such as "13.0"; empty where it has none.
    """

    def __init__(self, shape: tuple[int, int, int, int], cuda_version: str = "") -> None:
        self._free: queue.SimpleQueue[NDArray[np.uint8]] = queue.SimpleQueue()
        for _ in range(WAYS):
            self._free.put(_page_locked(shape, cuda_version))

    @contextlib.contextmanager
    def taken(self, pixels: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
        """The pixels of one batch, uint8 [n, height, width, 3], where the card reads them; of too many, as they are."""
        buffer = self._free.get()
        try:
            if len(pixels) > len(buffer):
                yield np.ascontiguousarray(pixels)
            else:
                buffer[: len(pixels)] = pixels
                yield buffer[: len(pixels)]
        finally:
            self._free.put(buffer)


def _page_locked(shape: tuple[int, ...], cuda_version: str) -> NDArray[np.uint8]:
    major = cuda_version.partition(".")[0]
    size, place = int(np.prod(shape)), ctypes.c_void_p()
    try:
        cuda = ctypes.CDLL(f"cudart64_{major}.dll" if sys.platform == "win32" else f"libcudart.so.{major}")
        failed = cuda.cudaHostAlloc(ctypes.byref(place), ctypes.c_size_t(size), ctypes.c_uint(0))
    except (OSError, AttributeError):
        return np.empty(shape, np.uint8)
    if failed or not place.value:
        return np.empty(shape, np.uint8)
    memory = (ctypes.c_uint8 * size).from_address(place.value)
    weakref.finalize(memory, cuda.cudaFreeHost, place).atexit = False  # CUDA may be gone before this then
    return np.ctypeslib.as_array(memory).reshape(shape)
