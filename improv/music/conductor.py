"""Whose beat it is: one source, and one count of beats that never runs backwards.

A source counts the beats of the song, and those jump: to the top, or wherever the song goes on. The
count here goes on from what was played before, moved by whole beats, so that nothing else needs to
know of jumps. Where no beat is known, or the transport stands still, time is free: the ticks of
`FREE_BPM`, and no beat.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from improv.music.events import Beat, ClockOffset, FreeWheel, Retime, Tap, Transport
from improv.music.follower import Follower
from improv.music.taps import Taps
from improv.music.timeline import Timeline

SEAM_BEATS = 0.05  # a song that goes on elsewhere, but so nearly on the beat, has not lost it


class Change(NamedTuple):
    """What others may follow from now on (where the transport stands, its tempo is still known), and whether
    what was planned in beats before makes no sense any more."""

    line: Timeline
    broken: bool


class Conductor:
    def __init__(self, source: str, bpm: float | None, metre: tuple[int, int], offset_ns: int = 0) -> None:
        """The source is `internal` (`bpm` from the first note on, if there is one), `midi`, or `link`: its
        timelines come as `Retime`.
        """
        self._by_hand = source == "internal"
        self._follower = Follower(metre) if source == "midi" else None
        self._bpm, self._metre, self._offset_ns = bpm, metre, offset_ns
        self._taps = Taps(metre)
        self._given: Timeline | None = None  # by the source: in beats of the song, without the offset
        self._begun = False  # whether beats were ever given
        self._lift_beats = 0.0  # from the beats of the song to those counted here
        self.line: Timeline | None = None

    def begin(self, time_ns: int) -> Change | None:
        """Something is played: beats begin with it where a tempo is set, else time is free."""
        if self._bpm is not None and not self._begun:
            return self._set_off(time_ns, self._bpm)
        if self.line is None:
            self.line = Timeline(origin_ns=time_ns)
        return None

    def hear(self, event: Beat) -> list[Change | FreeWheel]:
        """What an event of a clock, or of the player's about it, changes."""
        if isinstance(event, Retime):
            return [self._take(event)]
        if isinstance(event, ClockOffset):
            return self._move(event)
        if isinstance(event, Tap):
            return self._tap(event)
        if isinstance(event, Transport):
            return self._stop_or_go(event.time_ns)
        heard = self._follower.hear(event) if self._follower is not None else []
        return [self._take(item) if isinstance(item, Retime) else item for item in heard]

    def deadline(self) -> int | None:
        return self._follower.deadline() if self._follower is not None else None

    def due(self, now: int) -> FreeWheel | None:
        return self._follower.due(now) if self._follower is not None else None

    def _set_off(self, time_ns: int, bpm: float) -> Change:
        """The internal clock runs, from where it stood or from the top."""
        song = self._given if self._given is not None and self._begun else Timeline(bpm, metre=self._metre)
        return self._take(Retime(time_ns, song._replace(origin_ns=time_ns, metric=True), jump=True))

    def _stop_or_go(self, time_ns: int) -> list[Change | FreeWheel]:
        if not self._by_hand or self._bpm is None:
            return []
        song = self._given
        if song is None or not song.metric:
            return [self._set_off(time_ns, self._bpm)]
        stands = song._replace(origin_ns=time_ns, origin_beat=song.beat(time_ns), metric=False)
        return [self._take(Retime(time_ns, stands, jump=True))]

    def _tap(self, tap: Tap) -> list[Change | FreeWheel]:
        if not self._by_hand:
            return []  # the master says where the beat is
        retime = self._taps.hear(tap, self._given or Timeline(origin_ns=tap.time_ns))
        if retime is None:
            return []
        self._bpm = retime.timeline.bpm
        return [self._take(retime)]

    def _move(self, event: ClockOffset) -> list[Change | FreeWheel]:
        self._offset_ns = event.offset_ns
        return [] if self._given is None else [self._take(Retime(event.time_ns, self._given))]

    def _take(self, retime: Retime) -> Change:
        """A timeline in beats of the song becomes one in the beats counted here."""
        self._given, before, time_ns = retime.timeline, self.line, retime.time_ns
        song = retime.timeline._replace(origin_ns=retime.timeline.origin_ns + self._offset_ns)
        self._begun = self._begun or song.metric
        jump = before is not None and (retime.jump or before.metric != song.metric)
        if before is not None and jump:
            self._lift_beats = float(math.ceil(before.beat(time_ns) - song.beat(time_ns) - SEAM_BEATS))
        elif before is not None and song.metric:  # no news moves the beat so far: this undoes a large new offset
            self._lift_beats += round(before.beat(time_ns) - song.beat(time_ns) - self._lift_beats)
        line = _moved(song, self._lift_beats)
        if line.metric:
            self.line = line
        elif before is None or before.metric:
            self.line = Timeline(origin_ns=time_ns, origin_beat=(before or line).beat(time_ns))
        return Change(line, jump and before is not None and not _seamless(before, line, time_ns))


def _moved(line: Timeline, beats: float) -> Timeline:
    return line._replace(origin_beat=line.origin_beat + beats, bar_beat=line.bar_beat + beats)


def _seamless(before: Timeline, line: Timeline, time_ns: int) -> bool:
    """Whether the beat goes on, though the song may be elsewhere: a loop of whole beats."""
    if before.metric != line.metric:
        return False
    return not line.metric or abs(line.beat(time_ns) - before.beat(time_ns)) <= SEAM_BEATS
