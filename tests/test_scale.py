"""Scales by name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from improv.music import scale
from improv.music.scale import NAMES, TONICS, named


@pytest.mark.parametrize(
    ("text", "classes"),
    [
        ("C major", {0, 2, 4, 5, 7, 9, 11}),
        ("A minor", {0, 2, 4, 5, 7, 9, 11}),
        ("D dorian", {0, 2, 4, 5, 7, 9, 11}),
        ("F# mixolydian", {6, 8, 10, 11, 1, 3, 4}),
        ("Cb major", {11, 1, 3, 4, 6, 8, 10}),
        ("B♭ harmonic minor", {10, 0, 1, 3, 5, 6, 9}),
        ("A minor pentatonic", {9, 0, 2, 4, 7}),
        ("C blues", {0, 3, 5, 6, 7, 10}),
        ("chromatic", set(range(12))),
        ("E chromatic", set(range(12))),
    ],
)
def test_a_name_has_its_notes(text: str, classes: set[int]) -> None:
    assert named(text).classes == classes


def test_how_it_is_written_does_not_matter() -> None:
    assert named("  eB   HALF-whole ") == named("D# half whole")


def test_scales_of_the_same_notes_are_alike_whatever_they_are_called() -> None:
    assert named("C major") == named("A minor") != named("A harmonic minor")
    assert len({named("C major"), named("E phrygian")}) == 1


def test_every_octave_of_a_note_is_in_it() -> None:
    pitches = named("C major pentatonic").pitches
    assert len(pitches) == 128
    assert [pitch for pitch in range(128) if pitches[pitch]][-5:] == [117, 120, 122, 124, 127]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("tonic", TONICS)
def test_a_scale_is_called_what_it_is_found_by(tonic: str, name: str) -> None:
    found = named(f"{tonic} {name}")
    assert named(found.name) == found
    assert len(found.classes) == len(NAMES[name])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "tonic"),
        ("H major", "tonic"),
        ("C## major", "tonic"),
        ("major", "tonic"),
        ("chromatic major", "tonic"),
        ("C", "known scale"),
        ("C maj", "major, minor"),
        ("C major pentatonic blues", "known scale"),
    ],
)
def test_what_is_no_scale_is_refused_in_a_sentence(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told) as refused:
        named(text)
    assert "\n" not in str(refused.value)


@given(st.text(max_size=40))
def test_any_text_is_a_scale_or_refused(text: str) -> None:
    try:
        assert named(text).classes
    except ValueError as error:
        assert "write" in str(error)


@given(st.integers(0, 11), st.sampled_from(sorted(NAMES)))
def test_a_scale_begins_on_its_tonic(tonic: int, name: str) -> None:
    assert scale.on(tonic, name).pitches[60 + tonic]
