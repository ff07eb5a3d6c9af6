"""Takes, on the virtual clock: what becomes of an answer, and of what is known, at the press of a footswitch."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from improv.engine import Engine, Musicianship, Time
from improv.music.cue import LEAD_NS
from improv.music.events import AnotherTake, ForgetMe, Freeze, Heard, NoteOff, NoteOn, Retime, Undo
from improv.music.grid import Grid
from improv.music.timeline import NS, TICKS_PER_BEAT, Timeline
from tests.nets import lively
from tests.stage import Note, Show, Stage, every, notes, played_on

MS = NS // 1000
FREE = Timeline(120.0, NS)
LINE = Timeline(120.0, NS, metric=True)
PHRASE = played_on(FREE, every(0.5, 0, 6))  # from 1 s to almost 4 s
OVER_NS = 9 * NS  # the answer has been played
JOINS = Retime(NS // 2, LINE, jump=True)
FREE_TIME = Time()
LINKED = Time(source="link", grid=Grid(12, 1.0))


def later(heard: Sequence[Heard], by_ns: int) -> list[Heard]:
    return [event._replace(time_ns=event.time_ns + by_ns) for event in heard]


def a_stage(time: Time = FREE_TIME) -> Stage:
    return Stage(lively(), Musicianship(time=time))


def begun_from(show: Show, time_ns: int) -> list[Note]:
    return [note for note in notes(show.sent) if note.on.sent_ns >= time_ns]


def sounds(played: Sequence[Note]) -> list[tuple[int, int, int]]:
    """What one hears of it, from its first note on."""
    first_ns = played[0].on.sent_ns
    return [(note.on.sent_ns - first_ns, note.off.sent_ns - first_ns, note.pitch) for note in played]


def read(engine: Engine) -> int:
    """How many tokens the network has read, on the way to where it stands."""
    stream = engine._soloist.stream
    return 0 if stream is None else int(stream.reading.state[0])


def remembered(engine: Engine) -> int:
    return engine._soloist._reader.memory.kept


# Another take


@pytest.mark.parametrize("at_ns", [4_600 * MS, 4_700 * MS, 5 * NS, 6 * NS, OVER_NS, 20 * NS])
def test_another_take_begins_at_once_as_if_there_had_been_none_before(at_ns: int) -> None:
    show = a_stage().play([*PHRASE, AnotherTake(at_ns)], at_ns + 8 * NS)
    first, again = notes(show.sent), begun_from(show, at_ns)
    assert all(note.off.sent_ns <= max(at_ns, OVER_NS) for note in first if note.on.sent_ns < at_ns)
    assert LEAD_NS <= again[0].on.sent_ns - at_ns <= 10 * MS
    assert sounds(again) != sounds(first)
    assert read(show.engine) == 1 + len(PHRASE) + 2 * len(again) and show.engine.answers == 2


def test_there_are_as_many_takes_as_one_likes() -> None:
    presses = [5 * NS, 6 * NS, 13 * NS, 14 * NS]
    show = a_stage().play([*PHRASE, *map(AnotherTake, presses)], 22 * NS)
    takes = [
        [note.pitch for note in notes(show.sent) if begin <= note.on.sent_ns < end]
        for begin, end in zip([0, *presses], [*presses, 99 * NS], strict=True)
    ]
    assert len({tuple(take[:5]) for take in takes}) == 5 and show.engine.answers == 5
    assert read(show.engine) == 1 + len(PHRASE) + 2 * len(takes[-1])


@pytest.mark.parametrize(
    "heard",
    [
        [AnotherTake(NS)],  # nothing was answered,
        [*PHRASE[:4], AnotherTake(1_600 * MS), *PHRASE[4:]],  # nothing yet,
        [*PHRASE, AnotherTake(4 * NS)],  # nor here,
        [*PHRASE, NoteOn(OVER_NS, 60, 80), AnotherTake(OVER_NS + 1), NoteOff(OVER_NS + 50 * MS, 60)],  # he plays again
        [*PHRASE, Undo(OVER_NS), AnotherTake(10 * NS)],  # it was taken back already
    ],
)
def test_where_there_is_no_last_answer_there_is_no_other(heard: list[Heard]) -> None:
    without = [event for event in heard if not isinstance(event, AnotherTake)]
    show, as_if = a_stage().play(heard, 12 * NS), a_stage().play(without, 12 * NS)
    assert sounds_of(show) == sounds_of(as_if)


def sounds_of(show: Show) -> list[tuple[int, bytes]]:
    return [(one.sent_ns, one.message) for one in show.sent]


@pytest.mark.parametrize(("enter", "step"), [("beat", 1), ("bar", 4)])
def test_under_a_beat_another_take_begins_on_a_line_and_ends_on_one(enter: str, step: int) -> None:
    heard = [JOINS, *played_on(LINE, every(0.5, 0, 8))]
    time = Time(source="link", grid=Grid(12, 1.0), enter=enter)
    for at_beat in (12.4, 13.9, 26.7):
        at_ns = LINE.time_ns(at_beat * TICKS_PER_BEAT)
        show = a_stage(time).play([*heard, AnotherTake(at_ns)])
        again = begun_from(show, at_ns)
        beat = LINE.beat(again[0].on.sent_ns)
        assert beat == pytest.approx(-(-at_beat // step) * step, abs=1e-6)
        assert LINE.beat(again[-1].off.sent_ns) % 4 > 3


def test_what_is_played_before_the_line_is_a_phrase_of_its_own() -> None:
    heard = [JOINS, *played_on(LINE, every(0.5, 0, 8)), AnotherTake(LINE.time_ns(26.2 * TICKS_PER_BEAT))]
    show = a_stage(LINKED).play([*heard, *played_on(LINE, [26.5, 27.5, 28.5, 29.5])])
    answers = begun_from(show, LINE.time_ns(26.2 * TICKS_PER_BEAT))
    assert LINE.beat(answers[0].on.sent_ns) > 30 and show.engine.answers == 2


def test_in_a_trade_another_take_has_what_is_left_of_the_bars() -> None:
    time = Time(source="link", grid=Grid(12, 1.0), trade_bars=2)
    at_ns = LINE.time_ns(10.6 * TICKS_PER_BEAT)
    heard = [JOINS, *played_on(LINE, every(0.5, 0, 8)), AnotherTake(at_ns), *played_on(LINE, every(0.5, 16, 24))]
    show = a_stage(time).play(heard)
    beats = [LINE.beat(note.on.sent_ns) for note in begun_from(show, at_ns)]
    assert beats[0] == pytest.approx(11)
    assert {int(beat // 8) for beat in beats} == {1, 3}  # the trade goes on


def test_in_the_last_beat_of_its_bars_there_is_no_room_for_another() -> None:
    time = Time(source="link", grid=Grid(12, 1.0), trade_bars=2)
    at_ns = LINE.time_ns(15.2 * TICKS_PER_BEAT)
    show = a_stage(time).play([JOINS, *played_on(LINE, every(0.5, 0, 8)), AnotherTake(at_ns)])
    assert notes(show.sent) and not begun_from(show, at_ns) and show.engine.resting


# Undo


def test_undo_takes_back_the_answer_then_the_phrase_and_so_on() -> None:
    second = later(PHRASE, 10 * NS)
    presses = [Undo((20 + i) * NS) for i in range(5)]
    stage = a_stage()
    stage.play([*PHRASE, *second], 20 * NS - 1)
    known = [read(stage._engine)]
    for press in presses:
        stage.play([press], press.time_ns)
        known.append(read(stage._engine))
    first = 1 + len(PHRASE)
    assert known[1] == known[2] + len(second) and known[3:] == [first, 0, 0] and known[0] > known[1]


def test_undo_ends_what_sounds_and_what_is_remembered_of_a_phrase() -> None:
    stage = a_stage()
    show = stage.play([*PHRASE, Undo(5 * NS)], 6 * NS)
    assert max(note.off.sent_ns for note in notes(show.sent)) == 5 * NS
    assert read(show.engine) == 1 + len(PHRASE) and remembered(show.engine) == len(PHRASE)
    stage.play([Undo(7 * NS)], 12 * NS)
    assert read(show.engine) == remembered(show.engine) == 0 and show.engine.answers == 1


def test_a_phrase_that_is_undone_gets_no_answer() -> None:
    heard = [*PHRASE, *later(PHRASE[:11], 10 * NS), Undo(12_300 * MS), *later(PHRASE[11:12], 11 * NS)]
    show = a_stage().play(heard, 20 * NS)
    assert show.engine.answers == 1 and remembered(show.engine) == len(PHRASE)


# Freeze


def known_after(phrases: int, *presses: Heard) -> list[tuple[int, int]]:
    """What is read and remembered when each phrase, 10 s apart, and the answer to it are over."""
    stage, known = a_stage(), []
    stage.play(presses, 0)
    for i in range(phrases):
        stage.play(later(PHRASE, i * 10 * NS), (i + 1) * 10 * NS - 1)
        known.append((read(stage._engine), remembered(stage._engine)))
    return known


def test_what_is_frozen_is_where_each_phrase_sets_out_from() -> None:
    played = len(PHRASE)
    free, frozen = known_after(5), known_after(5, Freeze(15 * NS), Freeze(40 * NS))
    assert [kept for _, kept in free] == [played * (i + 1) for i in range(5)]
    assert [kept for _, kept in frozen] == [played, 2 * played, 3 * played, 3 * played, 4 * played]
    assert frozen[:3] == free[:3]


@pytest.mark.parametrize("at_ns", [12 * NS, 14 * NS, 15 * NS, 19 * NS])
def test_in_a_phrase_what_was_before_it_is_frozen_else_all(at_ns: int) -> None:
    known = known_after(3, Freeze(at_ns))
    before_it = at_ns < 14_500 * MS  # when the answer is decided
    assert known[1][1] == 2 * len(PHRASE) and known[2][1] == (2 if before_it else 3) * len(PHRASE)


def test_what_is_frozen_outlasts_a_silence() -> None:
    stage = a_stage()
    stage.play([*PHRASE, Freeze(OVER_NS)], 100 * NS)
    known = read(stage._engine)
    stage.play(later(PHRASE[:4], 100 * NS), 102 * NS)
    assert read(stage._engine) == known + 4 > 1 + 4
    stage.play([Freeze(103 * NS)], 140 * NS)
    assert read(stage._engine) == 0


# Forget me


def test_forgotten_is_all_that_was_heard() -> None:
    stage = a_stage()
    stage.play(PHRASE, 5 * NS)
    assert not stage._engine.resting
    show = stage.play([ForgetMe(5 * NS), *later(PHRASE[:10], 5 * NS)], 7 * NS + NS // 2)
    assert [note for note in notes(show.sent) if note.off.sent_ns == 5 * NS]  # it was in the middle of an answer
    assert all(note.off.sent_ns <= 5 * NS for note in notes(show.sent))
    assert read(show.engine) == 1 + 10 and remembered(show.engine) == 10  # what came after, and the start


def test_a_phrase_that_is_forgotten_gets_no_answer() -> None:
    show = a_stage().play([*PHRASE[:11], ForgetMe(PHRASE[10].time_ns + 1), PHRASE[11]], 9 * NS)
    assert not show.sent and show.engine.resting and read(show.engine) == 0
