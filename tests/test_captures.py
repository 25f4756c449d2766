"""When, where and with what a photograph was taken, as people give it: file names, metadata, tables, cameras."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Cli, draw
from tiny_encoder import write_encoder

import morphoindex
from morphoindex.errors import EmbeddingsInvalid, UsageError
from morphoindex.indexer.descriptions.captures import captures, fields
from morphoindex.indexer.photographs.crops import Crop, FrameMetadata, crop_of
from morphoindex.indexer.photographs.time_formats import time_reader

# --- times in names --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "path", "time"),
    [
        ("%Y%m%d%H%M%S", "/p/crop_20230908001617-00-06_CROPNUMBER_0.png", "2023-09-08T00:16:17"),
        ("%YYYY-%mm-%dd_%HH-%MM-%SS", "/p/cam_2024-05-01_12-30-59.jpg", "2024-05-01T12:30:59"),
        ("%YYYY%mm%dd-%HH%MM", "/p/20240501-1230_7.jpg", "2024-05-01T12:30:00"),
        ("%Y-%m-%d_%H-%M-%S.%f", "/p/2024-05-01_12-30-59.25.jpg", "2024-05-01T12:30:59.250000"),
        ("%d.%m.%y %Hh%M", "/p/Falle 3, 31.12.99 23h59.jpg", "1999-12-31T23:59:00"),
        ("%Y%j%H%M", "/p/20240601200.jpg", "2024-02-29T12:00:00"),
        ("%Y-%m-%d/%H%M%S", "/p/2024-05-01/123059.jpg", "2024-05-01T12:30:59"),
        ("(%Y%m%d%H%M)*100%%", "/p/(202405011230)*100%.jpg", "2024-05-01T12:30:00"),
        ("%Y%m%d%H%M%S", "/p/99999999999999_20240501123059.jpg", "2024-05-01T12:30:59"),
        ("%Y%m%d%H%M%S", "/20240501123059/1.jpg", None),
        ("%Y%m%d%H%M%S", "/p/120240501123059.jpg", None),
        ("%Y%m%d%H%M%S", "/p/20240501123059123.jpg", None),
        ("%Y%m%d%H%M%S", "/p/20240231123059.jpg", None),
        ("%Y%m%d%H%M%S", "/p/2024050１123059.jpg", None),
        ("%Y%j%H%M", "/p/20233661200.jpg", None),
    ],
)
def test_times_in_names(form: str, path: str, time: str | None) -> None:
    read = time_reader(form)
    if time is None:
        with pytest.raises(ValueError, match=r"no time"):
            read(path)
    else:
        assert read(path) == time


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ("%Y%m%d", "does not tell year, day, hour and minute"),
        ("%H:%M:%S", "does not tell"),
        ("", "does not tell"),
        ("%Y%m%d%H%M%q", "no field %q"),
        ("%Y%m%d%H%M%", "no field %"),
        ("%Y%m%d%H%M%mm", "%m stands in it twice"),
    ],
)
def test_what_is_no_format(form: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        time_reader(form)


# --- crops -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "crop"),
    [
        ("crop_2023-00-06_CROPNUMBER_12_UUID_a_b.png", Crop("2023-00-06", 12, "a_b")),
        ("site_crop_a_b_CROPNUMBER_0.jpg", Crop("a_b", 0, None)),
        ("x_IMAGENAME_f7_CROPNUMBER_3_CLASS_1.png", Crop("f7", 3, None)),
        ("crop_f7_CROPNUMBER_x.png", None),
        ("photo_12.jpg", None),
    ],
)
def test_names_of_crops(name: str, crop: Crop | None) -> None:
    assert crop_of(f"/p/{name}") == crop


def write_frame(folder: Path, frame: str, boxes: Any, size: int = 1000, mark: str = "u") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"metadata_{frame}_UUID_{mark}.json"
    content = {"boxes": boxes, "contours": [[[0], [0]]], "image_width": size, "image_height": size}
    path.write_text(json.dumps(content))
    return path


def box(metadata: FrameMetadata, frame: str, number: int, mark: str | None = "u", folder: str = "/p") -> Any:
    try:
        return metadata.box(Crop(frame, number, mark), f"{folder}/crop.png")
    except ValueError as error:
        return str(error)


def test_boxes_of_crops(tmp_path: Path) -> None:
    write_frame(tmp_path / "a", "f1", [[1, 2, 3, 4], [5, 6, 7, 8]])
    write_frame(tmp_path / "a", "twice", [[1, 2, 3, 4]], mark="one")
    write_frame(tmp_path / "b", "twice", [[5, 6, 7, 8]], mark="two")
    for camera in ("cam1", "cam2"):
        write_frame(tmp_path / camera, "same", [[int(camera[-1]), 2, 3, 4]])
    write_frame(tmp_path, "none", None)
    write_frame(tmp_path, "short", [[1, 2]])
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "plain.json").write_text('{"boxes": [[1, 2, 3, 4]]}')
    read = FrameMetadata(tmp_path)
    size = {"frame_width": 1000, "frame_height": 1000}
    assert box(read, "f1", 1) == {"x1": 5, "y1": 6, "x2": 7, "y2": 8, **size}
    assert box(read, "plain", 0) == {"x1": 1, "y1": 2, "x2": 3, "y2": 4}
    assert box(read, "twice", 0, "two")["x1"] == 5
    assert box(read, "same", 0, folder=str(tmp_path / "cam2" / "crops"))["x1"] == 2
    assert box(read, "f1", 2) == "crop 2 has no box: metadata_f1_UUID_u.json has 2"
    assert box(read, "f2", 0) == "no metadata of the frame f2"
    assert "of another run" in box(read, "twice", 0, "three")
    assert "several metadata files" in box(read, "same", 0)
    assert box(read, "none", 0) == "metadata_none_UUID_u.json has no list `boxes`"
    assert box(read, "short", 0) == "box 0 of metadata_short_UUID_u.json is no box: [1, 2]"
    assert "broken.json cannot be read" in box(read, "broken", 0)
    assert "not a JSON object" in box(read, "list", 0)


@pytest.mark.parametrize(
    ("row", "told", "wrong"),
    [
        ({"x1": 1, "y1": "2", "x2": 3.5, "y2": 4}, {"x1": 1, "y1": 2, "x2": 3.5, "y2": 4}, {}),
        ({"x": 5, "y": 6}, {"x1": 5, "y1": 6, "x2": 5, "y2": 6}, {}),
        ({"x": 5}, {}, {}),
        ({"x1": 0, "y1": 0, "x2": 9, "y2": 9, "frame_width": 8, "frame_height": 8},
         {"x1": 0, "y1": 0, "x2": 9, "y2": 9, "frame_width": 8, "frame_height": 8}, {}),
        ({"x1": 0, "y1": 0, "x2": 99, "y2": 9, "frame_width": 8, "frame_height": 8, "frame": "f"},
         {"frame_width": 8, "frame_height": 8, "frame": "f"}, {"box": "0, 0, 99, 9 is out of its frame of 8 × 8"}),
        ({"x1": -2, "y1": 0, "x2": 9, "y2": 9}, {}, {"box": "-2, 0, 9, 9 is out of its frame"}),
        ({"x1": 5, "y1": 0, "x2": 4, "y2": 9}, {}, {"box": "5, 0, 4, 9 ends before it begins"}),
        ({"x1": 5, "y1": 0, "x2": 6}, {}, {"box": "needs four numbers, x1, y1, x2, y2"}),
        ({"x1": "left", "y1": 0, "x2": 6, "y2": 2}, {}, {"box": "needs four numbers, x1, y1, x2, y2"}),
        ({"x1": "nan", "y1": 0, "x2": 6, "y2": 2}, {}, {"box": "needs four numbers, x1, y1, x2, y2"}),
        ({"time": "2024-05-01 12:30", "camera": " 7 ", "species": "Apis"},
         {"time": "2024-05-01T12:30:00", "camera": "7"}, {}),
        ({"time": "2024-05-01"}, {"time": "2024-05-01"}, {}),
        ({"time": "noon", "latitude": 91, "frame_width": 1.5, "crop_number": -1}, {},
         {"time": "'noon' cannot be used", "latitude": "91 cannot be used", "frame_width": "1.5 cannot be used",
          "crop_number": "-1 cannot be used"}),
        ({"time": "", "camera": None, "x1": " "}, {}, {}),
    ],
)  # fmt: skip
def test_columns_of_a_capture(row: dict[str, Any], told: dict[str, Any], wrong: dict[str, str]) -> None:
    assert fields(row) == (told, wrong)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"metadata": "nowhere"}, "no such folder or table"),
        ({"metadata": "nowhere.csv"}, "--metadata nowhere.csv: there is no such file"),
        ({"metadata": "empty"}, "no JSON files"),
        ({"metadata": "labels.csv"}, "no column tells of the capture"),
        ({"camera": " "}, "give `folder`"),
        ({"camera": "{site}_{n}"}, "no field {camera}"),
        ({"time_format": "%Y"}, "does not tell"),
    ],
)
def test_what_tells_nothing(given: dict[str, str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "labels.csv").write_text("path,species\n1.jpg,Apis\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=says):
        captures(**{"time_format": None, "metadata": None, "camera": None, **given})


@pytest.mark.parametrize(
    ("how", "camera"),
    [
        ("folder", "trap 3"),
        ("Trap A", "Trap A"),
        ("{camera}_{n}", "c7"),
        ("{camera}/{_}", "trap 3"),
        ("{camera}-{n}", None),
    ],
)
def test_cameras(how: str, camera: str | None) -> None:
    made = captures(None, None, how)
    assert made
    assert made("/p/trap 3/c7_1.jpg").get("camera") == camera
    assert list(made.troubles) == ([] if camera else ["/p/trap 3/c7_1.jpg"])


def test_names_that_are_no_text_are_stored_as_they_are_shown() -> None:
    made = captures(None, None, "folder")
    assert made
    found = made(os.fsdecode(b"/p/caf\xe9/crop_f\xff_CROPNUMBER_1.png"))
    assert found == {"camera": r"caf\xe9", "frame": r"f\xff", "crop_number": 1}


# --- in an index -----------------------------------------------------------------------------------------------------


@pytest.fixture
def index(tmp_path: Path) -> Iterator[morphoindex.Index]:
    encoder = write_encoder(tmp_path / "tiny.onnx")
    with morphoindex.open(tmp_path / ".morphoindex", create=True, encoder=str(encoder)) as opened:
        yield opened


def captured(index: morphoindex.Index) -> dict[str, dict[str, Any]]:
    """Name of the file → the capture in the store, which the catalog has, too."""
    found = {
        record.path.rpartition("/")[2]: dict(specimen.capture)
        for batch in index._session.collection.scroll()
        for specimen in batch
        for record in specimen.paths
    }
    assert index.check().clean
    return found


@pytest.fixture
def crops(tmp_path: Path) -> Path:
    """Two frames with two boxes each, a crop beyond them, one without metadata, one out of its frame, and a photo."""
    folder = tmp_path / "trap 3"
    names = [f"crop_20240501{second:06d}_CROPNUMBER_{n}_UUID_u.png" for second in (120000, 120002) for n in (0, 1)]
    names += ["crop_20240501120000_CROPNUMBER_2_UUID_u.png", "crop_20240501999999_CROPNUMBER_0_UUID_u.png", "photo.png"]
    for i, name in enumerate(names):
        draw(folder / name, 1, i)
    write_frame(tmp_path / "metadata", "20240501120000", [[0, 0, 50, 60], [100, 100, 200, 200]])
    write_frame(tmp_path / "metadata", "20240501120002", [[2, 0, 52, 60], [100, 900, 200, 1100]])
    return folder


def test_captures_are_given_to_new_and_to_known_photographs(
    index: morphoindex.Index, crops: Path, tmp_path: Path
) -> None:
    index.add(crops)
    assert set(map(str, captured(index).values())) == {"{}"}
    vectors = index._session.collection.load().matrix
    result = index.add(crops, time_format="%Y%m%d%H%M%S", metadata=tmp_path / "metadata", camera="folder")
    assert (result.added, result.known) == (0, 7)
    found = captured(index)
    assert found["crop_20240501120002_CROPNUMBER_0_UUID_u.png"] == {
        "camera": "trap 3", "time": "2024-05-01T12:00:02", "frame": "20240501120002", "crop_number": 0,
        "x1": 2, "y1": 0, "x2": 52, "y2": 60, "frame_width": 1000, "frame_height": 1000,
    }  # fmt: skip
    assert found["photo.png"] == {"camera": "trap 3"}
    assert {Path(one.path).name: one.reason for one in result.not_captured} == {
        "crop_20240501120000_CROPNUMBER_2_UUID_u.png": "crop 2 has no box: metadata_20240501120000_UUID_u.json has 2",
        "crop_20240501120002_CROPNUMBER_1_UUID_u.png": "box 100, 900, 200, 1100 is out of its frame of 1000 × 1000",
        "crop_20240501999999_CROPNUMBER_0_UUID_u.png": "20240501999999 is no time; no metadata of the frame "
        "20240501999999",
        "photo.png": "no time like %Y%m%d%H%M%S in the name; no CROPNUMBER in the name",
    }
    assert (index._session.collection.load().matrix == vectors).all()
    assert {len(one.specimens) for one in index.encounters().encounters} <= {1, 2}
    index.rebuild()
    assert captured(index) == found
    assert index.sql("SELECT count(*) FROM specimens WHERE frame = '20240501120000' AND x2 > 100").rows == ((1,),)
    where = 'frame = "20240501120000" and x1 < 50 and crop_number = 0 and time > "2024-05"'
    assert len(index.search(next(crops.glob("photo.png")), where=where).hits) == 1


def test_what_is_told_of_one_file_counts_before_what_is_told_of_all(index: morphoindex.Index, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    for i in range(3):
        draw(folder / f"2024050112000{i}.png", 1, i)
    (tmp_path / "captures.csv").write_text(
        "path;Time;camera;X;y;frame\n"
        "photos/20240501120000.png;2024-06-01T00:00:00;mine;5;6;f1\n"
        "photos/20240501120001.png;midnight;;;;\n"
        "gone.png;;;;;\n"
    )
    result = index.add(folder, time_format="%Y%m%d%H%M%S", metadata=tmp_path / "captures.csv", camera="all")
    assert captured(index) == {
        "20240501120000.png": {
            "time": "2024-06-01T00:00:00", "camera": "mine", "frame": "f1", "x1": 5, "y1": 6, "x2": 5, "y2": 6,
        },
        "20240501120001.png": {"time": "2024-05-01T12:00:01", "camera": "all"},
        "20240501120002.png": {"time": "2024-05-01T12:00:02", "camera": "all"},
    }  # fmt: skip
    assert [one.reason for one in result.not_captured] == ["time 'midnight' cannot be used"]
    assert len(result.captures_unused) == 1


def test_exif_counts_where_a_name_has_no_time(index: morphoindex.Index, tmp_path: Path) -> None:
    from PIL import Image

    for name in ("20240501120000.jpg", "holiday.jpg"):
        exif = Image.Exif()
        exif[0x0110] = "D850"
        exif.get_ifd(0x8769)[0x9003] = "2020:01:01 00:00:00"
        with Image.open(draw(tmp_path / "one.png", 1, len(name))) as image:
            image.save(tmp_path / name, exif=exif)
    index.add([tmp_path / "20240501120000.jpg", tmp_path / "holiday.jpg"], time_format="%Y%m%d%H%M%S")
    assert captured(index) == {
        "20240501120000.jpg": {"time": "2024-05-01T12:00:00", "camera": "D850"},
        "holiday.jpg": {"time": "2020-01-01T00:00:00", "camera": "D850"},
    }
    index.add(tmp_path / "holiday.jpg", camera="Trap 1")
    assert captured(index)["holiday.jpg"] == {"time": "2020-01-01T00:00:00", "camera": "Trap 1"}


def test_of_two_paths_the_first_one_counts(index: morphoindex.Index, tmp_path: Path) -> None:
    first = draw(tmp_path / "a" / "1.png", 1)
    second = tmp_path / "b" / "1.png"
    second.parent.mkdir()
    second.write_bytes(first.read_bytes())
    index.add(first, camera="folder")
    index.add(second, camera="folder")
    assert captured(index) == {"1.png": {"camera": "a"}}


def test_captures_of_vectors_made_elsewhere(tmp_path: Path) -> None:
    with morphoindex.open(tmp_path / "index", create=True) as index:
        with pytest.raises(EmbeddingsInvalid, match=r"the box in row 0 cannot be used: needs four numbers"):
            index.add_embeddings(["a"], [[1.0, 0.0]], metadata=[{"x1": 5}])
        index.add_embeddings(["a"], [[1.0, 0.0]], metadata=[{"x": 5, "y": 6, "frame": "f", "species": "Apis"}])
        row = index.sql("SELECT frame, x1, y2, species FROM specimens").rows
    assert row == (("f", 5.0, 6.0, "Apis"),)


def test_the_command_line(cli: Cli, crops: Path) -> None:
    given = ("--time-format", "%YYYY%mm%dd%HH%MM%SS", "--metadata", "metadata", "--camera", "folder")
    shown = cli("add", crops, *given).stdout
    assert "4 captures not as given" in shown
    assert "crop 2 has no box" in shown
    shown = cli("encounters").stdout
    assert "of 5 images" in shown
    assert "2 specimens without a time" in shown
    found = cli.json("encounters", "--similarity", "0.99999", "--quick-gap", "0", "--distance", "0")
    assert [one["images"] for one in found["encounters"]] == [1] * 5
    assert found["days"] == [{"camera": "trap 3", "day": "2024-05-01", "images": 5, "encounters": 5}]
    assert (found["without_time"], found["without_camera"], found["without_place"]) == (2, 0, 2)
    cli("cluster", "--threshold", "-1")
    assert "images  encounters" in cli("cluster", "--threshold", "-1").stdout
    assert "images  encounters" in cli("clusters", "list").stdout
    assert "7 specimens in 5 encounters" in cli("clusters", "show", "C0001").stdout
    assert "7 specimens in 5 encounters" in cli("report").stdout
    assert "encounters  5" in cli("status").stdout
    assert "--gap" in cli("encounters", "--gap", "soon", code=2).stderr
    assert "--embeddings stands alone" in cli("add", "--embeddings", "x.npz", "--camera", "a", code=2).stderr
