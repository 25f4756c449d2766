"""encoder train and encoder distil: encoders from a person's own photographs."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from morphoindex.cli.exporting import show_uses, train_extra
from morphoindex.cli.options import Shared, shared

if TYPE_CHECKING:
    from morphoindex.exporters.training.optimizers import Optimizer
    from morphoindex.exporters.training.runs import Trained

_LISTED = 20
_EXISTING = click.Path(exists=True, path_type=Path)


class _Count(click.ParamType[int]):
    """A number, with K or M for thousands and millions: "1M", "300k", "1.5M"."""

    name = "NUMBER"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        found = re.fullmatch(r"([\d.,_]*\d)\s*([kKmM]?)", str(value))
        try:
            number = float(found[1].replace(",", "").replace("_", "")) if found else 0
        except ValueError:
            number = 0
        if not found or number <= 0:
            self.fail(f"{value!r} is not a number such as 300k or 1M", param, ctx)
        return round(number * {"": 1, "k": 1_000, "m": 1_000_000}[found[2].lower()])


def _training(kind: str, epochs: int, batch: int, weight_decay: float, patient: bool = True) -> Callable[..., Any]:
    """The options of every training; one that holds photographs out has a patience."""
    patience = click.option(
        "--patience", type=click.IntRange(1), default=10, show_default=True, metavar="EPOCHS",
        help="Stop after so many epochs without a better held-out measure.",
    )  # fmt: skip

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        command = shared(click.pass_context(command))
        for option in reversed((
            click.argument("images", nargs=-1, required=True, metavar="IMAGES..."),
            click.option("--epochs", type=click.IntRange(1), default=epochs, show_default=True, help="At the most."),
            click.option("--batch", type=click.IntRange(2), default=batch, show_default=True, help="Images a step."),
            click.option("--weight-decay", type=click.FloatRange(0), default=weight_decay, show_default=True),
            *([patience] if patient else []),
            click.option("--seed", type=click.IntRange(0), default=0, show_default=True,
                         help="The same seed on as many threads gives the same encoder."),
            click.option("--out", type=click.Path(path_type=Path), metavar="DIR", default=Path(kind),
                         show_default=True, help="The folder of the run."),
            click.option("--resume", is_flag=True, help="Go on with the run in that folder."),
            click.option("--name", help="What the encoder is called.  [default: the name of the folder]"),
            click.option("--licence", default="unstated", show_default=True, help="Of the weights; kept in the file."),
            click.option("--training-data", default="unstated", show_default=True, help="Kept in the file."),
        )):  # fmt: skip
            command = option(command)
        return command

    return decorate


def _autoencoding(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of what has an autoencoder in it."""
    for option in reversed((
        click.option("--size", type=click.IntRange(16), default=128, show_default=True, metavar="PIXELS",
                     help="Side of the square that it takes, a multiple of 16."),
        click.option("--latent", type=click.IntRange(2), default=128, show_default=True, help="Length of the vectors."),
        click.option("--grey", is_flag=True, help="Brightness alone, no colours."),
        click.option("--mirror/--no-mirror", default=True, show_default=True,
                     help="Turn half of the photographs left to right."),
        click.option("--denoise", type=click.FloatRange(0, 1), default=0.0, show_default=True, metavar="SIGMA",
                     help="Noise that goes in and is not to come out, of a range of 0..1."),
    )):  # fmt: skip
        command = option(command)
    return command


_labels = click.option("--labels", metavar="HOW", help="To measure by; never learned from. As `add` takes it.")
_group = click.option(
    "--group", metavar="COLUMN", help="A label whose equal values stay on one side of the split, such as source_id."
)


@click.group()
def train() -> None:
    """Train an encoder on your own photographs. Needs the extra `train`.

    Each training keeps a folder: a checkpoint, from which --resume goes on, a log, a loss curve, a sheet of examples,
    and at the end encoder.onnx, which was compared with what was trained.
    """


@train.command()
@_autoencoding
@_training("autoencoder", epochs=60, batch=64, weight_decay=0.01)
def autoencoder(
    ctx: click.Context, shared: Shared, images: tuple[str, ...], size: int, latent: int, grey: bool, mirror: bool,
    denoise: float, **options: Any,
) -> None:  # fmt: skip
    """A convolutional autoencoder: without labels, by what photographs look like.

    Good for uniform photographs: plates, drawers, plankton, specimens on one background.
    """
    with train_extra():
        from morphoindex.exporters.training.autoencoder import AutoencoderShape
        from morphoindex.exporters.training.reconstruction import Augmentation, train_autoencoder

        shape, augmentation = AutoencoderShape(size, latent, grey), Augmentation(mirror, denoise)
        _run(ctx, shared, lambda *rest: train_autoencoder(images, shape, augmentation, *rest), 2e-3, **options)


