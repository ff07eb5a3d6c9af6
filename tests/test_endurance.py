"""An hour of fast playing in seconds, on the virtual clock: engine, loop and the outlet's desk. Nothing grows."""

from __future__ import annotations

import gc
import resource
import sys
import types
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from statistics import median

import pytest

from improv.engine import Engine, Musicianship, Time
from improv.midi import wire
from improv.midi.outlet import FORWARD, Duties, Frame
from improv.music.events import (
    Ask,
    ClockOffset,
    Continue,
    Heard,
    InputLost,
    NoteOff,
    NoteOn,
    OutLatency,
    Pedal,
    SongPosition,
    Start,
    Stop,
    Tick,
)
from improv.music.grid import Grid
from improv.music.timeline import NS, Timeline
from improv.tally import percentile
from tests.nets import lively
from tests.stage import Stage, every, notes, played_on

MS = NS // 1000
MINUTE_NS = 60 * NS
PLAYED_NS = 48 * NS  # of each minute; what was begun is over by its end
THRU_CHANNEL = 1
WARM = 6  # minutes
MORE = 1.05  # by chance a minute is so much fuller than another


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


def oddities(dice: Random, begin_ns: int) -> Iterator[Heard]:
    """Whatever can be heard, in any order, in floods now and then."""
    now = begin_ns
    make: list[Callable[[int], Heard]] = [
        lambda now: NoteOn(now, dice.randrange(128), dice.randrange(1, 128)),
        lambda now: NoteOff(now, dice.randrange(128)),
        lambda now: Pedal(now, dice.random() < 0.5),
        Ask, InputLost, Tick, Start, Stop, Continue,
        lambda now: SongPosition(now, dice.randrange(1 << 14)),
        lambda now: ClockOffset(now, dice.randrange(-64, 64) * MS),
        lambda now: OutLatency(now, dice.randrange(128) * MS),
    ]  # fmt: skip
    weights = (60, 40, 8, 2, 1, 20, 1, 1, 1, 1, 1, 1)
    while now < begin_ns + PLAYED_NS:
        busy = (now - begin_ns) // NS % 8 == 0
        now += round(dice.expovariate(400 if busy else 12) * NS)
        (one,) = dice.choices(make, weights)
        yield one(now)
    yield from (ClockOffset(now, 0), OutLatency(now, 0), Stop(now), Pedal(now, False))


class Hour:
    """Plays one minute after the other, keeping nothing of what was played."""

    def __init__(self) -> None:
        self._net = lively()
        musicianship = Musicianship(time=Time(source="midi", grid=Grid(12, 1.0), trade_bars=1))
        self._stage = Stage(self._net, musicianship, duties=Duties(clock=True, click_channel=10))
        self.heard = self.sent = 0

    def play(self, minute: int) -> None:
        stage, tally = self._stage, self._stage._loop.tally
        kind = (phrases, bars, oddities)[minute % 3]
        begin_ns = minute * MINUTE_NS
        heard = [*kind(Random(minute), begin_ns), InputLost(begin_ns + PLAYED_NS + NS)]
        for event in heard:
            tally.hear(event)
            if isinstance(event, NoteOn | NoteOff):
                stage._sender.post(event.time_ns, Frame(event.time_ns, FORWARD, wire.spell(event, THRU_CHANNEL)))
        show = stage.play(heard, begin_ns + MINUTE_NS)
        assert show.engine.resting
        notes(show.sent)  # each onset has its end
        for sent in show.sent:
            tally.send(sent)
        self.heard, self.sent = self.heard + len(heard), self.sent + len(show.sent)
        for kept in (show.sent, show.gave, show.late, stage.messages, stage.records, self._net.read_tokens):
            kept.clear()

    def contents(self) -> Counter[type]:
        """Of the engine, the loop and the desk: how much of each type they hold, in bytes."""
        return contents(self._stage._engine, self._stage._loop.tally, self._stage._desk)


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


def test_after_an_hour_nothing_has_grown_and_a_step_costs_as_much_as_before() -> None:
    hour = Hour()
    sizes: list[int] = []
    for minute in range(WARM):
        hour.play(minute)
    before_kb = resident_kb()
    early = [count for minute in range(WARM, WARM + 3) for count in calls(hour, minute)]
    for minute in range(WARM + 3, 57):
        hour.play(minute)
        sizes.append(hour.contents().total())
    late = [count for minute in range(57, 60) for count in calls(hour, minute)]
    assert hour.heard > 100_000 and hour.sent > 10_000
    first, last = sizes[:20], sizes[-20:]
    assert median(last) < MORE * median(first) and max(last) < MORE * max(first)
    assert percentile(late, 0.99) < MORE * percentile(early, 0.99)
    assert resident_kb() - before_kb < 5_000
