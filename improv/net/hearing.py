"""What was heard, tick by tick, as tokens that wait to be read."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Iterable

from improv.music.events import NoteOff, NoteOn
from improv.music.timeline import Timeline
from improv.net.codec import OFF, PITCHES, Quantiser, Token

GRACE_NS = 2_000_000  # a note may be heard so long after its stamp and still join its tick
BACKLOG = 1024  # tokens; of a flood beyond that the oldest notes are forgotten
FIRST_TICK = -(1 << 62)


class Hearing:
    def __init__(self) -> None:
        self.unread: deque[Token] = deque()
        self._quantiser = Quantiser()
        self._floor = FIRST_TICK  # the first tick that is not over

    def copy(self) -> Hearing:
        """As it stands: what is heard or read later changes only one of both."""
        other = copy.copy(self)
        other.unread, other._quantiser = self.unread.copy(), copy.deepcopy(self._quantiser)
        return other

    def add(self, sounding: Iterable[NoteOn | NoteOff], line: Timeline) -> None:
        for event in sounding:
            self._put(self._quantiser.add(self._tick(event.time_ns, line), event))

    def sounding(self, held: Iterable[int]) -> set[int]:
        """What sounds after all that is to be read, where some pitches sounded before it."""
        ended = self.copy()
        if ended._quantiser.tick is not None:
            ended.end(ended._quantiser.tick + 1)  # what began within the tick ends at the next
        sounding = set(held)
        for token in ended.unread:
            (sounding.add if token.what < OFF else sounding.discard)(token.what % PITCHES)
        return sounding

    def deadline(self, line: Timeline) -> int | None:
        """When the open tick is over."""
        return None if self._quantiser.tick is None else line.time_ns(self._quantiser.tick + 0.5) + GRACE_NS

    def end_tick(self) -> None:
        if self._quantiser.tick is not None:
            self.end(self._quantiser.tick)

    def end_all(self, time_ns: int, line: Timeline) -> None:
        """All that was heard by then is read. What began within the last tick ends at the next."""
        tick = self._tick(time_ns, line)
        if self._quantiser.tick is not None:  # the beat may have been moved back since
            tick = max(tick, self._quantiser.tick)
        self.end(tick + 1)

    def end(self, tick: int) -> None:
        """A tick and all before it are over: what is heard from now on lies after it."""
        self._floor = max(self._floor, tick + 1)
        self._put(self._quantiser.close(tick + 1))

    def _put(self, tokens: list[Token]) -> None:
        """Notes are forgotten whole: none is to sound for ever in what the network remembers."""
        self.unread.extend(tokens)
        while len(self.unread) > BACKLOG and (note := self._first_whole()) is not None:
            for token in note:
                self.unread.remove(token)

    def _first_whole(self) -> tuple[Token, Token] | None:
        """The first note that also ends."""
        begun: dict[int, Token] = {}
        for token in self.unread:
            if token.what < OFF:
                begun[token.what] = token
            elif (begin := begun.get(token.what % PITCHES)) is not None:
                return begin, token
        return None

    def _tick(self, time_ns: int, line: Timeline) -> int:
        return max(line.tick(time_ns), self._floor)
