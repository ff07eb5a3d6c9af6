"""The numbers in `improv/music/tonality.py`, learned: multinomial logistic regression of the notes that followed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from improv.music.tonality import HALF_LIVES_S
from train.corpora.pieces import Piece
from train.judge import scales

PLACES = 4000  # in each corpus
ROUNDS = 12  # of Newton's method
RIDGE = 1e-6
_BELOW = (np.arange(12)[:, None] - np.arange(12)[None, :]) % 12  # [to come,semitones above]: which is heard


def learn(source: Sequence[Piece]) -> np.ndarray:
    """How much a note speaks for those 0 to 11 semitones above it, by half-life: [2,12], means 0. Corpora are alike."""
    places = scales.draw(source, "training places", PLACES)
    corpora = [place.corpus for place in places]
    weight = np.array([1 / corpora.count(corpus) for corpus in corpora])
    weight /= weight.sum()
    profiles = np.stack([place.profiles for place in places])
    design = np.concatenate([profiles[:, i, _BELOW] for i in range(len(HALF_LIVES_S))], axis=2)  # [N,12,24]
    came = np.stack([place.shares for place in places])
    votes = np.zeros(design.shape[2])
    for _ in range(ROUNDS):
        odds = np.exp(design @ votes)
        told = odds / odds.sum(axis=1, keepdims=True)
        slope = np.einsum("n,nc,ncv->v", weight, came - told, design) - RIDGE * votes
        off = design - np.einsum("nc,ncv->nv", told, design)[:, None]
        curve = np.einsum("n,nc,ncv,ncw->vw", weight, told, off, off, optimize=True) + RIDGE * np.eye(len(votes))
        votes += np.linalg.solve(curve, slope)
    table = votes.reshape(len(HALF_LIVES_S), 12)
    return table - table.mean(axis=1, keepdims=True)
