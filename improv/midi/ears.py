"""What the player's and the clock's messages mean; runs on the drivers' threads."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from improv.clock import now_ns
from improv.midi import wire
from improv.midi.outlet import FORWARD, Frame
from improv.music.events import Ask, ClockOffset, Heard, OutLatency, Tap, Transport

MS = 1_000_000
MIDDLE = 64  # of a controller: no offset
PRESSED = 64  # of a controller: from here on it counts as pressed

TURN, TAP, TRANSPORT, CLOCK_OFFSET, OUT_LATENCY = "turn", "tap", "transport", "clock_offset", "out_latency"
PRESSES: dict[str, Callable[[int], Heard]] = {TURN: Ask, TAP: Tap, TRANSPORT: Transport}


class Ears:
    """Takes messages from a driver: forwards them at once if asked to, then posts what they mean."""

    def __init__(
        self,
        post: Callable[[Heard], None],
        channel: int | None,
        controls: Mapping[int, str],
        thru_channel: int = 1,
        thru: Callable[[Frame], None] | None = None,
        clock: bool = False,
    ) -> None:
        """`controls` names what a controller does; `clock`: the beat comes through this input as well."""
        self._post, self._channel, self._controls = post, channel, controls
        self._thru, self._thru_channel, self._clock = thru, thru_channel, clock
        self._pressed: set[int] = set()

    def hear(self, message: bytes) -> None:
        """Called on the driver's thread; must not block."""
        now = now_ns()
        if not message:
            return
        if message[0] >= wire.SYSTEM:
            if self._clock and (event := wire.clock(message, now)) is not None:
                self._post(event)
        elif wire.is_channel_message(message):
            self._hear_channel(message, now)

    def _hear_channel(self, message: bytes, now: int) -> None:
        channel = wire.channel(message)
        if self._channel not in (None, channel):
            return
        control = wire.control(message)
        if control is not None and control[0] in self._controls:
            self._turn_knob(control[0], control[1], now)
            return
        if self._thru is not None:
            drums = channel == wire.DRUMS
            self._thru(Frame(now, FORWARD, message if drums else wire.on_channel(message, self._thru_channel)))
        if channel != wire.DRUMS and (event := wire.meaning(message, now)) is not None:
            self._post(event)

    def _turn_knob(self, number: int, value: int, now: int) -> None:
        does = self._controls[number]
        if does == CLOCK_OFFSET:
            self._post(ClockOffset(now, (value - MIDDLE) * MS))
        elif does == OUT_LATENCY:
            self._post(OutLatency(now, value * MS))
        else:
            pressed = value >= PRESSED
            if pressed and number not in self._pressed:
                self._post(PRESSES[does](now))
            (self._pressed.add if pressed else self._pressed.discard)(number)


def clock_ears(post: Callable[[Heard], None]) -> Callable[[bytes], None]:
    """For an input that gives the beat and nothing else."""

    def hear(message: bytes) -> None:
        now = now_ns()
        if message and (event := wire.clock(message, now)) is not None:
            post(event)

    return hear
