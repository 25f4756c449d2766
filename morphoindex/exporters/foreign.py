"""Other people's ONNX networks: floats in, features out."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import onnxruntime
from onnx import ModelProto, TensorProto, numpy_helper

from morphoindex.errors import EncoderInvalid, UsageError
from morphoindex.exporters.contract import LEAST_OPSET, FloatNetwork
from morphoindex.exporters.judging import Floats
from morphoindex.exporters.making import Material
from morphoindex.exporters.preparation import Preparation
from morphoindex.indexer.photographs.images import Fit, Resampling

_FLOATS = {TensorProto.FLOAT: np.float32, TensorProto.FLOAT16: np.float16}


def load_foreign(
    path: Path,
    mean: tuple[float, float, float],
    deviation: tuple[float, float, float],
    fit: Fit = "squash",
    resampling: Resampling = "bicubic",
    size: int | None = None,
    output: str | None = None,
) -> Material:
    """Read a network, and find out how it wants to be fed.

    Args:
        path: takes one float [N, 3, H, W] or [N, H, W, 3] and gives features [N, d], or [N, d, 1, 1].
        mean, deviation: of RGB in units of 0..255; the network takes (rgb - mean) / deviation.
        fit, resampling: how photographs are brought to its size.
        size: of the square it takes, in pixels, where the file leaves that open.
        output: the features, by name: an output, or any value inside. Needed where there are several outputs.

    Raises:
        EncoderInvalid: it is not ONNX, has a fixed batch size, or an input or output of another kind.
        UsageError: the output or the size is not given or not possible.
    """
    model = _read(path)
    taken = _input(path, model)
    output = _output(path, model, output)
    channels_last, height, width = _shape(path, taken, size)
    try:
        known = onnx.shape_inference.infer_shapes(model)  # so that values inside have a type
        part = onnx.utils.Extractor(known).extract_model([taken.name], [output])
        session = onnxruntime.InferenceSession(part.SerializeToString(), _silent(), providers=["CPUExecutionProvider"])
        part = _with_float_weights(_recent(part))
    except Exception as error:  # of onnx and onnxruntime, without a base of their own
        raise EncoderInvalid(f"{path.name} does not run from {taken.name} to {output}: {_brief(error)}") from error
    element = _FLOATS[taken.type.tensor_type.elem_type]

    def run(images: Floats) -> Any:
        fed = np.ascontiguousarray(images.transpose(0, 2, 3, 1) if channels_last else images).astype(element)
        return session.run([output], {taken.name: fed})[0]

    try:
        shape = run(np.zeros((2, 3, height, width), np.float32)).shape
    except Exception as error:  # onnxruntime's
        raise EncoderInvalid(
            f"{path.name} does not run on two pictures of {height} × {width}: {_brief(error)}"
        ) from error
    if len(shape) not in (2, 4) or shape[0] != 2 or any(side != 1 for side in shape[2:]):
        raise EncoderInvalid(
            f"{output} of {path.name} is {list(shape)} for two pictures, not a vector each: take another with --output"
        )

    def reference(images: Floats) -> Floats:
        return cast("Floats", run(images).astype(np.float32).reshape(len(images), -1))

    preparation = Preparation(height, width, fit, resampling, 0, mean, deviation)
    network = FloatNetwork(part, taken.name, output, shape[1], channels_last)
    return Material(network, preparation, reference, path.name)


def _read(path: Path) -> ModelProto:
    try:
        model = onnx.load(path)
        onnx.checker.check_model(model)
    except OSError as error:
        raise EncoderInvalid(f"{path} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # protobuf's and onnx's own
        raise EncoderInvalid(f"{path.name} is not an ONNX file: {_brief(error)}") from error
    return model


def _input(path: Path, model: ModelProto) -> Any:
    stored = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in stored]
    if len(inputs) != 1:
        raise EncoderInvalid(f"{path.name} takes {len(inputs)} inputs ({_names(inputs)}), not one picture")
    if inputs[0].type.tensor_type.elem_type not in _FLOATS:
        raise EncoderInvalid(
            f"{path.name} does not take floats; where it keeps the contract already, use it as it is: `encoder check`"
        )
    return inputs[0]


def _output(path: Path, model: ModelProto, wanted: str | None) -> str:
    outputs = list(model.graph.output)
    if wanted is None:
        if len(outputs) != 1:
            raise UsageError(f"{path.name} has {len(outputs)} outputs ({_names(outputs)}): say which with --output")
        return cast("str", outputs[0].name)
    inside = {name for node in model.graph.node for name in node.output}
    if wanted not in inside:
        raise UsageError(f"{path.name} has no output {wanted!r}; it has {_names(outputs)}")
    return wanted


def _shape(path: Path, taken: Any, size: int | None) -> tuple[bool, int, int]:
    """Whether channels come last, height, width."""
    batch, *sides = (side.dim_value for side in taken.type.tensor_type.shape.dim)  # 0 where it is free
    if len(sides) != 3 or 3 not in (sides[0], sides[2]):
        raise EncoderInvalid(f"{path.name} takes {[batch, *sides]}, not [N, 3, H, W] or [N, H, W, 3]")
    if batch:
        raise EncoderInvalid(f"{path.name} has a fixed batch size of {batch}: export it again with a dynamic one")
    channels_last = sides[0] != 3
    height, width = sides[:2] if channels_last else sides[1:]
    if size and any(side not in (0, size) for side in (height, width)):
        raise UsageError(f"{path.name} takes {height} × {width} pixels and no others: leave --size out")
    if not size and not (height and width):
        raise UsageError(f"{path.name} takes pictures of any size: choose one with --size")
    return channels_last, height or cast("int", size), width or cast("int", size)


def _with_float_weights(model: ModelProto) -> ModelProto:
    """Weights that are kept as integers with a scale become the floats that they stand for.

    ONNX Runtime would do that anew for each batch, which doubles the time of a MobileNetV2.
    """
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    spent: set[str] = set()
    for node in list(model.graph.node):
        if node.op_type != "DequantizeLinear" or not all(name in stored for name in node.input):
            continue
        values, scale, *zero = (numpy_helper.to_array(stored[name]) for name in node.input)
        axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 1)
        shape = [-1 if side == axis else 1 for side in range(values.ndim)] if scale.size > 1 else [1] * values.ndim
        shift = zero[0].astype(np.int32).reshape(shape) if zero else 0
        floats = (values.astype(np.int32) - shift).astype(np.float32) * scale.reshape(shape)
        model.graph.initializer.append(numpy_helper.from_array(floats, node.output[0]))
        model.graph.node.remove(node)
        spent.update(node.input)
    spent -= {name for node in model.graph.node for name in node.input}
    kept = [tensor for tensor in model.graph.initializer if tensor.name not in spent]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    return model


def _recent(model: ModelProto) -> ModelProto:
    versions = {opset.domain: opset.version for opset in model.opset_import}
    if versions.get("", LEAST_OPSET) >= LEAST_OPSET:
        return model
    return onnx.version_converter.convert_version(model, LEAST_OPSET)


def _silent() -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return options


def _names(values: Any) -> str:
    return ", ".join(value.name for value in values)


def _brief(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
