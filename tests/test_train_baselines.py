"""The baselines: real distributions, the likelihood's rules, and counts that are right."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip("keras", reason="needs the train extra")

from improv.net import codec
from tests import corpora
from train.judge import baselines, markov
from train.network import batches, likelihood

TRAIN = [corpora.piece(seed, 120) for seed in range(6)]
VALIDATION = [corpora.piece(seed, 60) for seed in (10, 11)]
TEST = [corpora.piece(seed, 60) for seed in (20, 21, 22)]
FLAT = TEST[0]._replace(columns={**TEST[0].columns, "velocity": np.full_like(TEST[0].columns["velocity"], 32)})

pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def scored() -> baselines.Baselines:
    return baselines.score(TRAIN, VALIDATION, TEST, max_order=3)


def test_uniform_is_what_the_masks_leave(scored: baselines.Baselines) -> None:
    first = scored.scored["uniform"][0]
    length = len(first.piece.columns["what"])
    mask = batches.window(first.piece, 0, length).allowed[0]
    assert first.nats["what"] == pytest.approx(np.log(mask.sum(axis=1)).sum())
    assert first.nats["velocity"] == pytest.approx(first.piece.notes * math.log(codec.VELOCITIES))
    assert first.nats["dt"] == pytest.approx((length - 1) * math.log(codec.DTS))  # no long silence, so no width


def test_each_baseline_is_better_than_the_one_before(scored: baselines.Baselines) -> None:
    uniform, unigram, markov_, mixed = (likelihood.total(scored.scored[n]).nats_per_note for n in baselines.NAMES)
    assert uniform > unigram > markov_
    assert mixed < markov_ + 0.05  # its weights were fitted on other pieces
    assert [s.piece for s in scored.scored["markov"]] == TEST


def test_flat_velocities_cost_nothing() -> None:
    found = baselines.score(TRAIN, VALIDATION, [FLAT], max_order=1)
    assert all(pieces[0].nats["velocity"] == 0 for pieces in found.scored.values())


@pytest.mark.parametrize("chain", markov.CHAINS, ids=lambda chain: f"{chain.attribute}: {chain.name}")
def test_chances_over_all_possible_classes_make_one(chain: markov.Chain) -> None:
    learnt, asked = markov.events(TRAIN, False).of(chain.attribute), markov.events(TEST, True).of(chain.attribute)
    tables = markov.learn(chain, learnt, 3)
    mask = markov.allowed(chain.attribute, asked)
    # Contexts look back, never at the row itself, so the row can be asked for each answer in turn.
    for row in (0, 1, len(mask) - 1):
        total = np.zeros(4)
        for answer in np.flatnonzero(mask[row]):
            column = getattr(asked, chain.attribute).copy()
            column[row] = answer
            total += markov.chances(chain, tables, asked._replace(**{chain.attribute: column}))[:, row]
        np.testing.assert_allclose(total, 1.0)


def test_witten_bell_by_hand() -> None:
    """After a context seen 3 times with 2 symbols: (count + 2 * shorter) / (3 + 2)."""
    rows = markov.events(VALIDATION[:1], False)
    dt = np.array([5, 7, 5, 7, 5, 9, 5, 7], np.int16)
    counts = {name: np.ones(8, bool) for name in markov.CLASSES}
    rows = rows._replace(**{name: getattr(rows, name)[:8] for name in markov.COLUMNS})
    rows = rows._replace(dt=dt, what=np.zeros(8, np.int16), counts=counts)
    chain = markov.Chain("dt", "dt", lambda rows: (), lambda rows, back: (markov._lag(rows, rows.dt, back, -1),))
    tables = markov.learn(chain, rows, 1)
    asked = markov.chances(chain, tables, rows)
    unigram = (3 + 3 / codec.DTS) / (8 + 3)  # the 7 came 3 times of 8, of 3 kinds
    assert asked[0, 1] == pytest.approx(unigram)
    assert asked[1, 1] == pytest.approx((3 + 2 * unigram) / (4 + 2))  # after a 5: 7 three times, 9 once


def test_the_mixture_finds_the_better_model() -> None:
    rng = np.random.default_rng(1)
    chances = np.stack((rng.uniform(0.4, 0.6, 500), rng.uniform(0.0, 0.2, 500)))
    weights = baselines.mixture(chances)
    assert weights.sum() == pytest.approx(1)
    assert weights[0] > 0.95
