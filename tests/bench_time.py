"""How well the beat is kept: sections of `make bench`."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from improv import doctor
from improv.live.tally import percentile
from improv.midi.desk import Duties
from improv.midi.frames import BEAT, Frame, pack_frame, retime_frame
from improv.midi.outlet import Target
from improv.music.events import Retime
from improv.music.follower import Follower
from improv.music.timeline import Timeline
from tests import clocks, jack
from tests.figures import Figure, Section, both, busy, spread
from tests.jack import PPQN, Daemon, Env, Master, Phrase, Player
from tests.observer import Stamped

MACHINE = 2  # its channel
BPM, BAR_BEATS = 120, 4
GRID_BEATS = 0.25
TICK, START = 0xF8, 0xFA
MS = 1_000_000
FIRST_ROUNDS, ROUNDS = 5, 12  # of a bar each way
SHORT_PERIOD = 16  # frames: where the transport is to count for little
TICKS_S = 15.0
WEATHERS = 3  # what is compared takes turns, so that both meet the same weather
NOTES = 200
POLL_S = 0.005
REST_S = 10.0
SEEDS = 200
LOCKED_MS = 5.0

DRUMS = ("--virtual", "--to", "Drum Machine")
LISTEN = ("--virtual", "--api", "jack", "--no-thru")
SLAVE = (*LISTEN, "--clock", "midi", "--clock-in", "drum machine")
TRADE = (*SLAVE, "--mode", "trade", "--bars", "1", "--quantize", "1")

# The outlet's own process, with a sink in place of a port that keeps when it was given what.
PROBE = """
import json, sys, time
from pathlib import Path
from improv.midi import outlet

class Sink:
    def __init__(self):
        self.stamps = []
    def send(self, message):
        self.stamps.append((time.perf_counter_ns(), message[0]))
    def close(self):
        Path(sys.argv[2]).write_text(json.dumps(self.stamps))

outlet._open = lambda target: Sink()
outlet.main()
"""


# Answers on the grid


class Onset(NamedTuple):
    """A note of an answer, and how long after the nearest line of the master's grid it was heard."""

    time_ns: int
    off_ms: float


def bar_of_sixteenths(at_s: float) -> Phrase:
    pitches, spacing_s = (60, 64, 67, 72, 71, 67, 65, 62), GRID_BEATS * 60 / BPM
    strokes = [(at_s + n * spacing_s, (0x90, pitches[n % 8], 80)) for n in range(16)]
    lifts = [(at_s + (n + 0.8) * spacing_s, (0x80, pitches[n % 8], 0)) for n in range(16)]
    return sorted(strokes + lifts)


def trade(player: Player, master: Master, rounds: int) -> list[Onset]:
    """Play a bar, hear a bar, again and again."""
    bar_s, bar = BAR_BEATS * 60 / BPM, master.next_bar()
    phrase = [event for n in range(rounds) for event in bar_of_sixteenths(2 * n * bar_s)]
    begun_ns = player.play(phrase, master.time_ns(bar))[0].time_ns
    master.wait_for(bar + 2 * rounds * BAR_BEATS)
    return [Onset(note.time_ns, off_line_ms(master, note, GRID_BEATS)) for note in player.notes(MACHINE, begun_ns)]


def off_line_ms(master: Master, event: Stamped, lines: float) -> float:
    beat = master.beat(event.time_ns)
    return (beat - round(beat / lines) * lines) * 60e3 / BPM


def transport_ms(player: Player, master: Master) -> list[float]:
    """How long the ticks took from one to the other."""
    ticks = [event for event in player.received if event.message[0] == TICK]
    return [master.beat(event.time_ns) * PPQN % 1 / PPQN * 60e3 / BPM for event in ticks]


def on_the_grid(env: Env) -> Section:
    """The offset is measured first, and then set."""
    with Master(env, *DRUMS) as master, Player(env, "--from", "Drum Machine") as bare:
        with Daemon(env, *TRADE), Player(env) as player:
            master.start(BPM)
            offset_ms = statistics.median(onset.off_ms for onset in trade(player, master, FIRST_ROUNDS))
        yield Figure("answers after the master's grid, median, no offset set", offset_ms, "ms")
        master.tell(stop=1)
        with Daemon(env, *TRADE, "--clock-offset-ms", f"{-offset_ms:.2f}"), Player(env) as player:
            bare.received.clear()
            master.start(BPM)
            offs = [onset.off_ms for onset in trade(player, master, ROUNDS)]
            yield Figure(f"--clock-offset-ms {-offset_ms:.1f} set: median, {len(offs)} notes", statistics.median(offs),
                         "ms", 3.0, -3.0)  # fmt: skip
            yield Figure("answers from their median, p99", spread(offs), "ms", 2.0)
            yield Figure(
                "bare loop, the master's ticks from their median, p99", spread(transport_ms(bare, master)), "ms"
            )
            bare.received.clear()
            with busy():
                offs = [onset.off_ms for onset in trade(player, master, ROUNDS)]
                yield Figure(f"two busy processes: from their median, p99, {len(offs)} notes", spread(offs), "ms", 4.0)
                apart = spread(transport_ms(bare, master))
                yield Figure("two busy processes: bare loop from its median, p99", apart, "ms")


