"""The main job on the demo collection: what was planted is found."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from conftest import Cli
from sklearn.metrics import adjusted_mutual_info_score


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """The whole collection, drawn and added as `make demo` does it."""
    cli = Cli(tmp_path_factory.mktemp("job"))
    cli("demo", "photos")
    cli("add", "photos", "--labels", "photos/labels.csv", code=1)
    return cli


@pytest.fixture(scope="module")
def planted(job: Cli) -> dict[str, Any]:
    """The truth about the collection."""
    truth: dict[str, Any] = json.loads((job.folder / "photos/planted.json").read_text())
    return truth


def truth_and_clusters(job: Cli) -> tuple[list[str], list[str]]:
    job("report", "assignments", "--out", "assignments.csv")
    with open(job.folder / "assignments.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    return [row["species"] for row in rows], [row["cluster"] for row in rows]


def test_the_collection_is_what_was_asked_for(planted: dict[str, Any]) -> None:
    assert planted["species"] >= 12
    assert planted["images"] >= 600
    assert len(planted["bursts"]) >= 12
    assert len(planted["reencoded"]) >= 24
    assert len(planted["turned"]) >= 12
    assert len(planted["broken"]) >= 6


def test_every_image_is_in_and_every_broken_file_is_in_the_ledger(job: Cli, planted: dict[str, Any]) -> None:
    status = job.json("status")
    assert status["paths"] == planted["images"]
    assert status["specimens"] == planted["images"] - len(planted["copies"])
    refused = job.json("sql", "SELECT path FROM paths WHERE state = 'refused' AND reason <> '' ORDER BY path")["rows"]
    assert sorted(Path(row[0]).name for row in refused) == sorted(
        Path(broken["path"]).name for broken in planted["broken"]
    )
    assert job.json("sql", "SELECT count(*) FROM specimens WHERE species IS NULL")["rows"] == [[0]]
    assert job.json("sql", "SELECT count(*) FROM specimens WHERE format = 'JPEG' AND time IS NULL")["rows"] == [[0]]


@pytest.mark.parametrize("arguments", [(), ("--threshold", "0.83")])
def test_the_clusters_are_the_planted_species(job: Cli, arguments: tuple[str, ...]) -> None:
    job("cluster", *arguments)
    species, clusters = truth_and_clusters(job)
    assert len(species) >= 600
    assert adjusted_mutual_info_score(species, clusters) >= 0.9


def test_every_planted_re_encoding_is_found(job: Cli, planted: dict[str, Any]) -> None:
    groups = [
        {Path(group["keep"]).name} | {Path(other["path"]).name for other in group["drop"]}
        for group in job.json("dedup")["groups"]
    ]
    missed = [
        pair
        for pair in planted["reencoded"] + planted["copies"]
        if not any({Path(pair["original"]).name, Path(pair["copy"]).name} <= group for group in groups)
    ]
    assert missed == []


def test_a_photograph_finds_its_own_species(job: Cli, planted: dict[str, Any]) -> None:
    original = planted["turned"][0]["original"]
    hits = job.json("search", f"photos/{original}", "-k", "6")["hits"]
    assert {hit["labels"]["species"] for hit in hits} == {hits[0]["labels"]["species"]}


def test_a_sample_covers_every_species(job: Cli, planted: dict[str, Any]) -> None:
    job("cluster")
    chosen = job.json("sample", "-n", "40")["selected"]
    assert len({one["labels"]["species"] for one in chosen}) == planted["species"]


def test_the_index_is_clean(job: Cli) -> None:
    assert job.json("check", "--files")["clean"]
