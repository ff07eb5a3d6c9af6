"""Offline, from a file to a file, with the network that ships."""

from __future__ import annotations

import itertools
from pathlib import Path

import mido
import pytest
from typer.testing import CliRunner

from improv import render as offline
from improv.cli import app
from improv.errors import BadInput
from improv.midi import files
from improv.music.events import NoteOn, Pedal
from improv.music.timeline import NS
from improv.render import Outputs
from tests.test_files import midi, note
from train.cli import app as train_app

runner = CliRunner()


def seed(tmp_path: Path, *tracks: list[mido.Message | mido.MetaMessage]) -> Path:
    """Two bars of eighths and chords at 120 bpm, on the grid."""
    path = tmp_path / "seed.mid"
    line = [message for pitch in (60, 64, 67, 72, 71, 67, 64, 62) * 2 for message in note(pitch, 0, 240)]
    path.write_bytes(midi(*(tracks or (line,))))
    return path


def render(*args: object) -> str:
    result = runner.invoke(app, ["render", *map(str, args)])
    assert result.exit_code == 0, result.output
    return result.output


def refused(*args: object) -> str:
    result = runner.invoke(app, list(map(str, args)))
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output and len(result.stderr.strip().splitlines()) == 1
    return result.stderr


def parts(path: Path) -> dict[str, list[int]]:
    """Onset ticks by track name."""
    found: dict[str, list[int]] = {}
    for track in mido.MidiFile(path).tracks[1:]:
        times = itertools.accumulate(message.time for message in track)
        onsets = [tick for tick, m in zip(times, track, strict=True) if m.type == "note_on" and m.velocity]
        found[track.name] = onsets
    return found


def test_the_answer_goes_on_where_the_seed_ends(tmp_path: Path) -> None:
    out = tmp_path / "out.mid"
    render(seed(tmp_path), "-o", out)
    both = parts(out)
    assert len(both["player"]) == 16
    assert both["improviser"][0] == 8 * files.PPQN  # on the next beat
    assert 0.6 * 8 <= (both["improviser"][-1] / files.PPQN - 8) <= 1.25 * 8
    score = files.read(out)
    assert score.stuck == 0


def test_the_same_arguments_give_the_same_bytes(tmp_path: Path) -> None:
    source = seed(tmp_path)
    outs = [tmp_path / f"{i}.mid" for i in range(3)]
    render(source, "-o", outs[0], "--random-seed", 5)
    render(source, "-o", outs[1], "--random-seed", 5)
    render(source, "-o", outs[2], "--random-seed", 6)
    assert outs[0].read_bytes() == outs[1].read_bytes() != outs[2].read_bytes()


def test_each_style_gives_an_answer_of_its_own(tmp_path: Path) -> None:
    source = seed(tmp_path)
    answers = set()
    for flags in ((), ("--style", "pop"), ("--style", "classical")):
        out = tmp_path / "o.mid"
        render(source, "-o", out, "--random-seed", 5, "--memory", 0, *flags)
        answers.add(out.read_bytes())
    assert len(answers) == 3


def test_what_is_remembered_is_drawn_on_unless_it_is_not_to_be(tmp_path: Path) -> None:
    outs = [tmp_path / f"{i}.mid" for i in range(3)]
    for out, flags in zip(outs, ((), ("--memory", 0.5), ("--memory", 0)), strict=True):
        render(seed(tmp_path), "-o", out, "--random-seed", 5, *flags)
    assert outs[0].read_bytes() == outs[1].read_bytes() != outs[2].read_bytes()


def test_notes_seconds_and_bars_are_kept_to(tmp_path: Path) -> None:
    source, out = seed(tmp_path), tmp_path / "out.mid"
    render(source, "-o", out, "--notes", 31)
    assert len(parts(out)["improviser"]) == 31
    render(source, "-o", out, "--seconds", 7)
    score = files.read(out)
    assert 4 * NS + 6 * NS <= score.end_ns <= 4 * NS + 7 * NS + 11_000_000
    render(source, "-o", out, "--bars", 3)
    bar = 4 * files.PPQN
    answer = parts(out)["improviser"]
    assert answer[0] == 2 * bar and answer[-1] < 5 * bar
    assert 4.5 * bar <= files.read(out).end_ns * files.PPQN * 2 / NS <= 5 * bar + 20


