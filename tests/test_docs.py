"""The documents say what is true: commands, references, links, packaging files."""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path

import click
import pytest

from morphoindex.cli.main import COMMANDS, cli

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
USES = [
    (document, line.strip())
    for document in DOCUMENTS
    for block in re.findall(r"^```\w*\n(.*?)^```", document.read_text("utf-8"), re.M | re.S)
    for line in block.splitlines()
    if line.strip().startswith("morphoindex ") and document.name != "cli.md"
]


def test_every_command_is_in_the_readme() -> None:
    table = (ROOT / "README.md").read_text("utf-8").partition("## Commands")[2]
    assert [name for name in COMMANDS if f"| `{name}" not in table] == []


def test_the_reference_is_that_of_the_program() -> None:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs/generate.py")
    assert spec
    assert spec.loader
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    assert (ROOT / "docs/cli.md").read_text("utf-8") == generate.reference()


@pytest.mark.parametrize(("document", "line"), USES, ids=[f"{d.name}: {line[:60]}" for d, line in USES])
def test_commands_in_documents_can_be_parsed(document: Path, line: str) -> None:
    words = shlex.split(line.split("  ")[0], comments=True)[1:]
    context = cli.make_context("morphoindex", list(words), resilient_parsing=True)
    name = next(word for word in words if word in COMMANDS)
    command = cli.get_command(context, name)
    assert command is not None
    rest = words[words.index(name) + 1 :]
    if isinstance(command, click.Group) and (rest or not command.invoke_without_command):
        command = command.commands[rest.pop(0)]
    try:
        command.make_context(name, rest)
    except click.exceptions.Exit:
        pytest.fail(f"{document.name}: {line}")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: d.name)
def test_links_lead_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", document.read_text("utf-8"))
    missing = [t for t in targets if "://" not in t and not (document.parent / t).exists()]
    assert missing == []
