"""How a snapshot looks: values in, lines of text out."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.segment import Segment

from improv.live.face import WARNING, Face
from improv.live.snapshot import IMPROV, YOU, Bill, Knob, Said, Snapshot, Stroke, Timing, pack, unpack
from improv.music.timeline import NS, Timeline

NOW = 100 * NS
BILL = Bill("Stage Piano", "Warm Synth ch 2", "open")
WALTZ = Timeline(90.0, NOW - 7 * NS, metric=True, metre=(3, 4))
STILL = Snapshot(NOW, (), (), None, None, "answer", (), (), Timing(), ())
FULL = Snapshot(
    NOW,
    (YOU, IMPROV),
    (
        Stroke(YOU, 60, NOW - 3 * NS, NOW - 2 * NS),
        Stroke(YOU, 64, NOW - NS, None),
        Stroke(IMPROV, 72, NOW - NS, NOW - NS // 2),
        Stroke(IMPROV, 74, NOW + NS // 2, None, planned=True),
    ),
    WALTZ,
    (96.4, 0.83),
    "trade",
    ("loop", "frozen"),
    (Knob("top_p", 0.5, 0.5), Knob("style", None), Knob("key", "D dorian"), Knob("voices", 3)),
    Timing(0.17, 2.5),
    (Said("heard 4 notes", False), Said("the clock's ticks stay away", True)),
)


def texts(snapshot: Snapshot, width: int = 80, height: int = 24, colour: bool = True) -> list[str]:
    lines = Face(BILL, colour).lines(snapshot, snapshot.now_ns, width, height)
    return ["".join(segment.text for segment in line) for line in lines]


def words(snapshot: Snapshot, width: int = 80, height: int = 24) -> str:
    return "\n".join(" ".join(line.split()) for line in texts(snapshot, width, height))


def test_a_snapshot_comes_through_the_pipe_as_it_was() -> None:
    for snapshot in (STILL, FULL):
        line = pack(snapshot)
        assert unpack(line) == snapshot and line.count(b"\n") == 1 and line.endswith(b"\n")
        assert type(unpack(line).line) is type(snapshot.line)


def test_all_of_it_is_there() -> None:
    seen = words(FULL)
    assert "improv trade · open loop frozen Stage Piano → Warm Synth ch 2" in seen
    assert "● ● ○ bar 4 90.0 bpm p99: late 0.17 ms · step 2.50 ms" in seen
    assert "top p ███ 0.5 style – key D dorian" in seen and "voices 3" in seen
    assert seen.endswith("heard 4 notes\nthe clock's ticks stay away")
    assert "┊" in seen and "│" in seen and "C5" in seen


def test_free_time_is_said_with_what_is_guessed_of_it() -> None:
    assert "free time, about 96 bpm (83%)" in words(STILL._replace(guess=(96.4, 0.83)))
    assert "free time\n" in words(STILL) and "p99" not in words(STILL)


def test_many_beats_are_counted_in_figures() -> None:
    line = WALTZ._replace(metre=(31, 8))
    assert "22/31 bar 1 90.0 bpm" in words(FULL._replace(line=line), width=60)
    assert "● ● ○ bar 4" in words(FULL, width=40)


@pytest.mark.parametrize(("parts", "said"), [((), "l i s t e n i n g"), ((YOU,), "Y O U"), ((IMPROV,), "I M P R O V")])
def test_on_a_low_terminal_whose_turn_it_is_takes_a_line(parts: tuple[int, ...], said: str) -> None:
    assert texts(STILL._replace(parts=parts), 40, 10)[1].strip() == said


def test_both_play_side_by_side() -> None:
    both = texts(STILL._replace(parts=(YOU, IMPROV)), 81, 10)[1]
    assert (both[:40].strip(), both[40:].strip()) == ("Y O U", "I M P R O V")


def test_large_letters_are_for_large_terminals() -> None:
    yours = STILL._replace(parts=(YOU,))
    rows = [sum(any(one in line for one in "█▀▄") for line in texts(yours, 120, height)) for height in (10, 24, 50)]
    assert rows == [0, 3, 5]


def test_without_colours_the_parts_are_told_apart() -> None:
    assert {one for line in texts(FULL._replace(parts=(), knobs=()), colour=False) for one in line} >= set("█▒░")
    lines = Face(BILL, colour=False).lines(FULL._replace(knobs=(), said=()), NOW, 80, 24)
    assert not [segment for line in lines[1:] for segment in line if segment.style and segment.style.bgcolor]


def test_a_warning_stands_out() -> None:
    styles = {segment.text: segment.style for line in Face(BILL).lines(FULL, NOW, 80, 24) for segment in line}
    assert styles[" the clock's ticks stay away"] == WARNING != styles[" heard 4 notes"]


def test_what_others_named_moves_no_cursor() -> None:
    bill = Bill("Piano\x1b[2J", "Synth\r\n\x9b1A", "mine\x07")
    odd = FULL._replace(mode="a\tb", knobs=(Knob("key\x1b", "\x1b]0;"),), said=(Said("port \x1b[31m", True),))
    lines = Face(bill).lines(odd, NOW, 120, 24)
    assert all(segment.text.isprintable() for line in lines for segment in line)


def timeline(drawn: tuple[float, float, int, int]) -> Timeline:
    bpm, bar_beat, *metre = drawn
    return Timeline(bpm, metric=True, bar_beat=bar_beat, metre=(metre[0], metre[1]))


names = st.text(max_size=40)
beats = st.tuples(st.floats(20, 400), st.floats(-9, 9), st.integers(1, 32), st.sampled_from((1, 4, 32))).map(timeline)
strokes = st.builds(
    Stroke,
    st.sampled_from((YOU, IMPROV)),
    st.integers(0, 127),
    st.integers(NOW - 12 * NS, NOW + 2 * NS),
    st.none() | st.integers(NOW - 12 * NS, NOW + 2 * NS),
    st.booleans(),
)
snapshots = st.builds(
    Snapshot,
    st.just(NOW),
    st.sampled_from(((), (YOU,), (IMPROV,), (YOU, IMPROV))),
    st.lists(strokes, max_size=20).map(tuple),
    st.none() | beats,
    st.none() | st.tuples(st.floats(40, 240), st.floats(0, 1)),
    names,
    st.lists(names, max_size=3).map(tuple),
    st.lists(st.builds(Knob, names, st.none() | names | st.floats(-9, 9), st.none() | st.floats(-1, 2))).map(tuple),
    st.builds(Timing, st.none() | st.floats(0, 1e6), st.none() | st.floats(0, 1e6)),
    st.lists(st.builds(Said, names, st.booleans()), max_size=6).map(tuple),
)


@settings(max_examples=60)
@given(snapshots, st.integers(1, 250), st.integers(1, 80), st.booleans())
def test_it_fills_any_terminal_and_no_more(snapshot: Snapshot, width: int, height: int, colour: bool) -> None:
    face = Face(BILL, colour)
    for _ in range(2):
        lines = face.lines(snapshot, NOW, width, height)
        assert [Segment.get_line_length(line) for line in lines] == [width] * height
    assert unpack(pack(snapshot)) == snapshot


def test_nothing_moves_where_nothing_is() -> None:
    face = Face(BILL)
    assert face.next_ns(STILL, NOW, 80) is None
    assert 0 < (face.next_ns(FULL, NOW, 80) or 0) - NOW <= NS // 8
