"""How a snapshot looks: lines of coloured segments, as many and as wide as the terminal has room for."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from rich.cells import set_cell_size
from rich.segment import Segment
from rich.style import Style

from improv.live import letters
from improv.live.roll import Compass, Ink, Roll, Window, compass, roll
from improv.live.snapshot import IMPROV, YOU, Bill, Knob, Said, Snapshot

Line = list[Segment]

PLAIN, BOLD, DIM = Style(), Style(bold=True), Style(dim=True)
WARNING = Style(color="#ff8a65")
BRIGHT = {YOU: "#ffb84d", IMPROV: "#5ac8fa"}
TURN = {part: Style(color="#101418", bgcolor=colour, bold=True) for part, colour in BRIGHT.items()}
INK = {
    Ink.PLANNED: "#50697a",
    Ink.YOURS: "#b87f2e",
    Ink.OWN: "#2f86b3",
    Ink.YOURS_NOW: BRIGHT[YOU],
    Ink.OWN_NOW: BRIGHT[IMPROV],
}
WITHOUT_COLOUR = {Ink.PLANNED: "░", Ink.YOURS: "█", Ink.OWN: "▒", Ink.YOURS_NOW: "█", Ink.OWN_NOW: "▒"}
BEAT_NOW, BEAT = Style(color="#f2f2f2", bold=True), Style(color="#6b7780")
STATE = Style(color="#9ccc65", bold=True)
KNOB = Style(color="#9ccc65", bgcolor="#2b3138")
NAMES = {YOU: "YOU", IMPROV: "IMPROV"}
LISTENING = "l i s t e n i n g"
KNOB_NAME, KNOB_BAR, KNOB_VALUE = 13, 6, 7  # columns
KNOB_WIDTH = KNOB_NAME + KNOB_BAR + KNOB_VALUE
EIGHTHS = " ▏▎▍▌▋▊▉"
NARROW = 60  # columns
MOST_DOTS = 16
GUTTER = 4  # columns for the names of the octaves


class Room(NamedTuple):
    """How many rows each part of the picture has."""

    turn: int
    roll: int
    knobs: int
    said: int
    space: int  # between them


def room(height: int, knobs: int) -> Room:
    """`knobs`: the rows that all of them would take. Title and beat have a row each, where there is room at all."""
    turn = 7 if height >= 38 else 5 if height >= 28 else 4 if height >= 20 else 3 if height >= 14 else 1
    said = min(4, max(1, height // 10)) if height >= 6 else 0
    space = 1 if height >= 28 else 0
    knobs = min(knobs, max(0, (height - 8) // 4))
    left = height - 2 - turn - said - knobs - 3 * space
    return Room(turn, max(0, left), knobs, said, space)


class Face:
    """Draws snapshots of one session, each like the last as far as it can be."""

    def __init__(self, bill: Bill, colour: bool = True) -> None:
        self._bill, self._colour = bill, colour
        self._compass: Compass | None = None

    def lines(self, snapshot: Snapshot, now_ns: int, width: int, height: int) -> list[Line]:
        """Exactly `height` of them, each exactly `width` wide."""
        across = max(1, width // KNOB_WIDTH)
        rooms = room(height, math.ceil(len(snapshot.knobs) / across))
        space: list[Line] = [[]] * rooms.space
        found = [
            self._title(snapshot, width),
            *self._turn(snapshot.parts, width, rooms.turn),
            *space,
            _apart(_beat(snapshot, now_ns, width), _timing(snapshot, width), width),
            *self._roll(snapshot, Window(max(1, width - GUTTER), now_ns), rooms.roll),
            *space,
            *_knobs(snapshot.knobs, across, rooms.knobs),
            *space,
            *_said(snapshot.said, rooms.said),
        ]
        found += [[]] * (height - len(found))
        return [Segment.adjust_line_length(line, width) for line in found[:height]]

    def next_ns(self, snapshot: Snapshot, now_ns: int, width: int) -> int | None:
        """When it looks different if nothing happens; None: never."""
        if snapshot.strokes or snapshot.line is not None:
            return Window(max(1, width - GUTTER), now_ns).next_ns
        return None

    def _title(self, snapshot: Snapshot, width: int) -> Line:
        bill = self._bill
        states = "".join(f"  {shown(state)}" for state in snapshot.states)
        how = f"  {shown(snapshot.mode)} · {shown(bill.weights)}"
        left = [Segment(" improv", BOLD), Segment(how, DIM), Segment(states, STATE)]
        right = Segment(f"{shown(bill.source)} → {shown(bill.sink)} ", DIM)
        return _apart(left, [right] if width >= NARROW else [], width)

    def _turn(self, parts: Sequence[int], width: int, rows: int) -> list[Line]:
        """Whose turn it is, in a bar of his colour; side by side where both play."""
        if not parts:
            line = [Segment(LISTENING.center(width), DIM)]
            return [line if row == rows // 2 else [] for row in range(rows)]
        shares = [width * (at + 1) // len(parts) - width * at // len(parts) for at in range(len(parts))]
        blocks = [self._name(part, share, rows) for part, share in zip(parts, shares, strict=True)]
        return [list(line) for line in zip(*blocks, strict=True)]

    def _name(self, part: int, width: int, rows: int) -> list[Segment]:
        style = TURN[part] if self._colour else BOLD
        scale = 2 if rows >= 6 and len(NAMES[part]) * 14 <= width else 1
        drawn = letters.large(NAMES[part], rows, scale) if rows >= 3 else []
        if not drawn or len(drawn[0]) > width:
            drawn = [" ".join(NAMES[part]) if row == rows // 2 else "" for row in range(rows)]
        return [Segment(set_cell_size(line.center(width), width), style) for line in drawn]

    def _roll(self, snapshot: Snapshot, window: Window, rows: int) -> list[Line]:
        if not rows:
            return []
        self._compass = compass(snapshot.strokes, 2 * rows, self._compass)
        drawn = roll(snapshot.strokes, snapshot.line, self._compass, window)
        octaves = {rows - 1 - self._compass.rows(pitch)[0] // 2: pitch // 12 - 1 for pitch in _octaves(self._compass)}
        return [
            [
                Segment(f"C{octaves[row]}".ljust(GUTTER) if row in octaves else " " * GUTTER, DIM),
                *self._cells(drawn, row),
            ]
            for row in range(rows)
        ]

    def _cells(self, drawn: Roll, row: int) -> Iterator[Segment]:
        glyphs = (self._glyph(pair, column, drawn) for column, pair in enumerate(drawn.cells[row]))
        for style, run in groupby(glyphs, lambda glyph: glyph[1]):
            yield Segment("".join(text for text, _ in run), style)

    def _glyph(self, pair: tuple[Ink, Ink], column: int, drawn: Roll) -> tuple[str, Style]:
        upper, lower = pair
        if upper == lower == Ink.NONE:
            return ("│", BEAT) if column == drawn.now else ("┊", DIM) if column in drawn.bars else (" ", PLAIN)
        if not self._colour:
            return WITHOUT_COLOUR[max(pair)], PLAIN
        return _HALVES[pair]


def _half(upper: Ink, lower: Ink) -> tuple[str, Style]:
    if upper == lower:
        return "█", Style(color=INK[upper])
    if upper == Ink.NONE:
        return "▄", Style(color=INK[lower])
    return "▀", Style(color=INK[upper], bgcolor=None if lower == Ink.NONE else INK[lower])


_HALVES = {(upper, lower): _half(upper, lower) for upper in Ink for lower in Ink if upper or lower}


def shown(text: str) -> str:
    """Names of ports come from elsewhere: nothing in them moves the cursor."""
    return "".join(one if one.isprintable() else "?" for one in text)


def _apart(left: Line, right: Line, width: int) -> Line:
    """One at each end; where there is no room for both, the left one."""
    between = width - Segment.get_line_length(left) - Segment.get_line_length(right)
    return [*left, Segment(" " * between), *right] if between > 0 else left


def _beat(snapshot: Snapshot, now_ns: int, width: int) -> Line:
    line = snapshot.line
    if line is None:
        guess = snapshot.guess
        about = "" if guess is None else f", about {guess[0]:.0f} bpm ({guess[1]:.0%})"
        return [Segment(f" free time{about}", BEAT)]
    pulses = math.floor((line.beat(now_ns) - line.bar_beat) / line.pulse_beats)
    bar, pulse = divmod(pulses, line.metre[0])
    count = [Segment(f" {pulse + 1}/{line.metre[0]}", BEAT_NOW)]
    if line.metre[0] <= MOST_DOTS and 2 * line.metre[0] + 20 < width:
        count = [
            Segment(" ●" if dot <= pulse else " ○", BEAT_NOW if dot == pulse else BEAT) for dot in range(line.metre[0])
        ]
    return [*count, Segment(f"  bar {bar + 1}", PLAIN), Segment(f"  {line.bpm:.1f} bpm", BEAT)]


def _timing(snapshot: Snapshot, width: int) -> Line:
    named = (("late", snapshot.timing.late_ms), ("step", snapshot.timing.step_ms))
    said = " · ".join(f"{name} {p99_ms:.2f} ms" for name, p99_ms in named if p99_ms is not None)
    return [Segment(f"p99: {said} ", DIM)] if said and width >= NARROW else []


def _octaves(view: Compass) -> range:
    """The Cs that are seen."""
    return range(-(-view.lowest // 12) * 12, view.highest + 1, 12)


def _knobs(knobs: Sequence[Knob], across: int, rows: int) -> list[Line]:
    return [[part for knob in knobs[row * across :][:across] for part in _knob(knob)] for row in range(rows)]


def _knob(knob: Knob) -> Line:
    name = Segment(set_cell_size(f" {shown(knob.name).replace('_', ' ')}", KNOB_NAME - 1) + " ", DIM)
    value = "–" if knob.value is None else shown(str(knob.value))
    value = f"{knob.value:.3g}" if isinstance(knob.value, float) else value
    if knob.share is None:
        return [name, Segment(set_cell_size(value, KNOB_BAR + KNOB_VALUE))]
    return [name, Segment(_bar(knob.share), KNOB), Segment(set_cell_size(f" {value}", KNOB_VALUE))]


def _bar(share: float) -> str:
    whole, part = divmod(round(min(max(share, 0.0), 1.0) * KNOB_BAR * 8), 8)
    return ("█" * whole + EIGHTHS[part]).ljust(KNOB_BAR)[:KNOB_BAR]


def _said(said: Sequence[Said], rows: int) -> list[Line]:
    """The newest last."""
    lines = [[Segment(f" {shown(one.text)}", WARNING if one.warning else DIM)] for one in said[-rows:]] if rows else []
    return [[]] * (rows - len(lines)) + lines
