"""The beat is shared: whole exchanges on a stage, lists in, lists out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from math import ceil
from statistics import median

import numpy as np
import pytest
from hypothesis import given as for_all
from hypothesis import settings
from hypothesis import strategies as st

from improv.music.cue import LEAD_NS
from improv.music.events import (
    AnotherTake,
    Ask,
    ClockOffset,
    Continue,
    ForgetMe,
    FreeWheel,
    Freeze,
    Halt,
    Heard,
    InputLost,
    LoopThat,
    Mark,
    Mute,
    NoteOff,
    NoteOn,
    OutLatency,
    Panic,
    Pedal,
    Played,
    Retime,
    SetMode,
    SongPosition,
    Start,
    Stop,
    Tap,
    Tick,
    Transport,
    TurnBegins,
    Undo,
    VaryThat,
    Yield,
)
from improv.music.grid import Grid
from improv.music.musicianship import Musicianship, Time
from improv.music.timeline import NS, TICKS_PER_BEAT, Timeline
from improv.music.turns import MODES
from improv.net import codec
from tests import clocks
from tests.clocks import Take, ramp, steady
from tests.nets import FlatNet, lively
from tests.stage import Faults, Note, Show, Stage, every, notes, played_on

MS = NS // 1000
TIGHT = Time(source="link", enter="bar", grid=Grid(12, 1.0))
LOOSE = replace(TIGHT, grid=Grid(12, 0.0))
BY_CLOCK = replace(TIGHT, source="midi")
GRIDS = {"1/4": 48, "1/8": 24, "1/8t": 16, "1/16": 12, "1/16t": 8, "1/32": 6}
METRES = ((4, 4), (3, 4), (6, 8))


def link(bpm: float = 120.0, metre: tuple[int, int] = (4, 4)) -> Timeline:
    return Timeline(bpm, origin_ns=NS, metric=True, metre=metre)


def joins(line: Timeline, time_ns: int = 0) -> Retime:
    return Retime(time_ns, line, jump=True)


def stage(time: Time, net: FlatNet | None = None, seed: int = 0, latency_ns: int = 0, **faults: object) -> Stage:
    musicianship = Musicianship(time=time, seed=seed, out_latency_ns=latency_ns)
    return Stage(net or lively(), musicianship, Faults(**faults))  # type: ignore[arg-type]


def trading(time: Time, bars: int | None) -> Time:
    """The same, but that so many bars are traded, if any."""
    return time if bars is None else replace(time, mode="trade", bars=bars)


def given(show: Show, kind: type[Played]) -> list[Played]:
    return [gave.event for gave in show.gave if isinstance(gave.event, kind)]


def answer(show: Show) -> list[Note]:
    """The notes of the one answer."""
    assert len(given(show, TurnBegins)) == 1
    return notes(show.sent)


def check_it_is_decided(show: Show) -> None:
    latency_ns = 0
    for gave in show.gave:
        if isinstance(gave.event, OutLatency):
            latency_ns = gave.event.latency_ns
        elif isinstance(gave.event, NoteOn | NoteOff):
            assert gave.event.time_ns - latency_ns >= gave.step_ns


def state(show: Show) -> int:
    """How many tokens the network has read, and not unread."""
    stream = show.engine._improviser._soloist.stream
    assert stream is not None
    return int(stream.reading.state[0])


def on_grid(line: Timeline, time_ns: int, step_ticks: int = 12) -> bool:
    """To a microsecond."""
    position = line.position(time_ns)
    return abs(position - round(position / step_ticks) * step_ticks) / line.ticks_per_s * NS <= 1_000


def busy() -> FlatNet:
    """A network that plays at any distance up to an eighth, and loves three pitches, over and over."""
    dt = np.full(codec.DTS, -50.0, np.float32)
    dt[:24] = 0.0
    what = np.full(codec.WHATS, -6.0, np.float32)
    what[60:63] = what[codec.OFF + 60 : codec.OFF + 63] = 0.0
    net = FlatNet(dt)
    net.what = lambda hidden, dt, phase: what.copy()  # type: ignore[method-assign]
    return net


# Where an answer begins and ends


@pytest.mark.parametrize("metre", METRES)
@pytest.mark.parametrize("enter", ["beat", "bar", "now"])
def test_an_answer_begins_exactly_on_a_line(enter: str, metre: tuple[int, int]) -> None:
    line = link(100.0, metre)
    heard = played_on(line, every(0.5, 0, 5))
    ready_ns = heard[-1].time_ns + round(2.5 * 0.5 * 0.6 * NS) + LEAD_NS
    step = {"beat": line.pulse_beats, "bar": line.bar_beats, "now": 0.25}[enter]
    due_ns = line.time_ns(ceil(line.beat(ready_ns) / step) * step * TICKS_PER_BEAT)
    begins = answer(stage(replace(TIGHT, enter=enter, metre=metre)).play([joins(line), *heard]))[0].on
    assert (begins.due_ns, begins.sent_ns) == (due_ns, due_ns)


def test_the_internal_clock_begins_with_the_first_note() -> None:
    line = Timeline(90.0, origin_ns=7 * NS + 123, metric=True)
    show = stage(Time(bpm=90.0, enter="bar", grid=Grid(12, 1.0))).play(played_on(line, every(0.5, 0, 4)))
    assert answer(show)[0].on.sent_ns == line.time_ns(8 * TICKS_PER_BEAT)


def test_a_beat_and_a_bar_away_by_less_than_the_lead_is_not_waited_past() -> None:
    """A phrase that is over 10 ms before a line is answered on it."""
    line = link(120.0)
    heard = played_on(line, every(0.5, 0, 4))  # 625 ms of silence; a beat is 500 ms
    late_ns = line.time_ns(6 * TICKS_PER_BEAT) - 10 * MS - 625 * MS - heard[-1].time_ns
    heard[-1] = heard[-1]._replace(time_ns=heard[-1].time_ns + late_ns)
    show = stage(replace(TIGHT, enter="beat")).play([joins(line), *heard])
    assert answer(show)[0].on.sent_ns == line.time_ns(6 * TICKS_PER_BEAT)


@pytest.mark.parametrize("late_ms", [0, 20, 40, 52, 60, 80, 100, 120, 140])
@pytest.mark.parametrize("grid", [TIGHT.grid, Grid(12, 0.5), LOOSE.grid])
def test_without_waiting_it_begins_soon_but_not_before_it_was_decided(grid: Grid, late_ms: int) -> None:
    """The nearest line may be one that has gone by, and a lean to the front may lead there too."""
    line = link(60.0)
    heard = played_on(line, every(0.25, 0, 4), length=0.2, late_ns=-9 * MS)
    heard.append(Ask(heard[-1].time_ns + late_ms * MS))
    for enter in ("now", "beat"):
        show = stage(replace(TIGHT, enter=enter, grid=grid)).play([joins(line), *heard])
        check_it_is_decided(show)
        begins_ns = answer(show)[0].on.sent_ns
        assert begins_ns - heard[-1].time_ns <= (1100 if enter == "beat" else 300) * MS
        if grid.strength == 1:
            assert on_grid(line, begins_ns, 48 if enter == "beat" else 12)


@pytest.mark.parametrize("trade", [None, 1])
def test_a_line_that_is_gone_by_when_the_beat_moves_is_not_begun_on(trade: int | None) -> None:
    line = link()
    moves_ns = line.time_ns((4 if trade else 8) * TICKS_PER_BEAT) - 300 * MS
    heard = [joins(line), *played_on(line, every(0.5, 0, 3.5)), ClockOffset(moves_ns, -400 * MS)]
    show = stage(trading(TIGHT, trade)).play(heard)
    moved = line._replace(origin_ns=line.origin_ns - 400 * MS)
    begins_ns = answer(show)[0].on.sent_ns
    check_it_is_decided(show)
    assert not show.late and begins_ns > moves_ns and on_grid(moved, begins_ns, 48)


def test_what_is_played_while_an_answer_waits_for_its_line_belongs_to_the_phrase() -> None:
    line, net = link(), lively()
    heard = played_on(line, every(0.5, 0, 4.5))
    more = played_on(line, [7.0], pitch=90, length=0.1)  # after the silence that ends a phrase, before the bar line
    show = stage(TIGHT, net).play([joins(line), *heard, *more])
    assert answer(show)[0].on.sent_ns == line.time_ns(12 * TICKS_PER_BEAT)
    assert not given(show, Yield)
    assert max(note.pitch for note in notes(show.sent)) > 85  # in the register of the whole phrase
    assert [row[1] for row in net.read_tokens][19:21] == [90, codec.OFF + 90]


def test_an_answer_that_was_asked_for_waits_for_its_line_too() -> None:
    line, net = link(), lively()
    heard = [*played_on(line, every(0.5, 0, 4)), Ask(line.time_ns(5.2 * TICKS_PER_BEAT))]
    more = played_on(line, [6.0], length=0.1)
    show = stage(TIGHT, net).play([joins(line), *heard, *more])
    assert answer(show)[0].on.sent_ns == line.time_ns(8 * TICKS_PER_BEAT)
    assert not given(show, Yield)
    asked_again = [*heard, Ask(line.time_ns(6.2 * TICKS_PER_BEAT))]
    assert not stage(TIGHT).play([joins(line), *asked_again]).sent  # the second takes the first back


@pytest.mark.parametrize("metre", METRES)
@pytest.mark.parametrize("beats", [1.5, 3, 5, 8, 13])
@pytest.mark.parametrize("grid", [TIGHT.grid, LOOSE.grid])
def test_an_answer_ends_on_a_bar_line(grid: Grid, beats: float, metre: tuple[int, int]) -> None:
    """The one nearest to the length of the phrase, at least half a bar on; everything is released by then."""
    line = link(130.0, metre)
    playing = stage(replace(TIGHT, enter="beat", metre=metre, grid=grid))
    show = playing.play([joins(line), *played_on(line, every(0.5, 0, beats))])
    played = answer(show)
    begin = round(line.beat(played[0].on.due_ns), 2)
    bars = [bar * line.bar_beats for bar in range(20) if bar * line.bar_beats >= begin + line.bar_beats / 2]
    end = min(bars, key=lambda bar: abs(bar - begin - (beats - 0.1)))
    end_ns = line.time_ns(end * TICKS_PER_BEAT)
    assert max(note.off.sent_ns for note in played) <= end_ns
    assert max(note.on.sent_ns for note in played) >= end_ns - 1.5 * NS

    tick_ns = round(NS / line.ticks_per_s)  # the last before the line
    again = stage(replace(TIGHT, enter="beat", metre=metre, grid=grid))
    heard = [joins(line), *played_on(line, every(0.5, 0, beats))]
    assert not again.play(heard, end_ns - tick_ns - MS).engine.resting
    assert again.play([], end_ns - 1).engine.resting


# The grid


@pytest.mark.parametrize("metre", METRES)
@pytest.mark.parametrize("step", GRIDS.values(), ids=GRIDS.keys())
def test_every_onset_lies_on_the_grid(step: int, metre: tuple[int, int]) -> None:
    line = link(97.0, metre)
    for seed in range(3):
        time = replace(TIGHT, metre=metre, grid=Grid(step, 1.0), enter=("bar", "beat", "now")[seed])
        show = stage(time, busy(), seed).play([joins(line), *played_on(line, every(0.5, 0, 8))])
        played = answer(show)  # no note-off before its on, none struck while it sounds
        assert len(played) > 5
        assert all(on_grid(line, note.on.due_ns, step) for note in played)
        assert len({(note.pitch, note.on.due_ns) for note in played}) == len(played)
        assert all(note.off.due_ns > note.on.due_ns for note in played)
        sounding = set()
        for event in (gave.event for gave in show.gave if isinstance(gave.event, NoteOn | NoteOff)):
            assert (event.pitch in sounding) == isinstance(event, NoteOff)  # as the engine gave it, too
            sounding ^= {event.pitch}


def test_on_a_coarse_grid_at_a_slow_tempo_all_is_planned_ahead_and_in_order() -> None:
    """A note may sound half a second before the tick it was drawn for; what was planned before it has waited."""
    line = link(60.0)
    show = stage(replace(TIGHT, grid=Grid(48, 1.0)), busy()).play([joins(line), *played_on(line, every(0.5, 0, 8))])
    gave = [gave for gave in show.gave if isinstance(gave.event, NoteOn | NoteOff)]
    times = [one.event.time_ns for one in gave]
    assert times == sorted(times) and len(times) > 10
    later = [one for one in gave if one.event.time_ns > times[0] + NS]
    assert all(one.event.time_ns - one.step_ns >= NS // 2 for one in later)


def by_pitch(line: Timeline, played: Iterable[Note]) -> dict[int, list[tuple[float, float]]]:
    """Position and length of each note, in ticks."""
    found = defaultdict(list)
    for note in played:
        begin, end = line.position(note.on.due_ns), line.position(note.off.due_ns)
        found[note.pitch].append((begin, end - begin))
    return found


@pytest.mark.parametrize("step", [12, 16, 24])
def test_half_the_strength_goes_half_the_way_and_lengths_are_kept(step: int) -> None:
    line = link(97.0)
    dt = np.full(codec.DTS, -50.0, np.float32)
    dt[[0, 5, 7]] = 0.0
    shows = [
        answer(stage(replace(LOOSE, grid=Grid(step, strength)), FlatNet(dt)).play([joins(line), *heard]))
        for strength in (0.0, 0.5, 1.0)
        for heard in [played_on(line, every(0.5, 0, 8))]
    ]
    loose, half, tight = (by_pitch(line, show) for show in shows)
    end = max(line.position(note.off.due_ns) for note in shows[0])
    compared = 0
    for pitch, played in loose.items():
        for (begin, length), (half_begin, half_length), (tight_begin, tight_length) in zip(
            played, half[pitch], tight[pitch], strict=False
        ):
            if len(played) > 1 or begin + length + step > end:
                continue  # struck again, or cut at the end of the turn
            compared += 1
            assert abs(tight_begin - begin) <= step / 2 + 1e-3
            assert half_begin == pytest.approx((begin + tight_begin) / 2, abs=1e-3)
            assert half_length == pytest.approx(length, abs=1e-3) and tight_length == pytest.approx(length, abs=1e-3)
    assert compared > 5


@pytest.mark.parametrize("late_ms", [4.0, -4.0, 0.0])
def test_played_loosely_it_leans_as_the_player_does(late_ms: float) -> None:
    """At 60 bpm a tick is 20.8 ms long: what lies between two is no rounding error."""
    line = link(60.0)
    heard = played_on(line, every(0.25, 0, 4), length=0.2, late_ns=round(late_ms * MS))
    for note in answer(stage(LOOSE).play([joins(line), *heard])):
        position = line.position(note.on.due_ns - round(late_ms * MS))
        assert abs(position - round(position)) < 1e-3


def test_half_a_tick_early_is_half_a_tick_late() -> None:
    """The mean of offsets is one on a circle: of -9 ms and 9 ms, 20.8 ms around, it is 10.4 ms."""
    line = link(60.0)
    heard = [
        *played_on(line, every(0.5, 0, 4), length=0.2, late_ns=9 * MS),
        *played_on(line, every(0.5, 0.25, 4), length=0.2, late_ns=-9 * MS),
    ]
    heard.sort(key=lambda event: event.time_ns)
    for note in answer(stage(LOOSE).play([joins(line), *heard])):
        assert line.position(note.on.due_ns) % 1 == pytest.approx(0.5, abs=1e-3)


def test_free_time_has_no_grid() -> None:
    heard = played_on(Timeline(103.0, NS), every(0.5, 0, 6))
    show = stage(Time(grid=Grid(48, 1.0)), lively()).play(heard)
    free = stage(Time()).play(heard)
    assert show.sent == free.sent and len(show.sent) > 8


# The tempo changes


def in_beats(show: Show, lines: Sequence[Timeline]) -> list[tuple[float, int, float]]:
    """Onset, pitch and length of each note in beats, by the line in force when it was sent."""

    def beat(time_ns: int) -> float:
        return [line for line in lines if line.origin_ns <= time_ns][-1].beat(time_ns)

    found = []
    for note in notes(show.sent):
        begin = beat(note.on.sent_ns)
        found.append((round(begin, 4), note.pitch, round(beat(note.off.sent_ns) - begin, 4)))
    return sorted(found)


def changing(line: Timeline, tempi: Iterable[tuple[float, float]]) -> list[Timeline]:
    """From each beat on another tempo."""
    lines = [line]
    for beat, bpm in tempi:
        time_ns = lines[-1].time_ns(beat * TICKS_PER_BEAT)
        lines.append(lines[-1]._replace(bpm=bpm, origin_ns=time_ns, origin_beat=beat))
    return lines


@pytest.mark.parametrize(
    "tempi",
    [
        [(13.3, 90.0)],
        [(13.3, 170.0)],
        [(12.0 + i / 6, 60.0 + 5 * i) for i in range(24)],
        [(10.9 + i / 24, 120.0 - i / 2) for i in range(120)],
    ],
    ids=["jump down", "jump up", "ramp up", "ramp down"],
)
@pytest.mark.parametrize("grid", [TIGHT.grid, LOOSE.grid])
def test_what_is_still_to_come_bends_with_the_tempo(grid: Grid, tempi: list[tuple[float, float]]) -> None:
    """In beats the answer is the same as if nothing had changed: nothing is lost, nothing comes twice."""
    line = link(120.0)
    heard = played_on(line, every(0.5, 0, 8))
    lines = changing(line, tempi)
    retimes = [Retime(each.origin_ns, each) for each in lines[1:]]
    time = replace(TIGHT, grid=grid)
    still = in_beats(stage(time).play([joins(line), *heard]), [line])
    bent = in_beats(stage(time).play([joins(line), *heard, *retimes]), lines)
    assert len(still) > 10
    assert [pitch for _, pitch, _ in bent] == [pitch for _, pitch, _ in still]
    assert [begin for begin, _, _ in bent] == pytest.approx([begin for begin, _, _ in still], abs=2e-4)
    assert [length for _, _, length in bent] == pytest.approx([length for _, _, length in still], abs=2e-4)


# The transport


def at(take: Take, beat: float) -> int:
    """When a beat of the song truly is."""
    n = min(int(beat * clocks.PPQN), len(take.due_ns) - 2)
    sooner, later = take.due_ns[n : n + 2]
    return round(sooner + (beat * clocks.PPQN - n) * (later - sooner))


def tune(take: Take, begin: float, end: float, step: float = 0.5) -> list[Heard]:
    """The player plays on the master's true beat."""
    events: list[Heard] = []
    for i, beat in enumerate(every(step, begin, end)):
        pitch = 60 + (0, 4, 7, 5)[i % 4]
        events += [NoteOn(at(take, beat), pitch, 80), NoteOff(at(take, beat + 0.8 * step), pitch)]
    return events


