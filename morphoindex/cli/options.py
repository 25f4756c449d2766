"""Options that every command has, and how it opens the index and says things."""

from __future__ import annotations

import functools
import json
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from morphoindex.indexer.index import Index


@dataclass(frozen=True)
class Shared:
    """The shared options of one call.

    Attributes:
        index: the index folder as named, None to look for it.
        wait: seconds to wait while another process has it.
        json: print one JSON document on stdout, and nothing else there.
        quiet: no progress, no remarks.
    """

    index: str | None = None
    wait: float = 10
    json: bool = False
    quiet: bool = False

    def open(self, create: bool = False, **options: Any) -> Index:
        """Open the index."""
        import morphoindex

        command = shlex.join(["morphoindex", *sys.argv[1:]])
        return morphoindex.open(self.index, create, command=command, wait=self.wait, say=self.remark, **options)

    def remark(self, words: str) -> None:
        """Say something by the way, on stderr."""
        if not self.quiet:
            click.secho(words, fg="cyan", err=True)

    def answer(self, result: Any, render: Callable[[], Any]) -> None:
        """Print a result: as JSON where that was asked for, else rendered for people."""
        if self.json:
            from morphoindex.indexer.results.common import as_json

            click.echo(
                json.dumps(result if isinstance(result, dict) else as_json(result), ensure_ascii=False, indent=2)
            )
        else:
            render()


def shared(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the shared options; it gets them as its first argument."""

    @click.option("--index", "index_", metavar="DIR", help="The index folder. Default: .morphoindex here or above.")
    @click.option(
        "--wait",
        type=click.FloatRange(0),
        default=10,
        show_default=True,
        metavar="SECONDS",
        help="How long to wait while another process has the index.",
    )
    @click.option("--json", "json_", is_flag=True, help="Print one JSON document on stdout.")
    @click.option("-q", "--quiet", is_flag=True, help="No progress, no remarks.")
    @click.pass_obj
    @functools.wraps(command)
    def with_shared(given: Shared, /, *args: Any, **options: Any) -> Any:
        merged = replace(
            given,
            index=options.pop("index_") or given.index,
            wait=options.pop("wait"),
            json=options.pop("json_") or given.json,
            quiet=options.pop("quiet") or given.quiet,
        )
        return command(merged, *args, **options)

    return with_shared
