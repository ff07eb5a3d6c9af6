"""Whatever comes from outside is heard, or refused in a sentence: `make fuzz` tries a million examples.

Of every example it holds that nothing but the refusals at the door is raised (`BadInput`, `BadMidi`), each one
printable line; that it takes no more than `LONGEST_S` of the processor; that each note that begins also ends; and of
all of them together that they leave no more than `MOST_KB` behind.
"""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import json
import math
import resource
import select
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from hypothesis import HealthCheck, Phase, find, given, seed, settings
from hypothesis import strategies as st

from improv import catalogue, config, door, players, presets, render, replay, shipped, written
from improv.engine import Engine
from improv.errors import BadInput
from improv.midi import ears, files, log, wire
from improv.midi.frames import PANIC, Frame
from improv.midi.recorder import Recorder
from improv.midi.smf import BadMidi
from improv.music import trigger
from improv.music.belts import Belts
from improv.music.echo import Echo
from improv.music.events import InputLost, NoteOn
from improv.music.gate import Gate
from improv.music.hands import Hands
from improv.music.musicianship import Musicianship, Time
from improv.music.outgoing import Outgoing
from improv.music.schedule import is_note_off, is_note_on
from improv.music.timeline import NS, Timeline
from improv.net import codec, graph, memory, weights
from improv.together import check_together
from tests.nets import lively
from tests.stage import Stage, every, played_on

LONGEST_S = 5.0
PATIENCE_S = 30.0  # with a process of its own
MOST_KB = 200_000
AT_ONCE = 1000  # examples with the same dice: hypothesis remembers all of a run
MS = 1_000_000
SHORT = Belts(longest_answer_s=1.0)


class Target(NamedTuple):
    name: str
    share: float  # of all examples
    examples: st.SearchStrategy[Any]
    check: Callable[[Any], None]


@contextlib.contextmanager
def refusals() -> Iterator[None]:
    """What may be raised, and how it is said."""
    try:
        yield
    except (BadInput, BadMidi) as refusal:
        said = str(refusal)
        assert door.is_shown(said) and 0 < len(said) < 1000, ascii(said)


@cache
def scratch() -> Path:
    """A folder for all examples of this process; each one writes its file anew."""
    folder = tempfile.mkdtemp(prefix="improv-fuzz-")
    atexit.register(shutil.rmtree, folder)
    return Path(folder)


def put(name: str, data: bytes) -> Path:
    path = scratch() / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    return path


def edited(data: bytes, edits: list[tuple[float, bytes, int]]) -> bytes:
    """With other bytes in some places: put in, written over, or cut out."""
    found = bytearray(data)
    for place, piece, gone in edits:
        at = int(place * (len(found) + 1))
        found[at : at + gone] = piece
    return bytes(found)


def edits(most: int) -> st.SearchStrategy[list[tuple[float, bytes, int]]]:
    place = st.floats(0, 1, exclude_max=True)
    return st.lists(st.tuples(place, st.binary(max_size=4), st.integers(0, 4)), max_size=most)


# Messages


CONTROLS = {
    "turn": trigger.read(20), "tap": trigger.read("cc 21"), "transport": trigger.read("note 59"),
    "clock_offset": trigger.read("cc 23"), "out_latency": trigger.read(24), "panic": trigger.read("program 1"),
    "another": trigger.read(26), "loop": trigger.read(27), "vary": trigger.read(28), "undo": trigger.read(29),
    "forget": trigger.read(30), "freeze": trigger.read(31),
}  # fmt: skip
PADS = {bytes((status, 59)) for status in (0x82, 0x92)}  # a control, where it would be sent on
SOURCES = (
    Time(),
    Time(bpm=100.0),
    Time(source="midi"),
    Time(bpm=180.0, metre=(3, 8), mode="trade", bars=1),
    Time(source="midi", mode="trade", bars=1, enter="bar"),
)
DATA = st.integers(0, 127)
NEAR = st.integers(58, 63)  # pitches that meet
MESSAGES = st.one_of(
    st.builds(lambda pitch, velocity: bytes((0x90, pitch, velocity)), NEAR, DATA),
    st.builds(lambda pitch: bytes((0x80, pitch, 0)), NEAR),
    st.builds(lambda number, value: bytes((0xB0, number, value)), st.sampled_from((64, *range(20, 32), 123)), DATA),
    st.sampled_from([b"\xf8", b"\xf8", b"\xf8", b"\xfa", b"\xfb", b"\xfc", b"\xf2\x10\x00", b"\xff", b""]),
    st.tuples(st.integers(0x80, 0xFF), DATA, DATA).map(bytes),
    st.binary(max_size=4),
)
GAPS = st.sampled_from((0, 0, 1, 20, 21, 100, 400, 1500))