def together(*parts: Iterable[Heard]) -> list[Heard]:
    """In the order of time; at one time the clock comes first."""
    return sorted((event for part in parts for event in part), key=lambda event: event.time_ns)


def until(events: Iterable[Heard], time_ns: int) -> list[Heard]:
    return [event for event in events if event.time_ns < time_ns]


def after(take: Take, time_ns: int) -> list[Heard]:
    return [event for event in take.events if event.time_ns >= time_ns]


def song(bpm: float = 120.0, beats: float = 40, **faults: object) -> Take:
    return clocks.played(steady(bpm, beats), lead=24, **faults)  # type: ignore[arg-type]


def test_stop_is_silence_at_once() -> None:
    take = song()
    stop_ns = at(take, 10.3)
    events = together(until(take.events, stop_ns), [Stop(stop_ns)], tune(take, 0, 4))
    show = stage(BY_CLOCK).play(events)
    assert given(show, Yield) == [Yield(stop_ns)]
    played = notes(show.sent)
    assert played and max(note.off.sent_ns for note in played) == stop_ns
    assert show.engine.line is not None and not show.engine.line.metric


def test_what_was_being_played_at_stop_gets_no_answer_and_free_time_does() -> None:
    take = song()
    stop_ns = at(take, 4.1)
    events = together(until(take.events, stop_ns), [Stop(stop_ns)], tune(take, 0, 4.5))
    assert not stage(BY_CLOCK).play(events).sent
    free = played_on(Timeline(100.0, stop_ns + 4 * NS), every(0.5, 0, 4))
    show = stage(BY_CLOCK).play([*events, *free])
    assert answer(show)[0].on.sent_ns < free[-1].time_ns + NS


