"""An encoder learns on from the clusters that it finds in a person's photographs."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Cli, draw

from morphoindex.demo import Collection, draw_collection
from morphoindex.errors import EncoderInvalid, UsageError
from morphoindex.indexer.encoding.encoder import DEFAULT, Encoder, find_encoder

onnx = pytest.importorskip("onnx", reason="learning on needs the extra `train`")
torch = pytest.importorskip("torch", reason="learning on needs the extra `train`")

from test_training import Quiet, is_encoder, read_csv  # noqa: E402

from morphoindex.exporters.training.adapting import Adapting, adapt  # noqa: E402
from morphoindex.exporters.training.loop import TrainingSettings  # noqa: E402
from morphoindex.exporters.training.runs import Order, Trained  # noqa: E402
from morphoindex.exporters.training.trainable import read_trainable  # noqa: E402

SETTINGS = TrainingSettings(6, 16, 1e-4, 0.01, average_decay=0.995)
BUILT_IN = find_encoder(DEFAULT)


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    return draw_collection(tmp_path_factory.mktemp("demo") / "insects", 0, species=4, per_species=12)


@pytest.fixture(scope="module")
def adapted(collection: Collection, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    adapting = Adapting(BUILT_IN, labels=str(collection.folder / "labels.csv"), group="individual")
    order = Order(tmp_path_factory.mktemp("runs") / "adapted", name="ours", training_data="our drawings")
    return adapt([str(collection.folder)], adapting, SETTINGS, order, Quiet())


@pytest.fixture(scope="module")
def transformer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small DINOv3 as an encoder file."""
    import transformers

    from morphoindex.exporters.contract import EncoderRecord
    from morphoindex.exporters.dino import load_dino
    from morphoindex.exporters.making import make_encoder

    folder = tmp_path_factory.mktemp("dino")
    torch.manual_seed(0)
    config = transformers.DINOv3ViTConfig(
        hidden_size=32, num_hidden_layers=3, num_attention_heads=2, intermediate_size=64, image_size=32, patch_size=8
    )
    transformers.DINOv3ViTModel(config).save_pretrained(folder / "dino")
    make_encoder(load_dino(str(folder / "dino")), EncoderRecord("dino", "random"), folder / "dino.onnx")
    return folder / "dino.onnx"


