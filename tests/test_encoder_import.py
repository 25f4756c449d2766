"""Wrapping other people's ONNX networks, in all precisions, on small ones made here and on real ones where present."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Cli, draw

from morphoindex.errors import EncoderInvalid, ParityError, UsageError
from morphoindex.indexer.encoding.encoder import Encoder

onnx = pytest.importorskip("onnx", reason="importing needs the extra `train`")
DATA = Path(os.environ.get("MORPHOINDEX_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
SIDE = 24


def network(
    path: Path,
    *,
    batch: object = "N",
    channels: int = 3,
    last: bool = False,
    sides: tuple[object, object] = (SIDE, SIDE),
    outputs: tuple[str, ...] = ("features",),
    loud: float = 1.0,
    layers: int = 3,
    bad: float | None = None,
    element: int = 1,
    opset: int = 17,
) -> Path:
    """A convolutional network with random weights: `features` [N, 16], `maps` [N, 16, h, w], `logits` [N, 5].

    `loud` multiplies some channels of the first layer, and divides them again in the second.
    """
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    number = {TensorProto.FLOAT: np.float32, TensorProto.FLOAT16: np.float16}.get(element, np.float32)
    constants, nodes, current, width = {}, [], "input", channels
    if last:
        nodes.append(helper.make_node("Transpose", ["input"], ["turned"], perm=[0, 3, 1, 2]))
        current = "turned"
    for layer in range(layers):
        weights = rng.normal(0, (2 / (9 * width)) ** 0.5, (16, width, 3, 3))
        if layer == 0:
            weights[:4] *= loud
        if layer == 1:
            weights[:, :4] /= loud
        constants[f"w{layer}"] = weights
        nodes += [
            helper.make_node("Conv", [current, f"w{layer}"], [f"c{layer}"], pads=[1] * 4, strides=[2 - layer % 2] * 2),
            helper.make_node("Relu", [f"c{layer}"], [f"r{layer}"]),
        ]
        current, width = f"r{layer}", 16
    constants["head"] = rng.normal(0, 0.3, (16, 5))
    if bad is not None:
        constants["bad"] = np.array([bad])
        nodes.append(helper.make_node("Div", [current, "bad"], ["broken"]))
        current = "broken"
    nodes += [
        helper.make_node("Identity", [current], ["maps"]),
        helper.make_node("GlobalAveragePool", ["maps"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["features"]),
        helper.make_node("MatMul", ["features", "head"], ["logits"]),
    ]
    shapes = {"features": [batch, 16], "logits": [batch, 5], "maps": [batch, 16, "h", "w"]}
    shape = [batch, *sides, channels] if last else [batch, channels, *sides]
    graph = helper.make_graph(
        nodes, "network",
        [helper.make_tensor_value_info("input", element, shape)],
        [helper.make_tensor_value_info(name, element, shapes[name]) for name in outputs],
        [numpy_helper.from_array(value.astype(number), name) for name, value in constants.items()],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8), path)
    return path


def wrapped(path: Path, to: Path, precision: Any = "fp32", photographs: Any = None, **options: Any) -> Any:
    from morphoindex.exporters.contract import EncoderRecord
    from morphoindex.exporters.foreign import load_foreign
    from morphoindex.exporters.making import make_encoder

    material = load_foreign(path, (128.0, 120.0, 110.0), (64.0, 60.0, 50.0), **options)
    return make_encoder(material, EncoderRecord(to.stem, path.name), to, precision, photographs)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hundred and thirty photographs of thirteen kinds, and a file that is none."""
    folder = tmp_path_factory.mktemp("photographs")
    for number in range(130):
        draw(folder / f"{number}.png", number % 13, number, size=48)
    (folder / "broken.jpg").write_bytes(b"no picture")
    return folder


@pytest.fixture(scope="module")
def photographs(folder: Path) -> list[np.ndarray]:
    from morphoindex.exporters.judging import own_photographs

    return own_photographs(folder)


