"""Takes, on the virtual clock: what becomes of an answer, and of what is known, at the press of a footswitch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import SequenceMatcher

import numpy as np
import pytest
from hypothesis import given as for_all
from hypothesis import settings
from hypothesis import strategies as st

from improv.engine import RELEASE_NS, Engine
from improv.music.answer import Manner, Turn
from improv.music.belts import Pace
from improv.music.cue import LEAD_NS
from improv.music.events import (
    AnotherTake,
    Ask,
    ForgetMe,
    Freeze,
    Heard,
    LoopThat,
    Mark,
    Mute,
    NoteOff,
    NoteOn,
    OutLatency,
    Panic,
    Retime,
    Undo,
    VaryThat,
)
from improv.music.grid import Grid
from improv.music.looper import Looper, Passage
from improv.music.musicianship import Musicianship, Time
from improv.music.steering import Steering
from improv.music.timeline import NS, TICKS_PER_BEAT, Timeline
from tests.nets import lively
from tests.stage import Faults, Note, Show, Stage, every, notes, played_on
from tests.test_replay import MindfulNet

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
    stream = engine._improviser._soloist.stream
    return 0 if stream is None else int(stream.reading.state[0])


def remembered(engine: Engine) -> int:
    return engine._improviser._soloist._reader.memory.kept


# Another take


@pytest.mark.parametrize("at_ns", [4_800 * MS, 4_900 * MS, 5 * NS, 6 * NS, OVER_NS, 20 * NS])
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


def test_a_late_finger_is_no_phrase_of_its_own() -> None:
    asks_ns = PHRASE[-2].time_ns + 10 * MS
    late: list[Heard] = [NoteOn(asks_ns + 20 * MS, 60, 80), NoteOff(asks_ns + 200 * MS, 60)]
    for at_ns in (5 * NS, 10 * NS):
        heard = sorted([*PHRASE, Ask(asks_ns), *late], key=lambda event: event.time_ns)
        show = a_stage().play([*heard, AnotherTake(at_ns)], at_ns + 8 * NS)
        assert show.engine.answers == 2 and begun_from(show, at_ns)


@pytest.mark.parametrize("press", [AnotherTake, Undo, Freeze, VaryThat, ForgetMe])
@pytest.mark.parametrize("at_ns", [4_200 * MS, 12 * NS])
def test_what_is_held_across_a_take_ends_once(press: type[AnotherTake | Undo | Freeze], at_ns: int) -> None:
    """The stage's reader checks that nothing ends that did not sound, and nothing begins that does."""
    asks_ns = 4 * NS
    late = [NoteOn(asks_ns + 20 * MS, 60, 80), NoteOff(15 * NS, 60)]
    again = [*later(PHRASE, 19 * NS), press(26 * NS), *later(PHRASE, 29 * NS)]
    heard = sorted([*PHRASE, Ask(asks_ns), *late, press(at_ns), *again], key=lambda event: event.time_ns)
    show = a_stage().play(heard)
    assert show.engine.answers >= 3 and notes(show.sent)


