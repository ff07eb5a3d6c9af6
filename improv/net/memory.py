"""What the player has played, and how it went on where it ran like now.

A variable-order Markov memory, as the Continuator's (Pachet 2003), that votes instead of choosing: wherever the last
events were played before, what followed there counts beside the network's probability of 1 in all. An event is known
by its interval from the one before and by whether a note begins or ends, so a lick is known in any key.

Only the player's own events are remembered, and nothing of them is ever taken back. How long the run of events that
ends at each remembered one agrees with the last ones, `runs` (uint8 [EVENTS]), is kept by whoever asks.
"""

from __future__ import annotations

import numpy as np

from improv.net import codec
from improv.net.codec import Token

EVENTS = 4096  # that are remembered, the last ones: some 2,000 notes
SHORTEST, LONGEST = 2, 16  # runs that count, and that are told from longer ones
# Chosen on validation pieces of both sets of weights (docs/training.md).
EQUAL = 8  # a run of so many events counts as much as the network; twice as many eight times as much
TIMES = 0.3  # what a run counts for when the next event comes, rather than which it is
ELSEWHERE = 0.5  # what it counts for in another key
NO_RUNS = np.zeros(EVENTS, np.uint8)  # where nothing was played yet
NOTHING = 1e-30  # a probability that has a logarithm
OFFS, UNISON = 256, 128  # of a step: a note ends; the interval is 0


class Memory:
    """The last `EVENTS` of the player, and `strength`, 0 to 1, of what they say."""

    def __init__(self, strength: float = 0.0) -> None:
        self.strength = strength
        lengths = np.arange(LONGEST + 1)
        self._votes = np.where(lengths < SHORTEST, 0.0, (lengths / EQUAL) ** 3)
        self._steps = np.full(EVENTS, -1, np.int16)
        self._whats = np.zeros(EVENTS, np.int16)
        self._dts = np.zeros(EVENTS, np.int16)
        self._next = 0  # where the next event goes
        self._last = Token(0, codec.START, codec.NO_VELOCITY)  # of the player's own

    def follow(self, runs: np.ndarray, last: Token, token: Token) -> np.ndarray:
        """The runs after `token`, whoever played it."""
        longer = np.empty_like(runs)
        longer[0], longer[1:] = runs[-1], runs[:-1]
        np.minimum(longer + 1, LONGEST, out=longer, casting="unsafe")
        longer *= self._steps == _step(last, token)
        return longer

    def keep(self, runs: np.ndarray, token: Token) -> np.ndarray:
        """Remember `token`, in the place of the oldest, as what came after the player's last event, whatever was
        played in between. Gives its runs (`follow`) without that one's.
        """
        place, self._next = self._next, (self._next + 1) % EVENTS
        last, self._last = self._last, token
        self._steps[place], self._whats[place] = _step(last, token), token.what
        self._dts[place] = codec.dt_bin(token.tick - last.tick)
        runs = runs.copy()
        runs[place] = 0
        return runs

    def when(self, runs: np.ndarray) -> np.ndarray:
        """Votes for each dt bin, [128]."""
        places, votes = self._after(runs)
        return np.bincount(self._dts[places], TIMES * votes, codec.DTS)

    def which(self, runs: np.ndarray, last: Token) -> np.ndarray:
        """Votes for what comes after `last`, [256]."""
        places, votes = self._after(runs)
        steps = self._steps[places]
        pitch = steps % OFFS + (last.what % codec.PITCHES - UNISON)
        what = steps // OFFS * codec.OFF + pitch
        votes[what != self._whats[places]] *= ELSEWHERE
        exists = (pitch >= 0) & (pitch < codec.PITCHES)
        return np.bincount(what[exists], votes[exists], codec.WHATS)

    def _after(self, runs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The remembered events that follow runs like the last events, and their votes."""
        ends = (runs >= SHORTEST).nonzero()[0]
        places = (ends + 1) % EVENTS
        followed = places != self._next
        return places[followed], self.strength * self._votes[runs[ends[followed]]]


def mixed(logp: np.ndarray, choices: np.ndarray, votes: np.ndarray) -> np.ndarray:
    """Log-probabilities where the `choices` have those of the network, 1 in all, and their votes beside them."""
    counted = votes[choices]
    if not counted.any():
        return logp
    p = np.exp(logp[choices] - logp[choices].max())
    told = np.full(len(logp), -np.inf)
    told[choices] = np.log(np.maximum(p / p.sum() + counted, NOTHING))
    return told


def _step(last: Token, token: Token) -> int:
    interval = token.what % codec.PITCHES - last.what % codec.PITCHES
    return (OFFS if token.what >= codec.OFF else 0) + UNISON + interval
