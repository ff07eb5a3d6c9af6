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

from improv.clock import now_ns
from improv.midi import ports, wire
from improv.music.events import NoteOff
from improv.music.schedule import (
    ALL_NOTES_OFF,
    ALL_SOUND_OFF,
    CONTROL,
    MACHINE,
    SUSTAIN,
    THRU,
    Schedule,
    is_note_on,
)

SPIN_NS = 800_000  # sleep until so long before an event, then spin: a sleep alone wakes too late
HEARTBEAT_NS = 250_000_000
HEARTBEAT_LOST_NS = 1_000_000_000
BURST, BURST_S = 16, 0.002  # a slow receiver loses messages of a longer burst (seen over JACK at 64 frames)
DRAIN_S = 0.05  # a driver sends what it was given within a few of its periods

LATE_NS = 250_000_000  # a note-on so late is left out; a note-off never is

PLAY, FORWARD, YIELD, LET_GO, BEAT, LEAVE = range(6)
_FRAME = struct.Struct("<qBB3s")  # due or stamp in ns, command, length, message
_REPORT = struct.Struct("<qqB3s")  # due, sent, length, message

Clock = Callable[[], int]


class Frame(NamedTuple):
    time_ns: int
    command: int
    message: bytes = b""


class Sent(NamedTuple):
    """One of the machine's events as it really went out; an empty message was too late and did not."""

    due_ns: int
    sent_ns: int
    message: bytes


def serve(
    inbox: queue.SimpleQueue[Frame],
    send: Callable[[bytes], None],
    report: Callable[[Sent], None],
    clock: Clock = now_ns,
) -> None:
    """Play what comes into the inbox until LEAVE or until the heartbeat is lost; leave silence."""
    schedule = Schedule()
    beat_ns: int | None = None  # the watch begins with the first beat

    def play(messages: list[bytes], due_ns: int | None = None) -> None:
        for message in messages:
            send(message)
            now = clock()
            report(Sent(now if due_ns is None else due_ns, now, message))

    try:
        while True:
            frame = _next_frame(inbox, schedule.deadline(), beat_ns, clock)
            now = clock()
            if frame is None:
                while (due := schedule.pop(now)) is not None:
                    if now - due.due_ns > LATE_NS and is_note_on(due.message):
                        report(Sent(due.due_ns, now, b""))
                    else:
                        play(schedule.book.enter(due.owner, due.message), due.due_ns)
                if beat_ns is not None and now - beat_ns > HEARTBEAT_LOST_NS:
                    return
            elif frame.command == PLAY:
                schedule.put(frame.time_ns, MACHINE, frame.message)
            elif frame.command == FORWARD:
                _send_all(schedule.book.enter(THRU, frame.message), send)
            elif frame.command == YIELD:
                play(schedule.drop(MACHINE))
            elif frame.command == LET_GO:
                _send_all(schedule.drop(THRU), send)
            elif frame.command == BEAT:
                beat_ns = now
            else:
                return
    finally:
        play(schedule.drop(MACHINE))
        _send_all(schedule.silence(), send)


def _next_frame(inbox: queue.SimpleQueue[Frame], due_ns: int | None, beat_ns: int | None, clock: Clock) -> Frame | None:
    """The next frame, or None when something is due: sleeps to just before, then spins."""
    lost_ns = None if beat_ns is None else beat_ns + HEARTBEAT_LOST_NS + 1
    until = min((t for t in (due_ns, lost_ns) if t is not None), default=None)
    try:
        if until is None:
            return inbox.get()
        nap_ns = until - clock() - SPIN_NS
        if nap_ns > 0:
            with contextlib.suppress(queue.Empty):
                return inbox.get(timeout=nap_ns / 1e9)
        while clock() < until:
            if not inbox.empty():
                return inbox.get_nowait()
        return inbox.get_nowait() if due_ns is None or due_ns > until else None
    except queue.Empty:
        return None


