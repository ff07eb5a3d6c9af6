"""A log that is played again: the same calls of a fresh engine, and so the same notes, to the bit."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import mido
import numpy as np
import pytest
from typer.testing import CliRunner

from improv import recording
from improv.cli import app
from improv.config import Settings
from improv.engine import Engine
from improv.errors import BadInput
from improv.midi import files, log
from improv.midi.frames import Sent
from improv.midi.log import Gave, Log, Record, Step
from improv.midi.recorder import session_path
from improv.music.events import (
    AnotherTake,
    Ask,
    ClockOffset,
    ForgetMe,
    Freeze,
    Heard,
    LoopThat,
    Mark,
    NoteOn,
    OutLatency,
    Pedal,
    Retime,
    Steer,
    Tap,
    Undo,
    VaryThat,
)
from improv.music.musicianship import Musicianship, Time
from improv.music.schedule import is_note_on
from improv.music.steering import Steering
from improv.music.timeline import NS, Timeline
from improv.net import codec, weights
from improv.net.stepper import Reading
from improv.recording import Recording, recovered
from improv.replay import compare
from tests import clocks
from tests.nets import FlatNet, lively
from tests.stage import Faults, Stage, every, played_on

MS = NS // 1000
LINE = Timeline(120.0, NS, metric=True)
TUNE = played_on(LINE, every(0.5, 0, 12))


class MindfulNet(FlatNet):
    """What it plays depends on all that it has read, down to the last bit."""

    def __init__(self) -> None:
        super().__init__(lively()._dt)

    def read(self, state: np.ndarray, token: np.ndarray, context: np.ndarray) -> Reading:
        mixed = np.sin(state * 3.7 + token.sum() + context.sum()).astype(np.float64)
        return Reading(mixed, mixed, self._dt + np.float32(mixed[0]) * (self._dt > -1))

    def what(self, hidden: np.ndarray, dt: int, phase: int) -> np.ndarray:
        return np.cos(np.arange(codec.WHATS) * hidden[0]).astype(np.float32)


def session(heard: list[Heard], musicianship: Musicianship, faults: Faults) -> list[Record]:
    stage = Stage(MindfulNet(), musicianship, faults)
    stage.play(heard)
    return stage.records


def through_a_file(records: list[Record], folder: Path) -> list[Record]:
    header = log.Header("0", "", "", "", {}, {})
    path = folder / "improv-1.log"
    path.write_text(log.header_line(header) + "".join(log.lines(records)))
    return list(Log(path).records())


def later(heard: list[Heard], by_ns: int) -> list[Heard]:
    return [event._replace(time_ns=event.time_ns + by_ns) for event in heard]


SHOWS: dict[str, tuple[list[Heard], Musicianship]] = {
    "free": ([Pedal(NS, True), *TUNE, Pedal(8 * NS, False)], Musicianship()),
    "internal": (TUNE, Musicianship(time=Time(bpm=97.3))),
    "remembering": (TUNE, Musicianship(steering=Steering(memory=1.0))),
    "marked": (
        [*TUNE, Mark(9 * NS, True), *played_on(LINE, every(0.5, 20, 32)), Mark(18 * NS, False), Ask(20 * NS)],
        Musicianship(steering=Steering(memory=1.0)),
    ),
    "tapped": ([*(Tap(n * 613 * MS) for n in range(1, 9)), *played_on(LINE, every(0.5, 8, 20))], Musicianship()),
    "link": (
        [
            Retime(NS, LINE, jump=True), *TUNE, ClockOffset(9 * NS, 20 * MS), OutLatency(9 * NS, 7 * MS),
            Retime(10 * NS, LINE._replace(bpm=101.01, origin_ns=10 * NS, origin_beat=18.0)),
        ],
        Musicianship(time=Time("link")),
    ),
    "trade": ([Retime(NS, LINE, jump=True), *TUNE], Musicianship(time=Time("link", mode="trade", bars=2))),
    "takes": (
        [
            *TUNE, AnotherTake(9 * NS), AnotherTake(16 * NS), Undo(17 * NS), Freeze(18 * NS), *later(TUNE, 18 * NS),
            *later(TUNE, 28 * NS), Undo(38 * NS), Undo(38 * NS), *later(TUNE, 38 * NS), Freeze(50 * NS),
            VaryThat(50 * NS), ForgetMe(53 * NS), *later(TUNE, 53 * NS),
        ],
        Musicianship(steering=Steering(memory=1.0)),
    ),
    "loop": (
        [Retime(NS, LINE, jump=True), *TUNE, LoopThat(10 * NS), *later(TUNE, 12 * NS), LoopThat(26 * NS)],
        Musicianship(time=Time("link")),
    ),
    "steered": (
        [
            *TUNE, Steer(2 * NS, "velocity_follow", 0.5), Steer(9 * NS, "key", "inferred"),
            Steer(9 * NS, "density", 4.0), Steer(10 * NS, "variation", 0.5),
            Steer(10 * NS, "register", 7), Steer(11 * NS, "voices", 2), Steer(11 * NS, "key", "F# minor"),
            Steer(12 * NS, "length", 4.0), *later(TUNE, 12 * NS),
        ],
        Musicianship(steering=Steering(key="A dorian", density=0.5, register=-12)),
    ),
    "midi": (
        [*clocks.played(clocks.steady(120, 24), jitter_ms=2.0).events, *TUNE],
        Musicianship(time=Time("midi"), out_latency_ns=5 * MS),
    ),
}  # fmt: skip
FAULTS = {
    "on time": Faults(),
    "a slow network": Faults(step_ns=30 * MS),
    "late threads": Faults(engine_late_ns=40 * MS, outlet_late_ns=60 * MS, seed=3),
    "stalls": Faults(3 * MS, 5 * MS, 2 * MS, [(8 * NS, 400 * MS)], [(9 * NS, 150 * MS), (10 * NS, 700 * MS)]),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("show", SHOWS)
def test_a_replay_gives_the_same_to_the_bit(show: str, fault: str, tmp_path: Path) -> None:
    heard, musicianship = SHOWS[show]
    records = session(sorted(heard, key=lambda event: event.time_ns), musicianship, FAULTS[fault])
    outcome = compare(through_a_file(records, tmp_path), Engine(MindfulNet(), musicianship))
    assert outcome.difference is None
    assert outcome.notes == sum(isinstance(record, Sent) and is_note_on(record.message) for record in records) > 0


def test_another_seed_or_setting_is_noticed() -> None:
    records = session(TUNE, Musicianship(), Faults())
    for other in (
        Musicianship(seed=1),
        Musicianship(steering=Steering(style="song")),
        Musicianship(steering=Steering(memory=1.0)),
        Musicianship(time=Time(bpm=100.0)),
    ):
        outcome = compare(records, Engine(MindfulNet(), other))
        assert outcome.difference is not None and outcome.difference.then != outcome.difference.now


def test_what_was_changed_in_a_log_is_noticed() -> None:
    records = session(TUNE, Musicianship(), Faults())
    places = [n for n, record in enumerate(records) if isinstance(record, Gave)]
    for place in (places[0], places[-1]):
        without = [*records[:place], *records[place + 1 :]]
        assert compare(without, Engine(MindfulNet(), Musicianship())).difference is not None


def test_a_log_that_was_cut_is_the_same_as_far_as_it_goes() -> None:
    records = session(TUNE, Musicianship(), Faults())
    for end in range(0, len(records), 17):
        assert compare(records[:end], Engine(MindfulNet(), Musicianship())).difference is None


# The commands, with the weights that are shipped


@pytest.fixture(scope="module")
def take(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log of a session, in the folder of `--record`."""
    folder = tmp_path_factory.mktemp("takes")
    settings = Settings(random_seed=7, bpm=112.0)
    card, net = weights.load("open")
    recorded = Recording(folder, settings, card)
    stage = Stage(net, settings.musicianship(7))
    stage.play(TUNE, 14 * NS)
    for record in stage.records:
        recorded.keep(record)
    recorded.finish(["heard some notes"])
    (path,) = folder.glob("*.log")
    return path


