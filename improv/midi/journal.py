"""Writes the log of a session while it is played."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import queue
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from improv.midi import log
from improv.midi.log import Header, Record

try:
    import fcntl
except ImportError:  # on Windows
    fcntl = None  # type: ignore[assignment]

LOG = logging.getLogger("improv")
GATHER_S = 0.25  # what comes within this time is written at once: so much is lost at most when the program is killed
HELD_BACK = 64  # steps with nothing heard wait until there are so many, or something else is written


class Paper(Protocol):
    """What is written on: a file that is opened `xb` and without a buffer."""

    @property
    def name(self) -> str: ...
    def write(self, data: bytes, /) -> int: ...
    def close(self) -> None: ...


def lock(descriptor: int) -> bool:
    """Take the one lock of an open file, which is let go when it is closed or the process dies.

    On Windows there is none, and everybody gets it.
    """
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def is_written(path: Path) -> bool:
    """Whether somebody writes that log now, in whatever process. Raises OSError."""
    with path.open("rb") as paper:
        return not lock(paper.fileno())


class Journal:
    """Takes the records of a session, and writes them on a thread of its own.

    What cannot be written ends the recording, which is said; never the music.
    """

    def __init__(self, paper: Paper, header: Header) -> None:
        """Raises OSError where not even the header can be written."""
        self._paper = paper
        self._size = 0
        self._stopped = False  # set on the journal's thread
        self._queue: queue.SimpleQueue[Record | None] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._put_down(log.header_line(header).encode())
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def put(self, record: Record) -> None:
        """Called on the engine's thread; waits for nothing."""
        if not self._stopped:
            self._queue.put(record)

    def close(self) -> None:
        """Write what is left."""
        self._closing.set()
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        try:
            self._write_all()
        except OSError as error:
            LOG.warning("%s: the recording stops here (%s)", self._paper.name, error.strerror)
        finally:
            self._stopped = True
            with contextlib.suppress(OSError):
                self._paper.close()

    def _write_all(self) -> None:
        waiting: list[Record] = []
        more = True
        while more:
            for record in self._gathered():
                if record is None:
                    more = False
                else:
                    waiting.append(record)
            if not more or len(waiting) >= HELD_BACK or not all(map(log.is_bare, waiting)):
                self._write(waiting)
                waiting = []

    def _gathered(self) -> Iterable[Record | None]:
        """The next record, and what comes soon after it: one wake of this thread for many of them."""
        yield self._queue.get()
        self._closing.wait(GATHER_S)
        with contextlib.suppress(queue.Empty):
            while True:
                yield self._queue.get_nowait()

    def _write(self, records: Iterable[Record]) -> None:
        data = "".join(log.lines(records)).encode()
        if self._size + len(data) > log.MAX_BYTES:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        self._put_down(data)

    def _put_down(self, data: bytes) -> None:
        self._size += len(data)
        while data:
            data = data[self._paper.write(data) :]
