"""Each knob, turned while the notes are counted: what is drawn follows it, whatever the network would like."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean, median

import numpy as np
import pytest
from hypothesis import given as for_all
from hypothesis import settings
from hypothesis import strategies as st

from improv.engine import Engine
from improv.midi import files
from improv.midi.frames import Sent
from improv.music import scale
from improv.music.answer import BEYOND, Manner, register
from improv.music.belts import Belts
from improv.music.events import Ask, ForgetMe, Heard, NoteOff, NoteOn, Steer
from improv.music.flow import MOST, NO_HASTE, Flow, Haste
from improv.music.grid import Grid
from improv.music.musicianship import PLAIN, Musicianship, Time
from improv.music.schedule import is_note_on
from improv.music.steering import RANGES, Steering, Value, at
from improv.music.timeline import NS, Timeline
from improv.net import codec
from improv.net.codec import Token
from improv.net.quote import Quote
from improv.net.stepper import Stepper
from improv.net.stream import Limits, Net, Reader, Stream
from improv.net.weights import find
from improv.render import perform
from tests.nets import FlatNet, MadNet, lively
from tests.stage import Note, Show, Stage, notes
from tests.test_belts import BELTS, chords, keep, most_voices
from tests.test_render import render, seed
from tests.test_time import ASKS, BY_HAND, KEYS, SETTINGS, TUNES, Act, happening, script

MS = NS // 1000
DENSITIES = (0.25, 0.5, 1.0, 2.0, 4.0)
MELODY = (60, 62, 64, 65, 67, 65, 64, 62, 60, 64, 67, 71, 72, 71, 69, 67)

PHRASE_S = len(MELODY) / 4


def melody(begin_ns: int = NS, velocity: int = 80, spacing_ns: int = 250 * MS) -> list[Heard]:
    heard: list[Heard] = []
    for i, pitch in enumerate(MELODY):
        on_ns = begin_ns + i * spacing_ns
        heard += [NoteOn(on_ns, pitch, velocity), NoteOff(on_ns + 4 * spacing_ns // 5, pitch)]
    return heard


def show_of(net: Net, steering: Steering, heard: Sequence[Heard], seed: int = 0, **more: object) -> Show:
    return Stage(net, Musicianship(steering=steering, seed=seed, **more)).play(heard)  # type: ignore[arg-type]


def answers(net: Net, steering: Steering, heard: Sequence[Heard], seeds: Iterable[int] = range(4)) -> list[list[Note]]:
    return [notes(show_of(net, steering, heard, seed).sent) for seed in seeds]


def strokes(sent: Iterable[Sent]) -> list[int]:
    return [one.message[1] for one in sent if is_note_on(one.message)]


def length_s(played: Sequence[Note]) -> float:
    return (max(note.off.due_ns for note in played) - min(note.on.due_ns for note in played)) / NS


def with_knob(knob: str, value: Value) -> Steering:
    return replace(PLAIN, **{knob: value})  # type: ignore[arg-type]


# Density


def flowing(notes_per_s: float, every_ticks: int, ticks: int = 960) -> Flow:
    flow = Flow.begin(notes_per_s, 0, 96.0)
    for tick in range(0, ticks, every_ticks):
        flow = flow.strike(tick)
    return flow


def haste(flow: Flow, density: float, tick: int = 960, bpm: float = 0.0) -> Haste:
    return flow.haste(tick, density, Timeline(bpm or 120.0, metric=bpm > 0))


def test_the_haste_is_to_what_is_missing_and_from_what_is_too_much() -> None:
    assert haste(flowing(4.0, 24), 1.0) == haste(flowing(4.0, 96), 1.0) == NO_HASTE
    sparse, dense = flowing(4.0, 48), flowing(4.0, 12)  # 2 and 8 notes a second
    for there, density in ((sparse, 0.5), (dense, 2.0)):
        assert haste(there, density).pull == pytest.approx(0, abs=0.2)
        assert haste(there, density).share == pytest.approx(0, abs=0.3)
        assert haste(there, density).of_memory == pytest.approx(1, abs=0.2)
    assert haste(sparse, 2.0).pull == haste(dense, 2.0, 10**9).pull == pytest.approx(MOST * math.log(2))
    assert haste(dense, 0.5).pull == pytest.approx(-MOST * math.log(2))
    assert haste(sparse, 2.0)[2:] == haste(dense, 0.5)[2:] == (1.0, 1.0)
    assert haste(sparse, 0.25).pull < 0 < haste(dense, 4.0).pull
    assert haste(sparse, 0.75).pull > 0.4 and haste(sparse, 0.75)[2:] == (0.0, 0.0)
    assert 0.2 < haste(flowing(4.0, 32), 0.75, bpm=100.0).of_memory < 0.6  # some of it comes half as fast


@pytest.mark.parametrize(
    ("density", "pace"), [(0.25, 0.25), (0.4, 0.25), (0.75, 0.5), (1.2, 2), (2, 2), (2.1, 4), (4, 4)]
)
def test_on_a_beat_a_rhythm_keeps_to_that_at_any_pace(density: float, pace: float) -> None:
    assert haste(flowing(4.0, 24), density, bpm=100.0).pace == pace
    assert haste(flowing(4.0, 24), density).pace == density


@pytest.mark.parametrize("bpm", [None, 120.0])
@pytest.mark.parametrize("memory", [0.0, 0.5])
def test_the_network_that_ships_follows_the_density_of_what_it_quotes(memory: float, bpm: float | None) -> None:
    """Eighths, which it has heard often enough to say again."""
    net, scale = Stepper(find("open")), (60, 62, 63, 65, 67, 68, 70, 72, 70, 67, 68, 65, 63, 67, 62, 60)
    heard: list[Heard] = []
    for i, pitch in enumerate(scale * 2):
        heard += [NoteOn(NS + i * NS // 4, pitch, 80), NoteOff(NS + i * NS // 4 + NS // 5, pitch)]
    for density in (0.5, 2.0):
        knobs = Steering(density=density, memory=memory)
        settings = Musicianship(steering=knobs, listens_for_the_end=False, seed=1, time=Time(bpm=bpm))
        played = perform(Engine(net, settings), [*heard, Ask(10 * NS)])
        onsets = [event.time_ns for event in played if isinstance(event, NoteOn)]
        rate = (len(onsets) - 1) * NS / (onsets[-1] - onsets[0])
        assert 0.6 * 4 * density < rate < 1.6 * 4 * density
        assert 5 * NS < onsets[-1] - onsets[0] < 12 * NS


@pytest.mark.parametrize("heard", [melody(), chords(10, 3, spacing_ns=400 * MS)], ids=["melody", "chords"])
def test_a_denser_answer_has_more_notes_in_a_time(heard: list[Heard]) -> None:
    rates = []
    for density in DENSITIES:
        played = answers(FlatNet(), with_knob("density", density), heard)
        rates.append(sum(map(len, played)) / sum(map(length_s, played)))
    assert rates == sorted(rates) and rates[-1] > 5 * rates[0]


def test_the_network_that_ships_follows_the_density() -> None:
    net = Stepper(find("open"))
    lasted, counted = [], []
    for density in DENSITIES:
        played = answers(net, Steering(density=density), melody(), range(2))
        lasted.append(mean(map(length_s, played)))
        counted.append(sum(map(len, played)) / sum(map(length_s, played)))
    assert counted == sorted(counted) and counted[0] < 0.4 * counted[2] < 0.2 * counted[4]
    assert min(lasted) > 0.75 * PHRASE_S and max(lasted) < 1.25 * PHRASE_S + 2  # they are as long as ever


# Register and voices


def test_the_register_moves_with_the_knob() -> None:
    heights = []
    for above in (-36, -24, -12, 0, 12, 24, 36):
        pitches = [
            note.pitch for played in answers(lively(), with_knob("register", above), melody()) for note in played
        ]
        heights.append(mean(pitches))
    assert heights == sorted(heights) and heights[-1] - heights[0] > 40


@for_all(st.integers(0, 127), st.integers(0, 127), st.integers(-36, 36), BELTS)
def test_a_register_lies_within_the_belts_and_leaves_an_octave_where_they_do(
    one: int, other: int, above: int, belts: Belts
) -> None:
    manner = Manner(low=min(one, other), high=max(one, other))
    low, high = register(manner, above, belts)
    assert belts.lowest <= low <= high <= belts.highest
    assert high - low >= min(BEYOND, belts.highest - belts.lowest)


def test_it_is_the_player_s_register_moved_with_an_octave_beyond() -> None:
    belts, manner = Belts(lowest=0, highest=127), Manner(low=55, high=70)
    assert register(manner, 0, belts) == (43, 82)
    assert register(manner, 5, belts) == (53, 87)
    assert register(manner, 24, belts) == (79, 106)
    assert register(manner, -24, belts) == (19, 46)


@pytest.mark.parametrize("voices", [1, 2, 5])
def test_so_many_voices_whatever_the_player_s(voices: int) -> None:
    show = show_of(lively(), with_knob("voices", voices), chords(12, 6, spacing_ns=300 * MS))
    assert most_voices(show.sent) == voices


def test_voices_that_are_taken_away_while_it_plays_end_before_another_begins() -> None:
    heard = [*chords(20, 6, spacing_ns=300 * MS)]
    late_ns = heard[-1].time_ns + 3 * NS
    show = show_of(lively(), with_knob("length", 3.0), [*heard, Steer(late_ns, "voices", 1)])
    before = [one for one in show.sent if one.due_ns < late_ns]
    begin_ns = late_ns + 2 * NS  # when all that was planned has been played
    after = [one for one in show.sent if one.due_ns > begin_ns]
    sounding = {note.pitch for note in notes(show.sent) if note.on.due_ns <= begin_ns < note.off.due_ns}
    assert most_voices(before) > 4 and len(sounding) <= 1
    assert len(strokes(after)) > 3 and most_voices(after) <= 1


# Loudness and length


def test_its_loudness_follows_the_player_s() -> None:
    middles, spreads = {}, {}
    for velocity in (20, 64, 115):
        for follow in (0.0, 0.3, 1.0):
            played = answers(lively(), with_knob("velocity_follow", follow), melody(velocity=velocity))
            velocities = [note.on.message[2] for answer in played for note in answer]
            middles[velocity, follow], spreads[velocity, follow] = median(velocities), float(np.std(velocities))
    assert all(abs(middles[velocity, 1.0] - velocity) <= 6 for velocity in (20, 64, 115))
    assert abs(middles[20, 0.0] - middles[115, 0.0]) < 30 < middles[115, 0.3] - middles[20, 0.3]
    assert all(spreads[v, 0.0] > spreads[v, 0.3] > spreads[v, 1.0] for v in (20, 64, 115))


def test_it_is_as_loud_as_the_phrase_that_it_answers() -> None:
    velocities = (115, 25, 120, 30, 64)
    phrases = [melody(NS + i * 15 * NS, velocity) for i, velocity in enumerate(velocities)]
    heard = [event for phrase in phrases for event in phrase]
    show = show_of(lively(), with_knob("velocity_follow", 1.0), heard)
    for phrase, velocity in zip(phrases, velocities, strict=True):
        begin_ns = phrase[0].time_ns
        played = [
            one.message[2] for one in show.sent if is_note_on(one.message) and 0 < one.due_ns - begin_ns < 15 * NS
        ]
        assert abs(median(played) - velocity) <= 8


def test_beside_the_player_its_loudness_follows_what_he_plays_meanwhile() -> None:
    soft, harder = melody(velocity=30), melody(6 * NS, velocity=110)
    heard = [*soft, *harder, *melody(10 * NS, velocity=110)]
    show = show_of(lively(), with_knob("velocity_follow", 1.0), heard, time=Time(mode="duet"))
    played = [(one.due_ns, one.message[2]) for one in show.sent if is_note_on(one.message)]
    before, after = ([loud for at, loud in played if 0 < at - from_ns < 2 * NS] for from_ns in (3 * NS, 12 * NS))
    assert before and after and max(before) < 50 and min(after) >= 86


def test_an_answer_is_so_many_times_as_long_as_the_phrase() -> None:
    for length in (0.25, 0.5, 1.0, 2.0, 4.0):
        for played in answers(lively(), with_knob("length", length), melody()):
            assert 0.6 * length * PHRASE_S < length_s(played) < 1.25 * length * PHRASE_S + 2


def test_a_length_that_was_asked_for_stays_what_it_is() -> None:
    engine = Engine(lively(), Musicianship(steering=with_knob("length", 4.0), listens_for_the_end=False))
    played = perform(engine, [*melody(), Ask(6 * NS, length_ns=2 * NS)])
    assert played[-1].time_ns <= 8 * NS


# The key


KEYED = st.sampled_from(["C major", "F# minor pentatonic", "Bb blues", "E whole tone", "D harmonic minor"])


@settings(max_examples=80, deadline=None)
@for_all(KEYED, BELTS, SETTINGS, st.integers(0, 400), script(TUNES, TUNES, KEYS, ASKS, BY_HAND), st.data())
def test_every_note_is_in_the_key_and_no_belt_breaks_whatever_else_is_turned(
    key: str, belts: Belts, time: Time, seed: int, acts: list[Act], data: st.DataObject
) -> None:
    turns = st.tuples(st.integers(0, 20_000), st.sampled_from([*sorted(RANGES), "style"]), st.floats(0, 1))
    heard = happening([act for act in acts if act[0] not in ("tap", "loop")])
    heard += [Steer(NS + ms * MS, knob, at(knob, share)) for ms, knob, share in data.draw(st.lists(turns, max_size=12))]
    heard.sort(key=lambda event: event.time_ns)
    musicianship = Musicianship(replace(PLAIN, key=key), belts=belts, time=time, seed=seed)
    show = Stage(MadNet(seed), musicianship).play(heard, heard[-1].time_ns + 150 * NS)
    assert show.engine.resting
    classes = scale.named(key).classes
    assert all(pitch % 12 in classes for pitch in strokes(show.sent))
    keep(belts, show)


class Watching(Reader):
    """Writes down what it drew, and in which key."""

    def __init__(self, net: Net, steering: Steering) -> None:
        super().__init__(net, steering)
        self.drawn: list[tuple[str | None, int]] = []

    def draw(self, stream: Stream, limits: Limits, timeline: Timeline) -> Token:
        token = super().draw(stream, limits, timeline)
        if token.what < codec.OFF:
            self.drawn.append((self.steering.key, token.what))
        return token


@settings(max_examples=60, deadline=None)
@for_all(SETTINGS, st.integers(0, 400), st.lists(st.tuples(st.integers(0, 9_000), st.floats(0, 1)), max_size=12))
def test_a_key_that_is_turned_to_while_it_plays_holds_for_what_is_drawn_from_then_on(
    time: Time, seed: int, turns: list[tuple[int, float]]
) -> None:
    stage = Stage(MadNet(seed), Musicianship(steering=PLAIN, time=time, seed=seed))
    reader = stage._engine._improviser._soloist._reader = Watching(stage._net, PLAIN)
    named = [Steer(3 * NS + ms * MS, "key", at("key", 2 / 25 + share * 23 / 25)) for ms, share in turns]
    stage.play(sorted([*chords(10, 3), *melody(6 * NS), *named], key=lambda event: event.time_ns))
    for key, what in reader.drawn:
        assert key is None or what % 12 in scale.named(key).classes


def test_the_key_of_all_notes_changes_nothing() -> None:
    heard = [*melody(), *chords(10, 4, 12 * NS)]
    for dice in range(3):
        plain, chromatic = (show_of(MadNet(dice), with_knob("key", key), heard).sent for key in (None, "chromatic"))
        assert plain == chromatic and plain


def test_a_file_is_answered_in_the_key_too(tmp_path: Path) -> None:
    out = tmp_path / "out.mid"
    render(seed(tmp_path), "-o", out, "--key", "Eb minor", "--notes", 40, "--only-answer", "--temperature", 2)
    pitches = [event.pitch for event in files.read(out).events if isinstance(event, NoteOn)]
    assert len(pitches) == 40 and all(pitch % 12 in scale.named("Eb minor").classes for pitch in pitches)


def test_belts_that_hold_no_note_of_the_key_are_silent() -> None:
    belts = Belts(lowest=61, highest=61)
    silent, single = (
        show_of(lively(), with_knob("key", key), melody(), belts=belts) for key in ("C major", "Db major")
    )
    assert not strokes(silent.sent) and silent.engine.resting
    assert set(strokes(single.sent)) == {61}


def test_a_key_without_a_note_in_the_belts_ends_the_answer_that_is_playing() -> None:
    heard: list[Heard] = [*melody(), Steer(8 * NS, "key", "C major")]
    show = show_of(lively(), with_knob("length", 4.0), heard, belts=Belts(lowest=61, highest=61))
    onsets = [one.due_ns for one in show.sent if is_note_on(one.message)]
    assert onsets and max(onsets) < 9 * NS and show.engine.resting


def in_key(name: str, begin_ns: int, count: int = 48) -> list[Heard]:
    """Up and down a scale, from which a key is plain."""
    pitches = [pitch for pitch in range(57, 82) if pitch % 12 in scale.named(name).classes]
    way = [*pitches, *reversed(pitches)]
    heard: list[Heard] = []
    for i in range(count):
        on_ns = begin_ns + i * NS // 8
        heard += [NoteOn(on_ns, way[i % len(way)], 80), NoteOff(on_ns + NS // 10, way[i % len(way)])]
    return heard


def classes_between(show: Show, begin_ns: int, end_ns: int) -> set[int]:
    return {note.pitch % 12 for note in notes(show.sent) if begin_ns < note.on.due_ns < end_ns}


@pytest.mark.parametrize("name", ["C major", "E major", "Bb major"])
def test_an_inferred_key_is_the_one_the_player_plays_in(name: str) -> None:
    heard = in_key(name, NS)
    begin_ns = heard[-1].time_ns
    free, kept = (show_of(lively(), with_knob("key", key), heard) for key in (None, "inferred"))
    classes = scale.named(name).classes
    assert classes_between(kept, begin_ns, 1 << 62) <= classes
    assert not classes_between(free, begin_ns, 1 << 62) <= classes


def test_where_nothing_was_played_no_key_is_inferred() -> None:
    free, inferred = (show_of(lively(), with_knob("key", key), [Ask(NS)]) for key in (None, "inferred"))
    assert free.sent == inferred.sent and free.sent


def test_an_inferred_key_follows_the_player() -> None:
    first, second = in_key("C major", 6 * NS), in_key("F# major", 26 * NS, 96)
    show = show_of(lively(), with_knob("key", "inferred"), [*first, *second])
    assert classes_between(show, first[-1].time_ns, 26 * NS) <= scale.named("C major").classes
    assert classes_between(show, second[-1].time_ns, 1 << 62) <= scale.named("F# major").classes


def test_a_key_can_be_inferred_of_what_was_played_before_it_was_asked_for() -> None:
    heard = in_key("E major", NS)
    asked_ns = heard[-1].time_ns + NS // 4
    show = show_of(lively(), PLAIN, [*heard, Steer(asked_ns, "key", "inferred")])
    assert classes_between(show, asked_ns, 1 << 62) <= scale.named("E major").classes


def test_what_is_forgotten_has_no_key() -> None:
    heard = [*in_key("E major", NS), ForgetMe(8 * NS), Ask(9 * NS)]
    show = show_of(lively(), with_knob("key", "inferred"), heard)
    assert not classes_between(show, 9 * NS, 1 << 62) <= scale.named("E major").classes


# Variation


def shared(played: Sequence[Note], heard: Sequence[Heard]) -> float:
    """How many of the notes lie where the player's did, counted from the first."""
    theirs = {(round((event.time_ns - NS) / (25 * MS)), event.pitch) for event in heard if isinstance(event, NoteOn)}
    begin_ns = played[0].on.due_ns
    ours = [(round((note.on.due_ns - begin_ns) / (25 * MS)), note.pitch) for note in played]
    return sum(note in theirs for note in ours) / len(ours)


