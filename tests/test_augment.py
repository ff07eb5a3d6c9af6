"""What a pass over a piece may change, and what it leaves alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from improv.net import codec
from tests import corpora
from train.corpora.pieces import Piece, packed_held
from train.network import augment, batches
from train.network.augment import Amounts, Augment

METRIC = corpora.piece(3, 80)
FREE = METRIC._replace(
    columns={
        **METRIC.columns,
        "phase": np.full_like(METRIC.columns["phase"], codec.NO_PHASE),
        "bar": np.full_like(METRIC.columns["bar"], np.nan),
        "tempo": np.full_like(METRIC.columns["tempo"], np.nan),
    }
)


def notes(piece: Piece) -> list[tuple[int, int, int, int]]:
    """Onset, pitch, length, velocity, in ticks."""
    ticks, began, found = np.cumsum(piece.columns["dt"].astype(int)), {}, []
    for tick, what, velocity in zip(ticks.tolist(), piece.columns["what"], piece.columns["velocity"], strict=True):
        if what < codec.OFF:
            began[int(what)] = (tick, int(velocity))
        else:
            onset, struck = began.pop(int(what) - codec.OFF)
            found.append((onset, int(what) - codec.OFF, tick - onset, struck))
    assert not began
    return sorted(found)


def test_music_in_beats_keeps_its_ticks_and_hears_another_tempo() -> None:
    shown = augment.retimed(METRIC, Augment(faster=0.5))
    np.testing.assert_array_equal(shown.columns["dt"], METRIC.columns["dt"])
    np.testing.assert_allclose(shown.columns["tempo"], METRIC.columns["tempo"] + 0.5)


def test_free_music_an_octave_faster_takes_half_the_time() -> None:
    shown = augment.retimed(FREE, Augment(faster=1.0))
    for (a, *ours), (b, *theirs) in zip(notes(shown), notes(FREE), strict=True):
        assert abs(a - b / 2) <= 1 and abs(ours[1] - theirs[1] / 2) <= 1
        assert (ours[0], ours[2]) == (theirs[0], theirs[2])


def test_music_in_beats_may_count_as_free() -> None:
    """At 240 bpm a tick lasts half as long as one of free time does."""
    fast = METRIC._replace(columns={**METRIC.columns, "tempo": np.ones_like(METRIC.columns["tempo"])})
    shown = augment.retimed(fast, Augment(clock=False, free=True))
    assert not np.isfinite(shown.columns["bar"]).any() and (shown.columns["phase"] == codec.NO_PHASE).all()
    assert np.isclose(shown.columns["dt"].sum(), METRIC.columns["dt"].sum() / 2, atol=2)
    assert len(notes(shown)) == METRIC.notes


@settings(max_examples=60, deadline=None)
@given(
    faster=st.floats(-1, 1), jitter=st.floats(0, 30), free=st.booleans(), metric=st.booleans(), seed=st.integers(0, 99)
)
def test_whatever_the_times_the_tokens_stay_in_order(
    faster: float, jitter: float, free: bool, metric: bool, seed: int
) -> None:
    how = Augment(faster=faster, jitter_ticks=jitter, free=free, clock=not free, seed=seed)
    shown = augment.retimed(METRIC if metric else FREE, how)
    length = len(shown.columns["dt"])
    whole = batches.window(shown, 0, length)
    came = whole.targets["what"][0]
    assert whole.allowed[0, np.arange(length), came].all()
    kept = [(pitch, velocity) for _, pitch, _, velocity in notes(METRIC)]
    assert sorted(kept) == sorted((pitch, velocity) for _, pitch, _, velocity in notes(shown))


def test_what_is_drawn_stays_within_its_amounts() -> None:
    rng = np.random.default_rng(1)
    amounts = Amounts(transpose=3, louder=0.5, faster=0.2, jitter_ticks=2, no_clock=0.5)
    drawn = [augment.draw(METRIC, rng, amounts) for _ in range(400)]
    assert {how.transpose for how in drawn} == set(range(-3, 4))
    assert max(abs(how.louder) for how in drawn) <= 0.5 and max(abs(how.faster) for how in drawn) <= 0.2
    assert 0.4 < np.mean([how.clock for how in drawn]) < 0.6
    assert not any(how.free and how.clock for how in drawn) and any(how.free for how in drawn)
    still = replace(amounts, transpose=0, louder=0.0, faster=0.0, jitter_ticks=0.0, no_clock=0.0, midway=0.0)
    plain = augment.draw(METRIC, rng, still)
    assert plain._replace(seed=0, style=True, who_split=-1, who_below=1) == Augment()


@settings(max_examples=40, deadline=None)
@given(begin=st.floats(0, augment.LATEST), faster=st.floats(-0.5, 0.5))
def test_a_pass_may_begin_midway(begin: float, faster: float) -> None:
    shown = augment.retimed(FREE, Augment(begin=begin, faster=faster))
    length = len(shown.columns["dt"])
    whole = batches.window(shown, 0, length)
    assert whole.allowed[0, np.arange(length), whole.targets["what"][0]].all()
    assert shown.notes == len(notes(shown))
    came = [pitch for _, pitch, _, _ in notes(shown)]
    assert came == [pitch for _, pitch, _, _ in notes(FREE)][-len(came) :] or faster


def test_both_players_are_told_apart_by_pitch() -> None:
    whole = batches.window(METRIC, 0, 100, Augment(who_split=60, who_below=2))
    what, who = whole.tokens[0, 1:, 1], whole.tokens[0, 1:, 5]
    np.testing.assert_array_equal(who, np.where(what % codec.PITCHES < 60, 2, 1))


def test_louder_scales_what_is_struck() -> None:
    plain, loud = (batches.window(METRIC, 0, 40, Augment(louder=octaves)).tokens[0, 1:, 2] for octaves in (0.0, 1.0))
    struck = plain < codec.NO_VELOCITY
    np.testing.assert_array_equal(loud[struck], np.minimum(2 * plain[struck], codec.VELOCITIES - 1))
    np.testing.assert_array_equal(loud[~struck], plain[~struck])


def test_of_a_piece_that_ends_in_a_long_release_something_is_left() -> None:
    chord = [48, 52, 55, 60, 64, 67, 72, 76]
    what = np.array([*chord, *(pitch + codec.OFF for pitch in chord)], np.uint8)
    columns = {name: column[: len(what)] for name, column in METRIC.columns.items()} | {"what": what}
    piece = METRIC._replace(columns=columns, held=packed_held(what), notes=8)
    shown = augment.retimed(piece, Augment(begin=0.8))
    assert len(shown.columns["dt"]) == len(what)
    batches.Streams([piece], 4, 16, 1, Amounts(midway=1.0)).next()
