"""ResNet18, from transformers, torchvision or timm: one network, three ways to name its weights."""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import ResNetConfig, ResNetModel

from morphoindex.errors import CheckpointInvalid
from morphoindex.exporters.making import Material
from morphoindex.exporters.onnx_export import from_torch
from morphoindex.exporters.preparation import IMAGENET_DEVIATION, IMAGENET_MEAN, Preparation, in_bytes
from morphoindex.exporters.pretrained import first_sentence, is_offline, load_pretrained, refuse_unfit
from morphoindex.exporters.processor import find_settings, own_processor, preparation_of

SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")
WIDTHS, DEPTHS = [64, 128, 256, 512], [2, 2, 2, 2]
# torchvision's evaluation, and timm's but for its filter: shorter side to 256, the middle 224
USUAL = Preparation(224, 224, "crop", "bilinear", 16, *in_bytes(IMAGENET_MEAN, IMAGENET_DEVIATION))
_MAGIC = (b"PK", b"\x80\x02")  # of torch.save: a zip archive, in old versions a pickle
_NESTED = ("state_dict", "model_state_dict", "model")
_STEM = "conv1.weight"  # the first weight in torchvision's and timm's naming, whatever stands before it
_LAYER = re.compile(r"layer([1-4])\.(\d+)\.(conv|bn|downsample\.)([012])\.(.+)")
_PARTS = {"conv": "convolution", "bn": "normalization"}


class Pooled(nn.Module):  # type: ignore[misc]  # torch's types are not read
    """A ResNet, down to the mean of its last features."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Float [N, 3, H, W], normalised -> float [N, 512]."""
        return cast("Tensor", self.network(images).pooler_output.flatten(1))


def load_resnet18(source: str, size: int | None = None) -> Material:
    """Load a ResNet18 and translate it. A classifier on top of it, of any width, is left out.

    Args:
        source: a file of torchvision's or timm's weights, a folder as `save_pretrained` writes it, or a hub id.
        size: of the square that the network takes, in pixels; by default what its image processor is set to, else 224.

    Raises:
        CheckpointInvalid: it is no ResNet18, or its weights do not fit.
    """
    offline = is_offline(source)
    network = read_resnet18(source, offline)
    if Path(source).is_file():
        return from_torch(Pooled(network), preparation_of(None, USUAL, size))
    settings = find_settings(source, offline)
    preparation = preparation_of(settings, USUAL, size)
    processor = own_processor(source, settings, preparation, offline) if settings else None
    return from_torch(Pooled(network), preparation, processor=processor)


def read_resnet18(source: str, offline: bool) -> nn.Module:
    """The network of transformers, from any of the sources of `load_resnet18`.

    Args:
        source: a file, a folder or a hub id.
        offline: nothing is fetched.

    Raises:
        CheckpointInvalid: it is no ResNet18, or its weights do not fit.
    """
    if Path(source).is_file():
        return _from_weights(read_weights(Path(source)), source)
    network = load_pretrained(source, {"resnet": ResNetModel}, ("classifier.",), offline)
    config = network.config
    if (list(config.hidden_sizes), list(config.depths), config.layer_type) != (WIDTHS, DEPTHS, "basic"):
        raise CheckpointInvalid(f"{source} is a ResNet, but not ResNet18: depths {config.depths}, {config.layer_type}")
    return network


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint, by name; no code in it is run.

    Args:
        path: `.safetensors`, or what torch.save makes of a state dict, alone or under "state_dict" or "model".

    Raises:
        CheckpointInvalid: it is neither, or holds other things than tensors.
    """
    try:
        if path.suffix == ".safetensors":
            weights: dict[str, Tensor] = load_file(path)
            return weights
        with path.open("rb") as file:
            if file.read(2) not in _MAGIC:
                raise CheckpointInvalid(f"{path} is not a checkpoint: neither safetensors nor of torch.save")
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointInvalid(
            f"{path} holds more than weights, and its code is not run: save state_dict() alone, best as safetensors"
        ) from error
    except (SafetensorError, OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise CheckpointInvalid(f"{path} is not a checkpoint: {first_sentence(error)}") from error
    for key in _NESTED:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise CheckpointInvalid(f"{path} is not a state dict: names and tensors")
    return content


def _from_weights(weights: dict[str, Tensor], source: str) -> nn.Module:
    stem = min((name for name in weights if name.endswith(_STEM) and "layer" not in name), key=len, default=None)
    if stem is None:
        raise CheckpointInvalid(f"{source} is not a ResNet18 of torchvision or timm: it has no {_STEM}")
    prefix = stem.removesuffix(_STEM)  # "module." of DataParallel, "backbone." of many trainers
    ours = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
    ours = {name: value for name, value in ours.items() if not name.startswith(("fc.", "head."))}
    network = ResNetModel(ResNetConfig(embedding_size=64, hidden_sizes=WIDTHS, depths=DEPTHS, layer_type="basic"))
    wanted = network.state_dict()
    given = {rename(name): (name, value) for name, value in ours.items()}
    counters = {name for name in wanted if name.endswith("num_batches_tracked")}  # of training; old files have none
    refuse_unfit(
        source, "ResNet18",
        missing=wanted.keys() - given.keys() - counters,
        extra=[name for key, (name, _) in given.items() if key not in wanted],
        wrong=[
            f"{name} is {tuple(value.shape)}, not {tuple(wanted[key].shape)}"
            for key, (name, value) in given.items()
            if key in wanted and value.shape != wanted[key].shape
        ],
    )  # fmt: skip
    network.load_state_dict(
        {key: value.float() for key, (_, value) in given.items() if key not in counters}, strict=False
    )
    return cast("nn.Module", network.eval())


def rename(name: str) -> str:
    """A weight of torchvision and timm, as transformers calls it.

    "layer2.0.downsample.1.bias" -> "encoder.stages.1.layers.0.shortcut.normalization.bias"; what has no like stays.
    """
    for theirs, part in _PARTS.items():
        if name.startswith(f"{theirs}1."):
            return f"embedder.embedder.{part}.{name.removeprefix(f'{theirs}1.')}"
    found = _LAYER.fullmatch(name)
    if not found:
        return name
    stage, layer, kind, number, rest = found.groups()
    if kind == "downsample.":
        place = "shortcut." + ("convolution", "normalization")[int(number)]
    else:
        place = f"layer.{int(number) - 1}.{_PARTS[kind]}"
    return f"encoder.stages.{int(stage) - 1}.layers.{layer}.{place}.{rest}"
