"""The encoder contract, on the built-in encoder and on small ONNX files made here."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from morphoindex.errors import EncoderInvalid, UsageError
from morphoindex.indexer.encoding.encoder import DEFAULT, Encoder, built_in_encoders, find_encoder
from morphoindex.indexer.photographs.images import fit


def make_encoder(
    path: Path, *, divide: bool = True, batch: object = "N", output: str = "embedding", **metadata: str
) -> Path:
    """An encoder of 8 × 8 pixels: the mean of each channel, brought to unit length unless told not to."""
    nodes = [
        helper.make_node("Cast", ["pixels"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float", "axes"], ["mean"], keepdims=0),
    ]
    if divide:
        nodes += [
            helper.make_node("ReduceL2", ["mean", "one"], ["length"], keepdims=1),
            helper.make_node("Div", ["mean", "length"], [output]),
        ]
    else:
        nodes.append(helper.make_node("Identity", ["mean"], [output]))
    graph = helper.make_graph(
        nodes, "mean colour",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, [batch, 8, 8, 3])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, [batch, 3])],
        [numpy_helper.from_array(np.array([1, 2]), "axes"), numpy_helper.from_array(np.array([1]), "one")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, {f"morphoindex.{key}": value for key, value in metadata.items()})
    onnx.save(model, path)
    return path


def test_the_default_encoder_keeps_the_contract() -> None:
    path = find_encoder(DEFAULT)
    encoder = Encoder(path)
    assert path.stat().st_size <= 6_000_000
    assert encoder.info.name == DEFAULT
    assert encoder.info.fingerprint == hashlib.sha256(path.read_bytes()).hexdigest()
    assert {"source", "licence", "training_data"} <= encoder.info.about.keys()
    pixels = np.random.default_rng(0).integers(0, 256, (5, encoder.info.height, encoder.info.width, 3), np.uint8)
    vectors, good = encoder.embed(pixels)
    assert vectors.shape == (5, encoder.info.dim)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(5), abs=1e-5)
    assert good.all()


def test_a_vector_does_not_depend_on_the_batch_it_was_made_in() -> None:
    encoder = Encoder(find_encoder(DEFAULT))
    pixels = np.random.default_rng(1).integers(0, 256, (7, encoder.info.height, encoder.info.width, 3), np.uint8)
    together, _ = encoder.embed(pixels)
    alone = np.concatenate([encoder.embed(pixels[i : i + 1])[0] for i in range(7)])
    assert np.einsum("ij,ij->i", together, alone).min() > 0.99999


def test_metadata_is_read(tmp_path: Path) -> None:
    path = make_encoder(tmp_path / "e.onnx", name="mean", fit="letterbox", resampling="box", licence="CC0")
    encoder = Encoder(path)
    info = encoder.info
    assert (info.name, info.dim, info.height, info.width) == ("mean", 3, 8, 8)
    assert (info.fit, info.resampling, info.about) == ("letterbox", "box", {"licence": "CC0"})
    photo = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    assert np.array_equal(encoder.fit(photo), fit(photo, (8, 8), "letterbox", "box"))


def test_more_than_a_batch(tmp_path: Path) -> None:
    encoder = Encoder(make_encoder(tmp_path / "e.onnx"))
    pixels = np.random.default_rng(0).integers(1, 256, (3 * encoder.batch + 1, 8, 8, 3), np.uint8)
    mean = pixels.reshape(len(pixels), -1, 3).mean(axis=1)
    vectors, _ = encoder.embed(pixels)
    assert vectors == pytest.approx(mean / np.linalg.norm(mean, axis=1, keepdims=True), abs=1e-5)
    assert encoder.embed(pixels[:0])[0].shape == (0, 3)


def test_vectors_that_are_not_finite_are_marked(tmp_path: Path) -> None:
    encoder = Encoder(make_encoder(tmp_path / "e.onnx"))
    pixels = np.stack([np.zeros((8, 8, 3), np.uint8), np.ones((8, 8, 3), np.uint8)])
    assert encoder.embed(pixels)[1].tolist() == [False, True]


def test_vectors_that_are_not_of_unit_length_are_an_error(tmp_path: Path) -> None:
    encoder = Encoder(make_encoder(tmp_path / "e.onnx", divide=False))
    with pytest.raises(EncoderInvalid, match="unit length"):
        encoder.embed(np.full((1, 8, 8, 3), 9, np.uint8))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"batch": 4}, "fixed batch size of 4"),
        ({"output": "features"}, "not an encoder"),
        ({"fit": "stretch"}, "'stretch'"),
    ],
)
def test_other_models_are_refused(tmp_path: Path, options: dict[str, object], says: str) -> None:
    with pytest.raises(EncoderInvalid, match=says):
        Encoder(make_encoder(tmp_path / "e.onnx", **options))  # type: ignore[arg-type]


def test_a_file_that_is_not_onnx_is_refused(tmp_path: Path) -> None:
    (tmp_path / "e.onnx").write_text("no model")
    with pytest.raises(EncoderInvalid, match=r"e\.onnx is not an ONNX file"):
        Encoder(tmp_path / "e.onnx")


def test_names_come_before_paths() -> None:
    assert find_encoder(DEFAULT) == built_in_encoders()[DEFAULT]
    with pytest.raises(UsageError, match=f"built-in name .*{DEFAULT}"):
        find_encoder("nowhere.onnx")


def test_a_provider_that_is_not_there_is_said(tmp_path: Path) -> None:
    path = make_encoder(tmp_path / "e.onnx")
    assert Encoder(path).provider in onnxruntime.get_available_providers()
    with pytest.raises(UsageError, match=r"NoSuchProvider is not there; this onnxruntime has .*CPU"):
        Encoder(path, provider="NoSuchProvider")


@pytest.mark.skipif("CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="there is CUDA here")
def test_cuda_asked_for_and_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_encoder(tmp_path / "e.onnx")
    monkeypatch.setenv("MORPHOINDEX_PROVIDER", "cuda")
    assert Encoder(path, provider="cpu").provider == "CPUExecutionProvider"
    with pytest.raises(UsageError, match=r"CUDAExecutionProvider is not there; .* `pip install .* '\.\[gpu\]'`"):
        Encoder(path)


def test_what_a_file_does_not_say_is_known(tmp_path: Path) -> None:
    assert Encoder(make_encoder(tmp_path / "e.onnx", name="mean")).info.unstated == ("fit", "resampling")
    assert Encoder(find_encoder(DEFAULT)).info.unstated == ()
