"""Whatever breaks in the middle of an answer, nothing stays sounding: counted by an observer, heard at FluidSynth."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.cycles import MARGIN_S, SILENT_S, STOPPED_SILENT_S, cycles
from tests.jack import Daemon, Env, NoJack, Player, children, gone, kill, no_ports, server_or_skip
from tests.synth import FluidSynth
from tests.test_live import MACHINE, NAMED, PLAYER, TURNS, answering, at_once, quick, turn

pytestmark = pytest.mark.jack

CYCLES, STANDS = 30, 3
PORTS = ("--in", "stage", "--out", "fluidsynth", "--thru", "--api", "jack", "--random-seed", "1", *TURNS)
NOTICED_S, AWAKE_S = 3.0, 12.0
# The engine breaks when an answer has been playing for a while.
BROKEN = """
from improv.cli import app
from improv.soloist import Soloist

plan, begun = Soloist.plan, []

def broken(self, now, line):
    begun.append(now)
    if now > begun[0] + 1_000_000_000:
        raise RuntimeError("the engine broke")
    return plan(self, now, line)

Soloist.plan = broken
app()
"""


@pytest.fixture(scope="module")
def env() -> Iterator[Env]:
    with server_or_skip() as env:
        yield env


class Scene(NamedTuple):
    daemon: Daemon
    keys: Player
    observer: Player  # on the port that improv plays on
    synth: FluidSynth

    def answers(self) -> bool:
        turned_ns = turn(self.keys)
        return len(self.observer.wait_for_notes(MACHINE, 3, turned_ns)) >= 3

    def falls_silent(self, since_ns: int) -> None:
        """All that sounded was ended by name in time, nothing began again, and the synthesiser has rung out."""
        received = self.observer.received
        self.observer.wait(lambda: False, SILENT_S + 0.5)  # nothing says that nothing comes: the time has to pass
        by_ns = since_ns + round((SILENT_S + MARGIN_S) * 1e9)
        assert any(event.note_on for event in received if event.time_ns < since_ns)
        assert [event for event in received if event.note_on and event.time_ns > by_ns] == []
        assert self.observer.sound() == (set(), set())
        assert self.observer.sound(by_ns) == (set(), set())
        assert self.synth.falls_silent(), f"FluidSynth sounds on: {self.synth.loudest(0.3)}"


@contextlib.contextmanager
def playing(env: Env, *program: str) -> Iterator[Scene]:
    """In the middle of an answer, with a key and the pedal down as well."""
    with contextlib.ExitStack() as ends:
        try:
            synth = ends.enter_context(FluidSynth(env))
        except NoJack as reason:
            no_ports(reason)
        keys = ends.enter_context(Player(env, "--virtual", "--to", "Stage Piano"))
        daemon = ends.enter_context(Daemon(env, *PORTS, program=program or ("-m", "improv")))
        observer = ends.enter_context(Player(env, "--from", "improv-out"))
        keys.play(quick())
        keys.play(at_once([0x90, 40, 90], [0xB0, 64, 127]))
        scene = Scene(daemon, keys, observer, synth)
        assert scene.answers(), "no answer"
        assert observer.sound(channel=PLAYER) == ({(PLAYER, 40)}, {PLAYER}) and synth.loudest(0.3)
        yield scene


def test_killed_it_is_silent_in_a_quarter_of_a_second(env: Env) -> None:
    with playing(env) as scene:
        helpers = children(scene.daemon.process.pid)
        scene.falls_silent(kill(scene.daemon.process.pid))
        assert all(map(gone, helpers))


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"])
def test_a_signal_ends_it_in_silence(env: Env, name: str) -> None:
    with playing(env) as scene:
        signalled_ns = scene.daemon.signal(getattr(signal, name))
        assert scene.daemon.wait() == 0
        scene.falls_silent(signalled_ns)
        assert scene.daemon.err.lines == []


def test_ctrl_z_stops_nothing(env: Env) -> None:
    with into_the_observer(env) as (daemon, player):
        for pid in (*children(daemon.process.pid), daemon.process.pid):
            os.kill(pid, signal.SIGTSTP)
        player.play(quick())
        assert player.wait_for_notes(MACHINE, 3, turn(player)), "it plays no more"
        assert daemon.err.lines == []


def test_a_second_signal_ends_it_at_once_and_silent(env: Env) -> None:
    with playing(env) as scene:
        outlet = scene.daemon.outlet
        scene.daemon.signal(signal.SIGINT)
        signalled_ns = scene.daemon.signal(signal.SIGTERM)
        assert scene.daemon.wait(1.0) in (0, 128 + signal.SIGINT, 128 + signal.SIGTERM)  # 0: the first was quicker
        scene.falls_silent(signalled_ns)
        assert gone(outlet)


def test_an_outlet_that_is_killed_is_replaced_and_releases_everything(env: Env) -> None:
    with playing(env) as scene:
        outlet = scene.daemon.outlet
        kill(outlet)
        scene.daemon.wait_for_outlet(outlet)
        assert scene.daemon.err.wait(lambda: len(scene.daemon.err.lines) == 1, NOTICED_S)
        assert "broke off" in scene.daemon.err.lines[0]
        scene.keys.play(at_once([0x80, 40, 0], [0xB0, 64, 0]))
        assert scene.synth.falls_silent()
        scene.observer.connect()
        scene.observer.received.clear()  # it heard nothing of what was ended meanwhile: the synthesiser did
        assert scene.answers(), "it plays no more"
        signalled_ns = scene.daemon.signal(signal.SIGTERM)
        assert scene.daemon.wait() == 0
        scene.falls_silent(signalled_ns)


@contextlib.contextmanager
def into_the_observer(env: Env) -> Iterator[tuple[Daemon, Player]]:
    """Playing into a port of the observer's own: what another outlet sends arrives there as well."""
    with Player(env, *NAMED) as player, Daemon(env, "--in", "stage", "--out", "warm", "--thru", *TURNS) as daemon:
        player.play(quick())
        player.play(at_once([0xB0, 64, 127], [0x90, 40, 90]))
        assert player.wait_for_notes(MACHINE, 1, turn(player))
        yield daemon, player


