"""What is said when it listens."""

from __future__ import annotations

import pytest

from improv.config import Settings, override
from improv.live.wiring import Wiring

WIRING = Wiring("jack", "keys:out", "synth:in", builtin=False, thru=False)


@pytest.mark.parametrize(
    ("flags", "clock", "beat"),
    [
        ({}, None, "time is free"),
        ({"tap_cc": 20}, None, "time is free until it is tapped"),
        ({"bpm": 96.0, "tap_cc": 20}, None, "96 bpm from the first note"),
        ({"bpm": 96.5, "mode": "trade"}, None, "96.5 bpm from the first note, trading 4 bars"),
        (
            {"clock": "midi", "mode": "trade", "bars": 1},
            None,
            "beat by the clock of the same port from its Start on, trading 1 bar",
        ),
        (
            {"clock": "midi", "clock_out": True},
            "drums:out",
            'beat by the clock of "drums:out" from its Start on, clock out',
        ),
        ({"clock": "link", "bpm": 96.0, "click": True}, None, "beat by Link, click on channel 10"),
    ],
)
def test_it_says_what_it_keeps_time_by_and_what_it_does_with_it(
    flags: dict[str, object], clock: str | None, beat: str
) -> None:
    said = WIRING._replace(clock=clock).describe(override(Settings(), **flags), "open")
    ports = 'listening to "keys:out", playing on "synth:in", channel 2'
    assert said == f"{ports} (jack, thru off, weights open, {beat})"


def test_ports_of_its_own_are_named() -> None:
    said = WIRING._replace(source=None, sink=None).describe(Settings(), "open")
    assert said.startswith('listening to its own port "improv in", playing on its own port "improv out", channel 2 ')
