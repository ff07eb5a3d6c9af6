"""Offline: the same engine, from a file to a file."""

from __future__ import annotations

import bisect
import contextlib
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from improv import players
from improv.config import Settings
from improv.engine import Engine
from improv.errors import BadInput
from improv.midi import files
from improv.midi.recorder import Note, duet
from improv.midi.smf import BadMidi
from improv.music.damper import Damper
from improv.music.events import Ask, Heard, NoteOff, NoteOn, Pedal, Played, Retime
from improv.music.timeline import NS, ROUNDING, TICKS_PER_BEAT, Timeline
from improv.music.turns import Listener, TurnRules
from improv.net import weights
from improv.net.weights import Card
from improv.plot import check_name
from improv.progress import Progress

LONGEST_SEED_NS = 600 * NS
PRIMED_BY_NS = 120 * NS  # of a longer seed: its end
MOST_EVENTS = 50_000  # of a seed, and as many changes of tempo: the last ones
LONGEST_END_NS = 120 * NS  # of notes that are still down after the last onset


class Goal(NamedTuple):
    """How much to answer; all None: about as long as the seed."""

    seconds: float | None = None
    notes: int | None = None
    bars: int | None = None


def goal(seconds: float | None, notes: int | None, bars: int | None) -> Goal:
    """A goal from the command line's flags. Raises `BadInput`."""
    if sum(value is not None for value in (seconds, notes, bars)) > 1:
        raise BadInput("--seconds, --notes, --bars: give one of them")
    for flag, value, most in (("--seconds", seconds, 3600), ("--notes", notes, 100_000), ("--bars", bars, 10_000)):
        if value is not None and not 0 < value <= most:
            raise BadInput(f"{flag} is {value}; it must be above 0 and at most {most}")
    return Goal(seconds, notes, bars)


class Outputs(NamedTuple):
    midi: Path
    wav: Path | None = None
    plot: Path | None = None

    def check(self, seed: Path | None = None) -> None:
        """Found before any work is done: nothing is opened, so what is there stays as it was."""
        taken = {} if seed is None else {os.path.realpath(seed): "the seed"}
        for path in self:
            if path is None:
                continue
            _check_writable(path)
            place = os.path.realpath(path)
            if place in taken:
                raise BadInput(f"{path}: this is {taken[place]} as well; give each file a name of its own")
            taken[place] = "another output"
        if self.plot is not None:
            check_name(self.plot)
        if self.wav is not None and self.wav.suffix.lower() != ".wav":
            raise BadInput(f"{self.wav}: the sound is a WAV file; give it a name that ends in .wav")
        if self.midi.suffix.lower() not in (".mid", ".midi"):
            raise BadInput(f"{self.midi}: the answer is a MIDI file; give it a name that ends in .mid")


def _check_writable(path: Path) -> None:
    folder = path.absolute().parent
    try:
        with contextlib.suppress(FileNotFoundError):
            path.stat()
        if path.is_dir():
            raise BadInput(f"{path}: this is a folder; name a file in it")
        if path.exists() and not path.is_file():
            raise BadInput(f"{path}: this is no ordinary file; choose another place")
        if not folder.is_dir():
            raise BadInput(f"{path}: the folder {folder} does not exist")
        writable = os.access(folder, os.W_OK) and (not path.exists() or os.access(path, os.W_OK))
    except OSError as error:  # a name too long, a loop of links
        raise BadInput(f"{path}: it cannot be written ({error.strerror})") from None
    if not writable:
        raise BadInput(f"{path}: it cannot be written here; choose another place")


@dataclass(frozen=True)
class Seed:
    """What primes the network, on the timelines it is heard on."""

    events: Sequence[Note]
    timelines: Sequence[Timeline]
    remarks: Sequence[str]

    @property
    def metric(self) -> bool:
        return self.timelines[-1].metric

    @property
    def end_ns(self) -> int:
        return self.events[-1].time_ns


