"""Where the machine plays while the player plays: out of his way."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from improv.music.timeline import NS

SIDES = ("auto", "below", "above", "all")
RECENT_NS = 8 * NS  # his notes of so long count
MOST_NOTES = 64
REACH = 24  # semitones from what he plays: it stays near him
ROOM = 12  # semitones: with less on its side of him, it plays on the other


@dataclass(frozen=True)
class Zone:
    side: str = "auto"  # where there is more room; `below`, `above` or `all` over
    split: int | None = None  # `below` is below this pitch, `above` from it on; None: it follows the player


class Range:
    """What the player has played of late, and what that leaves to the machine."""

    def __init__(self, zone: Zone) -> None:
        self._zone = zone
        self._recent: deque[tuple[int, int]] = deque(maxlen=MOST_NOTES)  # when, and which pitch

    def hear(self, time_ns: int, pitch: int) -> None:
        self._recent.append((time_ns, pitch))
        while self._recent[0][0] < time_ns - RECENT_NS:
            self._recent.popleft()

    def left(self, lowest: int, highest: int) -> tuple[int, int]:
        """The lowest and the highest pitch for the machine, of those it may play at all."""
        side, split = self._zone.side, self._zone.split
        if side == "all" or (split is None and not self._recent):
            return lowest, highest
        low = min(pitch for _, pitch in self._recent) if split is None else split
        high = max(pitch for _, pitch in self._recent) + 1 if split is None else split
        below, above = (lowest, min(low - 1, highest)), (max(high, lowest), highest)
        if split is None:
            below, above = (max(lowest, low - REACH), below[1]), (above[0], min(highest, high + REACH - 1))
        if side == "auto" and split is not None and self._recent:  # he says by playing which side is his
            mean = sum(pitch for _, pitch in self._recent) / len(self._recent)
            return below if mean >= split else above
        wanted, other = (below, above) if side != "above" else (above, below)
        if side == "auto" and _room(above) > _room(below):
            wanted, other = above, below
        return wanted if _room(wanted) >= ROOM or split is not None else max(wanted, other, key=_room)


def _room(pitches: tuple[int, int]) -> int:
    return pitches[1] - pitches[0] + 1
