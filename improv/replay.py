"""Plays the log of a session into a fresh engine, and compares what that gives with what was given then."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from improv import __version__, config, players
from improv.engine import Engine
from improv.errors import BadInput
from improv.midi.frames import Sent
from improv.midi.log import BadLog, Gave, Header, Log, Record, Silence, Step
from improv.music.events import Played
from improv.music.schedule import is_note_on
from improv.music.timeline import NS
from improv.net import memory, weights
from improv.progress import Progress
from improv.recording import midi_of
from improv.together import check_together


class Difference(NamedTuple):
    """What the engine gave to one call, then and now."""

    time_ns: int
    then: tuple[Played, ...]
    now: tuple[Played, ...]


class Outcome(NamedTuple):
    notes: int  # that were sent, as long as it was the same
    begin_ns: int
    difference: Difference | None


def compare(records: Iterable[Record], engine: Engine) -> Outcome:
    """Call the engine as it was called then, until it gives something else."""
    notes = now_ns = 0
    begin_ns: int | None = None
    gave: tuple[Played, ...] = ()
    for record in records:
        if isinstance(record, Gave):
            if not _same(record.played, gave):
                return Outcome(notes, begin_ns or 0, Difference(now_ns, record.played, gave))
            gave = ()
        elif isinstance(record, Sent):
            notes += is_note_on(record.message)
        elif isinstance(record, Step | Silence):
            if gave:
                return Outcome(notes, begin_ns or 0, Difference(now_ns, (), gave))
            now_ns = record.now_ns
            begin_ns = now_ns if begin_ns is None else begin_ns
            gave = tuple(engine.step(now_ns, record.heard) if isinstance(record, Step) else engine.silence(now_ns))
    return Outcome(notes, begin_ns or 0, None)  # what the last call gave may have been cut off


def _same(then: tuple[Played, ...], now: tuple[Played, ...]) -> bool:
    """Events of different kinds may hold the same numbers."""
    return then == now and [*map(type, then)] == [*map(type, now)]


def engine(log: Path, header: Header, name: str | None) -> Engine:
    """The engine as it was when the log began; `name` says which set of weights to take. Raises `BadInput`."""
    settings = config.of(header.settings, f"{log}: settings")
    check_together(settings)
    if settings.random_seed is None:
        raise BadLog(f"{log}: its header names no random seed")
    if name is None and header.weights not in {folder.name for folder in weights.folders()}:
        raise BadInput(f"{log}: weights {header.weights} are not installed; name their folder with --weights")
    card = weights.read(name or header.weights)
    if weights.digests(card) != header.graphs:
        raise BadInput(
            f"{log}: played with weights {header.weights}, and {card.folder} holds others; "
            "name their folder with --weights"
        )
    card.check_style(settings.steering.style)
    try:
        remembered = memory.read(header.memory)
    except ValueError:
        raise BadLog(f"{log}: line 1 is damaged") from None
    return Engine(weights.network(card), settings.musicianship(settings.random_seed), remembered)


def replay(
    path: Path, name: str | None = None, out: Path | None = None, player: str | None = None
) -> tuple[list[str], bool]:
    """Lines that say how it went, and whether the notes are the same. `out` is a MIDI file to write; `player` is to
    remember what the session would have left him. Raises `BadInput`.
    """
    log = Log(path)
    if out is not None and out.resolve() == path.resolve():
        raise BadInput(f"{out}: this is the log as well; give the MIDI file a name of its own")
    lines = [] if out is None else [_export(path, out)]
    if player is not None:
        players.begin(player)
    improviser = engine(path, log.header, name)
    with Progress("replaying") as progress:

        def records() -> Iterator[Record]:
            for record in log.records():
                progress.step(log.share)
                yield record

        outcome = compare(records(), improviser)
    if outcome.difference is None:
        kept = [] if player is None else [_keep(player, improviser.remembered())]
        return [*lines, *kept, f"the same {outcome.notes} notes"], True
    return [*lines, *_told(outcome, outcome.difference, log.header)], False


def _export(log: Path, out: Path) -> str:
    try:
        if midi_of(log, out) is None:
            raise BadLog(f"{log}: nothing was played; there is nothing to write")
    except OSError as error:
        raise BadInput(f"{out}: it could not be written ({error.strerror})") from None
    return f"{out}: what was played, as MIDI"


def _keep(player: str, remembered: bytes) -> str:
    try:
        return f"{players.keep(player, remembered)}: {players.notes(remembered):,} notes remembered"
    except OSError as error:
        raise BadInput(f"--player {player}: it could not be written ({error.strerror})") from None


def _told(outcome: Outcome, difference: Difference, header: Header) -> list[str]:
    at_s = (difference.time_ns - outcome.begin_ns) / NS
    lines = [
        f"after {outcome.notes} notes it differs, {at_s:.3f} s from the start",
        f"  then: {_listed(difference.then)}",
        f"  now:  {_listed(difference.now)}",
    ]
    if header.improv != __version__:
        lines.append(f"it was played by improv {header.improv}, and this is {__version__}")
    return lines


def _listed(played: tuple[Played, ...]) -> str:
    return ", ".join(map(repr, played)) or "nothing"
