"""The sample collection: what it promises is what lies on disk."""

import csv
import io
import itertools
import json
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from morphoindex.demo import Collection, draw_collection
from morphoindex.demo.backgrounds import BACKGROUNDS
from morphoindex.demo.collection import LABELS, PLANTED
from morphoindex.demo.drawing import FORMS
from morphoindex.demo.plan import plan
from morphoindex.demo.sketch import Sketch, path, smooth
from morphoindex.demo.species import SPECIES
from morphoindex.errors import UsageError

SPECIES_DRAWN, PER_SPECIES = 3, 5
EXIF_IFD, EXIF_TIME = 0x8769, 0x9003


def draw(folder: Path, seed: int = 0) -> Collection:
    return draw_collection(folder, seed, species=SPECIES_DRAWN, per_species=PER_SPECIES)


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def decoded(file: Path) -> np.ndarray:
    with Image.open(file) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"), dtype=np.float32)


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    return draw(tmp_path_factory.mktemp("demo") / "insects")


@pytest.fixture(scope="module")
def labels(collection: Collection) -> list[dict[str, str]]:
    with (collection.folder / LABELS).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def planted(collection: Collection) -> dict:
    return json.loads((collection.folder / PLANTED).read_text(encoding="utf-8"))


def test_the_same_seed_gives_the_same_bytes(collection: Collection, tmp_path: Path) -> None:
    again = draw(tmp_path)
    assert contents(again.folder) == contents(collection.folder)


def test_another_seed_gives_other_pictures(collection: Collection, tmp_path: Path) -> None:
    other = draw_collection(tmp_path, 1, species=1, per_species=1)
    pictures = {file.read_bytes() for file in collection.folder.rglob("*.jpg")}
    fresh = list(other.folder.rglob("*_2*.jpg"))
    assert fresh
    assert not any(file.read_bytes() in pictures for file in fresh)


def test_a_former_collection_is_drawn_again_and_the_users_own_files_stay(tmp_path: Path) -> None:
    draw_collection(tmp_path, 1, species=2, per_species=2)
    note = tmp_path / "aglais_io" / "my_own.txt"
    note.write_text("mine")
    draw_collection(tmp_path, 0, species=1, per_species=1)
    on_disk = contents(tmp_path)
    assert on_disk.pop("aglais_io/my_own.txt") == b"mine"
    assert not (tmp_path / "papilio_machaon").exists()
    clean = draw_collection(tmp_path / "clean", 0, species=1, per_species=1)
    assert on_disk == contents(clean.folder)


def test_a_run_that_was_cut_short_is_finished_by_the_next(tmp_path: Path) -> None:
    def stop(done: int, _: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        draw_collection(tmp_path / "cut", 0, stop, species=1, per_species=2)
    draw_collection(tmp_path / "cut", 0, species=1, per_species=2)
    whole = draw_collection(tmp_path / "whole", 0, species=1, per_species=2)
    assert contents(tmp_path / "cut") == contents(whole.folder)


def test_a_foreign_folder_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"mine")
    with pytest.raises(UsageError, match="new or empty folder"):
        draw(tmp_path)
    (tmp_path / PLANTED).write_text('{"made_by": "somebody else", "files": ["holiday.jpg"]}')
    with pytest.raises(UsageError, match="no former sample collection"):
        draw(tmp_path)
    assert (tmp_path / "holiday.jpg").read_bytes() == b"mine"
    assert len(contents(tmp_path)) == 2


def test_a_former_collection_that_names_files_outside_itself_does_not_delete_them(tmp_path: Path) -> None:
    outside = tmp_path / "precious.txt"
    outside.write_text("mine")
    folder = draw_collection(tmp_path / "demo", 0, species=1, per_species=1).folder
    truth = json.loads((folder / PLANTED).read_text(encoding="utf-8"))
    truth["files"].append("../precious.txt")
    (folder / PLANTED).write_text(json.dumps(truth), encoding="utf-8")
    draw_collection(folder, 0, species=1, per_species=1)
    assert outside.read_text() == "mine"


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "demo"
    file.write_bytes(b"mine")
    with pytest.raises(UsageError, match="is a file"):
        draw(file)


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"mine")
    with pytest.raises(UsageError, match="cannot be written"):
        draw(tmp_path / "file" / "demo")


