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
DRIFT_BEATS, DRIFT_BPM = 0.005, 0.1


class Recorder:
    """Remembers what was heard and what was really sent, until it is written."""

    def __init__(self) -> None:
        self._player: list[Note] = []
        self._improviser: list[Note] = []
        self._lines: list[Timeline] = []
        self._keys: set[int] = set()
        self._pedal = False

    def retime(self, line: Timeline) -> None:
        """From now on beats are counted so. What differs by less than is heard is not kept."""
        last = self._lines[-1] if self._lines else None
        if last is None or last.metric != line.metric or _differ(last, line):
            self._lines.append(line)

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

    def parts(self) -> tuple[list[Note], list[Note]]:
        """Both parts, whole and in order; the first event of all, or the bar line before it, at 0."""
        if self._player:
            self._lift(max(event.time_ns for event in (*self._player, *self._improviser)))
        zero_ns = self._zero_ns()

        def moved(events: list[Note]) -> list[Note]:
            ordered = sorted(events, key=lambda event: event.time_ns)
            return [event._replace(time_ns=max(0, event.time_ns - zero_ns)) for event in ordered]

        return moved(self._player), moved(self._improviser)

    def write(self, path: Path) -> bool:
        """Gives False, and writes nothing, where nothing happened."""
        if not self._player and not self._improviser:
            return False
        player, improviser = self.parts()
        files.write(path, duet(player, improviser), self._timelines())
        return True

    def _zero_ns(self) -> int:
        notes = [event.time_ns for event in (*self._player, *self._improviser) if isinstance(event, NoteOn)]
        first_ns = min(notes or [event.time_ns for event in self._player], default=0)
        line = self._line_at(first_ns)
        return line.next_bar_ns(first_ns, 0) if line is not None and line.metric else first_ns

    def _line_at(self, time_ns: int) -> Timeline | None:
        began = [line for line in self._lines if line.origin_ns <= time_ns]
        return began[-1] if began else self._lines[0] if self._lines else None

    def _timelines(self) -> list[Timeline]:
        """As a file counts: from 0 ns and beat 0."""
        zero_ns = self._zero_ns()
        first = self._line_at(zero_ns)
        if first is None:
            return [Timeline()]
        beat = first.beat(zero_ns)
        later = [line for line in self._lines[self._lines.index(first) + 1 :] if line.origin_ns > zero_ns]
        return [
            line._replace(
                origin_ns=line.origin_ns - zero_ns, origin_beat=line.origin_beat - beat, bar_beat=line.bar_beat - beat
            )
            for line in (first._replace(origin_ns=zero_ns, origin_beat=beat), *later)
        ]

    def _lift(self, time_ns: int) -> None:
        """What is still down ends."""
        self._player += [NoteOff(time_ns, pitch) for pitch in sorted(self._keys)]
        if self._pedal:
            self._player.append(Pedal(time_ns, False))
        self._keys.clear()
        self._pedal = False


def _differ(last: Timeline, line: Timeline) -> bool:
    apart_beats = abs(last.beat(line.origin_ns) - line.origin_beat)
    return apart_beats > DRIFT_BEATS or abs(last.bpm - line.bpm) > DRIFT_BPM or last.bar_beat != line.bar_beat


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
