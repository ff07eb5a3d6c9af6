"""The engine: lists in, lists out, on a virtual clock."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from improv.engine import RELEASE_NS, Engine
from improv.music.belts import Belts, Pace
from improv.music.cue import LEAD_NS
from improv.music.events import Ask, Heard, InputLost, Late, NoteOff, NoteOn, Pedal, Played, Retime, TurnBegins, Yield
from improv.music.musicianship import Musicianship, Time
from improv.music.steering import Steering
from improv.music.timeline import NS, Timeline
from improv.net import codec
from improv.net.codec import OFF, START
from improv.render import perform
from improv.soloist import Soloist
from tests.nets import FlatNet, lively
from tests.stage import StrictReader

MS = NS // 1000


def eighths(count: int = 12, begin_ns: int = NS, spacing_ns: int = 250 * MS, pitch: int = 60) -> list[Heard]:
    events: list[Heard] = []
    for i in range(count):
        onset = begin_ns + i * spacing_ns
        events += [NoteOn(onset, pitch + i % 12, 80), NoteOff(onset + spacing_ns * 4 // 5, pitch + i % 12)]
    return events


def event_of(kind: str, time_ns: int, pitch: int) -> Heard:
    events: dict[str, Heard] = {
        "on": NoteOn(time_ns, pitch, 70),
        "off": NoteOff(time_ns, pitch),
        "down": Pedal(time_ns, True),
        "up": Pedal(time_ns, False),
        "ask": Ask(time_ns),
        "lost": InputLost(time_ns),
    }
    return events[kind]


def run(engine: Engine, heard: Iterable[Heard], until_ns: int | None = None) -> list[Played]:
    """Hear everything, then go on until the time, or until one answer is over. Gives what is heard of it."""
    played: list[Played] = []
    for event in heard:
        played += run(engine, [], event.time_ns)
        played += engine.step(event.time_ns, event)
    while (due := engine.deadline()) is not None and (until_ns is None or due <= until_ns):
        played += engine.step(due)
        if until_ns is None and engine.answers and engine.resting:
            break
    return [event for event in played if isinstance(event, NoteOn | NoteOff | Yield)]


def onsets(played: Iterable[Played]) -> list[NoteOn]:
    return [event for event in played if isinstance(event, NoteOn)]


def test_an_even_line_is_answered_soon_and_everything_ends() -> None:
    heard = eighths()
    played = run(Engine(lively()), heard)
    wait_s = (played[0].time_ns - heard[-1].time_ns) / NS
    assert isinstance(played[0], NoteOn) and 0.25 <= wait_s <= 0.8
    balance = Counter()
    for event in sorted(played, key=lambda e: (e.time_ns, isinstance(e, NoteOn))):
        balance[event.pitch] += 1 if isinstance(event, NoteOn) else -1
        assert balance[event.pitch] in (0, 1)
    assert not +balance


def test_output_is_in_order_and_decided_before_it_is_due() -> None:
    engine = Engine(lively())
    last = 0
    for event in eighths():
        engine.step(event.time_ns, event)
        while (due := engine.deadline()) is not None and due <= event.time_ns + 10 * MS:
            engine.step(due)
    while not (engine.answers and engine.resting):
        due = engine.deadline()
        assert due is not None
        for event in engine.step(due):
            assert event.time_ns >= max(due, last)
            last = event.time_ns


@pytest.mark.parametrize("seed", range(8))
def test_an_answer_is_about_as_long_as_the_phrase(seed: int) -> None:
    heard = eighths(16)
    played = run(Engine(lively(), Musicianship(seed=seed)), heard)
    phrase_ns = heard[-1].time_ns - heard[0].time_ns
    last_ns = onsets(played)[-1].time_ns - played[0].time_ns
    assert 0.7 * phrase_ns <= last_ns <= 1.25 * phrase_ns
    assert played[-1].time_ns - onsets(played)[-1].time_ns <= 2 * NS + 11 * MS  # to the tick


def test_an_answer_ends_where_the_music_breathes() -> None:
    """A network that likes a rest of a second at every turn ends at the first one allowed."""
    dt = np.full(codec.DTS, -50.0, np.float32)
    dt[[24, 72]] = 0.0
    heard = eighths(24)
    ends = []
    for seed in range(20):
        played = run(Engine(FlatNet(dt), Musicianship(seed=seed)), heard)
        ends.append((onsets(played)[-1].time_ns - played[0].time_ns) / (heard[-1].time_ns - heard[0].time_ns))
    assert all(0.6 <= end <= 1.25 for end in ends)
    assert min(ends) < 0.95  # some end early, on a breath


def test_the_first_note_carries_the_silence_that_passed() -> None:
    net = lively()
    heard = eighths()
    played = run(Engine(net), heard)
    first = next(i for i, row in enumerate(net.read_tokens) if i > 24 and row[1] < OFF)
    silence_ticks = (played[0].time_ns - heard[-1].time_ns) * 96 / NS
    assert abs(codec.DT_START[net.read_tokens[first][0]] - silence_ticks) <= 1


def test_the_network_hears_the_player_note_by_note() -> None:
    net = lively()
    engine = Engine(net)
    read = []
    for event in eighths(4):
        engine.step(event.time_ns, event)
        while (due := engine.deadline()) is not None and due <= event.time_ns + 20 * MS:
            engine.step(due)
        read.append(len(net.read_tokens))
    assert net.read_tokens[0][1] == START
    assert read == list(range(2, 10))  # the start, and then one token an event


@pytest.mark.parametrize("style", [None, "ragtime"])
def test_every_token_carries_the_style_that_is_set(style: str | None) -> None:
    net = lively()
    run(Engine(net, Musicianship(steering=Steering(style=style))), eighths())
    assert len(net.read_tokens) > 30  # what was heard and what was played
    assert {row[4] for row in net.read_tokens} == {codec.style_index(style)}
    assert {row[5] for row in net.read_tokens} == {0}


def test_the_player_takes_the_turn_back_at_once() -> None:
    engine = Engine(lively())
    heard = eighths()
    begun = run(engine, heard, heard[-1].time_ns + 1_500 * MS)
    assert engine.answers == 1 and not engine.resting
    entry = heard[-1].time_ns + 1_500 * MS
    played = engine.step(entry, NoteOn(entry, 72, 90))
    assert played == [Yield(entry, RELEASE_NS)]
    assert engine.resting or engine.deadline() == entry
    again = eighths(8, begin_ns=entry + 250 * MS)
    rest = run(engine, [NoteOff(entry + 200 * MS, 72), *again], again[-1].time_ns + 20 * NS)
    assert engine.answers == 2
    assert onsets(rest)[0].time_ns > again[-1].time_ns
    assert onsets(begun)


def test_after_a_yield_the_network_stands_where_the_sound_stopped() -> None:
    """What was planned but never sounded is unread; what sounded is released; then the new note."""
    net = lively()
    engine = Engine(net)
    heard = eighths()
    played = run(engine, heard, heard[-1].time_ns + 1_200 * MS)
    entry = heard[-1].time_ns + 1_200 * MS
    sounded = [event for event in played if event.time_ns <= entry]
    sounding = Counter()
    for event in sounded:
        sounding[event.pitch] += 1 if isinstance(event, NoteOn) else -1
    held = sorted(pitch for pitch, count in sounding.items() if count)
    before = len(net.read_tokens)
    engine.step(entry, NoteOn(entry, 127, 90))
    while (due := engine.deadline()) is not None and due <= entry + 30 * MS:
        engine.step(due)
    fed = [row[1] for row in net.read_tokens[before:]]
    assert fed == [*(OFF + pitch for pitch in held), 127]
    assert engine._improviser._soloist.stream is not None
    tokens_sounded = 1 + 24 + len(sounded) + len(fed)
    assert int(engine._improviser._soloist.stream.reading.state[0]) == tokens_sounded


def test_a_blip_gets_no_answer_unless_asked_for() -> None:
    blip: list[Heard] = [NoteOn(NS, 60, 80), NoteOff(NS + 100 * MS, 60)]
    engine = Engine(lively())
    assert run(engine, blip, 10 * NS) == []
    played = run(engine, [*(e._replace(time_ns=e.time_ns + 10 * NS) for e in blip), Ask(12 * NS)])
    assert onsets(played)


def test_asking_answers_at_once_and_asking_again_stops() -> None:
    engine = Engine(lively())
    heard = [*eighths(8)[:-1], Ask(3 * NS)]  # the last key is still down
    played = run(engine, heard, 3 * NS + 500 * MS)
    assert onsets(played)[0].time_ns == 3 * NS + LEAD_NS
    assert engine.step(3 * NS + 600 * MS, Ask(3 * NS + 600 * MS)) == [Yield(3 * NS + 600 * MS)]
    # The key that was down all the while comes up: nothing of it is left to release.
    engine.step(4 * NS, NoteOff(4 * NS, 67))
    assert run(engine, [], 30 * NS) == []


@pytest.mark.parametrize(("goal", "notes"), [({"notes": 17}, 17), ({"length_ns": 5 * NS}, None)])
def test_an_answer_of_a_given_size(goal: dict[str, int], notes: int | None) -> None:
    settings = Musicianship(listens_for_the_end=False)
    played = run(Engine(lively(), settings), [*eighths(), Ask(5 * NS, **goal)])
    assert notes is None or len(onsets(played)) == notes
    if "length_ns" in goal:
        assert onsets(played)[-1].time_ns < 10 * NS
        assert 9 * NS <= played[-1].time_ns <= 10 * NS + 11 * MS


def test_a_lost_input_releases_what_it_held() -> None:
    engine = Engine(lively())
    heard: list[Heard] = [*eighths(8)[:-1], InputLost(4 * NS)]
    played = run(engine, heard)
    assert 4 * NS < played[0].time_ns < 6 * NS


def test_how_late_an_earlier_answer_was_does_not_end_this_one() -> None:
    engine = Engine(lively())
    heard = eighths()
    turn_ns = onsets(run(engine, heard, heard[-1].time_ns + 1_200 * MS))[0].time_ns - LEAD_NS
    now = heard[-1].time_ns + 1_250 * MS
    assert engine.step(now, Late(now, turn_ns - NS, 300 * MS, 0, 0, ended=True)) == []
    assert engine.step(now, Late(now, turn_ns, 300 * MS, 0, 0, ended=True)) == [Yield(now)]


def test_silence_leaves_nothing_planned() -> None:
    engine = Engine(lively())
    heard = eighths()
    run(engine, heard, heard[-1].time_ns + 1_200 * MS)
    now = heard[-1].time_ns + 1_250 * MS
    assert engine.silence(now) == [Yield(now)]
    assert engine.silence(now) == []
    assert engine.resting or engine.deadline() == now


def test_memory_starts_afresh_after_a_long_silence() -> None:
    net = lively()
    engine = Engine(net)
    run(engine, eighths(2, spacing_ns=100 * MS), 60 * NS)
    run(engine, eighths(2, begin_ns=61 * NS, spacing_ns=100 * MS), 62 * NS)
    assert [row[1] for row in net.read_tokens].count(START) == 2


def test_what_a_lost_input_held_is_heard_to_end_before_memory_starts_afresh() -> None:
    """Both keys come up when memory would start afresh; the network hears so first."""
    engine = Engine(lively(), Musicianship(forget_s=1.0))
    engine._improviser._soloist._reader = StrictReader(engine._improviser._soloist._reader._net, Steering())
    run(engine, [NoteOn(NS, 58, 1), NoteOn(NS, 59, 1), InputLost(2 * NS)], 4 * NS)


def test_beats_start_with_the_first_note() -> None:
    net = lively()
    run(Engine(net, Musicianship(time=Time(bpm=60.0))), eighths(4, begin_ns=7 * NS + 123, spacing_ns=500 * MS))
    phases = [row[3] for row in net.read_tokens if row[1] < OFF][:4]
    assert phases == [0, 24, 0, 24]


def test_a_given_timeline_counts_the_beats() -> None:
    net = lively()
    line = Timeline(bpm=60.0, origin_ns=0, metric=True)
    run(Engine(net), [Retime(0, line), *eighths(2, begin_ns=500 * MS, spacing_ns=NS)], 3 * NS)
    assert [row[3] for row in net.read_tokens if row[1] < OFF] == [24, 24]


def test_free_time_has_no_beat() -> None:
    net = lively()
    run(Engine(net), eighths(2), 2 * NS)
    assert {row[3] for row in net.read_tokens} == {codec.NO_PHASE}


def test_the_same_events_give_the_same_answer_whenever_it_is_woken() -> None:
    """Lateness of the thread is no input: waking 3 ms late decides the same."""
    heard = eighths()

    def play(late_ns: int) -> list[Played]:
        engine = Engine(lively(), Musicianship(seed=3))
        played = perform(engine, heard)
        now = heard[-1].time_ns
        while not (engine.answers and engine.resting):
            now = max(now, (engine.deadline() or 0) + late_ns)
            played += engine.step(now)
        return played

    assert play(0) == play(3 * MS) == play(7 * MS)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(1, 1500),
            st.sampled_from(["on", "off", "down", "up", "ask", "lost"]),
            st.integers(55, 65),
        ),
        max_size=50,
    ),
    st.integers(0, 5),
)
def test_whatever_is_played_every_note_ends(script: list[tuple[int, str, int]], seed: int) -> None:
    engine = Engine(lively(), Musicianship(seed=seed))
    now, sounding = NS, Counter()
    plan: list[Played] = []

    def take(events: list[Played]) -> None:
        nonlocal plan
        for event in events:
            if isinstance(event, TurnBegins):
                continue
            if isinstance(event, Yield):
                plan = [planned for planned in plan if planned.time_ns <= event.time_ns]
                for planned in plan:
                    sound(planned)
                sounding.clear()  # the outlet releases what sounds
                plan = []
            else:
                assert not plan or event.time_ns >= plan[-1].time_ns
                plan.append(event)

    def sound(event: Played) -> None:
        sounding[event.pitch] += 1 if isinstance(event, NoteOn) else -1
        assert sounding[event.pitch] in (0, 1)

    for wait_ms, kind, pitch in script:
        now += wait_ms * MS
        while (due := engine.deadline()) is not None and due <= now:
            take(engine.step(due))
        take(engine.step(now, event_of(kind, now, pitch)))
    take(engine.step(now + MS, InputLost(now + MS)))
    while (due := engine.deadline()) is not None and due < now + 100 * NS:
        take(engine.step(due))
    for event in plan:
        sound(event)
    assert engine.resting
    assert not +sounding


def test_a_flood_is_survived_and_read_up_quickly() -> None:
    net = lively()
    engine = Engine(net)
    for i in range(20_000):
        time_ns = NS + i * 100_000
        engine.step(time_ns, NoteOn(time_ns, i % 128, 64))
    assert len(engine._improviser._hearing.unread) <= 1024
    now = NS + 20_000 * 100_000
    engine.step(now, InputLost(now))
    before = len(net.read_tokens)
    run(engine, [], now + NS)
    assert len(net.read_tokens) - before < 3000


def test_a_noisy_pedal_or_stray_note_offs_do_not_hold_the_turn() -> None:
    heard = eighths()
    end = heard[-1].time_ns
    noise: list[Heard] = [Pedal(end + i * 100 * MS, False) for i in range(1, 40)]
    noise += [NoteOff(end + i * 130 * MS, 30) for i in range(1, 30)]
    engine = Engine(lively())
    run(engine, [*heard, *sorted(noise, key=lambda event: event.time_ns)], end + 5 * NS)
    assert engine.answers == 1


def test_memory_lasts_as_long_as_a_pedal_is_down() -> None:
    net = lively()
    settings = Musicianship(listens_for_the_end=False)
    heard = [Pedal(NS // 2, True), *eighths(8), Pedal(90 * NS, False)]
    run(Engine(net, settings), [*heard, Ask(91 * NS, notes=3)])
    assert [row[1] for row in net.read_tokens].count(START) == 1


def test_a_pedal_held_across_an_answer_sustains_but_holds_no_turn() -> None:
    net = lively()
    engine = Engine(net)
    run(engine, [Pedal(NS // 2, True), *eighths(8), Ask(4 * NS, notes=2)], 9 * NS)
    assert engine.answers == 1
    before = len(net.read_tokens)
    again = eighths(4, begin_ns=10 * NS)
    run(engine, again, again[-1].time_ns + 400 * MS)
    assert all(row[1] < OFF for row in net.read_tokens[before:])  # everything rings on
    run(engine, [], again[-1].time_ns + NS)
    assert engine.answers == 2


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 900), st.sampled_from(["on", "off", "down", "up", "ask"]), st.integers(58, 62))),
    st.integers(0, 3),
)
def test_what_is_fed_keeps_to_the_alphabet(script: list[tuple[int, str, int]], seed: int) -> None:
    engine = Engine(lively(), Musicianship(seed=seed))
    engine._improviser._soloist = Soloist(StrictReader(lively(), engine._settings.steering), Belts(), Pace(40))
    now = NS
    for wait_ms, kind, pitch in script:
        now += wait_ms * MS
        run(engine, [event_of(kind, now, pitch)], now)
    run(engine, [], now + 30 * NS)


@pytest.mark.parametrize("seed", range(6))
def test_an_answer_is_in_the_players_manner(seed: int) -> None:
    """At most twice as fast, an octave beyond, two voices more; whatever the network would like."""
    heard = eighths(12, pitch=60)  # 60 to 71, one voice, 250 ms apart
    dt = np.full(codec.DTS, -50.0, np.float32)
    dt[:6] = 0.0  # a network that would pour out notes
    played = run(Engine(FlatNet(dt), Musicianship(seed=seed)), heard)
    struck = onsets(played)
    assert all(48 <= note.pitch <= 83 for note in struck)
    chords = [struck[0].time_ns]
    for note in struck:
        if note.time_ns > chords[-1] + 50 * MS:
            chords.append(note.time_ns)
    assert all(b - a >= 114 * MS for a, b in itertools.pairwise(chords))  # half of 250 ms, to the tick
    sounding = 0
    for event in sorted(played, key=lambda event: (event.time_ns, isinstance(event, NoteOn))):
        sounding += 1 if isinstance(event, NoteOn) else -1
        assert sounding <= 3
