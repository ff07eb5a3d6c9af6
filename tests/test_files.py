"""MIDI files in and out, the bad ones included."""

from __future__ import annotations

import io
from pathlib import Path

import mido
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from improv.midi import files
from improv.music.events import NoteOff, NoteOn, Pedal
from improv.music.timeline import NS, Timeline


def midi(*tracks: list[mido.Message | mido.MetaMessage], ppqn: int = 480) -> bytes:
    file = mido.MidiFile(ticks_per_beat=ppqn)
    file.tracks.extend(mido.MidiTrack(track) for track in tracks)
    data = io.BytesIO()
    file.save(file=data)
    return data.getvalue()


def note(pitch: int, wait: int, length: int, channel: int = 0) -> list[mido.Message]:
    return [
        mido.Message("note_on", note=pitch, velocity=70, channel=channel, time=wait),
        mido.Message("note_off", note=pitch, channel=channel, time=length),
    ]


GOOD = midi([*note(60, 0, 240), *note(62, 240, 240)])


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "empty"),
        (b"hello", "not a MIDI file"),
        (GOOD[:-9], "truncated"),
        (GOOD[:20], "truncated"),
        (midi([]), "no notes"),
        (midi(note(40, 0, 10, channel=9)), "only drums"),
        (midi([mido.MetaMessage("set_tempo", tempo=0), *note(60, 0, 10)]), "tempo of 0"),
        (GOOD[:12] + b"\xe7\x28" + GOOD[14:], "division"),
        (GOOD[:12] + b"\0\0" + GOOD[14:], "division"),
    ],
)
def test_a_bad_file_is_one_clear_sentence(data: bytes, why: str) -> None:
    with pytest.raises(files.BadMidi, match=why):
        files.read(data)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255), st.integers(0, len(GOOD)))
def test_no_damage_is_a_traceback(place: int, value: int, cut: int) -> None:
    damaged = bytearray(GOOD)
    damaged[place] = value
    for data in (bytes(damaged), bytes(damaged[:cut])):
        try:
            score = files.read(data)
        except files.BadMidi:
            continue
        assert score.events


def test_note_on_with_velocity_0_is_a_note_off() -> None:
    data = midi([mido.Message("note_on", note=60, velocity=70), mido.Message("note_on", note=60, velocity=0, time=480)])
    assert files.read(data).events == [NoteOn(0, 60, 70), NoteOff(NS // 2, 60)]


def test_stuck_notes_and_pedals_end_with_the_file() -> None:
    data = midi(
        [
            mido.Message("control_change", control=64, value=127),
            mido.Message("note_on", note=60, velocity=70),
            *note(64, 480, 480),
        ]
    )
    score = files.read(data)
    assert score.stuck == 2
    assert score.events[-2:] == [NoteOff(NS, 60), Pedal(NS, False)]


def test_drums_and_other_instruments_stay_out_where_there_is_a_piano() -> None:
    bass = [mido.Message("program_change", program=33, channel=1), *note(36, 0, 10, channel=1)]
    score = files.read(midi(note(60, 0, 10), bass, note(38, 0, 10, channel=9)))
    assert {event.pitch for event in score.events if isinstance(event, NoteOn)} == {60}


def test_without_a_piano_every_pitched_part_is_heard() -> None:
    bass = [mido.Message("program_change", program=33, channel=1), *note(36, 0, 10, channel=1)]
    score = files.read(midi(bass, note(38, 0, 10, channel=9)))
    assert {event.pitch for event in score.events if isinstance(event, NoteOn)} == {36}


def test_the_tempo_map_gives_the_times() -> None:
    tempi = [mido.MetaMessage("set_tempo", tempo=500_000), mido.MetaMessage("set_tempo", tempo=1_000_000, time=480)]
    score = files.read(midi(tempi, [*note(60, 480, 480), *note(62, 0, 480)]))
    assert [event.time_ns for event in score.events] == [NS // 2, NS * 3 // 2, NS * 3 // 2, NS * 5 // 2]
    assert [(line.bpm, line.origin_beat) for line in score.timelines] == [(120, 0), (60, 1)]


def test_free_playing_has_no_beat_and_a_grid_does() -> None:
    free = [message for i in range(60) for message in note(60 + i % 12, 97 + i * 37 % 83, 61)]
    assert not files.read(midi(free)).metric
    late = [message for i in range(60) for message in note(60 + i % 12, 60 + (7 if i == 0 else 0), 60)]
    assert files.read(midi(late)).metric  # a constant offset is still a grid


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    line = Timeline(bpm=90, metric=True, metre=(6, 8))
    events = [NoteOn(0, 60, 70), Pedal(NS // 3, True), NoteOff(NS * 2 // 3, 60), NoteOn(NS * 4 // 3, 64, 80)]
    events += [Pedal(NS * 5 // 3, False), NoteOff(NS * 2, 64)]
    path = tmp_path / "a.mid"
    files.write(path, [files.Part("player", 1, events)], [line])
    score = files.read(path)
    assert [(type(a), a[1:]) for a in score.events] == [(type(b), b[1:]) for b in events]
    assert all(abs(a.time_ns - b.time_ns) < 400_000 for a, b in zip(score.events, events, strict=True))
    assert score.timelines[0].metre == (6, 8)
    assert [p.name for p in tmp_path.iterdir()] == ["a.mid"]


def test_a_zero_length_note_is_heard_and_ends() -> None:
    score = files.read(midi([*note(60, 0, 0), *note(62, 480, 10)]))
    assert score.events[:2] == [NoteOn(0, 60, 70), NoteOff(0, 60)]
    assert score.stuck == 0


def test_a_wait_of_days_is_written_and_read_back(tmp_path: Path) -> None:
    """More ticks than one message of a file can hold."""
    late_ns = 100 * 3600 * NS
    path = tmp_path / "days.mid"
    events = [NoteOn(0, 60, 80), NoteOff(NS, 60), NoteOn(late_ns, 62, 80), NoteOff(late_ns + NS, 62)]
    lines = [Timeline(), Timeline(90.0, late_ns, Timeline().beat(late_ns), metric=True)]
    files.write(path, [files.Part("player", 1, events)], lines)
    assert [event.time_ns for event in files.read(path).events] == pytest.approx([e.time_ns for e in events], abs=NS)
