"""Too much at once, a cable in a circle, and panic: on real ports, with an observer in another process."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.jack import Cable, Daemon, Env, Phrase, Player, children, kill, resident_kb, server_or_skip
from tests.observer import Stamped, sound

pytestmark = pytest.mark.jack

PLAYER, MACHINE = 1, 2
RATE = 10_000  # messages a second
VIRTUAL = ("--virtual", "--api", "jack", "--random-seed", "1")
NAMED = ("--virtual", "--to", "Stage Piano", "--from", "Warm Synth")
PITCHES = (60, 64, 67, 72, 71, 67, 65, 62)
PANIC_CC = 30
SILENT_S = 0.25


@pytest.fixture(scope="module")
def env() -> Iterator[Env]:
    with server_or_skip(period=1024) as env:  # at so many messages a late client loses many
        yield env


def phrase(begin_s: float = 0.0, spacing_s: float = 0.12) -> list[tuple[float, list[int]]]:
    strokes = [(begin_s + i * spacing_s, [0x90, pitch, 70 + i]) for i, pitch in enumerate(PITCHES)]
    lifts = [(begin_s + (i + 0.8) * spacing_s, [0x80, pitch, 0]) for i, pitch in enumerate(PITCHES)]
    return sorted(strokes + lifts)


def flood(for_s: float, *kinds: list[int]) -> list[tuple[float, list[int]]]:
    """One kind after the other, the last byte counting up."""
    return [(n / RATE, [*kinds[n % len(kinds)], n // len(kinds) % 128]) for n in range(round(for_s * RATE))]


def answered(player: Player, played: Phrase, notes: int = 3) -> list[Stamped]:
    """Play; wait for an answer, and until it is over."""
    ended_ns = player.play(played)[-1].time_ns
    assert player.wait_for_notes(MACHINE, notes, after_ns=ended_ns, timeout_s=4.0), "no answer"
    assert player.wait_for_quiet(1.5, timeout_s=12.0)
    return player.notes(MACHINE, after_ns=ended_ns)


def ends_well(daemon: Daemon, player: Player) -> None:
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    player.wait_for_quiet(0.4, timeout_s=3.0)
    assert player.sound() == (set(), set())


def said(daemon: Daemon, words: str) -> list[str]:
    return [line for line in daemon.err.lines if words in line]


def test_controllers_in_a_flood_do_not_stand_in_the_way(env: Env) -> None:
    moves = flood(1.5, [0xB0, 1], [0xE0, 0], [0xB0, 11], [0xD0], [0xA0, 60])
    with Daemon(env, *VIRTUAL) as daemon, Player(env) as player:
        answered(player, phrase())
        player.received.clear()
        processes = (daemon.process.pid, *children(daemon.process.pid))
        before_kb = sum(map(resident_kb, processes))
        assert answered(player, sorted([*moves, *phrase(0.3)]))
        assert sum(map(resident_kb, processes)) - before_kb < 30_000
        through = [event.message for event in player.received if event.channel == PLAYER]
        assert [m[1:] for m in through if m[0] & 0xF0 == 0x90] == [(pitch, 70 + i) for i, pitch in enumerate(PITCHES)]
        assert 500 <= len(through) < 2_500
        for kind in ([0xB0, 1], [0xE0, 0], [0xB0, 11], [0xD0], [0xA0, 60]):
            last = [tuple(message) for _, message in moves if message[:-1] == kind][-1]
            assert [m for m in through if list(m[:-1]) == kind][-1] == last
        ends_well(daemon, player)
        assert len(said(daemon, "latest values")) == 1
        assert any("values skipped" in line for line in daemon.out.lines)


def test_notes_in_a_flood_are_let_go_and_then_it_plays_as_before(env: Env) -> None:
    strokes = [(n / RATE, [0x90, n * 7 % 128, 80]) for n in range(RATE)]
    lifts = [(1.0 + n / 1_000, [0x80, n, 0]) for n in range(128)]
    with Daemon(env, *VIRTUAL) as daemon, Player(env) as player:
        answered(player, phrase())
        processes = (daemon.process.pid, *children(daemon.process.pid))
        before_kb = sum(map(resident_kb, processes))
        player.play([*strokes, *lifts])
        assert player.wait(lambda: not player.sound(channel=PLAYER).notes, 2.0), player.sound()
        player.wait(lambda: False, 1.0)
        assert len(answered(player, phrase())) > 3
        assert sum(map(resident_kb, processes)) - before_kb < 30_000
        ends_well(daemon, player)
        assert len(said(daemon, "notes come faster")) == 1
        assert any("too fast to be heard" in line for line in daemon.out.lines)


def test_what_is_long_or_broken_does_no_harm(env: Env) -> None:
    dump = [0xF0, *(n % 128 for n in range(10_000)), 0xF7]
    broken = [[0xF0, 1, 2], [0x90, 60], [60, 64], [0xB0, 64], [0xF7], [0xFE], [0xFF]]
    with Daemon(env, *VIRTUAL) as daemon, Player(env) as player:
        player.play([(0.1 * n, message) for n, message in enumerate([dump, *broken, dump])])
        assert len(answered(player, phrase())) > 3
        ends_well(daemon, player)
        assert daemon.err.lines == []


def test_all_keys_at_once_and_none_is_lost(env: Env) -> None:
    strokes = [(0.0, [0x90, pitch, 80]) for pitch in range(0, 128, 2)]
    more = [(0.05, [0x90, pitch, 80]) for pitch in range(1, 128, 2)]
    with Daemon(env, *VIRTUAL) as daemon, Player(env) as player:
        player.play([*strokes, *more])
        assert player.wait(lambda: len(player.sound(channel=PLAYER).notes) == 128, 2.0)
        ends_well(daemon, player)  # they are still down


@pytest.mark.parametrize(
    ("thru", "cable"),
    [
        ("--no-thru", ()),
        ("--thru", ()),
        ("--thru", ("--delay-ms", "150", "--channel", "5")),
    ],
)
def test_its_output_cabled_to_its_input(env: Env, thru: str, cable: tuple[str, ...]) -> None:
    with Daemon(env, *VIRTUAL, thru) as daemon, Player(env) as player, Cable(env, *cable):
        player.play(phrase())
        assert player.wait_for_notes(MACHINE, 1, timeout_s=4.0)
        assert player.wait_for_quiet(2.0, timeout_s=15.0), "it goes on for ever"
        assert len(answered(player, phrase())) > 3
        ends_well(daemon, player)
        assert len(said(daemon, "comes back on its input")) == 1


# Panic


def offs(received: list[Stamped]) -> set[tuple[int, int]]:
    """The channel and pitch of each note that was ended."""
    return {(event.channel, event.message[1]) for event in received if event.note_off}


EVERYTHING = {(channel, pitch) for channel in range(1, 17) for pitch in range(128)}


def press(daemon: Daemon, player: Player) -> int:
    return player.play([(0.0, [0xB0, PANIC_CC, 127]), (0.02, [0xB0, PANIC_CC, 0])])[0].time_ns


def strike(daemon: Daemon, player: Player) -> int:
    return daemon.signal(signal.SIGUSR1)


@pytest.mark.parametrize("panic", [press, strike])
def test_a_panic_silences_it_and_then_it_plays_again(env: Env, tmp_path: Path, panic: object) -> None:
    assert callable(panic)
    (tmp_path / "my.yaml").write_text(f"controls: {{panic: {PANIC_CC}}}\n")
    with Daemon(env, *VIRTUAL, "--config", str(tmp_path / "my.yaml")) as daemon, Player(env) as player:
        player.play(phrase())
        assert player.wait_for_notes(MACHINE, 2, timeout_s=4.0)
        player.play([(0.0, [0xB1, 64, 127])])
        assert player.wait(lambda: bool(player.sound().pedals), 2.0)
        panicked_ns = panic(daemon, player)
        panic(daemon, player)
        assert player.wait(lambda: offs(player.received) == EVERYTHING, 3.0)
        player.wait_for_quiet(0.4, 2.0)
        late = [event for event in player.received if event.time_ns > panicked_ns + SILENT_S * 1e9 and event.note_on]
        assert not late and player.sound() == (set(), set())
        assert len(answered(player, phrase())) > 3
        ends_well(daemon, player)
        assert daemon.err.lines == []


def test_a_panic_while_the_outlet_starts_anew(env: Env) -> None:
    ports = ("--api", "jack", "--in", "stage", "--out", "warm", "--random-seed", "1")
    with Player(env, *NAMED) as player, Daemon(env, *ports) as daemon:
        player.play(phrase())
        assert player.wait_for_notes(MACHINE, 2, timeout_s=4.0)
        kill(daemon.outlet)
        daemon.signal(signal.SIGUSR1)
        assert player.wait(lambda: offs(player.received) == EVERYTHING, 8.0)
        assert player.wait_for_quiet(0.4, 2.0) and player.sound() == (set(), set())
        assert len(answered(player, phrase())) > 3


def test_improv_panic_silences_a_port(env: Env) -> None:
    command = [sys.executable, "-m", "improv", "panic", "--api", "jack", "--out"]
    with Player(env, *NAMED) as player:
        done = subprocess.run([*command, "warm"], env=env, capture_output=True, text=True, timeout=30)
        assert (done.returncode, done.stderr) == (0, "") and "Warm Synth:port" in done.stdout
        assert player.wait(lambda: offs(player.received) == EVERYTHING, 3.0)
        assert len(player.received) == 16 * (128 + 3)
        done = subprocess.run([*command, "harpsichord"], env=env, capture_output=True, text=True, timeout=30)
    assert done.returncode == 2 and done.stdout == ""
    (sentence,) = done.stderr.splitlines()
    assert "harpsichord" in sentence and "Warm Synth:port" in sentence
    assert sound(player.received) == (set(), set())
