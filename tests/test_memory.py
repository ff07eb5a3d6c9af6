"""The memory of what the player has played: by hand, and on the virtual stage."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest

from improv import config
from improv.config import Settings
from improv.engine import Engine
from improv.music.events import Heard, NoteOff, NoteOn
from improv.music.steering import Steering
from improv.music.timeline import NS, Timeline
from improv.net import codec
from improv.net.codec import NO_VELOCITY, OFF, Token
from improv.net.memory import ELSEWHERE, EQUAL, LONGEST, NO_RUNS, PLAYED, SHORTEST, TIMES, Memory, mixed
from improv.net.stream import Limits, Reader
from tests.nets import FlatNet, MadNet, lively
from tests.stage import Stage, notes

LICK = (60, 64, 67, 66, 62, 69, 71, 65)
STEP = 12  # ticks
BEGINNING = Token(0, codec.START, NO_VELOCITY)


def line(pitches: Sequence[int], begin: int = 0) -> list[Token]:
    """A note after the other, none of a length: on, off, on, off."""
    tokens = []
    for i, pitch in enumerate(pitches):
        tick = begin + i * STEP
        tokens += [Token(tick, pitch, 16), Token(tick + STEP // 2, OFF + pitch, NO_VELOCITY)]
    return tokens


class Listening:
    """A memory and what it was last played."""

    def __init__(self, strength: float = 1.0) -> None:
        self.memory = Memory(strength)
        self.runs, self.last = NO_RUNS, BEGINNING

    def hears(self, tokens: Sequence[Token]) -> Listening:
        for token in tokens:
            runs = self.memory.follow(self.runs, self.last, token)
            self.runs, self.last = self.memory.keep(runs, token), token
        return self

    @property
    def when(self) -> np.ndarray:
        return self.memory.when(self.runs)

    @property
    def which(self) -> np.ndarray:
        return self.memory.which(self.runs, self.last)


def votes(run: int) -> float:
    return float((run / EQUAL) ** 3)


def test_what_was_played_once_goes_on_as_it_did() -> None:
    played = Listening().hears([*line(LICK), *line(LICK[:3], begin=200)])
    run = 2 * 3 - 1  # the first note was reached from elsewhere
    assert np.flatnonzero(played.which).tolist() == [LICK[3]]
    assert played.which[LICK[3]] == pytest.approx(votes(run))
    assert np.flatnonzero(played.when).tolist() == [codec.dt_bin(STEP // 2)]
    assert played.when.sum() == pytest.approx(TIMES * votes(run))


def test_a_lick_is_known_in_another_key_for_less() -> None:
    up = [pitch + 5 for pitch in LICK]
    played = Listening().hears([*line(LICK), *line(up[:3], begin=200)])
    assert np.flatnonzero(played.which).tolist() == [up[3]]
    assert played.which[up[3]] == pytest.approx(ELSEWHERE * votes(5))


def test_what_lies_beyond_the_keyboard_gets_no_vote() -> None:
    low = [pitch - 60 for pitch in (60, 72, 67, 48)]  # the last one would lie below it
    played = Listening().hears([*line((60, 72, 67, 48)), *line(low[:3], begin=200)])
    assert not played.which.any()


def test_every_time_it_was_played_votes_and_longer_runs_more() -> None:
    twice = Listening().hears([*line(LICK), *line(LICK, begin=200), *line(LICK[:3], begin=400)])
    assert twice.which[LICK[3]] == pytest.approx(votes(5) + votes(LONGEST))  # the second came after one, as the third
    longer = Listening().hears([*line(LICK), *line(LICK[:5], begin=200)])
    assert longer.which[LICK[5]] == pytest.approx(votes(9))


def test_runs_shorter_than_the_shortest_say_nothing_and_the_longest_are_all_alike() -> None:
    once = Listening().hears([*line(LICK), Token(200, 60, 16)])
    assert not once.which.any() and SHORTEST > 1
    tune = np.random.default_rng(1).integers(40, 80, 20).tolist()
    long = Listening().hears([*line(tune), *line(tune[:19], begin=400)])
    assert long.which[tune[19]] == pytest.approx(votes(LONGEST))


def test_the_oldest_is_forgotten() -> None:
    rare, common = line((30, 41, 35, 47)), [60 + 7 * i % 11 for i in range(PLAYED // 2)]
    filled = Listening().hears([*rare, *line(common[: PLAYED // 2 - 8], begin=100), *line((30, 41, 35), begin=50_000)])
    assert filled.which[47] > 0
    over = Listening().hears([*rare, *line(common, begin=100), *line((30, 41, 35), begin=50_000)])
    assert over.which[47] == 0


def test_what_is_followed_is_not_remembered() -> None:
    played = Listening().hears(line(LICK))
    runs, last = played.runs, played.last
    for token in line((30, 41, 35, 47, 30, 41, 35), begin=200):
        runs, last = played.memory.follow(runs, last, token), token
    assert not played.memory.which(runs, last).any()
    for token in line(LICK[:3], begin=400):
        runs, last = played.memory.follow(runs, last, token), token
    assert np.flatnonzero(played.memory.which(runs, last)).tolist() == [LICK[3]]


@pytest.mark.parametrize("before", [0, PLAYED])
def test_nothing_follows_what_was_played_last(before: int) -> None:
    """Even where the machine quotes it to its end; in a full memory the oldest event stands there."""
    played = Listening().hears([*line([40 + i % 2 for i in range(before // 2)]), *line(LICK, begin=50_000)])
    runs, last = played.runs, played.last
    for token in line(LICK, begin=60_000):
        runs, last = played.memory.follow(runs, last, token), token
    assert not played.memory.which(runs, last).any() and not played.memory.when(runs).any()


def test_the_votes_stand_beside_the_network_s_one() -> None:
    logp = np.log(np.array([0.4, 0.4, 0.1, 0.1], np.float32))
    told = np.exp(mixed(logp, np.array([1, 2]), np.array([9.0, 0.0, 1.2, 9.0])))
    assert told / told.sum() == pytest.approx([0, 0.8 / 2.2, 1.4 / 2.2, 0])


def test_without_votes_the_network_s_own_are_left_as_they_are() -> None:
    logp = np.log(np.full(4, 0.25, np.float32))
    assert mixed(logp, np.array([1, 2]), np.array([9.0, 0.0, 0.0, 9.0])) is logp
    off = Listening(0.0).hears([*line(LICK), *line(LICK[:3], begin=200)])
    assert not off.when.any() and not off.which.any()


def test_what_the_network_rules_out_altogether_can_still_be_drawn() -> None:
    logp = np.array([0.0, -1e30, -np.inf], np.float32)
    told = mixed(logp, np.arange(3), np.array([0.0, 0.0, 1.0]))
    assert np.exp(told) == pytest.approx([1, 0, 1])


def test_a_snapshot_is_left_as_it_was_by_what_was_played_after_it() -> None:
    reader = Reader(FlatNet(), Steering(temperature=1.0, top_p=1.0, memory=1.0))
    timeline = Timeline()
    stream = reader.start(0, timeline)
    for token in [*line(LICK), *line(LICK[:3], begin=200)]:
        stream = reader.hear(stream, token, timeline)

    def go_on() -> list[Token]:
        reader.reseed((7,))
        found, at = [], stream
        for _ in range(40):
            found.append(reader.draw(at, Limits(most=48), timeline))
            at = reader.feed(at, found[-1], timeline, own=True)
        return found

    assert go_on() == go_on()


# On the stage


def lick(begin_ns: int) -> list[Heard]:
    events: list[Heard] = []
    for i, pitch in enumerate(LICK):
        on_ns = begin_ns + i * NS // 8
        events += [NoteOn(on_ns, pitch, 80), NoteOff(on_ns + NS // 16, pitch)]
    return events


def answers(memory: float, seed: int) -> tuple[list[int], Engine]:
    """What is answered to the lick, the eighth time it is played."""
    stage = Stage(lively(), Settings(steering=Steering(memory=memory)).musicianship(seed))
    times = [NS + i * 8 * NS for i in range(8)]
    show = stage.play([event for begin_ns in times for event in lick(begin_ns)])
    return [note.pitch for note in notes(show.sent) if note.on.due_ns > times[-1]], show.engine


def quotes(pitches: Sequence[int]) -> int:
    """How many of the lick's pairs of intervals are played, in any key."""

    def pairs(played: Sequence[int]) -> list[tuple[int, ...]]:
        intervals = np.diff(played).tolist()
        return list(itertools.pairwise(intervals))

    return sum(pair in pairs(LICK) for pair in pairs(pitches))