def test_an_outlet_that_is_killed_leaves_no_note_without_its_end(env: Env) -> None:
    with into_the_observer(env) as (daemon, player):
        kill(daemon.outlet)
        assert daemon.err.wait(lambda: bool(daemon.err.lines), NOTICED_S)
        assert player.wait(lambda: player.sound() == (set(), set()), NOTICED_S), player.sound()


@pytest.mark.parametrize("broken", [signal.SIGKILL, signal.SIGSTOP])
def test_an_outlet_that_breaks_as_it_ends_leaves_no_note_without_its_end(env: Env, broken: signal.Signals) -> None:
    with into_the_observer(env) as (daemon, player):
        os.kill(daemon.outlet, broken)
        daemon.signal(signal.SIGINT)
        assert daemon.wait() == 0
        assert player.wait(lambda: player.sound() == (set(), set()), 1.0), player.sound()


def test_an_outlet_is_killed_as_it_starts_anew_and_so_is_the_program(env: Env) -> None:
    with into_the_observer(env) as (daemon, player):
        outlet = daemon.outlet
        kill(outlet)
        other = daemon.wait_for_outlet(outlet)
        kill(daemon.process.pid)
        assert gone(other)
        assert player.wait(lambda: player.sound() == (set(), set()), 1.0), player.sound()
        assert not [line for line in daemon.err.lines if "Traceback" in line]


@pytest.mark.parametrize("flood", [0, 4000])
def test_an_outlet_that_stands_still_is_replaced(env: Env, flood: int) -> None:
    with into_the_observer(env) as (daemon, player):
        os.kill(daemon.outlet, signal.SIGSTOP)
        player.play([(n / 2000, (0xB0, 1, n % 128)) for n in range(flood)] or at_once([0xB0, 1, 0]))
        assert daemon.err.wait(lambda: any("broke off" in line for line in daemon.err.lines), 2 * NOTICED_S)
        assert player.wait(lambda: player.sound() == (set(), set()), NOTICED_S), player.sound()
        player.play(at_once([0x80, 40, 0], [0xB0, 64, 0]))
        assert player.wait_for_notes(MACHINE, 3, turn(player)), "it plays no more"