# The outlet


def by_sleeping() -> list[float]:
    """How late a chain of sleeps is, in ms."""
    begun_ns, late = time.perf_counter_ns(), []
    for number in range(1, NOTES + 1):
        time.sleep(doctor.SPACING_NS / 1e9)
        late.append((time.perf_counter_ns() - begun_ns - number * doctor.SPACING_NS) / MS)
    return late


def by_polling() -> list[float]:
    """How late a loop is that looks every 5 ms for what is due, in ms."""
    begun_ns = time.perf_counter_ns()
    dues, late = [begun_ns + number * doctor.SPACING_NS for number in range(1, NOTES + 1)], []
    while len(late) < NOTES:
        time.sleep(POLL_S)
        now = time.perf_counter_ns()
        late += [(now - due) / MS for due in dues[len(late) :] if due <= now]
    return late


def outlet(env: Env) -> Section:
    os.environ.update(env)  # the outlet's process inherits it
    loops, slept, polled = [], [], []
    for _ in range(WEATHERS):
        loops.append(doctor.loopback("jack"))
        slept += by_sleeping()
        polled += by_polling()
    yield Figure("scheduled against sent, median", statistics.median(loop.sent_late_p50 for loop in loops), "ms")
    yield Figure("scheduled against sent, p99", statistics.median(loop.sent_late_p99 for loop in loops), "ms", 0.5)
    yield Figure("one way through the outlet and JACK, median", loops[0].latency_p50, "ms", doctor.LATENCY_MS)
    yield Figure("displacement from that, p99", loops[0].displacement_p99, "ms", doctor.DISPLACEMENT_MS)
    yield Figure("a chain of time.sleep, p99", percentile(slept, 0.99), "ms")
    yield Figure("a 5 ms polling loop, p99", percentile(polled, 0.99), "ms")
    loops, slept, polled = [], [], []
    with busy():
        for _ in range(WEATHERS):
            loops.append(doctor.loopback("jack"))
            slept += by_sleeping()
            polled += by_polling()
    late = statistics.median(loop.sent_late_p99 for loop in loops)
    yield Figure("two busy processes: scheduled against sent, p99", late, "ms", 2.0)
    yield Figure("two busy processes: a chain of time.sleep, p99", percentile(slept, 0.99), "ms")
    yield Figure("two busy processes: a 5 ms polling loop, p99", percentile(polled, 0.99), "ms")


# Clock out


