"""What a controller is to show: a message for each light or ring that changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

from improv.music.hands import KNOBS, NO_PRESETS, PRESET, STATUSES, STEERED, TOP, Stand, Turn, in_force
from improv.music.steering import STYLES, Steering, at, share
from improv.music.trigger import PROGRAM, Trigger

RESTS_NS = 300_000_000  # a knob that moved less long ago is in somebody's hand


class Lights:
    """Each control shows itself where it is: a button by 127 or 0, a knob by its value. Programs show nothing."""

    def __init__(
        self,
        controls: Mapping[str, Trigger],
        stands: Mapping[str, Stand],
        styles: Sequence[str] = STYLES,
        presets: Mapping[str, Sequence[Turn]] = NO_PRESETS,
    ) -> None:
        """`stands`: where each knob was turned to last. The rest is as for `Hands`."""
        shown = {name: on for name, on in controls.items() if on.kind != PROGRAM}
        self._knobs = {name: on for name, on in shown.items() if name in STEERED}
        self._buttons = {name: on for name, on in shown.items() if name not in KNOBS}
        self._stands, self._styles = stands, styles
        self._presets = {PRESET + name: turns for name, turns in presets.items()}
        self._lit = dict.fromkeys(self._buttons, False)
        self._values: dict[str, object] = {}

    def show(self, lit: Set[str], steering: Steering, time_ns: int) -> list[bytes]:
        """What is new. `lit` are the names of what is on."""
        return [*self._show_buttons(lit, steering), *self._show_knobs(steering, time_ns)]

    def off(self) -> list[bytes]:
        """For the end: a knob stays where it is."""
        return [_message(on, 0) for on in self._buttons.values()]

    def _show_buttons(self, lit: Set[str], steering: Steering) -> list[bytes]:
        messages = []
        for name, on in self._buttons.items():
            is_lit = name in lit or in_force(self._presets.get(name, ()), lit, steering)
            if is_lit != self._lit[name]:
                self._lit[name] = is_lit
                messages.append(_message(on, TOP * is_lit))
        return messages

    def _show_knobs(self, steering: Steering, time_ns: int) -> list[bytes]:
        messages = []
        for name, on in self._knobs.items():
            value = getattr(steering, name)
            if name in self._values and value == self._values[name]:
                continue
            stand = self._stands.get(name)
            if stand is not None and time_ns - stand.time_ns < RESTS_NS:
                continue
            self._values[name] = value
            if stand is None or at(name, stand.value / TOP, self._styles) != value:
                messages.append(_message(on, round(share(name, value, self._styles) * TOP)))
        return messages


def _message(on: Trigger, value: int) -> bytes:
    """On the first channel where it counts on any."""
    return bytes((STATUSES[on.kind][0] | (on.channel or 1) - 1, on.number, value))
