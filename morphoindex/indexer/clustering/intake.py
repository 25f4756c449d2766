"""What vectors a forest takes in, and as what it keeps them."""

from __future__ import annotations

from collections.abc import Container, Sequence

import numpy as np
from numpy.typing import NDArray

from morphoindex.errors import UsageError

BLOCK = 512
"""Rows that are worked on at once, so that nothing is copied whole."""
LARGEST = 1e150
"""Greatest value of a vector, in absolute terms."""


def check(keys: Sequence[str], matrix: NDArray[np.generic], known: Container[str], dim: int | None) -> None:
    """See that there is a finite vector for each key, and no key that is known already.

    Args:
        keys: of m specimens.
        matrix: should be numbers [m, d].
        known: keys that are taken.
        dim: what d has to be; None for anything.

    Raises:
        UsageError: it is not so.
    """
    if matrix.ndim != 2 or len(matrix) != len(keys) or matrix.dtype.kind not in "fiu":
        raise UsageError(f"vectors of shape {matrix.shape} for {len(keys)} keys: a row of numbers for each is wanted")
    for key in keys:
        if not isinstance(key, str) or "\0" in key or not _encodable(key):
            raise UsageError(f"key {key!r}: a text is wanted, in Unicode and without NUL")
    if len(set(keys)) < len(keys) or any(key in known for key in keys):
        raise UsageError("a key is given twice, or is in the forest already")
    if dim is not None and len(keys) and matrix.shape[1] != dim:
        raise UsageError(f"vectors of {matrix.shape[1]} dimensions; the forest has {dim}")
    for start in range(0, len(matrix), BLOCK):
        part = matrix[start : start + BLOCK]
        if not np.isfinite(part).all():
            raise UsageError("a vector has values that are not finite")
        if part.size and float(np.abs(part).max()) > LARGEST:
            raise UsageError(f"a vector has values beyond {LARGEST:g}, whose squares overflow")


def check_directions(matrix: NDArray[np.generic]) -> None:
    """See that every vector [m, d] has a length.

    Raises:
        UsageError: one is zero.
    """
    for start in range(0, len(matrix), BLOCK):
        if not matrix[start : start + BLOCK].any(axis=1).all():
            raise UsageError("a vector has no length, so no direction either")


def _encodable(key: str) -> bool:
    try:
        key.encode()
    except UnicodeEncodeError:
        return False
    return True


def unit(matrix: NDArray[np.generic]) -> NDArray[np.float32]:
    """Vectors at unit length, worked out in float64 and kept in float32; none is zero."""
    exact = matrix.astype(np.float64)
    exact /= np.abs(exact).max(axis=1, keepdims=True)  # lest a square overflows
    exact /= np.linalg.norm(exact, axis=1, keepdims=True)
    return exact.astype(np.float32)
