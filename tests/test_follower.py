"""The follower of a MIDI clock, against simulated masters: how far its beat is from theirs."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from improv.music.comb import FASTEST_BPM, SLOWEST_BPM
from improv.music.events import Clock, Continue, FreeWheel, Retime, SongPosition, Start, Stop, Tick
from improv.music.follower import SLEW_NS, Follower
from improv.music.timeline import NS, Timeline
from tests.clocks import PPQN, Take, played, ramp, steady

MS = NS // 1000
SEEDS = range(6)


def errors_ms(take: Take, period_ns: float = 0.0) -> list[tuple[float, float]]:
    """At each tick: the beat of the song, and how far the follower is from it.

    `period_ns`: a driver that tells of a tick when its period ends, half of one late on average.
    """
    follower, line, found = Follower(), None, []
    for event in take.events:
        now = round(-(-event.time_ns // period_ns) * period_ns) if period_ns else event.time_ns
        for said in follower.hear(event._replace(time_ns=now)):
            line = said.timeline if isinstance(said, Retime) else line
        if line is not None and line.metric:
            beat = take.beat(now)
            found.append((beat, (line.beat(now) - beat) * 60e3 / line.bpm + period_ns / 2e6))
    return found


def worst_ms(make: Callable[[int], Take], from_beat: float, period_ns: float = 0.0) -> float:
    """From a beat on, in 95 of 100 performances."""
    worst = [max(abs(off) for beat, off in errors_ms(make(seed), period_ns) if beat >= from_beat) for seed in SEEDS]
    return sorted(worst)[round(0.95 * (len(worst) - 1))]


@pytest.mark.parametrize(
    ("jitter_ms", "bpm", "most_ms"), [(0, 120, 0.01), (1, 120, 2), (1, 200, 2), (3, 120, 5), (5, 120, 10)]
)
def test_a_steady_clock_is_followed(jitter_ms: float, bpm: float, most_ms: float) -> None:
    assert worst_ms(lambda seed: played(steady(bpm, 16), jitter_ms=jitter_ms, seed=seed), 1.0) <= most_ms


@pytest.mark.parametrize("frames", [64, 256, 512])
@pytest.mark.parametrize("bpm", [97, 120, 180])
def test_a_driver_that_tells_of_ticks_by_periods_is_followed(frames: int, bpm: float) -> None:
    """Gaps are then whole periods, alike for a while, though not the tempo's."""
    period_ns = 1e9 * frames / 48000
    take: Callable[[int], Take] = lambda seed: played(steady(bpm, 16), from_ns=NS + 266_667 * seed)  # noqa: E731
    assert worst_ms(take, 1.0, period_ns) <= 0.55 * period_ns / MS


@pytest.mark.parametrize("lead", [0, 30])
def test_it_locks_within_a_beat_of_start(lead: int) -> None:
    take: Callable[[int], Take] = lambda seed: played(steady(120, 4), lead=lead, jitter_ms=1.0, seed=seed)  # noqa: E731
    assert worst_ms(take, 1.0) <= 5.0


def test_four_beats_tell_the_tempo() -> None:
    off = []
    for seed in range(60):
        follower, line = Follower(), Timeline()
        for event in played(steady(120, 4), jitter_ms=1.0, seed=seed).events:
            for said in follower.hear(event):
                line = said.timeline if isinstance(said, Retime) else line
        off.append(abs(line.bpm / 120 - 1))
    assert sorted(off)[56] <= 0.0005


@pytest.mark.parametrize("by", ["beats", "time"])
@pytest.mark.parametrize("jitter_ms", [0.0, 1.0])
def test_a_ramp_is_followed(by: str, jitter_ms: float) -> None:
    song = steady(60, 8) + ramp(60, 180, 16, by) + steady(180, 8)
    assert worst_ms(lambda seed: played(song, jitter_ms=jitter_ms, seed=seed), 1.0) <= 15.0


@pytest.mark.parametrize(
    ("before", "after"), [(120, 90), (90, 120), (60, 180), (180, 60), (120, 75), (100, 110), (140, 139)]
)
@pytest.mark.parametrize("period_ns", [0.0, 1e9 * 256 / 48000])
def test_a_jump_of_the_tempo_is_followed_within_two_beats(before: float, after: float, period_ns: float) -> None:
    song = steady(before, 8) + steady(after, 8)
    jitter_ms = 0.0 if period_ns else 1.0
    take: Callable[[int], Take] = lambda seed: played(song, jitter_ms=jitter_ms, seed=seed, from_ns=NS + 266_667 * seed)  # noqa: E731
    assert worst_ms(take, 10.0, period_ns) <= 5.0


