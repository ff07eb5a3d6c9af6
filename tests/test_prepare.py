"""From MIDI files to arrays: what is heard of a file is what mido hears, and what is dropped is said."""

from __future__ import annotations

import csv
import io
import random
import tarfile
import zipfile
from pathlib import Path

import mido
import numpy as np
import pytest
from typer.testing import CliRunner

from improv.errors import BadInput
from improv.midi import files
from improv.midi.smf import BadMidi
from tests import by_mido, corpora
from train import cli
from train.corpora import archives, arrays, corpus, pieces, prepare, shards, splits

DATA = Path(__file__).parents[2] / "shared" / "data"


def on(pitch: int, wait: int = 0, velocity: int = 70, channel: int = 0) -> mido.Message:
    return mido.Message("note_on", note=pitch, velocity=velocity, channel=channel, time=wait)


def off(pitch: int, wait: int = 0, channel: int = 0) -> mido.Message:
    return mido.Message("note_off", note=pitch, channel=channel, time=wait)


def pedal(value: int, wait: int = 0, channel: int = 0) -> mido.Message:
    return mido.Message("control_change", control=64, value=value, channel=channel, time=wait)


def program(number: int, channel: int = 0) -> mido.Message:
    return mido.Message("program_change", program=number, channel=channel)


def midi(*tracks: list, kind: int = 1, ppqn: int = 480) -> bytes:
    file = mido.MidiFile(type=kind, ticks_per_beat=ppqn)
    file.tracks.extend(mido.MidiTrack(track) for track in tracks)
    out = io.BytesIO()
    file.save(file=out)
    return out.getvalue()


def meta(kind: str, wait: int = 0, **values: object) -> mido.MetaMessage:
    return mido.MetaMessage(kind, time=wait, **values)


def raw(track: bytes, division: bytes = b"\x01\xe0", count: int = 1) -> bytes:
    chunk = b"MTrk" + len(track).to_bytes(4, "big") + track
    return b"MThd\0\0\0\6\0\1\0" + bytes([count]) + division + chunk * count


SCALE = [message for i in range(20) for message in (on(60 + i % 12, 30 + i, 40 + i), off(60 + i % 12, 200))]
GOOD = midi([meta("set_tempo", tempo=400_000), meta("time_signature", numerator=3, denominator=8), *SCALE])
ORDERLY = {
    "good": GOOD,
    "overlapping": midi([on(60), on(60, 100), off(60, 100), off(60, 100), on(62), off(62, 5)]),
    "never released": midi([on(60), on(62, 10), off(62, 10), pedal(127), on(64, 7)]),
    "length 0": midi([on(60), off(60), on(62, 48), off(62), off(62, 3)]),
    "off and on in one tick": midi([on(60), off(60, 96), on(60), on(60), off(60), off(60, 96)]),
    "programs on the way": midi([on(60), program(40), off(60, 9), on(61), off(61, 9), program(3), on(62), off(62, 9)]),
    "programs across tracks": midi([program(40, 1)], [on(60, channel=1), off(60, 9, 1)], [on(50), off(50, 9)]),
    "pedals of two channels": midi([pedal(127), on(60), off(60, 9), pedal(0, 9)], [on(40, 2, 70, 1), pedal(99, 3, 1)]),
    "running status": raw(b"\0\x90\x3c\x40\x10\x3c\0\x10\x3e\x40\0\xff\x01\x01a\x10\x3e\0\0\xff\x2f\0"),
    "no end of track": raw(b"\0\x90\x3c\x40\x10\x3c\0"),
    "events after the end of track": raw(b"\0\xff\x2f\0\0\x90\x3c\x40\x10\x3c\0"),
    "a wait before a meta message of an unknown type": raw(b"\0\x90\x3c\x40\x10\xff\x60\x01a\x10\x3c\0"),
    "exclusive": raw(b"\0\xf0\x03\x7e\x09\xf7\0\x90\x3c\x40\x10\x3c\0\0\xff\x2f\0"),
    "format 0": midi(SCALE, kind=0),
    "format 2": midi(SCALE, SCALE, kind=2),
    "tempo 0": midi([meta("set_tempo", tempo=0), *SCALE]),
    "many tempi": midi([meta("set_tempo", 50, tempo=300_000 + 999 * i) for i in range(40)], SCALE),
    "metres": midi([meta("time_signature", 333, numerator=i + 1, denominator=4) for i in range(7)], SCALE),
    "drums only": midi([on(40, channel=9), off(40, 10, 9)]),
    "nothing": midi([]),
    "coarse": midi(SCALE, ppqn=24),
    "trailing bytes": GOOD + b"abc",
    "long header": GOOD[:4] + b"\0\0\0\x08" + GOOD[8:14] + b"ab" + GOOD[14:],
    "a message that is not for files": raw(b"\0\xf8\0\x90\x3c\x40\0\xf2\x01\x02\x10\x80\x3c\0"),
    "zeros before a wait": raw(b"\0\x90\x3c\x40" + b"\x80" * 50 + b"\x10\x3c\0"),
}
DISORDERLY = {
    "empty": b"",
    "text": b"It is no music.",
    "frames a second": raw(b"\0\x90\x3c\x40\x10\x3c\0", b"\xe7\x28"),
    "no division": raw(b"\0\x90\x3c\x40\x10\x3c\0", b"\0\0"),
    "a track is missing": raw(b"\0\x90\x3c\x40\x10\x3c\0")[:-1],
    "running status after an exclusive": raw(b"\0\x90\x3c\x40\0\xf0\x01\xf7\x10\x3c\0"),
    "an odd key": raw(b"\0\xff\x59\x02\x09\x05\0\x90\x3c\x40\x10\x3c\0"),
    "a short tempo": raw(b"\0\xff\x51\x02\x09\x05\0\x90\x3c\x40\x10\x3c\0"),
    "an endless wait": raw(b"\0\x90\x3c\x40" + b"\xff" * 200 + b"\x10\x3c\0"),
    "too large": raw(b"\0\xf0\xff\xff\x7e" + bytes(2**21 - 2) + b"\0\xf0\xff\xff\x7e" + bytes(2**21 - 2) + b"\0" * 99),
}


