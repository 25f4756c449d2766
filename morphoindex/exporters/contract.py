"""A float ONNX network becomes an encoder: uint8 pixels in, unit vectors out, and what the host must know beside it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, cast

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from morphoindex.errors import EncoderInvalid
from morphoindex.exporters.preparation import Preparation, Triple
from morphoindex.indexer.photographs.images import Fit, Resampling

CONTRACT = "1"
LEAST_OPSET = 13
SHORTEST = 1e-12  # features that are all zero stay zero
UNIT_CONSTANTS = {"last": np.array([1]), "shortest": np.array(SHORTEST, np.float32)}
_NETWORK = "network/"


@dataclass(frozen=True)
class EncoderRecord:
    """What an encoder's file says of itself, beside its preparation."""

    name: str
    source: str
    licence: str = "unstated"
    training_data: str = "unstated"
    version: str = "1"


@dataclass(frozen=True, eq=False)
class FloatNetwork:
    """An ONNX network of floats: one input, one output of features.

    Attributes:
        model: has opset 13 or later.
        input, output: names in its graph. The input is float [N, 3, H, W], or [N, H, W, 3] where `channels_last`; the
            output float [N, dim], or [N, dim, 1, 1].
        dim: length of the features.
    """

    model: ModelProto
    input: str
    output: str
    dim: int
    channels_last: bool = False

    @property
    def in_halves(self) -> bool:
        """Whether it takes float16."""
        elements = {value.name: value.type.tensor_type.elem_type for value in self.model.graph.input}
        return bool(elements[self.input] == TensorProto.FLOAT16)


def wrap(network: FloatNetwork, preparation: Preparation, record: EncoderRecord) -> ModelProto:
    """Put a network between the contract's input and output.

    Returns:
        An encoder: `pixels` uint8 [N, H, W, 3] of the preparation's canvas, `embedding` float32 [N, dim], unit length.

    Raises:
        EncoderInvalid: the result is not a valid ONNX model.
    """
    model = onnx.compose.add_prefix(network.model, _NETWORK)
    source, sink = _NETWORK + network.input, _NETWORK + network.output
    kept = [value for value in model.graph.input if value.name != source]  # initializers, in old files
    (taken,) = (value for value in model.graph.input if value.name == source)
    nodes = [
        *_before(preparation, network.channels_last, taken.type.tensor_type.elem_type, source),
        *model.graph.node,
        *_after(sink),
    ]
    by_channel = (3,) if network.channels_last else (3, 1, 1)
    constants = {
        "mean": np.array(preparation.mean, np.float32).reshape(by_channel),
        "deviation": np.array(preparation.deviation, np.float32).reshape(by_channel),
        "starts": np.array([preparation.margin] * 2),
        "ends": np.array([preparation.margin + preparation.height, preparation.margin + preparation.width]),
        "rows_columns": np.array([1, 2]),
        **UNIT_CONSTANTS,
    }
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes, "encoder",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["N", *preparation.canvas, 3]), *kept],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["N", network.dim])],
        [
            *model.graph.initializer,
            *(numpy_helper.from_array(v, name) for name, v in constants.items() if name in used),
        ],
        value_info=model.graph.value_info,
        sparse_initializer=model.graph.sparse_initializer,
    )  # fmt: skip
    encoder = helper.make_model(
        graph, opset_imports=model.opset_import, ir_version=model.ir_version, functions=model.functions,
        producer_name="morphoindex", doc_string=f"{record.name} {record.version}",
    )  # fmt: skip
    set_metadata(encoder, preparation.fit, preparation.resampling, record)
    _forget_origin(encoder)
    return checked(encoder, record.name)


def unwrap(encoder: ModelProto) -> tuple[FloatNetwork, Preparation, EncoderRecord]:
    """The inverse of `wrap`: what an encoder was made of.

    Raises:
        EncoderInvalid: `wrap` did not make it, or it does not say how photographs are fitted.
    """
    nodes, graph = list(encoder.graph.node), encoder.graph
    before = list(itertools.takewhile(lambda node: not node.output[0].startswith(_NETWORK), nodes))
    made_by = {name: node for node in nodes for name in node.output}
    if len(before) == len(nodes) or "features" not in made_by:
        raise EncoderInvalid("it was not made of one network: convert what it was made of")
    source = nodes[len(before)].output[0]
    sink = made_by[made_by["features"].input[0]].input[0]
    typed = onnx.shape_inference.infer_shapes(encoder)  # so that values inside have a type
    model = onnx.utils.Extractor(typed).extract_model([source], [sink])
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    height, width, dim = (side.dim_value for side in (*_sides(graph.input[0])[1:3], _sides(graph.output[0])[1]))
    margin = int(constants["starts"][0]) if "starts" in constants else 0
    mean, deviation = (
        cast("Triple", tuple(np.broadcast_to(constants.get(name, plain).ravel(), 3).tolist()))
        for name, plain in (("mean", np.zeros(1)), ("deviation", np.ones(1)))
    )
    stated = {entry.key.removeprefix("morphoindex."): entry.value for entry in encoder.metadata_props}
    if not {"fit", "resampling", "name"} <= stated.keys():
        raise EncoderInvalid("it does not say its name, fit and resampling (metadata `morphoindex.*`)")
    preparation = Preparation(
        height - 2 * margin, width - 2 * margin, cast("Fit", stated["fit"]), cast("Resampling", stated["resampling"]),
        margin, mean, deviation,
    )  # fmt: skip
    channels_last = all(node.op_type != "Transpose" for node in before)
    said = {field.name: stated[field.name] for field in fields(EncoderRecord) if field.name in stated}
    record = EncoderRecord(**{"source": "unstated", **said})
    return FloatNetwork(model, source, sink, dim, channels_last), preparation, record


