"""A progress bar on stderr, where that is a terminal."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress

    from morphoindex.indexer.encoder_results import Reembedding
    from morphoindex.indexer.ingest import Counts


@contextmanager
def adding(inputs: Sequence[str], shown: bool) -> Iterator[Callable[[Counts], None]]:
    """Show how far an `add` is: gives the function to call with the counts."""
    if not (shown and sys.stderr.isatty()):
        yield lambda counts: None
        return
    from morphoindex.indexer.discovery import discover

    bar = _bar("adding")
    task = bar.add_task("add", total=None, refused=0, rate=0.0)
    threading.Thread(target=lambda: bar.update(task, total=sum(1 for _ in discover(inputs))), daemon=True).start()

    def show(counts: Counts) -> None:
        bar.start()  # not before there is something to show: what is said by the way stays whole
        bar.update(task, completed=counts.seen, refused=len(counts.refused), rate=bar.tasks[0].speed or 0.0)

    try:
        yield show
    finally:
        bar.stop()


@contextmanager
def reembedding(shown: bool) -> Iterator[Callable[[Reembedding], None]]:
    """Show how far a `reembed` is: gives the function to call with that."""
    if not (shown and sys.stderr.isatty()):
        yield lambda done: None
        return
    bar = _bar("reembedding")
    task = bar.add_task("reembed", total=None, refused=0, rate=0.0)

    def show(done: Reembedding) -> None:
        bar.start()
        seen = done.embedded + done.refused
        bar.update(task, total=done.total, completed=seen, refused=done.refused, rate=bar.tasks[0].speed or 0.0)

    try:
        yield show
    finally:
        bar.stop()


def _bar(doing: str) -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn(doing), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]:.0f} images/s"),
        TimeRemainingColumn(), TextColumn("{task.fields[refused]} refused"),
        console=Console(stderr=True), transient=True,
    )  # fmt: skip
