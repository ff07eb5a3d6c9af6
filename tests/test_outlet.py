"""The outlet, the schedule and the book: lists in, lists out, on a clock that moves only when waited on."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import NamedTuple, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from improv.clock import now_ns
from improv.midi import wire
from improv.midi.outlet import (
    BEAT,
    FORWARD,
    HEARTBEAT_LOST_NS,
    HEARTBEAT_NS,
    LEAVE,
    LET_GO,
    PLAY,
    TURN,
    YIELD,
    Frame,
    ProcessOutlet,
    Sent,
    Target,
    ThreadOutlet,
    serve,
)
from improv.midi.ports import PortError
from improv.music.events import Late, NoteOff, NoteOn, Pedal
from improv.music.schedule import MACHINE, THRU, Book, Schedule, is_note_off
from tests.jack import Env, Player, server_or_skip
from tests.observer import Sound, Stamped, sound

MS = 1_000_000
OWNERS = (MACHINE, THRU)
NOTHING = Sound(set(), set())


def on(pitch: int, channel: int = 2) -> bytes:
    return wire.spell(NoteOn(0, pitch, 64), channel)


def off(pitch: int, channel: int = 2) -> bytes:
    return wire.spell(NoteOff(0, pitch), channel)


def pedal(down: bool, channel: int = 2) -> bytes:
    return wire.spell(Pedal(0, down), channel)


def sounding(messages: list[bytes]) -> Sound:
    """What a strict synthesiser sounds after those messages: each note-on wants its own note-off."""
    return sound(Stamped(0, tuple(message)) for message in messages)


# Few channels and pitches, so that owners meet on one note.
CHANNELS, PITCHES = st.integers(1, 2), st.integers(60, 62)
NOTES = st.builds(lambda strike, pitch, channel: strike(pitch, channel), st.sampled_from([on, off]), PITCHES, CHANNELS)
PEDALS = st.builds(pedal, st.booleans(), CHANNELS)
ENTRIES = st.tuples(st.sampled_from(OWNERS), NOTES)


class Model:
    """Who holds each note, told in the plainest way."""

    def __init__(self) -> None:
        self.held: set[tuple[int, int, int]] = set()  # owner, channel, pitch

    def enter(self, owner: int, message: bytes) -> None:
        key = (owner, wire.channel(message), message[1])
        (self.held.discard if is_note_off(message) else self.held.add)(key)

    def release(self, owner: int) -> None:
        self.held = {key for key in self.held if key[0] != owner}

    @property
    def notes(self) -> set[tuple[int, int]]:
        return {(channel, pitch) for _, channel, pitch in self.held}


@given(st.lists(st.one_of(ENTRIES, st.sampled_from(OWNERS)), max_size=60))
def test_a_note_sounds_as_long_as_somebody_holds_it(steps: list[tuple[int, bytes] | int]) -> None:
    """An owner alone means: release all that is his. Stray note-offs are among the steps."""
    book, model, sent = Book(), Model(), list[bytes]()
    for step in steps:
        if isinstance(step, tuple):
            sent += book.enter(*step)
            model.enter(*step)
        else:
            sent += book.release(step)
            model.release(step)
        assert sounding(sent).notes == model.notes == {(channel + 1, pitch) for channel, pitch in book.sounding}


@given(st.lists(st.tuples(st.sampled_from(OWNERS), st.one_of(NOTES, PEDALS)), max_size=60))
def test_silence_ends_notes_and_pedals(entries: list[tuple[int, bytes]]) -> None:
    book = Book()
    sent = [message for owner, entry in entries for message in book.enter(owner, entry)]
    assert sounding(sent + book.silence()) == NOTHING
    assert book.silence() == []


@pytest.mark.parametrize("first", OWNERS)
def test_a_note_of_two_owners_ends_with_the_second(first: int) -> None:
    book = Book()
    assert book.enter(MACHINE, on(60)) == [on(60)]
    assert book.enter(THRU, on(60)) == [off(60), on(60)]  # struck anew: no synthesiser is left with two
    assert book.enter(first, off(60)) == []
    assert book.enter(1 - first, off(60)) == [off(60)]


def test_nobody_ends_a_note_that_is_not_his() -> None:
    book = Book()
    book.enter(MACHINE, on(60))
    assert book.enter(THRU, off(60)) == []
    assert book.release(THRU) == []
    assert book.sounding == {(1, 60)}


def test_a_release_lifts_the_owners_pedal_and_no_other() -> None:
    book = Book()
    book.enter(THRU, pedal(True, 1))
    book.enter(MACHINE, on(60))
    assert book.release(MACHINE) == [off(60)]
    assert book.release(THRU) == [pedal(False, 1)]


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(OWNERS), NOTES), max_size=40))
def test_what_is_due_comes_in_time_and_note_offs_first(puts: list[tuple[int, int, bytes]]) -> None:
    schedule = Schedule()
    for put in puts:
        schedule.put(*put)
    popped = []
    while (due := schedule.pop(5)) is not None:
        popped.append(due)
    assert len(popped) == len(puts) and schedule.deadline() is None
    keys = [(due.due_ns, not is_note_off(due.message)) for due in popped]
    assert keys == sorted(keys)


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(OWNERS), NOTES), max_size=40), st.sampled_from(OWNERS))
def test_a_drop_forgets_one_owner_only(puts: list[tuple[int, int, bytes]], owner: int) -> None:
    schedule = Schedule()
    for put in puts:
        schedule.put(*put)
    schedule.drop(owner)
    left = []
    while (due := schedule.pop(5)) is not None:
        left.append((due.owner, due.message))
    assert sorted(left) == sorted(put[1:] for put in puts if put[1] != owner)


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
        self.reports: list[Sent] = []

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

    def send(self, message: bytes) -> None:
        self.sent.append(message)
        self.stamps.append(self.now)

    def run(self) -> Script:
        serve(cast("queue.SimpleQueue[Frame]", self), self.send, self.reports.append, clock=self.clock)
        return self


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


TIMES = st.integers(0, 2000).map(lambda ms: ms * MS)
FRAMES = st.one_of(
    st.builds(lambda at, ahead, m: played(at, at + ahead, m), TIMES, st.integers(0, 500).map(lambda n: n * MS), NOTES),
    st.builds(lambda at, m: Arrival(at, Frame(at, FORWARD, m)), TIMES, st.one_of(NOTES, PEDALS)),
    st.builds(lambda at: Arrival(at, Frame(at, YIELD)), TIMES),
    st.builds(lambda at: Arrival(at, Frame(at, BEAT)), TIMES),
)


@given(st.lists(FRAMES, max_size=40), TIMES)
def test_whatever_came_nothing_sounds_after_it_left(arrivals: list[Arrival], leave_ns: int) -> None:
    script = Script([*arrivals, Arrival(leave_ns, Frame(0, LEAVE))]).run()
    assert sounding(script.sent) == NOTHING


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


def test_a_lost_heartbeat_releases_all_and_ends_it() -> None:
    last_ns = 5 * HEARTBEAT_NS
    beats = [Arrival(at, Frame(at, BEAT)) for at in range(0, last_ns + 1, HEARTBEAT_NS)]
    script = Script([*beats, played(0, MS, on(60)), Arrival(0, Frame(0, FORWARD, pedal(True, 1)))]).run()
    assert sounding(script.sent) == NOTHING
    assert last_ns + HEARTBEAT_LOST_NS < script.now < last_ns + HEARTBEAT_LOST_NS + 2 * MS


def test_the_watch_begins_with_the_first_beat() -> None:
    script = Script([Arrival(10 * HEARTBEAT_LOST_NS, Frame(0, LEAVE))]).run()
    assert script.now >= 10 * HEARTBEAT_LOST_NS


def test_on_a_thread_it_is_the_same_loop() -> None:
    sent: list[bytes] = []
    reports: list[Sent] = []
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


class Lost(threading.Event):
    """Set when the outlet says that it died."""


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
    lost = Lost()
    outlet = ProcessOutlet(Target("jack", "Synth:port"), lambda sent: None, lost.set)
    outlet.wait_until_ready()
    outlet.put(Frame(0, BEAT))
    outlet.put(Frame(now_ns(), PLAY, on(60)))
    assert synth.wait(lambda: sounds_something(synth), 2.0)
    assert synth.wait(lambda: sounds_nothing(synth), 3.0), synth.sound()
    assert lost.wait(2.0)
    outlet.close()


@pytest.mark.jack
def test_a_port_that_is_not_there_is_one_sentence(synth: Player) -> None:
    outlet = ProcessOutlet(Target("jack", "Harpsichord:port"), lambda sent: None, lambda: None)
    with pytest.raises(PortError, match="Harpsichord"):
        outlet.wait_until_ready()
    outlet.close()
