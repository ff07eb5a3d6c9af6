"""Every figure this machine gives, each with its target: `make bench`, or `python -m tests.bench [--json FILE]`.

Nothing else should run meanwhile. Notochord is a peer to compare with; it wants an environment of its own:

    python3 -m venv ~/notochord && ~/notochord/bin/pip install torch==2.13.0 notochord
    NOTOCHORD_PYTHON=~/notochord/bin/python make bench
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from improv import doctor
from improv.errors import BadInput
from improv.live.tally import percentile
from improv.midi.log import Log, Step
from improv.music.events import NoteOn
from improv.net import codec, weights
from improv.net.memory import NO_RUNS, Memory, mixed
from improv.net.stepper import GRAPHS, Stepper
from tests import bench_duet, bench_knobs, bench_time, bench_view, jack
from tests.figures import Figure, Section, both
from tests.jack import Daemon, Env, Phrase, Player, loads
from tests.observer import Stamped, sound

WEIGHTS = "open"  # the shipped ones: the figures are about them
ROUNDS = 6  # what is compared takes turns, so that both meet the same weather
EVENTS = 200  # a round
FULL = 5000  # events that fill the memory
PLAYED = {"a lick of eight": (60, 64, 67, 66, 62, 69, 71, 65), "one note": (60,)}  # again and again
PEER_EVENTS = 40
STARTS = 7
REST_S = 10.0
EIGHTHS_S, SIXTEENTHS_S = 0.25, 0.1
PHRASES, DECISIONS = 20, 40
YIELDS = 200
ENTRY_S = 0.06  # between the notes of the phrase that breaks in
FIRST_S, LAST_S = 0.02, 0.35  # of an answer, when it does
CHORDS = (), (55,), (48, 55, 64)  # beside its first note
SILENCE_S = 0.3  # after which a phrase is over, where the decision itself is measured
LOOP_MESSAGES = 200  # a round
SETTLE_S = 0.1
LOST_S = 3.0  # what has not come back by then is lost
TURN_CC = 67
PRESS: Phrase = [(0.0, (0xB0, TURN_CC, 127)), (0.0, (0xB0, TURN_CC, 0))]
LISTEN = ("--virtual", "--api", "jack", "--turn-cc", str(TURN_CC))
INSTALL = "python3 -m venv ~/notochord && ~/notochord/bin/pip install torch==2.13.0 notochord"

# Echoes what it hears from the driver's callback: the transport, and nothing else.
ECHO = """
import rtmidi, sys
source = rtmidi.MidiIn(rtmidi.API_UNIX_JACK, name="echo-in")
sink = rtmidi.MidiOut(rtmidi.API_UNIX_JACK, name="echo-out")
source.set_callback(lambda event, _: sink.send_message(event[0]))
sink.open_virtual_port("echo out")
source.open_virtual_port("echo in")
sys.stdin.read()
"""

# One event as its own improviser plays it: told what happened, asked what is next. One line in, one out.
PEER = """
import json, sys, time
import torch
from notochord import Notochord
torch.set_num_threads(1)
peer = Notochord().eval()
peer.reset()
print("ready", flush=True)
for line in sys.stdin:
    times = []
    for _ in range(int(line)):
        began = time.perf_counter()
        with torch.inference_mode():
            peer.feed(1, 60, 0.1, 80)
            peer.query()
        times.append((time.perf_counter() - began) * 1e3)
    print(json.dumps(times), flush=True)
