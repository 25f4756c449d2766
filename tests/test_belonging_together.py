"""Near-duplicates and encounters where specimens are chosen: one of each in a sample, each on one side of a split."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tiny
from PIL import Image
from test_matching import scene

import morphoindex
from morphoindex.indexer.selection.sampling import STRATEGIES

TWINS = [{f"twin{n}.png", f"twin{n}_again.jpg"} for n in range(6)]
BURSTS = [{f"trap_202405012{n}00{second:02d}.png" for second in (0, 8, 15)} for n in range(3)]
SINGLE = {f"one{n}.png" for n in range(4)} | {"trap_20240501235900.png"}
ALL = sorted(set().union(*TWINS, *BURSTS, SINGLE))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures that are there twice, of one animal three times, and once."""
    folder = tmp_path_factory.mktemp("belonging")
    tiny.encoder(folder / "tiny.onnx")
    (folder / "photos").mkdir()
    for number, name in enumerate(name for name in ALL if "again" not in name):
        picture = scene(number, (110, 90))
        picture.save(folder / "photos" / name)
        if name.startswith("twin"):
            smaller = picture.resize((88, 72), Image.Resampling.BICUBIC)
            smaller.save(folder / "photos" / name.replace(".png", "_again.jpg"), quality=80)
    return folder


def take(index: morphoindex.Index, made: Path, names: list[str]) -> None:
    paths = [str(made / "photos" / name) for name in names]
    index.add(paths, encoder=str(made / "tiny.onnx"), time_format="%Y%m%d%H%M%S", camera="trap")
    index.encounters(similarity=-1)  # an encoder of random weights says nothing


def of_planted(names: list[str]) -> list[int]:
    """How many of each group of twins and of each burst are among these."""
    return [len(group & set(names)) for group in (*TWINS, *BURSTS)]


def test_a_unique_sample_has_one_of_each_and_leaves_nothing_out(made: Path, tmp_path: Path) -> None:
    with morphoindex.open(tmp_path / "index", create=True) as index:
        take(index, made, ALL)
        assert len(index.sample(99).selected) == len(ALL)
        for strategy in STRATEGIES:
            if strategy != "stratified":  # there are no labels
                found = index.sample(99, strategy=strategy, unique=True)
                names = [Path(str(one.path)).name for one in found.selected]
                assert of_planted(names) == [1] * (len(TWINS) + len(BURSTS))
                assert set(names) >= SINGLE
                assert (found.unique, found.uncompared, found.available) == (True, 0, len(ALL))
        pair = [str(made / "photos" / name) for name in sorted(TWINS[0])]
        index.duplicates.distinct(*pair)
        names = [Path(str(one.path)).name for one in index.sample(99, unique=True).selected]
        assert of_planted(names) == [2] + [1] * (len(TWINS) + len(BURSTS) - 1)


@pytest.mark.parametrize("seed", range(3))
def test_twins_and_bursts_stay_on_one_side_in_whatever_order_they_come(seed: int, made: Path, tmp_path: Path) -> None:
    order = np.random.default_rng(seed).permutation(ALL).tolist()
    with morphoindex.open(tmp_path / "index", create=True) as index:
        for start, stop in ((0, 12), (12, 18), (18, len(ALL))):
            take(index, made, order[start:stop])
            index.split("50/50", names=["a", "b"], out=tmp_path / "out")
        sides = [_names(tmp_path / f"out/{side}.csv") for side in "ab"]
    assert sorted([*sides[0], *sides[1]]) == ALL
    for group in (*TWINS, *BURSTS):
        assert len(group & set(sides[0])) in (0, len(group))
    certificate = json.loads((tmp_path / "out/certificate.json").read_text())
    told = {one["by"]: (one["groups"], one["specimens"], one["unknown"]) for one in certificate["grouped"]}
    assert told == {"near-duplicates": (6, 12, 0), "encounters": (3, 9, 16)}


def _names(manifest: Path) -> list[str]:
    return [Path(line.split(",")[0]).name for line in manifest.read_text().splitlines()[1:]]


def test_a_frame_that_links_two_sides_is_held_back(made: Path, tmp_path: Path) -> None:
    frames = [tmp_path / f"trap_202405010100{second:02d}.png" for second in (0, 25, 50)]
    for number, frame in enumerate(frames):
        scene(500 + number, (110, 90)).save(frame)
    with morphoindex.open(tmp_path / "index", create=True) as index:
        take(index, made, [str(frames[0]), str(frames[2]), *sorted(SINGLE)])
        names = [index.search(str(frame), 1).hits[0].id for frame in frames[::2]]
        for seed in range(20):
            index.split("50/50", seed=seed, name=f"split{seed}", out=tmp_path / f"out{seed}")
            ids = (tmp_path / f"out{seed}/train.csv").read_text()
            if (names[0] in ids) != (names[1] in ids):
                break
        take(index, made, [str(frames[1])])
        done = index.split(name=f"split{seed}", out=tmp_path / f"out{seed}")
        assert [Path(str(one.path)).name for one in done.held_back] == [frames[1].name]
        assert [(set(one.ids), one.by) for one in done.bridged] == [(set(names), "encounters")]
        assert (tmp_path / f"out{seed}/train.csv").read_text() == ids


def test_the_commands_say_it(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "photos", tmp_path / "photos")
    cli = tiny.Cli(tmp_path)
    cli("add", "photos", "--encoder", str(made / "tiny.onnx"), "--time-format", "%Y%m%d%H%M%S", "--camera", "trap")
    cli("encounters", "--similarity", "-1")
    (tmp_path / "photos/one0.png").unlink()
    done = cli("sample", "-n", "99", "--unique")
    assert "only 14 specimens to choose from that are not near-duplicates or of one encounter" in done.stderr
    told = cli("split", "50/50").stdout
    assert "Together by near-duplicates: 12 specimens in 6 groups." in told
    assert "Together by encounters: 9 specimens in 3 groups." in told