def _sides(value: ValueInfoProto) -> Any:
    return value.type.tensor_type.shape.dim


def checked(encoder: ModelProto, name: str) -> ModelProto:
    """The same model, if it is valid ONNX.

    Raises:
        EncoderInvalid: it is not.
    """
    try:
        onnx.checker.check_model(encoder, full_check=True)
    except Exception as error:  # of several classes, without a base of its own
        raise EncoderInvalid(f"{name} does not become a valid ONNX file: {_first_line(error)}") from error
    return encoder


def serialised(model: ModelProto) -> bytes:
    """The bytes of the file.

    Raises:
        EncoderInvalid: they are more than an ONNX file of one piece can have, 2 GiB.
    """
    try:
        return cast("bytes", model.SerializeToString())
    except Exception as error:  # of protobuf, another in each of its versions
        raise EncoderInvalid(f"{model.graph.name} is larger than the 2 GiB of one ONNX file: try fp16") from error


def _before(preparation: Preparation, channels_last: bool, element: int, sink: str) -> list[NodeProto]:
    steps: list[tuple[str, list[str], dict[str, object]]] = []
    if preparation.margin:
        steps.append(("Slice", ["starts", "ends", "rows_columns"], {}))
    if not channels_last:  # first: bytes are quickest moved, and channels apart are quickest scaled
        steps.append(("Transpose", [], {"perm": [0, 3, 1, 2]}))
    steps.append(("Cast", [], {"to": TensorProto.FLOAT}))
    if any(preparation.mean):
        steps.append(("Sub", ["mean"], {}))
    if set(preparation.deviation) != {1.0}:
        steps.append(("Div", ["deviation"], {}))
    steps.append(("Cast", [], {"to": element}))
    return _chain("pixels", steps, sink)


def _after(source: str) -> list[NodeProto]:
    flat: list[tuple[str, list[str], dict[str, object]]] = [
        ("Cast", [], {"to": TensorProto.FLOAT}), ("Flatten", [], {"axis": 1})
    ]  # fmt: skip
    return [*_chain(source, flat, "features"), *to_unit_length("features", "embedding")]


def to_unit_length(source: str, sink: str) -> list[NodeProto]:
    """Nodes that bring float32 [N, d] to rows of length one; zero stays zero. They need `UNIT_CONSTANTS`.

    A sum and a square root rather than a norm operator: every runtime has these, and in float32 nothing overflows.
    """
    squares, total, length = (f"{sink}/{step}" for step in ("squares", "sum", "length"))
    return [
        helper.make_node("Mul", [source, source], [squares], name=squares),
        helper.make_node("ReduceSum", [squares, "last"], [total], name=total, keepdims=1),
        *_chain(total, [("Sqrt", [], {}), ("Max", ["shortest"], {})], length),
        helper.make_node("Div", [source, length], [sink], name=sink),
    ]


def _chain(source: str, steps: Sequence[tuple[str, list[str], dict[str, object]]], sink: str) -> list[NodeProto]:
    """Nodes one after the other, each with the one before as its first input."""
    nodes, current = [], source
    for number, (operator, others, attributes) in enumerate(steps, 1):
        result = sink if number == len(steps) else f"{source}/{number}"
        nodes.append(helper.make_node(operator, [current, *others], [result], name=result, **attributes))
        current = result
    return nodes


def set_metadata(model: ModelProto, fit: str, resampling: str, record: EncoderRecord) -> None:
    """Write what the contract wants to be said into a model."""
    fields = {"contract": CONTRACT, "fit": fit, "resampling": resampling, **vars(record)}
    helper.set_model_props(model, {f"morphoindex.{key}": value for key, value in fields.items()})


def _forget_origin(model: ModelProto) -> None:
    """Stack traces of torch's exporter name folders of the machine that it ran on."""
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    for described in (*model.graph.value_info, *model.graph.initializer):
        del described.metadata_props[:]


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
