"""What tests share: small photographs, indexes in temporary folders, and the command line as a person runs it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from hypothesis import settings
from PIL import Image, ImageDraw

import morphoindex

settings.register_profile("repeatable", derandomize=True)  # the same examples every time: a change is judged by them
settings.register_profile("random")  # others every time: `make fuzz`
settings.load_profile("repeatable")

_MEMORY = Path("/dev/shm")
if _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > 4 << 30 and "TMPDIR" not in os.environ:
    # An index waits for the disk at every step. What is killed here is a process, never the machine: what it wrote is
    # there in memory as well.
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY))


def draw(path: Path, kind: int, individual: int = 0, size: int = 96) -> Path:
    """A photograph of the planted kind: colour and shape tell the kinds apart, small shifts the individuals."""
    rng = np.random.default_rng([kind, individual])
    hue = (kind * 77) % 255
    colour = Image.new("HSV", (1, 1), (hue, 220, 200)).convert("RGB").getpixel((0, 0))
    image = Image.new("RGB", (size, size), (238, 236, 228))
    pen = ImageDraw.Draw(image)
    x, y = (int(v) for v in rng.integers(size // 4, size // 3, 2))
    box = (x, y, x + size // 2 - kind % 5 * 4, y + size // 3 + kind % 3 * 8)
    (pen.ellipse, pen.rectangle, pen.rounded_rectangle)[kind % 3](box, fill=colour, outline=(20, 20, 20), width=2)
    for _ in range(kind % 4):
        spot = rng.integers(size // 3, size // 2, 2)
        pen.ellipse((*spot.tolist(), *(spot + 8).tolist()), fill=(15, 15, 15))
    grain = rng.integers(-6, 7, (size, size, 1))
    image = Image.fromarray((np.asarray(image, np.int16) + grain).clip(0, 255).astype(np.uint8))
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of 24 photographs: 4 kinds in folders of their names, 6 individuals each."""
    folder = tmp_path / "photos"
    for kind in range(4):
        for individual in range(6):
            draw(folder / f"kind{kind}" / f"{individual}.png", kind, individual)
    return folder


@pytest.fixture
def index(tmp_path: Path) -> Iterator[morphoindex.Index]:
    """An empty index with the default encoder, open."""
    with morphoindex.open(tmp_path / "index", create=True) as opened:
        yield opened


@pytest.fixture
def here(made: tiny.Cli, tmp_path: Path) -> tiny.Cli:
    """A copy of the folder that a module has made for all its tests."""
    return tiny.Cli(tiny.copied(made.folder, tmp_path / "here"))


class Cli(tiny.Cli):
    """The command line as in `tiny`, with warnings as errors; and from its very start where that matters."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.environment["PYTHONWARNINGS"] = "error"

    def fresh(self, *arguments: str | os.PathLike[str], code: int | None = 0) -> subprocess.CompletedProcess[str]:
        """Run it in a new interpreter, as a person does; otherwise as a call."""
        done = subprocess.run(
            [sys.executable, "-m", "morphoindex", *map(os.fspath, arguments)],
            cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=600,
            encoding="utf-8", errors="surrogateescape",
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        if code is not None:
            assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        return done

    def start(self, *arguments: str | os.PathLike[str]) -> subprocess.Popen[str]:
        """Start it and go on."""
        return subprocess.Popen(
            [sys.executable, "-m", "morphoindex", *map(os.fspath, arguments)],
            cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip


@pytest.fixture
def cli(tmp_path: Path) -> Callable[..., Any]:
    """The command line in the temporary folder."""
    return Cli(tmp_path)
