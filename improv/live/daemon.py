"""Live: opens the ports around the loop, and closes them. Drivers call from threads of their own."""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import os
import queue
import secrets
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType

from improv import players, presets
from improv.clock import now_ns
from improv.config import Settings
from improv.endings import endings
from improv.engine import Engine
from improv.live.commentary import Commentary
from improv.live.lamps import Lamps
from improv.live.loop import Inbox, Loop, OutletLost, OutletOpen, Quit, be_prompt
from improv.live.onlooker import Onlooker
from improv.live.patchbay import Patchbay, Plug
from improv.live.screen import Screen, can_draw
from improv.live.told import Terminal, told
from improv.live.wiring import Wiring, find_ports
from improv.midi import ports
from improv.midi.desk import Duties
from improv.midi.ears import Ears, clock_ears
from improv.midi.frames import LET_GO, PANIC, Frame
from improv.midi.outlet import ProcessOutlet, Target
from improv.midi.recorder import writable_folder
from improv.midi.watch import EVERY_S, Watched
from improv.music.echo import Echo
from improv.music.events import InputLost, Panic, Retime
from improv.music.gate import Gate
from improv.music.hands import Hands, Turn
from improv.music.lights import Lights
from improv.music.outgoing import Outgoing
from improv.music.timeline import MS, Timeline
from improv.net import weights
from improv.net.weights import Card
from improv.recording import Recording, recovered
from improv.saying import say

LOG = logging.getLogger("improv")
SOON_RECOVERED = 4 * 1024**2  # bytes of a log: an hour of playing, in a few seconds
Handler = Callable[[int, FrameType | None], object] | signal.Handlers
CLOSE_S = 3.0  # is more than any driver needs
OUTLET = 0  # of the plugs
ONE_SIGNAL_NS = 100_000_000  # a group and its members are often told the same thing twice


def listen(settings: Settings, card: Card) -> int:
    """Play with a musician until a signal comes; gives the exit status. Raises `BadInput`."""
    inbox: Inbox = queue.SimpleQueue()
    if settings.random_seed is None:
        settings = replace(settings, random_seed=secrets.randbelow(10**9))
    log_file = None if settings.log_file is None else Path(settings.log_file)
    # Before there is a session, and when it is over, nothing sounds that a panic would have to end. A session that
    # Ctrl-Z stops could not let go of what sounds.
    with (
        _on_signals(endings(), _quitting(inbox)),
        _on_signals(_numbers("SIGUSR1", "SIGTSTP"), signal.SIG_IGN),
        told(settings.verbose, log_file) as terminal,
    ):
        turns = presets.on_controls(settings.controls, card.check_style)
        folder = writable_folder(settings.record) if settings.record is not None else None
        remembered = _begin_player(settings.player)
        wiring = _wait_for_ports(settings, inbox) if settings.ports.wait else find_ports(settings)
        if wiring is None:
            return 0
        recording = None if folder is None else _begin_recording(folder, settings, card, remembered)
        session: _Session | None = None
        try:
            session = _Session(settings, card, wiring, inbox, recording, terminal, turns, remembered)
            with _on_signals(_numbers("SIGUSR1"), session.panic):
                session.run()
            say("\n".join(session.lines()))
        finally:
            if session is not None and settings.player is not None:
                _keep_player(settings.player, remembered, session.remembered())
            lines = session.lines() if session is not None else []
            for line in lines:
                LOG.debug(line)
            if recording is not None:
                recording.finish(lines)
            if session is not None:  # last, because a driver that hangs now ends it all
                session.close()
    return 0


def _begin_player(name: str | None) -> bytes:
    """What the memory holds. Raises `BadInput`."""
    if name is None:
        return b""
    remembered = players.begin(name)
    if not remembered:
        LOG.warning("player %s: begins with an empty memory, and is kept in %s", name, players.place(name))
    return remembered


def _keep_player(name: str, before: bytes, remembered: bytes) -> None:
    """Where nothing was played its file stays as it was."""
    if remembered != before:
        try:
            place = players.keep(name, remembered)
        except OSError as error:
            LOG.warning("player %s: what was played could not be kept (%s)", name, error.strerror)
        else:
            say(f"{place}: {players.notes(remembered):,} notes remembered")


def _begin_recording(folder: Path, settings: Settings, card: Card, remembered: bytes) -> Recording:
    """What a session left unfinished that was killed is finished first, where that is soon done."""
    for outcome in recovered(folder, SOON_RECOVERED):
        LOG.warning(outcome.line)
    return Recording(folder, settings, card, remembered)


