"""Takes, on the virtual clock: what becomes of an answer, and of what is known, at the press of a footswitch."""

from __future__ import annotations

from improv.config import Settings
from improv.music.events import ForgetMe, Heard
from improv.music.steering import Steering
from improv.music.timeline import NS, Timeline
from tests.nets import lively
from tests.stage import Stage, every, notes, played_on

FREE = Timeline(120.0, NS)
PHRASE = played_on(FREE, every(0.5, 0, 6))  # from 1 to 4 s


def later(heard: list[Heard], by_ns: int) -> list[Heard]:
    return [event._replace(time_ns=event.time_ns + by_ns) for event in heard]


def a_stage(seed: int = 1, **steering: float) -> Stage:
    return Stage(lively(), Settings(steering=Steering(**steering)).musicianship(seed))


def test_forgotten_is_all_that_was_heard() -> None:
    stage = a_stage()
    stage.play(PHRASE, 5 * NS)
    assert not stage._engine.resting
    show = stage.play([ForgetMe(5 * NS), *later(PHRASE[:10], 5 * NS)], 7 * NS + NS // 2)
    stream = show.engine._soloist.stream
    assert [note for note in notes(show.sent) if note.off.sent_ns == 5 * NS]  # it was in the middle of an answer
    assert all(note.off.sent_ns <= 5 * NS for note in notes(show.sent))
    assert stream is not None and stream.reading.state[0] == 1 + 10  # the start, and what came after
    assert show.engine._soloist._reader.memory.kept == 10


def test_a_phrase_that_is_forgotten_gets_no_answer() -> None:
    show = a_stage().play([*PHRASE[:11], ForgetMe(PHRASE[10].time_ns + 1), PHRASE[11]], 9 * NS)
    assert not show.sent and show.engine.resting and show.engine._soloist.stream is None
