"""What the view is shown of a session: small values, each a line of a pipe."""

from __future__ import annotations

import json
from typing import NamedTuple

from improv.music.steering import Value
from improv.music.timeline import NS, Timeline

EVERY_NS = NS // 15  # no two of them are nearer
YOU, IMPROV = range(2)  # whose notes


class Bill(NamedTuple):
    """What stays as it is while a session lasts."""

    source: str
    sink: str
    weights: str


class Stroke(NamedTuple):
    """A note. One that sounds still, or whose end is not planned yet, has no end."""

    part: int
    pitch: int
    on_ns: int
    off_ns: int | None
    planned: bool = False


class Knob(NamedTuple):
    name: str
    value: Value
    share: float | None = None  # where it stands between its ends, 0 to 1


class Timing(NamedTuple):
    """99 of 100 times it was no later, or took no longer, than this; None: nothing was measured yet."""

    late_ms: float | None = None
    step_ms: float | None = None


class Said(NamedTuple):
    """A line for the player."""

    text: str
    warning: bool


class Snapshot(NamedTuple):
    """A session at a moment."""

    now_ns: int
    parts: tuple[int, ...]  # whose turn it is: YOU, IMPROV, both, or nobody's
    strokes: tuple[Stroke, ...]
    line: Timeline | None  # while a beat runs
    guess: tuple[float, float] | None  # the tempo of free playing, and how far that is to be trusted, 0 to 1
    mode: str
    states: tuple[str, ...]  # what else is so: `loop`, `frozen`
    knobs: tuple[Knob, ...]
    timing: Timing
    said: tuple[Said, ...]


def pack(snapshot: Snapshot) -> bytes:
    return json.dumps(snapshot, separators=(",", ":")).encode() + b"\n"


def unpack(line: bytes) -> Snapshot:
    """What `pack` packed."""
    values = Snapshot(*json.loads(line))
    beat = values.line
    return values._replace(
        parts=tuple(values.parts),
        strokes=tuple(Stroke(*stroke) for stroke in values.strokes),
        line=None if beat is None else Timeline(*beat)._replace(metre=(beat[5][0], beat[5][1])),
        guess=None if values.guess is None else (values.guess[0], values.guess[1]),
        states=tuple(values.states),
        knobs=tuple(Knob(*knob) for knob in values.knobs),
        timing=Timing(*values.timing),
        said=tuple(Said(*said) for said in values.said),
    )
