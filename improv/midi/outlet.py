"""The outlet: sends each event when it is due, and keeps the book of what sounds.

Live it is a small process of its own, so that nothing the improviser does, not even its death,
can make a note late or leave one sounding: when its pipe closes or the heartbeat stops it releases
everything and leaves. The demo and tests run the same loop on a thread.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import IO, Any, NamedTuple, Protocol

from improv import child
from improv.clock import now_ns
from improv.midi import ports
from improv.midi.pace import paced
from improv.music.events import Late, Retime
from improv.music.latest import Latest, is_continuous
from improv.music.pulse import Click, MidiClock
from improv.music.schedule import CLICK, MACHINE, THRU, Schedule
from improv.music.sweep import Sweep, everything_off
from improv.music.timeline import TICKS_PER_BEAT, Timeline

SPIN_NS = 800_000  # sleep until so long before an event, then spin: a sleep alone wakes too late
TICK_SPIN_NS = 250_000  # before a tick, which is more often and matters less: slaves smooth what they hear
HEARTBEAT_NS = 250_000_000
HEARTBEAT_LOST_NS = 1_000_000_000
CLOSE_S = 3.0
DRAIN_S = 0.05  # a driver sends what it was given within a few of its periods

PLAY, FORWARD, YIELD, LET_GO, BEAT, LEAVE, TURN, RETIME, LATENCY, PANIC = range(10)
_FRAME = struct.Struct("<qBB36s")  # due or stamp in ns, command, length, message
_LINE = struct.Struct("<dqddBB??")  # a timeline: tempo, origin in ns and in beats, bar, metre, metric; and a jump
# Sent: due, sent, -, -, -, length, message; Late: time, turn, late, shift, thinned, ended, -; Skipped: values
_REPORT = struct.Struct("<BqqqqHB3s")
_SENT, _LATE, _SKIPPED = range(3)

Clock = Callable[[], int]


class Frame(NamedTuple):
    time_ns: int
    command: int
    message: bytes = b""


def retime_frame(retime: Retime) -> Frame:
    line = retime.timeline
    packed = _LINE.pack(
        line.bpm, line.origin_ns, line.origin_beat, line.bar_beat, *line.metre, line.metric, retime.jump
    )
    return Frame(retime.time_ns, RETIME, packed)


def retime_of(frame: Frame) -> Retime:
    bpm, origin_ns, origin_beat, bar_beat, beats, unit, metric, jump = _LINE.unpack(frame.message)
    return Retime(frame.time_ns, Timeline(bpm, origin_ns, origin_beat, metric, bar_beat, (beats, unit)), jump)


class Sent(NamedTuple):
    """One of the machine's events as it really went out."""

    due_ns: int
    sent_ns: int
    message: bytes


class Skipped(NamedTuple):
    """Values of controllers were not sent, for later ones took their place: told at the first one, and at the end."""

    values: int


Report = Sent | Late | Skipped


class Duties(NamedTuple):
    """What the outlet does besides sending what it is told."""

    clock: bool = False  # sends the ticks of a MIDI clock
    click_channel: int | None = None  # sends a click
    grid_ticks: int = TICKS_PER_BEAT // 4  # by which late answers move under a clock
    latency_ns: int = 0  # sends everything so much before its time


NO_DUTIES = Duties()


