"""Cables that come loose: ports that go away and come back, on a JACK server that may itself die."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.jack import (
    Daemon,
    Env,
    Phrase,
    Player,
    children,
    command_of,
    gone,
    kill,
    kill_server,
    server_again,
    server_or_skip,
    signal_server,
)

pytestmark = pytest.mark.jack

PLAYER, MACHINE = 1, 2  # channels
NOTICED_S = 3.0  # two seconds, and what a busy machine adds
KEYS = ("--virtual", "--to", "Stage Piano", "--from", "Stage Return")
SYNTH = ("--virtual", "--to", "Warm Send", "--from", "Warm Synth")
NAMED = ("--in", "stage piano", "--out", "warm synth", "--thru", "--random-seed", "1")

# The interpreter is kept while a message arrives: the driver's thread waits for it, its callback under way.
CLOSES = """
import sys, time
from improv.midi import ports
sys.setswitchinterval(1.0)
heard = []
sender = ports.Output("jack", None, "sender")
(name,) = [name for name in ports.choose("jack").inputs if name.startswith("sender")]
for _ in range(5):
    listener = ports.Input("jack", name, heard.append, "listener")
    sender.send(bytes((0x90, 60, 64)))
    until = time.perf_counter() + 0.1
    while time.perf_counter() < until:
        pass
    listener.close()
