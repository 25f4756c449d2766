"""From a torch network to one self-describing ONNX file: `pixels` in, `embedding` out.

Scaling, layout and the L2 norm go into the graph; what the host must know goes into the file's metadata. A file whose
embeddings differ from torch's is not kept.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import torch
from torch import Tensor, nn

CONTRACT = "1"
OPSET = 18
LEAST_COSINE = 0.9999
LARGEST_PROBES = 32


@dataclass(frozen=True)
class EncoderRecord:
    """What an encoder's file says of itself."""

    name: str
    fit: Literal["squash", "crop", "letterbox"]
    resampling: Literal["bicubic", "bilinear"]
    source: str
    licence: str
    training_data: str
    version: str

    def metadata(self) -> dict[str, str]:
        """The record as the file's metadata_props."""
        fields = {
            "contract": CONTRACT,
            "name": self.name,
            "fit": self.fit,
            "resampling": self.resampling,
            "source": self.source,
            "licence": self.licence,
            "training_data": self.training_data,
            "version": self.version,
        }
        return {f"morphoindex.{key}": value for key, value in fields.items()}


class ParityError(RuntimeError):
    """The exported file does not give what torch gives."""


class PixelEncoder(nn.Module):  # type: ignore[misc]  # torch's types are not read
    """A network behind the contract's input and output."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> Tensor:
        """Embed images.

        Args:
            pixels: uint8 [N, H, W, 3], RGB.

        Returns:
            float32 [N, d], unit length; features that are all zero stay zero.
        """
        features: Tensor = self.network(pixels.permute(0, 3, 1, 2).to(torch.float32))
        # a sum and a square root rather than a norm operator: every runtime and every opset has these
        length = (features * features).sum(dim=1, keepdim=True).sqrt().clamp(min=1e-12)
        return features / length


def export_encoder(network: nn.Module, record: EncoderRecord, probes: npt.NDArray[np.uint8], path: Path) -> float:
    """Write an encoder file, if it agrees with torch on the probes.

    Args:
        network: float [N, 3, H, W] with values 0..255 to float [N, d].
        record: goes into the metadata.
        probes: uint8 [P, H, W, 3]; their H and W become the encoder's. At least 64 make a fair check.
        path: of the file; replaced whole or not at all.

    Returns:
        The least cosine between torch's embedding and the file's, over the probes.

    Raises:
        ParityError: some probe's cosine is below LEAST_COSINE, or the output has another shape or type.
    """
    encoder = PixelEncoder(network.eval()).eval()
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.part")
    try:
        batch = torch.export.Dim("N")
        program = torch.onnx.export(
            encoder,
            (torch.from_numpy(probes[:2].copy()),),
            input_names=["pixels"],
            output_names=["embedding"],
            dynamic_shapes={"pixels": {0: batch}},
            opset_version=OPSET,
            external_data=False,
            dynamo=True,
            verbose=False,
        )
        assert program is not None
        model = _described(program.model_proto, record)
        onnx.checker.check_model(model, full_check=True)
        partial.write_bytes(model.SerializeToString())
        least = least_cosine(encoder, partial, probes)
        if least < LEAST_COSINE:
            raise ParityError(f"least cosine between torch and the file is {least:.6f}, below {LEAST_COSINE}")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return least


def least_cosine(encoder: nn.Module, path: Path, probes: npt.NDArray[np.uint8]) -> float:
    """Compare an encoder file with the torch encoder that it was made from.

    Args:
        encoder: uint8 [N, H, W, 3] to float [N, d], unit length.
        path: of the file.
        probes: uint8 [P, H, W, 3].

    Returns:
        The least cosine over the probes.

    Raises:
        ParityError: the file's output has another shape or type than torch's, is not finite or not of unit length.
    """
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    cosines = []
    for start in range(0, len(probes), LARGEST_PROBES):
        pixels = probes[start : start + LARGEST_PROBES]
        with torch.inference_mode():
            expected = encoder(torch.from_numpy(pixels.copy())).numpy()
        (found,) = session.run(["embedding"], {"pixels": pixels})
        if found.shape != expected.shape or found.dtype != np.float32 or not np.isfinite(found).all():
            raise ParityError(f"torch gives {expected.shape} finite float32, the file {found.shape} {found.dtype}")
        if np.abs(np.linalg.norm(found, axis=1) - 1).max() > 1e-4:
            raise ParityError("the file's embeddings are not of unit length")
        cosines.append((found * expected).sum(axis=1))
    return float(np.concatenate(cosines).min())


def _described(model: onnx.ModelProto, record: EncoderRecord) -> onnx.ModelProto:
    del model.metadata_props[:]
    for key, value in record.metadata().items():
        model.metadata_props.add(key=key, value=value)
    model.producer_name = "morphoindex"
    model.doc_string = f"{record.name} {record.version}"
    model.graph.doc_string = ""
    for node in model.graph.node:
        # stack traces of the exporter name folders of the machine that it ran on
        node.doc_string = ""
        del node.metadata_props[:]
    for described in (*model.graph.value_info, *model.graph.input, *model.graph.output, *model.graph.initializer):
        del described.metadata_props[:]
    del model.graph.metadata_props[:]
    return model
