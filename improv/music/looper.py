"""The last answer as it was played, and that again and again."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from improv.music.answer import Turn
from improv.music.belts import Pace
from improv.music.events import NoteOff, NoteOn, Played
from improv.music.timeline import NS, ROUNDING, TICKS_PER_BEAT, Timeline

AHEAD_NS = NS // 2  # how far ahead of its time a note is given
SINCE_NS = 3 * NS  # when a note began that is as long ago does not matter any more


class Sound(NamedTuple):
    """Where a note begins or ends, in ticks from the beginning."""

    place: float
    on: bool
    pitch: int
    velocity: int

    def event(self, begin: float, line: Timeline) -> NoteOn | NoteOff:
        time_ns = line.time_ns(begin + self.place)
        return NoteOn(time_ns, self.pitch, self.velocity) if self.on else NoteOff(time_ns, self.pitch)


class Passage:
    """An answer as it was planned, but for what was taken back of it."""

    def __init__(self, turn: Turn, line: Timeline) -> None:
        self.begin = turn.begin
        self._spacing = turn.manner.spacing_ns * turn.ticks_per_s / NS
        self._ticks_per_s, self._metric = turn.ticks_per_s, line.metric
        self._in_bar = (turn.begin - line.bar_beat * TICKS_PER_BEAT) % (line.bar_beats * TICKS_PER_BEAT)
        self._sounds: list[Sound] = []

    def add(self, played: Iterable[Played], line: Timeline) -> None:
        for event in played:
            if isinstance(event, NoteOn | NoteOff):
                velocity = event.velocity if isinstance(event, NoteOn) else 0
                place = line.position(event.time_ns) - self.begin
                self._sounds.append(Sound(place, isinstance(event, NoteOn), event.pitch, velocity))

    def cut(self, position: float) -> None:
        """What would sound later never does, and what sounds ends there."""
        place = position - self.begin
        self._sounds = [sound for sound in self._sounds if sound.place <= place]
        last = {sound.pitch: sound.on for sound in self._sounds}
        self._sounds += [Sound(place, False, pitch, 0) for pitch, on in sorted(last.items()) if on]

    def sounds(self, line: Timeline) -> list[Sound]:
        """In ticks of a timeline: where beats came or went since, they are of another length."""
        times = self._times(line)
        return [sound._replace(place=sound.place * times) for sound in self._sounds]

    def length(self, pace: Pace, line: Timeline) -> float:
        """After so many ticks it can begin anew: when its last note has ended and the player's spacing is over, or on
        the next bar line; and never with more notes in a second.
        """
        sounds = self.sounds(line)
        onsets = [sound.place for sound in sounds if sound.on]
        length = sounds[-1].place
        for i, onset in enumerate(onsets):
            times, place = divmod(i + pace.notes_per_s, len(onsets))
            if times:
                length = max(length, (line.ticks(NS) + onset - onsets[place]) / times)
        if line.metric:
            bar = line.bar_beats * TICKS_PER_BEAT
            return math.ceil(length / bar - ROUNDING) * bar
        return math.floor(max(length, onsets[-1] + self._spacing * self._times(line))) + 1.0

    def begins_from(self, position: float, line: Timeline) -> float:
        """The first place from there on where it can begin: under a beat, where in the bar it began."""
        if not line.metric:
            return position
        bar, top = line.bar_beats * TICKS_PER_BEAT, line.bar_beat * TICKS_PER_BEAT
        top += self._in_bar if self._metric else 0.0
        return top + math.ceil((position - top) / bar - ROUNDING) * bar

    def _times(self, line: Timeline) -> float:
        return 1.0 if line.metric == self._metric else line.ticks_per_s / self._ticks_per_s

    @property
    def empty(self) -> bool:
        return not any(sound.on for sound in self._sounds)


class Loop:
    """Sounds that are played again and again, each time so many ticks after the last."""

    def __init__(self, sounds: list[Sound], length: float, begin: float) -> None:
        self._sounds, self._length, self._begin = sounds, length, begin
        self._next = 0
        self._lag_ticks = 0.0

    def due_ns(self, line: Timeline) -> int:
        """When the next note, or its end, is to be given."""
        return line.time_ns(self._begin + self._sounds[self._next].place) - AHEAD_NS

    def play(self, line: Timeline) -> NoteOn | NoteOff:
        event = self._sounds[self._next].event(self._begin, line)
        self._next += 1
        if self._next == len(self._sounds):
            self._next, self._begin = 0, self._begin + self._length - self._lag_ticks
            self._lag_ticks = 0.0
        return event

    def lag(self, ticks: float) -> None:
        """All that is given from now on is sent so much later: from the next time on that is made up for."""
        self._lag_ticks += ticks


class Looper:
    """Follows what is answered. `on`: the player wants it again and again."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._passage: Passage | None = None
        self._from_ns = 0
        self._loop: Loop | None = None
        self.on = False

    def begin(self, turn: Turn, line: Timeline) -> None:
        """An answer begins."""
        self._passage = Passage(turn, line)

    def add(self, played: Iterable[Played], line: Timeline) -> None:
        """More of it is planned."""
        if self._passage is not None:
            self._passage.add(played, line)

    def cut(self, position: float) -> None:
        """The rest of it is never played."""
        if self._passage is not None:
            self._passage.cut(position)

    def press(self, from_ns: int) -> None:
        """The player wants to hear it again and again, but not before that moment."""
        self.on, self._from_ns = True, from_ns

    def start(self, line: Timeline, lag_ticks: float | None) -> bool:
        """The answer is planned, whole; it plays still, that much later, or (None) is over. Gives whether there is
        anything to play again.
        """
        passage = self._passage
        self.on = passage is not None and not passage.empty
        if passage is not None and self.on:
            sounds, length = passage.sounds(line), passage.length(self._pace, line)
            position = line.position(self._from_ns)
            if lag_ticks is not None:  # under a beat the next time is on its bar line all the same
                position = max(position, passage.begin + length + (0.0 if line.metric else lag_ticks))
            begin = passage.begins_from(position, line)
            wait_ns = self._pace.wait_ns([line.time_ns(begin + sound.place) for sound in sounds if sound.on])
            if wait_ns:
                begin = passage.begins_from(begin + line.ticks(wait_ns), line)
            self._loop = Loop(sounds, length, begin)
        return self.on

    def stop(self, time_ns: int) -> None:
        """What would sound later is never played."""
        if self._loop is not None:
            self._pace.take_back(time_ns)
        self.on, self._loop = False, None

    def forget(self) -> None:
        """There was no answer."""
        self._passage = None

    @property
    def started(self) -> bool:
        return self._loop is not None

    def due_ns(self, line: Timeline) -> int | None:
        return None if self._loop is None else self._loop.due_ns(line)

    def play(self, line: Timeline) -> NoteOn | NoteOff:
        assert self._loop is not None
        event = self._loop.play(line)
        if isinstance(event, NoteOn):
            self._pace.forget_before(event.time_ns - SINCE_NS)
            self._pace.begin(event.time_ns)
        return event

    def lag(self, ticks: float) -> None:
        if self._loop is not None:
            self._loop.lag(ticks)