@pytest.mark.parametrize(
    "options",
    [{}, {"last": True}, {"sides": ("h", "w")}, {"opset": 11}, {"element": 10}],
    ids=["NCHW", "NHWC", "any size", "old opset", "halves"],
)
def test_an_import_gives_what_the_network_gives(tmp_path: Path, options: dict[str, Any]) -> None:
    import onnxruntime

    path = network(tmp_path / "n.onnx", **options)
    made = wrapped(path, tmp_path / "e.onnx", size=SIDE, fit="letterbox", resampling="box")
    assert (made.encoder.fit, made.encoder.resampling, made.encoder.dim) == ("letterbox", "box", 16)
    pixels = np.random.default_rng(0).integers(0, 256, (5, SIDE, SIDE, 3), np.uint8)
    fed = ((pixels - np.array([128, 120, 110])) / np.array([64, 60, 50])).astype(np.float32)
    if not options.get("last"):
        fed = fed.transpose(0, 3, 1, 2)
    session = onnxruntime.InferenceSession(path)
    (features,) = session.run(None, {"input": fed.astype(np.float16) if "element" in options else fed})
    expected = features / np.linalg.norm(features.astype(np.float32), axis=1, keepdims=True)
    tolerance = 2e-3 if "element" in options else 1e-5
    assert Encoder(tmp_path / "e.onnx").embed(pixels)[0] == pytest.approx(expected, abs=tolerance)


def test_of_several_outputs_one_is_chosen_and_the_rest_is_left_out(tmp_path: Path) -> None:
    path = network(tmp_path / "n.onnx", outputs=("logits", "features"))
    with pytest.raises(UsageError, match=r"2 outputs \(logits, features\): say which with --output"):
        wrapped(path, tmp_path / "e.onnx")
    with pytest.raises(UsageError, match="no output 'embedding'; it has logits, features"):
        wrapped(path, tmp_path / "e.onnx", output="embedding")
    assert wrapped(path, tmp_path / "e.onnx", output="features").encoder.dim == 16
    assert not any(tensor.name.endswith("head") for tensor in onnx.load(tmp_path / "e.onnx").graph.initializer)
    assert wrapped(path, tmp_path / "pooled.onnx", output="pooled").encoder.dim == 16  # a value inside
    assert not list(tmp_path.glob(".morphoindex-*"))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"batch": 1}, "a fixed batch size of 1"),
        ({"channels": 1}, r"takes \[0, 1, 24, 24\], not"),
        ({"outputs": ("maps",)}, "not a vector each"),
        ({"bad": 0.0}, "gives NaN or infinity for 7 of 7 pictures: nothing is kept"),
    ],
)
def test_networks_that_cannot_become_encoders(tmp_path: Path, options: dict[str, Any], says: str) -> None:
    path = network(tmp_path / "n.onnx", **options)
    with pytest.raises(EncoderInvalid, match=says):
        wrapped(path, tmp_path / "out" / "e.onnx")
    assert not (tmp_path / "out").exists() or list((tmp_path / "out").iterdir()) == []


def test_what_is_not_onnx_is_refused(tmp_path: Path) -> None:
    (tmp_path / "n.onnx").write_text("no network")
    with pytest.raises(EncoderInvalid, match=r"n\.onnx is not an ONNX file"):
        wrapped(tmp_path / "n.onnx", tmp_path / "e.onnx")


def test_the_size_has_to_be_one_that_it_takes(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="takes 24 × 24 pixels and no others"):
        wrapped(network(tmp_path / "n.onnx"), tmp_path / "e.onnx", size=32)
    with pytest.raises(UsageError, match="of any size: choose one with --size"):
        wrapped(network(tmp_path / "n.onnx", sides=("h", "w")), tmp_path / "e.onnx")


