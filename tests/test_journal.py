"""The journal: all but the last moment is on the disk, and a disk that is full ends nothing but the recording."""

from __future__ import annotations

import errno
import json
import os
import threading
from pathlib import Path

import pytest

from improv.midi import journal, log
from improv.midi.journal import Journal
from improv.midi.log import Gave, Header, Log, Record, Step
from improv.music.events import NoteOn

HEADER = Header("0.1.0", "2026-11-21T21:00:00+00:00", "open", "f" * 16, {}, {})
PATIENCE_S = 10.0


class Paper:
    """A file that takes so many bytes, and then fails; `written` is set whenever it was written on."""

    name = "takes/improv-1.log"

    def __init__(self, room: int = 10**9, most: int = 10**9) -> None:
        self.data = b""
        self.writes = 0
        self.closed = False
        self.written = threading.Event()
        self._room, self._most = room, most

    def write(self, data: bytes) -> int:
        if not self._room:
            self.written.set()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        taken = data[: min(self._room, self._most)]
        self._room -= len(taken)
        self.data += taken
        self.writes += 1
        self.written.set()
        return len(taken)

    def close(self) -> None:
        self.closed = True


def heard(number: int) -> Step:
    return Step(number, NoteOn(number, 60 + number % 12, 64))


def test_the_header_is_there_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    writer = Journal(path.open("xb", buffering=0), HEADER)
    assert Log(path).header == HEADER
    writer.close()


def test_what_was_put_is_written_while_it_goes_on() -> None:
    paper = Paper()
    writer = Journal(paper, HEADER)
    paper.written.clear()
    writer.put(heard(1))
    assert paper.written.wait(PATIENCE_S)
    assert json.loads(paper.data.splitlines()[-1]) == [1, "on", 1, 61, 64]
    writer.close()


def test_at_the_end_all_is_written(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    writer = Journal(path.open("xb", buffering=0), HEADER)
    records: list[Record] = [record for n in range(500) for record in (heard(n), Gave((NoteOn(n, 60, 64),)), Step(n))]
    for record in records:
        writer.put(record)
    writer.close()
    assert list(Log(path).records()) == records


def test_a_disk_that_takes_little_at_a_time_gets_all() -> None:
    paper = Paper(most=7)
    writer = Journal(paper, HEADER)
    writer.put(heard(1))
    writer.close()
    assert paper.data.decode() == log.header_line(HEADER) + '[1,"on",1,61,64]\n' and paper.closed


def test_while_nothing_happens_nothing_is_written() -> None:
    paper = Paper()
    writer = Journal(paper, HEADER)
    for n in range(journal.HELD_BACK - 1):
        writer.put(Step(n))
    assert not writer._closing.wait(2 * journal.GATHER_S)  # the time has to pass
    assert paper.writes == 1
    writer.put(Step(journal.HELD_BACK))
    writer.close()
    assert paper.writes == 2


@pytest.mark.parametrize("room", [0, 1, 40])
def test_a_full_disk_stops_the_recording_and_says_so_once(room: int, caplog: pytest.LogCaptureFixture) -> None:
    paper = Paper(room=len(log.header_line(HEADER)) + room)
    writer = Journal(paper, HEADER)
    paper.written.clear()
    for n in range(10):
        writer.put(heard(n))
    writer._thread.join(PATIENCE_S)
    assert not writer._thread.is_alive() and paper.closed
    for n in range(1000):
        writer.put(heard(n))
    assert writer._queue.empty()  # nothing piles up
    writer.close()
    assert caplog.messages == ["takes/improv-1.log: the recording stops here (No space left on device)"]


def test_a_disk_that_is_full_when_the_session_ends_does_not_hold_it_up(caplog: pytest.LogCaptureFixture) -> None:
    paper = Paper(room=len(log.header_line(HEADER)))
    writer = Journal(paper, HEADER)
    writer.put(heard(1))
    writer.close()
    assert len(caplog.messages) == 1


def test_a_log_grows_no_larger_than_is_read(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(log, "MAX_BYTES", len(log.header_line(HEADER)) + 40)
    paper = Paper()
    writer = Journal(paper, HEADER)
    for n in range(10):
        writer.put(heard(n))
    writer.close()
    assert len(paper.data) <= log.MAX_BYTES and "stops here (File too large)" in caplog.text


def test_where_no_header_can_be_written_there_is_no_journal() -> None:
    with pytest.raises(OSError, match="No space"):
        Journal(Paper(room=0), HEADER)
