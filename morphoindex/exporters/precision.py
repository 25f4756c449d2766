"""The same network in fewer bits: fp16 for graphics cards, int8 for processors."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import onnx
from onnx import ModelProto
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from onnxruntime.transformers.float16 import convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel

from morphoindex.exporters.contract import FloatNetwork
from morphoindex.exporters.quiet import quiet

Precision = Literal["fp32", "fp16", "int8"]
LEAST_COSINE: dict[Precision, float] = {"fp32": 0.9999, "fp16": 0.999, "int8": 0.995}
HELD_BACK = (0, 4, 8, 16, 24)  # so many of the first layers stay in fp32, the first number that passes the check
_LAYERS = ("Conv", "Gemm", "MatMul")
_MEANS = ("GlobalAveragePool", "AveragePool", "ReduceMean")


def halve(network: FloatNetwork) -> FloatNetwork:
    """Weights and activations in float16; input and output stay float32."""
    with quiet():
        halved = OnnxModel(convert_float_to_float16(network.model, keep_io_types=True))
    halved.topological_sort()  # it puts the cast of the input last
    return replace(network, model=halved.model)


def quantise(network: FloatNetwork, images: npt.NDArray[np.float32], held_back: int = 0) -> FloatNetwork:
    """Weights in int8 by channel, activations in uint8 with ranges from images: static QDQ by onnxruntime.

    In a network with attention only convolutions and matrix products are quantised; its normalisations, softmax and
    GELU lose too much. In a convolutional one everything is that onnxruntime can: an activation after a convolution has
    to go with it, or the range is that of values which the activation cuts off. What comes after the mean over the
    places of a picture stays in fp32: that costs next to nothing, and one outlying feature would coarsen all others.

    Args:
        network: of float32.
        images: float32 [n, 3, H, W] as the network takes them (whatever the layout of the network).
        held_back: so many of the first convolutions and matrix products, and what stands between, stay in fp32. Early
            layers cost most: in a MobileNetV2 the first four of 52 make three quarters of the error.
    """
    with tempfile.TemporaryDirectory() as place:
        plain, prepared, done = (Path(place) / name for name in ("plain.onnx", "prepared.onnx", "done.onnx"))
        onnx.save(network.model, plain)
        with quiet():
            quant_pre_process(plain, prepared, skip_symbolic_shape=True)
        model = onnx.load(prepared)
        for number, node in enumerate(model.graph.node):
            node.name = f"{node.op_type}_{number}"  # nodes without a name cannot be held back
        attention = any(node.op_type == "Softmax" for node in model.graph.node)
        with quiet():
            quantize_static(
                model, done, _Calibration(network, images), per_channel=True,
                activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
                op_types_to_quantize=list(_LAYERS) if attention else None,
                nodes_to_exclude=[*_first(model, held_back), *_tail(model)],
            )  # fmt: skip
        return replace(network, model=onnx.load(done))


class _Calibration(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime's types are not read
    def __init__(self, network: FloatNetwork, images: npt.NDArray[np.float32]) -> None:
        self._batches = self._each(network, images)

    def get_next(self) -> dict[str, npt.NDArray[np.float32]] | None:
        return next(self._batches, None)

    @staticmethod
    def _each(network: FloatNetwork, images: npt.NDArray[np.float32]) -> Iterator[dict[str, npt.NDArray[np.float32]]]:
        for number in range(len(images)):
            image = images[number : number + 1]
            yield {network.input: np.ascontiguousarray(image.transpose(0, 2, 3, 1)) if network.channels_last else image}


def layers(network: FloatNetwork) -> int:
    """How many convolutions and matrix products it has."""
    return sum(node.op_type in _LAYERS for node in network.model.graph.node)


def _tail(model: ModelProto) -> Sequence[str]:
    """The last mean over places and what comes after it, if no convolution does; else nothing."""
    nodes = list(model.graph.node)
    last = max((number for number, node in enumerate(nodes) if node.op_type == "Conv"), default=len(nodes))
    means = [number for number, node in enumerate(nodes) if node.op_type in _MEANS and number > last]
    return [node.name for node in nodes[means[0] :]] if means else []


def _first(model: ModelProto, layers: int) -> Sequence[str]:
    names: list[str] = []
    for node in model.graph.node:
        layers -= node.op_type in _LAYERS
        if layers < 0:
            break
        names.append(node.name)
    return names