def read_seed(path: Path, bpm: float | None) -> Seed:
    """A seed, with what was odd about it. A `bpm` takes the place of the file's own beats. Raises `BadInput`."""
    try:
        score = files.read(path)
    except OSError as error:
        raise BadInput(f"{path}: it cannot be read ({error.strerror})") from None
    except BadMidi as error:
        raise BadInput(f"{path}: {error}; give a MIDI file with notes") from None
    remarks = []
    if score.stuck:
        remarks.append(f"{path}: {score.stuck} notes or pedals are never released; they end with the file")
    events = _until_silence(score.events)
    last_ns = max(event.time_ns for event in events if isinstance(event, NoteOn))
    if events[-1].time_ns > last_ns + LONGEST_END_NS:
        remarks.append(f"{path}: its last notes are held for more than 2 minutes; they end there")
        events = _ended(events, last_ns + LONGEST_END_NS)
    timelines = [line for line in score.timelines if line.origin_ns <= events[-1].time_ns]
    crowds = (_times(events), [line.origin_ns for line in timelines])
    crowded = [min(last_ns, times[-MOST_EVENTS]) for times in crowds if len(times) > MOST_EVENTS]
    if events[-1].time_ns > LONGEST_SEED_NS:
        remarks.append(f"{path}: longer than 10 minutes; its last two prime the answer")
        events, timelines = _cut(events, timelines, max(0, last_ns - PRIMED_BY_NS, *crowded))
    elif crowded:
        remarks.append(f"{path}: more than {MOST_EVENTS:,} notes, pedals or tempi; the last of them prime the answer")
        events, timelines = _cut(events, timelines, max(crowded))
    if bpm is not None:
        begin_ns = next(event.time_ns for event in events if isinstance(event, NoteOn))
        events, _ = _cut(events, [Timeline()], begin_ns)
        timelines = [Timeline(bpm, metric=True)]
    return Seed(events, timelines, remarks)


def _times(events: Sequence[Note]) -> list[int]:
    return [event.time_ns for event in events]


def _ended(events: Sequence[Note], end_ns: int) -> list[Note]:
    """What is still down then ends."""
    kept = [event for event in events if event.time_ns < end_ns]
    keys, pedal = _down(kept)
    ended: list[Note] = [NoteOff(end_ns, pitch) for pitch in sorted(keys)]
    return [*kept, *ended, *([Pedal(end_ns, False)] if pedal else [])]


def _down(events: Iterable[Note]) -> tuple[dict[int, NoteOn], bool]:
    """Which keys are down in the end, and whether the pedal is."""
    keys: dict[int, NoteOn] = {}
    pedal = False
    for event in events:
        if isinstance(event, NoteOn):
            keys[event.pitch] = event
        elif isinstance(event, NoteOff):
            keys.pop(event.pitch, None)
        else:
            pedal = event.down
    return keys, pedal


def _until_silence(events: Sequence[Note]) -> list[Note]:
    """Without what moves after the last note has ended."""
    damper, ringing, last = Damper(), 0, 0
    for i, event in enumerate(events):
        for sounding in damper.hear(event):
            ringing += 1 if isinstance(sounding, NoteOn) else -1
            if not ringing:
                last = i
    return list(events[: last + 1])


def _cut(events: Sequence[Note], timelines: Sequence[Timeline], begin_ns: int) -> tuple[list[Note], list[Timeline]]:
    """From the bar line (or, in free time, the moment) before `begin_ns` on, which becomes 0.

    What is down there is struck there.
    """
    line = [line for line in timelines if line.origin_ns <= begin_ns][-1]
    if line.metric:
        begin_ns = max(
            line.origin_ns, line.next_bar_ns(begin_ns, 0), begin_ns - PRIMED_BY_NS
        )  # bars may be of any length
    first = max(bisect.bisect_left(_times(events), begin_ns), len(events) - MOST_EVENTS)
    keys, pedal = _down(events[:first])
    down: list[Note] = [Pedal(begin_ns, True)] if pedal else []
    down += [key._replace(time_ns=begin_ns) for _, key in sorted(keys.items())]
    kept = [*down, *events[first:]]
    moved = [event._replace(time_ns=event.time_ns - begin_ns) for event in kept]
    beat = line.beat(begin_ns)
    lines = [line._replace(origin_ns=begin_ns, origin_beat=beat), *(n for n in timelines if n.origin_ns > begin_ns)]
    return moved, [
        n._replace(origin_ns=n.origin_ns - begin_ns, origin_beat=n.origin_beat - beat, bar_beat=n.bar_beat - beat)
        for n in lines
    ]


def perform(engine: Engine, heard: Iterable[Heard], progress: Callable[[], None] = lambda: None) -> list[Played]:
    """Play a list of events into an engine on a virtual clock, and on until it rests."""
    played: list[Played] = []

    def run_until(time_ns: int) -> None:
        while (due := engine.deadline()) is not None and due <= time_ns:
            step(due)

    def step(due: int) -> None:
        played.extend(engine.step(due))
        progress()

    for event in heard:
        run_until(event.time_ns)
        played.extend(engine.step(event.time_ns, event))
        run_until(event.time_ns)
    while not engine.resting and (due := engine.deadline()) is not None:
        step(due)
    return played


def answer(seed: Seed, goal: Goal, engine: Engine, progress: Callable[[], None] = lambda: None) -> list[Note]:
    """The engine's answer to a seed. Raises `BadInput` where bars are asked for and no beat is known."""
    ask = _ask(seed, goal)
    heard: list[Heard] = [Retime(max(0, line.origin_ns), line) for line in seed.timelines]
    heard += seed.events
    heard.sort(key=lambda event: event.time_ns)  # stable: a timeline comes before the notes on it
    return [event for event in perform(engine, [*heard, ask], progress) if isinstance(event, NoteOn | NoteOff)]