def test_halted_it_is_silent_in_a_second_and_plays_on_when_it_wakes(env: Env) -> None:
    with into_the_observer(env) as (daemon, player):
        outlet = daemon.outlet
        halted_ns = daemon.signal(signal.SIGSTOP)
        player.wait(lambda: False, STOPPED_SILENT_S + MARGIN_S)
        assert player.sound() == (set(), set())
        assert player.received[-1].time_ns <= halted_ns + round((STOPPED_SILENT_S + MARGIN_S) * 1e9)
        daemon.signal(signal.SIGCONT)
        assert daemon.err.wait(lambda: len(daemon.err.lines) == 1, AWAKE_S) and "stood still" in daemon.err.lines[0]
        player.play(quick())
        assert player.wait_for_notes(MACHINE, 3, turn(player)), "it plays no more"
        assert daemon.outlet == outlet and len(daemon.err.lines) == 1
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
        player.wait_for_quiet(0.3, 2.0)
        assert player.sound() == (set(), set())


def test_halted_it_keeps_its_own_port(env: Env) -> None:
    with answering(env) as (daemon, player):
        outlet = daemon.outlet
        daemon.signal(signal.SIGSTOP)
        player.wait(lambda: False, STOPPED_SILENT_S + MARGIN_S)
        assert player.sound() == (set(), set())
        woken_ns = daemon.signal(signal.SIGCONT)
        assert daemon.err.wait(lambda: bool(daemon.err.lines), AWAKE_S) and "stood still" in daemon.err.lines[0]
        assert player.wait_for_quiet(0.3, 2.0) and not player.notes(MACHINE, woken_ns)
        player.play(quick())
        assert player.wait_for_notes(MACHINE, 3, turn(player)), "it plays no more"
        assert daemon.outlet == outlet


def test_an_engine_that_breaks_leaves_silence_and_says_why(env: Env) -> None:
    with playing(env, "-c", BROKEN) as scene:
        assert scene.daemon.wait() == 1
        broke_ns = scene.observer.received[-1].time_ns
        scene.falls_silent(broke_ns)
        assert any("the engine broke" in line for line in scene.daemon.err.lines)


def test_a_keyboard_that_dies_with_keys_down_holds_nothing(env: Env) -> None:
    with playing(env) as scene:
        scene.keys.kill()
        assert scene.daemon.err.wait(lambda: bool(scene.daemon.err.lines), NOTICED_S)
        assert "went away" in scene.daemon.err.lines[0]
        assert scene.observer.wait(lambda: not any(scene.observer.sound(channel=PLAYER)), 1.0)
        scene.daemon.signal(signal.SIGTERM)
        assert scene.daemon.wait() == 0
        # As it loses a client JACK may lose a message on its way to the observer: here the synthesiser tells.
        assert scene.synth.falls_silent()


def test_a_synthesiser_that_dies_is_missed_and_the_end_is_in_good_order(env: Env) -> None:
    with playing(env) as scene:
        scene.synth.process.kill()
        assert scene.daemon.err.wait(lambda: bool(scene.daemon.err.lines), NOTICED_S)
        assert "went away" in scene.daemon.err.lines[0]
        with FluidSynth(env) as synth:
            assert scene.daemon.err.wait(lambda: len(scene.daemon.err.lines) == 2, NOTICED_S), scene.daemon.err.lines
            scene.keys.play(at_once([0x80, 40, 0], [0xB0, 64, 0]))
            scene.observer.connect()
            scene.observer.received.clear()
            again = scene._replace(synth=synth)
            assert again.answers()
            signalled_ns = scene.daemon.signal(signal.SIGTERM)
            assert scene.daemon.wait() == 0
            again.falls_silent(signalled_ns)


def test_no_note_is_ever_stuck(env: Env) -> None:
    done = list(cycles(env, CYCLES, STANDS, seed=7))
    assert [cycle for cycle in done if not cycle.clean] == []
    assert len({cycle.end for cycle in done}) == 5 and sum(cycle.answered > 0 for cycle in done) > CYCLES / 4
