"""`report`: tables, workbooks, vectors, maps, contact sheets, folders, label summaries."""

from __future__ import annotations

import csv
import json
import os
import pickle
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import openpyxl
import pytest
import tiny
from PIL import Image

import morphoindex
from morphoindex.errors import UsageError
from morphoindex.indexer.clustering.projection import project
from morphoindex.indexer.files.table_files import MOST_CHARACTERS
from morphoindex.indexer.paths import to_text
from morphoindex.indexer.photographs.discovery import Found, discover
from morphoindex.indexer.reports.maps import _groups
from morphoindex.indexer.reports.sheet_drawing import captions
from morphoindex.indexer.reports.sheets import _shown, outliers

KINDS, EACH = 4, 6
LONG = "a/b 🐝 " + "x" * 300
"""A label value that no file, sheet or folder can be called."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tiny.Cli:
    """24 photographs of 4 kinds, labelled and clustered, and two in no cluster. Not to be changed."""
    folder = tmp_path_factory.mktemp("made")
    tiny.photos(folder / "photos", KINDS, EACH)
    for number in range(2):
        tiny.photo(folder / "photos" / "odd" / f"{number}.png", 90 + number, 0)
    shutil.copy(folder / "photos/kind0/0.png", folder / "photos/kind0/twice.png")
    lines = [
        (path.relative_to(folder).as_posix(), "Apidae", LONG if "kind1" in str(path) else path.parent.name)
        for path in sorted((folder / "photos").rglob("*.png"))
        if path.parent.name != "odd"
    ]  # fmt: skip
    with open(folder / "labels.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("path", "family", "species"), *lines])
    encoder = str(tiny.encoder(folder / "tiny.onnx"))
    with morphoindex.open(folder / ".morphoindex", create=True, encoder=encoder) as index:
        index.add(folder / "photos", labels=str(folder / "labels.csv"))
        index.cluster(0.8)
        (first, *_) = index.clusters.list().clusters
        index.clusters.name(first.id, "Apis / 'bee'?")
    return tiny.Cli(folder)


@pytest.fixture
def index(here: tiny.Cli) -> Iterator[morphoindex.Index]:
    """A copy of it, open."""
    with morphoindex.open(here.folder / ".morphoindex") as opened:
        yield opened


def cells(path: Path) -> list[dict[str, Any]]:
    head, *rows = openpyxl.load_workbook(path).worksheets[0].iter_rows(values_only=True)
    return [dict(zip(map(str, head), row, strict=True)) for row in rows]


def manifest(folder: Path) -> list[dict[str, str]]:
    with open(folder / "manifest.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def provenance(path: Path) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return said


# --- tables ----------------------------------------------------------------------------------------------------------


def test_the_workbook_of_results_holds_labels_clusters_and_coordinates(
    index: morphoindex.Index, tmp_path: Path
) -> None:
    out = tmp_path / "mine.xlsx"
    written = index.report("assignments", out=out, methods=["hdbscan", "agglomerative"])
    assert (written.format, written.rows, written.remarks) == ("xlsx", 27, ())
    rows = cells(out)
    assert list(rows[0]) == [
        "path", "id", "cluster", "cluster_name", "verified", "probability", "cluster_by_hdbscan",
        "cluster_by_agglomerative", "pca_1", "pca_2", "tsne_1", "tsne_2", "family", "species",
    ]  # fmt: skip
    stored = {row["id"]: row for row in map(dict, _specimens(index))}
    assert len(rows) == 27
    assert [row["path"] for row in rows] == sorted(row["path"] for row in rows)
    for row in rows:
        assert Path(row["path"]).is_file()
        one = stored[row["id"]]
        for column in ("cluster", "cluster_name", "family", "species"):
            assert row[column] == one[column], column
        assert row["probability"] == pytest.approx(one["probability"])
        assert row["verified"] is False
        assert all(isinstance(row[column], float | int) for column in ("pca_1", "pca_2", "tsne_1", "tsne_2"))
    grouped: dict[str, set[Any]] = {}
    for row in rows:
        if row["cluster"]:
            grouped.setdefault(row["cluster"], set()).add(row["cluster_by_hdbscan"])
    assert sorted(map(len, grouped.values())) == [1] * KINDS
    assert {row["cluster"] for row in rows if "odd" in row["path"]} == {None}
    said = provenance(tmp_path / "mine.xlsx.provenance.json")
    assert said["encoder"]["fingerprint"] == index.status().encoder.fingerprint  # type: ignore[union-attr]
    assert said["parameters"]["methods"] == ["hdbscan", "agglomerative"]
    assert said["clustering"]["parameters"]["threshold"] == 0.8
    assert (said["command"], said["rows"]) == ("report assignments", 27)


def _specimens(index: morphoindex.Index) -> Iterator[dict[str, Any]]:
    found = index.sql("SELECT id, cluster, cluster_name, probability, family, species FROM specimens")
    return (dict(zip(found.columns, row, strict=True)) for row in found.rows)


def test_coordinates_do_not_depend_on_the_order_of_arrival(
    index: morphoindex.Index, here: tiny.Cli, tmp_path: Path
) -> None:
    with morphoindex.open(tmp_path / "other", create=True, encoder=str(here.folder / "tiny.onnx")) as other:
        for folder in sorted((here.folder / "photos").iterdir(), reverse=True):
            other.add(folder)
        one, two = (
            {row[1]: row[-n:] for row in opened.table("assignments", coordinates=["pca", "tsne"]).rows}
            for opened, n in ((index, 6), (other, 4))
        )
    assert {name: row[:4] for name, row in one.items()} == two


def test_an_edited_table_with_coordinates_brings_only_its_labels(index: morphoindex.Index, tmp_path: Path) -> None:
    out = tmp_path / "a.csv"
    index.report("assignments", out=out, coordinates=["pca"], methods=["hdbscan"])
    assert "pca_1" in out.read_text("utf-8").splitlines()[0]
    index.add([row[0] for row in index.table("assignments").rows], labels=str(out))
    assert index.status().labels == ("family", "species")


def test_clusters_and_species_say_where_everything_is(made: tiny.Cli) -> None:
    answer = made.json("report", "clusters")
    rows = [dict(zip(answer["columns"], row, strict=True)) for row in answer["rows"]]
    assert [row["size"] for row in rows] == [EACH] * KINDS
    assert {row["label"] for row in rows} == {"kind0", LONG, "kind2", "kind3"}
    assert all(row["share"] == 1 and row["least_similarity"] <= row["mean_similarity"] <= 1 for row in rows)
    assert all(Path(row["medoid_path"]).is_file() for row in rows)
    answer = made.json("report", "species")
    rows = [dict(zip(answer["columns"], row, strict=True)) for row in answer["rows"]]
    assert [row["species"] for row in rows] == [LONG, "kind0", "kind2", "kind3"]
    assert all((row["family"], row["specimens"], row["clusters"]) == ("Apidae", EACH, 1) for row in rows)
    (family,) = made.json("report", "species", "--by", "family")["rows"]
    assert family[:4] == ["Apidae", 24, 4, 0]
    assert family[5:] == [0.25, 1.0]


def test_tables_come_to_the_screen_and_under_their_own_names(here: tiny.Cli) -> None:
    shown = here("report", "assignments").stdout.splitlines()
    assert len(shown) == 28
    assert shown[0].split()[:3] == ["id", "cluster", "cluster_name"]
    assert shown[0].endswith("path")
    assert any(line.endswith("photos/kind0/twice.png") for line in shown)
    for kind in ("clusters", "species", "ingest", "metrics"):
        assert here.json("report", kind, "--format", "csv")["out"] == f"{kind}.csv"
        with open(here.folder / f"{kind}.csv", newline="", encoding="utf-8") as file:
            assert len(list(csv.reader(file))) > 1
        assert provenance(here.folder / f"{kind}.csv.provenance.json")["command"] == f"report {kind}"
    assert "Wrote 27 rows to clustering_results.xlsx." in here("report", "assignments", "--format", "xlsx").stdout
    assert "is there already" in here("report", "assignments", "--format", "xlsx", code=2).stderr
    assert len(cells(here.folder / "clustering_results.xlsx")) == 27


def test_a_label_too_long_for_excel_is_cut_and_said(here: tiny.Cli) -> None:
    with morphoindex.open(here.folder / ".morphoindex") as index:
        rng = np.random.default_rng(1)
        vectors = rng.standard_normal((3, tiny.DIM)).astype(np.float32)
        with morphoindex.open(here.folder / "others", create=True) as other:
            other.add_embeddings(["a", "b", "c"], vectors, metadata={"note": ["y" * 40_000, "=1+1", ""]})
            written = other.report("assignments", out=here.folder / "a.xlsx")
        assert written.remarks == (
            "without t-SNE, which takes at least 5 specimens, and there are 3",
            "texts longer than a cell of Excel takes were cut: 1",
        )
        rows = {row["id"]: row for row in cells(here.folder / "a.xlsx")}
        assert len(rows["a"]["note"]) == MOST_CHARACTERS
        assert (rows["b"]["note"], rows["c"]["note"], rows["b"]["path"]) == ("=1+1", None, None)
        assert index.report("ingest", out=here.folder / "i.xlsx").rows == 27


# --- vectors ---------------------------------------------------------------------------------------------------------


def test_vectors_are_the_same_in_every_format(index: morphoindex.Index, tmp_path: Path) -> None:
    for format in ("npz", "json", "pkl"):
        assert index.report("embeddings", out=tmp_path / f"e.{format}").rows == 26
        assert provenance(tmp_path / f"e.{format}.provenance.json")["encoder"]["dimensions"] == tiny.DIM
    with np.load(tmp_path / "e.npz") as arrays:
        ids, paths, vectors = (arrays[name] for name in ("ids", "paths", "embeddings"))
    pickled = pickle.loads((tmp_path / "e.pkl").read_bytes())
    rows = json.loads((tmp_path / "e.json").read_text("utf-8"))
    assert pickled["ids"] == ids.tolist() == [row["ids"] for row in rows] == sorted(ids.tolist())
    assert pickled["paths"] == paths.tolist() == [row["paths"] for row in rows]
    for same in (pickled["embeddings"], np.array([row["embeddings"] for row in rows], np.float32)):
        assert np.array_equal(same, vectors)


def test_the_longest_names_have_a_provenance_of_their_own(index: morphoindex.Index, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    names = ["a" * 250 + "x.png", "a" * 250 + "y.png", "é" * 125 + "x.png"]
    for name in [*names, names[0]]:  # ours may be replaced
        out = Path(index.report_map(tmp_path / "out" / name, "pca").provenance)
        assert len(os.fsencode(out.name)) <= 255
        assert out.name[:40] == name[:40]
        assert provenance(out)["command"] == "report map"
    assert len(list((tmp_path / "out").glob("*.provenance.json"))) == 3
    given = [str(tmp_path / "out"), str(tmp_path / "out/*.png")]
    assert not any(isinstance(one, Found) for one in discover(given))
    with pytest.raises(UsageError, match="cannot be written: File name too long"):
        index.report("clusters", out=tmp_path / ("x" * 252 + ".csv"))


# --- maps ------------------------------------------------------------------------------------------------------------


def test_a_map_is_a_picture_with_all_specimens(here: tiny.Cli) -> None:
    answer = here.json("report", "map")
    assert (answer["out"], answer["rows"], answer["remarks"]) == ("map.png", 26, [])
    with Image.open(here.folder / "map.png") as image:
        assert image.format == "PNG"
        colours = image.convert("RGB").getcolors(image.width * image.height)
    assert colours is not None
    there = np.array([colour for _, colour in colours])
    for paint in [(38, 98, 178), (214, 94, 32), (44, 140, 84), (140, 82, 170)]:
        shining = 0.85 * np.array(paint) + 0.15 * 255  # as the paper shines through
        assert np.abs(there - shining).max(axis=1).min() <= 2
    assert provenance(here.folder / "map.png.provenance.json")["parameters"]["method"] == "tsne"
    assert [
        one.path for one in discover([str(here.folder)]) if isinstance(one, Found) and one.path.endswith("map.png")
    ] == []
    assert "map.png is there already: --out FILE names another" in here("report", "map", code=2).stderr
    assert "there are family, species" in here("report", "map", "--by", "nothing", code=2).stderr
    shown = here("report", "map", "--by", "species", "--method", "pca", "--sample", "10", "--out", "s.png").stdout
    assert shown == "Wrote 10 specimens to s.png.\n"


def test_a_map_calls_clusters_by_name_or_else_by_what_most_of_them_are(
    index: morphoindex.Index, tmp_path: Path
) -> None:
    session, shown = index._session, index._session.collection.load().specimens
    first, second, *others = _groups(session, shown, "cluster")
    assert re.fullmatch(r"C000\d Apis / 'bee'\?", first.name)
    assert all(re.fullmatch(r"C000\d: 100% (kind\d|a/b .*)", group.name) for group in (second, *others))
    index.clusters.name(second.name[:5], "Apis / 'bee'?")
    (both,) = _groups(session, shown, "cluster_name")
    assert both.name == "Apis / 'bee'?"
    assert sorted(both.rows) == sorted([*first.rows, *second.rows])
    written = index.report_map(tmp_path / "m.png", "pca", by="cluster_name")
    assert provenance(Path(written.provenance))["parameters"]["by"] == "cluster_name"


def test_more_clusters_than_a_legend_holds_are_summed_up_and_strange_names_drawn(tmp_path: Path) -> None:
    with morphoindex.open(tmp_path / "index", create=True) as index:
        vectors = np.random.default_rng(0).standard_normal((60, 8)).astype(np.float32)
        names = ["_hidden", "$x^2$ $", "🐝/蜂", LONG, "a\tb", *(f"kind {i}" for i in range(25))]
        index.add_embeddings([f"{i:02}" for i in range(60)], vectors, metadata={"species": names * 2})
        written = index.report_map(tmp_path / "m.png", "pca", by="species")
        assert written.remarks == (
            "30 values of species are more than a legend holds: the 20 largest have colours, the others are grey, with "
            "their names where there is room",
        )
        assert index.report_map(tmp_path / "n.png").remarks == (
            "nothing is in a cluster: `morphoindex cluster`; all points are grey",
        )
        assert index.report_map(tmp_path / "n.png", "pca", by="cluster_name").remarks == (
            "no cluster has a name: `morphoindex clusters name`; all points are grey",
        )


def test_few_and_equal_vectors_have_a_map_or_a_sentence(tmp_path: Path) -> None:
    vectors = np.eye(6, 8, dtype=np.float32)
    assert project(vectors[:1], "pca").tolist() == [[0, 0]]
    assert np.isfinite(project(vectors[:2], "pca")).all()
    assert np.isfinite(project(vectors[:5], "tsne")).all()
    assert project(np.repeat(vectors[:1], 7, axis=0), "tsne").tolist() == [[0, 0]] * 7
    assert np.isfinite(project(np.repeat(vectors[:2], 4, axis=0), "tsne")).all()
    assert np.array_equal(project(vectors, "tsne", 3), project(vectors, "tsne", 3))
    with morphoindex.open(tmp_path / "index", create=True) as index:
        with pytest.raises(morphoindex.errors.MorphoindexError, match="morphoindex add"):
            index.report_map(tmp_path / "m.png")
        index.add_embeddings(["a", "b", "c"], vectors[:3])
        with pytest.raises(UsageError, match="t-SNE takes at least 5 specimens, and there are 3: take PCA"):
            index.report_map(tmp_path / "m.png", "tsne")
        assert not (tmp_path / "m.png").exists()
        remarks = index.report_map(tmp_path / "m.png").remarks
        assert remarks[0] == "3 specimens are too few for t-SNE: this is PCA"
        with pytest.raises(UsageError, match=r"UMAP (is not installed|takes at least)"):
            index.report_map(tmp_path / "m.png", "umap")


# --- contact sheets --------------------------------------------------------------------------------------------------


def test_each_cluster_has_a_sheet_and_what_has_moved_a_placeholder(here: tiny.Cli) -> None:
    gone = here.folder / "photos/kind2/3.png"
    gone.rename(here.folder / "elsewhere.png")
    shutil.copy(here.folder / "photos/odd/0.png", here.folder / "photos/kind3/1.png")
    answer = here.json("report", "sheets", "--out", "sheets", code=1)
    names = {row["cluster"]: row for row in manifest(here.folder / "sheets") if row["cluster"]}
    assert len(names) == KINDS == answer["clusters"]
    first = here.json("clusters", "list")["clusters"][0]["id"]
    assert f"{first} Apis _ 'bee'_.jpg" in os.listdir(here.folder / "sheets")
    assert answer["files"] == KINDS + 2
    assert sorted(os.listdir(here.folder / "sheets")) == sorted(
        [".morphoindex-output", "manifest.csv", "missing.csv", "not-clustered.jpg", "overview-1.jpg", "provenance.json",
         *(row["file"] for row in names.values())]
    )  # fmt: skip
    reasons = {Path(one["path"]).parent.name: one["reason"] for one in answer["missing"]}
    assert reasons.pop("kind2") == "it is not there any more"
    assert list(reasons) == ["kind3"]
    assert reasons["kind3"].startswith("it shows something else now")
    with open(here.folder / "sheets/missing.csv", newline="", encoding="utf-8") as file:
        listed = list(csv.DictReader(file))
    assert [row["path"] for row in listed] == [one["path"] for one in answer["missing"]]
    for row in names.values():
        with Image.open(here.folder / "sheets" / row["file"]) as image:
            assert image.size == (1318, 294)
    assert not any("sheets" in one.path for one in discover([str(here.folder)]) if isinstance(one, Found))
    shown = here("report", "sheets", "--out", "one", "--cluster", first, "--most", "4")
    assert "the outliers are shown: --most N for more" in shown.stderr
    assert [row["shown"] for row in manifest(here.folder / "one")] == ["4"]
    assert "--force draws it anew" in here("report", "sheets", "--out", "sheets", "--cluster", first, code=2).stderr
    here("report", "sheets", "--out", "sheets", "--cluster", first, "--force")
    assert sorted(name for name in os.listdir(here.folder / "sheets") if name.endswith("jpg")) == [names[first]["file"]]


def test_large_clusters_take_several_sheets_and_many_clusters_several_overviews(tmp_path: Path) -> None:
    tiny.photos(tmp_path / "photos", 11, 2)
    tiny.photos(tmp_path / "more", 1, 75)
    with morphoindex.open(tmp_path / "index", create=True, encoder=str(tiny.encoder(tmp_path / "tiny.onnx"))) as index:
        index.add(tmp_path / "photos")
        with pytest.raises(UsageError, match="nothing is in a cluster"):
            index.report_sheets(tmp_path / "sheets")
        index.add(tmp_path / "more")
        index.cluster(0.8)
        written = index.report_sheets(tmp_path / "sheets")
        rows = manifest(tmp_path / "sheets")
        assert [row["file"] for row in rows[:4]] == ["overview-1.jpg", "overview-2.jpg", f"{rows[2]['cluster']}-1.jpg",
                                                     f"{rows[2]['cluster']}-2.jpg"]  # fmt: skip
        assert [row["shown"] for row in rows[2:5]] == ["72", "3", "2"]
        assert (written.clusters, written.files, written.missing) == (11, 14, ())
        assert "11 clusters are more than a sheet holds: overview-1.jpg to overview-2.jpg" in written.remarks[0]
        index.cluster(0.999)
        with pytest.raises(UsageError, match=r"--force draws it anew|nothing is in a cluster"):
            index.report_sheets(tmp_path / "sheets")


def test_what_is_in_no_cluster_has_a_sheet_the_farthest_first(index: morphoindex.Index, tmp_path: Path) -> None:
    loaded = index._session.collection.load()
    *clusters, none = _shown(index._session, (), 9)
    assert (none.size, none.files(), none.outliers) == (2, ["not-clustered.jpg"], (False, False))
    middles = {}
    for cluster in {one.cluster for one in loaded.specimens} - {None}:
        mean = loaded.matrix[[one.cluster == cluster for one in loaded.specimens]].mean(axis=0)
        middles[cluster] = mean / np.linalg.norm(mean)
    assert len(middles) == len(clusters)
    assert none.distances[0] > none.distances[1]
    likely = {one.id: (one.cluster, one.probability) for one in index.clusters.suggest(least=0).suggestions}
    assert likely
    for member, distance, suggested in zip(none.members, none.distances, none.suggested, strict=True):
        vector = loaded.matrix[loaded.specimens.index(member)]
        assert distance == pytest.approx(min(1 - float(vector @ middle) for middle in middles.values()), abs=1e-5)
        assert suggested == likely.get(member.id)
    written = index.report_sheets(tmp_path / "one", ["not-clustered"], most=1)
    assert (written.files, written.clusters) == (1, 0)
    assert written.remarks == (
        "specimens in no cluster: 1 of 2 are shown, the farthest from every cluster: --most N for more",
    )
    index.cluster(-1.0)
    with pytest.raises(UsageError, match="every specimen is in a cluster"):
        index.report_sheets(tmp_path / "two", ["not-clustered"])


def test_a_caption_leaves_out_what_all_names_of_a_sheet_share() -> None:
    assert captions(["a.png", "b.png"]) == ["a.png", "b.png"]
    end = "_UUID_ChangeThisTEMPORARY.png"
    cut = captions([f"crop_2023090800{n}{end}" for n in ("0619-00_8", "0621-00_4")])
    assert cut == ["…23090800" + n + "…" for n in ("0619-00_8", "0621-00_4")]
    assert captions([f"crop{n}{end}" for n in ("", "_1")]) == ["crop_…", "crop_1_…"]
    assert captions([f"crop_2023{end}"] * 2) == [f"crop_2023{end}"] * 2
    assert captions([f"libellula{end}", f"lucanus{end}"]) == ["libellula…", "lucanus…"]
    assert captions(["a.png", f"crop_2023{end}"]) == ["a…", "crop_2023_UUID_ChangeThisTEMPORARY…"]


def test_an_outlier_lies_far_from_the_middle_for_its_cluster() -> None:
    assert outliers(np.array([0.1, 0.11, 0.12, 0.13, 0.5])).tolist() == [False] * 4 + [True]
    assert not outliers(np.array([0.1, 0.11, 0.12, 0.9])).any()
    assert not outliers(np.full(9, 0.25) + np.arange(9) * 1e-9).any()


# --- folders ---------------------------------------------------------------------------------------------------------


def test_photographs_come_to_a_folder_for_each_cluster(here: tiny.Cli) -> None:
    answer = here.json("report", "folders", "--out", "out")
    assert (answer["files"], answer["clusters"], answer["missing"]) == (26, KINDS, [])
    rows = manifest(here.folder / "out")
    assert len(rows) == 26
    for row in rows:
        folder = row["file"].split("/")[0]
        assert folder == ("not-clustered" if not row["cluster"] else folder)
        assert folder.startswith(row["cluster"] or "not-clustered")
        assert os.path.samefile(here.folder / "out" / row["file"], row["source"])
    assert sum("Apis _ 'bee'_/" in row["file"] for row in rows) == EACH
    assert {row["species"] for row in rows} == {"", "kind0", LONG, "kind2", "kind3"}
    assert provenance(here.folder / "out/provenance.json")["parameters"] == {"files": "link"}
    assert here.json("report", "folders", "--out", "out")["before"] == 26
    copied = here.json("report", "folders", "--out", "copies", "--files", "copy")
    assert copied["files"] == 26
    some = manifest(here.folder / "copies")[0]
    assert not os.path.samefile(here.folder / "copies" / some["file"], some["source"])


def test_symbolic_links_are_taken_away_again_and_never_what_they_lead_to(here: tiny.Cli) -> None:
    done = here("report", "folders", "--out", "out", "--files", "symlink")
    assert "symbolic links" in done.stderr
    assert "hard links" in here("report", "folders", "--out", "hard").stderr
    before = manifest(here.folder / "out")
    for row in before:
        assert (here.folder / "out" / row["file"]).is_symlink()
        assert os.path.samefile(here.folder / "out" / row["file"], row["source"])
    Path(before[0]["source"]).rename(here.folder / "away.png")  # its link leads nowhere now
    here("cluster", "--threshold", "0.9999")
    here("report", "folders", "--out", "out", "--files", "copy", "--force", code=1)
    left = list((here.folder / "out").rglob("*.png"))
    assert not any(path.is_symlink() for path in left)
    assert len(left) == len(before) - 1
    assert all(Path(row["source"]).is_file() for row in before[1:])


def test_add_says_what_lies_in_a_folder_that_it_passes_over_and_was_not_put_there(here: tiny.Cli) -> None:
    tiny.photo(here.folder / "out/mine/bee.png", 50, 1)
    here("report", "folders", "--out", "out", "--force")
    said = here("add", ".").stderr
    assert "1 picture there that is in none of its tables" in said
    assert "out/mine/bee.png" in said
    assert here.json("add", "out/mine")["added"] == 1
    here("report", "sheets", "--out", "sheets")
    here("dedup", "--out", "twins")
    assert here("add", ".", code=None).stderr.count("none of its tables") == 1


def test_a_folder_that_is_not_empty_is_refused_and_with_force_nothing_of_others_is_lost(here: tiny.Cli) -> None:
    (here.folder / "out").mkdir()
    (here.folder / "out/mine.txt").write_text("mine")
    for arguments in (["folders"], ["sheets"], ["labels"]):
        refused = here("report", *arguments, "--out", "out", code=2).stderr
        assert "empty" in refused
        assert refused.count("\n") == 1
    assert os.listdir(here.folder / "out") == ["mine.txt"]
    here("report", "folders", "--out", "out", "--force")
    gone = Path(manifest(here.folder / "out")[0]["source"])
    gone.unlink()
    kept = manifest(here.folder / "out")[0]["file"]
    here("cluster", "--threshold", "0.9999")  # other clusters
    assert "is of other clusters" in here("report", "folders", "--out", "out", code=2).stderr
    here("report", "folders", "--out", "out", "--force", code=1)
    left = [p.relative_to(here.folder / "out").as_posix() for p in (here.folder / "out").rglob("*.png")]
    assert sorted(left) == sorted([kept, *(row["file"] for row in manifest(here.folder / "out"))])
    assert all(row["file"].startswith("not-clustered/") for row in manifest(here.folder / "out"))
    assert (here.folder / "out/mine.txt").read_text() == "mine"
    refused = here("report", "folders", "--out", "photos", "--force", code=2).stderr
    assert "photographs of the index lie in photos" in refused
    assert not (here.folder / "photos/manifest.csv").exists()


def test_force_takes_no_photograph_away_that_has_no_other_copy(here: tiny.Cli) -> None:
    out, encoder = here.folder / "out", str(here.folder / "tiny.onnx")
    here("report", "folders", "--out", "out")
    before = {path: path.read_bytes() for path in out.rglob("*.png")}
    with morphoindex.open(here.folder / "second", create=True, encoder=encoder) as second:
        second.add(out)  # taken up as photographs
        with pytest.raises(UsageError, match="photographs of the index lie in"):
            second.report_folders(out, force=True)
    shutil.rmtree(here.folder / "photos")
    here("add", "out")
    assert "photographs of the index lie in out" in here("report", "folders", "--out", "out", "--force", code=2).stderr
    assert here.json("report", "folders", "--out", "out")["before"] == len(before)  # each is its own source now
    tiny.photos(here.folder / "others", 1, 2)
    with morphoindex.open(here.folder / "third", create=True, encoder=encoder) as third:
        third.add(here.folder / "others")
        assert any("26 files of an earlier run stay" in said for said in third.report_folders(out, force=True).remarks)
    assert {path: path.read_bytes() for path in before} == before


def test_a_folder_that_photographs_are_linked_from_is_refused(here: tiny.Cli) -> None:
    here("report", "folders", "--out", "out")
    row = manifest(here.folder / "out")[0]
    Path(row["source"]).unlink()
    Path(row["source"]).symlink_to(here.folder / "out" / row["file"])
    assert "photographs of the index lie in out" in here("report", "folders", "--out", "out", "--force", code=2).stderr
    assert Path(row["source"]).exists()


def test_a_folder_of_another_command_is_refused(here: tiny.Cli) -> None:
    here("preprocess", "photos", "prepared")
    there = {path: path.read_bytes() for path in (here.folder / "prepared").rglob("*") if path.is_file()}
    for arguments in (["folders"], ["sheets"], ["folders", "--force"], ["sheets", "--force"]):
        refused = here("report", *arguments, "--out", "prepared", code=2).stderr
        assert "prepared was filled by morphoindex preprocess: name another folder" in refused
    assert {path: path.read_bytes() for path in (here.folder / "prepared").rglob("*") if path.is_file()} == there


def test_a_copy_stays_whose_original_was_overwritten(here: tiny.Cli) -> None:
    arguments = ("report", "folders", "--out", "out", "--files", "copy")
    here(*arguments)
    row = next(row for row in manifest(here.folder / "out") if not row["cluster"])
    copy = here.folder / "out" / row["file"]
    content = copy.read_bytes()
    tiny.photo(Path(row["source"]), 95, 0)
    forced = here(*arguments, "--force", code=1).stderr
    assert f"1 file of an earlier run stays, such as {row['file']}" in forced
    assert len(manifest(here.folder / "out")) == 25
    here("add", "photos")
    for _ in range(2):  # what was put there is a photograph of the index now, and would be called the same
        assert f"{row['file']} is there already, with other content" in here(*arguments, "--force", code=1).stderr
        assert copy.read_bytes() == content


def test_what_a_killed_run_put_there_is_known_to_the_next(here: tiny.Cli) -> None:
    def command(out: str) -> list[str]:
        return ["--index", str(here.folder / ".morphoindex"), "report", "folders", "--out", str(here.folder / out)]

    assert tiny.killed_at(command("out"), tiny.steps_of(command("whole")) - 60)
    assert list((here.folder / "out").rglob("*.png"))
    here("cluster", "--threshold", "0.9999")
    here("report", "folders", "--out", "out", "--force")
    left = [path.relative_to(here.folder / "out").as_posix() for path in (here.folder / "out").rglob("*.png")]
    assert sorted(left) == sorted(row["file"] for row in manifest(here.folder / "out"))
    assert {name.split("/")[0] for name in left} == {"not-clustered"}


def test_what_is_not_clustered_is_said(tmp_path: Path) -> None:
    tiny.photos(tmp_path / "photos", 1, 2)
    with morphoindex.open(tmp_path / "index", create=True, encoder=str(tiny.encoder(tmp_path / "tiny.onnx"))) as index:
        index.add(tmp_path / "photos")
        written = index.report_folders(tmp_path / "out")
        assert (written.files, written.clusters) == (2, 0)
        assert "nothing is clustered yet" in written.remarks[0]
        assert sorted(os.listdir(tmp_path / "out/not-clustered")) == ["0.png", "1.png"]
        assert index.report("clusters", out=tmp_path / "c.csv").remarks[0].startswith("nothing is in a cluster")
        assert index.table("clusters").rows == ()
        for what in (lambda: index.table("species"), lambda: index.report_labels(tmp_path / "labels")):
            with pytest.raises(UsageError, match="no specimen has a label: give them with"):
                what()


def test_outputs_have_names_that_are_not_utf_8(here: tiny.Cli) -> None:
    folder = here.folder / os.fsdecode(b"caf\xe9")
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("names are Unicode on this file system")
    raw = os.fsdecode(b"\xe9.")
    for kind, format in (("clusters", "csv"), ("species", "xlsx"), ("embeddings", "parquet"), ("embeddings", "npz")):
        for out in (raw + format, str(folder / f"a.{format}")):
            assert here.json("report", kind, "--out", out)["out"] == to_text(out)
            assert (here.folder / f"{out}.provenance.json").exists()
    shutil.copy(folder / "a.parquet", here.folder / "plain.parquet")
    read = duckdb.connect().execute(f"SELECT count(*) FROM '{here.folder}/plain.parquet'")
    assert read.fetchone() == (26,)
    here("report", "labels", "--out", str(folder / "labels"))
    here("report", "map", "--method", "pca", "--out", str(folder / "map.png"))
    assert (folder / "labels/statistics.csv").exists()


# --- labels, and wrong use -------------------------------------------------------------------------------------------


def test_labels_are_summed_up_in_a_folder(here: tiny.Cli) -> None:
    answer = here.json("report", "labels", "--out", "labels")
    assert sorted(os.listdir(here.folder / "labels")) == sorted([*answer["files"], "provenance.json"])
    assert (here.folder / "labels/unique_species.txt").read_text("utf-8").splitlines() == [
        LONG,
        "kind0",
        "kind2",
        "kind3",
    ]
    assert answer["labels"][0]["counts"] == {"Apidae": 24}
    assert answer["labels"][0]["images"] == 26


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["everything"], "No such command"),
        (["embeddings"], "--out embeddings.npz"),
        (["embeddings", "--out", "a.csv"], "npz, parquet, json, pkl, not as 'csv'"),
        (["assignments", "--out", "a.npz"], "csv, parquet, json, xlsx, not as 'npz'"),
        (["assignments", "--method", "best"], "there are hdbscan"),
        (["assignments", "--coordinates", "pca", "--coordinates", "none"], "leave one out"),
        (["species", "--by", "genus"], "there are family, species"),
        (["map", "--by", "genus"], "there are family, species"),
        (["map", "--out", "a.jpg"], "end the name so"),
        (["map", "--sample", "0"], "at least 1"),
        (["map", "--out", "no/a.png"], "cannot be written"),
        (["sheets", "--out", "tiny.onnx"], "not an empty folder"),
        (["sheets", "--out", "x", "--cluster", "nobody"], "there is no cluster 'nobody'"),
        (["folders"], "Missing option '--out'"),
    ],
)
def test_wrong_use_is_one_clear_sentence(made: tiny.Cli, arguments: list[str], words: str) -> None:
    done = made("report", *arguments, code=2)
    assert words in done.stderr
    assert done.stderr.rstrip().count("\n") == 0
    assert not (made.folder / "x").exists()


def test_no_output_takes_the_place_of_a_photograph_or_of_an_index(here: tiny.Cli, index: morphoindex.Index) -> None:
    photo = here.folder / "photos/kind0/0.png"
    before = photo.read_bytes()
    with pytest.raises(UsageError, match="a picture that morphoindex did not make"):
        index.report_map(photo, "pca")
    for inside in ("journal.jsonl", "graph/a.csv"):
        with pytest.raises(UsageError, match="lies in the index"):
            index.report("clusters", "csv", here.folder / ".morphoindex" / inside)
    index.report_map(here.folder / "map.png", "pca")
    index.report_map(here.folder / "map.png", "pca")  # ours may be replaced
    assert index.check().clean
    assert photo.read_bytes() == before
