"""Started, played and ended at a random moment in one of several ways, again and again: does anything stay sounding?"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import NamedTuple

from tests.jack import Daemon, Env, Phrase, Player, children, gone
from tests.observer import Sound, Stamped, sound

MACHINE = 2  # its channel
TURN_CC = 67
ENDS = ("SIGKILL", "SIGTERM", "SIGINT", "SIGHUP", "SIGSTOP")
SILENT_S, STOPPED_SILENT_S = 0.25, 1.25  # by when it is silent; a process that stands still is noticed after a second
TRIES = 10  # to open ports
MARGIN_S = 0.1  # of a busy machine
PHRASE: Phrase = (
    *((n * 0.08, (0x90, pitch, 80)) for n, pitch in enumerate((60, 64, 67, 72))),
    (0.32, (0xB0, TURN_CC, 127)),
    (0.32, (0xB0, TURN_CC, 0)),
    (0.4, (0xB0, 64, 127)),
    *((0.5, (0x80, pitch, 0)) for pitch in (60, 64)),  # two keys stay down, and the pedal
)


class Cycle(NamedTuple):
    """How one ended, and what was left."""

    end: str
    moment_s: float  # from when it listened on, at least
    status: int
    answered: int  # notes
    sounding: Sound  # at the end
    silent_s: float  # from its end until nothing sounded any more
    orphans: int  # processes that outlived it
    said: list[str]  # on standard error

    @property
    def clean(self) -> bool:
        killed = self.end in ("SIGKILL", "SIGSTOP")
        in_time = self.silent_s <= (STOPPED_SILENT_S if self.end == "SIGSTOP" else SILENT_S) + MARGIN_S
        ended = self.status == (-signal.SIGKILL if killed else 0)
        return in_time and ended and not self.orphans and self.sounding == (set(), set())


class Ends:
    """Those of several stands, side by side; but a client that stands still keeps JACK, and who ends then, waiting."""

    def __init__(self, stands: int) -> None:
        self._stands, self._free, self._next = stands, threading.Semaphore(stands), threading.Lock()

    @contextlib.contextmanager
    def one(self, end: str) -> Iterator[None]:
        taken = self._stands if end == "SIGSTOP" else 1
        with self._next:
            for _ in range(taken):
                self._free.acquire()
        try:
            yield
        finally:
            self._free.release(taken)


class Stand:
    """A keyboard and a synthesiser of its own."""

    def __init__(self, env: Env, number: int, ends: Ends) -> None:
        self._env, self._number, self._ends = env, number, ends
        self._player = Player(env, "--virtual", "--to", f"Keys {number}", "--from", f"Synth {number}")

    def cycle(self, dice: Random) -> Cycle:
        player, end, moment_s = self._player, dice.choice(ENDS), dice.uniform(0.0, 1.2)
        with self._daemon() as daemon:
            seen = len(player.received)
            number = player.start(PHRASE)
            player.wait(lambda: False, moment_s)
            helpers = children(daemon.process.pid)
            with self._ends.one(end):
                ended_ns = daemon.signal(getattr(signal, end))
                limit_s = STOPPED_SILENT_S if end == "SIGSTOP" else SILENT_S
                player.wait(lambda: False, limit_s + MARGIN_S)  # nothing says that nothing comes: the time has to pass
                if end == "SIGSTOP":
                    daemon.process.kill()
                status = daemon.wait()
            orphans = sum(not gone(helper) for helper in helpers)
        player.finish(number, 5.0)
        new = player.received[seen:]
        answered = sum(event.note_on and event.channel == MACHINE for event in new)
        silent_s = (_silent_ns(player.received, ended_ns) - ended_ns) / 1e9
        return Cycle(end, moment_s, status, answered, player.sound(), silent_s, orphans, daemon.err.lines)

    def _daemon(self) -> Daemon:
        """While a client of JACK's stands still, on another stand, nobody is let in."""
        ports = ("--in", f"keys {self._number}", "--out", f"synth {self._number}")
        refused = AssertionError()
        for _ in range(TRIES):
            try:
                return Daemon(self._env, *ports, "--api", "jack", "--thru", "--turn-cc", str(TURN_CC))
            except AssertionError as error:
                refused = error
        raise refused

    def close(self) -> None:
        self._player.close()


def _silent_ns(received: Sequence[Stamped], ended_ns: int) -> int:
    """When the last note ended; what ends it is sent once more after that."""
    for last, event in reversed([*enumerate(received)]):
        if event.time_ns <= ended_ns or sound(received[:last]) != (set(), set()):
            return max(event.time_ns, ended_ns)
    return ended_ns


def cycles(env: Env, count: int, stands: int, seed: int) -> Iterator[Cycle]:
    """So many of them, at some stands side by side."""
    here = threading.local()
    opened: list[Stand] = []
    numbers = iter(range(stands))
    ends = Ends(stands)

    def take_stand() -> None:
        here.stand = Stand(env, next(numbers), ends)
        opened.append(here.stand)

    def cycle(number: int) -> Cycle:
        stand: Stand = here.stand
        return stand.cycle(Random(f"{seed} {number}"))

    try:
        with ThreadPoolExecutor(stands, initializer=take_stand) as pool:
            yield from pool.map(cycle, range(count))
    finally:
        for stand in opened:
            stand.close()
