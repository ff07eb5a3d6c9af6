"""A MIDI file to a piece: one row a token."""

from __future__ import annotations

from itertools import groupby
from typing import NamedTuple

import numpy as np

from improv.midi import files
from improv.midi.smf import BadMidi
from improv.music.damper import Damper
from improv.music.events import NoteOn
from improv.music.timeline import Timeline
from improv.net import codec

MIN_NOTES = 16
LONGEST_S = 24 * 3600  # a longer file has a broken clock
FLAT_STD = 2.0  # velocities that vary less than this say nothing


class Piece(NamedTuple):
    """One file: a row a token, the columns as in `COLUMNS`; `problem` says why there are none, `kind` what kind."""

    name: str
    tokens: dict[str, np.ndarray]
    notes: int
    seconds: float
    metric: bool
    problem: str = ""
    kind: str = ""


# `bar` is the position in the bar (0 to 1) and `tempo` octaves above 120 bpm; both NaN without a beat.
COLUMNS = {
    "dt": np.uint16,
    "what": np.uint8,
    "velocity": np.uint8,
    "phase": np.uint8,
    "bar": np.float16,
    "tempo": np.float16,
}


def tokens_of(score: files.Score) -> tuple[list[codec.Token], list[Timeline]]:
    """The tokens of a score, and the timeline each was counted on: the path a live player's notes take."""
    damper, quantiser = Damper(), codec.Quantiser()
    lines = iter(score.timelines)
    line, coming = next(lines), next(lines, None)
    tokens: list[codec.Token] = []
    at: list[Timeline] = []
    for event in score.events:
        while coming and coming.origin_ns <= event.time_ns:
            line, coming = coming, next(lines, None)
        for sounding in damper.hear(event):
            if closed := quantiser.add(line.tick(event.time_ns), sounding):
                tokens += closed
                at += [line] * len(closed)
    rest = quantiser.close(2**62)
    return tokens + rest, at + [line] * len(rest)


def prepare_file(name: str, data: bytes) -> Piece:
    """Runs in a worker process."""
    try:
        score = files.read(data)
    except BadMidi as error:
        return dropped(name, str(error), error.kind)
    velocities = [e.velocity for e in score.events if isinstance(e, NoteOn)]
    if len(velocities) < MIN_NOTES:
        return dropped(name, f"it has {len(velocities)} notes, fewer than {MIN_NOTES}", "too short")
    if score.end_ns > LONGEST_S * 1e9:
        return dropped(name, f"it lasts {score.end_ns / 3.6e12:.0f} hours", "too long")
    tokens, lines = tokens_of(score)
    ticks, whats, bins = map(np.array, zip(*tokens, strict=True))
    flat = float(np.std(velocities)) < FLAT_STD
    rows = {
        "dt": np.minimum(np.diff(ticks, prepend=ticks[0]), codec.DT_LIMIT - 1),
        "what": whats,
        "velocity": np.full(len(bins), codec.NO_VELOCITY) if flat else bins,
        **_beats(ticks, lines, score.metric),
    }
    arrays = {column: np.asarray(rows[column], dtype) for column, dtype in COLUMNS.items()}
    return Piece(name, arrays, int(np.count_nonzero(whats < codec.OFF)), score.end_ns / 1e9, score.metric)


def dropped(name: str, problem: str, kind: str) -> Piece:
    return Piece(name, {}, 0, 0.0, False, problem, kind)


def _beats(ticks: np.ndarray, lines: list[Timeline], metric: bool) -> dict[str, np.ndarray]:
    """`phase`, `bar` and `tempo`."""
    phase = np.full(len(ticks), codec.phase(lines[0], ticks), np.uint8)
    if not metric:
        return {"phase": phase, "bar": np.full(len(ticks), np.nan), "tempo": np.full(len(ticks), np.nan)}
    runs = [(line, 1 + len(list(run))) for line, run in ((next(run), run) for _, run in groupby(lines, key=id))]
    bpm, bar_beat, above, below = np.repeat(
        [(line.bpm, line.bar_beat, *line.metre) for line, _ in runs], [length for _, length in runs], axis=0
    ).T
    # A timeline of arrays: the same sums as for one tick.
    every = Timeline(bpm, bar_beat=bar_beat, metre=(above, below))
    return {"phase": phase, "bar": every.bar_position(ticks), "tempo": np.log2(every.bpm / 120)}
