"""Names of ports: how they are found, and what is said where they are not."""

from __future__ import annotations

import pytest

from improv.midi.ports import PortError, match, same_device

NAMES = ["Midi Through:Port-0 14:0", "nanoKEY2:nanoKEY2 MIDI 1 20:0", "nano", "Stage Piano (2):in"]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("NANO", "nano"),  # exact before prefix
        ("nanok", "nanoKEY2:nanoKEY2 MIDI 1 20:0"),
        ("piano", "Stage Piano (2):in"),
        ("key. midi", "nanoKEY2:nanoKEY2 MIDI 1 20:0"),
        ("piano (2)", "Stage Piano (2):in"),  # a substring before a pattern
        ("keys", "nano"),  # an alias
    ],
)
def test_a_name_is_exact_then_prefix_then_substring_then_pattern(wanted: str, found: str) -> None:
    assert match(wanted, NAMES, {"Keys": "nano"}, "input") == found


@pytest.mark.parametrize("wanted", ["organ", "([", ""])
def test_no_match_lists_what_is_there(wanted: str) -> None:
    if not wanted:
        assert match(wanted, NAMES, {}, "input") == NAMES[0]
        return
    with pytest.raises(PortError, match=r"no input port is called .*nanoKEY2:nanoKEY2 MIDI 1 20:0; nano"):
        match(wanted, NAMES, {}, "input")


@pytest.mark.parametrize(
    ("source", "sink", "same"),
    [
        ("Stage Piano:Stage Piano MIDI 1 20:0", "Stage Piano:Stage Piano MIDI 1 20:0", True),
        ("piano:out", "piano:in", True),
        ("nanoKEY2 IN", "nanoKEY2 OUT", True),
        ("nanoKEY2:MIDI 1", "FluidSynth:MIDI 1", False),
        ("keys 1", "synth 1", False),
        ("IAC Driver Bus 1", "IAC Driver Bus 2", False),
        ("system:midi_capture_1", "system:midi_playback_1", True),
        ("system:midi_capture_1", "system:midi_playback_2", False),
    ],
)
def test_two_ends_of_one_device_are_known_by_their_name(source: str, sink: str, same: bool) -> None:
    assert same_device(source, sink) is same
