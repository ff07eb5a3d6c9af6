"""Live: wires the engine to its ports. The engine runs on the main thread; drivers call from theirs."""

from __future__ import annotations

import contextlib
import gc
import os
import queue
import secrets
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from improv.clock import now_ns
from improv.config import MS, Settings
from improv.engine import Engine
from improv.midi import ports, wire
from improv.midi.ears import Ears, clock_ears
from improv.midi.link import Link
from improv.midi.outlet import (
    BEAT,
    HEARTBEAT_NS,
    LATENCY,
    LET_GO,
    PLAY,
    TURN,
    YIELD,
    Duties,
    Frame,
    ProcessOutlet,
    Report,
    Sent,
    Target,
    retime_frame,
)
from improv.midi.recorder import Recorder, session_path, writable_folder
from improv.midi.watch import Watch
from improv.music.events import (
    FreeWheel,
    Heard,
    InputLost,
    NoteOff,
    NoteOn,
    OutLatency,
    Played,
    Retime,
    TurnBegins,
    Yield,
)
from improv.music.timeline import Timeline
from improv.net import weights
from improv.net.weights import Card
from improv.tally import Tally

ONE_SIGNAL_NS = 100_000_000  # a group and its members are often told the same thing twice


class Quit(NamedTuple):
    """Asks the loop to end."""


class OutletLost(NamedTuple):
    """The outlet's process died."""


Inbox = queue.SimpleQueue[Heard | Report | Quit | OutletLost]


class Outlet(Protocol):
    def put(self, frame: Frame) -> None: ...
    def close(self) -> None: ...


class Loop:
    """The one consumer of the inbox: steps the engine when something is heard or due."""

    def __init__(self, engine: Engine, inbox: Inbox, outlet: Outlet, channel: int, recorder: Recorder | None) -> None:
        self._engine, self._inbox, self.outlet = engine, inbox, outlet
        self._channel, self._recorder = channel, recorder
        self._beat_ns = 0
        self._in_force: dict[int, Frame] = {}  # the last of each command that a new outlet needs as well
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
                    for frame in self._in_force.values():
                        self.outlet.put(frame)
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

    def _wait(self) -> Heard | Report | Quit | OutletLost | None:
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
        now = now_ns()
        played = self._engine.step(now, heard)
        self.tally.steps.add(now_ns() - now)
        self._play(played)
        if self._recorder is not None and (line := self._engine.line) is not None:
            self._recorder.retime(line)

    def _play(self, played: list[Played]) -> None:
        for event in played:
            if isinstance(event, NoteOn | NoteOff):
                self.outlet.put(Frame(event.time_ns, PLAY, wire.spell(event, self._channel)))
            elif isinstance(event, Yield):
                self.outlet.put(Frame(event.time_ns, YIELD))
            elif isinstance(event, TurnBegins):
                self.tally.begin_turn(event)
                self.outlet.put(Frame(event.time_ns, TURN))
            elif isinstance(event, Retime):
                self.tally.retime(event)
                self._put_in_force(retime_frame(event))
            elif isinstance(event, OutLatency):
                self._put_in_force(Frame(event.latency_ns, LATENCY))
            else:
                self._say(event)

    def _put_in_force(self, frame: Frame) -> None:
        """A new outlet is told of it as well."""
        self._in_force[frame.command] = frame
        self.outlet.put(frame)

    def _say(self, wheel: FreeWheel) -> None:
        line = self._engine.line
        beat = f"; the beat goes on at {line.bpm:.1f} bpm" if wheel.lost and line is not None else ""
        print(
            f"improv: the clock's ticks {'stay away' if wheel.lost else 'are back'}{beat}", file=sys.stderr, flush=True
        )

    def _sent(self, sent: Sent) -> None:
        self.tally.send(sent)
        if self._recorder is not None:
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
    clock: str | None = None  # an input of its own for the clock

    def describe(self, settings: Settings, weights: str) -> str:
        source = f'"{self.source}"' if self.source else "its own virtual port"
        sink = "the built-in synthesiser" if self.builtin else f'"{self.sink}"' if self.sink else "its own virtual port"
        thru = f"on channel {settings.channels.thru}" if self.thru else "off"
        return (
            f"listening to {source}, playing on {sink}, channel {settings.channels.output} "
            f"({self.api}, thru {thru}, weights {weights}, {self._beat(settings)})"
        )

    def _beat(self, settings: Settings) -> str:
        if settings.beat.clock == "internal":
            return "time is free" if settings.bpm is None else f"{settings.bpm:g} bpm from the first note"
        port = f'"{self.clock}"' if self.clock is not None else "the same port"
        return f"beat by {'Link' if settings.beat.clock == 'link' else port}"


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
    clock = None
    if wanted.clock is not None:
        clock = ports.match(wanted.clock, there.inputs, wanted.aliases, "input")
    if settings.beat.clock_out and builtin:
        raise ports.PortError("--clock-out: the built-in synthesiser takes no clock; name a port with --out")
    master = (clock or source) if settings.beat.clock == "midi" else None
    if settings.beat.clock_out and master is not None and sink is not None and ports.same_device(master, sink):
        raise ports.PortError(f'--clock-out: "{sink}" gives the clock itself; leave it out, or name another --out')
    return Wiring(there.api, source, sink, builtin, thru, clock)


