"""Progress on stderr: a bar where that is a terminal."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from morphoindex.indexer.words import count

if TYPE_CHECKING:
    from rich.progress import Progress

    from morphoindex.exporters.training.loop import Progress as Step
    from morphoindex.exporters.training.runs import Watcher
    from morphoindex.indexer.intake.batch import Counts
    from morphoindex.indexer.results.duplicates import Comparing
    from morphoindex.indexer.results.encoders import Reembedding


_MANY = 5_000  # of something that is counted: then every tenth of it gets a line


@contextmanager
def adding(inputs: Sequence[str], shown: bool) -> Iterator[Callable[[Counts], None]]:
    """Show how far an `add` is: gives the function to call with the counts."""
    if not (shown and sys.stderr.isatty()):
        yield lambda counts: None
        return
    from morphoindex.indexer.photographs.discovery import discover

    bar = _bar("adding")
    with _showing(bar, lambda counts: {"completed": counts.seen, "refused": len(counts.refused)}) as show:
        count = threading.Thread(
            target=lambda: bar.update(bar.task_ids[0], total=sum(1 for _ in discover(inputs))), daemon=True
        )
        count.start()
        yield show


@contextmanager
def reembedding(shown: bool) -> Iterator[Callable[[Reembedding], None]]:
    """Show how far a `reembed` is: gives the function to call with that."""
    if not (shown and sys.stderr.isatty()):
        yield lambda done: None
        return
    with _showing(
        _bar("reembedding"),
        lambda done: {"total": done.total, "completed": done.embedded + done.refused, "refused": done.refused},
    ) as show:
        yield show


@contextmanager
def copying(shown: bool, doing: str = "copying") -> Iterator[Callable[[int, int], None]]:
    """Show how many files of how many are where they should be."""
    if not (shown and sys.stderr.isatty()):
        yield lambda done, total: None
        return
    with _showing(_bar(doing), lambda done, total: {"total": total, "completed": done}) as show:
        yield show


@contextmanager
def covering(shown: bool) -> Iterator[Callable[[int, int], None]]:
    """Show how many pictures with a part covered of how many are embedded."""
    if not (shown and sys.stderr.isatty()):
        yield lambda done, total: None
        return
    with _showing(_bar("covering"), lambda done, total: {"total": total, "completed": done}) as show:
        yield show


@contextmanager
def comparing(shown: bool) -> Iterator[Callable[[Comparing], None]]:
    """Show how far the comparing of pictures is: gives the function to call with that."""
    if not (shown and sys.stderr.isatty()):
        yield _say_once if shown else lambda done: None
        return
    with _showing(
        _bar("comparing", "pairs", "files unread"),
        lambda done: {"total": done.total, "completed": done.compared, "refused": done.unread},
    ) as show:
        yield show


def _say_once(done: Comparing) -> None:
    if not done.compared and done.total > _MANY:
        pairs = count(done.total, "pair of photographs", "pairs of photographs")
        print(f"comparing {pairs}: each pair is compared once", file=sys.stderr, flush=True)


@contextmanager
def _showing(bar: Progress, told: Callable[..., dict[str, Any]]) -> Iterator[Callable[..., None]]:
    """The function to call with what is done; `told` says what of it the one task of the bar is to show."""
    task = bar.add_task("", total=None, refused=0, rate=0.0)

    def show(*done: Any) -> None:
        bar.start()  # not before there is something to show: what is said by the way stays whole
        bar.update(task, rate=bar.tasks[0].speed or 0.0, **told(*done))

    try:
        yield show
    finally:
        bar.stop()


def _bar(doing: str, of: str = "images", refused: str = "refused") -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn(doing), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]:.0f} " + of + "/s"),
        TimeRemainingColumn(), TextColumn("{task.fields[refused]} " + refused),
        console=Console(stderr=True), transient=True,
    )  # fmt: skip


@contextmanager
def training(shown: bool) -> Iterator[Watcher]:
    """Show how far a training is: a bar on a terminal, else a line for each epoch."""
    if not shown:
        yield _Silent()
    elif not sys.stderr.isatty():
        yield _Lines()
    else:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        with Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}"), console=Console(stderr=True), transient=True,
        ) as bar:  # fmt: skip
            yield _Bar(bar)


class _Silent:
    """Says nothing."""

    def begin(self, what: str) -> None:
        pass

    def count(self, what: str, done: int, total: int) -> None:
        pass

    def step(self, progress: Step) -> None:
        pass


class _Lines(_Silent):
    """A line for each epoch."""

    def __init__(self) -> None:
        self.what = ""

    def begin(self, what: str) -> None:
        self.what = what

    def count(self, what: str, done: int, total: int) -> None:
        if done == total or (total > _MANY and done * 10 // total > (done - 1) * 10 // total):
            print(f"{what}: {done:,} of {total:,}", file=sys.stderr, flush=True)

    def step(self, progress: Step) -> None:
        if progress.row:
            place = f"epoch {progress.epoch} of {progress.epochs}"
            print(f"{self.what}, {place}: {_figures(progress)}", file=sys.stderr, flush=True)


class _Bar(_Silent):
    """A bar for each thing that is counted, the steps of a training among them."""

    def __init__(self, bar: Any) -> None:
        self.bar, self.what, self.figures = bar, "", ""
        self.tasks: dict[str, Any] = {}

    def begin(self, what: str) -> None:
        self.what = what

    def count(self, what: str, done: int, total: int) -> None:
        if what not in self.tasks:
            self.tasks[what] = self.bar.add_task(what, figures="")
        self.bar.update(self.tasks[what], completed=done, total=total, figures=self.figures)

    def step(self, progress: Step) -> None:
        if progress.row:
            self.figures = f"epoch {progress.epoch}: {_figures(progress)}"
        self.count(self.what, progress.step, progress.steps)


def _figures(progress: Step) -> str:
    row = progress.row or {}
    return ", ".join(
        f"{key.replace('_', ' ')} {value:.4g}" for key, value in row.items() if key not in ("epoch", "step")
    )