def _ask(seed: Seed, goal: Goal) -> Ask:
    """When the answer begins and how long it is: on a beat (a bar, if bars are asked for) where one is known."""
    line, end_ns = seed.timelines[-1], seed.end_ns
    if goal.bars is not None:
        if not seed.metric:
            raise BadInput(
                "--bars: the seed's notes keep to no beat; give its tempo, such as --bpm 100, or use --seconds"
            )
        begin_ns = _next(line, end_ns, line.bar_beats, line.bar_beat)
        return Ask(begin_ns, length_ns=line.next_bar_ns(begin_ns + NS // 1000, goal.bars) - begin_ns)
    begin_ns = _next(line, end_ns, 1.0, 0.0) if seed.metric else _after_spacing(seed)
    if goal.seconds is not None:
        return Ask(begin_ns, length_ns=round(goal.seconds * NS))
    first_ns = next(event.time_ns for event in seed.events if isinstance(event, NoteOn))
    return Ask(begin_ns, notes=goal.notes, like_ns=end_ns - first_ns)


def _next(line: Timeline, time_ns: int, beats: float, origin_beat: float) -> int:
    """The first multiple of `beats` at or after a time."""
    count = -(-(line.beat(time_ns) - origin_beat - ROUNDING) // beats)
    return max(time_ns, line.time_ns((origin_beat + count * beats) * TICKS_PER_BEAT))


def _after_spacing(seed: Seed) -> int:
    """Where the next note would fall if the player went on."""
    listener = Listener(TurnRules())
    onsets = [event.time_ns for event in seed.events if isinstance(event, NoteOn)]
    for time_ns in onsets:
        listener.note(time_ns, 60, 1)
    return max(seed.end_ns, onsets[-1] + listener.spacing_ns())


def render(
    seed_path: Path, outputs: Outputs, settings: Settings, card: Card, goal: Goal, only_answer: bool
) -> list[str]:
    """Write the files; give lines that say what came out. Raises `BadInput`."""
    outputs.check(seed_path)
    seed = read_seed(seed_path, settings.bpm)
    musicianship = settings.musicianship(settings.random_seed or 0, listens_for_the_end=False)
    remembered = b"" if settings.player is None else players.read(settings.player)
    engine = Engine(weights.network(card), musicianship, remembered)
    began = time.perf_counter()
    with Progress("playing") as progress:
        notes = answer(seed, goal, engine, progress.step)
    took = time.perf_counter() - began
    player: Sequence[Note] = seed.events
    timelines = seed.timelines
    if only_answer:
        player, notes, timelines = [], *_from_zero(notes, seed.timelines[-1])
    try:
        files.write(outputs.midi, duet(list(player), list(notes))[only_answer:], timelines)
        lines = [*seed.remarks, f"{outputs.midi}: {_count(notes)} notes in {_length_s(notes):.1f} s of music"]
        if outputs.wav is not None:
            from improv.midi.sound import render_wav

            lines.append(f"{outputs.wav}: sound by {render_wav(outputs.midi, outputs.wav)}")
        if outputs.plot is not None:
            from improv.plot import piano_roll

            piano_roll(player, notes, outputs.plot)
            lines.append(f"{outputs.plot}: piano roll")
    except OSError as error:
        raise BadInput(f"{error.filename}: it could not be written ({error.strerror})") from None
    return [*lines, f"answered with {card.name} in {took:.2f} s"]


def _from_zero(notes: Sequence[Note], line: Timeline) -> tuple[list[Note], list[Timeline]]:
    """The answer alone: it begins at 0, or where a beat is known at its own place in the first bar."""
    if not notes:
        return [], [line._replace(origin_ns=0, origin_beat=0.0, bar_beat=0.0)]
    zero_ns = notes[0].time_ns
    if line.metric:
        bars = (line.beat(zero_ns) - line.bar_beat + ROUNDING) // line.bar_beats
        zero_ns = line.time_ns((line.bar_beat + bars * line.bar_beats) * TICKS_PER_BEAT)
    moved = [note._replace(time_ns=note.time_ns - zero_ns) for note in notes]
    return moved, [line._replace(origin_ns=0, origin_beat=0.0, bar_beat=0.0)]


def _count(notes: Sequence[Note]) -> int:
    return sum(isinstance(note, NoteOn) for note in notes)


def _length_s(notes: Sequence[Note]) -> float:
    return (notes[-1].time_ns - notes[0].time_ns) / NS if notes else 0.0