@pytest.mark.parametrize("wrong", [{"species": 0}, {"species": 99}, {"per_species": 0}, {"seed": -1}])
def test_arguments_out_of_range_are_refused_before_anything_is_written(tmp_path: Path, wrong: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="must be"):
        draw_collection(tmp_path / "demo", **wrong)
    assert not (tmp_path / "demo").exists()


def test_planted_json_names_every_file_and_nothing_else(collection: Collection, planted: dict) -> None:
    assert sorted(planted["files"]) == sorted(set(contents(collection.folder)) - {LABELS, PLANTED})
    assert len(set(planted["files"])) == len(planted["files"])
    assert planted["images"] == collection.images == len(planted["files"]) - len(planted["broken"])
    assert planted["species"] == collection.species == SPECIES_DRAWN
    for name in ("reencoded", "turned", "copies"):
        assert tuple((p["original"], p["copy"]) for p in planted[name]) == getattr(collection, name)
    assert tuple(tuple(frames) for frames in planted["bursts"]) == collection.bursts
    assert tuple((p["path"], p["wrong"]) for p in planted["broken"]) == collection.broken


def test_every_labelled_file_decodes_and_every_broken_one_does_not(
    collection: Collection, labels: list[dict[str, str]]
) -> None:
    broken = [name for name, _ in collection.broken]
    named = [row["path"] for row in labels]
    assert sorted(named + broken) == sorted(set(contents(collection.folder)) - {LABELS, PLANTED})
    for row in labels:
        height, width, _ = decoded(collection.folder / row["path"]).shape
        assert 160 <= max(height, width) <= 360
    for name in broken:
        with pytest.raises((OSError, SyntaxError)):
            decoded(collection.folder / name)


def test_labels_agree_with_the_species_records(labels: list[dict[str, str]]) -> None:
    records = {record.name: record for record in SPECIES}
    for row in labels:
        record = records[row["species"]]
        assert (row["order"], row["family"], row["path"].split("/")[0]) == (record.order, record.family, record.folder)
        assert row["individual"].startswith(record.folder)
        assert row["site"]


def test_capture_times_are_in_the_exif_of_every_jpeg(collection: Collection, labels: list[dict[str, str]]) -> None:
    seen = 0
    for row in labels:
        with Image.open(collection.folder / row["path"]) as image:
            if image.format != "JPEG":
                continue
            exif = image.getexif()
            written = datetime.strptime(exif.get_ifd(EXIF_IFD)[EXIF_TIME], "%Y:%m:%d %H:%M:%S")
            assert written == datetime.fromisoformat(row["captured"])
            assert f"{exif[0x010F]} {exif[0x0110]}" == row["device"]
            assert written.strftime("%Y%m%d_%H%M%S") in row["path"]
            seen += 1
    assert seen > len(labels) // 2


def test_a_burst_is_one_animal_two_seconds_apart(collection: Collection, labels: list[dict[str, str]]) -> None:
    rows = {row["path"]: row for row in labels}
    assert len(collection.bursts) == 2 * SPECIES_DRAWN
    for frames in collection.bursts:
        assert 3 <= len(frames) <= 5
        assert len({rows[frame]["individual"] for frame in frames}) == 1
        times = [datetime.fromisoformat(rows[frame]["captured"]) for frame in frames]
        assert {later - earlier for earlier, later in itertools.pairwise(times)} == {timedelta(seconds=2)}
        assert len({(collection.folder / frame).read_bytes() for frame in frames}) == len(frames)
    assert {row["kind"] for row in labels} == {"single", "burst", "re-encoded", "turned", "copy"}


def small(pixels: np.ndarray) -> np.ndarray:
    image = Image.fromarray(pixels.astype(np.uint8)).resize((32, 32), Image.Resampling.BOX)
    return np.asarray(image, dtype=np.float32)


def test_a_re_encoding_shows_its_original_and_has_other_bytes(collection: Collection) -> None:
    for original, copy in collection.reencoded:
        one, other = collection.folder / original, collection.folder / copy
        assert one.read_bytes() != other.read_bytes()
        assert np.abs(small(decoded(one)) - small(decoded(other))).mean() < 3.0
    for original, copy in collection.copies:
        assert (collection.folder / original).read_bytes() == (collection.folder / copy).read_bytes()


