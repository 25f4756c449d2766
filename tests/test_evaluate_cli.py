"""`evaluate` as a person runs it: figures, files, and what cannot be judged."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import openpyxl
import pytest
import tiny
from PIL import Image

import morphoindex
from morphoindex.cli.main import run
from morphoindex.errors import UsageError
from morphoindex.indexer.judgement import contenders
from morphoindex.indexer.judgement.contenders import CONTENDERS
from morphoindex.indexer.judgement.evaluation import COLUMNS

Shown = Callable[..., tuple[str, str]]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photographs of four kinds, and an index of them that was clustered by cosine."""
    folder = tmp_path_factory.mktemp("evaluate")
    tiny.photos(folder / "photos", 4, 8)
    with morphoindex.open(folder / ".morphoindex", create=True) as index:
        index.add(folder / "photos", labels="folder", encoder=str(tiny.encoder(folder / "one.onnx", "one")))
        with pytest.raises(UsageError, match="nothing is clustered yet: `morphoindex cluster`"):
            index.evaluate()
        index.cluster(0.9)
    return folder


@pytest.fixture
def cli(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shown:
    """The command line in the folder, in this process: kernels are loaded once. Gives stdout and stderr."""
    monkeypatch.chdir(place)
    monkeypatch.setenv("COLUMNS", "200")

    def shown(*arguments: str, code: int = 0) -> tuple[str, str]:
        with pytest.raises(SystemExit) as end:
            run([*arguments])
        assert end.value.code == code
        return capsys.readouterr()

    return shown


def answer(cli: Shown, *arguments: str) -> Any:
    return json.loads(cli(*arguments, "--json")[0])


def test_the_clusters_of_the_index_are_judged(cli: Shown) -> None:
    found = answer(cli, "evaluate")
    assert (found["specimens"], found["label"], found["labelled"], found["values"]) == (32, "species", 32, 4)
    [current] = found["scores"]
    assert current["method"] == "current"
    assert current["parameters"] == {"method": "cosine", "threshold": 0.9, "linkage": "single"}
    assert (current["clusters"], current["noise"], current["ami"], current["majority_accuracy"]) == (4, 0, 1, 1)
    assert current["silhouette"] > 0.9
    shown = cli("evaluate")[0]
    assert "species: 4 values of 32 labelled" in shown
    assert "4 clusters, the largest of 8; 0 specimens (0%) in none" in shown


def test_a_condition_says_which_are_judged(cli: Shown) -> None:
    found = answer(cli, "evaluate", "--where", "species in (kind0, kind1)")
    assert (found["specimens"], found["values"], found["scores"][0]["clusters"]) == (16, 2, 2)
    assert "no specimen with a vector meets" in cli("evaluate", "--where", "species = none", code=2)[1]


def test_a_comparison_as_files(cli: Shown, place: Path) -> None:
    before = tiny.tables(place / ".morphoindex")
    found = answer(cli, "evaluate", "--compare", "--out", "metrics")
    assert tiny.tables(place / ".morphoindex") == before
    assert [one["method"] for one in found["scores"]] == ["current", *CONTENDERS]
    assert found["scores"][2] == {**found["scores"][0], "method": "cosine"} | {
        key: found["scores"][2][key] for key in ("parameters", "seconds")
    }  # the run's own parameters are taken
    assert sorted(file.name for file in (place / "metrics").iterdir()) == sorted(found["written"]["files"])
    book = openpyxl.load_workbook(place / "metrics/clustering_metrics.xlsx")
    head, *rows = book["metrics"].iter_rows(values_only=True)
    assert head == tuple(COLUMNS)
    for row, one in zip(rows, found["scores"], strict=True):
        cells = dict(zip(head, row, strict=True))
        assert {name: cells[name] for name in head if name in one and name != "parameters"} == {
            name: one[name] for name in head if name in one and name != "parameters"
        }
        assert (cells["specimens"], cells["label"], cells["noise_share"]) == (32, "species", one["noise"] / 32)
    assert [row[0] for row in book["columns"].iter_rows(min_row=2, values_only=True)] == list(COLUMNS)
    with Image.open(place / "metrics/clustering_metrics.png") as chart:
        assert chart.width > 1000
    said = json.loads((place / "metrics/clustering_metrics.png.provenance.json").read_text("utf-8"))
    assert (said["command"], said["encoder"]["name"], said["parameters"]["labels"]) == ("evaluate", "one", "species")
    assert "metrics is not empty" in cli("evaluate", "--compare", "--out", "metrics", code=2)[1]
    (place / "metrics/mine.txt").write_text("mine")
    shown = cli("evaluate", "--method", "hdbscan", "--out", "metrics", "--force")[0]
    assert "Wrote clustering_metrics.xlsx and clustering_metrics.png to metrics." in shown
    assert (place / "metrics/mine.txt").read_text() == "mine"
    assert "there is no method 'magic'; there are hdbscan, " in cli("evaluate", "--method", "magic", code=2)[1]


def test_methods_for_which_there_are_too_many(cli: Shown, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = {**CONTENDERS, "optics": replace(CONTENDERS["optics"], most=31)}
    monkeypatch.setattr(contenders, "CONTENDERS", few)
    asked = ("evaluate", "--method", "optics", "--method", "cosine", "--out", "few")
    reason = "takes time with the square of the specimens: it is run up to 31 specimens, and here are 32"
    assert f"optics {reason}" in cli(*asked)[0]
    found = answer(cli, *asked, "--force")
    assert [one["method"] for one in found["scores"]] == ["current", "cosine"]
    assert found["skipped"] == [{"method": "optics", "reason": reason}]
    rows = [*openpyxl.load_workbook(place / "few/clustering_metrics.xlsx")["metrics"].values]
    assert rows[3] == ("optics", *[None] * (len(COLUMNS) - 2), reason)


def test_what_has_come_since_is_in_no_cluster(cli: Shown, place: Path) -> None:
    with morphoindex.open(place / ".morphoindex") as index:
        tiny.photo(place / "late/kind0/99.png", 0, 99)
        index.add(place / "late", labels="folder")
        found = index.evaluate()
        index.remove(str(place / "late"))
    assert (found.specimens, found.not_clustered, found.scores[0].noise) == (33, 1, 1)
    assert found.scores[0].majority_accuracy == round(32 / 33, 4)
    assert found.scores[0].purity == 1


@pytest.mark.parametrize(("threshold", "clusters"), [("-1", 1), ("1", 0)])
def test_one_cluster_and_none(cli: Shown, place: Path, threshold: str, clusters: int) -> None:
    cli("cluster", "--threshold", threshold, "-q")
    found = answer(cli, "evaluate", "--method", "kmeans", "--out", f"few{clusters}")
    current = found["scores"][0]
    assert (current["clusters"], current["silhouette"], current["davies_bouldin"]) == (clusters, None, None)
    assert (current["ari"], current["purity"]) == (0, 0.25 if clusters else None)
    many = "one cluster" if clusters else "no cluster"
    assert found["remarks"] == [
        f"current: there is {many}, and silhouette, Calinski–Harabasz and Davies–Bouldin take two"
    ]
    assert "–" in cli("evaluate", "-q")[0]


def test_without_labels(tmp_path: Path, cli: Shown) -> None:
    tiny.photos(tmp_path / "photos", 2, 6)
    with morphoindex.open(tmp_path / "index", create=True) as index:
        index.add(tmp_path / "photos", encoder=str(tiny.encoder(tmp_path / "one.onnx", "one")))
        index.cluster()
        found = index.evaluate(compare=["cosine"], out=tmp_path / "metrics")
        with pytest.raises(UsageError, match="there is no label column 'species'; there are none yet"):
            index.evaluate("species")
    assert found.remarks[0].startswith("AMI, ARI, purity and majority accuracy need labels, and there are none")
    assert {getattr(one, name) for one in found.scores for name in ("ami", "purity", "majority_accuracy")} == {None}
    out, err = cli("--index", str(tmp_path / "index"), "evaluate")
    assert "AMI" not in out
    assert "add PHOTOS --labels" in err
