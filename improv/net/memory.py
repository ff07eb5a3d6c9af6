"""What the player has played, and how it went on where it ran like now.

A variable-order Markov memory, as the Continuator's (Pachet 2003), that votes instead of choosing: wherever the last
events were played before, what followed there counts beside the network's probability of 1 in all. An event is known
by its interval from the one before and by whether a note begins or ends, so a lick is known in any key.

What the player plays is remembered as he plays it; what he likes, the machine's answers as well, once more in places of
its own, where it lasts (`learn`). How long the run of events that ends at each remembered one agrees with the last
ones, `runs` (uint8 [EVENTS]), is kept by whoever asks.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from improv.net import codec
from improv.net.codec import Token

PLAYED = 4096  # events that are remembered, the last ones: some 2,000 notes
LIKED = 1024  # beside these
EVENTS = PLAYED + LIKED
AFTER = np.arange(1, EVENTS + 1)  # each place
AFTER[PLAYED - 1], AFTER[EVENTS - 1] = 0, PLAYED
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
MOST_LEARNT = LIKED // 2  # of one phrase or answer
ROW = struct.Struct("BBBb")  # of what is kept of a memory: what, dt bin, whether it begins a run and is liked, regard
FIRST, FAVOURED = 1, 2  # of the third: it begins a run; it is liked


class Memory:
    """The last events of the player, and of what he likes, and `strength`, 0 to 1, of what they say."""

    def __init__(self, strength: float = 0.0, remembered: bytes = b"") -> None:
        self.strength = strength
        lengths = np.arange(LONGEST + 1)
        self._votes = np.where(lengths < SHORTEST, 0.0, (lengths / EQUAL) ** 3)
        self._steps = np.full(EVENTS, BEGINS, np.int16)
        self._whats = np.zeros(EVENTS, np.int16)
        self._dts = np.zeros(EVENTS, np.int16)
        self._regards = np.zeros(EVENTS, np.int8)
        self._counts = np.zeros(EVENTS, np.float32)  # what the votes of each are multiplied by
        self._played, self._liked = _Ring(0, PLAYED), _Ring(PLAYED, LIKED)
        self._last: Token | None = None  # of the player's own; None: nothing led to his next
        before = 0
        for what, dt, kind, regard in ROW.iter_unpack(remembered):
            ring = self._liked if kind & FAVOURED else self._played
            self._put(ring, BEGINS if kind & FIRST else _step(before, what), what, dt, regard)
            before = what

    @property
    def kept(self) -> int:
        """How many events of the player's were kept in all. The last `PLAYED` of them are still there."""
        return self._played.count

    def remembered(self) -> bytes:
        """All of it, to make another one of, which begins a new run; `ROW` after `ROW`, the oldest first."""
        return self._rows(self._played, 0) + self._rows(self._liked, FAVOURED)

    def _rows(self, ring: _Ring, kind: int) -> bytes:
        places = ring.places(range(ring.count))
        first = self._steps[places] == BEGINS
        first[:1] = True  # what led to the oldest is forgotten
        columns = (self._whats[places], self._dts[places], first * FIRST + kind, self._regards[places])
        return np.stack(columns, axis=1).astype(np.uint8).tobytes()

    def follow(self, runs: np.ndarray, last: Token, token: Token) -> np.ndarray:
        """The runs after `token`, whoever played it."""
        if not self.kept:
            return runs
        longer = np.empty_like(runs)
        longer[1:], longer[0], longer[PLAYED] = runs[:-1], runs[PLAYED - 1], runs[-1]
        np.minimum(longer + 1, LONGEST, out=longer, casting="unsafe")
        longer *= self._steps == _step(last.what, token.what)
        return longer

    def keep(self, runs: np.ndarray, token: Token) -> np.ndarray:
        """Remember `token`, in the place of the oldest, as what came after the player's last event, whatever was
        played in between. Gives its runs (`follow`) without that one's.
        """
        last, self._last = self._last, token
        if last is None:
            place = self._put(self._played, BEGINS, token.what, 0)
        else:
            dt = codec.dt_bin(token.tick - last.tick)
            place = self._put(self._played, _step(last.what, token.what), token.what, dt)
        runs = runs.copy()
        runs[place] = 0
        return runs

    def regard(self, phrase: range, regard: int) -> None:
        """From now on the events of those numbers (`kept`) count for more, or for less: `-BEST` to `BEST`."""
        places = self._played.places(phrase)
        self._regards[places] = regard
        self._counts[places] = WORTH[regard + BEST] * (self._steps[places] != BEGINS)
        self._counts[self._played.next] = 0.0

    def learn(self, runs: np.ndarray, phrase: range, answer: Sequence[Token], regard: int) -> np.ndarray:
        """Remember a phrase, by its numbers, and what was answered, as one run, among what is liked; the first of
        `answer` is what it came after. Gives the runs with these.
        """
        places = self._played.places(phrase[-MOST_LEARNT:])
        lengths = np.minimum(runs[places], np.arange(len(places)) + 1)  # those of the phrase where it stands already
        rows = list(zip(self._whats[places].tolist(), self._dts[places].tolist(), lengths.tolist(), strict=True))
        told = list(pairwise(answer))[-MOST_LEARNT:]
        rows += [(token.what, codec.dt_bin(token.tick - last.tick), 0) for last, token in told]
        runs, before = runs.copy(), None
        for what, dt, length in rows:
            step = BEGINS if before is None else _step(before, what)
            runs[self._put(self._liked, step, what, dt, regard)] = length
            before = what
        return runs

    def _put(self, ring: _Ring, step: int, what: int, dt: int, regard: int = 0) -> int:
        """In the place of the oldest; gives the place."""
        place = ring.next
        ring.count += 1
        self._steps[place], self._whats[place], self._dts[place], self._regards[place] = step, what, dt, regard
        self._counts[place] = 0.0 if step == BEGINS else WORTH[regard + BEST]
        self._counts[ring.next] = 0.0  # what is oldest never came after what is newest
        return place

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
        places = AFTER[ends]
        return places, self.strength * self._votes[runs[ends]] * self._counts[places]


class _Ring:
    """Places in a row; where all are taken, the oldest is taken next."""

    def __init__(self, begin: int, size: int) -> None:
        self._begin, self._size = begin, size
        self.count = 0  # of all that were ever put there

    @property
    def next(self) -> int:
        return self._begin + self.count % self._size

    def places(self, numbers: range) -> np.ndarray:
        """Of those numbers, counted from the first that was ever put there, that are still there."""
        first = max(numbers.start, self.count - self._size)
        return self._begin + np.arange(first, min(numbers.stop, self.count)) % self._size


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
    for _, dt, kind, regard in ROW.iter_unpack(remembered):
        if dt >= codec.DTS or kind > FIRST + FAVOURED or abs(regard) > BEST:
            raise ValueError("no memory")
    return remembered


def _step(before: int, what: int) -> int:
    interval = what % codec.PITCHES - before % codec.PITCHES
    return (OFFS if what >= codec.OFF else 0) + UNISON + interval