@pytest.mark.parametrize(
    ("before", "after", "jitter_ms"), [(120, 100, 3), (150, 120, 3), (120, 90, 3), (100, 120, 3), (180, 150, 2)]
)
def test_a_jump_under_jitter_costs_no_tick(before: float, after: float, jitter_ms: float) -> None:
    song = steady(before, 8) + steady(after, 12)
    assert worst_ms(lambda seed: played(song, jitter_ms=jitter_ms, seed=seed), 14.0) <= 8.0


FEW = frozenset(n for n in range(30, 380) if Random(n).random() < 0.02)
SIX = frozenset(range(200, 206))


@pytest.mark.parametrize(
    ("bpm", "jitter_ms", "most_ms"), [(120, 1, 1), (120, 3, 3), (120, 5, 10), (60, 5, 5), (180, 1, 1)]
)
@pytest.mark.parametrize(
    "faults",
    [
        {"lost": FEW},
        {"lost": SIX},
        {"doubled": FEW},
        {"doubled": FEW, "again_ms": 5.0},
        {"doubled": range(400), "again_ms": 0.4},
        {"doubled": range(100, 250), "again_ms": 1.0},
        {"stalled": SIX},
    ],
    ids=["lost", "six lost", "doubled", "doubled late", "two ports", "two ports for a while", "stalled"],
)
def test_ticks_lost_doubled_or_late_do_not_move_the_count(
    bpm: float, jitter_ms: float, most_ms: float, faults: dict[str, Any]
) -> None:
    """A wrong count would be off by a tick: 21 ms at 120 bpm, to the end."""
    songs = [played(steady(bpm, 16), lead=24, jitter_ms=jitter_ms, seed=seed, **faults) for seed in range(3)]
    found = [errors_ms(song) for song in songs]
    assert all(abs(off) < 30e3 / bpm / PPQN for each in found for _, off in each[-1:])
    late = sorted(abs(off) for each in found for beat, off in each if beat > 4)
    assert late[round(0.95 * len(late))] <= most_ms


def through(follower: Follower, events: Iterable[Clock]) -> list[Retime | FreeWheel]:
    return [said for event in events for said in follower.hear(event)]


def ticks(count: int, from_ns: int, bpm: float = 120.0) -> list[Clock]:
    return [Tick(from_ns + round(i * 60 * NS / (bpm * PPQN))) for i in range(count)]


def lines(said: Iterable[Retime | FreeWheel]) -> list[Retime]:
    return [retime for retime in said if isinstance(retime, Retime)]


def test_a_steady_clock_is_told_of_once() -> None:
    follower = Follower()
    through(follower, [Start(NS - 1), *ticks(48, NS)])
    assert not through(follower, ticks(240, NS + NS))


def test_ticks_without_a_start_tell_the_tempo_and_no_beat() -> None:
    said = lines(through(Follower(), ticks(48, NS, 90)))
    assert said and all(not retime.timeline.metric for retime in said)
    assert said[-1].timeline.bpm == pytest.approx(90, abs=0.01)


def test_start_stop_and_continue_count_the_song() -> None:
    follower = Follower()
    through(follower, ticks(48, NS))
    started = lines(through(follower, [Start(2 * NS - 1), *ticks(60, 2 * NS)]))
    assert (
        started[0].jump
        and started[0].timeline.metric
        and started[0].timeline.beat(2 * NS) == pytest.approx(0, abs=1e-3)
    )
    (stopped,) = lines(follower.hear(Stop(3 * NS + 240 * MS)))
    assert stopped.jump and not stopped.timeline.metric
    assert all(not retime.timeline.metric for retime in lines(through(follower, ticks(100, 3 * NS + 260 * MS))))
    again = lines(through(follower, [Continue(9 * NS - 1), *ticks(10, 9 * NS)]))
    assert again[0].jump and again[0].timeline.beat(9 * NS) == pytest.approx(60 / PPQN, abs=1e-3)


@pytest.mark.parametrize("sixteenths", [0, 7, 64, 16383])
def test_a_song_position_says_where_it_goes_on(sixteenths: int) -> None:
    follower = Follower((3, 4))
    through(follower, [Start(NS - 1), *ticks(60, NS), Stop(3 * NS)])
    follower.hear(SongPosition(4 * NS, sixteenths))
    said = lines(through(follower, [Continue(5 * NS - 1), *ticks(10, 5 * NS)]))
    assert said[0].jump and said[0].timeline.metre == (3, 4)
    assert said[0].timeline.beat(5 * NS) == pytest.approx(sixteenths / 4, abs=1e-3)


