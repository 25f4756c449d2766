"""What an encoder looks at: where it is known, that is what is told."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import planted
import pytest
import tiny
from PIL import Image, ImageDraw

from morphoindex.cli.main import run
from morphoindex.errors import EncoderInvalid, UsageError
from morphoindex.indexer.encoding.encoder import built_in_encoders
from morphoindex.indexer.encoding.onnx_graph import read_nodes, with_outputs
from morphoindex.indexer.explaining.finding import look_at
from morphoindex.indexer.explaining.geometry import on_photograph, placement
from morphoindex.indexer.explaining.looking import _in_words
from morphoindex.indexer.photographs.images import fit

RED, GREEN, BLUE, GREY = (210, 30, 30), (30, 200, 40), (30, 40, 220), (110, 110, 110)


def photograph(
    path: Path, size: tuple[int, int], *boxes: tuple[tuple[int, int, int, int], tuple[int, int, int]]
) -> Path:
    """A grey photograph of this width and height with boxes (left, top, right, bottom) in colour."""
    image = Image.new("RGB", size, GREY)
    pen = ImageDraw.Draw(image)
    for box, colour in boxes:
        pen.rectangle(box, colour)
    image.save(path)
    return path


def noise(path: Path, size: tuple[int, int]) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (size[1] // 4, size[0] // 4, 3), np.uint8)
    Image.fromarray(pixels).resize(size, Image.Resampling.NEAREST).save(path)
    return path


def within(one: object, box: tuple[int, int, int, int]) -> bool:
    left, top, right, bottom = box
    return left <= one.x <= right and top <= one.y <= bottom  # type: ignore[attr-defined]


# -- parts that matter ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("fitted", "seen"), [("squash", (0, 96)), ("crop", (24, 72))])
def test_an_encoder_that_sees_one_corner_is_told_to_look_there(
    tmp_path: Path, fitted: str, seen: tuple[int, int]
) -> None:
    planted.corner(tmp_path / "corner.onnx", fitted)
    photo = noise(tmp_path / "p.png", (96, 48))
    (one,) = look_at([photo], str(tmp_path / "corner.onnx")).importance().result.images  # type: ignore[union-attr]
    width = (seen[1] - seen[0]) / 4
    assert within(one, (seen[0], 0, round(seen[0] + width), 12))
    assert one.half_within < 0.1
    assert one.drop > 0.1
    grid = np.array(one.grid, float)
    there = np.flatnonzero(~np.isnan(grid).all(axis=0))
    assert (there.min(), there.max()) == (seen[0] // 6, (seen[1] - 1) // 6)
    inner = grid[:, there]
    assert inner[8:].max() < 0.05  # nothing below
    assert inner[:, len(there) // 2 + 1 :].max() < 0.05  # nor to the right
    assert inner[0, 0] > 0.5


def test_two_photographs_are_alike_by_the_part_that_they_share(tmp_path: Path) -> None:
    encoder = str(planted.colours(tmp_path / "colours.onnx"))
    one = photograph(tmp_path / "a.png", (64, 64), ((4, 20, 20, 36), RED), ((44, 20, 60, 36), GREEN))
    other = photograph(tmp_path / "b.png", (80, 80), ((30, 56, 50, 76), RED), ((30, 4, 50, 24), BLUE))
    explanation = look_at([one, other], encoder).importance()
    result = explanation.result
    a, b = result.images  # type: ignore[union-attr]
    assert within(a, (4, 20, 20, 36))
    assert within(b, (30, 56, 50, 76))
    told = [_in_words(replace(a, drop=drop, gain=gain)) for drop, gain in ((0.0042, 0.1234), (0.0, 0.0021))]
    assert [words.partition("takes off ")[2] for words in told] == [
        "up to 0.0042, adds up to 0.12", "up to 0, adds up to 0.0021",
    ]  # fmt: skip
    assert min(a.drop, a.gain, b.drop, b.gain) > 0.1
    for found, shared, own in ((a, (7, 3), (7, 13)), (b, (13, 8), (3, 8))):
        grid = np.array(found.grid)
        assert grid[shared] > 0.5
        assert grid[own] < -0.3
        assert abs(grid[15, 0]) < 0.1  # plain grey does neither
    # red in the picture for what is shared, blue for what is not; grey stays grey
    left, right = (explanation.picture.getpixel((16 + x * 360 // 64, 46 + 388 + 28 * 360 // 64)) for x in (12, 52))
    assert left[0] > left[2] + 60  # type: ignore[index]
    assert right[2] > right[0] + 60  # type: ignore[index]
    assert result.cosine == pytest.approx(0.5, abs=0.1)  # type: ignore[union-attr]


def test_photographs_of_one_name_are_called_by_their_folders(tmp_path: Path) -> None:
    planted.colours(tmp_path / "colours.onnx")
    files = []
    for left, name in enumerate(("trap1/a.png", "trap2/a.png", "trap2/b.png")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        files.append(photograph(tmp_path / name, (64, 64), ((left, 20, 20, 36), RED), ((44, 20, 60, 36), GREEN)))
    for pair, called in ((files[:2], ["trap1/a.png", "trap2/a.png"]), (files[::2], ["a.png", "b.png"])):
        look = look_at(pair, str(tmp_path / "colours.onnx"))
        assert [look._caption(one) for one in look._shown] == called


def test_what_cannot_be_explained_is_said(tmp_path: Path) -> None:
    encoder = str(planted.colours(tmp_path / "colours.onnx"))
    plain = photograph(tmp_path / "plain.png", (40, 40))
    one = photograph(tmp_path / "one.png", (40, 40), ((5, 5, 20, 20), RED))
    with pytest.raises(UsageError, match=r"plain\.png: no part of it matters more than another, it is of one colour"):
        look_at([plain], encoder).importance()
    (tmp_path / "twin.png").write_bytes(one.read_bytes())
    with pytest.raises(UsageError, match="are the same photograph: give one of them alone"):
        look_at([one, tmp_path / "twin.png"], encoder)
    with pytest.raises(UsageError, match="3 images: one, or two"):
        look_at([one, plain, one], encoder)
    with pytest.raises(UsageError, match="--attention looks at one image"):
        look_at([one, plain], encoder).attention()


def test_a_map_lies_on_the_photograph_where_it_was_seen() -> None:
    for size, mode in (((60, 90), "crop"), ((90, 60), "letterbox"), ((50, 70), "squash"), ((41, 40), "crop")):
        pixels = np.zeros((*size, 3), np.uint8)
        y, x = size[0] // 2 - 7, size[1] // 2 + 5
        pixels[y : y + 3, x : x + 3] = 255
        seen = fit(pixels, (64, 48), mode, "bilinear")[..., 0].astype(np.float64)  # type: ignore[arg-type]
        if mode == "letterbox":
            seen[seen == 255] = 0  # paper
        back = on_photograph(seen, placement(size, (64, 48), mode), size)  # type: ignore[arg-type]
        weights = np.nan_to_num(back)
        middle = [(weights.sum(axis=1 - axis) @ (np.arange(size[axis]) + 0.5)) / weights.sum() for axis in (0, 1)]
        assert middle == pytest.approx([y + 1.5, x + 1.5], abs=0.15)
        assert np.isnan(back).any() == (mode == "crop")


# -- layers, attention ----------------------------------------------------------------------------------------------


def test_a_sheet_shows_the_maps_of_a_layer(tmp_path: Path) -> None:
    encoder = str(planted.colours(tmp_path / "colours.onnx"))
    photo = photograph(tmp_path / "p.png", (64, 64), ((0, 0, 31, 31), RED), ((32, 32, 63, 63), BLUE))
    look = look_at([photo], encoder)
    assert [(layer.name, layer.channels, layer.rows) for layer in look.list_layers().layers] == [
        ("differences", 3, 32), ("amounts", 3, 32)
    ]  # fmt: skip
    explanation = look.layers(["amounts"])
    assert explanation.result.shown == (3,)  # type: ignore[union-attr]
    bright = [
        [explanation.picture.getpixel((16 + 80 * n + x, 46 + y))[0] > 200 for x, y in ((18, 18), (54, 54))]  # type: ignore[index]
        for n in (1, 2, 3)
    ]
    assert bright == [[True, False], [False, False], [False, True]]  # red, green (nothing), blue
    with pytest.raises(UsageError, match="colours has no layer 'amount'; the nearest are amounts, layout; `"):
        look.layers(["amount"])
    with pytest.raises(UsageError, match="features of colours has no maps, it is 3 for a photograph"):
        look.layers(["amounts", "features"])
    with pytest.raises(UsageError, match="colours has no attention from a CLS token to patches"):
        look.attention()


def test_attention_is_where_it_was_planted(tmp_path: Path) -> None:
    encoder = str(planted.attending(tmp_path / "attending.onnx"))
    photo = photograph(
        tmp_path / "p.png", (120, 64), ((64, 12, 71, 19), (255, 255, 255)), ((40, 44, 47, 51), (0, 0, 0))
    )
    look = look_at([photo], encoder)  # sees the middle 64 × 64, the network without a margin of 4
    found = look._inside.attention()
    assert found.heads.shape == (2, 7, 7)
    # of the photograph, x = 28 + 2 * (2 + 4 * column) .. and y = 2 * (2 + 4 * row) ..
    assert [np.unravel_index(head.argmax(), head.shape) for head in found.heads] == [(1, 4), (5, 1)]
    result = look.attention().result
    assert within(result, (64, 12, 71, 19))
    grid = np.array(result.grid, float)  # type: ignore[union-attr]
    assert np.isnan(grid[:, :4]).all()  # cropped away
    assert np.isnan(grid[0]).all()  # margin
    assert np.unravel_index(np.nanargmax(grid), grid.shape) == (3, 9)
    assert sum(result.to_patches) < 2  # type: ignore[union-attr]
    assert [layer.name for layer in look.list_layers().layers] == ["cut", "tokens"]


# -- the file -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(built_in_encoders()))
def test_the_graph_is_read_and_extended_as_onnx_does(name: str) -> None:
    content = built_in_encoders()[name].read_bytes()
    model = onnx.load_from_string(content)
    nodes = read_nodes(content)
    assert [(n.operator, n.inputs, n.outputs) for n in nodes] == [
        (n.op_type, tuple(n.input), tuple(n.output)) for n in model.graph.node
    ]
    wanted = [n.outputs[0] for n in nodes if n.operator == "Conv"][-2:]
    longer = with_outputs(content, wanted)
    model.graph.output.extend(onnx.ValueInfoProto(name=one) for one in wanted)
    assert onnx.load_from_string(longer) == model
    side = model.graph.input[0].type.tensor_type.shape.dim[1].dim_value
    pixels = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), np.uint8)
    session = onnxruntime.InferenceSession(longer, providers=["CPUExecutionProvider"])
    assert [output.name for output in session.get_outputs()] == ["embedding", *wanted]
    assert all(value.ndim == 4 for value in session.run(wanted, {"pixels": pixels}))


def test_what_is_no_graph_is_refused() -> None:
    content = next(iter(built_in_encoders().values())).read_bytes()
    for damaged in (content[: len(content) // 2], b"\x3a\xff\xff\xff\xff", b"<html>", b"\x0d\x01", b"\x09\x01"):
        with pytest.raises(EncoderInvalid, match="not an ONNX file"):
            read_nodes(damaged)
    assert read_nodes(b"") == ()
    assert read_nodes(b"\x08" + b"\xff" * 9 + b"\x01" + b"\x0d" + bytes(4) + b"\x09" + bytes(8)) == ()
    with pytest.raises(EncoderInvalid) as refused:
        read_nodes(b"\x08" + b"\xff" * 10_000 + b"\0")
    assert str(refused.value.__cause__) == "a number of more than 10 bytes"


# -- the command ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photographs, an index with a planted encoder, and one of bare vectors."""
    folder = tmp_path_factory.mktemp("place")
    planted.colours(folder / "colours.onnx")
    photograph(folder / "a.png", (64, 64), ((4, 20, 20, 36), RED), ((44, 20, 60, 36), GREEN))
    photograph(folder / "b.png", (64, 64), ((4, 4, 20, 20), RED))
    photograph(folder / "moved.png", (64, 64), ((8, 8, 30, 30), GREEN))
    cli = tiny.Cli(folder)
    cli("add", "a.png", "b.png", "moved.png", "--encoder", "colours.onnx", "-q")
    (folder / "moved.png").unlink()
    np.savez(folder / "v.npz", ids=["x1", "x2"], embeddings=np.eye(2, 3, dtype=np.float32))
    cli("--index", "bare", "add", "--embeddings", "v.npz", "-q")
    (folder / "colours.onnx").unlink()  # the index has its own
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    return folder


