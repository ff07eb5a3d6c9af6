"""An hour of fast playing in seconds, on the virtual clock: from the ears to the outlet's desk. Nothing grows."""

from __future__ import annotations

import gc
import logging
import resource
import sys
import types
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from queue import SimpleQueue
from random import Random
from statistics import median
from typing import NamedTuple

import pytest

from improv.engine import Engine
from improv.live.loop import Loop
from improv.live.tally import percentile
from improv.midi import wire
from improv.midi.desk import Duties
from improv.midi.ears import Ears
from improv.midi.frames import Frame
from improv.music import trigger
from improv.music.echo import Echo
from improv.music.events import (
    Ask,
    ClockOffset,
    Continue,
    Heard,
    InputLost,
    NoteOff,
    NoteOn,
    OutLatency,
    Panic,
    Pedal,
    SongPosition,
    Start,
    Stop,
    Tick,
)
from improv.music.gate import Gate
from improv.music.grid import Grid
from improv.music.hands import Hands
from improv.music.musicianship import Musicianship, Time
from improv.music.outgoing import Outgoing
from improv.music.timeline import NS, Timeline
from tests.nets import FlatNet, lively
from tests.stage import CHANNEL, Show, Stage, every, notes, played_on

MS = NS // 1000
MINUTE_NS = 60 * NS
PLAYED_NS = 48 * NS  # of each minute; what was begun is over by its end
PLAYER_CHANNEL = 1
TURN, OFFSET, LATENCY, STOP_ALL = 67, 20, 21, 22
STATUS = {Tick: 0xF8, Start: 0xFA, Continue: 0xFB, Stop: 0xFC}
WARM = 6  # minutes
MORE = 1.1  # by chance a minute is so much fuller than another


class Odd(NamedTuple):
    """A message that hardly means anything."""

    time_ns: int
    message: bytes


def phrases(dice: Random, begin_ns: int) -> Iterator[Heard]:
    """Fast lines, some with the pedal, some that come in while an answer plays."""
    now = begin_ns
    while now < begin_ns + PLAYED_NS - 5 * NS:
        count, bpm = dice.randrange(6, 40), dice.uniform(80, 200)
        line = Timeline(bpm, now)
        yield from played_on(line, every(0.25, 0, count / 4), pitch=dice.randrange(30, 90), length=0.2)
        length_ns = line.time_ns(count * 12) - now
        if dice.random() < 0.3:
            yield Pedal(now + MS, True)
            yield Pedal(now + length_ns, False)
        now += length_ns + round(dice.uniform(0.2, 1.6) * NS + dice.choice((0, length_ns)))


