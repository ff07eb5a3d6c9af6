"""How an inferred scale is judged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from improv.errors import BadInput
from improv.music.scale import named
from improv.music.tonality import Likely
from tests import corpora
from train.judge import scales, votes
from train.judge.likeness import MAJOR, MINOR
from train.judge.scales import READINGS, Place


def place(shares: dict[int, float], heard: dict[int, np.ndarray], corpus: str = "own", share: float = 0.9) -> Place:
    """Where C major is ours; what was heard of each pitch class by some readings, C major by the others."""
    by_reading = np.stack([heard.get(i, np.array(MAJOR)) for i in range(len(READINGS))])
    came = np.array([shares.get(pitch_class, 0.0) for pitch_class in range(12)])
    return Place(corpus, Likely(named("C major"), share), np.zeros((2, 12)), by_reading, came)


@pytest.mark.parametrize("tonic", range(12))
def test_krumhansls_finds_the_key_of_its_own_profiles(tonic: int) -> None:
    names = scales.scale.TONICS
    assert scales.krumhansl(np.roll(MAJOR, tonic)) == named(f"{names[tonic]} major")
    assert scales.krumhansl(np.roll(MINOR, tonic)) == named(f"{names[tonic]} minor")
    assert scales.krumhansl(np.roll(MINOR, tonic), "harmonic minor") == named(f"{names[tonic]} harmonic minor")


def test_notes_inside_are_counted() -> None:
    came = place({0: 0.5, 4: 0.25, 6: 0.25}, {})
    assert scales.within(named("C major"), came) == 0.75
    assert scales.within(named("G major"), came) == 1
    assert scales.within(named("chromatic"), came) == 1


def test_krumhansl_gets_the_window_that_does_best_by_corpus_alike() -> None:
    f_sharp = np.roll(MAJOR, 6)
    good, bad = {0: 1.0}, {3: 1.0}  # C, in C major; E flat, in F sharp major alone
    places = [place(good, {2: f_sharp}, "large")] * 9 + [place(bad, {2: f_sharp, 12: f_sharp}, "small")]
    assert scales.best_readings(places)["durations"] == 12
    assert READINGS[scales.best_readings(places)["durations"]][0] == "durations"


def test_a_row_says_what_is_inside_of_all_and_of_what_is_locked() -> None:
    places = [place({0: 1.0}, {}), place({1: 1.0}, {}, share=0.5), place({0: 0.5, 1: 0.5}, {})]
    row = scales._row(places, {"durations": 9, "notes": 0})
    assert row["share_locked"] == pytest.approx(2 / 3)
    assert row["inside"]["ours"] == row["inside"]["krumhansl"] == 0.5
    assert row["inside_locked"]["ours"] == 0.75
    assert row["inside"]["in_hindsight"] == 1
    assert scales._row(places[1:2], {"durations": 9, "notes": 0})["inside_locked"]["ours"] is None


def test_windows_count_notes_or_how_long_they_sounded() -> None:
    columns = ([0, 1, 2], [0.0, 5.0, 9.0], [8.0, 1.0, 9.0], [60, 62, 64], [1, 1, 1])
    before = scales.Notes(*map(np.array, columns))
    assert scales._heard(before, 10.0, "notes", 6.0)[[0, 2, 4]].tolist() == [0, 1, 1]
    assert scales._heard(before, 10.0, "notes", np.inf)[[0, 2, 4]].tolist() == [1, 1, 1]
    assert scales._heard(before, 10.0, "durations", 6.0)[[0, 2, 4]].tolist() == [4, 1, 1]
    assert scales._heard(before, 10.0, "durations", np.inf)[[0, 2, 4]].tolist() == [8, 1, 1]


def test_of_music_in_c_all_that_follows_is_inside() -> None:
    source = [corpora.piece(seed, 200) for seed in range(3)]
    places = scales.draw(source, "places", count=20)
    assert len(places) == 20
    assert all(place.likely.scale == named("C major") for place in places)
    found = scales.figures(source, source)
    assert found["all"]["inside"]["ours"] == found["all"]["inside"]["in_hindsight"] == 1
    assert found["pitch_classes"] == {"ours": 7, "krumhansl": 7}


def test_what_is_heard_next_does_not_tell_what_is_inferred() -> None:
    """Cut off after each place, a piece has the same scale there."""
    whole = corpora.piece(1, 200)
    first = scales.draw([whole], "places", count=1)[0]
    again = scales.draw([whole], "places", count=1)[0]
    assert first.likely == again.likely and (first.heard == again.heard).all()


def test_of_what_was_heard_the_same_is_expected_most() -> None:
    learned = votes.learn([corpora.piece(seed, 200) for seed in range(4)])
    assert learned.shape == (2, 12)
    assert learned.mean(axis=1) == pytest.approx(0)
    assert learned.sum(axis=0).argmax() == 0


def test_pieces_too_short_for_a_place_are_refused() -> None:
    with pytest.raises(BadInput, match="16 s"):
        scales.draw([corpora.piece(1, 60)], "places")


def test_from_the_command_line(tmp_path: Path) -> None:
    data = corpora.prepared(tmp_path, notes=200)
    printed = corpora.improv_train("scales", str(data))
    assert "100.0%" in printed and "Krumhansl" in printed and "tunes" in printed
    assert corpora.improv_train("scales", str(data), "--learn").count("),") == 2
    assert "--part all" in corpora.improv_train("scales", str(data), "--part", "all", status=2)
    refused = corpora.improv_train("scales", str(tmp_path / "nothing"), status=2)
    assert "no validation and test pieces there" in refused