"""


# One event


def bare_ms(interpreters: list[Interpreter], events: int) -> list[float]:
    """Nothing but the invokes of one note-on."""
    times = []
    for _ in range(events):
        began = time.perf_counter()
        for interpreter in interpreters:
            interpreter.invoke()
        times.append((time.perf_counter() - began) * 1e3)
    return times


def _interpreters(folder: Path) -> list[Interpreter]:
    found = [Interpreter(model_path=str(folder / f"{graph}.tflite"), num_threads=1) for graph in GRAPHS]
    for interpreter in found:
        interpreter.allocate_tensors()
        for tensor in interpreter.get_input_details():  # what stands there otherwise may be no number of a table
            interpreter.set_tensor(tensor["index"], np.zeros(tensor["shape"], tensor["dtype"]))
    return found


@contextlib.contextmanager
def _one_core() -> Iterator[None]:
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def _peer() -> Iterator[Callable[[int], list[float]] | None]:
    """Notochord in its own interpreter, where there is one."""
    python = os.environ.get("NOTOCHORD_PYTHON")
    if not python:
        print(f"  Notochord is left out: NOTOCHORD_PYTHON names no interpreter that has it ({INSTALL})", flush=True)
        yield None
        return
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [python, "-c", PEER], stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, bufsize=1
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        stdin, stdout = process.stdin, process.stdout
        if stdout.readline() != "ready\n":
            print(f"  Notochord is left out: {python} does not have it ({INSTALL})", flush=True)
            yield None
            return

        def measure(events: int) -> list[float]:
            stdin.write(f"{events}\n")
            times: list[float] = json.loads(stdout.readline())
            return times

        yield measure


def memory_ms(pitches: Sequence[int], events: int) -> list[float]:
    """What the memory adds to an event: where the last ones were played before, and what follows. It is full."""
    memory, runs, last = Memory(1.0), NO_RUNS, codec.Token(0, pitches[0], 16)
    dts, whats = (np.zeros(classes, np.float32) for classes in (codec.DTS, codec.WHATS))
    choices, times = np.arange(codec.DTS), []
    for i in range(FULL + events):
        token = codec.Token(last.tick + 6, pitches[i // 2 % len(pitches)] + i % 2 * codec.OFF, 16)
        began = time.perf_counter()
        mixed(dts, choices, memory.when(runs))
        mixed(whats, choices, memory.which(runs, last))
        runs, last = memory.follow(runs, last, token), token
        times.append((time.perf_counter() - began) * 1e3)
        runs = memory.keep(runs, token)
    return times[FULL:]


def remembering() -> Section:
    with _one_core():
        for said, pitches in PLAYED.items():
            took = percentile(memory_ms(pitches, EVENTS), 0.5)
            yield Figure(f"the memory, an event, {said}, median", took, "ms", 0.1)


def one_event(name: str) -> Section:
    folder = weights.find(name)
    with _one_core(), _peer() as peer:
        net, interpreters = Stepper(folder), _interpreters(folder)
        whole: list[float] = []
        bare: list[float] = []
        theirs: list[float] = []
        for number in range(ROUNDS + 1):
            if number == 1:  # the first round only warms
                whole, bare, theirs = [], [], []
            whole += doctor.event_ms(net, EVENTS)
            bare += bare_ms(interpreters, EVENTS)
            theirs += peer(PEER_EVENTS) if peer is not None else []
    median = percentile(whole, 0.5)
    yield Figure("one event, median", median, "ms", 0.18)
    yield Figure("one event, p99", percentile(whole, 0.99), "ms")
    yield Figure("the LiteRT invokes it is made of, median", percentile(bare, 0.5), "ms")
    yield Figure("one event over its bare invokes", median / percentile(bare, 0.5), "x", 2.0)
    if theirs:
        yield Figure("Notochord's feed + query, random weights, median", percentile(theirs, 0.5), "ms")
        yield Figure("Notochord over one event", percentile(theirs, 0.5) / median, "x")


# The daemon at rest


class Echo(NamedTuple):
    """A player and the process that echoes it."""

    player: Player
    partner: int


@contextlib.contextmanager
def _echo(env: Env) -> Iterator[Echo]:
    command = [sys.executable, "-c", ECHO]
    with (
        subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as partner,
        Player(env, "--to", "echo in", "--from", "echo out") as player,
    ):
        yield Echo(player, partner.pid)


def start_up(env: Env) -> Section:
    times = []
    for _ in range(STARTS + 1):
        with Daemon(env, *LISTEN) as daemon:
            times.append(daemon.start_up_s)
    yield Figure(f"process start to `listening`, median of {STARTS}", percentile(times[1:], 0.5), "s", 0.8)


def footprint(env: Env) -> Section:
    """Memory after an answer, and the load while nothing is played; child processes included.

    Each process that opens JACK holds JACK's own shared memory locked, and is woken each period: that much
    is the transport's, and stands beside.
    """
    with Daemon(env, *LISTEN) as daemon, Player(env) as player, _echo(env) as echo:
        player.play(even_line(6, EIGHTHS_S))
        player.wait_for_notes(2, 3)
        player.wait_for_quiet(2.5, 20.0)
        ours = (daemon.process.pid, *jack.children(daemon.process.pid))
        shared, whole = (sum(jack.resident_kb(pid, key) for pid in ours) / 1024 for key in ("RssShmem", "VmRSS"))
        yield Figure("resident memory (VmRSS)", whole, "MB")
        yield Figure("of that, JACK's own shared memory", shared, "MB")
        yield Figure("resident memory without it", whole - shared, "MB", 120)
        yield Figure("resident memory, shared pages counted in shares (PSS)", _shares(ours), "MB", 120)
        own, driver = loads(ours, REST_S)
        yield Figure(f"CPU at rest over {REST_S:.0f} s, improv's own threads", 100 * own, "%", 1.0)
        yield Figure("CPU at rest, the driver's threads (JACK, 64 frames)", 100 * driver, "%")
        yield Figure("CPU at rest, a program with two bare ports", 100 * sum(loads((echo.partner,), REST_S)), "%")


def _shares(processes: tuple[int, ...]) -> float:
    return sum(map(jack.proportional_kb, processes)) / 1024


# The turn


def even_line(notes: int, spacing_s: float) -> Phrase:
    pitches = (60, 64, 67, 72, 71, 67, 65, 62)
    strokes = [(i * spacing_s, (0x90, pitches[i % 8], 80)) for i in range(notes)]
    lifts = [((i + 0.8) * spacing_s, (0x80, pitches[i % 8], 0)) for i in range(notes)]
    return sorted(strokes + lifts)


def turnarounds_s(player: Player, phrase: Phrase, times: int) -> list[float]:
    """From the last release to the first note that comes back; each answer is stopped after it."""
    found = []
    for _ in range(times):
        ended_ns = player.play(phrase)[-1].time_ns
        first = player.wait_for_notes(2, 1, ended_ns, timeout_s=5.0)
        assert first, "no answer came"
        found.append((first[0].time_ns - ended_ns) / 1e9)
        player.play(PRESS)
        player.wait_for_quiet(SETTLE_S, 3.0)
    return found


def end_of_phrase(env: Env) -> Section:
    with Daemon(env, *LISTEN, "--no-thru") as _, Player(env) as player:
        found = turnarounds_s(player, even_line(6, EIGHTHS_S), PHRASES)
    name = "even eighths at 120 bpm, last release to first note"
    yield Figure(f"{name}, least", min(found), "s", least=0.25)
    yield Figure(f"{name}, median", percentile(found, 0.5), "s", 0.8, 0.25)
    yield Figure(f"{name}, p99", percentile(found, 0.99), "s", 0.8, 0.25)


def decision(env: Env) -> Section:
    """As the outlet stamps it, and as it is heard from outside: there the silence is fixed, so the moment is known."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "fixed.yaml"
        config.write_text(f"turns: {{shortest_silence_s: {SILENCE_S}, longest_silence_s: {SILENCE_S}}}\n")
        with Daemon(env, *LISTEN, "--no-thru", "--config", str(config)) as daemon, Player(env) as player:
            found = turnarounds_s(player, even_line(5, SIXTEENTHS_S), DECISIONS)
    (said,) = [line for line in daemon.out.lines if line.startswith("took over in")]
    median, _, p99, _ = (float(part.split()[0]) for part in said.removeprefix("took over in ").split(", "))
    yield Figure("end of phrase decided to first note sent, median", median, "ms")
    yield Figure("end of phrase decided to first note sent, p99", p99, "ms", 10.0)
    yield from both("the same heard through JACK", [(took - SILENCE_S) * 1e3 for took in found], "ms")