@pytest.mark.parametrize("net", [lively(), MadNet(1), MadNet(5)], ids=["lively", "mad", "madder"])
@pytest.mark.parametrize("heard", [melody(), chords(8, 4, spacing_ns=500 * MS)], ids=["melody", "chords"])
def test_without_variation_it_quotes_the_phrase(net: Net, heard: list[Heard]) -> None:
    (played,) = answers(net, with_knob("variation", 0.0), heard, [3])
    theirs = sorted((event.time_ns, event.pitch, event.velocity) for event in heard if isinstance(event, NoteOn))
    assert [note.pitch for note in played] == [pitch for _, pitch, _ in theirs]
    late = [note.on.due_ns - time_ns for note, (time_ns, _, _) in zip(played, theirs, strict=True)]
    assert max(late) - min(late) <= 11 * MS  # a tick
    assert all(abs(note.on.message[2] - velocity) <= 2 for note, (_, _, velocity) in zip(played, theirs, strict=True))


def test_the_more_variation_the_less_of_the_phrase_is_left() -> None:
    left = []
    for variation in (0.0, 0.2, 0.5, 1.0):
        played = answers(lively(), with_knob("variation", variation), melody(), range(8))
        left.append(mean(shared(answer, melody()) for answer in played))
    assert left == sorted(left, reverse=True)
    assert left[0] == 1.0 and left[1] > 0.5 and 0.15 < left[2] < 0.7 and left[3] < 0.1


