"""The network's alphabet: sounding notes to tokens, tokens to numbers, and which may follow which.

One token is one MIDI event: the ticks since the one before it, what happened (a note-on or a
note-off of a pitch) and, for note-ons, a velocity bin. At one tick offs come before ons, and each
kind runs upwards in pitch, so a chord has one spelling however it was rolled within the tick.
"""

from __future__ import annotations

import hashlib
import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from improv.music import steering
from improv.music.events import NoteOff, NoteOn
from improv.music.scale import PITCHES as PITCHES  # who knows the alphabet takes it from here
from improv.music.timeline import TICKS_PER_BEAT, Timeline

OFF = PITCHES  # `what`: 0-127 note-on of a pitch, 128-255 note-off, 256 the start of a piece
WHATS = 2 * PITCHES
START = WHATS
VELOCITIES = 32
NO_VELOCITY = VELOCITIES  # input only: note-offs, and files whose velocities are flat
NO_PHASE = TICKS_PER_BEAT  # input only: the beat is not known
CONTEXT = PITCHES + 4  # inputs beside the token: what sounds, and the clock
WHO = ("unknown", "player", "machine")
STYLES = ("unknown", *steering.STYLES)

DTS = 128
DT_EXACT = 97  # 0 to 96 ticks, a second at 120 bpm, have a bin each
DT_LIMIT = 3072  # 32 s at 120 bpm; longer silences count as the longest


def _dt_starts() -> list[int]:
    coarse = DTS - DT_EXACT
    growth = (DT_LIMIT / DT_EXACT) ** (1 / coarse)
    return [*range(DT_EXACT), *(round(DT_EXACT * growth**i) for i in range(coarse))]


DT_START = np.array(_dt_starts())
DT_WIDTH = np.diff(np.append(DT_START, DT_LIMIT))
DT_BIN = np.repeat(np.arange(DTS), DT_WIDTH)  # ticks -> bin
_BIN_OF_TICKS: list[int] = DT_BIN.tolist()  # quicker than an array for one value
_BINS: list[tuple[int, int]] = list(zip(DT_START.tolist(), DT_WIDTH.tolist(), strict=True))

FINGERPRINT = hashlib.sha256(
    repr((TICKS_PER_BEAT, PITCHES, VELOCITIES, WHO, STYLES, DT_START.tolist(), DT_LIMIT, "off<on<pitch")).encode()
).hexdigest()[:16]


class Token(NamedTuple):
    """One event on the tick grid; `velocity` is a bin, or NO_VELOCITY."""

    tick: int
    what: int
    velocity: int


def style_index(name: str | None) -> int:
    """The network's number for a style; None: it is not told."""
    return STYLES.index(STYLES[0] if name is None else name)


def dt_bin(ticks: int) -> int:
    return _BIN_OF_TICKS[min(max(ticks, 0), DT_LIMIT - 1)]


def dt_range(bin_: int) -> tuple[int, int]:
    """The first number of ticks in a bin, and how many numbers share it."""
    return _BINS[bin_]


@lru_cache(maxsize=8)  # asked for in each draw, of the same one
def paced(pace: float) -> np.ndarray:
    """For each dt bin that of the wait when all comes so many times as fast: int [128], not to be written to."""
    ticks = np.rint(DT_START / pace).astype(int)
    bins: np.ndarray = DT_BIN[np.minimum(ticks, DT_LIMIT - 1)]
    return bins


def velocity_bin(velocity: int) -> int:
    return velocity * VELOCITIES // 128


def velocity_of(bin_: int) -> int:
    """The middle of a velocity bin, 2 to 126."""
    return bin_ * 128 // VELOCITIES + 2


def velocities_to(loudest: int) -> int:
    """How many bins, from the softest on, are no louder than that, 2 or more."""
    return sum(velocity_of(bin_) <= loudest for bin_ in range(VELOCITIES))


def phase(timeline: Timeline, tick: int) -> int:
    """The tick within its beat, or NO_PHASE where the beat is not known."""
    return tick % TICKS_PER_BEAT if timeline.metric else NO_PHASE


def clock(timeline: Timeline, tick: int) -> tuple[float, float, float, float]:
    """Known or not, sine and cosine of the bar phase, octaves above 120 bpm."""
    if not timeline.metric:
        return (0.0, 0.0, 0.0, 0.0)
    turn = 2 * math.pi * timeline.bar_position(tick)
    return (1.0, math.sin(turn), math.cos(turn), math.log2(timeline.bpm / 120))


class Quantiser:
    """Sorts sounding notes into ticks. A tick stays open until a later one begins, or `close`.

    A note that starts and ends within one tick ends at the next; struck twice within one tick it
    is one note.
    """

    def __init__(self) -> None:
        self.tick: int | None = None  # the open tick, if any
        self._offs: set[int] = set()
        self._ons: dict[int, int] = {}
        self._deferred: set[int] = set()

    def add(self, tick: int, event: NoteOn | NoteOff) -> list[Token]:
        """Take one event; give the tokens of the ticks that end before it."""
        closed = [] if self.tick is None or tick <= self.tick else self.close(tick)
        if self.tick is None:
            self.tick = tick
        pitch = event.pitch
        if isinstance(event, NoteOff):
            (self._deferred if pitch in self._ons else self._offs).add(pitch)
        elif pitch in self._ons:
            self._deferred.discard(pitch)
        else:
            self._ons[pitch] = velocity_bin(event.velocity)
        return closed

    def close(self, tick: int) -> list[Token]:
        """The tokens of every tick before `tick`, in order."""
        tokens: list[Token] = []
        while self.tick is not None and self.tick < tick:
            tokens += [Token(self.tick, OFF + pitch, NO_VELOCITY) for pitch in sorted(self._offs)]
            tokens += [Token(self.tick, pitch, self._ons[pitch]) for pitch in sorted(self._ons)]
            self._offs, self._deferred, self._ons = self._deferred, set(), {}
            self.tick = self.tick + 1 if self._offs else None
        return tokens


def allowed(held: np.ndarray, last: int, dt: int) -> np.ndarray:
    """Which `what` may follow `last` after `dt` ticks: bool [256].

    Only a pitch that sounds (`held`, bool [128]) can end, only one that does not can start, and
    within a tick the order of the alphabet holds.
    """
    mask = np.concatenate((~held, held))
    if dt == 0 and last < START:
        if last >= OFF:
            mask[OFF : last + 1] = False
        else:
            mask[: last + 1] = False
            mask[OFF:] = False
    return mask