def _wait_for_ports(settings: Settings, inbox: Inbox) -> Wiring | None:
    """The ports, as soon as all of them are there; None: a Quit came first."""
    said = False
    while True:
        try:
            return find_ports(settings)
        except ports.Absent as absent:
            if not said:
                LOG.warning(f"{absent}; waiting for it")
            said = True
        with contextlib.suppress(queue.Empty):
            inbox.get(timeout=EVERY_S)
            return None


class _Inlet:
    """An input that may be closed and opened again."""

    def __init__(self, open_port: Callable[[str | None], ports.Input], lost: Callable[[], None]) -> None:
        """`lost` is called when it is unplugged, though not at the end."""
        self._open_port, self._lost = open_port, lost
        self._port: ports.Input | None = None

    def plug(self, name: str | None) -> None:
        self._port = self._open_port(name)

    def unplug(self) -> None:
        self.close()
        self._lost()

    def close(self) -> None:
        if self._port is not None:
            self._port.close()
            self._port = None


class _Session:
    """Everything that is open while it listens."""

    def __init__(
        self,
        settings: Settings,
        card: Card,
        wiring: Wiring,
        inbox: Inbox,
        recording: Recording | None,
        terminal: Terminal,
        turns: Mapping[str, Sequence[Turn]],
        remembered: bytes,
    ) -> None:
        """Settings must name the random seed; `turns`: what each preset on a control turns."""
        self._settings, self._card, self._wiring, self._inbox = settings, card, wiring, inbox
        self._gate, self._clock_gate = Gate(LOG.warning), Gate(LOG.warning)  # each for a thread of its own
        controls, styles = settings.controls.triggers, tuple(card.known)
        self._hands = Hands(controls, self._gate, settings.channels.input, styles, turns, settings.mode)
        self._echo = Echo(LOG.warning, settings.beat.click)
        self._outgoing = Outgoing(round(settings.out_latency_ms * MS))
        self._target = Target(wiring.api, wiring.sink, wiring.builtin, duties=_duties(settings))
        self._patchbay = Patchbay()
        self._outlet = self._start_outlet(self._target)
        try:
            net = weights.network(card)  # while the outlet's process starts
            assert settings.random_seed is not None
            engine = Engine(net, settings.musicianship(settings.random_seed), remembered)
            self.remembered = engine.remembered
            self._outlet.wait_until_ready()
            self._commentary = Commentary(engine, LOG.info, turns)
            keepers = [self._commentary.take, *([recording.keep] if recording is not None else [])]
            self._lamps: Lamps | None = None
            self._screen: contextlib.AbstractContextManager[object] = contextlib.nullcontext()
            shows: list[Callable[[int], int | None]] = []
            if wiring.lights is not None:
                lights = Lights(controls, self._hands.stands, styles, turns)
                self._lamps = Lamps(engine, lights, wiring.api)
                shows.append(self._lamps.show)
            if not settings.plain and can_draw():
                self._screen = screen = Screen(wiring.bill(settings, card.name), terminal)
                seen = Onlooker(engine, lambda: self._loop.tally, lambda: terminal.last, screen.put)
                keepers.append(seen.take)
                shows.append(seen.show)
            channels, tell, late = settings.channels, self._outgoing.tell, self._hands.late
            self._loop = Loop(engine, inbox, self._outlet, channels.output, keepers, tell, late, shows, channels.beside)
            with contextlib.ExitStack() as open_ends:
                self._plugs = list(self._open(open_ends))
                self._open_ends = open_ends.pop_all()
        except BaseException:
            self._outlet.close()
            raise

    def _open(self, ends: contextlib.ExitStack) -> Iterator[Plug]:
        """The player's port, and where the beat comes from."""
        settings, wiring = self._settings, self._wiring
        by_midi = settings.beat.clock == "midi"
        here = by_midi and wiring.clock is None
        ears = Ears(
            self._inbox.put,
            self._loop.forward,
            self._gate,
            self._echo,
            self._outgoing,
            self._hands,
            settings.channels.input,
            settings.channels.thru if wiring.thru else None,
            clock=here,
        )
        own = wiring.sink is None and not wiring.builtin
        yield Plug(Watched("output", wiring.sink), wiring.said_sink, self._unplug_outlet, self._plug_outlet, own)
        source = _Inlet(lambda name: ports.Input(wiring.api, name, ears.hear, clock=here), self._input_lost)
        ends.callback(source.close)
        source.plug(wiring.source)
        yield Plug(Watched("input", wiring.source), wiring.said_source, source.unplug, source.plug)
        if by_midi and wiring.clock is not None:
            # The played input may bring a clock of its own: only the named one is heard.
            heard = clock_ears(self._inbox.put, self._clock_gate)
            master = _Inlet(lambda name: ports.Input(wiring.api, name, heard, "improv-clock", clock=True), lambda: None)
            ends.callback(master.close)
            master.plug(wiring.clock)
            yield Plug(Watched("input", wiring.clock), f'the clock "{wiring.clock}"', master.unplug, master.plug)
        if self._lamps is not None:
            ends.callback(self._lamps.close)
            self._lamps.plug(wiring.lights)
            lights = Watched("output", wiring.lights)
            yield Plug(lights, f'the lights "{wiring.lights}"', self._lamps.unplug, self._lamps.plug)
        if settings.beat.clock == "link":
            from improv.midi.link import Link  # brings asyncio, which most sessions do without

            link = Link(settings.bpm or 120.0, settings.beat.bar, self._inbox.put)
            ends.callback(link.close)

    def run(self) -> None:
        """Until a Quit is posted; leaves silence."""
        be_prompt()
        listening = self._wiring.describe(self._settings, self._card.name)
        say(listening)
        LOG.debug(listening)
        if self._settings.beat.clock == "internal" and self._settings.bpm is not None:
            now = now_ns()  # slaves know the tempo before the first note
            self._inbox.put(Retime(now, Timeline(self._settings.bpm, now, metre=self._settings.beat.bar), jump=True))
        self._patchbay.mind(self._wiring.api, self._plugs)
        self._open_ends.callback(self._close_outlet)
        self._open_ends.callback(self._patchbay.close)
        with self._screen:
            try:
                self._loop.run()
            finally:
                self._commentary.end_turn()

    def close(self) -> None:
        with _leaves_anyway():
            self._open_ends.close()

    def _close_outlet(self) -> None:
        """The last one, which the loop may not have heard of. One that failed released nothing: another does."""
        self._outlet.close()
        if self._outlet.failed:
            outlet = self._start_outlet(self._target._replace(clear=True))
            with contextlib.suppress(ports.PortError):
                outlet.wait_until_ready()
            outlet.close()

    def _start_outlet(self, target: Target) -> ProcessOutlet:
        return ProcessOutlet(target, self._inbox.put, lambda: self._patchbay.broken(OUTLET))

    # On the patchbay's thread

    def _unplug_outlet(self) -> None:
        """Others need not wait until it has ended: its driver may take a second or two."""
        self._inbox.put(OutletLost())
        threading.Thread(target=self._outlet.close, daemon=True).start()

    def _plug_outlet(self, name: str | None) -> None:
        """It is cleared first: nobody knows what sounds there."""
        self._target = self._target._replace(port=name, clear=True)
        outlet = self._start_outlet(self._target)
        outlet.wait_until_ready()
        self._outlet = outlet
        self._inbox.put(OutletOpen(outlet))

    def panic(self, _number: int, _frame: FrameType | None) -> None:
        """Called in the handler of a signal."""
        now = now_ns()
        self._loop.forward(Frame(now, PANIC))
        self._inbox.put(Panic(now))

    def lines(self) -> list[str]:
        """How it went."""
        return [*self._loop.tally.lines(), *self._gate.lines(), *self._clock_gate.lines(), *self._echo.lines()]

    def _input_lost(self) -> None:
        """What it held is released."""
        now = now_ns()
        self._hands.let_go()
        self._loop.forward(Frame(now, LET_GO))
        self._inbox.put(InputLost(now))


