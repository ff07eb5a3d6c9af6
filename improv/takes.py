"""What can be taken back: where everything stood before each phrase of the player's, and before each answer to it."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from improv.music.turns import Phrase
from improv.net.hearing import Hearing
from improv.net.memory import Memory
from improv.soloist import Known

NOTHING = Known(None, frozenset(), Memory(), None, 0)
MOST = 32  # of both, that are kept: the last ones


class Again(NamedTuple):
    """Another answer, to the same phrase, is asked for."""

    time_ns: int
    phrase: Phrase | None  # None: to nothing, it was just asked for


class Moment(NamedTuple):
    """All that was known, and what had been heard but not yet read. Never written to."""

    known: Known
    hearing: Hearing
    before_answer: bool = False  # else before a phrase
    phrase: Phrase | None = None  # that is answered


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

    def begin_answer(self, here: Moment, phrase: Phrase | None) -> None:
        """An answer to that phrase was decided."""
        self._moments.append(here._replace(before_answer=True, phrase=phrase))

    def read(self, known: Known, hearing: Hearing) -> None:
        """All that the answer follows has been read by now."""
        self._moments[-1] = self._moments[-1]._replace(known=known, hearing=hearing)

    def undo(self) -> Moment | None:
        """The last of them; after that the one before, and so on."""
        return self._moments.pop() if self._moments else None

    def again(self) -> Moment | None:
        """Where the last answer began; None: there is none, or more was played since."""
        return self._moments.pop() if self._moments and self._moments[-1].before_answer else None

    def freeze(self, in_phrase: bool) -> None:
        """What is known stays as it is: as it was before the phrase that is being played. Or no longer."""
        self.freezing = not self.freezing
        before = self._moments[-1] if in_phrase and self._moments else None
        self._frozen = before if self.freezing and before is not None and not before.before_answer else None

    def forget(self) -> None:
        self._moments.clear()
        self._frozen = None
