"""What happens to a photograph before a float network sees it: the size, the cut, the filter, mean and deviation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from PIL import Image

from morphoindex.errors import CheckpointInvalid, UsageError
from morphoindex.indexer.photographs.images import Fit, Resampling, fit

Triple = tuple[float, float, float]
IMAGENET_MEAN: Triple = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION: Triple = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Preparation:
    """From a photograph to what a network takes: fit to the canvas, cut the margin off, (pixels - mean) / deviation.

    Attributes:
        height, width: of what the network takes, in pixels.
        fit, resampling: how the photograph is brought to the canvas.
        margin: pixels that are cut off on each side after fitting. "Shorter side to 256, middle 224" is a canvas of
            256 × 256, fit "crop", and a margin of 16: the cut goes into the graph, the rest is the host's.
        mean, deviation: of RGB, in units of 0..255.
    """

    height: int
    width: int
    fit: Fit = "squash"
    resampling: Resampling = "bicubic"
    margin: int = 0
    mean: Triple = (0.0, 0.0, 0.0)
    deviation: Triple = (1.0, 1.0, 1.0)

    @property
    def canvas(self) -> tuple[int, int]:
        """(height, width) of the encoder's pixels."""
        return self.height + 2 * self.margin, self.width + 2 * self.margin

    def resized(self, size: int) -> Preparation:
        """The same for a network that takes size × size, with a margin of the same share."""
        margin = round(self.margin * size / min(self.height, self.width))
        return replace(self, height=size, width=size, margin=margin)

    def fitted(self, photograph: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """What the host makes of a photograph [H, W, 3]: uint8 of the canvas's size."""
        return fit(photograph, self.canvas, self.fit, self.resampling)

    def normalised(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """What the graph makes of the host's pixels, uint8 [N, H, W, 3]: float32 [N, 3, height, width]."""
        inner = slice(self.margin, -self.margin or None)
        floats = pixels[:, inner, inner].astype(np.float32)
        scaled = (floats - np.array(self.mean, np.float32)) / np.array(self.deviation, np.float32)
        return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))


@dataclass(frozen=True)
class Processor:
    """A framework's own way from photographs, uint8 [H, W, 3] each, to what its network takes, float32 [N, 3, H, W]."""

    name: str
    run: Callable[[Sequence[npt.NDArray[np.uint8]]], npt.NDArray[np.float32]]


def in_bytes(mean: Triple, deviation: Triple, largest: float = 1.0) -> tuple[Triple, Triple]:
    """Mean and deviation of values 0..largest, in units of 0..255: (0.5, 0.5, 0.5) -> (127.5, 127.5, 127.5).

    Raises:
        UsageError: a mean that is beyond the range, or a deviation that is not positive.
    """
    if max(mean) > largest:
        raise UsageError(f"a mean of {max(mean):g} is beyond 0..{largest:g}: give --range 255 where values are 0..255")
    if min(deviation) <= 0:
        raise UsageError(f"a standard deviation is positive, not {min(deviation):g}")
    factor = 255 / largest
    scaled = (tuple(value * factor for value in values) for values in (mean, deviation))
    return cast("tuple[Triple, Triple]", tuple(scaled))


def read_processor(settings: Mapping[str, Any]) -> Preparation:
    """Translate the `preprocessor_config.json` of a transformers image processor.

    Honoured: size, do_center_crop and crop_size, crop_pct (of ConvNeXT's, which ResNet uses), resample, do_rescale and
    rescale_factor, do_normalize, image_mean, image_std.

    Raises:
        CheckpointInvalid: it does something that has no like here, such as padding or no resizing.
    """
    for step in ("do_pad", "do_flip_channel_order", "do_split_image"):
        if settings.get(step):
            raise CheckpointInvalid(f"its image processor has {step}, which has no like here")
    if not settings.get("do_resize", True):
        raise CheckpointInvalid("its image processor does not resize")
    height, width, mode, margin = _geometry(settings)
    factor = float(settings.get("rescale_factor", 1 / 255)) if settings.get("do_rescale", True) else 1.0
    plain = not settings.get("do_normalize", True)
    mean = (0.0,) * 3 if plain else settings.get("image_mean", IMAGENET_MEAN)
    deviation = (1.0,) * 3 if plain else settings.get("image_std", IMAGENET_DEVIATION)
    return Preparation(
        height, width, mode, _filter(int(settings.get("resample", Image.Resampling.BILINEAR))), margin,
        mean=cast("Triple", tuple(value / factor for value in mean)),
        deviation=cast("Triple", tuple(value / factor for value in deviation)),
    )  # fmt: skip


def _geometry(settings: Mapping[str, Any]) -> tuple[int, int, Fit, int]:
    """Height, width, fit and margin."""
    kind = str(settings.get("image_processor_type") or settings.get("feature_extractor_type") or "")
    size = settings.get("size", 224)
    shortest = size if isinstance(size, int) else size.get("shortest_edge")
    if kind.startswith("ConvNext"):
        if shortest is None or shortest >= 384:
            side = shortest or size["height"]
            return side, side, "squash", 0
        return shortest, shortest, "crop", round((shortest / float(settings.get("crop_pct", 224 / 256)) - shortest) / 2)
    if settings.get("do_center_crop"):
        crop = settings.get("crop_size", 224)
        height, width = (crop, crop) if isinstance(crop, int) else (crop["height"], crop["width"])
        if shortest is None:
            shortest = min(size["height"], size["width"])
        return height, width, "crop", max(0, round((shortest - min(height, width)) / 2))
    if shortest is not None:
        return shortest, shortest, "squash" if isinstance(size, int) else "crop", 0
    return size["height"], size["width"], "squash", 0


def _filter(number: int) -> Resampling:
    names: dict[int, Resampling] = {
        Image.Resampling.NEAREST: "nearest", Image.Resampling.LANCZOS: "lanczos", Image.Resampling.BILINEAR: "bilinear",
        Image.Resampling.BICUBIC: "bicubic", Image.Resampling.BOX: "box",
    }  # fmt: skip
    if number not in names:
        raise CheckpointInvalid(f"its image processor resizes with filter {number}, which is not one of {names}")
    return names[number]
