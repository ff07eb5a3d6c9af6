"""When the machine joins a player who plays on."""

from __future__ import annotations

JOINS_AT = 3  # of his notes: then he plays a phrase, and has not only touched a key


class Company:
    """Counts what the player plays by himself, until there is enough of it to join."""

    def __init__(self) -> None:
        self._notes = 0
        self._sits_out = False
        self.joins_ns: int | None = None  # when the machine may come in; None: not yet

    def hear(self, time_ns: int) -> None:
        self._notes += 1
        if self._notes >= JOINS_AT and self.joins_ns is None and not self._sits_out:
            self.joins_ns = time_ns

    def sit_out(self) -> None:
        """It does not, before they part."""
        self._sits_out, self.joins_ns = True, None

    def part(self) -> None:
        """The player's phrase is over, or the machine waits for more of it."""
        self._notes, self._sits_out, self.joins_ns = 0, False, None
