"""What is due of the machine, the clock, the click and the player's own notes. No port, no thread, no process."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from improv.midi.frames import (
    FORWARD,
    LATENCY,
    LET_GO,
    PANIC,
    PLAY,
    RETIME,
    REVISE,
    TURN,
    YIELD,
    Frame,
    Report,
    Sent,
    Skipped,
    retime_of,
)
from improv.music.events import Late, Retime
from improv.music.latest import Latest, is_continuous
from improv.music.pulse import Click, MidiClock
from improv.music.schedule import CLICK, MACHINE, THRU, YIELDING, Schedule
from improv.music.sweep import Sweep, everything_off
from improv.music.timeline import TICKS_PER_BEAT

SPIN_NS = 800_000  # sleep until so long before an event, then spin: a sleep alone wakes too late
TICK_SPIN_NS = 120_000  # before a tick, which comes often and matters less: slaves smooth what they hear

Clock = Callable[[], int]


class Duties(NamedTuple):
    """What the outlet does besides sending what it is told."""

    clock: bool = False  # sends the ticks of a MIDI clock
    click_channel: int | None = None  # sends a click
    grid_ticks: int = TICKS_PER_BEAT // 4  # by which late answers move under a clock
    latency_ns: int = 0  # sends everything so much before its time


NO_DUTIES = Duties()


class Desk:
    """What is due of the machine, the clock and the click, and what is sent for each frame.

    It lives `latency_ns` ahead of the clock: what is due then is sent now.
    """

    def __init__(
        self, send: Callable[[bytes], None], report: Callable[[Report], None], duties: Duties, clock: Clock
    ) -> None:
        self._put, self._report, self._clock = send, report, clock
        self._schedule = Schedule(duties.grid_ticks)
        self._ticks = MidiClock() if duties.clock else None
        self._click = Click(duties.click_channel) if duties.click_channel is not None else None
        self._latest = Latest()
        self._sweep = Sweep()
        self._latency_ns = duties.latency_ns

    def now(self) -> int:
        return self._clock() + self._latency_ns

    def deadline(self) -> int | None:
        """When something is to be sent, by the clock itself."""
        first = self._first()
        return None if first is None else first[0]

    @property
    def spin_ns(self) -> int:
        """How long before the deadline to be awake."""
        first = self._first()
        return SPIN_NS if first is None else first[1]

    def _first(self) -> tuple[int, int] | None:
        """When something is due, and how long before to be awake: of what is due together, for the most precise."""
        ahead_ns = self._latency_ns
        parts = (
            (self._schedule, SPIN_NS, ahead_ns),
            (self._click, SPIN_NS, ahead_ns),
            (self._ticks, TICK_SPIN_NS, ahead_ns),
            (self._latest, 0, 0),
            (self._sweep, 0, 0),
        )
        dues = ((None if part is None else part.deadline(), spin, ahead) for part, spin, ahead in parts)
        found = ((due - ahead, spin) for due, spin, ahead in dues if due is not None)
        return min(found, key=lambda first: (first[0], -first[1]), default=None)

    def take(self, frame: Frame) -> None:
        """Do what a frame says."""
        if frame.command == PLAY:
            self._schedule.put(frame.time_ns, MACHINE, frame.message)
        elif frame.command == FORWARD:
            self._forward(frame.message)
        elif frame.command == YIELD:
            self._give_way(frame.time_ns)
        elif frame.command == REVISE:
            self._play(self._schedule.revise(frame.time_ns))
        elif frame.command == LET_GO:
            self._send_all(self._schedule.drop(THRU))
        elif frame.command == TURN:
            self._play(self._schedule.drop(YIELDING))  # they are no voices of the new answer's
            self._schedule.begin_turn(frame.time_ns)
        elif frame.command == RETIME:
            self._retime(retime_of(frame))
        elif frame.command == PANIC:
            self._play(self._drop_machine())
            self._send_all(self._schedule.silence())
            self._sweep.begin(self._clock(), everything_off())
        elif frame.command == LATENCY:
            self._latency_ns = frame.time_ns
            self._run_schedule(self.now(), in_time=True)  # what is due all at once now is not late

    def run(self) -> None:
        """Send all that is due."""
        now = self.now()
        while self._ticks is not None and _is_due(self._ticks.deadline(), now):
            self._send_all(self._ticks.pop(now))
        while self._click is not None and _is_due(self._click.deadline(), now):
            for beat in self._click.pop(now):
                self._schedule.put(beat.due_ns, CLICK, beat.message)
        self._run_schedule(now)
        self._send_all(self._latest.pop(self._clock()))
        if _is_due(self._sweep.deadline(), self._clock()):
            self._send_all(self._sweep.pop(self._clock()))

    def _run_schedule(self, now: int, in_time: bool = False) -> None:
        while _is_due(self._schedule.deadline(), now):
            if not in_time and (late := self._schedule.catch_up(now)) is not None:
                self._late(late)
            elif (due := self._schedule.pop(now)) is not None:
                messages = self._schedule.book.enter(due.owner, due.message)
                machine = due.owner in (MACHINE, YIELDING)
                self._play(messages, due.due_ns) if machine else self._send_all(messages)

    def fall_silent(self) -> list[bytes]:
        """Gives what ended the notes and pedals."""
        machine, rest = self._drop_machine(), self._schedule.silence()
        self._play(machine)
        self._send_all(rest)
        if self._ticks is not None:
            self._send_all(self._ticks.stop())
        self._send_all(self._latest.flush())
        self._send_all(self._sweep.flush())
        if self._latest.skipped:
            self._report(Skipped(self._latest.skipped))
        return machine + rest

    def _give_way(self, by_ns: int) -> None:
        """The player came in: what sounds may end a little later, and so overlap with his first note."""
        now = self.now()
        self._play(self._schedule.give_way(max(by_ns, now)))
        self._run_schedule(now)

    def _drop_machine(self) -> list[bytes]:
        return self._schedule.drop(MACHINE) + self._schedule.drop(YIELDING)

    def _forward(self, message: bytes) -> None:
        """Notes at once; of what moves continuously no more than is of use."""
        for one in self._schedule.book.enter(THRU, message):
            if not is_continuous(one):
                self._send(one)
                continue
            none_before = not self._latest.skipped
            self._send_all(self._latest.put(self._clock(), one))
            if none_before and self._latest.skipped:
                self._report(Skipped(1))

    def _retime(self, retime: Retime) -> None:
        now = self.now()
        self._schedule.retime(retime.timeline, retime.jump, now)
        if self._ticks is not None:
            self._send_all(self._ticks.retime(retime.timeline, retime.jump, now))
        if self._click is not None:
            self._click.retime(retime.timeline, retime.jump, now)
            if not retime.timeline.metric:
                self._send_all(self._schedule.drop(CLICK))

    def _late(self, late: Late) -> None:
        if late.ended:
            self._play(self._schedule.drop(MACHINE))
        self._report(late)

    def _play(self, messages: list[bytes], due_ns: int | None = None) -> None:
        for message in messages:
            self._send(message)
            now = self.now()
            self._report(Sent(now if due_ns is None else due_ns, now, message))

    def _send_all(self, messages: list[bytes]) -> None:
        for message in messages:
            self._send(message)

    def _send(self, message: bytes) -> None:
        for end in self._sweep.before(message):
            self._put(end)
        self._put(message)


def _is_due(due_ns: int | None, now: int) -> bool:
    return due_ns is not None and due_ns <= now
