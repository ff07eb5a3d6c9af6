"""Measures this machine: what opens, how late notes are, how long the network takes."""

from __future__ import annotations

import contextlib
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from improv import child
from improv.clock import now_ns
from improv.config import Settings
from improv.engine import Engine
from improv.live.loop import Inbox, Loop, Quit, be_prompt
from improv.live.tally import Histogram, Tally, percentile
from improv.midi import ports, wire
from improv.midi.frames import PLAY, TURN, Frame, Report, Sent
from improv.midi.outlet import ProcessOutlet, Target, ThreadOutlet
from improv.music.events import NoteOff, NoteOn
from improv.music.musicianship import Musicianship
from improv.music.steering import Steering
from improv.music.timeline import Timeline
from improv.music.turns import TurnRules
from improv.net import weights
from improv.net.codec import OFF, Token
from improv.net.stream import Limits, Net, Reader

NOTES = 200
SPACING_NS = 15_000_000
AHEAD_NS = 50_000_000  # notes are given to the outlet so long before they are due
PHRASES = 24
PHRASE = (60, 64, 67)
KEY_S = 0.06  # from one note of a phrase to the next: no chord
HASTY = TurnRules(shortest_silence_s=0.1, longest_silence_s=0.1)  # many phrases in little time
ANSWER_S = 0.1  # of each is played
PLAYING_CHANNEL = 1
LATENCY_MS, DISPLACEMENT_MS, TAKE_OVER_MS = 10.0, 6.0, 10.0  # what musicians feel; sources in docs/figures.md
MEASURING_PORT = "improv-doctor"
NOTES_A_PIECE = 20  # of the progress bar
PIECES = NOTES // NOTES_A_PIECE + PHRASES

Advance = Callable[[], None]


@dataclass(frozen=True)
class Loopback:
    """Notes sent through a port and heard again. Milliseconds."""

    through: str
    latency_p50: float
    displacement_p99: float  # distance from the median latency
    sent_late_p50: float
    sent_late_p95: float
    sent_late_p99: float
    sent_late_max: float


def loopback(api: str | None, advance: Advance = lambda: None) -> Loopback:
    """Send notes through the outlet's process and a real port; on a thread where no MIDI system opens."""
    arrived: dict[bytes, int] = {}
    sent: dict[bytes, int] = {}

    def report(report: Report) -> None:
        if isinstance(report, Sent):
            sent[report.message] = report.sent_ns

    def heard(message: bytes) -> None:
        arrived[message] = now_ns()

    with _outlet(api, heard, report) as outlet:
        dues = _send_notes(outlet, advance)
    latency = [(arrived[note] - due) / 1e6 for note, due in dues.items() if note in arrived]
    middle = percentile(latency, 0.5)
    away = [abs(value - middle) for value in latency]
    late = Histogram()
    for note in dues.keys() & sent.keys():
        late.add(sent[note] - dues[note])
    through = api or "a thread, no MIDI system"
    return Loopback(through, middle, percentile(away, 0.99), **_spread("sent_late", late))


@contextlib.contextmanager
def _outlet(
    api: str | None, heard: Callable[[bytes], None], report: Callable[[Report], None]
) -> Iterator[ProcessOutlet | ThreadOutlet]:
    """An outlet that sends to a port of our own, and not to an instrument."""
    with contextlib.ExitStack() as ends:
        outlet: ProcessOutlet | ThreadOutlet
        if api is None:
            outlet = ThreadOutlet(heard, report)
        else:
            source = ports.Input(api, None, heard, MEASURING_PORT)
            ends.callback(source.close)
            name = ports.match(MEASURING_PORT, ports.choose(api).outputs, {}, "output")
            outlet = ProcessOutlet(Target(api, name), report, lambda: None)
            outlet.wait_until_ready()
        ends.callback(outlet.close)
        yield outlet


def _send_notes(outlet: ProcessOutlet | ThreadOutlet, advance: Advance) -> dict[bytes, int]:
    """When each note was due, which no other is like.

    Each is a turn of its own: one that is late must not make the next ones later.
    """
    begin_ns = now_ns() + 2 * AHEAD_NS
    dues: dict[bytes, int] = {}
    for i in range(NOTES):
        due = begin_ns + i * SPACING_NS
        pitch, velocity = 60 + i // 100, 1 + i % 100
        note = wire.spell(NoteOn(due, pitch, velocity), PLAYING_CHANNEL)
        dues[note] = due
        _sleep_until(due - AHEAD_NS)
        outlet.put(Frame(due, TURN))
        outlet.put(Frame(due, PLAY, note))
        off_ns = due + SPACING_NS // 2
        outlet.put(Frame(off_ns, PLAY, wire.spell(NoteOff(off_ns, pitch), PLAYING_CHANNEL)))
        if i % NOTES_A_PIECE == 0:
            advance()
    _sleep_until(begin_ns + NOTES * SPACING_NS + 4 * AHEAD_NS)
    return dues


def _sleep_until(time_ns: int) -> None:
    time.sleep(max(0, time_ns - now_ns()) / 1e9)


def take_overs(net: Net, api: str | None, advance: Advance = lambda: None) -> Tally:
    """Play phrases into a live improviser, which answers through a port of our own."""
    inbox: Inbox = queue.SimpleQueue()
    with _outlet(api, lambda message: None, inbox.put) as outlet:
        loop = Loop(Engine(net, Musicianship(turns=HASTY)), inbox, outlet, PLAYING_CHANNEL)
        player = threading.Thread(target=_play_phrases, args=(inbox, advance), daemon=True)
        player.start()
        loop.run()
    player.join()
    return loop.tally


