"""Trading bars: so many for the player, so many for the machine, counted on the shared beat."""

from __future__ import annotations

from improv.music.timeline import Timeline

PICK_UP_BEATS = 1.0  # before a bar line, but never half the bar: a note there belongs to what comes after it


class Trade:
    """Whose bars these are. It begins with a note of the player's, and goes on while he plays in his bars."""

    def __init__(self, bars: int) -> None:
        self._bars = bars
        self.machine_plays = False
        self.turn_ends_beat: float | None = None  # the bar line at which the turn changes; None: no trade is on

    def hears(self, line: Timeline, time_ns: int) -> bool:
        """Whether a note of the player's falls into bars of his. His first one says where they begin."""
        beat = line.beat(time_ns)
        pick_up_beats = min(PICK_UP_BEATS, line.bar_beats / 2)
        if self.turn_ends_beat is None:
            bar = (beat + pick_up_beats - line.bar_beat) // line.bar_beats
            self.turn_ends_beat = line.bar_beat + (bar + self._bars) * line.bar_beats
        return not self.machine_plays or beat >= self.turn_ends_beat - pick_up_beats

    def hand_over(self, line: Timeline) -> float:
        """At the bar line: the other one's bars begin. Gives the beat at which they end."""
        assert self.turn_ends_beat is not None
        self.machine_plays = not self.machine_plays
        self.turn_ends_beat += self._bars * line.bar_beats
        return self.turn_ends_beat

    def lapse(self) -> None:
        self.machine_plays, self.turn_ends_beat = False, None
