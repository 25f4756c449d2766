"""Training encoders: they learn, they go on where they were stopped, and what comes out is an encoder."""

from __future__ import annotations

import csv
import dataclasses
import json
import signal
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Cli, draw
from PIL import Image

from morphoindex.cli.main import cli as command_line
from morphoindex.demo import Collection, draw_collection
from morphoindex.errors import CheckpointInvalid, UsageError
from morphoindex.indexer.encoding.encoder import Encoder, built_in_encoders

torch = pytest.importorskip("torch", reason="training needs the extra `train`")

from morphoindex.exporters.training import autoencoder, classifier, deep_cluster, pictures, splitting  # noqa: E402
from morphoindex.exporters.training.classification import ClassifierShape, Labelling, body_of, train_classifier  # noqa: E402
from morphoindex.exporters.training.deep_clustering import Clustering, train_deep_cluster  # noqa: E402
from morphoindex.exporters.training.distilling import Distilling, distil  # noqa: E402
from morphoindex.exporters.training.loop import CHECKPOINT, Progress, Run, TrainingSettings, read_checkpoint, train  # noqa: E402
from morphoindex.exporters.training.optimizers import Mover  # noqa: E402
from morphoindex.exporters.training.reconstruction import Augmentation, Reconstruction, train_autoencoder  # noqa: E402
from morphoindex.exporters.training.runs import Order, Trained  # noqa: E402
from morphoindex.exporters.training.student import Student, StudentSettings  # noqa: E402

torch.set_num_threads(1)  # two that wait for each other at every layer are slower wherever others work too
SPECIES = 4
SHAPE = autoencoder.AutoencoderShape(32, 16)


