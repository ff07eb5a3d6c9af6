"""A line about each turn, when it is over."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

import pytest

from improv.engine import Engine
from improv.live.commentary import Commentary
from improv.midi import wire
from improv.midi.frames import Sent
from improv.midi.log import Gave, Record, Silence, Step
from improv.music.events import (
    ForgetMe,
    Freeze,
    Halt,
    Heard,
    LoopThat,
    Mark,
    Mute,
    NoteOff,
    NoteOn,
    OutLatency,
    Panic,
    Retime,
    SetMode,
    Steer,
    Tap,
    Transport,
    TurnBegins,
    Undo,
    Yield,
)
from improv.music.hands import Turn
from improv.music.musicianship import Musicianship, Time
from improv.music.schedule import is_note_on
from improv.music.steering import Steering
from improv.music.timeline import NS, Timeline
from tests.nets import lively
from tests.stage import Stage, every, played_on

MS = NS // 1000
LINE = Timeline(120.0, NS, metric=True)


@dataclass
class Standing:
    """How things stand in an engine."""

    resting: bool = False
    playing: bool = False
    in_phrase: bool = True
    exchanged: bool = True
    muted: bool = False
    looping: bool = False
    freezing: bool = False
    mode: str = "call"
    steering: Steering = field(default_factory=Steering)


def commenting(engine: Standing, said: list[str]) -> Commentary:
    return Commentary(cast(Engine, engine), said.append)


def test_a_turn_is_told_when_the_engine_rests() -> None:
    said: list[str] = []
    engine = Standing(resting=True)
    commentary = commenting(engine, said)

    def heard(event: NoteOn | NoteOff) -> None:
        commentary.take(Step(event.time_ns, event))

    def sent(event: NoteOn | NoteOff, late_ns: int) -> None:
        commentary.take(Sent(event.time_ns - late_ns, event.time_ns, wire.spell(event, 2)))

    for n in range(4):
        heard(NoteOn(n * NS, 60 + n, 64))
        heard(NoteOff(n * NS + 500 * MS, 60 + n))
    engine.resting, engine.in_phrase, engine.playing = False, False, True
    commentary.take(Step(5 * NS))
    commentary.take(Gave((TurnBegins(5 * NS), NoteOn(6 * NS, 72, 64))))
    sent(NoteOn(6 * NS, 72, 64), MS // 4)
    sent(NoteOff(7 * NS, 72), 9 * MS)  # of a note's end it is not told
    commentary.take(Step(7 * NS))
    assert said == []
    engine.resting = True
    commentary.take(Step(8 * NS))
    commentary.take(Step(9 * NS))
    assert said == ["heard 4 notes in 3.5 s, answered 1 note in 1.0 s, sent at most 0.25 ms late"]


def test_a_turn_that_is_broken_off_is_told_once() -> None:
    said: list[str] = []
    commentary = commenting(Standing(), said)
    commentary.take(Gave((TurnBegins(NS),)))
    commentary.take(Gave((Yield(2 * NS),)))
    commentary.take(Silence(3 * NS))
    commentary.end_turn()
    commentary.end_turn()
    assert said == ["played 0 notes in 0.0 s, sent at most 0.00 ms late"]


def test_what_is_marked_is_told_where_there_is_something_to_mark() -> None:
    said: list[str] = []
    engine = Standing(exchanged=False)
    commentary = commenting(engine, said)
    commentary.take(Step(NS, Mark(NS, True)))
    engine.exchanged = True
    for good in (True, False):
        commentary.take(Step(3 * NS, Mark(3 * NS, good)))
    assert said == ["the last exchange was good", "the last exchange was bad"]


@pytest.mark.parametrize("gone", [ForgetMe, Undo])
def test_nothing_is_said_of_an_exchange_that_never_was(gone: type[ForgetMe | Undo]) -> None:
    marks = [Mark(9 * NS, True), gone(10 * NS), Mark(11 * NS, True), Mark(12 * NS, False)]
    said = [line for line in on_stage([*lick(0, 4), *marks]) if "exchange" in line]
    assert said == ["the last exchange was good"]


def on_stage(heard: list[Heard], mode: str = "call") -> list[str]:
    """What is said of it."""
    stage = Stage(lively(), Musicianship(time=Time(mode=mode)))
    engine = stage.play([], 0).engine
    said: list[str] = []
    commentary = Commentary(engine, said.append)
    stage.keepers.append(commentary.take)
    stage.play(heard)
    commentary.end_turn()
    return said


def lick(begin_s: int, notes: int) -> list[Heard]:
    """Four notes a second, from so long after the first second on."""
    return played_on(LINE, every(0.5, 2 * begin_s, 2 * begin_s + notes / 2))


def test_what_a_panic_ended_was_no_part_of_the_next_phrase() -> None:
    (line,) = on_stage([*lick(0, 4), Panic(NS * 41 // 20), *lick(2, 8)])
    assert line.startswith("heard 8 notes in 1.9 s, answered ")


def test_what_was_played_while_it_was_muted_is_no_part_of_the_next_phrase() -> None:
    first, second, line = on_stage([Mute(NS), *lick(2, 5), *lick(10, 6), Mute(20 * NS), *lick(22, 8)])
    assert (first, second) == ("mute is on", "mute is off")
    assert line.startswith("heard 8 notes in 1.9 s, answered ")


def test_notes_too_few_for_an_answer_are_no_part_of_the_next_phrase() -> None:
    (line,) = on_stage([*lick(0, 1), *lick(5, 8)])
    assert line.startswith("heard 8 notes in 1.9 s, answered ")


def test_in_a_duet_it_is_told_beside_how_many_notes_it_played() -> None:
    said = on_stage([*lick(0, 40), *lick(30, 24)], "duet")
    assert all(line.startswith("played ") for line in said)
    assert [line.partition(" beside your ")[2].partition(",")[0] for line in said] == ["40", "24"]


def test_what_it_goes_on_from_was_heard_and_the_rest_it_plays_beside() -> None:
    (line,) = on_stage([*lick(0, 8), *lick(6, 5), Halt(12 * NS)], "continue")
    assert line.startswith("heard 8 notes in 1.9 s, played ") and " beside your 5, sent at most " in line


def test_on_the_stage_each_answer_is_told_with_all_its_notes() -> None:
    stage = Stage(lively(), Musicianship(time=Time("internal")))
    engine = stage.play([], 0).engine
    said: list[str] = []
    commentary = Commentary(engine, said.append)
    stage.keepers.append(commentary.take)
    show = stage.play(played_on(LINE, [*every(0.5, 0, 8), *every(0.5, 40, 44), *every(0.5, 46, 48)]))
    assert len(said) == engine.answers - 1 >= 1  # live the heart beats on: the last one is told as well
    commentary.end_turn()
    answered = [int(line.split("answered ")[1].split()[0]) for line in said]
    heard = [int(line.split()[1]) for line in said]
    assert sum(answered) == sum(is_note_on(sent.message) for sent in show.sent)
    assert sum(heard) == 16 + 8 + 4


CALM: list[Turn] = [SetMode(0, "duet"), Steer(0, "temperature", 0.8), Steer(0, "density", 0.5)]
SAFE: list[Turn] = [Steer(0, "temperature", 0.8)]


def switched(heard: list[Heard], beat: bool = False) -> list[tuple[float, str]]:
    """What is said to be on or off, and in which second, where a heart beats four times in one."""
    time = Time("internal", bpm=120.0) if beat else Time()
    stage = Stage(lively(), Musicianship(time=time))
    said: list[tuple[float, str]] = []
    now = [0]
    commentary = Commentary(
        stage.play([], 0).engine, lambda line: said.append((now[0] / NS, line)), {"calm": CALM, "safe": SAFE}
    )

    def take(record: Record) -> None:
        if isinstance(record, Step):
            now[0] = record.now_ns
        commentary.take(record)

    stage.keepers.append(take)
    hearts: list[Heard] = [OutLatency(n * NS // 4 + 1, 0) for n in range(80)]
    stage.play(sorted([*hearts, *heard], key=lambda event: event.time_ns))
    return [(second, line) for second, line in said if line.endswith((" on", " off"))]


def test_what_is_switched_is_told_as_it_happens() -> None:
    presses = [Freeze(10 * NS), Mute(11 * NS), Panic(12 * NS), Mute(13 * NS), Freeze(14 * NS), SetMode(15 * NS, "duet")]
    assert [line for _, line in switched(presses)] == [
        "freeze is on", "mute is on", "mute is off", "freeze is off", "mode duet is on"
    ]  # fmt: skip
    assert switched([SetMode(NS, "call")]) == []


def test_a_mute_is_told_when_it_falls() -> None:
    said = switched([*lick(0, 1), Mute(NS * 11 // 5), Mute(NS * 21 // 5)], beat=True)  # bars of 2 s from 1 s on
    assert [line for _, line in said] == ["mute is on", "mute is off"]
    assert [round(second, 1) for second, _ in said] == [3.0, 5.0]


def test_a_loop_is_told_and_what_ends_it() -> None:
    said = switched([*lick(0, 4), LoopThat(8 * NS), Halt(12 * NS)])
    assert [line for _, line in said] == ["loop is on", "loop is off"]


def test_a_preset_is_told_at_once_whatever_it_turns_and_again_when_a_knob_leaves_it() -> None:
    press = [turn._replace(time_ns=10 * NS) for turn in [*CALM[1:], CALM[0]]]
    said = [line for _, line in switched([*press, Steer(12 * NS, "density", 2.0)])]
    assert said == ["mode duet is on", "preset calm is on", "preset safe is on", "preset calm is off"]


def told(*records: Record) -> list[str]:
    said: list[str] = []
    commentary = commenting(Standing(), said)
    for record in records:
        commentary.take(record)
    return said


def runs(bpm: float, jump: bool = False) -> Gave:
    return Gave((Retime(0, Timeline(bpm, metric=True), jump),))


STANDS = Gave((Retime(0, Timeline(), jump=True),))


def test_a_beat_that_begins_and_ends_is_told() -> None:
    said = told(STANDS, runs(120.04), STANDS, STANDS, runs(120.04, jump=True))
    assert said == ["the clock runs: 120.0 bpm", "the clock stands", "the clock runs: 120.0 bpm"]


def test_a_jump_is_told_only_with_another_tempo() -> None:
    assert told(runs(120), runs(121, jump=True), runs(122, jump=True)) == [
        "the clock runs: 120.0 bpm",
        "the clock runs: 122.0 bpm",
    ]


def test_a_tempo_that_changes_by_and_by_is_told_at_the_next_answer() -> None:
    ramp = [runs(100 + n / 10) for n in range(201)]
    said = told(*ramp, Gave((TurnBegins(NS),)), Gave((TurnBegins(2 * NS),)))
    assert [line for line in said if "clock" in line] == ["the clock runs: 100.0 bpm", "the clock runs: 120.0 bpm"]


def test_taps_are_told_by_their_tempo_where_it_is_new() -> None:
    tap = Step(NS, Tap(NS))
    assert told(tap, runs(120.1), tap, runs(120.9), tap, runs(122), Step(NS, Transport(NS)), STANDS) == [
        "tapped: 120.1 bpm",
        "tapped: 122.0 bpm",
        "the clock stands",
    ]


def test_on_the_stage_three_taps_and_a_stop_are_told() -> None:
    stage = Stage(lively(), Musicianship(time=Time("internal")))
    stage.keepers.append((commentary := commenting(Standing(resting=True), said := [])).take)
    stage.play([*(Tap(n * NS // 2) for n in range(1, 7)), Transport(4 * NS)])
    commentary.end_turn()
    assert said == ["tapped: 120.0 bpm", "the clock stands"]


def test_without_a_beat_nothing_is_told_of_one() -> None:
    stage = Stage(lively(), Musicianship(time=Time("internal")))
    stage.keepers.append(commenting(Standing(), said := []).take)
    stage.play(played_on(LINE, every(0.5, 0, 8)))
    assert not [line for line in said if "bpm" in line or "clock" in line]
