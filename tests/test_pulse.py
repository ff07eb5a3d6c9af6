"""The ticks of the clock and the click: timelines in, lists out, on a virtual clock."""

from __future__ import annotations

import math
import random
from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from improv.music.pulse import CONTINUE, DOWNBEAT, PPQN, SONG_POSITION, START, STOP, TICK, UPBEAT, Click, MidiClock
from improv.music.schedule import is_note_on
from improv.music.timeline import NS, TICKS_PER_BEAT, Timeline

MS = 1_000_000
PER_SIXTEENTH = PPQN // 4


class Heard(NamedTuple):
    time_ns: int
    message: bytes


class Slave:
    """Counts as MIDI 1.0 tells a slave to: in ticks from the top of the song."""

    def __init__(self) -> None:
        self.runs = False
        self.next = 0  # what the next tick is, when it runs
        self.all: list[Heard] = []

    def hear(self, time_ns: int, messages: list[bytes]) -> list[int]:
        """Where the song was at each tick that counts."""
        places = []
        for message in messages:
            self.all.append(Heard(time_ns, message))
            kind = message[0]
            if kind == TICK and self.runs:
                places.append(self.next)
                self.next += 1
            elif kind in (START, CONTINUE):
                self.runs = True
                self.next = 0 if kind == START else self.next
            elif kind == STOP:
                self.runs = False
            elif kind == SONG_POSITION:
                assert not self.runs, "a slave that runs does not move"
                self.next = (message[1] | message[2] << 7) * PER_SIXTEENTH
        return places

    def times(self, kind: int) -> list[int]:
        return [heard.time_ns for heard in self.all if heard.message[0] == kind]

    def since(self, time_ns: int) -> list[int]:
        return [heard.message[0] for heard in self.all if heard.time_ns >= time_ns]


class Master:
    """A MidiClock, played on a virtual clock into a slave."""

    def __init__(self) -> None:
        self.clock, self.slave, self.now = MidiClock(), Slave(), 0
        self.line: Timeline | None = None
        self.places: list[tuple[int, int]] = []  # time, and the slave's place

    def retime(self, line: Timeline, jump: bool = False) -> list[int]:
        told = self.clock.retime(line, jump, self.now)
        self.line = line
        self._tell(told)
        return [message[0] for message in told]

    def run(self, until: int) -> None:
        while (due := self.clock.deadline()) is not None and due <= until:
            self.now = max(self.now, due)
            self._tell(self.clock.pop(self.now))
        self.now = until

    def _tell(self, messages: list[bytes]) -> None:
        self.places += [(self.now, place) for place in self.slave.hear(self.now, messages)]


def line(bpm: float, origin_ns: int = 0, origin_beat: float = 0.0, **others: object) -> Timeline:
    return Timeline(bpm, origin_ns, origin_beat, metric=True)._replace(**others)


def at(beat: float, timeline: Timeline) -> int:
    return timeline.time_ns(beat * TICKS_PER_BEAT)


# The ticks


@pytest.mark.parametrize("bpm", [20.0, 137.3, 400.0])
def test_twenty_four_ticks_a_quarter_and_none_drifts(bpm: float) -> None:
    beat = line(bpm, 987_654_321_987)
    master = Master()
    master.now = beat.origin_ns
    master.retime(beat)
    last_tick = round(bpm * PPQN)  # a minute
    master.run(at(last_tick / PPQN, beat))
    ticks = master.slave.times(TICK)
    assert len(ticks) == last_tick + 1
    assert all(abs(tick - beat.origin_ns - n * 60 * NS / (bpm * PPQN)) < 1 for n, tick in enumerate(ticks))
    assert [place for _, place in master.places] == list(range(last_tick + 1))


CHANGES = st.lists(
    st.tuples(st.integers(1, 700), st.floats(30, 300), st.floats(-0.8, 0.8)), min_size=1, max_size=20
)  # after so many ms another tempo, and so many ticks more or less