def test_the_command_answers_by_file_and_by_id(place: Path) -> None:
    cli = tiny.Cli(place)
    answer = cli.json("explain", "a.png")
    assert answer["file"] == "a-importance.png"
    assert answer["encoder"] == "colours"
    with Image.open(place / "a-importance.png") as picture:
        assert picture.format == "PNG"
    made = json.loads((place / "a-importance.png.provenance.json").read_text("utf-8"))
    assert made["encoder"]["fingerprint"] == answer["fingerprint"]
    assert made["command"] == "explain (importance)"
    assert "a-importance.png is there already: --out FILE" in cli("explain", "a.png", code=2).stderr
    (place / "other").mkdir()
    photograph(place / "other/a.png", (64, 64), ((4, 20, 20, 36), RED), ((44, 40, 60, 60), GREEN))
    second = cli.json("explain", "other/a.png")["file"]
    assert re.fullmatch(r"a-importance-[0-9a-f]{8}\.png", second)
    assert f"{second} is there already" in cli("explain", "other/a.png", code=2).stderr
    (hit,) = cli.json("search", "b.png", "-k", "1")["hits"]
    alike = cli.json("explain", "a.png", hit["id"][:10], "--out", "two.png")
    assert [Path(image["path"]).name for image in alike["images"]] == ["a.png", "b.png"]
    assert 0.5 < alike["cosine"] < 0.9
    said = cli("explain", "a.png", "b.png").stdout
    assert "By colours their cosine is 0.7" in said
    assert "Wrote a-and-b-alike.png." in said
    other = cli("explain", hit["id"], "--encoder", "insect-128", "--layers", "relu_1", "--out", "l.png").stdout
    assert "network/relu_1  Relu" in other
    assert "amounts" in cli("explain", "a.png", "--encoder", "colours", "--layers", "list").stdout


