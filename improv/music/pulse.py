"""What a timeline sounds like by itself: the ticks of a MIDI clock, and a click."""

from __future__ import annotations

import math
from typing import NamedTuple

from improv.music.schedule import NOTE_OFF, NOTE_ON
from improv.music.timeline import ROUNDING, TICKS_PER_BEAT, Timeline

TICK, START, CONTINUE, STOP, SONG_POSITION = 0xF8, 0xFA, 0xFB, 0xFC, 0xF2
PPQN = 24
SIXTEENTHS = 4  # of a quarter note: what song positions count
MOST_SIXTEENTHS = 1 << 14
DOWNBEAT, UPBEAT = (76, 110), (77, 80)  # pitch and velocity: the wood blocks of General MIDI
CLICK_BEATS = 1 / 8  # how long a click is held
JUST_PAST = 0.5  # of a tick: one that was due so shortly before is sent after all


class Beat(NamedTuple):
    """What is due of the pulse: of the clock's ticks, or of the click."""

    due_ns: int
    message: bytes


class MidiClock:
    """The master's side of a MIDI clock (MIDI 1.0, system real time): 24 ticks a quarter note."""

    def __init__(self) -> None:
        self._line: Timeline | None = None
        self._tick = 0  # the next one's number
        self._starts: tuple[int, bytes] | None = None  # at which tick the slaves set off, and how they are told

    def retime(self, line: Timeline, jump: bool, now: int) -> list[bytes]:
        """Go on by another timeline; gives what slaves are told at once."""
        ran = self._line is not None and self._line.metric
        begins = self._line is None or jump or ran != line.metric
        self._line = line
        if not begins:
            return []
        self._tick = math.ceil(line.beat(now) * PPQN - JUST_PAST)
        self._starts = None
        told = [bytes((STOP,))] if ran else []
        return [*told, *self._set_off(line)] if line.metric else told

    def _set_off(self, line: Timeline) -> list[bytes]:
        """Slaves set off at the top of the song, or at the next sixteenth, which they are told beforehand."""
        song_beat = self._tick / PPQN - line.bar_beat
        sixteenth = max(0, math.ceil(song_beat * SIXTEENTHS - ROUNDING))
        self._starts = (
            round((sixteenth / SIXTEENTHS + line.bar_beat) * PPQN),
            bytes((CONTINUE if sixteenth else START,)),
        )
        if not sixteenth:
            return []
        position = sixteenth % MOST_SIXTEENTHS
        return [bytes((SONG_POSITION, position & 0x7F, position >> 7))]

    def deadline(self) -> int | None:
        return None if self._line is None else self._line.time_ns(self._tick * TICKS_PER_BEAT / PPQN)

    def pop(self) -> list[bytes]:
        """The tick that is due, with what comes just before it."""
        told = []
        if self._starts is not None and self._tick >= self._starts[0]:
            told.append(self._starts[1])
            self._starts = None
        self._tick += 1
        return [*told, bytes((TICK,))]

    def stop(self) -> list[bytes]:
        ran = self._line is not None and self._line.metric
        self._line = None
        return [bytes((STOP,))] if ran else []


class Click:
    """A click on each beat of the metre, higher on the first of a bar. It is silent where there is no beat."""

    def __init__(self, channel: int) -> None:
        self._channel = channel
        self._line: Timeline | None = None
        self._next_beat = 0.0

    def retime(self, line: Timeline, jump: bool, now: int) -> None:
        begins = self._line is None or jump
        self._line = line if line.metric else None
        if self._line is not None and begins:
            self._next_beat = line.line_at_or_after(line.beat(now) - JUST_PAST / PPQN, line.pulse_beats)

    def deadline(self) -> int | None:
        return None if self._line is None else self._line.time_ns(self._next_beat * TICKS_PER_BEAT)

    def pop(self) -> list[Beat]:
        """The note that is due, and its end."""
        line, beat = self._line, self._next_beat
        assert line is not None
        self._next_beat += line.pulse_beats
        in_bar = (beat - line.bar_beat + ROUNDING) % line.bar_beats
        pitch, velocity = DOWNBEAT if in_bar < line.pulse_beats / 2 else UPBEAT
        channel = self._channel - 1
        return [
            Beat(line.time_ns(beat * TICKS_PER_BEAT), bytes((NOTE_ON | channel, pitch, velocity))),
            Beat(line.time_ns((beat + CLICK_BEATS) * TICKS_PER_BEAT), bytes((NOTE_OFF | channel, pitch, 0))),
        ]
