"""A phrase that is quoted in an answer: what comes next in it, wherever the answer stands.

It runs beside the answer in time, so an answer that leaves it comes back to it where it is by then.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable

import numpy as np

from improv.net import codec
from improv.net.codec import Token

OCTAVE = 12


class Quote:
    def __init__(self, phrase: Iterable[Token], pitches: np.ndarray, above: int) -> None:
        """The tokens of a phrase, so many semitones above it, each pitch as near as `pitches` (bool [128]) have it."""
        begun = [token for token in phrase if token.what < codec.START]
        begin_tick = next((token.tick for token in begun if token.what < codec.OFF), 0)
        moved = _moved({token.what % codec.PITCHES for token in begun}, np.flatnonzero(pitches), above)
        self._tokens = sorted((_moved_to(token, moved, begin_tick) for token in begun), key=_order)
        self._orders = [_order(token) for token in self._tokens]

    def next(self, after: Token | None, held: np.ndarray, on: bool) -> Token | None:
        """What follows, and can be played while `held` sounds; note-ons only if `on`. Ticks count from its beginning.

        None: it is over.
        """
        place = 0 if after is None else bisect_right(self._orders, _order(after))
        for token in self._tokens[place:]:
            begins = token.what < codec.OFF
            if held[token.what % codec.PITCHES] != begins and (on or not begins):
                return token
        return None


def _order(token: Token) -> tuple[int, bool, int]:
    """As in the alphabet: within a tick ends come first, and upwards."""
    return token.tick, token.what < codec.OFF, token.what % codec.PITCHES


def _moved_to(token: Token, moved: dict[int, int], begin_tick: int) -> Token:
    kind, pitch = divmod(token.what, codec.PITCHES)
    return Token(token.tick - begin_tick, kind * codec.PITCHES + moved[pitch], token.velocity)


def _moved(pitches: Iterable[int], near: np.ndarray, above: int) -> dict[int, int]:
    """Where each pitch goes: by octaves to the range, and there to the nearest."""
    low, high = int(near[0]), int(near[-1])
    moved = {}
    for pitch in pitches:
        wanted = pitch + above
        wanted -= OCTAVE * max(0, math.ceil((wanted - high) / OCTAVE - 0.5))
        wanted += OCTAVE * max(0, math.ceil((low - wanted) / OCTAVE - 0.5))
        moved[pitch] = int(near[np.abs(near - wanted).argmin()])
    return moved
