"""Encoders of a few operations, of which it is known what they look at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE = 32
PATCH, MARGIN = 4, 2  # of `attending`: 7 × 7 patches of the middle 28 pixels
node = helper.make_node


def corner(path: Path, fit: str = "squash") -> Path:
    """Looks at the 8 × 8 pixels of the upper left corner alone."""
    return _save(
        path, 8 * 8 * 3, fit,
        [
            node("Slice", ["floats", "zeros", "eights", "rows_columns"], ["cut"]),
            node("Sub", ["cut", "middle"], ["centred"]),
            node("Flatten", ["centred"], ["features"]),
        ],
        {"middle": np.array(127.5, np.float32), "zeros": np.array([0, 0]),
         "eights": np.array([8, 8]), "rows_columns": np.array([1, 2])},
    )  # fmt: skip


def colours(path: Path) -> Path:
    """Says how much red, green and blue there is; `amounts` has a map of each."""
    apart = (2 * np.eye(3) - 1).reshape(3, 3, 1, 1).astype(np.float32)
    return _save(
        path, 3, "squash",
        [
            node("Transpose", ["floats"], ["layout"], perm=[0, 3, 1, 2]),
            node("Conv", ["layout", "apart"], ["differences"]),
            node("Relu", ["differences"], ["amounts"]),
            node("GlobalAveragePool", ["amounts"], ["pooled"]),
            node("Flatten", ["pooled"], ["features"]),
        ],
        {"apart": apart},
    )  # fmt: skip


def attending(path: Path) -> Path:
    """A vision transformer with CLS, two registers and two heads: one looks at bright patches, one at dark."""
    patches = (SIDE - 2 * MARGIN) // PATCH
    kernel = np.full((2, 3, PATCH, PATCH), 1 / (3 * PATCH * PATCH * 16), np.float32)  # mean brightness, 0..16
    extra = np.zeros((1, 3, 2), np.float32)
    extra[0, 1] = 4  # a register that takes some of it
    return _save(
        path, 2, "crop",
        [
            node("Slice", ["floats", "starts", "ends", "rows_columns"], ["inner"]),
            node("Transpose", ["inner"], ["layout"], perm=[0, 3, 1, 2]),
            node("Conv", ["layout", "kernel"], ["cut"], strides=[PATCH, PATCH]),
            node("Reshape", ["cut", "flat"], ["rows"]),
            node("Transpose", ["rows"], ["patches"], perm=[0, 2, 1]),
            node("Gather", ["patches", "none"], ["one"], axis=1),
            node("Mul", ["one", "nothing"], ["empty"]),
            node("Add", ["empty", "extra"], ["others"]),
            node("Concat", ["others", "patches"], ["tokens"], axis=1),
            node("MatMul", ["tokens", "keys"], ["wide"]),
            node("Transpose", ["wide"], ["scores"], perm=[0, 2, 1]),
            node("Unsqueeze", ["scores", "two"], ["row"]),
            node("Add", ["row", "column"], ["square"]),
            node("Softmax", ["square"], ["attention"], axis=-1),
            node("ReduceMean", ["attention"], ["mean"], axes=[2], keepdims=0),
            node("MatMul", ["mean", "tokens"], ["seen"]),
            node("ReduceMean", ["seen"], ["features"], axes=[1], keepdims=0),
        ],
        {
            "starts": np.array([MARGIN] * 2), "ends": np.array([SIDE - MARGIN] * 2), "rows_columns": np.array([1, 2]),
            "kernel": kernel, "flat": np.array([0, 2, -1]), "none": np.array([0]), "two": np.array([2]),
            "nothing": np.zeros((1, 3, 1), np.float32), "extra": extra,
            "keys": np.array([[0.5, -0.5], [0, 0]], np.float32),
            "column": np.zeros((1, 1, 3 + patches**2, 1), np.float32),
        },
    )  # fmt: skip


def _save(path: Path, dim: int, fit: str, nodes: list[onnx.NodeProto], constants: dict[str, np.ndarray]) -> Path:
    graph = helper.make_graph(
        [
            node("Cast", ["pixels"], ["floats"], to=TensorProto.FLOAT), *nodes,
            node("Add", ["features", "least"], ["shifted"]),
            node("LpNormalization", ["shifted"], ["embedding"], axis=1, p=2),
        ],
        path.stem,
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["n", SIDE, SIDE, 3])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", dim])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()]
        + [numpy_helper.from_array(np.array(0.01, np.float32), "least")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    helper.set_model_props(model, {"morphoindex.name": path.stem, "morphoindex.fit": fit})
    onnx.save(model, path)
    return path
