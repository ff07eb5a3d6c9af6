"""Too much at once, and panic, on the virtual stage: the ears' gate in front of the engine, the outlet behind it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from improv.midi import wire
from improv.music.events import Ask, Heard, NoteOff, NoteOn, Panic, Pedal, Retime, TurnBegins, Yield
from improv.music.gate import Gate
from improv.music.grid import Grid
from improv.music.musicianship import Musicianship, Time
from improv.music.timeline import NS, Timeline
from improv.net import hearing
from improv.net.codec import OFF, PITCHES
from improv.net.hearing import Hearing
from tests.nets import lively
from tests.stage import Faults, Stage, every, notes, played_on

MS = NS // 1000
TRADE = Time(source="link", grid=Grid(12, 1.0), mode="trade", bars=1)
LINE = Timeline(120.0, origin_ns=NS, metric=True)


def let_in(heard: list[Heard]) -> list[Heard]:
    gate = Gate(lambda text: None)
    return [
        event
        for event in heard
        if not isinstance(event, NoteOn | NoteOff | Pedal) or gate.lets_in(wire.spell(event, 1), event.time_ns)
    ]


def flood(begin_ns: int, for_s: float, held: bool) -> list[Heard]:
    """Ten thousand note-ons a second, and their ends at once or all at last."""
    events: list[Heard] = []
    for n in range(round(10_000 * for_s)):
        time_ns = begin_ns + n * NS // 10_000
        events.append(NoteOn(time_ns, n % 128, 1 + n % 127))
        if not held:
            events.append(NoteOff(time_ns, n % 128))
    return events + [NoteOff(begin_ns + round(for_s * NS), pitch) for pitch in range(128)]


def phrase(begin_ns: int) -> list[Heard]:
    return played_on(Timeline(origin_ns=begin_ns), every(0.5, 0, 6))


@pytest.mark.parametrize("held", [True, False])
@pytest.mark.parametrize("step_ms", [0.2, 10.0])
def test_after_a_flood_it_plays_as_before(held: bool, step_ms: float) -> None:
    """Also on a machine that cannot read as fast as it hears: nothing stays in the network's memory as if held."""
    stage = Stage(lively(), Musicianship(), Faults(step_ns=round(step_ms * MS)))
    show = stage.play(let_in(flood(NS, 3.0, held)), 5 * NS)
    assert len(show.engine._improviser._hearing.unread) <= hearing.BACKLOG
    again = phrase(5 * NS if step_ms < 1 else 20 * NS)
    ended_ns = again[-1].time_ns
    show = stage.play(again)
    decided = [gave.event.time_ns for gave in show.gave if isinstance(gave.event, TurnBegins)]
    assert decided and ended_ns < decided[-1] < ended_ns + 2 * NS
    assert len(notes(show.sent)) > 5
    stream = show.engine._improviser._soloist.stream
    assert stream is None or not stream.held.any()


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(1, 12), st.integers(60, 64)), max_size=120))
def test_notes_are_forgotten_whole(moves: list[tuple[int, int]]) -> None:
    heard, held, now = Hearing(), set[int](), 0
    backlog, hearing.BACKLOG = hearing.BACKLOG, 20
    try:
        for after_ms, pitch in moves:
            now += after_ms * MS
            heard.add([NoteOff(now, pitch) if pitch in held else NoteOn(now, pitch, 80)], Timeline())
            held ^= {pitch}
        heard.end_all(now + NS, Timeline())
    finally:
        hearing.BACKLOG = backlog
    assert len(heard.unread) <= 20 + 5
    sounding: set[int] = set()
    for token in heard.unread:
        pitch = token.what % PITCHES
        assert (pitch in sounding) == (token.what >= OFF)
        sounding ^= {pitch}
    assert sounding == held


# Panic


def plays_again(stage: Stage, from_ns: int) -> None:
    again = phrase(from_ns)
    show = stage.play(again)
    begun = [note for note in notes(show.sent) if note.on.sent_ns > again[-1].time_ns]
    assert len(begun) > 3


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("after_ms", [100, 900, 1_500])
def test_a_panic_ends_whatever_is_under_way(after_ms: int, times: int) -> None:
    """While the player plays, while it waits, and in the midst of an answer."""
    heard = phrase(NS)
    at_ns = heard[-1].time_ns - 300 * MS + after_ms * MS
    before = [event for event in heard if event.time_ns <= at_ns]
    stage = Stage(lively(), Musicianship())
    panics = [Panic(at_ns + n * 50 * MS) for n in range(times)]
    show = stage.play([*before, *panics], at_ns + 8 * NS)
    assert all(note.on.sent_ns <= at_ns and note.off.sent_ns <= at_ns + MS for note in notes(show.sent))
    assert show.engine.resting
    plays_again(stage, at_ns + 8 * NS)


def test_what_was_held_is_held_no_longer() -> None:
    stage = Stage(lively(), Musicianship())
    heard: list[Heard] = [Pedal(NS, True), *(NoteOn(NS + n * 100 * MS, 60 + n, 80) for n in range(5)), Panic(3 * NS)]
    show = stage.play(heard, 4 * NS)
    assert not show.engine._ear.holds and not show.sent
    stage.play([NoteOff(4 * NS, 60), Pedal(4 * NS, False)], 20 * NS)
    assert not show.sent  # what was begun is forgotten: it is owed no answer
    plays_again(stage, 20 * NS)


def test_the_beat_goes_on_through_a_panic() -> None:
    stage = Stage(lively(), Musicianship(time=TRADE))
    heard: list[Heard] = [Retime(0, LINE, jump=True), *played_on(LINE, every(0.5, 0, 4)), Panic(LINE.time_ns(5.5 * 48))]
    show = stage.play(heard, LINE.time_ns(12 * 48))
    assert any(isinstance(gave.event, Yield) for gave in show.gave)
    assert show.engine.line == LINE
    stage.play(played_on(LINE, every(0.5, 12, 16)), LINE.time_ns(24 * 48))
    begun = [LINE.beat(note.on.sent_ns) for note in notes(show.sent) if LINE.beat(note.on.sent_ns) > 12]
    assert begun and round(begun[0], 3) == 16.0


def test_a_panic_takes_back_what_was_asked() -> None:
    bar = Time(source="link", enter="bar")
    stage = Stage(lively(), Musicianship(time=bar))
    asked = LINE.time_ns(1.5 * 48)
    show = stage.play([Retime(0, LINE, jump=True), Ask(asked), Panic(asked + 100 * MS)], LINE.time_ns(12 * 48))
    assert not show.sent
