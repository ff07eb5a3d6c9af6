"""How like one stretch of music is to another, by the notes alone: each figure for a pair, 1 where they agree."""

from __future__ import annotations

import numpy as np

from train.judge.copying import in_chords
from train.judge.notes import Notes

# Krumhansl & Kessler 1982: how well each pitch class fits a key on C.
MAJOR = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
MINOR = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)
MAJOR_SCALE = (0, 2, 4, 5, 7, 9, 11)
MINOR_SCALE = (0, 2, 3, 5, 7, 8, 10, 11)  # natural, and the leading note
# So that the greatest product is the greatest correlation: major on C, C# and so on, then minor.
_KEYS = np.stack([np.roll(profile, tonic) for profile in (MAJOR, MINOR) for tonic in range(12)])
_KEYS = (_KEYS - _KEYS.mean(axis=1, keepdims=True)) / _KEYS.std(axis=1, keepdims=True)

VELOCITY_GRID = np.arange(-32.0, 160.0, 0.25)
WAIT_GRID = np.linspace(-9, 6, 601)  # log2 of seconds
LEAST_WIDTHS = {"velocity": 2.0, "wait": 0.1}  # of a kernel: half a velocity bin, a tenth of an octave


def pitch_classes(found: Notes) -> np.ndarray:
    """Shares of the notes, [12]."""
    return np.bincount(found.pitch % 12, minlength=12) / max(1, len(found.pitch))


def pitch_class_overlap(one: Notes, other: Notes) -> float:
    return float(np.minimum(pitch_classes(one), pitch_classes(other)).sum())


def density_ratio(one: Notes, other: Notes) -> float:
    """Onsets of the one over those of the other; a chord is one onset."""
    return len(onsets(one)) / len(onsets(other))


def onsets(found: Notes) -> np.ndarray:
    """Seconds; of a chord, its first."""
    return found.start[np.unique(in_chords(found.tick), return_index=True)[1]]


def semitones(found: Notes) -> int:
    """From the lowest note to the highest."""
    return int(np.ptp(found.pitch)) if len(found.pitch) else 0


def range_overlap(one: Notes, other: Notes) -> float:
    """The pitches that lie within both ranges over those within either."""
    if not len(one.pitch) or not len(other.pitch):
        return 0.0
    lows, highs = (one.pitch.min(), other.pitch.min()), (one.pitch.max(), other.pitch.max())
    return max(0, int(min(highs) - max(lows)) + 1) / (int(max(highs) - min(lows)) + 1)


def velocity_overlap(one: Notes, other: Notes) -> float | None:
    """None where either says nothing of velocity."""
    velocities = [found.velocity[found.velocity > 0] for found in (one, other)]
    return overlapping_area(velocities[0], velocities[1], VELOCITY_GRID, LEAST_WIDTHS["velocity"])


def wait_overlap(one: Notes, other: Notes) -> float | None:
    """Of the times between onsets, on a logarithmic scale."""
    waits = [np.log2(np.maximum(np.diff(onsets(found)), 1e-3)) for found in (one, other)]
    return overlapping_area(waits[0], waits[1], WAIT_GRID, LEAST_WIDTHS["wait"])


def overlapping_area(one: np.ndarray, other: np.ndarray, grid: np.ndarray, least: float) -> float | None:
    """Of two smoothed densities (Yang & Lerch 2020): Gaussian kernels, as wide as Scott's rule says or `least`."""
    if not len(one) or not len(other):
        return None
    densities = [_density(values.astype(np.float64), grid, least) for values in (one, other)]
    return float(np.minimum(*densities).sum() * (grid[1] - grid[0]))


def _density(values: np.ndarray, grid: np.ndarray, least: float) -> np.ndarray:
    width = max(least, float(values.std()) * len(values) ** -0.2)
    kernels = np.exp(-0.5 * ((grid[:, None] - values[None]) / width) ** 2)
    return kernels.sum(axis=1) / (len(values) * width * np.sqrt(2 * np.pi))


def key(heard: np.ndarray) -> tuple[int, bool]:
    """Tonic, and whether major, of the key that fits best how much was heard of each pitch class, [12]."""
    best = int((_KEYS @ heard).argmax())
    return best % 12, best < 12


def scale(found: Notes) -> np.ndarray:
    """The pitch classes of the key that fits best, bool [12]; notes count for as long as they sound."""
    tonic, major = key(np.bincount(found.pitch % 12, np.maximum(found.length, 1e-3), minlength=12))
    return np.isin(np.arange(12), (np.array(MAJOR_SCALE if major else MINOR_SCALE) + tonic) % 12)


def in_scale(found: Notes, wanted: np.ndarray) -> float | None:
    return float(wanted[found.pitch % 12].mean()) if len(found.pitch) else None