def heard(read: object, data: bytes) -> object:
    """A score, or nothing where the file is refused."""
    try:
        return read(data)  # type: ignore[operator]
    except BadMidi:
        return None


@pytest.mark.parametrize("data", ORDERLY.values(), ids=ORDERLY)
def test_what_is_heard_of_a_file_is_what_mido_hears(data: bytes) -> None:
    assert heard(files.read, data) == heard(by_mido.read, data)


@pytest.mark.parametrize("data", DISORDERLY.values(), ids=DISORDERLY)
def test_what_is_out_of_order_is_refused(data: bytes) -> None:
    assert heard(files.read, data) is None


def test_of_a_damaged_file_no_note_is_guessed() -> None:
    """Cut short it is dropped; with other bytes in it, it is dropped or what mido hears."""
    for end in range(0, len(GOOD), 10):
        assert heard(files.read, GOOD[:end]) is None
        assert prepare.prepare_file("cut", GOOD[:end]).kind == "damaged"
    rng = random.Random(1)
    for _ in range(600):
        data = bytearray(GOOD)
        for _ in range(rng.randint(1, 3)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        assert heard(files.read, bytes(data)) in (None, heard(by_mido.read, bytes(data)))


def test_no_wait_is_lost() -> None:
    """mido alone forgets it, and all that follows comes too early."""
    score = files.read(ORDERLY["a wait before a meta message of an unknown type"])
    assert score.end_ns == round(0x20 / 480 * 0.5e9)


@pytest.mark.skipif(not DATA.is_dir(), reason="the corpora are not beside this checkout")
@pytest.mark.parametrize("name", ["giantmidi_sample", "mutopia_piano", "js_fakes", "weimar_jazz"])
def test_what_is_heard_of_real_music_is_what_mido_hears(name: str) -> None:
    for _, data in corpora.members(DATA / f"{name}.tar.xz")[::45]:
        assert files.read(data) == by_mido.read(data)


def prepared(folder: Path, *more: Path | str) -> str:
    """What the command says when it prepares these; each in its own process only where `--jobs` says so."""
    result = CliRunner().invoke(cli.app, ["prepare", *map(str, more), "--out", str(folder), "--jobs", "1"])
    assert result.exit_code == 0, result.stderr
    return result.stdout


def tune(seed: int) -> bytes:
    return corpora.midi(seed, 40)


def folder_of(path: Path, contents: dict[str, bytes]) -> Path:
    for name, data in contents.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def test_every_dropped_file_is_listed_with_its_reason(tmp_path: Path) -> None:
    faster = mido.MidiFile(file=io.BytesIO(tune(1)))
    faster.tracks[0].insert(0, mido.MetaMessage("text", text="the same notes"))
    other = io.BytesIO()
    faster.save(file=other)
    found = {
        "a.mid": tune(1),
        "again.mid": tune(1),
        "b/C.MIDI": tune(2),
        "cut.mid": tune(3)[:-20],
        "drums.mid": ORDERLY["drums only"],
        "far.mid": midi([on(60), off(60, 2**27), *SCALE * 2], ppqn=1),
        "fast.mid": corpora.midi(1, 40, 20_000),
        "none.mid": ORDERLY["nothing"],
        "notes.txt": b"not music",
        "other.mid": other.getvalue(),
        "short.mid": corpora.midi(5, 8),
        "._a.mid": b"AppleDouble",
        ".hidden/a.mid": tune(9),
    }
    said = prepared(tmp_path / "out", folder_of(tmp_path / "mine", found))
    assert "mine: 2 kept, 2 duplicate, " in said and "1 too short" in said and "files/s" in said
    with open(tmp_path / "out" / "mine.dropped.csv", newline="") as lines:
        dropped = {row["path"]: (row["kind"], row["reason"]) for row in csv.DictReader(lines)}
    assert {path.removeprefix("mine/"): kind for path, (kind, _) in dropped.items()} == {
        "again.mid": "duplicate",
        "cut.mid": "damaged",
        "drums.mid": "drums only",
        "far.mid": "too long",
        "fast.mid": "too fast a tempo",
        "none.mid": "no notes",
        "other.mid": "duplicate",
        "short.mid": "too short",
    }
    assert dropped["mine/again.mid"][1] == "the same bytes as mine/a.mid"
    assert dropped["mine/other.mid"][1] == "the same notes as mine/a.mid"
    with np.load(tmp_path / "out" / "mine.npz") as arrays:
        assert arrays["name"].tolist() == ["mine/a.mid", "mine/b/C.MIDI"]
        assert arrays["length"].sum() == len(arrays["dt"])
        np.testing.assert_array_equal(
            arrays["what"][: arrays["length"][0]], prepare.prepare_file("", tune(1)).tokens["what"]
        )
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["mine.dropped.csv", "mine.npz"]


def test_a_folder_and_its_archives_give_the_same(tmp_path: Path) -> None:
    mine = folder_of(tmp_path / "mine", {"a.mid": tune(1), "b.mid": tune(2), "._b.mid": b"x", "c.mid": b"MThd"})
    for kind in ("xz", "gz", "bz2", ""):
        with tarfile.open(tmp_path / f"mine.tar{kind and '.'}{kind}", f"w:{kind}") as archive:
            archive.add(mine, "./mine" if kind == "gz" else "mine")
    with zipfile.ZipFile(tmp_path / "mine.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(mine.iterdir()):
            archive.write(path, f"mine/{path.name}")
            archive.write(path, f"__MACOSX/mine/{path.name}")
    found = {}
    for end in ("", ".tar.xz", ".tar.gz", ".tar.bz2", ".tar", ".zip"):
        assert "mine: 2 kept, 1 damaged" in prepared(tmp_path / end.strip("."), tmp_path / f"mine{end}")
        with np.load(tmp_path / end.strip(".") / "mine.npz") as arrays:
            found[end] = {key: arrays[key].tolist() for key in arrays.files if key not in ("bar", "tempo")}
    assert all(one == found[""] for one in found.values())


def test_what_was_killed_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "FILES", 3)
    mine = folder_of(tmp_path / "mine", {f"{i}.mid": tune(i) for i in range(9)})
    prepared(tmp_path / "whole", mine)
    asked: list[str] = []
    until = 7

    def one(name: str, data: bytes, make: object = prepare.prepare_file) -> prepare.Piece:
        asked.append(name)
        if len(asked) == until:
            raise KeyboardInterrupt
        return make(name, data)  # type: ignore[operator]

    monkeypatch.setattr(prepare, "prepare_file", one)
    with pytest.raises(KeyboardInterrupt):
        corpus.prepare(mine, tmp_path / "out", {}, 1)
    assert not (tmp_path / "out" / "mine.npz").exists()
    (mine / "4.mid").write_bytes(tune(99))  # its part is no longer true
    until, asked[:] = 99, []
    corpus.prepare(mine, tmp_path / "out", {}, 1)
    assert asked == [f"mine/{i}.mid" for i in (3, 4, 5, 6, 7, 8)]
    (mine / "4.mid").write_bytes(tune(4))
    with np.load(tmp_path / "whole" / "mine.npz") as whole, np.load(tmp_path / "out" / "mine.npz") as ours:
        assert whole["name"].tolist() == ours["name"].tolist()
        assert whole["length"][:4].tolist() == ours["length"][:4].tolist()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.npz"]


def test_processes_give_what_one_gives(tmp_path: Path) -> None:
    mine = folder_of(tmp_path / "mine", {f"{i:03}.mid": tune(i) for i in range(70)})
    corpora.improv_train("prepare", str(mine), "--out", str(tmp_path / "two"), "--jobs", "2")
    prepared(tmp_path / "one", mine)
    assert (tmp_path / "one" / "mine.npz").read_bytes() != b""
    with np.load(tmp_path / "one" / "mine.npz") as one, np.load(tmp_path / "two" / "mine.npz") as two:
        for key in one.files:
            np.testing.assert_array_equal(one[key], two[key])


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("none.tar.xz", None, "there is no such archive or folder"),
        ("text.tar.xz", b"hello", "no archive"),
        ("tune.mid", GOOD, "no archive"),
        ("empty.tar.gz", b"", "no archive"),
        ("bad.zip", b"PK\3\4", "no archive"),
        ("cut.tar.xz", "cut", "cut short"),
        ("cut.zip", "cut", "cut short"),
    ],
)
def test_what_is_no_corpus_is_refused_in_one_line(
    name: str, data: bytes | str | None, said: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    if data == "cut":
        whole = folder_of(tmp_path / "whole", {f"{i}.mid": tune(i) for i in range(5)})
        if name.endswith(".zip"):
            with zipfile.ZipFile(path, "w") as archive:
                archive.write(whole / "1.mid")
        else:
            with tarfile.open(path, "w:xz") as archive:
                archive.add(whole)
        data = path.read_bytes()[: path.stat().st_size * 2 // 3]
    if isinstance(data, bytes):
        path.write_bytes(data)
    refused(said, path, tmp_path)


def refused(said: str, *arguments: Path) -> None:
    *sources, folder = arguments
    result = CliRunner().invoke(cli.app, ["prepare", *map(str, sources), "--out", str(folder / "out"), "--jobs", "1"])
    assert result.exit_code == 2
    (line,) = (line for line in result.stderr.splitlines() if line.startswith("improv-train: "))
    assert said in line and str(sources[-1]) in line
    assert not list((folder / "out").glob("*.npz"))


def test_a_folder_with_nothing_in_it_and_two_of_one_name_are_refused(tmp_path: Path) -> None:
    empty = folder_of(tmp_path / "empty", {"._a.mid": b"", "b.txt": b""})
    refused("no MIDI files in it", empty, tmp_path)
    twin = folder_of(tmp_path / "other" / "empty", {"a.mid": tune(1)})
    refused("has the same name", empty, twin, tmp_path)
    (tmp_path / "out").write_text("a file")
    result = CliRunner().invoke(cli.app, ["prepare", str(twin), "--out", str(tmp_path / "out"), "--jobs", "1"])
    assert result.exit_code == 2 and "out is a file; name another place" in result.stderr


def test_arrays_that_are_damaged_or_of_an_older_format_are_refused(tmp_path: Path) -> None:
    prepared(tmp_path / "out", folder_of(tmp_path / "good {1} [live]", {"a.mid": tune(1)}))
    (path,) = (tmp_path / "out").glob("*.npz")
    whole = arrays.read(path)
    assert pieces.load(tmp_path / "out")[0].piece(0).notes == whole["notes"][0]
    for change in (
        {"tier": None},
        {"length": whole["length"] + 1},
        {"length": whole["length"].astype(float)},
        {"what": whole["what"].astype(float)},
        {"split": np.array(["train", "test"])},
        {"style": whole["style"] + 99},
    ):
        np.savez(path, **{key: value for key, value in {**whole, **change}.items() if value is not None})
        with pytest.raises(BadInput, match="run prepare again"):
            pieces.load(tmp_path / "out")


@pytest.mark.parametrize("at", [None, *range(60, 800, 90)])
def test_a_torn_file_of_arrays_is_noticed(at: int | None, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, a=np.random.default_rng(1).integers(0, 4, 3000))
    data = bytearray(path.read_bytes())
    if at is None:
        with path.open("wb") as file:
            np.save(file, np.zeros(3))
    else:
        data[at : at + 30] = bytes(byte ^ 0x55 for byte in data[at : at + 30])
        path.write_bytes(data)
    with pytest.raises(arrays.Damaged):
        arrays.read(path)


def test_where_nothing_can_be_used_it_is_reported(tmp_path: Path) -> None:
    bad = folder_of(tmp_path / "bad", {"a.mid": b"MThd", "b.mid": b""})
    (bad / "c.mid").symlink_to("nowhere")
    said = prepared(tmp_path / "out", bad, folder_of(tmp_path / "good", {"a.mid": tune(1)}))
    assert "bad: 0 kept, 2 damaged, 1 unreadable" in said and "good: 1 kept" in said
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["bad.dropped.csv", "good.npz"]


@pytest.mark.parametrize(
    ("text", "said"),
    [("name,split\na,train\n", "line 2: no path"), ("path,split\nmine/a.mid,tset\n", "line 2: split is 'tset'")],
)
def test_a_bad_manifest_is_one_sentence(text: str, said: str, tmp_path: Path) -> None:
    mine = folder_of(tmp_path / "mine", {"a.mid": tune(1), "manifest.csv": text.encode()})
    result = CliRunner().invoke(cli.app, ["prepare", str(mine), "--out", str(tmp_path / "out")])
    assert result.exit_code == 2 and said in result.stderr and "manifest.csv" in result.stderr


TAKES = [
    ["Prelude.mid", "prelude (2).mid", "Prelude_take1.mid", "Prelude - Copy.mid", "Prelude_01.mid", "prelude-v3.midi"],
    ["Étude.mid", "E\u0301tude_02.mid", "étude [take 2].mid"],  # as Linux and as macOS spell it
    ["Yesterday.1.mid", "Yesterday.2.mid", "Yesterday.10.mid"],
    ["bwv_846_take_1.mid", "bwv_846_final.mid"],
    ["x/001-v1.mid", "x/001-v2.mid", "x/001.mid"],
]


@pytest.mark.parametrize("takes", TAKES)
def test_takes_of_a_piece_are_in_one_split(takes: list[str]) -> None:
    assert len({splits.composition(name) for name in takes}) == 1
    assert len(set(splits.splits(takes))) == 1


def test_pieces_are_told_apart_and_split_alike_everywhere() -> None:
    names = ["bwv_846.mid", "bwv_847.mid", "Alive.mid", "Olive.mid", "001.mid", "002.mid", "a/1.mid", "b/1.mid"]
    assert len({splits.composition(name) for name in names}) == len(names)
    assert len({splits.composition(f"Invention_{i:02}.mid") for i in range(15)}) == 1
    assert len(set(splits.splits([f"Invention_{i:02}.mid" for i in range(99)]))) == 3
    many = splits.splits([f"corpus/{i:04}.mid" for i in range(1000)])
    assert [many.count(part) for part in ("train", "validation", "test")] == [803, 93, 104]


def test_a_name_is_the_same_for_a_folder_and_an_archive() -> None:
    for corpus_ in ("lakh", "a/lakh.tar.gz", "lakh.zip", "./lakh/", "lakh.tgz"):
        assert archives.name_of(Path(corpus_)) == "lakh"
