"""Players: what was played in one session is known in the next, and files that others made do no harm."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from improv import players
from improv.cli import app
from improv.config import Settings
from improv.midi import files
from improv.midi.log import Log
from improv.midi.recorder import duet
from improv.music.events import Heard, NoteOff, NoteOn
from improv.music.steering import Steering
from improv.music.timeline import NS, Timeline
from improv.net import codec, memory, weights
from improv.recording import Recording
from tests.nets import lively
from tests.stage import Show, Stage, notes

LICK = (60, 64, 67, 66, 62, 69, 71, 65)
OTHER = (55, 50, 57, 48, 53, 52, 60, 49)  # no pair of its intervals is one of the lick's
ROW = bytes((60, 0, 1, 0))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def improv(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result.exit_code, result.output


def played(pitches: Sequence[int], begin_ns: int) -> list[Heard]:
    events: list[Heard] = []
    for i, pitch in enumerate(pitches):
        on_ns = begin_ns + i * NS // 8
        events += [NoteOn(on_ns, pitch, 80), NoteOff(on_ns + NS // 16, pitch)]
    return events


def session(heard: Sequence[Heard], seed: int, remembered: bytes = b"") -> Show:
    settings = Settings(steering=Steering(memory=1.0)).musicianship(seed)
    return Stage(lively(), settings, remembered=remembered).play(heard)


def taught() -> bytes:
    """By a session in which a lick was played eight times."""
    heard = [event for i in range(8) for event in played(LICK, NS + i * 8 * NS)]
    return session(heard, 1).engine.remembered()


def quotes(pitches: Sequence[int]) -> int:
    """How many of the lick's pairs of intervals are played, in any key."""
    pairs, its = ([*itertools.pairwise(np.diff(tune).tolist())] for tune in (pitches, LICK))
    return sum(pair in its for pair in pairs)


# From session to session


def test_a_lick_taught_in_one_session_is_quoted_in_the_next(here: Path) -> None:
    """Where it is only begun, after something else."""
    players.begin("anna")
    players.keep("anna", taught())
    question = [*played(OTHER, NS), *played(LICK[:5], 2 * NS)]

    def quoted(remembered: bytes) -> int:
        shows = [session(question, seed, remembered) for seed in range(6)]
        return sum(quotes([note.pitch for note in notes(show.sent)]) for show in shows)

    assert quoted(players.read("anna")) > 2 * quoted(b"") + 6


def test_what_one_session_adds_is_there_in_the_one_after_the_next() -> None:
    first = session(played(LICK, NS), 1).engine.remembered()
    second = session(played(OTHER, NS), 1, first).engine.remembered()
    assert second.startswith(first) and players.notes(second) == len(LICK) + len(OTHER)
    assert [begins for *_, begins, _ in memory.ROW.iter_unpack(second)] == ([1] + [0] * 15) * 2


# Files


def test_a_player_is_a_name_in_a_folder_here_or_a_file_anywhere(here: Path) -> None:
    elsewhere = here / "set" / "ben.json"
    for name, path in {"anna": Path("players/anna.json"), str(elsewhere): elsewhere, "c.json": Path("c.json")}.items():
        assert players.begin(name) == b"" and players.keep(name, ROW) == path
        assert players.read(name) == ROW == players.begin(name)
    assert [path.name for path in (here / "players").iterdir()] == ["anna.json"]


