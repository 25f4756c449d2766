"""A small world for tests that kill: an encoder of a few kilobytes, photographs of a few pixels, and processes that
kill themselves at a given step.

A step is a call into DuckDB or Qdrant, a call that changes a file, or the return from one: whatever makes a difference
to a kill. The processes come from a fork server that has imported everything already, so that many of them cost little.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import types
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from pkgutil import walk_packages
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

import morphoindex
from morphoindex import cli, indexer

SIDE, DIM = 16, 24
HANGS = 600  # seconds after which a command counts as hung
LIBRARIES = {"_duckdb", "duckdb", "qdrant_edge"}
CALLS = {"flock", "fsync", "ftruncate", "mkdir", "open", "rename", "replace", "rmdir", "truncate", "unlink", "write"}
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(
    ["onnx.helper", "onnx.numpy_helper", "onnxruntime", "qdrant_edge", "rich.progress", "rich.table", "scipy.sparse"]
    + [module.name for part in (cli, indexer) for module in walk_packages(part.__path__, f"{part.__name__}.")]
)


def encoder(path: Path, name: str = "tiny", seed: int = 0) -> Path:
    """An encoder of the contract: a fixed random projection of the pixels."""
    weights = np.random.default_rng(seed).standard_normal((SIDE * SIDE * 3, DIM)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["pixels"], ["floats"], to=TensorProto.FLOAT),
            helper.make_node("Sub", ["floats", "grey"], ["centred"]),
            helper.make_node("Reshape", ["centred", "shape"], ["flat"]),
            helper.make_node("MatMul", ["flat", "weights"], ["projected"]),
            helper.make_node("LpNormalization", ["projected"], ["embedding"], axis=1, p=2),
        ],
        "tiny",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["n", SIDE, SIDE, 3])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", DIM])],
        [
            numpy_helper.from_array(np.array([-1, SIDE * SIDE * 3]), "shape"),
            numpy_helper.from_array(weights, "weights"),
            numpy_helper.from_array(np.array(127.5, np.float32), "grey"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {"morphoindex.name": name, "morphoindex.fit": "squash"})
    onnx.save(model, path)
    return path


def photo(path: Path, kind: int, individual: int) -> Path:
    """A photograph of 16 × 16 pixels: noise of its kind, with a little noise of its own."""
    noise = np.random.default_rng([1, kind]).integers(20, 235, (SIDE, SIDE, 3))
    own = np.random.default_rng([2, kind, individual]).integers(-12, 13, (SIDE, SIDE, 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((noise + own).astype(np.uint8)).save(path)
    return path


def photos(folder: Path, kinds: int = 4, individuals: int = 8) -> Path:
    """Folders of kinds."""
    for kind in range(kinds):
        for individual in range(individuals):
            photo(folder / f"kind{kind}" / f"{individual}.png", kind, individual)
    return folder


def copied(source: Path, target: Path) -> Path:
    """Copy what is in a folder into another, with holes for what an index has only reserved."""
    target.mkdir(exist_ok=True)
    subprocess.run(["cp", "-a", "--sparse=always", f"{source}/.", target], check=True)
    return target


@dataclass(frozen=True)
class Seen:
    """All that an index says of itself, but for times, the numbers of the writes, and where it lies."""

    status: dict[str, Any]
    tables: dict[str, Counter[str]]


def seen(folder: Path) -> Seen:
    """What an index says of itself, where `check` finds nothing; opened once for all, which takes longest."""
    with morphoindex.open(folder) as index:
        return seen_in(index)


def seen_in(index: morphoindex.Index) -> Seen:
    """As `seen`, of an index that is open."""
    assert index.check().problems == ()
    return Seen(_status(index), _tables(index))


def tables(folder: Path) -> dict[str, Counter[str]]:
    """All that the catalog of an index says, row by row, but for times and the numbers of the writes."""
    with morphoindex.open(folder) as index:
        return _tables(index)


def status(folder: Path) -> dict[str, Any]:
    """What `status` says of an index, but for where it lies."""
    with morphoindex.open(folder) as index:
        return _status(index)


def assert_clean(folder: Path) -> None:
    """`check` finds nothing."""
    with morphoindex.open(folder) as index:
        assert index.check().problems == ()


def _tables(index: morphoindex.Index) -> dict[str, Counter[str]]:
    times = {
        "specimens": "added", "paths": "seen", "clusters": "probability, since", "runs": '"time"', "events": '"time"',
        "decisions": '"time"',
    }  # fmt: skip
    rows = (
        f"SELECT '{name}', t::VARCHAR FROM (SELECT * EXCLUDE ({time}) FROM {name}) t" for name, time in times.items()
    )
    found: dict[str, Counter[str]] = {name: Counter() for name in times}
    for name, row in index.sql(" UNION ALL ".join(rows)).rows:
        found[name][row] += 1
    return found


def _status(index: morphoindex.Index) -> dict[str, Any]:
    return {name: value for name, value in vars(index.status()).items() if name not in ("index", "roots")}


def process(arguments: list[str], die_at: int = 0) -> Any:
    """A process, not yet started, that runs a command line and kills itself at a step; at 0 it does not."""
    return PROCESSES.Process(target=_run, args=(arguments, die_at))


def steps_of(arguments: list[str]) -> int:
    """Run a command line to its end, and count its steps."""
    mine, its = PROCESSES.Pipe()
    runs = PROCESSES.Process(target=_run, args=(arguments, -1, its))
    runs.start()
    its.close()
    steps = int(mine.recv())
    runs.join()
    assert runs.exitcode in (0, 1), runs.exitcode
    return steps


def killed_at(arguments: list[str], step: int) -> bool:
    """Run a command line, have it killed at that step, and say whether it came so far."""
    runs = process(arguments, step)
    runs.start()
    runs.join()
    assert runs.exitcode in (0, 1, -signal.SIGKILL), runs.exitcode
    return bool(runs.exitcode == -signal.SIGKILL)


@dataclass(frozen=True)
class Done:
    """What a command line came to."""

    returncode: int
    stdout: str
    stderr: str


class Cli:
    """The command line in a folder: `cli("add", "photos")` runs `morphoindex add photos` in a process of its own.

    The process comes from the fork server; `conftest.Cli` has another kind.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "COLUMNS": "200"}
        self.environment.pop("MORPHOINDEX_INDEX", None)

    def __call__(self, *arguments: str | os.PathLike[str], code: int | None = 0) -> Done:
        """Run it, expect this exit code (None: any), and give what it printed."""
        with tempfile.TemporaryDirectory() as place:
            words = [os.fspath(argument) for argument in arguments]
            runs = PROCESSES.Process(target=_run_here, args=(words, str(self.folder), place, self.environment))
            runs.start()
            runs.join(HANGS)
            if runs.is_alive():
                runs.kill()
                raise AssertionError(f"{words} did not end within {HANGS} s")
            said = ((Path(place) / name).read_text("utf-8", "surrogateescape") for name in ("out", "err"))
            done = Done(runs.exitcode or 0, *said)
        assert "Traceback" not in done.stderr, done.stderr
        assert code is None or done.returncode == code, done
        return done

    def json(self, *arguments: str | os.PathLike[str], code: int | None = 0) -> Any:
        """Run it with --json, and give what it answered."""
        return json.loads(self(*arguments, "--json", code=code).stdout)


