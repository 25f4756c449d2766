"""Several encoders as one file, on small ones and on the built-in ones."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from conftest import Cli

from morphoindex.indexer.encoding.encoder import DEFAULT, Encoder, find_encoder

onnx = pytest.importorskip("onnx", reason="joining needs the extra `train`")
INT8 = f"{DEFAULT}-int8"


def unit(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def picture_batch(number: int, side: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (number, side, side, 3), np.uint8)


def with_opset(source: Path, path: Path, version: int, **metadata: str) -> Path:
    model = onnx.version_converter.convert_version(onnx.load(source), version)
    for key, value in metadata.items():
        model.metadata_props.add(key=f"morphoindex.{key}", value=value)
    onnx.save(model, path)
    return path


def test_cosines_are_the_mean_of_those_of_the_parts(cli: Cli, tmp_path: Path) -> None:
    made = cli.json("encoder", "join", DEFAULT, INT8, "--to", str(tmp_path / "both.onnx"), "--name", "both")
    joined, parts = Encoder(tmp_path / "both.onnx"), [Encoder(find_encoder(name)) for name in (DEFAULT, INT8)]
    assert (made["encoder"]["name"], joined.info.dim) == ("both", 512)
    assert joined.info.about["licence"] == "Apache-2.0"
    pixels = picture_batch(7, 128)
    vectors = joined.embed(pixels)[0]
    expected = np.mean([part.embed(pixels)[0] @ part.embed(pixels)[0].T for part in parts], axis=0)
    assert vectors @ vectors.T == pytest.approx(expected, abs=1e-5)
    assert cli("encoder", "check", str(tmp_path / "both.onnx")).stdout.count("good") == 6


def test_a_picture_and_its_mirror_image_have_the_same_vector(cli: Cli, tmp_path: Path) -> None:
    cli("encoder", "join", DEFAULT, "--mirror", "--to", str(tmp_path / "m.onnx"))
    mirrored, plain = Encoder(tmp_path / "m.onnx"), Encoder(find_encoder(DEFAULT))
    assert mirrored.info.name == f"{DEFAULT}-mirrored"
    pixels = picture_batch(5, 128)
    turned = np.ascontiguousarray(pixels[:, :, ::-1])
    vectors = mirrored.embed(pixels)[0]
    assert vectors == pytest.approx(mirrored.embed(turned)[0], abs=1e-5)
    assert vectors == pytest.approx(unit(plain.embed(pixels)[0] + plain.embed(turned)[0]), abs=1e-5)
    assert vectors[:1] == pytest.approx(mirrored.embed(pixels[:1])[0], abs=1e-5)


def test_parts_of_several_opsets(cli: Cli, tmp_path: Path) -> None:
    newer = with_opset(find_encoder(DEFAULT), tmp_path / "newer.onnx", 21)
    made = cli.json("encoder", "join", str(newer), INT8, "--to", str(tmp_path / "both.onnx"))
    assert made["least_cosine"] > 0.9999


def test_what_cannot_be_joined(cli: Cli, tmp_path: Path) -> None:
    smaller = with_opset(find_encoder(DEFAULT), tmp_path / "other.onnx", 20, fit="crop")
    (tmp_path / "text.onnx").write_text("no network")
    for encoders, says in (
        ([DEFAULT], "there is nothing to join"),
        ([DEFAULT, str(smaller)], r"insect-128 takes 128 × 128 pixels \(squash, bicubic\) and .* \(crop, bicubic\)"),
        ([DEFAULT, str(tmp_path / "text.onnx")], "is not an ONNX file"),
        ([DEFAULT, "nothing"], "no encoder 'nothing'"),
    ):
        failed = cli("encoder", "join", *encoders, "--to", str(tmp_path / "out" / "made.onnx"), code=2)
        assert re.search(says, failed.stderr), failed.stderr
    assert not (tmp_path / "out").exists()