def pixels_for(encoder: Encoder, count: int = 5) -> np.ndarray:
    shape = (count, encoder.info.height, encoder.info.width, 3)
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def given_by(network: Any, pixels: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return np.asarray(network(torch.from_numpy(pixels).permute(0, 3, 1, 2).float()))


def photographs_of(collection: Collection, encoder: Encoder) -> tuple[np.ndarray, list[str]]:
    """What an encoder gives of all photographs, and their species."""
    from PIL import Image

    rows = [row for row in read_csv(collection.folder / "labels.csv") if row["species"]]
    pixels = []
    for row in rows:
        with Image.open(collection.folder / row["path"]) as image:
            pixels.append(encoder.fit(np.asarray(image.convert("RGB"))))
    return encoder.embed(np.stack(pixels))[0], [row["species"] for row in rows]


@pytest.mark.parametrize("which", ["convolutions", "transformer", "joined"])
def test_a_file_as_a_network_of_torch_gives_the_same(which: str, cli: Cli, tmp_path: Path, transformer: Path) -> None:
    file = {"convolutions": BUILT_IN, "transformer": transformer, "joined": tmp_path / "joined.onnx"}[which]
    if which == "joined":
        cli("encoder", "join", DEFAULT, "--mirror", "--to", "joined.onnx")
    encoder, network = Encoder(file), read_trainable(file, which)
    pixels = pixels_for(encoder)
    assert given_by(network, pixels) == pytest.approx(encoder.embed(pixels)[0], abs=1e-5)
    assert len(network.weights) > 0
    with torch.no_grad():
        for weight in network.weights:
            weight.mul_(1.1)
    onnx.save(network.written(), tmp_path / "moved.onnx")
    moved = Encoder(tmp_path / "moved.onnx").embed(pixels)[0]
    assert moved == pytest.approx(given_by(network, pixels), abs=1e-5)
    assert moved != pytest.approx(encoder.embed(pixels)[0], abs=1e-3)


def test_constants_among_the_operators(tmp_path: Path) -> None:
    model = onnx.load(BUILT_IN)
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    moved = [name for name in stored if stored[name].dims in ([], [1])]
    for name in moved:
        model.graph.initializer.remove(stored[name])
        model.graph.node.insert(0, onnx.helper.make_node("Constant", [], [name], value=stored[name]))
    assert moved
    onnx.save(model, tmp_path / "old.onnx")
    encoder = Encoder(tmp_path / "old.onnx")
    pixels = pixels_for(encoder)
    assert given_by(read_trainable(tmp_path / "old.onnx", "old"), pixels) == pytest.approx(
        encoder.embed(pixels)[0], abs=1e-5
    )


def test_the_first_half_of_the_layers_stays_as_it_is(adapted: Trained) -> None:
    before, after = ({t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(file).graph.initializer}
                     for file in (BUILT_IN, adapted.encoder))  # fmt: skip
    assert before.keys() == after.keys()
    kernels = [name for node in onnx.load(BUILT_IN).graph.node if node.op_type == "Conv" for name in node.input[1:2]]
    moved = [not np.array_equal(before[name], after[name]) for name in kernels]
    assert moved[0] is False
    assert moved[-1] is True
    assert 0.3 < np.mean(moved) < 0.8


def test_it_tells_its_clusters_apart_more_clearly(adapted: Trained, collection: Collection) -> None:
    from sklearn.metrics import silhouette_score

    encoder = is_encoder(adapted, 256, 128)
    losses = [float(row["loss"]) for row in read_csv(Path(adapted.folder) / "log.csv")]
    assert losses[-1] < 0.8 * losses[0]
    before, after = (
        1 - silhouette_score(*photographs_of(collection, one), metric="cosine") for one in (Encoder(BUILT_IN), encoder)
    )
    assert after < 0.85 * before  # of species, which it was not told
    figures = adapted.figures
    assert figures["clusters_before"] >= 2
    assert 0 < figures["neighbour_overlap"] < 1
    assert figures["ami"] >= figures["ami_before"] - 0.02
    assert figures["nearest_is_right"] >= figures["nearest_is_right_before"] - 0.05


def test_the_file_says_where_it_comes_from(adapted: Trained) -> None:
    about, before = Encoder(Path(adapted.encoder)).info.about, Encoder(BUILT_IN).info.about
    assert about["source"] == f"{DEFAULT}, adapted by morphoindex encoder adapt"
    assert about["licence"] == before["licence"]
    assert about["training_data"] == f"{before['training_data']}; our drawings"


def test_an_interrupted_run_goes_on_and_ends_as_if_it_had_not_been(
    adapted: Trained, collection: Collection, tmp_path: Path
) -> None:
    adapting = Adapting(BUILT_IN, labels=str(collection.folder / "labels.csv"), group="individual")
    order = Order(tmp_path / "cut", name="ours", training_data="our drawings")
    settings = dataclasses.replace(SETTINGS, checkpoint_seconds=0.0)
    with pytest.raises(KeyboardInterrupt):
        adapt([str(collection.folder)], adapting, settings, order, Quiet(7))
    resumed = dataclasses.replace(order, resume=True)
    with pytest.raises(UsageError, match="has mirror True, not False"):
        adapt([str(collection.folder)], dataclasses.replace(adapting, mirror=False), settings, resumed, Quiet())
    watcher = Quiet()
    again = adapt([str(collection.folder)], adapting, settings, resumed, watcher)
    assert watcher.steps[0] > 1
    assert again.fingerprint == adapted.fingerprint


def test_an_arrangement_that_is_not_known_is_found_before_anything_is_written(tmp_path: Path) -> None:
    model = onnx.load(BUILT_IN)
    mean = next(node for node in model.graph.node if node.op_type == "ReduceMean")
    before = mean.input[0]
    nodes = list(model.graph.node)
    pool = onnx.helper.make_node("AveragePool", [before], ["pooled"], kernel_shape=[2, 2], pads=[0, 0, 1, 1])
    mean.input[0] = "pooled"
    model.graph.node.insert(nodes.index(mean), pool)
    onnx.save(model, tmp_path / "uneven.onnx")
    for number in range(3):
        draw(tmp_path / "photos" / f"{number}.png", number)
    order = Order(tmp_path / "out", name="o")
    with pytest.raises(EncoderInvalid, match="insect-128 cannot learn here: AveragePool: with uneven padding"):
        adapt([str(tmp_path / "photos")], Adapting(tmp_path / "uneven.onnx"), SETTINGS, order, Quiet())
    assert not order.out.exists()


def test_the_later_half_of_each_of_several_networks_learns(cli: Cli, tmp_path: Path) -> None:
    """A shallow network beside a deep one has its own middle."""
    from test_encoder_import import network, wrapped

    from morphoindex.exporters.training.trainable import _later_half

    for name, layers in (("shallow", 4), ("deep", 12)):
        wrapped(network(tmp_path / "n.onnx", layers=layers), tmp_path / f"{name}.onnx")
    cli("encoder", "join", "shallow.onnx", "deep.onnx", "--to", "joined.onnx")
    joined = onnx.load(tmp_path / "joined.onnx")
    stored = {tensor.name: tensor for tensor in joined.graph.initializer}
    learning = set(_later_half(joined.graph.node, stored))
    for number, layers in ((0, 4), (1, 12)):
        kernels = [f"{number}/network/w{layer}" for layer in range(layers)]
        assert set(kernels) & learning == set(kernels[layers // 2 :])


def test_the_command_line(cli: Cli, tmp_path: Path, collection: Collection, transformer: Path) -> None:
    shutil.copy(transformer, tmp_path / "dino.onnx")
    result = cli.json("encoder", "adapt", "--encoder", "dino.onnx", str(collection.folder), "--epochs", "1", code=1)
    assert {refused["path"] for refused in result["refused"]} == {
        str(collection.folder / path) for path, _ in collection.broken
    }
    assert "ami" not in result["figures"]  # no labels were given
    assert cli("encoder", "check", "adapted/encoder.onnx").stdout.count("good") == 6
    assert result["name"] == "adapted"


def test_photographs_that_an_encoder_fails_on_are_in_no_cluster(collection: Collection) -> None:
    from morphoindex.exporters.training.adapting import _clustered, _placed
    from morphoindex.exporters.training.pictures import read_pictures, squashed

    pictures = read_pictures([str(collection.folder)], squashed(128)).distinct()
    vectors = _placed(Encoder(BUILT_IN), pictures.pixels, False, "placing", Quiet())
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(len(vectors)), abs=1e-5)
    vectors[[2, 5]] = 0
    found = _clustered(vectors, pictures)
    assert found.labels[[2, 5]].tolist() == [-1, -1]
    assert (np.delete(found.labels, [2, 5]) >= 0).mean() > 0.9


def test_what_cannot_learn(tmp_path: Path, collection: Collection) -> None:
    draw(tmp_path / "few" / "0.png", 0)
    draw(tmp_path / "few" / "1.png", 0, individual=1)
    model = onnx.load(BUILT_IN)
    model.graph.node[-2].op_type = "Selu"
    onnx.save(model, tmp_path / "other.onnx")
    for encoder, photographs, says in (
        (find_encoder(f"{DEFAULT}-int8"), collection.folder, "is in int8, in which it cannot learn: take the same"),
        (BUILT_IN, tmp_path / "few", "finds fewer than two clusters in these photographs: there is nothing to learn"),
    ):
        with pytest.raises((UsageError, EncoderInvalid), match=says):
            adapt([str(photographs)], Adapting(encoder), SETTINGS, Order(tmp_path / "out", name="o"), Quiet())
    old = onnx.load(BUILT_IN)
    old.opset_import[0].version = 11
    bare = onnx.load(BUILT_IN)
    for tensor in list(bare.graph.initializer):
        bare.graph.initializer.remove(tensor)
        bare.graph.node.insert(0, onnx.helper.make_node("Constant", [], [tensor.name], value=tensor))
    for changed, says in ((old, "is of opset 11, which cannot learn here"), (bare, "no kernels of its own")):
        onnx.save(changed, tmp_path / "changed.onnx")
        with pytest.raises(EncoderInvalid, match=says):
            read_trainable(tmp_path / "changed.onnx", "changed")
    with pytest.raises(UsageError, match="--group names a label: give --labels as well"):
        adapt(
            [str(collection.folder)], Adapting(BUILT_IN, group="individual"), SETTINGS, Order(tmp_path / "out"), Quiet()
        )
    with pytest.raises(EncoderInvalid, match="other has the operator Selu, which cannot learn here"):
        read_trainable(tmp_path / "other.onnx", "other")
    assert not (tmp_path / "out").exists()