def test_before_start_time_is_free() -> None:
    ticks = [Tick(NS + round(i * NS / 48)) for i in range(300)]
    free = played_on(Timeline(93.0, 2 * NS), every(0.5, 0, 4))
    show = stage(BY_CLOCK).play(together(ticks, free))
    assert answer(show)[0].on.sent_ns == given(show, TurnBegins)[0].time_ns + LEAD_NS


def test_continue_goes_on_and_is_answered_in_time() -> None:
    take = song(beats=16)
    stop_ns = at(take, 6.0) - 2 * MS
    rest_ns = 3 * NS + 77 * MS
    later = take._replace(due_ns=[due + rest_ns for due in take.due_ns])
    resumed = [event._replace(time_ns=event.time_ns + rest_ns) for event in after(take, stop_ns)]
    events = together(
        until(take.events, stop_ns), [Stop(stop_ns), Continue(at(later, 6.0) - 5 * MS)], resumed, tune(later, 8, 10)
    )
    begins_ns = answer(stage(BY_CLOCK).play(events))[0].on.sent_ns
    assert abs(begins_ns - at(later, 12)) < MS  # the song's bars, not those since Continue


def test_a_loop_of_whole_beats_does_not_stop_an_answer() -> None:
    take = song()
    loop_ns = at(take, 10.0) - 3 * MS
    heard = tune(take, 0, 4)
    looped = together(take.events, [SongPosition(loop_ns, 2 * 16)], heard)
    show, straight = stage(BY_CLOCK).play(looped), stage(BY_CLOCK).play(together(take.events, heard))
    assert not given(show, Yield)
    assert [one.message for one in show.sent] == [one.message for one in straight.sent] and len(show.sent) > 8
    assert [one.sent_ns for one in show.sent] == pytest.approx([one.sent_ns for one in straight.sent], abs=MS)


