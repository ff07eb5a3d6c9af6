"""What of a flood is let in, and what is not: lists in, lists out."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from improv.music.bucket import Bucket
from improv.music.gate import CLOCK_TICK, NOTE, PEDAL, RATES, SETTING, Gate
from improv.music.latest import AT_ONCE, PER_S, Latest, is_continuous
from improv.music.pulse import START, STOP, TICK
from improv.music.schedule import is_note_off, is_note_on
from improv.music.timeline import NS

MS = NS // 1000

Timed = tuple[int, bytes]


def let_in(messages: list[Timed]) -> list[Timed]:
    gate = Gate(lambda text: None)
    return [(at_ns, message) for at_ns, message in messages if gate.lets_in(message, at_ns)]


def on(pitch: int, channel: int = 1) -> bytes:
    return bytes((0x8F + channel, pitch, 80))


def off(pitch: int, channel: int = 1) -> bytes:
    return bytes((0x7F + channel, pitch, 0))


def pedal(value: int, channel: int = 1) -> bytes:
    return bytes((0xAF + channel, 64, value))


DATA = st.integers(0, 127)
STATUSES = st.sampled_from([0x80, 0x90, 0x91, 0xA0, 0xB0, 0xE0])
MESSAGES = st.one_of(
    st.builds(lambda *values: bytes(values), STATUSES, st.integers(60, 63), DATA),
    st.builds(pedal, st.sampled_from([0, 1, 63, 64, 127])),
    st.sampled_from([bytes((kind,)) for kind in (TICK, START, STOP)]),
)
PERFORMANCES = st.lists(st.tuples(st.sampled_from([0, 0, 0, 1, 10, 3000]), MESSAGES), max_size=400)


@given(PERFORMANCES, st.integers(1, 40))
def test_what_was_let_in_can_end(performance: list[tuple[int, bytes]], times: int) -> None:
    """Of what began the end is let in, and nothing ends that did not begin."""
    now, timed = 0, list[Timed]()
    for after_ms, message in performance * times:
        now += after_ms * MS
        timed.append((now, message))
    begun: set[bytes] = set()
    passed = {id(one): one for one in let_in(timed)}
    for one in timed:
        _, message = one
        note = bytes((message[0] & 0x0F, *message[1:2]))
        if is_note_on(message) and id(one) in passed:
            begun.add(note)
        elif len(message) == 3 and is_note_off(message):
            assert (id(one) in passed) == (note in begun)
            begun.discard(note)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 127)), max_size=200), st.integers(1, 10))
def test_a_pedal_that_is_up_is_heard_to_be(moves: list[tuple[int, int]], times: int) -> None:
    now, timed = 0, list[Timed]()
    for after_ms, value in moves * times:
        now += after_ms * MS
        timed.append((now, pedal(value)))
    gate, value = Gate(lambda text: None), 0
    for at_ns, message in timed:
        if gate.lets_in(message, at_ns):
            value = message[2]
        assert (value > 0) <= (message[2] > 0) and (value >= 64) <= (message[2] >= 64)


@pytest.mark.parametrize("channel", [1, 16])
def test_all_that_hands_can_play_is_let_in(channel: int) -> None:
    clusters = [(n * 700 * MS, on(pitch, channel)) for n in range(20) for pitch in range(128)]
    trill = [(n * 20 * MS, on(60 + n % 2, channel)) for n in range(2_000)]
    for performance in (clusters, trill):
        assert let_in(performance) == performance


@pytest.mark.parametrize(
    ("kind", "messages"), [(NOTE, [on(60), on(61)]), (PEDAL, [pedal(127), pedal(0)]), (CLOCK_TICK, [bytes((TICK,))])]
)
def test_a_flood_is_bounded_and_what_comes_after_it_is_heard(kind: str, messages: list[bytes]) -> None:
    said: list[str] = []
    gate = Gate(said.append)
    came = [(n * MS // 10, messages[n % len(messages)]) for n in range(50_000)]
    passed = sum(gate.lets_in(message, at_ns) for at_ns, message in came)
    at_once, per_s = RATES[kind]
    assert per_s * 4.9 <= passed <= (at_once + per_s * 5) * 2  # ends are let in as well
    assert len(said) == 1 and kind in said[0]
    assert gate.shed[kind] > 10_000 and f"{gate.shed[kind]} {kind}" in gate.lines()[0]
    since = [(6 * NS + n * 100 * MS, (on if n % 2 else off)(64)) for n in range(1, 30)]
    assert all(gate.lets_in(message, at_ns) for at_ns, message in since)


def test_one_kind_does_not_drown_another() -> None:
    gate = Gate(lambda text: None)
    for n in range(20_000):
        for message in (pedal(n % 2 * 127), bytes((0xC0, n % 128)), bytes((0xB0, 6, n % 128)), bytes((TICK,))):
            gate.lets_in(message, n * MS // 10)
        if n % 1_000 < 2:
            assert gate.lets_in((on, off)[n % 2](60), n * MS // 10)


@pytest.mark.parametrize("number", [120, 123])
def test_what_ends_all_passes_behind_a_flood_and_is_none_itself(number: int) -> None:
    """Once for whatever began; of nothing it is one setting among others."""
    all_off, gate = bytes((0xB0, number, 0)), Gate(lambda text: None)
    gate.lets_in(on(60), 0)
    assert gate.lets_in(pedal(127), 0) and gate.lets_in(off(60), 0)
    for n in range(1_000):
        gate.lets_in(bytes((0xC0, n % 128)), n * MS // 10)
    assert gate.shed[SETTING]
    assert gate.lets_in(all_off, 100 * MS)
    assert sum(gate.lets_in(all_off, 100 * MS + n) for n in range(1_000)) <= 2
    assert gate.lets_in(on(62), 101 * MS) and gate.lets_in(all_off, 101 * MS)


def test_a_song_that_runs_can_always_stop() -> None:
    gate = Gate(lambda text: None)
    for n in range(1_000):
        started = gate.lets_in(bytes((START,)), n * MS)
        assert gate.lets_in(bytes((STOP,)), n * MS) or not started


@given(st.lists(st.integers(0, 100), max_size=300), st.integers(1, 50), st.integers(1, 1000))
def test_a_bucket_gives_what_it_holds_and_what_flows_in(gaps_ms: list[int], size: int, per_s: int) -> None:
    bucket, now, taken = Bucket(size, per_s), 0, list[int]()
    for gap_ms in gaps_ms:
        now += gap_ms * MS
        ready_ns = bucket.ready_ns()
        if bucket.take(now):
            taken.append(now)
            assert ready_ns <= now
        else:
            assert now < ready_ns <= now + NS // per_s + 1
    for first, last in pairwise(range(0, len(taken) + 1, 1)):
        for begin in range(first):
            assert last - begin <= size + (taken[first] - taken[begin]) * per_s / NS + 1 + 1e-6


# Controllers


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 5), DATA), max_size=400))
def test_the_last_value_of_each_controller_arrives(moves: list[tuple[int, int, int]]) -> None:
    latest, now, sent, last = Latest(), 0, list[Timed](), dict[int, bytes]()
    for after_ms, number, value in moves:
        now += after_ms * MS // 5
        while (due_ns := latest.deadline()) is not None and due_ns <= now:
            sent += [(due_ns, message) for message in latest.pop(due_ns)]
        last[number] = bytes((0xB0, number, value))
        sent += [(now, message) for message in latest.put(now, last[number])]
    while (due_ns := latest.deadline()) is not None:
        sent += [(due_ns, message) for message in latest.pop(due_ns)]
    assert {number: [m for _, m in sent if m[1] == number][-1] for number in last} == last
    assert len(sent) + latest.skipped == len(moves)
    if sent:
        assert len(sent) <= AT_ONCE + (sent[-1][0] - sent[0][0]) * PER_S / NS + 1


def test_what_moves_slowly_passes_at_once() -> None:
    latest = Latest()
    for n in range(2_000):
        message = bytes((0xE0, n % 128, n // 128))
        assert latest.put(n * 3 * MS, message) == [message]


@pytest.mark.parametrize(
    ("message", "continuous"),
    [
        ((0xB0, 1, 5), True),
        ((0xB0, 66, 127), True),
        ((0xA0, 60, 5), True),
        ((0xD0, 5), True),
        ((0xE0, 5, 5), True),
        ((0xB0, 64, 127), False),  # the pedal
        ((0xB0, 0, 1), False),  # the bank of the next program
        ((0xB0, 6, 1), False),  # data of what was named before
        ((0xB0, 101, 0), False),
        ((0xB0, 123, 0), False),
        ((0xC0, 5), False),
        ((0x90, 60, 5), False),
        ((0x80, 60, 5), False),
    ],
)
def test_of_what_only_the_latest_counts(message: tuple[int, ...], continuous: bool) -> None:
    assert is_continuous(bytes(message)) == continuous
