"""The outlet's loop: lists in, lists out, on a clock that moves only when waited on; and its process."""

from __future__ import annotations

import io
import itertools
import os
import queue
import select
import threading
from collections.abc import Iterator
from typing import NamedTuple, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from improv.clock import now_ns
from improv.midi import wire
from improv.midi.desk import NO_DUTIES, SPIN_NS, TICK_SPIN_NS, Desk, Duties
from improv.midi.frames import (
    BEAT,
    FORWARD,
    LATENCY,
    LEAVE,
    LET_GO,
    PANIC,
    PLAY,
    TURN,
    YIELD,
    Forgot,
    Frame,
    Report,
    Sent,
    Skipped,
    frames,
    pack_frame,
    pack_report,
    reports,
    retime_frame,
    retime_of,
)
from improv.midi.outlet import HEARTBEAT_LOST_NS, HEARTBEAT_NS, ProcessOutlet, Target, ThreadOutlet, serve
from improv.midi.ports import PortError
from improv.music.events import Late, Retime
from improv.music.pulse import CONTINUE, SONG_POSITION, START, STOP, TICK
from improv.music.schedule import is_note_on
from improv.music.sweep import BURST, BURST_NS
from improv.music.timeline import NS, Timeline
from tests.jack import Env, Player, server_or_skip
from tests.test_schedule import MS, NOTES, NOTHING, PEDALS, off, on, pedal, sounding


class Arrival(NamedTuple):
    at_ns: int
    frame: Frame


class Script:
    """Inbox and clock in one: frames arrive at their times, and waiting is what makes time pass."""

    TICK_NS = 20_000  # what a look at the clock takes

    def __init__(self, arrivals: list[Arrival]) -> None:
        self._arrivals = sorted(arrivals, key=lambda arrival: arrival.at_ns)
        self.now = 0
        self.sent: list[bytes] = []
        self.stamps: list[int] = []
        self.reports: list[Report] = []
        self.ended: list[bytes] = []

    def clock(self) -> int:
        self.now += self.TICK_NS
        return self.now

    def empty(self) -> bool:
        return not self._arrivals or self._arrivals[0].at_ns > self.now

    def get_nowait(self) -> Frame:
        if self.empty():
            raise queue.Empty
        return self._arrivals.pop(0).frame

    def get(self, timeout: float | None = None) -> Frame:
        until = None if timeout is None else self.now + round(timeout * 1e9)
        if self._arrivals and (until is None or self._arrivals[0].at_ns <= until):
            self.now = max(self.now, self._arrivals[0].at_ns)
            return self._arrivals.pop(0).frame
        assert until is not None, "the outlet would wait for ever"
        self.now = until
        raise queue.Empty

    def pause(self, for_s: float) -> None:
        self.now += round(for_s * NS)

    def send(self, message: bytes) -> None:
        self.sent.append(message)
        self.stamps.append(self.now)

    def run(self, duties: Duties = NO_DUTIES) -> Script:
        inbox = cast("queue.SimpleQueue[Frame]", self)
        self.ended = serve(inbox, self.send, self.reports.append, duties, self.clock, self.pause)
        return self

    @property
    def all(self) -> list[tuple[int, bytes]]:
        return list(zip(self.stamps, self.sent, strict=True))


def played(at_ns: int, due_ns: int, message: bytes) -> Arrival:
    return Arrival(at_ns, Frame(due_ns, PLAY, message))


def test_each_event_goes_out_when_it_is_due() -> None:
    dues = [10 * MS, 25 * MS, 25 * MS, 700 * MS]
    messages = [on(60), on(64), off(60), off(64)]
    script = Script([played(0, due, message) for due, message in zip(dues, messages, strict=True)])
    script._arrivals.append(Arrival(900 * MS, Frame(0, LEAVE)))
    script.run()
    assert script.sent[:4] == [on(60), off(60), on(64), off(64)]
    assert [report.due_ns for report in script.reports] == sorted(dues)
    assert all(0 <= report.sent_ns - report.due_ns < MS for report in script.reports)


def test_what_comes_too_late_goes_out_at_once() -> None:
    script = Script([played(50 * MS, 10 * MS, on(60)), played(90 * MS, 20 * MS, off(60))])
    script._arrivals.append(Arrival(100 * MS, Frame(0, LEAVE)))
    script.run()
    assert script.sent[:2] == [on(60), off(60)]
    assert 50 * MS <= script.stamps[0] < 51 * MS and 90 * MS <= script.stamps[1] < 91 * MS


def leaves(at_ms: int) -> Arrival:
    return Arrival(at_ms * MS, Frame(0, LEAVE))


