"""encoder: the ONNX files that turn pixels into vectors."""

from __future__ import annotations

from typing import Any

import click

from morphoindex.cli import embedding
from morphoindex.cli.exporting import convert, export, import_, join
from morphoindex.cli.options import Shared, shared
from morphoindex.cli.training import adapt, distil, train


@click.group()
def encoder() -> None:
    """Encoders: the ONNX files that turn photographs into vectors."""


for command in (export, import_, convert, join, train, adapt, distil, embedding.compare, embedding.use, embedding.drop):
    encoder.add_command(command)


@encoder.command("list")
@shared
def list_(shared: Shared) -> None:
    """The encoders that come with the package, and those of the index: which it holds, and which is the current one."""
    from morphoindex.cli import render
    from morphoindex.indexer.encoding.encoder import Encoder
    from morphoindex.indexer.encoding.registry import list_encoders

    found = [
        {
            **(_described(Encoder(one.file)) if one.file else {}),
            "name": one.name, "fingerprint": one.fingerprint, "dim": one.dim, "index": one.standing,
        }
        for one in list_encoders(shared.index)
    ]  # fmt: skip
    rows = [
        (e["name"], f"{e['width']}×{e['height']}" if "width" in e else "", e["dim"], e["fingerprint"][:12], e["index"])
        for e in found
    ]
    shared.answer(
        {"encoders": found}, lambda: render.table(("name", "size", "dim", "fingerprint", "in this index"), rows)
    )


@encoder.command()
@click.argument("name", metavar="NAME|FILE")
@shared
def show(shared: Shared, name: str) -> None:
    """What an encoder says of itself."""
    from morphoindex.cli import render
    from morphoindex.indexer.encoding.encoder import Encoder
    from morphoindex.indexer.encoding.registry import find_file

    described = _described(Encoder(find_file(name, shared.index)))
    shared.answer(described, lambda: render.table(("", ""), list(described.items())))


@encoder.command()
@click.argument("name", metavar="NAME|FILE")
@shared
@click.pass_context
def check(ctx: click.Context, shared: Shared, name: str) -> None:
    """Whether a file keeps the contract, and what is wrong where it does not.

    Its vectors have to be finite, of unit length, the same one by one as in a batch, and the same each time.
    """
    from morphoindex.cli import render
    from morphoindex.exporters.conformance import findings
    from morphoindex.indexer.encoding.encoder import Encoder
    from morphoindex.indexer.encoding.registry import find_file

    opened = Encoder(find_file(name, shared.index))
    found = list(findings(opened))
    wrong = [finding.wrong for finding in found if finding.wrong]
    shared.answer(
        {"encoder": opened.info.name, "checks": [{"what": f.what, "wrong": f.wrong or None} for f in found]},
        lambda: render.table(("", ""), [(f.what, f"it {f.wrong}" if f.wrong else "good") for f in found]),
    )
    ctx.exit(1 if wrong else 0)


@encoder.command()
@click.argument("name", metavar="NAME|FILE")
@click.option("--provider", metavar="P", help="cpu, cuda, tensorrt. Default: CUDA where it is there, else the CPU.")
@shared
def bench(shared: Shared, name: str, provider: str | None) -> None:
    """How many images a second it embeds on this machine, one by one, in batches of 16, and on a card in large ones.

    Inference alone, as `add` runs it: one thread for each worker, of which there are as many as cores.
    """
    from morphoindex.cli import render
    from morphoindex.exporters.bench import rates
    from morphoindex.indexer.encoding.registry import find_file

    result = rates(find_file(name, shared.index), provider)
    rows = [(batch, f"{rate:,.0f}") for batch, rate in result.images_per_second.items()]

    def show() -> None:
        render.line(f"{result.name} on {result.provider}, {render.count(result.workers, 'worker')}.")
        render.table(("batch", "images/s"), rows, right=("batch", "images/s"))

    shared.answer(
        {
            "encoder": result.name, "provider": result.provider, "workers": result.workers,
            "images_per_second": {str(batch): round(rate, 1) for batch, rate in result.images_per_second.items()},
        },
        show,
    )  # fmt: skip


def _described(encoder: Any) -> dict[str, Any]:
    info = encoder.info
    return {
        "name": info.name, "fingerprint": info.fingerprint, "dim": info.dim, "width": info.width, "height": info.height,
        "fit": info.fit, "resampling": info.resampling, "provider": encoder.provider, "runs_on": encoder.place,
        **info.about,
    }  # fmt: skip
