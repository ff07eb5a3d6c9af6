"""What the network has read of late, and where it stood before each event: it can be wound back, changed, read on."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from improv.music.answer import Onsets
from improv.music.sounds import Struck
from improv.net.codec import OFF, PITCHES, Token
from improv.net.stream import Stream


class Part(NamedTuple):
    """Something the machine plays (`own`) or the player has played, and where it sounds, in ticks."""

    position: float
    token: Token
    own: bool
    onsets: Onsets | None = None  # of the machine's own before it,
    struck: Struck | None = None  # and of the same pitch
    clashes: bool = False  # the player's: with what the machine had planned
    known: bool = False  # it was read before

    @property
    def pitch(self) -> int:
        return self.token.what % PITCHES

    @property
    def on(self) -> bool:
        return self.token.what < OFF


class _Read(NamedTuple):
    part: Part
    before: Stream


class Tape:
    def __init__(self) -> None:
        self._read: deque[_Read] = deque()  # in the order in which it was
        self.ahead: list[Part] = []  # what is to be read, in order, before anything else

    def clear(self) -> None:
        self._read.clear()
        self.ahead.clear()

    def add(self, part: Part, before: Stream) -> None:
        """It is being read; the network stood there before it."""
        self._read.append(_Read(part, before))

    def forget_before(self, position: float) -> None:
        while self._read and self._read[0].part.position < position:
            self._read.popleft()

    @property
    def last_position(self) -> float | None:
        """Where the last of what was read sounds."""
        return max((read.part.position for read in self._read), default=None)

    def insert(self, part: Part, settled: float) -> Stream | None:
        """Something has happened that belongs behind what was read: wind back to there. What the machine plays later
        than `settled` comes after it, though it was drawn for an earlier tick, as on a grid. Gives where the network
        stood; None: where it stands.
        """
        stood = self.wind_back(settled)
        while self._read and _order(self._read[-1].part) > _order(part):
            stood = self._back()
        later = (i for i, one in enumerate(self.ahead) if one.position > settled or _order(one) > _order(part))
        self.ahead.insert(next(later, len(self.ahead)), part)
        return stood

    def wind_back(self, position: float) -> Stream | None:
        """To before anything that sounds later than this. Gives where the network stood, as `insert`."""
        stood: Stream | None = None
        while any(read.part.position > position for read in self._read):
            stood = self._back()
        return stood

    def drop(self, position: float) -> list[Part]:
        """What the machine was to play later than this, and is ahead, never was. Gives it."""
        dropped = [part for part in self.ahead if part.own and part.position > position]
        self.ahead = [part for part in self.ahead if not part.own or part.position <= position]
        return dropped

    def _back(self) -> Stream:
        part, before = self._read.pop()
        self.ahead.insert(0, part)
        return before


def _order(part: Part) -> tuple[int, bool, int]:
    """As the alphabet has it: within a tick, ends come first, and each kind runs upwards."""
    return part.token.tick, part.on, part.pitch