def listen(settings: Settings, card: Card) -> int:
    """Play with a musician until a signal comes; gives the exit status. Raises `BadInput`."""
    inbox: Inbox = queue.SimpleQueue()
    with _signals(inbox):
        folder = writable_folder(Path(settings.record)) if settings.record is not None else None
        session = _Session(settings, card, find_ports(settings), inbox, Recorder() if folder is not None else None)
        try:
            session.run()
        finally:
            lines = session.tally.lines()
            if folder is not None and session.recorder is not None:
                _save(session.recorder, folder, lines)
    print("\n".join(lines))
    return 0


class _Session:
    """Everything that is open while it listens."""

    def __init__(self, settings: Settings, card: Card, wiring: Wiring, inbox: Inbox, recorder: Recorder | None) -> None:
        self._settings, self._card, self._wiring = settings, card, wiring
        self._inbox, self.recorder = inbox, recorder
        self._target = Target(wiring.api, wiring.sink, wiring.builtin, duties=_duties(settings))
        outlet = self._start_outlet(self._target)
        try:
            net = weights.network(card)  # while the outlet's process starts
            seed = settings.random_seed if settings.random_seed is not None else secrets.randbelow(10**9)
            engine = Engine(net, settings.musicianship(seed))
            outlet.wait_until_ready()
            self._loop = Loop(engine, inbox, outlet, settings.channels.output, recorder)
            with contextlib.ExitStack() as open_ends:
                self._open(open_ends)
                self._open_ends = open_ends.pop_all()
        except BaseException:
            outlet.close()
            raise
        self.tally = self._loop.tally

    def _open(self, ends: contextlib.ExitStack) -> None:
        """The player's port, and where the beat comes from."""
        settings, wiring = self._settings, self._wiring
        by_midi = settings.beat.clock == "midi"
        here = by_midi and wiring.clock is None
        ears = Ears(
            self._inbox.put,
            settings.channels.input,
            settings.controls.numbers,
            settings.channels.thru,
            self._loop.forward if wiring.thru else None,
            clock=here,
        )
        source = ports.Input(wiring.api, wiring.source, ears.hear, clock=here)
        ends.callback(source.close)
        if by_midi and wiring.clock is not None:
            # The played input may bring a clock of its own: only the named one is heard.
            port = ports.Input(wiring.api, wiring.clock, clock_ears(self._inbox.put), "improv-clock", clock=True)
            ends.callback(port.close)
        if settings.beat.clock == "link":
            link = Link(settings.bpm or 120.0, settings.beat.bar, self._inbox.put)
            ends.callback(link.close)

    def run(self) -> None:
        """Until a Quit is posted; leaves silence."""
        be_prompt()
        print(self._wiring.describe(self._settings, self._card.name), flush=True)
        source = self._wiring.source
        if self._settings.beat.clock == "internal" and self._settings.bpm is not None:
            now = now_ns()  # slaves know the tempo before the first note
            self._inbox.put(
                Retime(now, Timeline(self._settings.bpm, now, metre=self._settings.beat.bar), jump=True)
            )
        watch = None if source is None else Watch(self._wiring.api, source, self._input_lost)
        with self._open_ends:
            try:
                self._loop.run(self._replace_outlet)
            finally:
                if watch is not None:
                    watch.close()

    def _start_outlet(self, target: Target) -> ProcessOutlet:
        return ProcessOutlet(target, self._inbox.put, lambda: self._inbox.put(OutletLost()))

    def _replace_outlet(self) -> ProcessOutlet:
        print("improv: the outlet died; everything is released and it starts anew", file=sys.stderr, flush=True)
        named, clicks = self._settings.channels, self._settings.beat.click
        channels = {named.output, named.thru, *([named.click] if clicks else [])}
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


def _duties(settings: Settings) -> Duties:
    beat = settings.beat
    click_channel = settings.channels.click if beat.click else None
    return Duties(beat.clock_out, click_channel, settings.grid.step_ticks, round(settings.out_latency_ms * MS))


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


def _save(recorder: Recorder, folder: Path, lines: list[str]) -> None:
    """The recording, and beside it how the session went."""
    path = session_path(folder)
    try:
        if recorder.write(path):
            path.with_suffix(".txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
            print(f"recorded {path}")
    except OSError as error:
        print(f"improv: {path}: the recording could not be written ({error.strerror})", file=sys.stderr)
