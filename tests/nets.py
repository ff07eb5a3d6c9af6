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
