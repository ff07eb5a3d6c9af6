"""How the benches print what they find: a figure a line, with its target."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from typing import NamedTuple

from improv.live.tally import percentile


class Figure(NamedTuple):
    """One line of the report; `most` and `least` are its target, where it has one."""

    name: str
    value: float
    unit: str
    most: float | None = None
    least: float | None = None

    @property
    def met(self) -> bool | None:
        if self.most is None and self.least is None:
            return None
        return (self.most is None or self.value <= self.most) and (self.least is None or self.value >= self.least)

    def line(self) -> str:
        span = " to ".join(f"{bound:g}" for bound in (self.least, self.most) if bound is not None)
        target = f"target {'≤ ' if self.least is None else ''}{span} {self.unit}" if span else ""
        verdict = {None: "", True: "met", False: "MISSED"}[self.met]
        return f"  {self.name:<58}{self.value:10.3f} {self.unit:<7}{target:<24}{verdict}".rstrip()


Section = Iterator[Figure]


def both(name: str, values: list[float], unit: str, most: float | None = None) -> Section:
    """Median and p99; the target is the latter's."""
    yield Figure(f"{name}, median", percentile(values, 0.5), unit)
    yield Figure(f"{name}, p99", percentile(values, 0.99), unit, most)


def spread(values: list[float]) -> float:
    """How far from their median they are, p99."""
    middle = percentile(values, 0.5)
    return percentile([abs(value - middle) for value in values], 0.99)


@contextlib.contextmanager
def busy(processes: int = 2) -> Iterator[None]:
    """So many other processes of equal priority compute meanwhile."""
    command = [sys.executable, "-c", "while True: pass"]
    with contextlib.ExitStack() as ends:
        for _ in range(processes):
            ends.callback(ends.enter_context(subprocess.Popen(command)).kill)
        yield
