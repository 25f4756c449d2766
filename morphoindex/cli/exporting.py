"""encoder export and encoder import: networks of others become encoder files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from morphoindex.cli.options import Shared, shared

if TYPE_CHECKING:
    from morphoindex.exporters.contract import EncoderRecord
    from morphoindex.exporters.keeping import Kept
    from morphoindex.exporters.making import Made, Material

FITS = ("squash", "crop", "letterbox")
CALIBRATE = "At least 128 photographs: half calibrate int8, the rest check it."
FILTERS = ("bilinear", "bicubic", "lanczos", "box", "nearest")


class _Triple(click.ParamType[tuple[float, ...]]):
    """One number for all colours, or three: "0.5" or "0.485,0.456,0.406"."""

    name = "R,G,B"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, tuple):
            return value
        try:
            numbers = tuple(float(part) for part in value.split(","))
        except ValueError:
            numbers = ()
        if len(numbers) not in (1, 3):
            self.fail(f"{value!r} is not one number, or three with commas", param, ctx)
        return numbers * 3 if len(numbers) == 1 else numbers


def _making(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of every command that makes an encoder file."""
    command = shared(command)
    for option in reversed((
        click.option("--to", metavar="FILE", help="The file to write. Default: NAME.onnx here."),
        click.option("--name", help="What the encoder is called. Default: by its origin, size and precision."),
        click.option("--size", type=click.IntRange(1), metavar="PIXELS", help="Side of the square that it takes."),
        click.option("--fit", type=click.Choice(FITS), help="How photographs are brought to its size."),
        click.option("--resampling", type=click.Choice(FILTERS), help="The filter they are resized with."),
        click.option("--precision", type=click.Choice(("fp32", "fp16", "int8")), default="fp32", show_default=True),
        click.option("--calibrate", metavar="FOLDER", type=click.Path(path_type=Path), help=CALIBRATE),
        click.option("--licence", default="unstated", show_default=True, help="Of the weights; kept in the file."),
        click.option("--training-data", default="unstated", show_default=True, help="Kept in the file."),
    )):  # fmt: skip
        command = option(command)
    return command


@click.group()
def export() -> None:
    """Make an encoder file from a trained network.

    The file is compared with the network on at least 64 images, and kept only if both agree. Needs the extra `train`.
    """


@export.command()
@click.option("--from", "source", required=True, metavar="HUB_ID|FOLDER", help="Such as facebook/dinov2-small.")
@click.option(
    "--pooling",
    type=click.Choice(("cls", "cls+mean")),
    default="cls",
    show_default=True,
    help="CLS alone, or CLS and the mean of the patches (twice as long).",
)
@_making
def dino(shared: Shared, source: str, pooling: Any, size: int | None, **options: Any) -> None:
    """DINO, DINOv2, DINOv3, or another ViT of transformers."""
    with train_extra():
        from morphoindex.exporters.dino import load_dino

        _make(shared, load_dino(source, size, pooling), source, **options)


@export.command()
@click.option(
    "--from", "source", required=True, metavar="FILE|FOLDER|HUB_ID",
    help="Weights of torchvision or timm (.pth, .safetensors), or a ResNet of transformers.",
)  # fmt: skip
@_making
def resnet18(shared: Shared, source: str, size: int | None, **options: Any) -> None:
    """ResNet18 of torchvision, timm or transformers, fine-tuned or not; its classifier is left out."""
    with train_extra():
        from morphoindex.exporters.resnet import load_resnet18

        _make(shared, load_resnet18(source, size), source, **options)


@export.command()
@click.option("--from", "source", required=True, metavar="FILE", help="autoencoder.pt of `encoder train`.")
@_making
def autoencoder(shared: Shared, source: str, size: int | None, **options: Any) -> None:
    """What `encoder train autoencoder` trained, once more: in another precision, under another name."""
    with train_extra():
        from morphoindex.errors import UsageError
        from morphoindex.exporters.training.autoencoder import load_autoencoder
        from morphoindex.exporters.training.runs import material_of

        network = load_autoencoder(Path(source))
        if size not in (None, network.shape.size):
            raise UsageError(f"{source} takes {network.shape.size} × {network.shape.size} pixels and no others")
        _make(shared, material_of(network, network.shape.size), source, **options)


