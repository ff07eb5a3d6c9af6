"""What can be taken back: where everything stood before each phrase of the player's, and before each answer to it."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import numpy as np

from improv.music.turns import Phrase
from improv.net.hearing import Hearing
from improv.net.memory import Memory
from improv.soloist import Known

NOTHING = Known(None, (), Memory(), None, 0, (), ())
MOST = 32  # of both, that are kept: the last ones


class Again(NamedTuple):
    """Another answer is asked for, to the same phrase, or one that varies the last."""

    time_ns: int
    phrase: Phrase | None  # None: to nothing, it was just asked for
    varies: bool = False


class Moment(NamedTuple):
    """All that was known, and what had been heard but not yet read. Never written to."""

    known: Known
    hearing: Hearing
    again: Again | None = None  # before an answer: what asks for another; before a phrase there is none

    @property
    def sounding(self) -> set[int]:
        """The pitches that sounded."""
        stream = self.known.stream
        return self.hearing.sounding([] if stream is None else np.flatnonzero(stream.held).tolist())


class Takes:
    def __init__(self) -> None:
        self._moments: deque[Moment] = deque(maxlen=MOST)
        self._frozen: Moment | None = None
        self.freezing = False

    def begin_phrase(self, here: Moment) -> Moment:
        """The player's phrase begins. Gives what is to be known then: where it is frozen, that does not change."""
        if self.freezing:
            here = self._frozen = self._frozen or here
        self._moments.append(here)
        return here

    def begin_answer(self, here: Moment, again: Again) -> None:
        """An answer was decided, and what would ask for another."""
        self._moments.append(here._replace(again=again))

    def read(self, known: Known, hearing: Hearing) -> None:
        """All that the answer follows has been read by now."""
        self._moments[-1] = self._moments[-1]._replace(known=known, hearing=hearing)

    def undo(self) -> Moment | None:
        """The last of them; after that the one before, and so on."""
        return self._moments.pop() if self._moments else None

    @property
    def again(self) -> Again | None:
        """What asks for another answer; None: there was none, or more was played since."""
        return self._moments[-1].again if self._moments else None

    def freeze(self, in_phrase: bool) -> None:
        """What is known stays as it is: as it was before the phrase that is being played. Or no longer."""
        self.freezing = not self.freezing
        phrases = (moment for moment in reversed(self._moments) if moment.again is None)
        self._frozen = next(phrases, None) if self.freezing and in_phrase else None

    def forget(self) -> None:
        self._moments.clear()
        self._frozen = None
