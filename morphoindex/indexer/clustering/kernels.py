"""How the kernels of this package are compiled: by numba, when first called, and kept on disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

_OPTIONS = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}
_Function = TypeVar("_Function", bound=Callable[..., Any])


def kernel(function: _Function) -> _Function:
    """Compile a function over arrays on its first call; it runs without the interpreter's lock.

    No `fastmath`: sums are added in the order written, so that a pair has one distance on every machine.
    """
    return cast(_Function, njit(cache=True, **_OPTIONS)(function))


def inner(function: _Function) -> _Function:
    """The same for a function that only kernels call: there is no way in from Python, which takes long to compile."""
    return cast(_Function, njit(cache=True, no_cpython_wrapper=True, **_OPTIONS)(function))
