"""Presets: what is found, what they may do, and who set what in the end."""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path

import mido
import pytest
import yaml
from typer.testing import CliRunner

from improv import config, demo, origins, presets, shipped
from improv.cli import app
from improv.config import BadSetting, Settings
from improv.midi import files
from improv.music.events import SetMode, Steer
from tests.test_render import seed

SHIPPED = ("calm", "free", "mono", "safe", "tight", "wild")
runner = CliRunner()


def said(*args: str) -> str:
    result = runner.invoke(app, list(args))
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(*args: str) -> str:
    result = runner.invoke(app, list(args))
    assert result.exit_code == 2, result.output
    assert len(result.stderr.strip().splitlines()) == 1
    return result.stderr


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where improv is started: a place with presets of one's own."""
    (tmp_path / "presets").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def preset(text: str, name: str = "mine") -> str:
    path = Path("presets") / f"{name}.yaml"
    path.write_text(text, encoding="utf-8")
    return name


@pytest.mark.parametrize("name", SHIPPED)
def test_each_shipped_preset_changes_something_and_says_what_for(name: str) -> None:
    source = presets.read(name)
    assert config.settled([source]) != Settings()
    assert any(line.split()[0] == name and len(line.split()) > 5 for line in presets.lines())


def test_the_shipped_presets_travel_with_the_program() -> None:
    assert '\n"config" = "improv/shipped/config"\n' in (Path(__file__).parents[1] / "pyproject.toml").read_text()
    assert {path.stem for path in (shipped.folder("config") / "presets").iterdir()} == set(SHIPPED)


def test_safe_is_within_the_defaults() -> None:
    safe, usual = config.settled([presets.read("safe")]), Settings()
    assert safe.steering.temperature < usual.steering.temperature and safe.steering.top_p < usual.steering.top_p
    for belt in ("voices", "notes_per_s", "loudest", "highest", "longest_note_s", "longest_answer_s"):
        assert getattr(safe.belts, belt) < getattr(usual.belts, belt)
    assert safe.belts.lowest > usual.belts.lowest


def answer(tmp_path: Path, *flags: str) -> list[tuple[int, str, int]]:
    """Tick, type and pitch of what is answered to chords a little longer than an eighth apart."""
    line = []
    for root in (60, 62, 64, 66) * 4:
        chord = (root, root + 4, root + 7)
        line += [mido.Message("note_on", note=pitch, time=0 if pitch > root else 40) for pitch in chord]
        line += [mido.Message("note_off", note=pitch, time=0 if pitch > root else 200) for pitch in chord]
    out = tmp_path / "out.mid"
    by_itself = ("--only-answer", "--notes", "16", "--memory", "0")  # else it quotes the chords, on the grid
    said("render", str(seed(tmp_path, line)), "-o", str(out), *by_itself, *flags)
    track = mido.MidiFile(out).tracks[-1]
    ticks = itertools.accumulate(message.time for message in track)
    return [(tick, m.type, m.note) for tick, m in zip(ticks, track, strict=True) if m.type.startswith("note")]


