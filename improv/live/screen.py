"""The view as the session sees it: a process that is fed what it shows, and that nobody who plays waits for."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import sys
import threading

from improv import child
from improv.live.snapshot import Bill
from improv.live.told import Terminal

LOG = logging.getLogger("improv")
CLOSE_S = 1.0  # one that takes longer is halted, or its terminal is
LEAVE = b"\x1b[0m\x1b[?1049l\x1b[?25h"  # plain colours, the terminal's own page, its cursor


def can_draw() -> bool:
    """Whether standard output is a terminal that a view can be drawn on."""
    if os.name != "posix" or sys.stdout is None or not sys.stdout.isatty():
        return False
    return os.environ.get("TERM", "dumb") not in ("dumb", "unknown")


class Screen:
    """The view, while it is entered. What is said meanwhile the terminal shows afterwards."""

    def __init__(self, bill: Bill, terminal: Terminal) -> None:
        self._command = child.command("improv.live.view", json.dumps(bill))
        self._terminal = terminal
        self._rest = b""  # of a snapshot that the pipe took in part
        self._burial: threading.Thread | None = None

    def __enter__(self) -> Screen:
        self._terminal.hold()
        # Where it fails, its last words would stand on top of what the terminal shows then.
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0)
        assert self._process.stdin is not None
        self._pipe = self._process.stdin
        os.set_blocking(self._pipe.fileno(), False)
        return self

    def put(self, snapshot: bytes) -> bool:
        """Called on the engine's thread; never waits. False: the view lags, and will not see this one."""
        if self._burial is not None:
            return True
        try:
            self._rest = self._rest[self._pipe.write(self._rest) or 0 :]
            if self._rest or not (taken := self._pipe.write(snapshot)):
                return False
            self._rest = snapshot[taken:]
        except BrokenPipeError:
            self._burial = threading.Thread(target=self._bury)
            self._burial.start()
        return True

    def _bury(self) -> None:
        self._leave()
        LOG.warning("the view has ended by itself; improv plays on without it")

    def __exit__(self, *_: object) -> None:
        if self._burial is None:
            self._leave()
        else:
            self._burial.join()

    def _leave(self) -> None:
        self._pipe.close()
        try:
            self._process.wait(CLOSE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.returncode < 0:  # it was killed, and left the terminal as it was
            with contextlib.suppress(OSError):
                os.write(sys.stdout.fileno(), LEAVE)
        self._terminal.resume()
