"""The daemon as a musician meets it: real ports on a private JACK server, and a player in another process."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import mido
import pytest

from improv import shipped
from tests.jack import Daemon, Env, Phrase, Player, server_or_skip
from tests.observer import Stamped

pytestmark = pytest.mark.jack

PLAYER, MACHINE, DRUMS = 1, 2, 10  # channels
MS = 1_000_000
SILENT_NS = 250 * MS  # by when it is silent after a signal
YIELD_NS = 80 * MS  # by when it is silent after the player came in
TURN_CC = 67
VIRTUAL = ("--virtual", "--api", "jack", "--random-seed", "1")
TURNS = ("--turn-cc", str(TURN_CC))
ARPEGGIO = (60, 64, 67, 72, 71, 67, 65, 62)


@pytest.fixture(scope="module")
def env() -> Iterator[Env]:
    with server_or_skip() as env:
        yield env


def line(pitches: tuple[int, ...] = ARPEGGIO, spacing_s: float = 0.25, channel: int = PLAYER) -> list:
    """An even line, each note held for most of its time."""
    on, off = 0x8F + channel, 0x7F + channel
    strokes = [(i * spacing_s, [on, pitch, 70 + i]) for i, pitch in enumerate(pitches)]
    lifts = [((i + 0.8) * spacing_s, [off, pitch, 0]) for i, pitch in enumerate(pitches)]
    return sorted(strokes + lifts)


def quick() -> list:
    """A phrase of a second, after which the turn passes as soon as it may."""
    return line(spacing_s=0.12)


def at_once(*messages: list[int]) -> Phrase:
    return [(0.0, list(message)) for message in messages]


PRESS, LET_GO = [0xB0, TURN_CC, 127], [0xB0, TURN_CC, 0]


def turn(player: Player) -> int:
    """Press the turn pedal; give the moment."""
    return player.play(at_once(PRESS, LET_GO))[0].time_ns


def of_channel(events: list[Stamped], channel: int) -> list[tuple[int, ...]]:
    return [event.message for event in events if event.channel == channel]


@contextlib.contextmanager
def answering(env: Env, *arguments: str) -> Iterator[tuple[Daemon, Player]]:
    """A daemon that is in the midst of an answer, with something of it sounding."""
    with Daemon(env, *VIRTUAL, *TURNS, *arguments) as daemon, Player(env) as player:
        player.play(quick())
        turn(player)
        player.wait_for_notes(MACHINE, 3)
        assert player.wait(lambda: bool(player.sound(channel=MACHINE).notes), 2.0), "no answer"
        yield daemon, player


def stays_silent(player: Player, since_ns: int, channel: int | None = MACHINE, for_s: float = 0.6) -> bool:
    """Nothing sounds 250 ms after a moment, nor begins later."""
    player.wait(lambda: False, for_s)  # nothing says that nothing comes: the time has to pass
    begun = [event for event in player.received if event.note_on and event.time_ns > since_ns + SILENT_NS]
    return player.sound(since_ns + SILENT_NS, channel) == player.sound(None, channel) == (set(), set()) and not begun


def test_an_even_line_is_answered_in_its_tempo(env: Env) -> None:
    phrase = line()
    with Daemon(env, *VIRTUAL) as daemon, Player(env) as player:
        sent = player.play(phrase)
        begin_ns, end_ns = sent[0].time_ns, sent[-1].time_ns
        first = player.wait_for_notes(MACHINE, timeout_s=3.0)[0]
        assert 0.25e9 <= first.time_ns - end_ns <= 0.8e9
        assert player.wait_for_quiet(2.2, timeout_s=10.0)
        answer = [event for event in player.received if event.time_ns >= first.time_ns]
        assert {event.channel for event in answer} == {MACHINE}
        assert player.sound() == (set(), set())
        lasted_ns, length_ns = answer[-1].time_ns - first.time_ns, end_ns - begin_ns
        assert 0.6 * length_ns <= lasted_ns <= 1.25 * length_ns + 2.05e9
        onsets = [event.time_ns - first.time_ns for event in answer if event.note_on]
        assert max(onsets) <= 1.25 * length_ns + 20 * MS
        daemon.signal(signal.SIGINT)
        assert daemon.wait() == 0
    assert player.report["sounding"] == player.report["pedals"] == []
    assert daemon.err.lines == []


def test_it_says_first_that_it_listens_and_beside_it_what_the_licence_forbids(env: Env, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(shipped.folder("weights") / "open", tmp_path / "mine"))
    card = folder / "card.yaml"
    card.write_text(card.read_text().replace("licence: CC BY 4.0", "licence: CC BY-NC-SA 4.0", 1))
    with Daemon(env, *VIRTUAL, "--weights", str(folder), "--style", "pop") as daemon:
        assert daemon.out.lines[0].startswith("listening")
    assert daemon.err.lines == ["improv: weights mine: CC BY-NC-SA 4.0, not for commercial use"]


def test_the_pedal_holds_the_turn(env: Env) -> None:
    down, up = (0.0, [0xB0, 64, 127]), (2.0, [0xB0, 64, 0])
    with Daemon(env, *VIRTUAL) as _, Player(env) as player:
        up_ns = player.play([down, *quick(), up])[-1].time_ns
        first = player.wait_for_notes(MACHINE, timeout_s=3.0)[0]
        assert 0.25e9 <= first.time_ns - up_ns <= 1.5e9


def test_the_player_comes_in_and_the_machine_yields(env: Env) -> None:
    with answering(env) as (_, player):
        number = player.start(entrance := line(pitches=(48, 50, 52, 53, 55, 57), spacing_s=0.15))
        player.finish(number, 5.0)
        sent = player.sent[-len(entrance) :]
        came_ns, ended_ns = sent[0].time_ns, sent[-1].time_ns
        again = player.wait_for_notes(MACHINE, 1, after_ns=ended_ns, timeout_s=3.0)
        assert again and again[0].time_ns - ended_ns >= 0.25e9
        assert player.sound(came_ns + YIELD_NS, MACHINE) == (set(), set())
        assert [n for n in player.notes(MACHINE, came_ns + 20 * MS) if n.time_ns < again[0].time_ns] == []
        heard = [event.message for event in player.sent if event.message not in (tuple(PRESS), tuple(LET_GO))]
        assert of_channel(player.received, PLAYER) == heard


def test_thru_forwards_all_in_order_and_drums_get_no_answer(env: Env) -> None:
    beats = line(pitches=(36, 38, 36, 38, 42, 46), spacing_s=0.12, channel=DRUMS)
    gesture = at_once(
        [0xB2, 64, 127], [0x92, 60, 90], [0xE2, 12, 70], [0xA2, 60, 33], [0xD2, 44], [0xB2, 1, 99],
        [0x92, 64, 50], [0x82, 60, 10], [0x92, 64, 0], [0xC2, 5], [0xB2, 64, 0], [0xE2, 0, 64],
    )  # fmt: skip
    with Daemon(env, *VIRTUAL) as _, Player(env) as player:
        player.play(beats)
        player.wait_for_notes(MACHINE, timeout_s=1.5)
        assert player.notes(MACHINE) == []
        assert of_channel(player.received, DRUMS) == [tuple(message) for _, message in beats]
        player.play(gesture)
        expected = [(message[0] & 0xF0, *message[1:]) for _, message in gesture]
        assert player.wait(lambda: len(of_channel(player.received, PLAYER)) >= len(gesture), 2.0)
        assert of_channel(player.received, PLAYER) == expected


def test_without_thru_only_the_answer_is_heard(env: Env) -> None:
    with Daemon(env, *VIRTUAL, "--no-thru") as _, Player(env) as player:
        player.play([*quick(), (1.0, [0xB0, 1, 99]), (1.0, [0xE0, 0, 80])])
        assert player.wait_for_notes(MACHINE, 2, timeout_s=3.0)
        assert {event.channel for event in player.received} == {MACHINE}


def test_a_controller_gives_and_takes_the_turn(env: Env) -> None:
    held = quick()[:-1]  # the last key stays down: by itself the turn would not pass
    with Daemon(env, *VIRTUAL, *TURNS) as _, Player(env) as player:
        player.play(held)
        pressed_ns = turn(player)
        first = player.wait_for_notes(MACHINE, timeout_s=2.0)
        assert first and first[0].time_ns - pressed_ns < 50 * MS
        player.wait_for_notes(MACHINE, 3)
        stopped_ns = turn(player)
        assert stays_silent(player, stopped_ns, for_s=1.0)
        assert player.sound(stopped_ns + YIELD_NS, MACHINE) == (set(), set())
        assert (0xB0, TURN_CC, 127) not in of_channel(player.received, PLAYER)


NAMED = ("--virtual", "--to", "Stage Piano", "--from", "Warm Synth")


@pytest.mark.parametrize(
    ("source", "sink"),
    [("stage", "WARM"), ("piano", "synth:port"), ("^st.*port$", "w.rm")],
    ids=["prefix", "substring", "pattern"],
)
def test_ports_are_found_by_name(env: Env, source: str, sink: str) -> None:
    with Player(env, *NAMED) as player, Daemon(env, "--in", source, "--out", sink, *TURNS) as daemon:
        assert daemon.out.lines[-1].startswith('listening to "Stage Piano:port", playing on "Warm Synth:port"')
        player.play(at_once([0x90, 60, 80], PRESS))
        assert player.wait_for_notes(MACHINE)
        assert of_channel(player.received, PLAYER) == []  # thru is off where a synth is named


def test_an_input_that_goes_away_holds_nothing(env: Env) -> None:
    keyboard = ("--virtual", "--to", "Stage Piano", "--from", "Stage Return")
    with (
        Player(env, "--virtual", "--to", "Warm Send", "--from", "Warm Synth") as synth,
        contextlib.ExitStack() as unplug,
    ):
        player = unplug.enter_context(Player(env, *keyboard))
        with Daemon(env, "--in", "stage piano", "--out", "warm synth", "--thru") as daemon:
            player.play(at_once([0x90, 60, 80], [0x90, 64, 80], [0x90, 67, 80], [0xB0, 64, 127]))
            assert synth.wait_for_notes(PLAYER, 3)
            unplug.close()
            assert synth.wait(lambda: not any(synth.sound(channel=PLAYER)), 3.0), synth.sound()
            assert any("went away" in line for line in daemon.err.lines)
            assert synth.wait_for_notes(MACHINE, timeout_s=5.0)  # what it held no longer holds the turn


@pytest.mark.parametrize("side", ["--in", "--out"])
def test_a_wrong_name_lists_the_ports(env: Env, side: str) -> None:
    names = {"--in": "stage", "--out": "warm", side: "harpsichord"}
    with Player(env, *NAMED):
        flags = [word for pair in names.items() for word in pair]
        done = subprocess.run(
            [sys.executable, "-m", "improv", "listen", *flags], env=env, capture_output=True, text=True
        )
    assert done.returncode == 2 and done.stdout == ""
    (sentence,) = done.stderr.splitlines()
    assert "harpsichord" in sentence
    assert ("Stage Piano:port" if side == "--in" else "Warm Synth:port") in sentence


def test_a_session_is_recorded(env: Env, tmp_path: Path) -> None:
    folder = tmp_path / "takes"
    with answering(env, "--record", str(folder)) as (daemon, player):
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
        played = [event.message[1] for event in player.sent if event.note_on]
        answered = [event.message[1] for event in player.notes(MACHINE)]
    (path,) = folder.glob("*.mid")
    parts = [[m.note for m in track if m.type == "note_on" and m.velocity] for track in mido.MidiFile(path).tracks]
    parts = [part for part in parts if part]
    assert parts == [played, answered]