TIMES = st.integers(0, 2000).map(lambda ms: ms * MS)
FRAMES = st.one_of(
    st.builds(lambda at, ahead, m: played(at, at + ahead, m), TIMES, st.integers(0, 500).map(lambda n: n * MS), NOTES),
    st.builds(lambda at, m: Arrival(at, Frame(at, FORWARD, m)), TIMES, st.one_of(NOTES, PEDALS)),
    st.builds(lambda at, ms: Arrival(at, Frame(at + ms * MS, YIELD)), TIMES, st.integers(-10, 60)),
    st.builds(lambda at: Arrival(at, Frame(at, TURN)), TIMES),
    st.builds(lambda at: Arrival(at, Frame(at, PANIC)), TIMES),
    st.builds(lambda at, value: Arrival(at, Frame(at, FORWARD, bytes((0xB0, 1, value)))), TIMES, st.integers(0, 127)),
    st.builds(lambda at: Arrival(at, Frame(at, BEAT)), TIMES),
    st.builds(lambda at, ms: Arrival(at, Frame(ms * MS, LATENCY)), TIMES, st.integers(0, 127)),
    st.builds(
        lambda at, bpm, jump, metric: Arrival(at, retime_frame(Retime(at, Timeline(bpm, at, at / 5e8, metric), jump))),
        TIMES,
        st.floats(30, 300),
        st.booleans(),
        st.booleans(),
    ),
)


@settings(max_examples=60)
@given(st.lists(FRAMES, max_size=30), TIMES, st.booleans())
def test_whatever_came_nothing_sounds_after_it_left(arrivals: list[Arrival], leave_ns: int, duties: bool) -> None:
    """And nothing was sent before it came."""
    came = {arrival.frame.message: arrival.at_ns for arrival in sorted(arrivals, reverse=True, key=lambda a: a.at_ns)}
    script = Script([*arrivals, Arrival(leave_ns, Frame(0, LEAVE))])
    script.run(Duties(True, 10, latency_ns=40 * MS) if duties else NO_DUTIES)
    assert sounding(script.sent) == NOTHING
    assert all(at_ns >= came[m] for at_ns, m in script.all if is_note_on(m) and wire.channel(m) != 10)


def test_a_yield_drops_what_is_due_and_releases_what_sounds() -> None:
    script = Script(
        [
            played(0, 10 * MS, on(60)),
            played(0, 300 * MS, off(60)),
            played(0, 400 * MS, on(62)),
            Arrival(5 * MS, Frame(0, FORWARD, on(48, 1))),
            Arrival(100 * MS, Frame(0, YIELD)),
            Arrival(900 * MS, Frame(0, FORWARD, off(48, 1))),
            Arrival(1000 * MS, Frame(0, LEAVE)),
        ]
    ).run()
    assert script.sent[:4] == [on(48, 1), on(60), off(60), off(48, 1)]
    assert script.stamps[2] < 101 * MS
    assert [report.message for report in script.reports] == [on(60), off(60)]  # the release is on record too


UNTIL = 60, 64, 67, 72  # pitches of a chord that a yield cuts into at 100 ms


def yielding(*then: Arrival, by_ms: int = 150, duties: Duties = NO_DUTIES, leave_ms: int = 1_000) -> Script:
    """A chord sounds, of which one note ends by itself 30 ms after the yield; and another was to follow."""
    chord = [played(0, 10 * MS, on(pitch)) for pitch in UNTIL]
    ends = [played(0, 400 * MS, off(60)), played(0, 130 * MS, off(64)), played(0, 300 * MS, off(67))]
    follow = [played(0, 110 * MS, on(74)), played(0, 140 * MS, off(74))]
    frames = [*chord, *ends, *follow, Arrival(100 * MS, Frame(by_ms * MS, YIELD)), *then, leaves(leave_ms)]
    return Script(frames).run(duties)


