"""What can be steered: each knob's values, and where they lie on a controller."""

from __future__ import annotations

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from improv.config import Settings, override
from improv.music import steering
from improv.music.steering import INFERRED, RANGES, STYLES, Steering, Value, at, checked, share, turned

KNOBS = [knob.name for knob in dataclasses.fields(Steering)]


def test_every_knob_stands_where_it_is_turned_to() -> None:
    values: dict[str, Value] = {
        "style": "jazz", "temperature": 1.2, "top_p": 0.5, "memory": 1.0, "variation": 0.3, "key": "D dorian",
        "density": 2.0, "register": -12, "voices": 3, "velocity_follow": 0.7, "length": 4.0,
    }  # fmt: skip
    assert list(values) == KNOBS
    turn = Steering()
    for knob, value in values.items():
        turn = turned(turn, knob, value)
    assert turn == Steering(**values)  # type: ignore[arg-type]


@given(st.sampled_from(sorted(RANGES)), st.floats() | st.integers())
def test_a_number_beyond_the_range_is_as_near_as_can_be(knob: str, value: float) -> None:
    low, high = RANGES[knob]
    found = getattr(turned(Steering(), knob, value), knob)
    assert low <= found <= high and type(found) is type(getattr(Steering(voices=1), knob))
    if low <= value <= high:
        assert abs(found - value) <= 0.5


STRANGE = [
    ("key", "H major"), ("key", "C"), ("key", 3.0), ("key", "x" * 1000), ("style", "reggae"), ("style", 1.0),
    ("density", "much"), ("length", None), ("tone", 1.0), ("", None),
]  # fmt: skip


@pytest.mark.parametrize(("knob", "value"), STRANGE)
def test_what_a_knob_cannot_have_is_refused(knob: str, value: Value) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        turned(Steering(), knob, value)


@pytest.mark.parametrize("knob", KNOBS)
def test_a_controller_goes_through_all_of_a_knob_s_way(knob: str) -> None:
    values = [at(knob, number / 127) for number in range(128)]
    assert [checked(knob, value) for value in values] == values
    places = [share(knob, value) for value in values]
    assert places == sorted(places) and places[0] == 0 and places[-1] == pytest.approx(1)
    step = 0.5 / (len(set(values)) - 1) + 1e-9
    assert all(abs(place - number / 127) <= step for number, place in enumerate(places))


def test_half_way_is_as_far_from_half_as_from_twice() -> None:
    for knob in ("temperature", "density", "length"):
        assert at(knob, 0.5) == pytest.approx(1) and at(knob, 0.25) == pytest.approx(0.5)
    assert at("variation", 0.5) == 0.5 and at("register", 0.5) == 0


def test_a_controller_shows_its_nearest_end_for_what_lies_beyond() -> None:
    beyond = (("temperature", 0.05), ("top_p", 0.3), ("length", 8.0))
    assert [checked(knob, value) for knob, value in beyond] == [0.05, 0.3, 8.0]
    assert [share(knob, value) for knob, value in beyond] == [0, 0, 1]
    assert [at(knob, share(knob, value)) for knob, value in beyond] == [0.25, 0.5, 4.0]


def test_keys_and_voices_can_be_let_go_on_a_controller_too() -> None:
    assert at("key", 0) is None and at("key", 1 / 25) == INFERRED and at("key", 2 / 25) == "C major"
    assert at("voices", 0) == 1 and at("voices", 1) is None
    assert share("key", "D dorian") == 0


def test_styles_are_those_that_the_weights_know() -> None:
    assert [at("style", i / 2, ("pop", "jazz")) for i in range(3)] == [None, "pop", "jazz"]
    assert share("style", "jazz", ("pop", "jazz")) == 1 and share("style", "song", ("pop", "jazz")) == 0
    assert {at("style", i / 127) for i in range(128)} == {None, *STYLES}


def test_what_is_found_by_default_is_within_the_range() -> None:
    plain = Steering()
    assert all(low <= getattr(plain, knob) <= high for knob, (low, high) in RANGES.items() if knob != "voices")
    assert not math.isnan(steering.share("temperature", plain.temperature))


def test_the_settings_and_flags_turn_the_knobs() -> None:
    turned_by_flags = override(Settings(), key="D dorian", density=2.0, length=0.5, variation=0.0)
    expected = Steering(key="D dorian", density=2.0, length=0.5, variation=0.0)
    assert turned_by_flags.musicianship(0).steering == expected
