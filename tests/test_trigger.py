"""Triggers as a musician writes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from improv.music import trigger
from improv.music.trigger import HIGHEST, Trigger

TRIGGERS = st.sampled_from(sorted(HIGHEST)).flatmap(
    lambda kind: st.builds(Trigger, st.just(kind), st.integers(0, HIGHEST[kind]), st.none() | st.integers(1, 16))
)


@pytest.mark.parametrize(
    ("written", "on"),
    [
        (64, Trigger("cc", 64)),
        ("cc 0", Trigger("cc", 0)),
        ("CC 20 channel 3", Trigger("cc", 20, 3)),
        ("  Note  36   on channel 10 ", Trigger("note", 36, 10)),
        ("program 127", Trigger("program", 127)),
    ],
)
def test_a_trigger_is_read(written: int | str, on: Trigger) -> None:
    assert trigger.read(written) == on


@pytest.mark.parametrize(
    "written",
    [
        *(120, -1, 10**30, "", "64", "cc", "cc 120", "note 128", "program 128", "note C2", "note -1", "note 1.0"),
        *("cc 20 channel 0", "cc 20 channel 17", "cc 20 on", "cc 20 3", "note ٣٦", "notes 36", "bend", "note 36\x00"),
    ],
)
def test_what_is_none_is_refused(written: int | str) -> None:
    with pytest.raises(ValueError, match=r"^it must be a controller from 0 to 119, or [^\n]*$"):
        trigger.read(written)


@given(TRIGGERS)
def test_it_is_written_as_it_is_read(on: Trigger) -> None:
    assert trigger.read(str(on)) == on


def test_two_collide_where_one_message_could_be_both() -> None:
    anywhere, here, there = Trigger("cc", 20), Trigger("cc", 20, 1), Trigger("cc", 20, 2)
    assert anywhere.collides(here) and here.collides(anywhere) and here.collides(here)
    assert not here.collides(there)
    assert not any(anywhere.collides(other) for other in (Trigger("cc", 21), Trigger("note", 20)))
