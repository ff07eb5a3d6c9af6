"""Notices that an input has gone: RtMidi reports no unplugging, so the list of ports is looked at.

In a process of its own, because a look may take the driver long.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable

from improv.midi.ports import Looker

EVERY_S = 1.0


class Watch:
    """Calls `lost`, on a thread of its own, when an input port is no longer there."""

    def __init__(self, api: str, name: str, lost: Callable[[], None]) -> None:
        command = [sys.executable, "-m", "improv.midi.watch", api, name]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        self._lost = lost
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        if self._process.stdout.read(1):
            self._lost()

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()  # tells it to leave
        self._process.wait()
        self._thread.join()
        self._process.stdout.close()


def main() -> None:
    """The watching process: leaves when its stdin closes, or once it has said that the port is gone."""
    for ignored in ("SIGINT", "SIGHUP"):
        if hasattr(signal, ignored):
            signal.signal(getattr(signal, ignored), signal.SIG_IGN)

    def leave_with_parent() -> None:
        os.fdopen(0, "rb", buffering=0).read()
        os._exit(0)

    threading.Thread(target=leave_with_parent, daemon=True).start()
    api, name = sys.argv[1:]
    looker = Looker(api)
    while name in looker.inputs():
        time.sleep(EVERY_S)
    with contextlib.suppress(BrokenPipeError):
        os.write(1, b"!")


if __name__ == "__main__":
    main()
