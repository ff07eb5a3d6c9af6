"""Writes a session as a MIDI file of two tracks: the player and the improviser."""

from __future__ import annotations

import datetime
import os
from pathlib import Path

from improv.errors import BadInput
from improv.midi import files, wire
from improv.music.events import Heard, InputLost, NoteOff, NoteOn, Pedal
from improv.music.timeline import Timeline

Note = NoteOn | NoteOff | Pedal
PLAYER_CHANNEL, IMPROVISER_CHANNEL = 1, 2


class Recorder:
    """Remembers what was heard and what was really sent, until it is written."""

    def __init__(self) -> None:
        self._player: list[Note] = []
        self._improviser: list[Note] = []
        self._keys: set[int] = set()
        self._pedal = False

    def heard(self, event: Heard) -> None:
        if isinstance(event, InputLost):
            self._lift(event.time_ns)
        elif isinstance(event, NoteOn | NoteOff | Pedal):
            self._player.append(event)
            if isinstance(event, Pedal):
                self._pedal = event.down
            else:
                (self._keys.add if isinstance(event, NoteOn) else self._keys.discard)(event.pitch)

    def sent(self, message: bytes, time_ns: int) -> None:
        event = wire.meaning(message, time_ns)
        if isinstance(event, NoteOn | NoteOff):
            self._improviser.append(event)

    def parts(self, metric: bool = False) -> tuple[list[Note], list[Note]]:
        """Both parts, whole and in order; the first event of all, or the beat's first note, at 0."""
        if self._player:
            self._lift(max(event.time_ns for event in (*self._player, *self._improviser)))
        everything = [*self._player, *self._improviser]
        starts = [event.time_ns for event in self._player if isinstance(event, NoteOn)] if metric else []
        zero = min(starts or [event.time_ns for event in everything], default=0)

        def moved(events: list[Note]) -> list[Note]:
            ordered = sorted(events, key=lambda event: event.time_ns)
            return [event._replace(time_ns=max(0, event.time_ns - zero)) for event in ordered]

        return moved(self._player), moved(self._improviser)

    def write(self, path: Path, bpm: float | None = None) -> bool:
        """Gives False, and writes nothing, where nothing happened."""
        if not self._player and not self._improviser:
            return False
        timeline = Timeline(bpm=bpm, metric=True) if bpm else Timeline()
        files.write(path, duet(*self.parts(metric=bpm is not None)), [timeline])
        return True

    def _lift(self, time_ns: int) -> None:
        """What is still down ends."""
        self._player += [NoteOff(time_ns, pitch) for pitch in sorted(self._keys)]
        if self._pedal:
            self._player.append(Pedal(time_ns, False))
        self._keys.clear()
        self._pedal = False


def duet(player: list[Note], improviser: list[Note]) -> list[files.Part]:
    return [
        files.Part("player", PLAYER_CHANNEL, player),
        files.Part("improviser", IMPROVISER_CHANNEL, improviser),
    ]


def writable_folder(folder: Path) -> Path:
    """Make sure a folder is there and can be written to, before anything is played."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"--record {folder}: the folder cannot be made ({error.strerror})") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise BadInput(f"--record {folder}: the folder cannot be written to")
    return folder


def session_path(folder: Path) -> Path:
    """A new name in the folder, by date and time."""
    stem = datetime.datetime.now().strftime("improv-%Y%m%d-%H%M%S")
    names = (stem, *(f"{stem}-{n}" for n in range(2, 1000)))
    return next(path for name in names if not (path := folder / f"{name}.mid").exists())