def quiet(said: str) -> None:
    """Of what is said while it runs, nothing is needed here."""


def ears_of(
    post: Callable[[Any], None], forward: Callable[[Frame], None], now: Callable[[], int] = lambda: NS
) -> ears.Ears:
    gate = Gate(quiet)
    return ears.Ears(post, forward, gate, Echo(quiet), Outgoing(), Hands(CONTROLS, gate), None, 3, True, now)


def hear(data: bytes) -> None:
    """Messages of any bytes: each first byte says how long one is. Only what can be sent is sent on."""
    heard: list[Any] = []
    forwarded: list[Frame] = []
    hears = ears_of(heard.append, forwarded.append)
    hears_clock = ears.clock_ears(heard.append, Gate(quiet))
    at = 0
    while at < len(data):
        message = data[at + 1 : at + 1 + data[at] % 5]
        at += 1 + data[at] % 5
        hears.hear(message)
        hears_clock(message)
    for event in heard:
        assert 0 <= getattr(event, "pitch", 0) < 128 and 0 <= getattr(event, "sixteenths", 0) < 1 << 14
    assert all(frame.command == PANIC or wire.is_channel_message(frame.message) for frame in forwarded)
    assert not any(frame.message[:2] in PADS for frame in forwarded)


def play(example: tuple[Time, list[tuple[int, bytes]]]) -> None:
    """A stream of messages, heard by the ears, answered by the engine, sent by the outlet."""
    source, stream = example
    now = NS
    heard: list[Any] = []
    stage = Stage(lively(), Musicianship(time=source, belts=SHORT, forget_s=1.0))
    hears = ears_of(heard.append, lambda frame: stage._sender.post(now, frame), lambda: now)
    for gap_ms, message in stream:
        now += gap_ms * MS
        hears.hear(message)
    stage.play([*heard, InputLost(now + NS)], now + 3 * NS)
    stage._desk.fall_silent()
    sounding: set[tuple[int, int]] = set()
    for _, message in stage.messages:
        assert message and message[0] >= 0x80 and all(byte < 0x80 for byte in message[1:]), message
        if is_note_on(message):
            sounding.add((message[0] & 15, message[1]))
        elif is_note_off(message):
            sounding.discard((message[0] & 15, message[1]))
    assert not sounding, sounding


# MIDI files


def length(value: int) -> bytes:
    """As a file spells it."""
    digits = [value & 0x7F]
    while value := value >> 7:
        digits.insert(0, value & 0x7F | 0x80)
    return bytes(digits)


def chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack(">L", len(data)) + data


def midi(division: int, tracks: list[list[tuple[int, bytes]]]) -> bytes:
    whole = [chunk(b"MTrk", b"".join(length(wait) + message for wait, message in track)) for track in tracks]
    return chunk(b"MThd", struct.pack(">3H", 1, len(tracks), division)) + b"".join(whole)


