"""Places in held-out pieces to play on from: eight seconds that are heard, and the eight that really followed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from improv.music.events import Heard, NoteOff, NoteOn, Retime
from improv.music.timeline import FREE_BPM, NS, TICKS_PER_BEAT, Timeline
from improv.net import codec
from train.corpora.pieces import Piece
from train.judge.notes import Notes, notes, seconds

SECONDS = 8.0
LEAST_NOTES = 8  # in what is heard, and in what followed
UNKNOWN_VELOCITY = 64
TRIES = 20  # places in a piece, before it counts as having none
SHIFTED = 0.02  # of a bar: so far from where it was counted to, the bar line has moved


class Excerpt(NamedTuple):
    """The prime is heard from its first onset (0 s) to the first onset of the truth, 8 s after it or little later."""

    piece: Piece
    prime: Notes
    truth: Notes
    heard: list[Heard]
    line: Timeline  # on which the answer is counted
    ask_s: float


def draw(source: Sequence[Piece], count: int, seed: int) -> list[Excerpt]:
    """As many from each corpus as can be, at random places, each of a piece of its own while there are such."""
    rng = np.random.default_rng(seed)
    corpora = sorted({piece.corpus for piece in source})
    own = {corpus: [p for p in source if p.corpus == corpus and p.seconds > 2 * SECONDS] for corpus in corpora}
    queues = {corpus: [pieces[i] for i in rng.permutation(len(pieces))] for corpus, pieces in own.items()}
    found: list[Excerpt] = []
    barren = 0
    while len(found) < count and any(queues.values()) and barren < TRIES:
        before = len(found)
        for corpus in corpora:
            if len(found) < count and queues[corpus]:
                piece = queues[corpus].pop(0)
                excerpt = _anywhere(piece, rng)
                if excerpt is not None:
                    found.append(excerpt)
                    queues[corpus].append(piece)
        barren = 0 if len(found) > before else barren + 1
    return sorted(found, key=lambda excerpt: excerpt.piece.corpus)


def _anywhere(piece: Piece, rng: np.random.Generator) -> Excerpt | None:
    whole = notes(piece)
    latest = whole.start[-1] - 2 * SECONDS
    if latest < 0:
        return None
    begins = np.flatnonzero((whole.start <= latest) & (np.diff(whole.tick, prepend=-1) > 0))
    for begin in rng.permutation(begins)[:TRIES]:
        excerpt = at(piece, whole, float(whole.start[begin]))
        if min(len(excerpt.prime.tick), len(excerpt.truth.tick)) >= LEAST_NOTES:
            return excerpt
    return None


def at(piece: Piece, whole: Notes, begin_s: float) -> Excerpt:
    """The excerpt that begins with the onset at `begin_s`; `whole` are the notes of the piece."""
    early = whole.start < begin_s + SECONDS - 1e-9
    ask_s = float(whole.start[~early].min())
    prime = whole.part(early & (whole.start >= begin_s - 1e-9))
    truth = whole.part(~early & (whole.start < ask_s + SECONDS))
    heard, line = listen(piece, begin_s, ask_s)
    return Excerpt(
        piece,
        cut(prime.from_zero(int(prime.tick.min()), begin_s), ask_s - begin_s),
        cut(truth.from_zero(int(truth.tick.min()), ask_s), SECONDS),
        heard,
        line,
        ask_s - begin_s,
    )


def cut(found: Notes, end_s: float) -> Notes:
    """What still sounds at the end, ends."""
    return found._replace(length=np.minimum(found.length, end_s - found.start))


def listen(piece: Piece, begin_s: float, end_s: float) -> tuple[list[Heard], Timeline]:
    """The events of these seconds as a player's, the first at 0, with the beats they are counted on; the last of those.

    Notes that began before are left out.
    """
    time, columns = seconds(piece), piece.columns
    inside = (time >= begin_s - 1e-9) & (time < end_s - 1e-9)
    struck = np.flatnonzero(inside & (columns["what"] < codec.OFF))
    rows = np.arange(struck[0], np.flatnonzero(inside)[-1] + 1)
    tick = np.cumsum(columns["dt"], dtype=np.int64)
    zero = int(tick[rows[0]] - columns["phase"][rows[0]] % TICKS_PER_BEAT)  # a beat begins there
    bar_beats = _bar_beats(columns, rows)
    heard: list[Heard] = []
    line, down = Timeline(), set[int]()
    for row in rows.tolist():
        now = round((time[row] - begin_s) * NS)
        if np.isfinite(columns["bar"][row]):
            new = _line(columns, row, now, (int(tick[row]) - zero) / TICKS_PER_BEAT, bar_beats)
            if not line.metric or _moved(line, new, int(tick[row]) - zero):
                line = new
                heard.append(Retime(now, line))
        pitch = int(columns["what"][row]) % codec.PITCHES
        if columns["what"][row] < codec.OFF:
            velocity = int(columns["velocity"][row])
            known = velocity < codec.NO_VELOCITY
            heard.append(NoteOn(now, pitch, codec.velocity_of(velocity) if known else UNKNOWN_VELOCITY))
            down.add(pitch)
        elif pitch in down:
            heard.append(NoteOff(now, pitch))
            down.discard(pitch)
    return heard, line


def _line(columns: dict[str, np.ndarray], row: int, now: int, beat: float, bar_beats: float) -> Timeline:
    bpm = FREE_BPM * 2 ** float(columns["tempo"][row])
    bar_beat = beat - float(columns["bar"][row]) * bar_beats
    return Timeline(bpm, now, beat, True, bar_beat, (round(2 * bar_beats), 8))


def _moved(old: Timeline, new: Timeline, tick: int) -> bool:
    """Whether the tempo or the place in the bar is another than the old line says."""
    shift = abs(old.bar_position(tick) - new.bar_position(tick))
    return old.bpm != new.bpm or min(shift, 1 - shift) > SHIFTED


def _bar_beats(columns: dict[str, np.ndarray], rows: np.ndarray) -> float:
    """How long the bars are, in beats, from how fast the place in the bar moves on; 4 where that cannot be told."""
    beats = columns["dt"][rows[1:]] / TICKS_PER_BEAT
    turn = np.diff(columns["bar"][rows].astype(np.float64))
    telling = (beats > 0) & (beats <= 1) & (turn > 0)
    if not telling.any():
        return 4.0
    return max(0.5, round(2 * float(beats[telling].sum() / turn[telling].sum())) / 2)