@pytest.mark.parametrize("jump", ["song position", "start"])
def test_a_jump_off_the_beat_ends_an_answer(jump: str) -> None:
    take = song()
    jump_ns = at(take, 10.25) - 3 * MS
    jumps: Heard = SongPosition(jump_ns, 32) if jump == "song position" else Start(jump_ns)
    show = stage(BY_CLOCK).play(together(take.events, [jumps], tune(take, 0, 4)))
    (yielded,) = given(show, Yield)
    assert abs(yielded.time_ns - at(take, 10.25)) < MS
    assert max(note.off.sent_ns for note in notes(show.sent)) == yielded.time_ns


def test_after_a_jump_the_network_stands_where_the_sound_stopped() -> None:
    line, net = link(), lively()
    jump_ns = line.time_ns(14.2 * TICKS_PER_BEAT)
    heard = [joins(line), *played_on(line, every(0.5, 0, 8))]
    playing = stage(TIGHT, net)
    sent = len(playing.play(heard, jump_ns - 1).sent)
    show = playing.play([Retime(jump_ns, line._replace(origin_beat=0.3), jump=True)], jump_ns + NS)
    assert given(show, Yield) == [Yield(jump_ns)]
    assert state(show) == 1 + 2 * 16 + len(show.sent) and len(show.sent) > sent


def test_start_ends_a_free_answer_and_what_follows_is_in_time() -> None:
    take = song()
    free = played_on(Timeline(110.0, NS - 6 * NS), every(0.5, 0, 6))
    lead = [event for event in take.events if event.time_ns < at(take, 0)]
    free = [event._replace(time_ns=event.time_ns + at(take, 0) - free[-1].time_ns - 1200 * MS) for event in free]
    show = stage(BY_CLOCK).play(together(free, take.events, tune(take, 1, 4)))
    assert lead and len(given(show, Yield)) == 1 and len(given(show, TurnBegins)) == 2
    second = [note for note in notes(show.sent) if note.on.sent_ns > at(take, 4)]
    assert abs(second[0].on.sent_ns - at(take, 8)) < MS


def test_a_phrase_across_start_is_answered_in_time() -> None:
    take = song()
    free = played_on(Timeline(120.0, at(take, 0) - NS), every(0.5, 0, 5))
    show = stage(BY_CLOCK).play(together(free, take.events))
    assert abs(answer(show)[0].on.sent_ns - at(take, 8)) < MS


# The clock has faults


CLOCKS = {
    "steady": (song(beats=36), 0.2),
    "lost": (song(beats=36, lost={30, 31, 100, 200, 290, 291, 292, 350}), 0.2),
    "doubled": (song(beats=36, doubled={60, 150, 260, 330}), 1.0),
    "jitter 1 ms": (song(beats=36, jitter_ms=1.0, seed=1), 1.0),
    "jitter 5 ms": (song(beats=36, jitter_ms=5.0, seed=2), 5.0),
    "stalled": (song(beats=36, stalled=range(280, 286)), 2.0),
    "stopped": (song(beats=36, lost=range(24 * 13, 24 * 17)), 0.5),
    "held up": (song(beats=36, stalled=range(24 * 13 + 5, 24 * 17 + 5)), 0.5),
    "ramp 60 to 180": (clocks.played(steady(60, 4) + ramp(60, 180, 16) + steady(180, 20), lead=24), 15.0),
    "jump 120 to 90": (clocks.played(steady(120, 14) + steady(90, 22), lead=24), 1.0),
}


@pytest.mark.parametrize("name", CLOCKS)
def test_an_exchange_keeps_to_the_masters_true_grid(name: str) -> None:
    take, most_ms = CLOCKS[name]
    show = stage(BY_CLOCK).play(together(take.events, tune(take, 0, 8)))
    played = answer(show)
    assert len(played) > 5
    assert [take.beat(note.on.sent_ns) for note in (played[0], played[-1])] == pytest.approx([12, 19], abs=1)
    for note in played:
        beat = take.beat(note.on.sent_ns)
        if name.startswith("jump") and 14 <= beat <= 16:
            continue  # locked within two beats
        assert abs(note.on.sent_ns - at(take, round(beat * 4) / 4)) <= most_ms * MS
    wheels = [wheel.lost for wheel in given(show, FreeWheel)]
    away = name in ("stopped", "held up")
    assert wheels[:2] == ([True, False] if away else [True])  # the song ends: its ticks stay away


