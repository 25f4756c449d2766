"""Tables as files: what is read again is what was written, cell by cell."""

from __future__ import annotations

import csv
import datetime
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl.utils.escape import unescape

import morphoindex
from morphoindex.errors import UsageError
from morphoindex.indexer.files import table_files
from morphoindex.indexer.files.label_summaries import write_label_summaries
from morphoindex.indexer.files.provenance import provenance_file, write_provenance
from morphoindex.indexer.files.replacing import clear_leftovers, replacing
from morphoindex.indexer.files.table_files import MOST_ROWS, Sheet, format_of, sheet_names, write_table, write_workbook
from morphoindex.indexer.settings import EncoderEntry

HARD = [
    "=1+1", "+1", "-1", "@SUM(A1)", "https://example.org", "00123", "1e5", " led ", "🦋 🐞", "Käfer/Wanze", "x" * 300,
    "a\nb", 'say "so", twice', "_x0041_", "TRUE", "",
]  # fmt: skip
TYPES: dict[str, table_files.Kind] = {"count": "integer", "share": "number", "sure": "boolean"}


def hard_sheet(name: str = "all") -> Sheet:
    rows: list[list[Any]] = [[text, i, i / 7, i % 2 == 0] for i, text in enumerate(HARD)]
    rows += [[None, None, math.nan, None], ["inf", 10**18, math.inf, True]]
    return Sheet(("text", "count", "share", "sure"), rows, TYPES, name=name)


def cells(path: Path, sheet: str | None = None) -> list[tuple[Any, ...]]:
    book = openpyxl.load_workbook(path)
    return list((book[sheet] if sheet else book.worksheets[0]).iter_rows(values_only=True))


def test_a_workbook_holds_what_was_written_and_no_formula(tmp_path: Path) -> None:
    out = tmp_path / "a.xlsx"
    assert write_table(out, hard_sheet(), "xlsx").rows == len(HARD) + 2
    book = openpyxl.load_workbook(out)
    assert book.sheetnames == ["all"]
    head, *rows = book["all"].iter_rows()
    assert [cell.value for cell in head] == ["text", "count", "share", "sure"]
    for i, (text, row) in enumerate(zip(HARD, rows, strict=False)):
        found = [unescape(cell.value) if cell.data_type == "s" else cell.value for cell in row]  # as Excel reads it
        assert found == [text or None, i, pytest.approx(i / 7), i % 2 == 0]
        assert [cell.data_type for cell in row] == ["s" if text else "n", "n", "n", "b"]
        assert row[0].hyperlink is None
    assert [[cell.value for cell in row] for row in rows[-2:]] == [[None] * 4, ["inf", str(10**18), None, True]]
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("format", ["csv", "parquet", "json"])
def test_other_formats_hold_it_too(tmp_path: Path, format: str) -> None:
    out = tmp_path / f"a.{format}"
    assert write_table(out, hard_sheet(), format).rows == len(HARD) + 2
    if format == "csv":
        with open(out, newline="", encoding="utf-8") as file:
            found = [row["text"] for row in csv.DictReader(file)]
        assert found == [*HARD, "", "inf"]
        return
    if format == "json":
        rows = json.loads(out.read_text("utf-8"), parse_constant=pytest.fail)
        read = [tuple(row.values()) for row in rows]
    else:
        read = duckdb.connect().execute(f"SELECT * FROM '{out}'").fetchall()
    assert [row[0] for row in read] == [*HARD, None, "inf"]
    assert read[5] == ("00123", 5, 5 / 7, False)
    assert read[-2:] == [(None, None, None, None), ("inf", 10**18, None, True)]


def test_rows_are_put_in_order_and_raw_bytes_stay_readable(tmp_path: Path) -> None:
    sheet = Sheet(("path", "n"), [("b", 1), ("a", 2), ("a", 1), ("caf\udce9", 0)], {"n": "integer"}, ("path", "n"))
    for format in ("csv", "xlsx"):
        write_table(tmp_path / f"a.{format}", sheet, format)
    assert (tmp_path / "a.csv").read_text("utf-8").splitlines() == ["path,n", "a,1", "a,2", "b,1", "caf\\udce9,0"]
    assert cells(tmp_path / "a.xlsx")[1:] == [("a", 1), ("a", 2), ("b", 1), ("caf\\udce9", 0)]


def test_several_sheets_have_names_that_excel_takes(tmp_path: Path) -> None:
    wishes = ["Käfer/Wanze", "Käfer?Wanze", "x" * 300, "X" * 300, "", "History", "'a'", "🦋" * 40]
    names = ["Käfer_Wanze", "Käfer_Wanze 2", "x" * 31, "X" * 29 + " 2", "Sheet", "History_", "a", "🦋" * 15]
    assert sheet_names(wishes) == names
    out = tmp_path / "a.xlsx"
    assert (
        write_workbook(out, [Sheet(("n",), [(i,)], {"n": "integer"}, name=w) for i, w in enumerate(wishes)]).rows == 8
    )
    book = openpyxl.load_workbook(out)
    assert book.sheetnames == names
    assert [cells(out, name) for name in names] == [[("n",), (i,)] for i in range(8)]


