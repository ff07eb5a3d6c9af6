"""A terminal for programs under test: what they write to it, as they write it."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import termios
import threading
from collections.abc import Callable, Mapping, Sequence

HOME, OTHER_PAGE, OWN_PAGE = "\x1b[H", "\x1b[?1049h", "\x1b[?1049l"
HIDDEN, SHOWN = "\x1b[?25l", "\x1b[?25h"
INTERRUPT, QUIT = b"\x03", b"\x1c"  # Ctrl-C, Ctrl-\
KIND = {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
SIZE = ("COLUMNS", "LINES")  # of the terminal that the tests were started on
# A program takes the terminal for its own before it begins.
TAKE_IT = "import fcntl, os, sys, termios; fcntl.ioctl(1, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"


class Terminal:
    """Of some columns and rows; a program started on it is in its foreground."""

    def __init__(self, columns: int = 80, rows: int = 24) -> None:
        self._master, self._slave = pty.openpty()
        self.resize(columns, rows)
        self._pieces: list[bytes] = []
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._programs: list[subprocess.Popen[bytes]] = []

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def start(self, command: Sequence[str], env: Mapping[str, str], fed: bool = False) -> subprocess.Popen[bytes]:
        """It writes to the terminal, and gets its signals; it reads from there, or is `fed` by a pipe."""
        program = subprocess.Popen(
            [command[0], "-c", TAKE_IT, *command],
            stdin=subprocess.PIPE if fed else self._slave,
            stdout=self._slave,
            stderr=self._slave,
            bufsize=0,
            env={key: value for key, value in {**KIND, **env}.items() if key not in SIZE},
            start_new_session=True,
        )
        self._programs.append(program)
        return program

    @property
    def text(self) -> str:
        """All that was written so far; not put together before somebody asks, for a view writes much."""
        return b"".join(self._pieces).decode(errors="replace")

    def press(self, key: bytes) -> None:
        os.write(self._master, key)

    def wait(self, holds: Callable[[str], bool], timeout_s: float = 20.0) -> bool:
        """Until what was written makes it so."""
        with self._changed:
            return self._changed.wait_for(lambda: holds(self.text), timeout_s)

    def close(self) -> None:
        """Whatever still runs on it is killed."""
        for program in self._programs:
            program.kill()
            program.wait()
            if program.stdin is not None:
                program.stdin.close()
        os.close(self._slave)
        self._reader.join()
        os.close(self._master)

    def _read(self) -> None:
        while True:
            try:
                piece = os.read(self._master, 65536)
            except OSError:  # nobody has it any more
                return
            with self._changed:
                self._pieces.append(piece)
                self._changed.notify_all()

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
