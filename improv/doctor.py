"""Measures this machine: what opens, how late notes are, how long the network takes."""

from __future__ import annotations

import queue
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

from improv.clock import now_ns
from improv.config import Settings
from improv.midi import ports, wire
from improv.midi.outlet import PLAY, Frame, ProcessOutlet, Report, Sent, Target, ThreadOutlet
from improv.music.events import NoteOff, NoteOn
from improv.music.timeline import Timeline
from improv.net import weights
from improv.net.codec import OFF, Token
from improv.net.sampler import Sampling
from improv.net.stream import Limits, Net, Reader
from improv.tally import percentile

NOTES = 200
SPACING_NS = 15_000_000
LATENCY_MS, DISPLACEMENT_MS = 10.0, 6.0  # what musicians feel; sources in docs/figures.md
MEASURING_PORT = "improv-doctor"


@dataclass(frozen=True)
class Loopback:
    """Notes sent through a port and heard again. Milliseconds."""

    through: str
    latency_p50: float
    displacement_p99: float  # distance from the median latency
    sent_late_p50: float
    sent_late_p99: float


def loopback(api: str | None) -> Loopback:
    """Send notes through the outlet's process and a real port; on a thread where no MIDI system opens."""
    arrived: queue.SimpleQueue[int] = queue.SimpleQueue()
    late: list[int] = []

    def report(report: Report) -> None:
        if isinstance(report, Sent):
            late.append(report.sent_ns - report.due_ns)

    def heard(message: bytes) -> None:
        if isinstance(wire.meaning(message, 0), NoteOn):
            arrived.put(now_ns())

    if api is None:
        dues = _send_notes(ThreadOutlet(heard, report))
    else:
        source = ports.Input(api, None, heard, MEASURING_PORT)
        try:
            name = ports.match(MEASURING_PORT, ports.choose(api).outputs, {}, "output")
            outlet = ProcessOutlet(Target(api, name), report, lambda: None)
            outlet.wait_until_ready()
            dues = _send_notes(outlet)
        finally:
            source.close()
    latency = [(arrived.get_nowait() - due) / 1e6 for due in dues[: arrived.qsize()]]  # in order: none overtakes
    middle = percentile(latency, 0.5)
    away = [abs(value - middle) for value in latency]
    p50, p99 = (percentile(late, share) / 1e6 for share in (0.5, 0.99))
    return Loopback(api or "a thread, no MIDI system", middle, percentile(away, 0.99), p50, p99)


def _send_notes(outlet: ProcessOutlet | ThreadOutlet) -> list[int]:
    """When each note was due."""
    begin_ns = now_ns() + 100_000_000
    dues = [begin_ns + i * SPACING_NS for i in range(NOTES)]
    for due in dues:
        outlet.put(Frame(due, PLAY, wire.spell(NoteOn(due, 60, 64), 1)))
        outlet.put(Frame(due + SPACING_NS // 2, PLAY, wire.spell(NoteOff(due, 60), 1)))
    time.sleep((dues[-1] - now_ns()) / 1e9 + 0.2)
    outlet.close()
    return dues


def event_ms(net: Net, events: int = 500) -> list[float]:
    """The time of each event as the engine plays it: drawn, with its constraints, and fed back."""
    reader = Reader(net, Sampling(0.95, 0.95))
    timeline = Timeline()
    stream = reader.feed(None, Token(0, 60, 16), timeline)
    times = []
    for _ in range(events):
        # The most that is asked of an event: a note-on wherever one fits, so that a velocity is drawn too.
        crowded = stream.held.sum() >= 6
        began = time.perf_counter()
        token = reader.draw(stream, Limits(0, 96, on=not crowded), timeline)
        stream = reader.feed(stream, token, timeline)
        if token.what < OFF:
            times.append((time.perf_counter() - began) * 1e3)  # a note-off takes less: it has no velocity
    return times


def start_up_s(settings: Settings) -> float | None:
    """From process start to the line `listening`, with virtual ports."""
    command = [sys.executable, "-m", "improv", "listen", "--virtual", "--weights", settings.weights]
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
    loop = loopback(api)
    steps = event_ms(net)
    return {
        "apis": [system.api for system in systems],
        "loopback": asdict(loop),
        "weights": card.name,
        "event_ms_p50": percentile(steps, 0.5),
        "event_ms_p99": percentile(steps, 0.99),
        "start_up_s": start_up_s(settings) if api else None,
        "latency_ok": loop.latency_p50 <= LATENCY_MS if api else None,  # a thread is no port
        "displacement_ok": loop.displacement_p99 <= DISPLACEMENT_MS if api else None,
    }


def lines(found: dict[str, Any]) -> list[str]:
    """The findings in words."""
    loop = found["loopback"]

    def verdict(good: bool | None) -> str:
        return {True: "pass", False: "FAIL", None: "not measured through a port"}[good]

    start_up_s = found["start_up_s"]
    start_up = "not measured: no MIDI system opens" if start_up_s is None else f"{start_up_s:.2f} s"
    return [
        f"MIDI systems that open: {', '.join(found['apis']) or 'none (improv demo and render work without one)'}",
        f"latency       {loop['latency_p50']:.2f} ms p50 through {loop['through']}   "
        f"{verdict(found['latency_ok'])} (10 ms is felt)",
        f"displacement  {loop['displacement_p99']:.2f} ms p99 from the median   "
        f"{verdict(found['displacement_ok'])} (6 ms is heard)",
        f"sent late by  {loop['sent_late_p50']:.3f} ms p50, {loop['sent_late_p99']:.3f} ms p99",
        f"one event     {found['event_ms_p50']:.3f} ms p50, {found['event_ms_p99']:.3f} ms p99 "
        f"(weights {found['weights']})",
        f"start-up      {start_up}",
    ]


def passes(found: dict[str, Any]) -> bool:
    return found["latency_ok"] is not False and found["displacement_ok"] is not False
