"""What was played, in a file: read back, the notes lie where they were played."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from improv.midi import files, wire
from improv.midi.frames import Sent
from improv.midi.log import Gave, Step
from improv.midi.recorder import Recorder
from improv.music.conductor import Change, Conductor
from improv.music.events import (
    Ask,
    Beat,
    ClockOffset,
    FreeWheel,
    InputLost,
    Late,
    NoteOff,
    NoteOn,
    Pedal,
    Retime,
    Tap,
    Tick,
    Transport,
)
from improv.music.timeline import TICKS_PER_BEAT, Timeline

MS = 1_000_000
BEGIN_NS = 3_141_592_653_589  # of the session: no clock begins at 0
TICK = 1 / 960  # of a beat: what a file holds


class Session:
    """A recorder, and the beat as the engine tells it to the recorder."""

    def __init__(self, bpm: float | None = None, metre: tuple[int, int] = (4, 4), source: str = "internal") -> None:
        self.recorder = Recorder()
        self.conductor = Conductor(source, bpm, metre)

    def hear(self, event: NoteOn | NoteOff | Pedal | Ask | Beat | InputLost | Late) -> None:
        self.recorder.take(Step(event.time_ns, event))
        changes: list[Change | FreeWheel | None] = []
        if isinstance(event, NoteOn | Ask):
            changes = [self.conductor.begin(event.time_ns)]
        elif isinstance(event, Beat):
            changes = [*self.conductor.hear(event)]
        played = [Retime(event.time_ns, change.line) for change in changes if isinstance(change, Change)]
        self.recorder.take(Gave(tuple(played)))

    def play(self, pitch: int, on_ns: int, length_ns: int = 50 * MS) -> None:
        self.hear(NoteOn(on_ns, pitch, 64))
        self.hear(NoteOff(on_ns + length_ns, pitch))

    def send(self, pitch: int, on_ns: int, length_ns: int = 50 * MS) -> None:
        """The machine plays."""
        self.recorder.take(Sent(on_ns, on_ns, wire.spell(NoteOn(0, pitch, 64), 2)))
        self.recorder.take(Sent(on_ns, on_ns + length_ns, wire.spell(NoteOff(0, pitch), 2)))

    def at(self, beat: float) -> int:
        """By the beat now."""
        assert self.conductor.line is not None
        return self.conductor.line.time_ns(beat * TICKS_PER_BEAT)

    def written(self, folder: Path) -> files.Score:
        path = folder / "session.mid"
        assert self.recorder.write(path)
        return files.read(path)


def onsets(score: files.Score) -> list[NoteOn]:
    return [event for event in score.events if isinstance(event, NoteOn)]


def line_at(score: files.Score, time_ns: int) -> Timeline:
    return [line for line in score.timelines if line.origin_ns <= time_ns][-1]


def beats(score: files.Score) -> dict[int, float]:
    """Where each pitch begins, in beats of the file."""
    return {note.pitch: line_at(score, note.time_ns).beat(note.time_ns) for note in onsets(score)}


def in_bar(score: files.Score, pitch: int) -> float:
    """How many beats after the bar line."""
    (note,) = (note for note in onsets(score) if note.pitch == pitch)
    line = line_at(score, note.time_ns)
    return (line.beat(note.time_ns) - line.bar_beat) % line.bar_beats


def near(beat: float) -> object:
    return pytest.approx(beat, abs=1.5 * TICK)


def test_where_nothing_happened_nothing_is_written(tmp_path: Path) -> None:
    session = Session(120.0)
    session.hear(Tick(0))
    assert not session.recorder.write(tmp_path / "session.mid") and not list(tmp_path.iterdir())


def test_a_free_session_keeps_real_seconds(tmp_path: Path) -> None:
    session = Session()
    times_ms = [0, 333, 1_001, 4_567, 60_089, 600_007]
    session.hear(Pedal(BEGIN_NS - 40 * MS, True))
    for number, time_ms in enumerate(times_ms):
        session.play(60 + number, BEGIN_NS + time_ms * MS)
    score = session.written(tmp_path)
    assert [note.time_ns / MS for note in onsets(score)] == pytest.approx(times_ms, abs=0.6)
    assert [type(event) for event in score.events[:2]] == [Pedal, NoteOn]


@pytest.mark.parametrize("bpm", [37.7, 120.0, 173.21, 400.0])
def test_notes_on_the_beat_lie_on_the_beat_whatever_the_tempo(tmp_path: Path, bpm: float) -> None:
    session = Session(bpm)
    session.play(40, BEGIN_NS)
    session.play(41, session.at(2.0))
    session.send(60, session.at(5.5))
    session.send(61, session.at(1003.25))
    score = session.written(tmp_path)
    assert beats(score) == {40: near(0.0), 41: near(2.0), 60: near(5.5), 61: near(1003.25)}
    assert score.metric and [line.bpm for line in score.timelines] == [pytest.approx(bpm, rel=1e-5)]


@pytest.mark.parametrize("metre", [(3, 4), (6, 8), (5, 4)])
def test_the_file_begins_with_the_bar_of_the_first_note(tmp_path: Path, metre: tuple[int, int]) -> None:
    session = Session(source="link")
    session.hear(Retime(BEGIN_NS, Timeline(100.0, BEGIN_NS, 1000.7, True, 0.0, metre), jump=True))
    bar_beats = metre[0] * 4 / metre[1]
    first = (1000.7 // bar_beats + 2) * bar_beats
    session.play(60, session.at(first + 1.5))
    session.play(61, session.at(first + bar_beats))
    score = session.written(tmp_path)
    assert beats(score) == {60: near(1.5), 61: near(bar_beats)} and in_bar(score, 61) == near(0.0)
    assert score.timelines[-1].metre == metre


def test_a_bar_that_began_before_the_clock_was_heard(tmp_path: Path) -> None:
    """The song goes on from amid a bar, and the first note comes before its end."""
    session = Session(source="link")
    session.hear(Ask(BEGIN_NS - 777 * MS))
    session.hear(Retime(BEGIN_NS, Timeline(90.0, BEGIN_NS, 6.3, metric=True), jump=True))
    assert session.conductor.line is not None
    top = session.conductor.line.bar_beat
    session.play(60, session.at(top + 6.5))
    session.play(61, session.at(top + 9.0))
    assert beats(session.written(tmp_path)) == {60: near(2.5), 61: near(5.0)}


def test_a_change_of_tempo_moves_no_note_off_its_beat(tmp_path: Path) -> None:
    session = Session(120.0, source="link")
    song = Timeline(120.0, BEGIN_NS, 0.0, metric=True)
    session.hear(Retime(BEGIN_NS, song, jump=True))
    session.play(60, song.time_ns(0))
    session.send(61, song.time_ns(2 * TICKS_PER_BEAT))
    for beat, bpm, pitch in ((2.5, 61.3, 62), (7.0, 200.0, 63), (9.125, 199.0, 64), (9.5, 90.0, 65)):
        time_ns = session.at(beat)
        session.hear(Retime(time_ns, Timeline(bpm, time_ns, beat, metric=True)))
        session.send(pitch, session.at(beat + 0.25))
    session.send(66, session.at(40.0))
    score = session.written(tmp_path)
    assert beats(score) == {
        pitch: near(beat)
        for pitch, beat in ((60, 0.0), (61, 2.0), (62, 2.75), (63, 7.25), (64, 9.375), (65, 9.75), (66, 40.0))
    }
    assert [note.time_ns for note in onsets(score)] == pytest.approx(
        [event.time_ns for part in session.recorder.parts() for event in part if isinstance(event, NoteOn)],
        abs=2 * MS,
    )


def test_micro_corrections_leave_notes_on_the_beat_and_the_file_small(tmp_path: Path) -> None:
    session = Session(source="link")
    session.hear(Retime(BEGIN_NS, Timeline(120.0, BEGIN_NS, 0.0, metric=True), jump=True))
    for number in range(1, 100):
        time_ns = BEGIN_NS + number * 250 * MS
        wrong = (number * 7 % 5 - 2) * 0.0005
        session.hear(Retime(time_ns, Timeline(120 + wrong * 20, time_ns, number / 2 + wrong, metric=True)))
        session.send(60 + number % 50, session.at(number / 2 + 0.25), 20 * MS)
    score = session.written(tmp_path)
    assert len(score.timelines) == 1
    assert all(note.time_ns / MS == pytest.approx(375 + 250 * n, abs=4) for n, note in enumerate(onsets(score)))


def test_a_change_of_the_offset_leaves_what_was_before(tmp_path: Path) -> None:
    """The beat is moved from then on, though its timeline counts from long ago."""
    session = Session(120.0)
    session.play(60, BEGIN_NS)
    session.send(61, session.at(3.0))
    session.hear(ClockOffset(BEGIN_NS + 2_100 * MS, 40 * MS))
    session.send(62, session.at(8.0))
    assert beats(session.written(tmp_path)) == {60: near(0.0), 61: near(3.0), 62: near(8.0)}


def test_an_offset_from_the_start_leaves_the_machine_on_the_beat(tmp_path: Path) -> None:
    session = Session(120.0)
    session.conductor = Conductor("internal", 120.0, (4, 4), offset_ns=50 * MS)
    session.play(60, BEGIN_NS)
    session.send(61, session.at(3.0))
    score = session.written(tmp_path)
    assert in_bar(score, 61) == near(3.0) and in_bar(score, 60) == near(3.9)


def test_an_offset_that_is_turned_fast_runs_no_beat_backwards(tmp_path: Path) -> None:
    session = Session(400.0)
    session.play(60, BEGIN_NS)
    for number in range(128):
        time_ns = BEGIN_NS + 600 * MS + number * MS // 2
        session.hear(ClockOffset(time_ns, (number - 64) * MS))
        session.send(61 + number % 40, time_ns, MS // 4)
    session.send(50, session.at(9.0))
    assert beats(session.written(tmp_path))[50] == near(9.0)


@pytest.mark.parametrize("stood_ms", [5, 130, 1_777, 30_000])
def test_the_beat_is_kept_across_a_stop(tmp_path: Path, stood_ms: int) -> None:
    session = Session(130.0)
    session.play(60, BEGIN_NS)
    session.play(61, session.at(3.0))
    stop_ns = session.at(4.6)
    session.hear(Transport(stop_ns))
    free = [stop_ns + stood_ms * MS * share // 10 for share in (1, 4, 9)]
    for pitch, time_ns in zip((62, 63, 64), free, strict=True):
        session.play(pitch, time_ns, MS)
    session.hear(Transport(stop_ns + stood_ms * MS))  # goes on from 4.6
    line = session.conductor.line
    assert line is not None
    song = {beat: line.bar_beat + beat for beat in (5.0, 6.25, 12.0)}
    for pitch, beat in zip((65, 66, 67), song.values(), strict=True):
        session.send(pitch, session.at(beat))
    score = session.written(tmp_path)
    found = beats(score)
    assert found[61] == near(3.0)
    assert all(found[pitch] % 1 == near(beat % 1) for pitch, beat in zip((66, 67), (6.25, 12.0), strict=True))
    assert found[67] - found[65] == near(7.0)
    assert in_bar(score, 67) == near(0.0)  # after a bar line of the song, the file's bars are the song's
    if stood_ms > 1000:  # what is played freely takes its time
        times = {note.pitch: note.time_ns for note in onsets(score)}
        truly = [BEGIN_NS, *free]
        assert [times[pitch] / MS for pitch in (60, 62, 63, 64)] == pytest.approx(
            [(time_ns - BEGIN_NS) / MS for time_ns in truly], abs=2
        )
        assert (times[67] - times[64]) / MS == pytest.approx((session.at(song[12.0]) - free[2]) / MS, abs=2)


@pytest.mark.parametrize("stood_ns", [0, 100])
def test_a_stop_that_takes_no_time_is_none(tmp_path: Path, stood_ns: int) -> None:
    session = Session(130.0)
    session.play(60, BEGIN_NS)
    stop_ns = session.at(4.6)
    session.hear(Transport(stop_ns))
    session.hear(Transport(stop_ns + stood_ns))
    session.send(61, session.at(6.25))
    assert beats(session.written(tmp_path))[61] == near(6.25)


def test_a_change_of_tempo_before_the_next_bar_line_moves_no_note(tmp_path: Path) -> None:
    """After a stop amid a bar, the bars of the file begin anew with the song's next one."""
    session = Session(120.0)
    session.play(60, BEGIN_NS)
    session.hear(Transport(session.at(1.5)))
    session.hear(Transport(BEGIN_NS + 2_000 * MS))  # goes on from 1.5
    line = session.conductor.line
    assert line is not None
    song = line.bar_beat
    taps_ns = [session.at(song + 1.5) + n * 300 * MS for n in range(3)]
    for tap_ns in taps_ns:
        session.hear(Tap(tap_ns))
    assert session.conductor.line is not None and session.conductor.line.bpm == pytest.approx(200)
    line = session.conductor.line
    first = math.ceil(line.beat(taps_ns[-1])) + 0.25
    for pitch, beat in ((61, first), (62, first + 0.5), (63, first + 5.0)):
        session.send(pitch, session.at(beat))
    score = session.written(tmp_path)
    found = beats(score)
    assert [found[pitch] % 1 for pitch in (61, 62, 63)] == [near(0.25), near(0.75), near(0.25)]
    assert found[63] - found[61] == near(5.0)
    assert in_bar(score, 63) == near((first + 5.0 - line.bar_beat) % 4)


