"""The doctor: what it measures and how it judges, on a thread, with few notes."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from improv import doctor
from improv.midi.frames import Report
from improv.midi.outlet import ThreadOutlet
from tests.nets import lively

FIGURES = {
    f"{name}_{share}": 1.0
    for name in ("take_over_ms", "step_ms", "event_ms", "sent_late")
    for share in ("p50", "p95", "p99", "max")
}
FOUND = {
    **FIGURES,
    "apis": ["jack"],
    "loopback": {**FIGURES, "through": "jack", "latency_p50": 1.0, "displacement_p99": 1.0},
    "weights": "open",
    "start_up_s": 0.4,
    "latency_ok": True,
    "displacement_ok": True,
    "take_over_ok": True,
}


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "NOTES", 40)
    monkeypatch.setattr(doctor, "PHRASES", 3)


@pytest.mark.usefixtures("few")
def test_one_note_that_is_held_up_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def stalling(send: Callable[[bytes], None], report: Callable[[Report], None]) -> ThreadOutlet:
        stalls = [0.1]

        def held_up(message: bytes) -> None:
            if message[2] == 10 and stalls:  # the velocity is the note's number
                time.sleep(stalls.pop())
            send(message)

        return ThreadOutlet(held_up, report)

    monkeypatch.setattr(doctor, "ThreadOutlet", stalling)
    found = doctor.loopback(None)
    assert found.sent_late_max >= 100 and found.displacement_p99 >= 90
    assert found.latency_p50 < 50 and found.sent_late_p50 < 50


@pytest.mark.usefixtures("few")
def test_each_phrase_is_answered_and_timed() -> None:
    pieces: list[None] = []
    tally = doctor.take_overs(lively(), None, lambda: pieces.append(None))
    assert tally.heard == 3 * len(doctor.PHRASE) and len(pieces) == 3
    assert 1 <= tally.takeovers.count <= 3  # a busy machine may be too late for one
    assert tally.takeovers.percentile_ms(0.5) > 4  # an answer begins 5 ms after it was decided
    assert tally.steps.count > 3 * len(doctor.PHRASE)


def test_every_figure_is_said() -> None:
    said = "\n".join(doctor.lines(FOUND))
    for name in ("latency", "displacement", "take-over", "sent late by", "a step takes", "one event", "start-up"):
        assert name in said
    assert said.count("1.000 ms p50, 1.000 p95, 1.000 p99, 1.000 max") == 4 and said.count("pass") == 3


@pytest.mark.parametrize("verdict", ["latency_ok", "displacement_ok", "take_over_ok"])
def test_each_threshold_decides_the_exit_status(verdict: str) -> None:
    assert doctor.passes(FOUND)
    assert not doctor.passes({**FOUND, verdict: False})
    assert doctor.passes({**FOUND, verdict: None})  # not measured
    assert "FAIL" in "\n".join(doctor.lines({**FOUND, verdict: False}))
