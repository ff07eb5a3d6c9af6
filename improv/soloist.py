"""Plays an answer: what the network draws next, within which limits, and where it sounds.

The network hears what it plays at once; the world hears it when it is due. Where it stood before
each event is kept, so that what has not sounded can be taken back. On a grid an onset may sound a
little sooner than it was drawn: what is planned waits here until nothing can come before it.
"""

from __future__ import annotations

import bisect
import math
from typing import NamedTuple

import numpy as np

from improv.music.answer import Answer, Planned, Turn
from improv.music.events import Late, NoteOff, NoteOn
from improv.music.timeline import NS, ROUNDING, Timeline
from improv.net import codec
from improv.net.codec import Token
from improv.net.stream import Limits, Reader, Stream

AHEAD_NS = NS // 2  # how far ahead of its time an answer is planned
KEPT_NS = NS  # planned events stay revocable for so long after they were due


class Sound(NamedTuple):
    """A planned note-on or note-off, in the order in which they sound."""

    position: float
    on: bool
    pitch: int
    velocity: int = 0

    def ends(self, pitch: int) -> bool:
        return self.pitch == pitch and not self.on

    def event(self, line: Timeline) -> NoteOn | NoteOff:
        time_ns = line.time_ns(self.position)
        return NoteOn(time_ns, self.pitch, self.velocity) if self.on else NoteOff(time_ns, self.pitch)