@settings(max_examples=60)
@given(CHANGES)
def test_no_tick_is_lost_or_sent_twice_whatever_the_tempo(changes: list[tuple[int, float, float]]) -> None:
    """Small corrections of the phase, as of one who follows a clock, go forward or back by less than a tick."""
    master = Master()
    master.retime(line(120.0))
    for after_ms, bpm, ticks in changes:
        master.run(master.now + after_ms * MS)
        assert master.line is not None
        beat = master.line.beat(master.now) + ticks / PPQN
        assert master.retime(line(bpm, master.now, beat)) == []
        before = len(master.places)
        master.run(master.now)  # what is due by the correction alone: at once
        assert len(master.places) - before <= 1
    master.run(master.now + NS)
    assert master.line is not None
    assert [place for _, place in master.places] == list(range(len(master.places)))
    ahead = len(master.places) - 1 - math.floor(master.line.beat(master.now) * PPQN + 1e-6)
    assert 0 <= ahead <= 1 + sum(abs(ticks) for *_, ticks in changes)


def test_micro_corrections_leave_the_ticks_where_they_belong() -> None:
    """Each tick lies where the timeline of its moment puts it, or at the moment of a correction that was past it."""
    master, dice, bpm = Master(), random.Random(1), 120.0
    master.retime(line(bpm))
    for _ in range(400):
        master.run(master.now + 17 * MS)
        bpm += dice.gauss(0, 0.1)
        master.retime(line(bpm, master.now, master.now * 120 / (60 * NS) + dice.gauss(0, 0.05) / PPQN))
    ticks = master.slave.times(TICK)
    assert all(abs(tick - n * 60 * NS / (120 * PPQN)) < 0.3 * 60 * NS / (120 * PPQN) for n, tick in enumerate(ticks))


# Setting off


def test_the_tick_after_a_start_is_the_first_beat() -> None:
    beat = line(120.0, NS)
    master = Master()
    master.now = beat.origin_ns
    assert master.retime(beat) == [STOP]  # whatever they did before
    master.run(2 * NS)
    assert [heard.message[0] for heard in master.slave.all[1:4]] == [START, TICK, TICK]
    assert master.slave.all[1].time_ns == master.slave.all[2].time_ns == NS
    assert master.places[0] == (NS, 0)


def test_ticks_come_before_the_start_where_the_tempo_is_known() -> None:
    """The tempo first, and then a song that begins with a beat that lies ahead."""
    master = Master()
    assert master.retime(Timeline(100.0)) == []
    master.run(NS)
    steady = master.slave.times(TICK)
    assert len(steady) == 40 and master.slave.times(START) == []
    song = line(100.0, NS, -2.0)
    assert master.retime(song, jump=True) == []
    master.run(at(1.0, song))
    assert master.slave.times(START) == [at(0.0, song)]
    assert master.places == [(at(n / PPQN, song), n) for n in range(PPQN + 1)]
    assert len(master.slave.times(TICK)) == 40 + 3 * PPQN + 1


@pytest.mark.parametrize("late_ms", [0, 3, 9, 40, 100])
@pytest.mark.parametrize("bpm", [120.0, 150.0])
def test_a_song_that_has_just_begun_is_begun_from_its_top(late_ms: int, bpm: float) -> None:
    """The first note begins the song: word of it comes late, or is to be sent some latency before."""
    master, song = Master(), line(bpm, NS)
    master.now = NS + late_ms * MS
    assert master.retime(song) == [STOP]
    master.run(2 * NS)
    assert master.slave.since(0)[:3] == [STOP, START, TICK]
    late = [time_ns - at(place / PPQN, song) for time_ns, place in master.places]
    assert late[0] == late_ms * MS and all(there == 0 for there in late[10:])


def test_stop_is_told_at_once_and_the_ticks_go_on() -> None:
    master, song = Master(), line(120.0)
    master.retime(song)
    master.run(at(2.3, song))
    assert master.retime(Timeline(120.0, master.now, 2.3), jump=True) == [STOP]
    ticks = len(master.slave.times(TICK))
    master.run(master.now + NS)
    assert len(master.slave.times(TICK)) - ticks == 2 * PPQN
    assert all(abs(later - sooner - 20_833_333) <= 1 for sooner, later in pairwise(master.slave.times(TICK)))
    assert not master.slave.runs