def bars(dice: Random, begin_ns: int) -> Iterator[Heard]:
    """A song under a clock that is not quite steady, with a loop and a jump in it; bars are traded."""
    line = Timeline(dice.choice((90.0, 120.0, 144.0)), begin_ns + NS)
    beats = int(PLAYED_NS / NS * line.bpm / 60) - 4
    yield Start(begin_ns + NS // 2)
    for tick in range(24 * beats):
        yield Tick(line.time_ns(2 * tick) + dice.randrange(2 * MS))
    for beat in (beats // 3, beats // 2):
        yield SongPosition(line.time_ns(48 * beat) - 5 * MS, dice.randrange(0, 256))
    yield from played_on(line, every(0.25, 0, beats - 8), pitch=dice.randrange(30, 90), length=0.2)
    yield Stop(line.time_ns(48 * beats))


def oddities(dice: Random, begin_ns: int) -> Iterator[Heard | Odd]:
    """Whatever can be heard, in any order, in floods now and then."""
    now = begin_ns
    make: list[Callable[[int], Heard | Odd]] = [
        lambda now: NoteOn(now, dice.randrange(128), dice.randrange(1, 128)),
        lambda now: NoteOff(now, dice.randrange(128)),
        lambda now: Pedal(now, dice.random() < 0.5),
        Ask, InputLost, Tick, Start, Stop, Continue,
        lambda now: SongPosition(now, dice.randrange(1 << 14)),
        lambda now: ClockOffset(now, dice.randrange(-64, 64) * MS),
        lambda now: OutLatency(now, dice.randrange(128) * MS),
        lambda now: Odd(now, bytes((dice.randrange(0x80, 0x100), dice.randrange(128), dice.randrange(128)))),
        lambda now: Odd(now, dice.randbytes(dice.randrange(4))),
    ]  # fmt: skip
    weights = (60, 40, 8, 2, 1, 20, 1, 1, 1, 1, 1, 1, 10, 3)
    while now < begin_ns + PLAYED_NS:
        busy = (now - begin_ns) // NS % 8 == 0
        now += round(dice.expovariate(400 if busy else 12) * NS)
        (one,) = dice.choices(make, weights)
        yield one(now)
    yield from (ClockOffset(now, 0), OutLatency(now, 0), Stop(now), Pedal(now, False))


def spelled(event: Heard | Odd) -> list[bytes]:
    """The messages that say so."""
    match event:
        case NoteOn() | NoteOff() | Pedal():
            return [wire.spell(event, PLAYER_CHANNEL)]
        case SongPosition(_, sixteenths):
            return [bytes((0xF2, sixteenths & 0x7F, sixteenths >> 7))]
        case Ask():
            return [bytes((0xB0, TURN, value)) for value in (127, 0)]
        case ClockOffset(_, offset_ns):
            return [bytes((0xB0, OFFSET, 64 + offset_ns // MS))]
        case OutLatency(_, latency_ns):
            return [bytes((0xB0, LATENCY, latency_ns // MS))]
        case Panic():
            return [bytes((0xB0, STOP_ALL, value)) for value in (127, 0)]
        case InputLost():
            return [bytes((0xB0, event.time_ns % 2 * 3 + 120, 0))]
        case Odd(_, message):
            return [message]
    return [bytes((STATUS[type(event)],))]


class Listening(Stage):
    """With ears, which pass on what is played as well."""

    def __init__(self, net: FlatNet) -> None:
        time = Time(source="midi", grid=Grid(12, 1.0), mode="trade", bars=1)
        super().__init__(net, Musicianship(time=time), duties=Duties(clock=True, click_channel=10))
        outgoing = Outgoing()
        self._loop = Loop(self._engine, SimpleQueue(), self, CHANNEL, tell=outgoing.tell)
        self._now, self._net_of_tests = 0, net
        gate, echo = Gate(lambda text: None), Echo(lambda text: None, clicks=True)
        forward = self._forward
        controls = {"turn": TURN, "clock_offset": OFFSET, "out_latency": LATENCY, "panic": STOP_ALL}
        hands = Hands({name: trigger.read(number) for name, number in controls.items()}, gate)
        self._ears = Ears(
            self._post, forward, gate, echo, outgoing, hands, None, PLAYER_CHANNEL, clock=True, now=lambda: self._now
        )
        self.keepers.clear()

    def _post(self, event: Heard) -> None:
        self._loop.tally.hear(event)
        self._thinker.post(self._now, event)

    def _forward(self, frame: Frame) -> None:
        self._sender.post(self._now, frame)

    def hear(self, heard: Iterable[Heard | Odd], until_ns: int) -> Show:
        for event in sorted(heard, key=lambda event: event.time_ns):
            self._now = event.time_ns
            self.play([], self._now)
            for message in spelled(event):
                self._ears.hear(message)
        return self.play([], until_ns)

    def forget(self) -> None:
        """What only tests look at."""
        for kept in (*self._show[:3], self.messages, self._net_of_tests.read_tokens):
            kept.clear()

    def contents(self) -> Counter[type]:
        """Of engine, loop, ears and desk: how much of each type they hold, in bytes."""
        return contents(self._engine, self._loop, self._ears, self._desk)


class Hour:
    """Plays one minute after the other, keeping nothing of what was played."""

    def __init__(self) -> None:
        self._stage = Listening(lively())
        self.heard = self.sent = 0

    def play(self, minute: int) -> None:
        kind = (phrases, bars, oddities)[minute % 3]
        begin_ns = minute * MINUTE_NS
        heard = [*kind(Random(minute), begin_ns), Panic(begin_ns + PLAYED_NS + 9 * NS)]
        show = self._stage.hear(heard, begin_ns + MINUTE_NS)
        assert show.engine.resting
        notes(show.sent)  # each onset has its end
        for sent in show.sent:
            self._stage._loop.tally.send(sent)
        self.heard, self.sent = self.heard + len(heard), self.sent + len(show.sent)
        self._stage.forget()

    def size(self) -> int:
        """In bytes, of all that lasts."""
        return self._stage.contents().total()


APART = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.CodeType)


def contents(*roots: object) -> Counter[type]:
    """What can be reached from some objects, in bytes of each type."""
    seen: set[int] = set()
    found: Counter[type] = Counter()
    ahead = list(roots)
    while ahead:
        one = ahead.pop()
        if id(one) in seen or isinstance(one, APART):
            continue
        seen.add(id(one))
        found[type(one)] += sys.getsizeof(one)
        ahead += gc.get_referents(one)
    return found


def resident_kb() -> int:
    """Of this process; 0 where the system does not say."""
    pages = Path("/proc/self/statm")
    return int(pages.read_text().split()[1]) * resource.getpagesize() // 1024 if pages.exists() else 0


def calls(hour: Hour, minute: int) -> list[int]:
    """How many functions each step of the engine called in a minute."""
    counts: list[int] = []
    step = Engine.step

    def count(frame: types.FrameType, event: str, _: object) -> None:
        if event == "call":
            counts[-1] += 1

    def counted(engine: Engine, *arguments: object) -> object:
        counts.append(0)
        sys.setprofile(count)
        try:
            return step(engine, *arguments)
        finally:
            sys.setprofile(None)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Engine, "step", counted)
        hour.play(minute)
    return counts


def test_after_an_hour_nothing_has_grown_and_a_step_costs_as_much_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger("improv"), "disabled", True)  # pytest keeps what is said
    hour = Hour()
    sizes: list[int] = []
    for minute in range(WARM):
        hour.play(minute)
    before_kb = resident_kb()
    early = [count for minute in range(WARM, WARM + 3) for count in calls(hour, minute)]
    for minute in range(WARM + 3, 57):
        hour.play(minute)
        sizes.append(hour.size())
    late = [count for minute in range(57, 60) for count in calls(hour, minute)]
    assert hour.heard > 100_000 and hour.sent > 10_000
    first, last = sizes[:20], sizes[-20:]
    assert median(last) < MORE * median(first) and max(last) < MORE * max(first)
    assert percentile(late, 0.99) < MORE * percentile(early, 0.99)
    assert resident_kb() - before_kb < 5_000