def test_a_quote_is_moved_to_the_register_and_the_key() -> None:
    steering = replace(PLAIN, variation=0.0, register=12, key="Db major")
    (played,) = answers(lively(), steering, melody(), [0])
    assert all(note.pitch % 12 in scale.named("Db major").classes for note in played)
    assert all(abs(note.pitch - pitch - 12) <= 1 for note, pitch in zip(played, MELODY, strict=True))


def test_a_longer_answer_goes_on_from_the_quote() -> None:
    (played,) = answers(lively(), replace(PLAIN, variation=0.0, length=2.0), melody(), [0])
    assert [note.pitch for note in played[: len(MELODY)]] == list(MELODY) and len(played) > len(MELODY) + 4


def test_nothing_was_played_that_could_be_quoted() -> None:
    show = show_of(lively(), with_knob("variation", 0.0), [Ask(NS)])
    assert len(notes(show.sent)) > 3


def test_another_key_while_it_quotes_holds_for_the_rest_of_it() -> None:
    heard: list[Heard] = [*melody(), Steer(7 * NS, "key", "Db major")]
    played = notes(show_of(lively(), with_knob("variation", 0.0), heard).sent)
    planned = [note for note in played if note.on.due_ns > 8 * NS]
    assert planned and all(note.pitch % 12 in scale.named("Db major").classes for note in planned)


