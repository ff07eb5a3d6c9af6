"""What controls say, and that none of it is lost or taken for music."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from improv.music import trigger
from improv.music.events import (
    AnotherTake,
    Ask,
    ForgetMe,
    Freeze,
    Halt,
    Heard,
    LoopThat,
    Mark,
    Mute,
    OutLatency,
    Panic,
    SetMode,
    Steer,
    Undo,
    VaryThat,
)
from improv.music.gate import Gate
from improv.music.hands import AT_ONCE, Hands
from improv.music.turns import MODES

MS = 1_000_000


def hands(channel: int | None = None, **controls: int | str) -> Hands:
    said: list[str] = []
    return Hands({name: trigger.read(on) for name, on in controls.items()}, Gate(said.append), channel, ("jazz", "pop"))


def said(by: Hands, *messages: tuple[int, ...]) -> list[Heard]:
    """By those of the messages that are controls."""
    known = [bytes(message) for message in messages if by.know(bytes(message))]
    return [event for message in known for event in by.hear(message, 0)]


def test_a_note_is_pressed_each_time_it_begins() -> None:
    """Some pads never say that they were let go."""
    pad = hands(turn="note 36")
    strokes = [(0x90, 36, 1), (0xA0, 36, 90), (0x80, 36, 0), (0x90, 36, 127), (0x90, 36, 9), (0x90, 36, 0)]
    assert said(pad, *strokes) == [Ask(0), Ask(0), Ask(0)]
    assert all(pad.know(bytes(stroke)) for stroke in strokes)  # and none of them is music
    assert not pad.know(bytes((0x90, 37, 90)))


def test_a_pedal_counts_again_when_it_was_let_go_or_its_port_was_away() -> None:
    pedal = hands(turn=67)
    assert said(pedal, (0xB0, 67, 127), (0xB0, 67, 127)) == [Ask(0)]
    pedal.let_go()
    assert said(pedal, (0xB0, 67, 127)) == [Ask(0)]


def test_a_program_is_pressed_each_time() -> None:
    assert said(hands(turn="program 5"), (0xC0, 5), (0xC0, 4), (0xC0, 5), (0xC3, 5)) == [Ask(0)] * 3


def test_a_trigger_counts_on_its_own_channel_else_on_the_one_that_is_listened_to() -> None:
    pads = hands(2, turn="note 36 on channel 10", panic="note 38")
    assert said(pads, (0x99, 36, 90), (0x91, 36, 90), (0x91, 38, 90), (0x90, 38, 90)) == [Ask(0), Panic(0)]


@pytest.mark.parametrize(
    ("knob", "low", "middle", "high"),
    [
        ("temperature", 0.25, pytest.approx(1.0, abs=0.02), 4.0),
        ("memory", 0.0, pytest.approx(64 / 127), 1.0),
        ("register", -36, 0, 36),
        ("style", None, "jazz", "pop"),
    ],
)
def test_a_knob_goes_the_whole_way(knob: str, low: object, middle: object, high: object) -> None:
    turned = said(hands(**{knob: "cc 20"}), *((0xB0, 20, value) for value in (0, 64, 127)))
    assert turned == [Steer(0, knob, low), Steer(0, knob, middle), Steer(0, knob, high)]


def test_each_press_says_what_it_is_called_after() -> None:
    modes = {f"mode_{mode}": SetMode(0, mode) for mode in MODES}
    marks = {"good": Mark(0, True), "bad": Mark(0, False)}
    others: dict[str, Heard] = {"stop": Halt(0), "mute": Mute(0), "vary": VaryThat(0), "freeze": Freeze(0)}
    others |= {"another": AnotherTake(0), "loop": LoopThat(0), "undo": Undo(0), "forget": ForgetMe(0)}
    for name, event in {**modes, **marks, **others}.items():
        assert said(hands(**{name: "note 36"}), (0x90, 36, 90)) == [event]


def test_a_preset_turns_its_knobs_at_once() -> None:
    calm = [Steer(0, "temperature", 0.7), Steer(0, "density", 0.5)]
    on = {"presets.calm": trigger.read("program 1")}
    pads = Hands(on, Gate(print), presets={"calm": calm})
    assert pads.hear(bytes((0xC0, 1)), 5) == [turn._replace(time_ns=5) for turn in calm]


def test_the_next_mode_follows_the_last_one_whoever_set_it() -> None:
    on = {"mode": trigger.read(1), "mode_continue": trigger.read(2), "presets.calm": trigger.read(3)}
    pads = Hands(on, Gate(print), presets={"calm": [SetMode(0, "call"), Steer(0, "density", 0.5)]}, mode="trade")
    pressed = [(0xB0, number, value) for number in (1, 2, 1, 1, 3, 1) for value in (127, 0)]
    modes = [event.mode for event in said(pads, *pressed) if isinstance(event, SetMode)]
    assert modes == ["duet", "continue", "call", "trade", "call", "trade"]


def test_a_pedal_that_is_a_control_is_none_any_more() -> None:
    assert said(hands(turn=64), (0xB0, 64, 30), (0xB0, 64, 64), (0xB0, 64, 127), (0xB0, 64, 0)) == [Ask(0)]


@given(st.lists(st.integers(0, 127), min_size=1, max_size=4 * AT_ONCE), st.integers(0, 20))
def test_where_a_knob_stands_at_last_is_always_heard(values: list[int], gap_ms: int) -> None:
    """However fast it was turned, and no more is said than is of use."""
    knob = hands(out_latency=20)
    heard = [event for i, value in enumerate(values) for event in knob.hear(bytes((0xB0, 20, value)), i * gap_ms * MS)]
    end_ns = len(values) * gap_ms * MS
    late = knob.late(end_ns)
    assert [*heard, *late][-1].latency_ns == values[-1] * MS
    assert all(event.time_ns == end_ns for event in late) and len(late) <= 1
    assert len(heard) <= AT_ONCE + len(values) * gap_ms / 10 + 1
    assert knob.late(end_ns) == []


def test_a_preset_is_newer_than_where_a_knob_was_turned_to_before_it() -> None:
    on = {"density": trigger.read(20), "presets.calm": trigger.read("program 1")}
    both = Hands(on, Gate(print), presets={"calm": [Steer(0, "density", 0.5)]})
    for value in [*range(AT_ONCE)] * 2:
        both.hear(bytes((0xB0, 20, value % 128)), 0)
    assert both.hear(bytes((0xC0, 1)), 1) == [Steer(1, "density", 0.5)]
    assert both.late(2) == []


def test_what_came_too_fast_and_was_then_overtaken_is_not_heard() -> None:
    knob = hands(out_latency=20)
    for value in [*range(AT_ONCE - 28)] * 2:
        knob.hear(bytes((0xB0, 20, value)), 0)
    assert knob.hear(bytes((0xB0, 20, 7)), 10**9) == [OutLatency(10**9, 7 * MS)]
    assert knob.late(10**9) == []
