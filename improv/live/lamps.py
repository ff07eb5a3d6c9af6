"""Sends a controller what its lights show, from a thread of its own: nobody who plays waits for that port."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Sequence
from typing import NamedTuple

from improv.engine import Engine
from improv.live import switches
from improv.midi.outlet import DRAIN_S
from improv.midi.pace import paced
from improv.midi.ports import Output
from improv.music.lights import Lights

CLOSE_S = 1.0


class _Plugged(NamedTuple):
    """From now on the lights are there; None: they are away."""

    port: Output | None


class Lamps:
    def __init__(self, engine: Engine, lights: Lights, api: str) -> None:
        self._engine, self._lights, self._api = engine, lights, api
        self._news: queue.SimpleQueue[Sequence[bytes] | _Plugged | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def show(self, now_ns: int) -> None:
        """What is new. Called on the engine's thread whenever the loop begins to wait."""
        if messages := self._lights.show(switches.on(self._engine), self._engine.steering, now_ns):
            self._news.put(messages)

    def plug(self, name: str | None) -> None:
        """The lights are there, and all is shown again. Raises `PortError`."""
        self._news.put(_Plugged(Output(self._api, name, "improv-lights", "improv lights")))

    def unplug(self) -> None:
        self._news.put(_Plugged(None))

    def close(self) -> None:
        """All off; called when the engine steps no more. A driver that hangs is not waited for."""
        self._news.put(self._lights.off())
        self._news.put(None)
        self._thread.join(CLOSE_S)

    def _run(self) -> None:
        shown: dict[bytes, bytes] = {}  # the last message of each control
        port: Output | None = None
        while (news := self._news.get()) is not None:
            if isinstance(news, _Plugged):
                if port is not None:
                    port.close()
                port, news = news.port, list(shown.values())
            shown |= {message[:2]: message for message in news}
            if port is not None:
                send = paced(port.send)
                with contextlib.suppress(OSError):  # it went away, which the patchbay says
                    for message in news:
                        send(message)
        if port is not None:
            time.sleep(DRAIN_S)
            port.close()