def improv(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result.exit_code, result.output


def test_a_session_leaves_its_log_a_midi_file_and_a_text(take: Path) -> None:
    assert {path.suffix for path in take.parent.iterdir()} == {".log", ".mid", ".txt"}
    assert take.with_suffix(".txt").read_text() == "heard some notes\n"
    assert any(isinstance(event, NoteOn) for event in files.read(take.with_suffix(".mid")).events)


def test_a_session_is_replayed_by_its_log_alone(take: Path, tmp_path: Path) -> None:
    status, told = improv("replay", take, "--out", tmp_path / "again.mid")
    (improviser,) = (track for track in mido.MidiFile(tmp_path / "again.mid").tracks if track.name == "improviser")
    count = sum(message.type == "note_on" and message.velocity > 0 for message in improviser)
    assert (status, told.splitlines()[-1]) == (0, f"the same {count} notes") and count > 3
    assert (tmp_path / "again.mid").read_bytes() == take.with_suffix(".mid").read_bytes()


def header_with(take: Path, folder: Path, **changes: object) -> Path:
    first, rest = take.read_text().split("\n", 1)
    path = folder / "improv-9.log"
    path.write_text(json.dumps({**json.loads(first), **changes}) + "\n" + rest)
    return path


SETTINGS = dataclasses.asdict(Settings(random_seed=7, bpm=112.0))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"weights": "mine"}, "weights mine are not installed; name their folder with --weights"),
        ({"weights": "../../etc"}, "weights ../../etc are not installed"),
        ({"graphs": {"trunk": "0" * 64}}, "played with weights open, and "),
        ({"settings": {**SETTINGS, "random_seed": None}}, "names no random seed"),
        ({"settings": {**SETTINGS, "steering": {"top_p": 9.0}}}, "settings: `steering.top_p` is 9.0; it must be from"),
        ({"settings": {**SETTINGS, "volume": 11}}, "settings: `volume` is no setting"),
        ({"settings": {**SETTINGS, "turns": 5}}, "settings: `turns` holds settings of its own"),
        ({"settings": {**SETTINGS, "steering": {"style": "reggae"}}}, "`steering.style` (--style) is reggae"),
    ],
)
def test_what_cannot_be_replayed_is_said_in_a_sentence(
    take: Path, tmp_path: Path, changes: dict[str, object], says: str
) -> None:
    status, told = improv("replay", header_with(take, tmp_path, **changes))
    assert status == 2 and says in told and len(told.splitlines()) == 1


