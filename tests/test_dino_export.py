"""Exporting DINOs, on small checkpoints of the real classes with random weights."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Cli

from morphoindex.errors import CheckpointInvalid, ParityError, UsageError
from morphoindex.indexer.encoding.encoder import Encoder

torch = pytest.importorskip("torch", reason="exporting needs the extra `train`")
PATCH = 7
MEAN, DEVIATION = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
SCALED = {"do_resize": True, "do_rescale": True, "do_normalize": True, "image_mean": MEAN, "image_std": DEVIATION}
PROCESSORS = {
    "vit": {"image_processor_type": "ViTImageProcessor", "size": {"height": 28, "width": 28}, "resample": 2, **SCALED},
    "dinov2": {
        "image_processor_type": "BitImageProcessor", "size": {"shortest_edge": 32}, "do_center_crop": True,
        "crop_size": {"height": 28, "width": 28}, "resample": 3, **SCALED,
    },
    "dinov3_vit": {
        "image_processor_type": "DINOv3ViTImageProcessorFast", "size": {"height": 28, "width": 28},
        "resample": 2, **SCALED,
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for each class, as save_pretrained writes it."""
    import transformers

    folder = tmp_path_factory.mktemp("checkpoints")
    shape = {
        "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64, "image_size": 28,
        "patch_size": PATCH,
    }  # fmt: skip
    registers = {"num_register_tokens": 2}
    torch.manual_seed(0)
    networks = {
        "vit": transformers.ViTModel(transformers.ViTConfig(**shape)),
        "dinov2": transformers.Dinov2Model(transformers.Dinov2Config(**shape)),
        "dinov2_with_registers": transformers.Dinov2WithRegistersModel(
            transformers.Dinov2WithRegistersConfig(**shape, **registers)
        ),
        "dinov3_vit": transformers.DINOv3ViTModel(transformers.DINOv3ViTConfig(**shape, **registers)),
        "classifier": transformers.ViTForImageClassification(transformers.ViTConfig(**shape, num_labels=5)),
    }
    for name, network in networks.items():
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.2)  # so large that a wrong position or token shows
        network.save_pretrained(folder / name)
        if name in PROCESSORS:
            (folder / name / "preprocessor_config.json").write_text(json.dumps(PROCESSORS[name]))
    return folder


def changed(checkpoints: Path, tmp_path: Path, change: Any) -> Path:
    """A copy of the ViT with other weights."""
    from safetensors.torch import load_file, save_file

    copy = Path(shutil.copytree(checkpoints / "vit", tmp_path / "vit"))
    weights = load_file(copy / "model.safetensors")
    change(weights)
    save_file(weights, copy / "model.safetensors", {"format": "pt"})
    return copy


def export(source: Path, path: Path, **options: Any) -> Any:
    from morphoindex.exporters.contract import EncoderRecord
    from morphoindex.exporters.dino import load_dino
    from morphoindex.exporters.making import make_encoder

    return make_encoder(load_dino(str(source), **options), EncoderRecord(path.stem, source.name), path)


