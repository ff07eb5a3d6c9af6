"""What is seen of a session: records in, snapshots out, on the virtual clock."""

from __future__ import annotations

from itertools import pairwise
from queue import SimpleQueue
from typing import Any

import pytest

from improv.engine import Engine
from improv.live.loop import Item, Loop, Quit
from improv.live.onlooker import MOST_STROKES, SEEN_NS, YOURS_NS, Onlooker
from improv.live.snapshot import EVERY_NS, IMPROV, YOU, Knob, Said, Snapshot, unpack
from improv.live.tally import Tally
from improv.midi import wire
from improv.midi.frames import Frame, Sent
from improv.midi.log import Gave, Record, Silence, Step
from improv.music.events import (
    Heard,
    InputLost,
    NoteOff,
    NoteOn,
    Panic,
    Played,
    Retime,
    Revise,
    TurnBegins,
    Yield,
)
from improv.music.musicianship import Musicianship, Time
from improv.music.schedule import is_note_on
from improv.music.steering import Steering
from improv.music.timeline import NS, Timeline
from tests.nets import lively
from tests.stage import Stage, every, played_on

MS = NS // 1000
LINE = Timeline(120.0, NS, metric=True)


class Standing:
    """How things stand in an engine."""

    def __init__(self) -> None:
        self.playing = self.muted = self.looping = self.freezing = False
        self.mode = "call"
        self.steering = Steering()


class Audience:
    """An onlooker, and all that it was shown."""

    def __init__(self, engine: Engine | None = None) -> None:
        self.engine: Any = engine or Standing()
        self.seen: list[Snapshot] = []
        self.lags = False
        self.tally = Tally()
        self.told: tuple[Said, ...] = ()
        tally, told = lambda: self.tally, lambda: self.told
        self.onlooker = Onlooker(self.engine, tally, told, self._put)

    def _put(self, packed: bytes) -> bool:
        if not self.lags:
            self.seen.append(unpack(packed))
        return not self.lags

    def take(self, *records: Record) -> None:
        for record in records:
            self.onlooker.take(record)

    def at(self, now_ns: int) -> Snapshot:
        """What is shown by then, at the latest."""
        self.onlooker.take(Step(now_ns))
        self.onlooker.show(now_ns)
        return self.seen[-1]


def heard(event: Heard) -> Step:
    return Step(event.time_ns, event)


def sent(event: NoteOn | NoteOff) -> Sent:
    return Sent(event.time_ns, event.time_ns, wire.spell(event, 2))


def test_both_parts_are_seen_and_what_is_planned() -> None:
    audience = Audience()
    audience.take(heard(NoteOn(NS, 60, 64)), heard(NoteOff(2 * NS, 60)), heard(NoteOn(3 * NS, 62, 64)))
    notes = (NoteOn(4 * NS, 72, 64), NoteOff(5 * NS, 72), NoteOn(5 * NS, 74, 64))
    audience.take(Gave((TurnBegins(4 * NS), *notes)), sent(notes[0]))
    assert audience.at(4 * NS).strokes == (
        (YOU, 60, NS, 2 * NS, False),
        (YOU, 62, 3 * NS, None, False),
        (IMPROV, 72, 4 * NS, None, False),
        (IMPROV, 74, 5 * NS, None, True),
    )
    audience.take(sent(notes[1]), Gave((Yield(5 * NS),)))
    assert [stroke.off_ns for stroke in audience.at(5 * NS).strokes] == [2 * NS, None, 5 * NS]
    audience.take(heard(InputLost(6 * NS)))
    assert not audience.at(6 * NS + SEEN_NS + 1).strokes


