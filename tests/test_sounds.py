"""What is planned waits until nothing can come before it."""

from __future__ import annotations

import math

from improv.music.sounds import Sound, Sounds, Struck


def told(sounds: Sounds, until: float = math.inf) -> list[tuple[float, str]]:
    return [(sound.position, f"{'+' if sound.on else '-'}{sound.pitch}") for sound in sounds.ripe(until)]


def with_note(sounds: Sounds, pitch: int, begin: float, end: float, sounding: int = 0) -> bool:
    """The network has ended it before it draws anything else."""
    heard = sounds.strike(pitch, Struck(begin, round(begin)), 80, sounding)
    sounds.release(pitch, end)
    return heard


def test_what_is_planned_is_given_in_order_and_once() -> None:
    sounds = Sounds(voices=8)
    with_note(sounds, 64, 12.0, 20.0)
    with_note(sounds, 60, 6.0, 14.0)
    assert told(sounds, 12.0) == [(6.0, "+60"), (12.0, "+64")]
    assert told(sounds, 12.0) == []
    assert told(sounds) == [(14.0, "-60"), (20.0, "-64")]


def test_a_pitch_that_is_struck_again_ends_first() -> None:
    sounds = Sounds(voices=8)
    with_note(sounds, 60, 0.0, 30.0)
    assert with_note(sounds, 60, 12.0, 20.0)
    assert told(sounds) == [(0.0, "+60"), (12.0, "-60"), (12.0, "+60"), (20.0, "-60")]


def test_struck_twice_at_one_place_it_is_one_note() -> None:
    sounds = Sounds(voices=8)
    with_note(sounds, 60, 12.0, 14.0)
    assert not with_note(sounds, 60, 12.0, 20.0)
    assert told(sounds) == [(12.0, "+60"), (20.0, "-60")]


def test_beyond_the_voices_what_still_sounds_makes_room() -> None:
    sounds = Sounds(voices=2)
    with_note(sounds, 60, 0.0, 30.0)
    with_note(sounds, 64, 6.0, 30.0)
    with_note(sounds, 67, 12.0, 30.0)
    assert told(sounds, 12.0) == [(0.0, "+60"), (6.0, "+64"), (12.0, "-60"), (12.0, "+67")]


def test_what_was_drawn_together_cannot_make_room() -> None:
    sounds = Sounds(voices=2)
    with_note(sounds, 60, 12.0, 30.0)
    with_note(sounds, 64, 12.0, 30.0)
    assert sounds.ended_from(12.0) == 2 and sounds.ended_from(0.0) == 0


def test_what_is_dropped_never_was() -> None:
    sounds = Sounds(voices=8)
    with_note(sounds, 60, 0.0, 6.0)
    before = sounds.struck(60)
    with_note(sounds, 60, 12.0, 18.0)
    with_note(sounds, 64, 4.0, 9.0)
    sounds.drop(8.0)
    sounds.strike_was(60, before)
    assert told(sounds) == [(0.0, "+60"), (4.0, "+64"), (6.0, "-60")]
    assert sounds.struck(60) == before == Struck(0.0, 0) == sounds.first_struck([64, 60])
    sounds.strike_was(60, None)
    assert sounds.struck(60) is None
    with_note(sounds, 60, 20.0, 30.0)
    sounds.drop_pitch(60)
    assert told(sounds) == []


def test_ends_come_before_beginnings() -> None:
    assert sorted([Sound(4.0, True, 60, 80), Sound(4.0, False, 72)])[0].pitch == 72
