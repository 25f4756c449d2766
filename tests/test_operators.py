"""ONNX operators in torch give what ONNX Runtime gives, each of them in several arrangements."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="learning on needs the extra `train`")
torch = pytest.importorskip("torch", reason="learning on needs the extra `train`")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from morphoindex.exporters.training.operators import OPERATORS  # noqa: E402

X = (2, 4, 7, 9)
_RNG = np.random.default_rng(0)


def floats(*shape: int) -> np.ndarray:
    return _RNG.normal(size=shape).astype(np.float32)


def whole(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


KERNEL, BIAS = floats(6, 4, 3, 3), floats(6)
CHANNELS = [floats(4), floats(4), floats(4), np.abs(floats(4)) + 0.5]
CASES: dict[str, list[tuple[dict[str, Any], list[np.ndarray]]]] = {
    "Add": [({}, [floats(4, 1, 1)])],
    "AveragePool": [
        ({"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 0]}, []),
        ({"kernel_shape": [3, 3], "pads": [1] * 4, "count_include_pad": 1}, []),
        ({"kernel_shape": [3, 3], "auto_pad": "SAME_UPPER"}, []),
    ],
    "BatchNormalization": [({"epsilon": 1e-3}, CHANNELS)],
    "Cast": [({"to": TensorProto.INT64}, []), ({"to": TensorProto.FLOAT}, [])],
    "Clip": [({}, [np.float32(-0.5), np.float32(0.5)]), ({}, [np.float32(0)]), ({}, [])],
    "Concat": [({"axis": 1}, [floats(2, 3, 7, 9)]), ({"axis": -1}, [floats(2, 4, 7, 1)])],
    "Conv": [
        ({"strides": [2, 2], "pads": [1] * 4}, [KERNEL, BIAS]),
        ({"strides": [2, 1], "pads": [0, 1, 2, 3]}, [KERNEL]),
        ({"strides": [2, 2], "auto_pad": "SAME_UPPER"}, [KERNEL, BIAS]),
        ({"strides": [2, 2], "auto_pad": "SAME_LOWER"}, [KERNEL, BIAS]),
        ({"dilations": [2, 2], "auto_pad": "VALID"}, [KERNEL]),
        ({"group": 2}, [floats(6, 2, 3, 3), BIAS]),
        ({"group": 4, "pads": [1] * 4}, [floats(4, 1, 3, 3)]),
    ],
    "ConstantOfShape": [({}, []), ({"value": numpy_helper.from_array(whole(7))}, [])],
    "Cos": [({}, [])],
    "Div": [({}, [np.abs(floats(9)) + 1])],
    "Equal": [({}, [floats(1)])],
    "Erf": [({}, [])],
    "Exp": [({}, [])],
    "Expand": [({}, [whole(3, 2, 4, 7, 9)]), ({}, [whole(1)])],
    "Flatten": [({}, []), ({"axis": 0}, []), ({"axis": -2}, [])],
    "Gather": [({"axis": 1}, [whole(2, -1, 0)]), ({}, [np.array(1)]), ({"axis": -1}, [whole(3, 4).reshape(2, 1)])],
    "Gelu": [({}, []), ({"approximate": "tanh"}, [])],
    "Gemm": [
        ({"transB": 1}, [floats(5, 9), floats(5)]),
        ({"transA": 1, "alpha": 0.5, "beta": 2.0}, [floats(7, 5), floats(1, 5)]),
        ({}, [floats(9, 5)]),
    ],
    "GlobalAveragePool": [({}, [])],
    "HardSigmoid": [({}, []), ({"alpha": 1 / 6, "beta": 0.4}, [])],
    "HardSwish": [({}, [])],
    "Identity": [({}, [])],
    "LayerNormalization": [
        ({"epsilon": 1e-3}, [floats(9), floats(9)]),
        ({"axis": -2}, [floats(9), floats(9)]),
        ({"axis": -2}, [floats(7, 9)]),
    ],
    "LeakyRelu": [({}, []), ({"alpha": 0.3}, [])],
    "MatMul": [({}, [floats(9, 5)]), ({}, [floats(2, 1, 9, 3)])],
    "Max": [({}, [floats(9)]), ({}, []), ({}, [floats(9), floats(7, 1)])],
    "MaxPool": [
        ({"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1] * 4}, []),
        ({"kernel_shape": [2, 2], "strides": [2, 2], "auto_pad": "SAME_UPPER"}, []),
        ({"kernel_shape": [3, 2], "strides": [2, 2], "ceil_mode": 1}, []),
    ],
    "Min": [({}, [floats(9)]), ({}, [floats(4, 1, 1), floats(7, 1)])],
    "Mul": [({}, [floats(7, 1)])],
    "Neg": [({}, [])],
    "Pow": [({}, [np.float32(2)])],
    "Reciprocal": [({}, [])],
    "ReduceMean": [({"keepdims": 0}, [whole(2, 3)]), ({}, [whole(-1)]), ({}, []), ({"noop_with_empty_axes": 1}, [])],
    "ReduceSum": [({"keepdims": 0}, [whole(1)]), ({}, [])],
    "Relu": [({}, [])],
    "Reshape": [({}, [whole(0, -1)]), ({}, [whole(-1, 7, 9)])],
    "Shape": [({}, []), ({"start": 1, "end": -1}, [])],
    "Sigmoid": [({}, [])],
    "Sin": [({}, [])],
    "Slice": [
        ({}, [whole(1), whole(3), whole(1)]),
        ({}, [whole(-1, 0), whole(np.iinfo(np.int64).min, 100), whole(3, 2), whole(-1, 2)]),
        ({}, [whole(0, 1), whole(2, -1)]),
    ],
    "Softmax": [({}, []), ({"axis": 1}, [])],
    "Split": [({"axis": 1, "num_outputs": 2}, []), ({"axis": -1}, [whole(2, 7)])],
    "Sqrt": [({}, [])],
    "Squeeze": [({}, [whole(0)]), ({}, [])],
    "Sub": [({}, [floats(4, 7, 1)])],
    "Tanh": [({}, [])],
    "Transpose": [({"perm": [0, 2, 3, 1]}, []), ({}, [])],
    "Unsqueeze": [({}, [whole(0, -1)])],
    "Where": [({}, [floats(9)])],
}


def taken(operator: str) -> np.ndarray:
    """What it is tried on."""
    if operator in ("Sqrt", "Reciprocal"):
        return np.abs(floats(*X)) + 0.1
    if operator == "Gemm":
        return floats(7, 9)
    if operator == "ConstantOfShape":
        return whole(2, 3)
    if operator == "Squeeze":
        return floats(1, *X)
    return floats(*X)


def test_every_operator_is_tried() -> None:
    assert set(CASES) == set(OPERATORS)


@pytest.mark.parametrize("operator", CASES)
def test_an_operator_gives_what_onnx_runtime_gives(operator: str) -> None:
    import onnxruntime

    for given, others in CASES[operator]:
        x = taken(operator)
        first = [] if operator != "Where" else [np.array([True, False] * 4 + [True])]
        inputs = [*first, x, *others]
        names = [f"in{number}" for number in range(len(inputs))]
        outputs = ["out0", "out1"] if operator == "Split" else ["out0"]
        graph = helper.make_graph(
            [helper.make_node(operator, names, outputs, **given)], "one",
            [helper.make_tensor_value_info(names[len(first)], helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)],
            [helper.make_empty_tensor_value_info(name) for name in outputs],
            [numpy_helper.from_array(np.asarray(v), n) for n, v in zip(names, inputs, strict=True) if v is not x],
        )  # fmt: skip
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        expected = session.run(outputs, {names[len(first)]: x})
        node = model.graph.node[0]
        attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}
        found = OPERATORS[operator](attributes, *(torch.from_numpy(np.asarray(value)) for value in inputs))
        found = found if isinstance(found, (tuple, list)) else [found]
        for ours, theirs in zip(found, expected, strict=True):
            assert ours.shape == theirs.shape, (operator, given)
            assert ours.numpy() == pytest.approx(theirs, abs=1e-4), (operator, given)


def test_a_number_is_taken_out_of_a_list() -> None:
    found = OPERATORS["Gather"]({}, torch.tensor([3, 5, 7]), torch.tensor(-1))
    assert (found.shape, found.item()) == ((), 7)


@pytest.mark.parametrize(
    ("operator", "given", "others", "says"),
    [
        ("Cast", {"to": TensorProto.STRING}, [], "to element type 8"),
        ("AveragePool", {"kernel_shape": [2, 2], "pads": [0, 0, 1, 1]}, [], "uneven padding"),
        ("AveragePool", {"kernel_shape": [2, 2], "dilations": [2, 2]}, [], "dilated"),
        ("BatchNormalization", {"training_mode": 1}, CHANNELS, "in training mode"),
    ],
)
def test_arrangements_that_are_not_known(operator: str, given: dict[str, Any], others: list[Any], says: str) -> None:
    with pytest.raises(NotImplementedError, match=says):
        OPERATORS[operator](given, torch.zeros(X), *(torch.from_numpy(values) for values in others))
