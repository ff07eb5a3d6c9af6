"""What the view costs the engine: one loop that hears and answers phrases, with the view and without, in turns."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import queue
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Callable, Iterator

from improv import child
from improv.clock import now_ns
from improv.config import Settings
from improv.engine import Engine
from improv.live.loop import Inbox, Loop, Quit, be_prompt
from improv.live.onlooker import Onlooker
from improv.live.snapshot import Bill
from improv.live.tally import Tally
from improv.midi.outlet import ThreadOutlet
from improv.music.events import NoteOff, NoteOn
from improv.net import weights
from tests.figures import Figure, Section
from tests.terminal import KIND

PITCHES = (60, 64, 67, 72, 71, 67, 65, 62)
NOTES, SPACING_S, ANSWER_S = 16, 0.1, 3.4  # a turn
TURNS = 24
PLAIN, SEEN = range(2)


@contextlib.contextmanager
def _view() -> Iterator[Callable[[bytes], bool]]:
    """Drawn on a terminal that costs next to nothing; gives what puts a snapshot."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    command = child.command("improv.live.view", json.dumps(Bill("stage", "synth", "open")))
    with (
        subprocess.Popen(["cat"], stdin=master, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL),
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=slave, bufsize=0, env={**os.environ, **KIND}) as view,
    ):
        os.close(master)
        os.close(slave)  # so that the reader ends with the view
        assert view.stdin is not None
        os.set_blocking(view.stdin.fileno(), False)
        pipe = view.stdin
        yield lambda snapshot: pipe.write(snapshot) == len(snapshot)


def seen(name: str) -> Section:
    inbox: Inbox = queue.SimpleQueue()
    engine = Engine(weights.network(weights.read(name)), Settings().musicianship(1))
    outlet = ThreadOutlet(lambda message: None, inbox.put)
    tallies = [Tally(), Tally()]
    with _view() as put:
        onlooker = Onlooker(engine, lambda: loop.tally, lambda: (), put)

        def show(now: int) -> int | None:
            return onlooker.show(now) if loop.tally is tallies[SEEN] else None

        loop = Loop(engine, inbox, outlet, 2, [onlooker.take], shows=[show])

        def play() -> None:
            for turn in range(TURNS):
                loop.tally = tallies[turn % 2]
                for note in range(NOTES):
                    inbox.put(NoteOn(now_ns(), PITCHES[note % len(PITCHES)], 80))
                    time.sleep(SPACING_S * 0.6)
                    inbox.put(NoteOff(now_ns(), PITCHES[note % len(PITCHES)]))
                    time.sleep(SPACING_S * 0.4)
                time.sleep(ANSWER_S)
            inbox.put(Quit())

        player = threading.Thread(target=play)
        player.start()
        be_prompt()
        loop.run()
        player.join()
    plain, drawn = (tally.steps.percentile_ms(0.99) for tally in tallies)
    yield Figure(f"a step of the engine without it, p99 of {tallies[PLAIN].steps.count}", plain, "ms")
    yield Figure(f"with it, p99 of {tallies[SEEN].steps.count}", drawn, "ms")
    yield Figure("with it over without it", drawn / plain, "x", 1.2)