WAITS = st.sampled_from((0, 0, 1, 12, 120, 480, 5000, 10**6, 0x0FFFFFFF, 0x10000000))
NOTES = st.tuples(st.sampled_from((0x90, 0x80, 0x91, 0x99)), NEAR, DATA).map(bytes)
METAS = st.builds(
    lambda kind, data: b"\xff" + bytes((kind,)) + length(len(data)) + data,
    st.sampled_from((0x51, 0x58, 0x59, 0x2F, 0x54, 0x7F, 0x20)) | st.integers(0, 255),
    st.binary(max_size=6),
)
EVENTS = st.one_of(
    NOTES,
    NOTES,
    NOTES,
    METAS,
    st.tuples(NEAR, DATA).map(bytes),  # in running status
    DATA.map(lambda value: bytes((0xB0, 64, value))),
    st.integers(0, 127).map(lambda program: bytes((0xC0, program))),
    st.binary(min_size=1, max_size=3),
    st.binary(max_size=3).map(lambda data: b"\xf0" + length(len(data)) + data),
)
GOOD_EVENTS = st.one_of(
    NOTES,
    NOTES,
    st.tuples(NEAR, DATA).map(lambda note: b"\x90" + bytes(note)),
    st.binary(min_size=3, max_size=3).map(lambda data: b"\xff\x51\x03" + data),
    st.binary(min_size=4, max_size=4).map(lambda data: b"\xff\x58\x04" + data),
    DATA.map(lambda value: bytes((0xB0, 64, value))),
    st.binary(max_size=3).map(lambda data: b"\xf0" + length(len(data)) + data),
)
GOOD_WAITS = st.sampled_from((0, 0, 1, 12, 120, 480, 5000, 10**6, 0x0FFFFFFF))
TRACKS = st.lists(st.lists(st.tuples(WAITS, EVENTS), max_size=12), min_size=1, max_size=3)
GOOD_TRACKS = st.lists(st.lists(st.tuples(GOOD_WAITS, GOOD_EVENTS), max_size=12), min_size=1, max_size=3).map(
    lambda tracks: [[(0, b"\x90\x3c\x40"), *tracks[0]], *tracks[1:]]
)
DIVISIONS = st.sampled_from((480, 480, 96, 1, 24, 32767)) | st.integers(0, 65535)
WHOLE = midi(480, [[(i % 3 * 120, bytes((0x90, 60 + i % 5, 70 * (i % 2)))) for i in range(16)], [(0, b"\xff\x2f\x00")]])
MIDI_FILES = st.one_of(
    st.builds(midi, DIVISIONS, TRACKS),
    st.builds(midi, st.sampled_from((480, 96, 1, 32767)), GOOD_TRACKS),
    st.builds(midi, st.sampled_from((480, 96, 1, 32767)), GOOD_TRACKS),
    edits(4).map(lambda changes: edited(WHOLE, changes)),
)


def read_track(data: bytes) -> None:
    read_midi(data[1:] if data[:1] > b"\xf0" else b"MThd\0\0\0\6\0\1\0\1\x01\xe0" + chunk(b"MTrk", data))


def read_midi(data: bytes) -> None:
    """As a seed of `render`, which is written again, and read again."""
    path = put("seed.mid", data)
    with refusals():
        seed = render.read_seed(path, None)
        times = [event.time_ns for event in seed.events]
        assert times == sorted(times) and times[0] >= 0 and any(isinstance(event, NoteOn) for event in seed.events)
        assert times[-1] <= render.LONGEST_SEED_NS + render.LONGEST_END_NS
        assert len(seed.events) <= render.MOST_EVENTS + 129
        for ask in (render.Goal(), render.Goal(seconds=3.0), render.Goal(bars=1)):
            with refusals():
                assert render._ask(seed, ask).time_ns >= times[-1]
        again = scratch() / "again.mid"
        files.write(again, [files.Part("a", 1, seed.events)], seed.timelines)
        assert files.read(again).events


# Settings and cards


WORDS = st.sampled_from(
    (
        *("", "1", "-1", "0.5", ".nan", ".inf", "-.inf", "1e999", "null", "true", "4/4", "3/0", "~", "midi", "open"),
        *(
            "&a 1",
            "*a",
            "!!int x",
            "!!python/name:os.system ''",
            '"\\e[2J"',
            '"\\n"',
            "|\n  x",
            "2001-01-01",
            "1:59:59",
        ),
        *("<<: {a: 1}", "? x", "- - -", "'", '"', "#", "%YAML 1.1", "---", "...", "\t", "[]", "{}", "[1, {a: b}]"),
        *("0x" + "f" * 5000, "9" * 5000, "[" * 2000),
    )
)
ONS = st.one_of(
    st.integers(0, 120).map(str),
    st.builds("{} {}".format, st.sampled_from(("cc", "note", "program", "CC")), st.integers(0, 128)),
    st.builds("{} {} on channel {}".format, st.sampled_from(("cc", "note")), st.integers(0, 127), st.integers(0, 17)),
)
CONTROL_KEYS = st.sampled_from([f"controls.{name}" for name in vars(config.ControlSettings())])
LEAVES = [key for key in (*config.RANGES, *config.CHOICES, "style", "ports.aliases", "record", "beat.metre", "weights")]
TEXTS = st.text(st.characters(codec="utf-8"), max_size=12) | st.text("&*!{}[]:,-?|>#%'\"\n ab0", max_size=30)
VALUES = st.one_of(WORDS, WORDS, TEXTS, st.integers().map(str), st.floats().map(str))
LINES = st.one_of(
    st.builds(lambda key, value: nested(key, value), st.sampled_from(LEAVES), VALUES),
    st.builds(lambda key, value: f"{key}: {value}", TEXTS, VALUES),
    TEXTS,
)
GOOD_LINES = st.one_of(
    st.builds(lambda key, on: nested(key, on), CONTROL_KEYS, ONS),
    *(st.floats(*ends).map(lambda value, key=key: nested(key, value)) for key, ends in config.RANGES.items()),
    *(
        st.integers(*map(int, ends)).map(lambda value, key=key: nested(key, value))
        for key, ends in config.RANGES.items()
    ),
    *(
        st.sampled_from(choices).map(lambda value, key=key: nested(key, value))
        for key, choices in config.CHOICES.items()
    ),
)
YAMLS = st.one_of(
    st.lists(GOOD_LINES, max_size=4).map("\n".join).map(str.encode),
    st.tuples(GOOD_LINES, LINES).map("\n".join).map(str.encode),
    st.lists(LINES, max_size=4).map("\n".join).map(str.encode),
    st.binary(max_size=20),
)


