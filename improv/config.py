"""Every setting once: frozen dataclasses, read from YAML and checked at the door."""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
import reprlib
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

from improv import door, shipped
from improv.errors import BadInput
from improv.music import steering, trigger
from improv.music.belts import Belts
from improv.music.grid import Grid
from improv.music.hands import KNOBS
from improv.music.musicianship import Musicianship, Time
from improv.music.steering import Steering
from improv.music.timeline import MS
from improv.music.trigger import CONTROLLER, Trigger
from improv.music.turns import MODES, TurnRules
from improv.music.zone import SIDES, Zone


class BadSetting(BadInput):
    """A setting that cannot be; the message names the file and the key."""


On = int | str | None  # the number of a controller, or a text such as `note 36`
GRIDS = {"1/4": 48, "1/8": 24, "1/8t": 16, "1/16": 12, "1/16t": 8, "1/32": 6}  # in ticks; t: triplets


@dataclass(frozen=True)
class PortSettings:
    input: str | None = None
    output: str | None = None  # a port, or `builtin`
    lights: str | None = None  # an output that shows how things stand, on the controls
    virtual: bool = False
    wait: bool = False  # for a port that is not there yet
    clock: str | None = None  # the input the beat comes from; None: the one that is played
    api: str = "auto"
    aliases: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ChannelSettings:
    input: int | None = None  # None: every channel
    output: int = 2
    beside: int | None = None  # for what is played beside the player; None: as `output`
    thru: int = 1
    click: int = 10


@dataclass(frozen=True)
class BeatSettings:
    """Where the beat comes from and how answers keep to it (docs/time.md)."""

    clock: str = "internal"
    metre: str = "4/4"
    clock_offset_ms: float = 0.0
    enter: str = "beat"
    grid: str = "1/16"
    quantize: float = 0.0
    clock_out: bool = False
    click: bool = False

    @property
    def bar(self) -> tuple[int, int]:
        """The metre: how many of which note make a bar."""
        beats, _, unit = self.metre.partition("/")
        return int(beats), int(unit)


@dataclass(frozen=True)
class ControlSettings:
    """What each control is on (improv/music/trigger.py); None: it is nowhere."""

    turn: On = None
    tap: On = None
    transport: On = None
    panic: On = None
    stop: On = None
    mute: On = None
    mode: On = None  # the next one
    mode_call: On = None
    mode_trade: On = None
    mode_duet: On = None
    mode_continue: On = None
    another: On = None
    loop: On = None
    vary: On = None
    undo: On = None
    forget: On = None
    freeze: On = None
    good: On = None
    bad: On = None
    style: On = None  # knobs, from here on
    temperature: On = None
    top_p: On = None
    memory: On = None
    variation: On = None
    key: On = None
    density: On = None
    register: On = None
    voices: On = None
    velocity_follow: On = None
    length: On = None
    clock_offset: On = None
    out_latency: On = None
    presets: Mapping[str, On] = field(default_factory=dict)  # by their names

    @property
    def triggers(self) -> dict[str, Trigger]:
        """Of each control that is on something; of a preset such as `presets.calm`, too."""
        alone = {name: on for name, on in vars(self).items() if name != "presets"}
        named = {f"presets.{name}": on for name, on in self.presets.items()}
        return {name: trigger.read(on) for name, on in {**alone, **named}.items() if on is not None}


