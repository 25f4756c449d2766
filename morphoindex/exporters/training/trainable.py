"""An encoder file as a network of torch: it learns on, and its weights go back into the file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.inliner
import torch
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper
from torch import Tensor, nn

from morphoindex.errors import EncoderInvalid
from morphoindex.exporters.contract import LEAST_OPSET
from morphoindex.exporters.training.operators import OPERATORS

_KERNELS = {"Conv": (1, 2), "Gemm": (1, 2), "MatMul": (0, 1), "LayerNormalization": (1, 2)}
"""Which inputs of a layer are its weights."""


@dataclass(frozen=True)
class _Step:
    operator: str
    given: dict[str, Any]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


class Trainable(nn.Module):  # type: ignore[misc]  # torch's types are not read
    """Runs the graph of an encoder operator by operator.

    What learns are the kernels and biases of the later half of its layers, by depth; what comes before sees edges,
    colours and textures, which are the same everywhere.

    Args:
        model: an encoder in fp32.
        name: for messages.

    Raises:
        EncoderInvalid: it is in fewer bits, of an older opset than LEAST_OPSET, has an operator that is not known here,
            or no weights that could learn.
    """

    def __init__(self, model: ModelProto, name: str) -> None:
        super().__init__()
        self._model = model
        self._name, graph = name, model.graph
        version = next(entry.version for entry in model.opset_import if not entry.domain)
        if version < LEAST_OPSET:
            raise EncoderInvalid(f"{name} is of opset {version}, which cannot learn here: from {LEAST_OPSET} on")
        self._steps = list(_steps(graph.node, name))
        last = {key: number for number, step in enumerate(self._steps) for key in step.inputs}
        self._spent = [
            [key for key in set(step.inputs) if last[key] == number] for number, step in enumerate(self._steps)
        ]
        stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        if any(values.dtype == np.float16 for values in stored.values()):
            raise EncoderInvalid(f"{name} is in fp16, in which it cannot learn: take the same in fp32")
        self._learning = _later_half(graph.node, stored)
        if not self._learning:
            raise EncoderInvalid(f"{name} has no kernels of its own that could learn")
        stored |= dict(_constants(graph.node))
        self._constants = [key for key in stored if key not in self._learning]
        self.weights = nn.ParameterList(torch.from_numpy(np.array(stored[key])) for key in self._learning)
        for number, key in enumerate(self._constants):
            self.register_buffer(f"constant_{number}", torch.from_numpy(np.array(stored[key])), persistent=False)
        self._end = graph.output[0].name
        self._pixels = graph.input[0].name
        _, self.height, self.width, _ = (side.dim_value for side in graph.input[0].type.tensor_type.shape.dim)

    def forward(self, pixels: Tensor) -> Tensor:
        """Float [N, 3, H, W], 0..255 -> float [N, d], unit length."""
        values: dict[str, Any] = dict(zip(self._learning, self.weights, strict=True))
        values.update((key, getattr(self, f"constant_{number}")) for number, key in enumerate(self._constants))
        values[self._pixels], values[""] = pixels.permute(0, 2, 3, 1), None
        for step, spent in zip(self._steps, self._spent, strict=True):
            try:
                found = OPERATORS[step.operator](step.given, *(values[key] for key in step.inputs))
            except Exception as error:  # of torch, or of an arrangement that is not known here
                reason = (str(error).splitlines() or [type(error).__name__])[0]
                raise EncoderInvalid(f"{self._name} cannot learn here: {step.operator}: {reason}") from error
            outputs = found if isinstance(found, (tuple, list)) else (found,)
            values.update(zip(step.outputs, outputs, strict=False))
            for key in spent:  # else every activation would stay until the end
                if key != self._end:
                    del values[key]
            del found, outputs
        embedding: Tensor = values[self._end]
        return embedding

    def written(self) -> ModelProto:
        """The encoder with the weights as they are now."""
        model = ModelProto()
        model.CopyFrom(self._model)
        learned = dict(zip(self._learning, self.weights, strict=True))
        for tensor in model.graph.initializer:
            if tensor.name in learned:
                tensor.CopyFrom(numpy_helper.from_array(learned[tensor.name].detach().numpy(), tensor.name))
        return model


def read_trainable(file: Path, name: str) -> Trainable:
    """Read an encoder file, as `Trainable` has it."""
    return Trainable(onnx.inliner.inline_local_functions(onnx.load(file)), name)


def _steps(nodes: Any, name: str) -> Iterator[_Step]:
    for node in nodes:
        if node.op_type == "Constant":
            continue
        if node.op_type == "DequantizeLinear":
            raise EncoderInvalid(f"{name} is in int8, in which it cannot learn: take the same in fp32")
        if node.op_type not in OPERATORS:
            raise EncoderInvalid(f"{name} has the operator {node.op_type}, which cannot learn here")
        given = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
        if node.op_type == "Split":
            given.setdefault("num_outputs", len(node.output))  # not said before opset 18
        yield _Step(node.op_type, given, tuple(node.input), tuple(node.output))


def _constants(nodes: Any) -> Iterator[tuple[str, Any]]:
    """Values that are written among the operators, where old exporters put them."""
    for node in nodes:
        if node.op_type == "Constant":
            value = onnx.helper.get_attribute_value(node.attribute[0])
            stored = isinstance(value, TensorProto)
            values = numpy_helper.to_array(value) if stored else np.array(value)
            yield node.output[0], values if values.dtype != np.float64 else values.astype(np.float32)


def _later_half(nodes: Any, stored: dict[str, Any]) -> list[str]:
    """The weights of the layers of which at least as many layers come before as after, on the longest ways."""
    own = [_weights(node, stored) for node in nodes]
    before: dict[str, int] = {}  # layers up to a value, itself among them
    depths = []
    for node, weights in zip(nodes, own, strict=True):
        depth = max((before.get(key, 0) for key in node.input), default=0)
        depths.append(depth)
        before.update(dict.fromkeys(node.output, depth + bool(weights)))
    after: dict[str, int] = {}
    chosen: dict[str, None] = {}
    for node, weights, depth in reversed(list(zip(nodes, own, depths, strict=True))):
        rest = max((after.get(key, 0) for key in node.output), default=0)
        if depth >= rest:
            chosen.update(dict.fromkeys(weights))
        after.update((key, max(after.get(key, 0), rest + bool(weights))) for key in node.input)
    return list(chosen)


def _weights(node: NodeProto, stored: dict[str, Any]) -> list[str]:
    places = _KERNELS.get(node.op_type, ())
    return [node.input[place] for place in places if place < len(node.input) and node.input[place] in stored]