@click.command("import")
@click.argument("model", metavar="MODEL.onnx", type=click.Path(path_type=Path))
@click.option("--mean", type=_Triple(), required=True, metavar="R,G,B", help="It takes (rgb - mean) / std.")
@click.option("--std", type=_Triple(), required=True, metavar="R,G,B")
@click.option(
    "--range",
    "largest",
    type=click.Choice(("1", "255")),
    default="1",
    show_default=True,
    help="Whether mean and std are of rgb values 0..1 or 0..255.",
)
@click.option("--output", metavar="NAME", help="The features, where the model has several outputs.")
@_making
def import_(
    shared: Shared, model: Path, mean: Any, std: Any, largest: str, output: str | None, size: int | None, **options: Any
) -> None:
    """Make an encoder file from another ONNX model, of floats in and features out.

    The model takes [N, 3, H, W] or [N, H, W, 3] with any N. Needs the extra `train`, of which only onnx is used.
    """
    with train_extra():
        from morphoindex.exporters.foreign import load_foreign
        from morphoindex.exporters.preparation import in_bytes

        material = load_foreign(model, *in_bytes(mean, std, float(largest)), size=size, output=output)
        _make(shared, material, str(model), **options)
    shared.remark("mean and std are taken as given: nothing in a file tells whether they are right")


@click.command()
@click.argument("encoder", metavar="ENCODER")
@click.option("--precision", type=click.Choice(("fp16", "int8")), required=True)
@click.option("--calibrate", metavar="FOLDER", type=click.Path(path_type=Path), help=CALIBRATE)
@click.option("--to", metavar="FILE", help="The file to write. Default: NAME.onnx here.")
@click.option("--name", help="What the encoder is called. Default: by what it is made of, and the precision.")
@shared
def convert(
    shared: Shared, encoder: str, precision: Any, calibrate: Path | None, to: str | None, name: str | None
) -> None:
    """Make the same encoder in fewer bits: fp16 for graphics cards, int8 for processors.

    Of an encoder file in fp32, one that you trained for example. It is another encoder then: an index never mixes the
    two. Needs the extra `train`, of which only onnx is used.
    """
    with train_extra():
        from morphoindex.exporters.converting import load_encoder
        from morphoindex.indexer.encoding.registry import find_file

        material, record = load_encoder(find_file(encoder, shared.index))
        record = replace(record, name=name or f"{record.name}-{precision}")
        _keep(shared, material, record, to, precision, calibrate)


@click.command()
@click.argument("encoders", nargs=-1, required=True, metavar="ENCODER…")
@click.option("--mirror", is_flag=True, help="Look at each photograph from both sides: twice the time.")
@click.option("--to", metavar="FILE", help="The file to write. Default: NAME.onnx here.")
@click.option("--name", help="What the encoder is called. Default: by its parts.")
@shared
def join(shared: Shared, encoders: tuple[str, ...], mirror: bool, to: str | None, name: str | None) -> None:
    """Make one encoder of several, whose vectors are theirs side by side.

    What two networks see together tells more species apart than either. They have to take the same pixels; a search
    or an add then takes as long as with all of them. Needs the extra `train`, of which only onnx is used.
    """
    with train_extra():
        from morphoindex.cli import render
        from morphoindex.exporters.joining import join as join_files
        from morphoindex.indexer.encoding.encoder import Encoder
        from morphoindex.indexer.encoding.registry import find_file

        files = [find_file(encoder, shared.index) for encoder in encoders]
        name = name or "+".join(Encoder(file).info.name for file in files) + ("-mirrored" if mirror else "")
        made = join_files(files, Path(to or f"{name}.onnx"), name, mirror)

    def show() -> None:
        render.line(f"wrote {made.file}: {made.encoder.dim} dimensions, {made.bytes / 1e6:.1f} MB", "bold")
        render.line(f"beside its parts, {made.images} images: least cosine {made.least_cosine:.6f}")
        show_uses(str(made.file))

    shared.answer(_as_dict(made), show)


