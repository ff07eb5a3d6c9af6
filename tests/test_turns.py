"""When a phrase is over."""

from __future__ import annotations

import pytest

from improv.music.damper import Damper
from improv.music.events import NoteOff, NoteOn, Pedal
from improv.music.timeline import NS
from improv.music.turns import Listener, TurnRules

MS = NS // 1000


def listen(*events: NoteOn | NoteOff | Pedal) -> Listener:
    listener, damper = Listener(TurnRules()), Damper()
    for event in events:
        if isinstance(event, NoteOn):
            listener.note(event.time_ns, event.pitch, 1)
        damper.hear(event)
        listener.changed(event.time_ns, damper.held)
    return listener


def line(spacing_ms: int, count: int = 8, held: float = 0.8) -> list[NoteOn | NoteOff | Pedal]:
    events: list[NoteOn | NoteOff | Pedal] = []
    for i in range(count):
        events.append(NoteOn(i * spacing_ms * MS, 60 + i, 80))
        events.append(NoteOff(round((i + held) * spacing_ms) * MS, 60 + i))
    return events


@pytest.mark.parametrize(("spacing_ms", "wait_ms"), [(250, 938), (100, 750), (400, 1125)])
def test_the_wait_counts_from_the_last_onset_and_goes_by_the_players_own_spacing(spacing_ms: int, wait_ms: int) -> None:
    events = line(spacing_ms)
    assert listen(*events).deadline() == pytest.approx(events[-2].time_ns + wait_ms * MS, abs=MS)


@pytest.mark.parametrize(("held_ms", "silence_ms"), [(50, 887), (200, 737), (500, 437), (700, 300), (3000, 300)])
def test_after_a_long_last_chord_little_silence_is_needed(held_ms: int, silence_ms: int) -> None:
    *events, last = line(250)
    release = NoteOff(events[-1].time_ns + held_ms * MS, last.pitch)
    assert listen(*events, release).deadline() == pytest.approx(release.time_ns + silence_ms * MS, abs=MS)


def test_no_silence_is_waited_out_beyond_the_longest() -> None:
    events = line(2000)
    assert listen(*events[:-1], events[-1]._replace(time_ns=events[-2].time_ns + 50 * MS)).deadline() == (
        events[-2].time_ns + 1450 * MS
    )


@pytest.mark.parametrize(("late_ms", "wait_ms"), [(2000, 1400), (3500, 300)])
def test_who_breaks_an_answer_off_may_be_in_the_midst_of_a_slow_phrase(late_ms: int, wait_ms: int) -> None:
    """The silence after a note of a second."""
    listener = listen(*line(250))
    listener.begin()
    onset_ns = 7 * 250 * MS + late_ms * MS
    listener.resume(onset_ns)
    listener.note(onset_ns, 60, 1)
    listener.changed(onset_ns + NS, held=False)
    assert listener.deadline() == onset_ns + NS + wait_ms * MS


def test_a_chord_rolled_within_50_ms_counts_once() -> None:
    events = [NoteOn((i * 500 + roll) * MS, 60 + roll, 80) for i in range(5) for roll in (0, 15, 45)]
    assert listen(*events).spacing_ns() == 500 * MS


def test_a_held_key_or_pedal_keeps_the_turn_for_ten_seconds() -> None:
    assert listen(NoteOn(0, 60, 80)).deadline() == 10 * NS
    struck = [NoteOn(0, 60, 80), Pedal(MS, True), NoteOff(2 * MS, 60)]
    assert listen(*struck).deadline() == 2 * MS + 10 * NS
    assert listen(*struck, Pedal(500 * MS, False)).deadline() < 2 * NS


def test_nothing_played_never_ends() -> None:
    assert listen().deadline() is None
    assert listen(Pedal(0, True), Pedal(MS, False)).deadline() is None


@pytest.mark.parametrize(
    ("notes", "length_ms", "deserves"), [(2, 300, False), (3, 300, True), (2, 600, True), (1, 900, True)]
)
def test_a_blip_gets_no_answer(notes: int, length_ms: int, deserves: bool) -> None:
    struck = [NoteOn(i * MS, 60 + i, 80) for i in range(notes)]
    released = [NoteOff(length_ms * MS, 60 + i) for i in range(notes)]
    listener = listen(*struck, *released)
    phrase = listener.phrase()
    assert phrase is not None and phrase.length_ns == length_ms * MS
    assert listener.deserves_answer(phrase) is deserves
