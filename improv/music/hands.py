"""What hands and feet on controls say: presses and knobs."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from functools import partial
from typing import NamedTuple

from improv.music import steering
from improv.music.bucket import Bucket
from improv.music.events import (
    AnotherTake,
    Ask,
    ClockOffset,
    ForgetMe,
    Freeze,
    Halt,
    Heard,
    LoopThat,
    Mark,
    Mute,
    OutLatency,
    Panic,
    SetMode,
    Steer,
    Tap,
    Transport,
    Undo,
    VaryThat,
)
from improv.music.gate import PRESS, Gate
from improv.music.schedule import CONTROL, NOTE_OFF, NOTE_ON, is_note_on
from improv.music.steering import STYLES, Steering
from improv.music.timeline import MS
from improv.music.trigger import CHANNELS, CONTROLLER, NOTE, PROGRAM, Trigger
from improv.music.turns import MODES

MIDDLE, TOP = 64, 127  # of a controller
PRESSED = 64  # of a controller: from here on it counts as pressed
AT_ONCE, PER_S = 128, 100  # values of knobs
KEY_PRESSURE, PROGRAM_CHANGE = 0xA0, 0xC0
STATUSES = {CONTROLLER: (CONTROL,), NOTE: (NOTE_ON, NOTE_OFF, KEY_PRESSURE), PROGRAM: (PROGRAM_CHANGE,)}

MODE = "mode_"  # before the name of one
PRESSES: dict[str, Callable[[int], Heard]] = {
    "turn": Ask,
    "tap": Tap,
    "transport": Transport,
    "panic": Panic,
    "stop": Halt,
    "mute": Mute,
    **{f"{MODE}{mode}": partial(SetMode, mode=mode) for mode in MODES},
    "another": AnotherTake,
    "loop": LoopThat,
    "vary": VaryThat,
    "undo": Undo,
    "forget": ForgetMe,
    "freeze": Freeze,
    "good": partial(Mark, good=True),
    "bad": partial(Mark, good=False),
}
NEXT_MODE = "mode"
BUTTONS = (*PRESSES, NEXT_MODE)
STEERED = tuple(field.name for field in dataclasses.fields(Steering))
CLOCK_OFFSET, OUT_LATENCY = "clock_offset", "out_latency"
PRESET = "presets."  # before the name of one
Turn = Steer | SetMode
NO_PRESETS: Mapping[str, Sequence[Turn]] = {}
KNOBS = (*STEERED, CLOCK_OFFSET, OUT_LATENCY)


class Stand(NamedTuple):
    """Where a knob was turned to, from 0 to 127."""

    time_ns: int
    value: int


class Hands:
    """Knows the messages that are controls. Called on the driver's thread, but for `late`."""

    def __init__(
        self,
        controls: Mapping[str, Trigger],
        gate: Gate,
        channel: int | None = None,
        styles: Sequence[str] = STYLES,
        presets: Mapping[str, Sequence[Turn]] = NO_PRESETS,
        mode: str = MODES[0],
    ) -> None:
        """Where each control is; a trigger without a channel counts on `channel`, or on any where that is None.

        The knob `style` goes through those `styles`; a press on `presets.NAME` turns knobs, and may change the mode,
        which is `mode` at first.
        """
        self._gate, self._styles, self._mode = gate, styles, mode
        self._presets = {PRESET + name: turns for name, turns in presets.items()}
        self._does: dict[tuple[int, int], str] = {}  # by status and number
        for name, trigger in controls.items():
            for status in _statuses(trigger, channel):
                self._does[status, trigger.number] = name
        self._down: set[str] = set()
        self._bucket = Bucket(AT_ONCE, PER_S)
        self.stands: dict[str, Stand] = {}  # by knob; read on other threads
        self._late: dict[str, Heard] = {}  # by knob: its last value, where that came too fast

    def know(self, message: bytes) -> bool:
        """Whether a whole message of a channel is a control's, and not music."""
        return (message[0], message[1]) in self._does

    def hear(self, message: bytes, time_ns: int) -> list[Heard]:
        """What a message that they know says."""
        name = self._does[message[0], message[1]]
        if name in KNOBS:
            return self._turn(name, message[-1], time_ns)
        return self._press(name, message, time_ns)

    def late(self, time_ns: int) -> list[Heard]:
        """The last values of knobs that came too fast. Called on the engine's thread, now and then."""
        events = []
        with contextlib.suppress(KeyError):
            while True:
                events.append(self._late.popitem()[1]._replace(time_ns=time_ns))
        return events

    def let_go(self) -> None:
        """What was down is no longer: the port went away. Called on any thread."""
        self._down.clear()

    def _turn(self, name: str, value: int, time_ns: int) -> list[Heard]:
        self._late.pop(name, None)  # before the newer one is on its way
        self.stands[name] = Stand(time_ns, value)
        event = self._at(name, value, time_ns)
        if self._bucket.take(time_ns):
            return [event]
        self._late[name] = event
        return []

    def _at(self, name: str, value: int, time_ns: int) -> Heard:
        if name == CLOCK_OFFSET:
            return ClockOffset(time_ns, (value - MIDDLE) * MS)
        if name == OUT_LATENCY:
            return OutLatency(time_ns, value * MS)
        return Steer(time_ns, name, steering.at(name, value / TOP, self._styles))

    def _press(self, name: str, message: bytes, time_ns: int) -> list[Heard]:
        if not self._goes_down(name, message) or not self._gate.takes(PRESS, time_ns):
            return []
        events = self._means(name, time_ns)
        self._mode = next((event.mode for event in events if isinstance(event, SetMode)), self._mode)
        return events

    def _goes_down(self, name: str, message: bytes) -> bool:
        """Whether it was not down before, where a message tells both."""
        if message[0] & 0xF0 != CONTROL:
            return is_note_on(message) or message[0] & 0xF0 == PROGRAM_CHANGE
        was_down, down = name in self._down, message[2] >= PRESSED
        (self._down.add if down else self._down.discard)(name)
        return down and not was_down

    def _means(self, name: str, time_ns: int) -> list[Heard]:
        if name in self._presets:
            for turn in self._presets[name]:
                if isinstance(turn, Steer):
                    self._late.pop(turn.knob, None)
            return [turn._replace(time_ns=time_ns) for turn in self._presets[name]]
        if name == NEXT_MODE:
            return [SetMode(time_ns, MODES[(MODES.index(self._mode) + 1) % len(MODES)])]
        return [PRESSES[name](time_ns)]


def in_force(turns: Sequence[Turn], on: Set[str], steering: Steering) -> bool:
    """Whether all that a preset turns stands there; `on` are the names of what is on."""
    return bool(turns) and all(
        MODE + turn.mode in on if isinstance(turn, SetMode) else getattr(steering, turn.knob) == turn.value
        for turn in turns
    )


def _statuses(trigger: Trigger, channel: int | None) -> Iterable[int]:
    """First bytes of the messages that it may be."""
    only = trigger.channel or channel
    channels = CHANNELS if only is None else (only,)
    return [status | number - 1 for status in STATUSES[trigger.kind] for number in channels]
