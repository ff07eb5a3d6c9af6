"""Good and bad: what is remembered more strongly, or less, by hand and on the virtual stage."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest

from improv.config import Settings
from improv.engine import Engine
from improv.music.cue import LEAD_NS
from improv.music.events import Mark, TurnBegins
from improv.music.steering import Steering
from improv.music.timeline import NS
from improv.net.codec import OFF, Token
from improv.net.memory import BEST, EVENTS, MOST_LEARNT, NO_RUNS, PLAYED, ROW, WORTH, Memory, read, spelled
from tests.nets import lively
from tests.stage import Faults, Note, Stage, notes
from tests.test_memory import BEGINNING, LICK, Listening, lick, line

ANSWER = line((80, 77, 75, 72), begin=300)


def told(played: Listening, tokens: Sequence[Token]) -> np.ndarray:
    """The votes after some tokens that are not kept."""
    runs, last = played.runs, played.last
    for token in tokens:
        runs, last = played.memory.follow(runs, last, token), token
    return played.memory.which(runs, last)


@pytest.mark.parametrize(("regard", "worth"), [(-2, 0.0), (-1, 0.5), (1, 2.0), (2, 4.0)])
def test_a_regard_multiplies_the_votes(regard: int, worth: float) -> None:
    played = Listening().hears(line(LICK))
    plain = told(played, line(LICK[:3], begin=200))
    played.memory.regard(range(played.memory.kept), regard)
    assert told(played, line(LICK[:3], begin=200)).tolist() == (worth * plain).tolist() and plain.any()
    played.memory.regard(range(played.memory.kept), 0)
    assert told(played, line(LICK[:3], begin=200)).tolist() == plain.tolist()


def test_only_the_events_of_those_numbers_count_for_more() -> None:
    played = Listening().hears([*line(LICK), *line((30, 41, 35, 47), begin=200)])
    before = [told(played, line(tune, begin=400)) for tune in (LICK[:3], (30, 41, 35))]
    played.memory.regard(range(16, 24), BEST)
    after = [told(played, line(tune, begin=400)) for tune in (LICK[:3], (30, 41, 35))]
    assert after[0].tolist() == before[0].tolist() and after[1].tolist() == (WORTH[-1] * before[1]).tolist()


def test_what_is_forgotten_already_has_no_regard() -> None:
    played = Listening().hears(line([40 + i % 2 for i in range(PLAYED // 2 + 8)]))
    played.memory.regard(range(20), BEST)
    assert np.count_nonzero(played.memory._regards) == 4


def test_an_answer_that_was_liked_follows_the_phrase_it_came_after() -> None:
    played = Listening().hears(line(LICK))
    last = played.last
    assert not told(played, [*line(LICK, begin=400), ANSWER[0]]).any()
    played.runs = played.memory.learn(played.runs, range(played.memory.kept), [last, *ANSWER], 1)
    votes = told(played, line(LICK, begin=400))
    assert votes.argmax() == ANSWER[0].what
    votes = told(played, [*line(LICK, begin=400), *(token._replace(tick=token.tick + 400) for token in ANSWER[:4])])
    assert votes.argmax() == ANSWER[4].what


def test_what_the_player_plays_next_does_not_follow_from_an_answer_that_was_learnt() -> None:
    played = Listening().hears(line(LICK))
    played.runs = played.memory.learn(played.runs, range(0), [played.last, *ANSWER], 1)
    played.hears(line((30, 41), begin=400))
    assert not told(played, ANSWER)[30]
    assert told(Listening().hears([*ANSWER, *line((30, 41), begin=400)]), ANSWER)[30]


def test_what_is_liked_lasts_longer_than_what_was_played_since() -> None:
    played = Listening().hears(line(LICK))
    played.runs = played.memory.learn(played.runs, range(played.memory.kept), [played.last, *ANSWER], 1)
    played.hears(line([30 + i % 2 for i in range(PLAYED // 2)], begin=1000))
    assert told(played, [*line(LICK, begin=90_000), ANSWER[0]]).argmax() == ANSWER[1].what
    assert told(played, line(LICK[:5], begin=90_000)).argmax() == LICK[5]
    for _ in range(30):  # until enough is liked that came after it
        played.memory.learn(played.runs, range(played.memory.kept - 40, played.memory.kept), [played.last], 1)
    assert not told(played, line(LICK[:5], begin=90_000))[LICK[5]]


def test_of_a_long_answer_the_end_is_learnt() -> None:
    memory, endless = Memory(1.0), line([40 + i % 40 for i in range(PLAYED)])
    memory.learn(NO_RUNS, range(0), endless, 1)
    assert memory._liked.count == MOST_LEARNT and memory.kept == 0


def test_what_is_kept_of_a_memory_makes_one_that_votes_alike() -> None:
    played = Listening().hears([*line(LICK), *line((30, 41, 35, 47), begin=200)])
    played.memory.regard(range(16, 24), -1)
    played.runs = played.memory.learn(played.runs, range(16), [played.last, *ANSWER], 2)
    again = Listening()
    again.memory = Memory(1.0, read(spelled(played.memory.remembered())))
    assert again.memory.remembered() == played.memory.remembered() and again.memory.kept == played.memory.kept
    played.runs, played.last = NO_RUNS, BEGINNING
    for tune in (LICK[:3], (30, 41, 35), [pitch + 2 for pitch in LICK], (80, 77, 75)):
        assert told(again, line(tune)).tolist() == told(played, line(tune)).tolist()
        assert told(again, line(tune)).any()


def test_a_full_memory_is_kept_from_its_oldest_event_on() -> None:
    played = Listening().hears(line(np.random.default_rng(1).integers(30, 90, PLAYED).tolist()))
    kept = played.memory.remembered()
    assert len(kept) == PLAYED * ROW.size
    assert [what for what, *_ in ROW.iter_unpack(kept)][-2:] == [played.last.what - OFF, played.last.what]
    assert [begins for _, _, begins, _ in ROW.iter_unpack(kept)] == [1] + [0] * (PLAYED - 1)


def test_what_is_played_after_it_was_loaded_begins_a_run() -> None:
    again = Listening()
    again.memory = Memory(1.0, Listening().hears(line(LICK)).memory.remembered())
    again.hears(line((30, 41, 35, 47)))
    assert again.memory.kept == 24 and not told(again, line(LICK, begin=400))[30]
    assert told(Listening().hears([*line(LICK), *line((30, 41), begin=200)]), line(LICK, begin=400))[30]


@pytest.mark.parametrize(
    "text",
    [
        "\u00e9", "AAA", spelled(b"123"), spelled(bytes((60, 128, 0, 0))), spelled(bytes((60, 0, 4, 0))),
        spelled(bytes((60, 0, 1, 3))), spelled(bytes((60, 0, 1, 0x80))), spelled(bytes(ROW.size * (EVENTS + 1))),
    ],
)  # fmt: skip
def test_what_is_no_memory_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        read(text)


# On the stage

MS = NS // 1000
PAUSE_NS = 8 * NS


def session(marks: Sequence[Mark], phrases: int = 2, remembered: bytes = b"") -> tuple[list[Note], Engine]:
    """The same lick every eight seconds, from the first on, and what was answered."""
    settings = Settings(steering=Steering(memory=1.0))
    stage = Stage(lively(), settings.musicianship(3), remembered=remembered)
    heard = [event for i in range(phrases) for event in lick(NS + i * PAUSE_NS)]
    show = stage.play(sorted([*heard, *marks], key=lambda event: event.time_ns))
    return notes(show.sent), show.engine


def regards(engine: Engine) -> list[int]:
    """Of each event that is remembered."""
    return [regard for *_, regard in ROW.iter_unpack(engine.remembered())]


PHRASE = 2 * len(LICK)  # events
DURING, AFTER, WHILE_NEXT = 3 * NS, 8 * NS, 9 * NS + NS // 2


def good(*times_ns: int) -> list[Mark]:
    return [Mark(time_ns, True) for time_ns in times_ns]


def bad(*times_ns: int) -> list[Mark]:
    return [Mark(time_ns, False) for time_ns in times_ns]


def test_without_marks_only_what_the_player_played_is_remembered() -> None:
    assert regards(session([])[1]) == [0] * 2 * PHRASE


@pytest.mark.parametrize("time_ns", [DURING, AFTER, WHILE_NEXT])
def test_a_good_exchange_is_remembered_both_sides(time_ns: int) -> None:
    played, engine = session(good(time_ns))
    first = [note for note in played if note.on.sent_ns < NS + PAUSE_NS]
    answer = [
        event for note in first for event in ((note.on.sent_ns, 1, note.pitch), (note.off.sent_ns, 0, note.pitch))
    ]
    rows = list(ROW.iter_unpack(engine.remembered()))
    assert [regard for *_, regard in rows[: 2 * PHRASE]] == [0] * 2 * PHRASE
    learnt = [what for what, *_ in rows[2 * PHRASE :]]
    assert [what for what, *_ in rows[:PHRASE]] == learnt[:PHRASE]  # the phrase, and then the answer as it sounded
    assert sorted(learnt[PHRASE:]) == sorted(pitch if on else OFF + pitch for _, on, pitch in answer)
    assert {regard for *_, regard in rows[2 * PHRASE :]} == {1}


@pytest.mark.parametrize(
    ("marks", "regard"),
    [
        (bad(AFTER), -1),
        (bad(*[AFTER] * 10), -2),
        (good(AFTER) + bad(WHILE_NEXT), 0),
        (bad(DURING) + good(AFTER), 0),
        (bad(*[DURING] * 10) + good(AFTER), -1),
    ],
)
def test_marks_are_bounded_and_one_undoes_the_other(marks: list[Mark], regard: int) -> None:
    assert regards(session(marks)[1]) == [regard] * PHRASE + [0] * PHRASE


def test_ten_times_good_is_twice_good() -> None:
    assert session(good(*[DURING] * 10))[1].remembered() == session(good(DURING, AFTER))[1].remembered()


def test_where_nothing_was_answered_there_is_nothing_to_mark() -> None:
    assert regards(session(good(NS // 2, NS + NS // 2))[1]) == [0] * 2 * PHRASE


def test_of_an_answer_that_was_cut_short_what_sounded_is_remembered() -> None:
    in_again_ns = 3 * NS + NS // 8
    stage = Stage(lively(), Settings(steering=Steering(memory=1.0)).musicianship(1))
    show = stage.play([*lick(NS), *lick(in_again_ns), *good(in_again_ns + NS)], in_again_ns + 9 * NS // 8)
    sounded = [note for note in notes(show.sent) if note.on.due_ns < in_again_ns]
    rows = [what for what, *_ in ROW.iter_unpack(show.engine.remembered())]
    learnt = rows[-2 * len(sounded) :]
    assert sounded and sorted(learnt) == sorted(what for note in sounded for what in (note.pitch, OFF + note.pitch))


def test_the_end_of_a_session_settles_what_was_marked_last() -> None:
    rows = list(ROW.iter_unpack(session(good(2 * PAUSE_NS))[1].remembered()))
    learnt = [(what, regard) for what, _, _, regard in rows[2 * PHRASE :]]
    assert learnt[:PHRASE] == [(what, 1) for what, *_ in rows[PHRASE : 2 * PHRASE]] and len(learnt) > PHRASE


@pytest.mark.parametrize("late_ns", [0, LEAD_NS - MS])
def test_a_mark_is_of_the_answer_that_was_decided_last_though_the_engine_wakes_late(late_ns: int) -> None:
    """Two phrases: as soon as the second answer is decided, that one is meant."""
    musicianship = Settings(steering=Steering(memory=1.0)).musicianship(3)
    heard = [*lick(NS), *lick(NS + PAUSE_NS)]
    decided_ns = [
        gave.event.time_ns
        for gave in Stage(lively(), musicianship).play(heard).gave
        if isinstance(gave.event, TurnBegins)
    ]
    for time_ns, regards_ in (
        (decided_ns[1] - 1, [-1] * PHRASE + [0] * PHRASE),
        (decided_ns[1] + 1, [0] * PHRASE + [-1] * PHRASE),
    ):
        stage = Stage(lively(), musicianship, Faults(engine_late_ns=late_ns))
        show = stage.play([*heard, Mark(time_ns, False)])
        assert regards(show.engine) == regards_


def quoted(answer: Sequence[int], model: Sequence[int]) -> int:
    """How many of the answer's pairs of intervals are the model's."""
    mine, its = ([*itertools.pairwise(np.diff(pitches).tolist())] for pitches in (answer, model))
    return sum(pair in its for pair in mine)


def answers(marks: Sequence[Mark]) -> list[list[int]]:
    """The pitches of two answers to the same lick."""
    played, _ = session(marks)
    return [[note.pitch for note in played if (note.on.sent_ns > NS + PAUSE_NS) == second] for second in (False, True)]


def test_an_answer_that_was_liked_is_quoted_the_next_time() -> None:
    plain, liked = answers([]), answers(good(AFTER, AFTER))
    assert plain[0] == liked[0]
    assert quoted(liked[1], liked[0]) > 2 * quoted(plain[1], plain[0])
