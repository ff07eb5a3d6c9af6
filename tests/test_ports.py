"""Names of ports: how they are found, and what is said where they are not."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from improv.midi.ports import Absent, PortError, found_again, looker, match, same_device
from improv.midi.watch import Post, Watched

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


@pytest.mark.parametrize("wanted", ["organ", "(["])
def test_no_match_lists_what_is_there(wanted: str) -> None:
    with pytest.raises(PortError, match=r"no input port is called .*nanoKEY2:nanoKEY2 MIDI 1 20:0; nano"):
        match(wanted, NAMES, {}, "input")


@pytest.mark.parametrize(("wanted", "aliases"), [("", {}), (" ", {}), ("keys", {"Keys": ""})])
def test_an_empty_name_is_not_that_of_the_first_port(wanted: str, aliases: dict[str, str]) -> None:
    """It is that of no port that could come, either."""
    with pytest.raises(PortError, match=r"is the name of no input port; name one .*nanoKEY2") as refused:
        match(wanted, NAMES, aliases, "input")
    assert not isinstance(refused.value, Absent)


@pytest.mark.parametrize(
    "slow",
    ["(a|a)" * 30 + "$", "(.*)*x", "(?:a+)+$", ".*.*.*.*.*.*.*.*x", "a?" * 60 + "a" * 60, "x{99999999999}", "(" * 2000],
)
def test_no_pattern_takes_long(slow: str) -> None:
    with pytest.raises(PortError):
        match(slow, ["a" * 300], {}, "input")


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


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["keys", "nanoKEY2:nanoKEY2 MIDI 1 24:0"], "nanoKEY2:nanoKEY2 MIDI 1 24:0"),  # ALSA counts anew
        (["nanoKEY2:nanoKEY2 MIDI 1 24:0", "nanoKEY2:nanoKEY2 MIDI 1 20:0"], "nanoKEY2:nanoKEY2 MIDI 1 20:0"),
        (["nanoKEY2:nanoKEY2 MIDI 2 20:1", "nano"], None),
    ],
)
def test_a_port_is_found_again_though_its_driver_counts_anew(names: list[str], found: str | None) -> None:
    assert found_again("nanoKEY2:nanoKEY2 MIDI 1 20:0", names) == found


def looks(post: Post, *inputs: list[str] | None) -> list[tuple[bool, str | None] | None]:
    """What is said after each look at the inputs; None: the MIDI system is gone."""
    changes = [post.look(None if names is None else {"input": names, "output": []}) for names in inputs]
    return [None if change is None else (change.there, change.name) for change in changes]


def test_a_port_that_goes_and_comes_is_told_once_each() -> None:
    post = Post(0, Watched("input", "keys 20:0"))
    said = looks(post, ["keys 20:0"], [], [], ["keys 24:0"], ["keys 24:0"], None, None, ["keys 24:0"])
    assert said == [None, (False, "keys 20:0"), None, (True, "keys 24:0"), None, (False, "keys 24:0"), None,
                    (True, "keys 24:0")]  # fmt: skip


def test_a_twin_that_was_there_all_along_is_not_taken_for_it() -> None:
    post = Post(0, Watched("input", "keys 20:0"))
    assert looks(post, ["keys 20:0", "keys 24:0"], ["keys 24:0"], ["keys 24:0"]) == [None, (False, "keys 20:0"), None]
    assert looks(post, ["keys 24:0", "keys 28:0"]) == [(True, "keys 28:0")]


def test_one_of_our_own_is_there_as_long_as_the_system_is() -> None:
    assert looks(Post(0, Watched("output", None)), [], None, []) == [None, (False, None), (True, None)]


def test_what_is_missed_is_told_of_at_the_next_look() -> None:
    post = Post(0, Watched("input", "keys"))
    looks(post, ["keys"])
    post.miss()
    assert looks(post, ["keys"], ["keys"]) == [(True, "keys"), None]


def test_a_port_that_goes_away_in_the_midst_of_a_look_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(Exception):
        pass

    class Client:
        """Every third list holds one that is no more."""

        def __init__(self, *_: object, **__: object) -> None:
            self.lists = 0

        def get_ports(self, **_: object) -> list[SimpleNamespace]:
            self.lists += 1
            if self.lists % 3 == 1:
                raise Gone
            return [SimpleNamespace(name="keys")]

        def activate(self) -> None:
            pass

        set_shutdown_callback = set_port_registration_callback = lambda *_: None

    jack = SimpleNamespace(Client=Client, JackError=Gone, set_error_function=id, set_info_function=id)
    monkeypatch.setitem(sys.modules, "jack", jack)
    assert looker("jack", lambda: None).names() == {"input": ["keys"], "output": ["keys"]}
