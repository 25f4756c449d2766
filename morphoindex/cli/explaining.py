"""explain: what an encoder looks at."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from morphoindex.cli.options import Shared, shared

if TYPE_CHECKING:
    from morphoindex.indexer.explaining.looking import Explanation, Look
    from morphoindex.indexer.explaining.results import AttentionFound, Importance, LayerFound, Layers

LIST = "list"


@click.command()
@click.argument("images", nargs=-1, required=True, metavar="IMAGE|ID [IMAGE|ID]")
@click.option("--encoder", metavar="E",
              help="A built-in name, an ONNX file, or one of the index.  [default: the current one]")  # fmt: skip
@click.option("--layers", multiple=True, metavar="NAME|list",
              help="Instead: a sheet of the maps of a layer; list names the layers. Repeatable.")  # fmt: skip
@click.option("--attention", is_flag=True, help="Instead: where a vision transformer's CLS token looks, head by head.")
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE.png",
              help="The picture; replaced, if it is there.  [default: a new IMAGE-importance.png or so]")  # fmt: skip
@shared
def explain(
    shared: Shared, images: tuple[str, ...], encoder: str | None, layers: tuple[str, ...], attention: bool,
    out: Path | None,
) -> None:  # fmt: skip
    """Show which parts of a photograph an encoder goes by; of two, which parts make them alike and which do not.

    Each part is covered in turn, and what that takes off the cosine is drawn over the photograph. Works without an
    index, too: by the encoder named, or the one that comes with the package.
    """
    from morphoindex.cli.progress import covering

    if layers and attention:
        raise click.UsageError("--layers and --attention: one of the two.")
    look = _look(shared, images, encoder)
    if LIST in layers:
        listed = look.list_layers()
        shared.answer(listed, lambda: _show_list(listed))
        return
    file = look.out_for("layers" if layers else "attention" if attention else "", out)
    if layers or attention:
        explanation = look.layers(layers) if layers else look.attention()
    else:
        with covering(not shared.quiet and not shared.json) as report:
            explanation = look.importance(report)
    look.save(explanation, file)
    _answer(shared, explanation, file)


def _look(shared: Shared, images: tuple[str, ...], encoder: str | None) -> Look:
    """Without opening the index, where it is not needed: others may be working with it."""
    from morphoindex.errors import IndexNotFound
    from morphoindex.indexer.encoding.encoder import DEFAULT
    from morphoindex.indexer.explaining.finding import look_at
    from morphoindex.indexer.location import find_index

    try:
        find_index(shared.index)
    except IndexNotFound:
        if shared.index:
            raise
        return look_at(images, encoder or DEFAULT)
    if encoder is not None and all(os.path.isfile(image) for image in images):
        return look_at(images, encoder, shared.index)
    with shared.open() as index:
        return index.look(*images, encoder=encoder)


def _answer(shared: Shared, explanation: Explanation, file: Path) -> None:
    from morphoindex.indexer.results.common import as_json

    shared.answer({**as_json(explanation.result), "file": str(file)}, lambda: _show(explanation, file))


def _show(explanation: Explanation, file: Path) -> None:
    from morphoindex.cli import render

    result: Any = explanation.result
    if explanation.kind == "layers":
        _table(result.layers)
    elif explanation.kind == "attention":
        _show_attention(result)
    else:
        _show_importance(result)
    render.line(f"Wrote {file}.")


def _show_importance(result: Importance) -> None:
    from morphoindex.cli import render

    if result.cosine is not None:
        render.line(f"By {result.encoder} their cosine is {result.cosine:.3f}.", "bold")
    rows = []
    for one in result.images:
        adds = (f"{one.gain:.3f}",) if result.cosine is not None else ()
        rows.append((f"{one.drop:.3f}", *adds, f"{one.x}, {one.y}", f"{one.half_within:.0%}", render.short(one.path)))
    adds = ("adds up to",) if result.cosine is not None else ()
    heads = ("takes off up to", *adds, "most at x, y", "half lies within", "image")
    render.table(heads, rows, right=("takes off up to", "adds up to", "half lies within"))
    to = "the vector of the whole" if result.cosine is None else "the vector of the other"
    render.line(
        f"What covering one part does to the cosine to {to} ({result.encoder}, {result.passes:,} pictures embedded, "
        f"{result.seconds:.1f} s)."
    )


def _show_attention(result: AttentionFound) -> None:
    from morphoindex.cli import render

    shares = ", ".join(f"{share:.0%}" for share in result.to_patches)
    render.line(
        f"{result.encoder}, {result.layer}: {render.count(len(result.to_patches), 'head')} over {result.rows} × "
        f"{result.columns} patches. Most at x, y = {result.x}, {result.y}."
    )
    render.line(f"Of the attention of CLS, the patches get {shares}; the rest stays with itself and with registers.")


def _show_list(result: Layers) -> None:
    from morphoindex.cli import render

    _table(result.layers)
    render.line(f"{render.count(len(result.layers), 'layer')} of {result.encoder} with maps, in their order.")


def _table(layers: tuple[LayerFound, ...]) -> None:
    from morphoindex.cli import render

    rows = [(layer.name, layer.operator, layer.channels, f"{layer.rows} × {layer.columns}") for layer in layers]
    render.table(("layer", "operator", "channels", "maps"), rows, right=("channels",))
