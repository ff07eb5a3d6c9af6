"""Settings: what is read, what is refused and how it is said."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from improv import config, shipped
from improv.config import BadSetting, Settings, override
from improv.music.grid import Grid
from improv.music.hands import BUTTONS, KNOBS
from improv.music.musicianship import Time
from improv.music.steering import Steering
from improv.music.trigger import Trigger
from improv.together import check_together


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "my.yaml"
    path.write_text(text)
    return path


def test_the_documented_defaults_are_the_defaults() -> None:
    assert config.load() == Settings()


def test_every_setting_is_documented() -> None:
    def keys(values: dict[str, object]) -> dict[str, object]:
        return {key: keys(value) if isinstance(value, dict) else None for key, value in values.items()}

    import dataclasses

    documented = yaml.safe_load((shipped.folder("config") / "default.yaml").read_text())
    assert keys(documented) == keys(dataclasses.asdict(Settings()))


@pytest.mark.parametrize("room", ["steering", "controls", "ports", "ports:\n  aliases", "controls:\n  presets"])
def test_a_room_of_comments_alone_sets_nothing(tmp_path: Path, room: str) -> None:
    assert config.load(written(tmp_path, f"{room}:\n#  temperature: 2\n")) == Settings()


def test_a_file_and_flags_go_over_the_defaults(tmp_path: Path) -> None:
    settings = config.load(written(tmp_path, "bpm: 90\nports: {aliases: {keys: nanoKEY}}\n"))
    assert (settings.bpm, settings.ports.aliases, settings.steering.temperature) == (90.0, {"keys": "nanoKEY"}, 0.95)
    settings = config.override(settings, bpm=100.0, in_channel=3, thru=None)
    assert (settings.bpm, settings.channels.input, settings.thru) == (100.0, 3, None)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("temprature: 1", r"my\.yaml: `temprature` is no setting; the nearest is `steering.temperature`"),
        ("turns: {silense: 2}", r"`turns\.silense` is no setting; the nearest is `turns\.silence`"),
        ("silence: 2", r"`silence` is no setting; the nearest is `turns\.silence`"),
        ("belt: {voices: 1}", r"`belt` is no setting; the nearest is `belts`"),
        ("control: {turn: 67}", "the nearest is `controls`"),
        ("channel: {output: 1}", "the nearest is `channels`"),
        ("port: keys", "the nearest is `ports`"),
        ("beats: {}", "the nearest is `beat`"),
        ("turn: 67", "the nearest is `controls.turn`"),
        ("steering: {temperature: .nan}", "must be from 0.05 to 4"),
        ("steering: {temperature: 0}", "must be from 0.05 to 4"),
        ("bpm: 1e9", "must be from 20 to 400|must be a number"),
        ("bpm: .inf", "must be from 20 to 400"),
        ("bpm: 0", "`bpm` is 0.0; it must be from 20 to 400"),
        ("bpm: -120", "must be from 20 to 400"),
        ("bpm: 1.0e+9", "must be from 20 to 400"),
        ("bpm: .nan", "must be from 20 to 400"),
        ("beat: {metre: 0/4}", "`beat.metre` is '0/4'; it must be a metre such as 4/4, 3/4 or 6/8"),
        ("beat: {metre: 4/3}", "a metre such as"),
        ("beat: {metre: 33/4}", "a metre such as"),
        ("beat: {metre: x}", "a metre such as"),
        ("beat: {metre: 4}", "`beat.metre` is 4; it must be a metre such as"),
        ("beat: {metre: 3:4}", "a metre such as"),
        ("beat: {metre: null}", "a metre such as"),
        ("beat: {clock: external}", "one of internal, midi, link"),
        ("beat: {clock: 3}", "`beat.clock` is 3; it must be one of internal, midi, link"),
        ("mode: [trade]", "one of call, trade"),
        ("beat: {enter: soon}", "one of bar, beat, now"),
        ("beat: {grid: 1/64}", "one of 1/4, 1/8, 1/8t, 1/16, 1/16t, 1/32"),
        ("beat: {quantize: 1.1}", "must be from 0 to 1"),
        ("beat: {quantize: .nan}", "must be from 0 to 1"),
        ("beat: {clock_offset_ms: -501}", "must be from -500 to 500"),
        ("beat: {click: 10}", "must be true or false"),
        ("out_latency_ms: -1", "must be from 0 to 500"),
        ("mode: fours", "one of call, trade"),
        ("bars: 0", "must be from 1 to 64"),
        ("controls: {tap: 120}", "`controls.tap` is 120; it must be a controller from 0 to 119, or "),
        ("controls: {tap: -1}", "`controls.tap` is -1; it must be a controller from 0 to 119, or "),
        ("controls: {tap: true}", "whole number or a text or null"),
        ("controls: {tap: pedal}", "`controls.tap` is 'pedal'; it must be a controller"),
        ("controls: {tap: note 128}", "`controls.tap` is 'note 128'; it must be"),
        ("controls: {tap: note 36 on channel 17}", "'note 36 on channel 17'; it must be"),
        ("controls: {presets: calm}", "`controls.presets` is 'calm'; it must be pairs of a name and a text"),
        ("controls: {presets: {calm: true}}", "it must be pairs of a name and a text"),
        ("controls: {presets: {calm: cc 200}}", "`controls.presets` is 'cc 200'; it must be a controller"),
        ("controls: {out_latency: note 36}", "`controls.out_latency` is 'note 36'; a knob must be a controller, such"),
        ("turn_cc: 67", "is no setting; the nearest is `controls.turn`"),
        ("longest_answer_s: 9", "is no setting; the nearest is `belts.longest_answer_s`"),
        ("belts: {voices: 0}", "must be from 1 to 64"),
        ("belts: {notes_per_s: 201}", "must be from 1 to 200"),
        ("belts: {loudest: 1}", "must be from 2 to 127"),
        ("belts: {longest_note_s: 0.2}", "must be from 0.25 to 600"),
        ("belts: {longest_answer_s: .inf}", "must be from 1 to 600"),
        ("belts: {lowest: 109}", r"my\.yaml: `belts\.lowest` is 109, above `belts\.highest`, which is 108; change one"),
        ("turns: {shortest_silence_s: 2}", r"yaml: `turns\.shortest_silence_s` is 2, above `turns\.longest_silence_s`"),
        ('ports: {input: ""}', "`ports.input` is ''; it must be the name of a port, or part of it"),
        ('ports: {output: " "}', "`ports.output` is ' '; it must be the name"),
        ('ports: {clock: ""}', "`ports.clock` is ''; it must be the name"),
        ('ports: {lights: ""}', "`ports.lights` is ''; it must be the name"),
        ("channels: {output: 17}", "must be from 1 to 16"),
        ("channels: {output: true}", "whole number"),
        ("steering: {temperature: warm}", "must be a number"),
        ("steering: {style: 3}", "must be a text or null"),
        ("steering: {key: H major}", r"`steering\.key`: 'H major' does not begin with a tonic .*, or inferred$"),
        ("steering: {key: C}", r"'C' names no known scale; write one of major, .* after the tonic, or inferred$"),
        ("steering: {key: 3}", "must be a text or null"),
        ("steering: {density: 5}", "must be from 0.25 to 4"),
        ("steering: {register: 0.5}", "must be a whole number"),
        ("steering: {voices: 0}", "must be from 1 to 16"),
        ("ports: loud", "settings of its own"),
        ("ports: {api: midi2}", "one of auto"),
        ("ports: {aliases: {a: 1}}", "pairs of a name and a text"),
        ("a: [", "malformed YAML at line"),
        ("- 1", "key: value"),
        ("!!python/object/apply:os.system ['true']", "malformed YAML"),
        ("\x00", "malformed YAML"),
        ("1: 2", "is no setting"),
    ],
)
def test_a_bad_file_is_named_with_its_key(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(BadSetting, match=says):
        config.load(written(tmp_path, text))


def test_how_it_is_steered_is_what_the_engine_is_told() -> None:
    assert override(Settings(), style="pop", top_p=0.5).musicianship(0).steering == Steering(style="pop", top_p=0.5)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="cannot be read"):
        config.load(tmp_path / "none.yaml")


def test_a_bad_flag_is_named() -> None:
    with pytest.raises(BadSetting, match="--out-channel is 0; it must be from 1 to 16"):
        config.override(Settings(), out_channel=0)
    with pytest.raises(BadSetting, match="--temperature is nan"):
        config.override(Settings(), temperature=float("nan"))


@pytest.mark.parametrize(
    "flag",
    [
        {"bpm": 0.0}, {"bpm": -1.0}, {"bpm": 1e9}, {"bpm": float("nan")}, {"bpm": float("inf")},
        {"metre": "0/4"}, {"metre": "4/3"}, {"metre": "33/4"}, {"metre": "x"}, {"metre": "4"}, {"metre": ""},
        {"metre": "4/4\n"}, {"metre": "٣/4"}, {"grid": "1/5"}, {"clock": "tap"},
    ],
)  # fmt: skip
def test_a_beat_that_cannot_be_is_refused_in_a_sentence(flag: dict[str, object]) -> None:
    (name,) = flag
    with pytest.raises(BadSetting, match=f"^--{name} is .*; it must be [^\n]*$"):
        override(Settings(), **flag)


def test_a_metre_is_written_as_musicians_write_it(tmp_path: Path) -> None:
    settings = config.load(written(tmp_path, "beat: {metre: 3/4}\n"))
    assert settings.beat.bar == (3, 4)
    bars = [override(settings, metre=metre).beat.bar for metre in ("1/1", "12/8", "32/32")]
    assert bars == [(1, 1), (12, 8), (32, 32)]


@pytest.mark.parametrize(
    ("flags", "field", "reaches"),
    [
        ({"clock": "midi"}, "source", "midi"),
        ({"clock": "link"}, "source", "link"),
        ({"bpm": 96.0}, "bpm", 96.0),
        ({"bpm": 96.0, "clock": "link"}, "bpm", None),  # the session's
        ({"metre": "6/8"}, "metre", (6, 8)),
        ({"clock_offset_ms": -12.5}, "offset_ns", -12_500_000),
        ({"enter": "bar"}, "enter", "bar"),
        ({"enter": "now"}, "enter", "now"),
        ({"grid": "1/8t", "quantize": 0.5}, "grid", Grid(16, 0.5)),
        ({"grid": "1/32"}, "grid", Grid(6, 0.0)),
        ({"mode": "trade"}, "mode", "trade"),
        ({"mode": "duet"}, "mode", "duet"),
        ({"bars": 8}, "bars", 8),
    ],
)
def test_what_is_set_about_time_reaches_the_engine(flags: dict[str, object], field: str, reaches: object) -> None:
    time = override(Settings(), **flags).musicianship(0).time
    assert getattr(time, field) == reaches


def test_the_defaults_are_free_time_answered_on_the_beat_if_there_is_one() -> None:
    assert Settings().musicianship(0).time == Time()


def test_a_file_is_answered_on_its_own_beat() -> None:
    settings = override(Settings(), clock_offset_ms=100.0)
    assert settings.musicianship(0, listens_for_the_end=False).time.offset_ns == 0


def test_the_outputs_latency_reaches_the_engine() -> None:
    assert override(Settings(), out_latency_ms=12.5).musicianship(0).out_latency_ns == 12_500_000


def test_each_control_is_known_by_its_trigger(tmp_path: Path) -> None:
    text = "controls: {turn: 0, tap: cc 20, transport: note 36, clock_offset: 119, panic: program 127 on channel 16}"
    on = {"turn": Trigger("cc", 0), "tap": Trigger("cc", 20), "transport": Trigger("note", 36)}
    on |= {"clock_offset": Trigger("cc", 119), "panic": Trigger("program", 127, 16)}
    assert config.load(written(tmp_path, text)).controls.triggers == on
    flags = override(Settings(), turn_cc=67, tap_cc=20).controls.triggers
    assert flags == {"turn": Trigger("cc", 67), "tap": Trigger("cc", 20)}
    assert Settings().controls.triggers == {}


def test_a_preset_may_be_on_a_control(tmp_path: Path) -> None:
    controls = config.load(written(tmp_path, "controls: {presets: {calm: program 1, mine: 20, none: null}}")).controls
    assert controls.triggers == {"presets.calm": Trigger("program", 1), "presets.mine": Trigger("cc", 20)}


def test_every_control_says_something() -> None:
    assert set(vars(Settings().controls)) == {*BUTTONS, *KNOBS, "presets"}


TOGETHER = [
    ("mode: trade", "`mode` (--mode) trade needs a beat: give --bpm, --tap-cc, or --clock midi or link"),
    ("{mode: trade, controls: {transport: 20}}", "`mode` (--mode) trade needs a beat"),
    ("beat: {clock_out: true}", "`beat.clock_out` (--clock-out) needs a beat: give --bpm, --tap-cc, or --clock midi"),
    ("beat: {click: true}", "`beat.click` (--click) needs a beat: give --bpm, --tap-cc, or --clock midi or link"),
    ("controls: {transport: 9}", "`controls.transport` needs a beat that it can stop: give --bpm or --tap-cc"),
    ("{bpm: 96, beat: {clock: midi}}", "`bpm` (--bpm): with `beat.clock` (--clock) midi the master gives the"),
    ("ports: {clock: drums}", "`ports.clock` (--clock-in) is the port of a MIDI clock; give --clock midi as"),
    ("{ports: {clock: drums}, beat: {clock: link}}", "`ports.clock` (--clock-in) is the port of a MIDI clock"),
    ("{controls: {tap: 20}, beat: {clock: midi}}", "`controls.tap` (--tap-cc): with `beat.clock` (--clock) midi the"),
    ("{controls: {transport: 9}, beat: {clock: link}}", "`controls.transport`: with `beat.clock` (--clock) link the"),
    ("controls: {turn: 67, tap: 67}", "`controls.turn` (--turn-cc) and `controls.tap` (--tap-cc) are both cc 67"),
    (
        "controls: {tap: note 6, panic: NOTE 6 channel 9}",
        "`controls.tap` (--tap-cc) and `controls.panic` are note 6 and",
    ),
    (
        "controls: {tap: 7, presets: {calm: cc 7}}",
        "`controls.tap` (--tap-cc) and `controls.presets.calm` are both cc 7",
    ),
    ("controls: {clock_offset: 0, out_latency: 0}", "`controls.clock_offset` and `controls.out_latency` are both"),
    ("zone: {side: below, split: 21}", "`zone.split` is 21, and there is nothing below it"),
    (
        "{zone: {side: above, split: 90}, belts: {highest: 84}}",
        "`zone.split` is 90, and there is nothing above it from",
    ),
]


@pytest.mark.parametrize(("text", "says"), TOGETHER)
def test_what_does_not_go_together_is_refused_in_a_sentence(tmp_path: Path, text: str, says: str) -> None:
    settings = config.load(written(tmp_path, text))
    with pytest.raises(BadSetting) as refusal:
        check_together(settings)
    assert str(refusal.value).startswith(says) and "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ("{}", {}),
        ("mode: trade", {"bpm": 96.0}),
        ("mode: trade", {"tap_cc": 20}),
        ("mode: trade", {"clock": "midi"}),
        ("mode: trade", {"clock": "link"}),
        ("mode: trade", {"mode": "call"}),
        ("bpm: 96", {"clock": "link"}),  # the tempo that a session begins with
        ("ports: {clock: drums}", {"clock": "midi"}),
        ("{bpm: 96, beat: {clock: midi}}", {"clock": "internal"}),
        ("controls: {turn: 67, tap: 67}", {"tap_cc": 68}),
        ("controls: {turn: 67, clock_offset: 20, out_latency: 21}", {"clock": "midi"}),
        ("controls: {turn: 67, panic: note 67, tap: program 67}", {}),
        ("controls: {turn: note 36 on channel 1, panic: note 36 on channel 10}", {}),
        ("{controls: {transport: 9}, beat: {clock_out: true, click: true}}", {"bpm": 96.0}),
        ("{controls: {transport: 9}, beat: {clock_out: true, click: true}}", {"tap_cc": 20}),
        ("beat: {clock_out: true, click: true}", {"clock": "midi"}),
        ("beat: {clock_out: true, click: true}", {"clock": "link"}),
        ("turns: {shortest_silence_s: 1, longest_silence_s: 1}", {}),
    ],
)
def test_a_flag_may_mend_what_a_file_leaves_open(tmp_path: Path, text: str, flags: dict[str, object]) -> None:
    check_together(override(config.load(written(tmp_path, text)), **flags))