class Entry(NamedTuple):
    """The player came in: what the machine still did, in ms after his note was sent."""

    sounding: int  # notes of it, when he did
    begun_ms: float  # its last note-on, 0 if there was none
    ended_ms: float  # its last note-off
    left: int  # notes that sound on


def entrance(number: int) -> Phrase:
    """A line, with some a chord at its beginning. Each has a velocity of its own, by which its notes are known."""
    struck = [(0.0, pitch) for pitch in CHORDS[number % len(CHORDS)]]
    struck += [(i * ENTRY_S, pitch) for i, pitch in enumerate((60, 64, 67, 72, 71))]
    strokes = [(at_s, (0x90, pitch, 1 + number % 127)) for at_s, pitch in struck]
    lifts = [(at_s + 0.8 * ENTRY_S, (0x80, pitch, 0)) for at_s, pitch in struck]
    return sorted(strokes + lifts)


def entries(player: Player, times: int) -> list[Entry]:
    """Each phrase of the player's breaks into the answer to the last one."""
    dice, found = random.Random(1), []
    player.play(entrance(0))
    for number in range(1, times + 1):
        asked_ns = player.play(PRESS)[0].time_ns
        first = player.wait_for_notes(2, 1, asked_ns)
        assert first, "no answer came"
        came_ns = first[0].time_ns + round(dice.uniform(FIRST_S, LAST_S) * 1e9)
        came_ns = player.play(entrance(number), came_ns)[0].time_ns
        player.wait(lambda: False, SETTLE_S)  # nothing says that no more comes
        found.append(entry([event for event in player.received if event.time_ns > asked_ns], came_ns))
    return found