def ticks_late_ms(for_s: float) -> list[float]:
    """How late the outlet's process hands over the ticks of a clock."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "stamps.json"
        target = json.dumps(Target(duties=Duties(clock=True)))
        command = [sys.executable, "-c", PROBE, target, str(path)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process:
            assert process.stdin is not None and process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            now = time.perf_counter_ns()
            line = Timeline(BPM, now + 300 * MS, metric=True)
            process.stdin.write(pack_frame(retime_frame(Retime(now, line, jump=True))))
            while time.perf_counter_ns() < now + for_s * 1e9:
                process.stdin.write(pack_frame(Frame(0, BEAT)))
                time.sleep(0.2)
            process.stdin.close()
            process.wait()
        stamps = json.loads(path.read_text())
    song = stamps[stamps.index(next(stamp for stamp in stamps if stamp[1] == START)) :]
    ticks = [time_ns for time_ns, status in song if status == TICK]
    return [(sent_ns - line.time_ns(number * 2)) / MS for number, sent_ns in enumerate(ticks)]


class Fit(NamedTuple):
    """A straight line through the ticks that were heard."""

    bpm: float
    off_ms: list[float]  # how far each is from it


def fitted(ticks: Sequence[Stamped]) -> Fit:
    times = [event.time_ns for event in ticks if event.message[0] == TICK]
    numbers = _numbered(times)
    slope, first = statistics.linear_regression(numbers, [time_ns - times[0] for time_ns in times])
    off_ms = [(time_ns - times[0] - first - n * slope) / MS for n, time_ns in zip(numbers, times, strict=True)]
    return Fit(60e9 / slope / PPQN, off_ms)


def _numbered(times: Sequence[int]) -> list[int]:
    """Which tick each is: those that came late are still in order, those that were lost leave a gap."""
    period_ns, anchor_ns, numbers = 60e9 / BPM / PPQN, float(times[0]), list[int]()
    for begin in range(0, len(times), 2 * PPQN):
        block = times[begin : begin + 2 * PPQN]
        found = [round((time_ns - anchor_ns) / period_ns) for time_ns in block]
        anchor_ns += statistics.median(t - anchor_ns - n * period_ns for t, n in zip(block, found, strict=True))
        numbers += found
    none_lost = numbers[-1] == len(times) - 1
    return list(range(len(times))) if none_lost else numbers


def clock_out(_: Env) -> Section:
    yield from both("a tick scheduled against sent", ticks_late_ms(TICKS_S), "ms", 0.5)
    with busy():
        yield from both("two busy processes: a tick scheduled against sent", ticks_late_ms(TICKS_S), "ms")
    with (
        jack.server(SHORT_PERIOD) as env,
        Daemon(env, *LISTEN, "--clock-out", "--bpm", str(BPM)),
        Player(env, "--from", "improv out") as player,
        Master(env, *DRUMS) as master,
        Player(env, "--from", "Drum Machine") as bare,
    ):
        master.start(BPM)
        player.wait(lambda: False, TICKS_S)
        theirs, ours = spread(fitted(bare.received).off_ms), spread(fitted(player.received).off_ms)
    yield Figure(f"bare JACK loop at {SHORT_PERIOD} frames, ticks from their median, p99", theirs, "ms")
    yield Figure("clock out beyond that", ours - theirs, "ms", 0.5)


# The follower, on the virtual clock


def errors(take: clocks.Take, period_ns: float = 0.0) -> Iterator[tuple[float, float, float]]:
    """Beat by beat, at each tick: where the song is, how far in ms the follower is from there, and its tempo.

    `period_ns`: the driver tells of a tick only when its period ends.
    """
    follower, line = Follower(), None
    for event in take.events:
        now = event.time_ns if not period_ns else round(-(-event.time_ns // period_ns) * period_ns)
        for said in follower.hear(event._replace(time_ns=now)):
            line = said.timeline if isinstance(said, Retime) else line
        if line is not None and line.metric:
            beat = take.beat(now)
            yield beat, (line.beat(now) - beat) * 60e3 / line.bpm, line.bpm


def locked_beat(take: clocks.Take, from_beat: float = 0.0) -> float:
    """The beats from one on until the phase is right and stays right; a single late tick does not count."""
    found = [(beat, off_ms) for beat, off_ms, _ in errors(take) if beat >= from_beat]
    return max((beat - from_beat for beat, off_ms in found if abs(off_ms) > LOCKED_MS), default=0.0)


def follower(_: Env) -> Section:
    yield from _steady("σ = 1 ms", lambda seed: clocks.played(clocks.steady(BPM, 4), jitter_ms=1.0, seed=seed), 0.0)
    period_ns = 1e9 * jack.LONG_PERIOD / jack.RATE
    name = f"a driver's period of {jack.LONG_PERIOD} frames"
    yield from _steady(
        name, lambda seed: clocks.played(clocks.steady(BPM, 4), from_ns=10**9 + 26_666 * seed), period_ns
    )
    starts = [clocks.played(clocks.steady(BPM, 8), jitter_ms=1.0, seed=seed) for seed in range(SEEDS)]
    yield Figure("Start: locked within, p95", percentile(list(map(locked_beat, starts)), 0.95), "beat", 1.0)
    ramp = clocks.played(clocks.steady(60, 8) + clocks.ramp(60, 180, 16) + clocks.steady(180, 8))
    most = max(abs(off_ms) for beat, off_ms, _ in errors(ramp) if beat > 1)
    yield Figure("ramp 60 to 180 bpm in 16 beats: phase, most", most, "ms", 15.0)
    jumps = [
        clocks.played(clocks.steady(120, 8) + clocks.steady(90, 8), jitter_ms=1.0, seed=seed) for seed in range(SEEDS)
    ]
    found = [locked_beat(take, 8.0) for take in jumps]
    yield Figure("jump 120 to 90 bpm: locked within, p95", percentile(found, 0.95), "beat", 2.0)


def _steady(name: str, take: Callable[[int], clocks.Take], period_ns: float) -> Section:
    tempo, phase = [], []
    for seed in range(SEEDS):
        _, off_ms, bpm = list(errors(take(seed), period_ns))[-1]
        tempo.append(100 * abs(bpm / BPM - 1))
        phase.append(abs(off_ms + period_ns / 2e6))
    target = (0.05, 1.0) if not period_ns else (None, None)
    yield Figure(f"{name}: tempo after 4 beats, p95", percentile(tempo, 0.95), "%", target[0])
    yield Figure(f"{name}: phase after 4 beats, p95", percentile(phase, 0.95), "ms", target[1])


# At rest


def rest(env: Env) -> Section:
    """While a clock runs and nobody plays; the driver's threads are JACK's own, and hear the ticks."""
    for arguments, name in (((), "a clock comes in"), (("--clock-out", "--click"), "and goes out, with a click")):
        with Master(env, *DRUMS) as master, Daemon(env, *SLAVE, *arguments) as daemon, Player(env):
            master.start(BPM)
            master.wait_for(4)
            own, driver = jack.loads((daemon.process.pid, *jack.children(daemon.process.pid)), REST_S)
        yield Figure(f"{name}: CPU, improv's own threads", 100 * own, "%", 3.0)
        yield Figure(f"{name}: CPU, the driver's threads", 100 * driver, "%")


SECTIONS: tuple[tuple[str, Callable[[Env], Section]], ...] = (
    ("the outlet", outlet),
    ("answers on the master's grid", on_the_grid),
    ("clock out", clock_out),
    ("the follower, on the virtual clock", follower),
    ("at rest under a running clock", rest),
)
