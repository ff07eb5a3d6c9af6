"""The scale of what is being played, inferred from which pitch classes are struck how often."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from improv.music import scale
from improv.music.scale import Scale
from improv.music.timeline import NS

Floats = NDArray[np.float64]

HALF_LIVES_S = (1.0, 8.0)  # after which a note counts half as much: the harmony, and the key
UNHEARD = 0.3  # notes of each pitch class, before any is heard
# How much a note speaks for those 0 to 11 semitones above it, by half-life: `improv-train scales DATA --learn`.
VOTES = (
    (0.41, -0.26, 0.01, 0.02, -0.15, 0.35, -0.38, 0.06, 0.17, 0.05, 0.37, -0.63),
    (3.76, -0.93, -0.74, -0.42, -0.18, 0.61, -0.62, 0.37, -0.87, -0.48, -0.42, -0.08),
)
KINDS = ("major", "harmonic minor", "melodic minor")  # seven notes each; the modes have those of another major
LEAST_SHARE = 0.8  # of the notes to come, that a scale must be expected to hold
LEAD = 0.005  # of these, that another scale must be expected to hold more, to take its place

_FADE_S: Floats = np.array(HALF_LIVES_S)[:, None]
_ABOVE = (np.arange(12)[None, :] - np.arange(12)[:, None]) % 12  # [heard,to come]
_VOTES: Floats = np.concatenate([np.array(votes)[_ABOVE] for votes in VOTES])  # [24,12]
SCALES = tuple(scale.on(tonic, kind) for kind in KINDS for tonic in range(12))
_HOLDS: Floats = np.array([[float(note in known.classes) for note in range(12)] for known in SCALES])  # [36,12]


class Likely(NamedTuple):
    scale: Scale
    share: float  # of the notes to come that are expected in it, 0 to 1


class Tonality:
    """Told the notes of a player as they are struck; 0.02 ms each."""

    def __init__(self) -> None:
        self._heard: Floats = np.zeros((len(HALF_LIVES_S), 12))
        self._last_ns: int | None = None
        self._best = 0  # of `SCALES`

    def note(self, time_ns: int, pitch: int) -> None:
        """One that is told late counts as struck with the one before."""
        if self._last_ns is None or time_ns > self._last_ns:
            if self._last_ns is not None:
                self._heard *= 0.5 ** ((time_ns - self._last_ns) / NS / _FADE_S)
            self._last_ns = time_ns
        self._heard[:, pitch % 12] += 1
        shares = _HOLDS @ self.expected()
        best = int(shares.argmax())
        if shares[best] > shares[self._best] + LEAD:
            self._best = best

    def scale(self) -> Scale | None:
        """None where it is not expected to hold `LEAST_SHARE` of the notes to come."""
        likely = self.likeliest()
        return likely.scale if likely.share >= LEAST_SHARE else None

    def likeliest(self) -> Likely:
        return Likely(SCALES[self._best], float(_HOLDS[self._best] @ self.expected()))

    def expected(self) -> Floats:
        """Of the notes to come, the share of each pitch class: [12]."""
        votes = np.exp(self.profiles().ravel() @ _VOTES)
        shares: Floats = votes / votes.sum()
        return shares

    def profiles(self) -> Floats:
        """Roots of the shares of the pitch classes heard, by half-life: [2,12]."""
        heard = self._heard + UNHEARD
        roots: Floats = np.sqrt(heard / heard.sum(axis=1, keepdims=True))
        return roots
