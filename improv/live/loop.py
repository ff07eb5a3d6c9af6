"""The one consumer of the inbox: steps the engine when something is heard or due. Runs on the main thread."""

from __future__ import annotations

import contextlib
import gc
import logging
import queue
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol

from improv.clock import now_ns
from improv.engine import Engine
from improv.live.tally import Tally
from improv.midi import wire
from improv.midi.frames import (
    BEAT,
    LATENCY,
    PLAY,
    REVISE,
    TURN,
    YIELD,
    Forgot,
    Frame,
    Report,
    Sent,
    Skipped,
    retime_frame,
)
from improv.midi.log import Gave, Record, Silence, Step
from improv.midi.outlet import HEARTBEAT_NS
from improv.music.events import (
    FreeWheel,
    Heard,
    Late,
    NoteOff,
    NoteOn,
    OutLatency,
    Played,
    Retime,
    Revise,
    SetMode,
    TurnBegins,
    Yield,
)
from improv.music.latest import PER_S

LOG = logging.getLogger("improv")


class Quit(NamedTuple):
    """Asks the loop to end."""


class Outlet(Protocol):
    def put(self, frame: Frame) -> None: ...
    def close(self) -> None: ...


class OutletLost(NamedTuple):
    """What is played is heard by nobody until there is another outlet."""


class OutletOpen(NamedTuple):
    """Another outlet, to take the place of the one that was lost."""

    outlet: Outlet


Item = Heard | Report | Quit | OutletLost | OutletOpen
Inbox = queue.SimpleQueue[Item]