def test_going_on_is_told_by_position_and_continue_comes_before_its_tick() -> None:
    master, song = Master(), line(120.0)
    master.retime(song)
    master.run(at(2.3, song))
    stopped_ns = master.now
    master.retime(Timeline(120.0, master.now, 2.3), jump=True)
    master.run(master.now + 777 * MS)
    on_again = line(120.0, master.now, 2.3)
    told_ns = master.now
    assert master.retime(on_again, jump=True) == [SONG_POSITION]
    assert master.slave.next == 10 * PER_SIXTEENTH  # the sixteenth after 2.3 beats
    master.run(at(4.0, on_again))
    assert master.slave.times(CONTINUE) == [at(2.5, on_again)]
    after = [heard for heard in master.slave.all if heard.time_ns >= at(2.5, on_again)]
    assert [heard.message[0] for heard in after[:2]] == [CONTINUE, TICK]
    assert all(time_ns == at(place / PPQN, on_again) for time_ns, place in master.places if time_ns > told_ns)
    assert master.slave.times(STOP) == [0, stopped_ns] and master.slave.times(START) == [0]


@pytest.mark.parametrize("beat", [0.26, 7.0, 7.01, 7.25, 1000.9])
def test_who_joins_a_song_tells_where_it_is(beat: float) -> None:
    master, song = Master(), line(93.0, NS, beat)
    master.now = NS
    assert master.retime(song) == [STOP, SONG_POSITION]
    sixteenth = math.ceil(beat * 4 - 0.05)  # a tick that was due half of one before is still sent
    assert master.slave.next == sixteenth * PER_SIXTEENTH
    master.run(3 * NS)
    assert master.places[0][1] == sixteenth * PER_SIXTEENTH
    assert master.places[-1][1] == math.floor(song.beat(master.now) * PPQN)


def test_the_top_of_the_song_need_not_be_beat_0() -> None:
    master, song = Master(), line(120.0, NS, 17.3, bar_beat=13.0)
    master.now = NS
    assert master.retime(song) == [STOP, SONG_POSITION]
    master.run(2 * NS)
    assert master.places[0] == (at(17.5, song), round(4.5 * PPQN))


def test_slaves_of_an_outlet_that_died_are_fetched() -> None:
    master, song = Master(), line(120.0)
    master.retime(song)
    master.run(NS)
    master.clock = MidiClock()
    master.now = NS + 333 * MS
    assert master.retime(song) == [STOP, SONG_POSITION]
    master.run(2 * NS)
    assert master.places[-1] == (2 * NS, 4 * PPQN)


def test_a_song_that_begins_anew_is_begun_anew() -> None:
    """On the beat, so that the beat itself goes on: slaves go to the top all the same."""
    master, song = Master(), line(120.0)
    master.retime(song)
    master.run(at(6.0, song))
    again = song._replace(bar_beat=6.0)
    assert master.retime(again) == [STOP]
    master.run(at(7.0, again))
    assert master.places[-PPQN - 1 :] == [(at(6 + n / PPQN, again), n) for n in range(PPQN + 1)]


@pytest.mark.parametrize("beats", [-0.6, 0.3, 0.9])
def test_a_jump_within_a_beat_is_told_too(beats: float) -> None:
    master, song = Master(), line(120.0)
    master.retime(song)
    master.run(at(6.1, song))
    elsewhere = line(120.0, master.now, 6.1 + beats)
    assert master.retime(elsewhere, jump=True) == [STOP, SONG_POSITION]
    master.run(at(9.0, elsewhere))
    assert master.places[-1] == (at(9.0, elsewhere), 9 * PPQN)


