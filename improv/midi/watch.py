"""Says when a port goes away and when it is back: RtMidi reports neither, so the lists of ports are looked at.

In a process of its own, because a look may take the driver long. One look a second is all there is of polling.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from improv import child
from improv.midi.ports import Looker, PortError, found_again, looker

EVERY_S = 1.0
CLOSE_S = 1.0


class Watched(NamedTuple):
    """A port of the `input` or the `output` side; without a name one of our own, there as long as the system is."""

    side: str
    name: str | None


class Change(NamedTuple):
    """The port of that number is `there` again, under this name, or it is gone."""

    number: int
    there: bool
    name: str | None


class Watch:
    """Calls `changed`, on a thread of its own, and `died` when its process ends by itself, a second later."""

    def __init__(
        self, api: str, watched: Sequence[Watched], changed: Callable[[Change], None], died: Callable[[], None]
    ) -> None:
        command = child.command("improv.midi.watch", json.dumps([api, watched]))
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, bufsize=1)
        self._changed, self._died = changed, died
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._changed(Change(*json.loads(line)))
        if not self._closing.wait(EVERY_S):  # one that cannot live is not started without end
            self._died()

    def miss(self, number: int) -> None:
        """That port is taken to be gone: where it is there, `changed` says so after the next look."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.write(f"{number}\n")

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._closing.set()
        with contextlib.suppress(OSError):
            self._process.stdin.close()  # tells it to leave
        try:
            self._process.wait(CLOSE_S)
        except subprocess.TimeoutExpired:  # it stands still, or its driver hangs
            self._process.kill()
            self._process.wait()
        self._thread.join()
        self._process.stdout.close()


class Post:
    """One port, and what was seen of it."""

    def __init__(self, number: int, watched: Watched) -> None:
        self._number, self._side, self._name = number, watched.side, watched.name
        self._there = True
        self._others: frozenset[str] = frozenset()  # what else was there when it went: a twin is not taken for it

    def miss(self) -> None:
        self._there = False

    def look(self, names: Mapping[str, Sequence[str]] | None) -> Change | None:
        """What has changed, as the names of each side are now; None: the MIDI system itself is gone."""
        was_there, here = self._there, () if names is None else names[self._side]
        if self._name is None:
            self._there = names is not None
        elif was_there:
            self._there = self._name in here
            self._others = frozenset(here) - {self._name}
        elif (found := found_again(self._name, [name for name in here if name not in self._others])) is not None:
            self._there, self._name = True, found
        return Change(self._number, self._there, self._name) if self._there != was_there else None


class _Lookout:
    """One MIDI system, which may itself go away."""

    def __init__(self, api: str, died: Callable[[], None]) -> None:
        self._api, self._died = api, died
        self._looker: Looker | None = None
        self._open()

    def _open(self) -> None:
        with contextlib.suppress(PortError):
            self._looker = looker(self._api, self._died)

    def look(self) -> dict[str, list[str]] | None:
        """The names of each side; None: it is not there, or not the one that was."""
        if self._looker is None:
            self._open()
        elif not self._looker.lives:
            self._looker.close()
            self._looker = None
        return None if self._looker is None else self._looker.names()


def main() -> None:
    """The watching process: leaves when its stdin closes."""
    child.leave_signals_to_the_parent()
    api, watched = json.loads(sys.argv[1])
    asides: queue.SimpleQueue[int | None] = queue.SimpleQueue()  # a port that is missed; None: look now

    def listen() -> None:
        for line in sys.stdin:
            asides.put(int(line))
        os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    posts = [Post(number, Watched(*port)) for number, port in enumerate(watched)]
    lookout = _Lookout(api, lambda: asides.put(None))
    while True:
        for number in _missed(asides):
            posts[number].miss()
        names = lookout.look()
        for change in [post.look(names) for post in posts]:
            if change is not None:
                print(json.dumps(change), flush=True)


def _missed(asides: queue.SimpleQueue[int | None]) -> Iterator[int]:
    """Those that are missed until the next look."""
    until = time.monotonic() + EVERY_S
    with contextlib.suppress(queue.Empty):
        while (number := asides.get(timeout=max(0.0, until - time.monotonic()))) is not None:
            yield number


if __name__ == "__main__":
    main()
