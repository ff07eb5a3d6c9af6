"""What the player is told while it runs: a line on stderr, and in a file with the time, from a thread of its own.

Whoever has something to say gives it to the logger `improv`: a warning is shown, an info with `verbose` only, and
all of it is in the file.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import sys
from collections import deque
from collections.abc import Iterator
from logging.handlers import QueueHandler, QueueListener
from pathlib import Path
from typing import Any, TextIO

from improv.errors import BadInput
from improv.live.snapshot import Said

LOG = logging.getLogger("improv")
NOTHING = logging.CRITICAL + 1
MOST_HELD = 1000  # lines
LAST = 4  # lines that are shown at a glance


class Terminal(logging.StreamHandler):  # type: ignore[type-arg]  # Python 3.10 takes none
    """Shows lines as they come; while something else is drawn there, when that is over."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._held: deque[logging.LogRecord] | None = None
        self.last: tuple[Said, ...] = ()

    def emit(self, record: logging.LogRecord) -> None:
        said = Said(record.getMessage(), record.levelno >= logging.WARNING)
        self.last = (*self.last, said)[-LAST:]  # another tuple, for others read it meanwhile
        if self._held is None:
            super().emit(record)
        else:
            self._held.append(record)

    def hold(self) -> None:
        """Another stream than a terminal is not held: nothing is drawn there."""
        if self.stream.isatty():
            self._held = deque(maxlen=MOST_HELD)

    def resume(self) -> None:
        self.acquire()
        try:
            held, self._held = self._held, None
            for record in held or ():
                super().emit(record)
        finally:
            self.release()


@contextlib.contextmanager
def told(verbose: bool, file: Path | None) -> Iterator[Terminal]:
    """For as long as it lasts. Who says something waits for no terminal and no disk. Raises `BadInput`."""
    with _own_stderr() as stream, _told(terminal := Terminal(stream), verbose, file):
        yield terminal


def _own_stderr() -> TextIO:
    """A way to the terminal that stays open while C libraries are kept quiet (`hush`), on whatever thread."""
    try:
        descriptor = os.dup(2)
    except OSError:  # there is none
        descriptor = os.open(os.devnull, os.O_WRONLY)
    return os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace", buffering=1)


@contextlib.contextmanager
def _told(terminal: logging.Handler, verbose: bool, file: Path | None) -> Iterator[None]:
    terminal.setFormatter(logging.Formatter("improv: %(message)s"))
    terminal.setLevel(logging.INFO if verbose else logging.WARNING)
    handlers: list[logging.Handler] = [terminal]
    if file is not None:
        handlers.append(_File(file, terminal))
    waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
    entrance = QueueHandler(waiting)
    listener = QueueListener(waiting, *handlers, respect_handler_level=True)
    before = LOG.level, LOG.propagate
    LOG.addHandler(entrance)
    LOG.setLevel(logging.DEBUG)
    LOG.propagate = False
    listener.start()
    try:
        yield
    finally:
        LOG.removeHandler(entrance)
        LOG.setLevel(before[0])
        LOG.propagate = before[1]
        listener.stop()
        with contextlib.suppress(OSError):
            handlers[-1].close()


class _File(logging.FileHandler):
    """A disk that is full ends it, which is said on the terminal."""

    def __init__(self, path: Path, terminal: logging.Handler) -> None:
        if path.exists() and not path.is_file():  # a pipe would be opened once somebody reads it
            raise BadInput(f"`log_file` (--log-file) {path}: it is no ordinary file; give another name")
        try:
            super().__init__(path, encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise BadInput(f"`log_file` (--log-file) {path}: it cannot be written ({error.strerror})") from None
        self.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        self._terminal = terminal

    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        self.setLevel(NOTHING)
        why = f"{self.baseFilename}: nothing more is written there ({getattr(error, 'strerror', error)})"
        self._terminal.handle(logging.makeLogRecord({"msg": why, "levelno": logging.WARNING}))
