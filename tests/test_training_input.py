"""What trainings begin with: labels, splits, runs to resume; and where that cannot be, one clear sentence."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import draw

from morphoindex.errors import CheckpointInvalid, UsageError

torch = pytest.importorskip("torch", reason="training needs the extra `train`")


from morphoindex.exporters import autoencoder, splitting  # noqa: E402
from morphoindex.exporters.reconstruction import Augmentation, train_autoencoder  # noqa: E402
from morphoindex.exporters.runs import Order, Trained  # noqa: E402
from morphoindex.exporters.training import CHECKPOINT, Progress, TrainingSettings  # noqa: E402

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


@pytest.mark.parametrize("name", ["train autoencoder"])
def test_help_needs_no_torch(name: str) -> None:
    words = ["encoder", *name.split(), "--help"]
    code = f"import sys; from morphoindex.cli.main import cli; cli.main({words}, standalone_mode=False)"
    check = "assert not {'torch', 'numpy', 'onnxruntime'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", f"{code}; {check}"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "IMAGES..." in done.stdout
