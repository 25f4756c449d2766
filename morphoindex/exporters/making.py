"""The one way in which every encoder file comes about: precision, contract, checks, and only then its name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from morphoindex.errors import ParityError, UsageError
from morphoindex.exporters.conformance import see_kept
from morphoindex.exporters.contract import EncoderRecord, FloatNetwork, serialised, wrap
from morphoindex.exporters.judging import (
    Floats,
    Pixels,
    Reference,
    cosines,
    drawn_photographs,
    halves,
    in_batches,
    neighbours_kept,
    times_as_fast,
    unit,
)
from morphoindex.exporters.keeping import Kept, trial_folder
from morphoindex.exporters.precision import HELD_BACK, LEAST_COSINE, Precision, halve, layers, quantise
from morphoindex.exporters.preparation import Preparation, Processor
from morphoindex.indexer.encoding.encoder import Encoder
from morphoindex.indexer.photographs.images import Fit, Resampling

MOST_LEVELS, MOST_LEVELS_SQUARE = 6.0, 0.6
"""Between the host's pixels and a framework's, of 255, on average: of photographs as they are, and cut square. Of a
square one the two are the same to within rounding, so that another filter, mean or size is seen. Of others a framework
that crops rounds the longer side and cuts whole pixels, so that its picture is shifted by up to half a pixel."""


@dataclass(frozen=True, eq=False)
class Material:
    """What an encoder is made of.

    Attributes:
        network: in ONNX, float32.
        preparation: what stands between a photograph and the network.
        reference: the network as it was, for the check.
        origin: what runs the reference, for messages: "torch".
        processor: the framework's own preparation, where it has one.
    """

    network: FloatNetwork
    preparation: Preparation
    reference: Reference
    origin: str
    processor: Processor | None = None

    def fitted_otherwise(self, fit: Fit | None, resampling: Resampling | None) -> Material:
        """With another fit or filter than the network's own, whose processor there is then nothing to compare with."""
        preparation = replace(
            self.preparation,
            fit=fit or self.preparation.fit,
            resampling=resampling or self.preparation.resampling,
            margin=0 if fit else self.preparation.margin,
        )
        return replace(self, preparation=preparation, processor=None)


@dataclass(frozen=True)
class Quantised:
    """What int8 costs, and what it brings, beside the same encoder in fp32.

    Attributes:
        held_back: so many of the first layers stay in fp32.
        neighbours_kept: the share of each image's ten nearest others that stay, 0..1.
        times_as_fast: on batches of 16, on this machine.
    """

    held_back: int
    neighbours_kept: float
    times_as_fast: float


@dataclass(frozen=True)
class Made(Kept):
    """An encoder file, and how well it agrees with what it was made from; the rest as in Kept.

    Attributes:
        mean_cosine: between the file's embedding and the reference's, of the same pixels.
        processor: the framework's own, by name; None where there was none to compare with.
        processor_levels: mean difference of the host's pixels from the processor's, in levels of 0..255.
        processor_cosine: the least between the file on the host's pixels and the reference on the processor's.
        quantised: None but for int8.
    """

    precision: Precision
    mean_cosine: float
    processor: str | None = None
    processor_levels: float | None = None
    processor_cosine: float | None = None
    quantised: Quantised | None = None


def make_encoder(
    material: Material,
    record: EncoderRecord,
    path: Path,
    precision: Precision = "fp32",
    photographs: Sequence[Pixels] | None = None,
) -> Made:
    """Write an encoder file, if it keeps the contract and agrees with what it is made from.

    Args:
        material: network, preparation and references.
        record: goes into the file's metadata.
        path: of the file; replaced whole or not at all.
        precision: int8 needs photographs: every second one calibrates, the others check.
        photographs: uint8 [H, W, 3] each, at least 64 (128 for int8). By default drawn ones.

    Raises:
        ParityError: a cosine is below LEAST_COSINE of the precision, or the framework's processor gives other pixels.
        EncoderInvalid: the file breaks the contract: vectors that are not finite, a batch size that is not free.
        UsageError: int8 without photographs, or the file cannot be written.
    """
    if precision == "int8" and photographs is None:
        raise UsageError("int8 is calibrated on your own photographs: give --calibrate FOLDER")
    if precision != "fp32" and material.network.in_halves:
        raise UsageError(f"{material.origin} is in fp16 already: import it without --precision")
    photographs = drawn_photographs() if photographs is None else photographs
    calibration, held_out = halves(photographs) if precision == "int8" else ((), photographs)
    with trial_folder(path) as place:
        trial = _Trial(material, record, place, held_out)
        made = trial.quantised(calibration) if precision == "int8" else trial.plain(precision)
        made.file.replace(path)
    return replace(made, file=path)


