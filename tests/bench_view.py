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
from improv.live.tally import percentile
from improv.midi.outlet import ThreadOutlet
from improv.music.events import Heard, NoteOff, NoteOn, Played
from improv.net import weights
from tests.figures import Figure, Section
from tests.terminal import KIND

PITCHES = (60, 64, 67, 72, 71, 67, 65, 62)
NOTES, SPACING_S, ANSWER_S = 16, 0.1, 3.4  # a turn
TURNS = 24
PLAIN, SEEN = range(2)


class Timed(Engine):
    """Each step: how long it took, and how much of that on the processor, where others do not matter."""

    took: list[tuple[float, float]]

    def step(self, now: int, event: Heard | None = None) -> list[Played]:
        began_ns, used_ns = now_ns(), time.thread_time_ns()
        played = super().step(now, event)
        self.took.append(((now_ns() - began_ns) / 1e6, (time.thread_time_ns() - used_ns) / 1e6))
        return played


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
    engine = Timed(weights.network(weights.read(name)), Settings().musicianship(1))
    outlet = ThreadOutlet(lambda message: None, inbox.put)
    took: list[list[tuple[float, float]]] = [[], []]
    with _view() as put:
        onlooker = Onlooker(engine, lambda: loop.tally, lambda: (), put)

        def show(now: int) -> int | None:
            return onlooker.show(now) if engine.took is took[SEEN] else None

        loop = Loop(engine, inbox, outlet, 2, [onlooker.take], shows=[show])

        def play() -> None:
            for turn in range(TURNS):
                engine.took = took[turn % 2]
                for note in range(NOTES):
                    inbox.put(NoteOn(now_ns(), PITCHES[note % len(PITCHES)], 80))
                    time.sleep(SPACING_S * 0.6)
                    inbox.put(NoteOff(now_ns(), PITCHES[note % len(PITCHES)]))
                    time.sleep(SPACING_S * 0.4)
                time.sleep(ANSWER_S)
            inbox.put(Quit())

        engine.took = took[PLAIN]
        player = threading.Thread(target=play)
        player.start()
        be_prompt()
        loop.run()
        player.join()
    for number, name in enumerate(("", ", on the processor alone")):
        plain, drawn = (percentile([times[number] for times in part], 0.99) for part in took)
        yield Figure(f"a step of the engine without it, p99 of {len(took[PLAIN])}{name}", plain, "ms")
        yield Figure(f"with it, p99 of {len(took[SEEN])}{name}", drawn, "ms")
        yield Figure(f"with it over without it{name}", drawn / plain, "x", 1.2)