def test_without_ticks_answers_go_on_in_time() -> None:
    """The master dies before the answer begins: it begins and ends where it should."""
    take = song()
    dies_ns = at(take, 4.5)
    show = stage(BY_CLOCK).play(together(until(take.events, dies_ns), tune(take, 0, 4)))
    played = answer(show)
    assert [wheel.lost for wheel in given(show, FreeWheel)] == [True]
    assert abs(played[0].on.sent_ns - at(take, 8)) <= 0.5 * MS
    assert all(abs(note.on.sent_ns - at(take, round(take.beat(note.on.sent_ns) * 4) / 4)) < MS for note in played)


# The player's own clock


def test_taps_turn_beats_on() -> None:
    taps = [Tap(2 * NS + i * 600 * MS) for i in range(4)]
    line = Timeline(100.0, 2 * NS, metric=True)
    show = stage(Time(enter="bar", grid=Grid(12, 1.0))).play([*taps, *played_on(line, every(0.5, 4, 8))])
    played = answer(show)
    assert played[0].on.sent_ns == line.time_ns(12 * TICKS_PER_BEAT)  # the first tap is the first of a bar
    assert all(on_grid(line, note.on.sent_ns) for note in played)


def test_taps_during_an_answer_bend_it() -> None:
    """Faster and faster: it goes on, on the beat that is tapped."""
    line = Timeline(100.0, 2 * NS, metric=True)
    taps = [Tap(line.time_ns(beat * TICKS_PER_BEAT)) for beat in (12, 13, 14)]
    quick = [Tap(taps[-1].time_ns + i * 500 * MS) for i in (1, 2)]
    heard = played_on(line, every(0.5, 0, 8))
    show = stage(Time(bpm=100.0, enter="bar", grid=Grid(12, 1.0))).play([*heard, *taps, *quick])
    assert not given(show, Yield)
    last = given(show, Retime)[-1].timeline
    late = [note for note in answer(show) if note.on.sent_ns > quick[-1].time_ns]
    assert late and all(on_grid(last, note.on.sent_ns) for note in late)


@pytest.mark.parametrize("bpm", [40.0, 60.0, 150.0])
def test_taps_that_move_the_beat_on_during_an_answer_pass_over_a_part_of_it(bpm: float) -> None:
    """It is not late: nothing else moves, and it ends where it was to end."""
    line = Timeline(bpm, NS, metric=True)
    time, heard = Time(bpm=bpm, enter="bar", grid=Grid(12, 1.0)), played_on(line, every(0.5, 0, 8))
    taps = [Tap(line.time_ns(beat * TICKS_PER_BEAT)) for beat in (12.55, 13.55, 14.55)]
    straight = notes(stage(time).play(heard).sent)
    show = stage(time).play(together(heard, taps))
    moved = given(show, Retime)[-1].timeline
    assert moved.beat(taps[-1].time_ns) == pytest.approx(15) and not show.late and not given(show, Yield)
    beats = [round(line.beat(note.on.sent_ns), 2) for note in straight]
    left = [beat for beat in beats if beat < 14.55 or beat >= 15]
    lines = [(moved if note.on.sent_ns >= taps[-1].time_ns else line) for note in answer(show)]
    assert [round(one.beat(note.on.due_ns), 2) for one, note in zip(lines, answer(show), strict=True)] == left
    assert len(beats) > len(left) > 10


def test_the_transport_stops_the_internal_clock_and_lets_it_go_on() -> None:
    line = Timeline(120.0, NS, metric=True)
    heard = played_on(line, every(0.5, 0, 4))
    stop, go = Transport(line.time_ns(9.5 * TICKS_PER_BEAT)), Transport(12 * NS)
    later = line._replace(origin_ns=go.time_ns, origin_beat=9.5)
    more = played_on(later, every(0.5, 12, 14))
    show = stage(Time(bpm=120.0, enter="bar", grid=Grid(12, 1.0))).play([*heard, stop, go, *more])
    assert given(show, Yield) == [Yield(stop.time_ns)]
    second = [note for note in notes(show.sent) if note.on.sent_ns > go.time_ns]
    assert second[0].on.sent_ns == later.time_ns(16 * TICKS_PER_BEAT)  # the bars go on where they stood


def test_tapped_bars_outlast_a_stop() -> None:
    """The first tap lay on no bar of the song, and is one after all: also after the transport stood."""
    taps = [Tap(2 * NS + i * 500 * MS) for i in range(3)]
    stop, go = Transport(3 * NS + 250 * MS), Transport(5 * NS)  # at beat 2.5 since the first tap
    later = Timeline(120.0, go.time_ns, 2.5, metric=True)
    show = stage(Time(enter="bar", grid=Grid(12, 1.0))).play([*taps, stop, go, *played_on(later, every(0.5, 4, 6))])
    assert answer(show)[0].on.sent_ns == later.time_ns(8 * TICKS_PER_BEAT)


# Early and late by intention


@pytest.mark.parametrize("offset_ms", [-30, 0, 45])
def test_a_clock_offset_moves_the_beat(offset_ms: int) -> None:
    line = link(110.0)
    time = replace(TIGHT, offset_ns=offset_ms * MS)
    moved = line._replace(origin_ns=line.origin_ns + offset_ms * MS)
    show = stage(time).play([joins(line), *played_on(line, every(0.5, 0.5, 4))])
    played = answer(show)
    assert played[0].on.sent_ns == moved.time_ns(8 * TICKS_PER_BEAT)
    assert all(on_grid(moved, note.on.sent_ns) for note in played)


@pytest.mark.parametrize("offset_ms", [-40, 40, -1300, 1300])
def test_an_offset_that_is_changed_moves_the_answer(offset_ms: int) -> None:
    """By whole beats nothing has to move but the bar lines."""
    line = link(120.0)
    time_ns = line.time_ns(13.4 * TICKS_PER_BEAT)
    show = stage(TIGHT).play([joins(line), *played_on(line, every(0.5, 0, 8)), ClockOffset(time_ns, offset_ms * MS)])
    moved = line._replace(origin_ns=line.origin_ns + offset_ms * MS)
    late = [note for note in answer(show) if note.on.sent_ns > time_ns]
    assert len(late) > 5 and all(on_grid(moved, note.on.sent_ns) for note in late)
    assert not given(show, Yield) and not show.late


