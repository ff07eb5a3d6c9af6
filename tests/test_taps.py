"""Tap tempo."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from improv.music.events import Retime, Tap
from improv.music.taps import Taps
from improv.music.timeline import NS, Timeline

MS = NS // 1000
FREE = Timeline()
CLICK = Timeline(bpm=90.0, metric=True, bar_beat=1.0, metre=(3, 4))


def tap(taps_ms: Iterable[float], line: Timeline = FREE, taps: Taps | None = None) -> list[Retime | None]:
    """What each tap gives, with every timeline in force from its tap on."""
    taps = taps or Taps()
    heard = []
    for time_ms in taps_ms:
        heard.append(taps.hear(Tap(round(time_ms * MS)), line))
        line = heard[-1].timeline if heard[-1] else line
    return heard


def given_by(taps_ms: Iterable[float], line: Timeline = FREE) -> Timeline:
    last = tap(taps_ms, line)[-1]
    assert last is not None
    return last.timeline


def even(count: int, interval_ms: float, start_ms: float = 1000) -> list[float]:
    return [start_ms + i * interval_ms for i in range(count)]


def counts(heard: Sequence[Retime | None]) -> list[float]:
    return [retime.timeline.origin_beat for retime in heard if retime]


@pytest.mark.parametrize("interval_ms", [150, 400, 500, 1000, 2000])
def test_even_taps_give_their_tempo_from_the_third_on(interval_ms: float) -> None:
    heard = tap(even(10, interval_ms))
    assert heard[:2] == [None, None]
    for number, retime in enumerate(heard[2:], 2):
        assert retime is not None
        assert retime.time_ns == round((1000 + number * interval_ms) * MS) == retime.timeline.origin_ns
        assert retime.timeline.bpm == pytest.approx(60_000 / interval_ms)


def test_jittered_taps_give_nearly_the_tempo_and_more_of_them_more_nearly() -> None:
    rng = random.Random(1)
    errors: dict[int, list[float]] = {3: [], 4: [], 8: [], 20: []}
    for _ in range(200):
        heard = tap(t + rng.gauss(0, 15) for t in even(20, 500))
        for count, found in errors.items():
            retime = heard[count - 1]
            assert retime is not None
            found.append(abs(retime.timeline.bpm / 120 - 1))
    means = {count: sum(found) / len(found) for count, found in errors.items()}
    assert means[3] < 0.025 and means[4] < 0.015 and means[8] < 0.005
    assert max(errors[8]) < 0.02
    assert means[20] == pytest.approx(means[8], rel=0.3)  # the last eight count


def test_a_late_tap_moves_the_beat_by_less_than_it_was_late() -> None:
    line = given_by([*even(7, 500), 4540])
    assert 4500 * MS < line.origin_ns < 4525 * MS


def test_two_taps_are_no_tempo() -> None:
    assert tap([0, 500]) == [None, None]
    assert tap([0, 500, 1500, 1600]) == [None] * 4  # nor are intervals that disagree


def test_faster_than_400_bpm_is_no_tempo() -> None:
    assert tap(even(20, 149)) == [None] * 20
    assert tap([0, 0, 0, 0]) == [None] * 4


def test_after_two_seconds_a_new_series_begins() -> None:
    heard = tap([*even(4, 500), *even(4, 700, start_ms=4501)])
    assert [bool(retime) for retime in heard] == [False, False, True, True] * 2
    assert heard[-1] is not None and heard[-1].timeline.bpm == pytest.approx(60_000 / 700)
    assert tap(even(8, 2001)) == [None] * 8


def test_a_changed_tempo_counts_from_the_tap_at_which_it_changed() -> None:
    heard = tap([*even(6, 500), 3500 + 750, 3500 + 1500])  # the last of six falls on 3500
    assert heard[6] is None
    assert heard[7] is not None and heard[7].timeline.bpm == pytest.approx(80)


def test_a_slowly_changing_tempo_is_followed() -> None:
    times = [1000.0]
    for i in range(30):
        times.append(times[-1] + 500 * 0.98**i)
    assert given_by(times).bpm == pytest.approx(60_000 / (500 * 0.98**26), rel=0.05)
    assert counts(tap(times)) == list(range(4, 33))  # free time counts 2 beats a second


def test_a_stray_tap_costs_the_series_and_no_more() -> None:
    heard = tap([1000, 1500, 2000, 2200, 2500, 3000, 3500])
    assert [bool(retime) for retime in heard] == [False, False, True, False, False, False, True]
    assert heard[-1] is not None and heard[-1].timeline.bpm == pytest.approx(120)
    assert counts(heard) == [4, 7]


def test_in_free_time_the_first_tap_begins_a_bar() -> None:
    heard = tap(even(6, 600, start_ms=100), taps=Taps((3, 4)))
    assert [retime.jump for retime in heard if retime] == [True, False, False, False]
    for retime in heard[2:]:
        assert retime is not None
        line = retime.timeline
        assert line.metric and line.metre == (3, 4)
        assert line.beat(100 * MS) == pytest.approx(line.bar_beat, abs=1e-6)
        assert line.next_bar_ns(200 * MS) == pytest.approx(1900 * MS, abs=10)


def test_where_beats_are_counted_the_bars_stay() -> None:
    """Taps at 100 bpm over a click at 90, the third of them nearest to beat 5 (at 3.33 s)."""
    heard = tap(even(5, 600, start_ms=2200), CLICK)
    assert all(not retime.jump for retime in heard if retime)
    assert counts(heard) == [5, 6, 7]
    for retime in heard[2:]:
        assert retime is not None
        assert (retime.timeline.bar_beat, retime.timeline.metre) == (1.0, (3, 4))
        assert retime.timeline.beat(3400 * MS) == pytest.approx(5, abs=1e-6)


@pytest.mark.parametrize("before_ms", [[1000, 1600], [1000], [1000, 1500, 1600], []])
def test_the_bar_begins_with_the_first_tap_of_the_series_that_told_the_tempo(before_ms: list[float]) -> None:
    line = given_by([*before_ms, *even(4, 500, start_ms=2500)])
    assert line.beat(2500 * MS) == pytest.approx(line.bar_beat, abs=1e-6)


@pytest.mark.parametrize("sooner", [0.71, 1.29])
def test_however_far_off_a_tap_of_a_series_is_it_is_the_next_beat(sooner: float) -> None:
    times = even(4, 500)
    for _ in range(8):
        mean_ms = (times[-1] - times[-8:][0]) / (len(times[-8:]) - 1)
        times.append(times[-1] + sooner * mean_ms)
    found = counts(tap(times))
    assert found == [found[0] + i for i in range(10)]


intervals_ms = st.lists(st.integers(0, 3000), max_size=30) | st.lists(st.integers(400, 600), max_size=30)
lines = st.builds(
    Timeline,
    bpm=st.floats(20, 400),
    origin_ns=st.integers(0, 10 * NS),
    origin_beat=st.floats(-100, 100),
    metric=st.booleans(),
    bar_beat=st.floats(-100, 100),
    metre=st.just((4, 4)),
)


@given(intervals_ms, lines)
def test_the_count_hardly_ever_runs_backwards(intervals: list[int], line: Timeline) -> None:
    taps, time_ns = Taps(), 0
    for interval_ms in intervals:
        time_ns += interval_ms * MS
        retime = taps.hear(Tap(time_ns), line)
        if retime is None:
            continue
        new = retime.timeline
        assert new.metric and 29.9 < new.bpm < 400.1
        assert retime.jump is not line.metric
        assert retime.time_ns == time_ns and abs(new.origin_ns - time_ns) < 0.6 * NS
        assert new.origin_beat == round(new.origin_beat)
        assert new.origin_beat >= line.beat(new.origin_ns) - 0.501
        line = new


@given(st.integers(180, 1700), st.lists(st.sampled_from((0.88, 1.0, 1.12)), min_size=8, max_size=30), lines)
def test_every_tap_of_a_series_is_the_next_beat(period_ms: int, unsteady: list[float], line: Timeline) -> None:
    times = [0.0]
    for factor in unsteady:
        times.append(times[-1] + period_ms * factor)
    found = counts(tap(times, line))
    assert len(found) == len(times) - 2
    assert found == [found[0] + i for i in range(len(found))]