class Soloist:
    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.stream: Stream | None = None
        self.answer: Answer[Stream] | None = None
        self._waiting: list[Sound] = []  # in order
        self._struck: dict[int, tuple[int, float]] = {}  # of each pitch: the tick drawn, and where it sounds
        self._lag_ticks = 0.0  # how much later than planned the rest of the answer sounds,
        self._lags_from = math.inf  # from where it was planned on

    def hear(self, token: Token, line: Timeline) -> None:
        self.stream = self._reader.feed(self.stream, token, line)

    def forget(self) -> None:
        self.stream = None

    def begin(self, turn: Turn, dice: tuple[int, ...], line: Timeline) -> list[NoteOn | NoteOff]:
        """The first note: its `dt` is the silence that really passed, only pitch and velocity are drawn."""
        stream = self.stream or self._reader.start(round(turn.begin), line)
        answer = self.answer = Answer(turn, max(round(turn.begin), stream.last.tick))
        self._reader.reseed(dice)
        self._waiting, self._struck = [], {}
        self._lag_ticks, self._lags_from = 0.0, math.inf
        silence = answer.begin_tick - stream.last.tick
        limits = Limits(silence, silence, off=False, pitches=answer.pitches)
        self._play(answer, stream, self._reader.draw(stream, limits, line), line)
        return self._ripe(answer, line)

    def plan_due_ns(self, line: Timeline) -> int | None:
        """When the plan runs short; None: it is whole."""
        if self.answer is None or self.answer.over is not None:
            return None
        return line.time_ns(self._ripe_by(self.answer) + self._lag_ticks) - AHEAD_NS

    def plan(self, now: int, line: Timeline) -> list[NoteOn | NoteOff]:
        """Decide one more event, or that no more will come. Gives what can sound no sooner any more."""
        answer, stream = self.answer, self.stream
        assert answer is not None and stream is not None
        answer.forget_before(line.position(now - KEPT_NS))
        token = None if answer.closing else self._draw(answer, stream, line)
        if token is None or answer.ends_before(token.tick, token.what < codec.OFF):
            answer.closing = True
            token = self._draw_end(answer, stream, line)
        if token is None:
            answer.over = answer.turn.end if answer.turn.exact else self._last(answer)
        else:
            self._play(answer, stream, token, line)
        return self._ripe(answer, line)

    def over_ns(self, line: Timeline) -> int | None:
        """When the answer has been played; None: that is not known yet."""
        if self.answer is None or self.answer.over is None:
            return None
        return line.time_ns(self.answer.over + self._lag_ticks)

    def end(self) -> None:
        """The answer has been played."""
        self.answer = None

    def take_back(self, position: float) -> None:
        """The answer ends: what would sound after `position` never was."""
        answer, self.answer = self.answer, None
        assert answer is not None
        sounded = max(position - self._lag_ticks, min(position, self._lags_from))
        self.stream = answer.rewind(sounded) or self.stream

    def lag(self, late: Late, line: Timeline) -> None:
        """The rest of the answer sounds later."""
        self._lags_from = line.position(late.time_ns - late.late_ns) - self._lag_ticks - ROUNDING
        self._lag_ticks += line.ticks(late.shift_ns)

    # What is drawn

    def _draw(self, answer: Answer[Stream], stream: Stream, line: Timeline) -> Token:
        limits = self._limits(answer, stream)
        token = self._reader.draw(stream, limits, line)
        if limits.on and token.what >= codec.OFF and token.tick - stream.last.tick >= limits.most:
            token = self._reader.draw(stream, limits._replace(least=limits.most, off=False), line)
        return token

    def _limits(self, answer: Answer[Stream], stream: Stream) -> Limits:
        """What may come next in an answer in the player's manner."""
        last = stream.last.tick
        from_tick, to_tick = (tick - last for tick in answer.hurry)
        thin = int(stream.held.sum()) < answer.most_voices
        gap = (max(0, from_tick + 1) if thin else 0, to_tick)
        most = max(0, answer.rest_by - last)
        return Limits(most=most, gap=gap if gap[0] < gap[1] else (0, 0), on=thin, pitches=answer.pitches)

    def _draw_end(self, answer: Answer[Stream], stream: Stream, line: Timeline) -> Token | None:
        """The end of a note that sounds: nothing else is left to play."""
        sounding = np.flatnonzero(stream.held)
        if not len(sounding):
            return None
        left = answer.close_by - stream.last.tick
        if left > 1:
            return self._reader.draw(stream, Limits(0, left, on=False), line)
        wait = max(0, left)
        fitting = np.flatnonzero(codec.allowed(stream.held, stream.last.what, wait)[codec.OFF :])
        if not len(fitting):  # within a tick note-offs come first, and upwards
            wait, fitting = wait + 1, sounding
        return Token(stream.last.tick + wait, codec.OFF + int(fitting[0]), codec.NO_VELOCITY)

    # What sounds

    def _play(self, answer: Answer[Stream], stream: Stream, token: Token, line: Timeline) -> None:
        position = self._strike(answer, token) if token.what < codec.OFF else self._release(answer, token)
        answer.ahead.append(Planned(position, stream))
        self.stream = self._reader.feed(stream, token, line)

    def _strike(self, answer: Answer[Stream], token: Token) -> float:
        """A note begins. If it sounds already it ends first; struck twice on one line of the grid it is one note."""
        pitch, position = token.what, answer.onset(token.tick) + answer.turn.lean_ticks
        answer.strike(token.tick)
        _, struck = self._struck.get(pitch, (0, -math.inf))
        ends = [sound for sound in self._waiting if sound.ends(pitch) and sound.position >= position]
        for end in ends:
            self._waiting.remove(end)
        if position > struck:
            for end in ends:
                bisect.insort(self._waiting, end._replace(position=position))
            bisect.insort(self._waiting, Sound(position, True, pitch, codec.velocity_of(token.velocity)))
            self._struck[pitch] = token.tick, position
            answer.notes += 1
        return position

    def _release(self, answer: Answer[Stream], token: Token) -> float:
        """A note ends: it keeps the length it was given, up to the end of the turn."""
        pitch = token.what - codec.OFF
        drawn, struck = self._struck[pitch]
        position = struck + token.tick - drawn
        if answer.turn.exact:
            position = min(position, answer.turn.end)
        bisect.insort(self._waiting, Sound(position, False, pitch))
        return position

    def _last(self, answer: Answer[Stream]) -> float:
        return max((planned.position for planned in answer.ahead), default=answer.turn.begin)

    def _ripe_by(self, answer: Answer[Stream]) -> float:
        """Whatever is still to be drawn sounds here or later."""
        assert self.stream is not None
        turn = answer.turn
        return answer.position(self.stream.last.tick) + turn.lean_ticks - turn.grid.reach_ticks

    def _ripe(self, answer: Answer[Stream], line: Timeline) -> list[NoteOn | NoteOff]:
        """What can sound no sooner than it waits for."""
        until = math.inf if answer.over is not None else self._ripe_by(answer) + ROUNDING
        ripe = [sound for sound in self._waiting if sound.position <= until]
        self._waiting = self._waiting[len(ripe) :]
        return [sound.event(line) for sound in ripe]
