"""A stage: a recorded performance is played to the engine, with the outlet behind it, on a virtual clock.

Both are the very code that runs live; only the waiting is made up, and what goes wrong while they wait.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from queue import SimpleQueue
from random import Random
from typing import NamedTuple

import numpy as np

from improv.engine import Engine
from improv.live.loop import Loop
from improv.midi import log
from improv.midi.desk import NO_DUTIES, Desk, Duties
from improv.midi.frames import Frame, Report, Sent
from improv.music.events import Heard, Late, NoteOff, NoteOn, Played
from improv.music.musicianship import Musicianship
from improv.music.schedule import is_note_off, is_note_on
from improv.music.timeline import NS, TICKS_PER_BEAT, Timeline
from improv.net import codec
from improv.net.codec import Token
from improv.net.stepper import Reading
from improv.net.stream import UNKNOWN, Net, Reader, Stream

CHANNEL = 2
TUNE = (0, 4, 7, 5, 9, 12, 2, 11)
AFTER_NS = 30 * NS  # a performance goes on so long after its last event

Stall = tuple[int, int]  # from when, for how long


class Faults(NamedTuple):
    """What goes wrong. Wake-ups are late by up to so much, each by a number of its own."""

    step_ns: int = 0  # each step of the network takes so long
    engine_late_ns: int = 0
    outlet_late_ns: int = 0
    engine_stalls: Sequence[Stall] = ()
    outlet_stalls: Sequence[Stall] = ()
    seed: int = 0


NO_FAULTS = Faults()


class Gave(NamedTuple):
    """What the engine gave, and in the step of which moment."""

    step_ns: int
    event: Played


class Show(NamedTuple):
    sent: list[Sent]
    gave: list[Gave]
    late: list[Late]
    engine: Engine


class Note(NamedTuple):
    """A note as it was sent: `on` and `off` are its onset's and its end's."""

    pitch: int
    on: Sent
    off: Sent


class StrictReader(Reader):
    """Checks each token it is fed against the alphabet."""

    def feed(self, stream: Stream, token: Token, timeline: Timeline, own: bool, who: int = UNKNOWN) -> Stream:
        if stream.last.what != codec.START:
            ticks = token.tick - stream.last.tick
            assert ticks >= 0
            assert codec.allowed(stream.held, stream.last.what, ticks)[token.what], (stream.last, token)
        return super().feed(stream, token, timeline, own, who)


class _Counted:
    """A network that counts its steps."""

    def __init__(self, net: Net) -> None:
        self._net = net
        self.steps = 0
        self.start, self.what, self.velocity = net.start, net.what, net.velocity

    def read(self, state: np.ndarray, token: np.ndarray, context: np.ndarray) -> Reading:
        self.steps += 1
        return self._net.read(state, token, context)


class _Player:
    """One who sleeps, wakes when something is due or comes in, and is busy for a while."""

    def __init__(self, late_ns: int, stalls: Sequence[Stall], seed: int) -> None:
        self._late_ns, self._stalls, self._seed = late_ns, stalls, seed
        self._inbox: list[tuple[int, int, object]] = []
        self._number = count()
        self.free_ns = 0

    def post(self, time_ns: int, item: object) -> None:
        heapq.heappush(self._inbox, (time_ns, next(self._number), item))

    def take(self, now: int) -> object | None:
        return heapq.heappop(self._inbox)[2] if self._inbox and self._inbox[0][0] <= now else None

    def wakes_ns(self, deadline_ns: int | None) -> int | None:
        """When it acts next, if nothing else comes in."""
        times = [self._inbox[0][0]] if self._inbox else []
        times += [deadline_ns] if deadline_ns is not None else []
        if not times:
            return None
        due_ns = min(times)
        late = Random(f"{self._seed} {due_ns}").random() if self._late_ns and due_ns > self.free_ns else 0.0
        time_ns = max(due_ns + round(late * self._late_ns), self.free_ns)
        for from_ns, for_ns in self._stalls:
            if from_ns <= time_ns < from_ns + for_ns:
                time_ns = from_ns + for_ns
        return time_ns


class Stage:
    def __init__(
        self,
        net: Net,
        musicianship: Musicianship,
        faults: Faults = NO_FAULTS,
        duties: Duties = NO_DUTIES,
        remembered: bytes = b"",
    ) -> None:
        self._net, self._faults = _Counted(net), faults
        self._engine = Engine(self._net, musicianship)
        self._engine._improviser._soloist._reader = StrictReader(self._net, musicianship.steering, remembered)
        self._loop = Loop(self._engine, SimpleQueue(), self, CHANNEL)
        grid_ticks, latency_ns = musicianship.time.grid.step_ticks, musicianship.out_latency_ns
        duties = duties._replace(grid_ticks=grid_ticks, latency_ns=latency_ns)
        self._desk = Desk(self._send, self._report, duties, lambda: self._outlet_ns)
        self._outlet_ns = 0  # the outlet's time
        self._thinker = _Player(faults.engine_late_ns, faults.engine_stalls, faults.seed)
        self._sender = _Player(faults.outlet_late_ns, faults.outlet_stalls, faults.seed + 1)
        self.messages: list[tuple[int, bytes]] = []  # all that went out: the machine's, the clock's, the click's
        self.records: list[log.Record] = []  # what a recording would hold
        self.keepers: list[Callable[[log.Record], None]] = [self.records.append]
        self._show = Show([], [], [], self._engine)

    def put(self, frame: Frame) -> None:
        """A frame on its way to the outlet."""
        self._sender.post(self._thinker.free_ns, frame)

    def close(self) -> None:
        pass

    def _keep(self, record: log.Record) -> None:
        for keep in self.keepers:
            keep(record)

    def _send(self, message: bytes) -> None:
        self.messages.append((self._outlet_ns, message))

    def _report(self, report: Report) -> None:
        if isinstance(report, Sent):
            self._show.sent.append(report)
            self._keep(report)
        elif isinstance(report, Late):
            self._show.late.append(report)
            self._thinker.post(self._outlet_ns, report)

    def play(self, heard: Iterable[Heard], until_ns: int | None = None) -> Show:
        """Play it all, and go on until a moment. May be called again, with what comes after."""
        last_ns = 0
        for event in heard:
            last_ns = max(last_ns, event.time_ns)
            self._thinker.post(event.time_ns, event)
        until_ns = last_ns + AFTER_NS if until_ns is None else until_ns
        while True:
            think_ns = self._thinker.wakes_ns(self._engine.deadline())
            send_ns = self._sender.wakes_ns(self._desk.deadline())
            times = [time_ns for time_ns in (think_ns, send_ns) if time_ns is not None]
            if not times or min(times) > until_ns:
                return self._show
            if send_ns == min(times):
                self._act(send_ns)
            elif think_ns is not None:
                self._think(think_ns)

    def _act(self, now: int) -> None:
        """The outlet sends what is due, or takes a frame."""
        self._outlet_ns = self._sender.free_ns = now
        due_ns = self._desk.deadline()
        if due_ns is not None and due_ns <= now:
            self._desk.run()
        elif isinstance(frame := self._sender.take(now), Frame):
            self._desk.take(frame)

    def _think(self, now: int) -> None:
        """The engine takes an event, or a step. What it gives leaves when the step is done."""
        before = self._net.steps
        heard = self._thinker.take(now)
        self._keep(log.Step(now, heard))
        played = self._engine.step(now, heard)
        if played:
            self._keep(log.Gave(tuple(played)))
        self._thinker.free_ns = now + (self._net.steps - before) * self._faults.step_ns
        self._show.gave.extend(Gave(now, event) for event in played)
        self._loop._play(played)


def played_on(
    line: Timeline, beats: Iterable[float], *, pitch: int = 60, length: float = 0.4, late_ns: int = 0
) -> list[Heard]:
    """A tune with a note on each of those beats."""
    events: list[Heard] = []
    for i, beat in enumerate(beats):
        on_ns, off_ns = (line.time_ns(at * TICKS_PER_BEAT) + late_ns for at in (beat, beat + length))
        events += [NoteOn(on_ns, pitch + TUNE[i % len(TUNE)], 80), NoteOff(off_ns, pitch + TUNE[i % len(TUNE)])]
    return sorted(events, key=lambda event: event.time_ns)


def every(step: float, begin: float, end: float) -> list[float]:
    """Beats a step apart, the end not among them."""
    return [begin + i * step for i in range(round((end - begin) / step))]


def notes(sent: Iterable[Sent]) -> list[Note]:
    """Onsets with their ends. Each must have one, and none may strike what sounds."""
    found: list[Note] = []
    sounding: dict[int, Sent] = {}
    for one in sent:
        pitch = one.message[1]
        if is_note_on(one.message):
            assert pitch not in sounding, f"struck while it sounds: {one}"
            sounding[pitch] = one
        elif is_note_off(one.message) and pitch in sounding:
            found.append(Note(pitch, sounding.pop(pitch), one))
    assert not sounding, f"stuck: {sounding}"
    return sorted(found, key=lambda note: (note.on.sent_ns, note.pitch))
