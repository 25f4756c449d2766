"""The job on real photographs, where they are at hand: MORPHOINDEX_TEST_DATA, or shared/data beside the checkout."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

import morphoindex

DATA = Path(os.environ.get("MORPHOINDEX_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
BUTTERFLIES = DATA / "butterflies10"
pytestmark = pytest.mark.skipif(not BUTTERFLIES.is_dir(), reason=f"no photographs in {BUTTERFLIES}")


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[morphoindex.Index]:
    """400 butterflies of 10 species, and re-encoded copies of 20 of them."""
    folder = tmp_path_factory.mktemp("real")
    (folder / "copies").mkdir()
    for photo in sorted((BUTTERFLIES / "images").rglob("*.jpg"))[::20]:
        data = io.BytesIO()
        with Image.open(photo) as image:
            image.save(data, "JPEG", quality=80)
        (folder / "copies" / photo.name).write_bytes(data.getvalue())
    with morphoindex.open(folder / "index", create=True) as opened:
        opened.add([BUTTERFLIES / "images", folder / "copies"], labels="folder")
        yield opened


def test_the_nearest_other_photograph_is_of_the_same_species(index: morphoindex.Index) -> None:
    with open(BUTTERFLIES / "manifest.csv", newline="", encoding="utf-8") as file:
        source = {Path(row["path"]).name: row["source_id"] for row in csv.DictReader(file)}
    photos = sorted((BUTTERFLIES / "images").rglob("*.jpg"))[5::10]
    right = 0
    for photo in photos:
        hits = index.search(photo, k=8, where="species != copies").hits
        nearest = next(hit for hit in hits if source[Path(hit.path or "").name] != source[photo.name])
        right += nearest.labels["species"] == photo.parent.name
    assert right / len(photos) >= 0.9


def test_re_encoded_photographs_are_found(index: morphoindex.Index) -> None:
    groups = [{group.keep, *(other.path for other in group.drop)} for group in index.dedup().groups]
    copies = list(Path(index.status().index).parent.glob("copies/*.jpg"))
    originals = {photo.name: str(photo) for photo in (BUTTERFLIES / "images").resolve().rglob("*.jpg")}
    assert len(copies) == 20
    assert all(any({str(copy), originals[copy.name]} <= group for group in groups) for copy in copies)


def test_clusters_at_a_threshold_hold_one_species_each(index: morphoindex.Index) -> None:
    index.cluster(threshold=0.9)
    clusters = [cluster for cluster in index.overview().clusters if cluster.size >= 5]
    assert len(clusters) >= 10
    assert sum(cluster.size * cluster.share for cluster in clusters) / sum(c.size for c in clusters) >= 0.85