def test_what_is_quoted_next_can_be_played() -> None:
    phrase = [Token(5, codec.OFF + 40, 32), Token(10, 60, 9), Token(10, 64, 9), Token(34, codec.OFF + 60, 32)]
    quote, silent = Quote(phrase, np.ones(128, bool), 0), np.zeros(128, bool)
    assert quote.next(None, silent, on=True) == Token(0, 60, 9)
    assert quote.next(Token(0, 60, 3), silent, on=True) == Token(0, 64, 9)
    assert quote.next(Token(3, 60, 3), silent, on=True) is None
    silent[60] = True
    assert quote.next(Token(0, 59, 3), silent, on=True) == Token(0, 64, 9)
    assert quote.next(None, silent, on=False) == Token(24, codec.OFF + 60, 32)


# What it costs to turn any of them


KNOBS = st.tuples(st.integers(0, 12_000), st.sampled_from([*sorted(RANGES), "style", "key"]), st.floats(0, 1))


@settings(max_examples=100, deadline=None)
@for_all(SETTINGS, st.integers(0, 400), script(TUNES, TUNES, KEYS, ASKS, BY_HAND), st.lists(KNOBS, max_size=30))
def test_whatever_is_turned_under_way_every_note_ends_and_there_is_always_something_to_draw(
    time: Time, seed: int, acts: list[Act], turns: list[tuple[int, str, float]]
) -> None:
    heard = happening(acts) + [Steer(NS + ms * MS, knob, at(knob, share)) for ms, knob, share in turns]
    heard.sort(key=lambda event: event.time_ns)
    show = Stage(MadNet(seed), Musicianship(steering=PLAIN, time=time, seed=seed)).play(
        heard, heard[-1].time_ns + 150 * NS
    )
    assert show.engine.resting
    notes(show.sent)


def test_knobs_that_stand_where_they_stood_change_nothing() -> None:
    """A turn to where it stands, in every answer, on a grid and off it."""
    steering = Steering()
    steers: list[Heard] = [
        Steer(6 * NS, knob, value)
        for knob, value in vars(steering).items()  # style, key and voices are None
    ]
    for time in (Time(), Time(bpm=96.0, grid=Grid(12, 1.0))):
        left, turned = (
            Stage(lively(), Musicianship(steering=steering, time=time)).play([*melody(), *more]).sent
            for more in ([], steers)
        )
        assert left == turned and left
