"""The book of what sounds and the queue of what is due: lists in, lists out, no clock."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from improv.midi import wire
from improv.music.events import Late, NoteOff, NoteOn, Pedal
from improv.music.schedule import CLICK, MACHINE, OWNERS, THRU, YIELDING, Book, Due, Schedule, is_note_off, is_note_on
from improv.music.timeline import NS, TICKS_PER_BEAT, Timeline
from tests.observer import Sound, Stamped, sound

MS = 1_000_000
NOTHING = Sound(set(), set())
TURN_NS = 95 * MS


def on(pitch: int, channel: int = 2, velocity: int = 64) -> bytes:
    return wire.spell(NoteOn(0, pitch, velocity), channel)


def off(pitch: int, channel: int = 2) -> bytes:
    return wire.spell(NoteOff(0, pitch), channel)


def pedal(down: bool, channel: int = 2) -> bytes:
    return wire.spell(Pedal(0, down), channel)


def sounding(messages: list[bytes]) -> Sound:
    """What a strict synthesiser sounds after those messages: each note-on wants its own note-off."""
    return sound(Stamped(0, tuple(message)) for message in messages)


# The book

# Few channels and pitches, so that owners meet on one note.
CHANNELS, PITCHES = st.integers(1, 2), st.integers(60, 62)
NOTES = st.builds(lambda strike, pitch, channel: strike(pitch, channel), st.sampled_from([on, off]), PITCHES, CHANNELS)
PEDALS = st.builds(pedal, st.booleans(), CHANNELS)
ENTRIES = st.tuples(st.sampled_from(OWNERS), NOTES)


class Model:
    """Who holds each note, told in the plainest way."""

    def __init__(self) -> None:
        self.held: set[tuple[int, int, int]] = set()  # owner, channel, pitch

    def enter(self, owner: int, message: bytes) -> None:
        key = (owner, wire.channel(message), message[1])
        if is_note_on(message):
            self.held.discard((YIELDING, *key[1:]))
        (self.held.discard if is_note_off(message) else self.held.add)(key)

    def release(self, owner: int) -> None:
        self.held = {key for key in self.held if key[0] != owner}

    @property
    def notes(self) -> set[tuple[int, int]]:
        return {(channel, pitch) for _, channel, pitch in self.held}


@settings(max_examples=60)
@given(st.lists(st.one_of(ENTRIES, st.sampled_from(OWNERS)), max_size=40))
def test_a_note_sounds_as_long_as_somebody_holds_it(steps: list[tuple[int, bytes] | int]) -> None:
    """An owner alone means: release all that is his. Stray note-offs are among the steps."""
    book, model, sent = Book(), Model(), list[bytes]()
    for step in steps:
        if isinstance(step, tuple):
            sent += book.enter(*step)
            model.enter(*step)
        else:
            sent += book.release(step)
            model.release(step)
        assert sounding(sent).notes == model.notes == {(channel + 1, pitch) for channel, pitch in book.sounding}


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(OWNERS), st.one_of(NOTES, PEDALS)), max_size=40))
def test_silence_ends_notes_and_pedals(entries: list[tuple[int, bytes]]) -> None:
    book = Book()
    sent = [message for owner, entry in entries for message in book.enter(owner, entry)]
    assert sounding(sent + book.silence()) == NOTHING
    assert book.silence() == []


@pytest.mark.parametrize("first", [MACHINE, THRU])
def test_a_note_of_two_owners_ends_with_the_second(first: int) -> None:
    book = Book()
    assert book.enter(MACHINE, on(60)) == [on(60)]
    assert book.enter(THRU, on(60)) == [off(60), on(60)]  # struck anew: no synthesiser is left with two
    assert book.enter(first, off(60)) == []
    assert book.enter(1 - first, off(60)) == [off(60)]


def test_nobody_ends_a_note_that_is_not_his() -> None:
    book = Book()
    book.enter(MACHINE, on(60))
    assert book.enter(THRU, off(60)) == []
    assert book.release(THRU) == []
    assert book.sounding == {(1, 60)}


def test_a_note_that_gives_way_ends_where_anybody_strikes_it() -> None:
    book = Book()
    book.enter(MACHINE, on(60))
    assert book.hand_on(MACHINE, YIELDING) == [(1, 60)]
    assert book.enter(THRU, on(60)) == [off(60), on(60)]
    assert book.enter(YIELDING, off(60)) == []
    assert book.enter(THRU, off(60)) == [off(60)]


def test_what_two_hold_is_not_handed_on() -> None:
    book = Book()
    for owner in (MACHINE, THRU):
        book.enter(owner, on(60))
    assert book.hand_on(MACHINE, YIELDING) == []
    assert book.release(MACHINE) == [] and book.release(THRU) == [off(60)]


def test_a_release_lifts_the_owners_pedal_and_no_other() -> None:
    book = Book()
    book.enter(THRU, pedal(True, 1))
    book.enter(MACHINE, on(60))
    assert book.release(MACHINE) == [off(60)]
    assert book.release(THRU) == [pedal(False, 1)]


@pytest.mark.parametrize("number", [120, 123])
def test_what_ends_all_ends_the_owners_notes_on_its_channel_by_name(number: int) -> None:
    book, all_off = Book(), bytes((0xB0, number, 0))
    for message in (on(60, 1), on(62, 1), on(64), pedal(True, 1)):
        book.enter(THRU, message)
    book.enter(MACHINE, on(62, 1))
    assert book.enter(THRU, all_off) == [off(60, 1), all_off]  # the machine holds the other, and will end it
    assert book.sounding == {(0, 62), (1, 64)} and book.enter(THRU, all_off) == [all_off]
    assert book.release(MACHINE) == [off(62, 1)] and book.release(THRU) == [off(64), pedal(False, 1)]


# The queue


def popped(schedule: Schedule, now: int) -> list[tuple[int, bytes]]:
    """What is due, with its time."""
    found = []
    while (due := schedule.pop(now)) is not None:
        found.append((due.due_ns, due.message))
    return found


PUTS = st.tuples(st.integers(0, 5), st.sampled_from(OWNERS), NOTES)


@settings(max_examples=60)
@given(st.lists(PUTS, max_size=25))
def test_what_is_due_comes_in_time_and_note_offs_first(puts: list[tuple[int, int, bytes]]) -> None:
    """But for those of notes that end as they begin."""
    schedule = Schedule()
    for put in puts:
        schedule.put(*put)
    found = []
    while (due := schedule.pop(5)) is not None:
        found.append(due)
    assert len(found) == len(puts) and schedule.deadline() is None
    assert [due.due_ns for due in found] == sorted(due.due_ns for due in found)
    for sooner, later in pairwise(found):
        if sooner.due_ns == later.due_ns and is_note_off(later.message) and not is_note_off(sooner.message):
            assert any(due.note == later.note and is_note_on(due.message) for due in found[: found.index(later)])


@settings(max_examples=60)
@given(st.lists(PUTS, max_size=25), st.sampled_from(OWNERS))
def test_a_drop_forgets_one_owner_only(puts: list[tuple[int, int, bytes]], owner: int) -> None:
    schedule = Schedule()
    for put in puts:
        schedule.put(*put)
    schedule.drop(owner)
    left = []
    while (due := schedule.pop(5)) is not None:
        left.append((due.owner, due.message))
    assert sorted(left) == sorted(put[1:] for put in puts if put[1] != owner)


def test_nothing_is_due_before_its_time() -> None:
    schedule = Schedule()
    schedule.put(10, MACHINE, on(60))
    assert schedule.deadline() == 10 and schedule.pop(9) is None
    assert popped(schedule, 10) == [(10, on(60))]


def test_a_note_struck_again_ends_before_and_the_new_one_keeps_its_end() -> None:
    schedule = Schedule()
    for due_ms, message in ((0, on(60)), (100, off(60)), (70, on(60)), (150, off(60))):
        schedule.put(due_ms * MS, MACHINE, message)
    assert popped(schedule, NS) == [(0, on(60)), (70 * MS, off(60)), (70 * MS, on(60)), (150 * MS, off(60))]


def test_a_note_that_sounds_is_struck_again_late() -> None:
    """The new onset is past already: so is the end of the old note."""
    schedule = Schedule()
    schedule.put(0, MACHINE, on(60))
    assert popped(schedule, 50 * MS) == [(0, on(60))]
    schedule.put(100 * MS, MACHINE, off(60))
    schedule.put(40 * MS, MACHINE, on(60))
    assert popped(schedule, 50 * MS) == [(40 * MS, off(60)), (40 * MS, on(60))]
    assert schedule.deadline() is None


def test_only_the_same_pitch_channel_and_owner_is_struck_again() -> None:
    schedule = Schedule()
    others = ((THRU, off(60)), (MACHINE, off(61)), (MACHINE, off(60, 1)))
    for owner, message in others:
        schedule.put(100, owner, message)
    schedule.put(70, MACHINE, on(60))
    assert popped(schedule, 100)[1:] == [(100, message) for _, message in others]


@pytest.mark.parametrize("length", [0, -30])
def test_a_note_never_ends_before_it_begins(length: int) -> None:
    schedule = Schedule()
    schedule.put(70, MACHINE, on(60))
    schedule.put(70 + length, MACHINE, off(60))
    schedule.put(70, MACHINE, off(64))
    assert popped(schedule, 100) == [(70, off(64)), (70, on(60)), (70, off(60))]


def test_a_note_struck_again_at_once_keeps_its_end_too() -> None:
    schedule = Schedule()
    for due_ns, message in ((70, on(60)), (70, off(60)), (70, on(60)), (90, off(60))):
        schedule.put(due_ns, MACHINE, message)
    assert popped(schedule, 100)[-2:] == [(70, on(60)), (90, off(60))]


# The machine gives way


def given_way(by_ms: int, *notes: tuple[int, int, int | None]) -> tuple[Schedule, list[bytes]]:
    """A queue after a yield at 1 s, and what ended at once; of each note pitch, onset and end in ms (None: open)."""
    schedule = Schedule()
    for pitch, on_ms, off_ms in notes:
        schedule.put(on_ms * MS, MACHINE, on(pitch))
        if off_ms is not None:
            schedule.put(off_ms * MS, MACHINE, off(pitch))
    for _, message in popped(schedule, NS):
        schedule.book.enter(MACHINE, message)
    return schedule, schedule.give_way(by_ms * MS)


def test_what_sounds_ends_as_planned_or_then_and_nothing_begins() -> None:
    begun = (60, 900, 1_020), (62, 910, 1_300), (64, 920, None), (65, 930, 990)
    schedule, at_once = given_way(1_050, *begun, (67, 1_010, 1_030), (69, 1_200, None))
    assert at_once == []
    assert popped(schedule, 9 * NS) == [(1_020 * MS, off(60)), (1_050 * MS, off(62)), (1_050 * MS, off(64))]


def test_a_note_that_was_to_be_struck_again_ends_before_that() -> None:
    schedule, _ = given_way(1_050, (60, 900, 1_200), (60, 1_010, 1_300))
    assert popped(schedule, 9 * NS) == [(1_010 * MS, off(60))]


def test_what_others_still_play_stays() -> None:
    schedule = Schedule()
    schedule.put(NS, CLICK, off(76, 10))
    schedule.book.enter(THRU, on(60))
    assert schedule.give_way(NS) == []
    assert popped(schedule, NS) == [(NS, off(76, 10))] and schedule.book.sounding == {(1, 60)}


def test_what_the_player_holds_as_well_is_his() -> None:
    schedule = Schedule()
    for owner in (MACHINE, THRU):
        schedule.book.enter(owner, on(60))
    assert schedule.give_way(NS) == [] and schedule.deadline() is None
    assert schedule.book.enter(THRU, off(60)) == [off(60)]


@pytest.mark.parametrize("by_ms", [-300, 300])
def test_a_beat_that_is_moved_does_not_move_the_release(by_ms: int) -> None:
    schedule, before = Schedule(), line(120)
    schedule.retime(before, True, 0)
    schedule.book.enter(MACHINE, on(60))
    schedule.give_way(NS + 50 * MS)
    schedule.retime(before._replace(origin_ns=by_ms * MS), False, NS)
    assert schedule.deadline() == NS + 50 * MS


# A change of the beat


def line(bpm: float, origin_ns: int = 0, origin_beat: float = 0.0) -> Timeline:
    return Timeline(bpm, origin_ns, origin_beat, metric=True)


def at(beat: float, timeline: Timeline) -> int:
    return timeline.time_ns(beat * TICKS_PER_BEAT)


def beats_apart(beats: float, bpm: float) -> int:
    return round(beats * 60 * NS / bpm)


def test_the_machine_keeps_its_beat_and_nobody_else_moves() -> None:
    schedule, slow = Schedule(), line(120, 7 * MS, 3.0)
    fast = line(200, at(3.5, slow), 3.5)
    schedule.retime(slow, True, slow.origin_ns)
    for beat, message in ((4.0, on(60)), (4.25, on(64)), (5.0, off(60)), (6.0, off(64))):
        schedule.put(at(beat, slow), MACHINE, message)
    schedule.put(at(4.5, slow), THRU, on(40, 1))
    schedule.put(at(4.75, slow), CLICK, off(76, 10))
    schedule.retime(fast, False, fast.origin_ns)
    assert popped(schedule, 10 * NS) == [
        (at(4.0, fast), on(60)),
        (at(4.25, fast), on(64)),
        (at(5.0, fast), off(60)),
        (at(4.5, slow), on(40, 1)),
        (at(4.75, slow), off(76, 10)),
        (at(6.0, fast), off(64)),
    ]


@pytest.mark.parametrize(
    ("before", "after", "jump"),
    [(line(120), line(200, NS, 0.5), True), (Timeline(), line(200), False), (line(120), Timeline(90), False)],
)
def test_where_the_beat_does_not_go_on_nothing_moves(before: Timeline, after: Timeline, jump: bool) -> None:
    schedule = Schedule()
    schedule.retime(before, True, 0)
    schedule.put(NS, MACHINE, on(60))
    schedule.retime(after, jump, NS)
    assert schedule.deadline() == NS


def moved_on(by_ms: int, *onsets_ms: int) -> tuple[Schedule, list[bytes]]:
    """A queue with onsets so long after 1 s, when the beat is moved on; and those onsets."""
    schedule, before = Schedule(), line(40)
    schedule.retime(before, True, 0)
    struck = [on(60 + number) for number in range(len(onsets_ms))]
    for onset_ms, message in zip(onsets_ms, struck, strict=True):
        schedule.put(NS + onset_ms * MS, MACHINE, message)
    schedule.retime(before._replace(origin_ns=before.origin_ns - by_ms * MS), False, NS)
    return schedule, struck


def test_what_the_beat_is_moved_past_is_left_out_and_nobody_was_late() -> None:
    schedule, struck = moved_on(300, 5, 279, 281, 400)
    schedule.put(NS - 25 * MS, MACHINE, on(72))  # was planned too late for the beat that is
    found = run(schedule, NS)
    assert [due.message for due in found.dues] == struck[2:3] and not found.lates
    assert [message for _, message in popped(schedule, NS + 101 * MS)] == struck[3:]


def test_a_beat_that_is_moved_on_by_little_leaves_nothing_out() -> None:
    schedule, struck = moved_on(20, 1, 19, 100)
    found = run(schedule, NS)
    assert [due.message for due in found.dues] == struck[:2] and not found.lates


def test_ten_thousand_retimes_do_not_drift() -> None:
    """As of a clock that wanders: tempo and phase move a little at each, and come back."""
    schedule, dice = Schedule(), random.Random(0)
    steady = line(120, 12_345_678_901_234, 1000.0)
    dues = [at(beat, steady) for beat in (1900.0, 1900.25, 1901 + 1 / 3)]
    schedule.retime(steady, True, steady.origin_ns)
    for due, pitch in zip(dues, (60, 62, 64), strict=True):
        schedule.put(due, MACHINE, on(pitch))
    for number in range(9_999):
        time_ns = steady.origin_ns + number * 20 * MS
        beat = steady.beat(time_ns) + dice.gauss(0, 0.002)
        schedule.retime(line(120 + dice.gauss(0, 0.5), time_ns, beat), False, time_ns)
    schedule.retime(steady, False, time_ns)
    assert all(abs(due - found) < 1000 for due, (found, _) in zip(dues, popped(schedule, max(dues) + NS), strict=True))


# What comes late


class Run(NamedTuple):
    dues: list[Due]
    lates: list[Late]

    @property
    def times(self) -> list[tuple[int, bytes]]:
        return [(due.due_ns, due.message) for due in self.dues]


def run(schedule: Schedule, now: int) -> Run:
    """All that is due, as the outlet plays it."""
    found = Run([], [])
    while (deadline := schedule.deadline()) is not None and deadline <= now:
        if (late := schedule.catch_up(now)) is not None:
            found.lates.append(late)
            if late.ended:
                schedule.drop(MACHINE)
        elif (due := schedule.pop(now)) is not None:
            found.dues.append(due)
    return found


def answer(*notes: tuple[int, int, int], schedule: Schedule | None = None) -> Schedule:
    """Each with its pitch, and where it begins and ends in ms."""
    schedule = schedule or Schedule()
    for pitch, on_ms, off_ms in notes:
        schedule.put(on_ms * MS, MACHINE, on(pitch))
        schedule.put(off_ms * MS, MACHINE, off(pitch))
    return schedule


@pytest.mark.parametrize(("late_us", "rung"), [(0, 0), (20_000, 0), (20_001, 1), (250_000, 1), (250_001, 2)])
def test_the_rungs_of_lateness(late_us: int, rung: int) -> None:
    now = 100 * MS + late_us * 1000
    schedule = Schedule()
    schedule.begin_turn(TURN_NS)
    found = run(answer((60, 100, 900), (62, 300, 1000), schedule=schedule), now)
    if rung == 0:
        assert found.times == [(100 * MS, on(60))] and not found.lates
    elif rung == 1:
        assert found.times == [(now, on(60))]
        assert found.lates == [Late(now, TURN_NS, late_us * 1000, late_us * 1000, 0, ended=False)]
    else:
        assert found == ([], [Late(now, TURN_NS, late_us * 1000, 0, 0, ended=True)])


def test_in_free_time_the_rest_moves_by_the_lateness_and_durations_are_kept() -> None:
    schedule = answer((60, 0, 100), (64, 70, 300), (67, 110, 200))
    assert run(schedule, 0).times == [(0, on(60))]
    found = run(schedule, 121 * MS)  # 64 is 51 ms late
    assert found.times == [(100 * MS, off(60)), (121 * MS, on(64))]  # 60 sounded before: it ends when it was to end
    assert [late.shift_ns for late in found.lates] == [51 * MS]
    assert popped(schedule, NS) == [(161 * MS, on(67)), (251 * MS, off(67)), (351 * MS, off(64))]


@pytest.mark.parametrize("bpm", [47.0, 120.0, 288.8])
@pytest.mark.parametrize("grid_ticks", [12, 24, 8])
@pytest.mark.parametrize("late_ms", [21, 63, 126, 249])
def test_under_a_beat_the_rest_moves_by_whole_steps_of_the_grid(bpm: float, grid_ticks: int, late_ms: int) -> None:
    schedule, beat = Schedule(grid_ticks), line(bpm, 123_456_789, 17.0)
    schedule.retime(beat, True, beat.origin_ns)
    positions = (17.02, 17.5, 18.25)
    for pitch, position in zip((60, 62, 64), positions, strict=True):
        schedule.put(at(position, beat), MACHINE, on(pitch))
    now = at(positions[0], beat) + late_ms * MS
    step_ns = beats_apart(grid_ticks / TICKS_PER_BEAT, bpm)
    found = run(schedule, now)
    (late,) = found.lates
    steps = -(-late_ms * MS // step_ns)
    assert abs(late.shift_ns - steps * step_ns) <= steps
    left = dict(reversed(due) for due in (*found.times, *popped(schedule, now + 10 * NS)))
    moved = [left[on(pitch)] - at(position, beat) for pitch, position in zip((60, 62, 64), positions, strict=True)]
    assert all(abs(shift - late.shift_ns) <= 1 for shift in moved)
    assert now <= left[on(60)] < now + step_ns


def test_each_lateness_adds_to_those_before() -> None:
    schedule = answer((60, 0, 50), (62, 100, 150), (64, 200, 250))
    assert run(schedule, 30 * MS).times == [(30 * MS, on(60))]
    assert run(schedule, 180 * MS).times == [(80 * MS, off(60)), (180 * MS, on(62))]  # was due at 130
    assert popped(schedule, NS) == [(230 * MS, off(62)), (280 * MS, on(64)), (330 * MS, off(64))]


def test_ends_that_come_later_know_when_their_note_began() -> None:
    schedule = Schedule()
    schedule.put(0, MACHINE, on(60))
    schedule.put(10 * MS, MACHINE, on(64))
    run(schedule, 0)
    assert run(schedule, 50 * MS).times == [(50 * MS, on(64))]  # moved by 40 ms, while 60 sounded
    for due_ms, message in ((200, off(60)), (210, off(64)), (300, on(60)), (400, off(60))):
        schedule.put(due_ms * MS, MACHINE, message)
    due_ms = (200, 250, 340, 440)
    assert popped(schedule, NS) == list(
        zip((ms * MS for ms in due_ms), (off(60), off(64), on(60), off(60)), strict=True)
    )


def test_a_moved_answer_keeps_its_beat_through_a_change_of_tempo() -> None:
    schedule, slow = Schedule(), line(120)
    schedule.retime(slow, True, slow.origin_ns)
    for beat, message in ((1.0, on(60)), (2.0, on(62)), (3.0, off(62))):
        schedule.put(at(beat, slow), MACHINE, message)
    run(schedule, at(1.0, slow) + 30 * MS)  # moved by a sixteenth
    fast = line(240, at(1.5, slow), 1.5)
    schedule.retime(fast, False, fast.origin_ns)
    schedule.put(at(4.0, fast), MACHINE, on(64))
    beats = [(round(fast.beat(due_ns), 6), message) for due_ns, message in popped(schedule, 10 * NS)]
    assert beats == [(1.25, on(60)), (2.25, on(62)), (3.25, off(62)), (4.25, on(64))]


def test_a_new_turn_is_on_time() -> None:
    schedule = answer((60, 0, 50))
    run(schedule, 100 * MS)
    schedule.begin_turn(200 * MS)
    answer((62, 500, 600), schedule=schedule)
    assert popped(schedule, NS)[-2:] == [(500 * MS, on(62)), (600 * MS, off(62))]


def test_who_gave_up_plays_no_more_until_the_next_turn() -> None:
    schedule = answer((60, 0, 500), (62, 100, 600))
    assert [late.ended for late in run(schedule, 251 * MS).lates] == [True]
    answer((64, 300, 400), schedule=schedule)
    assert popped(schedule, NS) == [(400 * MS, off(64))]  # a note-off is never refused
    schedule.begin_turn(500 * MS)
    answer((65, 600, 700), schedule=schedule)
    assert popped(schedule, NS) == [(600 * MS, on(65)), (700 * MS, off(65))]


def test_what_is_not_the_machines_is_never_late() -> None:
    schedule = Schedule()
    schedule.put(0, THRU, on(40, 1))
    schedule.put(0, CLICK, on(76, 10))
    schedule.put(0, MACHINE, off(60))
    assert run(schedule, NS).lates == []


def test_late_chords_lose_their_inner_notes_and_never_the_outer() -> None:
    schedule = Schedule()
    chords = ((0, (60, 71, 64, 67)), (200, (62,)), (400, (59, 65, 69)), (600, (50, 74)))
    for onset_ms, pitches in chords:
        for place, pitch in enumerate(pitches):  # a little rolled: 15 ms are still one chord
            schedule.put((onset_ms + place * 5) * MS, MACHINE, on(pitch))
            schedule.put((onset_ms + 150) * MS, MACHINE, off(pitch))
    found = run(schedule, 30 * MS)
    assert [late.thinned for late in found.lates] == [3]
    struck = [message[1] for _, message in (*found.times, *popped(schedule, NS)) if is_note_on(message)]
    assert struck == [60, 71, 62, 59, 69, 50, 74]


def test_notes_that_follow_one_another_are_no_chord() -> None:
    schedule = answer((60, 0, 10), (64, 16, 30), (62, 32, 50), (65, 48, 60))
    assert [late.thinned for late in run(schedule, 30 * MS).lates] == [0]


def test_a_thinned_chord_is_not_thinned_again() -> None:
    schedule = answer((60, 0, 900), (64, 0, 900), (67, 0, 900), (55, 300, 900), (59, 300, 900), (62, 300, 900))
    lates = [*run(schedule, 30 * MS).lates, *run(schedule, 400 * MS).lates]
    assert [late.thinned for late in lates] == [2, 0]


# Whatever comes in whatever order

STEPS = st.one_of(
    st.tuples(st.just("note"), st.sampled_from(OWNERS), PITCHES, st.integers(-100, 500), st.integers(0, 300)),
    st.tuples(st.just("on"), st.just(MACHINE), PITCHES, st.integers(-100, 500), st.just(0)),
    st.tuples(st.just("beat"), st.just(0), st.just(0), st.integers(30, 300), st.integers(-20, 20)),
    st.tuples(st.just("jump"), st.just(0), st.just(0), st.integers(30, 300), st.integers(-20, 20)),
    st.tuples(st.just("free"), st.just(0), st.just(0), st.just(0), st.just(0)),
    st.tuples(st.just("pass"), st.just(0), st.just(0), st.integers(0, 400), st.just(0)),
    st.tuples(st.just("drop"), st.sampled_from(OWNERS), st.just(0), st.just(0), st.just(0)),
    st.tuples(st.just("turn"), st.just(0), st.just(0), st.just(0), st.just(0)),
    st.tuples(st.just("yield"), st.just(0), st.just(0), st.integers(0, 60), st.just(0)),
)


class Stage:
    """A schedule under random orders, and where each note-on of each owner went."""

    def __init__(self) -> None:
        self.schedule, self.line, self.now = Schedule(), line(120), 0
        self.schedule.retime(self.line, True, 0)
        self.sent: list[bytes] = []
        self.put, self.struck, self.thinned = 0, 0, 0
        self.excused = 0  # given up, passed over or dropped
        self.queued_offs, self.ended, self.dropped_offs = 0, 0, 0
        self.refuses = False
        self._open: dict[int, int] = {}

    def step(self, kind: str, owner: int, pitch: int, first: int, second: int) -> None:
        if kind in ("note", "on"):
            self._strike(owner, pitch, self.now + first * MS)
            if kind == "note":
                self._end(owner, pitch, self.now + (first + second) * MS)
        elif kind in ("beat", "jump"):
            beat = self.line.beat(self.now) + second / 100 + (7.5 if kind == "jump" else 0)
            self._retime(line(float(first), self.now, beat), kind == "jump")
        elif kind == "free":
            self._retime(Timeline(origin_ns=self.now), True)
        elif kind == "pass":
            self.pass_to(self.now + first * MS)
        elif kind == "drop":
            self._drop(owner)
        elif kind == "yield":
            self._give_way(self.now + first * MS)
        else:
            self.schedule.begin_turn(self.now)
            self.refuses = False

    def _strike(self, owner: int, pitch: int, due_ns: int) -> None:
        self.put += 1
        queued = len(self.schedule._queue)
        self.schedule.put(due_ns, owner, on(pitch, 1 + owner))
        self.excused += len(self.schedule._queue) == queued
        if owner == MACHINE:
            self._open[pitch] = due_ns

    def _end(self, owner: int, pitch: int, due_ns: int) -> None:
        self.queued_offs += 1
        self.schedule.put(due_ns, owner, off(pitch, 1 + owner))

    def _retime(self, timeline: Timeline, jump: bool) -> None:
        self.line, queued = timeline, len(self.schedule._queue)
        self.schedule.retime(timeline, jump, self.now)
        self.excused += queued - len(self.schedule._queue)

    def _drop(self, owner: int) -> None:
        self._excuse(owner)
        self.sent += self.schedule.drop(owner)

    def _give_way(self, by_ns: int) -> None:
        self._excuse(MACHINE)
        self.queued_offs -= self._yielding
        self.sent += self.schedule.give_way(by_ns)
        self.queued_offs += self._yielding
        assert not any(due.owner == MACHINE for due in self.schedule._queue)

    def _excuse(self, owner: int) -> None:
        gone = [due.message for due in self.schedule._queue if due.owner == owner]
        self.excused += sum(is_note_on(message) for message in gone)
        self.dropped_offs += sum(is_note_off(message) for message in gone)

    @property
    def _yielding(self) -> int:
        return sum(due.owner == YIELDING and is_note_off(due.message) for due in self.schedule._queue)

    def pass_to(self, now: int) -> None:
        self.now, last_ns = now, None
        while (deadline := self.schedule.deadline()) is not None and deadline <= now:
            if (late := self.schedule.catch_up(now)) is not None:
                self.thinned += late.thinned
                if late.ended:
                    self.refuses = True
                    self._drop(MACHINE)
            elif (due := self.schedule.pop(now)) is not None:
                assert last_ns is None or due.due_ns >= last_ns
                last_ns = due.due_ns
                self.struck += is_note_on(due.message)
                self.ended += is_note_off(due.message)
                self.sent += self.schedule.book.enter(due.owner, due.message)

    def finish(self) -> None:
        """Every note of the machine's gets an end, and all that is left is played."""
        for pitch in sorted(self._open):
            self._end(MACHINE, pitch, self.now)
        while (deadline := self.schedule.deadline()) is not None:
            self.pass_to(max(self.now, deadline))


