"""What the player's and the clock's messages mean; runs on the drivers' threads."""

from __future__ import annotations

import queue
from collections.abc import Callable, Mapping

from improv.clock import now_ns
from improv.midi import wire
from improv.midi.frames import FORWARD, PANIC, Frame
from improv.music.echo import Echo
from improv.music.events import Ask, ClockOffset, Heard, Late, OutLatency, Panic, Played, Tap, Transport
from improv.music.gate import PRESS, Gate

MS = 1_000_000
MIDDLE = 64  # of a controller: no offset
PRESSED = 64  # of a controller: from here on it counts as pressed

TURN, TAP, TRANSPORT, STOP_ALL = "turn", "tap", "transport", "panic"
CLOCK_OFFSET, OUT_LATENCY = "clock_offset", "out_latency"
PRESSES: dict[str, Callable[[int], Heard]] = {TURN: Ask, TAP: Tap, TRANSPORT: Transport, STOP_ALL: Panic}
NO_CONTROLS: Mapping[int, str] = {}


class Ears:
    """Takes messages from a driver: forwards them at once if asked to, then posts what they mean."""

    def __init__(
        self,
        post: Callable[[Heard], None],
        forward: Callable[[Frame], None],
        gate: Gate,
        echo: Echo,
        played: queue.SimpleQueue[Played | Late],
        channel: int | None = None,
        controls: Mapping[int, str] = NO_CONTROLS,
        thru_channel: int | None = None,
        clock: bool = False,
        now: Callable[[], int] = now_ns,
    ) -> None:
        """Where messages go (None: thru is off), what a controller does, and whether the beat comes here too.

        What the machine plays comes through `played`, from another thread.
        """
        self._post, self._forward, self._gate = post, forward, gate
        self._echo, self._played = echo, played
        self._channel, self._controls = channel, controls
        self._thru_channel, self._clock, self._now = thru_channel, clock, now
        self._pressed: set[int] = set()

    def hear(self, message: bytes) -> None:
        """Called on the driver's thread; must not block."""
        now = self._now()
        if not message:
            return
        if message[0] >= wire.SYSTEM:
            if self._clock:
                _hear_clock(message, now, self._gate, self._post)
        elif wire.is_channel_message(message):
            self._note_what_went_out(now)
            self._hear_channel(message, now)

    def _note_what_went_out(self, now: int) -> None:
        while not self._played.empty():
            self._echo.tell(self._played.get_nowait())
        self._echo.expire(now)

    def _hear_channel(self, message: bytes, now: int) -> None:
        channel = wire.channel(message)
        if self._channel not in (None, channel):
            return
        control = wire.control(message)
        if control is not None and control[0] in self._controls:
            self._turn_knob(control[0], control[1], now)
            return
        if self._echo.returns(message, now, self._gate.ends(message)) or not self._gate.lets_in(message, now):
            return
        if self._thru_channel is not None:
            self._send_on(message, channel, self._thru_channel, now)
        if channel != wire.DRUMS and (event := wire.meaning(message, now)) is not None:
            self._post(event)

    def _send_on(self, message: bytes, channel: int, thru_channel: int, now: int) -> None:
        on = message if channel == wire.DRUMS else wire.on_channel(message, thru_channel)
        self._echo.went(message, now)
        self._forward(Frame(now, FORWARD, on))
        if (question := self._echo.question(now)) is not None:
            self._forward(Frame(now, FORWARD, wire.on_channel(question, thru_channel)))

    def _turn_knob(self, number: int, value: int, now: int) -> None:
        does = self._controls[number]
        if does in PRESSES:
            pressed, before = value >= PRESSED, number in self._pressed
            (self._pressed.add if pressed else self._pressed.discard)(number)
            if pressed and not before and self._gate.takes(PRESS, now):
                self._press(does, now)
        elif self._gate.takes(PRESS, now):
            knob = ClockOffset(now, (value - MIDDLE) * MS) if does == CLOCK_OFFSET else OutLatency(now, value * MS)
            self._post(knob)

    def _press(self, does: str, now: int) -> None:
        if does == STOP_ALL:  # not behind what the engine is about to do
            self._forward(Frame(now, PANIC))
        self._post(PRESSES[does](now))


def clock_ears(post: Callable[[Heard], None], gate: Gate) -> Callable[[bytes], None]:
    """For an input that gives the beat and nothing else."""

    def hear(message: bytes) -> None:
        now = now_ns()
        if message:
            _hear_clock(message, now, gate, post)

    return hear


def _hear_clock(message: bytes, now: int, gate: Gate, post: Callable[[Heard], None]) -> None:
    event = wire.clock(message, now)
    if event is not None and gate.lets_in(message, now):
        post(event)