def test_a_running_clock_can_be_moved() -> None:
    follower = Follower()
    through(follower, [Start(NS - 1), *ticks(96, NS)])
    said = lines(through(follower, [SongPosition(3 * NS - 1, 32), *ticks(10, 3 * NS)]))
    assert said[0].jump and said[0].timeline.beat(3 * NS) == pytest.approx(8, abs=1e-2)


@pytest.mark.parametrize("bpm", [120.0, 126.0, 80.0])
def test_ticks_that_stay_away_are_said_once_and_taken_up_again_without_a_jump(bpm: float) -> None:
    follower = Follower()
    line = lines(through(follower, [Start(NS - 1), *ticks(96, NS)]))[-1].timeline
    due = follower.deadline()
    assert due is not None and 3 * NS < due < 3.3 * NS
    assert follower.due(due - 1) is None
    assert follower.due(due) == FreeWheel(due, lost=True)
    assert follower.deadline() is None and follower.due(due + NS) is None
    back_ns = 5 * NS + 7 * MS  # a third of a tick beside where they would have been
    said: list[Retime | FreeWheel] = []
    for tick in ticks(240, back_ns, bpm):
        now = follower.hear(tick)
        for retime in lines(now):
            moved_ns = abs(retime.timeline.beat(tick.time_ns) - line.beat(tick.time_ns)) * 60 * NS / line.bpm
            assert not retime.jump and moved_ns <= SLEW_NS + 1.1 * MS  # at most what it says, and the tempo's part
            line = retime.timeline
        said += now
    assert [notice.lost for notice in said if isinstance(notice, FreeWheel)] == [False]
    last_ns = ticks(240, back_ns, bpm)[-1].time_ns
    off = line.beat(last_ns) * PPQN
    assert line.bpm == pytest.approx(bpm, rel=0.001) and abs(off - round(off)) < 0.15


