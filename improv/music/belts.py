"""What no answer exceeds, whatever the network would like."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from improv.music.timeline import NS


@dataclass(frozen=True)
class Belts:
    voices: int = 12  # notes that sound together
    notes_per_s: int = 40  # that begin within any second
    loudest: int = 127  # velocity
    lowest: int = 21  # pitches: the keys of a piano
    highest: int = 108
    longest_note_s: float = 20.0
    longest_answer_s: float = 60.0


class Pace:
    """When notes began, and when the next one may. It outlasts an answer: another, or a loop, may follow within a
    second.
    """

    def __init__(self, notes_per_s: int) -> None:
        self.notes_per_s = notes_per_s
        self._begun_ns: deque[int] = deque()

    def begin(self, time_ns: int) -> None:
        """A note begins, no sooner than the one before."""
        self._begun_ns.append(time_ns)

    def next_ns(self) -> int | None:
        """When the next one may begin at the soonest; None: at any time."""
        return self._begun_ns[-self.notes_per_s] + NS if len(self._begun_ns) >= self.notes_per_s else None

    def wait_ns(self, onsets_ns: Sequence[int]) -> int:
        """How much later than at these times some notes may begin, which keep to it among themselves."""
        begun, most = self._begun_ns, self.notes_per_s
        first = enumerate(onsets_ns[:most])
        return max([0, *(begun[i - most] + NS - onset for i, onset in first if len(begun) >= most - i)])

    def take_back(self, time_ns: int) -> None:
        """What was to begin later never does."""
        while self._begun_ns and self._begun_ns[-1] > time_ns:
            self._begun_ns.pop()

    def forget_before(self, time_ns: int) -> None:
        while self._begun_ns and self._begun_ns[0] < time_ns:
            self._begun_ns.popleft()
