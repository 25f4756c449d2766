"""Kernels side by side, in threads: they run without the interpreter's lock."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from typing import Any, TypeVar

from threadpoolctl import ThreadpoolController

from morphoindex.indexer.cores import usable_cores

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


@cache
def workers() -> int:
    """Threads for kernels: the cores that this process may use, at most eight."""
    return min(8, usable_cores())


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(workers())


class _BlasAlone:
    """A limit that several threads may be within: the first one in sets it, the last one out lifts it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._libraries: ThreadpoolController | None = None
        self._limit: Any = None

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._libraries = self._libraries or ThreadpoolController()
                self._limit = self._libraries.limit(limits=1, user_api="blas")
            self._inside += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._limit.restore_original_limits()


blas_alone = _BlasAlone()
"""Meanwhile BLAS works in the thread that calls it: its own ones spin between two products, on our cores."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # a child has the pool, but none of its threads


def together(function: Callable[[_Item], _Result], items: Iterable[_Item]) -> list[_Result]:
    """Call a function for each item, in threads.

    Where one fails, or the caller is interrupted, all come to their end first: they write to shared arrays.
    """
    first, *rest = items
    if not rest:
        return [function(first)]
    futures = [_pool().submit(function, item) for item in (first, *rest)]
    try:
        return [future.result() for future in futures]
    finally:
        wait(futures)


def parts(n: int) -> list[tuple[int, int]]:
    """Numbers below n in one part for each worker, those that are not empty: `5` -> `[(0, 2), (2, 5)]` with two."""
    cuts = [n * worker // workers() for worker in range(workers() + 1)]
    return [(start, stop) for start, stop in itertools.pairwise(cuts) if start < stop]
