"""encoder: the ONNX files that turn pixels into vectors."""

from __future__ import annotations

from typing import Any

import click

from morphoindex.cli.options import Shared, shared


@click.group()
def encoder() -> None:
    """Look at encoders: the ONNX files that turn photographs into vectors."""


@encoder.command("list")
@shared
def list_(shared: Shared) -> None:
    """The encoders that come with the package."""
    from morphoindex.cli import render
    from morphoindex.indexer.encoder import Encoder, built_in_encoders

    found = [_described(Encoder(path)) for path in built_in_encoders().values()]
    shared.answer(
        {"encoders": found},
        lambda: render.table(
            ("name", "size", "dim", "fingerprint"),
            [(e["name"], f"{e['width']}×{e['height']}", e["dim"], e["fingerprint"][:12]) for e in found],
        ),
    )


@encoder.command()
@click.argument("name", metavar="NAME|FILE")
@shared
def show(shared: Shared, name: str) -> None:
    """What an encoder says of itself."""
    from morphoindex.cli import render
    from morphoindex.indexer.encoder import Encoder, find_encoder

    described = _described(Encoder(find_encoder(name)))
    shared.answer(described, lambda: render.table(("", ""), list(described.items())))


def _described(encoder: Any) -> dict[str, Any]:
    info = encoder.info
    return {
        "name": info.name, "fingerprint": info.fingerprint, "dim": info.dim, "width": info.width, "height": info.height,
        "fit": info.fit, "resampling": info.resampling, "provider": encoder.provider, **info.about,
    }  # fmt: skip
