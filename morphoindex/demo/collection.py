"""The sample collection on disk: pictures in folders by species, `labels.csv`, and the truth in `planted.json`."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from PIL import Image

from morphoindex.demo.drawing import Individual, individual, photograph
from morphoindex.demo.plan import BURST, COPY, GIF_INSIDE, REENCODED, SIDEWAYS, TURNED, Shot, plan
from morphoindex.demo.species import SPECIES
from morphoindex.errors import UsageError

MADE_BY = "morphoindex demo"
LABELS, PLANTED = "labels.csv", "planted.json"
QUALITY = 88
EXIF_MAKE, EXIF_MODEL, EXIF_ORIENTATION, EXIF_IFD, EXIF_TIME = 0x010F, 0x0110, 0x0112, 0x8769, 0x9003
TURN_BACK = 6
BROKEN: tuple[tuple[str, str], ...] = (
    ("empty.jpg", "zero bytes"),
    ("one_byte.jpg", "one byte"),
    ("cut_off.jpg", "JPEG cut off in the middle"),
    ("cut_off.png", "PNG cut off in the middle"),
    ("note.jpg", "text named .jpg"),
    ("unwritten.jpg", "4096 zero bytes"),
    ("head_only.png", "a PNG signature and nothing after it"),
    ("page.jpg", "a web page named .jpg"),
)

Pair = tuple[str, str]


@dataclass(frozen=True)
class Collection:
    """What was drawn. Paths are relative to `folder`, with forward slashes.

    `reencoded`, `turned` and `copies` are pairs (original, copy); `bursts` are the frames of one animal in order of
    time; `broken` are pairs (path, what is wrong with it). `images` counts the files that can be read.
    """

    folder: Path
    images: int
    species: int
    reencoded: tuple[Pair, ...]
    turned: tuple[Pair, ...]
    copies: tuple[Pair, ...]
    bursts: tuple[tuple[str, ...], ...]
    broken: tuple[Pair, ...]


def draw_collection(
    folder: Path,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
    *,
    species: int = len(SPECIES),
    per_species: int = 23,
) -> Collection:
    """Draw a labelled sample collection: insects of several species, bursts, duplicates, and a few broken files.

    The same arguments and the same Pillow give the same bytes.

    Args:
        folder: made if it is missing; it must be empty, or hold a former sample collection, which is replaced.
        seed: another seed gives other individuals of the same species.
        progress: called with (pictures done, pictures in all) after each.
        species: how many species, 1 … 18.
        per_species: the usual count of animals per species that have a single picture; each species has two bursts too.

    Returns:
        What was planted, as `planted.json` has it.

    Raises:
        UsageError: the folder holds other things or cannot be written, or an argument is out of range.
    """
    if not 1 <= species <= len(SPECIES):
        raise UsageError(f"species must be 1 … {len(SPECIES)}, not {species}")
    if per_species < 1 or seed < 0:
        raise UsageError("per_species must be 1 or more, and seed 0 or more")
    shots = plan(seed, species, per_species)
    made = _collection(folder, species, shots)
    try:
        _clear(folder)
        folder.mkdir(parents=True, exist_ok=True)
        _write_planted(made, shots, seed)
        _write_labels(folder / LABELS, shots)
        _write_pictures(folder, shots, seed, progress)
        _write_broken(folder, shots, made.broken)
    except OSError as error:
        raise UsageError(f"the sample collection cannot be written to {folder}: {error.strerror or error}") from error
    return made


def _clear(folder: Path) -> None:
    """Remove the files of a former sample collection, and those alone; refuse a folder that holds anything else."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file: name a new or empty folder for the sample collection")
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    try:
        planted = json.loads((folder / PLANTED).read_text(encoding="utf-8"))
        ours = planted["made_by"] == MADE_BY
        former = [*planted["files"], LABELS, PLANTED] if ours else []
    except (OSError, ValueError, KeyError, TypeError):
        ours, former = False, []
    if not ours:
        raise UsageError(f"{folder} is not empty and holds no former sample collection: name a new or empty folder")
    root = folder.resolve()
    inside = [folder / str(name) for name in former if (folder / str(name)).resolve().is_relative_to(root)]
    for path in inside:
        path.unlink(missing_ok=True)
    for parent in dict.fromkeys(path.parent for path in inside):
        if parent != folder and parent.is_dir() and not any(parent.iterdir()):
            parent.rmdir()


def _collection(folder: Path, species: int, shots: Sequence[Shot]) -> Collection:
    def pairs(kind: str) -> tuple[Pair, ...]:
        return tuple((shot.original, shot.path) for shot in shots if shot.kind == kind)

    frames = [shot for shot in shots if shot.kind == BURST]
    bursts = tuple(tuple(s.path for s in group) for _, group in groupby(frames, key=lambda s: (s.number, s.individual)))
    folders = [record.folder for record in SPECIES[:species]]
    broken = tuple((f"{folders[k % species]}/{name}", wrong) for k, (name, wrong) in enumerate(BROKEN))
    return Collection(folder, len(shots), species, pairs(REENCODED), pairs(TURNED), pairs(COPY), bursts, broken)


