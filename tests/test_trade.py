"""Bars are traded, for as long as the player likes."""

from __future__ import annotations

import math
import tarfile
from collections.abc import Iterable
from dataclasses import replace
from itertools import accumulate
from pathlib import Path

import pytest
from hypothesis import given as for_all
from hypothesis import settings
from hypothesis import strategies as st

from improv.midi import files
from improv.music.cue import BEAT_LEAD_NS
from improv.music.events import Ask, Heard, InputLost, NoteOff, NoteOn, Pedal, Retime, Stop, TurnBegins, Yield
from improv.music.grid import Grid
from improv.music.musicianship import Musicianship, Time
from improv.music.timeline import NS, TICKS_PER_BEAT, Timeline
from improv.music.trade import Trade
from improv.net import codec, weights
from tests import clocks
from tests.nets import FlatNet, lively
from tests.stage import Faults, Show, Stage, every, notes, played_on

MS = NS // 1000
TRADE = Time(source="link", grid=Grid(12, 1.0))


def joins(bpm: float = 240.0, metre: tuple[int, int] = (4, 4)) -> tuple[Timeline, Retime]:
    line = Timeline(bpm, origin_ns=NS, metric=True, metre=metre)
    return line, Retime(0, line, jump=True)


def stage(bars: int, net: FlatNet | None = None, time: Time = TRADE, **faults: object) -> Stage:
    return Stage(net or lively(), Musicianship(time=replace(time, mode="trade", bars=bars)), Faults(**faults))  # type: ignore[arg-type]


