"""DINO's vision transformers, of all three generations, from transformers."""

from __future__ import annotations

import copy
from typing import Literal, cast

import torch
from torch import Tensor, nn
from transformers import Dinov2Model, Dinov2WithRegistersModel, DINOv3ViTModel, ViTModel

from morphoindex.errors import UsageError
from morphoindex.exporters.making import Material
from morphoindex.exporters.onnx_export import from_torch
from morphoindex.exporters.preparation import IMAGENET_DEVIATION, IMAGENET_MEAN, Preparation, in_bytes
from morphoindex.exporters.pretrained import is_offline, load_pretrained
from morphoindex.exporters.processor import find_settings, own_processor, preparation_of

Pooling = Literal["cls", "cls+mean"]
CLASSES = {
    "vit": ViTModel,  # DINO v1, and every other plain ViT
    "dinov2": Dinov2Model,
    "dinov2_with_registers": Dinov2WithRegistersModel,
    "dinov3_vit": DINOv3ViTModel,
}
_DROPPED = ("pooler.", "classifier.", "head.")
_USUAL = in_bytes(IMAGENET_MEAN, IMAGENET_DEVIATION)
_CROPPED = Preparation(224, 224, "crop", "bicubic", 16, *_USUAL)  # DINOv2: shorter side to 256, middle 224
_SQUASHED = Preparation(224, 224, "squash", "bilinear", 0, *_USUAL)


class Pooled(nn.Module):  # type: ignore[misc]  # torch's types are not read
    """A vision transformer, down to one vector.

    All four classes end in a layer normalisation over all tokens, which `last_hidden_state` is after. Its first token
    is CLS, then come registers, where there are any, then the patches.
    """

    def __init__(self, network: nn.Module, pooling: Pooling, interpolate: bool = False) -> None:
        super().__init__()
        self.network, self.pooling = network, pooling
        self.options = {"interpolate_pos_encoding": True} if interpolate else {}
        self.registers = int(getattr(network.config, "num_register_tokens", 0))

    def forward(self, images: Tensor) -> Tensor:
        """Float [N, 3, H, W], normalised -> float [N, d], or [N, 2 d] for "cls+mean", CLS first."""
        tokens: Tensor = self.network(images, **self.options).last_hidden_state
        if self.pooling == "cls":
            return tokens[:, 0]
        return torch.cat([tokens[:, 0], tokens[:, 1 + self.registers :].mean(dim=1)], dim=1)


def load_dino(source: str, size: int | None = None, pooling: Pooling = "cls") -> Material:
    """Load a DINO and translate it.

    Args:
        source: a folder as `save_pretrained` writes it, or a hub id.
        size: of the square that the network takes, in pixels; by default what its image processor is set to.
        pooling: CLS alone, or CLS and the mean of the patches, as DINOv2's linear classifiers have it.

    Raises:
        CheckpointInvalid: it is no such network, or its weights do not fit.
        UsageError: the patch size does not divide the size.
    """
    offline = is_offline(source)
    network = load_pretrained(source, CLASSES, _DROPPED, offline)
    settings = find_settings(source, offline)
    usual = _CROPPED if network.config.model_type.startswith("dinov2") else _SQUASHED
    preparation = preparation_of(settings, usual, size)
    patch = network.config.patch_size
    if preparation.height % patch or preparation.width % patch:
        raise UsageError(
            f"the patches of {source} are {patch} pixels, which do not divide {preparation.height}: take another --size"
        )
    processor = own_processor(source, settings, preparation, offline) if settings else None
    original = Pooled(network, pooling, interpolate=isinstance(network, ViTModel)).eval()
    fixed = Pooled(with_fixed_positions(network, preparation.height, preparation.width), pooling)
    return from_torch(fixed, preparation, original, processor)


def with_fixed_positions(network: nn.Module, height: int, width: int) -> nn.Module:
    """A copy with position embeddings interpolated once, for one size.

    ViT and DINOv2 hold them for the size that they were trained at and interpolate at each call, bicubic and, with
    registers, antialiased; the ONNX operator for that gives other numbers. DINOv3's rotary positions are computed from
    the size and become constants by themselves.
    """
    network = copy.deepcopy(network)
    if isinstance(network, DINOv3ViTModel):
        return network
    embeddings = network.embeddings
    patch = network.config.patch_size
    with torch.inference_mode():
        tokens = torch.zeros(1, 1 + height // patch * (width // patch), network.config.hidden_size)
        positions = embeddings.interpolate_pos_encoding(tokens, height, width).clone()
    embeddings.position_embeddings = nn.Parameter(positions, requires_grad=False)
    embeddings.image_size = embeddings.patch_embeddings.image_size = (height, width)
    return cast("nn.Module", network)