@pytest.mark.parametrize("latency_ms", [0, 12, 300])
@pytest.mark.parametrize("time", [Time(), TIGHT, replace(TIGHT, mode="trade", bars=2)], ids=["free", "answer", "trade"])
def test_what_is_sent_early_is_decided_earlier(time: Time, latency_ms: int) -> None:
    line = link(120.0)
    heard = [joins(line)] if time.source == "link" else []
    playing = stage(time, latency_ns=latency_ms * MS)
    show = playing.play([*heard, *played_on(line, every(0.5, 0, 7.5))], 12 * NS)
    sent = {one.message: one for one in show.sent}
    assert len(sent) > 8 and not show.late
    assert all(one.sent_ns == one.due_ns for one in sent.values())
    due = [one.due_ns - latency_ms * MS for one in show.sent]
    assert [time_ns for time_ns, _ in playing.messages] == due
    gave = [(gave.event.time_ns, gave.step_ns) for gave in show.gave if isinstance(gave.event, NoteOn | NoteOff)]
    assert all(step_ns <= time_ns - latency_ms * MS for time_ns, step_ns in gave)
    ahead_ns = [time_ns - latency_ms * MS - step_ns for time_ns, step_ns in gave if time_ns > gave[0][0] + NS]
    assert ahead_ns and min(ahead_ns) >= NS // 2


def test_a_latency_can_be_set_while_an_answer_plays() -> None:
    line = link(120.0)
    heard = played_on(line, every(0.5, 0, 8))
    playing = stage(TIGHT)
    show = playing.play([joins(line), *heard, OutLatency(line.time_ns(13.1 * TICKS_PER_BEAT), 30 * MS)])
    early = {one.due_ns - time_ns for one, (time_ns, _) in zip(show.sent, playing.messages, strict=True)}
    assert {0, 30 * MS} <= early and len(answer(show)) > 8
    assert sorted(show.sent, key=lambda one: one.due_ns) == show.sent


def test_after_a_yield_with_latency_the_network_stands_where_the_sending_stopped() -> None:
    net, line = lively(), link(120.0)
    playing = stage(TIGHT, net, latency_ns=200 * MS)
    entry_ns = line.time_ns(14.2 * TICKS_PER_BEAT)
    show = playing.play([joins(line), *played_on(line, every(0.5, 0, 8)), NoteOn(entry_ns, 100, 90)], entry_ns - 1)
    sent = len(show.sent)
    playing.play([], entry_ns + 300 * MS)
    released = len(show.sent) - sent
    assert sent > 4 and released > 0
    assert state(show) == 1 + 2 * 16 + sent + released + 1


# The machine is late


def stalled(time: Time, for_ms: int, net: FlatNet | None = None, nth: int = 4) -> tuple[Show, Show, int]:
    """An answer on time, and the same with an outlet that stands still from just before its `nth` onset on."""
    line = link(120.0)
    heard: list[Heard] = [joins(line)] if time.source == "link" else []
    heard += played_on(line, every(0.5, 0, 10))
    on_time = stage(time, net).play(heard)
    onsets = sorted({note.on.due_ns for note in answer(on_time)})
    stall = (onsets[nth] - MS, for_ms * MS + MS)
    return on_time, stage(time, net, outlet_stalls=[stall]).play(heard), onsets[nth]


@pytest.mark.parametrize("time", [Time(), TIGHT], ids=["free", "in time"])
def test_a_little_late_is_sent_all_the_same(time: Time) -> None:
    on_time, late, _ = stalled(time, 18)
    assert not late.late
    assert [(one.message, one.due_ns) for one in late.sent] == [(one.message, one.due_ns) for one in on_time.sent]
    assert max(one.sent_ns - one.due_ns for one in late.sent) == 18 * MS


@pytest.mark.parametrize("for_ms", [40, 200])
@pytest.mark.parametrize("time", [Time(), TIGHT], ids=["free", "in time"])
def test_later_the_rest_of_the_answer_moves_whole(time: Time, for_ms: int) -> None:
    """In free time by as much as it was late, in time to the next line of the grid; durations are kept."""
    on_time, late, from_ns = stalled(time, for_ms)
    (notice,) = late.late
    wakes_ns = from_ns + for_ms * MS
    assert notice.late_ns == for_ms * MS and not notice.ended
    assert notice.shift_ns == (for_ms * MS if time.source == "internal" else ceil(for_ms / 125) * 125 * MS)
    expected = set()
    for note in notes(on_time.sent):
        shift_ns = notice.shift_ns if note.on.due_ns >= from_ns else 0
        off_ns = note.off.due_ns + shift_ns
        if from_ns - MS <= off_ns < wakes_ns:
            off_ns = wakes_ns  # nobody was awake
        expected.add((note.pitch, note.on.due_ns + shift_ns, off_ns))
    played = {(note.pitch, round(note.on.sent_ns, -2), round(note.off.sent_ns, -2)) for note in notes(late.sent)}
    expected = {(pitch, round(on_ns, -2), round(off_ns, -2)) for pitch, on_ns, off_ns in expected}
    assert played <= expected and len(played) == len(expected) - notice.thinned


def chords() -> FlatNet:
    """A network that plays chords of up to twelve notes and holds them."""
    dt = np.full(codec.DTS, -50.0, np.float32)
    dt[0], dt[24] = 0.0, -2.0
    return FlatNet(dt)


def chordal(line: Timeline) -> list[Heard]:
    parts = [played_on(line, every(1, 0, 8), pitch=pitch, length=0.8) for pitch in (40, 47, 55, 62, 79)]
    return sorted((event for part in parts for event in part), key=lambda event: event.time_ns)


def test_chords_lose_inner_notes_and_never_an_outer_one() -> None:
    line = link(120.0)
    heard = [joins(line), *chordal(line)]
    planned = answer(stage(TIGHT, chords()).play(heard))
    grouped = defaultdict(list)
    for note in planned:
        grouped[note.on.due_ns].append(note.pitch)
    torn_ns = next(time_ns for time_ns, pitches in sorted(grouped.items())[1:] if len(pitches) > 2)
    show = stage(TIGHT, chords(), outlet_stalls=[(torn_ns - MS, 60 * MS)]).play(heard)
    (notice,) = show.late
    played = notes(show.sent)
    assert notice.thinned > 0 and len(played) == len(planned) - notice.thinned
    moved = {note.on.sent_ns: [] for note in played}
    for note in played:
        moved[note.on.sent_ns].append(note.pitch)
    for time_ns, pitches in grouped.items():
        sounding = moved[time_ns + (notice.shift_ns if time_ns >= torn_ns else 0)]
        assert {min(pitches), max(pitches)} <= set(sounding) <= set(pitches)