def entry(received: list[Stamped], came_ns: int) -> Entry:
    answer = [event for event in received if event.channel == 2]
    after = [event for event in answer if event.time_ns > came_ns]
    begun_ms, ended_ms = (
        max(((event.time_ns - came_ns) / 1e6 for event in after if event.note_on == on), default=0.0)
        for on in (True, False)
    )
    before = answer[: len(answer) - len(after)]
    return Entry(len(sound(before).notes), begun_ms, ended_ms, len(sound(answer).notes))


def heard(folder: Path) -> Counter[tuple[int, int]]:
    """The player's notes by pitch and velocity, as a session was told of them."""
    (path,) = folder.glob("*.log")
    events = (record.heard for record in Log(path).records() if isinstance(record, Step))
    return Counter((event.pitch, event.velocity) for event in events if isinstance(event, NoteOn))


def yielding(env: Env) -> Section:
    with tempfile.TemporaryDirectory() as folder, _echo(env) as echo:
        with Daemon(env, *LISTEN, "--thru", "--record", folder), Player(env) as player:
            bare = loop(echo.player, LOOP_MESSAGES)
            found = entries(player, YIELDS)
        told = heard(Path(folder))
    sent, back = (
        Counter(event.message[1:] for event in events if event.note_on and event.channel == 1)
        for events in (player.sent, player.received)
    )
    begun = [entry.begun_ms for entry in found]
    ended = [entry.ended_ms for entry in found if entry.sounding]
    yield Figure("bare JACK loop, p99", percentile(bare.took_ms, 0.99), "ms")
    yield Figure(f"player's note-on to the last new note, p99 of {YIELDS}", percentile(begun, 0.99), "ms", 10.0)
    yield Figure("to the last new note, the longest", max(begun), "ms")
    yield Figure(f"to the last release, median of {len(ended)} with notes sounding", percentile(ended, 0.5), "ms")
    yield Figure("to the last release, the longest", max(entry.ended_ms for entry in found), "ms", 80.0)
    yield Figure("notes that sound on (busy machine)", sum(entry.left for entry in found), "", 0)
    yield Figure("of the player's notes, came back by thru and not heard", ((back & sent) - told).total(), "", 0)
    yield Figure(f"of {sent.total()}, lost by JACK before that (busy machine)", (sent - told - back).total(), "")