def _write_planted(made: Collection, shots: Sequence[Shot], seed: int) -> None:
    """Write the truth; it comes first, so that a run that was cut short is known as ours by the next one."""
    how = {shot.path: shot.how for shot in shots}

    def pairs(planted: tuple[Pair, ...]) -> list[dict[str, str]]:
        return [{"original": original, "copy": copy, "how": how[copy]} for original, copy in planted]

    truth = {
        "made_by": MADE_BY,
        "seed": seed,
        "images": made.images,
        "species": made.species,
        "bursts": [list(frames) for frames in made.bursts],
        "reencoded": pairs(made.reencoded),
        "turned": pairs(made.turned),
        "copies": pairs(made.copies),
        "broken": [{"path": path, "wrong": wrong} for path, wrong in made.broken],
        "files": [shot.path for shot in shots] + [path for path, _ in made.broken],
    }
    text = json.dumps(truth, indent=1, ensure_ascii=False) + "\n"
    (made.folder / PLANTED).write_text(text, encoding="utf-8", newline="\n")


def _write_labels(path: Path, shots: Sequence[Shot]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("path", "order", "family", "species", "individual", "site", "captured", "device", "kind"))
        for shot in shots:
            record, name = shot.species, f"{shot.species.folder}-{shot.individual + 1:03d}"
            when, camera = shot.captured.isoformat(), " ".join(shot.camera)
            table.writerow(
                (shot.path, record.order, record.family, record.name, name, shot.site, when, camera, shot.kind)
            )


def _write_pictures(
    folder: Path, shots: Sequence[Shot], seed: int, progress: Callable[[int, int], None] | None
) -> None:
    animal: Individual | None = None
    drawn: tuple[int, int] | None = None
    for done, shot in enumerate(shots, start=1):
        path = folder / shot.path
        path.parent.mkdir(parents=True, exist_ok=True)
        if shot.original:
            path.write_bytes(_copy(folder / shot.original, shot))
        else:
            if animal is None or drawn != (shot.number, shot.individual):
                drawn = (shot.number, shot.individual)
                rng = np.random.default_rng([seed, shot.number, 1, shot.individual])
                animal = individual(shot.species, rng)
            path.write_bytes(_encoded(photograph(animal, rng, burst=shot.kind == BURST), "JPEG", _exif(shot), QUALITY))
        if progress is not None:
            progress(done, len(shots))


def _exif(shot: Shot, orientation: int = 1) -> Image.Exif:
    exif = Image.Exif()
    exif[EXIF_MAKE], exif[EXIF_MODEL] = shot.camera
    exif[EXIF_ORIENTATION] = orientation
    exif.get_ifd(EXIF_IFD)[EXIF_TIME] = f"{shot.captured:%Y:%m:%d %H:%M:%S}"
    return exif


def _encoded(picture: Image.Image, form: str, exif: Image.Exif | None = None, quality: int = QUALITY) -> bytes:
    buffer = io.BytesIO()
    if form == "JPEG":
        picture.save(buffer, form, quality=quality, exif=exif or Image.Exif())
    elif form == "WEBP":
        picture.save(buffer, form, quality=quality, method=2)
    else:
        picture.save(buffer, form)
    return buffer.getvalue()


def _copy(original: Path, shot: Shot) -> bytes:
    """The bytes of a planted copy: the same picture, stored in the way that `shot.how` names."""
    if shot.kind == COPY:
        return original.read_bytes()
    with Image.open(original) as opened:
        picture = opened.convert("RGB")
    exif, turn = _exif(shot), Image.Transpose
    if shot.kind == TURNED:
        turns = {
            "turned by 90°": turn.ROTATE_90,
            "turned by 180°": turn.ROTATE_180,
            "turned by 270°": turn.ROTATE_270,
            "mirrored": turn.FLIP_LEFT_RIGHT,
        }
        return _encoded(picture.transpose(turns[shot.how]), "JPEG", exif)
    if shot.how == SIDEWAYS[0]:
        return _encoded(picture.transpose(turn.ROTATE_90), "JPEG", _exif(shot, TURN_BACK))
    if shot.how == GIF_INSIDE[0]:
        return _encoded(picture.quantize(256), "GIF")
    if shot.how in {"PNG", "WebP"}:
        return _encoded(picture, shot.how.upper())
    if shot.how.startswith("resized"):
        share = int(shot.how.split()[2]) / 100
        size = (round(picture.width * share), round(picture.height * share))
        return _encoded(picture.resize(size, Image.Resampling.LANCZOS), "JPEG", exif)
    return _encoded(picture, "JPEG", exif, int(shot.how.split()[-1]))


def _write_broken(folder: Path, shots: Sequence[Shot], broken: tuple[Pair, ...]) -> None:
    whole = (folder / shots[0].path).read_bytes()
    with Image.open(io.BytesIO(whole)) as opened:
        png = _encoded(opened.convert("RGB"), "PNG")
    contents = {
        "empty.jpg": b"",
        "one_byte.jpg": whole[:1],
        "cut_off.jpg": whole[: len(whole) // 2],
        "cut_off.png": png[: len(png) // 2],
        "note.jpg": b"Drawer 12: the picture of this one is still on the other camera.\n",
        "unwritten.jpg": bytes(4096),
        "head_only.png": png[:8],
        "page.jpg": b"<!doctype html><title>404</title><p>The picture has moved.</p>\n",
    }
    for path, _ in broken:
        (folder / path).write_bytes(contents[Path(path).name])