def _make(
    shared: Shared, material: Material, source: str, *, to: str | None, name: str | None, fit: Any, resampling: Any,
    precision: Any, calibrate: Path | None, licence: str, training_data: str,
) -> None:  # fmt: skip
    from morphoindex.exporters.contract import EncoderRecord

    if fit or resampling:
        material = material.fitted_otherwise(fit, resampling)
    name = name or _name(source, material.preparation.height, precision)
    # A path tells about the machine: of a file, the name is enough.
    origin = Path(source).name if Path(source).exists() else source
    record = EncoderRecord(name, origin, licence, training_data)
    _keep(shared, material, record, to, precision, calibrate)


def _keep(
    shared: Shared, material: Material, record: EncoderRecord, to: str | None, precision: Any, calibrate: Path | None
) -> None:
    from morphoindex.exporters.judging import own_photographs
    from morphoindex.exporters.making import make_encoder

    photographs = own_photographs(calibrate) if calibrate else None
    made = make_encoder(material, record, Path(to or f"{record.name}.onnx"), precision, photographs)
    shared.answer(_as_dict(made), lambda: _render(made, material.origin))


def _name(source: str, side: int, precision: str) -> str:
    stem = Path(source).name.removesuffix(".onnx")
    stem = re.sub(r"\.(pth|pt|bin|safetensors)$", "", stem)
    plain = re.sub(r"[^a-z0-9.]+", "-", stem.lower()).strip("-") or "encoder"
    return f"{plain}-{side}" + ("" if precision == "fp32" else f"-{precision}")


def _as_dict(made: Kept) -> dict[str, Any]:
    return {**asdict(made), "file": str(made.file)}


def _render(made: Made, origin: str) -> None:
    from morphoindex.cli import render

    info = made.encoder
    render.line(
        f"wrote {made.file}: {info.dim} dimensions, {info.width}×{info.height} pixels ({info.fit}, {info.resampling}), "
        f"{made.precision}, {made.bytes / 1e6:.1f} MB",
        "bold",
    )
    render.line(
        f"beside {origin}, {made.images} images: least cosine {made.least_cosine:.6f}, mean {made.mean_cosine:.6f}"
    )
    if made.processor:
        render.line(
            f"beside {made.processor}: pixels differ by {made.processor_levels:.2f} levels of 255 on average; "
            f"least cosine {made.processor_cosine:.4f}"
        )
    if made.quantised:
        cost = made.quantised
        held_back = f"; the first {cost.held_back} layers stay in fp32" if cost.held_back else ""
        render.line(
            f"beside fp32: {cost.neighbours_kept:.0%} of the 10 nearest neighbours stay; "
            f"{cost.times_as_fast:.1f} times as fast on this machine{held_back}"
        )
    show_uses(str(made.file))


def show_uses(file: str) -> None:
    """What can be done with an encoder file now."""
    from morphoindex.cli import render

    render.line(
        f"`morphoindex init --encoder {file}` makes an index with it; in one that is there, `morphoindex reembed`"
    )


@contextmanager
def train_extra() -> Iterator[None]:
    """What the extra brings may be missing: one sentence says so."""
    try:
        yield
    except ModuleNotFoundError as error:
        from morphoindex.errors import RuntimeMissing
        from morphoindex.indexer.words import installing

        if (error.name or "").partition(".")[0] in ("morphoindex", ""):
            raise
        raise RuntimeMissing(f"{error.name} is not installed: {installing('train')} brings it") from error
