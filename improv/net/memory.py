"""What the player has played, and how it went on where it ran like now.

A variable-order Markov memory, as the Continuator's (Pachet 2003), that votes instead of choosing: wherever the last
events were played before, what followed there counts beside the network's probability of 1 in all. An event is known
by its interval from the one before and by whether a note begins or ends, so a lick is known in any key.

What the player plays is remembered as he plays it, and of the machine's only answers that he likes (`learn`). How long
the run of events that ends at each remembered one agrees with the last ones, `runs` (uint8 [EVENTS]), is kept by
whoever asks.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Sequence
from itertools import pairwise

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
BEGINS = 2 * OFFS  # instead of a step: nothing led to this event
WORTH = (0.0, 0.5, 1.0, 2.0, 4.0)  # what an event's votes count for, from the worst regard to the best
BEST = len(WORTH) // 2
MOST_LEARNT = EVENTS // 4  # of one answer
ROW = struct.Struct("BBBb")  # of what is kept of a memory: what, dt bin, whether it begins a run, regard


class Memory:
    """The last `EVENTS` of the player, and `strength`, 0 to 1, of what they say."""

    def __init__(self, strength: float = 0.0, remembered: bytes = b"") -> None:
        self.strength = strength
        lengths = np.arange(LONGEST + 1)
        self._votes = np.where(lengths < SHORTEST, 0.0, (lengths / EQUAL) ** 3)
        self._steps = np.full(EVENTS, BEGINS, np.int16)
        self._whats = np.zeros(EVENTS, np.int16)
        self._dts = np.zeros(EVENTS, np.int16)
        self._regards = np.zeros(EVENTS, np.int8)
        self._counts = np.zeros(EVENTS)  # what the votes of each are multiplied by
        self.kept = 0  # events in all: the last `EVENTS` of them are still there
        self._last: Token | None = None  # of the player's own; None: nothing led to his next
        before = 0
        for what, dt, begins, regard in ROW.iter_unpack(remembered):
            self._put(BEGINS if begins else _step(before, what), what, dt, regard)
            before = what

    def remembered(self) -> bytes:
        """All of it, to make another one of, which begins a new run; `ROW` after `ROW`, the oldest first."""
        places = self._places(range(self.kept))
        begins = self._steps[places] == BEGINS
        begins[:1] = True  # what led to the oldest is forgotten
        columns = (self._whats[places], self._dts[places], begins, self._regards[places])
        return np.stack(columns, axis=1).astype(np.uint8).tobytes()

    def follow(self, runs: np.ndarray, last: Token, token: Token) -> np.ndarray:
        """The runs after `token`, whoever played it."""
        longer = np.empty_like(runs)
        longer[0], longer[1:] = runs[-1], runs[:-1]
        np.minimum(longer + 1, LONGEST, out=longer, casting="unsafe")
        longer *= self._steps == _step(last.what, token.what)
        return longer

    def keep(self, runs: np.ndarray, token: Token) -> np.ndarray:
        """Remember `token`, in the place of the oldest, as what came after the player's last event, whatever was
        played in between. Gives its runs (`follow`) without that one's.
        """
        last, self._last = self._last, token
        if last is None:
            place = self._put(BEGINS, token.what, 0)
        else:
            place = self._put(_step(last.what, token.what), token.what, codec.dt_bin(token.tick - last.tick))
        runs = runs.copy()
        runs[place] = 0
        return runs

    def regard(self, phrase: range, regard: int) -> None:
        """From now on the events of those numbers (`kept`) count for more, or for less: `-BEST` to `BEST`."""
        places = self._places(phrase)
        self._regards[places] = regard
        self._counts[places] = WORTH[regard + BEST] * (self._steps[places] != BEGINS)
        self._hide_next()

    def learn(self, runs: np.ndarray, phrase: range, answer: Sequence[Token], regard: int) -> np.ndarray:
        """Remember how a phrase ended and what was answered, as one run; the first of `answer` is what it came after.

        Gives the runs with these.
        """
        ends = self._places(phrase[-LONGEST:])
        lengths = np.minimum(runs[ends], np.arange(len(ends)) + 1)  # those of the phrase where it stands already
        rows = list(zip(self._whats[ends].tolist(), self._dts[ends].tolist(), lengths.tolist(), strict=True))
        told = list(pairwise(answer))[-MOST_LEARNT:]
        rows += [(token.what, codec.dt_bin(token.tick - last.tick), 0) for last, token in told]
        runs, before = runs.copy(), None
        for what, dt, length in rows:
            runs[self._put(BEGINS if before is None else _step(before, what), what, dt, regard)] = length
            before = what
        self._last = None
        return runs

    def _put(self, step: int, what: int, dt: int, regard: int = 0) -> int:
        """In the place of the oldest; gives the place."""
        place, self.kept = self.kept % EVENTS, self.kept + 1
        self._steps[place], self._whats[place], self._dts[place], self._regards[place] = step, what, dt, regard
        self._counts[place] = 0.0 if step == BEGINS else WORTH[regard + BEST]
        self._hide_next()
        return place

    def _hide_next(self) -> None:
        """The oldest, whose place is the next, never came after the last."""
        self._counts[self.kept % EVENTS] = 0.0

    def _places(self, numbers: range) -> np.ndarray:
        """Of the events of those numbers that are still there."""
        return np.arange(max(numbers.start, self.kept - EVENTS), min(numbers.stop, self.kept)) % EVENTS

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
        return places, self.strength * self._votes[runs[ends]] * self._counts[places]


def mixed(logp: np.ndarray, choices: np.ndarray, votes: np.ndarray) -> np.ndarray:
    """Log-probabilities where the `choices` have those of the network, 1 in all, and their votes beside them."""
    counted = votes[choices]
    if not counted.any():
        return logp
    p = np.exp(logp[choices] - logp[choices].max())
    told = np.full(len(logp), -np.inf)
    told[choices] = np.log(np.maximum(p / p.sum() + counted, NOTHING))
    return told


def spelled(remembered: bytes) -> str:
    """What a memory held, as text."""
    return base64.b64encode(remembered).decode("ascii")


def read(text: str) -> bytes:
    """What a memory held, of such a text, whoever wrote it. Raises ValueError where it is none."""
    remembered = base64.b64decode(text, validate=True)
    if len(remembered) % ROW.size or len(remembered) > EVENTS * ROW.size:
        raise ValueError("not as many as a memory holds")
    for _, dt, begins, regard in ROW.iter_unpack(remembered):
        if dt >= codec.DTS or begins > 1 or abs(regard) > BEST:
            raise ValueError("no memory")
    return remembered


def _step(before: int, what: int) -> int:
    interval = what % codec.PITCHES - before % codec.PITCHES
    return (OFFS if what >= codec.OFF else 0) + UNISON + interval
