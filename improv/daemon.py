"""Live: wires the engine to its ports. The engine runs on the main thread; drivers call from theirs."""

from __future__ import annotations

import contextlib
import gc
import os
import queue
import secrets
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

from improv.clock import now_ns
from improv.config import Settings
from improv.engine import LEAD_NS, Engine
from improv.midi import ports, wire
from improv.midi.outlet import BEAT, FORWARD, HEARTBEAT_NS, LET_GO, PLAY, YIELD, Frame, ProcessOutlet, Sent, Target
from improv.midi.recorder import Recorder, session_path, writable_folder
from improv.midi.watch import Watch
from improv.music.events import Ask, Heard, InputLost, NoteOff, NoteOn, Pedal, Played, Yield
from improv.net import weights
from improv.net.weights import Card

ONE_SIGNAL_NS = 100_000_000  # a group and its members are often told the same thing twice


class Quit(NamedTuple):
    """Asks the loop to end."""


class OutletLost(NamedTuple):
    """The outlet's process died."""


Inbox = queue.SimpleQueue[Heard | Sent | Quit | OutletLost]


class Outlet(Protocol):
    def put(self, frame: Frame) -> None: ...
    def close(self) -> None: ...


@dataclass
class Tally:
    """What happened, for the line at the end. Times in ns; the latest thousands are kept."""

    heard: int = 0
    answered: int = 0
    left_out: int = 0  # too late to be played
    lateness: deque[int] = field(default_factory=lambda: deque(maxlen=100_000))  # of what was planned ahead
    turnarounds: deque[int] = field(default_factory=lambda: deque(maxlen=10_000))  # last release to first note
    takeovers: deque[int] = field(default_factory=lambda: deque(maxlen=10_000))  # turn decided to first note
    _released_ns: int | None = None

    def hear(self, event: Heard) -> None:
        self.heard += isinstance(event, NoteOn)
        if isinstance(event, NoteOn | NoteOff | Pedal):
            self._released_ns = event.time_ns

    def send(self, sent: Sent) -> None:
        if not sent.message:
            self.left_out += 1
        elif isinstance(wire.meaning(sent.message, sent.sent_ns), NoteOn):
            self.answered += 1
            if self._released_ns is None:
                self.lateness.append(sent.sent_ns - sent.due_ns)
            else:
                self.turnarounds.append(sent.sent_ns - self._released_ns)
                self.takeovers.append(sent.sent_ns - sent.due_ns + LEAD_NS)
                self._released_ns = None


def percentile(values: Sequence[float], share: float) -> float:
    """By nearest rank; NaN where there are none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


class Ears:
    """Takes messages from a driver: forwards them at once if asked to, then posts what they mean."""

    def __init__(self, inbox: Inbox, settings: Settings, thru: Callable[[Frame], None] | None) -> None:
        self._inbox, self._thru = inbox, thru
        self._channel, self._thru_channel = settings.channels.input, settings.channels.thru
        self._turn_cc = settings.turn_cc
        self._pressed = False

    def hear(self, message: bytes) -> None:
        """Called on the driver's thread; must not block."""
        now = now_ns()
        if not wire.is_channel_message(message):
            return
        channel = wire.channel(message)
        if self._channel not in (None, channel):
            return
        control = wire.control(message)
        if control is not None and control[0] == self._turn_cc:
            self._turn(control[1] >= 64, now)
            return
        if self._thru is not None:
            drums = channel == wire.DRUMS
            forwarded = message if drums else wire.on_channel(message, self._thru_channel)
            self._thru(Frame(now, FORWARD, forwarded))
        if channel != wire.DRUMS and (event := wire.meaning(message, now)) is not None:
            self._inbox.put(event)

    def _turn(self, pressed: bool, now: int) -> None:
        if pressed and not self._pressed:
            self._inbox.put(Ask(now))
        self._pressed = pressed


