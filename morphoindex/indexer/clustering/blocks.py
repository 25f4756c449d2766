"""Blocks of rows: the least distance to each tells which rows are worth a look.

Rows are taken by pieces, one matrix product each; the rows of a piece are dealt out to its blocks in turn, since
neighbours often arrive one after the other. So row i is in block `i // PIECE * STRIDE + i % PIECE % STRIDE`.
"""

from __future__ import annotations

PIECE = 1024
"""Rows of a piece."""
STRIDE = 64
"""Blocks of a piece, of 16 rows each."""


def block_count(n: int) -> int:
    """How many blocks n rows fall into: `100` -> `64`, `1025` -> `65`."""
    return n // PIECE * STRIDE + min(STRIDE, n % PIECE)