def test_only_the_answer_begins_at_its_place_in_the_bar(tmp_path: Path) -> None:
    out = tmp_path / "out.mid"
    line = [message for pitch in (60, 64, 67, 72, 71, 67) for message in note(pitch, 0, 480)]  # six beats
    render(seed(tmp_path, line), "-o", out, "--only-answer")
    both = parts(out)
    assert list(both) == ["improviser"]
    assert both["improviser"][0] == 2 * files.PPQN


def test_it_follows_the_seeds_tempo_map(tmp_path: Path) -> None:
    tempi = [mido.MetaMessage("set_tempo", tempo=500_000), mido.MetaMessage("set_tempo", tempo=750_000, time=1920)]
    line = [message for pitch in (60, 64, 67, 72, 71, 67, 64, 62) * 2 for message in note(pitch, 0, 240)]
    out = tmp_path / "out.mid"
    render(seed(tmp_path, tempi, line), "-o", out, "--bars", 2)
    written = [m.tempo for m in mido.MidiFile(out).tracks[0] if m.type == "set_tempo"]
    assert written == [500_000, 750_000]
    assert all(tick % (files.PPQN // 48) == 0 for tick in parts(out)["improviser"])


def test_sound_and_picture_are_left_where_asked(tmp_path: Path) -> None:
    render(seed(tmp_path), "-o", tmp_path / "o.mid", "--wav", tmp_path / "o.wav", "--plot", tmp_path / "o.png")
    assert (tmp_path / "o.wav").read_bytes()[:4] == b"RIFF"
    assert (tmp_path / "o.png").read_bytes()[1:4] == b"PNG"


@pytest.mark.parametrize("name", ["o.jpg", "o", "o.png.pdf"])
def test_a_plot_is_called_what_it_is(name: str, tmp_path: Path) -> None:
    says = f"{name}: a plot is a PNG picture; give it a name that ends in .png"
    with pytest.raises(BadInput, match=says):
        Outputs(tmp_path / "o.mid", plot=tmp_path / name).check()
    Outputs(tmp_path / "o.mid", plot=tmp_path / "o.PNG").check()
    result = CliRunner().invoke(train_app, ["phrases", "open", str(tmp_path), "--plot", str(tmp_path / name)])
    assert result.exit_code == 2 and says in result.stderr


def test_sound_is_called_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"o\.mp3: the sound is a WAV file; give it a name that ends in \.wav"):
        Outputs(tmp_path / "o.mid", tmp_path / "o.mp3").check()
    Outputs(tmp_path / "o.mid", tmp_path / "o.WAV").check()


@pytest.mark.parametrize("name", ["o.txt", "o", "o.mid.gz"])
def test_the_answer_is_called_what_it_is(name: str, tmp_path: Path) -> None:
    says = f"{name}: the answer is a MIDI file; give it a name that ends in .mid"
    assert says in refused("render", seed(tmp_path), "-o", tmp_path / name)
    assert not (tmp_path / name).exists()
    Outputs(tmp_path / "o.MID").check()
    Outputs(tmp_path / "o.midi").check()


def test_a_long_seed_is_primed_by_its_end(tmp_path: Path) -> None:
    line = [message for i in range(660) for message in note(48 + i % 24, 480, 480)]
    output = render(seed(tmp_path, line), "-o", tmp_path / "o.mid", "--seconds", 3)
    assert "longer than 10 minutes" in output


def test_stuck_notes_are_said_and_played(tmp_path: Path) -> None:
    line = [*note(60, 0, 240), mido.Message("note_on", note=64, velocity=60), *note(67, 240, 240)]
    assert "never released" in render(seed(tmp_path, line), "-o", tmp_path / "o.mid", "--notes", 3)


@pytest.mark.parametrize("data", [b"", b"no midi", midi([]), midi(note(40, 0, 9, channel=9))])
def test_a_bad_seed_is_refused_and_loses_nothing(tmp_path: Path, data: bytes) -> None:
    source, out = tmp_path / "bad.mid", tmp_path / "out.mid"
    source.write_bytes(data)
    out.write_bytes(b"precious")
    assert "bad.mid" in refused("render", source, "-o", out)
    assert out.read_bytes() == b"precious"


def test_a_place_that_cannot_be_written_is_found_first(tmp_path: Path) -> None:
    source = seed(tmp_path)
    assert "does not exist" in refused("render", source, "-o", tmp_path / "none" / "out.mid")
    assert "is a folder" in refused("render", source, "-o", tmp_path)
    assert "does not exist" in refused("render", source, "-o", tmp_path / "o.mid", "--wav", tmp_path / "none" / "o.wav")
    assert not (tmp_path / "o.mid").exists()


def test_bars_need_a_beat(tmp_path: Path) -> None:
    free = [message for i in range(60) for message in note(60 + i % 12, 97 + i * 37 % 83, 61)]
    source, out = seed(tmp_path, free), tmp_path / "o.mid"
    assert "give its tempo, such as --bpm 100," in refused("render", source, "-o", out, "--bars", 4)
    render(source, "-o", out, "--bars", 4, "--bpm", 100)


@pytest.mark.parametrize("pedals", [False, True])
def test_of_a_crowded_seed_the_end_primes_the_answer(
    tmp_path: Path, pedals: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offline, "MOST_EVENTS", 500)
    pedal = [mido.Message("control_change", control=64, value=127 * i) for i in (1, 0)]
    line = [*note(60, 0, 0), *(pedal * 300 if pedals else [m for i in range(300) for m in note(i % 128, 1, 0)])]
    output = render(seed(tmp_path, [*line, *note(62, 0, 480)]), "-o", tmp_path / "o.mid", "--notes", 3)
    assert "more than 500 notes, pedals or tempi" in output and files.read(tmp_path / "o.mid").end_ns < 60 * NS


def test_a_note_that_is_held_for_years_ends(tmp_path: Path) -> None:
    longest = [mido.MetaMessage("text", text="x", time=0x0FFFFFFF) for _ in range(20)]
    line = [mido.Message("note_on", note=60, velocity=60), *longest, mido.Message("note_off", note=60)]
    output = render(seed(tmp_path, line), "-o", tmp_path / "o.mid", "--notes", 3, "--wav", tmp_path / "o.wav")
    assert "held for more than 2 minutes" in output and files.read(tmp_path / "o.mid").end_ns < 200 * NS


def test_a_metre_that_cannot_be_written_is_none(tmp_path: Path) -> None:
    metre = [mido.MetaMessage("time_signature", numerator=1, denominator=2**40), mido.MetaMessage("end_of_track")]
    line = [message for i in range(16) for message in note(60 + i % 12, 0, 240)]
    data = bytearray(midi(metre, line))
    assert data[data.index(b"\xff\x58\x04\x01") + 4] == 40
    data[data.index(b"\xff\x58\x04\x01") + 4] = 51  # of which mido cannot take the logarithm
    path = tmp_path / "seed.mid"
    path.write_bytes(data)
    render(path, "-o", tmp_path / "o.mid", "--bars", 1)


def test_a_bar_of_an_hour_does_not_make_the_answer_one(tmp_path: Path) -> None:
    metre = [mido.MetaMessage("time_signature", numerator=255, denominator=1)]
    line = [message for i in range(1500) for message in note(48 + i % 24, 480, 480)]
    render(seed(tmp_path, metre, line), "-o", tmp_path / "o.mid", "--seconds", 3)
    assert files.read(tmp_path / "o.mid").end_ns < 300 * NS


@pytest.mark.parametrize(
    "flags",
    [("--temperature", "nan"), ("--top-p", 0), ("--bpm", 0), ("--seconds", -1), ("--notes", 0), ("--bars", 0)],
)
def test_a_bad_number_is_named(tmp_path: Path, flags: tuple[str, object]) -> None:
    assert str(flags[0]) in refused("render", seed(tmp_path), "-o", tmp_path / "o.mid", *flags)


def test_two_goals_are_one_too_many(tmp_path: Path) -> None:
    refused("render", seed(tmp_path), "-o", tmp_path / "o.mid", "--notes", 3, "--bars", 3)


def test_a_seed_that_is_missing_is_named(tmp_path: Path) -> None:
    assert "none.mid" in refused("render", tmp_path / "none.mid", "-o", tmp_path / "o.mid")


def test_every_note_of_an_unseen_seed_ends(tmp_path: Path) -> None:
    out = tmp_path / "out.mid"
    for random_seed in range(5):
        render(seed(tmp_path), "-o", out, "--random-seed", random_seed, "--temperature", 2.0)
        score = files.read(out)
        assert score.stuck == 0
        assert sum(isinstance(e, NoteOn) for e in score.events) * 2 == len(score.events)


def test_a_tempo_change_after_the_last_note_changes_nothing(tmp_path: Path) -> None:
    line = [message for pitch in (60, 64, 67, 72, 71, 67, 64, 62) * 2 for message in note(pitch, 0, 240)]
    late = [mido.MetaMessage("set_tempo", tempo=1_000_000, time=480 * 60)]
    odd = [mido.MetaMessage("time_signature", numerator=3, denominator=4, time=480 * 70)]
    outs = tmp_path / "a.mid", tmp_path / "b.mid"
    render(seed(tmp_path, line), "-o", outs[0], "--bars", 2)
    render(seed(tmp_path, late, odd, line), "-o", outs[1], "--bars", 2)
    assert outs[0].read_bytes() == outs[1].read_bytes()


def test_a_time_signature_is_written_where_it_changes(tmp_path: Path) -> None:
    tempi = [
        mido.MetaMessage("time_signature", numerator=6, denominator=8),
        mido.MetaMessage("set_tempo", tempo=400_000, time=720),
    ]
    line = [message for pitch in (60, 64, 67, 72, 71, 67, 64, 62) * 2 for message in note(pitch, 0, 240)]
    out = tmp_path / "o.mid"
    render(seed(tmp_path, tempi, line), "-o", out, "--bars", 2)
    signatures = [m for m in mido.MidiFile(out).tracks[0] if m.type == "time_signature"]
    assert [(m.numerator, m.denominator) for m in signatures] == [(6, 8)]
    bar = 3 * files.PPQN
    assert parts(out)["improviser"][0] == 3 * bar  # eight quarter notes fill two bars and two thirds


@pytest.mark.parametrize("ppqn", [100, 128, 160, 220, 384, 480, 1024])
def test_a_quantised_seed_knows_its_beat_at_any_resolution(tmp_path: Path, ppqn: int) -> None:
    path = tmp_path / "seed.mid"
    path.write_bytes(midi([m for i in range(32) for m in note(60 + i % 12, 0, ppqn // 2)], ppqn=ppqn))
    render(path, "-o", tmp_path / "o.mid", "--bars", 1)


@pytest.mark.parametrize("bpm", [66, 84, 93, 120, 144])
def test_the_answer_alone_has_no_empty_bar_before_it(tmp_path: Path, bpm: int) -> None:
    out = tmp_path / "o.mid"
    render(seed(tmp_path), "-o", out, "--only-answer", "--bars", 2, "--bpm", bpm)
    assert parts(out)["improviser"][0] == 0


def test_a_long_note_before_the_cut_is_still_down_after_it(tmp_path: Path) -> None:
    line = [mido.Message("note_on", note=30, velocity=60)]
    line += [message for i in range(660) for message in note(48 + i % 24, 480, 480)]
    line += [mido.Message("note_off", note=30)]
    out = tmp_path / "o.mid"
    render(seed(tmp_path, line), "-o", out, "--seconds", 3)
    score = files.read(out)
    assert NoteOn(0, 30, 60) in score.events
    assert score.end_ns < 140 * NS


def test_one_held_note_is_seed_enough(tmp_path: Path) -> None:
    render(seed(tmp_path, note(60, 0, 480 * 1400)), "-o", tmp_path / "o.mid", "--seconds", 3)


def test_a_pedal_before_the_first_note_is_heard(tmp_path: Path) -> None:
    line = [mido.Message("control_change", control=64, value=127), *note(60, 480, 480), *note(64, 0, 480)]
    line.append(mido.Message("control_change", control=64, value=0, time=480))
    out = tmp_path / "o.mid"
    render(seed(tmp_path, line), "-o", out, "--bpm", 100, "--notes", 2)
    assert Pedal(0, True) in files.read(out).events


def test_each_output_has_a_name_of_its_own(tmp_path: Path) -> None:
    source = seed(tmp_path)
    assert "another output" in refused("render", source, "-o", tmp_path / "o.mid", "--wav", tmp_path / "o.mid")
    assert "the seed" in refused("render", source, "-o", source)
    assert "no ordinary file" in refused("render", source, "-o", "/dev/null")
    refused("render", source, "-o", tmp_path / ("o" * 300))


def test_a_link_to_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert "loop: it cannot be read" in refused("render", tmp_path / "loop", "-o", tmp_path / "o.mid")
    assert "loop: it cannot be written" in refused("render", seed(tmp_path), "-o", tmp_path / "loop")


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link.mid").symlink_to(tmp_path / "there.mid")
    render(seed(tmp_path), "-o", tmp_path / "link.mid")
    assert (tmp_path / "link.mid").is_symlink() and (tmp_path / "there.mid").stat().st_size