class Quiet:
    """Watches, says nothing, and stops the training after a step if it is to."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.stop_after = stop_after
        self.steps: list[int] = []

    def begin(self, what: str) -> None: ...

    def count(self, what: str, done: int, total: int) -> None: ...

    def step(self, progress: Progress) -> None:
        self.steps.append(progress.step)
        if progress.step == self.stop_after:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    """A hundred photographs of four species, with bursts, copies and eight broken files."""
    return draw_collection(tmp_path_factory.mktemp("demo") / "insects", 0, species=SPECIES, per_species=12)


@pytest.fixture(scope="module")
def trained_autoencoder(collection: Collection, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    order = Order(tmp_path_factory.mktemp("runs") / "autoencoder", name="plain", licence="CC0-1.0")
    settings = TrainingSettings(25, 16, 2e-3)
    return train_autoencoder([str(collection.folder)], SHAPE, Augmentation(), settings, order, Quiet())


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def is_encoder(result: Trained, dim: int, side: int) -> Encoder:
    encoder = Encoder(Path(result.encoder))
    assert (encoder.info.dim, encoder.info.height, encoder.info.width) == (dim, side, side)
    assert encoder.info.fingerprint == result.fingerprint
    assert result.least_cosine >= 0.9999
    for file in result.files.values():
        assert (Path(result.folder) / file).exists(), file
    assert not list(Path(result.folder).rglob("*.part"))
    return encoder


def test_an_autoencoder_rebuilds_better_than_the_mean_image(
    trained_autoencoder: Trained, collection: Collection
) -> None:
    figures = trained_autoencoder.figures
    assert figures["held_out_error"] < 0.75 * figures["mean_image_error"]
    assert trained_autoencoder.parts["held_out"] >= 10
    assert {refused.path for refused in trained_autoencoder.refused} == {
        str(collection.folder / path) for path, _ in collection.broken
    }
    log = read_csv(Path(trained_autoencoder.folder) / "log.csv")
    assert [int(row["epoch"]) for row in log] == list(range(1, trained_autoencoder.epochs + 1))
    assert min(float(row["held_out_loss"]) for row in log) == pytest.approx(figures["held_out_error"], rel=1e-3)


def test_its_encoder_gives_what_the_saved_network_gives(trained_autoencoder: Trained) -> None:
    encoder = is_encoder(trained_autoencoder, 16, 32)
    assert (encoder.info.name, encoder.info.about["licence"]) == ("plain", "CC0-1.0")
    network = autoencoder.load_autoencoder(Path(trained_autoencoder.folder) / "autoencoder.pt")
    pixels = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), np.uint8)
    with torch.no_grad():
        expected = network(torch.from_numpy(pixels).permute(0, 3, 1, 2).float()).numpy()
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert encoder.embed(pixels)[0] == pytest.approx(expected, abs=1e-4)


def test_a_trained_autoencoder_is_exported_again(
    trained_autoencoder: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = str(Path(trained_autoencoder.folder) / "autoencoder.pt")
    command = ["encoder", "export", "autoencoder", "--from", source, "--to", str(tmp_path / "again.onnx"), "--json"]
    command_line.main(command, standalone_mode=False)
    assert json.loads(capsys.readouterr().out)["least_cosine"] >= 0.9999
    pixels = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), np.uint8)
    first, again = Encoder(Path(trained_autoencoder.encoder)), Encoder(tmp_path / "again.onnx")
    assert again.embed(pixels)[0] == pytest.approx(first.embed(pixels)[0], abs=1e-5)
    with pytest.raises(UsageError, match="takes 32 × 32 pixels and no others"):
        command_line.main([*command, "--size", "64"], standalone_mode=False)


def test_its_sheet_shows_originals_above_what_was_rebuilt(trained_autoencoder: Trained) -> None:
    with Image.open(Path(trained_autoencoder.folder) / "sheet.png") as sheet:
        pixels = np.asarray(sheet.convert("RGB"), np.float32)
    tiles = [[pixels[y : y + 96, x : x + 96] for x in range(pixels.shape[1] - 100, 300, -100)] for y in (4, 104)]
    right = np.mean([np.abs(a - b).mean() for a, b in zip(*tiles, strict=True)])
    wrong = np.mean([np.abs(a - b).mean() for a, b in zip(tiles[0], tiles[1][1:] + tiles[1][:1], strict=True)])
    assert right < 0.8 * wrong


def test_a_grey_autoencoder_does_not_see_colours() -> None:
    network = autoencoder.Autoencoder(dataclasses.replace(SHAPE, grey=True)).eval()
    grey = torch.full((1, 3, 32, 32), 100.0)
    colour = grey.clone()
    colour[:, 0] += 0.114 * 100
    colour[:, 2] -= 0.299 * 100  # as bright
    assert network.encode(colour).detach().numpy() == pytest.approx(network.encode(grey).detach().numpy(), abs=1e-4)
    assert network.decode(network.encode(grey)).shape == (1, 1, 32, 32)


def test_what_denoises_is_shown_noise_and_asked_for_the_clean(collection: Collection) -> None:
    pixels = np.full((4, 32, 32, 3), 128, np.uint8)
    seen = []
    task = Reconstruction(SHAPE, Augmentation(mirror=False, noise=0.1), pixels, pixels, 0)
    task.network.encode = lambda images: seen.append(images) or torch.zeros(4, 16)  # type: ignore[func-returns-value]
    task.network.decode = lambda code: torch.full((4, 3, 32, 32), 128 / 255)
    assert float(task.loss(np.arange(4), np.random.default_rng(0), 0.0)) == pytest.approx(0, abs=1e-9)
    assert float((seen[0] - 128).std()) == pytest.approx(25.5, rel=0.05)


def tasks(pixels: pictures.Pixels) -> dict[str, Callable[[], Any]]:
    """One of each kind, made anew at every call."""
    names = np.arange(len(pixels))[None] % 2

    def clusters() -> deep_cluster.DeepClustering:
        torch.manual_seed(0)
        network = autoencoder.Autoencoder(SHAPE).eval()
        codes = deep_cluster.codes_of(network, pixels)
        return deep_cluster.DeepClustering(deep_cluster.DeepClusters(network, codes, 3, 0), pixels, True)

    def classes() -> classifier.Classification:
        torch.manual_seed(0)
        body = Student(StudentSettings(8, ((8, 1), (16, 1)), 12))
        network = classifier.Classifier(body, 12, [2])
        return classifier.Classification(network, pixels, names, pixels[:9], names[:, :9], True)

    return {
        "autoencoder": lambda: Reconstruction(SHAPE, Augmentation(True, 0.05), pixels, pixels[:9], 0),
        "deep clustering": clusters,
        "classifier": classes,
    }


@pytest.mark.parametrize("kind", ["autoencoder", "deep clustering", "classifier"])
def test_a_resumed_run_equals_an_uninterrupted_one(kind: str, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3), np.uint8)
    make = tasks(pixels)[kind]
    settings = TrainingSettings(3, 8, checkpoint_seconds=0)
    if kind == "classifier":
        settings = dataclasses.replace(settings, average_decay=0.9, optimizer="muon")
    whole = Run(make(), settings, {})
    (tmp_path / "whole").mkdir()
    (tmp_path / "cut").mkdir()
    expected = train(whole, tmp_path / "whole", Quiet().step).state_dict()
    with pytest.raises(KeyboardInterrupt):
        train(Run(make(), settings, {}), tmp_path / "cut", Quiet(stop_after=8).step)  # within the second epoch
    resumed = Run(make(), settings, {})
    resumed.load(read_checkpoint(tmp_path / "cut" / CHECKPOINT))
    watcher = Quiet()
    found = train(resumed, tmp_path / "cut", watcher.step).state_dict()
    assert watcher.steps[0] == 9
    assert resumed.step == whole.step
    assert resumed.log == whole.log
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(found[name], value), name


def test_a_killed_training_goes_on_and_ends_as_if_it_had_not_been(
    collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli = Cli(tmp_path)
    cli.environment["OMP_NUM_THREADS"] = "1"
    command = ["encoder", "train", "autoencoder", str(collection.folder), "--size", "32", "--latent", "8"]
    command += ["--epochs", "9", "--batch", "16", "--seed", "3"]
    process = cli.start(*command, "--out", "run")
    assert process.stderr
    for line in process.stderr:
        if "epoch 3 of 9" in line:
            process.send_signal(signal.SIGKILL)
            break
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    done = len(read_checkpoint(tmp_path / "run" / CHECKPOINT)["log"])
    assert 3 <= done < 9
    again = cli.fresh(*command, "--out", "run", "--resume", "--json", code=1)  # 1: the broken files
    assert f"epoch {done + 1} of 9" in again.stderr
    assert f"epoch {done} of 9" not in again.stderr
    resumed = json.loads(again.stdout)
    monkeypatch.chdir(tmp_path)
    settings = TrainingSettings(9, 16, 2e-3, 0.01, seed=3)
    shape = autoencoder.AutoencoderShape(32, 8)
    order = Order(Path("whole"), name="run")
    whole = train_autoencoder([str(collection.folder)], shape, Augmentation(), settings, order, Quiet())
    assert (resumed["steps"], resumed["fingerprint"]) == (whole.steps, whole.fingerprint)


def test_muon_moves_kernels_alike_however_they_lie_in_memory() -> None:
    begin = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.Conv2d(8, 12, 3, bias=False), torch.nn.Flatten())
    images, moved = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0)), []
    for layout in (torch.contiguous_format, torch.channels_last):
        network = deepcopy(begin).to(memory_format=layout)
        mover = Mover(network, "muon", 0.01, 0.1)
        for _ in range(3):
            mover.clear()
            network(images).square().mean().backward()
            mover.step()
        moved.append(network[1].weight.detach())
        # a step of a kernel is orthogonal: as a matrix its singular values are alike, which those of AdamW's are not
        step = (network[1].weight - begin[1].weight).detach().flatten(1)
        values = torch.linalg.svdvals(step)
        assert values[0] < 3 * values[-1]
    assert torch.allclose(*moved, atol=2e-3)
    assert not torch.allclose(moved[0], begin[1].weight, atol=0.01)


def test_a_run_that_learns_no_more_stops_early(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (16, 32, 32, 3), np.uint8)  # noise: nothing carries over
    settings = TrainingSettings(500, 8, 3e-3, patience=3)
    run = Run(Reconstruction(SHAPE, Augmentation(False), pixels[:12], pixels[12:], 0), settings, {})
    network = train(run, tmp_path, Quiet().step)
    assert run.finished
    assert len(run.log) < 500
    held_out = [row["held_out_loss"] for row in run.log]
    assert int(np.argmin(held_out)) == len(held_out) - 1 - 3
    kept = Reconstruction(SHAPE, Augmentation(False), pixels[:12], pixels[12:], 0).end_epoch(network)
    assert kept.score == pytest.approx(min(held_out))


@pytest.fixture(scope="module")
def trained_classifier(collection: Collection, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    order = Order(tmp_path_factory.mktemp("runs") / "classifier", name="species")
    labelling = Labelling(str(collection.folder / "labels.csv"), group="individual")
    settings = TrainingSettings(12, 16, 1e-3, average_decay=0.98)
    return train_classifier([str(collection.folder)], labelling, ClassifierShape(48), True, settings, order, Quiet())


def test_a_classifier_tells_species_and_families_it_was_not_shown(trained_classifier: Trained) -> None:
    is_encoder(trained_classifier, 256, 48)
    tested = trained_classifier.figures["test"]
    assert list(tested) == ["family", "species"]  # the order is the same for all: nothing to tell
    for rank in tested.values():
        assert rank["accuracy"] > rank["most_frequent_class"] + 0.3
        assert rank["mean_over_classes"] > 1 / rank["classes"] + 0.3
    assert trained_classifier.figures["nearest_neighbour_accuracy"] > 0.6


def test_its_confusion_matrix_counts_the_test_part(trained_classifier: Trained) -> None:
    folder = Path(trained_classifier.folder)
    for rank, figures in trained_classifier.figures["test"].items():
        rows = read_csv(folder / f"confusion-{rank}.csv")
        names = list(rows[0])[1:]
        counts = np.array([[int(row[name]) for name in names] for row in rows])
        assert counts.sum() == trained_classifier.parts["test"]
        assert counts.trace() / counts.sum() == pytest.approx(figures["accuracy"], abs=1e-4)


def test_no_individual_and_no_picture_is_on_two_sides(trained_classifier: Trained, collection: Collection) -> None:
    part_of = {Path(row["path"]): row["part"] for row in read_csv(Path(trained_classifier.folder) / "split.csv")}
    individuals: dict[str, set[str]] = {}
    species: dict[str, set[str]] = {}
    for row in read_csv(collection.folder / "labels.csv"):
        part = part_of[collection.folder / row["path"]]
        individuals.setdefault(row["individual"], set()).add(part)
        species.setdefault(row["species"], set()).add(part)
    assert {len(parts) for parts in individuals.values()} == {1}
    assert all({"train", "test"} <= parts for parts in species.values())
    assert len(individuals) < len(part_of) - 10  # bursts and copies there are


def test_copies_are_one_group_whatever_was_done_to_them(collection: Collection) -> None:
    read = pictures.read_pictures([str(collection.folder)], pictures.squashed(32))
    groups = dict(zip(read.paths, splitting.groups_of(read).tolist(), strict=True))
    copies = [*collection.copies, *collection.reencoded]
    assert len(copies) > 8
    for original, copy in copies:
        assert groups[str(collection.folder / original)] == groups[str(collection.folder / copy)]
    sizes = np.bincount(list(groups.values()))
    assert sizes.max() <= 4  # and what is another animal, or another frame, is another group


def test_a_classifier_begins_with_the_weights_of_a_resnet18(tmp_path: Path) -> None:
    from transformers import ResNetConfig, ResNetModel

    torch.manual_seed(1)
    config = ResNetConfig(embedding_size=64, hidden_sizes=[64, 128, 256, 512], depths=[2, 2, 2, 2], layer_type="basic")
    ResNetModel(config).save_pretrained(tmp_path / "resnet18")
    given = ResNetModel.from_pretrained(tmp_path / "resnet18").eval()
    body, dimensions = body_of(ClassifierShape(32, str(tmp_path / "resnet18")))
    assert dimensions == 512
    pixels = torch.randint(0, 256, (2, 3, 32, 32)).float()
    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    deviation = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    with torch.no_grad():
        expected = given((pixels / 255 - mean) / deviation).pooler_output.flatten(1)
        assert body.eval()(pixels).numpy() == pytest.approx(expected.numpy(), abs=1e-4)
    with pytest.raises(CheckpointInvalid):
        body_of(ClassifierShape(32, str(tmp_path)))


def test_deep_clustering_finds_the_species(
    trained_autoencoder: Trained, collection: Collection, tmp_path: Path
) -> None:
    clustering = Clustering(
        SPECIES, 20, Path(trained_autoencoder.folder) / "autoencoder.pt", collection.folder,
        str(collection.folder / "labels.csv"),
    )  # fmt: skip
    settings = TrainingSettings(1, 16)
    result = train_deep_cluster(
        [str(collection.folder)],
        clustering,
        SHAPE,
        Augmentation(),
        settings,
        Order(tmp_path / "run", name="d"),
        Quiet(),
    )
    is_encoder(result, 16, 32)
    figures = result.figures
    assert figures["accuracy"] > figures["largest_class"] + 0.25
    assert figures["changed_in_last_epoch"] < deep_cluster.SETTLED or result.epochs == 20
    assignments = read_csv(tmp_path / "run" / "assignments.csv")
    assert len(assignments) == result.photographs == sum(figures["sizes"])
    mapped = json.loads((tmp_path / "run" / "class_mappings.json").read_text(encoding="utf-8"))
    assert list(mapped) == [str(number) for number in range(SPECIES)]
    votes = sum(each["votes"] for each in mapped.values())
    assert votes / sum(each["references"] for each in mapped.values()) > figures["largest_class"] + 0.25
    right = sum(row["name"] == Path(row["path"]).parent.name for row in assignments)
    assert right / len(assignments) > figures["largest_class"] + 0.25


def test_deep_clustering_trains_its_own_autoencoder_first(tmp_path: Path) -> None:
    for number in range(12):
        draw(tmp_path / "photos" / f"{number}.png", number % 3, number)
    arguments = (Clustering(3, 2), SHAPE, Augmentation(), TrainingSettings(2, 4, checkpoint_seconds=0))
    photos, out = [str(tmp_path / "photos")], tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train_deep_cluster(photos, *arguments, Order(out, name="d"), Quiet(stop_after=3))
    assert not (out / CHECKPOINT).exists()  # stopped in the autoencoder
    result = train_deep_cluster(photos, *arguments, Order(out, resume=True, name="d"), Quiet())
    assert (out / "autoencoder" / CHECKPOINT).exists()
    assert result.photographs == 12


def test_the_best_matching_is_one_to_one() -> None:
    wanted = np.array([0, 0, 0, 1, 1, 1, -1])
    assigned = np.array([2, 2, 2, 2, 2, 0, 1])
    share, counts, stands_for = deep_cluster.best_matching(assigned, wanted, 3, 2)
    assert share == pytest.approx(4 / 6)  # cluster 2 stands for class 0 alone, though it has two of class 1
    assert counts.tolist() == [[0, 0, 3], [1, 0, 2]]
    assert stands_for.tolist() == [1, -1, 0]


def test_soft_assignments_and_their_target_are_those_of_the_paper() -> None:
    soft = torch.tensor([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]], dtype=torch.float64)
    sizes = soft.sum(dim=0)
    weights = [[float(q * q / size) for q, size in zip(row, sizes, strict=True)] for row in soft]
    expected = [[weight / sum(row) for weight in row] for row in weights]
    assert np.allclose(deep_cluster.sharpened(soft).numpy(), np.array(expected, np.float64))
    network = autoencoder.Autoencoder(SHAPE)
    codes = np.random.default_rng(0).normal(size=(30, 16)).astype(np.float32)
    clusters = deep_cluster.DeepClusters(network, codes, 2, 0)
    found = clusters.soften(torch.from_numpy(codes)).detach().numpy()
    distances = ((codes[:, None] * float(clusters.scale) - clusters.centres.detach().numpy()) ** 2).sum(axis=2)
    kernel = 1 / (1 + distances)
    assert found == pytest.approx(kernel / kernel.sum(axis=1, keepdims=True), rel=1e-4)


def test_a_student_keeps_much_of_an_encoder(collection: Collection, tmp_path: Path) -> None:
    teacher = built_in_encoders()["insect-128"]
    labels = str(collection.folder / "labels.csv")
    distilling = Distilling(teacher, 48, 100_000, 500, labels, "individual")
    settings = TrainingSettings(6, 32, 2e-3, average_decay=0.99, optimizer="muon")
    order = Order(tmp_path / "run", name="small")
    result = distil([str(collection.folder)], distilling, settings, order, Quiet())
    is_encoder(result, 256, 48)
    figures = result.figures
    assert figures["parameters"] <= 100_000
    assert figures["neighbour_overlap"] > figures["neighbours"] / result.parts["train"] + 0.2  # chance, and much more
    assert figures["teacher_accuracy"] > 0.5
    assert figures["accuracy_kept"] > 0.7
    assert figures["times_as_fast"] > 1.5  # of 128 px and 1.1 M parameters
    again = distil([str(collection.folder)], distilling, settings, dataclasses.replace(order, resume=True), Quiet())
    assert again.fingerprint == result.fingerprint
    with pytest.raises(UsageError, match=r"has size 48, not 64"):
        distil([str(collection.folder)], dataclasses.replace(distilling, size=64), settings,
               dataclasses.replace(order, resume=True), Quiet())  # fmt: skip
