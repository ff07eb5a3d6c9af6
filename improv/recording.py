"""A session on the disk: its log while it is played, and when it is over a MIDI file made of that."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import logging
import os
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import NamedTuple

from improv import __version__
from improv.config import Settings
from improv.errors import BadInput
from improv.midi.journal import Journal, is_written, lock
from improv.midi.log import MAX_BYTES, BadLog, Header
from improv.midi.recorder import recover, session_path, unfinished
from improv.net import weights
from improv.net.memory import spelled
from improv.net.weights import Card
from improv.progress import Progress
from improv.saying import say

LOG = logging.getLogger("improv")


class Recording:
    def __init__(self, folder: Path, settings: Settings, card: Card, remembered: bytes = b"") -> None:
        """Settings must name the random seed: with it, and with what the memory begins with, the log can be replayed.

        Raises `BadInput`.
        """
        date = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
        played_with = (card.name, card.fingerprint, weights.digests(card))
        header = Header(__version__, date, *played_with, dataclasses.asdict(settings), spelled(remembered))
        paper = _new_log(folder)
        self._log = Path(paper.name)
        try:
            with contextlib.ExitStack() as on_failure:
                on_failure.enter_context(paper)
                lock(paper.fileno())
                self._journal = Journal(paper, header)
                on_failure.pop_all()
        except OSError as error:
            self._log.unlink(missing_ok=True)
            raise BadInput(f"`record` (--record) {self._log}: the log cannot be begun ({error.strerror})") from None
        self.keep = self._journal.put

    def finish(self, lines: list[str]) -> None:
        """Make the MIDI file, and a text of those lines beside it. Where nothing was played nothing stays."""
        self._journal.close()
        try:
            midi = midi_of(self._log)
            if midi is None:
                self._log.unlink()
                return
            midi.with_suffix(".txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        except BadLog as error:
            LOG.warning(str(error))
        except OSError as error:
            midi = self._log.with_suffix(".mid")
            LOG.warning("%s: the recording could not be written (%s); its log stays", midi, error.strerror)
        else:
            say(f"recorded {midi}")


def midi_of(log: Path, midi: Path | None = None) -> Path | None:
    """What `recover` does, with a bar where it takes long."""
    with Progress("making the MIDI file") as progress:
        return recover(log, midi, progress.step)


def _new_log(folder: Path) -> FileIO:
    """Another session may take a name at the same moment."""
    path = session_path(folder)
    try:
        return path.open("xb", buffering=0)
    except FileExistsError:
        return _new_log(folder)
    except OSError as error:
        raise BadInput(f"`record` (--record) {path}: the log cannot be begun ({error.strerror})") from None


class Outcome(NamedTuple):
    """What became of a log, in a line."""

    line: str
    good: bool


def recovered(path: Path, most: int = MAX_BYTES) -> Iterator[Outcome]:
    """Make the MIDI file of a log, or of each in a folder that has none; of one without notes nothing is said.

    One that is being played is left, and one of more than `most` bytes, which is said. In a folder that is no fault.
    """
    if path.is_dir():
        for log in unfinished(path):
            yield from _recovered(log, most, in_folder=True)
    elif not path.exists():
        yield Outcome(f"{path}: there is no such log or folder", False)
    elif os.path.lexists(path.with_suffix(".mid")):
        midi = path.with_suffix(".mid")
        yield Outcome(f"{midi}: it is there already; `improv replay {path} --out FILE` makes another", False)
    else:
        yield from _recovered(path, most)


def _recovered(log: Path, most: int, in_folder: bool = False) -> Iterator[Outcome]:
    try:
        if is_written(log):
            yield Outcome(f"{log}: it is being played; its MIDI file is made at the end", in_folder)
        elif most < log.stat().st_size <= MAX_BYTES:
            yield Outcome(f"{log}: cut short; `improv recover {log}` makes its MIDI file, slowly", True)
        elif (midi := midi_of(log)) is not None:
            yield Outcome(f"recovered {midi}", True)
    except BadLog as error:
        yield Outcome(str(error), False)
    except OSError as error:
        yield Outcome(f"{error.filename or log.with_suffix('.mid')}: {error.strerror}", False)