def test_fp16(tmp_path: Path) -> None:
    made = wrapped(network(tmp_path / "n.onnx"), tmp_path / "e.onnx", "fp16")
    assert made.least_cosine >= 0.999
    stored = {tensor.name: tensor.data_type for tensor in onnx.load(tmp_path / "e.onnx").graph.initializer}
    assert stored["network/w0"] == onnx.TensorProto.FLOAT16
    with pytest.raises(UsageError, match="in fp16 already"):
        wrapped(network(tmp_path / "h.onnx", element=10), tmp_path / "f.onnx", "int8", [np.zeros((9, 9, 3), np.uint8)])


@pytest.mark.parametrize(("loud", "held_back"), [(1.0, 0), (3000.0, 4)])
def test_int8(tmp_path: Path, photographs: list[np.ndarray], loud: float, held_back: int) -> None:
    """Where a few channels of the first layer are so loud that the others drown in 8 bits, it stays in fp32."""
    made = wrapped(network(tmp_path / "n.onnx", loud=loud, layers=8), tmp_path / "e.onnx", "int8", photographs)
    assert made.images == 65
    assert made.least_cosine >= 0.995
    assert made.quantised.held_back == held_back
    assert 0.5 < made.quantised.neighbours_kept <= 1
    assert made.quantised.times_as_fast > 0
    quantised = [node for node in onnx.load(tmp_path / "e.onnx").graph.node if node.op_type == "QuantizeLinear"]
    assert quantised
    assert not {"network/pooled", "network/features"} & {name for node in quantised for name in node.input}


def test_a_file_of_which_most_is_not_in_int8_is_not_called_so(tmp_path: Path, photographs: list[np.ndarray]) -> None:
    with pytest.raises(ParityError, match="nothing is kept"):  # holding back four of six layers would do
        wrapped(network(tmp_path / "n.onnx", loud=3000, layers=6), tmp_path / "e.onnx", "int8", photographs)


