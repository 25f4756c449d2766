"""A look at one photograph or two through an encoder."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from morphoindex.errors import ImageRefused, UsageError
from morphoindex.indexer.cores import usable_cores
from morphoindex.indexer.encoding.encoder import Encoder
from morphoindex.indexer.explaining import drawing
from morphoindex.indexer.explaining.drawing import Legend, Tile
from morphoindex.indexer.explaining.geometry import Placement, on_photograph, placement
from morphoindex.indexer.explaining.inside import Inside, Layer
from morphoindex.indexer.explaining.occlusion import PASSES, SCALES, Scale, area_of_half, blurred, combined, covered
from morphoindex.indexer.explaining.results import AttentionFound, Grid, Importance, LayerFound, Layers, Weighed
from morphoindex.indexer.files.provenance import read_provenance, write_provenance
from morphoindex.indexer.files.replacing import replacing
from morphoindex.indexer.files.safe_names import safe_name, with_key
from morphoindex.indexer.output_folder import not_named
from morphoindex.indexer.paths import to_text
from morphoindex.indexer.photographs.images import decode
from morphoindex.indexer.settings import EncoderEntry

Report = Callable[[int, int], None]
Drops = list[NDArray[np.float32]]
_TILE, _SMALL, _MAP = 360, 220, 72  # sides in pixels of overlays, of those of heads, of maps of layers
_MAPS, _COLUMNS = 64, 8  # of a layer on a sheet
_GRID = 16
_KEY = 8  # digits that tell pictures of photographs of one name apart
_LEAST = 1e-4  # of a cosine: what changes less are its last digits


@dataclass(frozen=True, eq=False)
class Photograph:
    """A file to look at: how it was asked for, where it is, and its bytes."""

    asked: str
    path: str
    data: bytes


@dataclass(frozen=True, eq=False)
class _Shown:
    """A photograph, decoded.

    Attributes:
        name: of its file.
        picture: uint8 [h, w, 3], as it is drawn.
        pixels: uint8 [height, width, 3], as the encoder takes it.
        vector: float32 [d], that it gives.
        place: how the photograph, full-size, lies in these pixels.
    """

    asked: str
    path: str
    name: str
    picture: NDArray[np.uint8]
    pixels: NDArray[np.uint8]
    vector: NDArray[np.float32]
    place: Placement


@dataclass(frozen=True, eq=False)
class Explanation:
    """What came of a look: numbers, and a picture of them."""

    kind: str
    result: Importance | Layers | AttentionFound
    picture: Image.Image


class Look:
    """One photograph or two, and the encoder that looks at them. Made by `look_at` or `Index.look`.

    Args:
        file: of the encoder.
        photographs: one, or two to be compared.

    Raises:
        UsageError: they are not one or two, or one cannot be read.
        EncoderInvalid: the file is not an encoder.
    """

    def __init__(self, file: Path, photographs: Sequence[Photograph]) -> None:
        if len(photographs) not in (1, 2):
            raise UsageError(f"{len(photographs)} images: one, or two to be compared")
        if len(photographs) == 2 and photographs[0].data == photographs[1].data:
            raise UsageError(
                f"{photographs[0].asked} and {photographs[1].asked} are the same photograph: give one of them "
                "alone, to see what matters in it"
            )
        self._file, self._workers = file, usable_cores()
        self._encoder = Encoder(file, self._workers)
        self.info = self._encoder.info
        self._shown = [self._show(one) for one in photographs]

    def importance(self, report: Report = lambda done, total: None) -> Explanation:
        """Which parts matter: to the vector of one photograph, or to the cosine of two.

        Each part is covered in turn with the photograph's own blur (see `occlusion`): what that takes off the cosine
        to the vector of the whole, or of the other photograph, is the part's importance.

        Args:
            report: told after each row how many of how many pictures were embedded.

        Raises:
            UsageError: nothing in a photograph matters.
        """
        start = time.perf_counter()
        images = self._shown
        others = images if len(images) == 1 else images[::-1]
        total = PASSES * len(images)
        drops: list[Drops] = []
        for one, other in zip(images, others, strict=True):
            before = PASSES * len(drops)
            drops.append(self._drops(one, other, lambda done, before=before: report(before + done, total)))  # type: ignore[misc]
        self._see_that_something_matters(drops)
        maps = [combined(of, (self.info.height, self.info.width)) for one, of in zip(images, drops, strict=True)]
        weighed = tuple(_weigh(*each) for each in zip(images, maps, drops, strict=True))
        cosine = float(images[0].vector @ images[1].vector) if len(images) == 2 else None
        result = Importance(
            self.info.name, self.info.fingerprint, weighed, None if cosine is None else round(cosine, 6), total,
            round(time.perf_counter() - start, 3),
        )  # fmt: skip
        return Explanation("importance" if cosine is None else "alike", result, self._draw_importance(result, maps))

    def layers(self, names: Sequence[str]) -> Explanation:
        """Maps of layers, on a sheet; of each at most 64, those that vary most.

        Args:
            names: of values in the encoder's graph, as `list_layers` gives them; `network/` may be left out.

        Raises:
            UsageError: there is no such layer, or it has no maps.
        """
        one = self._the_one("--layers")
        layers = self._inside.named(names)
        result = Layers(
            self.info.name, self.info.fingerprint, one.asked, tuple(map(_found, layers)),
            tuple(min(_MAPS, len(layer.maps)) for layer in layers),
        )  # fmt: skip
        pages = [self._draw_layer(layer) for layer in layers]
        return Explanation("layers", result, drawing.stacked(pages))

    def list_layers(self) -> Layers:
        """The layers that have maps."""
        one = self._the_one("--layers")
        return Layers(self.info.name, self.info.fingerprint, one.asked, tuple(map(_found, self._inside.layers())))

    def attention(self) -> Explanation:
        """How the CLS token of a vision transformer looks at the patches, head by head.

        Raises:
            UsageError: the encoder has no such attention.
        """
        one = self._the_one("--attention")
        found = self._inside.attention()
        mean = found.heads.mean(axis=0)
        row, column = np.unravel_index(int(mean.argmax()), mean.shape)
        top, left, bottom, right = found.region
        y, x = one.place.back(
            top + (row + 0.5) / mean.shape[0] * (bottom - top), left + (column + 0.5) / mean.shape[1] * (right - left)
        )
        result = AttentionFound(
            self.info.name, self.info.fingerprint, one.asked, found.layer, mean.shape[0], mean.shape[1],
            tuple(round(float(share), 4) for share in found.heads.sum(axis=(1, 2))),
            *_within(x, y, one.place), _grid(mean / max(float(mean.max()), 1e-12), one.place, found.region),
        )  # fmt: skip
        heads = [("mean of the heads", mean), *((f"head {n}", head) for n, head in enumerate(found.heads, 1))]
        tiles = [Tile(_fitted(one.picture, _SMALL), "the photograph")]
        for words, head in heads:
            picture = np.asarray(_fitted(one.picture, _SMALL))
            values = on_photograph(head / max(float(head.max()), 1e-12), one.place, picture.shape[:2], found.region)
            tiles.append(Tile(drawing.overlay(picture, values), words))
        title = f"{one.name} through {self.info.name}: attention from CLS, last block"
        legend = Legend("none", "most, of each head")
        return Explanation("attention", result, drawing.sheet(title, tiles, 4, legend))

    def out_for(self, kind: str, out: Path | None) -> Path:
        """Where a picture goes: if nothing is named `bee-importance.png` here, a new one.

        Where that shows another photograph of this name, `bee-importance-1f3c90d2.png`.

        Args:
            kind: "layers", "attention", or empty for what matters.
            out: as it was named.

        Raises:
            UsageError: it is not named as a PNG, its folder is missing, it is a photograph that is looked at, or it is
                not named, and these photographs have one already.
        """
        if out is None:
            stems = "-and-".join(os.path.splitext(one.name)[0] for one in self._shown)
            what = kind or ("importance" if len(self._shown) == 1 else "alike")
            name = safe_name(f"{stems}-{what}.png")
            former = read_provenance(Path(name)).get("parameters")
            if isinstance(former, dict) and former.get("images", self._images) != self._images:
                name = with_key(name, hashlib.sha256("\n".join(self._images).encode()).hexdigest()[:_KEY])
            out = not_named(name)
        if out.suffix.lower() != ".png":
            raise UsageError(f"{out} does not end in .png: the picture is a PNG")
        if not out.parent.is_dir():
            raise UsageError(f"{out} cannot be written: there is no folder {out.parent}")
        for one in self._shown:
            if out.exists() and os.path.samefile(out, one.path):
                raise UsageError(f"{out} is the photograph itself: name another file")
        return out

    def save(self, explanation: Explanation, out: Path) -> Path:
        """Write the picture, and beside it how it came to be; gives the file that says that."""
        with replacing(out) as beside:
            explanation.picture.save(beside, "PNG")
        entry = EncoderEntry(self.info.name, self.info.fingerprint, self.info.dim)
        parameters: dict[str, object] = {"images": self._images}
        if isinstance(explanation.result, Layers):
            parameters["layers"] = [layer.name for layer in explanation.result.layers]
        return write_provenance(out, f"explain ({explanation.kind})", parameters, entry)

    # -- inside ------------------------------------------------------------------------------------------------------

    @property
    def _images(self) -> list[str]:
        """The paths of what is shown, as its provenance has them."""
        return [to_text(one.path) for one in self._shown]

    @cached_property
    def _inside(self) -> Inside:
        return Inside(self._file, self.info.name, self._shown[0].pixels)

    def _the_one(self, option: str) -> _Shown:
        if len(self._shown) != 1:
            raise UsageError(f"{option} looks at one image, not at two")
        return self._shown[0]

    def _show(self, asked: Photograph) -> _Shown:
        name = to_text(os.path.basename(asked.path))
        try:
            photo = decode(asked.data, cover=(self.info.height, self.info.width))
            picture = decode(asked.data, cover=(_TILE, _TILE)).pixels
        except ImageRefused as error:
            raise UsageError(f"{to_text(asked.path)}: {error.reason}") from error
        pixels = self._encoder.fit(photo.pixels)
        vectors, good = self._encoder.embed(pixels[np.newaxis])
        if not good[0]:
            raise UsageError(f"{to_text(asked.path)}: {self.info.name} gives no finite vector for it")
        place = placement((photo.height, photo.width), (self.info.height, self.info.width), self.info.fit)
        return _Shown(asked.asked, asked.path, name, picture, pixels, vectors[0], place)

    def _drops(self, one: _Shown, other: _Shown, report: Callable[[int], None]) -> Drops:
        """What covering each place takes off the cosine to the other's vector, float32 [places, places] a scale."""
        blur, whole = blurred(one.pixels), np.float32(one.vector @ other.vector)
        drops, done = [], 0
        with ThreadPoolExecutor(self._workers, thread_name_prefix="explain") as pool:
            for scale in SCALES:

                def embed(row: int, scale: Scale = scale) -> NDArray[np.float32]:
                    return self._encoder.embed(covered(one.pixels, blur, scale, row))[0]

                rows = []
                for vectors in pool.map(embed, range(scale.places)):
                    rows.append(whole - np.nan_to_num(vectors) @ other.vector)
                    done += scale.places
                    report(done)
                drops.append(np.stack(rows))
        return drops

    def _see_that_something_matters(self, drops: Sequence[Drops]) -> None:
        for one, of in zip(self._shown, drops, strict=True):
            if max(float(np.abs(drop).max()) for drop in of) < _LEAST:
                plain = not np.ptp(one.pixels.reshape(-1, 3), axis=0).any()
                why = "it is of one colour" if plain else f"{self.info.name} gives the same whichever is covered"
                raise UsageError(f"{to_text(one.path)}: no part of it matters more than another, {why}")

    def _draw_importance(self, result: Importance, maps: Sequence[NDArray[np.float32]]) -> Image.Image:
        two = result.cosine is not None
        tiles, overlays = [], []
        for one, values, weighed in zip(self._shown, maps, result.images, strict=True):
            picture = np.asarray(_fitted(one.picture, _TILE))
            laid = on_photograph(values if two else np.clip(values, 0, 1), one.place, picture.shape[:2])
            tiles.append(Tile(_fitted(one.picture, _TILE), self._caption(one) if two else "the photograph"))
            overlays.append(Tile(drawing.overlay(picture, laid, two), _in_words(weighed)))
        if not two:
            title = f"{self._shown[0].name} through {self.info.name}"
            return drawing.sheet(title, [*tiles, *overlays], 2, Legend("matters not", "most"))
        title = f"cosine {result.cosine:.2f} through {self.info.name}"
        legend = Legend("sets apart", "makes alike", two_sided=True)
        return drawing.sheet(title, [*tiles, *overlays], 2, legend)

    def _caption(self, one: _Shown) -> str:
        """The name of a photograph, with its folder where both have one name."""
        same = len({shown.name for shown in self._shown}) == 1
        return f"{to_text(os.path.basename(os.path.dirname(one.path)))}/{one.name}" if same else one.name

    def _draw_layer(self, layer: Layer) -> Image.Image:
        one = self._shown[0]
        order = np.arange(len(layer.maps))
        if len(order) > _MAPS:
            order = np.sort(np.argsort(-layer.maps.std(axis=(1, 2)), kind="stable")[:_MAPS])
        height, width = layer.maps.shape[1:]
        size = _scaled((height, width), _MAP)
        tiles = [Tile(_fitted(self._seen(one, layer), _MAP), "seen")]
        tiles += [Tile(drawing.map_tile(layer.maps[n], size), str(n)) for n in order]
        some = f", {_MAPS} of {len(layer.maps)}: those that vary most" if len(order) < len(layer.maps) else ""
        return drawing.sheet(f"{layer.name} ({layer.operator}, {height} by {width}{some})", tiles, _COLUMNS + 1)

    @staticmethod
    def _seen(one: _Shown, layer: Layer) -> NDArray[np.uint8]:
        """What of the encoder's pixels the maps are of."""
        top, left, bottom, right = (round(side) for side in layer.region)
        return one.pixels[top:bottom, left:right]


