"""What of a flood is let in. Nothing that ends something is ever kept out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from improv.music.bucket import Bucket
from improv.music.latest import is_continuous
from improv.music.pulse import CONTINUE, START, STOP, TICK
from improv.music.schedule import (
    ALL_NOTES_OFF,
    ALL_SOUND_OFF,
    HALF,
    SYSTEM,
    is_all_off,
    is_note_off,
    is_note_on,
    is_pedal,
)

NOTE, PEDAL, PRESS, SETTING = "notes", "pedal strokes", "controls", "programs and settings"
CLOCK_TICK, SONG = "clock ticks", "starts and stops"
RATES = {  # of each kind: so many at once, and so many a second after that
    NOTE: (256, 250),
    PEDAL: (128, 100),
    PRESS: (128, 100),
    SETTING: (256, 250),
    CLOCK_TICK: (256, 500),
    SONG: (32, 50),
}


class Gate:
    """Decides by stamps alone.

    What begins something is let in as far as a player may play, each kind by itself. What ends something
    passes exactly if that was let in: an end of nothing is nothing. What ends all on a channel passes once for
    whatever began there, and is a setting else. Continuous controllers all pass: who sends them on thins them
    (`music/latest.py`).
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        """`say` is told, in a sentence, when something of a kind is kept out for the first time."""
        self._say = say
        self._buckets = {kind: Bucket(*rate) for kind, rate in RATES.items()}
        self._notes: set[tuple[int, int]] = set()  # channel (from 0) and pitch of those let in
        self._began: set[tuple[int, int]] = set()  # channel, and what would end all that began there
        self._pedals: dict[int, int] = {}  # on each channel, as it was last let in
        self._runs = False  # the song
        self.shed: Counter[str] = Counter()

    def lets_in(self, message: bytes, time_ns: int) -> bool:
        """Whether a whole message of a channel or of a clock is let in."""
        if message[0] >= SYSTEM:
            return self._lets_beat_in(message[0], time_ns)
        channel = message[0] & 0x0F
        if is_note_on(message):
            return self._lets_note_in((channel, message[1]), time_ns)
        if is_note_off(message):
            ends = self.ends(message)
            self._notes.discard((channel, message[1]))
            return ends
        if is_pedal(message):
            return self._lets_pedal_in(message, time_ns)
        if is_all_off(message) and (channel, message[1]) in self._began:
            self._began.discard((channel, message[1]))
            return True
        return is_continuous(message) or self.takes(SETTING, time_ns)

    def ends(self, message: bytes) -> bool:
        """Whether it ends a note that was let in, or lifts such a pedal half or the whole way."""
        channel, value = message[0] & 0x0F, message[-1]
        if is_note_off(message):
            return (channel, message[1]) in self._notes
        before = self._pedals.get(channel, 0)
        return is_pedal(message) and before > 0 and (value == 0 or value < HALF <= before)

    def end_all(self, message: bytes) -> list[int]:
        """The notes that were let in on the channel of such a message, by pitch: their own ends are none any more."""
        ended = {note for note in self._notes if note[0] == message[0] & 0x0F}
        self._notes -= ended
        return sorted(pitch for _, pitch in ended)

    def takes(self, kind: str, time_ns: int) -> bool:
        """Whether one more of a kind is let in."""
        if self._buckets[kind].take(time_ns):
            return True
        if kind not in self.shed:
            self._say(f"{kind} come faster than {RATES[kind][1]} a second; those beyond that are not heard")
        self.shed[kind] += 1
        return False

    def _lets_note_in(self, note: tuple[int, int], time_ns: int) -> bool:
        taken = self.takes(NOTE, time_ns)
        if taken:
            self._notes.add(note)
            self._began |= {(note[0], number) for number in (ALL_SOUND_OFF, ALL_NOTES_OFF)}
        return taken

    def _lets_pedal_in(self, message: bytes, time_ns: int) -> bool:
        passes = self.ends(message) or (message[2] > 0 and self.takes(PEDAL, time_ns))
        if passes:
            self._pedals[message[0] & 0x0F] = message[2]
        return passes

    def _lets_beat_in(self, status: int, time_ns: int) -> bool:
        if status == STOP and self._runs:
            self._runs = False
            return True
        taken = self.takes(CLOCK_TICK if status == TICK else SONG, time_ns)
        self._runs = self._runs or (taken and status in (START, CONTINUE))
        return taken

    def lines(self) -> list[str]:
        """What was kept out, in words."""
        shed = ", ".join(f"{count} {kind}" for kind, count in self.shed.items())
        return [f"too fast to be heard: {shed}"] if shed else []