@given(st.lists(st.text(max_size=40), max_size=8))
def test_sheet_names_are_distinct_and_short(wishes: list[str]) -> None:
    names = sheet_names(wishes)
    assert len({name.casefold() for name in names}) == len(wishes)
    for name in names:
        assert 0 < len(name.encode("utf-16-le")) // 2 <= 31
        assert not set(name) & set("[]:*?/\\")
        assert name.strip("'") == name


def test_long_texts_are_cut_and_counted(tmp_path: Path) -> None:
    texts = ["x" * 32_767, "x" * 32_768, "🦋" * 16_383, "🦋" * 16_384]
    written = write_table(tmp_path / "a.xlsx", Sheet(("text",), [(t,) for t in texts]), "xlsx")
    assert (written.rows, written.cut) == (4, 2)
    found = [row[0] for row in cells(tmp_path / "a.xlsx")[1:]]
    assert found[::2] == texts[::2]
    assert found[1] == "x" * 32_759 + " … [cut]"
    assert found[3].startswith("🦋" * 16_379)
    assert found[3].endswith("🦋 … [cut]")


def test_more_rows_than_a_sheet_takes_are_refused_and_the_former_file_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "a.xlsx"
    monkeypatch.setattr(table_files, "MOST_ROWS", 5)  # the real limit is tried by hand: it takes half a minute
    out.write_bytes(b"former")
    with pytest.raises(UsageError, match="5 rows, and a sheet of Excel takes 4: write csv or parquet"):
        write_table(out, Sheet(("n",), [(str(i),) for i in range(5)]), "xlsx")
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("a.xlsx", b"former")]
    assert write_table(out, Sheet(("n",), [(str(i),) for i in range(4)]), "xlsx").rows == 4
    assert MOST_ROWS == 2**20


def test_a_file_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    for format in table_files.FORMATS:
        with pytest.raises(UsageError, match="cannot be written: No such file or directory"):
            write_table(tmp_path / "no" / f"a.{format}", hard_sheet(), format)
        (tmp_path / f"folder.{format}").mkdir()
        with pytest.raises(UsageError, match="cannot be written: it is a folder"):
            write_table(tmp_path / f"folder.{format}", hard_sheet(), format)

    def fails() -> Any:
        yield ("a",)
        raise UsageError("no more")

    for format in table_files.FORMATS:
        with pytest.raises(UsageError, match="no more"):
            write_table(tmp_path / f"b.{format}", Sheet(("text",), fails()), format)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(f"folder.{format}" for format in table_files.FORMATS)


@pytest.mark.parametrize("format", table_files.FORMATS)
def test_a_path_that_is_not_utf_8_is_written_as_any_other(tmp_path: Path, format: str) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("names are Unicode on this file system")
    for out in (folder / f"a.{format}", tmp_path / os.fsdecode(b"\xe9." + format.encode()), tmp_path / f"a.{format}"):
        assert write_table(out, hard_sheet(), format).rows == len(HARD) + 2
        out.write_bytes(b"former")
        write_table(out, hard_sheet(), format)
    if format == "xlsx":  # says when it was made
        assert cells(folder / "a.xlsx") == cells(tmp_path / "a.xlsx")
    else:
        assert (folder / f"a.{format}").read_bytes() == (tmp_path / f"a.{format}").read_bytes()
    assert len(list(tmp_path.rglob("*"))) == 4  # the folder, and three files


def test_what_lies_beside_a_file_stays_as_it_is(tmp_path: Path) -> None:
    precious = tmp_path / "precious.txt"
    precious.write_text("precious")
    os.link(precious, tmp_path / "a.csv.part")
    (tmp_path / "tmp_a.csv.part").write_text("this too")
    for name in ("a.csv", "x" * 251 + ".csv", "🦋" * 62 + ".csv"):
        write_table(tmp_path / name, hard_sheet(), "csv")
        (tmp_path / name).unlink()
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {
        "precious.txt": "precious", "a.csv.part": "precious", "tmp_a.csv.part": "this too"
    }  # fmt: skip


