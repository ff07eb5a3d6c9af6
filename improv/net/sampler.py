"""Draws one value of one attribute: temperature, then nucleus, on what is allowed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Sampling(NamedTuple):
    temperature: float = 1.0
    top_p: float = 1.0  # nucleus sampling (Holtzman et al. 2020): the likeliest values up to this mass


def draw(logp: np.ndarray, choices: np.ndarray, sampling: Sampling, uniform: float) -> int:
    """One of `choices` (indices into `logp`, not empty) by a uniform number in [0, 1)."""
    mass = logp[choices]
    mass -= mass[mass.argmax()]
    if sampling.temperature != 1.0:
        mass *= 1.0 / sampling.temperature
    np.exp(mass, out=mass)
    if sampling.top_p < 1.0:
        mass[mass < _nucleus(mass, sampling.top_p)] = 0.0
    total = mass.cumsum()
    place = int(total.searchsorted(uniform * total[-1], "right"))
    if place == len(total):  # rounded up to the very end: the last choice that has any mass
        place = int(total.searchsorted(total[-1]))
    return int(choices[place])


def _nucleus(mass: np.ndarray, top_p: float) -> float:
    """The least mass that belongs to the nucleus."""
    ordered = mass.copy()
    ordered.sort()
    ordered = ordered[::-1]
    total = ordered.cumsum()
    return float(ordered[total.searchsorted(top_p * total[-1])])
