"""Two embeddings of the same photographs beside each other: in figures, and on a sheet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from morphoindex.exporters.training.charts import draw_sheet, framed
from morphoindex.exporters.training.neighbours import nearest, nearest_right, overlap
from morphoindex.exporters.training.pictures import Pixels
from morphoindex.exporters.training.splitting import HELD_OUT, TRAIN

Floats = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]
NEIGHBOURS = 10
_QUERIES, _SHOWN = 5, 8
_ASKED = (38, 98, 178)  # the frame of a photograph whose neighbours follow


@dataclass(frozen=True)
class Compared:
    """How the photographs of one part find their neighbours in the other.

    Attributes:
        neighbours: so many of each; overlap: the share that both embeddings find, 0..1.
        first, second: how often the nearest is of the right class, by either embedding, 0..1; None where
            nothing is labelled on one side.
    """

    neighbours: int
    overlap: float
    first: float | None
    second: float | None


def compare(first: Floats, second: Floats, parts: Numbers, names: Numbers) -> Compared:
    """Compare two embeddings: those held out are looked for among the others.

    Args:
        first, second: float32 [N, d], of any length.
        parts: int64 [N], TRAIN or HELD_OUT.
        names: int64 [N], -1 where there is no label.
    """
    asked, there = parts == HELD_OUT, parts == TRAIN
    k = min(NEIGHBOURS, int(there.sum()))
    found, others = (nearest(vectors[asked], vectors[there], k) for vectors in (first, second))
    right = (nearest_right(v[asked], names[asked], v[there], names[there]) for v in (first, second))
    return Compared(
        k, round(overlap(others, found), 4), *(None if np.isnan(share) else round(share, 4) for share in right)
    )


def draw_neighbours(path: Path, pixels: Pixels, parts: Numbers, embeddings: Mapping[str, Floats]) -> None:
    """Draw a sheet of some held-out photographs with their nearest others, a row for each embedding.

    Args:
        path: of the PNG, replaced whole.
        pixels: uint8 [N, H, W, 3].
        parts: int64 [N], TRAIN or HELD_OUT.
        embeddings: float32 [N, d] by name.
    """
    asked, there = np.flatnonzero(parts == HELD_OUT), np.flatnonzero(parts == TRAIN)
    chosen = asked[np.unique(np.linspace(0, len(asked) - 1, _QUERIES).astype(int))]
    k = min(_SHOWN, len(there))
    rows = []
    for query in chosen:
        for name, vectors in embeddings.items():
            found = there[nearest(vectors[[query]], vectors[there], k)[0]]
            rows.append((name, [framed(pixels[query], _ASKED), *(pixels[row] for row in found)]))
    draw_sheet(path, rows)