@train.command("deep-cluster")
@click.option("-k", type=click.IntRange(2), required=True, metavar="N", help="How many clusters.")
@click.option(
    "--cluster-epochs",
    type=click.IntRange(1),
    default=60,
    show_default=True,
    help="Of the clustering, at the most; it ends once fewer than 0.1 % of the photographs change.",
)
@click.option("--from", "source", type=_EXISTING, metavar="FILE", help="A trained autoencoder.pt, with its own size.")
@click.option("--reference", type=_EXISTING, metavar="DIR", help="A folder a class: gives the clusters names.")
@_labels
@_autoencoding
@_training("deep-cluster", epochs=60, batch=64, weight_decay=0.01)
def deep_cluster(
    ctx: click.Context, shared: Shared, images: tuple[str, ...], k: int, cluster_epochs: int, source: Path | None,
    reference: Path | None, labels: str | None, size: int, latent: int, grey: bool, mirror: bool, denoise: float,
    **options: Any,
) -> None:  # fmt: skip
    """Deep embedded clustering: an autoencoder first, then its codes and k clusters together.

    --epochs and the other options are those of the autoencoder. With --reference, class_mappings.json names the
    clusters; with --labels, the result says how well they agree.
    """  # fmt: skip
    with train_extra():
        from morphoindex.exporters.training.autoencoder import AutoencoderShape
        from morphoindex.exporters.training.deep_clustering import Clustering, train_deep_cluster
        from morphoindex.exporters.training.reconstruction import Augmentation

        wanted = Clustering(k, cluster_epochs, source, reference, labels)
        shape, augmentation = AutoencoderShape(size, latent, grey), Augmentation(mirror, denoise)
        _run(ctx, shared, lambda *rest: train_deep_cluster(images, wanted, shape, augmentation, *rest), 2e-3, **options)


@train.command()
@click.option(
    "--labels",
    required=True,
    metavar="HOW",
    help="folder (the folder's name is the species), folder=COLUMN, a pattern, or a CSV or Excel file, as `add` has "
    "it.",
)
@click.option(
    "--rank",
    "ranks",
    multiple=True,
    metavar="COLUMN",
    help="A label to learn, coarsest first; again for more.  [default: order, family, genus, species]",
)
@_group
@click.option(
    "--from",
    "source",
    metavar="FILE|FOLDER|HUB_ID",
    help="A ResNet18 to begin with, as `encoder export resnet18` takes it. Default: a small network, from scratch.",
)
@click.option("--size", type=click.IntRange(16), default=128, show_default=True, metavar="PIXELS")
@click.option("--mirror/--no-mirror", default=True, show_default=True, help="Turn half of them left to right.")
@_training("classifier", epochs=60, batch=32, weight_decay=0.05)
def classifier(
    ctx: click.Context, shared: Shared, images: tuple[str, ...], labels: str, ranks: tuple[str, ...],
    group: str | None, source: str | None, size: int, mirror: bool, **options: Any,
) -> None:  # fmt: skip
    """A classifier, of which what stands before the heads becomes the encoder.

    One label, or several ranks with a head each. A test part is never learned from; copies, photographs that look the
    same, and those with the same value of --group are on one side.
    """
    with train_extra():
        from morphoindex.exporters.training.classification import ClassifierShape, Labelling, train_classifier

        labelling, shape = Labelling(labels, ranks, group), ClassifierShape(size, source)
        rate = 3e-4 if source else 1e-3
        _run(
            ctx, shared, lambda *rest: train_classifier(images, labelling, shape, mirror, *rest), rate, 0.98, **options
        )


@click.command()
@click.option("--teacher", required=True, metavar="E", help="A built-in name or an encoder file, which is to be kept.")
@click.option("--size", type=click.IntRange(32), default=128, show_default=True, metavar="PIXELS")
@click.option("--parameters", type=_Count(), default="1.35M", show_default=True, help="Of the student, at the most.")
@click.option("--views", type=_Count(), help="That the teacher labels.  [default: 40 a photograph, at most 60,000]")
@_labels
@_group
@_training("distilled", epochs=8, batch=64, weight_decay=0.05)
def distil(
    ctx: click.Context, shared: Shared, images: tuple[str, ...], teacher: str, size: int, parameters: int,
    views: int | None, labels: str | None, group: str | None, **options: Any,
) -> None:  # fmt: skip
    """Teach a small, quick encoder to place your photographs as a large one does.

    The result says how much of the teacher is kept on photographs that were held out, and how much faster it is.
    """
    with train_extra():
        from morphoindex.exporters.training.distilling import Distilling
        from morphoindex.exporters.training.distilling import distil as distil_
        from morphoindex.indexer.encoding.encoder import find_encoder

        wanted = Distilling(find_encoder(teacher), size, parameters, views, labels, group)
        _run(ctx, shared, lambda *rest: distil_(images, wanted, *rest), 2e-3, 0.99, "muon", **options)


