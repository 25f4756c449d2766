"""What goes on inside an encoder: maps of its layers, and attention, read from its own file."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from morphoindex.errors import EncoderInvalid, UsageError
from morphoindex.indexer.encoding.encoder import Encoder
from morphoindex.indexer.encoding.onnx_graph import read_nodes

LISTED = frozenset(
    {"Conv", "Relu", "LeakyRelu", "PRelu", "Clip", "HardSwish", "Gelu", "Elu", "Add", "Concat", "MaxPool"}
    | {"AveragePool", "BatchNormalization", "LayerNormalization"}
)
"""The operators whose results are worth a look; of others a layer can be named all the same."""
PREFIX = "network/"
"""Before the names of what `encoder export` and `encoder import` put into a file; may be left out."""
_EXTRA_TOKENS = 32  # beside the patches, CLS and registers: as many as any network is likely to have
_COLOURS = 3
_STEM = 12  # the first convolutions, one of which cuts the picture of a vision transformer into patches
_NEAREST = 3

Region = tuple[float, float, float, float]
"""(top, left, bottom, right) in the encoder's pixels."""


@dataclass(frozen=True, eq=False)
class Layer:
    """The maps of a layer.

    Attributes:
        name: of the value in the graph.
        operator: that gives it.
        maps: float32 [channels, rows, columns].
        region: that they are of.
    """

    name: str
    operator: str
    maps: NDArray[np.float32]
    region: Region


@dataclass(frozen=True, eq=False)
class Attention:
    """How CLS looks at the patches, in the last block.

    Attributes:
        layer: its name.
        heads: float32 [heads, rows, columns]; each sums to 1 with what goes to CLS itself and to registers.
        region: that the patches cover.
    """

    layer: str
    heads: NDArray[np.float32]
    region: Region


@dataclass(frozen=True)
class _Patches:
    """Into what a vision transformer cuts its picture."""

    rows: int
    columns: int

    @property
    def number(self) -> int:
        return self.rows * self.columns