def _duties(settings: Settings) -> Duties:
    beat = settings.beat
    click_channel = settings.channels.click if beat.click else None
    return Duties(beat.clock_out, click_channel, settings.grid.step_ticks, round(settings.out_latency_ms * MS))


@contextlib.contextmanager
def _leaves_anyway() -> Iterator[None]:
    """A driver that hangs while its ports close may hold the interpreter: then the process ends all the same."""
    with open(os.devnull, "w") as nowhere:
        faulthandler.dump_traceback_later(CLOSE_S, exit=True, file=nowhere)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()


def _quitting(inbox: Inbox) -> Handler:
    """The first signal ends the loop, the second the process: the outlet then falls silent by itself."""
    first_ns: list[int] = []

    def act(number: int, _frame: FrameType | None) -> None:
        if not first_ns:
            first_ns.append(now_ns())
            inbox.put(Quit())
        elif now_ns() - first_ns[0] > ONE_SIGNAL_NS:
            os._exit(128 + number)

    return act


def _numbers(*names: str) -> list[int]:
    """Of those signals that the system has."""
    return [getattr(signal, name) for name in names if hasattr(signal, name)]


@contextlib.contextmanager
def _on_signals(numbers: Sequence[int], handler: Handler) -> Iterator[None]:
    """For as long as it lasts they do that."""
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