@click.command()
@click.option("--encoder", required=True, metavar="E", help="A name or a file; in fp32.")
@click.option("--mirror/--no-mirror", default=True, show_default=True, help="Look at them from both sides.")
@_labels
@_group
@_training("adapted", epochs=3, batch=32, weight_decay=0.01, patient=False)
def adapt(
    ctx: click.Context, shared: Shared, images: tuple[str, ...], encoder: str, mirror: bool, labels: str | None,
    group: str | None, **options: Any,
) -> None:  # fmt: skip
    """Let an encoder learn on from the clusters that it finds in your photographs, without labels.

    The later half of its layers learns which altered photographs are of one cluster. The result says how many of the
    nearest neighbours are others now, and with --labels whether these are better.
    """
    with train_extra():
        from morphoindex.exporters.training.adapting import Adapting
        from morphoindex.exporters.training.adapting import adapt as adapt_
        from morphoindex.indexer.encoding.registry import find_file

        wanted = Adapting(find_file(encoder, shared.index), mirror, labels, group)
        _run(ctx, shared, lambda *rest: adapt_(images, wanted, *rest), 1e-4, 0.995, **options)


def _run(
    ctx: click.Context, shared: Shared, run: Callable[..., Trained], rate: float, average: float = 0.0,
    optimizer: Optimizer = "adamw", *, epochs: int, batch: int, weight_decay: float, seed: int,
    out: Path, resume: bool, name: str | None, licence: str, training_data: str, patience: int = 10,
) -> None:  # fmt: skip
    from morphoindex.cli.progress import training
    from morphoindex.errors import UsageError
    from morphoindex.exporters.training.loop import TrainingSettings
    from morphoindex.exporters.training.runs import Order

    settings = TrainingSettings(
        epochs, batch, rate, weight_decay, average_decay=average, patience=patience, seed=seed, optimizer=optimizer
    )  # fmt: skip
    order = Order(out, resume, name or out.resolve().name, licence, training_data)
    try:
        with training(not shared.quiet) as watcher:
            result = run(settings, order, watcher)
    except OSError as error:
        raise UsageError(f"{out} cannot be written: {error.strerror or error}") from error
    shared.answer(result, lambda: _render(result))
    ctx.exit(1 if result.refused else 0)


def _render(result: Trained) -> None:
    from morphoindex.cli import render

    parts = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in result.parts.items())
    early = ", stopped early" if result.stopped_early else ""
    render.line(
        f"Wrote {result.encoder}: {result.dim} dimensions, {result.width}×{result.height} pixels; "
        f"least cosine to torch {result.least_cosine:.6f}",
        "bold",
    )
    render.line(
        f"{render.count(result.photographs, 'photograph')}: {parts}. {render.count(result.epochs, 'epoch')}{early}."
    )
    render.table(("", ""), list(_flat(result.figures)))
    render.line(f"In {result.folder}: " + ", ".join(f"{file} ({what})" for what, file in result.files.items()))
    if result.refused:
        rows = [(render.short(refused.path), refused.reason) for refused in result.refused[:_LISTED]]
        render.table(("left out", "reason"), rows)
        if len(result.refused) > _LISTED:
            render.line(f"… and {len(result.refused) - _LISTED:,} more: --json lists all.")
    show_uses(result.encoder)


def _flat(figures: Mapping[str, Any], before: str = "") -> list[tuple[str, str]]:
    """{"test": {"species": 0.75}} -> [("test, species", "0.75")]."""
    rows: list[tuple[str, str]] = []
    for key, value in figures.items():
        name = before + key.replace("_", " ")
        if isinstance(value, Mapping):
            rows += _flat(value, f"{name}, ")
        elif isinstance(value, list):
            rows.append((name, ", ".join(map(str, value))))
        else:
            rows.append((name, f"{value:,}" if isinstance(value, int) else str(value)))
    return rows