def nested(key: str, value: object) -> str:
    room, _, name = key.rpartition(".")
    return f"{room}: {{{name}: {value}}}" if room else f"{name}: {value}"


def read_settings(data: bytes) -> None:
    path = put("settings.yaml", data)
    with refusals():
        source = config.read(path)
        found = config.of(source.values, str(path))
        with contextlib.suppress(ValueError):
            assert "cc 119" in written.changed(source.text, ("controls", "turn"), "cc 119")
        with refusals():
            check_together(found)
        with contextlib.suppress(ValueError):  # a style is checked against the card
            assert found.musicianship(0).forget_s > 0
        assert config.of(dataclasses.asdict(found), "again") == found
        with refusals():
            presets.read(str(path))


CARD = {
    "notice": "a", "licence": "b", "fingerprint": codec.FINGERPRINT, "form": "int8", "held_out": {"nats_per_note": 1.0},
    "styles": {"pop": 3}, "sums": {"trunk": "0"},
}  # fmt: skip
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text("ab\x1b\n:{", max_size=5), st.dates())
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(SCALARS.filter(hash), inner, max_size=2),
    max_leaves=3,
)


def card_of(changes: Mapping[str, Any], gone: set[str], cut: list[tuple[float, bytes, int]]) -> bytes:
    values = {key: value for key, value in {**CARD, **changes}.items() if key not in gone}
    return edited(yaml.safe_dump(values, allow_unicode=True).encode(errors="replace"), cut)


KEYS = st.sampled_from(sorted(CARD))
WORDY = st.text("ab .\n", max_size=9)
ODD = st.one_of(
    TREES, st.dictionaries(st.sampled_from(("nats_per_note", "pop", "jazz", "polka", "trunk")), TREES, max_size=2)
)
GOOD = st.fixed_dictionaries(
    {},
    optional={
        "notice": WORDY,
        "licence": WORDY | st.just("CC BY-NC 4.0"),
        "held_out": st.fixed_dictionaries({"nats_per_note": st.floats() | st.integers() | st.booleans()}),
        "styles": st.dictionaries(st.sampled_from(codec.STYLES), st.integers() | st.floats(), max_size=4),
        "sums": st.dictionaries(WORDY, WORDY, max_size=2),
    },
)
CARDS = st.one_of(
    st.builds(card_of, GOOD, st.just(set()), st.just([])),
    st.builds(card_of, st.dictionaries(KEYS, ODD, max_size=1), st.sets(KEYS, max_size=1), st.just([]) | edits(2)),
)


def read_card(data: bytes) -> None:
    folder = put("card/card.yaml", data).parent
    with refusals():
        card = weights.Card.read(folder)
        with refusals():
            card.check_style("jazz")
        with refusals():
            weights.read(str(folder))
        shown = [*catalogue.lines([card], "open"), card.terms or "", card.repertoire]
        assert all(map(door.is_shown, shown)), shown


# Graphs


@cache
def small_graph() -> bytes:
    return (shipped.folder("weights") / "open" / "velocity.tflite").read_bytes()


# Its numbers fill the middle: what makes a graph of it stands before and after.
PLACES = st.integers(0, 2000) | st.integers(-12_000, -1)
BYTES = st.sampled_from((0, 1, 2, 127, 128, 255)) | st.integers(0, 255)
CHANGES = st.lists(st.tuples(PLACES, BYTES), min_size=1, max_size=4)


def read_graph(changes: list[tuple[int, int]]) -> None:
    """What passes the check does the runtime no harm: it is tried in a process of its own."""
    data = bytearray(small_graph())
    for place, byte in changes:
        data[place] = byte
    try:
        graph.check(bytes(data))
    except ValueError:
        return
    assert runtime().survives(bytes(data)), "the runtime crashed, or hangs"


