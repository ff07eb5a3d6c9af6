"""What does not take the turn back: a key that is only brushed, and a late finger of the chord that asks."""

from __future__ import annotations

import pytest

from improv.music.events import Ask, Heard, NoteOff, NoteOn, Retime, TurnBegins, Yield
from improv.music.grid import Grid
from improv.music.musicianship import Musicianship, Time
from improv.music.timeline import NS, Timeline
from tests.nets import lively
from tests.stage import NO_FAULTS, Faults, Show, Stage, every, notes, played_on

MS = NS // 1000
PHRASE = played_on(Timeline(120.0, NS), every(0.5, 0, 12))  # from 1 s to almost 7 s
IN_NS = 9 * NS  # about a second into the answer, which has nearly five left
FREE_TIME = Time()
SLOW = Faults(step_ns=3 * MS, engine_late_ns=5 * MS)


def play(*heard: Heard, time: Time = FREE_TIME, faults: Faults = NO_FAULTS) -> Show:
    return Stage(lively(), Musicianship(time=time), faults).play(sorted([*PHRASE, *heard], key=lambda e: e.time_ns))


def key(at_ns: int, held_ms: int, pitch: int = 40) -> list[Heard]:
    return [NoteOn(at_ns, pitch, 30), NoteOff(at_ns + held_ms * MS, pitch)]


def onsets(show: Show) -> list[int]:
    return [note.on.sent_ns for note in notes(show.sent)]


def begun(show: Show) -> int:
    """How many answers."""
    return sum(isinstance(gave.event, TurnBegins) for gave in show.gave)


@pytest.mark.parametrize("faults", [NO_FAULTS, SLOW])
def test_an_answer_pauses_for_a_brushed_key_and_goes_on(faults: Faults) -> None:
    whole, show = play(faults=faults), play(*key(IN_NS, 40), faults=faults)
    paused_ns, on_ns = IN_NS + 10 * MS, IN_NS + 340 * MS
    assert begun(show) == 2 and onsets(show)[0] < IN_NS
    assert not any(paused_ns < onset < on_ns for onset in onsets(show))
    assert any(on_ns <= onset < on_ns + 250 * MS for onset in onsets(show))
    assert abs(onsets(show)[-1] - onsets(whole)[-1]) < 2.5 * NS  # it has about as much left as it had


def test_a_brush_is_the_same_however_late_the_engine_is() -> None:
    prompt, late = (play(*key(IN_NS, 40), faults=faults) for faults in (NO_FAULTS, Faults(engine_late_ns=4 * MS)))
    assert [note.pitch for note in notes(prompt.sent)] == [note.pitch for note in notes(late.sent)]


@pytest.mark.parametrize(
    "touch",
    [
        key(IN_NS, 100),
        [*key(IN_NS, 40), *key(IN_NS + 200 * MS, 40, 42)],
        [*key(IN_NS, 40), *key(IN_NS + 5 * MS, 40, 42), *key(IN_NS + 9 * MS, 500, 44)],
    ],
)
def test_a_key_that_is_struck_takes_the_turn(touch: list[Heard]) -> None:
    show = play(*touch)
    assert not any(IN_NS + 10 * MS < onset < IN_NS + 1200 * MS for onset in onsets(show))
    assert sum(isinstance(gave.event, Yield) for gave in show.gave) == 1


def test_a_grace_note_before_a_phrase_belongs_to_it() -> None:
    tune = played_on(Timeline(120.0, IN_NS + 150 * MS), every(0.5, 0, 6))
    show = play(*key(IN_NS, 40), *tune)
    assert begun(show) == 2 and not any(IN_NS + 10 * MS < onset < tune[-1].time_ns for onset in onsets(show))


def test_a_brush_at_the_end_of_an_answer_brings_nothing_back() -> None:
    last_ns = onsets(play())[-1]
    show = play(*key(last_ns + 50 * MS, 40))
    assert begun(show) == 1 and onsets(show)[-1] == last_ns


def test_on_a_beat_what_is_left_begins_on_the_next_one() -> None:
    line = Timeline(120.0, NS, metric=True)
    show = play(
        Retime(NS // 2, line, jump=True), *key(IN_NS + 30 * MS, 40), time=Time(source="link", grid=Grid(12, 1.0))
    )
    again = next(onset for onset in onsets(show) if onset > IN_NS + 40 * MS)
    assert begun(show) == 2 and line.beat(again) % 1 == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize(("late_ms", "yields"), [(20, False), (50, False), (51, True)])
def test_a_late_finger_of_the_chord_that_asks_is_no_entrance(late_ms: int, yields: bool) -> None:
    struck_ns = PHRASE[-2].time_ns
    show = play(Ask(struck_ns + 10 * MS), *key(struck_ns + late_ms * MS, 300))
    assert any(isinstance(gave.event, Yield) for gave in show.gave) == yields
    assert any(onset > struck_ns + NS for onset in onsets(show)) != yields
    assert show.engine._ear._damper.voices == 0 and not show.engine._improviser._hearing.unread


def test_a_note_is_an_entrance_however_soon_it_comes_after_who_asked() -> None:
    asked_ns = PHRASE[-2].time_ns + 60 * MS
    show = play(Ask(asked_ns), *key(asked_ns + 6 * MS, 300))
    assert any(isinstance(gave.event, Yield) for gave in show.gave)
    assert not any(onset > asked_ns + 16 * MS for onset in onsets(show))


def test_after_a_phrase_that_ended_by_itself_any_note_comes_in() -> None:
    decided_ns = next(gave.event.time_ns for gave in play().gave if isinstance(gave.event, TurnBegins))
    show = play(*key(decided_ns + 20 * MS, 300))
    assert sum(isinstance(gave.event, Yield) for gave in show.gave) == 1
