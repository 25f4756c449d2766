"""How the kernels of this package are compiled: by numba, when first called, and kept on disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

from numba import njit

_OPTIONS = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}
_Function = TypeVar("_Function", bound=Callable[..., Any])


def kernel(function: _Function) -> _Function:
    """Compile a function over arrays on its first call; it runs without the interpreter's lock.

    No `fastmath`: sums are added in the order written, so that a pair has one distance on every machine. Room to work
    in is handed in where a first run needs the function: each kind of array that it makes takes long to compile.
    """
    return cast(_Function, _dated(njit(cache=True, **_OPTIONS)(function)))


def inner(function: _Function) -> _Function:
    """The same for a function that only kernels call: there is no way in from Python, which takes long to compile."""
    return cast(_Function, _dated(njit(cache=True, no_cpython_wrapper=True, **_OPTIONS)(function)))


def _dates() -> tuple[tuple[float, int], ...]:
    """What changes with any source of the kernels: the date and the size of each."""
    sources = [path.stat() for path in sorted(Path(__file__).parent.glob("*.py"))]
    return tuple((source.st_mtime, source.st_size) for source in sources)


_DATES = _dates()


def _dated(dispatcher: Any) -> Any:
    """Let what is kept on disk be out of date when any kernel's source has changed.

    numba looks at the file of the function alone; what it calls from other files has been compiled into it.
    """
    dispatcher._cache._cache_file._source_stamp = _DATES
    return dispatcher