class _Desk:
    """What is due of the machine, the clock and the click, and what is sent for each frame.

    It lives `latency_ns` ahead of the clock: what is due then is sent now.
    """

    def __init__(
        self, send: Callable[[bytes], None], report: Callable[[Report], None], duties: Duties, clock: Clock
    ) -> None:
        self._send, self._report, self._clock = send, report, clock
        self._schedule = Schedule(duties.grid_ticks)
        self._ticks = MidiClock() if duties.clock else None
        self._click = Click(duties.click_channel) if duties.click_channel is not None else None
        self._latest = Latest()
        self._sweep = Sweep()
        self._latency_ns = duties.latency_ns

    def now(self) -> int:
        return self._clock() + self._latency_ns

    def deadline(self) -> int | None:
        """When something is to be sent, by the clock itself."""
        first = self._first()
        return None if first is None else first[0]

    @property
    def spin_ns(self) -> int:
        """How long before the deadline to be awake."""
        first = self._first()
        return SPIN_NS if first is None else first[1]

    def _first(self) -> tuple[int, int] | None:
        """When something is due, and how long before to be awake: of what is due together, for the most precise."""
        ahead_ns = self._latency_ns
        parts = (
            (self._schedule, SPIN_NS, ahead_ns),
            (self._click, SPIN_NS, ahead_ns),
            (self._ticks, TICK_SPIN_NS, ahead_ns),
            (self._latest, 0, 0),
            (self._sweep, 0, 0),
        )
        dues = ((None if part is None else part.deadline(), spin, ahead) for part, spin, ahead in parts)
        found = ((due - ahead, spin) for due, spin, ahead in dues if due is not None)
        return min(found, key=lambda first: (first[0], -first[1]), default=None)

    def take(self, frame: Frame) -> None:
        """Do what a frame says."""
        if frame.command == PLAY:
            self._schedule.put(frame.time_ns, MACHINE, frame.message)
        elif frame.command == FORWARD:
            self._forward(frame.message)
        elif frame.command == YIELD:
            self._play(self._schedule.drop(MACHINE))
        elif frame.command == LET_GO:
            self._send_all(self._schedule.drop(THRU))
        elif frame.command == TURN:
            self._schedule.begin_turn(frame.time_ns)
        elif frame.command == RETIME:
            self._retime(retime_of(frame))
        elif frame.command == PANIC:
            self._play(self._schedule.drop(MACHINE))
            self._send_all(self._schedule.silence())
            self._sweep.begin(self._clock(), everything_off())
        elif frame.command == LATENCY:
            self._latency_ns = frame.time_ns
            self._run_schedule(self.now(), in_time=True)  # what is due all at once now is not late

    def run(self) -> None:
        """Send all that is due."""
        now = self.now()
        while self._ticks is not None and _is_due(self._ticks.deadline(), now):
            self._send_all(self._ticks.pop(now))
        while self._click is not None and _is_due(self._click.deadline(), now):
            for beat in self._click.pop(now):
                self._schedule.put(beat.due_ns, CLICK, beat.message)
        self._run_schedule(now)
        self._send_all(self._latest.pop(self._clock()))
        if _is_due(self._sweep.deadline(), self._clock()):
            self._send_all(self._sweep.pop(self._clock(), self._schedule.book.sounding))

    def _run_schedule(self, now: int, in_time: bool = False) -> None:
        while _is_due(self._schedule.deadline(), now):
            if not in_time and (late := self._schedule.catch_up(now)) is not None:
                self._late(late)
            elif (due := self._schedule.pop(now)) is not None:
                messages = self._schedule.book.enter(due.owner, due.message)
                self._play(messages, due.due_ns) if due.owner == MACHINE else self._send_all(messages)

    def fall_silent(self) -> None:
        self._play(self._schedule.drop(MACHINE))
        self._send_all(self._schedule.silence())
        if self._ticks is not None:
            self._send_all(self._ticks.stop())
        self._send_all(self._latest.flush())
        self._send_all(self._sweep.flush())
        if self._latest.skipped:
            self._report(Skipped(self._latest.skipped))

    def _forward(self, message: bytes) -> None:
        """Notes at once; of what moves continuously no more than is of use."""
        for one in self._schedule.book.enter(THRU, message):
            if not is_continuous(one):
                self._send(one)
                continue
            none_before = not self._latest.skipped
            self._send_all(self._latest.put(self._clock(), one))
            if none_before and self._latest.skipped:
                self._report(Skipped(1))

    def _retime(self, retime: Retime) -> None:
        now = self.now()
        self._schedule.retime(retime.timeline, retime.jump, now)
        if self._ticks is not None:
            self._send_all(self._ticks.retime(retime.timeline, retime.jump, now))
        if self._click is not None:
            self._click.retime(retime.timeline, retime.jump, now)
            if not retime.timeline.metric:
                self._send_all(self._schedule.drop(CLICK))

    def _late(self, late: Late) -> None:
        if late.ended:
            self._play(self._schedule.drop(MACHINE))
        self._report(late)

    def _play(self, messages: list[bytes], due_ns: int | None = None) -> None:
        for message in messages:
            self._send(message)
            now = self.now()
            self._report(Sent(now if due_ns is None else due_ns, now, message))

    def _send_all(self, messages: list[bytes]) -> None:
        for message in messages:
            self._send(message)


def _is_due(due_ns: int | None, now: int) -> bool:
    return due_ns is not None and due_ns <= now


