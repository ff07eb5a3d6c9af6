"""What the machine plays, on its way from the engine's thread to the one on which it may come back."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from improv.music.events import Late, NoteOff, NoteOn, OutLatency, Played, Revise, TurnBegins, Yield

MOST = 512  # events: at the most notes a second, all that may still come back

Gone = NoteOn | NoteOff | Yield | Revise | Late


class Outgoing:
    """The newest of it, each with the time at which it goes out. Where nothing is played in nobody takes it, and the
    oldest, which can come back no more, is forgotten. A deque needs no lock.
    """

    def __init__(self, latency_ns: int = 0) -> None:
        self._waiting: deque[Gone] = deque(maxlen=MOST)
        self._latency_ns = latency_ns  # notes go out so much before their time
        self._lag_ns = 0  # and, of an answer that was late, so much after it

    def tell(self, event: Played | Late) -> None:
        """What is played, taken back or moved. Called on the engine's thread."""
        match event:
            case NoteOn(time_ns) | NoteOff(time_ns) | Revise(time_ns):
                self._waiting.append(event._replace(time_ns=time_ns + self._lag_ns - self._latency_ns))
            case Yield():
                self._waiting.append(event)
            case TurnBegins():
                self._lag_ns = 0
            case OutLatency(_, latency_ns):
                self._latency_ns = latency_ns
            case Late(shift_ns=shift_ns):
                self._lag_ns += shift_ns
                self._waiting.append(event)

    def take(self) -> Iterator[Gone]:
        """What was told since the last time. Called on the driver's thread."""
        while self._waiting:
            yield self._waiting.popleft()
