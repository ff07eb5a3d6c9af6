"""The master of a MIDI clock, in a process of its own: sends ticks on a real port, and says when each was due.

    python -m tests.master --to 'improv in'             # finds the port by pattern, and waits for it
    python -m tests.master --virtual --to 'Drum Machine'  # opens a port of its own, in a client so named

Commands are JSON lines on stdin, each obeyed when it is read:

    {"bpm": 120}            from the next tick on
    {"ramp": [180, 16]}     evenly to that tempo, over so many beats
    {"start": 1} {"stop": 1} {"continue": 1} {"song": 16}   song positions are in sixteenths
    {"standing": true}      ticks also while the song stands
    {"jitter": [1.0, 7]}    each tick early or late by a normal deviate of so many ms; the seed
    {"lose": 96}            so many ticks are not sent
    {"hold": 0.5}           the ticks of so many seconds come together, at their end
    {"end": 1}              (or the end of stdin)

Each tick of the song is a line on stdout, `{"tick": [number, due_ns, sent_ns]}`, numbered from the top of the song,
`sent_ns` null where it was lost, stamped by the monotonic clock that all processes share. Of the others the lines
are `{"told": [what, ns]}`.

It imports nothing of improv: what it finds does not lean on what it examines.
"""

from __future__ import annotations

import argparse
import json
import queue
import random
import sys
import threading
import time
from typing import Any

import rtmidi

from tests.observer import SPIN_NS, Teller, be_prompt, opened, wait_until

PPQN = 24
TICKS_PER_SIXTEENTH = 6
TICK, START, CONTINUE, STOP, SONG_POSITION = 0xF8, 0xFA, 0xFB, 0xFC, 0xF2
LEAD_NS = 10_000_000  # from Start or Continue to its first tick, where none went before
WIRE_NS = 320_000  # a byte takes so long on a cable: no tick comes closer to another

Command = dict[str, Any]


class Master:
    def __init__(self, send: Any, tell: Teller) -> None:
        self._send, self._tell = send, tell
        self._bpm = 120.0
        self._ramp: tuple[float, float] | None = None  # bpm to go to, and how much a tick
        self._number = 0  # of the next tick of the song
        self._rolls = self._standing = False
        self._due_ns: float | None = None  # of the next tick; None: none comes
        self._dice, self._jitter_ns = random.Random(), 0.0
        self._early_ns = 0.0  # of the next tick
        self._lose, self._held_until_ns, self._sent_ns = 0, 0.0, 0

    def run(self, commands: queue.SimpleQueue[Command]) -> None:
        """Until told to end."""
        while True:
            try:
                command = commands.get(timeout=self._nap_s())
            except queue.Empty:
                wait_until(self._at_ns())
                self._tick()
                continue
            if "end" in command:
                return
            for what, value in command.items():
                getattr(self, f"_do_{what}")(value)

    def _nap_s(self) -> float | None:
        return None if self._due_ns is None else max(0.0, (self._at_ns() - SPIN_NS - time.perf_counter_ns()) / 1e9)

    def _at_ns(self) -> float:
        """When the next tick is to be sent."""
        assert self._due_ns is not None
        return max(self._due_ns - self._early_ns, self._held_until_ns, self._sent_ns + WIRE_NS)

    def _tick(self) -> None:
        assert self._due_ns is not None
        sent_ns = None
        if self._lose:
            self._lose -= 1
        else:
            self._sent_ns = sent_ns = time.perf_counter_ns()
            self._send([TICK])
        if self._rolls:
            self._tell(tick=[self._number, round(self._due_ns), sent_ns])
            self._number += 1
        self._due_ns += self._interval_ns()
        self._early_ns = self._dice.gauss(0, self._jitter_ns)

    def _interval_ns(self) -> float:
        if self._ramp is not None:
            to, step = self._ramp
            self._bpm += step
            if (self._bpm >= to) == (step > 0):
                self._bpm, self._ramp = to, None
        return 60e9 / self._bpm / PPQN

    def _say(self, what: str, *message: int) -> None:
        self._tell(told=[what, time.perf_counter_ns()])
        self._send(list(message))

    def _roll(self, what: str, byte: int) -> None:
        self._say(what, byte)
        self._rolls = True
        if self._due_ns is None:
            self._due_ns = time.perf_counter_ns() + LEAD_NS

    def _do_start(self, _: object) -> None:
        self._number = 0
        self._roll("start", START)

    def _do_continue(self, _: object) -> None:
        self._roll("continue", CONTINUE)

    def _do_stop(self, _: object) -> None:
        self._say("stop", STOP)
        self._rolls = False
        if not self._standing:
            self._due_ns = None

    def _do_song(self, sixteenths: int) -> None:
        self._say("song", SONG_POSITION, sixteenths & 0x7F, sixteenths >> 7)
        self._number = sixteenths * TICKS_PER_SIXTEENTH

    def _do_standing(self, on: bool) -> None:
        self._standing = on
        if on and self._due_ns is None:
            self._due_ns = time.perf_counter_ns() + LEAD_NS
        elif not on and not self._rolls:
            self._due_ns = None

    def _do_bpm(self, bpm: float) -> None:
        self._bpm, self._ramp = bpm, None

    def _do_ramp(self, ramp: list[float]) -> None:
        to, beats = ramp
        self._ramp = to, (to - self._bpm) / (beats * PPQN)

    def _do_jitter(self, jitter: list[float]) -> None:
        self._jitter_ns, self._dice = jitter[0] * 1e6, random.Random(jitter[1])

    def _do_lose(self, ticks: int) -> None:
        self._lose = ticks

    def _do_hold(self, seconds: float) -> None:
        self._held_until_ns = time.perf_counter_ns() + seconds * 1e9


def _read(commands: queue.SimpleQueue[Command]) -> None:
    for line in sys.stdin:
        commands.put(json.loads(line))
    commands.put({"end": 1})


def main() -> None:
    parser = argparse.ArgumentParser(description="Sends the ticks of a MIDI clock and says when each was due.")
    parser.add_argument("--api", default="jack")
    parser.add_argument("--to", required=True, help="the port to send to (a pattern), or the client to open")
    parser.add_argument("--virtual", action="store_true", help="open a port of its own instead of finding one")
    arguments = parser.parse_args()
    be_prompt()
    tell = Teller()
    try:
        port = opened(rtmidi.MidiOut, arguments.api, arguments.to, "master", arguments.virtual)
        tell(ready=True)
        commands: queue.SimpleQueue[Command] = queue.SimpleQueue()
        threading.Thread(target=_read, args=(commands,), daemon=True).start()
        Master(port.send_message, tell).run(commands)
        port.close_port()
        port.delete()
    finally:
        tell.close()


if __name__ == "__main__":
    main()