def test_int8_that_costs_too_much_keeps_nothing(
    tmp_path: Path, photographs: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    from morphoindex.exporters import making

    monkeypatch.setattr(making, "HELD_BACK", (0,))
    with pytest.raises(ParityError, match=r"the int8 file is 0\.\d+, below 0\.995, over 65 images: nothing is kept"):
        wrapped(network(tmp_path / "n.onnx", loud=3000), tmp_path / "out" / "e.onnx", "int8", photographs)
    assert list((tmp_path / "out").iterdir()) == []


def test_int8_needs_photographs(tmp_path: Path, folder: Path) -> None:
    from morphoindex.exporters.judging import own_photographs

    with pytest.raises(UsageError, match="give --calibrate FOLDER"):
        wrapped(network(tmp_path / "n.onnx"), tmp_path / "e.onnx", "int8")
    draw(tmp_path / "few" / "0.png", 0)
    with pytest.raises(UsageError, match="has 1 readable photographs: calibration takes 64"):
        own_photographs(tmp_path / "few")


def test_the_command_line(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from morphoindex.cli.main import run

    cli = Cli(tmp_path)
    network(tmp_path / "My Network.onnx", outputs=("logits", "features"))
    usual = ["encoder", "import", "My Network.onnx", "--std", "0.25", "--output", "features"]
    answer = cli.json(*usual, "--mean", "0.5,0.47,0.43", "--licence", "CC0-1.0", "--fit", "crop")
    assert answer["file"] == "my-network-24.onnx"
    assert answer["encoder"]["fit"] == "crop"
    cli("init", "--encoder", "my-network-24.onnx")
    cli("add", "photos")
    assert cli.json("search", "photos/kind0/0.png", "-k", "1")["hits"][0]["score"] > 0.999
    monkeypatch.chdir(tmp_path)
    for arguments in (["encoder", "check", "my-network-24.onnx"], [*usual, "--mean", "0.5", "--to", "b.onnx"]):
        with pytest.raises(SystemExit, match=r"^0$"):
            run(arguments)
    assert "wrote b.onnx: 16 dimensions, 24×24 pixels (squash, bicubic), fp32" in capsys.readouterr().out
    for wrong, says in {
        ("--mean", "128"): "beyond 0..1: give --range 255",
        ("--mean", "a,b,c"): "not one number, or three with commas",
        ("--mean", "0.5", "--precision", "int8"): "give --calibrate FOLDER",
        ("--mean", "0.5", "--to", "photos"): "cannot be written",
    }.items():
        with pytest.raises(SystemExit, match=r"^2$"):
            run([*usual, *wrong])
        said = capsys.readouterr().err
        assert says in said
        assert said.count("\n") == 1
    assert not list(tmp_path.glob(".morphoindex-*"))


def test_without_the_extra_one_sentence_says_what_to_install(tmp_path: Path) -> None:
    import subprocess
    import sys

    network(tmp_path / "n.onnx")
    for package, command in {"onnx": ["import", "n.onnx", "--mean", "0", "--std", "1"],
                             "torch": ["export", "dino", "--from", "n"]}.items():  # fmt: skip
        program = (
            f"import sys; sys.modules[{package!r}] = None\n"
            f"from morphoindex.cli.main import run\nrun(['encoder', *{command!r}])"
        )
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 2
        assert done.stderr.startswith(
            f"morphoindex: {package} is not installed: `pip install -c constraints.txt '.[train]'`"
        )
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("name", ["inat_insect", "imagenet"])
def test_real_networks(tmp_path: Path, name: str) -> None:
    path = DATA / "encoders" / f"{name}_mobilenet_v2.onnx"
    if not path.is_file():
        pytest.skip("the real encoders are not here")
    import onnxruntime

    from morphoindex.exporters.contract import EncoderRecord
    from morphoindex.exporters.foreign import load_foreign
    from morphoindex.exporters.making import make_encoder

    material = load_foreign(path, (128.0,) * 3, (128.0,) * 3, output="embedding")
    made = make_encoder(material, EncoderRecord(name, path.name), tmp_path / "e.onnx")
    assert made.least_cosine >= 0.9999
    pixels = np.random.default_rng(0).integers(0, 256, (3, 224, 224, 3), np.uint8)
    fed = ((pixels.astype(np.float32) - 128) / 128).transpose(0, 3, 1, 2)
    (features,) = onnxruntime.InferenceSession(path).run(["embedding"], {"input": fed})
    expected = features / np.linalg.norm(features, axis=1, keepdims=True)
    assert Encoder(tmp_path / "e.onnx").embed(pixels)[0] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"size": 224, "resample": 2}, (224, "squash", "bilinear", 0)),
        ({"size": {"height": 96, "width": 96}, "resample": 3}, (96, "squash", "bicubic", 0)),
        ({"size": {"shortest_edge": 256}, "do_center_crop": True, "crop_size": 224, "resample": 3},
         (224, "crop", "bicubic", 16)),
        ({"feature_extractor_type": "ConvNextFeatureExtractor", "size": 224, "crop_pct": 0.875, "resample": 3},
         (224, "crop", "bicubic", 16)),
        ({"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 384}, "resample": 1},
         (384, "squash", "lanczos", 0)),
    ],
)  # fmt: skip
def test_processors_are_read(settings: dict[str, Any], expected: tuple[object, ...]) -> None:
    from morphoindex.exporters.preparation import read_processor

    read = read_processor({**settings, "image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.2, 0.1]})
    assert (read.height, read.fit, read.resampling, read.margin) == expected
    assert read.mean == pytest.approx((127.5, 102, 76.5))
    assert read.deviation == pytest.approx((51, 51, 25.5))
    unscaled = read_processor({**settings, "do_rescale": False, "image_mean": [128] * 3, "image_std": [64] * 3})
    assert (unscaled.mean, unscaled.deviation) == ((128,) * 3, (64,) * 3)
