"""The tempo of free playing, inferred from its onsets: to be shown, never followed."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from improv.music.timeline import NS
from improv.music.turns import CHORD_NS

Floats = NDArray[np.float64]

WINDOW_NS = 12 * NS  # what was played before no longer counts
MOST_ONSETS = 512  # of which Onsets keeps no more
LEAST_CHORDS = 8
LEAST_BEATS = 3  # in the time they take
STEP_S = 0.01
BLUR_S = 0.025  # how evenly even playing is
TEMPI_BPM: Floats = np.geomspace(40, 240, 361)  # half a percent apart
PERIODS_S: Floats = 60 / TEMPI_BPM
# Where music is like itself: one to four beats later, and a little where beats are halved.
BEATS: Floats = np.array([1 / 2, 1, 2, 3, 4])
WEIGHTS: Floats = np.array([1 / 10, 1, 1 / 2, 1 / 3, 1 / 4])
LIKED_PERIOD_S, LIKED_DECADES = 0.55, 0.4
LEVELS: Floats = np.array([1 / 4, 1 / 3, 1 / 2, 1, 2, 3, 4])  # what else may be counted as the beat
SAME_PERIOD = 0.06
# The log odds of being right within 4 %, by logistic regression on 1128 excerpts with known beats, and 125 of noise.
ODDS, ODDS_OF_LIKENESS, ODDS_OF_RIVAL = 5.14, 1.68, -3.34


class Inferred(NamedTuple):
    bpm: float
    confidence: float  # the chance, 0 to 1, that this is the tempo of the beat, or of its half, third, double or treble


class Onsets:
    """The notes heard of late."""

    def __init__(self) -> None:
        self._onsets_ns: deque[int] = deque(maxlen=MOST_ONSETS)

    def note(self, time_ns: int) -> None:
        self._onsets_ns.append(time_ns)

    def tempo(self) -> Inferred | None:
        return tempo(self._onsets_ns)


def tempo(onsets_ns: Iterable[int]) -> Inferred | None:
    """The tempo of the last twelve seconds, 40 to 240 bpm; None where too little was played.

    The beat is the time after which the onsets are most like themselves (autocorrelation: Brown 1993), moderate
    tempi being liked better (Parncutt 1994, van Noorden and Moelants 1999).
    """
    chords = _chords(onsets_ns)
    if len(chords) < LEAST_CHORDS:
        return None
    span_s = (chords[-1][0] - chords[0][0]) / NS
    likeness = np.where(span_s >= LEAST_BEATS * PERIODS_S, _likeness(chords), 0.0)
    liked = likeness * np.exp(-0.5 * (np.log10(PERIODS_S / LIKED_PERIOD_S) / LIKED_DECADES) ** 2)
    best = int(liked.argmax())
    if liked[best] <= 0:
        return None
    rival = float(liked[~_of_one_metre(float(PERIODS_S[best]))].max() / liked[best])
    return Inferred(float(TEMPI_BPM[best]), _confidence(float(likeness[best]), rival))


def _chords(onsets_ns: Iterable[int]) -> list[tuple[int, int]]:
    """The time of each chord and how many notes it has: the more, the more likely it is a beat."""
    chords: list[tuple[int, int]] = []
    times_ns = sorted(onsets_ns)
    for time_ns in times_ns:
        if time_ns < times_ns[-1] - WINDOW_NS:
            continue
        if chords and time_ns - chords[-1][0] <= CHORD_NS:
            chords[-1] = (chords[-1][0], chords[-1][1] + 1)
        else:
            chords.append((time_ns, 1))
    return chords


def _likeness(chords: list[tuple[int, int]]) -> Floats:
    """How much the onsets are like themselves some beats later, for each period of the beat."""
    begin_ns = chords[0][0]
    steps = [round((time_ns - begin_ns) / NS / STEP_S) for time_ns, _ in chords]
    blur = np.exp(-0.5 * (np.arange(-4 * BLUR_S, 4.1 * BLUR_S, STEP_S) / BLUR_S) ** 2)
    train = np.convolve(np.bincount(steps, weights=[notes for _, notes in chords]), blur)
    train -= train.mean()
    correlation = np.correlate(train, train, "full")[len(train) - 1 :]
    lags_s = np.arange(len(correlation)) * STEP_S
    later = np.interp(np.outer(BEATS, PERIODS_S), lags_s, correlation / correlation[0], right=0.0)
    likeness: Floats = WEIGHTS @ later / WEIGHTS.sum()
    return likeness


def _of_one_metre(period_s: float) -> NDArray[np.bool_]:
    """Which periods are levels of a metre that has `period_s` for another."""
    ratios = np.log(PERIODS_S / period_s)
    levels: NDArray[np.bool_] = (np.abs(ratios[:, None] - np.log(LEVELS)) <= SAME_PERIOD).any(axis=1)
    return levels


def _confidence(likeness: float, rival: float) -> float:
    """Great if the onsets are like themselves, and no beat of another metre would explain them nearly as well."""
    odds = ODDS + ODDS_OF_LIKENESS * math.log(max(likeness, 0.01)) + ODDS_OF_RIVAL * max(rival, 0.0)
    return 1 / (1 + math.exp(-odds))
