"""Exporting ResNet18s, from weights named as torchvision and timm name them, and from transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from morphoindex.errors import CheckpointInvalid
from morphoindex.indexer.encoding.encoder import Encoder

torch = pytest.importorskip("torch", reason="exporting needs the extra `train`")
nn: Any = torch.nn


class Block(nn.Module):  # type: ignore[misc,name-defined]
    """torchvision's BasicBlock, with its names."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Any) -> Any:
        inner = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(inner + (x if self.downsample is None else self.downsample(x)))


class Torchvision(nn.Module):  # type: ignore[misc,name-defined]
    """torchvision's ResNet18, with its names, and a head of seven classes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        channels = 64
        for stage, width in enumerate((64, 128, 256, 512), 1):
            blocks = [Block(channels, width, 1 if stage == 1 else 2), Block(width, width, 1)]
            setattr(self, f"layer{stage}", nn.Sequential(*blocks))
            channels = width
        self.fc = nn.Linear(512, 7)

    def features(self, x: Any) -> Any:
        x = nn.functional.max_pool2d(torch.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        return self.layer4(self.layer3(self.layer2(self.layer1(x)))).mean(dim=(2, 3))


@pytest.fixture(scope="module")
def network() -> Torchvision:
    torch.manual_seed(0)
    network = Torchvision().eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):  # as after training: no two alike
            for values in (module.weight, module.bias, module.running_mean):
                nn.init.normal_(values, 0.3, 0.3)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return network


def test_every_way_to_save_weights_gives_the_same_network(network: Torchvision, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    from morphoindex.exporters.resnet import Pooled, _from_weights, read_weights

    weights = network.state_dict()
    old = {name: value for name, value in weights.items() if not name.endswith("num_batches_tracked")}
    torch.save(weights, tmp_path / "a.pth")
    save_file(weights, tmp_path / "b.safetensors")
    torch.save({"epoch": 3, "state_dict": {f"module.{name}": value for name, value in old.items()}}, tmp_path / "c.pt")
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        expected = network.features(images).numpy()
        for path in sorted(tmp_path.iterdir()):
            loaded = Pooled(_from_weights(read_weights(path), path.name))
            assert loaded(images).numpy() == pytest.approx(expected, abs=1e-4), path.name


def test_an_export_of_torchvision_weights(network: Torchvision, tmp_path: Path) -> None:
    from morphoindex.exporters.contract import EncoderRecord
    from morphoindex.exporters.making import make_encoder
    from morphoindex.exporters.resnet import load_resnet18

    torch.save(network.state_dict(), tmp_path / "tuned.pth")
    material = load_resnet18(str(tmp_path / "tuned.pth"), size=56)
    made = make_encoder(material, EncoderRecord("resnet18", "test"), tmp_path / "e.onnx")
    assert (made.encoder.fit, made.encoder.height, made.encoder.dim) == ("crop", 64, 512)  # 256 to 224, as torchvision
    pixels = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8)
    inner = (pixels[:, 4:60, 4:60] / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    with torch.inference_mode():
        expected = network.features(torch.from_numpy(inner.transpose(0, 3, 1, 2)).float()).numpy()
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert Encoder(tmp_path / "e.onnx").embed(pixels)[0] == pytest.approx(expected, abs=1e-4)


def test_an_export_from_transformers(tmp_path: Path) -> None:
    import transformers

    from morphoindex.exporters.contract import EncoderRecord
    from morphoindex.exporters.making import make_encoder
    from morphoindex.exporters.resnet import load_resnet18

    config = transformers.ResNetConfig(
        embedding_size=64, hidden_sizes=[64, 128, 256, 512], depths=[2, 2, 2, 2], layer_type="basic"
    )
    transformers.ResNetForImageClassification(config).save_pretrained(tmp_path / "resnet")
    settings = {  # as the hub has it
        "crop_pct": 0.875, "do_normalize": True, "do_resize": True,
        "feature_extractor_type": "ConvNextFeatureExtractor",
        "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225], "resample": 3, "size": 224,
    }  # fmt: skip
    (tmp_path / "resnet" / "preprocessor_config.json").write_text(json.dumps(settings))
    made = make_encoder(
        load_resnet18(str(tmp_path / "resnet"), size=56), EncoderRecord("e", "test"), tmp_path / "e.onnx"
    )
    assert (made.encoder.fit, made.encoder.resampling, made.encoder.height) == ("crop", "bicubic", 64)
    assert made.processor is not None
    assert made.processor.startswith("ConvNextImageProcessor")


def test_weights_of_another_network_are_named(network: Torchvision, tmp_path: Path) -> None:
    from morphoindex.exporters.resnet import load_resnet18

    weights = network.state_dict()
    weights["layer1.0.conv3.weight"] = torch.zeros(1)  # as a ResNet50 has
    weights["conv1.weight"] = torch.zeros(64, 1, 7, 7)
    del weights["layer4.1.bn2.bias"]
    torch.save(weights, tmp_path / "w.pth")
    with pytest.raises(CheckpointInvalid) as caught:
        load_resnet18(str(tmp_path / "w.pth"))
    words = str(caught.value)
    assert "missing: encoder.stages.3.layers.1.layer.1.normalization.bias" in words
    assert "not known: layer1.0.conv3.weight" in words
    assert "conv1.weight is (64, 1, 7, 7), not (64, 3, 7, 7)" in words


@pytest.mark.parametrize(
    ("save", "says"),
    [
        (lambda network, path: torch.save(network, path), "more than weights, and its code is not run"),
        (lambda network, path: path.write_text("weights"), "is not a checkpoint: neither"),
        (lambda network, path: torch.save([1, 2], path), "is not a state dict"),
        (lambda network, path: torch.save({"stem.weight": torch.zeros(1)}, path), "it has no conv1.weight"),
    ],
)
def test_what_is_not_weights_is_refused(network: Torchvision, tmp_path: Path, save: Any, says: str) -> None:
    from morphoindex.exporters.resnet import load_resnet18

    save(network, tmp_path / "w.pth")
    with pytest.raises(CheckpointInvalid, match=says):
        load_resnet18(str(tmp_path / "w.pth"))


def test_another_resnet_of_transformers_is_refused(tmp_path: Path) -> None:
    import transformers

    from morphoindex.exporters.resnet import load_resnet18

    small = transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 8], depths=[1, 1])
    transformers.ResNetModel(small).save_pretrained(tmp_path / "small")
    with pytest.raises(CheckpointInvalid, match="a ResNet, but not ResNet18"):
        load_resnet18(str(tmp_path / "small"))