def test_whose_turn_it_is() -> None:
    audience = Audience()
    assert audience.at(0).parts == ()
    audience.take(heard(NoteOn(NS, 60, 64)))
    assert audience.at(NS).parts == (YOU,)
    audience.take(heard(NoteOff(9 * NS, 60)))
    assert audience.at(9 * NS).parts == ()  # it was held for long
    audience.take(heard(NoteOn(10 * NS, 60, 64)), heard(NoteOff(10 * NS + MS, 60)))
    assert audience.at(11 * NS).parts == (YOU,)
    audience.engine.playing = True
    assert audience.at(11 * NS + EVERY_NS).parts == (IMPROV,)
    audience.take(heard(NoteOn(14 * NS, 60, 64)))
    assert audience.at(14 * NS).parts == (YOU, IMPROV)
    audience.engine.playing = False
    assert audience.at(15 * NS).parts == (YOU,)
    audience.take(heard(NoteOff(15 * NS, 60)))
    assert audience.at(14 * NS + YOURS_NS - MS).parts == (YOU,)
    audience.take(heard(NoteOn(18 * NS, 60, 64)))
    audience.take(heard(InputLost(19 * NS)))
    assert audience.at(20 * NS).parts == ()


def test_what_is_planned_anew_is_seen_anew() -> None:
    audience = Audience()
    notes = [NoteOn(n * NS, 70 + n, 64) for n in range(1, 5)]
    audience.take(Gave((TurnBegins(NS), *notes)), Gave((Revise(2 * NS), NoteOn(3 * NS, 80, 64))))
    assert [stroke.pitch for stroke in audience.at(NS).strokes] == [71, 72, 80]


def test_after_a_silence_or_a_panic_nothing_sounds() -> None:
    for end in (Silence(3 * NS), heard(Panic(3 * NS))):
        audience = Audience()
        notes = NoteOn(NS, 72, 64), NoteOn(4 * NS, 74, 64)
        audience.take(heard(NoteOn(NS, 60, 64)), Gave((TurnBegins(NS), *notes)), sent(notes[0]), end)
        strokes = audience.at(3 * NS).strokes
        assert [stroke.off_ns for stroke in strokes if stroke.part == IMPROV] == [3 * NS]


def test_what_was_left_out_does_not_stay_planned() -> None:
    audience = Audience()
    audience.take(Gave((TurnBegins(NS), NoteOn(2 * NS, 72, 64))))
    assert audience.at(2 * NS).strokes
    audience.take(heard(NoteOn(4 * NS, 60, 64)))
    assert [stroke.part for stroke in audience.at(4 * NS).strokes] == [YOU]


def test_the_beat_the_knobs_the_states_and_the_lines_are_told() -> None:
    audience = Audience()
    audience.take(Gave((Retime(NS, LINE),)))
    audience.engine.steering = Steering(temperature=4.0, style="pop", register=5)
    audience.engine.mode = "duet"
    audience.engine.muted = audience.engine.freezing = True
    audience.told = (Said("the clock's ticks stay away", True),)
    seen = audience.at(NS)
    assert (seen.line, seen.mode, seen.states, seen.said) == (LINE, "duet", ("muted", "frozen"), audience.told)
    assert {Knob("temperature", 4.0, 1.0), Knob("style", "pop"), Knob("register", 5)} < set(seen.knobs)
    audience.take(Gave((Retime(2 * NS, Timeline()),)))
    assert audience.at(2 * NS).line is None


