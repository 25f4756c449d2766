"""An encoder for tests that care about files, not about meaning: a picture of 6 × 6 pixels, as a unit vector."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE = 6
DARK = 12.0  # mean grey level below which the failing encoders fail

Failing = Literal["never", "nan", "zero", "long"]


def write_encoder(path: Path, failing: Failing = "never") -> Path:
    """Write the ONNX file; on dark pictures it can give NaN, zero, or vectors that are not of unit length."""
    factor = {
        "never": ["one"],
        "nan": ["zero", "zero"],  # 0 / 0
        "zero": ["zero", "one"],
        "long": ["two", "one"],
    }[failing]
    nodes = [
        helper.make_node("Cast", ["pixels"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["float"], ["flat"]),
        helper.make_node("Add", ["flat", "one"], ["shifted"]),
        helper.make_node("LpNormalization", ["shifted"], ["unit"], axis=1, p=2),
    ]
    if failing == "never":
        nodes.append(helper.make_node("Mul", ["unit", *factor], ["embedding"]))
    else:
        nodes += [
            helper.make_node("ReduceMean", ["flat"], ["mean"], axes=[1], keepdims=1),
            helper.make_node("Less", ["mean", "dark"], ["is_dark"]),
            helper.make_node("Div", factor, ["bad"]),
            helper.make_node("Where", ["is_dark", "bad", "one"], ["factor"]),
            helper.make_node("Mul", ["unit", "factor"], ["embedding"]),
        ]
    constants = {"zero": 0.0, "one": 1.0, "two": 2.0, "dark": DARK}
    graph = helper.make_graph(
        nodes, "tiny",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["n", SIDE, SIDE, 3])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", SIDE * SIDE * 3])],
        [numpy_helper.from_array(np.array(value, np.float32), name) for name, value in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    model.metadata_props.add(key="morphoindex.name", value=f"tiny-{failing}")
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)
    return path