@dataclass(frozen=True)
class Settings:
    weights: str = "open"
    bpm: float | None = None
    random_seed: int | None = None
    forget_s: float = 30.0
    thru: bool | None = None  # None: on for `builtin` and `virtual`
    record: str | None = None
    verbose: bool = False
    plain: bool = False
    log_file: str | None = None
    player: str | None = None  # a name, or a file
    mode: str = "call"
    bars: int = 4
    out_latency_ms: float = 0.0
    steering: Steering = field(default_factory=Steering)
    turns: TurnRules = field(default_factory=TurnRules)
    belts: Belts = field(default_factory=Belts)
    zone: Zone = field(default_factory=Zone)
    beat: BeatSettings = field(default_factory=BeatSettings)
    controls: ControlSettings = field(default_factory=ControlSettings)
    ports: PortSettings = field(default_factory=PortSettings)
    channels: ChannelSettings = field(default_factory=ChannelSettings)

    def musicianship(self, seed: int, listens_for_the_end: bool = True) -> Musicianship:
        """What the engine needs to know, of a style that the set of weights knows (`Card.check_style`)."""
        return Musicianship(
            steering=self.steering,
            turns=self.turns,
            time=self._time(live=listens_for_the_end),
            out_latency_ns=round(self.out_latency_ms * MS),
            belts=self.belts,
            zone=self.zone,
            forget_s=self.forget_s,
            listens_for_the_end=listens_for_the_end,
            seed=seed,
        )

    def _time(self, live: bool) -> Time:
        beat = self.beat
        return Time(
            source=beat.clock,
            bpm=self.bpm if beat.clock == "internal" else None,
            metre=beat.bar,
            offset_ns=round(beat.clock_offset_ms * MS) if live else 0,  # a file's beat is where it is
            enter=beat.enter,
            grid=self.grid,
            mode=self.mode if live else "call",
            bars=self.bars,
        )

    @property
    def grid(self) -> Grid:
        return Grid(GRIDS[self.beat.grid], self.beat.quantize)


# Lowest and highest value of each number.
RANGES: dict[str, tuple[float, float]] = {
    **{f"steering.{knob}": ends for knob, ends in steering.RANGES.items()},
    "bpm": (20, 400),
    "random_seed": (0, 999_999_999),
    "forget_s": (1, 3600),
    "bars": (1, 64),
    "out_latency_ms": (0, 500),
    "beat.clock_offset_ms": (-500, 500),
    "beat.quantize": (0, 1),
    "turns.silence": (0.5, 10),
    "turns.shortest_silence_s": (0.25, 5),
    "turns.longest_silence_s": (0.25, 10),
    "turns.stuck_s": (1, 600),
    "turns.least_notes": (1, 100),
    "turns.least_s": (0, 60),
    "zone.split": (0, 127),
    "belts.voices": (1, 64),
    "belts.notes_per_s": (1, 200),
    "belts.loudest": (2, 127),
    "belts.lowest": (0, 127),
    "belts.highest": (0, 127),
    "belts.longest_note_s": (0.25, 600),
    "belts.longest_answer_s": (1, 600),
    "channels.input": (1, 16),
    "channels.output": (1, 16),
    "channels.beside": (1, 16),
    "channels.thru": (1, 16),
    "channels.click": (1, 16),
}
ORDERED = (("turns.shortest_silence_s", "turns.longest_silence_s"), ("belts.lowest", "belts.highest"))
CHOICES = {
    "ports.api": ("auto", "alsa", "jack", "coremidi", "winmm"),
    "mode": MODES,
    "zone.side": SIDES,
    "beat.clock": ("internal", "midi", "link"),
    "beat.enter": ("bar", "beat", "now"),
    "beat.grid": tuple(GRIDS),
}
PORT_NAMES = {"ports.input", "ports.output", "ports.lights", "ports.clock"}
CONTROLS = "controls."
METRE = re.compile(r"([1-9]|[12]\d|3[0-2])/(1|2|4|8|16|32)")


class Source(NamedTuple):
    """What a file sets."""

    path: Path
    label: str  # what a musician calls it
    text: str  # as it is written
    values: Mapping[Any, Any]  # nested, as they were read


def load(path: Path | None = None) -> Settings:
    """The shipped defaults, with a file's settings over them. Raises `BadSetting`."""
    return settled([read(path)] if path is not None else [])


def settled(sources: Iterable[Source]) -> Settings:
    """The shipped defaults, with what each source sets over those before it. Raises `BadSetting`."""
    settings = Settings()
    for source in (read(shipped.folder("config") / "default.yaml"), *sources):
        settings = _settings(settings, source.values, str(source.path))
    return settings


