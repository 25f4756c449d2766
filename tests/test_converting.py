"""Encoder files in fewer bits: of the built-in one, and of small networks in all arrangements."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from conftest import Cli, draw

from morphoindex.indexer.encoding.encoder import DEFAULT, Encoder, find_encoder

onnx = pytest.importorskip("onnx", reason="converting needs the extra `train`")


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    for number in range(130):
        draw(tmp_path / "drawn" / f"{number}.png", kind=number % 13, individual=number)
    return tmp_path / "drawn"


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("margin", [0, 4])
def test_taking_a_network_out_of_a_file_is_the_inverse_of_wrapping_it(
    tmp_path: Path, channels_last: bool, margin: int
) -> None:
    from test_encoder_import import SIDE, network

    from morphoindex.exporters.contract import EncoderRecord, FloatNetwork, unwrap, wrap
    from morphoindex.exporters.preparation import Preparation

    model = onnx.load(network(tmp_path / "n.onnx", last=channels_last, sides=(SIDE, SIDE + 2)))
    preparation = Preparation(SIDE, SIDE + 2, "crop", "bilinear", margin, (120.0, 110.5, 90.0), (50.0, 60.0, 70.0))
    record = EncoderRecord("n", "here", "CC0", "drawings", "3")
    whole = wrap(FloatNetwork(model, "input", "features", 16, channels_last), preparation, record)
    inner, found, stated = unwrap(whole)
    assert (found, stated, inner.dim, inner.channels_last) == (preparation, record, 16, channels_last)
    for number, one in enumerate((whole, wrap(inner, found, stated))):
        onnx.save(one, tmp_path / f"{number}.onnx")
    first, again = (Encoder(tmp_path / f"{number}.onnx") for number in range(2))
    pixels = np.random.default_rng(0).integers(0, 256, (5, *preparation.canvas, 3), np.uint8)
    assert again.embed(pixels)[0] == pytest.approx(first.embed(pixels)[0], abs=1e-6)


def test_the_built_in_encoder_in_eight_bits(cli: Cli, tmp_path: Path, drawn: Path) -> None:
    arguments = ("encoder", "convert", DEFAULT, "--precision", "int8", "--calibrate", str(drawn), "--name", "small")
    made = cli.json(*arguments)
    assert made["least_cosine"] >= 0.995
    assert made["quantised"]["neighbours_kept"] > 0.8
    small, whole = Encoder(tmp_path / "small.onnx"), Encoder(find_encoder(DEFAULT))
    assert small.info.name == "small"
    for stated in ("licence", "training_data", "source", "version"):
        assert small.info.about[stated] == whole.info.about[stated]
    assert (tmp_path / "small.onnx").stat().st_size < find_encoder(DEFAULT).stat().st_size / 2
    assert cli("encoder", "check", "small.onnx").stdout.count("good") == 6


def test_fp16_needs_no_photographs(cli: Cli, tmp_path: Path) -> None:
    assert cli.json("encoder", "convert", DEFAULT, "--precision", "fp16")["least_cosine"] > 0.999
    assert Encoder(tmp_path / f"{DEFAULT}-fp16.onnx").info.name == f"{DEFAULT}-fp16"


def test_what_cannot_be_converted(cli: Cli, tmp_path: Path) -> None:
    cli("encoder", "convert", DEFAULT, "--precision", "fp16", "--to", "half.onnx")
    cli("encoder", "join", DEFAULT, "--mirror", "--to", "joined.onnx")
    unsaid = onnx.load(find_encoder(DEFAULT))
    unsaid.metadata_props.pop(next(n for n, each in enumerate(unsaid.metadata_props) if each.key.endswith("fit")))
    onnx.save(unsaid, tmp_path / "unsaid.onnx")
    (tmp_path / "text.onnx").write_text("no network")
    for encoder, precision, says in (
        (f"{DEFAULT}-int8", "fp16", "insect-128-int8 is in int8 already: convert the same in fp32"),
        ("half.onnx", "int8", "insect-128-fp16 is in fp16 already"),
        ("joined.onnx", "int8", "insect-128-mirrored: it was not made of one network: convert what it was made of"),
        ("unsaid.onnx", "fp16", "insect-128: it does not say its name, fit and resampling"),
        (DEFAULT, "int8", "give --calibrate FOLDER"),
        ("text.onnx", "int8", "is not an ONNX file"),
        ("nothing", "int8", "no encoder 'nothing'"),
    ):
        failed = cli("encoder", "convert", encoder, "--precision", precision, "--to", "out/made.onnx", code=2)
        assert re.search(says, failed.stderr), failed.stderr
    assert not (tmp_path / "out").exists()