def held_up(
    song: Sequence[Clock], from_ns: int, until_ns: int, apart_ms: float, packet: int, packets_apart_ms: float
) -> list[Clock]:
    """The ticks of a song, but that none comes while they are held, and then those that wait come in packets."""
    sooner = [tick for tick in song if tick.time_ns < from_ns]
    slots = (until_ns + round((n // packet * packets_apart_ms + n % packet * apart_ms) * MS) for n in count())
    return sooner + [Tick(max(tick.time_ns, slot)) for tick, slot in zip(song[len(sooner) :], slots, strict=False)]


@pytest.mark.parametrize("bpm", [60.0, 90.0, 120.0, 180.0])
@pytest.mark.parametrize("held_s", [0.2, 0.5, 1, 2, 4])
@pytest.mark.parametrize(
    ("apart_ms", "packet", "packets_apart_ms"),
    [(0.1, 999, 0), (0.32, 999, 0), (1, 999, 0), (1.4, 999, 0), (0.1, 8, 10)],
)
@pytest.mark.parametrize("fault", ["none", "the first lost", "the last lost", "twice"])
def test_a_burst_of_ticks_that_were_held_up_does_not_move_the_beat(
    bpm: float, held_s: float, apart_ms: float, packet: int, packets_apart_ms: float, fault: str
) -> None:
    from_ns, until_ns = 5 * NS + 3 * MS, 5 * NS + 3 * MS + round(held_s * NS)
    song = ticks(round(12 * bpm / 60 * PPQN), NS, bpm)
    held = [tick for tick in song if from_ns <= tick.time_ns < until_ns]
    lost = {"the first lost": held[: len(held) // 2], "the last lost": held[len(held) // 2 :]}.get(fault, [])
    song = [tick for tick in song if tick not in lost]
    if fault == "twice":
        song = [Tick(tick.time_ns + late_ns) for tick in song for late_ns in (0, MS // 2)]
    follower, line, most_ms, notices = Follower(), None, 0.0, []
    for tick in [Start(NS - 1), *held_up(song, from_ns, until_ns, apart_ms, packet, packets_apart_ms)]:
        for said in follower.hear(tick):
            if isinstance(said, FreeWheel):
                notices.append(said.lost)
                continue
            assert tick.time_ns < from_ns or not said.jump
            line = said.timeline
        if line is not None and tick.time_ns > from_ns:
            most_ms = max(most_ms, abs(line.beat(tick.time_ns) * 60 / bpm - (tick.time_ns - NS) / NS) * 1e3)
    assert notices == [True, False] and most_ms < 1.0


@pytest.mark.parametrize("bpm", [60.0, 120.0, 180.0, 240.0])
@pytest.mark.parametrize("held_ms", [60, 90, 120])
@pytest.mark.parametrize("apart_ms", [0.1, 0.32, 0.7, 1, 1.4])
def test_a_burst_after_a_moment_does_not_move_the_count(bpm: float, held_ms: int, apart_ms: float) -> None:
    """So soon that nobody missed the ticks."""
    for seed in SEEDS:
        take = played(steady(bpm, 12), jitter_ms=1.0, seed=seed)
        from_ns = round(take.due_ns[150]) + seed * 3 * MS
        start, *song = take.events
        events = held_up(song, from_ns, from_ns + held_ms * MS, apart_ms, 999, 0)
        ((_, off_ms),) = errors_ms(take._replace(events=[start, *events]))[-1:]
        assert abs(off_ms) < 30e3 / bpm / PPQN


def test_a_clock_that_comes_back_much_faster_is_followed_all_the_same() -> None:
    follower = Follower()
    through(follower, [Start(NS - 1), *ticks(96, NS)])
    faster = ticks(1000, 5 * NS, 390.0)
    line = lines(through(follower, faster))[-1].timeline
    off = line.beat(faster[-1].time_ns) * PPQN
    assert line.bpm == pytest.approx(390, rel=0.001) and abs(off - round(off)) < 0.15


def test_a_stop_after_the_ticks_stayed_away_stands_where_the_beat_was() -> None:
    follower = Follower()
    through(follower, [Start(NS - 1), *ticks(48, NS)])
    follower.due(3 * NS)
    (stopped,) = lines(follower.hear(Stop(3 * NS + 10 * MS)))
    assert not stopped.timeline.metric


def test_a_running_clock_can_be_moved_and_told_to_go_on() -> None:
    follower = Follower()
    through(follower, [Start(NS - 1), *ticks(96, NS)])
    said = lines(through(follower, [SongPosition(3 * NS - 2, 0), Continue(3 * NS - 1), *ticks(10, 3 * NS)]))
    assert [retime.jump for retime in said] == [True]
    assert said[0].timeline.metric and said[0].timeline.beat(3 * NS) == pytest.approx(0, abs=1e-2)


def test_the_absence_is_said_at_its_time_whoever_wakes_late() -> None:
    follower = Follower()
    through(follower, [Start(NS - 1), *ticks(48, NS)])
    due = follower.deadline()
    assert due is not None and through(follower, ticks(1, 4 * NS)) == [FreeWheel(due, lost=True)]


def test_the_memory_is_bounded() -> None:
    follower, random, now, most = Follower(), Random(0), NS, 0
    through(follower, [Start(now)])
    for _ in range(10_000):
        now += random.choice((100_000, 1_000_000, 6_000_000, 20_000_000, 41_000_000, 124_000_000))
        follower.hear(Tick(now))
        most = max(most, len(pickle.dumps(follower)) if random.random() < 0.01 else 0)
    assert 0 < most < 100_000


def test_a_flood_or_a_crawl_of_ticks_is_no_tempo() -> None:
    follower = Follower()
    through(follower, [Start(NS - 1), *ticks(96, NS)])
    said = lines(through(follower, (Tick(3 * NS + i * 100_000) for i in range(2000))))
    assert all(SLOWEST_BPM <= retime.timeline.bpm <= FASTEST_BPM for retime in said)


CLOCKS = st.sampled_from([Tick, Tick, Tick, Tick, Start, Stop, Continue, lambda now: SongPosition(now, now % 16384)])


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(CLOCKS, st.integers(1, 60_000), st.integers(1, 40)), max_size=40))
def test_whatever_comes_it_gives_a_tempo_it_can_follow(script: list[tuple[Callable[[int], Clock], int, int]]) -> None:
    follower, now, line, lost = Follower(), NS, None, False
    for make, gap_us, times in script:
        for _ in range(times):
            now += gap_us * 1000
            for said in follower.hear(make(now)):
                assert said.time_ns <= now
                if isinstance(said, FreeWheel):
                    assert said.lost is not lost
                    lost = said.lost
                    continue
                new = said.timeline
                assert SLOWEST_BPM <= new.bpm <= FASTEST_BPM + 1e-6
                if line is not None and not said.jump:  # by no more than was played since it was told last
                    played_beats = (now - line.origin_ns) * max(line.bpm, new.bpm) / (60 * NS)
                    assert abs(new.beat(now) - line.beat(now)) <= played_beats + 4
                line = new