@settings(max_examples=150)
@given(st.lists(STEPS, max_size=25))
def test_every_note_is_ended_and_none_is_lost(steps: list[tuple[str, int, int, int, int]]) -> None:
    stage = Stage()
    for step in steps:
        stage.step(*step)
    stage.finish()
    assert sounding(stage.sent) == NOTHING and not stage.schedule.book.sounding
    assert stage.put == stage.struck + stage.thinned + stage.excused
    assert stage.queued_offs == stage.ended + stage.dropped_offs


def test_what_is_planned_anew_is_so_from_a_place_of_the_beat() -> None:
    """A note that began before the slower tempo was told of began after the moment from which all is planned anew."""
    schedule = Schedule()
    schedule.retime(Timeline(120.0, 0, metric=True), False, 0)
    for time_ms, pitch in ((100, 60), (400, 61), (800, 62)):
        schedule.put(time_ms * MS, MACHINE, on(pitch))
        schedule.put((time_ms + 50) * MS if pitch == 60 else NS, MACHINE, off(pitch))
    while (due := schedule.pop(400 * MS)) is not None:
        schedule.book.enter(due.owner, due.message)
    slower = Timeline(60.0, 300 * MS, 0.6, metric=True)  # beat 0.8, of the second note, is now at 500 ms
    schedule.retime(slower, False, 410 * MS)
    assert schedule.revise(490 * MS) == [off(61)]
    assert schedule.deadline() is None
