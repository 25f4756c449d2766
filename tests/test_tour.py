"""The tour does what it says: its commands run, in order, and print the lines that stand below them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import tiny

TOUR = Path(__file__).parents[1] / "docs" / "tour.md"


def test_the_tour(tmp_path: Path) -> None:
    cli = tiny.Cli(tmp_path)
    blocks = re.findall(r"^```sh\n(.*?)^```", TOUR.read_text("utf-8"), re.M | re.S)
    printed, lines = "", 0
    for line in "".join(blocks).splitlines():
        if line.startswith("morphoindex "):
            command, _, comment = line.partition("#")
            told = re.search(r"exit code (\d)", comment)
            done = cli(*shlex.split(command)[1:], code=int(told[1]) if told else 0)
            printed = " ".join((done.stdout + done.stderr).split())
        else:
            assert " ".join(line.split()) in printed, line
            lines += 1
    assert lines > 5
    made = {file.name for file in tmp_path.iterdir()}
    assert {"seen.png", "alike.png", "map.png", "clustering_results.xlsx", "embeddings.npz"} <= made
    for folder, file in {
        "evaluation": "clustering_metrics.xlsx", "subset": "manifest.csv", "split": "certificate.json",
        "labels": "statistics.csv", "prepared": "errors.log",
    }.items():  # fmt: skip
        assert (tmp_path / folder / file).stat().st_size > 0
