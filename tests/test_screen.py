"""The view's process on a terminal: it draws what it is fed, and leaves the terminal as it was however it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from improv import child
from improv.live.screen import can_draw
from improv.live.snapshot import IMPROV, YOU, Bill, Snapshot, Timing, pack
from improv.music.timeline import Timeline
from tests.jack import gone
from tests.terminal import HIDDEN, HOME, OTHER_PAGE, OWN_PAGE, SHOWN, Terminal

pytestmark = [pytest.mark.alone, pytest.mark.skipif(os.name != "posix", reason="needs a terminal")]

ENV = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
BILL = Bill("Stage Piano", "Warm Synth ch 2", "open")
YOURS = Snapshot(0, (YOU,), (), None, None, "answer", (), (), Timing(), ())
OWN = YOURS._replace(parts=(IMPROV,))
LOW = (60, 12)  # columns and rows: there whose turn it is stands in a word
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
SAYS = {YOU: "Y O U", IMPROV: "I M P R O V"}

# A session that has a view, and says something: its own process, for the view's is its child.
SESSION = """
import logging, sys
from improv.live.screen import Screen
from improv.live.snapshot import Bill
from improv.live.told import told
packed = bytes.fromhex(sys.argv[1])
print("listening", flush=True)
with told(False, None) as terminal:
    with Screen(Bill("a", "b", "c"), terminal) as screen:
        print(screen._process.pid, file=open(sys.argv[2], "w"), flush=True)
        screen.put(packed)
        for line in sys.stdin:
            if line == "end\\n":
                break
            logging.getLogger("improv").warning(line.strip())
            screen.put(packed)
