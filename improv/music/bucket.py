"""So many at once, and so many a second after that: decided by stamps alone."""

from __future__ import annotations

from improv.music.timeline import NS

LONG_AGO_NS = -(1 << 62)


class Bucket:
    def __init__(self, size: int, per_s: float) -> None:
        """Full at first."""
        self._every_ns = round(NS / per_s)
        self._full_ns = size * self._every_ns  # what it takes to fill it
        self._taken_ns = LONG_AGO_NS  # it is as full as the time since then is long

    def take(self, time_ns: int) -> bool:
        """Whether there is one more. Each taken is gone."""
        if time_ns < self.ready_ns():
            return False
        self._taken_ns = max(self._taken_ns, time_ns - self._full_ns) + self._every_ns
        return True

    def ready_ns(self) -> int:
        """From when on there is one."""
        return self._taken_ns + self._every_ns
