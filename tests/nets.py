"""Networks without weights, for tests of what is built around one."""

from __future__ import annotations

import numpy as np

from improv.net import codec
from improv.net.stepper import Reading


class FlatNet:
    """Every value is as likely as any other; the state counts the tokens read."""

    def __init__(self, dt: np.ndarray | None = None) -> None:
        self.read_tokens: list[tuple[int, ...]] = []
        self._dt = np.zeros(codec.DTS, np.float32) if dt is None else dt

    def start(self) -> np.ndarray:
        return np.zeros(1)

    def read(self, state: np.ndarray, token: np.ndarray, context: np.ndarray) -> Reading:
        self.read_tokens.append(tuple(token.tolist()))
        return Reading(state + 1, state + 1, self._dt)

    def what(self, hidden: np.ndarray, dt: int, phase: int) -> np.ndarray:
        return np.zeros(codec.WHATS, np.float32)

    def velocity(self, hidden: np.ndarray, dt: int, what: int) -> np.ndarray:
        return np.zeros(codec.VELOCITIES, np.float32)


def lively() -> FlatNet:
    """A network that plays something about every 60 ms."""
    dt = np.full(codec.DTS, -50.0, np.float32)
    dt[[0, 6, 12]] = 0.0
    return FlatNet(dt)


class MadNet:
    """Out of its mind: what it likes has no reason, is as sure as can be, and differs from seed to seed."""

    SCALES = (0.0, 3.0, 1e3, 1e30)

    def __init__(self, seed: int) -> None:
        self._seed = seed
        whims = np.random.default_rng(seed)
        self._scales = whims.choice(self.SCALES, 3)
        # Some of them only ever hurry, some only begin notes, some only go high, some are only loud, some do not know.
        self._leans = [whims.choice((0.0, 0.0, 1e4, -1e4)) for _ in range(3)]
        self._lost = seed % 13 == 12

    def start(self) -> np.ndarray:
        return np.zeros(1)

    def read(self, state: np.ndarray, token: np.ndarray, context: np.ndarray) -> Reading:
        return Reading(state + 1, state + 1, self._likes(0, state, codec.DTS))

    def what(self, hidden: np.ndarray, dt: int, phase: int) -> np.ndarray:
        return self._likes(1, hidden, codec.WHATS)

    def velocity(self, hidden: np.ndarray, dt: int, what: int) -> np.ndarray:
        return self._likes(2, hidden, codec.VELOCITIES)

    def _likes(self, attribute: int, state: np.ndarray, count: int) -> np.ndarray:
        if self._lost:
            return np.full(count, np.nan, np.float32)
        noise = np.random.default_rng((self._seed, attribute, int(state[0]))).standard_normal(count)
        return (noise * self._scales[attribute] + np.linspace(0, self._leans[attribute], count)).astype(np.float32)
