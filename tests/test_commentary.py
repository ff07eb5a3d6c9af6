"""A line about each turn, when it is over."""

from __future__ import annotations

from improv.live.commentary import Commentary
from improv.midi import wire
from improv.midi.frames import Sent
from improv.midi.log import Gave, Record, Silence, Step
from improv.music.events import Mark, NoteOff, NoteOn, Retime, Tap, Transport, TurnBegins, Yield
from improv.music.musicianship import Musicianship, Time
from improv.music.schedule import is_note_on
from improv.music.timeline import NS, Timeline
from tests.nets import lively
from tests.stage import Stage, every, played_on

MS = NS // 1000
LINE = Timeline(120.0, NS, metric=True)


def test_a_turn_is_told_when_the_engine_rests() -> None:
    said: list[str] = []
    resting = [True]
    commentary = Commentary(lambda: resting[0], said.append)

    def heard(event: NoteOn | NoteOff) -> None:
        commentary.take(Step(event.time_ns, event))

    def sent(event: NoteOn | NoteOff, late_ns: int) -> None:
        commentary.take(Sent(event.time_ns - late_ns, event.time_ns, wire.spell(event, 2)))

    for n in range(4):
        heard(NoteOn(n * NS, 60 + n, 64))
        heard(NoteOff(n * NS + 500 * MS, 60 + n))
    resting[0] = False
    commentary.take(Step(5 * NS))
    commentary.take(Gave((TurnBegins(5 * NS), NoteOn(6 * NS, 72, 64))))
    sent(NoteOn(6 * NS, 72, 64), MS // 4)
    sent(NoteOff(7 * NS, 72), 9 * MS)  # of a note's end it is not told
    commentary.take(Step(7 * NS))
    assert said == []
    resting[0] = True
    commentary.take(Step(8 * NS))
    commentary.take(Step(9 * NS))
    assert said == ["heard 4 notes in 3.5 s, answered 1 note in 1.0 s, sent at most 0.25 ms late"]


def test_a_turn_that_is_broken_off_is_told_once() -> None:
    said: list[str] = []
    commentary = Commentary(lambda: False, said.append)
    commentary.take(Gave((TurnBegins(NS),)))
    commentary.take(Gave((Yield(2 * NS),)))
    commentary.take(Silence(3 * NS))
    commentary.end_turn()
    commentary.end_turn()
    assert said == ["played 0 notes in 0.0 s, sent at most 0.00 ms late"]


def test_what_is_marked_is_told_where_there_is_something_to_mark() -> None:
    said: list[str] = []
    commentary = Commentary(lambda: False, said.append)
    commentary.take(Step(NS, Mark(NS, True)))
    commentary.take(Gave((TurnBegins(2 * NS),)))
    for good in (True, False):
        commentary.take(Step(3 * NS, Mark(3 * NS, good)))
    assert said == ["the last exchange was good", "the last exchange was bad"]


def test_on_the_stage_each_answer_is_told_with_all_its_notes() -> None:
    stage = Stage(lively(), Musicianship(time=Time("internal")))
    engine = stage.play([], 0).engine
    said: list[str] = []
    commentary = Commentary(lambda: engine.resting, said.append)
    stage.keepers.append(commentary.take)
    show = stage.play(played_on(LINE, [*every(0.5, 0, 8), *every(0.5, 40, 44), *every(0.5, 46, 48)]))
    assert len(said) == engine.answers - 1 >= 1  # live the heart beats on: the last one is told as well
    commentary.end_turn()
    answered = [int(line.split("answered ")[1].split()[0]) for line in said]
    heard = [int(line.split()[1]) for line in said]
    assert sum(answered) == sum(is_note_on(sent.message) for sent in show.sent)
    assert sum(heard) == 16 + 8 + 4


def told(*records: Record) -> list[str]:
    said: list[str] = []
    commentary = Commentary(lambda: False, said.append)
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
    stage.keepers.append((commentary := Commentary(lambda: True, (said := []).append)).take)
    stage.play([*(Tap(n * NS // 2) for n in range(1, 7)), Transport(4 * NS)])
    commentary.end_turn()
    assert said == ["tapped: 120.0 bpm", "the clock stands"]


def test_without_a_beat_nothing_is_told_of_one() -> None:
    stage = Stage(lively(), Musicianship(time=Time("internal")))
    stage.keepers.append(Commentary(lambda: False, (said := []).append).take)
    stage.play(played_on(LINE, every(0.5, 0, 8)))
    assert not [line for line in said if "bpm" in line or "clock" in line]