def test_a_free_beginning_keeps_its_seconds_and_the_beat_that_follows_lies_on_the_grid(tmp_path: Path) -> None:
    session = Session()
    session.hear(Ask(BEGIN_NS - 4_321 * MS))
    free_ms = [0, 411, 977, 3_003]
    for pitch, time_ms in zip(range(40, 44), free_ms, strict=True):
        session.play(pitch, BEGIN_NS + time_ms * MS)
    taps_ns = [BEGIN_NS + 4_200 * MS + n * 600 * MS for n in range(3)]
    for tap_ns in taps_ns:
        session.hear(Tap(tap_ns))
    for pitch, beat in ((60, 1), (61, 2), (62, 6)):  # the first tap is the first beat of a bar
        session.send(pitch, taps_ns[2] + beat * 600 * MS)
    score = session.written(tmp_path)
    found = beats(score)
    assert [note.time_ns / MS for note in onsets(score)[:4]] == pytest.approx(free_ms, abs=1)
    assert [found[pitch] % 1 for pitch in (60, 61, 62)] == [near(0.0)] * 3
    assert in_bar(score, 61) == near(0.0) and in_bar(score, 62) == near(0.0)
    assert onsets(score)[4].time_ns / MS == pytest.approx(6_000, abs=2)


def test_what_is_held_ends_when_the_input_is_lost_or_the_session_ends(tmp_path: Path) -> None:
    session = Session()
    session.hear(NoteOn(BEGIN_NS, 60, 64))
    session.hear(Pedal(BEGIN_NS, True))
    session.hear(InputLost(BEGIN_NS + 500 * MS))
    session.hear(NoteOn(BEGIN_NS + 1_000 * MS, 62, 64))
    session.play(64, BEGIN_NS + 2_000 * MS)
    score = session.written(tmp_path)
    assert score.stuck == 0
    ends = {event.pitch: event.time_ns // MS for event in score.events if isinstance(event, NoteOff)}
    assert ends == {60: 500, 62: 2_050, 64: 2_050}


def test_what_the_outlet_sends_ahead_is_no_time_of_the_players(tmp_path: Path) -> None:
    session = Session(source="link")
    session.hear(Retime(BEGIN_NS, Timeline(120.0, BEGIN_NS, 0.0, metric=True), jump=True))
    session.play(60, BEGIN_NS)
    session.hear(Late(BEGIN_NS + 2_000 * MS, BEGIN_NS, 30 * MS, 125 * MS, 0, ended=False))
    time_ns = BEGIN_NS + 1_500 * MS
    session.hear(Retime(time_ns, Timeline(60.0, time_ns, 3.0, metric=True)))
    session.send(61, session.at(3.25))
    assert beats(session.written(tmp_path))[61] == near(3.25)


CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["tempo", "stop", "go", "note", "offset"]),
        st.integers(1, 900),
        st.floats(30, 390),
        st.integers(-63, 63),
    ),
    max_size=12,
)


@settings(max_examples=40)
@given(CHANGES)
def test_whatever_the_beat_does_the_file_can_be_read_and_holds_every_note(
    tmp_path_factory: pytest.TempPathFactory, changes: Sequence[tuple[str, int, float, int]]
) -> None:
    session, now = Session(source="link"), BEGIN_NS
    session.play(40, now, MS)
    for number, (kind, after_ms, bpm, offset_ms) in enumerate(changes):
        now += after_ms * MS
        if kind == "note":
            session.play(60 + number, now, MS)
        elif kind == "offset":
            session.hear(ClockOffset(now, offset_ms * MS))
        else:
            line = Timeline(bpm, now, bpm, metric=kind != "stop")
            session.hear(Retime(now, line, jump=kind != "tempo"))
        session.send(80 + number, now, MS)
    score = session.written(tmp_path_factory.mktemp("session"))
    assert len(onsets(score)) == 1 + len(changes) + sum(kind == "note" for kind, *_ in changes)
    origins = [line.origin_ns for line in score.timelines]
    assert origins == sorted(origins)
