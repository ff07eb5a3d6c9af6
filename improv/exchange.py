"""A phrase, the answer to it, and what the player thinks of both."""

from __future__ import annotations

import copy

from improv.net.codec import Token
from improv.net.memory import BEST


class Exchange:
    """`phrase` numbers what the memory kept of it; `answer` is what was played, after the token it came after."""

    def __init__(self, phrase: range, after: Token) -> None:
        self.phrase = phrase
        self.answer = [after]
        self.regard = 0

    def copy(self) -> Exchange:
        other = copy.copy(self)
        other.answer = self.answer.copy()
        return other

    def mark(self, good: bool) -> None:
        """Once more good, or once more bad: one undoes the other."""
        self.regard = min(self.regard + 1, BEST) if good else max(self.regard - 1, -BEST)

    def take_back(self, last: Token) -> None:
        """What was to be played after `last` never was."""
        while len(self.answer) > 1 and self.answer[-1] is not last:
            self.answer.pop()
