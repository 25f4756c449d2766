"""Labels from folders, patterns and tables, and what can be asked of them."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Iterator
from datetime import date, datetime, time
from pathlib import Path

import openpyxl
import pytest
from conftest import Cli, draw
from tiny_encoder import write_encoder

import morphoindex
from morphoindex.errors import UsageError
from morphoindex.indexer.descriptions.labels import labeller


@pytest.fixture
def index(tmp_path: Path) -> Iterator[morphoindex.Index]:
    encoder = write_encoder(tmp_path / "tiny.onnx")
    with morphoindex.open(tmp_path / ".morphoindex", create=True, encoder=str(encoder)) as opened:
        yield opened


def labels_by_path(index: morphoindex.Index, folder: Path) -> dict[str, dict[str, str]]:
    """Path below the folder → the labels of the specimen there, from the store."""
    return {
        os.path.relpath(index._session.roots.join(*record.key), folder): dict(specimen.labels)
        for batch in index._session.collection.scroll()
        for specimen in batch
        for record in specimen.paths
    }


# --- what a labeller reads -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "path", "labels"),
    [
        ("folder", "/p/Apis mellifera/1.jpg", {"species": "Apis mellifera"}),
        ("folder=genus", "/p/Apis/1.jpg", {"genus": "Apis"}),
        ("folder", "/1.jpg", {}),
        ("{order}-{family}_{n}", "/p/Diptera-Syrphidae_12.jpg", {"order": "Diptera", "family": "Syrphidae"}),
        ("{order}-{family}_{n}", "/p/Diptera_12.jpg", {}),
        ("{order}-{family}_{n}", "/p/Diptera-Syr-phidae_1_2.jpg", {"order": "Diptera", "family": "Syr-phidae"}),
        ("{site}/{species}_{_}", "/p/meadow/Apis_1.jpg", {"site": "meadow", "species": "Apis"}),
        ("{site}/{}/{species}_{_}", "/p/meadow/raw/Apis_1.jpg", {"site": "meadow", "species": "Apis"}),
        ("./{site}/{species}", "/p/meadow/Apis.jpg", {"site": "meadow", "species": "Apis"}),
        ("{species}_{n}.jpg", "/p/Apis_1.jpg", {"species": "Apis"}),
        ("{species}_{n}.jpg", "/p/Apis_1.png", {}),
        ("{code}.{part}", "/p/MHNG.12.jpg", {"code": "MHNG", "part": "12"}),
        ("({species})*", "/p/(Apis)*.jpg", {"species": "Apis"}),
        ("folder", os.fsdecode(b"/p/caf\xe9/1.jpg"), {"species": r"caf\xe9"}),
    ],
)
def test_labels_from_a_path(how: str, path: str, labels: dict[str, str]) -> None:
    assert labeller(how)(path) == labels


def test_a_pattern_that_fits_no_file_is_told() -> None:
    read = labeller("{a}--{b}")
    assert read.unused() == []
    read("/p/one.jpg")
    assert read.unused() == ["{a}--{b}"]
    read("/p/one--two.jpg")
    assert read.unused() == []


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("species", "give `folder`"),
        ("{species}_{species}", "twice"),
        ("{n}_{_}", "no named field"),
        ("{Sex}_{sex}", "twice"),
        ('{a"b}', "double quote"),
        ("folder=a\\b", "backslash"),
        ("nowhere.csv", "no such file"),
        ("README.txt", "no such file"),
    ],
)
def test_what_is_no_labels(how: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=says):
        labeller(how)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no column `path`; its columns are none"),
        (b"file,species\na.jpg,Apis\n", "its columns are file, species"),
        ("path,Größe\na.jpg,1\n".encode("latin-1"), "UTF-8"),
        ("path,species\n".encode("utf-16"), "UTF-8"),
        (b'path,"5"" long"\na.jpg,1\n', "double quote"),
        (b"path,Species,species\na.jpg,1,2\n", "the columns Species and species are one"),
        (b"path,sex,sex\na.jpg,1,2\n", "rename or delete one"),
        (b"path,species,sex\na.jpg,Apis,f\nb.jpg,Apis, L.,f\n", "line 3: it has more cells .* a comma in them"),
        (b"path,sex\na.jpg,f\nb.jpg,f\n./a.jpg,m\n", "a.jpg has several rows, by which its sex is f and m"),
        (b'path,species\n"' + b"x" * 200_000 + b'",Apis\n', "CSV"),
    ],
)
def test_what_is_no_table(content: bytes, says: str, tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_bytes(content)
    with pytest.raises(UsageError, match=says):
        labeller(str(table))


@pytest.mark.parametrize(
    "content",
    [
        b"path,species,sex\n1.jpg,Apis mellifera,f\n",
        b"path;species;sex\n1.jpg;Apis mellifera;f\n",
        b"path\tspecies\tsex\n1.jpg\tApis mellifera\tf\n",
        b"\xef\xbb\xbfpath,species,sex\r\n1.jpg,Apis mellifera,f\r\n",
        b'\xef\xbb\xbf"species";"path";"sex"\n"Apis mellifera";"1.jpg";"f"\n',
        b" Path , species , sex \n 1.jpg , Apis mellifera , f \n",
        b"path,species,sex,\n\n1.jpg,Apis mellifera,f\n,,\n",
        b'path;species;sex;"length, mm, dry"\n1.jpg;Apis mellifera;f\n',
        b"path,species,sex\n1.jpg,Apis mellifera,\n1.jpg,,f\n1.jpg,Apis mellifera,f\n",
        b"path,species,sex\n./x/../1.jpg,Apis mellifera,f,, ,\n",
    ],
)
def test_tables_as_people_save_them(content: bytes, tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_bytes(content)
    read = labeller(str(table))
    assert read(f"{tmp_path}/1.jpg") == {"species": "Apis mellifera", "sex": "f"}
    assert read.unused() == []


def test_workbooks(tmp_path: Path) -> None:
    path = tmp_path / "labels.xlsx"
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(["Path", "Species", "collected", "at", "number", "catalogue", "length", "sure", "wrong", None])
    moment, day = datetime(2026, 5, 31, 21, 5), datetime(2026, 5, 31)
    sheet.append(["1.jpg", " Apis mellifera ", day, moment, 12.0, 42, 0.1, True, "#N/A"])
    sheet.append(["2.jpg", "Osmia", date(2026, 6, 1), time(7, 30), None, None, None, None, None, "beyond"])
    sheet.append([None, "nothing"])
    sheet["F2"].number_format = "00000"
    sheet["I2"].data_type = "e"
    book.create_sheet("other").append(["no", "labels"])
    book.save(path)
    read = labeller(str(path))
    assert read(f"{tmp_path}/1.jpg") == {
        "species": "Apis mellifera", "collected": "2026-05-31", "at": "2026-05-31T21:05:00", "number": "12",
        "catalogue": "00042", "length": "0.1", "sure": "TRUE",
    }  # fmt: skip
    assert read(f"{tmp_path}/2.jpg") == {"species": "Osmia", "collected": "2026-06-01", "at": "07:30:00"}
    assert read.unused() == []


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.xlsx", b"path,species\n", "cannot be read as an Excel workbook .*save it as .xlsx or as CSV"),
        ("a.xlsx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "without a password"),  # how an encrypted one begins
        ("a.xls", b"\xd0\xcf\x11\xe0", "save it as .xlsx or .csv"),
        ("a.ods", b"PK", "save it as .xlsx or .csv"),
    ],
)
def test_what_is_no_workbook(name: str, content: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=says):
        labeller(str(tmp_path / name))


def test_how_a_table_names_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "photos" / "deep").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "photos")
    rows = {
        "below the table": ("deep/1.jpg", "photos/deep/1.jpg"),
        "absolute": (f"{tmp_path}/other/2.jpg", "other/2.jpg"),
        "absolute by a link": (f"{tmp_path}/link/deep/3.jpg", "photos/deep/3.jpg"),
        "bare": ("4.jpg", "other/4.jpg"),
        "beside": ("../other/5.jpg", "other/5.jpg"),
        "from here": ("other/6.jpg", "other/6.jpg"),
        "composed": ("Käfer.jpg", "photos/Ka\u0308fer.jpg"),
        "of Windows": (r".\photos\deep\7.jpg", "photos/deep/7.jpg"),
        "escaped": (r"caf\xe9.jpg", os.fsdecode(b"photos/caf\xe9.jpg")),
    }
    table = tmp_path / "photos" / "labels.csv"
    table.write_text("path,how\n" + "".join(f"{row},{how}\n" for how, (row, _) in rows.items()), "utf-8")
    monkeypatch.chdir(tmp_path)
    read = labeller("photos/labels.csv")
    assert {how: read(f"{tmp_path}/{path}") for how, (_, path) in rows.items()} == {how: {"how": how} for how in rows}
    assert read(f"{tmp_path}/other/1.jpg") == {}
    assert read.unused() == []


def test_a_name_that_several_files_have_is_told(cli: Cli, photos: Path) -> None:
    rows = "".join(f"{i}.png,X\n" for i in range(5))
    (photos / "labels.csv").write_text(f"path,species\n{rows}kind0/0.png,Y\n")
    for how in (["--dry-run"], []):
        said = cli("add", "photos", "--labels", "photos/labels.csv", *how).stdout
        assert "Labels: 1.png names several files, such as photos/kind0/1.png and photos/kind1/1.png: " in said
        assert "Labels: … and so do 2 more names: --json lists all.\n" in said
    several = cli.json("add", "photos", "--labels", "photos/labels.csv")["labels"]["several"]
    assert several["0.png"] == [str(photos / "kind1/0.png"), str(photos / "kind2/0.png")]  # kind0 has a row of its own
    (photos / "labels.csv").write_text("path,species\nkind0/1.png,X\n")
    assert cli.json("add", "photos", "--labels", "photos/labels.csv")["labels"]["several"] == {}


# --- labels in the index ---------------------------------------------------------------------------------------------


def test_rows_that_meet_no_file_and_files_without_a_row_are_told(
    index: morphoindex.Index, photos: Path, tmp_path: Path
) -> None:
    (photos / "labels.csv").write_text("path,species\nkind0/0.png,A\nkind0/gone.png,B\nnope/1.png,C\n")
    result = index.add(photos, labels=str(photos / "labels.csv"))
    assert result.added == 24
    assert result.labels is not None
    assert result.labels.unused == ("kind0/gone.png", "nope/1.png")
    assert (result.labels.first, result.labels.without) == (1, 23)
    assert labels_by_path(index, photos)["kind0/0.png"] == {"species": "A"}
    assert labels_by_path(index, photos)["kind0/1.png"] == {}


def test_labels_later_without_reading(index: morphoindex.Index, photos: Path) -> None:
    index.add(photos)
    for path in photos.rglob("*.png"):  # not a picture any more, and nobody notices: nothing is read
        status = path.stat()
        path.write_bytes(b"\0" * status.st_size)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    result = index.add(photos, labels="folder")
    assert (result.added, result.known, result.refused) == (0, 24, ())
    assert set(map(str, labels_by_path(index, photos).values())) == {str({"species": f"kind{k}"}) for k in range(4)}
    assert index.add(photos, labels="folder=kind").known == 24
    assert labels_by_path(index, photos)["kind2/3.png"] == {"species": "kind2", "kind": "kind2"}
    assert index.check().clean


def test_the_first_path_decides_and_others_fill_in(index: morphoindex.Index, tmp_path: Path) -> None:
    draw(tmp_path / "p" / "a" / "1.png", 1)
    (tmp_path / "p" / "b").mkdir()
    shutil.copy(tmp_path / "p" / "a" / "1.png", tmp_path / "p" / "b" / "1.png")
    table = tmp_path / "p" / "labels.csv"
    table.write_text("path,species,sex,site\na/1.png,A,,meadow\nb/1.png,B,f,\n")
    index.add(tmp_path / "p", labels=str(table))
    expected = {"species": "A", "sex": "f", "site": "meadow"}
    assert labels_by_path(index, tmp_path / "p") == {"a/1.png": expected, "b/1.png": expected}
    table.write_text("path,species,sex,site\nb/1.png,C,m,garden\na/1.png,A,f,meadow\n")
    index.add(tmp_path / "p", labels=str(table))
    assert labels_by_path(index, tmp_path / "p") == {"a/1.png": expected, "b/1.png": expected}
    table.write_text("path,species\na/1.png,D\n")
    index.add(tmp_path / "p", labels=str(table))
    assert labels_by_path(index, tmp_path / "p")["b/1.png"] == {**expected, "species": "D"}


@pytest.mark.parametrize("copied_first", [True, False])
def test_copies_in_one_run_and_in_two(index: morphoindex.Index, tmp_path: Path, copied_first: bool) -> None:
    draw(tmp_path / "p" / "B" / "1.png", 1)
    if not copied_first:
        index.add(tmp_path / "p", labels="folder")
    (tmp_path / "p" / "A").mkdir()
    shutil.copy(tmp_path / "p" / "B" / "1.png", tmp_path / "p" / "A" / "1.png")
    index.add(tmp_path / "p", labels="folder")
    first = {"species": "A" if copied_first else "B"}
    assert labels_by_path(index, tmp_path / "p") == {"A/1.png": first, "B/1.png": first}


def test_labels_of_a_folder_with_a_name_that_is_no_unicode(index: morphoindex.Index, tmp_path: Path) -> None:
    folder = os.path.join(os.fsencode(tmp_path), b"p", b"caf\xe9")
    draw(tmp_path / "1.png", 1)
    os.makedirs(folder)
    os.rename(tmp_path / "1.png", os.path.join(folder, b"1.png"))
    assert index.add(tmp_path / "p", labels="folder").added == 1
    assert index.search(os.fsdecode(os.path.join(folder, b"1.png"))).hits[0].labels == {"species": r"caf\xe9"}
    assert index.check().clean


COLUMNS = {
    "width": "broad", "time": "noon", "species": "Apis", "No. of segments": "7", "a.b.c": "dots", "it's": "quoted",
    "🪲": "beetle", "path": None, "id": "42", "cluster": "none", "Größe (mm)": "3", "label_label_x": "odd",
    "SELECT": "1", "Duplicate_of": "no", "pca_1": "0.5",
}  # fmt: skip
OWN = ("width", "time", "id", "cluster", "Duplicate_of", "pca_1")
"""Those of them that the index has itself."""


def test_columns_of_any_name(index: morphoindex.Index, photos: Path, tmp_path: Path) -> None:
    columns = {name: value for name, value in COLUMNS.items() if value is not None}
    table = photos / "labels.csv"
    table.write_text(f"path,{','.join(columns)}\nkind0/0.png,{','.join(columns.values())}\n", "utf-8")
    index.add(photos, labels=str(table))
    columns = {f"label_{name}" if name in OWN else name: value for name, value in columns.items()}
    assert labels_by_path(index, photos)["kind0/0.png"] == columns
    assert set(index.status().labels) == set(columns)
    for name, value in columns.items():
        found = index.search(str(photos / "kind1" / "0.png"), 30, where=f'"{name}" = "{value}"')
        assert [hit.labels for hit in found.hits] == [columns], name
        assert len(index.search(str(photos / "kind1" / "0.png"), 30, where=f'"{name}" is missing').hits) == 23, name
    asked = index.sql("SELECT * FROM specimens WHERE species = 'Apis'")
    assert len(asked.rows) == 1
    assert set(columns.values()) <= set(asked.rows[0])
    assert len({column.lower() for column in asked.columns}) == len(asked.columns)
    index.report("assignments", "json", tmp_path / "out.json")
    rows = json.loads((tmp_path / "out.json").read_text("utf-8"))
    labelled = [row for row in rows if row["species"] == "Apis"]
    assert len(rows) == 24
    assert len(labelled) == 1
    assert columns.items() <= labelled[0].items()
    index.add(photos, labels=str(table))
    index.report("assignments", "csv", tmp_path / "out.csv")
    assert index.add(photos, labels=str(tmp_path / "out.csv")).labels == index.add(photos, labels=str(table)).labels
    assert set(index.status().labels) == set(columns)
    assert index.check().clean


def test_columns_with_names_of_the_index_are_told(cli: Cli, photos: Path) -> None:
    (photos / "labels.csv").write_text("path,cluster,label_Cluster\nkind0/0.png,A,B\n")
    said = cli("add", "photos", "--labels", "photos/labels.csv", code=2).stderr
    assert "the label columns cluster and label_Cluster would both be label_cluster here: rename one" in said
    (photos / "labels.csv").write_text("path,cluster\nkind0/0.png,A\n")
    done = cli("add", "photos", "--labels", "photos/labels.csv")
    assert "the label column cluster is called label_cluster here: the index has a column of that name" in done.stderr
    assert "new to the index: label_cluster." in done.stdout
    assert cli.json("status")["labels"] == ["label_cluster"]
    assert cli.json("sample", "-n", "2", "--by", "cluster")["by"] == "label_cluster"


def test_case_does_not_count_in_names_of_columns(index: morphoindex.Index, photos: Path) -> None:
    table = photos / "labels.csv"
    table.write_text("path,Sex\nkind0/0.png,f\n")
    index.add(photos, labels=str(table))
    table.write_text("PATH,SPECIES,sex\nkind0/1.png,Apis,m\n")
    index.add(photos, labels=str(table))
    assert index.status().labels == ("Sex", "species")
    assert labels_by_path(index, photos)["kind0/1.png"] == {"Sex": "m", "species": "Apis"}
    assert index.sql("SELECT count(sex) FROM specimens").rows == ((2,),)
    assert len(index.search(str(photos / "kind1/0.png"), 30, where='SEX = "m"').hits) == 1
    assert index.sample(1, by="Species").by == "species"


def test_a_column_that_cannot_be_searched_is_refused_before_anything_is_read(cli: Cli, photos: Path) -> None:
    (photos / "labels.csv").write_text('path,"length ("")"\nkind0/0.png,3\n')
    done = cli("add", "photos", "--labels", "photos/labels.csv", code=2)
    assert "double quote" in done.stderr
    assert "rename it" in done.stderr


def test_an_edited_report_brings_its_labels_and_nothing_else(index: morphoindex.Index, tmp_path: Path) -> None:
    photos = tmp_path / "apis"
    photos.mkdir()
    for i in range(3):
        draw(photos / f"{i}.png", 0, i)
    index.add(photos, labels="folder")
    index.cluster(threshold=0.5)
    report = tmp_path / "assignments.csv"
    index.report("assignments", "csv", report)
    report.write_text(report.read_text("utf-8").replace(",apis", ",osmia"), "utf-8")
    index.add(photos, labels=str(report))
    assert index.status().labels == ("species",)
    assert {found["species"] for found in labels_by_path(index, photos).values()} == {"osmia"}
    with open(report, encoding="utf-8", newline="") as file:
        rows = [(row["path"], row["cluster"], row["cluster_name"], "apis") for row in csv.DictReader(file)]
    with open(report, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("path", "cluster", "cluster_name", "species"), *rows])
    index.add(photos, labels=str(report))
    assert index.status().labels == ("species",)
    assert {found["species"] for found in labels_by_path(index, photos).values()} == {"apis"}
