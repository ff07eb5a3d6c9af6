"""What the player's and the clock's messages mean; runs on the drivers' threads."""

from __future__ import annotations

from collections.abc import Callable

from improv.clock import now_ns
from improv.midi import wire
from improv.midi.frames import FORWARD, PANIC, Frame
from improv.music.echo import Echo
from improv.music.events import Heard, NoteOff, Panic
from improv.music.gate import Gate
from improv.music.hands import Hands
from improv.music.outgoing import Outgoing
from improv.music.schedule import SYSTEM, is_all_off


class Ears:
    """Takes messages from a driver: forwards them at once if asked to, then posts what they mean."""

    def __init__(
        self,
        post: Callable[[Heard], None],
        forward: Callable[[Frame], None],
        gate: Gate,
        echo: Echo,
        outgoing: Outgoing,
        hands: Hands,
        channel: int | None = None,
        thru_channel: int | None = None,
        clock: bool = False,
        now: Callable[[], int] = now_ns,
    ) -> None:
        """Where messages go (None: thru is off), what are controls, and whether the beat comes here too.

        What the machine plays comes through `outgoing`, from another thread.
        """
        self._post, self._forward, self._gate = post, forward, gate
        self._echo, self._outgoing = echo, outgoing
        self._hands, self._channel = hands, channel
        self._thru_channel, self._clock, self._now = thru_channel, clock, now

    def hear(self, message: bytes) -> None:
        """Called on the driver's thread; must not block."""
        now = self._now()
        if not message:
            return
        if message[0] >= SYSTEM:
            if self._clock:
                _hear_clock(message, now, self._gate, self._post)
        elif wire.is_channel_message(message):
            self._note_what_went_out(now)
            self._hear_channel(message, now)

    def _note_what_went_out(self, now: int) -> None:
        for event in self._outgoing.take():
            self._echo.tell(event)
        self._echo.expire(now)

    def _hear_channel(self, message: bytes, now: int) -> None:
        channel = wire.channel(message)
        is_control = self._hands.know(message)
        if not is_control and self._channel not in (None, channel):
            return
        if self._echo.returns(message, now, self._gate.ends(message)):
            return
        if is_control:
            self._obey(self._hands.hear(message, now), now)
            return
        if not self._gate.lets_in(message, now):
            return
        if self._thru_channel is not None:
            self._send_on(message, channel, self._thru_channel, now)
        meant = self._meant(message, now)
        for event in meant if channel != wire.DRUMS else []:
            self._post(event)

    def _meant(self, message: bytes, now: int) -> list[Heard]:
        """All Notes Off lifts keys and no pedal: it means the end of each note. All Sound Off lifts both."""
        ended = self._gate.end_all(message) if is_all_off(message) else []
        event = wire.meaning(message, now)
        return [NoteOff(now, pitch) for pitch in ended] if event is None else [event]

    def _send_on(self, message: bytes, channel: int, thru_channel: int, now: int) -> None:
        on = message if channel == wire.DRUMS else wire.on_channel(message, thru_channel)
        self._echo.went(message, now)
        self._forward(Frame(now, FORWARD, on))
        if (question := self._echo.question(now)) is not None:
            self._forward(Frame(now, FORWARD, wire.on_channel(question, thru_channel)))

    def _obey(self, said: list[Heard], now: int) -> None:
        for event in said:
            if isinstance(event, Panic):  # not behind what the engine is about to do
                self._forward(Frame(now, PANIC))
            self._post(event)


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