def read(path: Path) -> Source:
    """A file of settings, whose values are not checked yet. Raises `BadSetting`."""
    try:
        text, values = door.read_yaml(path)
    except OSError as error:
        raise BadSetting(f"{path}: the settings cannot be read ({error.strerror})") from None
    except BadInput as error:
        raise BadSetting(str(error)) from None
    if not isinstance(values, dict | None):
        raise BadSetting(f"{path}: settings are `key: value` lines")
    return Source(path, str(path), text, {key: _room(key, value) for key, value in (values or {}).items()})


def _room(key: Any, value: Any) -> Any:
    """Settings in a room of which all lines are comments are none."""
    is_room = isinstance(key, str) and dataclasses.is_dataclass(getattr(Settings(), key, None))
    return {} if value is None and is_room else value


def of(values: Mapping[Any, Any], source: str) -> Settings:
    """Settings that were written down as nested mappings. Raises `BadSetting`, which names the source."""
    return _settings(Settings(), values, source)


# The command line's name of each setting that has one.
FLAGS = {
    "weights": "--weights",
    "steering.style": "--style",
    "steering.temperature": "--temperature",
    "steering.top_p": "--top-p",
    "steering.memory": "--memory",
    "steering.variation": "--variation",
    "steering.key": "--key",
    "steering.density": "--density",
    "steering.length": "--length",
    "bpm": "--bpm",
    "random_seed": "--random-seed",
    "thru": "--thru",
    "mode": "--mode",
    "bars": "--bars",
    "out_latency_ms": "--out-latency-ms",
    "beat.clock": "--clock",
    "beat.metre": "--metre",
    "beat.clock_offset_ms": "--clock-offset-ms",
    "beat.enter": "--enter",
    "beat.grid": "--grid",
    "beat.quantize": "--quantize",
    "beat.clock_out": "--clock-out",
    "beat.click": "--click",
    "controls.turn": "--turn-cc",
    "controls.tap": "--tap-cc",
    "ports.clock": "--clock-in",
    "record": "--record",
    "verbose": "--verbose",
    "plain": "--plain",
    "log_file": "--log-file",
    "player": "--player",
    "ports.input": "--in",
    "ports.output": "--out",
    "ports.virtual": "--virtual",
    "ports.wait": "--wait",
    "ports.api": "--api",
    "channels.input": "--in-channel",
    "channels.output": "--out-channel",
    "channels.thru": "--thru-channel",
}


def named(key: str) -> str:
    """A setting as it stands in a file, and its flag: for where nobody knows which of them set it."""
    return f"`{key}` ({FLAGS[key]})" if key in FLAGS else f"`{key}`"


def override(settings: Settings, **flags: Any) -> Settings:
    """Settings with those flags (`in_channel=3`) that are not None over them."""
    named = {flag.removeprefix("--").replace("-", "_"): key for key, flag in FLAGS.items()}
    for flag, value in flags.items():
        if value is not None:
            tree: Any = value
            for room in reversed(named[flag].split(".")):
                tree = {room: tree}
            settings = _merge(settings, tree, FLAGS.__getitem__)
    return settings


def _settings(base: Settings, values: Mapping[Any, Any], source: str) -> Settings:
    """Settings with those of a source over them."""
    settings: Settings = _merge(base, values, lambda key: f"{source}: `{key}`")
    for low, high in ORDERED:
        least, most = attrgetter(low)(settings), attrgetter(high)(settings)
        if least > most:
            raise BadSetting(f"{source}: `{low}` is {least:g}, above `{high}`, which is {most:g}; change one of them")
    return settings


def _merge(base: Any, values: Mapping[Any, Any], label: Callable[[str], str], room: str = "") -> Any:
    """A copy of the dataclass `base` with `values` in it, each checked."""
    kinds = typing.get_type_hints(type(base))
    changed = {}
    for key, value in values.items():
        if key not in kinds:
            strange = door.shown(str(key))
            raise BadSetting(f"{label(room + strange)} is no setting; the nearest is `{_nearest(strange, room)}`")
        old = getattr(base, key)
        if dataclasses.is_dataclass(old):
            if not isinstance(value, dict):
                raise BadSetting(f"{label(f'{room}{key}')} holds settings of its own, as `key: value`")
            changed[key] = _merge(old, value, label, f"{room}{key}.")
        else:
            changed[key] = _checked(value, kinds[key], f"{room}{key}", label(f"{room}{key}"))
    return dataclasses.replace(base, **changed)