def test_a_song_that_is_stopped_before_its_top_is_not_begun() -> None:
    master, song = Master(), line(120.0, 0, -2.0)
    master.retime(song)
    master.run(NS // 2)
    assert master.retime(Timeline(120.0, master.now, -1.0), jump=True) == [STOP]
    master.run(3 * NS)
    assert master.slave.times(START) == [] and not master.slave.runs


ORDERS = st.lists(
    st.tuples(
        st.sampled_from(["tempo", "stop", "go", "jump", "top"]),
        st.integers(0, 900),
        st.floats(40, 250),
        st.floats(0, 99),
    ),
    max_size=15,
)


@settings(max_examples=80)
@given(ORDERS, st.sampled_from([(4, 4), (3, 4), (6, 8)]))
def test_a_slave_that_runs_is_where_the_song_is(
    orders: list[tuple[str, int, float, float]], metre: tuple[int, int]
) -> None:
    master = Master()
    master.retime(line(120.0, metre=metre))
    for kind, after_ms, bpm, beat in orders:
        master.run(master.now + after_ms * MS)
        before = master.line
        assert before is not None
        here = before._replace(bpm=bpm, origin_ns=master.now, origin_beat=before.beat(master.now))
        if kind == "tempo":
            master.retime(here)
        elif kind == "top":
            master.retime(here._replace(bar_beat=here.origin_beat, metric=True), jump=True)
        else:
            beats = beat - here.origin_beat if kind == "jump" else 0.0
            song = here._replace(origin_beat=here.origin_beat + beats, metric=kind != "stop")
            master.retime(song, jump=True)
        began, line_ = len(master.places), master.line
        assert line_ is not None
        master.run(master.now + 600 * MS)
        for time_ns, place in master.places[began:]:
            truly = (line_.beat(time_ns) - line_.bar_beat) * PPQN
            assert -0.51 <= truly - place <= PER_SIXTEENTH  # ticks of a song just begun come at once
        assert line_.metric or len(master.places) == began
    assert master.line is not None
    if master.line.metric and orders:
        # A song that lies ahead is waited for, and a sixteenth is the longest wait otherwise.
        assert master.slave.runs or master.line.beat(master.now) <= master.line.bar_beat + 0.25


@pytest.mark.parametrize("metre", [(4, 4), (3, 4), (6, 8), (7, 8), (3, 32), (32, 1)])
def test_positions_beyond_what_can_be_told_keep_the_bar(metre: tuple[int, int]) -> None:
    """2^14 sixteenths are 68 minutes at 60 bpm."""
    song = line(120.0, NS, 5000.25, metre=metre)
    master = Master()
    master.now = NS
    assert master.retime(song) == [STOP, SONG_POSITION]
    assert all(byte < 0x80 for byte in master.slave.all[1].message[1:])
    place = master.slave.next
    assert 0 <= place < 1 << 14 << 3
    bar_ticks = song.bar_beats * PPQN
    assert place != round(5000.25 * PPQN)
    assert (5000.25 * PPQN - place) % bar_ticks == 0


def test_positions_within_a_song_are_told_as_they_are() -> None:
    master = Master()
    master.retime(line(120.0, 0, 4094.75))
    assert master.slave.next == 16379 * PER_SIXTEENTH


@pytest.mark.parametrize("beats", [-1e6, -30.0, 30.0, 1e6])
def test_a_beat_that_lies_elsewhere_is_no_burst_of_ticks(beats: float) -> None:
    """Without being said to be a jump."""
    master = Master()
    master.retime(line(120.0))
    master.run(NS)
    song = line(120.0, NS, 2.0 + beats, bar_beat=0.0)
    assert master.retime(song)[0] == STOP
    sent = len(master.slave.all)
    master.run(2 * NS)
    assert 2 * PPQN <= len(master.slave.all) - sent <= 2 * PPQN + 2
    assert not master.slave.runs if beats < 0 else master.slave.runs


def test_after_a_long_stay_away_there_is_no_burst_of_ticks() -> None:
    master, song = Master(), line(120.0)
    master.retime(song)
    master.run(NS)
    sent = len(master.slave.all)
    master.now = 601 * NS  # held up for ten minutes
    master._tell(master.clock.pop(master.now))
    assert master.slave.since(master.now) == [STOP, SONG_POSITION]
    master.run(602 * NS)
    assert len(master.slave.all) - sent <= 2 * PPQN + 4
    assert master.places[-1] == (602 * NS, 1204 * PPQN)


def test_a_short_stay_away_loses_no_tick() -> None:
    master, song = Master(), line(120.0)
    master.retime(song)
    master.run(NS)
    master.now = NS + 300 * MS
    master.run(2 * NS)
    assert [place for _, place in master.places] == list(range(4 * PPQN + 1))


def test_the_end_is_told_where_it_ran() -> None:
    clock = MidiClock()
    assert clock.stop() == [] and clock.deadline() is None
    clock.retime(line(120.0), True, 0)
    assert clock.stop() == [bytes((STOP,))] and clock.deadline() is None
    clock.retime(Timeline(120.0), True, 0)
    assert clock.stop() == []


# The click


def clicked(click: Click, until: int, now: int = 0) -> list[tuple[int, bytes]]:
    found = []
    while (due := click.deadline()) is not None and due <= until:
        now = max(now, due)
        found += [(beat.due_ns, beat.message) for beat in click.pop(now)]
    return found


@pytest.mark.parametrize(
    ("metre", "beats", "pulse"), [((4, 4), 4, 1.0), ((3, 4), 3, 1.0), ((6, 8), 6, 0.5), ((5, 2), 5, 2.0)]
)
def test_a_click_on_each_beat_of_the_metre(metre: tuple[int, int], beats: int, pulse: float) -> None:
    song, click = line(90.0, NS, 3.0, bar_beat=3.0, metre=metre), Click(10)
    click.retime(song, True, NS)
    found = clicked(click, at(3.0 + 2 * beats * pulse, song))
    struck = [(due_ns, message[1:]) for due_ns, message in found if is_note_on(message)]
    assert struck == [
        (at(3.0 + n * pulse, song), bytes(UPBEAT if n % beats else DOWNBEAT)) for n in range(2 * beats + 1)
    ]
    ends = [(due_ns, message) for due_ns, message in found if not is_note_on(message)]
    assert [message for _, message in ends] == [bytes((0x89, pitch, 0)) for _, (pitch, _) in struck]
    assert all(
        0 < end - begin <= at(pulse, song) - at(0, song) for (begin, _), (end, _) in zip(struck, ends, strict=True)
    )


def test_without_a_beat_there_is_no_click() -> None:
    click = Click(10)
    assert click.deadline() is None
    click.retime(Timeline(100.0), True, 0)
    assert click.deadline() is None
    click.retime(line(100.0), True, 0)
    assert click.deadline() == 0
    click.retime(Timeline(100.0), True, NS)
    assert click.deadline() is None


@pytest.mark.parametrize(("late_ms", "beat"), [(0, 4.0), (8, 4.0), (12, 5.0)])
def test_a_click_that_was_due_just_now_is_still_given(late_ms: int, beat: float) -> None:
    song, click = line(120.0), Click(10)
    click.retime(song, True, at(4.0, song) + late_ms * MS)
    assert click.deadline() == at(beat, song)


def test_no_click_is_lost_or_given_twice_whatever_the_tempo() -> None:
    dice, click, song, now = random.Random(2), Click(10), line(120.0), 0
    click.retime(song, True, 0)
    beats = []
    for _ in range(300):
        until = now + dice.randrange(1, 400) * MS
        beats += [round(song.beat(due_ns)) for due_ns, message in clicked(click, until, now) if is_note_on(message)]
        now = until
        song = line(dice.uniform(60, 240), now, song.beat(now) + dice.gauss(0, 0.01))
        click.retime(song, False, now)
    assert beats == list(range(len(beats))) and len(beats) > 50


@pytest.mark.parametrize("beats", [-1000.5, 1000.5])
def test_a_beat_that_lies_elsewhere_is_no_burst_of_clicks(beats: float) -> None:
    song, click = line(120.0), Click(10)
    click.retime(song, True, 0)
    clicked(click, NS)
    click.retime(line(120.0, NS, 2.0 + beats), False, NS)
    assert [due_ns for due_ns, message in clicked(click, 2 * NS, NS) if is_note_on(message)] == [
        NS + 250 * MS,
        NS + 750 * MS,
    ]


def test_other_bars_move_the_click_to_them() -> None:
    song, click = line(120.0), Click(10)
    click.retime(song, True, 0)
    clicked(click, NS)
    click.retime(song._replace(bar_beat=0.5), False, NS)
    assert click.deadline() == at(2.5, song)


def test_after_a_long_stay_away_there_is_no_burst_of_clicks() -> None:
    song, click = line(120.0), Click(10)
    click.retime(song, True, 0)
    now = at(100.25, song)
    assert click.pop(now) == [] and click.deadline() == at(101.0, song)