print("heard 0 notes", flush=True)
"""


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    with Terminal(*LOW) as terminal:
        yield terminal


def view(terminal: Terminal, **more: str) -> subprocess.Popen[bytes]:
    return terminal.start(child.command("improv.live.view", json.dumps(BILL)), {**ENV, **more}, fed=True)


def feed(process: subprocess.Popen[bytes], *snapshots: Snapshot) -> None:
    assert process.stdin is not None
    process.stdin.write(b"".join(map(pack, snapshots)))


def end(process: subprocess.Popen[bytes]) -> int:
    assert process.stdin is not None
    process.stdin.close()
    return process.wait(10)


def in_order(text: str) -> bool:
    """Whether the terminal is as it was."""
    return text.count(OTHER_PAGE) == 1 and text.rindex(OWN_PAGE) > text.rindex(HOME) < text.rindex(SHOWN)


def widths(text: str) -> list[int]:
    """Of the rows of the last picture."""
    return [len(row) for row in CONTROL.sub("", text.split(HOME)[-1]).split("\r\n")]


def test_it_draws_what_it_is_fed_until_the_pipe_closes(terminal: Terminal) -> None:
    process = view(terminal)
    feed(process, YOURS)
    assert terminal.wait(lambda text: SAYS[YOU] in text)
    feed(process, OWN)
    assert terminal.wait(lambda text: SAYS[IMPROV] in text)
    assert terminal.text.startswith(OTHER_PAGE) and HIDDEN in terminal.text
    assert end(process) == 0
    assert terminal.wait(in_order)


def test_of_many_only_the_newest_is_drawn(terminal: Terminal) -> None:
    process = view(terminal)
    feed(process, *[YOURS] * 99, OWN)
    assert terminal.wait(lambda text: SAYS[IMPROV] in text)
    assert SAYS[YOU] not in terminal.text
    end(process)


def test_it_fits_another_size_at_once(terminal: Terminal) -> None:
    process = view(terminal)
    feed(process, YOURS)
    assert terminal.wait(lambda text: SAYS[YOU] in text)
    terminal.resize(30, 8)
    assert terminal.wait(lambda text: widths(text) == [30] * 8)
    end(process)


def test_a_beat_moves_by_itself(terminal: Terminal) -> None:
    process = view(terminal)
    feed(process, YOURS._replace(line=Timeline(400.0, metric=True)))
    assert terminal.wait(lambda text: text.count(HOME) > 12)
    end(process)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP, signal.SIGQUIT])
def test_signals_of_the_terminal_are_the_parents(terminal: Terminal, number: int) -> None:
    process = view(terminal)
    feed(process, YOURS)
    assert terminal.wait(lambda text: SAYS[YOU] in text)
    process.send_signal(number)
    feed(process, OWN)
    assert terminal.wait(lambda text: SAYS[IMPROV] in text)
    assert end(process) == 0


def test_told_to_end_it_leaves_in_order(terminal: Terminal) -> None:
    process = view(terminal)
    feed(process, YOURS)
    assert terminal.wait(lambda text: SAYS[YOU] in text)
    process.terminate()
    assert process.wait(10) == 0
    assert terminal.wait(in_order)
    end(process)


def test_without_colours_there_are_none(terminal: Terminal) -> None:
    process = view(terminal, NO_COLOR="1")
    feed(process, YOURS)
    assert terminal.wait(lambda text: SAYS[YOU] in text)
    assert "38;" not in terminal.text and "48;" not in terminal.text
    end(process)


def session(terminal: Terminal, tmp_path: Path) -> tuple[subprocess.Popen[bytes], int]:
    """It has drawn its first picture; the process of its view."""
    pid = tmp_path / "pid"
    process = terminal.start([sys.executable, "-c", SESSION, pack(YOURS).hex(), str(pid)], ENV)
    assert terminal.wait(lambda text: SAYS[YOU] in text), terminal.text
    return process, int(pid.read_text())


def test_what_is_said_meanwhile_the_terminal_shows_afterwards(terminal: Terminal, tmp_path: Path) -> None:
    process, _ = session(terminal, tmp_path)
    terminal.press(b"one\ntwo\nend\n")
    assert process.wait(10) == 0
    assert terminal.wait(lambda text: "heard 0 notes" in text)
    before, after = terminal.text.split(OTHER_PAGE)
    assert before == "listening\r\n"
    assert "improv: " not in after.split(OWN_PAGE)[0]
    lines = after.split(OWN_PAGE)[1].splitlines()
    assert {"improv: one", "improv: two"} < set(lines) and lines[-1] == "heard 0 notes"


def test_a_view_that_is_killed_is_said_once_and_the_terminal_is_in_order(terminal: Terminal, tmp_path: Path) -> None:
    process, seen_by = session(terminal, tmp_path)
    terminal.press(b"one\n")
    os.kill(seen_by, signal.SIGKILL)
    assert gone(seen_by)
    terminal.press(b"two\nthree\nfour\n")
    assert terminal.wait(lambda text: "improv: the view has ended" in text and "improv: four" in text)
    assert in_order(terminal.text)
    terminal.press(b"end\n")
    assert process.wait(10) == 0
    assert terminal.wait(lambda text: "heard 0 notes" in text)
    assert terminal.text.count("the view has ended") == 1
    assert all(terminal.text.count(f"improv: {line}") == 1 for line in ("one", "two", "three", "four"))


def test_where_the_session_is_killed_the_view_leaves_the_terminal_in_order(terminal: Terminal, tmp_path: Path) -> None:
    process, seen_by = session(terminal, tmp_path)
    process.kill()
    process.wait()
    assert gone(seen_by)
    assert terminal.wait(in_order)


def test_a_view_that_stands_still_holds_nobody_up(terminal: Terminal, tmp_path: Path) -> None:
    process, seen_by = session(terminal, tmp_path)
    os.kill(seen_by, signal.SIGSTOP)
    for n in range(400):  # more than the pipe holds
        terminal.press(f"line {n}\n".encode())
        assert terminal.wait(lambda text, n=n: f"line {n}\r\n" in text)  # the terminal's own echo
    terminal.press(b"end\n")
    assert process.wait(10) == 0
    assert gone(seen_by)
    assert terminal.wait(lambda text: "improv: line 399" in text and "heard 0 notes" in text)
    assert in_order(terminal.text)


def test_what_is_no_terminal_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not can_draw()  # captured
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    for kind, good in (("xterm", True), ("dumb", False), ("unknown", False)):
        monkeypatch.setenv("TERM", kind)
        assert can_draw() is good
    monkeypatch.delenv("TERM")
    assert not can_draw()


def test_without_a_standard_output_nothing_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    assert not can_draw()
