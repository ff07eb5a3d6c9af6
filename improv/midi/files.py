"""MIDI files in and out: what their messages mean (mido writes the bytes, `midi/smf` reads them)."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import mido

from improv import door
from improv.midi import smf
from improv.midi.smf import LONGEST_WAIT, BadMidi, Message
from improv.music.events import NoteOff, NoteOn, Pedal
from improv.music.schedule import HALF, SUSTAIN
from improv.music.timeline import TICKS_PER_BEAT as TICKS
from improv.music.timeline import Timeline

DRUM_CHANNEL = 9  # counted from 0, as on the wire
FASTEST_US = 30_000  # a beat, 2000 bpm
SHORTEST_BEAT = 64  # a metre of shorter notes is none
PPQN = 960  # of the files written


class Score(NamedTuple):
    """A file's piano part as it would be heard: events from time 0, in order."""

    events: list[NoteOn | NoteOff | Pedal]
    timelines: list[Timeline]  # in order of `origin_ns`, the first at 0
    metric: bool  # whether the notes lie on the file's beats
    stuck: int  # notes and pedals never released, closed at the end

    @property
    def end_ns(self) -> int:
        return self.events[-1].time_ns


class _Raw(NamedTuple):
    tick: int
    order: int  # at one tick: offs and pedals, ons, then offs of notes that began at this tick
    kind: str
    channel: int
    pitch: int
    value: int
    piano: bool


def read(source: Path | bytes) -> Score:
    """Read a Standard MIDI File: piano programs (0-7), or every pitched part where there is none.

    Raises `BadMidi` for anything that is not a playable file, `BadInput` for no ordinary or too large a file, OSError
    where it cannot be read.
    """
    return score_of(*smf.messages(source if isinstance(source, bytes) else door.read(source, smf.MAX_BYTES)))


def score_of(ppqn: int, tracks: Iterable[Iterable[Message]]) -> Score:
    """What the messages of a file mean; `ppqn` is their ticks a beat. Raises `BadMidi`."""
    raw, tempi, metres = _collect(tracks)
    notes = [r for r in raw if r.kind == "on"]
    if not notes:
        raise BadMidi("it has no notes", "no notes")
    pitched = [r for r in notes if r.channel != DRUM_CHANNEL]
    if not pitched:
        raise BadMidi("it has only drums", "drums only")
    piano_only = any(r.piano for r in pitched)
    channels = {r.channel for r in pitched if r.piano or not piano_only}
    kept = sorted(
        (r for r in raw if r.channel in channels and (r.piano or r.kind != "on" or not piano_only)),
        key=itemgetter(0, 1),  # tick, order
    )
    timelines = _timelines(ppqn, tempi, metres)
    metric = _on_the_grid([r.tick for r in kept if r.kind == "on"], ppqn)
    events, stuck = _heard(kept, ppqn, timelines)
    return Score(events, timelines if metric else [Timeline()], metric, stuck)


def _collect(
    tracks: Iterable[Iterable[Message]],
) -> tuple[list[_Raw], list[tuple[int, int]], list[tuple[int, tuple[int, int]]]]:
    """All notes and pedals, the tempi (tick, us per beat) and the metres (tick, as written)."""
    raw: list[_Raw] = []
    tempi: list[tuple[int, int]] = []
    metres: list[tuple[int, tuple[int, int]]] = []
    programs: dict[int, int] = {}
    for track in tracks:
        began: dict[tuple[int, int], int] = {}
        for tick, kind, channel, first, second in track:
            if kind in ("note_on", "note_off"):
                key = (channel, first)
                piano = programs.get(channel, 0) < 8 and channel != DRUM_CHANNEL
                if kind == "note_on" and second:
                    began[key] = tick
                    raw.append(_Raw(tick, 1, "on", channel, first, second, piano))
                else:
                    raw.append(_Raw(tick, 2 if began.get(key) == tick else 0, "off", channel, first, 0, piano))
            elif kind == "control_change":
                if first == SUSTAIN:
                    raw.append(_Raw(tick, 0, "pedal", channel, 0, second, True))
            elif kind == "program_change":
                programs[channel] = first
            elif kind == "set_tempo":
                if first <= 0:
                    raise BadMidi("it has a tempo of 0", "too fast a tempo")
                if first < FASTEST_US:
                    raise BadMidi(f"it has a tempo of {60e6 / first:.0f} beats a minute", "too fast a tempo")
                tempi.append((tick, first))
            elif kind == "time_signature" and first and second <= SHORTEST_BEAT:
                metres.append((tick, (first, second)))
    return raw, tempi, metres


def _timelines(ppqn: int, tempi: list[tuple[int, int]], metres: list[tuple[int, tuple[int, int]]]) -> list[Timeline]:
    line = Timeline(metric=True)
    lines = [line]
    changes: list[tuple[int, int | tuple[int, int]]] = [*tempi, *metres]
    for tick, value in sorted(changes, key=lambda change: change[0]):
        beat = tick / ppqn
        time_ns = line.time_ns(beat * TICKS)
        line = line._replace(origin_ns=time_ns, origin_beat=beat)
        line = line._replace(bpm=60e6 / value) if isinstance(value, int) else line._replace(bar_beat=beat, metre=value)
        if lines[-1].origin_ns == time_ns:
            lines.pop()
        lines.append(line)
    if lines[0].origin_ns > 0:
        lines.insert(0, Timeline(metric=True))
    return lines


def _times(raw: Sequence[_Raw], ppqn: int, timelines: Sequence[Timeline]) -> list[int]:
    """The time in ns of each event; both sequences run forward."""
    times = []
    current = 0
    last_tick, time_ns = -1, 0
    for event in raw:
        if event.tick != last_tick:
            last_tick, beat = event.tick, event.tick / ppqn
            while current + 1 < len(timelines) and timelines[current + 1].origin_beat <= beat:
                current += 1
            time_ns = timelines[current].time_ns(beat * TICKS)
        times.append(time_ns)
    return times


