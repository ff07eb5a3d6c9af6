"""Plays an answer: what the network draws next, within which limits, and where it sounds.

The network hears what it plays at once; the world hears it when it is due. Where it stood before
each event is kept, so that what has not sounded can be taken back.
"""

from __future__ import annotations

import math

import numpy as np

from improv.music.answer import Answer, Planned, Turn
from improv.music.events import Late, NoteOff, NoteOn
from improv.music.grid import Grid
from improv.music.timeline import NS, Timeline
from improv.net import codec
from improv.net.codec import Token
from improv.net.stream import Limits, Reader, Stream

AHEAD_NS = NS // 2  # how far ahead of its time an answer is planned
KEPT_NS = NS  # planned events stay revocable for so long after they were due


class Soloist:
    def __init__(self, reader: Reader, grid: Grid) -> None:
        self._reader, self._grid = reader, grid
        self.stream: Stream | None = None
        self.answer: Answer[Stream] | None = None
        self._onsets: dict[int, tuple[int, float]] = {}  # of each pitch: the tick drawn, and where it sounds
        self._lag_ns = 0  # how much later than planned the rest of the answer sounds
        self._lag_from_ns = 0  # what was due before then sounded without the lag

    def hear(self, token: Token, line: Timeline) -> None:
        if self.stream is not None:  # what was played into the end of an answer is read after it
            token = token._replace(tick=max(token.tick, self.stream.last.tick))
        self.stream = self._reader.feed(self.stream, token, line)

    def forget(self) -> None:
        self.stream = None

    def begin(self, turn: Turn, dice: tuple[int, ...], line: Timeline) -> list[NoteOn | NoteOff]:
        """The first note: its `dt` is the silence that really passed, only pitch and velocity are drawn."""
        stream = self.stream or self._reader.start(turn.begin_tick, line)
        behind = stream.last.tick - turn.begin_tick
        if behind > 0:  # what was heard last lies a little later: the answer begins there, and sounds when it should
            turn = turn._replace(begin_tick=stream.last.tick, off_tick=turn.off_tick - behind)
        self._reader.reseed(dice)
        self.answer = Answer(turn)
        self._onsets.clear()
        self._lag_ns = 0
        silence = turn.begin_tick - stream.last.tick
        limits = Limits(silence, silence, off=False, pitches=self.answer.pitches)
        return self._play(self.answer, stream, self._reader.draw(stream, limits, line), line)

    def due_ns(self, line: Timeline) -> int:
        """When the plan runs short, or, once it is whole, when it has been played."""
        answer = self.answer
        assert answer is not None
        if answer.over is not None:
            return self._sounds_ns(answer.over, line)
        begin_ns = line.time_ns(answer.turn.begin_tick + answer.turn.off_tick)
        last_ns = self._sounds_ns(answer.ahead[-1].position, line) if answer.ahead else begin_ns
        return max(begin_ns, last_ns - AHEAD_NS)

    def plan(self, now: int, line: Timeline) -> list[NoteOn | NoteOff]:
        """Decide one more event, or that no more will come (`answer.over`)."""
        answer, stream = self.answer, self.stream
        assert answer is not None and stream is not None
        answer.forget_before(line.position(now - KEPT_NS))
        if answer.closing:
            return self._close(answer, stream, line)
        limits = self._limits(answer, stream)
        token = self._reader.draw(stream, limits, line)
        if limits.on and token.what >= codec.OFF and token.tick - stream.last.tick >= limits.most:
            token = self._reader.draw(stream, limits._replace(least=limits.most, off=False), line)
        if self._ends_before(answer, token):
            answer.closing = True
            return self._close(answer, stream, line)
        return self._play(answer, stream, token, line)

    def take_back(self, time_ns: int, line: Timeline) -> None:
        """The answer ends: what would sound after `time_ns` never was."""
        answer, self.answer = self.answer, None
        assert answer is not None
        sounded_ns = max(time_ns - self._lag_ns, min(time_ns, self._lag_from_ns)) if self._lag_ns else time_ns
        self.stream = answer.rewind(line.position(sounded_ns)) or self.stream

    def lag(self, late: Late) -> None:
        """The rest of the answer sounds later."""
        self._lag_ns += late.shift_ns
        self._lag_from_ns = late.time_ns

    def _sounds_ns(self, position: float, line: Timeline) -> int:
        return line.time_ns(position) + self._lag_ns

    def _ends_before(self, answer: Answer[Stream], token: Token) -> bool:
        if token.what >= codec.OFF:
            return answer.ends_before_release(token.tick)
        return answer.ends_before(self._onset(answer, token) - answer.turn.off_tick)

    def _limits(self, answer: Answer[Stream], stream: Stream) -> Limits:
        """What may come next in an answer in the player's manner."""
        last = stream.last.tick
        from_tick, to_tick = (tick - last for tick in answer.hurry)
        thin = int(stream.held.sum()) < answer.most_voices
        gap = (max(0, from_tick + 1) if thin else 0, to_tick)
        most = max(0, answer.rest_by - last)
        return Limits(most=most, gap=gap if gap[0] < gap[1] else (0, 0), on=thin, pitches=answer.pitches)

    def _close(self, answer: Answer[Stream], stream: Stream, line: Timeline) -> list[NoteOn | NoteOff]:
        """Only note-offs are left to play."""
        sounding = np.flatnonzero(stream.held)
        if not len(sounding):
            last = answer.turn.end_tick if answer.turn.exact else max(stream.last.tick, answer.turn.begin_tick)
            answer.over = last + answer.turn.off_tick
            return []
        left = answer.close_by - stream.last.tick
        if left > 1:
            return self._play(answer, stream, self._reader.draw(stream, Limits(0, left, on=False), line), line)
        wait = max(0, left)
        fitting = np.flatnonzero(codec.allowed(stream.held, stream.last.what, wait)[codec.OFF :])
        if not len(fitting):  # within a tick note-offs come first, and upwards
            wait, fitting = wait + 1, sounding
        token = Token(stream.last.tick + wait, codec.OFF + int(fitting[0]), codec.NO_VELOCITY)
        return self._play(answer, stream, token, line)

    def _play(self, answer: Answer[Stream], stream: Stream, token: Token, line: Timeline) -> list[NoteOn | NoteOff]:
        pitch = token.what % codec.PITCHES
        on = token.what < codec.OFF
        position = self._onset(answer, token) if on else self._release(answer, token)
        answer.ahead.append(Planned(position, stream))
        self.stream = self._reader.feed(stream, token, line)
        if not on:
            return [NoteOff(line.time_ns(position), pitch)]
        answer.strike(token.tick)
        self._onsets[pitch] = token.tick, position
        return [NoteOn(line.time_ns(position), pitch, codec.velocity_of(token.velocity))]

    def _onset(self, answer: Answer[Stream], token: Token) -> float:
        """Where a note-on sounds, in ticks: on the grid as far as is asked, but not before the turn begins."""
        off_tick = answer.turn.off_tick
        _, struck = self._onsets.get(token.what, (0, -math.inf))
        placed = self._grid.onset(token.tick, struck - off_tick) if self._grid.strength else float(token.tick)
        return max(placed, answer.turn.begin_tick) + off_tick

    def _release(self, answer: Answer[Stream], token: Token) -> float:
        """Where a note-off sounds: a note keeps the length it was given, up to the end of the turn."""
        drawn, sounds = self._onsets[token.what - codec.OFF]
        position = sounds + token.tick - drawn
        return min(position, answer.turn.end_tick + answer.turn.off_tick) if answer.turn.exact else position
