"""Which control a musician touches when he is asked for one."""

from __future__ import annotations

from improv.music.hands import PRESSED, PROGRAM_CHANGE
from improv.music.latest import is_continuous
from improv.music.schedule import CONTROL, is_note_on, is_pedal
from improv.music.timeline import NS
from improv.music.trigger import CONTROLLER, NOTE, PROGRAM, Trigger

ENOUGH = 3  # different values are a knob's: a button has two
SAME_NS = NS  # what is touched again so soon is still the same gesture


class Touch:
    """A button is known by one message, a knob by some."""

    def __init__(self) -> None:
        self._knob = False
        self._values: dict[Trigger, set[int]] = {}
        self._last: Trigger | None = None
        self._last_ns = 0

    def ask(self, knob: bool) -> None:
        """From now on it is to be a knob, or something to press."""
        self._knob, self._values = knob, {}

    def hear(self, message: bytes, time_ns: int) -> Trigger | None:
        """What is touched, as soon as that is clear. Takes whole messages of a channel."""
        touched = _touched(message)
        if touched is None:
            return None
        if touched == self._last and time_ns - self._last_ns < SAME_NS:
            self._last_ns = time_ns
            return None
        values = self._values.setdefault(touched, set())
        values.add(message[-1])
        if touched.kind == CONTROLLER and not (len(values) >= ENOUGH if self._knob else message[-1] >= PRESSED):
            return None
        self._last, self._last_ns, self._values = touched, time_ns, {}
        return touched


def _touched(message: bytes) -> Trigger | None:
    """None for what is no control: ends of notes, pressure, bend, and controllers that belong to others."""
    kind, channel = message[0] & 0xF0, (message[0] & 0x0F) + 1
    if is_note_on(message):
        return Trigger(NOTE, message[1], channel)
    if kind == PROGRAM_CHANGE:
        return Trigger(PROGRAM, message[1], channel)
    if kind == CONTROL and (is_continuous(message) or is_pedal(message)):
        return Trigger(CONTROLLER, message[1], channel)
    return None