def _weigh(one: _Shown, values: NDArray[np.float32], drops: Drops) -> Weighed:
    row, column = np.unravel_index(int(values.argmax()), values.shape)
    y, x = one.place.back(row + 0.5, column + 0.5)
    height, width = one.place.photograph
    most, least = (max(float((sign * drop).max()) for drop in drops) for sign in (1, -1))
    return Weighed(
        one.asked, to_text(one.path), width, height, *_within(x, y, one.place), round(max(most, 0.0), 4),
        round(max(least, 0.0), 4), round(area_of_half(values), 4), _grid(values, one.place),
    )  # fmt: skip


def _in_words(one: Weighed) -> str:
    """What is said below an overlay, in as many decimals as it takes: `takes off up to 0.0042, adds up to 0.12`."""
    adds = f", adds up to {one.gain:.2g}" if one.gain else ""
    return f"covering a part takes off up to {one.drop:.2g}{adds}"


def _within(x: float, y: float, place: Placement) -> tuple[int, int]:
    height, width = place.photograph
    return int(np.clip(x, 0, width - 1)), int(np.clip(y, 0, height - 1))


def _grid(
    values: NDArray[np.floating], place: Placement, region: tuple[float, float, float, float] | None = None
) -> Grid:
    cells = on_photograph(values, place, (_GRID, _GRID), region)
    return tuple(tuple(None if np.isnan(v) else round(float(v), 4) for v in row) for row in cells)


def _found(layer: Layer) -> LayerFound:
    return LayerFound(layer.name, layer.operator, *layer.maps.shape)


def _fitted(picture: NDArray[np.uint8], side: int) -> Image.Image:
    """Brought to a longer side of so many pixels."""
    height, width = _scaled(picture.shape[:2], side)
    return Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS)


def _scaled(shape: tuple[int, ...], side: int) -> tuple[int, int]:
    factor = side / max(shape)
    return max(1, round(shape[0] * factor)), max(1, round(shape[1] * factor))