# Thru


class Loop(NamedTuple):
    """Messages that went there and back."""

    took_ms: list[float]
    lost: int


def loop(player: Player, messages: int) -> Loop:
    """There and back, for messages that fall anywhere in the driver's period; each is told from the others."""
    dice, at_s, phrase = random.Random(1), 0.0, []
    for number in range(messages):
        phrase.append((at_s, (0xB0, 1 + number // 128, number % 128)))
        at_s += dice.uniform(0.004, 0.009)
    heard = len(player.received)
    sent = player.play(phrase)
    player.wait(lambda: len(player.received) >= heard + messages, LOST_S)
    back = {event.message: event.time_ns for event in player.received[heard:]}
    took = [(back[event.message] - event.time_ns) / 1e6 for event in sent if event.message in back]
    return Loop(took, messages - len(took))


def thru(env: Env) -> Section:
    bare, ours = Loop([], 0), Loop([], 0)
    with _echo(env) as echo, Daemon(env, *LISTEN, "--thru") as _, Player(env) as player:
        for _ in range(ROUNDS):
            bare, ours = _joined(bare, loop(echo.player, LOOP_MESSAGES)), _joined(ours, loop(player, LOOP_MESSAGES))
    for share, name, most in ((0.5, "median", None), (0.99, "p99", 1.0)):
        transport, whole = percentile(bare.took_ms, share), percentile(ours.took_ms, share)
        yield Figure(f"bare JACK loop at {jack.PERIOD} frames, {name}", transport, "ms")
        yield Figure(f"thru's added delay, {name}", whole - transport, "ms", most)
    yield Figure(f"lost of {ROUNDS * LOOP_MESSAGES} by the bare loop (busy machine)", bare.lost, "")
    yield Figure(f"lost of {ROUNDS * LOOP_MESSAGES} by thru", ours.lost, "", max(0, bare.lost))


def _joined(one: Loop, other: Loop) -> Loop:
    return Loop(one.took_ms + other.took_ms, one.lost + other.lost)


LIVE: tuple[tuple[str, Callable[[Env], Section]], ...] = (
    ("start-up", start_up),
    ("memory and rest", footprint),
    ("the end of a phrase", end_of_phrase),
    ("the decision", decision),
    ("the yield", yielding),
    ("a duet", bench_duet.duet),
    ("thru", thru),
    *bench_time.SECTIONS,
)


def measure() -> Iterator[Figure]:
    """Every figure as it is found, the sections announced. Raises `BadInput` where there are no weights."""
    print(f"one event (weights {WEIGHTS})", flush=True)
    yield from one_event(WEIGHTS)
    yield from remembering()
    print("steering", flush=True)
    yield from bench_knobs.steering(WEIGHTS)
    print("the view", flush=True)
    yield from bench_view.seen(WEIGHTS)
    try:
        with jack.server() as env:
            for title, section in LIVE:
                print(title, flush=True)
                yield from section(env)
    except jack.NoJack as reason:
        print(f"the daemon is not measured: {reason}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description="Prints every figure this machine gives, with its target.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write them for programs as well")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the processes started here end as well
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} cores, load {load:.1f}, Python {sys.version.split()[0]}, NumPy {np.__version__}")
    figures = []
    try:
        for figure in measure():
            print(figure.line(), flush=True)
            figures.append(figure)
    except BadInput as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    if arguments.json is not None:
        found: list[dict[str, Any]] = [{**figure._asdict(), "met": figure.met} for figure in figures]
        arguments.json.write_text(json.dumps({"load": load, "figures": found}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
