"""The outlet: sends each event when it is due, and keeps the book of what sounds.

Live it is a small process of its own, so that nothing the improviser does, not even its death,
can make a note late or leave one sounding: when its pipe closes it releases everything and leaves, and when the
heartbeat stops it releases everything and waits. The demo and tests run the same loop on a thread.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

from improv import child
from improv.clock import now_ns
from improv.midi import ports
from improv.midi.desk import NO_DUTIES, Clock, Desk, Duties
from improv.midi.frames import (
    BEAT,
    LEAVE,
    PANIC,
    Alive,
    Forgot,
    Frame,
    Report,
    frames,
    pack_frame,
    pack_report,
    reports,
)
from improv.midi.pace import paced
from improv.music.sweep import everything_off

HEARTBEAT_NS = 250_000_000
HEARTBEAT_LOST_NS = 1_000_000_000
MOST_UNANSWERED = 8  # heartbeats, two seconds of them
FULL_S = 1.0
CLOSE_S = 3.0
DRAIN_S = 0.05  # a driver sends what it was given within a few of its periods


def serve(
    inbox: queue.SimpleQueue[Frame],
    send: Callable[[bytes], None],
    report: Callable[[Report], None],
    duties: Duties = NO_DUTIES,
    clock: Clock = now_ns,
    pause: Callable[[float], None] = time.sleep,
) -> list[bytes]:
    """Play what comes into the inbox until LEAVE; leave silence. While no heartbeat comes there is silence as well.

    Gives what ended the notes and pedals that were left.
    """
    send = paced(send, clock, pause)
    desk, heart = Desk(send, report, duties, clock), _Heart()
    try:
        while True:
            frame = _next_frame(inbox, desk.deadline(), desk.spin_ns, heart.looks_ns, clock)
            if frame is None:
                desk.run()
                if heart.stopped(clock()) and inbox.empty():
                    _once_more(desk.fall_silent(), send, pause)
                    desk, heart = Desk(send, report, duties, clock), _Heart()  # as new: its port stays open
                    report(Forgot())
            elif frame.command == BEAT:
                heart.beat(clock())
            elif frame.command == LEAVE:
                break
            else:
                desk.take(frame)
    finally:
        ended = desk.fall_silent()
    return ended


class _Heart:
    """Whether the heartbeat stopped. The watch begins with the first beat.

    Who finds no beat looks once more, a heartbeat later: if he stood still himself, those that came meanwhile are
    still in the pipe when he wakes.
    """

    def __init__(self) -> None:
        self.looks_ns: int | None = None  # when to look next
        self._doubts = False

    def beat(self, now: int) -> None:
        self.looks_ns, self._doubts = now + HEARTBEAT_LOST_NS - HEARTBEAT_NS, False

    def stopped(self, now: int) -> bool:
        if self.looks_ns is None or now < self.looks_ns:
            return False
        if not self._doubts:
            self.looks_ns, self._doubts = now + HEARTBEAT_NS, True
            return False
        return True


def _once_more(ended: list[bytes], send: Callable[[bytes], None], pause: Callable[[float], None]) -> None:
    """JACK loses a period's messages where a client is late, and these are the last."""
    pause(DRAIN_S)
    for message in ended:
        send(message)


def _next_frame(
    inbox: queue.SimpleQueue[Frame], due_ns: int | None, spin_ns: int, looks_ns: int | None, clock: Clock
) -> Frame | None:
    """The next frame, or None when something is due: sleeps to just before, then spins."""
    until = min((t for t in (due_ns, looks_ns) if t is not None), default=None)
    try:
        if until is None:
            return inbox.get()
        nap_ns = until - clock() - spin_ns
        if nap_ns > 0:
            with contextlib.suppress(queue.Empty):
                return inbox.get(timeout=nap_ns / 1e9)
        while clock() < until:
            if not inbox.empty():
                return inbox.get_nowait()
        return inbox.get_nowait() if due_ns is None or due_ns > until else None
    except queue.Empty:
        return None


class ThreadOutlet:
    """The outlet on a thread, for the demo and for tests."""

    def __init__(
        self, send: Callable[[bytes], None], report: Callable[[Report], None], duties: Duties = NO_DUTIES
    ) -> None:
        self._inbox: queue.SimpleQueue[Frame] = queue.SimpleQueue()
        self._thread = threading.Thread(target=serve, args=(self._inbox, send, report, duties), daemon=True)
        self._thread.start()

    def put(self, frame: Frame) -> None:
        self._inbox.put(frame)

    def close(self) -> None:
        self._inbox.put(Frame(0, LEAVE))
        self._thread.join()


class Target(NamedTuple):
    """Where the outlet's process sends: a port of a MIDI system, its own virtual one, or a built-in synth."""

    api: str = ""
    port: str | None = None  # None: a virtual port
    builtin: bool = False
    duties: Duties = NO_DUTIES
    clear: bool = False  # ends every note there may be before it plays


