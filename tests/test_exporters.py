"""Distilling and exporting an encoder, on a teacher and photographs made here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from conftest import draw
from onnx import TensorProto, helper, numpy_helper

from morphoindex.errors import ParityError
from morphoindex.indexer.encoding.encoder import Encoder

if TYPE_CHECKING:
    from morphoindex.exporters.making import Made

torch = pytest.importorskip("torch", reason="training needs the extra `train`")


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A teacher as distillation takes it, float [N, 3, 224, 224]: 24 mixtures of the colours of 8 × 8 patches."""
    path = tmp_path_factory.mktemp("teacher") / "teacher.onnx"
    weights = np.random.default_rng(0).normal(size=(3 * 8 * 8, 24)).astype(np.float32)
    nodes = [
        helper.make_node("AveragePool", ["input"], ["patches"], kernel_shape=[28, 28], strides=[28, 28]),
        helper.make_node("Flatten", ["patches"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["embedding"]),
    ]
    graph = helper.make_graph(
        nodes, "teacher",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 3, 224, 224])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["N", 24])],
        [numpy_helper.from_array(weights, "weights")],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen photographs of four kinds."""
    folder = tmp_path_factory.mktemp("photographs")
    for number in range(16):
        draw(folder / f"{number}.png", number % 4, number)
    return folder


def test_a_distilled_student_is_an_encoder(teacher: Path, photographs: Path, tmp_path: Path) -> None:
    from morphoindex.exporters.training.distil import main

    out = tmp_path / "student.onnx"
    arguments = ["--teacher", teacher, "--images", photographs, "--out", out, "--cache", tmp_path / "cache"]
    settings = [
        "--views",
        "96",
        "--samples",
        "256",
        "--threads",
        "1",
        "--seed",
        "1",
        "--name",
        "student",
        "--licence",
        "CC0-1.0",
    ]
    main([*map(str, arguments), *settings])
    encoder = Encoder(out)
    assert (encoder.info.name, encoder.info.height, encoder.info.width) == ("student", 128, 128)
    assert encoder.info.about["licence"] == "CC0-1.0"
    pixels = np.random.default_rng(0).integers(0, 256, (3, 128, 128, 3), np.uint8)
    vectors, good = encoder.embed(pixels)
    assert good.all()
    assert vectors.shape == (3, encoder.info.dim)


class Colours(torch.nn.Module):  # type: ignore[misc,name-defined]
    """The mean of each colour: a network whose answer is known."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return pixels.mean(dim=(2, 3))


def make(network: object, path: Path, side: int = 32) -> Made:
    from morphoindex.exporters.contract import EncoderRecord
    from morphoindex.exporters.making import make_encoder
    from morphoindex.exporters.onnx_export import from_torch
    from morphoindex.exporters.preparation import Preparation

    record = EncoderRecord(name="colours", source="a test", licence="CC0-1.0", training_data="none", version="7")
    return make_encoder(from_torch(network, Preparation(side, side, "crop", "bilinear")), record, path)


def test_an_export_gives_what_torch_gives(tmp_path: Path) -> None:
    probes = np.random.default_rng(0).integers(0, 256, (64, 32, 32, 3), np.uint8)
    made = make(Colours(), tmp_path / "colours.onnx")
    assert made.images >= 64
    assert made.least_cosine >= 0.9999
    encoder = Encoder(tmp_path / "colours.onnx")
    assert (encoder.info.fit, encoder.info.resampling, encoder.info.about["version"]) == ("crop", "bilinear", "7")
    mean = probes.reshape(64, -1, 3).mean(axis=1)
    assert encoder.embed(probes)[0] == pytest.approx(mean / np.linalg.norm(mean, axis=1, keepdims=True), abs=1e-4)


def test_a_failed_check_keeps_nothing(tmp_path: Path) -> None:
    class Restless(Colours):
        """Another answer at each call, as by dropout that was left on."""

        def __init__(self) -> None:
            super().__init__()
            self.calls = 0

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            return super().forward(pixels) * torch.tensor([1.0, float(self.calls), -3.0])

    with pytest.raises(ParityError, match=r"least cosine between torch and the fp32 file is -?\d\.\d+, below 0\.9999"):
        make(Restless(), tmp_path / "restless.onnx")
    assert list(tmp_path.iterdir()) == []


def test_drawings_for_training_are_the_same_every_time() -> None:
    from morphoindex.exporters import drawings

    species = drawings.drawn_species(7)
    assert species == drawings.drawn_species(7) != drawings.drawn_species(8)
    first, again = (drawings.draw_specimen(species, np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(np.asarray(first), np.asarray(again))
    assert np.asarray(first).std() > 10
