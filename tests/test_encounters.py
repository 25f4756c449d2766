"""Encounters in an index: at any order of arrival, kept up to date, counted beside images."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_encounter_rule import RULE, animals, dense, groups, track
from test_real_photographs import DATA

import morphoindex
from morphoindex.errors import UsageError
from morphoindex.indexer.repeats import encounters as kept
from morphoindex.indexer.selection.encounters import NONE, Sightings

# --- in an index -----------------------------------------------------------------------------------------------------


def rows_of(seen: Sightings, rows: np.ndarray) -> dict[str, Any]:
    """Sightings as vectors made elsewhere with their captures."""

    def row(i: int) -> dict[str, Any]:
        x, y = seen.centres[i].tolist()
        time = None if math.isnan(seen.seconds[i]) else str(np.datetime64(int(seen.seconds[i]), "s"))
        told = {"time": time, "camera": f"cam{seen.cameras[i]}", "x": x, "y": y}
        if seen.frames[i] != NONE:
            told |= {"frame": f"f{seen.frames[i]}", "crop_number": int(seen.boxes[i])}
        return told

    return {"ids": [f"s{i:03d}" for i in rows], "vectors": seen.vectors[rows], "metadata": [row(i) for i in rows]}


def in_index(index: morphoindex.Index, n: int) -> set[frozenset[int]]:
    ids = [f"s{i:03d}" for i in range(n)]
    return groups(kept.encounter_groups(index._session, ids))


@pytest.mark.parametrize("seed", range(4))
def test_a_growing_index_has_the_encounters_of_the_dense_reference(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    seen = animals(rng, 60)
    truth = dense(seen, RULE)
    with morphoindex.open(tmp_path / "index", create=True) as index:
        for some in np.array_split(rng.permutation(60), 4):
            index.add_embeddings(**rows_of(seen, some))
            shown = index.encounters()
        assert in_index(index, 60) == truth
        assert {frozenset(int(i[1:]) for i in one.specimens) for one in shown.encounters} == truth
        assert shown.images == sum(map(len, truth))
        assert shown.without_time == 60 - shown.images
        assert sum(day.encounters for day in shown.days) == len(truth)
        assert index.check().clean
        before = {name: index.sql(f"SELECT id, {name} FROM specimens ORDER BY id").rows for name in ("encounter", "x1")}
        index.rebuild()
        assert in_index(index, 60) == truth
        assert index.check().clean
        after = {name: index.sql(f"SELECT id, {name} FROM specimens ORDER BY id").rows for name in before}
        assert after == before


def test_what_is_removed_no_longer_holds_an_encounter_together(tmp_path: Path) -> None:
    seen = track((0, 0, 0, NONE), (20, 0, 0, NONE), (40, 500, 0, NONE))
    with morphoindex.open(tmp_path / "index", create=True) as index:
        index.add_embeddings(**rows_of(seen, np.arange(3)))
        assert in_index(index, 3) == {frozenset({0, 1, 2})}
        index.remove("s001")
        assert in_index(index, 3) == {frozenset({0}), frozenset({2})}
        assert index.check().clean


def test_only_sessions_that_changed_are_worked_out_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = track((0, 0, 0, NONE), (20, 0, 0, NONE), (9000, 0, 0, NONE), (9020, 0, 0, NONE), (9040, 0, 0, NONE))
    asked: list[str] = []
    fetch: Callable[..., Any] = kept._vectors
    monkeypatch.setattr(kept, "_vectors", lambda index, ids, several: asked.extend(ids) or fetch(index, ids, several))
    with morphoindex.open(tmp_path / "index", create=True) as index:
        index.add_embeddings(**rows_of(seen, np.arange(4)))
        assert in_index(index, 4) == {frozenset({0, 1}), frozenset({2, 3})}
        asked.clear()
        index.add_embeddings(**rows_of(seen, np.array([4])))
        assert in_index(index, 5) == {frozenset({0, 1}), frozenset({2, 3, 4})}
        assert sorted(asked) == ["s002", "s003", "s004"]
        index.cluster(threshold=0.9)
        assert len(asked) == 3


def test_settings_are_kept_and_a_trial_is_not(tmp_path: Path) -> None:
    seen = track((0, 0, 0, NONE), (20, 0, 0, NONE), (60, 0, 0, NONE))
    with morphoindex.open(tmp_path / "index", create=True) as index:
        index.add_embeddings(**rows_of(seen, np.arange(3)))
        assert len(index.encounters().encounters) == 1
        assert len(index.encounters(quick_gap=10, distance=0, dry_run=True).encounters) == 3
        assert len(index.encounters().encounters) == 1
        assert len(index.encounters(quick_gap=25, distance=0).encounters) == 2
        index.rebuild()
    with morphoindex.open(tmp_path / "index") as index:
        found = index.encounters()
        assert (found.quick_gap, found.distance, found.gap, found.similarity) == (25, 0, 300, 0.8)
        assert len(found.encounters) == 2
        for wrong in ({"similarity": 1.1}, {"gap": -1}, {"distance": math.inf}, {"quick_gap": math.nan}):
            with pytest.raises(UsageError, match=next(iter(wrong))):
                index.encounters(**wrong)


def test_clusters_are_counted_in_images_and_in_encounters(tmp_path: Path) -> None:
    rows = [(t, 0, look, NONE) for look in (0, 90) for t in (0, 5, 9, 5000, 5005, 9000)]
    with morphoindex.open(tmp_path / "index", create=True) as index:
        index.add_embeddings(**rows_of(track(*rows), np.arange(12)))
        tried = index.cluster(threshold=0.9, dry_run=True)
        done = index.cluster(threshold=0.9)
        assert [(c.size, c.encounters) for c in (*tried.clusters, *done.clusters)] == [(6, 3)] * 4
        assert [(c.size, c.encounters) for c in index.clusters.list().clusters] == [(6, 3), (6, 3)]
        shown = index.clusters.show("C0001")
        assert shown.encounters == len({member.encounter for member in shown.members}) == 3
        assert index.status().encounters == index.overview().encounters == 6
        assert [c.encounters for c in index.overview().clusters] == [3, 3]
        assert index.sql("SELECT size, encounters FROM clusters").rows == ((6, 3), (6, 3))
        index.report("assignments", "csv", tmp_path / "a.csv")
        assert (tmp_path / "a.csv").read_text().splitlines()[0] == (
            "path,id,cluster,cluster_name,verified,probability,encounter"
        )


def test_without_times_nothing_is_said_of_encounters(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    with morphoindex.open(tmp_path / "index", create=True) as index:
        index.add_embeddings(list(range(8)), rng.normal(size=(8, 4)) + 5)
        assert {c.encounters for c in index.cluster(threshold=0.5).clusters} == {None}
        assert {c.encounters for c in index.clusters.list().clusters} == {None}
        assert index.clusters.show("C0001").encounters is None
        assert index.status().encounters is index.overview().encounters is None
        found = index.encounters()
        assert (found.encounters, found.without_time, found.images) == ((), 8, 0)
        assert kept.encounter_groups(index._session, ["0", "7", "none"]).tolist() == [NONE] * 3
        index.report("assignments", "csv", tmp_path / "a.csv")
        assert "encounter" not in (tmp_path / "a.csv").read_text()


def test_days_without_an_hour_are_no_encounter(tmp_path: Path) -> None:
    with morphoindex.open(tmp_path / "index", create=True) as index:
        index.add_embeddings(["a", "b"], [[1.0, 0.0], [1.0, 0.0]], metadata={"time": ["2024-05-01", "2024-05-01"]})
        found = index.encounters()
        assert (found.images, found.without_time, found.encounters) == (0, 2, ())
        assert index.status().encounters is None
        assert len(index.search("a", where='time >= "2024-05-01" and time < "2024-05-02"').hits) == 1


def test_a_camera_that_starts_its_numbers_anew_has_other_frames(tmp_path: Path) -> None:
    seen = track((0, 0, 0, 1), (100, 0, 0, 1))
    with morphoindex.open(tmp_path / "index", create=True) as index:
        index.add_embeddings(**rows_of(seen, np.arange(2)))
        assert in_index(index, 2) == {frozenset({0, 1})}


# --- on real crops ---------------------------------------------------------------------------------------------------

CROPS = DATA / "biodivx_crops" / "crops"
ANIMALS = {  # by eye: second of the frame → number of the crop
    "beetle at the edge": {17: 0, 19: 0, 21: 0},
    "moth": {19: 1, 21: 1, 23: 0, 25: 0},
    "midge": {17: 1, 19: 2, 21: 2, 23: 1, 25: 1},
    "long midge, which turns": {17: 2, 19: 3, 21: 3, 23: 4, 25: 2},
    "small fly": {17: 3, 19: 4, 21: 4, 23: 2, 25: 3},
    "crane fly": {17: 4, 19: 5, 21: 6, 23: 5, 25: 5},
    "smallest": {17: 5, 19: 6, 21: 5, 23: 3, 25: 4},
    "large fly": {17: 6, 19: 7, 21: 7, 23: 6},
    "dark one in the shade": {17: 7, 19: 8, 21: 8, 23: 7, 25: 6},
}


@pytest.mark.skipif(not CROPS.is_dir(), reason=f"no photographs in {CROPS}")
def test_nine_animals_before_a_camera_trap_are_nine_encounters(tmp_path: Path) -> None:
    with morphoindex.open(tmp_path / "index", create=True) as index:
        index.add(CROPS, time_format="%Y%m%d%H%M%S", camera="trap")
        found = index.encounters()
        rows = dict(index.sql("SELECT id, frame[13:14] || ' ' || crop_number FROM specimens").rows)
    assert {frozenset(rows[i] for i in one.specimens) for one in found.encounters} == {
        frozenset(f"{second} {number}" for second, number in crops.items()) for crops in ANIMALS.values()
    }
