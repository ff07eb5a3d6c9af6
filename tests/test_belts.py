"""Belts: what no answer exceeds, whatever the network draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given as for_all
from hypothesis import settings
from hypothesis import strategies as st

from improv.config import Settings
from improv.engine import Engine
from improv.midi import files
from improv.midi.frames import Sent
from improv.music.belts import Belts, Pace
from improv.music.events import Ask, Halt, Heard, LoopThat, NoteOff, NoteOn, Pedal, Retime, TurnBegins
from improv.music.grid import Grid
from improv.music.musicianship import Musicianship, Time
from improv.music.schedule import is_note_on
from improv.music.timeline import NS, Timeline
from improv.net import codec
from improv.net.stream import Net
from improv.render import perform
from tests.nets import FlatNet, MadNet, lively
from tests.stage import Faults, Show, Stage, every, notes, played_on
from tests.test_render import render, seed
from tests.test_time import ASKS, BY_HAND, KEYS, SESSION, SETTINGS, SHIFTS, TUNES, Act, happening, script

MS = NS // 1000
TOLERANCE_NS = 1000  # times are whole nanoseconds
TIGHT = Belts(3, 9, 71, 50, 70, 0.4, 2.5)
BELTS = st.builds(
    Belts,
    voices=st.integers(1, 6),
    notes_per_s=st.integers(1, 12),
    loudest=st.integers(2, 127),
    lowest=st.integers(0, 64),
    highest=st.integers(64, 127),
    longest_note_s=st.sampled_from([0.25, 0.6, 3.0]),
    longest_answer_s=st.sampled_from([1.0, 2.5, 7.0]),
)


def keep(belts: Belts, show: Show, acts: Sequence[Act] = ()) -> None:
    """What was sent keeps to all belts, and every note ends. A loop lasts until it is ended."""
    begun = [one.due_ns for one in show.sent if is_note_on(one.message)]
    pitches = [one.message[1] for one in show.sent if is_note_on(one.message)]
    assert all(belts.lowest <= pitch <= belts.highest for pitch in pitches)
    assert all(one.message[2] <= belts.loudest for one in show.sent if is_note_on(one.message))
    assert most_voices(show.sent) <= belts.voices
    apart = [later - sooner for sooner, later in zip(begun, begun[belts.notes_per_s :], strict=False)]
    assert min(apart, default=NS) >= NS - TOLERANCE_NS
    played = notes(show.sent)
    longest_ns = max((note.off.due_ns - note.on.due_ns for note in played), default=0)
    assert longest_ns <= belts.longest_note_s * NS + TOLERANCE_NS
    if any(kind == "loop" for kind, _, _ in acts):
        return
    turns = [gave.event for gave in show.gave if isinstance(gave.event, TurnBegins)]
    for turn, end_ns in zip(turns, [*(later.time_ns for later in turns[1:]), 1 << 62], strict=False):
        answer = [note for note in played if turn.time_ns <= note.on.due_ns < end_ns]
        if answer and not turn.beside:
            lasts_ns = max(note.off.due_ns for note in answer) - min(note.on.due_ns for note in answer)
            assert lasts_ns <= belts.longest_answer_s * NS + TOLERANCE_NS


def most_voices(sent: Sequence[Sent]) -> int:
    most, sounding = 0, set[int]()
    for one in sent:
        (sounding.add if is_note_on(one.message) else sounding.discard)(one.message[1])
        most = max(most, len(sounding))
    return most


def answered(net: Net, belts: Belts, time: Time, heard: Sequence[Heard], seed: int = 0) -> Show:
    show = Stage(net, Musicianship(belts=belts, time=time, seed=seed)).play(heard)
    assert any(is_note_on(one.message) for one in show.sent)
    keep(belts, show)
    return show


@settings(max_examples=150, deadline=None)
@for_all(BELTS, SETTINGS, st.integers(0, 400), script(TUNES, TUNES, KEYS, ASKS, ASKS))
def test_no_network_breaks_a_belt(belts: Belts, time: Time, seed: int, acts: list[Act]) -> None:
    heard = happening(acts)
    show = Stage(MadNet(seed), Musicianship(belts=belts, time=time, seed=seed)).play(heard)
    assert show.engine.resting
    keep(belts, show, acts)


def test_a_loop_of_what_was_cut_short_shares_its_second() -> None:
    asks = [Ask(NS), Halt(NS + 20 * MS), LoopThat(NS + 30 * MS)]
    loops = [*asks, LoopThat(4 * NS), Ask(4 * NS + 100 * MS)]  # and so does the answer after it
    for notes_per_s in (1, 3):
        belts = replace(TIGHT, notes_per_s=notes_per_s)
        show = Stage(eager(), Musicianship(belts=belts)).play(loops, 9 * NS)
        keep(belts, show, [("loop", 0, 0)])
        assert sum(one.due_ns > 4 * NS + 100 * MS for one in show.sent if is_note_on(one.message)) >= 2


def test_a_note_beside_the_player_is_no_longer_for_being_planned_anew() -> None:
    belts = Belts(voices=6, notes_per_s=6, lowest=0, highest=64, longest_note_s=0.6)
    beat = Time(bpm=70.0, grid=Grid(48, 1.0), mode="duet")
    heard = [NoteOn(NS, 60, 70), *played_on(Timeline(100.0, NS + 10 * MS), every(1 / 3, 0, 8))]
    for dice in range(8):
        keep(belts, Stage(MadNet(dice), Musicianship(belts=belts, time=beat, seed=dice)).play(heard))


@settings(max_examples=60, deadline=None)
@for_all(SETTINGS, st.integers(0, 400), script(TUNES, TUNES, KEYS, ASKS, BY_HAND))
def test_nor_one_of_the_belts_that_are_set_by_default(time: Time, seed: int, acts: list[Act]) -> None:
    heard = happening([act for act in acts if act[0] != "tap"])
    show = Stage(MadNet(seed), Musicianship(time=time, seed=seed)).play(heard, heard[-1].time_ns + 150 * NS)
    keep(Belts(), show, acts)


@settings(max_examples=60, deadline=None)
@for_all(
    BELTS,
    SETTINGS,
    st.integers(0, 400),
    script(TUNES, TUNES, ASKS, SHIFTS, SESSION),
    st.lists(st.tuples(st.integers(0, 9_000), st.integers(10, 300)), max_size=3),
)
def test_where_the_beat_moves_and_all_is_late_it_is_neither_thicker_nor_louder_nor_beyond_the_range(
    belts: Belts, time: Time, seed: int, acts: list[Act], stalls: list[tuple[int, int]]
) -> None:
    stalls_ns = sorted((NS + from_ms * MS, for_ms * MS) for from_ms, for_ms in stalls)
    musicianship = Musicianship(belts=belts, time=replace(time, source="link", bpm=None), seed=seed)
    stage = Stage(MadNet(seed), musicianship, Faults(outlet_stalls=stalls_ns, engine_stalls=stalls_ns))
    show = stage.play(happening(acts))
    notes(show.sent)  # each onset has its end
    strokes = [one.message for one in show.sent if is_note_on(one.message)]
    assert all(belts.lowest <= pitch <= belts.highest and velocity <= belts.loudest for _, pitch, velocity in strokes)
    assert most_voices(show.sent) <= belts.voices


def test_a_note_that_is_drawn_before_the_tempo_falls_does_not_end_before_it_begins() -> None:
    belts = Belts(voices=1, notes_per_s=1, highest=64, lowest=0, longest_note_s=0.25, longest_answer_s=2.5)
    fast, slow = Timeline(188.0, NS, 8.0, metric=True), Timeline(106.0, 3584 * MS, 16.1, metric=True)
    heard = [Retime(NS, fast, jump=True), Ask(2774 * MS), Retime(3584 * MS, slow)]
    for dice in range(20):
        musicianship = Musicianship(belts=belts, time=Time(source="link", grid=Grid(48, 0.3)), seed=dice)
        notes(Stage(MadNet(dice), musicianship).play(heard).sent)  # each onset has its end


def chords(count: int, voices: int, begin_ns: int = NS, spacing_ns: int = 100 * MS) -> list[Heard]:
    heard: list[Heard] = []
    for i in range(count):
        on_ns = begin_ns + i * spacing_ns
        heard += [NoteOn(on_ns, 40 + 3 * voice, 90) for voice in range(voices)]
        heard += [NoteOff(on_ns + spacing_ns - 20 * MS, 40 + 3 * voice) for voice in range(voices)]
    return heard


def eager() -> FlatNet:
    """It strikes whatever it may as soon as it may, and never lets go by itself."""
    net = FlatNet(np.linspace(0, -1000, codec.DTS).astype(np.float32))
    net.what = lambda hidden, dt, phase: np.where(np.arange(codec.WHATS) < codec.OFF, 50.0, -50.0).astype(np.float32)
    return net


FREE, GRIDDED = Time(), Time(bpm=96.0, grid=Grid(12, 1.0))


@pytest.mark.parametrize("time", [FREE, GRIDDED, Time(bpm=96.0, grid=Grid(16, 0.5), mode="trade", bars=1)])
@pytest.mark.parametrize("voices", [1, 2, 5])
def test_so_many_voices_and_no_more(time: Time, voices: int) -> None:
    show = answered(eager(), replace(Belts(), voices=voices), time, chords(30, 6))
    assert most_voices(show.sent) == voices


@pytest.mark.parametrize("time", [FREE, GRIDDED])
@pytest.mark.parametrize("notes_per_s", [1, 5, 40])
def test_so_many_notes_a_second_and_no_more(time: Time, notes_per_s: int) -> None:
    belts = replace(Belts(), notes_per_s=notes_per_s, longest_note_s=0.25)
    begun = [one.due_ns for one in answered(eager(), belts, time, chords(40, 9)).sent if is_note_on(one.message)]
    assert max(sum(0 <= other - one < NS for other in begun) for one in begun) == notes_per_s


def test_an_answer_that_follows_hard_on_another_shares_its_second() -> None:
    """What never sounded of the first does not count."""
    first = chords(30, 6)
    asks = [Ask(first[-1].time_ns + ms * MS) for ms in (100, 250, 260)]  # the second one stops it
    show = answered(eager(), replace(Belts(), notes_per_s=4), FREE, [*first, *asks])
    begun = [one.due_ns for one in show.sent if is_note_on(one.message)]
    assert begun[3] < asks[1].time_ns < asks[2].time_ns < begun[0] + NS <= begun[4] < begun[0] + NS + 50 * MS


@pytest.mark.parametrize("time", [FREE, GRIDDED, Time(bpm=20.0)])
@pytest.mark.parametrize("longest_note_s", [0.25, 1.0])
def test_a_note_that_is_held_for_ever_is_ended(time: Time, longest_note_s: float) -> None:
    show = answered(eager(), replace(Belts(), longest_note_s=longest_note_s), time, chords(60, 3))
    lengths_s = [(note.off.due_ns - note.on.due_ns) / NS for note in notes(show.sent)]
    assert max(lengths_s) > 0.5 * longest_note_s


@pytest.mark.parametrize("time", [FREE, GRIDDED, Time(bpm=40.0), Time(bpm=100.0, mode="trade", bars=4)])
@pytest.mark.parametrize("longest_answer_s", [1.0, 4.0])
def test_an_answer_is_no_longer_than_that(time: Time, longest_answer_s: float) -> None:
    heard = [*chords(80, 2), *chords(80, 2, 10 * NS)]
    show = answered(lively(), replace(Belts(), longest_answer_s=longest_answer_s), time, heard)
    lasts_s = (notes(show.sent)[-1].off.due_ns - notes(show.sent)[0].on.due_ns) / NS
    assert lasts_s > 0.3 * longest_answer_s


def test_where_there_are_bars_a_long_answer_still_ends_on_a_bar_line() -> None:
    heard = chords(95, 2)
    show = answered(lively(), replace(Belts(), longest_answer_s=6.5), Time(bpm=120.0, enter="bar"), heard)
    over_ns = max(note.off.due_ns for note in notes(show.sent)) - heard[0].time_ns
    assert 0 < -over_ns % (2 * NS) < 700 * MS


def test_a_slower_beat_makes_neither_the_notes_to_come_nor_the_answer_longer() -> None:
    fast, slow = Timeline(240.0, NS, 0.0, True), Timeline(40.0, 13 * NS, 48.0, True)
    heard = [Retime(NS, fast), *played_on(fast, every(0.5, 0, 40)), Retime(13 * NS, slow)]
    belts = replace(Belts(), longest_note_s=0.5, longest_answer_s=6.0)
    show = Stage(eager(), Musicianship(belts=belts, time=Time(source="link"))).play(heard)
    played = notes(show.sent)
    unplanned = [note for note in played if note.on.due_ns > 16 * NS]  # half a second, now three, was decided before
    later = [note.off.due_ns - note.on.due_ns for note in unplanned]
    assert later and max(later) <= NS // 2
    assert played[-1].off.due_ns - played[0].on.due_ns <= 6 * NS


def test_the_belts_hold_offline_too() -> None:
    belts = TIGHT
    engine = Engine(MadNet(3), Musicianship(belts=belts, listens_for_the_end=False))
    played = perform(engine, [*chords(40, 5), Ask(6 * NS, like_ns=5 * NS)])
    strokes = [event for event in played if isinstance(event, NoteOn)]
    assert strokes and all(50 <= note.pitch <= 70 and note.velocity <= 71 for note in strokes)
    assert played[-1].time_ns - strokes[0].time_ns <= 2.5 * NS


def test_the_network_that_ships_plays_one_voice_on_a_bass_synthesiser(tmp_path: Path) -> None:
    config, out = tmp_path / "bass.yaml", tmp_path / "out.mid"
    config.write_text("belts: {voices: 1, notes_per_s: 6, loudest: 100, lowest: 28, highest: 55, longest_note_s: 0.5}")
    render(seed(tmp_path), "-o", out, "--config", config, "--notes", 40, "--only-answer", "--temperature", 2)
    score, sounding = files.read(out), set[int]()
    for event in score.events:
        if isinstance(event, NoteOn):
            assert not sounding and 28 <= event.pitch <= 55 and event.velocity <= 100
            sounding.add(event.pitch)
        elif isinstance(event, NoteOff):
            sounding.discard(event.pitch)
    onsets = [event.time_ns for event in score.events if isinstance(event, NoteOn)]
    assert len(onsets) == 40
    assert all(later - sooner >= NS - MS for sooner, later in zip(onsets, onsets[6:], strict=False))


def test_a_length_that_is_asked_for_may_be_longer() -> None:
    engine = Engine(lively(), Musicianship(belts=TIGHT, listens_for_the_end=False))
    played = perform(engine, [*chords(20, 2), Ask(5 * NS, length_ns=8 * NS)])
    assert played[-1].time_ns > 12 * NS


def test_a_pedal_that_makes_the_player_thick_does_not_make_the_answer_so() -> None:
    heard = [Pedal(NS // 2, True), *chords(8, 20, spacing_ns=200 * MS), Pedal(3 * NS, False)]
    assert most_voices(answered(eager(), Belts(), FREE, heard).sent) == Belts().voices


def test_each_belt_reaches_the_engine() -> None:
    assert replace(Settings(), belts=TIGHT).musicianship(0).belts == TIGHT
    assert Settings().musicianship(0).belts == Belts()


def test_a_pace_is_that_of_any_second() -> None:
    pace = Pace(3)
    assert pace.next_ns() is None
    for time_ns in (5, 6, 7):
        pace.begin(time_ns)
    assert pace.next_ns() == NS + 5
    pace.begin(8)
    assert pace.next_ns() == NS + 6
    pace.take_back(6)
    assert pace.next_ns() is None  # the first two are left
    pace.begin(9)
    assert pace.next_ns() == NS + 5
    pace.forget_before(6)
    assert pace.next_ns() is None


def test_notes_that_keep_to_it_by_themselves_wait_for_those_before() -> None:
    pace = Pace(3)
    assert pace.wait_ns([0, 1, 2]) == 0
    for time_ns in (5, 9):
        pace.begin(time_ns)
    assert pace.wait_ns([10, 11]) == NS - 6  # the second is the fourth
    assert pace.wait_ns([10, 12, 15]) == NS - 6  # and so is the third after the 9
    assert pace.wait_ns([10, NS + 6, NS + 8]) == 1
    assert pace.wait_ns([10, NS + 6, NS + 9]) == 0


@settings(max_examples=300, deadline=None)
@for_all(st.sampled_from([48, 24, 16, 12, 8, 6]), st.floats(0, 1), st.integers(0, 100), st.lists(st.integers(0, 100)))
def test_a_grid_never_turns_notes_around(step: int, strength: float, earliest: int, after: list[int]) -> None:
    grid = Grid(step, strength)
    onsets = [grid.onset(earliest + ticks, earliest) for ticks in sorted(after)]
    assert onsets == sorted(onsets)
    assert all(onset >= earliest - 1e-6 for onset in onsets)
