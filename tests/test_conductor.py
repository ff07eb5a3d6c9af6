"""One count of beats, whatever the source says."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from improv.music.conductor import Change, Conductor
from improv.music.events import (
    Beat,
    ClockOffset,
    Continue,
    FreeWheel,
    Retime,
    SongPosition,
    Start,
    Stop,
    Tap,
    Tick,
    Transport,
)
from improv.music.timeline import NS, TICKS_PER_BEAT, Timeline

MS = NS // 1000
FOUR = (4, 4)


def link(time_ns: int, beat: float, bpm: float = 120.0, jump: bool = False, metric: bool = True) -> Retime:
    return Retime(time_ns, Timeline(bpm, time_ns, beat, metric), jump)


def changes(conductor: Conductor, *events: Beat) -> list[Change]:
    return [item for event in events for item in conductor.hear(event) if isinstance(item, Change)]


def line_of(conductor: Conductor) -> Timeline:
    assert conductor.line is not None
    return conductor.line


def test_without_a_tempo_time_is_free() -> None:
    conductor = Conductor("internal", None, FOUR)
    assert conductor.begin(5 * NS) is None
    assert conductor.line == Timeline(origin_ns=5 * NS)
    assert conductor.begin(6 * NS) is None and line_of(conductor).origin_ns == 5 * NS
    assert not changes(conductor, Transport(7 * NS))  # nothing to stop, nothing to start


def test_with_a_tempo_beats_begin_with_the_first_note() -> None:
    conductor = Conductor("internal", 90.0, (3, 4))
    change = conductor.begin(5 * NS)
    line = Timeline(90.0, 5 * NS, metric=True, metre=(3, 4))
    assert change == Change(line, broken=False) and conductor.line == line
    assert conductor.begin(6 * NS) is None


def test_a_tempo_that_was_told_beforehand_changes_nothing_of_that() -> None:
    """Slaves are told the tempo when a session begins."""
    conductor = Conductor("internal", 90.0, FOUR)
    stands = Timeline(90.0, NS, metre=FOUR)
    assert changes(conductor, Retime(NS, stands, jump=True)) == [Change(stands, broken=False)]
    assert not line_of(conductor).metric
    assert conductor.begin(5 * NS) is not None
    line = line_of(conductor)
    assert line.metric and (line.beat(5 * NS) - line.bar_beat) % 4 == 0


def test_a_song_that_goes_back_to_the_top_lifts_the_count() -> None:
    conductor = Conductor("link", None, FOUR)
    changes(conductor, link(0, 0.0))
    (change,) = changes(conductor, link(5 * NS, 0.0, jump=True))
    assert not change.broken  # on a beat: a loop
    assert line_of(conductor).beat(5 * NS) == 10 and line_of(conductor).bar_beat == 10


@pytest.mark.parametrize(("beat", "broken"), [(3.0, False), (3.04, False), (2.97, False), (3.06, True), (2.5, True)])
def test_off_the_beat_what_was_planned_is_broken(beat: float, broken: bool) -> None:
    conductor = Conductor("link", None, FOUR)
    changes(conductor, link(0, 0.0))
    assert [change.broken for change in changes(conductor, link(5 * NS, beat, jump=True))] == [broken]
    counted = line_of(conductor).beat(5 * NS)
    assert counted % 1 == pytest.approx(beat % 1) and 10 - 0.05 <= counted < 11


@pytest.mark.parametrize("jump", [True, False])
def test_a_beat_that_stops_or_sets_in_breaks_what_was_planned(jump: bool) -> None:
    """Also where a source does not call it a jump."""
    conductor = Conductor("link", None, FOUR)
    conductor.begin(0)
    assert [change.broken for change in changes(conductor, link(NS, 0.5, jump=jump))] == [True]
    assert line_of(conductor).metric
    before = line_of(conductor).beat(2 * NS)
    assert [change.broken for change in changes(conductor, link(2 * NS, 2.5, jump=jump, metric=False))] == [True]
    assert line_of(conductor) == Timeline(origin_ns=2 * NS, origin_beat=before)
    assert [change.broken for change in changes(conductor, link(3 * NS, 2.5, 90.0, jump, metric=False))] == [False]
    assert line_of(conductor).beat(3 * NS) == before + 2  # free time counts on


def test_the_transport_goes_on_where_it_stood() -> None:
    conductor = Conductor("internal", 60.0, FOUR)
    conductor.begin(0)
    (stop,) = changes(conductor, Transport(2 * NS + 500 * MS))
    assert stop.broken and not stop.line.metric and stop.line.bpm == 60  # slaves still know the tempo
    (go,) = changes(conductor, Transport(9 * NS))
    assert go.broken
    song_beat = line_of(conductor).beat(9 * NS) - line_of(conductor).bar_beat
    assert song_beat % 4 == pytest.approx(2.5)


def test_taps_take_the_place_of_the_tempo_and_a_master_outranks_them() -> None:
    taps = [Tap(i * 500 * MS) for i in range(4)]
    conductor = Conductor("internal", 60.0, FOUR)
    assert changes(conductor, *taps) and line_of(conductor).bpm == pytest.approx(120)
    assert conductor.begin(3 * NS) is None  # the beat runs already
    for source in ("midi", "link"):
        assert not changes(Conductor(source, None, FOUR), *taps)


def test_a_tapped_beat_goes_on_from_its_own_bars() -> None:
    conductor = Conductor("internal", None, FOUR)
    changes(conductor, *(Tap(NS + i * 500 * MS) for i in range(3)), Transport(2 * NS + 250 * MS), Transport(7 * NS))
    line = line_of(conductor)
    assert line.bpm == pytest.approx(120) and (line.beat(7 * NS) - line.bar_beat) % 4 == pytest.approx(2.5)


@pytest.mark.parametrize("offset_ms", [-500, -20, 0, 20, 500])
def test_an_offset_says_when_the_beat_is(offset_ms: int) -> None:
    conductor = Conductor("link", None, FOUR)
    changes(conductor, link(0, 0.0), ClockOffset(5 * NS, offset_ms * MS))
    line = line_of(conductor)
    bar = line.time_ns((line.bar_beat + 12) * TICKS_PER_BEAT)
    assert (bar - offset_ms * MS) % (2 * NS) in (0, 1, 2 * NS - 1)
    assert abs(line.beat(5 * NS) - 10) <= 0.5  # whole beats are no news
    at_once = Conductor("link", None, FOUR, offset_ms * MS)
    changes(at_once, link(0, 0.0))
    in_bar = [(each.beat(7 * NS) - each.bar_beat) % 4 for each in (line, line_of(at_once))]
    assert in_bar[0] == pytest.approx(in_bar[1])


def test_ticks_give_a_tempo_and_start_gives_the_beat() -> None:
    conductor = Conductor("midi", None, FOUR)
    for i in range(60):
        changes(conductor, Tick(NS + i * NS // 48))
    assert conductor.line is None or not conductor.line.metric
    start_ns = NS + 60 * NS // 48
    changes(conductor, Start(start_ns - 2 * MS), *(Tick(start_ns + i * NS // 48) for i in range(24)))
    line = line_of(conductor)
    assert line.metric and line.bpm == pytest.approx(120, abs=0.1)
    assert (line.beat(start_ns) - line.bar_beat) % 4 == pytest.approx(0, abs=0.01)


def test_lost_ticks_are_said_once() -> None:
    conductor = Conductor("midi", None, FOUR)
    events = [Start(NS - 5 * MS), *(Tick(NS + i * NS // 48) for i in range(96))]
    changes(conductor, *events)
    due_ns = conductor.deadline()
    assert due_ns is not None and due_ns > events[-1].time_ns
    assert conductor.due(due_ns) == FreeWheel(due_ns, lost=True)
    assert conductor.deadline() is None


EVENTS = st.one_of(
    st.tuples(st.just(Tick), st.integers(1, 40)),
    st.tuples(st.just("ticks"), st.integers(5, 90)),
    st.tuples(st.sampled_from([Start, Stop, Continue, Tap, Transport]), st.integers(1, 1500)),
    st.tuples(st.just(SongPosition), st.integers(0, 200)),
    st.tuples(st.just(ClockOffset), st.integers(-500, 500)),
    st.tuples(st.just(Retime), st.integers(0, 1000)),
)


def events_of(kind: object, number: int, now: int) -> list[Beat]:
    if kind is Tick:
        return [Tick(now + number * MS)]
    if kind == "ticks":
        return [Tick(now + i * number * MS) for i in range(1, 30)]
    if kind is SongPosition:
        return [SongPosition(now + MS, number)]
    if kind is ClockOffset:
        return [ClockOffset(now + 100 * MS, number * MS)]
    if kind is Retime:
        line = Timeline(30.0 + number % 300, now, number / 7, metric=number % 3 > 0)
        return [Retime(now + 50 * MS, line, jump=number % 2 == 0)]
    assert kind in (Start, Stop, Continue, Tap, Transport)
    return [kind(now + number * MS)]  # type: ignore[operator]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["internal", "midi", "link"]), st.sampled_from([None, 90.0]), st.lists(EVENTS, max_size=25))
def test_the_count_never_runs_backwards_by_more_than_half_a_beat(
    source: str, bpm: float | None, script: list[tuple[object, int]]
) -> None:
    conductor = Conductor(source, bpm, FOUR)
    conductor.begin(0)
    now = 0
    for kind, number in script:
        for event in events_of(kind, number, now):
            now = event.time_ns
            before = line_of(conductor)
            said = conductor.hear(event)
            after = line_of(conductor)
            assert after.beat(now) >= before.beat(now) - 0.5 - 1e-6
            assert math.isfinite(after.bpm) and 20 <= after.bpm <= 400
            if not any(isinstance(item, Change) and item.broken for item in said):
                assert abs(after.beat(now) - before.beat(now)) <= 0.5 + 1e-6