def test_a_replay_that_differs_says_where(take: Path, tmp_path: Path) -> None:
    changed = header_with(take, tmp_path, settings={**SETTINGS, "random_seed": 8}, improv="0.0.1")
    status, told = improv("replay", changed)
    first, then, now, version = told.splitlines()
    assert status == 1 and first.startswith("after ") and first.endswith(" s from the start")
    assert "NoteOn" in then + now and "improv 0.0.1" in version


def test_a_long_log_does_not_hold_up_the_music(take: Path, tmp_path: Path) -> None:
    (tmp_path / "improv-1.log").write_bytes(take.read_bytes())
    (outcome,) = recovered(tmp_path, most=100)
    assert "`improv recover " in outcome.line and not (tmp_path / "improv-1.mid").exists()
    assert [outcome.line for outcome in recovered(tmp_path)] == [f"recovered {tmp_path}/improv-1.mid"]


def test_nothing_is_recovered_through_a_link(take: Path, tmp_path: Path) -> None:
    (tmp_path / "improv-1.log").write_bytes(take.read_bytes())
    (tmp_path / "improv-1.mid").symlink_to(tmp_path / "elsewhere")
    assert list(recovered(tmp_path)) == [] and not (tmp_path / "elsewhere").exists()


def test_a_new_log_takes_the_place_of_no_link(tmp_path: Path) -> None:
    taken = session_path(tmp_path)
    for end in (".log", ".mid", ".txt"):
        taken.with_suffix(end).symlink_to(tmp_path / "elsewhere")
        assert session_path(tmp_path).name != taken.name
        taken.with_suffix(end).unlink()