def is_one_voice(played: list[tuple[int, str, int]]) -> bool:
    return [kind for _, kind, _ in played] == ["note_on", "note_off"] * (len(played) // 2)


def beside_the_sixteenths(played: list[tuple[int, str, int]]) -> list[int]:
    return [tick for tick, kind, _ in played if kind == "note_on" and tick % (files.PPQN // 4)]


def test_mono_plays_one_note_at_a_time_and_tight_on_the_sixteenths(tmp_path: Path) -> None:
    usual = answer(tmp_path)
    assert not is_one_voice(usual) and beside_the_sixteenths(usual)
    mono = answer(tmp_path, "--preset", "mono")
    assert is_one_voice(mono) and len(mono) == 32 and all(36 <= pitch <= 84 for _, _, pitch in mono)
    tight = answer(tmp_path, "--preset", "tight")
    assert not beside_the_sixteenths(tight) and len(tight) == 32


def test_a_preset_of_ones_own_is_found_first_and_listed_with_its_file(here: Path) -> None:
    preset("# Warmer.\nsteering: {temperature: 1.3}\n")
    preset("# My stage.\nsteering: {temperature: 0.7}\n", "safe")
    listed = said("presets").splitlines()
    assert [line.split()[0] for line in listed] == ["calm", "free", "mine", "mono", "safe", "tight", "wild"]
    assert listed[2] == f"mine   Warmer. ({Path('presets/mine.yaml')})" and "My stage." in listed[4]
    assert config.settled([presets.read("safe")]).steering.temperature == 0.7


def test_a_preset_may_lie_anywhere(tmp_path: Path) -> None:
    path = tmp_path / "from a friend.yml"
    path.write_text("bpm: 90\n")
    assert config.settled([presets.read(str(path))]).bpm == 90.0


def test_one_that_is_not_there_is_named_with_those_that_are(here: Path) -> None:
    assert "--preset sfae: no such preset and no such file (found: calm, free, mono, safe, tight, wild)" in refused(
        "listen", "--virtual", "--preset", "sfae"
    )


@pytest.mark.parametrize("command", ["listen --virtual", "demo", "render a.mid -o b.mid", "config"])
def test_each_command_that_plays_takes_presets(command: str, here: Path) -> None:
    preset("temprature: 1")
    assert f"{Path('presets/mine.yaml')}: `temprature` is no setting; the nearest is `steering.temperature`" in refused(
        *command.split(), "--preset", "safe", "--preset", "mine"
    )


@pytest.mark.parametrize(
    ("text", "reach"),
    [
        ("ports: {input: keys}", "`ports`"),
        ("ports: {}", "`ports`"),
        ("record: takes", "`record`"),
        ("record: null", "`record`"),
        ("log_file: told.log", "`log_file`"),
        ("player: anna", "`player`"),
        ("weights: /tmp/theirs", "`weights` to a folder"),
        ("weights: ../theirs", "`weights` to a folder"),
        ("weights: ..", "`weights` to a folder"),
        ("beat: {clock: link}", "`beat.clock` to link"),
    ],
)
def test_a_preset_reaches_for_nothing_but_the_music(text: str, reach: str, here: Path) -> None:
    preset(text)
    says = f"{Path('presets/mine.yaml')}: a preset may not set {reach}; take it out, or if you trust the file give it"
    for name in ("mine", str(Path("presets") / "mine.yaml")):
        assert says in refused("config", "--preset", name)
    assert says in said("presets")  # and the others are listed all the same
    config.load(Path("presets/mine.yaml"))  # a file of one's own may


def test_a_preset_may_say_all_that_shapes_the_music(here: Path) -> None:
    text = "{weights: concert, steering: {style: pop}, channels: {output: 1}, controls: {turn: 67}, bars: 8}"
    assert config.settled([presets.read(preset(text))]).channels.output == 1


@pytest.mark.parametrize("text", ["a: [", "- 1", "bpm: 1", "belts: 3", "belts: {lowest: 120}", "a: &x 1", "a: \x00"])
def test_a_bad_one_is_refused_by_its_file_and_in_the_list(text: str, here: Path) -> None:
    preset(text)
    with pytest.raises(BadSetting, match=r"^presets.mine\.yaml: [^\n]*$"):
        presets.read("mine")
    listed = said("presets").splitlines()
    assert len(listed) == 7 and listed[2].startswith(f"mine   refused: {Path('presets/mine.yaml')}: ")


@pytest.mark.parametrize("text", ["", "mode: duet", "\n# late", "# \u202ebackwards"])
def test_one_that_does_not_say_what_for_is_listed_by_its_name(text: str, here: Path) -> None:
    preset(text)
    assert presets.read("mine") and f"mine    ({Path('presets/mine.yaml')})" in said("presets").splitlines()


def test_a_long_purpose_and_an_odd_name_keep_to_a_line(here: Path) -> None:
    preset("# " + "very " * 1000)
    (here / "presets" / "a\nb.yaml").write_text("bpm: 90")
    listed = said("presets").splitlines()
    assert len(listed) == 7 and all(len(line) < 180 for line in listed)


# On a control


def test_a_preset_on_a_control_turns_what_it_sets_and_nothing_else(here: Path) -> None:
    preset("steering: {temperature: 1, key: D dorian, style: null}")
    assert presets.turns("mine") == [Steer(0, "temperature", 1.0), Steer(0, "key", "D dorian"), Steer(0, "style", None)]
    preset("{mode: duet, steering: {density: 2}}")
    assert presets.turns("mine") == [Steer(0, "density", 2.0), SetMode(0, "duet")]
    preset("# nothing")
    assert presets.turns("mine") == []
    assert presets.turns("calm") and presets.turns("wild")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "{steering: {temperature: 1}, belts: {voices: 1}}",
            "preset mine sets `belts`, which holds from the start on: give it as --preset mine",
        ),
        ("steering: {temperature: 9}", "presets/mine.yaml: `steering.temperature` is 9.0; it must be from"),
        ("steering: {key: H major}", "presets/mine.yaml: `steering.key`"),
        ("steering: {key: 3}", "presets/mine.yaml: `steering.key` is 3"),
        ("steering: {lock: C}", "presets/mine.yaml: `steering.lock` is no setting"),
    ],
)
def test_one_that_does_more_than_turn_knobs_is_refused_before_it_listens(text: str, says: str, here: Path) -> None:
    preset(text)
    Path("my.yaml").write_text("controls: {presets: {mine: program 1}}")
    sentence = refused("listen", "--virtual", "--config", "my.yaml").replace(os.sep, "/")
    assert sentence.startswith(f"improv: {says}")


def test_those_that_go_on_no_control_are_listed_as_such(here: Path) -> None:
    preset("# Slow.\n{bpm: 60, steering: {density: 0.5}}")
    listed = {line.split()[0]: line for line in said("presets").splitlines()}
    assert listed["mine"] == f"mine   Slow. (only at the start) ({Path('presets/mine.yaml')})"
    only_at_the_start = {name for name, line in listed.items() if "(only at the start)" in line}
    assert only_at_the_start >= {"mono", "tight"} and not only_at_the_start & {"calm", "wild"}


