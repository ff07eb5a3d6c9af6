"""The view's piano roll: notes in, cells out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from improv.live.roll import Compass, Ink, Roll, Window, compass, roll
from improv.live.snapshot import IMPROV, YOU, Stroke
from improv.music.timeline import NS, Timeline

NOW = 100 * NS
COLUMNS = 90  # a tenth of a second each
TENTH = NS // 10
VIEW = Compass(60, 83, 24)  # a half row for each pitch
SEEN = Window(COLUMNS, NOW)


def drawn(*strokes: Stroke, line: Timeline | None = None, now_ns: int = NOW) -> Roll:
    return roll(strokes, line, VIEW, Window(COLUMNS, now_ns))


def inked(picture: Roll) -> dict[tuple[int, int], Ink]:
    """Half rows from below, and columns."""
    found = {}
    for row, cells in enumerate(reversed(picture.cells)):
        for column, (upper, lower) in enumerate(cells):
            found.update({(2 * row + half, column): ink for half, ink in ((0, lower), (1, upper)) if ink})
    return found


def test_a_note_lies_where_it_was_and_ends_before_the_next() -> None:
    picture = drawn(
        Stroke(YOU, 60, NOW - 5 * TENTH, NOW - 2 * TENTH),
        Stroke(YOU, 60, NOW - 2 * TENTH, NOW - 2 * TENTH + 1),
        Stroke(IMPROV, 62, NOW - 3 * TENTH, None),
        Stroke(IMPROV, 63, NOW + 3 * TENTH, NOW + 5 * TENTH, planned=True),
    )
    assert picture.now == SEEN.now == COLUMNS * 8 // 9
    assert inked(picture) == {
        **{(0, SEEN.now + at): Ink.YOURS for at in (-5, -4, -3, -2)},
        **{(2, SEEN.now + at): Ink.OWN_NOW for at in (-3, -2, -1, 0)},
        **{(3, SEEN.now + at): Ink.PLANNED for at in (3, 4)},
    }


def test_what_sounds_covers_what_is_over() -> None:
    over, sounds = Stroke(IMPROV, 60, NOW - 9 * TENTH, NOW - TENTH), Stroke(YOU, 60, NOW - 3 * TENTH, None)
    for strokes in ((over, sounds), (sounds, over)):
        assert inked(drawn(*strokes))[0, SEEN.now - 2] == Ink.YOURS_NOW


def test_all_of_it_moves_together() -> None:
    strokes = [Stroke(YOU, 60 + n, NOW - n * 123_456_789, NOW - n * 123_456_789 + 77_777_777) for n in range(1, 20)]
    before = inked(drawn(*strokes))
    for later_ns in range(0, NS, 33_000_001):
        columns = SEEN.column(NOW + later_ns) - SEEN.now
        assert inked(drawn(*strokes, now_ns=NOW + later_ns)) == {
            (row, column - columns): ink for (row, column), ink in before.items() if column >= columns
        }
    assert SEEN.next_ns == NOW + TENTH


def test_bar_lines_are_where_the_bars_begin() -> None:
    waltz = Timeline(60.0, NOW, metric=True, bar_beat=1.0, metre=(3, 4))
    assert drawn(line=waltz).bars == {SEEN.now - 80, SEEN.now - 50, SEEN.now - 20}
    assert drawn().bars == set()


@given(
    st.lists(st.builds(Stroke, st.sampled_from((YOU, IMPROV)), st.integers(0, 127), st.just(0), st.none()), max_size=9),
    st.integers(1, 70),
    st.lists(st.tuples(st.integers(0, 127), st.integers(0, 127)), max_size=3),
)
def test_every_note_is_seen_on_however_few_rows(
    strokes: list[Stroke], rows: int, history: list[tuple[int, int]]
) -> None:
    view = None
    for low, high in history:
        view = compass([Stroke(YOU, low, 0, None), Stroke(YOU, high, 0, None)], 2 * rows, view)
    view = compass(strokes, 2 * rows, view)
    places = {stroke.pitch: view.rows(stroke.pitch) for stroke in strokes}
    assert all(places.values())
    for pitch, place in places.items():
        for other, its in places.items():
            assert pitch >= other or place[0] <= its[0]


@pytest.mark.parametrize("rows", [7, 12, 40])
def test_the_compass_stays_while_all_fits_and_nothing_is_seen_of_it_in_silence(rows: int) -> None:
    view = compass([Stroke(YOU, pitch, 0, None) for pitch in (50, 75)], 2 * rows, None)
    assert compass([Stroke(YOU, 60, 0, None)], 2 * rows, view) == view == (48, 75, 2 * rows)
    assert compass([], 2 * rows, view) == (48, 71, 2 * rows)


def test_the_compass_moves_where_both_would_be_too_much() -> None:
    view = compass([Stroke(YOU, 40, 0, None)], 24, None)
    assert compass([Stroke(YOU, 50, 0, None)], 24, view) == view == (40, 71, 24)
    assert compass([Stroke(YOU, 100, 0, None)], 24, view) == (89, 112, 24)
    assert compass([Stroke(YOU, 87, 0, None)], 24, view) == (40, 87, 24)


def test_there_is_no_row_that_is_never_used() -> None:
    for halves, highest in ((24, 71), (48, 71), (24, 72), (24, 95)):
        view = Compass(48, highest, halves)
        assert {row for pitch in range(48, highest + 1) for row in view.rows(pitch)} == set(range(halves))
