"""Keys and sustain pedal in, sounding notes out."""

from __future__ import annotations

from improv.music.events import NoteOff, NoteOn, Pedal

Sounding = NoteOn | NoteOff


class Damper:
    """Follows which strings ring: a note ends when key *and* pedal are up, or when it is restruck."""

    def __init__(self) -> None:
        self._keys: set[int] = set()
        self._ringing: set[int] = set()
        self._pedal = False

    @property
    def held(self) -> bool:
        """Whether a key or the pedal is down."""
        return self._pedal or bool(self._keys)

    def hear(self, event: NoteOn | NoteOff | Pedal) -> list[Sounding]:
        if isinstance(event, NoteOn):
            restruck: list[Sounding] = [NoteOff(event.time_ns, event.pitch)] if event.pitch in self._ringing else []
            self._keys.add(event.pitch)
            self._ringing.add(event.pitch)
            return [*restruck, event]
        if isinstance(event, NoteOff):
            self._keys.discard(event.pitch)
        else:
            self._pedal = event.down
        return self._damp(event.time_ns)

    def release(self, time_ns: int) -> list[Sounding]:
        """Lift every key and the pedal."""
        self._keys.clear()
        self._pedal = False
        return self._damp(time_ns)

    def _damp(self, time_ns: int) -> list[Sounding]:
        if self._pedal:
            return []
        ended = sorted(self._ringing - self._keys)
        self._ringing &= self._keys
        return [NoteOff(time_ns, pitch) for pitch in ended]
