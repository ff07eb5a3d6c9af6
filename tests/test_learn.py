"""MIDI learn, told in what is touched and typed."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from improv.errors import BadInput
from improv.learn import Lesson, checked
from improv.music.hands import BUTTONS, KNOBS
from improv.music.timeline import NS
from improv.music.trigger import Trigger

PAD, STOP_PAD = bytes((0x99, 36, 100)), bytes((0x99, 38, 100))
PAD_ON, STOP_ON = Trigger("note", 36, 10), Trigger("note", 38, 10)


class Class:
    """A lesson, and what comes of it. A second goes by between what is done."""

    def __init__(self, *names: str, taken: Mapping[str, Trigger] | None = None) -> None:
        self.said: list[str] = []
        self.kept: list[tuple[str, Trigger]] = []
        self.lesson = Lesson(names, taken or {}, self.said.append, lambda name, on: self.kept.append((name, on)))
        self._now = 0

    def touch(self, *messages: bytes, gap_ns: int = 0) -> None:
        self._now += 2 * NS
        for message in messages:
            self._now += gap_ns
            self.lesson.hear(message, self._now)


def way(number: int, *values: int, channel: int = 1) -> list[bytes]:
    return [bytes((0xAF + channel, number, value)) for value in values]


@pytest.mark.parametrize(
    ("touched", "on"),
    [
        ([PAD], PAD_ON),
        ([bytes((0xC2, 5))], Trigger("program", 5, 3)),
        (way(67, 127), Trigger("cc", 67, 1)),
        (way(64, 0, 12, 60, 90, channel=16), Trigger("cc", 64, 16)),  # a pedal that goes down by and by
        (way(0, 127) + way(32, 127) + [bytes((0xC0, 5))], Trigger("program", 5, 1)),  # with its bank before it
        ([bytes((0x80, 60, 90)), bytes((0x90, 61, 0)), bytes((0xD0, 90)), bytes((0xE0, 0, 90)), PAD], PAD_ON),
        ([b"", b"\xf8", b"\xf0\x01\xf7", b"\x90", PAD], PAD_ON),
    ],
)
def test_something_to_press_is_known_at_once(touched: list[bytes], on: Trigger) -> None:
    course = Class("turn")
    course.touch(*touched)
    assert course.kept == [("turn", on)] and course.lesson.over
    assert course.said[-1] == f"  turn is {on}"


def test_a_knob_is_known_by_some_values_and_a_button_is_none() -> None:
    course = Class("temperature")
    course.touch(*way(20, 127, 0, 127, 0), *way(21, 64, 65))
    assert course.kept == []
    course.touch(*way(21, 66))
    assert course.kept == [("temperature", Trigger("cc", 21, 1))] and course.lesson.over


@pytest.mark.parametrize(
    ("touched", "why"),
    [
        ([PAD], "note 36 on channel 10 is only pressed; turn a knob"),
        (way(64, 1, 20, 50), "that is the sustain pedal; turn a knob"),
        (way(20, 1, 20, 50), "cc 20 on channel 1 is turn already; take another one"),
    ],
)
def test_what_cannot_be_is_said_once_and_asked_again(touched: list[bytes], why: str) -> None:
    course = Class("top_p", taken={"turn": Trigger("cc", 20)})
    course.touch(*touched, *touched)
    assert course.said[-1] == f"  {why}" and course.said.count(f"  {why}") == 1
    course.touch(*way(7, 1, 2, 3))
    assert course.kept == [("top_p", Trigger("cc", 7, 1))]


def test_a_gesture_that_goes_on_is_not_taken_for_the_next_control() -> None:
    course = Class("temperature", "turn", "panic")
    course.touch(*way(20, *range(128)), gap_ns=NS // 10)
    assert course.kept == [("temperature", Trigger("cc", 20, 1))]
    assert course.said[-1].startswith("turn: press")
    course.touch(PAD, PAD)
    course.touch(PAD)
    assert course.said[-1] == "  note 36 on channel 10 is turn already; take another one"
    course.touch(STOP_PAD)
    assert course.kept[1:] == [("turn", PAD_ON), ("panic", STOP_ON)] and course.lesson.over


def test_a_control_may_stay_where_it_is_or_be_left_out() -> None:
    course = Class("turn", "panic", taken={"turn": PAD_ON})
    assert course.said[-1] == "turn (now note 36 on channel 10): press the pad, key or pedal that is to do it"
    course.touch(PAD)
    course.lesson.type("")
    assert course.kept == [("turn", PAD_ON)] and course.lesson.over
    assert course.said[-1] == "  panic stays as it is"


def test_without_names_it_asks_for_them() -> None:
    course = Class()
    course.touch(PAD)
    assert course.kept == [] and course.said[-1] == "which one? (Enter ends)"
    for line in ("trun", "turn", "panic"):  # who names another one leaves the first out
        course.lesson.type(line)
    course.touch(PAD)
    assert course.kept == [("panic", PAD_ON)] and not course.lesson.over
    assert "'trun' is no control; the nearest is turn" in course.said
    course.lesson.type("")
    assert course.lesson.over


def test_where_nobody_types_what_was_asked_for_is_still_learned() -> None:
    course, idle = Class("turn"), Class()
    course.lesson.end_typing()
    idle.lesson.end_typing()
    assert idle.lesson.over and not course.lesson.over
    course.touch(PAD)
    assert course.kept and course.lesson.over


def test_names_are_checked() -> None:
    assert [checked(name) for name in ("turn", "temperature", "presets.calm")] == [
        "turn",
        "temperature",
        "presets.calm",
    ]
    for name in ("", "presets", "presets.none", "presets.free", "x\n" * 1000):
        with pytest.raises(BadInput, match=r"^[^\n]{1,400}$"):
            checked(name)


@pytest.mark.parametrize(("name", "near"), [("temprature", "temperature"), ("mode-duet", "mode_duet")])
def test_a_name_that_is_misspelt_is_told_the_nearest(name: str, near: str) -> None:
    with pytest.raises(BadInput, match=f"^'{name}' is no control; the nearest is {near}$"):
        checked(name)


def test_a_name_like_none_is_told_all_of_them() -> None:
    with pytest.raises(BadInput, match=r"^'foo' is no control; there are turn, tap, ") as refusal:
        checked("foo")
    assert all(known in str(refusal.value) for known in (*BUTTONS, *KNOBS, "presets.NAME"))


def test_a_name_that_is_given_twice_is_asked_for_once() -> None:
    course = Class("turn", "panic", "turn")
    course.touch(PAD)
    course.touch(STOP_PAD)
    assert course.kept == [("turn", PAD_ON), ("panic", STOP_ON)] and course.lesson.over
