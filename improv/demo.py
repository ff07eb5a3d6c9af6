"""A first minute without hardware: a bundled phrase is played into the real daemon, which answers."""

from __future__ import annotations

import queue
import secrets
import threading
from collections.abc import Callable
from dataclasses import replace
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from improv import players
from improv.clock import now_ns
from improv.config import Settings
from improv.engine import Engine
from improv.errors import BadInput
from improv.live.loop import Inbox, Loop, be_prompt
from improv.midi import wire
from improv.midi.ears import Ears
from improv.midi.frames import Report, Sent
from improv.midi.outlet import ThreadOutlet
from improv.midi.recorder import Recorder
from improv.music.echo import Echo
from improv.music.events import NoteOff, NoteOn
from improv.music.gate import Gate
from improv.music.hands import Hands
from improv.music.outgoing import Outgoing
from improv.net import weights
from improv.net.weights import Card
from improv.render import Outputs

BPM = 100.0
BEAT_NS = round(60e9 / BPM)
LEAD_NS = 300_000_000
PATIENCE_NS = 60_000_000_000


class Stroke(NamedTuple):
    beat: float
    length: float
    pitch: int
    velocity: int


# Two bars' question in G, hand made for this program.
PHRASE = (
    Stroke(0.00, 1.9, 43, 58), Stroke(0.02, 1.9, 50, 50), Stroke(0.03, 1.9, 59, 52),
    Stroke(0.50, 0.5, 67, 74), Stroke(1.00, 0.5, 71, 80), Stroke(1.52, 0.5, 74, 84),
    Stroke(2.00, 1.9, 40, 60), Stroke(2.02, 1.9, 47, 52), Stroke(2.03, 1.9, 55, 50),
    Stroke(2.50, 0.5, 76, 86), Stroke(3.02, 0.5, 74, 78), Stroke(3.50, 0.5, 71, 72),
    Stroke(4.00, 1.9, 48, 62), Stroke(4.02, 1.9, 52, 52), Stroke(4.03, 1.9, 60, 54),
    Stroke(4.50, 0.5, 67, 76), Stroke(5.00, 0.5, 72, 82), Stroke(5.50, 0.5, 76, 86),
    Stroke(6.00, 1.8, 50, 64), Stroke(6.02, 1.8, 57, 54), Stroke(6.03, 1.8, 60, 54),
    Stroke(6.50, 0.5, 74, 82), Stroke(7.02, 0.7, 69, 74),
)  # fmt: skip


class Player:
    """Plays the phrase into the daemon's ears in real time, on a thread of its own. However busy the computer is, no
    note is left out: it may be late.
    """

    def __init__(self, hear: Callable[[bytes], None], channel: int) -> None:
        self._hear, self._channel = hear, channel
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._play, name="player", daemon=True)
        self._thread.start()

    def _play(self) -> None:
        for event in phrase(now_ns() + LEAD_NS):
            if self._closing.wait((event.time_ns - now_ns()) / 1e9):
                return
            self._hear(wire.spell(event, self._channel))

    def close(self) -> None:
        self._closing.set()
        self._thread.join()


def phrase(begin_ns: int) -> list[NoteOn | NoteOff]:
    """The bundled phrase in order, from a moment on."""
    events: list[NoteOn | NoteOff] = []
    for stroke in PHRASE:
        on_ns = begin_ns + round(stroke.beat * BEAT_NS)
        off_ns = on_ns + round(stroke.length * BEAT_NS)
        events += [NoteOn(on_ns, stroke.pitch, stroke.velocity), NoteOff(off_ns, stroke.pitch)]
    return sorted(events, key=attrgetter("time_ns"))


class Screen:
    """The duet as it happens: one line of notes for each side."""

    NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")

    def __init__(self) -> None:
        self._side = ""

    def note(self, side: str, message: bytes) -> None:
        event = wire.meaning(message, 0)
        if not isinstance(event, NoteOn):
            return
        if side != self._side:
            print(f"\n{side:>11} ", end="")
            self._side = side
        print(f" {self.NAMES[event.pitch % 12]}{event.pitch // 12 - 1}", end="", flush=True)


def outputs(folder: Path) -> Outputs:
    """What it leaves, in a folder that is made if need be. Raises `BadInput`; also where one of them is a link: that
    would be written elsewhere.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"--out {folder}: the folder cannot be made ({error.strerror})") from None
    found = Outputs(*(folder / f"duet.{kind}" for kind in ("mid", "wav", "png")))
    for path in found:
        if path is not None and path.is_symlink():
            raise BadInput(f"{path}: it is a link to another place; remove it, or name another folder with --out")
    return found


def demo(settings: Settings, card: Card, folder: Path) -> None:
    """Leaves duet.mid, duet.wav and duet.png in `folder`. Raises `BadInput`."""
    settings = replace(settings, bpm=BPM)
    seed = settings.random_seed if settings.random_seed is not None else secrets.randbelow(10**9)
    remembered = b"" if settings.player is None else players.read(settings.player)
    engine = Engine(weights.network(card), settings.musicianship(seed), remembered)
    inbox: Inbox = queue.SimpleQueue()
    recorder, screen = Recorder(), Screen()

    def report(report: Report) -> None:
        inbox.put(report)
        if isinstance(report, Sent):
            screen.note("improviser", report.message)

    outlet = ThreadOutlet(lambda message: None, report)  # an in-process port; what it sends is recorded
    loop = Loop(engine, inbox, outlet, settings.channels.output, [recorder.take])
    print(f"A phrase is played into improv at {BPM:.0f} bpm (weights {card.name}); it listens, and answers in time.")
    gate, echo = Gate(lambda text: None), Echo(lambda text: None)
    ears = Ears(inbox.put, loop.forward, gate, echo, Outgoing(), Hands({}, gate), settings.channels.input)

    def hear(message: bytes) -> None:
        ears.hear(message)
        screen.note("player", message)

    be_prompt()
    player = Player(hear, settings.channels.input or 1)
    give_up_ns = now_ns() + PATIENCE_NS
    loop.run(until=lambda: now_ns() > give_up_ns or (engine.answers > 0 and engine.resting))
    player.close()
    if not engine.answers:
        raise BadInput("the phrase was given no answer; look at `turns` and `forget_s` in the settings")
    print("\n")
    print("\n".join(loop.tally.lines()))
    _leave(recorder, folder)


def _leave(recorder: Recorder, folder: Path) -> None:
    from improv.midi.sound import render_wav
    from improv.plot import piano_roll

    midi, wav, png = (folder / f"duet.{kind}" for kind in ("mid", "wav", "png"))
    recorder.write(midi)
    print(f"{midi}: both parts, as MIDI")
    print(f"{wav}: sound by {render_wav(midi, wav)}")
    player, improviser = recorder.parts()
    piano_roll(player, improviser, png)
    print(f"{png}: piano roll")
