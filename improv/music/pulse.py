"""What a timeline sounds like by itself: the ticks of a MIDI clock, and a click."""

from __future__ import annotations

import math
from typing import NamedTuple

from improv.music.schedule import NOTE_OFF, NOTE_ON
from improv.music.timeline import ROUNDING, TICKS_PER_BEAT, Timeline

TICK, START, CONTINUE, STOP, SONG_POSITION = 0xF8, 0xFA, 0xFB, 0xFC, 0xF2
PPQN = 24  # ticks of a MIDI clock in a quarter note
SIXTEENTHS = 4  # of a quarter note: what song positions count
TICKS_PER_SIXTEENTH = PPQN // SIXTEENTHS
MOST_SIXTEENTHS = 1 << 14
DOWNBEAT, UPBEAT = (76, 110), (77, 80)  # pitch and velocity: the wood blocks of General MIDI
CLICK_BEATS = 1 / 8  # how long a click is held
JUST_PAST = 0.5  # of a tick: one that was due so shortly before is sent after all
FAR_TICKS = PPQN  # a count that is so far from the beat begins anew: nobody wants a thousand ticks at once


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
        before, self._line = self._line, line
        goes_on = before is not None and not jump and before.metric == line.metric
        moved = before is not None and line.metric and before.bar_beat != line.bar_beat  # the song, though not its beat
        if goes_on and not moved and not self._strays(line, now):
            return []
        # The first timeline may not be the first that slaves hear of: they may run by an outlet that died.
        return self._begin(line, now, ran=line.metric if before is None else before.metric)

    def _strays(self, line: Timeline, now: int) -> bool:
        return abs(line.beat(now) * PPQN - self._tick) > FAR_TICKS

    def _begin(self, line: Timeline, now: int, ran: bool) -> list[bytes]:
        """Count from here; gives what slaves are told at once."""
        told = [bytes((STOP,))] if ran else []
        self._starts = None
        position, top = line.beat(now) * PPQN, line.bar_beat * PPQN
        if not line.metric:
            self._tick = math.floor(position + ROUNDING) + 1
            return told
        if 0 <= position - top <= TICKS_PER_SIXTEENTH:  # a song that has just begun is begun from its top
            self._tick = round(top)
        else:
            self._tick = math.ceil(position - JUST_PAST)
        return [*told, *self._set_off(line)]

    def _set_off(self, line: Timeline) -> list[bytes]:
        """Slaves set off at the top of the song, or at the next sixteenth, which they are told beforehand."""
        song_beat = self._tick / PPQN - line.bar_beat
        sixteenth = max(0, math.ceil(song_beat * SIXTEENTHS - ROUNDING))
        tick = round(line.bar_beat * PPQN) + sixteenth * TICKS_PER_SIXTEENTH
        self._starts = tick, bytes((CONTINUE if sixteenth else START,))
        if not sixteenth:
            return []
        position = sixteenth % _longest_song(line)
        return [bytes((SONG_POSITION, position & 0x7F, position >> 7))]

    def deadline(self) -> int | None:
        return None if self._line is None else self._line.time_ns(self._tick * TICKS_PER_BEAT / PPQN)

    def pop(self, now: int) -> list[bytes]:
        """The tick that is due, with what comes just before it; after a long stay away, how it goes on."""
        assert self._line is not None
        if self._strays(self._line, now):
            return self._begin(self._line, now, ran=self._line.metric)
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


def _longest_song(line: Timeline) -> int:
    """In sixteenths: after so many whole bars the positions that can be told begin anew."""
    two_bars = line.metre[0] * 32 // line.metre[1]  # a single one of 3/32 is no whole number of them
    return MOST_SIXTEENTHS // two_bars * two_bars


class Click:
    """A click on each beat of the metre, higher on the first of a bar. It is silent where there is no beat."""

    def __init__(self, channel: int) -> None:
        self._channel = channel
        self._line: Timeline | None = None
        self._next_beat = 0.0

    def retime(self, line: Timeline, jump: bool, now: int) -> None:
        begins = self._line is None or jump
        self._line = line if line.metric else None
        if line.metric and (begins or not self._goes_on(line, now)):
            self._next_beat = _next_pulse(line, now)

    def _goes_on(self, line: Timeline, now: int) -> bool:
        """Whether the click that was to come next still may."""
        pulses = (self._next_beat - line.bar_beat) / line.pulse_beats
        near = abs(self._next_beat - _next_pulse(line, now)) <= line.pulse_beats
        return near and abs(pulses - round(pulses)) < ROUNDING

    def deadline(self) -> int | None:
        return None if self._line is None else self._line.time_ns(self._next_beat * TICKS_PER_BEAT)

    def pop(self, now: int) -> list[Beat]:
        """The note that is due, and its end; nothing if that was long ago."""
        line, beat = self._line, self._next_beat
        assert line is not None
        if line.beat(now) > beat + line.pulse_beats:
            self._next_beat = _next_pulse(line, now)
            return []
        self._next_beat += line.pulse_beats
        in_bar = (beat - line.bar_beat + ROUNDING) % line.bar_beats
        pitch, velocity = DOWNBEAT if in_bar < line.pulse_beats / 2 else UPBEAT
        channel = self._channel - 1
        return [
            Beat(line.time_ns(beat * TICKS_PER_BEAT), bytes((NOTE_ON | channel, pitch, velocity))),
            Beat(line.time_ns((beat + CLICK_BEATS) * TICKS_PER_BEAT), bytes((NOTE_OFF | channel, pitch, 0))),
        ]


def _next_pulse(line: Timeline, now: int) -> float:
    """The next beat of the metre, or one just past."""
    return line.line_at_or_after(line.beat(now) - JUST_PAST / PPQN, line.pulse_beats)
