"""Half an hour on real ports: nothing drifts, grows or stays sounding (`make soak`, or `python -m tests.soak`).

python -m tests.soak --trade 1 --session 1 --cycles 20    # minutes, minutes and times
"""

from __future__ import annotations

import argparse
import random
import signal
import statistics
import sys
import tempfile
import time
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from improv.live.tally import percentile
from tests import jack
from tests.bench_time import BPM, DRUMS, LISTEN, TRADE, Onset, fitted, trade
from tests.cycles import ENDS, Cycle, cycles
from tests.figures import Figure, Section, both, spread
from tests.jack import Daemon, Master, Phrase, Player, children, resident_kb, threads
from tests.observer import Stamped

TRADE_MINUTES, SESSION_MINUTES, CYCLES = 10, 6, 1000
ROUNDS = 15  # of a bar each way make a minute
STANDS = 4  # where cycles go on side by side
PLAYER, MACHINE = 1, 2  # channels
KEYS, SYNTH = ("--virtual", "--to", "Stage Piano"), ("--from", "Warm Synth")
MS = 1_000_000
MINUTE_NS = 60_000 * MS


class Footprint(NamedTuple):
    """Of the program's processes, all together."""

    resident_kb: int
    descriptors: int
    threads: int
    processes: int

    @classmethod
    def of(cls, daemon: Daemon) -> Footprint:
        pids = [daemon.process.pid, *children(daemon.process.pid)]
        descriptors = sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in pids)
        return cls(sum(map(resident_kb, pids)), descriptors, len(threads(pids)), len(pids))

    def line(self) -> str:
        return f"{self.resident_kb / 1e3:.1f} MB, {self.descriptors} descriptors, {self.threads} threads"


def growth(looks: Sequence[Footprint]) -> Section:
    """From the end of the first minute on."""
    first = looks[0]
    for name in ("descriptors", "threads", "processes"):
        most = max(getattr(look, name) - getattr(first, name) for look in looks)
        yield Figure(f"{name}: more than at first, most", most, "", 0)
    yield Figure("resident memory: more than at first", (looks[-1].resident_kb - first.resident_kb) / 1e3, "MB", 5.0)


# Traded bars


def traded(minutes: int) -> Section:
    """With a clock master; another one gives the clock meanwhile."""
    onsets: list[Onset] = []
    looks: list[Footprint] = []
    with (
        jack.server() as env,
        Master(env, *DRUMS) as master,
        Daemon(env, *TRADE) as daemon,
        Player(env) as player,
        Daemon(env, *LISTEN, "--clock-out", "--bpm", str(BPM)),
        Player(env, "--from", "improv-out-[0-9]+:improv out") as slave,
    ):
        master.start(BPM)
        for minute in range(1, minutes + 1):
            new = trade(player, master, ROUNDS)
            onsets += new
            looks.append(Footprint.of(daemon))
            offs = [onset.off_ms for onset in new]
            middle = statistics.median(offs)
            said = f"median {middle:.2f} ms after the grid, p99 {spread(offs):.2f} ms from that"
            print(f"  minute {minute:2} of {minutes}: {len(new)} notes, {said}; {looks[-1].line()}", flush=True)
        daemon.signal(signal.SIGTERM)
        daemon.wait()
        print("\n".join(f"  | {line}" for line in daemon.out.lines[1:]), flush=True)
    slope = statistics.linear_regression([o.time_ns / 6e10 for o in onsets], [o.off_ms for o in onsets]).slope
    yield Figure(f"answers against the master's grid: drift, {len(onsets)} notes", slope, "ms/min", 0.1, -0.1)
    heard = fitted(slave.received)
    yield Figure("clock out: tempo's error", 100 * abs(heard.bpm / BPM - 1), "%", 0.01)
    yield from both("clock out: ticks from a straight line", [abs(off) for off in heard.off_ms], "ms")
    yield from growth(looks)


# A long session


def phrase(dice: random.Random) -> Phrase:
    """A fast line with chords; some with the pedal."""
    spacing_s, at = dice.uniform(0.06, 0.2), 0.0
    events: list[tuple[float, tuple[int, ...]]] = []
    for _ in range(dice.randrange(6, 40)):
        for pitch in dice.sample(range(40, 80), dice.choice((1, 1, 1, 3))):
            events += [(at, (0x90, pitch, dice.randrange(30, 110))), (at + 0.8 * spacing_s, (0x80, pitch, 0))]
        at += spacing_s
    if dice.random() < 0.3:
        events += [(0.01, (0xB0, 64, 127)), (at, (0xB0, 64, 0))]
    return sorted(events)