class Loop:
    """The one consumer of the inbox: steps the engine when something is heard or due."""

    def __init__(self, engine: Engine, inbox: Inbox, outlet: Outlet, channel: int, recorder: Recorder | None) -> None:
        self._engine, self._inbox, self.outlet = engine, inbox, outlet
        self._channel, self._recorder = channel, recorder
        self._beat_ns = 0
        self.tally = Tally()

    def run(self, replace_outlet: Callable[[], Outlet] | None = None, until: Callable[[], bool] | None = None) -> None:
        """Until a Quit is posted, or `until` says so. Whatever ends it, it leaves silence."""
        try:
            while until is None or not until():
                item = self._wait()
                if isinstance(item, Quit):
                    return
                if isinstance(item, OutletLost):
                    if replace_outlet is None:
                        return
                    self._engine.silence(now_ns())
                    self.outlet.close()
                    self.outlet = replace_outlet()
                elif isinstance(item, Sent):
                    self._sent(item)
                else:
                    self._step(item)
        finally:
            self._play(self._engine.silence(now_ns()))
            self.outlet.close()
            self._drain()

    def forward(self, frame: Frame) -> None:
        """Send at once, past the engine. Called on the driver's thread."""
        self.outlet.put(frame)

    def _wait(self) -> Heard | Sent | Quit | OutletLost | None:
        """The next item, or None when the engine's deadline or the heartbeat is due."""
        now = now_ns()
        if now - self._beat_ns >= HEARTBEAT_NS:
            self._beat_ns = now
            self.outlet.put(Frame(now, BEAT))
        until = self._beat_ns + HEARTBEAT_NS
        deadline = self._engine.deadline()
        if deadline is not None:
            until = min(until, deadline)
        with contextlib.suppress(queue.Empty):
            return self._inbox.get(timeout=(until - now) / 1e9) if until > now else self._inbox.get_nowait()
        return None

    def _step(self, heard: Heard | None) -> None:
        if heard is not None:
            self.tally.hear(heard)
            if self._recorder is not None:
                self._recorder.heard(heard)
        self._play(self._engine.step(now_ns(), heard))

    def _play(self, played: list[Played]) -> None:
        for event in played:
            if isinstance(event, Yield):
                self.outlet.put(Frame(event.time_ns, YIELD))
            else:
                self.outlet.put(Frame(event.time_ns, PLAY, wire.spell(event, self._channel)))

    def _sent(self, sent: Sent) -> None:
        self.tally.send(sent)
        if self._recorder is not None and sent.message:
            self._recorder.sent(sent.message, sent.sent_ns)

    def _drain(self) -> None:
        """Count what was still under way when the loop ended."""
        with contextlib.suppress(queue.Empty):
            while True:
                item = self._inbox.get_nowait()
                if isinstance(item, Sent):
                    self._sent(item)


class Wiring(NamedTuple):
    """Which ports, found and checked; None stands for a virtual one."""

    api: str
    source: str | None
    sink: str | None
    builtin: bool
    thru: bool

    def describe(self, settings: Settings, weights: str) -> str:
        source = f'"{self.source}"' if self.source else "its own virtual port"
        sink = "the built-in synthesiser" if self.builtin else f'"{self.sink}"' if self.sink else "its own virtual port"
        thru = f"on channel {settings.channels.thru}" if self.thru else "off"
        return (
            f"listening to {source}, playing on {sink}, channel {settings.channels.output} "
            f"({self.api}, thru {thru}, weights {weights})"
        )


def find_ports(settings: Settings) -> Wiring:
    """Match the names to what is there. Raises `ports.PortError`."""
    wanted = settings.ports
    if sys.platform == "win32" and wanted.virtual:
        raise ports.PortError(f"--virtual: {ports.LOOPMIDI}")
    there = ports.choose(wanted.api)
    builtin = (wanted.output or "").casefold() == "builtin"
    missing = [flag for flag, name in (("--in", wanted.input), ("--out", wanted.output)) if name is None]
    if missing and not wanted.virtual:
        names = "; ".join(there.inputs if missing[0] == "--in" else there.outputs) or "none"
        raise ports.PortError(f"{missing[0]} NAME is missing, or --virtual for a port of its own (ports here: {names})")
    source = None if wanted.input is None else ports.match(wanted.input, there.inputs, wanted.aliases, "input")
    sink = None
    if wanted.output is not None and not builtin:
        sink = ports.match(wanted.output, there.outputs, wanted.aliases, "output")
    one_device = source is not None and sink is not None and ports.same_device(source, sink)
    if settings.thru and one_device:
        raise ports.PortError(f'--thru: "{source}" and "{sink}" are one device, which sounds its own keys already')
    thru = settings.thru if settings.thru is not None else (builtin or wanted.virtual) and not one_device
    return Wiring(there.api, source, sink, builtin, thru)


