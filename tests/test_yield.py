"""The player comes into an answer: what sounds then, on the virtual clock."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from improv.engine import RELEASE_NS
from improv.music.events import Ask, Heard, NoteOff, NoteOn, Panic, TurnBegins
from improv.music.musicianship import Musicianship
from improv.music.timeline import NS, Timeline
from tests.nets import lively
from tests.stage import NO_FAULTS, Faults, Note, Stage, every, notes, played_on

MS = NS // 1000
TUNE = played_on(Timeline(120.0, NS), every(0.5, 0, 12))


def stage(faults: Faults = NO_FAULTS, latency_ns: int = 0) -> Stage:
    return Stage(lively(), Musicianship(out_latency_ns=latency_ns), faults)


def after(*then: Heard, faults: Faults = NO_FAULTS) -> list[Note]:
    """The notes of the machine's where that is heard after the tune."""
    return notes(stage(faults).play([*TUNE, *then]).sent)


def chord(time_ns: int, *pitches: int, for_ms: int = 200) -> list[Heard]:
    return [*(NoteOn(time_ns, pitch, 90) for pitch in pitches), *(NoteOff(time_ns + for_ms * MS, p) for p in pitches)]


@cache
def alone() -> list[Note]:
    """An answer that nobody interrupts."""
    return after()


@cache
def entries() -> list[int]:
    """Moments just before and after something of it is sent."""
    times = sorted({one.sent_ns for note in alone() for one in (note.on, note.off)})
    return [time_ns + apart for time_ns in times[2:30:3] for apart in (-1, 1)]


def ends_ns(played: list[Note], entry_ns: int) -> list[int]:
    """When the notes end that sounded at that moment."""
    return [note.off.sent_ns for note in played if note.on.sent_ns <= entry_ns < note.off.sent_ns]


@pytest.mark.parametrize("pitches", [(96,), (96, 99, 103)])
def test_nothing_begins_and_each_note_ends_as_planned_or_after_a_short_release(pitches: tuple[int, ...]) -> None:
    found = set()
    for entry_ns in entries():
        played = after(*chord(entry_ns, *pitches))
        assert not any(entry_ns < note.on.sent_ns < entry_ns + NS // 2 for note in played)
        expected = [min(end_ns, entry_ns + RELEASE_NS) for end_ns in ends_ns(alone(), entry_ns)]
        assert ends_ns(played, entry_ns) == expected
        found |= {end_ns == entry_ns + RELEASE_NS for end_ns in expected}
    assert found == {True, False}


def test_a_yield_that_comes_late_ends_all_at_once() -> None:
    """The engine stood still when the player came in."""
    entry_ns = next(time_ns for time_ns in entries() if max(ends_ns(alone(), time_ns), default=0) > time_ns + 70 * MS)
    played = after(*chord(entry_ns, 96), faults=Faults(engine_stalls=[(entry_ns, 70 * MS)]))
    assert max(ends_ns(played, entry_ns)) == entry_ns + 70 * MS


@pytest.mark.parametrize("stop", [Ask, Panic])
def test_stop_and_panic_end_all_at_once(stop: type[Ask] | type[Panic]) -> None:
    for stop_ns in entries():
        played = after(stop(stop_ns))
        assert not any(stop_ns < note.off.sent_ns < stop_ns + NS // 2 for note in played)
        assert any(note.off.sent_ns == stop_ns for note in played) == bool(ends_ns(alone(), stop_ns))


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 17),
    st.lists(st.tuples(st.integers(0, 40), st.integers(60, 72)), min_size=1, max_size=4),
    st.integers(0, 60),
    st.integers(0, 100),
)
def test_the_next_answer_begins_in_silence(
    nth: int, strokes: list[tuple[int, int]], ask_ms: int, latency_ms: int
) -> None:
    """It is asked for while the last one is released: no end of that falls among its notes."""
    time_ns, heard = entries()[nth], list[Heard]()
    for apart_ms, pitch in strokes:
        time_ns += apart_ms * MS
        heard += chord(time_ns, pitch, for_ms=10)
    heard = sorted([*heard, Ask(time_ns + ask_ms * MS)], key=lambda event: event.time_ns)
    show = stage(latency_ns=latency_ms * MS).play([*TUNE, *heard])
    begins_ns = [gave.event.time_ns for gave in show.gave if isinstance(gave.event, TurnBegins)]
    assert len(begins_ns) > 1 and not show.late
    for turn_ns in begins_ns:
        assert not ends_ns(notes(show.sent), turn_ns + latency_ms * MS)


def test_a_slow_player_is_answered_too_soon_only_once() -> None:
    """A note every two seconds, held for one."""
    melody: list[Heard] = [
        event
        for i in range(8)
        for event in (NoteOn((1 + 2 * i) * NS, 60 + i, 70), NoteOff((2 + 2 * i) * NS, 60 + i))
    ]
    show = stage().play(melody)
    begun_ns = [gave.event.time_ns for gave in show.gave if isinstance(gave.event, TurnBegins)]
    assert len(begun_ns) == 2 and begun_ns[0] < 3 * NS and begun_ns[1] > melody[-1].time_ns
