"""What is shipped: the wheel, the constraints, the Compose file."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def project() -> dict[str, object]:
    """pyproject.toml, the table `project`."""
    table: dict[str, object] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return table


def test_the_wheel_holds_the_package_and_its_encoder(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)], cwd=ROOT, check=True,
        capture_output=True,
    )  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (entry_points,) = [archive.read(name).decode() for name in names if name.endswith("entry_points.txt")]
    assert {"morphoindex/py.typed", "morphoindex/indexer/encoders/insect-128.onnx", "morphoindex/__main__.py"} <= names
    assert "morphoindex = morphoindex.cli.main:run" in entry_points
    assert not any(name.startswith(("tests/", "benchmarks/", "cli/")) for name in names)


def test_every_requirement_is_pinned(project: dict[str, object]) -> None:
    extras = project["optional-dependencies"]
    assert isinstance(extras, dict)
    wanted = [*project["dependencies"], *(r for extra in extras.values() for r in extra)]  # type: ignore[misc]
    pinned = {line.partition("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().splitlines()}
    names = {re.split(r"[<>=\[]", requirement)[0].lower() for requirement in wanted}
    assert {name for name in names if name.replace("-", "_") not in {p.replace("-", "_") for p in pinned}} == set()


def test_the_runtime_has_no_torch_and_one_onnxruntime_at_most(project: dict[str, object]) -> None:
    dependencies = " ".join(project["dependencies"])  # type: ignore[arg-type]
    extras = project["optional-dependencies"]
    assert isinstance(extras, dict)
    assert "torch" not in dependencies
    assert "onnxruntime" not in dependencies
    assert [r.split(">")[0] for r in extras["cpu"]] == ["onnxruntime"]
    assert [re.split(r"[>\[]", r)[0] for r in extras["gpu"]] == ["onnxruntime-gpu"]


def test_without_onnxruntime_one_sentence_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['onnxruntime'] = None\n"
        "from morphoindex.cli.main import run\nrun(['encoder', 'show', 'insect-128'])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "`pip install -c constraints.txt '.[cpu]'` in the folder" in done.stderr


def test_the_compose_file_is_valid() -> None:
    """Against the Compose specification, and for what the README promises of it."""
    path = ROOT / "docker-compose.yml"
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(path)]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    services = YAML(typ="safe").load(path)["services"]
    qdrant, index = services["qdrant"], services["morphoindex"]
    assert any(volume.endswith(":/qdrant/storage") for volume in qdrant["volumes"])
    assert qdrant["healthcheck"]["test"][0] == "CMD"
    assert qdrant["environment"]["QDRANT__SERVICE__API_KEY"].startswith("${QDRANT_API_KEY:?")
    assert all(port.startswith("127.0.0.1:") for port in qdrant["ports"])
    assert index["depends_on"]["qdrant"]["condition"] == "service_healthy"
    assert (ROOT / index["build"] / "Dockerfile").is_file()


def test_a_broken_compose_file_would_be_found(tmp_path: Path) -> None:
    broken = tmp_path / "docker-compose.yml"
    broken.write_text((ROOT / "docker-compose.yml").read_text().replace("interval: 5s", "intervall: 5s"))
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(broken)]
    assert subprocess.run(check, capture_output=True, check=False).returncode != 0
