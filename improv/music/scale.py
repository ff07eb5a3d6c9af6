"""Scales by name: which pitch classes they have."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

PITCHES = 128
CHROMATIC = "chromatic"  # the one that needs no tonic

# Semitones above the tonic.
NAMES: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {
        "major": (0, 2, 4, 5, 7, 9, 11),
        "minor": (0, 2, 3, 5, 7, 8, 10),
        "harmonic minor": (0, 2, 3, 5, 7, 8, 11),
        "melodic minor": (0, 2, 3, 5, 7, 9, 11),  # as it goes up
        "ionian": (0, 2, 4, 5, 7, 9, 11),
        "dorian": (0, 2, 3, 5, 7, 9, 10),
        "phrygian": (0, 1, 3, 5, 7, 8, 10),
        "lydian": (0, 2, 4, 6, 7, 9, 11),
        "mixolydian": (0, 2, 4, 5, 7, 9, 10),
        "aeolian": (0, 2, 3, 5, 7, 8, 10),
        "locrian": (0, 1, 3, 5, 6, 8, 10),
        "major pentatonic": (0, 2, 4, 7, 9),
        "minor pentatonic": (0, 3, 5, 7, 10),
        "blues": (0, 3, 5, 6, 7, 10),
        "whole tone": (0, 2, 4, 6, 8, 10),
        "whole half": (0, 2, 3, 5, 6, 8, 9, 11),  # octatonic, from a whole tone
        "half whole": (0, 1, 3, 4, 6, 7, 9, 10),  # octatonic, from a semitone
        CHROMATIC: tuple(range(12)),
    }
)
TONICS = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")  # as they are written here, from C up
_LETTERS = {"c": 0, "d": 2, "e": 4, "f": 5, "g": 7, "a": 9, "b": 11}
_ACCIDENTALS = {"": 0, "#": 1, "♯": 1, "b": -1, "♭": -1}


@dataclass(frozen=True)
class Scale:
    """Alike if they have the same notes: C major is A minor."""

    classes: frozenset[int]  # 0 is C, 11 is B
    name: str = field(compare=False)

    @property
    def pitches(self) -> tuple[bool, ...]:
        """Whether each of the 128 pitches is in it."""
        return tuple(pitch % 12 in self.classes for pitch in range(PITCHES))


def on(tonic: int, name: str) -> Scale:
    """The scale of a name in `NAMES` on a tonic, 0 (C) to 11."""
    classes = frozenset((tonic + step) % 12 for step in NAMES[name])
    return Scale(classes, name if name == CHROMATIC else f"{TONICS[tonic]} {name}")


def named(text: str) -> Scale:
    """Of a text such as "F# mixolydian": a tonic (a letter, with # or b after it), and one of `NAMES`.

    Capitals, hyphens and spaces make no difference; "chromatic" may stand alone. Raises ValueError.
    """
    tonic, _, name = " ".join(text.casefold().replace("-", " ").split()).partition(" ")
    if tonic == CHROMATIC and not name:
        return on(0, CHROMATIC)
    if tonic[:1] not in _LETTERS or tonic[1:] not in _ACCIDENTALS:
        said = reprlib.repr(text)
        raise ValueError(f"{said} does not begin with a tonic such as C, F# or Bb; write it like 'F# mixolydian'")
    if name not in NAMES:
        raise ValueError(f"{reprlib.repr(text)} names no known scale; write one of {', '.join(NAMES)} after the tonic")
    return on((_LETTERS[tonic[0]] + _ACCIDENTALS[tonic[1:]]) % 12, name)
