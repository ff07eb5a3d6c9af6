"""How many of a player's next notes lie in the scale inferred from those before, beside Krumhansl's.

Krumhansl and Schmuckler find a key by how well its profile fits how long each pitch class sounded (Krumhansl 1990).
The window is the one that does best on the validation pieces. A minor key is taken as the natural minor scale, or as
the harmonic; and notes are counted, too, instead of weighed by how long they sounded.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from rich.progress import track

from improv.errors import BadInput
from improv.music import scale, tonality
from improv.music.timeline import NS
from improv.music.tonality import SCALES, Likely, Tonality
from train.corpora.pieces import Piece
from train.judge import likeness
from train.judge.notes import Notes, notes

STRETCH_S = 8.0  # that was heard at least, and that follows
LEAST_NOTES = 8  # in the last stretch, and in the next
SEED = 1
PLACES = 500  # in each corpus
WINDOWS_S = (4.0, 8.0, 12.0, 16.0, 24.0, 32.0, 48.0, 64.0, math.inf)
WEIGHTS = ("notes", "durations")
READINGS = tuple(product(WEIGHTS, WINDOWS_S))


class Place(NamedTuple):
    """A moment in a piece: what was inferred there, what Krumhansl's is to find a key in, and what came."""

    corpus: str
    likely: Likely
    profiles: np.ndarray  # of the tonality, [half-lives,12]
    heard: np.ndarray  # of each pitch class, by the readings: [readings,12]
    shares: np.ndarray  # of each pitch class in the notes that followed, [12]


def figures(validation: Sequence[Piece], held: Sequence[Piece]) -> dict[str, Any]:
    """Shares of the next notes: means over the places of a corpus, and over corpora alike. Of all, and where locked."""
    readings = best_readings(draw(validation, "validation places"))
    places = draw(held, "places")
    corpora = sorted({place.corpus for place in places})
    rows = {corpus: _row([p for p in places if p.corpus == corpus], readings) for corpus in corpora}
    return {
        "least_share": tonality.LEAST_SHARE,
        "windows_s": {weight: READINGS[reading][1] for weight, reading in readings.items()},
        "pitch_classes": {
            "ours": _mean(len(place.likely.scale.classes) for place in places),
            "krumhansl": _mean(len(krumhansl(place.heard[readings["durations"]]).classes) for place in places),
        },
        "all": _over_corpora(list(rows.values())),
        "by_corpus": rows,
    }


def _row(places: Sequence[Place], readings: Mapping[str, int]) -> dict[str, Any]:
    locked = [place for place in places if place.likely.share >= tonality.LEAST_SHARE]
    return {
        "places": len(places),
        "share_locked": len(locked) / len(places),
        "inside": _shares(places, readings),
        "inside_locked": _shares(locked, readings),
    }


def _shares(places: Sequence[Place], readings: Mapping[str, int]) -> dict[str, float | None]:
    durations, counted = readings["durations"], readings["notes"]
    found = {
        "ours": [place.likely.scale for place in places],
        "krumhansl": [krumhansl(place.heard[durations]) for place in places],
        "krumhansl_harmonic": [krumhansl(place.heard[durations], "harmonic minor") for place in places],
        "krumhansl_notes": [krumhansl(place.heard[counted]) for place in places],
        "in_hindsight": [max(SCALES, key=lambda known: within(known, place)) for place in places],
    }
    return {name: _mean(map(within, own, places)) for name, own in found.items()}


def _over_corpora(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Each counts alike."""
    means = {
        key: {name: _mean(row[key][name] for row in rows) for name in rows[0][key]}
        for key in ("inside", "inside_locked")
    }
    places = sum(row["places"] for row in rows)
    return {"places": places, "share_locked": _mean(row["share_locked"] for row in rows), **means}


def _mean(values: Iterable[float | None]) -> float | None:
    """Of those there are."""
    there = [value for value in values if value is not None]
    return float(np.mean(there)) if there else None


def within(found: scale.Scale, place: Place) -> float:
    """The share of the notes that followed."""
    return float(place.shares[list(found.classes)].sum())


def krumhansl(heard: np.ndarray, minor: str = "minor") -> scale.Scale:
    """The scale of the key whose profile fits best what was heard of each pitch class, [12]."""
    tonic, major = likeness.key(heard)
    return scale.on(tonic, "major" if major else minor)


def best_readings(places: Sequence[Place]) -> dict[str, int]:
    """Which of `READINGS` holds most of what followed, by weight; corpora count alike."""
    corpora = [place.corpus for place in places]
    weight = np.array([1 / corpora.count(corpus) for corpus in corpora])
    inside = [weight @ [within(krumhansl(place.heard[i]), place) for place in places] for i in range(len(READINGS))]
    return {
        name: max((i for i, (weighed, _) in enumerate(READINGS) if weighed == name), key=inside.__getitem__)
        for name in WEIGHTS
    }


def draw(source: Sequence[Piece], said: str, count: int = PLACES) -> list[Place]:
    """Up to `count` from each corpus, at random onsets, as evenly over its pieces as can be. Raises `BadInput`."""
    rng = np.random.default_rng(SEED)
    pieces = Counter(piece.corpus for piece in source)
    left = dict.fromkeys(pieces, count)
    chosen: list[Place] = []
    for i in track(rng.permutation(len(source)), said):
        corpus = source[i].corpus
        some = min(left[corpus], math.ceil(count / pieces[corpus]))
        own = _in_piece(source[i], some, rng) if some else []
        left[corpus] -= len(own)
        chosen += own
    if not chosen:
        raise BadInput(f"{said}: no piece goes on for {2 * STRETCH_S:g} s with notes enough; prepare longer ones")
    return chosen


def _in_piece(piece: Piece, count: int, rng: np.random.Generator) -> list[Place]:
    whole = notes(piece)
    whole = whole.part(np.argsort(whole.start, kind="stable"))
    times = np.unique(whole.start)
    times = times[(times >= STRETCH_S) & (times <= whole.start[-1] - STRETCH_S)]
    before, now, after = (np.searchsorted(whole.start, times + shift_s) for shift_s in (-STRETCH_S, 0, STRETCH_S))
    busy = np.flatnonzero((now - before >= LEAST_NOTES) & (after - now >= LEAST_NOTES))
    places, heard, told = [], Tonality(), 0
    for i in np.sort(rng.choice(busy, min(count, len(busy)), replace=False)):
        for start, pitch in zip(whole.start[told : now[i]], whole.pitch[told : now[i]], strict=True):
            heard.note(round(start * NS), int(pitch))
        told = now[i]
        came = np.bincount(whole.pitch[told : after[i]] % 12, minlength=12)
        counted = np.stack([_heard(whole.part(slice(told)), times[i], *reading) for reading in READINGS])
        places.append(Place(piece.corpus, heard.likeliest(), heard.profiles(), counted, came / came.sum()))
    return places


def _heard(before: Notes, now_s: float, weight: str, window_s: float) -> np.ndarray:
    """Of each pitch class, how many notes began in the window, or how many seconds they sounded in it."""
    if weight == "notes":
        counts = (before.start >= now_s - window_s).astype(float)
    else:
        begin = np.maximum(before.start, now_s - window_s)
        counts = np.maximum(np.minimum(before.start + before.length, now_s) - begin, 0)
    return np.bincount(before.pitch % 12, counts, minlength=12)
