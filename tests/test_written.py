"""A value is changed where it stands, and nothing else in the file."""

from __future__ import annotations

import difflib

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from improv import shipped, written

PAD = "note 36 on channel 10"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", f"controls:\n  turn: {PAD}\n"),
        ("# Mine.\n", f"# Mine.\ncontrols:\n  turn: {PAD}\n"),
        ("bpm: 90", f"bpm: 90\ncontrols:\n  turn: {PAD}\n"),
        (" bpm: 90\n\n", f" bpm: 90\n controls:\n   turn: {PAD}\n\n"),
        ("bpm: 90  # slow\n\n", f"bpm: 90  # slow\n\ncontrols:\n  turn: {PAD}\n"),
        ("controls:\n  turn: 67  # pedal\nbpm: 90\n", f"controls:\n  turn: {PAD}  # pedal\nbpm: 90\n"),
        ("controls:\n  turn:\nbpm: 90\n", f"controls:\n  turn: {PAD}\nbpm: 90\n"),
        ("controls:\n  turn: null # none\n", f"controls:\n  turn: {PAD} # none\n"),
        ("controls:\n  turn: 'cc 6' # six\n", f"controls:\n  turn: {PAD} # six\n"),
        (
            "controls:\n    tap: 20  # here\n    # and\n\n# there\nbpm: 90\n",
            f"controls:\n    tap: 20  # here\n    turn: {PAD}\n    # and\n\n# there\nbpm: 90\n",
        ),
        ("controls:\n  tap:\nbpm: 90\n", f"controls:\n  tap:\n  turn: {PAD}\nbpm: 90\n"),
        ("controls:\n  tap: 20", f"controls:\n  tap: 20\n  turn: {PAD}\n"),
        ("controls: # none\nbpm: 90\n", f"controls: # none\n  turn: {PAD}\nbpm: 90\n"),
        ("controls: {}\nbpm: 90\n", f"controls: \n  turn: {PAD}\nbpm: 90\n"),
        ("controls: null", f"controls: \n  turn: {PAD}\n"),
        ("controls: {tap: 20} # two\n", f"controls: {{turn: {PAD}, tap: 20}} # two\n"),
        ("controls: {tap: 20, turn: 67}\n", f"controls: {{tap: 20, turn: {PAD}}}\n"),
        ("{controls: {tap: 20}, bpm: 90}\n", f"{{controls: {{turn: {PAD}, tap: 20}}, bpm: 90}}\n"),
        ("{bpm: 90}\n", f"{{controls: {{turn: {PAD}}}, bpm: 90}}\n"),
        ("bpm: 90\r\ncontrols:\r\n  tap: 2\r\n", f"bpm: 90\r\ncontrols:\r\n  tap: 2\r\n  turn: {PAD}\r\n"),
        ("controls:\n  presets: {calm: 2}\n", f"controls:\n  presets: {{calm: 2}}\n  turn: {PAD}\n"),
    ],
)
def test_one_value_is_changed_and_all_else_stays_byte_for_byte(before: str, after: str) -> None:
    assert written.changed(before, ("controls", "turn"), PAD) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("controls:\n  presets: {}\nbpm: 9\n", "controls:\n  presets: \n    'a: b': program 1\nbpm: 9\n"),
        ("controls:\n  presets:\n    calm: 5\n", "controls:\n  presets:\n    calm: 5\n    'a: b': program 1\n"),
        ("controls: {presets: {calm: 5}}", "controls: {presets: {'a: b': program 1, calm: 5}}"),
        ("controls: {tap: 5}", "controls: {presets: {'a: b': program 1}, tap: 5}"),
    ],
)
def test_so_is_one_that_lies_deeper(before: str, after: str) -> None:
    assert written.changed(before, ("controls", "presets", "a: b"), "program 1") == after


@pytest.mark.parametrize("text", ["bpm: 90\n...\n", "{}\n", "null\n"])
def test_what_is_written_oddly_is_left_alone(text: str) -> None:
    with pytest.raises(ValueError, match=r"^it is written in a way that cannot be changed here$"):
        written.changed(text, ("controls", "turn"), PAD)


def test_the_shipped_settings_with_all_their_comments_can_be_changed() -> None:
    text = (shipped.folder("config") / "default.yaml").read_text(encoding="utf-8")
    assert "  turn: null " in text
    new = written.changed(text, ("controls", "turn"), "cc 5")
    assert new == text.replace("  turn: null ", "  turn: cc 5 ", 1)


NAMES = st.sampled_from(("turn", "tap", "panic", "memory"))
ENTRIES = st.dictionaries(NAMES, st.sampled_from(("67", "cc 20", "null", "", "'note 3'")), max_size=4)
COMMENTS = st.sampled_from(("", " # why", "\n", "\n  # mine", "\n# mine\n"))


@given(ENTRIES, st.lists(COMMENTS, min_size=8, max_size=8), NAMES, st.booleans(), st.booleans())
def test_whatever_stands_there_only_one_line_differs(
    entries: dict[str, str], comments: list[str], name: str, first: bool, ends: bool
) -> None:
    block = [f"  {key}: {value}{comment}" for (key, value), comment in zip(entries.items(), comments, strict=False)]
    parts = ["controls:" + comments[-1], *block, "bpm: 90" + comments[-2]]
    if first:
        parts = [parts[-1], *parts[:-1]]
    text = "\n".join(parts) + "\n" * ends
    new = written.changed(text, ("controls", name), PAD)
    assert yaml.safe_load(new)["controls"][name] == PAD
    told = [line for line in difflib.ndiff(text.splitlines(), new.splitlines()) if line[0] in "+-"]
    assert sorted(line[:7] for line in told) in ([f"+   {name[:3]}"], [f"+   {name[:3]}", f"-   {name[:3]}"])
