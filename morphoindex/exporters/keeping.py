"""A model becomes an encoder file once it was seen to give what it should."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from onnx import ModelProto

from morphoindex.errors import ParityError, UsageError
from morphoindex.exporters.conformance import see_kept
from morphoindex.exporters.contract import serialised
from morphoindex.exporters.judging import Floats, Pixels, cosines, drawn_photographs, in_batches
from morphoindex.exporters.precision import LEAST_COSINE
from morphoindex.indexer.encoding.encoder import Encoder, EncoderInfo


@dataclass(frozen=True)
class Kept:
    """An encoder file that was made from a model.

    Attributes:
        file: its path; bytes: its size.
        encoder: what it says of itself.
        images: so many were compared.
        least_cosine: between the file's embedding and what it should be.
    """

    file: Path
    bytes: int
    encoder: EncoderInfo
    images: int
    least_cosine: float


def keep(model: ModelProto, path: Path, expected: Callable[[Pixels], Floats], origin: str) -> Kept:
    """Write a model as an encoder file, if it keeps the contract and gives the vectors that it should.

    Args:
        model: a valid encoder in fp32.
        path: of the file; replaced whole or not at all.
        expected: gives the vectors, float32 [N, d] of any length, of pixels uint8 [N, H, W, 3].
        origin: where those come from, for messages.

    Raises:
        EncoderInvalid: it breaks the contract.
        ParityError: it gives other vectors.
        UsageError: the file cannot be written.
    """
    with trial_folder(path) as place:
        trial = place / "trial.onnx"
        trial.write_bytes(serialised(model))
        made = _checked(Encoder(trial, provider="cpu"), expected, origin)
        trial.replace(path)
    return Kept(path, path.stat().st_size, *made)


@contextmanager
def trial_folder(path: Path) -> Iterator[Path]:
    """A folder beside a file that is to be written, for what is tried before; it goes whatever happens.

    Raises:
        UsageError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".morphoindex-", dir=path.parent) as place:
            yield Path(place)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from error


def _checked(encoder: Encoder, expected: Callable[[Pixels], Floats], origin: str) -> tuple[EncoderInfo, int, float]:
    see_kept(encoder)
    pixels = np.stack([encoder.fit(photograph) for photograph in drawn_photographs()])
    least = float(cosines(in_batches(encoder.run, pixels), expected(pixels)).min())
    if not least >= LEAST_COSINE["fp32"]:
        raise ParityError(f"the least cosine between the file and {origin} is {least:.6f}: nothing is kept")
    return encoder.info, len(pixels), least