def test_a_file_that_is_being_written_is_new_hidden_and_of_the_usual_mode(tmp_path: Path) -> None:
    out, usual = tmp_path / "a.csv", tmp_path / "usual"
    usual.touch()
    with replacing(out) as one, replacing(out) as other:
        assert one != other
        assert {file.name for file in tmp_path.iterdir() if not file.name.startswith(".")} == {"usual"}
        one.write_text("first")
        other.write_text("last")
    assert (out.read_text(), out.stat().st_mode) == ("first", usual.stat().st_mode)
    kept = [".a.csv.part", ".part", "b.0123456789abcdef.part"]
    for name in [*kept, ".a.csv.0123456789abcdef.part"]:
        (tmp_path / name).touch()
    clear_leftovers(tmp_path)
    assert sorted(os.listdir(tmp_path)) == sorted([*kept, "a.csv", "usual"])


def test_the_format_is_that_of_the_ending() -> None:
    assert format_of(Path("a.CSV"), None) == "csv"
    assert format_of(Path("a.csv"), "json") == "json"
    for name, said in (("a.txt", "not as 'txt'"), ("a", "not as no ending")):
        with pytest.raises(UsageError, match=f"csv, parquet, json, xlsx, {said}"):
            format_of(Path(name), None)


def test_a_workbook_of_a_hundred_thousand_rows_takes_little_memory(tmp_path: Path) -> None:
    """Writing it grows the process by less than the workbook would take as objects."""
    program = (
        "import resource\nfrom pathlib import Path\n"
        "from morphoindex.indexer.files.table_files import Sheet, write_table\n"
        "import xlsxwriter\n"
        "start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "rows = ((f'photos/{i}.jpg', f'{i:032x}', i) for i in range(100_000))\n"
        "print(write_table(Path('a.xlsx'), Sheet(('path', 'id', 'n'), rows, {'n': 'integer'}), 'xlsx').rows)\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - start) // 1024)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    rows, megabytes = map(int, done.stdout.split())
    assert rows == 100_000
    assert megabytes < 150


def test_provenance_says_how_it_was_made(tmp_path: Path) -> None:
    out = tmp_path / "a.csv"
    out.touch()
    entry = EncoderEntry("tiny", "f" * 64, 24)
    file = write_provenance(out, "report map", {"method": "pca", "seed": 0}, entry, specimens=3)
    assert file == tmp_path / "a.csv.provenance.json" == provenance_file(out)
    said = json.loads(file.read_text("utf-8"))
    assert abs(datetime.datetime.now(datetime.UTC) - datetime.datetime.fromisoformat(said.pop("date"))).days == 0
    assert said == {
        "made_by": "morphoindex", "version": morphoindex.__version__, "command": "report map",
        "encoder": {"name": "tiny", "fingerprint": "f" * 64, "dimensions": 24},
        "parameters": {"method": "pca", "seed": 0}, "specimens": 3,
    }  # fmt: skip
    assert write_provenance(tmp_path, "preprocess", {}, None) == tmp_path / "provenance.json"
    assert json.loads((tmp_path / "provenance.json").read_text("utf-8"))["encoder"] is None


def test_labels_are_summed_up(tmp_path: Path) -> None:
    rows = [
        {"family": "Apidae", "species": "Apis mellifera", "a/b": "x\ny"},
        {"family": "Apidae", "species": "Bombus/🐝", "a/b": ""},
        {"family": "Syrphidae", "species": None, "a/b": "z" * 300},
        {"family": "Apidae", "species": "Apis mellifera"},
    ]
    written = write_label_summaries(rows, ["family", "species", "a/b", "empty"], tmp_path)
    key = "a_b-c14cddc0"
    assert written.files == (
        "statistics.csv", "family_counts.csv", "unique_family.txt", "species_counts.csv", "unique_species.txt",
        f"{key}_counts.csv", f"unique_{key}.txt", "empty_counts.csv", "unique_empty.txt",
    )  # fmt: skip
    assert sorted(written.files) == sorted(os.listdir(tmp_path))

    def read(name: str) -> str:
        return (tmp_path / name).read_text("utf-8")

    assert read("family_counts.csv") == "family,images,share\nApidae,3,0.75\nSyrphidae,1,0.25\n"
    assert read("unique_species.txt") == "Apis mellifera\nBombus/🐝\n"
    assert read(f"unique_{key}.txt") == "x\\x0ay\n" + "z" * 300 + "\n"
    assert (read("unique_empty.txt"), read("empty_counts.csv")) == ("", "empty,images,share\n")
    with open(tmp_path / "statistics.csv", newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert table[0] == {
        "label": "family", "images": "4", "labelled": "4", "unlabelled": "0", "values": "2", "most": "3",
        "most_frequent": "Apidae", "fewest": "1", "median": "2.0", "single": "1", "evenness": "0.8113",
    }  # fmt: skip
    assert [row["unlabelled"] for row in table] == ["0", "1", "2", "4"]
    assert list(table[3].values())[4:] == ["0", "", "", "", "", "0", ""]