class ProcessOutlet:
    """The outlet in a process of its own. Raises `ports.PortError` where its port does not open."""

    def __init__(self, target: Target, report: Callable[[Report], None], lost: Callable[[], None]) -> None:
        """`report` and `lost` (it died) are called on a thread of their own."""
        command = child.command("improv.midi.outlet", json.dumps(target))
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        self._report, self._lost = report, lost
        self._closing = False
        self._unanswered = 0  # heartbeats
        if hasattr(os, "set_blocking"):  # on Windows a full pipe is waited for
            assert self._process.stdin is not None
            os.set_blocking(self._process.stdin.fileno(), False)
        self._listener: threading.Thread | None = None

    def wait_until_ready(self) -> None:
        """Separate from the start, so that the network can be loaded meanwhile."""
        assert self._process.stdout is not None
        answer = b""
        while not answer.endswith(b"\n"):
            piece = self._process.stdout.read(1)
            if not piece:
                break
            answer += piece
        if answer != b"ready\n":
            self.close()
            raise ports.PortError(answer.decode(errors="replace").strip() or "the output could not be opened")
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for report in reports(self._process.stdout):
            if isinstance(report, Alive):
                self._unanswered = 0
            else:
                self._report(report)
        if not self._closing:
            self._process.wait()
            self._lost()

    def put(self, frame: Frame) -> None:
        """Called on the engine's and the driver's thread: one write, smaller than a pipe splits.

        One that stands still is killed: another can do what it does not.
        """
        assert self._process.stdin is not None
        self._unanswered += frame.command == BEAT
        if self._unanswered > MOST_UNANSWERED:
            self._process.kill()
        with contextlib.suppress(OSError, ValueError):  # it died, and `lost` says so; or it was closed
            while self._process.stdin.write(pack_frame(frame)) is None:
                if not select.select([], [self._process.stdin], [], FULL_S)[1]:
                    self._process.kill()

    def close(self) -> None:
        """Everything off; wait until it is. One whose driver hangs is not waited for."""
        self._closing = True
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(CLOSE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._listener is not None:
            self._listener.join()
        self._process.stdout.close()

    @property
    def failed(self) -> bool:
        """Whether it is closed, and did not leave in good order: what it sent may still sound."""
        return bool(self._process.returncode)


def main() -> None:
    """The outlet's process: frames on stdin, reports on stdout."""
    # It plays on until its pipe closes. A signal meant for it alone makes it leave in good order.
    child.leave_signals_to_the_parent()
    sys.setswitchinterval(1e-4)
    _go_first()
    target = Target(*json.loads(sys.argv[1]))
    duties = Duties(*target.duties)
    inbox: queue.SimpleQueue[Frame] = queue.SimpleQueue()
    signal.signal(signal.SIGTERM, lambda *_: inbox.put(Frame(0, LEAVE)))
    try:
        output = _open(target)
    except (OSError, ValueError) as error:  # rtmidi's errors are OSErrors
        print(f"output: {error}", flush=True)
        sys.exit(2)
    if target.clear:
        inbox.put(Frame(now_ns(), PANIC))
    with contextlib.suppress(OSError):  # the parent died: what may sound is ended all the same
        os.write(sys.stdout.fileno(), b"ready\n")

    def receive() -> None:
        for frame in frames(os.fdopen(0, "rb", buffering=0)):
            inbox.put(frame)
            if frame.command == BEAT:
                report(Alive())
        inbox.put(Frame(0, LEAVE))

    report = _reporter(sys.stdout.fileno())
    threading.Thread(target=receive, daemon=True).start()
    ended = serve(inbox, output.send, report, duties)
    if target.clear and target.port is None:
        ended = everything_off()  # who has connected to the new port meanwhile may sound what the old one began
    _once_more(ended, paced(output.send), time.sleep)
    time.sleep(DRAIN_S)
    output.close()


def _go_first() -> None:
    """Ahead of other programs where the system permits it (JACK's own threads go before it still).

    On a machine with all cores busy this alone keeps what is sent in time.
    """
    with contextlib.suppress(AttributeError, OSError):  # not on this system; not for this user
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))


def _reporter(descriptor: int) -> Callable[[Report | Alive], None]:
    def report(report: Report | Alive) -> None:
        with contextlib.suppress(OSError):  # the parent died: what sounds is released all the same
            os.write(descriptor, pack_report(report))

    return report


class _Sink(Protocol):
    def send(self, message: bytes) -> None: ...
    def close(self) -> None: ...


def _open(target: Target) -> _Sink:
    if target.builtin:
        from improv.midi.sound import Synth  # needs FluidSynth, which most set-ups do without

        return Synth()
    return ports.Output(target.api, target.port)


if __name__ == "__main__":
    main()
