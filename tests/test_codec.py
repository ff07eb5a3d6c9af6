"""The alphabet: ticks, order within a tick, bins and masks."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from improv.music.damper import Damper
from improv.music.events import NoteOff, NoteOn, Pedal
from improv.music.timeline import Timeline
from improv.net import codec
from improv.net.codec import NO_VELOCITY, OFF, Quantiser, Token


def tokens(*events: tuple[int, NoteOn | NoteOff]) -> list[Token]:
    quantiser = Quantiser()
    found = [token for tick, event in events for token in quantiser.add(tick, event)]
    return found + quantiser.close(10**9)


def on(pitch: int, velocity: int = 64) -> NoteOn:
    return NoteOn(0, pitch, velocity)


def off(pitch: int) -> NoteOff:
    return NoteOff(0, pitch)


def test_offs_come_before_ons_and_both_run_upwards() -> None:
    found = tokens((0, on(60)), (0, on(48)), (5, on(67)), (5, off(60)), (5, on(50)), (5, off(48)))
    assert [(t.tick, t.what) for t in found] == [
        (0, 48), (0, 60), (5, OFF + 48), (5, OFF + 60), (5, 50), (5, 67),
    ]  # fmt: skip


def test_a_note_within_one_tick_ends_at_the_next() -> None:
    assert tokens((3, on(60)), (3, off(60))) == [Token(3, 60, 16), Token(4, OFF + 60, NO_VELOCITY)]


def test_a_note_struck_twice_within_one_tick_is_one_note() -> None:
    found = tokens((3, on(60)), (3, off(60)), (3, on(60)), (9, off(60)))
    assert found == [Token(3, 60, 16), Token(9, OFF + 60, NO_VELOCITY)]


def test_a_restrike_is_an_off_and_an_on_at_one_tick() -> None:
    found = tokens((0, on(60)), (4, off(60)), (4, on(60, 100)), (8, off(60)))
    assert [(t.tick, t.what) for t in found] == [(0, 60), (4, OFF + 60), (4, 60), (8, OFF + 60)]


@given(st.permutations([60, 64, 67, 72]))
def test_a_chord_fed_in_any_order_is_one_spelling(order: list[int]) -> None:
    assert [t.what for t in tokens(*((7, on(p)) for p in order))] == [60, 64, 67, 72]


def test_bins_of_dt_are_exact_to_a_second_and_cover_the_rest() -> None:
    assert codec.DT_START[:97].tolist() == list(range(97))
    assert int(codec.DT_WIDTH.sum()) == codec.DT_LIMIT
    assert (np.diff(codec.DT_START) > 0).all()
    assert codec.dt_bin(0) == 0 and codec.dt_bin(96) == 96 and codec.dt_bin(10**9) == codec.DTS - 1


@given(st.integers(0, codec.DT_LIMIT - 1))
def test_a_dt_lies_in_its_bin(ticks: int) -> None:
    bin_ = codec.dt_bin(ticks)
    assert codec.DT_START[bin_] <= ticks < codec.DT_START[bin_] + codec.DT_WIDTH[bin_]


@given(st.integers(1, 127))
def test_a_velocity_bin_gives_back_nearly_the_velocity(velocity: int) -> None:
    assert abs(codec.velocity_of(codec.velocity_bin(velocity)) - velocity) <= 2


strokes = st.lists(
    st.tuples(st.integers(0, 400), st.sampled_from(["on", "off", "down", "up"]), st.integers(58, 64)), max_size=60
)


@given(strokes)
def test_every_stream_a_player_can_make_is_one_the_alphabet_allows(played: list[tuple[int, str, int]]) -> None:
    damper, quantiser = Damper(), Quantiser()
    found: list[Token] = []
    for tick, kind, pitch in sorted(played, key=lambda stroke: stroke[0]):
        event = {
            "on": NoteOn(tick, pitch, 64),
            "off": NoteOff(tick, pitch),
            "down": Pedal(tick, True),
            "up": Pedal(tick, False),
        }[kind]
        for sounding in damper.hear(event):
            found += quantiser.add(tick, sounding)
    for sounding in damper.lift(500):
        found += quantiser.add(500, sounding)
    found += quantiser.close(10**9)
    held = np.zeros(128, bool)
    last, tick = codec.START, 0
    for token in found:
        assert codec.allowed(held, last, token.tick - tick)[token.what]
        held[token.what % 128] = token.what < OFF
        last, tick = token.what, token.tick
    assert not held.any()


def test_ticks_are_rounded_from_absolute_time() -> None:
    line = Timeline(bpm=97.0, origin_ns=123_456_789)
    step_ns = 60e9 / 97 / 7  # a seventh of a beat never falls on the grid
    for i in range(0, 100_000, 997):
        time_ns = line.origin_ns + round(i * step_ns)
        assert abs(line.tick(time_ns) - i * 48 / 7) <= 0.5 + 1e-6


def test_a_tempo_and_an_origin_turn_beats_into_time_and_back() -> None:
    slow = Timeline(bpm=60, origin_ns=1_000_000_000, origin_beat=2.0, metric=True)
    assert slow.beat(1_000_000_000) == 2
    assert slow.beat(2_000_000_000) == 3
    assert slow.time_ns(3 * 48) == 2_000_000_000
