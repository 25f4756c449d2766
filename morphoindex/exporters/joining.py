"""Several encoders as one, and pictures looked at from both sides: finer vectors, at the price of all passes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnx.inliner
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from morphoindex.errors import EncoderInvalid, UsageError
from morphoindex.exporters.contract import (
    UNIT_CONSTANTS,
    EncoderRecord,
    checked,
    set_metadata,
    to_unit_length,
)
from morphoindex.exporters.judging import Floats, Pixels, from_both_sides, in_batches
from morphoindex.exporters.keeping import Kept, keep
from morphoindex.indexer.encoding.encoder import Encoder, EncoderInfo

_BOTH = "both"  # pictures, and their mirror images after them
_BACKWARDS = {
    "from": np.array([-1]), "to": np.array([np.iinfo(np.int64).min]), "columns": np.array([2]), "by": np.array([-1])
}  # fmt: skip


def join(files: Sequence[Path], path: Path, name: str, mirror: bool = False) -> Kept:
    """Write an encoder whose vectors are those of others side by side, each for an equal share of the cosine.

    Args:
        files: encoders of the contract, that take the same pixels: one size, fit and filter.
        path: of the file; replaced whole or not at all.
        name: of the encoder.
        mirror: each part gives the direction between its vectors of a picture and of its mirror image.

    Raises:
        UsageError: there is nothing to join, the encoders do not take the same pixels, or the file cannot be written.
        EncoderInvalid: one of them is no encoder, or cannot be put beside the others.
        ParityError: the file gives other vectors than its parts.
    """
    if len(files) < 2 - mirror:
        raise UsageError("there is nothing to join: name two encoders or more, or one with --mirror")
    parts = [Encoder(file, provider="cpu") for file in files]
    first = parts[0].info
    for other in (part.info for part in parts[1:]):
        if (other.height, other.width, other.fit, other.resampling) != (
            first.height, first.width, first.fit, first.resampling
        ):  # fmt: skip
            raise UsageError(
                f"{first.name} takes {_pixels(first)} and {other.name} {_pixels(other)}: export one of them as the "
                "other is, with --size, --fit and --resampling"
            )
    model = _model(files, [part.info for part in parts], name, mirror)

    def apart(pixels: Pixels) -> Floats:
        return np.concatenate([_apart(part, pixels, mirror) for part in parts], axis=1)

    return keep(model, path, apart, "its parts")


def _apart(part: Encoder, pixels: Pixels, mirror: bool) -> Floats:
    def run(images: Pixels) -> Floats:
        return in_batches(part.run, images)

    return from_both_sides(run, pixels) if mirror else run(pixels)


def _model(files: Sequence[Path], infos: Sequence[EncoderInfo], name: str, mirror: bool) -> ModelProto:
    parts = _on_one_version(files)
    nodes = list(_both_sides()) if mirror else []
    stored, sparse, ends = list(_constants(mirror)), [], []
    for number, (part, info) in enumerate(zip(parts, infos, strict=True)):
        graph = _under(part, f"{number}/", _BOTH if mirror else "pixels")
        nodes += graph.node
        stored += graph.initializer
        sparse += graph.sparse_initializer
        ends.append(f"{number}/embedding")
        if mirror:
            shape, pairs, sums, direction = (f"{number}/{step}" for step in ("shape", "pairs", "sums", "direction"))
            stored.append(numpy_helper.from_array(np.array([2, -1, info.dim]), shape))
            nodes += [
                helper.make_node("Reshape", [ends[-1], shape], [pairs], name=pairs),
                helper.make_node("ReduceSum", [pairs, "first"], [sums], name=sums, keepdims=0),
                *to_unit_length(sums, direction),
            ]
            ends[-1] = direction
    nodes += [helper.make_node("Concat", ends, ["all"], name="all", axis=1), *to_unit_length("all", "embedding")]
    graph = helper.make_graph(
        nodes, "encoder",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["N", infos[0].height, infos[0].width, 3])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["N", sum(info.dim for info in infos)])],
        stored, sparse_initializer=sparse,
    )  # fmt: skip
    domains = {entry.domain: entry.version for part in parts for entry in part.opset_import}
    joined = helper.make_model(
        graph, opset_imports=[helper.make_opsetid(*entry) for entry in domains.items()],
        ir_version=max(part.ir_version for part in parts), producer_name="morphoindex", doc_string=name,
    )  # fmt: skip
    set_metadata(joined, infos[0].fit, infos[0].resampling, _record(infos, name, mirror))
    return checked(joined, name)


def _on_one_version(files: Sequence[Path]) -> list[ModelProto]:
    """The models, without functions of their own, all of the newest version of ONNX's operators among them."""
    models = [onnx.inliner.inline_local_functions(onnx.load(file)) for file in files]
    versions = [next(entry.version for entry in model.opset_import if not entry.domain) for model in models]
    newest, converted = max(versions), []
    for file, model, version in zip(files, models, versions, strict=True):
        try:
            converted.append(model if version == newest else onnx.version_converter.convert_version(model, newest))
        except Exception as error:  # of onnx, without a base of its own
            raise EncoderInvalid(f"{file.name} is of opset {version} and cannot be brought to {newest}") from error
    return converted


def _under(model: ModelProto, prefix: str, pixels: str) -> GraphProto:
    """A graph whose names all begin with the prefix, and that takes its pixels from elsewhere."""
    graph = onnx.compose.add_prefix(model, prefix).graph
    for node in graph.node:
        for place, given in enumerate(node.input):
            if given == prefix + "pixels":
                node.input[place] = pixels
    return graph


def _both_sides() -> Iterator[NodeProto]:
    yield helper.make_node("Slice", ["pixels", *_BACKWARDS], ["mirrored"], name="mirrored")
    yield helper.make_node("Concat", ["pixels", "mirrored"], [_BOTH], name=_BOTH, axis=0)


def _constants(mirror: bool) -> Iterator[TensorProto]:
    values = dict(UNIT_CONSTANTS)
    if mirror:
        values |= {"first": np.array([0]), **_BACKWARDS}
    for name, value in values.items():
        yield numpy_helper.from_array(value, name)


def _record(infos: Sequence[EncoderInfo], name: str, mirror: bool) -> EncoderRecord:
    def of_all(key: str) -> str:
        return "; ".join(dict.fromkeys(info.about.get(key, "unstated") for info in infos))

    names = " + ".join(info.name for info in infos)
    source = f"{names}, of a picture and its mirror image" if mirror else names
    return EncoderRecord(name, source, of_all("licence"), of_all("training_data"))


def _pixels(info: EncoderInfo) -> str:
    return f"{info.width} × {info.height} pixels ({info.fit}, {info.resampling})"
