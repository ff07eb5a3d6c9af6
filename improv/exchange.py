"""A phrase, the answer to it, and what the player thinks of both."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Sequence

from improv.net.codec import Token
from improv.net.memory import BEST, MOST_LEARNT


class Exchange:
    """`phrase` numbers what the memory kept of it; `answer` is what was played, after the token it came after;
    of a long one, the last of it.
    """

    def __init__(self, phrase: range, after: Token) -> None:
        self.phrase = phrase
        self.answer = deque([after], MOST_LEARNT + 1)
        self.regard = 0

    def copy(self) -> Exchange:
        other = copy.copy(self)
        other.answer = self.answer.copy()
        return other

    def mark(self, good: bool) -> None:
        """Once more good, or once more bad: one undoes the other."""
        self.regard = min(self.regard + 1, BEST) if good else max(self.regard - 1, -BEST)

    def take_back(self, tokens: Sequence[Token]) -> None:
        """These were planned, and never played."""
        left, kept = set(tokens), list[Token]()
        while left and len(self.answer) > 1:  # they are the last, or nearly so
            token = self.answer.pop()
            if token in left:
                left.discard(token)
            else:
                kept.append(token)
        self.answer.extend(reversed(kept))