sender.close()
print(len(heard))
"""


@pytest.fixture
def env() -> Iterator[Env]:
    with server_or_skip() as env:
        yield env


def phrase(spacing_s: float = 0.12) -> Phrase:
    pitches = (60, 64, 67, 72, 71, 67)
    strokes = [(n * spacing_s, (0x90, pitch, 80)) for n, pitch in enumerate(pitches)]
    lifts = [((n + 0.8) * spacing_s, (0x80, pitch, 0)) for n, pitch in enumerate(pitches)]
    return sorted(strokes + lifts)


def said(daemon: Daemon, words: str, count: int = 1, timeout_s: float = NOTICED_S) -> bool:
    """Wait until so many lines hold the words."""
    return daemon.err.wait(lambda: sum(words in line for line in daemon.err.lines) >= count, timeout_s)


def answers(keys: Player, synth: Player) -> bool:
    ended_ns = keys.play(phrase())[-1].time_ns
    return len(synth.wait_for_notes(MACHINE, 2, after_ns=ended_ns)) >= 2


def test_an_input_comes_back_and_the_other_side_plays_on(env: Env) -> None:
    with Player(env, *SYNTH) as synth, contextlib.ExitStack() as cable:
        keys = cable.enter_context(Player(env, *KEYS))
        with Daemon(env, *NAMED) as daemon:
            keys.play(((0.0, (0x90, 60, 80)), (0.0, (0x90, 64, 80)), (0.0, (0xB0, 64, 127)), (0.1, (0x90, 67, 80))))
            assert synth.wait_for_notes(PLAYER, 3)
            cable.close()
            assert said(daemon, "went away")
            assert synth.wait(lambda: not any(synth.sound(channel=PLAYER)), 1.0), synth.sound()
            assert synth.wait_for_notes(MACHINE), "what it held no longer holds the turn"
            with Player(env, *KEYS) as keys:
                assert said(daemon, "is back")
                assert answers(keys, synth)
                assert synth.wait_for_quiet(1.5, 12.0)
                assert synth.sound() == (set(), set())
                daemon.signal(signal.SIGINT)  # before the keys go once more
                assert daemon.wait() == 0
        assert len(daemon.err.lines) == 2, daemon.err.lines


def test_an_output_comes_back_and_what_it_held_is_released(env: Env) -> None:
    with Player(env, *KEYS) as keys, contextlib.ExitStack() as cable:
        synth = cable.enter_context(Player(env, *SYNTH))
        with Daemon(env, *NAMED) as daemon:
            keys.play(((0.0, (0x90, 40, 80)), (0.0, (0xB0, 64, 127))))
            assert synth.wait_for_notes(PLAYER)
            cable.close()
            assert said(daemon, "went away")
            keys.play(((0.0, (0x80, 40, 0)), (0.0, (0xB0, 64, 0))))
            keys.play(phrase())  # is heard all the same
            with Player(env, *SYNTH) as synth:
                assert said(daemon, "is back")
                released = synth.wait(lambda: (0x80, 40, 0) in [event.message for event in synth.received], 2.0)
                assert released, "the synthesiser may still sound what it sounded when the cable came loose"
                assert answers(keys, synth)
                assert synth.wait_for_quiet(1.5, 12.0)
                assert synth.sound() == (set(), set())
                daemon.signal(signal.SIGINT)
                assert daemon.wait() == 0
        assert len(daemon.err.lines) == 2, daemon.err.lines
        assert "heard 13 notes" in daemon.out.lines[1]


def test_devices_that_are_back_before_anyone_looked_are_connected_again(env: Env) -> None:
    with contextlib.ExitStack() as cables:
        synth = cables.enter_context(Player(env, *SYNTH))
        keys = cables.enter_context(Player(env, *KEYS))
        with Daemon(env, *NAMED) as daemon:
            assert answers(keys, synth)
            keys.play(((0.0, (0x90, 40, 80)), (0.0, (0xB0, 64, 127))))
            cables.close()
            with Player(env, *SYNTH) as synth, Player(env, *KEYS) as keys:
                assert said(daemon, "is back", 2), daemon.err.lines
                assert answers(keys, synth)
                assert synth.wait_for_quiet(1.5, 12.0)
                assert synth.sound() == (set(), set())
            daemon.signal(signal.SIGINT)
            assert daemon.wait() == 0


def watch_of(daemon: Daemon) -> int:
    """Its process; it is started when the daemon listens."""
    found: list[int] = []
    while not found:
        daemon.err.wait(lambda: False, 0.05)
        found = [pid for pid in children(daemon.process.pid) if "improv.midi.watch" in command_of(pid)]
    return found[0]


def test_a_watch_that_is_killed_is_started_again_and_knows_what_is_away(env: Env) -> None:
    with Player(env, *KEYS) as keys, contextlib.ExitStack() as cable:
        cable.enter_context(Player(env, *SYNTH))
        with Daemon(env, *NAMED) as daemon:
            cable.close()
            assert said(daemon, "went away")
            kill(watch_of(daemon))
            assert said(daemon, "starts anew")
            with Player(env, *SYNTH) as synth:
                assert said(daemon, "is back")
                assert answers(keys, synth)
                assert len(daemon.err.lines) == 3, daemon.err.lines


def test_a_watch_that_stands_still_holds_up_no_end(env: Env) -> None:
    with Daemon(env, "--virtual", "--api", "jack") as daemon:
        watch = watch_of(daemon)
        os.kill(watch, signal.SIGSTOP)
        daemon.signal(signal.SIGINT)
        assert daemon.wait() == 0 and gone(watch)


@pytest.mark.parametrize("quick", [True, False])
def test_a_jack_server_dies_and_is_started_again(env: Env, quick: bool) -> None:
    with Daemon(env, "--virtual", "--api", "jack", "--thru") as daemon:
        with Player(env) as player:
            assert answers(player, player)
        kill_server(env)
        assert quick or said(daemon, "went away", 2)
        with server_again(env):
            assert said(daemon, "is back", 2, 6.0), daemon.err.lines
            with Player(env) as player:
                assert answers(player, player)
                daemon.signal(signal.SIGTERM)
                assert daemon.wait() == 0
                player.wait_for_quiet(0.3, 2.0)
                assert player.sound() == (set(), set())
    ours = [line for line in daemon.err.lines if line.startswith("improv")]
    assert len(ours) == 4, daemon.err.lines


def test_it_ends_in_good_order_when_the_jack_server_has_died(env: Env) -> None:
    with Daemon(env, "--virtual", "--api", "jack") as daemon:
        kill_server(env)
        daemon.signal(signal.SIGINT)
        assert daemon.wait() == 0


def test_it_ends_when_the_jack_server_hangs(env: Env) -> None:
    with Daemon(env, "--virtual", "--api", "jack") as daemon:
        signal_server(env, signal.SIGSTOP)
        try:
            daemon.signal(signal.SIGINT)
            daemon.wait(20.0)
        finally:
            signal_server(env, signal.SIGCONT)


def test_it_waits_for_ports_that_are_not_there_yet(env: Env) -> None:
    with Daemon(env, *NAMED, "--wait", wait=False) as daemon, Player(env, *SYNTH) as synth:
        assert said(daemon, 'no input port is called "stage piano"', timeout_s=20.0)
        assert daemon.out.lines == []
        with Player(env, *KEYS) as keys:
            assert daemon.wait_until_listening()
            assert answers(keys, synth)


def test_while_it_waits_a_signal_ends_it(env: Env) -> None:
    with Daemon(env, *NAMED, "--wait", wait=False) as daemon:
        assert said(daemon, "waiting for it", timeout_s=20.0)
        daemon.signal(signal.SIGUSR1)  # nothing sounds that a panic could end
        daemon.signal(signal.SIGINT)
        assert daemon.wait() == 0


def test_an_outlet_that_dies_again_and_again_is_started_again(env: Env) -> None:
    with Daemon(env, "--virtual", "--api", "jack", "--thru") as daemon:
        outlet = daemon.outlet
        for _ in range(3):
            kill(outlet)
            outlet = daemon.wait_for_outlet(outlet)
        with Player(env) as player:
            assert answers(player, player)
    assert any(line.endswith("has to be connected again") for line in daemon.err.lines)


def test_who_connects_to_the_port_of_another_outlet_is_released_at_the_end(env: Env) -> None:
    with Daemon(env, "--virtual", "--api", "jack", "--thru") as daemon, Player(env) as player:
        player.play(((0.0, (0x90, 40, 80)), (0.0, (0xB0, 64, 127))))
        assert player.wait_for_notes(PLAYER)
        outlet = daemon.outlet
        kill(outlet)
        daemon.wait_for_outlet(outlet)
        player.wait(lambda: False, NOTICED_S)  # what a new outlet clears is over before somebody connects
        player.connect()
        assert player.sound() == ({(PLAYER, 40)}, {PLAYER})
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
        assert player.wait(lambda: player.sound() == (set(), set()), 1.0), player.sound()


def test_what_is_being_heard_as_a_port_closes_is_heard(env: Env) -> None:
    done = subprocess.run([sys.executable, "-c", CLOSES], env=env, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "5\n"), done
