"""Writes a session as a MIDI file of two tracks: the player and the improviser."""

from __future__ import annotations

import datetime
import os
from pathlib import Path

from improv.errors import BadInput
from improv.midi import files, wire
from improv.music.events import NoteOff, NoteOn, Pedal
from improv.music.timeline import Timeline

Note = NoteOn | NoteOff | Pedal
PLAYER_CHANNEL, IMPROVISER_CHANNEL = 1, 2


class Recorder:
    """Remembers what was heard and what was really sent, until it is written."""

    def __init__(self) -> None:
        self.player: list[Note] = []
        self.improviser: list[Note] = []

    def heard(self, event: Note) -> None:
        self.player.append(event)

    def sent(self, message: bytes, time_ns: int) -> None:
        event = wire.meaning(message, time_ns)
        if isinstance(event, NoteOn | NoteOff):
            self.improviser.append(event)

    def from_zero(self) -> tuple[list[Note], list[Note]]:
        """Both parts in order of time, the first event of all at 0."""
        zero = min((event.time_ns for event in (*self.player, *self.improviser)), default=0)

        def moved(events: list[Note]) -> list[Note]:
            ordered = sorted(events, key=lambda event: event.time_ns)
            return [event._replace(time_ns=event.time_ns - zero) for event in ordered]

        return moved(self.player), moved(self.improviser)

    def write(self, path: Path, bpm: float | None = None) -> bool:
        """Gives False, and writes nothing, where nothing happened."""
        if not self.player and not self.improviser:
            return False
        timeline = Timeline(bpm=bpm, metric=True) if bpm else Timeline()
        files.write(path, duet(*self.from_zero()), [timeline])
        return True


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
