"""The image processors of transformers: what they are set to, and what they make of photographs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from PIL import Image
from torch.nn import functional
from transformers import AutoImageProcessor
from transformers.image_processing_utils import BaseImageProcessor

from morphoindex.errors import CheckpointInvalid
from morphoindex.exporters.judging import Floats, Pixels
from morphoindex.exporters.preparation import Preparation, Processor, read_processor
from morphoindex.exporters.pretrained import first_sentence
from morphoindex.exporters.quiet import quiet

Settings = dict[str, Any]


def find_settings(source: str, offline: bool) -> Settings | None:
    """The `preprocessor_config.json` of a folder or hub id; None where it has none."""
    try:
        with quiet():
            settings, _ = BaseImageProcessor.get_image_processor_dict(source, local_files_only=offline)
    except (OSError, ValueError):
        return None
    return cast("Settings", settings)


def own_processor(source: str, settings: Settings, preparation: Preparation, offline: bool) -> Processor | None:
    """The processor itself, set to the preparation's size.

    DINOv3's needs torchvision; where that is missing its three steps (scale, resize with antialiasing, normalise) are
    done in torch, as it does them. None where torch cannot.

    Raises:
        CheckpointInvalid: there is no such processor in transformers.
    """
    try:
        with quiet():
            processor = AutoImageProcessor.from_pretrained(source, local_files_only=offline, trust_remote_code=False)
    except ImportError:
        if preparation.fit != "squash" or preparation.resampling not in ("bilinear", "bicubic"):
            return None
        return Processor(
            "its image processor's steps in torch", lambda photographs: _in_torch(photographs, preparation)
        )
    except (OSError, ValueError) as error:
        raise CheckpointInvalid(f"the image processor of {source} cannot be had: {first_sentence(error)}") from error
    sizes = _sizes(settings, preparation)

    def run(photographs: Sequence[Pixels]) -> Floats:
        pictures = [Image.fromarray(photograph) for photograph in photographs]
        with quiet():
            return np.asarray(processor(images=pictures, return_tensors="np", **sizes)["pixel_values"], np.float32)

    return Processor(type(processor).__name__, run)


def _sizes(settings: Settings, preparation: Preparation) -> Settings:
    """The arguments that set a processor to a size, after what `read_processor` made of its own."""
    height, width = preparation.height, preparation.width
    if preparation.fit == "squash":
        kind = str(settings.get("image_processor_type", settings.get("feature_extractor_type")))
        return {
            "size": {"shortest_edge": height} if kind.startswith("ConvNext") else {"height": height, "width": width}
        }
    if settings.get("do_center_crop"):
        shortest = min(preparation.canvas)
        return {"size": {"shortest_edge": shortest}, "crop_size": {"height": height, "width": width}}
    return {"size": {"shortest_edge": height}}


def _in_torch(photographs: Sequence[Pixels], preparation: Preparation) -> Floats:
    mean, deviation = (torch.tensor(v).view(1, 3, 1, 1) for v in (preparation.mean, preparation.deviation))
    mode = preparation.resampling
    done = []
    for photograph in photographs:
        floats = torch.from_numpy(photograph.copy()).permute(2, 0, 1)[None].float()
        size = (preparation.height, preparation.width)
        resized = functional.interpolate(floats, size, mode=mode, antialias=True, align_corners=False)
        done.append((resized - mean) / deviation)
    return cast("Floats", torch.cat(done).numpy())


def preparation_of(settings: Settings | None, usual: Preparation, size: int | None) -> Preparation:
    """What the settings say, or else what is usual for the network; brought to the size, where one is asked for."""
    preparation = read_processor(settings) if settings is not None else usual
    return preparation.resized(size) if size else preparation
