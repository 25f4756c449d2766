"""How well near-duplicates are found, and how long it takes.

    python benchmarks/duplicates.py DATA [--every N] [--copies N] [--encoder E]

DATA holds butterflies75 and pests (docs/performance.md says what they are). Two parts:
  twins    butterflies75, every Nth species, in an index: pairs of one `source_id` (flip, turn, shear) that are found.
           Other pairs that are grouped go to others.png, to be looked at: the collection holds
           many photographs twice under two names, so `source_id` cannot tell by itself whether they are wrong.
  copies   of N photographs of each collection: saved again, resized, mirrored, cut; and N² / 2 pairs of others.
"""

from __future__ import annotations

import argparse
import csv
import io
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
from PIL import Image

import morphoindex
from morphoindex.indexer.results.duplicates import DedupResult
from morphoindex.indexer.selection.matching import CONFIRMED, compare
from morphoindex.indexer.selection.sketches import sketch

SIDE = 180


def saved(picture: Image.Image, form: str, **options: int) -> Image.Image:
    data = io.BytesIO()
    picture.save(data, form, **options)
    return Image.open(io.BytesIO(data.getvalue())).convert("RGB")


def scaled(picture: Image.Image, factor: float) -> Image.Image:
    return picture.resize(
        (max(2, round(picture.width * factor)), max(2, round(picture.height * factor))), Image.Resampling.LANCZOS
    )


def cut(picture: Image.Image, share: float) -> Image.Image:
    x, y = (round(side * (1 - share) / 2) for side in picture.size)
    return picture.crop((x, y, picture.width - x, picture.height - y))


COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "JPEG 95": lambda p: saved(p, "JPEG", quality=95),
    "JPEG 75": lambda p: saved(p, "JPEG", quality=75),
    "JPEG 50": lambda p: saved(p, "JPEG", quality=50),
    "WebP 80": lambda p: saved(p, "WEBP", quality=80),
    "PNG": lambda p: saved(p, "PNG"),
    "80 %": lambda p: scaled(p, 0.8),
    "50 %, JPEG 85": lambda p: saved(scaled(p, 0.5), "JPEG", quality=85),
    "35 %, JPEG 75": lambda p: saved(scaled(p, 0.35), "JPEG", quality=75),
    "200 %": lambda p: scaled(p, 2),
    "mirrored": lambda p: p.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "turned by 90°": lambda p: p.transpose(Image.Transpose.ROTATE_90),
    "turned by 10°": lambda p: p.rotate(10, Image.Resampling.BICUBIC),
    "cut to 80 %": lambda p: cut(p, 0.8),
    "brighter by 30 %": lambda p: p.point([min(255, round(1.3 * v)) for v in range(256)] * 3),
}


def pixels(path: Path) -> Image.Image:
    with Image.open(path) as picture:
        return picture.convert("RGB")


def copies(name: str, paths: list[Path], number: int) -> None:
    rng = np.random.default_rng(0)
    chosen = [pixels(paths[i]) for i in rng.choice(len(paths), min(number, len(paths)), replace=False)]
    own = [sketch(np.asarray(picture)) for picture in chosen]
    print(f"{name}, {len(own)} photographs")
    for how, make in COPIES.items():
        found = [compare(a, sketch(np.asarray(make(p)))).agreement for a, p in zip(own, chosen, strict=True)]
        print(f"  {how:17} {np.mean(np.array(found) >= CONFIRMED):.3f}  least agreement {min(found):.2f}")
    start, pairs = time.process_time(), list(combinations(own, 2))
    wrong = sum(compare(a, b).agreement >= CONFIRMED for a, b in pairs)
    rate = len(pairs) / (time.process_time() - start)
    print(f"  others confirmed  {wrong} of {len(pairs):,} pairs; {rate:,.0f} pairs/s a core")


def twins(data: Path, every: int, encoder: str | None, folder: Path) -> None:
    with open(data / "manifest.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    species = sorted({row["species"] for row in rows})[::every]
    rows = [row for row in rows if row["species"] in species]
    source = {str((data / row["path"]).resolve()): (row["species"], row["source_id"]) for row in rows}
    with morphoindex.open(folder / "index", create=True) as index:
        index.add(list(source), encoder=encoder)
        start, used = time.perf_counter(), time.process_time()
        found = index.dedup()
        wall, cpu = time.perf_counter() - start, time.process_time() - used
        again = index.dedup().seconds
    of_source = defaultdict(list)
    for path, key in source.items():
        of_source[key].append(path)
    planted = {tuple(sorted(some)) for some in of_source.values() if len(some) == 2}
    together = grouped(found)
    others = [pair for pair in together if source[pair[0]] != source[pair[1]]]
    print(f"butterflies75, {len(species)} species, {len(rows):,} photographs, {len(planted):,} pairs of twins")
    print(f"  twins found {len(planted & together) / len(planted):.4f}; {len(others)} other pairs: see others.png")
    print(
        f"  {found.pairs:,} pairs compared: {wall:.0f} s, {cpu:.0f} s of CPU time, {found.compared / cpu:,.0f} pairs/s "
        f"of it with reading; again {again:.1f} s"
    )
    sheet(others, Path("others.png"))


def grouped(found: DedupResult) -> set[tuple[str, str]]:
    """All pairs of files in one group."""
    return {
        (min(pair), max(pair))
        for group in found.groups
        for pair in combinations([group.keep, *(one.path for one in group.drop)], 2)
    }


def sheet(pairs: list[tuple[str, str]], out: Path, most: int = 60) -> None:
    """Pairs of pictures side by side."""
    rng = np.random.default_rng(0)
    shown = [sorted(pairs)[i] for i in rng.choice(len(pairs), min(most, len(pairs)), replace=False)]
    page = Image.new("RGB", (4 * (2 * SIDE + 20), max(1, -(-len(shown) // 4)) * (SIDE + 10)), "white")
    for i, pair in enumerate(shown):
        for side, path in enumerate(pair):
            place = i % 4 * (2 * SIDE + 20) + side * SIDE, i // 4 * (SIDE + 10)
            page.paste(pixels(Path(path)).resize((SIDE, SIDE)), place)
    page.save(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--copies", type=int, default=150)
    parser.add_argument("--encoder")
    options = parser.parse_args()
    copies("butterflies75", sorted((options.data / "butterflies75/images").rglob("*.jpg")), options.copies)
    copies("pests", sorted((options.data / "pests").rglob("*.jpg")), options.copies)
    with tempfile.TemporaryDirectory() as folder:
        twins(options.data / "butterflies75", options.every, options.encoder, Path(folder))


if __name__ == "__main__":
    main()