@pytest.mark.parametrize("press", [AnotherTake, VaryThat])
def test_a_pick_up_is_a_phrase_of_its_own(press: type[AnotherTake | VaryThat]) -> None:
    time = Time(source="link", grid=Grid(12, 1.0), mode="trade", bars=2)
    presses = [press(LINE.time_ns(beat * TICKS_PER_BEAT)) for beat in (15.6, 16.2)]
    heard = sorted([*played_on(LINE, every(0.5, 15.5, 24)), *presses], key=lambda event: event.time_ns)
    show = a_stage(time).play([JOINS, *played_on(LINE, every(0.5, 0, 8)), *heard])
    bars = {int(LINE.beat(note.on.sent_ns) // 8) for note in notes(show.sent)}
    assert show.engine.answers == 2 and bars == {1, 3}


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
    time = Time(source="link", grid=Grid(12, 1.0), mode="trade", bars=2)
    at_ns = LINE.time_ns(10.6 * TICKS_PER_BEAT)
    heard = [JOINS, *played_on(LINE, every(0.5, 0, 8)), AnotherTake(at_ns), *played_on(LINE, every(0.5, 16, 24))]
    show = a_stage(time).play(heard)
    beats = [LINE.beat(note.on.sent_ns) for note in begun_from(show, at_ns)]
    assert beats[0] == pytest.approx(11)
    assert {int(beat // 8) for beat in beats} == {1, 3}  # the trade goes on


def test_in_the_last_beat_of_its_bars_there_is_no_room_for_another() -> None:
    time = Time(source="link", grid=Grid(12, 1.0), mode="trade", bars=2)
    at_ns = LINE.time_ns(15.2 * TICKS_PER_BEAT)
    show = a_stage(time).play([JOINS, *played_on(LINE, every(0.5, 0, 8)), AnotherTake(at_ns)])
    assert notes(show.sent) and not begun_from(show, at_ns) and show.engine.resting


# Vary that


@pytest.mark.parametrize("at_ns", [5 * NS, 7 * NS, 8 * NS, 9 * NS, 20 * NS])
def test_a_variation_begins_when_the_answer_is_over(at_ns: int) -> None:
    first = notes(a_stage().play(PHRASE).sent)
    show = a_stage().play([*PHRASE, VaryThat(at_ns)], at_ns + 12 * NS)
    played, over_ns = notes(show.sent), max(note.off.sent_ns for note in first)
    varied = played[len(first) :]
    assert sounds(played[: len(first)]) == sounds(first) and show.engine.answers == 2
    assert LEAD_NS <= varied[0].on.sent_ns - max(at_ns, over_ns) <= 10 * MS
    assert read(show.engine) == 1 + len(PHRASE) + 2 * len(played)  # it has heard both


def likeness(stage: Stage, heard: Sequence[Heard], at_ns: int) -> float:
    """Of what is played from a moment on to what was played before, by pitches in order: 1 is the same."""
    played = notes(stage.play(heard, at_ns + 12 * NS).sent)
    before, after = ([note.pitch for note in played if (note.on.sent_ns >= at_ns) == later] for later in (False, True))
    return SequenceMatcher(None, before, after, autojunk=False).ratio()


def test_a_variation_is_like_the_answer_and_yet_another() -> None:
    stages = [Stage(lively(), Musicianship(seed=seed)) for seed in range(24)]
    varied = [likeness(stage, [*PHRASE, VaryThat(OVER_NS)], OVER_NS) for stage in stages[:12]]
    asked = [likeness(stage, [*PHRASE, Ask(OVER_NS)], OVER_NS) for stage in stages[12:]]
    assert min(varied) > max(asked) and np.mean(varied) > np.mean(asked) + 0.3 and max(varied) < 1


def test_a_variation_is_undone_like_an_answer_and_taken_again_as_one() -> None:
    stage = a_stage()
    stage.play([*PHRASE, VaryThat(9 * NS), AnotherTake(11 * NS)], 20 * NS)
    known = read(stage._engine)
    assert stage._engine.answers == 3 and stage._engine._improviser._takes.again is not None
    assert stage._engine._improviser._takes.again.varies
    stage.play([Undo(20 * NS)], 21 * NS)
    first = notes(a_stage().play(PHRASE).sent)
    assert known > read(stage._engine) == 1 + len(PHRASE) + 2 * len(first)


@pytest.mark.parametrize("then", [[NoteOn(7 * NS, 60, 80)], [Undo(7 * NS)], [Ask(7 * NS)], [LoopThat(7 * NS)]])
def test_what_comes_before_it_takes_the_place_of_a_variation(then: list[Heard]) -> None:
    show = a_stage().play([*PHRASE, VaryThat(6 * NS), *then], 30 * NS)
    assert show.engine.answers == 1


def test_in_a_trade_a_variation_ends_the_trade() -> None:
    time = Time(source="link", grid=Grid(12, 1.0), mode="trade", bars=2)
    show = a_stage(time).play(
        [JOINS, *played_on(LINE, every(0.5, 0, 8)), VaryThat(LINE.time_ns(10.6 * TICKS_PER_BEAT))]
    )
    bars = {int(LINE.beat(note.on.sent_ns) // 4) for note in notes(show.sent)}
    assert bars == {2, 3, 4, 5}


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
    before_it = at_ns < 14_650 * MS  # when the answer is decided
    assert known[1][1] == 2 * len(PHRASE) and known[2][1] == (2 if before_it else 3) * len(PHRASE)


def test_beside_the_player_too_it_is_what_was_before_his_phrase() -> None:
    def early_in_the_next(*presses: Heard) -> int:
        heard = sorted([*PHRASE, *presses, *later(PHRASE, 20 * NS)], key=lambda event: event.time_ns)
        duet = a_stage(Time(mode="duet"))
        return remembered(duet.play(heard, 21_400 * MS).engine)

    assert early_in_the_next(Freeze(3 * NS)) < 5 < len(PHRASE) < early_in_the_next()


def test_what_is_frozen_outlasts_a_silence() -> None:
    stage = a_stage()
    stage.play([*PHRASE, Freeze(OVER_NS)], 100 * NS)
    known = read(stage._engine)
    stage.play(later(PHRASE[:4], 100 * NS), 102 * NS)
    assert read(stage._engine) == known + 4 > 1 + 4
    stage.play([Freeze(103 * NS)], 140 * NS)
    assert read(stage._engine) == 0


# However they are pressed

PRESSES: dict[str, Callable[[int], Heard]] = {
    **{press.__name__: press for press in (AnotherTake, LoopThat, VaryThat, Undo, ForgetMe, Freeze)},
    "good": lambda time_ns: Mark(time_ns, True),
    "bad": lambda time_ns: Mark(time_ns, False),
}


@settings(deadline=None)
@for_all(st.lists(st.tuples(st.sampled_from([*PRESSES, "phrase"]), st.integers(50, 3_000)), max_size=12))
def test_what_is_pressed_does_not_depend_on_when_the_engine_wakes(presses: list[tuple[str, int]]) -> None:
    heard, now = list(PHRASE), OVER_NS
    for name, wait_ms in presses:
        now += wait_ms * MS
        heard += [PRESSES[name](now)] if name in PRESSES else later(PHRASE, now - NS)
        now = heard[-1].time_ns
    heard.append(Panic(now + 3 * NS))
    prompt, late = (
        Stage(MindfulNet(), Musicianship(steering=Steering(memory=1.0)), faults).play(heard, heard[-1].time_ns + NS)
        for faults in (Faults(), Faults(engine_late_ns=LEAD_NS - MS))
    )
    assert known_to(late.engine) == known_to(prompt.engine)


def known_to(engine: Engine) -> tuple[int, bytes, bytes]:
    """All of it, to the bit: the network's state depends on all that it has read."""
    stream = engine._improviser._soloist.stream
    return engine.answers, engine.remembered(), b"" if stream is None else stream.reading.state.tobytes()


# Forget me


def test_what_is_forgotten_is_not_quoted() -> None:
    stage = Stage(lively(), Musicianship(steering=Steering(variation=0.0)))
    stage.play([*PHRASE, ForgetMe(OVER_NS)], OVER_NS)
    assert not stage._engine._improviser._soloist._model


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


# Loop that


def the_loop(show: Show, from_ns: int, until_ns: int) -> list[Note]:
    return [note for note in notes(show.sent) if from_ns <= note.on.sent_ns < until_ns]


def pitches(played: Sequence[Note]) -> list[tuple[int, int]]:
    return [(note.pitch, note.on.message[2]) for note in played]


def rounds(played: Sequence[Note], count: int) -> list[Sequence[Note]]:
    """What was looped, so many notes at a time; the last ones were cut short."""
    return [played[i : i + count] for i in range(0, len(played) - count, count)]


@pytest.mark.parametrize("at_ns", [4_800 * MS, 6 * NS, 8 * NS, 30 * NS])
def test_a_loop_is_the_last_answer_again_and_again(at_ns: int) -> None:
    first, played = notes(a_stage().play(PHRASE).sent), a_stage().play([*PHRASE, LoopThat(at_ns), LoopThat(60 * NS)])
    takes = rounds(notes(played.sent), len(first))
    begins_ns = [take[0].on.sent_ns for take in takes]
    apart_ns = np.diff(begins_ns[1:])
    assert len(takes) > 7 and {tuple(pitches(take)) for take in takes} == {tuple(pitches(first))}
    assert all(np.allclose(sounds(take), sounds(first), atol=2) for take in takes)
    assert np.ptp(apart_ns) <= 2 and 0 <= apart_ns[0] - sounds(first)[-1][1] <= 500 * MS
    assert begins_ns[1] == pytest.approx(begins_ns[0] + apart_ns[0] if at_ns < 9 * NS else at_ns + LEAD_NS, abs=2)
    assert notes(played.sent)[-1].off.sent_ns <= 60 * NS + RELEASE_NS and played.engine.resting


@pytest.mark.parametrize("at_beat", [12.3, 25.7, 30.1])
@pytest.mark.parametrize("beats", [5, 8])
def test_under_a_beat_a_loop_is_in_whole_bars(at_beat: float, beats: int) -> None:
    heard = [JOINS, *played_on(LINE, every(0.5, 0, beats))]
    first = notes(a_stage(LINKED).play(heard).sent)
    presses = [LoopThat(LINE.time_ns(beat * TICKS_PER_BEAT)) for beat in (at_beat, at_beat + 60)]
    takes = rounds(notes(a_stage(LINKED).play([*heard, *presses]).sent), len(first))
    begins = np.array([LINE.beat(take[0].on.sent_ns) for take in takes])
    assert len(takes) > 4 and {tuple(pitches(take)) for take in takes} == {tuple(pitches(first))}
    assert np.allclose(begins % 4, begins[0] % 4, atol=1e-6) and np.ptp(np.diff(begins[1:])) < 1e-6


def test_a_loop_bends_with_the_tempo() -> None:
    heard = [JOINS, *played_on(LINE, every(0.5, 0, 8)), LoopThat(LINE.time_ns(12 * TICKS_PER_BEAT))]
    faster_ns = LINE.time_ns(40.25 * TICKS_PER_BEAT)
    faster = LINE._replace(bpm=150.0, origin_ns=faster_ns, origin_beat=40.25)
    end_ns = faster.time_ns(80 * TICKS_PER_BEAT)
    show = a_stage(LINKED).play([*heard, Retime(faster_ns, faster), LoopThat(end_ns)])
    onsets = [note.on.sent_ns for note in notes(show.sent)]
    beats = [(LINE if onset < faster_ns else faster).beat(onset) for onset in onsets]
    assert np.allclose(np.array(beats) * 4, np.round(np.array(beats) * 4), atol=1e-5) and max(beats) > 75


def test_what_is_played_over_a_loop_is_answered_when_it_has_ended() -> None:
    stage = a_stage()
    over_it = [*later(PHRASE[:8], 5 * NS), *later(PHRASE, 8 * NS), *later(PHRASE, 15 * NS)]
    stage.play([*PHRASE, LoopThat(6 * NS), *over_it], 40 * NS)
    assert stage._engine.answers == 1
    assert remembered(stage._engine) == 3 * len(PHRASE)  # but for what he played over the answer itself
    show = stage.play([LoopThat(40 * NS)], 80 * NS)
    looped = [note.on.sent_ns for note in notes(show.sent) if note.on.sent_ns < 40 * NS]
    assert max(np.diff(looped)) < NS and looped[-1] > 39 * NS  # he did not disturb it
    assert show.engine.answers == 2
    assert LEAD_NS <= begun_from(show, 40 * NS)[0].on.sent_ns - 40 * NS <= 10 * MS


@pytest.mark.parametrize("press", [Ask, Panic, Undo, ForgetMe, AnotherTake])
@pytest.mark.parametrize("at_ns", [8_300 * MS, 20 * NS])
def test_what_else_ends_a_loop(press: type[Ask | Panic | Undo | ForgetMe | AnotherTake], at_ns: int) -> None:
    show = a_stage().play([*PHRASE, LoopThat(6 * NS), press(at_ns)])
    played = notes(show.sent)
    if press is AnotherTake:
        assert show.engine.answers == 2 and len(begun_from(show, at_ns)) < 50
        played = [note for note in played if note.on.sent_ns < at_ns]
    assert max(note.off.sent_ns for note in played) <= at_ns + RELEASE_NS and show.engine.resting


def test_what_was_stopped_is_looped_as_far_as_it_was_played() -> None:
    show = a_stage().play([*PHRASE, Ask(6 * NS), LoopThat(7 * NS), LoopThat(20 * NS)])
    first = [note for note in notes(show.sent) if note.on.sent_ns < 7 * NS]
    takes = rounds(begun_from(show, 7 * NS), len(first))
    assert len(first) < 20 and len(takes) > 5
    assert {tuple(pitches(take)) for take in takes} == {tuple(pitches(first))}


def test_without_a_last_answer_nothing_is_looped() -> None:
    for heard in ([LoopThat(NS)], [*PHRASE[:4], LoopThat(2 * NS)], [*PHRASE, Undo(6 * NS), LoopThat(7 * NS)]):
        show = a_stage().play(heard, 60 * NS)
        assert show.engine.resting and not begun_from(show, 7 * NS)


def test_muted_nothing_is_looped() -> None:
    show = a_stage().play([*PHRASE, Mute(OVER_NS), LoopThat(OVER_NS + NS)], 60 * NS)
    assert show.engine.resting and not begun_from(show, OVER_NS) and begun_from(show, 0)


@pytest.mark.parametrize("line", [FREE, LINE])
def test_a_loop_begins_when_an_answer_that_was_late_has_ended_or_on_a_bar_line(line: Timeline) -> None:
    def due_ticks(lag_ticks: float) -> float:
        looper = Looper(Pace(12))
        looper.begin(Turn(0.0, 100.0, Manner(NS // 4), exact=False), line)
        looper.add([NoteOn(2 * NS, 60, 80), NoteOff(3 * NS, 60)], line)
        looper.press(2 * NS)
        assert looper.start(line, lag_ticks)
        due_ns = looper.due_ns(line)
        assert due_ns is not None
        return line.position(due_ns)

    assert due_ticks(20.0) - due_ticks(0.0) == pytest.approx(0.0 if line.metric else 20.0)


def test_a_loop_ends_a_trade_and_is_played_on_over_the_bar_line() -> None:
    presses = [LoopThat(LINE.time_ns(beat * TICKS_PER_BEAT)) for beat in (10.6, 40.5)]
    heard = [JOINS, *played_on(LINE, every(0.5, 0, 8)), *presses, *played_on(LINE, every(0.5, 18, 22))]
    show = a_stage(Time(source="link", grid=Grid(12, 1.0), mode="trade", bars=2)).play(
        sorted(heard, key=lambda e: e.time_ns)
    )
    bars = {int(LINE.beat(note.on.sent_ns) // 4) for note in notes(show.sent)}
    assert bars >= set(range(2, 11))


@pytest.mark.parametrize("latency_ms", [0, 200, 480])
@pytest.mark.parametrize("time", [FREE_TIME, LINKED])
def test_a_loop_is_decided_before_it_is_due_whatever_the_latency(time: Time, latency_ms: int) -> None:
    heard: list[Heard] = [OutLatency(NS // 4, latency_ms * MS), *PHRASE, LoopThat(7 * NS), LoopThat(30 * NS)]
    show = a_stage(time).play([JOINS, *heard] if time is LINKED else heard)
    assert len(begun_from(show, 10 * NS)) > 50
    assert all(one.sent_ns <= one.due_ns for one in show.sent)


@pytest.mark.parametrize("time", [FREE_TIME, LINKED])
def test_a_loop_that_was_late_is_back_in_time_the_next_time(time: Time) -> None:
    heard = [JOINS, *PHRASE, LoopThat(7 * NS), LoopThat(40 * NS)]
    prompt, late = (
        Stage(lively(), Musicianship(time=time), Faults(outlet_stalls=stalls)).play(heard[time is FREE_TIME :])
        for stalls in ((), [(at_s * NS, 200 * MS) for at_s in (13, 14, 15, 16)])
    )
    assert len(late.late) >= 2
    settled_ns = 25 * NS
    assert [(one.sent_ns, one.message) for one in late.sent if one.sent_ns > settled_ns] == [
        (one.sent_ns, one.message) for one in prompt.sent if one.sent_ns > settled_ns
    ]


@for_all(st.integers(1, 12), st.integers(1, 6), st.sampled_from([0.05, 0.3, 1.0]))
def test_a_loop_keeps_to_its_belts(notes_per_s: int, count: int, spacing_s: float) -> None:
    turn = Turn(0.0, 100.0, Manner(round(spacing_s * NS)), exact=False)
    passage, line = Passage(turn, FREE), FREE._replace(origin_ns=0)
    struck = [NoteOn(i * NS // max(notes_per_s, 4), 60, 80) for i in range(count)]
    passage.add([event for on in struck for event in (on, NoteOff(on.time_ns + MS, 60))], line)
    length_ns = line.time_ns(passage.length(Pace(notes_per_s), line))
    onsets = [i * length_ns + on.time_ns for i in range(30) for on in struck]
    if count <= notes_per_s or max(notes_per_s, 4) == notes_per_s:
        assert all(b - a >= NS for a, b in zip(onsets, onsets[notes_per_s:], strict=False))
