"""What the network has to beat: models that predict a token's parts one after the other, as it does.

`dt` first, then `what` given `dt` under the mask of `codec.allowed`, then `velocity` given both. What
counts is what `likelihood` counts: not the first token's `dt`, velocities of note-ons where the file
knows them, and the width of coarse bins.

uniform       every possible class alike
unigram       counts alone
markov        the one chain of contexts (`markov.CHAINS`) and the order that do best on validation, by attribute
markov_mixed  all orders of all chains of the attribute, weighed as fits the validation pieces best
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from rich.progress import Progress

from train.corpora.pieces import Piece
from train.judge import markov
from train.judge.markov import CHAINS, CLASSES, Events
from train.network.likelihood import ATTRIBUTES, LOG_WIDTH, PieceNats

NAMES = ("uniform", "unigram", "markov", "markov_mixed")
EM_ROUNDS = 50
SMOOTHING = 0.5  # added to each count of the unigram

Orders = dict[str, dict[str, list[float]]]


class Baselines(NamedTuple):
    """Nats of the test pieces by baseline; nats per note on validation by attribute, chain and order from 0."""

    scored: dict[str, list[PieceNats]]
    orders: Orders


class _Chains(NamedTuple):
    """What the chains of an attribute gave to what really came: [models,N], a model an order of a chain."""

    chosen: np.ndarray  # on validation
    asked: np.ndarray  # on test


def score(
    train: Sequence[Piece],
    validation: Sequence[Piece],
    test: Sequence[Piece],
    max_order: int = markov.MAX_ORDER,
) -> Baselines:
    """Learn from `train`, choose on `validation`, score `test`: 2 to 4 minutes and 3 GB for 5.6 M tokens."""
    parts = [markov.events(train, False), markov.events(validation, True), markov.events(test, True)]
    notes = sum(piece.notes for piece in validation)
    nats: dict[str, dict[str, np.ndarray]] = {name: {} for name in NAMES}
    orders: Orders = {}
    with Progress() as progress:
        task = progress.add_task("baselines", total=len(CHAINS))
        for attribute in ATTRIBUTES:
            learnt, chosen, asked = (part.of(attribute) for part in parts)
            chains = [chain for chain in CHAINS if chain.attribute == attribute]
            found = []
            for chain in chains:
                found.append(_read(chain, learnt, chosen, asked, max_order))
                progress.advance(task)
            models = _Chains(*(np.concatenate(side) for side in zip(*found, strict=True)))
            width = _width(attribute, chosen)
            costs = [((width - np.log(f.chosen)) * chosen.counts[attribute]).sum(axis=1) / notes for f in found]
            orders[attribute] = {chain.name: cost.tolist() for chain, cost in zip(chains, costs, strict=True)}
            counted = models.chosen[:, chosen.counts[attribute]]
            chances = {
                "uniform": _uniform(attribute, asked),
                "unigram": _unigram(attribute, learnt, asked),
                "markov": models.asked[int(np.concatenate(costs).argmin())],
                "markov_mixed": mixture(counted) @ models.asked,
            }
            for name, chance in chances.items():
                nats[name][attribute] = _by_piece(attribute, asked, chance, len(test))
    return Baselines({name: _pieces(test, nats[name]) for name in NAMES}, orders)


def _read(chain: markov.Chain, learnt: Events, chosen: Events, asked: Events, max_order: int) -> _Chains:
    tables = markov.learn(chain, learnt, max_order)
    return _Chains(markov.chances(chain, tables, chosen), markov.chances(chain, tables, asked))


def mixture(chances: np.ndarray) -> np.ndarray:
    """The weights [M] that make a mixture of models most likely (expectation maximisation on [M,N])."""
    weights = np.full(len(chances), 1 / len(chances))
    for _ in range(EM_ROUNDS):
        weights = weights * (chances / (weights @ chances)).mean(axis=1)
    return weights / weights.sum()


def _uniform(attribute: str, asked: Events) -> np.ndarray:
    return 1 / markov.allowed(attribute, asked).sum(axis=1)


def _unigram(attribute: str, learnt: Events, asked: Events) -> np.ndarray:
    heard = getattr(learnt, attribute)[learnt.counts[attribute]]
    counts = np.bincount(heard, minlength=CLASSES[attribute]) + SMOOTHING
    return counts[getattr(asked, attribute)] / (markov.allowed(attribute, asked) @ counts)


def _width(attribute: str, rows: Events) -> np.ndarray:
    """Nats for where in a coarse bin the tick lies, [N]."""
    return LOG_WIDTH[rows.dt] if attribute == "dt" else np.zeros(len(rows.dt))


def _by_piece(attribute: str, rows: Events, chance: np.ndarray, pieces: int) -> np.ndarray:
    nats = (_width(attribute, rows) - np.log(chance)) * rows.counts[attribute]
    return np.bincount(rows.piece, nats, minlength=pieces)


def _pieces(test: Sequence[Piece], nats: dict[str, np.ndarray]) -> list[PieceNats]:
    return [PieceNats(piece, {name: float(nats[name][i]) for name in ATTRIBUTES}) for i, piece in enumerate(test)]
