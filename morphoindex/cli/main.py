"""The `morphoindex` command: the group, what all commands share, and how errors end."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from morphoindex import __version__
from morphoindex.cli.options import Shared
from morphoindex.errors import MorphoindexError

TRACEBACK = "MORPHOINDEX_TRACEBACK"
COMMANDS = {
    "demo": "collecting", "preprocess": "preprocessing",
    "init": "collecting", "add": "collecting", "remove": "collecting", "reembed": "embedding",
    "cluster": "asking", "clusters": "clusters", "search": "asking", "identify": "identifying", "explain": "explaining",
    "dedup": "duplicates", "sample": "sampling", "split": "splitting", "encounters": "encounters",
    "evaluate": "evaluating",
    "labels": "labels", "report": "reports", "sql": "status", "status": "status",
    "check": "upkeep", "rebuild": "upkeep", "encoder": "encoders",
}  # fmt: skip
"""Command → the module of `morphoindex.cli` it stands in, in the order of the help page."""


class _Lazy(click.Group):
    """A group that imports a command's module when the command is asked for; of one that is not there it says which
    may be meant.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = __import__(f"morphoindex.cli.{COMMANDS[cmd_name]}", fromlist=[cmd_name])
        command: click.Command = getattr(module, cmd_name)
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib

            near = difflib.get_close_matches(args[0], COMMANDS, 1)
            if near:
                raise click.UsageError(f"{error.message} Did you mean {near[0]}?", ctx) from error
            raise


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--index", metavar="DIR", help="The index folder. Default: .morphoindex here or above.")
@click.version_option(__version__, prog_name="morphoindex")
@click.pass_context
def cli(ctx: click.Context, index: str | None) -> None:
    """An embedding index for photographs of specimens.

    \b
    morphoindex add photos/               take photographs in
    morphoindex cluster --threshold 0.8   group them
    morphoindex search new.jpg            what is this, and have we seen it?
    morphoindex sample -n 1000 --out DIR  a diverse subset

    The index is kept in .morphoindex in this folder or above it; --index DIR or the environment variable
    MORPHOINDEX_INDEX name another.
    """
    ctx.obj = Shared(index=index)


def run(arguments: list[str] | None = None) -> Any:
    """Entry point: 0 done, 1 done but inputs were refused, 2 wrong use or a clear error, 130 interrupted."""
    try:
        sys.exit(cli.main(arguments, prog_name="morphoindex", standalone_mode=False) or 0)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(2)
    except click.ClickException as error:
        unknown = isinstance(error, click.UsageError) and "No such command" in error.message
        _red(error.format_message() + (" `morphoindex --help` lists the commands." if unknown else ""))
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        _red("interrupted; what was done is kept")
        sys.exit(130)
    except MorphoindexError as error:
        _red(str(error))
        sys.exit(2)
    except BrokenPipeError:
        sys.stderr.close()  # nobody reads on: not an error
        sys.exit(0)
    except Exception as error:
        if os.environ.get(TRACEBACK):
            raise
        _unexpected(error)
        sys.exit(2)


def _unexpected(error: Exception) -> None:
    _red(f"this should not have happened: {type(error).__name__}: {error}. {TRACEBACK}=1 shows where; please report it")


def _red(words: str) -> None:
    click.secho(f"morphoindex: {words}", fg="red", err=True)
