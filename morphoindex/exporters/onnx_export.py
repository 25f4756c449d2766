"""From a torch network to an encoder file."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from onnx import ModelProto
from torch import Tensor, nn

from morphoindex.exporters.contract import FloatNetwork
from morphoindex.exporters.judging import Floats
from morphoindex.exporters.making import Material
from morphoindex.exporters.preparation import Preparation, Processor
from morphoindex.exporters.quiet import quiet

OPSET = 18


def from_torch(
    network: nn.Module,
    preparation: Preparation,
    original: Callable[[Tensor], Tensor] | None = None,
    processor: Processor | None = None,
) -> Material:
    """Translate a network, ready for `make_encoder`.

    Args:
        network: float [N, 3, H, W], prepared, to float [N, d]. Its weights become constants of the file.
        preparation: what stands between a photograph and the network.
        original: the same network before anything was changed for the export, which the file is compared with.
        processor: the framework's own preparation, which the host's is compared with.

    Returns:
        The ONNX network with a free batch size, and what it is to be compared with.
    """
    network = network.eval()
    sample = torch.zeros(2, 3, preparation.height, preparation.width)
    with quiet():
        program = torch.onnx.export(
            network,
            (sample,),
            input_names=["input"],
            output_names=["features"],
            dynamic_shapes=({0: torch.export.Dim("N")},),
            opset_version=OPSET,
            external_data=False,
            dynamo=True,
            verbose=False,
        )
    model = cast("ModelProto", program.model_proto)
    run = original or network

    def reference(images: Floats) -> Floats:
        with torch.inference_mode():
            return cast("Floats", run(torch.from_numpy(images)).numpy())

    dim = reference(sample[:1].numpy()).shape[1]
    return Material(FloatNetwork(model, "input", "features", dim), preparation, reference, "torch", processor)