def test_a_control_for_a_preset_that_is_not_there_is_refused(here: Path) -> None:
    Path("my.yaml").write_text("controls: {presets: {/etc/passwd: program 1}}")
    assert "`controls.presets./etc/passwd`: no such preset (found: calm, free" in refused(
        "listen", "--virtual", "--config", "my.yaml"
    )


# Over one another


def test_flags_win_over_presets_over_a_file_over_the_defaults(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("my.yaml").write_text("{steering: {temperature: 0.5, top_p: 0.5}, belts: {voices: 3, loudest: 90}}")
    preset("{steering: {temperature: 0.6}, belts: {voices: 4}}", "first")
    preset("{steering: {temperature: 0.7}}", "second")
    played: list[Settings] = []
    monkeypatch.setattr(demo, "demo", lambda settings, card, out: played.append(settings))
    with_all = ("demo", "--config", "my.yaml", "--preset", "first", "--preset", "second")
    said(*with_all)
    said(*with_all, "--temperature", "0.8")
    assert [settings.steering.temperature for settings in played] == [0.7, 0.8]
    assert (played[0].steering.top_p, played[0].belts.voices, played[0].belts.loudest) == (0.5, 4, 90)
    assert played[0].belts.highest == Settings().belts.highest


def test_the_settings_tell_who_set_them(here: Path) -> None:
    Path("my.yaml").write_text("{steering: {temperature: 0.5}, ports: {aliases: {keys: nano}}, belts: {voices: 3}}")
    preset("{steering: {temperature: 0.95}, beat: {metre: 3/4}}")
    lines = said("config", "--config", "my.yaml", "--preset", "mine").splitlines()
    told = {line.split(":")[0].strip(): line.partition("#")[2].strip() for line in lines if "#" in line}
    assert told == {
        "temperature": "preset mine",  # though it is the default again
        "voices": "my.yaml",
        "metre": "preset mine",
        "aliases": "my.yaml",
    }
    assert "  temperature: 0.95         # preset mine" in lines and "  top_p: 0.95" in lines


def test_what_is_printed_is_a_file_of_settings(here: Path) -> None:
    Path("my.yaml").write_text(
        "{beat: {quantize: 0.0000001}, ports: {input: 'no', output: \"a: # é\", aliases: {'1': '2', '{': '&'}}}",
        encoding="utf-8",
    )
    Path("again.yaml").write_text(said("config", "--config", "my.yaml", "--preset", "safe"), encoding="utf-8")
    wanted = config.settled([config.read(Path("my.yaml")), presets.read("safe")])
    assert config.load(Path("again.yaml")) == wanted


def test_without_a_file_all_is_the_default() -> None:
    printed = said("config")
    assert "#" not in printed
    assert yaml.safe_load(printed) == yaml.safe_load((shipped.folder("config") / "default.yaml").read_text())


def test_programs_are_told_too(here: Path) -> None:
    found = json.loads(said("config", "--preset", "mono", "--json"))
    assert found["belts.voices"] == {"value": 1, "source": "preset mono"}
    assert found["ports.aliases"] == {"value": {}, "source": None}
    assert set(found) == set(config.keys(Settings()))


def test_a_setting_that_is_mentioned_in_a_room_is_not_the_whole_room() -> None:
    told = origins.origins([presets.read("tight")])
    assert {key for key, (_, source) in told.items() if source} == {"beat.enter", "beat.grid", "beat.quantize"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("mode: trade", "`mode` (--mode) trade needs a beat"),
        ("steering: {style: zydeco}", "`steering.style` (--style) is zydeco: weights open know pop ("),
        ("controls: {presets: {../x: 3}}", "`controls.presets.../x`: no such preset (found: calm"),
        ("controls: {presets: {mine: 3}}", "`steering.style` (--style) is zydeco: weights open know pop ("),
        ("weights: none-such", "weights none-such: no such set"),
    ],
)
def test_what_listen_would_refuse_is_said_beside_the_settings(text: str, says: str, here: Path) -> None:
    preset("steering: {style: zydeco}")
    Path("my.yaml").write_text(text)
    result = CliRunner().invoke(app, ["config", "--config", "my.yaml"])
    assert result.exit_code == 2 and "mode: " in result.stdout
    assert result.stderr.startswith(f"improv: {says}") and result.stderr.count("\n") == 1
    assert refused("listen", "--virtual", "--config", "my.yaml") == result.stderr


def test_a_preset_with_a_room_of_comments_alone_turns_nothing(here: Path) -> None:
    assert presets.turns(preset("steering:\n#  temperature: 2\n")) == []
    Path("my.yaml").write_text("steering:\nports:\n")
    assert "#" not in said("config", "--config", "my.yaml", "--preset", "mine")
