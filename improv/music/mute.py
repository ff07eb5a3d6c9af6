"""Silence from a bar line on, until another."""

from __future__ import annotations

from improv.music.timeline import TICKS_PER_BEAT, Timeline


class Muting:
    def __init__(self) -> None:
        self.on = False
        self._at_beat: float | None = None  # where that changes

    def press(self, time_ns: int, line: Timeline | None) -> bool:
        """It changes at the next bar line; pressed again before, it does not. Gives whether it changes at once, for
        want of a beat.
        """
        if line is None or not line.metric:
            self.change()
            return True
        bar = line.line_at_or_after(line.beat(time_ns), line.bar_beats)
        self._at_beat = bar if self._at_beat is None else None
        return False

    def deadline(self, line: Timeline) -> int | None:
        """A tick before the line: what sounds on it is the next bar's. A song may have moved its bar lines since."""
        if self._at_beat is None:
            return None
        return line.time_ns(line.nearest_bar_line(self._at_beat) * TICKS_PER_BEAT - 1)

    def change(self) -> None:
        self.on, self._at_beat = not self.on, None
