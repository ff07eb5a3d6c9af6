"""How far ahead it plans beside the player, and how soon it plans anew: a section of `make bench`.

Read from the log of a session on JACK: what the engine was told, when, and what it gave.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from improv.live.tally import percentile
from improv.midi.frames import Sent
from improv.midi.log import Gave, Log, Record, Step
from improv.music.events import NoteOff, NoteOn, Played, Revise, TurnBegins
from tests import jack
from tests.figures import Figure, Section
from tests.jack import Daemon, Env, Phrase, Player

BPM = 120
BEAT_NS = 60_000_000_000 // BPM
LISTEN = ("--virtual", "--api", "jack", "--no-thru", "--mode", "duet", "--bpm", str(BPM))
NOTES = 240
EIGHTH_S = 30 / BPM
LATEST_NS = 100_000_000  # after a note of the player's: what is planned anew later is not for its sake
TUNE = (72, 76, 79, 78, 81, 74, 71, 77)


class Note(NamedTuple):
    """One of the player's, while the machine plays: what it changed."""

    ahead_beats: float  # so far the plan reached when it was heard
    revised_ms: float | None  # from then until the plan was dropped; None: it was not
    planned_ms: float | None  # until it reached a beat ahead again


def tune() -> Phrase:
    notes = [(i * EIGHTH_S, TUNE[(i + i // 9) % len(TUNE)]) for i in range(NOTES)]
    strokes = [(at_s, (0x90, pitch, 80)) for at_s, pitch in notes]
    lifts = [(at_s + 0.8 * EIGHTH_S, (0x80, pitch, 0)) for at_s, pitch in notes]
    return sorted(strokes + lifts)


def notes_of(records: Sequence[Record]) -> Iterator[Note]:
    """From a beat after the machine came in to a beat before the player's last note."""
    calls = list(_calls(records))
    begins = next(now for now, _, played in calls if any(isinstance(event, TurnBegins) for event in played))
    last = max(now for now, heard, _ in calls if isinstance(heard, NoteOn))
    reach = 0
    for place, (now, heard, played) in enumerate(calls):
        if isinstance(heard, NoteOn) and begins + 2 * BEAT_NS < now < last - BEAT_NS:
            yield _note(heard.time_ns, reach, calls[place:])
        reach = _reach(reach, played)


def _note(struck_ns: int, reach: int, calls: Sequence[tuple[int, object, Sequence[Played]]]) -> Note:
    ahead, revised_ms, planned_ms = (reach - struck_ns) / BEAT_NS, None, None
    for now, _, played in calls:
        if now > struck_ns + LATEST_NS:
            break
        if revised_ms is None and any(isinstance(event, Revise) for event in played):
            revised_ms = (now - struck_ns) / 1e6
        reach = _reach(reach, played)
        if revised_ms is not None and planned_ms is None and reach >= now + BEAT_NS:
            planned_ms = (now - struck_ns) / 1e6
    return Note(ahead, revised_ms, planned_ms)


def _reach(reach: int, played: Sequence[Played]) -> int:
    """Up to where it is planned."""
    for event in played:
        if isinstance(event, Revise):
            reach = min(reach, event.time_ns)
        elif isinstance(event, NoteOn | NoteOff):
            reach = max(reach, event.time_ns)
    return reach


def _calls(records: Sequence[Record]) -> Iterator[tuple[int, object, Sequence[Played]]]:
    """When the engine was called, with what, and what it gave."""
    engines = [record for record in records if isinstance(record, Step | Gave)]
    for record, after in zip(engines, [*engines[1:], None], strict=True):
        if isinstance(record, Step):
            yield record.now_ns, record.heard, after.played if isinstance(after, Gave) else ()


def clashes(records: Sequence[Record]) -> int:
    """Notes that the machine was to strike while the player held them."""
    held: set[int] = set()
    count = 0
    for _, heard, played in _calls(records):
        count += sum(event.pitch in held for event in played if isinstance(event, NoteOn))
        if isinstance(heard, NoteOn):
            held.add(heard.pitch)
        elif isinstance(heard, NoteOff):
            held.discard(heard.pitch)
    return count


def duet(env: Env) -> Section:
    with tempfile.TemporaryDirectory() as folder:
        with Daemon(env, *LISTEN, "--record", folder), Player(env) as player:
            player.play(tune())
            player.wait(lambda: False, 4.0)
        (path,) = Path(folder).glob("*.log")
        records = list(Log(path).records())
    found = list(notes_of(records))
    revised = [note.revised_ms for note in found if note.revised_ms is not None]
    planned = [note.planned_ms for note in found if note.planned_ms is not None]
    late = [(record.sent_ns - record.due_ns) / 1e6 for record in records if isinstance(record, Sent)]
    ahead = [note.ahead_beats for note in found]
    yield Figure(f"planned ahead when a note is heard, least of {len(found)}", min(ahead), "beats", least=1.0)
    yield Figure("planned ahead, median", percentile(ahead, 0.5), "beats")
    yield Figure(f"his note to what is planned anew, p99 of {len(revised)}", percentile(revised, 0.99), "ms", 20.0)
    yield Figure("to a plan a beat ahead again, p99", percentile(planned, 0.99), "ms")
    yield Figure("what comes as no surprise", 100 * (1 - len(revised) / len(found)), "%")
    yield Figure("scheduled against sent, p99", percentile(late, 0.99), "ms", 0.5)
    yield Figure("struck while the player held them", clashes(records), "", 0)


if __name__ == "__main__":
    with jack.server() as env:
        for figure in duet(env):
            print(figure.line())
