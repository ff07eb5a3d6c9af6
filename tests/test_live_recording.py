"""Recording on real ports: a kill, a full disk, and a session played again from its log."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import mido
import pytest

from improv import players
from tests.jack import Daemon, Env, Player, kill, server_or_skip

pytestmark = pytest.mark.jack

MACHINE = 2
NS = 1_000_000_000
VIRTUAL = ("--virtual", "--api", "jack", "--random-seed", "1")
PITCHES = (60, 64, 67, 72, 71, 67, 65, 62)


@pytest.fixture(scope="module")
def env() -> Iterator[Env]:
    with server_or_skip() as env:
        yield env


def phrase(spacing_s: float = 0.12) -> list[tuple[float, list[int]]]:
    strokes = [(i * spacing_s, [0x90, pitch, 70 + i]) for i, pitch in enumerate(PITCHES)]
    lifts = [((i + 0.8) * spacing_s, [0x80, pitch, 0]) for i, pitch in enumerate(PITCHES)]
    return sorted(strokes + lifts)


def improv(env: Env, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "improv", *map(str, arguments)]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)


def parts(path: Path) -> list[list[int]]:
    """The pitches of the player and of the improviser."""
    tracks = mido.MidiFile(path).tracks[1:]
    return [[m.note for m in track if m.type == "note_on" and m.velocity] for track in tracks]


def test_what_was_cut_short_is_recovered_when_it_records_again(env: Env, tmp_path: Path) -> None:
    with Daemon(env, *VIRTUAL, "--record", str(tmp_path)) as daemon, Player(env) as player:
        player.play(phrase())
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
    (log,) = tmp_path.glob("*.log")
    log.write_bytes(log.read_bytes()[:-10])
    for kind in (".mid", ".txt"):
        log.with_suffix(kind).unlink()
    with Daemon(env, *VIRTUAL, "--record", str(tmp_path)) as daemon:
        assert daemon.err.lines == [f"improv: recovered {log.with_suffix('.mid')}"]
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
    assert parts(log.with_suffix(".mid"))[0] == list(PITCHES)
    assert {path.suffix for path in tmp_path.iterdir()} == {".log", ".mid"}  # where nothing is played nothing stays


def test_a_full_disk_stops_the_recording_and_not_the_music(env: Env, tmp_path: Path) -> None:
    with Daemon(env, *VIRTUAL, "--record", str(tmp_path)) as daemon, Player(env) as player:
        (log,) = tmp_path.iterdir()
        size = log.stat().st_size
        resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (size + 100, size + 100))
        for _ in range(2):
            ended_ns = player.play(phrase())[-1].time_ns
            assert player.wait_for_notes(MACHINE, 2, after_ns=ended_ns)
            assert player.wait_for_quiet(1.5, timeout_s=10.0)
        assert daemon.err.lines == [f"improv: {log}: the recording stops here (File too large)"]
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
    assert log.exists()


def test_a_reader_that_has_gone_is_nobodys_fault(env: Env, tmp_path: Path) -> None:
    kept = ("--record", str(tmp_path), "--player", str(tmp_path / "anna.json"))
    pipe = subprocess.PIPE
    command = [sys.executable, "-m", "improv", "listen", *VIRTUAL, *kept]
    with subprocess.Popen(command, env=env, stdout=pipe, stderr=pipe, text=True) as session:
        assert session.stdout is not None and session.stderr is not None
        assert session.stdout.readline().startswith("listening")
        with Player(env) as player:
            player.play(phrase())
        session.stdout.close()
        session.send_signal(signal.SIGINT)
        said = session.stderr.read().splitlines()
    assert session.returncode == 0
    assert len(said) == 1 and "begins with an empty memory" in said[0]
    assert {path.suffix for path in tmp_path.iterdir()} == {".log", ".mid", ".txt", ".json"}


def test_a_session_is_played_again_from_its_log(env: Env, tmp_path: Path) -> None:
    with Daemon(env, *VIRTUAL[:-2], "--record", str(tmp_path), "--bpm", "120") as daemon, Player(env) as player:
        for _ in range(2):  # the second one breaks the first answer off
            ended_ns = player.play(phrase())[-1].time_ns
            assert player.wait_for_notes(MACHINE, 2, after_ns=ended_ns)
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
    (log,) = tmp_path.glob("*.log")
    done = improv(env, "replay", log, "--out", tmp_path / "again.mid")
    assert done.returncode == 0 and done.stdout.splitlines()[-1].startswith("the same "), done
    assert (tmp_path / "again.mid").read_bytes() == log.with_suffix(".mid").read_bytes()


def test_each_turn_is_told_to_who_asks_for_it(env: Env, tmp_path: Path) -> None:
    told = tmp_path / "told.log"
    with Daemon(env, *VIRTUAL, "-v", "--log-file", str(told)) as daemon, Player(env) as player:
        ended_ns = player.play(phrase())[-1].time_ns
        assert player.wait_for_notes(MACHINE, 1, after_ns=ended_ns)
        assert daemon.err.wait(lambda: bool(daemon.err.lines), 10.0)
        answered = len(player.notes(MACHINE))
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
        (line,) = daemon.err.lines
    assert line.startswith(f"improv: heard {len(PITCHES)} notes in ") and f", answered {answered} notes in " in line
    lines = [line[len("2026-11-21 21:00:00,000 ") :] for line in told.read_text().splitlines()]
    assert lines[0].startswith("listening to ") and line == f"improv: {lines[1]}"
    assert lines[2] == f"heard {len(PITCHES)} notes, answered with {answered}"


def test_killed_it_has_recorded_all_but_the_last_second(env: Env, tmp_path: Path) -> None:
    with Daemon(env, *VIRTUAL, "--record", str(tmp_path)) as daemon, Player(env) as player:
        ended_ns = player.play(phrase())[-1].time_ns
        assert player.wait_for_notes(MACHINE, 2, after_ns=ended_ns) and player.wait_for_quiet(1.2, 10.0)
        ended_ns = player.play(phrase())[-1].time_ns
        assert player.wait_for_notes(MACHINE, 2, after_ns=ended_ns)
        killed_ns = kill(daemon.process.pid)
        daemon.wait()
        played = [event for event in player.sent if event.note_on]
        answered = player.notes(MACHINE)
    (log,) = tmp_path.iterdir()
    assert log.suffix == ".log"
    done = improv(env, "recover", tmp_path)
    assert (done.returncode, done.stdout) == (0, f"recovered {log.with_suffix('.mid')}\n")
    for events, found in zip((played, answered), parts(log.with_suffix(".mid")), strict=True):
        sure = [event.message[1] for event in events if event.time_ns < killed_ns - NS]
        assert len(sure) > 1 and found[: len(sure)] == sure
    assert improv(env, "replay", log).returncode == 0


def test_what_was_played_is_kept_as_a_player_and_a_kill_leaves_it_as_it_was(env: Env, tmp_path: Path) -> None:
    path = tmp_path / "anna.json"
    flags = (*VIRTUAL, "--player", str(path))
    with Daemon(env, *flags) as daemon, Player(env) as player:
        assert daemon.err.lines == [f"improv: player {path}: begins with an empty memory, and is kept in {path}"]
        player.play(phrase())
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
    kept = path.read_bytes()
    assert players.notes(players.read(str(path))) == len(PITCHES)
    with Daemon(env, *flags, "--record", str(tmp_path)) as daemon, Player(env) as player:
        ended_ns = player.play(phrase())[-1].time_ns
        assert player.wait_for_notes(MACHINE, 2, after_ns=ended_ns)
        daemon.signal(signal.SIGKILL)
        daemon.wait()
    assert path.read_bytes() == kept and daemon.err.lines == []
    (log,) = tmp_path.glob("*.log")
    done = improv(env, "replay", log, "--player", path)
    assert done.returncode == 0 and f"{path}: {2 * len(PITCHES)} notes remembered" in done.stdout, done
