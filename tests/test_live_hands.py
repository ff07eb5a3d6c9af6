"""Controls as a musician meets them: pads, knobs and MIDI learn, on real ports."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from improv.midi.log import Log, Step
from improv.music.events import Steer
from tests.jack import Daemon, Env, Player, server_or_skip
from tests.observer import Stamped
from tests.test_live import (
    DRUMS,
    MACHINE,
    MS,
    NAMED,
    PLAYER,
    VIRTUAL,
    YIELD_NS,
    at_once,
    of_channel,
    quick,
    stays_silent,
)

pytestmark = pytest.mark.jack

PAD, PAD_UP = [0x99, 36, 100], [0x89, 36, 0]
VOICES, DENSITY = 20, 21
PATIENCE_S = 30.0


@pytest.fixture(scope="module")
def env() -> Iterator[Env]:
    with server_or_skip() as env:
        yield env


def settings(tmp_path: Path, text: str) -> tuple[str, str]:
    path = tmp_path / "my.yaml"
    path.write_text(text)
    return "--config", str(path)


def knob(number: int, *values: int, over_s: float = 0.0) -> list:
    return [(i * over_s / len(values), [0xB0, number, value]) for i, value in enumerate(values)]


def test_a_pad_gives_and_takes_the_turn_and_is_no_note(env: Env, tmp_path: Path) -> None:
    mine = settings(tmp_path, "controls: {turn: note 36 on channel 10}")
    with Daemon(env, *VIRTUAL, *mine) as _, Player(env) as player:
        player.play(quick()[:-1])  # the last key stays down: by itself the turn would not pass
        pressed_ns = player.play(at_once(PAD, PAD_UP))[0].time_ns
        first = player.wait_for_notes(MACHINE, timeout_s=2.0)
        assert first and first[0].time_ns - pressed_ns < 50 * MS
        stopped_ns = player.play(at_once(PAD, PAD_UP))[0].time_ns
        assert stays_silent(player, stopped_ns, for_s=1.0)
        assert player.sound(stopped_ns + YIELD_NS, MACHINE) == (set(), set())
        assert of_channel(player.received, DRUMS) == []


def is_music(event: Stamped) -> bool:
    """Not on one of the controls of the next test."""
    return event.message[:2] not in ((0x90, 36), (0x80, 36), (0xB0, VOICES), (0xB0, DENSITY))


def test_knobs_may_be_swept_while_an_answer_plays(env: Env, tmp_path: Path) -> None:
    """The answer goes on, and where a knob stands at last counts, however fast it got there."""
    mine = settings(tmp_path, f"controls: {{turn: note 36, voices: {VOICES}, density: cc {DENSITY}}}")
    with Daemon(env, *VIRTUAL, *mine, "--record", str(tmp_path)) as daemon, Player(env) as player:
        player.play([*quick(), (1.0, [0x90, 36, 90]), (1.01, [0x80, 36, 0])])
        assert player.wait_for_notes(MACHINE, 2)
        wild = [i * 37 % 128 for i in range(600)]
        player.play(sorted(knob(DENSITY, *wild, 64, over_s=0.5) + knob(VOICES, *wild, 0, over_s=0.5)))
        player.play(quick())
        assert player.wait_for_notes(MACHINE, 2, after_ns=player.sent[-1].time_ns)
        assert of_channel(player.received, PLAYER) == [event.message for event in player.sent if is_music(event)]
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
        assert daemon.err.lines == []
        assert player.sound(channel=MACHINE) == (set(), set())
    (path,) = tmp_path.glob("*.log")
    turned = [one.heard for one in Log(path).records() if isinstance(one, Step) and isinstance(one.heard, Steer)]
    assert {turn.knob: turn.value for turn in turned} == {"voices": 1, "density": pytest.approx(1.0, rel=0.03)}
    assert 100 < len(turned) < 600


def lit(pads: Player) -> set[tuple[int, int]]:
    """Status and number of each button that is lit."""
    last = {event.message[:2]: event.message[2] for event in pads.received}
    return {button for button, value in last.items() if value and button != (0xB0, DENSITY)}


def test_lights_show_how_things_stand_and_are_dark_at_the_end(env: Env, tmp_path: Path) -> None:
    controls = f"{{turn: note 36 on channel 10, freeze: 22, temperature: {DENSITY}, presets: {{calm: note 40}}, "
    controls += "mode: note 41, mode_trade: note 42}"
    mine = settings(tmp_path, f"ports: {{lights: pads}}\ncontrols: {controls}\n")
    with (
        Player(env, "--virtual", "--to", "Stage Piano", "--from", "Pads In") as pads,
        Daemon(env, "--in", "stage", *VIRTUAL, *mine) as daemon,
    ):

        def shown(*messages: tuple[int, int, int]) -> bool:
            number = len(messages)
            return pads.wait(lambda: [event.message for event in pads.received][-number:] == list(messages), 3.0)

        assert shown((0xB0, DENSITY, 61))  # where the knob stands
        pads.play(at_once(PAD, PAD_UP))
        assert shown((0x99, 36, 127))
        pads.play(at_once(PAD, PAD_UP, [0xB0, 22, 127]))
        assert shown((0x99, 36, 0), (0xB0, 22, 127))
        pads.play(at_once([0x90, 40, 90]))
        assert shown((0xB0, DENSITY, 53), (0x90, 40, 127))
        pads.play(at_once([0x90, 41, 90]))
        assert shown((0x90, 42, 127))
        assert lit(pads) == {(0xB0, 22), (0x90, 40), (0x90, 42)}
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
        assert pads.wait(lambda: lit(pads) == set(), 3.0)
    without = "improv: mode trade: there are no bars without a beat; until there is one, answers come as in call"
    assert daemon.err.lines == [without]


def test_lights_that_go_away_are_missed_once_and_shown_again(env: Env, tmp_path: Path) -> None:
    mine = settings(tmp_path, f"ports: {{lights: pads}}\ncontrols: {{temperature: {DENSITY}, freeze: 22}}\n")
    lights = ("--virtual", "--to", "Spare", "--from", "Pads In")
    with contextlib.ExitStack() as unplug:
        pads = unplug.enter_context(Player(env, *lights))
        with Daemon(env, *VIRTUAL, *mine) as daemon, Player(env) as player:
            assert pads.wait(lambda: len(pads.received) == 1, 3.0)
            unplug.close()
            assert daemon.err.wait(lambda: len(daemon.err.lines) == 1, 5.0)
            player.play([*quick(), (1.0, [0xB0, 22, 127])])
            assert player.wait_for_notes(MACHINE, timeout_s=3.0)
            with Player(env, *lights) as pads:
                assert pads.wait(lambda: len(pads.received) == 2, 5.0)
                assert daemon.err.wait(lambda: len(daemon.err.lines) == 2, 3.0)
                said = [line.replace("Pads In:port", "P") for line in daemon.err.lines]
                shown = {event.message for event in pads.received}
    assert shown == {(0xB0, DENSITY, 61), (0xB0, 22, 127)}
    away = 'improv: the lights "P" went away; it will be opened again'
    assert said == [away, 'improv: the lights "P" is back']


@contextlib.contextmanager
def learn(env: Env, *arguments: str, **pipes: object) -> Iterator[subprocess.Popen]:
    """What hangs is ended, so that it is seen to have failed."""
    command = [sys.executable, "-m", "improv", "learn", "--in", "stage", *arguments]
    started = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **pipes)
    too_long = threading.Timer(PATIENCE_S, started.kill)
    too_long.start()
    try:
        with started as process:
            yield process
    finally:
        too_long.cancel()


def line(process: subprocess.Popen, begin: str) -> str:
    """The next line that is said, which begins like that."""
    assert process.stdout is not None
    said = process.stdout.readline()
    assert said.startswith(begin), (said, process.stdout.read(), process.stderr and process.stderr.read())
    return said


def test_controls_are_learned_from_what_is_touched(env: Env, tmp_path: Path) -> None:
    """Some at a terminal: one is left out by Enter, and Ctrl-C ends it."""
    path = tmp_path / "my.yaml"
    path.write_text("bpm: 90  # slow\ncontrols:\n  tap: 7  # left\n")
    here, there = pty.openpty()
    with Player(env, *NAMED) as player:
        arguments = ("turn", "tap", "temperature", "panic", "--config", str(path))
        with learn(env, *arguments, stdin=there, preexec_fn=os.setsid) as process:
            line(process, 'listening to "Stage Piano:port"')
            line(process, "turn: press the pad")
            player.play(at_once(PAD, PAD_UP))
            line(process, "  turn is note 36 on channel 10")
            line(process, "tap (now cc 7): press")
            os.write(here, b"\n")
            line(process, "  tap stays as it is")
            line(process, "temperature: turn the knob")
            player.play(knob(DENSITY, *range(60, 80), over_s=0.2))
            line(process, "  temperature is cc 21 on channel 1")
            line(process, "panic: press")
            process.send_signal(signal.SIGINT)
            assert line(process, f"{path} has: turn, temperature") and process.wait(5.0) == 0
    os.close(here)
    os.close(there)
    assert path.read_text() == (
        "bpm: 90  # slow\ncontrols:\n  tap: 7  # left\n"
        "  turn: note 36 on channel 10\n  temperature: cc 21 on channel 1\n"
    )


def test_without_a_file_it_is_shown_what_to_write(env: Env) -> None:
    with (
        Player(env, *NAMED) as player,
        learn(env, "presets.calm", stdin=subprocess.DEVNULL) as process,
    ):
        line(process, "listening to")
        line(process, "presets.calm: press")
        player.play(at_once([0xC0, 5]))
        assert process.wait(5.0) == 0 and process.stdout is not None
        assert process.stdout.read().endswith("controls:\n  presets:\n    calm: program 5 on channel 1\n\n")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["trun"], "'trun' is no control; the nearest is turn"),
        (["turn", "--config", "/nowhere/my.yaml"], "--config /nowhere/my.yaml: there is no such folder"),
        (["turn", "--in", "harpsichord"], 'no input port is called "harpsichord"'),
    ],
)
def test_what_cannot_be_learned_is_refused(env: Env, arguments: list[str], says: str) -> None:
    with learn(env, *arguments, stdin=subprocess.DEVNULL) as process:
        assert process.wait(10.0) == 2 and process.stderr is not None
        assert process.stderr.read().startswith(f"improv: {says}")