def _play_phrases(inbox: Inbox, advance: Advance) -> None:
    """Each one breaks off the answer to the one before."""
    try:
        for _ in range(PHRASES):
            advance()
            for pitch in PHRASE:
                inbox.put(NoteOn(now_ns(), pitch, 80))
                time.sleep(KEY_S / 2)
                inbox.put(NoteOff(now_ns(), pitch))
                time.sleep(KEY_S / 2)
            time.sleep(HASTY.longest_silence_s + ANSWER_S)
    finally:
        inbox.put(Quit())


def event_ms(net: Net, events: int = 500) -> list[float]:
    """The time of each event as the engine plays it: drawn, with its constraints, and fed back."""
    reader = Reader(net, Steering(memory=0.0))  # which is measured by itself
    timeline = Timeline()
    stream = reader.feed(reader.start(0, timeline), Token(0, 60, 16), timeline, own=True)
    times = []
    for _ in range(events):
        # The most that is asked of an event: a note-on wherever one fits, so that a velocity is drawn too.
        crowded = stream.held.sum() >= 6
        began = time.perf_counter()
        token = reader.draw(stream, Limits(0, 96, on=not crowded), timeline)
        stream = reader.feed(stream, token, timeline, own=True)
        if token.what < OFF:
            times.append((time.perf_counter() - began) * 1e3)  # a note-off takes less: it has no velocity
    return times


def start_up_s(settings: Settings) -> float | None:
    """From process start to the line `listening`, with virtual ports."""
    command = child.command("improv", "listen", "--virtual", "--weights", settings.weights)
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        line = next((line for line in process.stdout if line.startswith("listening")), None)
        took = time.perf_counter() - began
        process.terminate()
    return took if line else None


def examine(settings: Settings) -> dict[str, Any]:
    """Every figure and whether it passes (None: not measured). Raises `BadInput`."""
    systems = ports.survey()
    card, net = weights.load(settings.weights)
    api = systems[0].api if systems and sys.platform != "win32" else None
    be_prompt()
    with _progress() as advance:
        loop = loopback(api, advance)
        tally = take_overs(net, api, advance)
        events = Histogram()
        for took_ms in event_ms(net):
            events.add(round(took_ms * 1e6))
        starts_s = start_up_s(settings) if api else None
    found: dict[str, Any] = {
        "apis": [system.api for system in systems],
        "loopback": asdict(loop),
        "weights": card.name,
        **_spread("take_over_ms", tally.takeovers),
        **_spread("step_ms", tally.steps),
        **_spread("event_ms", events),
        "start_up_s": starts_s,
    }
    verdicts = {
        "latency_ok": loop.latency_p50 <= LATENCY_MS,
        "displacement_ok": loop.displacement_p99 <= DISPLACEMENT_MS,
        "take_over_ok": found["take_over_ms_p95"] <= TAKE_OVER_MS,
    }
    return {**found, **(verdicts if api else dict.fromkeys(verdicts))}  # a thread is no port


def _spread(name: str, times: Histogram) -> dict[str, float]:
    """In milliseconds."""
    shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
    spread = {f"{name}_{share_name}": times.percentile_ms(share) for share_name, share in shares.items()}
    return {**spread, f"{name}_max": times.most_ns / 1e6}


@contextlib.contextmanager
def _progress() -> Iterator[Advance]:
    """A bar, drawn only when a piece is done: one that moves by itself would disturb what is measured."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True, auto_refresh=False) as bar:
        task = bar.add_task("measuring", total=PIECES)
        yield lambda: bar.update(task, advance=1, refresh=True)


def lines(found: dict[str, Any]) -> list[str]:
    """The findings in words."""
    loop = found["loopback"]

    def verdict(good: bool | None) -> str:
        return {True: "pass", False: "FAIL", None: "not measured through a port"}[good]

    def spread(figures: dict[str, Any], name: str) -> str:
        return ", ".join(
            f"{figures[f'{name}_{share}']:.3f} {'ms ' if share == 'p50' else ''}{share}"
            for share in ("p50", "p95", "p99", "max")
        )

    starts_s = found["start_up_s"]
    start_up = "not measured: no MIDI system opens" if starts_s is None else f"{starts_s:.2f} s"
    return [
        f"MIDI systems that open: {', '.join(found['apis']) or 'none (improv demo and render work without one)'}",
        f"latency       {loop['latency_p50']:.2f} ms p50 through {loop['through']}   "
        f"{verdict(found['latency_ok'])} (10 ms is felt)",
        f"displacement  {loop['displacement_p99']:.2f} ms p99 from the median   "
        f"{verdict(found['displacement_ok'])} (6 ms is heard)",
        f"take-over     {spread(found, 'take_over_ms')}   {verdict(found['take_over_ok'])} (p95; 10 ms is felt)",
        f"sent late by  {spread(loop, 'sent_late')}",
        f"a step takes  {spread(found, 'step_ms')}",
        f"one event     {spread(found, 'event_ms')} (weights {found['weights']})",
        f"start-up      {start_up}",
    ]


def passes(found: dict[str, Any]) -> bool:
    return not any(found[verdict] is False for verdict in ("latency_ok", "displacement_ok", "take_over_ok"))
