"""What trainings begin with: labels, splits, runs to resume; and where that cannot be, one clear sentence."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Cli, draw

from morphoindex.errors import CheckpointInvalid, EncoderInvalid, UsageError

torch = pytest.importorskip("torch", reason="training needs the extra `train`")

from morphoindex.exporters.training import autoencoder, classifier, naming, pictures, splitting  # noqa: E402
from morphoindex.exporters.training.classification import ClassifierShape, Labelling, train_classifier  # noqa: E402
from morphoindex.exporters.training.deep_clustering import Clustering, train_deep_cluster  # noqa: E402
from morphoindex.exporters.training.distilling import Distilling, distil  # noqa: E402
from morphoindex.exporters.training.loop import CHECKPOINT, Progress, TrainingSettings  # noqa: E402
from morphoindex.exporters.training.reconstruction import Augmentation, train_autoencoder  # noqa: E402
from morphoindex.exporters.training.runs import Order, Trained  # noqa: E402
from morphoindex.exporters.training.student import Student, StudentSettings  # noqa: E402

torch.set_num_threads(1)  # two that wait for each other at every layer are slower wherever others work too
SHAPE = autoencoder.AutoencoderShape(32, 16)


class Quiet:
    """Watches, and says nothing."""

    def begin(self, what: str) -> None: ...

    def count(self, what: str, done: int, total: int) -> None: ...

    def step(self, progress: Progress) -> None: ...


def test_a_split_is_stratified_keeps_groups_and_tests_every_class() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        group_class = np.concatenate([np.arange(4), np.arange(4), rng.integers(0, 4, 60)])
        groups = rng.permutation(np.repeat(np.arange(len(group_class)), rng.integers(1, 4, len(group_class))))
        classes = group_class[groups]
        parts = splitting.split(groups, classes, seed)
        assert all(len(np.unique(parts[groups == group])) == 1 for group in np.unique(groups))
        for each in range(4):
            shares = np.bincount(parts[classes == each], minlength=3) / (classes == each).sum()
            most = 3 / (classes == each).sum()  # a group's size
            assert shares[splitting.TRAIN] > 0
            assert shares[splitting.TEST] > 0
            assert shares == pytest.approx(splitting.SHARES, abs=most + 1e-9)


def test_rare_classes_weigh_more_and_unlabelled_photographs_nothing() -> None:
    assert classifier.class_weights(np.array([0, 0, 0, 1, -1]), 3).tolist() == pytest.approx([2 / 3, 2, 1])
    pixels = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)
    network = classifier.Classifier(Student(StudentSettings(8, ((8, 1),), 6)), 6, [2, 2])
    names = np.array([[0, 1, 0, 1], [0, -1, -1, 1]])
    task = classifier.Classification(network, pixels, names, pixels, names, False)
    logits = [
        torch.tensor([[2.0, 0], [0, 2.0], [2.0, 0], [0, 2.0]]),
        torch.tensor([[3.0, 0], [9, 0], [0, 9], [0, 3.0]]),
    ]
    expected = (np.log1p(np.exp(-2)) + np.log1p(np.exp(-3))) / 2
    assert float(task._loss(logits, torch.from_numpy(names))) == pytest.approx(expected, rel=1e-5)


@pytest.fixture
def few(tmp_path: Path) -> Path:
    """Three photographs of each of two kinds, one of a third, one copy, one broken file."""
    folder = tmp_path / "few"
    for kind, count in (("a", 3), ("b", 3), ("lonely", 1)):
        for number in range(count):
            draw(folder / kind / f"{number}.png", ord(kind[0]), number)
    (folder / "twins").mkdir()
    for number in range(2):
        (folder / "twins" / f"{number}.png").write_bytes((folder / "a" / "0.png").read_bytes())
    (folder / "a" / "broken.jpg").write_text("words")
    return folder


def classify(few: Path, out: Path, *kinds: str, labels: str = "folder", **labelling: Any) -> Trained:
    return train_classifier(
        [str(few / kind) for kind in kinds], Labelling(labels, **labelling), ClassifierShape(32), True,
        TrainingSettings(1, 4), Order(out, name="few"), Quiet(),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kinds", "options", "words"),
    [
        (["a"], {}, "fewer than two classes: every species is a"),
        (["a", "lonely"], {}, "species lonely has one photograph"),
        (["b", "twins"], {}, "species twins has 2 photographs that are copies"),
        (["a", "b"], {"labels": "{site}-{n}"}, "no photograph has a label"),
        (["a", "b"], {"group": "individual"}, "--group individual: no photograph has such a label; there are species"),
        (["a", "b"], {"ranks": ("genus",)}, "--rank genus: no photograph has such a label; there are species"),
    ],
)
def test_labels_that_cannot_be_learned_are_one_clear_error(
    few: Path, tmp_path: Path, kinds: list[str], options: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        classify(few, tmp_path / "run", *kinds, **options)
    assert not (tmp_path / "run").exists()


def test_photographs_without_a_label_are_listed_and_left_out(few: Path) -> None:
    (few / "labels.csv").write_text(
        "path,species,family\na/0.png,A,F\na/1.png,,F\na/2.png,,\nb/0.png,B,G\nb/1.png,B,G\n", encoding="utf-8"
    )
    read = pictures.read_pictures([str(few / "a"), str(few / "b")], pictures.squashed(32))
    names, _ = naming.read_names(read, str(few / "labels.csv"))
    kept, names, rows = naming.without_nameless(read, names)
    assert [Path(path).relative_to(few).as_posix() for path in kept.paths] == [
        "a/0.png",
        "a/1.png",
        "b/0.png",
        "b/1.png",
    ]
    without = "no label: family or species"
    assert {Path(each.path).relative_to(few).as_posix(): each.reason for each in kept.refused} == {
        "a/broken.jpg": "not an image",
        "a/2.png": without,
        "b/2.png": without,
    }
    assert names.ranks == ("family", "species")
    assert names.numbers.tolist() == [[0, 0, 1, 1], [0, naming.UNKNOWN, 1, 1]]
    assert len(rows) == 4


def rebuild(inputs: list[str], out: Path, shape: autoencoder.AutoencoderShape = SHAPE, **options: Any) -> Trained:
    order = Order(out, options.pop("resume", False), "a")
    settings = TrainingSettings(**{"epochs": 1, "batch": 4, **options})
    return train_autoencoder(inputs, shape, Augmentation(), settings, order, Quiet())


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        (["a/broken.jpg"], "no photograph that can be read, of 1: .*broken.jpg: not an image"),
        (["nowhere"], "no photograph that can be read, of 1: .*nowhere: does not exist"),
        (["twins"], "the 2 photographs are all alike"),
        (["lonely"], "one photograph alone"),
    ],
)
def test_photographs_that_teach_nothing_are_one_clear_error(
    few: Path, tmp_path: Path, inputs: list[str], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        rebuild([str(few / each) for each in inputs], tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_more_clusters_than_photographs_is_one_clear_error(few: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="-k 7: there are only 6 different photographs"):
        train_deep_cluster(
            [str(few / "a"), str(few / "b"), str(few / "twins")], Clustering(7), SHAPE, Augmentation(),
            TrainingSettings(1, 4), Order(tmp_path / "run"), Quiet(),
        )  # fmt: skip
    assert not (tmp_path / "run").exists()


def test_a_run_is_resumed_only_where_it_is_and_as_it_was(few: Path, tmp_path: Path) -> None:
    photos, out = [str(few / "a"), str(few / "b")], tmp_path / "run"
    with pytest.raises(UsageError, match=r"--resume: there is no run in .* to go on with"):
        rebuild(photos, out, resume=True)
    assert not out.exists()
    first = rebuild(photos, out)
    with pytest.raises(UsageError, match="holds a run already: --resume"):
        rebuild(photos, out)
    with pytest.raises(UsageError, match="has epochs 1, not 2"):
        rebuild(photos, out, resume=True, epochs=2)
    with pytest.raises(UsageError, match="has latent 16, not 9"):
        rebuild(photos, out, autoencoder.AutoencoderShape(32, 9), resume=True)
    with pytest.raises(UsageError, match="has number of photographs 6, not 3"):
        rebuild(photos[:1], out, resume=True)
    assert rebuild(photos, out, resume=True).fingerprint == first.fingerprint
    (out / CHECKPOINT).write_text("words")
    with pytest.raises(CheckpointInvalid, match="not a checkpoint of torch"):
        rebuild(photos, out, resume=True)


def test_a_checkpoint_of_another_network_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "autoencoder.pt"
    autoencoder.save_autoencoder(autoencoder.Autoencoder(SHAPE), path)
    state = torch.load(path, weights_only=True)
    lacking = {name: value for name, value in state["weights"].items() if name != "centre"}
    for changed, words in (
        ({**state, "kind": "student"}, "not an autoencoder"),
        ({**state, "weights": lacking}, "missing: centre"),
        ({**state, "weights": {**state["weights"], "fc.weight": torch.zeros(1)}}, "not known: fc.weight"),
        ({**state, "weights": {**state["weights"], "centre": torch.zeros(1)}}, "wrong shape: centre"),
        ({**state, "shape": {"size": 50}}, "multiple of 16"),
    ):
        torch.save(changed, path)
        with pytest.raises(CheckpointInvalid, match=words):
            autoencoder.load_autoencoder(path)


def test_nothing_is_said_when_quiet_and_one_document_with_json(few: Path, tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    cli.environment["OMP_NUM_THREADS"] = "1"
    command = ["encoder", "train", "classifier", "few/a", "few/b", "--labels", "folder", "--size", "32"]
    done = cli.fresh(*command, "--epochs", "1", "--batch", "4", "--out", "run", "-q", "--json", code=1)
    assert done.stderr == ""
    answer = json.loads(done.stdout)
    assert [Path(each["path"]).name for each in answer["refused"]] == ["broken.jpg"]
    assert answer["parts"]["test"] >= 2
    wrong = cli.fresh(*command, "--out", "run", code=2)
    assert (
        wrong.stderr.strip()
        == "morphoindex: run holds a run already: --resume goes on with it, --out DIR begins another"
    )


def test_what_cannot_teach_is_refused_before_anything_is_written(few: Path, tmp_path: Path) -> None:
    (tmp_path / "words.onnx").write_text("words")
    with pytest.raises(EncoderInvalid, match="not an ONNX file"):
        distil([str(few / "a")], Distilling(tmp_path / "words.onnx"), TrainingSettings(1),
               Order(tmp_path / "run"), Quiet())  # fmt: skip
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["train autoencoder", "train deep-cluster", "train classifier", "distil"])
def test_help_needs_no_torch(name: str) -> None:
    words = ["encoder", *name.split(), "--help"]
    code = f"import sys; from morphoindex.cli.main import cli; cli.main({words}, standalone_mode=False)"
    check = "assert not {'torch', 'numpy', 'onnxruntime'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", f"{code}; {check}"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "IMAGES..." in done.stdout
