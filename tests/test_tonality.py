"""The scale of what is being played, inferred."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from improv.music.scale import named
from improv.music.timeline import NS
from improv.music.tonality import LEAD, LEAST_SHARE, SCALES, UNHEARD, Tonality

EIGHTH_NS = NS // 4
C_MAJOR = (60, 62, 64, 65, 67, 69, 71, 72, 71, 69, 67, 65, 64, 62)


def heard(pitches: Iterable[int], begin_ns: int = 0, step_ns: int = EIGHTH_NS) -> Tonality:
    found = Tonality()
    tell(found, pitches, begin_ns, step_ns)
    return found


def tell(found: Tonality, pitches: Iterable[int], begin_ns: int, step_ns: int = EIGHTH_NS) -> None:
    for i, pitch in enumerate(pitches):
        found.note(begin_ns + i * step_ns, pitch)


def in_scale(name: str, notes: int, seed: int = 1) -> list[int]:
    """A melody of its notes, up and down."""
    rng = random.Random(seed)
    scale = [pitch for pitch, inside in enumerate(named(name).pitches) if inside and 48 <= pitch < 84]
    place, melody = len(scale) // 2, []
    for _ in range(notes):
        place = min(max(place + rng.choice((-2, -1, 1, 2)), 0), len(scale) - 1)
        melody.append(scale[place])
    return melody


def test_before_anything_is_heard_nothing_is_locked() -> None:
    found = Tonality()
    assert found.scale() is None
    assert found.likeliest().share == pytest.approx(7 / 12)


@pytest.mark.parametrize("name", ["C major", "Eb major", "F# major", "B minor", "G dorian", "A harmonic minor"])
def test_a_melody_in_a_scale_is_heard_as_in_it(name: str) -> None:
    assert heard(in_scale(name, 60)).scale() == named(name)


def test_one_or_two_notes_lock_nothing() -> None:
    assert heard([60]).scale() is None
    assert heard([60, 67]).scale() is None


def test_chromatic_playing_locks_nothing() -> None:
    found = heard(list(range(48, 84)) * 4)
    assert found.scale() is None
    assert found.likeliest().share < 0.7


def test_the_stated_confidence_parts_what_locks_from_what_does_not() -> None:
    locked = set()
    for strangers in range(0, 24, 2):
        found = heard([*C_MAJOR * 4, *range(61, 61 + strangers)])
        assert (found.scale() is not None) == (found.likeliest().share >= LEAST_SHARE)
        locked.add(found.scale() is not None)
    assert locked == {True, False}


def test_it_follows_into_another_key_and_locks_nothing_on_the_way() -> None:
    found = heard(C_MAJOR * 12)
    assert found.scale() == named("C major")
    e_major, begin_ns = [pitch + 4 for pitch in C_MAJOR], len(C_MAJOR) * 12 * EIGHTH_NS
    tell(found, e_major * 2, begin_ns)
    assert found.scale() is None
    tell(found, e_major * 2, begin_ns + len(e_major) * 2 * EIGHTH_NS)
    assert found.scale() == named("E major")


def test_a_passing_stranger_changes_nothing() -> None:
    found = heard([*C_MAJOR * 4, 66, 67, 60])
    assert found.scale() == named("C major")


@pytest.mark.parametrize("up", range(1, 12))
def test_what_is_transposed_is_heard_transposed(up: int) -> None:
    rng = random.Random(up)
    melody = [rng.choice((60, 62, 63, 65, 67, 68, 70, 71, 74)) for _ in range(80)]
    plain, moved = heard(melody), heard([pitch + up for pitch in melody])
    assert moved.likeliest().scale.classes == {(note + up) % 12 for note in plain.likeliest().scale.classes}
    assert moved.likeliest().share == pytest.approx(plain.likeliest().share)


def test_octaves_and_the_hour_make_no_difference() -> None:
    melody = in_scale("D melodic minor", 80)
    high = [pitch + 12 * (i % 3) for i, pitch in enumerate(melody)]
    assert heard(high, begin_ns=10**18).likeliest() == heard(melody).likeliest()


def test_a_note_counts_half_as_much_after_each_half_life() -> None:
    found = Tonality()
    found.note(0, 60)
    found.note(2 * NS, 67)
    for shares, faded in zip(found.profiles() ** 2, (0.25, 0.5 ** (2 / 8)), strict=True):
        assert (shares[0] - shares[1]) / (shares[7] - shares[1]) == pytest.approx(faded)
        assert shares[1] / (shares[7] - shares[1]) == pytest.approx(UNHEARD)


def test_what_was_heard_an_hour_ago_is_forgotten() -> None:
    found = heard(in_scale("F# major", 200))
    tell(found, C_MAJOR, 3600 * NS)
    assert found.likeliest().share == pytest.approx(heard(C_MAJOR).likeliest().share)


def test_the_order_within_a_chord_makes_no_difference_to_what_is_expected() -> None:
    chords = [(60, 64, 67), (65, 69, 72), (67, 71, 74), (60, 64, 67)]
    up, down = Tonality(), Tonality()
    for i, chord in enumerate(chords):
        tell(up, chord, i * NS, 0)
        tell(down, reversed(chord), i * NS, 0)
    assert up.expected() == pytest.approx(down.expected())


@given(st.lists(st.integers(0, 127), min_size=1, max_size=60))
def test_another_scale_takes_over_only_with_a_lead(pitches: Sequence[int]) -> None:
    found, before = Tonality(), SCALES[0]
    for i, pitch in enumerate(pitches):
        found.note(i * EIGHTH_NS, pitch)
        shares = {known: sum(found.expected()[list(known.classes)]) for known in SCALES}
        now = found.likeliest().scale
        assert shares[now] >= max(shares.values()) - LEAD - 1e-9
        assert now == before or shares[now] > shares[before] + LEAD - 1e-9
        before = now


@given(st.lists(st.tuples(st.integers(-(10**19), 10**19), st.integers(0, 127)), max_size=60))
def test_any_notes_at_any_times_have_a_scale(notes: Sequence[tuple[int, int]]) -> None:
    found = Tonality()
    for time_ns, pitch in notes:
        found.note(time_ns, pitch)
    expected = found.expected()
    assert (expected > 0).all() and sum(expected) == pytest.approx(1)
    assert 7 / 12 - LEAD - 1e-9 <= found.likeliest().share < 1
