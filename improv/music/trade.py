"""Trading bars: so many for the player, so many for the machine, counted on the shared beat."""

from __future__ import annotations

from improv.music.timeline import ROUNDING, Timeline

PICK_UP_BEATS = 1.0  # before a bar line, but never more than half the bar: a note there belongs to what comes after it


class Trade:
    """Whose bars these are. It begins with a note of the player's, and goes on while he plays in his bars."""

    def __init__(self, bars: int | None) -> None:
        """Without `bars` nothing is traded."""
        self._bars = bars
        self._end_beat: float | None = None  # of these bars; None: no trade is on
        self.machine_plays = False

    def end_beat(self, line: Timeline) -> float | None:
        """The bar line at which the turn changes. A song that goes on elsewhere may have moved its bar lines."""
        if self._end_beat is None or not line.metric:
            return None
        return line.nearest_bar_line(self._end_beat)

    def hears(self, line: Timeline, time_ns: int) -> bool:
        """Whether a note of the player's falls into bars of his. His first one says where they begin."""
        if self._bars is None or not line.metric:
            return True
        beat = line.beat(time_ns) + min(PICK_UP_BEATS, line.bar_beats / 2) + ROUNDING
        end_beat = self.end_beat(line)
        if end_beat is None:
            bar = (beat - line.bar_beat) // line.bar_beats
            self._end_beat = line.bar_beat + (bar + self._bars) * line.bar_beats
        return end_beat is None or not self.machine_plays or beat >= end_beat

    def hand_over(self, line: Timeline) -> float:
        """At the bar line: the other one's bars begin. Gives the beat at which they end."""
        begin_beat = self.end_beat(line)
        assert begin_beat is not None and self._bars is not None
        self.machine_plays = not self.machine_plays
        self._end_beat = begin_beat + self._bars * line.bar_beats
        return self._end_beat

    def lapse(self) -> None:
        self.machine_plays, self._end_beat = False, None