def keys(values: Any, room: str = "") -> list[str]:
    """The whole name of each setting, such as `beat.metre`."""
    found = []
    for field_ in dataclasses.fields(values):
        value = getattr(values, field_.name)
        inner = dataclasses.is_dataclass(value)
        found += keys(value, f"{room}{field_.name}.") if inner else [f"{room}{field_.name}"]
    return found


def _nearest(key: str, room: str) -> str:
    """The whole name of the setting most like `key`, or at the top of the group; those of the same room first."""
    whole = keys(Settings())
    groups = [] if room else sorted({name.partition(".")[0] for name in whole if "." in name})
    known = sorted([*whole, *groups], key=lambda name: not name.startswith(room) if room else "." in name)
    by_last = {name.rpartition(".")[2]: name for name in reversed(known)}
    return by_last[difflib.get_close_matches(key, by_last, 1, 0.0)[0]]


def _checked(value: Any, kind: Any, key: str, label: str) -> Any:
    allowed = _alternatives(kind)
    if value is None and type(None) in allowed:
        return None
    if value is None and typing.get_origin(kind) is not None:  # pairs, all of them comments
        return {}
    if float in allowed and type(value) is int:
        value = float(min(max(value, -(10**300)), 10**300))
    if key in CHOICES and value not in CHOICES[key]:
        raise BadSetting(f"{label} is {reprlib.repr(value)}; it must be one of {', '.join(CHOICES[key])}")
    if key == "beat.metre" and not (isinstance(value, str) and METRE.fullmatch(value)):
        raise BadSetting(f"{label} is {reprlib.repr(value)}; it must be a metre such as 4/4, 3/4 or 6/8")
    if not any(_is_a(value, one) for one in allowed):
        raise BadSetting(f"{label} is {reprlib.repr(value)}; it must be {_name(allowed)}")
    if key in PORT_NAMES and not value.strip():
        raise BadSetting(f"{label} is {value!r}; it must be the name of a port, or part of it")
    if key == "steering.key":
        _check_scale(value, label)
    if key.startswith(CONTROLS):
        for on in value.values() if isinstance(value, dict) else [value]:
            _check_control(on, key.removeprefix(CONTROLS), label)
    low, high = RANGES.get(key, (-math.inf, math.inf))
    if type(value) in (int, float) and not low <= value <= high:  # NaN is never within
        raise BadSetting(f"{label} is {value}; it must be from {low:,.12g} to {high:,.12g}")
    return value


def _check_scale(name: str, label: str) -> None:
    try:
        steering.checked("key", name)
    except ValueError as error:
        raise BadSetting(f"{label}: {error}, or {steering.INFERRED}") from None


def _check_control(on: On, name: str, label: str) -> None:
    if on is None:
        return
    try:
        kind = trigger.read(on).kind
    except ValueError as error:
        raise BadSetting(f"{label} is {reprlib.repr(on)}; {error}") from None
    if name in KNOBS and kind != CONTROLLER:
        raise BadSetting(f"{label} is {reprlib.repr(on)}; a knob must be a controller, such as `cc 21`")


def _is_a(value: Any, kind: Any) -> bool:
    if typing.get_origin(kind) is not None:  # pairs
        of = _alternatives(typing.get_args(kind)[1])
        return isinstance(value, dict) and all(
            _is_a(name, str) and any(_is_a(one, alternative) for alternative in of) for name, one in value.items()
        )
    return type(value) is kind and (kind is not str or door.is_shown(value))


def _alternatives(kind: Any) -> tuple[Any, ...]:
    return typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)


def _name(kinds: tuple[Any, ...]) -> str:
    names = {int: "a whole number", float: "a number", str: "a text", bool: "true or false", type(None): "null"}
    return " or ".join(names.get(kind, "pairs of a name and a text") for kind in kinds)