class Loop:
    def __init__(
        self,
        engine: Engine,
        inbox: Inbox,
        outlet: Outlet,
        channel: int,
        keepers: Sequence[Callable[[Record], None]] = (),
        tell: Callable[[Played | Late], None] | None = None,
        late: Callable[[int], Iterable[Heard]] = lambda now: (),
        shows: Sequence[Callable[[int], int | None]] = (),
        beside: int | None = None,
    ) -> None:
        """Answers go out on a channel, and what is played beside the player on another, or the same. Keepers are given
        all that the engine is told and gives, and what is sent, as it happens; `tell` what is to be sent, before it is,
        and how late it was. What came too fast for the inbox is asked for (`late`) at each heartbeat. `shows` are
        called whenever it begins to wait, and say when to call them again if nothing comes.
        """
        self._engine, self._inbox, self.outlet = engine, inbox, outlet
        self._answers, self._beside, self._keepers = channel, beside or channel, keepers
        self._channel = channel  # of the turn that plays
        self._tell, self._late, self._shows = tell or (lambda event: None), late, shows
        self._beat_ns = 0
        self._in_force: dict[int, Frame] = {}  # the last of each command that a new outlet needs as well
        self.tally = Tally()

    def run(self, until: Callable[[], bool] | None = None) -> None:
        """Until a Quit is posted, or `until` says so. Whatever ends it, it leaves silence."""
        try:
            while until is None or not until():
                item = self._wait()
                if isinstance(item, Quit):
                    return
                if isinstance(item, OutletLost):
                    self._silence()
                elif isinstance(item, OutletOpen):
                    self._change_outlet(item.outlet)
                elif isinstance(item, Forgot):
                    LOG.warning("improv stood still for a second; what sounded was released, and it plays on")
                    self._play(self._silence())
                    self._change_outlet(self.outlet)
                elif isinstance(item, Sent | Skipped):
                    self._sent(item)
                else:
                    self._step(item)
        finally:
            self._play(self._silence())
            self.outlet.close()
            self._drain()

    def _change_outlet(self, outlet: Outlet) -> None:
        self.outlet = outlet
        for frame in self._in_force.values():
            outlet.put(frame)

    def forward(self, frame: Frame) -> None:
        """Send at once, past the engine. Called on the driver's thread."""
        self.outlet.put(frame)

    def _wait(self) -> Item | None:
        """The next item, or None when the engine's deadline or the heartbeat is due."""
        while True:
            now = now_ns()
            if now - self._beat_ns >= HEARTBEAT_NS:
                self._beat_ns = now
                self.outlet.put(Frame(now, BEAT))
                for heard in self._late(now):
                    self._step(heard)
            due = until = _sooner(self._beat_ns + HEARTBEAT_NS, self._engine.deadline())
            for show in self._shows if due > now else ():
                until = _sooner(until, show(now))
            with contextlib.suppress(queue.Empty):
                return self._inbox.get(timeout=(until - now) / 1e9) if until > now else self._inbox.get_nowait()
            if until == due:
                return None

    def _step(self, heard: Heard | None) -> None:
        if heard is not None:
            self.tally.hear(heard)
        if isinstance(heard, Late):
            self._tell(heard)
        now = now_ns()
        self._keep(Step(now, heard))
        played = self._engine.step(now, heard)
        self.tally.steps.add(now_ns() - now)
        self._play(played)
        self._keep_given(played)
        if isinstance(heard, SetMode):
            self._warn(heard)

    def _silence(self) -> list[Played]:
        now = now_ns()
        self._keep(Silence(now))
        played = self._engine.silence(now)
        self._keep_given(played)
        return played

    def _keep(self, record: Record) -> None:
        for keep in self._keepers:
            keep(record)

    def _keep_given(self, played: list[Played]) -> None:
        if played:
            self._keep(Gave(tuple(played)))

    def _play(self, played: list[Played]) -> None:
        for event in played:
            self._tell(event)
            if isinstance(event, NoteOn | NoteOff):
                self.outlet.put(Frame(event.time_ns, PLAY, wire.spell(event, self._channel)))
            elif isinstance(event, Yield):
                self.outlet.put(Frame(event.time_ns + event.release_ns, YIELD))
            elif isinstance(event, Revise):
                self.outlet.put(Frame(event.time_ns, REVISE))
            elif isinstance(event, TurnBegins):
                self._channel = self._beside if event.beside else self._answers
                self.tally.begin_turn(event)
                self.outlet.put(Frame(event.time_ns, TURN))
            elif isinstance(event, Retime):
                self.tally.retime(event)
                self._put_in_force(retime_frame(event))
            elif isinstance(event, OutLatency):
                self._put_in_force(Frame(event.latency_ns, LATENCY))
            else:
                self._say(event)

    def _put_in_force(self, frame: Frame) -> None:
        """A new outlet is told of it as well."""
        self._in_force[frame.command] = frame
        self.outlet.put(frame)

    def _say(self, wheel: FreeWheel) -> None:
        line = self._engine.line
        beat = f"; the beat goes on at {line.bpm:.1f} bpm" if wheel.lost and line is not None else ""
        LOG.warning(f"the clock's ticks {'stay away' if wheel.lost else 'are back'}{beat}")

    def _warn(self, chosen: SetMode) -> None:
        line = self._engine.line
        if chosen.mode == "trade" and not (line is not None and line.metric):
            LOG.warning("mode trade: there are no bars without a beat; until there is one, answers come as in call")

    def _sent(self, sent: Sent | Skipped) -> None:
        if isinstance(sent, Skipped):
            if not self.tally.skipped:
                LOG.warning(f"controllers move more than {PER_S} times a second; only their latest values are sent on")
            self.tally.skipped = sent.values
            return
        self.tally.send(sent)
        self._keep(sent)

    def _drain(self) -> None:
        """Count what was still under way when the loop ended."""
        with contextlib.suppress(queue.Empty):
            while True:
                item = self._inbox.get_nowait()
                if isinstance(item, Sent | Skipped):
                    self._sent(item)


def _sooner(one_ns: int, other_ns: int | None) -> int:
    return one_ns if other_ns is None else min(one_ns, other_ns)


def be_prompt() -> None:
    """Set this process up for threads that must not wait for one another."""
    # LiteRT gives up the interpreter lock in each step and waits a whole switch interval to get it back.
    sys.setswitchinterval(1e-4)
    gc.freeze()
