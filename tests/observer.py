"""A player of its own: talks to a daemon over real ports, and stamps all that comes back.

    python observer.py --to 'improv in' --from 'improv out'       # finds the ports by pattern, and waits for them
    python observer.py --virtual --to 'Stage Piano' --from Synth  # opens ports of its own, in clients so named

Commands are JSON lines on stdin; times are seconds from when the line is read:

    {"play": [[0.0, [144, 60, 80]], [0.2, [128, 60, 0]]]}
    {"play": [...], "at": ns}   seconds from that moment on instead
    {"connect": 1}          the daemon's ports were made anew: connect again
    {"end": 1}              (or the end of stdin)

Every message sent or received is a line on stdout at once, `{"sent": [ns, [bytes]]}` and
`{"received": [ns, [bytes]]}`, stamped by the monotonic clock that all processes share. After all of
a `play` is sent comes `{"played": n}`. The last line holds it all, and what still sounds:
`{"all": {"sent": [...], "received": [...], "sounding": [[channel, pitch], ...], "pedals": [channel, ...]}}`.

It imports nothing of improv: what it finds does not lean on what it examines.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import os
import queue
import re
import sys
import threading
import time
from collections.abc import Iterable
from typing import Any, NamedTuple

import rtmidi

SPIN_NS = 500_000
PATIENCE_S = 10.0
BATCH_S = 0.002
CALLBACK_S = 0.02


class Stamped(NamedTuple):
    """A message and when it passed."""

    time_ns: int
    message: tuple[int, ...]

    @property
    def channel(self) -> int:
        return (self.message[0] & 0x0F) + 1

    @property
    def kind(self) -> int:
        return self.message[0] & 0xF0

    @property
    def note_on(self) -> bool:
        return self.kind == 0x90 and self.message[2] > 0

    @property
    def note_off(self) -> bool:
        return self.kind == 0x80 or (self.kind == 0x90 and self.message[2] == 0)


class Sound(NamedTuple):
    """What a synthesiser would still sound; channels from 1."""

    notes: set[tuple[int, int]]  # channel and pitch
    pedals: set[int]


def sound(messages: Iterable[Stamped]) -> Sound:
    """What sounds after those messages. Strict: every note-on wants a note-off of its own, by name."""
    down: dict[tuple[int, int], int] = {}
    sustained: set[tuple[int, int]] = set()
    pedals: set[int] = set()
    for event in messages:
        if event.note_on:
            key = (event.channel, event.message[1])
            down[key] = down.get(key, 0) + 1
        elif event.note_off:
            key = (event.channel, event.message[1])
            if down.get(key) and event.channel in pedals:
                sustained.add(key)
            down[key] = max(0, down.get(key, 0) - 1)
        elif event.kind == 0xB0 and event.message[1] == 64:
            if event.message[2] >= 64:
                pedals.add(event.channel)
            else:
                pedals.discard(event.channel)
                sustained = {key for key in sustained if key[0] != event.channel}
    return Sound({key for key, count in down.items() if count} | sustained, pedals)


def opened(kind: Any, api: str, name: str, client: str, virtual: bool = False) -> Any:
    """An RtMidi port: the first whose name fits the pattern `name`, or one of its own in a client so named."""
    apis = {"jack": rtmidi.API_UNIX_JACK, "alsa": rtmidi.API_LINUX_ALSA, "coremidi": rtmidi.API_MACOSX_CORE}
    port = kind(apis[api], name=name if virtual else client)
    if virtual:
        port.open_virtual_port("port")
    else:
        port.open_port(_find(port, name))
    return port


class Ports:
    """One output and one input, found by name or opened under a name. Either may be left out."""

    def __init__(self, api: str, to: str | None, source: str | None, virtual: bool, heard: Any) -> None:
        self._api, self._to, self._source, self._virtual, self._heard = api, to, source, virtual, heard
        self._open: list[Any] = []
        self.connect()

    def close(self) -> None:
        """A callback that is under way gets the time to end: RtMidi waits for it, and holds the interpreter."""
        called = [gc.get_referents(port) for port in self._open]  # python-rtmidi drops a callback that is under way
        for port in self._open:
            if isinstance(port, rtmidi.MidiIn):
                port.cancel_callback()
        time.sleep(CALLBACK_S)
        del called
        for port in self._open:
            port.close_port()
            port.delete()
        self._open.clear()

    def connect(self) -> None:
        self.close()
        if self._source is not None:
            port = self._opened(rtmidi.MidiIn, self._source, "observer-in")
            port.ignore_types(sysex=False, timing=False, active_sense=False)
            port.set_callback(lambda event, _: self._heard(time.perf_counter_ns(), event[0]))
        if self._to is not None:
            self._output = self._opened(rtmidi.MidiOut, self._to, "observer-out")

    def _opened(self, kind: Any, name: str, client: str) -> Any:
        self._open.append(opened(kind, self._api, name, client, self._virtual))
        return self._open[-1]

    def send(self, message: list[int]) -> None:
        self._output.send_message(message)


def _find(port: Any, name: str) -> int:
    """The number of the first port whose name fits; waits for it. No system reports a new port to RtMidi."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        for number, there in enumerate(port.get_ports()):
            if re.search(name, there):
                return number
        time.sleep(0.01)
    raise SystemExit(f"no port fits {name}")