def machine_bars(line: Timeline, show: Show, first_bar: int, bars: int) -> list[int]:
    """In which turns of the machine its notes lie, in order. Each lies whole in bars of its own."""
    turns = []
    for note in notes(show.sent):
        begin, end = (line.beat(sent.sent_ns) / line.bar_beats - first_bar for sent in (note.on, note.off))
        turn = int(begin // bars)
        assert turn % 2 == 1, f"begins in bar {begin + first_bar}"
        assert end <= (turn + 1) * bars + 1e-6, f"ends in bar {end + first_bar}"
        turns.append(turn // 2)
    return turns


def begins(line: Timeline, show: Show) -> list[float]:
    """The bars on whose lines the machine's turns were decided to begin."""
    decided = [gave.event.time_ns for gave in show.gave if isinstance(gave.event, TurnBegins)]
    firsts = [min(one.on.sent_ns for one in notes(show.sent) if one.on.sent_ns > time_ns) for time_ns in decided]
    return [round(line.beat(first) / line.bar_beats, 6) for first in firsts]


@pytest.mark.parametrize("metre", [(4, 4), (3, 4), (6, 8)])
@pytest.mark.parametrize("bars", [1, 2, 4])
def test_fours_are_traded_and_stay_in_step(bars: int, metre: tuple[int, int]) -> None:
    """Twenty rounds: the machine plays in its bars, from bar line to bar line, and never in the player's."""
    line, retime = joins(metre=metre)
    rounds, turn = 20 if bars == 1 else 5, bars * line.bar_beats
    heard = [event for i in range(rounds) for event in played_on(line, every(0.5, 2 * i * turn, (2 * i + 1) * turn))]
    show = stage(bars).play([retime, *heard], line.time_ns((2 * rounds + 1) * turn * TICKS_PER_BEAT))
    turns = machine_bars(line, show, 0, bars)
    assert sorted(set(turns)) == list(range(rounds))
    assert begins(line, show) == [(2 * i + 1) * bars for i in range(rounds)]
    assert show.engine.resting  # he was silent for all his bars


@pytest.mark.parametrize(
    ("first", "bar"),
    [(4.0, 1), (4 - 0.06, 1), (3.0, 1), (3.5, 1), (4.5, 1), (5.5, 1), (6.9, 1), (2.9, 0)],
    ids=["on the line", "15 ms early", "pick-up", "short pick-up", "off-beat", "late", "very late", "too early"],
)
def test_the_first_note_says_where_his_bars_begin(first: float, bar: int) -> None:
    line, retime = joins()
    show = stage(2).play([retime, *played_on(line, [first, 8.25, 9.5, 10.0])], line.time_ns(21 * 4 * TICKS_PER_BEAT))
    assert begins(line, show) == [bar + 2]


@pytest.mark.parametrize(
    ("metre", "first", "bar"), [((2, 4), 1.0, 1), ((2, 4), 0.9, 0), ((1, 4), 0.5, 1), ((1, 4), 0.4, 0)]
)
def test_in_short_bars_the_pick_up_is_half_a_bar(metre: tuple[int, int], first: float, bar: int) -> None:
    line, _ = joins(metre=metre)
    trade = Trade(2)
    assert trade.hears(line, line.time_ns(first * TICKS_PER_BEAT))
    assert trade.end_beat(line) == (bar + 2) * line.bar_beats


def test_what_he_plays_across_the_machine_is_not_heard_and_does_not_stop_it() -> None:
    line, retime = joins()
    own = played_on(line, every(0.5, 0, 8))
    across = played_on(line, every(0.5, 8, 14), pitch=90)
    net = lively()
    show = stage(2, net).play([retime, *own, *across], line.time_ns(32 * TICKS_PER_BEAT))
    quiet = stage(2).play([retime, *own], line.time_ns(32 * TICKS_PER_BEAT))
    assert not any(isinstance(gave.event, Yield) for gave in show.gave)
    assert show.sent == quiet.sent and len(show.sent) > 8
    assert not any(row[1] % codec.OFF >= 88 for row in net.read_tokens)
    assert show.engine.resting  # no pick-up among them: his bars stayed empty


def test_after_the_machines_bars_his_downbeat_is_heard_on_the_beat() -> None:
    line, retime = joins(120.0)
    net = lively()
    heard = [*played_on(line, every(0.5, 0, 8)), *played_on(line, [16.0, 17.25], pitch=20)]
    stage(2, net).play([retime, *heard], line.time_ns(20 * TICKS_PER_BEAT))
    assert [row[3] for row in net.read_tokens if row[1] in (20, 24)] == [0, 12]


@pytest.mark.parametrize("pick_up", [[15.0, 15.5], [15.25], [15.99]])
def test_a_pick_up_over_the_machines_last_beat_belongs_to_his_next_bars(pick_up: list[float]) -> None:
    """Even if it is all he plays there, trading goes on; and the network hears it."""
    line, retime = joins()
    net = lively()
    heard = [*played_on(line, every(0.5, 0, 8)), *played_on(line, pick_up, pitch=20, length=0.2)]
    show = stage(2, net).play([retime, *heard], line.time_ns(39 * TICKS_PER_BEAT))
    assert begins(line, show) == [2, 6]
    assert [row[1] for row in net.read_tokens].count(20) == 1
    assert set(machine_bars(line, show, 0, 2)) == {0, 1}
    assert min(note.pitch for note in notes(show.sent) if note.on.sent_ns > line.time_ns(24 * 48)) < 48


def test_a_pick_up_and_more_is_one_phrase() -> None:
    line, retime = joins()
    second = [*played_on(line, [15.5], pitch=20, length=0.2), *played_on(line, every(0.5, 16, 24), pitch=64)]
    show = stage(2).play([retime, *played_on(line, every(0.5, 0, 8)), *second], line.time_ns(39 * TICKS_PER_BEAT))
    assert begins(line, show) == [2, 6]
    assert set(machine_bars(line, show, 0, 2)) == {0, 1}


def test_a_key_held_from_the_machines_bars_into_his_own_is_not_his_phrase() -> None:
    line, retime = joins()
    held: list[Heard] = [NoteOn(line.time_ns(10 * 48), 90, 80), Pedal(line.time_ns(11 * 48), True)]
    let_go: list[Heard] = [NoteOff(line.time_ns(20 * 48), 90), Pedal(line.time_ns(21 * 48), False)]
    show = stage(2).play([retime, *played_on(line, every(0.5, 0, 8)), *held, *let_go], line.time_ns(40 * 48))
    assert begins(line, show) == [2] and show.engine.resting


def test_empty_bars_end_the_trade_and_a_note_begins_another() -> None:
    line, retime = joins()
    again = played_on(line, every(0.5, 29, 36))
    show = stage(2).play([retime, *played_on(line, every(0.5, 0, 8)), *again], line.time_ns(60 * TICKS_PER_BEAT))
    assert begins(line, show) == [2, 9]  # the second from bar 7 on: not in step with the first


def test_asking_in_the_machines_bars_stops_it() -> None:
    line, retime = joins()
    ask = Ask(line.time_ns(11.3 * TICKS_PER_BEAT))
    again = played_on(line, every(0.5, 13, 16))
    show = stage(2).play([retime, *played_on(line, every(0.5, 0, 8)), ask, *again], line.time_ns(40 * TICKS_PER_BEAT))
    assert [gave.event for gave in show.gave if isinstance(gave.event, Yield)] == [Yield(ask.time_ns)]
    first = [note for note in notes(show.sent) if note.on.sent_ns < ask.time_ns]
    assert first and max(note.off.sent_ns for note in first) == ask.time_ns
    assert begins(line, show) == [2, 5]  # and his next note begins another


def test_asking_in_his_own_bars_is_answered_at_once_and_ends_the_trade() -> None:
    line, retime = joins()
    ask = Ask(line.time_ns(5.3 * TICKS_PER_BEAT))
    show = stage(2).play([retime, *played_on(line, every(0.5, 0, 5)), ask], line.time_ns(40 * TICKS_PER_BEAT))
    assert begins(line, show) == [1.5]


def test_stop_ends_the_trade() -> None:
    take = clocks.played(clocks.steady(240, 40), lead=24)
    line = Timeline(240.0, round(take.due_ns[0]), metric=True)
    stop_ns = line.time_ns(11.3 * TICKS_PER_BEAT)
    heard = [*played_on(line, every(0.5, 0, 8)), Stop(stop_ns), *(e for e in take.events if e.time_ns < stop_ns)]
    heard.sort(key=lambda event: event.time_ns)
    free = played_on(Timeline(90.0, stop_ns + 2 * NS), every(0.5, 0, 5))
    show = stage(2, time=replace(TRADE, source="midi")).play([*heard, *free])
    assert Yield(stop_ns) in [gave.event for gave in show.gave]
    later = [note.on.sent_ns for note in notes(show.sent) if note.on.sent_ns > stop_ns]
    assert free[-1].time_ns < later[0] < free[-1].time_ns + 2 * NS  # in free time it answers


def test_a_song_that_goes_on_elsewhere_moves_the_bar_lines_of_a_trade() -> None:
    line, retime = joins()
    jump_ns = line.time_ns(5 * TICKS_PER_BEAT)
    moved = line._replace(origin_beat=line.origin_beat + 1)  # a beat further on in its bar
    heard = [*played_on(line, every(0.5, 0, 7)), Retime(jump_ns, moved, jump=True)]
    heard.sort(key=lambda event: event.time_ns)
    show = stage(2).play([retime, *heard], line.time_ns(40 * TICKS_PER_BEAT))
    (begin,) = begins(moved, show)
    assert begin == 2


def test_a_phrase_begun_before_the_beat_is_answered_though_nothing_is_traded() -> None:
    line, _ = joins(120.0)
    free = played_on(Timeline(120.0, NS - 2 * NS), every(0.5, 0, 3))
    free = [event._replace(time_ns=event.time_ns + 2 * NS) for event in free]
    show = stage(2).play([*free, Retime(free[-1].time_ns + 10 * MS, line, jump=True)])
    assert len(begins(line, show)) == 1


def test_an_answer_that_is_given_up_leaves_the_trade_and_it_listens() -> None:
    line, retime = joins()
    heard = [*played_on(line, every(0.5, 0, 8)), *played_on(line, every(0.5, 16, 24))]
    stall = (line.time_ns(9.4 * TICKS_PER_BEAT), 700 * MS)
    show = stage(2, outlet_stalls=[stall]).play([retime, *heard], line.time_ns(40 * TICKS_PER_BEAT))
    assert [late.ended for late in show.late] == [True]
    assert begins(line, show) == [2, 6]


def test_a_shift_does_not_put_the_trade_out_of_step() -> None:
    line, retime = joins()
    heard = [event for i in range(4) for event in played_on(line, every(0.5, i * 16, i * 16 + 8))]
    stall = (line.time_ns(10.1 * TICKS_PER_BEAT), 200 * MS)
    show = stage(2, outlet_stalls=[stall]).play([retime, *heard], line.time_ns(66 * TICKS_PER_BEAT))
    assert show.late and not any(late.ended for late in show.late)
    assert begins(line, show) == [2, 6, 10, 14]


@pytest.mark.parametrize(("step_ms", "stall_ms"), [(0, 200), (20, 0), (40, 0), (60, 0)])
def test_however_late_the_machine_is_his_bars_begin_on_the_line(step_ms: int, stall_ms: int) -> None:
    """But for the one step of the network that is under way."""
    line, retime = joins()
    heard = [event for i in range(4) for event in played_on(line, every(0.5, i * 8, i * 8 + 4))]
    stalls = [(line.time_ns(at * TICKS_PER_BEAT), stall_ms * MS) for at in (6.9, 14.9, 22.9)]
    playing = stage(1, step_ns=step_ms * MS, outlet_stalls=stalls)
    show = playing.play([retime, *heard], line.time_ns(40 * TICKS_PER_BEAT))
    assert show.late and show.engine.resting
    times = [sent.sent_ns for note in notes(show.sent) for sent in (note.on, note.off)]
    assert all(1 in (line.beat(time_ns) // 4 % 2, line.beat(time_ns - step_ms * MS - 1) // 4 % 2) for time_ns in times)
    decided = [gave.event.time_ns for gave in show.gave if isinstance(gave.event, TurnBegins)]
    assert [line.beat(time_ns) // 4 for time_ns in decided] == [0, 2, 4, 6]


def test_a_pick_up_is_heard_even_if_the_machine_never_got_to_play() -> None:
    """Its network is too slow to have read his bar when the next begins; and then he stops it."""
    line, retime = joins()
    net = lively()
    heard = [*played_on(line, every(0.25, 0, 4), length=0.2), *played_on(line, [7.0], pitch=20, length=0.2)]
    ask = Ask(line.time_ns(7.5 * TICKS_PER_BEAT))
    show = stage(1, net, step_ns=80 * MS).play([retime, *heard, ask], line.time_ns(40 * TICKS_PER_BEAT))
    assert not show.sent
    assert [row[1] for row in net.read_tokens].count(20) == 1


def test_bars_shorter_than_the_latency_are_not_traded() -> None:
    line, retime = joins(300.0, (1, 4))
    musicianship = Musicianship(time=replace(TRADE, mode="trade", bars=1), out_latency_ns=360 * MS)
    show = Stage(lively(), musicianship).play([retime, *played_on(line, every(0.5, 0, 12))])
    assert not show.sent and show.engine.resting


def on_paper(beats: Iterable[float], bars: int, bar_beats: float, lead_beats: float) -> list[float]:
    """The bars in which the machine's turns begin, counted in the plainest way; decided so long before."""
    found, pick_up_beats = [], min(1.0, bar_beats / 2)
    end_bar, machine, played = math.inf, False, False
    for beat in [*sorted(beats), math.inf]:
        while end_bar < math.inf and end_bar * bar_beats - (1 / TICKS_PER_BEAT if machine else lead_beats) < beat:
            if not machine and not played:
                end_bar = math.inf
                continue
            found += [] if machine else [end_bar]
            end_bar, machine, played = end_bar + bars, not machine, played and machine
        if end_bar == math.inf:
            end_bar, machine, played = (beat + pick_up_beats) // bar_beats + bars, False, True
        elif not machine or beat + pick_up_beats >= end_bar * bar_beats:
            played = True
    return found


@settings(max_examples=60, deadline=None)
@for_all(
    st.sampled_from([(4, 4), (3, 4), (6, 8), (7, 8), (2, 4), (1, 4)]),
    st.sampled_from([1, 2, 4]),
    st.lists(st.sampled_from([0.3, 0.5, 0.5, 1.0, 1.7, 6.1, 13.0]), min_size=1, max_size=30),
)
def test_whatever_he_plays_bars_are_traded_as_on_paper(metre: tuple[int, int], bars: int, gaps: list[float]) -> None:
    line, retime = joins(120.0, metre)
    beats = [beat + 0.05 for beat in accumulate(gaps)]
    turn = bars * line.bar_beats
    time = replace(TRADE, metre=metre)
    show = stage(bars, time=time).play([retime, *played_on(line, beats)], line.time_ns((beats[-1] + 6 * turn) * 48))
    expected = on_paper(beats, bars, line.bar_beats, BEAT_LEAD_NS / NS * line.bpm / 60)
    decided = [gave.event.time_ns for gave in show.gave if isinstance(gave.event, TurnBegins)]
    assert [line.beat(time_ns + BEAT_LEAD_NS) / line.bar_beats for time_ns in decided] == pytest.approx(expected)
    for note in notes(show.sent):
        begin, end = (line.beat(sent.sent_ns) / line.bar_beats for sent in (note.on, note.off))
        assert any(bar - 1e-6 <= begin and end <= bar + bars for bar in expected), (begin, end)
    assert show.engine.resting and not any(isinstance(gave.event, Yield) for gave in show.gave)


CORPORA = Path(__file__).parents[2] / "shared" / "data"


@pytest.mark.skipif(not CORPORA.is_dir(), reason="the corpora are not beside this checkout")
@pytest.mark.parametrize("corpus", ["maestro", "pop909"])
def test_the_shipped_network_trades_with_a_real_pianist(corpus: str) -> None:
    """He plays on through the machine's bars, pedal and all."""
    with tarfile.open(CORPORA / f"{corpus}.tar.xz") as archive:
        member = next(member for member in archive if member.name.endswith((".mid", ".midi")))
        data = archive.extractfile(member)
        assert data is not None
        events = files.read(data.read()).events
    first_ns = next(event.time_ns for event in events if isinstance(event, NoteOn))
    heard = [event for event in events if event.time_ns < first_ns + 25 * NS]
    line = Timeline(120.0, first_ns, metric=True)
    time = Time(bpm=120.0, grid=Grid(12, 1.0), mode="trade", bars=2)
    playing = Stage(weights.load("open")[1], Musicianship(time=time))
    show = playing.play([*heard, InputLost(heard[-1].time_ns)], first_ns + 60 * NS)
    assert len(set(machine_bars(line, show, 0, 2))) >= 3
    assert not show.late and show.engine.resting
    assert all(line.position(note.on.due_ns) % 12 == pytest.approx(0, abs=1e-3) for note in notes(show.sent))