def test_a_folder_is_recovered(take: Path, tmp_path: Path) -> None:
    whole = take.read_bytes()
    for name, data in {
        "improv-1.log": whole[: len(whole) * 2 // 3],
        "improv-2.log": whole[: whole.index(b"\n") + 1],  # nothing was played
        "improv-3.log": b"no log",
        "improv-4.log": whole,
        "other.log": b"not ours",
        "concert-1.log": whole,  # ours, by another name
    }.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "improv-4.mid").write_bytes(b"made already")
    (tmp_path / "folder.log").mkdir()
    os.mkfifo(tmp_path / "pipe.log")
    status, told = improv("recover", tmp_path)
    assert status == 2 and len(told.splitlines()) == 3
    assert (tmp_path / "concert-1.mid").read_bytes() == take.with_suffix(".mid").read_bytes()
    assert f"recovered {tmp_path}/improv-1.mid" in told and "improv-3.log: it is no log of improv" in told
    assert files.read(tmp_path / "improv-1.mid").stuck == 0
    assert {path.name for path in tmp_path.glob("*.mid")} == {"concert-1.mid", "improv-1.mid", "improv-4.mid"}
    assert (tmp_path / "improv-4.mid").read_bytes() == b"made already"
    (tmp_path / "improv-3.log").unlink()
    assert improv("recover", tmp_path) == (0, f"{tmp_path}: there is nothing to recover\n")
    status, told = improv("recover", tmp_path / "improv-4.log")
    assert status == 2 and "improv-4.mid: it is there already" in told
    assert (tmp_path / "improv-4.mid").read_bytes() == b"made already"
    (tmp_path / "improv-4.mid").unlink()
    assert improv("recover", tmp_path / "improv-4.log")[0] == 0
    assert (tmp_path / "improv-4.mid").read_bytes() == take.with_suffix(".mid").read_bytes()
    assert improv("recover", tmp_path / "improv-5.log") == (
        2,
        f"improv: {tmp_path}/improv-5.log: there is no such log or folder\n",
    )


def test_a_session_that_is_being_played_is_not_recovered(tmp_path: Path) -> None:
    session = Recording(tmp_path, replace(Settings(), random_seed=1), weights.read("open"))
    session.keep(Step(NS, NoteOn(NS, 60, 64)))
    (path,) = tmp_path.iterdir()
    line = f"{path}: it is being played; its MIDI file is made at the end"
    assert list(recovered(tmp_path)) == [(line, True)] and list(recovered(path)) == [(line, False)]
    assert improv("recover", tmp_path) == (0, f"{line}\n")
    assert improv("recover", path) == (2, f"improv: {line}\n")
    session.finish([])
    assert path.with_suffix(".mid").exists() and list(recovered(tmp_path)) == []


def test_a_replay_does_not_write_over_its_log(take: Path, tmp_path: Path) -> None:
    log = tmp_path / "improv-1.log"
    log.write_bytes(take.read_bytes())
    (link := tmp_path / "link.mid").symlink_to(log)
    for out in (log, link):
        status, told = improv("replay", log, "--out", out)
        assert status == 2 and "this is the log as well" in told
    assert log.read_bytes() == take.read_bytes()


def test_where_no_log_can_be_begun_none_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(paper: object, header: log.Header) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(recording, "Journal", full)
    with pytest.raises(BadInput, match=r"`record` \(--record\) .*: the log cannot be begun \(No space left"):
        Recording(tmp_path, replace(Settings(), random_seed=1), weights.read("open"))
    assert not list(tmp_path.iterdir())


def test_two_sessions_that_begin_at_once_take_a_log_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (taken := tmp_path / "improv-1.log").write_bytes(b"another's")
    names = iter([taken, tmp_path / "improv-1-2.log"])
    monkeypatch.setattr(recording, "session_path", lambda folder: next(names))
    session = Recording(tmp_path, replace(Settings(), random_seed=1), weights.read("open"))
    session.keep(Step(NS, NoteOn(NS, 60, 64)))
    session.finish([])
    assert taken.read_bytes() == b"another's" and (tmp_path / "improv-1-2.mid").exists()


def test_where_nothing_was_played_nothing_stays(tmp_path: Path) -> None:
    session = Recording(tmp_path, replace(Settings(), random_seed=1), weights.read("open"))
    session.keep(Step(NS))
    session.finish([])
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_gone_at_the_end_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder := tmp_path / "stick").mkdir()
    session = Recording(folder, replace(Settings(), random_seed=1), weights.read("open"))
    session.keep(Step(NS, NoteOn(NS, 60, 64)))
    shutil.rmtree(folder)
    session.finish([])
    (said,) = caplog.messages
    assert said.endswith("it cannot be read (No such file or directory)")