def thru_ms(sent: Sequence[Stamped], received: Sequence[Stamped]) -> list[float]:
    """How long each note-on of the player's took until it was heard at the other end."""
    ahead: dict[int, deque[int]] = defaultdict(deque)
    for event in received:
        if event.note_on and event.channel == PLAYER:
            ahead[event.message[1]].append(event.time_ns)
    took = []
    for event in sent:
        times = ahead[event.message[1]] if event.note_on else deque()
        while times and times[0] < event.time_ns:
            times.popleft()
        if times and times[0] - event.time_ns < 100 * MS:  # the others were lost on the way
            took.append((times.popleft() - event.time_ns) / MS)
    return took


def session(minutes: int) -> Section:
    """Free playing with thru, recorded; the player often comes in before the answer has ended."""
    dice, looks, latencies = random.Random(1), list[Footprint](), list[float]()
    ports = ("--in", "stage piano", "--out", "warm synth", "--thru", "--api", "jack")
    with (
        tempfile.TemporaryDirectory() as folder,
        jack.server() as env,
        Player(env, *KEYS, *SYNTH) as player,
        Daemon(env, *ports, "--record", folder) as daemon,
    ):
        for minute in range(1, minutes + 1):
            until_ns = time.perf_counter_ns() + MINUTE_NS
            heard, played = len(player.received), len(player.sent)
            while time.perf_counter_ns() < until_ns:
                player.play(phrase(dice))
                player.wait(lambda: False, dice.uniform(0.3, 4.0))
            looks.append(Footprint.of(daemon))
            took = thru_ms(player.sent[played:], player.received[heard:])
            latencies.append(percentile(took, 0.99))
            said = f"{len(took)} notes passed on, p99 {latencies[-1]:.2f} ms"
            print(f"  minute {minute:2} of {minutes}: {said}; {looks[-1].line()}", flush=True)
        daemon.signal(signal.SIGTERM)
        daemon.wait()
        print("\n".join(f"  | {line}" for line in daemon.out.lines[1:]), flush=True)
        player.wait_for_quiet(0.3, 2.0)
        notes, pedals = player.sound()
    slope = statistics.linear_regression(range(len(latencies)), latencies).slope if minutes > 1 else 0.0
    yield Figure("thru, p99 of a minute: median", percentile(latencies, 0.5), "ms")
    yield Figure("thru, p99 of a minute: drift", slope, "ms/min", 0.1)
    yield from growth(looks)
    yield Figure("notes and pedals left sounding", len(notes) + len(pedals), "", 0)


# Started, played and ended


def ended(count: int) -> Section:
    done: list[Cycle] = []
    with jack.server(jack.LONG_PERIOD) as env:
        for cycle in cycles(env, count, STANDS, seed=1):
            done.append(cycle)
            if not cycle.clean:
                print(f"  {cycle}", flush=True)
            if len(done) % 50 == 0:
                print(f"  {len(done)} of {count}", flush=True)
    yield Figure("times started and ended, in the midst of an answer", sum(c.answered > 0 for c in done), "")
    yield Figure("notes and pedals left sounding", sum(map(len, (s for c in done for s in c.sounding))), "", 0)
    yield Figure("processes left behind", sum(cycle.orphans for cycle in done), "", 0)
    yield Figure("ends that were not clean", sum(not cycle.clean for cycle in done), "", 0)
    for end in ENDS:
        silent_ms = [1e3 * cycle.silent_s for cycle in done if cycle.end == end]
        yield from both(f"{end}: silent after", silent_ms, "ms")


def measure(trade_minutes: int, session_minutes: int, count: int) -> Iterator[Figure]:
    """Every figure as it is found, the sections announced. Raises NoJack."""
    print(f"{trade_minutes} minutes of traded bars at {BPM} bpm", flush=True)
    yield from traded(trade_minutes)
    print(f"{session_minutes} minutes of free playing", flush=True)
    yield from session(session_minutes)
    print(f"started, played and ended {count} times", flush=True)
    yield from ended(count)


def main() -> int:
    parser = argparse.ArgumentParser(description="Half an hour on real ports; nothing else should run.")
    parser.add_argument("--trade", type=int, default=TRADE_MINUTES, metavar="MINUTES")
    parser.add_argument("--session", type=int, default=SESSION_MINUTES, metavar="MINUTES")
    parser.add_argument("--cycles", type=int, default=CYCLES, metavar="TIMES")
    arguments = parser.parse_args()
    if min(vars(arguments).values()) < 1:
        parser.error("each wants at least one")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the processes started here end as well
    figures = []
    try:
        for figure in measure(arguments.trade, arguments.session, arguments.cycles):
            print(figure.line(), flush=True)
            figures.append(figure)
    except jack.NoJack as reason:
        print(f"soak: {reason}", file=sys.stderr)
        return 2
    return 0 if all(figure.met is not False for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
