"""Distances between vectors: approximate by the tile, exact by the pair, and the total order on pairs."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from morphoindex.indexer.clustering.kernels import inner, kernel

Vectors = NDArray[Any]
"""Of float32 or float64."""
Row = np.int32 | int


def chord(cosine: float) -> float:
    """Euclidean distance of two unit vectors: 1.0 -> 0.0, 0.5 -> 1.0, -1.0 -> 2.0."""
    return float(np.sqrt(max(0.0, 2.0 - 2.0 * cosine)))


def margin(dim: int, square: float, dtype: np.dtype[np.floating]) -> float:
    """How far two squared distances of a tile must lie apart for their order to be certain.

    An inner product of d terms is wrong by at most d u ‖x‖ ‖y‖, where u is the unit roundoff (Higham, Accuracy and
    Stability of Numerical Algorithms, 2002, §3.1). ‖x‖² + ‖y‖² − 2 x·y has four such, and a few roundings more; of two
    that are compared, each may be wrong by so much.

    Args:
        dim: d.
        square: the largest squared length among the vectors.
        dtype: of the tile.
    """
    unit = float(np.finfo(dtype).eps) / 2
    return 2 * (4 * dim + 16) * unit * max(square, float(np.finfo(dtype).tiny))


@intrinsic  # type: ignore[untyped-decorator]
def _squared(typing: Any, vectors: Any, i: Any, j: Any) -> Any:
    """Sum of squared differences of rows i and j over their first d − d % 16 columns, in float64.

    Written out for eight lanes, because compilers turn a plain loop into vector code only where they may choose the
    order of the sum, and would choose another one for another processor.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        _, d = cgutils.unpack_tuple(builder, array.shape, 2)
        kind = context.get_value_type(vectors.dtype)
        raw, lanes = ir.VectorType(kind, 8), ir.VectorType(ir.DoubleType(), 8)
        rows = [builder.gep(array.data, [builder.mul(row, d)]) for row in arguments[1:]]
        sums = [cgutils.alloca_once_value(builder, ir.Constant(lanes, [0.0] * 8)) for _ in range(2)]

        def load(row: Any, column: Any) -> Any:
            values = builder.load(builder.bitcast(builder.gep(row, [column]), raw.as_pointer()), align=4)
            return values if kind == ir.DoubleType() else builder.fpext(values, lanes)

        def index(value: int) -> Any:
            return context.get_constant(types.intp, value)

        whole = builder.sub(d, builder.srem(d, index(16)))
        with cgutils.for_range_slice(builder, index(0), whole, index(16)) as (column, _):
            for offset, total in zip((0, 8), sums, strict=True):
                at = builder.add(column, index(offset))
                e = builder.fsub(load(rows[0], at), load(rows[1], at))
                builder.store(builder.fadd(builder.load(total), builder.fmul(e, e)), total)
        both = builder.fadd(builder.load(sums[0]), builder.load(sums[1]))
        parts = [builder.extract_element(both, ir.Constant(ir.IntType(32), lane)) for lane in range(8)]
        while len(parts) > 1:
            parts = [builder.fadd(a, b) for a, b in zip(parts[::2], parts[1::2], strict=True)]
        return parts[0]

    return types.float64(vectors, types.intp, types.intp), generate


@intrinsic  # type: ignore[untyped-decorator]
def prefetch(typing: Any, array: Any, i: Any) -> Any:
    """Have row i of an array [n, m] on its way to the cache: rows that are read in no order wait for memory most."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        view = context.make_array(signature.args[0])(context, builder, arguments[0])
        _, m = cgutils.unpack_tuple(builder, view.shape, 2)
        kind, number = view.data.type, ir.IntType(32)
        hint = builder.module.declare_intrinsic(
            "llvm.prefetch", [kind], ir.FunctionType(ir.VoidType(), [kind, number, number, number])
        )
        row = builder.gep(view.data, [builder.mul(arguments[1], m)])
        line = context.get_constant(types.intp, 64 // (array.dtype.bitwidth // 8))
        with cgutils.for_range_slice(builder, context.get_constant(types.intp, 0), m, line) as (column, _):
            flags = [ir.Constant(number, flag) for flag in (0, 3, 1)]  # for reading, to stay, as data
            builder.call(hint, [builder.gep(row, [column]), *flags])
        return context.get_dummy_value()

    return types.none(array, types.intp), generate


@inner
def distance(vectors: Vectors, i: Row, j: Row) -> float:
    """Euclidean distance of rows i and j in float64, from their differences: near-duplicates keep all their digits.

    Added up in one order whatever the machine, and the same for (i, j) and (j, i). The rows lie contiguous.
    """
    total = _squared(vectors, i, j)
    d = vectors.shape[1]
    for c in range(d - d % 16, d):
        e = np.float64(vectors[i, c]) - np.float64(vectors[j, c])
        total += e * e
    return float(np.sqrt(total))


@kernel
def distances(vectors: Vectors, ends: NDArray[np.int32], out: NDArray[np.float64]) -> None:
    """`distance` of pairs of rows, int32 [c, 2], into `out`, float64 [c]."""
    for c in range(len(ends)):
        out[c] = distance(vectors, ends[c, 0], ends[c, 1])


@inner
def id_before(ids: NDArray[np.uint64], i: Row, j: Row) -> bool:
    """Whether the content id of row i comes before that of row j."""
    if ids[i, 0] != ids[j, 0]:
        return bool(ids[i, 0] < ids[j, 0])
    return bool(ids[i, 1] < ids[j, 1])


@inner
def pair_before(
    w: float, d: float, a: Row, b: Row, w2: float, d2: float, a2: Row, b2: Row, ids: NDArray[np.uint64]
) -> bool:
    """Whether pair (a, b) comes before (a2, b2) in the total order: by weight, distance, lower id, upper id."""
    if w != w2:
        return w < w2
    if d != d2:
        return d < d2
    if id_before(ids, b, a):
        a, b = b, a
    if id_before(ids, b2, a2):
        a2, b2 = b2, a2
    if a != a2:
        return id_before(ids, a, a2)
    return b != b2 and id_before(ids, b, b2)
