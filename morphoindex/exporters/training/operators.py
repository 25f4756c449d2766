"""ONNX operators in torch: those of convolutional networks and vision transformers.

Each takes the attributes of its node and its inputs, None for one that is left out, and gives its output or outputs. An
arrangement that is not known here is a NotImplementedError.

https://onnx.ai/onnx/operators/ says what they are; opsets 13 to 23.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from onnx import numpy_helper
from torch import Tensor
from torch.nn import functional

Attributes = Mapping[str, Any]
Operator = Callable[..., Any]


def _convolution(given: Attributes, x: Tensor, kernel: Tensor, bias: Tensor | None = None) -> Tensor:
    strides, dilations = _pair(given, "strides"), _pair(given, "dilations")
    x, padding = _padded(given, x, kernel.shape[2:], strides, dilations, 0.0)
    return functional.conv2d(x, kernel, bias, strides, padding, dilations, given.get("group", 1))


def _max_pool(given: Attributes, x: Tensor) -> Tensor:
    kernel, strides, dilations = given["kernel_shape"], _pair(given, "strides"), _pair(given, "dilations")
    x, padding = _padded(given, x, kernel, strides, dilations, -torch.inf)
    return functional.max_pool2d(x, kernel, strides, padding, dilations, bool(given.get("ceil_mode", 0)))


def _average_pool(given: Attributes, x: Tensor) -> Tensor:
    kernel, strides, dilations = given["kernel_shape"], _pair(given, "strides"), _pair(given, "dilations")
    padded, padding = _padded(given, x, kernel, strides, dilations, 0.0)
    if padded is not x or dilations != [1, 1]:
        raise NotImplementedError("with uneven padding, or dilated")
    whole, counts = bool(given.get("ceil_mode", 0)), bool(given.get("count_include_pad", 0))
    return functional.avg_pool2d(x, kernel, strides, padding, whole, counts)


def _pair(given: Attributes, name: str) -> list[int]:
    return list(given.get(name, [1, 1]))


def _padded(
    given: Attributes, x: Tensor, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int], value: float
) -> tuple[Tensor, list[int]]:
    """The picture, and the padding that torch is to add: the same on both sides, or else it is in the picture."""
    top, left, bottom, right = given.get("pads", [0] * 4)
    how = given.get("auto_pad", b"NOTSET")
    if how in (b"SAME_UPPER", b"SAME_LOWER"):
        sides = []
        for size, reach, stride, step in zip(x.shape[2:], kernel, strides, dilations, strict=True):
            lacking = max((-(-size // stride) - 1) * stride + (reach - 1) * step + 1 - size, 0)
            less, more = lacking // 2, lacking - lacking // 2
            sides.append((less, more) if how == b"SAME_UPPER" else (more, less))
        (top, bottom), (left, right) = sides
    if (top, left) == (bottom, right):
        return x, [top, left]
    return functional.pad(x, (left, right, top, bottom), value=value), [0, 0]


def _gemm(given: Attributes, a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
    a, b = a.T if given.get("transA") else a, b.T if given.get("transB") else b
    product: Tensor = given.get("alpha", 1.0) * (a @ b)
    return product if c is None else product + given.get("beta", 1.0) * c


def _normalised(given: Attributes, x: Tensor, scale: Tensor, bias: Tensor | None = None) -> Tensor:
    shape = x.shape[given.get("axis", -1) :]
    bias = None if bias is None else bias.expand(shape)
    return functional.layer_norm(x, shape, scale.expand(shape), bias, given.get("epsilon", 1e-5))


def _batch_normalised(
    given: Attributes, x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, variance: Tensor
) -> Tensor:
    if given.get("training_mode"):
        raise NotImplementedError("in training mode")
    return functional.batch_norm(x, mean, variance, scale, bias, False, 0.0, given.get("epsilon", 1e-5))


def _reduced(reduce: Callable[..., Tensor]) -> Operator:
    def run(given: Attributes, x: Tensor, axes: Tensor | None = None) -> Tensor:
        over = axes.tolist() if axes is not None else given.get("axes", [])
        if not over and given.get("noop_with_empty_axes"):
            return x
        over = over or list(range(x.ndim))
        return reduce(x, dim=over, keepdim=bool(given.get("keepdims", 1)))

    return run


def _reshaped(given: Attributes, x: Tensor, shape: Tensor) -> Tensor:
    return x.reshape([x.shape[place] if side == 0 else side for place, side in enumerate(shape.tolist())])


def _flattened(given: Attributes, x: Tensor) -> Tensor:
    axis = given.get("axis", 1)
    return x.reshape(x.shape[: axis if axis >= 0 else axis + x.ndim].numel(), -1)


def _sliced(
    given: Attributes, x: Tensor, starts: Tensor, ends: Tensor, axes: Tensor | None = None, steps: Tensor | None = None
) -> Tensor:
    count = len(starts)
    over = axes.tolist() if axes is not None else list(range(count))
    by = steps.tolist() if steps is not None else [1] * count
    for start, end, axis, step in zip(starts.tolist(), ends.tolist(), over, by, strict=True):
        rows = range(x.shape[axis])[slice(start, None if step < 0 and end < -x.shape[axis] else end, step)]
        x = x.index_select(axis, torch.tensor(rows, dtype=torch.int64))
    return x


def _gathered(given: Attributes, x: Tensor, rows: Tensor) -> Tensor:
    axis = given.get("axis", 0) % x.ndim
    rows = torch.where(rows < 0, rows + x.shape[axis], rows)
    return x.index_select(axis, rows.flatten()).reshape((*x.shape[:axis], *rows.shape, *x.shape[axis + 1 :]))


def _expanded(given: Attributes, x: Tensor, shape: Tensor) -> Tensor:
    return x.expand(torch.broadcast_shapes(x.shape, tuple(shape.tolist())))


def _divided(given: Attributes, x: Tensor, sizes: Tensor | None = None) -> Sequence[Tensor]:
    axis = given.get("axis", 0)
    each = sizes.tolist() if sizes is not None else -(-x.shape[axis] // given["num_outputs"])
    parts: Sequence[Tensor] = x.split(each, axis)
    return parts


def _filled(given: Attributes, shape: Tensor) -> Tensor:
    value = numpy_helper.to_array(given["value"]) if "value" in given else np.zeros(1, np.float32)
    return torch.from_numpy(np.full(shape.tolist(), value.item(), value.dtype))


def _quotient(given: Attributes, a: Tensor, b: Tensor) -> Tensor:
    return a / b if a.is_floating_point() else torch.div(a, b, rounding_mode="trunc")


def _clipped(given: Attributes, x: Tensor, least: Tensor | None = None, most: Tensor | None = None) -> Tensor:
    return x if least is None and most is None else x.clamp(least, most)


def _cast(given: Attributes, x: Tensor) -> Tensor:
    """Of floats to floats nothing is done: all are of one kind while a network learns."""
    if given["to"] not in _KINDS:
        raise NotImplementedError(f"to element type {given['to']}")
    to = _KINDS[given["to"]]
    return x if x.is_floating_point() and to.is_floating_point else x.to(to)


_KINDS = {
    1: torch.float32, 2: torch.uint8, 3: torch.int8, 5: torch.int16, 6: torch.int32, 7: torch.int64, 9: torch.bool,
    10: torch.float32, 11: torch.float32, 16: torch.float32,
}  # fmt: skip


def _plain(function: Callable[..., Any]) -> Operator:
    """An operator without attributes."""
    return lambda given, *inputs: function(*inputs)


OPERATORS: dict[str, Operator] = {
    "Add": _plain(torch.add),
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_normalised,
    "Cast": _cast,
    "Clip": _clipped,
    "Concat": lambda given, *parts: torch.cat(parts, given["axis"]),
    "Conv": _convolution,
    "ConstantOfShape": _filled,
    "Cos": _plain(torch.cos),
    "Div": _quotient,
    "Equal": _plain(torch.eq),
    "Erf": _plain(torch.erf),
    "Exp": _plain(torch.exp),
    "Expand": _expanded,
    "Flatten": _flattened,
    "Gather": _gathered,
    "Gelu": lambda given, x: functional.gelu(x, approximate=given.get("approximate", b"none").decode()),
    "Gemm": _gemm,
    "GlobalAveragePool": lambda given, x: x.mean(tuple(range(2, x.ndim)), keepdim=True),
    "HardSigmoid": lambda given, x: (given.get("alpha", 0.2) * x + given.get("beta", 0.5)).clamp(0, 1),
    "HardSwish": _plain(functional.hardswish),
    "Identity": lambda given, x: x,
    "LayerNormalization": _normalised,
    "LeakyRelu": lambda given, x: functional.leaky_relu(x, given.get("alpha", 0.01)),
    "MatMul": _plain(torch.matmul),
    "Max": lambda given, *parts: functools.reduce(torch.maximum, parts),
    "MaxPool": _max_pool,
    "Min": lambda given, *parts: functools.reduce(torch.minimum, parts),
    "Mul": _plain(torch.mul),
    "Neg": _plain(torch.neg),
    "Pow": _plain(torch.pow),
    "Reciprocal": _plain(torch.reciprocal),
    "ReduceMean": _reduced(torch.mean),
    "ReduceSum": _reduced(torch.sum),
    "Relu": _plain(torch.relu),
    "Reshape": _reshaped,
    "Shape": lambda given, x: torch.tensor(x.shape, dtype=torch.int64)[given.get("start", 0) : given.get("end")],
    "Sigmoid": _plain(torch.sigmoid),
    "Sin": _plain(torch.sin),
    "Slice": _sliced,
    "Softmax": lambda given, x: x.softmax(given.get("axis", -1)),
    "Split": _divided,
    "Sqrt": _plain(torch.sqrt),
    "Squeeze": lambda given, x, axes=None: x.squeeze() if axes is None else x.squeeze(axes.flatten().tolist()),
    "Sub": _plain(torch.sub),
    "Tanh": _plain(torch.tanh),
    "Transpose": lambda given, x: x.permute(given.get("perm", list(range(x.ndim))[::-1])),
    "Unsqueeze": lambda given, x, axes: _unsqueezed(x, axes.flatten().tolist()),
    "Where": _plain(torch.where),
}


def _unsqueezed(x: Tensor, axes: Sequence[int]) -> Tensor:
    for axis in sorted(axis % (x.ndim + len(axes)) for axis in axes):
        x = x.unsqueeze(axis)
    return x
