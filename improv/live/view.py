"""The view's process: reads snapshots from its pipe, draws the newest, and leaves the terminal as it was."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
from collections.abc import Callable

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.segment import Segment

from improv import child
from improv.clock import now_ns
from improv.live.face import Face, Line
from improv.live.snapshot import EVERY_NS, Bill, Snapshot, unpack
from improv.music.timeline import NS

PIECE = 1 << 16  # bytes
NICE = 19  # everybody else goes first


class Picture:
    def __init__(self, lines: list[Line]) -> None:
        self._lines = lines

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in self._lines:
            yield from line
            yield Segment.line()


def watch(face: Face, size: Callable[[], tuple[int, int]], draw: Callable[[list[Line]], None], woken: int) -> None:
    """Draw what comes on stdin until that closes, and as time goes by; anew when something wakes it by that pipe."""
    snapshot: Snapshot | None = None
    rest, due_ns, last_ns = b"", None, 0
    while True:
        timeout_s = None if due_ns is None else max(0, due_ns - now_ns()) / NS
        ready, _, _ = select.select([0, woken], [], [], timeout_s)
        if 0 in ready:
            piece = os.read(0, PIECE)
            if not piece:
                return
            *lines, rest = (rest + piece).split(b"\n")
            snapshot = unpack(lines[-1]) if lines else snapshot
        if woken in ready:
            os.read(woken, PIECE)
        if snapshot is None:
            continue
        now = now_ns()
        if ready:
            due_ns = max(now, last_ns + EVERY_NS)
        if due_ns is not None and due_ns <= now:
            width, height = size()
            draw(face.lines(snapshot, now, width, height))
            last_ns, due_ns = now, face.next_ns(snapshot, now, width)
            due_ns = None if due_ns is None else max(due_ns, now + EVERY_NS)


def _wake_on_signals() -> int:
    """The pipe that says so."""
    woken, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    return woken


def main() -> None:
    child.leave_signals_to_the_parent()
    os.nice(NICE)
    console = Console()
    live = Live(console=console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    signal.signal(signal.SIGWINCH, lambda *_: None)
    face = Face(Bill(*json.loads(sys.argv[1])), colour=not console.no_color)
    with contextlib.suppress(OSError), live:  # an error of the terminal's: it is gone
        watch(face, lambda: console.size, lambda lines: live.update(Picture(lines), refresh=True), _wake_on_signals())


if __name__ == "__main__":
    main()