def test_a_turned_copy_shows_its_original_once_it_is_turned_back(collection: Collection, planted: dict) -> None:
    back = {"turned by 90°": lambda a: np.rot90(a, -1), "mirrored": lambda a: a[:, ::-1], "turned by 270°": np.rot90}
    assert len(planted["turned"]) == SPECIES_DRAWN
    for pair in planted["turned"]:
        turned = back[pair["how"]](decoded(collection.folder / pair["copy"]))
        assert np.abs(turned - decoded(collection.folder / pair["original"])).mean() < 6.0


def test_one_picture_is_stored_sideways_and_one_is_a_gif_named_jpg(collection: Collection) -> None:
    orientations, formats = [], []
    for file in sorted(collection.folder.rglob("*.jpg")):
        if file.relative_to(collection.folder).as_posix() in dict(collection.broken):
            continue
        with Image.open(file) as image:
            formats.append(image.format)
            orientations.append(image.getexif().get(0x0112, 1))
    assert formats.count("GIF") == 1
    assert len([o for o in orientations if o != 1]) == 1


def test_the_full_plan_holds_what_the_documentation_promises() -> None:
    shots = plan(0, len(SPECIES), 23)
    kinds = [shot.kind for shot in shots]
    assert 550 <= len(shots) <= 660
    assert len({shot.path for shot in shots}) == len(shots)
    assert len(SPECIES) >= 14
    assert len({record.order for record in SPECIES}) >= 6
    assert kinds.count("re-encoded") >= 24
    assert kinds.count("turned") >= 12
    assert kinds.count("copy") >= 4
    assert min(sum(shot.species == record for shot in shots) for record in SPECIES) >= 15


def test_progress_counts_every_picture(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    made = draw_collection(tmp_path, 0, lambda done, total: calls.append((done, total)), species=1, per_species=1)
    assert calls == [(k, made.images) for k in range(1, made.images + 1)]


def test_every_record_names_a_form_and_a_background() -> None:
    for record in SPECIES:
        assert record.form in FORMS
        assert record.background in BACKGROUNDS
        assert 256 <= max(record.size) <= 360
    assert len({record.folder for record in SPECIES}) == len({record.form for record in SPECIES}) == len(SPECIES)


@pytest.mark.parametrize("record", SPECIES, ids=lambda record: record.folder)
def test_every_form_stays_within_its_units(record) -> None:
    sketch = Sketch()
    FORMS[record.form](sketch, record.palette, np.random.default_rng(3))
    points = np.concatenate([shape.outline for shape in sketch.shapes])
    assert np.isfinite(points).all()
    assert np.abs(points).max() < 1.8


def test_a_smooth_curve_passes_through_its_corners() -> None:
    corners = path("0 -0.4, 0.44 -0.36, 0.5 0.5")
    for closed, count in ((True, 24), (False, 17)):
        curve = smooth(corners, 8, closed=closed)
        assert curve.shape == (count, 2)
        np.testing.assert_allclose(curve[: 2 * 8 + 1 : 8], corners, atol=1e-12)


def test_swinging_a_pair_of_wings_keeps_them_mirror_images() -> None:
    sketch = Sketch()
    sketch.fill(path("0.1 0, 1 -0.2, 0.8 0.3"), (1, 2, 3), both=True)
    sketch.swing(0, (0.1, 0.0), 30)
    right, left = (shape.outline for shape in sketch.shapes)
    np.testing.assert_allclose(left, right * [-1, 1], atol=1e-12)
    np.testing.assert_allclose(right[0], [0.1, 0.0], atol=1e-12)
    assert right[1][1] > -0.2  # swung down


def test_cut_files_open_but_do_not_load(collection: Collection) -> None:
    cut = {Path(name).name: collection.folder / name for name, _ in collection.broken}
    for name in ("cut_off.jpg", "cut_off.png"):
        with Image.open(io.BytesIO(cut[name].read_bytes())) as image, pytest.raises(OSError, match="truncated"):
            image.load()
