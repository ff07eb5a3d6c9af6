"""What a control is on: a controller, a note or a program, in a musician's words."""

from __future__ import annotations

import re
from typing import NamedTuple

CONTROLLER, NOTE, PROGRAM = "cc", "note", "program"
HIGHEST = {CONTROLLER: 119, NOTE: 127, PROGRAM: 127}  # controllers above that are commands
CHANNELS = range(1, 17)
WRITTEN = re.compile(r"(cc|note|program) ([0-9]{1,3})(?: (?:on )?channel ([0-9]{1,2}))?")
FORMS = 'a controller from 0 to 119, or "note N" or "program N" (0 to 127), with "on channel N" (1 to 16) if need be'


class Trigger(NamedTuple):
    kind: str
    number: int
    channel: int | None = None  # None: any

    def __str__(self) -> str:
        return f"{self.kind} {self.number}" + (f" on channel {self.channel}" if self.channel is not None else "")

    def collides(self, other: Trigger) -> bool:
        """Whether one message can be both."""
        anywhere = None in (self.channel, other.channel)
        return self[:2] == other[:2] and (anywhere or self.channel == other.channel)


def read(written: int | str) -> Trigger:
    """A number stands for a controller. Raises ValueError."""
    found = WRITTEN.fullmatch(" ".join(written.casefold().split()) if isinstance(written, str) else f"cc {written}")
    if found is not None:
        trigger = Trigger(found[1], int(found[2]), int(found[3]) if found[3] else None)
        if trigger.number <= HIGHEST[trigger.kind] and trigger.channel in (None, *CHANNELS):
            return trigger
    raise ValueError(f"it must be {FORMS}")
