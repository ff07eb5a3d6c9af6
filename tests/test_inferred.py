"""The tempo inferred from free playing."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from improv.music.inferred import MOST_ONSETS, Inferred, Onsets, tempo
from improv.music.timeline import NS

MS = NS // 1000


def infer(onsets_s: Sequence[float]) -> Inferred:
    found = tempo([round(time_s * NS) for time_s in onsets_s])
    assert found is not None
    return found


def played(beats: Sequence[float], bpm: float, jitter_s: float = 0.0, seed: int = 1) -> list[float]:
    """When notes on these beats sound, as unevenly as people play."""
    rng = random.Random(seed)
    return [beat * 60 / bpm + rng.gauss(0, jitter_s) for beat in beats]


def poisson(seed: int, notes: int = 45, per_s: float = 4.5) -> list[float]:
    rng = random.Random(seed)
    times = [0.0]
    while len(times) < notes:
        times.append(times[-1] + rng.expovariate(per_s))
    return times


@pytest.mark.parametrize("notes", [12, 20, 33])
def test_even_eighths_at_100_bpm_are_taken_for_eighths_not_beats(notes: int) -> None:
    found = infer(played([i / 2 for i in range(notes)], 100))
    assert found.bpm == pytest.approx(100, rel=0.01)
    assert found.confidence > 0.9


@pytest.mark.parametrize("bpm", [48, 66, 90, 132, 180])
def test_a_rhythm_with_human_timing_has_its_tempo_or_a_level_of_it(bpm: float) -> None:
    bars = [4 * bar + beat for bar in range(6) for beat in (0, 1, 1.5, 2, 3, 3.5)]
    found = infer([t for t in played(bars, bpm, jitter_s=0.012) if t < 11])
    assert min(abs(found.bpm / (bpm * level) - 1) for level in (1 / 2, 1, 2)) < 0.03
    assert found.confidence > 0.8


def test_moderate_tempi_are_preferred() -> None:
    assert infer(played(range(12), 100)).bpm == pytest.approx(100, rel=0.01)
    assert infer(played(range(36), 220)).bpm == pytest.approx(110, rel=0.01)


def test_notes_struck_together_tell_the_beat() -> None:
    """Even eighths are grouped in threes by the chords on each third."""
    eighths = played([i / 3 for i in range(36)], 80)
    chords = [time + spread for time in eighths[::3] for spread in (0.004, 0.009, 0.02)]
    assert infer(eighths + chords).bpm == pytest.approx(80, rel=0.01)
    assert infer(eighths).bpm == pytest.approx(120, rel=0.01)


def test_playing_without_a_beat_gets_little_confidence() -> None:
    found = sorted(infer(poisson(seed)).confidence for seed in range(60))
    assert found[30] < 0.35 and found[54] < 0.7


def test_the_less_even_the_less_confidence() -> None:
    steady, human, loose = (
        sum(infer(played([i / 2 for i in range(30)], 100, jitter_s, seed)).confidence for seed in range(20)) / 20
        for jitter_s in (0.0, 0.02, 0.08)
    )
    assert steady > human + 0.02 and human > 0.6 and loose < 0.5


def test_rubato_gets_less_confidence_than_an_even_beat() -> None:
    time_s, rubato = 0.0, []
    for i in range(30):
        rubato.append(time_s)
        time_s += 0.3 * (1.6 if i % 10 > 6 else 1.0 + 0.07 * (i % 7))
    assert infer(rubato).confidence < 0.5


def test_fewer_than_eight_notes_or_chords_tell_nothing() -> None:
    onsets_ns = [i * 500 * MS for i in range(8)]
    assert tempo(onsets_ns) is not None
    assert tempo(onsets_ns[:7]) is None
    assert tempo([time + roll for time in onsets_ns[:7] for roll in (0, 20 * MS, 50 * MS)]) is None


def test_less_than_three_beats_tell_nothing() -> None:
    assert tempo([i * 60 * MS for i in range(12)]) is None


def test_only_the_last_twelve_seconds_count() -> None:
    before = played(range(100), 130)
    after = [before[-1] + 2 + time for time in played(range(40), 100)]
    assert infer(before + after) == infer(after)
    onsets_ns = [8 * NS + i * 600 * MS for i in range(7)]
    assert tempo([onsets_ns[-1] - 12 * NS, *onsets_ns]) is not None
    assert tempo([onsets_ns[-1] - 12 * NS - 1, *onsets_ns]) is None


def test_the_order_and_the_hour_do_not_matter() -> None:
    onsets_ns = [round(time_s * NS) for time_s in poisson(3)]
    shuffled = random.Random(1).sample(onsets_ns, len(onsets_ns))
    assert tempo([time + 10**18 for time in shuffled]) == tempo(onsets_ns)


def test_onsets_remembers_the_latest_and_no_more() -> None:
    onsets = Onsets()
    assert onsets.tempo() is None
    for i in range(3 * MOST_ONSETS):
        onsets.note(i * 10 * MS)
    assert len(onsets._onsets_ns) == MOST_ONSETS
    for i in range(30):
        onsets.note(60 * NS + i * 600 * MS)
    assert onsets.tempo() == infer(played(range(30), 100))


@given(st.lists(st.one_of(st.integers(-(10**19), 10**19), st.integers(0, 12 * NS)), max_size=60))
@example([0] * 60)
@example([i * 51 * MS for i in range(8)])
@example([i * 51 * MS for i in range(2000)])
def test_any_list_has_a_tempo_in_range_or_none(onsets_ns: list[int]) -> None:
    found = tempo(onsets_ns)
    assert found is None or (40 <= found.bpm <= 240 and 0 <= found.confidence <= 1)
