"""What the player is told while it runs."""

from __future__ import annotations

import errno
import logging
import os
import re
import time
from pathlib import Path

import pytest

from improv.errors import BadInput
from improv.hush import hushed
from improv.live.told import LAST, told

LOG = logging.getLogger("improv")


def say_all() -> None:
    LOG.debug("listening")
    LOG.info("heard 5 notes, 100% of them")
    LOG.warning("the clock's ticks stay away")


@pytest.mark.parametrize("verbose", [False, True])
def test_a_turn_is_told_to_who_asks_and_what_goes_wrong_to_all(
    verbose: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    with told(verbose, None):
        say_all()
    turn = "improv: heard 5 notes, 100% of them\n" * verbose
    assert capfd.readouterr().err == f"{turn}improv: the clock's ticks stay away\n"


def test_all_of_it_is_added_to_the_file_with_the_time(tmp_path: Path) -> None:
    path = tmp_path / "told.log"
    for _ in range(2):
        with told(False, path):
            say_all()
    lines = path.read_text().splitlines()
    assert len(lines) == 6
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} \S", line) for line in lines)
    assert lines[0].endswith(" listening") and lines[2].endswith(" the clock's ticks stay away")


def test_a_name_that_is_no_text_is_written_all_the_same(tmp_path: Path) -> None:
    with told(False, path := tmp_path / "told.log"):
        LOG.debug('listening to "\udcff"')
    assert "udcff" in path.read_text()


def test_a_disk_that_is_full_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def full(handler: logging.FileHandler) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "told.log"
    monkeypatch.setattr(logging.FileHandler, "flush", full)
    with told(False, path):
        for _ in range(5):
            LOG.info("a turn")
    assert capfd.readouterr().err == f"improv: {path}: nothing more is written there (No space left on device)\n"


def test_a_file_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "told.log"
    with pytest.raises(BadInput, match=r"\(--log-file\) .*: it cannot be written \(No such file"), told(False, path):
        pass


def test_nothing_waits_for_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(pipe := tmp_path / "pipe")
    for path in (pipe, tmp_path, Path("/dev/full")):
        with pytest.raises(BadInput, match=r"\(--log-file\) .*: it is no ordinary file"), told(False, path):
            pass


def test_a_stream_that_is_no_terminal_is_never_held(capfd: pytest.CaptureFixture[str]) -> None:
    with told(True, None) as terminal:
        terminal.hold()
        say_all()
    assert len(capfd.readouterr().err.splitlines()) == 2
    assert terminal.last == (("heard 5 notes, 100% of them", False), ("the clock's ticks stay away", True))


def test_the_last_lines_are_at_hand() -> None:
    with told(False, None) as terminal:
        for n in range(LAST + 3):
            LOG.warning("line %d", n)
    assert [said.text for said in terminal.last] == [f"line {n}" for n in range(3, LAST + 3)]


def test_afterwards_the_logger_is_as_it_was() -> None:
    before = (list(LOG.handlers), LOG.level, LOG.propagate)
    with told(True, None):
        assert len(LOG.handlers) == len(before[0]) + 1
    assert (list(LOG.handlers), LOG.level, LOG.propagate) == before


def test_what_is_said_while_libraries_are_kept_quiet_is_not_lost(capfd: pytest.CaptureFixture[str]) -> None:
    with told(False, None), hushed():
        say_all()
        said = ""
        for _ in range(2000):
            said = said or capfd.readouterr().err
            time.sleep(0.0 if said else 0.001)
    assert said == "improv: the clock's ticks stay away\n"
