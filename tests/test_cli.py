"""The commands, as a process: what they say where nothing is plugged in, and the demo."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import mido
import pytest
from typer.testing import CliRunner

from improv import __version__, demo
from improv.cli import app
from improv.config import FLAGS, BeatSettings, Settings, override
from improv.errors import BadInput
from improv.live.wiring import find_ports
from improv.midi import files, sound, wire
from improv.music.events import NoteOff, NoteOn
from improv.music.timeline import Timeline
from train.cli import app as train_app

NO_SERVER = {**os.environ, "JACK_DEFAULT_SERVER": "improv-none", "JACK_NO_START_SERVER": "1"}


def improv(*args: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "improv", *args]
    return subprocess.run(command, capture_output=True, text=True, env=NO_SERVER, cwd=cwd, timeout=60, check=False)


def opens_here() -> bool:
    return bool(json.loads(improv("ports", "--json").stdout))


def test_ports_are_listed_for_people_and_programs() -> None:
    found = json.loads(improv("ports", "--json").stdout)
    assert all(set(system) == {"api", "inputs", "outputs"} for system in found)
    assert improv("ports").stdout.strip()


def test_without_a_midi_system_it_points_to_the_demo() -> None:
    if opens_here():
        pytest.skip("a MIDI system opens here")
    for command in (("listen", "--in", "keys", "--out", "synth"), ("panic", "--out", "synth")):
        result = improv(*command)
        assert result.returncode == 2
        assert "improv demo" in result.stderr and len(result.stderr.strip().splitlines()) == 1
    assert "improv demo" in improv("ports").stdout


@pytest.mark.parametrize("args", [("listen", "--virtual", "--record", ""), ("recover", "")])
def test_a_folder_without_a_name_is_refused(args: tuple[str, ...]) -> None:
    result = improv(*args)
    assert result.returncode == 2 and result.stdout == ""
    assert '""' in result.stderr and len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--temperature", "0"), "--temperature"),
        (("--bpm", "nan"), "--bpm is nan; it must be from 20 to 400"),
        (("--bpm", "0"), "--bpm"),
        (("--bpm=-120",), "--bpm"),
        (("--bpm", "1e9"), "--bpm"),
        (("--metre", "0/4"), "--metre is '0/4'; it must be a metre such as 4/4, 3/4 or 6/8"),
        (("--clock", "tap"), "--clock"),
        (("--mode", "trade"), "`mode` (--mode) trade needs a beat: give --bpm, --tap-cc, or --clock midi or link"),
        (("--bpm", "96", "--clock", "midi"), "`bpm` (--bpm): with `beat.clock` (--clock) midi the master gives"),
        (("--clock-in", "drums"), "--clock-in"),
        (("--tap-cc", "20", "--clock", "link"), "--tap-cc"),
        (("--tap-cc", "67", "--turn-cc", "67"), "are both cc 67"),
        (("--api", "midi2"), "--api"),
        (("--in", ""), "--in is ''; it must be the name of a port, or part of it"),
        (("--out", ""), "--out is ''; it must be the name of a port"),
        (("--clock", "midi", "--clock-in", ""), "--clock-in is ''; it must be the name of a port"),
        (("--config", "none.yaml"), "none.yaml"),
        (("--record", "/dev/null/takes"), "--record"),
        (("--log-file", "/dev/null/told.log"), "`log_file` (--log-file) /dev/null/told.log: it cannot be written"),
        (("--style", "reggae"), "`steering.style` (--style) is reggae: weights open know pop ("),
        (("--weights", "none"), "no such set"),
    ],
)
def test_a_bad_flag_is_said_in_one_line(args: tuple[str, ...], says: str, tmp_path: Path) -> None:
    result = improv("listen", "--virtual", *args, cwd=tmp_path)
    assert result.returncode == 2
    assert says in result.stderr and len(result.stderr.strip().splitlines()) == 1


def test_it_says_its_version() -> None:
    assert CliRunner().invoke(app, ["--version"]).output == f"improv {__version__}\n"


def test_every_setting_with_a_flag_is_offered() -> None:
    lines = improv("listen", "--help").stdout.replace(",", " ").splitlines()
    offered = {word for line in lines for word in line.split()[:2]}
    assert set(FLAGS.values()) <= offered


def test_the_doctor_measures_without_a_midi_system_too() -> None:
    if opens_here():
        pytest.skip("a MIDI system opens here")
    result = improv("doctor", "--json")
    found = json.loads(result.stdout)
    assert found["apis"] == [] and found["event_ms_p50"] > 0 and found["loopback"]["latency_p50"] >= 0
    assert found["take_over_ms_p50"] > 0 and found["step_ms_max"] > 0 and found["take_over_ok"] is None
    assert result.returncode == 0 and not result.stderr


def test_the_demo_plays_a_duet_and_leaves_it(tmp_path: Path) -> None:
    result = improv("demo", "--random-seed", "1", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert not result.stderr
    for said in ("heard 23 notes", "end of phrase to first note", "sent late by", "sound by"):
        assert said in result.stdout
    tracks = mido.MidiFile(tmp_path / "duet.mid").tracks
    assert [track.name for track in tracks[1:]] == ["player", "improviser"]
    counts = [sum(message.type == "note_on" for message in track) for track in tracks[1:]]
    assert counts[0] == 23 and counts[1] > 3
    assert (tmp_path / "duet.wav").stat().st_size > 100_000
    assert (tmp_path / "duet.png").read_bytes()[1:4] == b"PNG"


def test_the_demo_plays_its_whole_phrase_though_the_computer_stalls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "BEAT_NS", 60_000_000)
    heard: list[bytes] = []
    whole = threading.Event()

    def hear(message: bytes) -> None:
        if not heard:
            time.sleep(0.4)  # no answer that was so late would be played on
        heard.append(message)
        if len(heard) == 2 * len(demo.PHRASE):
            whole.set()

    player = demo.Player(hear, 1)
    assert whole.wait(20)
    player.close()
    assert heard == [wire.spell(event, 1) for event in demo.phrase(0)]


def test_the_demo_brings_its_own_beat(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    played: list[Settings] = []
    monkeypatch.setattr(demo, "demo", lambda settings, card, out: played.append(settings))
    config = tmp_path / "live.yaml"
    config.write_text("beat: {clock: midi, clock_offset_ms: 50, metre: 3/4}\n")
    assert CliRunner().invoke(app, ["demo", "--config", str(config), "--out", str(tmp_path)]).exit_code == 0
    assert played[0].beat == BeatSettings(metre="3/4")


def test_the_demo_finds_an_unwritable_place_first(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in ("file", "file/none"):
        result = improv("demo", "--out", str(tmp_path / place))
        assert (
            result.returncode == 2 and f"improv: --out {tmp_path / place}: the folder cannot be made" in result.stderr
        )
        assert len(result.stderr.splitlines()) == 1


def test_the_demo_makes_its_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(demo, "demo", lambda settings, card, out: None)
    assert CliRunner().invoke(app, ["demo", "--out", str(tmp_path / "a" / "b")]).exit_code == 0
    assert (tmp_path / "a" / "b").is_dir()


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("listen --temperature hot", "Invalid value for '--temperature': "),
        ("render a.mid -o b.mid --bpm abc", "Invalid value for '--bpm': "),
        ("render a.mid", "Missing option '-o' / '--out'."),
        ("listen --louder", "No such option: --louder"),
        ("--louder", "No such option: --louder"),
        ("play", "No such command 'play'."),
        ("render a.mid b.mid -o c.mid", "Got unexpected extra argument"),
    ],
)
def test_a_command_line_that_cannot_be_read_is_said_in_one_line(command: str, says: str) -> None:
    for program, cli in (("improv", app), ("improv-train", train_app)):
        result = CliRunner().invoke(cli, command.split(), prog_name=program)
        assert result.exit_code == 2 and not result.stdout
        assert result.stderr.startswith(f"{program}: ") and result.stderr.count("\n") == 1
        assert says in result.stderr or cli is train_app


def test_without_a_command_there_is_help() -> None:
    result = improv()
    assert "listen" in result.stdout + result.stderr and "improv: " not in result.stderr


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="needs links")
def test_the_demo_writes_through_no_link(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    for name in ("precious", "none"):
        (tmp_path / "duet.wav").unlink(missing_ok=True)
        (tmp_path / "duet.wav").symlink_to(tmp_path / name)
        result = CliRunner().invoke(app, ["demo", "--out", str(tmp_path)])
        assert result.exit_code == 2 and "duet.wav: it is a link to another place" in result.stderr
    assert (tmp_path / "precious").read_text() == "mine" and not (tmp_path / "none").exists()


def test_a_long_file_sounds_too(tmp_path: Path) -> None:
    """pretty_midi alone takes one of more than 10 million ticks for damaged."""
    path = tmp_path / "a.mid"
    line, end_ns = Timeline(2000.0, metric=True), 320 * 1_000_000_000
    files.write(path, [files.Part("player", 1, [NoteOn(end_ns, 60, 80), NoteOff(end_ns + 500_000_000, 60)])], [line])
    sound.render_wav(path, tmp_path / "a.wav")
    assert (tmp_path / "a.wav").stat().st_size > 320 * sound.RATE * 2


def test_windows_is_pointed_to_loopmidi(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(BadInput, match="loopMIDI"):
        find_ports(override(Settings(), virtual=True))


def test_without_fluidsynth_there_is_sound_all_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "a.mid"
    files.write(path, [files.Part("player", 1, [NoteOn(0, 60, 80), NoteOff(500_000_000, 60)])])
    monkeypatch.setattr(sound, "_fluidsynth", lambda: None)
    assert sound.render_wav(path, tmp_path / "a.wav") == "pretty_midi's synthesiser"
    assert (tmp_path / "a.wav").stat().st_size > 40_000
    with pytest.raises(BadInput, match="FluidSynth's library is not installed"):
        sound.Synth()
