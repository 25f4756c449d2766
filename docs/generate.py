"""Make what the documentation takes from the program itself.

    python docs/generate.py reference     docs/cli.md, from the commands' own help
    python docs/generate.py screens       docs/screens/, from a real run on the demo collection

Colours in the screens are those of a terminal; the pictures are SVG, so that they stay sharp and small.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import click

DOCS = Path(__file__).parent
WIDTH = 150
SCREENS = {
    "add": ["add", "photos", "--labels", "photos/labels.csv"],
    "cluster": ["cluster"],
    "report": ["report"],
    "search": ["search", "photos/{photo}", "-k", "5"],
    "dedup": ["dedup"],
    "sample": ["sample", "-n", "12"],
}
LINES = 18  # of a screen that are shown


def reference() -> str:
    """The reference of all commands, as Markdown."""
    from morphoindex.cli.main import cli

    parts = [
        "# Commands\n",
        "Made by `python docs/generate.py reference`; a test compares it with the program.\n",
        "Exit codes: 0 done; 1 done, but some inputs were refused or a check found something; "
        "2 wrong use or a clear error; 130 interrupted, and what was done is kept.\n",
    ]
    return "\n".join([*parts, *_command(cli, "morphoindex", None)])


def _command(command: click.Command, name: str, parent: click.Context | None) -> list[str]:
    settings = {**command.context_settings, "terminal_width": 100, "max_content_width": 100}
    with click.Context(command, info_name=name, parent=parent, **settings) as context:
        parts = [f"{'##' if parent is None or parent.parent is None else '###'} {context.command_path}\n"]
        parts += ["```", command.get_help(context).rstrip(), "```\n"]
        if isinstance(command, click.Group):
            for sub in command.list_commands(context):
                found = command.get_command(context, sub)
                assert found is not None
                parts += _command(found, sub, context)
    return parts


def screens() -> None:
    """Run the main job and keep what it shows."""
    folder = DOCS / "screens"
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        here = Path(place)
        _run(here, ["demo", "photos"])
        photo = sorted(p.relative_to(here / "photos") for p in (here / "photos").glob("coccinella*/*.jpg"))[3]
        for name, arguments in SCREENS.items():
            given = [argument.format(photo=photo) for argument in arguments]
            _svg(folder / f"{name}.svg", f"$ morphoindex {' '.join(given)}\n" + _run(here, given))
        _sheet(here / "photos", folder / "collection.jpg")
        _explain(here, folder / "explain.jpg")
        _evaluate(here, folder / "evaluate.png")
        _reports(here, folder)


def _run(folder: Path, arguments: list[str]) -> str:
    environment = {**os.environ, "FORCE_COLOR": "1", "COLUMNS": str(WIDTH)}
    environment.pop("MORPHOINDEX_INDEX", None)
    command = [sys.executable, "-m", "morphoindex", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        raise SystemExit(done.stderr)
    return done.stdout


def _svg(path: Path, shown: str) -> None:
    import io

    from rich.console import Console
    from rich.terminal_theme import DIMMED_MONOKAI
    from rich.text import Text

    lines = shown.rstrip().splitlines()
    if len(lines) > LINES:
        lines = [*lines[:LINES], "…"]
    console = Console(record=True, width=WIDTH, file=io.StringIO())
    console.print(Text.from_ansi("\n".join([*lines, ""])))  # the last line would be cut off at its foot
    picture = console.export_svg(title="morphoindex", theme=DIMMED_MONOKAI)
    start, end = picture.index("@font-face"), picture.rindex("@font-face")
    end = picture.index("}", end) + 1
    path.write_text(picture[:start] + picture[end:].replace("Fira Code", "Menlo, Consolas"), encoding="utf-8")


def _sheet(photos: Path, path: Path, columns: int = 9, size: int = 120) -> None:
    from PIL import Image, ImageOps

    folders = sorted(p for p in photos.iterdir() if p.is_dir() and any(p.glob("*_*.jpg")))
    picked = [sorted(folder.glob("*.jpg"))[2] for folder in folders]
    rows = -(-len(picked) // columns)
    sheet = Image.new("RGB", (columns * size, rows * size), "white")
    for i, one in enumerate(picked):
        with Image.open(one) as image:
            small = ImageOps.fit(image.convert("RGB"), (size, size))
        sheet.paste(small, (i % columns * size, i // columns * size))
    sheet.save(path, quality=85)


def _explain(folder: Path, path: Path) -> None:
    from PIL import Image

    photo = sorted(folder.glob("photos/bombus*/*.jpg"))[3]
    _run(folder, ["explain", str(photo), "--out", "explain.png"])
    with Image.open(folder / "explain.png") as picture:
        picture.save(path, quality=85)


def _evaluate(folder: Path, path: Path) -> None:
    from PIL import Image

    _run(folder, ["evaluate", "--compare", "--out", "metrics"])
    with Image.open(folder / "metrics/clustering_metrics.png") as chart:
        chart.convert("P", palette=Image.Palette.ADAPTIVE, colors=64).save(path, optimize=True)


def _reports(here: Path, folder: Path) -> None:
    """A map, and the contact sheet of one cluster, as small as a page takes them."""
    from PIL import Image

    _run(here, ["report", "map", "--by", "species"])
    _run(here, ["report", "sheets", "--out", "sheets"])
    with Image.open(here / "map.png") as image:
        image.convert("RGB").resize((1000, 680), Image.Resampling.LANCZOS).quantize(255).save(
            folder / "map.png", optimize=True
        )
    sheets = sorted((here / "sheets").glob("C*.jpg"))
    with Image.open(sheets[2]) as image:
        image.resize((900, round(900 * image.height / image.width)), Image.Resampling.LANCZOS).save(
            folder / "sheet.jpg", quality=82
        )


if __name__ == "__main__":
    if sys.argv[1:] == ["reference"]:
        (DOCS / "cli.md").write_text(reference(), encoding="utf-8")
    elif sys.argv[1:] == ["screens"]:
        screens()
    else:
        raise SystemExit(__doc__)
