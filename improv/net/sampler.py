"""Draws one value of one attribute: temperature, then nucleus, on what is allowed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Sampling(NamedTuple):
    temperature: float = 1.0
    top_p: float = 1.0  # nucleus sampling (Holtzman et al. 2020): the likeliest values up to this mass


def draw(logp: np.ndarray, choices: np.ndarray, sampling: Sampling, uniform: float) -> int:
    """One of `choices` (indices into `logp`, not empty) by a uniform number in [0, 1)."""
    scaled = logp[choices] / sampling.temperature
    mass = np.exp(scaled - scaled.max())
    if sampling.top_p < 1.0:
        order = np.argsort(-mass, kind="stable")
        choices, mass = choices[order], mass[order]
    total = np.cumsum(mass)
    if sampling.top_p < 1.0:
        total = total[: int(np.searchsorted(total, sampling.top_p * total[-1])) + 1]
    place = int(np.searchsorted(total, uniform * total[-1], side="right"))
    return int(choices[min(place, len(total) - 1)])