def in_ms(script: Script) -> list[tuple[int, bytes]]:
    return [(at_ns // MS, message) for at_ns, message in script.all if at_ns >= 100 * MS and message[0] < 0xB0]


def test_what_sounds_at_a_yield_ends_shortly_after_or_as_planned() -> None:
    script = yielding()
    assert in_ms(script) == [(130, off(64)), (150, off(60)), (150, off(67)), (150, off(72))]
    assert [report.message for report in script.reports if isinstance(report, Sent)] == script.sent[:8]
    assert all(report.sent_ns - report.due_ns < MS for report in script.reports if isinstance(report, Sent))


@pytest.mark.parametrize("by_ms", [0, 100])
def test_a_yield_whose_time_is_over_ends_all_at_once_and_that_is_not_late(by_ms: int) -> None:
    script = yielding(by_ms=by_ms)
    assert in_ms(script) == [(100, off(pitch)) for pitch in UNTIL]
    assert all(report.sent_ns - report.due_ns < MS for report in script.reports if isinstance(report, Sent))


@pytest.mark.parametrize(("latency_ms", "sent_ms"), [(20, 130), (60, 100)])
def test_a_release_that_takes_longer_to_be_heard_is_sent_sooner(latency_ms: int, sent_ms: int) -> None:
    script = yielding(duties=Duties(latency_ns=latency_ms * MS))
    assert in_ms(script)[-1] == (sent_ms, off(72))


def test_a_note_that_the_player_strikes_meanwhile_is_his() -> None:
    """On the same channel. It is struck anew, ends with his key, and nothing of the machine's ends it."""
    strokes = [(90, on(60)), (120, on(67)), (125, off(67)), (135, on(67)), (700, off(60)), (800, off(67))]
    script = yielding(*(Arrival(at_ms * MS, Frame(0, FORWARD, message)) for at_ms, message in strokes))
    (struck_ns,) = [at_ns for at_ns, message in script.all if message == on(60) and at_ns > 20 * MS]
    assert struck_ns // MS == 90
    assert [one for one in in_ms(script) if one[1][1] in (60, 67)] == [
        (120, off(67)), (120, on(67)), (125, off(67)), (135, on(67)), (700, off(60)), (800, off(67)),
    ]  # fmt: skip
    assert sounding(script.sent[:-3]) == NOTHING


def test_the_next_answer_begins_when_the_last_one_has_ended() -> None:
    """He asks for it at once: a release that is still to come neither adds a voice to it nor ends its notes."""
    turn, again = Arrival(120 * MS, Frame(120 * MS, TURN)), played(120 * MS, 125 * MS, on(60))
    script = yielding(turn, again, played(120 * MS, 600 * MS, off(60)))
    assert in_ms(script) == [*((120, off(pitch)) for pitch in UNTIL), (125, on(60)), (600, off(60))]


@pytest.mark.parametrize("end", [Frame(0, PANIC), Frame(0, YIELD), Frame(0, LEAVE)])
def test_a_release_is_cut_short_where_all_is_to_end(end: Frame) -> None:
    script = yielding(played(110 * MS, 115 * MS, on(48)), Arrival(120 * MS, end), leave_ms=140)
    assert {off(48)} <= {message for at_ms, message in in_ms(script) if at_ms <= 121}
    assert sounding(script.sent) == NOTHING


def test_an_answer_a_quarter_second_late_is_given_up_and_said() -> None:
    script = Script(
        [
            played(400 * MS, 100 * MS, on(60)),
            played(400 * MS, 150 * MS, off(60)),
            played(400 * MS, 200 * MS, on(64)),
            Arrival(500 * MS, Frame(0, TURN)),
            played(500 * MS, 510 * MS, on(65)),
            Arrival(600 * MS, Frame(0, LEAVE)),
        ]
    ).run()
    assert on(60) not in script.sent and on(64) not in script.sent
    assert on(65) in script.sent  # the next answer is on time
    assert sounding(script.sent) == NOTHING
    (late,) = (report for report in script.reports if isinstance(report, Late))
    assert late.ended and 300 * MS <= late.late_ns < 301 * MS


def test_an_answer_that_is_late_is_moved_and_said() -> None:
    script = Script(
        [
            Arrival(0, Frame(7 * MS, TURN)),
            played(0, 100 * MS, on(60)),
            played(130 * MS, 100 * MS, on(64)),  # 30 ms late: all that follows is
            played(130 * MS, 200 * MS, on(67)),
            played(130 * MS, 150 * MS, off(60)),
            leaves(500),
        ]
    ).run()
    lates = [report for report in script.reports if isinstance(report, Late)]
    assert [(late.turn_ns, late.ended, late.thinned) for late in lates] == [(7 * MS, False, 0)]
    assert 30 * MS <= lates[0].shift_ns < 31 * MS
    due = {report.message: report.due_ns for report in script.reports[:5] if isinstance(report, Sent)}
    moved = lates[0].shift_ns
    assert [due[message] for message in (on(60), on(64), off(60), on(67))] == [
        100 * MS,
        100 * MS + moved,
        150 * MS,  # it began in time
        200 * MS + moved,
    ]


def test_a_late_chord_stays_whole_though_its_frames_come_one_by_one() -> None:
    chord = [on(60), on(64), on(67)]
    script = Script([*(played((140 + n) * MS, 100 * MS, m) for n, m in enumerate(chord)), leaves(500)]).run()
    assert script.sent[:3] == chord and script.stamps[2] - script.stamps[0] < 3 * MS
    assert sum(isinstance(report, Late) for report in script.reports) == 1


def test_letting_go_releases_only_what_came_through() -> None:
    script = Script(
        [
            played(0, MS, on(60)),
            Arrival(5 * MS, Frame(0, FORWARD, on(48, 1))),
            Arrival(6 * MS, Frame(0, FORWARD, pedal(True, 1))),
            Arrival(50 * MS, Frame(0, LET_GO)),
            Arrival(100 * MS, Frame(0, LEAVE)),
        ]
    ).run()
    assert script.sent[3:5] == [off(48, 1), pedal(False, 1)]
    assert script.stamps[3] < 51 * MS and script.sent[5] == off(60)


def test_a_panic_ends_everything_there_may_be() -> None:
    script = Script(
        [
            played(0, 10 * MS, on(60)),
            played(0, 300 * MS, on(62)),
            played(0, 400 * MS, off(62)),
            Arrival(20 * MS, Frame(0, FORWARD, pedal(True, 1))),
            Arrival(100 * MS, Frame(0, PANIC)),
            leaves(900),
        ]
    ).run()
    after = script.sent[2:]
    assert after[0] == off(60) and on(62) not in after
    offs = {message[:2] for message in after if message[0] & 0xF0 == 0x80}
    assert offs == {bytes((0x80 | channel, pitch)) for channel in range(16) for pitch in range(128)}
    for number in (64, 120, 123):
        assert {bytes((0xB0 | channel, number, 0)) for channel in range(16)} <= set(after)
    assert [report.message for report in script.reports if isinstance(report, Sent)] == [on(60), off(60)]


def test_who_plays_after_a_panic_is_heard_while_it_is_under_way() -> None:
    """Also a second one, and the clock ticks on. Each note first ends what may sound there, and is not ended itself."""
    notes = [(150, on(60, 1)), (151, on(100, 1)), (500, off(60, 1)), (501, off(100, 1))]
    panics = [Arrival(at_ms * MS, Frame(0, PANIC)) for at_ms in (100, 120)]
    forwarded = [Arrival(at_ms * MS, Frame(0, FORWARD, message)) for at_ms, message in notes]
    script = Script([retimed(0, SONG), *panics, *forwarded, leaves(900)]).run(Duties(clock=True))
    heard = [(at_ns // MS, message) for at_ns, message in script.all if message in dict.fromkeys(m for _, m in notes)]
    played_on = [(at_ms, message) for at_ms, message in heard if 150 <= at_ms <= 501]
    assert played_on == [(150, off(60, 1)), notes[0], (151, off(100, 1)), *notes[1:]]
    ticks = [at_ns for at_ns, message in script.all if message[0] == TICK and 100 * MS <= at_ns < 800 * MS]
    assert all(later - tick < 22 * MS for tick, later in itertools.pairwise(ticks))


def test_no_burst_is_longer_than_a_slow_receiver_takes() -> None:
    keys = [Arrival(MS, Frame(0, FORWARD, on(pitch, 1))) for pitch in range(128)]
    script = Script([*keys, Arrival(2 * MS, Frame(0, LET_GO)), *keys, leaves(200)]).run()
    assert sounding(script.sent) == NOTHING and len(script.sent) > 4 * 128
    later = script.stamps[2 * BURST :]
    assert all(then - at_ns >= BURST_NS for at_ns, then in zip(script.stamps, later, strict=False))


def test_controllers_in_a_flood_are_thinned_and_the_notes_are_not() -> None:
    flood = [(n * MS // 10, bytes((0xB0, 1 + n % 3, n // 3 % 128))) for n in range(20_000)]
    notes = [(n * 50 * MS, (on if n % 2 == 0 else off)(60 + n // 2 % 12, 1)) for n in range(40)]
    forwarded = [Arrival(at_ns, Frame(0, FORWARD, message)) for at_ns, message in (*flood, *notes)]
    script = Script([*forwarded, leaves(2_500)]).run()
    assert [m for m in script.sent if m[0] < 0xB0] == [message for _, message in notes]
    late_ns = [at_ns - due_ns for (at_ns, m), (due_ns, _) in zip(
        ((at_ns, m) for at_ns, m in script.all if m[0] < 0xB0), notes, strict=True)]  # fmt: skip
    assert max(late_ns) < 3 * MS
    moved = [m for m in script.sent if m[0] == 0xB0 and m[1] < 64]
    assert 1_000 <= len(moved) <= 1_200
    for number in (1, 2, 3):
        last = [message for _, message in flood if message[1] == number][-1]
        assert [m for m in moved if m[1] == number][-1] == last
    assert script.reports[0] == Skipped(1) and script.reports[-1] == Skipped(20_000 - len(moved))


LAST_BEAT_NS = 5 * HEARTBEAT_NS
LOST_NS = LAST_BEAT_NS + HEARTBEAT_LOST_NS


def stalled(*arrivals: Arrival, until_ns: int, duties: Duties = NO_DUTIES) -> Script:
    """A note and a pedal sound, and another note is planned, while no heartbeat comes for some time."""
    beats = [*range(0, LAST_BEAT_NS + 1, HEARTBEAT_NS), *range(until_ns, until_ns + 2 * NS, HEARTBEAT_NS)]
    sounds = [played(0, MS, on(60)), Arrival(0, Frame(0, FORWARD, pedal(True, 1))), played(0, LOST_NS + NS, on(61))]
    frames = [*sounds, *(Arrival(at, Frame(at, BEAT)) for at in beats), *arrivals]
    return Script([*frames, Arrival(until_ns + 2 * NS, Frame(0, LEAVE))]).run(duties)


def test_a_lost_heartbeat_releases_all_and_forgets_what_was_planned() -> None:
    script = stalled(until_ns=LOST_NS + 3 * NS)
    assert sounding(script.sent) == NOTHING and on(61) not in script.sent
    assert LOST_NS < script.stamps[script.sent.index(off(60))] < LOST_NS + 2 * MS
    assert script.sent.count(off(60)) == 2  # for a message may be lost
    assert script.reports.count(Forgot()) == 1


def test_when_the_heartbeat_is_back_it_plays_on() -> None:
    back_ns = LOST_NS + 3 * NS
    notes = [played(back_ns, back_ns + 10 * MS, on(64)), played(back_ns, back_ns + 90 * MS, off(64))]
    script = stalled(*notes, until_ns=back_ns)
    assert [(at // MS, message) for at, message in script.all if back_ns <= at < back_ns + NS] == [
        ((back_ns + ms * MS) // MS, message) for ms, message in ((10, on(64)), (90, off(64)))
    ]
    assert script.reports.count(Forgot()) == 1


def test_what_was_due_while_it_stood_still_does_not_sound_in_a_burst() -> None:
    """Whoever wakes up sends at once what he was about to, and all that became due."""
    back_ns = LOST_NS + 600 * MS
    dues = range(LAST_BEAT_NS, back_ns + 400 * MS, 100 * MS)
    late = [played(back_ns, due, message) for due in dues for message in (on(70), off(70))]
    script = stalled(*late, until_ns=back_ns)
    assert on(70) not in script.sent
    assert [report.ended for report in script.reports if isinstance(report, Late)] == [True]


def test_while_it_stands_still_the_clock_does_and_a_new_timeline_starts_it_again() -> None:
    line, back_ns = Timeline(120.0, metric=True), LOST_NS + 600 * MS
    begin, again = retimed(0, line), retimed(back_ns // MS, line)
    script = stalled(begin, again, until_ns=back_ns, duties=Duties(clock=True))
    silent = [message for at, message in script.all if LOST_NS + 2 * MS < at < back_ns and message[0] >= 0xF0]
    assert silent == []
    assert bytes((TICK,)) in [message for at, message in script.all if at > back_ns + 500 * MS]


def test_the_watch_begins_with_the_first_beat() -> None:
    script = Script([Arrival(10 * HEARTBEAT_LOST_NS, Frame(0, LEAVE))]).run()
    assert script.now >= 10 * HEARTBEAT_LOST_NS


def test_a_halt_of_its_own_is_no_lost_heartbeat() -> None:
    """The beats came meanwhile: it only could not look."""
    beats = [Arrival(at, Frame(at, BEAT)) for at in range(0, 10 * NS, HEARTBEAT_NS)]
    script = Script([*beats, played(0, NS, on(60)), played(0, 4 * NS, off(60)), leaves(10_000)])

    def send(message: bytes) -> None:
        script.send(message)
        script.now += 5 * NS // 2 * (message == on(60))

    inbox = cast("queue.SimpleQueue[Frame]", script)
    serve(inbox, send, script.reports.append, clock=script.clock, pause=script.pause)
    assert script.now >= 10 * NS and script.stamps[1] < 4 * NS + MS


@pytest.mark.parametrize("stands_ms", [*range(600, 1_100, 50), 1_300, 1_700])
@pytest.mark.parametrize("read_ms", [1, 100])
def test_beats_that_wait_in_the_pipe_are_not_lost(stands_ms: int, read_ms: int) -> None:
    """Those of the time in which it stood still are read when it is awake already."""
    wakes_ns = NS + stands_ms * MS
    times = range(0, 5 * NS, HEARTBEAT_NS)
    beats = [Arrival(wakes_ns + read_ms * MS if NS <= at < wakes_ns else at, Frame(at, BEAT)) for at in times]
    script = Script([*beats, played(0, NS, on(60)), played(0, 4 * NS, off(60)), leaves(5_000)])

    def send(message: bytes) -> None:
        script.send(message)
        if message == on(60):
            script.now = wakes_ns

    inbox = cast("queue.SimpleQueue[Frame]", script)
    serve(inbox, send, script.reports.append, clock=script.clock, pause=script.pause)
    assert Forgot() not in script.reports and script.stamps[1] >= 4 * NS


def test_what_ended_the_last_notes_is_known_and_may_be_sent_again() -> None:
    script = Script([played(0, MS, on(60)), played(0, MS, on(64)), played(0, 2 * MS, off(64)), leaves(NS)]).run()
    assert script.ended == script.sent[3:] and script.ended[0] == off(60)


# The beat that it gives, and what is sent ahead


def retimed(at_ms: int, line: Timeline, jump: bool = True) -> Arrival:
    return Arrival(at_ms * MS, retime_frame(Retime(at_ms * MS, line, jump)))


def kinds(script: Script) -> list[int]:
    return [message[0] for message in script.sent]


SONG = Timeline(120.0, 100 * MS, 0.0, metric=True)
DUTIES = Duties(clock=True, click_channel=10)


def test_the_clock_runs_with_the_song_and_stops_at_the_end() -> None:
    script = Script([retimed(0, Timeline(120.0)), retimed(100, SONG), leaves(1_110)]).run(Duties(clock=True))
    start = kinds(script).index(START)
    assert kinds(script) == [*[TICK] * start, START, *[TICK] * 49, STOP]
    ticks = [at_ns for at_ns, message in script.all[start + 1 : -1] if message[0] == TICK]
    assert all(0 <= at_ns - SONG.time_ns(n * 2) < MS for n, at_ns in enumerate(ticks))


def test_the_song_stands_and_goes_on() -> None:
    stands, goes_on = Timeline(120.0, 700 * MS, 1.2), Timeline(120.0, NS, 1.2, metric=True)
    script = Script([retimed(0, SONG), retimed(700, stands), retimed(1000, goes_on), leaves(1_500)])
    script.run(Duties(clock=True))
    told = [(at_ns // MS, message) for at_ns, message in script.all if message[0] != TICK]
    assert told == [
        (0, bytes((STOP,))),
        (100, bytes((START,))),
        (700, bytes((STOP,))),
        (1000, bytes((SONG_POSITION, 5, 0))),
        (1025, bytes((CONTINUE,))),
        (1500, bytes((STOP,))),
    ]


def test_each_click_ends_and_those_that_sound_end_with_the_beat() -> None:
    stands = Timeline(120.0, 610 * MS, 1.02)
    script = Script([retimed(0, SONG), retimed(610, stands), leaves(900)]).run(Duties(click_channel=10))
    assert [(at_ns // MS, message[0], message[1]) for at_ns, message in script.all if message[0] < 0xB0] == [
        (100, 0x99, 76),
        (162, 0x89, 76),
        (600, 0x99, 77),
        (610, 0x89, 77),
    ]


@pytest.mark.parametrize("leave_ms", [110, 610, 640, 1_090])
def test_no_click_sounds_after_the_end(leave_ms: int) -> None:
    faster = Timeline(300.0, 601 * MS, 1.0, metric=True)
    script = Script([retimed(0, SONG), retimed(601, faster, jump=False), leaves(leave_ms)]).run(DUTIES)
    assert sounding([message for message in script.sent if message[0] < 0xF0]) == NOTHING
    assert script.sent.count(bytes((STOP,))) == 2 and script.sent[-1] == bytes((STOP,))


@pytest.mark.parametrize("latency_ms", [20, 100])
def test_all_is_sent_so_much_earlier(latency_ms: int) -> None:
    song = Timeline(120.0, 200 * MS, 0.0, metric=True)

    def after_start(latency_ns: int) -> list[tuple[int, bytes]]:
        script = Script([retimed(0, song), played(0, 300 * MS, on(60)), played(0, 500 * MS, off(60)), leaves(2_000)])
        sent = script.run(DUTIES._replace(latency_ns=latency_ns)).all
        begin = script.sent.index(bytes((START,)))
        return sent[begin : begin + 90]

    plain, early = after_start(0), after_start(latency_ms * MS)
    assert {message[0] for _, message in plain} == {0x91, 0x81, 0x99, 0x89, TICK, START}
    assert [message for _, message in plain] == [message for _, message in early]
    assert all(abs(late - latency_ms * MS - soon) < MS // 2 for (late, _), (soon, _) in zip(plain, early, strict=True))


def test_reports_say_when_it_sounds() -> None:
    script = Script([played(0, 300 * MS, on(60)), leaves(900)]).run(Duties(latency_ns=50 * MS))
    assert 250 * MS <= script.stamps[0] < 251 * MS
    report = script.reports[0]
    assert isinstance(report, Sent) and report.due_ns == 300 * MS and 300 * MS <= report.sent_ns < 301 * MS


def test_the_latency_can_be_changed_while_it_plays() -> None:
    beat = Timeline(120.0, 0, 0.0, metric=True)
    notes = [(400, on(60)), (430, on(62)), (460, on(64)), (700, on(65)), (900, on(67))]
    script = Script(
        [
            retimed(0, beat),
            *(played(0, due_ms * MS, message) for due_ms, message in notes),
            Arrival(395 * MS, Frame(64 * MS, LATENCY)),
            Arrival(750 * MS, Frame(0, LATENCY)),
            leaves(950),
        ]
    ).run()
    assert [at_ns // MS for at_ns in script.stamps[:5]] == [395, 395, 396, 636, 900]
    assert script.sent[:5] == [message for _, message in notes]  # none is moved, and no chord is thinned
    assert not any(isinstance(report, Late) for report in script.reports)


@pytest.mark.parametrize("change_ms", [[], [(1_100, 500), (1_300, 0)], [(300, 0), (900, 500)]])
def test_the_heartbeat_knows_no_latency(change_ms: list[tuple[int, int]]) -> None:
    changes = [Arrival(at_ms * MS, Frame(to_ms * MS, LATENCY)) for at_ms, to_ms in change_ms]
    beats = [Arrival(at_ns, Frame(0, BEAT)) for at_ns in (0, 900 * MS)]
    notes = [played(0, due_ms * MS, off(60)) for due_ms in (1_500, 1_850, 2_350)]  # it looks whenever one is sent
    held = Arrival(0, Frame(0, FORWARD, on(48, 1)))
    script = Script([*beats, held, *changes, *notes, leaves(5_000)]).run(Duties(latency_ns=500 * MS))
    released_ns = script.stamps[script.sent.index(off(48, 1))]
    assert 900 * MS + HEARTBEAT_LOST_NS < released_ns < 900 * MS + HEARTBEAT_LOST_NS + 2 * MS


# What passes the pipe

LONG = st.integers(-(2**63), 2**63 - 1)
FLOATS = st.floats(allow_nan=False)
MESSAGES = st.binary(max_size=3)
LINES = st.builds(
    Timeline, FLOATS, LONG, FLOATS, st.booleans(), FLOATS, st.tuples(st.integers(1, 255), st.integers(1, 255))
)


@given(st.builds(Retime, LONG, LINES, st.booleans()))
def test_a_timeline_passes_the_pipe_to_the_last_bit(retime: Retime) -> None:
    (frame,) = frames(io.BytesIO(pack_frame(retime_frame(retime))))
    assert retime_of(frame) == retime
    assert pack_frame(retime_frame(retime_of(frame))) == pack_frame(retime_frame(retime))  # -0.0 stays -0.0


@given(st.lists(st.builds(Frame, LONG, st.integers(0, 255), st.binary(max_size=36))))
def test_frames_pass_the_pipe(sent: list[Frame]) -> None:
    assert list(frames(io.BytesIO(b"".join(map(pack_frame, sent))))) == sent


REPORTS = st.one_of(
    st.builds(Sent, LONG, LONG, MESSAGES),
    st.builds(Late, LONG, LONG, LONG, LONG, st.integers(0, 65535), st.booleans()),
    st.builds(Skipped, LONG),
    st.just(Forgot()),
)


@given(st.lists(REPORTS))
def test_reports_pass_the_pipe(sent: list[Report]) -> None:
    assert list(reports(io.BytesIO(b"".join(map(pack_report, sent))))) == sent


@pytest.mark.skipif(not hasattr(select, "PIPE_BUF"), reason="Windows promises no such length")
def test_frames_of_two_threads_do_not_mix() -> None:
    """A write is whole where it is no longer than PIPE_BUF (POSIX), however full the pipe is."""
    longest = max(len(pack_frame(Frame(0, 0, bytes(36)))), len(pack_report(Sent(0, 0, bytes(3)))))
    assert longest <= select.PIPE_BUF
    reading, writing = os.pipe()

    def write(command: int) -> None:
        for number in range(2_000):
            os.write(writing, pack_frame(Frame(number, command, bytes((command,)) * 36)))

    threads = [threading.Thread(target=write, args=(command,)) for command in (1, 2)]
    for thread in threads:
        thread.start()
    closing = threading.Thread(target=lambda: ([thread.join() for thread in threads], os.close(writing)))
    closing.start()
    with open(reading, "rb", buffering=0) as stream:
        came = list(frames(stream))
    closing.join()
    for command in (1, 2):
        assert [f for f in came if f.command == command] == [
            Frame(number, command, bytes((command,)) * 36) for number in range(2_000)
        ]


def test_on_a_thread_it_is_the_same_loop() -> None:
    sent: list[bytes] = []
    reports: list[Report] = []
    outlet = ThreadOutlet(sent.append, reports.append)
    for message in (on(60), on(64), off(60)):
        outlet.put(Frame(now_ns(), PLAY, message))
    outlet.put(Frame(0, FORWARD, pedal(True, 1)))
    outlet.close()
    assert sounding(sent) == NOTHING and on(64) in sent


# The process of its own


@pytest.fixture(scope="module")
def env() -> Iterator[Env]:
    with server_or_skip() as env:
        yield env


@pytest.fixture
def synth(env: Env, monkeypatch: pytest.MonkeyPatch) -> Iterator[Player]:
    monkeypatch.setenv("JACK_DEFAULT_SERVER", env["JACK_DEFAULT_SERVER"])
    with Player(env, "--virtual", "--from", "Synth") as player:
        yield player


def sounds_something(synth: Player) -> bool:
    return bool(synth.sound().notes)


def sounds_nothing(synth: Player) -> bool:
    return synth.sound() == NOTHING


@pytest.mark.jack
def test_a_closed_pipe_leaves_silence(synth: Player) -> None:
    reports: queue.SimpleQueue[Sent] = queue.SimpleQueue()
    outlet = ProcessOutlet(Target("jack", "Synth:port"), reports.put, lambda: None)
    outlet.wait_until_ready()
    outlet.put(Frame(now_ns(), PLAY, on(60)))
    outlet.put(Frame(0, FORWARD, pedal(True, 1)))
    outlet.put(Frame(0, FORWARD, on(40, 1)))
    assert reports.get(timeout=2.0).message == on(60)
    assert synth.wait(lambda: len(synth.sound().notes) == 2, 2.0)
    outlet.close()
    assert synth.wait(lambda: sounds_nothing(synth), 2.0), synth.sound()


@pytest.mark.jack
def test_a_parent_that_hangs_leaves_silence(synth: Player) -> None:
    reports: queue.SimpleQueue[Report] = queue.SimpleQueue()
    outlet = ProcessOutlet(Target("jack", "Synth:port"), reports.put, lambda: None)
    outlet.wait_until_ready()
    for pitch in (60, 62):  # it plays on afterwards
        outlet.put(Frame(0, BEAT))
        outlet.put(Frame(now_ns(), PLAY, on(pitch)))
        assert synth.wait(lambda: sounds_something(synth), 2.0)
        assert synth.wait(lambda: sounds_nothing(synth), 3.0), synth.sound()
        while reports.get(timeout=2.0) != Forgot():
            pass
    outlet.close()


@pytest.mark.jack
def test_a_port_that_is_not_there_is_one_sentence(synth: Player) -> None:
    outlet = ProcessOutlet(Target("jack", "Harpsichord:port"), lambda sent: None, lambda: None)
    with pytest.raises(PortError, match="Harpsichord"):
        outlet.wait_until_ready()
    outlet.close()


def test_before_a_tick_it_spins_for_less_long_than_before_a_note() -> None:
    desk = Desk(lambda _: None, lambda _: None, Duties(clock=True), lambda: 0)
    assert desk.spin_ns == SPIN_NS
    desk.take(retime_frame(Retime(0, Timeline(120.0, 100 * MS, metric=True), jump=True)))
    assert desk.deadline() is not None and desk.spin_ns == TICK_SPIN_NS
    desk.run()
    desk.take(Frame(MS, PLAY, bytes((0x90, 60, 80))))
    assert desk.deadline() == MS and desk.spin_ns == SPIN_NS
