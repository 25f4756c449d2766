"""Does an encoder keep the contract? What can be told from the file alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from morphoindex.errors import EncoderError, EncoderInvalid
from morphoindex.exporters.drawings import draw_specimen, drawn_species
from morphoindex.indexer.encoding.encoder import Encoder

_BATCH = 7
_LENGTH_TOLERANCE = 1e-3
_LEAST_COSINE = 0.9999  # between a vector made alone and the same one made in a batch


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: what, and what is wrong with it ("" where nothing is), as a clause."""

    what: str
    wrong: str = ""


def findings(encoder: Encoder) -> Iterator[Finding]:
    """Run an encoder on five drawings, black and white, and look at its vectors.

    Yields:
        A finding each for: metadata, batch, finite, unit length, one by one as in a batch, deterministic. The vectors
        are not looked at further where there are none.
    """
    missing = ", ".join(encoder.info.unstated)
    yield Finding("metadata", f"does not say its {missing} (metadata `morphoindex.*`)" if missing else "")
    rng = np.random.default_rng(0)
    drawn = [encoder.fit(np.asarray(draw_specimen(drawn_species(number), rng))) for number in range(_BATCH - 2)]
    pixels = np.stack([*drawn, np.zeros_like(drawn[0]), np.full_like(drawn[0], 255)])
    alone: list[npt.NDArray[np.float32]] = []
    together = again = np.empty((0, 0), np.float32)
    failure = ""
    try:
        alone = [encoder.run(pixels[number : number + 1]) for number in range(_BATCH)]
        together, again = encoder.run(pixels), encoder.run(pixels)
    except EncoderError as error:
        failure = f"runs on one picture but not on {_BATCH} at once: {error}" if alone else f"does not run: {error}"
    if not failure and together.shape != (_BATCH, encoder.info.dim):
        failure = f"gives {list(together.shape)} for {_BATCH} pictures, not {[_BATCH, encoder.info.dim]}"
    yield Finding("any batch size", failure)
    if failure:
        return
    finite = np.logical_and.reduce(np.isfinite(together), axis=1)
    yield Finding("finite", "" if finite.all() else f"gives NaN or infinity for {(~finite).sum()} of {_BATCH} pictures")
    lengths = np.linalg.norm(np.where(finite[:, None], together, 0), axis=1)
    off = finite & (lengths > 0) & (np.abs(lengths - 1) > _LENGTH_TOLERANCE)
    yield Finding("unit length", f"gives vectors of length {lengths[off][0]:.4g}, not 1" if off.any() else "")
    least = float((np.concatenate(alone) * together).sum(axis=1)[finite & (lengths > 0)].min(initial=1))
    same = least >= _LEAST_COSINE or off.any()
    yield Finding("one by one as in a batch", "" if same else f"gives other vectors in a batch: cosine {least:.5f}")
    moved = float(np.abs(together - again)[finite].max(initial=0))
    yield Finding(
        "deterministic", "" if moved <= 1e-5 else f"gives other vectors each time: they differ by {moved:.2g}"
    )


def see_kept(encoder: Encoder) -> None:
    """See that an encoder that was just made keeps the contract.

    Raises:
        EncoderInvalid: it does not; the message says in what, and that nothing is kept.
    """
    for finding in findings(encoder):
        if finding.wrong:
            raise EncoderInvalid(f"{encoder.info.name} {finding.wrong}: nothing is kept")
