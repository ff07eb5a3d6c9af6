"""Live: opens the ports around the loop, and closes them. Drivers call from threads of their own."""

from __future__ import annotations

import contextlib
import os
import queue
import secrets
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from improv.clock import now_ns
from improv.config import MS, Settings
from improv.engine import Engine
from improv.loop import Inbox, Loop, OutletLost, Quit, be_prompt
from improv.midi import ports
from improv.midi.ears import Ears, clock_ears
from improv.midi.link import Link
from improv.midi.outlet import LET_GO, Duties, Frame, ProcessOutlet, Target
from improv.midi.recorder import Recorder, session_path, writable_folder
from improv.midi.watch import Watch
from improv.music.events import InputLost, Retime
from improv.music.timeline import Timeline
from improv.net import weights
from improv.net.weights import Card
from improv.wiring import Wiring, find_ports

ONE_SIGNAL_NS = 100_000_000  # a group and its members are often told the same thing twice


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