def test_the_command_needs_no_index(tmp_path: Path) -> None:
    photograph(tmp_path / "a.png", (64, 64), ((4, 20, 20, 36), RED), ((40, 8, 60, 20), BLUE))
    planted.colours(tmp_path / "colours.onnx")
    cli = tiny.Cli(tmp_path)
    (one,) = cli.json("explain", "a.png", "--encoder", "colours.onnx")["images"]
    assert (one["image"], one["width"]) == ("a.png", 64)
    assert cli.json("explain", "a.png", "--layers", "list")["encoder"] == "insect-128"
    assert "c0ffee is neither a file nor a specimen of an index here" in cli("explain", "c0ffee", code=2).stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["broken.png"], "broken.png: cut off or damaged"),
        (["nowhere.png"], "nowhere.png is neither a file nor a specimen"),
        (["."], ". is a folder: explain takes one image, or two"),
        (["c0ffee"], "neither a specimen of this index nor a file"),
        (["moved.png"], "none of its files is where it was"),
        (["a.png", "--encoder", "none"], "no encoder 'none'"),
        (["a.png", "--out", "o.jpg"], "o.jpg does not end in .png"),
        (["a.png", "--out", "a.png"], "a.png is the photograph itself"),
        (["a.png", "--out", "missing/o.png"], "there is no folder missing"),
        (["a.png", "--layers", "conv7", "--out", "o.png"], "colours has no layer 'conv7'"),
        (["a.png", "--attention", "--out", "o.png"], "colours has no attention"),
        (["a.png", "--attention", "--layers", "list"], "one of the two"),
        (["a.png", "a.png"], "are the same photograph"),
        (["--index", "bare", "a.png"], "made elsewhere (external), by an encoder that it does not have"),
        (["--index", "bare", "x1", "--encoder", "insect-128"], "none of its files is where it was"),
    ],
)
def test_bad_input_gets_a_sentence_and_leaves_nothing(
    place: Path, arguments: list[str], words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    before = sorted(place.iterdir())
    content = (place / "a.png").read_bytes()
    with pytest.raises(SystemExit, match="2"):
        run(["explain", *arguments])
    assert words in capsys.readouterr().err
    assert sorted(place.iterdir()) == before
    assert (place / "a.png").read_bytes() == content
