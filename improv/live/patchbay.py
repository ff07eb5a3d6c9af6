"""The open ports of a session: one that goes away is noticed, and opened again when it is back.

On a thread of its own, so that neither the engine nor a driver waits for a port to open.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from improv.midi.ports import PortError
from improv.midi.watch import Change, Watch, Watched

LOG = logging.getLogger("improv")
SHORT_LIFE_S = 1.0


class Plug(NamedTuple):
    """A port that is open, and how to close it and open it again; both run on the patchbay's thread."""

    watched: Watched
    said: str  # its name for people
    unplug: Callable[[], None]
    plug: Callable[[str | None], None]  # raises PortError
    own: bool = False  # others connect to it, and to each new one again


class Broken(NamedTuple):
    """What was open at the plug of that number ended by itself."""

    number: int


class Blind(NamedTuple):
    """The watch ended by itself."""


class Patchbay:
    def __init__(self) -> None:
        self._news: queue.SimpleQueue[Change | Broken | Blind | None] = queue.SimpleQueue()

    def mind(self, api: str, plugs: Sequence[Plug]) -> None:
        """From now on, what is open already."""
        self._api, self._plugs = api, plugs
        self._names = [plug.watched.name for plug in plugs]
        self._opened_s = [-SHORT_LIFE_S] * len(plugs)
        self._closed: set[int] = set()  # the plugs that are not open
        self._watch = self._start_watch()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _start_watch(self) -> Watch:
        watched = [plug.watched._replace(name=name) for plug, name in zip(self._plugs, self._names, strict=True)]
        return Watch(self._api, watched, self._news.put, lambda: self._news.put(Blind()))

    def broken(self, number: int) -> None:
        """What was open there ended by itself: it is opened anew. Called on any thread."""
        self._news.put(Broken(number))

    def _run(self) -> None:
        while (news := self._news.get()) is not None:
            if isinstance(news, Broken):
                self._mend(news.number)
            elif isinstance(news, Blind):
                self._watch_again()
            elif news.there:
                self._names[news.number] = news.name
                if self._plug(news.number):
                    LOG.warning(f"{self._plugs[news.number].said} is back")
            else:
                LOG.warning(f"{self._plugs[news.number].said} went away; it will be opened again")
                self._unplug(news.number)

    def _watch_again(self) -> None:
        LOG.warning("what looks after the ports broke off; it starts anew")
        self._watch.close()
        self._watch = self._start_watch()
        for number in self._closed:
            self._watch.miss(number)

    def _mend(self, number: int) -> None:
        """At once; what soon ends again has to wait for the next look at the ports."""
        plug = self._plugs[number]
        then = "it starts anew, and has to be connected again" if plug.own else "all is released, and it starts anew"
        LOG.warning(f"what plays on {plug.said} broke off; {then}")
        self._unplug(number)
        if time.monotonic() - self._opened_s[number] < SHORT_LIFE_S:
            self._watch.miss(number)
        else:
            self._plug(number)

    def _unplug(self, number: int) -> None:
        self._closed.add(number)
        self._plugs[number].unplug()

    def _plug(self, number: int) -> bool:
        """Whether that opened it. It may be open: what broke off as its port went away is opened at once."""
        if number not in self._closed:
            return False
        try:
            self._plugs[number].plug(self._names[number])
        except PortError:
            self._watch.miss(number)  # it went away again, or is not ready yet
            return False
        self._closed.discard(number)
        self._opened_s[number] = time.monotonic()
        return True

    def close(self) -> None:
        self._news.put(None)
        self._thread.join()
        self._watch.close()
