"""The view of a real session: a terminal, ports, and a player in another process."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator

import pytest

from tests import jack
from tests.jack import Env, Player, gone, server_or_skip
from tests.terminal import HOME, INTERRUPT, OTHER_PAGE, OWN_PAGE, QUIT, SHOWN, Terminal
from tests.test_live import MACHINE, TURNS, VIRTUAL, quick, turn

pytestmark = pytest.mark.jack

LISTEN = (sys.executable, "-m", "improv", "listen", *VIRTUAL)
LOW = (60, 12)  # columns and rows: there whose turn it is stands in a word


@pytest.fixture(scope="module")
def env() -> Iterator[Env]:
    with server_or_skip() as env:
        yield env


def test_a_session_is_seen_and_leaves_the_terminal_as_it_was(env: Env) -> None:
    with Terminal(*LOW) as terminal:
        improv = terminal.start([*LISTEN, "-v"], env)
        assert terminal.wait(lambda text: "l i s t e n i n g" in text)
        with Player(env) as player:
            player.play(quick())
            assert player.wait_for_notes(MACHINE)
            assert terminal.wait(lambda text: "I M P R O V" in text)
            assert terminal.wait(lambda text: " heard 8 notes in" in text)  # the line of -v
            terminal.press(INTERRUPT)
            assert improv.wait(10) == 0
        assert terminal.wait(lambda text: text.endswith("\n"))
    before, seen = terminal.text.split(OTHER_PAGE)
    seen, after = seen.split(OWN_PAGE)
    assert before.startswith('listening to its own port "improv in"') and before.count("\n") == 1
    assert "Y O U" in seen and "improv: " not in seen and seen.count(HOME) > 5
    lines = after.splitlines()
    assert any(line.startswith("improv: heard 8 notes") for line in lines)
    assert any(line.startswith("heard 8 notes, answered with") for line in lines)
    assert not any("the view" in line for line in lines)


def test_quit_at_the_terminal_ends_it_in_silence_as_well(env: Env) -> None:
    with Terminal(*LOW) as terminal:
        improv = terminal.start([*LISTEN, *TURNS], env)
        assert terminal.wait(lambda text: "l i s t e n i n g" in text)
        with Player(env) as player:
            player.play(quick())
            assert player.wait_for_notes(MACHINE, after_ns=turn(player))
            terminal.press(QUIT)
            assert improv.wait(10) == 0
            assert player.wait(lambda: not any(player.sound()), 1.0), player.sound()
        assert terminal.wait(lambda text: OWN_PAGE in text and "heard 8 notes, answered with" in text)


@pytest.mark.parametrize(("flags", "kind"), [(("--plain",), "xterm-256color"), ((), "dumb")])
def test_plainly_there_are_lines_only(env: Env, flags: tuple[str, ...], kind: str) -> None:
    with Terminal() as terminal:
        improv = terminal.start([*LISTEN, *flags], {**env, "TERM": kind})
        assert terminal.wait(lambda text: "\n" in text)
        terminal.press(INTERRUPT)
        assert improv.wait(10) == 0
    assert terminal.text.startswith("listening") and "\x1b" not in terminal.text
    assert "heard 0 notes, answered with 0\r\n" in terminal.text


def test_a_view_that_is_killed_changes_nothing_for_the_player(env: Env) -> None:
    with Terminal(*LOW) as terminal:
        improv = terminal.start(LISTEN, env)
        assert terminal.wait(lambda text: "l i s t e n i n g" in text)
        (view,) = [pid for pid in jack.children(improv.pid) if "improv.live.view" in jack.command_of(pid)]
        os.kill(view, signal.SIGKILL)
        with Player(env) as player:
            player.play(quick())
            assert player.wait_for_notes(MACHINE)
            assert terminal.wait(lambda text: "improv: the view has ended by itself" in text)
        terminal.press(INTERRUPT)
        assert improv.wait(10) == 0
    assert OWN_PAGE in terminal.text


def test_where_improv_is_killed_the_terminal_is_as_it_was(env: Env) -> None:
    with Terminal(*LOW) as terminal:
        improv = terminal.start(LISTEN, env)
        assert terminal.wait(lambda text: "l i s t e n i n g" in text)
        children = jack.children(improv.pid)
        jack.kill(improv.pid)
        improv.wait()
        assert all(map(gone, children))
        assert terminal.wait(lambda text: OWN_PAGE in text and text.rindex(SHOWN) > text.rindex(HOME))