def _send_all(messages: list[bytes], send: Callable[[bytes], None]) -> None:
    for message in messages:
        send(message)


class ThreadOutlet:
    """The outlet on a thread, for the demo and for tests."""

    def __init__(self, send: Callable[[bytes], None], report: Callable[[Sent], None]) -> None:
        self._inbox: queue.SimpleQueue[Frame] = queue.SimpleQueue()
        self._thread = threading.Thread(target=serve, args=(self._inbox, send, report), daemon=True)
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
    release: tuple[int, ...] = ()  # channels to clear first, after an outlet died


class ProcessOutlet:
    """The outlet in a process of its own. Raises `ports.PortError` where its port does not open."""

    def __init__(self, target: Target, report: Callable[[Sent], None], lost: Callable[[], None]) -> None:
        """`report` and `lost` (it died) are called on a thread of their own."""
        command = [sys.executable, "-m", "improv.midi.outlet", json.dumps(target)]
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
        for due_ns, sent_ns, length, message in _frames(self._process.stdout, _REPORT):
            self._report(Sent(due_ns, sent_ns, message[:length]))
        if not self._closing:
            self._process.wait()
            self._lost()

    def put(self, frame: Frame) -> None:
        """Called on the engine's and the driver's thread: one write, smaller than a pipe splits."""
        assert self._process.stdin is not None
        data = _FRAME.pack(frame.time_ns, frame.command, len(frame.message), frame.message)
        with contextlib.suppress(BrokenPipeError, ValueError):  # it died, and `lost` says so; or it was closed
            self._process.stdin.write(data)

    def close(self) -> None:
        """Everything off; wait until it is."""
        self._closing = True
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        if self._listener is not None:
            self._listener.join()
        self._process.stdout.close()


def _frames(stream: IO[bytes], form: struct.Struct) -> Iterator[tuple[Any, ...]]:
    """Whole frames from an unbuffered pipe, until it closes."""
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
    for ignored in ("SIGINT", "SIGHUP"):
        if hasattr(signal, ignored):
            signal.signal(getattr(signal, ignored), signal.SIG_IGN)
    sys.setswitchinterval(1e-4)
    target = Target(*json.loads(sys.argv[1]))
    inbox: queue.SimpleQueue[Frame] = queue.SimpleQueue()
    signal.signal(signal.SIGTERM, lambda *_: inbox.put(Frame(0, LEAVE)))
    try:
        output = _open(target)
    except (OSError, ValueError) as error:  # rtmidi's errors are OSErrors
        print(f"output: {error}", flush=True)
        sys.exit(2)
    print("ready", flush=True)
    _release(target.release, output.send)

    def receive() -> None:
        for time_ns, command, length, message in _frames(os.fdopen(0, "rb", buffering=0), _FRAME):
            inbox.put(Frame(time_ns, command, message[:length]))
        inbox.put(Frame(0, LEAVE))

    threading.Thread(target=receive, daemon=True).start()
    write = _reporter(sys.stdout.fileno())
    serve(inbox, output.send, write)
    time.sleep(DRAIN_S)
    output.close()


def _release(channels: tuple[int, ...], send: Callable[[bytes], None]) -> None:
    """End whatever an outlet that died left sounding: nobody knows what that was."""
    controls = (SUSTAIN, ALL_NOTES_OFF, ALL_SOUND_OFF)
    messages = [bytes((CONTROL | channel - 1, number, 0)) for number in controls for channel in channels]
    messages += [wire.spell(NoteOff(0, pitch), channel) for pitch in range(128) for channel in channels]
    for number, message in enumerate(messages, start=1):
        send(message)
        if number % BURST == 0:
            time.sleep(BURST_S)


def _reporter(descriptor: int) -> Callable[[Sent], None]:
    def report(sent: Sent) -> None:
        with contextlib.suppress(BrokenPipeError):  # the parent died: what sounds is released all the same
            os.write(descriptor, _REPORT.pack(sent.due_ns, sent.sent_ns, len(sent.message), sent.message))

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
