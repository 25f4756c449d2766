"""What `explain` returns. The field names are those of the JSON that the command line prints."""

from __future__ import annotations

from dataclasses import dataclass

Grid = tuple[tuple[float | None, ...], ...]
"""16 rows of 16 values over the photograph, from the top left; None where the encoder does not see it."""


@dataclass(frozen=True)
class Weighed:
    """What of one image matters.

    Attributes:
        image: as it was asked for.
        path: of its file.
        width, height: of the photograph, in pixels.
        x, y: where it matters most, in pixels of the photograph from the left and the top.
        drop: the most that covering one part takes off the cosine.
        gain: of a comparison, the most that covering one part adds to it; else 0.
        half_within: the share of the picture that holds half of the importance.
        grid: within 0 and 1, of a comparison within -1 and 1, where what sets the two apart is below 0.
    """

    image: str
    path: str
    width: int
    height: int
    x: int
    y: int
    drop: float
    gain: float
    half_within: float
    grid: Grid


@dataclass(frozen=True)
class Importance:
    """Parts that matter: of one image to its own vector, of two to their cosine."""

    encoder: str
    fingerprint: str
    images: tuple[Weighed, ...]
    cosine: float | None
    passes: int
    seconds: float


@dataclass(frozen=True)
class LayerFound:
    """A layer: its name, the operator that gives it, and the size of its maps."""

    name: str
    operator: str
    channels: int
    rows: int
    columns: int


@dataclass(frozen=True)
class Layers:
    """Layers of an encoder; `shown` maps of each are on the sheet, those that vary most."""

    encoder: str
    fingerprint: str
    image: str
    layers: tuple[LayerFound, ...]
    shown: tuple[int, ...] = ()


@dataclass(frozen=True)
class AttentionFound:
    """Attention from CLS to the patches, in the last block.

    Attributes:
        encoder, fingerprint: whose.
        image: as it was asked for.
        layer: the name of the attention in the file.
        rows, columns: of the patches.
        to_patches: of each head, the share that goes to patches; the rest goes to CLS itself and to registers.
        x, y: of the patch that all heads together look at most, its middle in pixels of the photograph.
        grid: of the mean of the heads, the greatest being 1.
    """

    encoder: str
    fingerprint: str
    image: str
    layer: str
    rows: int
    columns: int
    to_patches: tuple[float, ...]
    x: int
    y: int
    grid: Grid
