"""Whether a file keeps the contract: one encoder for each way to break it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from conftest import Cli
from onnx import TensorProto, helper, numpy_helper
from tiny_encoder import SIDE, Failing, write_encoder

from morphoindex.exporters.conformance import findings
from morphoindex.indexer.encoding.encoder import DEFAULT, Encoder, find_encoder


def write(path: Path, nodes: list[onnx.NodeProto]) -> Path:
    """An encoder of nodes from `flat`, the pixels as floats [N, 108], to `raw`, which is brought to unit length."""
    whole = [
        helper.make_node("Cast", ["pixels"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["floats"], ["flat"]),
        *nodes,
        helper.make_node("LpNormalization", ["raw"], ["embedding"], axis=1, p=2),
    ]
    graph = helper.make_graph(
        whole, "tiny",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["n", SIDE, SIDE, 3])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", SIDE * SIDE * 3])],
        [numpy_helper.from_array(np.array([1, -1]), "one_row")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    helper.set_model_props(model, {f"morphoindex.{key}": "squash" for key in ("name", "fit")})
    model.metadata_props.add(key="morphoindex.resampling", value="bicubic")
    onnx.save(model, path)
    return path


def wrong(path: Path) -> dict[str, str]:
    return {finding.what: finding.wrong for finding in findings(Encoder(path)) if finding.wrong}


def test_the_default_encoder_is_good() -> None:
    assert wrong(find_encoder(DEFAULT)) == {}
    assert len(list(findings(Encoder(find_encoder(DEFAULT))))) == 6


@pytest.mark.parametrize(
    ("failing", "what", "says"),
    [
        ("nan", "finite", "gives NaN or infinity for 1 of 7 pictures"),  # the black one
        ("long", "unit length", "gives vectors of length 2, not 1"),
    ],
)
def test_vectors_that_are_wrong(tmp_path: Path, failing: Failing, what: str, says: str) -> None:
    found = wrong(write_encoder(tmp_path / "e.onnx", failing))
    assert found.pop(what) == says
    assert found == {"metadata": "does not say its fit, resampling (metadata `morphoindex.*`)"}


@pytest.mark.parametrize(
    ("nodes", "what", "says"),
    [
        ([("Identity", ["flat"], {})], None, ""),
        ([("ReduceMean", ["flat"], {"axes": [0], "keepdims": 1}), ("Sub", ["flat", 0], {})],
         "one by one as in a batch", "gives other vectors in a batch"),
        ([("RandomUniformLike", ["flat"], {})], "deterministic", "gives other vectors each time"),
        ([("Reshape", ["flat", "one_row"], {})], "any batch size", "gives [1, 756] for 7 pictures, not [7, 108]"),
    ],
    ids=["good", "looks at the others", "random", "batch of one"],
)  # fmt: skip
def test_graphs_that_are_wrong(
    tmp_path: Path, nodes: list[tuple[str, list[object], dict[str, object]]], what: str | None, says: str
) -> None:
    made = []
    for number, (operator, inputs, attributes) in enumerate(nodes):
        names = [name if isinstance(name, str) else f"v{name}" for name in inputs]
        result = "raw" if number == len(nodes) - 1 else f"v{number}"
        made.append(helper.make_node(operator, names, [result], **attributes))
    found = wrong(write(tmp_path / "e.onnx", made))
    if what is None:
        assert found == {}
    else:
        assert found[what].startswith(says)


def test_check_and_bench_on_the_command_line(tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    assert cli("encoder", "check", DEFAULT).stdout.count("good") == 6
    write_encoder(tmp_path / "nan.onnx", "nan")
    answer = cli.json("encoder", "check", "nan.onnx", code=1)
    assert [check["what"] for check in answer["checks"] if check["wrong"]] == ["metadata", "finite"]
    (tmp_path / "text.onnx").write_text("no network")
    assert "text.onnx is not an ONNX file" in cli("encoder", "check", "text.onnx", code=2).stderr
    rates = cli.json("encoder", "bench", DEFAULT)["images_per_second"]
    assert list(rates) == ["1", "16"]
    assert min(rates.values()) > 0
    assert "NoSuch is not there" in cli("encoder", "bench", DEFAULT, "--provider", "NoSuch", code=2).stderr