class _Trial:
    """One attempt, in a folder of its own."""

    def __init__(self, material: Material, record: EncoderRecord, place: Path, photographs: Sequence[Pixels]) -> None:
        self.material, self.record, self.place = material, record, place
        self.pixels = np.stack([material.preparation.fitted(photograph) for photograph in photographs])
        inputs = material.preparation.normalised(self.pixels)
        self.expected = in_batches(material.reference, inputs)
        self.processor, self.processed, self.levels = material.processor, np.empty(0, np.float32), None
        if self.processor:
            squares = [one[: min(one.shape[:2]), : min(one.shape[:2])] for one in photographs]
            self._compare(self.processor, squares, MOST_LEVELS_SQUARE)
            self.processed, self.levels = self._compare(self.processor, photographs, MOST_LEVELS)

    def _compare(self, processor: Processor, photographs: Sequence[Pixels], most: float) -> tuple[Floats, float]:
        """What the processor makes of photographs, and how far that is from what the host makes, in levels of 255."""
        preparation = self.material.preparation
        ours = preparation.normalised(np.stack([preparation.fitted(photograph) for photograph in photographs]))
        theirs = processor.run(photographs)
        if theirs.shape != ours.shape:
            raise ParityError(f"{processor.name} gives {theirs.shape[1:]}, the host {ours.shape[1:]}: nothing is kept")
        deviation = np.array(preparation.deviation, np.float32).reshape(3, 1, 1)
        levels = float((np.abs(theirs - ours) * deviation).mean())
        if not levels <= most:
            raise ParityError(
                f"the host's pixels differ from those of {processor.name} by {levels:.2f} levels of 255 on average, "
                f"more than {most:g}: nothing is kept"
            )
        return theirs, levels

    def plain(self, precision: Precision) -> Made:
        network = self.material.network
        encoder, found = self._run(halve(network) if precision == "fp16" else network, precision)
        return self._made(encoder, found, precision)

    def quantised(self, calibration: Sequence[Pixels]) -> Made:
        preparation, network = self.material.preparation, self.material.network
        images = preparation.normalised(np.stack([preparation.fitted(one) for one in calibration]))
        failure = ParityError("")
        for held_back in (number for number in HELD_BACK if number <= layers(network) / 2):
            encoder, found = self._run(quantise(network, images, held_back), "int8")
            try:
                made = self._made(encoder, found, "int8")
            except ParityError as error:
                failure = error
                continue
            whole, _ = self._run(network, "fp32")
            kept, speed = neighbours_kept(found, unit(self.expected)), times_as_fast(encoder, whole, self.pixels)
            return replace(made, quantised=Quantised(held_back, kept, speed))
        raise failure

    def _run(self, network: FloatNetwork, precision: Precision) -> tuple[Encoder, Floats]:
        path = self.place / f"{precision}.onnx"
        path.write_bytes(serialised(wrap(network, self.material.preparation, self.record)))
        encoder = Encoder(path)
        see_kept(encoder)
        return encoder, in_batches(encoder.run, self.pixels)

    def _made(self, encoder: Encoder, found: Floats, precision: Precision) -> Made:
        agreement = cosines(found, self.expected)
        if not agreement.min() >= LEAST_COSINE[precision]:
            raise ParityError(
                f"the least cosine between {self.material.origin} and the {precision} file is {agreement.min():.6f}, "
                f"below {LEAST_COSINE[precision]}, over {len(found)} images: nothing is kept"
            )
        path = self.place / f"{precision}.onnx"
        made = Made(
            path, path.stat().st_size, encoder.info, len(found), float(agreement.min()), precision,
            float(agreement.mean()),
        )  # fmt: skip
        if self.processor is None:
            return made
        theirs = in_batches(self.material.reference, self.processed)
        return replace(
            made, processor=self.processor.name, processor_levels=self.levels,
            processor_cosine=float(cosines(found, theirs).min()),
        )  # fmt: skip