def _run_here(arguments: list[str], folder: str, place: str, environment: dict[str, str]) -> None:
    from morphoindex.cli.main import run

    os.environ.clear()
    os.environ.update(environment)
    if environment.get("PYTHONWARNINGS") == "error":
        warnings.simplefilter("error")
    os.chdir(folder)
    sys.stdout, sys.stderr = (  # until the process ends
        open(os.path.join(place, name), "w", encoding="utf-8", errors="surrogateescape")  # noqa: SIM115
        for name in ("out", "err")
    )
    sys.argv = ["morphoindex", *arguments]
    try:
        run(arguments)
    finally:
        sys.stdout.close()
        sys.stderr.flush()


def _run(arguments: list[str], die_at: int, pipe: Any = None) -> None:
    from morphoindex.cli.main import run

    if not os.environ.get("TINY_SHOW"):
        sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115  until the process ends
    steps = 0

    def step(frame: types.FrameType, event: str, argument: Any) -> None:
        nonlocal steps
        if event in ("c_call", "c_return") and _leads_out(frame, argument):
            steps += 1
            if steps == die_at:
                os.kill(os.getpid(), signal.SIGKILL)

    if die_at:
        sys.setprofile(step)
    try:
        run(arguments)
    finally:
        sys.setprofile(None)
        if pipe is not None:
            pipe.send(steps)


def _leads_out(frame: types.FrameType, function: Callable[..., Any]) -> bool:
    owner = getattr(function, "__self__", None)
    if isinstance(owner, types.ModuleType):
        changes = owner.__name__ in ("posix", "fcntl") and function.__name__ in CALLS
        return changes and "importlib" not in frame.f_code.co_filename
    kind = type(owner)
    return kind.__module__.partition(".")[0] in LIBRARIES or (kind.__module__ == "_io" and function.__name__ in CALLS)
