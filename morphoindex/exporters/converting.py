"""An encoder file in fewer bits, whoever trained it: the network is taken out of it, and wrapped again."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto

from morphoindex.errors import EncoderInvalid, UsageError
from morphoindex.exporters.contract import EncoderRecord, FloatNetwork, unwrap
from morphoindex.exporters.judging import Floats, Reference
from morphoindex.exporters.making import Material
from morphoindex.exporters.precision import Precision
from morphoindex.indexer.encoding.encoder import Encoder


def load_encoder(file: Path) -> tuple[Material, EncoderRecord]:
    """What an encoder file in fp32 is made of, and what it says of itself.

    Raises:
        EncoderInvalid: it is no encoder, or was not made of one network.
        UsageError: it is in fewer bits already.
    """
    info = Encoder(file, provider="cpu").info
    try:
        network, preparation, record = unwrap(onnx.load(file))
    except EncoderInvalid as error:
        raise EncoderInvalid(f"{info.name}: {error}") from error
    if (precision := _precision(network)) != "fp32":
        raise UsageError(f"{info.name} is in {precision} already: convert the same in fp32")
    return Material(network, preparation, _reference(network), info.name), record


def _precision(network: FloatNetwork) -> Precision:
    if any(node.op_type == "DequantizeLinear" for node in network.model.graph.node):
        return "int8"
    halves = any(tensor.data_type == TensorProto.FLOAT16 for tensor in network.model.graph.initializer)
    return "fp16" if halves else "fp32"


def _reference(network: FloatNetwork) -> Reference:
    session = onnxruntime.InferenceSession(network.model.SerializeToString(), providers=["CPUExecutionProvider"])

    def run(images: Floats) -> Floats:
        fed = np.ascontiguousarray(images.transpose(0, 2, 3, 1) if network.channels_last else images)
        features = session.run([network.output], {network.input: fed})[0]
        return cast("Floats", features.reshape(len(images), -1))

    return run