def test_what_was_there_stays_where_nothing_can_be_written(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    players.begin("anna")
    players.keep("anna", ROW)

    def full(source: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="No space left"):
        players.keep("anna", ROW * 2)
    assert players.read("anna") == ROW and len(list(Path("players").iterdir())) == 1


def test_nothing_is_written_through_a_link(here: Path) -> None:
    players.begin("anna")
    (here / "other").write_text("another's")
    Path("players/anna.json").symlink_to(here / "other")
    players.keep("anna", ROW)
    assert (here / "other").read_text() == "another's" and players.read("anna") == ROW


def spoiled(**changes: object) -> str:
    good = {"improv-player": 1, "fingerprint": codec.FINGERPRINT, "memory": memory.spelled(ROW)}
    return json.dumps({**good, **changes})


BAD = {
    "": "it is no player of improv, or damaged",
    "[" * 60_000: "it is no player of improv, or damaged",
    "[1]": "it is no player of improv, or damaged",
    '{"improv-player": 1}': "it is no player of improv, or damaged",
    spoiled(memory=7): "it is no player of improv, or damaged",
    spoiled(memory="AAAA" * 3): "it is no player of improv, or damaged",
    spoiled(memory=memory.spelled(ROW * (memory.EVENTS + 1))): "it is no player of improv, or damaged",
    spoiled(memory="A" * 70_000): "it is larger than 64 KB",
    spoiled(fingerprint="0" * 16): "another version of improv wrote it",
    spoiled(**{"improv-player": 2}): "another version of improv wrote it",
}


@pytest.mark.parametrize("text", BAD)
def test_a_file_that_is_no_player_is_refused_in_one_sentence(text: str, here: Path) -> None:
    players.begin("anna")
    path = Path("players/anna.json")
    path.write_text(text)
    seed = seed_file(here)
    for command in (("listen", "--virtual"), ("render", seed, "-o", here / "answer.mid"), ("demo",)):
        status, said = improv(*command, "--player", "anna")
        assert status == 2 and f"{path}: {BAD[text]}" in said and len(said.splitlines()) == 1, said
    assert path.read_text() == text
    assert improv("players") == (0, f"anna  refused: {said.removeprefix('improv: ')}")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "give a name, or the path of a file"),
        ("..", "give a name, or the path of a file"),
        ("/dev/null/anna.json", "the folder /dev/null cannot be made (File exists)"),
        (".", "give a name, or the path of a file"),
    ],
)
def test_a_place_where_nothing_can_be_kept_is_refused_before_anything_sounds(name: str, says: str, here: Path) -> None:
    status, said = improv("listen", "--virtual", "--player", name)
    assert status == 2 and says in said and len(said.splitlines()) == 1


def test_where_it_is_only_read_one_that_is_not_there_is_refused(here: Path) -> None:
    players.begin("anna")
    players.keep("anna", ROW)
    status, said = improv("render", seed_file(here), "-o", here / "answer.mid", "--player", "ben")
    assert status == 2 and "there is no players/ben.json (found in ./players: anna)" in said


def test_players_are_listed(here: Path) -> None:
    assert improv("players") == (0, "there are none yet; `improv listen --player NAME` makes one\n")
    players.begin("anna")
    players.keep("anna", taught())
    status, said = improv("players")
    assert status == 0 and said.startswith("anna     64 notes, 20") and len(said.splitlines()) == 1


# The commands, with the weights that are shipped


def seed_file(folder: Path) -> Path:
    events = [event._replace(time_ns=event.time_ns - NS) for event in played(OTHER, NS) + played(LICK[:5], 2 * NS)]
    files.write(folder / "seed.mid", duet(events, [])[:1], [Timeline()])
    return folder / "seed.mid"


def test_a_file_is_answered_with_what_a_player_remembers_and_the_player_stays_as_it_was(here: Path) -> None:
    players.begin("anna")
    before = players.keep("anna", taught()).read_bytes()
    seed, answers = seed_file(here), {}
    for flags in ((), ("--player", "anna"), ("--player", "players/anna.json")):
        status, said = improv("render", seed, "-o", here / "answer.mid", "--memory", "1", *flags)
        assert status == 0, said
        answers[flags] = (here / "answer.mid").read_bytes()
    assert answers[()] != answers["--player", "anna"] == answers["--player", "players/anna.json"]
    assert Path("players/anna.json").read_bytes() == before


def test_a_log_holds_what_the_session_began_with_and_what_it_left_can_be_kept(here: Path) -> None:
    """The player's file is another one since."""
    remembered = taught()
    settings = Settings(random_seed=7, player="anna", steering=Steering(memory=1.0))
    card, net = weights.load("open")
    recorded = Recording(here, settings, card, remembered)
    stage = Stage(net, settings.musicianship(7), remembered=remembered)
    show = stage.play([*played(OTHER, NS), *played(LICK[:5], 2 * NS)], 6 * NS)
    for record in stage.records:
        recorded.keep(record)
    recorded.finish([])
    (log,) = here.glob("*.log")
    assert memory.read(Log(log).header.memory) == remembered
    status, said = improv("replay", log, "--player", "anna")
    assert status == 0 and said.splitlines()[-1].startswith("the same "), said
    assert players.read("anna") == show.engine.remembered() != remembered
    first, rest = log.read_text().split("\n", 1)
    (here / "improv-2.log").write_text(json.dumps({**json.loads(first), "memory": ""}) + "\n" + rest)
    assert improv("replay", here / "improv-2.log", "--player", "ben")[0] == 1
    assert not Path("players/ben.json").exists()
    (here / "improv-3.log").write_text(json.dumps({**json.loads(first), "memory": "AAA"}) + "\n" + rest)
    status, said = improv("replay", here / "improv-3.log")
    assert status == 2 and "line 1 is damaged" in said
