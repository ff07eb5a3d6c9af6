"""What a musician marked good or bad while he played, from the log beside a recording."""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from improv.midi import files
from improv.midi.log import BadLog, Gave, Log, Record, Step
from improv.midi.recorder import Recorder
from improv.midi.smf import BadMidi
from improv.music.events import Mark, NoteOn, TurnBegins
from improv.net.memory import BEST
from train.corpora import archives, prepare
from train.corpora.pieces import Piece, between

FAR_NS = 1 << 62
EARLY_NS = 10_000_000  # a token lies on a tick, which may be so much before its note


class Marked(NamedTuple):
    """A phrase and the answer to it, as shares of a piece's tokens; good above 0, bad below."""

    begin: float
    end: float
    regard: int


class Exchange(NamedTuple):
    """From the first note of a phrase to that of the next."""

    begin_ns: int
    end_ns: int
    regard: int


def of_folder(corpus: Path, names: Sequence[str]) -> tuple[dict[str, list[Marked]], list[str]]:
    """Those of each file of a folder (`archives.members`), and what to say of them."""
    found, remarks = {}, []
    for name in names if corpus.is_dir() else ():
        midi = corpus / name.removeprefix(f"{archives.name_of(corpus)}/")
        log = midi.with_suffix(".log")
        try:
            if log.is_file() and (marked := of_recording(midi, log)):
                found[name] = marked
        except BadLog as error:
            remarks.append(f"  its marks do not count: {error}")
    return found, [*remarks, *([_summary(found)] if found else [])]


def of_recording(midi: Path, log: Path) -> list[Marked]:
    """Those of a MIDI file that was made of a log. Raises `BadLog`."""
    found = exchanges(Log(log).records())
    if not found:
        return []
    try:
        tokens, lines = prepare.tokens_of(files.read(midi))
    except (OSError, BadMidi):
        return []
    times_ns = [line.time_ns(token.tick) + EARLY_NS for token, line in zip(tokens, lines, strict=True)]

    def share(time_ns: int) -> float:
        return bisect.bisect_left(times_ns, time_ns) / len(times_ns)

    return [Marked(share(begin_ns), share(end_ns), regard) for begin_ns, end_ns, regard in found]


def exchanges(records: Iterator[Record]) -> list[Exchange]:
    """Those that are marked, in the time of the MIDI file that is made of a log."""
    recorder, found = Recorder(), _Exchanges()
    for record in records:
        recorder.take(record)
        found.take(record)
    zero_ns = recorder.zero_ns()
    return [
        exchange._replace(begin_ns=exchange.begin_ns - zero_ns, end_ns=exchange.end_ns - zero_ns)
        for exchange in found.all()
        if exchange.regard
    ]


class _Exchanges:
    """The exchanges of a session, as its records come."""

    def __init__(self) -> None:
        self._begins_ns: list[int] = []
        self._decided_ns: list[int] = []  # when each was to be answered
        self._marks: list[Mark] = []
        self._next_ns: int | None = None  # when the next phrase began

    def take(self, record: Record) -> None:
        if isinstance(record, Gave):
            for event in record.played:
                if isinstance(event, TurnBegins):
                    self._begins_ns.append(event.time_ns if self._next_ns is None else self._next_ns)
                    self._decided_ns.append(event.time_ns)
                    self._next_ns = None
        elif isinstance(record, Step):
            if isinstance(record.heard, NoteOn) and self._next_ns is None:
                self._next_ns = record.heard.time_ns
            elif isinstance(record.heard, Mark):
                self._marks.append(record.heard)

    def all(self) -> Iterator[Exchange]:
        regards = [0] * len(self._begins_ns)
        for time_ns, good in self._marks:
            if (last := bisect.bisect_left(self._decided_ns, time_ns) - 1) >= 0:
                regards[last] = max(-BEST, min(regards[last] + (1 if good else -1), BEST))
        ends_ns = [*self._begins_ns[1:], self._next_ns or FAR_NS]
        return map(Exchange, self._begins_ns, ends_ns, regards)


def heeded(piece: Piece, marked: Sequence[Marked], until: float = 1.0) -> list[Piece]:
    """What is learnt from a piece, up to a share of it: all but what is bad, and what is good once or twice more."""
    if not marked and until == 1.0:
        return [piece]
    bad = sorted((one.begin, one.end) for one in marked if one.regard < 0)
    edges = [0.0, *(edge for stretch in bad for edge in stretch), 1.0]
    kept = list(zip(edges[::2], edges[1::2], strict=True))
    good = [(one.begin, one.end) for one in marked for _ in range(one.regard)]
    stretches = [(begin, min(end, until)) for begin, end in kept + good if begin < min(end, until)]
    return [part for part in (between(piece, *stretch) for stretch in stretches) if part.notes]


def _summary(found: Mapping[str, Sequence[Marked]]) -> str:
    regards = [one.regard for marked in found.values() for one in marked]
    good, bad = sum(regard > 0 for regard in regards), sum(regard < 0 for regard in regards)
    return f"marked in their logs: {good} good, learnt from more often; {bad} bad, left out"