def expected(source: Path, photographs: list[np.ndarray], size: int, pooling: str) -> np.ndarray:
    """What transformers gives, said again in plain words; only the interpolation is its own."""
    import transformers
    from PIL import Image

    network = transformers.AutoModel.from_pretrained(source).eval()
    kind = network.config.model_type
    shorter = round(size * 32 / 28) if kind.startswith("dinov2") else size
    method = Image.Resampling.BICUBIC if kind.startswith("dinov2") else Image.Resampling.BILINEAR
    cut = (shorter - size) // 2
    prepared = []
    for photograph in photographs:  # square ones
        resized = np.asarray(Image.fromarray(photograph).resize((shorter, shorter), method), np.float32)
        inner = resized[cut : cut + size, cut : cut + size] / 255
        prepared.append(((inner - MEAN) / DEVIATION).transpose(2, 0, 1))
    options = {"interpolate_pos_encoding": True} if kind == "vit" else {}
    with torch.inference_mode():
        tokens = network(torch.from_numpy(np.stack(prepared)).float(), **options).last_hidden_state.numpy()
    first_patch = 1 + getattr(network.config, "num_register_tokens", 0)
    assert tokens.shape[1] == first_patch + (size // PATCH) ** 2
    features = tokens[:, 0]
    if pooling == "cls+mean":
        features = np.concatenate([features, tokens[:, first_patch:].mean(axis=1)], axis=1)
    return features / np.linalg.norm(features, axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("name", "size", "pooling"),
    [
        ("classifier", 28, "cls"), ("vit", 42, "cls+mean"), ("dinov2", 56, "cls"),
        ("dinov2_with_registers", 42, "cls+mean"), ("dinov3_vit", 42, "cls+mean"),
    ],
)  # fmt: skip
def test_the_file_gives_what_transformers_gives(
    checkpoints: Path, tmp_path: Path, name: str, size: int, pooling: str
) -> None:
    made = export(checkpoints / name, tmp_path / "e.onnx", size=size, pooling=pooling)
    assert made.images >= 64
    assert made.least_cosine >= 0.9999
    assert (made.processor is not None) == (name in PROCESSORS)
    encoder = Encoder(tmp_path / "e.onnx")
    photographs = list(np.random.default_rng(0).integers(0, 256, (5, 90, 90, 3), np.uint8))
    vectors, good = encoder.embed(np.stack([encoder.fit(photograph) for photograph in photographs]))
    assert good.all()
    agreement = (vectors * expected(checkpoints / name, photographs, size, pooling)).sum(axis=1)
    assert agreement.min() > (0.99 if name == "dinov2_with_registers" else 0.9999)  # no processor: 256/224, not 32/28


@pytest.mark.parametrize(("name", "size"), [("dinov2_with_registers", 42)])
def test_attention_is_that_of_transformers(checkpoints: Path, tmp_path: Path, name: str, size: int) -> None:
    import transformers

    from morphoindex.indexer.explaining.inside import Inside

    export(checkpoints / name, tmp_path / "e.onnx", size=size)
    encoder = Encoder(tmp_path / "e.onnx")
    side = encoder.info.height
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    found = Inside(tmp_path / "e.onnx", name, pixels).attention()
    cut = (side - size) // 2
    assert found.region == (cut, cut, side - cut, side - cut)
    network = transformers.AutoModel.from_pretrained(checkpoints / name, attn_implementation="eager").eval()
    taken = ((pixels[cut : side - cut, cut : side - cut] / 255 - MEAN) / DEVIATION).transpose(2, 0, 1)[np.newaxis]
    with torch.inference_mode():
        expected = network(torch.from_numpy(taken).float(), output_attentions=True).attentions[-1].numpy()
    rows = size // PATCH
    np.testing.assert_allclose(found.heads, expected[0, :, 0, -(rows**2) :].reshape(-1, rows, rows), atol=1e-4)


def test_the_processor_sets_how_photographs_are_fitted(checkpoints: Path, tmp_path: Path) -> None:
    made = export(checkpoints / "dinov2", tmp_path / "e.onnx")
    encoder = made.encoder
    assert (encoder.fit, encoder.resampling, encoder.height) == ("crop", "bicubic", 32)  # the middle 28 of 32
    assert made.processor == "BitImageProcessorPil" or made.processor.startswith("BitImageProcessor")
    assert made.processor_levels < 6


def test_a_processor_that_gives_other_pixels_keeps_nothing(checkpoints: Path, tmp_path: Path) -> None:
    from dataclasses import replace

    from morphoindex.exporters.contract import EncoderRecord
    from morphoindex.exporters.dino import load_dino
    from morphoindex.exporters.making import make_encoder

    material = load_dino(str(checkpoints / "dinov2"))
    for wrong in (
        {"resampling": "bilinear"}, {"fit": "squash", "margin": 3, "height": 26, "width": 26},
        {"mean": tuple(value + 2 for value in material.preparation.mean)},
    ):  # fmt: skip
        other = replace(material, preparation=replace(material.preparation, **wrong))  # type: ignore[arg-type]
        if "height" in wrong:
            with pytest.raises(ParityError, match="gives"):
                make_encoder(other, EncoderRecord("e", "test"), tmp_path / "out" / "e.onnx")
            continue
        with pytest.raises(ParityError, match=r"differ from those of BitImageProcessor\w* by \d\.\d+ levels"):
            make_encoder(other, EncoderRecord("e", "test"), tmp_path / "out" / "e.onnx")
    assert list((tmp_path / "out").iterdir()) == []


def test_patches_have_to_divide_the_size(checkpoints: Path) -> None:
    from morphoindex.exporters.dino import load_dino

    with pytest.raises(UsageError, match="7 pixels, which do not divide 30"):
        load_dino(str(checkpoints / "vit"), 30)


def test_weights_that_do_not_fit_are_named(checkpoints: Path, tmp_path: Path) -> None:
    from morphoindex.exporters.dino import load_dino

    def change(weights: dict[str, Any]) -> None:
        del weights["layernorm.bias"]
        weights["adapter.weight"] = torch.zeros(3)
        weights["layernorm.weight"] = torch.zeros(8)

    with pytest.raises(CheckpointInvalid) as caught:
        load_dino(str(changed(checkpoints, tmp_path, change)))
    words = str(caught.value)
    assert "missing: layernorm.bias" in words
    assert "not known: adapter.weight" in words
    assert "wrong shape: layernorm.weight is (8,), not (32,)" in words


def test_other_networks_are_refused(checkpoints: Path, tmp_path: Path) -> None:
    import transformers

    from morphoindex.exporters.dino import load_dino

    transformers.BertConfig().save_pretrained(tmp_path / "bert")
    with pytest.raises(CheckpointInvalid, match="of type 'bert', not one of vit, dinov2"):
        load_dino(str(tmp_path / "bert"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointInvalid, match=r"has no config\.json"):
        load_dino(str(tmp_path / "empty"))
    (tmp_path / "weightless").mkdir()
    shutil.copy(checkpoints / "vit" / "config.json", tmp_path / "weightless")
    with pytest.raises(CheckpointInvalid, match=r"the weights of .*weightless cannot be read"):
        load_dino(str(tmp_path / "weightless"))


def test_a_hub_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from huggingface_hub import constants

    from morphoindex.exporters.dino import load_dino

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(CheckpointInvalid, match=r"^nobody/nothing is not a folder here, nor to be had from"):
        load_dino("nobody/nothing")


def test_the_command_line(checkpoints: Path, tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    cli.environment.pop("PYTHONWARNINGS")  # torch and transformers warn while they are imported
    done = cli.fresh(
        "encoder", "export", "dino", "--from", checkpoints / "dinov2", "--size", "42", "--licence", "CC0-1.0", "--json"
    )
    assert done.stderr == ""
    answer = json.loads(done.stdout)
    assert answer["file"] == "dinov2-42.onnx"
    assert answer["encoder"]["about"]["licence"] == "CC0-1.0"
    assert str(checkpoints) not in (tmp_path / "dinov2-42.onnx").read_bytes().decode("latin-1")