class Runtime:
    """LiteRT in a process of its own, which reads graphs and says how each one went."""

    def __init__(self) -> None:
        command = [sys.executable, "-c", "from tests import fuzz; fuzz.run_graphs()"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
        )
        atexit.register(self._process.communicate)

    def survives(self, data: bytes) -> bool:
        assert self._process.stdin is not None and self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # the answer tells of it as well
            self._process.stdin.write(struct.pack("<L", len(data)) + data)
        in_time = select.select([self._process.stdout], [], [], PATIENCE_S)[0]
        if in_time and self._process.stdout.read(1):
            return True
        self._process.kill()
        runtime.cache_clear()
        return False


@cache
def runtime() -> Runtime:
    return Runtime()


def run_graphs() -> None:
    """The other side: it leaves when its input closes."""
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter

    while head := sys.stdin.buffer.read(4):
        data = sys.stdin.buffer.read(*struct.unpack("<L", head))
        with contextlib.suppress(RuntimeError, ValueError, KeyError):
            interpreter = Interpreter(model_content=data, num_threads=1)
            interpreter.allocate_tensors()
            for detail in interpreter.get_input_details():
                interpreter.set_tensor(detail["index"], np.zeros(detail["shape"], detail["dtype"]))
            interpreter.invoke()
        sys.stdout.buffer.write(b".")
        sys.stdout.buffer.flush()


# Logs


@cache
def session() -> list[str]:
    """The lines of a log of a short session."""
    stage = Stage(lively(), Musicianship(time=Time(bpm=120.0), belts=SHORT))
    stage.play(played_on(Timeline(120.0, NS), every(0.5, 0, 3)), 6 * NS)
    header = log.Header("0", "today", "open", "f", {"trunk": "0"}, dataclasses.asdict(config.Settings(random_seed=1)))
    return [log.header_line(header), *log.lines(stage.records)]


NUMBERS = st.integers(-2, 3) | st.integers() | st.sampled_from((NS, 2 * NS, 5 * NS, 1 << 62, 10**400))
FIELDS = st.one_of(NUMBERS, NUMBERS, st.none(), st.booleans(), st.floats(), st.sampled_from(("", "on", "gave")))
ARRAYS = st.builds(
    lambda head, kind, rest: str([*head, kind, *rest]).replace("'", '"').replace("None", "null").lower(),
    st.lists(NUMBERS, max_size=1),
    st.sampled_from([*log.KINDS, "silence", "gave", "sent"]),
    st.lists(FIELDS, max_size=6),
)
LENGTHS = st.sampled_from(("null", "-1", "0", "1", "4611686018427387903"))
ASKS = st.builds(
    lambda now, *lengths: f'[{now},"ask",{now},{",".join(lengths)}]', st.integers(NS, 9 * NS), LENGTHS, LENGTHS, LENGTHS
)
PLACES_IN_TIME = st.floats(0, 1, exclude_max=True)
LOG_LINES = st.lists(st.tuples(PLACES_IN_TIME, st.booleans(), ARRAYS | ASKS | TEXTS), max_size=2)
NUDGES = st.lists(st.tuples(PLACES_IN_TIME, st.integers(0, 9), FIELDS | st.integers(NS, 9 * NS)), max_size=3)


def nudged(line: str, place: int, value: object) -> str:
    """With another value in one place of its array."""
    values = json.loads(line)
    inner = values[-1] if isinstance(values[-1], list) and place % 2 else values
    inner[place % len(inner)] = value
    return json.dumps(values) + "\n"


def read_log(
    example: tuple[list[tuple[float, bool, str]], list[tuple[float, int, Any]], list[tuple[float, bytes, int]]],
) -> None:
    """Recovered, and replayed."""
    news, nudges, cuts = example
    header, *lines = session()
    for place, number, value in nudges:
        at = int(place * len(lines))
        lines[at] = nudged(lines[at], number, value)
    for place, instead, line in news:
        at = int(place * len(lines))
        lines[at : at + instead] = [f"{line}\n"]
    path = put("improv-1.log", header.encode() + edited("".join(lines).encode(errors="replace"), cuts))
    recorder = Recorder()
    with refusals():
        for record in log.Log(path).records():
            recorder.take(record)
    recorder.write(scratch() / "recovered.mid")
    with refusals():
        found = log.Log(path)
        config.of(found.header.settings, "log")
        replay.compare(found.records(), Engine(lively(), Musicianship(time=Time(bpm=120.0), belts=SHORT)))