class Inside:
    """The inside of an encoder file, seen with one picture.

    Args:
        path: the file.
        name: of the encoder, for messages.
        pixels: uint8 [height, width, 3], of the encoder's size.

    Raises:
        EncoderInvalid: the file cannot be read.
    """

    def __init__(self, path: Path, name: str, pixels: NDArray[np.uint8]) -> None:
        self._path, self._name, self._pixels = path, name, pixels
        try:
            self._nodes = read_nodes(path.read_bytes())
        except OSError as error:
            raise EncoderInvalid(f"{path} cannot be read: {error.strerror or error}") from error
        self._makers = {output: node for node in self._nodes for output in node.outputs if output}
        self._cut: tuple[Region, tuple[_Patches, ...]] | None = None

    def layers(self) -> list[Layer]:
        """All layers of the usual operators that have maps, in the order of the graph."""
        asked = {text for node in self._nodes if node.operator == "Softmax" for text in node.inputs}
        wanted = [
            output for output, node in self._makers.items() if node.operator in LISTED and output not in asked
        ]  # fmt: skip
        values = self._values(wanted)
        layers = (self._layer(name, values[name]) for name in wanted)
        return [layer for layer in layers if layer is not None]

    def named(self, names: Sequence[str]) -> list[Layer]:
        """The layers of these names, in their order; `network/` may be left out.

        Raises:
            UsageError: there is none of such a name, or it has no maps.
        """
        full = [self._full(name) for name in names]
        values = self._values(list(dict.fromkeys(full)))
        layers = []
        for name in full:
            layer = self._layer(name, values[name])
            if layer is None:
                shape = " × ".join(map(str, values[name].shape[1:])) or "one number"
                raise UsageError(
                    f"{name} of {self._name} has no maps, it is {shape} for a photograph: `--layers list` shows those "
                    "that have"
                )
            layers.append(layer)
        return layers

    def attention(self) -> Attention:
        """How CLS looks at the patches, in the last block.

        Raises:
            UsageError: the encoder has no attention that could be shown.
        """
        found = [node.outputs[0] for node in self._nodes if node.operator == "Softmax"]
        region, patches = self._geometry()
        for name in reversed(found):  # one by one: all of a large network together take gigabytes
            value = self._values([name])[name]
            cut = self._patches_of(value.shape[-1], patches) if _is_attention(value) else None
            if cut is not None and cut.number < value.shape[-1]:
                heads = value[0, :, 0, value.shape[-1] - cut.number :].astype(np.float32)
                return Attention(name, heads.reshape(-1, cut.rows, cut.columns), region)
        raise UsageError(
            f"{self._name} has no attention from a CLS token to patches: only vision transformers such as DINO have, "
            "as `encoder export dino` writes them; without --attention the parts that matter are found by covering them"
        )

    def _values(self, names: Sequence[str]) -> dict[str, NDArray[np.generic]]:
        if not names:
            return {}
        return Encoder(self._path, inside=names).look_inside(self._pixels[np.newaxis])

    def _full(self, name: str) -> str:
        for full in (name, PREFIX + name):
            if full in self._makers:
                return full
        short = {one.removeprefix(PREFIX): one for one in self._makers}
        near = difflib.get_close_matches(name.removeprefix(PREFIX), list(short), _NEAREST, 0.5)
        like = f"; the nearest are {', '.join(short[one] for one in near)}" if near else ""
        raise UsageError(f"{self._name} has no layer {name!r}{like}; `--layers list` shows those that have maps")

    def _layer(self, name: str, value: NDArray[np.generic]) -> Layer | None:
        """Channels first, whatever the network has; None where the value is no set of maps."""
        region, patches = self._geometry()
        height, width = self._pixels.shape[:2]
        if value.shape[:1] != (1,) or not np.issubdtype(value.dtype, np.floating):
            return None
        values = value[0].astype(np.float32)
        if values.ndim == 2:
            cut = self._patches_of(len(values), patches)
            maps = values[len(values) - cut.number :].T.reshape(-1, cut.rows, cut.columns) if cut else None
        elif values.ndim == 3 and _is_map(values.shape[1:], (height, width)):
            maps = values
        elif values.ndim == 3 and _is_map(values.shape[:2], (height, width)):
            maps = values.transpose(2, 0, 1)
        else:
            maps = None
        return Layer(name, self._makers[name].operator, maps, region) if maps is not None else None

    def _geometry(self) -> tuple[Region, tuple[_Patches, ...]]:
        """What part of the pixels the network takes, and the grids that its first convolutions cut it into."""
        if self._cut is None:
            convolutions = [node for node in self._nodes if node.operator == "Conv"][:_STEM]
            outputs = [node.outputs[0] for node in convolutions]
            taken = [name for node in convolutions[:1] for name in node.inputs[:1] if name in self._makers]
            values = self._values([*outputs, *taken])
            grids = [_Patches(*values[name].shape[2:]) for name in outputs if values[name].ndim == 4]
            self._cut = self._region(values[taken[0]].shape if taken else ()), tuple(dict.fromkeys(grids))
        return self._cut

    def _region(self, taken: Sequence[int]) -> Region:
        """The middle of the pixels, where the network takes only that: a margin is the same on opposite sides."""
        height, width = self._pixels.shape[:2]
        down, across = taken[2:] if len(taken) == 4 and taken[1] == _COLOURS else (height, width)
        top, left = (height - down) / 2, (width - across) / 2
        return top, left, top + down, left + across

    @staticmethod
    def _patches_of(tokens: int, grids: Sequence[_Patches]) -> _Patches | None:
        """The grid that so many tokens are of, the last ones of them; CLS and registers stand before."""
        fitting = [grid for grid in grids if 1 < grid.number <= tokens <= grid.number + _EXTRA_TOKENS]
        return max(fitting, key=lambda grid: grid.number, default=None)


def _is_map(shape: Sequence[int], pixels: tuple[int, int]) -> bool:
    """Whether these are rows and columns of a picture: of its proportions, within a cell, and not larger."""
    rows, columns = shape
    if not (1 < rows <= pixels[0] and 1 < columns <= pixels[1]):
        return False
    return abs(rows * pixels[1] / pixels[0] - columns) <= (pixels[0] != pixels[1])


def _is_attention(value: NDArray[np.generic]) -> bool:
    """Whether these are shares, [1, heads, tokens, tokens], that each token gives to all."""
    if value.ndim != 4 or value.shape[0] != 1 or value.shape[2] != value.shape[3]:
        return False
    return bool(np.allclose(value.astype(np.float32).sum(axis=-1), 1, atol=0.02))