@pytest.mark.parametrize("time", [Time(), TIGHT], ids=["free", "in time"])
def test_much_too_late_ends_the_answer_and_it_listens(time: Time) -> None:
    _, show, from_ns = stalled(time, 300)
    (notice,) = show.late
    assert notice.ended
    played = notes(show.sent)  # all are released
    assert max(note.on.sent_ns for note in played) < from_ns
    assert max(note.off.sent_ns for note in played) <= from_ns + 300 * MS
    assert show.engine.resting

    line = link(120.0)
    heard: list[Heard] = [joins(line)] if time.source == "link" else []
    heard += [*played_on(line, every(0.5, 0, 10)), *played_on(line, every(0.5, 40, 44))]
    again = stage(time, outlet_stalls=[(from_ns - MS, 301 * MS)]).play(heard)
    assert max(note.on.sent_ns for note in notes(again.sent)) > line.time_ns(44 * TICKS_PER_BEAT)


def test_after_a_shift_the_turn_ends_later_too() -> None:
    line = link(120.0)
    heard = [joins(line), *played_on(line, every(0.5, 0, 10))]
    _, show, from_ns = stalled(TIGHT, 60)
    end_ns = line.time_ns(20 * TICKS_PER_BEAT)
    late = stage(TIGHT, outlet_stalls=[(from_ns - MS, 61 * MS)])
    assert not late.play(heard, end_ns + show.late[0].shift_ns - 12 * MS).engine.resting
    assert late.play([], end_ns + show.late[0].shift_ns).engine.resting


def dense(time: Time, nth: int) -> bool:
    """Whether another note begins shortly before the `nth` onset."""
    on_time, _, from_ns = stalled(time, 1, nth=nth)
    return any(from_ns - 200 * MS < note.on.due_ns < from_ns for note in notes(on_time.sent))


@pytest.mark.parametrize("time", [Time(), replace(LOOSE, grid=Grid(48, 0.0))], ids=["free", "in time"])
@pytest.mark.parametrize("wait_ms", [5, 90, 333])
def test_a_yield_after_a_shift_rewinds_to_what_was_sent(time: Time, wait_ms: int) -> None:
    line, net = link(120.0), lively()
    heard: list[Heard] = [joins(line)] if time.source == "link" else []
    heard += played_on(line, every(0.5, 0, 10))
    nth = next(n for n in range(4, 99) if dense(time, n))
    _, _, from_ns = stalled(time, 40, nth=nth)
    playing = stage(time, net, outlet_stalls=[(from_ns - MS, 41 * MS)])
    entry_ns = from_ns + 40 * MS + wait_ms * MS
    show = playing.play([*heard, NoteOn(entry_ns, 100, 90)], entry_ns + 100 * MS)
    assert [late.thinned for late in show.late] == [0]  # or the count below is not known
    assert state(show) == 1 + 2 * 20 + len(show.sent) + 1


@pytest.mark.parametrize("time", [Time(), TIGHT], ids=["free", "in time"])
@pytest.mark.parametrize("step_ms", [8, 40, 90])
def test_a_slow_network_leaves_nothing_sounding(time: Time, step_ms: int) -> None:
    line = link(120.0)
    heard: list[Heard] = [joins(line)] if time.source == "link" else []
    heard += played_on(line, every(0.5, 0, 10))
    show = stage(time, step_ns=step_ms * MS).play(heard, 90 * NS)
    played = notes(show.sent)
    assert played
    if time.source == "link":
        ended_ns = {late.time_ns for late in show.late if late.ended}
        kept = [note for note in played if note.on.sent_ns - note.on.due_ns == 0]
        assert all(on_grid(line, note.on.due_ns) for note in kept) and (kept or ended_ns)


@pytest.mark.parametrize("for_ms", [200, 400])
def test_how_late_an_answer_was_that_he_stopped_does_not_touch_the_next(for_ms: int) -> None:
    """The outlet finds out when the next has been decided already."""
    heard = played_on(Timeline(120.0, NS), every(0.5, 0, 8))
    first_ns = stage(Time()).play(heard).sent[0].sent_ns
    stall = (first_ns + 400 * MS, for_ms * MS)
    asks = [Ask(sum(stall) - 40 * MS), Ask(sum(stall) - 10 * MS)]
    show = stage(Time(), outlet_stalls=[stall]).play([*heard, *asks])
    assert show.late and all(late.turn_ns < asks[1].time_ns <= late.time_ns for late in show.late)
    assert given(show, Yield) == [Yield(asks[0].time_ns)]
    over_ns = max(note.off.sent_ns for note in notes(show.sent))
    assert over_ns > asks[1].time_ns + NS
    playing = stage(Time(), outlet_stalls=[stall])
    assert not playing.play([*heard, *asks], over_ns - MS).engine.resting
    assert playing.play([], over_ns + MS).engine.resting


def test_late_wake_ups_of_the_outlet_are_as_late_and_no_later() -> None:
    line = link(120.0)
    heard = [joins(line), *played_on(line, every(0.5, 0, 10))]
    show = stage(TIGHT, outlet_late_ns=15 * MS).play(heard)
    late = [one.sent_ns - one.due_ns for one in show.sent]
    assert not show.late and median(late) > 0 and max(late) <= 15 * MS
    assert answer(show)


# The same again


@pytest.mark.parametrize("late_ms", [1, 7, 24])
@pytest.mark.parametrize("trade", [None, 1])
def test_however_late_it_is_woken_it_plays_the_same(trade: int | None, late_ms: int) -> None:
    take = song(beats=36, jitter_ms=1.0, seed=4)
    events = together(take.events, tune(take, 0, 4), tune(take, 17, 20), tune(take, 25.5, 28))
    time = trading(replace(BY_CLOCK, enter="beat"), trade)
    prompt = stage(time).play(events, at(take, 36))
    late = stage(time, engine_late_ns=late_ms * MS).play(events, at(take, 36))
    assert [one.message for one in late.sent] == [one.message for one in prompt.sent] and len(late.sent) > 20
    assert [one.due_ns for one in late.sent] == pytest.approx([one.due_ns for one in prompt.sent], abs=MS / 4)


def test_a_note_just_after_a_decision_comes_after_it_though_the_engine_slept() -> None:
    """The phrase is over and its answer decided: the note takes that back and begins another phrase."""
    first = played_on(Timeline(120.0, NS), every(0.5, 0, 10))
    over_ns = first[-2].time_ns + 937_500_000  # of silence from the last onset on
    second = played_on(Timeline(120.0, over_ns + 3 * MS), every(0.5, 0, 2.5))
    awake = stage(Time()).play([*first, *second])
    slept = stage(Time(), engine_stalls=[(over_ns - MS, 30 * MS)]).play([*first, *second])
    assert awake.sent == slept.sent and awake.sent
    assert awake.sent[-1].sent_ns - awake.sent[0].sent_ns < 4 * NS  # to the second phrase alone