HEADERS = st.tuples(PLACES_IN_TIME, FIELDS | TEXTS | TREES)


def read_header(example: tuple[float, Any]) -> None:
    """Of which one value is another."""
    place, value = example
    values = json.loads(session()[0])
    key = list(values)[int(place * len(values))]
    path = put("improv-2.log", json.dumps({**values, key: value}, default=str, skipkeys=True).encode())
    with refusals():
        found = log.Log(path)
        replay.engine(path, found.header, None)


# Players

PLAYER_ROWS = st.lists(
    st.tuples(*(st.integers(0, 255) for _ in range(4))).map(bytes) | st.binary(max_size=4), max_size=9
)
PLAYERS = st.tuples(
    st.dictionaries(
        st.sampled_from(("improv-player", "fingerprint", "memory")),
        FIELDS | TEXTS | TREES | PLAYER_ROWS.map(lambda rows: memory.spelled(b"".join(rows))),
    ),
    st.just([]) | edits(3),
)


def read_player(example: tuple[dict[str, Any], list[tuple[float, bytes, int]]]) -> None:
    """What passes is played with."""
    values, changes = example
    good = {"improv-player": 1, "fingerprint": codec.FINGERPRINT, "memory": memory.spelled(bytes((60, 0, 1, 0)) * 3)}
    text = json.dumps({**good, **values}, default=str, skipkeys=True)
    path = put("player.json", edited(text.encode(errors="replace"), changes))
    with refusals():
        stage = Stage(lively(), Musicianship(time=Time(bpm=120.0), belts=SHORT), remembered=players.read(str(path)))
        stage.play(played_on(Timeline(120.0, NS), every(0.5, 0, 3)), 6 * NS)


TARGETS = (
    Target("bytes", 0.48, st.binary(max_size=80), hear),
    Target(
        "messages", 0.06, st.tuples(st.sampled_from(SOURCES), st.lists(st.tuples(GAPS, MESSAGES), max_size=25)), play
    ),
    Target("tracks", 0.15, st.binary(max_size=60), read_track),
    Target("MIDI files", 0.07, MIDI_FILES, read_midi),
    Target("settings", 0.07, YAMLS, read_settings),
    Target("cards", 0.05, CARDS, read_card),
    Target("graphs", 0.08, CHANGES, read_graph),
    Target("logs", 0.02, st.tuples(LOG_LINES, NUDGES, st.just([]) | edits(2)), read_log),
    Target("headers of logs", 0.01, HEADERS, read_header),
    Target("players", 0.01, PLAYERS, read_player),
)


def peak_kb() -> int:
    """The most memory this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1024 if sys.platform == "darwin" else 1)


@cache
def warm() -> None:
    """Hypothesis builds its table of characters once, where it finds none on the disk: 200 MB for a moment."""
    find(st.text(min_size=1), lambda text: True)


def run(target: Target, examples: int, dice: int, done: Callable[[int], None] = lambda count: None) -> int:
    """Gives how many examples were tried. Whatever breaks what holds is raised, in its smallest form."""
    warm()
    tried = 0
    before_kb = peak_kb()

    def check(example: Any) -> None:
        nonlocal tried
        tried += 1
        began_s = time.process_time()
        target.check(example)
        assert time.process_time() - began_s < LONGEST_S, "it took too long"

    while tried < examples:
        before = tried
        whole = settings(
            max_examples=min(AT_ONCE, examples - tried),
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.generate, Phase.shrink),
        )
        seed(dice + tried)(whole(given(target.examples)(lambda example: check(example))))()
        done(tried)
        if tried == before:
            raise AssertionError(f"{target.name}: no more examples")
    grown_kb = peak_kb() - before_kb
    assert grown_kb < MOST_KB, f"{target.name} left {grown_kb} KB behind"
    return tried


def main() -> None:
    examples = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    dice = int(sys.argv[2]) if len(sys.argv) > 2 else time.time_ns() % 10**9
    print(f"dice {dice}")
    total, began_s = 0, time.monotonic()
    for target in TARGETS:
        wanted = math.ceil(target.share * examples)

        def done(count: int, name: str = target.name, wanted: int = wanted) -> None:
            print(f"\r{name:16} {count:>9,} of {wanted:,}", end="", file=sys.stderr, flush=True)

        total += run(target, wanted, dice, done)
        print(file=sys.stderr)
    print(f"{total:,} examples in {time.monotonic() - began_s:.0f} s: nothing got through")


if __name__ == "__main__":
    main()
