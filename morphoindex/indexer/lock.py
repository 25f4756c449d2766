"""One process at a time has the index open; who comes second waits its turn."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from morphoindex.errors import IndexLocked, StoreError

_POLL = 0.05
_WAITER_IS_ALIVE = 2.0  # seconds since it last touched its file


class IndexLock:
    """The lock of an index folder.

    A waiter leaves a file in `waiting/`, so that a long-running holder can see it and let it in
    (`yield_to_waiters`). The kernel frees the lock of a process that dies.

    Args:
        folder: the index folder.
        command: what the holder is doing, shown to those who wait.
    """

    def __init__(self, folder: Path, command: str) -> None:
        self._lock = FileLock(folder / "lock", thread_local=False)
        self._holder = folder / "lock.holder"
        self._waiting = folder / "waiting"
        self._command = command

    def acquire(self, wait: float, say: Callable[[str], None] | None = None) -> None:
        """Take the lock, waiting up to `wait` seconds; `say` is told once whom we wait for.

        Raises:
            IndexLocked: it was held all that time.
        """
        try:
            if not self._try():
                self._queue(wait, say)
        except OSError as error:
            raise StoreError(f"the index cannot be locked: {error}") from error
        me = {"command": self._command, "pid": os.getpid(), "since": datetime.now().isoformat(timespec="seconds")}
        with suppress(OSError):  # a full disk: those who wait will not be told a name
            self._holder.unlink(missing_ok=True)
            self._holder.write_text(json.dumps(me), "utf-8")

    def release(self) -> None:
        """Let others in."""
        if self._lock.is_locked:
            with suppress(OSError):
                self._holder.unlink(missing_ok=True)
            self._lock.release()

    def has_waiters(self) -> bool:
        """Whether somebody waits for this lock now. Clears away what dead ones have left."""
        found = False
        with suppress(OSError), os.scandir(self._waiting) as entries:  # no such folder
            for entry in entries:
                with suppress(OSError):  # got in, or gave up, while we looked
                    if abs(time.time() - entry.stat().st_mtime) < _WAITER_IS_ALIVE:
                        found = True
                    else:
                        os.unlink(entry.path)  # who was only stopped makes it again
        return found

    def yield_to_waiters(self) -> None:
        """Let the waiters of this moment in, and take the lock again after them, however long that takes."""
        self.release()
        until = time.monotonic() + _WAITER_IS_ALIVE
        while self.has_waiters() and time.monotonic() < until:
            time.sleep(_POLL)
        self.acquire(float("inf"))

    def _try(self) -> bool:
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            return False
        return True

    def _queue(self, wait: float, say: Callable[[str], None] | None) -> None:
        with suppress(OSError):  # a full disk: then nobody lets us in early
            self._waiting.mkdir(exist_ok=True)
        ticket = self._waiting / f"{os.getpid()}-{time.monotonic_ns()}"
        until = time.monotonic() + wait
        if say and wait > 0:
            say(f"waiting for {self._whom()}")
        try:
            while True:
                with suppress(OSError):
                    ticket.touch()
                if self._try():
                    return
                if time.monotonic() >= until:
                    raise IndexLocked(
                        f"the index is in use by {self._whom()}; waited {wait:g} s. "
                        "Try again later, or with a longer --wait"
                    )
                time.sleep(_POLL)
        finally:
            with suppress(OSError):
                ticket.unlink(missing_ok=True)

    def _whom(self) -> str:
        try:
            holder = json.loads(self._holder.read_text("utf-8"))
            return f"`{holder['command']}` (process {holder['pid']}, since {holder['since']})"
        except (OSError, ValueError, KeyError, TypeError):
            return "another process"
