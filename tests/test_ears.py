"""What heard messages mean, whatever a driver delivers."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from improv.clock import now_ns
from improv.midi import wire
from improv.midi.ears import Ears, clock_ears
from improv.midi.frames import FORWARD, PANIC, Frame
from improv.music import events, trigger
from improv.music.ear import Ear
from improv.music.echo import Echo
from improv.music.events import (
    Ask,
    ClockOffset,
    Continue,
    Heard,
    InputLost,
    Late,
    NoteOff,
    NoteOn,
    OutLatency,
    Panic,
    Pedal,
    SongPosition,
    Start,
    Stop,
    Tap,
    Tick,
    Transport,
)
from improv.music.gate import Gate
from improv.music.hands import Hands
from improv.music.musicianship import Musicianship
from improv.music.outgoing import MOST, Outgoing
from improv.music.schedule import Book

MS = 1_000_000
CONTROLS = {
    "turn": 20, "tap": 21, "transport": 22, "clock_offset": 23, "out_latency": 24, "panic": 25,
}  # fmt: skip


class Heads:
    """Ears, and what they post and forward."""

    def __init__(
        self,
        channel: int | None = None,
        thru: bool = False,
        clock: bool = False,
        controls: Mapping[str, int | str] = CONTROLS,
    ) -> None:
        self.posted: list[Heard] = []
        self.frames: list[Frame] = []
        self.said: list[str] = []
        thru_channel = 3 if thru else None
        self.echo, self.outgoing = Echo(self.said.append), Outgoing()
        gate, post, forward = Gate(self.said.append), self.posted.append, self.frames.append
        hands = Hands({name: trigger.read(on) for name, on in controls.items()}, gate, channel)
        self.ears = Ears(post, forward, gate, self.echo, self.outgoing, hands, channel, thru_channel, clock)

    def hear(self, *messages: bytes) -> list[Heard]:
        """Without their times."""
        before = len(self.posted)
        for message in messages:
            self.ears.hear(message)
        return [event._replace(time_ns=0) for event in self.posted[before:]]

    @property
    def forwarded(self) -> list[bytes]:
        assert all(frame.command == FORWARD for frame in self.frames)
        return [frame.message for frame in self.frames]


def message(*values: int) -> bytes:
    return bytes(values)


@pytest.mark.parametrize(
    ("heard", "meaning"),
    [
        (message(0x90, 60, 64), NoteOn(0, 60, 64)),
        (message(0x9F, 0, 127), NoteOn(0, 0, 127)),
        (message(0xB0, 64, 64), Pedal(0, True)),
        (message(0xB0, 64, 63), Pedal(0, False)),
        (message(0xB0, 123, 0), None),  # nothing is held
        (message(0xB0, 120, 0), InputLost(0)),
        (message(0xB0, 1, 100), None),
        (message(0xC0, 5), None),
        (message(0xD0, 5), None),
        (message(0xE0, 5, 5), None),
        (message(0x99, 36, 100), None),  # drums
    ],
)
def test_what_a_player_means(heard: bytes, meaning: Heard | None) -> None:
    assert Heads().hear(heard) == ([] if meaning is None else [meaning])


@pytest.mark.parametrize("end", [message(0x93, 60, 0), message(0x83, 60, 99)])
def test_a_note_ends_on_its_own_channel_and_no_other_ends(end: bytes) -> None:
    heads = Heads(thru=True)
    assert heads.hear(end, message(0x93, 60, 64), message(0x80, 60, 0)) == [NoteOn(0, 60, 64)]
    assert heads.hear(end, end) == [NoteOff(0, 60)]
    assert len(heads.forwarded) == 2


def test_all_notes_off_lifts_the_keys_of_its_channel_and_leaves_the_pedal() -> None:
    heads = Heads(thru=True)
    held = message(0xB0, 64, 127), message(0x90, 60, 64), message(0x90, 64, 64), message(0x91, 67, 64)
    heads.hear(*held)
    off, end = message(0xB0, 123, 0), message(0x80, 60, 0)
    assert heads.hear(off, off, end) == [NoteOff(0, 60), NoteOff(0, 64)]
    assert heads.hear(message(0xB0, 120, 0)) == [InputLost(0)]
    assert heads.hear(message(0x81, 67, 0)) == [NoteOff(0, 67)]
    sent_on = [wire.on_channel(one, 3) for one in (*held, off, off, message(0xB0, 120, 0), message(0x81, 67, 0))]
    assert heads.forwarded == sent_on


def test_an_end_of_all_of_the_drums_ends_nothing_else() -> None:
    heads = Heads()
    heads.hear(message(0x90, 60, 64), message(0x99, 36, 100))
    assert heads.hear(message(0xB9, 123, 0), message(0xB9, 120, 0)) == []


def test_under_the_pedal_a_phrase_is_not_over_with_all_notes_off() -> None:
    heads, listening = Heads(), Ear(Musicianship())
    keys = message(0xB0, 64, 127), message(0x90, 60, 64), message(0xB0, 123, 0)
    for event in heads.hear(*keys):
        assert isinstance(event, NoteOn | NoteOff | Pedal)
        listening.hear(event, 0.0)
    assert listening.holds
    (up,) = heads.hear(message(0xB0, 64, 0))
    assert isinstance(up, Pedal) and listening.hear(up, 0.0) == [NoteOff(0, 60)] and not listening.holds


def test_only_the_named_channel_is_heard_and_forwarded() -> None:
    heads = Heads(channel=2, thru=True)
    assert heads.hear(message(0x90, 60, 64), message(0x91, 61, 64), message(0xB0, 20, 127)) == [NoteOn(0, 61, 64)]
    assert heads.forwarded == [message(0x92, 61, 64)]


def test_what_is_forwarded_goes_to_the_thru_channel_and_drums_stay() -> None:
    heads = Heads(thru=True)
    heads.hear(message(0x95, 60, 64), message(0xC5, 7), message(0x99, 36, 100), message(0xB5, 20, 127))
    assert heads.forwarded == [message(0x92, 60, 64), message(0xC2, 7), message(0x99, 36, 100)]


@pytest.mark.parametrize(("number", "meaning"), [(20, Ask), (21, Tap), (22, Transport)])
def test_a_control_counts_when_it_is_pressed_and_not_while_it_is_held(number: int, meaning: type[Heard]) -> None:
    heads = Heads()
    values = (0, 63, 64, 127, 100, 63, 127, 0)
    assert heads.hear(*(message(0xB0, number, value) for value in values)) == [meaning(0), meaning(0)]


def test_a_panic_does_not_wait_for_the_engine() -> None:
    heads = Heads()
    assert heads.hear(message(0xB0, 25, 127), message(0xB0, 25, 0)) == [Panic(0)]
    assert [frame.command for frame in heads.frames] == [PANIC]


def test_each_control_is_pressed_by_itself() -> None:
    heads = Heads()
    pressed = heads.hear(message(0xB0, 20, 127), message(0xB0, 21, 127), message(0xB0, 20, 0), message(0xB0, 20, 127))
    assert pressed == [Ask(0), Tap(0), Ask(0)]


def test_a_control_is_no_music() -> None:
    """It is neither heard as a note nor sent on, nor is its end."""
    heads = Heads(thru=True, controls={"turn": "note 36", "panic": "cc 64", "tap": "program 5"})
    strokes = message(0x90, 36, 90), message(0x80, 36, 0), message(0xB0, 64, 127), message(0xB0, 64, 0)
    note = message(0x90, 37, 90)
    assert heads.hear(*strokes, message(0xC0, 5), note) == [Ask(0), Panic(0), Tap(0), NoteOn(0, 37, 90)]
    assert [f.message for f in heads.frames if f.command == FORWARD] == [message(0x92, 37, 90)]


def test_a_control_may_be_on_a_channel_that_is_not_listened_to() -> None:
    heads = Heads(channel=1, thru=True, controls={"turn": "note 36 on channel 10", "tap": 20})
    strokes = message(0x99, 36, 90), message(0x90, 36, 90), message(0xB9, 20, 127), message(0xB0, 20, 127)
    assert heads.hear(*strokes) == [Ask(0), NoteOn(0, 36, 90), Tap(0)]


def test_what_comes_back_presses_nothing() -> None:
    heads = Heads(controls={"turn": "note 64"})
    for pitch in (60, 62, 64):
        heads.outgoing.tell(NoteOn(now_ns(), pitch, 80))
    assert heads.hear(*(message(0x91, pitch, 80) for pitch in (60, 62, 64))) == [NoteOn(0, 60, 80)]


def test_the_knobs_are_in_milliseconds() -> None:
    heads = Heads()
    assert heads.hear(*(message(0xB0, 23, value) for value in (0, 64, 127))) == [
        ClockOffset(0, -64 * MS),
        ClockOffset(0, 0),
        ClockOffset(0, 63 * MS),
    ]
    assert heads.hear(*(message(0xB0, 24, value) for value in (0, 127))) == [OutLatency(0, 0), OutLatency(0, 127 * MS)]


BEAT = {
    message(0xF8): Tick(0),
    message(0xFA): Start(0),
    message(0xFB): Continue(0),
    message(0xFC): Stop(0),
    message(0xF2, 5, 0): SongPosition(0, 5),
    message(0xF2, 0x7F, 0x7F): SongPosition(0, 16383),
}


def test_the_clock_is_heard_where_it_is_told_to_and_nowhere_else() -> None:
    """Where the clock comes through another port, that of the played one is not."""
    told, other, only = Heads(clock=True, thru=True), Heads(clock=False), list[Heard]()
    assert told.hear(*BEAT) == list(BEAT.values()) and told.forwarded == []
    assert other.hear(*BEAT) == []
    hear = clock_ears(only.append, Gate(print))
    for heard in (*BEAT, message(0x90, 60, 64), message(0xB0, 20, 127)):
        hear(heard)
    assert [event._replace(time_ns=0) for event in only] == list(BEAT.values())


@pytest.mark.parametrize(
    "broken",
    [
        message(0xF2),
        message(0xF2, 5),
        message(0xF2, 0x80, 0),
        message(0xF2, 5, 0, 0),
        message(0xF0, 0x7E, 0xF7),
        message(0xFE),
        message(0xFF),
        message(60, 64),  # of a running status
        message(60),
        message(0x90),
        message(0x90, 60),
        message(0x90, 200, 64),
        message(0x90, 60, 0xF8),
        message(0x90, 60, 64, 64),
        message(0xC0, 5, 5),
        message(0xB0, 64),
        b"",
    ],
)
def test_a_broken_message_means_nothing_and_goes_nowhere(broken: bytes) -> None:
    heads, only = Heads(thru=True, clock=True), list[Heard]()
    assert heads.hear(broken) == [] and heads.forwarded == []
    clock_ears(only.append, Gate(print))(broken)
    assert only == []


def test_a_dump_of_a_megabyte_costs_nothing() -> None:
    heads = Heads(thru=True, clock=True)
    dump = bytes((0xF0, *(n % 128 for n in range(1 << 20)), 0xF7))
    assert heads.hear(dump, dump[:-1], message(0x90, 60, 64), dump[1:]) == [NoteOn(0, 60, 64)]
    assert heads.forwarded == [message(0x92, 60, 64)]


def test_what_the_machine_plays_is_not_kept_for_ever() -> None:
    """Of one who only ever presses the pedal that gives it the turn."""
    heads = Heads()
    for n in range(2_000):
        heads.outgoing.tell(NoteOn(n, n % 128, 80))
        heads.hear(message(0xB0, 20, 127 * (n % 2)))
    assert not list(heads.outgoing.take()) and len(heads.echo._order) == 0


def test_of_a_player_who_only_listens_no_more_waits_than_may_come_back() -> None:
    """How late and how far ahead it plays counts all the same, though that was told at the very beginning."""
    heads, now = Heads(), now_ns()
    heads.outgoing.tell(OutLatency(now, 40 * MS))
    heads.outgoing.tell(Late(now, 0, 60 * MS, 60 * MS, 0, ended=False))
    for n in range(100_000):
        heads.outgoing.tell(NoteOn(now + n * MS, n % 128, 80))
    waiting = list(heads.outgoing.take())
    assert len(waiting) <= MOST and waiting[-1] == NoteOn(now + 100_019 * MS, 99_999 % 128, 80)


HAPPENINGS = tuple(kind for kind in vars(events).values() if isinstance(kind, type) and hasattr(kind, "time_ns"))


@given(st.lists(st.one_of(st.binary(max_size=5), st.binary(min_size=1, max_size=3)), max_size=30))
@example([message(0x90, 60), message(0xB0, 64), message(0xF2)])
def test_no_bytes_are_too_much(messages: list[bytes]) -> None:
    """Whatever comes is left out or in range, and the outlet can send what is forwarded."""
    heads, only, book = Heads(thru=True, clock=True), list[Heard](), Book()
    hear = clock_ears(only.append, Gate(print))
    for heard in messages:
        heads.hear(heard)
        hear(heard)
    for event in (*heads.posted, *only):
        assert isinstance(event, HAPPENINGS)
        if isinstance(event, NoteOn | NoteOff):
            assert 0 <= event.pitch < 128
        if isinstance(event, SongPosition):
            assert 0 <= event.sixteenths < 1 << 14
    for forwarded in heads.forwarded:
        for sent in book.enter(1, forwarded):
            assert wire.is_channel_message(sent)


@given(
    st.builds(NoteOn, st.just(0), st.integers(0, 127), st.integers(1, 127))
    | st.builds(NoteOff, st.just(0), st.integers(0, 127))
    | st.builds(Pedal, st.just(0), st.booleans()),
    st.integers(1, 16),
)
def test_what_is_spelled_means_the_same(event: NoteOn | NoteOff | Pedal, channel: int) -> None:
    spelled = wire.spell(event, channel)
    assert wire.meaning(spelled, 0) == event and wire.channel(spelled) == channel
    assert wire.is_channel_message(spelled)