def serve(
    inbox: queue.SimpleQueue[Frame],
    send: Callable[[bytes], None],
    report: Callable[[Report], None],
    duties: Duties = NO_DUTIES,
    clock: Clock = now_ns,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Play what comes into the inbox until LEAVE or until the heartbeat is lost; leave silence."""
    desk = _Desk(paced(send, clock, pause), report, duties, clock)
    beat_ns: int | None = None  # the watch begins with the first beat
    try:
        while True:
            frame = _next_frame(inbox, desk.deadline(), desk.spin_ns, beat_ns, clock)
            if frame is None:
                desk.run()
                # After a long halt of this process itself, beats are waiting in the inbox.
                if beat_ns is not None and clock() - beat_ns > HEARTBEAT_LOST_NS and inbox.empty():
                    return
            elif frame.command == BEAT:
                beat_ns = clock()
            elif frame.command == LEAVE:
                return
            else:
                desk.take(frame)
    finally:
        desk.fall_silent()


def _next_frame(
    inbox: queue.SimpleQueue[Frame], due_ns: int | None, spin_ns: int, beat_ns: int | None, clock: Clock
) -> Frame | None:
    """The next frame, or None when something is due: sleeps to just before, then spins."""
    lost_ns = None if beat_ns is None else beat_ns + HEARTBEAT_LOST_NS + 1
    until = min((t for t in (due_ns, lost_ns) if t is not None), default=None)
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


class ProcessOutlet:
    """The outlet in a process of its own. Raises `ports.PortError` where its port does not open."""

    def __init__(self, target: Target, report: Callable[[Report], None], lost: Callable[[], None]) -> None:
        """`report` and `lost` (it died) are called on a thread of their own."""
        command = child.command("improv.midi.outlet", json.dumps(target))
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        self._report, self._lost = report, lost
        self._closing = False
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
            self._report(report)
        if not self._closing:
            self._process.wait()
            self._lost()

    def put(self, frame: Frame) -> None:
        """Called on the engine's and the driver's thread: one write, smaller than a pipe splits."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError, ValueError):  # it died, and `lost` says so; or it was closed
            self._process.stdin.write(pack_frame(frame))

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


def pack_frame(frame: Frame) -> bytes:
    return _FRAME.pack(frame.time_ns, frame.command, len(frame.message), frame.message)


def frames(stream: IO[bytes]) -> Iterator[Frame]:
    """What `pack_frame` packed, from an unbuffered pipe, until it closes."""
    for time_ns, command, length, message in _unpacked(stream, _FRAME):
        yield Frame(time_ns, command, message[:length])


def pack_report(report: Report) -> bytes:
    if isinstance(report, Sent):
        return _REPORT.pack(_SENT, report.due_ns, report.sent_ns, 0, 0, 0, len(report.message), report.message)
    if isinstance(report, Skipped):
        return _REPORT.pack(_SKIPPED, report.values, 0, 0, 0, 0, 0, b"")
    return _REPORT.pack(_LATE, *report, b"")


def reports(stream: IO[bytes]) -> Iterator[Report]:
    """What `pack_report` packed, from an unbuffered pipe, until it closes."""
    for kind, time_ns, other_ns, late_ns, shift_ns, thinned, number, data in _unpacked(stream, _REPORT):
        if kind == _SENT:
            yield Sent(time_ns, other_ns, data[:number])
        elif kind == _SKIPPED:
            yield Skipped(time_ns)
        else:
            yield Late(time_ns, other_ns, late_ns, shift_ns, thinned, bool(number))


def _unpacked(stream: IO[bytes], form: struct.Struct) -> Iterator[tuple[Any, ...]]:
    data = b""
    while piece := stream.read(form.size * 64 - len(data)):
        data += piece
        whole = len(data) // form.size * form.size
        yield from form.iter_unpack(data[:whole])
        data = data[whole:]


def main() -> None:
    """The outlet's process: frames on stdin, reports on stdout."""
    # Ctrl-C and a closing terminal reach the whole group: the parent decides, this process plays on
    # until its pipe closes. A signal meant for it alone makes it leave in good order.
    for ignored in ("SIGINT", "SIGHUP", "SIGUSR1"):
        if hasattr(signal, ignored):
            signal.signal(getattr(signal, ignored), signal.SIG_IGN)
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
    print("ready", flush=True)

    def receive() -> None:
        for frame in frames(os.fdopen(0, "rb", buffering=0)):
            inbox.put(frame)
        inbox.put(Frame(0, LEAVE))

    threading.Thread(target=receive, daemon=True).start()
    serve(inbox, output.send, _reporter(sys.stdout.fileno()), duties)
    time.sleep(DRAIN_S)
    output.close()


def _go_first() -> None:
    """Ahead of other programs where the system permits it (JACK's own threads go before it still).

    On a machine with all cores busy this alone keeps what is sent in time.
    """
    with contextlib.suppress(AttributeError, OSError):  # not on this system; not for this user
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))


def _reporter(descriptor: int) -> Callable[[Report], None]:
    def report(report: Report) -> None:
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