def _on_the_grid(onsets: Sequence[int], ppqn: int) -> bool:
    """Whether most onsets share one twelfth-of-a-beat grid, whatever its offset.

    Free playing puts about a tenth of its onsets there by chance.
    """
    if ppqn < 48:
        return True  # too coarse a file to hold anything but a grid
    near = 12 if ppqn >= 360 else 6  # a tick, or half a one, in twelfths of a tick
    counts = [0] * ppqn
    for tick in onsets:
        counts[tick * 12 % ppqn] += 1
    around = sum(counts[-near:]) + sum(counts[: near + 1])
    best = around
    for place in range(1, ppqn):
        around += counts[(place + near) % ppqn] - counts[place - near - 1]
        best = max(best, around)
    return best >= 0.5 * len(onsets)


def _heard(raw: Sequence[_Raw], ppqn: int, timelines: Sequence[Timeline]) -> tuple[list[NoteOn | NoteOff | Pedal], int]:
    """The events, and how many were never released."""
    news, down, pedal = _news(raw)
    *times, end_ns = _times([*news, raw[-1]], ppqn, timelines)
    events = [_event(r, time_ns) for r, time_ns in zip(news, times, strict=True)]
    events += [NoteOff(end_ns, pitch) for pitch in sorted(down)]
    if pedal:
        events.append(Pedal(end_ns, False))
    return events, len(down) + pedal


def _news(raw: Sequence[_Raw]) -> tuple[list[_Raw], set[int], bool]:
    """The notes, the offs that end one and the pedals that move; which keys and whether the pedal stay down."""
    news: list[_Raw] = []
    down: set[int] = set()
    pedal = False
    for r in raw:
        if r.kind == "on":
            down.add(r.pitch)
        elif r.kind == "off":
            if r.pitch not in down:
                continue
            down.discard(r.pitch)
        elif (r.value >= HALF) == pedal:
            continue
        else:
            pedal = not pedal
        news.append(r)
    return news, down, pedal


def _event(r: _Raw, time_ns: int) -> NoteOn | NoteOff | Pedal:
    if r.kind == "on":
        return NoteOn(time_ns, r.pitch, r.value)
    return NoteOff(time_ns, r.pitch) if r.kind == "off" else Pedal(time_ns, r.value >= HALF)


class Part(NamedTuple):
    """One track to be written: note events on a MIDI channel (counted from 1)."""

    name: str
    channel: int
    events: Sequence[NoteOn | NoteOff | Pedal]


def write(path: Path, parts: Iterable[Part], timelines: Sequence[Timeline] = (Timeline(),)) -> None:
    """Write a type 1 file: a tempo track, then one track a part. Times count from 0 ns.

    The file appears whole or not at all: it is written beside its place and moved there.
    """
    midi = mido.MidiFile(ticks_per_beat=PPQN)
    tracks = [_tempo_track(timelines), *(_note_track(part, timelines) for part in parts)]
    midi.tracks.extend(map(_with_waits_that_fit, tracks))  # written as they are made: an object a message is much
    place = Path(os.path.realpath(path))  # a link stays a link
    with tempfile.NamedTemporaryFile(dir=place.parent, prefix=".improv-", delete=False) as partial:
        try:
            midi.save(file=partial)
            partial.close()
            os.chmod(partial.name, 0o644)  # a temporary file is its owner's alone
            os.replace(partial.name, place)
        except BaseException:
            partial.close()
            os.unlink(partial.name)
            raise


def _tempo_track(timelines: Sequence[Timeline]) -> Iterator[mido.MetaMessage]:
    last, metre = 0, None
    for line in timelines:
        tick = round(line.origin_beat * PPQN)
        yield mido.MetaMessage("set_tempo", tempo=min(round(60e6 / line.bpm), 0xFFFFFF), time=tick - last)
        if line.metric and (line.metre, line.bar_beat) != metre:
            yield mido.MetaMessage("time_signature", numerator=line.metre[0], denominator=line.metre[1])
            metre = (line.metre, line.bar_beat)
        last = tick


def _note_track(part: Part, timelines: Sequence[Timeline]) -> Iterator[mido.Message | mido.MetaMessage]:
    yield mido.MetaMessage("track_name", name=part.name)
    last = 0
    current = 0
    for event in part.events:
        while current + 1 < len(timelines) and timelines[current + 1].origin_ns <= event.time_ns:
            current += 1
        tick = max(last, round(timelines[current].beat(event.time_ns) * PPQN))
        yield _message(event, part.channel - 1).copy(time=tick - last)
        last = tick


def _with_waits_that_fit(track: Iterable[mido.Message | mido.MetaMessage]) -> Iterator[mido.Message | mido.MetaMessage]:
    """A wait of days is more than one message can hold: empty texts share it."""
    for message in track:
        wait = message.time
        while wait > LONGEST_WAIT:
            yield mido.MetaMessage("text", time=LONGEST_WAIT)
            wait -= LONGEST_WAIT
        yield message.copy(time=wait) if wait != message.time else message


def _message(event: NoteOn | NoteOff | Pedal, channel: int) -> mido.Message:
    if isinstance(event, NoteOn):
        return mido.Message("note_on", channel=channel, note=event.pitch, velocity=event.velocity)
    if isinstance(event, NoteOff):
        return mido.Message("note_off", channel=channel, note=event.pitch, velocity=0)
    return mido.Message("control_change", channel=channel, control=SUSTAIN, value=127 * event.down)