# Whatever happens


def acts(kinds: str, numbers: st.SearchStrategy[int], longest_ms: int = 900) -> st.SearchStrategy[tuple[str, int, int]]:
    """What is done, how long after what came before, and a number that says more."""
    return st.tuples(st.sampled_from(kinds.split()), st.integers(1, longest_ms), numbers)


KEYS = acts("on off down up lost", st.integers(58, 64))
TUNES = acts("tune", st.integers(3, 12), 5_000)
ASKS = acts("ask ask halt mute mode mode another loop vary undo forget freeze good", st.integers(0, 3))
SHIFTS = acts("latency offset", st.integers(0, 90))
BY_HAND = acts("tap tap tap transport", st.just(0))
SESSION = acts("session", st.integers(0, 99))
MASTER = st.one_of(
    *[acts("ticks", st.sampled_from([14, 20, 21, 25, 60]), 150)] * 3,
    acts("start stop continue position", st.integers(0, 64)),
)
SETTINGS = st.builds(
    Time,
    bpm=st.none() | st.floats(70, 300),
    metre=st.sampled_from([(4, 4), (3, 4), (6, 8), (7, 8), (1, 4)]),
    enter=st.sampled_from(["beat", "bar", "now"]),
    grid=st.builds(Grid, st.sampled_from([48, 24, 16, 12, 8, 6]), st.sampled_from([0.0, 0.3, 1.0])),
    mode=st.sampled_from(MODES),
    bars=st.sampled_from([1, 2]),
)
Act = tuple[str, int, int]


def script(*kinds: st.SearchStrategy[Act]) -> st.SearchStrategy[list[Act]]:
    return st.lists(st.one_of(*kinds), min_size=4, max_size=24)


def heard_of(act: Act, now: int) -> list[Heard]:
    kind, wait_ms, number = act
    time_ns = now + wait_ms * MS
    simple: dict[str, Heard] = {
        "on": NoteOn(time_ns, number, 70),
        "off": NoteOff(time_ns, number),
        "down": Pedal(time_ns, True),
        "up": Pedal(time_ns, False),
        "ask": Ask(time_ns),
        "another": AnotherTake(time_ns),
        "loop": LoopThat(time_ns),
        "vary": VaryThat(time_ns),
        "undo": Undo(time_ns),
        "forget": ForgetMe(time_ns),
        "freeze": Freeze(time_ns),
        "lost": InputLost(time_ns),
        "halt": Halt(time_ns),
        "good": Mark(time_ns, good=True),
        "mute": Mute(time_ns),
        "mode": SetMode(time_ns, MODES[number % 4]),
        "latency": OutLatency(time_ns, 4 * number * MS),
        "offset": ClockOffset(time_ns, 9 * (number - 45) * MS),
        "tap": Tap(time_ns),
        "transport": Transport(time_ns),
        "start": Start(time_ns),
        "stop": Stop(time_ns),
        "continue": Continue(time_ns),
        "position": SongPosition(time_ns, number),
        "session": Retime(time_ns, Timeline(70 + 2.0 * number, time_ns, number / 7, number % 5 > 0), jump=True),
    }
    if kind == "ticks":
        return [Tick(now + i * number * MS) for i in range(1, wait_ms)]
    if kind == "tune":
        return played_on(Timeline(100.0 + number, time_ns), every(0.5, 0, number / 2))
    return [simple[kind]]


def happening(acts: Iterable[Act]) -> list[Heard]:
    """One after the other; at the end all keys are up, and later what plays again and again ends."""
    heard: list[Heard] = []
    now = NS
    for act in acts:
        heard += heard_of(act, now)
        now = max(now, heard[-1].time_ns) if heard else now
    return [*heard, InputLost(now + MS), Panic(now + 20 * NS)]


def check_it_ends(playing: Stage, heard: Sequence[Heard]) -> Show:
    show = playing.play(heard, heard[-1].time_ns + 150 * NS)
    assert show.engine.resting
    notes(show.sent)  # each onset has its end
    assert all(one.sent_ns >= one.due_ns for one in show.sent)
    return show


@settings(max_examples=60, deadline=None)
@for_all(SETTINGS, st.integers(0, 3), script(TUNES, TUNES, KEYS, ASKS, SHIFTS, BY_HAND))
def test_whatever_is_tapped_and_played_every_note_ends(time: Time, seed: int, acts: list[Act]) -> None:
    check_it_ends(stage(time, seed=seed), happening(acts))


@settings(max_examples=40, deadline=None)
@for_all(SETTINGS, st.integers(0, 3), script(TUNES, TUNES, KEYS, ASKS, SHIFTS), script(MASTER))
def test_whatever_a_master_sends_every_note_ends(time: Time, seed: int, acts: list[Act], clock: list[Act]) -> None:
    heard = together(happening(clock), happening(acts))
    check_it_ends(stage(replace(time, source="midi", bpm=None), seed=seed), heard)


@settings(max_examples=60, deadline=None)
@for_all(SETTINGS, st.integers(0, 3), script(TUNES, TUNES, KEYS, ASKS, SHIFTS, SESSION))
def test_nothing_is_sent_before_it_was_decided(time: Time, seed: int, acts: list[Act]) -> None:
    check_it_is_decided(check_it_ends(stage(replace(time, source="link", bpm=None), seed=seed), happening(acts)))


@settings(max_examples=40, deadline=None)
@for_all(
    SETTINGS,
    st.sampled_from(["internal", "midi", "link"]),
    script(TUNES, TUNES, KEYS, ASKS, SHIFTS, SESSION, BY_HAND, MASTER),
    st.sampled_from([0, 5, 30, 120]),
    st.sampled_from([0, 15, 60]),
    st.lists(st.tuples(st.integers(0, 20_000), st.integers(10, 600)), max_size=3),
)
def test_however_late_it_is_every_note_ends(
    time: Time, source: str, acts: list[Act], step_ms: int, late_ms: int, stalls: list[tuple[int, int]]
) -> None:
    stalls_ns = sorted((NS + from_ms * MS, for_ms * MS) for from_ms, for_ms in stalls)
    faults = {"step_ns": step_ms * MS, "engine_late_ns": late_ms * MS, "outlet_late_ns": late_ms * MS}
    check_it_ends(
        stage(replace(time, source=source, bpm=None), **faults, outlet_stalls=stalls_ns, engine_stalls=stalls_ns),
        happening(acts),
    )