def test_the_figures_are_worked_out_once_a_second() -> None:
    audience = Audience()
    audience.at(0)
    for _ in range(10):
        audience.tally.steps.add(2 * MS)
        audience.tally.lateness.add(MS)
    for n in range(40):
        audience.tally.onsets.note(n * NS // 2)
    audience.take(heard(NoteOn(NS - MS, 60, 64)))
    assert audience.at(NS - MS).timing == (None, None)
    seen = audience.at(NS + EVERY_NS)
    assert seen.timing == pytest.approx((1.0, 2.0), rel=0.01)
    assert seen.guess is not None and seen.guess[0] == pytest.approx(120, rel=0.02)


def test_no_more_than_fifteen_a_second_and_the_last_is_never_missing() -> None:
    audience = Audience()
    now, due = 0, None
    while now < 2 * NS:
        audience.take(heard(NoteOn(now, now // MS % 128, 64)))
        due = audience.onlooker.show(now)
        now += 7 * MS
    assert due is not None and now < due <= now + EVERY_NS
    assert audience.onlooker.show(due) is None  # there is no more to show
    times = [snapshot.now_ns for snapshot in audience.seen]
    assert all(later - sooner >= EVERY_NS for sooner, later in pairwise(times))
    assert 25 <= len(times) <= 31
    assert audience.seen[-1].strokes[-1].on_ns == now - 7 * MS


def test_where_nothing_happens_nothing_is_shown() -> None:
    audience = Audience()
    for beat in range(1, 100):
        audience.at(beat * NS // 4)
    assert len(audience.seen) == 1


def test_a_view_that_lags_gets_what_is_newest_then() -> None:
    audience = Audience()
    audience.at(0)
    audience.lags = True
    for n in range(100):
        audience.take(heard(NoteOn(n * EVERY_NS, n, 64)))
        assert audience.onlooker.show((n + 1) * EVERY_NS) is not None
    audience.lags = False
    assert len(audience.seen) == 1
    assert audience.onlooker.show(101 * EVERY_NS) is None
    assert len(audience.seen) == 2 and len(audience.seen[-1].strokes) == 100


def test_a_flood_stays_small() -> None:
    audience = Audience()
    for n in range(20_000):
        audience.take(heard(NoteOn(n * MS // 10, n % 128, 64)), heard(NoteOff(n * MS // 10 + 1, n % 128)))
        audience.take(Gave((NoteOn(NS + n * MS // 10, n % 128, 64),)))
    assert len(audience.at(2 * NS).strokes) == 2 * MOST_STROKES


def test_on_the_stage_all_that_is_sent_was_seen_and_most_of_it_beforehand() -> None:
    stage = Stage(lively(), Musicianship(time=Time("internal")))
    engine = stage.play([], 0).engine
    audience = Audience(engine)

    def keep(record: Record) -> None:
        audience.take(record)
        if isinstance(record, Step):
            audience.onlooker.show(record.now_ns)

    stage.keepers.append(keep)
    show = stage.play(played_on(LINE, [*every(0.5, 0, 8), *every(0.5, 40, 44)]))
    own = [stroke for snapshot in audience.seen for stroke in snapshot.strokes if stroke.part == IMPROV]
    sounded = {(stroke.pitch, stroke.on_ns) for stroke in own if not stroke.planned}
    planned = {(stroke.pitch, stroke.on_ns) for stroke in own if stroke.planned}
    played = {(one.message[1], one.sent_ns) for one in show.sent if is_note_on(one.message)}
    assert sounded == played and len(played & planned) > len(played) / 2
    assert {snapshot.parts for snapshot in audience.seen} == {(YOU,), (IMPROV,)}
    assert not [stroke for stroke in audience.at(400 * NS).strokes]


class Idle:
    """An engine that has nothing to do."""

    def __init__(self) -> None:
        self.steps = 0

    def step(self, now: int, event: Heard | None = None) -> list[Played]:
        self.steps += 1
        return []

    def deadline(self) -> int | None:
        return None

    def silence(self, now: int) -> list[Played]:
        return []


class Nowhere:
    def put(self, frame: Frame) -> None: ...
    def close(self) -> None: ...


def test_the_loop_wakes_for_the_view_without_a_step_of_the_engine() -> None:
    inbox: SimpleQueue[Item] = SimpleQueue()
    shown: list[int] = []

    def show(now_ns: int) -> int:
        shown.append(now_ns)
        if len(shown) == 20:
            inbox.put(Quit())
        return now_ns + MS

    engine = Idle()
    Loop(engine, inbox, Nowhere(), 2, shows=[show]).run()  # type: ignore[arg-type]
    assert len(shown) == 20 and engine.steps == 0
