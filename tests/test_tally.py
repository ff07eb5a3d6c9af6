"""What a session tells at its end."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from improv.live.tally import Histogram, Tally, percentile
from improv.midi import wire
from improv.midi.frames import Sent
from improv.music.events import Late, NoteOff, NoteOn, Retime, TurnBegins
from improv.music.timeline import NS, Timeline

MS = 1_000_000
SHARES = (0.5, 0.95, 0.99)


@pytest.mark.parametrize("kind", ["even", "normal", "heavy", "far"])
def test_percentiles_are_within_one_percent(kind: str) -> None:
    dice = np.random.default_rng(7)
    times_ns = {
        "even": dice.uniform(1e3, 5e6, 20_000),
        "normal": np.abs(dice.normal(2e6, 3e5, 20_000)),
        "heavy": dice.lognormal(math.log(200e3), 0.8, 20_000),
        "far": np.concatenate([dice.uniform(1e4, 1e5, 19_000), dice.uniform(1e9, 1e12, 1_000)]),
    }[kind].astype(np.int64)
    histogram = Histogram()
    for time_ns in times_ns.tolist():
        histogram.add(time_ns)
    for share in SHARES:
        truly_ms = float(np.percentile(times_ns, 100 * share, method="inverted_cdf")) / 1e6
        assert histogram.percentile_ms(share) == pytest.approx(truly_ms, rel=0.01)
    assert histogram.most_ns == times_ns.max() and histogram.count == len(times_ns)
    assert len(histogram._classes) < 2_100  # from a microsecond to a quarter of an hour, however many came


@pytest.mark.parametrize("count", [1, 2, 3, 20, 100, 101])
def test_ranks_are_those_of_the_nearest(count: int) -> None:
    """The class of a time is half a percent wide to either side, and these times lie further apart."""
    times_ns = [round(10_000 * 1.1**n) for n in range(count)]
    histogram = Histogram()
    for time_ns in reversed(times_ns):
        histogram.add(time_ns)
    for share in (*SHARES, 0.0, 1.0):
        truly = float(np.percentile(times_ns, 100 * share, method="inverted_cdf"))
        assert percentile(times_ns, share) == truly
        assert histogram.percentile_ms(share) * 1e6 == pytest.approx(truly, rel=0.006)


def test_where_there_is_nothing_there_is_no_percentile() -> None:
    assert math.isnan(Histogram().percentile_ms(0.5)) and math.isnan(percentile([], 0.5))


def test_times_below_a_microsecond_count_as_that() -> None:
    histogram = Histogram()
    for time_ns in (0, -5, 999, 1000):
        histogram.add(time_ns)
    assert histogram.percentile_ms(0.5) == pytest.approx(1e-3, rel=0.01) and histogram.most_ns == 1000


def sent(pitch: int, due_ms: float, sent_ms: float) -> Sent:
    return Sent(round(due_ms * MS), round(sent_ms * MS), wire.spell(NoteOn(0, pitch, 64), 2))


def test_a_session_that_was_silent_says_so() -> None:
    assert Tally().lines() == ["heard 0 notes, answered with 0"]


def test_what_happened_is_told_line_by_line() -> None:
    tally = Tally()
    tally.hear(NoteOn(0, 60, 64))
    tally.hear(NoteOff(100 * MS, 60))
    tally.begin_turn(TurnBegins(1_000 * MS))
    tally.send(sent(60, 1_000, 1_005))
    for n in range(100):
        tally.send(sent(62, 1_100 + n, 1_100 + n + (0.1 if n < 96 else 2.0)))
        tally.send(Sent(0, 10 * NS, wire.spell(NoteOff(0, 62), 2)))
        tally.steps.add(3 * MS)
    lines = tally.lines()
    figures = r"(\d+\.\d\d) ms p50, (\d+\.\d\d) p95, (\d+\.\d\d) p99, (\d+\.\d\d) max"
    told = (
        ("notes sent late by", (0.1, 0.1, 2, 2)),
        ("a step of the engine took", (3,) * 4),
    )
    assert lines[0] == "heard 1 note, answered with 101"
    assert re.fullmatch(r"took over in median (4\.9[5-9]|5\.00) ms, at most 5\.00", lines[1])
    for line, (name, times_ms) in zip(lines[2:4], told, strict=True):
        assert (found := re.fullmatch(f"{name} {figures}", line)), line
        assert [float(figure) for figure in found.groups()] == pytest.approx(times_ms, rel=0.01)
    assert lines[4] == "end of phrase to first note 0.91 s"
    assert lines[5] == "late: 4 notes sent all the same"
    assert len(lines) == 6


def test_the_rungs_are_counted() -> None:
    tally = Tally()
    for late in (
        Late(0, 0, 30 * MS, 30 * MS, 2, ended=False),
        Late(0, 0, 50 * MS, 50 * MS, 1, False),
        Late(0, 0, NS, 0, 0, True),
    ):
        tally.hear(late)
    assert tally.lines()[-1] == "late: 2 times the rest moved (3 inner notes left out), 1 answer ended"


@pytest.mark.parametrize("thinned", [0, 1])
def test_what_did_not_happen_is_left_out(thinned: int) -> None:
    tally = Tally()
    tally.hear(Late(0, 0, 30 * MS, 30 * MS, thinned, ended=False))
    assert tally.lines()[-1] == "late: 1 time the rest moved" + " (1 inner note left out)" * thinned
    tally = Tally()
    tally.begin_turn(TurnBegins(0))
    tally.send(sent(60, 5, 5))
    tally.send(sent(60, 1_000, 1_005))
    assert tally.lines()[-1] == "late: 1 note sent all the same"


@pytest.mark.parametrize(
    ("count", "told", "times_ms"),
    [
        (19, "median _ ms, at most _", (3, 9)),
        (20, "_ ms p50, _ p95, _ p99, _ max", (3, 3, 9, 9)),
    ],
)
def test_of_few_values_only_the_median_and_the_most_are_told(
    count: int, told: str, times_ms: tuple[float, ...]
) -> None:
    histogram = Histogram()
    for time_ms in (*(3,) * (count - 1), 9):
        histogram.add(time_ms * MS)
    figure = re.compile(r"\d+\.\d\d")
    assert figure.sub("_", histogram.line()) == told
    assert [float(found) for found in figure.findall(histogram.line())] == pytest.approx(times_ms, rel=0.01)


def test_a_turn_that_never_sounded_takes_nothing_over() -> None:
    tally = Tally()
    tally.begin_turn(TurnBegins(0))
    tally.begin_turn(TurnBegins(9 * NS))
    tally.send(sent(60, 9_005, 9_010))
    assert tally.takeovers.count == 1 and tally.takeovers.most_ns == 10 * MS


def test_waiting_for_the_beat_is_no_part_of_taking_over() -> None:
    tally = Tally()
    tally.begin_turn(TurnBegins(9 * NS))
    tally.send(sent(60, 9_030, 9_031))
    assert tally.takeovers.most_ns == 6 * MS


def test_a_tempo_is_inferred_only_where_no_beat_is_known() -> None:
    tally = Tally()
    tally.retime(Retime(0, Timeline(metric=True)))
    for i in range(40):
        tally.hear(NoteOn(i * NS // 2, 60, 80))
    assert not any("tempo" in line for line in tally.lines())
    tally.retime(Retime(0, Timeline()))
    for i in range(40, 80):
        tally.hear(NoteOn(i * NS // 2, 60, 80))
    assert any("tempo" in line for line in tally.lines())


def played(tally: Tally, onsets_ms: list[float]) -> Tally:
    for onset_ms in onsets_ms:
        tally.hear(NoteOn(round(onset_ms * MS), 60, 64))
    return tally


def test_an_even_tempo_is_shown_with_its_confidence() -> None:
    line = played(Tally(), [500.0 * n for n in range(24)]).lines()[-1]
    assert (found := re.fullmatch(r"your own tempo: about (\d+) bpm \(confidence (\d+)%\)", line))
    assert 118 <= int(found[1]) <= 122 and int(found[2]) >= 50


def test_a_tempo_that_is_likely_wrong_is_not_shown() -> None:
    dice = np.random.default_rng(3)
    tally = played(Tally(), np.cumsum(dice.exponential(300, 40)).tolist())
    inferred = tally.onsets.tempo()
    assert inferred is not None and inferred.confidence < 0.5
    assert not any("tempo" in line for line in tally.lines())