def listen(settings: Settings, card: Card) -> int:
    """Play with a musician until a signal comes; gives the exit status. Raises `BadInput`."""
    inbox: Inbox = queue.SimpleQueue()
    with _signals(inbox):
        folder = writable_folder(Path(settings.record)) if settings.record is not None else None
        session = _Session(settings, card, find_ports(settings), inbox, Recorder() if folder is not None else None)
        try:
            session.run()
        finally:
            if folder is not None and session.recorder is not None:
                _save(session.recorder, folder, settings.bpm)
    report(session.tally)
    return 0


class _Session:
    """Everything that is open while it listens."""

    def __init__(self, settings: Settings, card: Card, wiring: Wiring, inbox: Inbox, recorder: Recorder | None) -> None:
        self._settings, self._card, self._wiring = settings, card, wiring
        self._inbox, self.recorder = inbox, recorder
        self._target = Target(wiring.api, wiring.sink, wiring.builtin)
        outlet = self._start_outlet(self._target)
        try:
            net = weights.network(card)  # while the outlet's process starts
            seed = settings.random_seed if settings.random_seed is not None else secrets.randbelow(10**9)
            engine = Engine(net, settings.musicianship(seed))
            outlet.wait_until_ready()
            self._loop = Loop(engine, inbox, outlet, settings.channels.output, recorder)
            ears = Ears(inbox, settings, self._loop.forward if wiring.thru else None)
            self._source = ports.Input(wiring.api, wiring.source, ears.hear)
        except BaseException:
            outlet.close()
            raise
        self.tally = self._loop.tally

    def run(self) -> None:
        """Until a Quit is posted; leaves silence."""
        be_prompt()
        print(self._wiring.describe(self._settings, self._card.name), flush=True)
        source = self._wiring.source
        watch = None if source is None else Watch(self._wiring.api, source, self._input_lost)
        try:
            self._loop.run(self._replace_outlet)
        finally:
            self._source.close()
            if watch is not None:
                watch.close()

    def _start_outlet(self, target: Target) -> ProcessOutlet:
        return ProcessOutlet(target, self._inbox.put, lambda: self._inbox.put(OutletLost()))

    def _replace_outlet(self) -> ProcessOutlet:
        print("improv: the outlet died; everything is released and it starts anew", file=sys.stderr, flush=True)
        channels = {self._settings.channels.output, self._settings.channels.thru}
        outlet = self._start_outlet(self._target._replace(release=tuple(sorted(channels))))
        outlet.wait_until_ready()
        return outlet

    def _input_lost(self) -> None:
        """Called on the watch's thread."""
        gone = f'the input "{self._wiring.source}" went away; what it held is released'
        print(f"improv: {gone}", file=sys.stderr, flush=True)
        now = now_ns()
        self._loop.forward(Frame(now, LET_GO))
        self._inbox.put(InputLost(now))


def be_prompt() -> None:
    """Set this process up for threads that must not wait for one another."""
    # LiteRT gives up the interpreter lock in each step and waits a whole switch interval to get it back.
    sys.setswitchinterval(1e-4)
    gc.freeze()


@contextlib.contextmanager
def _signals(inbox: Inbox) -> Iterator[None]:
    """The first signal ends the loop, the second the process: the outlet then falls silent by itself."""
    first_ns: list[int] = []

    def on_signal(number: int, _frame: object) -> None:
        if not first_ns:
            first_ns.append(now_ns())
            inbox.put(Quit())
        elif now_ns() - first_ns[0] > ONE_SIGNAL_NS:
            os._exit(128 + number)

    names = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {name: signal.signal(getattr(signal, name), on_signal) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)


def _save(recorder: Recorder, folder: Path, bpm: float | None) -> None:
    path = session_path(folder)
    try:
        if recorder.write(path, bpm):
            print(f"recorded {path}")
    except OSError as error:
        print(f"improv: {path}: the recording could not be written ({error.strerror})", file=sys.stderr)


def report(tally: Tally) -> None:
    """What happened, in a line or two."""
    print(f"heard {tally.heard} notes, answered with {tally.answered}")
    for name, times in (("took over in", tally.takeovers), ("notes sent late by", tally.lateness)):
        if times:
            p50, p99 = (percentile(times, share) / 1e6 for share in (0.5, 0.99))
            print(f"{name} {p50:.2f} ms p50, {p99:.2f} ms p99")
    if tally.turnarounds:
        print(f"end of phrase to first note {percentile(tally.turnarounds, 0.5) / 1e9:.2f} s")
    if tally.left_out:
        print(f"{tally.left_out} notes were too late and left out")