class Teller:
    """Lines of JSON on stdout, written by a thread of their own: a full pipe must not hold up the driver's thread."""

    def __init__(self) -> None:
        self._lines: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._write)
        self._writer.start()

    def __call__(self, **line: Any) -> None:
        self._lines.put(line)

    def close(self) -> None:
        self._lines.put(None)
        self._writer.join()

    def _write(self) -> None:
        """In batches, so that it seldom stands in the driver's way: who reads too slowly loses messages."""
        while (line := self._lines.get()) is not None:
            time.sleep(BATCH_S)
            batch: list[dict[str, Any] | None] = [line]
            while not self._lines.empty():
                batch.append(self._lines.get())
            print("\n".join(json.dumps(line) for line in batch if line is not None), flush=True)
            if batch[-1] is None:
                return


class Observer:
    def __init__(self, arguments: argparse.Namespace) -> None:
        self._sent: list[Stamped] = []
        self._received: list[Stamped] = []
        self._tell = Teller()
        try:
            self._ports = Ports(arguments.api, arguments.to, arguments.source, arguments.virtual, self._receive)
        except BaseException:
            self._tell.close()
            raise
        self._tell(ready=True)

    def _receive(self, now: int, message: list[int]) -> None:
        self._received.append(Stamped(now, tuple(message)))
        self._tell(received=[now, message])

    def play(self, events: list[tuple[float, list[int]]], begin: int) -> None:
        for after_s, message in events:
            wait_until(begin + round(after_s * 1e9))
            now = time.perf_counter_ns()
            self._ports.send(message)
            self._sent.append(Stamped(now, tuple(message)))
            self._tell(sent=[now, message])
        self._tell(played=len(events))

    def follow(self, lines: Iterable[str]) -> None:
        """Until told to end, or there are no more lines."""
        try:
            for line in lines:
                command = json.loads(line)
                if "play" in command:
                    self.play(command["play"], command.get("at", time.perf_counter_ns()))
                elif "connect" in command:
                    self._ports.connect()
                    self._tell(ready=True)
                else:
                    break
        finally:
            self._ports.close()
            notes, pedals = sound(list(self._received))
            whole = {"sent": self._sent, "received": self._received, "sounding": sorted(notes), "pedals": list(pedals)}
            self._tell(all=whole)
            self._tell.close()


def be_prompt() -> None:
    """Where the system permits it this process goes before others: a busy machine is not to blur what it measures."""
    with contextlib.suppress(AttributeError, OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    sys.setswitchinterval(1e-4)
    gc.disable()  # a collection holds up the driver's thread, and nothing here makes cycles


def wait_until(time_ns: float) -> None:
    """Sleep to just before, then spin: what is sent is to be even."""
    left = time_ns - time.perf_counter_ns() - SPIN_NS
    if left > 0:
        time.sleep(left / 1e9)
    while time.perf_counter_ns() < time_ns:
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description="Plays phrases into a daemon and stamps what comes back.")
    parser.add_argument("--api", default="jack")
    parser.add_argument("--to", help="the port to play into (a pattern), or the client to open")
    parser.add_argument("--from", dest="source", help="the port to hear (a pattern), or the client to open")
    parser.add_argument("--virtual", action="store_true", help="open ports of its own instead of finding some")
    be_prompt()
    Observer(parser.parse_args()).follow(sys.stdin)


if __name__ == "__main__":
    main()