def test_a_lick_played_eight_times_is_quoted_more() -> None:
    without, told = (sum(quotes(answers(memory, seed)[0]) for seed in range(6)) for memory in (0.0, 1.0))
    assert told > 2 * without + 6


def test_the_same_lick_gets_the_same_answer() -> None:
    assert answers(1.0, 3)[0] == answers(1.0, 3)[0] != answers(0.0, 3)[0]


def test_only_what_the_player_played_is_remembered() -> None:
    """However much was planned of an answer, and taken back or ended because he came in again."""
    stage = Stage(lively(), Settings(steering=Steering(memory=1.0)).musicianship(1))
    begins = [NS, 3 * NS + NS // 8, 6 * NS]
    show = stage.play([event for begin_ns in begins for event in lick(begin_ns)], 12 * NS)
    sounding = [note for note in notes(show.sent) for at in begins if note.on.due_ns < at <= note.off.sent_ns]
    memory = show.engine._improviser._soloist._reader.memory
    assert sounding and memory is not None
    assert memory._whats[: memory.kept].tolist() == [what for pitch in LICK for what in (pitch, OFF + pitch)] * 3


@pytest.mark.parametrize("seed", range(13))
def test_a_network_out_of_its_mind_still_plays_what_can_be_played(seed: int) -> None:
    stage = Stage(MadNet(seed), Settings(steering=Steering(memory=1.0)).musicianship(seed))
    show = stage.play([event for i in range(4) for event in lick(NS + i * 4 * NS)])
    assert notes(show.sent)


def test_the_setting_is_a_share() -> None:
    assert config.override(Settings(), memory=0.5).musicianship(1).steering.memory == 0.5
    with pytest.raises(config.BadSetting, match=r"--memory is 1\.5; it must be from 0 to 1"):
        config.override(Settings(), memory=1.5)
